"""Every loss with every penalty on 25 Gaussians, three seeds: python recipes/gan_lab_table.py

Writes data/results/02_gan_lab.json. An interrupted run goes on where it stopped.
`--only relativistic R1+R2 --steps 20000` measures one arm and writes nothing.
"""

import argparse
import json
import time

from provenance import provenance

from course_lib import losses, runtime
from course_lib.lab_settings import PENALTIES
from course_lib.laboratory import Laboratory, Settings

SEEDS, SAMPLES = 3, 10_000
GAMMA = {"none": 0.0, "R1": 1.0, "R1+R2": 1.0, "WGAN-GP": 10.0}


def settings_of(loss, penalty, *, steps, seed):
    """Return the settings of one run: three layers of 128, everything annealed over the run."""
    return Settings(
        data="25_gaussians", loss=loss, penalty=penalty, gamma=GAMMA[penalty],
        d_learning_rate=2e-3, g_learning_rate=2e-3, depth=3, width=128, batch_size=128,
        ema_decay=0.99, anneal_steps=steps, seed=seed,
    )  # fmt: skip


def measured(settings, steps):
    """Train and return the measures on fresh points, with the seconds of the training alone."""
    lab = Laboratory(settings, record_every=max(steps // 20, 1))
    lab.run(1)  # compiles
    started = time.perf_counter()
    lab.run(steps - 1)
    seconds = time.perf_counter() - started
    names = ("covered", "on_mode", "reverse_kl", "sliced_wasserstein")
    if lab.diverged:
        return dict.fromkeys(names) | {"seconds": round(seconds, 1), "diverged_at": lab.tick}
    found = lab.measure(SAMPLES)
    return {name: round(float(found[name]), 4) for name in names} | {"seconds": round(seconds, 1)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=6_000)
    parser.add_argument("--only", nargs=2, metavar=("LOSS", "PENALTY"))
    arguments = parser.parse_args()
    runtime.setup(seed=0)
    path = runtime.DATA_DIR / "results" / "02_gan_lab.json"
    part = runtime.results_dir() / "02_gan_lab_part.json"
    arms = [(loss, penalty) for loss in losses.FAMILIES for penalty in PENALTIES]
    if arguments.only:
        arms = [tuple(arguments.only)]
    runs, started = [], time.perf_counter()
    if not arguments.only and part.exists():
        runs = json.loads(part.read_text())
    done = {(run["loss"], run["penalty"], run["seed"]) for run in runs}
    for loss, penalty in arms:
        for seed in range(SEEDS):
            if (loss, penalty, seed) in done:
                continue
            settings = settings_of(loss, penalty, steps=arguments.steps, seed=seed)
            found = measured(settings, arguments.steps)
            runs.append({"loss": loss, "penalty": penalty, "seed": seed} | found)
            print(runs[-1], flush=True)
            if not arguments.only:
                part.write_text(json.dumps(runs))
    if arguments.only:
        return
    facts = provenance(seed=list(range(SEEDS)), started=started)
    facts |= {"steps": arguments.steps, "samples": SAMPLES, "runs": runs}
    facts["minutes"] = round(sum(run["seconds"] for run in runs) / 60, 1)  # all parts together
    path.write_text(json.dumps(facts, indent=1) + "\n")
    part.unlink()


if __name__ == "__main__":
    main()
