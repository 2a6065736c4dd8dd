"""Avatars drawn on one core: 100 of 64x64 pixels at a time, against the promised 1,000 a second.

Nobody else draws them, so a matrix product in NumPy takes the peer's place: of a size that 100
avatars have cost about as much as at first. The ratio shows a slower version on any machine.
"""

import numpy as np
from threadpoolctl import threadpool_limits

from course_lib.datasets import avatars
from tests.benchmarks import protocol

COUNT, SIZE, PRODUCT = 100, 64, 1500


def prepare(worker):
    matrix = np.random.default_rng(0).normal(size=(PRODUCT, PRODUCT)).astype("float32")

    def draw(count):
        for seed in range(count):
            avatars.make(COUNT, size=SIZE, seed=seed)
        return {}

    def multiply(count):
        with threadpool_limits(1):
            for _ in range(count):
                matrix @ matrix
        return {}

    loops = {"ours": protocol.timed(draw), "a matrix product": protocol.timed(multiply)}
    return protocol.Row(
        f"{COUNT} avatars of {SIZE}x{SIZE}", f"{COUNT} avatars", loops, ("ours",), count=5,
        at_most_ms=100.0,
    )  # fmt: skip
