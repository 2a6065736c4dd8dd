r"""A convolutional network in NumPy: what each layer computes, and its gradients, in full.

Images are (count, height, width, channels), kernels (height, width, input channels, output
channels), as in TensorFlow and Keras. Everything is computed, and returned, in float64. What
networks call a convolution is a cross-correlation: the kernel is not turned around.

    output[n, y, x, f] = bias[f] + sum over i, j, c of
                         image[n, y * stride + i * dilation, x * stride + j * dilation, c]
                         * kernel[i, j, c, f]

`padding` is "valid" (no pixels are added), "same" (TensorFlow's rule: zeros, so that the output has
ceil(size / stride) pixels), or a whole number of zeros added on each of the four sides.

Source of the arithmetic: Dumoulin and Visin 2016, https://arxiv.org/abs/1603.07285; of the
gradients: Goodfellow, Bengio and Courville 2016, Deep Learning, section 9.5.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

# Sizes --------------------------------------------------------------------------------------------


def padding_pixels(size, kernel, stride=1, padding="valid", dilation=1):
    """Returns how many pixels are added (before, after) along one axis: two ints.

    TensorFlow's "same" puts the odd pixel after: to the right, or at the bottom.

    Args:
        size, kernel, stride, dilation: ints, at least 1: pixels along this axis.
        padding: "valid", "same" or an int, at least 0.

    Raises:
        ValueError: if one of them is something else; the message names it.
    """
    sizes = {"size": size, "kernel": kernel, "stride": stride, "dilation": dilation}
    for name, value in sizes.items():
        if not _is_whole(value) or value < 1:
            raise ValueError(f"{name} must be a whole number, at least 1. Received: {value!r}.")
    if _is_whole(padding) and padding >= 0:
        return int(padding), int(padding)
    if not isinstance(padding, str) or padding not in ("valid", "same"):
        raise ValueError(
            f'padding must be "valid", "same" or a whole number, at least 0. Received: {padding!r}.'
        )
    if padding == "valid":
        return 0, 0
    missing = (-(-size // stride) - 1) * stride + kernel_span(kernel, dilation) - size
    return max(missing, 0) // 2, max(missing, 0) - max(missing, 0) // 2


def kernel_span(kernel, dilation=1):
    """Returns how many pixels a kernel reaches over along one axis, its gaps included: int."""
    return dilation * (kernel - 1) + 1


def output_size(size, kernel, stride=1, padding="valid", dilation=1):
    r"""Returns the pixels of an output along one axis: int.

    $$\Bigl\lfloor \frac{n + p - d\,(k - 1) - 1}{s} \Bigr\rfloor + 1$$

    with size n, all padding p (before and after), kernel k, dilation d and stride s.

    Args: as in `padding_pixels`.

    Raises:
        ValueError: as `padding_pixels`, and if the kernel does not fit into the padded input.

    Source: Dumoulin and Visin 2016, section 5.1, https://arxiv.org/abs/1603.07285.
    """
    before, after = padding_pixels(size, kernel, stride, padding, dilation)
    free = size + before + after - kernel_span(kernel, dilation)
    if free < 0:
        raise ValueError(
            f"the kernel does not fit: it reaches over {kernel_span(kernel, dilation)} pixels "
            f"(kernel {kernel}, dilation {dilation}), the input has {size} and padding adds "
            f"{before} + {after}. Take a smaller kernel or dilation, or more padding."
        )
    return free // stride + 1


def receptive_field(layers):
    r"""Returns how much of the input one output of a stack of layers can see, along one axis.

    $$r = 1 + \sum_l (d_l (k_l - 1)) \prod_{i < l} s_i$$

    Args:
        layers: sequence of (kernel, stride) or (kernel, stride, dilation), the first layer first;
            pooling counts like a convolution.

    Returns:
        (pixels, step): ints. An output sees `pixels` input pixels in a row, and the window of its
        neighbour begins `step` further. No layers at all: (1, 1).

    Raises:
        ValueError: if a number is not a whole one, or below 1.

    Source: Araujo, Norris and Sim 2019, eq. 2, https://distill.pub/2019/computing-receptive-fields.
    """
    pixels = step = 1
    for kernel, stride, *dilation in layers:
        padding_pixels(1, kernel, stride, "valid", *dilation)  # refuses what is no size
        pixels += (kernel_span(kernel, *dilation) - 1) * step
        step *= stride
    return pixels, step


def _is_whole(value):
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


# Convolution --------------------------------------------------------------------------------------


def convolve(images, kernel, bias=None, *, stride=1, padding="valid", dilation=1):
    """Returns the convolution of images with a kernel; see the head of this file.

    Args:
        images: array (count, height, width, channels).
        kernel: array (kernel height, kernel width, channels, filters).
        bias: array (filters,), added to every pixel; None: nothing is added.
        stride, padding, dilation: as in `padding_pixels`, the same along both axes.

    Returns:
        float64 array (count, output height, output width, filters).

    Raises:
        ValueError: on other shapes, and as `output_size`.
    """
    images, kernel = _checked(images, kernel)
    windows = _windows(images, kernel.shape[:2], stride, padding, dilation)
    output = np.tensordot(windows, kernel, axes=([3, 4, 5], [2, 0, 1]))
    if bias is None:
        return output
    if np.shape(bias) != (kernel.shape[3],):
        raise ValueError(
            f"the kernel has {kernel.shape[3]} filters, so the bias must have the shape "
            f"({kernel.shape[3]},). Received: {np.shape(bias)}."
        )
    return output + np.asarray(bias, np.float64)


def convolve_gradients(images, kernel, output_gradient, *, stride=1, padding="valid", dilation=1):
    """Returns the gradients of a loss behind a convolution: what backpropagation passes on.

    Args:
        images, kernel, stride, padding, dilation: those of `convolve`.
        output_gradient: array of the shape of its output, derivatives of the loss by the output.

    Returns:
        (image gradient, kernel gradient, bias gradient), float64, in the shapes of the images, of
        the kernel, and (filters,).

    Raises:
        ValueError: as `convolve`, and on a gradient of another shape than the output.
    """
    images, kernel = _checked(images, kernel)
    windows = _windows(images, kernel.shape[:2], stride, padding, dilation)
    gradient = np.asarray(output_gradient, np.float64)
    _check_gradient(gradient, (*windows.shape[:3], kernel.shape[3]))
    # A kernel number has touched the same place of every window: one product for each.
    by_kernel = np.tensordot(windows, gradient, axes=([0, 1, 2], [0, 1, 2])).transpose(1, 2, 0, 3)
    # A pixel gets back, from every output that it was in, that output's gradient times its number.
    by_window = np.tensordot(gradient, kernel, axes=([3], [3]))  # (n, y, x, i, j, c)
    by_image = _add_windows(
        by_window.transpose(0, 1, 2, 5, 3, 4), images.shape, stride, padding, dilation
    )
    return by_image, by_kernel, gradient.sum((0, 1, 2))


def _checked(images, kernel):
    images, kernel = _image_batch(images), np.asarray(kernel, np.float64)
    if kernel.ndim != 4 or 0 in kernel.shape:
        raise ValueError(
            "the kernel must have the shape (height, width, input channels, filters). "
            f"Received: {kernel.shape}."
        )
    if kernel.shape[2] != images.shape[3]:
        raise ValueError(
            f"the images have {images.shape[3]} channels and the kernel is for {kernel.shape[2]}: "
            f"its third number must be {images.shape[3]}. Received: {kernel.shape}."
        )
    return images, kernel


def _image_batch(images):
    images = np.asarray(images, np.float64)
    if images.ndim != 4 or 0 in images.shape:
        raise ValueError(
            "images must have the shape (count, height, width, channels); one grey picture is "
            f"picture[None, :, :, None]. Received: {images.shape}."
        )
    return images


def _check_gradient(gradient, shape):
    if gradient.shape != shape:
        raise ValueError(
            f"the gradient must have the shape of the output, {shape}. Received: {gradient.shape}."
        )


# Windows: what all layers have in common ----------------------------------------------------------


def _windows(images, kernel_size, stride, padding, dilation=1, *, fill=0.0):
    """The pixels that each output sees: a view (count, y, x, channels, i, j) of the images."""
    pads = _pads(images.shape, kernel_size, stride, padding, dilation)
    padded = np.pad(images, ((0, 0), *pads, (0, 0)), constant_values=fill)
    spans = tuple(kernel_span(kernel, dilation) for kernel in kernel_size)
    windows = sliding_window_view(padded, spans, axis=(1, 2))
    return windows[:, ::stride, ::stride, :, ::dilation, ::dilation]


def _add_windows(windows, shape, stride, padding, dilation=1):
    """The opposite way: adds each window's numbers to the pixels that it came from."""
    pads = _pads(shape, windows.shape[4:], stride, padding, dilation)
    (top, bottom), (left, right) = pads
    padded = np.zeros((shape[0], shape[1] + top + bottom, shape[2] + left + right, shape[3]))
    rows, columns = windows.shape[1:3]
    for i in range(windows.shape[4]):
        for j in range(windows.shape[5]):
            y, x = i * dilation, j * dilation  # where the first window has its number (i, j)
            rows_of = slice(y, y + stride * (rows - 1) + 1, stride)
            columns_of = slice(x, x + stride * (columns - 1) + 1, stride)
            padded[:, rows_of, columns_of] += windows[..., i, j]
    return padded[:, top : top + shape[1], left : left + shape[2]]


def _pads(shape, kernel_size, stride, padding, dilation):
    """((top, bottom), (left, right)), after a check that the kernel fits."""
    pairs = list(zip(shape[1:3], kernel_size, strict=True))
    for size, kernel in pairs:
        output_size(size, kernel, stride, padding, dilation)
    return [padding_pixels(size, kernel, stride, padding, dilation) for size, kernel in pairs]


# Pooling ------------------------------------------------------------------------------------------


def max_pool(images, size, *, stride=None, padding="valid"):
    """Returns the largest number of each window, for each channel by itself.

    Args:
        images: array (count, height, width, channels).
        size: int, height and width of a window.
        stride: int; None takes `size`, so that the windows touch.
        padding: as in `padding_pixels`; padding is never the largest number.

    Returns:
        float64 array (count, output height, output width, channels).

    Raises:
        ValueError: as `convolve`, and on a padding of `size` pixels or more.
    """
    return _pool_windows(images, size, stride, padding, fill=-np.inf).max((4, 5))


def average_pool(images, size, *, stride=None, padding="valid"):
    """Returns the mean of each window, over its pixels that are no padding.

    Args, Returns, Raises: as `max_pool`.
    """
    return np.nanmean(_pool_windows(images, size, stride, padding, fill=np.nan), axis=(4, 5))


def max_pool_gradient(images, size, output_gradient, *, stride=None, padding="valid"):
    """Returns the gradient of a loss behind `max_pool`: each window's goes to its largest pixel.

    Where several pixels of a window are equally large, the first one, from left to right and then
    from top to bottom, gets all of it, as in TensorFlow on a processor.

    Args:
        images, size, stride, padding: those of `max_pool`.
        output_gradient: array of the shape of its output, derivatives of the loss by the output.

    Returns:
        float64 array of the shape of the images.

    Raises:
        ValueError: as `max_pool`, and on a gradient of another shape than the output.
    """
    windows = _pool_windows(images, size, stride, padding, fill=-np.inf)
    gradient = np.asarray(output_gradient, np.float64)
    _check_gradient(gradient, windows.shape[:4])
    winners = windows.reshape(*windows.shape[:4], -1).argmax(-1)  # the first of equals
    shares = np.eye(size * size)[winners].reshape(windows.shape)
    shape = np.shape(images)
    return _add_windows(shares * gradient[..., None, None], shape, stride or size, padding)


def _pool_windows(images, size, stride, padding, *, fill):
    images = _image_batch(images)
    stride = size if stride is None else stride
    if _is_whole(padding) and _is_whole(size) and padding >= size > 0:
        raise ValueError(
            f"a padding of {padding} makes windows of {size} without any pixel: take less."
        )
    return _windows(images, (size, size), stride, padding, fill=fill)


# The end of a classifier --------------------------------------------------------------------------


def softmax(logits):
    r"""Returns probabilities $e^{z_k} / \sum_j e^{z_j}$ over the last axis: float64, sum 1.

    The largest logit is subtracted first. That changes no probability, and no exponential
    overflows.

    Args:
        logits: array (..., classes) of finite numbers.
    """
    logits = np.asarray(logits, np.float64)
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def cross_entropy(logits, labels):
    r"""Returns the mean of $-\log p_{\mathrm{label}}$ over a batch, in nats: float, at least 0.

    Args:
        logits: array (count, classes).
        labels: int array (count,), from 0 to classes - 1.

    Raises:
        ValueError: on other shapes, or a label that is no class.
    """
    logits, labels = _checked_labels(logits, labels)
    shifted = logits - logits.max(-1, keepdims=True)
    chosen = np.take_along_axis(shifted, labels[:, None], axis=1)[:, 0]
    # log p itself, never the logarithm of p: p can be too small for a float.
    return float(np.mean(np.log(np.exp(shifted).sum(-1)) - chosen))


def cross_entropy_gradient(logits, labels):
    """Returns the derivatives of `cross_entropy` by the logits, (p - y) / count: float64.

    Args, Raises: as `cross_entropy`; p are the softmax probabilities, y is 1 at the label.

    Returns:
        float64 array (count, classes); each row sums to 0.
    """
    logits, labels = _checked_labels(logits, labels)
    return (softmax(logits) - np.eye(logits.shape[1])[labels]) / len(logits)


def _checked_labels(logits, labels):
    logits, labels = np.asarray(logits, np.float64), np.asarray(labels)
    if logits.ndim != 2 or labels.shape != logits.shape[:1] or labels.dtype.kind not in "iu":
        raise ValueError(
            "logits must have the shape (count, classes) and labels be whole numbers of shape "
            f"(count,). Received: {logits.shape} and {labels.dtype} of shape {labels.shape}."
        )
    if labels.size and not (labels.min() >= 0 and labels.max() < logits.shape[1]):
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise ValueError(f"labels go from 0 to {logits.shape[1] - 1} here. Received: {wrong}.")
    return logits, labels
