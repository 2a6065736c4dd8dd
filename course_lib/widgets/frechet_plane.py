"""A panel: two normal clouds, the two terms of their Fréchet distance, and what few samples do."""

import ipywidgets
import numpy as np

from course_lib import gaussians, plots
from course_lib.widgets.theory_panel import TheoryPanel, slider

BLUE, VERMILION, GREEN, PURPLE = plots.COLORS[:4]
REAL_SCALES = (1.2, 0.5)  # standard deviations of the real cloud, along x and y
COUNTS = (5, 10, 20, 50, 100, 200, 500, 1000)
REPEATS = 200  # sets of samples behind each point of the right picture
LIMIT = 5.0  # of the plane's axes
HIGHEST, LOWEST = 60.0, 1e-3  # of the axis of distances


class FrechetPlane(TheoryPanel):
    """Mean, scales and angle of a generated cloud against a fixed real one, and a sample count.

    Left one sample of each with the ellipses that hold 86 % of the distribution, in the middle
    the two terms of the distance, right the distance of the samples against their number.
    """

    size = (10.0, 3.6)
    numbers_code = """
from course_lib import gaussians

real = (0, 0), gaussians.covariance_of((1.2, 0.5), 0)
generated = ({mean_x}, {mean_y}), gaussians.covariance_of(({scale_1}, {scale_2}), {angle})
print(gaussians.frechet_terms(*real, *generated))
"""

    def _make_controls(self):
        return {
            "mean_x": slider(0.5, -3.0, 3.0, 0.1, "mean, x"),
            "mean_y": slider(0.0, -3.0, 3.0, 0.1, "mean, y"),
            "scale_1": slider(1.2, 0.0, 2.0, 0.05, "first scale"),
            "scale_2": slider(0.5, 0.0, 2.0, 0.05, "second scale"),
            "angle": slider(20.0, -90.0, 90.0, 5.0, "angle (degrees)"),
            "count": ipywidgets.SelectionSlider(
                options=COUNTS, value=20, description="samples of each", continuous_update=True,
                style={"description_width": "9em"}, layout={"width": "24em"},
            ),
        }  # fmt: skip

    def __init__(self, **settings):
        """Build the panel; settings as in `TheoryPanel`."""
        # One set of standard normal samples for all settings: a slider only stretches and turns
        # them, so that the picture changes smoothly.
        self._real = gaussians.sample_moments(COUNTS, REPEATS, seed=0)
        self._generated = gaussians.sample_moments(COUNTS, REPEATS, seed=1)
        super().__init__(**settings)

    def numbers(self, settings):
        """Return dict of `means`, `covariances` and `distance` (exact), `sampled` and `spread`.

        The last two are float64 arrays (len(COUNTS),): mean and standard deviation, over
        REPEATS pairs of samples, of the distance that the samples give.
        """
        map_a, map_b, mean = _maps(settings)
        exact = gaussians.frechet_terms((0, 0), map_a @ map_a.T, mean, map_b @ map_b.T)
        (means_a, covariances_a), (means_b, covariances_b) = self._real, self._generated
        sampled = gaussians.frechet_terms(
            means_a @ map_a.T, _symmetric(map_a @ covariances_a @ map_a.T),
            means_b @ map_b.T + mean, _symmetric(map_b @ covariances_b @ map_b.T),
        ).distance  # fmt: skip
        return {
            "means": float(exact.means),
            "covariances": float(exact.covariances),
            "distance": float(exact.distance),
            "sampled": sampled.mean(axis=1),
            "spread": sampled.std(axis=1, ddof=1),
        }

    def draw_axes(self, figure):
        """Draw what never moves; returns the artists that `draw` moves."""
        figure.subplots_adjust(left=0.04, right=0.985, bottom=0.15, top=0.9, wspace=0.3)
        plane, terms, bias = figure.subplots(1, 3, width_ratios=(1.1, 0.8, 1.1))
        plane.set(xlim=(-LIMIT, LIMIT), ylim=(-LIMIT, LIMIT), aspect="equal",
                  title="samples, and ellipses of 2 scales")  # fmt: skip
        terms.set(xlim=(0.4, 2.6), ylim=(LOWEST, HIGHEST), yscale="log", title="the two terms")
        terms.set_xticks([1, 2], ["means", "covariances"])
        terms.grid(axis="y", color="0.9")
        bias.set(xlim=(4, 1250), ylim=(LOWEST, HIGHEST), xscale="log", yscale="log",
                 xlabel="samples of each", title="Fréchet distance")  # fmt: skip
        artists = {
            "real": plane.plot([], [], "o", color=BLUE, markersize=3, alpha=0.6, label="real")[0],
            "real_ellipse": plane.plot([], [], color=BLUE)[0],
            "generated": plane.plot([], [], "^", color=VERMILION, markersize=3, alpha=0.6,
                                    label="generated")[0],
            "generated_ellipse": plane.plot([], [], "--", color=VERMILION)[0],
            "means": terms.plot([], [], "o", color=GREEN, markersize=14)[0],
            "covariances": terms.plot([], [], "D", color=PURPLE, markersize=12)[0],
            "sampled": bias.plot([], [], "s-", color=PURPLE, markersize=4,
                                 label=f"mean of {REPEATS} samples")[0],
            "exact": bias.plot([], [], "--", color="black", label="exact")[0],
            "point": bias.plot([], [], "o", color=GREEN, markersize=9, label="chosen")[0],
        }  # fmt: skip
        plane.legend(fontsize=8, loc="upper left")
        bias.legend(fontsize=8, loc="upper right")
        for axis in (plane, terms, bias):
            axis.title.set_fontsize(10)
        return artists

    def draw(self, artists, settings):
        """Move the artists to where the settings put them."""
        found, (map_a, map_b, mean) = self.numbers(settings), _maps(settings)
        turn = np.linspace(0, 2 * np.pi, 100)
        circle = 2 * np.stack([np.cos(turn), np.sin(turn)])
        for name, map_, centre, seed in (
            ("real", map_a, np.zeros(2), 2), ("generated", map_b, mean, 3),
        ):  # fmt: skip
            points = np.random.default_rng(seed).standard_normal((settings["count"], 2))
            artists[name].set_data(*(points @ map_.T + centre).T)
            artists[f"{name}_ellipse"].set_data(*(map_ @ circle + centre[:, None]))
        for x, name in ((1, "means"), (2, "covariances")):
            artists[name].set_data([x], [max(found[name], LOWEST)])
        sampled = found["sampled"].clip(LOWEST, HIGHEST)
        artists["sampled"].set_data(COUNTS, sampled)
        artists["exact"].set_data([1, 1e4], [max(found["distance"], LOWEST)] * 2)
        chosen = COUNTS.index(settings["count"])
        artists["point"].set_data([COUNTS[chosen]], [sampled[chosen]])

    def words(self, settings):
        """Lines that say the numbers."""
        found = self.numbers(settings)
        chosen = COUNTS.index(settings["count"])
        return [
            f"means {found['means']:.4f} (circle) + covariances {found['covariances']:.4f} "
            f"(diamond) = Fréchet distance {found['distance']:.4f} (dashed)",
            f"from {settings['count']} samples of each: {found['sampled'][chosen]:.4f} on average, "
            f"standard deviation {found['spread'][chosen]:.4f}",
            f"so few samples add {found['sampled'][chosen] - found['distance']:.4f}",
        ]


def _maps(settings):
    """The linear maps of both clouds, and the mean of the generated one."""
    scales = settings["scale_1"], settings["scale_2"]
    return (
        gaussians.linear_map(REAL_SCALES, 0),
        gaussians.linear_map(scales, settings["angle"]),
        np.array([settings["mean_x"], settings["mean_y"]]),
    )


def _symmetric(covariances):
    return (covariances + np.swapaxes(covariances, -2, -1)) / 2  # what rounding took apart
