"""The article's classifier of notebook 04: 128x128 colour images in batches of 64, AdamW."""

import json

import keras
import numpy as np
import tensorflow as tf

from course_lib import classify
from course_lib.networks import classifiers
from tests.benchmarks import protocol, translate
from tests.benchmarks.rows.image_gans import COMPILED, EAGER, PRECISIONS

CLASSES, RATE, DECAY = 10, 1e-3, 0.01


def start(build, shape, kind):
    """Return the network, which begins the same in each precision, and its optimizer."""
    keras.config.set_dtype_policy(PRECISIONS[kind])
    keras.utils.set_random_seed(0)
    return build(shape, CLASSES), classify.adamw(RATE, weight_decay=DECAY)


def ours(model, optimizer, batch):
    """Return the loop of our step."""
    seed, config = keras.random.SeedGenerator(0), classify.ClassifierStepConfig()
    step = classify.make_classifier_step(model, optimizer, config, seed=seed)

    def run(count):
        for _ in range(count):
            values = step(batch)
        return {"loss": values["loss"]}

    return protocol.timed(run)


def fitted(model, optimizer, batch):
    """Return the loop of `keras.Model.fit`."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=False)
    data = tf.data.Dataset.from_tensors(batch).cache().repeat()

    def run(count):
        history = model.fit(data, steps_per_epoch=count, shuffle=False, verbose=0).history
        return {"loss": history["loss"][-1]}

    return protocol.timed(run)


def row(worker, title, build, shape, count, *, unread=0):
    """Return the `protocol.Row` of a classifier.

    Args:
        worker: see `rows`.
        title: of the row.
        build: (image shape, classes) -> model.
        shape, count: of the images of a batch.
        unread: last rows and columns that the first convolution does not read.
    """
    generator = np.random.default_rng(0)
    images = generator.uniform(-1, 1, (count, *shape)).astype("float32")
    labels = generator.integers(0, CLASSES, count).astype("int32")
    batch = tf.constant(images), tf.constant(labels)
    loops = {f"ours, {kind}": ours(*start(build, shape, kind), batch) for kind in PRECISIONS}
    names = tuple(loops)
    for kind in PRECISIONS:
        loops[f"Model.fit, {kind}"] = fitted(*start(build, shape, kind), batch)
    model, _ = start(build, shape, "float32")
    parts, given = translate.describe(model, "classifier")
    settings = json.dumps({"parts": parts, "rate": RATE, "weight_decay": DECAY})
    mirrored = translate.mirror(images, unread)
    torch = worker(
        "classifier.py", given | {"settings": settings, "images": mirrored, "labels": labels}
    )
    if torch:
        loops |= {name: protocol.remote(torch, name) for name in EAGER + COMPILED}
    work = 3 * count * protocol.forward_work(model)
    return protocol.Row(title, "step", loops, names, count=5, work=work)


def prepare(worker):
    # Windows of 3 pixels, 4 apart, end before the last of 128.
    title = "the article's classifier, 128x128x3, batch 64"
    return row(worker, title, classifiers.article, (128, 128, 3), 64, unread=1)
