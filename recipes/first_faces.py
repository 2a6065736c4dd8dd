"""Compare the two GANs of notebook 06 over three seeds: python recipes/first_faces.py

Both see the same number of 32x32 avatars; the kernel distance is measured on held-out ones.
Writes data/results/06_first_faces.json.
"""

import argparse
import json
import time

import keras
from provenance import provenance

from course_lib import features, metrics, runtime, steps, train
from course_lib.datasets import catalog, pipeline
from course_lib.networks import dcgan, mlp

SAMPLES, LATENT_DIM = 2_000, 64


def fully_connected(image_shape, images_seen):
    networks = mlp.generator(LATENT_DIM, image_shape), mlp.discriminator(image_shape)
    optimizers = [keras.optimizers.Adam(2e-4, 0.5) for _ in networks]
    return networks, optimizers, steps.GanStepConfig(latent_dim=LATENT_DIM), 64


def convolutional(image_shape, images_seen):
    networks = (
        dcgan.generator(LATENT_DIM, image_shape, base_filters=48),
        dcgan.discriminator(image_shape, base_filters=32, batch_norm=False),
    )
    rate = keras.optimizers.schedules.CosineDecay(2e-3, images_seen // 32, alpha=0.05)
    optimizers = [keras.optimizers.Adam(rate, 0.0, 0.99) for _ in networks]
    config = steps.GanStepConfig(
        latent_dim=LATENT_DIM, r1_gamma=0.8, penalty_share=0.25, ema_decay=0.9975
    )
    return networks, optimizers, config, 32


def distance(arm, *, seed, images_seen, faces, held_out_features):
    """Train one arm with one seed and return its kernel distance."""
    keras.utils.set_random_seed(seed)
    (generator, discriminator), optimizers, config, batch_size = arm(
        faces.images.shape[1:], images_seen
    )
    gan = steps.Gan.create(
        generator,
        discriminator,
        generator_optimizer=optimizers[0],
        discriminator_optimizer=optimizers[1],
        seed=seed,
    )
    batches = pipeline.batches(faces, batch_size, seed=seed)
    step = steps.make_gan_step(gan, config)
    train.fit(step, batches, images_seen=images_seen, state=gan.objects(), progress=False)
    samples = steps.sample(gan.ema_generator, SAMPLES, latent_dim=LATENT_DIM, seed=1)
    return metrics.kernel_distance(features.extract(samples), held_out_features)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images-seen", type=int, default=307_200)
    parser.add_argument("--seeds", type=int, default=3)
    settings = parser.parse_args()
    runtime.setup(seed=0)
    started = time.perf_counter()
    faces = catalog.load("avatars", size=32, count=20_000)
    held_out = catalog.load("avatars", size=32, count=SAMPLES, split="test")
    others = catalog.load("avatars", size=32, count=SAMPLES, seed=1)
    held_out_features = features.extract(held_out.images)
    floor = metrics.kernel_distance(features.extract(others.images), held_out_features)
    results = {"fully connected": [], "DCGAN": []}
    for seed in range(settings.seeds):
        for name, arm in zip(results, (fully_connected, convolutional), strict=True):
            value = distance(
                arm,
                seed=seed,
                images_seen=settings.images_seen,
                faces=faces,
                held_out_features=held_out_features,
            )
            results[name].append(round(value, 4))
            print(f"{name}, seed {seed}: {value:.4f} (floor {floor:.4f})", flush=True)
    facts = provenance(seed=list(range(settings.seeds)), started=started)
    facts |= {"kernel distance": results, "floor": round(floor, 4), "samples": SAMPLES}
    path = runtime.DATA_DIR / "results" / "06_first_faces.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
