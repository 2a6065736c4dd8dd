"""Properties of an avatar that a slider can change, read by the encoder and found among styles."""

import functools

import numpy as np
import tensorflow as tf

from course_lib import features, latent_space, shipped
from course_lib.datasets import avatars

# Property -> (attribute, the values that have it).
PROPERTIES = {
    "glasses": ("glasses", ("round", "square", "sunglasses")),
    "beard": ("beard", ("stubble", "moustache", "full")),
    "open mouth": ("mouth", ("laugh", "surprised")),
    "long hair": ("hair_style", ("bob", "long")),
    "dark skin": ("skin", ("caramel", "chestnut", "espresso")),
    "turned right": ("pose", ("right",)),
}


def scores(images, *, properties=PROPERTIES, batch_size=256):
    """Return the log-odds of each property: dict of name -> float64 (count,).

    Args:
        images: float (count, height, width, 3) in [-1, 1].
        properties: dict of name -> (attribute, values), as in `avatars.ATTRIBUTES`.
        batch_size: images per pass; the last pass is filled up to it.

    Raises:
        ValueError: for images that `features.extract` refuses, or a value that isn't one.
    """
    return features.log_odds(images, _contrasts(properties), batch_size=batch_size)


def _contrasts(properties):
    """Return the values of properties as codes: dict of name -> (attribute, codes)."""
    return {
        name: (attribute, [avatars.ATTRIBUTES[attribute].index(value) for value in values])
        for name, (attribute, values) in properties.items()
    }


def directions(styles, found_scores):
    """Return dict of property -> unit direction (style_dim,) that raises its score.

    Args:
        styles: float (samples, style_dim).
        found_scores: dict of property -> (samples,), as `scores` gives for their images.

    Raises:
        ValueError: as `latent_space.attribute_direction`.
    """
    return {
        name: latent_space.attribute_direction(styles, values)
        for name, values in found_scores.items()
    }


def move(direction, locked, amount, corrections=None):
    """Return the shortest step that goes so far along a direction and leaves the locked ones alone.

    Args:
        direction: unit vector (style_dim,).
        locked: unit vectors (count, style_dim) or an empty list.
        amount: how far the step gets along `direction`; a lock makes it go a longer way round.
        corrections: how far it gets along each locked one; None for 0.

    Returns:
        float64 array (style_dim,), with the product `amount` with `direction` and 0, or the
        correction, with each locked one.

    Raises:
        ValueError: if the direction lies in the span of the locked ones.
    """
    direction = np.asarray(direction, np.float64)
    if latent_space.orthogonalise(direction, locked) @ direction < 1e-6:
        raise ValueError(
            f"nothing is left of the direction beside its {len(locked)} locks: unlock one."
        )
    wanted = np.zeros(len(locked)) if corrections is None else corrections
    rows = np.stack([direction, *locked])
    return np.linalg.pinv(rows, rcond=1e-6) @ np.concatenate([[amount], wanted])


def score_gradients(synthesis, styles, *, properties=PROPERTIES, batch_size=50):
    r"""Return how each score changes with the style: $\nabla_w s(g(w))$ at each face.

    Args:
        synthesis: draws 64 x 64 pictures in colour, which the encoder reads as they are.
        styles: float (count, style_dim), each for all layers.
        properties: as in `scores`.
        batch_size: faces per pass.

    Returns:
        dict of property -> float64 array (count, style_dim), in nats per unit of style.

    Raises:
        ValueError: if the synthesis draws pictures of another shape.
    """
    found = _values_and_gradients(synthesis, styles, properties, batch_size)
    return {name: gradients for name, (_, gradients) in found.items()}


def _values_and_gradients(synthesis, styles, properties, batch_size=50):
    """Return dict of property -> (scores (count,), gradients (count, style_dim)), float64."""
    side = features.IMAGE_SIZE
    if synthesis.output_shape[1:] != (side, side, 3):
        raise ValueError(
            f"the encoder reads pictures of shape {(side, side, 3)}, but the synthesis draws "
            f"{synthesis.output_shape[1:]}."
        )
    derivative = _derivative(synthesis, tuple(properties.items()))
    parts = [
        derivative(tf.constant(styles[start : start + batch_size], tf.float32))
        for start in range(0, len(styles), batch_size)
    ]
    return {
        name: [
            np.concatenate(arrays).astype(np.float64)
            for arrays in zip(*(part[name] for part in parts), strict=True)
        ]
        for name in properties
    }


@functools.lru_cache(maxsize=8)
def _derivative(synthesis, properties):
    """Compile styles (count, style_dim) -> dict of property -> (score, its gradient)."""
    encoder, contrasts = shipped.load("avatar_encoder"), _contrasts(dict(properties))
    num_layers, style_dim = synthesis.input_shape[1:]

    def log_odds(logits, codes):
        chosen = np.isin(np.arange(logits.shape[1]), codes)
        inside, outside = (
            tf.reduce_logsumexp(tf.boolean_mask(logits, mask, axis=1), axis=1)
            for mask in (chosen, ~chosen)
        )
        return inside - outside

    def derivative(styles):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(styles)
            logits = encoder(synthesis(tf.repeat(styles[:, None], num_layers, axis=1)))
            found = {n: log_odds(logits[attribute], c) for n, (attribute, c) in contrasts.items()}
        return {name: (value, tape.gradient(value, styles)) for name, value in found.items()}

    signature = [tf.TensorSpec((None, style_dim), tf.float32)]
    return tf.function(derivative, autograph=False, input_signature=signature)


def walk(synthesis, styles, direction, locked, amount, *, parts=6, settle=4, properties=PROPERTIES):
    """Move faces along a direction, at each step at right angles to what changes the locked.

    A direction found for all faces holds a linear score. At one face the encoder's reading changes
    along another direction, and along yet another after a step: each step asks for it anew, and
    takes back what has drifted so far, by no more than its own length. What the last one leaves is
    taken back by steps that get no further along the direction.

    Args:
        synthesis, styles: as in `score_gradients`.
        direction: unit vector (style_dim,).
        locked: names of properties.
        amount: how far each face gets along `direction`.
        parts: number of steps.
        settle: number of steps after them that only take back; without locks there are none.
        properties: as in `scores`.

    Returns:
        float64 array (count, style_dim).

    Raises:
        ValueError: as `score_gradients` and `move`.
    """
    held = {name: properties[name] for name in locked}
    styles, start = np.asarray(styles, np.float64), None
    longest = abs(amount / parts)
    for step in [amount / parts] * parts + [0.0] * (settle if held else 0):
        found = _values_and_gradients(synthesis, styles, held) if held else {}
        values = np.array([value for value, _ in found.values()]).reshape(len(held), len(styles))
        start = values if start is None else start
        gradients = np.array([g for _, g in found.values()]).reshape(len(held), *styles.shape)
        lengths = np.linalg.norm(gradients, axis=-1) + 1e-12
        back = np.clip((start - values) / lengths, -longest, longest)
        normals = gradients / lengths[..., None]
        moves = [
            move(direction, normals[:, face], step, back[:, face]) for face in range(len(styles))
        ]
        styles = styles + np.stack(moves)
    return styles
