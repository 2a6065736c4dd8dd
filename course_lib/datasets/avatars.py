"""Procedural cartoon faces with exact labels: unlimited, offline, free of privacy questions.

What the attributes are and how a face is painted stands in `avatar_parts`. The bytes are the same
on every machine: only operations that IEEE 754 rounds exactly (+, -, *, /, sqrt, min, max,
comparisons) and an integer hash; no exp, no sin, no sums whose order may change.
"""

import numpy as np

from course_lib.datasets.avatar_parts import ATTRIBUTES, HAIR_STYLES, NUISANCES, draw

CHUNK_PIXELS = 1 << 18  # drawn at once: few calls per image, arrays that stay in cache
GOLDEN_RATIO = 0x9E3779B97F4A7C15  # the odd constant of splitmix64
STREAM_ATTRIBUTES, STREAM_NUISANCE = 1, 2


# --- random numbers ---


def _mix(state):
    """Return the finaliser of splitmix64 (Steele et al. 2014) of a uint64 array."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def _random_bits(count, channels, *, seed, stream):
    """Return uint64 (channels, count) below 2^32; column i depends on seed, stream and i only."""
    golden = np.uint64(GOLDEN_RATIO)
    state = _mix(np.array([seed], np.uint64) + golden * np.array([stream], np.uint64))
    state = _mix(state + golden * np.arange(1, count + 1, dtype=np.uint64))
    state = _mix(state + golden * np.arange(1, channels + 1, dtype=np.uint64)[:, None])
    return state >> np.uint64(32)


# --- public ---


def _check_integer(name, value, low, high):
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or not low <= value <= high:
        raise ValueError(f"{name} must be an integer from {low} to {high}, got {value!r}.")


def _check_attributes(attributes):
    """Return {name: codes as an index array} and the count, or say what is wrong."""
    unknown = [name for name in attributes if name not in ATTRIBUTES]
    missing = [name for name in ATTRIBUTES if name not in attributes]
    if unknown or missing:
        raise ValueError(
            f"unknown attributes {unknown}, missing attributes {missing}; start from "
            f"sample_attributes(count, seed=0), which has {', '.join(ATTRIBUTES)}."
        )
    codes = {name: np.asarray(attributes[name]) for name in ATTRIBUTES}
    shape = codes["skin"].shape
    for name, values in codes.items():
        if values.ndim != 1 or values.shape != shape or values.dtype.kind not in "iu":
            raise ValueError(
                f"{name} must be an integer array of shape (count,), the same for every "
                f"attribute, got dtype {values.dtype}, shape {values.shape}, skin has {shape}."
            )
        wrong = values[(values < 0) | (values >= len(ATTRIBUTES[name]))]
        if wrong.size:
            raise ValueError(
                f"{name} has code {wrong[0]}; codes are positions in {ATTRIBUTES[name]}, "
                f"from 0 to {len(ATTRIBUTES[name]) - 1}."
            )
    return {name: values.astype(np.intp) for name, values in codes.items()}, shape[0]


def sample_attributes(count, *, seed):
    """Return random labels: every attribute uniform over its values and independent of the others.

    Args:
        count: number of faces, at least 0.
        seed: integer in [0, 2^63). Face i depends on seed and i only, so a shorter list is the
            beginning of a longer one.

    Returns:
        dict of int8 arrays (count,), one for each name in ATTRIBUTES: positions in its values.

    Raises:
        ValueError: if count or seed is out of range.
    """
    _check_integer("count", count, 0, 2**31 - 1)
    _check_integer("seed", seed, 0, 2**63 - 1)
    bits = _random_bits(count, len(ATTRIBUTES), seed=seed, stream=STREAM_ATTRIBUTES)
    sizes = np.array([len(values) for values in ATTRIBUTES.values()], np.uint64)[:, None]
    return dict(zip(ATTRIBUTES, ((bits * sizes) >> np.uint64(32)).astype(np.int8), strict=True))


def render(attributes, *, size=64, seed=0):
    """Return the faces with these attributes.

    Args:
        attributes: dict of integer arrays (count,), all the names in ATTRIBUTES, as
            `sample_attributes` returns.
        size: height and width in pixels, 32 to 256.
        seed: integer in [0, 2^63) for what no label names: exact position, proportions, gaze,
            shades. Face i depends on its attributes, seed and i, not on count or size.

    Returns:
        uint8 (count, size, size, 3), RGB.

    Raises:
        ValueError: for an unknown or missing attribute, a code without a value, a size or a seed
            out of range.
    """
    codes, count = _check_attributes(attributes)
    _check_integer("size", size, 32, 256)
    _check_integer("seed", seed, 0, 2**63 - 1)
    bits = _random_bits(count, len(NUISANCES), seed=seed, stream=STREAM_NUISANCE) >> np.uint64(8)
    nuisance = bits.astype(np.float32) * np.float32(2.0**-23) - np.float32(1)  # [-1, 1), exact
    pixels = np.empty((count, size, size, 3), np.uint8)
    chunk = max(1, CHUNK_PIXELS // (size * size))
    order = np.argsort(codes["pose"], kind="stable")  # equal poses share tight boxes
    for code, style in enumerate(HAIR_STYLES):
        same = order[codes["hair_style"][order] == code]
        for start in range(0, same.size, chunk):
            rows = same[start : start + chunk]
            some = {name: values[rows] for name, values in codes.items()}
            pixels[rows] = draw(some, nuisance[:, rows], size, style)
    return pixels


def make(count, *, size=64, seed=0):
    """Return (pixels, attributes): `count` random faces and their labels.

    Args and errors are those of `sample_attributes` and `render`, which get the same seed. The
    faces of `make(5)` are the first five of `make(10)`.
    """
    attributes = sample_attributes(count, seed=seed)
    return render(attributes, size=size, seed=seed), attributes


def describe(attributes, index):
    """Return one face in words: "honey skin, oval face shape, long hair style, ..."."""
    codes, count = _check_attributes(attributes)
    _check_integer("index", index, 0, count - 1)
    words = {name: ATTRIBUTES[name][codes[name][index]] for name in ATTRIBUTES}
    return ", ".join(
        f"{'no' if value == 'none' else value} {name.replace('_', ' ')}"
        for name, value in words.items()
    )
