"""The updates that train the networks of `networks.transfer`, and the crops that they are fed."""

import dataclasses
import functools

import numpy as np
import tensorflow as tf

from course_lib import steps, style


class Crops:
    """An endless, repeatable stream of random square parts of pictures, for `train.fit`.

    A part may be as wide as the picture, is flipped or not, and resized to `size`.

    Args:
        *pools: uint8 (count, side, side, 3) each; a batch has crops of each pool, as a tuple if
            there are several.
        size: side of the crops in pixels.
        batch_size: crops of each pool in a batch.
        seed: int from 0.
        scales: for each pool the smallest width of a part, as a share of the side; default 0.5.
    """

    def __init__(self, *pools, size, batch_size, seed=0, scales=None):
        for pool in pools:
            if pool.dtype != np.uint8 or pool.ndim != 4 or pool.shape[-1] != 3:
                raise ValueError(
                    "a pool must be uint8 (count, side, side, 3), got "
                    f"{pool.dtype} of shape {pool.shape}."
                )
        self.batch_size, self.size, self.seed = batch_size, size, seed
        self._pools = [tf.constant(pool) for pool in pools]
        self._scales = scales or [0.5] * len(pools)
        self._draw = tf.function(self._draw_all, autograph=False)

    def from_step(self, step=0):
        """Iterate over the batches from number `step` on, float32 in [-1, 1]."""
        while True:
            yield self._draw(tf.constant(step, tf.int32))
            step += 1

    def _draw_all(self, step):
        found = tuple(
            self._crops(pool, scale, tf.stack([self.seed * 16 + index, step]))
            for index, (pool, scale) in enumerate(zip(self._pools, self._scales, strict=True))
        )
        return found if len(found) > 1 else found[0]

    def _crops(self, pool, smallest, seed):
        which, wide, place, flip = tf.unstack(tf.random.experimental.stateless_split(seed, 4))
        count = self.batch_size
        which = tf.random.stateless_uniform((count,), which, 0, len(pool), tf.int32)
        wide = tf.random.stateless_uniform((count, 1), wide, smallest, 1.0)
        start = tf.random.stateless_uniform((count, 2), place) * (1 - wide)
        end = start + wide
        flip = tf.random.stateless_uniform((count, 1), flip) < 0.5
        left, right = start[:, 1:], end[:, 1:]
        boxes = tf.concat(
            [start[:, :1], tf.where(flip, right, left), end[:, :1], tf.where(flip, left, right)], 1
        )
        crops = tf.image.crop_and_resize(pool, boxes, which, (self.size, self.size))
        return crops / 127.5 - 1


# One style ----------------------------------------------------------------------------------------

CONTENT = ("block3_conv2",)
LAYERS = tuple(dict.fromkeys(CONTENT + style.STYLE_LAYERS))


@dataclasses.dataclass(frozen=True)
class FeedForwardConfig:
    """Weights of the three terms, each relative to the size of its target."""

    content: float = 1.0
    style: float = 1.0
    variation: float = 0.1


def make_terms(encoder, style_image):
    """Return the function (images, contents) -> dict of what a network of one style makes small.

    Args:
        encoder: Keras model, images -> dict of feature maps.
        style_image: float (height, width, 3) in [-1, 1].

    Returns:
        callable of two float32 batches (batch, height, width, 3) in [-1, 1] -> the float32 scalars
        content (of `normalised` features), style (of Gram matrices; both relative errors, added up
        over the layers) and variation.
    """
    encoder = style.layers_of(encoder, LAYERS)
    wanted = _grams(encoder(style_image[None]))

    def terms(images, contents):
        return _terms(images, encoder(images), encoder(contents), wanted)

    return terms


def _grams(features):
    return {name: style.gram(features[name]) for name in style.STYLE_LAYERS}


def _terms(images, features, content_features, wanted):
    """Return the dict of terms; wanted: Gram matrices of one style, or of one for each image."""
    found = _grams(features)
    return {
        "content": sum(
            style.relative_error(normalised(features[n]), normalised(content_features[n]))
            for n in CONTENT
        ),
        "style": sum(_error_of_each(found[name], wanted[name]) for name in wanted),
        "variation": style.total_variation(images),
    }


def _error_of_each(found, target):
    """Return the mean over a batch of the relative errors: a loud style counts as a quiet one."""
    errors = tf.reduce_mean(tf.square(found - target), axis=(1, 2))
    return tf.reduce_mean(errors / (tf.reduce_mean(tf.square(target), axis=(1, 2)) + 1e-8))


def normalised(features):
    """Return feature maps with mean 0 and deviation 1 in each picture and channel.

    They say where something is and no longer in which colours: a network of one style learns
    from them what to keep, while the mean squared difference of the plain features mostly punishes
    the style.
    """
    mean, deviation = style.mean_and_deviation(features)
    return (tf.cast(features, tf.float32) - mean) / deviation


def weighted(terms, config):
    """Return the sum of the terms, each times its weight of the config, a float32 scalar."""
    return sum(getattr(config, name) * value for name, value in terms.items())


def make_feed_forward_step(network, encoder, style_image, optimizer, config):
    """Return the update of a feed-forward network for one style.

    Args:
        network: Keras model of `transfer.feed_forward`.
        encoder: Keras model, images -> dict of feature maps; it stays as it is.
        style_image: float (height, width, 3) in [-1, 1].
        optimizer: fresh Keras optimizer.
        config: `FeedForwardConfig`.

    Returns:
        `tf.function`, contents float32 (batch, height, width, 3) in [-1, 1] -> dict of the
        float32 scalars content, style and variation, before weighting.

    Source: Johnson et al. 2016, https://arxiv.org/abs/1603.08155.
    """
    terms = make_terms(encoder, style_image)
    optimizer.build(network.trainable_variables)

    def step(contents):
        with tf.GradientTape() as tape:
            found = terms(network(contents, training=True), contents)
            loss = steps.scale(optimizer, weighted(found, config))
        steps.descend(tape, loss, network, optimizer)
        return found

    return tf.function(step, autograph=False)


class PictureLoss:
    """The loss of `make_feed_forward_step` over one picture instead of a network.

    `descent.descend` and `descent.descend_adam` take it for an objective: what they find is what
    the network tries to draw in one pass.

    Args:
        terms: what `make_terms` returns.
        content: float (height, width, 3) in [-1, 1].
        config: `FeedForwardConfig`.
    """

    def __init__(self, terms, content, config):
        self._content = tf.constant(np.asarray(content, "float32")[None])
        self._run = _value_and_gradient(terms, config)

    def value_and_gradient(self, image):
        """Return (dict of floats, `total` among them, and the gradient, float32) of a picture."""
        image = tf.constant(np.asarray(image, "float32")[None])
        found, gradient = self._run(image, self._content)
        return {name: float(value) for name, value in found.items()}, gradient.numpy()[0]


@functools.lru_cache(maxsize=16)
def _value_and_gradient(terms, config):
    """Compile (images, contents) -> terms with their total, gradient; once for all contents."""

    def run(images, contents):
        with tf.GradientTape() as tape:
            tape.watch(images)
            found = terms(images, contents)
            found["total"] = weighted(found, config)
        return found, tape.gradient(found["total"], images)

    return tf.function(run, autograph=False)


# Any style ----------------------------------------------------------------------------------------

ADAIN_LAYER = "block3_conv1"  # a deeper one keeps too little of where things are


@dataclasses.dataclass(frozen=True)
class AdainConfig(FeedForwardConfig):
    """Those of a network of one style, and of the identity: features that kept their statistics."""

    identity: float = 3.0


def make_adain_step(decoder, encoder, optimizer, config):
    """Return the update of the decoder that turns features with another style into pictures.

    It makes the loss of a network of one style small, over all styles, at all strengths, and
    between any two styles (`mixtures`). A quarter of the pictures is also drawn with its own
    statistics, and ought to come back as it was.

    Args:
        decoder: Keras model of `transfer.decoder`.
        encoder: Keras model, images -> dict of feature maps; it stays as it is.
        optimizer: fresh Keras optimizer.
        config: `AdainConfig`.

    Returns:
        `tf.function`, (contents, styles) each float32 (batch, height, width, 3) in [-1, 1] ->
        dict of the float32 scalars content, style, variation and identity (mean squared error),
        before weighting.

    Sources: Huang and Belongie 2017, https://arxiv.org/abs/1703.06868, for the features; their
    losses of means and deviations (equation 13) are replaced by Gram matrices. The identity term:
    Park and Lee 2019, https://arxiv.org/abs/1812.02342.
    """
    encoder = style.layers_of(encoder, LAYERS)
    optimizer.build(decoder.trainable_variables)

    def step(pair):
        contents, styles = pair
        content_features, style_features = encoder(contents), encoder(styles)
        own = tf.cast(content_features[ADAIN_LAYER], tf.float32)
        mix = functools.partial(_mixed, *mixtures(optimizer.iterations, contents.shape[0]))
        target = mix(own, style.adain(own, style_features[ADAIN_LAYER]),
                     style.adain(own, tf.roll(style_features[ADAIN_LAYER], 1, axis=0)))  # fmt: skip
        kept, asked = _grams(content_features), _grams(style_features)
        wanted = {n: mix(kept[n], asked[n], tf.roll(asked[n], 1, axis=0)) for n in asked}
        few = max(1, contents.shape[0] // 4)
        with tf.GradientTape() as tape:
            images = decoder(target, training=True)
            unchanged = decoder(own[:few], training=True)
            terms = _terms(images, encoder(images), content_features, wanted)
            terms["identity"] = tf.reduce_mean(tf.square(unchanged - contents[:few]))
            loss = steps.scale(optimizer, weighted(terms, config))
        steps.descend(tape, loss, decoder, optimizer)
        return terms

    return tf.function(step, autograph=False)


def mixtures(step, count):
    """Return (strengths, shares) of a training step, float32 (count,) each, repeatable.

    A strength is how much a picture gets of its style, a share how much of that is its own style
    and not its neighbour's in the batch. Each is 1 with probability 2/3, or spread evenly over
    [0, 1].
    """
    drawn = tf.random.stateless_uniform((2, count), [0, tf.cast(step, tf.int32)])
    return tf.unstack(tf.minimum(3 * drawn, 1.0))


def _mixed(strengths, shares, own, styled, neighbours):
    """Return features or Gram matrices of each picture, with its strength and share."""
    around = (-1,) + (1,) * (len(own.shape) - 1)
    strengths, shares = (tf.reshape(value, around) for value in (strengths, shares))
    return own + strengths * (shares * styled + (1 - shares) * neighbours - own)
