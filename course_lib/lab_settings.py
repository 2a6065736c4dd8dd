"""What defines a run of a `Laboratory`, and four runs that are broken."""

import dataclasses
import math
from typing import NamedTuple

from course_lib import losses
from course_lib.datasets import points

PENALTIES = ("none", "R1", "R1+R2", "WGAN-GP")
OPTIMIZERS = ("adam", "adam with momentum", "sgd")
LIVE = ("d_learning_rate", "g_learning_rate", "gamma")  # variables of the compiled step
POINTS = 50_000  # of the distribution, on the device


@dataclasses.dataclass(frozen=True)
class Settings:
    """Everything that defines a run.

    Attributes:
        data: a name in `points.NAMES`, or "drawn" with `strokes` and `brush`.
        loss: family, a key of `losses.FAMILIES`.
        penalty: one of `PENALTIES`; gamma is its weight (R1, R2: times 1/2, as in the papers).
        d_learning_rate, g_learning_rate: of the two optimizers.
        discriminator_updates: of D per update of G.
        optimizer: one of `OPTIMIZERS`.
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
            "optimizer": OPTIMIZERS,
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
            data="two_gaussians",
            loss="hinge",
            optimizer="adam with momentum",
            g_learning_rate=1e-2,
        ),
        "mode collapse",
        {"optimizer": "adam", "g_learning_rate": 1e-3, "penalty": "R1"},
        "The generator is ten times as fast as D: it puts all points where D answers highest, "
        "which is a single place. As fast as D, it has to follow the field as a whole.",
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
        "The learning rate is too large for the curvature of the loss: each step overshoots by "
        "more than the last.",
    ),
}
