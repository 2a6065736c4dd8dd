"""Convolutions with another kernel gradient, against double loops and TensorFlow's own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from course_lib.networks import convolutions
from course_lib.networks.convolutions import FastConv2D, FastConv2DTranspose

RNG = np.random.default_rng(0)
# size, kernel, stride: with even and uneven padding, gaps, rows left over, and a kernel of 1.
GEOMETRIES = [(8, 3, 1), (8, 4, 2), (7, 5, 2), (9, 3, 2), (6, 1, 1), (5, 1, 2), (7, 2, 3), (9, 4, 4)]


@pytest.fixture
def always(monkeypatch):
    """Take the gradient over the images at every dtype and shape, so that float64 can judge it."""
    monkeypatch.setattr(convolutions, "_is_faster_over_images", lambda inputs, slopes: True)


def arrays(size, kernel, stride, *, batch=3, channels=2, filters=4):
    steps = -(-size // stride)
    shapes = [(batch, size, size, channels), (kernel, kernel, channels, filters)]
    shapes.append((batch, steps, steps, filters))
    return [tf.constant(RNG.normal(size=shape)) for shape in shapes]


def looped_kernel_gradient(inputs, slopes, kernel, stride):
    """dL/dw[i, j, c, f] = sum of x[b, y s + i - before, x s + j - before, c] g[b, y, x, f]."""
    inputs, slopes = np.asarray(inputs), np.asarray(slopes)
    size, steps = inputs.shape[1], slopes.shape[1]
    before = max((steps - 1) * stride + kernel - size, 0) // 2
    found = np.zeros((kernel, kernel, inputs.shape[-1], slopes.shape[-1]))
    for i in range(kernel):
        for j in range(kernel):
            for y in range(steps):
                for x in range(steps):
                    row, column = y * stride + i - before, x * stride + j - before
                    if 0 <= row < size and 0 <= column < size:
                        found[i, j] += inputs[:, row, column].T @ slopes[:, y, x]
    return found


@pytest.mark.parametrize(("size", "kernel", "stride"), GEOMETRIES)
def test_the_kernel_gradient_is_the_sum_over_places_and_images(always, size, kernel, stride):
    inputs, weights, slopes = arrays(size, kernel, stride)
    found = convolutions.kernel_gradient(inputs, slopes, weights.shape, stride)
    expected = looped_kernel_gradient(inputs, slopes, kernel, stride)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
