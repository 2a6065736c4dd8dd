"""Exercise of notebook 07: a distance of two sets that is right on average, however few images."""

import numpy as np

from course_lib.checks import engine

STUB = '''\
def unbiased_kernel_distance(features_a, features_b):
    """Return the unbiased squared kernel distance of two sets, one number.

    The kernel is k(x, y) = (x . y / width + 1) ** 3.
    features_a: NumPy array (m, width), float64, m at least 2, one row per image.
    features_b: NumPy array (n, width), float64, n at least 2; m and n may differ.
    """
    return ...
'''

SOLUTION = '''\
def unbiased_kernel_distance(features_a, features_b):
    """Return the unbiased squared kernel distance of two sets, one number.

    The kernel is k(x, y) = (x . y / width + 1) ** 3.
    features_a: NumPy array (m, width), float64, m at least 2, one row per image.
    features_b: NumPy array (n, width), float64, n at least 2; m and n may differ.
    """
    width = features_a.shape[1]
    within = 0.0
    for x in (features_a, features_b):
        kernel = (x @ x.T / width + 1) ** 3
        within += (kernel.sum() - np.trace(kernel)) / (len(x) * (len(x) - 1))
    return within - 2 * np.mean((features_a @ features_b.T / width + 1) ** 3)
'''

EXPLANATION = """\
Three means of the kernel: over pairs within a, over pairs within b, and twice over pairs between.
Within a set an image must not be paired with itself: k(x, x) is larger than k of two different
images, so that the diagonal would push the result up, by about 1 / m. Without it each mean is an
unbiased estimate, and so is the sum: for two samples of one distribution it is 0 on average, which
means that it is below 0 about half of the time. Do not clip it: clipping brings the bias back.

Between the sets there is no diagonal to leave out: row i of one and row i of the other are two
different images.

Source: Gretton et al. 2012, equation 3, https://jmlr.org/papers/v13/gretton12a.html."""

A = np.array([[1.0, 2.0], [0.0, -1.0], [2.0, 1.0]])
B = np.array([[-2.0, 1.0], [-1.0, 1.0], [-1.0, -2.0], [0.0, -2.0]])
# Two sets whose unbiased distance is below 0: they interlock more than each holds together.
C, D = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[0.9, 0.1], [0.1, 0.9]])
CASES = (
    ("For a set of 3 and a set of 4", A, B),
    ("For two sets that are very much alike", C, D),
)


def _kernel(x, y):
    return (x @ y.T / x.shape[1] + 1) ** 3


def _parts(a, b):
    """Mean over pairs within a, within b, and between."""
    means = []
    for x in (a, b):
        kernel = _kernel(x, x)
        means.append(kernel[~np.eye(len(x), dtype=bool)].mean())
    return *means, _kernel(a, b).mean()


def right(a: np.ndarray, b: np.ndarray) -> float:
    """Returns the right answer; the tests compare it with a loop over pairs."""
    within_a, within_b, between = _parts(a, b)
    return within_a + within_b - 2 * between


def check(attempt: engine.Attempt) -> None:
    """Asks for sets of different sizes, then for a result below 0."""
    for question, a, b in CASES:
        answer = engine.numbers(attempt(a, b), shape=(), what="distance")
        engine.compare(
            answer, right(a, b), question=question, mistakes=_mistakes(a, b), tolerance=1e-7
        )


def _mistakes(a, b):
    m, n = len(a), len(b)
    within_a, within_b, between = _parts(a, b)
    distance = within_a + within_b - 2 * between
    biased = _kernel(a, a).mean() + _kernel(b, b).mean() - 2 * between
    shares = within_a * (m - 1) / m + within_b * (n - 1) / n - 2 * between
    mistakes = [
        (max(distance, 0.0), "Don't cut the result off at 0: unbiased means below 0 as well."),
        (np.abs(distance), "Don't take the absolute value: unbiased means below 0 as well."),
        (biased, "An image is paired with itself. Leave out the diagonal within each set."),
        (shares, "Without its diagonal a set has m (m - 1) pairs, not m * m."),
        (within_a + within_b - between, "The mean between the sets counts twice."),
        (within_a + within_b + 2 * between, "The mean between the sets is subtracted."),
        (-distance, "The sign is turned around."),
        (distance / 2, "This is half of the distance: each set's own mean counts once in full."),
        (2 * distance, "This is twice the distance: each set's own mean counts once."),
    ]
    stretch = np.sqrt(a.shape[1])  # of both, to have x . y without / width
    mistakes.append((right(stretch * a, stretch * b), "The kernel divides x . y by the width."))
    if distance > 0:
        mistakes.append((np.sqrt(distance), "Return the squared distance, without a root."))
    if m == n:
        pairs = _kernel(a, b)[~np.eye(m, dtype=bool)].mean()
        mistakes.append(
            (
                within_a + within_b - 2 * pairs,
                "Between two sets no pair is an image with itself: keep that diagonal.",
            )
        )
    return mistakes


EXERCISE = engine.Exercise(
    name="unbiased_kernel_distance",
    title="Right on average, however few images",
    notebook="07_measuring_faces",
    minutes=15,
    difficulty=2,
    stub=STUB,
    hints=(
        "Three means of the kernel: within a, within b, between a and b. Which pairs of the first "
        "two are no pairs of different images?",
        "`x @ x.T` has all pairs of rows of x, and on its diagonal each row with itself. How many "
        "pairs are left without the diagonal?",
        "Within a set: (sum of the kernel - its trace) / (m (m - 1)). Between the sets: the plain "
        "mean. Result: within a + within b - 2 times between.",
    ),
    solution=SOLUTION,
    explanation=EXPLANATION,
    check=check,
    right_answers=(
        """\
def unbiased_kernel_distance(features_a, features_b):
    def mean(x, y, same):
        values = []
        for i, p in enumerate(x):
            for j, q in enumerate(y):
                if not (same and i == j):
                    values.append((p @ q / len(p) + 1) ** 3)
        return sum(values) / len(values)

    a, b = features_a, features_b
    return mean(a, a, True) + mean(b, b, True) - 2 * mean(a, b, False)
""",
        """\
def unbiased_kernel_distance(features_a, features_b):
    def kernel(x, y):
        return (tf.matmul(x, y, transpose_b=True) / x.shape[1] + 1) ** 3

    total = -2 * tf.reduce_mean(kernel(features_a, features_b))
    for x in (features_a, features_b):
        off_diagonal = tf.linalg.set_diag(kernel(x, x), tf.zeros(len(x), tf.float64))
        total += tf.reduce_sum(off_diagonal) / (len(x) * (len(x) - 1))
    return total
""",
    ),
    wrong_answers=(
        engine.WrongAnswer(
            source="""\
def unbiased_kernel_distance(features_a, features_b):
    def kernel(x, y):
        return (x @ y.T / x.shape[1] + 1) ** 3

    a, b = features_a, features_b
    return kernel(a, a).mean() + kernel(b, b).mean() - 2 * kernel(a, b).mean()
""",
            says="paired with itself",
        ),
        engine.WrongAnswer(
            source="""\
def unbiased_kernel_distance(features_a, features_b):
    def within(x):
        kernel = (x @ x.T / x.shape[1] + 1) ** 3
        return (kernel - np.diag(np.diag(kernel))).mean()

    between = ((features_a @ features_b.T / features_a.shape[1] + 1) ** 3).mean()
    return within(features_a) + within(features_b) - 2 * between
""",
            says="m (m - 1) pairs",
        ),
        engine.WrongAnswer(
            source="""\
def unbiased_kernel_distance(features_a, features_b):
    def within(x):
        kernel = (x @ x.T + 1) ** 3
        return (kernel.sum() - np.trace(kernel)) / (len(x) * (len(x) - 1))

    between = ((features_a @ features_b.T + 1) ** 3).mean()
    return within(features_a) + within(features_b) - 2 * between
""",
            says="by the width",
        ),
        engine.WrongAnswer(
            source="""\
def unbiased_kernel_distance(features_a, features_b):
    def within(x):
        kernel = (x @ x.T / x.shape[1] + 1) ** 3
        return (kernel.sum() - np.trace(kernel)) / (len(x) * (len(x) - 1))

    between = ((features_a @ features_b.T / features_a.shape[1] + 1) ** 3).mean()
    return max(0.0, within(features_a) + within(features_b) - 2 * between)
""",
            says="cut the result off",
        ),
        engine.WrongAnswer(
            source="""\
def unbiased_kernel_distance(features_a, features_b):
    def within(x):
        kernel = (x @ x.T / x.shape[1] + 1) ** 3
        return (kernel.sum() - np.trace(kernel)) / (len(x) * (len(x) - 1))

    between = ((features_a @ features_b.T / features_a.shape[1] + 1) ** 3).mean()
    return within(features_a) + within(features_b) - between
""",
            says="counts twice",
        ),
    ),
)
