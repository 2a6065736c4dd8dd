"""Files of other libraries: found, fetched, checked by hash and cached; arrays come out.

What can't be had raises `DataUnavailableError`, which says how to get it and what works offline.
"""

import hashlib
import importlib.util
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from course_lib import runtime
from course_lib.datasets import images


class DataUnavailableError(RuntimeError):
    """A named collection is missing or damaged; the message says how to get it."""


def package_file(package: str, path: str) -> Path:
    """Returns a data file inside an installed package, without importing the package.

    The loaders of scikit-image would try the network where a file is missing; this one says so.

    Raises:
        DataUnavailableError: If the package isn't installed or has no such file.
    """
    spec = importlib.util.find_spec(package)
    folder = Path(spec.submodule_search_locations[0]) if spec else None
    if folder is None or not (folder / path).is_file():
        raise DataUnavailableError(
            f"{path} of the package {package} is missing. Install the tested versions: "
            "pip install -c constraints.txt -e ."
        )
    return folder / path


def sha256(path: Path) -> str:
    """Returns the sha256 of a file as 64 hexadecimal digits."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _check_files(name: str, facts: dict) -> list[Path]:
    """Refuses a file whose hash isn't the one in data/sources.toml; returns the missing ones."""
    missing = []
    for file in facts["files"]:
        path = runtime.source_folder(facts) / file["path"]
        if not path.exists():
            missing.append(path)
        elif "sha256" in file and sha256(path) != file["sha256"]:
            raise DataUnavailableError(_damaged(name, path, file["sha256"]))
    return missing


def _damaged(name: str, path: Path, expected: str) -> str:
    return (
        f"{name} can't be used: {path} is damaged or not the expected file (its sha256 is "
        f"{sha256(path)[:16]}..., expected {expected[:16]}...). Delete it and load again."
    )


def _fetch(name: str, fetch: Callable[[], tuple]) -> tuple:
    """Runs a downloading loader of another library, with the hashes checked before and after."""
    facts = runtime.data_sources()[name]
    missing = _check_files(name, facts)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Retry downloading")
            fetched = fetch()
    except Exception as error:  # Keras raises a bare Exception where the network fails.
        reason = f"{type(error).__name__}: {error}"
        raise DataUnavailableError(_way_out(name, facts, missing, reason)) from error
    if missing:
        _check_files(name, facts)
    return fetched


def _way_out(name: str, facts: dict, missing: list[Path], reason: str) -> str:
    """Says what to do about a collection that could be neither read nor downloaded."""
    if not missing:
        folder = runtime.source_folder(facts)
        files = "\n".join(f"    {folder / file['path']}" for file in facts["files"])
        return f"{name} couldn't be read ({reason}). Delete these and load again:\n{files}"
    files = "\n".join(f"    {path}" for path in missing)
    return (
        f"{name} isn't on this machine and couldn't be downloaded ({reason}).\n"
        f"  To get it: load it once with a network (about {facts['megabytes']} MB, "
        f"{facts['where']}), or put by hand:\n{files}\n"
        f"  Without a network: load({facts['alternative']!r})."
    )


def keras_arrays(
    name: str, *, test: bool, wanted_for: str | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Returns one split of a set in `keras.datasets`: "fashion_mnist", "mnist" or "cifar10".

    Errors name the collection that is made of it, `wanted_for`, if it is another.

    Returns:
        uint8 pixels (count, height, width, channels) and int64 codes (count,).

    Raises:
        DataUnavailableError: If it can't be downloaded, or a file in the cache is damaged.
    """

    def fetch() -> tuple:
        runtime.prepare_environment()
        import keras

        return getattr(keras.datasets, name).load_data()

    pixels, codes = _fetch(wanted_for or name, fetch)[int(test)]
    return pixels.reshape(*pixels.shape[:3], -1), codes.reshape(-1).astype(np.int64)


def olivetti_arrays() -> tuple[np.ndarray, np.ndarray]:
    """Returns uint8 pixels (400, 64, 64, 1) and int64 codes of 40 people; errors as above."""

    def fetch() -> tuple:
        from sklearn.datasets import fetch_olivetti_faces

        faces = fetch_olivetti_faces(data_home=_sklearn_home(), n_retries=1)
        return faces.images, faces.target

    def build() -> tuple[np.ndarray, np.ndarray]:
        faces, people = _fetch("olivetti", fetch)
        return np.rint(faces * 255).astype(np.uint8)[..., None], people.astype(np.int64)

    return _cached_arrays("olivetti", build)


def lfw_arrays(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns uint8 pixels (13233, size, size, 3) and the people's names; errors as above."""
    folder = _sklearn_home() / "lfw_home" / "lfw_funneled"

    def fetch() -> tuple:
        from sklearn.datasets import fetch_lfw_people

        # scikit-learn downloads, checks and unpacks. Its arrays would take 2.6 GB as float32, so
        # that it is asked for the most photographed people only, very small, and all files are
        # then read here.
        fetch_lfw_people(
            data_home=_sklearn_home(), resize=0.1, min_faces_per_person=100, n_retries=1
        )
        return ()

    def build() -> tuple[np.ndarray, np.ndarray]:
        _fetch("lfw", fetch)
        listed = images.list_folder(folder, subfolders=True)
        pixels, kept, _ = images.read_files(
            folder, listed, read=lambda path: _lfw_crop(path, size), on_broken="raise"
        )
        return pixels, np.array([name.partition("/")[0].replace("_", " ") for name in kept])

    return _cached_arrays(f"lfw_{size}", build)


def _lfw_crop(path: Path, size: int) -> np.ndarray:
    """The central 128 of 250 pixels: the face with a little hair, as most papers cut it."""
    return images.resize(images.read_image(path)[None, 61:189, 61:189], size)[0]


def _sklearn_home() -> Path:
    return runtime.source_folder({"library": "scikit-learn"})


def _cached_arrays(key: str, build: Callable[[], tuple]) -> tuple[np.ndarray, np.ndarray]:
    """Builds pixels and labels once; afterwards reads them from a file whose name has its hash.

    scikit-learn keeps pickles or thousands of files, whose damage nothing would notice.
    """
    folder = runtime.cache_dir() / "arrays"
    for path in folder.glob(f"{key}.*.npz"):
        expected = path.name.split(".")[-2]
        if sha256(path)[:16] != expected:
            raise DataUnavailableError(_damaged(key, path, expected))
        with np.load(path, allow_pickle=False) as stored:
            return stored["pixels"], stored["labels"]
    pixels, labels = build()
    folder.mkdir(exist_ok=True)
    temporary = folder / f".{key}.{os.getpid()}.npz"
    try:
        np.savez(temporary, pixels=pixels, labels=labels)
        os.replace(temporary, folder / f"{key}.{sha256(temporary)[:16]}.npz")
    finally:
        temporary.unlink(missing_ok=True)
    return pixels, labels
