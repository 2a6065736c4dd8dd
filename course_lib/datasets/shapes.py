"""Flat shapes with soft edges on a batch of pictures: what the avatars are painted with.

A shape is a *signed distance* to its edge, in pixels and positive inside; `paint` turns it into a
coverage that rises from 0 to 1 over one pixel, which is all the antialiasing there is. Lengths are
in units of which half a picture has `FRAME`, x to the right and y down, so that a shape looks the
same at every size. Arrays of numbers are (B, 1, 1), of colours (3, B, 1, 1), one entry for each
picture of the batch. Only operations that IEEE 754 rounds exactly: the same bytes on every machine.
"""

from typing import NamedTuple

import numpy as np

FRAME = 0.96  # half the side of the picture, in units


def rgb(color):
    """Return '#RRGGBB' as float32 (3, 1, 1, 1) in [0, 255]."""
    return np.array([int(color[k : k + 2], 16) for k in (1, 3, 5)], np.float32).reshape(3, 1, 1, 1)


WHITE = rgb("#FFFFFF")
SHADOW = rgb("#C9B2B2") / 255  # what a shadow leaves of red, green and blue: a warm dark


def mixed(color, other, weight):
    """Return the colour `weight` of the way from one colour to another."""
    return color + weight * (other - color)


def smooth(t):
    """Return the polynomial step 3t^2 - 2t^3 of t cut to [0, 1]."""
    t = np.minimum(np.maximum(t, 0), 1)
    return t * t * (3 - 2 * t)


class Patch(NamedTuple):
    """A rectangle of the canvas: a view of its pixels, and where they are."""

    pixels: np.ndarray  # (3, B, h, w)
    x: np.ndarray  # (1, 1, w), pixel centres in units
    y: np.ndarray  # (1, h, 1)
    dark: np.ndarray  # (B, 1, w), 0 towards the light and 1 away from it
    scale: float  # pixels per unit


class Canvas:
    """A batch of pictures, float32 (3, B, size, size) in [0, 255], to paint shapes on."""

    def __init__(self, count, size):
        self.pixels = np.empty((3, count, size, size), np.float32)
        self.scale = size / 2 / FRAME
        self.centres = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / self.scale - FRAME
        self.dark = np.zeros((count, 1, size), np.float32)

    def _span(self, middle, half):
        """Return the pixels that [middle - half, middle + half] meets, and one more."""
        size = self.centres.size
        first = int((float(np.min(middle - half)) + FRAME) * self.scale - 1)
        last = int((float(np.max(middle + half)) + FRAME) * self.scale + 2)
        return slice(min(max(first, 0), size), min(max(last, 0), size))

    def patch(self, cx, cy, rx, ry):
        """Return the smallest rectangle that holds this box in every picture of the batch."""
        columns, rows = self._span(cx, rx), self._span(cy, ry)
        x, y = self.centres[None, None, columns], self.centres[None, rows, None]
        return Patch(self.pixels[:, :, rows, columns], x, y, self.dark[..., columns], self.scale)


def blend(patch, coverage, color):
    """Move the pixels of a patch towards a colour by coverage, (B, h, w) in [0, 1]."""
    change = color - patch.pixels
    change *= coverage
    np.add(patch.pixels, change, out=patch.pixels)


def inside(distance):
    """Return the coverage of a shape: 0 outside, 1 inside, one pixel wide on the edge."""
    return np.clip(distance + np.float32(0.5), 0, 1)


def paint(patch, distance, color, opacity=1.0):
    """Paint a colour where the signed distance (in pixels) is positive."""
    blend(patch, inside(distance) * opacity, color)


def blob(patch, cx, cy, rx, ry, square=0.0, taper=0.0):
    """Return the signed distance to an egg: an ellipse, squarer or narrower at the bottom.

    The edge is (x / half(v))^2 = (1 - v^2) / (1 - square v^2) with v = (y - cy) / ry. The right
    side is a function of the row only, and so is the gradient on the edge, which turns the
    difference of the two sides into pixels: the picture-sized work is three operations.
    """
    ry = np.asarray(ry, np.float32)
    tip = np.maximum(1 - 0.5 / (ry * patch.scale), 0.5)  # last row that meets the shape
    beyond = (patch.y - cy) / ry
    v = np.minimum(np.maximum(beyond, -tip), tip)
    half, above, below = rx * (1 - taper * v), 1 - v * v, 1 - square * v * v
    profile = half * half * above / below
    slope = rx * taper * half * above / below + half * half * v * (1 - square) / (below * below)
    slope = 2 * slope / ry
    per_unit = patch.scale / np.sqrt(slope * slope + 4 * profile)
    level = profile * per_unit - np.abs(beyond - v) * (ry * patch.scale)
    offset = patch.x - cx
    return level - offset * offset * per_unit


def oval(canvas, box, color, square=0.0, taper=0.0, *, opacity=1.0, shaded=True):
    """Paint a blob: box is (cx, cy, rx, ry); a shaded one darkens away from the light."""
    cx, cy, rx, ry = box
    patch = canvas.patch(cx, cy, rx * (1 + abs(taper)), ry)
    color = shade(patch, color) if shaded else color
    paint(patch, blob(patch, *box, square, taper), color, opacity)


def shade(patch, color):
    """Return a colour that darkens away from the light, (3, B, 1, w)."""
    return color * (1 - patch.dark * (1 - SHADOW))


def _per_unit(curve, patch):
    """Return pixels per unit of height, (B, 1, w): fewer where the curve is steep."""
    slope = np.zeros_like(curve)
    slope[..., 1:-1] = (curve[..., 2:] - curve[..., :-2]) * (patch.scale / 2)
    return patch.scale / np.sqrt(1 + slope * slope)


def above(patch, curve):
    """Return the signed distance to the region above y = curve(x), curve (B, 1, w)."""
    per_unit = _per_unit(curve, patch)
    return curve * per_unit - patch.y * per_unit


def between(patch, u, width, top, bottom):
    """Return the signed distance to the region between two curves, where |u| < 1 (B, 1, w)."""
    ends = (1 - np.abs(u)) * (width * patch.scale)
    distance = np.minimum(above(patch, bottom), -above(patch, top))
    return np.minimum(distance, ends, out=distance)


def bar(patch, left, right, y, half):
    """Return the signed distance to a horizontal bar."""
    ends = (right - left) / 2 - np.abs(patch.x - (left + right) / 2)
    return np.minimum(half - np.abs(patch.y - y), ends) * patch.scale
