"""Facts about this machine: CPU, memory, GPU, installed versions, as values and in plain words.

Importing this file takes no TensorFlow and little time: what a function needs, it imports itself.
"""

import functools
import os
import platform
import shutil
import sys
import tempfile
import textwrap
import time
from pathlib import Path

LIBRARIES = ("tensorflow", "keras", "numpy", "scipy", "scikit-learn", "scikit-image", "matplotlib")
LIBRARIES += ("pillow", "pooch", "jupyterlab", "ipywidgets")
GIB = 2**30


def _read(path: str | Path) -> str:
    """Returns the text of a file of the operating system, or "" where it doesn't exist."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _output(*command: str) -> str:
    """Returns what a command prints, or "" where it is absent or fails."""
    import subprocess

    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


@functools.cache
def _cpuinfo() -> dict[str, str]:
    """The first processor of /proc/cpuinfo; on macOS its name and features; else empty."""
    if platform.system() == "Darwin":
        name = _output("sysctl", "-n", "machdep.cpu.brand_string")
        return {"model name": name, "flags": _output("sysctl", "-n", "machdep.cpu.features")}
    pairs = (line.partition(":") for line in _read("/proc/cpuinfo").split("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def cpu_name() -> str:
    """Returns the model name of the CPU, or its architecture where the name is hidden."""
    return _cpuinfo().get("model name") or platform.processor() or platform.machine()


def cpu_features() -> dict[str, bool]:
    """Says which instruction sets that speed up training the CPU has; empty where unknown."""
    flags = set(_cpuinfo().get("flags", "").lower().split())
    known = {
        "AVX2": "avx2",
        "AVX512F": "avx512f",
        "AVX512-BF16": "avx512_bf16",
        "AMX-BF16": "amx_bf16",
    }
    return {name: flag in flags for name, flag in known.items()} if flags else {}


@functools.cache
def bfloat16_gain() -> float:
    """Measures how many times as fast convolutions are in bfloat16 as in float32, in about 0.3 s.

    Timed is what a layer of a training step costs: the weights' cast, a 3x3 convolution of 32 maps
    of 16x16x64, and both gradients; of six turns each the fastest counts, since other programs
    only ever slow one down. It is measured once in a process.

    Returns:
        Time in float32 over time in bfloat16; below 1 bfloat16 is the slower one.
    """
    import tensorflow as tf

    images = tf.random.stateless_normal((32, 16, 16, 64), (0, 0))
    kernel = tf.random.stateless_normal((3, 3, 64, 64), (0, 1))

    @tf.function
    def layer(images, kernel):
        with tf.GradientTape() as tape:
            tape.watch([images, kernel])
            score = tf.reduce_sum(tf.nn.conv2d(images, tf.cast(kernel, images.dtype), 1, "SAME"))
        return tape.gradient(score, [images, kernel])

    inputs = {name: tf.cast(images, name) for name in ("float32", "bfloat16")}
    fastest = dict.fromkeys(inputs, float("inf"))
    for turn in range(7):
        for name, cast in inputs.items():
            start = time.perf_counter()
            layer(cast, kernel)[1].numpy()
            seconds = time.perf_counter() - start
            if turn:  # the first one compiles
                fastest[name] = min(fastest[name], seconds)
    return fastest["float32"] / fastest["bfloat16"]


def usable_cores() -> int:
    """Returns how many CPU cores this process may use, a container's quota included."""
    has_affinity = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    quota, _, period = _read("/sys/fs/cgroup/cpu.max").partition(" ")
    if quota.isdigit() and period.strip().isdigit():
        cores = min(cores, max(1, round(int(quota) / int(period))))
    return cores


def memory() -> tuple[float, float] | None:
    """Returns total and available memory in GiB, a container's limit included, or None."""
    meminfo = (line.partition(":") for line in _read("/proc/meminfo").splitlines())
    kilobytes = {key: int(value.split()[0]) for key, _, value in meminfo}
    if not {"MemTotal", "MemAvailable"} <= kilobytes.keys():
        return None
    total, available = (kilobytes[key] * 1024 for key in ("MemTotal", "MemAvailable"))
    limit = _read("/sys/fs/cgroup/memory.max").strip()
    used = _read("/sys/fs/cgroup/memory.current").strip()
    if limit.isdigit() and used.isdigit() and int(limit) < total:
        total, available = int(limit), min(available, int(limit) - int(used))
    return total / GIB, available / GIB


def gpu_advice(
    *, system: str, driver: bool, cuda_build: bool, hidden: bool = False, wsl: bool = False
) -> str:
    """Says why TensorFlow sees no GPU, and what to do.

    Args:
        system: "Linux", "Windows" or "Darwin", as `platform.system` gives it.
        driver: Whether the NVIDIA driver answers (nvidia-smi).
        cuda_build: Whether this TensorFlow was built with CUDA.
        hidden: Whether CUDA_VISIBLE_DEVICES hides all GPUs.
        wsl: Whether this Linux is WSL2 under Windows.

    Returns:
        Two sentences: the reason, and the way out.
    """
    fine = "Everything in this course works on the CPU."
    if hidden:
        return f"CUDA_VISIBLE_DEVICES hides every GPU. Unset it to use one. {fine}"
    if system == "Windows":
        return f"TensorFlow uses no GPU on native Windows. Install the course in WSL2. {fine}"
    if system == "Darwin":
        return f"TensorFlow sees no NVIDIA GPU on macOS. {fine}"
    if not driver:
        where = "in Windows, not in WSL2," if wsl else "and restart"
        return (
            f"No NVIDIA driver found. {fine} If there is an NVIDIA GPU, install its driver {where}."
        )
    cause = "its CUDA libraries were not found" if cuda_build else "it was built without CUDA"
    return (
        f"The NVIDIA driver works, but TensorFlow doesn't use it: {cause}. "
        "Run: pip install -c constraints.txt -e '.[gpu]'"
    )


def start_tensorflow() -> None:
    """Imports TensorFlow and finds its devices without log lines that mean nothing to a learner.

    TensorFlow 2.21 writes them from C++ whatever TF_CPP_MIN_LOG_LEVEL says. They are shown after
    all where they explain something: if the import fails, or a driver is there but no GPU is seen.
    """
    with tempfile.TemporaryFile() as log:
        sys.stderr.flush()
        kept = os.dup(2)
        os.dup2(log.fileno(), 2)
        explains = True
        try:
            import tensorflow as tf

            explains = not tf.config.list_physical_devices("GPU") and bool(nvidia_smi())
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            if explains:
                log.seek(0)
                sys.stderr.write(log.read().decode(errors="replace"))


def gpu_details() -> list[dict]:
    """Lists the GPUs that TensorFlow sees.

    Returns:
        One dictionary per GPU: "name" (str) and "capability", CUDA's compute capability as a
        tuple such as (8, 0), or (0, 0) where TensorFlow doesn't know it.
    """
    import tensorflow as tf

    details = []
    for gpu in tf.config.list_physical_devices("GPU"):
        found = tf.config.experimental.get_device_details(gpu)
        capability = tuple(found.get("compute_capability", (0, 0)))
        details.append({"name": found.get("device_name", gpu.name), "capability": capability})
    return details


def dotted(capability: tuple[int, ...]) -> str:
    """Writes a compute capability as NVIDIA does: (8, 0) is 8.0."""
    return ".".join(map(str, capability))


def is_wsl() -> bool:
    """Says whether this Linux runs under Windows."""
    return "microsoft" in platform.release().lower()


def nvidia_smi() -> str:
    """Returns "name, driver version, memory" of each GPU, or "" without a working driver."""
    command = shutil.which("nvidia-smi") or "/usr/lib/wsl/lib/nvidia-smi"
    return _output(command, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")


def gpu_lines(gpus: list[dict]) -> list[str]:
    """Returns what TensorFlow sees of GPUs in lines, or why it sees none and what to do."""
    import tensorflow as tf

    smi = nvidia_smi()
    if not gpus:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        advice = gpu_advice(
            system=platform.system(),
            driver=bool(smi),
            cuda_build=tf.test.is_built_with_cuda(),
            hidden=visible is not None and visible.strip() in ("", "-1"),
            wsl=is_wsl(),
        )
        return textwrap.wrap(f"none. {advice}", 86)
    seen = [f"{gpu['name']}, compute capability {dotted(gpu['capability'])}" for gpu in gpus]
    return seen + [f"driver: {line}" for line in smi.splitlines()]


def library_lines(constraints: Path) -> list[str]:
    """Returns the installed versions in lines, and where they differ from constraints.txt."""
    from importlib import metadata

    tested = dict(
        line.strip().lower().split("==") for line in _read(constraints).splitlines() if "==" in line
    )
    installed, remarks = {}, []
    for name in LIBRARIES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            remarks.append(f"{name} is missing")
            continue
        if tested and installed[name] != tested.get(name, installed[name]):
            remarks.append(f"{name} {installed[name]} (tested: {tested[name]})")
    names = [f"{name} {version}" for name, version in installed.items()]
    tail = f"not the tested set: {', '.join(remarks)}" if remarks else "as in constraints.txt"
    if not tested:
        tail = "constraints.txt wasn't found, so that they can't be compared with the tested set"
    return [", ".join(names[:4]), ", ".join(names[4:8]), ", ".join(names[8:]), tail]
