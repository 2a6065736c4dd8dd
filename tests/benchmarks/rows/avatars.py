"""Avatars drawn on one core: 100 of 64x64 pixels at a time, against the promised 1,000 a second.

Nobody else draws them, so sines in NumPy, on one core as well, take the peer's place: as
many as cost about as much. The ratio shows a slower version on any machine.
"""

import numpy as np

from course_lib.datasets import avatars
from tests.benchmarks import protocol

COUNT, SIZE, NUMBERS = 100, 64, 6_000_000


def prepare(worker):
    numbers = np.random.default_rng(0).normal(size=NUMBERS)

    def draw(count):
        for seed in range(count):
            avatars.make(COUNT, size=SIZE, seed=seed)
        return {}

    def sines(count):
        for _ in range(count):
            np.sin(numbers)
        return {}

    loops = {"ours": protocol.timed(draw), "sines": protocol.timed(sines)}
    return protocol.Row(
        f"{COUNT} avatars of {SIZE}x{SIZE}", f"{COUNT} avatars", loops, ("ours",), count=5,
        at_most_ms=100.0,
    )  # fmt: skip
