"""The latent studio without its panel: what defines a picture, going back, files, and drawing."""

import dataclasses
import functools
import json
from pathlib import Path

import numpy as np
import tensorflow as tf

from course_lib import latent_space, session_files

SAMPLES = 2000  # styles from which mean, deviations and principal directions are found
STARTS = 200  # of them, at the nearest of which a projection may start
BETWEEN = 8  # pictures from one key frame to the next


# What defines a picture --------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Look:
    """Everything that decides one picture; plain values, so that it can be stored and compared.

    Attributes:
        seeds: of the four latents at the corners of the lattice: (0, 0), (1, 0), (0, 1), (1, 1).
        x, y: the place between them, from 0 to 1.
        psi: truncation, see `latent_space.truncate`.
        other: seed of a second style.
        swapped: the groups of layers that it decides, some of `latent_space.GROUPS`.
        amounts: dict of direction -> how many standard deviations to move along it.
        locked: names of the directions that the other ones may not move along.
        own: name of a projected picture that takes the place of the lattice; "" for none.
    """

    seeds: tuple = (0, 1, 2, 3)
    x: float = 0.0
    y: float = 0.0
    psi: float = 0.7
    other: int = 4
    swapped: tuple = ()
    amounts: dict = dataclasses.field(default_factory=dict)
    locked: tuple = ()
    own: str = ""


@dataclasses.dataclass(frozen=True)
class Session:
    """A look, and the key frames of a film: a tuple of looks."""

    look: Look = Look()
    frames: tuple = ()


class History:
    """States that can be undone and redone.

    Attributes:
        state: the state now.
    """

    def __init__(self, state):
        self.state = state
        self._past, self._future, self._key = [], [], None

    def change(self, state, key=None):
        """Take a new state. One that equals the state now is no change.

        Args:
            state: anything that can be compared.
            key: changes of one key that follow each other are undone together, such as all
                places of a slider that is dragged; None is undone alone.
        """
        if state == self.state:
            return
        if key is None or key != self._key:
            self._past.append(self.state)
        self.state, self._key = state, key
        self._future.clear()

    def undo(self):
        """Go back by one change, if there is one."""
        self._step(self._past, self._future)

    def redo(self):
        """Take back the last undo, if nothing was changed since."""
        self._step(self._future, self._past)

    def _step(self, source, target):
        if source:
            target.append(self.state)
            self.state, self._key = source.pop(), None


# Files -------------------------------------------------------------------------------------------


def save(path, session, own):
    """Write a session as JSON, an older file being replaced in one step.

    Args:
        path: where to; missing folders are made.
        session: a `Session`.
        own: dict of name -> styles (num_layers, style_dim); those that the session uses are kept.
    """
    looks = (session.look, *session.frames)
    used = {look.own for look in looks if look.own}
    content = dataclasses.asdict(session) | {
        "own": {name: np.asarray(own[name]).tolist() for name in sorted(used)}
    }
    session_files.write_json(path, content)


def load(path):
    """Read what `save` wrote: (session, own).

    Raises:
        ValueError: if the file holds something else, naming it.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        own = {name: np.asarray(styles, "float32") for name, styles in content["own"].items()}
        session = Session(_look(content["look"]), tuple(map(_look, content["frames"])))
        missing = {look.own for look in (session.look, *session.frames)} - {"", *own}
        if missing:
            raise KeyError(*missing)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{Path(path).name} is no saved session of the latent studio: {error!r}."
        ) from None
    return session, own


def code(look, own):
    """Return a cell that draws a look, where the arguments of `Studio` are known.

    Args:
        look: a `Look`.
        own: dict of name -> styles, for a look that uses one.
    """
    lines = []
    if look.own:
        numbers = np.asarray(own[look.own]).tolist()
        lines = [f'studio.own[{look.own!r}] = np.array({numbers}, "float32")']
    fields = {field.name: getattr(look, field.name) for field in dataclasses.fields(look)}
    changed = {name: value for name, value in fields.items() if value != getattr(Look(), name)}
    values = ", ".join(f"{name}={value!r}" for name, value in changed.items())
    return "\n".join(
        [
            "import numpy as np",
            "from course_lib import plots",
            "from course_lib.studio import Look, Studio",
            "",
            "studio = Studio(generator, attributes, normals)",
            *lines,
            f"look = Look({values})",
            "plots.image_grid(studio.image(look)[None]);",
        ]
    )


def _look(fields):
    lists = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
    return Look(**fields | lists)


# Drawing -----------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=8)  # a second studio of the same generator need not wait again
def _compiled(model):
    return tf.function(model, autograph=False)


class Studio:
    """Draws looks with one generator.

    Attributes:
        synthesis: its drawing part.
        mean: float32 (style_dim,), the mean style.
        directions: dict of name -> unit vector (style_dim,): "component 1", ... without labels,
            then the given ones.
        deviations: dict of name -> standard deviation of the styles along it.
        normals: dict of name -> unit vector (style_dim,): a lock keeps steps at right angles to it.
        own: dict of name -> styles (num_layers, style_dim) of projected pictures.
    """

    def __init__(self, generator, attributes=None, normals=None, *, components=3):
        """Find mean and directions in a sample of styles.

        Args:
            generator: as `style_based.generator` builds it.
            attributes: dict of name -> unit vector (style_dim,), such as `steering.directions`
                gives; None for none.
            normals: dict of name -> unit vector (style_dim,), such as the mean gradient of a score;
                what has none is locked at right angles to its own direction.
            components: how many principal directions.
        """
        self.synthesis, self._mapping = (generator.get_layer(n) for n in ("synthesis", "mapping"))
        self._generator = generator
        self.num_layers = self.synthesis.input_shape[1]
        self._groups = latent_space.layer_groups(self.num_layers)
        styles = latent_space.draw_styles(self._mapping, SAMPLES, seed=0)
        self.mean = styles.mean(axis=0)
        self._starts = np.concatenate([self.mean[None], styles[:STARTS]])
        principal, _ = latent_space.principal_directions(styles, components)
        self.directions = {f"component {i + 1}": vector for i, vector in enumerate(principal)}
        self.directions |= attributes or {}
        self.deviations = {
            name: float(np.std(styles @ vector)) for name, vector in self.directions.items()
        }
        self.normals = self.directions | (normals or {})
        self.own = {}
        self._map, self._draw = _compiled(self._mapping), _compiled(self.synthesis)

    def styles(self, look):
        """Return the styles of a look, float32 (num_layers, style_dim).

        Lattice or projected picture, then mixing, truncation, and at last the directions.

        Raises:
            ValueError: for a group, direction or projected picture that there is not.
        """
        self._check(look)
        styles = self.own[look.own] if look.own else self._repeated(self._place(look))
        others = self._repeated(latent_space.draw_latents([look.other], self._latent_dim))
        layers = [layer for group in look.swapped for layer in self._groups[group]]
        styles = latent_space.mix_styles(styles, others, layers)
        styles = latent_space.truncate(styles, self.mean, np.float32(look.psi))
        return styles + self.offset(look).astype("float32")

    def offset(self, look):
        """Return what the directions add to every style, float64 (style_dim,).

        A locked direction keeps what it had; of the sum of all others the part along the normals of
        the locked ones is taken out.
        """
        steps = {
            name: amount * self.deviations[name] * self.directions[name]
            for name, amount in look.amounts.items()
        }
        nothing = np.zeros(len(self.mean))
        kept = sum((step for name, step in steps.items() if name in look.locked), nothing)
        free = sum((step for name, step in steps.items() if name not in look.locked), nothing)
        locked = [self.normals[name] for name in look.locked]
        return kept + latent_space.orthogonalise(free, locked)

    def image(self, look):
        """Return the picture of a look, float32 (height, width, channels) in [-1, 1]."""
        return self.draw(self.styles(look))

    def draw(self, styles):
        """Return the picture of styles (num_layers, style_dim)."""
        return self._draw(tf.constant(styles[None], tf.float32))[0].numpy()

    def film(self, looks, *, between=BETWEEN):
        """Return the styles of a film through some looks, straight from each to the next.

        Args:
            looks: at least two `Look`s.
            between: steps from one to the next.

        Returns:
            float32 array ((len(looks) - 1) * between + 1, num_layers, style_dim).

        Raises:
            ValueError: for fewer than two looks.
        """
        if len(looks) < 2:
            raise ValueError(f"a film needs at least two key frames, got {len(looks)}: add some.")
        keys = np.stack([self.styles(look) for look in looks])
        shares = np.arange(between, dtype="float32")[:, None, None] / between
        parts = [
            start + shares * (end - start) for start, end in zip(keys[:-1], keys[1:], strict=True)
        ]
        return np.concatenate([*parts, keys[-1:]])

    def project(self, target, *, per_layer=True, steps=200, features=None):
        """Look for the styles of a picture: see `latent_space.project`.

        It starts at the nearest of `STARTS` random styles and the mean style.
        """
        start = latent_space.nearest_style(self.synthesis, target, self._starts, features=features)
        start = latent_space.per_layer(start, self.num_layers) if per_layer else start
        return latent_space.project(self.synthesis, target, start, steps=steps, features=features)

    @property
    def _latent_dim(self):
        return self._mapping.input_shape[-1]

    def _place(self, look):
        corners = latent_space.draw_latents(look.seeds, self._latent_dim)
        return latent_space.between(corners, look.x, look.y)[None]

    def _repeated(self, latents):
        """The style of one latent (1, latent_dim), for each layer."""
        style = self._map(tf.constant(latents, tf.float32))[0].numpy()
        return latent_space.per_layer(style, self.num_layers)

    def _check(self, look):
        known = {
            "swapped": (look.swapped, latent_space.GROUPS),
            "amounts": (look.amounts, self.directions),
            "locked": (look.locked, self.directions),
            "own": ([look.own] if look.own else [], self.own),
        }
        for field, (asked, there) in known.items():
            if unknown := set(asked) - set(there):
                raise ValueError(
                    f"{field} names {', '.join(sorted(unknown))}; "
                    f"there is: {', '.join(there) or 'nothing'}."
                )
