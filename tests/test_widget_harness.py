"""The harness for widgets sees what a reader sees, and notices when a widget is dead."""

import io

import pytest
import slider_notebook
from PIL import Image
from widget_harness import CellFailed, NotebookKernel

pytestmark = pytest.mark.notebook

BUTTON = """\
label, button = ipywidgets.Label(), ipywidgets.Button()
button.on_click(lambda _: setattr(label, "value", "clicked"))
"""


@pytest.fixture(scope="module", params=[False, True], ids=["main-shell", "subshell"])
def kernel(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("kernel")
    path = slider_notebook.write(folder / "slider.ipynb")
    with NotebookKernel(folder, subshell=request.param) as kernel:
        kernel.run_notebook(path)
        yield kernel


def _red(picture: bytes) -> int:
    return Image.open(io.BytesIO(picture)).getpixel((0, 0))[0]


def test_moving_the_slider_brings_the_picture_of_its_value(kernel):
    (slider,), (image,) = kernel.widgets("IntSlider"), kernel.widgets("Image")
    for value in (100, 200):
        seen = len(kernel.images.get(image, []))
        kernel.change(slider, value=value)
        assert _red(kernel.wait_for_image(image, more_than=seen)) == value


def test_a_click_is_seen_by_its_effect(kernel):
    kernel.run(BUTTON)
    kernel.click(kernel.widgets("Button")[-1])
    kernel.wait_for_state(kernel.widgets("Label")[-1], "value", "clicked")


def test_an_unhooked_button_does_nothing(kernel):
    kernel.run(BUTTON)
    button, label = kernel.widgets("Button")[-1], kernel.widgets("Label")[-1]
    kernel.unhook(button)
    kernel.click(button)
    with pytest.raises(TimeoutError, match="value == 'clicked'"):
        kernel.wait_for_state(label, "value", "clicked", seconds=1)


def test_an_unhooked_slider_brings_no_picture(kernel):
    (slider,), (image,) = kernel.widgets("IntSlider"), kernel.widgets("Image")
    kernel.unhook(slider)
    seen = len(kernel.images.get(image, []))
    kernel.change(slider, value=50)
    with pytest.raises(TimeoutError, match="waited 1 s for a new picture"):
        kernel.wait_for_image(image, more_than=seen, seconds=1)
    assert kernel.run("print(slider.value)") == "50\n"  # the message did arrive


def test_a_failing_cell_fails_the_test(kernel):
    with pytest.raises(CellFailed, match="ZeroDivisionError"):
        kernel.run("1 / 0")
