"""Convolutions with another kernel gradient, against double loops and TensorFlow's own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from course_lib.networks import convolutions
from course_lib.networks.convolutions import FastConv2D, FastConv2DTranspose

RNG = np.random.default_rng(0)
# size, kernel, stride: with even and uneven padding, gaps, rows left over, and a kernel of 1.
GEOMETRIES = [
    (8, 3, 1),
    (8, 4, 2),
    (7, 5, 2),
    (9, 3, 2),
    (6, 1, 1),
    (5, 1, 2),
    (7, 2, 3),
    (9, 4, 4),
]


@pytest.fixture
def always(monkeypatch):
    """Take the gradient over the images at every dtype and shape, so that float64 can judge it."""
    monkeypatch.setattr(convolutions, "_is_faster_over_images", lambda inputs, slopes: True)


def arrays(size, kernel, stride, *, batch=3, channels=2, filters=4):
    steps = -(-size // stride)
    shapes = [(batch, size, size, channels), (kernel, kernel, channels, filters)]
    shapes.append((batch, steps, steps, filters))
    return [tf.constant(RNG.normal(size=shape)) for shape in shapes]


def looped_kernel_gradient(inputs, slopes, kernel, stride):
    """dL/dw[i, j, c, f] = sum of x[b, y s + i - before, x s + j - before, c] g[b, y, x, f]."""
    inputs, slopes = np.asarray(inputs), np.asarray(slopes)
    size, steps = inputs.shape[1], slopes.shape[1]
    before = max((steps - 1) * stride + kernel - size, 0) // 2
    found = np.zeros((kernel, kernel, inputs.shape[-1], slopes.shape[-1]))
    for i in range(kernel):
        for j in range(kernel):
            for y in range(steps):
                for x in range(steps):
                    row, column = y * stride + i - before, x * stride + j - before
                    if 0 <= row < size and 0 <= column < size:
                        found[i, j] += inputs[:, row, column].T @ slopes[:, y, x]
    return found


@pytest.mark.parametrize(("size", "kernel", "stride"), GEOMETRIES)
def test_the_kernel_gradient_is_the_sum_over_places_and_images(always, size, kernel, stride):
    inputs, weights, slopes = arrays(size, kernel, stride)
    found = convolutions.kernel_gradient(inputs, slopes, weights.shape, stride)
    expected = looped_kernel_gradient(inputs, slopes, kernel, stride)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("size", "kernel", "stride"), GEOMETRIES)
def test_the_convolution_and_all_its_gradients_are_those_of_tensorflow(
    always, size, kernel, stride
):
    """Second order as well: the loss is a function of the gradient to the image, as in R1."""
    inputs, weights, slopes = arrays(size, kernel, stride)
    found = []
    for convolve in (
        lambda x, w: convolutions.convolve(x, w, stride),
        lambda x, w: tf.nn.conv2d(x, w, stride, "SAME"),
    ):
        with tf.GradientTape() as outer:
            outer.watch([inputs, weights])
            with tf.GradientTape() as inner:
                inner.watch([inputs, weights])
                outputs = tf.tanh(convolve(inputs, weights))
                score = tf.reduce_sum(outputs * slopes)
            first = inner.gradient(score, [inputs, weights])
            penalty = tf.reduce_sum(first[0] ** 2) + tf.reduce_sum(first[1] ** 3)
        found.append([outputs, *first, *outer.gradient(penalty, [inputs, weights])])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("size", "kernel", "stride"), GEOMETRIES)
def test_the_transposed_convolution_and_all_its_gradients_are_those_of_tensorflow(
    always, size, kernel, stride
):
    images, weights, small = arrays(size, kernel, stride)
    found = []
    for spread in (
        lambda x, w: convolutions.convolve_transposed(x, w, tf.shape(images), stride),
        lambda x, w: tf.nn.conv2d_transpose(x, w, tf.shape(images), stride, "SAME"),
    ):
        with tf.GradientTape() as outer:
            outer.watch([small, weights])
            with tf.GradientTape() as inner:
                inner.watch([small, weights])
                outputs = tf.tanh(spread(small, weights))
                score = tf.reduce_sum(outputs * images)
            first = inner.gradient(score, [small, weights])
            penalty = tf.reduce_sum(first[0] ** 2) + tf.reduce_sum(first[1] ** 3)
        found.append([outputs, *first, *outer.gradient(penalty, [small, weights])])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


def test_the_kernel_gradient_is_the_finite_difference(always):
    inputs, weights, slopes = arrays(6, 4, 2)
    found = convolutions.kernel_gradient(inputs, slopes, weights.shape, 2).numpy()

    def loss(kernel):
        return np.sum(tf.nn.conv2d(inputs, kernel, 2, "SAME") * slopes)

    for place in ((0, 0, 0, 0), (3, 1, 1, 2), (2, 3, 0, 3)):
        step = np.zeros(weights.shape)
        step[place] = 1e-4
        slope = (loss(weights + step) - loss(weights - step)) / 2e-4
        np.testing.assert_allclose(found[place], slope, rtol=1e-7)


def passed(layer, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
        loss = tf.reduce_sum(tf.cast(y, "float32") ** 2)
    return [y, *tape.gradient(loss, [x, *(weight.value for weight in layer.trainable_weights)])]


PAIRS = [(FastConv2D, keras.layers.Conv2D), (FastConv2DTranspose, keras.layers.Conv2DTranspose)]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
@pytest.mark.parametrize(
    "options",
    [
        {"padding": "same", "strides": 2},
        {"padding": "same", "strides": 2, "use_bias": False, "activation": "tanh"},
        {"padding": "same", "strides": 1, "dtype": "mixed_bfloat16"},
        {"padding": "valid", "strides": 2},
        {"padding": "same", "strides": (2, 1)},
        {"padding": "same", "dilation_rate": 2},
    ],
)
def test_a_layer_is_that_of_keras(ours, theirs, options):
    x = tf.constant(RNG.normal(size=(16, 6, 6, 16)), "float32")
    layers = [kind(5, 4, **options) for kind in (ours, theirs)]
    for layer in layers:
        layer.build(x.shape)
    weights = [0.1 * RNG.normal(size=array.shape) for array in layers[0].get_weights()]
    found = []
    for layer in layers:
        layer.set_weights(weights)
        found.append(passed(layer, x))
    assert layers[0].compute_output_shape(x.shape) == layers[1].compute_output_shape(x.shape)
    tolerance = 0.03 if "dtype" in options else 2e-5
    for mine, other in zip(*found, strict=True):
        assert mine.dtype == other.dtype and mine.shape == other.shape
        mine, other = (np.asarray(tf.cast(value, "float32")) for value in (mine, other))
        np.testing.assert_allclose(mine, other, atol=tolerance * abs(other).max())


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_output_padding_and_groups_are_left_to_keras(always, ours, theirs):
    option = {"groups": 2} if ours is FastConv2D else {"output_padding": 0}
    x = tf.constant(RNG.normal(size=(2, 6, 6, 4)), "float32")
    layers = [kind(4, 3, 2, "same", **option) for kind in (ours, theirs)]
    layers[0].build(x.shape)
    layers[1].build(x.shape)
    layers[1].set_weights(layers[0].get_weights())
    for mine, other in zip(*(passed(layer, x) for layer in layers), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_a_layer_works_at_any_batch_and_size_and_comes_back_from_its_config(ours, theirs):
    images = keras.Input((None, None, 3))
    model = keras.Model(images, ours(4, 3, 2, "same", name="layer")(images))
    x = RNG.normal(size=(2, 6, 8, 3)).astype("float32")
    expected = (2, 3, 4, 4) if ours is FastConv2D else (2, 12, 16, 4)
    assert model(x).shape == expected and model.predict(x[:1], verbose=0).shape[0] == 1
    again = keras.Model.from_config(model.get_config())
    again.set_weights(model.get_weights())
    assert type(again.get_layer("layer")) is ours
    np.testing.assert_array_equal(again(x), model(x))


def operations(layer, shape, dtype):
    """Return the kinds of operations in the compiled gradient of a layer's kernel."""
    layer.build(shape)

    @tf.function
    def gradient(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(x))
        return tape.gradient(loss, layer.kernel.value)

    graph = gradient.get_concrete_function(tf.TensorSpec(shape, dtype)).graph
    return {operation.type for operation in graph.get_operations()}


@pytest.mark.parametrize(
    ("shape", "dtype", "over_images"),
    [
        ((16, 16, 16, 16), "bfloat16", True),
        ((16, 16, 16, 16), "float32", False),
        ((16, 18, 18, 16), "bfloat16", False),
        ((15, 16, 16, 16), "bfloat16", False),
        ((16, 16, 16, 15), "bfloat16", False),
        ((None, 16, 16, 16), "bfloat16", False),
    ],
)
def test_the_gradient_over_images_is_taken_only_where_it_is_faster(shape, dtype, over_images):
    layer = FastConv2D(8, 4, 2, "same", dtype=dtype)
    found = operations(layer, shape, dtype)
    assert ("Conv2DBackpropFilter" not in found) == over_images


def test_a_machine_with_a_gpu_keeps_the_gradient_of_tensorflow(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    found = operations(FastConv2D(8, 4, 2, "same", dtype="bfloat16"), (16, 8, 8, 16), "bfloat16")
    assert "Conv2DBackpropFilter" in found


def test_a_kernel_smaller_than_its_stride_keeps_the_gradient_of_tensorflow(always):
    inputs, weights, slopes = arrays(8, 1, 2)  # the last pixel is never read
    found = convolutions.kernel_gradient(inputs, slopes, weights.shape, 2)
    np.testing.assert_allclose(found, looped_kernel_gradient(inputs, slopes, 1, 2), rtol=1e-10)
