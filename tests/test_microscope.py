"""The microscope: every value equals the layer's, on many models and all settings of a layer."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from course_lib import microscope
from course_lib.networks import classifiers, dcgan, encoder, residual

random = np.random.default_rng(0)


def shaken(model, seed=0):
    """The model with weights that no layer has by itself: zeros and ones would hide mistakes."""
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        low = 0.5 if "variance" in weight.name else -0.5
        weight.assign(
            generator.uniform(low, low + 1, weight.shape) / max(1, weight.shape[0]) ** 0.5
        )
    return model


def image_for(model):
    return random.uniform(-1, 1, model.inputs[0].shape[1:]).astype("float32")


def places(shape, count=6):
    """Corners, because of the padding, and some places between."""
    ends = list(itertools.product(*({0, length - 1} for length in shape)))[:8]
    return ends + [tuple(random.integers(length) for length in shape) for _ in range(count)]


def check_all(seen, layer, count=6):
    for place in places(seen.outputs[layer].shape, count):
        found = microscope.explain(seen, layer, place)
        assert found.output == seen.outputs[layer][place] and found.place == place
        np.testing.assert_allclose(found.value, found.output, rtol=1e-5, atol=1e-5)
        yield found


def one_layer(layer, shape=(9, 8, 4)):
    inputs = keras.Input(shape)
    model = shaken(keras.Model(inputs, layer(inputs)))
    return microscope.look(model, image_for(model)), layer.name


# Models -------------------------------------------------------------------------------------------

MODELS = {
    "article": lambda: classifiers.article((64, 64, 3)),
    "plain": lambda: classifiers.plain((16, 16, 3), widths=(4, 6, 8), dropout=0.3),
    "dcgan": lambda: dcgan.discriminator((16, 16, 3), base_filters=4),
    "encoder": lambda: encoder.encoder(16, {"mouth": 5, "glasses": 4}, widths=(4, 6, 8)),
    "residual": lambda: residual.discriminator((16, 16, 3), filters=(4, 6, 8)),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_value_of_every_layer_is_that_of_the_layer(name):
    model = shaken(MODELS[name]())
    seen = microscope.look(model, image_for(model))
    names = [layer.name for layer in model.layers if not isinstance(layer, layers.InputLayer)]
    assert list(seen.outputs) == names
    for layer in names:
        assert len(list(check_all(seen, layer))) >= 6


def test_mobilenet_is_taken_apart_but_for_its_zero_padding():
    model = keras.applications.MobileNetV2((96, 96, 3), weights=None, classes=7)
    seen = microscope.look(model, image_for(model))
    left_out = set()
    for layer in seen.outputs:
        try:
            list(check_all(seen, layer, count=1))
        except microscope.NotExplainedError as error:
            left_out.add(type(model.get_layer(layer)).__name__)
            assert f"shows the maps of {layer!r} but can't take a ZeroPadding2D apart" in str(error)
            assert "It explains Conv2D, DepthwiseConv2D" in str(error)
    assert left_out == {"ZeroPadding2D"}


def test_what_is_seen_is_what_flows_through_the_network():
    model = shaken(MODELS["plain"]())
    image = image_for(model)
    seen = microscope.look(model, image)
    x = image[None]
    for layer in model.layers[1:]:
        np.testing.assert_allclose(seen.inputs[layer.name][0], np.asarray(x)[0], atol=1e-5)
        x = layer(x, training=False) if "norm" in layer.name else layer(x)
        np.testing.assert_allclose(seen.outputs[layer.name], np.asarray(x)[0], atol=1e-5)
    np.testing.assert_array_equal(seen.image, image)


def test_a_sequential_model_is_seen_and_a_model_within_a_model_from_outside():
    inner = keras.Sequential([keras.Input((6, 6, 2)), layers.Conv2D(3, 3)], name="inner")
    outer = keras.Sequential([keras.Input((6, 6, 2)), inner, layers.Flatten(), layers.Dense(2)])
    seen = microscope.look(shaken(outer), image_for(outer))
    assert seen.outputs["inner"].shape == (4, 4, 3)
    with pytest.raises(microscope.NotExplainedError, match="put model.get_layer.'inner'. under"):
        microscope.explain(seen, "inner", (0, 0, 0))


# Layers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(
    "size, strides, dilation, groups",
    [(3, 1, 1, 1), (3, 2, 1, 1), (4, 2, 1, 1), (2, 3, 1, 1), ((1, 3), (2, 1), 1, 1), (3, 1, 2, 1),
     (3, 1, (1, 3), 1), (3, 1, 1, 2), (1, 1, 1, 4), (5, 4, 1, 1)],
)  # fmt: skip
def test_convolutions(size, strides, dilation, groups, padding):
    layer = layers.Conv2D(
        8, size, strides, padding, dilation_rate=dilation, groups=groups, activation="relu"
    )
    seen, name = one_layer(layer)
    for found in check_all(seen, name, 20):
        total = np.sum(found.window * found.kernel) + found.bias
        assert max(total, 0) == pytest.approx(found.value, abs=1e-9)
        x = seen.inputs[name][0][..., slice(*found.channels)]
        for (i, j), inside in np.ndenumerate(found.inside):
            row = found.corner[0] + i * found.dilation[0]
            column = found.corner[1] + j * found.dilation[1]
            assert inside == (0 <= row < 9 and 0 <= column < 8)
            expected = x[row, column] if inside else 0
            np.testing.assert_array_equal(found.window[i, j], expected)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("strides, dilation, multiplier", [(1, 1, 1), (2, 1, 3), (1, 2, 2)])
def test_depthwise_convolutions(strides, dilation, multiplier, padding):
    layer = layers.DepthwiseConv2D(
        3, strides, padding, depth_multiplier=multiplier, dilation_rate=dilation
    )
    for found in check_all(*one_layer(layer), 20):
        assert found.window.shape == found.kernel.shape == (3, 3, 1)
        first = found.place[2] // multiplier
        assert found.channels == (first, first + 1)


@pytest.mark.parametrize("kind", [layers.MaxPooling2D, layers.AveragePooling2D])
@pytest.mark.parametrize("size, strides", [(2, 2), (3, 1), (3, 2), ((2, 3), (3, 1))])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_pooling(kind, size, strides, padding):
    list(check_all(*one_layer(kind(size, strides, padding)), 20))


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.Conv2D(3, 2, use_bias=False, activation="softmax"),
        lambda: layers.Conv2D(3, 2, activation="tanh"),
        lambda: layers.DepthwiseConv2D(2, activation="softmax", depth_multiplier=2),
        lambda: layers.Dense(5, activation="softmax"),
        lambda: layers.Dense(5, use_bias=False),
        lambda: layers.BatchNormalization(epsilon=0.1),
        lambda: layers.BatchNormalization(scale=False),
        lambda: layers.BatchNormalization(center=False),
        lambda: layers.ReLU(),
        lambda: layers.ReLU(max_value=0.3),
        lambda: layers.ReLU(negative_slope=0.25, threshold=0.125),
        lambda: layers.ReLU(negative_slope=0.25, threshold=0.125, max_value=0.5),
        lambda: layers.LeakyReLU(0.25),
        lambda: layers.Activation("tanh"),
        lambda: layers.Activation("softmax"),
        lambda: layers.Activation("sigmoid"),
        lambda: layers.GlobalAveragePooling2D(),
        lambda: layers.GlobalAveragePooling2D(keepdims=True),
        lambda: layers.Flatten(),
        lambda: layers.Dropout(0.5),
    ],
)
def test_other_layers(layer):
    assert len(list(check_all(*one_layer(layer()), 20))) > 20


def test_batch_normalisation_of_a_list_of_units():
    seen, name = one_layer(layers.BatchNormalization(), shape=(7,))
    list(check_all(seen, name))


def test_an_addition_shows_all_its_terms():
    inputs = keras.Input((4, 4, 2))
    model = keras.Model(inputs, layers.Add(name="add")([inputs, layers.ReLU()(inputs), inputs]))
    seen = microscope.look(model, image_for(model))
    for found in check_all(seen, "add"):
        x = seen.image[found.place]
        np.testing.assert_allclose(found.window, [x, max(x, 0), x])


def test_an_addition_of_several_shapes_is_not_explained():
    inputs = keras.Input((4, 4, 2))
    pooled = layers.GlobalAveragePooling2D(keepdims=True)(inputs)
    model = keras.Model(inputs, layers.Add(name="add")([inputs, pooled]))
    with pytest.raises(microscope.NotExplainedError, match="arrays of several shapes"):
        microscope.explain(microscope.look(model, image_for(model)), "add", (0, 0, 0))


def test_a_normalisation_over_another_axis_is_not_explained():
    seen, name = one_layer(layers.BatchNormalization(axis=1))
    with pytest.raises(microscope.NotExplainedError, match="normalises axis 1, not the last"):
        microscope.explain(seen, name, (0, 0, 0))


def test_channels_first_is_not_explained():
    seen, name = one_layer(layers.Flatten(data_format="channels_first"))
    with pytest.raises(microscope.NotExplainedError, match="channels first"):
        microscope.explain(seen, name, (0,))


# Words --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "layer, formula",
    [
        (lambda: layers.Conv2D(1, 2, kernel_initializer="ones", bias_initializer="ones"),
         "sum of window × kernel 4.00000 + bias 1.00000 = 5.00000"),
        (lambda: layers.Dense(1, activation="tanh", kernel_initializer="zeros"),
         "sum of window × kernel 0.00000 + bias 0.00000 = 0.00000; tanh of it = 0.00000"),
        (lambda: layers.ReLU(), "max(0, 1.00000) = 1.00000"),
        (lambda: layers.ReLU(max_value=0.5), "at most 0.5: max(0, 1.00000) = 0.50000"),
        (lambda: layers.LeakyReLU(0.2), "1.00000 if ≥ 0, else 0.2 × it: 1.00000"),
        (lambda: layers.MaxPooling2D(2),
         "largest of 1.0000, 1.0000, 1.0000, 1.0000 = 1.00000"),
        (lambda: layers.GlobalAveragePooling2D(),
         "mean of 2 × 2 numbers of channel 0 = 1.00000"),
        (lambda: layers.Flatten(), "place (0, 0, 0) of the input, unchanged: 1.00000"),
        (lambda: layers.Activation("sigmoid"), "sigmoid(1.00000) = 0.73106"),
        (lambda: layers.BatchNormalization(epsilon=0.0),
         "γ 1.00000 × (1.00000 − mean 0.00000) / √(variance 1.00000 + 0) + β 0.00000 = 1.00000"),
    ],
)  # fmt: skip
def test_the_formula_says_the_numbers(layer, formula):
    inputs = keras.Input((2, 2, 1))
    layer = layer()
    model = keras.Model(inputs, layer(inputs))
    seen = microscope.look(model, np.ones((2, 2, 1)))
    place = (0,) * seen.outputs[layer.name].ndim
    assert microscope.explain(seen, layer.name, place).formula == formula


def test_the_formula_of_a_softmax_says_over_how_many_it_divides():
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layers.Activation("softmax", name="softmax")(inputs))
    found = microscope.explain(microscope.look(model, np.log([1.0, 2.0, 5.0])), "softmax", (1,))
    assert found.formula == "exp(0.69315) / sum of 3 exp = 0.25000"


# Errors -------------------------------------------------------------------------------------------


class Own(keras.Model):
    def call(self, x):
        return x


@pytest.mark.parametrize("model", [Own, lambda: keras.Sequential([layers.Dense(2)])])
def test_a_model_without_visible_layers_is_refused(model):
    with pytest.raises(ValueError, match="can't be opened.*a Sequential that begins with Input"):
        microscope.look(model(), np.zeros((4, 4, 3)))


def test_a_model_with_two_inputs_is_refused():
    inputs = [keras.Input((2, 2, 1)), keras.Input((2, 2, 1))]
    with pytest.raises(ValueError, match="models with one input, got 2"):
        microscope.look(keras.Model(inputs, layers.Add()(inputs)), np.zeros((2, 2, 1)))


@pytest.mark.parametrize("shape", [(8, 8, 3), (16, 16), (1, 16, 16, 3), (16, 16, 1)])
def test_an_image_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"wants an image of shape \(16, 16, 3\), got"):
        microscope.look(MODELS["plain"](), np.zeros(shape))


def test_an_image_with_nan_is_refused():
    with pytest.raises(ValueError, match="finite numbers"):
        microscope.look(MODELS["plain"](), np.full((16, 16, 3), np.nan))


def test_an_unknown_layer_or_place_is_refused():
    model = MODELS["plain"]()
    seen = microscope.look(model, image_for(model))
    with pytest.raises(ValueError, match="no layer 'conv9'; choose from conv1, norm1"):
        microscope.explain(seen, "conv9", (0, 0, 0))
    for place in [(16, 0, 0), (0, 0, -1), (0, 0)]:
        with pytest.raises(ValueError, match=r"'conv1' has the shape \(16, 16, 4\) and no place"):
            microscope.explain(seen, "conv1", place)


def test_looking_leaves_the_model_as_it_was():
    model = shaken(MODELS["plain"]())
    image = image_for(model)
    before = model(image[None]).numpy(), [w.numpy() for w in model.weights]
    microscope.explain(microscope.look(model, image), "conv2", (0, 0, 0))
    np.testing.assert_array_equal(model(tf.constant(image[None])), before[0])
    for old, weight in zip(before[1], model.weights, strict=True):
        np.testing.assert_array_equal(old, weight)
