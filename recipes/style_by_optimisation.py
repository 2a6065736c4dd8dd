"""Measure what notebook 11 claims: python recipes/style_by_optimisation.py [--judge]

Without --judge: how fast our way reaches what TensorFlow's tutorial reaches after 1,000 steps, on
the same encoder, pictures and objective; with --torch-python also beside PyTorch's tutorial, in an
interpreter that has PyTorch. With --judge: whether SqueezeNet, trained on ImageNet, finds the
results of our encoder closer in style than those of random filters, at equal content distance; it
needs the weights in COURSE_TEST_DATA/squeezenet11_notop. Writes data/results/11_style.json, where
each part replaces its own. Seconds are those of the processor, so that other work on the machine
counts little; tracing is not in them.
"""

import argparse
import json
import os
import pathlib
import subprocess
import tempfile
import time

import keras
import numpy as np
import tensorflow as tf
from provenance import provenance

from course_lib import colours, descent, features, runtime, style
from course_lib.datasets import catalog, images, paintings
from course_lib.networks.vgg import IMAGENET_MEAN

PATH = runtime.DATA_DIR / "results" / "11_style.json"
PAIRS = (("temple", "swirls"), ("coffee", "woodcut"), ("cat", "mosaic"))
JUDGED_CONTENTS = ("temple", "cat", "coffee", "flower")
JUDGED_STYLES = ("swirls", "stained glass", "woodcut", "marbling")
WEIGHTS = style.Weights()
STAGES = ((4, 80), (2, 80), (1, 150))  # the last is longer than usual, to see where it leads
FALLING = 650  # steps with a falling rate, for 1,000 of the tutorial
CONTENT_WEIGHTS = (0.2, 1.0, 5.0, 25.0)  # of the judge's curves


def pair(title, manner, size):
    """Return a photograph in the colours of a painting, and the painting."""
    photograph = catalog.load("photographs", size=size).only("title", title).images[0]
    painting = images.to_float(paintings.make(manner, size=size, seed=0)[None])[0]
    return colours.matched(photograph, painting), painting


# Speed --------------------------------------------------------------------------------------------


class Clock:
    """Pictures on the way, each with the seconds of the processor and of the wall until then."""

    def __init__(self):
        self.pictures = []
        self.started = time.process_time(), time.perf_counter()

    def note(self, image):
        seconds = time.process_time() - self.started[0], time.perf_counter() - self.started[1]
        self.pictures.append((*seconds, np.array(image, "float32")))

    def curve(self, objective):
        """Return dict of lists: both seconds, and the loss in float32."""
        cpu, wall, pictures = zip(*self.pictures, strict=True)
        return {
            "cpu_seconds": [round(value, 3) for value in cpu],
            "wall_seconds": [round(value, 3) for value in wall],
            "loss": [round(objective.terms(image)["total"], 5) for image in pictures],
        }


def tutorial_loss(encoder, content, painting):
    """Return the loss of `style.Objective`, images -> scalar, in the tutorial's own operations.

    Its Gram matrix is an einsum, its total variation the difference of two slices; the library
    has faster gradients for both.
    """
    content_layers, style_layers = style.CONTENT_LAYERS, tuple(WEIGHTS.layers)
    encoder = style.layers_of(encoder, tuple(dict.fromkeys(content_layers + style_layers)))

    def gram(features):
        features = tf.cast(features, tf.float32)
        places = features.shape[1] * features.shape[2]
        return tf.einsum("bijc,bijd->bcd", features, features) / places

    contents, wanted = encoder(content[None]), encoder(painting[None])
    wanted = {name: gram(wanted[name]) for name in style_layers}

    def loss(images):
        found = encoder(images)
        down, across = images[:, 1:] - images[:, :-1], images[:, :, 1:] - images[:, :, :-1]
        variation = tf.reduce_mean(down**2) + tf.reduce_mean(across**2)
        return (
            WEIGHTS.content
            * sum(style.relative_error(found[n], contents[n]) for n in content_layers)
            + WEIGHTS.style
            * sum(
                WEIGHTS.layers[n] * style.relative_error(gram(found[n]), wanted[n])
                for n in style_layers
            )
            + WEIGHTS.variation * variation
        )

    return loss


def tutorial_step(loss, image, learning_rate=0.02):
    """Return the tutorial's compiled update: Adam on values from 0 to 1, clipped after each step.

    The tutorial's loss starts in the millions, so that Adam's epsilon of 0.1 is nothing beside its
    gradient; ours starts near 1, and is multiplied by a million for the optimizer alone.
    """
    optimizer = keras.optimizers.Adam(learning_rate, beta_1=0.99, epsilon=1e-1)
    optimizer.build([image])

    @tf.function()
    def train_step(image):
        with tf.GradientTape() as tape:
            total = descent.TUTORIAL_SCALE * loss(2 * image - 1)
        optimizer.apply_gradients([(tape.gradient(total, image), image)])
        image.assign(tf.clip_by_value(image, 0.0, 1.0))
        return total / descent.TUTORIAL_SCALE

    return train_step


def tutorial(loss, start, *, steps, every):
    """TensorFlow's tutorial."""
    image = tf.Variable((start[None] + 1) / 2)
    train_step = tutorial_step(loss, image)
    train_step.get_concrete_function(image)  # tracing
    clock = Clock()
    for step in range(steps):
        train_step(image)
        if (step + 1) % every == 0:
            clock.note(2 * image.numpy()[0] - 1)
    return clock


def falling(encoder, content, painting, *, steps, every):
    """Adam with a falling rate."""
    objective = style.Objective(encoder, content, [painting], WEIGHTS)
    descent.descend_adam(objective, content, steps=1)  # tracing
    clock = Clock()

    def observe(step):
        if step.number and step.number % every == 0:
            clock.note(step.image)

    final = descent.descend_adam(
        objective, content, steps=steps, optimizer=descent.falling_adam(steps), observe=observe
    )
    clock.note(final)
    return clock


def ours(encoder, content, painting, *, stages, every):
    """Small pictures first, then L-BFGS on the full size."""
    warm = tuple((divisor, 1) for divisor, _ in stages)
    style.coarse_to_fine(encoder, content, [painting], WEIGHTS, stages=warm)  # tracing
    clock, seen = Clock(), 0

    def observe(step):
        nonlocal seen
        if step.image.shape == content.shape:
            if seen % every == 0:
                clock.note(step.image)
            seen += 1

    final = style.coarse_to_fine(
        encoder, content, [painting], WEIGHTS, stages=stages, observe=observe
    )
    clock.note(final)
    return clock


def pytorch(python, encoder, objective, content, painting, *, closures):
    """PyTorch's tutorial in its own process; returns its curve, losses measured by us."""
    arrays = {"content": content, "painting": painting}
    for name in objective.encoder.output:
        for layer in _up_to(encoder, name):
            arrays[f"{layer}/kernel"], arrays[f"{layer}/bias"] = encoder.get_layer(
                layer
            ).get_weights()
    orders = {"content": WEIGHTS.content, "style": WEIGHTS.style, "variation": WEIGHTS.variation}
    orders |= {"content_layers": list(style.CONTENT_LAYERS), "layers": WEIGHTS.layers}
    with tempfile.TemporaryDirectory() as folder:
        given, found = pathlib.Path(folder) / "given.npz", pathlib.Path(folder) / "found.npz"
        np.savez(given, **arrays)
        script = pathlib.Path(__file__).with_name("style_torch.py")
        command = [python, script, given, found, json.dumps(orders), str(closures)]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment["OMP_WAIT_POLICY"] = "PASSIVE"  # idle threads leave the cores to others
        subprocess.run(command, check=True, env=environment)
        with np.load(found) as stored:
            rows = zip(stored["cpu"], stored["wall"], stored["images"], strict=True)
            clock = Clock()
            clock.pictures = [(float(cpu), float(wall), image) for cpu, wall, image in rows]
            claimed = stored["loss"]
    curve = clock.curve(objective)
    # The same network and the same loss, or the comparison says nothing.
    np.testing.assert_allclose(curve["loss"][0], claimed[0], rtol=1e-3)
    return curve


def _up_to(encoder, name):
    names = list(encoder.output)
    return names[: names.index(name) + 1]


def speed(size, steps, torch_python, pairs):
    """Return the curves of every arm for every pair of pictures."""
    encoder = features.style_encoder("own")
    halved = features.style_encoder("own", precision="mixed_bfloat16")
    every, found = max(1, steps // 40), {}
    for title, manner in PAIRS[:pairs]:
        content, painting = pair(title, manner, size)
        objective = style.Objective(encoder, content, [painting], WEIGHTS)
        given = encoder, content, painting
        budget = max(2, steps // 4)
        loss = tutorial_loss(*given)
        np.testing.assert_allclose(
            loss(content[None]), objective.terms(content)["total"], rtol=1e-4
        )
        arms = {
            "tutorial": lambda f=loss, c=content: tutorial(f, c, steps=steps, every=every),
            "Adam, falling rate, bfloat16": lambda g=given: falling(
                halved, *g[1:], steps=FALLING * steps // 1000, every=every
            ),
            "ours": lambda g=given: ours(*g, stages=STAGES, every=1),
            "ours, bfloat16": lambda g=given: ours(halved, *g[1:], stages=STAGES, every=1),
            "L-BFGS from the content": lambda g=given, n=budget: ours(
                *g, stages=((1, n),), every=5
            ),
        }
        curves = {name: arm().curve(objective) for name, arm in arms.items()}
        if torch_python:
            curves["PyTorch's tutorial"] = pytorch(
                torch_python, encoder, objective, content, painting, closures=steps * 3 // 10
            )
        goal = curves["tutorial"]["loss"][-1]
        summary = {name: _reached(curve, goal) for name, curve in curves.items()}
        near = {name: _reached(curve, 1.05 * goal) for name, curve in curves.items()}
        print(title, manner, "goal", goal, summary, "within 5 %", near, flush=True)
        found[f"{title}, {manner}"] = {
            "curves": curves,
            "cpu_seconds_to_goal": summary,
            "cpu_seconds_to_within_5_percent": near,
        }
    return found


def _reached(curve, goal):
    """Return the first processor seconds at which the loss is at most the goal, or None."""
    rows = zip(curve["cpu_seconds"], curve["loss"], strict=True)
    return next((seconds for seconds, loss in rows if loss <= goal), None)


# The judge ----------------------------------------------------------------------------------------


def squeezenet(path, order):
    """Build SqueezeNet 1.1 without its classifier: images in [-1, 1] -> dict of feature maps.

    Args:
        path: of the Keras weights, which were converted from Caffe's.
        order: "bgr", as Caffe has it, or "rgb"; the file doesn't say. The means go with it.
    """
    x = inputs = keras.Input((None, None, 3))
    caffe = keras.layers.Conv2D(3, 1, name="caffe")
    x = caffe(x)
    x = keras.layers.Conv2D(64, 3, 2, "valid", activation="relu", name="conv1")(x)
    outputs = {"conv1": x}
    for number, width in enumerate((16, 16, 32, 32, 48, 48, 64, 64), start=2):
        if number in (2, 4, 6):
            x = keras.layers.MaxPooling2D(3, 2)(x)
        squeezed = _convolution(width, 1, f"fire{number}_squeeze1x1")(x)
        x = keras.layers.Concatenate()(
            [_convolution(4 * width, side, f"fire{number}_expand{side}x{side}")(squeezed)
             for side in (1, 3)]
        )  # fmt: skip
        outputs[f"fire{number}"] = x
    model = keras.Model(inputs, outputs)
    _read_weights(model, path)
    swap = np.eye(3)[::-1] if order == "bgr" else np.eye(3)
    mean = np.array(IMAGENET_MEAN if order == "bgr" else IMAGENET_MEAN[::-1])
    caffe.set_weights([127.5 * swap[None, None], 127.5 - mean])
    return model


def _convolution(width, side, name):
    return keras.layers.Conv2D(width, side, padding="same", activation="relu", name=name)


def _read_weights(model, path):
    """Read the file by the names of its layers."""
    import h5py

    with h5py.File(path) as stored:
        found = {}
        stored.visititems(lambda name, value: found.update({name: value}))
        arrays = {
            name: value[()] for name, value in found.items() if isinstance(value, h5py.Dataset)
        }
    for layer in model.layers:
        if layer.name == "caffe" or not layer.weights:
            continue
        short = layer.name.replace("_", "/").split("/")
        mine = [value for name, value in sorted(arrays.items())
                if all(part in name.replace("_", "/").split("/") for part in short)]  # fmt: skip
        kernel = next(value for value in mine if value.ndim == 4)
        bias = next(value for value in mine if value.ndim == 1)
        layer.set_weights([kernel, bias])


class Judge:
    """Content and style distance of a result, on features that no encoder of ours has seen."""

    CONTENT, STYLE = "fire5", ("conv1", "fire3", "fire5", "fire7")

    def __init__(self, network):
        self.network = network

    def distances(self, image, content, painting):
        """Return (content distance, style distance): relative errors, the latter a mean."""
        found, wanted, target = (
            self.network(picture[None]) for picture in (image, content, painting)
        )
        styles = [
            style.relative_error(style.gram(found[name]), style.gram(target[name]))
            for name in self.STYLE
        ]
        content_distance = style.relative_error(found[self.CONTENT], wanted[self.CONTENT])
        return float(content_distance), float(np.mean(styles))


def judge(size, stages, folder):
    """Return the judge's curves and its verdicts, for both orders of the channels."""
    found = list(pathlib.Path(folder, "squeezenet11_notop").glob("*.h5"))
    if not found:
        raise SystemExit(f"no SqueezeNet weights in {folder}: set COURSE_TEST_DATA.")
    judges = {order: Judge(squeezenet(found[0], order)) for order in ("bgr", "rgb")}
    rows = []
    for title in JUDGED_CONTENTS:
        for manner in JUDGED_STYLES:
            content, painting = pair(title, manner, size)
            row = {"content": title, "style": manner}
            for order in judges:
                row[order] = {"own": [], "random": []}
            for kind in ("own", "random"):
                encoder = features.style_encoder(kind)
                for weight in CONTENT_WEIGHTS:
                    weights = style.Weights(content=weight)
                    image = style.coarse_to_fine(
                        encoder, content, [painting], weights, stages=stages
                    )
                    for order, one in judges.items():
                        found = one.distances(image, content, painting)
                        row[order][kind].append([round(value, 4) for value in found])
            row |= {f"log ratio, {order}": compared(**row[order]) for order in judges}
            print({key: row[key] for key in row if key not in judges}, flush=True)
            rows.append(row)
    verdict = {order: verdict_of(rows, order) for order in judges}
    return {"rows": rows, "verdict": verdict, "size": size}


def verdict_of(rows, order):
    """Return how often our encoder wins, of how many comparisons, and by how much."""
    ratios = [row[f"log ratio, {order}"] for row in rows]
    known = [ratio for ratio in ratios if ratio is not None]
    middle = round(float(np.exp(np.median(known))), 3) if known else None
    won = sum(ratio < 0 for ratio in known)
    return {"own preferred": won, "compared": len(known), "median ratio own / random": middle}


def compared(own, random):
    """Return the mean log of own over random style distance at equal content distance.

    Both curves are interpolated over the logarithm of the content distance, where they overlap;
    None where they don't.
    """
    own, random = (np.log(sorted(curve)) for curve in (own, random))
    low, high = max(own[0, 0], random[0, 0]), min(own[-1, 0], random[-1, 0])
    if low >= high:
        return None
    at = np.linspace(low, high, 21)
    gaps = np.interp(at, *own.T) - np.interp(at, *random.T)
    return round(float(gaps.mean()), 4)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--judge", action="store_true")
    parser.add_argument("--size", type=int, help="side in pixels; 256, or 128 for the judge")
    parser.add_argument("--steps", type=int, default=1000, help="of the tutorial")
    parser.add_argument("--torch-python")
    parser.add_argument("--pairs", type=int, default=3, help="of pictures")
    parser.add_argument("--output", type=pathlib.Path, default=PATH)
    options = parser.parse_args()
    runtime.setup(seed=0)
    started = time.perf_counter()
    if options.judge:
        size = options.size or 128
        folder = os.environ.get("COURSE_TEST_DATA", runtime.ROOT.parent / "shared" / "data")
        part, found = "judge", judge(size, ((2, 50), (1, 30)), folder)
    else:
        size = options.size or 256
        part, found = (
            "speed",
            {"pairs": speed(size, options.steps, options.torch_python, options.pairs)},
        )
        found |= {"size": size, "steps": options.steps, "stages": STAGES}
    table = json.loads(options.output.read_text()) if options.output.exists() else {}
    table[part] = provenance(seed=0, started=started, **found)
    options.output.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
