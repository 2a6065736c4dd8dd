"""Exercise of notebook 09: the way along the arc between two latent vectors."""

import numpy as np

from course_lib.checks import engine

STUB = '''\
def slerp(first, second, share):
    """Return the mixture of `first` and `second` with the two weights of the formula above.

    first, second: NumPy arrays (latent_dim,), float64, of any two lengths, neither parallel nor
        opposite.
    share: number from 0 (gives `first`) to 1 (gives `second`).
    """
    return ...
'''

SOLUTION = '''\
def slerp(first, second, share):
    """Return the mixture of `first` and `second` with the two weights of the formula above.

    first, second: NumPy arrays (latent_dim,), float64, of any two lengths, neither parallel nor
        opposite.
    share: number from 0 (gives `first`) to 1 (gives `second`).
    """
    lengths = np.linalg.norm(first) * np.linalg.norm(second)
    angle = np.arccos(first @ second / lengths)
    return (np.sin((1 - share) * angle) * first + np.sin(share * angle) * second) / np.sin(angle)
'''

EXPLANATION = """\
In the plane of two equally long vectors, the vector at the angle `share * angle` from `first` is a
mixture of both; the two sines are the weights that put it there. They add up to more than 1 between
the ends, which is exactly what keeps the length. For unequal lengths the same weights still lead
from one to the other, but neither the angle nor the length goes evenly.

The cosine of the angle is the product of the unit vectors: forgetting to divide by the lengths
makes `arccos` answer nan. A straight line that is stretched to the right length afterwards passes
through the same points, but not at the same shares.

Source: Shoemake 1985, https://doi.org/10.1145/325334.325242."""


def _on_arc(first, second, shares, angle):
    return (np.sin((1 - shares) * angle) * first + np.sin(shares * angle) * second) / np.sin(angle)


def check(attempt: engine.Attempt) -> None:
    """Asks for five shares of a right angle, of another angle, and of unequal lengths."""
    pairs = [
        (np.array([3.0, 0.0, 0.0]), np.array([0.0, 3.0, 0.0])),
        (np.array([0.3, 0.6, 0.6, 0.0]), np.array([-0.3, 0.6, 0.0, 0.6])),
        (np.array([2.0, 0.0]), np.array([-1.0, 1.0])),
    ]
    shares = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    for first, second in pairs:
        results = [attempt(first, second, float(share)) for share in shares]
        actual = np.stack([engine.numbers(result, shape=first.shape) for result in results])
        angle = np.arccos(first @ second / np.linalg.norm(first) / np.linalg.norm(second))
        expected = _on_arc(first, second, shares[:, None], angle)
        question = f"Between {first} and {second}, for the shares 0, 0.25, 0.5, 0.75, 1"
        mistakes = _mistakes(first, second, shares[:, None], angle)
        engine.compare(actual, expected, question=question, mistakes=mistakes)


def _mistakes(first, second, shares, angle):
    expected = _on_arc(first, second, shares, angle)
    straight = (1 - shares) * first + shares * second
    lengths = np.linalg.norm(straight, axis=1, keepdims=True)
    wanted = (1 - shares) * np.linalg.norm(first) + shares * np.linalg.norm(second)
    return [
        (
            straight,
            "You walk on the straight line. Between the ends the vector has to keep its length.",
        ),
        (
            straight / lengths * wanted,
            (
                "The length is right, but the speed isn't: you stretched the straight line. At "
                "the share 0.25 a quarter of the angle has to be behind you."
            ),
        ),
        (expected[::-1], "The two ends are swapped: share 0 has to give `first`."),
        (
            expected / np.linalg.norm(expected, axis=1, keepdims=True),
            "You return vectors of length 1. At share 0 the result has to be `first` itself.",
        ),
        (
            _on_arc(first, second, shares, np.arccos(first @ second)),
            "The cosine of the angle is the product of the *unit* vectors: divide by both lengths.",
        ),
        (
            expected * np.sin(angle),
            "Your weights are the sines alone. At share 0 the weight of `first` has to be 1.",
        ),
    ]


EXERCISE = engine.Exercise(
    name="slerp",
    title="Walk on the sphere",
    notebook="09_style_based_faces",
    minutes=15,
    difficulty=2,
    stub=STUB,
    hints=(
        (
            "The result is a mixture `a * first + b * second`. What have a and b to be at share 0 "
            "and at share 1?"
        ),
        (
            "Find the angle between the two vectors first: its cosine is their product, divided by "
            "both lengths."
        ),
        "a is the sine of the angle that is still to go, divided by the sine of the whole angle.",
    ),
    solution=SOLUTION,
    explanation=EXPLANATION,
    check=check,
    right_answers=(
        """\
def slerp(first, second, share):
    a, b = np.linalg.norm(first), np.linalg.norm(second)
    unit, other = first / a, second / b
    angle = np.arctan2(np.linalg.norm(other - (unit @ other) * unit), unit @ other)
    return (np.sin(angle - share * angle) * a * unit + np.sin(share * angle) * second) / np.sin(
        angle
    )
""",
        """\
def slerp(first, second, share):
    first, second = tf.constant(first), tf.constant(second)
    cosine = tf.reduce_sum(first * second) / tf.norm(first) / tf.norm(second)
    angle = tf.acos(cosine)
    left, right = tf.sin((1 - share) * angle), tf.sin(share * angle)
    return (left * first + right * second) / tf.sin(angle)
""",
    ),
    wrong_answers=(
        engine.WrongAnswer(
            source="""\
def slerp(first, second, share):
    return (1 - share) * first + share * second
""",
            says="straight line",
        ),
        engine.WrongAnswer(
            source="""\
def slerp(first, second, share):
    line = (1 - share) * first + share * second
    length = (1 - share) * np.linalg.norm(first) + share * np.linalg.norm(second)
    return line / np.linalg.norm(line) * length
""",
            says="the speed isn't",
        ),
        engine.WrongAnswer(
            source="""\
def slerp(first, second, share):
    angle = np.arccos(first @ second / np.linalg.norm(first) / np.linalg.norm(second))
    a, b = np.sin(share * angle), np.sin((1 - share) * angle)
    return (a * first + b * second) / np.sin(angle)
""",
            says="ends are swapped",
        ),
        engine.WrongAnswer(
            source="""\
def slerp(first, second, share):
    angle = np.arccos(first @ second / np.linalg.norm(first) / np.linalg.norm(second))
    return np.sin((1 - share) * angle) * first + np.sin(share * angle) * second
""",
            says="sines alone",
        ),
        engine.WrongAnswer(
            source="""\
def slerp(first, second, share):
    angle = np.arccos(np.clip(first @ second, -1, 1))
    mixed = np.sin((1 - share) * angle) * first + np.sin(share * angle) * second
    return mixed / np.sin(angle)
""",
            says="divide by both",
        ),
        engine.WrongAnswer(
            source="""\
def slerp(first, second, share):
    angle = np.arccos(first @ second / np.linalg.norm(first) / np.linalg.norm(second))
    mixed = np.sin((1 - share) * angle) * first + np.sin(share * angle) * second
    return mixed / np.linalg.norm(mixed)
""",
            says="length 1",
        ),
    ),
)
