"""A panel: any Keras model, any picture; every feature map, and how each of its numbers is made."""

import math

import ipywidgets
import numpy as np
from matplotlib.patches import Rectangle

from course_lib import microscope, plots
from course_lib.widgets.picture_panel import VERMILION, PicturePanel, int_slider

COLORS = "RdBu_r"  # blue below 0, red above: told apart by every common kind of colour vision
MARGINS = {"left": 0.03, "right": 0.98, "bottom": 0.1, "top": 0.83}  # fixed: quicker to draw
MOST_NUMBERS = 7  # rows or columns of a table that can still be read


class Microscope(PicturePanel):
    """Above: the picture, all maps of a layer, what the layer reads, the chosen map.

    Below: window × kernel = product for one channel of the input, number by number. The words say
    the whole sum. A layer that can't be taken apart says so, and shows its maps all the same.
    """

    size = (11.0, 5.4)

    def __init__(self, model, images, **settings):
        """Build the panel.

        Args:
            model: functional or sequential Keras model with one input, a picture.
            images: as in `PicturePanel`.
            **settings: `layer` (its name), `channel`, `row`, `column`, `reads` (the input channel
                that is shown) and `picture`.

        Raises:
            ValueError, TypeError: as `microscope.look` and `PicturePanel`.
        """
        self._looks = {0: microscope.look(model, np.asarray(images)[0])}
        super().__init__(model, images, **settings)

    @property
    def look(self):
        """The `microscope.Look` at the chosen picture."""
        index = self.settings["picture"]
        if index not in self._looks:
            self._looks[index] = microscope.look(self.model, self.picture)
        return self._looks[index]

    @property
    def place(self):
        """(row, column, channel) or (unit,) of the chosen value."""
        names = ("row", "column", "channel")[-self.look.outputs[self._layer].ndim :]
        return tuple(self.settings[name] for name in names)

    def explanation(self):
        """The `microscope.Explanation` of the chosen value, or the error that says why not."""
        try:
            return microscope.explain(self.look, self._layer, self.place)
        except microscope.NotExplainedError as error:
            return error

    def draw(self, figure):
        found, outputs = self.explanation(), self.look.outputs[self._layer]
        top, bottom = figure.subfigures(2, 1, height_ratios=(1, 0.75))
        axes = top.subplots(1, 4, gridspec_kw=MARGINS | {"wspace": 0.2})
        axes[0].imshow(plots.to_display(self.picture[None])[0], interpolation="nearest")
        axes[0].set_title("picture", fontsize=9)
        axes[0].tick_params(labelsize=7)
        if outputs.ndim == 3:
            _draw_all(axes[1], outputs, self.place[2])
            _draw_map(axes[3], outputs[..., self.place[2]], f"map {self.place[2]} of {self._layer}")
            _mark(axes[3], self.place[:2], (1, 1))
        else:
            _draw_units(axes[1], outputs, self.place[0])
            axes[3].set_axis_off()
        self._draw_read(axes[2], found)
        self._draw_numbers(bottom, found)

    def words(self):
        """Lines that say the numbers."""
        found, shape = self.explanation(), self.look.outputs[self._layer].shape
        where = f"{self._layer}, output {shape}, value at {self.place}"
        if isinstance(found, microscope.NotExplainedError):
            value = float(self.look.outputs[self._layer][self.place])
            return [f"{where}: {value:.5f}", str(found)]
        lines = [f"{where} ({found.kind}): {found.formula}"]
        if found.kernel is not None and found.kernel.ndim == 3:
            sums = (found.window * found.kernel).sum(axis=(0, 1))
            shown = " + ".join(f"{each:.4f}" for each in sums[:8])
            more = f" + ... ({len(sums)} channels)" if len(sums) > 8 else ""
            lines.append(f"window × kernel, channel by channel: {shown}{more}")
        return [*lines, f"the layer itself gives {found.output:.5f}"]

    # Controls -------------------------------------------------------------------------------------

    @property
    def _layer(self):
        return self.settings["layer"]

    def _make_controls(self):
        return {
            "layer": ipywidgets.Dropdown(options=list(self._looks[0].outputs), description="layer"),
            "channel": int_slider(0, 0, "channel or unit"),
            "row": int_slider(0, 0, "row"),
            "column": int_slider(0, 0, "column"),
            "reads": int_slider(0, 0, "input channel"),
        }

    def _start(self, settings):
        """Begin in the middle of the chosen layer's maps, unless a place is given."""
        layer = settings.get("layer", self.controls["layer"].value)
        shape = np.shape(self._looks[0].outputs.get(layer))
        middle = {"row": shape[0] // 2, "column": shape[1] // 2} if len(shape) == 3 else {}
        super()._start(middle | settings)

    def _follow(self):
        shape = (1, 1, *self.look.outputs[self._layer].shape)[-3:]
        for name, size in zip(("row", "column", "channel"), shape, strict=True):
            self._bound(name, size)
        self._read()  # a value that is no longer in bounds has moved
        first, end = getattr(self.explanation(), "channels", None) or (0, 1)
        self._bound("reads", end - first)

    def _bound(self, name, size):
        """Let a slider go over so many places."""
        self.controls[name].max = size - 1
        self.controls[name].disabled = size == 1

    # Pictures -------------------------------------------------------------------------------------

    def _draw_read(self, axis, found):
        """The channel of the input that is shown, and the window in it."""
        read = self.look.inputs[self._layer][0]
        channels = getattr(found, "channels", None)
        if read.ndim != 3 or channels is None and self.look.outputs[self._layer].ndim != 3:
            axis.set_axis_off()
            return
        if channels is None:
            channel = min(self.place[2], read.shape[2] - 1)
        else:
            channel = channels[0] + self.settings["reads"]
        _draw_map(axis, read[..., channel], f"it reads channel {channel}")
        if channels is not None:
            reach = (np.array(found.inside.shape) - 1) * found.dilation + 1
            _mark(axis, found.corner, reach)
        elif read.shape == self.look.outputs[self._layer].shape:
            _mark(axis, self.place[:2], (1, 1))

    def _draw_numbers(self, figure, found):
        """Window × kernel = product, as tables or, of a list of units, as curves."""
        window = getattr(found, "window", None)
        readable = window is not None and window.ndim == 3 and max(window.shape[:2]) <= MOST_NUMBERS
        if not readable and getattr(found, "kernel", None) is None:
            figure.text(0.5, 0.5, _wrapped(getattr(found, "formula", str(found))), ha="center",
                        va="center", fontsize=11)  # fmt: skip
            return
        kernel, parts = found.kernel, {"window": window}
        if kernel is not None:
            parts |= {"× kernel": kernel, "= product": window * kernel}
        axes = figure.subplots(1, len(parts), squeeze=False, gridspec_kw=MARGINS)[0]
        for axis, (title, numbers) in zip(axes, parts.items(), strict=True):
            if numbers.ndim == 1:
                axis.plot(numbers, ".", color="0.2", markersize=3)
                axis.set_xlabel("unit of the input", fontsize=8)
            else:
                numbers = numbers[..., self.settings["reads"]]
                _draw_table(axis, numbers, found.inside if title == "window" else None)
            total = f", sum {numbers.sum():.4f}" if title == "= product" else ""
            axis.set_title(title + total, fontsize=10)


def _limit(numbers):
    return max(float(np.abs(numbers).max()), 1e-9)


def _draw_map(axis, numbers, title):
    limit = _limit(numbers)
    axis.imshow(numbers, cmap=COLORS, vmin=-limit, vmax=limit, interpolation="nearest")
    axis.set_title(f"{title}\n{numbers.min():.3g} to {numbers.max():.3g}", fontsize=9)
    axis.tick_params(labelsize=7)


def _mark(axis, corner, size):
    """Frame a rectangle of a map; one that is only a few pixels large gets a wider frame."""
    row, column = corner
    axis.add_patch(Rectangle((column - 0.5, row - 0.5), size[1], size[0], fill=False,
                             edgecolor="black", linewidth=2))  # fmt: skip
    axis.add_patch(Rectangle((column - 0.5, row - 0.5), size[1], size[0], fill=False,
                             edgecolor=VERMILION, linewidth=1))  # fmt: skip


def _draw_all(axis, outputs, chosen):
    """All maps of a layer side by side, the chosen one framed."""
    height, width, count = outputs.shape
    columns = math.ceil(math.sqrt(count))
    sheet = np.full((math.ceil(count / columns) * (height + 1), columns * (width + 1)), np.nan)
    for channel in range(count):
        row, column = divmod(channel, columns)
        top, left = row * (height + 1), column * (width + 1)
        sheet[top : top + height, left : left + width] = outputs[..., channel]
    limit = _limit(outputs)
    axis.imshow(sheet, cmap=COLORS, vmin=-limit, vmax=limit, interpolation="nearest")
    row, column = divmod(chosen, columns)
    _mark(axis, (row * (height + 1), column * (width + 1)), (height, width))
    axis.set_title(f"all {count} maps, {height} × {width}\n{-limit:.3g} (blue) to {limit:.3g}",
                   fontsize=9)  # fmt: skip
    axis.set_axis_off()


def _draw_units(axis, outputs, chosen):
    axis.plot(outputs, ".", color="0.3", markersize=4)
    axis.plot(chosen, outputs[chosen], "o", color=VERMILION)
    axis.set_title(f"all {len(outputs)} units; unit {chosen}: {outputs[chosen]:.4f}", fontsize=9)
    axis.tick_params(labelsize=7)


def _draw_table(axis, numbers, inside):
    """Numbers on their colours; a number in the padding is grey."""
    limit = _limit(numbers)
    shown = numbers if inside is None else np.where(inside, numbers, np.nan)
    axis.imshow(shown, cmap=COLORS, vmin=-2 * limit, vmax=2 * limit)  # pale: the text is black
    axis.set(xticks=[], yticks=[], facecolor="0.85")
    if max(numbers.shape) > MOST_NUMBERS:
        return
    size = 10 if max(numbers.shape) <= 4 else 7
    for (row, column), value in np.ndenumerate(numbers):
        axis.text(column, row, f"{value:.3f}", ha="center", va="center", fontsize=size)


def _wrapped(text, width=90):
    words, lines = text.split(), [""]
    for word in words:
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] += word + " "
    return "\n".join(lines)
