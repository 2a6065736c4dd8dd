"""How a running GAN is doing: numbers that its losses do not tell, and a word for each.

A `Checkup` looks at a GAN from outside: it changes no weight, no running statistic and no seed, so
that a run with checkups gives the same bits as one without. `judge` turns its numbers into words.
"""

import math
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from scipy.spatial.distance import cdist, pdist

from course_lib import features, losses, metrics, steps

MEASURES = {
    "margin": "mean logit of training minus generated images",
    "accuracy": "share of (training, generated) pairs that D orders rightly",
    "overfitting": "share of D's lead that is memory of the training images",
    "d_gradient": "length of the gradient of D's loss",
    "g_gradient": "length of the gradient of G's loss",
    "diversity": "distance between two samples / between two real images",
    "novelty": "distance to the nearest training image: samples / unseen real images",
    "kernel_distance": "kernel distance to unseen real images",
}
HEALTHY, WATCH, BROKEN = "healthy", "watch", "broken"
# Limits: rules of thumb from short runs on avatars of 32 x 32 pixels, healthy and broken ones.
LARGE_MARGIN, HUGE_MARGIN = 20.0, 100.0
SURE, WON = 0.97, 0.999
MEMORY, ALL_MEMORY = 0.4, 0.8
LITTLE = 0.1  # margin below which the overfitting is a quotient of noise
CHANGE, GREAT_CHANGE = 10.0, 1e3  # of a gradient, against the run's median
FEWEST = 2  # earlier looks below which gradients are not compared; the untrained one is left out
ALIKE, ONE = 0.5, 0.25
NEAR, COPIES = 0.7, 0.4
WORSE, LOST = 1.5, 3.0  # times the best so far
SLACK = 0.05  # kernel distance that chance may add with some hundred images


class Verdict(NamedTuple):
    """A word, one of "healthy", "watch" and "broken", and the reason for it."""

    word: str
    reason: str


class Checkup:
    """Measures GANs against one set of training images and one of unseen real images.

    Attributes:
        count: samples and unseen images in a measurement.
        noise_distance: kernel distance of uniform noise to the unseen images: no pictures at all.
        floor: kernel distance of training to unseen images: real against real.
    """

    def __init__(self, training_images, unseen_images, *, extract=features.extract, count=200):
        """Extract the features of both sets, once.

        Args:
            training_images: float32 (images, height, width, channels) in [-1, 1]: those that the
                GAN is trained on, or as many of them as copies are to be looked for among; at
                least 2. D is asked about the first `count` of them, or all.
            unseen_images: the same, real images that it is not trained on, at least `count`.
            extract: images -> float features (images, width); None of the measures but margin,
                accuracy and gradients means anything if it does not suit the images.
            count: samples and unseen images, at least 2. More is slower and less noisy.

        Raises:
            ValueError: if there are fewer unseen images than `count`, or less than 2 of a kind, or
                the unseen images do not differ from each other or from the training images.
        """
        if not 2 <= count <= len(unseen_images) or len(training_images) < 2:
            raise ValueError(
                f"count must be from 2 to the number of unseen images, and two training images are "
                f"needed, got count={count} with {len(training_images)} training and "
                f"{len(unseen_images)} unseen images."
            )
        self.count, self._extract = count, extract
        self._training = np.asarray(training_images[:count], "float32")
        self._unseen = np.asarray(unseen_images[:count], "float32")
        self._known = np.asarray(extract(np.asarray(training_images, "float32")), "float64")
        self._real = np.asarray(extract(self._unseen), "float64")
        self._real_spread = float(pdist(self._real).mean())
        self._real_gap = float(cdist(self._real, self._known).min(axis=1).mean())
        if not (self._real_spread and self._real_gap):
            raise ValueError(
                "the unseen images are all alike, or all among the training images: give others."
            )
        self.floor = metrics.kernel_distance(self._known[:count], self._real)
        noise = np.random.default_rng(0).uniform(-1, 1, self._unseen.shape)
        self.noise_distance = metrics.kernel_distance(
            np.asarray(extract(noise.astype("float32")), "float64"), self._real
        )
        self._compiled = {}

    def measure(self, gan, config):
        """Return all numbers of `MEASURES`, a dict of name -> float; the networks stay as they are.

        Pictures come from the moving average, in inference mode and always from the same latents.
        D and the gradients look at the generator itself; the gradients are those of the
        adversarial losses alone, without penalties.

        Args:
            gan: a `steps.Gan` for images of the checkup's size.
            config: its `steps.GanStepConfig`: latent_dim and loss are used.

        Source: overfitting is the heuristic r_v of Karras et al. 2020 (ADA), eq. 1,
            https://arxiv.org/abs/2006.06676; it means little while the margin is near 0.
        """
        return self.look_at(self.samples(gan, config)) | self._game(gan, config)

    def samples(self, gan, config):
        """Return the generated images to measure: float32 (count, height, width, channels)."""
        return steps.sample(gan.ema_generator, self.count, latent_dim=config.latent_dim, seed=0)

    def look_at(self, samples):
        """Return diversity, novelty and kernel_distance of images, a dict of name -> float.

        Args:
            samples: float32 (at least 2, height, width, channels) in [-1, 1].
        """
        if not np.isfinite(samples).all():
            return dict.fromkeys(("diversity", "novelty", "kernel_distance"), math.nan)
        found = np.asarray(self._extract(samples), "float64")
        return {
            "diversity": float(pdist(found).mean()) / self._real_spread,
            "novelty": float(cdist(found, self._known).min(axis=1).mean()) / self._real_gap,
            "kernel_distance": metrics.kernel_distance(found, self._real),
        }

    def _game(self, gan, config):
        key = id(gan), config.loss, config.latent_dim
        if key not in self._compiled:
            # It holds the Gan: another one can't get the same id as long as it is kept.
            self._compiled[key] = _make_game(gan, config, self._training, self._unseen)
        training, unseen, fake, d_gradient, g_gradient = (
            part.numpy() for part in self._compiled[key]()
        )
        margin = float(training.mean() - fake.mean())
        lead_by_memory = float(training.mean() - unseen.mean())
        return {
            "margin": margin,
            "accuracy": float((np.sign(training[:, None] - fake) + 1).mean() / 2),
            "overfitting": lead_by_memory / margin if margin else 0.0,
            "d_gradient": float(d_gradient),
            "g_gradient": float(g_gradient),
        }


def _make_game(gan, config, training_images, unseen_images):
    """Return the compiled function () -> three sets of logits (count,) and two gradient lengths."""
    d_loss, g_loss = losses.FAMILIES[config.loss]
    training, unseen = tf.constant(training_images), tf.constant(unseen_images)
    latents = keras.random.normal((len(training_images), config.latent_dim), seed=0)

    def length(tape, loss, model):
        return tf.linalg.global_norm(tape.gradient(loss, model.trainable_variables))

    def logits(images):
        return tf.cast(tf.reshape(gan.discriminator(images, training=False), [-1]), tf.float32)

    def game():
        with tf.GradientTape(persistent=True) as tape:
            fake_images = tf.cast(gan.generator(latents, training=False), tf.float32)
            real_logits, fake_logits = logits(training), logits(fake_images)
            d_value = d_loss(real_logits, fake_logits)
            pair = (real_logits,) if config.loss == "relativistic" else ()
            g_value = g_loss(*pair, fake_logits)
        lengths = length(tape, d_value, gan.discriminator), length(tape, g_value, gan.generator)
        return real_logits, logits(unseen), fake_logits, *lengths

    return tf.function(game, autograph=False)


# Words --------------------------------------------------------------------------------------------


def judge(rows):
    """Return a word and its reason for each measure of the last row.

    Args:
        rows: list of dicts, oldest first, each with the numbers of `Checkup.measure`; gradients
            are judged against their median so far, the kernel distance against its best.

    Returns:
        dict of name -> `Verdict`, in the order of `MEASURES`.

    Raises:
        ValueError: if there is no row.
    """
    if not rows:
        raise ValueError("there is no measurement to judge: call Checkup.measure first.")
    now = rows[-1]
    verdicts = {name: JUDGES[name](now[name], rows) for name in MEASURES}
    for name in MEASURES:
        if not math.isfinite(now[name]):
            verdicts[name] = Verdict(BROKEN, "no longer a number: the run has diverged")
    return verdicts


def _above(value, watch, broken, words):
    """Judge a value that should be low."""
    word = BROKEN if value > broken else WATCH if value > watch else HEALTHY
    return Verdict(word, words[word])


def _judge_margin(value, rows):
    words = {
        HEALTHY: f"at most {LARGE_MARGIN:g}",
        WATCH: f"above {LARGE_MARGIN:g}: logits grow, nothing holds D back",
        BROKEN: f"above {HUGE_MARGIN:g}: D has run away",
    }
    return _above(value, LARGE_MARGIN, HUGE_MARGIN, words)


def _judge_accuracy(value, rows):
    if value < 0.5:
        return Verdict(WATCH, "below 1/2: D prefers generated images, G has overtaken it")
    words = {
        HEALTHY: f"D makes mistakes: at most {SURE:.0%} right",
        WATCH: f"above {SURE:.0%}: D is nearly sure, G learns from few mistakes",
        BROKEN: f"above {WON:.1%}: D has won, G hears nothing new",
    }
    return _above(value, SURE, WON, words)


def _judge_overfitting(value, rows):
    if abs(rows[-1]["margin"]) < LITTLE:
        return Verdict(HEALTHY, f"margin below {LITTLE:g}: it says little yet")
    words = {
        HEALTHY: "unseen real images look as real to D as training images, or nearly",
        WATCH: f"above {MEMORY:g}: D begins to know the training images by heart",
        BROKEN: f"above {ALL_MEMORY:g}: D takes unseen real images for generated ones",
    }
    return _above(value, MEMORY, ALL_MEMORY, words)


def _judge_gradient(name):
    def judge_gradient(value, rows):
        past = [row[name] for row in rows[1:-1] if math.isfinite(row[name])]
        if len(past) < FEWEST:
            return Verdict(HEALTHY, "too early to compare")
        typical = float(np.median(past))
        ratio = value / typical if typical else math.inf if value else 1.0
        change = max(ratio, 1 / ratio) if ratio else math.inf
        said = f"{ratio:.2g} times the run's median"
        words = {
            HEALTHY: said,
            WATCH: f"{said}: {'exploding' if ratio > 1 else 'vanishing'}",
            BROKEN: f"{said}: {'exploded' if ratio > 1 else 'vanished'}",
        }
        return _above(change, CHANGE, GREAT_CHANGE, words)

    return judge_gradient


def _judge_diversity(value, rows):
    words = {
        HEALTHY: f"at least {ALIKE:g} of the differences between real images",
        WATCH: f"below {ALIKE:g}: samples resemble each other",
        BROKEN: f"below {ONE:g}: nearly one picture, mode collapse",
    }
    return _above(-value, -ALIKE, -ONE, words)


def _judge_novelty(value, rows):
    words = {
        HEALTHY: f"from {NEAR:g} on: not much nearer to them than unseen real images",
        WATCH: f"below {NEAR:g}: nearer to training images than real images are",
        BROKEN: f"below {COPIES:g}: copies of training images",
    }
    return _above(-value, -NEAR, -COPIES, words)


def _judge_distance(value, rows):
    past = [row["kernel_distance"] for row in rows if math.isfinite(row["kernel_distance"])]
    best = max(min(past, default=value), 0.0)
    said = f"best so far {best:.3f}"
    words = {
        HEALTHY: said,
        WATCH: f"{said}: it was better before",
        BROKEN: f"{said}: the run has lost what it had learned",
    }
    return _above(value - SLACK, WORSE * best, LOST * best, words)


JUDGES = {
    "margin": _judge_margin,
    "accuracy": _judge_accuracy,
    "overfitting": _judge_overfitting,
    "d_gradient": _judge_gradient("d_gradient"),
    "g_gradient": _judge_gradient("g_gradient"),
    "diversity": _judge_diversity,
    "novelty": _judge_novelty,
    "kernel_distance": _judge_distance,
}

__all__ = ["BROKEN", "HEALTHY", "MEASURES", "WATCH", "Checkup", "Verdict", "judge"]
