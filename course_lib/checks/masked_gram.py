"""Exercise of notebook 11: the style of a part of a picture."""

import numpy as np

from course_lib.checks import engine

STUB = '''\
def masked_gram(features, mask):
    """Return the Gram matrix of the part that a mask covers, an array (channels, channels).

    features: NumPy array (places, channels), float64.
    mask: NumPy array (places,), float64 in [0, 1]: how much each place counts. Entry (c, d) is the
        weighted mean over the places of feature c times feature d; the weights are the mask.
    """
    return ...
'''

SOLUTION = STUB.replace(
    "    return ...\n",
    """\
    weighted = features * mask[:, None]
    return weighted.T @ features / mask.sum()
""",
)

EXPLANATION = """\
A weighted mean divides by the sum of the weights, not by the number of places. Otherwise a small
region would seem to have a weak style: the loss would make its features too large, and the more so,
the smaller it is.

The mask multiplies one of the two factors. If it multiplied both, a place with the weight 1/2 would
count a quarter; for masks of 0 and 1 that is the same. Gatys et al. 2017 (equation 5) do multiply
both, and divide the squared mask by its sum beforehand.

The features of a place see its surroundings, the further the deeper the layer: near the border of
a mask a little of the outside comes in.

Source: Gatys et al. 2017, section 3, https://arxiv.org/abs/1611.07865."""

FEATURES = np.random.default_rng(14).normal(0.5, 1, (6, 3))
CASES = (
    ("For a mask of 0 and 1", np.array([1.0, 1, 0, 0, 1, 0])),
    ("For a soft mask", np.array([1.0, 0.5, 0.25, 0, 0.75, 0])),
)


def right(features: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Returns the right answer; the tests compare it with a double loop."""
    return np.einsum("p,pc,pd->cd", mask, features, features) / mask.sum()


def check(attempt: engine.Attempt) -> None:
    """Asks with a hard mask first, where a squared mask is still right."""
    for question, mask in CASES:
        answer = attempt(FEATURES.copy(), mask.copy())
        answer = engine.numbers(answer, shape=(3, 3), what="matrix")
        mistakes = _mistakes(FEATURES, mask)
        engine.compare(answer, right(FEATURES, mask), question=question, mistakes=mistakes)


def _mistakes(features: np.ndarray, mask: np.ndarray) -> list[tuple[np.ndarray, str]]:
    summed = right(features, mask) * mask.sum()
    twice = np.einsum("p,pc,pd->cd", mask**2, features, features)
    return [
        (summed, "You add the places up. Divide by the sum of the mask."),
        (
            summed / len(mask),
            "You divide by the number of all places: a small region would seem to have a weak "
            "style. Divide by the sum of the mask.",
        ),
        (summed / np.count_nonzero(mask), "Divide by the sum of the mask, not by its places."),
        (twice / mask.sum(), "The mask counts twice: it multiplies one of the two factors."),
        (twice / np.sum(mask**2), "The mask counts twice: it multiplies one of the two factors."),
        (twice / len(mask), "Divide by the sum of the mask, and let it count once."),
        (right(features, np.ones(len(mask))), "The mask plays no part in your matrix."),
        (right(features, 1 - mask), "Your matrix is that of the part *outside* the mask."),
    ]


def _wrong(body: str, says: str) -> engine.WrongAnswer:
    source = (
        "def masked_gram(features, mask):\n    places, wide = len(mask), mask[:, None]\n"
        f"    return {body}\n"
    )
    return engine.WrongAnswer(source=source, says=says)


EXERCISE = engine.Exercise(
    name="masked_gram",
    title="The style of a part",
    notebook="11_style_by_optimisation",
    minutes=10,
    difficulty=2,
    stub=STUB,
    hints=(
        "A weighted mean of numbers x with the weights m is sum(m * x) / sum(m). Here x is a "
        "product of two features.",
        "`features * mask[:, None]` weighs every place. One of the two factors of the matrix "
        "product gets it.",
    ),
    solution=SOLUTION,
    explanation=EXPLANATION,
    check=check,
    right_answers=(
        """\
def masked_gram(features, mask):
    return np.einsum("p,pc,pd->cd", mask, features, features) / mask.sum()
""",
        """\
def masked_gram(features, mask):
    rooted = features * np.sqrt(mask / mask.sum())[:, None]
    return rooted.T @ rooted
""",
    ),
    wrong_answers=(
        _wrong("(features * wide).T @ features", "add the places up"),
        _wrong("(features * wide).T @ features / places", "a weak style"),
        _wrong("(features * wide).T @ features / np.count_nonzero(mask)", "not by its places"),
        _wrong("(features * wide).T @ (features * wide) / mask.sum()", "counts twice"),
        _wrong("(features * wide).T @ (features * wide) / np.sum(mask**2)", "counts twice"),
        _wrong("features.T @ features / places", "plays no part"),
        _wrong("(features * (1 - wide)).T @ features / (1 - mask).sum()", "outside"),
        _wrong("(features * wide) @ features.T / mask.sum()", "the shape (3, 3)"),
        _wrong("2 * (features * wide).T @ features / mask.sum()", "For a mask of 0 and 1"),
    ),
)
