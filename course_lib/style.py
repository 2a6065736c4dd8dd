r"""Style and content of pictures, measured in the layers of a fixed encoder, and optimised.

Content is what the features of a deep layer say; style is which features occur together, wherever
that is (the Gram matrix), or only how large they are on average and how much they vary (AdaIN).
Both losses are relative errors, without a unit: 0 is a perfect match, and 1 what an answer of
zeros would get, so that layers, encoders and sizes of pictures can be compared.
Sources: Gatys et al. 2016, https://doi.org/10.1109/CVPR.2016.265; for regions and coarse to fine
Gatys et al. 2017, https://arxiv.org/abs/1611.07865; Huang and Belongie 2017,
https://arxiv.org/abs/1703.06868.
"""

import dataclasses
import functools

import keras
import numpy as np
import tensorflow as tf

from course_lib.descent import checked_picture, descend

CONTENT_LAYERS = ("block3_conv2",)
STYLE_LAYERS = ("block1_conv1", "block2_conv1", "block3_conv1", "block4_conv1")


# Statistics and losses ----------------------------------------------------------------------------


def gram(features, mask=None):
    r"""Return the Gram matrices $G_{cd} = \sum_p m_p F_{pc} F_{pd} / \sum_p m_p$ of feature maps.

    The division by the number of places makes pictures of different sizes comparable.

    Args:
        features: (batch, height, width, channels).
        mask: None for the whole picture, or (batch or 1, height, width, 1), at least 0.

    Returns:
        float32 (batch, channels, channels).
    """
    batch, channels = tf.shape(features)[0], features.shape[-1]
    weights = 1.0 if mask is None else tf.reshape(mask, (tf.shape(mask)[0], -1, 1))
    places = tf.cast(tf.reduce_prod(tf.shape(features)[1:3]), tf.float32)
    total = places if mask is None else tf.reduce_sum(mask) + 1e-8

    @tf.custom_gradient
    def products(features):
        flat = tf.cast(tf.reshape(features, (batch, -1, channels)), tf.float32)

        def gradient(above):  # both factors are the features: one product in place of einsum's two
            change = weights * (flat @ (above + tf.linalg.matrix_transpose(above)))
            return tf.cast(tf.reshape(change, tf.shape(features)), features.dtype)

        return tf.matmul(weights * flat, flat, transpose_a=True), gradient

    return products(features) / total


def mean_and_deviation(features, *, epsilon=1e-5):
    """Return mean and standard deviation over the places, each float32 (batch, 1, 1, channels)."""
    mean, variance = tf.nn.moments(tf.cast(features, tf.float32), axes=(1, 2), keepdims=True)
    return mean, tf.sqrt(variance + epsilon)


def adain(content, style):
    r"""Return $\sigma(s)\,(c - \mu(c))/\sigma(c) + \mu(s)$: content with the style's statistics.

    Args:
        content, style: feature maps (batch, height, width, channels); sizes may differ.

    Returns:
        float32, the shape of content. Source: Huang and Belongie 2017, equation 8.
    """
    content_mean, content_deviation = mean_and_deviation(content)
    style_mean, style_deviation = mean_and_deviation(style)
    content = tf.cast(content, tf.float32)
    return style_deviation * (content - content_mean) / content_deviation + style_mean


def relative_error(found, target):
    r"""Return $\sum (F - P)^2 / \sum P^2$ of feature maps or Gram matrices, a float32 scalar.

    This is the content loss, where features are given, and a layer's style loss, where Gram
    matrices are: Gatys' losses, up to a factor that makes them the same for every layer.
    """
    found, target = tf.cast(found, tf.float32), tf.cast(target, tf.float32)
    error = tf.reduce_mean(tf.square(found - target))
    return error / (tf.reduce_mean(tf.square(target)) + 1e-8)


def total_variation(images):
    """Return the mean squared difference of neighbours, down plus across, a float32 scalar."""

    def between_neighbours(axis):
        one_further = np.eye(4, dtype="int32")[axis]
        size = tf.shape(images) - one_further
        # The gradient of `tf.slice` takes a seventh of the time of that of images[:, 1:].
        return tf.slice(images, one_further, size) - tf.slice(images, [0, 0, 0, 0], size)

    down, across = between_neighbours(1), between_neighbours(2)
    return tf.reduce_mean(tf.square(down)) + tf.reduce_mean(tf.square(across))


# The objective ------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Weights:
    """How much each term counts.

    Attributes:
        content: of the content loss.
        style: of the style loss, which is the sum over the layers.
        variation: of total variation.
        layers: weight of each style layer's loss, name -> at least 0.
        blend: share of each style where several are blended, at least 0, not all 0; they are
            divided by their sum. Without effect where styles have regions.
    """

    content: float = 1.0
    style: float = 2.0
    variation: float = 2.0
    layers: dict = dataclasses.field(default_factory=lambda: dict.fromkeys(STYLE_LAYERS, 1.0))
    blend: tuple = (1.0,)

    def __post_init__(self):
        numbers = [self.content, self.style, self.variation, *self.layers.values(), *self.blend]
        if not all(np.isfinite(numbers)) or min(numbers) < 0:
            raise ValueError(f"weights must be finite and at least 0, got {self}.")
        if sum(self.blend) == 0:
            raise ValueError(f"at least one share of blend must be above 0, got {self.blend}.")


class Objective:
    """What is minimised over pictures. Its weights may change between two steps.

    Args:
        encoder: Keras model, images in [-1, 1] -> dict of layer name -> feature maps.
        content: float (height, width, 3) in [-1, 1].
        styles: list of float (height, width, 3) in [-1, 1], of any sizes. Empty: there is no
            style loss, and only content and variation count.
        weights: `Weights`; by default equal shares of all styles.
        regions: None, or for each style a float mask (height, width) of the content's size in
            [0, 1]: where the style goes. What no mask covers stays exactly as it is.
        content_layers: names of the layers whose features are the content.

    Attributes:
        shape: of the pictures, (height, width, 3).
        reach: bool (height, width, 1): where the picture may change.

    Raises:
        ValueError: if the pictures, regions or weights don't fit together, naming what was given.
    """

    def __init__(
        self, encoder, content, styles, weights=None, *, regions=None,
        content_layers=CONTENT_LAYERS,
    ):  # fmt: skip
        content = checked_picture(content, "content")
        styles = [checked_picture(style, f"styles[{index}]") for index, style in enumerate(styles)]
        weights = weights or Weights(blend=(1.0,) * max(1, len(styles)))
        self._by_region = regions is not None
        self._regions = _masks(regions, len(styles), content.shape[:2])
        self.shape = content.shape
        self.reach = np.ones((*content.shape[:2], 1), bool)
        if self._by_region:
            self.reach = np.max(self._regions, axis=0)[..., None] > 0
        style_layers = tuple(weights.layers) if styles else ()
        self.encoder = layers_of(encoder, tuple(dict.fromkeys((*content_layers, *style_layers))))
        features = self.encoder(content[None])
        self._contents = {name: features[name] for name in content_layers}
        self._grams = []
        for style in styles:
            features = self.encoder(style[None])
            self._grams.append({name: gram(features[name]) for name in style_layers})
        self._compiled = _value_and_gradient(self.encoder)
        self.weights = weights

    @property
    def weights(self):
        """The `Weights` in force; assign new ones, of the same layers and number of styles."""
        return self._weights

    @weights.setter
    def weights(self, weights):
        if self._grams and len(weights.blend) != len(self._grams):
            raise ValueError(
                f"blend has {len(weights.blend)} shares for {len(self._grams)} styles: give each "
                "its own."
            )
        if self._grams and set(weights.layers) != set(self._grams[0]):
            raise ValueError(
                f"the style layers are {', '.join(self._grams[0])}; got {', '.join(weights.layers)}"
                ". A weight of 0 leaves a layer out."
            )
        self._weights = weights
        self._factors = {
            name: tf.constant(getattr(weights, name), tf.float32)
            for name in ("content", "style", "variation")
        }
        layers = weights.layers if self._grams else {}
        self._factors["layers"] = {n: tf.constant(w, tf.float32) for n, w in layers.items()}
        self._wanted = self._grams
        if self._grams and not self._by_region:
            self._wanted = [_blended(self._grams, weights.blend)]

    def terms(self, image):
        """Return dict of content, style, variation and total of a picture; weights included."""
        return {name: float(value) for name, value in self._run(image)[0].items()}

    def value_and_gradient(self, image):
        """Return (terms, gradient) of one float picture; the gradient is float32, its shape."""
        terms, gradient = self._run(image)
        return {name: float(v) for name, v in terms.items()}, gradient.numpy()[0] * self.reach

    def loss(self, images):
        """Return the total of a tensor (1, height, width, 3), for a tape of one's own."""
        return _terms(self.encoder, images, *self._targets())["total"]

    def grams(self, image, layer):
        """Return two Gram matrices of a style layer: of a picture, and the one that is wanted.

        Each is float32 (channels, channels); where styles have regions, those of the first region.
        """
        features = self.encoder(np.asarray(image, "float32")[None])[layer]
        mask = self._regions[0][None, ..., None] if self._by_region else None
        found = gram(features, _shrunk(mask, features))
        return found[0].numpy(), self._wanted[0][layer][0].numpy()

    def _run(self, image):
        image = np.asarray(image, "float32")
        if image.shape != self.shape:
            raise ValueError(f"expected a picture of shape {self.shape}, got {image.shape}.")
        return self._compiled(tf.constant(image[None]), *self._targets())

    def _targets(self):
        masks = [tf.constant(mask[None, ..., None]) for mask in self._regions]
        return self._contents, self._wanted, masks, self._factors


def _masks(regions, count, size):
    if regions is None:
        return []
    regions = np.asarray(regions, "float32")
    if regions.shape != (count, *size):
        raise ValueError(
            f"regions must have the shape {(count, *size)}, a mask for each style; got "
            f"{regions.shape}."
        )
    if not (regions.min() >= 0 and regions.max() <= 1):
        raise ValueError(
            f"regions must have values in [0, 1], got [{regions.min():.4g}, {regions.max():.4g}]."
        )
    return list(regions)


@functools.lru_cache(maxsize=16)
def layers_of(encoder, names):
    """Return the encoder up to these layers, and nothing beyond the deepest."""
    known = encoder.output
    if missing := [name for name in names if name not in known]:
        raise ValueError(
            f"the encoder has no layer {missing[0]!r}. Choose from: {', '.join(known)}."
        )
    return keras.Model(encoder.input, {name: known[name] for name in names})


def _blended(grams, blend):
    """Return the mean of several styles' Gram matrices: one loss to it asks for all of them."""
    shares = np.array(blend) / sum(blend)
    return {
        name: sum(share * matrices[name] for share, matrices in zip(shares, grams, strict=True))
        for name in grams[0]
    }


@functools.lru_cache(maxsize=16)
def _value_and_gradient(encoder):
    """Compile (images, *targets) -> terms, gradient."""

    def run(images, *targets):
        with tf.GradientTape() as tape:
            tape.watch(images)
            terms = _terms(encoder, images, *targets)
        return terms, tape.gradient(terms["total"], images)

    return tf.function(run, autograph=False)


def _terms(encoder, images, contents, wanted, masks, factors):
    """Return dict of content, style, variation and total, weighted, float32 scalars."""
    features = encoder(images)
    content = sum(relative_error(features[name], contents[name]) for name in contents)
    style = tf.constant(0.0)
    for mask, grams in zip(masks or [None] * len(wanted), wanted, strict=True):
        for name, factor in factors["layers"].items():
            found = gram(features[name], _shrunk(mask, features[name]))
            style += factor * relative_error(found, grams[name])
    terms = {
        "content": factors["content"] * content,
        "style": factors["style"] * style,
        "variation": factors["variation"] * total_variation(images),
    }
    return terms | {"total": sum(terms.values())}


def _shrunk(mask, features):
    return None if mask is None else tf.image.resize(mask, tf.shape(features)[1:3], "area")


# Coarse to fine -----------------------------------------------------------------------------------


STAGES = ((4, 60), (2, 60), (1, 40))


def coarse_to_fine(
    encoder, content, styles, weights=None, *, regions=None, content_layers=CONTENT_LAYERS,
    start=None, stages=STAGES, observe=None,
):  # fmt: skip
    """Minimise the objective of small pictures first, then start the larger ones from their result.

    A step of a picture half as high and wide costs a quarter, and moves what the large picture
    needs many steps for: large shapes and colours. Source: Gatys et al. 2017, section 6.

    Args:
        encoder, content, styles, weights, regions, content_layers: as `Objective` takes them.
        start: float picture of the content's size in [-1, 1]; by default the content.
        stages: pairs (divisor, steps): by how much all pictures are made smaller, and the
            evaluations that `descend` may take there. The last divisor must be 1.
        observe: callable, `Step` -> True to stop all; seconds and numbers start anew in a stage.

    Returns:
        float32 picture of the content's size in [-1, 1].

    Raises:
        ValueError: as `Objective`, and if the last stage isn't the full size.
    """
    if not stages or stages[-1][0] != 1:
        raise ValueError(f"the last stage must have the divisor 1, got stages={stages}.")
    image, stopped = (content if start is None else start), False

    def watch(step):
        nonlocal stopped
        stopped = bool(observe and observe(step))
        return stopped

    for divisor, steps in stages:
        small = [_divided(picture, divisor) for picture in (content, *styles)]
        masks = None
        if regions is not None:
            masks = [np.clip(_divided(m[..., None], divisor)[..., 0], 0, 1) for m in regions]
        objective = Objective(
            encoder, small[0], small[1:], weights, regions=masks, content_layers=content_layers
        )
        image = np.where(objective.reach, resized(image, *objective.shape[:2]), small[0])
        if not stopped:
            image = descend(objective, image, steps=steps, observe=watch)
    return image


def _divided(picture, divisor):
    height, width = (side // divisor for side in picture.shape[:2])
    return resized(picture, height, width)


def resized(image, height, width):
    """Return a float picture (height, width, channels) in another size, bicubic and antialiased."""
    image = np.asarray(image, "float32")
    if image.shape[:2] == (height, width):
        return image
    image = tf.image.resize(image, (height, width), "bicubic", antialias=True).numpy()
    return np.clip(image, -1, 1)
