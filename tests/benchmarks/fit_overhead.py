"""Time `train.fit` against a bare loop: with a step of about 1 ms, and with one that does nothing.

python tests/benchmarks/fit_overhead.py [steps] [rounds]

The loops run in turn; the fastest round of each counts, because what else the machine does
only ever adds time. The step that does nothing shows the loop's own cost most precisely.
"""

import sys
import tempfile
import time

import tensorflow as tf

from course_lib import train

BATCH = 64
NAMES = ("d_loss", "g_loss", "real_logit", "fake_logit", "r1")


class Batches:
    batch_size = BATCH

    def from_step(self, step):
        images = tf.random.stateless_uniform((BATCH, 256), (0, 1))
        while True:
            yield images


def matrix_step(width=256, layers=8):
    weights = [
        tf.Variable(tf.random.stateless_normal((width, width), (0, layer)))
        for layer in range(layers)
    ]

    @tf.function
    def step(images):
        for weight in weights:
            images = tf.tanh(images @ weight)
        return {name: tf.reduce_mean(images) + index for index, name in enumerate(NAMES)}

    return step, {"weights": weights[0]}


def empty_step():
    metrics = {name: tf.constant(1.0) for name in NAMES}
    return lambda images: metrics, {"weights": tf.Variable(1.0)}


def bare(step, steps):
    batches = Batches().from_step(0)
    start = time.perf_counter()
    for _ in range(steps):
        metrics = step(next(batches))
    float(metrics["d_loss"])
    return time.perf_counter() - start


def fitted(step, state, steps, **options):
    start = time.perf_counter()
    train.fit(step, Batches(), images_seen=steps * BATCH, state=state, **options)
    return time.perf_counter() - start


def compare(title, step, state, *, steps, rounds):
    loops = {
        "bare loop": lambda: bare(step, steps),
        "fit, no progress bar": lambda: fitted(step, state, steps, progress=False),
        "fit": lambda: fitted(step, state, steps),
        "fit, 50 reports, 20 checkpoints": lambda: saving(step, state, steps),
    }
    best = dict.fromkeys(loops, float("inf"))
    for _ in range(rounds):
        for name, loop in loops.items():
            best[name] = min(best[name], loop())
    plain = best["bare loop"]
    for name, seconds in best.items():
        cost = 1e6 * (seconds - plain) / steps
        share = f" {100 * (seconds / plain - 1):+.2f} %" if title != "empty step" else ""
        print(f"{title}: {name}: {1e3 * seconds / steps:.4f} ms, {cost:+.1f} us{share}")


def saving(step, state, steps):
    with tempfile.TemporaryDirectory() as folder:
        return fitted(step, state, steps, folder=folder, progress=False)


def main(steps=2000, rounds=20):
    compare("empty step", *empty_step(), steps=steps, rounds=3)
    step, state = matrix_step()
    bare(step, 50)
    compare("1 ms step", step, state, steps=steps, rounds=rounds)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
