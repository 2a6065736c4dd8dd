"""Exercise of notebook 03: the way back through max pooling."""

import numpy as np

from course_lib.checks import engine

STUB = '''\
def pooling_gradient(image, output_gradient):
    """Return the gradient of a loss behind 2 x 2 max pooling (stride 2) by the image.

    image: NumPy array (height, width), float64, both even.
    output_gradient: NumPy array (height / 2, width / 2), float64, derivatives by the output.
    Of equally large pixels the first counts: the upper one, then the left one.
    """
    return ...
'''

SOLUTION = '''\
def pooling_gradient(image, output_gradient):
    """Return the gradient of a loss behind 2 x 2 max pooling (stride 2) by the image.

    image: NumPy array (height, width), float64, both even.
    output_gradient: NumPy array (height / 2, width / 2), float64, derivatives by the output.
    Of equally large pixels the first counts: the upper one, then the left one.
    """
    by_pixel = np.zeros_like(image)
    for y, x in np.ndindex(*output_gradient.shape):
        window = image[2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
        i, j = np.unravel_index(window.argmax(), (2, 2))
        by_pixel[2 * y + i, 2 * x + j] = output_gradient[y, x]
    return by_pixel
'''

EXPLANATION = """\
The output of a window *is* its largest pixel. A small change of that pixel changes the output by
the same amount; a small change of another pixel changes nothing, since it stays smaller. So the
derivative is 1 for the largest and 0 for the others, and the chain rule multiplies it with what
comes back from the loss.

At a tie there is no derivative, and one has to be chosen. `argmax` takes the first of equals, as
TensorFlow does on a processor. Giving a share to each would be as good; giving all of it to each
would not: the gradients of a window would add up to more than came in.

Source: Goodfellow, Bengio and Courville 2016, Deep Learning, section 6.3 on such points."""

IMAGE = np.array(
    [[1.0, 7, 2, 3], [4, 5, 9, -1], [-8, -3, 0, 6], [-2, -5, 3, 1], [2, 1, -4, -6], [0, 8, -7, -1]]
)
GRADIENT = np.array([[0.5, -2.0], [3.0, 1.0], [-1.0, 4.0]])
TIES = np.array([[2.0, 2, 1, 3], [2, 2, 3, 0], [0, 5, 0, 0], [5, 0, 0, 0]])
CASES = (
    ("For windows without ties", IMAGE, GRADIENT),
    ("For windows with ties", TIES, np.array([[1.0, -2.0], [3.0, 0.5]])),
)


def _windows(image: np.ndarray) -> np.ndarray:
    height, width = image.shape
    return image.reshape(height // 2, 2, width // 2, 2).swapaxes(1, 2)


def _spread(shares: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Gradients of an image from the shares (y, x, 2, 2) that its pixels get."""
    by_window = (shares * gradient[..., None, None]).swapaxes(1, 2)
    return by_window.reshape(2 * gradient.shape[0], 2 * gradient.shape[1])


def right(image: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Returns the right answer; the tests compare it with TensorFlow."""
    flat = _windows(image).reshape(*gradient.shape, 4)
    return _spread(np.eye(4)[flat.argmax(-1)].reshape(*gradient.shape, 2, 2), gradient)


def check(attempt: engine.Attempt) -> None:
    """Asks without ties first; a mistake in ties alone is named as such."""
    for question, image, gradient in CASES:
        answer = engine.numbers(attempt(image, gradient), shape=image.shape, what="gradient")
        mistakes = _mistakes(image, gradient)
        engine.compare(answer, right(image, gradient), question=question, mistakes=mistakes)


def _mistakes(image: np.ndarray, gradient: np.ndarray) -> list:
    windows = _windows(image)
    largest = windows == windows.max((2, 3), keepdims=True)
    last = np.eye(4)[3 - windows.reshape(*gradient.shape, 4)[..., ::-1].argmax(-1)]
    pooled = right(image, windows.max((2, 3)))
    return [
        (
            _spread(largest / largest.sum((2, 3), keepdims=True), gradient),
            "You share the gradient among equals. Here the first of them gets all of it.",
        ),
        (
            _spread(largest * 1.0, gradient),
            "With ties, you give the whole gradient to each of the largest: more comes out of a "
            "window than went in. Only the first of them gets it.",
        ),
        (
            _spread(last.reshape(windows.shape), gradient),
            "With ties, you take the last of the largest. The first one counts.",
        ),
        (
            _spread(np.full(windows.shape, 0.25), gradient),
            "This is the gradient of *average* pooling: every pixel gets a quarter.",
        ),
        (_spread(np.ones(windows.shape), gradient), "Every pixel gets all of it, not the largest."),
        (
            _spread((windows == windows.min((2, 3), keepdims=True)) * 1.0, gradient),
            "Your gradient goes to the smallest pixel of a window.",
        ),
        (pooled, "You put the largest *pixels* in their places. Put `output_gradient` there."),
        (
            right(image, np.ones_like(gradient)),
            "You mark the largest pixels with 1. Multiply with what comes back from the loss.",
        ),
        (
            right(np.abs(image), gradient),
            "You compare sizes without their signs: of -8 and -3 the larger one is -3.",
        ),
    ]


EXERCISE = engine.Exercise(
    name="pooling_gradient",
    title="Which pixel was it?",
    notebook="03_cnn_by_hand",
    minutes=15,
    difficulty=3,
    stub=STUB,
    hints=(
        "If a pixel that is not the largest of its window changes a little, what happens to the "
        "output?",
        "Begin with zeros of the shape of the image. For each output find the place of the largest "
        "pixel in its window, and write one number there.",
        "`np.unravel_index(window.argmax(), (2, 2))` is the place within a window; `argmax` takes "
        "the first of equals.",
    ),
    solution=SOLUTION,
    explanation=EXPLANATION,
    check=check,
    right_answers=(
        """\
def pooling_gradient(image, output_gradient):
    pixels = tf.constant(image[None, :, :, None])
    with tf.GradientTape() as tape:
        tape.watch(pixels)
        output = tf.nn.max_pool2d(pixels, 2, 2, "VALID")
    return tape.gradient(output, pixels, output_gradient[None, :, :, None])[0, :, :, 0]
""",
        """\
def pooling_gradient(image, output_gradient):
    corners = np.stack([image[i::2, j::2] for i in (0, 1) for j in (0, 1)])
    winner, gradient = corners.argmax(0), np.zeros(image.shape)
    for number in range(4):
        gradient[number // 2 :: 2, number % 2 :: 2] = (winner == number) * output_gradient
    return gradient
""",
    ),
    wrong_answers=(
        engine.WrongAnswer(
            source="""\
def pooling_gradient(image, output_gradient):
    pooled = image.reshape(len(image) // 2, 2, -1, 2).max((1, 3))
    return (image == np.kron(pooled, np.ones((2, 2)))) * np.kron(output_gradient, np.ones((2, 2)))
""",
            says="to each of the largest",
        ),
        engine.WrongAnswer(
            source="""\
def pooling_gradient(image, output_gradient):
    return np.kron(output_gradient, np.full((2, 2), 0.25))
""",
            says="average",
        ),
        engine.WrongAnswer(
            source="""\
def pooling_gradient(image, output_gradient):
    return np.kron(output_gradient, np.ones((2, 2)))
""",
            says="Every pixel gets all",
        ),
        engine.WrongAnswer(
            source="""\
def pooling_gradient(image, output_gradient):
    gradient = np.zeros(image.shape)
    for y, x in np.ndindex(*output_gradient.shape):
        window = image[2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
        i, j = divmod(int(window.argmax()), 2)
        gradient[2 * y + i, 2 * x + j] = 1.0
    return gradient
""",
            says="what comes back from the loss",
        ),
        engine.WrongAnswer(
            source="""\
def pooling_gradient(image, output_gradient):
    gradient = np.zeros(image.shape)
    for y, x in np.ndindex(*output_gradient.shape):
        window = image[2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
        i, j = divmod(3 - int(window.ravel()[::-1].argmax()), 2)
        gradient[2 * y + i, 2 * x + j] = output_gradient[y, x]
    return gradient
""",
            says="the last of the largest",
        ),
        engine.WrongAnswer(
            source="""\
def pooling_gradient(image, output_gradient):
    pooled = image.reshape(len(image) // 2, 2, -1, 2).max((1, 3))
    hit = image == np.kron(pooled, np.ones((2, 2)))
    ties = hit.reshape(len(image) // 2, 2, -1, 2).sum((1, 3))
    return hit * np.kron(output_gradient / ties, np.ones((2, 2)))
""",
            says="share the gradient among equals",
        ),
        engine.WrongAnswer(
            source="""\
def pooling_gradient(image, output_gradient):
    gradient = np.zeros(image.shape)
    for y, x in np.ndindex(*output_gradient.shape):
        window = np.abs(image[2 * y : 2 * y + 2, 2 * x : 2 * x + 2])
        i, j = divmod(int(window.argmax()), 2)
        gradient[2 * y + i, 2 * x + j] = output_gradient[y, x]
    return gradient
""",
            says="without their signs",
        ),
        engine.WrongAnswer(
            source="def pooling_gradient(image, output_gradient):\n    return output_gradient\n",
            says="has to have the shape (6, 4)",
        ),
        engine.WrongAnswer(
            source="def pooling_gradient(image, output_gradient):\n    return 0 * image\n",
            says="For windows without ties, the right answer is",
        ),
    ),
)
