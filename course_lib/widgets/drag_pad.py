"""A square with a point in it that is dragged: two sliders in one, for the mouse."""

import functools
from pathlib import Path

import traitlets


def drag_pad():
    """Return a widget with the trait `position`, [x, y] from 0 to 1, y downwards.

    It follows mouse, pen, finger and arrow keys. None where the package anywidget is missing: give
    the reader sliders as well.
    """
    pad_class = _pad_class()
    return pad_class() if pad_class else None


def tie(pad, x, y):
    """Let the pad move two sliders, and the sliders move the pad; nothing if the pad is None.

    Args:
        pad: what `drag_pad` returned.
        x, y: sliders from 0 to 1; observe these, they change whoever moved first.
    """
    following = False  # the sliders follow the pad now, and must not push it back

    def dragged(change):
        nonlocal following
        following = True
        x.value, y.value = change["new"]
        following = False

    def moved(_):
        if not following:
            pad.position = [x.value, y.value]

    if pad is not None:
        pad.observe(dragged, "position")
        for slider in (x, y):
            slider.observe(moved, "value")


@functools.cache
def _pad_class():
    try:
        import anywidget
    except ImportError:
        return None

    class DragPad(anywidget.AnyWidget):
        _esm = Path(__file__).with_name("drag_pad.js").read_text(encoding="utf-8")
        position = traitlets.List([0.0, 0.0]).tag(sync=True, echo_update=False)

    return DragPad
