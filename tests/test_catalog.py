import gzip
import json
import shutil
import sys
from types import SimpleNamespace
from urllib.error import URLError

import joblib
import numpy as np
import pytest
from PIL import Image

from course_lib import runtime
from course_lib.datasets import avatars, catalog, downloads, images
from course_lib.datasets.catalog import DataUnavailableError, ImageSet, load

OFFLINE = ("avatars", "expressions", "digits", "stacked_digits", "lfw_subset")
OFFLINE += ("photographs", "textures", "paintings")
SOURCES = runtime.data_sources()


def deny(*_, **__):
    raise URLError("no network in this test")


def rows_of(data: ImageSet) -> set[bytes]:
    return {picture.tobytes() for picture in data.pixels}


# data/sources.toml


def test_the_facts_and_the_catalog_name_the_same_sets():
    assert set(catalog.names()) == set(SOURCES)


@pytest.mark.parametrize("name", catalog.names())
def test_the_facts_of_a_set_are_complete(name):
    facts = SOURCES[name]
    types = {"title": str, "library": str, "where": str, "licence": str, "citation": str}
    types |= {"images": int, "size": list, "channels": int, "people": bool, "splits": str}
    assert {key: type(facts[key]) for key in types} == types
    assert facts["kind"] in ("offline", "download", "folder")
    if facts["kind"] == "download":
        assert facts["megabytes"] > 0 and SOURCES[facts["alternative"]]["kind"] == "offline"
        assert facts["citation"] and facts["files"]


@pytest.mark.parametrize("name", OFFLINE)
def test_the_facts_of_the_offline_sets_are_true(name):
    splits = ("train",) if SOURCES[name]["splits"] == "train only" else ("train", "test")
    count = {} if SOURCES[name]["images"] else {"count": 2}  # those that are drawn
    sets = [load(name, split=split, **count) for split in splits]
    assert sum(map(len, sets)) == (SOURCES[name]["images"] or 4)
    assert {data.pixels.shape[1:] for data in sets} == {
        (*SOURCES[name]["size"], SOURCES[name]["channels"])
    }


def test_the_files_inside_installed_packages_are_those_of_the_facts():
    files = [file for facts in SOURCES.values() for file in facts.get("files", ())]
    shipped = [file for file in files if "package" in file]
    assert len(shipped) == 12
    for file in shipped:
        assert (
            downloads.sha256(downloads.package_file(file["package"], file["path"]))
            == (file["sha256"])
        )


# ImageSet


def test_an_image_set_shows_what_a_figure_must_name():
    data = load("digits", count=5)
    assert len(data) == 5 and data.images.dtype == np.float32
    np.testing.assert_array_equal(data.images, images.to_float(data.pixels))
    said = str(data)
    for part in (
        "digits (train)",
        "5 images of 8 x 8 x 1",
        "labels: digit",
        "CC BY 4.0",
        "Alpaydin",
    ):
        assert part in said


def test_pixels_are_read_only_and_the_callers_array_is_not():
    pixels = np.zeros((2, 4, 4, 3), np.uint8)
    data = ImageSet("x", "train", pixels, {}, {}, "here", "ours")
    with pytest.raises(ValueError, match="read-only"):
        data.pixels[0] = 1
    pixels[0] = 1


def test_only_selects_by_the_name_of_a_value():
    data = load("digits")
    threes = data.only("digit", "3")
    assert set(threes.labels["digit"]) == {3} and len(threes) == (data.labels["digit"] == 3).sum()
    np.testing.assert_array_equal(threes.pixels[0], data.pixels[data.labels["digit"] == 3][0])
    with pytest.raises(ValueError, match="no attribute 'number'. Choose one of: digit"):
        data.only("number", "3")
    with pytest.raises(ValueError, match="no value 'three'.*: 0, 1, 2"):
        data.only("digit", "three")


def test_take_keeps_labels_beside_their_pictures():
    data = load("digits")
    some = data.take(np.array([7, 3]))
    np.testing.assert_array_equal(some.pixels, data.pixels[[7, 3]])
    np.testing.assert_array_equal(some.labels["digit"], data.labels["digit"][[7, 3]])


@pytest.mark.parametrize(
    ("pixels", "labels", "classes", "message"),
    [
        (np.zeros((2, 4, 4, 3)), {}, {}, "uint8.*float64"),
        (np.zeros((2, 4, 4), np.uint8), {}, {}, r"\(2, 4, 4\)"),
        (np.zeros((2, 4, 4, 2), np.uint8), {}, {}, "1 or 3"),
        (np.zeros((2, 4, 4, 3), np.uint8), {"a": np.array([0])}, {"a": ("x",)}, r"shape \(2,\)"),
        (np.zeros((2, 4, 4, 3), np.uint8), {"a": np.array([0, 1])}, {"a": ("x",)}, "from 0 to 1"),
        (np.zeros((2, 4, 4, 3), np.uint8), {"a": np.zeros(2)}, {"a": ("x",)}, "integers.*float"),
        (np.zeros((2, 4, 4, 3), np.uint8), {"a": np.zeros(2, int)}, {}, "same attributes"),
    ],
)
def test_an_image_set_refuses_what_does_not_fit_together(pixels, labels, classes, message):
    with pytest.raises(ValueError, match=message):
        ImageSet("x", "train", pixels, labels, classes, "here", "ours")


# load


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "celebrities"}, "no data named 'celebrities'.*avatars, expressions"),
        ({"name": "folder"}, "folder:my_images.*'folder'"),
        ({"name": "digits:here"}, "path goes with folder and celeba only"),
        ({"name": "digits", "split": "validation"}, "no split 'validation'"),
        ({"name": "photographs", "split": "test"}, "no split 'test'.*train only"),
        ({"name": "digits", "count": 0}, "count=0"),
        ({"name": "digits", "count": 9999}, "digits has 1438 train images.*count=9999"),
        ({"name": "digits", "size": 0}, "size=0"),
        ({"name": "digits", "seed": -1}, "seed=-1"),
    ],
)
def test_wrong_arguments_are_named_with_the_way_out(arguments, message):
    with pytest.raises(ValueError, match=message):
        load(**arguments)


@pytest.mark.parametrize("name", ["avatars", "expressions", "digits", "lfw_subset"])
def test_train_and_test_share_no_picture(name):
    count = {} if SOURCES[name]["images"] else {"count": 60}
    train, test = (load(name, split=split, size=32, **count) for split in ("train", "test"))
    assert not rows_of(train) & rows_of(test) and len(rows_of(train)) > 50


def test_every_fifth_picture_is_test():
    whole = np.rint(catalog_digits() * (255 / 16)).astype(np.uint8)
    np.testing.assert_array_equal(load("digits", split="test").pixels[..., 0], whole[4::5])
    np.testing.assert_array_equal(load("digits").pixels[:4, ..., 0], whole[:4])
    np.testing.assert_array_equal(load("digits").pixels[4, ..., 0], whole[5])


def catalog_digits() -> np.ndarray:
    from sklearn.datasets import load_digits

    return load_digits().images


def test_a_count_takes_a_random_part_that_the_seed_fixes():
    whole = load("lfw_subset")
    part, again, other = (load("lfw_subset", count=50, seed=seed) for seed in (1, 1, 2))
    assert len(rows_of(part)) == 50 and rows_of(part) <= rows_of(whole)
    assert rows_of(part) == rows_of(again) != rows_of(other)
    assert 10 < part.labels["object"].sum() < 40  # not only the first half, the faces
    for picture, code in zip(part.pixels, part.labels["object"], strict=True):
        row = next(i for i, candidate in enumerate(whole.pixels) if (candidate == picture).all())
        assert whole.labels["object"][row] == code


def test_avatars_are_those_of_their_room_and_train_and_test_use_other_seeds():
    train, test = (load("avatars", count=3, seed=5, split=split) for split in ("train", "test"))
    for data, seed in ((train, 10), (test, 11)):
        pixels, labels = avatars.make(3, size=64, seed=seed)
        np.testing.assert_array_equal(data.pixels, pixels)
        assert all((data.labels[name] == labels[name]).all() for name in avatars.ATTRIBUTES)
    assert train.classes == avatars.ATTRIBUTES
    assert load("avatars", count=2, size=16).pixels.shape == (2, 16, 16, 3)


def test_digits_keep_their_levels_and_labels():
    data = load("digits")
    assert data.pixels.min() == 0 and data.pixels.max() == 255
    assert np.bincount(data.labels["digit"]).min() > 100
    np.testing.assert_array_equal(data.labels["digit"][:4], [0, 1, 2, 3])


def test_lfw_subset_holds_faces_first():
    data = load("lfw_subset")
    # The patches of background come from the black corners of turned photographs.
    black = (data.pixels == 0).mean((1, 2, 3))
    is_face = data.labels["object"] == 0
    assert data.classes["object"] == ("face", "background") and is_face.sum() == 80
    assert is_face[:80].all() and black[is_face].mean() < 0.02 < 0.1 < black[~is_face].mean()


def test_sizes_are_resized_with_antialiasing_and_channels_kept():
    assert load("lfw_subset", size=16, count=3).pixels.shape == (3, 16, 16, 1)
    photographs = load("photographs", size=32)
    assert photographs.pixels.shape == (7, 32, 32, 3)
    assert photographs.classes["title"][1] == "cat"
    big = load("photographs", size=256).only("title", "cat").pixels
    np.testing.assert_allclose(
        images.resize(big, 32).astype(float), photographs.pixels[1:2], atol=12
    )


def test_a_missing_package_file_is_named_and_not_downloaded():
    with pytest.raises(DataUnavailableError, match="lost.png of the package skimage is missing"):
        downloads.package_file("skimage", "data/lost.png")
    with pytest.raises(DataUnavailableError, match="package not_installed_here"):
        downloads.package_file("not_installed_here", "x.png")


# Downloads


@pytest.fixture
def fake_keras(monkeypatch, course_cache):
    """Stands in for `keras.datasets`; the real one is tested in a process of its own below."""

    def load_data():
        pixels = np.arange(20 * 28 * 28, dtype=np.uint8).reshape(20, 28, 28)
        codes = np.arange(20) % 10
        return (pixels[:12], codes[:12]), (pixels[12:], codes[12:].reshape(-1, 1))

    monkeypatch.setenv("KERAS_HOME", str(course_cache / "keras"))
    module = SimpleNamespace(load_data=load_data)
    fake = SimpleNamespace(fashion_mnist=module, mnist=module, cifar10=module)
    monkeypatch.setitem(sys.modules, "keras", SimpleNamespace(datasets=fake))
    return module


def test_keras_sets_have_their_official_splits_channels_and_class_names(fake_keras):
    train, test = load("fashion_mnist"), load("fashion_mnist", split="test")
    (pixels, codes), (_, test_codes) = fake_keras.load_data()
    np.testing.assert_array_equal(train.pixels[..., 0], pixels)
    np.testing.assert_array_equal(train.labels["clothing"], codes)
    np.testing.assert_array_equal(test.labels["clothing"], test_codes[:, 0])
    assert train.classes["clothing"][9] == "ankle boot"
    assert load("mnist", size=32, count=2).pixels.shape == (2, 32, 32, 1)


def test_stacked_mnist_stacks_digits_of_the_official_split_with_a_margin(fake_keras):
    (pixels, codes), (test_pixels, test_codes) = fake_keras.load_data()
    for split, digits, known in (
        ("train", pixels, codes),
        ("test", test_pixels, test_codes[:, 0]),
    ):
        data = load("stacked_mnist", split=split, count=20)
        assert data.pixels.shape == (20, 32, 32, 3)
        inner = data.pixels[:, 2:-2, 2:-2]
        assert data.pixels.sum() == inner.sum()  # the margin is black
        for picture, mode in zip(inner, data.labels["mode"], strict=True):
            for channel, code in enumerate(f"{mode:03d}"):
                rows = np.flatnonzero((digits == picture[..., channel]).all(axis=(1, 2)))
                assert int(code) in known[rows]
    assert load("stacked_mnist", size=16, count=2).pixels.shape == (2, 16, 16, 3)
    assert len(load("stacked_mnist")) == 2048 and len(load("stacked_mnist", split="test")) == 512


@pytest.mark.parametrize(
    "name", ["fashion_mnist", "mnist", "cifar10", "stacked_mnist", "olivetti", "lfw"]
)
def test_without_a_network_the_error_says_what_to_do(name, fake_keras, monkeypatch, course_cache):
    fake_keras.load_data = deny
    monkeypatch.setattr("sklearn.datasets._base.urlretrieve", deny)
    monkeypatch.setattr("sklearn.datasets._base.time.sleep", lambda _: None)
    facts = SOURCES[name]
    with pytest.raises(DataUnavailableError) as caught:
        load(name, count=3)
    message = str(caught.value)
    assert message.startswith(f"{name} isn't on this machine") and "no network" in message
    assert f"load({facts['alternative']!r})" in message and facts["where"] in message
    for file in facts["files"]:
        assert str(runtime.source_folder(facts) / file["path"]) in message
        assert str(course_cache) in message


def test_a_damaged_file_is_named_before_any_library_reads_it(fake_keras, course_cache):
    def read():
        raise AssertionError("read")

    fake_keras.load_data = read
    path = course_cache / "keras" / SOURCES["mnist"]["files"][0]["path"]
    path.parent.mkdir(parents=True)
    path.write_bytes(b"other bytes")
    with pytest.raises(
        DataUnavailableError, match="mnist.npz is damaged.*Delete it and load again"
    ):
        load("mnist")


def test_a_damaged_download_is_noticed_too(fake_keras, course_cache):
    good = fake_keras.load_data

    def download():
        path = course_cache / "keras" / SOURCES["mnist"]["files"][0]["path"]
        path.parent.mkdir(parents=True)
        path.write_bytes(b"cut off")
        return good()

    fake_keras.load_data = download
    with pytest.raises(DataUnavailableError, match="mnist.npz is damaged"):
        load("mnist")


KERAS_SCRIPT = """
import json, sys, urllib.request
from urllib.error import URLError
def deny(*_, **__): raise URLError("no network in this test")
urllib.request.urlopen = deny
from pathlib import Path
from course_lib import runtime
runtime.machine.start_tensorflow()
from course_lib.datasets import catalog
folder, said = Path(sys.argv[1]), {}
def attempt(step):
    try:
        data = catalog.load("fashion_mnist", split="test")
        said[step] = [len(data), int(data.pixels.sum()), data.labels["clothing"][:5].tolist()]
    except catalog.DataUnavailableError as error:
        said[step] = str(error)
attempt("good")
path = folder / "datasets/fashion-mnist/t10k-images-idx3-ubyte.gz"
raw = bytearray(path.read_bytes())
raw[len(raw) // 2] ^= 1
path.unlink()
path.write_bytes(raw)
attempt("damaged")
path.unlink()
attempt("missing")
import keras
said["home"] = str(runtime.keras_home())
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def real_keras(shared_data, tmp_path_factory, run_python):
    """What the real `keras.datasets` did with the real Fashion-MNIST, then damaged, then absent."""
    home = tmp_path_factory.mktemp("keras_home")
    target = home / "datasets" / "fashion-mnist"
    target.mkdir(parents=True)
    for path in (shared_data / "fashion_mnist").glob("*.gz"):
        (target / path.name).symlink_to(path)
    done = run_python(KERAS_SCRIPT, arguments=[home], KERAS_HOME=home)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]) | {"expected": home}


def test_the_real_fashion_mnist_loads_through_keras(real_keras, shared_data):
    with gzip.open(shared_data / "fashion_mnist" / "t10k-images-idx3-ubyte.gz") as stream:
        pixels = np.frombuffer(stream.read(), np.uint8, offset=16)
    assert real_keras["good"] == [10_000, int(pixels.sum()), [9, 2, 1, 1, 6]]


def test_one_flipped_bit_in_the_keras_cache_is_noticed(real_keras):
    assert "t10k-images-idx3-ubyte.gz is damaged" in real_keras["damaged"]


def test_one_missing_file_in_the_keras_cache_is_named_alone(real_keras):
    message = real_keras["missing"]
    assert "isn't on this machine" in message and "no network" in message
    assert message.count("-ubyte.gz") == 1 + message.count("tf-keras-datasets")
    assert str(real_keras["expected"]) in message and real_keras["home"] in message


@pytest.fixture
def olivetti(shared_data, course_cache):
    """The original photographs in the file that scikit-learn keeps of its own version of them."""
    people = [shared_data / "orl_faces" / f"s{number}" for number in range(1, 41)]
    files = [folder / f"{picture}.pgm" for folder in people for picture in range(1, 11)]
    faces = np.array([np.asarray(Image.open(path).resize((64, 64)).transpose(5)) for path in files])
    home = course_cache / "scikit-learn"
    home.mkdir()
    joblib.dump(faces.reshape(400, -1) / 255, home / "olivetti_py3.pkz", compress=1)
    return faces.swapaxes(1, 2)


def test_olivetti_loads_through_scikit_learn_and_is_split_evenly_by_person(olivetti):
    train, test = load("olivetti"), load("olivetti", split="test")
    assert (np.bincount(train.labels["person"]) == 8).all() and len(train) == 320
    assert (np.bincount(test.labels["person"]) == 2).all()
    stretched = (olivetti - olivetti.min()) / np.ptp(olivetti) * 255.0
    np.testing.assert_allclose(test.pixels[..., 0], stretched[4::5], atol=0.51)
    assert load("olivetti", size=32, count=4).pixels.shape == (4, 32, 32, 1)


def test_olivetti_is_read_once_and_then_from_a_checked_copy(olivetti, course_cache):
    first = load("olivetti")
    (course_cache / "scikit-learn" / "olivetti_py3.pkz").write_bytes(b"gone bad")
    np.testing.assert_array_equal(load("olivetti").pixels, first.pixels)
    (copy,) = (course_cache / "arrays").iterdir()
    raw = bytearray(copy.read_bytes())
    raw[len(raw) // 2] ^= 1
    copy.write_bytes(raw)
    with pytest.raises(DataUnavailableError, match=f"{copy.name} is damaged.*Delete it"):
        load("olivetti")


def test_a_damaged_pickle_of_scikit_learn_is_named(olivetti, course_cache):
    path = course_cache / "scikit-learn" / "olivetti_py3.pkz"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(
        DataUnavailableError, match="couldn't be read .*Delete these(.|\n)*_py3.pkz"
    ):
        load("olivetti")
    assert not list((course_cache / "arrays").glob("*")) or pytest.fail("a broken copy was kept")


@pytest.fixture
def lfw(course_cache):
    """A small collection laid out as scikit-learn unpacks Labeled Faces in the Wild."""
    home = course_cache / "scikit-learn" / "lfw_home"
    for person, count in (("Ann_Lee", 101), ("Bo_Chu", 4)):
        (home / "lfw_funneled" / person).mkdir(parents=True)
        for number in range(count):
            picture = np.full((250, 250, 3), 20, np.uint8)
            picture[61:189, 61:189] = 100 + number
            path = home / "lfw_funneled" / person / f"{person}_{number + 1:04d}.jpg"
            Image.fromarray(picture).save(path, quality=90)
    for name in ("pairsDevTrain.txt", "pairsDevTest.txt", "pairs.txt"):
        (home / name).write_text("")
    return home / "lfw_funneled"


def test_lfw_loads_through_scikit_learn_with_people_as_labels(lfw):
    train, test = load("lfw"), load("lfw", split="test")
    assert train.pixels.shape == (84, 64, 64, 3) and len(test) == 21
    assert train.classes["person"] == ("Ann Lee", "Bo Chu")
    assert test.labels["person"].tolist() == [0] * 20 + [1]
    np.testing.assert_allclose(test.pixels[:20].mean((1, 2, 3)), 104 + 5 * np.arange(20), atol=3)
    assert train.pixels.min() > 90  # the frame around the central part is cut off
    shutil.rmtree(lfw)
    np.testing.assert_array_equal(load("lfw").pixels, train.pixels)
    assert load("lfw", count=2).pixels.shape == (2, 64, 64, 3)


def test_a_broken_photograph_in_lfw_is_named(lfw):
    (lfw / "Bo_Chu" / "Bo_Chu_0002.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match="Bo_Chu_0002.jpg is empty"):
        load("lfw", size=16)


# The learner's own files


@pytest.fixture
def pictures(tmp_path):
    for index in range(10):
        images.save_png(tmp_path / "mine" / f"{index}.png", np.full((9, 9, 3), index, np.uint8))
    return tmp_path / "mine"


def test_a_folder_is_split_and_counted_before_it_is_read(pictures, capsys):
    train, test = (load(f"folder:{pictures}", size=8, split=split) for split in ("train", "test"))
    assert train.pixels[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 5, 6, 7, 8]
    assert test.pixels[:, 0, 0, 0].tolist() == [4, 9] and test.labels == {}
    assert len(load(f"folder:{pictures}", size=8, count=3)) == 3
    assert load(f"folder:{pictures}").pixels.shape[1:] == (64, 64, 3)
    (pictures / "3.png").write_bytes(b"")
    assert len(load(f"folder:{pictures}", size=8)) == 7
    assert "1 of 8 files skipped" in capsys.readouterr().out


def test_subfolders_become_classes(tmp_path):
    for index in range(10):
        kind = "cat" if index < 6 else "dog"
        images.save_png(tmp_path / kind / f"{index}.png", np.full((8, 8, 3), index, np.uint8))
    data = load(f"folder:{tmp_path}", size=8)
    assert data.classes == {"class": ("cat", "dog")}
    assert data.labels["class"].tolist() == [0] * 5 + [1] * 3


def test_a_folder_that_is_none_empty_or_too_small_is_named(tmp_path):
    with pytest.raises(DataUnavailableError, match=r"nowhere is no folder.*load\('avatars'\)"):
        load("folder:nowhere")
    with pytest.raises(ValueError, match="No pictures in"):
        load(f"folder:{tmp_path}")
    images.save_png(tmp_path / "0.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(ValueError, match="no test images.*at least 5"):
        load(f"folder:{tmp_path}", split="test")
    with pytest.raises(ValueError, match="has 1 train images.*count=2"):
        load(f"folder:{tmp_path}", count=2)


@pytest.fixture
def celeba(tmp_path):
    for index in range(1, 7):
        picture = np.full((218, 178, 3), index * 20, np.uint8)
        picture[:20] = picture[198:] = 255  # above and below the central square
        images.save_png(tmp_path / "img_align_celeba" / f"{index:06d}.png", picture)
    for path in (tmp_path / "img_align_celeba").iterdir():
        path.rename(path.with_suffix(".jpg"))
    return tmp_path


def write_lists(folder, suffix):
    values = {f"{i:06d}.jpg": (1 if i % 2 else -1, -1 if i < 4 else 1) for i in range(1, 7)}
    comma = "," if suffix == "csv" else " "
    header = ["image_id,Smiling,Male"] if suffix == "csv" else ["6", "Smiling Male"]
    rows = [comma.join(map(str, (name, *codes))) for name, codes in values.items()]
    (folder / f"list_attr_celeba.{suffix}").write_text("\n".join([*header, *rows]) + "\n")
    header = ["image_id,partition"] if suffix == "csv" else []
    parts = [f"{name}{comma}{max(0, i - 3)}" for i, name in enumerate(values)]
    parts = [part[:-1] + str(min(2, int(part[-1]))) for part in parts]
    (folder / f"list_eval_partition.{suffix}").write_text("\n".join([*header, *parts]) + "\n")


@pytest.mark.parametrize("suffix", ["txt", "csv"])
def test_celeba_has_its_attributes_and_official_split(celeba, suffix):
    write_lists(celeba, suffix)
    train, test = (load(f"celeba:{celeba}", size=32, split=split) for split in ("train", "test"))
    assert train.pixels[:, 9, 9, 0].tolist() == [20, 40, 60, 80]
    assert test.pixels[:, 9, 9, 0].tolist() == [100, 120]
    assert train.labels["Smiling"].tolist() == [1, 0, 1, 0]
    assert train.labels["Male"].tolist() == [0, 0, 0, 1]
    assert train.classes["Male"] == ("no", "yes")


def test_celeba_without_its_lists_is_a_folder(celeba):
    train = load(f"celeba:{celeba / 'img_align_celeba'}", size=16)
    assert train.pixels[:, 9, 9, 0].tolist() == [20, 40, 60, 80, 120] and train.labels == {}
    assert train.pixels.max() == 120  # the strips above and below are cut off
