"""Another style in one pass: pictures of any size through trained networks, and how steady it is.

Sources: Johnson et al. 2016, https://arxiv.org/abs/1603.08155, for a network of one style; Huang
and Belongie 2017, https://arxiv.org/abs/1703.06868, for any style.
"""

import functools

import numpy as np
import tensorflow as tf

from course_lib import style
from course_lib.descent import checked_picture
from course_lib.style_steps import ADAIN_LAYER

MULTIPLE = 4  # of pixels: both networks halve a picture twice
MARGIN = 12  # pixels beyond which the encoder's border of zeros is not seen; a multiple of 4


# One style ----------------------------------------------------------------------------------------


def stylise(network, image):
    """Return a picture in the style that a network has learned.

    Args:
        network: Keras model of `transfer.feed_forward`.
        image: float (height, width, 3) in [-1, 1], each side at least 16. Sides that don't divide
            by 4 are continued by the mirror image, and cut back afterwards.

    Returns:
        float32 of the same shape, in [-1, 1].

    Raises:
        ValueError: on another shape or range.
    """
    return _cut(_compiled(network)(_batch(image)), image)


# Any style ----------------------------------------------------------------------------------------


def encode(encoder, image, *, margin=MARGIN):
    """Return the features that AdaIN changes, float32 (1, ceil(height / 4), ceil(width / 4), c).

    The encoder continues a picture with zeros, which a decoder draws as a frame. So the picture is
    continued by its mirror image first, and the features of that part are cut off.

    Args:
        encoder, image: as in `any_style`.
        margin: pixels of the mirror image, a multiple of 4; 0 lets the frame be seen.

    Raises:
        ValueError: as `any_style`, and on another margin.
    """
    if margin % MULTIPLE or margin < 0:
        raise ValueError(f"margin must be a multiple of {MULTIPLE}, got {margin}.")
    encoder, image = _compiled(style.layers_of(encoder, (ADAIN_LAYER,))), _batch(image)
    around = (margin, margin)
    found = encoder(np.pad(image, ((0, 0), around, around, (0, 0)), mode="reflect"))[ADAIN_LAYER]
    first, rows, columns = (side // MULTIPLE for side in (margin, *image.shape[1:3]))
    return tf.cast(found[:, first : first + rows, first : first + columns], tf.float32)


def restyle(features, styles, shares=None, strength=1.0):
    r"""Return $(1 - \alpha)\,f + \alpha \sum_k w_k\,\mathrm{AdaIN}(f, s_k)$.

    Args:
        features: those of the content, float32 (1, height, width, channels).
        styles: list of feature maps (1, any height, any width, channels), at least one.
        shares: $w_k$, one number of at least 0 for each style, not all 0, divided by their sum;
            None: equal ones.
        strength: $\alpha$, from 0 (the content's own statistics) to 1.

    Returns:
        float32, the shape of features.

    Raises:
        ValueError: on another number of shares, or a number out of range.

    Source: Huang and Belongie 2017, equations 14 and 15.
    """
    shares = np.ones(len(styles)) if shares is None else np.asarray(shares, float)
    if shares.shape != (len(styles),) or not len(styles):
        raise ValueError(f"{len(styles)} styles need a share each, got shares={shares.tolist()}.")
    if not (np.isfinite(shares).all() and shares.min() >= 0 and shares.sum() > 0):
        raise ValueError(f"shares must be at least 0 and not all 0, got {shares.tolist()}.")
    if not 0 <= strength <= 1:
        raise ValueError(f"strength must be from 0 to 1, got {strength}.")
    pairs = zip(shares / shares.sum(), styles, strict=True)
    mixed = sum(float(share) * _adain(features, wanted) for share, wanted in pairs)
    return (1 - strength) * features + strength * mixed


_adain = tf.function(style.adain, autograph=False, reduce_retracing=True)


def decode(decoder, features, size):
    """Return the picture of features, float32 (*size, 3), clipped to [-1, 1].

    Args:
        decoder: Keras model of `transfer.decoder`.
        features: float32 (1, height, width, channels).
        size: (height, width) of the picture, at most 4 times that of the features.
    """
    return _cut(_compiled(decoder)(features), np.empty(size))


def any_style(encoder, decoder, content, styles, shares=None, strength=1.0):
    """Return a picture in the manner of others, which no network needs to have seen.

    Args:
        encoder: Keras model, images -> dict of feature maps, the one that the decoder belongs to.
        decoder: Keras model of `transfer.decoder`.
        content: float (height, width, 3) in [-1, 1], each side at least 16.
        styles: list of such pictures, of any sizes.
        shares, strength: as in `restyle`.

    Returns:
        float32 of the content's shape, in [-1, 1].

    Raises:
        ValueError: as `restyle`, and on pictures of another shape or range.
    """
    features = encode(encoder, content)
    wanted = [encode(encoder, picture) for picture in styles]
    return decode(decoder, restyle(features, wanted, shares, strength), np.shape(content)[:2])


# Steadiness ---------------------------------------------------------------------------------------


def shift_stability(change, image, *, shifts=range(1, 9), margin=16):
    """Return how far a picture flickers when the camera moves by a few pixels.

    A window of the image is changed, and so is the window that begins so many pixels further
    right. A perfect film shows the same in both, at its new place.

    Args:
        change: callable, float picture in [-1, 1] -> float picture of the same shape.
        image: float (height, width, 3) in [-1, 1].
        shifts: whole numbers of pixels, at least 1.
        margin: pixels at the windows' borders that don't count: there the two windows see, or
            continue by their mirror image, different things.

    Returns:
        dict of float64 arrays, a number for each shift: `flicker`, the mean absolute difference of
        the changed windows where they show the same place of the image; `content`, that of the
        unchanged windows at the same place of the *screen*: how much the movement itself changes.

    Raises:
        ValueError: if the image is too small for the shifts and the margin.
    """
    shifts = list(shifts)
    wide = np.shape(image)[1] - max(shifts)
    if min(shifts) < 1 or wide - max(shifts) <= 2 * margin or len(image) <= 2 * margin:
        raise ValueError(
            f"shifts from 1 on and a margin of {margin} pixels need a larger image than "
            f"{np.shape(image)}, got shifts={shifts}."
        )
    inner = slice(margin, len(image) - margin)
    first = change(image[:, :wide])
    found = {"flicker": [], "content": []}
    for shift in shifts:
        window = image[:, shift : shift + wide]
        same = first[inner, margin + shift : wide - margin]
        moved = change(window)[inner, margin : wide - margin - shift]
        found["flicker"].append(np.abs(moved - same).mean())
        found["content"].append(np.abs(window - image[:, :wide])[inner, margin:-margin].mean())
    return {name: np.array(values, "float64") for name, values in found.items()}


# What they share ----------------------------------------------------------------------------------


@functools.lru_cache(maxsize=32)
def _compiled(network):
    """Return the network as one graph for pictures of every size; its weights may still change."""
    anything = tf.TensorSpec((None, None, None, network.input_shape[-1]), tf.float32)
    return tf.function(
        lambda images: network(images, training=False), input_signature=[anything], autograph=False
    )


def _batch(image):
    """Return a picture as a batch of one, continued to sides that are multiples."""
    image = checked_picture(image, "image")
    missing = [(0, -side % MULTIPLE) for side in image.shape[:2]]
    return np.pad(image, [*missing, (0, 0)], mode="reflect")[None]


def _cut(images, like):
    """Return the one picture of a batch, as large as another and within the range."""
    height, width = np.shape(like)[:2]
    return np.clip(images[0, :height, :width].numpy(), -1, 1)
