"""Stacked digits: every channel is a real digit, the mode is its number, the judge reads well."""

import numpy as np
import pytest

from course_lib.datasets import catalog, stacked_digits


@pytest.fixture(scope="module")
def digits():
    return catalog.load("digits")


@pytest.fixture(scope="module")
def judge(digits):
    return stacked_digits.Judge(digits, catalog.load("digits", split="test"))


def pair(digits):
    return digits.pixels, digits.labels["digit"]


def test_each_channel_is_a_digit_of_the_set_and_the_mode_is_their_number(digits):
    pixels, modes = stacked_digits.stack(*pair(digits), 50, seed=3)
    assert pixels.shape == (50, 8, 8, 3) and pixels.dtype == np.uint8 and modes.dtype == np.int64
    codes = {}
    for picture, code in zip(*pair(digits), strict=True):
        codes.setdefault(picture.tobytes(), set()).add(int(code))
    for picture, mode in zip(pixels, modes, strict=True):
        for channel, code in enumerate(f"{mode:03d}"):
            assert int(code) in codes[picture[..., channel].tobytes()]


def test_channels_are_independent_and_all_modes_occur(digits):
    _, modes = stacked_digits.stack(*pair(digits), 60_000, seed=0)
    counts = np.bincount(modes, minlength=1000)
    assert len(counts) == 1000 and 20 < counts.min() and counts.max() < 120
    shares = np.bincount(digits.labels["digit"]) / len(digits)
    for place in (100, 10, 1):
        drawn = np.bincount(modes // place % 10) / 60_000
        np.testing.assert_allclose(drawn, shares, atol=0.006)
    table = np.zeros((10, 10))
    np.add.at(table, (modes // 100, modes // 10 % 10), 1 / 60_000)
    np.testing.assert_allclose(table, np.outer(shares, shares), atol=0.002)


def test_a_picture_depends_on_seed_and_number_only(digits):
    short, few = stacked_digits.stack(*pair(digits), 5, seed=1)
    long, many = stacked_digits.stack(*pair(digits), 9, seed=1)
    np.testing.assert_array_equal(short, long[:5])
    np.testing.assert_array_equal(few, many[:5])
    assert (stacked_digits.stack(*pair(digits), 5, seed=2)[1] != few).any()
    assert stacked_digits.stack(*pair(digits), 0)[0].shape == (0, 8, 8, 3)


@pytest.mark.parametrize(
    ("digits", "codes", "count", "message"),
    [
        (np.zeros((2, 8, 8), np.uint8), [1, 2], 1, r"grey digits.*uint8 of shape \(2, 8, 8\)"),
        (np.zeros((2, 8, 8, 3), np.uint8), [1, 2], 1, r"grey digits.*\(2, 8, 8, 3\)"),
        (np.zeros((2, 8, 8, 1)), [1, 2], 1, "grey digits.*float64"),
        (np.zeros((0, 8, 8, 1), np.uint8), np.zeros(0, int), 1, r"grey digits.*\(0, 8, 8, 1\)"),
        (np.zeros((2, 8, 8, 1), np.uint8), [1, 2, 3], 1, r"each of the 2 digits.*\(3,\)"),
        (np.zeros((2, 8, 8, 1), np.uint8), [1.0, 2.0], 1, "whole number.*float64"),
        (np.zeros((2, 8, 8, 1), np.uint8), [1, 10], 1, "0 to 9. Received: 1 to 10"),
        (np.zeros((2, 8, 8, 1), np.uint8), [-1, 2], 1, "0 to 9. Received: -1 to 2"),
        (np.zeros((2, 8, 8, 1), np.uint8), [1, 2], -1, "count=-1"),
    ],
)
def test_what_cannot_be_stacked_is_named(digits, codes, count, message):
    with pytest.raises(ValueError, match=message):
        stacked_digits.stack(digits, codes, count)


def test_the_judge_s_accuracy_is_that_on_digits_it_was_not_fitted_on(digits, judge):
    test = catalog.load("digits", split="test")
    black = np.zeros(test.images.shape[:3])
    alone = np.stack([test.images[..., 0], black, black], axis=-1)
    right = judge.modes(alone) // 100 == test.labels["digit"]
    assert judge.accuracy == pytest.approx(right.mean()) and 0.98 < judge.accuracy < 1


def test_the_judge_reads_the_modes_of_unseen_digits_channel_by_channel(judge):
    stacked = catalog.load("stacked_digits", count=500, split="test", seed=4)
    modes = judge.modes(stacked.images)
    assert modes.dtype == np.int64
    assert np.mean(modes == stacked.labels["mode"]) > 0.95
    backwards = [int(f"{mode:03d}"[::-1]) for mode in modes]
    np.testing.assert_array_equal(judge.modes(stacked.images[..., ::-1]), backwards)


@pytest.mark.parametrize("shape", [(2, 16, 16, 3), (2, 8, 8, 1), (8, 8, 3)])
def test_the_judge_refuses_pictures_of_another_shape(judge, shape):
    with pytest.raises(ValueError, match="three channels of 64 pixels each. Received: shape"):
        judge.modes(np.zeros(shape))


def test_the_catalog_stacks_different_digits_for_training_and_for_testing():
    for split in ("train", "test"):
        known = {picture.tobytes() for picture in catalog.load("digits", split=split).pixels}
        pixels = catalog.load("stacked_digits", split=split, count=200).pixels
        channels = {np.ascontiguousarray(p[..., k]).tobytes() for p in pixels for k in range(3)}
        assert channels <= known
    assert catalog.load("stacked_digits", size=16, count=2).pixels.shape == (2, 16, 16, 3)
    data = catalog.load("stacked_digits", count=3, seed=1)
    assert data.classes["mode"][7] == "007" and len(data.classes["mode"]) == 1000
    assert (data.labels["mode"] != catalog.load("stacked_digits", count=3).labels["mode"]).any()
