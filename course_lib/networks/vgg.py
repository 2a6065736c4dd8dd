"""The convolutional part of VGG (Simonyan and Zisserman 2015): pictures to feature maps."""

import keras
import numpy as np
from keras import layers

VGG19 = {"widths": (64, 128, 256, 512, 512), "depths": (2, 2, 4, 4, 4)}
IMAGENET_MEAN = (103.939, 116.779, 123.68)  # of blue, green and red


def vgg(*, widths=(32, 64, 128, 256), depths=(2, 2, 2, 2), caffe=False):
    """Build blocks of 3x3 convolutions with ReLU, each block but the last followed by halving.

    The layers have the names of VGG in `keras.applications`. Halving takes the mean of 2x2 values
    rather than the largest, which gives smoother pictures (Gatys et al. 2016, section 2).

    Args:
        widths: channels of each block.
        depths: convolutions of each block.
        caffe: whether a fixed first layer turns the pictures into what the ImageNet weights of
            `keras.applications` were trained on: blue, green and red from 0 to 255, less their
            means.

    Returns:
        keras.Model, images (batch, height, width, 3) in [-1, 1] -> dict of layer name
        ("block1_conv1", ...) -> activations after ReLU, at least 0, of shape (batch, height / 2^b,
        width / 2^b, widths[b]), b being the number of the block from 0.
    """
    x = images = keras.Input((None, None, 3), name="images")
    if caffe:
        x = layers.Conv2D(3, 1, name="caffe", trainable=False)(x)
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
    model = keras.Model(images, outputs, name="vgg")
    if caffe:
        swap = 127.5 * np.eye(3)[::-1].reshape(1, 1, 3, 3)
        model.get_layer("caffe").set_weights([swap, 127.5 - np.array(IMAGENET_MEAN)])
    return model


def scale_channels(model, images):
    """Scale a network from `vgg` so that each channel has the mean activation 1 over images.

    A ReLU answers c times as much to c times its input, and so does a mean: each layer's kernel
    takes back what the one before it was scaled by, and no pattern of activations changes. Source:
    Gatys et al. 2016, section 2. A channel with less than a hundredth of its layer's mean
    activation is scaled as if it had that much.

    Args:
        model: from `vgg`, changed in place.
        images: float (count, height, width, 3) in [-1, 1].
    """
    activations = model(images)
    before = 1.0
    for name in model.output:
        mean = np.mean(activations[name], axis=(0, 1, 2), dtype="float64")
        mean = np.maximum(mean, max(0.01 * mean.mean(), 1e-12))
        kernel, bias = model.get_layer(name).get_weights()
        kernel = kernel * np.reshape(before, (-1, 1)) / mean
        model.get_layer(name).set_weights([kernel, bias / mean])
        before = mean
