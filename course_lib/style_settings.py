"""What the style desk's picture depends on: settings, masks, and the log of a session in a file."""

import dataclasses
import json
from pathlib import Path

import numpy as np

from course_lib import session_files, style
from course_lib.datasets import strokes

SIZES = (32, 512)
STARTS = ("content", "noise")
WAYS = ("optimise", "one pass")
INSIDE, BOTH = "A inside, outside stays", "A inside, B outside"
GOES = (INSIDE, BOTH)
RAMP = 0.04  # width of the soft edge of a ready mask, in sides


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
    content_weight: float = style.Weights.content
    style_weight: float = style.Weights.style
    variation_weight: float = style.Weights.variation
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


# Logs and files ----------------------------------------------------------------------------------


def until(log, steps):
    """Return the part of a log that made the picture after so many steps."""
    kept = []
    for settings, count in log:
        kept.append((settings, min(count, steps)))
        steps -= count
        if steps <= 0:
            break
    return kept


def save(path, log):
    """Write a log as JSON, an older file being replaced in one step."""
    written = [{"settings": dataclasses.asdict(each), "steps": steps} for each, steps in log]
    session_files.write_json(path, {"log": written})


def load(path):
    """Read what `save` wrote, for `StyleSession.replay`.

    Raises:
        ValueError: if the file holds something else, naming it.
    """
    try:
        entries = json.loads(Path(path).read_text(encoding="utf-8"))["log"]
        log = [(_settings(entry["settings"]), int(entry["steps"])) for entry in entries]
        if not log:
            raise ValueError("its log is empty")
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{Path(path).name} is no saved picture of the style desk: {error!r}."
        ) from None
    return log


def _settings(fields):
    return Settings(**fields | {"strokes": _tuples(fields["strokes"])})


def _tuples(value):
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value
