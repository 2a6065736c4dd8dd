"""Who reaches all thousand modes of the stacked digits: python recipes/stacked_digits.py

The two losses and the penalties that Huang et al. 2024 (R3GAN, https://arxiv.org/abs/2501.05441)
compared, on one pair of networks and one budget of images, three seeds each. A judge of single
digits reads the modes of generated pictures.
Writes data/results/08_stacked_digits.json after every run; interrupted, it goes on from there.
"""

import argparse
import json
import time

import keras
from provenance import provenance

from course_lib import metrics, runtime, steps, train
from course_lib.datasets import catalog, pipeline, stacked_digits
from course_lib.networks import residual

PATH = runtime.DATA_DIR / "results" / "08_stacked_digits.json"
SAMPLES, LATENT_DIM, BATCH_SIZE, SHAPE = 25_600, 64, 256, (8, 8, 3)
ARMS = {
    "standard, R1": ("nonsaturating", 1, 0),
    "standard, R1 + R2": ("nonsaturating", 1, 1),
    "relativistic, R1": ("relativistic", 1, 0),
    "relativistic, R1 + R2": ("relativistic", 1, 1),
}


def run(arm, *, seed, images_seen, filters, rate, gamma):
    loss, r1, r2 = ARMS[arm]
    keras.utils.set_random_seed(seed)
    schedule = keras.optimizers.schedules.CosineDecay(rate, images_seen // BATCH_SIZE, alpha=0.05)
    gan = steps.Gan.create(
        residual.generator(LATENT_DIM, SHAPE, filters=filters),
        residual.discriminator(SHAPE, filters=filters[::-1]),
        generator_optimizer=keras.optimizers.Adam(schedule, 0.0, 0.99),
        discriminator_optimizer=keras.optimizers.Adam(schedule, 0.0, 0.99),
        seed=seed,
    )
    config = steps.GanStepConfig(
        latent_dim=LATENT_DIM, loss=loss, r1_gamma=gamma * r1, r2_gamma=gamma * r2, ema_decay=0.99
    )
    digits = catalog.load("stacked_digits", count=50_000)
    return gan, train.fit(
            steps.make_gan_step(gan, config),
            pipeline.batches(digits, BATCH_SIZE, seed=seed),
            images_seen=images_seen,
            state=gan.objects(),
            progress=False,
    )
