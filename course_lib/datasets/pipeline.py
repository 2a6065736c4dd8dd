"""Batches for training: pixels stay uint8 on the device, each batch follows from seed and step.

Where they don't fit on the device, batches are read one by one from an array on disk.
"""

import copy
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from course_lib.datasets import images
from course_lib.datasets.catalog import ImageSet

Batch = tf.Tensor | tuple[tf.Tensor, tf.Tensor]


class Batches:
    """An endless, repeatable stream of batches over pictures in memory, or in a file.

    The stream is a pure function of (seed, step): `from_step(k)` continues exactly where a run
    that stopped after k batches would have. Every epoch is a fresh permutation of all pictures;
    what is left over at its end and doesn't fill a batch is dropped.

    Attributes:
        batch_size: Pictures per batch; of a shard, those of its part.
        seed: Seed of the permutations.
        image_shape: (height, width, channels).
        steps_per_epoch: Full batches per epoch.
        labelled: Whether a batch is (images, labels) instead of images.
    """

    def __init__(
        self,
        pixels: np.ndarray,
        batch_size: int,
        *,
        seed: int,
        labels: np.ndarray | None = None,
        resident: bool = True,
    ) -> None:
        _check(pixels, batch_size, seed=seed, labels=labels)
        self.batch_size = batch_size
        self.seed = seed
        self.image_shape = pixels.shape[1:]
        self.steps_per_epoch = len(pixels) // batch_size
        self.labelled = labels is not None
        self._count = len(pixels)
        self._source = (pixels,) if labels is None else (pixels, np.asarray(labels, np.int32))
        self._part = (0, 1, 1)  # number of the shard, of how many, pictures that stay together
        self._arrays = self._resident() if resident else None
        self._batch = self._compiled()

    def _resident(self) -> list[tf.Tensor]:
        return [tf.constant(array) for array in self._source]

    def shard(self, number: int, count: int, *, together: int = 1) -> "Batches":
        """Returns the stream of what one of several workers reads: its part of every batch.

        Of each `count * together` neighbours in a batch, worker `number` gets those from
        `number * together` on. All workers together read every picture of a batch, each once.

        Args:
            number: Which worker, from 0 to count - 1.
            count: How many workers there are.
            together: Neighbours that stay together: the replicas of a worker.

        Returns:
            A stream whose `batch_size` is that of the part; it shares the pictures' memory.

        Raises:
            ValueError: If the batch does not divide, or there is no such worker.
        """
        if not 0 <= number < count or self.batch_size % (count * together):
            raise ValueError(
                f"A batch of {self.batch_size} must divide into {count} parts of groups of "
                f"{together}, and the part be one of 0 to {count - 1}. Received: {number}."
            )
        part = copy.copy(self)
        part._part = (number, count, together)
        part.batch_size = self.batch_size // count
        part._batch = part._compiled()
        return part

    @property
    def _whole(self) -> int:
        return self.batch_size * self._part[1]

    def _compiled(self) -> Callable[[tf.Tensor, tf.Tensor], Batch]:
        """One graph with the pictures in it, traced here and never again."""
        if self._arrays is None:
            return None
        order = tf.TensorSpec([self._count], tf.int32)
        take = tf.function(lambda order, step: self._take(self._arrays, order, step))
        return take.get_concrete_function(order, tf.TensorSpec([], tf.int32))

    def _take(self, arrays: list[tf.Tensor], order: tf.Tensor, step: tf.Tensor) -> Batch:
        """Batch number `step` of an epoch whose permutation is `order`."""
        number, count, together = self._part
        rows = tf.reshape(order[step * self._whole :][: self._whole], [-1, count, together])
        rows = tf.reshape(rows[:, number], [self.batch_size])
        return _converted(*(tf.gather(array, rows) for array in arrays))

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
        return self._rows(self.permutation(epoch), within)

    def _rows(self, order: np.ndarray, within: int) -> np.ndarray:
        """This shard's pictures in batch number `within` of an epoch, as `_take` takes them."""
        number, count, together = self._part
        rows = order[within * self._whole :][: self._whole]
        return rows.reshape(-1, count, together)[:, number].reshape(-1)

    def from_step(self, step: int = 0) -> Iterator[Batch]:
        """Iterates without end over the batches from number `step` on.

        Args:
            step: How many batches came before, from 0.

        Returns:
            Iterator of float32 (batch_size, height, width, channels) tensors in [-1, 1]; with
            labels, of pairs of such a tensor and int32 (batch_size,).
        """
        if self._arrays is None:
            return iter(self.as_dataset(step))
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
        if self._arrays is None:
            return self._read_dataset(step)

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

    def _read_dataset(self, step: int) -> tf.data.Dataset:
        """The stream from the array itself, read two batches ahead of what is asked for."""

        def read() -> Iterator[tuple[np.ndarray, ...]]:
            epoch, within = divmod(step, self.steps_per_epoch)
            while True:
                order = self.permutation(epoch)
                for number in range(within, self.steps_per_epoch):
                    rows = self._rows(order, number)
                    yield tuple(np.asarray(array[rows]) for array in self._source)
                epoch, within = epoch + 1, 0

        size = self.batch_size
        signature = (tf.TensorSpec([size, *self.image_shape], tf.uint8),)
        if self.labelled:
            signature += (tf.TensorSpec([size], tf.int32),)
        dataset = tf.data.Dataset.from_generator(read, output_signature=signature)
        return dataset.map(_converted).prefetch(2)


def batches(
    data: ImageSet | np.ndarray,
    batch_size: int,
    *,
    seed: int,
    labels: str | np.ndarray | None = None,
    resident: bool = True,
) -> Batches:
    """Makes a repeatable stream of training batches.

    Args:
        data: An `ImageSet`, or uint8 pixels (count, height, width, channels).
        batch_size: Pictures per batch, at most as many as there are.
        seed: Seed of the order, from 0 to 2**63 - 1.
        labels: Name of an attribute of the image set, or integers (count,); the batches are then
            pairs (images, labels).
        resident: Whether all pixels are put on the device. False reads the rows of each batch
            from `data`, two batches ahead of training: for `np.load(file, mmap_mode="r")`, of
            which only the batches at hand are in memory. The batches are the same.

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
    pixels = data.pixels if isinstance(data, ImageSet) else np.asanyarray(data)
    return Batches(pixels, batch_size, seed=seed, labels=labels, resident=resident)


def _converted(pixels: tf.Tensor, *labels: tf.Tensor) -> Batch:
    converted = (tf.cast(pixels, tf.float32) - images.MIDDLE) * images.SCALE
    return (converted, labels[0]) if labels else converted


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
