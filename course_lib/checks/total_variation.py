"""Exercise of notebook 11: how much neighbouring pixels differ."""

import numpy as np

from course_lib.checks import engine

STUB = '''\
def total_variation(image):
    """Return the mean squared difference of neighbours below plus that of neighbours beside.

    image: NumPy array (height, width, channels), float64.
    """
    return ...
'''

SOLUTION = STUB.replace(
    "    return ...\n",
    """\
    down = image[1:] - image[:-1]
    across = image[:, 1:] - image[:, :-1]
    return np.mean(down**2) + np.mean(across**2)
""",
)

EXPLANATION = """\
A picture shifted by one pixel, less itself: `image[1:] - image[:-1]` holds every difference of
neighbours once, and is one row shorter. Nothing wraps around: the last row is no neighbour of the
first.

Two means, not one: the two arrays have different sizes where the picture isn't square.

The name is older: Rudin, Osher and Fatemi 1992 take the length of the gradient, which leaves edges
alone. The square, as here, punishes one large step more than many small ones, and blurs edges a
little. Mahendran and Vedaldi 2015 (section 3.2, https://arxiv.org/abs/1412.0035) have an exponent
for what lies between."""

IMAGE = np.random.default_rng(13).normal(0, 1, (3, 5, 2)).round(2)


def right(image: np.ndarray) -> float:
    """Returns the right answer; the tests compare it with a double loop."""
    return float(np.mean(np.diff(image, axis=0) ** 2) + np.mean(np.diff(image, axis=1) ** 2))


def check(attempt: engine.Attempt) -> None:
    """Asks for a picture that isn't square, in colours that don't resemble each other."""
    answer = engine.numbers(attempt(IMAGE.copy()), shape=(), what="total variation")
    engine.compare(answer, right(IMAGE), question="For a random picture", mistakes=_mistakes())


def _mistakes() -> list[tuple[float, str]]:
    down, across = np.diff(IMAGE, axis=0), np.diff(IMAGE, axis=1)
    colour = np.diff(IMAGE, axis=2)
    around = [np.mean((np.roll(IMAGE, -1, axis) - IMAGE) ** 2) for axis in (0, 1)]
    return [
        (np.mean(down**2), "The neighbours beside are missing."),
        (np.mean(across**2), "The neighbours below are missing."),
        (np.sum(down**2) + np.sum(across**2), "You add the differences up. Take their means."),
        (
            np.mean(np.concatenate([down.ravel(), across.ravel()]) ** 2),
            "You take one mean over all differences. Take one for each direction, and add them.",
        ),
        ((np.mean(down**2) + np.mean(across**2)) / 2, "Add the two means; you halve their sum."),
        (np.mean(np.abs(down)) + np.mean(np.abs(across)), "Square the differences."),
        (np.mean(down) ** 2 + np.mean(across) ** 2, "Square first, then take the mean."),
        (np.sqrt(np.mean(down**2)) + np.sqrt(np.mean(across**2)), "No roots: mean squares."),
        (sum(around), "Your picture wraps around: its last row is no neighbour of its first."),
        (np.mean(down**2) + np.mean(across**2) + np.mean(colour**2), "Colours are no neighbours."),
        (np.mean(across**2) + np.mean(colour**2), "Colours are no neighbours: the axes are 0, 1."),
        (
            right(IMAGE) * IMAGE.shape[2],
            "You add the channels up. The mean runs over them as well.",
        ),
    ]


def _wrong(body: str, says: str) -> engine.WrongAnswer:
    source = (
        "def total_variation(image):\n    down, across = np.diff(image, axis=0), "
        f"np.diff(image, axis=1)\n    return {body}\n"
    )
    return engine.WrongAnswer(source=source, says=says)


EXERCISE = engine.Exercise(
    name="total_variation",
    title="How rough a picture is",
    notebook="11_style_by_optimisation",
    minutes=5,
    difficulty=1,
    stub=STUB,
    hints=(
        "All differences of neighbours below at once: the picture without its first row, less the "
        "picture without its last one.",
        "Square, take the mean, do the same with columns, add the two.",
    ),
    solution=SOLUTION,
    explanation=EXPLANATION,
    check=check,
    right_answers=(
        """\
def total_variation(image):
    return sum(np.mean(np.diff(image, axis=axis) ** 2) for axis in (0, 1))
""",
        """\
def total_variation(image):
    height, width, channels = image.shape
    down = across = 0.0
    for y in range(height):
        for x in range(width):
            if y + 1 < height:
                down += np.sum((image[y + 1, x] - image[y, x]) ** 2)
            if x + 1 < width:
                across += np.sum((image[y, x + 1] - image[y, x]) ** 2)
    return down / ((height - 1) * width * channels) + across / (height * (width - 1) * channels)
""",
    ),
    wrong_answers=(
        _wrong("np.mean(down**2)", "beside are missing"),
        _wrong("np.mean(across**2)", "below are missing"),
        _wrong("np.sum(down**2) + np.sum(across**2)", "add the differences up"),
        _wrong("(np.mean(down**2) + np.mean(across**2)) / 2", "halve their sum"),
        _wrong("np.mean(np.abs(down)) + np.mean(np.abs(across))", "Square the differences"),
        _wrong("np.mean(down) ** 2 + np.mean(across) ** 2", "Square first"),
        _wrong(
            "sum(np.mean((np.roll(image, -1, a) - image) ** 2) for a in (0, 1))", "wraps around"
        ),
        _wrong("np.mean(across**2) + np.mean(np.diff(image, axis=2) ** 2)", "Colours"),
        _wrong("1.1 * (np.mean(down**2) + np.mean(across**2))", "For a random picture"),
    ),
)
