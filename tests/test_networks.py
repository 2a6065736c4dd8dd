"""Networks: shapes, ranges, gradients to every weight, no mixing of images in a discriminator."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from course_lib import networks as networks_room
from course_lib import steps
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


# Spectral normalisation --------------------------------------------------------------------------


def largest_singular_values(network):
    kernels = [layer.layer.kernel.numpy() for layer in network.layers if hasattr(layer, "layer")]
    return [np.linalg.svd(k.reshape(-1, k.shape[-1]), compute_uv=False)[0] for k in kernels]


def test_spectral_normalisation_bounds_every_layer_inside_a_compiled_step_with_penalties():
    keras.utils.set_random_seed(0)
    discriminator = dcgan.discriminator(SHAPE, base_filters=4, batch_norm=False, spectral_norm=True)
    gan = steps.Gan.create(
        dcgan.generator(8, SHAPE, base_filters=4),
        discriminator,
        generator_optimizer=keras.optimizers.Adam(1e-3),
        discriminator_optimizer=keras.optimizers.Adam(1e-3),
        seed=0,
    )
    config = steps.GanStepConfig(latent_dim=8, loss="hinge", r1_gamma=1.0, r2_gamma=1.0)
    step, before = steps.make_gan_step(gan, config), discriminator.get_weights()
    images = tf.random.stateless_uniform((8, *SHAPE), seed=(5, 0), minval=-1.0)
    for _ in range(30):
        metrics = step(images)
    assert step.experimental_get_tracing_count() == 1
    assert all(np.isfinite(float(value)) for value in metrics.values())
    np.testing.assert_allclose(largest_singular_values(discriminator), 1, atol=0.02)
    assert len(largest_singular_values(discriminator)) == 3  # two convolutions and the last layer
    assert len(discriminator.trainable_variables) == 6
    assert any((a != b).any() for a, b in zip(before, discriminator.get_weights(), strict=True))


def test_without_the_option_no_layer_is_wrapped_and_both_normalisations_are_refused():
    assert not largest_singular_values(dcgan.discriminator(SHAPE, batch_norm=False))
    with pytest.raises(ValueError, match="spectral_norm=True needs batch_norm=False"):
        dcgan.discriminator(SHAPE, spectral_norm=True)


# Growing -----------------------------------------------------------------------------------------


def grown():
    """A pair at 16x16 and one at 32x32, whose inner layers are alike."""
    return [
        (
            dcgan.generator(8, (size, size, 3), base_filters=filters),
            dcgan.discriminator((size, size, 3), base_filters=filters, batch_norm=False),
        )
        for size, filters in ((16, 8), (32, 4))
    ]


def randomise(network):
    """Give every weight a value that no initialiser gives, statistics of batches included."""
    for number, weight in enumerate(network.weights):
        weight.assign(0.3 + tf.random.stateless_uniform(weight.shape, seed=(number, 7)))


def test_a_grown_generator_keeps_its_maps_up_to_the_layer_before_the_last():
    (small, _), (large, _) = grown()
    randomise(small)
    output = large.layers[-2].get_weights()
    taken = networks_room.carry_over(small, large, ends_at="latents")
    assert len(taken) == 4  # dense, norm, convolution, norm
    latents = tf.random.stateless_normal((3, 8), seed=(6, 0))
    maps = [
        keras.Model(network.input, network.layers[7].output)(latents) for network in (small, large)
    ]
    assert maps[0].shape == (3, 8, 8, 8)
    np.testing.assert_allclose(maps[0], maps[1], rtol=1e-5)
    for a, b in zip(output, large.layers[-2].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_grown_discriminator_keeps_its_last_layers():
    (_, small), (_, large) = grown()
    randomise(small)
    first = large.layers[1].get_weights()
    assert networks_room.carry_over(small, large, ends_at="logits") == [
        large.layers[-1].name,
        large.layers[-4].name,
    ]
    maps = tf.random.stateless_normal((3, 8, 8, 8), seed=(8, 0))
    logits = []
    for network in (small, large):
        x = maps
        for layer in network.layers[-4:]:
            x = layer(x)
        logits.append(x)
    np.testing.assert_allclose(*logits, rtol=1e-5)
    for a, b in zip(first, large.layers[1].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_nothing_is_carried_over_beyond_the_first_layer_that_differs():
    small, large = (
        keras.Sequential([keras.Input((3,)), *(keras.layers.Dense(n) for n in widths)])
        for widths in ((4, 5, 4, 2), (4, 6, 4, 2))
    )
    last = large.layers[-1].get_weights()[0]
    taken = networks_room.carry_over(small, large, ends_at="latents")
    assert taken == [large.layers[0].name]
    np.testing.assert_array_equal(large.layers[-1].get_weights()[0], last)


def test_networks_that_share_nothing_and_other_ends_are_refused():
    small, large = dcgan.generator(8, SHAPE), dcgan.generator(9, (32, 32, 3))
    with pytest.raises(ValueError, match="share no layer at the latents.*half the base_filters"):
        networks_room.carry_over(small, large, ends_at="latents")
    with pytest.raises(ValueError, match="ends_at must be 'latents' or 'logits', got 'images'"):
        networks_room.carry_over(small, large, ends_at="images")
