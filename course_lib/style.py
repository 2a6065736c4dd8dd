r"""Style and content of pictures, measured in the layers of a fixed encoder, and optimised.

Content is what the features of a deep layer say; style is which features occur together, wherever
that is (the Gram matrix), or only how large they are on average and how much they vary (AdaIN).
Sources: Gatys et al. 2016, https://doi.org/10.1109/CVPR.2016.265; for regions and colour Gatys et
al. 2017, https://arxiv.org/abs/1611.07865; Huang and Belongie 2017,
https://arxiv.org/abs/1703.06868.
"""

import dataclasses
import functools
import time

import keras
import numpy as np
import tensorflow as tf
from scipy import optimize

CONTENT_LAYERS = ("block4_conv1",)
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
    features = tf.cast(features, tf.float32)
    if mask is None:
        places = tf.cast(tf.reduce_prod(tf.shape(features)[1:3]), tf.float32)
        return tf.einsum("bhwc,bhwd->bcd", features, features) / places
    weighted = features * mask
    return tf.einsum("bhwc,bhwd->bcd", weighted, features) / (tf.reduce_sum(mask) + 1e-8)


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


def content_loss(features, target):
    """Return the mean squared difference of two feature maps, a float32 scalar."""
    return tf.reduce_mean(tf.square(tf.cast(features, tf.float32) - tf.cast(target, tf.float32)))


def style_loss(matrix, target):
    """Return the mean squared difference of two Gram matrices, a float32 scalar."""
    return tf.reduce_mean(tf.square(matrix - target))


def total_variation(images):
    """Return the mean squared difference of neighbours, down plus across, a float32 scalar."""
    down, across = images[:, 1:] - images[:, :-1], images[:, :, 1:] - images[:, :, :-1]
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
    style: float = 1.0
    variation: float = 0.02
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
        styles: list of float (height, width, 3) in [-1, 1], of any sizes.
        weights: `Weights`.
        regions: None, or for each style a float mask (height, width) of the content's size in
            [0, 1]: where the style goes. What no mask covers stays exactly as it is.

    Raises:
        ValueError: if the pictures, regions or weights don't fit together, naming what was given.
    """

    def __init__(self, encoder, content, styles, weights=None, *, regions=None):
        content = _picture(content, "content")
        styles = [_picture(style, f"styles[{index}]") for index, style in enumerate(styles)]
        if not styles:
            raise ValueError("styles is empty: give at least one picture.")
        self.shape = content.shape
        self._regions = _masks(regions, len(styles), content.shape[:2])
        self.reach = np.clip(sum(self._regions), 0, 1)[..., None] if regions is not None else 1.0
        self._by_region = regions is not None
        weights = weights or Weights(blend=(1.0,) * len(styles))
        self.encoder = layers_of(encoder, tuple(dict.fromkeys((*CONTENT_LAYERS, *weights.layers))))
        self._contents = _targets(self.encoder, content, CONTENT_LAYERS)
        self._contents = {name: self._contents[name] for name in CONTENT_LAYERS}
        self._grams = [
            {name: gram(value) for name, value in self.encoder(style[None]).items()
             if name in weights.layers}
            for style in styles
        ]  # fmt: skip
        self._compiled = _value_and_gradient(self.encoder)
        self.weights = weights

    @property
    def weights(self):
        """The `Weights` in force; assign new ones, of the same layers and number of styles."""
        return self._weights

    @weights.setter
    def weights(self, weights):
        if len(weights.blend) != len(self._grams):
            raise ValueError(
                f"blend has {len(weights.blend)} shares for {len(self._grams)} styles: give each "
                "its own."
            )
        if set(weights.layers) != set(self._grams[0]):
            raise ValueError(
                f"the style layers are {', '.join(self._grams[0])}; got {', '.join(weights.layers)}"
                ". A weight of 0 leaves a layer out."
            )
        self._weights = weights
        self._factors = {
            name: tf.constant(getattr(weights, name), tf.float32)
            for name in ("content", "style", "variation")
        }
        self._factors["layers"] = {
            name: tf.constant(value, tf.float32) for name, value in weights.layers.items()
        }
        self._wanted = self._grams
        if not self._by_region:
            # The sum of the losses to several Gram matrices and the loss to their mean differ by a
            # constant.
            shares = np.array(weights.blend) / sum(weights.blend)
            self._wanted = [
                {name: sum(share * grams[name] for share, grams in zip(shares, self._grams,
                                                                       strict=True))
                 for name in self._grams[0]}
            ]  # fmt: skip

    def terms(self, image):
        """Return dict of content, style, variation and total of a picture; weights included."""
        return {name: float(value) for name, value in self._run(image)[0].items()}

    def grams(self, image, layer):
        """Return two Gram matrices of a style layer: of a picture, and the one that is wanted.

        Each is float32 (channels, channels); where styles have regions, those of the first region.
        """
        features = self.encoder(np.asarray(image, "float32")[None])[layer]
        mask = self._regions[0][None, ..., None] if self._by_region else None
        found = gram(features, _shrunk(mask, features))
        return found[0].numpy(), self._wanted[0][layer][0].numpy()

    def value_and_gradient(self, image):
        """Return (terms, gradient) of one float picture; the gradient is float32, its shape."""
        terms, gradient = self._run(image)
        return {name: float(v) for name, v in terms.items()}, gradient.numpy()[0] * self.reach

    def _run(self, image):
        image = np.asarray(image, "float32")
        if image.shape != self.shape:
            raise ValueError(f"expected a picture of shape {self.shape}, got {image.shape}.")
        return self._compiled(
            tf.constant(image[None]), self._contents, self._wanted,
            [tf.constant(mask[None, ..., None]) for mask in self._regions], self._factors,
        )  # fmt: skip


def _picture(image, name):
    image = np.asarray(image, "float32")
    if image.ndim != 3 or image.shape[-1] != 3 or min(image.shape[:2]) < 16:
        raise ValueError(
            f"{name} must have the shape (height, width, 3), each side at least 16; got "
            f"{image.shape}."
        )
    if not (image.min() >= -1.001 and image.max() <= 1.001):
        raise ValueError(
            f"{name} must have values in [-1, 1], got [{image.min():.4g}, {image.max():.4g}]; "
            "convert pixels with course_lib.datasets.images.to_float."
        )
    return image


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


def _targets(encoder, picture, names):
    found = encoder(picture[None])
    return {name: tf.stop_gradient(found[name]) for name in names}


@functools.lru_cache(maxsize=16)
def _value_and_gradient(encoder):
    """Compile (images, contents, Gram matrices by region, masks, factors) -> terms, gradient."""

    def run(images, contents, wanted, masks, factors):
        with tf.GradientTape() as tape:
            tape.watch(images)
            features = encoder(images)
            content = sum(content_loss(features[name], contents[name]) for name in contents)
            style = sum(
                factor * style_loss(gram(features[name], _shrunk(mask, features[name])),
                                    grams[name])
                for mask, grams in zip(masks or [None], wanted, strict=True)
                for name, factor in factors["layers"].items()
            )  # fmt: skip
            terms = {
                "content": factors["content"] * content,
                "style": factors["style"] * style,
                "variation": factors["variation"] * total_variation(images),
            }
            terms["total"] = sum(terms.values())
        return terms, tape.gradient(terms["total"], images)

    return tf.function(run, autograph=False, reduce_retracing=True)


def _shrunk(mask, features):
    return None if mask is None else tf.image.resize(mask, tf.shape(features)[1:3], "area")


# Optimisation -------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, eq=False)
class Step:
    """One step of `descend`: its number from 0, the picture before it, the terms, the seconds."""

    number: int
    image: np.ndarray
    terms: dict
    seconds: float


def descend_adam(objective, start, *, steps=100, learning_rate=0.02, observe=None):
    """Minimise an objective over a picture as TensorFlow's tutorial does: Adam, then clipping.

    Args:
        objective: `Objective`.
        start: float (height, width, 3) in [-1, 1].
        steps: gradients taken.
        learning_rate: of Adam (beta_1 = 0.99, epsilon = 0.1, as the tutorial has them), for
            values from 0 to 1; doubled here for [-1, 1].
        observe: callable, `Step` -> True to stop; None never stops.

    Returns:
        float32 picture, clipped to [-1, 1].
    """
    image = tf.Variable(_picture(start, "start"))
    optimizer = keras.optimizers.Adam(2 * learning_rate, 0.99, epsilon=0.1)
    optimizer.build([image])
    started = time.perf_counter()
    for number in range(steps):
        terms, gradient = objective.value_and_gradient(image.numpy())
        if observe and observe(Step(number, image.numpy(), terms, time.perf_counter() - started)):
            break
        optimizer.apply([tf.constant(gradient)], [image])
        image.assign(tf.clip_by_value(image, -1, 1))
    return image.numpy()


def descend(objective, start, *, steps=100, memory=12, observe=None):
    """Minimise an objective over a picture with L-BFGS, which learns the curvature on its way.

    Args:
        objective: `Objective`.
        start: float (height, width, 3) in [-1, 1].
        steps: evaluations of objective and gradient, at most.
        memory: pairs of steps and gradients that it keeps.
        observe: callable, `Step` -> True to stop; called at each evaluation's picture that was
            accepted.

    Returns:
        float32 picture in [-1, 1].
    """
    start, started = _picture(start, "start"), time.perf_counter()
    evaluations, last = 0, {}

    def evaluate(values):
        nonlocal evaluations
        evaluations += 1
        terms, gradient = objective.value_and_gradient(values.reshape(start.shape))
        last.update(terms)
        return terms["total"], gradient.astype("float64").ravel()

    def accepted(intermediate_result):
        image = intermediate_result.x.reshape(start.shape).astype("float32")
        step = Step(evaluations - 1, image, dict(last), time.perf_counter() - started)
        if observe and observe(step):
            raise StopIteration

    found = optimize.minimize(
        evaluate, start.astype("float64").ravel(), jac=True, method="L-BFGS-B",
        bounds=optimize.Bounds(-1, 1), callback=accepted,
        options={"maxfun": steps, "maxiter": steps, "maxcor": memory, "ftol": 0, "gtol": 0},
    )  # fmt: skip
    return np.clip(found.x, -1, 1).reshape(start.shape).astype("float32")


def resized(image, height, width):
    """Return a float picture (height, width, 3) in another size, bicubic and antialiased."""
    image = tf.image.resize(image, (height, width), "bicubic", antialias=True).numpy()
    return np.clip(image, -1, 1)
