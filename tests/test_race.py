"""Two runs side by side: equal where nothing differs, and each judged by its own numbers."""

import io
import time

import matplotlib
import numpy as np
import pytest
from PIL import Image

matplotlib.use("Agg")

from course_lib.laboratory import Settings
from course_lib.widgets.race import GAP, PIXELS, Race

SMALL = Settings(data="two_gaussians", depth=1, width=8, batch_size=32)


def halves(race):
    picture = np.asarray(Image.open(io.BytesIO(race.image.value)).convert("RGB"))
    return picture[:, :PIXELS], picture[:, PIXELS + GAP :]


def settle(race):
    race.worker.pause()
    race.worker.run()


def test_equal_settings_give_equal_pictures_and_another_loss_does_not():
    same, different = Race(SMALL, loss="nonsaturating"), Race(SMALL, loss="hinge")
    for race in (same, different):
        race.run(40)
    np.testing.assert_array_equal(*halves(same))
    assert (halves(different)[0] != halves(different)[1]).any()


def test_the_step_button_takes_100_steps_of_both():
    race = Race(SMALL, gamma=2.0, penalty="R1")
    before = race.image.value
    race.step._handle_custom_msg({"event": "click"}, [])
    settle(race)
    assert [lab.tick for lab in race.labs] == [100, 100] and race.image.value != before
    assert race.status.value.count("<td>100</td>") == 2


def test_reset_begins_again_and_seed_takes_another():
    race = Race(SMALL, loss="hinge")
    start = race.image.value
    race.run(20)
    race.reset._handle_custom_msg({"event": "click"}, [])
    settle(race)
    assert race.image.value == start
    race.seed.set_state({"value": 4})
    settle(race)
    assert race.image.value != start and {lab.settings.seed for lab in race.labs} == {4}


def test_play_runs_both_equally_far_until_it_is_pressed_again():
    race = Race(SMALL, loss="hinge")
    race.play.set_state({"value": True})
    end = time.monotonic() + 60
    while race.labs[1].tick < 50:
        assert time.monotonic() < end
        time.sleep(0.02)
    race.play.set_state({"value": False})
    settle(race)
    assert race.labs[0].tick == race.labs[1].tick
    race.worker.close()


def test_the_rows_name_the_difference_and_escape_it():
    race = Race(SMALL, loss="hinge")
    assert "loss = &#x27;nonsaturating&#x27;" in race.status.value
    assert "loss = &#x27;hinge&#x27;" in race.status.value


def test_the_figure_has_both_pictures_and_both_curves():
    race = Race(SMALL, loss="hinge")
    race.run(100)
    left, right, curves = race.figure().axes
    assert left.get_title() == "loss = 'nonsaturating'" and right.get_title() == "loss = 'hinge'"
    assert len(curves.lines) == 2


@pytest.mark.parametrize("different", [{}, {"losses": "hinge"}])
def test_a_race_needs_a_known_difference(different):
    with pytest.raises(ValueError, match="name what the right run does differently"):
        Race(SMALL, **different)


def test_a_value_out_of_range_is_refused():
    with pytest.raises(ValueError, match="loss must be one of"):
        Race(SMALL, loss="gan")


def test_the_shown_code_runs_the_same_race():
    race, names = Race(SMALL, loss="hinge", gamma=2.0), {}
    race.seed.set_state({"value": 3})
    settle(race)
    race.run(30)
    assert "race.run(30)" in race.code.value
    exec(race.source, names)
    assert names["race"].image.value == race.image.value
