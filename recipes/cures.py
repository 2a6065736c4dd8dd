"""Which cure helps a small GAN, one at a time: python recipes/cures.py

Every arm changes one thing in the same DCGAN pair on 32x32 avatars and sees the same number of
images (D's updates times the batch), on three seeds. "few images" then trains on a hundred avatars
and on the training faces of lfw_subset, with and without differentiable augmentation.
Writes data/results/08_stable_faces.json after every run; interrupted, it goes on from there.
"""

import argparse
import dataclasses
import functools
import time

import keras
import numpy as np
from result_table import ResultTable

from course_lib import features, metrics, networks, runtime, steps, train
from course_lib.datasets import catalog, pipeline
from course_lib.networks import dcgan

PATH = runtime.DATA_DIR / "results" / "08_stable_faces.json"
SIZE, BATCH_SIZE, LATENT_DIM, FILTERS, SAMPLES, FEW = 32, 32, 64, 16, 1_000, 100
SEEDS, NEAREST, PARTS = (0, 1, 2), "nearest_training", ("arms", "few images")


@dataclasses.dataclass(frozen=True)
class Arm:
    """What an arm does differently; `config` holds fields of `steps.GanStepConfig`."""

    config: dict = dataclasses.field(default_factory=dict)
    g_rate: float = 1e-3  # what Adam takes in Keras unless told otherwise
    d_rate: float = 1e-3
    beta_1: float = 0.5
    cosine: bool = False  # both rates fall to a twentieth
    longer: int = 1
    spectral_norm: bool = False
    growing: bool = False
    averaged: bool = False  # whether the samples are those of the averaged generator


R1, R1_R2 = {"r1_gamma": 0.5}, {"r1_gamma": 0.5, "r2_gamma": 0.5}
ARMS = {
    "baseline": Arm(),
    "lower learning rate": Arm(g_rate=2e-4, d_rate=2e-4),
    "two-speed learning rates": Arm(g_rate=2.5e-4),
    "three times as long": Arm(longer=3),
    "WGAN-GP": Arm(
        {"loss": "wasserstein", "gradient_penalty_weight": 10.0, "discriminator_updates": 2}
    ),
    "R1": Arm(R1),
    "R1 + R2": Arm(R1_R2),
    "spectral normalisation": Arm(spectral_norm=True),
    "hinge": Arm({"loss": "hinge"}),
    "hinge + spectral normalisation": Arm({"loss": "hinge"}, spectral_norm=True),
    "relativistic": Arm({"loss": "relativistic"}),
    "relativistic + R1 + R2": Arm({"loss": "relativistic", **R1_R2}),
    "growing": Arm(growing=True),
    "together": Arm(
        {"loss": "relativistic", **R1_R2},
        g_rate=2e-3, d_rate=2e-3, beta_1=0.0, cosine=True, averaged=True,
    ),
}  # fmt: skip
AVERAGED = "averaged weights"  # the runs of the baseline, its averaged generator measured
FEW_ARMS = {  # longer: it takes time to learn few pictures by heart
    "plain": Arm(R1, longer=4, averaged=True),
    "differentiable augmentation": Arm(
        R1 | {"augmentations": ("colour", "translation", "cutout")}, longer=4, averaged=True
    ),
}


def create(arm, *, size, channels, images_seen, seed):
    """Return the pair of an arm: at half the size twice the filters, so that layers carry over."""
    filters, shape = FILTERS * SIZE // size, (size, size, channels)
    rates = [arm.g_rate, arm.d_rate]
    if arm.cosine:
        cosine = keras.optimizers.schedules.CosineDecay
        rates = [cosine(rate, images_seen // BATCH_SIZE, alpha=0.05) for rate in rates]
    g_optimizer, d_optimizer = (keras.optimizers.Adam(rate, arm.beta_1, 0.99) for rate in rates)
    return steps.Gan.create(
        dcgan.generator(LATENT_DIM, shape, base_filters=filters),
        dcgan.discriminator(
            shape, base_filters=filters, batch_norm=False, spectral_norm=arm.spectral_norm
        ),
        generator_optimizer=g_optimizer,
        discriminator_optimizer=d_optimizer,
        seed=seed,
    )


def fit(gan, arm, data, *, images_seen, seed, **reports):
    """Train an arm's pair on an image set and return the history."""
    config = steps.GanStepConfig(latent_dim=LATENT_DIM, ema_decay=0.995, **arm.config)
    batch_size = BATCH_SIZE * config.discriminator_updates
    return train.fit(
        steps.make_gan_step(gan, config),
        pipeline.batches(data, batch_size, seed=seed),
        images_seen=images_seen,
        state=gan.objects(),
        progress=False,
        **reports,
    )


def trained(arm, load, *, images_seen, seed):
    """Return the trained pair; `load` is a function size -> image set."""
    keras.utils.set_random_seed(seed)
    images_seen *= arm.longer
    data = load(SIZE)
    gan = create(arm, size=SIZE, channels=data.pixels.shape[-1], images_seen=images_seen, seed=seed)
    if arm.growing:  # the first half at half the size
        images_seen //= 2
        half = create(arm, size=SIZE // 2, channels=3, images_seen=images_seen, seed=seed)
        fit(half, arm, load(SIZE // 2), images_seen=images_seen, seed=seed)
        networks.carry_over(half.generator, gan.generator, ends_at="latents")
        networks.carry_over(half.discriminator, gan.discriminator, ends_at="logits")
        gan.ema_generator.set_weights(gan.generator.get_weights())
    fit(gan, arm, data, images_seen=images_seen, seed=seed)
    return gan


def measures(generator, held_out, training):
    """Return a generator's distances to held-out features (count, 256) and training images."""
    samples = steps.sample(generator, SAMPLES, latent_dim=LATENT_DIM, seed=1, batch_size=200)
    found = features.extract(samples)
    # Precision and recall compare equal numbers.
    quality = metrics.precision_recall(held_out, found[: len(held_out)])
    values = {"kernel_distance": metrics.kernel_distance(found, held_out), **quality._asdict()}
    return values if training is None else values | {NEAREST: nearest(samples, training)}


def nearest(images, training):
    """Return the median distance of images to the nearest training image, RMS in [-1, 1] units."""
    flat = [part.reshape(len(part), -1).astype("float64") for part in (images, training)]
    squares = [(part**2).sum(axis=1) for part in flat]
    gaps = squares[0][:, None] + squares[1][None] - 2 * flat[0] @ flat[1].T
    return float(np.sqrt(np.median(gaps.min(axis=1).clip(0)) / flat[0].shape[1]))


def one_run(arm, load, *, images_seen, seed, held_out, training=None):
    """Return measures of a run, None where it diverged: those of the generator that the arm names.

    With them come those of the averaged generator, for the baseline only.
    """
    started = time.perf_counter()
    names = ("kernel_distance", "precision", "recall", *([] if training is None else [NEAREST]))
    try:
        gan = trained(arm, load, images_seen=images_seen, seed=seed)
    except train.DivergedError:
        found = dict.fromkeys(names) | {"seconds": time.perf_counter() - started, "diverged": True}
        return found, found
    run = {"seconds": time.perf_counter() - started, "diverged": False}
    wanted = [gan.ema_generator if arm.averaged else gan.generator]
    if arm is ARMS["baseline"]:
        wanted.append(gan.ema_generator)
    found = [measures(generator, held_out, training) | run for generator in wanted]
    return found[0], found[-1]


@functools.cache
def avatars(size, count=20_000):
    return catalog.load("avatars", size=size, count=count)


@functools.cache
def real_faces(size, split="train"):
    return catalog.load("lfw_subset", size=size, split=split).only("object", "face")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images-seen", type=int, default=25_600)
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="how many of them to do")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    settings = parser.parse_args()
    runtime.setup(seed=0)
    unseen = catalog.load("avatars", size=SIZE, count=SAMPLES, split="test").images
    others = catalog.load("avatars", size=SIZE, count=SAMPLES, seed=1).images
    held_out = features.extract(unseen)
    floor = metrics.kernel_distance(features.extract(others), held_out)
    facts = {"images_seen": settings.images_seen, "samples": SAMPLES, "floor": round(floor, 4)}
    results = ResultTable(PATH, facts, seeds=SEEDS)
    for seed in SEEDS[: settings.seeds]:
        if "arms" in settings.parts:
            all_arms(results, held_out, images_seen=settings.images_seen, seed=seed)
        if "few images" in settings.parts:
            few_images(results, unseen, images_seen=settings.images_seen, seed=seed)


def all_arms(results, held_out, *, images_seen, seed):
    """Do what is missing of the arms on many avatars with this seed."""
    for name, arm in ARMS.items():
        if results.missing(("arms", name), seed):
            found, averaged = one_run(
                arm, avatars, images_seen=images_seen, seed=seed, held_out=held_out
            )
            both = {("arms", AVERAGED): averaged} if name == "baseline" else {}
            results.add({("arms", name): found, **both})


def few_images(results, unseen, *, images_seen, seed):
    """Do what is missing with few images, and measure how near the samples are to one of them."""
    few_avatars = functools.partial(avatars, count=FEW)
    faces = real_faces(SIZE, "test").images
    for kind, load, held_out in (
        ("avatars", few_avatars, unseen),
        ("real faces", real_faces, faces),
    ):
        training = load(SIZE).images
        facts = {"training images": len(training), "unseen images": len(held_out)}
        facts["images_seen"] = images_seen * FEW_ARMS["plain"].longer
        facts["nearest_training of unseen images"] = round(nearest(held_out, training), 4)
        results.entry(("few images", kind)).update(facts)
        for name, arm in FEW_ARMS.items():
            if results.missing(("few images", kind, name), seed):
                found, _ = one_run(
                    arm, load, images_seen=images_seen, seed=seed,
                    held_out=features.extract(held_out), training=training,
                )  # fmt: skip
                results.add({("few images", kind, name): found})


if __name__ == "__main__":
    main()
