"""Six runs that go wrong in six ways, and a healthy one: python recipes/broken_runs.py

Small DCGAN pairs on 32x32 avatars, one seed, the same number of images. Notebook 08 shows what each
looks like and has the learner name the cause.

Writes data/results/08_broken_runs.npz, with these arrays for each run "A" to "G":
    <run>/images_seen               int64 (reports,), the clock of the four below
    <run>/d_loss, <run>/g_loss      float32 (reports,), means since the report before
    <run>/real_logit, <run>/fake_logit  the same
    <run>/kernel_distance           float32 (reports,), averaged generator against held-out avatars
    <run>/samples                   uint8 (moments, 16, 32, 32, 3), the same latents each time
    <run>/sample_images_seen        int64 (moments,)
and data/results/08_broken_runs.json: provenance, and "answers": run -> name, cause and cure.
"""

import argparse
import dataclasses
import json
import time

import cures
import keras
import numpy as np
from provenance import provenance

from course_lib import features, metrics, runtime, steps, train
from course_lib.datasets import catalog, images

PATH = runtime.DATA_DIR / "results" / "08_broken_runs.npz"
SIZE, MEASURED, REPORTS, MOMENTS = 32, 250, 12, 4
HEALTHY = cures.Arm({"r1_gamma": 0.5}, g_rate=2e-3, d_rate=2e-3, beta_1=0.0)


@dataclasses.dataclass(frozen=True)
class Run:
    """A run, and what the learner is to find out about it."""

    name: str
    cause: str
    cure: str
    arm: cures.Arm = HEALTHY
    pictures: int = 6_000
    as_if_unsigned: bool = False  # pixels in [0, 1] where the generator draws in [-1, 1]


RUNS = {
    "A": Run(
        "mode collapse",
        "G learns 20 times as fast as D: it moves to whatever D likes at the moment, and the 16 "
        "pictures are one.",
        "Let D learn at least as fast as G, and add R1.",
        cures.Arm(g_rate=2e-3, d_rate=1e-4),
    ),
    "B": Run("healthy", "Nothing: R1 holds D back, and both learn.", "None is needed."),
    "C": Run(
        "discriminator wins",
        "The minimax loss of G is flat where D is sure, and D learns 20 times as fast as G.",
        "The non-saturating loss, equal learning rates, and R1.",
        cures.Arm({"loss": "minimax"}, g_rate=1e-4, d_rate=2e-3),
    ),
    "D": Run(
        "wrong range",
        "The training pictures were scaled to [0, 1], and the course's range is [-1, 1]: G "
        "learns the pale pictures that it was shown, and every curve looks healthy.",
        "Scale pixels with images.to_float, and look at a batch before training.",
        as_if_unsigned=True,
    ),
    "E": Run(
        "divergence",
        "The Wasserstein loss without any bound on the critic's slope: its logits grow without "
        "end.",
        "A gradient penalty, or another loss with R1.",
        cures.Arm({"loss": "wasserstein"}, g_rate=2e-3, d_rate=2e-3, beta_1=0.0),
    ),
    "F": Run(
        "memorised pictures",
        "There are only 8 training pictures, and D has seen each 2,400 times: it knows them by "
        "heart, and G copies them.",
        "More pictures, or differentiable augmentation.",
        pictures=8,
    ),
    "G": Run(
        "oscillation",
        "Momentum of 0.9 and a learning rate of 0.005, without a penalty: both chase each other.",
        "Less momentum (beta_1 of 0 or 0.5), a smaller learning rate, R1.",
        cures.Arm(g_rate=5e-3, d_rate=5e-3, beta_1=0.9),
    ),
}


def record(run, *, images_seen, seed=0):
    """Train a run and return its arrays; one that diverges ends early."""
    keras.utils.set_random_seed(seed)
    faces = cures.avatars(SIZE, run.pictures)
    faces = faces.take(np.resize(np.arange(len(faces)), max(len(faces), cures.BATCH_SIZE)))
    if run.as_if_unsigned:
        pale = images.to_uint8((faces.images + 1) / 2)
        faces = dataclasses.replace(faces, pixels=pale)
    gan = cures.create(run.arm, size=SIZE, channels=3, images_seen=images_seen, seed=seed)
    unseen = catalog.load("avatars", size=SIZE, count=MEASURED, split="test").images
    held_out = features.extract(unseen)
    rows, pictures = [], []

    def report(seen, values):
        drawn = steps.sample(
            gan.ema_generator, MEASURED, latent_dim=cures.LATENT_DIM, seed=1, batch_size=MEASURED
        )
        distance = metrics.kernel_distance(features.extract(drawn, batch_size=MEASURED), held_out)
        rows.append({"images_seen": seen, "kernel_distance": distance, **values})
        if seen % (images_seen // MOMENTS) < images_seen // REPORTS:
            shown = steps.sample(gan.generator, 16, latent_dim=cures.LATENT_DIM, seed=2)
            pictures.append((seen, images.to_uint8(shown)))

    every = images_seen // REPORTS
    try:
        cures.fit(
            gan, run.arm, faces, images_seen=images_seen, seed=seed,
            report_every=every, on_report=report,
        )  # fmt: skip
    except train.DivergedError as error:
        print(error, flush=True)
    names = ("d_loss", "g_loss", "real_logit", "fake_logit", "kernel_distance")
    return {
        "images_seen": np.array([row["images_seen"] for row in rows]),
        **{name: np.array([row[name] for row in rows], "float32") for name in names},
        "sample_images_seen": np.array([seen for seen, _ in pictures]),
        "samples": np.stack([drawn for _, drawn in pictures]),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images-seen", type=int, default=19_200)
    parser.add_argument("--only", nargs="+", choices=RUNS, default=list(RUNS))
    settings = parser.parse_args()
    runtime.setup(seed=0)
    started = time.perf_counter()
    arrays = dict(np.load(PATH)) if PATH.exists() else {}
    for name in settings.only:
        begun = time.perf_counter()
        found = record(RUNS[name], images_seen=settings.images_seen)
        arrays |= {f"{name}/{part}": array for part, array in found.items()}
        last = {part: array[-1] for part, array in found.items() if array.ndim == 1}
        print(name, RUNS[name].name, f"{time.perf_counter() - begun:.0f} s", last, flush=True)
        store(arrays, settings, started)


def store(arrays, settings, started):
    answers = {
        name: {"name": run.name, "cause": run.cause, "cure": run.cure} for name, run in RUNS.items()
    }
    facts = provenance(seed=0, started=started, images_seen=settings.images_seen, answers=answers)
    np.savez_compressed(PATH, **arrays)
    PATH.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
