"""The drawing canvas in a real JupyterLab: a reader draws with mouse and keys, the kernel has it.

Read back is what the kernel says about the drawing: the caption that it sends, and the mean of the
points that it draws from it.
"""

import re
import secrets

import pytest
from browser import jupyterlab

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

BROWSER = jupyterlab.find_browser()
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on PATH"),
]

SOURCE = """\
import ipywidgets
from IPython.display import display
from course_lib.widgets.canvas import DrawingCanvas

canvas, mean = DrawingCanvas(), ipywidgets.Label()

def tell(change):
    if canvas.strokes:
        mean.value = "mean {:.1f} {:.1f}".format(*canvas.points(4000, 0).mean(axis=0) + 0.0)

canvas.observe(tell, "strokes")
display(canvas.panel, mean)
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    notebooks, folder = tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("lab")
    jupyterlab.write(notebooks / "canvas.ipynb", SOURCE)
    with jupyterlab.server(notebooks, folder) as address:
        yield address


class Canvas:
    """The canvas on its page."""

    def __init__(self, window, address, name):
        address = address.format(workspace=secrets.token_hex(4), path=name)
        self.notebook = jupyterlab.NotebookPage(window.new_page(), address)
        self.notebook.run_all(seconds=180)
        self.page = self.notebook.page
        self.area = self.page.locator("canvas.course-canvas")
        self.area.wait_for()
        self.area.scroll_into_view_if_needed()

    def drag(self, *points, release=True):
        """Draws a stroke through points of the data with the mouse."""
        box = self.area.bounding_box()
        places = [
            (box["x"] + (x + 1) / 2 * box["width"], box["y"] + (1 - y) / 2 * box["height"])
            for x, y in points
        ]
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*place, steps=12)
        if release:
            self.page.mouse.up()

    def ink(self, x, y):
        """The colour of the canvas at a point of the data, as red, green, blue."""
        script = """(canvas, [x, y]) => Array.from(canvas.getContext("2d").getImageData(
            (x + 1) / 2 * canvas.width, (1 - y) / 2 * canvas.height, 1, 1).data).slice(0, 3)"""
        return self.area.evaluate(script, [x, y])


BLUE, WHITE = [0, 114, 178], [255, 255, 255]


@pytest.fixture(scope="module")
def page(window, address):
    canvas = Canvas(window, address, "canvas.ipynb")
    yield canvas
    canvas.notebook.close()


@pytest.fixture
def canvas(page):
    """The canvas, with nothing drawn."""
    page.notebook.click("clear")
    page.notebook.expect(r"^0 strokes, ")
    page.page.wait_for_timeout(300)
    return page


def test_keys_draw_without_a_mouse(canvas):
    """The first one: the keys start where the mouse was last, here in the middle."""
    canvas.area.focus()
    for key in ("Shift+ArrowLeft", "ArrowUp", " ", *["Shift+ArrowRight"] * 3, "ArrowDown", " "):
        canvas.page.keyboard.press(key)
    text = canvas.notebook.expect(r"^1 stroke, ")
    assert float(re.search(r"length ([\d.]+)", text)[1]) == pytest.approx(0.65, abs=0.03)
    canvas.notebook.expect(
        r"^mean 0\.1 0\.0"
    )  # from (-0.2, 0.05) to (0.4, 0.05) and down to (0.4, 0)


def test_a_stroke_drawn_with_the_mouse_is_seen_and_arrives_in_the_kernel(canvas):
    assert canvas.ink(0.5, 0.0) == WHITE
    canvas.drag((0.5, -0.5), (0.5, 0.5))
    text = canvas.notebook.expect(r"^1 stroke, length ")
    assert float(re.search(r"length ([\d.]+)", text)[1]) == pytest.approx(1.0, abs=0.05)
    canvas.notebook.expect(r"^mean 0\.5 -?0\.0")
    assert canvas.ink(0.5, 0.0) == BLUE and canvas.ink(0.0, 0.0) == WHITE


def test_erasing_cuts_a_stroke_in_two_and_undo_and_clear_are_seen(canvas):
    canvas.drag((-0.6, 0.0), (0.6, 0.0))
    canvas.notebook.expect(r"^1 stroke, ")
    canvas.notebook.click("eraser")
    canvas.drag((0.0, 0.5), (0.0, -0.5))
    text = canvas.notebook.expect(r"^2 strokes, ")
    # The brush of radius 0.08 takes 0.16 out of 1.2; points are 0.02 apart.
    assert float(re.search(r"length ([\d.]+)", text)[1]) == pytest.approx(1.04, abs=0.06)
    assert canvas.ink(0.0, 0.0) == WHITE and canvas.ink(0.3, 0.0) == BLUE
    canvas.notebook.click("undo")
    canvas.notebook.expect(r"^1 stroke, ")
    canvas.page.wait_for_timeout(300)
    assert canvas.ink(0.0, 0.0) == BLUE
    canvas.notebook.click("clear")
    canvas.notebook.expect(r"^0 strokes, ")
    canvas.page.wait_for_timeout(300)
    assert canvas.ink(0.3, 0.0) == WHITE
    canvas.notebook.click("eraser")  # off again


def test_a_stroke_that_leaves_the_square_ends_at_its_border(canvas):
    canvas.drag((0.0, 0.5), (1.4, 0.5), (1.4, -0.5), release=False)
    assert canvas.ink(0.97, 0.0) == BLUE  # seen at once, not only when the kernel has moved it
    canvas.page.mouse.up()
    text = canvas.notebook.expect(r"^1 stroke, ")
    assert float(re.search(r"length ([\d.]+)", text)[1]) == pytest.approx(2.0, abs=0.08)


def test_a_stroke_does_not_arrive_where_the_canvas_is_unhooked(canvas):
    """The last one: nothing arrives afterwards."""
    canvas.notebook.execute("canvas.surface.unobserve_all()")
    canvas.drag((0.5, -0.5), (0.5, 0.5))
    with pytest.raises(sync_api.TimeoutError):
        canvas.notebook.expect(r"^1 stroke, ", seconds=2)
