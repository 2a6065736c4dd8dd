"""The laboratory: what moves, what stays, what comes back bit for bit, and what is measured."""

import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf

from course_lib import losses, metrics
from course_lib.diagnosis import diagnose
from course_lib.lab_settings import BROKEN_RUNS, BROKEN_TICKS, PENALTIES
from course_lib.laboratory import Laboratory, Settings

SMALL = Settings(data="two_gaussians", depth=1, width=8, batch_size=32)


def small(**changes):
    return Laboratory(dataclasses.replace(SMALL, **changes), record_every=10)


def state(lab):
    return lab._machine.state()


def same(first, second, prefix=""):
    keys = [key for key in first if key.startswith(prefix)]
    assert keys
    return all(np.array_equal(first[key], second[key]) for key in keys)


# Steps -------------------------------------------------------------------------------------------


def test_a_discriminator_step_leaves_the_generator_bit_for_bit_and_the_reverse():
    lab = small()
    before = state(lab)
    lab.discriminator_step()
    between = state(lab)
    assert same(before, between, "generator") and same(before, between, "ema_generator")
    assert not same(before, between, "discriminator/")
    lab.generator_step()
    after = state(lab)
    assert same(between, after, "discriminator")
    assert not same(between, after, "generator/") and not same(between, after, "ema_generator/")


def test_a_step_in_halves_is_a_whole_step():
    halves, whole = small(), small()
    for _ in range(3):
        halves.discriminator_step()
        halves.generator_step()
    whole.run(3)
    for key, value in state(whole).items():
        np.testing.assert_allclose(state(halves)[key], value, rtol=1e-5, atol=1e-6)


def test_the_bits_do_not_depend_on_how_steps_are_grouped():
    at_once, one_by_one = small(), small()
    at_once.run(25)
    for _ in range(25):
        one_by_one.run(1)
    assert same(state(at_once), state(one_by_one))
    assert at_once.rows == one_by_one.rows


def test_the_same_seed_gives_the_same_run_and_another_does_not():
    first, again, other = small(), small(), small(seed=1)
    for lab in (first, again, other):
        lab.run(10)
    assert same(state(first), state(again)) and not same(state(first), state(other))


def test_reset_begins_again_and_takes_another_seed():
    lab = small()
    lab.run(20)
    first = state(lab)
    lab.reset()
    assert lab.tick == 0 and lab.recorded == (0,) and len(lab.rows) == 1
    lab.run(20)
    assert same(first, state(lab))
    lab.reset(5)
    assert lab.settings.seed == 5 and same(state(lab), state(small(seed=5)))


# Changes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [{"d_learning_rate": 0.1}, {"gamma": 5.0, "penalty": "R1"}, {"loss": "hinge"},
     {"data": "ring"}, {"optimizer": "sgd", "g_learning_rate": 0.1}, {"discriminator_updates": 3},
     {"penalty": "WGAN-GP"}, {"batch_size": 16}],
    ids=str,
)  # fmt: skip
def test_a_change_keeps_the_networks_and_alters_what_comes(change):
    before, after = unchanged()
    lab = small()
    lab.run(10)
    lab.change(**change)
    for network in ("generator/", "discriminator/", "ema_generator/"):
        assert same(state(lab), before, network)
    lab.run(10)
    assert not same(state(lab), after, "discriminator/")


@functools.cache
def unchanged():
    """The states of a laboratory after 10 and 20 ticks to which nothing happens."""
    lab = small()
    lab.run(10)
    before = state(lab)
    lab.run(10)
    return before, state(lab)


def test_live_changes_compile_nothing():
    lab = small(penalty="R1")
    machine = lab._machine
    lab.change(d_learning_rate=0.1, g_learning_rate=0.2, gamma=3.0, data="ring")
    assert lab._machine is machine


def test_a_learning_rate_of_zero_stops_its_network():
    lab = small(d_learning_rate=0.0)
    before = state(lab)
    lab.run(5)
    assert same(before, state(lab), "discriminator/") and not same(before, state(lab), "generator/")


def test_another_architecture_starts_new_networks_from_the_seed():
    lab = small()
    lab.run(10)
    lab.change(width=16)
    assert same(state(lab), state(small(width=16)), "generator/")


@pytest.mark.parametrize("penalty", PENALTIES)
def test_gamma_weighs_the_penalty_as_in_the_papers(penalty):
    """One step of SGD with rate 1 moves D by minus the gradient, penalty included."""
    plain, with_penalty = (
        small(optimizer="sgd", d_learning_rate=1.0, penalty=name, gamma=0.3)
        for name in ("none", penalty)
    )
    discriminator, real = with_penalty.gan.discriminator, with_penalty.next_batch(
        "discriminator_step"
    )  # fmt: skip
    fake = with_penalty.gan.generator(_next_latents(with_penalty))
    with tf.GradientTape() as tape:
        r1 = losses.r1_penalty(discriminator, real)
        r2 = losses.r2_penalty(discriminator, fake)
        expected = {"none": 0 * r1, "R1": 0.15 * r1, "R1+R2": 0.15 * (r1 + r2)}.get(penalty)
    if expected is None:
        pytest.skip("its interpolation draws from the seed; the weight is tested in test_steps")
    gradients = tape.gradient(expected, discriminator.trainable_variables)
    for lab in (plain, with_penalty):
        lab.discriminator_step()
    pairs = zip(
        plain.gan.discriminator.trainable_variables,
        discriminator.trainable_variables,
        gradients,
        strict=True,
    )
    for without, weight, gradient in pairs:
        step = np.zeros_like(without) if gradient is None else np.asarray(gradient)
        np.testing.assert_allclose(np.asarray(without) - weight, step, rtol=1e-3, atol=2e-5)


def _next_latents(lab):
    import keras

    seed = keras.random.SeedGenerator(0)
    seed.state.assign(lab.gan.seed.state)
    return keras.random.normal((lab.settings.batch_size, lab.settings.latent_dim), seed=seed)


def test_annealing_lowers_rates_to_nothing_and_gamma_to_a_hundredth():
    lab = small(anneal_steps=20, penalty="R1", gamma=2.0)
    assert lab.penalty_weight == pytest.approx(2.0)
    lab.run(10)
    assert lab.penalty_weight == pytest.approx(2.0 * 0.505)
    lab.run(10)
    assert lab.penalty_weight == pytest.approx(0.02)
    before = state(lab)
    lab.run(3)
    assert same(before, state(lab), "generator/")


# Time --------------------------------------------------------------------------------------------


def test_going_back_and_playing_again_gives_the_same_bits():
    lab = small()
    lab.run(30)
    later, rows = state(lab), list(lab.rows)
    lab.rewind(10)
    assert lab.tick == 10
    lab.run(20)
    assert same(later, state(lab)) and lab.rows == rows


def test_a_branch_forgets_the_old_future_and_keeps_the_past():
    lab = small()
    lab.run(40)
    lab.rewind(20)
    assert lab.recorded == (0, 10, 20, 30, 40)  # one may still go forward again
    lab.change(loss="hinge")
    lab.run(10)
    assert lab.recorded == (0, 10, 20, 30)
    assert [row["tick"] for row in lab.rows] == [0, 10, 20, 30]


def test_going_back_over_a_change_restores_the_settings():
    lab = small()
    lab.run(10)
    before = state(lab)
    lab.change(width=16, loss="hinge", gamma=4.0)
    lab.run(10)
    lab.rewind(10)
    assert lab.settings == SMALL and same(before, state(lab))


def test_an_unrecorded_tick_is_refused_with_its_neighbours():
    lab = small()
    lab.run(30)
    with pytest.raises(ValueError, match=r"tick 17 is not recorded; .* \[10, 20, 30\]"):
        lab.rewind(17)


def test_snapshots_are_thinned_and_stay_within_their_limit(monkeypatch):
    lab = small()
    size = sum(array.nbytes for array in state(lab).values())
    monkeypatch.setattr("course_lib.laboratory.MOST_BYTES", 20 * size)
    lab.run(500)
    assert len(lab.recorded) <= 20 and lab.recorded[0] == 0 and lab.recorded[-1] == 500
    gaps = np.diff(lab.recorded)  # the older, the sparser
    assert max(gaps) <= 250 and list(gaps[-3:]) == [20, 20, 20]


def test_rows_are_thinned(monkeypatch):
    monkeypatch.setattr("course_lib.laboratory.MOST_ROWS", 20)
    lab = small()
    lab.run(500)
    assert len(lab.rows) <= 20 and lab.rows[0]["tick"] == 0 and lab.rows[-1]["tick"] == 500


@pytest.mark.parametrize("strokes", [(), (((-0.5, 0.0), (0.5, 0.25)),)])
def test_the_code_that_is_shown_brings_a_new_laboratory_here(strokes):
    lab = small(**({"data": "drawn", "strokes": strokes} if strokes else {}))
    lab.run(15)
    lab.change(penalty="R1", gamma=0.5)
    lab.discriminator_step()
    lab.discriminator_step()
    lab.generator_step()
    lab.run(7)
    names = {}
    code = lab.code().replace(
        "Laboratory(Settings(", "Laboratory(record_every=10, settings=Settings("
    )
    exec(code, names)
    assert same(state(lab), state(names["lab"])) and names["lab"].tick == lab.tick


def test_the_code_after_going_back_leads_to_the_branch():
    lab = small()
    lab.run(30)
    lab.rewind(10)
    lab.change(loss="hinge")
    lab.run(5)
    lines = lab.code().splitlines()[2:]
    assert lines[1:] == ["lab.run(10)", "lab.change(loss='hinge')", "lab.run(5)"]


# Looking -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", losses.FAMILIES)
def test_point_gradients_are_those_of_the_chosen_loss_by_finite_differences(family):
    lab = small(loss=family)
    lab.run(20)
    fake, real = lab.fake_points(6, seed=4), lab.real.points[:6]
    ways = lab.point_gradients(fake, real)
    _, generator_loss = losses.FAMILIES[family]

    def loss_of(point, partner):
        logits = lab.gan.discriminator(np.float32(point)[None])
        if family == "relativistic":
            return float(generator_loss(lab.gan.discriminator(partner[None]), logits))
        return float(generator_loss(logits))

    step = 1e-2
    for point, partner, way in zip(fake, real, ways, strict=True):
        slope = [
            (loss_of(point + e, partner) - loss_of(point - e, partner)) / (2 * step)
            for e in step * np.eye(2)
        ]
        np.testing.assert_allclose(-way, slope, rtol=0.05, atol=2e-3)


def test_measures_equal_those_of_the_library_and_of_plain_loops():
    lab = small()
    lab.run(50)
    found = lab.measure(200)
    fake, real = lab.fake_points(200, seed=1), lab.real.points[-200:]
    assert found["covered"] == metrics.mode_report(fake, lab.real.modes, lab.real.sigma).covered
    gaps = np.linalg.norm(real[:, None] - fake[None], axis=-1)
    assert found["reach"] == pytest.approx((gaps.min(axis=1) <= 0.15).mean())
    real_logits, fake_logits = lab.logits(real), lab.logits(fake)
    pairs = [(r > f) + 0.5 * (r == f) for r in real_logits for f in fake_logits]
    assert found["auc"] == pytest.approx(np.mean(pairs))
    assert found["spread"] == pytest.approx(fake.std(0).mean() / real.std(0).mean(), rel=1e-5)


def test_real_points_lie_inside_the_band_of_real_against_real():
    lab = small(data="eight_gaussians")
    low, high = lab.band(draws=40)["sliced_wasserstein"]
    real = lab.real.points[-1000:]
    inside = [
        low <= metrics.sliced_wasserstein(
            lab.settings.load_points(1000, seed=seed).points, real, directions=32
        ) <= high
        for seed in range(100, 160)
    ]  # fmt: skip
    assert np.mean(inside) > 0.75  # 0.9 is expected
    covered = lab.band()["covered"]
    assert covered == (8, 8)


def test_the_averaged_generator_is_what_is_looked_at():
    lab = small(ema_decay=0.99)
    lab.run(30)
    latents = lab.latents(5)
    np.testing.assert_allclose(lab.generate(latents), lab.gan.ema_generator(latents), rtol=1e-5)
    assert np.abs(lab.generate(latents) - lab.gan.generator(latents)).max() > 1e-3


# Broken runs -------------------------------------------------------------------------------------


def _findings(settings, ticks=BROKEN_TICKS):
    lab = Laboratory(settings)
    lab.run(ticks)
    scale = float(lab.real.points.std(axis=0).mean())
    return [finding.name for finding in diagnose(lab.rows, scale=scale)]


@pytest.mark.slow
@pytest.mark.parametrize("name", BROKEN_RUNS)
def test_a_broken_run_is_diagnosed_and_its_cure_helps(name):
    run = BROKEN_RUNS[name]
    assert run.finding in _findings(run.settings)
    assert _findings(dataclasses.replace(run.settings, **run.cure)) == []


def test_a_diverged_run_stops_says_so_and_can_go_back():
    lab = Laboratory(BROKEN_RUNS["D"].settings, record_every=1)
    lab.run(100)
    assert lab.diverged and lab.tick < 100
    assert lab.run(5) == {}
    lab.rewind(0)
    assert not lab.diverged


# Bad input ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"data": "rings"}, "data must be one of line, ring.*got 'rings'"),
        ({"loss": "gan"}, "loss must be one of minimax.*got 'gan'"),
        ({"penalty": "R3"}, "penalty must be one of none, R1"),
        ({"optimizer": "lion"}, "optimizer must be one of adam"),
        ({"latent_dim": 0}, "latent_dim must be a whole number 1 to 64, got 0"),
        ({"width": 2.5}, "width must be a whole number 1 to 512, got 2.5"),
        ({"gamma": -1.0}, "gamma must be finite and at least 0, got -1.0"),
        ({"d_learning_rate": float("nan")}, "d_learning_rate must be finite"),
        ({"ema_decay": 1.0}, r"ema_decay must be in \[0, 1\), got 1.0"),
        ({"data": "drawn"}, "there are no strokes"),
    ],
)
def test_settings_out_of_range_are_refused_and_nothing_changes(changes, message):
    with pytest.raises(ValueError, match=message):
        Settings(**changes)
    lab = small()
    before = state(lab)
    with pytest.raises(ValueError, match=message):
        lab.change(**changes)
    assert lab.settings == SMALL and same(before, state(lab))


@pytest.mark.parametrize("name", ["learning_rate", "seed"])
def test_what_cannot_be_changed_is_named(name):
    with pytest.raises(ValueError, match=f"{name} can't be changed; use reset"):
        small().change(**{name: 1})
