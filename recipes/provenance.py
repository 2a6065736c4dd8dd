"""What a shipped file was made by: kept beside its weights by every recipe."""

import pathlib
import platform
import shlex
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).parents[1]


def provenance(*, seed, started, **measures):
    """Return a dict for `checkpoints.save_weights`.

    Args:
        seed: int, of the run.
        started: `time.perf_counter()` at its start.
        measures: further facts, such as accuracies or distances, JSON values.

    The commit is that of the last change to this checkout; "+" says that files differed from it.
    """
    script = pathlib.Path(sys.argv[0]).resolve().relative_to(ROOT)
    return {
        "command": shlex.join(["python", str(script), *map(without_path, sys.argv[1:])]),
        "seed": seed,
        "commit": _git("rev-parse", "--short=12", "HEAD")
        + ("+" if _git("status", "--porcelain", "course_lib", "recipes") else ""),
        "minutes": round((time.perf_counter() - started) / 60, 1),
        "machine": f"{platform.machine()}, {platform.system()}",
        **measures,
    }


def without_path(name):
    """Return "folder:faces" for "folder:/some/where/faces": a path says nothing elsewhere."""
    kind, colon, path = name.partition(":")
    return kind + colon + pathlib.PurePath(path).name


def _git(*arguments):
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
