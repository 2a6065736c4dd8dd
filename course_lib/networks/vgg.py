"""The convolutional part of VGG (Simonyan and Zisserman 2015), narrower: pictures to feature maps."""

import keras
from keras import layers


def vgg(*, widths=(32, 64, 128, 256), depths=(2, 2, 2, 2)):
    """Build blocks of 3x3 convolutions with ReLU, each block but the last followed by halving.

    The layers have the names of VGG in `keras.applications`. Halving takes the mean of 2x2 values
    rather than the largest, which gives smoother pictures (Gatys et al. 2016, section 2).

    Args:
        widths: channels of each block.
        depths: convolutions of each block.

    Returns:
        keras.Model, images (batch, height, width, 3) in [-1, 1] -> dict of layer name
        ("block1_conv1", ...) -> activations after ReLU, at least 0, of shape (batch, height / 2^b,
        width / 2^b, widths[b]), b being the number of the block from 0.
    """
    x = images = keras.Input((None, None, 3), name="images")
    outputs = {}
    for block, (width, depth) in enumerate(zip(widths, depths, strict=True), start=1):
        if block > 1:
            x = layers.AveragePooling2D(2, name=f"block{block - 1}_pool")(x)
        for convolution in range(1, depth + 1):
            name = f"block{block}_conv{convolution}"
            x = layers.Conv2D(
                width, 3, padding="same", activation="relu", kernel_initializer="he_normal",
                name=name,
            )(x)  # fmt: skip
            outputs[name] = x
    return keras.Model(images, outputs, name="vgg")
