"""The PyTorch side of the GANs on points; "check" takes the given steps, the others time."""

import json

import torch
from serving import serve
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

    def run(self, count):
        """Take so many steps, each with a fresh batch and fresh latents."""
        for _ in range(count):
            numbers = torch.randint(len(self.atlas), (self.settings["batch_size"],))
            losses = self.step(self.atlas[numbers])
        return losses


def check(given, count):
    """Return the losses of the given steps, "name step" -> tensor."""
    trainer, found = Trainer(given), {}
    for number in range(count):
        for optimizer in trainer.optimizers:
            # Keras adds epsilon before it corrects the bias of the root, PyTorch afterwards.
            optimizer.param_groups[0]["eps"] = 1e-7 / (1 - 0.99 ** (number + 1)) ** 0.5
        batch = (torch.tensor(given[name][number]) for name in ("real", "d_latents", "g_latents"))
        found |= {f"{name} {number}": value for name, value in trainer.step(*batch).items()}
    return found


def build(given, loop):
    if loop == "check":
        return lambda count: check(given, count)
    return Trainer(given, compiled="compile" in loop, fused="fused" in loop).run


if __name__ == "__main__":
    serve(build)
