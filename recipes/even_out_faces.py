"""Give the attributes of the shipped faces their shares: python recipes/even_out_faces.py

The discriminator of recipes/train_face_generator.py judges one picture at a time: it has little to
say about how often a mouth is open. What a share depends on is where the mapping network sends the
latents. So it alone is trained further, the drawing part stays as it is: the mean probabilities
that a reader gives to each value of each attribute are to be those of avatars.

The reader is trained here, with another seed, narrower and shorter than the shipped encoder, and
not kept; its avatars are among those of the encoder. Kernel distance and total variation are
measured with the shipped encoder, which has no part in this. Writes data/checkpoints/faces_64.npz
with its provenance, the old one's among it.
"""

import argparse
import time

import keras
import numpy as np
import tensorflow as tf
import train_avatar_encoder
from provenance import provenance
from train_face_generator import LATENT_DIM, NAME, SAMPLES, arguments, measure

from course_lib import features, metrics, runtime, shipped, steps
from course_lib.datasets import avatars, catalog
from course_lib.networks import encoder, style_based

HEADS = {name: len(values) for name, values in avatars.ATTRIBUTES.items()}
MEASURES = ("kernel_distance", "total variation")
KEPT = ("command", "seed", "commit", "minutes", "images_seen", *MEASURES, "note", "before")


def untrained_reader():
    """Return a network of its own that is to read every attribute."""
    return encoder.encoder(features.IMAGE_SIZE, HEADS, widths=(24, 48, 96, 192))


def trained_reader(settings):
    """Return one that has seen the avatars, frozen."""
    reader = untrained_reader()
    train_avatar_encoder.train(reader, HEADS, count=settings.count, epochs=settings.epochs)
    reader.trainable = False
    return reader


def shares(reader, images):
    """Return dict of attribute -> mean probabilities of its values, float32 (values,)."""
    logits = reader(images, training=False)
    return {name: tf.reduce_mean(tf.nn.softmax(logits[name]), axis=0) for name in HEADS}


def make_step(generator, reader, wanted, optimizer, batch_size):
    r"""Return the update of the mapping network: () -> float32 scalar.

    It descends the chi-square distance $\sum_v (q_v - p_v)^2/p_v$ of the shares q from the wanted
    ones p, summed over the attributes. One factor of the square comes from each half of the batch:
    their product is unbiased, while the square of one estimate would grow with its scatter and so
    punish variety.
    """
    mapping, synthesis = generator.get_layer("mapping"), generator.get_layer("synthesis")
    layers = synthesis.input_shape[1]
    optimizer.build(mapping.trainable_variables)

    def distance(images):
        halves = [shares(reader, half) for half in tf.split(images, 2)]
        return sum(
            tf.reduce_sum((halves[0][name] - p) * (halves[1][name] - p) / p)
            for name, p in wanted.items()
        )

    def step():
        latents = keras.random.normal((batch_size, LATENT_DIM))
        with tf.GradientTape() as tape:
            styles = tf.repeat(mapping(latents)[:, None], layers, axis=1)
            loss = distance(synthesis(styles))
        steps.descend(tape, loss, mapping, optimizer)
        return loss

    return tf.function(step, autograph=False)


def ship(generator, distance, before, **facts):
    """Write the generator in the place of the one before, whose facts go among its own."""
    shipped.save(
        generator, NAME, builder="style_based.generator", arguments=arguments(64), **facts,
        kernel_distance=round(distance, 4), samples=SAMPLES,
        before={name: before[name] for name in KEPT if name in before},
    )  # fmt: skip
    shipped.load.cache_clear()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=16_000, help="avatars that the reader sees")
    parser.add_argument("--epochs", type=int, default=6, help="of the reader")
    parser.add_argument("--updates", type=int, default=500)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=2e-2)
    parser.add_argument("--seed", type=int, default=1)
    settings = parser.parse_args()
    runtime.setup(seed=settings.seed)
    started, before = time.perf_counter(), shipped.facts(NAME)
    reader = trained_reader(settings)
    wanted = shares(reader, catalog.load("avatars", size=64, count=SAMPLES).images)
    generator = style_based.generator(**arguments(64))
    generator.set_weights(shipped.load(NAME).get_weights())
    rate = keras.optimizers.schedules.CosineDecay(settings.learning_rate, settings.updates)
    optimizer = keras.optimizers.Adam(rate, 0.5, 0.99)
    step = make_step(generator, reader, wanted, optimizer, settings.batch_size)
    losses = []
    for update in range(1, settings.updates + 1):
        losses.append(float(step()))
        if update % 50 == 0:
            print(f"{update} updates: distance {np.mean(losses[-50:]):.3f}", flush=True)
    samples = steps.sample(generator, SAMPLES, latent_dim=LATENT_DIM, seed=1)
    held_out = catalog.load("avatars", size=64, count=SAMPLES, split="test").images
    distance = metrics.kernel_distance(*(features.extract(x) for x in (samples, held_out)))
    facts = provenance(seed=settings.seed, started=started)
    ship(generator, distance, before, images_seen=before["images_seen"], **facts)
    measure()


if __name__ == "__main__":
    main()
