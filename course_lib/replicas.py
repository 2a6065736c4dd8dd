"""The same update on several devices: who computes which part of a batch, and equal random draws.

Replica r of N takes the images r, r + N, r + 2N, ... of a batch, and draws every random number for
the whole batch, of which it keeps the same places. So N replicas compute what one would: the first
so many images of a batch are the first few of every replica, and no number depends on N. Gradients
and metrics are means over images, and all parts are equally large; hence `steps.scale`, and the
mean over replicas here. What remains is the order in which floating-point numbers are added.
"""

import functools

import keras
import tensorflow as tf


def count():
    """Return among how many replicas the batch at hand is split: 1 outside `strategy.run`."""
    if tf.distribute.in_cross_replica_context():
        return 1
    return tf.distribute.get_strategy().num_replicas_in_sync


def normal(shape, *, dtype=None, seed):
    """Return this replica's part of draws from N(0, 1); `keras.random.normal` for one replica.

    Args:
        shape: of the part; its first axis counts images.
        dtype: None for Keras's default.
        seed: int or `keras.random.SeedGenerator`, in the same state on all replicas.
    """
    return _own_part(keras.random.normal(_of_all(shape), dtype=dtype, seed=seed))


def uniform(shape, *, dtype=None, seed):
    """Return this replica's part of draws from [0, 1); arguments as for `normal`."""
    return _own_part(keras.random.uniform(_of_all(shape), dtype=dtype, seed=seed))


def randint(shape, low, high, *, seed):
    """Return this replica's part of whole numbers from low to high - 1, int32."""
    return _own_part(keras.random.randint(_of_all(shape), low, high, seed=seed))


def _of_all(shape):
    return (shape[0] * count(), *shape[1:])


def _own_part(draws):
    replicas = count()
    if replicas == 1:
        return draws
    number = tf.distribute.get_replica_context().replica_id_in_sync_group
    return tf.gather(tf.reshape(draws, (-1, replicas, *draws.shape[1:])), number, axis=1)


def share_overflow(gradients):
    """Return gradients that are all NaN on every replica if one replica's are not finite.

    Keras's `LossScaleOptimizer` decides by the gradients of one replica, before they are summed,
    whether a step is skipped: an overflow elsewhere would reach the weights of all.

    Args:
        gradients: list of tensors, None included.
    """
    # 0 for finite numbers, NaN for all others.
    poison = tf.add_n([tf.reduce_sum(tf.zeros_like(g) * g) for g in gradients if g is not None])
    poison = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, poison)
    return [None if g is None else g + tf.cast(poison, g.dtype) for g in gradients]


def require_equal_layers(model):
    """Raise unless several replicas of a model compute what one does with the whole batch.

    Raises:
        ValueError: for a layer that looks at other images of its own replica, or a layer of Keras
            that draws the same random numbers on each replica.
    """
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    if replicas == 1:
        return
    for layer in model._flatten_layers():  # Keras has no public walk
        if isinstance(layer, keras.layers.BatchNormalization) and not layer.synchronized:
            raise ValueError(
                f"{layer.name!r} in {model.name!r} normalises over the images of one replica: "
                f"{replicas} replicas would not train as one does. Take a network without batch "
                "normalisation (residual, style_based), or "
                "keras.layers.BatchNormalization(synchronized=True)."
            )
        if getattr(layer, "mixes_images", False):
            raise ValueError(
                f"{layer.name!r} in {model.name!r} takes something from other images of the batch, "
                f"which {replicas} replicas do not have: build the generator with mixing=0."
            )
        if getattr(layer, "seed_generator", None) is not None:
            raise ValueError(
                f"{layer.name!r} in {model.name!r} ({type(layer).__name__}) draws the same random "
                f"numbers on each of {replicas} replicas, not those of one that has the whole "
                "batch. Leave it out, or draw with course_lib.replicas in a layer of your own."
            )


class Replicas:
    """How `train.fit` sees a strategy: this worker's data, one step on all replicas, who writes.

    Attributes:
        strategy: the `tf.distribute.Strategy`.
        count: replicas in all; each worker has equally many.
        workers: number of processes.
        worker: the number of this one, from 0.
        is_chief: whether it is the one that writes, the first.
    """

    def __init__(self, strategy=None):
        """Take the strategy that the networks were built under; None is one replica."""
        self.strategy = strategy or tf.distribute.get_strategy()
        self.count = self.strategy.num_replicas_in_sync
        resolver = self.strategy.cluster_resolver
        jobs = resolver.cluster_spec().as_dict() if resolver else {}
        self.workers = max(1, len(jobs.get("worker", ())))
        self.worker = resolver.task_id if self.workers > 1 else 0
        self.is_chief = self.worker == 0

    def part_of(self, batches):
        """Return the stream of what this worker reads of each batch.

        Raises:
            ValueError: if the batches cannot be split evenly, or not among workers.
        """
        size = batches.batch_size
        if size % self.count:
            fitting = [size - size % self.count, size - size % self.count + self.count]
            raise ValueError(
                f"A batch of {size} images does not divide among {self.count} replicas: take "
                f"{' or '.join(str(n) for n in fitting if n)}."
            )
        if self.workers == 1:
            return batches
        if not hasattr(batches, "shard"):
            raise ValueError(
                f"{type(batches).__name__} has no method shard(), which gives each of "
                f"{self.workers} workers its own part of a batch: use datasets.pipeline.batches."
            )
        return batches.shard(self.worker, self.workers, together=self.count // self.workers)

    def step(self, step):
        """Return a step on all replicas: what this worker read of a batch -> mean metrics.

        Args:
            step: `tf.function`, batch (a tensor or a tuple of tensors) -> dict of name -> scalar,
                made under the strategy's scope.
        """
        if self.count == 1:
            return step
        here, names = self.count // self.workers, []

        def one_replica(batch):
            metrics = step.python_function(batch)
            names[:] = metrics
            return tf.stack([tf.cast(value, tf.float32) for value in metrics.values()])

        @tf.function(autograph=False)
        def all_replicas(parts):
            values = self.strategy.run(one_replica, (parts,))
            # One vector: a message between machines costs more than what is in it.
            return self.strategy.reduce(tf.distribute.ReduceOp.MEAN, values, axis=None)

        def step_on_all(batch):
            def part(context):
                first = context.replica_id_in_sync_group % here
                return tf.nest.map_structure(lambda tensor: tensor[first::here], batch)

            parts = self.strategy.experimental_distribute_values_from_function(part)
            return dict(zip(names, tf.unstack(all_replicas(parts)), strict=True))

        return step_on_all

    def any(self, flag):
        """Return whether a flag is set on one worker at least; all have to ask together."""
        return self.largest(float(flag)) > 0

    def largest(self, value):
        """Return the largest of the workers' values of a number; all have to ask together."""
        if self.workers == 1:
            return value
        place = tf.one_hot(self.worker, self.workers, dtype=tf.float64) * value
        return float(tf.reduce_max(self._sum(place)))

    @functools.cached_property
    def _sum(self):
        """A function that adds what all replicas have; `any` and `largest` fill places of a sum."""
        return tf.function(
            lambda values: self.strategy.reduce(
                tf.distribute.ReduceOp.SUM, self.strategy.run(tf.identity, (values,)), axis=None
            ),
            autograph=False,
        )


__all__ = [
    "Replicas",
    "count",
    "normal",
    "randint",
    "require_equal_layers",
    "share_overflow",
    "uniform",
]
