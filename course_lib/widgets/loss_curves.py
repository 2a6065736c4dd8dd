"""A panel: what one generated image costs and teaches both players, for its logit."""

import ipywidgets
import numpy as np

from course_lib import plots, theory
from course_lib.widgets.theory_panel import TheoryPanel, slider

BLUE, VERMILION = plots.COLORS[:2]
LOGITS = np.linspace(-8.0, 8.0, 641)


class LossCurves(TheoryPanel):
    """Family of the loss, logit of the generated image, and of the real one it is paired with.

    Left the losses of generator and discriminator, right their slopes; the dots are at the logit.
    """

    size = (8.0, 3.2)
    numbers_code = """
curves = theory.loss_curves("{family}", [{logit}], real_logit={real_logit})
print({{name: float(values[0]) for name, values in curves.items()}})
"""

    def _make_controls(self):
        return {
            "family": ipywidgets.Dropdown(
                options=list(theory.LOSS_CURVES), value="minimax", description="family",
                style={"description_width": "9em"}, layout={"width": "24em"},
            ),
            "logit": slider(-4.0, -8.0, 8.0, 0.1, "generated logit"),
            "real_logit": slider(2.0, -8.0, 8.0, 0.1, "real logit"),
        }  # fmt: skip

    def draw_axes(self, figure):
        """Draw what never moves; returns the artists that `draw` moves."""
        figure.subplots_adjust(left=0.06, right=0.985, bottom=0.16, top=0.9, wspace=0.18)
        artists = {}
        for axis, kind in zip(figure.subplots(1, 2), ("loss", "slope"), strict=True):
            limits = (-9, 9) if kind == "loss" else (-2.2, 2.2)
            axis.set(xlim=(-8, 8), ylim=limits, xlabel="logit of the generated image", title=kind)
            axis.axhline(0, color="0.8", linewidth=1)
            for player, line, marker, color in (
                ("generator", "-", "o", BLUE),
                ("discriminator", "--", "s", VERMILION),
            ):
                key = f"{player}_{kind}"
                artists[key] = axis.plot([], [], line, color=color, label=player)[0]
                artists[f"{key}_point"] = axis.plot([], [], marker, color=color)[0]
            axis.title.set_fontsize(10)
        axis.legend(fontsize=8, loc="upper left")  # of the slopes: there it hides no curve
        return artists

    def draw(self, artists, settings):
        """Move the artists to where the settings put them."""
        family, real_logit = settings["family"], settings["real_logit"]
        for name, values in theory.loss_curves(family, LOGITS, real_logit).items():
            artists[name].set_data(LOGITS, values)
        for name, value in theory.loss_curves(family, [settings["logit"]], real_logit).items():
            artists[f"{name}_point"].set_data([settings["logit"]], value)

    def words(self, settings):
        """Lines that say the numbers."""
        found = theory.loss_curves(settings["family"], [settings["logit"]], settings["real_logit"])
        found = {name: float(values[0]) for name, values in found.items()}
        lines = [
            f"{player}: loss {found[f'{player}_loss']:.4f}, "
            f"slope {found[f'{player}_slope']:.6f} per unit of logit"
            for player in ("generator", "discriminator")
        ]
        if settings["family"] != "relativistic":
            lines.append("The real logit plays no part in this family.")
        return lines
