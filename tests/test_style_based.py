"""The style-based pair: modulation against the written-out kernel, noise, mixing, growth."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from course_lib.networks import style_based

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape).astype("float32")


def modulated_kernel(layer, w):
    """Equations 1 and 3 of StyleGAN2 for one style, with every factor written out."""
    kernel = layer.kernel.numpy().astype("float64")
    if layer.up:
        kernel = kernel.transpose(0, 1, 3, 2)
    height, width, channels, filters = kernel.shape
    taps = height * width * channels / (4 if layer.up else 1)
    affine = layer.affine.kernel.numpy().astype("float64")
    scales = w @ affine / np.sqrt(len(w)) + layer.affine.bias.numpy()
    modulated = np.zeros_like(kernel)
    for j in range(filters):
        for i in range(channels):
            modulated[:, :, i, j] = scales[i] * kernel[:, :, i, j] / np.sqrt(taps)
        if layer.demodulate:
            norm = np.sqrt((modulated[:, :, :, j] ** 2).sum() / (4 if layer.up else 1) + 1e-8)
            modulated[:, :, :, j] /= norm
    return modulated


def convolve(x, kernel):
    """Plain double loop, "same", stride 1."""
    size = kernel.shape[0]
    before = (size - 1) // 2
    padded = np.pad(x, ((before, size - 1 - before),) * 2 + ((0, 0),))
    out = np.zeros((*x.shape[:2], kernel.shape[3]))
    for row in range(x.shape[0]):
        for column in range(x.shape[1]):
            window = padded[row : row + size, column : column + size]
            out[row, column] = np.tensordot(window, kernel, 3)
    return out


def convolve_up(x, kernel):
    """Transposed convolution, stride 2, "same": every input pixel paints a scaled kernel."""
    height, width, _ = x.shape
    size = kernel.shape[0]
    out = np.zeros((2 * height + size - 2, 2 * width + size - 2, kernel.shape[3]))
    for row in range(height):
        for column in range(width):
            patch = np.einsum("i,hvij->hvj", x[row, column], kernel)
            out[2 * row : 2 * row + size, 2 * column : 2 * column + size] += patch
    before = (size - 2) // 2
    return out[before : before + 2 * height, before : before + 2 * width]


@pytest.mark.parametrize("demodulate", [True, False])
@pytest.mark.parametrize(("kernel_size", "up"), [(1, False), (3, False), (4, True)])
def test_a_modulated_convolution_is_one_with_the_modulated_kernel(kernel_size, up, demodulate):
    keras.utils.set_random_seed(1)
    layer = style_based.ModulatedConv2D(5, kernel_size, up=up, demodulate=demodulate)
    x, w = normal(2, 6, 6, 3), normal(2, 4)
    found = layer([x, w]).numpy()
    for image in range(2):
        kernel = modulated_kernel(layer, w[image])
        expected = (convolve_up if up else convolve)(x[image], kernel)
        np.testing.assert_allclose(found[image], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("up", [False, True])
def test_demodulated_features_keep_unit_variance_whatever_the_style(up):
    keras.utils.set_random_seed(2)
    layer = style_based.ModulatedConv2D(16, 4 if up else 3, up=up)
    y = layer([normal(64, 16, 16, 8), 30 * normal(64, 4)]).numpy()[:, 2:-2, 2:-2]
    assert abs(y.std() - 1) < 0.05


def test_noise_does_nothing_at_first_then_is_fresh_in_training_and_fixed_at_inference():
    layer = style_based.Noise(seed=0)
    x = normal(2, 4, 4, 3)
    np.testing.assert_array_equal(layer(x, training=True), x)
    layer.strength.assign(0.5)
    first, second = (layer(x, training=True).numpy() - x for _ in range(2))
    assert np.abs(first - second).max() > 0.1 and np.abs(first[0] - first[1]).max() > 0.1
    np.testing.assert_allclose(first[..., 0], first[..., 2], atol=1e-6)  # one map, all channels
    fixed = layer(x).numpy() - x
    np.testing.assert_array_equal(layer(x).numpy() - x, fixed)
    np.testing.assert_allclose(fixed[0, :, :, 0], 0.5 * layer.fixed[0, :, :, 0], atol=1e-6)


def test_mixing_copies_the_style_at_inference_and_takes_the_neighbours_tail_in_training():
    layer = style_based.StyleMixing(5, 0.5, seed=0)
    w = np.arange(400, dtype="float32")[:, None]
    np.testing.assert_array_equal(layer(w)[:, :, 0], np.repeat(w, 5, axis=1))
    styles = layer(w, training=True).numpy()[:, :, 0]
    mixed = styles != w
    np.testing.assert_array_equal(styles[mixed], np.repeat(np.roll(w, 1), 5, 1)[mixed])
    assert not mixed[:, 0].any()  # the first layer is always the image's own
    assert (np.diff(mixed.astype(int), axis=1) >= 0).all()  # a tail, without gaps
    assert 0.4 < mixed[:, -1].mean() < 0.6
    starts = mixed.argmax(axis=1)[mixed[:, -1]]
    assert set(starts) == {1, 2, 3, 4}


def test_no_style_is_mixed_with_share_zero_and_all_with_one():
    w = np.arange(20, dtype="float32")[:, None]
    assert not (style_based.StyleMixing(3, 0.0)(w, training=True).numpy()[:, :, 0] != w).any()
    assert (style_based.StyleMixing(3, 1.0)(w, training=True).numpy()[:, -1] != w).all()


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_outside_0_to_1_is_refused(share):
    with pytest.raises(ValueError, match=rf"mixing must be a share in \[0, 1\], got {share}"):
        style_based.StyleMixing(3, share)


def test_scaled_weights_have_unit_variance_and_the_rate_scales_the_update_alone():
    keras.utils.set_random_seed(3)
    x = normal(500, 256)
    for rate in (1.0, 0.1):
        layer = style_based.ScaledDense(200, rate=rate, bias=2.0)
        y = layer(x).numpy()
        assert abs(y.std() - 1) < 0.05 and abs(y.mean() - 2) < 0.05
        assert abs(layer.kernel.numpy().std() * rate - 1) < 0.02
        before = layer(x).numpy()
        layer.kernel.assign_add(np.full(layer.kernel.shape, 0.01, "float32"))
        moved = layer(x).numpy() - before
        np.testing.assert_allclose(
            moved[:, 0], rate * 0.01 * x.sum(axis=1) / 16, rtol=1e-2, atol=1e-4
        )


def test_a_scaled_convolution_keeps_unit_variance():
    keras.utils.set_random_seed(4)
    y = style_based.ScaledConv2D(32, 3)(normal(8, 16, 16, 24)).numpy()[:, 1:-1, 1:-1]
    assert abs(y.std() - 1) < 0.05


def test_a_picture_is_enlarged_by_linear_interpolation():
    keras.utils.set_random_seed(5)
    generator = style_based.generator(4, (8, 8, 3), filters=(4, 4))
    enlarge = generator.get_layer("synthesis").get_layer("enlarge_4")
    line = np.array([0.0, 1.0, 2.0, 3.0], "float32")
    picture = np.broadcast_to(line[None, None, :, None], (1, 4, 4, 3))
    found = enlarge(picture).numpy()[0, 3, 1:-1, 1]  # the border sees zeros outside
    np.testing.assert_allclose(found, [0.25, 0.75, 1.25, 1.75, 2.25, 2.75], rtol=1e-6)
    assert not enlarge.trainable_weights


@pytest.fixture(scope="module")
def sizes():
    keras.utils.set_random_seed(6)
    shapes = ((8, 8, 3), (6, 5)), ((16, 16, 3), (6, 5, 4))
    networks = []
    for shape, filters in shapes:
        pair = (
            style_based.generator(4, shape, filters=filters, style_dim=7),
            style_based.discriminator(shape, filters=filters),
        )
        networks.append(pair)
    return networks


def test_a_grown_discriminator_answers_as_the_small_one_does_to_a_smaller_picture(sizes):
    (_, small), (_, large) = sizes
    pictures = RNG.uniform(-1, 1, (3, 16, 16, 3)).astype("float32")
    style_based.grow(small, large)
    expected = small(tf.nn.avg_pool2d(pictures, 2, 2, "VALID"))
    np.testing.assert_allclose(large(pictures), expected, rtol=1e-5, atol=1e-6)


def test_a_grown_generator_draws_the_small_ones_pictures_enlarged(sizes):
    (small, _), (large, _) = sizes
    style_based.grow(small, large)
    latents = normal(3, 4)
    enlarge = large.get_layer("synthesis").get_layer("enlarge_8")
    expected = np.tanh(enlarge(np.arctanh(small(latents).numpy())))
    np.testing.assert_allclose(large(latents), expected, rtol=1e-3, atol=1e-4)


def test_what_a_grown_network_starts_with_at_zero_can_learn(sizes):
    (small, small_d), (large, large_d) = sizes
    style_based.grow(small, large)
    style_based.grow(small_d, large_d)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(large_d(large(normal(3, 4), training=True), training=True))
    generator_kernel = large.get_layer("synthesis").get_layer("colour_16").kernel
    discriminator_kernel = large_d.get_layer("down_8").kernel
    for kernel in (generator_kernel, discriminator_kernel):
        assert not np.any(kernel.numpy())
    for gradient in tape.gradient(loss, [generator_kernel.value, discriminator_kernel.value]):
        assert np.abs(gradient.numpy()).max() > 0


def test_networks_that_do_not_fit_are_refused_by_the_layers_name(sizes):
    other = style_based.generator(4, (16, 16, 3), filters=(9, 5, 4), style_dim=7)
    with pytest.raises(ValueError, match=r"layer '\w+' with weights .* does not fit the large"):
        style_based.grow(sizes[0][0], other)


@pytest.mark.parametrize("build", [style_based.generator, style_based.discriminator])
def test_filters_that_do_not_fit_the_size_are_refused(build):
    arguments = (4, (32, 32, 3)) if build is style_based.generator else ((32, 32, 3),)
    with pytest.raises(ValueError, match=r"need 4 entries in filters.* got 2: \(8, 4\)"):
        build(*arguments, filters=(8, 4))


def test_the_parts_of_a_generator_give_its_pictures(sizes):
    generator = sizes[0][0]
    latents = normal(3, 4)
    w = generator.get_layer("mapping")(latents)
    assert w.shape == (3, 7)
    np.testing.assert_allclose(generator.get_layer("mapping")(5 * latents), w, rtol=1e-4, atol=1e-5)
    styles = np.repeat(np.asarray(w)[:, None], 3, axis=1)
    pictures = generator.get_layer("synthesis")(styles)
    np.testing.assert_allclose(pictures, generator(latents), rtol=1e-4, atol=1e-5)


def test_a_copy_of_a_generator_draws_the_same_with_the_same_weights(sizes):
    generator = sizes[0][0]
    copy = keras.models.clone_model(generator)
    copy.set_weights(generator.get_weights())
    latents = normal(3, 4)
    np.testing.assert_allclose(copy(latents), generator(latents), rtol=1e-5, atol=1e-6)
