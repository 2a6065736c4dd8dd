"""A training cockpit: live curves, a learning rate to move while it trains, a matrix to click."""

import html
import io

import ipywidgets
import keras
import numpy as np
from matplotlib import pyplot
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from course_lib import classify, plots
from course_lib.datasets import pipeline
from course_lib.widgets import engine

RATES = tuple(float(f"{m}e-{k}") for k in (5, 4, 3, 2) for m in (1, 2, 5))
EVERY = 20  # updates between two looks at the test pictures
SHOWN = 8  # pictures of a cell
SMOOTH = 10  # updates over which the training curves are averaged


class Cockpit:
    """Trains a classifier while one watches, pauses, changes the rate and asks what it confuses.

    Attributes:
        model: the Keras model that is trained; the panel starts from its weights.
        rows: list of dicts of each update: "loss", "accuracy" and "rate"; every `EVERY` updates
            also "test_loss" and "test_accuracy".
        matrix: int64 (classes, classes) of the last look at the test pictures; rows are the truth.
        selected: (true class, predicted class), the cell whose pictures are shown.
        worker: the `engine.Worker`; `run(updates)` uses it without a thread.
        play, step, reset, rate, cells: the controls; cells[true * classes + predicted] is a button.
        image, status, code: the picture, the numbers in words, and a cell that does the same.
        panel: the box to display.
    """

    def __init__(self, model, data, test, label, *, batch_size=50, rate=1e-3, config=None, seed=0):
        """Build the panel; nothing is trained yet.

        Args:
            model: built classifier that ends in logits.
            data, test: `ImageSet`s to learn from, and to be judged by; a few hundred test pictures
                keep it quick.
            label: name of the attribute to learn.
            batch_size: pictures of an update.
            rate: learning rate at first, one of `RATES`.
            config: a `classify.ClassifierStepConfig`; None takes one without augmentation.
            seed: of the order of the pictures and of the augmentations.

        Raises:
            ValueError: if rate is none of `RATES`, or the model or the label do not fit.
        """
        if rate not in RATES:
            raise ValueError(f"rate must be one of {', '.join(map(str, RATES))}, got {rate!r}.")
        self.model, self._test, self._label = model, test, label
        self._names = data.classes[label] if label in data.classes else ()
        self._batches = pipeline.batches(data, batch_size, seed=seed, labels=label)
        self._random = keras.random.SeedGenerator(seed)
        self._optimizer = classify.adamw(rate)
        config = config or classify.ClassifierStepConfig(classes=len(self._names))
        self._step = classify.make_classifier_step(
            model, self._optimizer, config, seed=self._random
        )
        self._images, self._truth = test.images, np.asarray(test.labels[label], np.int64)
        variables = (*model.variables, *self._optimizer.variables, self._random.state)
        self._start = [(variable, variable.numpy().copy()) for variable in variables]
        self._make_widgets(rate)
        self.worker = engine.Worker(
            "training cockpit", engine.repeat(self._update), self._publish, on_status=self._say
        )
        self._connect()
        self.worker.run(self._reset)

    def _make_widgets(self, rate):
        count = len(self._names)
        self._figure = Figure(figsize=(10, 3.6), dpi=80)
        self._canvas = FigureCanvasAgg(self._figure)
        self.image = ipywidgets.Image(format="png", width=800)
        self.status, self.code = ipywidgets.HTML(), ipywidgets.HTML()
        self.play = ipywidgets.ToggleButton(False, description="▶ play")
        self.step = ipywidgets.Button(description=f"{EVERY} updates")
        self.reset = ipywidgets.Button(description="reset")
        self.rate = ipywidgets.SelectionSlider(
            options=[(f"{value:g}", value) for value in RATES], value=rate,
            description="learning rate", style={"description_width": "7em"},
            layout={"width": "26em"},
        )  # fmt: skip
        small = {"width": "auto", "height": "24px", "padding": "0", "margin": "0"}
        self.cells = [ipywidgets.Button(description="", layout=small) for _ in range(count**2)]
        for number, cell in enumerate(self.cells):
            true, predicted = divmod(number, count)
            cell.tooltip = f"{self._names[true]}, taken for {self._names[predicted]}"
        columns = f"11em repeat({count}, 2.6em)"
        rows = [
            part
            for true in range(count)
            for part in (
                ipywidgets.Label(self._names[true]), *self.cells[true * count : (true + 1) * count]
            )
        ]  # fmt: skip
        head = [ipywidgets.Label("true \\ taken for")]
        head += [ipywidgets.Label(name[:2] + ("+" if "+" in name else "")) for name in self._names]
        grid = ipywidgets.GridBox([*head, *rows], layout={"grid_template_columns": columns})
        controls = ipywidgets.HBox([self.play, self.step, self.reset, self.rate])
        shown = ipywidgets.Accordion(
            [grid, self.code], titles=["Confusion matrix", "Show the code"]
        )
        self.panel = ipywidgets.VBox([controls, self.image, self.status, shown])

    def _connect(self):
        submit = self.worker.submit
        self.play.observe(
            lambda change: self.worker.play() if change["new"] else self.worker.pause(), "value"
        )
        self.step.on_click(lambda _: submit(lambda: self._updates(EVERY)))
        self.reset.on_click(lambda _: submit(self._reset))
        self.rate.observe(
            lambda change: submit(lambda: self._set_rate(change["new"]), key="rate"), "value"
        )
        for number, cell in enumerate(self.cells):
            cell.on_click(lambda _, number=number: submit(lambda: self._select(number)))

    # What the worker does -------------------------------------------------------------------------

    def run(self, updates):
        """Train in the calling thread, and show the result: for cells and tests."""
        self.worker.run(lambda: self._updates(updates))

    def set_rate(self, rate):
        """Change the learning rate from the next update on; what was learned stays."""
        self.worker.run(lambda: self._set_rate(rate))

    def _set_rate(self, rate):
        self._optimizer.learning_rate = rate
        if self.rate.value != rate:
            self.rate.value = rate
        self._log.append(("rate", rate))

    def _reset(self):
        for variable, value in self._start:
            variable.assign(value)
        self._optimizer.learning_rate = self.rate.value
        self.rows, self._log, self._seen = [], [("rate", self.rate.value)], 0
        self._stream = self._batches.from_step(0)
        self._look()
        self.selected = (0, 0)

    def _updates(self, count):
        for _ in range(count):
            self._update()

    def _update(self):
        values = {name: float(value) for name, value in self._step(next(self._stream)).items()}
        self.rows.append(values | {"rate": float(self._optimizer.learning_rate)})
        if self._log[-1][0] == "run":
            self._log[-1] = ("run", self._log[-1][1] + 1)
        else:
            self._log.append(("run", 1))
        if len(self.rows) % EVERY == 0:
            self._look()
        if not np.isfinite(values["loss"]):
            raise FloatingPointError(
                f"The loss is {values['loss']} at update {len(self.rows)}: press reset, and take a "
                "smaller learning rate."
            )

    def _look(self):
        """Judge the test pictures."""
        probabilities = classify.predict(self.model, self._images, batch_size=128)
        found = classify.measure(probabilities, self._truth)
        self.matrix = classify.confusion_matrix(probabilities, self._truth)
        self._predicted = probabilities.argmax(axis=1)
        self._found = found
        if self.rows:
            self.rows[-1] |= {f"test_{name}": value for name, value in found.items()}
        self._fill_cells()

    def _fill_cells(self):
        top = max(1, self.matrix.max())
        for cell, count in zip(self.cells, self.matrix.ravel(), strict=True):
            if cell.description != (text := str(count) if count else "·"):
                cell.description = text
                shade = 255 - round(110 * count / top)
                cell.style.button_color = f"rgb({shade - 40}, {shade}, 255)" if count else "#f4f4f4"

    def _select(self, number):
        self.selected = divmod(number, len(self._names))

    # What the reader sees -------------------------------------------------------------------------

    def indices(self, true, predicted):
        """Return the rows of the test set in a cell of the matrix: int64 (count,)."""
        return np.flatnonzero((self._truth == true) & (self._predicted == predicted))

    @property
    def source(self):
        """The code that trains as far with the same rates, as a cell of a notebook."""
        first, *rest = self._log
        lines = [f"cockpit = Cockpit(model, data, test, {self._label!r}, rate={first[1]!r})"]
        for name, value in rest:
            lines.append(
                f"cockpit.set_rate({value!r})" if name == "rate" else f"cockpit.run({value})"
            )
        head = ["from course_lib.widgets.cockpit import Cockpit", "", "# your model, data and test"]
        return "\n".join([*head, *lines, "cockpit.figure();\n"])

    def figure(self):
        """Return the curves and the pictures of the selected cell, for readers without a kernel."""
        figure = pyplot.figure(figsize=(10, 3.6))
        self._draw(figure)
        return figure

    def _draw(self, figure):
        figure.subplots_adjust(left=0.06, right=0.99, top=0.9, bottom=0.14, wspace=0.25)
        curves = figure.add_gridspec(1, 2, right=0.62)
        for place, (name, label) in enumerate(
            (("loss", "cross-entropy"), ("accuracy", "accuracy"))
        ):
            axis = figure.add_subplot(curves[place])
            self._draw_curve(axis, name)
            axis.set(title=label, xlabel="updates")
            axis.set_ylim(bottom=0, top=1.02 if name == "accuracy" else None)
        rows = self.indices(*self.selected)
        pictures = figure.add_gridspec(2, SHOWN // 2, left=0.66, top=0.8, wspace=0.05, hspace=0.05)
        for place, row in enumerate(rows[:SHOWN]):
            axis = figure.add_subplot(pictures[divmod(place, SHOWN // 2)])
            axis.imshow(plots.to_display(self._images[row][None])[0], cmap="gray")
            axis.set_axis_off()
        true, predicted = (self._names[k] for k in self.selected)
        words = f"{len(rows)} × “{true}”\ntaken for “{predicted}”"
        figure.text(0.66, 0.83, words, fontsize=10, va="bottom")

    def _draw_curve(self, axis, name):
        values = np.array([row[name] for row in self.rows])
        if len(values):
            width = min(SMOOTH, len(values))
            mean = np.convolve(values, np.full(width, 1 / width), "valid")
            axis.plot(
                np.arange(width, len(values) + 1), mean, color=plots.COLORS[0], label="training"
            )
        test = [
            (k + 1, row[f"test_{name}"]) for k, row in enumerate(self.rows) if "test_loss" in row
        ]
        if test:
            axis.plot(*zip(*test, strict=True), "o--", ms=3, color=plots.COLORS[1], label="test")
        if len(values):
            axis.legend(fontsize=8)

    def _publish(self):
        self._figure.clear()
        self._draw(self._figure)
        buffer = io.BytesIO()
        self._canvas.print_png(buffer)
        self.image.value = buffer.getvalue()
        self.code.value = f"<pre>{html.escape(self.source)}</pre>"
        words = f"{len(self.rows)} updates, learning rate {self._optimizer.learning_rate.numpy():g}"
        if self.rows:
            words += f"; last batch: loss {self.rows[-1]['loss']:.3f}"
        return words + (
            f"; test at the last look: loss {self._found['loss']:.3f}, "
            f"accuracy {self._found['accuracy']:.3f} of {self.matrix.sum()} pictures"
        )

    def _say(self, words):
        self.status.value = words
        if self.play.value != self.worker.playing:
            self.play.value = self.worker.playing
        self.play.description = "❚❚ pause" if self.worker.playing else "▶ play"
