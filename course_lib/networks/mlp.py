"""The fully connected pair: every pixel is connected to everything, nothing is local."""

import math

import keras
from keras import layers


def generator(latent_dim, image_shape, *, hidden_units=(256, 512)):
    r"""Build $G(z) = \tanh(W_3\,\mathrm{ReLU}(W_2\,\mathrm{ReLU}(W_1 z)))$, with biases.

    Args:
        latent_dim: width of the latent vector z.
        image_shape: (height, width, channels) of the images to draw.
        hidden_units: width of each hidden layer; two of them make the three layers above.

    Returns:
        keras.Model, latents (batch, latent_dim) -> float32 images (batch, *image_shape)
        in [-1, 1].
    """
    latents = keras.Input((latent_dim,), name="latents")
    x = latents
    for units in hidden_units:
        x = layers.Dense(units, activation="relu")(x)
    x = layers.Dense(math.prod(image_shape))(x)
    images = layers.Activation("tanh", dtype="float32")(layers.Reshape(image_shape)(x))
    return keras.Model(latents, images, name="mlp_generator")


def discriminator(image_shape, *, hidden_units=(512, 256, 128, 64, 32)):
    """Build a fully connected classifier of real against generated images.

    Five hidden layers and the output make the six layers of the usual textbook sketch;
    the sigmoid of that sketch is left to the loss, which is stable on logits only.

    Args:
        image_shape: (height, width, channels).
        hidden_units: width of each hidden layer.

    Returns:
        keras.Model, images (batch, *image_shape) in [-1, 1] -> float32 logits (batch, 1).
    """
    images = keras.Input(image_shape, name="images")
    x = layers.Flatten()(images)
    for units in hidden_units:
        x = layers.LeakyReLU(0.2)(layers.Dense(units)(x))
    logits = layers.Dense(1, dtype="float32", name="logits")(x)
    return keras.Model(images, logits, name="mlp_discriminator")
