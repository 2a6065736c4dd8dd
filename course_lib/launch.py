"""Start a training script and watch it: python -m course_lib.launch [--workers N] script [...]

On several hosts the same command is started on each, with TF_CONFIG set there or by Slurm (see
`cluster`). With --workers, that many processes on this machine take their places, to try it out.

TensorFlow has no way to replace a worker: if one dies, the others wait for it, for minutes or for
ever. So a process without TensorFlow stays beside the workers of each host, and ends them all when
one has ended badly or when nothing has gone on for a while. Started again, on all hosts, a run
goes on from its last checkpoint.
"""

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from course_lib import cluster

WORKER_LOST = 75  # EX_TEMPFAIL of sysexits.h: batch systems may start such a job again
PATIENCE = 600.0  # seconds: the first update is compiled, and waits for all hosts
_GRACE = 10.0  # seconds that a worker has to save when it is asked to stop
_LOOK = 0.2  # seconds between two looks


def launch(
    script: str | Path, *arguments: str, workers: int = 0, patience: float = PATIENCE
) -> int:
    """Runs a script until it ends, in one or several processes, and says what went wrong.

    Args:
        script: A Python file that trains under `runtime.strategy()`.
        arguments: Of the script.
        workers: How many processes to start on this machine; 0 for one whose place in a cluster,
            if any, the environment describes.
        patience: Seconds without an update after which a worker counts as lost.

    Returns:
        The exit status: 0 if all went well, `WORKER_LOST` if a worker died or made no progress.

    Raises:
        ValueError: If TF_CONFIG or Slurm describe no possible cluster, or an argument is wrong.
        FileNotFoundError: If there is no such script.
    """
    if not Path(script).is_file():
        raise FileNotFoundError(f"There is no script {script}.")
    if workers < 0 or patience <= 0:
        raise ValueError(
            f"workers must be at least 0 and patience above 0, got {workers} and {patience}."
        )
    places = _loopback(workers) if workers > 1 else [cluster.members()]
    command = [sys.executable, str(script), *map(str, arguments)]
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        watched = [
            stack.enter_context(_Worker(command, place, Path(folder) / f"beat-{number}"))
            for number, place in enumerate(places)
        ]
        return _watch(watched, patience)


def _loopback(count: int) -> list[cluster.Members]:
    """Addresses of this machine on ports that are free now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        addresses = tuple(f"127.0.0.1:{each.getsockname()[1]}" for each in sockets)
    return [cluster.Members(addresses, index) for index in range(count)]


class _Worker:
    """A process of this host and its sign of life; leaving the context ends it."""

    def __init__(self, command: list[str], place: cluster.Members | None, beat: Path) -> None:
        beat.touch()
        environment = os.environ | {cluster.BEAT: str(beat)}
        if place is not None:
            environment["TF_CONFIG"] = place.as_tf_config()
        self.name = f"worker {place.index} of {len(place.addresses)}" if place else "the training"
        self.beat = beat
        # A session of its own: Ctrl-C in a terminal then reaches it once, through `_forwarded`.
        self.process = subprocess.Popen(command, env=environment, start_new_session=True)

    def __enter__(self) -> "_Worker":
        return self

    def __exit__(self, *_) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def trouble(self, patience: float) -> str:
        """What is wrong with it, or "" while nothing is."""
        status = self.process.poll()
        if status is None:
            silent = time.time() - self.beat.stat().st_mtime
            return f"has made no update for {patience:g} seconds" if silent > patience else ""
        if status < 0:
            why = " (the system may have run out of memory)" if status == -signal.SIGKILL else ""
            return f"was ended by signal {-status}{why}"
        return f"ended with exit status {status}; its last lines say why" if status else ""


def _watch(workers: list[_Worker], patience: float) -> int:
    """Waits until all have ended well, or one has not; says which, and what to do."""
    with _forwarded(workers) as stopped:
        while any(worker.process.poll() is None for worker in workers):
            time.sleep(_LOOK)
            troubles = [(worker, worker.trouble(patience)) for worker in workers]
            worker, trouble = next((pair for pair in troubles if pair[1]), (None, ""))
            if worker is not None and not stopped:
                print(_what_to_do(worker.name, trouble), file=sys.stderr, flush=True)
                return WORKER_LOST
            if stopped and time.monotonic() > stopped[0] + _GRACE + patience:
                return WORKER_LOST
        bad = next((w for w in workers if w.trouble(patience)), None)
    if bad is not None:
        print(_what_to_do(bad.name, bad.trouble(patience)), file=sys.stderr, flush=True)
    return WORKER_LOST if bad else 0


def _what_to_do(name: str, trouble: str) -> str:
    return (
        f"{name[0].upper()}{name[1:]} {trouble}. All workers of this host are stopped; those of "
        "other hosts stop when they miss it. Start the same command again on every host: with a "
        "folder for checkpoints, training goes on from the last one."
    )


@contextlib.contextmanager
def _forwarded(workers: list[_Worker]):
    """Passes SIGTERM and Ctrl-C on to the workers, which save and end; yields when that began."""
    began = []

    def forward(number, _frame):
        began.append(time.monotonic())
        for worker in workers:
            if worker.process.poll() is None:
                worker.process.send_signal(number)

    earlier = {}
    with contextlib.suppress(ValueError):  # only the main thread has signals
        for number in (signal.SIGTERM, signal.SIGINT):
            earlier[number] = signal.signal(number, forward)
    try:
        yield began
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m course_lib.launch",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--workers", type=int, default=0, help="processes on this machine")
    parser.add_argument(
        "--patience",
        type=float,
        default=PATIENCE,
        help="seconds without an update, longer than compiling and reports, to give a run up after",
    )
    parser.add_argument("script", help="Python file that trains under runtime.strategy()")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="of the script")
    given = parser.parse_args()
    try:
        return launch(
            given.script, *given.arguments, workers=given.workers, patience=given.patience
        )
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    sys.exit(main())
