"""Distributions in the plane: where their points lie, how often, and what is refused."""

import numpy as np
import pytest
from scipy import integrate

from course_lib.datasets import points


@pytest.mark.parametrize("name", points.NAMES)
def test_points_are_float32_inside_the_square_and_repeatable(name):
    first, again = points.load(name, 5000, seed=3), points.load(name, 5000, seed=3)
    assert first.points.shape == (5000, 2) and first.points.dtype == np.float32
    assert len(first) == 5000 and np.abs(first.points).max() < points.EXTENT
    np.testing.assert_array_equal(first.points, again.points)
    assert (first.points != points.load(name, 5000, seed=4).points).any()


@pytest.mark.parametrize("name", points.NAMES)
def test_any_part_of_the_points_is_a_fair_sample(name):
    drawn = points.load(name, 20_000).points
    np.testing.assert_allclose(drawn[:10_000].mean(0), drawn[10_000:].mean(0), atol=0.06)


@pytest.mark.parametrize(
    "name, count, sigma", [("two_gaussians", 2, 0.25), ("eight_gaussians", 8, 0.08)]
)
def test_a_mixture_has_its_modes_equally_often_with_its_sigma(name, count, sigma):
    drawn = points.load(name, 40_000)
    assert drawn.modes.shape == (count, 2) and drawn.sigma == sigma
    gaps = drawn.points[:, None] - drawn.modes[None]
    nearest = (gaps**2).sum(-1).argmin(1)
    assert np.bincount(nearest) / 40_000 == pytest.approx(np.full(count, 1 / count), abs=0.01)
    own = gaps[np.arange(40_000), nearest]
    assert own.std(axis=0) == pytest.approx([sigma, sigma], rel=0.02)


def test_the_25_gaussians_are_the_usual_benchmark_at_half_its_size():
    drawn = points.load("25_gaussians", 1000)
    assert {tuple(2 * mode) for mode in drawn.modes} == {
        (x, y) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)
    }
    assert 2 * drawn.sigma == 0.05


def test_the_ring_is_round_and_the_line_is_straight():
    radius = np.linalg.norm(points.load("ring", 20_000).points, axis=1)
    assert (radius.mean(), radius.std()) == pytest.approx((1.5, 0.06), rel=0.03)
    x, y = points.load("line", 20_000).points.T
    assert np.polyfit(x, y, 1) == pytest.approx([0.6, 0.0], abs=0.01)


@pytest.mark.parametrize("name", ["two_gaussians", "eight_gaussians"])
def test_a_density_integrates_to_one_and_is_the_histogram_of_its_points(name):
    total, _ = integrate.dblquad(
        lambda y, x: float(points.density(name, [[x, y]])[0]), -2.6, 2.6, -2.6, 2.6, epsabs=1e-3
    )
    assert total == pytest.approx(1, abs=5e-3)
    centre = points.load(name, 1).modes[0]
    drawn = points.load(name, 200_000).points
    near = (np.abs(drawn - centre) < 0.02).all(axis=1).mean() / 0.04**2
    assert points.density(name, centre[None])[0] == pytest.approx(near, rel=0.15)


def test_a_drawing_becomes_points_on_the_scale_of_the_others():
    drawn = points.from_strokes([[[-1, 0], [1, 0]]], 0.05, 5000, seed=1)
    assert drawn.name == "drawn" and drawn.modes is None and drawn.points.dtype == np.float32
    x, y = drawn.points.T
    assert x.max() == pytest.approx(2.2, abs=0.2) and np.abs(y).max() < 0.4


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: points.load("rings"), "'rings' is no distribution; there are line, ring"),
        (lambda: points.load("ring", 0), "count must be at least 1, got 0"),
        (lambda: points.density("ring", [[0, 0]]), "density of 'ring' has no closed form"),
        (lambda: points.from_strokes([], 0.1, 10), "nothing is drawn yet"),
    ],
)
def test_what_cannot_be_had_is_said(call, message):
    with pytest.raises(ValueError, match=message):
        call()
