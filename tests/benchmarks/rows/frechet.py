"""The Fréchet distance of 2,048 features, beside the root of the product that SciPy's sqrtm takes.

The peer is what the reference code of FID computes: means, np.cov, and the trace of sqrtm.
"""

import numpy as np
import scipy.linalg

from course_lib import metrics
from tests.benchmarks import protocol

COUNT, WIDTH = 4096, 2048


def features():
    """Return two float64 sets (COUNT, WIDTH) with correlated, skewed, non-negative columns."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(WIDTH, WIDTH)) / np.sqrt(WIDTH)
    for scale, shift in ((1.0, 0.2), (1.1, 0.3)):
        yield np.maximum(scale * rng.normal(size=(COUNT, WIDTH)) @ mixing + shift, 0)


def with_sqrtm(a, b):
    covariances = [np.cov(features, rowvar=False) for features in (a, b)]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    gap = a.mean(axis=0) - b.mean(axis=0)
    return gap @ gap + sum(map(np.trace, covariances)) - 2 * np.trace(root)


def prepare(worker):
    a, b = features()

    def repeated(function):
        def run(count):
            for _ in range(count):
                value = function(a, b)
            return {"distance": value}

        return protocol.timed(run)

    loops = {"ours": repeated(metrics.frechet_distance), "SciPy sqrtm": repeated(with_sqrtm)}
    return protocol.Row(
        f"Fréchet distance, {COUNT:,} x {WIDTH:,} features", "distance", loops, ("ours",),
        tolerance=1e-6, target={"SciPy sqrtm": 5.0},
    )  # fmt: skip
