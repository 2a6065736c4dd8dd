"""How many pictures a second the latent studio shows while a slider is dragged.

    python tests/benchmarks/latent_studio_rate.py [--seconds 10]

First without the panel's limit of 14 pictures a second: a look is drawn, put together and encoded,
one after the other. Then as it is used: a slider moved 60 times a second, pictures counted.
"""

import argparse
import time

import numpy as np

from course_lib import runtime, shipped
from course_lib.widgets.latent_studio import LatentStudio


def unlimited(panel, seconds):
    """Return pictures a second, and milliseconds of processor time for each, of all threads."""
    end, count = time.perf_counter() + seconds, 0
    started, used = time.perf_counter(), time.process_time()
    while time.perf_counter() < end:
        panel.amounts["component 1"].value = 3 * np.sin(count / 20)
        panel.worker.run()
        count += 1
    milliseconds = 1000 * (time.process_time() - used) / count
    return count / (time.perf_counter() - started), milliseconds


def dragged(panel, seconds):
    """Return pictures a second, and the 95th percentile of the seconds between two."""
    shown = []
    panel.image.observe(lambda change: shown.append(time.perf_counter()), "value")
    end, count = time.perf_counter() + seconds, 0
    while time.perf_counter() < end:
        panel.x.value = (count % 100) / 100
        count += 1
        time.sleep(1 / 60)
    gaps = np.diff(shown)
    return 1 / gaps.mean(), np.quantile(gaps, 0.95)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    settings = parser.parse_args()
    print(runtime.report().splitlines()[1])
    panel = LatentStudio(shipped.load("faces_64"))
    rate, used = unlimited(panel, settings.seconds)
    print(f"without a limit: {rate:.1f} pictures a second, {used:.0f} ms of processor time each")
    rate, slow = dragged(panel, settings.seconds)
    print(f"dragged: {rate:.1f} pictures a second, 95 % within {1000 * slow:.0f} ms")
    panel.worker.close()


if __name__ == "__main__":
    main()
