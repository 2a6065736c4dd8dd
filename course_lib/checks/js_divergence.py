"""Exercise of notebook 01: the distance that the original game minimises."""

import numpy as np

from course_lib.checks import engine

STUB = '''\
def js_divergence(p, q):
    """Return the Jensen-Shannon divergence of two distributions, one number, in nats.

    p, q: probabilities of the same events, NumPy arrays (events,), float64; each sums to 1,
        some may be 0. Where p is 0, p log(anything) counts as 0.
    """
    return ...
'''

SOLUTION = '''\
def js_divergence(p, q):
    """Return the Jensen-Shannon divergence of two distributions, one number, in nats.

    p, q: probabilities of the same events, NumPy arrays (events,), float64; each sums to 1,
        some may be 0. Where p is 0, p log(anything) counts as 0.
    """
    middle = (p + q) / 2
    total = 0.0
    for side in (p, q):
        seen = side > 0
        total += np.sum(side[seen] * np.log(side[seen] / middle[seen]))
    return total / 2
'''

EXPLANATION = """\
Both distributions are compared with their middle m = (p + q) / 2, and the two Kullback-Leibler
divergences are averaged. KL(p, q) itself is infinite as soon as an event of p has q = 0; m is
positive wherever p or q is, so the Jensen-Shannon divergence is always finite: 0 for equal
distributions, log 2 = 0.6931 for those that share no event.

Events with p = 0 must be left out by hand: NumPy makes 0 * log(0) a nan, though the limit is 0.
SciPy's `jensenshannon` returns the square root of this number.

Source: Goodfellow et al. 2014, section 4.1, theorem 1, https://arxiv.org/abs/1406.2661."""

CASES = (
    ("For two distributions without zeros", [0.5, 0.3, 0.2], [0.2, 0.2, 0.6]),
    ("For distributions with zeros", [0.5, 0.5, 0.0, 0.0], [0.0, 0.25, 0.75, 0.0]),
    ("For distributions that share nothing", [1.0, 0.0], [0.0, 1.0]),
    ("For equal distributions", [0.25, 0.75], [0.25, 0.75]),
)


def _kl(p: np.ndarray, q: np.ndarray) -> float:
    seen = p > 0
    return float(np.sum(p[seen] * np.log(p[seen] / q[seen])))


def right(p: np.ndarray, q: np.ndarray) -> float:
    """Returns the right answer; the tests compare it with SciPy."""
    return (_kl(p, (p + q) / 2) + _kl(q, (p + q) / 2)) / 2


def check(attempt: engine.Attempt) -> None:
    """Asks where mistakes can be told apart, then with zeros, then at both ends."""
    for number, (question, *pair) in enumerate(CASES):
        p, q = map(np.array, pair)
        answer = engine.numbers(attempt(p, q), shape=(), what="divergence")
        if number and not np.isfinite(float(answer)):
            raise engine.Wrong(
                f"Right without zeros, but {float(answer)} with them: 0 * log(0) is nan for "
                "NumPy. Leave out the events whose probability is 0, for each of the two sums."
            )
        mistakes = () if number else _mistakes(p, q)
        engine.compare(answer, right(p, q), question=question, mistakes=mistakes, tolerance=1e-6)


def _mistakes(p: np.ndarray, q: np.ndarray) -> list[tuple[float, str]]:
    jsd, middle = right(p, q), (p + q) / 2
    one_side = "You compare p and q with each other. Compare each of them with their middle."
    return [
        (_kl(p, q), one_side),
        (_kl(q, p), one_side),
        ((_kl(p, q) + _kl(q, p)) / 2, one_side),
        (_kl(p, q) + _kl(q, p), one_side),
        (_kl(p, middle), "The half with q is missing."),
        (_kl(q, middle), "The half with p is missing."),
        (2 * jsd, "This is twice too much: the two divergences are averaged, not added."),
        (jsd / np.log(2), "Your unit is bits; take the natural logarithm for nats."),
        (np.sqrt(jsd), "This is the square root, the Jensen-Shannon *distance*."),
        (jsd / len(p), "You take the mean over the events. Add them up: p already weighs them."),
        (-jsd, "The sign is turned around: a divergence is never below 0."),
        (
            (_kl(middle, p) + _kl(middle, q)) / 2,
            "The middle stands on the wrong side: weigh with p and q, divide by the middle.",
        ),
        (
            (_kl(p, p + q) + _kl(q, p + q)) / 2,
            "You divide by p + q instead of its half: the result is too small by log 2.",
        ),
    ]


EXERCISE = engine.Exercise(
    name="js_divergence",
    title="A distance that is never infinite",
    notebook="01_gan_game",
    minutes=10,
    difficulty=2,
    stub=STUB,
    hints=(
        "Three lines: the middle of p and q, the sum for p, the sum for q. Which weight does each "
        "event have in the sum for p?",
        "The sum for p is over p log(p / m). With zeros, restrict it: `seen = p > 0`, then use "
        "`p[seen]` and `m[seen]`.",
        "Write a helper that sums one side, call it for p and for q, and return half of the total.",
    ),
    solution=SOLUTION,
    explanation=EXPLANATION,
    check=check,
    right_answers=(
        """\
def js_divergence(p, q):
    from scipy.special import rel_entr

    return (rel_entr(p, (p + q) / 2).sum() + rel_entr(q, (p + q) / 2).sum()) / 2
""",
        """\
def js_divergence(p, q):
    def entropy(r):
        return -tf.reduce_sum(tf.math.xlogy(r, r))

    return entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2
""",
        """\
def js_divergence(p, q):
    total = 0.0
    for a, b in zip(p, q):
        for share in (a, b):
            if share > 0:
                total += share * np.log(2 * share / (a + b)) / 2
    return total
""",
    ),
    wrong_answers=(
        engine.WrongAnswer(
            source="def js_divergence(p, q):\n    return np.sum(p * np.log(p / q))\n",
            says="with their middle",
        ),
        engine.WrongAnswer(
            source="""\
def js_divergence(p, q):
    m = (p + q) / 2
    return np.sum(p * np.log(p / m)) / 2 + np.sum(q * np.log(q / m)) / 2
""",
            says="0 * log(0) is nan",
        ),
        engine.WrongAnswer(
            source="""\
def js_divergence(p, q):
    m = (p + q) / 2
    return np.sum(p * np.log(p / m)) + np.sum(q * np.log(q / m))
""",
            says="averaged, not added",
        ),
        engine.WrongAnswer(
            source="""\
def js_divergence(p, q):
    from scipy.spatial.distance import jensenshannon

    return jensenshannon(p, q)
""",
            says="square root",
        ),
        engine.WrongAnswer(
            source="""\
def js_divergence(p, q):
    m = (p + q) / 2
    return (np.sum(p * np.log2(p / m)) + np.sum(q * np.log2(q / m))) / 2
""",
            says="unit is bits",
        ),
        engine.WrongAnswer(
            source="""\
def js_divergence(p, q):
    m = p + q
    return (np.sum(p * np.log(p / m)) + np.sum(q * np.log(q / m))) / 2
""",
            says="too small by log 2",
        ),
        engine.WrongAnswer(
            source="""\
def js_divergence(p, q):
    p, q = p + 0.05, q + 0.05
    m = (p + q) / 2
    return (np.sum(p * np.log(p / m)) + np.sum(q * np.log(q / m))) / 2
""",
            says="For two distributions without zeros",
        ),
    ),
)
