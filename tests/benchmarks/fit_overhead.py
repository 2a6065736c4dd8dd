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


def matrix_step(width=256, layers=16):
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
        "fit, no bar, 1 report": lambda: fitted(
            step, state, steps, progress=False, report_every=steps * BATCH
        ),
        "fit, bar, 1 report": lambda: fitted(step, state, steps, report_every=steps * BATCH),
        "fit, bar, 50 reports": lambda: fitted(step, state, steps),
    }
    best = dict.fromkeys(loops, float("inf"))
    for _ in range(rounds):
        for name, loop in loops.items():
            best[name] = min(best[name], loop())
    plain = best["bare loop"]
    for name, seconds in best.items():
        cost, share = 1e6 * (seconds - plain) / steps, 100 * (seconds / plain - 1)
        print(f"{title}: {name}: {1e3 * seconds / steps:.4f} ms ({cost:+.1f} us, {share:+.2f} %)")


def checkpoint_cost(steps=1000):
    step, state = empty_step()
    with tempfile.TemporaryDirectory() as folder:
        without = fitted(step, state, steps, progress=False)
        with_20 = fitted(step, state, steps, progress=False, folder=folder)
    print(f"one small checkpoint: {1e3 * (with_20 - without) / 20:.1f} ms")


def main(steps=1000, rounds=15):
    tf.config.threading.set_intra_op_parallelism_threads(1)  # less to wait for on a busy machine
    compare("empty step", *empty_step(), steps=3 * steps, rounds=10)
    step, state = matrix_step()
    bare(step, 50)
    compare("1 ms step", step, state, steps=steps, rounds=rounds)
    checkpoint_cost()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
