"""A Keras model as a description and arrays from which torch_side/networks.py builds its twin.

Everything is mirrored along both image axes: kernels, and the places that a dense layer writes or
reads. TensorFlow puts the odd pixel of "same" padding after the image, PyTorch before it; in the
mirror both mean the same, and PyTorch needs no padding operation of its own. Feed mirrored images.
"""

import numpy as np
from keras import layers


def describe(model, prefix):
    """Return (parts, arrays) of a built Keras model that is a chain, with residual blocks.

    Args:
        model: functional model; a residual block is an Add of its input and a branch.
        prefix: of the names of the arrays.

    Raises:
        ValueError: for a layer that is not known here, or padding that PyTorch has not.
    """
    parts, arrays, shape = [], {}, tuple(model.input_shape[1:])

    def keep(array):
        name = f"{prefix}/{len(arrays):03d}"
        arrays[name] = np.asarray(array)
        return name

    ends = {}  # of each layer: the parts until then
    for layer in model.layers[1:]:
        if isinstance(layer, layers.Add):
            start = min(ends[value._keras_history.operation.name] for value in layer.input)
            parts[start:] = [{"kind": "residual", "parts": parts[start:]}]
        else:
            found = _describe(layer, shape, keep, first=not parts)
            if parts and parts[-1]["kind"] == "reflect":
                _leave_out_unread(parts[-1], layer, shape)
            parts += found
        ends[layer.name], shape = len(parts), tuple(layer.output.shape[1:])
    _mirror_dense(model, parts, arrays)
    return parts, arrays


def mirror(images, unread=0):
    """Return images (count, height, width, channels) turned by 180 degrees.

    unread: last rows and columns that a first layer with gaps never reads; they are left out.
    """
    return np.ascontiguousarray(images[:, ::-1, ::-1][:, unread:, unread:])


def _describe(layer, shape, keep, first):
    """Return the parts of one layer: itself and the activation that it holds."""
    name = type(layer).__name__
    if isinstance(layer, layers.Conv2D | layers.Conv2DTranspose | layers.DepthwiseConv2D):
        part = _convolution(layer, shape, keep, first)
    elif isinstance(layer, layers.Dense):
        part = {"kind": "dense", "kernel": keep(layer.kernel)}
        part["bias"] = keep(layer.bias) if layer.use_bias else None
    elif isinstance(layer, layers.BatchNormalization):
        part = {
            "kind": "norm", "maps": len(shape) == 3, "channels": shape[-1],
            "epsilon": layer.epsilon, "momentum": layer.momentum,
            "arrays": [keep(array) for array in layer.get_weights()],
        }  # fmt: skip
    elif name == "InstanceNormalization":
        part = {"kind": "instance norm", "channels": shape[-1], "epsilon": layer.epsilon}
        part["arrays"] = [keep(layer.gamma), keep(layer.beta)]
    elif name in SIMPLE:
        part = SIMPLE[name](layer)
    else:
        raise ValueError(f"translate knows no {name}; add it here and in torch_side/networks.py.")
    inner = getattr(getattr(layer, "activation", None), "__name__", "linear")
    return [part] * bool(part) + ([] if name == "Activation" else _activation(inner))


def _leave_out_unread(part, layer, shape):
    """Shorten a border by the last rows that a convolution with gaps never reads."""
    if layer.padding != "valid":
        raise ValueError(f"{layer.name}: after a mirrored border, padding must be valid.")
    part["before"] = part["margin"] - (shape[0] - layer.kernel_size[0]) % layer.strides[0]


def _activation(name):
    known = {"linear": [], "relu": [{"kind": "leaky", "slope": 0}], "tanh": [{"kind": "tanh"}]}
    return known[name]


SIMPLE = {
    "Activation": lambda layer: _activation(layer.activation.__name__)[0],
    "Reshape": lambda layer: {"kind": "reshape", "shape": layer.target_shape},
    "Flatten": lambda layer: {"kind": "flatten"},
    "ReLU": lambda layer: {"kind": "leaky", "slope": 0},
    "LeakyReLU": lambda layer: {"kind": "leaky", "slope": float(layer.negative_slope)},
    "Dropout": lambda layer: {"kind": "dropout", "rate": layer.rate} if layer.rate else None,
    "MaxPooling2D": lambda layer: {"kind": "max pool", "size": layer.pool_size[0]},
    "AveragePooling2D": lambda layer: {"kind": "mean pool", "size": layer.pool_size[0]},
    "GlobalAveragePooling2D": lambda layer: {"kind": "global pool"},
    "UpSampling2D": lambda layer: {"kind": "enlarge", "factor": layer.size[0]},
    "UnitNormalization": lambda layer: {"kind": "sphere"},
    "ReflectionPadding": lambda layer: {
        "kind": "reflect",
        "margin": layer.margin,
        "before": layer.margin,
    },
    "Rescaling": lambda layer: {"kind": "scale", "factor": float(layer.scale)},
}


def _convolution(layer, shape, keep, first):
    transposed = isinstance(layer, layers.Conv2DTranspose)
    small, large = (shape, layer.output.shape[1:])[:: 1 if transposed else -1]
    size, stride = layer.kernel_size[0], layer.strides[0]
    needed = (small[0] - 1) * stride + size - large[0] if layer.padding == "same" else 0
    before, odd = (max(needed, 0) + 1) // 2, needed % 2  # mirrored: the odd pixel comes first
    kinds = {layers.Conv2DTranspose: "transposed", layers.DepthwiseConv2D: "depthwise"}
    kind = next((name for cls, name in kinds.items() if isinstance(layer, cls)), "convolution")
    if needed < 0 and (transposed or not first):
        raise ValueError(f"{layer.name}: a stride of {stride} over a kernel of {size} leaves gaps.")
    return {
        "kind": kind, "stride": stride, "padding": before, "extra": odd,
        "kernel": keep(np.asarray(layer.kernel)[::-1, ::-1]),
        "bias": keep(layer.bias) if layer.use_bias else None,
    }  # fmt: skip


def _mirror_dense(model, parts, arrays):
    """Turn the places around that dense layers write before Reshape, or read after Flatten."""
    shapes = {type(layer).__name__: layer for layer in model.layers}
    dense = [part for part in parts if part["kind"] == "dense"]
    if "Reshape" in shapes:
        part, target = dense[0], shapes["Reshape"].target_shape
        for name in filter(None, (part["kernel"], part["bias"])):
            turned = arrays[name].reshape(-1, *target)[:, ::-1, ::-1]
            arrays[name] = turned.reshape(arrays[name].shape)
    if "Flatten" in shapes:
        source = shapes["Flatten"].input.shape[1:]
        name = dense[1 if "Reshape" in shapes else 0]["kernel"]
        turned = arrays[name].reshape(*source, -1)[::-1, ::-1]
        arrays[name] = turned.reshape(arrays[name].shape)
