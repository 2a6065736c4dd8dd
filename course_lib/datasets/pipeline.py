"""Batches for training: pixels stay uint8 on the device, each batch follows from seed and step."""

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from course_lib.datasets import images
from course_lib.datasets.catalog import ImageSet

Batch = tf.Tensor | tuple[tf.Tensor, tf.Tensor]


class Batches:
    """An endless, repeatable stream of batches over pictures that are resident in memory.

    The stream is a pure function of (seed, step): `from_step(k)` continues exactly where a run
    that stopped after k batches would have. Every epoch is a fresh permutation of all pictures;
    what is left over at its end and doesn't fill a batch is dropped.

    Attributes:
        batch_size: Pictures per batch.
        seed: Seed of the permutations.
        image_shape: (height, width, channels).
        steps_per_epoch: Full batches per epoch.
        labelled: Whether a batch is (images, labels) instead of images.
    """

    def __init__(
        self, pixels: np.ndarray, batch_size: int, *, seed: int, labels: np.ndarray | None = None
    ) -> None:
        _check(pixels, batch_size, seed=seed, labels=labels)
        self.batch_size = batch_size
        self.seed = seed
        self.image_shape = pixels.shape[1:]
        self.steps_per_epoch = len(pixels) // batch_size
        self.labelled = labels is not None
        self._count = len(pixels)
        self._source = (pixels,) if labels is None else (pixels, np.asarray(labels, np.int32))
        self._batch = self._compiled()

    def _resident(self) -> list[tf.Tensor]:
        return [tf.constant(array) for array in self._source]

    def _compiled(self) -> Callable[[tf.Tensor, tf.Tensor], Batch]:
        """One graph with the pictures in it, traced here and never again."""
        resident = self._resident()
        order = tf.TensorSpec([self._count], tf.int32)
        take = tf.function(lambda order, step: self._take(resident, order, step))
        return take.get_concrete_function(order, tf.TensorSpec([], tf.int32))

    def _take(self, arrays: list[tf.Tensor], order: tf.Tensor, step: tf.Tensor) -> Batch:
        """Batch number `step` of an epoch whose permutation is `order`."""
        rows = tf.reshape(order[step * self.batch_size :][: self.batch_size], [self.batch_size])
        pixels, *labels = (tf.gather(array, rows) for array in arrays)
        converted = (tf.cast(pixels, tf.float32) - images.MIDDLE) * images.SCALE
        return (converted, labels[0]) if labels else converted

    def permutation(self, epoch: int) -> np.ndarray:
        """Returns the order of the pictures in an epoch: int32 (count,).

        It is the order of raw Philox bits with key (seed, epoch), which NumPy keeps the same in
        every version, unlike its `shuffle`.
        """
        keys = np.random.Philox(key=[self.seed, epoch]).random_raw(self._count)
        return np.argsort(keys, kind="stable").astype(np.int32)

    def indices(self, step: int) -> np.ndarray:
        """Returns which pictures are in batch number `step` (from 0): int32 (batch_size,)."""
        epoch, within = divmod(_check_step(step), self.steps_per_epoch)
        return self.permutation(epoch)[within * self.batch_size :][: self.batch_size]

    def from_step(self, step: int = 0) -> Iterator[Batch]:
        """Iterates without end over the batches from number `step` on.

        Args:
            step: How many batches came before, from 0.

        Returns:
            Iterator of float32 (batch_size, height, width, channels) tensors in [-1, 1]; with
            labels, of pairs of such a tensor and int32 (batch_size,).
        """
        epoch, within = divmod(_check_step(step), self.steps_per_epoch)
        return self._iterate(epoch, within)

    def _iterate(self, epoch: int, within: int) -> Iterator[Batch]:
        while True:
            order = tf.constant(self.permutation(epoch))
            for number in range(within, self.steps_per_epoch):
                yield self._batch(order, tf.constant(number))
            epoch, within = epoch + 1, 0

    def __iter__(self) -> Iterator[Batch]:
        return self.from_step(0)

    def as_dataset(self, step: int = 0) -> tf.data.Dataset:
        """Returns the same endless stream as a `tf.data.Dataset`, for Keras or a strategy.

        Args:
            step: How many batches came before, from 0.

        Returns:
            Dataset with the elements of `from_step(step)`, prefetched, of static shape.
        """
        first_epoch, within = divmod(_check_step(step), self.steps_per_epoch)

        def epoch_orders() -> Iterator[np.ndarray]:
            epoch = first_epoch
            while True:
                yield self.permutation(epoch)
                epoch += 1

        with tf.device("CPU"):  # tf.data runs there, and would fetch the pictures from a GPU.
            resident = self._resident()
        signature = tf.TensorSpec([self._count], tf.int32)
        orders = tf.data.Dataset.from_generator(epoch_orders, output_signature=signature)
        steps = tf.data.Dataset.range(self.steps_per_epoch, output_type=tf.int32)
        batches = orders.flat_map(
            lambda order: steps.map(lambda number: self._take(resident, order, number))
        )
        return batches.skip(within).prefetch(tf.data.AUTOTUNE)


def batches(
    data: ImageSet | np.ndarray,
    batch_size: int,
    *,
    seed: int,
    labels: str | np.ndarray | None = None,
) -> Batches:
    """Makes a repeatable stream of training batches.

    Args:
        data: An `ImageSet`, or uint8 pixels (count, height, width, channels).
        batch_size: Pictures per batch, at most as many as there are.
        seed: Seed of the order, from 0 to 2**63 - 1.
        labels: Name of an attribute of the image set, or integers (count,); the batches are then
            pairs (images, labels).

    Returns:
        The stream; iterate over `.from_step(k)`.

    Raises:
        ValueError: If there are fewer pictures than one batch needs, or an argument isn't as
            described; the message names what was received.
    """
    if isinstance(labels, str):
        if not isinstance(data, ImageSet) or labels not in data.labels:
            known = ", ".join(data.labels) if isinstance(data, ImageSet) else "none: no ImageSet"
            raise ValueError(f"There are no labels {labels!r}. Choose one of: {known}.")
        labels = data.labels[labels]
    pixels = data.pixels if isinstance(data, ImageSet) else np.asarray(data)
    return Batches(pixels, batch_size, seed=seed, labels=labels)


def _check(pixels: np.ndarray, batch_size: int, *, seed: int, labels: np.ndarray | None) -> None:
    if pixels.dtype != np.uint8 or pixels.ndim != 4:
        raise ValueError(
            "Batches need uint8 pixels (count, height, width, channels). "
            f"Received: {pixels.dtype} of shape {pixels.shape}."
        )
    if not 1 <= batch_size <= len(pixels):
        raise ValueError(
            f"batch_size must be from 1 to the number of images. Received: batch_size={batch_size} "
            f"with {len(pixels)} images. Use a smaller batch or more images."
        )
    if not 0 <= seed < 2**63:
        raise ValueError(f"seed must be from 0 to 2**63 - 1. Received: seed={seed}.")
    if labels is None:
        return
    codes = np.asarray(labels)
    if codes.shape != (len(pixels),) or codes.dtype.kind not in "iu":
        raise ValueError(
            f"labels must be integers of shape ({len(pixels)},). "
            f"Received: {codes.dtype} of shape {codes.shape}."
        )


def _check_step(step: int) -> int:
    if step < 0:
        raise ValueError(f"step must be at least 0. Received: step={step}.")
    return int(step)
