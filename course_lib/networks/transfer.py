"""Networks that change the style of a picture in one pass, of any size that divides by 4.

Reflected borders and nearest-neighbour enlargement followed by a convolution keep frames and
chequerboards out of the pictures (Odena et al. 2016, https://distill.pub/2016/deconv-checkerboard).
"""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("course_lib")
class ReflectionPadding(layers.Layer):
    """Continues a picture beyond its borders by its mirror image, `margin` pixels on each side."""

    def __init__(self, margin, **arguments):
        super().__init__(**arguments)
        self.margin = margin

    def call(self, images):
        around = (self.margin, self.margin)
        return ops.pad(images, ((0, 0), around, around, (0, 0)), mode="reflect")

    def get_config(self):
        return {**super().get_config(), "margin": self.margin}


@keras.saving.register_keras_serializable("course_lib")
class InstanceNormalization(layers.Layer):
    r"""$\gamma\,(x - \mu)/\sigma + \beta$ with mean and deviation of each picture and channel.

    Source: Ulyanov et al. 2016, https://arxiv.org/abs/1607.08022.
    """

    def __init__(self, epsilon=1e-5, **arguments):
        super().__init__(**arguments)
        self.epsilon = epsilon

    def build(self, shape):
        self.gamma = self.add_weight(shape=(shape[-1],), initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=(shape[-1],), initializer="zeros", name="beta")

    def call(self, images):
        values = ops.cast(images, "float32")
        mean, variance = ops.moments(values, axes=(1, 2), keepdims=True)
        scale = ops.cast(self.gamma, "float32") * ops.rsqrt(variance + self.epsilon)
        shift = ops.cast(self.beta, "float32") - mean * scale
        # One product and one sum over the whole picture, in the precision of the rest.
        return images * ops.cast(scale, images.dtype) + ops.cast(shift, images.dtype)

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}


def feed_forward(*, widths=(16, 32, 64), blocks=5):
    """Build the network of Johnson et al. 2016 for one style: narrower, normalised by instance.

    Args:
        widths: channels at full, half and quarter size.
        blocks: residual blocks at a quarter of the size.

    Returns:
        keras.Model, images (batch, height, width, 3) in [-1, 1], height and width multiples of 4
        -> float32 images of the same shape in [-1, 1].

    Source: https://arxiv.org/abs/1603.08155, supplement.
    """
    x = images = keras.Input((None, None, 3), name="images")
    x = _convolution(x, widths[0], 9)
    for width in widths[1:]:
        x = _convolution(x, width, 3, strides=2)
    for _ in range(blocks):
        change = _convolution(x, widths[-1], 3)
        x = layers.Add()([x, _convolution(change, widths[-1], 3, activation=False)])
    for width in widths[-2::-1]:
        x = _convolution(layers.UpSampling2D(2)(x), width, 3)
    x = layers.Conv2D(3, 9, name="colours")(ReflectionPadding(4)(x))
    drawn = layers.Activation("tanh", dtype="float32")(x)
    return keras.Model(images, drawn, name="feed_forward")


def _convolution(x, width, kernel, *, strides=1, activation=True):
    x = ReflectionPadding(kernel // 2)(x)
    x = layers.Conv2D(width, kernel, strides, use_bias=False)(x)
    x = InstanceNormalization()(x)
    return layers.ReLU()(x) if activation else x


def decoder(*, widths=(32, 64, 128), depths=(2, 2, 1)):
    """Build the mirror image of `vgg.vgg`: from its deepest features to a picture.

    Without normalisation: the style sits in means and deviations, which it would wipe out (Huang
    and Belongie 2017, section 5.1).

    Args:
        widths, depths: as the encoder's, up to the layer whose features come in.

    Returns:
        keras.Model, features (batch, height, width, widths[-1]) -> float32 images (batch,
        height * 2**(blocks - 1), ..., 3), about in [-1, 1], not clipped.
    """
    x = features = keras.Input((None, None, widths[-1]), name="features")
    for block in range(len(widths) - 1, -1, -1):
        narrower = widths[block - 1] if block else None
        outputs = [widths[block]] * (depths[block] - 1) + [narrower]
        for number, width in enumerate(outputs, start=1):
            if width:
                x = layers.Conv2D(
                    width, 3, activation="relu", kernel_initializer="he_normal",
                    name=f"block{block + 1}_conv{depths[block] - number + 1}",
                )(ReflectionPadding(1)(x))  # fmt: skip
        if block:
            x = layers.UpSampling2D(2)(x)
    drawn = layers.Conv2D(3, 3, dtype="float32", name="colours")(ReflectionPadding(1)(x))
    return keras.Model(features, drawn, name="decoder")
