"""The style desk's panel: controls are moved as a browser does, and judged by what they do."""

import dataclasses
import io
import re
import time

import keras
import matplotlib
import numpy as np
import pytest
from PIL import Image

matplotlib.use("Agg")

from matplotlib import pyplot

from course_lib import style_session, style_settings
from course_lib.datasets import images
from course_lib.networks import vgg
from course_lib.style_settings import BOTH, Settings
from course_lib.widgets import style_page
from course_lib.widgets.style_desk import StyleDesk

SIZE = 32
LINE = [[[-0.5, 0.5], [0.5, 0.5]]]


def patches(seed, side=SIZE):
    random = np.random.default_rng(seed)
    coarse = random.integers(20, 236, (4, 4, 3), dtype=np.uint8)
    return coarse.repeat(side // 4, 0).repeat(side // 4, 1)


CONTENTS = {"house": patches(1), "tree": patches(2)}
STYLES = {"red": patches(3), "blue": patches(4), "green": patches(5)}
START = Settings(content="house", first="red", second="blue", size=SIZE, variation_weight=0.1)


def one_pass(content, styles, shares, strength):
    """Stands for a trained network: the styles' mean colours."""
    means = sum(share * each.mean((0, 1)) for share, each in zip(shares, styles, strict=True))
    return ((1 - strength) * content + strength * means).astype("float32")


def desk(folder, settings=START, **more):
    """A desk that costs little; `test_widget_controls` builds it, too."""
    return StyleDesk(
        tiny_encoder(), settings, contents=CONTENTS, styles=STYLES, one_pass=one_pass,
        folder=folder, **more,
    )  # fmt: skip


def tiny_encoder(found=[]):  # noqa: B006  built once, so that nothing is compiled twice
    if not found:
        keras.utils.set_random_seed(0)
        found.append(vgg.vgg(widths=(4, 6, 8, 8), depths=(1, 1, 2, 1)))
    return found[0]


@pytest.fixture
def panel(tmp_path):
    panel = desk(tmp_path)
    yield panel
    panel.worker.close()
    panel.worker.join(20)


def page(panel):
    return np.asarray(Image.open(io.BytesIO(panel.image.value)).convert("RGB")).astype(int)


def shows(panel, picture, place=(0, 0), side=style_page.RESULT):
    """Whether a picture is on the page, up to the JPEG; given as floats or pixels."""
    pixels = picture if picture.dtype == np.uint8 else images.to_uint8(picture)
    wanted = Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC)
    x, y = place
    found = page(panel)[y + style_page.LINE :, x:][:side, :side]
    difference = np.abs(found - np.asarray(wanted).astype(int))[2:-2, 2:-2]
    return difference.mean() < 5


SMALL = [style_page._place(index) for index in range(6)]
SIDE = style_page.SMALL


def move(panel, widget, **state):
    widget.set_state(state)
    panel.worker.run()


def click(panel, name):
    panel.buttons[name]._handle_custom_msg({"event": "click"}, [])
    panel.worker.run()


def file(name="own.png", size=(60, 40), colour="teal"):
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "png")
    content = buffer.getvalue()
    facts = {"name": name, "type": "image/png", "size": len(content), "last_modified": 0}
    return [facts | {"content": memoryview(content)}]


def changed(**changes):
    return dataclasses.replace(START, **changes)


# Settings -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "control, state, changes",
    [
        ("content", {"index": 1}, {"content": "tree"}),
        ("first", {"index": 2}, {"first": "green"}),
        ("second", {"index": 2}, {"second": "green"}),
        ("size", {"index": 1}, {"size": 96}),
        ("way", {"index": 1}, {"way": "one pass"}),
        ("mask", {"index": 2}, {"mask": "centre disc"}),
        ("style_weight", {"index": 13}, {"style_weight": 100.0}),
        ("content_weight", {"index": 13}, {"content_weight": 100.0}),
        ("variation_weight", {"index": 13}, {"variation_weight": 100.0}),
        ("blend", {"value": 0.5}, {"blend": 0.5}),
        ("keep_colours", {"value": True}, {"keep_colours": True}),
    ],
)
def test_a_control_changes_its_setting_and_the_picture_without_a_restart(
    panel, control, state, changes
):
    panel.run(3)
    move(panel, panel.controls[control], **state)
    assert panel.session.settings == changed(**changes) and panel.session.steps == 3
    panel.run(3)
    done = 3 if control == "way" else 6
    assert panel.session.steps == done
    reference = style_session.StyleSession(
        tiny_encoder(), START, contents=CONTENTS, styles=STYLES, one_pass=one_pass
    )
    reference.run(6)
    other = images.resize(images.to_uint8(panel.session.result)[None], SIZE)[0]
    assert np.abs(other.astype(int) - images.to_uint8(reference.result)).mean() > 0.5
    reference.replay([(START, 3), (changed(**changes), 3)])
    np.testing.assert_allclose(panel.session.result, reference.result, atol=1e-3)
    assert shows(panel, panel.session.result)


@pytest.mark.parametrize("name", START.layers)
def test_a_layers_slider_weighs_that_layer(panel, name):
    panel.run(2)
    move(panel, panel.layers[name], value=3.0)
    assert panel.session.settings == changed(layers=START.layers | {name: 3.0})
    assert panel.session.steps == 2
    before = panel.session.terms["style"]
    move(panel, panel.layers[name], value=0.0)
    assert panel.session.terms["style"] < before


def test_goes_says_what_the_outside_gets(panel):
    assert panel.controls["goes"].disabled and not panel.controls["blend"].disabled
    move(panel, panel.controls["mask"], index=1)
    assert not panel.controls["goes"].disabled and panel.controls["blend"].disabled
    panel.run(4)
    assert not shows(panel, panel.session.content)
    right = np.s_[:, -8:]
    np.testing.assert_array_equal(panel.session.picture[right], panel.session.content[right])
    move(panel, panel.controls["goes"], index=1)
    panel.run(4)
    assert panel.session.settings.goes == BOTH
    assert np.abs(panel.session.picture[right] - panel.session.content[right]).mean() > 0.02


def test_strength_acts_in_one_pass_and_greys_out_what_does_not(panel):
    assert panel.controls["strength"].disabled
    move(panel, panel.controls["way"], index=1)
    off = {name for name, control in panel.controls.items() if control.disabled}
    assert off == {"style_weight", "content_weight", "variation_weight", "start", "goes"}
    assert all(slider.disabled for slider in panel.layers.values())
    flat = panel.session.result
    move(panel, panel.controls["strength"], value=0.25)
    expected = 0.75 * panel.session.content + 0.25 * flat
    np.testing.assert_allclose(panel.session.result, expected, atol=1e-5)
    assert shows(panel, expected.astype("float32"))


def test_start_counts_when_it_is_started_again(panel):
    panel.run(3)
    move(panel, panel.controls["start"], index=1)
    assert panel.session.steps == 3
    click(panel, "start again")
    assert panel.session.steps == 0 and "step 0;" in panel.status.value
    assert np.abs(panel.session.picture - panel.session.content).mean() > 0.3
    assert shows(panel, panel.session.picture)


def test_of_many_moves_the_last_counts(panel):
    panel.run(1)
    for index in range(14):
        panel.controls["style_weight"].set_state({"index": index})
    panel.worker.run()
    assert panel.session.settings.style_weight == 100.0
    assert "settings" in panel.status.value and "style_weight = 100.0" in panel.status.value


def test_a_value_that_is_refused_takes_its_control_back(tmp_path):
    panel = StyleDesk(tiny_encoder(), START, contents=CONTENTS, styles=STYLES, folder=tmp_path)
    panel.controls["way"].set_state({"index": 1})
    with pytest.raises(ValueError):
        panel.worker.run()
    assert "needs a network: pass it as one_pass" in panel.status.value
    assert panel.controls["way"].value == "optimise"
    panel.run(1)
    assert panel.session.steps == 1


def test_change_moves_the_controls(panel):
    panel.change(style_weight=0.3, size=40, blend=0.7, mask="painted", strokes=(((0.0, 0.0),),))
    assert panel.controls["style_weight"].value == 0.3 and panel.controls["size"].value == 40
    assert panel.controls["blend"].value == 0.7 and panel.canvas.strokes == [[[0.0, 0.0]]]
    assert panel.session.settings.mask == "painted"


# Running ------------------------------------------------------------------------------------------


def wait(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    assert condition()


def test_play_runs_until_it_is_pressed_again_and_sliders_act_meanwhile(panel):
    panel.play.set_state({"value": True})
    wait(lambda: panel.session.steps > 3)
    assert panel.play.description == "❚❚ pause"
    panel.controls["style_weight"].set_state({"index": 10})
    wait(lambda: panel.session.settings.style_weight == 10.0)
    steps = panel.session.steps
    wait(lambda: panel.session.steps > steps + 2)  # goes on, without a restart
    panel.play.set_state({"value": False})
    panel.worker.run()
    steps = panel.session.steps
    time.sleep(0.2)
    assert panel.session.steps == steps and panel.play.description == "▶ run"
    assert [entry[0].style_weight for entry in panel.session.log] == [2.0, 10.0]


def test_play_in_one_pass_ends_by_itself(panel):
    panel.change(way="one pass")
    panel.play.set_state({"value": True})
    wait(lambda: not panel.worker.playing and not panel.play.value)
    assert panel.session.steps == 0


def test_step_takes_one(panel):
    click(panel, "step")
    assert panel.session.steps == 1 and "step 1;" in panel.status.value
    assert shows(panel, panel.session.result)


def test_time_looks_back_and_a_step_returns_to_the_newest(panel):
    panel.run(5)
    assert panel.time.options == (0, 1, 2, 3, 4, 5) and panel.time.value == 5
    move(panel, panel.time, index=2)
    assert shows(panel, panel.session.frames[2].pixels)
    assert "looking back at step 2 of 5" in panel.status.value
    assert "session.run(2)" in panel.code.value
    click(panel, "step")
    assert panel.session.steps == 6 and shows(panel, panel.session.result)
    assert panel.time.value == 6 and "session.run(6)" in panel.code.value


def test_a_slider_returns_from_a_look_back(panel):
    panel.run(3)
    move(panel, panel.time, index=0)
    move(panel, panel.controls["style_weight"], index=12)
    assert panel.time.value == 3 and shows(panel, panel.session.result)


def test_looking_back_pauses(panel):
    panel.run(2)
    panel.play.set_state({"value": True})
    wait(lambda: panel.session.steps > 3)
    panel.time.set_state({"index": 0})
    panel.worker.run()
    assert not panel.worker.playing and not panel.play.value
    assert shows(panel, panel.session.frames[0].pixels)


# Painting -----------------------------------------------------------------------------------------


def paint(panel, strokes):
    name, value = "strokes", strokes
    panel.canvas.surface.set_state({name: value})
    panel.worker.run()


def test_what_is_painted_on_the_canvas_is_the_mask(panel):
    panel.run(2)
    paint(panel, LINE)
    assert panel.controls["mask"].value == "painted" == panel.session.settings.mask
    inside = style_settings.mask("painted", SIZE, LINE, panel.canvas.brush)
    assert shows(panel, (255 * inside).astype("uint8")[..., None].repeat(3, -1), SMALL[3], SIDE)
    panel.run(4)
    outside = inside == 0
    np.testing.assert_allclose(panel.session.picture[outside], panel.session.content[outside],
                               atol=1e-6)  # fmt: skip
    panel.canvas.size.set_state({"value": 0.3})
    panel.worker.run()
    assert panel.session.settings.brush == 0.3
    panel.canvas.clear.click()
    panel.worker.run()
    assert panel.session.settings.strokes == ()


def test_the_canvas_shows_the_content(panel):
    def below():
        return np.asarray(Image.open(io.BytesIO(panel.canvas.surface.background))).astype(int)

    assert np.abs(below() - CONTENTS["house"]).mean() < 12
    move(panel, panel.controls["content"], index=1)
    assert np.abs(below() - CONTENTS["tree"]).mean() < 12


def test_without_a_mouse_points_are_typed(tmp_path):
    panel = desk(tmp_path, canvas=False)
    panel.canvas.surface.set_state({"value": "-0.5,0.5 0.5,0.5"})
    panel.worker.run()
    assert panel.session.settings.strokes == (((-0.5, 0.5), (0.5, 0.5)),)
    assert panel.session.settings.mask == "painted"


# The reader's own pictures ------------------------------------------------------------------------


@pytest.mark.parametrize("field, place", [("content", 0), ("first", 1), ("second", 2)])
def test_an_upload_is_cut_chosen_and_shown(panel, field, place):
    move(panel, panel.uploads[field], value=file())
    assert getattr(panel.session.settings, field) == "own.png" == panel.controls[field].value
    teal = np.full((SIZE, SIZE, 3), [0, 128, 128], "uint8")
    assert shows(panel, teal, SMALL[place], SIDE)
    assert "own.png: 60 × 40 pixels, the middle square of it" in panel.status.value
    assert "read_image(&#x27;own.png&#x27;, size=256)" in panel.code.value
    other = "second" if field == "first" else "first"
    assert ("own.png" in panel.controls[other].options) == (field != "content")


@pytest.mark.parametrize("content, words", [(b"no picture", "no readable PNG"), (b"", "empty")])
def test_a_file_that_is_no_picture_is_said_and_changes_nothing(panel, content, words):
    bad = file("x.png")
    bad[0]["content"] = memoryview(content)
    panel.uploads["first"].set_state({"value": bad})
    with pytest.raises(ValueError):
        panel.worker.run()
    assert f"x.png is {words}" in panel.status.value and panel.session.settings == START


# Files --------------------------------------------------------------------------------------------


def test_save_writes_picture_and_log_that_give_the_picture_again(panel, tmp_path):
    panel.run(3)
    move(panel, panel.controls["blend"], value=0.5)
    panel.run(2)
    move(panel, panel.name, value="my picture")
    assert "file name: my picture" in panel.status.value
    click(panel, "save")
    assert "wrote" in panel.status.value
    pixels = np.asarray(Image.open(tmp_path / "my picture.png"))
    np.testing.assert_array_equal(pixels, images.to_uint8(panel.session.result))
    log = style_settings.load(tmp_path / "my picture.json")
    again = style_session.StyleSession(tiny_encoder(), START, contents=CONTENTS, styles=STYLES)
    again.replay(log)
    assert np.abs(images.to_uint8(again.result).astype(int) - pixels).max() <= 1


def test_save_takes_the_frame_that_is_looked_at(panel, tmp_path):
    panel.run(4)
    move(panel, panel.time, index=1)
    click(panel, "save")
    pixels = np.asarray(Image.open(tmp_path / "picture.png"))
    np.testing.assert_array_equal(pixels, panel.session.frames[1].pixels)
    assert style_settings.load(tmp_path / "picture.json") == [(START, 1)]


def test_a_name_that_leads_elsewhere_writes_nothing(panel, tmp_path):
    move(panel, panel.name, value="../evil")
    panel.buttons["save"]._handle_custom_msg({"event": "click"}, [])
    with pytest.raises(ValueError):
        panel.worker.run()
    assert "must be letters, digits" in panel.status.value and not list(tmp_path.iterdir())


# The page -----------------------------------------------------------------------------------------


def test_gram_chooses_the_layer_whose_matrices_are_shown(panel):
    panel.run(2)
    move(panel, panel.gram, index=1)
    now, wanted = panel.session.grams("block1_conv1")
    for place, expected in zip(SMALL[4:], style_page.heat(now, wanted), strict=True):
        shown = page(panel)[place[1] + style_page.LINE :, place[0] :][:SIDE, :SIDE]
        wide = np.asarray(expected.resize((SIDE, SIDE), Image.Resampling.NEAREST)).astype(int)
        assert np.abs(shown - wide)[2:-2, 2:-2].mean() < 8
    assert f"block1_conv1: largest value now {now.max():.4g}" in panel.status.value
    assert f"difference {np.mean((now - wanted) ** 2):.4g}" in panel.status.value
    move(panel, panel.gram, index=0)
    assert (page(panel)[240:370, 530:] > 240).all() and "Gram" not in panel.status.value


def test_heat_has_one_scale_and_one_order():
    now, wanted = np.diag([1.0, 4.0]), np.diag([9.0, 0.0])
    first, second = (np.asarray(each) for each in style_page.heat(now, wanted))
    colours = matplotlib.colormaps["cividis"]([0.0, 1 / 3, 2 / 3, 1.0], bytes=True)[:, :3]
    np.testing.assert_array_equal(second[0, 0], colours[3])
    np.testing.assert_array_equal(first[0, 0], colours[1])  # root of 1 / 9
    np.testing.assert_array_equal(first[1, 1], colours[2])
    np.testing.assert_array_equal(second[1, 1], colours[0])
    one, two = (np.asarray(each) for each in style_page.heat(wanted, now))
    np.testing.assert_array_equal(two[0, 0], colours[2])  # sorted by what is wanted
    np.testing.assert_array_equal(one[1, 1], colours[3])


def test_the_page_shows_content_and_both_styles(panel):
    for pixels, place in zip((CONTENTS["house"], STYLES["red"], STYLES["blue"]), SMALL,
                             strict=False):  # fmt: skip
        assert shows(panel, pixels, place, SIDE)


def rows_of(values):
    return [{"steps": i, **dict.fromkeys(("content", "style", "variation", "total"), v)}
            for i, v in enumerate(values)]  # fmt: skip


def compose(rows, **more):
    page = style_page.compose({"result": patches(1)}, grams=None, rows=rows, **more)
    return np.asarray(page).astype(int)[style_page.TOP :]


def test_the_curves_fall_where_the_terms_fall():
    strip = compose(rows_of([1.0, 0.1, 0.01]))
    left, right = style_page.MARGIN[0], style_page.WIDTH - style_page.MARGIN[1]
    dark = np.abs(strip - [0, 158, 115]).sum(-1) < 60  # variation, drawn last
    heights = [np.nonzero(dark[:, x])[0].mean() for x in (left + 5, (left + right) // 2, right - 5)]
    assert heights[0] < heights[1] < heights[2]
    assert heights[1] - heights[0] == pytest.approx(heights[2] - heights[1], abs=5)  # logarithmic


def test_changes_and_a_look_back_are_marked():
    rows = rows_of([1.0] * 11)
    plain = compose(rows)
    left, right = style_page.MARGIN[0], style_page.WIDTH - style_page.MARGIN[1]
    for more, step in (({"changes": [5]}, 5), ({"shown": 2}, 2)):
        columns = np.nonzero((compose(rows, **more) != plain).any((0, 2)))[0]
        assert np.abs(columns - (left + (right - left) * step / 10)).max() <= 2


def test_words_at_the_ends_of_curves_do_not_overlap():
    ends = [(50.0, "a", ""), (50.0, "b", ""), (52.0, "c", ""), (99.0, "d", ""), (98.0, "e", "")]
    places = [place for place, *_ in style_page._apart(ends, 10, 0, 100)]
    assert min(np.diff(places)) >= 10 and max(places) <= 100 and min(places) >= 0
    assert places[0] == 50.0


def test_a_term_of_weight_0_is_drawn_as_nothing():
    rows = [row | {"variation": 0.0} for row in rows_of([1.0, 0.5])]
    strip = compose(rows)
    assert not (
        np.abs(strip[20:, 60 : style_page.WIDTH - style_page.MARGIN[1] + 4] - [0, 158, 115]).sum(-1)
        < 60
    ).any()


# Without a kernel ---------------------------------------------------------------------------------


def test_the_figure_is_what_the_panel_shows(panel):
    panel.run(2)
    (axis,) = panel.figure().axes
    drawn = np.asarray(axis.images[0].get_array()).astype(int)
    assert np.abs(drawn - page(panel)).mean() < 3
    pyplot.close("all")


def test_the_shown_code_makes_the_shown_picture(panel):
    panel.run(2)
    move(panel, panel.controls["first"], index=1)
    panel.run(2)
    names = {"encoder": tiny_encoder(), "contents": CONTENTS, "styles": STYLES}
    names["one_pass"] = one_pass
    exec(panel.source, names)
    np.testing.assert_allclose(names["session"].result, panel.session.result, atol=1e-4)
    pyplot.close("all")
    assert re.search(r"session.change\(first=&#x27;blue&#x27;\)", panel.code.value)
