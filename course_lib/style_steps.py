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
    encoder = style.layers_of(encoder, tuple(dict.fromkeys(CONTENT + style.STYLE_LAYERS)))
    wanted = encoder(style_image[None])
    wanted = {name: style.gram(wanted[name]) for name in style.STYLE_LAYERS}

    def terms(images, contents):
        features, targets = encoder(images), encoder(contents)
        return {
            "content": sum(
                style.relative_error(normalised(features[n]), normalised(targets[n]))
                for n in CONTENT
            ),
            "style": sum(style.relative_error(style.gram(features[n]), wanted[n]) for n in wanted),
            "variation": style.total_variation(images),
        }

    return terms


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
class AdainConfig:
    """Weights of the terms, each relative to the size of its target."""

    content: float = 1.0
    style: float = 1.0
    identity: float = 10.0
    variation: float = 0.05


def make_adain_step(decoder, encoder, optimizer, config):
    """Return the update of the decoder that turns features with another style into pictures.

    Args:
        decoder: Keras model of `transfer.decoder`.
        encoder: Keras model, images -> dict of feature maps; it stays as it is.
        optimizer: fresh Keras optimizer.
        config: `AdainConfig`.

    Returns:
        `tf.function`, (contents, styles) each float32 (batch, height, width, 3) in [-1, 1] ->
        dict of the float32 scalars content, style, identity (how well features that kept their own
        statistics give their picture back) and variation, before weighting.

    Source: Huang and Belongie 2017, equations 11 to 13, https://arxiv.org/abs/1703.06868; the
    identity term: Park and Lee 2019, https://arxiv.org/abs/1812.02342.
    """
    encoder = style.layers_of(encoder, style.STYLE_LAYERS)
    optimizer.build(decoder.trainable_variables)

    def step(pair):
        contents, styles = pair
        wanted = encoder(styles)
        own = tf.cast(encoder(contents)[ADAIN_LAYER], tf.float32)
        target = style.adain(own, wanted[ADAIN_LAYER])
        with tf.GradientTape() as tape:
            both = decoder(tf.concat([target, own], 0), training=True)
            images, unchanged = tf.split(both, 2)
            features = encoder(images)
            terms = {
                "content": style.relative_error(features[ADAIN_LAYER], target),
                "style": sum(_statistics_loss(features[name], wanted[name]) for name in wanted),
                "identity": tf.reduce_mean(tf.square(unchanged - contents)),
                "variation": style.total_variation(images),
            }
            loss = weighted(terms, config)
            # Beyond the range no screen shows a difference; without this the decoder goes there.
            loss += tf.reduce_mean(tf.square(images - tf.clip_by_value(images, -1, 1)))
            loss = steps.scale(optimizer, loss)
        steps.descend(tape, loss, decoder, optimizer)
        return terms

    return tf.function(step, autograph=False)


def _statistics_loss(features, target):
    pairs = zip(style.mean_and_deviation(features), style.mean_and_deviation(target), strict=True)
    return sum(style.relative_error(value, wanted) for value, wanted in pairs)
