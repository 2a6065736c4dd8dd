"""Train the 64x64 face generator of notebooks 00, 07 and 09: python recipes/train_face_generator.py

A style-based pair on avatars, relativistic loss with R1 and R2, averaged weights. It starts with
small pictures and grows: most of what is to be learned about faces can be seen at 16x16 and 32x32,
where a picture costs a tenth and a half of one at 64x64. At 64x64 there are three stages, in each
of which the learning rate falls along a cosine. In the second one the weight of the penalties falls
to a tenth as well and stays there, which lets the discriminator see finer things, such as how often
a mouth is open. The checkpoint that is shipped is the one at 64x64 with the smallest kernel
distance to held-out avatars. Writes data/checkpoints/faces_64.npz with its provenance; interrupted,
it goes on from the last checkpoint. recipes/even_out_faces.py goes on from it. With --measure-only
it measures the shipped file once more and changes only the numbers beside it.
"""

import argparse
import time

import keras
import numpy as np
from provenance import provenance

from course_lib import features, metrics, runtime, shipped, steps, train
from course_lib.datasets import avatars, catalog, pipeline
from course_lib.networks import style_based

NAME, LATENT_DIM, SAMPLES, MEASURED = "faces_64", 64, 4_000, 10_000
FILTERS = {4: 128, 8: 128, 16: 64, 32: 32, 64: 16}


def arguments(size):
    """Return what `style_based.generator` is called with for this size."""
    filters = [width for key, width in FILTERS.items() if key <= size]
    return {"latent_dim": LATENT_DIM, "image_shape": [size, size, 3], "filters": filters}


def build(size, settings, *, decayed_over=None, seed):
    """Return an untrained pair with its optimizers; the rate falls over so many updates, if any."""
    rate = settings.learning_rate
    if decayed_over:
        rate = keras.optimizers.schedules.CosineDecay(rate, decayed_over, alpha=0.05)
    generator = arguments(size)
    return steps.Gan.create(
        style_based.generator(**generator),
        style_based.discriminator(generator["image_shape"], filters=generator["filters"]),
        generator_optimizer=keras.optimizers.Adam(rate, 0.0, 0.99),
        discriminator_optimizer=keras.optimizers.Adam(rate, 0.0, 0.99),
        seed=seed,
    )


def grow(small, large):
    """Carry the networks of one stage, and the average, over into the next."""
    for name in ("generator", "discriminator", "ema_generator"):
        style_based.grow(getattr(small, name), getattr(large, name))


def penalty_schedule(stages_before, updates):
    """Return what the penalties are multiplied by after so many stages at full size; None: 1."""
    if not stages_before:
        return None
    falling = keras.optimizers.schedules.CosineDecay(1.0, updates, alpha=0.1)
    return falling if stages_before == 1 else lambda step: 0.1


def report_function(gan, size, facts, seen_before, best):
    """Return a function that measures the averaged generator; with facts it ships the best.

    best: list of one number, the smallest kernel distance so far; it is lowered.
    """
    held_out = catalog.load("avatars", size=size, count=SAMPLES, split="test")
    held_out_features = features.extract(held_out.images)

    def report(images_seen, values):
        samples = steps.sample(gan.ema_generator, SAMPLES, latent_dim=LATENT_DIM, seed=1)
        distance = metrics.kernel_distance(features.extract(samples), held_out_features)
        values = {name: round(float(value), 3) for name, value in values.items()}
        print(f"{size}x{size}, {images_seen:,} images: kernel distance {distance:.4f}", values)
        if facts:
            print("total variation", total_variations(samples)[0], flush=True)
        if facts and distance < best[0]:
            best[0] = distance
            shipped.save(
                gan.ema_generator,
                NAME,
                builder="style_based.generator",
                arguments=arguments(size),
                **facts(),
                images_seen=seen_before + images_seen,
                kernel_distance=round(distance, 4),
                samples=SAMPLES,
            )

    return report


def total_variations(samples):
    """Return dict of attribute -> total variation from the avatars', and list of missing values.

    Total variation: the largest difference in the share of any set of an attribute's values.
    """
    found = features.predict_attributes(samples)
    variations, missing = {}, []
    for name, values in avatars.ATTRIBUTES.items():
        shares = np.bincount(found[name], minlength=len(values)) / len(samples)
        # The avatars' attributes are independent and uniform.
        variations[name] = round(float(np.abs(shares - 1 / len(values)).sum() / 2), 3)
        missing += [f"{name}: {values[code]}" for code in np.flatnonzero(shares == 0)]
    return variations, missing


def measure():
    """Add to the provenance how the attributes of 10,000 samples are distributed."""
    generator, facts = shipped.load(NAME), shipped.facts(NAME)
    samples = steps.sample(generator, MEASURED, latent_dim=LATENT_DIM, seed=2)
    variations, missing = total_variations(samples)
    measures = {"total variation": variations, "missing values": missing, "measured on": MEASURED}
    network = facts.pop("network")
    shipped.save(generator, NAME, **network, **facts | measures)
    print(f"largest total variation {max(variations.values())}, missing: {missing or 'none'}")


def train_stage(gan, size, images_seen, settings, *, name, schedule, report):
    """Train at one size; R1 and R2 of a picture of half the size are four times as large."""
    gamma = settings.gamma * (size / 32) ** 2
    config = steps.GanStepConfig(
        latent_dim=LATENT_DIM,
        loss=settings.loss,
        r1_gamma=gamma,
        r2_gamma=gamma,
        penalty_share=0.25,
        ema_decay=0.5 ** (settings.batch_size / settings.half_life),
    )
    faces = catalog.load("avatars", size=size, count=settings.count)
    train.fit(
        steps.make_gan_step(gan, config, penalty_schedule=schedule),
        pipeline.batches(faces, settings.batch_size, seed=settings.seed),
        images_seen=images_seen,
        state=gan.objects(),
        config=config,
        folder=runtime.results_dir() / name,
        report_every=settings.report_every,
        on_report=report,
        progress=False,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[16, 32, 64, 64, 64])
    parser.add_argument(
        "--images-seen", type=int, nargs="+", default=[100_000, 110_016, 110_016, 150_016, 160_000]
    )
    parser.add_argument("--loss", default="relativistic")
    parser.add_argument("--gamma", type=float, default=0.5, help="of R1 and R2 at 32x32")
    parser.add_argument("--learning-rate", type=float, default=5e-3)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--half-life", type=float, default=15_000, help="of the average, in images")
    parser.add_argument("--count", type=int, default=60_000, help="training avatars")
    parser.add_argument("--report-every", type=int, default=25_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--measure-only", action="store_true")
    settings = parser.parse_args()
    runtime.setup(seed=settings.seed, precision="mixed_bfloat16")
    if settings.measure_only:
        measure()
        return
    started = time.perf_counter()
    previous, seen, best = None, 0, [float("inf")]
    stages = list(zip(settings.sizes, settings.images_seen, strict=True))
    for stage, (size, images_seen) in enumerate(stages):
        full_size, updates = size == max(FILTERS), images_seen // settings.batch_size
        gan = build(size, settings, decayed_over=updates if full_size else None, seed=settings.seed)
        if previous:
            grow(previous, gan)
        facts = (lambda: provenance(seed=settings.seed, started=started)) if full_size else None
        train_stage(
            gan,
            size,
            images_seen,
            settings,
            name=f"{NAME}_{stage}_at_{size}",
            schedule=penalty_schedule(settings.sizes[:stage].count(max(FILTERS)), updates),
            report=report_function(gan, size, facts, seen, best),
        )
        previous, seen = gan, seen + images_seen
    measure()


if __name__ == "__main__":
    main()
