"""A laboratory for GANs on points in the plane: step it, change it, rewind it, measure it.

There is no widget and no thread here. A panel drives it, and so does a test, or a plain cell:

    lab = Laboratory(Settings(data="ring", loss="hinge"))
    lab.run(1000)
    lab.change(penalty="R1")
    lab.rewind(600)
"""

import collections
import dataclasses
import math
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from scipy.spatial import cKDTree

from course_lib import checkpoints, losses, metrics, steps
from course_lib.datasets import points
from course_lib.networks import points as networks

PENALTIES = ("none", "R1", "R1+R2", "WGAN-GP")
OPTIMIZERS = {
    # Without momentum: the opponent moves, and old gradients mislead.
    "adam": lambda rate: keras.optimizers.Adam(rate, beta_1=0.0, beta_2=0.99),
    "adam with momentum": lambda rate: keras.optimizers.Adam(rate, beta_1=0.9, beta_2=0.99),
    "sgd": keras.optimizers.SGD,
}
LIVE = ("d_learning_rate", "g_learning_rate", "gamma")  # variables of the compiled step
POINTS = 50_000  # of the distribution, on the device
SAMPLES = 1_000  # of each side, for a measurement
REACH = 0.15  # a real point is reached if a generated one lies this near
DRIFTERS = 256  # latent vectors whose points are followed from record to record
MOST_BYTES = 64_000_000  # of snapshots; when they are more, every second one goes
MOST_ROWS = 2_000
_MACHINES = 6  # compiled variants that are kept: switching back to one costs nothing


@dataclasses.dataclass(frozen=True)
class Settings:
    """Everything that defines a run.

    Attributes:
        data: a name in `points.NAMES`, or "drawn" with `strokes` and `brush`.
        loss: family, a key of `losses.FAMILIES`.
        penalty: one of `PENALTIES`; gamma is its weight (R1, R2: times 1/2, as in the papers).
        d_learning_rate, g_learning_rate: of the two optimizers.
        discriminator_updates: of D per update of G.
        optimizer: a key of `OPTIMIZERS`.
        latent_dim, depth, width: of the networks; depth counts hidden layers.
        batch_size: real points, and generated ones, per update of D.
        ema_decay: of the averaged generator that is looked at; 0 looks at the generator itself.
        anneal_steps: learning rates fall to 0, and gamma to a hundredth, along half a cosine of
            so many steps; 0 keeps them constant.
        seed: of weights, latents and batches.
        strokes, brush: of a drawing, see `datasets.strokes`; tuples, so that settings compare.

    Raises:
        ValueError: on a value outside its range, naming it.
    """

    data: str = "eight_gaussians"
    loss: str = "nonsaturating"
    penalty: str = "none"
    gamma: float = 1.0
    d_learning_rate: float = 1e-3
    g_learning_rate: float = 1e-3
    discriminator_updates: int = 1
    optimizer: str = "adam"
    latent_dim: int = 2
    depth: int = 2
    width: int = 64
    batch_size: int = 256
    ema_decay: float = 0.0
    anneal_steps: int = 0
    seed: int = 0
    strokes: tuple = ()
    brush: float = 0.08

    def __post_init__(self):
        choices = {
            "data": (*points.NAMES, "drawn"),
            "loss": tuple(losses.FAMILIES),
            "penalty": PENALTIES,
            "optimizer": tuple(OPTIMIZERS),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name} must be one of {', '.join(allowed)}; got {getattr(self, name)!r}."
                )
        whole = {"discriminator_updates": (1, 20), "latent_dim": (1, 64), "depth": (1, 6)}
        whole |= {"width": (1, 512), "batch_size": (2, 4096), "anneal_steps": (0, 10**7)}
        for name, (low, high) in whole.items():
            value = getattr(self, name)
            if not isinstance(value, int) or not low <= value <= high:
                raise ValueError(f"{name} must be a whole number {low} to {high}, got {value!r}.")
        for name in (*LIVE, "brush"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be finite and at least 0, got {value!r}.")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay must be in [0, 1), got {self.ema_decay!r}.")
        if self.data == "drawn" and not self.strokes:
            raise ValueError("data is 'drawn', but there are no strokes: draw something first.")

    def changed(self):
        """Return the dict of those values that are not the defaults."""
        pairs = ((field.name, getattr(self, field.name)) for field in dataclasses.fields(self))
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        return {name: value for name, value in pairs if value != defaults[name]}

    def load_points(self, count=POINTS, *, seed=0):
        """Return the `PointSet` to learn from; another seed gives fresh points of the same kind."""
        if self.data == "drawn":
            return points.from_strokes(self.strokes, self.brush, count, seed=seed)
        return points.load(self.data, count, seed=seed)


class BrokenRun(NamedTuple):
    """A run to diagnose, and one cure of it.

    Attributes:
        settings: `Settings`.
        finding: name of what `diagnosis.diagnose` says after `BROKEN_TICKS` ticks.
        cure: dict of settings to change before beginning again.
        why: what the cure does, in a sentence.
    """

    settings: Settings
    finding: str
    cure: dict
    why: str


BROKEN_TICKS = 2_000
BROKEN_RUNS = {
    "A": BrokenRun(
        Settings(
            loss="wasserstein",
            optimizer="adam with momentum",
            d_learning_rate=1e-2,
            g_learning_rate=1e-2,
        ),
        "mode collapse",
        {
            "penalty": "WGAN-GP",
            "optimizer": "adam",
            "d_learning_rate": 1e-3,
            "g_learning_rate": 1e-3,
        },
        "Nothing bounds the critic's slope, so the generator chases its steepest place: the "
        "gradient penalty bounds it, and smaller steps without momentum follow it.",
    ),
    "B": BrokenRun(
        Settings(
            optimizer="adam with momentum", d_learning_rate=2e-4, g_learning_rate=1e-3, depth=3
        ),
        "oscillation",
        {"optimizer": "adam", "d_learning_rate": 1e-3, "penalty": "R1"},
        "The generator outruns the discriminator, and momentum carries it past every answer: "
        "without momentum, with an equally fast and damped discriminator, it settles.",
    ),
    "C": BrokenRun(
        Settings(
            loss="minimax",
            optimizer="adam with momentum",
            d_learning_rate=5e-3,
            g_learning_rate=2e-5,
            discriminator_updates=5,
        ),
        "saturated discriminator",
        {
            "loss": "nonsaturating",
            "optimizer": "adam",
            "d_learning_rate": 1e-3,
            "g_learning_rate": 1e-3,
            "discriminator_updates": 1,
            "penalty": "R1",
        },
        "Where D is sure, the minimax loss has no slope left: the non-saturating loss has one, and "
        "R1 and equal speeds keep D from being sure.",
    ),
    "D": BrokenRun(
        Settings(optimizer="sgd", d_learning_rate=3.0, g_learning_rate=3.0),
        "divergence",
        {"d_learning_rate": 0.05, "g_learning_rate": 0.05},
        "The step is longer than the loss is curved: each overshoots by more than the last.",
    ),
}


class Laboratory:
    """A GAN on points, with everything that has happened to it.

    Attributes:
        settings: `Settings` as they are now.
        tick: actions so far: a whole step, or half a step, is one.
        rows: list of dicts, a measurement each, with "tick", the last step's metrics, "motion"
            (the mean way that 256 points have gone since the row before), and what `measure`
            returns.
        diverged: whether a metric has become NaN or infinite; `reset` or `rewind` goes on.
    """

    def __init__(self, settings=None, *, record_every=100):
        """Start from the seed.

        Args:
            settings: a `Settings`; None takes the defaults.
            record_every: ticks between snapshots, each with a measurement.
        """
        self.record_every = record_every
        self._machines = collections.OrderedDict()
        self.settings = settings or Settings()
        self.reset()

    def reset(self, seed=None):
        """Begin again, from another seed if one is given; settings stay as they are now."""
        if seed is not None:
            self.settings = dataclasses.replace(self.settings, seed=seed)
        self._machine = self._machine_for(self.settings)
        self._machine.restore(initial_state(self._machine.gan, self.settings.seed))
        self._started_with, self._log = self.settings, []
        self.tick, self.rows, self._snapshots, self.diverged = 0, [], {}, False
        self._drifters = self.fake_points(DRIFTERS, seed=2)
        self._record({})

    # Going on ------------------------------------------------------------------------------------

    def run(self, count):
        """Take `count` whole steps, fewer if the run diverges; return the last metrics."""
        values = {}
        while count > 0 and not self.diverged:
            self._forget_the_future()
            part = min(count, self.record_every - self.tick % self.record_every)
            done, values = self._machine.loop(tf.constant(part))
            self._advance("run", int(done), values)
            count -= part
        return {name: float(value) for name, value in values.items()}

    def discriminator_step(self):
        """Update the discriminator alone; return its metrics."""
        return self._half("discriminator_step")

    def generator_step(self):
        """Update the generator alone; return its metrics."""
        return self._half("generator_step")

    def _half(self, name):
        self._forget_the_future()
        values = getattr(self._machine, name)(self.next_batch(name))
        self._advance(name, 1, values)
        return {name: float(value) for name, value in values.items()}

    def _advance(self, action, count, values):
        self.tick += count
        self._note(action, count)
        self.diverged = not all(np.isfinite(value) for value in values.values())
        if self.diverged or self.tick % self.record_every == 0:
            self._record(values)

    def _note(self, action, value):
        if self._log and self._log[-1][0] == action != "change":
            value += self._log.pop()[1]
        self._log.append((action, value))

    def change(self, **settings):
        """Change settings, keeping the networks where the architecture stays the same.

        Learning rates, gamma and data act at once; another loss, penalty, ratio or optimizer
        compiles a step first (once); another latent_dim, depth or width starts new networks.

        Raises:
            ValueError: for an unknown name or a value out of range; nothing is changed.
        """
        unknown = settings.keys() - {field.name for field in dataclasses.fields(Settings)}
        if unknown or "seed" in settings:
            raise ValueError(
                f"{', '.join(sorted(unknown)) or 'seed'} can't be changed; use reset(seed) for the "
                f"seed. Settings are {', '.join(f.name for f in dataclasses.fields(Settings))}."
            )
        new = dataclasses.replace(self.settings, **settings)
        changed = {k: v for k, v in settings.items() if v != getattr(self.settings, k)}
        if not changed:
            return
        self._forget_the_future()
        old, self.settings = self._machine, new
        self._machine = self._machine_for(new)
        if self._machine is not old:
            state = initial_state(self._machine.gan, new.seed)
            self._machine.restore(state | _fitting(old.state(), state))
        self._note("change", changed)

    # Going back ----------------------------------------------------------------------------------

    @property
    def recorded(self):
        """Ticks that `rewind` can go to, rising; a tuple."""
        return tuple(sorted(self._snapshots))

    def rewind(self, tick):
        """Go to a recorded tick. What came later stays, until the next action branches off.

        Raises:
            ValueError: if the tick is not recorded, naming the nearest that are.
        """
        if tick not in self._snapshots:
            near = sorted(self.recorded, key=lambda other: abs(other - tick))[:3]
            raise ValueError(f"tick {tick} is not recorded; the nearest are {sorted(near)}.")
        settings, state, log, self._drifters = self._snapshots[tick]
        self.settings, self._log, self.tick, self.diverged = settings, list(log), tick, False
        self._machine = self._machine_for(settings)
        self._machine.restore(state)

    def _forget_the_future(self):
        self.rows = [row for row in self.rows if row["tick"] <= self.tick]
        for tick in [tick for tick in self._snapshots if tick > self.tick]:
            del self._snapshots[tick]

    def _record(self, values):
        row = {"tick": self.tick} | {name: float(value) for name, value in values.items()}
        if self.diverged:
            self.rows.append(row)
            return
        drifters = self.fake_points(DRIFTERS, seed=2)
        before, self._drifters = self._drifters, drifters
        row["motion"] = float(np.linalg.norm(drifters - before, axis=1).mean())
        self.rows.append(row | self.measure())
        if len(self.rows) > MOST_ROWS:
            self.rows = self.rows[: MOST_ROWS // 2 : 2] + self.rows[MOST_ROWS // 2 :]
        state = self._machine.state()
        self._snapshots[self.tick] = (self.settings, state, tuple(self._log), drifters)
        size = sum(array.nbytes for array in state.values())
        if len(self._snapshots) * size > MOST_BYTES:
            for tick in self.recorded[1:-1:2]:
                del self._snapshots[tick]

    # Looking -------------------------------------------------------------------------------------

    def fake_points(self, count, *, seed=0):
        """Return generated points, float32 (count, 2), the same latents for the same seed."""
        return self._machine.generate(self.latents(count, seed=seed))

    def latents(self, count, *, seed=0):
        """Return latent vectors, float32 (count, latent_dim), from N(0, 1)."""
        drawn = np.random.default_rng(seed).standard_normal((count, self.settings.latent_dim))
        return drawn.astype("float32")

    def generate(self, latents):
        """Return the points of latent vectors (count, latent_dim): float32 (count, 2)."""
        return self._machine.generate(np.asarray(latents, "float32"))

    def logits(self, where):
        """Return D at points (count, 2): float32 (count,)."""
        return self._machine.judge(np.asarray(where, "float32"))[:, 0]

    def point_gradients(self, fake_points, real_points):
        """Return where the chosen loss pushes each generated point: float32 (count, 2).

        It is minus the gradient of the generator's loss of that point alone, not of a mean. The
        relativistic loss compares fake point i with real point i; the others ignore the real ones.
        """
        return self._machine.descent(
            np.asarray(fake_points, "float32"), np.asarray(real_points, "float32")
        )

    @property
    def gan(self):
        """The `steps.Gan` of this moment."""
        return self._machine.gan

    @property
    def step_config(self):
        """Its `steps.GanStepConfig`; penalties have weight 1 there, times `penalty_weight`."""
        return _config(self.settings)

    @property
    def penalty_weight(self):
        """gamma as it is now, annealed."""
        return float(self._machine.weight(self.gan.discriminator_optimizer.iterations))

    def next_batch(self, half):
        """Return the real points that the next "discriminator_step" or "generator_step" takes."""
        return self._machine.next_batch(half)

    @property
    def real(self):
        """The `PointSet` that is learned from."""
        return self._machine.point_set

    def measure(self, samples=SAMPLES):
        """Return measures of the generator as it is now, a dict of name -> float.

        sliced_wasserstein to real points; auc, how surely D tells real from generated (0.5: not
        at all, 1: always); reach, the share of real points with a generated one within `REACH`,
        and on_data, the reverse; spread, the standard deviation of generated over that of real
        points; for data with modes also covered, on_mode and reverse_kl of `metrics.mode_report`.
        """
        fake, real = self.fake_points(samples, seed=1), self.real.points[-samples:]
        near = np.nan_to_num(fake, nan=1e6, posinf=1e6, neginf=-1e6)
        found = {
            "sliced_wasserstein": metrics.sliced_wasserstein(fake, real, directions=32),
            "reach": float((cKDTree(near).query(real)[0] <= REACH).mean()),
            "on_data": float((self._machine.tree.query(near)[0] <= REACH).mean()),
            "auc": _auc(self.logits(real), self.logits(fake)),
            "spread": float(fake.std(axis=0).mean() / real.std(axis=0).mean()),
        }
        if self.real.modes is not None:
            found |= metrics.mode_report(fake, self.real.modes, self.real.sigma)._asdict()
        return found

    def band(self, samples=SAMPLES, draws=20):
        """Return measure -> (5th, 95th percentile) between fresh real points and real points."""
        found = collections.defaultdict(list)
        real = self.real.points[-samples:]
        for seed in range(1, draws + 1):
            other = self.settings.load_points(samples, seed=seed).points
            found["sliced_wasserstein"].append(
                metrics.sliced_wasserstein(other, real, directions=32)
            )
            if self.real.modes is not None:
                report = metrics.mode_report(other, self.real.modes, self.real.sigma)
                for name, value in report._asdict().items():
                    found[name].append(value)
        return {name: tuple(np.percentile(values, (5, 95))) for name, values in found.items()}

    def code(self):
        """Return a cell that brings a new laboratory exactly here."""
        listed = ", ".join(f"{k}={v!r}" for k, v in self._started_with.changed().items())
        lines = [
            "from course_lib.laboratory import Laboratory, Settings\n",
            f"lab = Laboratory(Settings({listed}))",
        ]
        for action, value in self._log:
            if action == "change":
                arguments = ", ".join(f"{k}={v!r}" for k, v in value.items())
                lines.append(f"lab.change({arguments})")
            elif action == "run":
                lines.append(f"lab.run({value})")
            else:
                lines.append(f"lab.{action}()" if value == 1 else
                             f"for _ in range({value}):\n    lab.{action}()")  # fmt: skip
        return "\n".join(lines)

    def _machine_for(self, settings):
        """The compiled machine for the settings, kept from before if there is one."""
        live = dict.fromkeys(LIVE, 0.0) | {"seed": 0, "data": "line", "strokes": (), "brush": 0.0}
        key = dataclasses.replace(settings, **live)
        if key not in self._machines:
            self._machines[key] = _Machine(settings)
        self._machines.move_to_end(key)
        while len(self._machines) > _MACHINES:
            self._machines.popitem(last=False)
        self._machines[key].adjust(settings)
        return self._machines[key]


class _Machine:
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
        self._compile(settings, _config(settings))

    def _compile(self, settings, config):
        gan, count = self.gan, config.discriminator_updates * settings.batch_size
        annealed = settings.anneal_steps * config.discriminator_updates
        self.weight = _Annealed(self.live["gamma"], annealed, last=0.01)
        step = steps.make_gan_step(gan, config, penalty_schedule=self.weight)
        halves = steps.make_half_steps(gan, config, penalty_schedule=self.weight)
        self.discriminator_step, self.generator_step = halves

        def draw(optimizer, count, stream):
            numbers = tf.random.stateless_uniform(
                (count,), (self.seed + stream, tf.cast(optimizer.iterations, tf.int32)),
                0, POINTS, tf.int32,
            )  # fmt: skip
            return tf.gather(self.atlas, numbers)

        self.loop = steps.repeat(step, lambda: draw(gan.discriminator_optimizer, count, 0))
        self._draws = {
            "discriminator_step": (gan.discriminator_optimizer, 0),
            "generator_step": (gan.generator_optimizer, 1_000_003),
        }
        self.next_batch = lambda half: draw(
            self._draws[half][0], settings.batch_size, self._draws[half][1]
        )
        points_spec = tf.TensorSpec((None, 2))
        self._generate = tf.function(
            gan.ema_generator, input_signature=[tf.TensorSpec((None, settings.latent_dim))]
        )
        self._judge = tf.function(gan.discriminator, input_signature=[points_spec])
        self._descent = tf.function(
            _descent(gan.discriminator, settings.loss), input_signature=[points_spec, points_spec]
        )

    def adjust(self, settings):
        """Take over what is a variable of the compiled functions."""
        for name, variable in self.live.items():
            variable.assign(getattr(settings, name))
        self.seed.assign(settings.seed)
        wanted = (settings.data, settings.strokes, settings.brush)
        if self._loaded != wanted:
            self.point_set, self._loaded = settings.load_points(), wanted
            self.atlas.assign(self.point_set.points)
            self.tree = cKDTree(self.point_set.points[: 5 * SAMPLES])

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


def _config(settings):
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


def _fitting(old, new):
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


def _auc(real_logits, fake_logits):
    """The share of (real, fake) pairs that D puts in the right order; a tie counts half."""
    ordered = np.sort(fake_logits)
    below = np.searchsorted(ordered, real_logits, "left")
    not_above = np.searchsorted(ordered, real_logits, "right")
    return float((below + not_above).mean() / (2 * len(ordered)))
