"""Exercise of notebook 01: what the minimax generator loss teaches, logit by logit."""

import numpy as np

from course_lib.checks import engine

STUB = '''\
def generator_gradient(fake_logits):
    """Return the gradient of the minimax generator loss, one number per logit.

    fake_logits: NumPy array (batch,), float32, from -20 to 20. The loss is the mean over the
        batch of log(1 - sigmoid(logit)).
    """
    return ...
'''

SOLUTION = '''\
def generator_gradient(fake_logits):
    """Return the gradient of the minimax generator loss, one number per logit.

    fake_logits: NumPy array (batch,), float32, from -20 to 20. The loss is the mean over the
        batch of log(1 - sigmoid(logit)).
    """
    return -1 / (1 + np.exp(-fake_logits)) / len(fake_logits)
'''

EXPLANATION = """\
With s = sigmoid(t), the derivative of s is s (1 - s), so that of log(1 - s) is
-s (1 - s) / (1 - s) = -s. The mean over the batch divides by its size.

The factor -s is the whole problem of this loss: it is the probability that the discriminator
gives to "real". At the start of training the discriminator is right about most generated images,
s is near 0, and the worst images teach the generator least. At logit -10 the slope is 0.000045.

Source: Goodfellow et al. 2014, section 3, https://arxiv.org/abs/1406.2661."""


def check(attempt: engine.Attempt) -> None:
    """Asks for five moderate logits, then for logits where the gradient is tiny."""
    logits = np.array([-3.0, -1.0, 0.0, 0.5, 2.5], np.float32)
    gradient = engine.numbers(attempt(logits), shape=(5,), what="gradient")
    s = _sigmoid(logits)
    mistakes = [
        (-s, "The loss is a mean over the batch, so every slope is divided by its size."),
        (
            s / 5,
            "The sign is turned around. The loss falls when the logit grows: a negative slope.",
        ),
        (
            -(1 - s) / 5,
            "This is the gradient of the *non-saturating* loss. The one asked for is that of "
            "log(1 - sigmoid).",
        ),
        (
            (1 - s) / 5,
            "This is the gradient of log(sigmoid). The loss asked for is log(1 - sigmoid).",
        ),
        (
            -1 / (1 - s) / 5,
            "The chain rule stops too early: the sigmoid has a derivative as well.",
        ),
        (
            s * (1 - s) / 5,
            "This is the derivative of the sigmoid alone. Where is the logarithm?",
        ),
        (
            -s * (1 - s) / 5,
            "This is the derivative of 1 - sigmoid. Where is the logarithm?",
        ),
        (np.log(1 - s) / 5, "This is the loss itself, not its slope."),
        (np.log(1 - s), "This is the loss itself, not its slope."),
    ]
    engine.compare(gradient, -s / 5, question="For five logits", mistakes=mistakes)
    logits = np.array([-20.0, -12.0, 20.0, 12.0], np.float32)
    gradient = engine.numbers(attempt(logits), shape=(4,), what="gradient").astype(np.float64)
    expected = -_sigmoid(logits) / 4
    if not np.allclose(gradient, expected, rtol=1e-2, atol=0.0):
        raise engine.Wrong(
            f"Right for small logits, but for the logits -20 and -12 the slopes are "
            f"{expected[0]:.3g} and {expected[1]:.3g}. Yours are {gradient[0]:.3g} and "
            f"{gradient[1]:.3g}. Don't take the difference of two numbers that are almost equal."
        )


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.asarray(values, np.float64)))


EXERCISE = engine.Exercise(
    name="generator_gradient",
    title="How much a rejected image teaches",
    notebook="01_gan_game",
    minutes=10,
    difficulty=2,
    stub=STUB,
    hints=(
        "The derivative of s = sigmoid(t) is s (1 - s). Now use the chain rule on log(1 - s).",
        "-1 / (1 - s) times s (1 - s): what is left? And what does the mean over the batch do?",
        "Your answer may also be computed: a `tf.GradientTape` over `-tf.reduce_mean("
        "tf.nn.softplus(logits))` gives the same numbers.",
    ),
    solution=SOLUTION,
    explanation=EXPLANATION,
    check=check,
    right_answers=(
        """\
def generator_gradient(fake_logits):
    logits = tf.constant(fake_logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = -tf.reduce_mean(tf.nn.softplus(logits))
    return tape.gradient(loss, logits)
""",
        """\
def generator_gradient(fake_logits):
    return -tf.sigmoid(fake_logits) / fake_logits.size
""",
        """\
def generator_gradient(fake_logits):
    size = len(fake_logits)
    return [-np.exp(float(t)) / (1 + np.exp(float(t))) / size for t in fake_logits]
""",
    ),
    wrong_answers=(
        engine.WrongAnswer(
            source="def generator_gradient(fake_logits):\n    return -tf.sigmoid(fake_logits)\n",
            says="divided by its size",
        ),
        engine.WrongAnswer(
            source="""\
def generator_gradient(fake_logits):
    return tf.sigmoid(fake_logits) / len(fake_logits)
""",
            says="sign is turned around",
        ),
        engine.WrongAnswer(
            source="""\
def generator_gradient(fake_logits):
    return -tf.sigmoid(-fake_logits) / len(fake_logits)
""",
            says="*non-saturating*",
        ),
        engine.WrongAnswer(
            source="""\
def generator_gradient(fake_logits):
    s = tf.sigmoid(fake_logits)
    return -1 / (1 - s) / len(fake_logits)
""",
            says="stops too early",
        ),
        engine.WrongAnswer(
            source="""\
def generator_gradient(fake_logits):
    return np.log(1 - 1 / (1 + np.exp(-fake_logits))) / len(fake_logits)
""",
            says="the loss itself",
        ),
        engine.WrongAnswer(
            source="""\
def generator_gradient(fake_logits):
    return (tf.sigmoid(-fake_logits) - 1) / len(fake_logits)
""",
            says="almost equal",
        ),
    ),
)
