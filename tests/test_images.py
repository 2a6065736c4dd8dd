import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from course_lib.datasets import images


def gradient(height=40, width=60, channels=3):
    """A smooth picture whose corners differ: top left dark, red to the right, green to the foot."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [x * 255 // (width - 1), y * 255 // (height - 1), np.full_like(x, 90)]
    return np.stack(planes, -1).astype(np.uint8)[..., :channels]


def encoded(image, form="PNG", **options):
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def png_header(width, height):
    """A PNG that announces a size and holds no pixels."""

    def chunk(kind, body):
        crc = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


# The pixel range


def test_to_float_maps_all_256_levels_as_the_formula_says():
    levels = np.arange(256, dtype=np.uint8)
    floats = images.to_float(levels)
    assert floats.dtype == np.float32
    np.testing.assert_allclose(floats, np.arange(256) / 127.5 - 1, atol=1e-7)
    assert floats[0] == -1 and floats[255] == 1


def test_to_uint8_inverts_to_float_exactly():
    levels = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(images.to_uint8(images.to_float(levels)), levels)


def test_to_uint8_rounds_to_the_nearest_level_and_clips_rounding_errors_only():
    values = np.array([-1.0005, -1.0, 0.4 / 127.5, 0.6 / 127.5, 1.0005], np.float64)
    np.testing.assert_array_equal(images.to_uint8(values), [0, 0, 128, 128, 255])
    np.testing.assert_array_equal(
        images.to_uint8(np.array([0.1 / 127.5, -0.9 / 127.5])), [128, 127]
    )


@pytest.mark.parametrize("wrong", [np.zeros(3), np.zeros(3, np.int64), np.zeros(3, np.float32)])
def test_to_float_refuses_what_is_not_uint8(wrong):
    with pytest.raises(ValueError, match=f"uint8.*Received: dtype={wrong.dtype}"):
        images.to_float(wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.array([0.0, 1.002]), r"\[-1, 1\].*from 0 to 1.002"),
        (np.array([-1.002, 0.0]), r"from -1.002 to 0"),
        (np.array([0.0, 255.0]), r"from 0 to 255.*127.5"),
        (np.array([0.0, np.nan]), "1 of 2 values are NaN"),
        (np.array([0.0, np.inf]), "1 of 2 values are NaN or infinite"),
        (np.array([0, 1]), "floats.*int64"),
        (np.array([0, 1], np.uint8), "floats.*uint8"),
        (np.array([True]), "floats.*bool"),
    ],
)
def test_to_uint8_refuses_other_ranges_and_types(wrong, message):
    with pytest.raises(ValueError, match=message):
        images.to_uint8(wrong)


def test_to_uint8_accepts_float16_and_an_empty_batch():
    np.testing.assert_array_equal(images.to_uint8(np.array([-1, 0, 1], np.float16)), [0, 128, 255])
    assert images.to_uint8(np.zeros((0, 4, 4, 3))).shape == (0, 4, 4, 3)


# The formats


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_lossless_formats_come_back_exactly(form):
    options = {"lossless": True} if form == "WEBP" else {}
    read = images.read_image(encoded(gradient(), form, **options))
    np.testing.assert_array_equal(read, gradient())


def test_a_path_bytes_and_an_open_file_give_the_same_picture(tmp_path):
    path = tmp_path / "picture ü.png"
    path.write_bytes(encoded(gradient()))
    with open(path, "rb") as stream:
        from_file = images.read_image(stream)
    from_memory = images.read_image(memoryview(path.read_bytes()))
    for read in (images.read_image(path), images.read_image(str(path)), from_memory):
        np.testing.assert_array_equal(read, from_file)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_turned_upright(orientation):
    turns = {
        1: lambda p: p,
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.swapaxes(0, 1),
        6: lambda p: np.rot90(p, 1),
        7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
        8: lambda p: np.rot90(p, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = encoded(np.ascontiguousarray(turns[orientation](gradient())), exif=exif)
    np.testing.assert_array_equal(images.read_image(stored), gradient())


def test_a_cmyk_jpeg_keeps_its_colours():
    flat = np.full((16, 16, 3), (200, 40, 90), np.uint8)
    read = images.read_image(encoded(Image.fromarray(flat).convert("CMYK"), "JPEG", quality=95))
    assert read.shape == (16, 16, 3)
    np.testing.assert_allclose(read.mean((0, 1)), (200, 40, 90), atol=6)


def test_16_bit_grey_is_scaled_and_not_clipped():
    levels = np.array([[0, 257, 32896, 64000, 65535]], np.uint16)
    read = images.read_image(encoded(Image.fromarray(levels)))
    np.testing.assert_array_equal(read[0, :, 0], [0, 1, 128, 249, 255])
    assert read.shape == (1, 5, 3)


def test_grey_black_and_white_and_palette_become_rgb():
    grey = gradient()[..., 0]
    np.testing.assert_array_equal(images.read_image(encoded(grey))[..., 1], grey)
    bits = Image.fromarray(grey).convert("1")
    assert set(np.unique(images.read_image(encoded(bits)))) == {0, 255}
    flat = Image.new("P", (2, 2), 1)
    flat.putpalette([0, 0, 0, 10, 200, 30])
    assert images.read_image(encoded(flat))[0, 0].tolist() == [10, 200, 30]


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_transparency_is_laid_over_white(form):
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, :, 0], rgba[0, :, 3] = 200, (0, 51, 255)
    read = images.read_image(encoded(rgba, form, **({"lossless": True} if form == "WEBP" else {})))
    np.testing.assert_allclose(read[0], [[255] * 3, [244, 204, 204], [200, 0, 0]], atol=1)


@pytest.mark.parametrize("mode", ["P", "L", "RGB", "LA"])
def test_transparency_of_other_modes_is_laid_over_white_too(mode):
    if mode == "P":
        image = Image.new("P", (2, 1), 0)
        image.putpalette([0, 0, 0, 50, 60, 70])
        image.putpixel((1, 0), 1)
        raw = encoded(image, transparency=0)
    elif mode == "LA":
        raw = encoded(np.array([[[0, 0], [50, 255]]], np.uint8))
    else:
        image = Image.new(mode, (2, 1), 0)
        image.putpixel((1, 0), 50 if mode == "L" else (50, 60, 70))
        raw = encoded(image, transparency=0 if mode == "L" else (0, 0, 0))
    read = images.read_image(raw)[0].tolist()
    assert read[0] == [255, 255, 255] and read[1][0] == 50


def test_an_animation_gives_its_first_frame():
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    for form in ("PNG", "WEBP"):
        raw = encoded(frames[0], form, save_all=True, append_images=frames[1:], lossless=True)
        assert images.read_image(raw)[0, 0].tolist() == pytest.approx([255, 0, 0], abs=2)


def test_one_channel_is_the_luma_of_the_colours():
    read = images.read_image(encoded(gradient()), channels=1)
    luma = gradient() @ np.array([0.299, 0.587, 0.114])
    assert read.shape == (40, 60, 1)
    np.testing.assert_allclose(read[..., 0], luma, atol=1)


# What is refused


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"not a picture at all", "no readable PNG, JPEG or WEBP"),
        (encoded(gradient(), "GIF"), "looks like GIF. Convert"),
        (encoded(gradient(), "BMP"), "looks like BMP"),
        (encoded(gradient(), "TIFF"), "looks like TIFF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "looks like EPS"),
        (b'<?xml version="1.0"?><svg/>', "looks like SVG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "looks like SVG"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "looks like HEIC"),
        (b"SIMPLE  =                    T", "looks like FITS"),
        (png_header(50_000, 50_000), "too large"),
        (png_header(8_000, 4_000), "8000 x 4000 pixels, and at most 25000000"),
    ],
)
def test_other_formats_renamed_to_png_and_bombs_are_refused_by_name(tmp_path, raw, message):
    path = tmp_path / "upload.png"
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=message) as caught:
        images.read_image(path)
    assert "upload.png" in str(caught.value)


def test_a_bomb_is_refused_even_where_the_limit_is_raised():
    with pytest.raises(ValueError, match="too large.*At most 10000000000"):
        images.read_image(png_header(50_000, 50_000), max_pixels=10**10)
    with pytest.raises(ValueError, match="too large"):
        images.read_image(png_header(10_000, 10_000), max_pixels=10**10)


def test_the_limit_is_on_the_pixels_and_is_inclusive():
    raw = encoded(gradient(10, 10))
    assert images.read_image(raw, max_pixels=100).shape == (10, 10, 3)
    with pytest.raises(ValueError, match="too large: 10 x 10 pixels, and at most 99") as caught:
        images.read_image(raw, max_pixels=99)
    assert "broken" not in str(caught.value)


def test_nothing_is_decoded_before_the_size_is_checked(monkeypatch):
    def decode(*_):
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decode)
    with pytest.raises(ValueError, match="too large"):
        images.read_image(encoded(gradient()), max_pixels=10)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_file_is_refused_by_name(tmp_path, form, share):
    raw = encoded(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8), form)
    path = tmp_path / "half.jpg"
    path.write_bytes(raw[: int(len(raw) * share)])
    with pytest.raises(ValueError, match="half.jpg"):
        images.read_image(path)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_damaged_bytes_raise_value_error_or_give_a_picture_and_nothing_else(form):
    random = np.random.default_rng(1)
    good = encoded(gradient(), form)
    for _ in range(150):
        raw = bytearray(good)
        for place in random.integers(0, len(raw), 4):
            raw[place] = random.integers(256)
        try:
            assert images.read_image(bytes(raw)).dtype == np.uint8
        except ValueError as error:
            assert "the uploaded picture" in str(error)


@pytest.mark.parametrize("place", [0.5, -14])
def test_a_flipped_bit_in_a_png_is_noticed_in_its_pixels_and_in_their_checksum(place):
    raw = bytearray(encoded(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)))
    raw[place if place < 0 else int(place * len(raw))] ^= 1
    with pytest.raises(ValueError, match="broken or truncated"):
        images.read_image(bytes(raw))


def test_a_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match="nowhere.png"):
        images.read_image("nowhere.png")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "size=0"),
        ({"size": 5000}, "1 to 4096.*size=5000"),
        ({"channels": 4}, "channels=4"),
        ({"method": "cubic"}, "nearest, area, bilinear, bicubic, lanczos.*'cubic'"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        images.read_image(encoded(gradient()), **options)


# Resizing


def test_the_central_square_is_cut_out():
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = 255
    assert images.read_image(encoded(wide), size=20).min() == 255
    tall = wide.swapaxes(0, 1)
    assert images.read_image(encoded(np.ascontiguousarray(tall)), size=20).min() == 255
    assert images.read_image(encoded(wide), size=10).shape == (10, 10, 3)


@pytest.mark.parametrize("method", ["area", "bilinear", "bicubic", "lanczos"])
def test_shrinking_is_antialiased(method):
    fine = np.zeros((1, 64, 64, 1), np.uint8)
    fine[:, ::2] = 255  # stripes finer than the result can show must become grey
    small = images.resize(fine, 8, method=method)
    np.testing.assert_allclose(small, 127.5, atol=8)
    assert set(np.unique(images.resize(fine, 8, method="nearest"))) <= {0, 255}


def test_area_is_the_mean_of_each_block():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 12, 12, 3), np.uint8)
    blocks = pixels.reshape(3, 4, 3, 4, 3, 3).mean((2, 4))
    # Pillow rounds twice, once along each axis.
    np.testing.assert_allclose(images.resize(pixels, 4, method="area"), blocks, atol=1)


def test_resize_keeps_order_and_channels_and_leaves_the_right_size_alone():
    pixels = np.repeat(np.array([10, 200], np.uint8), 16).reshape(2, 4, 4, 1)
    assert images.resize(pixels, 8)[:, 0, 0, 0].tolist() == [10, 200]
    assert images.resize(pixels, 8).shape == (2, 8, 8, 1)
    assert images.resize(pixels, 4) is pixels


@pytest.mark.parametrize("wrong", [np.zeros((4, 4, 3), np.uint8), np.zeros((1, 4, 4, 3))])
def test_resize_refuses_other_shapes_and_types(wrong):
    with pytest.raises(ValueError, match=r"uint8 pixels of shape.*Received"):
        images.resize(wrong, 2)


# Folders


@pytest.fixture
def folder(tmp_path):
    """Six good pictures in three formats and two broken ones, written out of order."""
    for index in (5, 0, 3):
        images.save_png(tmp_path / f"{index}.png", np.full((9, 12, 3), index * 10, np.uint8))
    (tmp_path / "1.JPG").write_bytes(encoded(np.full((8, 8, 3), 10, np.uint8), "JPEG"))
    (tmp_path / "4.jpeg").write_bytes(encoded(np.full((8, 8, 3), 40, np.uint8), "JPEG"))
    (tmp_path / "2.webp").write_bytes(encoded(np.full((8, 8, 3), 20, np.uint8), "WEBP"))
    (tmp_path / "1b.png").write_bytes(b"")
    (tmp_path / "6.png").write_bytes(encoded(gradient(), "GIF"))
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "._0.png").write_bytes(b"left by another system")
    return tmp_path


def test_a_folder_is_read_in_sorted_order_and_broken_files_are_counted_and_named(folder, capsys):
    pixels, names, skipped = images.read_folder(folder, size=8)
    assert names == ["0.png", "1.JPG", "2.webp", "3.png", "4.jpeg", "5.png"]
    assert skipped == ["1b.png", "6.png"]
    np.testing.assert_allclose(pixels[:, 4, 4, 0], [0, 10, 20, 30, 40, 50], atol=2)
    assert pixels.shape == (6, 8, 8, 3) and pixels.dtype == np.uint8
    said = capsys.readouterr().out
    assert "2 of 8 files skipped" in said and "1b.png is empty" in said and "GIF" in said


def test_a_folder_can_be_refused_at_its_first_broken_file(folder):
    with pytest.raises(ValueError, match="1b.png is empty"):
        images.read_folder(folder, size=8, on_broken="raise")


def test_the_limit_counts_readable_pictures(folder):
    _, names, skipped = images.read_folder(folder, size=8, limit=3)
    assert names == ["0.png", "1.JPG", "2.webp"] and skipped == ["1b.png"]


def test_many_broken_files_are_counted_and_the_first_three_named(tmp_path, capsys):
    for index in range(6):
        (tmp_path / f"{index}.png").write_bytes(b"")
    with pytest.raises(ValueError, match="None of the 6 files"):
        images.read_folder(tmp_path, size=8)
    said = capsys.readouterr().out
    assert "2.png" in said and "3.png" not in said and "and 3 more" in said


def test_subfolders_are_read_as_classes_when_asked(tmp_path):
    for name in ("dog/b", "cat/a", "cat/c"):
        images.save_png(tmp_path / f"{name}.png", gradient(8, 8))
    _, names, _ = images.read_folder(tmp_path, size=8, subfolders=True)
    assert names == ["cat/a.png", "cat/c.png", "dog/b.png"]
    with pytest.raises(ValueError, match="ending in .jpeg, .jpg, .png, .webp.*subfolders=True"):
        images.read_folder(tmp_path, size=8)


def test_a_folder_that_is_none_and_wrong_options_are_named(folder):
    with pytest.raises(NotADirectoryError, match="nowhere"):
        images.read_folder("nowhere", size=8)
    with pytest.raises(ValueError, match="limit=0"):
        images.read_folder(folder, size=8, limit=0)
    with pytest.raises(ValueError, match="'ignore'"):
        images.read_folder(folder, size=8, on_broken="ignore")
    with pytest.raises(ValueError, match="size=0"):
        images.read_folder(folder, size=0)


# Saving


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3)])
def test_png_saves_and_loads_the_same_pixels(tmp_path, shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    path = images.save_png(tmp_path / "new" / "folder" / "x.png", pixels)
    read = images.read_image(path, channels=3 if shape[-1] == 3 else 1)
    np.testing.assert_array_equal(read, pixels.reshape(5, 7, -1))
    np.testing.assert_array_equal(
        images.read_image(images.save_png(path, images.to_float(pixels)), channels=read.shape[-1]),
        read,
    )


def test_a_failed_save_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = images.save_png(tmp_path / "x.png", gradient(4, 4))
    before = path.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("course_lib.datasets.images.os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        images.save_png(path, np.zeros((4, 4, 3), np.uint8))
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["x.png"]


@pytest.mark.parametrize(
    ("name", "image", "message"),
    [
        ("x.jpg", np.zeros((4, 4, 3), np.uint8), "losslessly.*x.jpg"),
        ("x.png", np.zeros((2, 4, 4, 3), np.uint8), "one picture.*save_images"),
        ("x.png", np.zeros((4, 4, 4), np.uint8), r"one picture.*\(4, 4, 4\)"),
        ("x.png", np.full((4, 4, 3), 255.0), r"\[-1, 1\].*255"),
        ("x.png", np.zeros((4, 4, 3), np.int32), "floats in"),
    ],
)
def test_save_png_refuses_other_endings_shapes_and_ranges(tmp_path, name, image, message):
    with pytest.raises(ValueError, match=message):
        images.save_png(tmp_path / name, image)
    assert not list(tmp_path.iterdir())


def test_save_images_numbers_the_files_and_writes_nothing_of_a_wrong_range(tmp_path):
    batch = images.to_float(np.stack([gradient(8, 8), 255 - gradient(8, 8)]))
    paths = images.save_images(tmp_path, batch, prefix="fake")
    assert [path.name for path in paths] == ["fake_0000.png", "fake_0001.png"]
    np.testing.assert_array_equal(images.read_image(paths[1]), 255 - gradient(8, 8))
    with pytest.raises(ValueError, match=r"values from .* to 2"):
        images.save_images(tmp_path / "other", np.stack([batch[0], batch[1] * 0 + 2]))
    with pytest.raises(ValueError, match=r"count, height.*\(8, 8, 3\)"):
        images.save_images(tmp_path, batch[0])
    assert not (tmp_path / "other").exists()


# Films --------------------------------------------------------------------------------------------


def test_a_film_has_its_pictures_their_time_and_their_size(tmp_path):
    pixels = np.zeros((3, 4, 6, 3), np.uint8)
    pixels[0, ..., 0] = pixels[1, ..., 1] = pixels[2, ..., 2] = 255
    path = images.save_gif(tmp_path / "a" / "film.gif", pixels, seconds=0.25, scale=2)
    with Image.open(path) as film:
        assert film.n_frames == 3 and film.size == (12, 8)
        assert film.info["duration"] == 250 and film.info["loop"] == 0
        for index in range(3):
            film.seek(index)
            frame = np.asarray(film.convert("RGB"))
            np.testing.assert_array_equal(frame, np.broadcast_to(pixels[index, 0, 0], frame.shape))


def test_a_film_of_grey_float_pictures_can_be_saved(tmp_path):
    path = images.save_gif(tmp_path / "film.gif", np.linspace(-1, 1, 2)[:, None, None, None]
                           * np.ones((1, 4, 4, 1)))  # fmt: skip
    with Image.open(path) as film:
        assert np.asarray(film.convert("RGB")).max() == 0
        film.seek(1)
        assert np.asarray(film.convert("RGB")).min() == 255


@pytest.mark.parametrize(
    "name, shape, settings, message",
    [
        ("film.png", (1, 2, 2, 3), {}, "end the name in .gif"),
        ("film.gif", (2, 2, 3), {}, r"needs \(count, height, width, 1 or 3\). Received: \(2, 2, 3"),
        ("film.gif", (0, 2, 2, 3), {}, "Received: \\(0, 2, 2, 3"),
        ("film.gif", (1, 2, 2, 3), {"seconds": 0.0}, "seconds=0.0, scale=1"),
        ("film.gif", (1, 2, 2, 3), {"scale": 0}, "seconds=0.1, scale=0"),
    ],
)
def test_a_film_that_cannot_be_saved_is_refused(tmp_path, name, shape, settings, message):
    with pytest.raises(ValueError, match=message):
        images.save_gif(tmp_path / name, np.zeros(shape, np.uint8), **settings)
    assert not list(tmp_path.iterdir())
