"""Networks that change a style: their layers against loops, sizes, ranges, and what they ignore."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from course_lib.networks import transfer, vgg

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape).astype("float32")


@pytest.fixture(autouse=True)
def same_weights_in_every_test():
    keras.utils.set_random_seed(0)
    yield
    keras.mixed_precision.set_global_policy("float32")


# Layers -------------------------------------------------------------------------------------------


def test_reflection_continues_a_picture_without_repeating_its_border():
    image = normal(2, 4, 5, 3)
    padded = transfer.ReflectionPadding(3)(image).numpy()
    assert padded.shape == (2, 10, 11, 3)
    for y in range(10):
        for x in range(11):
            inner_y, inner_x = abs(y - 3), abs(x - 3)
            inner_y, inner_x = 3 - abs(3 - inner_y), 4 - abs(4 - inner_x)
            np.testing.assert_array_equal(padded[:, y, x], image[:, inner_y, inner_x])


def instance_normalised(images, gamma, beta, epsilon):
    """In float64, one picture and one channel after the other."""
    result = np.zeros(images.shape)
    for b in range(images.shape[0]):
        for c in range(images.shape[-1]):
            values = images[b, :, :, c].astype("float64")
            mean = values.sum() / values.size
            variance = ((values - mean) ** 2).sum() / values.size
            result[b, :, :, c] = gamma[c] * (values - mean) / np.sqrt(variance + epsilon) + beta[c]
    return result


@pytest.mark.parametrize(("dtype", "atol"), [("float32", 1e-5), ("mixed_bfloat16", 0.05)])
def test_instance_normalization_is_the_formula(dtype, atol):
    layer = transfer.InstanceNormalization(epsilon=0.1, dtype=dtype)
    layer.build((None, None, None, 3))
    gamma, beta = np.array([2.0, -1.0, 0.5]), np.array([0.0, 3.0, -1.0])
    layer.set_weights([gamma, beta])
    images = normal(4, 5, 6, 3) * [1.0, 0.2, 3.0] + [0.0, 1.0, -1.0]
    result = layer(images.astype("float32"))
    assert result.dtype == layer.compute_dtype
    result = tf.cast(result, tf.float32).numpy()
    expected = instance_normalised(images, gamma, beta, 0.1)
    np.testing.assert_allclose(result, expected, atol=atol, rtol=1e-4)


def test_a_flat_channel_becomes_beta():
    layer = transfer.InstanceNormalization()
    layer.build((None, None, None, 2))
    layer.set_weights([np.ones(2), np.array([0.25, -3.0])])
    result = layer(np.full((1, 4, 4, 2), 7.0, "float32")).numpy()
    np.testing.assert_allclose(result, np.broadcast_to([0.25, -3.0], result.shape), atol=1e-5)


def test_the_layers_come_back_from_their_config():
    for layer in (
        transfer.ReflectionPadding(3), transfer.InstanceNormalization(0.01),
        transfer.StyledNormalization(0.01), transfer.EnlargedConv2D(5),
    ):  # fmt: skip
        again = type(layer).from_config(layer.get_config())
        assert again.get_config() == layer.get_config()
    assert transfer.ReflectionPadding(3).get_config()["margin"] == 3
    assert transfer.InstanceNormalization(0.01).get_config()["epsilon"] == 0.01


@pytest.mark.parametrize("size", [(3, 5), (4, 4)])
def test_an_enlarged_convolution_is_nearest_neighbours_mirror_and_convolution(size):
    layer, images = transfer.EnlargedConv2D(4), normal(2, *size, 3)
    drawn = layer(images)
    larger = transfer.ReflectionPadding(1)(keras.layers.UpSampling2D(2)(images))
    expected = tf.nn.conv2d(larger, layer.kernel, 1, "VALID")
    assert drawn.shape == expected.shape == layer.compute_output_shape(images.shape)
    np.testing.assert_allclose(drawn, expected, atol=1e-5)


# One style ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(16, 16), (20, 32)])
def test_a_feed_forward_network_keeps_size_and_range(size):
    network = transfer.feed_forward(widths=(4, 6, 8), blocks=2)
    images = np.clip(normal(2, *size, 3), -1, 1)
    drawn = network(images).numpy()
    assert drawn.shape == images.shape and drawn.dtype == np.float32
    assert np.abs(drawn).max() <= 1 and drawn.std() > 0.05


def test_its_picture_is_float32_under_mixed_precision():
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    network = transfer.feed_forward(widths=(4, 6, 8), blocks=1)
    assert network(np.zeros((1, 16, 16, 3), "float32")).dtype == "float32"
    assert network.layers[2].compute_dtype == "bfloat16"


def test_a_feed_forward_network_has_the_layers_of_johnson():
    network = transfer.feed_forward()
    convolutions = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    shapes = [(layer.kernel_size[0], layer.strides[0], layer.filters) for layer in convolutions]
    around = [(9, 1, 16), (3, 2, 32), (3, 2, 64)], [(3, 1, 32), (3, 1, 16), (9, 1, 3)]
    assert shapes == [*around[0], *[(3, 1, 64)] * 10, *around[1]]
    norms = [la for la in network.layers if isinstance(la, transfer.InstanceNormalization)]
    assert len(norms) == 15  # after every convolution but the last
    assert sum(isinstance(la, keras.layers.Add) for la in network.layers) == 5
    # ReLU stands after every normalisation but the last of each residual block.
    assert sum(isinstance(la, keras.layers.ReLU) for la in network.layers) == 10


def test_contrast_and_brightness_of_the_content_make_no_difference():
    network = transfer.feed_forward(widths=(8, 8, 8), blocks=1)
    images = np.clip(normal(1, 32, 32, 3), -1, 1)
    once, dim = network(images).numpy(), network(0.5 * images + 0.3).numpy()
    assert np.abs(once - dim).mean() < 2e-3 < 0.1 < once.std()


def test_a_flat_picture_has_no_frame_and_no_chequerboard():
    # With mirrored borders every pixel of a flat picture sees the same, so all come out the same.
    network = transfer.feed_forward(widths=(8, 8, 8), blocks=1)
    drawn = network(np.full((1, 24, 24, 3), 0.4, "float32")).numpy()
    assert np.ptp(drawn, axis=(1, 2)).max() < 1e-5


def test_each_picture_of_a_batch_is_drawn_as_if_it_were_alone():
    network = transfer.feed_forward(widths=(4, 6, 8), blocks=1)
    images = np.clip(normal(3, 16, 16, 3) * np.array([0.1, 1, 3]).reshape(3, 1, 1, 1), -1, 1)
    together = network(images).numpy()
    alone = np.concatenate([network(image[None]).numpy() for image in images])
    np.testing.assert_allclose(together, alone, atol=2e-5)


# Any style ----------------------------------------------------------------------------------------


def test_statistics_are_mean_and_deviation_of_each_channel():
    features = normal(3, 4, 5, 2) * 2 + 1
    found = transfer.Statistics()(features).numpy()
    for picture, values in zip(features.astype("float64"), found, strict=True):
        for channel in range(2):
            places = picture[:, :, channel].ravel()
            mean = places.sum() / 20
            assert values[channel] == pytest.approx(mean, abs=1e-5)
            variance = ((places - mean) ** 2).sum() / 20
            assert values[2 + channel] == pytest.approx(np.sqrt(variance), rel=1e-4)


def test_a_styled_normalisation_takes_its_factors_from_each_pictures_style():
    layer = transfer.StyledNormalization(epsilon=0.1)
    layer.build([(None, None, None, 3), (None, 2)])
    gamma, beta, kernel = normal(3), normal(3), normal(2, 6)
    layer.set_weights([gamma, beta, kernel])
    images, styles = normal(2, 5, 6, 3), normal(2, 2)
    drawn = layer([images, styles]).numpy()
    for number, s in enumerate(styles):
        by_style = kernel.T @ s
        expected = instance_normalised(
            images[[number]], gamma + by_style[:3], beta + by_style[3:], 0.1
        )
        np.testing.assert_allclose(drawn[[number]], expected, atol=1e-5)


def test_without_training_no_style_changes_a_styled_normalisation():
    layer, images = transfer.StyledNormalization(), normal(2, 5, 6, 3)
    expected = transfer.InstanceNormalization()(images)
    np.testing.assert_allclose(layer([images, normal(2, 4)]), expected, atol=1e-6)


def small_decoder():
    """A decoder whose normalisations do depend on the style, as after training."""
    decoder = transfer.decoder(widths=(4, 5, 6), channels=6, blocks=1, hidden=8)
    for layer in decoder.layers:
        if isinstance(layer, transfer.StyledNormalization):
            layer.kernel.assign(0.3 * normal(*layer.kernel.shape))
    return decoder


def test_the_decoder_gives_back_the_size_that_the_encoder_took_away():
    encoder, decoder = vgg.vgg(widths=(4, 5, 6, 7)), small_decoder()
    images = np.clip(normal(2, 16, 24, 3), -1, 1)
    features = encoder(images)["block3_conv1"]
    assert features.shape == (2, 4, 6, 6)
    drawn = decoder(features)
    assert drawn.shape == images.shape and drawn.dtype == "float32"
    assert np.abs(drawn).max() <= 1


def test_the_decoder_has_the_layers_that_it_says():
    decoder = transfer.decoder()
    kinds = (keras.layers.Conv2D, transfer.EnlargedConv2D)
    shapes = [layer.kernel.shape for layer in decoder.layers if isinstance(layer, kinds)]
    assert shapes == [
        (3, 3, 128, 64), *[(3, 3, 64, 64)] * 6, (3, 3, 64, 32), (3, 3, 32, 16), (5, 5, 16, 3)
    ]  # fmt: skip
    norms = [la for la in decoder.layers if isinstance(la, transfer.StyledNormalization)]
    assert len(norms) == 9  # after every convolution but the last
    # ReLU stands after every normalisation but the last of each residual block.
    assert sum(isinstance(la, keras.layers.ReLU) for la in decoder.layers) == 6
    # Each of them reads the same thing: two dense layers on the statistics of the features.
    assert decoder.get_layer("style_0").input is decoder.get_layer("statistics").output
    assert all(norm.input[1] is decoder.get_layer("style_1").output for norm in norms)


def test_other_statistics_of_the_same_features_are_drawn_in_another_manner():
    decoder, features = small_decoder(), normal(1, 8, 8, 6)
    drawn = decoder(features).numpy()
    louder = decoder(2 * features + 1).numpy()
    assert np.abs(drawn - louder).mean() > 0.02
    # Without what reads them every normalisation takes them out again.
    for layer in decoder.layers:
        if isinstance(layer, transfer.StyledNormalization):
            layer.kernel.assign(0 * layer.kernel)
    drawn, louder = decoder(features).numpy(), decoder(2 * features + 1).numpy()
    np.testing.assert_allclose(drawn, louder, atol=1e-3)


def test_each_style_of_a_batch_is_drawn_as_if_it_were_alone():
    decoder = small_decoder()
    features = normal(3, 4, 5, 6) * np.array([0.1, 1, 3], "float32").reshape(3, 1, 1, 1)
    together = decoder(features).numpy()
    alone = np.concatenate([decoder(one[None]).numpy() for one in features])
    np.testing.assert_allclose(together, alone, atol=2e-5)


def test_the_decoder_draws_flat_features_flat():
    decoder = small_decoder()
    for layer in decoder.layers:
        if isinstance(layer, transfer.StyledNormalization):
            layer.epsilon = 1.0  # else it enlarges, 300 times, what rounding has left
    drawn = decoder(np.full((1, 4, 4, 6), 0.7, "float32")).numpy()
    assert np.ptp(drawn, axis=(1, 2)).max() < 1e-5


def test_its_statistics_are_float32_under_mixed_precision():
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    decoder = transfer.decoder(widths=(4, 5, 6), channels=6, blocks=1)
    assert decoder(np.zeros((1, 4, 4, 6), "float32")).dtype == "float32"
    assert decoder.get_layer("statistics").output.dtype == "float32"
    assert decoder.layers[3].compute_dtype == "bfloat16"
