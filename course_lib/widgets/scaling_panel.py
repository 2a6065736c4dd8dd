"""A panel: how long an update takes on several devices, what of it is waiting, and if it fits."""

import types

import ipywidgets
import numpy as np

from course_lib import plots, scaling
from course_lib.widgets.theory_panel import TheoryPanel

BLUE, VERMILION, GREEN = plots.COLORS[:3]
GB, GIB, TERA = 1e9, 2**30, 1e12
LATENCY = 10e-6  # seconds per round of the ring
# (operations per second in float32, in bfloat16, bytes of memory): assumed, not measured.
DEVICES = {
    "laptop, two cores": (0.05 * TERA, 0.05 * TERA, 4 * GIB),
    "small GPU": (5 * TERA, 15 * TERA, 8 * GIB),
    "large GPU": (30 * TERA, 150 * TERA, 80 * GIB),
}
LINKS = {
    "1 Gbit/s network": 0.125 * GB,
    "10 Gbit/s network": 1.25 * GB,
    "100 Gbit/s network": 12.5 * GB,
    "links between GPUs, 300 GB/s": 300 * GB,
}
NUMBERS = {"float32": scaling.FLOAT32, "mixed_bfloat16": scaling.BFLOAT16}
POWERS = [2**k for k in range(9)]
MOST = 64  # replicas


# The update of notebook 16, as `scaling.passes` wants to know it.
UPDATE = types.SimpleNamespace(
    loss="relativistic", r1_gamma=1.0, r2_gamma=1.0, gradient_penalty_weight=0.0,
    penalty_share=0.25, discriminator_updates=1,
)  # fmt: skip


def predict(size, batch, replicas, link, precision, device):
    """Return the (`scaling.StepTime`, `scaling.Memory`) of the settings; batch is per device."""
    costs = scaling.residual_pair(size)
    speed = DEVICES[device][list(NUMBERS).index(precision)]
    time = scaling.step_time(
        batch * scaling.step_flops(*costs, UPDATE),
        scaling.FLOAT32 * sum(cost.parameters for cost in costs),  # weights stay float32
        replicas,
        speed=speed,
        bandwidth=LINKS[link],
        latency=LATENCY,
    )
    memory = scaling.training_memory(*costs, UPDATE, batch, width=NUMBERS[precision])
    return time, memory


class ScalingPanel(TheoryPanel):
    """Residual networks of notebook 16 with the relativistic loss, R1 and R2 on a quarter.

    Left an update as 100 %: computing and communicating; in the middle the efficiency for 1 to 64
    devices, with the chosen number as a point; right the memory on each device, and what it has.
    """

    size = (10.0, 3.0)
    numbers_code = """
from course_lib.widgets.scaling_panel import predict

time, memory = predict({size}, {batch}, {replicas}, {link!r}, {precision!r}, {device!r})
print("milliseconds", 1e3 * time.compute, "+", 1e3 * time.communication)
print("efficiency  ", time.efficiency)
print("bytes       ", memory.total)
"""

    def _make_controls(self):
        def choice(kind, options, value, label):
            return kind(options=options, value=value, description=label,
                        style={"description_width": "9em"}, layout={"width": "26em"})  # fmt: skip

        slider, menu = ipywidgets.SelectionSlider, ipywidgets.Dropdown
        return {
            "size": choice(slider, [16, 32, 64, 128, 256], 64, "image size"),
            "batch": choice(slider, POWERS, 32, "images per device"),
            "replicas": choice(slider, [n for n in POWERS if n <= MOST], 8, "devices"),
            "link": choice(menu, list(LINKS), "10 Gbit/s network", "between them"),
            "precision": choice(menu, list(NUMBERS), "float32", "precision"),
            "device": choice(menu, list(DEVICES), "small GPU", "device (assumed)"),
        }

    def draw_axes(self, figure):
        """Draw what never moves; returns the artists that `draw` moves."""
        figure.subplots_adjust(left=0.03, right=0.97, bottom=0.2, top=0.85, wspace=0.22)
        step, efficiency, memory = figure.subplots(1, 3)
        step.set(xlim=(0, 100), ylim=(0, 1), yticks=[], xlabel="% of an update", title="time")
        efficiency.set(xlim=(0.9, 80), ylim=(0, 1.05), xlabel="devices", title="efficiency")
        efficiency.set_xscale("log", base=2)
        efficiency.set_xticks([1, 2, 4, 8, 16, 32, 64], [1, 2, 4, 8, 16, 32, 64])
        memory.set(xlim=(2**22, 2**38), ylim=(0, 1), yticks=[], xlabel="bytes", title="memory")
        memory.set_xscale("log", base=2)
        memory.set_xticks([2**24, 2**30, 2**36], ["16 MiB", "1 GiB", "64 GiB"])
        memory.minorticks_off()
        for axis in (step, efficiency, memory):
            axis.title.set_fontsize(10)
        words = {"ha": "center", "va": "center", "fontsize": 9}
        return {
            "compute": step.barh([0.65], [50], 0.3, color=BLUE)[0],
            "wait": step.barh([0.65], [50], 0.3, left=50, color=VERMILION, hatch="//")[0],
            "compute_words": step.text(50, 0.32, "", color=BLUE, **words),
            "wait_words": step.text(50, 0.14, "", color=VERMILION, **words),
            "curve": efficiency.plot([], [], color=GREEN)[0],
            "point": efficiency.plot([], [], "o", color=GREEN)[0],
            "needed": memory.barh([0.65], [1], 0.3, left=2**22, color=BLUE)[0],
            "there": memory.plot([], [], color="black", linewidth=2)[0],
            "memory_words": memory.text(2**30, 0.25, "", **words),
        }

    def draw(self, artists, settings):
        """Move the artists to where the settings put them."""
        time, memory = predict(**settings)
        share = 100 * time.efficiency
        artists["compute"].set_width(share)
        artists["wait"].set_x(share)
        artists["wait"].set_width(100 - share)
        artists["compute_words"].set_text(f"computing {1e3 * time.compute:.3g} ms")
        artists["wait_words"].set_text(f"communicating {1e3 * time.communication:.3g} ms (hatched)")
        numbers = np.array([n for n in POWERS if n <= MOST])
        curve = [predict(**settings | {"replicas": n})[0].efficiency for n in numbers.tolist()]
        artists["curve"].set_data(numbers, curve)
        artists["point"].set_data([settings["replicas"]], [time.efficiency])
        has = DEVICES[settings["device"]][2]
        artists["needed"].set_width(max(0, memory.total - 2**22))
        artists["needed"].set_color(BLUE if memory.total <= has else VERMILION)
        artists["there"].set_data([has, has], [0.42, 0.88])
        verdict = "fits" if memory.total <= has else "does not fit"
        artists["memory_words"].set_text(f"{verdict}\n(black line: what a device has)")

    def words(self, settings):
        """Lines that say the numbers."""
        time, memory = predict(**settings)
        images, has = settings["batch"] * settings["replicas"], DEVICES[settings["device"]][2]
        largest = memory.largest_batch(has)
        fits = "fits" if memory.total <= has else "does not fit"
        return [
            f"an update of {images:,} images: {1e3 * time.compute:.3f} ms computing (blue) + "
            f"{1e3 * time.communication:.3f} ms communicating (vermilion, hatched)",
            f"efficiency {time.efficiency:.3f}; {images / time.total:,.1f} images a second, "
            f"{settings['replicas'] * time.efficiency:.2f} times those of one device",
            f"memory {memory.total / GIB:.3f} GiB of {has / GIB:.1f} GiB: {fits}; the largest "
            f"batch per device that fits: {largest:,}",
        ]
