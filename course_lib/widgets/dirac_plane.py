"""A panel: the Dirac-GAN in its phase plane, with spectral radius and measured growth."""

import ipywidgets
import numpy as np

from course_lib import plots, theory
from course_lib.widgets.theory_panel import TheoryPanel, slider

BLUE, VERMILION = plots.COLORS[:2]
STEPS = 150
START = (1.0, 1.0)
LIMIT = 2.6  # of the plane's axes
NEAR = 1e-6  # start of the right picture: so near that the game equals its matrix


class DiracPlane(TheoryPanel):
    """Learning rate, R1 weight and order of the updates; 150 steps.

    Left the path in the plane of both players' parameters, right the distance from the
    equilibrium in a game that starts close to it, with the powers of the spectral radius.
    """

    size = (8.0, 3.6)
    numbers_code = """
setting = ({learning_rate}, {r1_gamma})
matrix = theory.dirac_step_matrix(*setting, alternating={alternating})
print("spectral radius", theory.spectral_radius(matrix))
print("measured growth", theory.measured_growth(*setting, alternating={alternating}))
"""

    def _make_controls(self):
        return {
            "learning_rate": slider(0.3, 0.02, 5.0, 0.02, "learning rate h"),
            "r1_gamma": slider(0.0, 0.0, 3.0, 0.05, "R1 weight γ"),
            "alternating": ipywidgets.Dropdown(
                options=[("both at once (simultaneous)", False), ("D, then G (alternating)", True)],
                value=False, description="order",
                style={"description_width": "9em"}, layout={"width": "24em"},
            ),
        }  # fmt: skip

    @staticmethod
    def numbers(settings):
        """dict of `radius` (of the update matrix) and `growth` (measured, per step)."""
        return {
            "radius": theory.spectral_radius(theory.dirac_step_matrix(**settings)),
            "growth": theory.measured_growth(**settings),
        }

    def draw_axes(self, figure):
        """Draw what never moves; returns the artists that `draw` moves."""
        figure.subplots_adjust(left=0.085, right=0.98, bottom=0.14, top=0.9, wspace=0.26)
        plane, distance = figure.subplots(1, 2)
        plane.set(xlim=(-LIMIT, LIMIT), ylim=(-LIMIT, LIMIT), aspect="equal",
                  xlabel="generator θ", ylabel="discriminator ψ",
                  title=f"{STEPS} steps from (1, 1); +: equilibrium")  # fmt: skip
        plane.plot([0], [0], "+", color="black", markersize=12)
        plane.plot(*START, "s", color=VERMILION, markersize=6)
        plane.annotate("start", (START[0] + 0.1, START[1] + 0.1), fontsize=8)
        distance.set(xlim=(0, STEPS), ylim=(1e-4, 1e4), yscale="log", xlabel="step",
                     title="distance / starting distance, close by")  # fmt: skip
        distance.axhline(1, color="0.7", linestyle=":", linewidth=1)
        artists = {
            "path": plane.plot([], [], ".-", color=BLUE, linewidth=0.7, markersize=3)[0],
            "played": distance.plot([], [], color=BLUE, label="played")[0],
            "powers": distance.plot([], [], "--", color=VERMILION, label="spectral radius ** step")[
                0
            ],
        }
        distance.legend(fontsize=8, loc="upper left")
        for axis in (plane, distance):
            axis.title.set_fontsize(10)
        return artists

    def draw(self, artists, settings):
        """Move the artists to where the settings put them."""
        path = theory.dirac_trajectory(START, STEPS, **settings)
        near = theory.dirac_trajectory(np.multiply(NEAR, START), STEPS, **settings)
        distances = np.hypot(*near.T) / np.hypot(*near[0])
        steps = np.arange(STEPS + 1)
        artists["path"].set_data(*np.clip(path, -1e3, 1e3).T)  # far outside is far enough
        artists["played"].set_data(steps[: len(near)], np.clip(distances, 1e-9, 1e9))
        radius = theory.spectral_radius(theory.dirac_step_matrix(**settings))
        powers = np.clip(radius ** steps.astype("float64"), 1e-9, 1e9)
        artists["powers"].set_data(steps, powers)

    def words(self, settings):
        """Lines that say the numbers."""
        found = self.numbers(settings)
        radius = found["radius"]
        if abs(radius - 1) < 1e-9:
            fate = "exactly 1: it circles, neither in nor out"
        else:
            fate = "above 1: it moves away" if radius > 1 else "below 1: it comes closer"
        return [
            f"spectral radius of the update matrix: {radius:.5f} ({fate})",
            f"measured growth per step, close to the equilibrium: {found['growth']:.5f}",
        ]
