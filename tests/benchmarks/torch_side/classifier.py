"""The PyTorch side of the classifier: the same network, AdamW and batch."""

import json

import torch
from networks import build, channels_last
from serving import parse, serve
from torch.nn.functional import cross_entropy


class Trainer:
    def __init__(self, given, loop):
        compiled, self.bfloat16 = parse(loop)
        settings = json.loads(str(given["settings"]))
        self.network = build(settings["parts"], given.__getitem__)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=settings["rate"], eps=1e-7,
            weight_decay=settings["weight_decay"], fused=True,
        )  # fmt: skip
        if compiled:
            self.network.compile()
        self.images = channels_last(given["images"])
        self.labels = torch.tensor(given["labels"]).long()

    def __call__(self, count):
        for _ in range(count):
            with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
                loss = cross_entropy(self.network(self.images).float(), self.labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        return {"loss": loss.detach()}


if __name__ == "__main__":
    serve(Trainer)
