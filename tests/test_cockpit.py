"""The training cockpit: each control by what it does, and the code that repeats a session."""

import keras
import numpy as np
import pytest

from course_lib import classify
from course_lib.datasets import catalog
from course_lib.datasets.catalog import ImageSet
from course_lib.widgets.cockpit import EVERY, RATES, Cockpit


def image_set(count, seed):
    """Three classes of 8x8 pictures: the brighter third tells the class; every fifth is noise."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, count)
    pixels = generator.integers(0, 120, (count, 8, 9, 1))
    for picture, label, noisy in zip(pixels, labels, np.arange(count) % 5 == 4, strict=True):
        if not noisy:
            picture[:, 3 * label : 3 * label + 3] += 100
    classes = {"third": ("left", "middle", "right")}
    return ImageSet(
        "thirds", "train", pixels.astype(np.uint8), {"third": labels}, classes, "x", "x"
    )


def model():
    keras.utils.set_random_seed(0)
    images = keras.Input((8, 9, 1))
    x = keras.layers.Dense(8, activation="relu")(keras.layers.Flatten()(images))
    return keras.Model(images, keras.layers.Dense(3)(x))


def cockpit(**settings):
    return Cockpit(model(), image_set(200, 0), image_set(60, 1), "third", batch_size=20, **settings)


@pytest.fixture
def panel():
    made = cockpit()
    yield made
    made.worker.close()
    made.worker.join(30)


def settle(panel):
    panel.worker.run()


def weights(panel):
    return np.concatenate([w.ravel() for w in panel.model.get_weights()])


def test_it_learns_and_says_so(panel):
    panel.set_rate(1e-2)
    panel.run(100)
    assert panel.rows[-1]["test_accuracy"] > 0.7 > 0.5 > panel.rows[0]["accuracy"] - 0.2
    assert "100 updates, learning rate 0.01" in panel.status.value
    assert f"accuracy {panel.rows[-1]['test_accuracy']:.3f} of 60" in panel.status.value


def test_play_trains_until_it_is_pressed_again(panel):
    panel.play.set_state({"value": True})
    for _ in range(2000):
        if len(panel.rows) > 3:
            break
        panel.worker.join(0.01)
    panel.play.set_state({"value": False})
    settle(panel)
    count = len(panel.rows)
    panel.worker.join(0.2)
    assert len(panel.rows) == count > 3


def test_the_step_button_takes_so_many_updates_and_looks(panel):
    panel.step.click()
    settle(panel)
    assert len(panel.rows) == EVERY and "test_accuracy" in panel.rows[-1]


def test_the_rate_acts_on_the_next_update_and_keeps_what_was_learned(panel):
    panel.run(3)
    before = weights(panel)
    panel.rate.set_state({"index": RATES.index(1e-5)})
    settle(panel)
    np.testing.assert_array_equal(weights(panel), before)
    panel.run(1)
    slow = np.abs(weights(panel) - before).max()
    assert panel.rows[-1]["rate"] == pytest.approx(1e-5) and panel.rows[-2]["rate"] > 9e-4
    assert slow < 5e-5  # Adam moves a weight by about the rate


def test_reset_goes_back_to_the_first_weights_and_keeps_the_rate(panel):
    before = weights(panel)
    panel.run(5)
    first = [row["loss"] for row in panel.rows]
    panel.reset.click()
    settle(panel)
    np.testing.assert_array_equal(weights(panel), before)
    assert panel.rows == []
    panel.run(5)
    assert [row["loss"] for row in panel.rows] == first  # moments and order of pictures, too


def test_a_cell_shows_the_pictures_that_it_counts(panel):
    panel.run(EVERY)
    assert panel.matrix.sum() == 60
    for number, cell in enumerate(panel.cells):
        true, predicted = divmod(number, 3)
        rows = panel.indices(true, predicted)
        assert len(rows) == panel.matrix[true, predicted]
        assert cell.description == (str(len(rows)) if len(rows) else "·")
    images, labels = panel._images, panel._truth
    answers = classify.predict(panel.model, images).argmax(axis=1)
    true, predicted = np.argwhere(panel.matrix > 0)[-1]
    before = panel.image.value
    panel.cells[true * 3 + predicted].click()
    settle(panel)
    assert panel.selected == (true, predicted) and panel.image.value != before
    expected = np.flatnonzero((labels == true) & (answers == predicted))
    np.testing.assert_array_equal(panel.indices(*panel.selected), expected)


def test_a_diverged_run_is_paused_and_says_what_to_do(panel):
    for variable in panel.model.trainable_variables:
        variable.assign(variable * np.nan)
    with pytest.raises(FloatingPointError, match="loss is nan at update 1: press reset"):
        panel.run(1)
    assert "press reset" in panel.status.value and not panel.worker.playing
    panel.reset.click()
    settle(panel)
    panel.run(1)
    assert np.isfinite(panel.rows[-1]["loss"])


def test_the_shown_code_repeats_the_session(panel):
    panel.run(7)
    panel.set_rate(1e-2)
    panel.run(5)
    names = {"model": model(), "data": image_set(200, 0), "test": image_set(60, 1)}
    source = panel.source.replace("rate=0.001)", "rate=0.001, batch_size=20)")
    exec(source, names)
    assert names["cockpit"].rows == panel.rows


def test_the_plain_picture_has_curves_and_the_pictures_of_the_cell(panel):
    panel.run(EVERY)
    figure = panel.figure()
    assert [axis.get_title() for axis in figure.axes[:2]] == ["cross-entropy", "accuracy"]
    shown = len(panel.indices(*panel.selected))
    assert len(figure.axes) == 2 + min(8, shown)


def test_an_augmentation_is_part_of_the_training():
    config = classify.ClassifierStepConfig(3, ("colour",))
    plain, augmented = cockpit(), cockpit(config=config)
    for panel in (plain, augmented):
        panel.run(2)
        panel.worker.close()
    assert plain.rows != augmented.rows


def test_a_rate_off_the_slider_and_an_unknown_label_are_refused():
    with pytest.raises(ValueError, match="rate must be one of 1e-05.*got 0.3"):
        cockpit(rate=0.3)
    with pytest.raises(ValueError, match="no labels 'age'"):
        Cockpit(model(), image_set(50, 0), image_set(20, 1), "age")


def test_it_trains_on_the_course_own_pictures():
    data = catalog.load("expressions", size=32, count=40)
    keras.utils.set_random_seed(0)
    images = keras.Input((32, 32, 3))
    small = keras.Model(images, keras.layers.Dense(10)(keras.layers.Flatten()(images)))
    panel = Cockpit(small, data, data, "expression", batch_size=20)
    panel.run(1)
    panel.worker.close()
    assert len(panel.cells) == 100 and panel.matrix.sum() == 40
