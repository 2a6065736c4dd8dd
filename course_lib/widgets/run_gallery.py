"""A gallery of stored training runs: look through the moments of one, then name what is wrong."""

import html
import io
import json

import ipywidgets
import numpy as np
from matplotlib import pyplot
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from course_lib import plots
from course_lib.widgets import engine

SIZE = (11.0, 3.6)  # inches
DPI = 80
CURVES = ("images_seen", "d_loss", "g_loss", "real_logit", "fake_logit", "kernel_distance")
NUMBERS = {name: name.replace("_", " ") for name in CURVES[1:]}
CURVES += ("samples", "sample_images_seen")
UNDECIDED = "what is wrong?"
STEEP = 100.0  # from such a ratio of largest to smallest value on, an axis is logarithmic


def load(path):
    """Return the runs and the answers of a stored gallery.

    Args:
        path: `pathlib.Path` of the .npz file with arrays "<run>/<name>", for each name of `CURVES`;
            the answers are "answers" in the .json file beside it.

    Returns:
        (runs, answers): dict of run -> dict of name -> array, and dict of run -> dict of "name"
        (of the fault), "cause" and "cure".

    Raises:
        FileNotFoundError: if one of the two files is missing.
    """
    runs = {}
    with np.load(path, allow_pickle=False) as arrays:
        for key in arrays.files:
            run, _, name = key.partition("/")
            runs.setdefault(run, {})[name] = arrays[key]
    facts = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    return runs, facts["answers"]


class RunGallery:
    """Choose a run, move through its moments, name its fault, and be told whether that is right.

    Attributes:
        settings: dict of "run", "moment" (from 0) and "fault" (None: undecided), as shown.
        controls: dict of the same names -> widget.
        image, status, code: the picture, numbers and verdict in words, and a cell that does the
            same.
        worker: the `engine.Worker`.
        panel: the box to display.
    """

    def __init__(self, runs, answers, *, run=None, moment=0, fault=None):
        """Build the panel.

        Args:
            runs, answers: as from `load`.
            run, moment, fault: what is shown at first; the first run, its first moment, undecided.

        Raises:
            ValueError: if a run lacks an array or an answer, or what is to be shown does not exist.
        """
        _check(runs, answers)
        self._runs, self._answers = runs, answers
        run = next(iter(runs)) if run is None else run
        faults = sorted({answer["name"] for answer in answers.values()})
        self._require("run", run, list(runs))
        self._require("fault", fault, [None, *faults])
        moments = len(runs[run]["samples"])
        self._require("moment", moment, list(range(moments)))
        self.settings = {"run": run, "moment": moment, "fault": fault}
        self._make_widgets(faults, moments)
        self.worker = engine.Worker("run gallery", None, self._publish, on_status=self._say)
        for control in self.controls.values():
            control.observe(self._changed, "value")
        self.worker.run()

    @staticmethod
    def _require(name, value, known):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(map(str, known))}, got {value!r}.")

    def _make_widgets(self, faults, moments):
        wide = {"style": {"description_width": "5em"}, "layout": {"width": "22em"}}
        now = self.settings
        self.controls = {
            "run": ipywidgets.Dropdown(
                options=list(self._runs), value=now["run"], description="run",
                style={"description_width": "3em"}, layout={"width": "10em"},
            ),
            "moment": ipywidgets.IntSlider(
                now["moment"], 0, moments - 1, description="moment", **wide
            ),
            "fault": ipywidgets.Dropdown(
                options=[(UNDECIDED, None), *((fault, fault) for fault in faults)],
                value=now["fault"], description="fault", **wide,
            ),
        }  # fmt: skip
        self.image = ipywidgets.Image(format="png", width=round(SIZE[0] * DPI))
        self.status, self.code = ipywidgets.HTML(), ipywidgets.HTML()
        shown_code = ipywidgets.Accordion([self.code], titles=["Show the code"])
        controls = ipywidgets.HBox(
            list(self.controls.values()), layout=ipywidgets.Layout(flex_flow="row wrap")
        )
        self.panel = ipywidgets.VBox([controls, self.image, self.status, shown_code])

    # What the worker does -------------------------------------------------------------------------

    def _changed(self, change):
        self.worker.submit(self._take, key="moved")

    def _take(self):
        """Let the picture follow the controls; another run begins undecided at its first moment."""
        if (run := self.controls["run"].value) != self.settings["run"]:
            self.controls["moment"].max = len(self._runs[run]["samples"]) - 1
            self.controls["moment"].value, self.controls["fault"].value = 0, None
        self.settings = {name: control.value for name, control in self.controls.items()}

    # What the reader sees -------------------------------------------------------------------------

    @property
    def source(self):
        """The code that shows the same, as a cell of a notebook."""
        arguments = "".join(f", {name}={value!r}" for name, value in self.settings.items())
        return (
            "from course_lib import runtime\nfrom course_lib.widgets import run_gallery\n\n"
            'path = runtime.DATA_DIR / "results" / "08_broken_runs.npz"\n'
            "runs, answers = run_gallery.load(path)\n"
            f"run_gallery.RunGallery(runs, answers{arguments}).figure();\n"
        )

    @property
    def report(self):
        """Index of the last report at or before the moment that is shown; the first, if none is."""
        run = self._runs[self.settings["run"]]
        seen = run["sample_images_seen"][self.settings["moment"]]
        return max(0, int(np.searchsorted(run["images_seen"], seen, "right")) - 1)

    def words(self):
        """Lines: the numbers at the moment, then what there is to say about the answer."""
        run, report = self._runs[self.settings["run"]], self.report
        numbers = [f"{words} {run[name][report]:.3g}" for name, words in NUMBERS.items()]
        seen = int(run["sample_images_seen"][self.settings["moment"]])
        return [f"after {seen:,} images: {', '.join(numbers)}", *self.verdict()]

    def verdict(self):
        """Lines that say whether the answer is right, and why."""
        guess, answer = self.settings["fault"], self._answers[self.settings["run"]]
        if guess is None:
            return ["Look through the moments, then choose a fault."]
        if guess == answer["name"]:
            return [
                f"✓ right: {answer['name']}",
                f"Cause: {answer['cause']}",
                f"Cure: {answer['cure']}",
            ]
        twin = next(name for name, other in self._answers.items() if other["name"] == guess)
        return [f"✗ no: “{guess}” is what run {twin} has. Compare its curves and samples."]

    def figure(self):
        """Draw the picture as a plain Matplotlib figure, for readers without a kernel."""
        self.worker.run()
        figure = pyplot.figure(figsize=SIZE)
        self._draw(figure)
        return figure

    def _draw(self, figure):
        run = self._runs[self.settings["run"]]
        self._draw_samples(figure, run)
        grid = figure.add_gridspec(1, 3, left=0.36, right=0.99, top=0.88, bottom=0.16, wspace=0.3)
        for place, names in enumerate(
            (("d_loss", "g_loss"), ("real_logit", "fake_logit"), ("kernel_distance",))
        ):
            self._draw_curves(figure.add_subplot(grid[place]), run, names)

    def _draw_samples(self, figure, run):
        moment = self.settings["moment"]
        seen = int(run["sample_images_seen"][moment])
        figure.text(0.01, 0.94, f"Run {self.settings['run']}, after {seen:,} images", fontsize=10)
        axis = figure.add_axes((0.01, 0.02, 0.345, 0.89), anchor="NW")
        axis.imshow(plots.montage(run["samples"][moment], columns=4))
        axis.set_axis_off()

    def _draw_curves(self, axis, run, names):
        seen = run["images_seen"] / 1000
        for name, style, colour in zip(names, ("-", "--"), plots.COLORS, strict=False):
            axis.plot(seen, run[name], style, color=colour, label=NUMBERS[name], linewidth=1.4)
        every = np.concatenate([run[name] for name in names]).astype("float64")
        sizes = np.abs(every[np.isfinite(every)])
        if len(sizes) and sizes.max() > STEEP * max(np.median(sizes), 1e-3):
            axis.set_yscale("symlog", linthresh=float(max(np.median(sizes), 1e-3)))
        moment = run["sample_images_seen"][self.settings["moment"]] / 1000
        axis.axvline(moment, color="0.4", linestyle=":", linewidth=1.2)
        axis.set_title(" and ".join(NUMBERS[name] for name in names), fontsize=10)
        axis.set_xlabel("images seen (thousands)", fontsize=8)
        axis.tick_params(labelsize=8)
        if len(names) > 1:
            axis.legend(fontsize=8)

    def _publish(self):
        figure = Figure(figsize=SIZE, dpi=DPI)
        FigureCanvasAgg(figure)
        self._draw(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=DPI)
        self.image.value = buffer.getvalue()
        self.code.value = f"<pre>{html.escape(self.source)}</pre>"
        return "<br>".join(html.escape(line) for line in self.words())

    def _say(self, words):
        self.status.value = f'<div role="status">{words}</div>'


def _check(runs, answers):
    if not runs:
        raise ValueError("there is no run: the gallery needs at least one.")
    for name, run in runs.items():
        if missing := [key for key in CURVES if key not in run]:
            raise ValueError(f"run {name!r} lacks {', '.join(missing)}; it has {', '.join(run)}.")
        if name not in answers or set(answers[name]) < {"name", "cause", "cure"}:
            raise ValueError(f"run {name!r} needs an answer with name, cause and cure.")


__all__ = ["CURVES", "RunGallery", "load"]
