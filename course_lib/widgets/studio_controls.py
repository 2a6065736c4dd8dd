"""The controls of the latent studio: made from a look, read as a look, moved to a look."""

import ipywidgets

from course_lib.datasets import images
from course_lib.latent_space import GROUPS
from course_lib.studio import Look
from course_lib.widgets.drag_pad import drag_pad

WIDE, NARROW = {"description_width": "8em"}, {"description_width": "5em"}
FILES = "open ..."


class StudioControls:
    """One attribute for each control or family of controls; nothing here computes.

    Attributes:
        pad: see `drag_pad`; None without anywidget. x and y do the same.
        x, y, psi: `FloatSlider`s.
        seeds: list of four `BoundedIntText`s; other: the same for the second style.
        groups: dict of group -> `ToggleButton`.
        amounts, locks: dict of direction -> `FloatSlider`, `Checkbox`.
        buttons: dict of name -> `Button`.
        play, project: `ToggleButton`s.
        upload, each_layer, name, files: the reader's picture, how it is projected, and files.
    """

    def __init__(self, look, directions):
        """Make the controls.

        Args:
            look: a `studio.Look`, where they start.
            directions: names of the directions.
        """
        self.pad = drag_pad()
        self.x, self.y = _slider("x", 0, 1, 0.01), _slider("y", 0, 1, 0.01)
        self.psi = _slider("truncation ψ", 0, 1.5, 0.05)
        corners = ("top left", "top right", "bottom left", "bottom right")
        self.seeds = [_seed(corner) for corner in corners]
        self.other = _seed("second seed")
        self.groups = {group: ipywidgets.ToggleButton(description=group) for group in GROUPS}
        self.amounts = {name: _slider(name, -4, 4, 0.1) for name in directions}
        self.locks = {
            name: ipywidgets.Checkbox(description="lock", indent=False, layout={"width": "5em"})
            for name in directions
        }
        self._make_buttons()
        self.show(look)

    def _make_buttons(self):
        tips = {
            "undo": "take the last change back",
            "redo": "take the last undo back",
            "reset": "begin again; can be undone",
            "add": "keep this look as a key frame",
            "remove": "drop the last key frame",
            "save": "write look and key frames under the name",
            "still": "write this picture as PNG",
            "strip": "write the film's pictures side by side as PNG",
            "GIF": "write the film as GIF",
        }
        self.buttons = {
            name: ipywidgets.Button(description=name, tooltip=tip, layout={"width": "auto"})
            for name, tip in tips.items()
        }
        self.play = ipywidgets.ToggleButton(description="▶ play the film")
        self.project = ipywidgets.ToggleButton(description="project", disabled=True)
        self.upload = ipywidgets.FileUpload(
            accept=",".join(images.SUFFIXES), multiple=False, description="your picture"
        )
        self.each_layer = ipywidgets.Checkbox(True, description="a style for each layer")
        self.name = ipywidgets.Text("session", description="name", style=NARROW)
        self.files = ipywidgets.Dropdown(options=[FILES], layout={"width": "auto"})

    def look(self):
        """Return the look that the controls show; they don't know of projected pictures."""
        return Look(
            seeds=tuple(box.value for box in self.seeds),
            x=self.x.value,
            y=self.y.value,
            psi=self.psi.value,
            other=self.other.value,
            swapped=tuple(group for group, button in self.groups.items() if button.value),
            amounts={name: s.value for name, s in self.amounts.items() if s.value},
            locked=tuple(name for name, box in self.locks.items() if box.value),
        )

    def show(self, look):
        """Move every control to where a look has it."""
        for box, seed in zip(self.seeds, look.seeds, strict=True):
            box.value = seed
        self.x.value, self.y.value, self.psi.value = look.x, look.y, look.psi
        self.other.value = look.other
        for group, button in self.groups.items():
            button.value = group in look.swapped
        for name, slider in self.amounts.items():
            slider.value = look.amounts.get(name, 0.0)
            slider.disabled = self.locks[name].value = name in look.locked
        if self.pad is not None:
            self.pad.position = [look.x, look.y]

    def movable(self):
        """Return the controls that `look` reads: list of (key of the change, widget)."""
        found = [("place", self.x), ("place", self.y), ("psi", self.psi), ("other", self.other)]
        found += [("corner", box) for box in self.seeds]
        found += list(self.amounts.items())
        return found + [(None, w) for w in (*self.groups.values(), *self.locks.values())]

    def arranged(self):
        """Return the box that holds them all, in tabs."""
        walk = [self.x, self.y, *self.seeds]
        walk = [ipywidgets.VBox(walk)] if self.pad is None else [self.pad, ipywidgets.VBox(walk)]
        rows = [ipywidgets.HBox([self.amounts[name], self.locks[name]]) for name in self.amounts]
        tabs = {
            "walk": [ipywidgets.HBox(walk), self.psi],
            "directions": rows,
            "mix": [self.other, ipywidgets.HBox(list(self.groups.values()))],
            "your picture": [self.upload, self.each_layer, self.project],
            "film and files": [
                _row(self.buttons["add"], self.buttons["remove"], self.play),
                _row(self.name, self.buttons["save"], self.files),
                _row(*(self.buttons[name] for name in ("still", "strip", "GIF"))),
            ],
        }
        pages = [ipywidgets.VBox(page) for page in tabs.values()]
        above = _row(*(self.buttons[name] for name in ("undo", "redo", "reset")))
        return ipywidgets.VBox([above, ipywidgets.Tab(pages, titles=list(tabs))])


def _row(*widgets):
    return ipywidgets.HBox(list(widgets), layout={"flex_flow": "row wrap"})


def _slider(label, low, high, step):
    return ipywidgets.FloatSlider(
        value=min(max(0, low), high), min=low, max=high, step=step, description=label,
        continuous_update=True, style=WIDE, layout={"width": "22em"},
    )  # fmt: skip


def _seed(label):
    return ipywidgets.BoundedIntText(
        0, 0, 10**6, description=label, style=WIDE, layout={"width": "15em"}
    )
