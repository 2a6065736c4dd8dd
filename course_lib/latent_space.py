"""Steering a style-based generator: walks, means and directions in its latent spaces.

Latents z, (count, latent_dim), are what is drawn from N(0, 1). The mapping network makes a style w,
(count, style_dim), of each; the synthesis network takes one style per layer, (count, num_layers,
style_dim), and draws. Everything here but `project` is NumPy on such arrays.
"""

import functools
import math
from typing import NamedTuple

import numpy as np

GROUPS = ("coarse", "middle", "fine")  # of the layers, from the smallest feature maps on
PARALLEL = 1e-6  # radians; a smaller angle has no arc worth following


# Walks -------------------------------------------------------------------------------------------


def slerp(first, second, share):
    r"""Return the latents that lie `share` of the way along the arc from `first` to `second`.

    $$\frac{\sin((1-t)\Omega)}{\sin\Omega} a + \frac{\sin(t\Omega)}{\sin\Omega} b$$

    with the angle $\Omega$ between a and b. Two latents of one length keep it all the way; on the
    straight line between them the middle is shorter.

    Args:
        first, second: float arrays (..., latent_dim) that broadcast, no vector of length 0.
        share: number, or array that broadcasts with (...): 0 gives `first`, 1 `second`, exactly.

    Returns:
        Array (..., latent_dim) of the floating type of the two.

    Raises:
        ValueError: for a vector of length 0, and for opposite ones, between which no arc is
            shorter than the others.

    Source: Shoemake 1985, section 3.3, https://doi.org/10.1145/325334.325242; for latents White
        2016, section 2, https://arxiv.org/abs/1609.04468.
    """
    first, second = np.asarray(first), np.asarray(second)
    dtype = np.result_type(first, second, np.float32)
    angle = _angle(first.astype(np.float64), second.astype(np.float64))
    share = np.asarray(share, np.float64)[..., None]
    parallel = angle < PARALLEL
    sine = np.where(parallel, 1.0, np.sin(angle))
    weights = (
        np.where(parallel, 1 - share, np.sin((1 - share) * angle) / sine),
        np.where(parallel, share, np.sin(share * angle) / sine),
    )
    return (weights[0] * first + weights[1] * second).astype(dtype)


def _angle(first, second):
    """Return the angle between vectors, shape (..., 1), or say why there is no arc."""
    lengths = [np.linalg.norm(vector, axis=-1, keepdims=True) for vector in (first, second)]
    if min(length.min() for length in lengths) == 0:
        raise ValueError("slerp needs vectors with a direction, got one of length 0.")
    first, second = first / lengths[0], second / lengths[1]
    # Unlike the arccosine, exact for small angles and for those near 180 degrees.
    half = np.linalg.norm(first - second, axis=-1, keepdims=True)
    angle = 2 * np.arctan2(half, np.linalg.norm(first + second, axis=-1, keepdims=True))
    if angle.max() > math.pi - PARALLEL:
        raise ValueError(
            "slerp got two opposite vectors: no arc between them is the shortest. Go over a third."
        )
    return angle


def between(corners, x, y):
    """Return the latents at (x, y) in a square with four latents at its corners, by `slerp`.

    Args:
        corners: float array (4, latent_dim): (0, 0), (1, 0), (0, 1), (1, 1).
        x, y: numbers or arrays of one shape, from 0 to 1.

    Returns:
        Array (..., latent_dim); the corners exactly at the corners.

    Raises:
        ValueError: for another number of corners, and as `slerp`.
    """
    if len(corners) != 4:
        raise ValueError(f"a square has 4 corners, got {len(corners)} latents.")
    return slerp(slerp(corners[0], corners[1], x), slerp(corners[2], corners[3], x), y)


# Styles ------------------------------------------------------------------------------------------


def draw_latents(seeds, latent_dim):
    """Return one latent for each seed, float32 (count, latent_dim), from N(0, 1)."""
    drawn = [np.random.default_rng(seed).standard_normal(latent_dim) for seed in seeds]
    return np.stack(drawn).astype("float32")


def draw_styles(mapping, count, *, seed):
    """Return the styles of random latents.

    Args:
        mapping: Keras model, latents (batch, latent_dim) -> styles (batch, style_dim).
        count: how many, at least 1.
        seed: int, of the latents.

    Returns:
        float32 array (count, style_dim).
    """
    size = (count, mapping.input_shape[-1])
    latents = np.random.default_rng(seed).standard_normal(size).astype("float32")
    return np.asarray(mapping(latents, training=False), "float32")


def truncate(styles, mean, psi):
    r"""Return $\bar w + \psi (w - \bar w)$: styles moved towards their mean.

    Args:
        styles: float array (..., style_dim).
        mean: float array (style_dim,), the mean of many styles.
        psi: number or array that broadcasts with `styles`, such as (num_layers, 1): 1 changes
            nothing, 0 gives the mean, above 1 exaggerates.

    Source: Karras et al. 2019, section B, https://arxiv.org/abs/1812.04948.
    """
    return mean + psi * (styles - mean)


def per_layer(styles, num_layers):
    """Return the same style for each layer: (..., style_dim) -> (..., num_layers, style_dim)."""
    return np.repeat(np.asarray(styles)[..., None, :], num_layers, axis=-2)


def layer_groups(num_layers):
    """Return dict of "coarse", "middle", "fine" -> range of layers; a remainder goes to fine.

    Raises:
        ValueError: for fewer layers than groups.
    """
    if num_layers < len(GROUPS):
        raise ValueError(f"{num_layers} layers can't be split into {', '.join(GROUPS)}.")
    third = num_layers // 3
    return dict(zip(GROUPS, (range(third), range(third, 2 * third), range(2 * third, num_layers)),
                    strict=True))  # fmt: skip


def mix_styles(styles, others, layers):
    """Return `styles` with those of `others` at some layers.

    Args:
        styles, others: float arrays (..., num_layers, style_dim) of one shape.
        layers: numbers of the layers that `others` decides.

    Source: Karras et al. 2019, section 3.1, https://arxiv.org/abs/1812.04948.
    """
    chosen = np.isin(np.arange(np.shape(styles)[-2]), list(layers))
    return np.where(chosen[:, None], others, styles)


# Directions --------------------------------------------------------------------------------------


def principal_directions(styles, count):
    """Return the directions in which styles vary most, without any label.

    Args:
        styles: float array (samples, style_dim).
        count: number of directions, at most style_dim and samples - 1.

    Returns:
        (directions (count, style_dim), deviations (count,)), float64: orthonormal, by falling
        standard deviation of the styles along them. The entry of largest size is positive: the
        sign would otherwise be chance.

    Raises:
        ValueError: for more directions than there can be.

    Source: Härkönen et al. 2020, section 2.1, https://arxiv.org/abs/2004.02546.
    """
    styles = np.asarray(styles, np.float64)
    most = min(styles.shape[1], len(styles) - 1)
    if not 1 <= count <= most:
        raise ValueError(
            f"{styles.shape} styles have from 1 to {most} principal directions, got count={count}."
        )
    centred = styles - styles.mean(axis=0)
    _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
    directions = directions[:count]
    largest = np.abs(directions).argmax(axis=1)
    signs = np.sign(directions[np.arange(count), largest])
    return signs[:, None] * directions, sizes[:count] / math.sqrt(len(styles) - 1)


def attribute_direction(styles, scores, *, ridge=0.1):
    r"""Return the direction in which a score grows, by linear regression on the styles.

    $$\hat n \propto (\Sigma + \rho\,\bar\sigma^2 I)^{-1}\operatorname{cov}(w, s)$$

    $\Sigma$: covariance of the styles, $\bar\sigma^2$: its mean diagonal entry. For a score of 0
    and 1 this is Fisher's discriminant.

    Args:
        styles: float array (samples, style_dim).
        scores: numbers or booleans (samples,), such as the log-odds of an attribute.
        ridge: $\rho$, at least 0: how much directions in which styles hardly vary are held back.

    Returns:
        float64 array (style_dim,) of length 1.

    Raises:
        ValueError: if the shapes don't fit, or the scores are all alike.

    Source: Shen et al. 2020, section 2.2 (with a support vector machine in the place of the
        regression), https://arxiv.org/abs/1907.10786.
    """
    styles, scores = np.asarray(styles, np.float64), np.asarray(scores, np.float64)
    if scores.shape != (len(styles),):
        raise ValueError(f"{len(styles)} styles need as many scores, got shape {scores.shape}.")
    if np.ptp(scores) == 0:
        raise ValueError(f"all {len(scores)} scores are {scores[0]:g}: no direction raises them.")
    centred = styles - styles.mean(axis=0)
    covariance = centred.T @ centred / len(styles)
    held_back = ridge * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    direction = np.linalg.solve(covariance + held_back, centred.T @ (scores - scores.mean()))
    return direction / np.linalg.norm(direction)


def orthogonalise(vector, locked):
    """Return the vector without its part in the span of the locked directions.

    All are taken out at once: taking out one after the other would let the first back in where
    they are not at right angles.

    Args:
        vector: float array (..., style_dim).
        locked: float array (count, style_dim), or an empty list.

    Returns:
        float64 array like `vector`, at right angles to each locked direction; not of length 1.

    Source: Shen et al. 2020, section 2.2, https://arxiv.org/abs/1907.10786.
    """
    vector = np.asarray(vector, np.float64)
    if len(locked) == 0:
        return vector
    basis, sizes, _ = np.linalg.svd(np.asarray(locked, np.float64).T, full_matrices=False)
    basis = basis[:, sizes > 1e-9 * sizes[0]]  # two locks on one direction are one
    return vector - (vector @ basis) @ basis.T


# Projection --------------------------------------------------------------------------------------


class Projection(NamedTuple):
    """One step of `project`: styles (num_layers, style_dim), their image in [-1, 1], its loss."""

    styles: np.ndarray
    image: np.ndarray
    loss: float


def ramp(step, steps):
    """Return the factor of the learning rate: up over 5 % of the steps, down over the last 25 %.

    Source: Karras et al. 2020, appendix D, https://arxiv.org/abs/1912.04958.
    """
    done = step / steps
    down = 0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - done) / 0.25))
    return down * min(1.0, (done + 1 / steps) / 0.05)


def project(synthesis, target, start, *, steps=200, learning_rate=0.1, features=None):
    r"""Look for the styles of a given image, by gradient descent; an iterator over the steps.

    $$L(w) = \overline{(G(w) - x)^2} +
      \overline{(f(G(w)) - f(x))^2} \big/ \overline{f(x)^2}$$

    Args:
        synthesis: Keras model, styles (batch, num_layers, style_dim) -> images in [-1, 1].
        target: float array (height, width, channels) in [-1, 1], as large as the synthesis draws.
        start: float array (style_dim,) looks for one style for all layers; (num_layers, style_dim)
            for one per layer, which fits more and leaves what the generator knows sooner.
        steps: updates of Adam.
        learning_rate: its largest learning rate; see `ramp`.
        features: callable, images (1, height, width, channels) -> tensor; None leaves the second
            term out.

    Returns:
        Iterator of `steps` `Projection`s, each before its update, and one after the last.

    Raises:
        ValueError: if target or start don't fit the synthesis, or steps is below 1.

    Source: Karras et al. 2020, section 5 and appendix D, https://arxiv.org/abs/1912.04958.
    """
    target, start = np.asarray(target, "float32"), np.asarray(start, "float32")
    layers, style_dim = synthesis.input_shape[1:]
    _check_target(synthesis, target)
    if start.shape not in ((style_dim,), (layers, style_dim)):
        raise ValueError(
            f"start must have the shape ({style_dim},) or ({layers}, {style_dim}), got "
            f"{start.shape}."
        )
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}.")
    return _descend(synthesis, target, start, steps, learning_rate, features)


def _check_target(synthesis, target):
    if np.shape(target) != synthesis.output_shape[1:]:
        raise ValueError(
            f"the synthesis draws images of shape {synthesis.output_shape[1:]}, but the target has "
            f"{np.shape(target)}: resize it."
        )


def nearest_style(synthesis, target, styles, *, features=None, batch_size=50):
    """Return the one of many styles whose picture has the smallest loss of `project`.

    A descent finds the next valley only: where it starts decides how it ends.

    Args:
        synthesis, target, features: as in `project`; features take any number of images.
        styles: float array (count, style_dim), at least one.
        batch_size: pictures drawn at once.

    Returns:
        float array (style_dim,), one of the styles.

    Raises:
        ValueError: if the target doesn't fit the synthesis.
    """
    import tensorflow as tf

    _check_target(synthesis, target)
    target = tf.constant(np.asarray(target, "float32")[None])
    wanted = None if features is None else features(target)
    layered = per_layer(styles, synthesis.input_shape[1]).astype("float32")
    images = synthesis.predict(layered, batch_size=batch_size, verbose=0)
    parts = np.split(images, range(batch_size, len(images), batch_size))
    losses = [_losses(part, target, wanted, features) for part in parts]
    return styles[int(np.argmin(np.concatenate(losses)))]


def _descend(synthesis, target, start, steps, learning_rate, features):
    import keras
    import tensorflow as tf

    variable = tf.Variable(start[None] if start.ndim == 2 else start[None, None])
    optimizer = keras.optimizers.Adam(learning_rate)
    optimizer.build([variable])
    target = tf.constant(target[None])
    wanted = tf.zeros(()) if features is None else features(target)
    compare = _comparison(synthesis, features)
    for number in range(steps + 1):
        *found, gradient = compare(variable, target, wanted)
        yield _projection(found)
        optimizer.learning_rate.assign(learning_rate * ramp(number, steps))
        optimizer.apply([gradient], [variable])


@functools.lru_cache(maxsize=4)  # compiling takes as long as many steps
def _comparison(synthesis, features):
    """Compile (styles, target, its features) -> styles per layer, images, loss and gradient."""
    import tensorflow as tf

    shape = synthesis.input_shape[1:]

    def compare(variable, target, wanted):
        with tf.GradientTape() as tape:
            start = tf.convert_to_tensor(variable)
            tape.watch(start)
            styles = tf.broadcast_to(start, (1, *shape))
            images = synthesis(styles, training=False)
            loss = _losses(images, target, wanted, features)[0]
        return styles, images, loss, tape.gradient(loss, start)

    return tf.function(compare, autograph=False, reduce_retracing=True)


def _losses(images, target, wanted, features):
    """Return the loss of each image, (batch,); wanted: features of the target, if any."""
    import tensorflow as tf

    def mean_square(values):
        return tf.reduce_mean(tf.square(values), axis=range(1, len(values.shape)))

    losses = mean_square(images - target)
    if features is not None:
        losses += mean_square(features(images) - wanted) / (mean_square(wanted) + 1e-12)
    return losses


def _projection(found):
    styles, images, loss = (np.asarray(value) for value in found)
    return Projection(styles[0], images[0], float(loss))
