"""A pair for points in the plane: small enough to train while one watches.

No activation ends the generator, since points have no fixed range, and nothing in the
discriminator mixes the points of a batch, so that gradient penalties apply. The generator has ReLU,
which can make flat plateaus, one for each mode; the discriminator LeakyReLU, which leaves a slope
everywhere.
"""

import functools

import keras
from keras import layers


def generator(latent_dim, *, hidden_units=(64, 64)):
    """Build the generator: latents (batch, latent_dim) -> points (batch, 2), float32."""
    return _mlp(latent_dim, hidden_units, 2, layers.ReLU, ("latents", "points_generator"))


def discriminator(*, hidden_units=(64, 64)):
    """Build the discriminator: points (batch, 2) -> logits (batch, 1), float32."""
    activation = functools.partial(layers.LeakyReLU, 0.2)
    return _mlp(2, hidden_units, 1, activation, ("points", "points_discriminator"))


def _mlp(inputs, hidden_units, outputs, activation, names):
    x = first = keras.Input((inputs,), name=names[0])
    for units in hidden_units:
        x = activation()(layers.Dense(units, kernel_initializer="he_normal")(x))
    return keras.Model(first, layers.Dense(outputs, dtype="float32")(x), name=names[1])
