"""Does a generator give its training images away? A distance to the nearest, and an attack with it.

The attack asks of each image how near the generated ones come to it. If they come nearer to the
images that were trained on (members) than to other images of the same source (non-members), then
whoever has samples of the generator can tell who was in its training set. NumPy float64; a row is
an image, as pixels or as features, and the answer depends on which of the two.
"""

from typing import NamedTuple

import numpy as np
from scipy import special
from scipy.spatial import distance

_BLOCK = 2**22  # pairs of images at a time: 32 MiB of float64


class Nearest(NamedTuple):
    """How far each query is from its nearest point, and which point that is."""

    distances: np.ndarray
    indices: np.ndarray


def nearest(queries, points, *, same=False):
    """Return for each query the Euclidean distance to the nearest point, and the point's row.

    Args:
        queries: float array (count, ...); all but the first axis is flattened, so that images
            can be given as they are.
        points: float array (other count, ...) of the same width.
        same: True where both are one set, in which no row is its own neighbour.

    Returns:
        `Nearest` (distances, indices): float64 and int64 arrays (count,). Of equally near points
        the first one is named.

    Raises:
        ValueError: for unequal widths, an empty set, or NaN or infinity; with `same`, for sets of
            different size or fewer than 2 rows.
    """
    queries, points = _rows("queries", queries), _rows("points", points)
    if queries.shape[1] != points.shape[1]:
        raise ValueError(
            "queries and points must have rows of the same width, got "
            f"{queries.shape[1]} and {points.shape[1]}: use one size of image, or one extractor."
        )
    if same and not (len(queries) == len(points) >= 2):
        raise ValueError(
            f"same=True needs one set of at least 2 rows twice, got {len(queries)} and "
            f"{len(points)} rows."
        )
    distances, indices = np.empty(len(queries)), np.empty(len(queries), np.int64)
    rows_at_a_time = max(1, _BLOCK // len(points))
    for start in range(0, len(queries), rows_at_a_time):
        rows = np.arange(start, min(start + rows_at_a_time, len(queries)))
        gaps = distance.cdist(queries[rows], points)  # differences first: a copy is at 0 exactly
        if same:
            gaps[np.arange(len(rows)), rows] = np.inf
        indices[rows] = gaps.argmin(axis=1)
        distances[rows] = gaps.min(axis=1)
    return Nearest(distances, indices)


class MembershipAuc(NamedTuple):
    """How well a score tells members from non-members; see `membership_auc`."""

    auc: float
    standard_error: float
    chance_error: float
    p_value: float


def membership_auc(member_scores, other_scores):
    r"""Return how often a training image has a lower score than an image not trained on.

    $$\mathrm{AUC} = \frac1{mn}\sum_{i,j}\bigl[s_i<s'_j\bigr]+\tfrac12\bigl[s_i=s'_j\bigr]$$

    the area under the curve of true against false alarms over all thresholds, or the
    Mann-Whitney statistic over m n: 1/2 is guessing, 1 is certainty.

    Args:
        member_scores: float array (m,), m at least 2: for each training image its distance to
            the nearest generated one; or this over its distance to the nearest other real
            image, so that unusual faces do not count as strangers.
        other_scores: float array (n,): the same for images that were not trained on.

    Returns:
        `MembershipAuc` (auc, standard_error, chance_error, p_value). standard_error is DeLong's,
        and 0 for two sets that don't overlap; chance_error is the spread of the AUC where nothing
        is given away, $\sqrt{(m+n+1)/(12mn)}$; p_value is the chance of an AUC at least so large
        then (normal approximation).

    Raises:
        ValueError: for another shape, fewer than 2 scores, or NaN.

    Source: attack and calibration: Chen et al. 2020, GAN-Leaks, https://arxiv.org/abs/1909.03935;
        the error: DeLong, DeLong and Clarke-Pearson 1988, https://doi.org/10.2307/2531595.
    """
    members, others = _scores("member_scores", member_scores), _scores("other_scores", other_scores)
    m, n = len(members), len(others)
    wins = (members[:, None] < others) + 0.5 * (members[:, None] == others)
    auc = wins.mean()
    variance = wins.mean(axis=1).var(ddof=1) / m + wins.mean(axis=0).var(ddof=1) / n
    chance = np.sqrt((m + n + 1) / (12 * m * n))
    p_value = special.ndtr(-(auc - 0.5) / chance)
    return MembershipAuc(float(auc), float(np.sqrt(variance)), float(chance), float(p_value))


def _rows(name, values):
    rows = np.asarray(values, np.float64)
    if rows.ndim < 2 or rows.size == 0:
        raise ValueError(
            f"{name} must be an array (count, ...) with at least one row, got shape {rows.shape}."
        )
    if not np.isfinite(rows).all():
        raise ValueError(f"{name} of shape {rows.shape} has NaN or infinity in it.")
    return rows.reshape(len(rows), -1)


def _scores(name, values):
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or len(values) < 2 or np.isnan(values).any():
        raise ValueError(
            f"{name} must be at least 2 numbers in an array (count,), got shape {values.shape} "
            f"with {np.isnan(values).sum()} NaN."
        )
    return values
