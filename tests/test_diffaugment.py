"""Differentiable augmentation: what each change does, worked out pixel by pixel, and its slope."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from course_lib import diffaugment

NAMES = list(diffaugment.AUGMENTATIONS)


@pytest.fixture
def images():
    return tf.random.stateless_uniform((64, 16, 8, 3), seed=(0, 0), minval=-1.0, maxval=1.0)


def seed(value=0):
    return keras.random.SeedGenerator(value)


def test_colour_is_the_formula_of_the_paper_s_code_pixel_by_pixel(images):
    changed, generator = diffaugment.colour(images, seed()).numpy(), seed()
    draws = [np.ravel(keras.random.uniform((64, 1, 1, 1), seed=generator)) for _ in range(3)]
    for k in range(64):
        brightness, saturation, contrast = (float(draw[k]) for draw in draws)
        picture = images[k].numpy().astype("float64") + brightness - 0.5
        for row in picture:
            for pixel in row:
                pixel[:] = pixel.mean() + 2 * saturation * (pixel - pixel.mean())
        expected = picture.mean() + (contrast + 0.5) * (picture - picture.mean())
        np.testing.assert_allclose(changed[k], expected, atol=2e-6)
    assert all(draw.min() < 0.1 and draw.max() > 0.9 for draw in draws)
    assert np.abs(changed).max() > 1.05  # never cut


def shifted(picture, down, right):
    """The picture moved with zeros from outside, by a double loop."""
    height, width, _ = picture.shape
    moved = np.zeros_like(picture)
    for row in range(height):
        for column in range(width):
            if 0 <= row - down < height and 0 <= column - right < width:
                moved[row, column] = picture[row - down, column - right]
    return moved


def test_translation_moves_each_picture_by_up_to_an_eighth_with_grey_from_outside(images):
    changed, shifts = diffaugment.translation(images, seed()).numpy(), []
    for before, after in zip(images.numpy(), changed, strict=True):
        fitting = [
            (down, right)
            for down in range(-2, 3)
            for right in range(-1, 2)
            if (shifted(before, down, right) == after).all()
        ]
        assert len(fitting) == 1
        shifts += fitting
    assert {down for down, _ in shifts} == {-2, -1, 0, 1, 2}
    assert {right for _, right in shifts} == {-1, 0, 1}
    assert len(set(shifts)) > 10  # both axes by themselves


def test_translation_draws_both_axes_anew_in_each_call():
    """A picture with one bright pixel shows where it went."""
    dot, generator = np.zeros((64, 16, 16, 1), "float32"), seed()
    dot[:, 8, 8] = 1
    first, second = (
        np.argwhere(diffaugment.translation(tf.constant(dot), generator).numpy())[:, 1:3]
        for _ in range(2)
    )
    assert (first[:, 0] != second[:, 0]).any() and (first[:, 1] != second[:, 1]).any()


def test_cutout_clears_a_square_of_half_the_side_wherever_its_centre_lies(images):
    changed = diffaugment.cutout(images, seed()).numpy()
    corners = []
    for before, after in zip(images.numpy(), changed, strict=True):
        hole = (after == 0).all(axis=-1)
        np.testing.assert_array_equal(after[~hole], before[~hole])
        rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
        if hole.any():
            assert hole[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
            assert len(rows) <= 8 and len(columns) <= 4
            corners.append((rows[0], rows[-1], columns[0], columns[-1]))
    inside = [c for c in corners if c[0] > 0 and c[1] < 15 and c[2] > 0 and c[3] < 7]
    assert len(inside) > 5
    assert all(c[1] - c[0] == 7 and c[3] - c[2] == 3 for c in inside)
    # The centre may be at the edge: some holes are cut in half there, on all four sides.
    assert any(c[1] <= 4 for c in corners) and any(c[0] >= 11 for c in corners)
    assert any(c[3] <= 2 for c in corners) and any(c[2] >= 5 for c in corners)


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_goes_through_the_change(name):
    """Finite differences in float64, of a weighted sum of the changed pictures."""
    images = tf.random.stateless_uniform((2, 8, 8, 3), seed=(1, 0), minval=-1.0, dtype=tf.float64)
    weights = tf.random.stateless_normal(images.shape, seed=(2, 0), dtype=tf.float64)

    def total(changed):
        return tf.reduce_sum(weights * diffaugment.AUGMENTATIONS[name](changed, 3))

    with tf.GradientTape() as tape:
        tape.watch(images)
        value = total(images)
    gradient = tape.gradient(value, images).numpy()
    assert np.count_nonzero(gradient) > 150
    for place in [(0, 0, 0, 0), (0, 4, 4, 1), (1, 7, 3, 2), (1, 2, 5, 0)]:
        step = np.zeros(images.shape)
        step[place] = 1e-5
        slope = (total(images + step) - total(images - step)) / 2e-5
        assert gradient[place] == pytest.approx(float(slope), abs=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_shape_and_dtype_stay_and_every_call_draws_anew(name, images):
    generator, change = seed(), diffaugment.AUGMENTATIONS[name]
    first, second, again = (
        change(images, generator),
        change(images, generator),
        change(images, seed()),
    )
    assert first.shape == images.shape and first.dtype == images.dtype
    np.testing.assert_array_equal(first, again)
    assert (first.numpy() != second.numpy()).any()
    grey = change(images[..., :1], seed())
    assert grey.shape == (64, 16, 8, 1)


def test_several_are_applied_in_order(images):
    both, generator = diffaugment.apply(("translation", "colour"), images, seed()), seed()
    by_hand = diffaugment.colour(diffaugment.translation(images, generator), generator)
    np.testing.assert_array_equal(both, by_hand)
    assert diffaugment.apply((), images, seed()) is images


def test_unknown_names_and_bare_strings_are_refused():
    with pytest.raises(ValueError, match="augmentation 'flip'. Choose from: colour, translation"):
        diffaugment.check_names(("colour", "flip"))
    with pytest.raises(ValueError, match=r"must be a tuple, got 'colour': write \('colour',\)"):
        diffaugment.check_names("colour")
