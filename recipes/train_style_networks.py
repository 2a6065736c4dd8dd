"""Train the networks of notebook 12: python recipes/train_style_networks.py NAME

NAME is a manner of `paintings`, for a feed-forward network of that one style, or "adain", for the
decoder of any style. Contents: the photographs and textures that come with scikit-image and
scikit-learn, avatars and paintings. Writes data/checkpoints/style_NAME.npz with its provenance.
"""

import argparse
import time

import keras
import numpy as np
import tensorflow as tf
from provenance import provenance
from scipy import ndimage

from course_lib import fast_style, runtime, shipped, style_steps, train
from course_lib.classify import warm_cosine
from course_lib.datasets import catalog, images, paintings
from course_lib.networks import transfer

SIDE = 384


def contents():
    """Return uint8 (count, SIDE, SIDE, 3): every photograph six times, and drawn pictures."""
    photographs = catalog.load("photographs", size=SIDE).pixels
    textures = np.repeat(catalog.load("textures", size=SIDE).pixels, 3, axis=-1)
    faces = catalog.load("avatars", size=256, count=24, seed=3).pixels
    faces = np.stack([images.resize(face[None], SIDE)[0] for face in faces])
    return np.concatenate([np.repeat(photographs, 6, axis=0), textures, faces])


def styles(inventions):
    """Return uint8 (count, SIDE, SIDE, 3): paintings of all manners, textures, photographs, and
    so many times as many pictures of `invented`."""
    painted = [
        paintings.make(m, size=SIDE, seed=s) for m in paintings.MANNERS for s in range(10, 50)
    ]
    textures = np.repeat(catalog.load("textures", size=SIDE).pixels, 3, axis=-1)
    known = np.concatenate(
        [np.stack(painted), textures, catalog.load("photographs", size=SIDE).pixels]
    )
    random = np.random.default_rng(0)
    more = [invented(known, random) for _ in range(inventions * len(known))]
    return np.concatenate([known, np.stack(more)]) if more else known


def invented(known, random):
    """Return a manner that is none of the known ones, uint8 (SIDE, SIDE, 3).

    One picture where a third one is light and another where it is dark, each turned or mirrored,
    bent along smooth waves, and with other colours: a decoder that has met the known manners only
    draws any other as the nearest of them.
    """
    light, dark, where = (turned(known[random.integers(len(known))], random) for _ in range(3))
    mask = where.mean(-1, keepdims=True)
    mask = 1 / (1 + np.exp((np.quantile(mask, random.uniform(0, 1)) - mask) / 8))
    return recoloured(bent(mask * light + (1 - mask) * dark, random), random)


def turned(pixels, random):
    """Return a square picture turned by quarters, mirrored or not, float."""
    turned = np.rot90(pixels, random.integers(4))
    return turned[:, :: random.choice((-1, 1))].astype("float32")


def bent(pixels, random):
    """Return a picture whose points are moved by smooth noise, by up to a tenth of the side."""
    reach = random.uniform(0, 0.1) * SIDE
    waves = ndimage.gaussian_filter(random.normal(size=(2, SIDE, SIDE)), (0, *(SIDE / 12,) * 2))
    places = np.indices((SIDE, SIDE)) + reach * waves / np.abs(waves).max()
    channels = np.moveaxis(pixels, -1, 0)
    moved = [ndimage.map_coordinates(c, places, order=1, mode="mirror") for c in channels]
    return np.stack(moved, axis=-1)


def recoloured(pixels, random):
    """Return uint8 pixels with colours turned by a random rotation or mirroring of RGB."""
    turn, _ = np.linalg.qr(random.normal(size=(3, 3)))
    mean = pixels.mean((0, 1))
    contrast, middle = random.uniform(0.3, 1.2), mean + random.normal(scale=30, size=3)
    return np.clip((pixels - mean) @ turn * contrast + middle, 0, 255).astype("uint8")


def measures(name, style_seed, *, size=192):
    """Return the relative errors of the shipped network on avatars that it has not seen.

    Of the decoder: with the painting `swirls`, as one of the styles that it has not seen.
    """
    manner = "swirls" if name == "adain" else name
    painting = images.to_float(paintings.make(manner, size=256, seed=style_seed))
    faces = catalog.load("avatars", size=size, count=16, split="test").images
    encoder, network = shipped.load("style_encoder"), shipped.load(file_name(name))
    terms = style_steps.make_terms(encoder, painting)
    pictures = [
        fast_style.any_style(encoder, network, face, [painting], (1.0,), 1.0)
        if name == "adain"
        else fast_style.stylise(network, face)
        for face in faces
    ]
    found = terms(tf.constant(np.stack(pictures)), tf.constant(faces))
    return {key: round(float(value), 4) for key, value in found.items()}


def file_name(name):
    return f"style_{name.replace(' ', '_')}"


def make_step(settings, encoder, network, optimizer):
    """Return the config, the update, and the pictures that it is fed with their smallest parts."""
    weights = {} if settings.style_weight is None else {"style": settings.style_weight}
    if settings.name == "adain":
        config = style_steps.AdainConfig(**weights)
        step = style_steps.make_adain_step(network, encoder, optimizer, config)
        return config, step, (contents(), styles(settings.inventions)), (0.4, 0.2)
    config = style_steps.FeedForwardConfig(**weights)
    painting = images.to_float(paintings.make(settings.name, size=256, seed=settings.style_seed))
    step = style_steps.make_feed_forward_step(network, encoder, painting, optimizer, config)
    return config, step, (contents(),), (0.5,)


def trained(settings):
    """Train the network; returns it and its facts, or None where the training was interrupted."""
    folder = runtime.results_dir() / file_name(settings.name)
    chosen = runtime.setup(seed=settings.seed, precision="prefer_bfloat16")
    started = time.perf_counter()
    encoder = shipped.load("style_encoder", dtype=chosen.precision)
    builder = transfer.decoder if settings.name == "adain" else transfer.feed_forward
    network = builder()
    if settings.start:
        network.set_weights(shipped.load(settings.start).get_weights())
    optimizer = keras.optimizers.Adam(
        warm_cosine(settings.rate, settings.images // settings.batch, warm_share=0.05)
    )
    config, step, pools, scales = make_step(settings, encoder, network, optimizer)
    batches = style_steps.Crops(
        *pools, size=settings.size, batch_size=settings.batch, seed=settings.seed, scales=scales
    )

    def tell(seen, values):
        rounded = {name: round(value, 4) for name, value in values.items()}
        print(seen, round(time.perf_counter() - started), rounded, flush=True)

    history = train.fit(
        step, batches, images_seen=settings.images, folder=folder, config=config,
        state={"network": network, "optimizer": optimizer}, progress=False, on_report=tell,
    )  # fmt: skip
    if history.interrupted:
        return None
    facts = provenance(seed=settings.seed, started=started)
    facts |= {"images": settings.images, "style painting": settings.style_seed}
    if settings.start:
        facts["before"] = {k: v for k, v in shipped.facts(settings.start).items() if k != "network"}
    return network, facts | {"builder": f"transfer.{builder.__name__}", "arguments": {}}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=[*paintings.MANNERS, "adain"])
    parser.add_argument("--images", type=int, default=6_000)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--size", type=int, default=192, help="of the crops")
    parser.add_argument("--style-weight", type=float, default=None)
    parser.add_argument("--inventions", type=int, default=2, help="for each known style, of adain")
    parser.add_argument("--style-seed", type=int, default=0, help="which painting")
    parser.add_argument("--start", default=None, help="shipped network to start from")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--measure-only", action="store_true", help="of the shipped network")
    settings = parser.parse_args()
    name = file_name(settings.name)
    if settings.measure_only:
        facts = shipped.facts(name)
        network, facts = shipped.load(name), facts | facts.pop("network")
    elif found := trained(settings):
        network, facts = found
    else:
        return
    keras.config.set_dtype_policy("float32")
    shipped.save(network, name, **facts)
    shipped.load.cache_clear()  # measured as it is stored
    errors = measures(settings.name, facts["style painting"])
    shipped.save(shipped.load(name), name, **facts | {"errors on 16 unseen avatars": errors})
    print(errors)


if __name__ == "__main__":
    main()
