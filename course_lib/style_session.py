"""The style desk without its panel: pictures, settings that act between two steps, and files.

A session holds one picture and changes it step by step towards what its settings ask for. Settings
may change between any two steps; the picture and the count of steps go on.
"""

import dataclasses
import functools

import numpy as np

from course_lib import style
from course_lib.datasets import avatars, catalog, images, paintings
from course_lib.descent import Descent
from course_lib.style_settings import BOTH, INSIDE, Settings, mask

SIDE = 256  # of the pictures that come with the desk, in pixels
LUMA = np.array([0.299, 0.587, 0.114], "float32")  # of red, green and blue, ITU-R BT.601
MOST_FRAMES = 60
# Fields after which there is another objective, and those that touch the picture itself.
PICTURES = {"content", "first", "second", "size", "mask", "goes", "strokes", "brush"}
TOUCHING = {"content", "size", "mask", "goes", "strokes", "brush", "way"}


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
    of luma to red, green and blue (Gatys et al. 2017, section 5).

    Args:
        picture, content: float (height, width, 3) in [-1, 1].

    Returns:
        float32 (height, width, 3), clipped to [-1, 1].
    """
    return np.clip(content + ((picture - content) @ LUMA)[..., None], -1, 1).astype("float32")


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
        self._ours = contents is None, styles is None
        self._files = {}  # (kind, name) of the reader's own pictures -> name of the file
        self.contents = dict(course_contents() if contents is None else contents)
        self.styles = dict(course_styles() if styles is None else styles)
        self.settings = self._first = settings or Settings()
        self._check(self.settings)
        self._make_objective()
        self.start_again()

    # Changes --------------------------------------------------------------------------------------

    def start_again(self):
        """Go back to the start picture of the settings as they are, with nothing counted."""
        self.steps, self.rows, self.frames, self.log = 0, [], [], [(self.settings, 0)]
        self._every = 1  # steps between two frames
        self._forget()
        self._touch(anew=True)
        self._keep_frame()

    def change(self, **changes):
        """Change settings by name; the picture goes on from where it is.

        Where no step was taken yet, it begins anew with the settings, except for the optimisation
        after one pass, which goes on from the picture of that pass. What lies outside of all masks
        becomes the content again.

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
        follows_pass = before.way == "one pass" and settings.way == "optimise"
        if self.steps == 0 and len(self.log) == 1 and not follows_pass:
            return self.start_again()
        self._forget()
        if names & TOUCHING or settings.way == "one pass":
            self._touch()
        if self.log[-1][1] == 0 and not names & TOUCHING:
            del self.log[-1]  # a slider on its way
        self.log.append((settings, 0))
        if self.steps == 0:  # the first frame is the picture before any step
            self.frames = []
            self._keep_frame()

    def add(self, kind, name, pixels):
        """Take a picture of the reader's own.

        Args:
            kind: "content" or "style".
            name: what it is to be called; a number is added where there is one of that name.
            pixels: uint8 (height, width, 3).

        Returns:
            The name that it got.

        Raises:
            ValueError: for pixels of another shape or type.
        """
        pixels = np.asarray(pixels)
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[-1] != 3:
            raise ValueError(
                f"{name} must be uint8 (height, width, 3); got {pixels.dtype} of shape "
                f"{pixels.shape}. course_lib.datasets.images.read_image reads a file so."
            )
        known = {"content": self.contents, "style": self.styles}[kind]
        free, number = name, 1
        while free in known:
            free, number = f"{name} {number + 1}", number + 1
        known[free], self._files[kind, free] = pixels, name
        return free

    # Steps ----------------------------------------------------------------------------------------

    def step(self):
        """Take one step; in one pass there is none to take."""
        if self.settings.way == "one pass":
            return
        self.picture, self._found = self._descent.step(self.picture, self._look())
        self.steps += 1
        self._note_terms()
        settings, steps = self.log[-1]
        self.log[-1] = (settings, steps + 1)
        if self.steps % self._every == 0:
            self._keep_frame()

    def run(self, steps):
        """Take so many steps."""
        for _ in range(steps):
            self.step()

    def replay(self, log):
        """Do again what a log says, from its start: a list as in `log`, or what `load` returns."""
        (self.settings, steps), *rest = log
        self._check(self.settings)
        self._make_objective()
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

    def code(self, log=None):
        """Return a cell that makes the picture of a log again, where `encoder` is known."""
        log = log or self.log
        used = {("content", settings.content) for settings, _ in log}
        used |= {("style", name) for each, _ in log for name in (each.first, each.second)}
        own = [
            f"session.add({kind!r}, {name!r}, read_image({file!r}, size={SIDE}))"
            for (kind, name), file in self._files.items()
            if (kind, name) in used
        ]
        given = "".join(
            f", {name}={name}"
            for name, is_ours in zip(("contents", "styles"), self._ours, strict=True)
            if not is_ours
        )
        given += "" if self._one_pass is None else ", one_pass=one_pass"
        lines = ["from course_lib import plots"]
        lines += ["from course_lib.datasets.images import read_image"] if own else []
        lines += ["from course_lib.style_session import Settings, StyleSession", ""]
        start = _call("Settings", self._first.changes(Settings()))
        lines += [f"session = StyleSession(encoder, {start}{given})", *own]
        before = self._first
        for number, (settings, steps) in enumerate(log):
            changes = settings.changes(before)
            lines += [_call("session.change", changes)] if changes or number else []
            lines += [f"session.run({steps})"] if steps else []
            before = settings
        return "\n".join([*lines, "plots.image_grid(session.result[None]);"])

    # Inside ---------------------------------------------------------------------------------------

    def _check(self, settings):
        names = {"content": self.contents, "first": self.styles, "second": self.styles}
        for field, known in names.items():
            if (name := getattr(settings, field)) not in known:
                raise ValueError(f"{field} names {name!r}; there is: {', '.join(known)}.")
        if set(settings.layers) != set(self._first.layers):
            raise ValueError(
                f"layers must be those of the start, {', '.join(self._first.layers)}; got "
                f"{', '.join(settings.layers)}. A weight of 0 leaves a layer out."
            )
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
        self._found, self._descent = None, Descent(self._objective)

    def _look(self):
        """Terms and gradient at the picture, found once for each picture and settings."""
        if self._found is None:
            self._found = self._objective.value_and_gradient(self.picture)
            self._note_terms()
        return self._found

    def _note_terms(self):
        self.rows.append({"steps": self.steps, **self._found[0]})

    def _touch(self, *, anew=False):
        """Let the picture be what size, content, mask and way make of it."""
        settings, content = self.settings, self.content
        if settings.way == "one pass":
            picture = self._pass()
        elif not anew:
            picture = style.resized(self.picture, settings.size, settings.size)
        elif settings.start == "noise":
            shape = (settings.size, settings.size, 3)
            picture = np.random.default_rng(0).uniform(-1, 1, shape).astype("float32")
        else:
            picture = content
        inside = self.mask
        if inside is not None and settings.goes == INSIDE:
            picture = content + inside[..., None] * (picture - content)
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


def _call(name, values):
    """A line of code: a call with its arguments."""
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in values.items())})"
