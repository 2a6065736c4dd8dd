"""Networks from the description that `translate.describe` makes of a Keras model."""

import torch
from torch import nn
from torch.nn import functional


class Reshape(nn.Module):
    """Vectors to maps, channels last in memory."""

    def __init__(self, shape):
        super().__init__()
        self.shape = shape

    def forward(self, x):
        return x.view(-1, *self.shape).permute(0, 3, 1, 2)


class Flatten(nn.Module):
    def forward(self, x):
        return x.permute(0, 2, 3, 1).flatten(1)  # Keras flattens channels last


class Residual(nn.Module):
    """Adds a branch to its input."""

    def __init__(self, branch):
        super().__init__()
        self.branch = branch

    def forward(self, x):
        return x + self.branch(x)


class Sphere(nn.Module):
    def forward(self, x):
        return functional.normalize(x, eps=1e-6)


class Scale(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return self.factor * x


def _weighted(layer, kernel, bias):
    layer.weight.data = torch.tensor(kernel)
    if bias is not None:
        layer.bias.data = torch.tensor(bias)
    return layer


def _norm(part, take):
    kind = nn.BatchNorm2d if part["maps"] else nn.BatchNorm1d
    layer = kind(part["channels"], eps=part["epsilon"], momentum=1 - part["momentum"])
    layer.weight.data, layer.bias.data = (torch.tensor(take(name)) for name in part["arrays"][:2])
    return layer


def _instance_norm(part, take):
    layer = nn.InstanceNorm2d(part["channels"], eps=part["epsilon"], affine=True)
    layer.weight.data, layer.bias.data = (torch.tensor(take(name)) for name in part["arrays"])
    return layer


def _reflect(part, take):
    before, after = part["before"], part["margin"]
    return nn.ReflectionPad2d((before, after, before, after))


def _convolution(part, take):
    kernel, bias = take(part["kernel"]), part["bias"] and take(part["bias"])
    options = {"stride": part["stride"], "padding": part["padding"], "bias": bias is not None}
    if part["kind"] == "depthwise":
        count = kernel.shape[2]
        layer = nn.Conv2d(count, count, kernel.shape[0], groups=count, **options)
        return _weighted(layer, kernel.transpose(2, 3, 0, 1).copy(), bias)
    if part["kind"] == "transposed":
        layer = nn.ConvTranspose2d(
            kernel.shape[3],
            kernel.shape[2],
            kernel.shape[0],
            output_padding=part["extra"],
            **options,
        )
        return _weighted(layer, kernel.transpose(3, 2, 0, 1).copy(), bias)
    layer = nn.Conv2d(kernel.shape[2], kernel.shape[3], kernel.shape[0], **options)
    return _weighted(layer, kernel.transpose(3, 2, 0, 1).copy(), bias)


def _dense(part, take):
    kernel, bias = take(part["kernel"]), part["bias"] and take(part["bias"])
    return _weighted(nn.Linear(*kernel.shape, bias=bias is not None), kernel.T.copy(), bias)


PARTS = {
    "dense": _dense,
    "convolution": _convolution,
    "transposed": _convolution,
    "depthwise": _convolution,
    "norm": _norm,
    "instance norm": _instance_norm,
    "reflect": _reflect,
    "reshape": lambda part, take: Reshape(part["shape"]),
    "flatten": lambda part, take: Flatten(),
    "leaky": lambda part, take: nn.LeakyReLU(part["slope"]) if part["slope"] else nn.ReLU(),
    "tanh": lambda part, take: nn.Tanh(),
    "dropout": lambda part, take: nn.Dropout(part["rate"]),
    "max pool": lambda part, take: nn.MaxPool2d(part["size"]),
    "mean pool": lambda part, take: nn.AvgPool2d(part["size"]),
    "global pool": lambda part, take: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    "enlarge": lambda part, take: nn.Upsample(scale_factor=part["factor"]),
    "sphere": lambda part, take: Sphere(),
    "scale": lambda part, take: Scale(part["factor"]),
    "residual": lambda part, take: Residual(build(part["parts"], take)),
}


def build(parts, take):
    """Return the network, channels last.

    Args:
        parts: list of dicts, each with its "kind".
        take: name of an array -> the array.
    """
    network = nn.Sequential(*(PARTS[part["kind"]](part, take) for part in parts))
    return network.to(memory_format=torch.channels_last)


def channels_last(images):
    """Return an NHWC array as an NCHW tensor that lies in memory as it did."""
    return torch.tensor(images).permute(0, 3, 1, 2)
