"""How long do convolutions take, and their two gradients, in float32 and in bfloat16?

    python -m tests.benchmarks.kernel_gradient

The kernel gradient is measured as TensorFlow has it and as course_lib.networks.convolutions takes
it over the images. Milliseconds, the fastest of some turns.
"""

import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # must be set before TensorFlow is imported

import tensorflow as tf  # noqa: E402

from course_lib.networks import convolutions  # noqa: E402

TURNS = 8
# batch, size, channels, filters, kernel, stride: of the tutorial's, the example's and our networks
SHAPES = [
    (64, 14, 64, 128, 5, 2), (64, 7, 256, 128, 5, 1), (64, 32, 64, 128, 4, 2),
    (64, 16, 128, 256, 4, 2), (64, 8, 256, 512, 4, 2), (32, 32, 64, 64, 3, 1),
    (32, 8, 128, 128, 3, 1), (32, 4, 128, 128, 3, 1),
]  # fmt: skip


def passes(shape, stride):
    """Return name -> compiled function of (inputs, kernel, slopes)."""

    def by_images(x, w, g):
        decide = convolutions._is_faster_over_images
        convolutions._is_faster_over_images = lambda inputs, slopes: True
        try:
            return convolutions.kernel_gradient(x, g, w.shape, stride)
        finally:
            convolutions._is_faster_over_images = decide

    functions = {
        "forward": lambda x, w, g: tf.nn.conv2d(x, w, stride, "SAME"),
        "to inputs": lambda x, w, g: tf.nn.conv2d_transpose(g, w, shape, stride, "SAME"),
        "to kernel": lambda x, w, g: tf.raw_ops.Conv2DBackpropFilter(
            input=x, filter_sizes=w.shape, out_backprop=g, strides=[1, stride, stride, 1],
            padding="SAME",
        ),
        "over images": by_images,
    }  # fmt: skip
    return {name: tf.function(function) for name, function in functions.items()}


def main():
    print(f"TensorFlow {tf.__version__}; load {os.getloadavg()[0]:.1f}")
    for batch, size, channels, filters, kernel, stride in SHAPES:
        steps, shape = -(-size // stride), (batch, size, size, channels)
        shapes = shape, (kernel, kernel, channels, filters), (batch, steps, steps, filters)
        for kind in ("float32", "bfloat16"):
            given = [tf.cast(tf.random.normal(each), kind) for each in shapes]
            compiled = passes(shape, stride)
            best = dict.fromkeys(compiled, float("inf"))
            for turn in range(TURNS + 1):
                for name, function in compiled.items():
                    start = time.perf_counter()
                    function(*given).numpy()
                    if turn:
                        best[name] = min(best[name], time.perf_counter() - start)
            text = ", ".join(f"{name} {1e3 * value:6.2f}" for name, value in best.items())
            print(f"{shape} {kernel}x{kernel}/{stride} -> {filters}, {kind:8}: {text}")


if __name__ == "__main__":
    main()
