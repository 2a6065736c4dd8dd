"""Exercise of notebook 12: one picture's features with another one's means and deviations."""

import numpy as np

from course_lib.checks import engine

TOLERANCE = 1e-4  # of the size of the numbers: an epsilon that nobody asked for may be there

STUB = '''\
def adain(content, style):
    """Return the content's features with mean and deviation of the style's, for each channel.

    content, style: NumPy arrays (height, width, channels), float64; heights and widths differ.
    No deviation here is near 0, so that none needs an epsilon.
    """
    return ...
'''

SOLUTION = '''\
def adain(content, style):
    """Return the content's features with mean and deviation of the style's, for each channel.

    content, style: NumPy arrays (height, width, channels), float64; heights and widths differ.
    No deviation here is near 0, so that none needs an epsilon.
    """
    places = (0, 1)
    normalised = (content - content.mean(places)) / content.std(places)
    return normalised * style.std(places) + style.mean(places)
'''

EXPLANATION = """\
Two steps. The first takes the content's own style away: after it, every channel has the mean 0 and
the deviation 1, whatever the picture. The second gives it the style's. Where something is (which
place of a channel is above its mean, and by how many deviations) stays the content's.

Mean and deviation are taken over the places of one picture, for each channel alone. Over all
channels at once there would be two numbers for a whole style instead of two for each channel.

The library adds 1e-5 to the variances, for channels that are the same everywhere.

Source: Huang and Belongie 2017, equation 8, https://arxiv.org/abs/1703.06868."""


def right(content: np.ndarray, style: np.ndarray) -> np.ndarray:
    """Returns the right answer."""
    axes = (0, 1)
    normalised = (content - content.mean(axis=axes)) / content.std(axis=axes)
    return style.std(axis=axes) * normalised + style.mean(axis=axes)


def check(attempt: engine.Attempt) -> None:
    """Asks for two random maps of different sizes, then for a style that is the content itself."""
    generator = np.random.default_rng(0)
    scales = np.array([1.0, 3.0, 0.5])
    content = generator.normal(size=(4, 3, 3)) * scales + np.array([1.0, -2.0, 0.0])
    style = generator.normal(size=(2, 5, 3)) * scales[::-1] + np.array([0.0, 4.0, -1.0])
    actual = engine.numbers(attempt(content, style), shape=content.shape)
    engine.compare(
        actual,
        right(content, style),
        question="For a content of shape (4, 3, 3) and a style of shape (2, 5, 3)",
        mistakes=_mistakes(content, style),
        tolerance=TOLERANCE,
    )
    actual = engine.numbers(attempt(content, content), shape=content.shape)
    question = "With the content as its own style"
    engine.compare(actual, content, question=question, tolerance=TOLERANCE)


def _mistakes(content, style):
    mean, deviation = content.mean(axis=(0, 1)), content.std(axis=(0, 1))
    wanted_mean, wanted_deviation = style.mean(axis=(0, 1)), style.std(axis=(0, 1))
    normalised = (content - mean) / deviation
    over_all = (content - content.mean()) / content.std() * style.std() + style.mean()
    return [
        (normalised, "This is instance normalisation: the style's mean and deviation are missing."),
        (
            normalised * wanted_deviation,
            "The deviation is the style's, the mean is still 0. What has to be added?",
        ),
        (
            normalised + wanted_mean,
            "The mean is the style's, the deviation is still 1. What has to be multiplied?",
        ),
        (
            content * wanted_deviation + wanted_mean,
            "You give the content the style's numbers without taking its own away first.",
        ),
        (
            (content - mean) * wanted_deviation + wanted_mean,
            "You subtract the content's mean, but don't divide by its deviation.",
        ),
        (
            normalised * wanted_deviation**2 + wanted_mean,
            "You multiply by the style's variance. Where is the root?",
        ),
        (
            (content - mean) / deviation**2 * wanted_deviation + wanted_mean,
            "You divide by the content's variance. Where is the root?",
        ),
        (over_all, "You take one mean and one deviation over all channels. Each has its own."),
        (
            (normalised + wanted_mean) * wanted_deviation,
            "You add the mean before you multiply, so it is multiplied too. The other way round.",
        ),
    ]


EXERCISE = engine.Exercise(
    name="adain",
    title="Exchange the statistics",
    notebook="12_fast_style_transfer",
    minutes=5,
    difficulty=2,
    stub=STUB,
    hints=(
        "First make every channel of the content have mean 0 and deviation 1. Over which axes?",
        "`content.mean((0, 1))` is one number for each channel, and NumPy lines it up with the "
        "last axis by itself. The same for `std`.",
        "Then multiply by the style's deviation, and last add the style's mean.",
    ),
    solution=SOLUTION,
    explanation=EXPLANATION,
    check=check,
    right_answers=(
        """\
def adain(content, style):
    deviation = np.sqrt(content.var((0, 1)) + 1e-5)
    wanted = np.sqrt(style.var((0, 1)) + 1e-5)
    return (content - content.mean((0, 1))) / deviation * wanted + style.mean((0, 1))
""",
        """\
def adain(content, style):
    result = np.empty_like(content)
    for c in range(content.shape[-1]):
        one, other = content[..., c], style[..., c]
        result[..., c] = (one - one.mean()) * (other.std() / one.std()) + other.mean()
    return result
""",
        """\
def adain(content, style):
    mean, variance = tf.nn.moments(tf.constant(content), (0, 1))
    wanted, wanted_variance = tf.nn.moments(tf.constant(style), (0, 1))
    return tf.nn.batch_normalization(content, mean, variance, wanted, wanted_variance**0.5, 0)
""",
    ),
    wrong_answers=(
        engine.WrongAnswer(
            source="""\
def adain(content, style):
    return (content - content.mean((0, 1))) / content.std((0, 1))
""",
            says="style's mean and deviation are missing",
        ),
        engine.WrongAnswer(
            source="""\
def adain(content, style):
    return content * style.std((0, 1)) + style.mean((0, 1))
""",
            says="without taking its own away",
        ),
        engine.WrongAnswer(
            source="""\
def adain(content, style):
    normalised = (content - content.mean((0, 1))) / content.std((0, 1))
    return normalised * style.var((0, 1)) + style.mean((0, 1))
""",
            says="style's variance",
        ),
        engine.WrongAnswer(
            source="""\
def adain(content, style):
    return (content - content.mean()) / content.std() * style.std() + style.mean()
""",
            says="over all channels",
        ),
        engine.WrongAnswer(
            source="""\
def adain(content, style):
    normalised = (content - content.mean((0, 1))) / content.std((0, 1))
    return (normalised + style.mean((0, 1))) * style.std((0, 1))
""",
            says="The other way round",
        ),
        engine.WrongAnswer(
            source="""\
def adain(content, style):
    normalised = (content - content.mean((0, 1))) / content.std((0, 1), ddof=1)
    return normalised * style.std((0, 1), ddof=1) + style.mean((0, 1))
""",
            says="For a content of shape",
        ),
        engine.WrongAnswer(
            source="""\
def adain(content, style):
    normalised = (content - content.mean((0, 1))) / (content.std((0, 1)) + 0.01)
    return normalised * style.std((0, 1)) + style.mean((0, 1))
""",
            says="For a content of shape",
        ),
    ),
)
