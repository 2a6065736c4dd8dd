"""How often do the detectors of notebook 02 fire, on broken runs and on healthy ones?

python -m tests.benchmarks.detectors [--seeds 10]
"""

import argparse
import collections
import dataclasses

from course_lib import runtime
from course_lib.diagnosis import diagnose
from course_lib.lab_settings import BROKEN_RUNS, BROKEN_TICKS, Settings
from course_lib.laboratory import Laboratory

HEALTHY = {
    "eight Gaussians, R1": Settings(penalty="R1", gamma=0.5),
    "ring, relativistic, R1+R2": Settings(
        data="ring", loss="relativistic", penalty="R1+R2", gamma=0.5
    ),
    "two Gaussians, hinge, R1": Settings(
        data="two_gaussians", loss="hinge", penalty="R1", gamma=0.1
    ),
    "moons, WGAN-GP": Settings(
        data="moons", loss="wasserstein", penalty="WGAN-GP", discriminator_updates=3
    ),
}


def findings(settings, seeds):
    """Return name -> in how many of the seeds it was found."""
    counted = collections.Counter()
    for seed in range(seeds):
        lab = Laboratory(dataclasses.replace(settings, seed=seed))
        lab.run(BROKEN_TICKS)
        scale = float(lab.real.points.std(axis=0).mean())
        counted.update(finding.name for finding in diagnose(lab.rows, scale=scale))
    return dict(counted)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    seeds = parser.parse_args().seeds
    runtime.setup(seed=0)
    for name, run in BROKEN_RUNS.items():
        print(f"broken {name} ({run.finding}): {findings(run.settings, seeds)}", flush=True)
        cured = dataclasses.replace(run.settings, **run.cure)
        print(f"       cured: {findings(cured, seeds)}", flush=True)
    for name, settings in HEALTHY.items():
        print(f"healthy, {name}: {findings(settings, seeds)}", flush=True)


if __name__ == "__main__":
    main()
