"""The mathematics of the game: against quadrature, closed forms, losses.py and real simulations."""

import math

import numpy as np
import pytest
import tensorflow as tf
from scipy import integrate, optimize, spatial, special, stats

from course_lib import losses, theory

GRID = np.linspace(-12.0, 12.0, 4801)
SPACING = 24.0 / 4800
PAIRS = [(0.0, 1.0, 2.0, 0.5), (0.0, 1.0, 0.0, 1.0), (-1.0, 0.7, 1.5, 1.2), (0.0, 1.0, 0.3, 2.0)]


def densities(mean_p, sigma_p, mean_q, sigma_q):
    return theory.gaussian(GRID, mean_p, sigma_p), theory.gaussian(GRID, mean_q, sigma_q)


def quadrature(function):
    return integrate.quad(function, -12, 12, epsabs=1e-12, limit=500)[0]


def uniforms(shift):
    """The densities of U[0, 1] and U[shift, shift + 1], which jump between points of the grid."""
    x = (np.arange(6000) + 0.5) / 1000 - 1
    return ((x > 0) & (x < 1)) * 1.0, ((x > shift) & (x < shift + 1)) * 1.0


# Functions of one number --------------------------------------------------------------------------


def test_softplus_and_sigmoid_are_scipys_and_survive_large_numbers():
    values = np.array([-1e4, -30.0, -1.5, 0.0, 0.25, 40.0, 1e4])
    np.testing.assert_allclose(theory.sigmoid(values), special.expit(values), rtol=1e-12)
    np.testing.assert_allclose(theory.softplus(values), -special.log_expit(-values), rtol=1e-12)
    np.testing.assert_array_equal(theory.sigmoid([-np.inf, np.inf]), [0, 1])


def test_the_gaussian_is_scipys():
    expected = stats.norm.pdf(GRID, 1.5, 0.4)
    np.testing.assert_allclose(theory.gaussian(GRID, 1.5, 0.4), expected, rtol=1e-12)


# Discriminators -----------------------------------------------------------------------------------


def test_the_optimal_discriminator_is_the_share_of_the_real_density():
    p, q = np.array([3.0, 1.0, 0.0, 2.0, 0.0]), np.array([1.0, 1.0, 5.0, 0.0, 0.0])
    expected = [0.75, 0.5, 0.0, 1.0, 0.5]
    np.testing.assert_allclose(theory.optimal_discriminator(p, q), expected, atol=1e-15)


@pytest.mark.parametrize("pair", PAIRS)
def test_no_other_answer_at_any_point_beats_the_optimal_discriminator(pair):
    p, q = densities(*pair)
    chosen = slice(1200, 3600, 200)
    for real, fake in zip(p[chosen], q[chosen], strict=True):
        best = optimize.minimize_scalar(
            lambda d, p=real, q=fake: -(p * math.log(d) + q * math.log(1 - d)) / (p + q),
            bounds=(1e-12, 1 - 1e-12), method="bounded", options={"xatol": 1e-12},
        ).x  # fmt: skip
        assert theory.optimal_discriminator(real, fake) == pytest.approx(best, abs=1e-5)


def test_the_optimal_logits_of_two_gaussians_are_a_parabola():
    p, q = densities(0.0, 1.0, 2.0, 0.5)
    expected = -0.5 * GRID**2 + 0.5 * ((GRID - 2) / 0.5) ** 2 + math.log(0.5)
    inner = np.abs(GRID) < 6
    np.testing.assert_allclose(theory.optimal_logits(p, q)[inner], expected[inner], atol=1e-9)


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("slope, offset", [(0.0, 0.0), (-1.5, 1.0), (3.0, -2.0)])
def test_the_value_function_is_scipys_quadrature(pair, slope, offset):
    def integrand(x):
        logit = slope * (x - offset)
        real = stats.norm.pdf(x, *pair[:2]) * special.log_expit(logit)
        return real + stats.norm.pdf(x, *pair[2:]) * special.log_expit(-logit)

    p, q = densities(*pair)
    value = theory.value_function(slope * (GRID - offset), p, q, SPACING)
    assert value == pytest.approx(quadrature(integrand), abs=1e-8)


def test_the_value_of_an_undecided_discriminator_is_minus_log_4():
    p, q = densities(0, 1, 3, 1)
    assert theory.value_function(0 * GRID, p, q, SPACING) == pytest.approx(-1.3862943611, abs=1e-9)


def test_an_infinite_logit_costs_nothing_where_it_is_right_and_everything_where_it_is_wrong():
    p, q = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    assert theory.value_function([np.inf, -np.inf], p, q, 1.0) == 0
    assert theory.value_function([-np.inf, np.inf], p, q, 1.0) == -np.inf


@pytest.mark.parametrize("pair", PAIRS)
def test_the_best_value_is_twice_the_divergence_less_log_4(pair):
    p, q = densities(*pair)
    best = theory.value_function(theory.optimal_logits(p, q), p, q, SPACING)
    divergence = theory.js_divergence(p, q, SPACING)
    assert best == pytest.approx(2 * divergence - math.log(4), abs=1e-8)


# Distances ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("pair", PAIRS)
def test_the_js_divergence_is_scipys_quadrature(pair):
    def integrand(x):
        p, q = stats.norm.pdf(x, *pair[:2]), stats.norm.pdf(x, *pair[2:])
        return (special.rel_entr(p, (p + q) / 2) + special.rel_entr(q, (p + q) / 2)) / 2

    found = theory.js_divergence(*densities(*pair), SPACING)
    assert found == pytest.approx(quadrature(integrand), abs=1e-8)


def test_the_js_divergence_of_probabilities_is_the_square_of_scipys_distance():
    p, q = np.array([0.5, 0.5, 0.0, 0.0]), np.array([0.1, 0.2, 0.7, 0.0])
    expected = spatial.distance.jensenshannon(p, q) ** 2
    assert theory.js_divergence(p, q) == pytest.approx(expected, abs=1e-12)
    assert theory.js_divergence(q, p) == pytest.approx(expected, abs=1e-12)


def test_densities_whose_half_underflows_to_0_give_no_nan():
    p, q = np.array([1.0, 5e-324, 0.0]), np.array([0.0, 0.0, 1.0])
    assert theory.js_divergence(p, q) == pytest.approx(math.log(2))


@pytest.mark.parametrize("shift", [0.0, 0.25, 1.0, 3.0])
def test_shifted_uniforms_have_the_divergence_and_distance_of_the_closed_forms(shift):
    p, q = uniforms(shift)
    assert theory.js_divergence(p, q, 0.001) == pytest.approx(min(shift, 1) * math.log(2), abs=1e-9)
    assert theory.wasserstein_distance(p, q, 0.001) == pytest.approx(shift, abs=1e-9)


@pytest.mark.parametrize("pair", [(-1.0, 0.7, 1.5, 1.2), (1.5, 1.2, -1.0, 0.7), (0, 0.5, 0, 2)])
def test_the_wasserstein_distance_is_scipys(pair):
    p, q = densities(*pair)
    expected = stats.wasserstein_distance(GRID, GRID, p, q)
    assert theory.wasserstein_distance(p, q, SPACING) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    "function",
    [theory.optimal_discriminator, theory.js_divergence,
     lambda p, q: theory.value_function(0 * p, p, q, 1.0),
     lambda p, q: theory.wasserstein_distance(p, q, 1.0)],
)  # fmt: skip
def test_negative_densities_and_other_shapes_are_refused(function):
    with pytest.raises(ValueError, match="at least 0 everywhere, got -0.5"):
        function(np.array([1.5, -0.5]), np.ones(2))
    with pytest.raises(ValueError, match="at least 0 everywhere, got nan"):
        function(np.ones(2), np.array([1.5, np.nan]))
    with pytest.raises(ValueError, match=r"got \(2,\) and \(3,\)"):
        function(np.ones(2), np.ones(3))


# Losses against one logit -------------------------------------------------------------------------


def test_the_families_are_those_of_the_losses():
    assert set(theory.LOSS_CURVES) == set(losses.FAMILIES)


@pytest.mark.parametrize("family", losses.FAMILIES)
@pytest.mark.parametrize("fake", [-6.0, -1.25, 0.0, 0.5, 4.0])
def test_losses_and_slopes_are_those_of_the_library(family, fake):
    real, discriminator_loss, generator_loss = 0.75, *losses.FAMILIES[family]
    logit, real_logit = tf.constant([fake], tf.float64), tf.constant([real], tf.float64)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(logit)
        pair = (real_logit, logit) if family == "relativistic" else (logit,)
        of_generator = generator_loss(*pair)
        of_discriminator = discriminator_loss(real_logit, logit)
    curves = theory.loss_curves(family, [fake], real_logit=real)
    assert curves["generator_loss"][0] == pytest.approx(float(of_generator), abs=1e-12)
    assert curves["generator_slope"][0] == pytest.approx(
        float(tape.gradient(of_generator, logit)[0])
    )
    slope = float(tape.gradient(of_discriminator, logit)[0])
    assert curves["discriminator_slope"][0] == pytest.approx(slope, abs=1e-12)


@pytest.mark.parametrize(
    "family, at_minus_2, at_half",
    [("minimax", 0.126928, 0.974077), ("nonsaturating", 0.126928, 0.974077),
     ("least_squares", 2.0, 0.125), ("wasserstein", -2.0, 0.5), ("hinge", 0.0, 1.5),
     ("relativistic", 0.048587, 0.474077)],
)  # fmt: skip
def test_the_discriminators_part_has_these_values(family, at_minus_2, at_half):
    real = 1.0 if family == "relativistic" else 0.0
    curves = theory.loss_curves(family, [-2.0, 0.5], real_logit=real)
    np.testing.assert_allclose(curves["discriminator_loss"], [at_minus_2, at_half], atol=1e-6)


def test_an_unknown_family_is_refused_with_all_names():
    with pytest.raises(ValueError, match="minimax, nonsaturating, .* got 'lsgan'"):
        theory.loss_curves("lsgan", [0.0])


# The Dirac-GAN ------------------------------------------------------------------------------------

SETTINGS = [
    (0.1, 0.0, False), (0.5, 0.0, False), (0.3, 0.5, False), (2.5, 0.5, False), (0.2, 3.0, False),
    (0.1, 0.0, True), (4.5, 0.0, True), (0.3, 0.5, True), (1.0, 1.5, True),
]  # fmt: skip


def played(theta, psi, rate, gamma, alternating):
    """One update with the library's losses and penalty, automatic gradients and a linear D."""
    theta, psi = tf.Variable([[theta]], dtype=tf.float64), tf.Variable([[psi]], dtype=tf.float64)
    real = tf.zeros((1, 1), tf.float64)

    def discriminator(points, training=True):
        return points @ psi

    with tf.GradientTape() as tape:
        loss = losses.minimax_discriminator_loss(discriminator(real), discriminator(theta))
        loss += 0.5 * gamma * losses.r1_penalty(discriminator, real)
    of_psi = tape.gradient(loss, psi)
    if alternating:
        psi.assign_sub(rate * of_psi)
    with tf.GradientTape() as tape:
        loss = losses.minimax_generator_loss(discriminator(theta))
    theta.assign_sub(rate * tape.gradient(loss, theta))
    if not alternating:
        psi.assign_sub(rate * of_psi)
    return theta.numpy().item(), psi.numpy().item()


@pytest.mark.parametrize("rate, gamma, alternating", SETTINGS)
def test_a_step_is_gradient_descent_on_the_losses_of_the_library(rate, gamma, alternating):
    expected = played(1.2, -0.7, rate, gamma, alternating)
    found = theory.dirac_step(1.2, -0.7, rate, gamma, alternating=alternating)
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("rate, gamma, alternating", SETTINGS)
def test_the_matrix_is_the_numerical_jacobian_of_the_step(rate, gamma, alternating):
    def step(theta, psi):
        return np.array(theory.dirac_step(theta, psi, rate, gamma, alternating=alternating))

    columns = [(step(*e) - step(*-e)) / 2e-6 for e in 1e-6 * np.eye(2)]
    found = theory.dirac_step_matrix(rate, gamma, alternating=alternating)
    np.testing.assert_allclose(found, np.stack(columns, axis=1), atol=1e-8)


def test_spectral_radii_are_those_of_the_closed_forms():
    for rate in (0.1, 1.0, 3.0):
        simultaneous = theory.spectral_radius(theory.dirac_step_matrix(rate))
        assert simultaneous == pytest.approx(math.sqrt(1 + rate**2 / 4), abs=1e-12)
        alternating = theory.spectral_radius(theory.dirac_step_matrix(rate, alternating=True))
        assert alternating == pytest.approx(1.0, abs=1e-12)
    damped = theory.spectral_radius(theory.dirac_step_matrix(0.3, 0.5))
    assert damped == pytest.approx(math.sqrt(1 - 0.3 * 0.5 + 0.3**2 / 4), abs=1e-12)


@pytest.mark.parametrize(
    "matrix, radius",
    [([[0.5, 0], [0, -2.0]], 2.0), ([[0, -3.0], [3.0, 0]], 3.0), ([[0, 5.0], [0, 0]], 0.0)],
)
def test_the_spectral_radius_counts_negative_and_complex_eigenvalues_and_no_norms(matrix, radius):
    assert theory.spectral_radius(matrix) == pytest.approx(radius, abs=1e-12)


@pytest.mark.parametrize("rate, gamma, alternating", SETTINGS)
def test_the_measured_growth_is_the_spectral_radius(rate, gamma, alternating):
    growth = theory.measured_growth(rate, gamma, alternating=alternating)
    eigenvalues = np.linalg.eigvals(theory.dirac_step_matrix(rate, gamma, alternating=alternating))
    assert growth == pytest.approx(max(abs(eigenvalues)), rel=2e-3)


def test_a_state_that_falls_into_the_equilibrium_has_growth_0(monkeypatch):
    monkeypatch.setattr(theory, "dirac_step", lambda *state, alternating: (0.0, 0.0))
    assert theory.measured_growth(0.1) == 0


def test_a_trajectory_repeats_the_step_from_its_start():
    states = theory.dirac_trajectory((1.0, -0.5), 3, 0.4, 0.2, alternating=True)
    assert states.shape == (4, 2) and states[0].tolist() == [1.0, -0.5]
    for before, after in zip(states, states[1:], strict=False):
        assert theory.dirac_step(*before, 0.4, 0.2, alternating=True) == pytest.approx(after)


def test_a_trajectory_ends_where_the_game_has_diverged():
    states = theory.dirac_trajectory((1.0, 1.0), 10_000, 3.0, 5.0)
    assert len(states) < 100 and np.isfinite(states).all()
    assert np.abs(states[-1]).max() >= 1e12 > np.abs(states[-2]).max()


@pytest.mark.parametrize("value", [-1e5, -745.0, -30.0, -0.5, 0.0, 2.0, 800.0])
def test_the_quick_sigmoid_is_the_sigmoid(value):
    assert theory._sigmoid_of_one(value) == pytest.approx(special.expit(value), abs=1e-15)
