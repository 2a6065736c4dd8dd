"""Distances between two sets of images, from their features; NumPy float64 throughout.

Features are arrays (count, width) of one fixed extractor; these functions do not know which
one, so write its name beside every number. Only a Fréchet distance on the Inception features
of the original FID network is called FID. All memory beyond the inputs is bounded: pairs of
images are visited in blocks.
"""

import contextlib
from typing import NamedTuple

import numpy as np
from scipy import linalg

_BLOCK = 2**22  # pairs of images at a time: 32 MiB of float64
_ROUNDING = 1e-12  # relative, of a sum of roots taken the fast way
_SMALL_PIVOT = 1e-5  # of the largest; below it, a covariance's rounding shows in its root


def _check_features(name_a, features_a, name_b, features_b, *, rows=2):
    """Return both arrays in float64, or say what is wrong with them."""
    arrays = []
    for name, features in ((name_a, features_a), (name_b, features_b)):
        array = np.asarray(features)
        if array.ndim != 2 or array.dtype.kind != "f":
            raise ValueError(
                f"{name} must be a float array (count, width), got shape {array.shape} and dtype "
                f"{array.dtype}: one row of features per image."
            )
        if len(array) < rows:
            raise ValueError(f"{name} has shape {array.shape}; at least {rows} rows are needed.")
        if not np.isfinite(array).all():
            bad = np.count_nonzero(~np.isfinite(array).all(axis=1))
            raise ValueError(
                f"{name} of shape {array.shape} has NaN or infinity in {bad} rows: the images or "
                "the extractor are broken."
            )
        arrays.append(array.astype("float64"))
    if arrays[0].shape[1] != arrays[1].shape[1]:
        raise ValueError(
            f"{name_a} and {name_b} must have the same width, got shapes {arrays[0].shape} and "
            f"{arrays[1].shape}: use one extractor for both."
        )
    return arrays


def frechet_distance(features_a, features_b):
    r"""Return the Fréchet distance of the Gaussians fitted to two sets of features.

    $$d^2 = \lVert\mu_a-\mu_b\rVert^2
          + \operatorname{tr}\bigl(\Sigma_a+\Sigma_b-2(\Sigma_a\Sigma_b)^{1/2}\bigr)$$

    Covariances are the unbiased ones (divided by N - 1, as `np.cov`). The value is biased
    upwards, about as 1 / N: compare only sets of equal size, and give the size.

    The trace of the root is the sum of the singular values of $F_a F_b^T$, for any factor F
    with $F^T F = \Sigma$. So no root of a product is taken, nothing turns complex, and sets
    with fewer rows than columns are cheap and exact: there the centred rows are the factor.

    Args:
        features_a, features_b: float arrays (count, width), at least 2 rows each.

    Returns:
        Python float, in squared feature units, at least 0; 0 for equal sets (to rounding),
        |d|^2 for a set moved by d.

    Raises:
        ValueError: for another shape or dtype, NaN or infinity, or unequal widths.

    Source: Dowson and Landau 1982; as a measure of GANs, Heusel et al. 2017, eq. 6,
        https://arxiv.org/abs/1706.08500.
    """
    features_a, features_b = _check_features("features_a", features_a, "features_b", features_b)
    factor_a, factor_b = _covariance_factor(features_a), _covariance_factor(features_b)
    distance = np.square(features_a.mean(axis=0) - features_b.mean(axis=0)).sum()
    distance += np.square(factor_a).sum() + np.square(factor_b).sum()  # the two traces
    distance -= 2 * _singular_value_sum(factor_a @ factor_b.T)
    return max(float(distance), 0.0)  # equal sets can round to -1e-15


def _covariance_factor(features):
    """Return F of shape (at most width, width) with F^T F the unbiased covariance."""
    count, width = features.shape
    centred = (features - features.mean(axis=0)) / np.sqrt(count - 1)
    if count <= width:
        return centred
    covariance = centred.T @ centred
    with contextlib.suppress(linalg.LinAlgError):  # singular: there the eigenvectors are the factor
        factor = linalg.cholesky(covariance)  # a tenth of the time of eigh
        pivots = factor.diagonal()
        if pivots.min() > _SMALL_PIVOT * pivots.max():
            return factor
    values, vectors = linalg.eigh(covariance)
    # Below this an eigenvalue is rounding, of either sign; its root would not be small.
    values[values < width * np.finfo("float64").eps * values[-1]] = 0
    return np.sqrt(values)[:, None] * vectors.T


def _singular_value_sum(matrix):
    """Return the sum, as roots of eigenvalues where their rounding stays below _ROUNDING."""
    squares = linalg.eigvalsh(matrix @ matrix.T)
    slip = np.finfo("float64").eps * squares[-1]  # of an eigenvalue; half of it / root, of a root
    if squares[0] > slip:
        roots = np.sqrt(squares)
        if (slip / roots).sum() < _ROUNDING * roots.sum():
            return roots.sum()
    return linalg.svdvals(matrix).sum()  # three times the time


def kernel_distance(features_a, features_b):
    r"""Return the unbiased squared maximum mean discrepancy with the cubic kernel.

    $$\frac{1}{m(m-1)}\sum_{i\ne j}k(a_i,a_j) + \frac{1}{n(n-1)}\sum_{i\ne j}k(b_i,b_j)
      - \frac{2}{mn}\sum_{i,j}k(a_i,b_j),\quad k(x,y)=(x\cdot y/d+1)^3$$

    with d the width. Unbiased: for two samples of one distribution the mean over many draws
    is 0 for every sample size, so single values can be negative.

    Args:
        features_a, features_b: float arrays (count, width), at least 2 rows each.

    Returns:
        Python float; 0 is the expectation for equal distributions.

    Raises:
        ValueError: for another shape or dtype, NaN or infinity, or unequal widths.

    Source: Gretton et al. 2012, eq. 3, https://jmlr.org/papers/v13/gretton12a.html; with this
        kernel Bińkowski et al. 2018, section 4, https://arxiv.org/abs/1801.01401.
    """
    a, b = _check_features("features_a", features_a, "features_b", features_b)
    within_a = (_kernel_sum(a, a) - _kernel_diagonal_sum(a)) / (len(a) * (len(a) - 1))
    within_b = (_kernel_sum(b, b) - _kernel_diagonal_sum(b)) / (len(b) * (len(b) - 1))
    between = _kernel_sum(a, b) / (len(a) * len(b))
    return float(within_a + within_b - 2 * between)


def _blocks(count, columns):
    """Yield slices of `count` rows, each about _BLOCK pairs with `columns` columns."""
    rows = max(1, _BLOCK // columns)
    for start in range(0, count, rows):
        yield slice(start, min(start + rows, count))


def _cubic_kernel(products, width):
    base = products / width + 1
    return base * base * base  # `** 3` calls pow: several times slower


def _kernel_sum(a, b):
    rows_at_a_time = _blocks(len(a), len(b))
    return sum(_cubic_kernel(a[rows] @ b.T, a.shape[1]).sum() for rows in rows_at_a_time)


def _kernel_diagonal_sum(a):
    return _cubic_kernel(np.square(a).sum(axis=1), a.shape[1]).sum()


class KernelDistance(NamedTuple):
    """A kernel distance and how far chance may have moved it."""

    value: float
    standard_error: float


def kernel_distance_with_error(features_a, features_b, *, subsets=10, seed=0):
    """Return the mean of `kernel_distance` over disjoint subsets, with its standard error.

    Both sets are shuffled and cut into equal parts. The parts share no image, so their spread
    over the root of their number is an honest standard error; the overlapping subsets of
    other protocols (such as 100 times 1,000 images) make it look smaller than it is.

    Args:
        features_a, features_b: float arrays (count, width), at least 2 rows per subset.
        subsets: number of parts, at least 2; a remainder of rows is left out.
        seed: int, for the shuffling.

    Returns:
        `KernelDistance` (value, standard_error), Python floats.

    Raises:
        ValueError: as `kernel_distance`, or for too many or fewer than 2 subsets.
    """
    if subsets < 2:
        raise ValueError(f"subsets must be at least 2 to show a spread, got {subsets}.")
    features_a, features_b = _check_features(
        "features_a", features_a, "features_b", features_b, rows=2 * subsets
    )
    generator = np.random.default_rng(seed)
    parts_a = _disjoint_parts(features_a, subsets, generator)
    parts_b = _disjoint_parts(features_b, subsets, generator)
    values = [kernel_distance(a, b) for a, b in zip(parts_a, parts_b, strict=True)]
    return KernelDistance(
        float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))
    )


def _disjoint_parts(features, parts, generator):
    order = generator.permutation(len(features))[: len(features) // parts * parts]
    return features[order].reshape(parts, -1, features.shape[1])


class PrecisionRecall(NamedTuple):
    """Quality (how many generated images look real) and variety (how many real ones are met)."""

    precision: float
    recall: float


def precision_recall(real, fake, k=3):
    """Return precision and recall of generated features against real ones.

    A set covers the union of balls around its points, each as large as the distance to the
    point's k-th nearest neighbour in the same set, itself not counted. Precision is the share
    of generated points that the real set covers, recall the share of real points that the
    generated set covers. Both grow with k and depend on the counts: use equal ones.

    Args:
        real, fake: float arrays (count, width), at least k + 1 rows each.
        k: which neighbour sets the size of a ball, at least 1.

    Returns:
        `PrecisionRecall` (precision, recall), Python floats in [0, 1].

    Raises:
        ValueError: for k below 1, too few rows, or what `frechet_distance` refuses.

    Source: Kynkäänniemi et al. 2019, eq. 1 and 2, https://arxiv.org/abs/1904.06991.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}.")
    real, fake = _check_features("real", real, "fake", fake, rows=k + 1)
    centre = real.mean(axis=0)  # small coordinates: differences of squares lose fewer digits
    real, fake = real - centre, fake - centre
    real_radii, fake_radii = _squared_radii(real, k), _squared_radii(fake, k)
    real_is_met = np.zeros(len(real), bool)
    covered = 0
    for rows in _blocks(len(fake), len(real)):
        distances = _squared_distances(fake[rows], real)
        covered += (distances <= real_radii).any(axis=1).sum()
        real_is_met |= (distances <= fake_radii[rows, None]).any(axis=0)
    return PrecisionRecall(float(covered / len(fake)), float(real_is_met.mean()))


def _squared_distances(a, b):
    scale = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1)
    distances = scale - 2 * (a @ b.T)
    # What is left of equal points is rounding; a copied image is at distance 0 exactly.
    return np.where(distances > 1e-13 * scale, distances, 0.0)


def _squared_radii(points, k):
    """Return each point's squared distance to its k-th neighbour, itself not counted."""
    radii = [
        np.partition(_squared_distances(points[rows], points), k, axis=1)[:, k]  # 0 is itself
        for rows in _blocks(len(points), len(points))
    ]
    return np.concatenate(radii) * (1 + 1e-10)  # a tie counts as covered, however it rounds


class ModeCoverage(NamedTuple):
    """How the classes of generated images compare with the classes they should have."""

    covered: int
    reverse_kl: float
    total_variation: float


def mode_coverage(labels, classes, *, probabilities=None):
    r"""Return how many classes the generated images reach, and how evenly.

    $$\mathrm{KL}(p\Vert q)=\sum_c p_c\ln\frac{p_c}{q_c},\quad
      \mathrm{TV}(p,q)=\tfrac12\sum_c|p_c-q_c|$$

    where p is the share of generated images in class c and q the share expected there. A
    generator that puts everything in one of n equal classes scores 1, ln n and 1 - 1/n.

    Args:
        labels: integer array (count,), class of each generated image in [0, classes), from
            a classifier or from ground truth.
        classes: number of classes.
        probabilities: float array (classes,) of expected shares, all positive, summing to 1;
            None is uniform.

    Returns:
        `ModeCoverage` (covered, reverse_kl, total_variation): classes with at least one
        image, then nats, then a number in [0, 1]. Expect a reverse_kl of about
        (classes - 1) / (2 count) by chance alone.

    Raises:
        ValueError: for labels out of range, of another shape or dtype, or probabilities that
            are none.

    Source: "reverse KL" after Lin et al. 2018 (PacGAN), section 4,
        https://arxiv.org/abs/1712.04086.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or len(labels) == 0:
        raise ValueError(
            f"labels must be integers of shape (count,), got shape {labels.shape} and dtype "
            f"{labels.dtype}."
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(
            f"labels must be in [0, {classes}), got values from {labels.min()} to {labels.max()}."
        )
    expected = _expected_shares(classes, probabilities)
    shares = np.bincount(labels, minlength=classes) / len(labels)
    seen = shares > 0  # 0 ln 0 is 0
    reverse_kl = (shares[seen] * np.log(shares[seen] / expected[seen])).sum()
    total_variation = 0.5 * np.abs(shares - expected).sum()
    return ModeCoverage(int(seen.sum()), float(reverse_kl), float(total_variation))


class ModeReport(NamedTuple):
    """How a set of points lies on known modes; see `mode_report`."""

    covered: int
    on_mode: float
    reverse_kl: float


def mode_report(points, modes, sigma):
    r"""Return how many modes of a Gaussian mixture are reached, how exactly, and how evenly.

    Args:
        points: float array (count, 2).
        modes: float array (modes, 2), centres of equal weight.
        sigma: standard deviation of each mode along each axis.

    Returns:
        `ModeReport`. on_mode: share of the points within 3 sigma of some centre; 0.989 for
        points of the mixture itself ($1-e^{-9/2}$). covered: modes that get at least a tenth
        of their fair share of the points within 3 sigma: one stray point is not enough.
        reverse_kl: `mode_coverage` of all points, each counted for its nearest centre, in nats.

    Raises:
        ValueError: for points of another shape.
    """
    points, modes = np.asarray(points, "float64"), np.asarray(modes, "float64")
    if points.ndim != 2 or points.shape[1] != modes.shape[1] or len(points) == 0:
        raise ValueError(
            f"points must have the shape (count, {modes.shape[1]}), got {points.shape}."
        )
    gaps = ((points[:, None] - modes[None]) ** 2).sum(axis=-1)
    nearest, on_mode = gaps.argmin(axis=1), gaps.min(axis=1) <= 9 * sigma**2
    hits = np.bincount(nearest[on_mode], minlength=len(modes))
    return ModeReport(
        int((hits >= 0.1 * len(points) / len(modes)).sum()),
        float(on_mode.mean()),
        mode_coverage(nearest, len(modes)).reverse_kl,
    )


def sliced_wasserstein(points_a, points_b, *, directions=64, seed=0):
    r"""Return the mean over directions of the Wasserstein-1 distance of the projections.

    In one dimension the distance of two samples is the mean gap between their sorted values:

    $$\frac1{|\Theta|}\sum_{\theta\in\Theta}\frac1n\sum_i
      |\langle\theta,a\rangle_{(i)}-\langle\theta,b\rangle_{(i)}|$$

    Args:
        points_a, points_b: float arrays (count, dimensions) of the same shape.
        directions: number of random unit vectors; in the plane they are evenly spaced instead.
        seed: int, of the random directions.

    Returns:
        float, in the unit of the points. For finite samples of the same distribution it is
        not 0: compare with a distance of real to real.

    Raises:
        ValueError: if the shapes differ or are not (count, dimensions).

    Source: Rabin et al. 2011, Wasserstein barycenter and its application to texture mixing;
        Bonneel et al. 2015, https://doi.org/10.1007/s10851-014-0506-3.
    """
    a, b = np.asarray(points_a, "float64"), np.asarray(points_b, "float64")
    if a.ndim != 2 or a.shape != b.shape or a.size == 0:
        raise ValueError(
            "points_a and points_b must have the same shape (count, dimensions), "
            f"got {a.shape} and {b.shape}."
        )
    if a.shape[1] == 2:
        angles = np.pi * np.arange(directions) / directions
        theta = np.stack([np.cos(angles), np.sin(angles)])
    else:
        theta = np.random.default_rng(seed).standard_normal((a.shape[1], directions))
        theta /= np.linalg.norm(theta, axis=0)
    return float(np.abs(np.sort(a @ theta, axis=0) - np.sort(b @ theta, axis=0)).mean())


def _expected_shares(classes, probabilities):
    if probabilities is None:
        return np.full(classes, 1 / classes)
    expected = np.asarray(probabilities, "float64")
    if expected.shape != (classes,) or not (expected > 0).all() or abs(expected.sum() - 1) > 1e-6:
        raise ValueError(
            f"probabilities must be {classes} positive numbers that sum to 1, got shape "
            f"{expected.shape} with minimum {expected.min(initial=np.inf):.4g} and sum "
            f"{expected.sum():.6g}."
        )
    return expected


__all__ = [
    "KernelDistance",
    "ModeCoverage",
    "ModeReport",
    "PrecisionRecall",
    "frechet_distance",
    "kernel_distance",
    "kernel_distance_with_error",
    "mode_coverage",
    "mode_report",
    "precision_recall",
    "sliced_wasserstein",
]
