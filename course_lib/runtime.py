"""The set-up of a run: speed profile, seeds, precision, devices, folders, and a report of it all.

Importing this file takes no TensorFlow and little time: what a function needs, it imports itself.
"""

import functools
import os
import platform
import sys
import tempfile
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from course_lib import cluster, machine

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

ROOT = Path(__file__).resolve().parent.parent
DATA_DIR = ROOT / "data"
CHECKPOINTS_DIR = DATA_DIR / "checkpoints"
SPEEDS = ("smoke", "class", "full")
WORTHWHILE_GAIN = 1.2  # of convolutions alone: casts elsewhere take a part of it back
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16", "auto", "prefer_bfloat16")


# Speed -------------------------------------------------------------------------------------------


@functools.cache
def speed() -> str:
    """Returns the speed profile of this process: "smoke", "class" or "full".

    The environment variable COURSE_SPEED is read once, at the first call; without it the speed is
    "class". smoke is for tests, class for two CPU cores in minutes, full for a GPU.

    Raises:
        ValueError: If COURSE_SPEED names another speed.
    """
    value = os.environ.get("COURSE_SPEED", "class")
    if value not in SPEEDS:
        raise ValueError(
            f"COURSE_SPEED must be one of {', '.join(SPEEDS)}. Received: {value!r}. "
            "Unset it for the default, class, and restart the kernel."
        )
    return value


# Folders -----------------------------------------------------------------------------------------


def _is_writable(folder: Path) -> bool:
    """Tries it: permission bits say nothing about read-only disks, nor to the root user."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _chosen_folder(variable: str) -> Path:
    """The folder that an environment variable names, made if it is missing."""
    folder = Path(os.environ[variable]).expanduser().resolve()
    if not _is_writable(folder):
        raise ValueError(
            f"{variable} must name a writable folder. Received: {os.environ[variable]!r}."
        )
    return folder


def _private_temporary_folder() -> Path:
    """A folder in the system's temporary folder that belongs to this user alone."""
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    folder = Path(tempfile.gettempdir()) / f"gan-course-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
        raise PermissionError(
            f"{folder} belongs to another user. Set COURSE_CACHE to a folder of your own."
        )
    return folder


@functools.cache
def cache_dir() -> Path:
    """Returns the writable folder for downloads and for what can be computed again.

    It is COURSE_CACHE if set; otherwise data/cache of the checkout; where that can't be written, a
    folder of this user in the system's temporary folder (`report` says so).

    Raises:
        ValueError: If COURSE_CACHE names a folder that can't be written.
    """
    if os.environ.get("COURSE_CACHE"):
        return _chosen_folder("COURSE_CACHE")
    if DATA_DIR.is_dir() and _is_writable(DATA_DIR / "cache"):
        return DATA_DIR / "cache"
    return _private_temporary_folder()


def results_dir() -> Path:
    """Returns the writable folder for what the learner's own runs produce.

    It is COURSE_RESULTS if set; otherwise results/ of the checkout, or a folder in the cache where
    the checkout can't be written. The stored results of the course are in data/results instead.

    Raises:
        ValueError: If COURSE_RESULTS names a folder that can't be written.
    """
    if os.environ.get("COURSE_RESULTS"):
        return _chosen_folder("COURSE_RESULTS")
    if DATA_DIR.is_dir() and _is_writable(ROOT / "results"):
        return ROOT / "results"
    folder = cache_dir() / "results"
    folder.mkdir(exist_ok=True)
    return folder


def keras_home() -> Path:
    """Returns the folder in which Keras keeps its downloads.

    Keras reads KERAS_HOME once, when it is first imported. `prepare_environment` therefore sets it
    (to a folder in `cache_dir`) unless the user did or Keras came first.
    """
    prepare_environment()
    if "KERAS_HOME" in os.environ:
        return Path(os.environ["KERAS_HOME"]).expanduser()
    # Keras was imported before course_lib: its own rule holds.
    home = Path(os.path.expanduser("~"))
    return (home if os.access(home, os.W_OK) else Path("/tmp")) / ".keras"


def prepare_environment() -> None:
    """Points the caches of Keras and Matplotlib to writable folders; called by `import course_lib`.

    What the user has set, and what an earlier import of the library has fixed, is left alone:
    - KERAS_HOME becomes `cache_dir()/keras`, so that downloads lie in one known place. To use
      downloads you already have, set KERAS_HOME=~/.keras.
    - MPLCONFIGDIR becomes `cache_dir()/matplotlib` only where the home folder can't be written.
    - TF_CPP_MIN_LOG_LEVEL becomes 2: information of TensorFlow's C++ part is not printed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if "KERAS_HOME" not in os.environ and "keras" not in sys.modules:
        (cache_dir() / "keras").mkdir(exist_ok=True)
        os.environ["KERAS_HOME"] = str(cache_dir() / "keras")
    if "MPLCONFIGDIR" not in os.environ and "matplotlib" not in sys.modules:
        home = Path(os.path.expanduser("~"))
        if not (home.is_dir() and _is_writable(home)):
            (cache_dir() / "matplotlib").mkdir(exist_ok=True)
            os.environ["MPLCONFIGDIR"] = str(cache_dir() / "matplotlib")


def display_path(path: Path) -> str:
    """Returns a path as it is shown: relative to the checkout where it lies inside it."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


# Set-up of a run ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Machine:
    """What a run has and how it was set up; `print` it beside a measurement."""

    speed: str
    seed: int
    precision: str
    deterministic: bool
    device: str
    gpus: tuple[str, ...]
    versions: str

    def __str__(self) -> str:
        fixed = ", deterministic" if self.deterministic else ""
        return (
            f"{self.speed} speed on {self.device}; {self.precision}, seed {self.seed}{fixed}\n"
            f"{self.versions}"
        )


def setup(*, seed: int = 0, precision: str = "float32", deterministic: bool = False) -> Machine:
    """Prepares a run: devices, seeds, precision; prints two lines that say on what it runs.

    Args:
        seed: Seed of Python, NumPy and Keras, from 0 to 2**32 - 1.
        precision: "float32", "mixed_bfloat16", "mixed_float16", "auto" or "prefer_bfloat16";
            see `set_precision`.
        deterministic: If True, TensorFlow uses only operations that give the same bits in every
            run on this machine; slower on a GPU, and it can't be undone in this process.

    Returns:
        The machine as it is now set up.

    Raises:
        ValueError: If the seed or the precision can't be used here; the message says what can.
        RuntimeError: If Keras runs on another backend than TensorFlow.
    """
    if not (isinstance(seed, int) and 0 <= seed < 2**32):
        raise ValueError(f"seed must be an integer from 0 to 2**32 - 1. Received: {seed!r}.")
    prepare_environment()
    machine.start_tensorflow()
    import keras
    import tensorflow as tf

    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            f"This course needs Keras on TensorFlow. Received: {keras.backend.backend()!r}. "
            "Set KERAS_BACKEND=tensorflow and restart the kernel."
        )
    current_speed = speed()
    _grow_memory(tf)
    keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    chosen = set_precision(precision)
    gpus = tuple(gpu["name"] for gpu in machine.gpu_details())
    cpu = f"CPU: {machine.cpu_name()}, {machine.usable_cores()} cores"
    device = f"GPU: {', '.join(gpus)}" if gpus else cpu
    this = Machine(current_speed, seed, chosen, deterministic, device, gpus, _versions())
    print(this)
    return this


def _versions() -> str:
    from importlib import metadata

    names = {"TensorFlow": "tensorflow", "Keras": "keras", "NumPy": "numpy"}
    found = ", ".join(f"{name} {metadata.version(key)}" for name, key in names.items())
    return f"Python {platform.python_version()}, {found}"


def _grow_memory(tf) -> None:
    """Lets TensorFlow take GPU memory as it needs it, so that two notebooks can share a GPU."""
    for gpu in tf.config.list_physical_devices("GPU"):
        if tf.config.experimental.get_memory_growth(gpu):
            continue
        try:
            tf.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError:
            print("GPU memory is reserved whole: TensorFlow was used before runtime.setup().")


def supported_precisions(gpus: list[dict], features: dict[str, bool]) -> dict[str, str]:
    """Says which precisions a machine computes in hardware, and why the others are out.

    Args:
        gpus: As `machine.gpu_details` returns them; if there is any, the weakest decides.
        features: As `machine.cpu_features` returns them; used where there is no GPU.

    Returns:
        For each of "float32", "mixed_bfloat16" and "mixed_float16" an empty string if it can be
        used, else the reason why not.
    """
    if gpus:
        weakest = min(gpus, key=lambda gpu: gpu["capability"])
        where = f"{weakest['name']} has compute capability {machine.dotted(weakest['capability'])}"
        bfloat16 = "" if weakest["capability"] >= (8, 0) else f"{where}, and it needs 8.0"
        float16 = "" if weakest["capability"] >= (7, 0) else f"{where}, and it needs 7.0"
    else:
        has_bfloat16 = features.get("AVX512-BF16") or features.get("AMX-BF16")
        bfloat16 = (
            "" if has_bfloat16 else f"the CPU ({machine.cpu_name()}) has no bfloat16 instructions"
        )
        float16 = "there is no GPU, and on a CPU float16 is slower than float32"
    return {"float32": "", "mixed_bfloat16": bfloat16, "mixed_float16": float16}


def set_precision(precision: str) -> str:
    """Sets the precision in which Keras layers compute; variables stay float32.

    Args:
        precision: One of
            "float32": always possible, the default;
            "mixed_bfloat16": a GPU of compute capability >= 8.0, or a CPU with AVX512-BF16 or
            AMX-BF16; needs no loss scaling;
            "mixed_float16": a GPU of compute capability >= 7.0; wrap optimizers in `scaled`;
            "auto": mixed_bfloat16 on a GPU that has it, else mixed_float16 on one that has that,
            else float32. On a CPU auto is float32 even where bfloat16 exists: there the casts
            cost small networks more than they save;
            "prefer_bfloat16": for networks of wide convolutions, which gain by it on a CPU, too:
            mixed_bfloat16 where the hardware has it and, on a CPU, a short measurement finds
            convolutions at least 1.2 times as fast; else float32, and it says so.

    Returns:
        The precision now in use, never "auto".

    Raises:
        ValueError: If the precision is unknown, or this machine doesn't have it.
    """
    if precision not in PRECISIONS:
        raise ValueError(
            f"precision must be one of {', '.join(PRECISIONS)}. Received: {precision!r}."
        )
    import keras

    gpus = machine.gpu_details()
    reasons = supported_precisions(gpus, machine.cpu_features())
    if precision == "auto":
        precision = _automatic_precision(gpus, reasons)
    if precision == "prefer_bfloat16":
        precision = "float32" if reasons["mixed_bfloat16"] else _measured_precision(gpus)
    if reasons[precision]:
        usable = [name for name, reason in reasons.items() if not reason]
        raise ValueError(
            f"{precision} isn't supported on this machine: {reasons[precision]}. "
            f'Use one of: {", ".join(usable)}, or precision="auto".'
        )
    keras.config.set_dtype_policy(precision)
    return precision


def _automatic_precision(gpus: list[dict], reasons: dict[str, str]) -> str:
    if not gpus:
        return "float32"
    return next(n for n in ("mixed_bfloat16", "mixed_float16", "float32") if not reasons[n])


def _measured_precision(gpus: list[dict]) -> str:
    """Decides for hardware that has bfloat16: instructions alone don't make a CPU faster."""
    if gpus or machine.bfloat16_gain() >= WORTHWHILE_GAIN:
        return "mixed_bfloat16"
    gain = machine.bfloat16_gain()
    print(
        f"float32 instead of bfloat16, whose convolutions take {1 / gain:.2f} times as long here."
    )
    return "float32"


def scaled(optimizer: "keras.optimizers.Optimizer") -> "keras.optimizers.Optimizer":
    """Adds loss scaling to an optimizer where float16 needs it.

    Gradients below 6e-8 vanish in float16. The wrapper multiplies the loss before and divides the
    gradients after, and skips a step that overflowed. Use one optimizer per network.

    Args:
        optimizer: Any Keras optimizer.

    Returns:
        A `keras.optimizers.LossScaleOptimizer` around it under "mixed_float16"; otherwise, and if
        it is one already, the optimizer itself.

    Source: Micikevicius et al. 2018, Mixed Precision Training, section 3.2,
        https://arxiv.org/abs/1710.03740
    """
    import keras

    if keras.config.dtype_policy().name != "mixed_float16":
        return optimizer
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return optimizer
    return keras.optimizers.LossScaleOptimizer(optimizer)


def split_cpu(count: int) -> None:
    """Makes several logical devices of the CPU, to try on one machine what several GPUs do.

    They share its cores: results can be compared, speeds can't. Call it before anything else of
    TensorFlow.

    Raises:
        ValueError: If count is no whole number of at least 1.
        RuntimeError: If TensorFlow has started already.
    """
    import tensorflow as tf

    if not (isinstance(count, int) and count >= 1):
        raise ValueError(f"count must be a whole number of at least 1. Received: {count!r}.")
    cpu = tf.config.list_physical_devices("CPU")[0]
    devices = [tf.config.LogicalDeviceConfiguration()] * count
    try:
        tf.config.set_logical_device_configuration(cpu, devices)
    except RuntimeError as error:
        raise RuntimeError(
            "TensorFlow has started with the devices it has: restart the kernel, and call "
            "runtime.split_cpu() before anything else."
        ) from error


def strategy() -> "tf.distribute.Strategy":
    """Returns how training is spread over devices.

    With several processes (`cluster.members`) call it before TensorFlow computes anything: it
    waits until all of them are there.

    Returns:
        `MultiWorkerMirroredStrategy` where the environment describes several processes; else
        `MirroredStrategy` over all GPUs if there are several, or, without a GPU, over several
        logical CPUs; otherwise the default strategy, which changes nothing.

    Raises:
        ValueError: If the cluster is described wrongly; the message says what is missing.
    """
    import tensorflow as tf

    resolver = cluster.resolver()
    if resolver is not None:
        return tf.distribute.MultiWorkerMirroredStrategy(resolver)
    gpus = tf.config.list_logical_devices("GPU")
    devices = gpus or tf.config.list_logical_devices("CPU")
    if len(devices) > 1:
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    return tf.distribute.get_strategy()


# The report --------------------------------------------------------------------------------------


def data_sources() -> dict[str, dict]:
    """Returns the facts of data/sources.toml: for each named set where, licence, files.

    Raises:
        FileNotFoundError: If there is no such file, because the course isn't run from a checkout.
    """
    import tomllib

    path = DATA_DIR / "sources.toml"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing. Install the course from its checkout: pip install -e ."
        )
    return tomllib.loads(path.read_text(encoding="utf-8"))


def source_folder(facts: dict) -> Path:
    """Returns the folder in which the files of a downloadable set are looked for."""
    return keras_home() if facts["library"] == "keras" else cache_dir() / "scikit-learn"


def _group(facts: dict) -> str:
    """Says whether a set loads now: "offline", "cached", "download", "folder" or "missing"."""
    if facts["kind"] == "folder":
        return "folder"
    folder = source_folder(facts)
    paths = [_package_folder(f.get("package"), folder) / f["path"] for f in facts.get("files", ())]
    here = all(path.exists() for path in paths)
    if facts["kind"] == "offline":
        return "offline" if here else "missing"
    return "cached" if here else "download"


def _package_folder(package: str | None, otherwise: Path) -> Path:
    """The folder of an installed package, found without importing it."""
    import importlib.util

    spec = importlib.util.find_spec(package) if package else None
    return Path(spec.submodule_search_locations[0]) if spec else otherwise


def _data_lines() -> list[str]:
    said = {
        "offline": "with no network",
        "cached": "in the cache",
        "download": "by download",
        "folder": "your own",
        "missing": "missing, run pip install -c constraints.txt -e .",
    }
    groups = {group: [] for group in said}
    for name, facts in data_sources().items():
        group = _group(facts)
        groups[group].append(f"{name}:<path>" if group == "folder" else name)
    lines = [f"{said[group]}: {', '.join(names)}" for group, names in groups.items() if names]
    cache = f"cache: {display_path(cache_dir())}"
    if not os.environ.get("COURSE_CACHE") and not cache_dir().is_relative_to(DATA_DIR):
        cache += " (data/cache can't be written; COURSE_CACHE chooses another folder)"
    return [*lines, cache]


def _cpu_lines(features: dict[str, bool]) -> list[str]:
    has = [name for name, present in features.items() if present]
    lacks = [name for name, present in features.items() if not present]
    return [
        f"{machine.cpu_name()}, {machine.usable_cores()} of {os.cpu_count()} cores usable",
        f"has {', '.join(has) or 'none known'}; lacks {', '.join(lacks) or 'none known'}",
    ]


def report() -> str:
    """Returns what this machine has and what to do where something is missing, in plain text."""
    machine.start_tensorflow()
    gpus, features = machine.gpu_details(), machine.cpu_features()
    reasons = supported_precisions(gpus, features)
    usable = ", ".join(name for name, reason in reasons.items() if not reason)
    amount = machine.memory()
    files = CHECKPOINTS_DIR.iterdir() if CHECKPOINTS_DIR.is_dir() else ()
    checkpoints = sorted({path.stem for path in files if not path.name.startswith(".")})
    system = platform.platform(terse=True) + (" under Windows (WSL2)" if machine.is_wsl() else "")
    sections = {
        "System": [f"{system}, Python {platform.python_version()}"],
        "CPU": _cpu_lines(features),
        "Memory": ["{:.1f} GiB, {:.1f} GiB available".format(*amount) if amount else "unknown"],
        "GPU": machine.gpu_lines(gpus),
        "Precision": [f"{_automatic_precision(gpus, reasons)} if left to auto; usable: {usable}"],
        "Speed": [f"{speed()} (change it with COURSE_SPEED={'|'.join(SPEEDS)})"],
        "Libraries": machine.library_lines(ROOT / "constraints.txt"),
        "Data": _data_lines(),
        "Checkpoints": textwrap.wrap(", ".join(checkpoints), 100) or ["none found"],
    }
    text = []
    for title, lines in sections.items():
        text += [f"{title:<12}{lines[0]}", *(f"{'':<12}{line}" for line in lines[1:])]
    return "\n".join(text)
