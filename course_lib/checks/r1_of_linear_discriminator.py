"""Exercise of notebook 01: the R1 penalty where it can be worked out by hand."""

import numpy as np

from course_lib.checks import engine

STUB = '''\
def r1_of_linear_discriminator(weights, bias, real_points):
    """Return the R1 penalty of D(x) = sum(weights * x) + bias, one number, without gamma / 2.

    weights: NumPy array (dimensions,), float32. bias: float.
    real_points: NumPy array (batch, dimensions), float32, where the penalty is taken.
    """
    return ...
'''

SOLUTION = '''\
def r1_of_linear_discriminator(weights, bias, real_points):
    """Return the R1 penalty of D(x) = sum(weights * x) + bias, one number, without gamma / 2.

    weights: NumPy array (dimensions,), float32. bias: float.
    real_points: NumPy array (batch, dimensions), float32, where the penalty is taken.
    """
    return np.sum(weights**2)
'''

EXPLANATION = """\
R1 is the mean over real points of the squared length of the gradient of D with respect to x. For a
linear D this gradient is the same everywhere: the weights. So R1 is the squared length of the
weights, whatever the points and the bias, and a linear discriminator can't lower it other than by
becoming flat.

In the Dirac-GAN D(x) = psi x, so R1 = psi ** 2, and gamma / 2 of it pulls psi towards 0 by
gamma psi per unit of the learning rate. `losses.r1_penalty` computes the same with a GradientTape,
for any D.

Source: Mescheder et al. 2018, section 4.1, https://arxiv.org/abs/1801.04406."""


def check(attempt: engine.Attempt) -> None:
    """Asks for two discriminators and two sets of points; the points must not matter."""
    random = np.random.default_rng(5)
    for weights, bias, count in (([3.0, -1.0, 0.5], 0.7, 4), ([0.5, 2.0], -1.0, 6)):
        weights = np.array(weights, np.float32)
        points = random.standard_normal((count, len(weights))).astype(np.float32)
        answer = engine.numbers(attempt(weights, bias, points), shape=(), what="penalty")
        question = f"For the weights {weights.tolist()}"
        mistakes = _mistakes(weights.astype(np.float64), bias, points.astype(np.float64))
        engine.compare(answer, np.sum(weights**2), question=question, mistakes=mistakes)


def _mistakes(weights, bias, points) -> list[tuple[float, str]]:
    squared, logits = np.sum(weights**2), points @ weights + bias
    s = 1 / (1 + np.exp(-logits))
    return [
        (np.sqrt(squared), "This is the length of the gradient. R1 takes its square."),
        (
            np.mean(weights**2),
            "You take the mean over the dimensions. A squared length is their sum.",
        ),
        (
            len(points) * squared,
            "You add up the batch. R1 is a mean over the real points.",
        ),
        (squared / 2, "The factor 1/2 belongs to gamma, outside. The stub asks for R1 alone."),
        (np.sum(weights) ** 2, "You square the sum. A squared length is the sum of squares."),
        (
            squared + bias**2,
            "The bias doesn't change with x, so it is not part of the gradient.",
        ),
        (
            np.mean(logits**2),
            "These are squared *logits*. R1 looks at how fast the logit changes with x.",
        ),
        (
            np.mean(np.sum(points**2, axis=1)),
            "This is the gradient with respect to the weights. R1 differentiates by the image x.",
        ),
        (
            np.mean((s * (1 - s)) ** 2) * squared,
            "You differentiate the sigmoid of D. R1 takes the gradient of the logit itself.",
        ),
        (
            (np.sqrt(squared) - 1) ** 2,
            "This is the penalty of WGAN-GP, which wants length 1. R1 wants length 0.",
        ),
    ]


EXERCISE = engine.Exercise(
    name="r1_of_linear_discriminator",
    title="R1 by hand",
    notebook="01_gan_game",
    minutes=5,
    difficulty=1,
    stub=STUB,
    hints=(
        "What is the derivative of 3 x1 - x2 + 0.7 by x1, and by x2? Does it depend on the point?",
        "The gradient is the same at every point, so its mean over the batch is itself. What is "
        "its squared length?",
    ),
    solution=SOLUTION,
    explanation=EXPLANATION,
    check=check,
    right_answers=(
        """\
def r1_of_linear_discriminator(weights, bias, real_points):
    return weights @ weights
""",
        """\
def r1_of_linear_discriminator(weights, bias, real_points):
    points = tf.constant(real_points)
    with tf.GradientTape() as tape:
        tape.watch(points)
        logits = tf.linalg.matvec(points, weights) + bias
    gradients = tape.gradient(logits, points)
    return tf.reduce_mean(tf.reduce_sum(gradients**2, axis=1))
""",
        """\
def r1_of_linear_discriminator(weights, bias, real_points):
    return np.linalg.norm(weights) ** 2
""",
    ),
    wrong_answers=(
        engine.WrongAnswer(
            source="""\
def r1_of_linear_discriminator(weights, bias, real_points):
    return np.linalg.norm(weights)
""",
            says="R1 takes its square",
        ),
        engine.WrongAnswer(
            source="""\
def r1_of_linear_discriminator(weights, bias, real_points):
    return np.mean(weights**2)
""",
            says="mean over the dimensions",
        ),
        engine.WrongAnswer(
            source="""\
def r1_of_linear_discriminator(weights, bias, real_points):
    return len(real_points) * weights @ weights
""",
            says="You add up the batch",
        ),
        engine.WrongAnswer(
            source="""\
def r1_of_linear_discriminator(weights, bias, real_points):
    return 0.5 * weights @ weights
""",
            says="belongs to gamma",
        ),
        engine.WrongAnswer(
            source="""\
def r1_of_linear_discriminator(weights, bias, real_points):
    return np.mean((real_points @ weights + bias) ** 2)
""",
            says="squared *logits*",
        ),
        engine.WrongAnswer(
            source="""\
def r1_of_linear_discriminator(weights, bias, real_points):
    weights = tf.Variable(weights)
    with tf.GradientTape() as tape:
        logits = tf.linalg.matvec(tf.constant(real_points), weights) + bias
    jacobian = tape.jacobian(logits, weights)
    return tf.reduce_mean(tf.reduce_sum(jacobian**2, axis=1))
""",
            says="with respect to the weights",
        ),
        engine.WrongAnswer(
            source="""\
def r1_of_linear_discriminator(weights, bias, real_points):
    return (np.linalg.norm(weights) - 1) ** 2
""",
            says="WGAN-GP",
        ),
    ),
)
