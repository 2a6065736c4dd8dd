"""Training and judging a classifier: one compiled update, and numbers from its answers."""

import dataclasses
import numbers

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from course_lib import augment, steps


@dataclasses.dataclass(frozen=True)
class ClassifierStepConfig:
    """What defines one update; a checkpoint stores it with the weights.

    Attributes:
        classes: number of classes.
        augmentations: names from `augment.AUGMENTATIONS`, applied in this order.
        label_smoothing: share of every target that is spread evenly over all classes, in [0, 1).

    Raises:
        ValueError: on a value outside its range, naming it.
    """

    classes: int = 10
    augmentations: tuple[str, ...] = ()
    label_smoothing: float = 0.0

    def __post_init__(self):
        if not isinstance(self.classes, numbers.Integral) or self.classes < 2:
            raise ValueError(f"classes must be a whole number of at least 2, got {self.classes!r}.")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing must be in [0, 1), got {self.label_smoothing!r}.")
        augment.check_names(self.augmentations)


def make_classifier_step(model, optimizer, config, *, seed):
    """Return the compiled update: (images, labels) -> {"loss", "accuracy"}, float32 scalars.

    Loss: softmax cross-entropy of the logits, averaged over the batch. It is measured on the
    augmented pictures; so is the accuracy, where a blended picture counts by its larger part.

    Args:
        model: built Keras model, images -> logits (batch, classes).
        optimizer: fresh Keras optimizer.
        config: a `ClassifierStepConfig`.
        seed: `keras.random.SeedGenerator` of the augmentations; dropout layers have their own.

    Returns:
        `tf.function` of (images, labels): float32 in [-1, 1] (batch, height, width, channels), and
        whole numbers (batch,). It changes model, optimizer and seed, nothing else.

    Raises:
        ValueError: if the model does not end in `config.classes` logits.
    """
    if tuple(model.output_shape) != (None, config.classes):
        raise ValueError(
            f"The model's output has shape {model.output_shape}, but classes is {config.classes}: "
            "it must end in one logit for each class."
        )
    optimizer.build(model.trainable_variables)  # a compiled function may not create variables

    def step(batch):
        images, labels = batch
        targets = ops.one_hot(labels, config.classes, dtype="float32")
        images, targets = augment.apply(config.augmentations, images, targets, seed)
        smooth = config.label_smoothing
        smoothed = (1 - smooth) * targets + smooth / config.classes
        with tf.GradientTape() as tape:
            logits = model(images, training=True)
            loss = ops.mean(ops.categorical_crossentropy(smoothed, logits, from_logits=True))
            scaled = steps.scale(optimizer, loss)
        steps.descend(tape, scaled, model, optimizer)
        right = ops.argmax(logits, axis=1) == ops.argmax(targets, axis=1)
        return {"loss": loss, "accuracy": ops.mean(ops.cast(right, "float32"))}

    return tf.function(step, autograph=False)


def warm_cosine(peak, steps_in_all, *, warm_share=0.1):
    """Return the schedule that rises to `peak` along a line, then falls to 0 along a cosine.

    Args:
        peak: largest learning rate.
        steps_in_all: after so many updates the rate is 0.
        warm_share: part of them in which it rises.
    """
    warm = max(1, round(warm_share * steps_in_all))
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps_in_all - warm), warmup_target=peak, warmup_steps=warm
    )


def adamw(rate, *, weight_decay=0.0):
    """Return AdamW whose decay spares biases and the scales of normalisation.

    Args:
        rate: learning rate, a number, a schedule, or a variable that is changed while it trains.
        weight_decay: each update multiplies kernels by 1 - rate * weight_decay.
    """
    optimizer = keras.optimizers.AdamW(rate, weight_decay=weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def predict(model, images, *, batch_size=256):
    """Return the class probabilities of pictures: float64 (count, classes), rows that sum to 1.

    Args:
        model: classifier that ends in logits.
        images: float32 (count, height, width, channels) in [-1, 1], at least one.
        batch_size: pictures per pass.

    Raises:
        ValueError: without pictures.
    """
    if len(images) == 0:
        raise ValueError("There are no images to classify.")
    filler = -len(images) % min(batch_size, len(images))
    padded = np.concatenate([images, images[:filler]])  # equal batches: one compilation
    logits = model.predict(padded, batch_size=min(batch_size, len(images)), verbose=0)
    shifted = logits[: len(images)].astype(np.float64)
    weights = np.exp(shifted - shifted.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def measure(probabilities, labels):
    """Return {"loss", "accuracy"} of predictions: mean cross-entropy in nats, and a share.

    Args:
        probabilities: float (count, classes), of `predict`.
        labels: true classes, whole numbers (count,).

    Raises:
        ValueError: if the two differ in number.
    """
    probabilities, labels = _check(probabilities, labels)
    of_the_truth = probabilities[np.arange(len(labels)), labels]
    return {
        "loss": float(-np.log(np.maximum(of_the_truth, 1e-30)).mean()),
        "accuracy": float((probabilities.argmax(axis=1) == labels).mean()),
    }


def confusion_matrix(probabilities, labels):
    """Return how often a class (row) was taken for another (column): int64 (classes, classes)."""
    probabilities, labels = _check(probabilities, labels)
    classes = probabilities.shape[1]
    cells = labels * classes + probabilities.argmax(axis=1)
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes)


def _check(probabilities, labels):
    probabilities, labels = np.asarray(probabilities), np.asarray(labels).astype(np.int64)
    if len(probabilities) != len(labels):
        raise ValueError(f"There are {len(probabilities)} predictions for {len(labels)} labels.")
    return probabilities, labels
