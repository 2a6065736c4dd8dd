"""Exercise of notebook 00: a point on the way between two latent vectors."""

import numpy as np

from course_lib.checks import engine

STUB = '''\
def mix_latents(first, second, share):
    """Return the latent vector that lies `share` of the way from `first` to `second`.

    first, second: NumPy arrays of the same shape, float32.
    share: number from 0 (gives `first`) to 1 (gives `second`).
    """
    return ...
'''

SOLUTION = '''\
def mix_latents(first, second, share):
    """Return the latent vector that lies `share` of the way from `first` to `second`.

    first, second: NumPy arrays of the same shape, float32.
    share: number from 0 (gives `first`) to 1 (gives `second`).
    """
    return (1 - share) * first + share * second
'''

EXPLANATION = """\
The two weights always add up to 1, so the result never leaves the straight line between the two
vectors. At 0 and at 1 one of the weights is exactly 0: the ends of the slider are the two faces
themselves, bit for bit.

Halfway the vector is shorter than either end, since random directions are almost at right angles.
Generators forgive that; a later notebook walks along the sphere instead and compares."""


def check(attempt: engine.Attempt) -> None:
    """Asks for both ends, points between, and a batch; eighths keep the arithmetic exact."""
    first = np.array([0.5, -1.25, 2.0, 0.0, -0.375], np.float32)
    second = np.array([1.5, 0.75, -1.0, 0.25, 0.125], np.float32)
    _compare(attempt, first, second, [0.0, 1.0, 0.5, 0.25, 0.75])
    _compare(attempt, np.stack([first, second]), np.stack([second, -first]), [0.25, 1.0])


def _compare(
    attempt: engine.Attempt, first: np.ndarray, second: np.ndarray, shares: list[float]
) -> None:
    """Judges all shares together: one alone can look like another mistake."""
    shares = np.array(shares)
    results = [attempt(first, second, float(share)) for share in shares]
    actual = np.stack([engine.numbers(result, shape=first.shape) for result in results])
    weight = shares.reshape(-1, *[1] * first.ndim)
    mistakes = [
        (
            weight * first + (1 - weight) * second,
            "The two ends are swapped: share 0 has to give `first`, share 1 has to give `second`.",
        ),
        (
            first + weight * second,
            (
                "At share 1 you return `first + second`, which lies outside. How much of `first` "
                "is left there?"
            ),
        ),
        (
            (1 + weight) * first - weight * second,
            "You walk away from `second`: the sign of the difference is turned around.",
        ),
        (
            np.broadcast_to((first + second) / 2, actual.shape),
            (
                "You return the middle for every share. `share` has to decide how much of each "
                "there is."
            ),
        ),
        (
            np.where(weight < 0.5, first, second),
            "You jump from one end to the other. Between them, both vectors have to be mixed.",
        ),
        (
            np.where(weight <= 0.5, first, second),
            "You jump from one end to the other. Between them, both vectors have to be mixed.",
        ),
        (
            weight * (second - first),
            "You return the step alone. Where does it start?",
        ),
    ]
    expected = (1 - weight) * first + weight * second
    question = f"For the shares {', '.join(f'{share:g}' for share in shares)}"
    engine.compare(actual, expected, question=question, mistakes=mistakes)


EXERCISE = engine.Exercise(
    name="mix_latents",
    title="Walk from one face to another",
    notebook="00_start_here",
    minutes=5,
    difficulty=1,
    stub=STUB,
    hints=(
        (
            "At share 0 nothing of `second` may be left, at share 1 nothing of `first`. What "
            "about 0.5?"
        ),
        "Give each of the two vectors a weight, so that the two weights add up to 1, and add them.",
    ),
    solution=SOLUTION,
    explanation=EXPLANATION,
    check=check,
    right_answers=(
        """\
def mix_latents(first, second, share):
    return first + share * (second - first)
""",
        """\
def mix_latents(first, second, share):
    first, second = tf.constant(first), tf.constant(second)
    return tf.add(tf.multiply(1.0 - share, first), tf.multiply(share, second))
""",
        """\
def mix_latents(first, second, share):
    mixed = np.empty_like(first)
    for place in np.ndindex(first.shape):
        mixed[place] = second[place] * share + first[place] * (1 - share)
    return mixed
""",
    ),
    wrong_answers=(
        engine.WrongAnswer(
            source="""\
def mix_latents(first, second, share):
    share = share or 0.5
    return (1 - share) * first + share * second
""",
            says="For the shares 0, 1",
        ),
        engine.WrongAnswer(
            source="""\
def mix_latents(first, second, share):
    return share * first + (1 - share) * second
""",
            says="ends are swapped",
        ),
        engine.WrongAnswer(
            source="def mix_latents(first, second, share):\n    return first + share * second\n",
            says="lies outside",
        ),
        engine.WrongAnswer(
            source="""\
def mix_latents(first, second, share):
    return first + share * (first - second)
""",
            says="walk away",
        ),
        engine.WrongAnswer(
            source="def mix_latents(first, second, share):\n    return (first + second) / 2\n",
            says="the middle for every share",
        ),
        engine.WrongAnswer(
            source="""\
def mix_latents(first, second, share):
    return second if share > 0.5 else first
""",
            says="jump from one end",
        ),
        engine.WrongAnswer(
            source="""\
def mix_latents(first, second, share):
    return np.mean((1 - share) * first + share * second)
""",
            says="shape",
        ),
    ),
)
