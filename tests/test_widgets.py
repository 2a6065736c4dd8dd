"""The slider over pictures: tested by the picture that it shows."""

import io

import matplotlib
import numpy as np
import pytest
from PIL import Image

matplotlib.use("Agg")

from course_lib.widgets.frames import FrameSlider

LEVELS = np.linspace(-1, 1, 5, dtype="float32")
IMAGES = np.broadcast_to(LEVELS[:, None, None, None], (5, 4, 6, 3))


def level(panel):
    """The grey level that is on the screen, -1 to 1."""
    pixels = np.asarray(Image.open(io.BytesIO(panel.image.value)))
    assert (pixels == pixels[0, 0]).all()
    return pixels[0, 0, 0] / 127.5 - 1


@pytest.fixture
def panel():
    return FrameSlider(IMAGES, [f"frame {i}" for i in range(5)], pixels=12)


@pytest.mark.parametrize("position", [0, 3, 4])
def test_moving_the_slider_shows_that_frame_and_its_caption(panel, position):
    panel.slider.set_state({"value": position})  # the path a browser's message takes
    assert level(panel) == pytest.approx(LEVELS[position], abs=0.01)
    assert panel.caption.value == f"frame {position}"


def test_without_its_observer_the_slider_moves_nothing(panel):
    panel.slider.unobserve_all("value")
    panel.slider.set_state({"value": 4})
    assert level(panel) == pytest.approx(-1)


def test_positions_beyond_the_ends_stop_there(panel):
    panel.slider.value = 99
    assert level(panel) == pytest.approx(1)


def test_the_picture_is_enlarged_without_smoothing():
    stripes = np.tile(np.array([-1.0, 1.0], "float32"), (2, 4, 3, 1)).reshape(2, 4, 6, 1)
    shown = Image.open(io.BytesIO(FrameSlider(stripes, "ab", pixels=60).image.value))
    assert shown.size == (60, 40) and set(np.unique(np.asarray(shown))) == {0, 255}


def test_the_plain_figure_has_evenly_spaced_frames(panel):
    figure = panel.figure(3)
    assert [axis.get_title() for axis in figure.axes] == ["frame 0", "frame 2", "frame 4"]


@pytest.mark.parametrize("images, captions", [(IMAGES[:1], ["one"]), (IMAGES, ["too", "few"])])
def test_too_few_images_or_captions_are_refused(images, captions):
    message = f"got {len(images)} images and {len(captions)} captions"
    with pytest.raises(ValueError, match=message):
        FrameSlider(images, captions)
