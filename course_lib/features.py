"""Fixed feature extractors: pictures in, feature vectors out, for `metrics`.

The course's own extractor is a small convolutional network trained to read every attribute
of the avatars (recipes/train_avatar_encoder.py). It is shipped, so that sets of faces can be
compared offline. Distances on it are this course's own numbers, not comparable with published
ones: those use the Inception network of the original FID, and only there is that name right.

For style transfer there are encoders that return every layer's feature maps (`style_encoder`).
"""

import functools

import keras
import numpy as np
from scipy import special

from course_lib import shipped
from course_lib.datasets import catalog, downloads
from course_lib.networks import vgg

IMAGE_SIZE = 64  # side of the images that the avatar encoder reads


def resize(images, size):
    """Return images resized as every extractor of this room expects them.

    The protocol: bilinear, with antialiasing when shrinking, on float values in [-1, 1],
    never rounded to integers in between. Another protocol gives other distances.

    Args:
        images: float (count, height, width, channels).
        size: side of the square result.

    Returns:
        float32 array (count, size, size, channels).
    """
    images = np.asarray(images, "float32")
    if images.shape[1:3] == (size, size):
        return images
    resized = keras.ops.image.resize(
        images, (size, size), "bilinear", antialias=True, data_format="channels_last"
    )
    return keras.ops.convert_to_numpy(resized)


def extract(images, *, batch_size=256):
    """Return the avatar encoder's feature vectors of images of any size.

    Args:
        images: float array (count, height, width, 1 or 3) in [-1, 1]; grey is repeated
            into three channels.
        batch_size: images per pass.

    Returns:
        float32 array (count, 256), at least 0.

    Raises:
        ValueError: on another shape or on values outside [-1, 1].
        course_lib.checkpoints.CorruptCheckpointError: if the shipped weights are damaged.
    """
    return _encode(images, batch_size)["features"]


def predict_attributes(images, *, batch_size=256):
    """Return the attribute values that the avatar encoder reads from images.

    Args and errors as in `extract`.

    Returns:
        dict of attribute name -> int64 array (count,), codes as in `avatars.ATTRIBUTES`.
    """
    logits = _encode(images, batch_size)
    return {name: values.argmax(axis=1) for name, values in logits.items() if name != "features"}


def read_attributes(vectors):
    """Return what `predict_attributes` reads, from feature vectors that are there already.

    Args:
        vectors: float array (count, 256), from `extract`.

    Returns:
        dict of attribute name -> int64 array (count,), as `predict_attributes`.

    Raises:
        ValueError: on another shape.
    """
    vectors, encoder = np.asarray(vectors), shipped.load("avatar_encoder")
    width = encoder.get_layer("features").output.shape[-1]
    if vectors.ndim != 2 or vectors.shape[1] != width:
        raise ValueError(f"expected features of shape (count, {width}), got {vectors.shape}.")
    heads = {
        name: encoder.get_layer(name).get_weights() for name in encoder.output if name != "features"
    }
    return {
        name: (vectors @ kernel + bias).argmax(axis=1) for name, (kernel, bias) in heads.items()
    }


def log_odds(images, contrasts, *, batch_size=256):
    r"""Return how sure the avatar encoder is of properties: $\ln p/(1 - p)$, without a ceiling.

    Args:
        images: as in `extract`.
        contrasts: dict of name -> (attribute, codes): the property is that the attribute has one
            of these values; some others must be left.
        batch_size: images per pass.

    Returns:
        dict of name -> float64 array (count,), in nats; above 0 where the property is likelier
        than not.

    Raises:
        ValueError: as `extract`.
        KeyError: for an attribute that the encoder doesn't read.
    """
    logits = _encode(images, batch_size)
    found = {}
    for name, (attribute, codes) in contrasts.items():
        values = logits[attribute].astype(np.float64)
        chosen = np.isin(np.arange(values.shape[1]), codes)
        found[name] = special.logsumexp(values[:, chosen], axis=1)
        found[name] -= special.logsumexp(values[:, ~chosen], axis=1)
    return found


def _encode(images, batch_size):
    """Run the encoder over images in fixed-size batches: one compilation, bounded memory."""
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or len(images) == 0:
        raise ValueError(
            f"expected images of shape (count, height, width, 1 or 3), got {images.shape}."
        )
    if not (images.min() >= -1.001 and images.max() <= 1.001):
        raise ValueError(
            f"expected values in [-1, 1], got [{images.min():.4g}, {images.max():.4g}]; convert "
            "pixels with course_lib.datasets.images.to_float."
        )
    batches = []
    for start in range(0, len(images), batch_size):
        batch = resize(images[start : start + batch_size], IMAGE_SIZE)
        filler = batch_size - len(batch)
        batch = np.pad(batch, ((0, filler), (0, 0), (0, 0), (0, 0)))
        batch = np.repeat(batch, 3, axis=-1) if batch.shape[-1] == 1 else batch
        outputs = shipped.load("avatar_encoder").predict_on_batch(batch)
        batches.append({name: values[: batch_size - filler] for name, values in outputs.items()})
    return {name: np.concatenate([b[name] for b in batches]) for name in batches[0]}


# Encoders for style ------------------------------------------------------------------------------

STYLE_ENCODERS = ("own", "random", "vgg19")


@functools.cache
def style_encoder(kind="own", *, seed=0, precision="float32"):
    """Return an encoder for `style`: pictures -> dict of layer name -> feature maps, frozen.

    The mean activation of each channel is about 1 over photographs, whatever the encoder.

    Args:
        kind: "own", which comes with the course (recipes/train_style_encoder.py); "random", the
            same layers with random weights; "vgg19", VGG19 with its ImageNet weights (80 MB,
            fetched once by `keras.applications`), which halves by means instead of maxima.
        seed: of the random weights.
        precision: "float32", or "mixed_bfloat16": the layers compute in bfloat16.

    Returns:
        keras.Model as `networks.vgg.vgg` returns it; it reads [-1, 1] at any size from 16.

    Raises:
        ValueError: on another kind or precision.
        DataUnavailableError: if VGG19 can't be downloaded.
    """
    if kind not in STYLE_ENCODERS:
        raise ValueError(f"kind must be one of {', '.join(STYLE_ENCODERS)}, got {kind!r}.")
    if precision not in ("float32", "mixed_bfloat16"):
        raise ValueError(f"precision must be float32 or mixed_bfloat16, got {precision!r}.")
    if precision == "float32" and kind == "own":
        return shipped.load("style_encoder")
    arguments = {**vgg.VGG19, "caffe": True}
    if kind != "vgg19":
        arguments = shipped.facts("style_encoder")["network"]["arguments"]
    model = _built(precision, arguments)
    if precision != "float32":
        model.set_weights(style_encoder(kind, seed=seed).get_weights())
    else:
        _fill(model, kind, seed)
        photographs = catalog.load("photographs", size=128).images
        vgg.scale_channels(model, photographs)
    model.trainable = False
    return model


def _built(policy, arguments):
    """Build the network in a precision, whatever the learner's own is."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        return vgg.vgg(**arguments)
    finally:
        keras.config.set_dtype_policy(before)


def _fill(model, kind, seed):
    """Give the network random weights after He et al. 2015, or those of ImageNet."""
    source = _imagenet() if kind == "vgg19" else None
    draw = np.random.default_rng(seed)
    for name in model.output:
        layer = model.get_layer(name)
        if source:
            layer.set_weights(source.get_layer(name).get_weights())
            continue
        shape = layer.kernel.shape
        kernel = draw.normal(0, np.sqrt(2 / np.prod(shape[:3])), shape)
        layer.set_weights([kernel, np.zeros(shape[-1])])


def _imagenet():
    try:
        return keras.applications.VGG19(include_top=False, weights="imagenet")
    except Exception as error:  # Keras raises a bare Exception where a download fails
        raise downloads.DataUnavailableError(
            "The ImageNet weights of VGG19 couldn't be downloaded by keras.applications "
            f"({type(error).__name__}: {error}). With a network, try again: 80 MB, once. Without "
            'one, features.style_encoder("own") comes with the course.'
        ) from error
