"""The style desk without its panel: pictures, settings that act between two steps, and files.

A session holds one picture and changes it step by step towards what its settings ask for. Settings
may change between any two steps; the picture and the count of steps go on.
"""

import dataclasses
import functools
import json
from pathlib import Path

import numpy as np

from course_lib import session_files, style
from course_lib.datasets import avatars, catalog, images, paintings, strokes

SIDE = 256  # of the pictures that come with the desk, in pixels
SIZES = (32, 512)
STARTS = ("content", "noise")
WAYS = ("optimise", "one pass")
INSIDE, BOTH = "A inside, outside stays", "A inside, B outside"
GOES = (INSIDE, BOTH)
RAMP = 0.04  # width of the soft edge of a ready mask, in sides
LUMA = np.array([0.299, 0.587, 0.114], "float32")  # of red, green and blue, ITU-R BT.601
MOST_FRAMES = 60
RATE, MEMORY, SHARPNESS = 0.05, 0.9, 0.99


# Pictures ----------------------------------------------------------------------------------------


@functools.cache
def course_contents():
    """Return dict of name -> uint8 (SIDE, SIDE, 3): photographs that show nobody, and avatars."""
    photographs = catalog.load("photographs", size=SIDE)
    titles = photographs.classes["title"]
    found = dict(zip(titles, photographs.pixels, strict=True))
    del found["astronaut"]  # a real person
    drawn, _ = avatars.make(3, size=SIDE, seed=4)
    return found | {f"avatar {index}": face for index, face in enumerate(drawn, start=1)}


@functools.cache
def course_styles():
    """Return dict of name -> uint8 (SIDE, SIDE, 3): a painting of each manner, and textures."""
    found = {manner: paintings.make(manner, size=SIDE) for manner in paintings.MANNERS}
    textures = catalog.load("textures", size=SIDE)
    grey = zip(textures.classes["title"], textures.pixels, strict=True)
    return found | {title: pixels.repeat(3, axis=-1) for title, pixels in grey}


def keep_colours(picture, content):
    """Return a picture with the brightness of one and the colours of another.

    In YIQ, to give content the luma of picture, and to leave its I and Q, is to add the difference
    of luma to red, green and blue (Gatys et al. 2017, section 5.2).

    Args:
        picture, content: float (height, width, 3) in [-1, 1].

    Returns:
        float32 (height, width, 3), clipped to [-1, 1].
    """
    return np.clip(content + ((picture - content) @ LUMA)[..., None], -1, 1).astype("float32")


# Where a style goes ------------------------------------------------------------------------------

# Distance of places to the border, above 0 inside, for x to the right and y down from 0 to 1.
READY = {
    "left half": lambda x, y: 0.5 - x,
    "centre disc": lambda x, y: 0.34 - np.hypot(x - 0.5, y - 0.5),
    "sky above": lambda x, y: 0.45 - y,
}
MASKS = ("none", *READY, "painted")


def mask(name, size, drawing=(), brush=0.1):
    """Return a mask, float32 (size, size): 1 inside, 0 outside, between them at the border.

    Args:
        name: one of `READY`, or "painted" for what strokes cover.
        size: side in pixels.
        drawing, brush: strokes and the radius of the brush, as `datasets.strokes` has them.
    """
    if name == "painted":
        return strokes.covered(drawing, brush, size)
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    return np.clip(0.5 + READY[name](x, y) / RAMP, 0, 1).astype("float32")


# What defines the picture ------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Settings:
    """Everything that a reader can choose; plain values, so that it can be stored and compared.

    Attributes:
        content, first, second: names of the content picture and of styles A and B.
        blend: share of style B, from 0 to 1. Without effect where there is a mask.
        content_weight, style_weight, variation_weight, layers: see `style.Weights`.
        mask: one of `MASKS`; goes: one of `GOES`, which style goes where.
        strokes, brush: of the painted mask: tuple of tuples of (x, y), and the brush's radius.
        keep_colours: whether the result is shown in the content's colours.
        size: side of the picture in pixels.
        start: one of `STARTS`, from what the optimisation begins.
        way: one of `WAYS`; "one pass" for a network that needs no steps.
        strength: of the style in one pass, from 0 to 1.
    """

    content: str = "temple"
    first: str = "swirls"
    second: str = "mosaic"
    blend: float = 0.0
    content_weight: float = 1.0
    style_weight: float = 1.0
    variation_weight: float = 0.02
    layers: dict = dataclasses.field(default_factory=lambda: dict.fromkeys(style.STYLE_LAYERS, 1.0))
    mask: str = "none"
    goes: str = INSIDE
    strokes: tuple = ()
    brush: float = 0.1
    keep_colours: bool = False
    size: int = 128
    start: str = "content"
    way: str = "optimise"
    strength: float = 1.0

    def __post_init__(self):
        choices = {"mask": MASKS, "goes": GOES, "start": STARTS, "way": WAYS}
        for name, known in choices.items():
            if (value := getattr(self, name)) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}; got {value!r}.")
        for name in ("blend", "strength"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise ValueError(f"{name} must be from 0 to 1, got {value!r}.")
        low, high = SIZES
        if not low <= self.size <= high:
            raise ValueError(f"size must be from {low} to {high} pixels, got {self.size!r}.")

    @property
    def weights(self):
        """The `style.Weights` that they ask for."""
        shares = {"none": (1 - self.blend, self.blend)}
        shares = shares.get(self.mask, (1.0,) if self.goes == INSIDE else (1.0, 1.0))
        return style.Weights(
            self.content_weight, self.style_weight, self.variation_weight, self.layers, shares
        )

    def changes(self, before):
        """Return dict of field -> value of what is not as in `before`."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in fields.items() if value != getattr(before, name)}


# Fields after which there is another objective, and those that touch the picture itself.
PICTURES = {"content", "first", "second", "size", "mask", "goes", "strokes", "brush"}
TOUCHING = {"content", "size", "mask", "goes", "strokes", "brush", "way"}


# The session -------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, eq=False)
class Frame:
    """A result that was kept: steps before it, and its pixels, uint8 (size, size, 3)."""

    step: int
    pixels: np.ndarray


class StyleSession:
    """One picture on its way, under settings that may change between two steps.

    Attributes:
        contents, styles: dict of name -> uint8 pictures.
        settings: the `Settings` in force; `change` changes them.
        picture: float32 (size, size, 3) in [-1, 1], as it is optimised.
        steps: how many steps were taken since the last start.
        rows: list of dicts of each look at the objective: "steps" and its weighted terms. A change
            of the settings between two steps gives two rows of the same number of steps.
        frames: list of `Frame`s since the last start, the first before any step; evenly spaced,
            at most `MOST_FRAMES`.
        log: list of (settings, number of steps taken with them), since the last start.
    """

    def __init__(self, encoder, settings=None, *, contents=None, styles=None, one_pass=None):
        """Begin with the start picture of the settings.

        Args:
            encoder: Keras model, images in [-1, 1] -> dict of layer name -> feature maps.
            settings: the first `Settings`; None for the defaults.
            contents, styles: dict of name -> uint8 pictures (height, width, 3) of at least `SIZES`
                [0] pixels; None for those that come with the course.
            one_pass: None, or a callable for the way "one pass": (content, styles, shares,
                strength) -> float picture of the content's shape in [-1, 1]. It gets float pictures
                in [-1, 1], a list of styles, their shares, which sum to 1, and a number from 0 to
                1, at which 0 leaves the content as it is.

        Raises:
            ValueError: if the settings name what there is not.
        """
        self._encoder, self._one_pass = encoder, one_pass
        self.contents = dict(course_contents() if contents is None else contents)
        self.styles = dict(course_styles() if styles is None else styles)
        self.settings = settings or Settings()
        self._check(self.settings)
        self._make_objective()
        self.start_again()

    # Changes --------------------------------------------------------------------------------------

    def start_again(self):
        """Go back to the start picture of the settings as they are, with nothing counted."""
        self.steps, self.rows, self.frames, self.log = 0, [], [], [(self.settings, 0)]
        self._every = 1  # steps between two frames
        self._forget()
        self._touch()
        self._keep_frame()

    def change(self, **changes):
        """Change settings by name; the picture goes on from where it is, without its momentum.

        Where no step was taken yet, it begins anew with the settings. What lies outside of all
        masks becomes the content again.

        Raises:
            ValueError: for a value that can't be; the settings stay as they were.
            TypeError: for a setting that there is not.
        """
        before, settings = self.settings, dataclasses.replace(self.settings, **changes)
        self._check(settings)
        self.settings, names = settings, set(settings.changes(before))
        if names & PICTURES:
            self._make_objective()
        else:
            self._objective.weights = settings.weights
        if self.steps == 0:
            return self.start_again()
        self._forget()
        if names & TOUCHING or settings.way == "one pass":
            self._touch()
        if self.log[-1][1] == 0 and not names & TOUCHING:
            del self.log[-1]  # a slider on its way
        self.log.append((settings, 0))

    def add(self, kind, name, pixels):
        """Take a picture of the reader's own.

        Args:
            kind: "content" or "style".
            name: what it is to be called; a number is added where there is one of that name.
            pixels: uint8 (height, width, 3).

        Returns:
            The name that it got.
        """
        known = {"content": self.contents, "style": self.styles}[kind]
        free, number = name, 1
        while free in known:
            free, number = f"{name} {number + 1}", number + 1
        known[free] = pixels
        return free

    # Steps ----------------------------------------------------------------------------------------

    def step(self):
        """Take one step; in one pass there is none to take."""
        if self.settings.way == "one pass":
            return
        _, gradient = self._look()
        self.picture = self._descent.step(self.picture, gradient)
        self._found = None
        self.steps += 1
        settings, steps = self.log[-1]
        self.log[-1] = (settings, steps + 1)
        if self.steps % self._every == 0:
            self._keep_frame()

    def run(self, steps):
        """Take so many steps."""
        for _ in range(steps):
            self.step()

    def replay(self, log):
        """Do again what a log says, from its start."""
        (self.settings, steps), *rest = log
        self._check(self.settings)
        self.start_again()
        self.run(steps)
        for settings, steps in rest:
            self.change(**settings.changes(self.settings))
            self.run(steps)

    # What it shows --------------------------------------------------------------------------------

    @property
    def content(self):
        """The content picture, float32 (size, size, 3) in [-1, 1]."""
        return self._sized(self.contents[self.settings.content])

    @property
    def used_styles(self):
        """List of styles A and B, each float32 (size, size, 3) in [-1, 1]."""
        names = self.settings.first, self.settings.second
        return [self._sized(self.styles[name]) for name in names]

    @property
    def mask(self):
        """Where style A goes, float32 (size, size) in [0, 1]; None for everywhere."""
        settings = self.settings
        if settings.mask == "none":
            return None
        return mask(settings.mask, settings.size, settings.strokes, settings.brush)

    @property
    def result(self):
        """The picture as the reader sees it, float32 (size, size, 3) in [-1, 1]."""
        if not self.settings.keep_colours:
            return self.picture
        return keep_colours(self.picture, self.content)

    @property
    def terms(self):
        """Dict of content, style, variation and total of the picture, weights included."""
        return self._look()[0]

    def grams(self, layer):
        """Return Gram matrices of a style layer: of the picture, and the wanted ones.

        Returns:
            Two float32 arrays (channels, channels); where a mask is, of its inside.
        """
        return self._objective.grams(self.picture, layer)

    def code(self):
        """Return a cell that makes the same picture, where `encoder` is known."""
        (first, steps), *rest = self.log
        lines = ["from course_lib import plots"]
        own = [
            f"session.add({kind!r}, {name!r}, read_image({name!r}, size={SIDE}))"
            for kind, name in self._own()
        ]
        if own:
            lines.append("from course_lib.datasets.images import read_image")
        lines += ["from course_lib.style_session import StyleSession", ""]
        one_pass = "" if self._one_pass is None else ", one_pass=one_pass"
        lines += [f"session = StyleSession(encoder{one_pass})", *own]
        before = Settings()
        for settings, steps in self.log:
            lines += [_call("change", settings.changes(before)), f"session.run({steps})"]
            before = settings
        return "\n".join([*lines, "plots.image_grid(session.result[None]);"])

    # Inside ---------------------------------------------------------------------------------------

    def _check(self, settings):
        names = {"content": self.contents, "first": self.styles, "second": self.styles}
        for field, known in names.items():
            if (name := getattr(settings, field)) not in known:
                raise ValueError(f"{field} names {name!r}; there is: {', '.join(known)}.")
        if settings.way == "one pass" and self._one_pass is None:
            raise ValueError("the way 'one pass' needs a network: pass it as one_pass.")
        settings.weights  # noqa: B018  says what is wrong with them

    def _sized(self, pixels):
        return images.to_float(images.resize(pixels[None], self.settings.size)[0])

    def _make_objective(self):
        settings, inside = self.settings, self.mask
        if inside is None:
            chosen, regions = self.used_styles, None
        elif settings.goes == INSIDE:
            chosen, regions = self.used_styles[:1], [inside]
        else:
            chosen, regions = self.used_styles, [inside, 1 - inside]
        self._objective = style.Objective(
            self._encoder, self.content, chosen, settings.weights, regions=regions
        )
        self._forget()

    def _forget(self):
        """Forget what was found for other settings."""
        self._found, self._descent = None, Descent()

    def _look(self):
        """Terms and gradient at the picture, found once for each picture and settings."""
        if self._found is None:
            self._found = self._objective.value_and_gradient(self.picture)
            self.rows.append({"steps": self.steps, **self._found[0]})
        return self._found

    def _touch(self):
        """Let the picture be what size, content, mask and way make of it."""
        settings, content = self.settings, self.content
        if settings.way == "one pass":
            picture = self._pass()
        elif self.steps:
            picture = style.resized(self.picture, settings.size, settings.size)
        elif settings.start == "noise":
            shape = (settings.size, settings.size, 3)
            picture = np.random.default_rng(0).uniform(-1, 1, shape).astype("float32")
        else:
            picture = content
        inside = self.mask
        if inside is not None and settings.goes == INSIDE:
            picture = np.where(inside[..., None] > 0, picture, content)
        self.picture, self._found = picture, None

    def _pass(self):
        """The result of the network that needs no steps."""
        settings, content, (first, second) = self.settings, self.content, self.used_styles
        inside = self.mask
        if inside is None:
            shares = (1 - settings.blend, settings.blend)
            return self._one_pass(content, [first, second], shares, settings.strength)
        within = self._one_pass(content, [first], (1.0,), settings.strength)
        outside = content
        if settings.goes == BOTH:
            outside = self._one_pass(content, [second], (1.0,), settings.strength)
        return inside[..., None] * within + (1 - inside[..., None]) * outside

    def _keep_frame(self):
        if len(self.frames) == MOST_FRAMES:
            self._every *= 2
            self.frames = self.frames[::2]
        self.frames.append(Frame(self.steps, images.to_uint8(self.result)))
