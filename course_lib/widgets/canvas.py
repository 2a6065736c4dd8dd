"""A square in which the learner draws a distribution of points, and a substitute without a mouse.

canvas = DrawingCanvas()
display(canvas.panel)
canvas.points(1000, seed=0)  # float32 (1000, 2)
"""

import functools
import html
import io
from pathlib import Path

import ipywidgets
import matplotlib.figure
import traitlets
from PIL import Image, ImageDraw

from course_lib.datasets import strokes as paths
from course_lib.datasets.strokes import PRESETS, points_from_strokes

BRUSHES = (0.02, 0.3)  # smallest and largest radius
PIXELS = 320
COLOR = "#0072b2"  # as in canvas.js
VEIL = 0.55  # of the paint over a picture, as in canvas.js
CHOOSE = "choose ..."


class DrawingCanvas(traitlets.HasTraits):
    """A drawing of strokes, with brush, eraser, undo, clear and ready-made drawings.

    With the package anywidget one draws with mouse, pen, finger or keys. Without it, or with
    `core=True`, one types the points of each stroke and sees them in a picture; everything else is
    the same. React to a finished stroke with `canvas.observe(callback, "strokes")`.

    Attributes:
        strokes: list of strokes, each a list of [x, y] in [-1, 1]; set it to draw from Python.
        brush: radius of the brush in the same units, within `BRUSHES`.
        panel: the box to display.
        surface: what is drawn on: an anywidget, or an `ipywidgets.Textarea`.
        background: PNG or JPEG bytes of a square picture to draw on; b"" for white.
        size, undo, clear, preset, eraser: the controls; `eraser` is None without a mouse.
        caption: `ipywidgets.HTML` with the drawing in numbers, or what is wrong with the text.
    """

    strokes = traitlets.List()
    brush = traitlets.Float(0.08)
    background = traitlets.Bytes(b"")

    def __init__(self, strokes=(), *, brush=0.08, core=None):
        """Make the panel.

        Args:
            strokes: what is drawn at first.
            brush: radius of the brush.
            core: True for the substitute from core widgets, False to insist on the mouse, None
                for the mouse where anywidget is installed.

        Raises:
            ValueError: on strokes or a brush out of range.
            ImportError: with `core=False` where anywidget is missing.
        """
        super().__init__()
        self._history, self._undoing = [], False
        surface_class = None if core else _surface_class(needed=core is False)
        self._make_controls(mouse=surface_class is not None)
        self.surface = surface_class() if surface_class else _textarea()
        self._picture = ipywidgets.Image(format="png", width=PIXELS, height=PIXELS)
        self.brush, self.strokes = brush, list(strokes)
        self._history.clear()
        self._show()
        self._connect()
        drawn_on = [self.surface] if surface_class else [self._picture, self.surface]
        tools = [self.size, *filter(None, [self.eraser]), self.undo, self.clear, self.preset]
        self.panel = ipywidgets.HBox(
            [ipywidgets.VBox(drawn_on), ipywidgets.VBox([*tools, self.caption])]
        )

    def points(self, count, seed):
        """Draw points from the drawing: `points_from_strokes` with its strokes and brush."""
        return points_from_strokes(self.strokes, self.brush, count, seed)

    def figure(self, count=2000, seed=0):
        """Draw points of it as a plain picture, for readers without a kernel."""
        figure = matplotlib.figure.Figure(figsize=(4, 4), layout="constrained")
        axes = figure.subplots()
        axes.scatter(*self.points(count, seed).T, s=4, color=COLOR)
        axes.set(xlim=(-1.1, 1.1), ylim=(-1.1, 1.1), aspect="equal", xlabel="$x_1$", ylabel="$x_2$")
        return figure

    # Controls -------------------------------------------------------------------------------------

    def _make_controls(self, *, mouse):
        low, high = BRUSHES
        self.size = ipywidgets.FloatSlider(
            min=low, max=high, step=0.01, value=self.brush, description="brush"
        )
        self.eraser = ipywidgets.ToggleButton(description="eraser") if mouse else None
        self.undo = ipywidgets.Button(description="undo")
        self.clear = ipywidgets.Button(description="clear")
        self.preset = ipywidgets.Dropdown(options=[CHOOSE, *PRESETS], description="ready-made")
        self.caption = ipywidgets.HTML()

    def _connect(self):
        self.size.observe(lambda change: setattr(self, "brush", change["new"]), "value")
        self.undo.on_click(lambda _: self._take_back())
        self.clear.on_click(lambda _: setattr(self, "strokes", []))
        self.preset.observe(self._use_preset, "value")
        if self.eraser is None:
            self.surface.observe(self._read_text, "value")
        else:
            self.eraser.observe(
                lambda change: setattr(self.surface, "eraser", change["new"]), "value"
            )
            self.surface.observe(lambda change: setattr(self, "strokes", change["new"]), "strokes")

    def _use_preset(self, change):
        if change["new"] != CHOOSE:
            self.strokes = PRESETS[change["new"]]
            self.preset.value = CHOOSE  # so that the same one can be chosen again

    def _read_text(self, change):
        if change["new"] == paths.to_text(self.strokes):
            return
        try:
            self.strokes = paths.from_text(change["new"])
        except ValueError as error:
            self.caption.value = html.escape(str(error))
        else:
            self._show()  # an old complaint goes, also where the strokes stay the same

    def _take_back(self):
        if self._history:
            self._undoing = True
            self.strokes = self._history.pop()
            self._undoing = False

    # Strokes and brush ----------------------------------------------------------------------------

    @traitlets.validate("strokes")
    def _checked_strokes(self, proposal):
        return paths.checked(proposal["value"])

    @traitlets.validate("brush")
    def _checked_brush(self, proposal):
        low, high = BRUSHES
        if not low <= proposal["value"] <= high:
            raise ValueError(f"brush must be from {low} to {high}, got {proposal['value']}.")
        return proposal["value"]

    @traitlets.observe("strokes", "brush", "background")
    def _changed(self, change):
        if change["name"] == "strokes" and not self._undoing:
            self._history.append(change["old"])
        self._show()

    def _show(self):
        """Let everything on the screen say what is drawn."""
        total = sum(map(paths.length, self.strokes))
        plural = "" if len(self.strokes) == 1 else "s"
        self.caption.value = (
            f"{len(self.strokes)} stroke{plural}, length {total:.2f}, brush {self.brush:.2f}"
        )
        self.size.value = self.brush
        if self.eraser is None:
            self.surface.value = paths.to_text(self.strokes)
            self._picture.value = _png(self.strokes, self.brush, self.background)
        else:
            self.surface.background = self.background
            self.surface.brush, self.surface.strokes = self.brush, self.strokes


@functools.cache
def _surface_class(*, needed):
    """Return the class of the canvas for the mouse; None where it can't be had and isn't needed."""
    try:
        import anywidget
    except ImportError:
        if needed:
            raise ImportError(
                "drawing with the mouse needs the package anywidget: pip install anywidget, "
                "or pass core=True to type the points."
            ) from None
        return None

    class Surface(anywidget.AnyWidget):
        _esm = Path(__file__).with_name("canvas.js").read_text(encoding="utf-8")
        strokes = traitlets.List().tag(sync=True, echo_update=False)
        brush = traitlets.Float().tag(sync=True)
        eraser = traitlets.Bool(False).tag(sync=True)
        background = traitlets.Bytes(b"").tag(sync=True)

    return Surface


def _textarea():
    return ipywidgets.Textarea(
        placeholder="-0.5,0 0.5,0.3   (x,y of each point; a line for each stroke)",
        continuous_update=False,
        rows=5,
        layout=ipywidgets.Layout(width=f"{PIXELS}px"),
    )


def _png(strokes, brush, background):
    """Return a picture of the strokes, twice as fine as it is shown."""
    size = 2 * PIXELS
    picture = Image.new("RGB", (size, size), "white")
    if background:
        picture = Image.open(io.BytesIO(background)).convert("RGB").resize((size, size))
    paint = paths.covered(strokes, brush, size) * (VEIL if background else 1)
    picture.paste(COLOR, mask=Image.fromarray((255 * paint).astype("uint8")))
    ImageDraw.Draw(picture).rectangle((0, 0, size - 1, size - 1), outline="#bbbbbb")
    buffer = io.BytesIO()
    picture.save(buffer, "png", compress_level=1)
    return buffer.getvalue()
