"""Let the shipped generator draw finer: python recipes/sharpen_faces.py

After recipes/train_face_generator.py and recipes/even_out_faces.py what is least clear is the
mouth: a few hundred of 4,096 pixels, about which a discriminator that learns from pixels alone has
little to say. Here it is one of four: three more read a map each of a frozen network that already
knows what a mouth is (a "projected" discriminator, Sauer et al. 2021,
https://arxiv.org/abs/2111.01007; its random projections are left out, and in place of spectral
normalisation there are R1 and R2, of each logit with respect to what is read). The four learn alone
at first, so that their early mistakes do no harm; R1 and R2 count ten times as much at the picture.
All pictures are moved by up to three pixels before they are judged: every map comes from
convolutions with stride 2, which look at the pixels of a square of 2x2, 4x4 or 8x8 in different
ways, and the generator would draw stripes for them. Three pixels even out the first two.

The frozen network is trained here to read the avatars' attributes, as in even_out_faces.py, with
another seed, and not shipped; kernel distance and total variation are measured with the shipped
encoder, which has no part in this. Run even_out_faces.py afterwards: sharper mouths change how
often each occurs. Writes data/checkpoints/faces_64.npz with its provenance, the old one's among it;
interrupted, it goes on from the last checkpoint.

The shipped file has been through this twice. The first time (the commit is in its provenance) a
small network with strides read the picture in place of the discriminator of pixels, and pictures
were moved by a pixel at most: mouths got clearer, but stripes with a period of 4 pixels appeared on
the backgrounds. The second run made them fainter.
"""

import argparse
import math
import time

import keras
import tensorflow as tf
from even_out_faces import ship, trained_reader, untrained_reader
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

from course_lib import checkpoints, features, losses, metrics, plots, runtime, shipped, steps, train
from course_lib.datasets import catalog, images, pipeline
from course_lib.networks import style_based

SIZE, BATCH_SIZE, WIDTH = max(FILTERS), 32, 64
SIDES = 32, 16, 8  # of the reader's maps that are judged, the last map of each side
PENALTIES = 10, 1, 1, 1  # weights of R1 and R2 at the picture and at each map
SHIFTS = 4  # 0 to 3 pixels down and to the right


def reader_of(settings, path):
    """Return the reader, trained at the first call and kept in case of an interruption."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        checkpoints.save_weights(trained_reader(settings), path)
    reader = untrained_reader()
    checkpoints.load_weights(reader, path)
    return reader


def view_of(reader):
    """Return a frozen model, images -> [images, the reader's maps of SIDES]."""
    maps = {
        layer.output.shape[1]: layer.output
        for layer in reader.layers
        if isinstance(layer, layers.ReLU)
    }
    view = keras.Model(reader.inputs, [reader.inputs[0], *(maps[side] for side in SIDES)])
    view.trainable = False
    return view


def judge(view):
    """Return a model, the outputs of `view` -> list of logits (batch, 1), one for each."""
    images, *maps = [keras.Input(output.shape[1:]) for output in view.outputs]
    of_pixels = style_based.discriminator(images.shape[1:], filters=arguments(SIZE)["filters"])
    logits = [of_pixels(images), *map(_head, maps)]
    return keras.Model([images, *maps], logits, name="judge")


def _head(x):
    while x.shape[1] > 4:
        width = WIDTH if x.shape[1] <= 16 else WIDTH // 2
        x = _activate(style_based.ScaledConv2D(width, 4, strides=2)(x))
    x = _activate(style_based.ScaledDense(WIDTH)(layers.Flatten()(x)))
    return style_based.ScaledDense(1)(x)


def _activate(x):
    return layers.Rescaling(style_based.SQRT_2)(layers.LeakyReLU(0.2)(x))


def build(view, settings):
    """Return the shipped generator and an untrained judge; both rates fall along a cosine."""
    generator = style_based.generator(**arguments(SIZE))
    generator.set_weights(shipped.load(NAME).get_weights())
    ema_generator = keras.models.clone_model(generator)
    ema_generator.set_weights(generator.get_weights())
    updates = (settings.alone + settings.images_seen) // BATCH_SIZE
    networks, optimizers = (generator, judge(view)), []
    for rate, network in zip((settings.learning_rate, settings.judge_rate), networks, strict=True):
        rate = keras.optimizers.schedules.CosineDecay(rate, updates, 0.05)
        optimizers.append(keras.optimizers.Adam(rate, 0.0, 0.99))
        optimizers[-1].build(network.trainable_variables)
    return steps.Gan(
        *networks, ema_generator, *optimizers, keras.random.SeedGenerator(settings.seed)
    )


def make_steps(gan, view, config):
    """Return the judge's update alone and that of both: real_images -> dict of scalars."""
    discriminator_loss, generator_loss = losses.FAMILIES[config.loss]

    def see(pictures, shift):
        return view(tf.roll(pictures, shift, axis=(1, 2)), training=False)

    def draw(count, shift):
        latents = keras.random.normal((count, LATENT_DIM), seed=gan.seed)
        return see(gan.generator(latents, training=True), shift)

    def see_moved(real_images):
        shift = keras.random.randint((2,), 0, SHIFTS, seed=gan.seed)
        return see(real_images, shift), shift

    def penalty(maps):
        """Weighted sum over the logits of `losses.r1_penalty`, each at the map that it reads."""
        maps = [x[: math.ceil(config.penalty_share * x.shape[0])] for x in maps]
        with tf.GradientTape() as tape:
            tape.watch(maps)
            logits = tf.add_n(gan.discriminator(maps, training=True))
        pairs = zip(PENALTIES, tape.gradient(logits, maps), strict=True)
        squares = [weight * tf.reduce_sum(tf.square(x)) for weight, x in pairs]
        return tf.add_n(squares) / maps[0].shape[0]

    def mean_over_heads(loss, real_logits, fake_logits):
        pairs = zip(real_logits, fake_logits, strict=True)
        return tf.add_n([loss(*pair) for pair in pairs]) / len(real_logits)

    def update_judge(real, shift):
        fake = draw(real[0].shape[0], shift)
        with tf.GradientTape() as tape:
            logits = [gan.discriminator(maps, training=True) for maps in (real, fake)]
            adversarial = mean_over_heads(discriminator_loss, *logits)
            r1, r2 = penalty(real), penalty(fake)
            loss = adversarial + config.r1_gamma / 2 * r1 + config.r2_gamma / 2 * r2
        steps.descend(tape, loss, gan.discriminator, gan.discriminator_optimizer)
        return {"d_loss": adversarial, "r1": r1, "r2": r2}

    def judge_step(real_images):
        return update_judge(*see_moved(real_images))

    def step(real_images):
        real, shift = see_moved(real_images)
        values = update_judge(real, shift)
        with tf.GradientTape() as tape:
            fake = draw(real_images.shape[0], shift)
            logits = [gan.discriminator(maps, training=True) for maps in (real, fake)]
            loss = mean_over_heads(generator_loss, *logits)
        steps.descend(tape, loss, gan.generator, gan.generator_optimizer)
        steps.update_average(gan, config)
        return values | {"g_loss": loss}

    return tuple(tf.function(update, autograph=False) for update in (judge_step, step))


def report_function(gan, folder):
    """Return a function that measures the averaged generator, and saves a picture of samples."""
    held_out = catalog.load("avatars", size=SIZE, count=SAMPLES, split="test").images
    held_out_features = features.extract(held_out)

    def report(images_seen, values):
        samples = steps.sample(gan.ema_generator, SAMPLES, latent_dim=LATENT_DIM, seed=1)
        distance = float(metrics.kernel_distance(features.extract(samples), held_out_features))
        variations = sorted(total_variations(samples)[0].items(), key=lambda pair: -pair[1])
        print(
            f"{images_seen:,} images: kernel distance {distance:.4f}, total variation "
            f"{variations[:3]}", {name: round(float(value), 3) for name, value in values.items()},
            flush=True,
        )  # fmt: skip
        images.save_png(
            folder / f"{images_seen:06d}.png",
            2 * plots.montage(plots.to_display(samples[:64]), 16) - 1,
        )
        return distance

    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images-seen", type=int, default=96_000)
    parser.add_argument("--alone", type=int, default=4_800, help="images that only the judge sees")
    parser.add_argument("--gamma", type=float, default=0.02, help="of R1 and R2")
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--judge-rate", type=float, default=1e-2)
    parser.add_argument("--half-life", type=float, default=6_000, help="of the average, in images")
    parser.add_argument("--count", type=int, default=16_000, help="avatars that the reader sees")
    parser.add_argument("--epochs", type=int, default=6, help="of the reader")
    parser.add_argument("--faces", type=int, default=60_000, help="training avatars")
    parser.add_argument("--report-every", type=int, default=24_000)
    parser.add_argument("--seed", type=int, default=3)
    settings = parser.parse_args()
    runtime.setup(seed=settings.seed)
    started, before = time.perf_counter(), shipped.facts(NAME)
    folder = runtime.results_dir() / "sharpen_faces"
    view = view_of(reader_of(settings, folder / f"reader_{settings.seed}.npz"))
    gan = build(view, settings)
    config = steps.GanStepConfig(
        latent_dim=LATENT_DIM, loss="relativistic", r1_gamma=settings.gamma,
        r2_gamma=settings.gamma, penalty_share=0.25,
        ema_decay=0.5 ** (BATCH_SIZE / settings.half_life),
    )  # fmt: skip
    faces = catalog.load("avatars", size=SIZE, count=settings.faces)
    batches = pipeline.batches(faces, BATCH_SIZE, seed=settings.seed)
    report = report_function(gan, folder)
    judge_step, step = make_steps(gan, view, config)
    stages = {
        "alone": (judge_step, settings.alone, None),
        "together": (step, settings.images_seen, report),
    }
    for name, (update, images_seen, on_report) in stages.items():
        train.fit(
            update, batches, images_seen=images_seen, state=gan.objects(), config=config,
            folder=folder / name, report_every=settings.report_every, on_report=on_report,
            progress=False,
        )  # fmt: skip
    facts = provenance(seed=settings.seed, started=started)
    images_seen = before["images_seen"] + settings.images_seen
    distance = report(settings.images_seen, {})
    ship(gan.ema_generator, distance, before, images_seen=images_seen, **facts)
    measure()


if __name__ == "__main__":
    main()
