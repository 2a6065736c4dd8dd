"""Let the shipped generator draw clearer mouths: python recipes/sharpen_faces.py

After recipes/train_face_generator.py and recipes/even_out_faces.py what is least clear is the
mouth: a few hundred of 4,096 pixels, about which a discriminator of whole pictures has little to
say. Here a new one judges the window around it alone, as those of facial components do (Wang et al.
2021, section 3.3, https://arxiv.org/abs/2101.04061). Outside the mouth the pictures are to stay as
they are: their squared change is added to the generator's loss. The mapping network, which decides
the shares of the attributes, is not trained. The judge learns alone at first, so that its early
mistakes do no harm. Writes data/checkpoints/faces_64.npz with its provenance; interrupted, it goes
on from the last checkpoint.
"""

import argparse
import time

import keras
import numpy as np
import tensorflow as tf
from even_out_faces import KEPT
from keras import layers
from provenance import provenance
from train_face_generator import (
    FILTERS,
    LATENT_DIM,
    NAME,
    SAMPLES,
    arguments,
    measure,
    total_variations,
)

from course_lib import features, losses, metrics, plots, runtime, shipped, steps, train
from course_lib.datasets import catalog, images, pipeline
from course_lib.networks import style_based

SIZE, BATCH_SIZE = max(FILTERS), 32
WINDOW = slice(24, 56), slice(16, 48)  # rows and columns that the judge sees
MOUTH = slice(35, 54), slice(18, 46)  # those that may change freely: mouth, beard and chin


def shipped_generator():
    generator = style_based.generator(**arguments(SIZE))
    generator.set_weights(shipped.load(NAME).get_weights())
    generator.get_layer("mapping").trainable = False
    return generator


def window_judge():
    """Return a model, images -> logits (batch, 1), that sees the window alone."""
    picture = keras.Input((SIZE, SIZE, 3), name="images")
    margins = tuple((part.start, SIZE - part.stop) for part in WINDOW)
    window = layers.Cropping2D(margins)(picture)
    side = window.shape[1]
    filters = [width for key, width in FILTERS.items() if key <= side]
    return keras.Model(
        picture, style_based.discriminator((side, side, 3), filters=filters)(window), name="judge"
    )


def build(settings):
    updates = (settings.alone + settings.images_seen) // BATCH_SIZE
    optimizers = [
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, updates, 0.05), 0, 0.99)
        for rate in (settings.learning_rate, settings.judge_rate)
    ]
    return steps.Gan.create(
        shipped_generator(), window_judge(),
        generator_optimizer=optimizers[0], discriminator_optimizer=optimizers[1],
        seed=settings.seed,
    )  # fmt: skip


def make_step(gan, config, hold):
    """Return the update: real_images -> dict of float32 scalars; `hold` weighs what must stay."""
    judge_step, _ = steps.make_half_steps(gan, config)
    generator, before = gan.generator, shipped_generator().get_layer("synthesis")
    mapping, mixing, synthesis = map(generator.get_layer, ("mapping", "mixing", "synthesis"))
    outside = np.ones((SIZE, SIZE, 1), "float32")
    outside[MOUTH] = 0

    def step(real_images):
        values = judge_step(real_images)
        latents = keras.random.normal((BATCH_SIZE, LATENT_DIM), seed=gan.seed)
        styles = mixing(mapping(latents), training=True)
        kept = before(styles, training=False)
        with tf.GradientTape() as tape:
            drawn = synthesis(styles, training=True)
            logits = [gan.discriminator(x, training=True) for x in (real_images, drawn)]
            adversarial = losses.relativistic_generator_loss(*logits)
            change = tf.reduce_mean(tf.square(drawn - kept) * outside)
            loss = adversarial + hold * change
        steps.descend(tape, loss, generator, gan.generator_optimizer)
        for average, value in zip(gan.ema_generator.variables, generator.variables, strict=True):
            if value.trainable:
                average.assign(value + config.ema_decay * (average - value))
        return {**values, "g_loss": adversarial, "change": change}

    return tf.function(step, autograph=False)


def report_function(gan, folder):
    """Return a function that measures the averaged generator, and saves a picture of samples."""
    held_out = catalog.load("avatars", size=SIZE, count=SAMPLES, split="test").images
    held_out_features = features.extract(held_out)

    def report(images_seen, values):
        samples = steps.sample(gan.ema_generator, SAMPLES, latent_dim=LATENT_DIM, seed=1)
        distance = metrics.kernel_distance(features.extract(samples), held_out_features)
        largest = max(total_variations(samples)[0].values())
        print(f"{images_seen:,} images: kernel distance {distance:.4f}, total variation at most "
              f"{largest}", {name: round(float(value), 4) for name, value in values.items()},
              flush=True)  # fmt: skip
        grid = plots.montage(plots.to_display(samples[:64]), 16)
        images.save_png(folder / f"{images_seen:06d}.png", 2 * grid - 1)
        return distance

    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images-seen", type=int, default=72_000)
    parser.add_argument("--alone", type=int, default=9_600, help="images that only the judge sees")
    parser.add_argument("--gamma", type=float, default=0.2, help="of R1 and R2")
    parser.add_argument("--hold", type=float, default=300.0, help="weight of what must stay")
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--judge-rate", type=float, default=5e-3)
    parser.add_argument("--half-life", type=float, default=8_000, help="of the average, in images")
    parser.add_argument("--count", type=int, default=60_000, help="training avatars")
    parser.add_argument("--report-every", type=int, default=14_400)
    parser.add_argument("--seed", type=int, default=2)
    settings = parser.parse_args()
    runtime.setup(seed=settings.seed)
    started, before = time.perf_counter(), shipped.facts(NAME)
    gan = build(settings)
    config = steps.GanStepConfig(
        latent_dim=LATENT_DIM, loss="relativistic", r1_gamma=settings.gamma,
        r2_gamma=settings.gamma, penalty_share=0.25,
        ema_decay=0.5 ** (BATCH_SIZE / settings.half_life),
    )  # fmt: skip
    faces = catalog.load("avatars", size=SIZE, count=settings.count)
    batches = pipeline.batches(faces, BATCH_SIZE, seed=settings.seed)
    folder = runtime.results_dir() / "sharpen_faces"
    report = report_function(gan, folder)
    report(0, {})
    stages = {
        "alone": (steps.make_half_steps(gan, config)[0], settings.alone, None),
        "together": (make_step(gan, config, settings.hold), settings.images_seen, report),
    }
    for name, (step, images_seen, on_report) in stages.items():
        train.fit(
            step, batches, images_seen=images_seen, state=gan.objects(), config=config,
            folder=folder / name, report_every=settings.report_every, on_report=on_report,
            progress=False,
        )  # fmt: skip
        print(f"{name}: done after {time.perf_counter() - started:.0f} s", flush=True)
    distance = report(settings.images_seen, {})
    shipped.save(
        gan.ema_generator, NAME, builder="style_based.generator", arguments=arguments(SIZE),
        **provenance(seed=settings.seed, started=started),
        images_seen=before["images_seen"] + settings.images_seen,
        kernel_distance=round(distance, 4), samples=SAMPLES,
        before={name: before[name] for name in (*KEPT, "before") if name in before},
    )  # fmt: skip
    shipped.load.cache_clear()
    measure()


if __name__ == "__main__":
    main()
