"""How every row is measured: loops that take turns, and the machine's limit in the same run."""

import dataclasses
import os
import platform
import time
from collections.abc import Callable
from datetime import date

import numpy as np

from course_lib import machine

WARM_UP = 2  # rounds that do not count
GEMM_SIZE = 2048


@dataclasses.dataclass
class Row:
    """What a row measures; a module of `rows` makes one in its `prepare`.

    Attributes:
        title: of the row, a phrase that names network, data and batch.
        unit: what a loop repeats, such as "step".
        loops: name -> function of a count of units, which returns (seconds, losses of the last).
        ours: names of our own loops; the fastest is the one that the peers are compared with.
        count: units in a round.
        work: multiplications and additions of one unit, or None where they are not what limits it.
        losses: name -> losses of the first unit, from equal weights and equal batches; None takes
            them from the first call of each loop. The first name is the reference.
        tolerance: largest relative difference of a loss in float32; in bfloat16 it is ten
            times that, at least 0.05.
        target: smallest ratio that was asked for, by peer; "fastest PyTorch" is one, too.
        at_most_ms: longest time of a unit that was asked for.
    """

    title: str
    unit: str
    loops: dict[str, Callable]
    ours: tuple[str, ...]
    count: int = 1
    work: float | None = None
    losses: dict[str, dict] | None = None
    tolerance: float = 1e-3
    target: dict[str, float] = dataclasses.field(default_factory=dict)
    at_most_ms: float | None = None


def timed(run):
    """Return a loop for `Row.loops` from a function: count -> losses, a dict of floats."""

    def loop(count):
        start = time.perf_counter()
        losses = {name: float(value) for name, value in run(count).items()}
        return time.perf_counter() - start, losses

    return loop


def remote(worker, name, threads=None):
    """Return a loop for `Row.loops` that a PyTorch worker runs."""

    def loop(count):
        answer = worker.ask(name, count, threads)
        return answer["seconds"], answer["losses"]

    return loop


def measure(row, rounds):
    """Return the dict of a row's results, as results.json holds it.

    Args:
        row: a `Row`.
        rounds: how often every loop gets its turn; of each the median is taken.

    Raises:
        ArithmeticError: if losses differ by more than the row allows.
    """
    load = [os.getloadavg()[0]]
    first = {name: loop(1) for name, loop in row.loops.items()}
    differences = check(row.losses or {name: losses for name, (_, losses) in first.items()}, row)
    peaks = gemm_peaks()
    seconds = {name: [] for name in row.loops}
    for turn in range(WARM_UP + rounds):
        for name, loop in row.loops.items():
            passed = loop(row.count)[0] / row.count
            if turn >= WARM_UP:
                seconds[name].append(passed)
    peaks = {kind: max(rate, peaks[kind]) for kind, rate in gemm_peaks().items()}
    medians = {name: float(np.median(values)) for name, values in seconds.items()}
    ours = min(row.ours, key=medians.get)
    return {
        "title": row.title,
        "unit": row.unit,
        "ours": ours,
        "ms": {name: rounded(1e3 * value) for name, value in medians.items()},
        "fastest ms": {name: rounded(1e3 * min(values)) for name, values in seconds.items()},
        "first call s": {name: rounded(passed) for name, (passed, _) in first.items()},
        "ratios": {
            name: quartiles(values, seconds[ours])
            for name, values in seconds.items()
            if name not in row.ours
        },
        "targets": row.target,
        "at most ms": row.at_most_ms,
        "limit": limit(row.work, medians[ours], peaks, ours),
        "differences": differences,
        "rounds": rounds,
        "units a round": row.count,
        "machine": f"{machine.cpu_name()}, {machine.usable_cores()} cores",
        "features": [name for name, present in machine.cpu_features().items() if present],
        "load": [round(value, 1) for value in (*load, os.getloadavg()[0])],
        "date": date.today().isoformat(),
    }


def check(losses, row):
    """Return the largest relative difference of each loop's losses to the first loop's.

    Raises:
        ArithmeticError: if one is larger than the row allows: the loops do not compute the same.
    """
    reference = next(iter(losses.values()))
    found = {}
    for name, values in losses.items():
        shared = reference.keys() & values.keys()
        found[name] = max(
            (abs(values[key] - reference[key]) / max(abs(reference[key]), 1e-3) for key in shared),
            default=0.0,
        )
        allowed = max(0.05, 10 * row.tolerance) if "bfloat16" in name else row.tolerance
        if not found[name] <= allowed:
            raise ArithmeticError(
                f"{row.title}: {name} begins with {values}, {next(iter(losses))} with {reference}: "
                f"they differ by {found[name]:.1e}, more than {allowed:g}, and are not comparable."
            )
    return {name: float(f"{value:.1e}") for name, value in found.items()}


def quartiles(theirs, ours):
    """Return the three quartiles of how many times as long theirs took, round by round."""
    return [rounded(q) for q in np.percentile(np.divide(theirs, ours), (25, 50, 75))]


def limit(work, seconds, peaks, ours):
    """Return the time of that many operations at the measured peak, and its share of ours."""
    if work is None:
        return None
    peak = peaks["bfloat16" if "bfloat16" in ours else "float32"]
    return {
        "GFLOP": rounded(work / 1e9), "GEMM GFLOP/s": rounded(peak / 1e9),
        "ms": rounded(1e3 * work / peak), "share": rounded(work / peak / seconds),
    }  # fmt: skip


def gemm_peaks(repeats=5):
    """Return operations per second of a large matrix product, the best of some: dtype -> rate."""
    import tensorflow as tf

    product = tf.function(lambda a: a @ a)
    rates = {}
    for kind in ("float32", "bfloat16"):
        a = tf.cast(tf.random.stateless_normal((GEMM_SIZE, GEMM_SIZE), (0, 0)), kind)
        product(a)
        seconds = []
        for _ in range(repeats):
            start = time.perf_counter()
            product(a)[0, 0].numpy()
            seconds.append(time.perf_counter() - start)
        rates[kind] = 2 * GEMM_SIZE**3 / min(seconds)
    return rates


def forward_work(model):
    """Return multiplications and additions of a model for one image; borders count in full."""
    total = 0
    for layer in model.layers:
        if getattr(layer, "kernel", None) is None:
            continue
        transposed = "Transpose" in type(layer).__name__
        places = (layer.input if transposed else layer.output).shape[1:-1]
        total += 2 * int(np.prod(layer.kernel.shape)) * int(np.prod(places))
    return total


def rounded(value):
    """Return a number with four digits."""
    return float(f"{value:.4g}")


def our_versions():
    """Return what runs on our side."""
    import keras
    import tensorflow as tf

    return f"TensorFlow {tf.__version__}, Keras {keras.__version__}, Python " + (
        platform.python_version()
    )
