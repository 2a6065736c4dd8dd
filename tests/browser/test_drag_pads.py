"""The latent studio and the panel of any style in a real JupyterLab: dragged, typed, uploaded."""

import numpy as np
import pytest
from browser import jupyterlab
from PIL import Image

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

BROWSER = jupyterlab.find_browser()
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on PATH"),
]
STUDIO = """\
import keras
import numpy as np
from course_lib.networks import style_based
from course_lib.widgets.latent_studio import LatentStudio

keras.utils.set_random_seed(0)
generator = style_based.generator(8, (16, 16, 3), filters=(8, 6, 4), style_dim=6)
studio_panel = LatentStudio(generator, {"glasses": np.eye(6)[1]}, steps=3, folder="studio")
studio_panel.panel
"""
ANY_STYLE = """\
from course_lib.networks import transfer, vgg
from course_lib.widgets.adain_panel import AdainPanel

patches = np.random.default_rng(0).uniform(-1, 1, (6, 4, 4, 3)).repeat(8, 1).repeat(8, 2)
pad = AdainPanel(
    vgg.vgg(widths=(4, 6, 8, 8)), transfer.decoder(widths=(4, 5, 6), channels=8, blocks=1),
    {"a": patches[0], "b": patches[1]}, dict(zip("cdef", patches[2:])),
)
pad.panel
"""


@pytest.fixture(scope="module")
def page(window, tmp_path_factory):
    """Both panels, the studio first."""
    notebooks, folder = tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("lab")
    jupyterlab.write(notebooks / "pads.ipynb", STUDIO, ANY_STYLE)
    with jupyterlab.server(notebooks, folder) as address:
        panel = jupyterlab.PanelPage(window, address, "pads.ipynb")
        yield panel
        panel.notebook.close()


@pytest.fixture
def studio(page):
    page.picture = page.notebook.picture(0)
    page.picture.scroll_into_view_if_needed()
    return page


@pytest.fixture
def any_style(page):
    page.picture = page.notebook.picture(1)
    page.picture.scroll_into_view_if_needed()
    return page


def drag(panel, number, start, end):
    """Drags the point of a pad, in shares of its side."""
    pad = panel.page.locator("canvas.course-pad").nth(number)
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)]
    panel.page.mouse.move(*places[0])
    panel.page.mouse.down()
    panel.page.mouse.move(*places[1], steps=6)
    panel.page.mouse.up()


def upload(panel, number, path):
    """Chooses a file, as the dialog of the button does."""
    buttons = panel.page.locator("button.jupyter-widgets.widget-upload")
    with panel.page.expect_file_chooser() as chooser:
        buttons.nth(number).click()
    chooser.value.set_files(path)


@pytest.fixture
def own(tmp_path):
    pixels = np.random.default_rng(1).integers(0, 256, (20, 12, 3), dtype="uint8")
    Image.fromarray(pixels).save(tmp_path / "own.png")
    return tmp_path / "own.png"


def test_the_point_between_four_seeds_is_dragged_or_moved_with_the_keys(studio):
    studio.changes(lambda: drag(studio, 0, (0.1, 0.1), (0.55, 0.75)))
    studio.notebook.expect(r"^seeds 0, 1, 2, 3 at \(0\.5\d, 0\.7\d\); ψ 0\.70")
    studio.changes(lambda: studio.page.keyboard.press("Shift+ArrowUp"))
    studio.notebook.expect(r"^seeds 0, 1, 2, 3 at \(0\.5\d, 0\.5\d\)")
    studio.changes(lambda: studio.notebook.click("undo"))


def test_a_direction_is_followed_and_locked(studio):
    studio.tab("directions")
    row = studio.page.locator(".widget-hbox", has_text="glasses").last
    handle = row.get_by_role("slider")
    handle.focus()
    studio.changes(lambda: handle.press("ArrowRight"))
    studio.notebook.expect(r"^seeds .*; glasses \+0\.1 σ")
    row.get_by_role("checkbox").check()
    studio.notebook.expect(r"^seeds .*; locked: glasses")


def test_a_picture_of_the_readers_own_is_projected(studio, own):
    studio.tab("your picture")
    studio.changes(lambda: upload(studio, 0, own))
    studio.notebook.expect(r"own\.png, cut square, 16 × 16: press project")
    studio.changes(lambda: studio.notebook.click("project"))
    studio.notebook.expect(r"projected with a loss of \d\.\d{4}")


def test_the_point_between_four_styles_is_dragged(any_style):
    any_style.changes(lambda: drag(any_style, 1, (0.5, 0.5), (1.0, 0.0)))
    any_style.notebook.expect(r"^a, strength 1\.00; top left c 0\.0\d, top right d (1\.00|0\.9\d)")


def test_a_picture_of_the_readers_own_is_restyled_and_a_broken_file_changes_nothing(
    any_style, own, tmp_path
):
    any_style.changes(lambda: upload(any_style, -1, own))
    any_style.notebook.expect(r"^own\.png, strength")
    broken = tmp_path / "broken.png"
    broken.write_bytes(own.read_bytes()[:60])
    before = any_style.notebook.bytes_of(any_style.picture)
    upload(any_style, -1, broken)
    any_style.notebook.expect(r"broken\.png is broken or truncated")
    assert any_style.notebook.bytes_of(any_style.picture) == before


def test_nothing_moves_where_the_panels_are_unhooked(studio):
    """The negative control, and the last one."""
    studio.tab("walk")
    studio.notebook.execute(jupyterlab.UNHOOK)
    for number in (0, 1):
        studio.picture = studio.notebook.picture(number)
        with pytest.raises(TimeoutError):
            studio.changes(lambda n=number: drag(studio, n, (0.2, 0.2), (0.8, 0.3)), seconds=2)
