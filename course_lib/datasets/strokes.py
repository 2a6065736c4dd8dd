"""Strokes of a brush as plain lists, what they cover, and points drawn from them.

A drawing is a list of strokes, a stroke a list of [x, y] in the square [-1, 1] x [-1, 1], y up.
A stroke of a single point is a dot.
"""

import numpy as np
from PIL import Image, ImageDraw

SPREAD = 0.5  # standard deviation of the points across a stroke, in brush radii
# How far places go beyond the ends of a stroke, in brush radii, so that there, too, points reach
# as far as the paint: at its border they are exp(-2) = 0.135 as dense as in the middle, 0.135 of a
# Gaussian lies above 1.1 standard deviations, and 0.45 + 0.5 * 1.1 = 1.
BEYOND = 0.45
FINE = 4  # pixels drawn for each pixel of a mask, along each side


def points_from_strokes(strokes, brush, count, seed):
    r"""Draw points that lie along strokes as paint of a brush does.

    A place is chosen uniformly along the length of the strokes, `BEYOND` their ends included;
    around it the point is Gaussian, with a standard deviation of `SPREAD` brush radii, so that
    about 95 % of the points lie on the paint. A dot, and both round ends of a stroke together,
    count as $\pi / 2$ radii of length, which is what they cover.

    Args:
        strokes: list of lists of [x, y], in [-1, 1].
        brush: radius of the brush, in the same units, above 0.
        count: how many points, at least 1.
        seed: int; the same seed gives the same points.

    Returns:
        float32 array (count, 2). Points of strokes at the border may lie a little outside.

    Raises:
        ValueError: if nothing is drawn, a stroke is not a list of pairs of finite numbers, or
            `brush` or `count` is too small.
    """
    strokes = checked(strokes)
    if not strokes:
        raise ValueError("nothing is drawn yet: draw a stroke, or choose one of the presets.")
    if not brush > 0 or count < 1:
        raise ValueError(f"brush must be above 0 and count at least 1, got {brush} and {count}.")
    random = np.random.default_rng(seed)
    weights = np.array([length(stroke) + brush * np.pi / 2 for stroke in strokes])
    lines = [_longer(np.array(stroke), BEYOND * brush) for stroke in strokes]
    counts = random.multinomial(count, weights / weights.sum())
    places = [_along(line, random.uniform(size=n)) for line, n in zip(lines, counts, strict=True)]
    points = random.permutation(np.concatenate(places))  # any part of them is a fair sample
    points += random.normal(scale=SPREAD * brush, size=points.shape)
    return points.astype("float32")


def covered(strokes, brush, size):
    """Return which pixels of a square the paint of strokes covers.

    Args:
        strokes: list of lists of [x, y], in [-1, 1], y up; may be empty.
        brush: radius of the brush, in the same units.
        size: side of the square in pixels.

    Returns:
        float32 array (size, size), rows downwards: the share of each pixel that is covered.

    Raises:
        ValueError: as `checked`.
    """
    side = FINE * size
    picture = Image.new("L", (side, side), 0)
    draw, radius = ImageDraw.Draw(picture), brush * side / 2
    for stroke in checked(strokes):
        pixels = [((x + 1) * side / 2, (1 - y) * side / 2) for x, y in stroke]
        draw.line(pixels, fill=255, width=round(2 * radius))
        for x, y in pixels:  # round joints and ends
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    shrunk = picture.resize((size, size), Image.Resampling.BOX)
    return np.asarray(shrunk, "float32") / 255


def length(stroke):
    """Return the length of a stroke; 0.0 of a dot."""
    return float(np.linalg.norm(np.diff(np.asarray(stroke, float), axis=0), axis=1).sum())


def _longer(line, extra):
    """Return the line with `extra` more at both ends; a dot and a closed line stay as they are."""
    moves = np.any(np.diff(line, axis=0) != 0, axis=1)
    line = line[np.concatenate([[True], moves])]  # a pen at rest has no direction
    if len(line) < 2 or np.allclose(line[0], line[-1]):
        return line
    start, end = line[0] - line[1], line[-1] - line[-2]
    start, end = (way * extra / np.linalg.norm(way) for way in (start, end))
    return np.concatenate([[line[0] + start], line, [line[-1] + end]])


def _along(line, fractions):
    """Return the places at these fractions of the length of a stroke."""
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    marks = np.concatenate([[0.0], np.cumsum(steps)])
    wanted = fractions * marks[-1]
    return np.stack([np.interp(wanted, marks, line[:, axis]) for axis in (0, 1)], axis=1)


def checked(strokes):
    """Return the strokes as lists of floats, moved into the square, without empty ones.

    Raises:
        ValueError: if something is not a pair of finite numbers; it names the first.
    """
    good = []
    for number, stroke in enumerate(strokes, start=1):
        try:
            points = np.asarray(list(stroke), float).reshape(len(stroke), 2)
        except (TypeError, ValueError):
            points = np.array([[np.nan, np.nan]])
        if not np.isfinite(points).all():
            shown = repr(stroke)
            shown = shown if len(shown) < 60 else shown[:60] + " ..."
            raise ValueError(f"stroke {number} must be a list of [x, y] numbers, got {shown}.")
        if len(points):
            good.append(points.clip(-1, 1).tolist())
    return good


# As text -----------------------------------------------------------------------------------------


def to_text(strokes):
    """Return strokes as text: a line for each, `x,y` for each point, in hundredths."""
    lines = (" ".join(f"{x:.2f},{y:.2f}" for x, y in stroke) for stroke in strokes)
    return "\n".join(lines)


def from_text(text):
    """Return the strokes of such a text; empty lines don't count.

    Raises:
        ValueError: naming the line and what stands there, if it is not `x,y x,y ...`.
    """
    strokes = []
    for number, line in enumerate(text.splitlines(), start=1):
        stroke = []
        for word in line.split():
            try:
                x, y = map(float, word.split(","))
                stroke += checked([[[x, y]]])[0]
            except ValueError:
                raise ValueError(
                    f"line {number}: {word!r} is no point; write x,y such as 0.5,-0.2, "
                    "with a space between points and a line for each stroke."
                ) from None
        if stroke:
            strokes.append(stroke)
    return strokes


# Ready-made --------------------------------------------------------------------------------------


def _curve(x, y):
    return np.stack([x, y], axis=1).round(3).tolist()


def _arc(start, end, centre=(0.0, 0.0), radius=0.7):
    angles = np.linspace(start, end, 41) * np.pi
    return _curve(centre[0] + radius * np.cos(angles), centre[1] + radius * np.sin(angles))


def _dots(count):
    angles = 2 * np.pi * np.arange(count) / count
    return [[point] for point in _curve(0.7 * np.cos(angles), 0.7 * np.sin(angles))]


_TURNS = np.linspace(0.1, 1, 81)
_GRID = np.linspace(-0.8, 0.8, 5).round(3).tolist()

PRESETS = {
    "line": [[[-0.7, -0.5], [0.7, 0.5]]],
    "ring": [_arc(0, 2)],
    "two moons": [_arc(0, 1, (-0.25, -0.1), 0.5), _arc(1, 2, (0.25, 0.1), 0.5)],
    "spiral": [
        _curve(0.8 * _TURNS * np.cos(4 * np.pi * _TURNS), 0.8 * _TURNS * np.sin(4 * np.pi * _TURNS))
    ],
    "two blobs": _dots(2),
    "eight blobs": _dots(8),
    "25 blobs": [[[x, y]] for x in _GRID for y in _GRID],
}
