"""Exercise of notebook 12: what makes a network blind to the contrast of its picture."""

import numpy as np

from course_lib.checks import engine

STUB = '''\
def instance_normalization(images, gamma, beta, epsilon):
    """Return the images, normalised: each picture and each channel of it by its own statistics.

    images: NumPy array (batch, height, width, channels), float64.
    gamma, beta: NumPy arrays (channels,), float64: the new deviations and means.
    epsilon: float, added to the variance, for channels that are the same everywhere.
    """
    return ...
'''

SOLUTION = '''\
def instance_normalization(images, gamma, beta, epsilon):
    """Return the images, normalised: each picture and each channel of it by its own statistics.

    images: NumPy array (batch, height, width, channels), float64.
    gamma, beta: NumPy arrays (channels,), float64: the new deviations and means.
    epsilon: float, added to the variance, for channels that are the same everywhere.
    """
    mean = images.mean(axis=(1, 2), keepdims=True)
    variance = images.var(axis=(1, 2), keepdims=True)
    return gamma * (images - mean) / np.sqrt(variance + epsilon) + beta
'''

EXPLANATION = """\
The axes are the whole difference to batch normalisation: over (1, 2) there is one mean for each
picture and channel, over (0, 1, 2) the pictures of a batch would share one, and a dark picture
would come out otherwise beside bright ones than alone.

`keepdims=True` leaves the shape (batch, 1, 1, channels), which lines up with the images; without
it (batch, channels) meets (width, channels), an error or, worse, a wrong result where both are
equal. Epsilon stands under the root: a channel that is the same everywhere becomes beta.

Source: Ulyanov et al. 2016, equation 2, https://arxiv.org/abs/1607.08022."""

GAMMA, BETA = np.array([2.0, 0.5]), np.array([-1.0, 3.0])


def right(images: np.ndarray, epsilon: float, axes: tuple[int, ...] = (1, 2)) -> np.ndarray:
    """Returns the right answer for GAMMA and BETA; other axes give known mistakes."""
    mean, variance = (f(images, axis=axes, keepdims=True) for f in (np.mean, np.var))
    return GAMMA * (images - mean) / np.sqrt(variance + epsilon) + BETA


def check(attempt: engine.Attempt) -> None:
    """Asks for three pictures of different contrast, then for one that is the same everywhere."""
    generator = np.random.default_rng(0)
    contrasts = np.array([1.0, 0.3, 4.0]).reshape(3, 1, 1, 1)
    images = generator.normal(size=(3, 2, 4, 2)) * contrasts + contrasts
    actual = engine.numbers(attempt(images, GAMMA, BETA, 0.1), shape=images.shape)
    engine.compare(
        actual,
        right(images, 0.1),
        question="For three pictures of shape (2, 4, 2) and epsilon 0.1",
        mistakes=_mistakes(images, 0.1),
    )
    flat = np.full((2, 3, 3, 2), 5.0)
    actual = engine.numbers(attempt(flat, GAMMA, BETA, 1e-5), shape=flat.shape)
    engine.compare(
        actual, np.broadcast_to(BETA, flat.shape), question="For pictures that are 5 everywhere"
    )


def _mistakes(images, epsilon):
    mean, variance = (f(images, axis=(1, 2), keepdims=True) for f in (np.mean, np.var))
    return [
        (
            right(images, epsilon, (0, 1, 2)),
            "This is batch normalisation: the pictures share their statistics. Leave out axis 0.",
        ),
        (
            right(images, epsilon, (1, 2, 3)),
            "This is layer normalisation: the channels share their statistics. Leave out axis 3.",
        ),
        (
            right(images, epsilon, (3,)),
            "You normalise over the channels of each pixel. Sum over the places: axes 1 and 2.",
        ),
        (right(images, 0.0), "Epsilon is missing: a channel that is the same everywhere needs it."),
        (
            GAMMA * (images - mean) / (np.sqrt(variance) + epsilon) + BETA,
            "You add epsilon to the deviation. It is added to the variance, under the root.",
        ),
        (
            GAMMA * (images - mean) / (variance + epsilon) + BETA,
            "You divide by the variance. Where is the root?",
        ),
        (
            (images - mean) / np.sqrt(variance + epsilon),
            "Mean 0 and deviation 1 are right so far; gamma and beta are still missing.",
        ),
        (
            GAMMA * ((images - mean) / np.sqrt(variance + epsilon) + BETA),
            "You multiply beta by gamma as well. Add it last.",
        ),
    ]


EXERCISE = engine.Exercise(
    name="instance_normalization",
    title="Normalise each picture by itself",
    notebook="12_fast_style_transfer",
    minutes=5,
    difficulty=1,
    stub=STUB,
    hints=(
        "One mean and one variance for each picture and each channel: over which two axes?",
        "`images.mean(axis=(1, 2), keepdims=True)` has the shape (batch, 1, 1, channels), which "
        "can be subtracted from the images.",
    ),
    solution=SOLUTION,
    explanation=EXPLANATION,
    check=check,
    right_answers=(
        """\
def instance_normalization(images, gamma, beta, epsilon):
    pictures = []
    for picture in images:
        mean, variance = picture.mean((0, 1)), picture.var((0, 1))
        pictures.append(gamma * (picture - mean) / (variance + epsilon) ** 0.5 + beta)
    return np.stack(pictures)
""",
        """\
def instance_normalization(images, gamma, beta, epsilon):
    mean, variance = tf.nn.moments(tf.constant(images), (1, 2), keepdims=True)
    return tf.nn.batch_normalization(images, mean, variance, beta, gamma, epsilon)
""",
    ),
    wrong_answers=(
        engine.WrongAnswer(
            source="""\
def instance_normalization(images, gamma, beta, epsilon):
    mean, variance = images.mean((0, 1, 2)), images.var((0, 1, 2))
    return gamma * (images - mean) / np.sqrt(variance + epsilon) + beta
""",
            says="batch normalisation",
        ),
        engine.WrongAnswer(
            source="""\
def instance_normalization(images, gamma, beta, epsilon):
    axes = (1, 2, 3)
    mean, variance = images.mean(axes, keepdims=True), images.var(axes, keepdims=True)
    return gamma * (images - mean) / np.sqrt(variance + epsilon) + beta
""",
            says="layer normalisation",
        ),
        engine.WrongAnswer(
            source="""\
def instance_normalization(images, gamma, beta, epsilon):
    mean = images.mean((1, 2), keepdims=True)
    return gamma * (images - mean) / (images.std((1, 2), keepdims=True) + epsilon) + beta
""",
            says="under the root",
        ),
        engine.WrongAnswer(
            source="""\
def instance_normalization(images, gamma, beta, epsilon):
    mean, variance = images.mean((1, 2)), images.var((1, 2))
    return gamma * (images - mean) / np.sqrt(variance + epsilon) + beta
""",
            says="could not be broadcast",
        ),
        engine.WrongAnswer(
            source="""\
def instance_normalization(images, gamma, beta, epsilon):
    mean, variance = images.mean((1, 2), keepdims=True), images.var((1, 2), keepdims=True)
    return gamma * ((images - mean) / np.sqrt(variance + epsilon) + beta)
""",
            says="Add it last",
        ),
    ),
)
