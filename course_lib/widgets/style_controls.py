"""The controls of the style desk: made from settings, and moved to settings."""

import io

import ipywidgets
from PIL import Image

from course_lib import style_settings
from course_lib.datasets import images
from course_lib.widgets.canvas import DrawingCanvas
from course_lib.widgets.choices import offer

WEIGHTS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
EDGES = (96, 128, 160, 192, 224, 256)
# Setting -> words beside its slider.
SLIDERS = {
    "style_weight": "style",
    "content_weight": "content",
    "variation_weight": "total variation",
    "blend": "blend A to B",
    "strength": "style in one pass",
}
# Setting -> (words beside its list, choices); the pictures are added when they are known.
LISTS = {
    "content": ("content", None),
    "first": ("style A", None),
    "second": ("style B", None),
    "size": ("size", EDGES),
    "start": ("start from", style_settings.STARTS),
    "way": ("way", style_settings.WAYS),
    "mask": ("mask", style_settings.MASKS),
    "goes": ("what goes where", style_settings.GOES),
}
UPLOADS = {"content": "your content", "first": "your style A", "second": "your style B"}
NARROW = {"width": "auto"}


class StyleControls:
    """One attribute for each control or family of controls; nothing here computes.

    Attributes:
        controls: dict of setting -> widget, each of which changes the setting of its name.
        layers: dict of style layer -> `FloatSlider` of its weight.
        canvas: `DrawingCanvas` over the content picture, for the painted mask.
        uploads: dict of "content", "first", "second" -> `FileUpload`.
        play: `ToggleButton`; buttons: dict of "step", "start again", "save" -> `Button`.
        time: `SelectionSlider` over the steps of which there are frames.
        gram: `Dropdown` of the layer whose Gram matrices are shown.
        name: `Text`, of the files.
    """

    def __init__(self, session, *, canvas=None):
        """Make the controls; `canvas` as for `DrawingCanvas`, the other way round to its `core`."""
        settings = session.settings
        choices = {"content": session.contents, "first": session.styles, "second": session.styles}
        self.controls = {
            name: ipywidgets.Dropdown(
                options=sorted({*(known or EDGES), settings.size}) if name == "size"
                else list(known or choices[name]),
                value=getattr(settings, name), description=words, style=_wide(),
                layout={"width": "25em"},
            )
            for name, (words, known) in LISTS.items()
        }  # fmt: skip
        self.controls |= {name: _slider(name, settings) for name in SLIDERS}
        self.controls["keep_colours"] = ipywidgets.Checkbox(
            settings.keep_colours, description="keep the content's colours", indent=False
        )
        self.layers = {
            name: ipywidgets.FloatSlider(
                value=weight, min=0, max=5, step=0.1, description=name, continuous_update=True,
                style=_wide(), layout={"width": "25em"},
            )
            for name, weight in settings.layers.items()
        }  # fmt: skip
        self.canvas = DrawingCanvas(
            [list(map(list, stroke)) for stroke in settings.strokes], brush=settings.brush,
            core=None if canvas is None else not canvas,
        )  # fmt: skip
        self._make_buttons(list(settings.layers))
        self.enable(settings)

    def _make_buttons(self, layers):
        self.uploads = {
            field: ipywidgets.FileUpload(
                accept=",".join(images.SUFFIXES), multiple=False, description=words
            )
            for field, words in UPLOADS.items()
        }
        self.play = ipywidgets.ToggleButton(False, description="▶ run")
        tips = {
            "step": "one step, then rest",
            "start again": "from the content or from noise, with the settings as they are",
            "save": "write the shown picture as PNG, and how it came about as JSON",
        }
        self.buttons = {
            name: ipywidgets.Button(description=name, tooltip=tip, layout=NARROW)
            for name, tip in tips.items()
        }
        self.time = ipywidgets.SelectionSlider(
            options=[0], description="look back to step", continuous_update=True,
            style=_wide("9em"), layout={"width": "34em"},
        )  # fmt: skip
        self.gram = ipywidgets.Dropdown(
            options=["none", *layers], value=layers[min(1, len(layers) - 1)],
            description="Gram matrices of", style=_wide("9em"), layout={"width": "19em"},
        )  # fmt: skip
        self.name = ipywidgets.Text("picture", description="file name", layout={"width": "18em"})

    def show(self, session):
        """Move every control to where the settings of a session are."""
        settings = session.settings
        for name, control in self.controls.items():
            value = getattr(settings, name)
            if name in ("content", "first", "second"):
                known = session.contents if name == "content" else session.styles
                if control.options != tuple(known):
                    control.options = tuple(known)
            if control.value != value:
                if hasattr(control, "options"):
                    offer(control, value)
                control.value = value
        for name, weight in settings.layers.items():
            self.layers[name].value = weight
        strokes = [list(map(list, stroke)) for stroke in settings.strokes]
        if self.canvas.strokes != strokes:
            self.canvas.strokes = strokes
        self.canvas.brush = settings.brush
        self.enable(settings)

    def enable(self, settings):
        """Grey out what is without effect under these settings."""
        masked, one_pass = settings.mask != "none", settings.way == "one pass"
        without = {"blend": masked, "goes": not masked, "strength": not one_pass}
        without |= {name: one_pass for name in ("style_weight", "content_weight", "start")}
        for name, idle in (without | {"variation_weight": one_pass}).items():
            self.controls[name].disabled = idle
        for slider in self.layers.values():
            slider.disabled = one_pass

    def show_below(self, content):
        """Let the canvas show the content picture, uint8 (size, size, 3)."""
        buffer = io.BytesIO()
        Image.fromarray(content).save(buffer, "jpeg", quality=90)
        if self.canvas.background != buffer.getvalue():
            self.canvas.background = buffer.getvalue()

    def above(self):
        """Return the row over the picture."""
        names = ("step", "start again")
        return _row(self.play, *(self.buttons[name] for name in names), self.time)

    def below(self):
        """Return the tabs under the picture."""

        def column(*names):
            return ipywidgets.VBox([self.controls[name] for name in names])

        pictures = [_row(self.controls[field], upload) for field, upload in self.uploads.items()]
        weights = column("style_weight", "content_weight", "variation_weight", "blend", "strength")
        tabs = {
            "pictures": _row(ipywidgets.VBox(pictures), column("size", "start", "way")),
            "strengths": _row(weights, ipywidgets.VBox(list(self.layers.values()))),
            "where": _row(column("mask", "goes"), self.canvas.panel),
            "look and save": _row(
                ipywidgets.VBox([self.gram, self.controls["keep_colours"]]),
                ipywidgets.VBox([self.name, self.buttons["save"]]),
            ),
        }
        return ipywidgets.Tab(list(tabs.values()), titles=list(tabs))


def _row(*widgets):
    return ipywidgets.HBox(list(widgets), layout={"flex_flow": "row wrap"})


def _wide(width="9.5em"):
    return {"description_width": width}


def _slider(name, settings):
    value, words = getattr(settings, name), SLIDERS[name]
    if name in ("blend", "strength"):
        return ipywidgets.FloatSlider(
            value=value, min=0, max=1, step=0.05, description=words, continuous_update=True,
            style=_wide(), layout={"width": "25em"},
        )  # fmt: skip
    return ipywidgets.SelectionSlider(
        options=sorted({*WEIGHTS, value}), value=value, description=words, continuous_update=True,
        style=_wide(), layout={"width": "25em"},
    )  # fmt: skip
