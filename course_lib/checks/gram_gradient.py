"""Exercise of notebook 11: how the style loss pulls at a feature."""

import numpy as np

from course_lib.checks import engine

STUB = '''\
def gram_gradient(features, target):
    """Return the gradient of sum((G - target) ** 2) by the features, an array (places, channels).

    features: NumPy array (places, channels), float64; G = features.T @ features / places.
    target: NumPy array (channels, channels), float64, symmetric.
    """
    return ...
'''

SOLUTION = STUB.replace(
    "    return ...\n",
    """\
    places = len(features)
    matrix = features.T @ features / places
    return 4 / places * features @ (matrix - target)
""",
)

EXPLANATION = """\
Call E = G - A, where A is the target. The loss has the derivative 2 E by G. Each feature value
stands in G twice, once as a row and once as a column, and E is symmetric: hence 2 * 2 = 4. The mean
over the places gives the 1/places.

Read the product F E place by place: what is pulled at a place depends on the features of that place
alone, and on E, which is the same everywhere. Nothing in it says where the place is. This is
equation 6 of Gatys et al. 2016, which has the factor 1/(N^2 M^2) in front.

Source: Gatys, Ecker and Bethge 2016, https://doi.org/10.1109/CVPR.2016.265."""

FEATURES = np.random.default_rng(12).normal(0.5, 1, (5, 3))
TARGET = np.array([[2.0, 0.3, -0.4], [0.3, 1.0, 0.2], [-0.4, 0.2, 0.5]])


def right(features: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Returns the right answer; the tests compare it with finite differences."""
    places = len(features)
    return 4 / places * features @ (features.T @ features / places - target)


def check(attempt: engine.Attempt) -> None:
    """Asks once; every known mistake changes a factor, a sign or an order."""
    answer = attempt(FEATURES.copy(), TARGET.copy())
    answer = engine.numbers(answer, shape=FEATURES.shape, what="gradient")
    engine.compare(
        answer, right(FEATURES, TARGET), question="For random features", mistakes=_mistakes()
    )


def _mistakes() -> list[tuple[np.ndarray, str]]:
    gradient, places = right(FEATURES, TARGET), len(FEATURES)
    summed = FEATURES.T @ FEATURES
    return [
        (
            gradient / 2,
            "Half of it is missing: each value stands in G as a row and as a column.",
        ),
        (gradient / 4, "The factor 4 is missing: 2 from the square, 2 from row and column."),
        (-gradient, "The sign is turned around: E is G minus the target."),
        (gradient * places, "The mean over the places in G leaves its 1 / places in the gradient."),
        (gradient / TARGET.size, "The loss is a sum over the entries, not their mean."),
        (
            4 / places * FEATURES @ (summed - TARGET),
            "Your G is a sum over the places. Divide it by their number.",
        ),
        (
            4 / places * FEATURES @ (summed / places),
            "The target plays no part in your gradient.",
        ),
    ]


def _wrong(body: str, says: str) -> engine.WrongAnswer:
    source = (
        "def gram_gradient(features, target):\n    places = len(features)\n"
        f"    matrix = features.T @ features / places\n    return {body}\n"
    )
    return engine.WrongAnswer(source=source, says=says)


EXERCISE = engine.Exercise(
    name="gram_gradient",
    title="How the style loss pulls at a feature",
    notebook="11_style_by_optimisation",
    minutes=20,
    difficulty=3,
    stub=STUB,
    hints=(
        "Write one entry: G[c, d] = sum over p of F[p, c] F[p, d] / places. By which entries of G "
        "does a change of F[p, c] act?",
        "The derivative by F[p, c] is a sum over d of E[c, d] F[p, d], with E = G - target and a "
        "factor in front. As matrices: features @ E.",
        "The factor: 2 from the square, 2 since F[p, c] stands in row c and in column c, and "
        "1 / places from the mean.",
    ),
    solution=SOLUTION,
    explanation=EXPLANATION,
    check=check,
    right_answers=(
        """\
def gram_gradient(features, target):
    features = tf.constant(features)
    with tf.GradientTape() as tape:
        tape.watch(features)
        matrix = tf.transpose(features) @ features / len(features)
        loss = tf.reduce_sum((matrix - target) ** 2)
    return tape.gradient(loss, features)
""",
        """\
def gram_gradient(features, target):
    error = np.einsum("pc,pd->cd", features, features) / len(features) - target
    return np.einsum("pd,cd->pc", features, error + error.T) * 2 / len(features)
""",
    ),
    wrong_answers=(
        _wrong("2 / places * features @ (matrix - target)", "Half of it is missing"),
        _wrong("features @ (matrix - target) / places", "factor 4 is missing"),
        _wrong("4 / places * features @ (target - matrix)", "turned around"),
        _wrong("4 * features @ (matrix - target)", "leaves its 1 / places"),
        _wrong("4 / places * features @ (matrix - target) / 9", "not their mean"),
        _wrong("4 / places * features @ (matrix * places - target)", "a sum over the places"),
        _wrong("4 / places * features @ matrix", "plays no part"),
        _wrong("matrix - target", "the shape (5, 3)"),
        _wrong("3 / places * features @ (matrix - target)", "For random features"),
    ),
)
