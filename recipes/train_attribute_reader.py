"""Train the network that notebook 04 starts from: python recipes/train_attribute_reader.py

The article's network, at 128x128, learns to read attributes of avatars that the ten classes of
"expressions" do not depend on: everything but mouth and glasses. Its last layer holds the logits
of all attributes side by side. Writes data/checkpoints/attribute_reader.npz with its provenance.
"""

import argparse
import time

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from provenance import provenance

from course_lib import augment, classify, runtime, shipped, steps, train
from course_lib.datasets import avatars, catalog, pipeline
from course_lib.networks import classifiers

NAME, SIZE, BATCH_SIZE, SEED_OF_DATA = "attribute_reader", 128, 64, 1_000
ATTRIBUTES = tuple(name for name in avatars.ATTRIBUTES if name not in ("mouth", "glasses"))
COUNTS = [len(avatars.ATTRIBUTES[name]) for name in ATTRIBUTES]


def make_step(model, optimizer, codes, seed):
    """Return the compiled update: (images, rows of `codes`) -> {"loss"}."""
    codes = tf.constant(codes)

    def step(batch):
        images, rows = batch
        images, _ = augment.crop(images, None, seed, share=0.03)
        with tf.GradientTape() as tape:
            loss = attribute_loss(model(images, training=True), tf.gather(codes, rows))
        steps.descend(tape, loss, model, optimizer)
        return {"loss": loss}

    optimizer.build(model.trainable_variables)
    return tf.function(step, autograph=False)


def attribute_loss(logits, codes):
    """Return the mean cross-entropy over pictures and attributes."""
    parts = tf.split(logits, COUNTS, axis=1)
    losses = [
        ops.mean(ops.sparse_categorical_crossentropy(codes[:, k], part, from_logits=True))
        for k, part in enumerate(parts)
    ]
    return sum(losses) / len(losses)


def accuracies(model):
    """Return attribute -> accuracy on held-out pictures."""
    held_out = catalog.load("expressions", size=SIZE, count=2_000, split="test", seed=SEED_OF_DATA)
    logits = model.predict(held_out.images, batch_size=200, verbose=0)
    ends = np.cumsum(COUNTS)
    return {
        name: round(float((logits[:, end - n : end].argmax(1) == held_out.labels[name]).mean()), 4)
        for name, n, end in zip(ATTRIBUTES, COUNTS, ends, strict=True)
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=12_000, help="training pictures")
    parser.add_argument("--images-seen", type=int, default=240_000)
    parser.add_argument("--seed", type=int, default=0)
    settings = parser.parse_args()
    runtime.setup(seed=settings.seed, precision="mixed_bfloat16")
    started = time.perf_counter()
    data = catalog.load("expressions", size=SIZE, count=settings.count, seed=SEED_OF_DATA)
    codes = np.stack([data.labels[name] for name in ATTRIBUTES], axis=1).astype(np.int32)
    arguments = {"image_shape": [SIZE, SIZE, 3], "classes": sum(COUNTS)}
    model = classifiers.article(**arguments)
    updates = settings.images_seen // BATCH_SIZE
    optimizer = classify.adamw(classify.warm_cosine(1e-3, updates), weight_decay=0.02)
    seed = keras.random.SeedGenerator(settings.seed)
    train.fit(
        make_step(model, optimizer, codes, seed),
        pipeline.batches(data, BATCH_SIZE, seed=settings.seed, labels=np.arange(len(data))),
        images_seen=settings.images_seen,
        state={"model": model, "optimizer": optimizer, "seed": seed},
        on_report=lambda seen, values: print(seen, values, flush=True),
        progress=False,
    )
    facts = provenance(seed=settings.seed, started=started, images_seen=settings.images_seen)
    facts |= {"builder": "classifiers.article", "arguments": arguments}
    measured = accuracies(model)
    shipped.save(model, NAME, **facts, accuracy=measured)
    print(measured)


if __name__ == "__main__":
    main()
