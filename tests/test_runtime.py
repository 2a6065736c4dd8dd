import json
import os
import sys
from types import SimpleNamespace

import keras
import pytest

from course_lib import machine, runtime

GPU = {
    name: {"name": name, "capability": number}
    for name, number in [
        ("H200", (9, 0)),
        ("A100", (8, 0)),
        ("T4", (7, 5)),
        ("V100", (7, 0)),
        ("GTX 1080", (6, 1)),
    ]
}
NO_BFLOAT16 = {"AVX2": True, "AVX512F": False, "AVX512-BF16": False, "AMX-BF16": False}


@pytest.fixture
def fresh():
    """Forgets what was read once, before and after the test."""
    runtime.speed.cache_clear()
    runtime.cache_dir.cache_clear()
    yield
    runtime.speed.cache_clear()
    runtime.cache_dir.cache_clear()


@pytest.fixture
def float32_afterwards():
    yield
    keras.config.set_dtype_policy("float32")


# Speed


@pytest.mark.parametrize("value", ["smoke", "class", "full"])
def test_the_speed_is_that_of_the_environment(fresh, monkeypatch, value):
    monkeypatch.setenv("COURSE_SPEED", value)
    assert runtime.speed() == value


def test_the_speed_is_class_by_default_and_read_once(fresh, monkeypatch):
    monkeypatch.delenv("COURSE_SPEED", raising=False)
    assert runtime.speed() == "class"
    monkeypatch.setenv("COURSE_SPEED", "full")
    assert runtime.speed() == "class"


@pytest.mark.parametrize("value", ["fast", "", "Class"])
def test_an_unknown_speed_is_named_with_the_choices(fresh, monkeypatch, value):
    monkeypatch.setenv("COURSE_SPEED", value)
    with pytest.raises(ValueError, match=f"smoke, class, full. Received: {value!r}"):
        runtime.speed()


# Folders


def test_the_cache_is_where_the_environment_says(fresh, monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "a" / "b"))
    assert runtime.cache_dir() == tmp_path / "a" / "b" and runtime.cache_dir().is_dir()


@pytest.mark.parametrize("variable", ["COURSE_CACHE", "COURSE_RESULTS"])
def test_a_chosen_folder_that_cannot_be_written_is_an_error(fresh, monkeypatch, variable):
    monkeypatch.setenv(variable, "/proc/nothing")
    with pytest.raises(ValueError, match=f"{variable} must name a writable folder.*/proc/nothing"):
        runtime.cache_dir() if variable == "COURSE_CACHE" else runtime.results_dir()


def test_the_folders_lie_in_the_checkout_by_default(fresh, monkeypatch, tmp_path):
    monkeypatch.delenv("COURSE_CACHE")
    monkeypatch.delenv("COURSE_RESULTS")
    monkeypatch.setattr(runtime, "ROOT", tmp_path)
    monkeypatch.setattr(runtime, "DATA_DIR", tmp_path / "data")
    (tmp_path / "data").mkdir()
    assert runtime.cache_dir() == tmp_path / "data" / "cache"
    assert runtime.results_dir() == tmp_path / "results" and runtime.results_dir().is_dir()
    assert runtime.display_path(runtime.cache_dir()) == os.path.join("data", "cache")


def test_a_checkout_that_cannot_be_written_sends_the_folders_to_the_temporary_one(
    fresh, monkeypatch, tmp_path
):
    monkeypatch.delenv("COURSE_CACHE")
    monkeypatch.delenv("COURSE_RESULTS")
    (tmp_path / "data").write_text("a file where the folder should be")
    monkeypatch.setattr(runtime, "DATA_DIR", tmp_path / "data")
    monkeypatch.setattr(runtime.tempfile, "gettempdir", lambda: str(tmp_path))
    assert runtime.cache_dir().parent == tmp_path and "gan-course" in runtime.cache_dir().name
    assert runtime.cache_dir().stat().st_mode & 0o777 == 0o700
    assert runtime.results_dir() == runtime.cache_dir() / "results"


def test_a_temporary_folder_of_another_user_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(runtime.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(runtime.os, "getuid", lambda: 12345)
    with pytest.raises(PermissionError, match="gan-course-12345 belongs to another user"):
        runtime._private_temporary_folder()


def test_what_the_user_set_is_left_alone(monkeypatch):
    for name in ("keras", "matplotlib"):  # as if neither were imported yet
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setenv("KERAS_HOME", "/their/own")
    monkeypatch.setenv("MPLCONFIGDIR", "/their/fonts")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    runtime.prepare_environment()
    assert os.environ["KERAS_HOME"] == "/their/own" == str(runtime.keras_home())
    assert os.environ["MPLCONFIGDIR"] == "/their/fonts"
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"


# Imports and processes of their own

READ_ONLY_HOME = """
import json, logging, sys
import course_lib
early = sorted({"tensorflow", "keras", "numpy", "matplotlib", "PIL"} & set(sys.modules))
from course_lib import runtime
this = runtime.setup(seed=3)
import os
from course_lib.datasets import avatars, catalog, images, pipeline
import matplotlib.pyplot as plt
names = [name for name, facts in runtime.data_sources().items() if facts["kind"] == "offline"]
for name in names:
    count = {"count": 2} if name in ("avatars", "expressions", "paintings") else {}
    first = next(pipeline.batches(catalog.load(name, **count), 2, seed=0).from_step(0))
plt.plot([0, 1])
plt.savefig(os.path.join(sys.argv[1], "plot.png"))
import keras
import numpy as np, random
print(json.dumps({
    "early": early, "names": names, "keras_home": os.environ["KERAS_HOME"],
    "fonts": os.environ["MPLCONFIGDIR"], "machine": str(this), "deterministic": this.deterministic,
    "draws": [random.random(), float(np.random.rand()), float(keras.random.uniform(()))],
}))
"""


@pytest.fixture(scope="module")
def read_only_home(run_python, tmp_path_factory):
    """What a process said whose home folder nobody can write, not even root."""
    folder = tmp_path_factory.mktemp("cache")
    done = run_python(
        READ_ONLY_HOME,
        arguments=[folder],
        HOME="/proc",
        COURSE_CACHE=folder,
        COURSE_SPEED=None,
        KERAS_HOME=None,
        MPLCONFIGDIR=None,
        XDG_CONFIG_HOME=None,
        XDG_CACHE_HOME=None,
        MPLBACKEND="agg",
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    return said | {"folder": folder, "stderr": done.stderr, "stdout": done.stdout}


def test_importing_the_package_takes_no_heavy_library(read_only_home):
    assert read_only_home["early"] == []


def test_everything_offline_loads_with_a_home_nobody_can_write(read_only_home):
    assert len(read_only_home["names"]) == 8
    assert read_only_home["keras_home"] == str(read_only_home["folder"] / "keras")
    assert read_only_home["fonts"] == str(read_only_home["folder"] / "matplotlib")


def test_a_set_up_process_writes_no_warning_and_no_log(read_only_home):
    assert read_only_home["stderr"] == ""


def test_setup_prints_two_lines_that_name_speed_device_precision_and_versions(read_only_home):
    lines = read_only_home["stdout"].splitlines()[:-1]
    assert len(lines) == 2 and "\n".join(lines) == read_only_home["machine"]
    for part in ("class speed on", machine.cpu_name(), "float32", "seed 3"):
        assert part in lines[0]
    for part in ("Python 3.", "TensorFlow 2.", "Keras 3.", "NumPy 2."):
        assert part in lines[1]


def test_setup_seeds_python_numpy_and_keras(read_only_home):
    import random

    import numpy as np

    keras.utils.set_random_seed(3)
    draws = [random.random(), float(np.random.rand()), float(keras.random.uniform(()))]
    assert read_only_home["draws"] == pytest.approx(draws, abs=1e-7)


TWO_DEVICES = """
import runpy
import tensorflow as tf
from course_lib import runtime
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
this = runtime.setup(deterministic=True)
strategy = runtime.strategy()
print("replicas:", type(strategy).__name__, strategy.num_replicas_in_sync)
tf.random.set_seed(None)
try:
    tf.random.uniform(())
except RuntimeError as error:
    print("unseeded:", "determinism" in str(error))
runpy.run_module("course_lib", run_name="__main__")
"""


@pytest.fixture(scope="module")
def two_devices(run_python):
    """What a process with two logical CPUs printed, the report of `python -m course_lib` last."""
    done = run_python(TWO_DEVICES, COURSE_SPEED="full", CUDA_VISIBLE_DEVICES="-1")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_several_logical_devices_are_mirrored(two_devices):
    assert "replicas: MirroredStrategy 2" in two_devices


def test_determinism_is_switched_on_and_said(two_devices):
    assert "float32, seed 0, deterministic" in two_devices and "unseeded: True" in two_devices


def test_the_command_prints_the_report(two_devices):
    assert "Speed       full" in two_devices and "CUDA_VISIBLE_DEVICES hides" in two_devices


def test_one_device_keeps_the_default_strategy():
    import tensorflow as tf

    assert runtime.strategy() is tf.distribute.get_strategy()


# setup and precision


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "0", None])
def test_a_wrong_seed_is_named(seed):
    with pytest.raises(ValueError, match=r"0 to 2\*\*32 - 1. Received: "):
        runtime.setup(seed=seed)


def test_another_backend_is_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(RuntimeError, match="TensorFlow. Received: 'jax'. Set KERAS_BACKEND"):
        runtime.setup()


@pytest.mark.parametrize(
    ("gpus", "features", "usable", "automatic"),
    [
        ([], {}, "", "float32"),
        ([], NO_BFLOAT16, "", "float32"),
        ([], {**NO_BFLOAT16, "AMX-BF16": True}, "b", "float32"),
        ([], {**NO_BFLOAT16, "AVX512-BF16": True}, "b", "float32"),
        (["H200"], {}, "bh", "mixed_bfloat16"),
        (["A100"], {}, "bh", "mixed_bfloat16"),
        (["T4"], {**NO_BFLOAT16, "AMX-BF16": True}, "h", "mixed_float16"),
        (["V100"], {}, "h", "mixed_float16"),
        (["GTX 1080"], {}, "", "float32"),
        (["H200", "T4"], {}, "h", "mixed_float16"),
    ],
)
def test_the_precision_follows_from_what_the_hardware_has(gpus, features, usable, automatic):
    gpus = [GPU[name] for name in gpus]
    reasons = runtime.supported_precisions(gpus, features)
    assert reasons["float32"] == ""
    assert (reasons["mixed_bfloat16"] == "") == ("b" in usable)
    assert (reasons["mixed_float16"] == "") == ("h" in usable)
    assert runtime._automatic_precision(gpus, reasons) == automatic


def test_setting_the_precision_sets_the_policy_of_keras(monkeypatch, float32_afterwards, capsys):
    monkeypatch.setattr(machine, "gpu_details", lambda: [GPU["T4"]])
    monkeypatch.setattr(machine, "start_tensorflow", lambda: None)
    this = runtime.setup(precision="auto")
    assert this.precision == keras.config.dtype_policy().name == "mixed_float16"
    assert this.gpus == ("T4",) and "GPU: T4; mixed_float16" in capsys.readouterr().out
    assert runtime.set_precision("float32") == keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize("has_it", [True, False])
def test_bfloat16_is_preferred_only_where_the_hardware_has_it(
    monkeypatch, float32_afterwards, has_it
):
    monkeypatch.setattr(machine, "gpu_details", list)
    monkeypatch.setattr(machine, "cpu_features", lambda: {**NO_BFLOAT16, "AMX-BF16": has_it})
    monkeypatch.setattr(machine, "bfloat16_gain", lambda: 2.0)
    wanted = "mixed_bfloat16" if has_it else "float32"
    assert runtime.set_precision("prefer_bfloat16") == wanted
    assert keras.config.dtype_policy().name == wanted


@pytest.mark.parametrize(("gain", "wanted"), [(1.2, "mixed_bfloat16"), (1.19, "float32")])
def test_bfloat16_instructions_that_do_not_pay_are_not_used_and_it_says_so(
    monkeypatch, float32_afterwards, capsys, gain, wanted
):
    monkeypatch.setattr(machine, "gpu_details", list)
    monkeypatch.setattr(machine, "cpu_features", lambda: {**NO_BFLOAT16, "AVX512-BF16": True})
    monkeypatch.setattr(machine, "bfloat16_gain", lambda: gain)
    assert runtime.set_precision("prefer_bfloat16") == wanted
    said = "float32 instead of bfloat16, whose convolutions take 0.84 times as long here.\n"
    assert capsys.readouterr().out == (said if wanted == "float32" else "")


def test_a_gpu_with_bfloat16_is_not_measured(monkeypatch, float32_afterwards):
    monkeypatch.setattr(machine, "gpu_details", lambda: [GPU["A100"]])
    monkeypatch.setattr(machine, "bfloat16_gain", lambda: pytest.fail("measured"))
    assert runtime.set_precision("prefer_bfloat16") == "mixed_bfloat16"


def test_the_gain_of_bfloat16_is_the_ratio_of_the_fastest_turns(monkeypatch):
    """A clock on which float32 takes 6 and bfloat16 2, except where something disturbs it."""
    durations = iter([1, 1, 9, 2, 6, 5, 8, 7, 7, 3, 7, 4, 9, 5])  # float32 first, then bfloat16
    ticks = []

    def clock():
        ticks.append(ticks[-1] + next(durations) if len(ticks) % 2 else 1000.0 * len(ticks))
        return ticks[-1]

    monkeypatch.setattr(machine, "time", SimpleNamespace(perf_counter=clock))
    machine.bfloat16_gain.cache_clear()
    assert machine.bfloat16_gain() == 3.0
    machine.bfloat16_gain.cache_clear()


@pytest.mark.parametrize(
    ("precision", "message"),
    [
        ("float16", "mixed_float16, auto, prefer_bfloat16. Received: 'float16'"),
        ("mixed_bfloat16", "isn't supported.*no bfloat16 instructions.*Use one of: float32, or"),
        ("mixed_float16", "isn't supported.*there is no GPU"),
    ],
)
def test_a_precision_this_machine_lacks_is_refused(monkeypatch, precision, message):
    monkeypatch.setattr(machine, "gpu_details", list)
    monkeypatch.setattr(machine, "cpu_features", lambda: NO_BFLOAT16)
    with pytest.raises(ValueError, match=message):
        runtime.set_precision(precision)
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_only_float16_gets_loss_scaling_and_only_once(float32_afterwards, policy):
    keras.config.set_dtype_policy(policy)
    optimizer = keras.optimizers.SGD(0.1)
    wrapped = runtime.scaled(optimizer)
    if policy == "mixed_float16":
        assert isinstance(wrapped, keras.optimizers.LossScaleOptimizer)
        assert wrapped.inner_optimizer is optimizer and runtime.scaled(wrapped) is wrapped
    else:
        assert wrapped is optimizer


class FakeConfig:
    """Stands in for `tf.config` with two GPUs, of which the first grows already."""

    def __init__(self, started):
        self.calls, self.started = [], started
        self.experimental = SimpleNamespace(
            get_memory_growth=lambda gpu: gpu == "a", set_memory_growth=self.grow
        )

    def list_physical_devices(self, kind):
        return ["a", "b"] if kind == "GPU" else ["cpu"]

    def grow(self, gpu, value):
        if self.started:
            raise RuntimeError("already initialised")
        self.calls.append((gpu, value))


def test_gpu_memory_grows_and_a_late_setup_says_that_it_cannot(capsys):
    config = FakeConfig(started=False)
    runtime._grow_memory(SimpleNamespace(config=config))
    assert config.calls == [("b", True)] and capsys.readouterr().out == ""
    runtime._grow_memory(SimpleNamespace(config=FakeConfig(started=True)))
    assert "used before runtime.setup()" in capsys.readouterr().out


# Facts and the report


def test_the_facts_of_this_machine_are_plausible():
    assert 1 <= machine.usable_cores() <= os.cpu_count()
    total, available = machine.memory()
    assert 0.2 < available <= total < 10_000
    assert machine.cpu_name()


def test_a_container_s_limits_count(monkeypatch):
    files = {
        "/sys/fs/cgroup/cpu.max": "100000 100000\n",
        "/proc/meminfo": "MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\n",
        "/sys/fs/cgroup/memory.max": str(2 * 2**30),
        "/sys/fs/cgroup/memory.current": str(2**29),
    }
    monkeypatch.setattr(machine, "_read", lambda path: files.get(str(path), ""))
    assert machine.usable_cores() == 1 and machine.memory() == (2.0, 1.5)
    files["/sys/fs/cgroup/memory.max"] = "max"
    assert machine.memory() == (16.0, 8.0)
    files.clear()
    assert machine.memory() is None


def test_cpu_features_come_from_the_flags_of_the_first_processor(monkeypatch):
    text = "model name\t: Some CPU\nflags\t\t: fpu avx2 avx512f amx_bf16\n\nmodel name : Other\n"
    monkeypatch.setattr(machine, "_read", lambda path: text)
    machine._cpuinfo.cache_clear()
    try:
        assert machine.cpu_name() == "Some CPU"
        expected = {"AVX2": True, "AVX512F": True, "AVX512-BF16": False, "AMX-BF16": True}
        assert machine.cpu_features() == expected
    finally:
        machine._cpuinfo.cache_clear()


@pytest.mark.parametrize(
    ("case", "said"),
    [
        (
            {"system": "Linux", "driver": False, "cuda_build": True},
            "No NVIDIA driver.*works on the",
        ),
        ({"system": "Linux", "driver": True, "cuda_build": True}, r"libraries.*-e '\.\[gpu\]'"),
        ({"system": "Linux", "driver": True, "cuda_build": False}, r"without CUDA.*\[gpu\]"),
        ({"system": "Windows", "driver": True, "cuda_build": False}, "WSL2"),
        ({"system": "Darwin", "driver": False, "cuda_build": False}, "macOS"),
        ({"system": "Linux", "driver": False, "cuda_build": True, "wsl": True}, "in Windows, not"),
        (
            {"system": "Linux", "driver": True, "cuda_build": True, "hidden": True},
            "CUDA_VISIBLE_DEVICES hides",
        ),
    ],
)
def test_the_advice_names_the_reason_and_the_way_out(case, said):
    import re

    assert re.search(said, machine.gpu_advice(**case))


def test_versions_other_than_the_tested_ones_are_named(tmp_path):
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("numpy==0.1\n")
    assert "numpy" in machine.library_lines(constraints)[-1]
    assert "(tested: 0.1)" in machine.library_lines(constraints)[-1]
    assert "wasn't found" in machine.library_lines(tmp_path / "none.txt")[-1]


def test_a_seen_gpu_is_named_with_its_driver(monkeypatch):
    monkeypatch.setattr(machine, "nvidia_smi", lambda: "NVIDIA T4, 550.1, 15360 MiB")
    lines = machine.gpu_lines([GPU["T4"]])
    assert lines == ["T4, compute capability 7.5", "driver: NVIDIA T4, 550.1, 15360 MiB"]


def test_the_report_is_short_and_names_everything():
    text = runtime.report()
    lines = text.splitlines()
    assert len(lines) < 40 and max(map(len, lines)) <= 130
    for title in ("CPU", "Memory", "GPU", "Precision", "Speed", "Libraries", "Data", "Checkpoints"):
        assert any(line.startswith(title) for line in lines), title
    offline = "expressions, paintings, avatars, digits, stacked_digits, lfw_subset, "
    offline += "photographs, textures"
    assert f"with no network: {offline}" in text
    assert "by download: olivetti, lfw, fashion_mnist, mnist, stacked_mnist, cifar10" in text
    assert "folder:<path>" in text and "smoke" in text


def test_the_report_knows_what_is_in_the_cache_and_what_is_missing(course_cache, monkeypatch):
    facts = runtime.data_sources()
    assert runtime._group(facts["olivetti"]) == "download"
    (course_cache / "scikit-learn").mkdir()
    (course_cache / "scikit-learn" / "olivetti_py3.pkz").write_bytes(b"x")
    assert runtime._group(facts["olivetti"]) == "cached"
    facts["digits"]["files"][0]["path"] = "datasets/data/lost.gz"
    assert runtime._group(facts["digits"]) == "missing"
    monkeypatch.setattr(runtime, "data_sources", lambda: facts)
    assert "missing, run pip install -c constraints.txt -e .: digits" in runtime._data_lines()


def test_a_missing_list_of_sources_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(runtime, "DATA_DIR", tmp_path)
    with pytest.raises(FileNotFoundError, match="sources.toml is missing.*pip install -e"):
        runtime.data_sources()
