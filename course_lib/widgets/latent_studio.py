"""The latent studio: walk, mix, steer and project with a style-based generator, live."""

import dataclasses
import html
import io
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from ipywidgets import HTML, Accordion, VBox
from ipywidgets import Image as Picture

from course_lib import runtime, session_files, studio
from course_lib.datasets import images
from course_lib.studio import History, Look, Session, Studio
from course_lib.widgets import engine, studio_page
from course_lib.widgets.drag_pad import tie
from course_lib.widgets.studio_controls import FILES, StudioControls

SECONDS = 0.1  # of each picture of a film


class LatentStudio(StudioControls):
    """A generator's picture that follows its controls while they are moved.

    Left the picture; right the four seeds between which it lies, or the reader's own picture while
    it is projected and edited; below the key frames.

    Attributes:
        studio: the `Studio` that draws.
        history: the `History` of `Session`s, from the worker's commands only.
        folder: where sessions and exports are written.
        image, status, code: what is seen, in words, and a cell that draws the same.
        worker: the `engine.Worker`.
        panel: the box to display.
    """

    def __init__(
        self, generator, attributes=None, normals=None, *,
        look=None, features=None, steps=200, folder=None,
    ):  # fmt: skip
        """Build the panel and show the first picture.

        Args:
            generator, attributes, normals: as `Studio` takes them.
            look: a `Look` to begin with.
            features: callable for the projection, see `latent_space.project`.
            steps: updates of a projection.
            folder: for files; None for latent_studio/ in `runtime.results_dir()`.

        Raises:
            ValueError: for a look that the generator can't draw.
        """
        self.studio = Studio(generator, attributes, normals)
        look = look or Look()
        super().__init__(look, self.studio.directions)
        self._start = Session(look)
        self.history = History(self._start)
        self.folder = Path(folder or runtime.results_dir() / "latent_studio")
        self._features, self._steps = features, steps
        self._film = self._descent = self._found = None  # what plays, and what it found last
        self._frame = 0  # of the film, the last that was shown
        self._target, self._waits = None, False  # the reader's picture; whether it is shown
        self._targets, self._pictures = {}, {}  # of projections by name; drawn before
        self._note = ""
        self._settings = {}  # of the controls that change no picture, as the worker knows them
        self.image = Picture(format="jpeg", width=studio_page.WIDTH, height=studio_page.HEIGHT)
        self.status, self.code = HTML(), HTML()
        self.worker = engine.Worker("latent studio", self._work, self._publish, on_status=self._say)
        self._list_files()
        self._connect()
        shown_code = Accordion([self.code], titles=["Show the code"])
        self.panel = VBox([self.image, self.status, self.arranged(), shown_code])
        self.worker.run()

    @property
    def source(self):
        """The code that draws the same picture, where the arguments of `Studio` are named so."""
        return studio.code(self.history.state.look, self.studio.own)

    def figure(self):
        """Draw what the panel shows as a plain Matplotlib figure, for readers without a kernel."""
        self.worker.run()
        figure = plt.figure(figsize=(studio_page.WIDTH / 100, studio_page.HEIGHT / 100))
        axis = figure.add_axes((0, 0, 1, 1))
        axis.imshow(np.asarray(self._drawn))
        axis.set_axis_off()
        return figure

    # Callbacks: they only submit ------------------------------------------------------------------

    def _connect(self):
        for key, widget in self.movable():
            widget.observe(lambda _, key=key: self._moved(key), "value")
        tie(self.pad, self.x, self.y)
        actions = {
            "undo": lambda: self._go(self.history.undo),
            "redo": lambda: self._go(self.history.redo),
            "reset": lambda: self._change(self._start),
            "add": self._add_frame,
            "remove": self._remove_frame,
            "save": self._save,
            "still": self._export_still,
            "strip": self._export_strip,
            "GIF": self._export_gif,
        }
        for name, button in self.buttons.items():
            button.on_click(lambda _, action=actions[name]: self.worker.submit(action))
        self.play.observe(self._play_pressed, "value")
        self.project.observe(self._project_pressed, "value")
        self.upload.observe(self._uploaded, "value")
        self.files.observe(self._chosen, "value")
        for widget in (self.each_layer, self.name):
            widget.observe(lambda _: self.worker.submit(self._note_settings, key="words"), "value")
        self._note_settings()

    def _moved(self, key):
        shown = self.look()  # now: a click that follows must see what it was made with
        self.worker.submit(lambda: self._take(shown, key), key="moved")

    def _play_pressed(self, change):
        if change["new"] != (self._film is not None):
            self.worker.submit(self._begin_film if change["new"] else self._stop)

    def _project_pressed(self, change):
        if change["new"] != (self._descent is not None):
            self.worker.submit(self._begin_projection if change["new"] else self._stop)

    def _uploaded(self, change):
        if change["new"]:
            file = change["new"][-1]
            self.worker.submit(lambda: self._read(file["name"], bytes(file["content"])))

    def _chosen(self, change):
        if change["new"] != FILES:
            self.worker.submit(lambda: self._open(change["new"]))

    # Commands of the worker -----------------------------------------------------------------------

    def _take(self, shown, key):
        """Let the look be what the controls have shown."""
        if self._found is not None:
            return self._stop()  # the controls go to what was found, whatever they showed before
        before = self.history.state
        look = dataclasses.replace(shown, own=before.look.own)
        place = [(each.seeds, each.x, each.y) for each in (look, before.look)]
        if place[0] != place[1]:
            look = dataclasses.replace(look, own="")  # back to the lattice
        if look != before.look:
            self._stop()
            self._note, self._waits = "", False
            self.history.change(dataclasses.replace(before, look=look), key)
            for name, slider in self.amounts.items():
                slider.disabled = name in look.locked

    def _note_settings(self):
        self._settings = {"each_layer": self.each_layer.value, "name": self.name.value.strip()}

    def _change(self, session):
        """Take a session that the controls don't show yet."""
        self._go(lambda: self.history.change(session))

    def _go(self, step):
        """Take a step in the history, which the controls follow."""
        self._stop()
        self._note, self._waits = "", False
        step()
        self.show(self.history.state.look)

    def _add_frame(self):
        session = self.history.state
        self._change(dataclasses.replace(session, frames=(*session.frames, session.look)))

    def _remove_frame(self):
        session = self.history.state
        self._change(dataclasses.replace(session, frames=session.frames[:-1]))

    def _begin_film(self):
        styles = self.studio.film(self.history.state.frames)
        self._stop()
        self._film, self._frame = (time.perf_counter(), styles), 0
        self.worker.play()

    def _begin_projection(self):
        self._stop()
        self._note = f"projecting {self._target[0]}"
        self._descent = self.studio.project(
            self._target[1], per_layer=self._settings["each_layer"], steps=self._steps,
            features=self._features,
        )  # fmt: skip
        self.worker.play()

    def _work(self, seconds):
        if self._descent is not None:
            found = next(self._descent, None)
            self._stop() if found is None else setattr(self, "_found", found)
        elif self._film is not None and self._frame < len(self._film[1]) - 1:
            time.sleep(min(seconds, SECONDS))
        else:
            self._stop()

    def _stop(self):
        """End what plays; a projection is kept, also where the reader ends it early."""
        found, self._film, self._descent, self._found = self._found, None, None, None
        self.worker.pause()
        if found is not None:
            self._keep(found)

    def _keep(self, found):
        """Make a projection the look: as it was found, at full length and with nothing added."""
        name = f"own {len(self.studio.own) + 1}"
        self.studio.own[name], self._targets[name] = found.styles, self._target[1]
        session = self.history.state
        look = dataclasses.replace(session.look, psi=1.0, swapped=(), amounts={}, own=name)
        self._change(dataclasses.replace(session, look=look))
        self._note = f"projected with a loss of {found.loss:.4f}; the controls edit it now"

    def _read(self, name, content):
        side, _, channels = self.studio.synthesis.output_shape[1:]
        pixels = images.read_image(content, size=side, channels=channels, name=name)
        self._stop()
        self._target, self._waits = (name, images.to_float(pixels)), True
        self.project.disabled = False
        self._note = f"{name}, cut square, {side} × {side}: press project"

    # Files ----------------------------------------------------------------------------------------

    def _path(self, suffix):
        return session_files.named(self.folder, self._settings["name"], suffix)

    def _wrote(self, path):
        self._note = f"wrote {runtime.display_path(path)}"

    def _save(self):
        path = self._path(".json")
        studio.save(path, self.history.state, self.studio.own)
        self._list_files()
        self._wrote(path)

    def _list_files(self):
        names = sorted(path.stem for path in self.folder.glob("*.json"))
        self.files.options = [FILES, *names]

    def _open(self, name):
        self.files.value = FILES  # so that it can be chosen again
        session, own = studio.load(self.folder / f"{name}.json")
        # Names of projected pictures are counted anew in each panel: those of the file get others.
        start = len(self.studio.own)
        renamed = {old: f"own {start + i}" for i, old in enumerate(own, start=1)}
        before = dict(self.studio.own)
        self.studio.own |= {renamed[old]: styles for old, styles in own.items()}
        looks = [dataclasses.replace(look, own=renamed.get(look.own, ""))
                 for look in (session.look, *session.frames)]  # fmt: skip
        try:
            for look in looks:
                self.studio.styles(look)
        except ValueError:
            self.studio.own = before
            raise
        self._change(Session(looks[0], tuple(looks[1:])))
        self.name.value, self._note = name, f"opened {name}"

    def _export_still(self):
        picture = self.studio.image(self.history.state.look)
        self._wrote(images.save_png(self._path(".png"), picture))

    def _export_strip(self):
        pictures = self._film_pictures(between=4)
        path = self._path("_strip.png")
        self._wrote(images.save_png(path, np.concatenate(pictures, axis=1)))

    def _export_gif(self):
        pictures = self._film_pictures()
        path = self._path(".gif")
        self._wrote(images.save_gif(path, np.stack(pictures), seconds=SECONDS, scale=4))

    def _film_pictures(self, **settings):
        frames = self.history.state.frames
        return [self.studio.draw(styles) for styles in self.studio.film(frames, **settings)]

    # The picture ----------------------------------------------------------------------------------

    def _due_frame(self):
        started, styles = self._film
        return min(int((time.perf_counter() - started) / SECONDS), len(styles) - 1)

    def _publish(self):
        session = self.history.state
        if self._film is not None:
            self._frame = self._due_frame()
            picture = self.studio.draw(self._film[1][self._frame])
        elif self._found is not None:
            picture = self._found.image
        else:
            picture = self.studio.image(session.look)
        self._drawn = self._page(picture, session)
        buffer = io.BytesIO()
        self._drawn.save(buffer, "jpeg", quality=92)
        self.image.value = buffer.getvalue()
        code = html.escape(self.source)
        self.code.value = f'<pre style="max-height:20em;overflow:auto">{code}</pre>'
        return "<br>".join(html.escape(line) for line in self._lines(session) if line)

    def _page(self, picture, session):
        look, target = session.look, self._targets.get(session.look.own)
        if self._waits or self._descent is not None:
            target = self._target[1]
        corners = [self._known(Look(seeds=(seed,) * 4)) for seed in look.seeds]
        frames = [self._known(frame) for frame in session.frames]
        place = (look.x, look.y)
        return studio_page.compose(
            picture, corners=corners, place=place, target=target, frames=frames
        )

    def _known(self, look):
        """The picture of a look that was drawn before, or is drawn now."""
        key = repr(look)  # a dict in it keeps it from being a key itself
        if key not in self._pictures:
            self._pictures[key] = self.studio.image(look)
        return self._pictures[key]

    def _lines(self, session):
        each, name = self._settings["each_layer"], self._settings["name"]
        how = "a style for each layer" if each else "one style for all layers"
        lines = [studio_page.words(session.look, len(session.frames))]
        if self._film is not None:
            lines.append(f"film: {self._frame + 1} of {len(self._film[1])}")
        if self._found is not None:
            lines.append(f"projecting: loss {self._found.loss:.4f}")
        return [*lines, f"projection: {how}; file name: {name}", self._note]

    def _say(self, words):
        self.status.value = f'<div role="status">{words}</div>'
        if self.worker.error is not None:
            self._film = self._descent = self._found = None
        self.play.value = self._film is not None
        self.project.value = self._descent is not None
