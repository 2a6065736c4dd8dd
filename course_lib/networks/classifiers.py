"""Convolutional classifiers: the article's network, and a plain modern one.

Both end in logits. Softmax belongs to the loss, which is exact only when it gets the logits.
"""

import keras
from keras import layers

from course_lib.networks.normalization import FusedBatchNormalization

# Channels of the five convolutions; the second and the fourth halve the size.
WIDTHS = (32, 64, 64, 128, 128)


def article(image_shape=(128, 128, 3), classes=10, *, dropout=0.0, more_layers=False):
    """Build the article's network, whose layers give 32x32x64, 16x16x64, 8x8x128, 4x4x128, 512, 10.

    At 128x128 the stated sizes leave one choice: 3x3 convolutions with "same" padding and strides
    4 and 2, each followed by 2x2 max pooling with stride 2.

    Args:
        image_shape: (height, width, channels); the network is the article's at (128, 128, 3).
        classes: number of classes.
        dropout: share of the 512 units that is set to 0 in training; not in the article.
        more_layers: whether each convolution is followed by another of stride 1; not there either.

    Returns:
        keras.Model, images (batch, *image_shape) in [-1, 1] -> float32 logits (batch, classes);
        1,129,866 parameters at 128x128x3 and ten classes.
    """
    images = keras.Input(image_shape, name="images")
    x = images
    for stage, (filters, stride) in enumerate(((64, 4), (128, 2)), start=1):
        x = _convolution(filters, stride, f"conv{stage}")(x)
        if more_layers:
            x = _convolution(filters, 1, f"conv{stage}b")(x)
        x = layers.MaxPooling2D(2, name=f"pool{stage}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(512, activation="relu", name="dense")(x)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    logits = layers.Dense(classes, dtype="float32", name="logits")(x)
    return keras.Model(images, logits, name="article_classifier")


def _convolution(filters, stride, name):
    return layers.Conv2D(filters, 3, stride, "same", activation="relu", name=name)


def with_new_head(trunk, classes):
    """Return a classifier on top of a trained network: its last layer is replaced, all else kept.

    The layers are shared: training the new classifier changes `trunk`, too. Set `trainable` of
    `trunk.layers` to choose what is trained.

    Args:
        trunk: built Keras model that ends in a dense layer; or one without a head, such as
            `keras.applications.MobileNetV2(include_top=False, pooling="avg")`.
        classes: number of classes of the new head.

    Raises:
        ValueError: if the features that the head would read are not a vector for each picture.
    """
    headless = not isinstance(trunk.layers[-1], layers.Dense)
    features = trunk.output if headless else trunk.layers[-1].input
    if len(features.shape) != 2:
        raise ValueError(
            f"The network gives features of shape {features.shape}; a head needs a vector for each "
            "picture: build the network with pooling='avg'."
        )
    logits = layers.Dense(classes, dtype="float32", name="new_logits")(features)
    return keras.Model(trunk.inputs, logits, name=f"{trunk.name}_with_new_head")


def plain(image_shape, classes=10, *, widths=WIDTHS, dropout=0.0):
    """Build five convolutions with batch normalisation, global average pooling and a dense layer.

    Args:
        image_shape: (height, width, channels); any size of at least 8.
        classes: number of classes.
        widths: channels of the convolutions; every second one has stride 2.
        dropout: share of the pooled features that is set to 0 in training.

    Returns:
        keras.Model, images (batch, *image_shape) in [-1, 1] -> float32 logits (batch, classes).
        The last convolution's output is the layer "features", which Grad-CAM reads.
    """
    images = keras.Input(image_shape, name="images")
    x = images
    for number, width in enumerate(widths):
        x = layers.Conv2D(
            width, 3, 2 if number % 2 else 1, "same",
            use_bias=False, kernel_initializer="he_normal", name=f"conv{number + 1}",
        )(x)  # fmt: skip
        x = FusedBatchNormalization(name=f"norm{number + 1}")(x)
        last = number == len(widths) - 1
        x = layers.ReLU(name="features" if last else f"relu{number + 1}")(x)
    x = layers.GlobalAveragePooling2D(dtype="float32", name="pooled")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    logits = layers.Dense(classes, dtype="float32", name="logits")(x)
    return keras.Model(images, logits, name="plain_classifier")
