"""Named image collections: one `load` for what is computed, installed, downloaded or the learner's.

Where each comes from and on which terms stands in data/sources.toml. Nothing is replaced silently:
what can't be had raises `DataUnavailableError`, which says how to get it and what works offline.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from course_lib import runtime
from course_lib.datasets import avatars, downloads, expressions, images, paintings, stacked_digits
from course_lib.datasets.downloads import DataUnavailableError

SPLITS = ("train", "test")
FASHION_CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat")
FASHION_CLASSES += ("sandal", "shirt", "sneaker", "bag", "ankle boot")
CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer")
CIFAR_CLASSES += ("dog", "frog", "horse", "ship", "truck")
DIGIT_CLASSES = tuple("0123456789")
MODE_CLASSES = tuple(f"{mode:03d}" for mode in range(stacked_digits.MODES))

Labels = dict[str, np.ndarray]
Classes = dict[str, tuple[str, ...]]
Parts = tuple[np.ndarray, Labels, Classes]


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Pictures of one size with labels that share their order.

    Attributes:
        name: Name in the catalog.
        split: "train" or "test".
        pixels: uint8 (count, height, width, channels), read-only; 1 channel is grey, 3 is RGB.
        labels: For each attribute integer codes (count,); empty if the set has no labels.
        classes: For each attribute the names of its codes.
        source: Where the pictures come from, to be named beside every figure.
        licence: On which terms they may be used.
    """

    name: str
    split: str
    pixels: np.ndarray = field(repr=False)
    labels: Labels = field(repr=False)
    classes: Classes = field(repr=False)
    source: str
    licence: str

    def __post_init__(self) -> None:
        pixels = self.pixels
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[-1] not in (1, 3):
            raise ValueError(
                "pixels must be uint8 (count, height, width, 1 or 3). "
                f"Received: {pixels.dtype} of shape {pixels.shape}."
            )
        if self.labels.keys() != self.classes.keys():
            raise ValueError(
                f"labels and classes must name the same attributes. "
                f"Received: {sorted(self.labels)} and {sorted(self.classes)}."
            )
        for name, codes in self.labels.items():
            _check_codes(name, codes, count=len(pixels), classes=self.classes[name])
        # A read-only view: the caller's own array stays as it is.
        object.__setattr__(self, "pixels", pixels.view())
        self.pixels.flags.writeable = False

    def __len__(self) -> int:
        return len(self.pixels)

    def __str__(self) -> str:
        height, width, channels = self.pixels.shape[1:]
        labels = ", ".join(self.labels) or "none"
        return (
            f"{self.name} ({self.split}): {len(self)} images of {height} x {width} x {channels}; "
            f"labels: {labels}; source: {self.source}; licence: {self.licence}"
        )

    @property
    def images(self) -> np.ndarray:
        """The pictures as float32 in [-1, 1], computed at each call."""
        return images.to_float(self.pixels)

    def take(self, rows: np.ndarray) -> "ImageSet":
        """Returns the pictures at these rows (integers, a mask or a slice), with their labels."""
        labels = {name: codes[rows] for name, codes in self.labels.items()}
        return replace(self, pixels=self.pixels[rows], labels=labels)

    def only(self, attribute: str, value: str) -> "ImageSet":
        """Returns the pictures whose attribute has this value, such as only("object", "face").

        Raises:
            ValueError: If the set has no such attribute, or the attribute no such value.
        """
        if attribute not in self.labels:
            raise ValueError(
                f"{self.name} has no attribute {attribute!r}. "
                f"Choose one of: {', '.join(self.labels) or 'none, it has no labels'}."
            )
        if value not in self.classes[attribute]:
            raise ValueError(
                f"{attribute} has no value {value!r}. "
                f"Choose one of: {', '.join(self.classes[attribute])}."
            )
        code = self.classes[attribute].index(value)
        return self.take(np.flatnonzero(self.labels[attribute] == code))


def _check_codes(name: str, codes: np.ndarray, *, count: int, classes: tuple[str, ...]) -> None:
    if codes.shape != (count,) or codes.dtype.kind not in "iu":
        raise ValueError(
            f"labels[{name!r}] must be integers of shape ({count},). "
            f"Received: {codes.dtype} of shape {codes.shape}."
        )
    if count and not (0 <= codes.min() and codes.max() < len(classes)):
        raise ValueError(
            f"labels[{name!r}] must lie in [0, {len(classes)}). "
            f"Received: codes from {codes.min()} to {codes.max()}."
        )


@dataclass(frozen=True)
class _Request:
    """What a loader is asked for."""

    name: str
    path: str
    size: int | None
    count: int | None
    split: str
    seed: int


def names() -> tuple[str, ...]:
    """Returns the names that `load` knows; folder and celeba need a path: "folder:<path>"."""
    return tuple(_LOADERS)


def load(
    name: str,
    *,
    size: int | None = None,
    count: int | None = None,
    split: str = "train",
    seed: int = 0,
) -> ImageSet:
    """Loads a collection by name.

    Train and test never share a picture. Avatars draw them from different seeds; Fashion-MNIST,
    MNIST, CIFAR-10 and CelebA have official splits; of the others every fifth picture is test.
    Stacked digits stack those of the split.
    photographs and textures have no test part.

    Args:
        name: One of `names()`; "folder:<path>" and "celeba:<path>" read the learner's own files.
        size: Side in pixels; the central square is resized, antialiased. None keeps the size in
            which the collection comes (64 for avatars, lfw and folders, 128 for expressions, 256
            for photographs and paintings, 32 for stacked_mnist).
        count: How many pictures; None means all (2048 train and 512 test, where they are drawn;
            of paintings, which take turns in their manners, 28 and 7).
        split: "train" or "test".
        seed: Of avatars and expressions, which faces are drawn; of paintings, which one of each
            manner is the first; of stacked digits, which three meet in a picture; of the others,
            which `count` of them are taken.

    Returns:
        The pictures with labels, source and licence.

    Raises:
        DataUnavailableError: If it can't be downloaded, or a file in the cache is damaged.
        ValueError: If an argument is none of those above, or fewer than `count` pictures exist.
    """
    kind, _, path = name.partition(":")
    if kind not in _LOADERS:
        raise ValueError(f"There is no data named {name!r}. Choose one of: {', '.join(names())}.")
    facts = runtime.data_sources()[kind]
    if (facts["kind"] == "folder") != bool(path):
        raise ValueError(
            "A path goes with folder and celeba only, as in 'folder:my_images'. "
            f"Received: {name!r}."
        )
    if split not in SPLITS or (split == "test" and facts["splits"] == "train only"):
        raise ValueError(
            f"{kind} has no split {split!r}. Its splits: {facts['splits']}; choose from {SPLITS}."
        )
    if count is not None and count < 1:
        raise ValueError(f"count must be at least 1. Received: count={count}.")
    if not 0 <= seed < 2**62:
        raise ValueError(f"seed must be from 0 to 2**62 - 1. Received: seed={seed}.")
    images.check_resize(size)
    request = _Request(kind, path, size, count, split, seed)
    pixels, labels, classes = _LOADERS[kind](request)
    source = facts["title"] if kind != "folder" else f"pictures in {path}"
    source += f" ({facts['citation']})" if facts["citation"] else ""
    return ImageSet(name, split, pixels, labels, classes, source, facts["licence"])


# Choosing ----------------------------------------------------------------------------------------


def _is_test(total: int) -> np.ndarray:
    """Every fifth picture, so that collections sorted by class or person are split evenly."""
    return np.arange(total) % 5 == 4


def _choose(total: int, request: _Request, *, split_here: bool) -> np.ndarray:
    """Returns the rows of the wanted split, and of those a random `count`, in their old order."""
    rows = np.arange(total)
    if split_here:
        rows = rows[_is_test(total) == (request.split == "test")]
    if request.count is None:
        return rows
    if request.count > len(rows):
        raise ValueError(
            f"{request.name} has {len(rows)} {request.split} images. "
            f"Received: count={request.count}. Use count=None for all."
        )
    # Raw bits of a counter-based generator: the same choice under every NumPy version.
    keys = np.random.Philox(key=request.seed).random_raw(len(rows))
    return np.sort(rows[np.argsort(keys, kind="stable")[: request.count]])


def _finish(parts: Parts, request: _Request, *, split_here: bool = True) -> Parts:
    """Chooses rows and resizes."""
    pixels, labels, classes = parts
    rows = _choose(len(pixels), request, split_here=split_here)
    pixels = pixels[rows]
    if request.size is not None:
        pixels = images.resize(pixels, request.size)
    return pixels, {name: codes[rows] for name, codes in labels.items()}, classes


# Offline -----------------------------------------------------------------------------------------


def _load_avatars(request: _Request) -> Parts:
    count = request.count or (2048 if request.split == "train" else 512)
    size = request.size or 64
    # Even seeds are for training and odd ones for testing: no face is drawn for both.
    pixels, labels = avatars.make(
        count, size=max(size, 32), seed=2 * request.seed + (request.split == "test")
    )
    return images.resize(pixels, size), labels, dict(avatars.ATTRIBUTES)


def _load_expressions(request: _Request) -> Parts:
    count = request.count or (2048 if request.split == "train" else 512)
    size = request.size or 128
    pixels, labels = expressions.make(
        count, size=max(size, 32), seed=2 * request.seed + (request.split == "test")
    )
    classes = {"expression": expressions.CLASSES, **avatars.ATTRIBUTES}
    return images.resize(pixels, size), labels, classes


def _load_paintings(request: _Request) -> Parts:
    """The manners take turns; even numbers are for training and odd ones for testing."""
    count = request.count or len(paintings.MANNERS) * (4 if request.split == "train" else 1)
    size, names = request.size or 256, tuple(paintings.MANNERS)
    codes = np.arange(count) % len(names)
    rounds = request.seed + np.arange(count) // len(names)
    seeds = 2 * rounds + (request.split == "test")
    pixels = [
        paintings.make(names[code], size=max(size, 32), seed=int(seed))
        for code, seed in zip(codes, seeds, strict=True)
    ]
    return images.resize(np.stack(pixels), size), {"manner": codes}, {"manner": names}


def _load_digits(request: _Request) -> Parts:
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    labels = {"digit": digits.target.astype(np.int64)}
    return _finish((pixels, labels, {"digit": DIGIT_CLASSES}), request)


def _load_stacked_digits(request: _Request) -> Parts:
    """Train and test stack different digits; the seed says which of them meet."""
    single = _load_digits(replace(request, name="digits", count=None))
    return _stack(single, request)


def _stack(single: Parts, request: _Request) -> Parts:
    digits, labels, _ = single
    count = request.count or (2048 if request.split == "train" else 512)
    pixels, modes = stacked_digits.stack(digits, labels["digit"], count, seed=request.seed)
    return pixels, {"mode": modes}, {"mode": MODE_CLASSES}


def _load_lfw_subset(request: _Request) -> Parts:
    grey = np.load(downloads.package_file("skimage", "data/lfw_subset.npy"), allow_pickle=False)
    pixels = np.rint(grey * 255).clip(0, 255).astype(np.uint8)[..., None]
    labels = {"object": np.repeat([0, 1], 100)}
    return _finish((pixels, labels, {"object": ("face", "background")}), request)


def _load_shipped(request: _Request) -> Parts:
    """Single pictures out of installed packages: photographs and textures."""
    facts = runtime.data_sources()[request.name]
    size = request.size or facts["size"][0]
    pixels = np.stack(
        [
            images.read_image(
                downloads.package_file(file["package"], file["path"]),
                size=size,
                channels=facts["channels"],
            )
            for file in facts["files"]
        ]
    )
    titles = tuple(file["title"] for file in facts["files"])
    parts = pixels, {"title": np.arange(len(titles))}, {"title": titles}
    return _finish(parts, replace(request, size=None), split_here=False)


# Downloads ---------------------------------------------------------------------------------------


def _load_keras(request: _Request) -> Parts:
    """Fashion-MNIST, MNIST and CIFAR-10 with their official splits."""
    attribute, classes = {
        "fashion_mnist": ("clothing", FASHION_CLASSES),
        "mnist": ("digit", DIGIT_CLASSES),
        "cifar10": ("object", CIFAR_CLASSES),
    }[request.name]
    pixels, codes = downloads.keras_arrays(request.name, test=request.split == "test")
    return _finish((pixels, {attribute: codes}, {attribute: classes}), request, split_here=False)


def _load_stacked_mnist(request: _Request) -> Parts:
    """MNIST with a margin of two pixels: 32 halves as often as a convolutional network wants."""
    test = request.split == "test"
    digits, codes = downloads.keras_arrays("mnist", test=test, wanted_for="stacked_mnist")
    digits = np.pad(digits, ((0, 0), (2, 2), (2, 2), (0, 0)))
    if request.size is not None:
        digits = images.resize(digits, request.size)
    return _stack((digits, {"digit": codes}, {}), request)


def _load_olivetti(request: _Request) -> Parts:
    pixels, people = downloads.olivetti_arrays()
    classes = tuple(f"person {index + 1}" for index in range(40))
    return _finish((pixels, {"person": people}, {"person": classes}), request)


def _load_lfw(request: _Request) -> Parts:
    pixels, people = downloads.lfw_arrays(request.size or 64)
    classes, codes = np.unique(people, return_inverse=True)
    parts = pixels, {"person": codes}, {"person": tuple(classes.tolist())}
    return _finish(parts, replace(request, size=None))


# The learner's own files -------------------------------------------------------------------------


def _load_folder(request: _Request) -> Parts:
    """Pictures directly in the folder; if there are none, those of its subfolders as classes."""
    folder = _own_folder(request)
    subfolders = not any(path.suffix.lower() in images.SUFFIXES for path in folder.iterdir())
    listed = images.list_folder(folder, subfolders=subfolders)
    chosen = [listed[row] for row in _choose(len(listed), request, split_here=True)]
    pixels, kept = _read_own(folder, chosen, request)
    if not subfolders:
        return pixels, {}, {}
    classes = tuple(sorted({name.partition("/")[0] for name in listed}))
    codes = np.array([classes.index(name.partition("/")[0]) for name in kept])
    return pixels, {"class": codes}, {"class": classes}


def _own_folder(request: _Request) -> Path:
    folder = Path(request.path).expanduser()
    if not folder.is_dir():
        raise DataUnavailableError(
            f"{request.name}:{request.path} is no folder. Give the path of a folder with PNG, JPEG "
            "or WEBP pictures, absolute or as seen from the notebook. Without one: load('avatars')."
        )
    return folder


def _read_own(folder: Path, chosen: list[str], request: _Request) -> tuple[np.ndarray, list[str]]:
    if not chosen:
        raise ValueError(
            f"{folder} has no {request.split} images: every fifth picture is test, so that at "
            "least 5 are needed."
        )
    size = request.size or 64
    pixels, kept, _ = images.read_files(
        folder, chosen, read=lambda path: images.read_image(path, size=size)
    )
    return pixels, kept


def _load_celeba(request: _Request) -> Parts:
    """Aligned CelebA: attributes and official split from its lists, where they lie beside it."""
    folder = _own_folder(request)
    inner = folder / "img_align_celeba"
    pictures = inner if inner.is_dir() else folder
    listed = images.list_folder(pictures)
    partition = _celeba_list(folder, "list_eval_partition")
    if partition:
        _, parts = partition
        wanted = ([0],) if request.split == "train" else ([1], [2])
        listed = [name for name in listed if parts.get(name) in wanted]
    rows = _choose(len(listed), request, split_here=not partition)
    pixels, kept = _read_own(pictures, [listed[row] for row in rows], request)
    attributes = _celeba_list(folder, "list_attr_celeba")
    if not attributes:
        return pixels, {}, {}
    header, table = attributes
    codes = np.array([table[name] for name in kept]) > 0
    labels = {name: codes[:, column].astype(np.int64) for column, name in enumerate(header)}
    return pixels, labels, {name: ("no", "yes") for name in header}


def _celeba_list(folder: Path, name: str) -> tuple[list[str], dict[str, list[int]]] | None:
    """Reads one of CelebA's lists (.txt as published, .csv as on Kaggle), beside or above."""
    for parent in (folder, folder.parent):
        for path in (parent / f"{name}.txt", parent / f"{name}.csv"):
            if path.is_file():
                rows = [row.replace(",", " ").split() for row in path.read_text().splitlines()]
                first = next(i for i, row in enumerate(rows) if row and row[0].endswith(".jpg"))
                header = [word for word in rows[first - 1] if word != "image_id"] if first else []
                return header, {row[0]: list(map(int, row[1:])) for row in rows[first:] if row}
    return None


_LOADERS: dict[str, Callable[[_Request], Parts]] = {
    "avatars": _load_avatars,
    "expressions": _load_expressions,
    "paintings": _load_paintings,
    "digits": _load_digits,
    "stacked_digits": _load_stacked_digits,
    "lfw_subset": _load_lfw_subset,
    "photographs": _load_shipped,
    "textures": _load_shipped,
    "olivetti": _load_olivetti,
    "lfw": _load_lfw,
    "fashion_mnist": _load_keras,
    "mnist": _load_keras,
    "cifar10": _load_keras,
    "stacked_mnist": _load_stacked_mnist,
    "folder": _load_folder,
    "celeba": _load_celeba,
}
