"""The PyTorch side of classifier_against_peers.py: a worker that is told what to do by stdin."""

import json
import platform
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn.functional import pad


class Same(nn.Conv2d):
    """A 3x3 convolution that pads as TensorFlow's "same": the odd pixel after."""

    def forward(self, x):
        size, stride = x.shape[-1], self.stride[0]
        missing = max((-(-size // stride) - 1) * stride + 3 - size, 0)
        before, after = missing // 2, missing - missing // 2
        return super().forward(pad(x, (before, after, before, after)))


class Flatten(nn.Module):
    def forward(self, x):
        return x.permute(0, 2, 3, 1).flatten(1)  # Keras flattens channels last


def build(name, weights):
    weights = list(weights)

    def convolution(stride, bias):
        kernel = weights.pop(0)
        layer = Same(*kernel.shape[2:], 3, stride, bias=bias)
        layer.weight.data = torch.tensor(kernel.transpose(3, 2, 0, 1).copy())
        if bias:
            layer.bias.data = torch.tensor(weights.pop(0))
        return layer

    def dense():
        kernel, bias = weights.pop(0), weights.pop(0)
        layer = nn.Linear(*kernel.shape)
        layer.weight.data, layer.bias.data = torch.tensor(kernel.T.copy()), torch.tensor(bias)
        return layer

    if name == "article":
        parts = [convolution(4, True), nn.ReLU(), nn.MaxPool2d(2)]
        parts += [convolution(2, True), nn.ReLU(), nn.MaxPool2d(2)]
        return nn.Sequential(*parts, Flatten(), dense(), nn.ReLU(), dense())
    parts = []
    for stride in (1, 2, 1, 2, 1):
        parts.append(convolution(stride, False))
        channels = parts[-1].out_channels
        parts += [nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01), nn.ReLU()]
        del weights[:4]  # gamma, beta, mean, variance: as PyTorch has them at first
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), dense())


def main():
    given = dict(np.load(sys.argv[1]))
    weights = [given[name] for name in sorted(given) if name.startswith("weight")]
    images = torch.tensor(given["images"].transpose(0, 3, 1, 2)).to(
        memory_format=torch.channels_last
    )
    labels = torch.tensor(given["labels"]).long()
    print(
        json.dumps(f"PyTorch {torch.__version__}, Python {platform.python_version()}"), flush=True
    )
    trainers = {}
    for line in sys.stdin:
        order = json.loads(line)
        torch.set_num_threads(order["threads"])
        key = order["loop"]
        if key not in trainers:
            model = build(str(given["network"]), weights).to(memory_format=torch.channels_last)
            adam = torch.optim.AdamW(model.parameters(), lr=1e-3, eps=1e-7, weight_decay=0.01,
                                     fused="fused" in key)  # fmt: skip
            trainers[key] = model, adam
        model, adam = trainers[key]
        start = time.perf_counter(), time.process_time()
        for _ in range(order["steps"]):
            with torch.autocast("cpu", torch.bfloat16, enabled="bfloat16" in key):
                loss = nn.functional.cross_entropy(model(images).float(), labels)
            adam.zero_grad()
            loss.backward()
            adam.step()
        seconds = time.perf_counter() - start[0], time.process_time() - start[1]
        print(json.dumps([*seconds, loss.item()]), flush=True)


if __name__ == "__main__":
    main()
