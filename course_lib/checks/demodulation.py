"""Exercise of notebook 09: a kernel that a style has scaled, brought back to size."""

import numpy as np

from course_lib.checks import engine

STUB = '''\
def demodulation(kernel, scales):
    """Return the kernel of a modulated convolution, demodulated.

    kernel: NumPy array (height, width, inputs, outputs), float64.
    scales: NumPy array (inputs,), float64: the style's factor for each input channel.
    Each output channel of the result has the length 1. No length here is near 0.
    """
    return ...
'''

SOLUTION = '''\
def demodulation(kernel, scales):
    """Return the kernel of a modulated convolution, demodulated.

    kernel: NumPy array (height, width, inputs, outputs), float64.
    scales: NumPy array (inputs,), float64: the style's factor for each input channel.
    Each output channel of the result has the length 1. No length here is near 0.
    """
    modulated = kernel * scales[:, None]
    return modulated / np.sqrt(np.sum(modulated**2, axis=(0, 1, 2)))
'''

EXPLANATION = """\
`scales[:, None]` meets the last two axes of the kernel, inputs and outputs. The sum runs over all
that one output adds up: height, width and inputs; what is left is one number per output channel.

If the inputs are independent and of variance 1, an output is a sum whose variance is the sum of
the squared kernel entries. Divided by its root it is 1 again: the style can make a channel count
more or less, but not the whole picture brighter, layer after layer.

The library adds 1e-8 under the root, for a style that switches all inputs off.

Source: Karras et al. 2020, eqs. 1 and 3, https://arxiv.org/abs/1912.04958."""


def check(attempt: engine.Attempt) -> None:
    """Asks for a random kernel, then for the property: a factor on all scales changes nothing."""
    generator = np.random.default_rng(0)
    kernel = generator.normal(size=(3, 2, 4, 4))
    scales = np.array([0.5, 2.0, 1.0, -3.0])
    actual = engine.numbers(attempt(kernel, scales), shape=kernel.shape)
    engine.compare(
        actual,
        _demodulated(kernel, scales, 2),
        question="For a kernel of shape (3, 2, 4, 4) and the scales 0.5, 2, 1, -3",
        mistakes=_mistakes(kernel, scales),
    )
    kernel, scales = generator.normal(size=(1, 1, 3, 5)), np.array([10.0, 20.0, 0.0])
    actual = engine.numbers(attempt(kernel, scales), shape=kernel.shape)
    engine.compare(
        actual,
        _demodulated(kernel, scales, 2),
        question="For a kernel of shape (1, 1, 3, 5) and the scales 10, 20, 0",
    )


def _demodulated(kernel, scales, axis):
    modulated = kernel * (scales[:, None] if axis == 2 else scales)
    return modulated / np.sqrt((modulated**2).sum(axis=(0, 1, axis), keepdims=True))


def _mistakes(kernel, scales):
    modulated = kernel * scales[:, None]
    squares = (modulated**2).sum(axis=(0, 1, 2))
    return [
        (modulated, "You return the modulated kernel. Its output channels have different lengths."),
        (
            _demodulated(kernel, scales, 3),
            "You scaled the output channels. The style scales what comes in, the third axis.",
        ),
        (
            kernel * scales / np.sqrt(((kernel * scales) ** 2).sum(axis=(0, 1, 2))),
            "You scaled the output channels. The style scales what comes in, the third axis.",
        ),
        (
            modulated / np.sqrt((kernel**2).sum(axis=(0, 1, 2))),
            "You divide by the length of the kernel before it was scaled. Measure it afterwards.",
        ),
        (
            modulated / np.sqrt((modulated**2).sum()),
            "You divide by one length for the whole kernel. Each output channel has its own.",
        ),
        (
            modulated / np.sqrt((modulated**2).sum(axis=(0, 1), keepdims=True)),
            "You measure each pair of input and output alone. An output adds up all its inputs.",
        ),
        (
            modulated / np.sqrt((modulated**2).sum(axis=(0, 1, 3), keepdims=True)),
            "You measure what goes out of an input channel. Sum over what comes into an output.",
        ),
        (modulated / squares, "You divide by the squared length. Where is the root?"),
    ]


EXERCISE = engine.Exercise(
    name="demodulation",
    title="Bring a scaled kernel back to size",
    notebook="09_style_based_faces",
    minutes=10,
    difficulty=2,
    stub=STUB,
    hints=(
        "First scale the inputs: which axis of the kernel has to meet `scales`?",
        "Then find one length for each output channel: a sum over the three other axes.",
        "`kernel * scales[:, None]` scales the third axis, since NumPy counts axes from the end.",
    ),
    solution=SOLUTION,
    explanation=EXPLANATION,
    check=check,
    right_answers=(
        """\
def demodulation(kernel, scales):
    modulated = np.einsum("hvij,i->hvij", kernel, scales)
    return modulated / np.linalg.norm(modulated.reshape(-1, modulated.shape[-1]), axis=0)
""",
        """\
def demodulation(kernel, scales):
    result = np.empty_like(kernel)
    for output in range(kernel.shape[-1]):
        one = np.stack([kernel[:, :, i, output] * s for i, s in enumerate(scales)], axis=-1)
        result[..., output] = one / np.sqrt(np.sum(one * one))
    return result
""",
        """\
def demodulation(kernel, scales):
    modulated = tf.constant(kernel) * tf.constant(scales)[:, None]
    return modulated * tf.math.rsqrt(tf.reduce_sum(modulated**2, axis=[0, 1, 2]) + 1e-8)
""",
    ),
    wrong_answers=(
        engine.WrongAnswer(
            source="def demodulation(kernel, scales):\n    return kernel * scales[:, None]\n",
            says="different lengths",
        ),
        engine.WrongAnswer(
            source="""\
def demodulation(kernel, scales):
    modulated = kernel * scales
    return modulated / np.sqrt((modulated**2).sum(axis=(0, 1, 2)))
""",
            says="scaled the output channels",
        ),
        engine.WrongAnswer(
            source="""\
def demodulation(kernel, scales):
    modulated = kernel * scales[:, None]
    return modulated / np.sqrt((kernel**2).sum(axis=(0, 1, 2)))
""",
            says="before it was scaled",
        ),
        engine.WrongAnswer(
            source="""\
def demodulation(kernel, scales):
    modulated = kernel * scales[:, None]
    return modulated / np.linalg.norm(modulated)
""",
            says="one length for the whole kernel",
        ),
        engine.WrongAnswer(
            source="""\
def demodulation(kernel, scales):
    modulated = kernel * scales[:, None]
    return modulated / np.sqrt((modulated**2).sum(axis=(0, 1)))
""",
            says="each pair of input and output",
        ),
        engine.WrongAnswer(
            source="""\
def demodulation(kernel, scales):
    modulated = kernel * scales[:, None]
    return modulated / (modulated**2).sum(axis=(0, 1, 2))
""",
            says="Where is the root",
        ),
    ),
)
