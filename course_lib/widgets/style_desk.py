"""The style desk: a picture takes on styles step by step, while everything may be changed."""

import contextlib
import html
import io
import threading
from pathlib import Path

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np

from course_lib import runtime, session_files, style_session, style_settings
from course_lib.datasets import images
from course_lib.style_session import StyleSession
from course_lib.widgets import engine, style_page
from course_lib.widgets.style_controls import StyleControls


class StyleDesk(StyleControls):
    """A `StyleSession` with controls that act on its next step.

    Large the result, beside it content, styles, mask and Gram matrices, below the loss terms.

    Attributes:
        session: the `StyleSession`, from the worker's commands only.
        folder: where pictures are written.
        image, status, code: what is seen, in words, and a cell that makes the same picture.
        worker: the `engine.Worker`; `run(steps)` uses it without a thread.
        panel: the box to display.
    """

    def __init__(
        self, encoder, settings=None, *, contents=None, styles=None, one_pass=None, folder=None,
        canvas=None,
    ):  # fmt: skip
        """Build the panel; no step is taken yet.

        Args:
            encoder, settings, contents, styles, one_pass: as `StyleSession` takes them.
            folder: for files; None for style_desk/ in `runtime.results_dir()`.
            canvas: whether to paint with the mouse; None decides by itself, see `DrawingCanvas`.

        Raises:
            ValueError: as `StyleSession`.
        """
        self.session = StyleSession(
            encoder, settings, contents=contents, styles=styles, one_pass=one_pass
        )
        super().__init__(self.session, canvas=canvas)
        self.folder = Path(folder or runtime.results_dir() / "style_desk")
        self._looking = None  # the frame that is shown; None for the newest picture
        self._note, self._shown_layer, self._file = "", self.gram.value, self.name.value
        self._following = None  # the thread that moves controls to where the session is
        self.image = ipywidgets.Image(
            format="jpeg", width=style_page.WIDTH, height=style_page.HEIGHT
        )
        self.status, self.code = ipywidgets.HTML(), ipywidgets.HTML()
        self.worker = engine.Worker(
            "style desk", engine.repeat(self._step), self._publish, on_status=self._say
        )
        self._connect()
        shown_code = ipywidgets.Accordion([self.code], titles=["Show the code"])
        self.panel = ipywidgets.VBox(
            [self.above(), self.image, self.status, self.below(), shown_code]
        )
        self.worker.run()

    def run(self, steps):
        """Take steps in the calling thread, then show the result: for cells and tests."""
        self.worker.run(self._newest, lambda: self.session.run(steps))

    def change(self, **changes):
        """Change settings as the controls do: for cells and tests."""
        self.worker.run(lambda: self._change(changes), self._follow)

    @property
    def source(self):
        """The code that makes the shown picture, where the arguments of the desk are named so."""
        return self.session.code(self._log())

    def figure(self):
        """Draw what the panel shows as a plain Matplotlib figure, for readers without a kernel."""
        self.worker.run()
        figure = plt.figure(figsize=(style_page.WIDTH / 100, style_page.HEIGHT / 100))
        axis = figure.add_axes((0, 0, 1, 1))
        axis.imshow(np.asarray(self._drawn))
        axis.set_axis_off()
        return figure

    # Callbacks: they only submit ------------------------------------------------------------------

    def _connect(self):
        for name, control in self.controls.items():
            control.observe(lambda event, name=name: self._moved(name, event["new"]), "value")
        for name, slider in self.layers.items():
            slider.observe(lambda event, name=name: self._weigh(name, event["new"]), "value")
        self.canvas.observe(self._painted, ["strokes", "brush"])
        for field, upload in self.uploads.items():
            upload.observe(lambda event, field=field: self._uploaded(field, event["new"]), "value")
        self.play.observe(self._play_pressed, "value")
        actions = {"step": self._one_step, "start again": self._start_again, "save": self._save}
        for name, action in actions.items():
            self.buttons[name].on_click(lambda _, action=action: self.worker.submit(action))
        self.time.observe(self._look_back, "value")
        for control, field in ((self.gram, "_shown_layer"), (self.name, "_file")):
            control.observe(lambda event, field=field: self._note_setting(field, event["new"]),
                            "value")  # fmt: skip

    @contextlib.contextmanager
    def _quietly(self):
        """Within it the panel itself moves controls: nothing is to follow from it."""
        self._following = threading.get_ident()
        try:
            yield
        finally:
            self._following = None

    def _by_reader(self):
        return self._following != threading.get_ident()

    def _moved(self, name, value):
        if self._by_reader():
            self.worker.submit(lambda: self._change({name: value}), key=name)

    def _weigh(self, name, value):
        def weigh():
            self._change({"layers": self.session.settings.layers | {name: value}})

        if self._by_reader():
            self.worker.submit(weigh, key=name)

    def _painted(self, event):
        if self._by_reader():
            strokes = tuple(tuple(map(tuple, stroke)) for stroke in self.canvas.strokes)
            painted = {"strokes": strokes, "brush": self.canvas.brush}
            self.worker.submit(lambda: self._change(painted), key="painted")
            if strokes and event["name"] == "strokes":
                self.controls["mask"].value = "painted"

    def _uploaded(self, field, files):
        if files:
            name, content = files[-1]["name"], bytes(files[-1]["content"])
            self.worker.submit(lambda: self._take(field, name, content))

    def _play_pressed(self, event):
        if event["new"]:
            self.worker.submit(self._newest)
            self.worker.play()
        else:
            self.worker.pause()

    def _look_back(self, event):
        steps = event["new"]
        if self._by_reader() and steps is not None:
            self.worker.pause()
            self.worker.submit(lambda: self._show_frame(steps), key="time")

    def _note_setting(self, field, value):
        self.worker.submit(lambda: setattr(self, field, value), key=field)

    # Commands of the worker -----------------------------------------------------------------------

    def _newest(self):
        """Look at the running picture again."""
        if self._looking is not None:
            with self._quietly():
                self.time.value = self.time.options[-1]
        self._looking, self._note = None, ""

    def _change(self, changes):
        self._newest()
        try:
            self.session.change(**changes)
        except ValueError:
            self._follow()  # the control goes back to what holds
            raise
        self.enable(self.session.settings)

    def _follow(self):
        """Let the controls say what is, where it was not the reader who moved them.

        Never while a picture is drawn: a slider that is being dragged would jump back.
        """
        with self._quietly():
            self.show(self.session)

    def _step(self):
        if self.session.settings.way == "one pass":
            self.worker.pause()
        self.session.step()

    def _one_step(self):
        self.worker.pause()
        self._newest()
        self._step()

    def _start_again(self):
        self._newest()
        self.session.start_again()

    def _show_frame(self, steps):
        frames = {frame.step: frame for frame in self.session.frames}
        self._looking = frames.get(steps)  # None, too, for the newest, which is no frame

    def _take(self, field, name, content):
        """Take a picture of the reader's own: cut square, and chosen."""
        whole = images.read_image(content, name=name)
        pixels = images.resize(whole[None], style_session.SIDE)[0]
        kind = "content" if field == "content" else "style"
        self._change({field: self.session.add(kind, name, pixels)})
        self._follow()
        height, width = whole.shape[:2]
        self._note = f"{name}: {width} × {height} pixels, the middle square of it"

    def _save(self):
        path = session_files.named(self.folder, self._file.strip(), ".png")
        images.save_png(path, self._pixels())
        style_settings.save(path.with_suffix(".json"), self._log())
        self._note = f"wrote {runtime.display_path(path)}, and how it came about as .json"

    def _log(self):
        log = self.session.log
        return log if self._looking is None else style_settings.until(log, self._looking.step)

    def _pixels(self):
        if self._looking is not None:
            return self._looking.pixels
        return images.to_uint8(self.session.result)

    # The picture ----------------------------------------------------------------------------------

    def _publish(self):
        self.session.terms  # noqa: B018  of this moment, also after a change without a step
        layer = self._shown_layer
        self._grams = None if layer == "none" else self.session.grams(layer)
        self._drawn = self._page()
        buffer = io.BytesIO()
        self._drawn.save(buffer, "jpeg", quality=92)
        self.image.value = buffer.getvalue()
        code = html.escape(self.source)
        self.code.value = f'<pre style="max-height:20em;overflow:auto">{code}</pre>'
        if not self.worker.playing:  # a slider whose ends move can't be dragged
            self._offer_frames()
        return "<br>".join(html.escape(line) for line in self.words() if line)

    def _page(self):
        session, settings = self.session, self.session.settings
        content = images.to_uint8(session.content)
        self.show_below(content)
        step = session.steps if self._looking is None else self._looking.step
        pictures = {f"result, step {step}": self._pixels(), f"content: {settings.content}": content}
        shares = f" {1 - settings.blend:.0%}", f" {settings.blend:.0%}"
        if settings.mask != "none":
            shares = (" inside", " outside" if settings.goes == style_settings.BOTH else " unused")
        named = zip("AB", (settings.first, settings.second), shares, strict=True)
        for (letter, name, share), picture in zip(named, session.used_styles, strict=True):
            pictures[f"{letter}{share}: {name}"] = images.to_uint8(picture)
        inside = session.mask
        inside = np.ones((settings.size,) * 2, "float32") if inside is None else inside
        white = np.rint(255 * inside).astype("uint8")[..., None].repeat(3, axis=-1)
        pictures["mask: " + settings.mask] = white
        grams = self._grams and (self._shown_layer.replace("_", " "), *self._grams)
        starts = np.cumsum([0, *(steps for _, steps in session.log)])[1:-1]
        shown = None if self._looking is None else self._looking.step
        return style_page.compose(
            pictures, grams=grams, rows=session.rows, changes=starts, shown=shown
        )

    def words(self):
        """Lines that say what the page shows, and what of the settings is not as by default."""
        session = self.session
        step, rate = f"step {session.steps:,}", self.worker.rate
        if self._looking is not None:
            step = f"looking back at step {self._looking.step:,} of {session.steps:,}"
        elif rate:
            step += f", {rate:.1f} steps/s"
        terms = ", ".join(f"{name} {value:.4g}" for name, value in session.terms.items())
        changed = session.settings.changes(style_settings.Settings())
        changed |= {"strokes": len(session.settings.strokes)} if "strokes" in changed else {}
        changed = ", ".join(f"{name} = {value!r}" for name, value in changed.items())
        return [
            f"{step}; terms: {terms}",
            self._gram_words(),
            f"settings: {changed or 'defaults'}; file name: {self._file}",
            self._note,
        ]

    def _gram_words(self):
        if self._grams is None:
            return ""
        now, wanted = self._grams
        distance = np.mean((now - wanted) ** 2)
        return (
            f"Gram matrices of {self._shown_layer}: largest value now {now.max():.4g}, wanted "
            f"{wanted.max():.4g}, mean squared difference {distance:.4g}"
        )

    def _offer_frames(self):
        """Let the slider over the frames reach up to the newest picture."""
        session = self.session
        steps = [frame.step for frame in session.frames]
        steps += [session.steps] if session.steps > steps[-1] else []
        if self.time.options != tuple(steps):
            with self._quietly():
                self.time.options = tuple(steps)
                self.time.value = steps[-1]

    def _say(self, words):
        self.status.value = f'<div role="status">{words}</div>'
        if self.play.value != self.worker.playing:
            self.play.value = self.worker.playing
        self.play.description = "❚❚ pause" if self.worker.playing else "▶ run"
