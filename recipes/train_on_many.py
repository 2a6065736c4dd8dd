"""Train a face generator on one device or many: python recipes/train_on_many.py --help

The same on several: python -m course_lib.launch [--workers 2] recipes/train_on_many.py ...
On one host all GPUs are used; --cpus 2 tries that out where there is none. Every setting below
means the same whatever the number of devices: the batch is split among them.
"""

import argparse
import contextlib

import keras
import numpy as np

from course_lib import runtime, scaling, steps, train
from course_lib.datasets import catalog, pipeline
from course_lib.networks import mlp, residual, style_based
from course_lib.replicas import Replicas

LATENT_DIM, WIDEST = 64, 128


def networks(settings):
    """Return an untrained generator and discriminator; none looks at more than one image."""
    shape = (settings.size, settings.size, 3)
    sides = [2**k for k in range(2, settings.size.bit_length())]
    filters = [min(WIDEST, settings.width * settings.size // side) for side in sides]
    if settings.network == "mlp":
        return mlp.generator(LATENT_DIM, shape), mlp.discriminator(shape)
    if settings.network == "residual":
        generator = residual.generator(LATENT_DIM, shape, filters=filters)
        return generator, residual.discriminator(shape, filters=filters[::-1])
    generator = style_based.generator(LATENT_DIM, shape, filters=filters, mixing=0.0)
    return generator, style_based.discriminator(shape, filters=filters)


def build(settings):
    """Return an untrained pair and the configuration of its update."""
    generator, discriminator = networks(settings)
    optimizers = [
        runtime.scaled(keras.optimizers.Adam(settings.learning_rate, 0.0, 0.99)) for _ in range(2)
    ]
    gan = steps.Gan.create(
        generator,
        discriminator,
        generator_optimizer=optimizers[0],
        discriminator_optimizer=optimizers[1],
        seed=settings.seed,
    )
    config = steps.GanStepConfig(
        latent_dim=LATENT_DIM,
        loss="relativistic",
        r1_gamma=settings.gamma,
        r2_gamma=settings.gamma,
        penalty_share=0.25,
    )
    return gan, config


def memory(gan, config, settings, replicas):
    """Return the `scaling.Memory` that each device needs."""
    costs = [scaling.model_cost(model) for model in (gan.generator, gan.discriminator)]
    half = settings.precision.startswith("mixed")
    return scaling.training_memory(
        *costs,
        config,
        settings.batch_size // replicas,
        data=0 if settings.stream else settings.count * settings.size**2 * 3,
        width=scaling.BFLOAT16 if half else scaling.FLOAT32,
    )


def pictures(settings):
    """Return the stream of training batches: of a named set, or read from a file as it goes."""
    if settings.stream:
        pixels = np.load(settings.stream, mmap_mode="r")
        return pipeline.batches(pixels, settings.batch_size, seed=settings.seed, resident=False)
    data = catalog.load(settings.data, size=settings.size, count=settings.count)
    return pipeline.batches(data, settings.batch_size, seed=settings.seed)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--network", default="style_based", choices=("style_based", "residual", "mlp")
    )
    parser.add_argument("--data", default="avatars", help="a name of datasets.catalog")
    parser.add_argument("--stream", help="a .npy file of uint8 pictures, larger than the memory")
    parser.add_argument("--count", type=int, default=2_000, help="training pictures")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--width", type=int, default=16, help="channels at the full size")
    parser.add_argument("--batch-size", type=int, default=32, help="of all devices together")
    parser.add_argument("--images-seen", type=int, default=20_000)
    parser.add_argument("--gamma", type=float, default=0.5)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--precision", default="float32", choices=runtime.PRECISIONS)
    parser.add_argument("--cpus", type=int, default=0, help="logical CPU devices, to try it out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", help="of the checkpoints; by default in the results folder")
    settings = parser.parse_args()
    if settings.cpus:
        runtime.split_cpu(settings.cpus)
    strategy = runtime.strategy()  # before anything else computes
    here = Replicas(strategy)
    with contextlib.nullcontext() if here.is_chief else contextlib.redirect_stdout(None):
        runtime.setup(seed=settings.seed, precision=settings.precision)
        print(f"replicas: {here.count}, workers: {here.workers}")
        with strategy.scope():
            gan, config = build(settings)
            step = steps.make_gan_step(gan, config)
        need = memory(gan, config, settings, here.count)
        print(need)
        need.require(scaling.free_memory())
        folder = settings.folder or runtime.results_dir() / f"on_many_{settings.size}"
        history = train.fit(
            step,
            pictures(settings),
            images_seen=settings.images_seen,
            state=gan.objects(),
            config=config,
            folder=folder,
            strategy=strategy,
        )
        print(history)


if __name__ == "__main__":
    main()
