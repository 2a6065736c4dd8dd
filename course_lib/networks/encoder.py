"""A small convolutional classifier with one head per attribute; its features judge pictures."""

import keras
from keras import layers

from course_lib.networks.normalization import FusedBatchNormalization


def encoder(image_size, heads, *, widths=(32, 64, 128, 256)):
    """Build a convolutional network that reads several attributes from one feature vector.

    Args:
        image_size: side of the square colour images that it reads.
        heads: dict of attribute name -> number of its values.
        widths: channels of the stages; each but the last halves the size.

    Returns:
        keras.Model, images (batch, image_size, image_size, 3) in [-1, 1] -> dict with
        "features", float32 (batch, widths[-1]), at least 0, and for each attribute its
        float32 logits (batch, values).
    """
    images = keras.Input((image_size, image_size, 3), name="images")
    x = images
    for index, width in enumerate(widths):
        if index:
            x = _normalised_convolution(x, width, strides=1)
        if index < len(widths) - 1:
            x = _normalised_convolution(x, width, strides=2)
    features = layers.GlobalAveragePooling2D(dtype="float32", name="features")(x)
    outputs = {"features": features}
    for name, count in heads.items():
        outputs[name] = layers.Dense(count, dtype="float32", name=name)(features)
    return keras.Model(images, outputs, name="encoder")


def _normalised_convolution(x, width, *, strides):
    x = layers.Conv2D(width, 3, strides, "same", use_bias=False, kernel_initializer="he_normal")(x)
    return layers.ReLU()(FusedBatchNormalization()(x))
