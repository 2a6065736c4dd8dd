"""Features: the resize protocol, independence of batching, and what the distance reacts to."""

import numpy as np
import pytest
from scipy import special

from course_lib import features, metrics, shipped
from course_lib.datasets import avatars, images


@pytest.fixture(scope="module")
def faces():
    return images.to_float(avatars.make(300, size=64, seed=99)[0])


@pytest.fixture(scope="module")
def face_features(faces):
    return features.extract(faces)


def test_features_are_finite_float32_and_not_negative(face_features):
    assert face_features.shape == (300, 256) and face_features.dtype == np.float32
    assert np.isfinite(face_features).all() and face_features.min() >= 0


def test_features_do_not_depend_on_the_batch(faces, face_features):
    few = features.extract(faces[:7], batch_size=3)
    np.testing.assert_allclose(few, face_features[:7], rtol=1e-4, atol=1e-5)


def test_attributes_are_read_from_features_as_from_the_images(faces, face_features):
    from_images = features.predict_attributes(faces)
    from_features = features.read_attributes(face_features)
    assert list(from_features) == list(from_images) == list(avatars.ATTRIBUTES)
    for name, codes in from_images.items():
        np.testing.assert_array_equal(from_features[name], codes)
    truth = avatars.make(300, size=64, seed=99)[1]
    assert (from_features["glasses"] == truth["glasses"]).mean() > 0.99


def test_attributes_of_something_else_than_features_are_refused():
    with pytest.raises(ValueError, match=r"shape \(count, 256\), got \(3, 255\)"):
        features.read_attributes(np.zeros((3, 255)))
    with pytest.raises(ValueError, match=r"got \(256,\)"):
        features.read_attributes(np.zeros(256))


def test_shrinking_averages_and_keeps_the_mean(faces):
    small = features.resize(faces, 32)
    rows = (faces[:, 1:-2:2] + 3 * faces[:, 2:-1:2] + 3 * faces[:, 3::2])[:, :30] / 8
    rows = rows + faces[:, 4::2][:, :30] / 8  # the triangle filter of twice the pixel's width
    both = (rows[:, :, 1:-2:2] + 3 * rows[:, :, 2:-1:2] + 3 * rows[:, :, 3::2])[:, :, :30] / 8
    both = both + rows[:, :, 4::2][:, :, :30] / 8
    np.testing.assert_allclose(small[:, 1:-1, 1:-1], both, atol=1e-5)
    checkers = np.indices((64, 64)).sum(0) % 2 * 2.0 - 1
    grey = features.resize(np.broadcast_to(checkers[None, ..., None], (1, 64, 64, 3)), 16)
    assert np.abs(grey[:, 2:-2, 2:-2]).max() < 0.05  # without antialiasing: 1


def test_resizing_never_rounds(faces):
    assert len(np.unique(features.resize(faces[:1], 48))) > 1000


def test_the_right_size_passes_untouched(faces):
    assert features.resize(faces, 64) is faces


def test_grey_images_are_read_as_colour(faces):
    grey = faces[:4].mean(axis=-1, keepdims=True)
    np.testing.assert_allclose(features.extract(grey), features.extract(np.repeat(grey, 3, -1)))


def test_the_distance_grows_with_damage(faces, face_features):
    noise = np.random.default_rng(0).normal(size=faces.shape)
    other = features.extract(images.to_float(avatars.make(300, size=64, seed=98)[0]))
    floor = metrics.kernel_distance(other, face_features)
    distances = []
    for strength in (0.1, 0.3, 0.9):
        noisy = np.clip(faces + strength * noise, -1, 1)
        distances.append(metrics.kernel_distance(features.extract(noisy), face_features))
    assert distances == sorted(distances) and distances[-1] > 10 * abs(floor)


def test_the_distance_notices_missing_variety(faces, face_features):
    one_face = np.repeat(faces[:1], 300, axis=0)
    other = features.extract(images.to_float(avatars.make(300, size=64, seed=98)[0]))
    floor = metrics.kernel_distance(other, face_features)
    assert metrics.kernel_distance(features.extract(one_face), face_features) > 100 * abs(floor)


@pytest.mark.parametrize(
    "wrong, message",
    [
        (np.zeros((2, 64, 64, 4)), r"got \(2, 64, 64, 4\)"),
        (np.zeros((0, 64, 64, 3)), r"got \(0, 64, 64, 3\)"),
        (np.full((1, 64, 64, 3), 255.0), r"got \[255, 255\]; convert"),
        (np.full((1, 64, 64, 3), np.nan), "nan"),
    ],
)
def test_other_shapes_and_ranges_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        features.extract(wrong)


def test_log_odds_are_those_of_the_softmax(faces):
    logits = shipped.load("avatar_encoder")(faces[:4], training=False)
    contrasts = {"glasses": ("glasses", [1, 2, 3]), "right": ("pose", [2])}
    found = features.log_odds(faces[:4], contrasts)
    assert list(found) == ["glasses", "right"]
    for name, (attribute, codes) in contrasts.items():
        shares = special.softmax(np.asarray(logits[attribute], np.float64), axis=1)
        share = shares[:, codes].sum(axis=1)
        assert found[name].shape == (4,)
        np.testing.assert_allclose(special.expit(found[name]), share, atol=1e-6)


def test_log_odds_are_above_0_where_the_property_is_there(faces):
    found = features.log_odds(faces, {"glasses": ("glasses", [1, 2, 3])})["glasses"]
    truth = avatars.sample_attributes(300, seed=99)["glasses"] > 0
    assert np.mean((found > 0) == truth) > 0.95
