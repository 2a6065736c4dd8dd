"""A slider over pictures that are computed beforehand: no callback ever waits for a network."""

import io

import ipywidgets
import numpy as np
from PIL import Image

from course_lib import plots


class FrameSlider:
    """A slider that shows one of several pictures, with its position in words.

    All frames are encoded once, when the panel is built; moving the slider swaps bytes. It can
    be dragged, and moved with the arrow keys when it has the focus.

    Attributes:
        slider: `ipywidgets.IntSlider`, from 0 to count - 1.
        image: `ipywidgets.Image`, a PNG.
        caption: `ipywidgets.Label` below the picture.
        panel: the box to display.
    """

    def __init__(self, images, captions, *, label="position", pixels=256):
        """Build the panel.

        Args:
            images: float array (count, height, width, 1 or 3) in [-1, 1], count at least 2.
            captions: one text per image, said below it.
            label: name of the slider.
            pixels: width of the picture on the screen.

        Raises:
            ValueError: on fewer than two images, other shapes or ranges, or another number
                of captions.
        """
        frames = plots.to_display(images)
        if len(frames) < 2 or len(frames) != len(captions):
            raise ValueError(
                "a slider needs at least two images and as many captions, "
                f"got {len(frames)} images and {len(captions)} captions."
            )
        self._images, self._captions = images, list(captions)
        self._encoded = [_png(frame, pixels) for frame in frames]
        self.slider = ipywidgets.IntSlider(
            0, 0, len(frames) - 1, description=label, continuous_update=True, readout=False
        )
        self.image = ipywidgets.Image(value=self._encoded[0], format="png", width=pixels)
        self.caption = ipywidgets.Label(self._captions[0])
        self.slider.observe(self._show, names="value")
        self.panel = ipywidgets.VBox([self.image, self.slider, self.caption])

    def _show(self, change):
        self.image.value = self._encoded[change["new"]]
        self.caption.value = self._captions[change["new"]]

    def figure(self, count=8):
        """Draw `count` evenly spaced frames as a plain picture, for readers without a kernel."""
        chosen = np.linspace(0, len(self._images) - 1, count).round().astype(int)
        return plots.image_grid(
            np.asarray(self._images)[chosen],
            columns=count,
            captions=[self._captions[index] for index in chosen],
        )


def _png(frame, pixels):
    picture = Image.fromarray((frame * 255).round().astype("uint8"))
    height = round(picture.height * pixels / picture.width)
    buffer = io.BytesIO()
    # Nearest neighbour keeps the pixels visible: what the network drew, not a smoothed copy.
    picture.resize((pixels, height), Image.Resampling.NEAREST).save(buffer, "png", compress_level=1)
    return buffer.getvalue()
