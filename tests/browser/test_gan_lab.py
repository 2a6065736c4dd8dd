"""The laboratory's panel in a real JupyterLab: buttons, keys and mouse act while it trains."""

import pytest
from browser import jupyterlab

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

BROWSER = jupyterlab.find_browser()
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on PATH"),
]
SOURCE = """\
from course_lib.laboratory import Settings
from course_lib.widgets.gan_lab import GanLab

lab_panel = GanLab(Settings(data="two_gaussians", depth=1, width=16))
lab_panel.panel
"""
KILL = "lab_panel.worker.close()"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    notebooks, folder = tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("lab")
    jupyterlab.write(notebooks / "lab.ipynb", SOURCE)
    with jupyterlab.server(notebooks, folder) as address:
        yield address


def nothing_acts_after(panel, code):
    """The negative control: the button that began the test does nothing any more."""
    panel.notebook.execute(code)
    with pytest.raises(TimeoutError):
        panel.changes(lambda: panel.notebook.click("both"), seconds=2)


def test_steps_play_sliders_and_the_way_back_act_in_the_browser(window, address):
    panel = jupyterlab.PanelPage(window, address, "lab.ipynb")
    panel.changes(lambda: panel.notebook.click("both"))
    panel.notebook.expect(r"^tick 1$")
    panel.notebook.click("slow motion")
    panel.notebook.expect(r"D 1\. Draw latents")
    assert panel.page.locator("mjx-container").count() > 0  # the formula is typeset, offline
    panel.changes(lambda: panel.notebook.click("▶ play"))
    panel.notebook.expect(r"steps/s")
    for _ in range(3):  # it goes on by itself
        panel.changes(lambda: None)
    rate = panel.notebook.slider(2)  # the way back, gamma, then the rate of D
    rate.focus()
    rate.press("ArrowRight")
    panel.notebook.expect(r"d_learning_rate = 0\.002")
    panel.notebook.expect(r"^tick [\d,]{4,}")
    panel.notebook.click("❚❚ pause")
    panel.notebook.expect(r"▶ play")
    back = panel.notebook.slider(0)
    back.focus()
    panel.changes(lambda: back.press("Home"))
    panel.notebook.expect(r"^tick 0$")
    nothing_acts_after(panel, jupyterlab.UNHOOK)
    panel.notebook.close()


def test_a_drawing_becomes_the_data(window, address):
    panel = jupyterlab.PanelPage(window, address, "lab.ipynb")
    panel.page.get_by_text("draw your own").click()
    area = panel.page.locator("canvas.course-canvas")
    area.wait_for()
    area.scroll_into_view_if_needed()
    box = area.bounding_box()
    middle = box["y"] + box["height"] / 2
    panel.page.mouse.move(box["x"] + 0.2 * box["width"], middle)
    panel.page.mouse.down()
    panel.page.mouse.move(box["x"] + 0.8 * box["width"], middle, steps=12)
    panel.page.mouse.up()
    panel.notebook.expect(r"^1 stroke, ")
    panel.changes(lambda: panel.notebook.click("learn the drawing"))
    panel.notebook.expect(r"data = 'drawn'")
    nothing_acts_after(panel, KILL)
    panel.notebook.close()
