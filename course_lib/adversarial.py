"""Small changes of an image that mislead a classifier, and random ones for comparison.

Images are float32 in [-1, 1]; epsilon is the largest change of one value in the same unit, so one
grey level of 255 is 2 / 255. Every function works inside a `tf.function` as well. The classifier
maps images to logits (batch, classes).
"""

import keras
import tensorflow as tf

GREY_LEVEL = 2 / 255  # one step of a stored 8-bit picture, in the unit of epsilon


def loss(model, images, labels):
    """Returns the cross-entropy of each image in nats, a float32 tensor (batch,).

    Args:
        model: classifier, used as at inference.
        images: float32 (batch, height, width, channels) in [-1, 1].
        labels: integers (batch,).
    """
    logits = model(images, training=False)
    return keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)


def noise(images, epsilon, *, seed):
    """Returns the images with +epsilon or -epsilon added to each value, at random, within [-1, 1].

    Args:
        images: float32 (batch, height, width, channels) in [-1, 1].
        epsilon: size of the change, at least 0.
        seed: pair of integers, or a tensor (2,).
    """
    images = _checked(images, epsilon)
    heads = tf.random.stateless_uniform(tf.shape(images), seed) < 0.5
    return tf.clip_by_value(images + tf.where(heads, epsilon, -epsilon), -1.0, 1.0)


def fgsm(model, images, labels, epsilon):
    r"""Returns images changed by one step of the fast gradient sign method, within [-1, 1].

    $$x + \epsilon\,\mathrm{sign}\,\nabla_x L(x, y)$$

    Args:
        model, images, labels: as in `loss`.
        epsilon: size of the step, at least 0; no value changes by more.

    Returns:
        float32 tensor of the images' shape. A value whose gradient is 0 stays as it is.

    Raises:
        ValueError: on a negative epsilon.

    Source: Goodfellow et al. 2015, section 4, https://arxiv.org/abs/1412.6572.
    """
    images = _checked(images, epsilon)
    return tf.clip_by_value(images + epsilon * _ascent(model, images, labels), -1.0, 1.0)


def pgd(model, images, labels, epsilon, *, steps=10, step_size=None, start_seed=(0, 0)):
    r"""Returns images changed by projected gradient ascent on the loss, within [-1, 1].

    $$x^{t+1} = \Pi\bigl(x^t + \eta\,\mathrm{sign}\,\nabla_x L(x^t, y)\bigr)$$

    $\Pi$ brings each value back to within epsilon of the original, and into [-1, 1].

    Args:
        model, images, labels, epsilon: as in `fgsm`.
        steps: number of steps.
        step_size: eta; None takes 2.5 * epsilon / steps, enough to cross the allowed range.
        start_seed: pair of integers for the random start within epsilon, uniform; None starts at
            the image. With one step of size epsilon from there, this is `fgsm`.

    Returns:
        float32 tensor of the images' shape.

    Raises:
        ValueError: on a negative epsilon, or fewer than one step.

    Source: Madry et al. 2018, section 2.1, https://arxiv.org/abs/1706.06083.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}.")
    images = _checked(images, epsilon)
    step_size = 2.5 * epsilon / steps if step_size is None else step_size
    low, high = tf.maximum(images - epsilon, -1.0), tf.minimum(images + epsilon, 1.0)
    changed = images
    if start_seed is not None:
        uniform = tf.random.stateless_uniform(tf.shape(images), start_seed, -1.0, 1.0)
        changed = tf.clip_by_value(images + epsilon * uniform, low, high)
    for _ in range(steps):
        changed = changed + step_size * _ascent(model, changed, labels)
        changed = tf.clip_by_value(changed, low, high)
    return changed


def accuracy(model, images, labels):
    """Returns the share of images whose largest logit is that of their label: float."""
    answers = tf.argmax(model(images, training=False), axis=1)
    return float(tf.reduce_mean(tf.cast(answers == tf.cast(labels, answers.dtype), tf.float32)))


def _ascent(model, images, labels):
    """The sign of the gradient of the loss with respect to the images."""
    with tf.GradientTape() as tape:
        tape.watch(images)
        losses = loss(model, images, labels)
    return tf.sign(tape.gradient(losses, images))


def _checked(images, epsilon):
    if not epsilon >= 0:  # written so that NaN fails as well
        raise ValueError(f"epsilon must be at least 0, got {epsilon}.")
    return tf.convert_to_tensor(images, tf.float32)
