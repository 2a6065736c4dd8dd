"""Fréchet terms against closed forms, optimal transport and SciPy; samples against loops."""

import numpy as np
import pytest
from scipy import linalg, optimize

from course_lib import gaussians, metrics


def covariance(width, seed, *, rank=None):
    factor = np.random.default_rng(seed).normal(size=(rank or width, width))
    return factor.T @ factor


@pytest.mark.parametrize("width", [1, 2, 5])
def test_the_terms_are_those_of_scipys_matrix_root(width):
    a, b = covariance(width, 0), covariance(width, 1)
    mean_a, mean_b = np.arange(width), np.full(width, 2.0)
    found = gaussians.frechet_terms(mean_a, a, mean_b, b)
    assert found.means == pytest.approx(sum((k - 2.0) ** 2 for k in range(width)))
    expected = np.trace(a + b) - 2 * np.trace(linalg.sqrtm(a @ b)).real
    assert found.covariances == pytest.approx(expected, rel=1e-9)
    assert found.distance == pytest.approx(found.means + found.covariances)


def test_in_one_dimension_the_terms_are_squared_differences():
    found = gaussians.frechet_terms([1.0], [[4.0]], [4.0], [[9.0]])
    assert (found.means, found.covariances) == (pytest.approx(9.0), pytest.approx(1.0))


def test_turning_a_cloud_by_ninety_degrees_costs_what_its_scales_say():
    a, b = gaussians.covariance_of((2, 1), 0), gaussians.covariance_of((2, 1), 90)
    found = gaussians.frechet_terms((0, 0), a, (0, 0), b)
    assert found.means == 0 and found.covariances == pytest.approx(2 * (2 - 1) ** 2)


def test_flat_distributions_across_each_other_are_as_far_as_their_traces():
    a, b = np.outer([1, 2], [1, 2]), np.outer([2, -1], [2, -1])
    assert gaussians.frechet_terms((0, 0), a, (0, 0), b).covariances == pytest.approx(10.0)
    assert gaussians.frechet_terms((0, 0), a, (0, 0), 4 * a).covariances == pytest.approx(5.0)


def test_no_way_of_moving_sampled_points_costs_much_less_than_the_distance():
    """The exact cost of moving 500 points onto 500 others, by the Hungarian method."""
    random = np.random.default_rng(3)
    map_a, map_b = gaussians.linear_map((1.5, 0.5), 0), gaussians.linear_map((1.0, 0.7), 60)
    a = random.normal(size=(500, 2)) @ map_a.T
    b = random.normal(size=(500, 2)) @ map_b.T + (2.0, 1.0)
    costs = ((a[:, None] - b[None]) ** 2).sum(axis=-1)
    rows, columns = optimize.linear_sum_assignment(costs)
    found = gaussians.frechet_terms((0, 0), map_a @ map_a.T, (2, 1), map_b @ map_b.T)
    assert costs[rows, columns].mean() == pytest.approx(found.distance, rel=0.05)


def test_many_pairs_at_once_give_what_each_gives_alone():
    means, covariances = gaussians.sample_moments((5, 50), 3, seed=0)
    fixed = np.array([1.0, -1.0]), covariance(2, 4)
    found = gaussians.frechet_terms(means, covariances, *fixed)
    assert found.distance.shape == (2, 3)
    for index in np.ndindex(2, 3):
        alone = gaussians.frechet_terms(means[index], covariances[index], *fixed)
        assert found.means[index] == pytest.approx(alone.means)
        assert found.covariances[index] == pytest.approx(alone.covariances)


def test_the_distance_is_that_of_features_with_these_moments():
    random = np.random.default_rng(1)
    a, b = random.normal(size=(40, 3)), 1 + random.normal(size=(30, 3)) * (1, 2, 3)
    moments = [part for x in (a, b) for part in (x.mean(axis=0), np.cov(x, rowvar=False))]
    expected = metrics.frechet_distance(a, b)
    assert gaussians.frechet_terms(*moments).distance == pytest.approx(expected, rel=1e-9)


def test_equal_distributions_are_at_zero_and_never_below():
    for seed in range(20):
        a = covariance(4, seed, rank=1 + seed % 4)
        found = gaussians.frechet_terms(np.ones(4), a, np.ones(4), a)
        assert 0 <= found.covariances < 1e-6 * np.trace(a) and found.means == 0


def test_a_turned_covariance_has_its_first_axis_at_the_angle():
    found = gaussians.covariance_of((3, 1), 30)
    along, across = np.array([np.sqrt(3) / 2, 0.5]), np.array([-0.5, np.sqrt(3) / 2])
    assert along @ found @ along == pytest.approx(9) and across @ found @ across == pytest.approx(1)
    assert along @ found @ across == pytest.approx(0, abs=1e-12)


def test_sample_moments_are_those_of_the_beginnings_of_one_list():
    means, covariances = gaussians.sample_moments((2, 7), 4, seed=5)
    points = np.random.default_rng(5).standard_normal((4, 7, 2))
    assert means.shape == (2, 4, 2) and covariances.shape == (2, 4, 2, 2)
    for i, count in enumerate((2, 7)):
        for j in range(4):
            np.testing.assert_allclose(means[i, j], points[j, :count].mean(axis=0))
            expected = np.cov(points[j, :count], rowvar=False)
            np.testing.assert_allclose(covariances[i, j], expected, atol=1e-12)


EYE, ZERO = np.eye(2), np.zeros(2)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((ZERO, np.eye(3), ZERO, EYE), r"covariance_a must have shapes .* got \(2,\) and \(3, 3\)"),
        ((ZERO, EYE, 0.0, EYE), r"mean_b and covariance_b must have shapes .* got \(\)"),
        ((ZERO, EYE, np.zeros(3), np.eye(3)), "same number of dimensions, got 2 and 3"),
        ((ZERO, EYE, ZERO, np.array([[1.0, 0.5], [0.0, 1.0]])), "covariance_b is not symmetric"),
        ((ZERO, np.diag([1.0, -0.5]), ZERO, EYE), "covariance_a has the negative eigenvalue -0.5"),
        ((np.array([0, np.nan]), EYE, ZERO, EYE), "mean_a or covariance_a has NaN"),
        ((ZERO, EYE, ZERO, np.diag([1.0, np.inf])), "mean_b or covariance_b has NaN or infinity"),
    ],
)
def test_what_is_no_distribution_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        gaussians.frechet_terms(*arguments)
