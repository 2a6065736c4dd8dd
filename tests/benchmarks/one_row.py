"""One row in a process of its own, beside a PyTorch worker; prints the results as one line of JSON.

python -m tests.benchmarks.one_row NAME [--rounds 30] [--threads 2] [--torch-python PYTHON]
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # must be set before TensorFlow is imported

import argparse  # noqa: E402
import contextlib  # noqa: E402
import importlib  # noqa: E402
import json  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402

from tests.benchmarks import protocol  # noqa: E402
from tests.benchmarks.torch_side.worker import TorchWorker  # noqa: E402


def arguments(parser):
    """Add what `python -m tests.benchmarks` has in common with this command."""
    parser.add_argument("--rounds", type=int, default=30, help="of which each loop has a turn")
    parser.add_argument("--threads", type=int, default=2, help="of TensorFlow and of PyTorch")
    parser.add_argument("--torch-python", help="interpreter of an environment with PyTorch")


def run(name, options):
    """Return the results of a row."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(options.threads)
    versions = [protocol.our_versions()]
    with contextlib.ExitStack() as stack:

        def worker(script, given):
            if not options.torch_python:
                return None
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            made = TorchWorker(options.torch_python, script, given, folder, options.threads)
            stack.callback(made.close)
            versions[1:] = [made.versions]
            return made

        row = importlib.import_module(f"tests.benchmarks.rows.{name}").prepare(worker)
        found = protocol.measure(row, options.rounds)
    return found | {"threads": options.threads, "versions": "; ".join(versions)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    arguments(parser)
    options = parser.parse_args()
    print(json.dumps(run(options.name, options)))


if __name__ == "__main__":
    sys.exit(main())
