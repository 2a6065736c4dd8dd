"""Normal distributions as stand-ins for sets of images, and how far apart they are; NumPy float64.

`metrics.frechet_distance` takes features of images; the functions here take means and covariances,
many pairs at once if need be, so that each part of the formula can be looked at by itself.
"""

from typing import NamedTuple

import numpy as np


class FrechetTerms(NamedTuple):
    """The two parts of a Fréchet distance, in squared units; see `frechet_terms`."""

    means: np.ndarray
    covariances: np.ndarray

    @property
    def distance(self):
        """Their sum, the Fréchet distance."""
        return self.means + self.covariances


def frechet_terms(mean_a, covariance_a, mean_b, covariance_b):
    r"""Return both parts of the squared Wasserstein-2 distance of two normal distributions.

    $$\lVert\mu_a-\mu_b\rVert^2 \quad\text{and}\quad
      \operatorname{tr}\bigl(\Sigma_a+\Sigma_b-2(\Sigma_a\Sigma_b)^{1/2}\bigr)$$

    The trace of the root is taken from $\Sigma_a^{1/2}\Sigma_b\Sigma_a^{1/2}$, which has the same
    eigenvalues and is symmetric: nothing turns complex, and singular covariances are allowed.

    Args:
        mean_a, mean_b: float arrays (..., width).
        covariance_a, covariance_b: symmetric float arrays (..., width, width) without negative
            eigenvalues (to rounding); leading axes are broadcast.

    Returns:
        `FrechetTerms` (means, covariances), float64 arrays (...), each at least 0.

    Raises:
        ValueError: for shapes that do not fit, a covariance that is not symmetric or has a
            negative eigenvalue, or NaN or infinity.

    Source: Dowson and Landau 1982, https://doi.org/10.1016/0047-259X(82)90077-X.
    """
    mean_a, covariance_a = _moments("a", mean_a, covariance_a)
    mean_b, covariance_b = _moments("b", mean_b, covariance_b)
    if mean_a.shape[-1] != mean_b.shape[-1]:
        raise ValueError(
            "both distributions must have the same number of dimensions, got "
            f"{mean_a.shape[-1]} and {mean_b.shape[-1]}."
        )
    root_a = _root(covariance_a)
    inner = np.linalg.eigvalsh(root_a @ covariance_b @ root_a)
    traces = np.trace(covariance_a, axis1=-2, axis2=-1) + np.trace(covariance_b, axis1=-2, axis2=-1)
    covariances = traces - 2 * np.sqrt(inner.clip(min=0)).sum(axis=-1)
    return FrechetTerms(np.square(mean_a - mean_b).sum(axis=-1), covariances.clip(min=0))


def covariance_of(scales, angle):
    """Return the covariance in the plane with these standard deviations, turned by an angle.

    Args:
        scales: two numbers of at least 0, the standard deviations along the two axes.
        angle: of the first axis against the x axis, anticlockwise, in degrees.

    Returns:
        float64 array (2, 2).
    """
    map_ = linear_map(scales, angle)
    return map_ @ map_.T


def linear_map(scales, angle):
    """Return the matrix that turns standard normal points into those of `covariance_of`.

    Args and shape as there: it stretches along the axes, then turns.
    """
    turn = np.deg2rad(angle)
    axes = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return axes * np.asarray(scales, np.float64)


def sample_moments(counts, repeats, *, seed):
    """Return means and covariances of standard normal samples in the plane.

    What any other normal sample has follows from these: `map_ @ covariance @ map_.T`.

    Args:
        counts: points per sample, each at least 2.
        repeats: independent samples of each count.
        seed: int. A smaller sample is the beginning of a larger one with the same number.

    Returns:
        Pair of float64 arrays (len(counts), repeats, 2) and (len(counts), repeats, 2, 2), the
        covariances divided by count - 1.
    """
    points = np.random.default_rng(seed).standard_normal((repeats, max(counts), 2))
    means, covariances = [], []
    for count in counts:
        mean = points[:, :count].mean(axis=1)
        centred = points[:, :count] - mean[:, None]
        means.append(mean)
        covariances.append(np.swapaxes(centred, 1, 2) @ centred / (count - 1))
    return np.array(means), np.array(covariances)


def _moments(name, mean, covariance):
    mean, covariance = np.asarray(mean, np.float64), np.asarray(covariance, np.float64)
    if mean.ndim < 1 or covariance.shape[-2:] != 2 * mean.shape[-1:]:
        raise ValueError(
            f"mean_{name} and covariance_{name} must have shapes (..., width) and (..., width, "
            f"width), got {mean.shape} and {covariance.shape}."
        )
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise ValueError(f"mean_{name} or covariance_{name} has NaN or infinity in it.")
    size = np.abs(covariance).max(initial=0)
    if np.abs(covariance - np.swapaxes(covariance, -2, -1)).max(initial=0) > 1e-9 * size:
        raise ValueError(f"covariance_{name} is not symmetric: no distribution has it.")
    if (lowest := np.linalg.eigvalsh(covariance).min(initial=0)) < -1e-9 * size:
        raise ValueError(
            f"covariance_{name} has the negative eigenvalue {lowest:.4g}: a variance along some "
            "direction would be negative."
        )
    return mean, covariance


def _root(covariance):
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(values.clip(min=0))[..., None, :] @ np.swapaxes(vectors, -2, -1)
