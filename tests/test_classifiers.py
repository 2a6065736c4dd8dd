"""The classifiers: the article's sizes, what its stride leaves unread, new heads."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from course_lib.networks import classifiers


def test_the_articles_network_has_the_articles_sizes():
    model = classifiers.article()
    sizes = [tuple(layer.output.shape[1:]) for layer in model.layers]
    assert sizes == [
        (128, 128, 3), (32, 32, 64), (16, 16, 64), (8, 8, 128), (4, 4, 128), (2048,), (512,), (10,),
    ]  # fmt: skip
    assert model.count_params() == 1792 + 73_856 + 1_049_088 + 5_130


def test_additions_leave_the_sizes_and_are_there():
    model = classifiers.article(dropout=0.5, more_layers=True)
    names = [layer.name for layer in model.layers]
    assert {"conv1b", "conv2b", "dropout"} < set(names)
    assert model.get_layer("pool2").output.shape == (None, 4, 4, 128)
    assert model.get_layer("dropout").rate == 0.5


def test_the_first_stride_reads_nine_of_sixteen_pixels():
    model = classifiers.article()
    first = keras.Model(model.input, model.get_layer("conv1").output)
    picture = tf.random.stateless_uniform((1, 128, 128, 3), (0, 0), -1, 1)
    with tf.GradientTape() as tape:
        tape.watch(picture)
        total = tf.reduce_sum(tf.square(first(picture)))
    assert (np.abs(tape.gradient(total, picture)[0]).sum(-1) > 0).mean() == 9 / 16


@pytest.mark.parametrize("size", [8, 28, 33])
def test_the_plain_network_reads_any_size(size):
    model = classifiers.plain((size, size, 1), 7, widths=(4, 6, 8))
    assert model(tf.zeros((2, size, size, 1))).shape == (2, 7)
    assert model.get_layer("features").output.shape[-1] == 8
    assert [model.get_layer(f"conv{k}").strides for k in (1, 2, 3)] == [(1, 1), (2, 2), (1, 1)]


@pytest.mark.parametrize("build", [classifiers.article, classifiers.plain])
def test_logits_are_float32_under_every_policy(build):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build((32, 32, 3), 4)
        assert model(tf.zeros((1, 32, 32, 3))).dtype == tf.float32
    finally:
        keras.config.set_dtype_policy("float32")


def test_a_new_head_replaces_the_last_layer_and_shares_the_others():
    trunk = classifiers.article((32, 32, 3), 6)
    model = classifiers.with_new_head(trunk, 3)
    assert model.output_shape == (None, 3) and model.layers[-1].name == "new_logits"
    assert [layer.name for layer in model.layers[:-1]] == [x.name for x in trunk.layers[:-1]]
    trunk.get_layer("conv1").bias.assign(tf.ones(64))
    assert (model.get_layer("conv1").bias.numpy() == 1).all()
    for layer in model.layers[:-1]:
        layer.trainable = False
    assert len(model.trainable_variables) == 2


def test_a_headless_network_keeps_all_its_layers():
    trunk = keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, include_top=False,
                                           weights=None, pooling="avg")  # fmt: skip
    model = classifiers.with_new_head(trunk, 3)
    assert model.output_shape == (None, 3) and model.layers[:-1] == trunk.layers


def test_features_that_are_a_map_are_refused():
    trunk = keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, include_top=False, weights=None)
    with pytest.raises(ValueError, match="pooling='avg'"):
        classifiers.with_new_head(trunk, 3)
