"""The networks of a `Laboratory` and its compiled functions; all that calls TensorFlow is here."""

import math

import keras
import numpy as np
import tensorflow as tf
from scipy.spatial import cKDTree

from course_lib import checkpoints, losses, steps
from course_lib.lab_settings import LIVE, POINTS
from course_lib.networks import points as networks

OPTIMIZERS = {
    # Without momentum: the opponent moves, and old gradients mislead.
    "adam": lambda rate: keras.optimizers.Adam(rate, beta_1=0.0, beta_2=0.99),
    "adam with momentum": lambda rate: keras.optimizers.Adam(rate, beta_1=0.9, beta_2=0.99),
    "sgd": keras.optimizers.SGD,
}


class Machine:
    """The networks and compiled functions for one choice of everything that needs compiling."""

    def __init__(self, settings):
        self.live = {name: tf.Variable(0.0) for name in (*LIVE,)}
        self.atlas = tf.Variable(tf.zeros((POINTS, 2)), trainable=False)
        self.seed = tf.Variable(0, dtype=tf.int32, trainable=False)
        self.point_set, self.tree, self._loaded = None, None, None
        hidden = (settings.width,) * settings.depth
        updates = settings.discriminator_updates
        d_rate, g_rate = self.live["d_learning_rate"], self.live["g_learning_rate"]
        self.gan = steps.Gan.create(
            networks.generator(settings.latent_dim, hidden_units=hidden),
            networks.discriminator(hidden_units=hidden),
            generator_optimizer=OPTIMIZERS[settings.optimizer](
                _Annealed(g_rate, settings.anneal_steps)
            ),
            discriminator_optimizer=OPTIMIZERS[settings.optimizer](
                _Annealed(d_rate, settings.anneal_steps * updates)
            ),
            seed=0,
        )
        self._compile(settings, step_config(settings))

    def _compile(self, settings, config):
        gan, count = self.gan, config.discriminator_updates * settings.batch_size
        annealed = settings.anneal_steps * config.discriminator_updates
        self.weight = _Annealed(self.live["gamma"], annealed, last=0.01)
        step = steps.make_gan_step(gan, config, penalty_schedule=self.weight)
        d_step, g_step = steps.make_half_steps(gan, config, penalty_schedule=self.weight)
        batch = tf.TensorSpec((settings.batch_size, 2))
        self.discriminator_step = _traced_once(lambda: d_step, batch)
        self.generator_step = _traced_once(lambda: g_step, batch)

        def draw(optimizer, count, stream):
            numbers = tf.random.stateless_uniform(
                (count,), (self.seed + stream, tf.cast(optimizer.iterations, tf.int32)),
                0, POINTS, tf.int32,
            )  # fmt: skip
            return tf.gather(self.atlas, numbers)

        def loop():
            return steps.repeat(step, lambda: draw(gan.discriminator_optimizer, count, 0))

        self.loop = _traced_once(loop, tf.TensorSpec((), tf.int32))
        self._draws = {
            "discriminator_step": (gan.discriminator_optimizer, 0),
            "generator_step": (gan.generator_optimizer, 1_000_003),
        }
        self.next_batch = lambda half: draw(
            self._draws[half][0], settings.batch_size, self._draws[half][1]
        )
        points_spec = tf.TensorSpec((None, 2))
        latents_spec = tf.TensorSpec((None, settings.latent_dim))
        descent = _descent(gan.discriminator, settings.loss)
        self._generate = _traced_once(lambda: tf.function(gan.ema_generator), latents_spec)
        self._judge = _traced_once(lambda: tf.function(gan.discriminator), points_spec)
        self._descent = _traced_once(lambda: tf.function(descent), points_spec, points_spec)

    def adjust(self, settings):
        """Take over what is a variable of the compiled functions."""
        for name, variable in self.live.items():
            variable.assign(getattr(settings, name))
        self.seed.assign(settings.seed)
        wanted = (settings.data, settings.strokes, settings.brush)
        if self._loaded != wanted:
            self.point_set, self._loaded = settings.load_points(), wanted
            self.atlas.assign(self.point_set.points)
            self.tree = cKDTree(self.point_set.points[:5_000])

    def state(self):
        return checkpoints.state_arrays(self.gan.objects())

    def restore(self, state):
        checkpoints.restore_state(self.gan.objects(), state)

    def generate(self, latents):
        return self._generate(latents).numpy()

    def judge(self, where):
        return self._judge(where).numpy()

    def descent(self, fake_points, real_points):
        return self._descent(fake_points, real_points).numpy()


class _Annealed(keras.optimizers.schedules.LearningRateSchedule):
    """A variable, times half a cosine from 1 to `last` if `steps` is above 0."""

    def __init__(self, base, steps, last=0.0):
        self.base, self.steps, self.last = base, steps, last

    def __call__(self, step):
        if not self.steps:
            return tf.convert_to_tensor(self.base)
        share = tf.minimum(tf.cast(step, tf.float32) / self.steps, 1.0)
        cosine = 0.5 * (1 + tf.cos(math.pi * share))
        return self.base * (self.last + (1 - self.last) * cosine)


def _traced_once(make, *specs):
    """Return a function that makes and traces a `tf.function` at its first call, for these specs.

    TensorFlow warns of code that is traced often. A notebook with twenty laboratories does so on
    purpose, and a concrete function is not counted.
    """
    traced = []

    def call(*arguments):
        if not traced:
            traced.append(make().get_concrete_function(*specs))
        return traced[0](*map(tf.convert_to_tensor, arguments))

    return call


def step_config(settings):
    """The step's config; gamma itself is a live factor of every penalty."""
    return steps.GanStepConfig(
        latent_dim=settings.latent_dim,
        loss=settings.loss,
        r1_gamma=float(settings.penalty in ("R1", "R1+R2")),
        r2_gamma=float(settings.penalty == "R1+R2"),
        gradient_penalty_weight=float(settings.penalty == "WGAN-GP"),
        ema_decay=settings.ema_decay,
        discriminator_updates=settings.discriminator_updates,
    )


def initial_state(gan, seed):
    """Return the state of a GAN that follows from a seed alone, without any global seed.

    Kernels are drawn from N(0, 2 / inputs) (He et al. 2015), biases and moments are 0.
    """
    generator = np.random.default_rng([seed, 7])
    state = {name: np.zeros_like(v) for name, v in checkpoints.state_arrays(gan.objects()).items()}
    for name, value in state.items():
        if name.endswith("/kernel") and name.startswith(("generator/", "discriminator/")):
            value[...] = generator.normal(0, math.sqrt(2 / value.shape[0]), value.shape)
    for name in state:
        if name.startswith("ema_generator/"):
            state[name] = state[name.removeprefix("ema_")].copy()
    fresh = {"seed": keras.random.SeedGenerator(seed)}
    return state | checkpoints.state_arrays(fresh)


def fitting(old, new):
    """Those arrays of an old state that a new one has room for, by whole objects."""
    kept = {}
    for thing in {name.split("/")[0] for name in new}:
        mine = {name: a.shape for name, a in new.items() if name.split("/")[0] == thing}
        theirs = {name: a.shape for name, a in old.items() if name.split("/")[0] == thing}
        if mine == theirs:
            kept |= {name: old[name] for name in mine}
    return kept


def _descent(discriminator, family):
    _, generator_loss = losses.FAMILIES[family]

    def descent(fake_points, real_points):
        with tf.GradientTape() as tape:
            tape.watch(fake_points)
            logits = discriminator(fake_points)
            if family == "relativistic":
                loss = generator_loss(discriminator(real_points), logits)
            else:
                loss = generator_loss(logits)
        count = tf.cast(tf.shape(fake_points)[0], tf.float32)  # the loss is a mean
        return -count * tape.gradient(loss, fake_points)

    return descent
