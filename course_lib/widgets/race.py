"""Two laboratories side by side that differ in one thing."""

import dataclasses
import html
import io

import ipywidgets
import matplotlib.pyplot as plt
from PIL import Image

from course_lib.diagnosis import diagnose
from course_lib.laboratory import Laboratory, Settings
from course_lib.widgets import engine, lab_picture

PIXELS, GAP = 300, 12


class Race:
    """Two runs from the same seed that take the same number of steps.

    Attributes:
        labs: the two `Laboratory`, left and right.
        worker: the `engine.Worker`; `run(steps)` uses it without a thread.
        play, step, reset, seed: the controls.
        image, status, code: both pictures in one, the measures in words, and a cell that does the
            same.
        panel: the box to display.
    """

    def __init__(self, settings=None, **different):
        """Build the panel; nothing runs yet.

        Args:
            settings: `Settings` of the left run; None takes the defaults.
            **different: the settings, usually one, in which the right run differs.

        Raises:
            ValueError: if nothing differs by name, or a setting is unknown or out of range.
        """
        unknown = different.keys() - {field.name for field in dataclasses.fields(Settings)}
        if not different or unknown:
            raise ValueError(
                f"name what the right run does differently, such as loss='hinge'; got {different}."
            )
        left = settings or Settings()
        self.labs = (Laboratory(left), Laboratory(dataclasses.replace(left, **different)))
        self._different = different
        self._words = tuple(
            ", ".join(f"{name} = {getattr(lab.settings, name)!r}" for name in different)
            for lab in self.labs
        )
        self.image = ipywidgets.Image(format="png", width=2 * PIXELS + GAP, height=PIXELS)
        self.status, self.code = ipywidgets.HTML(), ipywidgets.HTML()
        self.play = ipywidgets.ToggleButton(False, description="▶ play")
        self.step = ipywidgets.Button(description="100 steps")
        self.reset = ipywidgets.Button(description="reset")
        self.seed = ipywidgets.BoundedIntText(left.seed, 0, 10**6, description="seed")
        work = engine.repeat(lambda: self._run_both(10))
        self.worker = engine.Worker("race", work, self._publish, on_status=self._say)
        self.play.observe(self._play, "value")
        self.step.on_click(lambda _: self.worker.submit(lambda: self._run_both(100)))
        self.reset.on_click(lambda _: self.worker.submit(self._reset))
        self.seed.observe(lambda _: self.worker.submit(self._reset), "value")
        controls = ipywidgets.HBox([self.play, self.step, self.reset, self.seed])
        shown_code = ipywidgets.Accordion([self.code], titles=["Show the code"])
        self.panel = ipywidgets.VBox([controls, self.image, self.status, shown_code])
        self.worker.run()

    def run(self, count):
        """Take steps in the calling thread, and show the result: for cells and tests."""
        self.worker.run(lambda: self._run_both(count))

    @property
    def source(self):
        """The code that runs the same race as far, as a cell of a notebook."""
        left = ", ".join(f"{k}={v!r}" for k, v in self.labs[0].settings.changed().items())
        right = ", ".join(f"{name}={value!r}" for name, value in self._different.items())
        return (
            "from course_lib.laboratory import Settings\n"
            "from course_lib.widgets.race import Race\n\n"
            f"race = Race(Settings({left}), {right})\n"
            f"race.run({self.labs[0].tick})\nrace.figure();\n"
        )

    def figure(self):
        """Return both pictures, and both distances over time, for readers without a kernel."""
        figure, axes = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained")
        for axis, lab, words in zip(axes[:2], self.labs, self._words, strict=True):
            axis.imshow(lab_picture.draw(lab, pixels=PIXELS))
            axis.set(xticks=[], yticks=[], title=words)
        for lab, words, style in zip(self.labs, self._words, ("-", "--"), strict=True):
            name = "sliced_wasserstein"
            pairs = [(row["tick"], row[name]) for row in lab.rows if name in row]
            axes[2].plot(*zip(*pairs, strict=True), style, label=words)
        axes[2].set(xlabel="ticks", ylabel="sliced Wasserstein distance", yscale="log")
        axes[2].legend(fontsize=8)
        return figure

    def _run_both(self, count):
        for lab in self.labs:
            lab.run(count)
        if all(lab.diverged for lab in self.labs):
            self.worker.pause()

    def _reset(self):
        for lab in self.labs:
            lab.reset(self.seed.value)

    def _play(self, change):
        self.worker.play() if change["new"] else self.worker.pause()

    def _say(self, words):
        self.status.value = words
        if self.play.value != self.worker.playing:
            self.play.value = self.worker.playing
        self.play.description = "❚❚ pause" if self.worker.playing else "▶ play"

    def _publish(self):
        picture = Image.new("RGB", (2 * PIXELS + GAP, PIXELS), "white")
        for index, lab in enumerate(self.labs):
            picture.paste(lab_picture.draw(lab, pixels=PIXELS), (index * (PIXELS + GAP), 0))
        buffer = io.BytesIO()
        picture.save(buffer, "png", compress_level=1)
        self.image.value = buffer.getvalue()
        self.code.value = f"<pre>{html.escape(self.source)}</pre>"
        rows = [self._row(*pair) for pair in zip(self.labs, self._words, strict=True)]
        head = "<tr><th></th><th>tick</th><th>sliced Wasserstein</th><th>diagnosis</th></tr>"
        return f"<table>{head}{''.join(rows)}</table>"

    def _row(self, lab, words):
        distance = lab.rows[-1].get("sliced_wasserstein", float("nan"))
        scale = float(lab.real.points.std(axis=0).mean())
        found = ", ".join(finding.name for finding in diagnose(lab.rows, scale=scale)) or "nothing"
        return (
            f"<tr><td>{html.escape(words)}</td><td>{lab.tick:,}</td><td>{distance:.4g}</td>"
            f"<td>{html.escape(found)}</td></tr>"
        )
