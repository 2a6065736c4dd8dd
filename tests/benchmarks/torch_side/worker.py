"""A PyTorch worker in an environment of its own: PyTorch and TensorFlow bring clashing runtimes."""

import json
import os
import pathlib
import subprocess

import numpy as np


class TorchWorker:
    """Starts a script of this folder and sends it one order a line; it answers in one line each.

    Args:
        python: interpreter with PyTorch.
        script: file name beside this one; its first argument is the path of an .npz file.
        given: name -> array, what that file holds.
        folder: where the file is written.
        threads: how many threads PyTorch takes.

    Raises:
        OSError: if there is no such interpreter.
        RuntimeError: here or from `ask`, if the worker has ended.
    """

    def __init__(self, python, script, given, folder, threads=2):
        path = pathlib.Path(folder) / "given.npz"
        np.savez(path, **given)
        self.threads = threads
        self.process = subprocess.Popen(
            [python, pathlib.Path(__file__).with_name(script), path],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | {"OMP_WAIT_POLICY": "PASSIVE"},  # idle threads leave the cores to us
        )  # fmt: skip
        self.versions = self._answer()

    def ask(self, loop, count, threads=None):
        """Return the worker's answer to an order: seconds, and the losses of the last unit."""
        order = {"loop": loop, "count": count, "threads": threads or self.threads}
        print(json.dumps(order), file=self.process.stdin, flush=True)
        return self._answer()

    def close(self):
        """Let the worker end."""
        self.process.stdin.close()
        self.process.wait()

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args[0]} ended with {self.process.wait()}.")
        return json.loads(line)
