"""The article's classifier of notebook 04: 128x128 colour images in batches of 64, AdamW."""

import json

import keras
import numpy as np
import tensorflow as tf

from course_lib import classify
from course_lib.networks import classifiers
from tests.benchmarks import protocol, translate
from tests.benchmarks.rows.image_gans import COMPILED, EAGER, PRECISIONS

SHAPE, BATCH, CLASSES, RATE, DECAY = (128, 128, 3), 64, 10, 1e-3, 0.01
UNREAD = 1  # windows of 3 pixels, 4 apart, end before the last of 128


def start(kind):
    """Return the network, which begins the same in each precision, and its optimizer."""
    keras.config.set_dtype_policy(PRECISIONS[kind])
    keras.utils.set_random_seed(0)
    return classifiers.article(SHAPE, CLASSES), classify.adamw(RATE, weight_decay=DECAY)


def ours(kind, batch):
    seed = keras.random.SeedGenerator(0)
    step = classify.make_classifier_step(*start(kind), classify.ClassifierStepConfig(), seed=seed)

    def run(count):
        for _ in range(count):
            values = step(batch)
        return {"loss": values["loss"]}

    return protocol.timed(run)


def fitted(kind, batch):
    model, optimizer = start(kind)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=False)
    data = tf.data.Dataset.from_tensors(batch).cache().repeat()

    def run(count):
        history = model.fit(data, steps_per_epoch=count, shuffle=False, verbose=0).history
        return {"loss": history["loss"][-1]}

    return protocol.timed(run)


def prepare(worker):
    generator = np.random.default_rng(0)
    images = generator.uniform(-1, 1, (BATCH, *SHAPE)).astype("float32")
    labels = generator.integers(0, CLASSES, BATCH).astype("int32")
    batch = tf.constant(images), tf.constant(labels)
    loops = {f"ours, {kind}": ours(kind, batch) for kind in PRECISIONS}
    names = tuple(loops)
    loops |= {f"Model.fit, {kind}": fitted(kind, batch) for kind in PRECISIONS}
    model, _ = start("float32")
    parts, given = translate.describe(model, "classifier")
    settings = json.dumps({"parts": parts, "rate": RATE, "weight_decay": DECAY})
    given |= {"settings": settings, "images": translate.mirror(images, UNREAD), "labels": labels}
    torch = worker("classifier.py", given)
    if torch:
        loops |= {name: protocol.remote(torch, name) for name in EAGER + COMPILED}
    return protocol.Row(
        f"the article's classifier, {SHAPE[0]}x{SHAPE[1]}x3, batch {BATCH}", "step", loops, names,
        count=5, work=3 * BATCH * protocol.forward_work(model),
    )  # fmt: skip
