"""Exercise of notebook 06: the running average of the generator's weights."""

import numpy as np

from course_lib.checks import engine

STUB = '''\
def ema_update(average, value, decay):
    """Return the new running average of a weight, one step after `average`.

    average: the average so far, NumPy array of any shape, float32.
    value: the weight now, of the same shape.
    decay: number from 0 to 1, the share of the old average that is kept, such as 0.999.
    """
    return ...
'''

SOLUTION = '''\
def ema_update(average, value, decay):
    """Return the new running average of a weight, one step after `average`.

    average: the average so far, NumPy array of any shape, float32.
    value: the weight now, of the same shape.
    decay: number from 0 to 1, the share of the old average that is kept, such as 0.999.
    """
    return decay * average + (1 - decay) * value
'''

EXPLANATION = """\
Every step keeps `decay` of the average and fills the rest with the newest value. A value that is
n steps old counts decay ** n times as much as the newest one: with 0.999 it takes 693 steps until
half of it is forgotten.

The weights of a GAN circle around their goal instead of settling, and the mean of a circle is its
middle: faces from the averaged generator are cleaner at no cost in training. The average must not
change `average` in place unless you mean it: with `average += ...` the model would change at
once.

Source: Yazici et al. 2019, https://arxiv.org/abs/1806.04498."""


def check(attempt: engine.Attempt) -> None:
    """Asks for three decays at once, then for both ends."""
    average = np.array([[1.0, -2.0], [0.5, 4.0]], np.float32)
    value = np.array([[3.0, 2.0], [-1.5, 0.0]], np.float32)
    decays = np.array([0.9, 0.5, 0.999]).reshape(3, 1, 1)
    actual = np.stack(
        [engine.numbers(attempt(average, value, float(d)), shape=(2, 2)) for d in decays.ravel()]
    )
    mistakes = [
        (
            (1 - decays) * average + decays * value,
            "The two shares are swapped: a decay of 0.999 has to keep 0.999 of the old average.",
        ),
        (
            decays * average + value,
            (
                "The new value counts in full, so the average grows without end. The two shares "
                "have to add up to 1."
            ),
        ),
        (
            average + (1 - decays) * value,
            "Nothing of the old average is forgotten. The two shares have to add up to 1.",
        ),
        (
            np.broadcast_to((average + value) / 2, actual.shape),
            "You return the mean of the two, whatever `decay` is.",
        ),
        (
            average - (1 - decays) * (value - average),
            "You step away from the new value: the sign of the difference is turned around.",
        ),
        (np.broadcast_to(average, actual.shape), "Your average never changes."),
        (
            np.broadcast_to(value, actual.shape),
            "You return the new value; the old average is lost.",
        ),
    ]
    expected = decays * average + (1 - decays) * value
    engine.compare(
        actual, expected, question="For the decays 0.9, 0.5 and 0.999", mistakes=mistakes
    )
    for decay, end in ((0.0, value), (1.0, average)):
        result = engine.numbers(attempt(average, value, decay), shape=(2, 2))
        engine.compare(result, end, question=f"For the decay {decay:g}")


EXERCISE = engine.Exercise(
    name="ema_update",
    title="Average the generator while it circles",
    notebook="06_first_faces",
    minutes=5,
    difficulty=1,
    stub=STUB,
    hints=(
        (
            "`decay` is the share of the old average that is kept. How large is the share that "
            "is left for `value`?"
        ),
        (
            "With decay 0.9 the new average is nine tenths of the old one and one tenth of the "
            "new value."
        ),
    ),
    solution=SOLUTION,
    explanation=EXPLANATION,
    check=check,
    right_answers=(
        "def ema_update(average, value, decay):\n    return value + decay * (average - value)\n",
        """\
def ema_update(average, value, decay):
    return tf.constant(average) * decay + value * (1 - decay)
""",
        """\
def ema_update(average, value, decay):
    pairs = zip(average.ravel(), value.ravel())
    mixed = [old * decay + new * (1 - decay) for old, new in pairs]
    return np.reshape(mixed, average.shape)
""",
    ),
    wrong_answers=(
        engine.WrongAnswer(
            source="""\
def ema_update(average, value, decay):
    return (1 - decay) * average + decay * value
""",
            says="shares are swapped",
        ),
        engine.WrongAnswer(
            source="def ema_update(average, value, decay):\n    return decay * average + value\n",
            says="grows without end",
        ),
        engine.WrongAnswer(
            source="def ema_update(average, value, decay):\n    return (average + value) / 2\n",
            says="whatever `decay` is",
        ),
        engine.WrongAnswer(
            source="""\
def ema_update(average, value, decay):
    average *= decay
    average += (1 - decay) * value
    return average
""",
            says="changed the array it was given",
        ),
        engine.WrongAnswer(
            source="""\
def ema_update(average, value, decay):
    return 0.999 * average + 0.001 * value
""",
            says="For the decays",
        ),
    ),
)
