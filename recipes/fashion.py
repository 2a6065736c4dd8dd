"""Train the plain classifier on Fashion-MNIST, three seeds: python recipes/fashion.py

Five convolutions with batch normalisation, AdamW, warm-up and cosine; no augmentation. The seconds
are those of training alone, compilation included. Writes data/results/04_fashion.json.
"""

import argparse
import json
import time

import keras
from provenance import provenance

from course_lib import classify, runtime, train
from course_lib.datasets import catalog, pipeline
from course_lib.networks import classifiers

BATCH_SIZE = 128


def fit(data, *, seed, images_seen, rate, weight_decay):
    """Return (trained model, seconds)."""
    keras.utils.set_random_seed(seed)
    model = classifiers.plain(data.images.shape[1:])
    schedule = classify.warm_cosine(rate, images_seen // BATCH_SIZE)
    optimizer = classify.adamw(schedule, weight_decay=weight_decay)
    random = keras.random.SeedGenerator(seed)
    step = classify.make_classifier_step(
        model, optimizer, classify.ClassifierStepConfig(), seed=random
    )
    batches = pipeline.batches(data, BATCH_SIZE, seed=seed, labels="clothing")
    started = time.perf_counter()
    state = {"model": model, "optimizer": optimizer}
    train.fit(step, batches, images_seen=images_seen, state=state, progress=False)
    return model, time.perf_counter() - started


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images-seen", type=int, default=600_000)
    parser.add_argument("--learning-rate", type=float, default=4e-3)
    parser.add_argument("--weight-decay", type=float, default=0.05)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--precision", default="prefer_bfloat16")
    parser.add_argument("--dry", action="store_true", help="write nothing")
    settings = parser.parse_args()
    machine = runtime.setup(seed=0, precision=settings.precision)
    started = time.perf_counter()
    data, test = (catalog.load("fashion_mnist", split=split) for split in ("train", "test"))
    accuracy, seconds = [], []
    for seed in range(settings.seeds):
        model, took = fit(
            data,
            seed=seed,
            images_seen=settings.images_seen,
            rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
        )
        found = classify.measure(classify.predict(model, test.images), test.labels["clothing"])
        accuracy.append(round(found["accuracy"], 4))
        seconds.append(round(took, 1))
        print(f"seed {seed}: test accuracy {accuracy[-1]}, {seconds[-1]} s", flush=True)
    facts = provenance(seed=list(range(settings.seeds)), started=started)
    facts |= {"images_seen": settings.images_seen, "precision": machine.precision}
    if not settings.dry:
        path = runtime.DATA_DIR / "results" / "04_fashion.json"
        path.write_text(
            json.dumps(facts | {"accuracy": accuracy, "seconds": seconds}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
