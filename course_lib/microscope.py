"""A microscope for Keras models: all values between the layers, and how one of them comes about.

    seen = microscope.look(model, image)  # runs the network once
    seen.outputs["conv1"]  # feature maps, (rows, columns, channels)
    microscope.explain(seen, "conv1", (10, 12, 3)).formula

Everything is computed again from the layer's inputs and weights, in NumPy float64, and stands
beside what the layer itself gave.
"""

from dataclasses import dataclass, field

import keras
import numpy as np
from keras import layers


class NotExplainedError(ValueError):
    """The microscope shows the maps of such a layer, but can't take a value of it apart."""


@dataclass(frozen=True)
class Look:
    """What went through a network for one image.

    Attributes:
        model: the Keras model.
        image: float32 (height, width, channels).
        inputs: layer name -> list of the arrays that go into the layer, without the batch axis.
        outputs: layer name -> the array that comes out: (rows, columns, channels) or (units,).
    """

    model: keras.Model = field(repr=False)
    image: np.ndarray = field(repr=False)
    inputs: dict = field(repr=False)
    outputs: dict = field(repr=False)


@dataclass(frozen=True)
class Explanation:
    """How one value of a layer comes about.

    Attributes:
        layer, kind: name of the layer, and of its class.
        place: (row, column, channel) or (unit,) of the value.
        window: the numbers that the layer reads, (rows, columns, channels) or (units,).
        kernel: their weights, the same shape; None where nothing is weighted.
        inside: bool (rows, columns), False where the window lies in the padding, which is 0; None
            for layers without a window.
        channels: (first, end) of the input's channels that are read; None without a window.
        corner: (row, column) of the window's first number in the input; None without a window.
        dilation: (rows, columns) from one number of the window to the next in the input.
        bias: float, 0.0 where there is none.
        value: the result, worked out here.
        output: the result that the layer gave.
        formula: the computation in words, with the numbers.
    """

    layer: str
    kind: str
    place: tuple
    window: np.ndarray
    value: float
    output: float
    formula: str
    kernel: np.ndarray | None = None
    bias: float = 0.0
    inside: np.ndarray | None = None
    channels: tuple | None = None
    corner: tuple | None = None
    dilation: tuple = (1, 1)


# Looking ------------------------------------------------------------------------------------------


def look(model, image):
    """Runs a model on one image and keeps what goes into each layer, and what comes out.

    Args:
        model: a functional or sequential Keras model with one input. A layer that it uses several
            times is shown as it is used first; a model within the model is shown from outside.
        image: numbers (height, width, channels), in the range that the model wants.

    Returns:
        `Look`.

    Raises:
        ValueError: if the model has no layers to see (a subclass with a `call` of its own, or one
            that has not been built), more than one input, or another image shape; or if the image
            holds NaN or infinity.
    """
    image = np.asarray(image, np.float32)
    _check(model, image)
    seen = [layer for layer in model.layers if not isinstance(layer, layers.InputLayer)]
    tensors = {layer.name: (_listed(layer.input), layer.output) for layer in seen}
    single = {name: pair for name, pair in tensors.items() if not isinstance(pair[1], list | dict)}
    inputs, outputs = keras.Model(model.inputs[0], single)(image[None], training=False), {}
    for name in single:
        read, outputs[name] = inputs[name]
        inputs[name] = [np.asarray(array)[0] for array in _listed(read)]
        outputs[name] = np.asarray(outputs[name])[0]
    return Look(model, image, inputs, outputs)


def _listed(value):
    return list(value) if isinstance(value, list | tuple) else [value]


def _check(model, image):
    inputs = getattr(model, "inputs", None)
    if not inputs or not hasattr(model, "layers"):
        raise ValueError(
            f"{model.name!r} can't be opened: its layers are only connected when it runs, or it "
            "has not been built. Use a functional model, or a Sequential that begins with Input."
        )
    if len(inputs) > 1:
        raise ValueError(f"the microscope takes models with one input, got {len(inputs)}.")
    wanted = tuple(inputs[0].shape[1:])
    fits = len(wanted) == image.ndim and all(
        want in (None, have) for want, have in zip(wanted, image.shape, strict=True)
    )
    if not fits:
        raise ValueError(
            f"the model wants an image of shape {wanted}, got {image.shape}; "
            "course_lib.datasets.images.resize brings pixels to another size."
        )
    if not np.isfinite(image).all():
        raise ValueError("the image must hold finite numbers, got NaN or infinity.")


# Explaining ---------------------------------------------------------------------------------------


def explain(seen, layer, place):
    """Says how one value of a layer follows from the layer's inputs and weights.

    Args:
        seen: a `Look`.
        layer: name of the layer.
        place: (row, column, channel) of the value, or (unit,) where the layer gives a list.

    Returns:
        `Explanation`; its `value` equals its `output` up to rounding.

    Raises:
        ValueError: if there is no such layer, or no such place in its output.
        NotExplainedError: for a layer that the microscope can't take apart; the message says which
            it can.
    """
    if layer not in seen.outputs:
        raise ValueError(f"there is no layer {layer!r}; choose from {', '.join(seen.outputs)}.")
    outputs, place = seen.outputs[layer], tuple(int(index) for index in place)
    inside = len(place) == outputs.ndim and all(
        0 <= index < size for index, size in zip(place, outputs.shape, strict=True)
    )
    if not inside:
        raise ValueError(f"{layer!r} has the shape {outputs.shape} and no place {place}.")
    found = seen.model.get_layer(layer)
    kind = type(found).__name__
    if isinstance(found, keras.Model):
        raise NotExplainedError(
            f"{layer!r} is a model itself: put model.get_layer({layer!r}) under the microscope."
        )
    if kind not in EXPLAINED:
        raise NotExplainedError(
            f"The microscope shows the maps of {layer!r} but can't take a {kind} apart. "
            f"It explains {', '.join(EXPLAINED)}."
        )
    if getattr(found, "data_format", "channels_last") != "channels_last":
        raise NotExplainedError(f"{layer!r} has its channels first; only channels last is read.")
    details = EXPLAINED[kind](found, seen.inputs[layer], place)
    return Explanation(layer, kind, place, output=float(outputs[place]), **details)


def _window(layer, array, place, size):
    """The window under a place of the output: numbers, 0 in the padding, and where it lies.

    TensorFlow's rule for "same": as many numbers of padding as the last window needs, the smaller
    half of them before the first row.
    """
    strides, dilation = layer.strides, getattr(layer, "dilation_rate", (1, 1))
    corner, at = [], []
    for axis in (0, 1):
        reach = (size[axis] - 1) * dilation[axis] + 1
        windows = -(-array.shape[axis] // strides[axis])
        missing = max((windows - 1) * strides[axis] + reach - array.shape[axis], 0)
        before = missing // 2 if layer.padding == "same" else 0
        corner.append(place[axis] * strides[axis] - before)
        at.append(corner[axis] + dilation[axis] * np.arange(size[axis]))
    rows, columns = np.meshgrid(*at, indexing="ij")
    inside = (rows >= 0) & (rows < array.shape[0]) & (columns >= 0) & (columns < array.shape[1])
    clipped = rows.clip(0, array.shape[0] - 1), columns.clip(0, array.shape[1] - 1)
    window = np.where(inside[..., None], array[clipped].astype(np.float64), 0.0)
    where = {"inside": inside, "corner": tuple(corner), "dilation": tuple(dilation)}
    return window, where


def _conv(layer, inputs, place):
    window, where = _window(layer, inputs[0], place, layer.kernel_size)
    kernel = np.asarray(layer.kernel, np.float64)
    width, count = kernel.shape[2:]  # input channels of one group, output channels

    def read(channel):
        group = channel // (count // layer.groups)
        return group * width, (group + 1) * width

    def weights(channel):
        return window[..., slice(*read(channel))], kernel[..., channel]

    return _weighted(layer, weights, place[2], count) | where | {"channels": read(place[2])}


def _depthwise(layer, inputs, place):
    window, where = _window(layer, inputs[0], place, layer.kernel_size)
    kernel = np.asarray(layer.kernel, np.float64)  # (rows, columns, channels, multiplier)
    many = kernel.shape[3]

    def weights(channel):
        read = slice(channel // many, channel // many + 1)
        return window[..., read], kernel[..., read, channel % many]

    channels, count = (place[2] // many, place[2] // many + 1), kernel.shape[2] * many
    return _weighted(layer, weights, place[2], count) | where | {"channels": channels}


def _dense(layer, inputs, place):
    window = inputs[0][place[:-1]].astype(np.float64)
    kernel = np.asarray(layer.kernel, np.float64)
    return _weighted(layer, lambda unit: (window, kernel[:, unit]), place[-1], kernel.shape[1])


def _weighted(layer, weights, channel, count):
    """Window x kernel + bias, then the activation; only softmax asks for all channels."""
    bias = np.asarray(layer.bias, np.float64) if layer.use_bias else np.zeros(count)
    window, kernel = weights(channel)
    total = float(np.sum(window * kernel))
    sums = np.array([total + bias[channel]])
    name = getattr(layer.activation, "__name__", "activation")
    if name == "softmax":
        sums = np.array([np.sum(np.multiply(*weights(c))) + bias[c] for c in range(count)])
    value = _activated(layer.activation, sums)[channel if name == "softmax" else 0]
    before = sums[channel if name == "softmax" else 0]
    formula = f"sum of window × kernel {total:.5f} + bias {bias[channel]:.5f} = {before:.5f}"
    if name != "linear":
        formula += f"; {name} of it = {value:.5f}"
    return {
        "window": window, "kernel": kernel, "bias": float(bias[channel]), "value": float(value),
        "formula": formula,
    }  # fmt: skip


def _activated(activation, sums):
    """The activation of float64 numbers (units,), in float64."""
    return np.asarray(activation(keras.ops.convert_to_tensor(sums[None], "float64")))[0]


def _norm(layer, inputs, place):
    array = inputs[0]
    if layer.axis not in (-1, array.ndim):
        raise NotExplainedError(f"{layer.name!r} normalises axis {layer.axis}, not the last one.")
    x, channel = float(array[place]), place[-1]
    mean, variance = (float(v[channel]) for v in (layer.moving_mean, layer.moving_variance))
    gamma = float(layer.gamma[channel]) if layer.scale else 1.0
    beta = float(layer.beta[channel]) if layer.center else 0.0
    value = gamma * (x - mean) / np.sqrt(variance + layer.epsilon) + beta
    formula = (
        f"γ {gamma:.5f} × ({x:.5f} − mean {mean:.5f}) / √(variance {variance:.5f} + "
        f"{layer.epsilon:g}) + β {beta:.5f} = {value:.5f}"
    )
    return {"window": np.array([x]), "value": value, "formula": formula}


def _relu(layer, inputs, place):
    x = float(inputs[0][place])
    ceiling = np.inf if layer.max_value is None else layer.max_value
    slope, threshold = float(layer.negative_slope), float(layer.threshold)
    value = min(x, ceiling) if x >= threshold else slope * (x - threshold) + 0.0  # no -0
    formula = f"max(0, {x:.5f}) = {value:.5f}"
    if slope or threshold:
        formula = f"{x:.5f} if ≥ {threshold:g}, else {slope:g} × (it − {threshold:g}): {value:.5f}"
    if ceiling < np.inf:
        formula = f"at most {ceiling:g}: {formula}"
    return {"window": np.array([x]), "value": float(value), "formula": formula}


def _leaky_relu(layer, inputs, place):
    x, slope = float(inputs[0][place]), float(layer.negative_slope)
    value = x if x >= 0 else slope * x
    formula = f"{x:.5f} if ≥ 0, else {slope:g} × it: {value:.5f}"
    return {"window": np.array([x]), "value": value, "formula": formula}


def _activation(layer, inputs, place):
    values = inputs[0][place[:-1]].astype(np.float64)
    value = float(_activated(layer.activation, values)[place[-1]])
    name = getattr(layer.activation, "__name__", "activation")
    formula = f"{name}({values[place[-1]]:.5f}) = {value:.5f}"
    if name == "softmax":
        formula = f"exp({values[place[-1]]:.5f}) / sum of {len(values)} exp = {value:.5f}"
    return {"window": values[place[-1] :][:1], "value": value, "formula": formula}


def _pool(layer, inputs, place):
    window, where = _window(layer, inputs[0], place, layer.pool_size)
    window = window[..., place[2] : place[2] + 1]
    read = window[where["inside"]]
    highest = isinstance(layer, layers.MaxPooling2D)
    value = float(read.max() if highest else read.mean())
    numbers = ", ".join(f"{x:.4f}" for x in read.ravel()[:9]) + (", ..." if len(read) > 9 else "")
    formula = f"{'largest' if highest else 'mean'} of {numbers} = {value:.5f}"
    channels = (place[2], place[2] + 1)
    return {"window": window, "value": value, "formula": formula, "channels": channels} | where


def _global_pool(layer, inputs, place):
    window = inputs[0][..., place[-1] : place[-1] + 1].astype(np.float64)
    value = float(window.mean())
    rows, columns = window.shape[:2]
    formula = f"mean of {rows} × {columns} numbers of channel {place[-1]} = {value:.5f}"
    return {
        "window": window, "value": value, "formula": formula, "corner": (0, 0),
        "inside": np.ones((rows, columns), bool), "channels": (place[-1], place[-1] + 1),
    }  # fmt: skip


def _flatten(layer, inputs, place):
    source = tuple(int(i) for i in np.unravel_index(place[0], inputs[0].shape))
    value = float(inputs[0][source])
    formula = f"place {source} of the input, unchanged: {value:.5f}"
    return {"window": np.array([value]), "value": value, "formula": formula}


def _add(layer, inputs, place):
    if len({array.shape for array in inputs}) > 1:
        raise NotExplainedError(f"{layer.name!r} adds arrays of several shapes.")
    terms = np.array([array[place] for array in inputs], np.float64)
    value = float(terms.sum())
    formula = " + ".join(f"{term:.5f}" for term in terms) + f" = {value:.5f}"
    return {"window": terms, "value": value, "formula": formula}


def _dropout(layer, inputs, place):
    value = float(inputs[0][place])
    formula = f"outside training dropout changes nothing: {value:.5f}"
    return {"window": np.array([value]), "value": value, "formula": formula}


EXPLAINED = {
    "Conv2D": _conv,
    "DepthwiseConv2D": _depthwise,
    "Dense": _dense,
    "BatchNormalization": _norm,
    "FusedBatchNormalization": _norm,
    "ReLU": _relu,
    "LeakyReLU": _leaky_relu,
    "Activation": _activation,
    "MaxPooling2D": _pool,
    "AveragePooling2D": _pool,
    "GlobalAveragePooling2D": _global_pool,
    "Flatten": _flatten,
    "Add": _add,
    "Dropout": _dropout,
    "FastConv2D": _conv,
}
