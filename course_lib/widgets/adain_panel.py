"""A panel: a picture between four styles, drawn anew in one pass while the point is dragged."""

import html
import io
import time

import ipywidgets
import numpy as np
from matplotlib import pyplot
from PIL import Image, ImageDraw

from course_lib import fast_style, plots
from course_lib.datasets import images as pixels
from course_lib.widgets import engine
from course_lib.widgets.drag_pad import drag_pad, tie

SIDE, GAP = 384, 8  # of the two halves of the page, in pixels
CORNERS = ("top left", "top right", "bottom left", "bottom right")


class AdainPanel:
    """A point between four styles, a strength, and the picture that they make of a content.

    Left the picture; right the four styles with the point between them.

    Attributes:
        pad: see `drag_pad`; None without anywidget. x and y, `FloatSlider`s, do the same.
        strength: `FloatSlider`, from 0 (the content's own statistics) to 1.
        content: `Dropdown` of the contents' names.
        upload: `ipywidgets.FileUpload` for a content of the reader's own.
        image, status, code: the page (JPEG), its numbers in words, and a cell that draws the same.
        picture: what was drawn last, float32 (size, size, 3) in [-1, 1].
        worker: the `engine.Worker`.
        panel: the box to display.
    """

    def __init__(self, encoder, decoder, contents, styles, *, x=0.5, y=0.5, strength=1.0):
        """Build the panel and draw the first content.

        Args:
            encoder, decoder: as `fast_style.any_style` takes them.
            contents: dict of name -> float (size, size, 3) in [-1, 1], at least one, all of a size.
            styles: dict of four names -> float (height, width, 3) in [-1, 1]: the corners, from
                top left in reading order.
            x, y: place of the point, from 0 to 1, y downwards.
            strength: from 0 to 1.

        Raises:
            ValueError: on another number of styles, and on pictures of another shape or range.
        """
        if len(styles) != len(CORNERS):
            raise ValueError(f"the panel has four corners, got {len(styles)} styles.")
        self.styles, self.contents, self._files = dict(styles), dict(contents), {}
        self._decoder, self._encoder = decoder, encoder
        self._wanted = [fast_style.encode(encoder, style) for style in styles.values()]
        self._features = {}  # of the contents, by name
        self._corners = _square_of(list(styles.values()))
        self._make_controls(x, y, strength)
        self.image = ipywidgets.Image(format="jpeg", width=2 * SIDE + GAP, height=SIDE)
        self.status, self.code = ipywidgets.HTML(), ipywidgets.HTML()
        self._note = ""
        self.worker = engine.Worker("any style", None, self._publish, on_status=self._say)
        self._take(self._read())
        self.worker.run()
        self._connect()
        shown_code = ipywidgets.Accordion([self.code], titles=["Show the code"])
        place = ipywidgets.VBox([self.x, self.y, self.strength])
        row = [place] if self.pad is None else [self.pad, place]
        row = ipywidgets.HBox([*row, ipywidgets.VBox([self.content, self.upload])])
        self.panel = ipywidgets.VBox([self.image, row, self.status, shown_code])

    @property
    def shares(self):
        """Share of each style, float64 (4,): its corner's, when the square is cut at the point."""
        x, y = self.settings["x"], self.settings["y"]
        return np.outer([1 - y, y], [1 - x, x]).ravel()

    @property
    def source(self):
        """The code that draws the same picture, for a notebook with these networks and pictures."""
        settings, lines = self.settings, []
        content = f"contents[{settings['content']!r}]"
        if (name := settings["content"]) in self._files:
            side = len(self.contents[name])
            lines = [
                "from course_lib.datasets.images import read_image, to_float",
                f"content = to_float(read_image({self._files[name]!r}, size={side}))",
            ]
            content = "content"
        shares = tuple(round(float(share), 4) for share in self.shares)
        return "\n".join([
            "from course_lib import fast_style", *lines, "",
            "picture = fast_style.any_style(",
            f"    encoder, decoder, {content}, list(styles.values()),",
            f"    shares={shares}, strength={settings['strength']!r},",
            ")",
        ])  # fmt: skip

    def figure(self):
        """Draw the page as a plain Matplotlib figure, for readers without a kernel."""
        self.worker.run()
        figure = pyplot.figure(figsize=((2 * SIDE + GAP) / 100, SIDE / 100))
        axis = figure.add_axes((0, 0, 1, 1))
        axis.imshow(np.asarray(self._page()))
        axis.set_axis_off()
        return figure

    # Controls and callbacks, which only submit ----------------------------------------------------

    def _make_controls(self, x, y, strength):
        self.pad = drag_pad()
        self.x, self.y = _slider("x", x), _slider("y", y)
        self.strength = _slider("strength", strength)
        self.content = ipywidgets.Dropdown(options=list(self.contents), description="content")
        self.upload = ipywidgets.FileUpload(
            accept=",".join(pixels.SUFFIXES), multiple=False, description="your picture"
        )
        if self.pad is not None:
            self.pad.position = [x, y]

    def _connect(self):
        for control in (self.x, self.y, self.strength, self.content):
            control.observe(self._moved, "value")
        self.upload.observe(self._uploaded, "value")
        tie(self.pad, self.x, self.y)

    def _read(self):
        return {name: getattr(self, name).value for name in ("x", "y", "strength", "content")}

    def _moved(self, change):
        settings = self._read()  # now: a click that follows must see what it was made with
        self.worker.submit(lambda: self._take(settings), key="moved")

    def _uploaded(self, change):
        if change["new"]:
            file = change["new"][-1]
            self.worker.submit(lambda: self._add(file["name"], bytes(file["content"])))

    # Commands of the worker -----------------------------------------------------------------------

    def _take(self, settings):
        """Draw the picture of these settings."""
        self.settings, started = settings, time.perf_counter()
        name = settings["content"]
        if name not in self._features:
            self._features[name] = fast_style.encode(self._encoder, self.contents[name])
        mixed = fast_style.restyle(
            self._features[name], self._wanted, self.shares, settings["strength"]
        )
        size = self.contents[name].shape[:2]
        self.picture = fast_style.decode(self._decoder, mixed, size)
        self._seconds = time.perf_counter() - started

    def _add(self, file, content):
        """Take a content of the reader's own, cut square and at the size of the others."""
        side = len(next(iter(self.contents.values())))
        self.contents[file] = pixels.to_float(pixels.read_image(content, size=side, name=file))
        self._files[file] = file
        self._features.pop(file, None)
        self._note = f"{file}, cut square, {side} × {side}"
        self.content.options = list(self.contents)
        self.content.value = file
        self._take(self._read())

    def _publish(self):
        buffer = io.BytesIO()
        self._page().save(buffer, "jpeg", quality=90)
        self.image.value = buffer.getvalue()
        self.code.value = f"<pre>{html.escape(self.source)}</pre>"
        return "<br>".join(html.escape(line) for line in self._lines())

    def _page(self):
        page = Image.new("RGB", (2 * SIDE + GAP, SIDE), "white")
        page.paste(_resized(self.picture, SIDE), (0, 0))
        page.paste(self._corners, (SIDE + GAP, 0))
        across, down = SIDE + GAP + self.settings["x"] * SIDE, self.settings["y"] * SIDE
        draw = ImageDraw.Draw(page)
        for radius, colour in ((9, "black"), (7, "white"), (3, "black")):  # seen on every ground
            draw.ellipse((across - radius, down - radius, across + radius, down + radius), colour)
        return page

    def _lines(self):
        parts = ", ".join(
            f"{corner} {name} {share:.2f}"
            for corner, name, share in zip(CORNERS, self.styles, self.shares, strict=True)
        )
        settings = self.settings
        said = f"{settings['content']}, strength {settings['strength']:.2f}; {parts}"
        return [line for line in (said, f"drawn in {self._seconds:.3f} s", self._note) if line]

    def _say(self, words):
        self.status.value = f'<div role="status">{words}</div>'


def _slider(label, value):
    return ipywidgets.FloatSlider(
        value=value, min=0, max=1, step=0.01, description=label, continuous_update=True,
        style={"description_width": "6em"}, layout={"width": "22em"},
    )  # fmt: skip


def _resized(picture, side):
    shown = Image.fromarray((plots.to_display(picture[None])[0] * 255).round().astype("uint8"))
    return shown.resize((side, side), Image.Resampling.BICUBIC)


def _square_of(styles):
    """The four styles as one square."""
    square, half = Image.new("RGB", (SIDE, SIDE)), SIDE // 2
    for index, style in enumerate(styles):
        square.paste(_resized(style, half), (index % 2 * half, index // 2 * half))
    return square
