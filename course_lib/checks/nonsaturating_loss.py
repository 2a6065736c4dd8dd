"""Exercise of notebook 01: the generator loss that keeps teaching, for logits of any size."""

import numpy as np

from course_lib.checks import engine

STUB = '''\
def nonsaturating_loss(fake_logits):
    """Return the non-saturating generator loss, one number: the mean of -log(sigmoid(logit)).

    fake_logits: NumPy array (batch, 1), float32, of any size.
    """
    return ...
'''

SOLUTION = '''\
def nonsaturating_loss(fake_logits):
    """Return the non-saturating generator loss, one number: the mean of -log(sigmoid(logit)).

    fake_logits: NumPy array (batch, 1), float32, of any size.
    """
    return tf.reduce_mean(tf.nn.softplus(-fake_logits))
'''

EXPLANATION = """\
-log sigmoid(t) = log(1 + exp(-t)) = softplus(-t). For t = -10000 this is 10000, and `softplus`
says so, while exp(10000) overflows and sigmoid(-10000) is 0 in every float format, with the
logarithm minus infinity.

Its slope per image is -sigmoid(-t): nearly -1 where the discriminator is sure that the image is
generated. Clipping the probability before the logarithm stops the overflow, and the slope with it:
behind the clip it is exactly 0, just where the generator has most to learn.

Source: Goodfellow et al. 2014, section 3, https://arxiv.org/abs/1406.2661."""


def check(attempt: engine.Attempt) -> None:
    """Asks for small logits, where mistakes can be told apart, then for logits of 10,000."""
    logits = np.array([[-2.0], [0.5], [-0.25], [1.5], [-3.0]], np.float32)
    loss = engine.numbers(attempt(logits), shape=(), what="loss")
    terms = _softplus(-logits)
    minimax = -np.mean(_softplus(logits))
    mistakes = [
        (np.sum(terms), "You add up the batch. Take the mean."),
        (
            minimax,
            "This is the minimax loss, the mean of log(1 - sigmoid): the one that saturates.",
        ),
        (
            -minimax,
            "This is what the *discriminator* pays for generated images. The generator wants the "
            "opposite: look at the sign of the logit.",
        ),
        (-np.mean(terms), "The sign is turned around: -log of a probability is never below 0."),
        (
            np.mean(_softplus(-1 / (1 + np.exp(-logits.astype(np.float64))))),
            "A sigmoid is applied twice: softplus already contains it.",
        ),
        (
            -np.mean(logits),
            "This is the Wasserstein loss. The logarithm of the sigmoid is missing.",
        ),
        (np.mean(terms) / np.log(2), "Your unit is bits: take the natural logarithm."),
        (
            np.log1p(np.exp(np.mean(-logits))),
            "You take the mean of the logits first. The mean comes last: of the losses.",
        ),
    ]
    question = "For logits between -3 and 2"
    engine.compare(loss, np.mean(terms), question=question, mistakes=mistakes)
    for logit, expected in ((-1e4, 1e4), (1e4, 0.0)):
        answer = attempt(np.full((3, 1), logit, np.float32))
        loss = float(engine.numbers(answer, shape=(), what="loss"))
        if not np.isfinite(loss):
            raise engine.Wrong(
                f"Right for small logits, but {loss} for logits of {logit:g}: exp overflows, or "
                "log meets a 0. Find the form that takes the logits themselves."
            )
        if abs(loss - expected) > 1e-3 * max(1.0, expected):
            raise engine.Wrong(
                f"Right for small logits, but {loss:.6g} for logits of {logit:g}, where "
                f"{expected:g} is right. Clipping stops the overflow, but then the gradient is 0 "
                "exactly where there is most to learn."
            )


def _softplus(values) -> np.ndarray:
    return np.logaddexp(0.0, np.asarray(values, np.float64))


EXERCISE = engine.Exercise(
    name="nonsaturating_loss",
    title="A loss that keeps teaching",
    notebook="01_gan_game",
    minutes=5,
    difficulty=1,
    stub=STUB,
    hints=(
        "Write 1 / (1 + exp(-t)) for the sigmoid and take -log of it. What is left?",
        "log(1 + exp(-t)) is softplus of -t. TensorFlow has a form of it that never overflows, "
        "and NumPy has `np.logaddexp`.",
    ),
    solution=SOLUTION,
    explanation=EXPLANATION,
    check=check,
    right_answers=(
        """\
def nonsaturating_loss(fake_logits):
    entropy = keras.losses.BinaryCrossentropy(from_logits=True)
    return entropy(np.ones_like(fake_logits), fake_logits)
""",
        "def nonsaturating_loss(fake_logits):\n    return np.logaddexp(0, -fake_logits).mean()\n",
        """\
def nonsaturating_loss(fake_logits):
    return -tf.reduce_mean(tf.math.log_sigmoid(fake_logits))
""",
    ),
    wrong_answers=(
        engine.WrongAnswer(
            source="""\
def nonsaturating_loss(fake_logits):
    return -tf.reduce_mean(tf.nn.softplus(fake_logits))
""",
            says="the one that saturates",
        ),
        engine.WrongAnswer(
            source="""\
def nonsaturating_loss(fake_logits):
    return tf.reduce_mean(tf.nn.softplus(fake_logits))
""",
            says="*discriminator* pays",
        ),
        engine.WrongAnswer(
            source="""\
def nonsaturating_loss(fake_logits):
    return -np.mean(np.log(1 / (1 + np.exp(-fake_logits))))
""",
            says="exp overflows",
        ),
        engine.WrongAnswer(
            source="""\
def nonsaturating_loss(fake_logits):
    s = tf.clip_by_value(tf.sigmoid(fake_logits), 1e-6, 1.0)
    return -tf.reduce_mean(tf.math.log(s))
""",
            says="Clipping stops",
        ),
        engine.WrongAnswer(
            source="""\
def nonsaturating_loss(fake_logits):
    return tf.reduce_sum(tf.nn.softplus(-fake_logits))
""",
            says="Take the mean",
        ),
        engine.WrongAnswer(
            source="""\
def nonsaturating_loss(fake_logits):
    return tf.reduce_mean(tf.nn.softplus(-tf.sigmoid(fake_logits)))
""",
            says="applied twice",
        ),
        engine.WrongAnswer(
            source="def nonsaturating_loss(fake_logits):\n    return -fake_logits.mean()\n",
            says="Wasserstein",
        ),
    ),
)
