import dataclasses
import os
import resource
import signal
import threading
import time
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from course_lib import checkpoints, steps, train
from course_lib.train import DivergedError, fit

BATCH = 4


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    """A busy disk can take seconds to flush; that it is asked to is tested in array_files."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@dataclasses.dataclass(frozen=True)
class Batches:
    """Batches that are a pure function of (seed, step), as datasets.pipeline makes them."""

    batch_size: int = BATCH
    seed: int = 0

    def from_step(self, step):
        while True:
            generator = np.random.default_rng([self.seed, step])
            images = generator.uniform(-1, 1, (self.batch_size, 6)).astype("float32")
            yield tf.constant(images)
            step += 1


class Counter:
    """A step that counts, with actions to be taken in place of chosen steps (from 1)."""

    def __init__(self, **actions):
        self.count = tf.Variable(0.0, name="count")
        self.seen = []
        self.actions = {int(name.removeprefix("at_")): act for name, act in actions.items()}

    @property
    def state(self):
        return {"count": self.count}

    def __call__(self, images):
        self.count.assign_add(1.0)
        self.seen.append(float(images[0, 0]))
        number = int(self.count)
        metrics = {"count": tf.identity(self.count), "mean": tf.reduce_mean(images)}
        return metrics | (self.actions[number]() or {} if number in self.actions else {})


def run(counter, *, images_seen=40, **options):
    options = {"progress": False, "state": counter.state, "report_every": 8} | options
    return fit(counter, Batches(), images_seen=images_seen, **options)


def interrupt():
    raise KeyboardInterrupt


def saved(folder):
    """Return the files of a folder, without its lock."""
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name != "lock"}


def tiny_gan(seed):
    """Return a GAN with batch normalisation, Dropout, Adam and a moving average."""
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    generator = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(8),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Dense(6, activation="tanh"),
        ]
    )
    discriminator = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8),
            layers.LeakyReLU(),
            layers.Dropout(0.3),
            layers.Dense(1),
        ]
    )
    return steps.Gan.create(
        generator,
        discriminator,
        generator_optimizer=keras.optimizers.Adam(1e-2, beta_1=0.5),
        discriminator_optimizer=keras.optimizers.Adam(1e-2, beta_1=0.5),
        seed=seed,
    )


def train_gan(gan, *, images_seen, folder, checkpoint_every=10_000):
    config = steps.GanStepConfig(latent_dim=3, ema_decay=0.9)
    return fit(
        steps.make_gan_step(gan, config),
        Batches(),
        images_seen=images_seen,
        state=gan.objects(),
        config=config,
        folder=folder,
        report_every=5 * BATCH,
        checkpoint_every=checkpoint_every,
        progress=False,
    )


def test_a_resumed_run_has_the_bits_of_a_straight_one(tmp_path):
    straight, first, second = tiny_gan(1), tiny_gan(1), tiny_gan(2)
    whole = train_gan(straight, images_seen=24 * BATCH, folder=tmp_path / "a")
    train_gan(first, images_seen=13 * BATCH, folder=tmp_path / "b")
    resumed = train_gan(second, images_seen=24 * BATCH, folder=tmp_path / "b")
    wanted = checkpoints.state_arrays(straight.objects())
    got = checkpoints.state_arrays(second.objects())
    assert wanted.keys() == got.keys() and len(wanted) > 40
    for name in wanted:
        assert wanted[name].tobytes() == got[name].tobytes(), name
    assert resumed.images_seen.tolist() == [20, 40, 60, 80, 96] == whole.images_seen.tolist()
    for name in whole.names:
        assert resumed[name].tobytes() == whole[name].tobytes()


def test_reports_are_means_since_the_report_before():
    counter = Counter()
    history = run(counter, images_seen=24)
    assert history.images_seen.tolist() == [8, 16, 24]
    assert history["count"].tolist() == [1.5, 3.5, 5.5]
    assert history.names == ("count", "mean") and not history.interrupted
    assert int(counter.count) == 6


def test_the_last_report_may_cover_less_than_an_interval(tmp_path):
    for _ in range(2):  # trained, then only loaded
        history = run(Counter(), images_seen=20, report_every=16, folder=tmp_path)
        assert history.images_seen.tolist() == [16, 20]
        assert history["count"].tolist() == [2.5, 5.0]
    history = run(Counter(), images_seen=32, report_every=16, folder=tmp_path)
    assert history["count"].tolist() == [2.5, 6.5]  # as if it had not stopped at 20


def test_on_report_is_called_after_each_report_at_the_right_images():
    calls = []
    history = run(
        Counter(),
        images_seen=32,
        report_every=10,
        on_report=lambda images_seen, metrics: calls.append((images_seen, metrics)),
    )
    assert [images_seen for images_seen, _ in calls] == [12, 20, 32]
    assert [metrics["count"] for _, metrics in calls] == [2.0, 4.5, 7.0]
    assert history["mean"].tolist() == [metrics["mean"] for _, metrics in calls]


def test_a_resumed_run_continues_data_history_and_clock(tmp_path):
    whole, first, second = Counter(), Counter(), Counter()
    wanted = run(whole, images_seen=40, report_every=12)
    run(first, images_seen=40, report_every=12, folder=tmp_path, on_report=stop_after(24))
    got = run(second, images_seen=40, report_every=12, folder=tmp_path)
    assert first.seen + second.seen == whole.seen and len(first.seen) == 6
    assert got.images_seen.tolist() == wanted.images_seen.tolist() == [12, 24, 36, 40]
    assert got["mean"].tobytes() == wanted["mean"].tobytes() and not got.interrupted


def test_seconds_add_up_over_runs(tmp_path):
    first = run(Counter(at_1=lambda: time.sleep(0.5)), images_seen=16, folder=tmp_path)
    second = run(Counter(), images_seen=32, folder=tmp_path)
    assert first.seconds[0] >= 0.5
    assert second.seconds[:2].tolist() == first.seconds.tolist()
    assert np.all(np.diff(second.seconds) > 0)


def stop_after(images):
    return lambda images_seen, metrics: interrupt() if images_seen >= images else None


def test_a_checkpoint_within_an_interval_keeps_the_steps_not_yet_reported(tmp_path):
    kill = Counter(at_6=lambda: 1 / 0)  # any error at all: nothing is saved on the way out
    with pytest.raises(ZeroDivisionError):
        run(kill, report_every=16, checkpoint_every=12, folder=tmp_path)
    again = Counter()
    history = run(again, images_seen=32, report_every=16, folder=tmp_path)
    assert len(again.seen) == 8 - 3  # the checkpoint after 12 images holds 3 steps
    assert history["count"].tolist() == [2.5, 6.5]


def test_checkpoints_come_at_their_interval_and_at_the_end(tmp_path, monkeypatch):
    clocks = []
    save = train.save_checkpoint

    def spy(folder, state, progress):
        clocks.append(progress.images_seen)
        return save(folder, state, progress)

    monkeypatch.setattr(train, "save_checkpoint", spy)
    run(Counter(), images_seen=36, checkpoint_every=10, folder=tmp_path)
    assert clocks == [12, 20, 32, 36]
    run(Counter(), images_seen=36, checkpoint_every=10, folder=tmp_path)
    assert clocks == [12, 20, 32, 36]  # nothing new, nothing saved


def test_a_finished_run_is_only_loaded(tmp_path, capsys):
    run(Counter(), folder=tmp_path)
    again = Counter()
    history = run(again, images_seen=20, folder=tmp_path, progress=True)
    assert not again.seen and int(again.count) == 10 and len(history) == 5
    assert "Continuing after 40 images, from" in capsys.readouterr().out


def test_intervals_default_to_shares_of_the_run():
    history = run(Counter(), images_seen=400, report_every=None)
    assert history.images_seen.tolist() == list(range(8, 401, 8))


def test_images_seen_is_rounded_up_to_whole_batches_and_said(capsys):
    history = run(Counter(), images_seen=9, progress=True)
    assert history.images_seen.tolist() == [8, 12]
    assert "9 images are not whole batches of 4: training on 12." in capsys.readouterr().out


def test_the_bar_shows_rate_remaining_time_and_losses_as_plain_text(capsys):
    run(Counter(), images_seen=40, progress=True)
    out, err = capsys.readouterr()
    assert "40.0/40.0" in out and "images/s" in out and "count=9.5, mean=" in out and not err


def test_without_progress_nothing_is_printed(capsys, tmp_path):
    run(Counter(), images_seen=9, progress=False, folder=tmp_path)
    run(Counter(), images_seen=21, progress=False, folder=tmp_path)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_bad_metric_stops_the_run_within_the_interval(tmp_path, value):
    counter = Counter(at_6=lambda: {"mean": tf.constant(value)})  # finite again at step 7
    with pytest.raises(DivergedError) as caught:
        run(counter, report_every=16, checkpoint_every=8, folder=tmp_path)
    error = caught.value
    assert len(counter.seen) == 6  # the checkpoint that was due is not written
    assert (error.step, error.images_seen) == (6, 24)
    assert error.values["count"] == 6.0 and str(error.values["mean"]) == str(value)
    assert error.last_finite["count"] == 5.0 and np.isfinite(error.last_finite["mean"])
    assert error.checkpoint == tmp_path / "checkpoint-000002.npz"
    assert checkpoints.load_newest(tmp_path)[2]["details"]["images_seen"] == 16


def test_a_metric_that_is_bad_for_one_step_only_is_noticed_at_the_report():
    counter = Counter(at_5=lambda: {"mean": tf.constant(np.nan)})
    with pytest.raises(DivergedError, match="diverged at step 5, after 20 images") as caught:
        run(counter, report_every=16)  # reports after steps 4 and 8
    assert len(counter.seen) == 8
    assert caught.value.last_finite["count"] == 4.0 and caught.value.checkpoint is None


def test_a_bad_first_step_is_noticed_at_once():
    counter = Counter(at_1=lambda: {"mean": tf.constant(np.nan)})
    with pytest.raises(DivergedError, match="at step 1,"):
        run(counter, images_seen=4000, report_every=4000)
    assert len(counter.seen) == 1


def test_metrics_are_looked_at_from_time_to_time_in_a_long_interval(monkeypatch):
    monkeypatch.setattr(train, "_MOST_PENDING", 16)
    counter = Counter(at_20=lambda: {"mean": tf.constant(np.nan)})
    with pytest.raises(DivergedError, match="at step 20,"):
        run(counter, images_seen=4000, report_every=4000)
    assert len(counter.seen) == 1 + 2 * 16
    assert run(Counter(), images_seen=400, report_every=400)["count"].tolist() == [50.5]


def test_a_variable_that_is_not_finite_is_never_saved(tmp_path):
    counter = Counter()
    counter.extra = tf.Variable(0.0, name="weight")
    counter.actions[4] = lambda: counter.extra.assign(np.nan) and None
    state = counter.state | {"extra": counter.extra}
    with pytest.raises(DivergedError, match="step 4, after 16 images: extra/000/weight=nan"):
        run(counter, checkpoint_every=8, folder=tmp_path, state=state)
    assert checkpoints.load_newest(tmp_path)[2]["details"]["images_seen"] == 8


def test_without_a_folder_variables_are_checked_at_the_end():
    counter = Counter()
    counter.actions[10] = lambda: counter.count.assign(np.inf) and {"count": tf.constant(10.0)}
    with pytest.raises(DivergedError, match="count/000/count=inf.*no checkpoint"):
        run(counter)


def test_a_float16_step_that_is_skipped_is_no_error(tmp_path):
    weight = keras.Variable([1.0])
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.5), initial_scale=8.0)
    optimizer.build([weight])

    def step(images):
        scales.append(float(optimizer.dynamic_scale))
        gradient = np.inf if len(scales) == 2 else 8.0
        optimizer.apply([tf.constant([gradient])], [weight])
        return {"loss": tf.constant(1.0)}

    scales, state = [], {"weight": weight, "optimizer": optimizer}
    fit(step, Batches(), images_seen=16, state=state, progress=False, folder=tmp_path)
    arrays = checkpoints.load_newest(tmp_path)[1]
    assert scales == [8, 8, 4, 4] and arrays["state/optimizer/003/dynamic_scale"] == 4
    assert float(weight.numpy()[0]) == 1 - 0.5 * (8 / 8 + 8 / 4 + 8 / 4)


def test_ctrl_c_finishes_the_step_saves_and_returns(tmp_path, capsys):
    handler = signal.getsignal(signal.SIGINT)
    counter = Counter(at_3=lambda: signal.raise_signal(signal.SIGINT))
    history = run(counter, folder=tmp_path / "my run")
    assert history.interrupted and int(counter.count) == 3
    assert history.images_seen.tolist() == [8]
    out = capsys.readouterr().out
    assert out.count("\n") == 1 and "Stopped after 12 of 40 images. Call fit again with" in out
    assert f"folder={str(tmp_path / 'my run')!r}" in out
    assert signal.getsignal(signal.SIGINT) is handler
    resumed = Counter()
    wanted = run(Counter())
    got = run(resumed, folder=tmp_path / "my run")
    assert len(resumed.seen) == 7 and got["count"].tolist() == wanted["count"].tolist()


def test_sigterm_does_the_same_and_handlers_come_back(tmp_path):
    handler = signal.getsignal(signal.SIGTERM)
    counter = Counter(at_3=lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert run(counter, folder=tmp_path).interrupted
    assert signal.getsignal(signal.SIGTERM) is handler
    assert train.load_checkpoint(tmp_path, counter.state).images_seen == 12


def test_a_second_ctrl_c_stops_at_once(tmp_path):
    counter = Counter(at_3=lambda: [signal.raise_signal(signal.SIGINT) for _ in range(2)])
    with pytest.raises(KeyboardInterrupt):
        run(counter, checkpoint_every=40, folder=tmp_path)
    assert not saved(tmp_path)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        history = run(Counter(at_3=lambda: signal.raise_signal(signal.SIGINT)))
        assert not history.interrupted and signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_interrupt_raised_by_the_step_saves_the_steps_before(tmp_path, capsys):
    counter = Counter(at_3=interrupt)
    history = run(counter, folder=tmp_path)
    assert history.interrupted and "Stopped after 8 of 40 images" in capsys.readouterr().out
    assert checkpoints.load_newest(tmp_path)[2]["details"]["images_seen"] == 8


def test_an_interrupted_run_without_a_folder_says_so(capsys):
    history = run(Counter(at_3=interrupt))
    assert history.interrupted and len(history) == 1
    assert "Without a folder this run cannot continue" in capsys.readouterr().out


def test_fit_works_in_a_thread_and_can_be_stopped_from_on_report(tmp_path):
    results = []
    stop = stop_after(24)
    thread = threading.Thread(
        target=lambda: results.append(run(Counter(), folder=tmp_path, on_report=stop))
    )
    thread.start()
    thread.join(timeout=60)
    assert results[0].interrupted and results[0].images_seen.tolist() == [8, 16, 24]
    assert checkpoints.load_newest(tmp_path)[2]["details"]["images_seen"] == 24


def test_two_runs_cannot_share_a_folder(tmp_path):
    inner = Counter(at_1=lambda: run(Counter(), folder=tmp_path))
    with pytest.raises(RuntimeError, match="in use by another run"):
        run(inner, folder=tmp_path)
    assert not run(Counter(), folder=tmp_path).interrupted  # the lock is free again


def test_other_settings_are_refused_before_anything_changes(tmp_path):
    config = steps.GanStepConfig(r1_gamma=1.0)
    run(Counter(), folder=tmp_path, config=config)
    before, counter = saved(tmp_path), Counter()
    with pytest.raises(ValueError, match=r"other settings:\n  config.r1_gamma: stored 1.0, now 2"):
        run(counter, folder=tmp_path, config=steps.GanStepConfig(r1_gamma=2.0))
    with pytest.raises(ValueError, match="batch_size: stored 4, now 8"):
        options = {"state": counter.state, "config": config, "folder": tmp_path}
        fit(counter, Batches(8), images_seen=80, progress=False, **options)
    assert not counter.seen and int(counter.count) == 0 and saved(tmp_path) == before


def test_a_learning_rate_moved_while_training_does_not_lock_the_run_out(tmp_path):
    optimizer = keras.optimizers.SGD(0.5)
    optimizer.build([keras.Variable([1.0])])

    def halve(images_seen, metrics):
        optimizer.learning_rate = float(optimizer.learning_rate) / 2

    def train_to(images, optimizer):
        counter = Counter()
        state = counter.state | {"optimizer": optimizer}
        run(counter, images_seen=images, folder=tmp_path, state=state, on_report=halve)

    train_to(16, optimizer)
    train_to(24, optimizer)  # where it stands now
    fresh = keras.optimizers.SGD(0.5)
    fresh.build([keras.Variable([1.0])])
    train_to(24, fresh)  # as the run was started
    assert float(fresh.learning_rate) == 0.5 / 8
    with pytest.raises(ValueError, match="optimizers.optimizer.learning_rate: stored 0.5, now 0.3"):
        wrong = keras.optimizers.SGD(0.3)
        wrong.build([keras.Variable([1.0])])
        train_to(32, wrong)


def test_another_architecture_is_refused_before_anything_changes(tmp_path):
    run(Counter(), folder=tmp_path)
    counter = Counter()
    counter.count = tf.Variable([0.0, 0.0], name="count")
    with pytest.raises(ValueError, match=r"count/000: here count \(2,\) float32, in the file"):
        run(counter, folder=tmp_path)
    assert counter.count.numpy().tolist() == [0, 0] and not counter.seen


def test_a_damaged_newest_checkpoint_costs_only_the_images_since_the_one_before(tmp_path):
    first, second = Counter(), Counter()
    run(first, images_seen=24, checkpoint_every=16, folder=tmp_path)
    path = tmp_path / "checkpoint-000002.npz"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.warns(UserWarning, match="Using checkpoint-000001.npz instead|It is deleted"):
        history = run(second, images_seen=24, folder=tmp_path)
    assert len(second.seen) == 2 and history["count"].tolist() == [1.5, 3.5, 5.5]


def test_damage_everywhere_is_an_error(tmp_path):
    run(Counter(), folder=tmp_path)
    for path in tmp_path.glob("*.npz"):
        path.write_bytes(b"")
    with pytest.raises(train.CorruptCheckpointError, match="delete the folder to start again"):
        run(Counter(), folder=tmp_path)


def test_a_disk_that_fills_up_leaves_the_old_checkpoints(tmp_path):
    run(Counter(), images_seen=24, checkpoint_every=8, folder=tmp_path)
    before = saved(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    fill = Counter(at_8=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard)))
    try:
        with pytest.raises(OSError, match="File too large: could not save .* untouched"):
            run(fill, checkpoint_every=8, folder=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(fill.seen) == 2 and len(before) == 4 and saved(tmp_path) == before


def test_a_folder_that_cannot_be_written_is_refused_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    counter = Counter()
    with pytest.raises(OSError, match="checkpoints cannot be written here"):
        run(counter, folder=tmp_path / "file")
    assert not counter.seen


def test_a_folder_name_may_hold_spaces_and_any_letters(tmp_path):
    folder = str(tmp_path / "Läufe 画像" / "a b")
    run(Counter(), images_seen=20, folder=folder)
    assert len(run(Counter(), images_seen=40, folder=folder)) == 5


def test_tensorboard_files_hold_every_report(tmp_path):
    run(Counter(), images_seen=16, tensorboard=tmp_path / "logs")
    records = tf.data.TFRecordDataset([str(p) for p in (tmp_path / "logs").iterdir()])
    found = {}
    for record in records:
        event = tf.compat.v1.Event.FromString(record.numpy())
        for value in event.summary.value:
            assert value.metadata.plugin_data.plugin_name == "scalars"
            found[value.tag, event.step] = float(tf.make_ndarray(value.tensor))
    assert {k: v for k, v in found.items() if k[0] == "count"} == {
        ("count", 8): 1.5,
        ("count", 16): 3.5,
    }
    assert ("mean", 8) in found and len(found) == 4


@pytest.mark.parametrize(
    "options, expected",
    [
        ({"images_seen": 0}, "images_seen must be a whole number above 0, got 0"),
        ({"images_seen": -4}, "images_seen must .* got -4"),
        ({"images_seen": 1e3}, "images_seen must .* got 1000.0"),
        ({"report_every": 0}, "report_every must be a whole number of images above 0, got 0"),
        ({"checkpoint_every": -1}, "checkpoint_every must .* got -1"),
    ],
)
def test_numbers_out_of_range_are_named(options, expected):
    with pytest.raises(ValueError, match=expected):
        run(Counter(), **options)


def fit_once(step=lambda images: {"loss": tf.constant(1.0)}, batches=None, **options):
    batches = Batches() if batches is None else batches
    return fit(step, batches, **{"images_seen": 20, "state": {}, "progress": False} | options)


def test_a_step_that_returns_something_else_is_refused_at_once():
    with pytest.raises(TypeError, match="dict of name -> scalar tensor, got tuple"):
        fit_once(lambda images: (1.0, 2.0))
    with pytest.raises(TypeError, match="got dict"):
        fit_once(lambda images: {})
    with pytest.raises(ValueError, match=r"'loss' must be a scalar, got shape \(4, 6\)"):
        fit_once(lambda images: {"loss": images})
    with pytest.raises(ValueError, match="'seconds' is a column of the history"):
        fit_once(lambda images: {"seconds": tf.constant(1.0)})
    changing = iter("ab")
    with pytest.raises(ValueError, match="returns the metrics b, but before it returned a"):
        fit_once(lambda images: {next(changing): tf.constant(1.0)}, images_seen=8)


def test_metrics_may_have_any_number_type():
    step = {"a": tf.constant(1.5, tf.bfloat16), "b": tf.constant(2), "c": np.float64(0.1), "d": 4.0}
    history = fit_once(lambda images: step)
    assert [history[name][0] for name in "abcd"] == pytest.approx([1.5, 2.0, 0.1, 4.0])


def test_batches_that_break_their_promise_are_refused():
    class Wrong(Batches):
        def from_step(self, step):
            yield tf.zeros((3, 6))

    class Short(Batches):
        def from_step(self, step):
            yield tf.zeros((4, 6))

    with pytest.raises(ValueError, match="batch_size is 4, but the first batch has 3 images"):
        fit_once(batches=Wrong())
    with pytest.raises(ValueError, match=r"from_step\(0\) is not endless"):
        fit_once(batches=Short())
    with pytest.raises(ValueError, match="batch_size must be a whole number above 0, got 0"):
        fit_once(batches=Batches(0))


def test_a_batch_may_be_a_tuple_that_starts_with_the_images():
    class Labelled(Batches):
        def from_step(self, step):
            return ((images, tf.range(4)) for images in super().from_step(step))

    history = fit_once(lambda batch: {"label": tf.reduce_max(batch[1])}, Labelled())
    assert history["label"].tolist() == [3.0] * len(history)


def test_an_optimizer_that_is_not_built_is_refused_before_training():
    with pytest.raises(ValueError, match="adam .* has no variables yet"):
        fit_once(state={"adam": keras.optimizers.Adam()})


def test_the_step_is_compiled_once_and_not_waited_for_at_each_step():
    traces = []

    @tf.function
    def step(images):
        traces.append(None)
        return {"loss": tf.reduce_mean(images)}

    fit_once(step, images_seen=80)
    assert len(traces) == 1


# As one of several workers


def as_a_worker(monkeypatch, worker=0, others=lambda value: value):
    """Let `fit` believe that it is one of two workers, whose other answers as told."""
    here = types.SimpleNamespace(
        workers=2, worker=worker, is_chief=worker == 0, step=lambda step: step,
        part_of=lambda batches: batches, largest=lambda value: max(value, others(value)),
        any=lambda flag: bool(flag or others(flag)),
    )  # fmt: skip
    monkeypatch.setattr(train, "Replicas", lambda strategy: here)


def test_a_worker_that_is_not_the_chief_reads_checkpoints_and_writes_nothing(
    monkeypatch, tmp_path, capsys
):
    run(Counter(), images_seen=16, folder=tmp_path / "run")
    before = saved(tmp_path / "run")
    (tmp_path / "run" / "lock").unlink()
    as_a_worker(monkeypatch, worker=1)
    counter = Counter()
    options = {"folder": tmp_path / "run", "tensorboard": tmp_path / "events", "progress": True}
    history = run(counter, images_seen=32, checkpoint_every=4, **options)
    assert int(counter.count) == 8 and len(counter.seen) == 4 and len(history) == 4
    assert saved(tmp_path / "run") == before and not (tmp_path / "run" / "lock").exists()
    assert not (tmp_path / "events").exists() and capsys.readouterr().out == ""


def test_a_worker_that_is_not_the_chief_still_looks_at_its_variables(monkeypatch, tmp_path):
    as_a_worker(monkeypatch, worker=1)
    counter = Counter()
    other = tf.Variable(np.nan, name="other")
    with pytest.raises(DivergedError, match="other"):
        run(counter, images_seen=16, folder=tmp_path, state=counter.state | {"other": other})


def test_workers_that_start_from_different_checkpoints_are_told(monkeypatch, tmp_path):
    run(Counter(), images_seen=16, folder=tmp_path)
    as_a_worker(monkeypatch, others=lambda value: 24)
    with pytest.raises(
        ValueError, match="worker 0 found a run after 16 .*furthest .* after 24: th"
    ):
        run(Counter(), images_seen=32, folder=tmp_path)


def test_workers_stop_together_at_the_next_report(monkeypatch, tmp_path):
    as_a_worker(monkeypatch)
    counter = Counter(at_3=lambda: signal.raise_signal(signal.SIGTERM))
    history = run(counter, images_seen=40, report_every=16, folder=tmp_path)
    assert int(counter.count) == 4 and history.interrupted  # the report is after 16 images

    # The signal came to the other worker alone, before its second report.
    asked = iter([False, True])
    as_a_worker(monkeypatch, others=lambda flag: next(asked) if flag in (True, False) else flag)
    counter = Counter()
    history = run(counter, images_seen=40, report_every=8)
    assert int(counter.count) == 4 and history.interrupted


def test_each_step_is_a_sign_of_life(monkeypatch):
    beats = []
    monkeypatch.setattr(train.cluster, "beat", lambda: beats.append(1))
    run(Counter(), images_seen=20)
    assert len(beats) == 5
