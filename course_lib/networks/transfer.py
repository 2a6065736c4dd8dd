"""Networks that change the style of a picture in one pass, of any size that divides by 4.

Reflected borders and nearest-neighbour enlargement followed by a convolution keep frames and
chequerboards out of the pictures (Odena et al. 2016, https://distill.pub/2016/deconv-checkerboard).
"""

import keras
import tensorflow as tf
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
        return self.normalise(images, self.gamma, self.beta)

    def normalise(self, images, gamma, beta):
        """Return the formula with factors that broadcast to (batch, 1, 1, channels)."""
        values = ops.cast(images, "float32")
        mean, variance = ops.moments(values, axes=(1, 2), keepdims=True)
        scale = ops.cast(gamma, "float32") * ops.rsqrt(variance + self.epsilon)
        shift = ops.cast(beta, "float32") - mean * scale
        # One product and one sum over the whole picture, in the precision of the rest.
        return images * ops.cast(scale, images.dtype) + ops.cast(shift, images.dtype)

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}


@keras.saving.register_keras_serializable("course_lib")
class Statistics(layers.Layer):
    """Mean and deviation over the places: (batch, height, width, c) -> float32 (batch, 2 c)."""

    def call(self, features):
        mean, variance = ops.moments(ops.cast(features, "float32"), axes=(1, 2))
        return ops.concatenate([mean, ops.sqrt(variance + 1e-5)], axis=-1)


@keras.saving.register_keras_serializable("course_lib")
class StyledNormalization(InstanceNormalization):
    r"""`InstanceNormalization` whose factors depend on a style s: [x, s] -> y.

    $y = (\gamma + A s)\,(x - \mu)/\sigma + \beta + B s$, A and B being 0 at first.
    """

    def build(self, shapes):
        shape, style_shape = shapes
        super().build(shape)
        self.kernel = self.add_weight(
            shape=(style_shape[-1], 2 * shape[-1]), initializer="zeros", name="kernel"
        )

    def call(self, inputs):
        images, s = inputs
        by_style = ops.matmul(ops.cast(s, "float32"), ops.cast(self.kernel, "float32"))
        gamma, beta = ops.split(by_style[:, None, None, :], 2, axis=-1)
        return self.normalise(images, self.gamma + gamma, self.beta + beta)

    def compute_output_shape(self, shapes):
        return shapes[0]


# Row a, tap t: the sum of the kernel's rows that read the t-th of two neighbours for each second
# pixel from a on.
_TAPS = [[[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]], [[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]]


@keras.saving.register_keras_serializable("course_lib")
class EnlargedConv2D(layers.Layer):
    """Doubles a picture by nearest neighbours, mirrors its border, and convolves it 3x3.

    Of nine pixels that the kernel reads at most four differ. So four small kernels, one for each
    place in a block of 2x2, do the same at the small size, in half of the time.
    """

    def __init__(self, filters, **arguments):
        super().__init__(**arguments)
        self.filters = filters

    def build(self, shape):
        self.kernel = self.add_weight(shape=(3, 3, shape[-1], self.filters), name="kernel")

    def call(self, images):
        taps = ops.cast(ops.convert_to_tensor(_TAPS), images.dtype)
        kernels = ops.einsum("ytd,xse,deio->tsiyxo", taps, taps, self.kernel)
        kernels = ops.reshape(kernels, (2, 2, images.shape[-1], 4 * self.filters))
        around = ((0, 0), (1, 1), (1, 1), (0, 0))
        found = ops.conv(ops.pad(images, around, mode="symmetric"), kernels)
        height, width = ops.shape(images)[1:3]
        parts = [
            found[:, y : height + y, x : width + x, first : first + self.filters]
            for first, (y, x) in zip(
                range(0, 4 * self.filters, self.filters), ((0, 0), (0, 1), (1, 0), (1, 1)),
                strict=True,
            )
        ]  # fmt: skip
        return tf.nn.depth_to_space(ops.concatenate(parts, axis=-1), 2)

    def compute_output_shape(self, shape):
        sides = [side and 2 * side for side in shape[1:3]]
        return (shape[0], *sides, self.filters)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


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


def decoder(*, widths=(16, 32, 64), channels=128, blocks=3, hidden=128):
    r"""Build the network that draws features to which AdaIN gave the statistics of a style.

    Mean and deviation of each channel of what comes in, which after AdaIN are the style's, say how
    every layer is to be normalised (`StyledNormalization`): one network then has a manner of
    drawing for each style, as a network of one style has its own.

    Args:
        widths: channels at full, half and quarter size.
        channels: of the features.
        blocks: residual blocks at a quarter of the size.
        hidden: width of the two layers that read the statistics.

    Returns:
        keras.Model, features (batch, height, width, channels) -> float32 images (batch,
        4 * height, 4 * width, 3) in [-1, 1].

    Sources: Huang and Belongie 2017, https://arxiv.org/abs/1703.06868, for features that carry the
    style; Ghiasi et al. 2017, https://arxiv.org/abs/1705.06830, for normalisation that a network
    predicts from it.
    """
    x = features = keras.Input((None, None, channels), name="features")
    s = Statistics(name="statistics")(features)
    for index in range(2):
        s = layers.Dense(hidden, activation="relu", name=f"style_{index}")(s)
    x = _styled(x, s, widths[-1])
    for _ in range(blocks):
        change = _styled(x, s, widths[-1])
        x = layers.Add()([x, _styled(change, s, widths[-1], activation=False)])
    for width in widths[-2::-1]:
        x = layers.ReLU()(StyledNormalization()([EnlargedConv2D(width)(x), s]))
    x = layers.Conv2D(3, 5, name="colours")(ReflectionPadding(2)(x))
    drawn = layers.Activation("tanh", dtype="float32")(x)
    return keras.Model(features, drawn, name="decoder")


def _styled(x, s, width, *, activation=True):
    x = layers.Conv2D(width, 3, use_bias=False)(ReflectionPadding(1)(x))
    x = StyledNormalization()([x, s])
    return layers.ReLU()(x) if activation else x
