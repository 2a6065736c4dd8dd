"""Pixels in, pixels out: the pixel range, safe decoding, resizing, folders and lossless saving.

Two representations exist in this course, and this file alone converts between them: stored pixels
are uint8 in [0, 255], images that a network sees are float32 in [-1, 1], both channels-last.
"""

import io
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

FORMATS = ("PNG", "JPEG", "WEBP")
SUFFIXES = (".jpeg", ".jpg", ".png", ".webp")
MAX_PIXELS = 25_000_000
MIDDLE = np.float32(127.5)  # the pixel value that becomes 0
SCALE = np.float32(1 / 127.5)
METHODS = {
    "nearest": Image.Resampling.NEAREST,
    "area": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
# What learners try most often instead of a readable format, by the first bytes of the file.
OTHER_FORMATS = {
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"%!PS": "EPS",
    b"%PDF": "PDF",
    b"<svg": "SVG",
    b"<?xml": "SVG or XML",
    b"<!DOC": "HTML",
    b"SIMPLE": "FITS",
}

ImageSource = str | os.PathLike | bytes | bytearray | memoryview | BinaryIO


def to_float(pixels: np.ndarray) -> np.ndarray:
    """Converts stored pixels to the range of the networks.

    Args:
        pixels: uint8 array of any shape, values in [0, 255].

    Returns:
        float32 array of the same shape in [-1, 1]: `pixels / 127.5 - 1`. It is computed as
        `(pixels - MIDDLE) * SCALE`, which rounds once, so that NumPy, TensorFlow's graphs and XLA
        give the same bits (the compiler turns a division into a product).

    Raises:
        ValueError: If the array isn't uint8.
    """
    pixels = np.asarray(pixels)
    if pixels.dtype != np.uint8:
        raise ValueError(
            f"to_float needs uint8 pixels in [0, 255]. Received: dtype={pixels.dtype}. "
            "Images that are float already need no conversion."
        )
    return (pixels.astype(np.float32) - MIDDLE) * SCALE


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Converts images of the networks to stored pixels, the exact inverse of `to_float`.

    Args:
        images: Float array (or eager tensor) of any shape, values in [-1, 1]. Rounding errors of
            up to 1e-3 beyond the range are clipped; more is an error, because a picture of the
            wrong range is the commonest silent bug in GAN code.

    Returns:
        uint8 array of the same shape, rounded to the nearest of the 256 levels.

    Raises:
        ValueError: If the values are integers, not finite, or outside [-1, 1].
    """
    images = np.asarray(images)
    if images.dtype.kind in "iubOSU":
        raise ValueError(f"to_uint8 needs floats in [-1, 1]. Received: dtype={images.dtype}.")
    images = images.astype(np.float32)
    if images.size == 0:
        return images.astype(np.uint8)
    low, high = float(images.min()), float(images.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(
            f"to_uint8 needs finite values. Received: {np.count_nonzero(~np.isfinite(images))} "
            f"of {images.size} values are NaN or infinite."
        )
    if low < -1.001 or high > 1.001:
        raise ValueError(
            f"to_uint8 needs values in [-1, 1]. Received: values from {low:.4g} to {high:.4g}. "
            "For images in [0, 1] use 2 * images - 1; for [0, 255] use images / 127.5 - 1."
        )
    return np.rint((np.clip(images, -1, 1) + 1) * MIDDLE).astype(np.uint8)


def read_image(
    source: ImageSource,
    *,
    size: int | None = None,
    channels: int = 3,
    max_pixels: int = MAX_PIXELS,
    method: str = "bicubic",
    name: str | None = None,
) -> np.ndarray:
    """Decodes one PNG, JPEG or WEBP picture safely.

    The size is read from the header and checked before anything is decoded. The picture is turned
    as its EXIF tag says; transparency is laid over white; palette, CMYK and 16-bit grey become
    8-bit RGB; of an animation the first frame is taken. Colour profiles are ignored.

    Args:
        source: Path, bytes, or a file opened for reading in binary mode (an upload).
        size: If given, the central square is cut out and resized to `size` x `size` pixels.
        channels: 3 for RGB, 1 for grey (ITU-R 601 luma).
        max_pixels: Largest width times height that is decoded, in pixels.
        method: Resampling method, one of `METHODS`; all but "nearest" are antialiased.
        name: What messages call a picture that is no path; else its own name, if it has one.

    Returns:
        uint8 array (height, width, channels).

    Raises:
        ValueError: If the picture is broken, too large, or of another format; the message names
            the file and the reason.
        FileNotFoundError: If the path doesn't exist.
    """
    if channels not in (1, 3):
        raise ValueError(f"channels must be 1 (grey) or 3 (RGB). Received: channels={channels}.")
    check_resize(size, method)
    if isinstance(source, (str, os.PathLike)):
        with open(source, "rb") as stream:
            image = _decode(stream, name=os.fspath(source), max_pixels=max_pixels)
    else:
        raw = source.read() if hasattr(source, "read") else bytes(source)
        name = name or str(getattr(source, "name", "the uploaded picture"))
        image = _decode(io.BytesIO(raw), name=name, max_pixels=max_pixels)
    if channels == 1:
        image = image.convert("L")
    if size is not None:
        image = _resize_square(image, size, METHODS[method])
    pixels = np.array(image, dtype=np.uint8)
    return pixels.reshape(*pixels.shape[:2], channels)


def _decode(stream: BinaryIO, *, name: str, max_pixels: int) -> Image.Image:
    """Opens, checks and decodes a picture to mode RGB; every failure becomes a ValueError."""
    head = stream.read(32)
    stream.seek(0)
    if not head:
        raise ValueError(f"{name} is empty (0 bytes).")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(stream, formats=FORMATS) as image:
                _check_dimensions(image, name=name, max_pixels=max_pixels)
                image.verify()
            stream.seek(0)
            with Image.open(stream, formats=FORMATS) as image:
                return _to_rgb(ImageOps.exif_transpose(image))
    except _TooLargeError:
        raise
    except Image.UnidentifiedImageError:
        raise ValueError(f"{name} {_unreadable(head)}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(
            f"{name} is too large: {error} At most {max_pixels} pixels are decoded."
        ) from None
    except Exception as error:  # Decoders raise many types on damaged bytes; none may escape.
        raise ValueError(f"{name} is broken or truncated: {error}") from error


class _TooLargeError(ValueError):
    """The header announces more pixels than allowed."""


def _check_dimensions(image: Image.Image, *, name: str, max_pixels: int) -> None:
    if image.width * image.height > max_pixels:
        raise _TooLargeError(
            f"{name} is too large: {image.width} x {image.height} pixels, and at most "
            f"{max_pixels} are decoded. Make the picture smaller, or raise max_pixels."
        )


def _unreadable(head: bytes) -> str:
    """Says what a file that isn't PNG, JPEG or WEBP seems to be."""
    kind = next((kind for magic, kind in OTHER_FORMATS.items() if head.startswith(magic)), None)
    if head[4:8] == b"ftyp":
        kind = "HEIC, AVIF or a video"
    if kind is None:
        return "is no readable PNG, JPEG or WEBP picture (unknown or broken header)."
    return f"is no PNG, JPEG or WEBP picture: it looks like {kind}. Convert it to PNG first."


def _to_rgb(image: Image.Image) -> Image.Image:
    """Converts any decoded mode to RGB, transparency over white."""
    if image.mode.startswith("I"):
        # 16-bit grey: 65535 / 257 = 255, so white stays white. Pillow alone would clip instead.
        levels = np.rint(np.asarray(image, dtype=np.float64) / 257).clip(0, 255).astype(np.uint8)
        return Image.fromarray(levels).convert("RGB")
    if "transparency" in image.info or "A" in image.getbands() or "a" in image.getbands():
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def check_resize(size: int | None, method: str = "bicubic") -> None:
    """Raises ValueError unless the size (None or 1 to 4096) and the method are allowed."""
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}. Received: {method!r}.")
    if size is not None and not 1 <= size <= 4096:
        raise ValueError(f"size must be from 1 to 4096 pixels. Received: size={size}.")


def _resize_square(image: Image.Image, size: int, resampling: Image.Resampling) -> Image.Image:
    """Cuts out the central square and resizes it."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    if (side, side) == (size, size) == image.size:
        return image
    # Not resize(box=...): its filter reaches beyond the box, and what was cut off would show.
    return image.crop((left, top, left + side, top + side)).resize((size, size), resampling)


def resize(pixels: np.ndarray, size: int, *, method: str = "bicubic") -> np.ndarray:
    """Cuts out the central square of each picture and resizes it, antialiased.

    Args:
        pixels: uint8 (count, height, width, channels) with 1 or 3 channels.
        size: Side of the result in pixels.
        method: One of `METHODS`; Pillow's definition, the filter widened when shrinking.

    Returns:
        uint8 (count, size, size, channels).

    Raises:
        ValueError: If the shape, dtype, size or method isn't as described.
    """
    check_resize(size, method)
    pixels = np.asarray(pixels)
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[-1] not in (1, 3):
        raise ValueError(
            "resize needs uint8 pixels of shape (count, height, width, 1 or 3). "
            f"Received: {pixels.dtype} of shape {pixels.shape}."
        )
    if pixels.shape[1:3] == (size, size):
        return pixels
    resized = np.empty((len(pixels), size, size, pixels.shape[-1]), np.uint8)
    for index, picture in enumerate(pixels):
        image = Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)
        square = np.asarray(_resize_square(image, size, METHODS[method]))
        resized[index] = square.reshape(size, size, -1)
    return resized


def list_folder(folder: str | os.PathLike, *, subfolders: bool = False) -> list[str]:
    """Lists the picture files of a folder in an order that is the same on every machine.

    Args:
        folder: Path of the folder.
        subfolders: If True, the pictures of its direct subfolders (one class each) instead.

    Returns:
        Sorted names relative to the folder, with `/`; hidden files are left out.

    Raises:
        ValueError: If there is no picture; the message says which formats are read.
        NotADirectoryError: If `folder` is no folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is not a folder. Received: folder={str(folder)!r}.")
    paths = folder.glob("*/*") if subfolders else folder.iterdir()
    names = sorted(
        path.relative_to(folder).as_posix()
        for path in paths
        if path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith(".")
    )
    if not names:
        where = "no subfolder of it holds" if subfolders else "it holds"
        other = "" if subfolders else " Pictures in subfolders are read with subfolders=True."
        raise ValueError(
            f"No pictures in {folder}: {where} a file ending in {', '.join(SUFFIXES)}.{other}"
        )
    return names


def read_folder(
    folder: str | os.PathLike,
    *,
    size: int,
    limit: int | None = None,
    subfolders: bool = False,
    channels: int = 3,
    on_broken: str = "skip",
) -> tuple[np.ndarray, list[str], list[str]]:
    """Reads the pictures of a folder as equal squares, in sorted order.

    Args:
        folder: Path of the folder.
        size: Side of the squares in pixels.
        limit: If given, reading stops after this many readable pictures.
        subfolders: If True, reads the direct subfolders instead; names become `class/file`.
        channels: 3 for RGB, 1 for grey.
        on_broken: "skip" prints how many files were skipped and names the first few; "raise"
            refuses the folder at the first broken file.

    Returns:
        uint8 pixels (count, size, size, channels), names of the pictures, names of skipped files.

    Raises:
        ValueError: If there is no readable picture, or a broken one and `on_broken="raise"`.
        NotADirectoryError: If `folder` is no folder.
    """
    names = list_folder(folder, subfolders=subfolders)
    check_resize(size)
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1. Received: limit={limit}.")

    def read(path: Path) -> np.ndarray:
        return read_image(path, size=size, channels=channels)

    return read_files(folder, names, read=read, limit=limit, on_broken=on_broken)


def read_files(
    folder: str | os.PathLike,
    names: Sequence[str],
    *,
    read: Callable[[Path], np.ndarray],
    limit: int | None = None,
    on_broken: str = "skip",
) -> tuple[np.ndarray, list[str], list[str]]:
    """Reads chosen pictures of a folder with `read`; see `read_folder` for the rest."""
    if on_broken not in ("skip", "raise"):
        raise ValueError(f'on_broken must be "skip" or "raise". Received: {on_broken!r}.')
    pictures, kept, broken = [], [], {}
    for name in names:
        if len(kept) == limit:
            break
        try:
            pictures.append(read(Path(folder) / name))
            kept.append(name)
        except (ValueError, OSError) as error:
            if on_broken == "raise":
                raise
            broken[name] = str(error)
    if broken:
        first = "\n".join(f"  {reason}" for reason in list(broken.values())[:3])
        more = f"\n  ... and {len(broken) - 3} more" if len(broken) > 3 else ""
        print(f"{len(broken)} of {len(kept) + len(broken)} files skipped:\n{first}{more}")
    if not kept:
        raise ValueError(f"None of the {len(broken)} files in {folder} is readable.")
    return np.stack(pictures), kept, list(broken)


def save_png(path: str | os.PathLike, image: np.ndarray) -> Path:
    """Saves one picture losslessly; an older file is replaced in one step or not at all.

    Args:
        path: Target ending in .png; missing folders are made.
        image: (height, width), (height, width, 1) or (height, width, 3); uint8, or float in
            [-1, 1]. The range isn't guessed.

    Returns:
        The path written.

    Raises:
        ValueError: If the ending, shape or range isn't as described.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"Pictures are saved losslessly: end the name in .png. Received: {path}")
    image = np.asarray(image)
    pixels = image if image.dtype == np.uint8 else to_uint8(image)
    if pixels.ndim == 3 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim != 2 and (pixels.ndim != 3 or pixels.shape[-1] != 3):
        raise ValueError(
            "save_png needs one picture (height, width[, 1 or 3]). "
            f"Received: shape {image.shape}. Use save_images for a batch."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        Image.fromarray(np.ascontiguousarray(pixels)).save(temporary, format="PNG")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def save_images(
    folder: str | os.PathLike, images: np.ndarray, *, prefix: str = "image"
) -> list[Path]:
    """Saves a batch as `<prefix>_0000.png`, `<prefix>_0001.png`, ...

    Args:
        folder: Target folder, made if missing.
        images: (count, height, width, 1 or 3); uint8, or float in [-1, 1].
        prefix: Start of the file names.

    Returns:
        The paths written, in order.

    Raises:
        ValueError: If the shape or range isn't as described; nothing is written then.
    """
    images = np.asarray(images)
    if images.ndim != 4:
        raise ValueError(
            f"save_images needs (count, height, width, channels). Received: {images.shape}."
        )
    pixels = images if images.dtype == np.uint8 else to_uint8(images)
    return [
        save_png(Path(folder) / f"{prefix}_{index:04d}.png", picture)
        for index, picture in enumerate(pixels)
    ]


def save_gif(
    path: str | os.PathLike, images: np.ndarray, *, seconds: float = 0.1, scale: int = 1
) -> Path:
    """Saves pictures as a film that repeats; an older file is replaced in one step or not at all.

    GIF keeps 256 colours a picture and time in hundredths of a second.

    Args:
        path: Target ending in .gif; missing folders are made.
        images: (count, height, width, 1 or 3), at least one; uint8, or float in [-1, 1].
        seconds: How long each picture stays, from 0.02 to 10.
        scale: How many pixels wide and high each pixel becomes.

    Returns:
        The path written.

    Raises:
        ValueError: If an argument isn't as described.
    """
    path, images = Path(path), np.asarray(images)
    if path.suffix.lower() != ".gif":
        raise ValueError(f"A film is saved as GIF: end the name in .gif. Received: {path}")
    if images.ndim != 4 or len(images) == 0 or images.shape[-1] not in (1, 3):
        raise ValueError(
            f"save_gif needs (count, height, width, 1 or 3). Received: {images.shape}."
        )
    if not 0.02 <= seconds <= 10 or scale < 1:
        raise ValueError(
            "seconds must be from 0.02 to 10 and scale at least 1. "
            f"Received: seconds={seconds}, scale={scale}."
        )
    pixels = images if images.dtype == np.uint8 else to_uint8(images)
    pixels = np.repeat(np.repeat(pixels, scale, axis=1), scale, axis=2)
    pixels = np.broadcast_to(pixels, (*pixels.shape[:-1], 3))
    first, *others = (Image.fromarray(np.ascontiguousarray(picture)) for picture in pixels)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        first.save(temporary, format="GIF", save_all=True, append_images=others, loop=0,
                   duration=round(1000 * seconds))  # fmt: skip
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
