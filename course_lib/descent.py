"""Two ways downhill over a picture: Adam as in TensorFlow's tutorial, and L-BFGS.

Both are handed an objective with `value_and_gradient(image)`, such as `style.Objective`.
"""

import collections
import dataclasses
import time

import keras
import numpy as np
import tensorflow as tf

TUTORIAL_SCALE = 1e6  # its losses start in the millions, so that its epsilon of 0.1 is nothing
FIRST_CHANGE = 0.02  # root mean square of the first step downhill


@dataclasses.dataclass(frozen=True, eq=False)
class Step:
    """One step of `descend`: its number from 0, the picture before it, the terms, the seconds."""

    number: int
    image: np.ndarray
    terms: dict
    seconds: float


def descend_adam(objective, start, *, steps=100, learning_rate=0.02, observe=None):
    """Minimise an objective over a picture as TensorFlow's tutorial does: Adam, then clipping.

    Args:
        objective: `Objective`.
        start: float (height, width, 3) in [-1, 1].
        steps: gradients taken.
        learning_rate: of Adam (beta_1 = 0.99, epsilon = 0.1, as the tutorial has them), for
            values from 0 to 1; doubled here for [-1, 1].
        observe: callable, `Step` -> True to stop; None never stops.

    Returns:
        float32 picture, clipped to [-1, 1].

    Source: https://www.tensorflow.org/tutorials/generative/style_transfer.
    """
    image = tf.Variable(checked_picture(start, "start"))
    optimizer = keras.optimizers.Adam(2 * learning_rate, 0.99, epsilon=0.1)
    optimizer.build([image])
    started = time.perf_counter()
    for number in range(steps):
        terms, gradient = objective.value_and_gradient(image.numpy())
        if observe and observe(Step(number, image.numpy(), terms, time.perf_counter() - started)):
            break
        optimizer.apply([tf.constant(TUTORIAL_SCALE * gradient)], [image])
        image.assign(tf.clip_by_value(image, -1, 1))
    return image.numpy()


def descend(objective, start, *, steps=100, memory=10, observe=None):
    """Minimise an objective over a picture with L-BFGS, which learns the curvature on its way.

    Every picture on the way lies in [-1, 1]: a step is clipped, and a value that stands at the
    edge and would go beyond it takes no part. A step that doesn't lower the loss is shortened.

    Args:
        objective: `Objective`.
        start: float (height, width, 3) in [-1, 1].
        steps: evaluations of objective and gradient, at most; those of shortened steps count.
        memory: pairs of steps and changes of the gradient that it keeps.
        observe: callable, `Step` -> True to stop; called for the start and each accepted picture.

    Returns:
        float32 picture in [-1, 1].

    Source: Nocedal and Wright 2006, Numerical optimization, algorithms 3.1, 7.4 and 7.5.
    """
    image, started = checked_picture(start, "start"), time.perf_counter()

    def stopped(number):
        step = Step(number, image, terms, time.perf_counter() - started)
        return bool(observe and observe(step))

    terms, gradient = objective.value_and_gradient(image)
    pairs, length = collections.deque(maxlen=memory), None
    if stopped(0):
        return image
    for number in range(1, steps):
        if length is None:
            direction, length = _downhill(image, gradient, pairs)
            if not direction.any():
                break
        candidate = np.clip(image + length * direction, -1, 1)
        found, slope = objective.value_and_gradient(candidate)
        change, bend = candidate - image, slope - gradient
        if found["total"] > terms["total"] + 1e-4 * min(0.0, np.vdot(gradient, change)):
            length *= 0.3
            if length < 1e-4 * (1 if pairs else FIRST_CHANGE):
                if not pairs:
                    break  # not even straight downhill is there anything lower
                pairs.clear()  # the memory misleads: begin again
                length = None
            continue
        if np.vdot(change, bend) > 0:
            pairs.append((change, bend))
        image, terms, gradient, length = candidate, found, slope, None
        if stopped(number):
            break
    return image


def _downhill(image, gradient, pairs):
    """Return a direction, and how much of it to try first."""
    free = ((image > -1) | (gradient < 0)) & ((image < 1) | (gradient > 0))
    direction = -times_inverse_hessian(gradient * free, pairs) * free
    if pairs:
        return direction, 1.0
    return direction / (np.sqrt(np.mean(direction**2)) + 1e-30), FIRST_CHANGE


def times_inverse_hessian(gradient, pairs):
    """Return the product of a gradient and the inverse Hessian as L-BFGS guesses it.

    Args:
        gradient: array of any shape.
        pairs: list of (change of the picture, change of the gradient), oldest first, each of the
            gradient's shape, with a product above 0. Empty: the gradient comes back as it is.

    Returns:
        array of the gradient's shape. Source: Nocedal and Wright 2006, algorithm 7.4.
    """
    result, shares = gradient.copy(), []
    for change, bend in reversed(pairs):
        share = np.vdot(change, result) / np.vdot(change, bend)
        result -= share * bend
        shares.append(share)
    if pairs:
        change, bend = pairs[-1]
        result *= np.vdot(change, bend) / np.vdot(bend, bend)
    for (change, bend), share in zip(pairs, reversed(shares), strict=True):
        result += (share - np.vdot(bend, result) / np.vdot(change, bend)) * change
    return result


def checked_picture(image, name):
    """Return a picture as float32; refuse another shape or range, by its name."""
    image = np.asarray(image, "float32")
    if image.ndim != 3 or image.shape[-1] != 3 or min(image.shape[:2]) < 16:
        raise ValueError(
            f"{name} must have the shape (height, width, 3), each side at least 16; got "
            f"{image.shape}."
        )
    if not (image.min() >= -1.001 and image.max() <= 1.001):
        raise ValueError(
            f"{name} must have values in [-1, 1], got [{image.min():.4g}, {image.max():.4g}]; "
            "convert pixels with course_lib.datasets.images.to_float."
        )
    return image
