"""The convolutional pair of Radford, Metz and Chintala 2015 (DCGAN).

Source: https://arxiv.org/abs/1511.06434, section 3: strided convolutions instead of
pooling, batch normalisation, ReLU in the generator, LeakyReLU(0.2) in the discriminator,
weights from N(0, 0.02^2). Two changes: the discriminator's normalisation is a choice,
and its last layer is dense.
"""

import keras
from keras import layers

from course_lib.networks import doublings, square_side
from course_lib.networks.convolutions import FastConv2D, FastConv2DTranspose
from course_lib.networks.normalization import FusedBatchNormalization

# "same" padding with a kernel that is a multiple of the stride covers every output pixel
# equally often; with 5 and 2, as in the paper, some pixels get more terms: a checkerboard.
KERNEL_SIZE = 4


def _initializer():
    return keras.initializers.RandomNormal(stddev=0.02)


def generator(latent_dim, image_shape, *, base_filters=64):
    """Build the DCGAN generator: 4x4 feature maps, doubled until they have the image's size.

    Args:
        latent_dim: width of the latent vector.
        image_shape: (size, size, channels), size 8, 16, 32, ...
        base_filters: channels before the last layer; each halving of the size doubles them.

    Returns:
        keras.Model, latents (batch, latent_dim) -> float32 images (batch, *image_shape)
        in [-1, 1].

    Raises:
        ValueError: if the image is not square or its size not 4 times a power of two.
    """
    steps = doublings(square_side(image_shape))
    filters = [base_filters * 2**k for k in reversed(range(steps))]
    latents = keras.Input((latent_dim,), name="latents")
    x = layers.Dense(4 * 4 * filters[0], use_bias=False, kernel_initializer=_initializer())(latents)
    x = layers.Reshape((4, 4, filters[0]))(x)
    x = layers.ReLU()(FusedBatchNormalization()(x))
    for width in filters[1:]:
        x = _upsample(width, use_bias=False)(x)
        x = layers.ReLU()(FusedBatchNormalization()(x))
    x = _upsample(image_shape[-1], use_bias=True)(x)
    images = layers.Activation("tanh", dtype="float32")(x)
    return keras.Model(latents, images, name="dcgan_generator")


def discriminator(image_shape, *, base_filters=64, batch_norm=True, spectral_norm=False):
    """Build the DCGAN discriminator: strided convolutions down to 4x4, then one dense unit.

    Args:
        image_shape: (size, size, channels), size 8, 16, 32, ...
        base_filters: channels after the first layer; each halving of the size doubles them.
        batch_norm: the paper's choice. Take False with gradient penalties: they need a
            discriminator that judges each image by itself.
        spectral_norm: whether every layer's weights, as a matrix with one column for each output
            channel, are divided by their largest singular value, so that no layer stretches a
            difference by much (Miyato et al. 2018, https://arxiv.org/abs/1802.05957). Keras does
            it to the weights themselves, with one power iteration in each pass in training mode,
            G's update included; in the paper the gradient goes through the division as well.
            Not with batch_norm, whose scale would undo it.

    Returns:
        keras.Model, images (batch, *image_shape) in [-1, 1] -> float32 logits (batch, 1).

    Raises:
        ValueError: if the image is not square or its size not 4 times a power of two, or both
            normalisations are asked for.
    """
    if batch_norm and spectral_norm:
        raise ValueError(
            "spectral_norm=True needs batch_norm=False: batch normalisation would scale the "
            "outputs again."
        )
    steps = doublings(square_side(image_shape))
    bounded = layers.SpectralNormalization if spectral_norm else lambda layer: layer
    images = keras.Input(image_shape, name="images")
    x = images
    for k in range(steps):
        normalised = batch_norm and k > 0
        convolution = FastConv2D(
            base_filters * 2**k, KERNEL_SIZE, 2, "same",
            use_bias=not normalised, kernel_initializer=_initializer(),
        )  # fmt: skip
        x = bounded(convolution)(x)
        if normalised:
            x = FusedBatchNormalization()(x)
        x = layers.LeakyReLU(0.2)(x)
    x = layers.Flatten()(x)
    last = layers.Dense(1, dtype="float32", kernel_initializer=_initializer(), name="logits")
    logits = bounded(last)(x)
    return keras.Model(images, logits, name="dcgan_discriminator")


def _upsample(filters, *, use_bias):
    return FastConv2DTranspose(
        filters, KERNEL_SIZE, 2, "same", use_bias=use_bias, kernel_initializer=_initializer()
    )
