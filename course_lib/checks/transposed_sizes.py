"""Exercise of notebook 06: the size that a transposed convolution makes."""

import numpy as np

from course_lib.checks import engine

STUB = '''\
def transposed_sizes(size, kernel, stride, padding):
    """Return the height (or width) of an image after keras.layers.Conv2DTranspose.

    size, kernel, stride: whole numbers, at least 1; kernel is at least stride.
    padding: "same" or "valid".
    """
    return ...
'''

SOLUTION = '''\
def transposed_sizes(size, kernel, stride, padding):
    """Return the height (or width) of an image after keras.layers.Conv2DTranspose.

    size, kernel, stride: whole numbers, at least 1; kernel is at least stride.
    padding: "same" or "valid".
    """
    if padding == "same":
        return size * stride
    return (size - 1) * stride + kernel
'''

EXPLANATION = """\
A transposed convolution lays one kernel for each input pixel, `stride` apart. The first one
starts at 0, the last one at (size - 1) * stride, and reaches `kernel` further: this is "valid".
With "same" the rim is cut off until `size * stride` are left, whatever the kernel.

So the article's generator, 7 -> 7 (stride 1) -> 14 (stride 2), makes 14 x 14 pictures, and its
discriminator expects 128 x 128. From 8 to 128 it takes four layers of stride 2:
8 * 2 ** 4 = 128.

Source: Dumoulin and Visin 2016, section 4, https://arxiv.org/abs/1603.07285."""

CASES = [(7, 5, 1, "same"), (7, 5, 2, "same"), (8, 4, 2, "same"), (1, 3, 3, "same")]
CASES += [(7, 5, 1, "valid"), (7, 5, 2, "valid"), (1, 4, 2, "valid"), (5, 2, 2, "valid")]

BACKWARDS = (
    "These are the sizes of an ordinary convolution, which makes images smaller. This layer goes "
    "the other way."
)
NO_PADDING = (
    "Your sizes don't depend on `padding`. With 'same' the kernel does not matter, with 'valid' "
    "its rim stays."
)
EXCHANGED = (
    "You have exchanged 'same' and 'valid': 'same' is the one that does not depend on the kernel."
)
OFF_BY_ONE = (
    "Your sizes for 'valid' are off: the first kernel starts at 0. Where does the last one "
    "start, and where does it end?"
)
NO_STRIDE = "Your sizes don't depend on `stride`, but it is the stride that makes the image larger."


def right_size(size: int, kernel: int, stride: int, padding: str) -> int:
    """Returns the right answer; the tests compare it with the layer itself."""
    return size * stride if padding == "same" else (size - 1) * stride + kernel


def check(attempt: engine.Attempt) -> None:
    """Asks for eight layers at once: one alone can be right by chance."""
    sizes = [engine.numbers(attempt(*case), shape=(), what="size") for case in CASES]
    actual = np.array([float(size) for size in sizes])
    mistakes = [(_all(formula), message) for formula, message in _mistakes()]
    for case, size in zip(CASES, actual, strict=True):
        expected = right_size(*case)
        question = "For size {}, kernel {}, stride {} and padding {!r}".format(*case)
        if size != expected:
            engine.recognise(actual, mistakes, tolerance=1e-9)
            raise engine.Wrong(f"{question}, the right size is {expected}. Yours is {size:g}.")
    if any(size.dtype.kind not in "iu" for size in sizes):
        raise engine.Wrong(
            "The numbers are right, but a size has to be a whole number: use `//` in place of `/`."
        )


def _all(formula) -> np.ndarray:
    return np.array([formula(*case) for case in CASES], np.float64)


def _convolution(size: int, kernel: int, stride: int, padding: str) -> int:
    return -(-size // stride) if padding == "same" else (size - kernel) // stride + 1


def _convolution_floored(size: int, kernel: int, stride: int, padding: str) -> int:
    return size // stride if padding == "same" else (size - kernel) // stride + 1


def _mistakes() -> list:
    """Pairs of a wrong formula (n: size, k: kernel, s: stride, p: padding) and its message."""
    return [
        (_convolution, BACKWARDS),
        (_convolution_floored, BACKWARDS),
        (lambda n, k, s, p: n * s, NO_PADDING),
        (lambda n, k, s, p: (n - 1) * s + k, NO_PADDING),
        (lambda n, k, s, p: (n - 1) * s + k if p == "same" else n * s, EXCHANGED),
        (lambda n, k, s, p: n * s if p == "same" else n * s + k, OFF_BY_ONE),
        (lambda n, k, s, p: n * s if p == "same" else n * s + k - 1, OFF_BY_ONE),
        (lambda n, k, s, p: n * s if p == "same" else (n - 1) * s + k - 1, OFF_BY_ONE),
        (lambda n, k, s, p: n if p == "same" else n + k - 1, NO_STRIDE),
    ]


EXERCISE = engine.Exercise(
    name="transposed_sizes",
    title="How large is the picture?",
    notebook="06_first_faces",
    minutes=10,
    difficulty=2,
    stub=STUB,
    hints=(
        (
            "Draw it for size 3, kernel 4, stride 2: three bars of length 4, each starting 2 "
            "after the last one."
        ),
        (
            "With 'valid' the picture ends where the last bar ends. Where does the last of "
            "`size` bars start?"
        ),
        "With 'same' the ends are cut until every input pixel has `stride` output pixels.",
    ),
    solution=SOLUTION,
    explanation=EXPLANATION,
    check=check,
    right_answers=(
        """\
def transposed_sizes(size, kernel, stride, padding):
    return size * stride + (max(kernel - stride, 0) if padding == "valid" else 0)
""",
        """\
def transposed_sizes(size, kernel, stride, padding):
    layer = keras.layers.Conv2DTranspose(1, kernel, strides=stride, padding=padding)
    return layer.compute_output_shape((1, size, size, 1))[1]
""",
        """\
def transposed_sizes(size, kernel, stride, padding):
    painted = set()
    for bar in range(size):
        painted.update(range(bar * stride, bar * stride + kernel))
    return np.int64(len(painted) if padding == "valid" else size * stride)
""",
    ),
    wrong_answers=(
        engine.WrongAnswer(
            source="""\
def transposed_sizes(size, kernel, stride, padding):
    if padding == "same":
        return int(np.ceil(size / stride))
    return (size - kernel) // stride + 1
""",
            says="ordinary convolution",
        ),
        engine.WrongAnswer(
            source="""\
def transposed_sizes(size, kernel, stride, padding):
    return size * stride
""",
            says="don't depend on `padding`",
        ),
        engine.WrongAnswer(
            source="""\
def transposed_sizes(size, kernel, stride, padding):
    return size * stride if padding == "same" else size * stride + kernel
""",
            says="first kernel starts at 0",
        ),
        engine.WrongAnswer(
            source="""\
def transposed_sizes(size, kernel, stride, padding):
    return size * stride if padding == "valid" else (size - 1) * stride + kernel
""",
            says="exchanged",
        ),
        engine.WrongAnswer(
            source="""\
def transposed_sizes(size, kernel, stride, padding):
    return size * stride * 1.0 if padding == "same" else (size - 1.0) * stride + kernel
""",
            says="whole number",
        ),
        engine.WrongAnswer(
            source="""\
def transposed_sizes(size, kernel, stride, padding):
    return size * stride if padding == "same" else 2 * size + kernel
""",
            says="For size 7, kernel 5, stride 1 and padding 'valid'",
        ),
    ),
)
