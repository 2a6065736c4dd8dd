"""How fast and how quick to answer is the live laboratory?

    python -m tests.benchmarks.gan_lab_live [--seconds 60] [--subshell]

Starts a real kernel, builds the panel of notebook 02 in it, plays, and talks to it through the
messages that a browser sends. Prints steps a second, pictures a second, messages a second, the
click-to-effect time (median and 95th percentile) and the memory of the kernel over the time.
"""

import argparse
import os
import pathlib
import re
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from widget_harness import NotebookKernel

PANEL = """\
import resource
from course_lib import runtime
runtime.setup(seed=0)
from course_lib.widgets.gan_lab import GanLab
panel = GanLab()
panel.panel
"""
MEMORY = """\
import pathlib, re
print(re.search(r"VmRSS:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1])
"""


def clicks(kernel, model, status, count):
    """Return the seconds from each move of a slider until the status says its value."""
    rates = (1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4)
    found = []
    for number in range(count):
        index = number % len(rates)
        wanted = f"g_learning_rate = {rates[index]!r}"
        kernel.collect(0.05 + 0.01 * (number % 10))
        start = time.perf_counter()
        kernel.change(model, index=index)
        kernel.wait_for(lambda w=wanted: w in kernel.state[status].get("value", ""))
        found.append(time.perf_counter() - start)
    return found


class Kernel(NotebookKernel):
    """A kernel that can be listened to for a time."""

    def collect(self, seconds):
        self.messages_in(seconds)

    def wait_for(self, condition):
        self._receive(lambda _: condition(), what="the effect")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clicks", type=int, default=40)
    parser.add_argument("--subshell", action="store_true")
    settings = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with tempfile.TemporaryDirectory() as folder:
        with Kernel(pathlib.Path(folder), subshell=settings.subshell) as kernel:
            kernel.run(PANEL)
            play = kernel.run("print(panel.play.model_id)").split()[-1]
            status = kernel.run("print(panel.status.model_id)").split()[-1]
            image = kernel.run("print(panel.image.model_id)").split()[-1]
            rate = kernel.run("print(panel.controls['g_learning_rate'].model_id)").split()[-1]
            kernel.change(play, value=True)
            kernel.collect(5)
            before = len(kernel.images.get(image, []))
            tick = int(kernel.run("print(panel.lab.tick)"))
            memory = [int(kernel.run(MEMORY).split()[-1]) / 1024]
            start, messages = time.perf_counter(), 0
            while time.perf_counter() - start < settings.seconds:
                messages += kernel.messages_in(min(10.0, settings.seconds))
                memory.append(int(kernel.run(MEMORY).split()[-1]) / 1024)
            seconds = time.perf_counter() - start
            steps = int(kernel.run("print(panel.lab.tick)")) - tick
            pictures = len(kernel.images[image]) - before
            answered = clicks(kernel, rate, status, settings.clicks)
            start = time.perf_counter()
            kernel.change(play, value=False)
            kernel.wait_for(lambda: kernel.state[play].get("description", "").endswith("play"))
            paused = time.perf_counter() - start
            said = re.sub("<[^>]*>", " ", kernel.state[status]["value"])[:60]
    quantile = statistics.quantiles(answered, n=20)[-1]
    print(f"load average {os.getloadavg()[0]:.1f}; last words: {said}")
    print(f"steps/s {steps / seconds:.0f}; pictures/s {pictures / seconds:.1f}; "
          f"messages/s {messages / seconds:.0f}")  # fmt: skip
    print(f"slider to effect: median {statistics.median(answered) * 1e3:.0f} ms, "
          f"95th percentile {quantile * 1e3:.0f} ms; pause {paused * 1e3:.0f} ms")  # fmt: skip
    print(f"memory MiB: {memory[0]:.0f} at first, {memory[-1]:.0f} after {seconds:.0f} s, "
          f"largest {max(memory):.0f}")  # fmt: skip


if __name__ == "__main__":
    main()
