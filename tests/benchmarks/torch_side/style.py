"""The PyTorch side of both style rows: losses of features, on a picture or on a network."""

import json

import torch
from networks import build, channels_last
from serving import parse, serve

EPSILON = 1e-8


def gram(maps):
    flat = maps.float().flatten(2)
    return flat @ flat.transpose(1, 2) / flat.shape[2]


def relative_error(found, target):
    return ((found - target) ** 2).mean() / ((target**2).mean() + EPSILON)


def normalised(maps):
    deviation, mean = torch.std_mean(maps.float(), dim=(2, 3), correction=0, keepdim=True)
    return (maps.float() - mean) / (deviation**2 + 1e-5).sqrt()


class Encoder(torch.nn.Module):
    """A chain whose values are taken after some of its parts."""

    def __init__(self, settings, take):
        super().__init__()
        self.chain = build(settings["parts"], take).requires_grad_(False)
        self.taps = {
            at: name for name, at in {**settings["contents"], **settings["styles"]}.items()
        }

    def forward(self, x):
        found = {}
        for at, part in enumerate(self.chain, start=1):
            x = part(x)
            if at in self.taps:
                found[self.taps[at]] = x
        return found


class Losses:
    """Content, style and variation of pictures."""

    def __init__(self, given, settings, compiled):
        self.settings = settings
        self.encoder = Encoder(settings, given.__getitem__)
        with torch.no_grad():
            features = self.encoder(channels_last(given["painting"]))
            self.grams = {name: gram(features[name]) for name in settings["styles"]}
        if compiled:
            self.encoder.compile()
        self.prepare = normalised if settings.get("normalised") else torch.Tensor.float

    def contents(self, images):
        """Return what `terms` compares the content with."""
        with torch.no_grad():
            features = self.encoder(images)
            return {name: self.prepare(features[name]) for name in self.settings["contents"]}

    def terms(self, images, contents):
        features = self.encoder(images)
        down, across = images.diff(dim=2), images.diff(dim=3)
        return {
            "content": sum(
                relative_error(self.prepare(features[n]), contents[n]) for n in contents
            ),
            "style": sum(relative_error(gram(features[n]), self.grams[n]) for n in self.grams),
            "variation": (down**2).mean() + (across**2).mean(),
        }

    def total(self, terms):
        return sum(self.settings["weights"][name] * value.float() for name, value in terms.items())


class Picture:
    """Adam over one picture, clamped after each step, as TensorFlow's tutorial."""

    def __init__(self, given, loop):
        compiled, self.bfloat16 = parse(loop)
        self.settings = json.loads(str(given["settings"]))
        self.losses = Losses(given, self.settings, compiled)
        photograph = channels_last(given["photograph"])
        self.contents = self.losses.contents(photograph)
        self.picture = photograph.clone().requires_grad_(True)
        self.adam = torch.optim.Adam(
            [self.picture], lr=self.settings["rate"], betas=(0.99, 0.999), eps=0.1, fused=True
        )

    def __call__(self, count):
        for _ in range(count):
            with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
                total = self.losses.total(self.losses.terms(self.picture, self.contents))
            self.adam.zero_grad()
            (self.settings["scale"] * total).backward()
            self.adam.step()
            with torch.no_grad():
                self.picture.clamp_(-1, 1)
        return {"total": total.detach()}


class Network:
    """The update of a network of one style."""

    def __init__(self, given, loop):
        compiled, self.bfloat16 = parse(loop)
        self.settings = json.loads(str(given["settings"]))
        self.losses = Losses(given, self.settings, compiled)
        self.network = build(self.settings["network"], given.__getitem__)
        self.adam = torch.optim.Adam(
            self.network.parameters(), lr=self.settings["rate"], eps=1e-7, fused=True
        )
        if compiled:
            self.network.compile()
        self.photographs = channels_last(given["photographs"])

    def __call__(self, count):
        for _ in range(count):
            with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
                contents = self.losses.contents(self.photographs)
                images = self.network(self.photographs).float()
                terms = self.losses.terms(images, contents)
            self.adam.zero_grad()
            self.losses.total(terms).backward()
            self.adam.step()
        return {name: value.detach() for name, value in terms.items()}


if __name__ == "__main__":
    serve(lambda given, loop: (Network if "photographs" in given else Picture)(given, loop))
