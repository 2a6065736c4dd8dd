"""A panel: two normal densities, the best discriminator between them, and one of your own."""

import math

import numpy as np

from course_lib import plots, theory
from course_lib.widgets.theory_panel import TheoryPanel, slider

BLUE, VERMILION, GREEN, PURPLE = plots.COLORS[:4]
X = np.linspace(-16.0, 16.0, 3201)
SPACING = X[1] - X[0]
LOWEST = -3.0  # of the axis of values; what lies below is drawn as a triangle at its end


class TwoGaussians(TheoryPanel):
    """Real data from N(0, 1), generated data from N(mean, sigma), D(x) = slope * (x - offset).

    Left the densities, in the middle D* and the sliders' discriminator as probabilities, right
    their values V over the Jensen-Shannon divergence: no discriminator gets above the line.
    """

    size = (10.0, 3.3)
    numbers_code = """
import numpy as np

x = np.linspace(-16, 16, 3201)
p, q = theory.gaussian(x, 0, 1), theory.gaussian(x, {mean}, {sigma})
print("JSD  ", theory.js_divergence(p, q, x[1] - x[0]))
print("V(D*)", theory.value_function(theory.optimal_logits(p, q), p, q, x[1] - x[0]))
print("V(D) ", theory.value_function({slope} * (x - {offset}), p, q, x[1] - x[0]))
"""

    def _make_controls(self):
        return {
            "mean": slider(2.0, -6.0, 6.0, 0.1, "mean of q"),
            "sigma": slider(0.7, 0.3, 2.5, 0.05, "sigma of q"),
            "slope": slider(-1.0, -6.0, 6.0, 0.1, "slope of D"),
            "offset": slider(1.0, -6.0, 6.0, 0.1, "offset of D"),
        }

    @staticmethod
    def numbers(settings):
        """dict of the densities p and q, the logits of D, and `jsd`, `best` and `value` in nats."""
        p = theory.gaussian(X, 0.0, 1.0)
        q = theory.gaussian(X, settings["mean"], settings["sigma"])
        logits = settings["slope"] * (X - settings["offset"])
        return {
            "p": p,
            "q": q,
            "logits": logits,
            "jsd": theory.js_divergence(p, q, SPACING),
            "best": theory.value_function(theory.optimal_logits(p, q), p, q, SPACING),
            "value": theory.value_function(logits, p, q, SPACING),
        }

    def draw_axes(self, figure):
        """Draw what never moves; returns the artists that `draw` moves."""
        figure.subplots_adjust(left=0.05, right=0.985, bottom=0.16, top=0.9, wspace=0.24)
        density, answer, value = figure.subplots(1, 3)
        density.set(xlim=(-6, 6), ylim=(0, 1.35), xlabel="x", title="densities")
        answer.set(xlim=(-6, 6), ylim=(-0.03, 1.35), xlabel="x", title="probability of “real”")
        answer.set_yticks([0, 0.25, 0.5, 0.75, 1])
        value.set(xlim=(-0.02, 0.75), ylim=(LOWEST, 0.1), title="value V (nats)")
        value.set_xlabel("JSD(p, q) (nats)")
        divergences = np.array([0.0, theory.LOG_2])
        value.plot(divergences, 2 * divergences - 2 * theory.LOG_2, color="0.3", linewidth=1,
                   label="2 JSD − log 4")  # fmt: skip
        value.axvline(theory.LOG_2, color="0.7", linestyle=":", linewidth=1)
        value.annotate("log 2", (theory.LOG_2, LOWEST), fontsize=8, ha="right", va="bottom")
        artists = {
            "p": density.plot([], [], color=BLUE, label="real p")[0],
            "q": density.plot([], [], "--", color=VERMILION, label="generated q")[0],
            "best": answer.plot([], [], color=GREEN, label="best D*")[0],
            "yours": answer.plot([], [], "--", color=PURPLE, label="your D")[0],
            "best_point": value.plot([], [], "o", color=GREEN, label="V(D*)")[0],
            "your_point": value.plot([], [], "s", color=PURPLE, label="V(D)")[0],
        }
        for axis, place in ((density, "upper left"), (answer, "upper left"), (value, "lower left")):
            axis.title.set_fontsize(10)
            axis.legend(fontsize=8, loc=place)
        return artists

    def draw(self, artists, settings):
        """Move the artists to where the settings put them."""
        found = self.numbers(settings)
        artists["p"].set_data(X, found["p"])
        artists["q"].set_data(X, found["q"])
        artists["best"].set_data(X, theory.optimal_discriminator(found["p"], found["q"]))
        artists["yours"].set_data(X, theory.sigmoid(found["logits"]))
        artists["best_point"].set_data([found["jsd"]], [found["best"]])
        artists["your_point"].set_data([found["jsd"]], [max(found["value"], LOWEST + 0.05)])
        artists["your_point"].set_marker("s" if found["value"] > LOWEST else "v")

    def words(self, settings):
        """Lines that say the numbers."""
        found = self.numbers(settings)
        bound = 2 * found["jsd"] - math.log(4)
        return [
            f"JSD = {found['jsd']:.4f} nats (0: equal, 0.6931: nothing shared)",
            f"best discriminator (green circle): V(D*) = {found['best']:.4f}; "
            f"2 JSD − log 4 = {bound:.4f}",
            f"your discriminator (purple square): V(D) = {found['value']:.4f}, "
            f"which is {found['best'] - found['value']:.4f} below the best",
        ]
