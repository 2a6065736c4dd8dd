"""The fused layer against Keras' own: outputs, gradients, statistics, behaviour when frozen."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from course_lib.networks.normalization import FusedBatchNormalization

RNG = np.random.default_rng(0)
SHAPE = (6, 5, 4, 3)


def layers(dtype="float32"):
    made = []
    for kind in (keras.layers.BatchNormalization, FusedBatchNormalization):
        layer = kind(momentum=0.9, epsilon=1e-3, dtype=dtype)
        layer.build(SHAPE)
        gamma, beta = np.array([0.5, 1.0, 2.0]), np.array([-1.0, 0.0, 3.0])
        layer.set_weights([gamma, beta, np.array([0.1, 0.2, 0.3]), np.array([1.0, 2.0, 3.0])])
        made.append(layer)
    return made


def passed(layer, x, weights, **mode):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, **mode)
        loss = tf.reduce_sum(tf.cast(y, "float32") * weights)
    return y, tape.gradient(loss, [x, layer.gamma.value, layer.beta.value])


@pytest.mark.parametrize(
    ("dtype", "rtol", "atol"), [("float32", 1e-4, 1e-5), ("mixed_bfloat16", 0.02, 0.03)]
)
@pytest.mark.parametrize("training", [True, False])
def test_output_gradients_and_statistics_are_those_of_keras(dtype, rtol, atol, training):
    x = tf.constant(3 * RNG.normal(size=SHAPE) + [0.0, 5.0, -5.0], "float32")
    weights = RNG.normal(size=SHAPE).astype("float32")
    results = []
    for layer in layers(dtype):
        y, gradients = passed(layer, x, weights, training=training)
        assert y.dtype == layer.compute_dtype
        results.append([y, *gradients, layer.moving_mean, layer.moving_variance])
    for theirs, ours in zip(*results, strict=True):
        theirs, ours = (np.asarray(tf.cast(value, "float32")) for value in (theirs, ours))
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol * max(1, abs(theirs).max()))


def test_the_output_has_the_asked_mean_and_deviation_and_the_averages_move():
    _, layer = layers()
    x = tf.constant(RNG.normal(size=(50, 8, 8, 3)) * [1.0, 2.0, 4.0], "float32")
    y = layer(x, training=True).numpy()
    np.testing.assert_allclose(y.mean(axis=(0, 1, 2)), [-1, 0, 3], atol=1e-4)
    np.testing.assert_allclose(y.std(axis=(0, 1, 2)), [0.5, 1, 2], rtol=1e-3)
    variance = np.var(x, axis=(0, 1, 2))
    expected = 0.9 * np.array([1.0, 2.0, 3.0]) + 0.1 * variance
    np.testing.assert_allclose(layer.moving_variance, expected, rtol=1e-5)


def test_a_frozen_layer_keeps_its_statistics_in_training():
    theirs, ours = layers()
    theirs.trainable = ours.trainable = False
    x = tf.constant(RNG.normal(size=SHAPE), "float32")
    np.testing.assert_allclose(ours(x, training=True), theirs(x, training=True), rtol=1e-5)
    np.testing.assert_array_equal(ours.moving_mean, np.array([0.1, 0.2, 0.3], "float32"))


def test_the_averages_move_within_a_compiled_function_as_well():
    theirs, ours = layers()
    x = tf.constant(RNG.normal(size=SHAPE), "float32")
    for layer in (theirs, ours):
        compiled = tf.function(lambda x, layer=layer: layer(x, training=True))
        compiled(x)
        compiled(x)
    np.testing.assert_allclose(ours.moving_variance, theirs.moving_variance, rtol=1e-5)


def test_vectors_and_other_axes_are_refused_with_the_way_out():
    with pytest.raises(ValueError, match=r"got shape \(None, 7\); take keras.layers.Batch"):
        FusedBatchNormalization()(keras.Input((7,)))
    for choice in ({"axis": 1}, {"synchronized": True}):
        with pytest.raises(ValueError, match="normalises the last axis of one replica"):
            FusedBatchNormalization(**choice)
