"""Style by optimisation: one evaluation of loss and gradient, and Adam's step, at 256 pixels.

TensorFlow's tutorial, PyTorch and ours descend from the same photograph on the same encoder and
loss, the tutorial with its own operations; ours is the loop of `descent.descend_adam`, which hands
every picture to NumPy.
"""

import json
import sys

import keras
import tensorflow as tf

from course_lib import descent, features, runtime, style
from course_lib.datasets import catalog, images, paintings
from tests.benchmarks import protocol, translate
from tests.benchmarks.rows.image_gans import COMPILED, EAGER, PRECISIONS

sys.path.append(str(runtime.ROOT / "recipes"))
import style_by_optimisation as recipe  # noqa: E402

SIZE, RATE = 256, 0.02
WEIGHTS = style.Weights()
LAYERS = tuple(dict.fromkeys((*style.CONTENT_LAYERS, *style.STYLE_LAYERS)))


def pictures():
    """Return a photograph and a painting, float32 (SIZE, SIZE, 3) in [-1, 1]."""
    photograph = catalog.load("photographs", size=SIZE).only("title", "temple").images[0]
    return photograph, images.to_float(paintings.make("swirls", size=SIZE)[None])[0]


def ours(kind, photograph, painting):
    """Return the loop of our own descent."""
    encoder = features.style_encoder("own", precision=PRECISIONS[kind])
    objective = style.Objective(encoder, photograph, [painting], WEIGHTS)
    way = descent.AdamDescent(photograph)

    def run(count):
        for _ in range(count):
            terms, gradient = objective.value_and_gradient(way.image)
            way.step(gradient)
        return {"total": terms["total"]}

    return protocol.timed(run)


def tutorial(kind, photograph, painting):
    """Return the loop of the tutorial's `train_step`."""
    encoder = features.style_encoder("own", precision=PRECISIONS[kind])
    image = tf.Variable((photograph[None] + 1) / 2)
    step = recipe.tutorial_step(recipe.tutorial_loss(encoder, photograph, painting), image, RATE)

    def run(count):
        for _ in range(count):
            loss = step(image)
        return {"total": loss}

    return protocol.timed(run)


def twin(encoder, size):
    """Return (parts, arrays, taps) of an encoder for PyTorch: a tap is the part after a layer."""
    at_size = keras.models.clone_model(encoder, input_tensors=keras.Input((size, size, 3)))
    at_size.set_weights(encoder.get_weights())
    parts, arrays = translate.describe(at_size, "encoder")
    ends, taps = 0, {}
    for layer in at_size.layers[1:]:
        ends += 2 if isinstance(layer, keras.layers.Conv2D) else 1  # a convolution and its ReLU
        taps[layer.name] = ends
    return parts, arrays, taps


def prepare(worker):
    given = pictures()
    loops = {f"ours, {kind}": ours(kind, *given) for kind in PRECISIONS}
    names = tuple(loops)
    loops |= {f"tutorial's step, {kind}": tutorial(kind, *given) for kind in PRECISIONS}
    encoder = style.layers_of(features.style_encoder("own"), LAYERS)
    parts, arrays, taps = twin(encoder, SIZE)
    settings = {
        "parts": parts, "rate": 2 * RATE, "scale": descent.TUTORIAL_SCALE,
        "contents": {name: taps[name] for name in style.CONTENT_LAYERS},
        "styles": {name: taps[name] for name in style.STYLE_LAYERS},
        "weights": {name: getattr(WEIGHTS, name) for name in ("content", "style", "variation")},
    }  # fmt: skip
    arrays |= {
        "photograph": translate.mirror(given[0][None]), "painting": translate.mirror(given[1][None])
    }  # fmt: skip
    torch = worker("style.py", arrays | {"settings": json.dumps(settings)})
    if torch:
        loops |= {name: protocol.remote(torch, name) for name in EAGER + COMPILED}
    at_size = keras.models.clone_model(encoder, input_tensors=keras.Input((SIZE, SIZE, 3)))
    return protocol.Row(
        f"style by optimisation, our encoder, {SIZE}x{SIZE}x3", "evaluation", loops, names,
        count=3, work=2 * protocol.forward_work(at_size),
    )  # fmt: skip
