"""How long does batch normalisation take, forward and back, fused and as Keras does it?

    python -m tests.benchmarks.batch_normalization

Feature maps of notebook 04's plain network, in float32 and bfloat16; medians, taking turns.
"""

import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # must be set before TensorFlow is imported

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from course_lib.networks.normalization import FusedBatchNormalization  # noqa: E402

KINDS = (keras.layers.BatchNormalization, FusedBatchNormalization)


def passes(kind, shape):
    """Return a compiled forward and backward pass of a new layer."""
    layer = kind()
    layer.build(shape)

    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(tf.cast(layer(x, training=True), "float32") ** 2)
        return tape.gradient(loss, [x, layer.gamma.value, layer.beta.value])

    return tf.function(run), layer.compute_dtype


def main():
    print(f"TensorFlow {tf.__version__}, Keras {keras.__version__}; load {os.getloadavg()[0]:.1f}")
    for policy in ("float32", "mixed_bfloat16"):
        keras.config.set_dtype_policy(policy)
        for shape in ((128, 28, 28, 32), (128, 14, 14, 64), (128, 7, 7, 128)):
            compiled = [passes(kind, shape) for kind in KINDS]
            x = tf.cast(tf.random.normal(shape), compiled[0][1])
            seconds = [[], []]
            for turn in range(35):
                for kept, (run, _) in zip(seconds, compiled, strict=True):
                    start = time.perf_counter()
                    run(x)[0].numpy()
                    if turn >= 5:
                        kept.append(time.perf_counter() - start)
            theirs, ours = (1e3 * np.median(kept) for kept in seconds)
            print(f"{policy:15} {shape}: Keras {theirs:6.2f} ms, fused {ours:6.2f} ms, "
                  f"{theirs / ours:.1f} times as fast")  # fmt: skip


if __name__ == "__main__":
    main()
