"""Properties of an avatar that a slider can change, read by the encoder and found among styles."""

import numpy as np

from course_lib import features, latent_space
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


def scores(images, *, properties=PROPERTIES):
    """Return the log-odds of each property: dict of name -> float64 (count,).

    Args:
        images: float (count, height, width, 3) in [-1, 1].
        properties: dict of name -> (attribute, values), as in `avatars.ATTRIBUTES`.

    Raises:
        ValueError: for images that `features.extract` refuses, or a value that isn't one.
    """
    contrasts = {
        name: (attribute, [avatars.ATTRIBUTES[attribute].index(value) for value in values])
        for name, (attribute, values) in properties.items()
    }
    return features.log_odds(images, contrasts)


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


def move(direction, locked, amount):
    """Return the step along a direction that leaves the locked ones alone.

    Args:
        direction: unit vector (style_dim,).
        locked: unit vectors (count, style_dim) or an empty list.
        amount: how far the step gets along `direction`; a lock makes it go a longer way round.

    Returns:
        float64 array (style_dim,), with product `amount` with `direction` and 0 with each locked.

    Raises:
        ValueError: if the direction lies in the span of the locked ones.
    """
    free = latent_space.orthogonalise(direction, locked)
    gain = free @ np.asarray(direction)
    if gain < 1e-6:
        raise ValueError(
            f"nothing is left of the direction beside its {len(locked)} locks: unlock one."
        )
    return amount * free / gain
