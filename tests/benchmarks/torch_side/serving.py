"""The loop of every PyTorch worker: it hears and says one JSON object a line.

{"loop": name, "count": n, "threads": t} is answered by {"seconds": s, "losses": {name: value}},
those of the last of n units. A loop is built when it is first asked for: the memory of a network
that is never timed is never taken, and what comes first shows what compiling costs.
"""

import json
import platform
import sys
import time

import numpy as np
import torch


def serve(build):
    """Answer until the input ends.

    Args:
        build: (arrays of the .npz file, loop name) -> function of a count, which returns the losses
            of the last unit, a dict of tensors or floats.
    """
    given = dict(np.load(sys.argv[1]))
    print(
        json.dumps(f"PyTorch {torch.__version__}, Python {platform.python_version()}"), flush=True
    )
    loops = {}
    for line in sys.stdin:
        order = json.loads(line)
        torch.set_num_threads(order["threads"])
        if order["loop"] not in loops:
            loops[order["loop"]] = build(given, order["loop"])
        start = time.perf_counter()
        losses = {k: float(v) for k, v in loops[order["loop"]](order["count"]).items()}
        answer = {"seconds": time.perf_counter() - start, "losses": losses}
        print(json.dumps(answer), flush=True)


def parse(loop):
    """Return what a loop's name says: whether it is compiled, and whether it is in bfloat16."""
    return "compile" in loop, "bfloat16" in loop
