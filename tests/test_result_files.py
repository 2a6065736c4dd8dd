"""What notebooks 08 and 16 read: stored runs hold what they promise, and a table goes on."""

import json
import sys

import numpy as np
import pytest

from course_lib import runtime, train

RESULTS = runtime.DATA_DIR / "results"


@pytest.fixture
def result_table(monkeypatch):
    monkeypatch.syspath_prepend(str(runtime.ROOT / "recipes"))
    monkeypatch.setattr(sys, "argv", [str(runtime.ROOT / "recipes" / "cures.py")])
    import result_table

    return result_table.ResultTable


def test_a_table_goes_on_where_it_stopped(result_table, tmp_path):
    path, facts = tmp_path / "table.json", {"images_seen": 10, "published": [None, 1]}
    first = result_table(path, facts, seeds=(3, 5))
    assert first.missing(("arms", "a"), 3) and first.missing(("arms", "a"), 5)
    first.add({("arms", "a"): {"distance": 0.123456, "diverged": False}})
    first.add({("arms", "b"): {"distance": None, "diverged": True}})

    again = result_table(path, facts, seeds=(3, 5))
    assert not again.missing(("arms", "a"), 3) and again.missing(("arms", "a"), 5)
    assert not again.missing(("arms", "b"), 3)
    again.add({("arms", "a"): {"distance": 2.0, "diverged": False}})
    stored = json.loads(path.read_text())
    assert stored["arms"] == {
        "a": {"distance": [0.1235, 2.0], "diverged": [False, False]},
        "b": {"distance": [None], "diverged": [True]},
    }
    assert stored["seed"] == [3, 5] and stored["images_seen"] == 10
    assert stored["command"] == "python recipes/cures.py" and stored["minutes"] >= 0


def test_a_table_of_other_runs_is_not_mixed_with_these(result_table, tmp_path):
    path = tmp_path / "table.json"
    result_table(path, {"images_seen": 10}, seeds=(0,)).add({("arms", "a"): {"diverged": False}})
    with pytest.raises(SystemExit, match="made with {'images_seen': 10}, not {'images_seen': 20}"):
        result_table(path, {"images_seen": 20}, seeds=(0,))


def test_the_broken_runs_hold_what_their_recipe_says():
    facts = json.loads((RESULTS / "08_broken_runs.json").read_text())
    assert list(facts["answers"]) == list("ABCDEFG")
    assert all(set(answer) == {"name", "cause", "cure"} for answer in facts["answers"].values())
    names = [answer["name"] for answer in facts["answers"].values()]
    assert len(set(names)) == 7 and "healthy" in names
    with np.load(RESULTS / "08_broken_runs.npz") as stored:
        arrays = dict(stored)
    assert (RESULTS / "08_broken_runs.npz").stat().st_size < 1_500_000
    columns = ("d_loss", "g_loss", "real_logit", "fake_logit", "kernel_distance")
    for run in facts["answers"]:
        seen, moments = arrays[f"{run}/images_seen"], arrays[f"{run}/sample_images_seen"]
        assert seen.dtype == np.int64 and (np.diff(seen) > 0).all() and len(seen) == 12
        assert seen[-1] == facts["images_seen"] and set(moments) <= set(seen)
        for column in columns:
            values = arrays[f"{run}/{column}"]
            assert values.shape == seen.shape and values.dtype == np.float32
        samples = arrays[f"{run}/samples"]
        assert samples.shape == (4, 16, 32, 32, 3) and samples.dtype == np.uint8
    assert len(arrays) == 7 * (len(columns) + 3)


def test_relativistic_with_both_penalties_reaches_the_modes_on_each_seed():
    facts = json.loads((RESULTS / "08_stacked_digits.json").read_text())
    assert len(facts["arms"]) == 4 and set(facts["published"]) == set(facts["arms"])
    for arm in facts["arms"].values():
        assert all(len(arm[key]) == 3 for key in ("modes", "reverse_kl", "seconds", "diverged"))
    best = facts["arms"]["relativistic, R1 + R2"]
    assert min(best["modes"]) >= 950 and max(best["reverse_kl"]) <= 0.3
    assert facts["classifier accuracy"] > 0.98


def test_the_arms_of_the_cures_have_as_many_values_of_each_measure():
    facts = json.loads((RESULTS / "08_stable_faces.json").read_text())
    arms = list(facts["arms"].values())
    for kind in facts.get("few images", {}).values():
        arms += [arm for arm in kind.values() if isinstance(arm, dict)]
    for arm in arms:
        counts = {len(values) for values in arm.values()}
        assert len(counts) == 1 and {"kernel_distance", "precision", "recall"} <= set(arm)
        for distance, diverged in zip(arm["kernel_distance"], arm["diverged"], strict=True):
            assert diverged == (distance is None)
    assert min(facts["arms"]["together"]["kernel_distance"]) > facts["floor"]


def test_every_arm_of_the_scaling_table_was_measured():
    facts = json.loads((RESULTS / "16_scaling.json").read_text())
    arms = {(row["size"], row["batch"]) for kind in ("size", "batch") for row in facts[kind]}
    assert arms == {(16, 32), (32, 8), (32, 32), (32, 128), (64, 32)}
    assert [row["replicas"] for row in facts["replicas"]] == [2, 4]
    assert [row["precision"] for row in facts["precision"]] == ["mixed_bfloat16"]
    rows = sorted(facts["size"] + facts["batch"], key=lambda row: row["flops"])
    assert all(0 < row["seconds"] <= row["first_seconds"] for row in rows)
    # The memory of an image, from the difference between two batches, is near that on paper.
    small, large = (
        next(row for row in rows if (row["size"], row["batch"]) == (32, batch))
        for batch in (8, 128)
    )
    grown = [row["memory_peak"] - row["memory_before"] for row in (small, large)]
    measured = (grown[1] - grown[0]) / 120
    assert 0.7 < small["per_image_predicted"] / measured < 1.5
    assert set(facts["limits"]) == {"float32", "bfloat16", "bytes"}


@pytest.fixture
def precisions(monkeypatch):
    monkeypatch.syspath_prepend(str(runtime.ROOT / "recipes"))
    import precisions

    return precisions


def test_precisions_are_compared_by_means_and_by_the_deviation_of_the_seeds(precisions):
    table = {
        "float32": {"kernel_distance": [1.0, 2.0, 3.0]},  # variance 1
        "bfloat16": {"kernel_distance": [2.0, 5.0, 8.0]},  # variance 9
    }
    difference, deviation = precisions.verdict(table)
    assert difference == 3 and deviation == pytest.approx(5**0.5)
    table["bfloat16"]["kernel_distance"][1] = None
    assert np.isnan(precisions.verdict(table)).all()


def test_a_run_in_one_precision_leaves_float32_behind_and_notes_a_divergence(
    precisions, monkeypatch
):
    import keras

    seen = []

    def distance(arm, *, seed):
        seen.append((arm, seed, keras.config.dtype_policy().name))
        if seed:
            raise train.DivergedError(step=3, images_seen=192, values={"d_loss": np.nan})
        return np.float64(0.5)

    monkeypatch.setattr(precisions, "distance", distance)
    first = precisions.one_run("mixed_bfloat16", seed=0)
    assert first.pop("seconds") >= 0
    assert first == {"kernel_distance": 0.5, "diverged": False}
    second = precisions.one_run("float32", seed=1)
    assert second["diverged"] and second["kernel_distance"] is None
    assert keras.config.dtype_policy().name == "float32"
    assert [run[1:] for run in seen] == [(0, "mixed_bfloat16"), (1, "float32")]
