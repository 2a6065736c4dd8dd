"""A laboratory for GANs on points in the plane: step it, change it, rewind it, measure it.

There is no widget and no thread here. A panel drives it, and so does a test, or a plain cell:

    lab = Laboratory(Settings(data="ring", loss="hinge"))
    lab.run(1000)
    lab.change(penalty="R1")
    lab.rewind(600)
"""

import collections
import dataclasses

import numpy as np
import tensorflow as tf
from scipy.spatial import cKDTree

from course_lib import metrics
from course_lib.lab_machine import Machine, fitting, initial_state, step_config
from course_lib.lab_settings import LIVE, Settings

SAMPLES = 1_000  # of each side, for a measurement
REACH = 0.15  # a real point is reached if a generated one lies this near
DRIFTERS = 256  # latent vectors whose points are followed from record to record
MOST_BYTES = 64_000_000  # of snapshots; when they are more, every second one goes
MOST_ROWS = 2_000
_MACHINES = 6  # compiled variants that are kept: switching back to one costs nothing


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
        self._drifters = _bounded(self.fake_points(DRIFTERS, seed=2))
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
            self._machine.restore(state | fitting(old.state(), state))
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
        drifters = _bounded(self.fake_points(DRIFTERS, seed=2))
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
        return step_config(self.settings)

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
        fake = _bounded(fake)
        found = {
            "sliced_wasserstein": metrics.sliced_wasserstein(fake, real, directions=32),
            "reach": float((cKDTree(fake).query(real)[0] <= REACH).mean()),
            "on_data": float((self._machine.tree.query(fake)[0] <= REACH).mean()),
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
            self._machines[key] = Machine(settings)
        self._machines.move_to_end(key)
        while len(self._machines) > _MACHINES:
            self._machines.popitem(last=False)
        self._machines[key].adjust(settings)
        return self._machines[key]


def _bounded(points):
    """Points in float64, kept where squares are finite: a run that diverges has others."""
    return np.clip(np.nan_to_num(points.astype("float64"), nan=1e6), -1e6, 1e6)


def _auc(real_logits, fake_logits):
    """The share of (real, fake) pairs that D puts in the right order; a tie counts half."""
    ordered = np.sort(fake_logits)
    below = np.searchsorted(ordered, real_logits, "left")
    not_above = np.searchsorted(ordered, real_logits, "right")
    return float((below + not_above).mean() / (2 * len(ordered)))


__all__ = ["Laboratory", "Settings"]
