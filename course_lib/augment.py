"""Random changes of training pictures that leave their labels true, or change them in proportion.

Every function takes and returns (images, targets): float32 images (batch, height, width, channels)
in [-1, 1], and float32 targets (batch, classes), rows that sum to 1. `seed` is a
`keras.random.SeedGenerator`, so that a checkpoint can hold it. All run inside a compiled step.
"""

import math

import keras
import tensorflow as tf
from keras import ops


def crop(images, targets, seed, *, share=0.125):
    """Move every picture by up to `share` of its side; what is missing is mirrored.

    It is the usual "pad, then cut out at a random place": the picture keeps its size.
    """
    count, height, width, _ = images.shape
    rows = _mirrored(height, _offsets(count, height * share, seed))
    columns = _mirrored(width, _offsets(count, width * share, seed))
    images = tf.gather(images, rows, axis=1, batch_dims=1)
    return tf.gather(images, columns, axis=2, batch_dims=1), targets


def _offsets(count, most, seed):
    most = int(most)
    return keras.random.randint((count,), -most, most + 1, seed=seed)


def _mirrored(size, offsets):
    """Return the source of every row, int32 (batch, size): i + offset, reflected at the ends."""
    rows = tf.abs(tf.range(size)[None] + offsets[:, None])
    return size - 1 - tf.abs(size - 1 - rows)


def flip(images, targets, seed):
    """Mirror every second picture, left to right. Not for letters, or a left and a right hand."""
    count, _, width, _ = images.shape
    heads = keras.random.uniform((count, 1), seed=seed) < 0.5
    columns = ops.where(heads, tf.range(width - 1, -1, -1), tf.range(width))
    return tf.gather(images, columns, axis=2, batch_dims=1), targets  # a reversed slice takes 6x


def rotate(images, targets, seed, *, degrees=15.0):
    """Turn every picture by up to so many degrees about its centre; corners are mirrored."""
    count, height, width, _ = images.shape
    angle = keras.random.uniform((count,), -1, 1, seed=seed) * (degrees * math.pi / 180)
    cosine, sine = ops.cos(angle), ops.sin(angle)
    x, y = (width - 1) / 2, (height - 1) / 2
    zero = ops.zeros_like(angle)
    matrix = [cosine, -sine, x - cosine * x + sine * y, sine, cosine, y - sine * x - cosine * y]
    transform = ops.stack([*matrix, zero, zero], axis=1)
    turned = ops.image.affine_transform(
        images, transform, "bilinear", "reflect", data_format="channels_last"
    )
    return turned, targets


def colour(images, targets, seed, *, strength=0.3):
    """Change brightness, contrast and the balance of the channels, each by up to `strength`."""
    count, _, _, channels = images.shape
    shape = (count, 1, 1, channels)
    contrast = 1 + strength * keras.random.uniform((count, 1, 1, 1), -1, 1, seed=seed)
    brightness = strength * keras.random.uniform((count, 1, 1, 1), -1, 1, seed=seed)
    balance = 0.5 * strength * keras.random.uniform(shape, -1, 1, seed=seed)
    return ops.clip(contrast * images + brightness + balance, -1, 1), targets


def mixup(images, targets, seed, *, alpha=0.4):
    """Blend every picture with another of the batch, and its target in the same proportion.

    Source: Zhang et al. 2018, https://arxiv.org/abs/1710.09412: the weight is drawn from
    Beta(alpha, alpha), one for each picture.
    """
    weight = keras.random.beta((images.shape[0], 1, 1, 1), alpha, alpha, seed=seed)
    other = ops.roll(images, 1, axis=0)  # batches are shuffled: the neighbour is a random one
    targets = _blend(targets, ops.roll(targets, 1, axis=0), weight[:, :, 0, 0])
    return _blend(images, other, weight), targets


def cutmix(images, targets, seed):
    """Replace a rectangle of every picture by the same place of another; targets by its area.

    Source: Yun et al. 2019, https://arxiv.org/abs/1905.04899, with alpha = 1: the rectangle's
    share of the picture is uniform before it is cut at the border.
    """
    count, height, width, _ = images.shape
    side = ops.sqrt(keras.random.uniform((count, 1), seed=seed))
    inside = [
        ops.abs((ops.arange(size, dtype="float32") + 0.5) / size - centre) < side / 2
        for size, centre in (
            (height, keras.random.uniform((count, 1), seed=seed)),
            (width, keras.random.uniform((count, 1), seed=seed)),
        )
    ]
    hole = inside[0][:, :, None, None] & inside[1][:, None, :, None]
    kept = 1 - ops.mean(ops.cast(hole, "float32"), axis=(1, 2))
    images = ops.where(hole, ops.roll(images, 1, axis=0), images)
    return images, _blend(targets, ops.roll(targets, 1, axis=0), kept)


def _blend(one, other, weight):
    return weight * one + (1 - weight) * other


AUGMENTATIONS = {
    "crop": crop,
    "flip": flip,
    "rotate": rotate,
    "colour": colour,
    "mixup": mixup,
    "cutmix": cutmix,
}


def check_names(names):
    """Raise ValueError if a name is none of `AUGMENTATIONS`, naming it and those there are."""
    unknown = [name for name in names if name not in AUGMENTATIONS]
    if unknown:
        raise ValueError(
            f"There is no augmentation {unknown[0]!r}. Choose from: {', '.join(AUGMENTATIONS)}."
        )


def apply(names, images, targets, seed):
    """Return (images, targets) after these augmentations, in order."""
    for name in names:
        images, targets = AUGMENTATIONS[name](images, targets, seed)
    return images, targets
