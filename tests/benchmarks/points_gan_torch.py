"""The PyTorch side of points_gan_against_peers.py: a worker that is told what to do by stdin.

It needs PyTorch and NumPy only, and says and hears one JSON object a line: {"do": "check"} answers
the metrics of the steps with given batches, {"do": "run", "loop": name, "threads": t, "steps": n}
the seconds that passed and those of the processor.
"""

import json
import platform
import sys
import time

import numpy as np
import torch
from torch.nn.functional import softplus


def arrays(given, network):
    """Return the weights of a network, in their order."""
    return [given[name] for name in sorted(given) if name.startswith(network + "/")]


def mlp(weights, slope):
    """Return a Sequential of kernels (inputs, outputs) and biases, as Keras orders them."""
    layers = []
    for kernel, bias in zip(weights[::2], weights[1::2], strict=True):
        linear = torch.nn.Linear(*kernel.shape)
        linear.weight.data = torch.tensor(kernel.T).contiguous()
        linear.bias.data = torch.tensor(bias)
        layers += [linear, torch.nn.LeakyReLU(slope) if slope else torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


class Trainer:
    """Two networks, their optimizers and the update; `options` go to Adam and `compiled` here."""

    def __init__(self, given, *, compiled=False, **options):
        self.settings = json.loads(str(given["settings"]))
        self.atlas = torch.tensor(given["atlas"])
        self.generator = mlp(arrays(given, "generator"), 0)
        self.discriminator = mlp(arrays(given, "discriminator"), 0.2)
        self.optimizers = [
            torch.optim.Adam(
                network.parameters(), lr=self.settings[rate], betas=(0.0, 0.99), eps=1e-7, **options
            )
            for network, rate in (
                (self.discriminator, "d_learning_rate"),
                (self.generator, "g_learning_rate"),
            )
        ]
        self.parameters = [list(n.parameters()) for n in (self.discriminator, self.generator)]
        if compiled:
            self.generator.compile()
            self.discriminator.compile()

    def latents(self):
        return torch.randn(self.settings["batch_size"], self.settings["latent_dim"])

    def step(self, real, d_latents=None, g_latents=None):
        """One update of each network; returns the metrics, still as tensors."""
        relativistic = self.settings["loss"] == "relativistic"
        penalised = self.settings["penalty"] == "R1+R2"
        metrics = {}

        with torch.no_grad():
            fake = self.generator(self.latents() if d_latents is None else d_latents)
        if penalised:
            real.requires_grad_()
            fake.requires_grad_()
        real_logits, fake_logits = self.discriminator(real), self.discriminator(fake)
        if relativistic:
            d_loss = softplus(fake_logits - real_logits).mean()
        else:
            d_loss = softplus(-real_logits).mean() + softplus(fake_logits).mean()
        loss, metrics["d_loss"] = d_loss, d_loss.detach()
        if penalised:
            for name, logits, points in (("r1", real_logits, real), ("r2", fake_logits, fake)):
                (slopes,) = torch.autograd.grad(logits.sum(), points, create_graph=True)
                penalty = slopes.square().sum(1).mean()
                metrics[name] = penalty.detach()
                loss = loss + self.settings["gamma"] / 2 * penalty
        self._descend(loss, 0)

        fake = self.generator(self.latents() if g_latents is None else g_latents)
        fake_logits = self.discriminator(fake)
        if relativistic:
            with torch.no_grad():
                real_logits = self.discriminator(real)
            g_loss = softplus(real_logits - fake_logits).mean()
        else:
            g_loss = softplus(-fake_logits).mean()
        self._descend(g_loss, 1)
        return metrics | {"g_loss": g_loss.detach()}

    def _descend(self, loss, which):
        self.optimizers[which].zero_grad(set_to_none=True)
        loss.backward(inputs=self.parameters[which])  # no gradient that nobody reads
        self.optimizers[which].step()

    def run(self, steps):
        """Return the two times of so many steps, each with a fresh batch and fresh latents."""
        start = np.array([time.perf_counter(), time.process_time()])
        for _ in range(steps):
            numbers = torch.randint(len(self.atlas), (self.settings["batch_size"],))
            metrics = self.step(self.atlas[numbers])
        last = {name: value.item() for name, value in metrics.items()}
        seconds = np.array([time.perf_counter(), time.process_time()]) - start
        assert all(np.isfinite(value) for value in last.values()), last
        return seconds.tolist()


def check(given):
    """Return the metrics of the given steps, a list of dicts of float."""
    trainer, found = Trainer(given), []
    batches = zip(*(given[name] for name in ("real", "d_latents", "g_latents")), strict=True)
    for number, batch in enumerate(batches, 1):
        for optimizer in trainer.optimizers:
            # Keras adds epsilon before it corrects the bias of the root, PyTorch afterwards.
            optimizer.param_groups[0]["eps"] = 1e-7 / (1 - 0.99**number) ** 0.5
        found.append(trainer.step(*(torch.tensor(array) for array in batch)))
    return [{name: value.item() for name, value in metrics.items()} for metrics in found]


def main():
    given = dict(np.load(sys.argv[1]))
    loops = {
        "torch eager": Trainer(given),
        "torch eager, fused Adam": Trainer(given, fused=True),
        "torch.compile, fused Adam": Trainer(given, fused=True, compiled=True),
    }
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    print(json.dumps(versions), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        if order["do"] == "check":
            answer = check(given)
        else:
            torch.set_num_threads(order["threads"])
            answer = loops[order["loop"]].run(order["steps"])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
