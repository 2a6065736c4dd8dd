"""Plots: what is drawn is what was given, and no range is guessed."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from course_lib import plots

IMAGES = np.linspace(-1, 1, 6 * 4 * 4 * 3, dtype="float32").reshape(6, 4, 4, 3)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def shown(figure):
    return [axis.images[0].get_array() for axis in figure.axes if axis.images]


def test_minus_one_is_black_and_one_is_white():
    black_white = np.stack([np.full((4, 4, 3), -1.0), np.full((4, 4, 3), 1.0)])
    black, white = shown(plots.image_grid(black_white))
    assert (np.asarray(black) == 0).all() and (np.asarray(white) == 1).all()


def test_a_grid_shows_every_image_once_in_order():
    pictures = shown(plots.image_grid(IMAGES, columns=4))
    np.testing.assert_allclose(np.stack(pictures), (IMAGES + 1) / 2, atol=1e-6)


def test_grey_images_are_shown_grey():
    picture = shown(plots.image_grid(IMAGES[:1, ..., :1]))[0]
    assert picture.shape == (4, 4, 3) and (picture[..., 0] == picture[..., 2]).all()


@pytest.mark.parametrize(
    "wrong, message",
    [
        (IMAGES * 127.5 + 127.5, r"got \[0, 255\]; convert"),
        (IMAGES + np.nan, "nan"),
        (IMAGES[0], r"got \(4, 4, 3\)"),
        (IMAGES[..., :2], r"got \(6, 4, 4, 2\)"),
        (IMAGES[:0], r"got \(0, 4, 4, 3\)"),
    ],
)
def test_other_ranges_and_shapes_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        plots.image_grid(wrong)


def test_captions_stand_below_their_images():
    figure = plots.image_grid(IMAGES[:2], captions=["first", "second"])
    assert [axis.get_title() for axis in figure.axes] == ["first", "second"]


def test_a_wrong_number_of_captions_is_refused():
    with pytest.raises(ValueError, match="6 images need as many captions, got 1"):
        plots.image_grid(IMAGES, captions=["one"])


def test_rows_are_named_and_may_differ_in_length():
    figure = plots.image_rows({"real": IMAGES, "generated": IMAGES[:2]}, title="both")
    assert [axis.get_ylabel() for axis in figure.axes] == ["real", "generated"]
    assert [picture.shape for picture in shown(figure)] == [(4, 24, 3), (4, 8, 3)]


def test_curves_have_labels_colours_and_line_styles_of_their_own():
    figure = plots.curves({"a": [1, 2], "b": [2, 1]}, x=[0, 1], xlabel="x", ylabel="y")
    lines = figure.axes[0].lines
    assert [line.get_label() for line in lines] == ["a", "b"]
    assert lines[0].get_color() != lines[1].get_color()
    assert lines[0].get_linestyle() != lines[1].get_linestyle()
    np.testing.assert_array_equal(lines[0].get_ydata(), [1, 2])


def test_guides_are_horizontal_lines_with_their_name():
    figure = plots.curves({"a": [1, 2]}, x=[0, 1], xlabel="x", ylabel="y", guides={"2 ln 2": 1.4})
    assert figure.axes[0].lines[1].get_ydata() == [1.4, 1.4]
    assert "2 ln 2" in [text.get_text() for text in figure.axes[0].texts]


def test_the_label_of_the_highest_guide_stays_inside():
    figure = plots.curves({"a": [1, 2]}, x=[0, 1], xlabel="x", ylabel="y", guides={"top": 2.1})
    figure.canvas.draw()
    (axis,) = figure.axes
    assert axis.texts[0].get_window_extent().y1 <= axis.get_window_extent().y1


def test_a_curve_of_another_length_is_refused():
    with pytest.raises(ValueError, match="curve 'a' has 3 points but x has 2"):
        plots.curves({"a": [1, 2, 3]}, x=[0, 1], xlabel="x", ylabel="y")


def test_bars_carry_their_numbers_and_errors():
    figure = plots.bars({"a": 1.5, "b": 2.0}, ylabel="y", errors={"a": 0.1, "b": 0.2})
    axis = figure.axes[0]
    assert [bar.get_height() for bar in axis.patches] == [1.5, 2.0]
    assert {"1.5", "2"} <= {text.get_text() for text in axis.texts}
    assert axis.containers


def test_a_heat_table_shows_each_text_at_its_place_on_its_shade():
    texts = [["a", "b", "c"], ["d", "e", "f"]]
    shades = np.array([[0.0, 0.5, 1.0], [0.2, 0.7, 0.1]])
    figure = plots.heat_table(texts, shades, rows="xy", columns="uvw", title="shade: size")
    (axis,) = figure.axes
    np.testing.assert_array_equal(axis.images[0].get_array(), shades)
    assert axis.images[0].get_clim() == (0, 1)
    places = {text.get_text(): text.get_position() for text in axis.texts}
    assert places == {"a": (0, 0), "b": (1, 0), "c": (2, 0), "d": (0, 1), "e": (1, 1), "f": (2, 1)}
    colors = {text.get_text(): text.get_color() for text in axis.texts}
    assert [colors[name] for name in "abce"] == ["black", "black", "white", "white"]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["x", "y"]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["u", "v", "w"]


@pytest.mark.parametrize(
    "texts, shades, message",
    [
        ([["a", "b"]], [[0.0]], r"shape \(1, 2\).*got \(1, 2\) and \(1, 1\)"),
        ([["a"]], [[0.0]], r"shape \(1, 2\), as the names, got \(1, 1\)"),
        ([["a", "b"]], [[0.0, 1.5]], "in \\[0, 1\\], got 0 to 1.5"),
        ([["a", "b"]], [[np.nan, 0.5]], "in \\[0, 1\\], got nan"),
    ],
)
def test_a_heat_table_refuses_other_sizes_and_shades(texts, shades, message):
    with pytest.raises(ValueError, match=message):
        plots.heat_table(texts, shades, rows="x", columns="uv")


def test_each_row_has_its_seeds_mean_deviation_and_note():
    arms = {"a": [1.0, 2.0, 6.0], "b": [4.0, np.nan, 5.0], "c": [np.nan], "d": [7.0]}
    figure = plots.seed_points(
        arms, xlabel="distance", notes={"b": "1 diverged"}, guides={"g": 0.5}
    )
    (axis,) = figure.axes
    points = [line for line in axis.lines if line.get_marker() == "o"]
    found = [line.get_xdata().tolist() for line in points]
    assert found == [[1.0, 2.0, 6.0], [4.0, 5.0], [], [7.0]]
    assert [set(line.get_ydata()) for line in points] == [{0}, {1}, set(), {3}]
    said = [text.get_text() for text in axis.texts]
    assert [word for word in said if word] == ["3", "4.5", "1 diverged", "7", "g"]
    (bar, _, other) = [box.get_paths()[0].vertices[:, 0] for box in axis.collections]
    np.testing.assert_allclose(bar, [3 - 7**0.5, 3 + 7**0.5])  # variance (4 + 1 + 9) / 2
    np.testing.assert_allclose(other, [7.0, 7.0])  # one seed has no deviation
    assert axis.get_ylim()[0] > axis.get_ylim()[1] and axis.get_xscale() == "linear"
    assert [label.get_text() for label in axis.get_yticklabels()] == list(arms)
    assert axis.lines[-1].get_xdata() == [0.5, 0.5]


def test_the_axis_of_seed_points_can_be_logarithmic():
    figure = plots.seed_points({"a": [0.11], "b": [0.6]}, xlabel="x", log=True)
    (axis,) = figure.axes
    figure.canvas.draw()
    assert axis.get_xscale() == "log"
    low, high = axis.get_xlim()
    shown = [tick for tick in axis.get_xticks() if low < tick < high]
    np.testing.assert_allclose(shown, [0.2, 0.5])
    assert axis.xaxis.get_major_formatter()(0.2) == "0.2"
    assert axis.xaxis.get_minor_formatter()(0.3) == ""


@pytest.mark.parametrize("dtype, white", [("uint8", 255), ("float32", 1.0)])
def test_a_montage_has_the_images_in_rows_with_white_between(dtype, white):
    images = np.arange(5 * 2 * 3 * 3).reshape(5, 2, 3, 3).astype(dtype) / 100
    images = images.astype(dtype)
    sheet = plots.montage(images, columns=3, gap=2)
    assert sheet.shape == (6, 13, 3) and sheet.dtype == dtype
    np.testing.assert_array_equal(sheet[0:2, 5:8], images[1])
    np.testing.assert_array_equal(sheet[4:6, 5:8], images[4])
    assert (sheet[2:4] == white).all() and (sheet[4:6, 10:] == white).all()
