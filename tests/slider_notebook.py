"""The smallest notebook with a slider and a picture: it tests the tests of real widgets."""

from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course_lib import publish

SOURCE = """\
import io
import ipywidgets
from IPython.display import display
from PIL import Image

slider = ipywidgets.IntSlider(value=20, max=255, step=5, description="Red")
picture = ipywidgets.Image(width=64, height=64, format="png")
status = ipywidgets.Label()

def paint(change):
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (change["new"], 0, 0)).save(buffer, "png")
    picture.value = buffer.getvalue()
    status.value = f"painted {change['new']}"

slider.observe(paint, "value")
paint({"new": slider.value})
display(ipywidgets.VBox([slider, picture, status]))
"""


def write(path: Path) -> Path:
    """Writes the notebook, not run; returns its path."""
    cells = [new_markdown_cell("# A slider"), new_code_cell(SOURCE)]
    metadata = {"kernelspec": publish.KERNEL, "language_info": publish.LANGUAGE}
    nbformat.write(new_notebook(cells=cells, metadata=metadata), path)
    return path
