"""The panel between four styles: controls moved as a browser does, judged by the picture."""

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

from course_lib import fast_style
from course_lib.networks import transfer, vgg
from course_lib.widgets import adain_panel
from course_lib.widgets.adain_panel import AdainPanel

WIDTHS = (12, 12, 12, 12)  # narrower ones have no ReLU left that is not 0
RNG = np.random.default_rng(0)


def _picture(red, green, blue):
    noise = RNG.uniform(-0.3, 0.3, (16, 16, 3))
    return (noise + [red, green, blue]).astype("float32")


CONTENTS = {"leaf": _picture(-0.5, 0.5, -0.5), "brick": _picture(0.6, -0.2, -0.5)}
STYLES = {
    "red": _picture(0.7, -0.7, -0.7), "green": _picture(-0.7, 0.7, -0.7),
    "blue": _picture(-0.7, -0.7, 0.7), "grey": _picture(0.0, 0.0, 0.0),
}  # fmt: skip


def build(**settings):
    keras.utils.set_random_seed(0)
    networks = (
        vgg.vgg(widths=WIDTHS),
        transfer.decoder(widths=WIDTHS[:3], channels=WIDTHS[2], blocks=1),
    )
    return AdainPanel(*networks, CONTENTS, STYLES, **settings)


@pytest.fixture
def panel():
    made = build(x=0.25, y=0.5, strength=0.8)
    yield made
    made.worker.close()
    made.worker.join(20)
    plt.close("all")


def move(panel, widget, **state):
    widget.set_state(state)
    panel.worker.run()


def said(panel):
    return html.unescape(re.sub("<[^>]*>", " ", panel.status.value))


def page(panel):
    return np.asarray(Image.open(io.BytesIO(panel.image.value)).convert("RGB")).astype(int)


def expected(panel, content, shares, strength):
    return fast_style.any_style(
        panel._encoder, panel._decoder, content, list(STYLES.values()), shares, strength
    )


def test_the_point_gives_each_corner_its_share(panel):
    np.testing.assert_allclose(panel.shares, [0.375, 0.125, 0.375, 0.125])
    picture = expected(panel, CONTENTS["leaf"], (0.375, 0.125, 0.375, 0.125), 0.8)
    np.testing.assert_allclose(panel.picture, picture, atol=1e-5)
    for corner, name, share in [("top left", "red", 0.38), ("bottom right", "grey", 0.12)]:
        assert f"{corner} {name} {share:.2f}" in said(panel)
    assert "leaf, strength 0.80" in said(panel) and "drawn in" in said(panel)
    assert panel.picture.std() > 0.05


def test_x_y_and_strength_change_shares_words_and_picture(panel):
    for control, shares, strength in [
        ("x", [0.5, 0, 0.5, 0], 0.8), ("y", [0, 0, 1, 0], 0.8), ("strength", [0, 0, 1, 0], 0.3),
    ]:  # fmt: skip
        value = {"x": 0.0, "y": 1.0, "strength": 0.3}[control]
        move(panel, getattr(panel, control), value=value)
        np.testing.assert_allclose(panel.shares, shares, atol=1e-12)
        picture = expected(panel, CONTENTS["leaf"], shares, strength)
        np.testing.assert_allclose(panel.picture, picture, atol=1e-5)
        assert f"strength {strength:.2f}" in said(panel)
    assert "bottom left blue 1.00" in said(panel)


def test_dragging_the_pad_moves_the_sliders_and_they_move_it(panel):
    if panel.pad is None:
        pytest.skip("needs the package anywidget")
    seen = []
    panel.pad.observe(lambda change: seen.append(change["new"]), "position")
    move(panel, panel.pad, position=[1.0, 0.0])
    assert seen == [[1.0, 0.0]]  # no slider pushed the point back on its way
    assert (panel.x.value, panel.y.value) == (1.0, 0.0)
    np.testing.assert_allclose(panel.shares, [0, 1, 0, 0], atol=1e-12)
    move(panel, panel.y, value=0.5)
    assert panel.pad.position == [1.0, 0.5]


def test_content_chooses_the_picture(panel):
    move(panel, panel.content, index=1)
    picture = expected(panel, CONTENTS["brick"], panel.shares, 0.8)
    np.testing.assert_allclose(panel.picture, picture, atol=1e-5)
    assert "brick" in said(panel)


def test_every_control_of_the_place_changes_the_picture(panel):
    for control in (panel.x, panel.y, panel.strength):
        before = panel.picture
        move(panel, control, value=0.0)
        assert np.abs(panel.picture - before).mean() > 0.01


def test_without_strength_the_styles_make_no_difference(panel):
    move(panel, panel.strength, value=0.0)
    before = panel.picture
    move(panel, panel.x, value=1.0)
    np.testing.assert_allclose(panel.picture, before, atol=1e-5)


def upload(size=(40, 20), name="own.png", content=None):
    buffer = io.BytesIO()
    Image.new("RGB", size, "teal").save(buffer, "png")
    content = buffer.getvalue() if content is None else content
    facts = {"name": name, "type": "image/png", "size": len(content), "last_modified": 0}
    return {"value": [facts | {"content": memoryview(content)}]}


def test_an_upload_is_cut_square_drawn_and_noted(panel):
    move(panel, panel.upload, **upload())
    assert panel.content.value == "own.png" and panel.contents["own.png"].shape == (16, 16, 3)
    teal = np.array([0, 128, 128]) / 127.5 - 1
    np.testing.assert_allclose(panel.contents["own.png"], np.broadcast_to(teal, (16, 16, 3)),
                               atol=0.01)  # fmt: skip
    picture = expected(panel, panel.contents["own.png"], panel.shares, 0.8)
    np.testing.assert_allclose(panel.picture, picture, atol=1e-5)
    assert "own.png, cut square, 16 × 16" in said(panel)
    assert "read_image('own.png', size=16)" in panel.source
    move(panel, panel.content, index=0)
    assert "leaf, strength" in said(panel) and "contents['leaf']" in panel.source


def test_a_file_that_is_no_picture_is_told_and_changes_nothing(panel):
    panel.upload.set_state(upload(content=b"no picture"))
    with pytest.raises(ValueError, match="no readable PNG"):
        panel.worker.run()
    assert "own.png is no readable PNG" in said(panel) and panel.content.value == "leaf"


def test_the_page_shows_the_picture_the_styles_and_the_point(panel):
    shown, side, gap = page(panel), adain_panel.SIDE, adain_panel.GAP
    assert shown.shape == (side, 2 * side + gap, 3)
    drawn = (panel.picture.mean((0, 1)) + 1) * 127.5
    np.testing.assert_allclose(shown[:, :side].mean((0, 1)), drawn, atol=6)
    for index, style in enumerate(STYLES.values()):
        top, left = index // 2 * side // 2, side + gap + index % 2 * side // 2
        corner = shown[top + 20 : top + 90, left + 120 : left + 180]
        np.testing.assert_allclose(corner.mean((0, 1)), (style.mean((0, 1)) + 1) * 127.5, atol=25)
    across, down = side + gap + side // 4, side // 2
    assert shown[down, across].max() < 90  # the point's black middle ...
    assert shown[down, across + 5].min() > 160  # ... in a white ring
    move(panel, panel.x, value=0.75)
    assert page(panel)[down, across + side // 2].max() < 90
    figure = panel.figure()
    figure.canvas.draw()
    assert figure.get_size_inches() == pytest.approx([7.76, 3.84])


def test_the_code_draws_the_same_picture(panel):
    move(panel, panel.x, value=0.37)
    assert html.escape(panel.source) in panel.code.value
    cell = {"encoder": panel._encoder, "decoder": panel._decoder, "contents": CONTENTS,
            "styles": STYLES}  # fmt: skip
    exec(panel.source, cell)
    np.testing.assert_allclose(cell["picture"], panel.picture, atol=2e-3)


def test_a_content_is_encoded_once(panel, monkeypatch):
    move(panel, panel.content, index=1)
    monkeypatch.setattr(fast_style, "encode", lambda *_: pytest.fail("encoded again"))
    move(panel, panel.content, index=0)
    move(panel, panel.x, value=0.9)
    assert "leaf" in said(panel)


def test_another_number_of_styles_is_refused():
    networks = (
        vgg.vgg(widths=WIDTHS),
        transfer.decoder(widths=WIDTHS[:3], channels=WIDTHS[2], blocks=1),
    )
    with pytest.raises(ValueError, match="four corners, got 1 styles"):
        AdainPanel(*networks, CONTENTS, {"red": STYLES["red"]})
