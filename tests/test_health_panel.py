"""The health panel: each control by what it does, and numbers that are those of the checkup."""

import html
import io
import re
import time

import keras
import matplotlib
import numpy as np
import pytest
from PIL import Image

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from course_lib import health, steps
from course_lib.datasets import pipeline
from course_lib.widgets.health_panel import HealthPanel

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 8, 8, 3)).astype("uint8")
FLOATS = (PIXELS / 127.5 - 1).astype("float32")
CONFIG = steps.GanStepConfig(latent_dim=4, ema_decay=0.5)


def parts():
    """A tiny GAN, its config, step, batches and checkup, the same each time."""
    keras.utils.set_random_seed(0)
    latents, images = keras.Input((4,)), keras.Input((8, 8, 3))
    drawn = keras.layers.Reshape((8, 8, 3))(keras.layers.Dense(192, activation="tanh")(latents))
    gan = steps.Gan.create(
        keras.Model(latents, drawn),
        keras.Model(images, keras.layers.Dense(1)(keras.layers.Flatten()(images))),
        generator_optimizer=keras.optimizers.Adam(1e-2),
        discriminator_optimizer=keras.optimizers.Adam(1e-2),
        seed=0,
    )
    checkup = health.Checkup(
        FLOATS[:12], FLOATS[12:], extract=lambda images: images.reshape(len(images), -1), count=12
    )
    return (
        gan,
        CONFIG,
        steps.make_gan_step(gan, CONFIG),
        pipeline.batches(PIXELS, 8, seed=0),
        checkup,
    )


def panel(every=3):
    return HealthPanel(*parts(), every=every)


@pytest.fixture
def shown():
    made = panel()
    yield made
    made.worker.close()
    made.worker.join(30)
    plt.close("all")


def settle(made):
    made.worker.pause()
    made.worker.run()


def picture(made):
    return np.asarray(Image.open(io.BytesIO(made.image.value)).convert("RGB"))


def said(made):
    return html.unescape(re.sub("<[^>]*>", "", made.status.value))


def test_the_first_look_is_before_any_step(shown):
    (row,) = shown.rows
    assert row["images_seen"] == 0 and set(row) == {"images_seen", *health.MEASURES}
    assert "0 steps, 0 images" in said(shown)


def test_looks_come_every_so_many_steps_with_the_means_of_the_metrics_between():
    gan, config, step, batches, checkup = parts()
    seen = []

    def spy(images):
        seen.append({name: float(value) for name, value in step(images).items()})
        return seen[-1]

    made = HealthPanel(gan, config, spy, batches, checkup, every=3)
    made.run(7)
    assert [row["images_seen"] for row in made.rows] == [0, 24, 48]
    expected = np.mean([metrics["d_loss"] for metrics in seen[3:6]])
    assert made.rows[2]["d_loss"] == pytest.approx(expected)
    assert made.rows[2]["margin"] != made.rows[1]["margin"]


def test_the_numbers_are_those_of_the_checkup_and_the_samples_those_it_measures(shown):
    shown.run(3)
    gan, checkup = shown._gan, shown._checkup
    assert shown.rows[-1] == shown.rows[-1] | checkup.measure(gan, CONFIG)
    np.testing.assert_array_equal(shown.samples, checkup.samples(gan, CONFIG))


def test_play_trains_until_it_is_pressed_again(shown):
    shown.play.set_state({"value": True})
    end = time.monotonic() + 60
    while len(shown.rows) < 3:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert "pause" in shown.play.description
    shown.play.set_state({"value": False})
    assert not shown.worker.playing
    settle(shown)
    count = shown._steps
    time.sleep(0.2)
    assert shown._steps == count and "start" in shown.play.description


def test_the_step_button_goes_to_the_next_look(shown):
    shown.run(1)
    before = shown.image.value
    shown.step.click()
    settle(shown)
    assert [row["images_seen"] for row in shown.rows] == [0, 24] and shown.image.value != before
    shown.step.click()
    settle(shown)
    assert shown.rows[-1]["images_seen"] == 48


def test_the_box_sets_how_many_steps_lie_between_looks(shown):
    shown.every.set_state({"value": 5})
    settle(shown)
    shown.step.click()
    settle(shown)
    assert shown.rows[-1]["images_seen"] == 40 and "panel.look_every(5)" in shown.source


def test_words_give_number_sign_word_and_reason_of_every_measure(shown):
    shown.run(6)
    for line, (name, verdict) in zip(shown.words(), shown.verdicts.items(), strict=True):
        assert line.startswith(name) and f"{shown.rows[-1][name]:.3g}" in line
        assert verdict.reason in line and f"{'✓!✗'[_rank(verdict)]} {verdict.word}" in line
        assert line in said(shown)


def _rank(verdict):
    return ("healthy", "watch", "broken").index(verdict.word)


def test_the_picture_has_samples_and_a_curve_of_every_measure_in_the_colour_of_its_word(shown):
    shown.run(6)
    figure = shown.figure()
    samples, *curves = figure.axes
    sheet = samples.images[0].get_array() * 2 - 1
    assert sheet.shape == (26, 35, 3)  # 3 rows and 4 columns of 8 pixels, 1 between them
    np.testing.assert_allclose(sheet[9:17, 18:26], shown.samples[6], atol=1e-5)
    for axis, (name, verdict) in zip(curves, shown.verdicts.items(), strict=True):
        seen, values = axis.lines[0].get_data()
        np.testing.assert_allclose(seen, [0, 0.024, 0.048])
        np.testing.assert_allclose(values, [row[name] for row in shown.rows])
        assert verdict.word in axis.get_title() and name.split("_")[0] in axis.get_title()
        colour = ("#0072B2", "#E69F00", "#D55E00")[_rank(verdict)]
        assert axis.lines[1].get_color() == colour


def test_a_run_that_diverges_is_paused_named_and_still_drawn(shown):
    shown.run(3)
    for network in (shown._gan.generator, shown._gan.ema_generator):
        network.set_weights([weight * np.nan for weight in network.get_weights()])
    with pytest.raises(
        FloatingPointError, match="no longer a number at step 4: build the networks"
    ):
        shown.run(3)
    assert "no longer a number at step 4" in shown.status.value and not shown.worker.playing
    assert shown._steps == 4 and shown.rows[-1]["images_seen"] == 32
    assert shown.verdicts["kernel_distance"].word == "broken"
    assert (picture(shown) != 255).any()


def test_the_shown_code_trains_as_far_and_draws_the_same(shown):
    shown.run(4)
    shown.look_every(2)
    shown.run(3)
    names = dict(zip(("gan", "config", "step", "batches", "checkup"), parts(), strict=True))
    exec(html.unescape(re.sub("<[^>]*>", "", shown.code.value)), names)
    assert names["panel"].rows == shown.rows and plt.get_fignums()
    assert [row["images_seen"] for row in shown.rows] == [0, 24, 40, 56]


@pytest.mark.parametrize("every", [0, 1001])
def test_an_interval_out_of_range_is_refused(every):
    with pytest.raises(ValueError, match=f"every must be from 1 to 1,000 steps, got {every}"):
        panel(every=every)
