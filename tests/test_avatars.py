"""Tests of the procedural faces: exact labels, the same bytes everywhere, soft edges."""

import hashlib
import itertools
import tracemalloc

import numpy as np
import pytest

from course_lib.datasets import avatar_parts, avatars, shapes

# Frozen on NumPy 2.4, x86-64. Every machine must give these bytes: change them only together with
# a deliberate change of the drawing, and say so, because trained checkpoints depend on the data.
GOLDEN_ATTRIBUTES = "90460b78175aa8dc3f3aef7ea0f6b6e21d5a37dd5ff5d9499fab8f9f0f355d1b"
GOLDEN_PIXELS = {
    32: "7efb13a02a08d96157ca705cb2f63de2b87a9aaba157c8259fb3a4d317113916",
    64: "ce67c83ddb6f8404c75f35082e578f92febc139b35dffa494bde69681f7e835d",
    101: "eac81f353a960b4be31bc8f4d910832f75ed21159e5c2ae47c982d3085f70321",
    256: "89b53e78147c21408fd4ecc9fa486f37c2da6e0ee1b6a047f588ecdbffd2c8ce",
}
# Mean change of the 12 most changed pixels, summed over RGB (0 to 765), that any two values of an
# attribute make at least, whatever the other attributes are: 20 is plain to the eye.
LEAST_VISIBLE_CHANGE = 20.0


def _sha256(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def _plain(count=1, **changes):
    """Return a plain face, seen from the front, with some attributes changed by name."""
    plain = {
        "mouth": "smile",
        "pose": "front",
        "light": "front",
        "background": "sky",
        "face_shape": "round",
    } | changes
    names = {name: plain.get(name, values[0]) for name, values in avatars.ATTRIBUTES.items()}
    return {
        name: np.full(count, avatars.ATTRIBUTES[name].index(value), np.int8)
        for name, value in names.items()
    }


def _picture(size=64, **changes):
    return avatars.render(_plain(**changes), size=size, seed=1)[0].astype(int)


@pytest.fixture(scope="module")
def labels():
    return avatars.sample_attributes(20_000, seed=7)


def test_there_are_at_least_ten_attributes_with_distinct_values():
    assert len(avatars.ATTRIBUTES) >= 10
    for values in avatars.ATTRIBUTES.values():
        assert 3 <= len(set(values)) == len(values)


def test_the_attributes_are_the_frozen_ones():
    attributes = avatars.sample_attributes(1000, seed=2024)
    assert list(attributes) == list(avatars.ATTRIBUTES)
    assert _sha256(np.stack(list(attributes.values()))) == GOLDEN_ATTRIBUTES


@pytest.mark.parametrize("size", GOLDEN_PIXELS)
def test_the_pixels_are_the_frozen_ones(size):
    pixels, _ = avatars.make(32, size=size, seed=2024)
    assert _sha256(pixels) == GOLDEN_PIXELS[size]


def test_pixels_and_labels_have_their_shape_and_type():
    pixels, attributes = avatars.make(5, size=48, seed=1)
    assert pixels.shape == (5, 48, 48, 3) and pixels.dtype == np.uint8
    for name, codes in attributes.items():
        assert codes.shape == (5,) and codes.dtype == np.int8, name
        assert codes.min() >= 0 and codes.max() < len(avatars.ATTRIBUTES[name])


def test_pictures_use_most_of_the_range_of_a_byte():
    pixels, _ = avatars.make(100, seed=2)
    assert pixels.min() < 40 and pixels.max() > 250
    assert 100 < pixels.mean() < 190


def test_make_is_sample_then_render_with_one_seed():
    pixels, attributes = avatars.make(6, size=32, seed=11)
    again = avatars.sample_attributes(6, seed=11)
    assert all(np.array_equal(attributes[name], again[name]) for name in again)
    assert np.array_equal(pixels, avatars.render(again, size=32, seed=11))


@pytest.mark.parametrize("size", [32, 40, 64, 101])
def test_a_shorter_set_is_the_beginning_of_a_longer_one(size):
    pixels, attributes = avatars.make(300, size=size, seed=5)
    for count in (1, 7, 41):
        fewer, codes = avatars.make(count, size=size, seed=5)
        assert np.array_equal(fewer, pixels[:count])
        assert all(np.array_equal(codes[name], attributes[name][:count]) for name in codes)


def test_no_shape_is_cut_by_the_box_it_is_drawn_in(monkeypatch):
    sets = ((400, 32), (100, 64))
    boxed = [avatars.make(count, size=size, seed=9)[0] for count, size in sets]
    monkeypatch.setattr(
        shapes.Canvas, "_span", lambda self, middle, half: slice(0, self.centres.size)
    )
    whole = [avatars.make(count, size=size, seed=9)[0] for count, size in sets]
    assert all(np.array_equal(a, b) for a, b in zip(boxed, whole, strict=True))


def test_the_size_of_a_chunk_does_not_show(monkeypatch):
    pixels, _ = avatars.make(60, size=32, seed=3)
    monkeypatch.setattr(avatars, "CHUNK_PIXELS", 3 * 32 * 32)
    assert np.array_equal(avatars.make(60, size=32, seed=3)[0], pixels)


def test_seeds_give_different_labels_and_different_nuisance():
    first, second = (avatars.sample_attributes(100, seed=seed) for seed in (0, 1))
    assert np.mean(first["hair_style"] == second["hair_style"]) < 0.35
    one, other = (avatars.render(first, size=32, seed=seed) for seed in (0, 1))
    assert np.all(np.any(one != other, axis=(1, 2, 3)))


def test_faces_with_equal_labels_still_differ():
    pixels = avatars.render(_plain(50), seed=0)
    assert len({picture.tobytes() for picture in pixels}) == 50


def test_changing_one_label_keeps_the_rest_of_the_face():
    smile, frown = _picture(), _picture(mouth="frown")
    changed = np.any(smile != frown, axis=-1)
    rows, columns = np.nonzero(changed)
    assert rows.min() > 36 and rows.max() < 52 and 20 < columns.min() and columns.max() < 44


@pytest.mark.parametrize("name", avatars.ATTRIBUTES)
def test_every_pair_of_values_is_told_apart_whatever_the_other_labels(name):
    count = 40
    others = avatars.sample_attributes(count, seed=77)
    pictures = [
        avatars.render(others | {name: np.full(count, code)}, seed=77).astype(np.int16)
        for code in range(len(avatars.ATTRIBUTES[name]))
    ]
    for one, other in itertools.combinations(pictures, 2):
        change = np.abs(one - other).sum(axis=-1).reshape(count, -1)
        most = np.partition(change, -12, axis=1)[:, -12:].mean(axis=1)
        assert most.min() > LEAST_VISIBLE_CHANGE


@pytest.mark.parametrize(
    ("changes", "rows", "columns"),
    [
        ({"background": "dusk"}, (0, 6), (0, 64)),
        ({"clothing": "cream"}, (58, 64), (20, 28)),
        ({"skin": "espresso"}, (40, 42), (30, 34)),
        ({"eye_color": "brown"}, (29, 36), (18, 46)),
        ({"hair_color": "pink"}, (24, 29), (18, 46)),  # a bald head: the brows
        ({"glasses": "round"}, (26, 39), (16, 48)),
        ({"beard": "full"}, (44, 52), (24, 40)),
        ({"accessory": "earrings"}, (36, 43), (8, 56)),
        ({"accessory": "headband"}, (14, 24), (20, 44)),
    ],
)
def test_an_attribute_shows_where_it_belongs(changes, rows, columns):
    change = np.abs(_picture(eye_color="blue") - _picture(**({"eye_color": "blue"} | changes)))
    inside = change[slice(*rows), slice(*columns)]
    assert inside.mean() > 8 and inside.max() > 60


@pytest.mark.parametrize(("name", "row", "column"), [("clothing", 62, 44), ("skin", 54, 32)])
def test_colours_are_those_of_the_palette(name, row, column):
    for value, color in avatar_parts.PALETTES[name].items():
        wanted = np.array([int(color[k : k + 2], 16) for k in (1, 3, 5)])
        shown = _picture(**{name: value})[row, column]
        assert np.all(np.abs(shown - wanted) < 5 + 0.2 * wanted), value


def test_the_side_the_light_comes_from_is_the_brighter_one():
    def balance(light):
        face = _picture(light=light)[20:44, 16:48].mean(axis=(0, 2))
        return face[:16].mean() - face[16:].mean()

    assert balance("left") > balance("front") + 10
    assert balance("front") > balance("right") + 10


def test_mouth_and_eyes_move_to_the_side_the_head_turns_to():
    def columns(pose, **other):
        change = np.abs(_picture(pose=pose) - _picture(pose=pose, **other)).sum(axis=(0, 2))
        return (change * np.arange(64)).sum() / change.sum()

    for other in ({"mouth": "surprised"}, {"eye_color": "blue"}):
        left, front, right = (columns(pose, **other) for pose in ("left", "front", "right"))
        assert left < front - 1.5 and front < right - 1.5


def _upper_chi_square(freedom):
    """Return the 1 - 1e-6 quantile of the chi-square law (Wilson and Hilferty 1931)."""
    term = 2 / (9 * freedom)
    return freedom * (1 - term + 4.753 * term**0.5) ** 3


@pytest.mark.parametrize("name", avatars.ATTRIBUTES)
def test_labels_are_uniform(labels, name):
    observed = np.bincount(labels[name], minlength=len(avatars.ATTRIBUTES[name]))
    expected = labels[name].size / observed.size
    assert ((observed - expected) ** 2 / expected).sum() < _upper_chi_square(observed.size - 1)


def test_labels_are_independent_in_pairs(labels):
    for one, other in itertools.combinations(avatars.ATTRIBUTES, 2):
        rows, columns = len(avatars.ATTRIBUTES[one]), len(avatars.ATTRIBUTES[other])
        cells = np.bincount(labels[one] * columns + labels[other], minlength=rows * columns)
        expected = labels[one].size / cells.size
        statistic = ((cells - expected) ** 2 / expected).sum()
        assert statistic < _upper_chi_square(cells.size - 1), (one, other)


def test_labels_of_neighbours_are_independent(labels):
    codes = labels["background"]
    cells = np.bincount(codes[:-1] * 7 + codes[1:], minlength=49)
    expected = (codes.size - 1) / 49
    assert ((cells - expected) ** 2 / expected).sum() < _upper_chi_square(48)


def test_one_face_looks_the_same_at_every_size():
    large, _ = avatars.make(16, size=256, seed=6)
    for size, bound in ((32, 3.0), (64, 1.5), (128, 0.7)):
        small, _ = avatars.make(16, size=size, seed=6)
        block = 256 // size
        shrunk = large.reshape(16, size, block, size, block, 3).mean(axis=(2, 4))
        error = np.abs(shrunk - small).reshape(16, -1).mean(axis=1)
        assert error.mean() < bound and error.max() < 1.5 * bound


def test_edges_are_one_pixel_of_intermediate_values():
    for size in (32, 64, 256):
        canvas = shapes.Canvas(1, size)
        canvas.pixels[:] = 0
        shapes.oval(canvas, (0.01, -0.02, 0.6, 0.5), shapes.WHITE, shaded=False)
        disc = canvas.pixels[0, 0] / 255
        soft = (disc > 0.01) & (disc < 0.99)
        # An edge one pixel wide crosses |dx| + |dy| pixels per unit of length: 8 half-axes' worth.
        outline = 4 * (0.6 + 0.5) * size / 2 / shapes.FRAME
        assert 0.6 * outline < soft.sum() < 1.4 * outline
        area = np.pi * 0.6 * 0.5 * (size / 2 / shapes.FRAME) ** 2
        assert disc.sum() == pytest.approx(area, rel=0.01)


def test_shape_edges_lie_where_their_distance_says():
    canvas = shapes.Canvas(1, 256)
    patch = canvas.patch(0.0, 0.0, 0.9, 0.9)
    distance = shapes.blob(patch, 0.0, 0.0, 0.5, 0.5)
    radius = np.sqrt(patch.x**2 + patch.y**2)
    exact = (0.5 - radius) * patch.scale
    near = np.abs(exact) < 1
    assert np.abs(distance - exact)[near].max() < 0.05
    assert np.all((distance > 0)[~near] == (exact > 0)[~near])


def test_all_arithmetic_is_in_float32(monkeypatch):
    blend, dtypes = shapes.blend, set()

    def spy(patch, coverage, color):
        dtypes.update((patch.pixels.dtype, coverage.dtype, np.asarray(color).dtype))
        blend(patch, coverage, color)

    monkeypatch.setattr(shapes, "blend", spy)
    avatars.make(40, size=32, seed=0)
    assert dtypes == {np.dtype(np.float32)}


def test_memory_stays_near_that_of_the_result():
    avatars.make(8, seed=0)
    tracemalloc.start()
    pixels, _ = avatars.make(1000, seed=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < pixels.nbytes + 16 * 2**20


def test_no_faces_are_an_empty_array():
    pixels, attributes = avatars.make(0, size=32)
    assert pixels.shape == (0, 32, 32, 3)
    assert all(codes.shape == (0,) for codes in attributes.values())


def test_describe_says_the_labels_in_words():
    words = avatars.describe(_plain(2, hair_color="teal", glasses="none", beard="full"), 1)
    for phrase in ("teal hair color", "no glasses", "full beard", "sky background"):
        assert phrase in words
    assert len(words.split(", ")) == len(avatars.ATTRIBUTES)


@pytest.mark.parametrize("index", [2, -1])
def test_describe_refuses_an_index_outside_the_batch(index):
    with pytest.raises(ValueError, match=f"index must be an integer from 0 to 1, got {index}"):
        avatars.describe(_plain(2), index)


@pytest.mark.parametrize("size", [31, 257, 64.0, True])
def test_render_refuses_a_size_out_of_range(size):
    with pytest.raises(ValueError, match=f"size must be an integer from 32 to 256, got {size}"):
        avatars.make(1, size=size)


@pytest.mark.parametrize("count", [-1, 2.5])
def test_sampling_refuses_a_count_that_is_no_count(count):
    with pytest.raises(ValueError, match=f"count must be an integer from 0 to .*, got {count}"):
        avatars.sample_attributes(count, seed=0)


@pytest.mark.parametrize("seed", [-1, 2**63, "a"])
def test_a_seed_out_of_range_is_refused(seed):
    with pytest.raises(ValueError, match="seed must be an integer from 0 to"):
        avatars.sample_attributes(1, seed=seed)
    with pytest.raises(ValueError, match="seed must be an integer from 0 to"):
        avatars.render(_plain(), seed=seed)


def test_an_unknown_or_missing_attribute_is_named():
    with pytest.raises(ValueError, match=r"unknown attributes \['tail'\].*sample_attributes"):
        avatars.render(_plain() | {"tail": np.zeros(1, int)})
    without = {name: codes for name, codes in _plain().items() if name != "pose"}
    with pytest.raises(ValueError, match=r"missing attributes \['pose'\]"):
        avatars.render(without)


@pytest.mark.parametrize("code", [-1, 8])
def test_a_code_without_a_value_is_named(code):
    with pytest.raises(ValueError, match=f"hair_style has code {code}; .*from 0 to 7"):
        avatars.render(_plain() | {"hair_style": np.array([code])})


@pytest.mark.parametrize("codes", [np.zeros(2, int), np.zeros((1, 1), int), np.zeros(1), 0])
def test_codes_of_the_wrong_shape_or_type_are_named(codes):
    with pytest.raises(ValueError, match=r"brows must be an integer array of shape \(count,\)"):
        avatars.render(_plain() | {"brows": codes})
