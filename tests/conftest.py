"""Fixtures that several test files share."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from course_lib import runtime


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data for tests, which no checkout holds; without it the test skips."""
    named = os.environ.get("COURSE_TEST_DATA")
    folder = Path(named) if named else runtime.ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the folder of test data: set COURSE_TEST_DATA ({folder} is absent)")
    return folder


@pytest.fixture
def course_cache(tmp_path, monkeypatch) -> Path:
    """An empty cache folder of this test alone."""
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    runtime.cache_dir.cache_clear()
    yield runtime.cache_dir()
    runtime.cache_dir.cache_clear()


@pytest.fixture(scope="session")
def run_python():
    """Runs a script in a fresh Python whose warnings are errors, with changes to the environment.

    A change to None unsets the variable. Returns the completed process, its text captured.
    """

    def run(script: str, *, arguments=(), **changes) -> subprocess.CompletedProcess:
        environment = {**os.environ, "PYTHONPATH": str(runtime.ROOT)}
        for name, value in changes.items():
            environment.pop(name, None)
            if value is not None:
                environment[name] = str(value)
        command = [sys.executable, "-W", "error", "-c", script, *map(str, arguments)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)

    return run
