"""Convolutional classifiers: the article's network, and a plain modern one.

Both end in logits. Softmax belongs to the loss, which is exact only when it gets the logits.
"""

import keras
from keras import layers

# Channels of the five convolutions; the second and the fourth halve the size.
WIDTHS = (32, 64, 64, 128, 128)


def article(image_shape=(128, 128, 3), classes=10):
    """Build the article's network, whose layers give 32x32x64, 16x16x64, 8x8x128, 4x4x128, 512, 10.

    At 128x128 the stated sizes leave one choice: 3x3 convolutions with "same" padding and strides
    4 and 2, each followed by 2x2 max pooling with stride 2.

    Args:
        image_shape: (height, width, channels); the network is the article's at (128, 128, 3).
        classes: number of classes.

    Returns:
        keras.Model, images (batch, *image_shape) in [-1, 1] -> float32 logits (batch, classes);
        1,129,866 parameters at 128x128x3 and ten classes.
    """
    images = keras.Input(image_shape, name="images")
    x = layers.Conv2D(64, 3, 4, "same", activation="relu", name="conv1")(images)
    x = layers.MaxPooling2D(2, name="pool1")(x)
    x = layers.Conv2D(128, 3, 2, "same", activation="relu", name="conv2")(x)
    x = layers.MaxPooling2D(2, name="pool2")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(512, activation="relu", name="dense")(x)
    logits = layers.Dense(classes, dtype="float32", name="logits")(x)
    return keras.Model(images, logits, name="article_classifier")


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
        x = layers.BatchNormalization(name=f"norm{number + 1}")(x)
        last = number == len(widths) - 1
        x = layers.ReLU(name="features" if last else f"relu{number + 1}")(x)
    x = layers.GlobalAveragePooling2D(dtype="float32", name="pooled")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    logits = layers.Dense(classes, dtype="float32", name="logits")(x)
    return keras.Model(images, logits, name="plain_classifier")
