"""Updates that only a recipe has."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from course_lib import losses, runtime, steps
from course_lib.networks import encoder


@pytest.fixture
def sharpen_faces(monkeypatch):
    monkeypatch.syspath_prepend(str(runtime.ROOT / "recipes"))
    import sharpen_faces

    return sharpen_faces


def test_sharpening_trains_heads_and_generator_and_leaves_the_reader_alone(
    sharpen_faces, monkeypatch
):
    reader = encoder.encoder(64, {"mouth": 5}, widths=(2, 3, 4, 5))
    view = sharpen_faces.view_of(reader)
    real_images = tf.random.uniform((4, 64, 64, 3), -1, 1, seed=1)
    maps = view(real_images)
    assert [tuple(x.shape[1:]) for x in maps] == [(64, 64, 3), (32, 32, 3), (16, 16, 4), (8, 8, 5)]
    np.testing.assert_array_equal(maps[0], real_images)

    numbers = {"alone": 64, "images_seen": 64, "learning_rate": 1e-3, "judge_rate": 1e-3, "seed": 0}
    gan = sharpen_faces.build(view, SimpleNamespace(**numbers))
    config = steps.GanStepConfig(
        latent_dim=64, loss="relativistic", r1_gamma=0.02, r2_gamma=0.02, ema_decay=0.5
    )
    judge_step, step = sharpen_faces.make_steps(gan, view, config)
    networks = {"reader": reader, "generator": gan.generator, "judge": gan.discriminator}

    def weights():
        return {
            name: [v.numpy() for v in model.weights if v.dtype == "float32"]
            for name, model in networks.items()
        }

    def changed(before):
        now = weights()
        return {
            name
            for name in networks
            if any(not np.array_equal(*pair) for pair in zip(before[name], now[name], strict=True))
        }

    # Each logit comes from one map alone, so the penalties add up, that of the picture ten times.
    # The pictures are moved by 0 to 3 pixels to the right and down.
    critics = [
        keras.Model(maps, logits)
        for maps, logits in zip(gan.discriminator.inputs, gan.discriminator.outputs, strict=True)
    ]

    shift = keras.random.randint((2,), 0, 4, seed=keras.random.SeedGenerator(0))  # as the step's
    maps = view(tf.roll(real_images, shift, axis=(1, 2)))
    penalties = [losses.r1_penalty(*pair) for pair in zip(critics, maps, strict=True)]
    expected = float(10 * penalties[0] + sum(penalties[1:]))
    before = weights()
    assert float(judge_step(real_images)["r1"]) == pytest.approx(expected, rel=1e-4)
    assert changed(before) == {"judge"}
    before, average = weights(), gan.ema_generator.get_weights()
    roll, shifts = tf.roll, []

    def recorded_roll(pictures, shift, axis):
        shifts.append(shift)
        return roll(pictures, shift, axis=axis)

    monkeypatch.setattr(tf, "roll", recorded_roll)
    values = step(real_images)  # real pictures, those drawn for the judge and for the generator
    shifts = [shift for shift in shifts if tf.is_tensor(shift)]  # style mixing rolls as well, by 1
    assert len(shifts) == 3 and len({id(shift) for shift in shifts}) == 1  # all moved alike
    assert changed(before) == {"judge", "generator"}
    assert all(np.isfinite(float(value)) for value in values.values())
    moved = zip(average, gan.ema_generator.get_weights(), gan.generator.get_weights(), strict=True)
    for old, new, latest in moved:
        if old.dtype == np.float32:
            np.testing.assert_allclose(new, (old + latest) / 2, rtol=1e-4, atol=1e-6)
