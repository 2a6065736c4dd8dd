"""Drawing a distribution: the points lie where the paint is, and every control does its work."""

import io
import sys

import matplotlib
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

matplotlib.use("Agg")

from course_lib.datasets import strokes
from course_lib.datasets.strokes import PRESETS, points_from_strokes
from course_lib.widgets import canvas
from course_lib.widgets.canvas import DrawingCanvas

LINE = [[[-0.5, 0.0], [0.5, 0.0]]]
LETTER = [[[-0.6, -0.8], [-0.6, 0.8], [0.5, 0.8]], [[-0.6, 0.0], [0.3, 0.0]]]  # an F

# Points ------------------------------------------------------------------------------------------

CELL = 0.01
EDGES = np.arange(-1.3, 1.3 + CELL / 2, CELL)
CENTRES = np.stack(np.meshgrid(*[(EDGES[1:] + EDGES[:-1]) / 2] * 2, indexing="ij"), axis=-1)


def middle_of(drawing):
    """Places along the strokes, 0.005 apart."""
    parts = []
    for stroke in map(np.array, drawing):
        parts.append(stroke[:1])
        for start, end in zip(stroke[:-1], stroke[1:], strict=True):
            count = int(np.ceil(np.linalg.norm(end - start) / 0.005)) + 1
            parts.append(np.linspace(start, end, count))
    return np.concatenate(parts)


def iou(points, drawing, brush):
    """Overlap of what is painted with where the points lie dense enough, as intersection / union.

    Painted is each cell within one radius of the middle of a stroke. Across a stroke the points are
    Gaussian with half a radius, so at its border their density is exp(-2) of that in the middle.
    Smoothing with a third of a radius to count them makes that the `level` below. A cell is covered
    where the smoothed density is at least that share of the median along the strokes.
    """
    middle = middle_of(drawing)
    painted = cKDTree(middle).query(CENTRES)[0] <= brush
    counts, _, _ = np.histogram2d(*points.T, bins=[EDGES, EDGES])
    density = gaussian_filter(counts, brush / 3 / CELL)
    at = tuple(np.floor((middle - EDGES[0]) / CELL).astype(int).T)
    level = np.exp(-(brush**2) / 2 / ((brush / 2) ** 2 + (brush / 3) ** 2))
    covered = density >= level * np.median(density[at])
    return (painted & covered).sum() / (painted | covered).sum()


@pytest.mark.parametrize("brush", [0.05, 0.08, 0.12])
@pytest.mark.parametrize("name", [*PRESETS, "letter"])
def test_five_thousand_points_cover_what_is_painted_and_nothing_else(name, brush):
    drawing = PRESETS.get(name, LETTER)
    for seed in range(3):
        assert iou(points_from_strokes(drawing, brush, 5000, seed), drawing, brush) > 0.9


def test_the_overlap_notices_points_that_are_wrong():
    good = points_from_strokes(LETTER, 0.08, 5000, 0)
    assert iou(good + 0.03, LETTER, 0.08) < 0.9
    assert iou(good[good[:, 0] < 0.2], LETTER, 0.08) < 0.9
    assert iou(points_from_strokes(LETTER, 0.12, 5000, 0), LETTER, 0.08) < 0.9
    assert iou(points_from_strokes(LETTER, 0.05, 5000, 0), LETTER, 0.08) < 0.9


def test_points_are_uniform_along_a_stroke_and_gaussian_across():
    points = points_from_strokes(LINE, 0.1, 40_000, 1).astype(float)
    # Along: uniform on [-0.5, 0.5] and 0.045 more at both ends, whose variance is width^2 / 12.
    assert points[:, 0].var() == pytest.approx(1.09**2 / 12 + 0.05**2, rel=0.02)
    assert points[:, 1].std() == pytest.approx(0.05, rel=0.02)
    assert np.mean(np.abs(points[:, 1]) < 0.1) == pytest.approx(0.9545, abs=0.005)
    assert points.mean(axis=0) == pytest.approx([0, 0], abs=0.01)


def test_a_stroke_with_many_points_in_one_half_is_still_uniform():
    bent = [[[-0.5, 0.0], *([x, 0.0] for x in np.linspace(0, 0.5, 50))]]
    points = points_from_strokes(bent, 0.02, 20_000, 1)
    assert np.mean(points[:, 0] < 0) == pytest.approx(0.5, abs=0.015)


def test_strokes_get_points_by_length_and_a_dot_gets_its_area():
    drawing = [[[-0.9, 0.5], [-0.5, 0.5]], [[0.1, 0.5], [0.9, 0.5]], [[0.0, -0.8]]]
    points = points_from_strokes(drawing, 0.04, 60_000, 2)
    share = [points[:, 0] < -0.2, points[:, 1] < -0.2]
    cap = 0.04 * np.pi / 2  # area pi b^2 of a dot, divided by the width 2 b of a stroke
    total = 0.4 + 0.8 + 3 * cap
    assert np.mean(share[0]) == pytest.approx((0.4 + cap) / total, abs=0.01)
    assert np.mean(share[1]) == pytest.approx(cap / total, abs=0.01)


def test_points_are_float32_and_of_the_seed_alone():
    first, again, other = (points_from_strokes(LETTER, 0.1, 500, seed) for seed in (3, 3, 4))
    assert first.dtype == np.float32 and first.shape == (500, 2)
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_any_part_of_the_points_is_a_fair_sample():
    points = points_from_strokes([[[-0.5, 0.0]], [[0.5, 0.0]]], 0.05, 2000, 0)
    assert np.mean(points[:500, 0] < 0) == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize("drawing", [[], [[]]])
def test_an_empty_drawing_says_what_to_do(drawing):
    with pytest.raises(ValueError, match="nothing is drawn yet: draw a stroke, or choose"):
        points_from_strokes(drawing, 0.1, 10, 0)


@pytest.mark.parametrize("brush, count", [(0.0, 10), (-1.0, 10), (float("nan"), 10), (0.1, 0)])
def test_a_useless_brush_or_count_is_refused(brush, count):
    with pytest.raises(ValueError, match=f"got {brush} and {count}"):
        points_from_strokes(LINE, brush, count, 0)


@pytest.mark.parametrize(
    "stroke", [[[0, 1, 2]], [0, 1], [["a", 1]], [[0, float("nan")]], 5, [[None, 1]], [[0], [1, 2]]]
)
def test_what_is_no_stroke_is_named(stroke):
    with pytest.raises(ValueError, match=r"stroke 2 must be a list of \[x, y\] numbers, got"):
        strokes.checked([LINE[0], stroke])


def test_points_outside_are_moved_to_the_border():
    assert strokes.checked([[[-3, 0.5], [0, 7]]]) == [[[-1, 0.5], [0, 1]]]


def test_a_pen_that_rests_at_an_end_changes_no_point():
    rested = [[LINE[0][0], *LINE[0], LINE[0][1]]]
    both = [points_from_strokes(drawing, 0.1, 200, 0) for drawing in (LINE, rested)]
    assert np.allclose(*both)


def test_the_length_is_that_of_the_polygon():
    assert strokes.length([[0, 0], [0.3, 0.4], [0.3, 1.0]]) == pytest.approx(1.1)
    assert strokes.length([[0.5, 0.5]]) == 0


# What they cover ----------------------------------------------------------------------------------


def test_a_stroke_covers_what_its_brush_passes():
    found = strokes.covered([[[-0.5, 0.5], [0.5, 0.5]], [[0.0, -0.5]]], 0.2, 40)
    assert found.shape == (40, 40) and found.dtype == np.float32
    x, y = np.meshgrid((np.arange(40) + 0.5) / 20 - 1, 1 - (np.arange(40) + 0.5) / 20)
    line = np.hypot(np.maximum(np.abs(x) - 0.5, 0), y - 0.5)
    distance = np.minimum(line, np.hypot(x, y + 0.5))
    assert (found[distance < 0.17] == 1).all() and (found[distance > 0.23] == 0).all()
    assert ((found > 0) & (found < 1)).any()  # a border pixel is covered in part


def test_nothing_drawn_covers_nothing_and_no_stroke_is_named():
    assert not strokes.covered([], 0.1, 8).any()
    with pytest.raises(ValueError, match="stroke 1 must be a list"):
        strokes.covered([[["x", 1]]], 0.1, 8)


# Text --------------------------------------------------------------------------------------------


def test_strokes_written_as_text_come_back():
    text = strokes.to_text([[[0.5, -0.25], [1, 1]], [[0, 0]]])
    assert text == "0.50,-0.25 1.00,1.00\n0.00,0.00"
    assert strokes.from_text(text) == [[[0.5, -0.25], [1, 1]], [[0, 0]]]
    assert strokes.from_text("\n  \n") == []


@pytest.mark.parametrize("word", ["0.5", "1;2", "1,2,3", "a,b", "nan,1", "1,"])
def test_a_word_that_is_no_point_is_named_with_its_line(word):
    with pytest.raises(ValueError, match=f"line 3: '{word}' is no point; write x,y"):
        strokes.from_text(f"0,0 1,1\n\n0,0 {word}")


# The panel ---------------------------------------------------------------------------------------

BOTH = pytest.mark.parametrize("core", [False, True], ids=["mouse", "core"])


def draw(panel, drawing):
    """What a browser sends when a stroke ends, or when the text is left."""
    name, value = "strokes", drawing
    if panel.eraser is None:
        name, value = "value", strokes.to_text(drawing)
    panel.surface.set_state({name: value})


def shown(panel):
    """The strokes that the reader sees: those of the surface."""
    if panel.eraser is None:
        return strokes.from_text(panel.surface.value)
    return panel.surface.strokes


@BOTH
def test_a_stroke_that_is_drawn_arrives_and_is_told(core):
    panel, heard = DrawingCanvas(core=core), []
    panel.observe(lambda change: heard.append(change["new"]), "strokes")
    draw(panel, LINE)
    assert panel.strokes == LINE and heard == [LINE]
    assert panel.caption.value == "1 stroke, length 1.00, brush 0.08"
    assert np.array_equal(panel.points(9, 1), points_from_strokes(LINE, 0.08, 9, 1))


@BOTH
def test_undo_goes_back_over_strokes_presets_and_clear(core):
    panel = DrawingCanvas(core=core)
    states = [[]]
    draw(panel, LINE)
    states.append(panel.strokes)
    panel.preset.set_state({"index": 1 + list(PRESETS).index("two blobs")})
    states.append(panel.strokes)
    panel.clear.click()
    assert states[2] == PRESETS["two blobs"] and panel.strokes == shown(panel) == []
    for state in reversed(states):
        panel.undo.click()
        assert panel.strokes == shown(panel) == state
    panel.undo.click()  # nothing is left, and nothing happens
    assert panel.strokes == []


@BOTH
def test_undo_keeps_what_the_panel_was_made_with(core):
    panel = DrawingCanvas(LINE, core=core)
    assert panel._history == []
    panel.undo.click()
    assert panel.strokes == shown(panel) == LINE


@BOTH
@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_drawn_and_can_be_chosen_again(core, name):
    panel = DrawingCanvas(core=core)
    for _ in range(2):
        panel.preset.set_state({"index": 1 + list(PRESETS).index(name)})
        assert strokes.to_text(shown(panel)) == strokes.to_text(PRESETS[name])
        assert panel.preset.value == canvas.CHOOSE
        panel.clear.click()


@BOTH
def test_the_brush_slider_sets_the_spread_of_the_points(core):
    panel = DrawingCanvas(LINE, core=core)
    panel.size.set_state({"value": 0.2})
    assert panel.points(20_000, 0)[:, 1].std() == pytest.approx(0.1, rel=0.03)
    assert "brush 0.20" in panel.caption.value
    if not core:
        assert panel.surface.brush == 0.2


def test_the_eraser_reaches_the_surface():
    panel = DrawingCanvas(core=False)
    panel.eraser.set_state({"value": True})
    assert panel.surface.eraser is True


def test_the_substitute_shows_a_picture_of_the_strokes():
    panel = DrawingCanvas(core=True, brush=0.1)
    draw(panel, [[[-0.5, 0.5], [0.5, 0.5]], [[0.0, -0.5]]])
    pixels = np.asarray(Image.open(io.BytesIO(panel._picture.value)).convert("L")) < 200
    pixels = pixels[2:-2, 2:-2]  # without the frame
    rows, columns = np.nonzero(pixels)
    assert pixels[:318].sum() > 3 * pixels[318:].sum()  # the line is above, the dot below
    assert rows.min() == pytest.approx(0.2 * 640, abs=5)  # y 0.5 and a radius, downwards
    assert columns.min() == pytest.approx(0.2 * 640, abs=5)
    area = (1.0 * 0.2 + 2 * np.pi * 0.1**2) / 4  # two round ends are one disc, the dot another
    assert pixels.mean() == pytest.approx(area, rel=0.05)


def _teal():
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), (0, 128, 128)).save(buffer, "png")
    return buffer.getvalue()


def test_a_background_is_seen_through_the_paint_of_the_substitute():
    panel = DrawingCanvas(core=True, brush=0.3)
    panel.background = _teal()
    draw(panel, [[[0.0, -0.5]]])
    pixels = np.asarray(Image.open(io.BytesIO(panel._picture.value)).convert("RGB"))
    assert pixels[160, 320].tolist() == [0, 128, 128]
    blue = 0.45 * np.array([0, 128, 128]) + 0.55 * np.array([0, 0x72, 0xB2])
    assert np.abs(pixels[480, 320] - blue).max() <= 2
    panel.background = b""
    pixels = np.asarray(Image.open(io.BytesIO(panel._picture.value)).convert("RGB"))
    assert pixels[160, 320].tolist() == [255, 255, 255]
    assert pixels[480, 320].tolist() == [0, 0x72, 0xB2]


def test_a_background_reaches_the_surface_for_the_mouse():
    panel = DrawingCanvas(core=False)
    panel.background = _teal()
    assert panel.surface.background == _teal()


def test_wrong_text_is_explained_and_changes_nothing():
    panel = DrawingCanvas(LINE, core=True)
    panel.surface.set_state({"value": "0,0 <b>"})
    assert "line 1: &#x27;&lt;b&gt;&#x27; is no point" in panel.caption.value
    assert panel.strokes == LINE
    panel.surface.set_state({"value": "-0.5,0 0.5,0.0"})  # mended, and the same as before
    assert panel.caption.value.startswith("1 stroke") and panel.strokes == LINE


def test_a_browser_cannot_send_what_is_no_stroke():
    panel = DrawingCanvas(LINE, core=False)
    with pytest.raises(ValueError, match="stroke 1 must be"):
        panel.surface.set_state({"strokes": [[["x", None]]]})
    assert panel.strokes == LINE


def test_the_mouse_is_chosen_where_anywidget_is_installed():
    assert DrawingCanvas().eraser is not None
    assert DrawingCanvas(core=True).eraser is None


def test_without_anywidget_the_substitute_comes_by_itself(monkeypatch):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    canvas._surface_class.cache_clear()
    assert DrawingCanvas(LINE).surface.value == "-0.50,0.00 0.50,0.00"
    with pytest.raises(ImportError, match="needs the package anywidget"):
        DrawingCanvas(core=False)
    canvas._surface_class.cache_clear()


@pytest.mark.parametrize("brush", [0.0, 0.5])
def test_a_brush_out_of_range_is_refused(brush):
    with pytest.raises(ValueError, match=f"from 0.02 to 0.3, got {brush}"):
        DrawingCanvas(brush=brush)


def test_the_javascript_is_in_the_package_and_asks_no_other_host():
    source = DrawingCanvas(core=False).surface._esm
    assert "export default" in source
    assert "http" not in source and "import " not in source


def test_the_plain_figure_shows_the_points():
    (axes,) = DrawingCanvas(LINE).figure(count=300, seed=5).axes
    assert np.allclose(axes.collections[0].get_offsets(), points_from_strokes(LINE, 0.08, 300, 5))


@BOTH
def test_an_unhooked_canvas_does_nothing(core):
    panel = DrawingCanvas(core=core)
    panel.surface.unobserve_all()
    draw(panel, LINE)
    assert panel.strokes == [] and panel.caption.value.startswith("0 strokes")
