"""Exercise of notebook 04: an augmentation that keeps the label."""

import numpy as np

from course_lib.checks import engine

STUB = '''\
def flip_pictures(images, heads):
    """Return the pictures, those whose coin shows heads mirrored left to right.

    images: NumPy array (batch, height, width, channels).
    heads: booleans (batch,), one coin for each picture.
    """
    return ...
'''

SOLUTION = '''\
def flip_pictures(images, heads):
    """Return the pictures, those whose coin shows heads mirrored left to right.

    images: NumPy array (batch, height, width, channels).
    heads: booleans (batch,), one coin for each picture.
    """
    return np.where(heads[:, None, None, None], images[:, :, ::-1], images)
'''

EXPLANATION = """\
Columns are axis 2 of (batch, height, width, channels): reversing them mirrors a picture left to
right, as if the head had turned the other way. Axis 1 would put it on its head, axis 0 would give
every picture the label of another, axis 3 would swap red and blue. One coin for each picture: with
one coin for the batch, a batch is mirrored as a whole, and the network sees less variety in it.

Whether a mirrored picture keeps its label is a question about the labels, not about the picture: a
face does, the letter b does not."""


def check(attempt: engine.Attempt) -> None:
    """Asks for a small batch in which every axis has another length."""
    images = np.arange(3 * 2 * 4 * 5, dtype=np.float64).reshape(3, 2, 4, 5) / 60 - 1
    heads = np.array([True, False, True])
    mirrored = images[:, :, ::-1]
    expected = np.where(heads[:, None, None, None], mirrored, images)
    coins = heads[:, None, None, None]
    mistakes = [
        (np.where(coins, images, mirrored), "The wrong ones are mirrored: heads means mirrored."),
        (mirrored, "Every picture is mirrored, whatever its coin shows."),
        (images, "No picture is mirrored."),
        (
            np.where(coins, images[:, ::-1], images),
            "They stand on their heads: columns are axis 2.",
        ),
        (
            np.where(coins, images[::-1], images),
            "You reverse the batch: a picture would get the label of another.",
        ),
        (np.where(coins, images[..., ::-1], images), "You reverse the channels, the last axis."),
        (
            np.where(coins, images[:, ::-1, ::-1], images),
            "You turn them by 180 degrees: only the columns are to be reversed.",
        ),
    ]
    answer = engine.numbers(attempt(images.copy(), heads), shape=images.shape, what="pictures")
    engine.compare(answer, expected, question="For heads, tails, heads", mistakes=mistakes)
    tails = np.array([False, False, False])
    answer = engine.numbers(attempt(images.copy(), tails), shape=images.shape, what="pictures")
    engine.compare(answer, images, question="For tails only")


EXERCISE = engine.Exercise(
    name="flip_pictures",
    title="Mirror a picture and keep its label",
    notebook="04_cnn_classification",
    minutes=5,
    difficulty=1,
    stub=STUB,
    hints=(
        "Which of the four axes holds the columns? `images[:, ::-1]` would reverse the rows.",
        "`np.where(condition, a, b)` chooses; the coins need the shape (batch, 1, 1, 1).",
    ),
    solution=SOLUTION,
    explanation=EXPLANATION,
    check=check,
    right_answers=(
        """\
def flip_pictures(images, heads):
    flipped = images.copy()
    flipped[heads] = flipped[heads][:, :, ::-1]
    return flipped
""",
        """\
def flip_pictures(images, heads):
    return np.stack([np.fliplr(x) if coin else x for x, coin in zip(images, heads)])
""",
    ),
    wrong_answers=(
        engine.WrongAnswer(
            source="""\
def flip_pictures(images, heads):
    return np.where(heads[:, None, None, None], images[:, ::-1], images)
""",
            says="stand on their heads",
        ),
        engine.WrongAnswer(
            source="def flip_pictures(images, heads):\n    return images[:, :, ::-1]\n",
            says="whatever its coin shows",
        ),
        engine.WrongAnswer(
            source="""\
def flip_pictures(images, heads):
    return np.where(heads[:, None, None, None], images[::-1], images)
""",
            says="label of another",
        ),
        engine.WrongAnswer(
            source="""\
def flip_pictures(images, heads):
    return np.where(heads[:, None, None, None], images[..., ::-1], images)
""",
            says="reverse the channels",
        ),
    ),
)
