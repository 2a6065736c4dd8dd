"""The live laboratory: a `Laboratory` with controls, in JupyterLab or wherever ipywidgets work."""

import html
import io
import threading
import time

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image, ImageDraw

from course_lib import losses
from course_lib.datasets import points
from course_lib.diagnosis import diagnose
from course_lib.lab_settings import BROKEN_RUNS, OPTIMIZERS, PENALTIES
from course_lib.laboratory import Laboratory
from course_lib.slow_motion import slow_motion
from course_lib.widgets import engine, lab_picture
from course_lib.widgets.canvas import DrawingCanvas
from course_lib.widgets.choices import offer

PIXELS, STRIP = 420, 90  # the square, and the strip of history below it
RATES = (1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.3, 1.0, 3.0)
GAMMAS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 100.0, 1000.0)
# Setting -> (kind of control, choices, label). Every control changes the setting of its name.
CONTROLS = {
    "data": ("choose", points.NAMES, "data"),
    "loss": ("choose", tuple(losses.FAMILIES), "loss"),
    "penalty": ("choose", PENALTIES, "penalty"),
    "optimizer": ("choose", tuple(OPTIMIZERS), "optimizer"),
    "gamma": ("slide", GAMMAS, "penalty γ"),
    "d_learning_rate": ("slide", RATES, "rate of D"),
    "g_learning_rate": ("slide", RATES, "rate of G"),
    "discriminator_updates": ("slide", (1, 2, 3, 4, 5, 10), "D steps per G"),
    "latent_dim": ("slide", (1, 2, 4, 8, 16), "latent dim"),
    "depth": ("slide", (1, 2, 3, 4, 5), "depth"),
    "width": ("slide", (4, 8, 16, 32, 64, 128), "width"),
}
MEASURES = {
    "sliced_wasserstein": "sliced Wasserstein distance",
    "covered": "modes covered",
    "on_mode": "share on a mode (3σ)",
    "reverse_kl": "reverse KL over modes (nats)",
}
LINE_HEIGHT = ipywidgets.Layout(width="auto")


class GanLab:
    """A laboratory that can be played, changed while it runs, rewound and branched.

    Attributes:
        lab: the `Laboratory`. The worker's thread owns it while the panel plays.
        worker: the `engine.Worker`; `run(steps)` uses it without a thread.
        controls: dict of setting -> widget.
        layers: dict of layer -> `ipywidgets.ToggleButton`.
        buttons: dict of name -> `ipywidgets.Button`.
        image, status: the picture, and the measures in words.
        panel: the box to display.
    """

    def __init__(self, settings=None, *, canvas=None):
        """Build the panel; nothing runs yet.

        Args:
            settings: `Settings` to begin with; None takes the defaults.
            canvas: whether to draw with the mouse; see `DrawingCanvas`. None decides by itself.
        """
        self.lab = Laboratory(settings)
        self._bands, self._slow = {}, None
        self._speed = 100.0  # steps a second, a low guess
        self._shown = ("discriminator", "real", "generated")  # layers, as the worker knows them
        self._following = None  # the thread that moves controls to where the laboratory is
        self.image = ipywidgets.Image(format="png", width=PIXELS, height=PIXELS + STRIP)
        self.status, self.code = ipywidgets.HTML(), ipywidgets.HTML()
        self.slow_text = ipywidgets.HTMLMath()
        self.worker = engine.Worker("gan lab", self._work, self._publish, on_status=self._say)
        self.controls = {name: _control(name, self.lab.settings) for name in CONTROLS}
        self.layers = {
            layer: ipywidgets.ToggleButton(layer in self._shown, description=layer)
            for layer in lab_picture.LAYERS
        }
        self.canvas = DrawingCanvas(core=None if canvas is None else not canvas)
        self._make_buttons()
        self._connect()
        self._arrange()
        self.worker.run()

    def run(self, count):
        """Take steps in the calling thread, and show the result: for cells and tests."""
        self.worker.run(lambda: self.lab.run(count))

    def source(self):
        """Return a cell that reproduces the picture of this moment."""
        return (
            f"{self.lab.code()}\n\nfrom course_lib.widgets import lab_picture\n\n"
            f"lab_picture.draw(lab, {self._shown!r})"
        )

    def figure(self):
        """Return the picture, and the history beside it, for readers without a kernel."""
        figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
        left.imshow(lab_picture.draw(self.lab, self._shown, pixels=PIXELS))
        left.set(xticks=[], yticks=[], title=f"{self.lab.settings.data}, tick {self.lab.tick:,}")
        ticks, distances = _history(self.lab.rows)
        right.plot(ticks, distances, color="#0072B2")
        right.axhspan(*self._band()["sliced_wasserstein"], color="0.85", label="real against real")
        right.set(xlabel="ticks", ylabel="sliced Wasserstein distance", yscale="log")
        right.legend(fontsize=8)
        return figure

    # Controls ------------------------------------------------------------------------------------

    def _make_buttons(self):
        def button(text, tip):
            return ipywidgets.Button(description=text, tooltip=tip, layout=LINE_HEIGHT)

        self.play = ipywidgets.ToggleButton(False, description="▶ play", layout=LINE_HEIGHT)
        self.buttons = {
            "D step": button("D step", "one update of the discriminator alone"),
            "G step": button("G step", "one update of the generator alone"),
            "both": button("both", "one whole step"),
            "× N": button("× 100", "as many whole steps as the box beside it says"),
            "slow motion": button("slow motion", "the next of ten sub-steps, with its numbers"),
            "reset": button("reset", "begin again from the seed"),
            "show the code": button("show the code", "a cell that reproduces this picture"),
            "learn the drawing": button("learn the drawing", "take what is drawn as the data"),
        }
        self.count = ipywidgets.BoundedIntText(100, 1, 10_000, layout={"width": "90px"})
        self.seed = ipywidgets.BoundedIntText(
            self.lab.settings.seed, 0, 10**6, description="seed", layout={"width": "160px"}
        )
        self.time = ipywidgets.SelectionSlider(
            options=[0], description="go back to", continuous_update=True, layout={"width": "95%"}
        )
        self.broken = ipywidgets.Dropdown(
            options=["broken run ...", *BROKEN_RUNS], layout={"width": "140px"}
        )

    def _connect(self):
        actions = {
            "D step": lambda: self.lab.discriminator_step(),
            "G step": lambda: self.lab.generator_step(),
            "both": lambda: self.lab.run(1),
            "× N": lambda: self.lab.run(self.count.value),
            "slow motion": self._slow_step,
            "reset": lambda: self.lab.reset(self.seed.value),
            "show the code": self._show_code,
            "learn the drawing": self._learn_drawing,
        }
        for name, action in actions.items():
            self.buttons[name].on_click(lambda _, action=action: self._submit(action))
        for name, control in self.controls.items():
            control.observe(lambda change, name=name: self._change(name, change["new"]), "value")
        for button in self.layers.values():
            button.observe(lambda _: self.worker.submit(self._show_layers, key="layers"), "value")
        self.play.observe(self._play, "value")
        self.time.observe(self._go_back, "value")
        self.count.observe(self._name_count, "value")
        self.seed.observe(lambda _: self._submit(lambda: self.lab.reset(self.seed.value)), "value")
        self.broken.observe(self._break, "value")

    def _arrange(self):
        box, row = ipywidgets.VBox, ipywidgets.HBox
        wrap = ipywidgets.Layout(flex_flow="row wrap")
        names = ("D step", "G step", "both", "× N")
        rest = ("slow motion", "reset", "show the code")
        top = row(
            [self.play, *(self.buttons[n] for n in names), self.count,
             *(self.buttons[n] for n in rest), self.seed, self.broken], layout=wrap,
        )  # fmt: skip
        drawing = ipywidgets.Accordion(
            [box([self.canvas.panel, self.buttons["learn the drawing"]])], titles=("draw your own",)
        )
        left = box([self.image, row(list(self.layers.values()), layout=wrap), self.time],
                   layout={"width": f"{PIXELS + 20}px"})  # fmt: skip
        right = box([*self.controls.values(), self.status, self.slow_text], layout={"flex": "1"})
        self.panel = box([top, row([left, right]), drawing, self.code])

    def _submit(self, action):
        self._slow = self._slow if action == self._slow_step else None
        self.worker.submit(action)

    def _show_layers(self):
        self._shown = tuple(name for name, button in self.layers.items() if button.value)

    def _name_count(self, change):
        self.buttons["× N"].description = f"× {change['new']}"

    def _by_reader(self):
        """Whether a control was moved by the reader, and not by the panel itself."""
        return self._following != threading.get_ident()

    def _change(self, name, value):
        if self._by_reader():
            self.worker.submit(lambda: self.lab.change(**{name: value}), key=name)

    def _play(self, change):
        self._slow = None
        self.worker.play() if change["new"] else self.worker.pause()

    def _go_back(self, change):
        tick = change["new"]
        if self._by_reader() and tick is not None:
            self.worker.pause()
            self.worker.submit(lambda: self.lab.rewind(tick), key="time")

    def _break(self, change):
        if change["new"] not in BROKEN_RUNS:
            return
        run = BROKEN_RUNS[change["new"]]
        self._submit(lambda: setattr(self, "lab", Laboratory(run.settings)))

    def _learn_drawing(self):
        strokes = tuple(tuple(map(tuple, stroke)) for stroke in self.canvas.strokes)
        self.lab.change(data="drawn", strokes=strokes, brush=self.canvas.brush)

    def _slow_step(self):
        self.worker.pause()
        self._slow = self._slow or slow_motion(self.lab)
        step = next(self._slow, None)
        if step is None:
            self._slow = slow_motion(self.lab)
            step = next(self._slow)
        self.slow_text.value = f"<b>{step.title}</b><br>${step.formula}$<br>{step.words}"

    def _show_code(self):
        self.code.value = f"<pre>{html.escape(self.source())}</pre>"

    # Work and its picture ------------------------------------------------------------------------

    def _work(self, seconds):
        # As many steps in one call as fit into the slice at the speed of the slice before.
        count = max(1, min(1000, round(seconds * self._speed)))
        before, start = self.lab.tick, time.perf_counter()
        self.lab.run(count)
        done = self.lab.tick - before
        self._speed = done / (time.perf_counter() - start)
        if self.lab.diverged:
            self.worker.pause()
        return done

    def _publish(self):
        picture = Image.new("RGB", (PIXELS, PIXELS + STRIP), "white")
        picture.paste(lab_picture.draw(self.lab, self._shown, pixels=PIXELS), (0, 0))
        _draw_history(picture, self.lab.rows, self._band()["sliced_wasserstein"])
        buffer = io.BytesIO()
        picture.save(buffer, "png", compress_level=1)
        self.image.value = buffer.getvalue()
        self._follow()
        return self._words()

    def _say(self, words):
        self.status.value = words
        if self.play.value != self.worker.playing:
            self.play.value = self.worker.playing
        self.play.description = "❚❚ pause" if self.worker.playing else "▶ play"

    def _follow(self):
        """Let the controls say what is, also after going back or after a broken run."""
        self._following = threading.get_ident()
        try:
            self._move_controls()
        finally:
            self._following = None

    def _move_controls(self):
        for name, control in self.controls.items():
            value = getattr(self.lab.settings, name)
            if control.value != value:
                offer(control, value)
                control.value = value
        if self.worker.playing:
            return  # a slider whose ends move can't be dragged
        recorded = self.lab.recorded
        if tuple(self.time.options) != recorded:
            self.time.options = recorded
        self.time.value = max(tick for tick in recorded if tick <= self.lab.tick)

    def _band(self):
        data = self.lab.settings
        key = (data.data, data.strokes, data.brush)
        if key not in self._bands:
            self._bands[key] = self.lab.band()
        return self._bands[key]

    def _words(self):
        lab, now, band = self.lab, self.lab.rows[-1], self._band()
        rate = f", {self.worker.rate:,.0f} steps/s" if self.worker.playing else ""
        changed = ", ".join(f"{k} = {v!r}" for k, v in lab.settings.changed().items())
        lines = [f"<b>tick {lab.tick:,}</b>{rate}", f"settings: {html.escape(changed)[:300]}"]
        lines += [
            f"<b>{html.escape(f.name)}</b>: {html.escape(f.evidence)}" for f in self.findings()
        ]
        rows = [
            f"<tr><td>{words}</td><td>{now[name]:.4g}</td>"
            f"<td>{band[name][0]:.3g} to {band[name][1]:.3g}</td></tr>"
            for name, words in MEASURES.items()
            if name in now and name in band
        ]
        head = "<tr><th>measure</th><th>now</th><th>real against real</th></tr>"
        lines.append(f"<table>{head}{''.join(rows)}</table>")
        if "d_loss" in now:
            lines.append(
                f"loss of D {now['d_loss']:.3f}, mean D(x) {now['real_logit']:.2f}, "
                f"mean D(G(z)) {now['fake_logit']:.2f}, AUC {now.get('auc', np.nan):.3f}"
            )
        if "gradients" in self._shown:
            lines.append(f"median length of a gradient: {lab_picture.gradient_scale(lab):.3g}")
        return "<br>".join(lines)

    def findings(self):
        """Return what `diagnosis.diagnose` says of the run so far."""
        return diagnose(self.lab.rows, scale=float(self.lab.real.points.std(axis=0).mean()))


def _control(name, settings):
    kind, choices, label = CONTROLS[name]
    value = getattr(settings, name)
    make = ipywidgets.Dropdown if kind == "choose" else ipywidgets.SelectionSlider
    more = {} if kind == "choose" else {"continuous_update": True}
    options = choices if value in choices else sorted({*choices, value})
    return make(options=options, value=value, description=label,
                style={"description_width": "110px"}, **more)  # fmt: skip


def _history(rows):
    pairs = [
        (row["tick"], row["sliced_wasserstein"]) for row in rows if "sliced_wasserstein" in row
    ]
    ticks, distances = np.array(pairs, "float64").T
    return ticks, np.maximum(distances, 1e-3)


def _draw_history(picture, rows, band):
    """The sliced Wasserstein distance, on a logarithmic axis, and the band of real against real."""
    ticks, distances = _history(rows)
    ink, top, bottom = ImageDraw.Draw(picture), PIXELS + 16, PIXELS + STRIP - 4
    low, high = np.log(0.01), np.log(max(3.0, distances.max()))

    def height(value):
        share = (np.log(np.maximum(value, 0.01)) - low) / (high - low)
        return bottom - share * (bottom - top)

    ink.rectangle((0, height(band[1]), PIXELS, height(band[0])), fill=(215, 215, 215))
    x = ticks / max(ticks[-1], 1) * (PIXELS - 4) + 2
    line = list(zip(x.tolist(), height(distances).tolist(), strict=True))
    if len(line) > 1:
        ink.line(line, fill=lab_picture.BLUE, width=2)
    ink.text((4, PIXELS + 2), "sliced Wasserstein distance (log), grey: real against real",
             fill=lab_picture.BLACK)  # fmt: skip
