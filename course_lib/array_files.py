"""Files of arrays that survive a crash and notice damage; NumPy only.

An array file is a pair: `name.npz` (arrays, never pickles) and `name.json` (its manifest:
SHA-256, size, and shape and dtype of every array). The `.npz` is renamed into place last, so
a `.npz` without a manifest is damaged, and a manifest without a `.npz` is a save that was
never finished.
"""

import contextlib
import errno
import hashlib
import io
import json
import os
import pathlib
import platform
import sys
import threading
import zipfile

import numpy as np


class CorruptCheckpointError(RuntimeError):
    """A file is not what its manifest says; the message names both sides.

    Attributes:
        path: the damaged file.
        expected, found: "123 bytes, sha256 ..." of the file as saved and as read, or None
            where that is not known.
    """

    def __init__(self, path, problem, *, expected=None, found=None):
        sides = f" Expected {expected}; found {found}." if expected else ""
        super().__init__(f"{path} {problem}.{sides}")
        self.path, self.expected, self.found = pathlib.Path(path), expected, found


def write_arrays(path, arrays, *, details=None, dtype=None):
    """Write arrays and their manifest, so that a crash never leaves a file that misleads.

    Both files are written beside their target, flushed to disk and read back before they
    get their names. A crash leaves what was there before, or the new pair, or (between the
    two renames) a pair that `read_arrays` refuses. Equal arrays give equal bytes.

    Args:
        path: where to write; must end in ".npz". Its folder must exist.
        arrays: dict of name -> array of numbers or booleans, bfloat16 included.
        details: dict of JSON values to keep in the manifest.
        dtype: None stores arrays as they are; "float16" stores float32 arrays in half the
            space, to be read as float32 again with a relative error of at most 2**-11
            (for magnitudes above 6e-5).

    Returns:
        The manifest, a dict with sha256, size, versions, details and arrays.

    Raises:
        OSError: if the disk is full or the folder is read-only; what was there is untouched.
        TypeError: for an array of objects or text.
        ValueError: for another dtype, or a value that float16 cannot hold.
    """
    path = _npz_path(path)
    if dtype not in (None, "float16"):
        raise ValueError(f"dtype must be None or 'float16', got {dtype!r}.")
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    stored = {name: _to_stored(name, array, dtype) for name, array in arrays.items()}
    content = _to_npz(stored)
    manifest = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "size": len(content),
        "versions": _versions(),
        "details": details or {},
        "arrays": {
            name: _description(array) | {"stored": stored[name].dtype.name}
            for name, array in arrays.items()
        },
    }
    manifest = json.loads(json.dumps(manifest))  # as it will be read
    manifest["manifest_sha256"] = _manifest_sha256(manifest)
    text = json.dumps(manifest, indent=1) + "\n"
    _commit({path.with_suffix(".json"): text.encode(), path: content})
    return manifest


def read_arrays(path, *, sha256=None):
    """Return (arrays, manifest) of a file written by `write_arrays`, verified.

    Args:
        path: the ".npz" file; its manifest must lie beside it.
        sha256: hexadecimal digest the file must have whatever the manifest says: for a
            file that came from elsewhere.

    Raises:
        FileNotFoundError: if there is no such file.
        CorruptCheckpointError: if the file or its manifest is truncated, changed or missing.
    """
    content, manifest = read_verified(path, sha256=sha256)
    try:
        stored = _from_npz(content)
        arrays = {
            name: _from_stored(array, manifest["arrays"][name]["dtype"])
            for name, array in stored.items()
        }
    except (OSError, ValueError, KeyError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        raise CorruptCheckpointError(path, f"cannot be decoded ({error!r})") from error
    described = {
        name: _description(array) | {"stored": stored[name].dtype.name}
        for name, array in arrays.items()
    }
    if described != manifest["arrays"]:
        raise CorruptCheckpointError(path, "holds other arrays than its manifest lists")
    return arrays, manifest


def read_manifest(path):
    """Return the manifest of an array file, verified, without reading the arrays.

    Args:
        path: the ".npz" file.

    Returns:
        dict with sha256 and size of the file, versions, details (as given to
        `write_arrays`), arrays, and manifest_sha256.

    Raises:
        FileNotFoundError: if there is no such file.
        CorruptCheckpointError: if the manifest is missing or was changed.
    """
    if not _npz_path(path).exists():
        raise FileNotFoundError(errno.ENOENT, "There is no such array file", str(path))
    path = _npz_path(path).with_suffix(".json")
    try:
        manifest = json.loads(path.read_bytes())
        expected, found = manifest["manifest_sha256"], _manifest_sha256(manifest)
    except FileNotFoundError as error:
        problem = "is missing; it is saved beside the .npz and needed to verify it"
        raise CorruptCheckpointError(path, problem) from error
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptCheckpointError(path, f"is not a manifest ({error!r})") from error
    if found != expected:
        problem = "was changed after it was written"
        expected, found = f"manifest_sha256 {expected}", f"manifest_sha256 {found}"
        raise CorruptCheckpointError(path, problem, expected=expected, found=found)
    return manifest


def read_verified(path, *, sha256=None):
    """Return (bytes, manifest) of an array file; args and errors as for `read_arrays`."""
    path = _npz_path(path)
    manifest = read_manifest(path)
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    found = f"{len(content)} bytes, sha256 {digest}"
    expected = f"{manifest['size']} bytes, sha256 {manifest['sha256']}"
    if digest != manifest["sha256"]:
        raise CorruptCheckpointError(path, "is damaged", expected=expected, found=found)
    if sha256 is not None and digest != sha256.lower():
        raise CorruptCheckpointError(
            path, "is not the file asked for", expected=f"sha256 {sha256}", found=found
        )
    return content, manifest


def _npz_path(path):
    path = pathlib.Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"path must end in '.npz', got {str(path)!r}.")
    return path


def _versions():
    """Return versions of what is loaded; nothing is imported to find out."""
    loaded = {name: sys.modules.get(name) for name in ("numpy", "keras", "tensorflow")}
    found = {name: module.__version__ for name, module in loaded.items() if module}
    return {"python": platform.python_version()} | found


def _to_stored(name, array, dtype):
    if array.dtype.name == "bfloat16":  # NumPy has no such type: keep the bits
        return array.view(np.uint16)
    if array.dtype.kind not in "biufc":
        raise TypeError(f"{name} has dtype {array.dtype}; only numbers and booleans are stored.")
    if dtype is None or array.dtype != np.float32:
        return array
    with np.errstate(over="ignore"):
        stored = array.astype(dtype)
    if not np.array_equal(np.isfinite(stored), np.isfinite(array)):
        largest = np.max(np.abs(array[np.isfinite(array)]))
        raise ValueError(f"{name} has values up to {largest:.3g}; float16 ends at 65504.")
    return stored


def _from_stored(array, dtype):
    if dtype == "bfloat16":
        import ml_dtypes

        return array.view(ml_dtypes.bfloat16)
    return array.astype(dtype, copy=False)


def _to_npz(arrays):
    """Return the bytes `numpy.savez` would write, without the time of day in them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(name + ".npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    return buffer.getvalue()


def _from_npz(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > len(content):  # we never compress: someone else's file
        raise ValueError(f"{len(content)} bytes that claim to unpack to {unpacked}")
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _description(array):
    return {"shape": list(array.shape), "dtype": array.dtype.name}


def _manifest_sha256(manifest):
    rest = {name: value for name, value in manifest.items() if name != "manifest_sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _commit(contents):
    """Write files durably, giving them their names one after the other, in order."""
    mark = f"{os.getpid()}-{threading.get_ident()}.tmp"
    temporary = {path: path.with_name(f".{path.name}.{mark}") for path in contents}
    try:
        for path, content in contents.items():
            _write_durably(temporary[path], content)
        for path in contents:
            os.replace(temporary[path], path)
            _sync_folder(path.parent)
    except OSError as error:
        raise OSError(
            error.errno,
            f"{error.strerror}: could not save {sum(map(len, contents.values()))} bytes. What "
            "was saved before is untouched. The folder must exist, be writable and have room",
            str(path),
        ) from error
    finally:
        for path in temporary.values():
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def _write_durably(path, content):
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    if path.read_bytes() != content:
        raise OSError(errno.EIO, "the file reads back different from what was written")


def _sync_folder(folder):
    if os.name == "nt":  # Windows cannot open a folder
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


__all__ = [
    "CorruptCheckpointError",
    "read_arrays",
    "read_manifest",
    "read_verified",
    "write_arrays",
]
