"""Ten classes of avatars under everyday nuisance: an expression, with or without glasses.

The class is a shape, never a colour, and everything else varies: who it is, pose, light and
background as in `avatars`, and on top of them exposure, a colour cast, a shadow that runs across
the picture, and the noise of a small sensor.
"""

import numpy as np

from course_lib.datasets import avatars

MOUTHS = avatars.ATTRIBUTES["mouth"]
CLASSES = tuple(f"{mouth}{end}" for mouth in MOUTHS for end in ("", " + glasses"))
_COINS = 2**62  # the stream that draws glasses; those below are one for each picture
_CHUNK = 256  # pictures that are disturbed at once


def make(count, *, size=128, seed=0):
    """Return (pixels, labels): random pictures of the ten classes, all equally likely.

    Args:
        count: number of pictures, at least 0.
        size: height and width, 32 to 256.
        seed: integer in [0, 2^63). Picture i depends on seed and i only.

    Returns:
        uint8 (count, size, size, 3), and a dict of int64 arrays (count,): "expression", a position
        in `CLASSES`, and every attribute of `avatars.ATTRIBUTES` as it was drawn.

    Raises:
        ValueError: if an argument is out of range.
    """
    attributes = avatars.sample_attributes(count, seed=seed)
    # Half of the faces have no glasses, the others any of the three kinds.
    bits = np.random.Philox(key=[seed, _COINS]).random_raw(2 * count).reshape(
        count, 2
    ) >> np.uint64(3)
    with_glasses = (bits[:, 0] & np.uint64(1)).astype(np.int64)
    kinds = np.uint64(len(avatars.ATTRIBUTES["glasses"]) - 1)
    attributes["glasses"] = (with_glasses * (1 + bits[:, 1] % kinds).astype(np.int64)).astype(
        np.int8
    )
    pixels = avatars.render(attributes, size=size, seed=seed)
    for start in range(0, count, _CHUNK):
        part = pixels[start : start + _CHUNK]
        part[...] = _disturb(part, np.arange(start, start + len(part)), seed)
    labels = {name: codes.astype(np.int64) for name, codes in attributes.items()}
    return pixels, {"expression": 2 * labels["mouth"] + with_glasses, **labels}


def _disturb(pixels, numbers, seed):
    """Return pictures as a small camera takes them: uint8 of the same shape."""
    size = pixels.shape[1]
    disturbed = np.empty(pixels.shape, np.float32)
    across = np.linspace(-1, 1, size, dtype=np.float32)
    for row, number in enumerate(numbers):
        generator = np.random.Generator(np.random.Philox(key=[seed, number]))
        exposure, cast_red, cast_blue, slant, depth, grain = generator.random(6, np.float32)
        gain = np.array([1 + 0.2 * (cast_red - 0.5), 1, 1 + 0.2 * (cast_blue - 0.5)], np.float32)
        turned = (2 * slant - 1) * across[:, None] + (1 - abs(2 * slant - 1)) * across[None]
        shadow = 1 - 0.5 * depth * np.clip(turned + 0.5, 0, 1)
        noise = generator.standard_normal(pixels.shape[1:], np.float32)
        lit = pixels[row] * (0.75 + 0.45 * exposure) * gain * shadow[..., None]
        disturbed[row] = lit + 18 * grain * noise
    return np.clip(disturbed + 0.5, 0, 255).astype(np.uint8)
