"""Two ways downhill over a picture: Adam as in TensorFlow's tutorial, and L-BFGS.

Both are handed an objective with `value_and_gradient(image)`, such as `style.Objective`.
"""

import dataclasses
import time

import keras
import numpy as np
import tensorflow as tf

TUTORIAL_SCALE = 1e6  # its losses start in the millions, so that its epsilon of 0.1 is nothing
FIRST_CHANGE = 0.02  # root mean square of the first step downhill
SHORTER, TRIES = 0.3, 8  # by how much a step is shortened, and how often it is tried


@dataclasses.dataclass(frozen=True, eq=False)
class Step:
    """One step of `descend`: its number from 0, the picture before it, the terms, the seconds."""

    number: int
    image: np.ndarray
    terms: dict
    seconds: float


def tutorial_adam(learning_rate=0.02):
    """Return Adam as TensorFlow's tutorial has it; the rate is for values from 0 to 1.

    Source: https://www.tensorflow.org/tutorials/generative/style_transfer.
    """
    return keras.optimizers.Adam(2 * learning_rate, 0.99, epsilon=0.1)  # ours: from -1 to 1


def falling_adam(steps, *, first=0.4, last=0.002):
    """Return Adam whose rate falls along half a cosine: far at first, and exact in the end.

    Args:
        steps: after which the rate stays at `last`.
        first, last: rates, for values from -1 to 1.
    """
    rate = keras.optimizers.schedules.CosineDecay(first, steps, alpha=last / first)
    return keras.optimizers.Adam(rate, 0.9, 0.99, epsilon=1e-6)


class AdamDescent:
    """Adam over one picture, a step at a time; each picture is clipped to [-1, 1].

    Args:
        start: float (height, width, 3) in [-1, 1].
        optimizer: a fresh Keras optimizer; None is `tutorial_adam()`. It is given gradients times
            TUTORIAL_SCALE.
    """

    def __init__(self, start, optimizer=None):
        self._image = tf.Variable(checked_picture(start, "start"))
        optimizer = optimizer or tutorial_adam()
        optimizer.build([self._image])

        def update(gradient):
            optimizer.apply([TUTORIAL_SCALE * gradient], [self._image])
            self._image.assign(tf.clip_by_value(self._image, -1, 1))

        self._update = tf.function(update, autograph=False)

    @property
    def image(self):
        """The picture, float32 (height, width, 3)."""
        return self._image.numpy()

    def step(self, gradient):
        """Change the picture, given the gradient there, float32 of its shape."""
        self._update(tf.constant(gradient))


def descend_adam(objective, start, *, steps=100, optimizer=None, observe=None):
    """Minimise an objective over a picture with Adam, by default as TensorFlow's tutorial does.

    Args:
        objective: `Objective`.
        start, optimizer: as `AdamDescent` takes them.
        steps: gradients taken.
        observe: callable, `Step` -> True to stop; None never stops.

    Returns:
        float32 picture, clipped to [-1, 1].
    """
    descent, started = AdamDescent(start, optimizer), time.perf_counter()
    for number in range(steps):
        image = descent.image
        terms, gradient = objective.value_and_gradient(image)
        if observe and observe(Step(number, image, terms, time.perf_counter() - started)):
            break
        descent.step(gradient)
    return descent.image


class Descent:
    """L-BFGS over one picture, a step at a time; for a changed objective begin another one.

    It learns the curvature from its last steps. Every picture on the way lies in [-1, 1]: a step is
    clipped, and a value that stands at the edge and would go beyond it takes no part. A step that
    doesn't lower the total enough is shortened, so that the total never rises.

    Attributes:
        evaluations: of the objective, so far.

    Source: Nocedal and Wright 2006, Numerical optimization, algorithms 3.1, 7.4 and 7.5.
    """

    def __init__(self, objective, *, memory=30):
        """Begin; `memory` is the number of steps that it remembers."""
        self._objective, self.evaluations = objective, 0
        self._memory, self._pairs = memory, []  # changes of the picture, of the gradient

    def step(self, image, found):
        """Take one step.

        Args:
            image: float32 (height, width, 3) in [-1, 1].
            found: the objective's `value_and_gradient` there.

        Returns:
            The next picture, float32 in [-1, 1], and its `value_and_gradient`. They are those given
            where no step down was found; the next call then looks along the gradient.
        """
        terms, gradient = found
        direction, length = _downhill(image, gradient, self._pairs)
        for _ in range(TRIES if direction.any() else 0):
            candidate = np.clip(image + length * direction, -1, 1)
            there = self._objective.value_and_gradient(candidate)
            self.evaluations += 1
            change, bend = candidate - image, there[1] - gradient
            if there[0]["total"] <= terms["total"] + 1e-4 * min(0.0, np.vdot(gradient, change)):
                if np.vdot(change, bend) > 0:  # else the curvature is not positive
                    self._pairs = [*self._pairs, (change, bend)][-self._memory :]
                return candidate, there
            length *= SHORTER
        self._pairs = []  # the memory misleads
        return image, found

    @property
    def fresh(self):
        """Whether the next step goes straight along the gradient."""
        return not self._pairs


def descend(objective, start, *, steps=100, memory=30, observe=None):
    """Minimise an objective over a picture with L-BFGS, which learns the curvature on its way.

    Args:
        objective: `Objective`.
        start: float (height, width, 3) in [-1, 1].
        steps: evaluations of objective and gradient, about; those of shortened steps count.
        memory: steps that it remembers, see `Descent`.
        observe: callable, `Step` -> True to stop; called for the start and each accepted picture.

    Returns:
        float32 picture in [-1, 1].
    """
    image, started = checked_picture(start, "start"), time.perf_counter()
    descent, found = Descent(objective, memory=memory), objective.value_and_gradient(image)
    accepted, number = True, 0
    while True:
        step = Step(number, image, found[0], time.perf_counter() - started)
        if accepted and observe and observe(step):
            break
        if number + 1 >= steps:
            break
        before, fresh = image, descent.fresh
        image, found = descent.step(image, found)
        accepted, number = image is not before, descent.evaluations
        if fresh and not accepted:
            break  # not even straight downhill is there anything lower
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
