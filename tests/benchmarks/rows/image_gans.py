"""What the rows of GANs on images share: our loops, Keras' `fit`, and PyTorch's."""

import dataclasses
import json
import math
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from course_lib import losses, steps
from tests.benchmarks import protocol, translate

PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
EAGER = tuple(f"PyTorch eager, {kind}" for kind in PRECISIONS)
COMPILED = tuple(f"torch.compile, {kind}" for kind in PRECISIONS)


@dataclasses.dataclass(frozen=True)
class Case:
    """One pair of networks and its training.

    Attributes:
        title: of the row.
        build: () -> (generator, discriminator), in the current precision.
        config: `steps.GanStepConfig` with reuse_fakes=True.
        shape, batch: of the real images.
        rate, betas: of both Adams.
    """

    title: str
    build: Callable
    config: steps.GanStepConfig
    shape: tuple[int, int, int]
    batch: int
    rate: float
    betas: tuple[float, float]

    def real_images(self):
        """Return the batch that every step is given, float32 in [-1, 1]."""
        pixels = np.random.default_rng(0).uniform(-1, 1, (self.batch, *self.shape))
        return tf.constant(pixels, "float32")

    def start(self, kind, *, plain=False):
        """Return a `steps.Gan` that begins as all the others, whatever its precision.

        plain: whether its layers are those of Keras instead of ours.
        """
        keras.config.set_dtype_policy("float32")
        keras.utils.set_random_seed(0)
        weights = [model.get_weights() for model in self.build()]
        keras.config.set_dtype_policy(PRECISIONS[kind])
        models = self.build()
        for model, arrays in zip(models, weights, strict=True):
            model.set_weights(arrays)
        generator, discriminator = map(with_plain_layers, models) if plain else models
        adams = [keras.optimizers.Adam(self.rate, *self.betas) for _ in range(2)]
        return steps.Gan.create(
            generator, discriminator,
            generator_optimizer=adams[0], discriminator_optimizer=adams[1], seed=0,
        )  # fmt: skip

    def ours(self, kind):
        """Return our loop: a function of a count of steps that returns the last losses."""
        step, real_images = steps.make_gan_step(self.start(kind), self.config), self.real_images()

        def run(count):
            for _ in range(count):
                metrics = step(real_images)
            return {name: metrics[name] for name in metrics if not name.endswith("logit")}

        return protocol.timed(run)

    def fitted(self, kind):
        """Return the loop of `keras.Model.fit`, with the layers of Keras."""
        model = FittedGan(self.start(kind, plain=True), self.config)
        model.compile(jit_compile=False)
        data = tf.data.Dataset.from_tensors(self.real_images()).cache().repeat()

        def run(count):
            history = model.fit(data, steps_per_epoch=count, shuffle=False, verbose=0).history
            return {name: values[-1] for name, values in history.items()}

        return protocol.timed(run)

    def given(self, batches=4):
        """Return the arrays of the PyTorch worker: networks, settings, mirrored images, latents."""
        gan, config = self.start("float32"), self.config
        settings, given = {}, {}
        for name in ("generator", "discriminator"):
            settings[name], arrays = translate.describe(getattr(gan, name), name)
            given |= arrays
        settings |= {
            "rate": self.rate, "betas": self.betas, "loss": config.loss, "gamma": config.r1_gamma,
            "penalised": self.penalised,
        }  # fmt: skip
        # The latents that our step draws: from the same seed, a second time.
        shape = (self.batch, config.latent_dim)
        latents = [np.asarray(keras.random.normal(shape, seed=gan.seed)) for _ in range(batches)]
        return given | {
            "settings": json.dumps(settings), "latents": np.stack(latents),
            "real_images": translate.mirror(np.asarray(self.real_images())),
        }  # fmt: skip

    @property
    def penalised(self):
        """Images that the penalties are taken on."""
        return math.ceil(self.config.penalty_share * self.batch) if self.config.has_penalty else 0

    def row(self, worker, *, compiled=True, fitted=True, more=None, losses=None, target=None):
        """Return the `protocol.Row`: both precisions of ours, of Keras and of PyTorch.

        Args:
            worker: see `rows`.
            compiled, fitted: whether torch.compile and `Model.fit` are among the peers.
            more: further loops, name -> loop.
            losses, target: as in `protocol.Row`.
        """
        loops = {f"ours, {kind}": self.ours(kind) for kind in PRECISIONS}
        ours = tuple(loops)
        if fitted:
            loops |= {f"Model.fit, {kind}": self.fitted(kind) for kind in PRECISIONS}
        loops |= more or {}
        torch = worker("gan.py", self.given())
        if torch:
            names = EAGER + COMPILED * compiled
            loops |= {name: protocol.remote(torch, name) for name in names}
        return protocol.Row(
            self.title,
            "step",
            loops,
            ours,
            losses=losses,
            target=target or {},
            work=step_work(*self.build(), self.config, self.batch),
        )


def step_work(generator, discriminator, config, batch):
    """Return the operations of a step.

    G: forward and back, to inputs and to kernels; once more forward where D is not shown the same
    images. D: the same on real and on generated images, then forward and back to the image for G; a
    relativistic loss of G asks D about the real images once more. A penalty: D forward, back to the
    images, and the same way back for the kernels.
    """
    g, d = protocol.forward_work(generator), protocol.forward_work(discriminator)
    g_passes, d_passes = 4 - config.reuse_fakes, 8 + (config.loss == "relativistic")
    penalties = bool(config.r1_gamma) + bool(config.r2_gamma)
    return batch * (g_passes * g + (d_passes + penalties * config.penalty_share * 4) * d)


class FittedGan(keras.Model):
    """The same update as a `train_step`, the way Keras' own examples write it."""

    def __init__(self, gan, config):
        super().__init__()
        self.gan, self.latent_dim = gan, config.latent_dim
        self.of_d, self.of_g = losses.FAMILIES[config.loss]

    def train_step(self, real_images):
        gan = self.gan
        latents = keras.random.normal((real_images.shape[0], self.latent_dim), seed=gan.seed)
        with tf.GradientTape() as g_tape:
            fake_images = gan.generator(latents, training=True)
            with g_tape.stop_recording():
                with tf.GradientTape() as d_tape:
                    real_logits = gan.discriminator(real_images, training=True)
                    fake_logits = gan.discriminator(fake_images, training=True)
                    d_loss = self.of_d(real_logits, fake_logits)
                descend(d_tape, d_loss, gan.discriminator, gan.discriminator_optimizer)
            g_loss = self.of_g(gan.discriminator(fake_images, training=True))
        descend(g_tape, g_loss, gan.generator, gan.generator_optimizer)
        return {"d_loss": d_loss, "g_loss": g_loss}


def descend(tape, loss, model, optimizer):
    """Update a model as the tutorials of Keras and TensorFlow do."""
    weights = model.trainable_variables
    optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))


def with_plain_layers(model):
    """Return a copy of a model in which the layers of Keras take the places of ours."""

    def plain(layer):
        kinds = (layers.BatchNormalization, layers.Conv2D, layers.Conv2DTranspose)
        kind = next((kind for kind in kinds if isinstance(layer, kind)), type(layer))
        return kind.from_config(layer.get_config())

    copy = keras.models.clone_model(model, clone_function=plain)
    copy.set_weights(model.get_weights())
    return copy
