"""Differentiable augmentation: the discriminator sees changed pictures only, real and generated.

With few pictures a discriminator learns them by heart. If it saw changed real pictures alone, the
generator would learn to draw the changes; since generated ones are changed in the same way, and the
generator's gradient goes back through the change, it learns the pictures as they are.

Source: Zhao et al. 2020, https://arxiv.org/abs/2006.10738, section 3; strengths as in the authors'
"color, translation, cutout". Each function takes float images (batch, height, width, channels) in
[-1, 1] and a `keras.random.SeedGenerator`, draws anew for each picture, and returns the same shape
and dtype, in which 0 is the mid-grey of what is cut out or moved in. Values may leave [-1, 1]: a
cut there would stop the gradient.
"""

from keras import ops

from course_lib import replicas


def colour(images, seed):
    """Move brightness by up to 0.5, multiply saturation by 0 to 2 and contrast by 0.5 to 1.5."""
    brightness, saturation, contrast = (_uniform(images, seed) for _ in range(3))
    images = images + (brightness - 0.5)
    grey = ops.mean(images, axis=-1, keepdims=True)
    images = (images - grey) * (2 * saturation) + grey
    middle = ops.mean(images, axis=(1, 2, 3), keepdims=True)
    return (images - middle) * (contrast + 0.5) + middle


def _uniform(images, seed):
    """Return one number in [0, 1) for each picture, shape (batch, 1, 1, 1)."""
    return replicas.uniform((images.shape[0], 1, 1, 1), dtype=images.dtype, seed=seed)


def translation(images, seed):
    """Move every picture by up to an eighth of its side, up or down and left or right."""
    _, height, width, _ = images.shape
    # Products with 0 and 1 pick rows and columns; what would come from outside is 0.
    images = ops.einsum("bij,bjwc->biwc", _moved(images, height, seed), images)
    return ops.einsum("bij,bhjc->bhic", _moved(images, width, seed), images)


def _moved(images, size, seed):
    """Return a matrix of 0 and 1 for each picture, (batch, size, size): row i takes i - shift."""
    most = round(size / 8)
    shifts = replicas.randint((images.shape[0], 1, 1), -most, most + 1, seed=seed)
    places = ops.arange(size)
    return ops.cast(places[None, :, None] - shifts == places[None, None], images.dtype)


def cutout(images, seed):
    """Cut a square of half the side out of every picture, its centre anywhere in it."""
    _, height, width, _ = images.shape
    rows, columns = _hole(images, height, seed), _hole(images, width, seed)
    return ops.where(rows[:, :, None, None] & columns[:, None, :, None], 0.0, images)


def _hole(images, size, seed):
    """Return which places of a side are cut out, booleans (batch, size)."""
    side = round(size / 2)
    starts = replicas.randint((images.shape[0], 1), 0, size + 1, seed=seed) - side // 2
    places = ops.arange(size)[None]
    return (starts <= places) & (places < starts + side)


AUGMENTATIONS = {"colour": colour, "translation": translation, "cutout": cutout}


def check_names(names):
    """Raise ValueError unless names is a tuple or list of keys of `AUGMENTATIONS`."""
    if isinstance(names, str):
        raise ValueError(f"augmentations must be a tuple, got {names!r}: write ({names!r},).")
    unknown = [name for name in names if name not in AUGMENTATIONS]
    if unknown:
        raise ValueError(
            f"There is no differentiable augmentation {unknown[0]!r}. "
            f"Choose from: {', '.join(AUGMENTATIONS)}."
        )


def apply(names, images, seed):
    """Return the images after these augmentations, in order; unchanged if there are none."""
    for name in names:
        images = AUGMENTATIONS[name](images, seed)
    return images


__all__ = ["AUGMENTATIONS", "apply", "check_names", "colour", "cutout", "translation"]
