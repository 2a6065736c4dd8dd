"""Exercise of notebook 03: the size of the output of a convolution."""

import numpy as np

from course_lib.checks import engine

STUB = '''\
def convolution_size(size, kernel, stride, padding, dilation):
    """Return the height (or width) of the output of a convolution, a whole number.

    size, kernel, stride, dilation: whole numbers, at least 1; the kernel fits.
    padding: zeros added on each of the two sides, a whole number, at least 0.
    """
    return ...
'''

SOLUTION = '''\
def convolution_size(size, kernel, stride, padding, dilation):
    """Return the height (or width) of the output of a convolution, a whole number.

    size, kernel, stride, dilation: whole numbers, at least 1; the kernel fits.
    padding: zeros added on each of the two sides, a whole number, at least 0.
    """
    span = dilation * (kernel - 1) + 1
    free = size + 2 * padding - span
    return free // stride + 1
'''

EXPLANATION = """\
Count the places where the kernel can begin. A kernel with gaps reaches over
`dilation * (kernel - 1) + 1` pixels: there is one gap fewer than there are numbers. The padded line
has `size + 2 * padding` pixels, so the kernel can be pushed `free` pixels to the right. Of the
places 0, 1, ..., free a stride keeps every stride-th, and 0 is always among them: that is the
`+ 1`. What is left over at the end, less than a stride, is never read; hence the whole division.

Source: Dumoulin and Visin 2016, section 5.1, https://arxiv.org/abs/1603.07285."""

CASES = [(8, 3, 1, 0, 1), (8, 3, 1, 1, 1), (8, 3, 2, 0, 1), (9, 2, 3, 0, 1), (7, 3, 1, 0, 2)]
CASES += [(16, 3, 4, 0, 1), (11, 3, 2, 2, 3), (3, 3, 5, 0, 1)]

NO_STRIDE = "Your sizes don't depend on `stride`: of all places for the kernel it keeps only some."
NO_PADDING = "Your sizes don't depend on `padding`, but the kernel may also begin on the zeros."
ONE_SIDE = "You add the padding once. It is added on each of the two sides."
NO_DILATION = "Your sizes don't depend on `dilation`: a kernel with gaps reaches over more pixels."
FULL_GAPS = (
    "You let a kernel reach over `dilation * kernel` pixels. Draw 3 numbers with one gap between "
    "two of them: over how many pixels do they reach?"
)
NO_ONE = "Your sizes are one too small: the place 0 counts as well."
ROUNDED_UP = "You round up. A place where the kernel hangs over the end is none: round down."


def right_size(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """Returns the right answer; the tests compare it with the library."""
    span = dilation * (kernel - 1) + 1
    return len(range(0, size + 2 * padding - span + 1, stride))


def check(attempt: engine.Attempt) -> None:
    """Asks for eight layers at once: one alone can be right by chance."""
    sizes = [engine.numbers(attempt(*case), shape=(), what="size") for case in CASES]
    actual = np.array([float(size) for size in sizes])
    mistakes = [
        (np.array([formula(*case) for case in CASES], np.float64), message)
        for formula, message in MISTAKES
    ]
    for case, size in zip(CASES, actual, strict=True):
        expected = right_size(*case)
        if size != expected:
            engine.recognise(actual, mistakes, tolerance=1e-9)
            question = "For size {}, kernel {}, stride {}, padding {} and dilation {}".format(*case)
            raise engine.Wrong(f"{question}, the right size is {expected}. Yours is {size:g}.")
    if any(size.dtype.kind not in "iu" for size in sizes):
        raise engine.Wrong(
            "The numbers are right, but a size has to be a whole number: use `//` in place of `/`."
        )


# Pairs of a wrong formula (n: size, k: kernel, s: stride, p: padding, d: dilation) and its message.
MISTAKES = [
    (lambda n, k, s, p, d: n + 2 * p - d * (k - 1), NO_STRIDE),
    (lambda n, k, s, p, d: (n - d * (k - 1) - 1) // s + 1, NO_PADDING),
    (lambda n, k, s, p, d: (n + p - d * (k - 1) - 1) // s + 1, ONE_SIDE),
    (lambda n, k, s, p, d: (n + 2 * p - k) // s + 1, NO_DILATION),
    (lambda n, k, s, p, d: (n + 2 * p - d * k) // s + 1, FULL_GAPS),
    (lambda n, k, s, p, d: (n + 2 * p - d * (k - 1) - 1) // s, NO_ONE),
    (lambda n, k, s, p, d: -(-(n + 2 * p - d * (k - 1) - 1) // s) + 1, ROUNDED_UP),
    (lambda n, k, s, p, d: (n + 2 * p - d * (k - 1) - 1) / s + 1,
     "Some of your sizes have a fraction: a place where the kernel hangs over the end is none."),
]  # fmt: skip


EXERCISE = engine.Exercise(
    name="convolution_size",
    title="How large is the output?",
    notebook="03_cnn_by_hand",
    minutes=10,
    difficulty=2,
    stub=STUB,
    hints=(
        "Draw the case size 9, kernel 2, stride 3: where does the kernel begin, and how often?",
        "First without stride: how far can the kernel be pushed to the right, at most?",
        "The span of the kernel is `dilation * (kernel - 1) + 1`. Take it from the padded size, "
        "then count the multiples of `stride` from 0 up to what is left.",
    ),
    solution=SOLUTION,
    explanation=EXPLANATION,
    check=check,
    right_answers=(
        """\
def convolution_size(size, kernel, stride, padding, dilation):
    last = size + 2 * padding - 1 - (kernel - 1) * dilation
    return len([start for start in range(last + 1) if start % stride == 0])
""",
        """\
def convolution_size(size, kernel, stride, padding, dilation):
    line = np.pad(np.zeros((1, size, 1, 1)), ((0, 0), (padding, padding), (0, 0), (0, 0)))
    ones = np.ones((kernel, 1, 1, 1))
    return tf.nn.conv2d(line, ones, stride, "VALID", dilations=(dilation, 1)).shape[1]
""",
    ),
    wrong_answers=(
        engine.WrongAnswer(
            source="""\
def convolution_size(size, kernel, stride, padding, dilation):
    return (size + padding - dilation * (kernel - 1) - 1) // stride + 1
""",
            says="on each of the two sides",
        ),
        engine.WrongAnswer(
            source="""\
def convolution_size(size, kernel, stride, padding, dilation):
    return (size + 2 * padding - kernel) // stride + 1
""",
            says="don't depend on `dilation`",
        ),
        engine.WrongAnswer(
            source="""\
def convolution_size(size, kernel, stride, padding, dilation):
    return (size + 2 * padding - dilation * kernel) // stride + 1
""",
            says="3 numbers with one gap",
        ),
        engine.WrongAnswer(
            source="""\
def convolution_size(size, kernel, stride, padding, dilation):
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride
""",
            says="one too small",
        ),
        engine.WrongAnswer(
            source="""\
def convolution_size(size, kernel, stride, padding, dilation):
    return int(np.ceil((size + 2 * padding - dilation * (kernel - 1) - 1) / stride)) + 1
""",
            says="You round up",
        ),
        engine.WrongAnswer(
            source="""\
def convolution_size(size, kernel, stride, padding, dilation):
    return size + 2 * padding - dilation * (kernel - 1)
""",
            says="don't depend on `stride`",
        ),
        engine.WrongAnswer(
            source="""\
def convolution_size(size, kernel, stride, padding, dilation):
    return (size - dilation * (kernel - 1) - 1) // stride + 1
""",
            says="don't depend on `padding`",
        ),
        engine.WrongAnswer(
            source="""\
def convolution_size(size, kernel, stride, padding, dilation):
    return (size + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1
""",
            says="have a fraction",
        ),
        engine.WrongAnswer(
            source="""\
def convolution_size(size, kernel, stride, padding, dilation):
    return np.floor((size + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1
""",
            says="whole number",
        ),
        engine.WrongAnswer(
            source="""\
def convolution_size(size, kernel, stride, padding, dilation):
    return size // stride
""",
            says="For size 8, kernel 3, stride 1, padding 0 and dilation 1",
        ),
    ),
)
