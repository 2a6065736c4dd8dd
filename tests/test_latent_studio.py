"""The latent studio's panel: controls are moved as a browser does, and judged by what they do."""

import io
import time

import keras
import matplotlib
import numpy as np
import pytest
from PIL import Image

matplotlib.use("Agg")

from course_lib.datasets import images
from course_lib.networks import style_based
from course_lib.studio import Look
from course_lib.widgets import studio_page
from course_lib.widgets.latent_studio import LatentStudio

ATTRIBUTES = {"glasses": np.eye(6)[1], "beard": np.array([0, 0.6, 0.8, 0, 0, 0])}


@pytest.fixture(scope="module")
def generator():
    keras.utils.set_random_seed(0)
    return style_based.generator(8, (16, 16, 3), filters=(8, 6, 4), style_dim=6)


@pytest.fixture
def panel(generator, tmp_path):
    panel = LatentStudio(generator, ATTRIBUTES, steps=3, folder=tmp_path)
    yield panel
    panel.worker.close()
    panel.worker.join(20)


def page(panel):
    return np.asarray(Image.open(io.BytesIO(panel.image.value)).convert("RGB")).astype(int)


def shows(panel, picture):
    """Whether the left half of the page is this picture, up to the JPEG."""
    expected = studio_page.compose(picture, corners=[picture] * 4)
    side = studio_page.SIDE
    difference = page(panel)[:side, :side] - np.asarray(expected).astype(int)[:side, :side]
    return np.abs(difference).mean() < 3


def look(panel):
    return panel.history.state.look


def move(panel, widget, **state):
    widget.set_state(state)
    panel.worker.run()


def click(panel, name):
    panel.buttons[name]._handle_custom_msg({"event": "click"}, [])
    panel.worker.run()


def wait(panel):
    """Until what plays has ended by itself."""
    end = time.monotonic() + 60
    while (panel.worker.playing or panel.play.value or panel.project.value) and (
        time.monotonic() < end
    ):
        time.sleep(0.02)
    panel.worker.run()


def file(name="own.png", size=(20, 12)):
    buffer = io.BytesIO()
    Image.new("RGB", size, "teal").save(buffer, "png")
    content = buffer.getvalue()
    facts = {"name": name, "type": "image/png", "size": len(content), "last_modified": 0}
    return [facts | {"content": memoryview(content)}]


def key_frames(panel, *seeds):
    for seed in seeds:
        move(panel, panel.seeds[0], value=seed)
        click(panel, "add")


# Moving the look ----------------------------------------------------------------------------------


def test_the_panel_starts_with_the_picture_of_its_look(generator, tmp_path):
    start = Look(seeds=(5, 6, 7, 8), x=0.5, amounts={"beard": 1.0}, swapped=("fine",))
    panel = LatentStudio(generator, ATTRIBUTES, look=start, folder=tmp_path)
    assert look(panel) == start and shows(panel, panel.studio.image(start))
    assert panel.x.value == 0.5 and panel.groups["fine"].value
    with pytest.raises(ValueError, match="amounts names hat"):
        LatentStudio(generator, look=Look(amounts={"hat": 1.0}), folder=tmp_path)


@pytest.mark.parametrize(
    "control, state, changed",
    [
        ("x", {"value": 0.5}, {"x": 0.5}),
        ("y", {"value": 0.25}, {"y": 0.25}),
        ("pad", {"position": [0.3, 0.7]}, {"x": 0.3, "y": 0.7}),
        ("psi", {"value": 1.2}, {"psi": 1.2}),
        ("seeds[0]", {"value": 21}, {"seeds": (21, 1, 2, 3)}),
        ("seeds[1]", {"value": 21}, {"seeds": (0, 21, 2, 3)}),
        ("seeds[2]", {"value": 21}, {"seeds": (0, 1, 21, 3)}),
        ("seeds[3]", {"value": 21}, {"seeds": (0, 1, 2, 21)}),
        ("amounts[component 1]", {"value": 2.0}, {"amounts": {"component 1": 2.0}}),
        ("amounts[component 2]", {"value": 2.0}, {"amounts": {"component 2": 2.0}}),
        ("amounts[component 3]", {"value": -2.0}, {"amounts": {"component 3": -2.0}}),
        ("amounts[glasses]", {"value": 2.0}, {"amounts": {"glasses": 2.0}}),
        ("amounts[beard]", {"value": -1.0}, {"amounts": {"beard": -1.0}}),
        ("groups[coarse]", {"value": True}, {"swapped": ("coarse",)}),
        ("groups[middle]", {"value": True}, {"swapped": ("middle",)}),
        ("groups[fine]", {"value": True}, {"swapped": ("fine",)}),
    ],
)
def test_a_control_changes_its_part_of_the_look_and_the_picture(panel, control, state, changed):
    name, _, key = control.rstrip("]").partition("[")
    widget = getattr(panel, name)
    if key:
        widget = widget[int(key) if isinstance(widget, list) else key]
    move(panel, widget, **state)
    assert look(panel) == Look(**changed)
    assert shows(panel, panel.studio.image(Look(**changed)))


def test_the_other_seed_counts_where_groups_are_swapped(panel):
    move(panel, panel.groups["coarse"], value=True)
    move(panel, panel.other, value=30)
    assert look(panel) == Look(other=30, swapped=("coarse",))
    assert shows(panel, panel.studio.image(Look(other=30, swapped=("coarse",))))


@pytest.mark.parametrize("name", ["component 1", "component 2", "component 3", "glasses", "beard"])
def test_locks_hold_their_direction_and_their_slider(panel, name):
    other = "glasses" if name == "beard" else "beard"
    move(panel, panel.amounts[name], value=1.0)
    move(panel, panel.locks[name], value=True)
    move(panel, panel.amounts[other], value=2.0)
    assert look(panel).locked == (name,) and f"locked: {name}" in panel.status.value
    assert panel.amounts[name].disabled and not panel.amounts[other].disabled
    along = panel.studio.offset(look(panel)) @ panel.studio.directions[name]
    assert along == pytest.approx(panel.studio.deviations[name])
    move(panel, panel.locks[name], value=False)
    assert not panel.amounts[name].disabled


def test_the_pad_and_the_sliders_show_the_same_place(panel):
    move(panel, panel.pad, position=[0.25, 0.75])
    assert (panel.x.value, panel.y.value) == (0.25, 0.75)
    move(panel, panel.y, value=0.5)
    assert panel.pad.position == [0.25, 0.5]


def test_of_many_moves_the_last_is_shown(panel):
    for value in np.linspace(0, 1, 50):
        panel.x.set_state({"value": float(value)})
    panel.worker.run()
    assert look(panel).x == 1.0 and shows(panel, panel.studio.image(Look(x=1.0)))


# Undo ---------------------------------------------------------------------------------------------


def test_undo_redo_and_reset_move_picture_and_controls(panel):
    for value in (0.2, 0.4, 0.6):
        move(panel, panel.x, value=value)
    move(panel, panel.psi, value=1.0)
    click(panel, "undo")
    assert look(panel) == Look(x=0.6) and panel.psi.value == 0.7
    click(panel, "undo")  # the drag at once
    assert look(panel) == Look() and panel.x.value == 0 and panel.pad.position == [0, 0]
    click(panel, "redo")
    assert look(panel) == Look(x=0.6) and panel.x.value == 0.6
    click(panel, "redo")
    assert look(panel) == Look(x=0.6, psi=1.0)
    click(panel, "reset")
    assert look(panel) == Look() and panel.psi.value == 0.7
    click(panel, "undo")
    assert look(panel) == Look(x=0.6, psi=1.0) and shows(panel, panel.studio.image(look(panel)))


def thumbnails(panel):
    """Whether there is a picture in each of the first places below."""
    below = page(panel)[studio_page.SIDE + 16 :]
    side = studio_page.THUMB
    return [bool((below[:, side * i + 16 : side * i + 48] < 240).any()) for i in range(3)]


# Film ---------------------------------------------------------------------------------------------


def test_add_and_remove_change_the_key_frames(panel):
    key_frames(panel, 5, 6)
    assert [frame.seeds[0] for frame in panel.history.state.frames] == [5, 6]
    assert "key frames: 2" in panel.status.value
    assert thumbnails(panel) == [True, True, False]
    click(panel, "remove")
    assert [frame.seeds[0] for frame in panel.history.state.frames] == [5]
    assert thumbnails(panel) == [True, False, False]


def test_a_click_sees_what_the_controls_showed_when_it_was_made(panel):
    for value in (0.2, 0.4):  # nothing waits in between
        panel.x.set_state({"value": value})
        panel.buttons["add"]._handle_custom_msg({"event": "click"}, [])
    panel.worker.run()
    assert [frame.x for frame in panel.history.state.frames] == [0.2, 0.4]


def test_play_shows_the_film_to_its_end_and_stops(panel):
    key_frames(panel, 5, 6)
    move(panel, panel.seeds[0], value=7)
    seen, said = set(), []  # the last status is soon followed by another
    panel.image.observe(lambda change: seen.add(change["new"]), "value")
    panel.status.observe(lambda change: said.append(change["new"]), "value")
    panel.play.set_state({"value": True})
    end = time.monotonic() + 30
    while not any("film: 9 of 9" in text for text in said) and time.monotonic() < end:
        time.sleep(0.01)
    assert any("film: 9 of 9" in text for text in said) and len(seen) >= 4
    wait(panel)
    assert not panel.play.value and shows(panel, panel.studio.image(look(panel)))


def test_play_without_two_key_frames_says_what_to_do(panel):
    panel.play.set_state({"value": True})
    with pytest.raises(ValueError):
        panel.worker.run()
    assert "at least two key frames, got 0: add some" in panel.status.value
    assert not panel.play.value


# The reader's own picture -------------------------------------------------------------------------


def test_an_upload_is_projected_shown_and_edited(panel):
    assert panel.project.disabled
    move(panel, panel.upload, value=file())
    assert "own.png, cut square, 16 × 16: press project" in panel.status.value
    right = page(panel)[: studio_page.SIDE, studio_page.SIDE :]
    assert np.abs(right - [0, 128, 128]).mean() < 5  # teal
    panel.project.set_state({"value": True})
    wait(panel)
    styles = panel.studio.own["own 1"]
    target = images.to_float(images.read_image(bytes(file()[0]["content"]), size=16))
    *_, expected = panel.studio.project(target, steps=3)
    np.testing.assert_allclose(styles, expected.styles, atol=1e-5)
    assert look(panel) == Look(psi=1.0, own="own 1") and panel.psi.value == 1.0
    assert "projected with a loss" in panel.status.value
    move(panel, panel.amounts["glasses"], value=2.0)
    assert look(panel) == Look(psi=1.0, own="own 1", amounts={"glasses": 2.0})
    move(panel, panel.x, value=0.5)  # back to the lattice
    assert look(panel).own == ""


def test_each_layer_decides_how_much_a_projection_may_fit(panel):
    move(panel, panel.upload, value=file())
    move(panel, panel.each_layer, value=False)
    assert "one style for all layers" in panel.status.value
    panel.project.set_state({"value": True})
    wait(panel)
    styles = panel.studio.own["own 1"]
    np.testing.assert_array_equal(styles, styles[:1].repeat(5, axis=0))


def test_a_projection_that_is_stopped_early_is_kept(generator, tmp_path):
    panel = LatentStudio(generator, ATTRIBUTES, steps=100_000, folder=tmp_path)
    move(panel, panel.upload, value=file())
    panel.project.set_state({"value": True})
    end = time.monotonic() + 60
    while "projecting: loss" not in panel.status.value and time.monotonic() < end:
        time.sleep(0.01)
    panel.project.set_state({"value": False})
    panel.worker.run()
    wait(panel)
    assert look(panel).own == "own 1" and "own 1" in panel.studio.own
    panel.worker.close()


def test_a_file_that_is_no_picture_is_said(panel):
    bad = file("x.png")
    bad[0]["content"] = memoryview(b"no picture")
    panel.upload.set_state({"value": bad})
    with pytest.raises(ValueError):
        panel.worker.run()
    assert "x.png is no readable PNG" in panel.status.value and panel.project.disabled


# Files --------------------------------------------------------------------------------------------


def test_save_and_files_bring_a_session_back(panel, tmp_path):
    move(panel, panel.upload, value=file())
    panel.project.set_state({"value": True})
    wait(panel)
    click(panel, "add")
    saved = panel.studio.image(look(panel))
    move(panel, panel.name, value="my face")
    click(panel, "save")
    assert (tmp_path / "my face.json").is_file() and "wrote" in panel.status.value
    assert panel.files.options[1:] == ("my face",)
    click(panel, "reset")
    move(panel, panel.files, index=1)
    assert len(panel.history.state.frames) == 1 and shows(panel, saved)
    np.testing.assert_array_equal(panel.studio.image(look(panel)), saved)
    assert panel.files.index == 0 and panel.psi.value == 1.0


def test_a_session_for_another_generator_changes_nothing(panel, generator, tmp_path):
    other = LatentStudio(generator, {"hat": np.eye(6)[0]}, folder=tmp_path)
    move(other, other.amounts["hat"], value=1.0)
    click(other, "save")
    again = LatentStudio(generator, ATTRIBUTES, folder=tmp_path)
    again.files.set_state({"index": 1})
    with pytest.raises(ValueError):
        again.worker.run()
    assert "amounts names hat" in again.status.value and look(again) == Look()


@pytest.mark.parametrize("name", ["", "../evil", "a.b"])
def test_name_must_be_plain(panel, name, tmp_path):
    move(panel, panel.name, value=name)
    panel.buttons["save"]._handle_custom_msg({"event": "click"}, [])
    with pytest.raises(ValueError):
        panel.worker.run()
    assert "must be letters, digits" in panel.status.value and not list(tmp_path.iterdir())


def test_the_still_is_the_picture(panel, tmp_path):
    click(panel, "still")
    expected = images.to_uint8(panel.studio.image(Look()))
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "session.png")), expected)


def test_the_strip_is_the_film_side_by_side(panel, tmp_path):
    key_frames(panel, 5, 6)
    click(panel, "strip")
    strip = np.asarray(Image.open(tmp_path / "session_strip.png"))
    assert strip.shape == (16, 5 * 16, 3)
    ends = [images.to_uint8(panel.studio.image(frame)) for frame in panel.history.state.frames]
    np.testing.assert_array_equal(strip[:, :16], ends[0])
    np.testing.assert_array_equal(strip[:, -16:], ends[1])


def test_the_gif_is_the_film(panel, tmp_path):
    key_frames(panel, 5, 6)
    click(panel, "GIF")
    with Image.open(tmp_path / "session.gif") as film:
        assert film.n_frames == 9 and film.size == (64, 64) and film.info["duration"] == 100


# The picture without a kernel ---------------------------------------------------------------------


def test_the_figure_is_what_the_panel_shows(panel):
    move(panel, panel.x, value=0.5)
    figure = panel.figure()
    (axis,) = figure.axes
    drawn = np.asarray(axis.images[0].get_array()).astype(int)
    assert np.abs(drawn - page(panel)).mean() < 3
    matplotlib.pyplot.close(figure)


def test_the_dot_is_where_the_place_is(panel):
    move(panel, panel.pad, position=[0.5, 0.25])
    side = studio_page.SIDE
    dot = page(panel)[side // 4, side + side // 2]
    assert np.abs(dot - [0, 0x72, 0xB2]).max() < 30


def test_the_shown_code_is_that_of_the_look(panel):
    move(panel, panel.psi, value=1.2)
    assert "look = Look(psi=1.2)" in panel.source and "look = Look(psi=1.2)" in panel.code.value
