"""How well faces_64 can be steered: python recipes/steering.py

For each property: how often a move of 3 standard deviations along its direction gives it to a face
that lacked it. Then, for the property that changes most beside it: how far the encoder's reading of
that one drifts with no lock, with a lock on its direction, and with a lock on its gradients at each
face (`steering.walk`). All moves get equally far along the first direction. Directions and trial
faces come from different seeds. Writes data/results/09_steering.json.
"""

import argparse
import json
import time

import numpy as np
from provenance import provenance

from course_lib import latent_space, runtime, shipped, steering

PSI, AMOUNT = 0.7, 3.0  # truncation of the trial faces; standard deviations of a move


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--styles", type=int, default=6_000, help="to learn directions from")
    parser.add_argument("--trials", type=int, default=100, help="faces that are moved")
    settings = parser.parse_args()
    runtime.setup(seed=0)
    started = time.perf_counter()
    generator = shipped.load("faces_64")
    mapping, synthesis = generator.get_layer("mapping"), generator.get_layer("synthesis")

    def read(styles):
        layered = latent_space.per_layer(styles, synthesis.input_shape[1]).astype("float32")
        return steering.scores(synthesis.predict(layered, batch_size=50, verbose=0))

    sample = latent_space.draw_styles(mapping, settings.styles, seed=2)
    directions = steering.directions(sample, read(sample))
    amounts = {name: AMOUNT * np.std(sample @ n) for name, n in directions.items()}
    trials = latent_space.draw_styles(mapping, settings.trials, seed=3)
    trials = latent_space.truncate(trials, sample.mean(axis=0), PSI)
    before = read(trials)
    success, locks = {}, []
    for target, direction in directions.items():
        moved = read(trials + amounts[target] * direction)
        lacking = before[target] < 0
        success[target] = [int(np.sum(moved[target][lacking] > 0)), int(lacking.sum())]
        drifts = {name: np.abs(moved[name] - before[name]) for name in directions}
        lock = max(set(directions) - {target}, key=lambda name: drifts[name].mean())
        step = steering.move(direction, [directions[lock]], amounts[target])
        walked = steering.walk(synthesis, trials, direction, [lock], amounts[target])
        locks.append(
            {"target": target, "lock": lock, "unlocked": round(float(drifts[lock].mean()), 3)}
        )
        for name, styles in {"direction": trials + step, "gradients": walked}.items():
            found = read(styles)
            drift = np.abs(found[lock] - before[lock])
            locks[-1][name] = {
                "drift": round(float(drift.mean()), 3),
                "less": int(np.sum(drift < drifts[lock])),
                "success": int(np.sum(found[target][lacking] > 0)),
            }
        print(locks[-1], flush=True)
    facts = provenance(seed=[2, 3], started=started)
    facts |= {"styles": settings.styles, "trials": settings.trials, "success": success}
    path = runtime.DATA_DIR / "results" / "09_steering.json"
    path.write_text(json.dumps(facts | {"locks": locks}, indent=1) + "\n")
    print(success)


if __name__ == "__main__":
    main()
