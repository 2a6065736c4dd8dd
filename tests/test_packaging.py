"""One list of dependencies, the same commands everywhere, and a `.ci/run` that runs them."""

import ast
import os
import re
import shlex
import stat
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONSTRAINTS = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
README = (ROOT / "README.md").read_text(encoding="utf-8")

FIRST = "pip install -c constraints.txt -e . && jupyter lab notebooks/00_start_here.ipynb"
SECOND = "pip install -c constraints.txt -e '.[test]' && pytest"

# The package that brings a module of another name.
PACKAGES = {"PIL": "pillow", "skimage": "scikit-image", "sklearn": "scikit-learn"}
PACKAGES |= {"yaml": "pyyaml", "jupyter_client": "jupyter-client"}
UNIMPORTED = {
    "jupyterlab": "opens the notebooks",
    "ipykernel": "runs the notebooks",
    "ipywidgets": "the sliders, imported by notebooks",
    "scikit-image": "its photographs, read as files of the package",
    "pooch": "with it scikit-image downloads its larger photographs",
}
COME_ALONG = {"packaging": "pytest", "ipython": "ipykernel", "joblib": "scikit-learn"}


def _requirements(*extras: str) -> dict[str, Requirement]:
    lines = [*PROJECT["dependencies"]]
    for extra in extras:
        lines += PROJECT["optional-dependencies"][extra]
    return {canonicalize_name(Requirement(line).name): Requirement(line) for line in lines}


def _pins() -> dict[str, str]:
    return {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in CONSTRAINTS}


def _imported(folder: Path) -> set[str]:
    """The packages that the files of a folder import, ours and Python's own apart."""
    modules = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules.add(node.module.split(".")[0])
    beside = [path.stem for part in ("tests", "recipes") for path in (ROOT / part).rglob("*.py")]
    ours = {"course_lib", "tests", "browser", *beside}
    others = modules - set(sys.stdlib_module_names) - ours
    return {canonicalize_name(PACKAGES.get(name, name)) for name in others}


# The dependencies --------------------------------------------------------------------------------


def test_the_library_imports_only_what_it_declares():
    assert _imported(ROOT / "course_lib") <= set(_requirements())


def test_everything_declared_is_imported():
    assert set(_requirements()) - set(UNIMPORTED) <= _imported(ROOT / "course_lib")


def test_the_tests_import_only_what_the_test_extra_brings():
    known = set(_requirements("test", "bench")) | set(COME_ALONG)
    assert _imported(ROOT / "tests") <= known


def test_every_dependency_has_a_range_with_a_lower_end():
    for extra in ([], ["test"], ["gpu"], ["bench"]):
        for requirement in _requirements(*extra).values():
            assert any(part.operator == ">=" for part in requirement.specifier), requirement


def test_the_gpu_extra_has_the_same_tensorflow():
    plain, gpu = _requirements()["tensorflow"], _requirements("gpu")["tensorflow"]
    assert (gpu.specifier, gpu.extras) == (plain.specifier, {"and-cuda"})


def test_the_pythons_are_those_of_the_readme():
    assert SpecifierSet(PROJECT["requires-python"]) == SpecifierSet(">=3.11,<3.14")
    assert "Python 3.11, 3.12 or 3.13" in README


# The constraints ---------------------------------------------------------------------------------


def test_the_constraints_are_names_and_versions_alone_in_order():
    for line in CONSTRAINTS:
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*==[0-9][0-9a-z.]*", line), line
    assert len(_pins()) == len(CONSTRAINTS)
    assert list(_pins()) == sorted(_pins())


def test_the_constraints_pin_no_tool_of_installation_and_not_the_course():
    assert not set(_pins()) & {"pip", "setuptools", "wheel", canonicalize_name(PROJECT["name"])}


def test_every_pinned_version_is_in_its_range():
    for name, requirement in _requirements("test").items():
        assert requirement.specifier.contains(_pins()[name]), requirement


def test_the_constraints_hold_everything_that_the_requirements_need():
    known, pins = {"pip", "setuptools", "wheel"}, _pins()
    ready = [(name, frozenset()) for name in _requirements("test")]
    seen = set(ready)
    while ready:
        name, extras = ready.pop()
        if name not in known:
            assert name in pins, f"{name} is needed and not in constraints.txt"
        for needed, more in _needs(name, extras):
            if (needed, more) not in seen:
                seen.add((needed, more))
                ready.append((needed, more))
    assert set(pins) <= {name for name, _ in seen}, "constraints.txt holds what nothing needs"


def _needs(name: str, extras: frozenset[str]) -> list[tuple[str, frozenset[str]]]:
    """What an installed package needs here, with the extras it was asked for."""
    needed = []
    for line in metadata.distribution(name).requires or []:
        requirement = Requirement(line)
        if requirement.marker is None or any(
            requirement.marker.evaluate({"extra": extra}) for extra in extras or {""}
        ):
            needed.append((canonicalize_name(requirement.name), frozenset(requirement.extras)))
    return needed


def test_no_file_of_the_packaging_names_a_host_of_packages():
    names = ["pyproject.toml", "constraints.txt", "environment.yml", ".ci/run", "README.md"]
    for name in names:
        text = (ROOT / name).read_text(encoding="utf-8")
        assert not re.search(r"index-url|find-links|pypi\.|--hash|file://|/opt/", text), name


# The commands ------------------------------------------------------------------------------------


def _commands() -> list[str]:
    """The lines of the README's shell blocks."""
    blocks = re.findall(r"^```(?:bash|shell|sh)\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def test_the_readme_holds_the_two_commands_each_on_a_line_of_its_own():
    assert [command for command in _commands() if command.startswith("pip")] == [FIRST, SECOND]


def test_the_environment_file_installs_what_the_first_command_installs():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    python, pip, nested = environment["dependencies"]
    arguments = [word for line in nested["pip"] for word in shlex.split(line)]
    assert ["pip", "install", *arguments] == shlex.split(FIRST.split("&&")[0])
    assert pip == "pip" and environment["channels"] == ["conda-forge"]
    version = python.removeprefix("python=")
    assert SpecifierSet(PROJECT["requires-python"]).contains(version)
    assert f"conda activate {environment['name']}" in README


def test_every_install_in_the_readme_uses_the_constraints():
    installs = re.findall(r"`[^`]*\bpip install -[^`]*`|^pip install.*$", README, re.MULTILINE)
    assert len(installs) >= 3
    assert all("-c constraints.txt" in install for install in installs)


def test_extras_named_in_the_readme_exist():
    for extra in re.findall(r"\.\[(\w+)\]", README):
        assert extra in PROJECT["optional-dependencies"]


# .ci/run -----------------------------------------------------------------------------------------


def test_ci_is_executable_bash_that_passes_a_syntax_check():
    path = ROOT / ".ci" / "run"
    assert path.stat().st_mode & stat.S_IXUSR
    done = subprocess.run(["bash", "-n", str(path)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


FAKE_PYTHON = """\
#!/bin/sh
case "$1" in
  -c) exit 0;;
  --version) echo Python 3.12;;
  -m) mkdir -p "$3/bin"; echo "export VIRTUAL_ENV=$3; PATH=$3/bin:\\$PATH" > "$3/bin/activate"
      cp "$FAKES/pip" "$FAKES/pytest" "$3/bin/";;
esac
"""
FAKE_PIP = """\
#!/bin/sh
echo "pip $@"
"""
FAKE_PYTEST = """\
#!/bin/sh
echo "pytest $@ at $COURSE_SPEED with ${COURSE_TEST_DATA:-no data} in $(basename "$VIRTUAL_ENV")"
echo "== 1 passed in 0.01s =="
exit $PYTEST_CODE
"""


@pytest.fixture
def ci(tmp_path):
    """Runs .ci/run in a copy of the checkout, with stand-ins for Python, pip and pytest."""
    checkout, fakes = tmp_path / "course", tmp_path / "fakes"
    (checkout / ".ci").mkdir(parents=True)
    fakes.mkdir()
    (checkout / ".ci" / "run").write_bytes((ROOT / ".ci" / "run").read_bytes())
    programs = {"python3.12": FAKE_PYTHON, "pip": FAKE_PIP, "pytest": FAKE_PYTEST}
    programs["chromium"] = FAKE_PIP
    for name, text in programs.items():
        (fakes / name).write_text(text)
        (fakes / name).chmod(0o755)

    def run(readme: str = README, *, code: int = 0) -> subprocess.CompletedProcess:
        (checkout / "README.md").write_text(readme, encoding="utf-8")
        (tmp_path / "temporary").mkdir(exist_ok=True)
        environment = {"PATH": f"{fakes}:/usr/bin:/bin", "FAKES": str(fakes), "CI": "true"}
        environment |= {"PYTEST_CODE": str(code), "TMPDIR": str(tmp_path / "temporary")}
        command = ["bash", str(checkout / ".ci" / "run")]
        return subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )

    run.folder = tmp_path
    return run


def test_ci_runs_the_readmes_second_command_in_a_fresh_environment_at_smoke_speed(ci):
    lines = ci().stdout.splitlines()
    assert lines[-4:] == [
        f"+ {SECOND}",
        "pip install -c constraints.txt -e .[test]",
        "pytest  at smoke with no data in venv",
        "== 1 passed in 0.01s ==",
    ]
    assert os.listdir(ci.folder / "temporary") == []


def test_ci_points_to_the_test_data_where_they_are(ci):
    (ci.folder / "shared" / "data").mkdir(parents=True)
    assert f"with {ci.folder / 'shared' / 'data'} in" in ci().stdout


def test_ci_follows_the_readme(ci):
    done = ci(README.replace(SECOND, "pip install '.[test]' --quiet && pytest"))
    assert "pip install .[test] --quiet\n" in done.stdout


@pytest.mark.parametrize("code", [0, 1, 5])
def test_ci_ends_with_the_exit_code_of_pytest(ci, code):
    assert ci(code=code).returncode == code


@pytest.mark.parametrize("readme", ["", f"{SECOND}\n{SECOND}\n", SECOND.replace(" && pytest", "")])
def test_ci_fails_where_the_readme_has_not_exactly_one_test_command(ci, readme):
    done = ci(readme)
    assert done.returncode == 1
    assert "README.md must hold the test command" in done.stderr
    assert "passed" not in done.stdout


# pytest ------------------------------------------------------------------------------------------


def test_pytest_alone_runs_tests_and_notebooks_with_warnings_as_errors():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    assert settings["testpaths"] == ["tests", "notebooks"]
    assert {"--nbval-lax", "--nbval-current-env", "--strict-markers"} <= set(settings["addopts"])
    assert settings["filterwarnings"][0] == "error"


def test_tests_run_at_smoke_speed_with_their_own_folders_and_without_the_network():
    assert os.environ["COURSE_SPEED"] == "smoke"
    assert Path(os.environ["COURSE_CACHE"]).name == "cache"
    assert Path(os.environ["COURSE_RESULTS"]).parent == Path(os.environ["COURSE_CACHE"]).parent
    assert os.environ["HTTPS_PROXY"] == os.environ["https_proxy"] == "http://127.0.0.1:9"


def test_the_code_is_lint_free_and_formatted():
    for command in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, str(ROOT)]
        done = subprocess.run(ruff, capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == 0, done.stdout + done.stderr
