"""Exercise of notebook 03: the sums of a convolution, with a stride."""

import numpy as np

from course_lib.checks import engine

STUB = '''\
def strided_convolution(image, kernel, stride):
    """Return the convolution, as networks mean it, of one channel without padding, a 2-D array.

    image: NumPy array (height, width), float64.
    kernel: NumPy array (rows, columns), float64, not larger than the image.
    stride: whole number, at least 1, along both axes.
    """
    return ...
'''

SOLUTION = '''\
def strided_convolution(image, kernel, stride):
    """Return the convolution, as networks mean it, of one channel without padding, a 2-D array.

    image: NumPy array (height, width), float64.
    kernel: NumPy array (rows, columns), float64, not larger than the image.
    stride: whole number, at least 1, along both axes.
    """
    rows, columns = kernel.shape
    output = []
    for y in range(0, image.shape[0] - rows + 1, stride):
        places = range(0, image.shape[1] - columns + 1, stride)
        output.append([np.sum(image[y : y + rows, x : x + columns] * kernel) for x in places])
    return np.array(output)
'''

EXPLANATION = """\
A stride changes nothing about a sum, only where the next one is taken: windows begin at 0, stride,
2 stride, ..., as long as they end within the image. So the result is every stride-th row and column
of the convolution with stride 1; computing those alone is stride * stride times less work.

Two usual mistakes: dividing by the number of terms (a convolution is a sum, not a mean), and
turning the kernel around, which is what mathematics calls a convolution and networks don't do.

Source: Goodfellow, Bengio and Courville 2016, Deep Learning, eqs. 9.6 and 9.8."""

IMAGE = np.array(
    [[3.0, 0, 1, 2, 5], [1, 5, -2, 8, 0], [0, 2, 7, 1, 3], [4, -1, 6, 0, 2], [2, 9, 1, 5, -3],
     [6, 1, 0, -4, 7]]
)  # fmt: skip
KERNEL = np.array([[1.0, -2, 0.5], [0, 3, -1]])
CASES = (
    ("For a 2 x 3 kernel and stride 1", IMAGE, KERNEL, 1),
    ("For a 2 x 3 kernel and stride 2", IMAGE, KERNEL, 2),
    ("For a 3 x 2 kernel and stride 3", IMAGE, np.arange(6.0).reshape(3, 2), 3),
    ("For a kernel as large as the image", IMAGE, IMAGE[::-1], 2),
    ("For a 1 x 1 kernel and stride 4", IMAGE, np.array([[2.0]]), 4),
)


def right(image: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """Returns the right answer; the tests compare it with TensorFlow."""
    windows = np.lib.stride_tricks.sliding_window_view(image, kernel.shape)
    return np.einsum("yxij,ij->yx", windows, kernel)[::stride, ::stride]


def check(attempt: engine.Attempt) -> None:
    """Asks with stride 1 first, where the sums can be told from the places."""
    for question, image, kernel, stride in CASES:
        answer = engine.numbers(attempt(image, kernel, stride))
        expected = right(image, kernel, stride)
        mistakes = _mistakes(image, kernel, stride)
        if answer.shape != expected.shape:
            engine.recognise(answer, mistakes)
            raise engine.Wrong(
                f"{question}, the result has to have the shape {expected.shape}. Yours has the "
                f"shape {answer.shape}. Which is the last place where the kernel still fits?"
            )
        engine.compare(answer, expected, question=question, mistakes=mistakes)


def _mistakes(image: np.ndarray, kernel: np.ndarray, stride: int) -> list:
    turned = "You turn the kernel around. Networks lay it on the image as it is."
    padded = np.pad(image, [(0, size - 1) for size in kernel.shape])
    return [
        (right(image, kernel[::-1, ::-1], stride), turned),
        (right(image, kernel, stride) / kernel.size, "You take the mean. A convolution is a sum."),
        (right(image, kernel, 1), "Your result does not depend on the stride."),
        (
            right(padded, kernel, stride),
            "Your kernel hangs over the right and the lower rim: stop where it still fits.",
        ),
        (
            right(image, kernel, stride)[:-1, :-1],
            "The last row and the last column are missing: `range` leaves its end out.",
        ),
    ]


EXERCISE = engine.Exercise(
    name="strided_convolution",
    title="A convolution that takes larger steps",
    notebook="03_cnn_by_hand",
    minutes=15,
    difficulty=2,
    stub=STUB,
    hints=(
        "Only one thing changes in `correlate`: where a window begins.",
        "`range(0, end, stride)` gives every stride-th place. What is `end`, so that the last "
        "window still fits?",
        "The first place that is too far is `image.shape[0] - kernel.shape[0] + 1`; for columns "
        "in the same way. Collect the sums in a list of lists.",
    ),
    solution=SOLUTION,
    explanation=EXPLANATION,
    check=check,
    right_answers=(
        """\
def strided_convolution(image, kernel, stride):
    from scipy.signal import correlate2d

    return correlate2d(image, kernel, mode="valid")[::stride, ::stride]
""",
        """\
def strided_convolution(image, kernel, stride):
    return tf.nn.conv2d(image[None, ..., None], kernel[..., None, None], stride, "VALID")[0, ..., 0]
""",
        """\
def strided_convolution(image, kernel, stride):
    height, width = (np.subtract(image.shape, kernel.shape)) // stride + 1
    output = np.zeros((height, width))
    for i in range(kernel.shape[0]):
        for j in range(kernel.shape[1]):
            part = image[i:, j:][::stride, ::stride][:height, :width]
            output += kernel[i, j] * part
    return output
""",
    ),
    wrong_answers=(
        engine.WrongAnswer(
            source="""\
def strided_convolution(image, kernel, stride):
    from scipy.signal import convolve2d

    return convolve2d(image, kernel, mode="valid")[::stride, ::stride]
""",
            says="turn the kernel around",
        ),
        engine.WrongAnswer(
            source="""\
def strided_convolution(image, kernel, stride):
    from scipy.signal import correlate2d

    return correlate2d(image, kernel, mode="valid")
""",
            says="does not depend on the stride",
        ),
        engine.WrongAnswer(
            source="""\
def strided_convolution(image, kernel, stride):
    h, w = kernel.shape
    return np.array(
        [
            [np.mean(image[y : y + h, x : x + w] * kernel) for x in range(0, 6 - w, stride)]
            for y in range(0, 7 - h, stride)
        ]
    )
""",
            says="A convolution is a sum",
        ),
        engine.WrongAnswer(
            source="""\
def strided_convolution(image, kernel, stride):
    padded = np.pad(image, ((0, kernel.shape[0] - 1), (0, kernel.shape[1] - 1)))
    return tf.nn.conv2d(padded[None, ..., None], kernel[..., None, None], stride, "VALID")[
        0, ..., 0
    ]
""",
            says="hangs over",
        ),
        engine.WrongAnswer(
            source="""\
def strided_convolution(image, kernel, stride):
    (h, w), (rows, columns) = kernel.shape, image.shape
    return np.array(
        [
            [np.sum(image[y : y + h, x : x + w] * kernel) for x in range(0, columns - w, stride)]
            for y in range(0, rows - h, stride)
        ]
    )
""",
            says="leaves its end out",
        ),
        engine.WrongAnswer(
            source="""\
def strided_convolution(image, kernel, stride):
    return tf.nn.conv2d(image[None, ..., None], kernel[..., None, None], stride, "SAME")[0, ..., 0]
""",
            says="the result has to have the shape (5, 3)",
        ),
        engine.WrongAnswer(
            source="""\
def strided_convolution(image, kernel, stride):
    from scipy.signal import correlate2d

    return correlate2d(image, kernel, mode="valid")[::stride, ::stride] + 1
""",
            says="For a 2 x 3 kernel and stride 1, the right answer is",
        ),
    ),
)
