"""Which processes train together: read from the environment, and checked before anyone waits.

Two descriptions are understood. TF_CONFIG is TensorFlow's own, the same on every host but for the
index; the first worker is the chief:

    {"cluster": {"worker": ["host-a:12345", "host-b:12345"]},
     "task": {"type": "worker", "index": 0}}

Slurm (`srun`) describes its steps in SLURM_* variables, which TensorFlow reads.

Importing this file takes no TensorFlow.
"""

import json
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

BEAT = "COURSE_HEARTBEAT"  # names the file by which the launcher sees that training goes on
FIRST_PORT = 12345  # of the processes that Slurm starts on a host
_last_beat = 0.0


@dataclass(frozen=True)
class Members:
    """The processes of a run: host:port of each, and which of them this is."""

    addresses: tuple[str, ...]
    index: int

    def __str__(self) -> str:
        return f"worker {self.index} of {len(self.addresses)} ({', '.join(self.addresses)})"

    def as_tf_config(self) -> str:
        """Returns the text of TF_CONFIG for this process."""
        task = {"type": "worker", "index": self.index}
        return json.dumps({"cluster": {"worker": list(self.addresses)}, "task": task})


def members() -> Members | None:
    """Returns the processes that train together, or None if this is the only one.

    Raises:
        ValueError: If TF_CONFIG or Slurm's variables don't describe a cluster that can work; the
            message shows what was found and what it should be.
    """
    if os.environ.get("TF_CONFIG"):
        found = _from_tf_config(os.environ["TF_CONFIG"])
    elif int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        found = _from_slurm()
    else:
        return None
    return found if len(found.addresses) > 1 else None


def resolver() -> "tf.distribute.cluster_resolver.ClusterResolver | None":
    """Returns what `tf.distribute` wants to know of `members()`, or None.

    Raises:
        ValueError: As `members`.
    """
    found = members()
    if found is None:
        return None
    import tensorflow as tf

    return tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(found.addresses)}),
        task_type="worker",
        task_id=found.index,
        rpc_layer="grpc",
    )


def _from_tf_config(text: str) -> Members:
    def wrong(reason: str) -> ValueError:
        example = Members(("host-a:12345", "host-b:12345"), 0).as_tf_config()
        return ValueError(f"TF_CONFIG {reason}. Received: {text}. It looks like this: {example}")

    try:
        described = json.loads(text)
        jobs, task = described["cluster"], described["task"]
        addresses, kind, index = tuple(jobs["worker"]), task["type"], task["index"]
    except json.JSONDecodeError as error:
        raise wrong(f"is no JSON ({error})") from error
    except (KeyError, TypeError) as error:
        raise wrong(f"lacks {error}: it needs cluster.worker, task.type and task.index") from error
    if others := set(jobs) - {"worker"}:
        raise wrong(f"has the jobs {sorted(others)}; use workers alone, the first is the chief")
    bad = [a for a in addresses if not (isinstance(a, str) and re.fullmatch(r"[^:\s]+:\d+", a))]
    if bad or not addresses:
        raise wrong(f"needs host:port of every worker, not {bad or 'an empty list'}")
    if len(set(addresses)) < len(addresses):
        raise wrong("names an address twice: two processes cannot listen there")
    if kind != "worker" or not isinstance(index, int) or not 0 <= index < len(addresses):
        raise wrong(f"says task {kind} {index}; it must be worker 0 to {len(addresses) - 1}")
    return Members(addresses, index)


def _from_slurm() -> Members:
    """Asks TensorFlow's resolver; each task sees the GPUs that Slurm gave it, so none are set."""
    import tensorflow as tf

    seen = {name: value for name, value in sorted(os.environ.items())
            if name.startswith(("SLURM_STEP", "SLURM_PROCID", "SLURMD"))}  # fmt: skip
    try:
        # It counts ports by GPUs: one per task, or without GPUs it would count none.
        most = max(map(int, re.findall(r"\d+(?!\))(?!\d)", seen["SLURM_STEP_TASKS_PER_NODE"])))
        found = tf.distribute.cluster_resolver.SlurmClusterResolver(
            port_base=FIRST_PORT, gpus_per_node=most, gpus_per_task=1, auto_set_gpu=False
        )
        addresses = tuple(found.cluster_spec().job_tasks("worker"))
        index = found.get_task_info()[1]
    except (KeyError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"Slurm's variables don't describe a step of several tasks: {error}. Received: {seen}. "
            "Start the workers with srun inside the job, such as: srun --ntasks-per-node=1 python "
            "-m course_lib.launch ..."
        ) from error
    node, host = os.environ.get("SLURMD_NODENAME"), addresses[index].split(":")[0]
    if node and node != host:
        raise ValueError(
            f"TensorFlow's resolver places task {index} on {host}, but Slurm started it on {node}: "
            "the resolver sorts the names of nodes, Slurm their numbers. Set TF_CONFIG instead, or "
            f"choose nodes whose numbers have equally many digits. Received: {seen}."
        )
    return Members(addresses, index)


def beat() -> None:
    """Tells the launcher, if there is one, that training goes on; cheap, to be called often."""
    global _last_beat
    if BEAT in os.environ and time.monotonic() - _last_beat > 1.0:
        _last_beat = time.monotonic()
        Path(os.environ[BEAT]).touch()
