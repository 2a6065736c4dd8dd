"""Distributions in the plane: every quantity of a GAN on them can be drawn.

All lie within about [-2, 2] x [-2, 2]. Those that are mixtures of Gaussians know their modes, so
that what a generator misses can be counted.
"""

import dataclasses

import numpy as np

from course_lib.datasets import strokes

DRAWING = np.float32(2.2)  # half the side of the square that a drawing fills
EXTENT = 2.6  # half the side of the square that shows any of them with a margin


@dataclasses.dataclass(frozen=True)
class PointSet:
    """Points drawn from a distribution, and its modes where it has any.

    Attributes:
        name: one of `NAMES`, or "drawn".
        points: float32 array (count, 2).
        modes: float64 array (modes, 2) of centres, all of equal weight; None if there are none.
        sigma: standard deviation of each mode along each axis; None if there are none.
    """

    name: str
    points: np.ndarray
    modes: np.ndarray | None = None
    sigma: float | None = None

    def __len__(self):
        return len(self.points)


def _line(count, generator):
    x = generator.uniform(-1.8, 1.8, count)
    return np.stack([x, 0.6 * x + generator.normal(0, 0.06, count)], axis=1)


def _ring(count, generator):
    angle, radius = generator.uniform(0, 2 * np.pi, count), generator.normal(1.5, 0.06, count)
    return radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _moons(count, generator):
    angle = generator.uniform(0, np.pi, count)
    upper = generator.random(count) < 0.5
    x = np.where(upper, np.cos(angle) - 0.5, 0.5 - np.cos(angle))
    y = np.where(upper, np.sin(angle) - 0.25, 0.25 - np.sin(angle))
    return 1.2 * np.stack([x, y], axis=1) + generator.normal(0, 0.07, (count, 2))


def _spiral(count, generator):
    turn = np.sqrt(generator.random(count))  # evenly along the curve
    angle = 4 * np.pi * turn
    curve = 1.9 * turn[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return curve + generator.normal(0, 0.04, (count, 2))


def _circle(count, radius):
    angle = 2 * np.pi * np.arange(count) / count
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


_STEPS = np.arange(-2.0, 3.0)
# Name -> (centres, sigma). The last is the usual benchmark, centres in {-4, -2, 0, 2, 4}^2 and
# sigma 0.05, at half its size.
_MIXTURES = {
    "two_gaussians": (np.array([[-1.0, -0.6], [1.0, 0.6]]), 0.25),
    "eight_gaussians": (_circle(8, 1.6), 0.08),
    "25_gaussians": (np.stack(np.meshgrid(_STEPS, _STEPS), axis=-1).reshape(25, 2), 0.025),
}
_CURVES = {"line": _line, "ring": _ring, "moons": _moons, "spiral": _spiral}
NAMES = (*_CURVES, *_MIXTURES)


def load(name, count=50_000, *, seed=0):
    """Return points of a named distribution, the same ones for the same arguments.

    Args:
        name: one of `NAMES`.
        count: number of points, at least 1.
        seed: whole number, at least 0.

    Returns:
        `PointSet`.

    Raises:
        ValueError: for an unknown name or a count below 1.
    """
    if name not in NAMES:
        raise ValueError(f"{name!r} is no distribution; there are {', '.join(NAMES)}.")
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}.")
    generator = np.random.Generator(np.random.Philox(key=[seed, NAMES.index(name)]))
    if name in _CURVES:
        return PointSet(name, _CURVES[name](count, generator).astype("float32"))
    modes, sigma = _MIXTURES[name]
    drawn = modes[generator.integers(0, len(modes), count)]
    drawn = drawn + generator.normal(0, sigma, (count, 2))
    return PointSet(name, drawn.astype("float32"), modes, sigma)


def density(name, where):
    """Return the probability density of a mixture of Gaussians.

    Args:
        name: "two_gaussians", "eight_gaussians" or "25_gaussians".
        where: float array (count, 2).

    Returns:
        float64 array (count,), per unit of area.

    Raises:
        ValueError: for another name: its density has no closed form here.
    """
    if name not in _MIXTURES:
        raise ValueError(
            f"the density of {name!r} has no closed form here; that of {', '.join(_MIXTURES)} has."
        )
    modes, sigma = _MIXTURES[name]
    gaps = ((np.asarray(where, "float64")[:, None] - modes[None]) ** 2).sum(axis=-1)
    return np.exp(-gaps / (2 * sigma**2)).mean(axis=1) / (2 * np.pi * sigma**2)


def from_strokes(drawn, brush, count=50_000, *, seed=0):
    """Return points of a drawing, a square of [-1, 1], enlarged to the size of the others.

    Args and errors as in `strokes.points_from_strokes`.

    Returns:
        `PointSet` named "drawn".
    """
    return PointSet("drawn", DRAWING * strokes.points_from_strokes(drawn, brush, count, seed))


__all__ = ["EXTENT", "NAMES", "PointSet", "density", "from_strokes", "load"]
