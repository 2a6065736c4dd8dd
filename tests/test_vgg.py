"""The VGG shape, its scaling, and the encoders that `features.style_encoder` gives."""

import keras
import numpy as np
import pytest

from course_lib import features, shipped, style
from course_lib.datasets import catalog, downloads
from course_lib.networks import vgg


@pytest.fixture
def images():
    return np.random.default_rng(8).uniform(-1, 1, (3, 16, 24, 3)).astype("float32")


def test_the_layers_have_the_names_and_sizes_of_vgg(images):
    found = vgg.vgg(widths=(2, 3, 5), depths=(1, 2, 3))(images)
    names = ["block1_conv1", "block2_conv1", "block2_conv2"]
    names += ["block3_conv1", "block3_conv2", "block3_conv3"]
    assert list(found) == names
    assert found["block1_conv1"].shape == (3, 16, 24, 2)
    assert found["block2_conv2"].shape == (3, 8, 12, 3)
    assert found["block3_conv3"].shape == (3, 4, 6, 5)
    assert all(np.min(maps) >= 0 for maps in found.values())


def test_vgg19_has_its_layers_in_the_order_of_keras_applications():
    ours = vgg.vgg(**vgg.VGG19, caffe=True)
    theirs = keras.applications.VGG19(include_top=False, weights=None)
    shapes = {layer.name: layer.kernel.shape for layer in theirs.layers if "conv" in layer.name}
    assert {name: ours.get_layer(name).kernel.shape for name in ours.output} == shapes


def test_halving_takes_means_between_the_blocks(images):
    network = vgg.vgg(widths=(2, 1), depths=(1, 1))
    found = network(images)
    kernel = np.zeros((3, 3, 2, 1))
    kernel[1, 1, :, 0] = [1, 2]
    network.get_layer("block2_conv1").set_weights([kernel, np.zeros(1)])
    first = np.asarray(found["block1_conv1"]).reshape(3, 8, 2, 12, 2, 2).mean((2, 4))
    np.testing.assert_allclose(
        network(images)["block2_conv1"][..., 0], first @ [1, 2], rtol=1e-4, atol=1e-6
    )


def test_the_caffe_layer_prepares_pictures_as_keras_applications_does(images):
    network = vgg.vgg(widths=(3,), depths=(1,), caffe=True)
    prepared = network.get_layer("caffe")(images)
    expected = keras.applications.vgg19.preprocess_input((images.copy() + 1) * 127.5)
    np.testing.assert_allclose(prepared, expected, rtol=1e-4, atol=1e-3)
    assert not network.get_layer("caffe").trainable


def test_scaling_gives_every_channel_the_mean_1_and_changes_no_pattern(images):
    keras.utils.set_random_seed(9)
    network = vgg.vgg(widths=(4, 5), depths=(2, 2))
    for name in network.output:
        layer = network.get_layer(name)
        layer.set_weights([layer.get_weights()[0], np.linspace(0.1, 1, layer.bias.shape[0])])
    before = {name: np.asarray(maps, "float64") for name, maps in network(images).items()}
    vgg.scale_channels(network, images)
    for name, maps in network(images).items():
        np.testing.assert_allclose(np.mean(maps, axis=(0, 1, 2)), 1, rtol=1e-3)
        expected = before[name] / before[name].mean((0, 1, 2))
        np.testing.assert_allclose(maps, expected, rtol=1e-2, atol=1e-3)


def test_a_channel_that_is_silent_stays_silent_and_disturbs_nothing(images):
    keras.utils.set_random_seed(9)
    network = vgg.vgg(widths=(3, 2), depths=(1, 1))
    layer = network.get_layer("block1_conv1")
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel, np.array([-100.0, 0.5, 0.5])])
    before = np.asarray(network(images)["block2_conv1"])
    vgg.scale_channels(network, images)
    found = network(images)
    assert np.max(found["block1_conv1"][..., 0]) == 0
    wanted = before / before.mean((0, 1, 2))
    np.testing.assert_allclose(found["block2_conv1"], wanted, rtol=1e-2, atol=1e-3)


# The encoders -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def photographs():
    return catalog.load("photographs", size=64).images


@pytest.mark.parametrize("kind", ["own", "random"])
def test_an_encoder_is_frozen_and_its_channels_have_a_mean_near_1(kind, photographs):
    encoder = features.style_encoder(kind)
    assert encoder is features.style_encoder(kind)
    assert encoder.trainable_variables == []
    for name, maps in encoder(photographs).items():
        means = np.mean(maps, axis=(0, 1, 2))
        assert 0.4 < np.median(means) < 2, name


def test_random_filters_have_the_layers_of_ours_and_follow_their_seed(photographs):
    own, random = features.style_encoder("own"), features.style_encoder("random")
    assert [w.shape for w in own.weights] == [w.shape for w in random.weights]
    assert list(own.output) == list(random.output)
    other = features.style_encoder("random", seed=1)
    features.style_encoder.cache_clear()
    again = features.style_encoder("random")
    np.testing.assert_array_equal(again.get_weights()[0], random.get_weights()[0])
    assert np.abs(other.get_weights()[0] - random.get_weights()[0]).max() > 0.1


def test_our_encoder_is_the_shipped_one():
    assert features.style_encoder("own") is shipped.load("style_encoder")
    facts = shipped.facts("style_encoder")
    assert facts["command"].startswith("python recipes/train_style_encoder.py")
    assert min(facts["share of patches placed, by block"].values()) > 50 / facts["places"]


def test_bfloat16_gives_nearly_the_same_features_in_half_the_bits(photographs):
    exact, halved = (
        features.style_encoder("own", precision=p) for p in ("float32", "mixed_bfloat16")
    )
    before = keras.config.dtype_policy().name
    found, wanted = halved(photographs[:1]), exact(photographs[:1])
    assert keras.config.dtype_policy().name == before
    for name in ("block1_conv1", "block4_conv1"):
        assert str(found[name].dtype) == "<dtype: 'bfloat16'>"
        assert 0 < float(style.relative_error(found[name], wanted[name])) < 1e-3


def test_vgg19_takes_the_weights_of_keras_applications_and_prepares_pictures(
    monkeypatch, photographs
):
    keras.utils.set_random_seed(10)
    source = keras.applications.VGG19(include_top=False, weights=None)
    asked = []

    def loaded(**arguments):
        asked.append(arguments)
        return source

    monkeypatch.setattr(keras.applications, "VGG19", loaded)
    features.style_encoder.cache_clear()
    encoder = features.style_encoder("vgg19")
    features.style_encoder.cache_clear()
    assert asked == [{"include_top": False, "weights": "imagenet"}]
    # Up to a factor for each channel, the first block is that of Keras.
    first = keras.Model(source.input, source.get_layer("block1_conv2").output)
    prepared = keras.applications.vgg19.preprocess_input((photographs[:2] + 1) * 127.5)
    wanted, found = first(prepared), encoder(photographs[:2])["block1_conv2"]
    for channel in (0, 7, 63):
        ours, theirs = (np.asarray(maps)[..., channel].ravel() for maps in (found, wanted))
        assert np.corrcoef(ours, theirs)[0, 1] > 0.9999
    assert list(encoder.output)[-1] == "block5_conv4"


def test_without_a_network_vgg19_says_what_to_do(monkeypatch):
    def failing(**arguments):
        raise Exception("URL fetch failure on https://storage")

    monkeypatch.setattr(keras.applications, "VGG19", failing)
    with pytest.raises(downloads.DataUnavailableError, match="URL fetch failure") as caught:
        features.style_encoder("vgg19")
    assert 'style_encoder("own")' in str(caught.value) and "80 MB" in str(caught.value)


def test_another_encoder_or_precision_is_refused():
    with pytest.raises(ValueError, match="own, random, vgg19, got 'resnet'"):
        features.style_encoder("resnet")
    with pytest.raises(ValueError, match="float32 or mixed_bfloat16, got 'float16'"):
        features.style_encoder("own", precision="float16")
