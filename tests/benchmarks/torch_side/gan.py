"""The PyTorch side of the GANs on images: the same networks, update, optimizer and latents."""

import json

import torch
from networks import build, channels_last
from serving import parse, serve
from torch.nn.functional import softplus


class Trainer:
    """Two networks, their optimizers and the update of `steps.make_gan_step`."""

    def __init__(self, given, loop):
        compiled, self.bfloat16 = parse(loop)
        self.settings = json.loads(str(given["settings"]))
        self.networks = [
            build(self.settings[name], given.__getitem__) for name in ("discriminator", "generator")
        ]
        self.optimizers = [
            torch.optim.Adam(
                network.parameters(), lr=self.settings["rate"], betas=self.settings["betas"],
                fused=True,
            )
            for network in self.networks
        ]  # fmt: skip
        self.parameters = [list(network.parameters()) for network in self.networks]
        if compiled:
            for network in self.networks:
                network.compile()
        self.real_images = channels_last(given["real_images"])
        self.latents, self.done = torch.tensor(given["latents"]), 0

    def __call__(self, count):
        for _ in range(count):
            for optimizer in self.optimizers:
                # Keras adds epsilon before it corrects the bias of the root, PyTorch afterwards.
                corrected = 1 - self.settings["betas"][1] ** (self.done + 1)
                optimizer.param_groups[0]["eps"] = 1e-7 / corrected**0.5
            losses = self.step(self.latents[self.done % len(self.latents)])
            self.done += 1
        return losses

    def step(self, latents):
        """One update of each network, both on the same generated images."""
        discriminator, generator = self.networks
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            fake_images = generator(latents)
            real_logits = discriminator(self.real_images)
            fake_logits = discriminator(fake_images.detach())
        d_loss = self._d_loss(real_logits.float(), fake_logits.float())
        penalties = self._penalties(fake_images.detach().float())
        self._descend(d_loss + sum(penalties.values()) * self.settings["gamma"] / 2, 0)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            fake_logits = discriminator(fake_images).float()
            if self.settings["loss"] == "relativistic":
                with torch.no_grad():
                    real_logits = discriminator(self.real_images).float()
        if self.settings["loss"] == "relativistic":
            g_loss = softplus(real_logits - fake_logits).mean()
        else:
            g_loss = softplus(-fake_logits).mean()
        self._descend(g_loss, 1)
        losses = {"d_loss": d_loss, "g_loss": g_loss} | penalties
        return {name: value.detach() for name, value in losses.items()}

    def _d_loss(self, real_logits, fake_logits):
        if self.settings["loss"] == "relativistic":
            return softplus(fake_logits - real_logits).mean()
        return softplus(-real_logits).mean() + softplus(fake_logits).mean()

    def _penalties(self, fake_images):
        """Return R1 and R2 on the first part of the batch, still with their graph."""
        found = {}
        if self.settings["gamma"]:
            for name, images in (("r1", self.real_images), ("r2", fake_images)):
                images = images[: self.settings["penalised"]].detach().requires_grad_()
                with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
                    logits = self.networks[0](images)
                (slopes,) = torch.autograd.grad(logits.float().sum(), images, create_graph=True)
                found[name] = slopes.float().square().sum((1, 2, 3)).mean()
        return found

    def _descend(self, loss, which):
        self.optimizers[which].zero_grad(set_to_none=True)
        loss.backward(inputs=self.parameters[which])  # no gradient that nobody reads
        self.optimizers[which].step()


if __name__ == "__main__":
    serve(Trainer)
