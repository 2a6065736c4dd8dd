"""A network of one style: the update of notebook 12's feed-forward network, 128 pixels, batch 4."""

import json

import keras
import numpy as np
import tensorflow as tf

from course_lib import features, style, style_steps
from course_lib.datasets import catalog, images, paintings
from course_lib.networks import transfer
from tests.benchmarks import protocol, translate
from tests.benchmarks.rows.image_gans import COMPILED, EAGER, PRECISIONS
from tests.benchmarks.rows.style_optimisation import twin

SIZE, BATCH, RATE = 128, 4, 1e-3
CONFIG = style_steps.FeedForwardConfig()
LAYERS = tuple(dict.fromkeys((*style_steps.CONTENT, *style.STYLE_LAYERS)))


class Fitted(keras.Model):
    """The same update as a `train_step`, the way Keras' own examples write it."""

    def __init__(self, network, terms):
        super().__init__()
        self.network, self.terms = network, terms

    def train_step(self, photographs):
        with tf.GradientTape() as tape:
            terms = self.terms(self.network(photographs, training=True), photographs)
            loss = style_steps.weighted(terms, CONFIG)
        weights = self.network.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return terms


def start(kind):
    """Return the network, the same in each precision, the encoder and the optimizer."""
    keras.config.set_dtype_policy(PRECISIONS[kind])
    keras.utils.set_random_seed(0)
    network = transfer.feed_forward()
    encoder = features.style_encoder("own", precision=PRECISIONS[kind])
    return network, encoder, keras.optimizers.Adam(RATE)


def ours(kind, photographs, painting):
    """Return the loop of our step."""
    network, encoder, optimizer = start(kind)
    step = style_steps.make_feed_forward_step(network, encoder, painting, optimizer, CONFIG)

    def run(count):
        for _ in range(count):
            terms = step(photographs)
        return terms

    return protocol.timed(run)


def fitted(kind, photographs, painting):
    """Return the loop of `keras.Model.fit`."""
    network, encoder, optimizer = start(kind)
    model = Fitted(network, style_steps.make_terms(encoder, painting))
    model.compile(optimizer, jit_compile=False)
    data = tf.data.Dataset.from_tensors(photographs).cache().repeat()

    def run(count):
        history = model.fit(data, steps_per_epoch=count, shuffle=False, verbose=0).history
        return {name: values[-1] for name, values in history.items()}

    return protocol.timed(run)


def given_to_torch(photographs, painting):
    """Return the arrays of the PyTorch worker."""
    network, _, _ = start("float32")
    at_size = keras.models.clone_model(network, input_tensors=keras.Input(photographs.shape[1:]))
    at_size.set_weights(network.get_weights())
    described, weights = translate.describe(at_size, "network")
    encoder = style.layers_of(features.style_encoder("own"), LAYERS)
    parts, arrays, taps = twin(encoder, SIZE)
    settings = {
        "parts": parts, "network": described, "rate": RATE, "normalised": True,
        "contents": {name: taps[name] for name in style_steps.CONTENT},
        "styles": {name: taps[name] for name in style.STYLE_LAYERS},
        "weights": {name: getattr(CONFIG, name) for name in ("content", "style", "variation")},
    }  # fmt: skip
    arrays |= weights | {
        "photographs": translate.mirror(np.asarray(photographs)),
        "painting": translate.mirror(painting[None]), "settings": json.dumps(settings),
    }  # fmt: skip
    # Photographs go in once through the network and, with their pictures, through the encoder,
    # which is passed backwards to the pictures, the network to its kernels, too.
    seen = keras.models.clone_model(encoder, input_tensors=keras.Input(photographs.shape[1:]))
    work = 3 * protocol.forward_work(at_size) + 3 * protocol.forward_work(seen)
    return arrays, len(photographs) * work


def prepare(worker):
    photographs = tf.constant(catalog.load("photographs", size=SIZE).images[:BATCH])
    painting = images.to_float(paintings.make("swirls", size=256)[None])[0]
    loops = {f"ours, {kind}": ours(kind, photographs, painting) for kind in PRECISIONS}
    names = tuple(loops)
    loops |= {f"Model.fit, {kind}": fitted(kind, photographs, painting) for kind in PRECISIONS}
    arrays, work = given_to_torch(photographs, painting)
    torch = worker("style.py", arrays)
    if torch:
        loops |= {name: protocol.remote(torch, name) for name in EAGER + COMPILED}
    return protocol.Row(
        f"a network of one style, {SIZE}x{SIZE}x3, batch {BATCH}", "step", loops, names, work=work,
    )  # fmt: skip
