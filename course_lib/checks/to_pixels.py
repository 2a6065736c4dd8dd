"""Exercise of notebook 00: from the numbers of a network to the whole numbers of a picture."""

import numpy as np

from course_lib.checks import engine

STUB = '''\
def to_pixels(images):
    """Return pictures as whole numbers 0..255 (uint8), each rounded to the nearest.

    images: NumPy array of any shape, float32, -1 is black and 1 is white.
    """
    return ...
'''

SOLUTION = '''\
def to_pixels(images):
    """Return pictures as whole numbers 0..255 (uint8), each rounded to the nearest.

    images: NumPy array of any shape, float32, -1 is black and 1 is white.
    """
    return np.round((images + 1) * 127.5).astype(np.uint8)
'''

EXPLANATION = """\
Adding 1 makes -1..1 into 0..2, and 255 / 2 = 127.5 stretches that to 0..255. `astype` alone cuts
off the fraction: every picture would come out half a level too dark, and a picture that is read,
turned to floats and written again would lose up to one level each time.

The numbers must be rounded before they become uint8: uint8 has no room for -1 or 256, and wraps
around instead of complaining, so that black becomes white."""

WRONG_RANGE = (
    "You treat the input as if it went from 0 to 1. Its black is -1: half of every picture is "
    "negative."
)
WRAPPED = (
    "White came out black: 256 does not fit into a byte and wraps around to 0. The largest level "
    "is 255."
)


def check(attempt: engine.Attempt) -> None:
    """Asks for all 256 levels, each below, near and above its exact value."""
    ends = engine.numbers(attempt(np.array([-1.0, 1.0], np.float32)), shape=(2,))
    if ends.dtype.kind == "f" and np.allclose(ends, [0, 255]):
        raise engine.Wrong(
            "The numbers are right, but they are still floats: add `.astype(np.uint8)`."
        )
    engine.compare(ends, [0, 255], question="For -1 and 1", mistakes=_mistakes([-1.0, 1.0]))
    levels = np.arange(256)[:, None] + np.array([-0.3, 0.05, 0.3])
    images = np.clip(levels / 127.5 - 1, -1, 1).astype(np.float32).reshape(4, 8, 8, 3)
    pixels = engine.numbers(attempt(images), shape=images.shape)
    expected = np.repeat(np.arange(256), 3).reshape(images.shape)
    engine.compare(
        pixels, expected, question="For a picture of all 256 levels", mistakes=_mistakes(images)
    )
    if pixels.dtype != np.uint8:
        raise engine.Wrong(
            f"The numbers are right, but of the type {pixels.dtype}. A picture file holds uint8: "
            "one byte each."
        )


def _bytes(values: np.ndarray) -> np.ndarray:
    """What casting to uint8 makes of numbers outside 0..255."""
    return values.astype(np.int64) % 256


def _mistakes(images) -> list[tuple[np.ndarray, str]]:
    images = np.asarray(images, np.float64)
    exact = (images + 1) * 127.5
    return [
        (
            np.trunc(exact),
            "Your levels are cut off, not rounded: 99.7 became 99. Round before `astype`.",
        ),
        (np.ceil(exact), "Your levels are rounded up. Round to the nearest: 99.2 is 99."),
        (_bytes(images * 255), WRONG_RANGE),
        (_bytes(np.round(images * 255)), WRONG_RANGE),
        (np.clip(np.round(images * 255), 0, 255), WRONG_RANGE),
        (np.round((images + 1) * 127), "Your white is 254. The largest level of a byte is 255."),
        (_bytes((images + 1) * 128), WRAPPED),
        (
            _bytes(np.round(images * 127.5)),
            "Your numbers start below 0. Move them up before they are stretched.",
        ),
        (
            np.round((images + 1) * 255),
            "Your numbers go up to 510. The input has a width of 2, from -1 to 1, not 1.",
        ),
    ]


EXERCISE = engine.Exercise(
    name="to_pixels",
    title="Turn a network's numbers into a picture",
    notebook="00_start_here",
    minutes=5,
    difficulty=1,
    stub=STUB,
    hints=(
        "Where do -1, 0 and 1 have to go? Two steps do it: move, then stretch.",
        "Moving by 1 gives 0..2. By which number must you multiply to reach 255?",
        "`astype(np.uint8)` cuts off the fraction. `np.round` before it takes the nearest level.",
    ),
    solution=SOLUTION,
    explanation=EXPLANATION,
    check=check,
    right_answers=(
        """\
def to_pixels(images):
    levels = tf.round((tf.cast(images, tf.float32) + 1.0) / 2.0 * 255.0)
    return tf.cast(levels, tf.uint8)
""",
        """\
def to_pixels(images):
    flat = [int(127.5 * float(value) + 128) for value in images.ravel()]
    return np.array(flat, dtype="uint8").reshape(images.shape)
""",
    ),
    wrong_answers=(
        engine.WrongAnswer(
            source="def to_pixels(images):\n    return ((images + 1) * 127.5).astype(np.uint8)\n",
            says="cut off, not rounded",
        ),
        engine.WrongAnswer(
            source="""\
def to_pixels(images):
    return (images * 255).astype(np.int32).astype(np.uint8)
""",
            says="as if it went from 0 to 1",
        ),
        engine.WrongAnswer(
            source="""\
def to_pixels(images):
    return np.clip(np.round(images * 255), 0, 255).astype(np.uint8)
""",
            says="as if it went from 0 to 1",
        ),
        engine.WrongAnswer(
            source="""\
def to_pixels(images):
    return ((images + 1) * 128).astype(np.int32).astype(np.uint8)
""",
            says="wraps around",
        ),
        engine.WrongAnswer(
            source="def to_pixels(images):\n    return np.round((images + 1) * 127.5)\n",
            says="still floats",
        ),
        engine.WrongAnswer(
            source="""\
def to_pixels(images):
    return np.round((images + 1) * 127.5).astype(np.int64)
""",
            says="of the type int64",
        ),
        engine.WrongAnswer(
            source="""\
def to_pixels(images):
    images += 1
    return np.round(images * 127.5).astype(np.uint8)
""",
            says="changed the array it was given",
        ),
    ),
)
