"""Colours of one picture on another."""

import numpy as np
import pytest

from course_lib import colours


@pytest.fixture
def pictures():
    random = np.random.default_rng(4)
    mixing = np.array([[0.2, 0.1, 0.0], [0.0, 0.15, 0.05], [0.1, 0.0, 0.1]])
    first = random.uniform(-1, 1, (20, 30, 3)) @ mixing
    return first, 0.3 + 0.1 * random.normal(size=(9, 11, 3)) @ mixing


def test_luminance_is_the_weighted_mean_of_bt_601():
    image = np.zeros((1, 3, 3))
    image[0] = np.eye(3)
    np.testing.assert_allclose(colours.luminance(image)[0, :, 0], [0.299, 0.587, 0.114])
    assert colours.luminance(np.full((2, 2, 3), 0.4)) == pytest.approx(np.full((2, 2, 1), 0.4))


def test_a_picture_with_other_colours_keeps_its_own_luminance(pictures):
    image, other = pictures[0], pictures[0][::-1, ::-1]
    found = colours.with_colours_of(image, other)
    assert found.dtype == np.float32 and found.shape == image.shape
    np.testing.assert_allclose(colours.luminance(found), colours.luminance(image), atol=1e-6)
    # The difference of two channels is colour, and comes from the other picture.
    np.testing.assert_allclose(found[..., 0] - found[..., 2], other[..., 0] - other[..., 2],
                               atol=1e-6)  # fmt: skip


def test_a_picture_with_its_own_colours_stays(pictures):
    found = colours.with_colours_of(pictures[0], pictures[0])
    np.testing.assert_allclose(found, pictures[0], atol=1e-6)


def test_what_would_leave_the_range_is_clipped():
    white, red = np.ones((2, 2, 3)), np.tile([1.0, -1.0, -1.0], (2, 2, 1))
    found = colours.with_colours_of(white, red)
    assert found.max() == 1 and found.min() >= -1


def test_matched_colours_have_the_mean_and_covariance_of_the_target(pictures):
    found = colours.matched(*pictures)
    assert found.shape == pictures[0].shape and found.dtype == np.float32
    assert np.abs(found).max() < 1  # nothing was clipped
    got, wanted = found.reshape(-1, 3).astype("float64"), pictures[1].reshape(-1, 3)
    np.testing.assert_allclose(got.mean(0), wanted.mean(0), atol=1e-5)
    np.testing.assert_allclose(np.cov(got.T, bias=True), np.cov(wanted.T, bias=True), atol=1e-5)


def test_colours_that_match_already_are_left_alone(pictures):
    np.testing.assert_allclose(colours.matched(pictures[0], pictures[0]), pictures[0], atol=1e-6)


def test_the_matching_is_the_same_for_every_pixel_and_moves_white_towards_white(pictures):
    """The symmetric root is the map that moves colours least: of a scaled copy, it undoes that."""
    image = pictures[0]
    found = colours.matched(image, 0.1 + 0.5 * image)
    np.testing.assert_allclose(found, 0.1 + 0.5 * image, atol=1e-4)


def test_a_picture_of_one_colour_becomes_the_mean_colour(pictures):
    found = colours.matched(np.full((4, 4, 3), 0.2), pictures[1])
    np.testing.assert_allclose(found, np.broadcast_to(pictures[1].mean((0, 1)), (4, 4, 3)),
                               atol=1e-6)  # fmt: skip


@pytest.mark.parametrize("function", [colours.with_colours_of, colours.matched])
def test_what_is_no_picture_is_refused_with_its_shape(function, pictures):
    with pytest.raises(ValueError, match=r"picture \(height, width, 3\).*\(20, 30\)"):
        function(pictures[0][..., 0], pictures[0])
    with pytest.raises(ValueError, match=r"got the shape \(30,\)"):
        function(pictures[0], np.zeros(30))


def test_colours_of_a_picture_of_another_size_are_refused(pictures):
    with pytest.raises(ValueError, match=r"same shape, got \(20, 30, 3\) and \(9, 11, 3\)"):
        colours.with_colours_of(*pictures)
