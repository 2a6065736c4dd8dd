"""The mathematics of the GAN game on small examples: NumPy float64 in, numbers out.

Densities are arrays over an even grid, with the grid's `spacing`; logits are log-odds that a point
is real, in nats. The Dirac-GAN is the smallest game there is: real data at 0, generated data at
theta, a linear discriminator D(x) = psi * x (Mescheder et al. 2018, section 2,
https://arxiv.org/abs/1801.04406).
"""

import math

import numpy as np

LOG_2 = math.log(2.0)
FAR = 1e12  # a trajectory that comes this far has diverged; further steps would only overflow


def softplus(values):
    """Returns log(1 + exp(values)), finite for values of any finite size; float64."""
    return np.logaddexp(0.0, np.asarray(values, np.float64))


def sigmoid(values):
    """Returns 1 / (1 + exp(-values)), in [0, 1], without overflow; float64."""
    return np.exp(-softplus(-np.asarray(values, np.float64)))


# Two densities and a discriminator ----------------------------------------------------------------


def gaussian(x, mean, sigma):
    """Returns the normal density at x, float64; sigma > 0 is the standard deviation."""
    standardised = (np.asarray(x, np.float64) - mean) / sigma
    return np.exp(-0.5 * standardised**2) / (sigma * math.sqrt(2.0 * math.pi))


def optimal_logits(p, q):
    """Returns log(p / q), the logits of the best discriminator between real p and generated q.

    Plus infinity where only p is positive, minus infinity where only q is, and 0 where neither is:
    there every answer is as good. Same shapes and source as `optimal_discriminator`.
    """
    p, q = _densities(p, q)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((p == 0) & (q == 0), 0.0, np.log(p) - np.log(q))


def optimal_discriminator(p, q):
    r"""Returns $D^*(x) = p(x) / (p(x) + q(x))$, the largest V(D, G) at every point.

    Args:
        p: density of the real data, array of any shape, at least 0.
        q: density of the generated data, the same shape.

    Returns:
        float64 probabilities that a point is real, in [0, 1]; 1/2 where both densities are 0.

    Raises:
        ValueError: on two shapes, or a negative density.

    Source: Goodfellow et al. 2014, section 4.1, proposition 1, https://arxiv.org/abs/1406.2661.
    """
    return sigmoid(optimal_logits(p, q))


def value_function(logits, p, q, spacing):
    r"""Returns $V = \int p \log\sigma(D) + q \log(1 - \sigma(D))\,dx$ for logits D on a grid.

    Args:
        logits: the discriminator on the grid, shape (points,); infinite ones are allowed.
        p, q: densities of real and generated data, shape (points,).
        spacing: distance between neighbouring points of the grid.

    Returns:
        float in nats, at most 0; -log 4 = -1.3863 for a discriminator that answers 0 everywhere.

    Source: Goodfellow et al. 2014, eq. 1, https://arxiv.org/abs/1406.2661.
    """
    p, q = _densities(p, q)
    logits = np.asarray(logits, np.float64)
    # Where a density is 0 its term is 0, even if the discriminator is infinitely wrong there.
    real_part = np.where(p > 0, p * softplus(np.where(p > 0, -logits, 0.0)), 0.0)
    fake_part = np.where(q > 0, q * softplus(np.where(q > 0, logits, 0.0)), 0.0)
    return -float(np.sum(real_part + fake_part)) * spacing


def js_divergence(p, q, spacing=1.0):
    r"""Returns the Jensen-Shannon divergence, in nats, from 0 (equal) to log 2 (nothing shared).

    $$\mathrm{JSD}(p, q) = \tfrac12 \mathrm{KL}(p \,\|\, m) + \tfrac12 \mathrm{KL}(q \,\|\, m),
      \quad m = (p + q) / 2$$

    Args:
        p, q: densities on a grid, or probabilities (then spacing is 1), shape (points,).
        spacing: distance between neighbouring points of the grid.

    Source: Lin 1991, IEEE Transactions on Information Theory 37(1).
    """
    p, q = _densities(p, q)
    middle = (p + q) / 2
    return 0.5 * spacing * float(np.sum(_relative(p, middle) + _relative(q, middle)))


def wasserstein_distance(p, q, spacing):
    r"""Returns the Wasserstein-1 distance of two densities on a line, in units of x.

    $W_1 = \int |P(x) - Q(x)|\,dx$ with the distribution functions P and Q; the distance that mass
    has to be moved, on average, to turn one into the other.

    Args: as in `js_divergence`.
    """
    p, q = _densities(p, q)
    return float(np.sum(np.abs(np.cumsum(p - q)))) * spacing**2


def _densities(p, q):
    p, q = np.asarray(p, np.float64), np.asarray(q, np.float64)
    if p.shape != q.shape:
        raise ValueError(f"p and q must have the same shape, got {p.shape} and {q.shape}.")
    if not (np.all(p >= 0) and np.all(q >= 0)):  # written so that NaN fails as well
        smallest = np.minimum(np.min(p), np.min(q))  # nan if there is one
        raise ValueError(f"a density is at least 0 everywhere, got {smallest}.")
    return p, q


def _relative(p, middle):
    """p log(p / middle), and 0 where p is 0 or so small that its half is."""
    ratio = np.divide(p, middle, out=np.ones_like(p), where=(p > 0) & (middle > 0))
    return p * np.log(ratio)


# Losses against one logit -------------------------------------------------------------------------


def _minimax(fake, real):
    return -softplus(fake), -sigmoid(fake), softplus(fake), sigmoid(fake)


def _nonsaturating(fake, real):
    return softplus(-fake), -sigmoid(-fake), softplus(fake), sigmoid(fake)


def _least_squares(fake, real):
    return 0.5 * (fake - 1) ** 2, fake - 1, 0.5 * fake**2, fake


def _wasserstein(fake, real):
    return -fake, -np.ones_like(fake), fake, np.ones_like(fake)


def _hinge(fake, real):
    return -fake, -np.ones_like(fake), np.maximum(0.0, 1 + fake), np.where(fake > -1, 1.0, 0.0)


def _relativistic(fake, real):
    gap = fake - real
    return softplus(-gap), -sigmoid(-gap), softplus(gap), sigmoid(gap)


LOSS_CURVES = {
    "minimax": _minimax,
    "nonsaturating": _nonsaturating,
    "least_squares": _least_squares,
    "wasserstein": _wasserstein,
    "hinge": _hinge,
    "relativistic": _relativistic,
}


def loss_curves(family, fake_logits, real_logit=0.0):
    """Returns losses and slopes of both players for one generated image, as its logit varies.

    Args:
        family: a key of `LOSS_CURVES`; the names are those of `course_lib.losses.FAMILIES`.
        fake_logits: logits of the generated image, array of any shape.
        real_logit: logit of the real image it is paired with; only "relativistic" looks at it.

    Returns:
        Dict of float64 arrays of that shape: `generator_loss`, `generator_slope`,
        `discriminator_loss` (its part that depends on the generated image) and
        `discriminator_slope`; slopes are derivatives with respect to the generated image's logit.

    Raises:
        ValueError: on another family; the message has their names.
    """
    if family not in LOSS_CURVES:
        raise ValueError(f"family must be one of {', '.join(LOSS_CURVES)}, got {family!r}.")
    names = ("generator_loss", "generator_slope", "discriminator_loss", "discriminator_slope")
    values = LOSS_CURVES[family](np.asarray(fake_logits, np.float64), float(real_logit))
    return dict(zip(names, values, strict=True))


# The Dirac-GAN ------------------------------------------------------------------------------------


def dirac_step(theta, psi, learning_rate, r1_gamma=0.0, *, alternating=False):
    r"""Returns (theta, psi) after one update of both players by gradient descent.

    The discriminator minimises $\log 2 + \operatorname{softplus}(\psi\theta) + \gamma\psi^2/2$,
    the generator the minimax loss $-\operatorname{softplus}(\psi\theta)$. With `alternating` the
    generator answers the new discriminator, as in training; otherwise both move at once.

    Args:
        theta, psi: floats, the parameters of generator and discriminator.
        learning_rate: step size of both.
        r1_gamma: weight gamma of the R1 penalty.

    Source: Mescheder et al. 2018, sections 2 and 4.1, https://arxiv.org/abs/1801.04406; there the
        sign of D is the opposite one, so psi is -psi.
    """
    share = _sigmoid_of_one(psi * theta)
    new_psi = psi - learning_rate * (theta * share + r1_gamma * psi)
    if alternating:
        psi, share = new_psi, _sigmoid_of_one(new_psi * theta)
    return theta + learning_rate * psi * share, new_psi


def dirac_step_matrix(learning_rate, r1_gamma=0.0, *, alternating=False):
    """Returns the Jacobian of `dirac_step` at its equilibrium (0, 0), float64 (2, 2).

    Rows and columns are theta, psi. One step near the equilibrium multiplies the state by it.
    """
    half = learning_rate / 2  # the sigmoid is 1/2 at the equilibrium
    keep = 1.0 - learning_rate * r1_gamma
    if alternating:
        return np.array([[1.0 - half**2, half * keep], [-half, keep]])
    return np.array([[1.0, half], [-half, keep]])


def spectral_radius(matrix):
    """Returns the largest absolute value of the eigenvalues, complex ones included: float.

    Repeated steps x -> matrix @ x shrink every x if it is below 1, and grow almost all above 1.
    """
    return float(np.max(np.abs(np.linalg.eigvals(np.asarray(matrix, np.float64)))))


def dirac_trajectory(start, steps, learning_rate, r1_gamma=0.0, *, alternating=False):
    """Returns the states from `start` on, float64 (at most steps + 1, 2): columns theta, psi.

    It ends early where a coordinate passes 1e12: the game has diverged.
    """
    states = [(float(start[0]), float(start[1]))]
    while len(states) <= steps and max(map(abs, states[-1])) < FAR:
        state = dirac_step(*states[-1], learning_rate, r1_gamma, alternating=alternating)
        states.append(state)
    return np.array(states)


def measured_growth(learning_rate, r1_gamma=0.0, *, alternating=False, steps=2000, distance=1e-6):
    """Returns the mean growth factor per step of the distance from the equilibrium: float.

    The game itself is played, not its matrix: after each step the state is pulled back to
    `distance` from the equilibrium, along its direction, so that it stays where the theory
    speaks. The first half of the steps is left out, because the direction has to settle.
    Rarely, exactly 0: the state has fallen into the equilibrium.
    """
    theta, psi, logarithm = 0.8 * distance, 0.6 * distance, 0.0
    for step in range(steps):
        theta, psi = dirac_step(theta, psi, learning_rate, r1_gamma, alternating=alternating)
        growth = math.hypot(theta, psi) / distance
        if growth == 0:
            return 0.0
        theta, psi = theta / growth, psi / growth
        if step >= steps // 2:
            logarithm += math.log(growth)
    return math.exp(logarithm / (steps - steps // 2))


def _sigmoid_of_one(value):
    """`sigmoid` of one float, ten times as fast: a trajectory has thousands."""
    if value >= 0:
        return 1.0 / (1.0 + math.exp(-value))
    exponential = math.exp(max(value, -745.0))  # exp of less is 0
    return exponential / (1.0 + exponential)
