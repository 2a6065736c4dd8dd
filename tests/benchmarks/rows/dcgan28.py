"""The DCGAN of TensorFlow's tutorial: 28x28 grey images, here in batches of 64.

Networks and Adam of https://www.tensorflow.org/tutorials/generative/dcgan. The tutorial computes
both gradients before either update, from one pass of D over the generated images; its own step is
measured as it stands there, with that pass less than the others. Losses are compared without
dropout, whose masks nobody can share.
"""

import keras
import tensorflow as tf
from keras import layers

from course_lib import steps
from course_lib.networks.convolutions import FastConv2D, FastConv2DTranspose
from course_lib.networks.normalization import FusedBatchNormalization
from tests.benchmarks import protocol
from tests.benchmarks.rows import image_gans

LATENT_DIM, SHAPE, BATCH = 100, (28, 28, 1), 64


def generator():
    x = latents = keras.Input((LATENT_DIM,))
    x = layers.Dense(7 * 7 * 256, use_bias=False)(x)
    x = layers.LeakyReLU(0.3)(layers.BatchNormalization()(x))
    x = layers.Reshape((7, 7, 256))(x)
    for filters, stride in ((128, 1), (64, 2)):
        x = FastConv2DTranspose(filters, 5, stride, "same", use_bias=False)(x)
        x = layers.LeakyReLU(0.3)(FusedBatchNormalization()(x))
    x = FastConv2DTranspose(1, 5, 2, "same", use_bias=False)(x)
    return keras.Model(latents, layers.Activation("tanh", dtype="float32")(x))


def discriminator(dropout):
    x = images = keras.Input(SHAPE)
    for filters in (64, 128):
        x = layers.LeakyReLU(0.3)(FastConv2D(filters, 5, 2, "same")(x))
        x = layers.Dropout(dropout)(x)
    return keras.Model(images, layers.Dense(1, dtype="float32")(layers.Flatten()(x)))


def case(dropout):
    return image_gans.Case(
        "DCGAN of TensorFlow's tutorial, 28x28x1, batch 64",
        lambda: (generator(), discriminator(dropout)),
        steps.GanStepConfig(latent_dim=LATENT_DIM, reuse_fakes=True),
        shape=SHAPE,
        batch=BATCH,
        rate=1e-4,
        betas=(0.9, 0.999),
    )


def tutorial(kind, dropout=0.3):
    """Return the loop of the tutorial's own step."""
    gan, images = case(dropout).start(kind, plain=True), case(dropout).real_images()
    cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)

    @tf.function
    def step():
        noise = keras.random.normal((BATCH, LATENT_DIM), seed=gan.seed)
        with tf.GradientTape() as g_tape, tf.GradientTape() as d_tape:
            fake_images = gan.generator(noise, training=True)
            real_logits = gan.discriminator(images, training=True)
            fake_logits = gan.discriminator(fake_images, training=True)
            g_loss = cross_entropy(tf.ones_like(fake_logits), fake_logits)
            d_loss = cross_entropy(tf.ones_like(real_logits), real_logits)
            d_loss += cross_entropy(tf.zeros_like(fake_logits), fake_logits)
        image_gans.descend(g_tape, g_loss, gan.generator, gan.generator_optimizer)
        image_gans.descend(d_tape, d_loss, gan.discriminator, gan.discriminator_optimizer)
        return {"d_loss": d_loss}  # the loss of G is not that of an alternating step

    def run(count):
        for _ in range(count):
            found = step()
        return found

    return protocol.timed(run)


def first_losses(worker):
    """Return the losses of the first step without dropout: loop -> losses."""
    bare = case(0)
    loops = {f"ours, {kind}": bare.ours(kind) for kind in image_gans.PRECISIONS}
    loops["tutorial's step, float32"] = tutorial("float32", dropout=0)
    loops["Model.fit, float32"] = bare.fitted("float32")
    torch = worker("gan.py", bare.given())
    if torch:
        loops |= {name: protocol.remote(torch, name) for name in image_gans.EAGER}
    found = {name: loop(1)[1] for name, loop in loops.items()}
    if torch:
        torch.close()
    return found


def prepare(worker):
    own = {f"tutorial's step, {kind}": tutorial(kind) for kind in image_gans.PRECISIONS}
    return case(0.3).row(
        worker, more=own, losses=first_losses(worker),
        target={"PyTorch eager, float32": 2.5, "fastest PyTorch": 1.3},
    )  # fmt: skip
