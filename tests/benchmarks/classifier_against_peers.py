"""How fast is a training step of notebook 04, beside `keras.Model.fit` and PyTorch?

    python -m tests.benchmarks.classifier_against_peers [--network plain] [--torch-python PYTHON]

Same network, initial weights, AdamW and batch, which is in memory; float32 and bfloat16. The first
loss of every loop is compared (1e-3 in float32). The loops take turns; printed are medians over the
rounds. PyTorch runs channels-last, with the same number of threads, in an environment of its own.
"""

import argparse
import os
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # must be set before TensorFlow is imported

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from course_lib import classify  # noqa: E402
from course_lib.networks import classifiers  # noqa: E402
from tests.benchmarks.torch_worker import TorchWorker  # noqa: E402

NETWORKS = {"plain": ((28, 28, 1), 128), "article": ((128, 128, 3), 64)}
TORCH = ("torch eager float32", "torch fused float32", "torch fused bfloat16")


def model_with(name, policy, weights=None):
    keras.config.set_dtype_policy(policy)
    keras.utils.set_random_seed(0)
    model = getattr(classifiers, name)(NETWORKS[name][0])
    if weights is not None:
        model.set_weights(weights)
    return model


def ours(name, policy, weights, batch):
    """Return a loop: number of steps -> last loss."""
    step = classify.make_classifier_step(
        model_with(name, policy, weights), classify.adamw(1e-3, weight_decay=0.01),
        classify.ClassifierStepConfig(), seed=keras.random.SeedGenerator(0),
    )  # fmt: skip

    def run(count):
        for _ in range(count):
            values = step(batch)
        return float(values["loss"])

    return run


def keras_fit(name, policy, weights, batch):
    model = model_with(name, policy, weights)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(classify.adamw(1e-3, weight_decay=0.01), loss, metrics=["accuracy"],
                  jit_compile=False)  # fmt: skip
    data = tf.data.Dataset.from_tensors(batch).cache().repeat()

    def run(count):
        return model.fit(data, steps_per_epoch=count, shuffle=False, verbose=0).history["loss"][-1]

    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=NETWORKS, default="plain")
    parser.add_argument("--torch-python", default=sys.executable)
    parser.add_argument("--steps", type=int, default=10, help="of a round")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    shape, count = NETWORKS[options.network]
    generator = np.random.default_rng(0)
    images = generator.uniform(-1, 1, (count, *shape)).astype("float32")
    labels = generator.integers(0, 10, count).astype("int32")
    batch = tf.constant(images), tf.constant(labels)
    weights = model_with(options.network, "float32").get_weights()
    print(f"{options.network}: batches of {count}, {shape}; load {os.getloadavg()[0]:.1f}")
    print(f"TensorFlow {tf.__version__}, Keras {keras.__version__}; {options.threads} threads")
    loops = {}
    for policy in ("float32", "mixed_bfloat16"):
        for title, make in (("our step", ours), ("Model.fit", keras_fit)):
            run = make(options.network, policy, weights, batch)
            loops[f"{title} {policy}"] = lambda n, run=run: timed(run, n)
    with tempfile.TemporaryDirectory() as folder:
        given = {f"weight{k:02d}": w for k, w in enumerate(weights)}
        given |= {"images": images, "labels": labels, "network": options.network}
        try:
            torch = TorchWorker(options.torch_python, "classifier_torch.py", given, folder)
        except (OSError, RuntimeError) as error:
            print(f"PyTorch is not compared: {error}. See --torch-python.")
        else:
            print(torch.versions)
            for name in TORCH:
                loops[name] = lambda n, name=name: torch.ask(
                    loop=name, steps=n, threads=options.threads
                )
        first = {name: run(1)[2] for name, run in loops.items()}
        print("first losses:", {name: round(value, 5) for name, value in first.items()})
        seconds = {name: [] for name in loops}
        for turn in range(options.rounds + 2):
            for name, run in loops.items():
                passed = run(options.steps)[0] / options.steps
                if turn >= 2:  # compilation and warming up do not count
                    seconds[name].append(passed)
        report(seconds)
    exact = [value for name, value in first.items() if "float32" in name]
    return int(max(exact) - min(exact) > 1e-3)


def timed(run, count):
    start = time.perf_counter(), time.process_time()
    loss = run(count)
    return time.perf_counter() - start[0], time.process_time() - start[1], loss


def report(seconds):
    best = np.median(seconds["our step mixed_bfloat16"])
    print(f"{'':28} {'ms/step':>8} {'fastest':>8} {'x ours in bfloat16':>19}")
    for name, values in seconds.items():
        median = np.median(values)
        print(f"{name:28} {1e3 * median:8.2f} {1e3 * min(values):8.2f} {median / best:19.2f}")
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    sys.exit(main())
