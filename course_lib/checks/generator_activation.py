"""Exercise of notebook 06: what a generator has to end with."""

import numpy as np

from course_lib.checks import engine

STUB = '''\
def generator_activation():
    """Return what turns the generator's last numbers into pixels from -1 to 1.

    The result is a function, or a Keras layer; a generator's last numbers are of any size.
    """
    return ...
'''

SOLUTION = '''\
def generator_activation():
    """Return what turns the generator's last numbers into pixels from -1 to 1.

    The result is a function, or a Keras layer; a generator's last numbers are of any size.
    """
    return keras.activations.tanh
'''

EXPLANATION = """\
The images are in [-1, 1], so the generator's have to be as well, or the discriminator tells the
two apart by the range alone and never looks at the faces. tanh goes from -1 to 1, through 0, and
rises everywhere: every pixel, even one that is far off, still gets a gradient that says where to
go.

The article's generator ends with LeakyReLU, which has no upper end. Clipping has the right range,
but outside it the slope is 0: a pixel that has left the range never comes back. Radford et al.
2015 recommend tanh for DCGAN, https://arxiv.org/abs/1511.06434."""


def check(attempt: engine.Attempt) -> None:
    """Asks for the range, the middle, and a slope that is never 0."""
    activation = _as_function(attempt())
    wide = np.array([[-50.0, -5.0, 0.0, 5.0, 50.0]], np.float32)
    low, _, middle, _, high = engine.numbers(activation(wide), shape=(1, 5)).astype(np.float64)[0]
    if low < -1.001 or high > 1.001:
        raise engine.Wrong(
            f"For the numbers -50 and 50 your activation gives {low:.4g} and {high:.4g}: outside "
            "[-1, 1], where the real images are."
        )
    if low > -0.5:
        raise engine.Wrong(
            f"Your activation never goes below {low:.4g}. The dark half of every picture is from "
            "-1 to 0."
        )
    if high < 0.9 or low > -0.9:
        raise engine.Wrong(
            f"Your activation only reaches from {low:.4g} to {high:.4g}: full black or white is "
            "missing."
        )
    if abs(middle) > 0.1:
        raise engine.Wrong(
            f"For 0 your activation gives {middle:.4g}. A middle grey, 0, trains best."
        )
    _check_slope(activation)


def _check_slope(activation) -> None:
    grid = np.linspace(-3, 3, 25, dtype=np.float32)[None]
    steps = np.diff(engine.numbers(activation(grid), shape=grid.shape).astype(np.float64)[0])
    if np.any(steps < -1e-6):
        raise engine.Wrong(
            "Your activation falls somewhere: a larger number has to give a brighter pixel."
        )
    if np.any(steps < 1e-6):
        raise engine.Wrong(
            "The range is right, but your activation is flat in places between -3 and 3. Where "
            "the slope is 0, no gradient comes through: such a pixel is never corrected."
        )


def _as_function(activation):
    """A function, a layer, or one of Keras' names, as a function from an array to an array."""
    import keras

    if isinstance(activation, str):
        try:
            activation = keras.activations.get(activation)
        except ValueError as error:
            raise engine.Wrong(f"Keras knows no activation of the name {activation!r}.") from error
    if isinstance(activation, type):
        raise engine.Wrong(
            f"You return the class {activation.__name__}. Return a layer made from it, with "
            "parentheses."
        )
    if not callable(activation):
        kind = type(activation).__name__
        raise engine.Wrong(
            f"Return the function or layer itself, not a value that it computed ({kind})."
        )
    return lambda values: activation(keras.ops.convert_to_tensor(values))


EXERCISE = engine.Exercise(
    name="generator_activation",
    title="Give the generator the range of the images",
    notebook="06_first_faces",
    minutes=5,
    difficulty=1,
    stub=STUB,
    hints=(
        "Which range do the real images have? The generated ones need the same.",
        "Draw a curve that comes from -1 at the far left, passes 0, and ends at 1 at the far "
        "right. Sigmoid has the right shape, but the wrong ends.",
        (
            "Trigonometry has a cousin with this curve: the hyperbolic tangent. See "
            "`keras.activations`."
        ),
    ),
    solution=SOLUTION,
    explanation=EXPLANATION,
    check=check,
    right_answers=(
        'def generator_activation():\n    return keras.layers.Activation("tanh")\n',
        'def generator_activation():\n    return "tanh"\n',
        "def generator_activation():\n    return np.tanh\n",
        "def generator_activation():\n    return lambda x: 2.0 * tf.sigmoid(x) - 1.0\n",
    ),
    wrong_answers=(
        engine.WrongAnswer(
            source="def generator_activation():\n    return keras.activations.sigmoid\n",
            says="never goes below",
        ),
        engine.WrongAnswer(
            source="""\
def generator_activation():
    return keras.layers.LeakyReLU(negative_slope=0.2)
""",
            says="outside [-1, 1]",
        ),
        engine.WrongAnswer(
            source='def generator_activation():\n    return "linear"\n',
            says="outside [-1, 1]",
        ),
        engine.WrongAnswer(
            source="""\
def generator_activation():
    return lambda x: tf.clip_by_value(x, -1.0, 1.0)
""",
            says="slope is 0",
        ),
        engine.WrongAnswer(
            source="def generator_activation():\n    return keras.layers.Activation\n",
            says="with parentheses",
        ),
        engine.WrongAnswer(
            source="def generator_activation():\n    return np.tanh(0.5)\n",
            says="not a value that it computed",
        ),
        engine.WrongAnswer(
            source='def generator_activation():\n    return "tangent"\n',
            says="no activation of the name",
        ),
        engine.WrongAnswer(
            source="def generator_activation():\n    return lambda x: -tf.tanh(x)\n",
            says="never goes below",
        ),
    ),
)
