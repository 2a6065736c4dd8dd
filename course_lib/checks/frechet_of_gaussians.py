"""Exercise of notebook 07: the Fréchet distance of two normal distributions."""

import numpy as np

from course_lib.checks import engine

STUB = '''\
def frechet_of_gaussians(mean_a, covariance_a, mean_b, covariance_b):
    """Return the Fréchet distance of two normal distributions, one number, in squared units.

    mean_a, mean_b: NumPy arrays (width,), float64.
    covariance_a, covariance_b: symmetric NumPy arrays (width, width), float64, without negative
        eigenvalues; some may be 0.
    """
    return ...
'''

SOLUTION = '''\
def frechet_of_gaussians(mean_a, covariance_a, mean_b, covariance_b):
    """Return the Fréchet distance of two normal distributions, one number, in squared units.

    mean_a, mean_b: NumPy arrays (width,), float64.
    covariance_a, covariance_b: symmetric NumPy arrays (width, width), float64, without negative
        eigenvalues; some may be 0.
    """
    eigenvalues = np.linalg.eigvals(covariance_a @ covariance_b).real.clip(min=0)
    trace_of_root = np.sqrt(eigenvalues).sum()
    traces = np.trace(covariance_a) + np.trace(covariance_b)
    return np.sum((mean_a - mean_b) ** 2) + traces - 2 * trace_of_root
'''

EXPLANATION = """\
The root of a matrix has the roots of its eigenvalues, and the trace is the sum of the eigenvalues:
so the trace of the root needs no root of a matrix. The product of two covariances is not symmetric,
but it has the eigenvalues of the symmetric matrix root(A) B root(A), which are at least 0. Rounding
can make them -1e-17, or give them an imaginary part of that size; both are cut off.

`scipy.linalg.sqrtm` gives the same where the product is regular. Where it is singular, as with
fewer images than features, its result is inexact or complex. `np.sqrt` of the matrix takes the root
of each entry, which is right only for diagonal covariances.

Source: Dowson and Landau 1982, https://doi.org/10.1016/0047-259X(82)90077-X."""

LEANING = np.array([[3.0, 1.0], [1.0, 2.0]]), np.array([[5.0, -2.0], [-2.0, 4.0]])
CASES = (
    ("For one dimension, N(1, 2²) and N(4, 3²)", [1.0], [[4.0]], [4.0], [[9.0]]),
    ("For two covariances that lean differently", [0.0, 1.0], LEANING[0], [2.0, 0.0], LEANING[1]),
    ("For equal distributions", [1.0, 2.0], LEANING[1], [1.0, 2.0], LEANING[1]),
    (
        "For flat distributions, with variance in one direction only",
        [0.0, 0.0],
        [[1.0, 2.0], [2.0, 4.0]],
        [0.0, 0.0],
        [[4.0, -2.0], [-2.0, 1.0]],
    ),
)


def _root(matrix):
    values, vectors = np.linalg.eigh(matrix)
    return vectors * np.sqrt(values.clip(min=0)) @ vectors.T


def _parts(mean_a, covariance_a, mean_b, covariance_b):
    """Squared distance of the means, both traces, and the trace of the root."""
    root = _root(covariance_a)
    inner = np.linalg.eigvalsh(root @ covariance_b @ root).clip(min=0)
    means = np.sum((mean_a - mean_b) ** 2)
    return means, np.trace(covariance_a) + np.trace(covariance_b), np.sqrt(inner).sum()


def right(mean_a, covariance_a, mean_b, covariance_b):
    """Returns the right answer; the tests compare it with SciPy's matrix root."""
    means, traces, root = _parts(mean_a, covariance_a, mean_b, covariance_b)
    return means + traces - 2 * root


def check(attempt: engine.Attempt) -> None:
    """Asks in one dimension, where mistakes can be told apart, then where matrices matter."""
    for number, (question, *arguments) in enumerate(CASES):
        arguments = [np.array(argument) for argument in arguments]
        answer = attempt(*arguments)
        if np.iscomplexobj(np.asarray(answer)):
            raise engine.Wrong(
                f"{question}, your result is a complex number, {answer}: take the real part of "
                "what the root or the eigenvalues give."
            )
        answer = engine.numbers(answer, shape=(), what="distance")
        if number == 3 and not np.isfinite(float(answer)):
            raise engine.Wrong(
                f"{question}, your result is {float(answer)}: a determinant, an inverse or a "
                "logarithm does not survive a variance of 0, or a root that of -1e-17."
            )
        mistakes = _mistakes(*arguments) if number < 2 else ()
        # Not more exactly: the root of a rounding error of 1e-16 is 1e-8.
        engine.compare(
            answer, right(*arguments), question=question, mistakes=mistakes, tolerance=1e-5
        )


def _mistakes(mean_a, covariance_a, mean_b, covariance_b):
    means, traces, root = _parts(mean_a, covariance_a, mean_b, covariance_b)
    with np.errstate(invalid="ignore"):
        entries = np.trace(np.nan_to_num(np.sqrt(covariance_a @ covariance_b)))
        diagonals = np.sqrt(np.diag(covariance_a) * np.diag(covariance_b)).sum()
    product = np.trace(covariance_a @ covariance_b)
    return [
        (np.sqrt(means + traces - 2 * root), "Return the squared distance, without a last root."),
        (np.sqrt(means) + traces - 2 * root, "Take the squared length of the difference of means."),
        (means + traces - root, "The trace of the root counts twice."),
        (means + traces + 2 * root, "The trace of the root is subtracted."),
        (means, "The term with the covariances is missing."),
        (traces - 2 * root, "The term with the means is missing."),
        (
            means + traces - 2 * product,
            "The product of the covariances has to be brought back to their unit by a root.",
        ),
        (
            means + traces - 2 * entries,
            "You take the root of each entry. The root of a matrix is something else: what are "
            "its eigenvalues?",
        ),
        (
            means + traces - 2 * diagonals,
            "You only use the variances. Covariances that lean differently are further apart.",
        ),
        (
            means + np.sum((_root(covariance_a) - _root(covariance_b)) ** 2),
            "You subtract the roots of the covariances. That is the same only where they commute.",
        ),
        (
            means + np.sum((covariance_a - covariance_b) ** 2),
            "You subtract the covariances; their unit is the square of what is moved.",
        ),
    ]


EXERCISE = engine.Exercise(
    name="frechet_of_gaussians",
    title="How far apart are two clouds?",
    notebook="07_measuring_faces",
    minutes=15,
    difficulty=2,
    stub=STUB,
    hints=(
        "Two terms: the squared length of the difference of the means, and a trace with both "
        "covariances. In one dimension the second one is the squared difference of the standard "
        "deviations.",
        "Only the trace of the root of the product is new. The trace of a matrix is the sum of its "
        "eigenvalues, and a root has the roots of the eigenvalues.",
        "`np.linalg.eigvals` of `covariance_a @ covariance_b`, its real part, cut off below 0, "
        "then the root of each, then the sum.",
    ),
    solution=SOLUTION,
    explanation=EXPLANATION,
    check=check,
    right_answers=(
        """\
def frechet_of_gaussians(mean_a, covariance_a, mean_b, covariance_b):
    def factor(covariance):
        values, vectors = np.linalg.eigh(covariance)
        return np.sqrt(values.clip(0))[:, None] * vectors.T

    a, b = factor(covariance_a), factor(covariance_b)
    overlap = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return ((mean_a - mean_b) ** 2).sum() + (a**2).sum() + (b**2).sum() - 2 * overlap
""",
        """\
def frechet_of_gaussians(mean_a, covariance_a, mean_b, covariance_b):
    values, vectors = tf.linalg.eigh(covariance_a)
    root = vectors * tf.sqrt(tf.maximum(values, 0)) @ tf.transpose(vectors)
    inner = tf.maximum(tf.linalg.eigvalsh(root @ covariance_b @ root), 0)
    traces = tf.linalg.trace(covariance_a) + tf.linalg.trace(covariance_b)
    return tf.reduce_sum((mean_a - mean_b) ** 2) + traces - 2 * tf.reduce_sum(tf.sqrt(inner))
""",
    ),
    wrong_answers=(
        engine.WrongAnswer(
            source="""\
def frechet_of_gaussians(mean_a, covariance_a, mean_b, covariance_b):
    root = np.sqrt(covariance_a @ covariance_b)
    return np.sum((mean_a - mean_b) ** 2) + np.trace(covariance_a + covariance_b - 2 * root)
""",
            says="root of each entry",
        ),
        engine.WrongAnswer(
            source="""\
def frechet_of_gaussians(mean_a, covariance_a, mean_b, covariance_b):
    root = np.sqrt(np.diag(covariance_a) * np.diag(covariance_b))
    traces = np.trace(covariance_a + covariance_b)
    return np.sum((mean_a - mean_b) ** 2) + traces - 2 * root.sum()
""",
            says="only use the variances",
        ),
        engine.WrongAnswer(
            source="""\
def frechet_of_gaussians(mean_a, covariance_a, mean_b, covariance_b):
    root = np.sqrt(np.linalg.eigvals(covariance_a @ covariance_b).real.clip(0)).sum()
    return np.sum((mean_a - mean_b) ** 2) + np.trace(covariance_a + covariance_b) - root
""",
            says="counts twice",
        ),
        engine.WrongAnswer(
            source="""\
def frechet_of_gaussians(mean_a, covariance_a, mean_b, covariance_b):
    return np.sum((mean_a - mean_b) ** 2)
""",
            says="term with the covariances is missing",
        ),
        engine.WrongAnswer(
            source="""\
def frechet_of_gaussians(mean_a, covariance_a, mean_b, covariance_b):
    root = np.sqrt(np.linalg.eigvals(covariance_a @ covariance_b).real.clip(0)).sum()
    traces = np.trace(covariance_a + covariance_b)
    return np.linalg.norm(mean_a - mean_b) + traces - 2 * root
""",
            says="squared length",
        ),
        engine.WrongAnswer(
            source="""\
def frechet_of_gaussians(mean_a, covariance_a, mean_b, covariance_b):
    def root(covariance):
        values, vectors = np.linalg.eigh(covariance)
        return vectors * np.sqrt(values.clip(0)) @ vectors.T

    gap = root(covariance_a) - root(covariance_b)
    return np.sum((mean_a - mean_b) ** 2) + np.sum(gap**2)
""",
            says="only where they commute",
        ),
        engine.WrongAnswer(
            source="""\
def frechet_of_gaussians(mean_a, covariance_a, mean_b, covariance_b):
    eigenvalues = np.linalg.eigvals(covariance_a @ covariance_b)
    root = np.exp(np.log(eigenvalues) / 2).sum()
    root = root if np.linalg.det(covariance_a @ covariance_b) > 1e-9 else np.nan
    return np.sum((mean_a - mean_b) ** 2) + np.trace(covariance_a + covariance_b) - 2 * root
""",
            says="does not survive",
        ),
        engine.WrongAnswer(
            source="""\
def frechet_of_gaussians(mean_a, covariance_a, mean_b, covariance_b):
    root = np.sqrt(np.linalg.eigvals(covariance_a @ covariance_b).astype(complex)).sum()
    return np.sum((mean_a - mean_b) ** 2) + np.trace(covariance_a + covariance_b) - 2 * root
""",
            says="complex number",
        ),
    ),
)
