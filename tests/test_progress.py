import dataclasses
import json
import os

import keras
import numpy as np
import pytest

from course_lib import checkpoints
from course_lib.progress import (
    DivergedError,
    History,
    Progress,
    load_checkpoint,
    plain_settings,
    require_same_settings,
    save_checkpoint,
)


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    """A busy disk can take seconds to flush; that it is asked to is tested in array_files."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@dataclasses.dataclass(frozen=True)
class StepConfig:
    loss: str = "hinge"
    r1_gamma: float = 1.0
    sizes: tuple = (4, 8)


def two_reports():
    history = History()
    history.add(640, 1.5, {"d_loss": 1.25, "g_loss": 0.1})
    history.add(1280, 3.0, {"d_loss": 1.0, "g_loss": 0.2})
    return history


def test_a_history_is_columns_over_images_seen():
    history = two_reports()
    assert history.images_seen.dtype == np.int64 and history.images_seen.tolist() == [640, 1280]
    assert history.seconds.dtype == np.float64 and history.seconds.tolist() == [1.5, 3.0]
    assert history["g_loss"].dtype == np.float64 and history["g_loss"].tolist() == [0.1, 0.2]
    assert history.names == ("d_loss", "g_loss") and len(history) == 2
    assert history.last() == {"images_seen": 1280, "seconds": 3.0, "d_loss": 1.0, "g_loss": 0.2}
    assert repr(history) == (
        "History(2 reports; last: images_seen=1280, seconds=3, d_loss=1, g_loss=0.2)"
    )


def test_columns_are_copies():
    history = two_reports()
    history["d_loss"][:] = 0
    assert history["d_loss"].tolist() == [1.25, 1.0]


def test_a_history_survives_json():
    history = two_reports()
    history.interrupted = True
    again = History.from_dict(json.loads(json.dumps(history.to_dict())))
    assert again.to_dict() == history.to_dict() and again.interrupted
    again.add(1920, 4.0, {"d_loss": 1.0, "g_loss": 0.3})
    assert len(again) == 3 and len(history) == 2


def test_what_a_history_cannot_answer_is_explained():
    history = two_reports()
    with pytest.raises(KeyError, match="'loss' is not a column; there are images_seen, seconds"):
        history["loss"]
    with pytest.raises(ValueError, match="metrics d_loss, but earlier reports have d_loss, g_loss"):
        history.add(1920, 4.0, {"d_loss": 1.0})
    with pytest.raises(ValueError, match="same length, got .*'seconds': 1"):
        History({"images_seen": [1, 2], "seconds": [1.0]})
    assert len(History()) == 0 and repr(History()) == "History(no report yet)"
    with pytest.raises(ValueError, match="There is no report"):
        History().last()


def test_a_diverged_error_names_step_values_and_the_way_back():
    error = DivergedError(
        step=7,
        images_seen=448,
        values={"d_loss": np.nan},
        last_finite={"d_loss": 31.5},
        checkpoint="runs/checkpoint-000003.npz",
    )
    assert "diverged at step 7, after 448 images: d_loss=nan. One step earlier: d_loss=31.5." in (
        str(error)
    )
    assert "The last good state is in runs/checkpoint-000003.npz" in str(error)
    assert "There is no checkpoint" in str(DivergedError(step=1, images_seen=1, values={}))


def test_progress_is_saved_beside_the_state(tmp_path):
    variable = keras.Variable(np.arange(3.0))
    progress = Progress(
        images_seen=1300,
        history=two_reports(),
        pending={"d_loss": np.array([0.1, 0.3]), "g_loss": np.array([1.0, 2.0])},
        seconds=3.25,
        settings=plain_settings(64, StepConfig(), {}),
    )
    path = save_checkpoint(tmp_path, {"net": variable}, progress)
    variable.assign(np.zeros(3))
    loaded = load_checkpoint(tmp_path, {"net": variable})
    assert variable.numpy().tolist() == [0, 1, 2] and loaded.path == path
    assert (loaded.images_seen, loaded.seconds) == (1300, 3.25)
    assert loaded.history.to_dict() == two_reports().to_dict()
    assert {n: v.tolist() for n, v in loaded.pending.items()} == {
        "d_loss": [0.1, 0.3],
        "g_loss": [1.0, 2.0],
    }
    assert loaded.settings["config"] == {
        "class": "StepConfig",
        "loss": "hinge",
        "r1_gamma": 1.0,
        "sizes": [4, 8],
    }


def test_the_manifest_tells_a_reader_what_the_checkpoint_is(tmp_path):
    progress = Progress(images_seen=1300, settings=plain_settings(64, StepConfig(), {}))
    path = save_checkpoint(tmp_path, {"net": keras.Variable(np.zeros(3))}, progress)
    manifest = json.loads(path.with_suffix(".json").read_text())
    assert manifest["details"]["images_seen"] == 1300
    assert manifest["details"]["settings"]["config"]["class"] == "StepConfig"
    assert set(manifest["versions"]) == {"python", "numpy", "keras", "tensorflow"}
    assert manifest["arrays"]["state/net/000/variable"]["shape"] == [3]


def test_part_of_a_state_is_loaded_only_when_asked_for(tmp_path):
    both = {"net": keras.Variable(np.ones(3)), "net_average": keras.Variable(np.full(2, 5.0))}
    save_checkpoint(tmp_path, both, Progress())
    average = keras.Variable(np.zeros(2))
    with pytest.raises(ValueError, match="net/000: here nothing, in the file variable"):
        load_checkpoint(tmp_path, {"net_average": average})
    load_checkpoint(tmp_path, {"net_average": average}, partial=True)
    assert average.numpy().tolist() == [5, 5]
    net = keras.Variable(np.zeros(3))
    load_checkpoint(tmp_path, {"net": net}, partial=True)
    assert net.numpy().tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="critic/000: here variable .* in the file nothing"):
        load_checkpoint(tmp_path, {"critic": average}, partial=True)


def test_a_folder_without_checkpoint_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere holds no checkpoint"):
        load_checkpoint(tmp_path / "nowhere", {})


def test_a_state_that_is_not_finite_is_not_saved(tmp_path):
    state = {"net": keras.Variable(np.zeros(3))}
    path = save_checkpoint(tmp_path, state, Progress(images_seen=8))
    state["net"].assign(np.array([0, -np.inf, 0]))
    progress = Progress(images_seen=16, settings={"batch_size": 8}, path=path)
    with pytest.raises(DivergedError, match="after 16 images: net/000/variable=-inf") as caught:
        save_checkpoint(tmp_path, state, progress)
    assert (caught.value.step, caught.value.checkpoint) == (2, path)
    assert checkpoints.load_newest(tmp_path)[0] == path


def adam(learning_rate=0.5, **options):
    return {"adam": keras.optimizers.Adam(learning_rate, **options)}


def differences(before, now, moved=None):
    progress = Progress(settings=before, current_settings=moved or before)
    try:
        require_same_settings("runs/a", now, progress)
    except ValueError as error:
        return [line.strip() for line in str(error).split("\n")[1:-1]]
    return []


def test_other_settings_are_listed_with_both_sides():
    before = plain_settings(64, StepConfig(), adam())
    assert differences(before, plain_settings(64, StepConfig(), adam())) == []
    now = plain_settings(32, StepConfig(loss="minimax"), adam(0.25, beta_1=0.5))
    assert differences(before, now) == [
        "batch_size: stored 64, now 32",
        "config.loss: stored 'hinge', now 'minimax'",
        "optimizers.adam.beta_1: stored 0.9, now 0.5",
        "optimizers.adam.learning_rate: stored 0.5, now 0.25",
    ]
    nothing = differences(before, plain_settings(64, None, adam()))
    assert "config.loss: stored 'hinge', now 'nothing'" in nothing and len(nothing) == 4
    with pytest.raises(ValueError, match="give this run another folder.*load_checkpoint"):
        require_same_settings("runs/a", now, Progress(settings=before))


def test_a_learning_rate_that_was_moved_while_training_is_no_difference():
    before, moved = plain_settings(64, None, adam(0.5)), plain_settings(64, None, adam(0.125))
    assert differences(before, before, moved) == []
    assert differences(before, moved, moved) == []
    now = plain_settings(64, None, adam(0.25))
    assert differences(before, now, moved) == [
        "optimizers.adam.learning_rate: stored 0.5, now 0.25"
    ]


def test_options_that_another_keras_version_adds_are_no_difference():
    before, now = plain_settings(64, None, adam()), plain_settings(64, None, adam())
    now["optimizers"]["adam"]["brand_new"] = None
    now["optimizers"]["adam"]["name"] = "adam_7"
    assert differences(before, now) == []
    other = plain_settings(64, None, {"adam": keras.optimizers.AdamW(0.5)})
    assert "optimizers.adam.class: stored 'Adam', now 'AdamW'" in differences(before, other)


def test_a_config_must_be_a_dataclass_of_plain_values():
    with pytest.raises(TypeError, match=r"instance of a dataclass, got \{'loss': 1\}"):
        plain_settings(64, {"loss": 1}, {})
    with pytest.raises(TypeError, match="instance of a dataclass, got <class"):
        plain_settings(64, StepConfig, {})
    with pytest.raises(TypeError, match="numbers, text, lists and dicts only, got <object"):
        plain_settings(64, StepConfig(loss=object()), {})
    settings = plain_settings(64, StepConfig(r1_gamma=np.float32(0.5)), {})
    assert settings["config"]["r1_gamma"] == 0.5
