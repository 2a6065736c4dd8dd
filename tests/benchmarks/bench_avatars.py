"""Measure how fast avatars are drawn on one core: python -m tests.benchmarks.bench_avatars.

Prints images per second of processor time, which other programs on the machine do not share, and
of wall-clock time. The target is 1,000 images/s at 64 x 64.
"""

import os
import time

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # must be set before NumPy is imported

from course_lib.datasets import avatars  # noqa: E402

COUNTS = {32: 4000, 64: 2000, 128: 500, 256: 125}  # about the same work at each size
REPEATS = 5  # the best of them: noise only ever slows a run down


def images_per_second(size, count, clock):
    """Return the best rate of `avatars.make` over REPEATS runs."""
    rates = []
    for seed in range(REPEATS):
        start = clock()
        avatars.make(count, size=size, seed=seed)
        rates.append(count / (clock() - start))
    return max(rates)


def main():
    """Print one line for each size."""
    print("size   images/s (processor)   images/s (wall clock)")
    for size, count in COUNTS.items():
        rates = [images_per_second(size, count, c) for c in (time.process_time, time.perf_counter)]
        print(f"{size:4d}   {rates[0]:20,.0f}   {rates[1]:21,.0f}")


if __name__ == "__main__":
    main()
