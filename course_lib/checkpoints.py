"""Checkpoints: the state of Keras objects in files that survive crashes.

A checkpoint folder holds numbered array files (`array_files`), of which the last two that can
be read are kept. The weights of a single model, as shipped with the course, are one array file
of their own. Nothing here imports TensorFlow.
"""

import contextlib
import datetime
import errno
import os
import pathlib
import re
import socket
import warnings

import numpy as np

from course_lib.array_files import (
    CorruptCheckpointError,
    read_arrays,
    read_manifest,
    read_verified,
    write_arrays,
)

_CHECKPOINT = re.compile(r"checkpoint-(\d{6,})\.(?:npz|json)")
_LISTED = 8  # mismatches in one error message


def save_newest(folder, arrays, *, details=None):
    """Write the next numbered checkpoint of a folder, then delete all but the last two.

    The older one is read back before anything is deleted: two readable checkpoints remain,
    as soon as there were two.

    Args:
        folder: an existing folder, to which no other process writes (`locked`).
        arrays, details: as for `write_arrays`.

    Returns:
        Path of the new ".npz" file.

    Raises:
        OSError: as `write_arrays`.
    """
    folder = pathlib.Path(folder)
    number = max(_numbers(folder), default=0) + 1
    path = _checkpoint_path(folder, number)
    write_arrays(path, arrays, details=details)
    _prune(folder, newest=number)
    return path


def load_newest(folder):
    """Return (path, arrays, manifest) of a folder's newest readable checkpoint.

    A damaged or unfinished one is passed over with a warning.

    Args:
        folder: where `save_newest` wrote.

    Returns:
        None if the folder does not exist or holds no checkpoint.

    Raises:
        CorruptCheckpointError: if it holds checkpoints and none can be read.
    """
    damaged = []
    for number in sorted(_numbers(pathlib.Path(folder)), reverse=True):
        path = _checkpoint_path(folder, number)
        try:
            arrays, manifest = read_arrays(path)
        except CorruptCheckpointError as error:
            damaged.append(error)
        except FileNotFoundError:
            warnings.warn(f"{path} is missing: that save was never finished.", stacklevel=2)
        else:
            for error in damaged:
                warnings.warn(f"{error} Using {path.name} instead.", stacklevel=2)
            return path, arrays, manifest
    if damaged:
        raise CorruptCheckpointError(
            damaged[0].path,
            "is damaged and no other checkpoint of the folder can be read; delete the folder "
            "to start again: " + " ".join(map(str, damaged)),
            expected=damaged[0].expected,
            found=damaged[0].found,
        )
    return None


@contextlib.contextmanager
def locked(folder):
    """Hold a folder (made if missing) for this run; the operating system ends the hold.

    The lock goes with the process, however that dies: a `lock` file left behind does not
    keep the next run out.

    Raises:
        RuntimeError: if another run holds the folder.
        OSError: if the folder cannot be made or written to.
    """
    folder = pathlib.Path(folder)
    probe = folder / f".write-test-{os.getpid()}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
        file = open(folder / "lock", "a+", encoding="utf-8")
    except OSError as error:
        raise OSError(
            error.errno,
            f"{error.strerror}: checkpoints cannot be written here; choose another folder",
            str(folder),
        ) from error
    with file:
        if not _try_lock(file):
            file.seek(0)
            raise RuntimeError(
                f"{folder} is in use by another run ({file.read().strip()}): wait for it, stop "
                "it, or give this run another folder."
            )
        file.truncate(0)
        now = datetime.datetime.now().isoformat(sep=" ", timespec="seconds")
        file.write(f"process {os.getpid()} on {socket.gethostname()} since {now}\n")
        file.flush()
        yield


def named_variables(objects):
    """Return every variable of some objects as a dict of stable name -> variable.

    Names are "object/index/last part of the variable's name" without the numbers that Keras
    appends ("dense_7"), which depend on what else was built in the process.

    Args:
        objects: dict of name -> Keras model, layer or optimizer, `SeedGenerator`,
            `tf.random.Generator`, or variable. Seed states inside Dropout are included.

    Raises:
        TypeError: for an object of another kind.
        ValueError: for an object whose variables do not exist yet.
    """
    return {
        f"{name}/{index:03d}/{_stable_name(variable)}": variable
        for name, thing in objects.items()
        for index, variable in enumerate(_variables_of(name, thing))
    }


def state_arrays(objects):
    """Return the values of `named_variables(objects)` as NumPy arrays."""
    return {name: np.asarray(v.numpy()) for name, v in named_variables(objects).items()}


def restore_state(objects, arrays):
    """Assign arrays to the variables of objects: all of them, or none.

    Args:
        objects: as for `named_variables`.
        arrays: dict with exactly the names, shapes and dtypes of `state_arrays(objects)`.

    Raises:
        ValueError: on any difference, listing what each side has.
    """
    variables = named_variables(objects)
    _require_equal_descriptions(variables, arrays)
    for name, variable in variables.items():
        variable.assign(arrays[name])


def save_weights(model, path, *, dtype=None, provenance=None):
    """Write one model's weights, without optimizer and seeds, as `path` and a manifest.

    Args:
        model: built Keras model.
        path: must end in ".npz"; its folder must exist.
        dtype: None or "float16", as for `write_arrays`.
        provenance: dict of JSON values kept beside the weights: what made them, from which
            data, when, under which licence.

    Returns:
        The SHA-256 of the file, hexadecimal, to be written where `load_weights` is called.

    Raises:
        ValueError: if a weight is not finite.
        OSError: as `write_arrays`.
    """
    arrays = {name: v.numpy() for name, v in _named_weights(model).items()}
    bad = not_finite(arrays)
    if bad:
        raise ValueError(f"Weights that are not finite are not worth saving: {', '.join(bad)}.")
    details = {"model": type(model).__name__, "provenance": provenance or {}}
    return write_arrays(path, arrays, details=details, dtype=dtype)["sha256"]


def load_weights(model, path, *, sha256=None):
    """Load weights written by `save_weights` into a model of the same architecture.

    Args:
        model: built Keras model; unchanged if anything is wrong.
        path: the ".npz" file.
        sha256: the digest the file must have.

    Returns:
        The provenance that was saved with the weights, a dict.

    Raises:
        FileNotFoundError, CorruptCheckpointError: as `read_arrays`.
        ValueError: if the weights do not fit the model, listing what each side has.
    """
    arrays, manifest = read_arrays(path, sha256=sha256)
    variables = _named_weights(model)
    _require_equal_descriptions(variables, arrays)
    for name, variable in variables.items():
        variable.assign(arrays[name])
    return manifest["details"].get("provenance", {})


def read_provenance(path):
    """Return what `save_weights` was told about a file, without reading the weights.

    Raises:
        FileNotFoundError: if there is no such file.
        CorruptCheckpointError: if the manifest beside it is missing or was changed.
    """
    return read_manifest(path)["details"].get("provenance", {})


def not_finite(arrays):
    """Return the names of the float arrays that contain NaN or infinity."""
    return [name for name, array in arrays.items() if not np.all(np.isfinite(array))]


def _numbers(folder):
    names = os.listdir(folder) if folder.is_dir() else []
    return {int(match[1]) for name in names if (match := _CHECKPOINT.fullmatch(name))}


def _checkpoint_path(folder, number):
    return pathlib.Path(folder) / f"checkpoint-{number:06d}.npz"


def _prune(folder, *, newest):
    kept = {newest}
    for number in sorted(_numbers(folder) - kept, reverse=True):
        path = _checkpoint_path(folder, number)
        if len(kept) < 2:
            try:
                read_verified(path)
                kept.add(number)
                continue
            except FileNotFoundError:
                pass  # an unfinished save
            except CorruptCheckpointError as error:
                warnings.warn(f"{error} It is deleted.", stacklevel=3)
        # In this order a crash in between leaves what counts as an unfinished save.
        path.unlink(missing_ok=True)
        path.with_suffix(".json").unlink(missing_ok=True)
    for path in folder.glob(".checkpoint-*.tmp"):  # of a process that was killed
        path.unlink(missing_ok=True)


def _try_lock(file):
    """Return False if another open file holds the lock, else take it."""
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(1 << 30)  # a byte beyond the text, which stays readable
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK):
            return False
        warnings.warn(
            f"{file.name} cannot be locked on this file system ({error.strerror}): take care "
            "that only one run uses the folder.",
            stacklevel=4,
        )
    return True


def _variables_of(name, thing):
    if getattr(thing, "built", True) is False:
        raise ValueError(
            f"{name} ({type(thing).__name__}) has no variables yet: build it first (a model by "
            "calling it once, an optimizer by optimizer.build(model.trainable_variables))."
        )
    if hasattr(thing, "variables"):
        return list(thing.variables)
    if hasattr(thing, "assign"):
        return [thing]
    if hasattr(thing, "state"):
        return [thing.state]
    raise TypeError(
        f"{name} is a {type(thing).__name__}; state holds Keras models, optimizers, seed "
        "generators and variables."
    )


def _stable_name(variable):
    last = getattr(variable, "path", variable.name).split("/")[-1].split(":")[0]
    return re.sub(r"_\d+(?=_|$)", "", last)


def _named_weights(model):
    _variables_of("model", model)  # raises if it is not built
    return {f"{i:03d}/{_stable_name(v)}": v for i, v in enumerate(model.weights)}


def _require_equal_descriptions(variables, arrays):
    sides = [{}, {}]
    for side, things in zip(sides, (variables, arrays), strict=True):
        for name, thing in things.items():
            place, _, label = name.rpartition("/")
            dtype = getattr(thing.dtype, "name", thing.dtype)  # Keras has plain strings
            side[place] = f"{label} {tuple(thing.shape)} {dtype}"
    here, stored = sides
    lines = [
        f"  {place}: here {here.get(place, 'nothing')}, in the file {stored.get(place, 'nothing')}"
        for place in sorted(here.keys() | stored.keys())
        if here.get(place) != stored.get(place)
    ]
    if not lines:
        return
    more = [f"  and {len(lines) - _LISTED} more"] if len(lines) > _LISTED else []
    raise ValueError(
        "The file does not fit: build the architecture it was saved from, or use another "
        "file.\n" + "\n".join(lines[:_LISTED] + more)
    )


__all__ = [
    "CorruptCheckpointError",
    "load_newest",
    "load_weights",
    "locked",
    "named_variables",
    "not_finite",
    "read_provenance",
    "restore_state",
    "save_newest",
    "save_weights",
    "state_arrays",
]
