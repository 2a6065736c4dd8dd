"""Set-up of every test run, of the tests in tests/ and of the cells in notebooks/ alike.

It stands beside the two folders because pytest reads it then for `pytest notebooks` as well.
"""

import collections
import gc
import os
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent
NOTEBOOKS = ROOT / "notebooks"
TEMPORARY = pytest.StashKey[tempfile.TemporaryDirectory]()
FILES = pytest.StashKey[set]()


def _files() -> set[Path]:
    """What lies beside the notebooks, apart from JupyterLab's own folders."""
    found = (path.relative_to(NOTEBOOKS) for path in NOTEBOOKS.rglob("*"))
    return {path for path in found if ".ipynb_checkpoints" not in path.parts}


def pytest_configure(config: pytest.Config) -> None:
    """Kernels and JupyterLab inherit this: smoke speed, own folders, and no way out to the network.

    A download that a test or a notebook tries by mistake is refused at once: nothing listens at the
    proxy's address. A run neither reads nor overwrites what the learner's own runs have left.
    """
    folder = tempfile.TemporaryDirectory(prefix="course-tests-", ignore_cleanup_errors=True)
    config.stash[TEMPORARY] = folder
    os.environ.setdefault("COURSE_SPEED", "smoke")
    os.environ["COURSE_CACHE"] = str(Path(folder.name) / "cache")
    os.environ["COURSE_RESULTS"] = str(Path(folder.name) / "results")
    os.environ.pop("COURSE_GRADING", None)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        os.environ[name] = "http://127.0.0.1:9"
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "localhost,127.0.0.1,::1"


LONG = ("browser", "notebook", "slow")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long come first: at the end no process waits for another one.

    They are the notebooks, those with a test that is marked so, and then those with many tests.
    """
    tests = collections.Counter(item.path for item in items)
    long = {item.path for item in items if any(map(item.get_closest_marker, LONG))}
    long |= {path for path in tests if path.suffix == ".ipynb"}
    items.sort(key=lambda item: (item.path not in long, -tests[item.path], item.path))


def pytest_collection_finish() -> None:
    """What TensorFlow's import and the collection have made stays: it need not be looked at again.

    Python's garbage collector took a sixth of the time of tests that draw and compile.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.stash[FILES] = _files()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A notebook writes into `runtime.results_dir()`; one that litters its own folder fails."""
    left = sorted(str(path) for path in _files() - session.config.stash.get(FILES, _files()))
    if left:
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        reporter.write_line(f"\nERROR: this run left files in notebooks/: {', '.join(left)}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[TEMPORARY].cleanup()
