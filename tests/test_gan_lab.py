"""The laboratory's panel: each control is moved as a browser does, and judged by what it does."""

import io
import time

import matplotlib
import numpy as np
import pytest
from PIL import Image

matplotlib.use("Agg")

from course_lib.lab_settings import BROKEN_RUNS, Settings
from course_lib.widgets import lab_picture
from course_lib.widgets.gan_lab import CONTROLS, GanLab

SMALL = Settings(data="two_gaussians", depth=1, width=8, batch_size=32)


@pytest.fixture
def panel():
    panel = GanLab(SMALL, canvas=False)
    yield panel
    panel.worker.close()
    panel.worker.join(20)


def picture(panel):
    return np.asarray(Image.open(io.BytesIO(panel.image.value)).convert("RGB"))


def settle(panel):
    panel.worker.pause()
    panel.worker.run()


def click(panel, name):
    panel.buttons[name]._handle_custom_msg({"event": "click"}, [])
    settle(panel)


def weights(network):
    return [value.copy() for value in network.get_weights()]


def equal(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


# Buttons -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, moves", [("D step", "D"), ("G step", "G"), ("both", "DG")])
def test_a_step_button_moves_the_weights_that_it_names_and_no_others(panel, name, moves):
    gan, before_picture = panel.lab.gan, picture(panel)
    before = weights(gan.discriminator), weights(gan.generator)
    click(panel, name)
    assert equal(before[0], weights(gan.discriminator)) == ("D" not in moves)
    assert equal(before[1], weights(gan.generator)) == ("G" not in moves)
    assert panel.lab.tick == 1 and "tick 1<" in panel.status.value
    assert (picture(panel) != before_picture).any()


def test_times_n_takes_as_many_steps_as_the_count_says(panel):
    panel.count.set_state({"value": 37})
    click(panel, "× N")
    assert panel.lab.tick == 37


def test_slow_motion_shows_a_sub_step_a_click_and_moves_d_at_the_fifth(panel):
    seen, before = [], weights(panel.lab.gan.discriminator)
    for number in range(1, 12):
        click(panel, "slow motion")
        seen.append(panel.slow_text.value)
        assert equal(before, weights(panel.lab.gan.discriminator)) == (number < 5)
    assert len(set(seen)) == 11 and "D 1." in seen[0] and "G 5." in seen[9] and "D 1." in seen[10]
    assert panel.lab.tick == 2


def test_slow_motion_starts_anew_after_anything_else(panel):
    click(panel, "slow motion")
    click(panel, "both")
    click(panel, "slow motion")
    assert "D 1." in panel.slow_text.value


def test_reset_goes_to_the_seed_of_the_box_and_seed_resets_by_itself(panel):
    start = weights(panel.lab.gan.generator)
    panel.run(20)
    click(panel, "reset")
    assert panel.lab.tick == 0 and equal(start, weights(panel.lab.gan.generator))
    panel.seed.set_state({"value": 9})
    settle(panel)
    assert panel.lab.settings.seed == 9 and not equal(start, weights(panel.lab.gan.generator))


def test_show_the_code_prints_a_cell_that_gives_the_same_picture(panel):
    panel.run(12)
    panel.controls["loss"].set_state({"index": panel.controls["loss"].options.index("hinge")})
    settle(panel)
    panel.run(5)
    click(panel, "show the code")
    names = {}
    lines = panel.source().splitlines()
    assert "lab_picture.draw" in panel.code.value and lines[-1].startswith("lab_picture.draw(")
    exec("\n".join([*lines[:-1], f"drawn = {lines[-1]}"]), names)
    side = names["drawn"].size[0]
    np.testing.assert_array_equal(np.asarray(names["drawn"]), picture(panel)[:side, :side])


def test_learn_the_drawing_takes_what_is_drawn(panel):
    panel.canvas.strokes = [[[-0.5, 0.0], [0.5, 0.0]]]
    click(panel, "learn the drawing")
    assert panel.lab.settings.data == "drawn" and panel.controls["data"].value == "drawn"
    assert np.abs(panel.lab.real.points[:, 1]).max() < 0.8


def test_learning_an_empty_drawing_says_what_to_do_and_loses_nothing(panel):
    panel.run(10)
    panel.buttons["learn the drawing"].click()
    with pytest.raises(ValueError, match="draw something first"):
        settle(panel)
    assert "draw something first" in panel.status.value and panel.lab.tick == 10


# Settings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONTROLS)
def test_a_settings_control_changes_the_setting_of_its_name(panel, name):
    control = panel.controls[name]
    index = 0 if control.index else 1
    control.set_state({"index": index})
    settle(panel)
    assert getattr(panel.lab.settings, name) == control.options[index]
    panel.run(1)  # and it trains with it


def test_many_moves_of_a_slider_act_as_the_last(panel):
    seen = []
    change = panel.lab.change
    panel.lab.change = lambda **settings: (seen.append(settings), change(**settings))
    with panel.worker._wake:  # the worker can't take anything meanwhile
        for index in range(10):
            panel.controls["gamma"].set_state({"index": index})
    settle(panel)
    assert panel.lab.settings.gamma == panel.controls["gamma"].options[9] and len(seen) <= 3


@pytest.mark.parametrize("layer", lab_picture.LAYERS)
def test_a_layers_button_adds_or_removes_that_layer(panel, layer):
    panel.run(10)
    before, was_on = picture(panel), panel.layers[layer].value
    panel.layers[layer].set_state({"value": not was_on})
    settle(panel)
    layers = [name for name, button in panel.layers.items() if button.value]
    assert (layer in layers) != was_on
    side = np.asarray(lab_picture.draw(panel.lab, layers)).shape[0]
    assert (picture(panel)[:side] != before[:side]).any()
    np.testing.assert_array_equal(
        picture(panel)[:side], np.asarray(lab_picture.draw(panel.lab, layers))
    )


# Time --------------------------------------------------------------------------------------------


def test_the_time_slider_goes_back_and_playing_on_branches(panel):
    panel.run(300)
    first = weights(panel.lab.gan.generator)
    assert panel.time.options == (0, 100, 200, 300) and panel.time.value == 300
    panel.time.set_state({"index": 1})
    settle(panel)
    assert panel.lab.tick == 100 and panel.time.value == 100
    panel.run(200)
    assert equal(first, weights(panel.lab.gan.generator))
    panel.time.set_state({"index": 1})
    panel.controls["loss"].set_state({"index": 4})
    settle(panel)
    panel.run(100)
    assert panel.time.options == (0, 100, 200)


def test_going_back_over_a_change_brings_the_controls_along(panel):
    panel.run(100)
    panel.controls["loss"].set_state({"index": panel.controls["loss"].options.index("hinge")})
    settle(panel)
    panel.run(100)
    panel.time.set_state({"index": 0})
    settle(panel)
    assert panel.controls["loss"].value == "nonsaturating" == panel.lab.settings.loss


def test_a_broken_run_is_loaded_with_its_controls(panel):
    panel.broken.set_state({"index": 2})
    settle(panel)
    assert panel.lab.settings == BROKEN_RUNS["B"].settings
    assert panel.controls["optimizer"].value == "adam with momentum"
    assert panel.controls["depth"].value == 3


# Playing -----------------------------------------------------------------------------------------


def _wait(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_play_trains_until_it_is_pressed_again(panel):
    panel.play.set_state({"value": True})
    _wait(lambda: panel.lab.tick > 200 and "steps/s" in panel.status.value)
    panel.controls["g_learning_rate"].set_state({"index": 0})
    _wait(lambda: panel.lab.settings.g_learning_rate == 1e-5)
    panel.play.set_state({"value": False})
    settle(panel)
    tick = panel.lab.tick
    time.sleep(0.2)
    assert panel.lab.tick == tick and panel.play.description.endswith("play")


def test_a_run_that_diverges_pauses_and_is_named(panel):
    panel.broken.set_state({"index": 4})
    settle(panel)
    panel.play.set_state({"value": True})
    _wait(lambda: panel.lab.diverged and not panel.worker.playing)
    settle(panel)
    assert "<b>divergence</b>" in panel.status.value and panel.play.value is False


def test_an_unhooked_play_button_trains_nothing(panel):
    panel.play.unobserve_all("value")
    panel.play.set_state({"value": True})
    time.sleep(0.3)
    assert panel.lab.tick == 0


# What is shown -----------------------------------------------------------------------------------


def test_the_words_are_the_numbers_of_the_last_record(panel):
    panel.run(100)
    row = panel.lab.rows[-1]
    assert f"<td>{row['sliced_wasserstein']:.4g}</td>" in panel.status.value
    assert f"<td>{row['covered']:.4g}</td><td>2 to 2</td>" in panel.status.value


def test_data_without_modes_has_no_row_of_modes(panel):
    panel.controls["data"].set_state({"index": panel.controls["data"].options.index("ring")})
    settle(panel)
    panel.run(100)
    assert "modes covered" not in panel.status.value and "Wasserstein" in panel.status.value


def test_the_plain_figure_shows_picture_and_history(panel):
    panel.run(200)
    left, right = panel.figure().axes
    assert left.get_title() == "two_gaussians, tick 200" and len(left.images) == 1
    assert list(right.lines[0].get_xdata()) == [0, 100, 200]
