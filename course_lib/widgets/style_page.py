"""What the style desk shows: the result beside what it comes from, Gram matrices and losses."""

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from course_lib import plots

GAP, LINE = 8, 18  # pixels between two pictures, and for the words above each
RESULT, SMALL = 360, 150
WIDTH = RESULT + 3 * (GAP + SMALL)
CURVES = 112  # height of the strip of losses
TOP = LINE + RESULT + GAP  # where it begins
HEIGHT = TOP + LINE + CURVES
MARGIN = (46, 150)  # left and right of the curves, for their numbers
# Each term's colour, and its name beside the curve: the colour alone says nothing.
COLOURS = {
    "total": "#000000",
    "content": plots.COLORS[0],
    "style": plots.COLORS[1],
    "variation": plots.COLORS[2],
}
GREY = "#bbbbbb"


def compose(pictures, *, grams, rows, changes=(), shown=None):
    """Draw the page.

    Args:
        pictures: dict of words -> uint8 (size, size, 3): first the result, then up to four others.
        grams: None, or (words, of the picture, wanted): two float arrays (channels, channels).
        rows: list of dicts with "steps" and the terms, as `StyleSession.rows`.
        changes: numbers of steps at which the settings changed.
        shown: number of steps of an older frame that is shown; None for the newest.

    Returns:
        PIL image of WIDTH x HEIGHT.
    """
    page = Image.new("RGB", (WIDTH, HEIGHT), "white")
    (words, result), *others = pictures.items()
    _paste(page, words, Image.fromarray(result), (0, 0), RESULT)
    for index, (words, pixels) in enumerate(others):
        _paste(page, words, Image.fromarray(pixels), _place(index), SMALL)
    if grams is not None:
        words, *matrices = grams
        for index, (name, colours) in enumerate(zip(("now", "wanted"), heat(*matrices),
                                                    strict=True)):  # fmt: skip
            _paste(page, f"{words}, {name}", colours, _place(4 + index), SMALL, smooth=False)
    page.paste(_curves(rows, changes, shown), (0, TOP))
    return page


def heat(now, wanted):
    """Return two PIL images of Gram matrices on one scale, as roots of their shares of its top.

    The channels are sorted by their power in what is wanted, so that equal places are equal pairs.
    """
    order = np.argsort(-np.diagonal(wanted))
    top = max(float(now.max()), float(wanted.max()), 1e-12)
    found = []
    for matrix in (now, wanted):
        shares = np.sqrt(np.clip(matrix[np.ix_(order, order)] / top, 0, 1))
        found.append(Image.fromarray(matplotlib.colormaps["cividis"](shares, bytes=True)[..., :3]))
    return found


def _place(index):
    """Top left corner of a small picture: three in a row, two rows as high as the result."""
    row, column = divmod(index, 3)
    return RESULT + GAP + column * (SMALL + GAP), row * (RESULT - SMALL)


def _paste(page, words, picture, place, side, *, smooth=True):
    x, y = place
    ink = ImageDraw.Draw(page)
    ink.text((x, y + 1), words, fill="black", font=_font())
    method = Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST
    page.paste(picture.convert("RGB").resize((side, side), method), (x, y + LINE))
    ink.rectangle((x, y + LINE, x + side - 1, y + LINE + side - 1), outline=GREY)


def _font(size=12):
    return ImageFont.load_default(size)


# Losses ------------------------------------------------------------------------------------------


def _curves(rows, changes, shown):
    """The weighted terms over the steps, on a logarithmic axis; drawn twice as fine."""
    fine = 2
    strip = Image.new("RGB", (fine * WIDTH, fine * (LINE + CURVES)), "white")
    ink, font = ImageDraw.Draw(strip), _font(12 * fine)
    left, right = fine * MARGIN[0], fine * (WIDTH - MARGIN[1])
    top, bottom = fine * LINE, fine * (LINE + CURVES - 16)
    ink.text((0, 0), "loss terms, weights included (log)", fill="black", font=font)
    values = [row[name] for row in rows for name in COLOURS if row[name] > 0] or [1e-3, 1.0]
    low, high = np.floor(np.log10(min(values))), np.ceil(np.log10(max(values)))
    low, high = max(low, high - 5), max(high, low + 1)
    last = max(rows[-1]["steps"] if rows else 0, 1)

    def across(step):
        return left + (right - left) * step / last

    def down(value):
        return bottom - (bottom - top) * (np.log10(max(value, 10.0**low)) - low) / (high - low)

    for power in range(int(low), int(high) + 1):
        y = down(10.0**power)
        ink.line((left, y, right, y), fill="#e6e6e6", width=fine)
        ink.text((left - 4, y), f"{10.0**power:g}", fill="#555555", font=font, anchor="rm")
    for step in changes:
        ink.line((across(step), top, across(step), bottom), fill=GREY, width=fine)
    if shown is not None:
        ink.line((across(shown), top, across(shown), bottom), fill="#CC79A7", width=2 * fine)
    ink.text((right, bottom + 4), f"step {last}", fill="#555555", font=font, anchor="rt")
    ends = []
    for name, colour in COLOURS.items():
        points = [(across(row["steps"]), down(row[name])) for row in rows if row[name] > 0]
        if len(points) > 1:
            ink.line(points, fill=colour, width=2 * fine)
        if rows:
            ends.append((down(rows[-1][name]), f"{name} {rows[-1][name]:.3g}", colour))
    for y, words, colour in _apart(ends, 15 * fine, top, bottom):
        ink.text((right + 8 * fine, y), words, fill=colour, font=font, anchor="lm")
    return strip.resize((WIDTH, LINE + CURVES), Image.Resampling.BOX)


def _apart(ends, step, top, bottom):
    """The same words, moved downwards where they would overlap, and then up into the strip."""
    ends = sorted(ends)
    for index, (y, *rest) in enumerate(ends):
        above = ends[index - 1][0] + step if index else top
        ends[index] = (max(y, above), *rest)
    limit = bottom
    for index in range(len(ends) - 1, -1, -1):
        ends[index] = (min(ends[index][0], limit), *ends[index][1:])
        limit = ends[index][0] - step
    return ends
