"""How well faces_64 can be steered: python recipes/steering.py

For each property: how often a move of 3 standard deviations along its direction gives it to a face
that lacked it. For each pair of properties: how far the encoder's reading of the second drifts when
the first is moved, with the second free and with it locked; both moves get as far along the first.
Directions and trial faces come from different seeds. Writes data/results/09_steering.json.
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
        for lock in set(directions) - {target}:
            step = steering.move(direction, [directions[lock]], amounts[target])
            free = np.abs(moved[lock] - before[lock])
            held_scores = read(trials + step)
            held = np.abs(held_scores[lock] - before[lock])
            locks.append(
                {
                    "target": target,
                    "lock": lock,
                    "cosine": round(float(direction @ directions[lock]), 3),
                    "unlocked": round(float(free.mean()), 3),
                    "locked": round(float(held.mean()), 3),
                    "less": int(np.sum(held < free)),
                    "success": int(np.sum(held_scores[target][lacking] > 0)),
                }
            )
    locks.sort(key=lambda row: (-abs(row["cosine"]), row["target"]))
    facts = provenance(seed=[2, 3], started=started)
    facts |= {"styles": settings.styles, "trials": settings.trials, "success": success}
    path = runtime.DATA_DIR / "results" / "09_steering.json"
    path.write_text(json.dumps(facts | {"locks": locks}, indent=1) + "\n")
    for row in locks:
        print(row)
    print(success)


if __name__ == "__main__":
    main()
