"""The style desk in a real JupyterLab: keys and mouse act on a picture that is on its way."""

import pytest
from browser import jupyterlab

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

BROWSER = jupyterlab.find_browser()
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on PATH"),
]
SOURCE = """\
import numpy as np
from course_lib.networks import vgg
from course_lib.style_settings import Settings
from course_lib.widgets.style_desk import StyleDesk

random = np.random.default_rng(0)
patches = random.integers(0, 256, (3, 4, 4, 3), dtype="uint8").repeat(8, 1).repeat(8, 2)
desk = StyleDesk(
    vgg.vgg(widths=(4, 6, 8, 8), depths=(1, 1, 2, 1)),
    Settings(content="a", first="b", second="c", size=32),
    contents={"a": patches[0]}, styles={"b": patches[1], "c": patches[2]},
)
desk.panel
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    notebooks, folder = tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("lab")
    jupyterlab.write(notebooks / "desk.ipynb", SOURCE)
    with jupyterlab.server(notebooks, folder) as address:
        yield address


def test_a_slider_acts_on_the_running_picture_and_the_frames_can_be_looked_at(window, address):
    panel = jupyterlab.PanelPage(window, address, "desk.ipynb")
    panel.changes(lambda: panel.notebook.click("step"))
    panel.notebook.expect(r"^step 1; terms")
    panel.changes(lambda: panel.notebook.click("▶ run"))
    panel.notebook.expect(r"^step [\d,]+, [\d.]+ steps/s")
    panel.tab("strengths")
    weight = panel.notebook.slider(1)  # the first is the way back
    weight.focus()
    weight.press("ArrowRight")
    panel.notebook.expect(r"style_weight = 5\.0")
    for _ in range(3):  # it goes on by itself
        panel.changes(lambda: None)
    panel.notebook.click("❚❚ pause")
    panel.notebook.expect(r"▶ run")
    back = panel.notebook.slider(0)
    back.focus()
    panel.changes(lambda: back.press("Home"))
    panel.notebook.expect(r"^looking back at step 0 of ")
    panel.notebook.execute(jupyterlab.UNHOOK)  # the negative control
    with pytest.raises(TimeoutError):
        panel.changes(lambda: panel.notebook.click("step"), seconds=2)
    panel.notebook.close()


def test_a_mask_is_painted_on_the_content(window, address):
    panel = jupyterlab.PanelPage(window, address, "desk.ipynb")
    panel.tab("where")
    area = panel.page.locator("canvas.course-canvas")
    area.wait_for()
    area.scroll_into_view_if_needed()
    # The content lies under the paint: the canvas is not white.
    script = """canvas => Array.from(canvas.getContext("2d").getImageData(
        canvas.width / 16, canvas.height / 16, 1, 1).data).slice(0, 3)"""
    panel.page.wait_for_timeout(500)
    assert area.evaluate(script) != [255, 255, 255]
    box = area.bounding_box()
    middle = box["y"] + box["height"] / 2
    panel.page.mouse.move(box["x"] + 0.2 * box["width"], middle)
    panel.page.mouse.down()
    panel.page.mouse.move(box["x"] + 0.8 * box["width"], middle, steps=12)
    panel.changes(panel.page.mouse.up)
    panel.notebook.expect(r"mask = 'painted'")
    panel.notebook.close()
