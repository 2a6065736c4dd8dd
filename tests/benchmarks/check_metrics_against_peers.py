"""Compare course_lib.metrics with independent implementations on the same features.

    python tests/benchmarks/check_metrics_against_peers.py [--count 2000] [--width 64]

Peers are used if they can be imported: torchmetrics, torch-fidelity and clean-fid. All three
are handed feature arrays, so nothing is downloaded. A table of values, relative errors and
seconds is printed; the exit status is 1 if a value differs by more than 1e-6 relative, and 2 if
there is no peer. NumPy, SciPy and course_lib are enough on our side: TensorFlow is not loaded.
"""

import argparse
import importlib
import sys
import time
import warnings

import numpy as np

from course_lib import metrics

TOLERANCE = 1e-6


def make_features(count, width):
    """Return two float64 sets (count, width) with correlated, skewed, non-negative columns."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(width, width)) / np.sqrt(width)
    real = np.maximum(rng.normal(size=(count, width)) @ mixing + 0.2, 0)
    fake = np.maximum(1.1 * rng.normal(size=(count, width)) @ mixing + 0.3, 0)
    return real, fake


def torchmetrics_values(real, fake):
    """Yield (metric, function) pairs; torchmetrics takes a module as its feature extractor."""
    torch = importlib.import_module("torch")
    fid = importlib.import_module("torchmetrics.image.fid")
    kid = importlib.import_module("torchmetrics.image.kid")
    extractor = torch.nn.Identity()
    extractor.num_features = real.shape[1]
    real, fake = torch.from_numpy(real), torch.from_numpy(fake)

    def value(metric):
        metric.set_dtype(torch.float64)
        metric.update(real, real=True)
        metric.update(fake, real=False)
        return metric.compute()

    def kernel_distance():
        metric = kid.KernelInceptionDistance(extractor, subsets=1, subset_size=len(real))
        return float(value(metric)[0])

    yield "frechet_distance", lambda: float(value(fid.FrechetInceptionDistance(extractor)))
    yield "kernel_distance", kernel_distance


def torch_fidelity_values(real, fake):
    """Yield (metric, function) pairs; here the first set is the generated one."""
    torch = importlib.import_module("torch")
    fid = importlib.import_module("torch_fidelity.metric_fid")
    kid = importlib.import_module("torch_fidelity.metric_kid")
    prc = importlib.import_module("torch_fidelity.metric_prc")
    real, fake = torch.from_numpy(real), torch.from_numpy(fake)

    def frechet_distance():
        statistics = [fid.fid_features_to_statistics(features) for features in (fake, real)]
        return fid.fid_statistics_to_metric(*statistics, False)[fid.KEY_METRIC_FID]

    def kernel_distance():
        options = {"kid_subsets": 1, "kid_subset_size": len(real), "verbose": False}
        return kid.kid_features_to_metric(fake, real, **options)[kid.KEY_METRIC_KID_MEAN]

    def precision_recall(key):
        return prc.prc_features_to_metric(fake, real, prc_neighborhood=3, verbose=False)[key]

    yield "frechet_distance", frechet_distance
    yield "kernel_distance", kernel_distance
    yield "precision", lambda: precision_recall(prc.KEY_METRIC_PRECISION)
    yield "recall", lambda: precision_recall(prc.KEY_METRIC_RECALL)


def clean_fid_values(real, fake):
    """Yield (metric, function) pairs; clean-fid works on NumPy arrays."""
    fid = importlib.import_module("cleanfid.fid")

    def frechet_distance():
        statistics = [(f.mean(axis=0), np.cov(f, rowvar=False)) for f in (fake, real)]
        return float(fid.frechet_distance(*statistics[0], *statistics[1]))

    def kernel_distance():
        return fid.kernel_distance(fake, real, num_subsets=1, max_subset_size=len(real))

    yield "frechet_distance", frechet_distance
    yield "kernel_distance", kernel_distance


PEERS = {
    "torchmetrics": torchmetrics_values,
    "torch-fidelity": torch_fidelity_values,
    "clean-fid": clean_fid_values,
}

OURS = {
    "frechet_distance": metrics.frechet_distance,
    "kernel_distance": metrics.kernel_distance,
    "precision": lambda real, fake: metrics.precision_recall(real, fake).precision,
    "recall": lambda real, fake: metrics.precision_recall(real, fake).recall,
}


def timed(function, *arguments):
    start = time.perf_counter()
    value = function(*arguments)
    return value, time.perf_counter() - start


def compare(peer, values, real, fake):
    """Print one row per metric and return the largest relative error."""
    worst = 0.0
    for name, theirs in values(real, fake):
        (their_value, their_seconds), (value, seconds) = (
            timed(theirs),
            timed(OURS[name], real, fake),
        )
        error = abs(value - their_value) / max(abs(their_value), 1e-12)
        worst = max(worst, error)
        print(
            f"{peer:14} {name:17} {their_value:15.9g} {value:15.9g} {error:9.1e} "
            f"{their_seconds:8.2f} {seconds:8.2f}"
        )
    return worst


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=2000, help="rows in each set")
    parser.add_argument("--width", type=int, default=64, help="features per image")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")  # the peers' own deprecations
    real, fake = make_features(options.count, options.width)
    columns = f"{'peer':14} {'metric':17} {'theirs':>15} {'ours':>15} {'rel. err.':>9}"
    print(f"{columns}  seconds: theirs, ours")
    errors = []
    for peer, values in PEERS.items():
        try:
            errors.append(compare(peer, values, real, fake))
        except ImportError as error:
            print(f"{peer:14} not compared: {error}")
    if not errors:
        print("No peer is installed: see the bench extra in pyproject.toml.")
        return 2
    print(f"largest relative error {max(errors):.1e}, tolerance {TOLERANCE:.0e}")
    return int(max(errors) > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
