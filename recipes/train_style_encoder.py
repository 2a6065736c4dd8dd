"""Train the style encoder of `course_lib.features`: python recipes/train_style_encoder.py

Without labels and without a download: the network reads from which place of which picture a patch
comes, after the patch was cropped, turned, recoloured and made noisy (Dosovitskiy et al. 2014;
that so few pictures are enough for the early layers: Asano et al. 2020). The pictures: the
photographs and textures of scikit-image and scikit-learn, avatars, our own paintings. Batch
normalisation is folded into the convolutions afterwards, and each channel scaled to the mean
activation 1 over the pictures (Gatys et al. 2016, section 2). Writes data/checkpoints/
style_encoder.npz with its provenance.
"""

import argparse
import time

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from provenance import provenance

from course_lib import runtime, shipped
from course_lib.datasets import catalog, paintings
from course_lib.networks import vgg
from course_lib.networks.normalization import FusedBatchNormalization

NAME = "style_encoder"
ARGUMENTS = {"widths": [32, 64, 128, 256], "depths": [2, 2, 2, 2]}
SIDE = 384  # of the pictures
PATCH = 48
CELLS = 4  # a picture is cut into CELLS x CELLS places


def pictures():
    """Return uint8 (count, SIDE, SIDE, 3): what the patches are taken from."""
    found = [catalog.load("photographs", size=SIDE).pixels]
    found.append(np.repeat(catalog.load("textures", size=SIDE).pixels, 3, axis=-1))
    found.append(catalog.load("avatars", size=256, count=48).pixels.repeat(2, 1).repeat(2, 2))
    found[-1] = found[-1][:, 64:-64, 64:-64]
    painted = [paintings.make(m, size=SIDE, seed=s) for m in paintings.MANNERS for s in range(5, 9)]
    return np.concatenate([*found, np.stack(painted)])


def patches(sources, batch, seed):
    """Return a function: step number -> (float patches in [-1, 1], the places they come from)."""
    sources = tf.constant(sources)

    def draw(step):
        def uniform(salt, shape, low, high):
            return tf.random.stateless_uniform(shape, [seed * 100 + salt, step], low, high)

        picture = tf.random.stateless_uniform(
            (batch,), [seed * 100, step], 0, len(sources), tf.int32
        )
        cell = tf.random.stateless_uniform((batch, 2), [seed * 100 + 1, step], 0, CELLS, tf.int32)
        centre = (tf.cast(cell, tf.float32) + uniform(2, (batch, 2), 0.15, 0.85)) / CELLS
        half = PATCH / SIDE / 2 * tf.exp(uniform(3, (batch, 1), -0.45, 0.55))
        half = half * tf.exp(uniform(4, (batch, 2), -0.15, 0.15))
        half *= tf.concat([tf.ones((batch, 1)), tf.sign(uniform(5, (batch, 1), -1, 1))], 1)
        centre = tf.clip_by_value(centre, tf.abs(half), 1 - tf.abs(half))
        boxes = tf.concat([centre - half, centre + half], 1)
        crops = tf.image.crop_and_resize(sources, boxes, picture, (PATCH, PATCH)) / 127.5 - 1
        one = (batch, 1, 1, 1)
        grey = tf.reduce_mean(crops, -1, keepdims=True)
        crops = grey + (crops - grey) * uniform(6, one, 0.5, 1.5)
        crops = crops * uniform(7, one, 0.6, 1.3) + uniform(8, one, -0.25, 0.25)
        crops *= 1 + uniform(9, (batch, 1, 1, 3), -0.12, 0.12)
        noise = tf.random.stateless_normal(tf.shape(crops), [seed * 100 + 10, step])
        crops += noise * uniform(11, one, 0, 0.12)
        return crops, (picture * CELLS + cell[:, 0]) * CELLS + cell[:, 1]

    return draw


def learner(places):
    """Return the network with batch normalisation, and one head on each block but the first."""
    x = images = keras.Input((PATCH, PATCH, 3))
    outputs = {}
    for block, (width, depth) in enumerate(
        zip(ARGUMENTS["widths"], ARGUMENTS["depths"], strict=True), start=1
    ):
        if block > 1:
            x = layers.AveragePooling2D(2)(x)
        for number in range(1, depth + 1):
            name = f"block{block}_conv{number}"
            x = layers.Conv2D(
                width, 3, padding="same", use_bias=False, kernel_initializer="he_normal", name=name
            )(x)
            x = layers.ReLU()(FusedBatchNormalization(name=f"{name}_norm")(x))
        if block > 1:
            pooled = layers.GlobalAveragePooling2D(dtype="float32")(x)
            outputs[f"block{block}"] = layers.Dense(places, dtype="float32")(pooled)
    return keras.Model(images, outputs)


def folded(trained, sources):
    """Return the plain encoder: normalisation folded in, every channel's mean activation 1."""
    plain = vgg.vgg(**ARGUMENTS)
    before = np.ones(3)  # by how much the inputs of this layer were divided
    norms = {layer.name: layer for layer in trained.layers if layer.name.endswith("_norm")}
    sample = tf.constant(sources[:: max(1, len(sources) // 24)], tf.float32) / 127.5 - 1
    for name in plain.output:
        norm = norms[f"{name}_norm"]
        gamma, beta, mean, variance = (
            np.asarray(value, "float64")
            for value in (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
        )
        kernel = np.asarray(trained.get_layer(name).kernel, "float64")
        slope = gamma / np.sqrt(variance + norm.epsilon)
        kernel, bias = kernel * slope * before[:, None], beta - mean * slope
        layer = plain.get_layer(name)
        layer.set_weights([kernel, bias])
        activity = np.mean(plain(sample)[name], axis=(0, 1, 2)).astype("float64")
        scale = 1 / np.maximum(activity, 1e-2)
        layer.set_weights([kernel * scale, bias * scale])
        before = 1 / scale
    return plain


def train(model, sources, *, steps, batch, seed, rate):
    schedule = keras.optimizers.schedules.CosineDecay(
        1e-5, steps - 300, warmup_target=rate, warmup_steps=300
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=5e-4)
    optimizer.build(model.trainable_variables)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    draw = patches(sources, batch, seed)
    weights = {"block2": 0.3, "block3": 0.3, "block4": 1.0}

    @tf.function
    def update(step):
        crops, places = draw(step)
        with tf.GradientTape() as tape:
            logits = model(crops, training=True)
            value = sum(weights[name] * loss(places, logits[name]) for name in weights)
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(value, variables), variables)
        right = {n: tf.reduce_mean(tf.cast(tf.argmax(logits[n], 1, tf.int32) == places, tf.float32))
                 for n in weights}  # fmt: skip
        return value, right

    averages = {name: 0.0 for name in weights}
    started = time.perf_counter()
    for step in range(steps):
        _, right = update(tf.constant(step))
        averages = {n: 0.98 * averages[n] + 0.02 * float(right[n]) for n in averages}
        if (step + 1) % 200 == 0:
            rounded = {name: round(value, 3) for name, value in averages.items()}
            print(step + 1, round(time.perf_counter() - started), rounded, flush=True)
    return {name: round(value, 3) for name, value in averages.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=4_000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    settings = parser.parse_args()
    runtime.setup(seed=settings.seed, precision="prefer_bfloat16")
    started = time.perf_counter()
    sources = pictures()
    places = len(sources) * CELLS**2
    print(len(sources), "pictures,", places, "places", flush=True)
    model = learner(places)
    right = train(
        model, sources, steps=settings.steps, batch=settings.batch, seed=settings.seed,
        rate=settings.rate,
    )  # fmt: skip
    keras.config.set_dtype_policy("float32")
    facts = provenance(seed=settings.seed, started=started)
    facts |= {"patches": settings.steps * settings.batch, "places": places}
    shipped.save(
        folded(model, sources), NAME, builder="vgg.vgg", arguments=ARGUMENTS,
        **facts, **{"share of patches placed, by block": right},
    )  # fmt: skip


if __name__ == "__main__":
    main()
