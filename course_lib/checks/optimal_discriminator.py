"""Exercise of notebook 01: the discriminator that no other beats."""

import numpy as np

from course_lib.checks import engine

STUB = '''\
def optimal_discriminator(p, q):
    """Return the probability that a point is real, as the best discriminator gives it.

    p, q: densities of real and generated data at the same points, NumPy arrays (points,),
        float64; at no point are both 0.
    """
    return ...
'''

SOLUTION = '''\
def optimal_discriminator(p, q):
    """Return the probability that a point is real, as the best discriminator gives it.

    p, q: densities of real and generated data at the same points, NumPy arrays (points,),
        float64; at no point are both 0.
    """
    return p / (p + q)
'''

EXPLANATION = """\
At one point the value of the answer d is p log d + q log(1 - d). Its slope p/d - q/(1 - d) is 0
where p (1 - d) = q d, so at d = p / (p + q), and the slope falls everywhere, so this is the largest
value. Each point can be treated alone because the discriminator may answer anything anywhere.

It is the rule of Bayes: of the points at x, half of all drawn from each side, this share is real. A
point with 1 chance in 4 still gets 1/4, not 0: a classifier that only says yes or no pays an
infinite price where it is wrong.

Source: Goodfellow et al. 2014, section 4.1, proposition 1, https://arxiv.org/abs/1406.2661."""


def check(attempt: engine.Attempt) -> None:
    """Asks for six points, among them one where only the real and one where only q is positive."""
    p = np.array([0.3, 0.1, 1.2, 0.25, 0.5, 0.0])
    q = np.array([0.1, 0.3, 0.4, 0.25, 0.0, 2.0])
    answer = engine.numbers(attempt(p, q), shape=p.shape)
    with np.errstate(all="ignore"):
        mistakes = [
            (
                q / (p + q),
                "You return the probability of *generated*. Which density belongs to real data?",
            ),
            (
                p / q,
                "This is the odds: 3 to 1 for real. As a probability that is 3 out of 4.",
            ),
            (
                np.log(p) - np.log(q),
                "These are log-odds, the best logits. The function has to return probabilities.",
            ),
            (
                (p > q).astype(float),
                "You decide: 0 or 1. The value function punishes a sure mistake without limit, so "
                "the best answer stays in between where both densities are positive.",
            ),
            (
                p / (p + q).sum(),
                "You divide by a sum over all points. Each point is a problem of its own.",
            ),
            (
                1 / (1 + np.exp(q - p)),
                "You take a sigmoid of the difference. The ratio of the two densities decides, "
                "not their difference.",
            ),
            (p, "You return the density itself. It can be above 1, a probability can't."),
            (2 * p / (p + q), "This is twice too much: it is 1 where both are equal."),
        ]
    engine.compare(answer, p / (p + q), question="For six points", mistakes=mistakes)


EXERCISE = engine.Exercise(
    name="optimal_discriminator",
    title="The best answer at every point",
    notebook="01_gan_game",
    minutes=5,
    difficulty=1,
    stub=STUB,
    hints=(
        "Think of one point where p = 0.3 and q = 0.1. Out of 400 points drawn there, how many "
        "are real?",
        "Set the slope of p log d + q log(1 - d) to 0 and solve for d.",
    ),
    solution=SOLUTION,
    explanation=EXPLANATION,
    check=check,
    right_answers=(
        "def optimal_discriminator(p, q):\n    return 1 - q / (p + q)\n",
        """\
def optimal_discriminator(p, q):
    p, q = tf.constant(p), tf.constant(q)
    return tf.math.divide(p, tf.add(p, q))
""",
        """\
def optimal_discriminator(p, q):
    with np.errstate(divide="ignore"):
        logits = np.log(p) - np.log(q)
    return [float(1 / (1 + np.exp(-logit))) for logit in logits]
""",
    ),
    wrong_answers=(
        engine.WrongAnswer(
            source="def optimal_discriminator(p, q):\n    return q / (q + p)\n",
            says="probability of *generated*",
        ),
        engine.WrongAnswer(
            source="def optimal_discriminator(p, q):\n    return p / q\n", says="the odds"
        ),
        engine.WrongAnswer(
            source="def optimal_discriminator(p, q):\n    return np.log(p / q)\n", says="log-odds"
        ),
        engine.WrongAnswer(
            source="def optimal_discriminator(p, q):\n    return np.where(p > q, 1.0, 0.0)\n",
            says="You decide",
        ),
        engine.WrongAnswer(
            source="def optimal_discriminator(p, q):\n    return p / np.sum(p + q)\n",
            says="problem of its own",
        ),
        engine.WrongAnswer(
            source="def optimal_discriminator(p, q):\n    return tf.sigmoid(p - q)\n",
            says="ratio of the two densities",
        ),
        engine.WrongAnswer(
            source="def optimal_discriminator(p, q):\n    return p / np.maximum(p, q)\n",
            says="For six points",
        ),
    ),
)
