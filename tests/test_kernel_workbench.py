"""The kernel workbench: moved as a browser moves it, judged by TensorFlow, pixels and words."""

import html
import io
import itertools
import re
import threading

import matplotlib
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from course_lib.datasets import avatars, images
from course_lib.widgets import kernel_picture, kernel_workbench
from course_lib.widgets.convolved import Convolved
from course_lib.widgets.kernel_workbench import PICTURES, PRESETS, KernelWorkbench

SMALL = np.random.default_rng(0).normal(size=(9, 7)).round(2)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def move(panel, name, value):
    """Does what a browser's message does, and waits for the picture."""
    control = getattr(panel, name)
    key = "index" if hasattr(control, "options") else "value"
    value = list(control.options).index(value) if key == "index" else value
    control.set_state({key: value})
    panel.worker.run()


def move_cell(panel, index, value):
    panel.cells[index].set_state({"value": value})
    panel.worker.run()


def click(panel):
    panel.random._handle_custom_msg({"event": "click"}, [])
    panel.worker.run()


def send(panel, content, name="mine.png"):
    """Does what a browser does after a file was chosen."""
    file = {"name": name, "type": "image/png", "size": len(content), "last_modified": 0}
    panel.upload.set_state({"value": [file | {"content": memoryview(content)}]})
    panel.worker.run()


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def pixels_of(panel):
    """What is on the screen, uint8 (height, width, 3)."""
    return np.asarray(Image.open(io.BytesIO(panel.image.value)).convert("RGB"))


def words(panel):
    return html.unescape(re.sub("<[^>]*>", " ", panel.status.value))


def expected_output(picture, kernel, stride, padding, dilation):
    """TensorFlow's answer; explicit zeros are added beforehand."""
    if isinstance(padding, int):
        picture, padding = np.pad(picture, padding), "valid"
    batch, weights = picture[None, :, :, None], np.asarray(kernel, float)[:, :, None, None]
    return tf.nn.conv2d(batch, weights, stride, padding.upper(), dilations=dilation)[0, :, :, 0]


def assert_is_tensorflows(panel):
    state = panel.state
    settings = state.kernel, state.stride, state.padding, state.dilation
    expected = expected_output(state.picture, *settings).numpy()
    np.testing.assert_allclose(state.output, expected, atol=1e-12)
    row, column = state.position
    assert np.sum(state.window * state.kernel) == pytest.approx(expected[row, column], abs=1e-12)
    assert f"= {round(expected[row, column], 4) + 0.0:.4f}" in words(panel)  # 0, and not -0
    assert f"output {expected.shape[0]} × {expected.shape[1]}" in drawn_texts(state)


def drawn_texts(state):
    """All that the picture says in letters, one string."""
    texts, Pen = [], kernel_picture.ImageDraw.ImageDraw
    real = {name: getattr(Pen, name) for name in ("text", "multiline_text")}

    def listen(pen, place, text, *arguments, **options):
        texts.append(text)
        return real["text"](pen, place, text.split("\n")[0], *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        for name in real:
            patch.setattr(Pen, name, listen)
        kernel_picture.draw(state)
    return "\n".join(texts)


# Controls -----------------------------------------------------------------------------------------

GRID = [
    (size, stride, padding, pad, dilation)
    for size, stride, (padding, pad), dilation in itertools.product(
        (1, 2, 3, 5), (1, 2, 4), (("valid", 1), ("same", 1), ("a number", 2)), (1, 2)
    )
    if dilation * (size - 1) < 7 or padding != "valid"
]


def test_every_setting_of_the_sliders_gives_what_tensorflow_gives():
    panel = KernelWorkbench(SMALL, np.random.default_rng(1).normal(size=(5, 5)))
    for settings in GRID:
        names = ("size", "stride", "padding", "pad", "dilation")
        for name, value in zip(names, settings, strict=True):
            move(panel, name, value)
        assert panel.state.kernel.shape == (settings[0], settings[0])
        if panel.state.output is not None:  # 2 zeros may not be enough for a 5 x 5 with gaps
            assert_is_tensorflows(panel)
        else:
            assert settings[0] == 5 and settings[4] == 2 and settings[2] != "same"


@pytest.mark.parametrize(
    "name, value, found",
    [("stride", 3, (3, 3)), ("dilation", 2, (9, 7)), ("size", 5, (9, 7)),
     ("padding", "valid", (7, 5)), ("picture", "one pixel", (15, 15))],
)  # fmt: skip
def test_a_setting_changes_picture_words_and_code(name, value, found):
    panel = KernelWorkbench(SMALL)
    before = panel.image.value, panel.status.value, panel.code.value
    move(panel, name, value)
    assert panel.state.output.shape == found
    assert_is_tensorflows(panel)
    after = panel.image.value, panel.status.value, panel.code.value
    assert all(new != old for new, old in zip(after, before, strict=True))


def test_the_number_of_zeros_counts_only_where_it_is_chosen():
    panel = KernelWorkbench(SMALL, padding="valid")
    assert panel.pad.disabled
    move(panel, "padding", "a number")
    assert not panel.pad.disabled and panel.state.padding == 1
    move(panel, "pad", 4)
    assert panel.state.output.shape == (15, 13) and "padding 4 before, 4 after" in words(panel)
    assert_is_tensorflows(panel)


def test_row_and_column_choose_the_window_that_is_said_and_shown():
    panel = KernelWorkbench(SMALL, stride=2, padding="valid", dilation=2)
    move(panel, "row", 2)
    move(panel, "column", 1)
    assert panel.state.position == (2, 1)
    np.testing.assert_array_equal(panel.state.window, SMALL[4:9:2, 2:7:2])
    assert "output[2, 1] = " in words(panel) and "output[2, 1]" in drawn_texts(panel.state)
    assert_is_tensorflows(panel)


def test_the_sliders_of_the_position_end_where_the_output_does():
    panel = KernelWorkbench(SMALL, padding="valid", position=(6, 4))
    assert (panel.row.max, panel.column.max) == (6, 4)
    assert (panel.row.value, panel.column.value) == (6, 4)
    move(panel, "stride", 3)
    assert (panel.row.max, panel.column.max) == (2, 1)
    assert panel.state.position == (2, 1) == (panel.row.value, panel.column.value)


@pytest.mark.parametrize("index", range(25))
def test_a_cell_is_the_number_of_the_kernel_at_its_place(index):
    panel = KernelWorkbench("one pixel", np.zeros((5, 5)))
    move_cell(panel, index, 3.5)
    row, column = divmod(index, 5)
    assert panel.state.kernel[row, column] == 3.5 and panel.state.kernel.sum() == 3.5
    # A single bright pixel shows the kernel turned around, since nothing else is.
    assert panel.state.output[9 - row, 9 - column] == 3.5 and panel.state.output.sum() == 3.5
    assert panel.preset.value == "your own"
    assert_is_tensorflows(panel)


def test_a_smaller_kernel_is_the_middle_and_the_rest_is_kept():
    kernel = np.arange(25.0).reshape(5, 5)
    panel = KernelWorkbench(SMALL, kernel)
    move(panel, "size", 3)
    np.testing.assert_array_equal(panel.state.kernel, kernel[1:4, 1:4])
    assert [cell.disabled for cell in panel.cells].count(False) == 9
    move(panel, "size", 5)
    np.testing.assert_array_equal(panel.state.kernel, kernel)
    assert not any(cell.disabled for cell in panel.cells)


def test_a_ring_of_zeros_changes_nothing_but_the_size():
    panel = KernelWorkbench(SMALL)
    before = panel.state.output
    move(panel, "size", 5)
    np.testing.assert_allclose(panel.state.output, before, atol=1e-12)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_fills_the_kernel_and_an_edit_takes_its_name_away(name):
    panel = KernelWorkbench(SMALL, np.ones((5, 5)))
    assert panel.preset.value == "your own"
    move(panel, "preset", name)
    np.testing.assert_allclose(panel.state.kernel, PRESETS[name])
    assert panel.size.value == 3 and panel.preset.value == name
    assert_is_tensorflows(panel)
    move_cell(panel, 12, 77.0)
    assert panel.preset.value == "your own" and panel.state.kernel[1, 1] == 77
    move(panel, "preset", name)
    np.testing.assert_allclose(panel.state.kernel, PRESETS[name])


def test_what_the_presets_are_for():
    flat = np.full((5, 5), 0.5)
    for name, kernel in PRESETS.items():
        middle = expected_output(flat, kernel, 1, "valid", 1)
        level = 0.0 if "edges" in name else 0.5
        np.testing.assert_allclose(middle, level, atol=1e-12, err_msg=name)
    ramp = np.arange(5.0) * np.ones((5, 1))  # brighter to the right
    vertical = expected_output(ramp, PRESETS["vertical edges"], 1, "valid", 1)
    horizontal = expected_output(ramp, PRESETS["horizontal edges"], 1, "valid", 1)
    np.testing.assert_allclose(vertical, 8)
    np.testing.assert_allclose(horizontal, 0)


def test_random_fills_the_kernel_of_the_size_as_it_is_with_new_numbers():
    panel = KernelWorkbench(SMALL, np.zeros((4, 4)))
    click(panel)
    first = panel.state.kernel
    assert first.shape == (4, 4) and len(np.unique(first)) > 10
    assert panel.preset.value == "your own"
    assert_is_tensorflows(panel)
    click(panel)
    assert (panel.state.kernel != first).any()


@pytest.mark.parametrize("name", PICTURES)
def test_every_picture_can_be_chosen_and_is_in_range(name):
    panel = KernelWorkbench(SMALL)
    move(panel, "picture", name)
    assert panel.state.picture.shape in [(128, 128), (15, 15)]
    assert np.abs(panel.state.picture).max() < 1 + 1e-9 and panel.state.picture.std() > 0.05
    assert_is_tensorflows(panel)
    move(panel, "picture", "yours")
    np.testing.assert_array_equal(panel.state.picture, SMALL)


def test_an_upload_is_shown_and_stays_in_the_list():
    panel = KernelWorkbench("step")
    pixels = avatars.make(1, size=150, seed=1)[0][0]
    send(panel, png(pixels))
    expected = images.to_float(images.read_image(png(pixels), size=128, channels=1))[..., 0]
    np.testing.assert_array_equal(panel.state.picture, expected.astype(float))
    assert panel.picture.value == "uploaded"
    assert_is_tensorflows(panel)
    move(panel, "picture", "step")
    move(panel, "picture", "uploaded")
    np.testing.assert_array_equal(panel.state.picture, expected.astype(float))


BROKEN = [(b"GIF89a" + bytes(40), "looks like GIF"), (png(SMALL > 0)[:60], "broken")]


@pytest.mark.parametrize("content, reason", BROKEN, ids=["GIF", "cut off"])
def test_a_file_that_cannot_be_read_changes_nothing_and_is_explained(content, reason):
    panel = KernelWorkbench("step")
    before = panel.image.value
    send(panel, content, "odd<b>.png")
    assert reason in words(panel) and "odd<b>.png" in html.unescape(panel.status.value)
    assert "<b>" not in panel.status.value
    assert panel.image.value == before and panel.picture.value == "step"
    send(panel, png(avatars.make(1, size=32, seed=1)[0][0]))
    assert reason not in words(panel) and panel.picture.value == "uploaded"


def test_an_unhooked_control_moves_nothing():
    panel = KernelWorkbench(SMALL)
    before = panel.image.value, panel.status.value, panel.code.value
    for name in ("stride", "dilation", "size", "row", "column", "padding", "pad", "preset"):
        getattr(panel, name).unobserve_all()
        move(panel, name, {"padding": "valid", "preset": "blur"}.get(name, 2))
    assert (panel.image.value, panel.status.value, panel.code.value) == before


# What is impossible -------------------------------------------------------------------------------


def test_a_kernel_that_does_not_fit_is_explained_and_comes_back_unharmed():
    panel = KernelWorkbench(SMALL, padding="valid", position=(3, 2))
    before, kernel = panel.image.value, panel.state.kernel
    move(panel, "dilation", 4)
    assert panel.state.output is None
    assert "No output: the kernel does not fit: it reaches over 9 pixels" in words(panel)
    assert "no output" in drawn_texts(panel.state) and panel.image.value != before
    assert "convolve(" not in panel.source and "figure()" in panel.source
    move(panel, "dilation", 1)
    assert panel.image.value == before and panel.state.position == (3, 2)
    np.testing.assert_array_equal(panel.state.kernel, kernel)


@pytest.mark.parametrize("number", [np.inf, -np.inf, np.nan])
def test_a_number_that_is_none_is_explained(number):
    panel = KernelWorkbench(SMALL)
    move_cell(panel, 12, number)
    assert panel.state.output is None and "infinite or no number" in words(panel)
    move_cell(panel, 12, 1.0)
    assert_is_tensorflows(panel)


def test_a_panel_can_begin_with_a_kernel_that_does_not_fit():
    panel = KernelWorkbench(np.ones((2, 2)), padding="valid")
    assert "does not fit" in words(panel)
    move(panel, "padding", "same")
    assert_is_tensorflows(panel)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"picture": "dog"}, "there is no picture 'dog'; there are cat, coffee"),
        ({"picture": np.zeros(3)}, r"Received: float64 of shape \(3,\)"),
        ({"picture": np.zeros((4, 4, 4))}, r"float64 of shape \(4, 4, 4\)"),
        ({"picture": np.array([["a"]])}, "must be an array of numbers"),
        ({"picture": np.full((3, 3), np.nan)}, "finite numbers. Received: NaN or infinity"),
        ({"kernel": np.zeros((3, 2))}, r"square, from 1 x 1 to 5 x 5. Received: shape \(3, 2\)"),
        ({"kernel": np.zeros((6, 6))}, r"Received: shape \(6, 6\)"),
        ({"kernel": [[np.inf]]}, "a kernel must hold finite numbers"),
        ({"stride": 9}, "stride must be a whole number from 1 to 8. Received: 9"),
        ({"dilation": 1.5}, "dilation must be a whole number from 1 to 8. Received: 1.5"),
        ({"padding": "full"}, '"valid", "same" or a whole number from 0 to 16. Received: \'full\''),
        ({"padding": 17}, "Received: 17"),
    ],
)
def test_arguments_out_of_range_are_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        KernelWorkbench(**arguments)


# Pictures, words, code ----------------------------------------------------------------------------


def test_any_array_becomes_a_grey_picture():
    pixels = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    expected = np.array([[0.299, 0.587, 0.114]]) * 2 - 1
    np.testing.assert_allclose(kernel_workbench.as_picture(pixels), expected, atol=1e-6)
    np.testing.assert_array_equal(kernel_workbench.as_picture(SMALL[..., None] * 9), SMALL * 9)
    np.testing.assert_array_equal(kernel_workbench.as_picture([[1, 2]]), [[1.0, 2.0]])
    np.testing.assert_array_equal(kernel_workbench.as_picture(np.uint8([[0, 255]])), [[-1, 1]])


def test_the_formula_is_filled_with_the_numbers_of_both_axes():
    said = words(KernelWorkbench(SMALL, np.ones((3, 3)), stride=2, padding=1, dilation=3))
    assert "height: ⌊(n + p − d (k − 1) − 1) / s⌋ + 1 = ⌊(9 + 2 − 3 · (3 − 1) − 1) / 2⌋" in said
    assert "⌊(7 + 2 − 3 · (3 − 1) − 1) / 2⌋ + 1 = 2   (padding 1 before, 1 after)" in said


def test_the_odd_pixel_of_same_padding_is_said_and_drawn_after():
    panel = KernelWorkbench(SMALL, np.ones((2, 2)))
    assert "(padding 0 before, 1 after)" in words(panel)
    assert "input 9 × 7, padding 0 1 0 1" in drawn_texts(panel.state)


@pytest.mark.parametrize(
    "size, stride, dilation, unread", [(3, 4, 1, 63 - 6 * 6), (3, 1, 1, 0), (2, 3, 2, 63 - 6 * 4)]
)
def test_pixels_that_no_window_reads_are_counted(size, stride, dilation, unread):
    state = Convolved(SMALL, np.ones((size, size)), stride, "valid", dilation)
    read = np.zeros(SMALL.shape, bool)
    for y, x in np.ndindex(*state.output.shape):
        for i, j in itertools.product(range(size), repeat=2):
            read[y * stride + i * dilation, x * stride + j * dilation] = True
    assert state.unread() == np.sum(~read) == unread
    assert f"{unread} of 63 input pixels are read by no window" in " ".join(state.words())


def test_no_pixel_counts_as_read_in_the_padding():
    assert Convolved(SMALL, np.ones((3, 3)), 8, 1, 1).unread() == 63 - 4 * 2


def test_the_window_reaches_into_the_padding_as_zeros():
    state = Convolved(SMALL, np.ones((3, 3)), 1, "same", 1, (0, 0))
    expected = np.zeros((3, 3))
    expected[1:, 1:] = SMALL[:2, :2]
    np.testing.assert_array_equal(state.window, expected)
    assert state.corner == (-1, -1)


def test_the_output_is_drawn_blue_below_red_above_and_white_at_0():
    kernel = np.array([[1.0]])
    pixels = np.asarray(kernel_picture.draw(Convolved(np.array([[-2.0, 0, 1, 2]]), kernel)))
    row = pixels[kernel_picture.TOP + 20].astype(int)  # within the pixels, off the frame
    side = kernel_picture.BOX / 4
    low, zero, half, high = (row[330 + int((k + 0.5) * side)] for k in range(4))
    assert low[2] > low[0] + 50 and high[0] > high[2] + 50
    assert zero.min() > 240 and half[0] > half[2] and half.min() > high.min()


def test_the_colour_bar_is_symmetric_and_its_ends_are_numbers():
    said = drawn_texts(Convolved(np.array([[-3.5, 1.0]]), np.array([[2.0]])))
    assert all(f"\n{number}\n" in said for number in ("7", "3.5", "0", "−3.5", "−7"))


def test_every_number_of_window_kernel_and_products_is_written():
    state = Convolved(np.array([[0.25, -3.0], [12.5, 1234.0]]), np.array([[2.0, -1], [0, 1]]), 2)
    texts = drawn_texts(state).split("\n")
    for expected in ("0.25", "−3", "12.5", "1.23e+03", "2", "−1", "0", "1", "0.5", "3"):
        assert expected in texts
    assert "sum = 1237.5000" in texts


@pytest.mark.parametrize(
    "value, text",
    [(0.0, "0"), (-0.001, "0"), (0.125, "0.12"), (-1.5, "−1.5"), (3.0, "3"), (10.0, "10"),
     (9.999, "10"), (100.0, "100"), (np.nan, "?"), (-123456.0, "−1.23e+05"), (1e10, "1e+10")],
)  # fmt: skip
def test_numbers_are_short(value, text):
    assert kernel_picture.number(value) == text


def test_the_window_is_framed_where_it_lies():
    state = Convolved(np.zeros((8, 8)), np.ones((2, 2)), 2, "valid", 2, (1, 2))
    orange = np.all(np.asarray(kernel_picture.draw(state)) == (0xE6, 0x9F, 0x00), axis=2)
    side, top = kernel_picture.BOX / 8, kernel_picture.TOP
    rows, columns = np.nonzero(orange[:, :290])
    assert abs(rows.min() - (top + 2 * side)) <= 3 and abs(rows.max() - (top + 5 * side)) <= 3
    assert abs(columns.min() - (10 + 4 * side)) <= 3
    assert abs(columns.max() - (10 + 7 * side)) <= 3
    rows, columns = np.nonzero(orange[:, 290:])
    assert abs(columns.min() + 290 - (330 + 2 * kernel_picture.BOX / 3)) <= 3


def test_the_frame_of_the_window_counts_the_padding():
    state = Convolved(np.zeros((8, 8)), np.ones((2, 2)), 2, 2, 1, (1, 2))
    orange = np.all(np.asarray(kernel_picture.draw(state)) == (0xE6, 0x9F, 0x00), axis=2)
    rows, columns = np.nonzero(orange[:, :290])
    side = kernel_picture.BOX / 12
    assert abs(rows.min() - (kernel_picture.TOP + 2 * side)) <= 3
    assert abs(columns.min() - (10 + 4 * side)) <= 3


def test_the_colour_bar_is_red_above_and_blue_below():
    pixels = np.asarray(kernel_picture.draw(Convolved(SMALL, np.ones((1, 1))))).astype(int)
    bar = pixels[kernel_picture.TOP : kernel_picture.TOP + kernel_picture.BOX, 648]
    assert bar[0][0] > bar[0][2] + 50 and bar[-1][2] > bar[-1][0] + 50
    assert bar[len(bar) // 2].min() > 230


def test_numbers_are_white_on_dark_cells_and_black_on_light_ones():
    state = Convolved(np.array([[-1.0, 1.0], [0.9, 0.9]]), np.array([[2.0, 0.1], [-2, 0]]))
    pixels = np.asarray(kernel_picture.draw(state)).astype(int)
    top, half = kernel_picture.BOTTOM, kernel_picture.MATRIX // 2
    cells = {"dark grey": 10, "light grey": 10 + half, "red": 260, "light red": 260 + half}
    for name, left in cells.items():
        inner = pixels[top + 5 : top + half - 5, left + 5 : left + half - 5].sum(2)
        contrast = inner.max() if name in ("dark grey", "red") else 765 - inner.min()
        assert contrast > 700, name


@pytest.mark.parametrize(
    "panel",
    [
        lambda: KernelWorkbench("cat", np.arange(25.0).reshape(5, 5) / 7, stride=3, padding=2),
        lambda: KernelWorkbench("step", dilation=2, padding="valid", position=(4, 1)),
        lambda: KernelWorkbench(SMALL, padding="valid", dilation=8, stride=2),
    ],
)
def test_the_shown_code_draws_the_picture_that_is_shown(panel, capsys):
    panel = panel()
    shown = html.unescape(re.sub("<[^>]*>", "", panel.code.value))
    assert shown == panel.source
    exec(compile(shown, "shown code", "exec"), {})
    figure = plt.gcf()
    figure.canvas.draw()
    np.testing.assert_array_equal(
        np.asarray(figure.canvas.buffer_rgba())[..., :3], pixels_of(panel)
    )
    if panel.state.output is not None:
        row, column = panel.state.position
        said = f"{panel.state.output.shape} {panel.state.output[row, column]}\n"
        assert capsys.readouterr().out == said


def test_the_code_of_an_upload_reads_the_file_again(tmp_path, monkeypatch):
    content = png(avatars.make(1, size=140, seed=2)[0][0])
    panel = KernelWorkbench("step")
    send(panel, content, "me.png")
    (tmp_path / "me.png").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    exec(compile(panel.source, "shown code", "exec"), {})
    figure = plt.gcf()
    figure.canvas.draw()
    np.testing.assert_array_equal(
        np.asarray(figure.canvas.buffer_rgba())[..., :3], pixels_of(panel)
    )


def test_a_large_array_is_named_in_the_code_and_not_written_out():
    panel = KernelWorkbench(np.zeros((40, 40)))
    assert "# picture: the array that this panel was made with" in panel.source
    assert len(panel.source) < 900


def test_a_panel_shows_kernel_settings_picture_numbers_and_closed_code():
    panel = KernelWorkbench(SMALL)
    _, image, status, accordion = panel.panel.children
    assert (image, status) == (panel.image, panel.status)
    assert accordion.children == (panel.code,) and accordion.selected_index is None


def test_moving_quickly_shows_the_last_value():
    panel = KernelWorkbench("step")
    for value in range(1, 9):
        panel.stride.set_state({"value": value})
    panel.worker.run()
    assert panel.state.stride == 8 and "/ 8⌋" in words(panel)


def test_of_moves_that_wait_only_the_last_is_computed():
    panel, computed, go_on = KernelWorkbench("step"), [], threading.Event()
    compute = panel._compute
    panel._compute = lambda: (computed.append(panel.stride.value), compute())
    panel.worker.submit(go_on.wait)
    for value in range(2, 9):
        panel.stride.set_state({"value": value})
    go_on.set()
    panel.worker.run()
    assert computed == [8] and panel.state.stride == 8


def test_what_one_thread_fills_in_is_not_taken_for_what_another_does():
    panel = KernelWorkbench("step")
    with panel._by_itself():  # as the worker's thread, while the reader edits a cell in another
        reader = threading.Thread(target=lambda: panel.cells[12].set_state({"value": 7.0}))
        reader.start()
        reader.join()
    panel.worker.run()
    assert panel.state.kernel[1, 1] == 7 and panel.preset.value == "your own"
