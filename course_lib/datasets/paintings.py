"""Paintings by a program of ours, one of seven manners at a time: styles that come with the course.

They show no object, only a manner: how colour is put on, at which scale, along which lines. Every
manner is drawn at twice its size and shrunk, so that edges are smooth; the same seed draws the
same picture.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage, spatial

OVERSAMPLING = 2
MAX_SIZE = 1024

Palette = np.ndarray  # float (colours, 3) in [0, 255]


def make(manner: str, *, size: int = 256, seed: int = 0) -> np.ndarray:
    """Paints one picture.

    Args:
        manner: One of `MANNERS`.
        size: Side in pixels, 32 to 1024. Strokes and tiles keep their share of the side.
        seed: Which picture of that manner, 0 or more.

    Returns:
        uint8 array (size, size, 3).

    Raises:
        ValueError: If an argument is none of those above.
    """
    if manner not in MANNERS:
        raise ValueError(f"There is no manner {manner!r}. Choose one of: {', '.join(MANNERS)}.")
    if not 32 <= size <= MAX_SIZE:
        raise ValueError(f"size must be from 32 to {MAX_SIZE}. Received: size={size}.")
    if seed < 0:
        raise ValueError(f"seed must be 0 or more. Received: seed={seed}.")
    random = np.random.default_rng([list(MANNERS).index(manner), seed])
    canvas = MANNERS[manner](size * OVERSAMPLING, random)
    painting = Image.fromarray(np.clip(np.rint(canvas), 0, 255).astype(np.uint8))
    return np.asarray(painting.resize((size, size), Image.Resampling.BOX))


# What the manners share ---------------------------------------------------------------------------


def _colours(*codes: str) -> Palette:
    return np.array([[int(code[i : i + 2], 16) for i in (0, 2, 4)] for code in codes], float)


def _grid(side: int) -> tuple[np.ndarray, np.ndarray]:
    """The places of the pixels: x and y from 0 to 1, each (side, side)."""
    steps = (np.arange(side) + 0.5) / side
    return np.meshgrid(steps, steps)


def _clouds(side: int, random: np.random.Generator, waves: int, octaves: int = 4) -> np.ndarray:
    """Smooth noise (side, side) with values spread evenly over [0, 1]."""
    total = np.zeros((side, side))
    for octave in range(octaves):
        knots = random.standard_normal((waves * 2**octave + 3,) * 2)
        total += (
            ndimage.zoom(knots, (side + 1) / (len(knots) - 3), order=3)[:side, :side] / 1.9**octave
        )
    ranks = np.empty(total.size)
    ranks[total.ravel().argsort()] = np.linspace(0, 1, total.size)
    return ranks.reshape(total.shape)


def _ramp(palette: Palette, values: np.ndarray) -> np.ndarray:
    """Colours between those of the palette for values in [0, 1]."""
    stops = np.linspace(0, 1, len(palette))
    return np.stack([np.interp(values, stops, channel) for channel in palette.T], axis=-1)


def _lit(colours: np.ndarray, random: np.random.Generator, spread: float) -> np.ndarray:
    """The same colours, each a little lighter or darker and shifted in hue."""
    shape = colours.shape[:-1]
    colours = colours * (1 + spread * random.standard_normal((*shape, 1)))
    return np.clip(colours + 40 * spread * random.standard_normal((*shape, 3)), 0, 255)


def _tiles(side: int, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each pixel its nearest point, and how far the border to the next one is, in sides."""
    places = np.stack(_grid(side), axis=-1).reshape(-1, 2)
    distances, nearest = spatial.cKDTree(points).query(places, k=2)
    apart = np.linalg.norm(points[nearest[:, 0]] - points[nearest[:, 1]], axis=1)
    border = (distances[:, 1] ** 2 - distances[:, 0] ** 2) / (2 * np.maximum(apart, 1e-9))
    return nearest[:, 0].reshape(side, side), border.reshape(side, side)


def _jittered(count: int, random: np.random.Generator, jitter: float) -> np.ndarray:
    """About count**2 points over the unit square and a margin, none too near another."""
    steps = (np.arange(-1, count + 1) + 0.5) / count
    points = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    return points + jitter / count * random.uniform(-1, 1, points.shape)


def _brush(
    side: int, starts: np.ndarray, angles: np.ndarray, colours: np.ndarray, *,
    ground: np.ndarray, length: float, width: float, random: np.random.Generator,
) -> np.ndarray:  # fmt: skip
    """Draws strokes that follow a field of directions, over a ground."""
    canvas = Image.fromarray(ground.astype(np.uint8))
    draw, steps = ImageDraw.Draw(canvas), 7
    for start in starts:
        path, place = [], start * side
        column, row = np.clip(place.astype(int), 0, side - 1)
        colour = tuple(int(c) for c in _lit(colours[row, column], random, 0.11))
        for _ in range(steps):
            path.append(tuple(place))
            column, row = np.clip(place.astype(int), 0, side - 1)
            angle = angles[row, column]
            place = place + length * side / steps * np.array([np.cos(angle), np.sin(angle)])
        draw.line(path, fill=colour, width=max(1, round(width * side * random.uniform(0.6, 1.3))),
                  joint="curve")  # fmt: skip
    return np.asarray(canvas, float)


# The manners --------------------------------------------------------------------------------------


def _swirls(side: int, random: np.random.Generator) -> np.ndarray:
    """Short thick strokes around whirls, a night sky of blues with yellow lights."""
    x, y = _grid(side)
    flow_x, flow_y = np.full_like(x, 0.35), 0.2 * np.sin(5 * x + random.uniform(0, 6))
    tone, light = _clouds(side, random, 3), np.zeros_like(x)
    for _ in range(9):
        centre, turn = random.uniform(0, 1, 2), random.choice([-1, 1])
        radius = random.uniform(0.06, 0.16)
        dx, dy = x - centre[0], y - centre[1]
        pull = np.exp(-(dx**2 + dy**2) / (2 * radius**2)) / radius
        flow_x, flow_y = flow_x - turn * dy * pull * 3, flow_y + turn * dx * pull * 3
        light = np.maximum(light, np.exp(-((np.hypot(dx, dy) / radius) ** 2) * 2.2))
    night = _ramp(_colours("0b1d4f", "163a8a", "2a63b8", "5b9bd6", "a9cfe6"), tone)
    glow = _ramp(_colours("d99a2b", "f3cf4a", "fdf3b0"), np.clip(light * 1.5 - 0.4, 0, 1))
    share = np.clip(light * 2.4 - 0.6, 0, 1)[..., None]
    colours = night * (1 - share) + glow * share
    ground = _ramp(_colours("0a1a45", "1b3f80"), tone)
    return _brush(
        side, random.uniform(0, 1, (5200, 2)), np.arctan2(flow_y, flow_x), colours,
        ground=ground, length=0.055, width=0.0105, random=random,
    )  # fmt: skip


def _meadow(side: int, random: np.random.Generator) -> np.ndarray:
    """Dabs of warm colour: reds, oranges and greens laid wet beside each other."""
    tone = _clouds(side, random, 3)
    palette = _colours("1f4d3a", "3f8f4f", "a9c04b", "f2c53d", "f0842c", "d43d2f", "7b1f3a")
    angles = np.pi * (_clouds(side, random, 2, 2) - 0.5) * 1.6 + 0.6
    colours = _ramp(palette, tone)
    return _brush(
        side, random.uniform(0, 1, (3600, 2)), angles, colours,
        ground=colours * 0.8, length=0.035, width=0.02, random=random,
    )  # fmt: skip


def _mosaic(side: int, random: np.random.Generator) -> np.ndarray:
    """Small stones in light mortar, sea colours with gold."""
    points = _jittered(30, random, 0.28)
    nearest, border = _tiles(side, points)
    tone = _clouds(64, random, 2, 3)
    places = np.clip((points * 64).astype(int), 0, 63)
    palette = _colours("0f4c5c", "1f7a8c", "5fb3b3", "e6dfc4", "e0a83a", "b5522b")
    stones = _lit(_ramp(palette, tone[places[:, 1], places[:, 0]]), random, 0.12)
    mortar = np.clip((border - 0.0022) / 0.0016, 0, 1)[..., None]
    return stones[nearest] * mortar + np.array([222, 214, 196]) * (1 - mortar)


def _stained_glass(side: int, random: np.random.Generator) -> np.ndarray:
    """Large panes of lit glass in dark lead."""
    points = _jittered(9, random, 0.42)
    nearest, border = _tiles(side, points)
    palette = _colours("b3122b", "e8771e", "f5c631", "1f8a4c", "1566b8", "5a2a8c", "d8e6ea")
    panes = palette[random.integers(0, len(palette), len(points))]
    light = 0.72 + 0.4 * np.clip(border / 0.05, 0, 1) + 0.12 * (_clouds(side, random, 12) - 0.5)
    glass = np.clip(panes[nearest] * light[..., None], 0, 255)
    lead = np.clip((border - 0.0065) / 0.002, 0, 1)[..., None]
    return glass * lead + np.array([22, 20, 26]) * (1 - lead)


def _marbling(side: int, random: np.random.Generator) -> np.ndarray:
    """Combed ink on water: thin bands that fold around each other."""
    x, y = _grid(side)
    first, second = (_clouds(side, random, 2, 3) - 0.5 for _ in range(2))
    bands = 7 * (x + 0.55 * first) + 4 * (y + 0.7 * second)
    bands += 0.35 * np.sin(28 * (y + 0.5 * first) + 6 * second)
    palette = _colours("14213d", "f4efe1", "b23a48", "e9c46a", "2a6f77", "f4efe1", "14213d")
    shares = np.modf(np.abs(bands))[0]
    return _ramp(np.concatenate([palette, palette[:1]]), shares)


def _woodcut(side: int, random: np.random.Generator) -> np.ndarray:
    """Carved waves: dark lines that swell and thin over flat blues and cream."""
    x, y = _grid(side)
    warp = _clouds(side, random, 2, 3) - 0.5
    height = y + 0.22 * warp + 0.035 * np.sin(9 * x + 7 * warp)
    tone = _clouds(side, random, 2, 3)
    flats = _colours("f1e6cc", "f1e6cc", "a9c3cf", "5d8aa8", "24517a")
    inked = flats[np.minimum((tone * len(flats)).astype(int), len(flats) - 1)]
    wave = np.abs(np.modf(height * 26)[0] - 0.5) * 2  # 0 on a line, 1 between two
    line = np.clip((wave - (0.12 + 0.42 * tone)) / 0.12, 0, 1)[..., None]
    return inked * line + np.array([18, 32, 60]) * (1 - line)


def _points(side: int, random: np.random.Generator) -> np.ndarray:
    """Dots of pure colours that mix in the eye, each area with dots of its complement."""
    tone = _clouds(side, random, 2, 3)
    palette = _colours("3a4a9f", "4f8fc0", "7fb069", "e8d174", "e59560", "c8553d")
    canvas = Image.new("RGB", (side, side), (243, 236, 220))
    draw = ImageDraw.Draw(canvas)
    for _ in range(9000):
        place, radius = random.uniform(0, side, 2), side * random.uniform(0.004, 0.0085)
        value = tone[int(place[1]), int(place[0])] + random.normal(0, 0.07)
        value = 1 - value if random.uniform() < 0.13 else value
        colour = _lit(_ramp(palette, np.clip(value, 0, 1)), random, 0.08)
        draw.ellipse([*(place - radius), *(place + radius)], fill=tuple(int(c) for c in colour))
    return np.asarray(canvas, float)


MANNERS: dict[str, Callable[[int, np.random.Generator], np.ndarray]] = {
    "swirls": _swirls,
    "meadow": _meadow,
    "mosaic": _mosaic,
    "stained glass": _stained_glass,
    "marbling": _marbling,
    "woodcut": _woodcut,
    "points": _points,
}
