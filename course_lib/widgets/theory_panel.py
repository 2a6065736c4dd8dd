"""The common part of panels whose picture follows from their sliders by a few formulas.

A callback computes with NumPy, moves the artists of one Matplotlib figure and puts its PNG into an
`ipywidgets.Image`: no TensorFlow, no threads, nothing that a running training would have to wait
for.
"""

import html
import io
import threading

import ipywidgets
from matplotlib import pyplot
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

DPI = 100


class TheoryPanel:
    """Sliders, a picture, its numbers in words, and the code that makes the same picture.

    A panel gives `_make_controls()`, `draw_axes(figure)`, `draw(artists, settings)` and
    `words(settings)`.

    Attributes:
        controls: dict of setting -> widget; all are core widgets, which the keyboard can reach.
        image: `ipywidgets.Image`, a PNG.
        readout: `ipywidgets.HTML` below it: every number that the picture shows by a colour.
        code: `ipywidgets.HTML` in a closed accordion: a cell for the settings as they are.
        panel: the box to display.
    """

    size = (8.0, 3.4)  # inches
    numbers_code = ""  # lines of the shown code before the picture; {settings} are filled in

    def __init__(self, **settings):
        """Build the panel.

        Args:
            **settings: starting values, by the names of the controls.

        Raises:
            TypeError: on a setting that the panel does not have.
        """
        self.controls = self._make_controls()
        if unknown := set(settings) - set(self.controls):
            raise TypeError(
                f"{type(self).__name__} has the settings {', '.join(self.controls)}, "
                f"got {', '.join(sorted(unknown))}."
            )
        for name, value in settings.items():
            self.controls[name].value = value
        self._lock = threading.Lock()  # callbacks may come on two threads
        self._figure = Figure(figsize=self.size, dpi=DPI)
        self._canvas = FigureCanvasAgg(self._figure)
        self._artists = self._movable(self._figure)
        self._background = self._draw_background()
        self.image = ipywidgets.Image(format="png", width=round(self.size[0] * DPI))
        self.readout, self.code = ipywidgets.HTML(), ipywidgets.HTML()
        self._show(None)
        for control in self.controls.values():
            control.observe(self._show, names="value")
        shown_code = ipywidgets.Accordion([self.code], titles=["Show the code"])
        rows = list(self.controls.values())
        pairs = [ipywidgets.HBox(rows[start : start + 2]) for start in range(0, len(rows), 2)]
        self.panel = ipywidgets.VBox([*pairs, self.image, self.readout, shown_code])

    @property
    def settings(self):
        """dict of the controls' values now."""
        return {name: control.value for name, control in self.controls.items()}

    @property
    def source(self):
        """The code that shows the same numbers and picture, as a cell of a notebook."""
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
        module, name = type(self).__module__, type(self).__name__
        return (
            f"from course_lib import theory\nfrom {module} import {name}\n\n"
            f"{self.numbers_code.format(**self.settings).strip()}\n"
            f"{name}({arguments}).figure();\n"
        )

    def figure(self):
        """Draw the picture as a plain Matplotlib figure, for readers without a kernel."""
        figure = pyplot.figure(figsize=self.size, dpi=DPI)
        self.draw(self._movable(figure), self.settings)
        return figure

    def _movable(self, figure):
        """The artists that move, in front of everything, so that they can be drawn last."""
        artists = self.draw_axes(figure)
        for artist in artists.values():
            artist.set_zorder(10)
        return artists

    def _draw_background(self):
        """Draws all that stands still, once: this is most of the work of a picture."""
        for artist in self._artists.values():
            artist.set_visible(False)
        self._canvas.draw()
        for artist in self._artists.values():
            artist.set_visible(True)
        return self._canvas.copy_from_bbox(self._figure.bbox)

    def _show(self, change):
        with self._lock:
            settings = self.settings
            self.draw(self._artists, settings)
            self.image.value = self._png()
            words = "<br>".join(html.escape(line) for line in self.words(settings))
            self.readout.value = f'<div role="status">{words}</div>'
            self.code.value = f"<pre>{html.escape(self.source)}</pre>"

    def _png(self):
        self._canvas.restore_region(self._background)
        for artist in self._artists.values():
            artist.axes.draw_artist(artist)
        size, pixels = self._canvas.get_width_height(), self._canvas.buffer_rgba()
        buffer = io.BytesIO()
        picture = Image.frombuffer("RGBA", size, bytes(pixels)).convert("RGB")
        picture.save(buffer, "png", compress_level=1)
        return buffer.getvalue()


def slider(value, low, high, step, label):
    """Returns a `FloatSlider` that draws while it is dragged, its name in full."""
    return ipywidgets.FloatSlider(
        value=value, min=low, max=high, step=step, description=label, continuous_update=True,
        readout_format=".2f", style={"description_width": "9em"}, layout={"width": "24em"},
    )  # fmt: skip
