"""Who reaches all thousand modes of the stacked digits: python recipes/stacked_digits.py

The two losses and the two penalties that Huang et al. 2024 (R3GAN,
https://arxiv.org/abs/2501.05441) compared, on one residual pair and one budget of images, three
seeds each. A judge of single digits reads the modes of generated pictures. "harder" is the same
with twice the learning rate, a stronger penalty and fewer images: there the relativistic loss with
R1 alone kept 4 modes on one seed.
Writes data/results/08_stacked_digits.json after every run; interrupted, it goes on from there.
"""

import argparse
import time

import keras
from result_table import ResultTable

from course_lib import metrics, runtime, steps, train
from course_lib.datasets import catalog, pipeline, stacked_digits
from course_lib.networks import residual

PATH = runtime.DATA_DIR / "results" / "08_stacked_digits.json"
SAMPLES, LATENT_DIM, BATCH_SIZE, SHAPE, FILTERS = 25_600, 64, 256, (8, 8, 3), (24, 16)
SEEDS = (0, 1, 2)
ARMS = {  # loss, weights of R1 and R2 in units of gamma
    "relativistic, R1 + R2": ("relativistic", 1, 1),
    "standard, R1": ("nonsaturating", 1, 0),
    "standard, R1 + R2": ("nonsaturating", 1, 1),
    "relativistic, R1": ("relativistic", 1, 0),
}
SETTINGS = {  # of the two tables
    "arms": {"images_seen": 80_000, "rate": 5e-3, "gamma": 0.01},
    "harder": {"images_seen": 50_000, "rate": 1e-2, "gamma": 0.1},
}
PUBLISHED = {  # modes and reverse KL on Stacked MNIST; None diverged
    "relativistic, R1 + R2": [1000, 0.078],
    "standard, R1 + R2": [693, 0.927],
    "standard, R1": None,
    "relativistic, R1": None,
}


def trained(arm, *, seed, images_seen, rate, gamma):
    """Return the averaged generator of one arm."""
    loss, r1, r2 = ARMS[arm]
    keras.utils.set_random_seed(seed)
    cosine = keras.optimizers.schedules.CosineDecay(rate, images_seen // BATCH_SIZE, alpha=0.05)
    gan = steps.Gan.create(
        residual.generator(LATENT_DIM, SHAPE, filters=FILTERS),
        residual.discriminator(SHAPE, filters=FILTERS[::-1]),
        generator_optimizer=keras.optimizers.Adam(cosine, 0.0, 0.99),
        discriminator_optimizer=keras.optimizers.Adam(cosine, 0.0, 0.99),
        seed=seed,
    )
    config = steps.GanStepConfig(
        latent_dim=LATENT_DIM, loss=loss, r1_gamma=gamma * r1, r2_gamma=gamma * r2, ema_decay=0.99
    )
    train.fit(
        steps.make_gan_step(gan, config),
        pipeline.batches(catalog.load("stacked_digits", count=50_000), BATCH_SIZE, seed=seed),
        images_seen=images_seen,
        state=gan.objects(),
        progress=False,
    )
    return gan.ema_generator


def one_run(judge, arm, *, seed, **settings):
    """Return modes and reverse KL, None where the run diverged, with seconds."""
    started = time.perf_counter()
    try:
        generator = trained(arm, seed=seed, **settings)
    except train.DivergedError as error:
        print(error, flush=True)
        seconds = time.perf_counter() - started
        return {"modes": None, "reverse_kl": None, "seconds": seconds, "diverged": True}
    seconds = time.perf_counter() - started
    samples = steps.sample(generator, SAMPLES, latent_dim=LATENT_DIM, seed=1, batch_size=512)
    coverage = metrics.mode_coverage(judge.modes(samples), stacked_digits.MODES)
    return {
        "modes": coverage.covered,
        "reverse_kl": coverage.reverse_kl,
        "seconds": seconds,
        "diverged": False,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    settings = parser.parse_args()
    runtime.setup(seed=0)
    judge = stacked_digits.Judge(catalog.load("digits"), catalog.load("digits", split="test"))
    facts = {
        "images_seen": SETTINGS["arms"]["images_seen"],
        "samples": SAMPLES,
        "classifier accuracy": round(judge.accuracy, 4),
        "settings": SETTINGS,
        "published": PUBLISHED,
    }
    results = ResultTable(PATH, facts, seeds=SEEDS)
    for table in settings.tables:
        for seed in SEEDS:
            for arm in ARMS:
                if results.missing((table, arm), seed):
                    found = one_run(judge, arm, seed=seed, **SETTINGS[table])
                    results.add({(table, arm): found})


if __name__ == "__main__":
    main()
