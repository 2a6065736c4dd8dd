"""Train the avatar encoder of `course_lib.features`: python recipes/train_avatar_encoder.py

Every attribute of the avatars is read from one feature vector. Some of the training pictures
are halved in size and restored, some get noise, so that the features also describe small and
imperfect pictures. Writes data/checkpoints/avatar_encoder.npz with its provenance.
"""

import argparse
import time

import keras
import numpy as np
import tensorflow as tf
from provenance import provenance

from course_lib import features, runtime, shipped
from course_lib.datasets import avatars, images
from course_lib.networks import encoder

NAME = "avatar_encoder"
HELD_OUT_SEED = 1_000_000  # training uses seed 1


def degraded(batch, labels):
    """Return the batch with about a third of it at half resolution, and noise on all of it."""
    coarse = tf.image.resize(tf.nn.avg_pool2d(batch, 2, 2, "VALID"), tf.shape(batch)[1:3])
    one_each = (tf.shape(batch)[0], 1, 1, 1)
    batch = tf.where(tf.random.uniform(one_each) < 0.35, coarse, batch)
    noise = tf.random.uniform(one_each, 0, 0.1) * tf.random.normal(tf.shape(batch))
    return batch + noise, labels


def training_data(count, batch_size):
    pixels, labels = avatars.make(count, size=features.IMAGE_SIZE, seed=1)
    data = tf.data.Dataset.from_tensor_slices((pixels, labels)).shuffle(count, seed=0)
    data = data.batch(batch_size, drop_remainder=True)
    data = data.map(lambda x, y: (tf.cast(x, tf.float32) / 127.5 - 1, y))
    return data.map(degraded, 2).prefetch(2)


def train(model, heads, *, count, epochs, batch_size=128):
    updates = count // batch_size * epochs
    schedule = keras.optimizers.schedules.CosineDecay(
        1e-5, updates - 200, warmup_target=4e-3, warmup_steps=200
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=1e-3)
    model.compile(optimizer, loss=dict.fromkeys(heads, loss), jit_compile=False)
    model.fit(training_data(count, batch_size), epochs=epochs, shuffle=False, verbose=2)


def accuracies(size, count=4000):
    """Return attribute -> accuracy of the shipped encoder on held-out avatars of a size."""
    pixels, labels = avatars.make(count, size=size, seed=HELD_OUT_SEED)
    predicted = features.predict_attributes(images.to_float(pixels))
    return {name: round(float(np.mean(predicted[name] == labels[name])), 4) for name in labels}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=40_000, help="training avatars")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    settings = parser.parse_args()
    runtime.setup(seed=settings.seed, precision="mixed_bfloat16")
    arguments = {
        "image_size": features.IMAGE_SIZE,
        "heads": {name: len(values) for name, values in avatars.ATTRIBUTES.items()},
    }
    model = encoder.encoder(**arguments)
    started = time.perf_counter()
    train(model, arguments["heads"], count=settings.count, epochs=settings.epochs)
    facts = provenance(seed=settings.seed, started=started)
    facts |= {"builder": "encoder.encoder", "arguments": arguments}
    shipped.save(model, NAME, **facts)
    keras.mixed_precision.set_global_policy("float32")
    # Measured as it is stored: float16 weights, float32 arithmetic.
    measures = {f"accuracy at {size} pixels": accuracies(size) for size in (64, 32)}
    shipped.save(shipped.load(NAME), NAME, **facts, **measures)
    print(measures)


if __name__ == "__main__":
    main()
