"""How fast does the GAN on points of notebook 02 train, beside the same loop in PyTorch?

    python -m tests.benchmarks.points_gan_against_peers [--large] [--compile]
        [--torch-python PYTHON]

Compares `Laboratory.run` (one call of the compiled loop), the same TensorFlow step called once for
each batch, and PyTorch: eager, eager with the fused Adam, and with --compile its networks compiled.
Architecture, initial weights, optimizer settings and batch size are the same, and the data are in
memory. Five steps on the same batches and latents are compared first (there PyTorch's epsilon is
moved to where Keras has it); the exit status is 1 if a metric differs by more than 1e-4. PyTorch
keeps no averaged generator and takes no means of logits, which the TensorFlow step does in passing;
its R1 and R2 reuse D's logits. It runs with as many threads as TensorFlow and with one, and its
threads wait passively: where other programs want the cores too, its default, to wait in a loop,
made a step a hundred times as slow.

The loops take turns. Printed are the medians of the rounds and their ratios to the compiled loop's:
of the time that passed, and of the processor's time, which a busy machine changes less. PyTorch
needs an environment of its own, since it and TensorFlow need not agree on NumPy: `python -m venv
DIR`, then `DIR/bin/pip install torch numpy`. Without it, TensorFlow alone is measured.
"""

import argparse
import dataclasses
import json
import os
import platform
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # must be set before TensorFlow is imported

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from course_lib import steps  # noqa: E402
from course_lib.laboratory import Laboratory, Settings  # noqa: E402
from tests.benchmarks.torch_worker import TorchWorker  # noqa: E402

TOLERANCE = 1e-4
CHECKED_STEPS = 5
WARM_UP = 3  # rounds that do not count
LARGE = Settings(
    data="25_gaussians", loss="relativistic", penalty="R1+R2", depth=3, width=128, batch_size=128
)
LOOP, CALLS = "TensorFlow, compiled loop", "TensorFlow, a call a step"
EAGER = ["torch eager", "torch eager, fused Adam"]
COMPILED = "torch.compile, fused Adam"


class Calls:
    """The step of a laboratory of its own, called once for each batch from Python."""

    def __init__(self, settings):
        # Nothing but the loop is missing: drawing the batch is compiled in, as there.
        self.lab = lab = Laboratory(settings)
        step = make_step(lab)
        self.step = tf.function(lambda: step(lab.next_batch("discriminator_step")), autograph=False)

    def run(self, count):
        for _ in range(count):
            metrics = self.step()
        return {name: float(value) for name, value in metrics.items()}


def make_step(lab):
    """Return the step that the laboratory's loop repeats."""
    return steps.make_gan_step(
        lab.gan, lab.step_config, penalty_schedule=lambda _: lab.settings.gamma
    )


def timed(run, count):
    """Return the seconds that passed, and those of the processor."""
    start = np.array([time.perf_counter(), time.process_time()])
    metrics = run(count)
    seconds = np.array([time.perf_counter(), time.process_time()]) - start
    assert all(np.isfinite(value) for value in metrics.values()), metrics
    return seconds


def shared_start(settings):
    """Return what both sides begin with, a dict of arrays, and our metrics of the first steps."""
    lab = Laboratory(settings)
    given = {"settings": json.dumps(dataclasses.asdict(settings)), "atlas": lab.real.points}
    for name in ("generator", "discriminator"):
        for number, array in enumerate(getattr(lab.gan, name).get_weights()):
            given[f"{name}/{number:02d}"] = array
    # The same seed draws the same latents a second time, beside the step.
    seed, shape = keras.random.SeedGenerator(0), (settings.batch_size, settings.latent_dim)
    seed.state.assign(lab.gan.seed.state)
    step, rows = make_step(lab), []
    batches = {"real": [], "d_latents": [], "g_latents": []}
    for _ in range(CHECKED_STEPS):
        real = lab.next_batch("discriminator_step")
        batches["real"].append(np.asarray(real))
        for name in ("d_latents", "g_latents"):
            batches[name].append(np.asarray(keras.random.normal(shape, seed=seed)))
        rows.append({name: float(value) for name, value in step(real).items()})
    return given | {name: np.stack(arrays) for name, arrays in batches.items()}, rows


def differences(ours, theirs):
    """Print the largest difference of every checked step; return the largest of all."""
    largest = [
        max(abs(mine[name] - value) for name, value in other.items())
        for mine, other in zip(ours, theirs, strict=True)
    ]
    listed = ", ".join(f"{name} {value:.6f}" for name, value in theirs[0].items())
    print(f"first step: {listed}")
    print("largest difference, step by step: " + ", ".join(f"{value:.1e}" for value in largest))
    return max(largest)


def report(seconds, count):
    """Print the medians, and their ratios to the compiled loop's."""
    medians = {name: np.median(values, axis=0) for name, values in seconds.items()}
    print(f"{'':36} {'steps/s':>8} {'ms/step':>8} {'fastest':>8} {'slowest':>8} {'ratio':>6} "
          f"{'CPU ms':>8} {'ratio':>6}")  # fmt: skip
    for name, values in seconds.items():
        passed, processor = 1e3 * medians[name] / count
        best, worst = (1e3 * limit([s[0] for s in values]) / count for limit in (min, max))
        ratio, processor_ratio = medians[name] / medians[LOOP]
        print(
            f"{name:36} {1e3 / passed:8.0f} {passed:8.3f} {best:8.3f} {worst:8.3f} {ratio:6.2f} "
            f"{processor:8.3f} {processor_ratio:6.2f}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--large", action="store_true", help="25 Gaussians, relativistic, R1+R2")
    parser.add_argument("--compile", action="store_true", help="also torch.compile")
    parser.add_argument("--torch-python", default=sys.executable)
    parser.add_argument("--steps", type=int, default=300, help="of a round")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    if options.compile and options.large:
        parser.error("torch.compile has no second derivatives, which R1 and R2 need")
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(options.threads)
    settings = LARGE if options.large else Settings()
    print(f"settings: {settings.changed() or 'the defaults of Laboratory'}")
    print(f"load average before: {os.getloadavg()[0]:.1f}; {os.cpu_count()} cores")
    print(f"TensorFlow {tf.__version__}, Keras {keras.__version__}, "
          f"Python {platform.python_version()}; threads: {options.threads}")  # fmt: skip

    given, ours = shared_start(settings)
    # No record within the timed steps: measuring is not training.
    lab, calls = Laboratory(settings, record_every=10**9), Calls(settings)
    loops = {LOOP: lambda n: timed(lab.run, n), CALLS: lambda n: timed(calls.run, n)}
    torch, status = None, 0
    with tempfile.TemporaryDirectory() as folder:
        try:
            torch = TorchWorker(options.torch_python, "points_gan_torch.py", given, folder)
        except OSError as error:
            print(f"PyTorch is not compared: {error}. See --torch-python.")
        if torch:
            print(torch.versions)
            status = int(differences(ours, torch.ask(do="check")) > TOLERANCE)
            for name in EAGER + [COMPILED] * options.compile:
                for threads in sorted({1, options.threads}):
                    order = {"do": "run", "loop": name, "threads": threads}
                    loops[f"{name}, {threads} thread{'s' * (threads > 1)}"] = (
                        lambda n, order=order: torch.ask(**order, steps=n)
                    )
        seconds = {name: [] for name in loops}
        for turn in range(WARM_UP + options.rounds):
            for name, run in loops.items():
                found = run(options.steps if turn >= WARM_UP else options.steps // 3)
                if turn >= WARM_UP:
                    seconds[name].append(found)
        if torch:
            torch.close()
    print(f"{options.rounds} rounds of {options.steps} steps, in turns; "
          f"load average after: {os.getloadavg()[0]:.1f}")  # fmt: skip
    report(seconds, options.steps)
    return status


if __name__ == "__main__":
    sys.exit(main())
