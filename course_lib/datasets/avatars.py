"""Procedural cartoon faces with exact labels: unlimited, offline, free of privacy questions.

A face is a stack of flat shapes, painted back to front. A shape is a *signed distance* to its edge,
in pixels and positive inside; `_paint` turns it into a coverage that rises from 0 to 1 over one
pixel, which is all the antialiasing there is. Lengths are in units in which a head is about 1 wide,
x to the right and y down, so a face looks the same at every size. Arrays of numbers are (B, 1, 1),
of colours (3, B, 1, 1), one entry for each face of a chunk.

The bytes are the same on every machine: only operations that IEEE 754 rounds exactly (+, -, *, /,
sqrt, min, max, comparisons) and an integer hash; no exp, no sin, no sums whose order may change.
"""

from typing import NamedTuple

import numpy as np


def _rgb(color):
    """Return '#RRGGBB' as float32 (3, 1, 1, 1) in [0, 255]."""
    return np.array([int(color[k : k + 2], 16) for k in (1, 3, 5)], np.float32).reshape(3, 1, 1, 1)


# fmt: off
PALETTES = {
    "skin": {"porcelain": "#FFE0D0", "peach": "#F8C6A2", "honey": "#E2A573",
             "caramel": "#BD7F50", "chestnut": "#965E3C", "espresso": "#6A422F"},
    "hair_color": {"black": "#2B2530", "brown": "#553322", "red": "#C2502B", "blonde": "#EDC05C",
                   "silver": "#C9CDD8", "pink": "#EE6FA6", "teal": "#1F9AA0"},
    "eye_color": {"brown": "#6A3A1E", "amber": "#D98E1F", "green": "#3FA35B", "blue": "#3B86D8"},
    "clothing": {"navy": "#33426F", "coral": "#EC6A5B", "mustard": "#F0B03F",
                 "emerald": "#2F9A76", "cream": "#FBF4E6", "plum": "#7C4A90"},
    "background": {"sand": "#F4DEA4", "rose": "#F5ADB6", "mint": "#AFDFC0", "sky": "#9CD3F2",
                   "lavender": "#C9B9EE", "lagoon": "#4FA3A8", "dusk": "#566093"},
}
WHITE, INK, GOLD = _rgb("#FFFFFF"), _rgb("#2A2230"), _rgb("#F2B632")  # ink is softer than black
LIP, TONGUE, LENS, BLUSH = _rgb("#7A2333"), _rgb("#E8707A"), _rgb("#3A2A55"), _rgb("#F0605F")
SHADOW = _rgb("#C9B2B2") / 255  # what a shadow leaves of red, green and blue: a warm dark

# half-width, half-height, squareness, taper (positive: narrower at the chin)
FACE_SHAPES = {
    "oval":   (0.415, 0.570, 0.15, 0.09),
    "round":  (0.500, 0.510, 0.10, 0.00),
    "square": (0.455, 0.535, 0.68, -0.02),
    "heart":  (0.475, 0.565, 0.10, 0.30),
}
# how far the hair stands off the skull; the hairline: its height in the middle, tilt, curvature,
# notches of the fringe, reach down the sides; opacity of the hair on the skull
HAIR_STYLES = {
    "bald":   (0.00, -0.90, 0.00, 0.00, 0.00, 0.00, 0.0),
    "short":  (0.06, -0.33, 0.08, 0.05, 0.05, 0.36, 1.0),
    "quiff":  (0.03, -0.39, 0.00, 0.05, 0.00, 0.32, 1.0),
    "bob":    (0.10, -0.26, 0.00, -0.03, 0.05, 1.10, 1.0),
    "long":   (0.08, -0.47, 0.00, 0.46, 0.00, 0.90, 1.0),
    "afro":   (0.09, -0.33, 0.00, 0.03, 0.00, 0.45, 1.0),
    "bun":    (0.04, -0.44, 0.00, 0.14, 0.00, 0.30, 1.0),
    "mohawk": (0.01, -0.40, 0.00, 0.04, 0.00, 0.35, 0.3),
}
# half-width, half-thickness, arch, slope (positive: inner end raised)
BROWS = {
    "straight": (0.125, 0.029, 0.000, 0.00),
    "arched":   (0.130, 0.027, 0.090, -0.10),
    "bold":     (0.142, 0.054, 0.020, -0.20),
    "worried":  (0.120, 0.031, 0.020, 0.62),
}
# lens half-width, half-height, squareness, taper, opacity of the glass
GLASSES = {
    "none":       (0.180, 0.160, 0.0, 0.00, 0.00),
    "round":      (0.176, 0.172, 0.0, 0.00, 0.14),
    "square":     (0.186, 0.142, 0.8, 0.03, 0.14),
    "sunglasses": (0.196, 0.155, 0.4, 0.12, 0.66),
}
# half-width, lift of the upper lip, drop of the lower lip, roundness of the corners, line width
MOUTHS = {
    "neutral":   (0.120, 0.000, 0.000, 0.0, 0.020),
    "smile":     (0.170, -0.090, 0.090, 0.0, 0.020),
    "laugh":     (0.180, -0.012, 0.170, 0.3, 0.000),
    "surprised": (0.078, 0.095, 0.095, 1.0, 0.000),
    "frown":     (0.140, 0.080, -0.080, 0.0, 0.020),
}
# fmt: on
ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "skin": tuple(PALETTES["skin"]),
    "face_shape": tuple(FACE_SHAPES),
    "hair_style": tuple(HAIR_STYLES),
    "hair_color": tuple(PALETTES["hair_color"]),
    "eye_color": tuple(PALETTES["eye_color"]),
    "brows": tuple(BROWS),
    "glasses": tuple(GLASSES),
    "mouth": tuple(MOUTHS),
    "beard": ("none", "stubble", "moustache", "full"),
    "accessory": ("none", "earrings", "headband"),
    "clothing": tuple(PALETTES["clothing"]),
    "background": tuple(PALETTES["background"]),
    "pose": ("left", "front", "right"),
    "light": ("left", "front", "right"),
}
# x and height; x, y and radius
MOHAWK_TUFTS = ((-0.15, 0.18), (0.15, 0.18), (-0.08, 0.23), (0.08, 0.23), (0.0, 0.27))
AFRO_PUFFS = ((0.0, -0.10, 0.58), (-0.50, 0.0, 0.20), (0.50, 0.0, 0.20), (-0.52, -0.28, 0.23))
AFRO_PUFFS += ((0.52, -0.28, 0.23), (-0.32, -0.53, 0.25), (0.32, -0.53, 0.25), (0.0, -0.62, 0.26))

FRAME = 0.96  # half the side of the picture, in units
TURN = 0.085  # how far the eyes move when the head turns; nearer and farther parts in proportion
CHUNK_PIXELS = 1 << 18  # drawn at once: few calls per image, arrays that stay in cache
GOLDEN_RATIO = 0x9E3779B97F4A7C15  # the odd constant of splitmix64
STREAM_ATTRIBUTES, STREAM_NUISANCE = 1, 2
NUISANCES = tuple(
    "x y size width height gaze eye_size eye_gap brow mouth mouth_width nose part "
    "blush skin_shade hair_color_shade eye_color_shade background_shade clothing_shade".split()
)


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


# --- drawing ---


def _mixed(color, other, weight):
    """Return the colour `weight` of the way from one colour to another."""
    return color + weight * (other - color)


def _smooth(t):
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


def _blend(patch, coverage, color):
    """Move the pixels of a patch towards a colour by coverage, (B, h, w) in [0, 1]."""
    change = color - patch.pixels
    change *= coverage
    np.add(patch.pixels, change, out=patch.pixels)


def _inside(distance):
    """Return the coverage of a shape: 0 outside, 1 inside, one pixel wide on the edge."""
    return np.clip(distance + np.float32(0.5), 0, 1)


def _paint(patch, distance, color, opacity=1.0):
    """Paint a colour where the signed distance (in pixels) is positive."""
    _blend(patch, _inside(distance) * opacity, color)


def _blob(patch, cx, cy, rx, ry, square=0.0, taper=0.0):
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


def _oval(canvas, box, color, square=0.0, taper=0.0, *, opacity=1.0, shaded=True):
    """Paint a blob: box is (cx, cy, rx, ry); a shaded one darkens away from the light."""
    cx, cy, rx, ry = box
    patch = canvas.patch(cx, cy, rx * (1 + abs(taper)), ry)
    color = _shaded(patch, color) if shaded else color
    _paint(patch, _blob(patch, *box, square, taper), color, opacity)


def _shaded(patch, color):
    """Return a colour that darkens away from the light, (3, B, 1, w)."""
    return color * (1 - patch.dark * (1 - SHADOW))


def _per_unit(curve, patch):
    """Return pixels per unit of height, (B, 1, w): fewer where the curve is steep."""
    slope = np.zeros_like(curve)
    slope[..., 1:-1] = (curve[..., 2:] - curve[..., :-2]) * (patch.scale / 2)
    return patch.scale / np.sqrt(1 + slope * slope)


def _above(patch, curve):
    """Return the signed distance to the region above y = curve(x), curve (B, 1, w)."""
    per_unit = _per_unit(curve, patch)
    return curve * per_unit - patch.y * per_unit


def _between(patch, u, width, top, bottom):
    """Return the signed distance to the region between two curves, where |u| < 1 (B, 1, w)."""
    ends = (1 - np.abs(u)) * (width * patch.scale)
    distance = np.minimum(_above(patch, bottom), -_above(patch, top))
    return np.minimum(distance, ends, out=distance)


def _bar(patch, left, right, y, half):
    """Return the signed distance to a horizontal bar."""
    ends = (right - left) / 2 - np.abs(patch.x - (left + right) / 2)
    return np.minimum(half - np.abs(patch.y - y), ends) * patch.scale


# --- the face ---


class Face:
    """The numbers of one chunk: codes, colours and geometry."""

    def __init__(self, codes, nuisance):
        self.codes = codes
        rows = zip(NUISANCES, nuisance, strict=True)
        self.nuisance = jitter = {name: values[:, None, None] for name, values in rows}
        self.rx, self.ry, self.square, self.taper = self.table("face_shape", FACE_SHAPES)
        self.rx = self.rx * (1 + 0.03 * jitter["size"] + 0.02 * jitter["width"])
        self.ry = self.ry * (1 + 0.03 * jitter["size"] + 0.02 * jitter["height"])
        self.x, self.y = 0.04 * jitter["x"], 0.03 * jitter["y"] - 0.01
        self.outline = (self.x, self.y, self.rx, self.ry, self.square, self.taper)
        self.turn, self.light = self.direction("pose"), self.direction("light")
        self.front = self.x + TURN * self.turn  # x of the middle of the face
        self.eye_y = self.y + 0.03
        self.part = np.where(jitter["part"] < 0, np.float32(-1), np.float32(1))
        self.skin, self.hair = self.color("skin"), self.color("hair_color")
        self.cloth, self.shadow = self.color("clothing"), self.skin * SHADOW

    def table(self, attribute, rows):
        """Return one (B, 1, 1) array for each column of a table of shapes."""
        table = np.array([rows[name] for name in ATTRIBUTES[attribute]], np.float32)
        return table[self.codes[attribute]].T[..., None, None]

    def has(self, attribute, *values):
        """Return 1 for the faces whose attribute has one of these values, else 0, (B, 1, 1)."""
        wanted = np.array([name in values for name in ATTRIBUTES[attribute]], np.float32)
        return wanted[self.codes[attribute]][:, None, None]

    def direction(self, attribute):
        """Return -1 (left), 0 (front) or 1 (right)."""
        return self.has(attribute, "right") - self.has(attribute, "left")

    def far(self, side):
        """Return 1 where this side (-1 or 1) of the face is turned away from us, else 0."""
        return np.maximum(self.turn * side, 0)

    def color(self, attribute):
        """Return the palette colours, each a little lighter or darker."""
        palette = np.concatenate([_rgb(c) for c in PALETTES[attribute].values()], axis=1)
        colors = palette[:, self.codes[attribute]]
        return np.minimum(colors * (1 + 0.035 * self.nuisance[f"{attribute}_shade"]), 255)


def _background(canvas, face):
    """Paint a soft glow, brighter on the side the light comes from, and set the shading."""
    patch = canvas.patch(0.0, 0.0, FRAME, FRAME)
    x, y = patch.x - 0.55 * face.light, patch.y + 0.35
    base = face.color("background")
    canvas.pixels[:] = base * 0.90
    _blend(patch, _smooth(1 - (x * x + y * y) * 0.42), _mixed(base, WHITE, 0.24))
    u, beside = (patch.x - face.x) / face.rx, np.abs(face.light)
    canvas.dark[:] = beside * _smooth(0.25 - 0.6 * face.light * u)
    canvas.dark += (1 - beside) * _smooth(0.3 * u * u)


def _body(canvas, face):
    """Paint shoulders, collar and neck, and the shadow of the chin."""
    _oval(canvas, (face.x, 1.2, 0.82, 0.56), face.cloth, 0.45)
    _oval(canvas, (face.x, 0.68, 0.255, 0.165), face.cloth * 0.78, shaded=False)
    patch = canvas.patch(face.x, 0.52, 0.19, 0.27)
    neck = _blob(patch, face.x, 0.52, 0.19, 0.27, 0.5)
    _paint(patch, neck, face.skin)
    chin = _blob(patch, face.x + 0.5 * TURN * face.turn, face.y + 0.09, face.rx, face.ry)
    _paint(patch, np.minimum(neck, chin), face.shadow)


def _ears(canvas, face):
    """Paint both ears; the one on the far side of a turned head almost disappears."""
    for side in (-1, 1):
        far = 1 - 0.5 * face.far(side)
        cx, cy = face.x + side * face.rx * (far + 0.03) - 0.03 * face.turn, face.y + 0.05
        _oval(canvas, (cx, cy, 0.10 * far, 0.13 * far), face.skin)
        _oval(canvas, (cx + 0.015 * side, cy, 0.055 * far, 0.08 * far), face.shadow)


def _head(canvas, face):
    """Paint the head, with a soft shadow on the side away from the light."""
    patch = canvas.patch(face.x, face.y, face.rx * 1.35, face.ry)
    shape = _blob(patch, *face.outline)
    _paint(patch, shape, face.skin)
    u, v = (patch.x - face.x) / face.rx, (patch.y - face.y) / face.ry
    beside = np.abs(face.light)
    column = beside * (-1.5 * face.light * u - 0.25)
    row = (1 - beside) * (1.6 * v - 0.85) + 0.3 * beside * v
    _blend(patch, _inside(shape) * _smooth(column + row), face.shadow)


def _cheeks(canvas, face):
    """Paint a soft blush on both cheeks."""
    color = _mixed(face.skin, BLUSH, 0.40)
    for side in (-1, 1):
        cx, cy = face.front + side * (0.275 - 0.07 * face.far(side)), face.y + 0.21
        patch = canvas.patch(cx, cy, 0.13, 0.10)
        u, v = (patch.x - cx) / 0.13, (patch.y - cy) / 0.10
        _blend(patch, _smooth(1 - u * u - v * v) * (0.60 + 0.20 * face.nuisance["blush"]), color)


def _nose(canvas, face):
    """Paint a nose: a lit tip over a small shadow."""
    cx, cy = face.front + 0.05 * face.turn, face.y + 0.165 + 0.012 * face.nuisance["nose"]
    under, tip = (cx - 0.012 * face.light, cy, 0.078, 0.056), (cx, cy - 0.02, 0.070, 0.046)
    _oval(canvas, under, face.shadow, shaded=False)
    _oval(canvas, tip, _mixed(face.skin, WHITE, 0.10), shaded=False)


def _beard(canvas, face):
    """Paint stubble or a full beard, on the jaw up to the sideburns and the upper lip."""
    full = face.has("beard", "full")
    patch = canvas.patch(face.x, face.y + 0.28, face.rx * 1.4, 0.42)
    u = (patch.x - (face.x + 0.8 * TURN * face.turn)) / face.rx
    u2 = u * u
    edge = face.y + 0.34 - 0.115 * _smooth(1.25 - 5 * u2) - 0.40 * np.minimum(u2 * u2 * u2, 1.15)
    rx, ry = face.rx * (1 + 0.03 * full), face.ry * (1 + 0.07 * full)
    jaw = _blob(patch, face.x, face.y, rx, ry, face.square, face.taper)
    below = -_above(patch, edge)
    _paint(patch, np.minimum(jaw, below), _shaded(patch, face.hair * 0.90), full)
    soft = _smooth(below * (10 / patch.scale)) * _inside(jaw)
    _blend(patch, soft * (0.43 * face.has("beard", "stubble")), face.hair * 0.26)


def _moustache(canvas, face):
    """Paint a moustache of two drooping wings."""
    cx, cy = face.front + 0.025 * face.turn, face.y + 0.235
    patch = canvas.patch(cx, cy, 0.22, 0.12)
    u = (patch.x - cx) / 0.22
    u2 = np.minimum(u * u, 1)
    top = cy - 0.035 + 0.10 * u2 * u2
    bottom = cy + 0.030 + u2 * (0.255 - 0.22 * u2)
    shape = _between(patch, u, 0.22, top, bottom)
    _paint(patch, shape, face.hair * 0.90, face.has("beard", "moustache"))


def _mouth(canvas, face):
    """Paint the mouth, pale in a dark beard; an open one shows teeth and tongue."""
    width, lift, drop, roundness, line = face.table("mouth", MOUTHS)
    width = width * (1 + 0.08 * face.nuisance["mouth_width"])
    cx, cy = face.front + 0.025 * face.turn, face.y + 0.32 + 0.015 * face.nuisance["mouth"]
    patch = canvas.patch(cx, cy + 0.03, width + 0.03, 0.18)
    u = (patch.x - cx) / width
    arch = np.maximum(1 - u * u, 0)
    ends = np.sqrt(arch)
    arch = arch + roundness * (ends - arch)
    top, bottom = cy - lift * arch - line * ends, cy + drop * arch + line * ends
    shape = _between(patch, u, width, top, bottom)
    is_open = face.has("mouth", "laugh", "surprised")
    pale = face.has("beard", "full") * face.has("hair_color", "black", "brown", "red", "teal")
    lip = _mixed(_mixed(face.shadow * 0.38, LIP, 0.2), TONGUE, pale)
    _paint(patch, shape, _mixed(lip, LIP, is_open))
    tongue = _blob(patch, cx, cy + 0.15, 0.10, 0.075)
    _paint(patch, np.minimum(tongue, shape), TONGUE, is_open)
    teeth = (cy + 0.045 - patch.y) * patch.scale
    _paint(patch, np.minimum(teeth, shape), WHITE, face.has("mouth", "laugh"))


def _eyes(canvas, face):
    """Paint both eyes: lashes, lid, white, iris, pupil and highlight."""
    ink, lid = INK, _mixed(face.skin, face.shadow, 0.4)
    grow = 1 + 0.06 * face.nuisance["eye_size"]
    for side in (-1, 1):
        far = 1 - 0.18 * face.far(side)
        cx, cy = face.front + side * (0.20 + 0.012 * face.nuisance["eye_gap"]) * far, face.eye_y
        rx, ry = 0.124 * far * grow, 0.115 * grow
        _oval(canvas, (cx, cy - 0.020, rx * 1.10, ry * 1.02), ink, shaded=False)
        _oval(canvas, (cx, cy + 0.022, rx * 1.04, ry), lid, shaded=False)
        patch = canvas.patch(cx, cy + 0.01, rx, ry)
        eye = _blob(patch, cx, cy + 0.010, rx, ry * 0.94)
        _paint(patch, eye, _mixed(WHITE, face.skin, 0.06))
        cx, cy = cx + 0.022 * face.nuisance["gaze"] + 0.015 * face.turn, cy + 0.004
        iris, pupil = _blob(patch, cx, cy, 0.092, 0.096), _blob(patch, cx, cy, 0.046, 0.049)
        _paint(patch, np.minimum(iris, eye), face.color("eye_color"))
        _paint(patch, np.minimum(pupil, eye), ink)
        _oval(canvas, (cx + 0.03, cy - 0.035, 0.030, 0.030), WHITE, shaded=False)


def _brows(canvas, face):
    """Paint the brows, over the hair as cartoonists do, so that they always show."""
    width, thick, arch, slope = face.table("brows", BROWS)
    for side in (-1, 1):
        cx = face.front + side * 0.205 * (1 - 0.18 * face.far(side))
        cy = face.eye_y - 0.195 + 0.012 * face.nuisance["brow"]
        patch = canvas.patch(cx, cy, width, 0.13)
        u = (patch.x - cx) / width
        middle = cy + slope * width * u * side * 0.5 + arch * (u * u - 0.4)
        half = thick * np.sqrt(np.maximum(1 - u * u, 0))
        shape = _between(patch, u, width, middle - half, middle + half)
        _paint(patch, shape, face.hair * 0.84)


def _glasses(canvas, face):
    """Paint glasses: tinted lenses in frames, a bridge and the temples."""
    rx, ry, square, taper, tint = face.table("glasses", GLASSES)
    worn, dark = 1 - face.has("glasses", "none"), face.has("glasses", "sunglasses")
    ink, glass, cy = INK, _mixed(WHITE, LENS, dark), face.eye_y + 0.01
    patch = canvas.patch(face.front, cy, 0.05, 0.05)
    _paint(patch, _bar(patch, face.front - 0.04, face.front + 0.04, cy - 0.03, 0.02), ink, worn)
    for side in (-1, 1):
        far = 1 - 0.15 * face.far(side)
        cx, edge = face.front + side * 0.208 * far, face.x + side * face.rx
        patch = canvas.patch((cx + edge) / 2, cy, np.abs(edge - cx) / 2 + rx * 1.2, ry + 0.03)
        lens = _blob(patch, cx, cy, rx * far, ry, square, taper)
        temple = _bar(patch, np.minimum(cx, edge), np.maximum(cx, edge), cy - 0.03, 0.015)
        _paint(patch, lens, glass, tint)
        frame = np.maximum(0.019 * patch.scale - np.abs(lens), np.minimum(temple, -lens))
        _paint(patch, frame, ink, worn)


def _earrings(canvas, face):
    """Paint hoops below the ears."""
    for side in (-1, 1):
        cx, cy = face.x + side * (face.rx + 0.02) - 0.04 * face.turn, face.y + 0.23
        patch = canvas.patch(cx, cy, 0.08, 0.08)
        ring = 0.019 * patch.scale - np.abs(_blob(patch, cx, cy, 0.058, 0.064))
        _paint(patch, ring, GOLD, face.has("accessory", "earrings") * (1 - face.far(side)))


def _headband(canvas, face):
    """Paint a headband in the colour of the clothes, with a white stripe."""
    grow = face.table("hair_style", HAIR_STYLES)[0] + 0.005
    rx, ry, worn = face.rx + grow, face.ry + grow, face.has("accessory", "headband")
    patch = canvas.patch(face.x, face.y - 0.36, face.rx * 1.4, 0.14)
    u = (patch.x - face.x - 0.6 * TURN * face.turn) / face.rx
    top = face.y - 0.43 + 0.05 * u * u
    head = _blob(patch, face.x, face.y, rx, ry, face.square * 0.8, face.taper * 0.8)
    for margin, color in ((0.0, face.cloth * 0.85), (0.04, _mixed(face.cloth, WHITE, 0.8))):
        band = _between(patch, u * 0.7, face.rx / 0.7, top + margin, top + 0.11 - margin)
        _paint(patch, np.minimum(band, head), _shaded(patch, color), worn)


# --- hair: what lies behind the head, the cap on the skull, what stands out from it ---


def _hair_back(canvas, face, style):
    """Paint the hair behind neck and shoulders."""
    cx, dark = face.x - 0.02 * face.turn, face.hair * 0.74
    if style == "bob":
        box = (cx, face.y + 0.02, face.rx + 0.13, face.ry + 0.07)
        _oval(canvas, box, dark, 0.6, -0.1, shaded=False)
    elif style == "long":
        box = (cx, face.y + 0.22, face.rx + 0.10, face.ry + 0.32)
        _oval(canvas, box, dark, 0.5, -0.12, shaded=False)
    elif style == "afro":
        for x, y, radius in AFRO_PUFFS:
            _oval(canvas, (cx + x, face.y + y, radius, radius), face.hair * 0.88)
            lit = (cx + x + 0.03 * face.light, face.y + y - 0.03, radius - 0.05, radius - 0.05)
            _oval(canvas, lit, face.hair)
    elif style == "bun":
        _oval(canvas, (cx - 0.04 * face.turn, face.y - 0.66, 0.24, 0.21), face.hair * 0.90)


def _hair_cap(canvas, face):
    """Paint the hair on the skull, down to the hairline, and its shadow on the forehead."""
    grow, height, tilt, curve, notch, sides, opacity = face.table("hair_style", HAIR_STYLES)
    rx, ry = face.rx + grow, face.ry + grow
    patch = canvas.patch(face.x, face.y, rx * 1.3, ry)
    u = (patch.x - face.x - 0.7 * TURN * face.turn) / face.rx
    edge = (patch.x - face.x - 0.2 * TURN * face.turn) / face.rx
    edge2 = edge * edge
    rise = np.minimum(edge2 * edge2 * edge2 * edge2, 4)
    saw = u * 2.5 - np.floor(u * 2.5) - 0.5
    line = face.y + height + face.part * (tilt * u + notch * saw) + curve * u * u + sides * rise
    forehead = np.minimum(_above(patch, line + 0.06), _blob(patch, *face.outline))
    _paint(patch, forehead, face.shadow, 0.55 * opacity)
    skull = _blob(patch, face.x, face.y, rx, ry, face.square * 0.7, face.taper * 0.6)
    _paint(patch, np.minimum(_above(patch, line), skull), _shaded(patch, face.hair), opacity)


def _hair_top(canvas, face, style):
    """Paint what stands out from the skull."""
    if style == "quiff":
        cx, cy = face.x + 0.08 * face.part + 0.05 * face.turn, face.y - 0.56
        patch = canvas.patch(cx, cy, 0.45, 0.21)
        shape = _blob(patch, cx + 0.35 * face.part * (cy - patch.y), cy, 0.37, 0.20, 0.3)
        _paint(patch, shape, _shaded(patch, face.hair))
    elif style == "mohawk":
        for x, height in MOHAWK_TUFTS:
            box = (face.x + 0.05 * face.turn + x, face.y - 0.62, 0.10, height)
            _oval(canvas, box, face.hair * (1 - 1.2 * abs(x)), 0.0, -0.4)
    elif style == "long":
        for side in (-1, 1):
            cx = face.x + side * (face.rx + 0.01 + 0.06 * face.far(side))
            _oval(canvas, (cx, face.y + 0.28, 0.105, 0.56), face.hair)


def _gloss(canvas, face, style):
    """Paint a band of light on the hair, or on the bare skull."""
    bare = style == "bald"
    cx, cy, width = face.x + 0.15 * face.light, face.y - (0.42 if bare else 0.50), 0.27
    patch = canvas.patch(cx, cy, width, 0.11)
    u = (patch.x - cx) / width
    middle, half = cy + 0.07 * u * u, 0.032 * np.maximum(1 - u * u, 0)
    shape = _between(patch, u, width, middle - half, middle + half)
    shape = np.minimum(shape, _blob(patch, *face.outline))
    _paint(patch, shape, _mixed(face.skin if bare else face.hair, WHITE, 0.5), 0.35)


def _draw(codes, nuisance, size, style):
    """Return uint8 (B, size, size, 3): one chunk of faces that share a hair style."""
    canvas, face = Canvas(codes["skin"].size, size), Face(codes, nuisance)
    _background(canvas, face)
    _hair_back(canvas, face, style)
    _body(canvas, face)
    if style not in ("bob", "long"):
        _ears(canvas, face)
    for part in (_head, _cheeks, _nose, _beard, _moustache, _mouth, _eyes, _glasses):
        part(canvas, face)
    if style != "bald":
        _hair_cap(canvas, face)
    if style != "mohawk":
        _gloss(canvas, face, style)
    _hair_top(canvas, face, style)
    for part in (_brows, _earrings, _headband):
        part(canvas, face)
    pixels = np.clip(canvas.pixels, 0, 255) + np.float32(0.5)
    return np.moveaxis(pixels.astype(np.uint8), 0, -1)


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
            pixels[rows] = _draw(some, nuisance[:, rows], size, style)
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
