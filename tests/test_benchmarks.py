"""The comparison with others, with invented seconds: what it checks, compares and writes."""

import json

import numpy as np
import pytest

from tests.benchmarks import __main__ as command
from tests.benchmarks import protocol, report
from tests.benchmarks.rows import ROWS


class Clock:
    """A loop that says how long it took: the given seconds a unit, in turn."""

    def __init__(self, *seconds, loss=1.0):
        self.seconds, self.loss, self.turns = seconds, loss, 0

    def __call__(self, count):
        passed = count * self.seconds[self.turns % len(self.seconds)]
        self.turns += 1
        return passed, {"loss": self.loss}


@pytest.fixture
def peaks(monkeypatch):
    monkeypatch.setattr(protocol, "gemm_peaks", lambda: {"float32": 1e9, "bfloat16": 4e9})


def row(**changes):
    loops = {
        "ours, float32": Clock(0.4),
        "ours, bfloat16": Clock(0.1),
        "PyTorch eager, float32": Clock(0.3),
        "torch.compile, bfloat16": Clock(0.12),
        "Model.fit, float32": Clock(0.5),
    } | changes.pop("loops", {})
    options = {"count": 2, "work": 2e8, "target": {"PyTorch eager, float32": 2.5}} | changes
    return protocol.Row("a network", "step", loops, tuple(loops)[:2], **options)


def measured(**changes):
    return protocol.measure(row(**changes), rounds=4)


# Measuring


def test_medians_ratios_and_the_limit_are_those_of_the_seconds(peaks):
    found = measured()
    assert found["ours"] == "ours, bfloat16"
    assert found["ms"]["ours, bfloat16"] == 100 and found["ms"]["ours, float32"] == 400
    assert found["ratios"].keys() == {
        "PyTorch eager, float32", "torch.compile, bfloat16", "Model.fit, float32",
    }  # fmt: skip
    np.testing.assert_allclose(found["ratios"]["PyTorch eager, float32"], 3)
    # 0.2 GFLOP at 4 GFLOP/s are 50 ms, half of 100.
    assert found["limit"] == {"GFLOP": 0.2, "GEMM GFLOP/s": 4, "ms": 50, "share": 0.5}
    assert found["rounds"] == 4 and found["units a round"] == 2
    assert found["first call s"]["ours, bfloat16"] == 0.1  # one unit


def test_the_limit_of_a_float32_loop_is_that_of_float32(peaks):
    found = measured(loops={"ours, bfloat16": Clock(0.9)})
    assert found["ours"] == "ours, float32" and found["limit"]["ms"] == 200
    assert measured(work=None)["limit"] is None


def test_rounds_that_warm_up_do_not_count_and_ratios_are_taken_round_by_round(peaks):
    # First call, two to warm up, then rounds in which both are slow at once.
    ours, theirs = (5, 5, 5, 0.1, 0.2, 0.1, 0.8), (9, 9, 9, 0.3, 0.6, 0.2, 3.2)
    loops = {"ours, bfloat16": Clock(*ours), "PyTorch eager, float32": Clock(*theirs)}
    found = measured(loops=loops)
    assert found["ratios"]["PyTorch eager, float32"] == [2.75, 3.0, 3.25]  # of 2, 3, 3, 4
    assert found["ms"]["ours, bfloat16"] == 150 and found["fastest ms"]["ours, bfloat16"] == 100


def test_loops_take_turns(peaks):
    order = []

    def named(name):
        def loop(count):
            order.append(name)
            return 1.0, {"loss": 1.0}

        return loop

    loops = {name: named(name) for name in ("a", "b", "c")}
    protocol.measure(protocol.Row("t", "step", loops, ("a",)), rounds=3)
    assert order == ["a", "b", "c"] * (1 + protocol.WARM_UP + 3)


def test_loops_that_compute_something_else_are_refused_before_they_are_timed(peaks):
    wrong = Clock(0.3, loss=1.01)
    with pytest.raises(ArithmeticError, match="PyTorch eager, float32 begins with.*differ by 1.0e"):
        measured(loops={"PyTorch eager, float32": wrong})
    assert wrong.turns == 1
    with pytest.raises(ArithmeticError, match="differ by nan"):
        measured(loops={"PyTorch eager, float32": Clock(0.3, loss=float("nan"))})
    with pytest.raises(ArithmeticError, match="ours, bfloat16 begins"):
        measured(loops={"ours, bfloat16": Clock(0.1, loss=1.06)})


def test_bfloat16_may_differ_more_and_given_losses_take_the_place_of_the_first(peaks):
    assert measured(loops={"ours, bfloat16": Clock(0.1, loss=1.04)})["differences"] == {
        "ours, float32": 0, "ours, bfloat16": 0.04, "PyTorch eager, float32": 0,
        "torch.compile, bfloat16": 0, "Model.fit, float32": 0,
    }  # fmt: skip
    given = {"ours": {"loss": 2.0, "penalty": 1.0}, "PyTorch": {"loss": 2.0002}}
    found = measured(losses=given, loops={"Model.fit, float32": Clock(0.5, loss=7.0)})
    assert found["differences"] == {"ours": 0, "PyTorch": 1e-4}


def test_the_operations_of_a_network_are_those_counted_by_hand():
    from keras import Input, Model, layers

    images = Input((8, 8, 3))
    x = layers.Conv2D(4, 3, 2, "same")(images)  # 4 x 4 places
    x = layers.Conv2DTranspose(5, 4, 2, "same")(x)  # read at 4 x 4 places
    model = Model(images, layers.Dense(7)(layers.Flatten()(x)))
    expected = 2 * (16 * 9 * 3 * 4 + 16 * 16 * 4 * 5 + 8 * 8 * 5 * 7)
    assert protocol.forward_work(model) == expected


def test_the_operations_of_a_step_are_those_of_its_passes():
    from keras import Input, Model, layers

    from course_lib import steps
    from tests.benchmarks.rows import image_gans

    def dense(inputs, outputs):
        x = Input((inputs,))
        return Model(x, layers.Dense(outputs)(x))

    def work(**changes):
        config = steps.GanStepConfig(**changes)
        return image_gans.step_work(dense(2, 3), dense(3, 1), config, batch=8)

    g, d = 8 * 12, 8 * 6
    assert work() == 4 * g + 8 * d
    assert work(reuse_fakes=True, loss="relativistic") == 3 * g + 9 * d
    assert work(r1_gamma=1.0, penalty_share=0.25) == 4 * g + 9 * d
    assert work(r1_gamma=1.0, r2_gamma=1.0) == 4 * g + 16 * d


# Comparing


def stored_and_new(peaks, *, seconds):
    """Return results with a ratio of 3 and a spread, and others with these seconds of ours."""
    spread = {"PyTorch eager, float32": Clock(0.3, 0.29, 0.31)}
    before = measured(loops=spread)
    return {"a": before}, {"a": measured(loops=spread | {"ours, bfloat16": Clock(seconds)})}


def test_a_ratio_that_fell_beyond_its_spread_is_named(peaks):
    before, after = stored_and_new(peaks, seconds=0.13)
    found = report.regressions(after, before)
    assert len(found) == 3
    assert any(
        line.startswith("a: slower than stored beyond noise: PyTorch eager, float32 took 2.27 [")
        for line in found
    )
    assert report.regressions(before, after) == []  # faster is fine


def test_noise_is_no_regression(peaks):
    quartiles = {"before": [2.0, 2.2, 2.4], "noise": [1.8, 1.9, 2.0], "slower": [1.7, 1.8, 1.99]}
    rows = {
        name: {"machine": "m", "load": [0.1, 7.5], "ratios": {"PyTorch": values}}
        for name, values in quartiles.items()
    }
    assert report.regressions({"a": rows["noise"]}, {"a": rows["before"]}) == []
    (line,) = report.regressions({"a": rows["slower"]}, {"a": rows["before"] | {"load": [3, 2]}})
    assert line.endswith("ours, stored 2.2 [2, 2.4] (load 7.5, stored 3).")


def test_other_machines_rows_and_peers_are_passed_over(peaks):
    before, after = stored_and_new(peaks, seconds=0.5)
    assert report.regressions(after, {"b": before["a"]}) == []
    assert report.regressions(after, {"a": before["a"] | {"machine": "another"}}) == []
    before["a"]["ratios"] = {"a peer that is gone": [9, 9, 9]}
    assert report.regressions(after, before) == []


def test_what_was_asked_for_is_compared_with_what_came(peaks):
    target = {"PyTorch eager, float32": 2.5, "fastest PyTorch": 1.3}
    assert report.asked(measured(target=target)) == [
        ("PyTorch eager, float32 3 of 2.5", True),
        ("fastest PyTorch 1.2 of 1.3", False),
        ("fastest peer 1.2 of 1", True),
    ]
    slow = measured(at_most_ms=99.0, loops={"torch.compile, bfloat16": Clock(0.09)}, target={})
    assert report.asked(slow) == [("100 of 99 ms", False), ("fastest peer 0.9 of 1", False)]


# The command


@pytest.fixture
def files(monkeypatch, tmp_path):
    monkeypatch.setattr(command, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(command, "README", tmp_path / "README.md")
    return tmp_path


def run(monkeypatch, words, **changes):
    found = measured(**changes) | {"versions": "TensorFlow 0"}
    monkeypatch.setattr(command, "measured", lambda name, options: found)
    return command.main(words)


def test_a_run_is_stored_on_request_and_the_next_one_compared(peaks, files, monkeypatch, capsys):
    assert run(monkeypatch, ["--rows", "dcgan64"]) == 0
    assert not (files / "results.json").exists()
    assert run(monkeypatch, ["--rows", "dcgan64,frechet", "--store"]) == 0
    stored = json.loads((files / "results.json").read_text())
    assert list(stored) == ["dcgan64", "frechet"]
    assert (files / "README.md").read_text() == report.readme(stored)
    capsys.readouterr()
    slower = {"ours, bfloat16": Clock(0.2)}
    assert run(monkeypatch, ["--rows", "dcgan64"], loops=slower) == 1
    assert "dcgan64: slower than stored beyond noise" in capsys.readouterr().out
    assert run(monkeypatch, ["--rows", "dcgan28"], loops=slower) == 0
    assert "Nothing is slower than stored" in capsys.readouterr().out


def test_storing_one_row_keeps_the_others_in_the_order_of_the_table(peaks, files, monkeypatch):
    run(monkeypatch, ["--rows", "frechet", "--store"])
    run(monkeypatch, ["--rows", "dcgan28", "--store"])
    assert list(json.loads((files / "results.json").read_text())) == ["dcgan28", "frechet"]


def test_an_unknown_row_is_refused_with_those_there_are(capsys):
    with pytest.raises(SystemExit):
        command.main(["--rows", "dcgan64,xyz"])
    assert "there is no row xyz; there are points_gan, " in capsys.readouterr().err


def test_the_table_has_a_line_for_each_row_with_ratios_limit_and_goals(peaks):
    text = report.readme({"dcgan64": measured()})
    (line,) = (line for line in text.splitlines() if line.startswith("| a network"))
    assert "**100 ms** a step (bfloat16)<br>float32: 400 ms" in line
    assert "50 ms: 50% of ours (0.2 GFLOP at 4 a second)" in line
    assert "torch.compile, bfloat16: 1.2 [1.2, 1.2]<br>PyTorch eager, float32: 3 [3, 3]" in line
    assert "PyTorch eager, float32 3 of 2.5: yes" in line
    assert line.count("|") == len(report.COLUMNS) + 1
    assert "| dcgan64 | " in text


# What is stored


def test_the_readme_is_what_the_stored_results_give():
    stored = command.stored()
    assert list(stored) == [name for name in ROWS if name in stored] and stored
    assert command.README.read_text() == report.readme(stored)


def test_every_row_has_its_module_and_every_module_its_row():
    folder = command.FOLDER / "rows"
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__", "image_gans"}
    assert modules == set(ROWS)
    for name in modules:
        assert "def prepare(worker):" in (folder / f"{name}.py").read_text()


# The PyTorch side's description


def test_a_described_network_computes_the_same_in_the_mirror():
    """The twin is worked out in NumPy, with PyTorch's padding: before the image, none after."""
    from keras import Input, Model, layers

    from tests.benchmarks import translate

    images = Input((6, 6, 2))
    model = Model(images, layers.Flatten()(layers.Conv2D(3, 3, 2, "same")(images)))
    head = Model(images, layers.Dense(4)(model.output))
    x = np.random.default_rng(0).normal(size=(2, 6, 6, 2)).astype("float32")
    parts, arrays = translate.describe(head, "net")
    assert [part["kind"] for part in parts] == ["convolution", "flatten", "dense"]
    convolution, dense = parts[0], parts[2]
    assert convolution["padding"] == 1 and convolution["extra"] == 1
    kernel, padded = (
        arrays[convolution["kernel"]],
        np.pad(translate.mirror(x), ((0, 0), (1, 0), (1, 0), (0, 0))),
    )
    maps = np.zeros((2, 3, 3, 3))
    for row_, column in np.ndindex(3, 3):
        window = padded[:, 2 * row_ : 2 * row_ + 3, 2 * column : 2 * column + 3]
        maps[:, row_, column] = np.tensordot(window, kernel, 3)
    maps += arrays[convolution["bias"]]
    found = maps.reshape(2, -1) @ arrays[dense["kernel"]] + arrays[dense["bias"]]
    np.testing.assert_allclose(found, head(x), rtol=1e-5, atol=1e-5)


def test_a_mirrored_border_leaves_out_what_a_convolution_with_gaps_does_not_read():
    from keras import Input, Model, layers

    from course_lib.networks.transfer import ReflectionPadding
    from tests.benchmarks import translate

    images = Input((6, 6, 1))
    model = Model(images, layers.Conv2D(1, 3, 2, use_bias=False)(ReflectionPadding(1)(images)))
    (border, convolution), arrays = translate.describe(model, "net")
    assert (border["margin"], border["before"], convolution["padding"]) == (1, 0, 0)
    x = np.random.default_rng(0).normal(size=(1, 6, 6, 1)).astype("float32")
    around = (border["before"], border["margin"])
    padded = np.pad(translate.mirror(x), ((0, 0), around, around, (0, 0)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))[:, ::2, ::2, 0]
    found = np.tensordot(windows, arrays[convolution["kernel"]][..., 0, 0], 2)
    np.testing.assert_allclose(translate.mirror(found[..., None]), model(x), atol=1e-6)


def test_a_residual_block_of_any_length_is_one_part():
    from keras import Input, Model, layers

    from course_lib.networks.transfer import InstanceNormalization
    from tests.benchmarks import translate

    first = layers.ReLU()(images := Input((6, 6, 2)))
    x = layers.Add()([first, InstanceNormalization()(layers.ReLU()(first))])
    parts, _ = translate.describe(Model(images, layers.Add()([x, layers.ReLU()(x)])), "net")
    assert [part["kind"] for part in parts] == ["leaky", "residual", "residual"]
    assert [part["kind"] for part in parts[1]["parts"]] == ["leaky", "instance norm"]
    assert [part["kind"] for part in parts[2]["parts"]] == ["leaky"]


def test_layers_without_a_translation_are_refused():
    from keras import Input, Model, layers

    from tests.benchmarks import translate

    images = Input((8, 8, 2))
    with pytest.raises(ValueError, match="translate knows no GaussianNoise"):
        translate.describe(Model(images, layers.GaussianNoise(0.1)(images)), "net")
    deep = layers.Conv2D(2, 1, 2, "same")(layers.Conv2D(2, 3, padding="same")(images))
    with pytest.raises(ValueError, match="a stride of 2 over a kernel of 1 leaves gaps"):
        translate.describe(Model(images, deep), "net")
