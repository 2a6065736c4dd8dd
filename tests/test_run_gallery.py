"""The gallery of stored runs: moved as a browser moves it, judged by picture and words."""

import html
import io
import json
import re

import matplotlib
import numpy as np
import pytest
from PIL import Image

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from course_lib import runtime
from course_lib.widgets import run_gallery
from course_lib.widgets.run_gallery import RunGallery

STORED = runtime.DATA_DIR / "results" / "08_broken_runs.npz"
FAULTS = {"A": "mode collapse", "B": "healthy", "C": "divergence"}
ANSWERS = {
    run: {"name": fault, "cause": f"why {fault}", "cure": f"against {fault}"}
    for run, fault in FAULTS.items()
}


def made_up():
    """Three runs of different lengths; the last one ends in nan after large numbers."""
    random, runs = np.random.default_rng(0), {}
    for name, reports, moments in (("A", 8, 4), ("B", 8, 3), ("C", 5, 2)):
        run = {"images_seen": 100 * np.arange(1, reports + 1)}
        for key in ("d_loss", "g_loss", "real_logit", "fake_logit", "kernel_distance"):
            run[key] = random.uniform(0.5, 1.5, reports).astype("float32")
        run["samples"] = random.integers(0, 256, (moments, 16, 4, 4, 3)).astype("uint8")
        run["sample_images_seen"] = np.linspace(100, 100 * reports, moments).astype(int)
        runs[name] = run
    runs["C"]["g_loss"][-2:] = 1e6, np.nan
    return runs


def gallery(**settings):
    return RunGallery(made_up(), ANSWERS, **settings)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def move(panel, name, value):
    """Does what a browser's message does; a drop-down's message has the position chosen."""
    control = panel.controls[name]
    if name == "moment":
        control.set_state({"value": value})
    else:
        values = [option[1] if isinstance(option, tuple) else option for option in control.options]
        control.set_state({"index": values.index(value)})
    panel.worker.run()


def said(panel):
    return html.unescape(re.sub("<[^>]*>", " ", panel.status.value))


def picture(panel):
    return np.asarray(Image.open(io.BytesIO(panel.image.value)).convert("RGB"))


def shown_samples(figure):
    """The pictures of 4 x 4 pixels, cut out of the sheet of four columns."""
    (sheet,) = (axis.images[0].get_array() for axis in figure.axes if axis.images)
    cells = [(5 * row, 5 * column) for row in range(4) for column in range(4)]
    return [sheet[top : top + 4, left : left + 4] for top, left in cells]


# The controls -------------------------------------------------------------------------------------


def test_choosing_a_run_shows_its_first_moment_and_forgets_the_answer():
    panel = gallery(moment=2, fault="healthy")
    before = picture(panel)
    move(panel, "run", "C")
    assert panel.settings == {"run": "C", "moment": 0, "fault": None}
    assert (panel.controls["moment"].value, panel.controls["moment"].max) == (0, 1)
    assert (picture(panel) != before).any() and "after 100 images" in said(panel)
    np.testing.assert_array_equal(shown_samples(panel.figure())[0], made_up()["C"]["samples"][0, 0])


def test_the_moment_slider_shows_the_samples_and_numbers_of_that_moment():
    panel, run = gallery(), made_up()["A"]
    for moment, report in ((0, 0), (1, 2), (3, 7)):  # 100, 333 and 800 images
        move(panel, "moment", moment)
        drawn = shown_samples(panel.figure())
        for found, expected in zip(drawn, run["samples"][moment], strict=True):
            np.testing.assert_array_equal(found, expected)
        assert f"after {run['sample_images_seen'][moment]:,} images" in said(panel)
        assert f"fake logit {run['fake_logit'][report]:.3g}" in said(panel)
        assert f"kernel distance {run['kernel_distance'][report]:.3g}" in said(panel)


def test_the_right_fault_is_told_with_cause_and_cure():
    panel = gallery()
    assert "choose a fault" in said(panel) and "Cause" not in said(panel)
    move(panel, "fault", "mode collapse")
    assert "✓ right: mode collapse" in said(panel)
    assert "Cause: why mode collapse" in said(panel) and "Cure: against mode" in said(panel)


def test_a_wrong_fault_is_told_with_the_run_that_has_it():
    panel = gallery()
    move(panel, "fault", "divergence")
    assert "✗ no: “divergence” is what run C has" in said(panel)
    assert "why" not in said(panel) and "against" not in said(panel)


def test_every_fault_can_be_chosen_and_none_stands_first():
    options = gallery().controls["fault"].options
    assert options[0] == ("what is wrong?", None)
    assert [value for _, value in options[1:]] == sorted(FAULTS.values())


@pytest.mark.parametrize("name, value", [("run", "B"), ("moment", 2), ("fault", "healthy")])
def test_without_its_observer_a_control_moves_nothing(name, value):
    panel = gallery()
    before = panel.image.value, panel.status.value, panel.code.value
    panel.controls[name].unobserve(panel._changed, "value")
    move(panel, name, value)
    assert (panel.image.value, panel.status.value, panel.code.value) == before


# The picture --------------------------------------------------------------------------------------


def test_the_curves_are_the_run_and_a_line_marks_the_moment():
    figure = gallery(run="B", moment=1).figure()
    run = made_up()["B"]
    loss, logit, distance = figure.axes[-3:]
    for axis, names in (
        (loss, ("d_loss", "g_loss")),
        (logit, ("real_logit", "fake_logit")),
        (distance, ("kernel_distance",)),
    ):
        for line, name in zip(axis.lines, names, strict=False):
            np.testing.assert_allclose(line.get_data(), [run["images_seen"] / 1000, run[name]])
        assert axis.lines[-1].get_xdata() == pytest.approx([0.45, 0.45])
        assert axis.get_yscale() == "linear"


def test_a_curve_that_leaps_gets_a_logarithmic_axis_and_nan_is_drawn_as_nothing():
    figure = gallery(run="C").figure()
    assert figure.axes[-3].get_yscale() == "symlog" and figure.axes[-2].get_yscale() == "linear"
    assert np.isnan(figure.axes[-3].lines[1].get_ydata()[-1])


def test_the_shown_code_draws_the_same_picture(monkeypatch):
    panel = gallery()
    move(panel, "run", "B")
    move(panel, "moment", 1)
    move(panel, "fault", "divergence")
    monkeypatch.setattr(run_gallery, "load", lambda path: (made_up(), ANSWERS))
    exec(html.unescape(re.sub("<[^>]*>", "", panel.code.value)), {})
    drawn = plt.gcf()
    drawn.set_dpi(run_gallery.DPI)
    drawn.canvas.draw()
    found = np.asarray(drawn.canvas.buffer_rgba())[..., :3]
    np.testing.assert_array_equal(found, picture(panel))


def test_the_panel_shows_controls_picture_words_and_closed_code():
    panel = gallery()
    controls, image, status, accordion = panel.panel.children
    assert controls.children == tuple(panel.controls.values())
    assert (image, status, accordion.children) == (panel.image, panel.status, (panel.code,))
    assert accordion.selected_index is None


# What is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"run": "Z"}, "run must be one of A, B, C, got 'Z'"),
        ({"moment": 4}, "moment must be one of 0, 1, 2, 3, got 4"),
        ({"fault": "bad luck"}, "fault must be one of None, divergence, .* got 'bad luck'"),
    ],
)
def test_what_does_not_exist_is_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        gallery(**settings)


def test_a_run_without_an_array_or_an_answer_is_refused():
    runs = made_up()
    with pytest.raises(ValueError, match="run 'B' needs an answer with name, cause and cure"):
        RunGallery(runs, {"A": ANSWERS["A"], "B": {"name": "x"}})
    del runs["B"]["g_loss"]
    with pytest.raises(ValueError, match="run 'B' lacks g_loss; it has images_seen"):
        RunGallery(runs, ANSWERS)
    with pytest.raises(ValueError, match="there is no run"):
        RunGallery({}, {})


# The files ----------------------------------------------------------------------------------------


def test_runs_and_answers_come_back_from_their_files(tmp_path):
    arrays = {f"{run}/{key}": values for run, part in made_up().items()
              for key, values in part.items()}  # fmt: skip
    np.savez_compressed(tmp_path / "runs.npz", **arrays)
    content = json.dumps({"command": "x", "answers": ANSWERS})
    (tmp_path / "runs.json").write_text(content, encoding="utf-8")
    runs, answers = run_gallery.load(tmp_path / "runs.npz")
    assert answers == ANSWERS and list(runs) == list("ABC")
    np.testing.assert_array_equal(runs["C"]["samples"], made_up()["C"]["samples"])
    assert RunGallery(runs, answers, run="B").settings["run"] == "B"


def test_the_stored_gallery_has_one_healthy_run_and_six_different_faults():
    runs, answers = run_gallery.load(STORED)
    RunGallery(runs, answers)
    faults = [answer["name"] for answer in answers.values()]
    assert len(set(faults)) == len(faults) == 7 and "healthy" in faults
    assert all(answer["cause"] and answer["cure"] for answer in answers.values())
    assert STORED.stat().st_size < 1_500_000
