"""How fast and how good a style in one pass is: python recipes/fast_style.py

On the same contents and styles: L-BFGS on the loss that the networks of one style were trained
with, from the content on; the shipped network of each style; AdaIN with the shipped decoder.
Seconds are wall-clock, without compilation; of the networks the median over calls for one picture.
Losses are those of `style_steps.make_terms` for all three. Then AdaIN with styles that its decoder
never met in training, and the flicker under shifts (`fast_style.shift_stability`). Writes
data/results/12_style.json.
"""

import argparse
import functools
import json
import statistics
import time
from pathlib import Path

import numpy as np
import skimage.data
from provenance import provenance

from course_lib import descent, fast_style, runtime, shipped, style_steps
from course_lib.datasets import catalog, images, paintings

CONTENTS = ("cat", "coffee", "temple", "avatar")
NOT_ONE_STYLE = ("style_encoder", "style_adain")


def contents(size):
    """Return dict of name -> float picture (size, size, 3)."""
    photographs = catalog.load("photographs", size=size)
    found = dict(zip(photographs.classes["title"], photographs.images, strict=True))
    avatar = catalog.load("avatars", size=256, count=1, seed=12).pixels
    found["avatar"] = images.to_float(images.resize(avatar, size))[0]
    return {name: found[name] for name in CONTENTS}


def networks():
    """Return dict of manner -> (network, the painting it was trained with)."""
    found = {}
    for name in shipped.names():
        if name.startswith("style_") and name not in NOT_ONE_STYLE:
            manner = name.removeprefix("style_").replace("_", " ")
            seed = shipped.facts(name)["style painting"]
            painting = images.to_float(paintings.make(manner, size=256, seed=seed))
            found[manner] = shipped.load(name), painting
    return found


def never_met():
    """Return dict of name -> (None, photograph) of what the decoder was not trained on."""
    pictures = {
        "tissue": skimage.data.immunohistochemistry(),
        "motorcycle": skimage.data.stereo_motorcycle()[0],
        "coins": np.repeat(skimage.data.coins()[..., None], 3, axis=-1),
    }
    return {name: (None, square(pixels, 256)) for name, pixels in pictures.items()}


def square(pixels, size):
    """Return the middle square of uint8 (height, width, 3) as float (size, size, 3)."""
    side = min(pixels.shape[:2])
    top, left = ((length - side) // 2 for length in pixels.shape[:2])
    middle = pixels[None, top : top + side, left : left + side]
    return images.to_float(images.resize(middle, size))[0]


def median_seconds(call, repeats):
    """Return the median over calls, after one that may compile."""
    call()
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def optimise(terms, evaluations, content):
    """Return the picture that L-BFGS finds, and its accepted steps as (seconds, style loss)."""
    objective = style_steps.PictureLoss(terms, content, style_steps.FeedForwardConfig())
    objective.value_and_gradient(content)  # compiles
    path = []
    picture = descent.descend(
        objective, content, steps=evaluations,
        observe=lambda step: path.append((step.seconds, step.terms["style"])),
    )  # fmt: skip
    return picture, path


def optimised(*arguments):
    """Return the picture alone."""
    return optimise(*arguments)[0]


def ways_of(encoder, decoder, network, painting):
    """Return dict of the ways in one pass -> callable, picture -> picture; network may be None."""
    ways = {"any style": lambda image: fast_style.any_style(encoder, decoder, image, [painting])}
    if network is None:
        return ways
    return {"one style": functools.partial(fast_style.stylise, network)} | ways


def in_known_style(encoder, decoder, wanted, content):
    """Return AdaIN's picture where the style was encoded before, as in a film."""
    mixed = fast_style.restyle(fast_style.encode(encoder, content), [wanted])
    return fast_style.decode(decoder, mixed, content.shape[:2])


def judged(terms, picture, content):
    """Return dict of the losses of a picture, floats."""
    found = terms(picture[None], content[None])
    return {name: round(float(value), 5) for name, value in found.items()}


def first_below(path, limit):
    """Return after how many seconds an optimisation had a style loss this low; None if never."""
    return next((round(seconds, 2) for seconds, loss in path if loss <= limit), None)


def compare(settings, encoder, decoder, styles):
    """Return rows, one for each content and style: seconds and losses of each way."""
    rows = []
    for manner, (network, painting) in styles.items():
        terms = style_steps.make_terms(encoder, painting)
        for name, content in contents(settings.size).items():
            picture, path = optimise(terms, settings.evaluations, content)
            row = {"style": manner, "content": name, "unchanged": judged(terms, content, content)}
            row["optimisation"] = judged(terms, picture, content) | {"seconds": path[-1][0]}
            for way, change in ways_of(encoder, decoder, network, painting).items():
                row[way] = judged(terms, change(content), content)
                call = functools.partial(change, content)
                row[way]["seconds"] = median_seconds(call, settings.repeats)
                row[way]["optimisation gets there in"] = first_below(path, row[way]["style"])
            wanted = fast_style.encode(encoder, painting)
            call = functools.partial(in_known_style, encoder, decoder, wanted, content)
            row["any style"]["seconds, style known"] = median_seconds(call, settings.repeats)
            print(row, flush=True)
            for way in set(row) & {"optimisation", "one style", "any style"}:
                row[way]["seconds"] = round(row[way]["seconds"], 4)
            rows.append(row)
    return rows


def summary(rows, networks=("one style", "any style")):
    """Return the medians over the rows, and what the networks gain and lose."""
    found = {}
    for way in ("optimisation", *networks):
        found[way] = {
            name: statistics.median(row[way][name] for row in rows)
            for name in ("seconds", "style", "content")
        }
    for way in networks:
        equal = [row[way]["optimisation gets there in"] for row in rows]
        equal = [seconds for seconds in equal if seconds is not None]
        found[way] |= {
            "pictures a second": 1 / found[way]["seconds"],
            "times faster": found["optimisation"]["seconds"] / found[way]["seconds"],
            "times the style loss": statistics.median(
                row[way]["style"] / row["optimisation"]["style"] for row in rows
            ),
            "times the content loss": statistics.median(
                row[way]["content"] / row["optimisation"]["content"] for row in rows
            ),
            "times faster at equal style loss": statistics.median(equal) / found[way]["seconds"]
            if equal
            else None,
        }
    known = statistics.median(row["any style"]["seconds, style known"] for row in rows)
    found["any style"] |= {
        "seconds, style known": known,
        "times faster, style known": found["optimisation"]["seconds"] / known,
    }
    return {way: {n: v and round(v, 5) for n, v in values.items()} for way, values in found.items()}


def steadiness(settings, encoder, decoder, styles):
    """Return the flicker of each way, mean over two contents and the first two styles."""
    shifts, ways = list(settings.shifts), {}
    for network, painting in list(styles.values())[:2]:
        changes = ways_of(encoder, decoder, network, painting)
        terms = style_steps.make_terms(encoder, painting)
        changes["optimisation"] = functools.partial(optimised, terms, settings.evaluations)
        for image in list(contents(settings.stability_size).values())[:2]:
            for way, change in changes.items():
                found = fast_style.shift_stability(change, image, shifts=shifts)
                ways.setdefault(way, []).append(found["flicker"])
                ways.setdefault("content", []).append(found["content"])
            print({way: np.round(values[-1], 4) for way, values in ways.items()}, flush=True)
    means = {way: np.mean(values, axis=0).round(5).tolist() for way, values in ways.items()}
    return {"size": settings.stability_size, "shifts": shifts, **means}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--evaluations", type=int, default=100, help="of the optimisation")
    parser.add_argument("--repeats", type=int, default=30, help="calls of a network")
    parser.add_argument("--stability-size", type=int, default=136)
    parser.add_argument("--shifts", type=int, nargs="+", default=[1, 2, 3, 4, 5, 6, 7, 8])
    parser.add_argument("--out", default=str(runtime.DATA_DIR / "results" / "12_style.json"))
    settings = parser.parse_args()
    runtime.setup(seed=0)
    started = time.perf_counter()
    encoder, decoder = shipped.load("style_encoder"), shipped.load("style_adain")
    styles = networks()
    rows = compare(settings, encoder, decoder, styles)
    others = compare(settings, encoder, decoder, never_met())
    table = {"size": settings.size, "evaluations": settings.evaluations}
    table |= {"repeats": settings.repeats, "summary": summary(rows)}
    table["never met"] = {"summary": summary(others, ["any style"]), "rows": others}
    table |= {"steadiness": steadiness(settings, encoder, decoder, styles), "rows": rows}
    table |= provenance(seed=0, started=started)
    Path(settings.out).write_text(json.dumps(table, indent=1) + "\n")
    print(json.dumps(table["summary"] | {"never met": table["never met"]["summary"]}, indent=1))


if __name__ == "__main__":
    main()
