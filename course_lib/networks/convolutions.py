"""Convolution layers whose weights' gradient is as fast in bfloat16 as the rest of a step.

In bfloat16 a processor convolves twice (AVX512-BF16) to six times (AMX) as fast as in float32, but
the gradient to the kernel gains little, or loses: it sums over all places of all images, which
oneDNN does well only where a map has many places. That gradient is itself a convolution, in which
images and channels change places; computed so, it takes a third to three quarters of the time
where maps are small (tests/benchmarks/kernel_gradient.py).
"""

import keras
import tensorflow as tf
from keras import ops

# Above so many places in a map, or below so many channels, the plain gradient is the faster one.
MOST_PLACES, FEWEST_CHANNELS = 64, 16


def convolve(inputs, kernel, stride=1):
    """Return the convolution with "same" padding, as `tf.nn.conv2d`, with our kernel gradient.

    Args:
        inputs: float (batch, height, width, channels).
        kernel: of the same dtype (rows, columns, channels, filters).
        stride: int.

    Returns:
        (batch, ceil(height / stride), ceil(width / stride), filters). Gradients of every order.
    """

    @tf.custom_gradient
    def forward(inputs, kernel):
        def backward(slopes):
            spread = convolve_transposed(slopes, kernel, tf.shape(inputs), stride)
            return spread, kernel_gradient(inputs, slopes, kernel.shape, stride)

        return tf.nn.conv2d(inputs, kernel, stride, "SAME"), backward

    return forward(inputs, kernel)


def convolve_transposed(inputs, kernel, output_shape, stride=1):
    """Return the transposed convolution: what `convolve` sends back to its inputs.

    Args:
        inputs: float (batch, ceil(height / stride), ceil(width / stride), channels).
        kernel: of the same dtype (rows, columns, filters, channels).
        output_shape: int tensor, (batch, height, width, filters), the shape of the result.
        stride: int.
    """

    @tf.custom_gradient
    def forward(inputs, kernel):
        def backward(slopes):
            gradient = kernel_gradient(slopes, inputs, kernel.shape, stride)
            return convolve(slopes, kernel, stride), gradient

        outputs = tf.nn.conv2d_transpose(inputs, kernel, output_shape, stride, "SAME")
        return outputs, backward

    return forward(inputs, kernel)


def kernel_gradient(inputs, slopes, kernel_shape, stride=1):
    """Return the gradient of `convolve` to its kernel.

    Args:
        inputs: float (batch, height, width, channels).
        slopes: of the same dtype (batch, rows, columns, filters), the gradient to the outputs.
        kernel_shape: (kernel rows, kernel columns, channels, filters).
        stride: int.
    """

    @tf.custom_gradient
    def forward(inputs, slopes):
        def backward(upstream):
            spread = convolve_transposed(slopes, upstream, tf.shape(inputs), stride)
            return spread, convolve(inputs, upstream, stride)

        return _kernel_gradient(inputs, slopes, kernel_shape, stride), backward

    return forward(inputs, slopes)


def _kernel_gradient(inputs, slopes, kernel_shape, stride):
    if min(kernel_shape[:2]) < stride or not _is_faster_over_images(inputs, slopes):
        return tf.raw_ops.Conv2DBackpropFilter(
            input=inputs, filter_sizes=tuple(kernel_shape), out_backprop=slopes,
            strides=[1, stride, stride, 1], padding="SAME",
        )  # fmt: skip
    # The channels are the images of this convolution, the images its channels, the slopes its
    # kernel, with gaps where the forward convolution jumped.
    padding = [
        _padding(inputs.shape[axis], slopes.shape[axis], kernel_shape[axis - 1], stride)
        for axis in (1, 2)
    ]
    gradient = tf.nn.conv2d(
        tf.transpose(inputs, (3, 1, 2, 0)), tf.transpose(slopes, (1, 2, 0, 3)), 1,
        [[0, 0], *padding, [0, 0]], dilations=stride,
    )  # fmt: skip
    return tf.transpose(gradient, (1, 2, 0, 3))


def _is_faster_over_images(inputs, slopes):
    known = inputs.shape.is_fully_defined() and slopes.shape.is_fully_defined()
    if not known or inputs.dtype != tf.bfloat16 or tf.config.list_physical_devices("GPU"):
        return False
    places = slopes.shape[1] * slopes.shape[2]
    return places <= MOST_PLACES and min(inputs.shape[0], inputs.shape[3]) >= FEWEST_CHANNELS


def _padding(size, steps, kernel_size, stride):
    """Return [before, after] of "same" padding along an axis of `size` with `steps` outputs."""
    needed = (steps - 1) * stride + kernel_size - size
    return [needed // 2, needed - needed // 2]


@keras.saving.register_keras_serializable("course_lib")
class FastConv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D` with the kernel gradient of this file where that applies.

    It applies to "same" padding, equal strides, channels last, no dilation and no groups;
    everything else is as in Keras.
    """

    def convolution_op(self, inputs, kernel):
        if self.groups > 1 or not _applies(self):
            return super().convolution_op(inputs, kernel)
        return convolve(_tensor(inputs), _tensor(kernel), self.strides[0])


@keras.saving.register_keras_serializable("course_lib")
class FastConv2DTranspose(keras.layers.Conv2DTranspose):
    """`keras.layers.Conv2DTranspose` with the kernel gradient of this file; see `FastConv2D`."""

    def call(self, inputs):
        if self.output_padding is not None or not _applies(self):
            return super().call(inputs)
        inputs, kernel = _tensor(inputs), _tensor(self.kernel)
        shape, stride = tf.shape(inputs), self.strides[0]
        static = [stride * side if side else None for side in inputs.shape[1:3]]
        sides = [known or stride * shape[axis] for axis, known in enumerate(static, 1)]
        outputs = convolve_transposed(inputs, kernel, [shape[0], *sides, self.filters], stride)
        if self.use_bias:
            outputs = ops.add(outputs, self.bias)
        return outputs if self.activation is None else self.activation(outputs)


def _tensor(value):
    """Return a tensor in the layer's precision: Keras may give the variable itself."""
    return tf.convert_to_tensor(ops.convert_to_tensor(value))


def _applies(layer):
    return (
        layer.padding == "same"
        and layer.data_format == "channels_last"
        and set(layer.dilation_rate) == {1}
        and len(set(layer.strides)) == 1
    )
