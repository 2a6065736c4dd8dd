"""Where a training run stands: its reports, its settings, and both in a checkpoint."""

import dataclasses
import json
import pathlib

import numpy as np

from course_lib import checkpoints

_DTYPES = {"images_seen": np.int64}  # every other column is float64
_ABSENT = "nothing"


class History:
    """Reports of a run: `history["d_loss"]` is a column over `history.images_seen`.

    A report holds means over the steps since the report before it.

    Attributes:
        interrupted: whether the last call of `train.fit` was stopped before its end.
    """

    def __init__(self, columns=None, *, interrupted=False):
        """Start from columns: images_seen, seconds and metrics, all of one length."""
        self._columns = {"images_seen": [], "seconds": []}
        for name, values in (columns or {}).items():
            self._columns[name] = np.asarray(values, _DTYPES.get(name, np.float64)).tolist()
        self.interrupted = interrupted
        lengths = {name: len(values) for name, values in self._columns.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"All columns must have the same length, got {lengths}.")

    @property
    def images_seen(self):
        """int64 array (reports,): the clock, rising."""
        return self["images_seen"]

    @property
    def seconds(self):
        """float64 array (reports,): time spent in `train.fit`, all runs together."""
        return self["seconds"]

    @property
    def names(self):
        """Names of the metrics, a tuple."""
        return tuple(name for name in self._columns if name not in ("images_seen", "seconds"))

    def __getitem__(self, name):
        if name not in self._columns:
            raise KeyError(f"{name!r} is not a column; there are {', '.join(self._columns)}")
        return np.array(self._columns[name], _DTYPES.get(name, np.float64))

    def __len__(self):
        return len(self._columns["images_seen"])

    def __repr__(self):
        if not len(self):
            return "History(no report yet)"
        last = ", ".join(f"{name}={value:.6g}" for name, value in self.last().items())
        return f"History({len(self)} reports; last: {last})"

    def add(self, images_seen, seconds, metrics):
        """Append one report.

        Args:
            images_seen, seconds: as in the columns.
            metrics: dict of name -> float, the same names in every report.

        Raises:
            ValueError: if the names differ from those of earlier reports.
        """
        if len(self) and set(metrics) != set(self.names):
            raise ValueError(
                f"The step returns the metrics {', '.join(metrics)}, but earlier reports have "
                f"{', '.join(self.names)}: train a changed step in a new folder."
            )
        self._columns["images_seen"].append(int(images_seen))
        self._columns["seconds"].append(float(seconds))
        for name, value in metrics.items():
            self._columns.setdefault(name, []).append(float(value))

    def last(self):
        """Return the last report, a dict of column -> number.

        Raises:
            ValueError: if there is none.
        """
        if not len(self):
            raise ValueError("There is no report: the run was stopped before its first one.")
        return {name: values[-1] for name, values in self._columns.items()}

    def to_dict(self):
        """Return columns and `interrupted` as JSON values."""
        columns = {name: list(values) for name, values in self._columns.items()}
        return {"columns": columns, "interrupted": self.interrupted}

    @classmethod
    def from_dict(cls, values):
        """Return the history that `to_dict` described."""
        return cls(values["columns"], interrupted=values["interrupted"])


class DivergedError(RuntimeError):
    """A metric or variable became NaN or infinite; nothing was saved since.

    Attributes:
        step: number of the first bad step, counted from 1 over all runs; None if unknown.
        images_seen: after that step.
        values: dict of the metrics of that step, or of the bad variables.
        last_finite: dict of the metrics one step earlier; empty if there are none.
        checkpoint: path of the last checkpoint, which is finite, or None.
    """

    def __init__(self, *, step, images_seen, values, last_finite=None, checkpoint=None):
        self.step, self.images_seen, self.values = step, images_seen, values
        self.last_finite, self.checkpoint = last_finite or {}, checkpoint
        where = "" if step is None else f" at step {step}"
        before = f" One step earlier: {listed(last_finite)}." if last_finite else ""
        way_out = (
            f"The last good state is in {checkpoint}: train.load_checkpoint brings it back, to "
            "be trained on with other settings in a new folder."
            if checkpoint
            else "There is no checkpoint to go back to: build the networks anew."
        )
        super().__init__(
            f"Training diverged{where}, after {images_seen} images: {listed(values)}.{before} "
            f"{way_out} Likely causes: a learning rate or a penalty that is too large, or data "
            "outside the range the networks expect."
        )


@dataclasses.dataclass
class Progress:
    """Where a run stands; a checkpoint holds it beside the variables.

    Attributes:
        images_seen: the clock.
        history: every report so far.
        pending: dict of name -> float64 array: metrics of the steps since the last report.
        seconds: spent in `fit` so far.
        settings: batch size, config and optimizers the run was started with.
        current_settings: the same now; a learning rate may have been moved meanwhile.
        path: the checkpoint file last written or read, or None.
    """

    images_seen: int = 0
    history: History = dataclasses.field(default_factory=History)
    pending: dict = dataclasses.field(default_factory=dict)
    seconds: float = 0.0
    settings: dict = dataclasses.field(default_factory=dict)
    current_settings: dict = dataclasses.field(default_factory=dict)
    path: pathlib.Path | None = None


def save_checkpoint(folder, state, progress):
    """Write the next checkpoint of a folder: `fit` does so, and a loop of one's own may.

    Args:
        folder: an existing folder. Its last two readable checkpoints are kept.
        state: dict of name -> Keras model, optimizer, `SeedGenerator` or variable. Every
            variable is saved: batch statistics, optimizer slots, seed states of Dropout.
        progress: a `Progress`.

    Returns:
        Path of the file.

    Raises:
        DivergedError: if a variable is not finite; nothing is written.
        OSError: if the disk is full or the folder is read-only; older files are untouched.
    """
    variables = finite_variables(state, progress)
    history = progress.history
    arrays = {f"state/{name}": array for name, array in variables.items()}
    columns = ("images_seen", "seconds", *history.names)
    arrays |= {f"history/{name}": history[name] for name in columns}
    arrays |= {f"pending/{name}": values for name, values in progress.pending.items()}
    details = {
        "images_seen": progress.images_seen,
        "seconds": progress.seconds,
        "settings": progress.settings,
        "current_settings": progress.current_settings,
    }
    return checkpoints.save_newest(folder, arrays, details=details)


def load_checkpoint(folder, state, *, partial=False):
    """Restore the newest readable checkpoint of a folder into the objects of `state`.

    Args:
        folder: where `fit` or `save_checkpoint` wrote.
        state: dict as for `save_checkpoint`, of built objects of the same architecture;
            unchanged if anything does not fit.
        partial: whether `state` may name some of the saved objects only, such as
            {"ema_generator": model}.

    Returns:
        The `Progress`.

    Raises:
        FileNotFoundError: if the folder holds no checkpoint.
        CorruptCheckpointError: if it holds none that can be read.
        ValueError: if names, shapes or dtypes differ, listing both sides.
    """
    found = load_progress(folder)
    if found is None:
        raise FileNotFoundError(f"{folder} holds no checkpoint: train with fit(folder=...) first.")
    progress, arrays = found
    if partial:
        wanted = tuple(f"{name}/" for name in state)
        arrays = {name: array for name, array in arrays.items() if name.startswith(wanted)}
    checkpoints.restore_state(state, arrays)
    return progress


def load_progress(folder):
    """Return (Progress, arrays of the state) of a folder's newest checkpoint, or None."""
    found = checkpoints.load_newest(folder)
    if found is None:
        return None
    path, arrays, manifest = found
    parts = {"state": {}, "history": {}, "pending": {}}
    for name, array in arrays.items():
        part, _, rest = name.partition("/")
        parts[part][rest] = array
    return Progress(
        history=History(parts["history"]),
        pending=parts["pending"],
        path=path,
        **manifest["details"],
    ), parts["state"]


def finite_variables(state, progress):
    """Return the arrays of the state; raise DivergedError if one is not finite."""
    arrays = checkpoints.state_arrays(state)
    bad = checkpoints.not_finite(arrays)
    if bad:
        size = progress.settings.get("batch_size")
        raise DivergedError(
            step=progress.images_seen // size if size else None,
            images_seen=progress.images_seen,
            values={name: arrays[name][~np.isfinite(arrays[name])].flat[0] for name in bad},
            checkpoint=progress.path,
        )
    return arrays


def plain_settings(batch_size, config, state):
    """Return what defines a run besides its objects, as it comes back from JSON.

    Args:
        batch_size: int.
        config: dataclass instance or None.
        state: dict of name -> object; the optimizers are picked out.

    Raises:
        TypeError: if config is no dataclass, or holds more than plain values.
    """
    settings = {
        "batch_size": batch_size,
        "config": {},
        "optimizers": {
            name: {"class": type(thing).__name__} | thing.get_config()
            for name, thing in state.items()
            if hasattr(thing, "learning_rate")
        },
    }
    if config is not None:
        if not dataclasses.is_dataclass(config) or isinstance(config, type):
            raise TypeError(f"config must be an instance of a dataclass, got {config!r}.")
        settings["config"] = {"class": type(config).__name__} | dataclasses.asdict(config)
    return json.loads(json.dumps(settings, default=_plain))


def _plain(value):
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(
        f"config and optimizers may hold numbers, text, lists and dicts only, got {value!r}."
    )


def _flat(settings, prefix=""):
    flat = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def require_same_settings(folder, settings, progress):
    """Raise if a run has other settings than the checkpoint, listing the differences."""
    new, started = _flat(settings), _flat(progress.settings)
    current = _flat(progress.current_settings)  # fit may be called again where it moved them
    lines = []
    for name in sorted(new.keys() | started.keys()):
        if name.startswith("optimizers."):
            # Keras numbers the names of optimizers, and new versions have new options.
            if name.endswith(".name") or name not in new or name not in started:
                continue
        value, stored = new.get(name, _ABSENT), started.get(name, _ABSENT)
        if value not in (stored, current.get(name, _ABSENT)):
            lines.append(f"  {name}: stored {stored!r}, now {value!r}")
    if lines:
        raise ValueError(
            f"{folder} holds a run with other settings:\n" + "\n".join(lines) + "\nPass the "
            "stored values, or give this run another folder. To go on from these weights with "
            "new settings, call train.load_checkpoint(folder, state) and fit in a new folder."
        )


def listed(values, most=None):
    """Return "name=value, ..." of the first few values of a dict."""
    return ", ".join(f"{name}={value:.4g}" for name, value in list(values.items())[:most])


__all__ = [
    "DivergedError",
    "History",
    "Progress",
    "finite_variables",
    "listed",
    "load_checkpoint",
    "load_progress",
    "plain_settings",
    "require_same_settings",
    "save_checkpoint",
]
