"""How an avatar looks: its attributes and their values, and its parts painted back to front.

Lengths are in units in which a head is about 1 wide; what a shape is stands in `shapes`.
"""

import numpy as np

from course_lib.datasets.shapes import (
    FRAME,
    SHADOW,
    WHITE,
    Canvas,
    above,
    bar,
    between,
    blend,
    blob,
    inside,
    mixed,
    oval,
    paint,
    rgb,
    shade,
    smooth,
)

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
INK, GOLD = rgb("#2A2230"), rgb("#F2B632")  # ink is softer than black
LIP, TONGUE, LENS, BLUSH = rgb("#7A2333"), rgb("#E8707A"), rgb("#3A2A55"), rgb("#F0605F")

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
TURN = 0.085  # how far the eyes move when the head turns; nearer and farther parts in proportion
NUISANCES = tuple(
    "x y size width height gaze eye_size eye_gap brow mouth mouth_width nose part "
    "blush skin_shade hair_color_shade eye_color_shade background_shade clothing_shade".split()
)


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
        palette = np.concatenate([rgb(c) for c in PALETTES[attribute].values()], axis=1)
        colors = palette[:, self.codes[attribute]]
        return np.minimum(colors * (1 + 0.035 * self.nuisance[f"{attribute}_shade"]), 255)


def _background(canvas, face):
    """Paint a soft glow, brighter on the side the light comes from, and set the shading."""
    patch = canvas.patch(0.0, 0.0, FRAME, FRAME)
    x, y = patch.x - 0.55 * face.light, patch.y + 0.35
    base = face.color("background")
    canvas.pixels[:] = base * 0.90
    blend(patch, smooth(1 - (x * x + y * y) * 0.42), mixed(base, WHITE, 0.24))
    u, beside = (patch.x - face.x) / face.rx, np.abs(face.light)
    canvas.dark[:] = beside * smooth(0.25 - 0.6 * face.light * u)
    canvas.dark += (1 - beside) * smooth(0.3 * u * u)


def _body(canvas, face):
    """Paint shoulders, collar and neck, and the shadow of the chin."""
    oval(canvas, (face.x, 1.2, 0.82, 0.56), face.cloth, 0.45)
    oval(canvas, (face.x, 0.68, 0.255, 0.165), face.cloth * 0.78, shaded=False)
    patch = canvas.patch(face.x, 0.52, 0.19, 0.27)
    neck = blob(patch, face.x, 0.52, 0.19, 0.27, 0.5)
    paint(patch, neck, face.skin)
    chin = blob(patch, face.x + 0.5 * TURN * face.turn, face.y + 0.09, face.rx, face.ry)
    paint(patch, np.minimum(neck, chin), face.shadow)


def _ears(canvas, face):
    """Paint both ears; the one on the far side of a turned head almost disappears."""
    for side in (-1, 1):
        far = 1 - 0.5 * face.far(side)
        cx, cy = face.x + side * face.rx * (far + 0.03) - 0.03 * face.turn, face.y + 0.05
        oval(canvas, (cx, cy, 0.10 * far, 0.13 * far), face.skin)
        oval(canvas, (cx + 0.015 * side, cy, 0.055 * far, 0.08 * far), face.shadow)


def _head(canvas, face):
    """Paint the head, with a soft shadow on the side away from the light."""
    patch = canvas.patch(face.x, face.y, face.rx * 1.35, face.ry)
    shape = blob(patch, *face.outline)
    paint(patch, shape, face.skin)
    u, v = (patch.x - face.x) / face.rx, (patch.y - face.y) / face.ry
    beside = np.abs(face.light)
    column = beside * (-1.5 * face.light * u - 0.25)
    row = (1 - beside) * (1.6 * v - 0.85) + 0.3 * beside * v
    blend(patch, inside(shape) * smooth(column + row), face.shadow)


def _cheeks(canvas, face):
    """Paint a soft blush on both cheeks."""
    color = mixed(face.skin, BLUSH, 0.40)
    for side in (-1, 1):
        cx, cy = face.front + side * (0.275 - 0.07 * face.far(side)), face.y + 0.21
        patch = canvas.patch(cx, cy, 0.13, 0.10)
        u, v = (patch.x - cx) / 0.13, (patch.y - cy) / 0.10
        blend(patch, smooth(1 - u * u - v * v) * (0.60 + 0.20 * face.nuisance["blush"]), color)


def _nose(canvas, face):
    """Paint a nose: a lit tip over a small shadow."""
    cx, cy = face.front + 0.05 * face.turn, face.y + 0.165 + 0.012 * face.nuisance["nose"]
    under, tip = (cx - 0.012 * face.light, cy, 0.078, 0.056), (cx, cy - 0.02, 0.070, 0.046)
    oval(canvas, under, face.shadow, shaded=False)
    oval(canvas, tip, mixed(face.skin, WHITE, 0.10), shaded=False)


def _beard(canvas, face):
    """Paint stubble or a full beard, on the jaw up to the sideburns and the upper lip."""
    full = face.has("beard", "full")
    patch = canvas.patch(face.x, face.y + 0.28, face.rx * 1.4, 0.42)
    u = (patch.x - (face.x + 0.8 * TURN * face.turn)) / face.rx
    u2 = u * u
    edge = face.y + 0.34 - 0.115 * smooth(1.25 - 5 * u2) - 0.40 * np.minimum(u2 * u2 * u2, 1.15)
    rx, ry = face.rx * (1 + 0.03 * full), face.ry * (1 + 0.07 * full)
    jaw = blob(patch, face.x, face.y, rx, ry, face.square, face.taper)
    below = -above(patch, edge)
    paint(patch, np.minimum(jaw, below), shade(patch, face.hair * 0.90), full)
    soft = smooth(below * (10 / patch.scale)) * inside(jaw)
    blend(patch, soft * (0.43 * face.has("beard", "stubble")), face.hair * 0.26)


def _moustache(canvas, face):
    """Paint a moustache of two drooping wings."""
    cx, cy = face.front + 0.025 * face.turn, face.y + 0.235
    patch = canvas.patch(cx, cy, 0.22, 0.12)
    u = (patch.x - cx) / 0.22
    u2 = np.minimum(u * u, 1)
    top = cy - 0.035 + 0.10 * u2 * u2
    bottom = cy + 0.030 + u2 * (0.255 - 0.22 * u2)
    shape = between(patch, u, 0.22, top, bottom)
    paint(patch, shape, face.hair * 0.90, face.has("beard", "moustache"))


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
    shape = between(patch, u, width, top, bottom)
    is_open = face.has("mouth", "laugh", "surprised")
    pale = face.has("beard", "full") * face.has("hair_color", "black", "brown", "red", "teal")
    lip = mixed(mixed(face.shadow * 0.38, LIP, 0.2), TONGUE, pale)
    paint(patch, shape, mixed(lip, LIP, is_open))
    tongue = blob(patch, cx, cy + 0.15, 0.10, 0.075)
    paint(patch, np.minimum(tongue, shape), TONGUE, is_open)
    teeth = (cy + 0.045 - patch.y) * patch.scale
    paint(patch, np.minimum(teeth, shape), WHITE, face.has("mouth", "laugh"))


def _eyes(canvas, face):
    """Paint both eyes: lashes, lid, white, iris, pupil and highlight."""
    ink, lid = INK, mixed(face.skin, face.shadow, 0.4)
    grow = 1 + 0.06 * face.nuisance["eye_size"]
    for side in (-1, 1):
        far = 1 - 0.18 * face.far(side)
        cx, cy = face.front + side * (0.20 + 0.012 * face.nuisance["eye_gap"]) * far, face.eye_y
        rx, ry = 0.124 * far * grow, 0.115 * grow
        oval(canvas, (cx, cy - 0.020, rx * 1.10, ry * 1.02), ink, shaded=False)
        oval(canvas, (cx, cy + 0.022, rx * 1.04, ry), lid, shaded=False)
        patch = canvas.patch(cx, cy + 0.01, rx, ry)
        eye = blob(patch, cx, cy + 0.010, rx, ry * 0.94)
        paint(patch, eye, mixed(WHITE, face.skin, 0.06))
        cx, cy = cx + 0.022 * face.nuisance["gaze"] + 0.015 * face.turn, cy + 0.004
        iris, pupil = blob(patch, cx, cy, 0.092, 0.096), blob(patch, cx, cy, 0.046, 0.049)
        paint(patch, np.minimum(iris, eye), face.color("eye_color"))
        paint(patch, np.minimum(pupil, eye), ink)
        oval(canvas, (cx + 0.03, cy - 0.035, 0.030, 0.030), WHITE, shaded=False)


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
        shape = between(patch, u, width, middle - half, middle + half)
        paint(patch, shape, face.hair * 0.84)


def _glasses(canvas, face):
    """Paint glasses: tinted lenses in frames, a bridge and the temples."""
    rx, ry, square, taper, tint = face.table("glasses", GLASSES)
    worn, dark = 1 - face.has("glasses", "none"), face.has("glasses", "sunglasses")
    ink, glass, cy = INK, mixed(WHITE, LENS, dark), face.eye_y + 0.01
    patch = canvas.patch(face.front, cy, 0.05, 0.05)
    paint(patch, bar(patch, face.front - 0.04, face.front + 0.04, cy - 0.03, 0.02), ink, worn)
    for side in (-1, 1):
        far = 1 - 0.15 * face.far(side)
        cx, edge = face.front + side * 0.208 * far, face.x + side * face.rx
        patch = canvas.patch((cx + edge) / 2, cy, np.abs(edge - cx) / 2 + rx * 1.2, ry + 0.03)
        lens = blob(patch, cx, cy, rx * far, ry, square, taper)
        temple = bar(patch, np.minimum(cx, edge), np.maximum(cx, edge), cy - 0.03, 0.015)
        paint(patch, lens, glass, tint)
        frame = np.maximum(0.019 * patch.scale - np.abs(lens), np.minimum(temple, -lens))
        paint(patch, frame, ink, worn)


def _earrings(canvas, face):
    """Paint hoops below the ears."""
    for side in (-1, 1):
        cx, cy = face.x + side * (face.rx + 0.02) - 0.04 * face.turn, face.y + 0.23
        patch = canvas.patch(cx, cy, 0.08, 0.08)
        ring = 0.019 * patch.scale - np.abs(blob(patch, cx, cy, 0.058, 0.064))
        paint(patch, ring, GOLD, face.has("accessory", "earrings") * (1 - face.far(side)))


def _headband(canvas, face):
    """Paint a headband in the colour of the clothes, with a white stripe."""
    grow = face.table("hair_style", HAIR_STYLES)[0] + 0.005
    rx, ry, worn = face.rx + grow, face.ry + grow, face.has("accessory", "headband")
    patch = canvas.patch(face.x, face.y - 0.36, face.rx * 1.4, 0.14)
    u = (patch.x - face.x - 0.6 * TURN * face.turn) / face.rx
    top = face.y - 0.43 + 0.05 * u * u
    head = blob(patch, face.x, face.y, rx, ry, face.square * 0.8, face.taper * 0.8)
    for margin, color in ((0.0, face.cloth * 0.85), (0.04, mixed(face.cloth, WHITE, 0.8))):
        band = between(patch, u * 0.7, face.rx / 0.7, top + margin, top + 0.11 - margin)
        paint(patch, np.minimum(band, head), shade(patch, color), worn)


# --- hair: what lies behind the head, the cap on the skull, what stands out from it ---


def _hair_back(canvas, face, style):
    """Paint the hair behind neck and shoulders."""
    cx, dark = face.x - 0.02 * face.turn, face.hair * 0.74
    if style == "bob":
        box = (cx, face.y + 0.02, face.rx + 0.13, face.ry + 0.07)
        oval(canvas, box, dark, 0.6, -0.1, shaded=False)
    elif style == "long":
        box = (cx, face.y + 0.22, face.rx + 0.10, face.ry + 0.32)
        oval(canvas, box, dark, 0.5, -0.12, shaded=False)
    elif style == "afro":
        for x, y, radius in AFRO_PUFFS:
            oval(canvas, (cx + x, face.y + y, radius, radius), face.hair * 0.88)
            lit = (cx + x + 0.03 * face.light, face.y + y - 0.03, radius - 0.05, radius - 0.05)
            oval(canvas, lit, face.hair)
    elif style == "bun":
        oval(canvas, (cx - 0.04 * face.turn, face.y - 0.66, 0.24, 0.21), face.hair * 0.90)


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
    forehead = np.minimum(above(patch, line + 0.06), blob(patch, *face.outline))
    paint(patch, forehead, face.shadow, 0.55 * opacity)
    skull = blob(patch, face.x, face.y, rx, ry, face.square * 0.7, face.taper * 0.6)
    paint(patch, np.minimum(above(patch, line), skull), shade(patch, face.hair), opacity)


def _hair_top(canvas, face, style):
    """Paint what stands out from the skull."""
    if style == "quiff":
        cx, cy = face.x + 0.08 * face.part + 0.05 * face.turn, face.y - 0.56
        patch = canvas.patch(cx, cy, 0.45, 0.21)
        shape = blob(patch, cx + 0.35 * face.part * (cy - patch.y), cy, 0.37, 0.20, 0.3)
        paint(patch, shape, shade(patch, face.hair))
    elif style == "mohawk":
        for x, height in MOHAWK_TUFTS:
            box = (face.x + 0.05 * face.turn + x, face.y - 0.62, 0.10, height)
            oval(canvas, box, face.hair * (1 - 1.2 * abs(x)), 0.0, -0.4)
    elif style == "long":
        for side in (-1, 1):
            cx = face.x + side * (face.rx + 0.01 + 0.06 * face.far(side))
            oval(canvas, (cx, face.y + 0.28, 0.105, 0.56), face.hair)


def _gloss(canvas, face, style):
    """Paint a band of light on the hair, or on the bare skull."""
    bare = style == "bald"
    cx, cy, width = face.x + 0.15 * face.light, face.y - (0.42 if bare else 0.50), 0.27
    patch = canvas.patch(cx, cy, width, 0.11)
    u = (patch.x - cx) / width
    middle, half = cy + 0.07 * u * u, 0.032 * np.maximum(1 - u * u, 0)
    shape = between(patch, u, width, middle - half, middle + half)
    shape = np.minimum(shape, blob(patch, *face.outline))
    paint(patch, shape, mixed(face.skin if bare else face.hair, WHITE, 0.5), 0.35)


def draw(codes, nuisance, size, style):
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
