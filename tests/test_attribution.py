"""Attribution maps against finite differences, loops, closed forms and maps known by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from scipy import stats

from course_lib import attribution
from course_lib.networks import classifiers, encoder

SHAPE = (8, 8, 3)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(-1, 1, (3, *SHAPE)).astype("float32")


@pytest.fixture(scope="module")
def targets():
    return np.array([2, 0, 1])


@pytest.fixture(scope="module")
def smooth():
    """A classifier without corners, so that differences come close to derivatives."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input(SHAPE)
    x = layers.Conv2D(4, 3, activation="tanh", kernel_initializer="he_normal")(inputs)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


@pytest.fixture(scope="module")
def linear():
    """logits = images @ weights + bias; returns (model, weights (8, 8, 3, classes))."""
    keras.utils.set_random_seed(2)
    inputs = keras.Input(SHAPE)
    model = keras.Model(inputs, layers.Dense(3, bias_initializer="ones")(layers.Flatten()(inputs)))
    return model, model.layers[-1].kernel.numpy().reshape(*SHAPE, 3)


@pytest.fixture(scope="module")
def plain():
    keras.utils.set_random_seed(3)
    return classifiers.plain(SHAPE, 3, widths=(4, 5, 6))


def in_float64(model):
    """The smooth model as a NumPy function of one image, float64."""
    _, conv, _, dense = model.layers
    kernel, bias = (v.numpy().astype("float64") for v in conv.weights)
    dense_kernel, dense_bias = (v.numpy().astype("float64") for v in dense.weights)

    def logits(image):
        maps = np.zeros((6, 6, 4))
        for i in range(6):
            for j in range(6):
                maps[i, j] = np.tensordot(image[i : i + 3, j : j + 3], kernel, 3) + bias
        return np.tanh(maps).ravel() @ dense_kernel + dense_bias

    return logits


# Gradients ----------------------------------------------------------------------------------------


def test_target_logits_are_those_of_the_targets_over_several_chunks(linear, monkeypatch):
    monkeypatch.setattr(attribution, "CHUNK", 2)
    model, weights = linear
    images = np.random.default_rng(4).uniform(-1, 1, (5, *SHAPE)).astype("float32")
    targets = np.array([0, 1, 2, 1, 0])
    expected = [np.sum(x * weights[..., t]) + 1 for x, t in zip(images, targets, strict=True)]
    found = attribution.target_logits(model, images, targets)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    found = attribution.gradient(model, images, targets)
    np.testing.assert_allclose(found, np.moveaxis(weights, -1, 0)[targets], atol=1e-6)


def test_the_gradient_is_that_of_finite_differences_in_float64(smooth, images, targets):
    found = attribution.gradient(smooth, images, targets)
    logits = in_float64(smooth)
    for place in [(0, 0, 0, 0), (1, 3, 4, 2), (2, 7, 7, 1), (0, 4, 2, 1)]:
        row, rest = place[0], place[1:]
        step = np.zeros(SHAPE)
        step[rest] = 1e-6
        rise = logits(images[row] + step) - logits(images[row] - step)
        assert found[place] == pytest.approx(rise[targets[row]] / 2e-6, rel=1e-3, abs=1e-5)


def test_gradient_times_input_counts_from_the_baseline(linear, images, targets):
    model, weights = linear
    expected = np.moveaxis(weights, -1, 0)[targets] * (images + 1)
    found = attribution.gradient_times_input(model, images, targets, baseline=-1.0)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("baseline", [0.0, -1.0])
def test_integrated_gradients_of_a_linear_model_are_exact(linear, images, targets, steps, baseline):
    model, weights = linear
    found = attribution.integrated_gradients(model, images, targets, baseline=baseline, steps=steps)
    expected = np.moveaxis(weights, -1, 0)[targets] * (images - baseline)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    errors = attribution.completeness_error(model, images, targets, found, baseline=baseline)
    assert errors.max() < 1e-4


def test_integrated_gradients_take_the_midpoints(images):
    """F(x) = sum of x^3: with n midpoints the integral of 3 a^2 is 1 - 1 / (4 n^2), exactly."""
    inputs = keras.Input(SHAPE)
    cubes = layers.Lambda(lambda x: tf.reduce_sum(x**3, axis=(1, 2, 3), keepdims=False)[:, None])
    model = keras.Model(inputs, cubes(inputs))
    found = attribution.integrated_gradients(model, images, np.zeros(3, int), steps=2)
    np.testing.assert_allclose(found, images**3 * (1 - 1 / 16), atol=1e-5)
    # The sum falls short by a sixteenth.
    errors = attribution.completeness_error(model, images, np.zeros(3, int), found)
    np.testing.assert_allclose(errors, 1 / 16, rtol=1e-3)


def test_the_completeness_error_is_relative_to_the_rise(linear, images, targets):
    model, weights = linear
    maps = 1.25 * np.moveaxis(weights, -1, 0)[targets] * (images + 1)
    errors = attribution.completeness_error(model, images, targets, maps, baseline=-1.0)
    np.testing.assert_allclose(errors, 0.25, rtol=1e-3)


# Guided backpropagation ---------------------------------------------------------------------------


@pytest.mark.parametrize("as_layer", [True, False])
def test_guided_relu_lets_only_positive_gradients_of_active_units_pass(as_layer):
    inputs = keras.Input((1, 4, 1))
    activated = (
        layers.ReLU()(inputs) if as_layer else
        layers.Conv2D(1, 1, activation="relu", kernel_initializer="ones")(inputs)
    )  # fmt: skip
    model = keras.Model(inputs, layers.Dense(1, name="logits")(layers.Flatten()(activated)))
    model.get_layer("logits").set_weights([np.array([[2.0], [-3.0], [5.0], [-7.0]]), np.zeros(1)])
    guided = attribution.guided_copy(model)
    images = np.array([[[[1.0], [1.0], [-1.0], [-1.0]]]], "float32")
    found = attribution.gradient(guided, images, np.array([0]))
    assert found.ravel().tolist() == [2.0, 0.0, 0.0, 0.0]
    # The original still passes negative ones, and both answer the same.
    original = attribution.gradient(model, images, np.array([0]))
    assert original.ravel().tolist() == [2.0, -3.0, 0.0, 0.0]
    assert guided(images).numpy() == model(images).numpy()


def test_a_guided_copy_of_the_classifier_answers_the_same(plain, images):
    np.testing.assert_array_equal(attribution.guided_copy(plain)(images), plain(images))


# Grad-CAM -----------------------------------------------------------------------------------------


def hand_made():
    """Two maps, the input's channels times 1; logit 0 = mean of map 0 - mean of map 1."""
    inputs = keras.Input((2, 2, 2))
    maps = layers.Conv2D(2, 1, use_bias=False, name="maps")(inputs)
    model = keras.Model(
        inputs, layers.Dense(2, name="logits")(layers.GlobalAveragePooling2D()(maps))
    )
    model.get_layer("maps").set_weights([np.eye(2).reshape(1, 1, 2, 2)])
    model.get_layer("logits").set_weights([np.array([[4.0, 0.0], [-8.0, 1.0]]), np.zeros(2)])
    return model


def test_grad_cam_of_a_model_made_by_hand():
    image = np.array([[[[1.0, 0.0], [0.0, 1.0]], [[3.0, 1.0], [2.0, 0.5]]]], "float32")
    # The slopes are 4 / 4 and -8 / 4 at each place, so the weights are 1 and -2.
    expected = [[[1.0, 0.0], [1.0, 1.0]]]  # 1, -2 -> 0, 3 - 2, 2 - 1
    found = attribution.grad_cam(hand_made(), image, np.array([0]), "maps")
    np.testing.assert_allclose(found, expected, atol=1e-6)
    found = attribution.grad_cam(hand_made(), image, np.array([1]), "maps")
    np.testing.assert_allclose(found, image[..., 1] / 4, atol=1e-6)


def test_grad_cam_weighs_each_image_by_its_own_gradient(monkeypatch):
    """A squared logit makes the slopes depend on the image."""
    monkeypatch.setattr(attribution, "CHUNK", 2)
    inputs = keras.Input((2, 2, 1))
    maps = layers.Rescaling(1.0, name="maps")(inputs)
    squared = layers.Lambda(lambda x: tf.reduce_sum(x**2, axis=(1, 2)))(maps)
    images = np.random.default_rng(5).uniform(-1, 1, (3, 2, 2, 1)).astype("float32")
    found = attribution.grad_cam(keras.Model(inputs, squared), images, np.zeros(3, int), "maps")
    weights = (2 * images).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(
        found, np.maximum(weights[:, None, None] * images[..., 0], 0), atol=1e-6
    )


def test_grad_cam_of_a_frozen_network_is_that_of_the_free_one(images, targets):
    keras.utils.set_random_seed(4)
    network = classifiers.plain(SHAPE, 3, widths=(4, 5))
    expected = attribution.grad_cam(network, images, targets, "features")
    network.trainable = False
    found = attribution.grad_cam(network, images, targets, "features")
    np.testing.assert_array_equal(found, expected)
    assert expected.max() > 0


@pytest.mark.parametrize(
    "layer, message",
    [("fetures", "no layer 'fetures'; its layers: images, conv1"),
     ("pooled", r"'pooled' gives \(None, 6\): choose a convolution")],
)  # fmt: skip
def test_grad_cam_says_which_layer_it_needs(plain, images, targets, layer, message):
    with pytest.raises(ValueError, match=message):
        attribution.grad_cam(plain, images, targets, layer)


def test_enlarging_is_bilinear():
    found = attribution.enlarge(np.array([[[0.0, 4.0]]]), (1, 4))
    assert found.tolist() == [[[0.0, 1.0, 3.0, 4.0]]]


# Occlusion ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size, stride, fill", [(3, 2, 0.0), (8, 1, 0.5), (1, 5, -1.0)])
def test_occlusion_is_what_a_plain_loop_gives(smooth, images, targets, size, stride, fill):
    found = attribution.occlusion(smooth, images, targets, size=size, stride=stride, fill=fill)
    logits = in_float64(smooth)
    starts = list(range(0, 8 - size + 1, stride))
    if starts[-1] != 8 - size:
        starts.append(8 - size)
    for image, target, shown in zip(images, targets, found, strict=True):
        falls = [[[] for _ in range(8)] for _ in range(8)]
        for top in starts:
            for left in starts:
                covered = image.astype("float64")
                covered[top : top + size, left : left + size] = fill
                fall = logits(image)[target] - logits(covered)[target]
                for i in range(top, top + size):
                    for j in range(left, left + size):
                        falls[i][j].append(fall)
        expected = [[np.mean(cell) if cell else 0.0 for cell in row] for row in falls]
        np.testing.assert_allclose(shown, expected, atol=1e-4)


@pytest.mark.parametrize("size, stride", [(0, 1), (9, 1), (2, 0)])
def test_a_square_that_does_not_fit_is_refused(plain, images, targets, size, stride):
    with pytest.raises(ValueError, match=f"from 1 to 8 .* got size={size}, stride={stride}"):
        attribution.occlusion(plain, images, targets, size=size, stride=stride)


# Judging ------------------------------------------------------------------------------------------


def test_strength_adds_absolute_values_over_the_channels():
    maps = np.array([[[[1.0, -2.0], [0.0, 3.0]]]])
    assert attribution.strength(maps).tolist() == [[[3.0, 3.0]]]
    assert attribution.strength(np.array([[[-1.0, 2.0]]])).tolist() == [[[1.0, 2.0]]]


def test_the_share_inside_counts_absolute_values():
    maps = np.array([[[1.0, -2.0], [3.0, -4.0]], [[0.0, 0.0], [0.0, 0.0]]])
    masks = np.array([[[True, False], [False, True]]] * 2)
    found = attribution.share_inside(maps, masks)
    assert found[0] == pytest.approx(0.5) and np.isnan(found[1])


def test_the_share_needs_maps_of_the_masks_size():
    with pytest.raises(ValueError, match="same size, got .1, 2, 2. and .1, 4, 4.; bring a small"):
        attribution.share_inside(np.zeros((1, 2, 2)), np.zeros((1, 4, 4), bool))


def test_the_rank_correlation_is_spearmans():
    random = np.random.default_rng(6)
    a = random.normal(size=(3, 4, 5))
    b = (a + random.normal(size=a.shape)).round(1)  # with ties
    expected = [stats.spearmanr(x.ravel(), y.ravel()).statistic for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(attribution.rank_correlation(a, b), expected, atol=1e-12)
    np.testing.assert_allclose(attribution.rank_correlation(a, np.exp(a)), 1.0)
    assert np.isnan(attribution.rank_correlation(a, np.ones_like(a))).all()
    with pytest.raises(ValueError, match="one shape"):
        attribution.rank_correlation(a, b[:, :2])


# Randomising --------------------------------------------------------------------------------------


def test_layers_become_untrained_one_after_another_from_the_top(plain):
    before = {w.path: w.numpy().copy() for w in plain.weights}
    with_weights = [layer.name for layer in plain.layers if layer.weights]
    copies = list(attribution.randomised_from_the_top(plain, seed=0))
    assert [name for name, _ in copies] == with_weights[::-1]
    for count, (_, copy) in enumerate(copies, start=1):
        changed = set(with_weights[-count:])
        for layer in plain.layers:
            for own, weight in zip(layer.weights, copy.get_layer(layer.name).weights, strict=True):
                if "kernel" in own.name:
                    same = np.array_equal(own, weight)
                    assert same == (layer.name not in changed), (layer.name, own.name)
    # A layer's new weights are the same in every later copy, and the model itself is untouched.
    last, first = copies[-1][1], copies[0][1]
    np.testing.assert_array_equal(last.get_layer("logits").kernel, first.get_layer("logits").kernel)
    for weight in plain.weights:
        np.testing.assert_array_equal(before[weight.path], weight)


def test_untrained_weights_are_those_of_a_new_layer():
    inputs = keras.Input((6, 6, 50))
    x = layers.Conv2D(40, 3, bias_initializer="ones", name="conv")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=9, name="depthwise")(x)
    model = keras.Model(inputs, layers.Dense(30, name="dense")(layers.Flatten()(x)))
    model.get_layer("norm").set_weights([np.full(40, value) for value in (3.0, 4.0, 5.0, 6.0)])
    *_, (_, copy) = attribution.randomised_from_the_top(model, seed=1)
    assert np.std(copy.get_layer("conv").kernel) == pytest.approx(np.sqrt(2 / 450), rel=0.05)
    assert not np.any(copy.get_layer("conv").bias)
    assert [float(w[0]) for w in copy.get_layer("norm").weights] == [1.0, 0.0, 0.0, 1.0]
    depthwise = copy.get_layer("depthwise").kernel
    assert np.std(depthwise) == pytest.approx(np.sqrt(2 / 9), rel=0.1)
    assert np.std(copy.get_layer("dense").kernel) == pytest.approx(np.sqrt(2 / 1440), rel=0.05)


def test_the_same_seed_draws_the_same_weights(plain):
    def kernels(seed):
        _, copy = next(attribution.randomised_from_the_top(plain, seed=seed))
        return copy.get_layer("logits").kernel.numpy()

    np.testing.assert_array_equal(kernels(1), kernels(1))
    assert not np.array_equal(kernels(1), kernels(2))


# Errors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "targets, message",
    [(np.array([0, 1]), "got images .3, 8, 8, 3. and targets int64 .2,."),
     (np.array([0.0, 1.0, 2.0]), "targets float64"), (np.array([0, 1, 3]), "from 0 to 2, got 0 to"),
     (np.array([0, -1, 1]), "from 0 to 2, got -1 to 1")],
)  # fmt: skip
def test_wrong_targets_are_refused(plain, images, targets, message):
    with pytest.raises(ValueError, match=message):
        attribution.gradient(plain, images, targets)


def test_an_image_without_a_batch_is_refused(plain, images):
    with pytest.raises(ValueError, match="expected images"):
        attribution.occlusion(plain, images[0], np.array([0]))


def test_a_model_with_several_outputs_is_refused(images, targets):
    model = encoder.encoder(8, {"mouth": 5}, widths=(4, 4))
    with pytest.raises(ValueError, match=r"one output, .* \[\(None, 4\), \(None, 5\)\]; cut"):
        attribution.gradient(model, images, targets)
    single = keras.Model(model.inputs[0], model.output["mouth"])
    assert attribution.gradient(single, images, targets).shape == images.shape


def test_no_steps_are_refused(plain, images, targets):
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        attribution.integrated_gradients(plain, images, targets, steps=0)
