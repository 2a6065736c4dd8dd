"""Attribution maps: which pixels a classifier's answer depends on, and whether to believe it.

A map is made for a *target*, the class whose logit is explained. Models map images
(batch, height, width, channels) to logits (batch, classes); Softmax is no part of them.
"""

import keras
import numpy as np
import tensorflow as tf
from scipy import stats

CHUNK = 64  # images in one call of the network


# Gradients ----------------------------------------------------------------------------------------


def target_logits(model, images, targets):
    """Returns the logit of each image's target class, float32 (batch,).

    Args:
        model: classifier, images -> logits (batch, classes).
        images: float32 (batch, height, width, channels) in the model's range.
        targets: integers (batch,), one class per image.

    Raises:
        ValueError: if targets are no integers (batch,), or name a class that the model lacks.
    """
    images, targets = _checked(model, images, targets)
    chunks = range(0, len(images), CHUNK)
    parts = [_logits(model, images[i : i + CHUNK], targets[i : i + CHUNK]) for i in chunks]
    return np.concatenate(parts)


def gradient(model, images, targets):
    """Returns the gradient of the target's logit with respect to the image.

    Args: as in `target_logits`.

    Returns:
        float32 (batch, height, width, channels): how much the logit rises per unit of each value.

    Source: Simonyan et al. 2014, section 3, https://arxiv.org/abs/1312.6034.
    """
    images, targets = _checked(model, images, targets)
    chunks = range(0, len(images), CHUNK)
    parts = [_gradient(model, images[i : i + CHUNK], targets[i : i + CHUNK]) for i in chunks]
    return np.concatenate(parts)


def gradient_times_input(model, images, targets, *, baseline=0.0):
    """Returns gradient * (image - baseline): the effect on the logit if the model were linear.

    Args and shape are those of `gradient`; baseline is that of `integrated_gradients`.
    """
    return gradient(model, images, targets) * (np.asarray(images, np.float32) - baseline)


def integrated_gradients(model, images, targets, *, baseline=0.0, steps=64):
    r"""Returns the gradients along the straight way from a baseline to the image, integrated.

    $$(x_i - x'_i) \int_0^1 \frac{\partial F(x' + \alpha (x - x'))}{\partial x_i}\,d\alpha$$

    with the midpoint rule: alpha = 0.5 / steps, 1.5 / steps, ... The sum over an image is close to
    F(x) - F(x'), its *completeness*; `completeness_error` measures how close.

    Args:
        model, images, targets: as in `target_logits`.
        baseline: x', a number or an array that fits an image; 0 is a grey picture.
        steps: points on the way, at least 1.

    Returns:
        float32 (batch, height, width, channels).

    Raises:
        ValueError: on fewer than one step; otherwise as `target_logits`.

    Source: Sundararajan et al. 2017, eq. 1, https://arxiv.org/abs/1703.01365.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}.")
    difference = np.asarray(images, np.float32) - np.float32(baseline)
    total = np.zeros(difference.shape, np.float64)
    for alpha in (np.arange(steps) + 0.5) / steps:
        total += gradient(model, baseline + np.float32(alpha) * difference, targets)
    return (difference * total / steps).astype(np.float32)


def completeness_error(model, images, targets, maps, *, baseline=0.0):
    """Returns |sum of the map - (F(x) - F(x'))| / |F(x) - F(x')| for each image, float64 (batch,).

    Args: those of `integrated_gradients`, and the maps that it returned.
    """
    images = np.asarray(images, np.float32)
    start = np.broadcast_to(np.float32(baseline), images.shape)
    rise = target_logits(model, images, targets) - target_logits(model, start, targets)
    sums = np.asarray(maps, np.float64).reshape(len(images), -1).sum(axis=1)
    return np.abs(sums - rise) / np.abs(rise)


def guided_copy(model):
    """Returns a copy of a model whose ReLUs let only positive gradients pass: same answers.

    `gradient` of this copy is guided backpropagation. ReLU layers and layers with
    `activation="relu"` are replaced; others keep their gradients.

    Source: Springenberg et al. 2015, section 3.4, https://arxiv.org/abs/1412.6806.
    """

    def clone(layer):
        if isinstance(layer, keras.layers.ReLU):
            return keras.layers.Activation(_guided_relu, name=layer.name)
        copied = layer.__class__.from_config(layer.get_config())
        if getattr(copied, "activation", None) is keras.activations.relu:
            copied.activation = _guided_relu
        return copied

    copy = keras.models.clone_model(model, clone_function=clone)
    copy.set_weights(model.get_weights())
    return copy


@tf.custom_gradient
def _guided_relu(x):
    outputs = tf.nn.relu(x)
    return outputs, lambda upstream: tf.where((x > 0) & (upstream > 0), upstream, 0.0)


# Maps of a layer, maps of a grey square -----------------------------------------------------------


def grad_cam(model, images, targets, layer):
    r"""Returns the Grad-CAM map of a convolutional layer, at the size of its feature maps.

    $$\alpha_k = \frac1Z \sum_{ij} \frac{\partial y}{\partial A^k_{ij}}, \qquad
      L = \mathrm{ReLU}\Bigl(\sum_k \alpha_k A^k\Bigr)$$

    Args:
        model, images, targets: as in `target_logits`; y is the target's logit.
        layer: name of the layer whose feature maps A^k, (batch, rows, columns, channels), are read.

    Returns:
        float32 (batch, rows, columns), at least 0. `enlarge` brings it to the size of the image.

    Raises:
        ValueError: if there is no such layer, or its output has no rows and columns.

    Source: Selvaraju et al. 2017, eq. 1 and 2, https://arxiv.org/abs/1610.02391.
    """
    images, targets = _checked(model, images, targets)
    names = [each.name for each in model.layers]
    if layer not in names:
        raise ValueError(f"the model has no layer {layer!r}; its layers: {', '.join(names)}.")
    features = model.get_layer(layer).output
    if len(features.shape) != 4:
        raise ValueError(
            f"Grad-CAM needs feature maps (batch, rows, columns, channels); {layer!r} gives "
            f"{features.shape}: choose a convolution, or what follows it directly."
        )
    probe = keras.Model(model.inputs[0], [features, model.outputs[0]])
    parts = []
    for start in range(0, len(images), CHUNK):
        some, wanted = tf.constant(images[start : start + CHUNK]), targets[start : start + CHUNK]
        with tf.GradientTape() as tape:
            tape.watch(some)  # without trainable weights nothing would be recorded
            maps, logits = probe(some, training=False)
            chosen = tf.gather(logits, wanted, axis=1, batch_dims=1)
        weights = tf.reduce_mean(tape.gradient(chosen, maps), axis=(1, 2), keepdims=True)
        parts.append(tf.nn.relu(tf.reduce_sum(weights * maps, axis=-1)).numpy())
    return np.concatenate(parts)


def enlarge(maps, size):
    """Returns maps (batch, rows, columns) at (batch, height, width), bilinear; size is a pair."""
    return tf.image.resize(np.asarray(maps, np.float32)[..., None], size)[..., 0].numpy()


def occlusion(model, images, targets, *, size=8, stride=4, fill=0.0):
    """Returns how far the target's logit falls when a square is covered, averaged over squares.

    Args:
        model, images, targets: as in `target_logits`.
        size: side of the square in pixels, at most that of the image.
        stride: pixels between two squares; the last row and column of squares end at the edge.
        fill: value that covers; 0 is grey.

    Returns:
        float32 (batch, height, width): the mean fall over the squares that cover the pixel, and 0
        where none does.

    Raises:
        ValueError: if the square is larger than the image, or size or stride is below 1.

    Source: Zeiler and Fergus 2014, section 4.2, https://arxiv.org/abs/1311.2901.
    """
    images, targets = _checked(model, images, targets)
    height, width = images.shape[1:3]
    if not 1 <= size <= min(height, width) or stride < 1:
        raise ValueError(
            f"the square's side must be from 1 to {min(height, width)} and the stride at least 1, "
            f"got size={size}, stride={stride}."
        )
    before = target_logits(model, images, targets)
    falls = np.zeros(images.shape[:3], np.float64)
    covers = np.zeros((height, width))
    for top in _starts(height, size, stride):
        for left in _starts(width, size, stride):
            square = np.s_[top : top + size, left : left + size]
            covered = images.copy()
            covered[:, *square] = fill
            fall = before - target_logits(model, covered, targets)
            falls[:, *square] += fall[:, None, None]
            covers[square] += 1
    return (falls / np.maximum(covers, 1)).astype(np.float32)


def _starts(length, size, stride):
    """First pixels of the squares; the last square ends at the edge."""
    return sorted({*range(0, length - size + 1, stride), length - size})


# Judging maps -------------------------------------------------------------------------------------


def strength(maps):
    """Returns the sum of absolute values over the channels: (batch, height, width, channels)
    -> float (batch, height, width). Maps without channels: their absolute values.
    """
    maps = np.abs(np.asarray(maps))
    return maps.sum(axis=-1) if maps.ndim == 4 else maps


def share_inside(maps, masks):
    """Returns the share of each map's strength that lies within a mask, float64 (batch,).

    Args:
        maps: (batch, height, width) or (batch, height, width, channels); signs do not count.
        masks: bool (batch, height, width).

    Returns:
        From 0 to 1; NaN for a map that is 0 everywhere.

    Raises:
        ValueError: if the sizes differ.
    """
    total, masks = strength(maps).astype(np.float64), np.asarray(masks, bool)
    if total.shape != masks.shape:
        raise ValueError(
            f"maps and masks must have the same size, got {total.shape} and {masks.shape}; "
            "bring a small map to the size of the image with `enlarge`."
        )
    with np.errstate(invalid="ignore"):
        return (total * masks).sum(axis=(1, 2)) / total.sum(axis=(1, 2))


def rank_correlation(maps, others):
    """Returns Spearman's rank correlation of each pair of maps, pixel by pixel: float64 (batch,).

    1: the same order of pixels; 0: unrelated; NaN if all values of a map are equal.

    Args:
        maps, others: (batch, ...), the same shape.
    """
    maps, others = np.asarray(maps), np.asarray(others)
    if maps.shape != others.shape:
        raise ValueError(f"two sets of maps must have one shape, got {maps.shape}, {others.shape}.")
    return np.array([_spearman(a.ravel(), b.ravel()) for a, b in zip(maps, others, strict=True)])


def _spearman(a, b):
    """SciPy's own function warns about constant maps; here their correlation is NaN in silence."""
    a, b = (stats.rankdata(values) for values in (a, b))
    with np.errstate(invalid="ignore", divide="ignore"):
        a, b = a - a.mean(), b - b.mean()
        return np.sum(a * b) / np.sqrt(np.sum(a * a) * np.sum(b * b))


def randomised_from_the_top(model, *, seed):
    """Yields (name, copy of the model): the layers from the output down to `name` are untrained.

    The weights of a copy's upper layers are drawn anew: kernels from a normal distribution with
    variance 2 / fan-in, the rest as a new layer has them. Layers without weights are passed over.

    Args:
        model: a functional or sequential Keras model.
        seed: integer; the weights of a layer are the same in every copy.

    Source: Adebayo et al. 2018, section 3.1, cascading randomisation,
        https://arxiv.org/abs/1810.03292.
    """
    generator, drawn = np.random.default_rng(seed), {}
    for layer in reversed(model.layers):
        if not layer.weights:
            continue
        drawn[layer.name] = [_untrained(layer, weight, generator) for weight in layer.weights]
        copy = keras.models.clone_model(model)
        copy.set_weights(model.get_weights())
        for name, weights in drawn.items():
            copy.get_layer(name).set_weights(weights)
        yield layer.name, copy


def _untrained(layer, weight, generator):
    """The values of a weight in a layer that has not been trained."""
    if "kernel" in weight.name:
        # A depthwise kernel (rows, columns, channels, multiplier) adds up one channel alone.
        depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        added = weight.shape[:2] if depthwise else weight.shape[:-1]
        return generator.normal(0.0, np.sqrt(2 / np.prod(added)), weight.shape)
    return np.full(weight.shape, float(weight.name in ("gamma", "moving_variance")))


# Inputs -------------------------------------------------------------------------------------------


def _checked(model, images, targets):
    """The images as float32 and the targets as integers that the model has, both NumPy."""
    images, targets = np.asarray(images, np.float32), np.asarray(targets)
    shape = model.output_shape
    if not isinstance(shape, tuple) or len(shape) != 2:
        raise ValueError(
            f"the model must have one output, logits (batch, classes), got {shape}; cut one out "
            "with keras.Model(model.inputs[0], model.output[name])."
        )
    classes = shape[-1]
    if images.ndim != 4 or targets.shape != (len(images),) or targets.dtype.kind not in "iu":
        raise ValueError(
            "expected images (batch, height, width, channels) and integer targets (batch,), got "
            f"images {images.shape} and targets {targets.dtype} {targets.shape}."
        )
    if targets.size and not 0 <= targets.min() <= targets.max() < classes:
        raise ValueError(
            f"targets must be from 0 to {classes - 1}, got {targets.min()} to {targets.max()}."
        )
    return images, targets


def _logits(model, images, targets):
    return np.take_along_axis(_call(model, images), targets[:, None], axis=1)[:, 0]


def _call(model, images):
    return np.asarray(model(images, training=False))


def _gradient(model, images, targets):
    images = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(images)
        logits = tf.gather(model(images, training=False), targets, axis=1, batch_dims=1)
    return tape.gradient(logits, images).numpy()
