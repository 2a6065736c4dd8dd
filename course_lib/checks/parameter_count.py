"""Exercise of notebook 04: how many numbers a network learns."""

from course_lib.checks import engine

STUB = '''\
def parameter_count(layers):
    """Return the number of parameters of a network, one whole number.

    layers: list of tuples, in order, each one of
        ("conv", kernel_size, channels_in, channels_out)   a square kernel, with a bias
        ("pool", window)                                   max pooling
        ("dense", inputs, outputs)                         with a bias
    """
    return ...
'''

SOLUTION = '''\
def parameter_count(layers):
    """Return the number of parameters of a network, one whole number.

    layers: list of tuples, in order, each one of
        ("conv", kernel_size, channels_in, channels_out)   a square kernel, with a bias
        ("pool", window)                                   max pooling
        ("dense", inputs, outputs)                         with a bias
    """
    total = 0
    for kind, *sizes in layers:
        if kind == "conv":
            total += (sizes[0] ** 2 * sizes[1] + 1) * sizes[2]
        elif kind == "dense":
            total += (sizes[0] + 1) * sizes[1]
    return total
'''

EXPLANATION = """\
Each output channel of a convolution has a kernel of its own, which spans all input channels, and
one bias: (k k inputs + 1) outputs numbers, whatever the size of the picture or the stride. Pooling
learns nothing. A dense unit has a weight for each input and one bias.

The article's network has 1,792 + 73,856 + 1,049,088 + 5,130 = 1,129,866 parameters: 93 in 100 sit
between the last pooling and the 512 units."""

ARTICLE = [
    ("conv", 3, 3, 64),
    ("pool", 2),
    ("conv", 3, 64, 128),
    ("pool", 2),
    ("dense", 2048, 512),
    ("dense", 512, 10),
]
CASES = (
    ("For one convolution of 5x5 on 2 channels, with 3 filters", [("conv", 5, 2, 3)]),
    ("For one dense layer of 7 inputs and 4 outputs", [("dense", 7, 4)]),
    ("For pooling alone", [("pool", 3)]),
    ("For the article's network", ARTICLE),
)


def _count(layers, *, conv_bias=1, dense_bias=1, kernel_power=2, shared=False, pool=0):
    total = 0
    for kind, *sizes in layers:
        if kind == "conv":
            kernel, inputs, outputs = sizes
            total += kernel**kernel_power * (1 if shared else inputs) * outputs
            total += conv_bias * outputs
        elif kind == "dense":
            inputs, outputs = sizes
            total += inputs * outputs + dense_bias * outputs
        else:
            total += pool * sizes[0] ** 2
    return total


def check(attempt: engine.Attempt) -> None:
    """Asks for each kind of layer alone, then for the article's network."""
    for question, layers in CASES:
        answer = engine.numbers(attempt(list(layers)), shape=(), what="count")
        mistakes = [
            (_count(layers, conv_bias=0, dense_bias=0), "The biases are missing."),
            (_count(layers, conv_bias=0), "Each filter of a convolution has a bias."),
            (_count(layers, dense_bias=0), "Each dense unit has a bias."),
            (_count(layers, kernel_power=1), "A kernel is a square: kernel_size ** 2 numbers."),
            (
                _count(layers, shared=True),
                "A filter has a kernel for each input channel: multiply by channels_in.",
            ),
            (_count(layers, pool=1), "Pooling takes the largest number; it learns nothing."),
        ]
        expected = float(_count(layers))
        told = [(float(value), says) for value, says in mistakes if value != expected]
        engine.compare(answer, expected, question=question, mistakes=told, tolerance=1e-9)


EXERCISE = engine.Exercise(
    name="parameter_count",
    title="Count what the article's network learns",
    notebook="04_cnn_classification",
    minutes=8,
    difficulty=1,
    stub=STUB,
    hints=(
        "How many numbers does one filter of a convolution hold? It reads all input channels.",
        "(kernel * kernel * channels_in + 1) * channels_out for a convolution; pooling has none.",
    ),
    solution=SOLUTION,
    explanation=EXPLANATION,
    check=check,
    right_answers=(
        """\
def parameter_count(layers):
    def of(kind, *s):
        if kind == "pool":
            return 0
        return (s[0] ** 2 * s[1] + 1) * s[2] if kind == "conv" else (s[0] + 1) * s[1]
    return sum(of(*layer) for layer in layers)
""",
    ),
    wrong_answers=(
        engine.WrongAnswer(
            source="""\
def parameter_count(layers):
    return sum(s[0] ** 2 * s[1] * s[2] if k == "conv" else s[0] * s[1] if k == "dense" else 0
               for k, *s in layers)
""",
            says="biases are missing",
        ),
        engine.WrongAnswer(
            source="""\
def parameter_count(layers):
    return sum((s[0] ** 2 + 1) * s[2] if k == "conv" else (s[0] + 1) * s[1] if k == "dense" else 0
               for k, *s in layers)
""",
            says="multiply by channels_in",
        ),
        engine.WrongAnswer(
            source="""\
def parameter_count(layers):
    return sum((s[0] ** 2 * s[1] + 1) * s[2] if k == "conv" else
               (s[0] + 1) * s[1] if k == "dense" else s[0] ** 2 for k, *s in layers)
""",
            says="learns nothing",
        ),
        engine.WrongAnswer(
            source="def parameter_count(layers):\n    return 1_129_866\n",
            says="For one convolution",
        ),
    ),
)
