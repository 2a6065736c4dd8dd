"""The picture of the kernel workbench: input, output, and one window times the kernel.

It is drawn with Pillow, because Matplotlib takes longer for 75 numbers than a slider may wait.
"""

import functools

import matplotlib
import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT = 900, 540
TOP, BOTTOM = 30, 340  # where the two rows of pictures begin
BOX, MATRIX = 272, 190  # pixels of a picture's, and of a matrix's, longer side
SIGNED, GREY = "RdBu_r", "gray"  # blue below 0, red above: told apart by all colour vision
MARK, OUTSIDE = "#E69F00", "#D9D9D9"  # Okabe and Ito's orange; the padding
DARK = 0.55  # of half the colour scale: numbers are white from there on


def draw(state):
    """Returns the picture of a `convolved.Convolved` as a `PIL.Image` of WIDTH x HEIGHT."""
    picture = Image.new("RGB", (WIDTH, HEIGHT), "white")
    pen = ImageDraw.Draw(picture)
    grey = _limit(state.picture, least=1.0)
    _draw_input(picture, pen, state, grey)
    _draw_matrix(picture, pen, 260, state.kernel, _limit(state.kernel), "kernel")
    if state.output is None:
        pen.text((465, 160), "no output: see below", "black", _font(15), anchor="mm")
        return picture
    row, column = state.position
    products = state.window * state.kernel
    _draw_matrix(picture, pen, 10, state.window, grey, "window of the input", colours=GREY)
    _draw_matrix(picture, pen, 510, products, _limit(products), "window × kernel")
    for x, symbol in ((230, "×"), (480, "=")):
        pen.text((x, BOTTOM + MATRIX / 2), symbol, "black", _font(24), anchor="mm")
    words = f"sum = {state.total:.4f}\n\n= output[{row}, {column}]".replace("-", "−")
    pen.multiline_text((720, BOTTOM + MATRIX / 2), words, "black", _font(15), anchor="lm")
    _draw_output(picture, pen, state, _limit(state.output))
    return picture


def _draw_input(picture, pen, state, limit):
    (top, bottom), (left, right) = state.pads
    padded = np.pad(_colours(state.picture, limit, GREY), ((top, bottom), (left, right), (0, 0)))
    rows, columns = state.picture.shape
    outside = np.pad(np.zeros((rows, columns), bool), state.pads, constant_values=True)
    padded[outside] = [int(OUTSIDE[k : k + 2], 16) for k in (1, 3, 5)]
    pads = f", padding {top} {bottom} {left} {right}" if outside.any() else ""
    scale = _paste(picture, pen, padded, 10, f"input {rows} × {columns}{pads}")
    if state.output is not None:
        row, column = state.corner
        span = state.dilation * (len(state.kernel) - 1) + 1
        _frame(pen, 10, row + top, column + left, span, scale)


def _draw_output(picture, pen, state, limit):
    rows, columns = state.output.shape
    pixels = _colours(state.output, limit, SIGNED)
    scale = _paste(picture, pen, pixels, 330, f"output {rows} × {columns}")
    _frame(pen, 330, *state.position, 1, scale)
    ramp = _colours(np.linspace(1, -1, BOX)[:, None], 1.0, SIGNED)
    picture.paste(Image.fromarray(ramp).resize((16, BOX)), (640, TOP))
    for share in (1, 0.5, 0, -0.5, -1):
        place = (664, TOP + BOX * (1 - share) / 2)
        pen.text(place, number(share * limit), "black", _font(13), anchor="lm")


def _draw_matrix(picture, pen, left, array, limit, title, colours=SIGNED):
    """A small square array as coloured cells with their numbers."""
    size = len(array)
    scale = _paste(picture, pen, _colours(array, limit, colours), left, title, BOTTOM, MATRIX)
    for i, j in np.ndindex(*array.shape):
        share = array[i, j] / limit
        dark = share < 0.1 if colours == GREY else abs(share) > DARK
        place = (left + (j + 0.5) * scale, BOTTOM + (i + 0.5) * scale)
        text = number(array[i, j])
        pen.text(place, text, "white" if dark else "black", _font(16 - size), anchor="mm")


def _paste(picture, pen, pixels, left, title, top=TOP, side=BOX):
    """Puts an array of colours, enlarged, and its title; returns the size of its pixels."""
    rows, columns = pixels.shape[:2]
    scale = side / max(rows, columns)
    size = max(1, round(columns * scale)), max(1, round(rows * scale))
    enlarged = Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST)
    picture.paste(enlarged, (left, top))
    pen.rectangle((left - 1, top - 1, left + size[0], top + size[1]), outline="#808080")
    pen.text((left, top - 9), title, "black", _font(13), anchor="ls")
    return scale


def _frame(pen, left, row, column, span, scale):
    """Marks a square of pixels, at least so large that it can be seen."""
    x, y = left + column * scale, TOP + row * scale
    wide = max(span * scale, 3)
    pen.rectangle((x - 2, y - 2, x + wide + 1, y + wide + 1), outline=MARK, width=2)


def _colours(array, limit, colours):
    """uint8 (height, width, 3), the scale from -limit to limit."""
    return matplotlib.colormaps[colours]((array / limit + 1) / 2, bytes=True)[..., :3]


def _limit(array, least=0.0):
    """The end of a colour scale that is symmetric about 0."""
    finite = array[np.isfinite(array)]
    return max(float(np.abs(finite).max(initial=0.0)), least) or 1.0


@functools.cache
def _font(size):
    return ImageFont.truetype(font_manager.findfont("DejaVu Sans"), size)


def number(value):
    """Returns a number in at most five signs, where it has no more than three digits before."""
    if not np.isfinite(value):
        return "?"
    text = f"{value:.2f}" if abs(value) < 9.995 else f"{value:.3g}"
    text = text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text
    return text.replace("-", "−") if float(text) else "0"
