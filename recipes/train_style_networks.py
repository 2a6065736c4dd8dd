"""Train the networks of notebook 12: python recipes/train_style_networks.py NAME

NAME is a manner of `paintings`, for a feed-forward network of that one style, or "adain", for the
decoder of any style. Contents: the photographs and textures that come with scikit-image and
scikit-learn, avatars and paintings. Writes data/checkpoints/style_NAME.npz with its provenance.
"""

import argparse
import time

import keras
import numpy as np
from provenance import provenance

from course_lib import runtime, shipped, style_steps, train
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


def styles():
    """Return uint8 (count, SIDE, SIDE, 3): paintings of all manners, textures and photographs."""
    painted = [
        paintings.make(m, size=SIDE, seed=s) for m in paintings.MANNERS for s in range(10, 16)
    ]
    textures = np.repeat(catalog.load("textures", size=SIDE).pixels, 3, axis=-1)
    return np.concatenate(
        [np.stack(painted), textures, catalog.load("photographs", size=SIDE).pixels]
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=[*paintings.MANNERS, "adain"])
    parser.add_argument("--images", type=int, default=6_000)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--size", type=int, default=192, help="of the crops")
    parser.add_argument("--style-weight", type=float, default=None)
    parser.add_argument("--style-seed", type=int, default=0, help="which painting")
    parser.add_argument("--start", default=None, help="shipped network to start from")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    settings = parser.parse_args()
    folder = runtime.results_dir() / f"style_{settings.name.replace(' ', '_')}"
    chosen = runtime.setup(seed=settings.seed, precision="prefer_bfloat16")
    started = time.perf_counter()
    encoder = shipped.load("style_encoder", dtype=chosen.precision)
    adain = settings.name == "adain"
    builder = transfer.decoder if adain else transfer.feed_forward
    network = builder()
    if settings.start:
        network.set_weights(shipped.load(settings.start).get_weights())
    optimizer = keras.optimizers.Adam(
        warm_cosine(settings.rate, settings.images // settings.batch, warm_share=0.05)
    )
    weights = {} if settings.style_weight is None else {"style": settings.style_weight}
    if adain:
        config = style_steps.AdainConfig(**weights)
        step = style_steps.make_adain_step(network, encoder, optimizer, config)
        pools, scales = (contents(), styles()), (0.4, 0.5)
    else:
        config = style_steps.FeedForwardConfig(**weights)
        painting = images.to_float(
            paintings.make(settings.name, size=256, seed=settings.style_seed)
        )
        step = style_steps.make_feed_forward_step(network, encoder, painting, optimizer, config)
        pools, scales = (contents(),), (0.5,)
    batches = style_steps.Crops(
        *pools, size=settings.size, batch_size=settings.batch, seed=settings.seed, scales=scales
    )
    history = train.fit(
        step, batches, images_seen=settings.images, folder=folder, config=config,
        state={"network": network, "optimizer": optimizer}, progress=False,
        on_report=lambda seen, values: print(
            seen, round(time.perf_counter() - started),
            {name: round(value, 4) for name, value in values.items()}, flush=True,
        ),
    )  # fmt: skip
    if history.interrupted:
        return
    facts = provenance(seed=settings.seed, started=started)
    facts |= {"images": settings.images, "style painting": settings.style_seed}
    shipped.save(
        network, f"style_{settings.name.replace(' ', '_')}",
        builder=f"transfer.{builder.__name__}", arguments={}, **facts,
    )  # fmt: skip


if __name__ == "__main__":
    main()
