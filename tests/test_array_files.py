import hashlib
import json
import os
import resource
import zipfile
from contextlib import contextmanager

import ml_dtypes
import numpy as np
import pytest

from course_lib.array_files import (
    CorruptCheckpointError,
    read_arrays,
    read_manifest,
    write_arrays,
)

ARRAYS = {
    "float/kernel": np.linspace(-2, 2, 60, dtype="float32").reshape(3, 20),
    "scalar": np.array(7, "int64"),
    "half": np.array([1 / 3, 65504, 6e-8], "float16"),
    "brain": np.array([1 / 3, 3e38, -0.0], ml_dtypes.bfloat16),
    "flag": np.array([True, False]),
    "empty": np.zeros((0, 4), "float64"),
    "transposed": np.arange(6.0).reshape(2, 3).T,
}


@contextmanager
def without_rights():
    """Act as a user who owns nothing: permission bits do not bind root."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


@contextmanager
def largest_file(size):
    """Let every write beyond `size` bytes fail with EFBIG, as a full disk does with ENOSPC."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_dtype_comes_back_with_the_same_bits(tmp_path):
    write_arrays(tmp_path / "a.npz", ARRAYS)
    arrays, _ = read_arrays(tmp_path / "a.npz")
    assert list(arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype and arrays[name].shape == array.shape
        assert arrays[name].tobytes() == array.tobytes()


def test_the_manifest_describes_the_file(tmp_path):
    path = tmp_path / "a.npz"
    written = write_arrays(path, ARRAYS, details={"source": "avatars", "sizes": (1, 2)})
    manifest = json.loads((tmp_path / "a.json").read_text())
    assert manifest == written == read_manifest(path)
    assert manifest["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert manifest["size"] == path.stat().st_size
    assert manifest["details"] == {"source": "avatars", "sizes": [1, 2]}
    assert manifest["versions"]["numpy"] == np.__version__
    described = {"shape": [3, 20], "dtype": "float32", "stored": "float32"}
    assert manifest["arrays"]["float/kernel"] == described


def test_equal_arrays_give_equal_bytes(tmp_path, monkeypatch):
    write_arrays(tmp_path / "a.npz", ARRAYS)
    monkeypatch.setattr("time.time", lambda: 2e9)
    write_arrays(tmp_path / "b.npz", ARRAYS)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_numpy_itself_can_open_the_file(tmp_path):
    write_arrays(tmp_path / "a.npz", ARRAYS)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["float/kernel"], ARRAYS["float/kernel"])


def test_float16_storage_halves_the_file_and_rounds_to_nearest(tmp_path):
    array = np.random.default_rng(0).normal(size=10_000).astype("float32")
    size = write_arrays(tmp_path / "a.npz", {"x": array})["size"]
    small = write_arrays(tmp_path / "b.npz", {"x": array, "n": np.arange(3)}, dtype="float16")
    arrays, _ = read_arrays(tmp_path / "b.npz")
    assert small["size"] < 0.52 * size and small["arrays"]["x"]["stored"] == "float16"
    assert arrays["x"].dtype == np.float32 and arrays["n"].dtype == np.int64
    np.testing.assert_array_equal(arrays["x"], array.astype("float16").astype("float32"))
    normal = np.abs(array) > 6.2e-5
    assert np.max(np.abs(arrays["x"] / array - 1)[normal]) <= 2**-11


def test_float16_storage_refuses_what_it_cannot_hold(tmp_path):
    with pytest.raises(ValueError, match=r"x has values up to 7e\+04; float16 ends at 65504"):
        write_arrays(tmp_path / "a.npz", {"x": np.array([1, -70_000.0], "f4")}, dtype="float16")
    assert not list(tmp_path.iterdir())


def test_wrong_arguments_are_named(tmp_path):
    with pytest.raises(ValueError, match="must end in '.npz', got '.*a.h5'"):
        write_arrays(tmp_path / "a.h5", ARRAYS)
    with pytest.raises(ValueError, match="None or 'float16', got 'float8'"):
        write_arrays(tmp_path / "a.npz", ARRAYS, dtype="float8")
    with pytest.raises(TypeError, match="names has dtype <U1; only numbers"):
        write_arrays(tmp_path / "a.npz", {"names": np.array(["a"])})
    with pytest.raises(FileNotFoundError, match="no such array file.*a.npz"):
        read_arrays(tmp_path / "a.npz")
    with pytest.raises(FileNotFoundError, match="no such array file.*a.npz"):
        read_manifest(str(tmp_path / "a.npz"))


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path, share):
    path = tmp_path / "a.npz"
    manifest = write_arrays(path, ARRAYS)
    content = path.read_bytes()[: int(share * manifest["size"])]
    path.write_bytes(content)
    with pytest.raises(CorruptCheckpointError, match="a.npz is damaged") as caught:
        read_arrays(path)
    found = hashlib.sha256(content).hexdigest()
    assert caught.value.expected == f"{manifest['size']} bytes, sha256 {manifest['sha256']}"
    assert caught.value.found == f"{len(content)} bytes, sha256 {found}"
    assert caught.value.expected in str(caught.value) and caught.value.found in str(caught.value)
    assert caught.value.path == path


def test_one_flipped_bit_anywhere_is_noticed(tmp_path):
    path = tmp_path / "a.npz"
    write_arrays(path, {"x": np.arange(50.0)}, details={"images_seen": 1234})
    before = contents(tmp_path)
    for name, content in before.items():
        for offset in [*range(0, len(content), 23), len(content) - 2]:
            changed = bytearray(content)
            changed[offset] ^= 1
            (tmp_path / name).write_bytes(changed)
            try:
                arrays, manifest = read_arrays(path)
            except CorruptCheckpointError:
                continue
            finally:
                (tmp_path / name).write_bytes(content)
            # Only white space of the manifest may change without a meaning.
            assert name == "a.json" and chr(content[offset]) in " \n", (name, offset)


def test_a_missing_manifest_is_damage(tmp_path):
    write_arrays(tmp_path / "a.npz", ARRAYS)
    (tmp_path / "a.json").unlink()
    with pytest.raises(CorruptCheckpointError, match="a.json is missing"):
        read_arrays(tmp_path / "a.npz")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"sha256": 1}', "\x00", "null"])
def test_a_manifest_of_something_else_is_damage(tmp_path, text):
    write_arrays(tmp_path / "a.npz", ARRAYS)
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(CorruptCheckpointError, match="a.json is not a manifest"):
        read_arrays(tmp_path / "a.npz")


def test_a_file_other_than_the_one_asked_for_is_refused(tmp_path):
    digest = write_arrays(tmp_path / "a.npz", ARRAYS)["sha256"]
    assert read_arrays(tmp_path / "a.npz", sha256=digest.upper())[0].keys() == ARRAYS.keys()
    with pytest.raises(CorruptCheckpointError, match=f"not the file asked for.*0123.*{digest}"):
        read_arrays(tmp_path / "a.npz", sha256="0123")


def forge(path, write):
    """Replace an array file by another, with a manifest whose digests fit."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        write(archive)
    manifest = json.loads(path.with_suffix(".json").read_text())
    manifest["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest["size"] = path.stat().st_size
    del manifest["manifest_sha256"]
    digest = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
    path.with_suffix(".json").write_text(json.dumps(manifest | {"manifest_sha256": digest}))


def test_a_forged_file_runs_no_code_and_fills_no_memory(tmp_path):
    path = tmp_path / "a.npz"
    write_arrays(path, {"x": np.zeros(2)})
    pickled = tmp_path / "object.npy"
    np.save(pickled, np.array([{}], object), allow_pickle=True)
    forge(path, lambda archive: archive.write(pickled, "x.npy", zipfile.ZIP_STORED))
    with pytest.raises(CorruptCheckpointError, match="cannot be decoded.*allow_pickle"):
        read_arrays(path)
    forge(path, lambda archive: archive.writestr("x.npy", bytes(10**6)))
    with pytest.raises(CorruptCheckpointError, match="claim to unpack to 1000000"):
        read_arrays(path)
    forge(path, lambda archive: None)
    with pytest.raises(CorruptCheckpointError, match="other arrays than its manifest"):
        read_arrays(path)


def test_a_full_disk_leaves_the_old_file_untouched(tmp_path):
    path = tmp_path / "a.npz"
    write_arrays(path, ARRAYS)
    before = contents(tmp_path)
    for size in (0, 3_000):  # not even the manifest fits; only the manifest fits
        with largest_file(size), pytest.raises(OSError, match="File too large: could not save"):
            write_arrays(path, {"x": np.zeros(100_000)})
        assert contents(tmp_path) == before


def test_a_reader_of_the_old_file_is_not_disturbed(tmp_path):
    write_arrays(tmp_path / "a.npz", ARRAYS)
    old = (tmp_path / "a.npz").read_bytes()
    with open(tmp_path / "a.npz", "rb") as reader:
        write_arrays(tmp_path / "a.npz", {"x": np.zeros(3)})
        assert reader.read() == old
    assert list(read_arrays(tmp_path / "a.npz")[0]) == ["x"]


def test_contents_reach_the_disk_before_names_do(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        call = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, n=name, c=call: calls.append(n) or c(*a))
    write_arrays(tmp_path / "a.npz", ARRAYS)
    assert calls == ["fsync", "fsync", "replace", "fsync", "replace", "fsync"]


def test_a_write_that_reads_back_different_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    write_arrays(path, ARRAYS)
    before = contents(tmp_path)
    read_bytes = type(path).read_bytes
    monkeypatch.setattr(type(path), "read_bytes", lambda self: read_bytes(self)[:-1])
    with pytest.raises(OSError, match="reads back different.*What was saved before is untouched"):
        write_arrays(path, {"x": np.zeros(3)})
    monkeypatch.undo()
    assert contents(tmp_path) == before


def test_a_read_only_folder_is_named(tmp_path):
    folder = tmp_path / "shelf"
    folder.mkdir(mode=0o555)
    tmp_path.chmod(0o755)
    with without_rights(), pytest.raises(PermissionError, match="could not save.*shelf"):
        write_arrays(folder / "a.npz", ARRAYS)


def test_paths_may_hold_spaces_and_any_letters(tmp_path):
    folder = tmp_path / "Grüße an Зоя 画像"
    folder.mkdir()
    write_arrays(str(folder / "mein modell.v2.npz"), ARRAYS)
    assert read_arrays(str(folder / "mein modell.v2.npz"))[0].keys() == ARRAYS.keys()
    assert sorted(contents(folder)) == ["mein modell.v2.json", "mein modell.v2.npz"]
