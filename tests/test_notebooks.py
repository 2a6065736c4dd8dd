"""The notebooks as they are stored. Their cells are run by nbval: `pytest notebooks`."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from course_lib import checks, publish

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "notebooks"
PATHS = sorted(FOLDER.glob("*.ipynb"))
# An empty list would pass without a word.
NOTEBOOKS = pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=path.stem) for path in PATHS]
    or [pytest.param(None, marks=pytest.mark.skip(reason="there are no notebooks yet"))],
)
CHECK = re.compile(r"""\bchecks\.check\(\s*["'](\w+)["']\s*,\s*(\w+)\s*\)""")
HIDDEN_FROM_TESTS = re.compile(r"NBVAL_SKIP|NBVAL_RAISES_EXCEPTION|PYTEST_VALIDATE_IGNORE")


def _code(path: Path) -> list[str]:
    """The sources of the code cells that hold something."""
    cells = nbformat.read(path, as_version=4).cells
    return [cell.source for cell in cells if cell.cell_type == "code" and cell.source.strip()]


def _asked(sources: list[str]) -> dict[str, tuple[str, str]]:
    """Exercise -> (name of the function that is checked, source of the cell above the check)."""
    found = {}
    for above, source in zip(["", *sources], sources, strict=False):
        for name, function in CHECK.findall(source):
            found[name] = (function, above)
    return found


def stub_problems(sources: list[str]) -> list[str]:
    """What is wrong with the exercises of a notebook, given the sources of its code cells."""
    problems = []
    for name, (function, above) in _asked(sources).items():
        if name not in checks.names():
            problems.append(f"{name} is no exercise of the library")
        elif above.strip() != checks.exercise(name).stub.strip():
            problems.append(f"the cell above the check of {name} is not the stub of its file")
        elif function != name:
            problems.append(f"the check of {name} gets {function}")
    return problems


# Every notebook ----------------------------------------------------------------------------------


@NOTEBOOKS
def test_a_notebook_is_published_as_it_is(path):
    assert publish.problems(path) == []


@NOTEBOOKS
def test_the_stub_above_each_check_is_that_of_the_exercise(path):
    assert stub_problems(_code(path)) == []


@NOTEBOOKS
def test_a_notebook_asks_all_exercises_of_its_name_and_no_others(path):
    own = {name for name in checks.names() if checks.exercise(name).notebook == path.stem}
    assert set(_asked(_code(path))) == own


@NOTEBOOKS
def test_no_cell_is_hidden_from_the_tests(path):
    for cell in nbformat.read(path, as_version=4).cells:
        assert not HIDDEN_FROM_TESTS.search(cell.source)
        assert not {"nbval-skip", "raises-exception"} & set(cell.metadata.get("tags", []))


@NOTEBOOKS
def test_no_cell_installs_or_runs_anything_outside_python(path):
    for source in _code(path):
        assert not re.search(r"^\s*(!|%%?(pip|conda|sh|bash)\b)", source, flags=re.MULTILINE)


@NOTEBOOKS
def test_code_cells_are_python(path):
    for source in _code(path):
        ast.parse(re.sub(r"^\s*%.*$", "", source, flags=re.MULTILINE))


@NOTEBOOKS
def test_the_first_cell_is_a_title(path):
    first = nbformat.read(path, as_version=4).cells[0]
    assert first.cell_type == "markdown" and re.match(r"# \S", first.source)


@NOTEBOOKS
def test_the_first_code_cell_sets_the_machine_up_and_does_nothing_else(path):
    """An import of TensorFlow before `setup` writes its log lines in red into the notebook."""
    imports, setup = ast.parse(_code(path)[0]).body
    assert ast.unparse(imports) == "from course_lib import runtime"
    assert ast.unparse(setup).startswith("machine = runtime.setup(")


@NOTEBOOKS
def test_links_to_files_of_the_course_lead_somewhere(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            for target in re.findall(r"\]\(([^)#\s]+)", cell.source):
                if not re.match(r"https?:|attachment:|mailto:", target):
                    assert (path.parent / target).exists(), target


@NOTEBOOKS
def test_the_names_of_notebooks_give_the_reading_order(path):
    assert re.fullmatch(r"\d\d_[a-z0-9_]+", path.stem)


def test_every_exercise_belongs_to_a_notebook_that_is_there():
    missing = {checks.exercise(name).notebook for name in checks.names()} - {p.stem for p in PATHS}
    if missing and not PATHS:
        pytest.skip("there are no notebooks yet")
    assert missing == set()


# The tests themselves ----------------------------------------------------------------------------

STUB = checks.exercise("to_pixels").stub
ASK = 'checks.check("to_pixels", to_pixels)'


def test_the_right_stub_is_in_order():
    assert stub_problems([STUB, ASK]) == []
    assert stub_problems(["x = 1", STUB + "\n", f"# look\n{ASK}"]) == []


@pytest.mark.parametrize(
    "sources, problem",
    [
        ([STUB.replace("uint8", "bytes"), ASK], "not the stub of its file"),
        ([STUB, "x = 1", ASK], "not the stub of its file"),
        ([ASK], "not the stub of its file"),
        ([checks.exercise("to_pixels").solution, ASK], "not the stub of its file"),
        ([STUB, 'checks.check("to_pixels", other)'], "gets other"),
        ([STUB, 'checks.check("to_pixel", to_pixel)'], "no exercise"),
    ],
)
def test_a_wrong_stub_or_check_is_found(sources, problem):
    (found,) = stub_problems(sources)
    assert problem in found


@pytest.mark.notebook
def test_pytest_runs_each_cell_and_fails_readably_where_one_fails(tmp_path):
    cells = [nbformat.v4.new_code_cell(source) for source in ("x = 1", "x / 0  # here", "print(x)")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "broken.ipynb")
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-current-env", "-p"]
    command += ["no:cacheprovider", "-c", str(tmp_path / "none.ini"), "--rootdir", str(tmp_path)]
    (tmp_path / "none.ini").write_text("[pytest]\n")
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, cwd=tmp_path)
    assert "1 failed, 2 passed" in done.stdout
    assert "x / 0  # here" in done.stdout and "ZeroDivisionError" in done.stdout


@pytest.mark.notebook
def test_an_unsolved_exercise_lets_a_notebook_run_to_its_end(tmp_path):
    loud = 'checks.check("to_pixels", lambda images: print("seen"))'
    sources = ["import numpy as np\nfrom course_lib import checks", STUB, ASK, loud, "1"]
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "unsolved.ipynb")
    notebook, _ = publish.run(tmp_path / "unsolved.ipynb", speed="smoke")
    (verdict,), (text, _), (_,) = (cell.outputs for cell in notebook.cells[2:])
    assert "○ not attempted" in verdict.data["text/plain"]
    assert "○ not attempted" in verdict.data["text/html"]
    assert text.text == "seen\n"  # below the cell that asked, from a thread of the check
