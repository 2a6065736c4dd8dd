"""Does bfloat16 cost quality? python recipes/precisions.py

The convolutional pair of notebook 06 in float32 and in bfloat16, on the same avatars, from the same
seeds; the judge is the kernel distance to held-out avatars. In bfloat16 the convolutions of
course_lib.networks.convolutions take their own kernel gradient. Writes
data/results/precisions.json after every run; interrupted, it goes on from there. Prints the
difference of the means beside the spread of the seeds.
"""

import argparse
import pathlib
import time

import keras
import numpy as np
from first_faces import SAMPLES, convolutional, distance
from result_table import ResultTable

from course_lib import features, metrics, runtime, train
from course_lib.datasets import catalog

PATH = runtime.DATA_DIR / "results" / "precisions.json"
ARMS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def one_run(policy, **arguments):
    """Return the measures of a run in this precision; see `first_faces.distance`."""
    keras.config.set_dtype_policy(policy)
    started = time.perf_counter()
    try:
        found = {"kernel_distance": float(distance(convolutional, **arguments)), "diverged": False}
    except train.DivergedError as error:
        print(error, flush=True)
        found = {"kernel_distance": None, "diverged": True}
    keras.config.set_dtype_policy("float32")
    return found | {"seconds": time.perf_counter() - started}


def verdict(table):
    """Return the difference of the means (bfloat16 - float32), and the seeds' standard deviation.

    Args:
        table: dict of arm -> {"kernel_distance": values, one for each seed}.

    Returns:
        Two floats, the second pooled over both arms; NaN if a run has diverged.
    """
    values = [np.array(table[arm]["kernel_distance"], float) for arm in ARMS]
    deviation = np.sqrt(np.mean([array.var(ddof=1) for array in values]))
    return float(values[1].mean() - values[0].mean()), float(deviation)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images-seen", type=int, default=102_400)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--count", type=int, default=20_000, help="training pictures")
    parser.add_argument("--path", type=pathlib.Path, default=PATH, help="of the table")
    settings = parser.parse_args()
    runtime.setup(seed=0, precision="mixed_bfloat16")  # refused where there are no instructions
    keras.config.set_dtype_policy("float32")
    faces = catalog.load("avatars", size=32, count=settings.count)
    held_out = catalog.load("avatars", size=32, count=SAMPLES, split="test")
    others = catalog.load("avatars", size=32, count=SAMPLES, seed=1)
    held_out_features = features.extract(held_out.images)
    floor = metrics.kernel_distance(features.extract(others.images), held_out_features)
    facts = {"images_seen": settings.images_seen, "samples": SAMPLES, "floor": round(floor, 4)}
    results = ResultTable(settings.path, facts, seeds=range(settings.seeds))
    for seed in range(settings.seeds):
        for arm, policy in ARMS.items():
            if results.missing(("arms", arm), seed):
                found = one_run(
                    policy, seed=seed, images_seen=settings.images_seen, faces=faces,
                    held_out_features=held_out_features,
                )  # fmt: skip
                results.add({("arms", arm): found})
    difference, deviation = verdict(results.table["arms"])
    print(f"bfloat16 - float32: {difference:+.4f}; standard deviation of seeds {deviation:.4f}")


if __name__ == "__main__":
    main()
