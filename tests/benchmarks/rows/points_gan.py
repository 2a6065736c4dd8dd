"""The GAN on points of notebook 02: one call of the compiled loop, and one call a step.

Same networks, initial weights, Adam and batch; the points are in memory. Five steps on the same
points and latents are compared first; PyTorch's epsilon is then where Keras has it. PyTorch keeps
no averaged generator and takes no means of logits, which our step does in passing; its R1 and R2
reuse D's logits. It runs with as many threads as TensorFlow and with one, and its threads wait
passively: its default, to wait in a loop, made a step a hundred times as slow on a busy machine.
"""

import dataclasses
import json

import keras
import numpy as np
import tensorflow as tf

from course_lib import steps
from course_lib.laboratory import Laboratory, Settings
from tests.benchmarks import protocol
from tests.benchmarks.rows.image_gans import step_work

CHECKED_STEPS = 5
STEPS = 300  # of a round
EAGER = ("PyTorch eager", "PyTorch eager, fused Adam")
COMPILED = ("torch.compile, fused Adam",)
TARGET = {"PyTorch eager": 2.0, "PyTorch eager, 1 thread": 2.0}


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
        return metrics


def make_step(lab):
    """Return the step that the laboratory's loop repeats."""
    return steps.make_gan_step(
        lab.gan, lab.step_config, penalty_schedule=lambda _: lab.settings.gamma
    )


def shared_start(settings):
    """Return what both sides begin with, a dict of arrays, and our losses of the first steps."""
    lab = Laboratory(settings)
    given = {"settings": json.dumps(dataclasses.asdict(settings)), "atlas": lab.real.points}
    for name in ("generator", "discriminator"):
        for number, array in enumerate(getattr(lab.gan, name).get_weights()):
            given[f"{name}/{number:02d}"] = array
    # The same seed draws the same latents a second time, beside the step.
    seed, shape = keras.random.SeedGenerator(0), (settings.batch_size, settings.latent_dim)
    seed.state.assign(lab.gan.seed.state)
    step, losses = make_step(lab), {}
    batches = {"real": [], "d_latents": [], "g_latents": []}
    for number in range(CHECKED_STEPS):
        real = lab.next_batch("discriminator_step")
        batches["real"].append(np.asarray(real))
        for name in ("d_latents", "g_latents"):
            batches[name].append(np.asarray(keras.random.normal(shape, seed=seed)))
        losses |= {f"{name} {number}": float(value) for name, value in step(real).items()}
    return given | {name: np.stack(arrays) for name, arrays in batches.items()}, losses


def row(worker, title, settings, peers, target):
    """Return the `protocol.Row` of a laboratory."""
    given, losses = shared_start(settings)
    # No record within the timed steps: measuring is not training.
    lab, calls = Laboratory(settings, record_every=10**9), Calls(settings)
    loops = {
        "ours, compiled loop": protocol.timed(lab.run),
        "ours, a call a step": protocol.timed(calls.run),
    }
    ours, first = tuple(loops), {"ours": losses}
    torch = worker("points_gan.py", given)
    if torch:
        first["PyTorch"] = torch.ask("check", CHECKED_STEPS)["losses"]
        loops |= {name: protocol.remote(torch, name) for name in peers}
        loops |= {f"{name}, 1 thread": protocol.remote(torch, name, 1) for name in peers}
    work = step_work(lab.gan.generator, lab.gan.discriminator, lab.step_config, settings.batch_size)
    return protocol.Row(
        title, "step", loops, ours, STEPS, work, losses=first, tolerance=1e-4, target=target
    )


def prepare(worker):
    title = "GAN on points, batch 128, notebook 02's defaults"
    return row(worker, title, Settings(), EAGER + COMPILED, TARGET)
