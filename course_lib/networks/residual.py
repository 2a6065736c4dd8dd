"""A residual pair without batch statistics, for losses with gradient penalties.

Each block adds a two-convolution branch to its input. The branch's last convolution starts
at zero, so a block begins as the identity and no normalisation is needed to keep the scale
(Zhang et al. 2019, "Fixup", https://arxiv.org/abs/1901.09321; R3GAN builds on the same idea,
Huang et al. 2024, https://arxiv.org/abs/2501.05441). Down-sampling is average pooling: its
second derivative exists everywhere and is computed correctly, which max pooling's is not.
"""

import keras
from keras import layers

from course_lib.networks import doublings, square_side


def generator(latent_dim, image_shape, *, filters):
    """Build a residual generator: 4x4 feature maps, doubled once per further entry of filters.

    Args:
        latent_dim: width of the latent vector.
        image_shape: (size, size, channels); size must be 4 * 2 ** (len(filters) - 1).
        filters: channels at 4x4, 8x8, ... up to the full size.

    Returns:
        keras.Model, latents (batch, latent_dim) -> float32 images (batch, *image_shape)
        in [-1, 1].

    Raises:
        ValueError: if image_shape and filters do not fit each other.
    """
    _check_filters(image_shape, filters)
    latents = keras.Input((latent_dim,), name="latents")
    # Latents on the sphere of radius sqrt(latent_dim): their length carries no information.
    x = layers.UnitNormalization()(latents)
    x = layers.Rescaling(latent_dim**0.5)(x)
    x = layers.Dense(4 * 4 * filters[0], kernel_initializer="he_normal")(x)
    x = _block(layers.Reshape((4, 4, filters[0]))(x), filters[0])
    for width in filters[1:]:
        x = _project(x, width)  # before up-sampling: the same result at a quarter of the work
        x = _block(layers.UpSampling2D(interpolation="nearest")(x), width)
    x = layers.LeakyReLU(0.2)(x)
    x = layers.Conv2D(image_shape[-1], 3, padding="same", kernel_initializer="glorot_normal")(x)
    images = layers.Activation("tanh", dtype="float32")(x)
    return keras.Model(latents, images, name="residual_generator")


def discriminator(image_shape, *, filters):
    """Build a residual discriminator: the mirror image of `generator`.

    Args:
        image_shape: (size, size, channels); size must be 4 * 2 ** (len(filters) - 1).
        filters: channels at full size, half size, ... down to 4x4.

    Returns:
        keras.Model, images (batch, *image_shape) in [-1, 1] -> float32 logits (batch, 1).

    Raises:
        ValueError: if image_shape and filters do not fit each other.
    """
    _check_filters(image_shape, filters)
    images = keras.Input(image_shape, name="images")
    x = layers.Conv2D(filters[0], 3, padding="same", kernel_initializer="he_normal")(images)
    for width, next_width in zip(filters[:-1], filters[1:], strict=True):
        x = layers.AveragePooling2D(2)(_block(x, width))
        x = _project(x, next_width)
    x = layers.LeakyReLU(0.2)(_block(x, filters[-1]))
    # A convolution over the whole 4x4 map instead of pooling: where a feature is matters.
    x = layers.DepthwiseConv2D(4, depthwise_initializer="he_normal")(x)
    logits = layers.Dense(1, dtype="float32", name="logits")(layers.Flatten()(x))
    return keras.Model(images, logits, name="residual_discriminator")


def _block(x, width):
    branch = layers.LeakyReLU(0.2)(x)
    branch = layers.Conv2D(width, 3, padding="same", kernel_initializer="he_normal")(branch)
    branch = layers.LeakyReLU(0.2)(branch)
    branch = layers.Conv2D(width, 3, padding="same", kernel_initializer="zeros")(branch)
    return layers.Add()([x, branch])


def _project(x, width):
    if x.shape[-1] == width:
        return x
    return layers.Conv2D(width, 1, use_bias=False, kernel_initializer="glorot_normal")(x)


def _check_filters(image_shape, filters):
    needed = doublings(square_side(image_shape)) + 1
    if len(filters) != needed:
        raise ValueError(
            f"images of {tuple(image_shape)} need {needed} entries in filters "
            f"(one per size from 4 to {image_shape[0]}), got {len(filters)}: {tuple(filters)}."
        )
