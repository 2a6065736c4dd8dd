"""Exercise of notebook 11: which features occur together."""

import numpy as np

from course_lib.checks import engine

STUB = '''\
def gram_matrix(features):
    """Return the Gram matrix of feature maps, an array (channels, channels).

    features: NumPy array (height, width, channels), float64. Entry (c, d) is the mean over the
        places of feature c times feature d.
    """
    return ...
'''

SOLUTION = STUB.replace(
    "    return ...\n",
    """\
    flat = features.reshape(-1, features.shape[-1])
    return flat.T @ flat / len(flat)
""",
)

EXPLANATION = """\
The places are put in one list: which of them is where plays no part any more. That is the point. A
Gram matrix knows that "yellow" and "round edge" are strong at the same places, not at which.

The diagonal holds each feature's mean square. No mean is taken away first: with it this would be
the covariance, which forgets how strong a feature is on average.

Gatys et al. 2016 (equation 3) add up and divide in the loss, by 4 N^2 M^2 (equation 4). The mean
over the places does the same, and makes pictures of different sizes comparable.

Source: Gatys, Ecker and Bethge 2016, https://doi.org/10.1109/CVPR.2016.265."""

FEATURES = np.random.default_rng(11).normal(0.5, 1, (3, 4, 2))


def right(features: np.ndarray) -> np.ndarray:
    """Returns the right answer; the tests compare it with a double loop."""
    return np.einsum("hwc,hwd->cd", features, features) / features[..., 0].size


def check(attempt: engine.Attempt) -> None:
    """Asks for 12 places and 2 features, so that the two can't be mistaken for each other."""
    answer = engine.numbers(attempt(FEATURES.copy()), what="matrix")
    engine.recognise(answer, _mistakes(FEATURES))
    if answer.shape != (2, 2):
        raise engine.Wrong(
            "For features of the shape (3, 4, 2) the matrix has the shape (2, 2), a row and a "
            f"column for each feature. Yours has the shape {answer.shape}."
        )
    engine.compare(answer, right(FEATURES), question="For random features")


def _mistakes(features: np.ndarray) -> list[tuple[np.ndarray, str]]:
    flat = features.reshape(-1, features.shape[-1])
    return [
        (flat.T @ flat, "You add the places up. The matrix is their mean."),
        (
            flat.T @ flat / features.size,
            "You divide by the number of values. Divide by the number of places.",
        ),
        (np.cov(flat.T, bias=True), "You take the mean of each feature away first: keep it."),
        (np.corrcoef(flat.T), "These are correlations. Neither means nor lengths are taken away."),
        (flat @ flat.T, "This compares places with each other. Compare the features."),
        (flat @ flat.T / len(flat), "This compares places with each other. Compare the features."),
        (
            np.outer(flat.mean(0), flat.mean(0)),
            "You multiply the means. Take the mean of the products, place by place.",
        ),
        (
            flat.reshape(features.shape[-1], -1) @ flat.reshape(features.shape[-1], -1).T
            / len(flat),
            "The values are mixed up: `reshape` doesn't move axes. Bring the places in one axis, "
            "the features stay the last.",
        ),
    ]  # fmt: skip


def _wrong(body: str, says: str) -> engine.WrongAnswer:
    flat = "    flat = features.reshape(-1, features.shape[-1])\n"
    source = f"def gram_matrix(features):\n{flat}    return {body}\n"
    return engine.WrongAnswer(source=source, says=says)


EXERCISE = engine.Exercise(
    name="gram_matrix",
    title="Which features occur together",
    notebook="11_style_by_optimisation",
    minutes=5,
    difficulty=1,
    stub=STUB,
    hints=(
        "Put all places in one axis first: `features.reshape(-1, channels)`.",
        "The product of a matrix with itself, one of them transposed, holds all sums of products "
        "at once. Which of the two has to be transposed to get channels x channels?",
    ),
    solution=SOLUTION,
    explanation=EXPLANATION,
    check=check,
    right_answers=(
        """\
def gram_matrix(features):
    return np.einsum("hwc,hwd->cd", features, features) / np.prod(features.shape[:2])
""",
        """\
def gram_matrix(features):
    return (features[..., :, None] * features[..., None, :]).mean(axis=(0, 1))
""",
    ),
    wrong_answers=(
        _wrong("flat.T @ flat", "add the places up"),
        _wrong("flat.T @ flat / features.size", "number of values"),
        _wrong("np.cov(flat.T, bias=True)", "keep it"),
        _wrong("np.corrcoef(flat.T)", "correlations"),
        _wrong("flat @ flat.T / len(flat)", "compares places"),
        _wrong("np.outer(flat.mean(0), flat.mean(0))", "multiply the means"),
        _wrong(
            "features.reshape(2, -1) @ features.reshape(2, -1).T / len(flat)", "doesn't move axes"
        ),
        _wrong("(flat * flat).mean(0)", "the shape (2, 2)"),
        _wrong("2 * flat.T @ flat / len(flat)", "For random features"),
    ),
)
