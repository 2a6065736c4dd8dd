"""Trained networks that come with the course, each with the facts of how it was made.

A shipped network is an array file in data/checkpoints (`checkpoints`): weights, a checksum, and
the provenance written by its recipe, which also says how to build the network.
"""

import functools

import keras

from course_lib import checkpoints
from course_lib.networks import classifiers, dcgan, encoder, residual, style_based, transfer, vgg
from course_lib.runtime import CHECKPOINTS_DIR

FOLDER = CHECKPOINTS_DIR
BUILDERS = {
    "classifiers.article": classifiers.article,
    "encoder.encoder": encoder.encoder,
    "dcgan.generator": dcgan.generator,
    "residual.generator": residual.generator,
    "style_based.generator": style_based.generator,
    "transfer.decoder": transfer.decoder,
    "transfer.feed_forward": transfer.feed_forward,
    "vgg.vgg": vgg.vgg,
}


def names():
    """Return the names of all shipped networks, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.npz")))


def facts(name):
    """Return the provenance of a shipped network: command, seed, commit, minutes, measures.

    Raises:
        ValueError: if no network of that name is shipped, naming those that are.
        course_lib.checkpoints.CorruptCheckpointError: if its manifest is damaged.
    """
    if name not in names():
        raise ValueError(f"no network {name!r} is shipped; there are: {', '.join(names())}.")
    return checkpoints.read_provenance(FOLDER / f"{name}.npz")


def history(name):
    """Return the facts of the runs that made a shipped network, oldest first; the last: `facts`.

    Raises: as `facts`.
    """
    runs = [facts(name)]
    while "before" in runs[0]:
        runs.insert(0, runs[0]["before"])
    return runs


@functools.cache
def load(name, *, dtype="float32"):
    """Return a shipped network, built once per process and dtype, verified and frozen.

    Args:
        name: one of `names()`.
        dtype: Keras policy to compute in. float32 whatever the learner's policy, since a measure
            must not depend on it; "mixed_bfloat16" where speed matters more than the last digits.

    Raises:
        ValueError: if no network of that name is shipped, naming those that are.
        course_lib.checkpoints.CorruptCheckpointError: if its file is damaged.
    """
    network = facts(name)["network"]
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        model = BUILDERS[network["builder"]](**network["arguments"])
    finally:
        keras.config.set_dtype_policy(policy)
    checkpoints.load_weights(model, FOLDER / f"{name}.npz")
    model.trainable = False
    return model


def save(model, name, *, builder, arguments, **measures):
    """Write a trained network, with float16 weights, so that `load(name)` gives it back.

    Args:
        model: built Keras model.
        name: name of the file in data/checkpoints.
        builder: key of `BUILDERS`.
        arguments: dict of JSON values; the builder called with them gives the architecture.
        measures: further provenance, JSON values.

    Raises:
        ValueError: if the builder is unknown or a weight is not finite.
    """
    if builder not in BUILDERS:
        raise ValueError(f"builder must be one of {', '.join(BUILDERS)}, got {builder!r}.")
    provenance = {"network": {"builder": builder, "arguments": arguments}, **measures}
    FOLDER.mkdir(parents=True, exist_ok=True)
    checkpoints.save_weights(model, FOLDER / f"{name}.npz", dtype="float16", provenance=provenance)
