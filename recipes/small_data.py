"""What helps a classifier that overfits, one cure at a time: python recipes/small_data.py

The article's network learns the ten expressions from few pictures. Every arm changes one thing in
the same recipe, and meets the same subsets of pictures; seeds change subset, weights and order.
Writes data/results/04_small_data.json.
"""

import argparse
import dataclasses
import json
import time

import keras
import numpy as np
from provenance import provenance

from course_lib import classify, runtime, shipped, train
from course_lib.datasets import catalog, pipeline
from course_lib.networks import classifiers

SIZE, BATCH_SIZE, TEST = 128, 50, 2_000


@dataclasses.dataclass(frozen=True)
class Arm:
    """What an arm does differently."""

    augmentations: tuple = ()
    dropout: float = 0.0
    weight_decay: float = 0.0
    schedule: bool = False
    more_layers: bool = False
    longer: int = 1
    pretrained: str = ""  # name of a shipped network
    fine_tuned: bool = True  # or its head alone is trained


ARMS = {
    "nothing": Arm(),
    "crop": Arm(("crop",)),
    "flip": Arm(("flip",)),
    "rotation": Arm(("rotate",)),
    "colour": Arm(("colour",)),
    "MixUp": Arm(("mixup",)),
    "CutMix": Arm(("cutmix",)),
    "dropout": Arm(dropout=0.5),
    "weight decay": Arm(weight_decay=0.3),
    "learning-rate schedule": Arm(schedule=True),
    "more layers": Arm(more_layers=True),
    "three times as long": Arm(longer=3),
    "reader of other attributes, new head": Arm(pretrained="attribute_reader", fine_tuned=False),
    "reader of other attributes, fine-tuned": Arm(pretrained="attribute_reader"),
    "reader of all attributes, new head": Arm(pretrained="avatar_encoder", fine_tuned=False),
    "reader of all attributes, fine-tuned": Arm(pretrained="avatar_encoder"),
    "flip, colour, dropout, schedule, more layers": Arm(
        ("flip", "colour"), dropout=0.5, schedule=True, more_layers=True, longer=2
    ),
}


def accuracy(arm, data, test, *, seed, epochs):
    """Return (test accuracy, training accuracy, seconds) of one arm with one seed."""
    keras.utils.set_random_seed(seed)
    started = time.perf_counter()
    if arm.pretrained:
        model = fine_tune(arm, data, seed=seed, epochs=epochs)
    else:
        model = classifiers.article(dropout=arm.dropout, more_layers=arm.more_layers)
        fit(model, arm, data, seed=seed, epochs=epochs * arm.longer, rate=1e-3)
    seconds = time.perf_counter() - started
    shares = [
        classify.measure(classify.predict(model, part.images), part.labels["expression"])
        for part in (test, data)
    ]
    return shares[0]["accuracy"], shares[1]["accuracy"], seconds


def fit(model, arm, data, *, seed, epochs, rate):
    updates = epochs * len(data) // BATCH_SIZE
    schedule = classify.warm_cosine(rate, updates) if arm.schedule else rate
    optimizer = classify.adamw(schedule, weight_decay=arm.weight_decay)
    config = classify.ClassifierStepConfig(augmentations=arm.augmentations)
    random = keras.random.SeedGenerator(seed)
    train.fit(
        classify.make_classifier_step(model, optimizer, config, seed=random),
        pipeline.batches(data, BATCH_SIZE, seed=seed, labels="expression"),
        images_seen=updates * BATCH_SIZE,
        state={"model": model, "optimizer": optimizer, "seed": random},
        progress=False,
    )


def fine_tune(arm, data, *, seed, epochs):
    """Phase 1 trains the new head on fixed features; phase 2 everything, at a lower rate."""
    model = classifiers.with_new_head(trunk(arm.pretrained), 10)
    phases = [(False, 1e-3), (True, 3e-4)] if arm.fine_tuned else [(False, 1e-3)]
    for everything, rate in phases:
        for layer in model.layers[:-1]:
            layer.trainable = everything
        fit(model, arm, data, seed=seed, epochs=epochs // 2, rate=rate)
    return model


def trunk(name):
    """Return a copy of a shipped network that reads 128x128 and gives a vector."""
    network = keras.models.clone_model(shipped.load(name))
    network.set_weights(shipped.load(name).get_weights())
    if name == "attribute_reader":
        return network
    images = keras.Input((SIZE, SIZE, 3))
    half = keras.layers.AveragePooling2D(2)(images)  # this one reads 64x64
    features = keras.Model(network.input, network.output["features"])
    return keras.Model(images, features(half))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=600, help="training pictures")
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--dry", action="store_true", help="write nothing")
    settings = parser.parse_args()
    runtime.setup(seed=0, precision="mixed_bfloat16")
    started = time.perf_counter()
    pool = catalog.load("expressions", size=SIZE, count=settings.seeds * settings.count)
    test = catalog.load("expressions", size=SIZE, count=TEST, split="test")
    results = {name: {"test": [], "train": [], "seconds": []} for name in settings.only}
    for seed in range(settings.seeds):
        rows = np.arange(seed * settings.count, (seed + 1) * settings.count)
        for name, found in results.items():
            values = accuracy(ARMS[name], pool.take(rows), test, seed=seed, epochs=settings.epochs)
            for measure, value in zip(found, values, strict=True):
                found[measure].append(round(value, 4))
            print(seed, name, *(f"{value:.3f}" for value in values), flush=True)
            keras.backend.clear_session()
        if not settings.dry:
            write(results, settings, seeds=seed + 1, started=started)


def write(results, settings, *, seeds, started):
    """Store what there is after every seed: a run that is cut off leaves its whole ones."""
    facts = provenance(seed=list(range(seeds)), started=started)
    facts |= {"training pictures": settings.count, "epochs": settings.epochs, "test": TEST}
    path = runtime.DATA_DIR / "results" / "04_small_data.json"
    path.write_text(json.dumps(facts | {"accuracy": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
