"""The original FID, up to the download: a small graph with the same tensor names stands in."""

import io
import tarfile

import numpy as np
import pytest
import tensorflow as tf

from course_lib import inception, metrics
from course_lib.datasets.downloads import DataUnavailableError


def small_graph():
    """Pixels -> ExpandDims (which is fed) -> 2048 numbers called pool_3; other nodes around it."""
    with tf.Graph().as_default() as graph:
        file = tf.compat.v1.placeholder(tf.string, [], name="DecodeJpeg/contents")
        decoded = tf.io.decode_jpeg(file, channels=3, name="DecodeJpeg")
        one = tf.expand_dims(tf.cast(decoded, tf.float32), 0, name="ExpandDims")
        means = tf.reduce_mean(one, axis=[1, 2], keepdims=True)  # (batch, 1, 1, 3)
        weights = np.arange(3 * inception.WIDTH, dtype="float32").reshape(3, -1) / 1000
        pooled = tf.nn.conv2d(means, tf.constant(weights[None, None]), 1, "VALID")
        tf.identity(pooled, name="pool_3")
        tf.reshape(pooled, [1, inception.WIDTH], name="pool_3/_reshape")  # one image, as there
    return graph.as_graph_def().SerializeToString(), weights


def archive(path, content, *, name=inception.MEMBER):
    with tarfile.open(path, "w:gz") as packed:
        for member, data in (("../LICENSE", b"outside"), (name, content)):
            info = tarfile.TarInfo(member)
            info.size = len(data)
            packed.addfile(info, io.BytesIO(data))
    return path.as_uri()


@pytest.fixture
def cache(course_cache):
    inception._load.cache_clear()
    yield course_cache
    inception._load.cache_clear()


def pictures(count, seed=0, channels=3):
    return np.random.default_rng(seed).uniform(-1, 1, (count, 8, 6, channels)).astype("float32")


def test_without_the_network_the_message_says_how_to_get_it_and_what_works(cache):
    with pytest.raises(DataUnavailableError) as caught:
        inception.extract(pictures(2))
    message = str(caught.value)
    assert "inception.fetch()" in message and "89 MB" in message
    assert "features.extract" in message and "not FID" in message


def test_a_failed_download_says_why_and_leaves_nothing(cache, tmp_path):
    with pytest.raises(DataUnavailableError, match="couldn't be downloaded from file:.*URLError"):
        inception.fetch(url=(tmp_path / "nothing.tgz").as_uri())
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("kind", ["no archive", "another archive"])
def test_something_else_than_the_archive_is_refused(cache, tmp_path, kind):
    path = tmp_path / "other.tgz"
    path.write_bytes(b"<html>") if kind == "no archive" else archive(path, b"", name="other.pb")
    with pytest.raises(DataUnavailableError, match="ReadError|KeyError"):
        inception.fetch(url=path.as_uri())
    assert list(cache.iterdir()) == []


def test_the_address_is_that_of_the_network_of_heusel_et_al():
    assert inception.URL.startswith("https://storage.googleapis.com/download.tensorflow.org/")
    assert inception.URL.endswith("models/image/imagenet/inception-2015-12-05.tgz")


def test_a_fetched_network_gives_features_of_pixels_from_0_to_255(cache, tmp_path):
    content, weights = small_graph()
    stored = inception.fetch(url=archive(tmp_path / "inception.tgz", content))
    assert [path.name for path in cache.iterdir()] == [stored.name]
    found = inception.extract(pictures(5), batch_size=2)
    pixels = np.rint((pictures(5).astype("float64") + 1) * 127.5)
    np.testing.assert_allclose(found, pixels.mean(axis=(1, 2)) @ weights, rtol=1e-4)
    assert found.shape == (5, 2048) and found.dtype == np.float32


def test_the_network_is_fetched_once(cache, tmp_path):
    content, _ = small_graph()
    first = inception.fetch(url=archive(tmp_path / "inception.tgz", content))
    assert inception.fetch(url="file:///nowhere") == first


def test_grey_pictures_are_read_as_colour(cache, tmp_path):
    inception.fetch(url=archive(tmp_path / "inception.tgz", small_graph()[0]))
    grey = pictures(3, channels=1)
    expected = inception.extract(np.repeat(grey, 3, axis=-1))
    np.testing.assert_array_equal(inception.extract(grey), expected)


def test_the_fid_is_the_frechet_distance_of_these_features(cache, tmp_path):
    inception.fetch(url=archive(tmp_path / "inception.tgz", small_graph()[0]))
    real, fake = pictures(6), 0.5 * pictures(7, seed=1)
    expected = metrics.frechet_distance(inception.extract(real), inception.extract(fake))
    assert inception.fid(real, fake) == pytest.approx(expected)


def test_a_damaged_file_is_refused(cache, tmp_path):
    path = inception.fetch(url=archive(tmp_path / "inception.tgz", small_graph()[0]))
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(DataUnavailableError, match="is damaged.*Delete it.*inception.fetch"):
        inception.extract(pictures(2))


@pytest.mark.parametrize(
    "wrong, message",
    [
        (np.zeros((2, 8, 8, 4), "float32"), r"got \(2, 8, 8, 4\)"),
        (np.zeros((0, 8, 8, 3), "float32"), r"got \(0, 8, 8, 3\)"),
        (np.full((1, 8, 8, 3), 255.0), "values from 255 to 255"),
    ],
)
def test_other_shapes_and_ranges_are_refused(cache, tmp_path, wrong, message):
    inception.fetch(url=archive(tmp_path / "inception.tgz", small_graph()[0]))
    with pytest.raises(ValueError, match=message):
        inception.extract(wrong)
