import json
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from course_lib import checkpoints
from course_lib.array_files import read_arrays
from course_lib.checkpoints import CorruptCheckpointError

ROOT = Path(__file__).resolve().parent.parent

# Saves constantly; every checkpoint is recognisable. Imports no TensorFlow: it starts at once.
SAVER = """
import sys, pathlib, warnings
import numpy as np
from course_lib import checkpoints
assert "tensorflow" not in sys.modules and "keras" not in sys.modules
warnings.simplefilter("ignore")
folder = pathlib.Path(sys.argv[1])
with checkpoints.locked(folder):
    found = checkpoints.load_newest(folder)
    number = found[2]["details"]["number"] if found else 0
    while True:
        number += 1
        arrays = {"x": np.full(3_000, number), "y": np.full(3_000, -number)}
        checkpoints.save_newest(folder, arrays, details={"number": number})
        print(number, flush=True)
"""

# Dies without any cleaning up at the n-th call into the system during a save.
CRASHER = """
import builtins, json, os, pathlib, sys, warnings
import numpy as np
from course_lib import checkpoints
warnings.simplefilter("ignore")

def save(folder, number):
    checkpoints.save_newest(folder, {"x": np.full(9, number)}, details={"number": number})

def die_at(count):
    calls = iter(range(count))
    def dying(call):
        def wrapper(*args, **kwargs):
            if next(calls, None) is None:
                os._exit(9)
            return call(*args, **kwargs)
        return wrapper
    for name in ("replace", "fsync", "unlink", "open"):
        setattr(os, name, dying(getattr(os, name)))
    builtins.open = dying(open)

before, results = int(sys.argv[2]), []
while True:
    folder = pathlib.Path(sys.argv[1]) / str(len(results))
    folder.mkdir()
    for number in range(before):
        save(folder, number + 1)
    child = os.fork()
    if not child:
        die_at(len(results))
        save(folder, before + 1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    left = checkpoints.load_newest(folder)
    save(folder, 9)
    results.append([left and left[2]["details"], left and left[1]["x"].tolist()])
    results[-1].append(sorted(os.listdir(folder)))
    if status == 0:
        break
print(json.dumps(results))
"""


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    """A busy disk can take seconds to flush; that it is asked to is tested in array_files."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def start(code, folder):
    command = [sys.executable, "-c", code, str(folder)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def save_numbers(folder, *numbers):
    """Save one checkpoint per number, which is its content; return their paths."""
    folder.mkdir(exist_ok=True)
    return [
        checkpoints.save_newest(folder, {"x": np.full(4, n)}, details={"number": n})
        for n in numbers
    ]


def number_of(folder):
    return checkpoints.load_newest(folder)[2]["details"]["number"]


def small_model():
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(3),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(1),
        ]
    )


def small_state(seed):
    """Return one object of every kind, with values that depend on the seed."""
    keras.utils.set_random_seed(seed)
    model = small_model()
    adam = keras.optimizers.Adam(0.1 / seed)
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.2 / seed))
    for optimizer in (adam, scaled):
        optimizer.build(model.trainable_variables)
    state = {
        "model": model,
        "average": keras.models.clone_model(model),
        "adam": adam,
        "scaled": scaled,
        "seed": keras.random.SeedGenerator(seed),
        "generator": tf.random.Generator.from_seed(seed),
        "variable": tf.Variable(tf.fill((2,), tf.cast(seed / 3, tf.bfloat16)), name="share"),
        "keras_variable": keras.Variable(np.full(2, seed / 3), dtype="float16"),
    }
    for index, variable in enumerate(checkpoints.named_variables(state).values()):
        variable.assign(tf.cast(tf.fill(variable.shape, seed * 1000 + index), variable.dtype))
    return state


def test_the_last_two_checkpoints_are_kept_and_the_newest_is_read(tmp_path):
    assert checkpoints.load_newest(tmp_path) is None
    assert checkpoints.load_newest(tmp_path / "missing") is None
    paths = save_numbers(tmp_path, 10, 20, 30)
    path, arrays, manifest = checkpoints.load_newest(tmp_path)
    assert path == paths[-1] and manifest["details"] == {"number": 30}
    np.testing.assert_array_equal(arrays["x"], np.full(4, 30))
    kept = [path.with_suffix(end).name for path in paths[1:] for end in (".json", ".npz")]
    assert sorted(os.listdir(tmp_path)) == kept


def test_more_than_ten_checkpoints_are_in_the_order_of_their_numbers(tmp_path):
    save_numbers(tmp_path, *range(1, 13))
    assert number_of(tmp_path) == 12


def truncate(path):
    path.write_bytes(path.read_bytes()[:-9])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 64
    path.write_bytes(content)


def remove_manifest(path):
    path.with_suffix(".json").unlink()


@pytest.mark.parametrize("damage", [truncate, flip, remove_manifest])
def test_a_damaged_newest_checkpoint_is_passed_over_with_a_warning(tmp_path, damage):
    paths = save_numbers(tmp_path, 1, 2)
    damage(paths[1])
    with pytest.warns(UserWarning, match="checkpoint-000002.*Using checkpoint-000001.npz instead"):
        assert number_of(tmp_path) == 1


def test_an_unfinished_save_is_passed_over_with_a_warning(tmp_path):
    paths = save_numbers(tmp_path, 1, 2)
    paths[1].unlink()
    with pytest.warns(UserWarning, match="checkpoint-000002.npz is missing: .* never finished"):
        assert number_of(tmp_path) == 1


def test_a_folder_with_nothing_but_damage_is_an_error(tmp_path):
    paths = save_numbers(tmp_path, 1, 2)
    size = paths[1].stat().st_size
    flip(paths[0])
    truncate(paths[1])
    expected = f"delete the folder to start again.*Expected {size} bytes.*found {size - 9} bytes"
    with pytest.raises(CorruptCheckpointError, match=expected) as caught:
        checkpoints.load_newest(tmp_path)
    assert caught.value.path == paths[1] and "checkpoint-000001.npz" in str(caught.value)


def test_the_older_readable_checkpoint_outlives_a_damaged_one(tmp_path):
    paths = save_numbers(tmp_path, 1, 2)
    flip(paths[1])
    with pytest.warns(UserWarning, match="checkpoint-000002.npz is damaged.*It is deleted"):
        save_numbers(tmp_path, 3)
    assert [p.name[-5] for p in sorted(tmp_path.glob("*.npz"))] == ["1", "3"]


def test_saving_clears_what_killed_saves_left(tmp_path):
    save_numbers(tmp_path, 1, 2)
    (tmp_path / ".checkpoint-000003.npz.77-1.tmp").write_bytes(b"half")
    (tmp_path / "checkpoint-000003.json").write_bytes(b"{}")
    (tmp_path / "notes.npz").write_bytes(b"not ours")
    save_numbers(tmp_path, 4)
    names = {p.name for p in tmp_path.iterdir()}
    assert names == {
        "notes.npz",
        *(f"checkpoint-00000{n}.{end}" for n in (2, 4) for end in ("npz", "json")),
    }


@pytest.mark.parametrize("before", [0, 2])
def test_a_crash_at_any_call_of_a_save_leaves_the_last_or_the_new_checkpoint(tmp_path, before):
    command = [sys.executable, "-c", CRASHER, str(tmp_path), str(before)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    numbers = [details["number"] if details else 0 for details, _, _ in results]
    assert len(results) > 10 and numbers == sorted(numbers)
    assert set(numbers) == {before, before + 1}
    for number, (_, values, names) in zip(numbers, results, strict=True):
        assert values == ([number] * 9 if number else None)
        readable = 2 if number else 1
        assert len(names) == 2 * readable
        assert all(name.startswith("checkpoint-") for name in names)


def test_kill_at_a_random_moment_loses_no_finished_checkpoint(tmp_path):
    moments = random.Random(0)
    for _ in range(5):
        with start(SAVER, tmp_path) as saver:
            first = int(saver.stdout.readline())
            time.sleep(moments.uniform(0, 0.06))
            saver.kill()
            printed = int(([first] + saver.stdout.read().split())[-1])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a save may be unfinished
            _, arrays, manifest = checkpoints.load_newest(tmp_path)
        number = manifest["details"]["number"]
        assert number in (printed, printed + 1)  # one may be saved and not yet announced
        assert set(arrays["x"]) == {number} and set(arrays["y"]) == {-number}


def test_one_run_at_a_time_uses_a_folder(tmp_path):
    with checkpoints.locked(tmp_path / "new" / "run"):
        with pytest.raises(RuntimeError, match=rf"in use .*process {os.getpid()} on .* since"):
            with checkpoints.locked(tmp_path / "new" / "run"):
                pass
    with checkpoints.locked(tmp_path / "new" / "run"):
        assert [p.name for p in (tmp_path / "new" / "run").iterdir()] == ["lock"]


def test_a_killed_process_does_not_keep_its_folder(tmp_path):
    with start(SAVER, tmp_path) as saver:
        saver.stdout.readline()
        with pytest.raises(RuntimeError, match=f"process {saver.pid} on"):
            with checkpoints.locked(tmp_path):
                pass
        saver.send_signal(signal.SIGKILL)
    assert f"process {saver.pid} on" in (tmp_path / "lock").read_text()
    with checkpoints.locked(tmp_path):
        assert f"process {os.getpid()} on" in (tmp_path / "lock").read_text()


def test_a_folder_that_cannot_be_written_is_refused_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot be written here; choose another folder.*file/run"):
        with checkpoints.locked(tmp_path / "file" / "run"):
            pass


def test_a_file_system_without_locks_is_a_warning(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.warns(UserWarning, match="take care that only one run uses the folder"):
        with checkpoints.locked(tmp_path):
            pass


def test_every_variable_of_every_kind_of_object_is_restored(tmp_path):
    source, target = small_state(1), small_state(2)
    checkpoints.save_newest(tmp_path, checkpoints.state_arrays(source))
    checkpoints.restore_state(target, checkpoints.load_newest(tmp_path)[1])
    wanted, got = checkpoints.state_arrays(source), checkpoints.state_arrays(target)
    assert wanted.keys() == got.keys()
    for name in wanted:
        assert wanted[name].dtype == got[name].dtype
        np.testing.assert_array_equal(wanted[name], got[name], err_msg=name)


def test_the_state_holds_slots_statistics_seeds_and_loss_scale():
    names = set(checkpoints.named_variables(small_state(1)))
    assert len(names) == 2 * 9 + 14 + 4 + 14 + 4
    for name in (
        "model/000/kernel",
        "model/004/moving_mean",
        "model/006/seed_generator_state",  # of Dropout
        "average/006/seed_generator_state",
        "adam/000/iteration",
        "adam/001/learning_rate",
        "adam/002/sequential_dense_kernel_momentum",
        "scaled/003/dynamic_scale",
        "seed/000/seed_generator_state",
        "generator/000/StateVar",
        "variable/000/share",
    ):
        assert name in names


def test_what_is_not_built_or_not_state_is_refused():
    adam = keras.optimizers.Adam()
    with pytest.raises(ValueError, match=r"adam \(Adam\) has no variables yet.*optimizer.build"):
        checkpoints.named_variables({"adam": adam})
    scaled = keras.optimizers.LossScaleOptimizer(adam)
    with pytest.raises(ValueError, match=r"opt \(LossScaleOptimizer\) has no variables yet"):
        checkpoints.state_arrays({"opt": scaled})
    with pytest.raises(ValueError, match=r"net \(Sequential\) has no variables yet"):
        checkpoints.named_variables({"net": keras.Sequential([keras.layers.Dense(1)])})
    with pytest.raises(TypeError, match="rate is a float; state holds"):
        checkpoints.named_variables({"rate": 0.1})


def test_a_state_that_does_not_fit_is_listed_and_nothing_is_assigned():
    arrays = checkpoints.state_arrays({"model": small_model(), "step": tf.Variable(3)})
    other = {"model": small_model(), "step": tf.Variable(5.0), "more": tf.Variable([1, 2])}
    kernel = other["model"].layers[0].kernel
    before = kernel.numpy()
    with pytest.raises(ValueError) as caught:
        checkpoints.restore_state(other, arrays)
    assert str(caught.value).split("\n")[1:] == [
        "  more/000: here Variable (2,) int32, in the file nothing",
        "  step/000: here Variable () float32, in the file Variable () int32",
    ]
    np.testing.assert_array_equal(kernel.numpy(), before)


def test_a_long_list_of_differences_is_cut():
    arrays = {f"model/{n:03d}/kernel": np.zeros(n) for n in range(20)}
    with pytest.raises(ValueError, match="model/007: here nothing.*\n  and 12 more$"):
        checkpoints.restore_state({}, arrays)


def test_weights_of_one_model_go_without_seeds_and_with_provenance(tmp_path):
    source, target = small_model(), small_model()
    source.layers[1].moving_mean.assign([1.0, 2.0, 3.0])
    provenance = {"data": "avatars", "images": 5}
    digest = checkpoints.save_weights(source, tmp_path / "m.npz", provenance=provenance)
    assert checkpoints.read_provenance(tmp_path / "m.npz") == provenance
    seed = target.layers[2].seed_generator.state.numpy()
    assert checkpoints.load_weights(target, tmp_path / "m.npz", sha256=digest) == provenance
    for wanted, got in zip(source.get_weights(), target.get_weights(), strict=True):
        np.testing.assert_array_equal(wanted, got)
    np.testing.assert_array_equal(target.layers[2].seed_generator.state.numpy(), seed)
    assert len(read_arrays(tmp_path / "m.npz")[0]) == 8


def test_weights_stored_as_float16_load_as_float32(tmp_path):
    source, target = small_model(), small_model()
    checkpoints.save_weights(source, tmp_path / "m.npz", dtype="float16")
    checkpoints.load_weights(target, tmp_path / "m.npz")
    kernel = source.layers[0].kernel.numpy()
    assert target.layers[0].kernel.dtype == "float32"
    np.testing.assert_array_equal(target.layers[0].kernel.numpy(), kernel.astype("f2"))


def test_weights_of_another_architecture_are_refused_whole(tmp_path):
    checkpoints.save_weights(small_model(), tmp_path / "m.npz")
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(2)])
    before = other.get_weights()
    expected = r"002: here kernel \(3, 2\) float32, in the file gamma \(3,\) float32"
    with pytest.raises(ValueError, match=expected):
        checkpoints.load_weights(other, tmp_path / "m.npz")
    for old, new in zip(before, other.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_damaged_or_wrong_weights_are_refused(tmp_path):
    path = tmp_path / "m.npz"
    model = small_model()
    checkpoints.save_weights(model, path)
    with pytest.raises(CorruptCheckpointError, match="not the file asked for"):
        checkpoints.load_weights(model, path, sha256="0" * 64)
    flip(path)
    with pytest.raises(CorruptCheckpointError, match="m.npz is damaged"):
        checkpoints.load_weights(model, path)


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    model = small_model()
    model.layers[0].bias.assign([0.0, np.nan, 0.0])
    with pytest.raises(ValueError, match="not finite are not worth saving: 001/bias"):
        checkpoints.save_weights(model, tmp_path / "m.npz")
    assert not list(tmp_path.iterdir())


def test_not_finite_names_arrays_of_any_dtype():
    infinite = tf.constant([1, np.inf], tf.bfloat16).numpy()
    arrays = {"a": np.arange(3), "b": infinite, "c": np.array(np.nan), "d": np.zeros(0)}
    assert checkpoints.not_finite(arrays) == ["b", "c"]
