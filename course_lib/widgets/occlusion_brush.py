"""A panel: cover parts of a picture with grey squares, and see what the classifier still says."""

import ipywidgets
import numpy as np
from matplotlib.patches import Rectangle

from course_lib import plots
from course_lib.widgets.picture_panel import (
    VERMILION,
    PicturePanel,
    draw_probabilities,
    int_slider,
    probabilities,
)

GREY = 0.0  # the middle of [-1, 1]


class OcclusionBrush(PicturePanel):
    """A square follows the sliders; "keep" leaves it where it is and lets the next one move.

    Attributes:
        squares: list of kept (column, row, side) in pixels, of the square's middle.
        keep, undo, clear: the buttons; and those of `PicturePanel`.
    """

    size = (9.0, 3.6)

    def __init__(self, model, images, classes, *, squares=(), **settings):
        """Build the panel.

        Args:
            model, images: as in `PicturePanel`; the model gives logits.
            classes: names of the classes.
            squares: kept squares to begin with.
            **settings: `column`, `row`, `side` and `picture`.

        Raises:
            ValueError, TypeError: as `PicturePanel`.
        """
        self.classes, self.squares = tuple(classes), [tuple(square) for square in squares]
        self._side = np.shape(images)[1]
        buttons = [ipywidgets.Button(description=word) for word in ("keep", "undo", "clear")]
        self.keep, self.undo, self.clear = buttons
        super().__init__(model, images, **settings)
        self.keep.on_click(lambda _: self.worker.submit(self._keep))
        self.undo.on_click(lambda _: self.worker.submit(self._take_back))
        self.clear.on_click(lambda _: self.worker.submit(self.squares.clear))

    def covered(self):
        """The picture under all squares, float32 (size, size, channels)."""
        image = self.picture.copy()
        for column, row, side in [*self.squares, self._square()]:
            image[_span(row, side), _span(column, side)] = GREY
        return image

    def draw(self, figure):
        margins = {"left": 0.06, "right": 0.98, "bottom": 0.2, "top": 0.92, "wspace": 0.2}
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.2), gridspec_kw=margins)
        left.imshow(plots.to_display(self.covered()[None])[0], interpolation="nearest")
        column, row, side = self._square()
        if side:
            corner = (column - side // 2 - 0.5, row - side // 2 - 0.5)
            left.add_patch(Rectangle(corner, side, side, fill=False, color=VERMILION, linewidth=2))
        left.set(xlabel="column", ylabel="row", xlim=(-0.5, self._side - 0.5))
        left.set_ylim(self._side - 0.5, -0.5)
        draw_probabilities(right, self.classes, *self._answers())

    def words(self):
        """Lines that say the numbers."""
        before, now = self._answers()
        said = ", ".join(
            f"{name} {new:.4f} ({new - old:+.4f})"
            for name, old, new in zip(self.classes, before, now, strict=True)
        )
        share = np.mean(np.any(self.covered() != self.picture, axis=-1))
        return [f"probability, and its change: {said}", f"changed pixels: {share:.1%}"]

    def _answers(self):
        return probabilities(self.model, self.picture), probabilities(self.model, self.covered())

    def _make_controls(self):
        middle, last = self._side // 2, self._side - 1
        return {
            "column": int_slider(middle, last, "column"),
            "row": int_slider(middle, last, "row"),
            "side": int_slider(self._side // 4, self._side, "side of the square"),
        }

    def _in_front(self):
        return [*super()._in_front(), self.keep, self.undo, self.clear]

    def _arguments(self):
        return f"model, images, {self.classes!r}, squares={self.squares!r}"

    def _square(self):
        return tuple(self.settings[name] for name in ("column", "row", "side"))

    def _keep(self):
        if self.settings["side"]:
            self.squares.append(self._square())

    def _take_back(self):
        if self.squares:
            self.squares.pop()


def _span(middle, side):
    """The pixels of a square of this side around a middle, cut at the picture's edge."""
    first = middle - side // 2
    return slice(max(first, 0), max(first + side, 0))
