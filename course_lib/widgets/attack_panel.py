"""A panel: how little has to change until a classifier answers something else."""

import ipywidgets
import numpy as np

from course_lib import adversarial, plots
from course_lib.widgets.picture_panel import (
    PicturePanel,
    draw_probabilities,
    probabilities,
)

METHODS = ("FGSM", "PGD", "noise")


class AttackPanel(PicturePanel):
    """The picture, the changed one, their difference magnified, and the probabilities of both.

    The attacks raise the loss of the label; for an uploaded picture, which has none, that of the
    class that the network chooses for it.
    """

    size = (11.0, 3.4)

    def __init__(self, model, images, labels, classes, **settings):
        """Build the panel.

        Args:
            model, images: as in `PicturePanel`; the model gives logits.
            labels: integers (count,), the right class of each picture.
            classes: names of the classes.
            **settings: `strength` (largest change, in grey levels of 255), `method` (one of
                `METHODS`) and `picture`.

        Raises:
            ValueError, TypeError: as `PicturePanel`; ValueError on another number of labels.
        """
        if len(labels) != len(images):
            raise ValueError(f"{len(images)} pictures need as many labels, got {len(labels)}.")
        self.classes, self.labels = tuple(classes), [int(label) for label in labels]
        self._last = (None, None)  # settings and their changed picture: draw and words both ask
        super().__init__(model, images, **settings)

    def changed(self):
        """The changed picture, float32 (size, size, channels)."""
        settings = tuple(self.settings.values())
        if self._last[0] != settings:
            self._last = (settings, self._attack())
        return self._last[1]

    def _attack(self):
        images, labels = self.picture[None], np.array([self._label()])
        epsilon = self.settings["strength"] * adversarial.GREY_LEVEL
        method = self.settings["method"]
        if method == "noise":
            return adversarial.noise(images, epsilon, seed=(0, 0))[0].numpy()
        attack = adversarial.fgsm if method == "FGSM" else adversarial.pgd
        return attack(self.model, images, labels, epsilon)[0].numpy()

    def draw(self, figure):
        margins = {"left": 0.01, "right": 0.99, "bottom": 0.2, "top": 0.9, "wspace": 0.08}
        axes = figure.subplots(1, 5, width_ratios=(1, 1, 1, 0.35, 1.1), gridspec_kw=margins)
        axes[3].set_axis_off()  # room for the names of the classes
        strength, changed = self.settings["strength"], self.changed()
        difference = changed - self.picture
        # Grey is no change, black and white are the largest one that is allowed.
        magnified = difference / (max(strength, 0.5) * adversarial.GREY_LEVEL)
        shown = {"picture": self.picture, "changed": changed}
        shown["difference, magnified"] = np.clip(magnified, -1, 1)
        for axis, (title, picture) in zip(axes, shown.items(), strict=False):
            axis.imshow(plots.to_display(picture[None])[0], interpolation="nearest")
            axis.set_title(title, fontsize=10)
            axis.set_axis_off()
        before, now = (probabilities(self.model, each) for each in (self.picture, changed))
        draw_probabilities(axes[4], self.classes, before, now)

    def words(self):
        """Lines that say the numbers."""
        changed, label = self.changed(), self._label()
        before, now = (probabilities(self.model, each) for each in (self.picture, changed))
        largest = np.abs(changed - self.picture).max()
        said = ", ".join(
            f"{name} {new:.4f} (was {old:.4f})"
            for name, old, new in zip(self.classes, before, now, strict=True)
        )
        answer = f"{self.classes[now.argmax()]}, {'right' if now.argmax() == label else 'wrong'}"
        return [
            f"class attacked: {self.classes[label]}; the network says {answer}",
            f"largest change: {largest / adversarial.GREY_LEVEL:.2f} grey levels of 255, "
            f"{largest:.4f} in [-1, 1]",
            f"probability: {said}",
        ]

    def _label(self):
        index = self.settings["picture"]
        if index < len(self.labels):
            return self.labels[index]
        return int(probabilities(self.model, self.picture).argmax())

    def _make_controls(self):
        return {
            "strength": ipywidgets.FloatSlider(
                value=2.0, min=0.0, max=32.0, step=0.25, description="largest change",
                continuous_update=True, style={"description_width": "8em"},
                layout={"width": "22em"},
            ),
            "method": ipywidgets.Dropdown(options=METHODS, description="method"),
        }  # fmt: skip

    def _arguments(self):
        return f"model, images, {self._shown_labels()}, {self.classes!r}"

    def _shown_labels(self):
        if self.settings["picture"] in self._files:
            return f"[{self._label()}]"
        return "labels"
