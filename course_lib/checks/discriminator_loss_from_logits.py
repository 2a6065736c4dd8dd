"""Exercise of notebook 06: the discriminator's cross-entropy, from logits of any size."""

import numpy as np

from course_lib.checks import engine

STUB = '''\
def discriminator_loss_from_logits(real_logits, fake_logits):
    """Return the discriminator's loss, one number: the two mean cross-entropies, added.

    real_logits, fake_logits: raw scores (no sigmoid yet), NumPy arrays (batch, 1), float32,
        of any size. Real images have the label 1, generated ones the label 0.
    """
    return ...
'''

SOLUTION = '''\
def discriminator_loss_from_logits(real_logits, fake_logits):
    """Return the discriminator's loss, one number: the two mean cross-entropies, added.

    real_logits, fake_logits: raw scores (no sigmoid yet), NumPy arrays (batch, 1), float32,
        of any size. Real images have the label 1, generated ones the label 0.
    """
    real_loss = tf.reduce_mean(tf.nn.softplus(-real_logits))
    fake_loss = tf.reduce_mean(tf.nn.softplus(fake_logits))
    return real_loss + fake_loss
'''

EXPLANATION = """\
For the label 1 the cross-entropy is -log sigmoid(x) = log(1 + exp(-x)) = softplus(-x); for the
label 0 it is -log(1 - sigmoid(x)) = softplus(x). Written with `softplus` it is finite for every
logit: for large x it is simply x. A discriminator that answers 0 everywhere scores 2 log 2 =
1.386.

The article's script ends its discriminator with a sigmoid and then calls a loss that applies
another one. Two sigmoids squeeze every answer between 0.5 and 0.73: the loss can't fall below
1.006, and the gradient that the generator learns from is a fraction of what it should be.

Source: Goodfellow et al. 2014, equation 1, https://arxiv.org/abs/1406.2661."""


def _softplus(values) -> np.ndarray:
    return np.logaddexp(0.0, np.asarray(values, np.float64))


def _sigmoid(values) -> np.ndarray:
    return np.exp(-_softplus(-np.asarray(values, np.float64)))


def check(attempt: engine.Attempt) -> None:
    """Asks for small logits, where mistakes can be told apart, then for logits of 10,000."""
    real = np.array([[2.0], [-0.5], [0.25], [1.5], [3.0], [-1.0]], np.float32)
    fake = np.array([[-1.0], [0.5], [-2.5], [0.75], [-0.25], [1.25]], np.float32)
    loss = engine.numbers(attempt(real, fake), shape=(), what="loss")
    expected = np.mean(_softplus(-real)) + np.mean(_softplus(fake))
    engine.compare(
        loss, expected, question="For logits between -3 and 3", mistakes=_mistakes(real, fake)
    )
    for sure in (1e4, -1e4):
        real, fake = np.full((3, 1), sure, np.float32), np.full((3, 1), -sure, np.float32)
        loss = engine.numbers(attempt(real, fake), shape=(), what="loss").astype(np.float64)
        _check_size(float(loss), 0.0 if sure > 0 else 2e4, sure)


def _check_size(loss: float, expected: float, logit: float) -> None:
    """Names the mistake of a loss that is right for small logits only."""
    if not np.isfinite(loss):
        raise engine.Wrong(
            f"Right for small logits, but {loss} for logits of {logit:g}: exp overflows, or log "
            "meets a 0. Find the form of the formula that takes the logits themselves."
        )
    if abs(loss - expected) > 1e-3 * max(1.0, expected):
        raise engine.Wrong(
            f"Right for small logits, but {loss:.6g} for real logits of {logit:g} and generated "
            f"ones of {-logit:g}, where {expected:g} is right. Clipping the probability stops "
            "the overflow, but then the gradient is 0 exactly where the discriminator is most "
            "wrong."
        )


def _mistakes(real: np.ndarray, fake: np.ndarray) -> list[tuple[float, str]]:
    real_part, fake_part = np.mean(_softplus(-real)), np.mean(_softplus(fake))
    twice = np.mean(_softplus(-_sigmoid(real))) + np.mean(_softplus(_sigmoid(fake)))
    both_parts = "The discriminator has two jobs: say 1 for real images and 0 for generated ones."
    return [
        (
            twice,
            "A sigmoid is applied twice: to the logits, and again inside the loss that takes "
            "logits. This is the article's fault: no answer can be surer than 0.73.",
        ),
        (
            np.sum(_softplus(-real)) + np.sum(_softplus(fake)),
            "You add up the batch. Take the mean, or the learning rate depends on the batch size.",
        ),
        (
            np.mean(_softplus(real)) + np.mean(_softplus(-fake)),
            "The labels are swapped: real images have the label 1, generated ones the label 0.",
        ),
        (
            (real_part + fake_part) / 2,
            (
                "This is half of it. Add the two means; joining both batches into one mean "
                "halves the loss."
            ),
        ),
        (-(real_part + fake_part), "The sign is turned around: cross-entropy is never below 0."),
        (real_part, f"{both_parts} The generated ones are missing."),
        (fake_part, f"{both_parts} The real ones are missing."),
        (
            (real_part + fake_part) / np.log(2),
            "Your unit is bits: the loss takes the natural logarithm, as its gradient does.",
        ),
    ]


EXERCISE = engine.Exercise(
    name="discriminator_loss_from_logits",
    title="A loss that survives logits of any size",
    notebook="06_first_faces",
    minutes=10,
    difficulty=2,
    stub=STUB,
    hints=(
        "For one real image the loss is -log(sigmoid(logit)). Put 1 / (1 + exp(-x)) in place of "
        "the sigmoid and see what is left of the fraction under the logarithm.",
        "-log(sigmoid(x)) = log(1 + exp(-x)). This function has a name, and TensorFlow has a "
        "form of it that never overflows: `tf.nn.softplus(-x)`. What is it for a generated image?",
        "One mean of `tf.nn.softplus(...)` over the real batch, one over the generated batch, "
        "added. Only the signs inside differ.",
    ),
    solution=SOLUTION,
    explanation=EXPLANATION,
    check=check,
    right_answers=(
        """\
def discriminator_loss_from_logits(real_logits, fake_logits):
    entropy = keras.losses.BinaryCrossentropy(from_logits=True)
    real_labels, fake_labels = np.ones_like(real_logits), np.zeros_like(fake_logits)
    return entropy(real_labels, real_logits) + entropy(fake_labels, fake_logits)
""",
        """\
def discriminator_loss_from_logits(real_logits, fake_logits):
    return np.logaddexp(0, -real_logits).mean() + np.logaddexp(0, fake_logits).mean()
""",
        """\
def discriminator_loss_from_logits(real_logits, fake_logits):
    total = 0.0
    for real, fake in zip(real_logits[:, 0], fake_logits[:, 0]):
        for mistaken in (-float(real), float(fake)):
            total += max(mistaken, 0.0) + np.log1p(np.exp(-abs(mistaken)))
    return total / len(real_logits)
""",
    ),
    wrong_answers=(
        engine.WrongAnswer(
            source="""\
def discriminator_loss_from_logits(real_logits, fake_logits):
    real, fake = tf.sigmoid(real_logits), tf.sigmoid(fake_logits)
    real_loss = tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.ones_like(real), logits=real)
    fake_loss = tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.zeros_like(fake), logits=fake)
    return tf.reduce_mean(real_loss) + tf.reduce_mean(fake_loss)
""",
            says="sigmoid is applied twice",
        ),
        engine.WrongAnswer(
            source="""\
def discriminator_loss_from_logits(real_logits, fake_logits):
    return tf.reduce_sum(tf.nn.softplus(-real_logits)) + tf.reduce_sum(tf.nn.softplus(fake_logits))
""",
            says="Take the mean",
        ),
        engine.WrongAnswer(
            source="""\
def discriminator_loss_from_logits(real_logits, fake_logits):
    real, fake = 1 / (1 + np.exp(-real_logits)), 1 / (1 + np.exp(-fake_logits))
    return -np.mean(np.log(real)) - np.mean(np.log(1 - fake))
""",
            says="overflows",
        ),
        engine.WrongAnswer(
            source="""\
def discriminator_loss_from_logits(real_logits, fake_logits):
    real, fake = tf.sigmoid(real_logits), tf.sigmoid(fake_logits)
    real = tf.clip_by_value(real, 1e-6, 1 - 1e-6)
    fake = tf.clip_by_value(fake, 1e-6, 1 - 1e-6)
    return -tf.reduce_mean(tf.math.log(real)) - tf.reduce_mean(tf.math.log(1 - fake))
""",
            says="Clipping the probability",
        ),
        engine.WrongAnswer(
            source="""\
def discriminator_loss_from_logits(real_logits, fake_logits):
    return np.logaddexp(0, real_logits).mean() + np.logaddexp(0, -fake_logits).mean()
""",
            says="labels are swapped",
        ),
        engine.WrongAnswer(
            source="""\
def discriminator_loss_from_logits(real_logits, fake_logits):
    return np.logaddexp(0, np.concatenate([-real_logits, fake_logits])).mean()
""",
            says="half of it",
        ),
        engine.WrongAnswer(
            source="""\
def discriminator_loss_from_logits(real_logits, fake_logits):
    return np.logaddexp(0, -real_logits) + np.logaddexp(0, fake_logits)
""",
            says="shape ()",
        ),
    ),
)
