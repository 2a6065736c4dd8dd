"""The style desk without its panel: each setting is judged by what it does to the picture."""

import colorsys
import dataclasses
import json

import keras
import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")

from matplotlib import pyplot

from course_lib import session_files, style, style_session, style_settings
from course_lib.datasets import images, strokes
from course_lib.descent import Descent
from course_lib.networks import vgg
from course_lib.style_session import StyleSession
from course_lib.style_settings import BOTH, INSIDE, Settings

SIZE = 32
LINE = (((-0.5, 0.5), (0.5, 0.5)),)


@pytest.fixture(scope="module")
def encoder():
    keras.utils.set_random_seed(0)
    return vgg.vgg(widths=(4, 6, 8, 8), depths=(1, 1, 2, 1))


def patches(seed, side=SIZE):
    """A picture of 8 x 8 patches, uint8 (side, side, 3)."""
    random = np.random.default_rng(seed)
    coarse = random.integers(20, 236, (8, 8, 3), dtype=np.uint8)
    return coarse.repeat(side // 8, 0).repeat(side // 8, 1)


CONTENTS = {"house": patches(1), "tree": patches(2)}
STYLES = {"red": patches(3) // 2 + [[[60, 0, 0]]], "blue": patches(4) // 2 + [[[0, 0, 60]]]}
STYLES = {name: pixels.astype("uint8") for name, pixels in STYLES.items()}
START = Settings(content="house", first="red", second="blue", size=SIZE, variation_weight=0.1)


@pytest.fixture
def session(encoder):
    return begin(encoder)


def begin(encoder, one_pass=None, **changes):
    settings = dataclasses.replace(START, **changes)
    return StyleSession(encoder, settings, contents=CONTENTS, styles=STYLES, one_pass=one_pass)


def floats(pixels):
    return pixels.astype("float32") / 127.5 - 1


def far(a, b):
    """Mean distance of two pictures."""
    return float(np.abs(np.asarray(a, "float64") - b).mean())


def by_hand(encoder, picture, styles, weights, regions=None, content="house"):
    """One step of the objective that is written out here."""
    objective = style.Objective(
        encoder, floats(CONTENTS[content]), [floats(STYLES[name]) for name in styles], weights,
        regions=regions,
    )  # fmt: skip
    found = objective.value_and_gradient(picture)
    return Descent(objective).step(picture, found)


# Weights ------------------------------------------------------------------------------------------


def test_it_begins_with_the_content_and_each_loss_falls(session):
    np.testing.assert_allclose(session.picture, floats(CONTENTS["house"]), atol=1e-6)
    before = session.terms
    assert before["content"] == 0
    session.run(15)
    assert session.terms["style"] < 0.5 * before["style"]
    assert session.terms["total"] < 0.6 * before["total"]
    totals = [row["total"] for row in session.rows]
    assert totals == sorted(totals, reverse=True)


def test_from_noise_content_and_variation_fall_as_well(encoder):
    session = begin(encoder, start="noise", variation_weight=1.0)
    assert far(session.picture, floats(CONTENTS["house"])) > 0.5
    before = session.terms
    session.run(20)
    for name in ("content", "style", "variation"):
        assert session.terms[name] < 0.5 * before[name], name
    again = begin(encoder, start="noise", variation_weight=1.0)
    again.run(20)
    np.testing.assert_allclose(session.picture, again.picture, atol=1e-4)  # seeded


def test_without_style_and_variation_the_content_stays(encoder):
    session = begin(encoder, style_weight=0.0, variation_weight=0.0)
    session.run(3)
    np.testing.assert_allclose(session.picture, floats(CONTENTS["house"]), atol=1e-6)


def test_a_style_weight_of_0_goes_back_to_the_content_without_a_restart(session):
    session.run(15)
    styled = session.terms["content"]
    session.change(style_weight=0.0, variation_weight=0.0)
    session.run(40)
    assert session.steps == 55
    assert session.terms["content"] < 0.02 * styled  # what the layer tells of the content


@pytest.mark.parametrize(
    "changes, weights",
    [
        ({"style_weight": 7.0}, {"style": 7.0}),
        ({"content_weight": 9.0}, {"content": 9.0}),
        ({"variation_weight": 3.0}, {"variation": 3.0}),
        ({"layers": START.layers | {"block2_conv1": 4.0}},
         {"layers": START.layers | {"block2_conv1": 4.0}}),
        ({"blend": 0.25}, {"blend": (3.0, 1.0)}),
    ],
)  # fmt: skip
def test_a_weight_acts_on_the_next_step_and_the_count_goes_on(session, encoder, changes, weights):
    session.run(4)
    before = session.picture
    session.change(**changes)
    np.testing.assert_array_equal(session.picture, before)
    session.step()
    assert session.steps == 5
    wanted = style.Weights(**{"variation": 0.1, "blend": (1.0, 0.0), **weights})
    expected, (terms, _) = by_hand(encoder, before, ("red", "blue"), wanted)
    np.testing.assert_allclose(session.picture, expected, atol=1e-5)
    assert session.terms["total"] == pytest.approx(terms["total"], rel=1e-4)


def test_a_change_shows_as_two_rows_of_one_step(session):
    session.run(3)
    session.change(style_weight=10.0)
    after = session.terms
    assert [row["steps"] for row in session.rows] == [0, 1, 2, 3, 3]
    assert after["style"] == pytest.approx(5 * session.rows[3]["style"], rel=1e-4)


# Pictures -----------------------------------------------------------------------------------------


def test_another_style_or_content_keeps_the_running_picture(session, encoder):
    session.run(4)
    before = session.picture
    session.change(first="blue")
    np.testing.assert_array_equal(session.picture, before)
    session.step()
    weights = style.Weights(variation=0.1, blend=(1.0, 0.0))
    expected, _ = by_hand(encoder, before, ("blue", "blue"), weights)
    np.testing.assert_allclose(session.picture, expected, atol=1e-5)
    before = session.picture
    session.change(content="tree")
    np.testing.assert_array_equal(session.picture, before)
    session.step()
    expected, _ = by_hand(encoder, before, ("blue", "blue"), weights, content="tree")
    np.testing.assert_allclose(session.picture, expected, atol=1e-5)


def test_the_second_style_counts_with_its_share(session, encoder):
    session.change(blend=1.0)
    session.change(second="red", first="blue")
    before = session.picture
    session.step()
    expected, _ = by_hand(encoder, before, ("red",), style.Weights(variation=0.1))
    np.testing.assert_allclose(session.picture, expected, atol=1e-5)


def test_before_the_first_step_another_content_is_begun_with(session):
    session.change(content="tree")
    np.testing.assert_allclose(session.picture, floats(CONTENTS["tree"]), atol=1e-6)
    assert len(session.frames) == 1
    np.testing.assert_array_equal(session.frames[0].pixels, CONTENTS["tree"])


def test_another_size_keeps_the_running_picture_resized(session):
    session.run(6)
    before = session.picture
    session.change(size=64)
    assert session.picture.shape == (64, 64, 3) and session.steps == 6
    halved = session.picture.reshape(32, 2, 32, 2, 3).mean((1, 3))
    assert far(halved, before) < 0.05
    session.step()
    assert session.steps == 7


def test_start_again_goes_back_with_the_settings_as_they_are(session):
    session.run(4)
    session.change(start="noise", style_weight=2.0)
    assert session.steps == 4  # start acts only at a start
    session.start_again()
    assert session.steps == 0 and session.log == [(session.settings, 0)]
    assert session.settings.style_weight == 2.0
    assert far(session.picture, floats(CONTENTS["house"])) > 0.5


def test_pictures_of_the_course_show_no_real_person():
    contents, styles = style_session.course_contents(), style_session.course_styles()
    assert "astronaut" not in contents and {"cat", "avatar 1"} <= set(contents)
    assert {"mosaic", "brick"} <= set(styles)
    for pixels in [*contents.values(), *styles.values()]:
        assert pixels.shape == (256, 256, 3) and pixels.dtype == np.uint8
    settings = Settings()
    assert settings.content in contents and {settings.first, settings.second} <= set(styles)


# Masks --------------------------------------------------------------------------------------------


def test_ready_masks_lie_where_their_names_say():
    area = {"left half": 0.5, "centre disc": np.pi * 0.34**2, "sky above": 0.45}
    for name in style_settings.READY:
        found = style_settings.mask(name, 100)
        assert found.shape == (100, 100) and found.dtype == np.float32
        assert found.mean() == pytest.approx(area[name], abs=0.01)
        assert {0.0, 1.0} <= set(found.ravel()) and 0 < np.mean((found > 0) & (found < 1)) < 0.15
    left, disc, sky = (style_settings.mask(name, 100) for name in style_settings.READY)
    assert left[50, 5] == 1 and left[50, 95] == 0
    assert disc[50, 50] == 1 and disc[50, 5] == 0 == disc[5, 50]
    assert sky[5, 50] == 1 and sky[95, 50] == 0


def test_a_painted_mask_is_what_the_strokes_cover():
    found = style_settings.mask("painted", 100, LINE, 0.2)
    assert found[25, 50] == 1 and found[75, 50] == 0  # y = 0.5 is above
    area = (1.0 * 0.4 + np.pi * 0.2**2) / 4
    assert found.mean() == pytest.approx(area, rel=0.03)
    assert not style_settings.mask("painted", 32).any()
    np.testing.assert_array_equal(found, strokes.covered(LINE, 0.2, 100))


@pytest.mark.parametrize("mask", style_settings.MASKS[1:])
def test_outside_of_the_mask_nothing_changes(encoder, mask):
    session = begin(encoder, mask=mask, strokes=LINE, brush=0.3)
    session.run(8)
    outside = style_settings.mask(mask, SIZE, LINE, 0.3) == 0
    assert 0.1 < outside.mean() < 0.9
    np.testing.assert_array_equal(session.picture[outside], session.content[outside])
    assert far(session.picture[~outside], session.content[~outside]) > 0.05


def test_a_mask_that_comes_later_gives_the_outside_back(session):
    session.run(8)
    before = session.picture
    session.change(mask="left half")
    np.testing.assert_allclose(session.picture[:, -8:], session.content[:, -8:], atol=1e-6)
    np.testing.assert_allclose(session.picture[:, :8], before[:, :8], atol=1e-6)
    session.run(8)
    np.testing.assert_allclose(session.picture[:, -8:], session.content[:, -8:], atol=1e-6)


def test_an_empty_painted_mask_changes_nothing(encoder):
    session = begin(encoder, mask="painted")
    session.run(3)
    np.testing.assert_array_equal(session.picture, session.content)


def test_both_styles_have_a_side_each(session, encoder):
    session.change(mask="left half", goes=BOTH)
    inside, before = style_settings.mask("left half", SIZE), session.picture
    session.step()
    expected, _ = by_hand(
        encoder, before, ("red", "blue"), style.Weights(variation=0.1, blend=(1.0, 1.0)),
        regions=[inside, 1 - inside],
    )  # fmt: skip
    np.testing.assert_allclose(session.picture, expected, atol=1e-5)
    session.run(10)
    red, blue = session.picture[..., 0], session.picture[..., 2]
    tilt = (red - blue).mean(axis=0)
    assert tilt[:12].mean() > tilt[-12:].mean() + 0.2


def test_the_inside_takes_style_a_alone(session, encoder):
    session.change(mask="left half", goes=INSIDE, blend=0.8)
    inside, before = style_settings.mask("left half", SIZE), session.picture
    session.step()
    expected, _ = by_hand(encoder, before, ("red",), style.Weights(variation=0.1), regions=[inside])
    np.testing.assert_allclose(session.picture, expected, atol=1e-5)


def test_grams_are_of_the_running_picture(session):
    before = far(*session.grams("block1_conv1"))
    session.run(10)
    assert far(*session.grams("block1_conv1")) < 0.5 * before


# Colours ------------------------------------------------------------------------------------------


def test_kept_colours_have_the_luma_of_one_and_the_hue_of_the_other():
    random = np.random.default_rng(0)
    picture, content = random.uniform(-0.2, 0.2, (2, 4, 4, 3))
    found = style_session.keep_colours(picture, content)
    assert found.dtype == np.float32
    for place in np.ndindex(4, 4):
        # To [0, 1], where colorsys works; what is linear is linear there, too.
        yiq, light, colours = (
            colorsys.rgb_to_yiq(*(each[place].astype(float) + 1) / 2)
            for each in (found, picture, content)
        )
        # colorsys rounds its weights to two digits: 0.30, 0.59, 0.11.
        assert yiq[0] == pytest.approx(light[0], abs=2e-3)
        assert yiq[1:] == pytest.approx(colours[1:], abs=2e-3)


def test_keep_colours_changes_what_is_shown_and_not_what_is_optimised(session):
    session.run(6)
    picture = session.picture
    session.change(keep_colours=True)
    np.testing.assert_array_equal(session.picture, picture)
    expected = style_session.keep_colours(picture, session.content)
    np.testing.assert_array_equal(session.result, expected)
    assert far(session.result, picture) > 0.01
    assert np.abs(style_session.keep_colours(picture + 1, session.content)).max() <= 1
    session.step()
    np.testing.assert_array_equal(session.frames[-1].pixels, images.to_uint8(session.result))


# Frames, log, files -------------------------------------------------------------------------------


def test_frames_are_bounded_and_evenly_spaced(session, monkeypatch):
    monkeypatch.setattr(style_session, "MOST_FRAMES", 8)
    session.run(5)
    assert [frame.step for frame in session.frames] == [0, 1, 2, 3, 4, 5]
    np.testing.assert_array_equal(session.frames[0].pixels, CONTENTS["house"])
    np.testing.assert_array_equal(session.frames[5].pixels, images.to_uint8(session.picture))
    session.run(3)  # the ninth frame
    assert [frame.step for frame in session.frames] == [0, 2, 4, 6, 8]
    session.run(11)
    assert [frame.step for frame in session.frames] == [0, 4, 8, 12, 16]
    session.start_again()
    session.run(1)
    assert [frame.step for frame in session.frames] == [0, 1]


def adventure(session):
    """Steps with all sorts of changes between them."""
    session.run(3)
    for weight in (2.0, 3.0, 5.0):
        session.change(style_weight=weight)
    session.run(2)
    session.change(size=48)
    session.change(style_weight=2.0)
    session.run(2)
    session.change(mask="left half", goes=BOTH)
    session.change(content="tree", keep_colours=True)
    session.run(2)


def test_the_log_keeps_what_matters_and_replays_to_the_same_picture(session, encoder):
    adventure(session)
    counts = [(each.style_weight, each.size, each.mask, n) for each, n in session.log]
    assert counts == [
        (2.0, 32, "none", 3), (5.0, 32, "none", 2), (2.0, 48, "none", 2),
        (2.0, 48, "left half", 0), (2.0, 48, "left half", 2),
    ]  # fmt: skip
    other = begin(encoder, content="tree")
    other.run(2)
    other.replay(session.log)
    assert other.log == session.log and other.steps == 9
    np.testing.assert_allclose(other.result, session.result, atol=1e-4)


def test_a_slider_that_is_moved_back_leaves_a_log_that_replays(session, encoder):
    session.run(3)
    session.change(style_weight=2.0)
    session.change(style_weight=1.0)
    session.run(2)
    other = begin(encoder)
    other.replay(session.log)
    np.testing.assert_allclose(other.picture, session.picture, atol=1e-5)


def executed(session, encoder, log=None, **more):
    """The session that the shown code makes."""
    names = {"encoder": encoder, "contents": CONTENTS, "styles": STYLES, **more}
    exec(session.code(log), names)
    pyplot.close("all")
    return names["session"]


def test_the_code_makes_the_same_picture(session, encoder):
    adventure(session)
    np.testing.assert_allclose(executed(session, encoder).result, session.result, atol=1e-4)


def test_the_code_of_a_look_back_makes_that_frame(session, encoder):
    adventure(session)
    frame = session.frames[4]
    log = style_settings.until(session.log, frame.step)
    assert [n for _, n in log] == [3, 1]
    made = images.to_uint8(executed(session, encoder, log).result)
    assert np.abs(made.astype(int) - frame.pixels).max() <= 1


def test_until_cuts_a_log_and_keeps_the_whole():
    a, b = START, dataclasses.replace(START, blend=1.0)
    log = [(a, 3), (b, 0), (a, 4)]
    assert style_settings.until(log, 0) == [(a, 0)]
    assert style_settings.until(log, 3) == [(a, 3)]
    assert style_settings.until(log, 5) == [(a, 3), (b, 0), (a, 2)]
    assert style_settings.until(log, 7) == log


def test_a_log_comes_back_from_its_file(session, encoder, tmp_path):
    session.change(strokes=LINE, mask="painted")
    adventure(session)
    path = tmp_path / "new" / "a.json"
    style_settings.save(path, session.log)
    log = style_settings.load(path)
    assert log == session.log
    other = begin(encoder)
    other.replay(log)
    np.testing.assert_allclose(other.result, session.result, atol=1e-4)
    assert [path.name for path in path.parent.iterdir()] == ["a.json"]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"log": []}', '{"log": [{"settings": {"hat": 1}, "steps": 3}]}']
)
def test_a_file_that_is_no_log_is_named(tmp_path, text):
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="bad.json is no saved picture of the style desk"):
        style_settings.load(path)


def test_a_log_with_a_value_that_cannot_be_is_named(tmp_path, session):
    path = tmp_path / "bad.json"
    style_settings.save(path, session.log)
    content = json.loads(path.read_text())
    content["log"][0]["settings"]["blend"] = 7
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="bad.json is no saved.*blend must be from 0 to 1, got 7"):
        style_settings.load(path)


@pytest.mark.parametrize("name", ["", "../evil", "a.b", "x" * 61])
def test_a_file_name_must_be_plain(tmp_path, name):
    with pytest.raises(ValueError, match="must be letters, digits, spaces, - and _ only"):
        session_files.named(tmp_path, name, ".png")
    assert session_files.named(tmp_path, "my é-1_", ".png") == tmp_path / "my é-1_.png"


# Pictures of the reader's own ---------------------------------------------------------------------


def test_own_pictures_are_added_chosen_and_in_the_code(encoder, session, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(style_session, "SIDE", SIZE)
    images.save_png("mine.png", CONTENTS["tree"])
    assert session.add("content", "mine.png", CONTENTS["tree"]) == "mine.png"
    assert session.add("style", "mine.png", CONTENTS["tree"]) == "mine.png"
    assert session.add("style", "mine.png", CONTENTS["house"]) == "mine.png 2"
    session.change(content="mine.png", first="mine.png")
    np.testing.assert_array_equal(session.frames[0].pixels, CONTENTS["tree"])
    session.run(2)
    assert "mine.png 2" not in session.code()  # not used
    np.testing.assert_allclose(executed(session, encoder).result, session.result, atol=1e-4)


@pytest.mark.parametrize("pixels", [np.zeros((8, 8, 3)), np.zeros((8, 8), "uint8")])
def test_what_is_no_picture_is_refused(session, pixels):
    with pytest.raises(ValueError, match=r"x.png must be uint8 \(height, width, 3\); got"):
        session.add("style", "x.png", pixels)
    assert "x.png" not in session.styles


# Errors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"content": "sea"}, "content names 'sea'; there is: house, tree"),
        ({"first": "sea"}, "first names 'sea'; there is: red, blue"),
        ({"second": "sea"}, "second names 'sea'"),
        ({"mask": "right"}, "mask must be one of none, left half, .*; got 'right'"),
        ({"goes": "away"}, "goes must be one of .*; got 'away'"),
        ({"start": "end"}, "start must be one of content, noise; got 'end'"),
        ({"way": "magic"}, "way must be one of optimise, one pass; got 'magic'"),
        ({"way": "one pass"}, "needs a network: pass it as one_pass"),
        ({"blend": 1.5}, "blend must be from 0 to 1, got 1.5"),
        ({"strength": -0.1}, "strength must be from 0 to 1, got -0.1"),
        ({"size": 16}, "size must be from 32 to 512 pixels, got 16"),
        ({"size": 1024}, "size must be from 32 to 512 pixels, got 1024"),
        ({"style_weight": -1.0}, "weights must be finite and at least 0"),
        ({"layers": {"block1_conv1": 1.0}}, "layers must be those of the start, block1_conv1, b"),
    ],
)
def test_a_value_that_cannot_be_changes_nothing(session, changes, words):
    session.run(2)
    before, picture = session.settings, session.picture
    with pytest.raises(ValueError, match=words):
        session.change(**changes)
    assert session.settings == before and session.steps == 2
    session.step()
    assert session.steps == 3 and far(session.picture, picture) > 0


def test_a_setting_that_there_is_not_is_refused(session):
    with pytest.raises(TypeError, match="hat"):
        session.change(hat=1)


# One pass -----------------------------------------------------------------------------------------


class Network:
    """Stands for a trained one: the shares of the styles' mean colours, by the strength."""

    def __init__(self):
        self.calls = []

    def __call__(self, content, styles, shares, strength):
        self.calls.append((len(styles), tuple(shares), strength))
        means = [share * each.mean((0, 1)) for share, each in zip(shares, styles, strict=True)]
        return ((1 - strength) * content + strength * sum(means)).astype("float32")


def mean_of(name):
    return floats(STYLES[name]).mean((0, 1))


def test_one_pass_draws_at_once_and_follows_blend_and_strength(encoder):
    network = Network()
    session = begin(encoder, one_pass=network)
    session.run(3)
    session.change(way="one pass")
    assert network.calls == [(2, (1, 0), 1.0)]
    np.testing.assert_allclose(session.picture, np.broadcast_to(mean_of("red"), (32, 32, 3)),
                               atol=1e-5)  # fmt: skip
    session.change(blend=0.25, strength=0.5)
    expected = 0.5 * session.content + 0.5 * (0.75 * mean_of("red") + 0.25 * mean_of("blue"))
    np.testing.assert_allclose(session.picture, expected, atol=1e-5)
    session.change(first="blue")
    expected = 0.5 * session.content + 0.5 * mean_of("blue")
    np.testing.assert_allclose(session.picture, expected, atol=1e-5)
    session.run(5)
    assert session.steps == 3  # there are none to take
    np.testing.assert_allclose(session.picture, expected, atol=1e-5)


@pytest.mark.parametrize("goes", [INSIDE, BOTH])
def test_one_pass_keeps_to_the_mask(encoder, goes):
    session = begin(encoder, Network(), way="one pass", mask="left half", goes=goes, blend=0.5)
    red, blue = mean_of("red"), mean_of("blue")
    np.testing.assert_allclose(session.picture[:, :8], np.broadcast_to(red, (32, 8, 3)), atol=1e-5)
    outside = session.content if goes == INSIDE else np.broadcast_to(blue, (32, 32, 3))
    np.testing.assert_allclose(session.picture[:, -8:], outside[:, -8:], atol=1e-5)


def test_from_one_pass_the_optimisation_goes_on(encoder):
    session = begin(encoder, Network())
    session.run(2)
    session.change(way="one pass")
    flat = session.picture
    session.change(way="optimise")
    np.testing.assert_allclose(session.picture, flat, atol=1e-6)
    session.run(2)
    assert session.steps == 4 and far(session.picture, flat) > 0.01
    other = executed(session, encoder, one_pass=Network())
    np.testing.assert_allclose(other.result, session.result, atol=1e-4)


def test_the_optimisation_starts_from_a_pass_that_came_first(encoder):
    """Also when weights are moved before the first step, and again from the code."""
    session = begin(encoder, Network(), way="one pass")
    flat = session.picture
    session.change(way="optimise")
    session.change(style_weight=5.0)
    assert session.steps == 0
    np.testing.assert_allclose(session.picture, flat, atol=1e-6)
    session.run(2)
    other = executed(session, encoder, one_pass=Network())
    np.testing.assert_allclose(other.result, session.result, atol=1e-4)
    session.start_again()  # now of the way that is set, from its own start
    np.testing.assert_allclose(session.picture, session.content, atol=1e-6)


def test_the_first_frame_is_the_picture_before_any_step(encoder):
    """Also where the way was changed to and fro before the first step."""
    session = begin(encoder, Network(), way="one pass")
    session.change(way="optimise")
    session.change(way="one pass")
    session.change(first="blue")
    [frame] = session.frames
    assert frame.step == 0
    np.testing.assert_array_equal(frame.pixels, images.to_uint8(session.result))
