"""Our face recipe beside TensorFlow's DCGAN tutorial: python recipes/against_tutorial.py

Both train on the same pictures for the same time, in turns of a few seconds. The clock counts the
seconds in which the processor's cores worked for this program, divided by their number, so that a
busy machine changes nothing; drawing samples, measuring and compiling do not count. The judge is
the kernel distance to held-out pictures in the features of the avatar encoder. Grey pictures get
three equal channels; the faces of lfw_subset are taken without its backgrounds.

The tutorial's recipe: a dense layer, three transposed 5x5 convolutions with batch normalisation
from a quarter of the size on, a discriminator of two 5x5 convolutions with dropout, cross-entropy,
Adam with 1e-4, batches of 256, both networks updated from the same generated pictures
(https://www.tensorflow.org/tutorials/generative/dcgan).
Ours: the style-based pair of recipes/train_face_generator.py, grown up to the size. Few pictures
are learned sooner, and an average over as many images as for avatars lags behind: the table on
lfw_subset was made with --half-life 2000 --first-share 0.1 (with the defaults ours came to 0.34
after 10 minutes instead of 0.20).

Writes data/results/08_against_tutorial.json, one entry for each data set and size.
"""

import argparse
import json
import os
import time

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from provenance import provenance, without_path
from train_face_generator import LATENT_DIM, arguments, grow

from course_lib import features, metrics, runtime, steps
from course_lib.datasets import catalog, images, pipeline
from course_lib.networks import style_based

PATH = runtime.DATA_DIR / "results" / "08_against_tutorial.json"
BATCH_SIZE, RATE = 32, 5e-3
TUTORIAL_BATCH, TUTORIAL_LATENT_DIM = 256, 100


def tutorial_generator(size):
    start = size // 4
    x = latents = keras.Input((TUTORIAL_LATENT_DIM,))
    x = layers.Dense(start * start * 256, use_bias=False)(x)
    x = layers.LeakyReLU()(layers.BatchNormalization()(x))
    x = layers.Reshape((start, start, 256))(x)
    for filters, stride in ((128, 1), (64, 2)):
        x = layers.Conv2DTranspose(filters, 5, stride, "same", use_bias=False)(x)
        x = layers.LeakyReLU()(layers.BatchNormalization()(x))
    x = layers.Conv2DTranspose(3, 5, 2, "same", use_bias=False, activation="tanh")(x)
    return keras.Model(latents, x)


def tutorial_discriminator(size):
    x = images = keras.Input((size, size, 3))
    for filters in (64, 128):
        x = layers.LeakyReLU()(layers.Conv2D(filters, 5, 2, "same")(x))
        x = layers.Dropout(0.3)(x)
    return keras.Model(images, layers.Dense(1)(layers.Flatten()(x)))


class Tutorial:
    """The tutorial's two networks and its simultaneous update, in float32, as it has them."""

    title = "TensorFlow's DCGAN tutorial"

    def __init__(self, size, pictures, seconds, seed):
        keras.config.set_dtype_policy("float32")
        self.generator, discriminator = tutorial_generator(size), tutorial_discriminator(size)
        optimizers = [keras.optimizers.Adam(1e-4) for _ in range(2)]
        for optimizer, model in zip(optimizers, (self.generator, discriminator), strict=True):
            optimizer.build(model.trainable_variables)
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        random = keras.random.SeedGenerator(seed)
        batch = min(TUTORIAL_BATCH, len(pictures) // 2)

        @tf.function
        def step(real_images):
            latents = keras.random.normal((batch, TUTORIAL_LATENT_DIM), seed=random)
            with tf.GradientTape() as g_tape, tf.GradientTape() as d_tape:
                fake_images = self.generator(latents, training=True)
                real_logits = discriminator(real_images, training=True)
                fake_logits = discriminator(fake_images, training=True)
                g_loss = loss(tf.ones_like(fake_logits), fake_logits)
                d_loss = loss(tf.ones_like(real_logits), real_logits)
                d_loss += loss(tf.zeros_like(fake_logits), fake_logits)
            for tape, value, model, optimizer in zip(
                (g_tape, d_tape), (g_loss, d_loss), (self.generator, discriminator), optimizers,
                strict=True,
            ):  # fmt: skip
                weights = model.trainable_variables
                optimizer.apply(tape.gradient(value, weights), weights)
            return d_loss

        stream = pipeline.batches(pictures, batch, seed=seed).from_step()
        self.update = lambda _: step(next(stream))
        self.batch_size = batch
        self.samples = lambda count: steps.sample(
            self.generator, count, latent_dim=TUTORIAL_LATENT_DIM, seed=1
        )


class Ours:
    """The style-based pair, grown when its share of the time has passed."""

    title = "ours"

    def __init__(self, size, pictures_of, seconds, seed, *, half_life, first_share):
        self.precision = runtime.setup(seed=seed, precision="prefer_bfloat16").precision
        self.size, self.pictures_of, self.seconds, self.seed = size, pictures_of, seconds, seed
        # Of the time, up to the end of each size.
        self.shares = {16: first_share, 32: 0.35, 64: 1.0}
        self.sizes = [known for known in self.shares if known <= size]
        self.batch_size, self.gan = BATCH_SIZE, None
        self.ema_decay = 0.5 ** (BATCH_SIZE / half_life)
        self._grow()

    def _grow(self):
        size = self.sizes.pop(0)
        self.ends = self.seconds * (self.shares[size] if self.sizes else 1.0)
        keras.config.set_dtype_policy(self.precision)
        built = arguments(size)
        gan = steps.Gan.create(
            style_based.generator(**built),
            style_based.discriminator(built["image_shape"], filters=built["filters"]),
            generator_optimizer=keras.optimizers.Adam(RATE, 0.0, 0.99),
            discriminator_optimizer=keras.optimizers.Adam(RATE, 0.0, 0.99),
            seed=self.seed,
        )
        if self.gan:
            grow(self.gan, gan)
        gamma = 0.5 * (size / 32) ** 2
        config = steps.GanStepConfig(
            latent_dim=LATENT_DIM, loss="relativistic", r1_gamma=gamma, r2_gamma=gamma,
            penalty_share=0.25, ema_decay=self.ema_decay,
        )  # fmt: skip
        self.gan, self.step = gan, steps.make_gan_step(gan, config)
        pictures = self.pictures_of(size)
        self.stream = pipeline.batches(pictures, BATCH_SIZE, seed=self.seed).from_step()
        self.now = size
        self.step(next(self.stream))  # compilation does not count

    def update(self, spent):
        if spent > self.ends and self.sizes:
            self._grow()
        left = (self.seconds - spent) / self.seconds
        # The rate falls along a cosine over the last half of the time.
        rate = RATE * (0.05 + 0.95 * np.sin(np.pi / 2 * min(1, max(0, 2 * left))) ** 2)
        self.gan.generator_optimizer.learning_rate = rate
        self.gan.discriminator_optimizer.learning_rate = rate
        return self.step(next(self.stream))["d_loss"]

    def samples(self, count):
        images = steps.sample(self.gan.ema_generator, count, latent_dim=LATENT_DIM, seed=1)
        if self.now < self.size:  # so far it draws small pictures: enlarged, as anyone would
            images = tf.image.resize(images, (self.size, self.size), "bicubic").numpy()
        return np.clip(images, -1, 1)


def compare(arms, seconds, turn, reports, judge):
    """Train the arms in turns and return, for each, its list of {seconds, images, distance}."""
    cores = len(os.sched_getaffinity(0))
    spent, seen = [0.0] * len(arms), [0] * len(arms)
    curves = [[] for _ in arms]
    for arm in arms:
        arm.update(0.0)
    while min(spent) < seconds:
        for index, arm in enumerate(arms):
            target = min(spent[index] + turn, seconds)
            while spent[index] < target:
                now = getattr(arm, "now", None)
                start = time.process_time()
                float(arm.update(spent[index]))
                if getattr(arm, "now", None) == now:  # growing compiles: not counted
                    spent[index] += (time.process_time() - start) / cores
                seen[index] += arm.batch_size
            if spent[index] >= seconds * (len(curves[index]) + 1) / reports:
                distance = judge(arm)
                curves[index].append(
                    {"seconds": round(spent[index], 1), "images": seen[index],
                     "kernel distance": round(distance, 4)}
                )  # fmt: skip
                print(arm.title, curves[index][-1], flush=True)
    return curves


def verdict(tutorial, ours):
    """Return when ours reached the tutorial's last value, and how the last values compare."""
    last = tutorial[-1]["kernel distance"]
    reached = next((row["seconds"] for row in ours if row["kernel distance"] <= last), None)
    share = reached / tutorial[-1]["seconds"] if reached else None
    return {
        "share of the time": share and round(share, 3),
        "share of the distance": round(ours[-1]["kernel distance"] / last, 3),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="avatars", help="any name of catalog.load")
    parser.add_argument("--size", type=int, default=32, choices=(32, 64))
    parser.add_argument("--minutes", type=float, default=10, help="for each")
    parser.add_argument("--turn", type=float, default=10, help="seconds")
    parser.add_argument("--reports", type=int, default=20)
    parser.add_argument("--count", type=int, default=None, help="training pictures; 40,000 avatars")
    parser.add_argument("--samples", type=int, default=2_000)
    parser.add_argument("--half-life", type=float, default=11_000, help="of our average, in images")
    parser.add_argument(
        "--first-share", type=float, default=0.15, help="of our time, at 16x16 pixels"
    )
    parser.add_argument("--seed", type=int, default=0)
    settings = parser.parse_args()
    runtime.setup(seed=settings.seed)
    started = time.perf_counter()
    drawn = settings.data == "avatars"
    count = settings.count or (40_000 if drawn else None)

    def pictures_of(size, *, split="train", count=count):
        found = catalog.load(settings.data, size=size, count=count, split=split)
        if settings.data == "lfw_subset":
            found = found.only("object", "face")
        return np.repeat(found.pixels, 3 // found.pixels.shape[-1], axis=-1)

    held_out = pictures_of(settings.size, split="test", count=settings.samples if drawn else None)
    held_out_features = features.extract(images.to_float(held_out))

    def judge(arm):
        drawn_features = features.extract(arm.samples(settings.samples))
        return float(metrics.kernel_distance(drawn_features, held_out_features))

    seconds = 60 * settings.minutes
    tutorial = Tutorial(settings.size, pictures_of(settings.size), seconds, settings.seed)
    ours = Ours(
        settings.size, pictures_of, seconds, settings.seed,
        half_life=settings.half_life, first_share=settings.first_share,
    )  # fmt: skip
    arms = [tutorial, ours]
    curves = compare(arms, seconds, settings.turn, settings.reports, judge)
    results = json.loads(PATH.read_text()) if PATH.exists() else {}
    results[f"{without_path(settings.data)} at {settings.size}x{settings.size}"] = {
        **provenance(seed=settings.seed, started=started),
        "precision": arms[1].precision,
        **{arm.title: curve for arm, curve in zip(arms, curves, strict=True)},
        **verdict(*curves),
    }
    PATH.write_text(json.dumps(results, indent=1) + "\n")
    print(verdict(*curves))


if __name__ == "__main__":
    main()
