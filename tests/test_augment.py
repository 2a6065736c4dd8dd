"""Augmentations: each against a loop in NumPy; range, targets, one draw for each picture."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from course_lib import augment

SHAPE = (40, 16, 20, 3)


@pytest.fixture
def images():
    return tf.random.stateless_uniform(SHAPE, (1, 2), -1, 1)


@pytest.fixture
def targets():
    return tf.one_hot(np.arange(SHAPE[0]) % 5, 5)


def seed(number=0):
    return keras.random.SeedGenerator(number)


def changed(name, images, targets, number=0, **settings):
    """The function's result, from a compiled call."""
    function = tf.function(augment.AUGMENTATIONS[name], autograph=False)
    new_images, new_targets = function(images, targets, seed(number), **settings)
    return new_images.numpy(), new_targets.numpy()


@pytest.mark.parametrize("name", augment.AUGMENTATIONS)
def test_shape_range_and_sum_of_targets_stay(name, images, targets):
    new_images, new_targets = changed(name, images, targets)
    assert new_images.shape == SHAPE and new_images.dtype == np.float32
    assert new_images.min() >= -1 - 1e-5 and new_images.max() <= 1 + 1e-5
    assert new_targets.shape == (40, 5)
    np.testing.assert_allclose(new_targets.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("name", augment.AUGMENTATIONS)
def test_a_seed_repeats_itself_and_goes_on(name, images, targets):
    again = [changed(name, images, targets)[0] for _ in range(2)]
    np.testing.assert_array_equal(*again)
    generator = seed()
    function = augment.AUGMENTATIONS[name]
    first, second = (function(images, targets, generator)[0].numpy() for _ in range(2))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("name", ["crop", "flip", "rotate", "colour"])
def test_what_moves_pixels_or_colours_leaves_the_targets(name, images, targets):
    np.testing.assert_array_equal(changed(name, images, targets)[1], targets)


def test_a_flip_mirrors_about_half_of_the_pictures_whole(images, targets):
    new = changed("flip", images, targets)[0]
    mirrored = [np.array_equal(a, b[:, ::-1]) for a, b in zip(new, images.numpy(), strict=True)]
    kept = [np.array_equal(a, b) for a, b in zip(new, images.numpy(), strict=True)]
    assert all(m != k for m, k in zip(mirrored, kept, strict=True))
    assert 8 <= sum(mirrored) <= 32  # 20 expected; outside with probability 1e-4


def test_a_crop_moves_each_picture_by_its_own_whole_number_of_pixels(images, targets):
    new = changed("crop", images, targets, share=0.125)[0]
    found = set()
    for moved, picture in zip(new, images.numpy(), strict=True):
        padded = np.pad(picture, ((2, 2), (2, 2), (0, 0)), mode="reflect")
        fits = [
            (down, right)
            for down in range(5)
            for right in range(5)
            if np.array_equal(padded[down : down + 16, right : right + 20], moved)
        ]
        assert len(fits) == 1
        found.add(fits[0])
    rows, columns = zip(*found, strict=True)
    assert set(rows) == set(columns) == set(range(5))  # both ends are reached, in both directions


def test_a_turn_by_0_is_none_and_a_turn_keeps_the_middle(targets):
    picture = np.zeros((40, 17, 17, 1), np.float32)
    picture[:, 8, 8] = 1
    still = changed("rotate", tf.constant(picture), targets, degrees=0.0)[0]
    np.testing.assert_allclose(still, picture, atol=1e-5)
    turned = changed("rotate", tf.constant(picture), targets, degrees=90.0)[0]
    np.testing.assert_allclose(turned[:, 8, 8], 1, atol=1e-5)


def test_turns_are_spread_over_both_sides_up_to_the_angle_asked_for(targets):
    picture = np.zeros((40, 65, 65, 1), np.float32)
    picture[:, 31:34, 50:63] = 1  # a bar to the right of the middle
    turned = changed("rotate", tf.constant(picture), targets, degrees=30.0)[0][..., 0]
    y, x = np.mgrid[:65, :65] - 32
    angles = np.degrees(np.arctan2((turned * y).sum((1, 2)), (turned * x).sum((1, 2))))
    assert 20 < angles.max() <= 31 and -31 <= angles.min() < -20 and len(set(angles)) > 30


def test_colour_is_a_line_of_each_channel(images, targets):
    new = changed("colour", images * 0.2, targets)[0]  # far from the ends: nothing is cut off
    slopes, shifts = set(), []
    for after, before in zip(new, 0.2 * images.numpy(), strict=True):
        lines = [np.polyfit(before[..., c].ravel(), after[..., c].ravel(), 1) for c in range(3)]
        np.testing.assert_allclose([line[0] for line in lines], lines[0][0], atol=1e-3)
        slopes.add(round(float(lines[0][0]), 3))
        shifts.append([line[1] for line in lines])
    assert 0.7 <= min(slopes) < 0.85 < 1.15 < max(slopes) <= 1.3
    assert np.ptp(shifts, axis=1).mean() > 0.08  # three draws from [-0.15, 0.15]: 0.15 expected
    assert np.abs(shifts).max() <= 0.45


def test_mixup_blends_a_picture_and_its_target_in_one_proportion(images, targets):
    new_images, new_targets = changed("mixup", images, targets)
    weights = []
    for k in range(40):
        a, b = images[k].numpy(), images[k - 1].numpy()
        weight = float(((new_images[k] - b) * (a - b)).sum() / ((a - b) ** 2).sum())
        np.testing.assert_allclose(new_images[k], weight * a + (1 - weight) * b, atol=1e-5)
        expected = weight * targets[k].numpy() + (1 - weight) * targets[k - 1].numpy()
        np.testing.assert_allclose(new_targets[k], expected, atol=1e-5)
        weights.append(weight)
    assert min(weights) < 0.2 and max(weights) > 0.8


def test_cutmix_takes_a_rectangle_and_its_share_of_the_target(images, targets):
    new_images, new_targets = changed("cutmix", images, targets)
    shares = []
    for k in range(40):
        from_other = (new_images[k] == images[k - 1].numpy()).all(axis=-1)
        own = (new_images[k] == images[k].numpy()).all(axis=-1)
        assert (from_other ^ own).all()
        rows, columns = from_other.any(axis=1), from_other.any(axis=0)
        np.testing.assert_array_equal(from_other, rows[:, None] & columns[None])
        share = from_other.mean()
        expected = (1 - share) * targets[k].numpy() + share * targets[k - 1].numpy()
        np.testing.assert_allclose(new_targets[k], expected, atol=1e-6)
        shares.append(share)
    assert np.mean(shares) > 0.2 and len(set(shares)) > 20


def test_several_are_applied_in_order(images, targets):
    both = augment.apply(("flip", "mixup"), images, targets, seed())
    generator = seed()
    by_hand = augment.mixup(*augment.flip(images, targets, generator), generator)
    for a, b in zip(both, by_hand, strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_unknown_name_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="no augmentation 'twist'. Choose from: crop, flip"):
        augment.check_names(("flip", "twist"))
