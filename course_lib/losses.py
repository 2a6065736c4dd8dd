"""Adversarial losses and gradient penalties.

Every loss is a pure function: raw discriminator outputs ("logits") in, one scalar
out, to be minimised; no logging and no weighting. The grid is
`<family>_discriminator_loss(real_logits, fake_logits)` and
`<family>_generator_loss(fake_logits)`; only the relativistic generator also needs
the real logits. `FAMILIES` lists both halves of every family by name.

Sums are taken in float32, also for float16 or bfloat16 input, so that mixed
precision cannot overflow them; float64 input stays float64, so that a gradient can
be checked by finite differences. Where the notation says D(x) it means the logit,
and sigma is the logistic sigmoid.
"""

import tensorflow as tf
from keras import ops

from course_lib import replicas


def _widen(*tensors):
    """Return the tensors in float32, or all in float64 if one of them is float64."""
    tensors = [ops.convert_to_tensor(tensor) for tensor in tensors]
    dtype = "float64" if any(tensor.dtype == tf.float64 for tensor in tensors) else "float32"
    return [ops.cast(tensor, dtype) for tensor in tensors]


def _check_same_shape(first_name, first, second_name, second):
    # A dimension that is unknown while tracing fits any other; a known one must agree.
    if not first.shape.is_compatible_with(second.shape):
        raise ValueError(
            f"{first_name} and {second_name} must have the same shape, "
            f"got {tuple(first.shape)} and {tuple(second.shape)}."
        )


def _logit_pair(real_logits, fake_logits):
    real_logits, fake_logits = _widen(real_logits, fake_logits)
    _check_same_shape("real_logits", real_logits, "fake_logits", fake_logits)
    return real_logits, fake_logits


def minimax_discriminator_loss(real_logits, fake_logits):
    r"""Return the discriminator half of the original (minimax) GAN loss.

    $$L_D = -\mathbb{E}_x[\log\sigma(D(x))] - \mathbb{E}_z[\log(1-\sigma(D(G(z))))]$$

    The same value as `nonsaturating_discriminator_loss`: the two families differ only
    in the generator.

    Args, returns and errors as in `nonsaturating_discriminator_loss`.

    Source: Goodfellow et al. 2014, eq. 1, https://arxiv.org/abs/1406.2661.
    """
    return nonsaturating_discriminator_loss(real_logits, fake_logits)


def minimax_generator_loss(fake_logits):
    r"""Return the generator half of the original (minimax) GAN loss.

    $$L_G = \mathbb{E}_z[\log(1-\sigma(D(G(z))))]
          = -\mathbb{E}_z[\operatorname{softplus}(D(G(z)))]$$

    Its slope per image is -sigma(D(G(z))) / batch: nearly zero where D is sure that the
    image is fake, which is when the generator needs it most ("saturating").

    Args:
        fake_logits: D on generated images, shape (batch,), (batch, 1) or any other, any
            float dtype; log-odds that the image is real, in nats.

    Returns:
        Scalar in nats per image, at most 0; -ln 2 = -0.6931 where D answers 0. float32,
        or float64 for float64 input.

    Source: Goodfellow et al. 2014, eq. 1, https://arxiv.org/abs/1406.2661.
    """
    (fake_logits,) = _widen(fake_logits)
    return -ops.mean(ops.softplus(fake_logits))


def nonsaturating_discriminator_loss(real_logits, fake_logits):
    r"""Return the discriminator half of the non-saturating GAN loss.

    $$L_D = \mathbb{E}_x[\operatorname{softplus}(-D(x))]
          + \mathbb{E}_z[\operatorname{softplus}(D(G(z)))]$$

    which equals $-\mathbb{E}[\log\sigma(D(x))] - \mathbb{E}[\log(1-\sigma(D(G(z))))]$
    but stays finite for logits of any size.

    Args:
        real_logits: D on real images, shape (batch,), (batch, 1) or any other, any float
            dtype; log-odds that the image is real, in nats.
        fake_logits: D on generated images, the same shape.

    Returns:
        Scalar in nats per (real, fake) pair, at least 0; float32, or float64 for float64
        input. A discriminator that answers 0 everywhere scores 2 ln 2 = 1.3863: the value
        to expect at step 0, and again if the generator wins.

    Raises:
        ValueError: if the two shapes differ: a stray partial batch, or (batch,) mixed
            with (batch, 1), which paired losses would broadcast to (batch, batch)
            without complaint.

    Source: Goodfellow et al. 2014, eq. 1 and section 3, https://arxiv.org/abs/1406.2661.
    """
    real_logits, fake_logits = _logit_pair(real_logits, fake_logits)
    return ops.mean(ops.softplus(-real_logits)) + ops.mean(ops.softplus(fake_logits))


def nonsaturating_generator_loss(fake_logits):
    """Return E[softplus(-D(G(z)))], in nats per image; ln 2 = 0.6931 where D answers 0.

    Args, dtype and source as in `minimax_generator_loss`; at least 0.
    """
    (fake_logits,) = _widen(fake_logits)
    return ops.mean(ops.softplus(-fake_logits))


def least_squares_discriminator_loss(real_logits, fake_logits):
    r"""Return the discriminator half of the least-squares GAN loss.

    $$L_D = \tfrac12\mathbb{E}_x[(D(x)-1)^2] + \tfrac12\mathbb{E}_z[D(G(z))^2]$$

    with the paper's factors 1/2 and its targets a = 0 (fake), b = 1 (real). Here D(x) is
    a score to be regressed on the targets, not a log-odds.

    Args: as in `nonsaturating_discriminator_loss`; scores without unit.

    Returns:
        Scalar, at least 0; 1/2 where D answers 0 and 1/4 where it answers 1/2 everywhere
        (undecided).

    Raises:
        ValueError: if the two shapes differ.

    Source: Mao et al. 2017, eq. 2 with a = 0 and b = c = 1, https://arxiv.org/abs/1611.04076.
    """
    real_logits, fake_logits = _logit_pair(real_logits, fake_logits)
    return 0.5 * ops.mean(ops.square(real_logits - 1)) + 0.5 * ops.mean(ops.square(fake_logits))


def least_squares_generator_loss(fake_logits):
    """Return E[(D(G(z)) - 1)^2] / 2, the LSGAN target c = 1; 1/2 where D answers 0.

    Source: Mao et al. 2017, eq. 2 with a = 0 and b = c = 1, https://arxiv.org/abs/1611.04076.
    """
    (fake_logits,) = _widen(fake_logits)
    return 0.5 * ops.mean(ops.square(fake_logits - 1))


def wasserstein_discriminator_loss(real_logits, fake_logits):
    r"""Return the critic half of the Wasserstein GAN loss.

    $$L_D = \mathbb{E}_z[D(G(z))] - \mathbb{E}_x[D(x)]$$

    If the critic is 1-Lipschitz (`gradient_penalty` asks for it), -L_D is a lower bound
    of the Wasserstein-1 distance between real and generated images.

    Args: as in `nonsaturating_discriminator_loss`; critic scores without fixed zero.

    Returns:
        Scalar of any sign; 0 where the critic answers the same everywhere.

    Raises:
        ValueError: if the two shapes differ.

    Source: Arjovsky et al. 2017, eq. 2 and algorithm 1, https://arxiv.org/abs/1701.07875.
    """
    real_logits, fake_logits = _logit_pair(real_logits, fake_logits)
    return ops.mean(fake_logits) - ops.mean(real_logits)


def wasserstein_generator_loss(fake_logits):
    """Return -E[D(G(z))]; 0 where the critic answers 0.

    Source: Arjovsky et al. 2017, algorithm 1, https://arxiv.org/abs/1701.07875.
    """
    (fake_logits,) = _widen(fake_logits)
    return -ops.mean(fake_logits)


def hinge_discriminator_loss(real_logits, fake_logits):
    r"""Return the discriminator half of the hinge GAN loss.

    $$L_D = \mathbb{E}_x[\max(0, 1-D(x))] + \mathbb{E}_z[\max(0, 1+D(G(z)))]$$

    Images that are already right by a margin of 1 give no gradient.

    Args: as in `nonsaturating_discriminator_loss`; scores without unit.

    Returns:
        Scalar, at least 0; 2 where D answers 0.

    Raises:
        ValueError: if the two shapes differ.

    Source: Lim and Ye 2017, https://arxiv.org/abs/1705.02894; Miyato et al. 2018, eq. 16,
        https://arxiv.org/abs/1802.05957.
    """
    real_logits, fake_logits = _logit_pair(real_logits, fake_logits)
    return ops.mean(ops.relu(1 - real_logits)) + ops.mean(ops.relu(1 + fake_logits))


def hinge_generator_loss(fake_logits):
    """Return -E[D(G(z))]; 0 where D answers 0.

    Source: Miyato et al. 2018, eq. 17, https://arxiv.org/abs/1802.05957.
    """
    (fake_logits,) = _widen(fake_logits)
    return -ops.mean(fake_logits)


def relativistic_discriminator_loss(real_logits, fake_logits):
    r"""Return the discriminator half of the relativistic pairing (RpGAN) loss.

    $$L_D = \mathbb{E}_{x,z}[\operatorname{softplus}(-(D(x) - D(G(z))))]$$

    Real image i is compared with generated image i: only the difference counts, so adding
    a constant to D changes nothing.

    Args: as in `nonsaturating_discriminator_loss`.

    Returns:
        Scalar in nats per (real, fake) pair, at least 0; ln 2 = 0.6931 where D answers 0.

    Raises:
        ValueError: if the two shapes differ.

    Source: Jolicoeur-Martineau 2019, https://arxiv.org/abs/1807.00734; as used in R3GAN,
        Huang et al. 2024, section 2, https://arxiv.org/abs/2501.05441.
    """
    real_logits, fake_logits = _logit_pair(real_logits, fake_logits)
    return ops.mean(ops.softplus(fake_logits - real_logits))


def relativistic_generator_loss(real_logits, fake_logits):
    """Return E[softplus(-(D(G(z)) - D(x)))]: the discriminator's loss, pairs swapped.

    Args, returns, errors and source as in `relativistic_discriminator_loss`.
    """
    return relativistic_discriminator_loss(fake_logits, real_logits)


FAMILIES = {
    "minimax": (minimax_discriminator_loss, minimax_generator_loss),
    "nonsaturating": (nonsaturating_discriminator_loss, nonsaturating_generator_loss),
    "least_squares": (least_squares_discriminator_loss, least_squares_generator_loss),
    "wasserstein": (wasserstein_discriminator_loss, wasserstein_generator_loss),
    "hinge": (hinge_discriminator_loss, hinge_generator_loss),
    "relativistic": (relativistic_discriminator_loss, relativistic_generator_loss),
}


def _squared_gradient_norms(discriminator, images):
    """Return ||grad_x D(x)||^2 per image, shape (batch,), itself differentiable."""
    with tf.GradientTape() as tape:
        tape.watch(images)
        logits = discriminator(images, training=True)
    gradients = tape.gradient(logits, images)
    if gradients is None:
        raise ValueError(
            f"The discriminator's output has no gradient with respect to its {tuple(images.shape)}"
            " images: it ignores them, or an operation in it is not differentiable."
        )
    (gradients,) = _widen(gradients)
    return ops.sum(ops.square(gradients), axis=tuple(range(1, len(gradients.shape))))


def r1_penalty(discriminator, real_images):
    r"""Return E[||grad_x D(x)||^2] over real images, without the gamma / 2 factor.

    The value scales with the square of 1 / (pixel range): images in [0, 1] give 4 times
    the penalty of the same images in [-1, 1], so a `gamma` does not carry over from one
    range to another. It also sums over pixels: an image twice as wide and high does not
    get the same value either.

    Args:
        discriminator: callable (images, training) -> logits of shape (batch,) or
            (batch, 1). It must treat the images of a batch independently (no batch
            normalisation). The norm's own gradient needs second derivatives: bilinear
            resizing has none in TensorFlow and drops out silently.
        real_images: float tensor of shape (batch, ...): (batch, height, width, channels)
            in [-1, 1], or points (batch, dimensions).

    Returns:
        Scalar, in (logit / pixel unit)^2, at least 0; |w|^2 for a linear D(x) = w.x.
        float32, or float64 where D answers a float64 gradient.

    Raises:
        ValueError: if D's output does not depend on the images.

    Source: Mescheder et al. 2018, section 4.1, https://arxiv.org/abs/1801.04406.
    """
    return ops.mean(_squared_gradient_norms(discriminator, ops.convert_to_tensor(real_images)))


def r2_penalty(discriminator, fake_images):
    """Return E[||grad_x D(x)||^2] over generated images, without the gamma / 2 factor.

    Args, returns, errors and source as in `r1_penalty`. Draw `fake_images`
    outside the discriminator's tape: the generator is fixed in this step.
    """
    return ops.mean(_squared_gradient_norms(discriminator, ops.convert_to_tensor(fake_images)))


def gradient_penalty(critic, real_images, fake_images, seed):
    r"""Return the two-sided WGAN-GP penalty, without its weight lambda.

    $$\mathbb{E}_{\hat x}[(\lVert\nabla_{\hat x} D(\hat x)\rVert_2 - 1)^2],\quad
      \hat x = x_{fake} + \epsilon (x_{real} - x_{fake}),\ \epsilon \sim U[0, 1]$$

    with one epsilon per pair of images. At norm exactly 0 the root has no derivative; there
    this function takes 0, the subgradient of smallest norm, rather than bias every other
    value by a constant under the root.

    Args:
        critic: callable as in `r1_penalty`.
        real_images: float tensor of shape (batch, ...), in [-1, 1].
        fake_images: the same shape.
        seed: int (the same epsilons in every call) or a `keras.random.SeedGenerator`
            (fresh ones in every call).

    Returns:
        Scalar, at least 0; (|w| - 1)^2 for a linear critic D(x) = w.x, and 1 for a constant
        slope of 0. float32, or float64 where the critic answers a float64 gradient.

    Raises:
        ValueError: if the two shapes differ, or the output does not depend on the images.

    Source: Gulrajani et al. 2017, eq. 3 and algorithm 1, https://arxiv.org/abs/1704.00028.
    """
    real_images = ops.convert_to_tensor(real_images)
    fake_images = ops.cast(fake_images, real_images.dtype)
    _check_same_shape("real_images", real_images, "fake_images", fake_images)
    one_per_image = (ops.shape(real_images)[0],) + (1,) * (len(real_images.shape) - 1)
    epsilon = replicas.uniform(one_per_image, dtype=real_images.dtype, seed=seed)
    squared_norms = _squared_gradient_norms(
        critic, fake_images + epsilon * (real_images - fake_images)
    )
    return ops.mean(ops.square(_root(squared_norms) - 1))


def _root(squared_norms):
    """Return the root, with a derivative of 0 at 0."""
    positive = squared_norms > 0
    # Both branches of `where` are differentiated: kept from 0, the root gives no 0 * inf.
    return ops.where(positive, ops.sqrt(ops.where(positive, squared_norms, 1.0)), 0.0)


def path_lengths(synthesis, styles, seed):
    r"""Return how far an image moves for a small step of its style, one number per style.

    $$\lVert J_w^T y\rVert_2,\quad J_w = \partial g(w) / \partial w,\
      y \sim \mathcal N(0, I) / \sqrt{\text{height} \cdot \text{width}}$$

    with one y per image: a random direction in pixel space costs one gradient, where the whole
    Jacobian would cost one for each pixel. With a style per layer it is the root of the mean over
    the layers of the squared lengths.

    Args:
        synthesis: callable, styles -> images (batch, height, width, channels).
        styles: float tensor (batch, style_dim) or (batch, num_layers, style_dim).
        seed: int or `keras.random.SeedGenerator`, for y.

    Returns:
        float32 (batch,), at least 0, or float64 where the synthesis answers a float64 gradient.

    Raises:
        ValueError: if the images don't depend on the styles.

    Source: Karras et al. 2020, section 3.2 and eq. 4, https://arxiv.org/abs/1912.04958.
    """
    styles = ops.convert_to_tensor(styles)
    with tf.GradientTape() as tape:
        tape.watch(styles)
        images = synthesis(styles)
        shape = ops.shape(images)
        noise = replicas.normal(shape, dtype=images.dtype, seed=seed)
        pixels = ops.cast(shape[1] * shape[2], images.dtype)
        products = ops.sum(images * noise) / ops.sqrt(pixels)
    gradients = tape.gradient(products, styles)
    if gradients is None:
        raise ValueError(
            f"The synthesis' images have no gradient with respect to its {tuple(styles.shape)} "
            "styles: it ignores them, or an operation in it is not differentiable."
        )
    (gradients,) = _widen(gradients)
    squares = ops.sum(ops.square(gradients), axis=-1)
    return _root(ops.mean(squares, axis=tuple(range(1, len(squares.shape)))))


def path_length_penalty(synthesis, styles, seed, mean):
    r"""Return $\mathbb E[(\lVert J_w^T y\rVert_2 - a)^2]$, which wants equal steps everywhere.

    Args:
        synthesis, styles, seed: as in `path_lengths`.
        mean: the length a that is wanted; in training the moving average of the mean lengths.

    Returns:
        Scalar, at least 0, without its weight (2 in StyleGAN2).

    Raises and source as `path_lengths`.
    """
    return ops.mean(ops.square(path_lengths(synthesis, styles, seed) - mean))


__all__ = [
    "FAMILIES",
    "gradient_penalty",
    "hinge_discriminator_loss",
    "hinge_generator_loss",
    "least_squares_discriminator_loss",
    "least_squares_generator_loss",
    "minimax_discriminator_loss",
    "minimax_generator_loss",
    "nonsaturating_discriminator_loss",
    "nonsaturating_generator_loss",
    "path_length_penalty",
    "path_lengths",
    "r1_penalty",
    "r2_penalty",
    "relativistic_discriminator_loss",
    "relativistic_generator_loss",
    "wasserstein_discriminator_loss",
    "wasserstein_generator_loss",
]
