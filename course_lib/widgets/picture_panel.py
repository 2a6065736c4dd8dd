"""The common part of panels that put one picture through one network: choose, upload, look."""

import html
import io

import ipywidgets
import numpy as np
from matplotlib import pyplot
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from course_lib import plots
from course_lib.datasets import images as pixels
from course_lib.widgets import engine

DPI = 100
BLUE, VERMILION = plots.COLORS[:2]


class PicturePanel:
    """Controls, a picture, its numbers in words, the reader's own pictures, and the code.

    A panel gives `_make_controls()` (a dict of setting -> widget), `draw(figure)` and `words()`;
    `_follow()` may move controls that depend on others. The worker calls the last three, which may
    use the network; they read `settings`, not the controls, which the reader may be moving.

    Attributes:
        settings: dict of the values of the controls that the picture shows.
        controls: dict of setting -> widget; "picture" chooses among the pictures.
        upload: `ipywidgets.FileUpload` for a picture of the reader's own.
        image, status, code: the picture (PNG), the numbers in words, and a cell that does the same.
        worker: the `engine.Worker`.
        panel: the box to display.
    """

    size = (10.0, 3.4)  # inches

    def __init__(self, model, images, **settings):
        """Build the panel and show the first picture.

        Args:
            model: Keras model for pictures of one size.
            images: float32 (count, size, size, 1 or 3) in [-1, 1], at least one.
            **settings: starting values, by the names of the controls.

        Raises:
            ValueError: on images of another shape or range.
            TypeError: on a setting that the panel does not have.
        """
        plots.to_display(images)  # says what is wrong with them
        self.model, self._images = model, list(np.float32(images))
        self._files, self._notes = {}, {}  # of the reader's own pictures, by their index
        last = len(self._images) - 1
        self.controls = self._make_controls()
        self.controls["picture"] = int_slider(0, last, "picture")
        if unknown := set(settings) - set(self.controls):
            raise TypeError(
                f"{type(self).__name__} has the settings {', '.join(self.controls)}, "
                f"got {', '.join(sorted(unknown))}."
            )
        self.upload = ipywidgets.FileUpload(
            accept=",".join(pixels.SUFFIXES), multiple=False, description="your picture"
        )
        self.image = ipywidgets.Image(format="png", width=round(self.size[0] * DPI))
        self.status, self.code = ipywidgets.HTML(), ipywidgets.HTML()
        self.worker = engine.Worker(self.name, None, self._publish, on_status=self._say)
        self._start(settings)
        for control in self.controls.values():
            control.observe(self._changed, "value")
        self.upload.observe(self._uploaded, "value")
        shown_code = ipywidgets.Accordion([self.code], titles=["Show the code"])
        wrap = ipywidgets.Layout(flex_flow="row wrap")
        rows = ipywidgets.HBox([*self._in_front(), self.upload], layout=wrap)
        self.panel = ipywidgets.VBox([rows, self.image, self.status, shown_code])

    @property
    def name(self):
        return type(self).__name__

    @property
    def picture(self):
        """The chosen picture, float32 (size, size, channels)."""
        return self._images[self.settings["picture"]]

    @property
    def source(self):
        """The code that shows the same picture, for a notebook with `model` and `images`."""
        settings, lines = dict(self.settings), []
        if (index := settings["picture"]) in self._files:  # the file is the only picture then
            side, channels = self.picture.shape[1:]
            lines = [
                "from course_lib.datasets.images import read_image, to_float",
                f"pixels = read_image({self._files[index]!r}, size={side}, channels={channels})",
                "images = to_float(pixels)[None]",
            ]
            settings["picture"] = 0
        values = "".join(f", {name}={value!r}" for name, value in settings.items())
        imported = f"from {type(self).__module__} import {self.name}"
        call = f"{self.name}({self._arguments()}{values}).figure();"
        return "\n".join([imported, *lines, "", call])

    def figure(self):
        """Draw the picture as a plain Matplotlib figure, for readers without a kernel."""
        self.worker.run()
        figure = pyplot.figure(figsize=self.size, dpi=DPI)
        self.draw(figure)
        return figure

    # What a panel may change ----------------------------------------------------------------------

    def _arguments(self):
        """What stands before the settings in the shown code."""
        return "model, images"

    def _in_front(self):
        return list(self.controls.values())

    def _follow(self):
        """Move controls that depend on others."""

    # Commands of the worker -----------------------------------------------------------------------

    def _start(self, settings):
        self._take()
        for name in [name for name in self.controls if name in settings]:  # a layer, then its maps
            self.controls[name].value = settings[name]
            self._take()
        self.worker.run()

    def _take(self):
        """Let the picture follow the controls."""
        self._read()
        self._follow()
        self._read()

    def _read(self):
        self.settings = {name: control.value for name, control in self.controls.items()}

    def _changed(self, change):
        self.worker.submit(self._take, key="moved")

    def _uploaded(self, change):
        if change["new"]:
            file = change["new"][-1]
            self.worker.submit(lambda: self._add(file["name"], bytes(file["content"])))

    def _add(self, name, content):
        """Take a picture of the reader's own, cut square and at the size that the network wants."""
        side, channels = self._images[0].shape[1:]
        found = pixels.read_image(content, channels=channels, name=name)
        fitting = pixels.resize(found[None], side)[0]
        self._images.append(pixels.to_float(fitting))
        index = len(self._images) - 1
        self._files[index] = name
        if found.shape != fitting.shape:
            self._notes[index] = (
                f"{name}: {found.shape[1]} × {found.shape[0]} pixels, cut to the middle square and "
                f"resized to {side} × {side}"
            )
        self.controls["picture"].max = self.controls["picture"].value = index
        self._take()

    def _publish(self):
        figure = Figure(figsize=self.size, dpi=DPI)
        FigureCanvasAgg(figure)
        self.draw(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=DPI)
        self.image.value = buffer.getvalue()
        self.code.value = f"<pre>{html.escape(self.source)}</pre>"
        note = self._notes.get(self.settings["picture"])
        lines = [note, *self.words()] if note else self.words()
        return "<br>".join(html.escape(line) for line in lines)

    def _say(self, words):
        self.status.value = f'<div role="status">{words}</div>'


def int_slider(value, high, label, *, low=0):
    """Returns an `IntSlider` that answers while it is dragged, its name in full."""
    return ipywidgets.IntSlider(
        value, low, high, description=label, continuous_update=True,
        style={"description_width": "8em"}, layout={"width": "22em"},
    )  # fmt: skip


def probabilities(model, image):
    """Returns the softmax of the logits for one image, float64 (classes,)."""
    logits = np.asarray(model(image[None], training=False), np.float64)[0]
    exponentials = np.exp(logits - logits.max())
    return exponentials / exponentials.sum()


def draw_probabilities(axis, classes, before, now):
    """Draw a bar with its number for each class, and a line where it was before."""
    places = np.arange(len(classes))
    axis.barh(places, now, height=0.6, color=BLUE, label="now")
    axis.plot(before, places, "|", color=VERMILION, markersize=16, markeredgewidth=2,
              label="unchanged picture")  # fmt: skip
    for place, value in zip(places, now, strict=True):
        axis.annotate(f"{value:.3f}", (1.04, place), va="center", fontsize=9)
    axis.set(xlim=(0, 1.25), xticks=[0, 0.5, 1], yticks=places, ylim=(len(classes) - 0.4, -0.6))
    axis.set_yticklabels(classes)
    axis.set_title("probability", fontsize=10)
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2, fontsize=8)
