"""PyTorch's style tutorial on our encoder: started by style_by_optimisation.py, not by hand.

L-BFGS with its settings of https://docs.pytorch.org/tutorials/advanced/neural_style_tutorial.html,
the picture clamped at each closure; the losses are those of course_lib.style. It is imported by
nothing and imports nothing of the course: PyTorch lives in an environment of its own.
"""

import json
import sys
import time

import numpy as np
import torch
from torch.nn import functional


def features_of(images, weights, names):
    """Return dict of layer name -> feature maps (1, channels, height, width)."""
    x, block, found = images, "block1", {}
    for name in dict.fromkeys(key.split("/")[0] for key in weights):
        if not name.startswith(block):
            x, block = functional.avg_pool2d(x, 2), name.split("_")[0]
        x = functional.conv2d(x, weights[f"{name}/kernel"], weights[f"{name}/bias"], padding=1)
        x = functional.relu(x)
        if name in names:
            found[name] = x
    return found


def gram(maps):
    flat = maps.flatten(2)[0]
    return flat @ flat.T / flat.shape[1]


def relative_error(found, target):
    return ((found - target) ** 2).mean() / ((target**2).mean() + 1e-8)


def loss_of(images, weights, contents, grams, orders):
    found = features_of(images, weights, {*contents, *grams})
    content = sum(relative_error(found[name], contents[name]) for name in contents)
    style = sum(
        orders["layers"][name] * relative_error(gram(found[name]), grams[name]) for name in grams
    )
    down, across = images.diff(dim=2), images.diff(dim=3)
    variation = (down**2).mean() + (across**2).mean()
    terms = {"content": content, "style": style, "variation": variation}
    return sum(orders[name] * value for name, value in terms.items())


def main():
    given, found, orders, closures = sys.argv[1:]
    torch.set_num_threads(2)
    orders, arrays = json.loads(orders), dict(np.load(given))

    def to_tensor(image):
        return torch.tensor(np.ascontiguousarray(image.transpose(2, 0, 1)[None]))

    content, painting = to_tensor(arrays.pop("content")), to_tensor(arrays.pop("painting"))
    weights = {}
    for name in sorted(key for key in arrays if key.startswith("block")):
        value = arrays[name]
        weights[name] = torch.tensor(value.transpose(3, 2, 0, 1) if value.ndim == 4 else value)
    with torch.no_grad():
        contents = features_of(content, weights, orders["content_layers"])
        grams = {n: gram(m) for n, m in features_of(painting, weights, orders["layers"]).items()}
    image = content.clone().requires_grad_(True)
    optimizer = torch.optim.LBFGS([image])
    rows, count = [], 0
    started = time.process_time(), time.perf_counter()

    def closure():
        nonlocal count
        with torch.no_grad():
            image.clamp_(-1, 1)
        optimizer.zero_grad()
        loss = loss_of(image, weights, contents, grams, orders)
        # The tutorial's loss is in the millions; L-BFGS stops where gradients are below 1e-7.
        (1e6 * loss).backward()
        if count % 10 == 0:
            seconds = time.process_time() - started[0], time.perf_counter() - started[1]
            rows.append((*seconds, loss.item(), image.detach()[0].permute(1, 2, 0).numpy().copy()))
        count += 1
        return 1e6 * loss

    while count <= int(closures):
        optimizer.step(closure)
    cpu, wall, loss, images = zip(*rows, strict=True)
    np.savez(found, cpu=cpu, wall=wall, loss=loss, images=np.stack(images))


if __name__ == "__main__":
    main()
