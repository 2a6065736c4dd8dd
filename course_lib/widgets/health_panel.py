"""A panel that trains any GAN and says, at every look, what is healthy and what is not."""

import html
import io

import ipywidgets
import numpy as np
from matplotlib import pyplot
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from course_lib import health, plots
from course_lib.widgets import engine

SIZE = (11.0, 4.6)  # inches
DPI = 80
SHOWN = 16  # samples in the grid
# Blue, orange and vermilion of Okabe and Ito, each with a sign of its own beside the word.
COLOURS = {health.HEALTHY: "#0072B2", health.WATCH: "#E69F00", health.BROKEN: "#D55E00"}
SIGNS = {health.HEALTHY: "✓", health.WATCH: "!", health.BROKEN: "✗"}
FROM_ZERO = ("accuracy", "diversity", "novelty")


class HealthPanel:
    """Start, pause or step a GAN; samples, eight measures with curves, and a word for each.

    Attributes:
        rows: list of dicts of each look: "images_seen", the means of the step's metrics since the
            last look, and the numbers of `health.MEASURES`. The first look is before any step.
        samples: float32 images of the last look.
        worker: the `engine.Worker`; `run(steps)` uses it without a thread.
        play, step, every: the controls: start and pause, one stretch up to the next look, and the
            number of steps between two looks.
        image, status, code: the picture, the numbers in words, and a cell that does the same.
        panel: the box to display.
    """

    def __init__(self, gan, config, step, batches, checkup, *, every=50):
        """Build the panel and look at the GAN as it is; nothing is trained yet.

        Args:
            gan: the `steps.Gan` that `step` trains; it may have been trained before.
            config: its `steps.GanStepConfig`.
            step: real images -> dict of scalar metrics, as from `steps.make_gan_step`.
            batches: a `pipeline.Batches`.
            checkup: a `health.Checkup` for the same images.
            every: steps between two looks, from 1 to 1,000.

        Raises:
            ValueError: if `every` is out of range.
        """
        if not 1 <= every <= 1000:
            raise ValueError(f"every must be from 1 to 1,000 steps, got {every!r}.")
        self._gan, self._config, self._step, self._checkup = gan, config, step, checkup
        self._stream, self._batch_size = batches.from_step(0), batches.batch_size
        self._since, self.rows = [], []
        self._log = [[every, 0]]  # steps done with each setting of the box
        self._make_widgets(every)
        self.worker = engine.Worker(
            "health panel", engine.repeat(self._update), self._publish, on_status=self._say
        )
        self._connect()
        self.worker.run(self._look)

    def _make_widgets(self, every):
        self._figure = Figure(figsize=SIZE, dpi=DPI)
        self._canvas = FigureCanvasAgg(self._figure)
        self.image = ipywidgets.Image(format="png", width=round(SIZE[0] * DPI))
        self.status, self.code = ipywidgets.HTML(), ipywidgets.HTML()
        self.play = ipywidgets.ToggleButton(False, description="▶ start")
        self.step = ipywidgets.Button(description="step to the next look")
        self.every = ipywidgets.BoundedIntText(
            every, 1, 1000, description="steps between looks",
            style={"description_width": "10em"}, layout={"width": "16em"},
        )  # fmt: skip
        controls = ipywidgets.HBox([self.play, self.step, self.every])
        shown_code = ipywidgets.Accordion([self.code], titles=["Show the code"])
        self.panel = ipywidgets.VBox([controls, self.image, self.status, shown_code])

    def _connect(self):
        self.play.observe(
            lambda change: self.worker.play() if change["new"] else self.worker.pause(), "value"
        )
        self.step.on_click(lambda _: self.worker.submit(self._to_next_look))
        self.every.observe(
            lambda change: self.worker.submit(lambda: self._set_every(change["new"]), key="every"),
            "value",
        )

    # What the worker does -------------------------------------------------------------------------

    def run(self, steps):
        """Train so many steps in the calling thread, then show the result: for cells and tests."""
        self.worker.run(lambda: [self._update() for _ in range(steps)])

    def look_every(self, every):
        """Set the number of steps between looks, as the box does: for cells and tests."""
        self.worker.run(lambda: self._set_every(every))

    def _set_every(self, every):
        if every != self._log[-1][0]:
            self._log.append([every, 0])
        self.every.value = every

    @property
    def _steps(self):
        return sum(steps for _, steps in self._log)

    def _to_next_look(self):
        looks = len(self.rows)
        while len(self.rows) == looks:
            self._update()

    def _update(self):
        metrics = {name: float(value) for name, value in self._step(next(self._stream)).items()}
        self._log[-1][1] += 1
        self._since.append(metrics)
        finite = np.isfinite(list(metrics.values())).all()
        if len(self._since) >= self._log[-1][0] or not finite:
            self._look()
        if not finite:
            raise FloatingPointError(
                f"A metric is no longer a number at step {self._steps}: build the networks anew, "
                "with a smaller learning rate or a penalty."
            )

    def _look(self):
        means = {
            name: float(np.mean([metrics[name] for metrics in self._since]))
            for name in (self._since[0] if self._since else ())
        }
        self._since = []
        self.samples = self._checkup.samples(self._gan, self._config)
        found = self._checkup.measure(self._gan, self._config)
        self.rows.append({"images_seen": self._steps * self._batch_size} | means | found)

    # What the reader sees -------------------------------------------------------------------------

    @property
    def verdicts(self):
        """dict of measure -> `health.Verdict` of the last look."""
        return health.judge(self.rows)

    @property
    def source(self):
        """The code that trains and looks as often, as a cell of a notebook."""
        (first, steps), *rest = self._log
        lines = [
            "from course_lib.widgets.health_panel import HealthPanel\n",
            "# your gan, config, step, batches and checkup",
            f"panel = HealthPanel(gan, config, step, batches, checkup, every={first})",
            f"panel.run({steps})",
        ]
        for every, steps in rest:
            lines += [f"panel.look_every({every})", f"panel.run({steps})"]
        return "\n".join([*lines, "panel.figure();\n"])

    def words(self):
        """Lines that say the numbers of the last look, a word for each, and the reason."""
        now = self.rows[-1]
        return [
            f"{name:16s}{now[name]:9.3g}  {SIGNS[found.word]} {found.word:8s}{found.reason}"
            for name, found in self.verdicts.items()
        ]

    def figure(self):
        """Return samples and curves as a plain picture, for readers without a kernel."""
        figure = pyplot.figure(figsize=SIZE)
        self._draw(figure)
        return figure

    def _draw(self, figure):
        self._draw_samples(figure)
        grid = figure.add_gridspec(
            2, 4, left=0.4, right=0.99, top=0.86, bottom=0.1, wspace=0.42, hspace=0.62
        )
        seen = np.array([row["images_seen"] for row in self.rows]) / 1000
        for place, (name, found) in enumerate(self.verdicts.items()):
            axis = figure.add_subplot(grid[divmod(place, 4)])
            values = np.array([row[name] for row in self.rows])
            colour = COLOURS[found.word]
            axis.plot(seen, values, "-", color="0.55", linewidth=1)
            axis.plot(seen[-1:], values[-1:], "o", color=colour, markersize=5)
            word = f"{SIGNS[found.word]} {found.word}"
            axis.set_title(f"{name.replace('_', ' ')} {values[-1]:.3g}\n{word}", fontsize=9)
            axis.title.set_color(colour if found.word != health.WATCH else "#8A5F00")
            axis.tick_params(labelsize=7)
            if name in FROM_ZERO:
                axis.set_ylim(bottom=0)
            if name == "overfitting":  # a quotient: far outside while the margin is near 0
                axis.set_ylim(-0.55, 1.05)
            if place >= 4:
                axis.set_xlabel("images seen (thousands)", fontsize=7)

    def _draw_samples(self, figure):
        seen = self.rows[-1]["images_seen"]
        figure.text(0.01, 0.94, f"Samples after {seen:,} images", fontsize=10)
        if not np.isfinite(self.samples).all():
            figure.text(0.08, 0.5, "The samples are no longer numbers.", fontsize=10)
            return
        axis = figure.add_axes((0.01, 0.02, 0.34, 0.89), anchor="NW")
        axis.imshow(plots.montage(plots.to_display(self.samples[:SHOWN]), columns=4))
        axis.set_axis_off()

    def _publish(self):
        self._figure.clear()
        self._draw(self._figure)
        buffer = io.BytesIO()
        self._canvas.print_png(buffer)
        self.image.value = buffer.getvalue()
        self.code.value = f"<pre>{html.escape(self.source)}</pre>"
        head = f"{self._steps:,} steps, {self._steps * self._batch_size:,} images"
        lines = "\n".join([head, *self.words()])
        return f"<pre>{html.escape(lines)}</pre>"

    def _say(self, words):
        self.status.value = f'<div role="status">{words}</div>'
        if self.play.value != self.worker.playing:
            self.play.value = self.worker.playing
        self.play.description = "❚❚ pause" if self.worker.playing else "▶ start"
