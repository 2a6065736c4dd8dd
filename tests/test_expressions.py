"""Ten classes of expressions: labels that are true, classes that are even, nuisance that varies."""

import numpy as np
import pytest

from course_lib.datasets import avatars, expressions


@pytest.fixture(scope="module")
def made():
    return expressions.make(2000, size=32, seed=4)


def test_the_classes_follow_from_mouth_and_glasses(made):
    labels = made[1]
    wears = labels["glasses"] > 0
    np.testing.assert_array_equal(labels["expression"], 2 * labels["mouth"] + wears)
    assert len(expressions.CLASSES) == 10
    for code, name in enumerate(expressions.CLASSES):
        mouth, _, glasses = name.partition(" + ")
        assert avatars.ATTRIBUTES["mouth"][code // 2] == mouth
        assert bool(glasses) == bool(code % 2)


def test_classes_and_kinds_of_glasses_are_equally_likely(made):
    counts = np.bincount(made[1]["expression"], minlength=10)
    assert ((counts - 200) ** 2 / 200).sum() < 27.9  # chi-square, 9 degrees: 1 in 1000
    kinds = np.bincount(made[1]["glasses"], minlength=4)[1:]
    assert ((kinds - kinds.mean()) ** 2 / kinds.mean()).sum() < 13.8


@pytest.mark.parametrize("name", ["skin", "hair_style", "pose", "light", "background", "beard"])
def test_glasses_say_nothing_about_the_other_attributes(made, name):
    wears, codes = made[1]["expression"] % 2, made[1][name]
    shares = np.array([wears[codes == value].mean() for value in np.unique(codes)])
    counts = np.bincount(codes)
    assert ((shares - wears.mean()) ** 2 * counts / 0.25).sum() < 24.4  # 1 in 1000 at 7 degrees


def test_a_shorter_set_is_the_beginning_of_a_longer_one(made):
    pixels, labels = expressions.make(300, size=32, seed=4)
    np.testing.assert_array_equal(pixels, made[0][:300])
    for name, codes in labels.items():
        np.testing.assert_array_equal(codes, made[1][name][:300])
    assert not np.array_equal(expressions.make(10, size=32, seed=5)[0], pixels[:10])


def test_exposure_noise_and_shadow_differ_from_picture_to_picture():
    attributes = avatars.sample_attributes(1, seed=0)
    clean = avatars.render({n: np.repeat(v, 60) for n, v in attributes.items()}, size=64)
    seen = expressions._disturb(clean, np.arange(60), 0).astype(float)
    means, grain = seen.mean(axis=(1, 2, 3)), np.diff(seen, axis=1).std(axis=(1, 2, 3))
    assert means.max() > 1.4 * means.min() and grain.max() > 1.5 * grain.min()
    shadow = seen[:, :, :32].mean(axis=(1, 2, 3)) / seen[:, :, 32:].mean(axis=(1, 2, 3))
    assert shadow.max() > 1.1 * shadow.min()
    assert seen.dtype == float and len({picture.tobytes() for picture in seen}) == 60


def test_no_pictures_are_an_empty_array():
    pixels, labels = expressions.make(0, size=32)
    assert pixels.shape == (0, 32, 32, 3) and labels["expression"].shape == (0,)
