"""The panels of notebook 05: moved as a browser moves them, judged by picture, words and code."""

import html
import io
import re

import keras
import matplotlib
import numpy as np
import pytest
from PIL import Image

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from keras import layers

from course_lib import adversarial, microscope
from course_lib.datasets import images as pixels
from course_lib.networks import classifiers
from course_lib.widgets.attack_panel import AttackPanel
from course_lib.widgets.microscope_panel import Microscope
from course_lib.widgets.occlusion_brush import OcclusionBrush

SIZE = 16
CLASSES = ("a", "b", "c")
IMAGES = np.random.default_rng(0).uniform(-1, 1, (3, SIZE, SIZE, 3)).astype("float32")
LABELS = np.array([2, 0, 1])


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    built = classifiers.plain((SIZE, SIZE, 3), 3, widths=(4, 6))
    built.get_layer("logits").kernel.assign(4 * built.get_layer("logits").kernel)
    return built


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(params=["Microscope", "OcclusionBrush", "AttackPanel"])
def panel(request, model):
    if request.param == "Microscope":
        return Microscope(model, IMAGES, layer="conv2", row=3, column=3)
    if request.param == "OcclusionBrush":
        return OcclusionBrush(model, IMAGES, CLASSES)
    return AttackPanel(model, IMAGES, LABELS, CLASSES)


def move(panel, name, value):
    """Does what a browser's message does, and waits."""
    control = panel.controls[name]
    if hasattr(control, "options"):
        control.set_state({"index": list(control.options).index(value)})
    else:
        control.set_state({"value": value})
    panel.worker.run()


def click(panel, button):
    button._handle_custom_msg({"event": "click"}, [])
    panel.worker.run()


def upload(panel, content, name="own.png"):
    facts = {"name": name, "type": "image/png", "size": len(content), "last_modified": 0}
    panel.upload.set_state({"value": [facts | {"content": memoryview(content)}]})
    try:
        panel.worker.run()
    except ValueError:
        pass  # it stands in the status as well


def png(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "png")
    return buffer.getvalue()


def shown(panel):
    return np.asarray(Image.open(io.BytesIO(panel.image.value)).convert("RGB"))


def drawn(figure):
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3]


def numbers(text):
    return [float(found) for found in re.findall(r"[-+]?\d+\.\d+", html.unescape(text))]


def softmax(model, image):
    logits = np.asarray(model(image[None]), "float64")[0]
    return np.exp(logits) / np.exp(logits).sum()


# What all of them do ------------------------------------------------------------------------------


def test_the_picture_slider_chooses_the_picture(panel):
    before = shown(panel), panel.status.value
    move(panel, "picture", 2)
    np.testing.assert_array_equal(panel.picture, IMAGES[2])
    assert (shown(panel) != before[0]).any() and panel.status.value != before[1]


def test_an_upload_is_cut_resized_shown_and_noted(panel):
    own = np.random.default_rng(1).integers(0, 256, (20, 32, 3)).astype("uint8")
    upload(panel, png(own))
    expected = pixels.to_float(pixels.resize(own[None, :, 6:26], SIZE)[0])
    np.testing.assert_array_equal(panel.picture, expected)
    assert panel.controls["picture"].value == panel.controls["picture"].max == 3
    note = "own.png: 32 × 20 pixels, cut to the middle square and resized to 16 × 16"
    assert note in panel.status.value
    move(panel, "picture", 0)
    assert "cut to the middle" not in panel.status.value
    np.testing.assert_array_equal(panel.picture, IMAGES[0])


def test_an_upload_of_the_right_size_is_taken_as_it_is(panel):
    own = np.random.default_rng(2).integers(0, 256, (SIZE, SIZE, 3)).astype("uint8")
    upload(panel, png(own))
    np.testing.assert_array_equal(panel.picture, pixels.to_float(own))
    assert "cut to the middle" not in panel.status.value


def test_a_broken_upload_is_said_and_changes_nothing(panel):
    before = panel.image.value
    upload(panel, b"GIF89a no picture at all", "a.gif")
    assert "looks like GIF" in panel.status.value and "a.gif" in panel.status.value
    assert panel.controls["picture"].max == 2 and panel.image.value == before


def test_the_shown_code_draws_the_picture_that_is_shown(panel, model):
    move(panel, "picture", 1)
    code = html.unescape(re.sub("</?pre>", "", panel.code.value))
    exec(compile(code, "shown code", "exec"), {"model": model, "images": IMAGES, "labels": LABELS})
    np.testing.assert_array_equal(drawn(plt.gcf()), shown(panel))


def test_the_code_of_an_upload_reads_its_file(panel, model, tmp_path, monkeypatch):
    own = png(np.random.default_rng(3).integers(0, 256, (20, 20, 3)).astype("uint8"))
    (tmp_path / "own.png").write_bytes(own)
    monkeypatch.chdir(tmp_path)
    upload(panel, own)
    code = html.unescape(re.sub("</?pre>", "", panel.code.value))
    assert "picture=0)" in code
    exec(compile(code, "shown code", "exec"), {"model": model})
    np.testing.assert_array_equal(drawn(plt.gcf()), shown(panel))


def test_the_plain_picture_is_the_one_of_the_panel(panel):
    np.testing.assert_array_equal(drawn(panel.figure()), shown(panel))


def test_settings_are_starting_values_and_unknown_ones_are_refused(model):
    panel = OcclusionBrush(model, IMAGES, CLASSES, column=3, row=9, side=5, picture=2)
    assert panel.settings == {"column": 3, "row": 9, "side": 5, "picture": 2}
    with pytest.raises(TypeError, match="OcclusionBrush has the settings column, .* got colour"):
        OcclusionBrush(model, IMAGES, CLASSES, colour=1)


def test_images_out_of_range_are_refused(model):
    with pytest.raises(ValueError, match=r"expected values in \[-1, 1\]"):
        OcclusionBrush(model, 127 * IMAGES, CLASSES)


# The microscope -----------------------------------------------------------------------------------


def test_the_microscope_shows_the_value_that_the_controls_choose(model):
    panel = Microscope(model, IMAGES, layer="relu1")
    for name, value in {"layer": "conv2", "channel": 4, "row": 2, "column": 7, "reads": 3}.items():
        move(panel, name, value)
    outputs = microscope.look(model, IMAGES[0]).outputs["conv2"]
    assert panel.place == (2, 7, 4) and numbers(panel.status.value)[-1] == pytest.approx(
        outputs[2, 7, 4], abs=1e-5
    )
    found = panel.explanation()
    tables = [[text.get_text() for text in axis.texts] for axis in panel.figure().axes]
    for array in (found.window, found.kernel, found.window * found.kernel):
        assert [f"{value:.3f}" for value in array[..., 3].ravel()] in tables
    sums = (found.window * found.kernel).sum(axis=(0, 1))
    assert " + ".join(f"{value:.4f}" for value in sums) in panel.status.value


def test_all_maps_and_the_windows_place_are_drawn(model):
    panel = Microscope(model, IMAGES, layer="conv2", row=2, column=3, channel=5, reads=1)
    seen = microscope.look(model, IMAGES[0])
    _, sheet, read, chosen, *_ = panel.figure().axes
    outputs = seen.outputs["conv2"]
    tiles = sheet.images[0].get_array()
    for channel in range(6):
        row, column = divmod(channel, 3)
        tile = tiles[row * 9 : row * 9 + 8, column * 9 : column * 9 + 8]
        np.testing.assert_allclose(tile, outputs[..., channel], atol=1e-6)
    np.testing.assert_allclose(read.images[0].get_array(), seen.inputs["conv2"][0][..., 1])
    np.testing.assert_allclose(chosen.images[0].get_array(), outputs[..., 5])
    # Stride 2, "same" padding of one row at the end only: the window begins at row 4, column 6.
    assert (read.patches[0].get_y(), read.patches[0].get_x()) == (3.5, 5.5)
    assert (read.patches[0].get_height(), read.patches[0].get_width()) == (3, 3)
    assert (chosen.patches[0].get_y(), chosen.patches[0].get_x()) == (1.5, 2.5)
    assert (sheet.patches[0].get_y(), sheet.patches[0].get_x()) == (8.5, 17.5)


def test_the_sliders_of_the_microscope_end_where_the_layer_does(model):
    panel = Microscope(model, IMAGES)
    expected = {"conv1": (3, 15, 15, 2), "conv2": (5, 7, 7, 3), "norm2": (5, 7, 7, 0),
                "pooled": (5, 0, 0, 0), "logits": (2, 0, 0, 0)}  # fmt: skip
    for layer, ends in expected.items():
        move(panel, "layer", layer)
        names = ("channel", "row", "column", "reads")
        assert tuple(panel.controls[name].max for name in names) == ends, layer
        assert [panel.controls[name].disabled for name in names] == [end == 0 for end in ends]


def test_every_layer_of_every_kind_can_be_drawn(model):
    panel = Microscope(model, IMAGES)
    for layer in microscope.look(model, IMAGES[0]).outputs:
        move(panel, "layer", layer)
        assert f"{layer}, output" in panel.status.value and "the layer itself" in panel.status.value


def test_a_layer_that_is_not_explained_says_so_and_shows_its_maps():
    inputs = keras.Input((SIZE, SIZE, 3))
    padded = layers.ZeroPadding2D(1, name="padded")(inputs)
    model = keras.Model(inputs, layers.Conv2DTranspose(2, 3, name="up")(padded))
    for layer in ("padded", "up"):
        panel = Microscope(model, IMAGES, layer=layer, row=4, column=4)
        assert "take a" in panel.status.value and "apart" in panel.status.value
        sheet = panel.figure().axes[1].images[0].get_array()
        assert np.nanmax(sheet) == pytest.approx(panel.look.outputs[layer].max())


def test_a_model_with_another_image_size_is_refused(model):
    with pytest.raises(ValueError, match="wants an image of shape"):
        Microscope(model, IMAGES[:, :8, :8])


# The brush ----------------------------------------------------------------------------------------


def test_the_brush_covers_what_the_sliders_say(model):
    panel = OcclusionBrush(model, IMAGES, CLASSES)
    for name, value in {"column": 5, "row": 9, "side": 4}.items():
        move(panel, name, value)
    expected = IMAGES[0].copy()
    expected[7:11, 3:7] = 0.0
    np.testing.assert_array_equal(panel.covered(), expected)
    before, now = softmax(model, IMAGES[0]), softmax(model, expected)
    said = numbers(panel.status.value)
    np.testing.assert_allclose(said[0:6:2], now, atol=1e-4)
    np.testing.assert_allclose(said[1:6:2], now - before, atol=2e-4)
    assert said[6] == pytest.approx(100 * 16 / 256, abs=0.05)
    bars = panel.figure().axes[1]
    np.testing.assert_allclose([bar.get_width() for bar in bars.patches], now, atol=1e-6)
    assert [text.get_text() for text in bars.texts] == [f"{value:.3f}" for value in now]


@pytest.mark.parametrize("column, row", [(0, 0), (15, 15), (8, 3)])
def test_a_brush_of_side_zero_changes_nothing(model, column, row):
    panel = OcclusionBrush(model, IMAGES, CLASSES, column=column, row=row, side=0)
    np.testing.assert_array_equal(panel.covered(), IMAGES[0])
    click(panel, panel.keep)
    assert panel.squares == [] and "changed pixels: 0.0%" in panel.status.value
    assert "(+0.0000)" in panel.status.value


@pytest.mark.parametrize(
    "column, row, side, rows, columns",
    [(0, 0, 6, slice(0, 3), slice(0, 3)), (15, 15, 6, slice(12, 16), slice(12, 16)),
     (8, 8, 16, slice(0, 16), slice(0, 16)), (0, 7, 1, slice(7, 8), slice(0, 1))],
)  # fmt: skip
def test_a_square_is_cut_at_the_edge(model, column, row, side, rows, columns):
    panel = OcclusionBrush(model, IMAGES, CLASSES, column=column, row=row, side=side)
    expected = IMAGES[0].copy()
    expected[rows, columns] = 0.0
    np.testing.assert_array_equal(panel.covered(), expected)


def test_squares_are_kept_taken_back_and_cleared(model):
    panel = OcclusionBrush(model, IMAGES, CLASSES, column=2, row=2, side=3)
    click(panel, panel.undo)
    click(panel, panel.keep)
    move(panel, "column", 10)
    click(panel, panel.keep)
    assert panel.squares == [(2, 2, 3), (10, 2, 3)]
    move(panel, "side", 0)
    expected = IMAGES[0].copy()
    expected[1:4, 1:4] = expected[1:4, 9:12] = 0.0
    np.testing.assert_array_equal(panel.covered(), expected)
    click(panel, panel.undo)
    assert panel.squares == [(2, 2, 3)]
    click(panel, panel.keep)
    click(panel, panel.clear)
    assert panel.squares == []
    np.testing.assert_array_equal(panel.covered(), IMAGES[0])


def test_the_shown_code_has_the_kept_squares(model):
    panel = OcclusionBrush(model, IMAGES, CLASSES, squares=[(3, 4, 5)], column=9)
    exec(compile(panel.source, "shown code", "exec"), {"model": model, "images": IMAGES})
    np.testing.assert_array_equal(drawn(plt.gcf()), shown(panel))


# The attack ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["FGSM", "PGD", "noise"])
def test_the_attack_is_the_one_of_its_method_and_strength(model, method):
    panel = AttackPanel(model, IMAGES, LABELS, CLASSES)
    move(panel, "method", method)
    move(panel, "strength", 5.0)
    move(panel, "picture", 1)
    epsilon, one = 10 / 255, IMAGES[1:2]
    expected = {
        "FGSM": lambda: adversarial.fgsm(model, one, LABELS[1:2], epsilon),
        "PGD": lambda: adversarial.pgd(model, one, LABELS[1:2], epsilon),
        "noise": lambda: adversarial.noise(one, epsilon, seed=(0, 0)),
    }[method]()[0]
    np.testing.assert_allclose(panel.changed(), expected, atol=1e-6)
    before, now = softmax(model, IMAGES[1]), softmax(model, np.asarray(expected))
    said = numbers(panel.status.value)
    assert said[0] == pytest.approx(5.0, abs=0.01) and said[1] == pytest.approx(epsilon, abs=1e-4)
    np.testing.assert_allclose(said[2::2], now, atol=1e-4)
    np.testing.assert_allclose(said[3::2], before, atol=1e-4)
    right = "right" if now.argmax() == LABELS[1] else "wrong"
    words = f"class attacked: a; the network says {CLASSES[now.argmax()]}, {right}"
    assert words in panel.status.value


def test_the_difference_is_magnified_to_the_allowed_change(model):
    panel = AttackPanel(model, IMAGES, LABELS, CLASSES, strength=4.0)
    shown_pictures = [axis.images[0].get_array() for axis in panel.figure().axes if axis.images]
    np.testing.assert_allclose(shown_pictures[0], (IMAGES[0] + 1) / 2, atol=1e-6)
    np.testing.assert_allclose(shown_pictures[1], (panel.changed() + 1) / 2, atol=1e-6)
    magnified = (panel.changed() - IMAGES[0]) / (8 / 255)
    np.testing.assert_allclose(shown_pictures[2], (magnified + 1) / 2, atol=1e-3)


def test_no_strength_changes_nothing(model):
    for method in ("FGSM", "PGD", "noise"):
        panel = AttackPanel(model, IMAGES, LABELS, CLASSES, strength=0.0, method=method)
        np.testing.assert_array_equal(panel.changed(), IMAGES[0])


def test_the_answer_said_is_that_for_the_changed_picture(model):
    right = int(softmax(model, IMAGES[0]).argmax())
    panel = AttackPanel(model, IMAGES, [right, 0, 0], CLASSES, strength=0.0, method="PGD")
    assert f"the network says {CLASSES[right]}, right" in panel.status.value
    panel.controls["strength"].max = 127.0
    move(panel, "strength", 127.0)
    fooled = int(softmax(model, panel.changed()).argmax())
    assert fooled != right and f"the network says {CLASSES[fooled]}, wrong" in panel.status.value


def test_an_upload_is_attacked_in_the_class_that_the_network_sees(model):
    bias = model.get_layer("logits").bias
    own = np.random.default_rng(5).integers(0, 256, (SIZE, SIZE, 3)).astype("uint8")
    try:
        for answer in range(3):
            bias.assign(20 * np.eye(3)[answer])
            panel = AttackPanel(model, IMAGES, LABELS, CLASSES)
            upload(panel, png(own))
            assert f"class attacked: {CLASSES[answer]}" in panel.status.value
    finally:
        bias.assign(np.zeros(3))


def test_the_attack_needs_a_label_for_each_picture(model):
    with pytest.raises(ValueError, match="3 pictures need as many labels, got 2"):
        AttackPanel(model, IMAGES, LABELS[:2], CLASSES)
