r"""A generator that is steered layer by layer, after StyleGAN2, small enough for a laptop.

Sources: Karras et al. 2019, https://arxiv.org/abs/1812.04948 (mapping, styles, noise, mixing), and
2020, https://arxiv.org/abs/1912.04958 (modulated convolution, skip generator, residual
discriminator). A mapping network turns latents into a style w; each convolution is modulated by its
own copy of w. All weights are drawn from N(0, 1) and scaled where they are used ("equalised
learning rate", Karras et al. 2018, https://arxiv.org/abs/1710.10196): Adam then moves every layer
by the same share of its weights. Changes: one transposed 4x4 convolution instead of "up-sample,
convolve, blur", tanh at the end, and a discriminator with input skips and no batch statistics.
"""

import math

import keras
from keras import layers, ops

from course_lib import replicas
from course_lib.networks import doublings, square_side

MAPPING_LAYERS, MAPPING_RATE = 3, 0.1
register = keras.saving.register_keras_serializable("course_lib")  # to copy nested models
SQRT_2 = math.sqrt(2)  # leaky ReLU halves the mean square, nearly: this restores it


def generator(latent_dim, image_shape, *, filters, style_dim=64, mixing=0.5):
    """Build latents -> mapping -> mixing -> synthesis; get_layer(name) gives each of the three.

    Args:
        latent_dim: width of the latent vector.
        image_shape: (size, size, channels); size must be 4 * 2 ** (len(filters) - 1).
        filters: channels at 4x4, 8x8, ... up to the full size.
        style_dim: width of a style w.
        mixing: share of the images that get two styles in training, see `StyleMixing`.

    Returns:
        keras.Model, latents (batch, latent_dim) -> float32 images (batch, *image_shape) in [-1, 1].

    Raises:
        ValueError: if image_shape and filters do not fit each other, or mixing is no share.
    """
    latents = keras.Input((latent_dim,), name="latents")
    w = mapping(latent_dim, style_dim)(latents)
    drawn = synthesis(image_shape, filters=filters, style_dim=style_dim)
    styles = StyleMixing(2 * len(filters) - 1, mixing, name="mixing")(w)
    return keras.Model(latents, drawn(styles), name="style_based_generator")


def mapping(latent_dim, style_dim):
    """Build the mapping network: latents (batch, latent_dim) -> styles w (batch, style_dim).

    Only the direction of a latent counts. Its weights move at a tenth of the learning rate.
    """
    x = latents = keras.Input((latent_dim,), name="latents")
    x = layers.Rescaling(latent_dim**0.5)(layers.UnitNormalization()(x))
    for index in range(MAPPING_LAYERS):
        x = _activate(ScaledDense(style_dim, rate=MAPPING_RATE, name=f"mapping_{index}")(x))
    return keras.Model(latents, layers.Activation("linear", dtype="float32")(x), name="mapping")


def synthesis(image_shape, *, filters, style_dim):
    """Build the drawing part: styles (batch, layers, style_dim), one for each layer -> images.

    Each size has two modulated convolutions, save 4x4 with one, and adds its share to a picture in
    colour which is enlarged from size to size: 2 * len(filters) - 1 layers in all.

    Raises:
        ValueError: if image_shape and filters do not fit each other.
    """
    _check_filters(image_shape, filters)
    styles = keras.Input((2 * len(filters) - 1, style_dim), name="styles")
    x = LearnedConstant(filters[0], name="constant")(styles)
    picture = None
    for index, width in enumerate(filters):
        size = 4 * 2**index
        if index:
            x = _styled(x, styles[:, 2 * index - 1], width, name=f"up_{size}", up=True)
        w = styles[:, 2 * index]
        x = _styled(x, w, width, name=f"convolution_{size}")
        colour = ModulatedConv2D(image_shape[-1], 1, demodulate=False, name=f"colour_{size}")
        share = colour([x, w])
        picture = share if picture is None else layers.Add()([_enlarged(picture), share])
    images = layers.Activation("tanh", dtype="float32")(picture)
    return keras.Model(styles, images, name="synthesis")


def discriminator(image_shape, *, filters):
    """Build a discriminator that reads the picture at every size, as the generator adds to it.

    At each size a convolution of the picture, pooled to it, is added to the features that come from
    the size above. No layer mixes the images of a batch.

    Args:
        image_shape: (size, size, channels); size must be 4 * 2 ** (len(filters) - 1).
        filters: channels at 4x4, 8x8, ... up to the full size, as in `generator`.

    Returns:
        keras.Model, images (batch, *image_shape) in [-1, 1] -> float32 logits (batch, 1).

    Raises:
        ValueError: if image_shape and filters do not fit each other.
    """
    _check_filters(image_shape, filters)
    picture = images = keras.Input(image_shape, name="images")
    x, size = None, image_shape[0]
    for width in reversed(filters):
        read = _activate(ScaledConv2D(width, 3, name=f"colour_{size}")(picture))
        if x is None:
            x = read
        else:
            x = _activate(ScaledConv2D(width, 4, strides=2, name=f"down_{size}")(x))
            x = layers.Add()([x, read])
        picture, size = layers.AveragePooling2D(2)(picture), size // 2
    x = _activate(ScaledConv2D(filters[0], 3, name="convolution_4")(x))
    x = _activate(ScaledDense(filters[0], name="dense")(layers.Flatten()(x)))
    logits = ScaledDense(1, dtype="float32", name="logits")(x)
    return keras.Model(images, logits, name="style_based_discriminator")


def grow(small, large):
    """Copy a trained network into one for pictures of twice the size, which then does the same.

    The new layers' last step starts at zero: a generator begins with the small one's pictures
    enlarged, a discriminator with the small one's answers to pictures made smaller; both learn
    from there (in the spirit of Karras et al. 2018, without their fade-in).

    Args:
        small, large: two generators or two discriminators of this file, the filters of the large
            one being the small one's and one more. `large` is changed.

    Raises:
        ValueError: if a layer of the small network has another shape in the large one.
    """
    kept = set()
    for layer in _named_layers(small):
        kept.add(layer.name)
        twin = next((other for other in _named_layers(large) if other.name == layer.name), None)
        shapes = [weight.shape for weight in layer.weights]
        if twin is None or [weight.shape for weight in twin.weights] != shapes:
            raise ValueError(
                f"layer {layer.name!r} with weights {shapes} does not fit the large network: its "
                "filters must be the small one's and one more."
            )
        twin.set_weights(layer.get_weights())
    added = [layer for layer in _named_layers(large) if layer.name not in kept]
    for layer in added:
        is_last = isinstance(layer, ModulatedConv2D) and not layer.demodulate
        if is_last or layer.name.startswith("down_"):
            layer.kernel.assign(ops.zeros_like(layer.kernel))


def _named_layers(network):
    """Return the layers with weights, those of inner models too; names are unique among them."""
    return [
        layer
        for layer in network._flatten_layers(include_self=False)
        if layer.weights and not isinstance(layer, keras.Model) and layer.name != "affine"
    ]


def _check_filters(image_shape, filters):
    needed = doublings(square_side(image_shape)) + 1
    if len(filters) != needed:
        raise ValueError(
            f"images of {tuple(image_shape)} need {needed} entries in filters, "
            f"one for each size from 4 on, got {len(filters)}: {tuple(filters)}."
        )


def _styled(x, w, width, *, name, up=False):
    x = ModulatedConv2D(width, 4 if up else 3, up=up, name=name)([x, w])
    return _activate(Bias(name=f"{name}_bias")(Noise(name=f"{name}_noise")(x)))


def _activate(x):
    return layers.Rescaling(SQRT_2)(layers.LeakyReLU(0.2)(x))


def _enlarged(picture):
    """Double the size by linear interpolation, as a convolution: it has second derivatives."""
    channels = picture.shape[-1]
    line = ops.convert_to_tensor([1.0, 3.0, 3.0, 1.0]) / 4
    kernel = (line[:, None] * line)[:, :, None, None] * ops.eye(channels)
    kernel = keras.initializers.Constant(ops.convert_to_numpy(kernel))
    enlarge = layers.Conv2DTranspose(
        channels, 4, 2, "same", use_bias=False, kernel_initializer=kernel, trainable=False,
        name=f"enlarge_{picture.shape[1]}",
    )  # fmt: skip
    return enlarge(picture)


def _normal(scale=1.0):
    return keras.initializers.RandomNormal(stddev=scale)


@register
class ScaledDense(layers.Layer):
    """Dense layer with weights of unit variance, scaled by rate / sqrt(inputs) in use.

    Args:
        units: width of the output.
        rate: factor on the learning rate of this layer; its weights start as large in effect
            whatever it is.
        bias: what the biases start at.
    """

    def __init__(self, units, *, rate=1.0, bias=0.0, **kwargs):
        super().__init__(**kwargs)
        self.units, self.rate, self.bias_start = units, rate, bias

    def build(self, shape):
        self.kernel = self.add_weight(
            shape=(shape[-1], self.units), initializer=_normal(1 / self.rate), name="kernel"
        )
        start = keras.initializers.Constant(self.bias_start / self.rate)
        self.bias = self.add_weight(shape=(self.units,), initializer=start, name="bias")
        self.scale = self.rate / math.sqrt(shape[-1])

    def call(self, x):
        return ops.matmul(x, self.kernel * self.scale) + self.bias * self.rate

    def get_config(self):
        return super().get_config() | {
            "units": self.units,
            "rate": self.rate,
            "bias": self.bias_start,
        }


@register
class ScaledConv2D(layers.Conv2D):
    """`keras.layers.Conv2D`, "same", with a kernel of unit variance, scaled by 1 / sqrt(inputs)."""

    def __init__(self, filters, kernel_size, **kwargs):
        kwargs = {"padding": "same", "kernel_initializer": _normal()} | kwargs
        super().__init__(filters, kernel_size, **kwargs)

    def convolution_op(self, inputs, kernel):
        return super().convolution_op(inputs, kernel / math.sqrt(math.prod(kernel.shape[:3])))


@register
class ModulatedConv2D(layers.Layer):
    r"""Convolution whose kernel depends on a style w: [x, w] -> y, without bias.

    With $s = Aw + 1$ (one factor per input channel i) the kernel is $s_i k_{hvij}$, and
    demodulation divides it by its norm, for each output channel j (eqs. 1 and 3 of StyleGAN2):

    $$k'_{hvij} = s_i k_{hvij} \Big/ \sqrt{\textstyle\sum_{h,v,i} (s_i k_{hvij})^2 + 10^{-8}}$$

    Since s does not depend on the place and the norm only on j, scaling the input channels, then
    convolving with one shared kernel, then scaling the output channels gives the same, and needs no
    kernel for each image.

    Args:
        filters: output channels.
        kernel_size: side of the kernel.
        up: transposed convolution with stride 2, which doubles the size. Every output then sees a
            quarter of the kernel, and the norm is divided by 2 accordingly.
        demodulate: False for the layers that add to the picture.
    """

    def __init__(self, filters, kernel_size, *, up=False, demodulate=True, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.kernel_size, self.up = filters, kernel_size, up
        self.demodulate = demodulate
        self.affine = None

    def build(self, shapes):
        x_shape, w_shape = shapes
        size, channels = self.kernel_size, x_shape[-1]
        # Keras orders the kernel of a transposed convolution (height, width, output, input).
        ends = (self.filters, channels) if self.up else (channels, self.filters)
        self.kernel = self.add_weight(
            shape=(size, size, *ends), initializer=_normal(), name="kernel"
        )
        self.affine = ScaledDense(channels, bias=1.0, dtype=self.dtype_policy, name="affine")
        self.affine.build(w_shape)
        self.taps = size * size * channels / (4 if self.up else 1)

    def call(self, inputs):
        x, w = inputs
        scales = self.affine(w)
        kernel = self.kernel / math.sqrt(self.taps)
        x = x * scales[:, None, None, :]
        convolve = ops.conv_transpose if self.up else ops.conv
        y = convolve(x, kernel, strides=2 if self.up else 1, padding="same")
        if not self.demodulate:
            return y
        scales, kernel = ops.cast(scales, "float32"), ops.cast(kernel, "float32")
        squares = ops.sum(ops.square(kernel), axis=(0, 1))
        squares = ops.transpose(squares) if self.up else squares
        squares = squares / 4 if self.up else squares
        norms = ops.sqrt(ops.matmul(ops.square(scales), squares) + 1e-8)
        return y * ops.cast(1 / norms, y.dtype)[:, None, None, :]

    def compute_output_shape(self, shapes):
        batch, height, width, _ = shapes[0]
        if self.up:
            height, width = 2 * height, 2 * width
        return (batch, height, width, self.filters)

    def get_config(self):
        return super().get_config() | {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "up": self.up,
            "demodulate": self.demodulate,
        }


@register
class Noise(layers.Layer):
    """Add one picture of N(0, 1), times a learned strength (0 at first), to every channel.

    In training each image gets fresh noise; at inference all get the same stored one, so that a
    latent has one picture.
    """

    def __init__(self, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.seed = keras.random.SeedGenerator(seed)

    def build(self, shape):
        self.strength = self.add_weight(shape=(), initializer="zeros", name="strength")
        self.fixed = self.add_weight(
            shape=(1, *shape[1:3], 1), initializer=_normal(), trainable=False, name="fixed"
        )

    def call(self, x, training=False):
        noise = self.fixed
        if training:
            noise = replicas.normal((ops.shape(x)[0], *x.shape[1:3], 1), seed=self.seed)
        return x + ops.cast(noise, x.dtype) * self.strength


@register
class Bias(layers.Layer):
    """Add one learned number per channel, 0 at first."""

    def build(self, shape):
        self.bias = self.add_weight(shape=(shape[-1],), initializer="zeros", name="bias")

    def call(self, x):
        return x + self.bias


@register
class LearnedConstant(layers.Layer):
    """The 4x4 map that every picture starts from; of the styles only the batch size is read."""

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters

    def build(self, _):
        self.constant = self.add_weight(
            shape=(4, 4, self.filters), initializer=_normal(), name="constant"
        )

    def call(self, styles):
        return ops.broadcast_to(self.constant, (ops.shape(styles)[0], 4, 4, self.filters))

    def compute_output_shape(self, shape):
        return (shape[0], 4, 4, self.filters)

    def get_config(self):
        return super().get_config() | {"filters": self.filters}


@register
class StyleMixing(layers.Layer):
    """Give each of `count` layers a copy of w: (batch, style_dim) -> (batch, count, style_dim).

    In training a share of the images take the style of their neighbour in the batch from a random
    layer on: layers learn not to rely on each other (Karras et al. 2019, section 3.1).

    Raises:
        ValueError: if share is not in [0, 1].
    """

    def __init__(self, count, share, seed=None, **kwargs):
        if not 0 <= share <= 1:
            raise ValueError(f"mixing must be a share in [0, 1], got {share!r}.")
        super().__init__(**kwargs)
        self.count, self.share = count, share
        self.seed = keras.random.SeedGenerator(seed)

    @property
    def mixes_images(self):
        """Whether an image depends on its batch: `replicas.require_equal_layers` looks at it."""
        return self.share > 0

    def call(self, w, training=False):
        styles = ops.repeat(w[:, None], self.count, axis=1)
        if not training:
            return styles
        images = ops.shape(w)[0]
        first = keras.random.randint((images, 1), 1, self.count, seed=self.seed)
        mixed = keras.random.uniform((images, 1), seed=self.seed) < self.share
        swapped = mixed & (ops.arange(self.count)[None] >= first)
        return ops.where(swapped[:, :, None], ops.roll(styles, 1, axis=0), styles)

    def get_config(self):
        return super().get_config() | {"count": self.count, "share": self.share}
