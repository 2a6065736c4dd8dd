"""Networks: shapes, ranges, gradients to every weight, no mixing of images in a discriminator."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from course_lib.networks import dcgan, encoder, mlp, residual, style_based

SHAPE = (16, 16, 3)


def pairs():
    return {
        "mlp": (mlp.generator(8, SHAPE), mlp.discriminator(SHAPE)),
        "dcgan": (
            dcgan.generator(8, SHAPE, base_filters=4),
            dcgan.discriminator(SHAPE, base_filters=4, batch_norm=False),
        ),
        "residual": (
            residual.generator(8, SHAPE, filters=(8, 6, 4)),
            residual.discriminator(SHAPE, filters=(4, 6, 8)),
        ),
        "style_based": (
            style_based.generator(8, SHAPE, filters=(8, 6, 4)),
            style_based.discriminator(SHAPE, filters=(8, 6, 4)),
        ),
    }


@pytest.fixture(scope="module")
def networks():
    keras.utils.set_random_seed(0)
    return pairs()


@pytest.fixture
def latents():
    return tf.random.stateless_normal((5, 8), seed=(0, 0))


@pytest.mark.parametrize("name", ["mlp", "dcgan", "residual", "style_based"])
def test_a_generator_draws_images_in_range(networks, latents, name):
    images = networks[name][0](100 * latents).numpy()
    assert images.shape == (5, *SHAPE) and images.dtype == np.float32
    assert -1 <= images.min() < images.max() <= 1


@pytest.mark.parametrize("name", ["mlp", "dcgan", "residual", "style_based"])
def test_a_discriminator_returns_one_unbounded_logit_per_image(networks, name):
    discriminator = networks[name][1]
    images = tf.random.stateless_uniform((5, *SHAPE), seed=(1, 0), minval=-1.0)
    assert discriminator(images).shape == (5, 1)
    assert getattr(discriminator.layers[-1], "activation", keras.activations.linear) is (
        keras.activations.linear
    )


@pytest.mark.parametrize("name", ["mlp", "dcgan", "residual", "style_based"])
def test_a_discriminator_judges_each_image_by_itself(networks, name):
    discriminator = networks[name][1]
    images = tf.random.stateless_uniform((5, *SHAPE), seed=(1, 0), minval=-1.0)
    together = discriminator(images, training=True)
    alone = tf.concat([discriminator(images[i : i + 1], training=True) for i in range(5)], 0)
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["mlp", "dcgan", "residual", "style_based"])
def test_every_weight_of_a_pair_can_learn(name):
    generator, discriminator = pairs()[name]
    for variable in generator.trainable_variables + discriminator.trainable_variables:
        shift = 0.02 * tf.random.stateless_normal(variable.shape, seed=(2, 0))
        variable.assign_add(shift)  # away from blocks that start at zero
    with tf.GradientTape() as tape:
        latents = tf.random.stateless_normal((4, 8), seed=(3, 0))
        logits = discriminator(generator(latents, training=True), training=True)
        loss = tf.reduce_mean(tf.nn.softplus(-logits))
    weights = generator.trainable_variables + discriminator.trainable_variables
    for weight, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
        if weight.path.startswith("residual_generator") or gradient is not None:
            assert np.abs(gradient.numpy()).max() > 0, weight.path


def test_the_mlp_pair_has_three_and_six_layers_of_weights():
    for network, count in ((mlp.generator(8, SHAPE), 3), (mlp.discriminator(SHAPE), 6)):
        dense = [layer for layer in network.layers if isinstance(layer, keras.layers.Dense)]
        assert len(dense) == count


def test_the_dcgan_generator_doubles_from_four_and_halves_its_channels():
    network = dcgan.generator(8, (32, 32, 3), base_filters=8)
    shapes = [
        layer.output.shape[1:]
        for layer in network.layers
        if isinstance(layer, keras.layers.Conv2DTranspose)
    ]
    assert shapes == [(8, 8, 16), (16, 16, 8), (32, 32, 3)]
    assert network.get_layer(index=2).output.shape[1:] == (4, 4, 32)


def test_batch_norm_is_in_the_dcgan_discriminator_only_on_request():
    def count(network):
        return sum(isinstance(x, keras.layers.BatchNormalization) for x in network.layers)

    assert count(dcgan.discriminator((32, 32, 3))) == 2  # not after the first layer
    assert count(dcgan.discriminator((32, 32, 3), batch_norm=False)) == 0


def test_a_residual_block_starts_as_the_identity():
    filters = (8, 8, 8)  # no projections: only zero branches, up-sampling and the two ends
    network = residual.generator(8, SHAPE, filters=filters)
    blocks = [layer for layer in network.layers if isinstance(layer, keras.layers.Add)]
    probe = keras.Model(network.input, [[block.input[0], block.output] for block in blocks])
    for skip, output in probe(tf.random.stateless_normal((2, 8), seed=(0, 1))):
        np.testing.assert_array_equal(skip, output)


def test_the_residual_generator_ignores_the_length_of_the_latents(networks, latents):
    generator = networks["residual"][0]
    np.testing.assert_allclose(generator(latents), generator(3 * latents), atol=1e-5)


def test_the_residual_discriminator_has_a_second_derivative(networks):
    discriminator = networks["residual"][1]
    images = tf.random.stateless_uniform((2, *SHAPE), seed=(4, 0), minval=-1.0)
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            inner.watch(images)
            logits = discriminator(images, training=True)
        penalty = tf.reduce_sum(inner.gradient(logits, images) ** 2)
    kernel = discriminator.layers[1].kernel
    assert np.abs(outer.gradient(penalty, kernel).numpy()).max() > 0


@pytest.mark.parametrize("size", [0, 3, 4, 24, 33])
@pytest.mark.parametrize("build", [dcgan.generator, lambda n, shape: dcgan.discriminator(shape)])
def test_other_sizes_are_refused_with_those_that_work(build, size):
    with pytest.raises(ValueError, match=rf"one of 8, 16, 32, .*got {size}"):
        build(8, (size, size, 3))


def test_pictures_that_are_not_square_are_refused():
    with pytest.raises(ValueError, match=r"got \(16, 32, 3\); crop"):
        dcgan.generator(8, (16, 32, 3))


@pytest.mark.parametrize(
    "build", [residual.discriminator, lambda s, **f: residual.generator(8, s, **f)]
)
def test_a_wrong_number_of_filters_is_refused(build):
    with pytest.raises(ValueError, match=r"need 3 entries in filters .* got 2: \(8, 4\)"):
        build(SHAPE, filters=(8, 4))


def test_networks_survive_a_round_trip_through_their_config():
    for pair in pairs().values():
        for network in pair:
            copy = keras.Model.from_config(network.get_config())
            assert copy.count_params() == network.count_params()


def test_the_encoder_has_features_and_one_head_per_attribute():
    network = encoder.encoder(32, {"hair": 3, "eyes": 2}, widths=(4, 8, 16))
    outputs = network(tf.zeros((2, 32, 32, 3)))
    shapes = {name: tuple(value.shape) for name, value in outputs.items()}
    assert shapes == {"features": (2, 16), "hair": (2, 3), "eyes": (2, 2)}


def test_networks_end_in_float32_under_mixed_precision():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        for generator, discriminator in pairs().values():
            images = generator(tf.zeros((1, 8)))
            assert images.dtype == tf.float32 and discriminator(images).dtype == tf.float32
    finally:
        keras.config.set_dtype_policy(policy)
