"""Exercise of notebook 11: style losses of layers that can be added up."""

import numpy as np

from course_lib.checks import engine

STUB = '''\
def balanced_style_loss(matrices, targets):
    """Return the style loss of several layers, one number: the sum of their relative errors.

    matrices, targets: lists of NumPy arrays (channels, channels), float64, one for each layer, of
        any size. A layer's relative error is the sum of the squared differences over the sum of
        the target's squares.
    """
    return ...
'''

SOLUTION = STUB.replace(
    "    return ...\n",
    """\
    total = 0.0
    for matrix, target in zip(matrices, targets, strict=True):
        total += np.sum((matrix - target) ** 2) / np.sum(target**2)
    return total
""",
)

EXPLANATION = """\
Features twice as large make a Gram matrix four times and its squared error sixteen times as large,
and a layer with twice the channels has four times the entries. Added up as they are, the layer with
the largest activations is the only one that counts.

A relative error has no unit: an answer of zeros gets 1 in every layer, however wide the layer and
however large its activations. Then weights of layers say what they seem to say.

Gatys et al. divide by the sizes, 4 N^2 M^2, and scale the network beforehand so that every channel
has the mean activation 1: the same idea, in two steps.

Source: Gatys, Ecker and Bethge 2016, sections 2 and 2.2, https://doi.org/10.1109/CVPR.2016.265."""

TARGETS = [np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([[30.0, 4, 1], [4, 20, -6], [1, -6, 50]])]
MATRICES = [np.array([[1.5, 0.9], [0.9, 1.2]]), np.array([[10.0, 7, 3], [7, 28, -2], [3, -2, 40]])]


def right(matrices: list, targets: list) -> float:
    """Returns the right answer; the tests compare it with loops over the entries."""
    pairs = zip(matrices, targets, strict=True)
    return float(sum(np.linalg.norm(m - t) ** 2 / np.linalg.norm(t) ** 2 for m, t in pairs))


def check(attempt: engine.Attempt) -> None:
    """Asks for two layers of different width, the second with larger activations."""
    answer = attempt([m.copy() for m in MATRICES], [t.copy() for t in TARGETS])
    answer = engine.numbers(answer, shape=(), what="loss")
    engine.compare(
        answer, right(MATRICES, TARGETS), question="For two layers", mistakes=_mistakes()
    )


def _mistakes() -> list[tuple[float, str]]:
    pairs = list(zip(MATRICES, TARGETS, strict=True))
    squares = [np.sum((m - t) ** 2) for m, t in pairs]
    return [
        (sum(squares), "The second layer drowns the first: divide each by its target's squares."),
        (
            sum(np.mean((m - t) ** 2) for m, t in pairs),
            "Means take care of the width, not of the size of the activations: the second layer "
            "still drowns the first.",
        ),
        (
            sum(squares) / sum(np.sum(t**2) for _, t in pairs),
            "You divide the sum by a sum: the larger layer counts more. Divide layer by layer.",
        ),
        (
            sum(np.linalg.norm(m - t) / np.linalg.norm(t) for m, t in pairs),
            "These are the roots. The relative error is a ratio of squares.",
        ),
        (
            sum(s / np.sum(m**2) for s, (m, _) in zip(squares, pairs, strict=True)),
            "You divide by the found matrix. Divide by the target, which stays the same.",
        ),
        (
            sum(s / np.sum(t) ** 2 for s, (_, t) in zip(squares, pairs, strict=True)),
            "Square first, then add: the sum of squares, not the square of the sum.",
        ),
        (right(MATRICES, TARGETS) / 2, "You take the mean over the layers. Add them up."),
    ]


def _wrong(body: str, says: str) -> engine.WrongAnswer:
    source = (
        "def balanced_style_loss(matrices, targets):\n    pairs = list(zip(matrices, targets))\n"
        f"    return {body}\n"
    )
    return engine.WrongAnswer(source=source, says=says)


EXERCISE = engine.Exercise(
    name="balanced_style_loss",
    title="Layers that can be added up",
    notebook="11_style_by_optimisation",
    minutes=10,
    difficulty=2,
    stub=STUB,
    hints=(
        "If all features of a layer are multiplied by 3, by how much does the numerator grow, and "
        "by how much the denominator?",
        "A loop over `zip(matrices, targets)`: one ratio for each layer, added up.",
    ),
    solution=SOLUTION,
    explanation=EXPLANATION,
    check=check,
    right_answers=(
        """\
def balanced_style_loss(matrices, targets):
    return sum(np.mean((m - t) ** 2) / np.mean(t**2) for m, t in zip(matrices, targets))
""",
        """\
def balanced_style_loss(matrices, targets):
    losses = [
        tf.reduce_sum((m - t) ** 2) / tf.reduce_sum(t**2) for m, t in zip(matrices, targets)
    ]
    return tf.add_n(losses)
""",
    ),
    wrong_answers=(
        _wrong("sum(np.sum((m - t) ** 2) for m, t in pairs)", "drowns the first: divide"),
        _wrong("sum(np.mean((m - t) ** 2) for m, t in pairs)", "take care of the width"),
        _wrong(
            "sum(np.sum((m - t) ** 2) for m, t in pairs) / sum(np.sum(t**2) for m, t in pairs)",
            "layer by layer",
        ),
        _wrong("sum(np.linalg.norm(m - t) / np.linalg.norm(t) for m, t in pairs)", "the roots"),
        _wrong("sum(np.sum((m - t) ** 2) / np.sum(m**2) for m, t in pairs)", "found matrix"),
        _wrong("sum(np.sum((m - t) ** 2) / np.sum(t) ** 2 for m, t in pairs)", "Square first"),
        _wrong("np.mean([np.sum((m - t) ** 2) / np.sum(t**2) for m, t in pairs])", "Add them up"),
        _wrong("[np.sum((m - t) ** 2) / np.sum(t**2) for m, t in pairs]", "the shape ()"),
        _wrong("1.0", "For two layers"),
    ),
)
