"""How the cost of an update grows with image size, batch and replicas: python recipes/scaling.py

Every arm is a process of its own, so that its peak of memory is its own; arms that are in the
table already are not measured again. Writes data/results/16_scaling.json. On logical CPU devices,
which share the cores, replicas cannot be faster than one: what is measured is what they cost.
The time is that of the fastest of several updates: what else the machine does only adds.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

from provenance import provenance

from course_lib import runtime

PATH = runtime.DATA_DIR / "results" / "16_scaling.json"
FACTS = {"network": "residual", "width": 16, "loss": "relativistic, R1 + R2 on a quarter"}
ARMS = {
    "size": [{"size": 16, "batch": 32}, {"size": 32, "batch": 32}, {"size": 64, "batch": 32}],
    "batch": [{"size": 32, "batch": 8}, {"size": 32, "batch": 128}],
    "replicas": [{"size": 16, "batch": 32, "replicas": count} for count in (2, 4)],
    "precision": [{"size": 32, "batch": 32, "precision": "mixed_bfloat16"}],
}
STEPS = 10


def resident():
    """Return (bytes in memory now, most so far) of this process."""
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[1]) * resource.getpagesize()
    return now, 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measure(arm):
    """Return what one arm costs, beside what `course_lib.scaling` says."""
    import keras
    import tensorflow as tf

    from course_lib import scaling, steps
    from course_lib.networks import residual
    from course_lib.replicas import Replicas

    size, batch, replicas = arm["size"], arm["batch"], arm.get("replicas", 1)
    runtime.split_cpu(replicas)
    strategy = runtime.strategy()
    runtime.setup(precision=arm.get("precision", "float32"))
    filters = [min(128, 16 * size // side) for side in (4, 8, 16, 32, 64) if side <= size]
    with strategy.scope():
        gan = steps.Gan.create(
            residual.generator(64, (size, size, 3), filters=filters),
            residual.discriminator((size, size, 3), filters=filters[::-1]),
            generator_optimizer=keras.optimizers.Adam(1e-3, 0.0, 0.99),
            discriminator_optimizer=keras.optimizers.Adam(1e-3, 0.0, 0.99),
            seed=0,
        )
        config = steps.GanStepConfig(
            latent_dim=64, loss="relativistic", r1_gamma=1.0, r2_gamma=1.0, penalty_share=0.25
        )
        step = Replicas(strategy).step(steps.make_gan_step(gan, config))
    images = tf.random.stateless_uniform((batch, size, size, 3), (0, 1), -1, 1)
    costs = [scaling.model_cost(model) for model in (gan.generator, gan.discriminator)]
    width = scaling.FLOAT32 if arm.get("precision") is None else scaling.BFLOAT16
    memory = scaling.training_memory(*costs, config, batch, width=width)
    before, _ = resident()
    started = time.perf_counter()
    float(step(images)["g_loss"])
    compiled, seconds = time.perf_counter() - started, []
    for _ in range(STEPS):
        started = time.perf_counter()
        float(step(images)["g_loss"])
        seconds.append(time.perf_counter() - started)
    return arm | {
        "seconds": min(seconds),
        "first_seconds": compiled,
        "flops": batch * scaling.step_flops(*costs, config),
        "parameters": sum(cost.parameters for cost in costs),
        "memory_before": before,
        "memory_peak": resident()[1],
        "per_image_predicted": memory.per_image,
        "gradients_predicted": memory.gradients,
    }


def limits():
    """Return what the machine can do: operations per second of products, bytes per second."""
    import tensorflow as tf

    def fastest(compute, repeats=10):
        compute()
        seconds = []
        for _ in range(repeats):
            started = time.perf_counter()
            compute()
            seconds.append(time.perf_counter() - started)
        return min(seconds)

    found, side = {}, 2048
    for name in ("float32", "bfloat16"):
        a = tf.cast(tf.random.stateless_normal((side, side), (0, 1)), name)
        product = tf.function(lambda a: tf.reduce_sum(a @ a))
        found[name] = 2 * side**3 / fastest(lambda a=a, f=product: f(a).numpy())
    numbers = tf.zeros(2**26)  # 256 MiB, far more than any cache holds
    add = tf.function(lambda numbers: numbers + 1.0)
    found["bytes"] = 2 * 4 * 2**26 / fastest(lambda: add(numbers)[0].numpy())
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arm", help="JSON of one arm, measured in this process")
    parser.add_argument("--most", type=int, default=99, help="arms to measure in this call")
    settings = parser.parse_args()
    if settings.arm:
        arm = json.loads(settings.arm)
        print("RESULT", json.dumps(limits() if arm == "limits" else measure(arm)))
        return
    table = json.loads(PATH.read_text()) if PATH.exists() else dict(FACTS)
    if any(table.get(name) != value for name, value in FACTS.items()):
        raise SystemExit(f"{PATH} was made with other facts: delete it first.")
    started = time.perf_counter() - 60 * table.get("minutes", 0)
    wanted = [("limits", "limits")] + [(kind, arm) for kind, arms in ARMS.items() for arm in arms]
    missing = [
        (kind, arm)
        for kind, arm in wanted
        if kind not in table
        or kind != "limits"
        and not any(arm.items() <= row.items() for row in table[kind])
    ]
    for kind, arm in missing[: settings.most]:
        result = in_own_process(arm)
        if kind == "limits":
            table[kind] = result
        else:
            table.setdefault(kind, []).append(result)
            table[kind].sort(key=lambda row: (row["size"], row["batch"], row.get("replicas", 1)))
        table |= provenance(seed=0, started=started)
        table["command"] = "python recipes/scaling.py"
        PATH.write_text(json.dumps(table, indent=1) + "\n")
        print(kind, result, flush=True)


def in_own_process(arm):
    """Return what this script prints for an arm."""
    command = [sys.executable, __file__, "--arm", json.dumps(arm)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("RESULT"))
    return json.loads(line.removeprefix("RESULT"))


if __name__ == "__main__":
    main()
