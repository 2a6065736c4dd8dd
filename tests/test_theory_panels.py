"""Panels of notebooks 01, 07 and 16: moved as by a browser, judged by picture and numbers."""

import html
import io
import re

import matplotlib
import numpy as np
import pytest
from PIL import Image

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from scipy import integrate, special, stats

from course_lib import scaling, theory
from course_lib.widgets.dirac_plane import DiracPlane
from course_lib.widgets.frechet_plane import COUNTS, REPEATS, FrechetPlane
from course_lib.widgets.loss_curves import LossCurves
from course_lib.widgets.scaling_panel import DEVICES, LINKS, ScalingPanel
from course_lib.widgets.two_gaussians import TwoGaussians

PANELS = [TwoGaussians, DiracPlane, LossCurves, FrechetPlane, ScalingPanel]
MOVES = [
    (TwoGaussians, "mean", -3.0), (TwoGaussians, "sigma", 1.5), (TwoGaussians, "slope", 2.0),
    (TwoGaussians, "offset", -2.0), (DiracPlane, "learning_rate", 1.0),
    (DiracPlane, "r1_gamma", 1.0), (DiracPlane, "alternating", True),
    (LossCurves, "family", "hinge"), (LossCurves, "logit", 3.0),
    (FrechetPlane, "mean_x", 2.0), (FrechetPlane, "mean_y", -1.0), (FrechetPlane, "scale_1", 0.4),
    (FrechetPlane, "scale_2", 1.5), (FrechetPlane, "angle", -50.0), (FrechetPlane, "count", 200),
    (ScalingPanel, "size", 256), (ScalingPanel, "batch", 256), (ScalingPanel, "replicas", 64),
    (ScalingPanel, "link", "1 Gbit/s network"), (ScalingPanel, "precision", "mixed_bfloat16"),
    (ScalingPanel, "device", "laptop, two cores"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def picture(panel):
    """What is on the screen, uint8 (height, width, 3)."""
    return np.asarray(Image.open(io.BytesIO(panel.image.value)))


def drawn(figure):
    """A plain figure's pixels."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3]


def move(panel, name, value):
    """Does what a browser's message does; a drop-down's message has the position chosen."""
    control = panel.controls[name]
    if hasattr(control, "options"):
        values = [option[1] if isinstance(option, tuple) else option for option in control.options]
        control.set_state({"index": values.index(value)})
    else:
        control.set_state({"value": value})


def numbers(panel):
    """All numbers that the read-out says, in order."""
    words = re.sub("<[^>]*>", " ", html.unescape(panel.readout.value))
    return [float(found) for found in re.findall(r"-?\d+\.\d+", words)]


# What every panel does ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind, name, value", MOVES)
def test_moving_a_control_changes_picture_numbers_and_code(kind, name, value):
    panel = kind()
    before = picture(panel), panel.readout.value, panel.code.value
    move(panel, name, value)
    assert (picture(panel) != before[0]).any()
    assert panel.readout.value != before[1]
    assert f"{name}={value!r}" in html.unescape(panel.code.value)


def test_every_control_of_every_panel_is_moved_by_a_test():
    moved = {(kind, name) for kind, name, _ in MOVES} | {(LossCurves, "real_logit")}
    assert moved == {(kind, name) for kind in PANELS for name in kind().controls}


@pytest.mark.parametrize("kind, name, value", MOVES)
def test_the_shown_code_draws_the_picture_that_is_shown(kind, name, value, capsys):
    panel = kind()
    move(panel, name, value)
    shown = html.unescape(re.sub("<[^>]*>", "", panel.code.value))
    exec(compile(shown, "shown code", "exec"), {})
    assert plt.get_fignums() != []
    np.testing.assert_array_equal(drawn(plt.gcf()), picture(panel))
    assert capsys.readouterr().out != ""


@pytest.mark.parametrize("kind, name, value", MOVES)
def test_a_panel_moved_back_shows_its_first_picture(kind, name, value):
    panel = kind()
    before = panel.image.value, panel.controls[name].value
    move(panel, name, value)
    move(panel, name, before[1])
    assert panel.image.value == before[0]


@pytest.mark.parametrize("kind", PANELS)
def test_an_unknown_setting_is_refused_with_the_names_there_are(kind):
    with pytest.raises(TypeError, match=f"{kind.__name__} has the settings .* got colour"):
        kind(colour=1)


@pytest.mark.parametrize("kind", PANELS)
def test_a_panel_shows_controls_picture_numbers_and_closed_code(kind):
    panel = kind()
    *rows, image, readout, accordion = panel.panel.children
    assert [control for row in rows for control in row.children] == list(panel.controls.values())
    assert (image, readout) == (panel.image, panel.readout)
    assert accordion.children == (panel.code,) and accordion.selected_index is None
    assert all(control.description for control in panel.controls.values())


# The numbers --------------------------------------------------------------------------------------


def test_the_numbers_of_two_gaussians_are_those_of_quadrature():
    panel = TwoGaussians()
    for name, value in {"mean": 1.3, "sigma": 0.6, "slope": -2.0, "offset": 0.5}.items():
        move(panel, name, value)

    def integrate_over_x(function):
        def integrand(x):
            return function(stats.norm.pdf(x), stats.norm.pdf(x, 1.3, 0.6), -2.0 * (x - 0.5))

        return integrate.quad(integrand, -10, 10, limit=500)[0]

    jsd = integrate_over_x(
        lambda p, q, _: (special.rel_entr(p, (p + q) / 2) + special.rel_entr(q, (p + q) / 2)) / 2
    )
    value = integrate_over_x(lambda p, q, d: p * special.log_expit(d) + q * special.log_expit(-d))
    found = numbers(panel)
    expected = [jsd, 0.6931, 2 * jsd - np.log(4), 2 * jsd - np.log(4), value]
    expected.append(2 * jsd - np.log(4) - value)
    np.testing.assert_allclose(found, expected, atol=6e-5)


@pytest.mark.parametrize("mean", [-6.0, 0.0, 6.0])
@pytest.mark.parametrize("sigma", [0.3, 2.5])
@pytest.mark.parametrize("slope, offset", [(-6.0, -6.0), (6.0, 6.0), (0.0, 0.0)])
def test_the_ends_of_the_sliders_of_two_gaussians_keep_the_bound(mean, sigma, slope, offset):
    found = TwoGaussians.numbers({"mean": mean, "sigma": sigma, "slope": slope, "offset": offset})
    assert found["value"] <= found["best"] + 1e-12
    assert found["best"] == pytest.approx(2 * found["jsd"] - np.log(4), abs=1e-3)


def test_a_discriminator_far_below_the_axis_becomes_a_triangle_at_its_end():
    panel = TwoGaussians(slope=6.0)
    artists = panel._artists
    assert artists["your_point"].get_marker() == "v"
    assert artists["your_point"].get_ydata()[0] == pytest.approx(-2.95)
    move(panel, "slope", -1.0)
    assert artists["your_point"].get_marker() == "s"


def test_two_gaussians_draws_the_densities_and_the_best_answer():
    axes = TwoGaussians(mean=1.0, sigma=2.0).figure().axes
    x, q = axes[0].lines[1].get_data()
    np.testing.assert_allclose(q, stats.norm.pdf(x, 1.0, 2.0), atol=1e-12)
    p = stats.norm.pdf(x)
    np.testing.assert_allclose(axes[1].lines[0].get_ydata(), p / (p + q), atol=1e-9)


@pytest.mark.parametrize(
    "rate, gamma, alternating, radius, fate",
    [(0.4, 0.0, False, np.sqrt(1.04), "above 1"), (0.4, 0.0, True, 1.0, "exactly 1"),
     (0.4, 0.5, False, np.sqrt(1 - 0.2 + 0.04), "below 1"),
     (3.0, 0.5, False, np.sqrt(1 - 1.5 + 2.25), "above 1")],
)  # fmt: skip
def test_the_dirac_plane_says_radius_fate_and_growth(rate, gamma, alternating, radius, fate):
    panel = DiracPlane()
    move(panel, "learning_rate", rate)
    move(panel, "r1_gamma", gamma)
    move(panel, "alternating", alternating)
    said, measured = numbers(panel)
    assert said == pytest.approx(radius, abs=1e-5) and fate in panel.readout.value
    assert measured == pytest.approx(radius, abs=2e-3)


def test_the_dirac_plane_draws_the_game_that_it_names():
    path = DiracPlane(learning_rate=0.2, r1_gamma=0.3, alternating=True)._artists["path"]
    theta = psi = 1.0
    for drawn_theta, drawn_psi in np.transpose(path.get_data()):
        assert (drawn_theta, drawn_psi) == pytest.approx((theta, psi), abs=1e-12)
        psi = psi - 0.2 * (theta * special.expit(psi * theta) + 0.3 * psi)
        theta = theta + 0.2 * psi * special.expit(psi * theta)
    assert len(path.get_xdata()) == 151


@pytest.mark.parametrize("rate, gamma", [(5.0, 3.0), (5.0, 0.0), (0.02, 0.0), (1.0, 1.0)])
@pytest.mark.parametrize("alternating", [False, True])
def test_the_ends_of_the_sliders_draw_finite_numbers(rate, gamma, alternating):
    panel = DiracPlane(learning_rate=rate, r1_gamma=gamma, alternating=alternating)
    for artist in panel._artists.values():
        assert np.isfinite(artist.get_data()).all()
    assert np.isfinite(numbers(panel)).all() and len(numbers(panel)) == 2


@pytest.mark.parametrize("family", theory.LOSS_CURVES)
def test_the_dots_of_the_loss_curves_lie_on_them_and_are_said(family):
    panel = LossCurves()
    move(panel, "family", family)
    move(panel, "logit", 1.5)
    found = []
    for player in ("generator", "discriminator"):
        for kind in ("loss", "slope"):
            x, y = panel._artists[f"{player}_{kind}"].get_data()
            (dot_x,), (dot_y,) = panel._artists[f"{player}_{kind}_point"].get_data()
            assert dot_x == 1.5 and dot_y == pytest.approx(np.interp(1.5, x, y), abs=1e-4)
            found.append(dot_y)
    np.testing.assert_allclose(numbers(panel), found, atol=6e-5)


def test_the_real_logit_moves_only_the_relativistic_curves():
    panel = LossCurves(family="hinge")
    before = panel.image.value
    move(panel, "real_logit", -3.0)
    assert panel.image.value == before and "plays no part" in panel.readout.value
    move(panel, "family", "relativistic")
    before = panel.image.value
    move(panel, "real_logit", 3.0)
    assert panel.image.value != before and "plays no part" not in panel.readout.value


# The Fréchet plane --------------------------------------------------------------------------------

LEANING = {"mean_x": 1.0, "mean_y": -2.0, "scale_1": 0.5, "scale_2": 1.2, "angle": 90.0}


def test_the_frechet_plane_says_both_terms_and_what_few_samples_add():
    panel = FrechetPlane(count=10)
    for name, value in LEANING.items():
        move(panel, name, value)
    # Turned by 90 degrees the scales are those of the real cloud, 1.2 along x and 0.5 along y.
    means, covariances, distance, sampled, spread, added = numbers(panel)
    assert (means, covariances, distance) == (5.0, 0.0, 5.0)
    assert added == pytest.approx(sampled - 5, abs=2e-4) and added > 0 and spread > 0
    move(panel, "angle", 0.0)
    assert numbers(panel)[1] == pytest.approx(2 * 0.7**2, abs=6e-5)


def test_the_samples_of_the_frechet_plane_are_those_of_its_clouds():
    """The sampled distance again, from points that are drawn, stretched and turned one by one."""
    found = FrechetPlane.numbers(FrechetPlane(), LEANING | {"angle": 30.0, "count": 5})
    turn = np.deg2rad(30)
    axes = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    raw = [
        np.random.default_rng(seed).standard_normal((REPEATS, max(COUNTS), 2)) for seed in (0, 1)
    ]
    distances = []
    for real, generated in zip(*raw, strict=True):
        a = real[:20] * (1.2, 0.5)
        b = (generated[:20] * (0.5, 1.2)) @ axes.T + (1.0, -2.0)
        first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
        determinant = np.sqrt(np.linalg.det(first) * np.linalg.det(second))
        root = np.sqrt(np.trace(first @ second) + 2 * determinant)  # trace of a root in the plane
        gap = a.mean(axis=0) - b.mean(axis=0)
        distances.append(gap @ gap + np.trace(first + second) - 2 * root)
    assert found["sampled"][COUNTS.index(20)] == pytest.approx(np.mean(distances), rel=1e-6)
    assert found["spread"][COUNTS.index(20)] == pytest.approx(np.std(distances, ddof=1), rel=1e-6)


def test_equal_clouds_are_seen_apart_by_few_samples_only():
    found = FrechetPlane.numbers(
        FrechetPlane(),
        {"mean_x": 0, "mean_y": 0, "scale_1": 1.2, "scale_2": 0.5, "angle": 0, "count": 5},
    )
    assert found["distance"] == pytest.approx(0, abs=1e-9)
    assert (np.diff(found["sampled"]) < 0).all()
    # The means alone: the trace of both covariances over the count.
    assert found["sampled"][0] > 2 * (1.2**2 + 0.5**2) / 5
    assert found["sampled"][-1] < 0.01


def test_the_frechet_plane_draws_clouds_ellipses_terms_and_the_chosen_count():
    panel = FrechetPlane(**LEANING, count=50)
    artists = panel._artists
    assert len(artists["real"].get_xdata()) == len(artists["generated"].get_xdata()) == 50
    x, y = artists["generated_ellipse"].get_data()
    assert (x.max(), y.max()) == (pytest.approx(1 + 2.4, abs=2e-3), pytest.approx(-2 + 1, abs=2e-3))
    x, y = artists["real_ellipse"].get_data()
    assert (x.max(), y.max()) == (pytest.approx(2.4, abs=2e-3), pytest.approx(1, abs=2e-3))
    assert artists["means"].get_ydata()[0] == pytest.approx(5)
    assert artists["exact"].get_ydata() == pytest.approx([5, 5])
    found = panel.numbers(panel.settings)
    assert artists["point"].get_data() == ([50], [found["sampled"][COUNTS.index(50)]])
    np.testing.assert_allclose(artists["sampled"].get_ydata(), found["sampled"])
    move(panel, "angle", 0.0)
    assert artists["covariances"].get_ydata()[0] == pytest.approx(2 * 0.7**2)


@pytest.mark.parametrize("scale", [0.0, 2.0])
@pytest.mark.parametrize("mean, angle", [(-3.0, -90.0), (3.0, 90.0), (0.0, 0.0)])
def test_the_ends_of_the_sliders_of_the_frechet_plane_draw_finite_numbers(scale, mean, angle):
    panel = FrechetPlane(mean_x=mean, mean_y=mean, scale_1=scale, scale_2=0.0, angle=angle, count=5)
    for artist in panel._artists.values():
        assert np.isfinite(artist.get_data()).all()
    assert len(numbers(panel)) == 6 and np.isfinite(numbers(panel)).all()


def test_the_numbers_of_the_scaling_panel_are_those_on_paper():
    panel = ScalingPanel()
    for name, value in {"size": 16, "batch": 8, "replicas": 4, "link": "1 Gbit/s network"}.items():
        move(panel, name, value)
    generator, discriminator = scaling.residual_pair(16)
    # Passes of the update with R1 and R2 on a quarter: 4 through G, 12 through D.
    compute = 8 * (4 * generator.flops + 12 * discriminator.flops) / 5e12
    gradients = 4 * (generator.parameters + discriminator.parameters)
    wait = 2 * 3 / 4 * gradients / 0.125e9 + 6 * 1e-5
    efficiency = compute / (compute + wait)
    found = numbers(panel)
    assert found[:3] == pytest.approx([1e3 * compute, 1e3 * wait, efficiency], abs=5e-4)
    assert found[4] == pytest.approx(4 * efficiency, abs=5e-3)
    words = html.unescape(panel.readout.value)
    assert "an update of 32 images" in words and f"{32 / (compute + wait):,.1f} images a" in words
    assert ": fits; the largest batch per device that fits: " in words


def test_the_scaling_panel_says_when_the_memory_is_too_small_and_what_fits():
    panel = ScalingPanel(size=256, batch=256, device="small GPU")
    words = html.unescape(panel.readout.value)
    assert "8.0 GiB: does not fit; the largest batch" in words
    largest = int(words.rsplit(" ", 1)[1].split("<")[0])
    panel.controls["batch"].value = largest
    assert ": fits;" in panel.readout.value
    panel.controls["batch"].value = 2 * largest
    assert "does not fit" in panel.readout.value
    panel.controls["precision"].value = "mixed_bfloat16"
    assert ": fits;" in panel.readout.value  # half the bytes of each image
    assert len(DEVICES) == 3 and len(LINKS) == 4
