"""Notebooks in a real JupyterLab: a reader moves a slider with the keyboard and sees a new picture.

Each move has its negative control: with everything taken off the slider, the same steps must fail.
"""

import secrets
import shutil
from pathlib import Path

import nbformat
import pytest
import slider_notebook
from browser import jupyterlab
from nbformat.v4 import new_code_cell

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

BROWSER = jupyterlab.find_browser()
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on PATH"),
]
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
# A notebook, and the number of its slider and of its picture, from the top.
PANELS = [("slider.ipynb", 0, 0), ("gaussians.ipynb", 0, 0), ("00_start_here.ipynb", 0, 0)]
MADE = ("slider.ipynb", "gaussians.ipynb")  # here, the others are the course's
GAUSSIANS = """\
from course_lib.widgets.two_gaussians import TwoGaussians

panel = TwoGaussians()
panel.panel
"""


def _copy(source: Path, target: Path, *, more: str | None = None) -> None:
    """Copies a notebook without its stored outputs: what the browser shows was made there."""
    notebook = nbformat.read(source, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    if more:
        notebook.cells.append(new_code_cell(more))
    nbformat.write(notebook, target)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A running JupyterLab on copies of the notebooks."""
    notebooks, folder = tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("lab")
    slider_notebook.write(folder / "slider.ipynb")
    jupyterlab.write(folder / "gaussians.ipynb", GAUSSIANS)
    _copy(folder / "slider.ipynb", notebooks / "failing.ipynb", more="1 / 0")
    if (NOTEBOOKS / "figures").exists():
        shutil.copytree(NOTEBOOKS / "figures", notebooks / "figures")
    for name, _, _ in PANELS:
        for source in (folder / name, NOTEBOOKS / name):
            if source.exists():
                _copy(source, notebooks / name)
    with jupyterlab.server(notebooks, folder) as address:
        yield address


def _open(window, address: str, name: str) -> jupyterlab.NotebookPage:
    """The notebook on a page of its own, not run."""
    address = address.format(workspace=secrets.token_hex(4), path=name)
    return jupyterlab.NotebookPage(window.new_page(), address)


def _move(notebook: jupyterlab.NotebookPage, slider: int, picture: int, *, seconds: float) -> None:
    """Moves the slider three steps by keyboard; each must bring a new picture."""
    shown = notebook.picture(picture)
    handle = notebook.slider(slider)
    handle.focus()
    for _ in range(3):
        before, value = notebook.bytes_of(shown), handle.get_attribute("aria-valuenow")
        handle.press("ArrowRight")
        assert handle.get_attribute("aria-valuenow") != value
        notebook.wait_for_new_bytes(shown, before, seconds=seconds)


@pytest.mark.parametrize("name, slider, picture", PANELS)
def test_a_slider_moved_by_keyboard_changes_the_picture(address, window, name, slider, picture):
    if name not in MADE and not (NOTEBOOKS / name).exists():
        pytest.skip(f"notebooks/{name} is not there yet")
    notebook = _open(window, address, name)
    notebook.run_all(seconds=180)
    _move(notebook, slider, picture, seconds=20)
    notebook.execute(jupyterlab.UNHOOK)
    with pytest.raises(TimeoutError, match="the picture was the same for 2 s"):
        _move(notebook, slider, picture, seconds=2)
    notebook.close()


def test_errors_of_cells_and_browser_are_seen_and_text_comes_from_the_kernel(address, window):
    notebook = _open(window, address, "failing.ipynb")
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        notebook.run_all(seconds=180)
    notebook.slider().focus()  # the cells before it have run
    notebook.slider().press("ArrowRight")
    notebook.page.get_by_text("painted 25", exact=True).wait_for()
    notebook.page.evaluate("console.error('ours')")
    notebook.page.evaluate("setTimeout(() => { throw new Error('thrown') }, 0)")
    notebook.page.wait_for_timeout(200)
    assert [error.split()[0] for error in notebook.errors] == ["ours", "thrown"]
    notebook.page.close()
