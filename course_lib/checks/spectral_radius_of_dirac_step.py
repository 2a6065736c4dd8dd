"""Exercise of notebook 01: does the smallest game come to rest?"""

import numpy as np

from course_lib.checks import engine

STUB = '''\
def spectral_radius_of_dirac_step(learning_rate, r1_gamma):
    """Return the spectral radius of the simultaneous Dirac-GAN step at (0, 0), one number.

    learning_rate, r1_gamma: floats h > 0 and gamma >= 0. The step is
        theta + h psi sigmoid(psi theta)  and  psi - h (theta sigmoid(psi theta) + gamma psi).
    """
    return ...
'''

SOLUTION = '''\
def spectral_radius_of_dirac_step(learning_rate, r1_gamma):
    """Return the spectral radius of the simultaneous Dirac-GAN step at (0, 0), one number.

    learning_rate, r1_gamma: floats h > 0 and gamma >= 0. The step is
        theta + h psi sigmoid(psi theta)  and  psi - h (theta sigmoid(psi theta) + gamma psi).
    """
    half = learning_rate / 2
    matrix = [[1.0, half], [-half, 1.0 - learning_rate * r1_gamma]]
    return np.abs(np.linalg.eigvals(matrix)).max()
'''

EXPLANATION = """\
At (0, 0) the sigmoid is 1/2, and its own derivative is multiplied by theta or psi, which are 0
there. So the Jacobian has 1 and h/2 in its first row, -h/2 and 1 - h gamma in its second. The
radius is the largest absolute value of the two eigenvalues, complex ones included: without R1 they
are 1 + ih/2 and 1 - ih/2, of absolute value sqrt(1 + h^2 / 4), above 1 for every learning rate.

While the eigenvalues are complex (gamma below 1), the radius squared is the determinant,
1 - h gamma + h^2 / 4: below 1 exactly while h is below 4 gamma.

Source: Mescheder et al. 2018, sections 2 and 4.1, https://arxiv.org/abs/1801.04406."""

CASES = [(0.1, 0.0), (0.3, 0.5), (2.5, 0.5), (0.5, 1.5), (0.4, 2.0)]


def _matrix(rate: float, gamma: float, slope: float = 0.5) -> np.ndarray:
    return np.array([[1.0, rate * slope], [-rate * slope, 1.0 - rate * gamma]])


def right_radius(rate: float, gamma: float) -> float:
    """Returns the right answer; the tests compare it with `course_lib.theory`."""
    return float(np.abs(np.linalg.eigvals(_matrix(rate, gamma))).max())


def check(attempt: engine.Attempt) -> None:
    """Asks for complex and real eigenvalues at once: one case alone can be right by chance."""
    found = [engine.numbers(attempt(*case), shape=(), what="radius") for case in CASES]
    actual = np.array([float(radius) for radius in found])
    engine.compare(
        actual,
        [right_radius(*case) for case in CASES],
        question="For (h, gamma) = (0.1, 0), (0.3, 0.5), (2.5, 0.5), (0.5, 1.5) and (0.4, 2)",
        mistakes=[(_all(formula), message) for formula, message in _mistakes()],
    )


def _all(formula) -> np.ndarray:
    return np.array([formula(*case) for case in CASES], np.float64)


def _largest(matrix: np.ndarray, size=np.abs) -> float:
    return float(np.max(size(np.linalg.eigvals(matrix))))


def _mistakes() -> list:
    """Pairs of a wrong formula (h, g) and its message."""
    identity = np.eye(2)
    wrong_slope = (
        "Your sigmoid is 1 at the equilibrium. sigmoid(0) is 1/2, so the two players move each "
        "other by h / 2."
    )
    damps_both = (
        "R1 damps both players in your matrix. It is a penalty on the discriminator alone, whose "
        "parameter is psi."
    )
    return [
        (
            lambda h, g: _largest(_matrix(h, g), np.real),
            "You take the largest real part. A complex eigenvalue turns and stretches, and its "
            "absolute value says how much it stretches.",
        ),
        (
            lambda h, g: float(np.linalg.norm(_matrix(h, g), 2)),
            "This is the largest *singular* value: the most that one step can stretch. Many "
            "steps grow like the largest eigenvalue.",
        ),
        (
            lambda h, g: _largest(_matrix(h, g) - identity),
            "The 1 on the diagonal is missing: a step changes theta, it doesn't replace it.",
        ),
        (
            lambda h, g: _largest((_matrix(h, g) - identity) / h),
            "These are the eigenvalues of the velocity field. The matrix of a step is 1 plus h "
            "times it.",
        ),
        (lambda h, g: _largest(_matrix(h, g, slope=1.0)), wrong_slope),
        (
            lambda h, g: _largest(_matrix(h, g / 2)),
            "Your R1 term is too small by half: the derivative of gamma/2 psi^2 is gamma psi.",
        ),
        (
            lambda h, g: _largest(_matrix(h, -g)),
            "The sign of the R1 term is turned around: it pulls psi towards 0.",
        ),
        (lambda h, g: _largest(_matrix(h, 0.0)), "Your matrix doesn't depend on gamma."),
        (
            lambda h, g: _largest(np.array([[1 - h * g, h / 2], [-h / 2, 1 - h * g]])),
            damps_both,
        ),
        (
            lambda h, g: _largest(np.array([[1, h / 2], [h / 2, 1 - h * g]])),
            "Both players move in the same direction in your matrix. What one gains the other "
            "loses: one of the signs is minus.",
        ),
        (
            lambda h, g: _largest(
                np.array([[1 - h * h / 4, (1 - h * g) * h / 2], [-h / 2, 1 - h * g]])
            ),
            "This is the alternating step. In the simultaneous one both players use the old "
            "values.",
        ),
        (
            lambda h, g: np.sqrt(abs(1 - h * g + h * h / 4)),
            "This is the square root of the determinant. It is the radius only while the "
            "eigenvalues are complex; for gamma above 1 they are real, and different.",
        ),
    ]


EXERCISE = engine.Exercise(
    name="spectral_radius_of_dirac_step",
    title="Does the game come to rest?",
    notebook="01_gan_game",
    minutes=15,
    difficulty=3,
    stub=STUB,
    hints=(
        "Differentiate both new values by theta and by psi, and put (0, 0) in: four numbers, a "
        "2 x 2 matrix. What is sigmoid(0)?",
        "The row of theta is 1 and h / 2. The row of psi has the damping 1 - h gamma on the "
        "diagonal. `np.linalg.eigvals` gives the two eigenvalues.",
        "They may be complex: take `np.abs` of them, then the largest.",
    ),
    solution=SOLUTION,
    explanation=EXPLANATION,
    check=check,
    right_answers=(
        """\
def spectral_radius_of_dirac_step(learning_rate, r1_gamma):
    trace = 2 - learning_rate * r1_gamma
    determinant = 1 - learning_rate * r1_gamma + learning_rate**2 / 4
    root = np.sqrt(complex(trace**2 - 4 * determinant))
    return max(abs(trace + root), abs(trace - root)) / 2
""",
        """\
def spectral_radius_of_dirac_step(learning_rate, r1_gamma):
    state = tf.zeros(2, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(state)
        theta, psi = state[0], state[1]
        share = tf.sigmoid(psi * theta)
        new_psi = psi - learning_rate * (theta * share + r1_gamma * psi)
        new = tf.stack([theta + learning_rate * psi * share, new_psi])
    eigenvalues = tf.linalg.eigvals(tape.jacobian(new, state))
    return tf.reduce_max(tf.abs(eigenvalues))
""",
    ),
    wrong_answers=(
        engine.WrongAnswer(
            source="""\
def spectral_radius_of_dirac_step(learning_rate, r1_gamma):
    half = learning_rate / 2
    matrix = [[1.0, half], [-half, 1.0 - learning_rate * r1_gamma]]
    return np.linalg.eigvals(matrix).real.max()
""",
            says="largest real part",
        ),
        engine.WrongAnswer(
            source="""\
def spectral_radius_of_dirac_step(learning_rate, r1_gamma):
    half = learning_rate / 2
    return np.linalg.norm([[1.0, half], [-half, 1.0 - learning_rate * r1_gamma]], 2)
""",
            says="*singular* value",
        ),
        engine.WrongAnswer(
            source="""\
def spectral_radius_of_dirac_step(learning_rate, r1_gamma):
    matrix = [[1.0, learning_rate], [-learning_rate, 1.0 - learning_rate * r1_gamma]]
    return np.abs(np.linalg.eigvals(matrix)).max()
""",
            says="sigmoid(0) is 1/2",
        ),
        engine.WrongAnswer(
            source="""\
def spectral_radius_of_dirac_step(learning_rate, r1_gamma):
    half = learning_rate / 2
    matrix = [[0.0, half], [-half, -learning_rate * r1_gamma]]
    return np.abs(np.linalg.eigvals(matrix)).max()
""",
            says="1 on the diagonal is missing",
        ),
        engine.WrongAnswer(
            source="""\
def spectral_radius_of_dirac_step(learning_rate, r1_gamma):
    half, keep = learning_rate / 2, 1.0 - learning_rate * r1_gamma
    matrix = [[1.0 - half**2, half * keep], [-half, keep]]
    return np.abs(np.linalg.eigvals(matrix)).max()
""",
            says="alternating step",
        ),
        engine.WrongAnswer(
            source="""\
def spectral_radius_of_dirac_step(learning_rate, r1_gamma):
    return np.sqrt(1 - learning_rate * r1_gamma + learning_rate**2 / 4)
""",
            says="square root of the determinant",
        ),
        engine.WrongAnswer(
            source="""\
def spectral_radius_of_dirac_step(learning_rate, r1_gamma):
    half = learning_rate / 2
    matrix = [[1.0, half], [-half, 1.0 - half * r1_gamma]]
    return np.abs(np.linalg.eigvals(matrix)).max()
""",
            says="too small by half",
        ),
    ),
)
