"""What the latent studio shows: its picture, and the same in words."""

import numpy as np
from PIL import Image, ImageDraw

from course_lib import plots

SIDE, THUMB = 320, 64  # pixels on the page: the picture, and a key frame below it
WIDTH, HEIGHT = 2 * SIDE, SIDE + THUMB
MOST_FRAMES = WIDTH // THUMB  # that are shown: the last ones
BLUE = plots.COLORS[0]


def compose(picture, *, corners=(), place=(0, 0), target=None, frames=()):
    """Draw the page: left the picture, right what it comes from, below the key frames.

    Args:
        picture: float array (size, size, 1 or 3) in [-1, 1].
        corners: the pictures of four seeds, with a dot at `place`, (x, y) from 0 to 1.
        target: a picture in their place, the one that is projected; None for none.
        frames: pictures of the key frames; the last `MOST_FRAMES` are shown.

    Returns:
        PIL image of WIDTH x HEIGHT.
    """
    page = Image.new("RGB", (WIDTH, HEIGHT), "white")
    page.paste(_enlarged(picture, SIDE), (0, 0))
    if target is not None:
        page.paste(_enlarged(target, SIDE), (SIDE, 0))
    else:
        half = SIDE // 2
        for index, corner in enumerate(corners):
            page.paste(_enlarged(corner, half), (SIDE + index % 2 * half, index // 2 * half))
        x, y = SIDE + place[0] * (SIDE - 1), place[1] * (SIDE - 1)
        ImageDraw.Draw(page).ellipse((x - 7, y - 7, x + 7, y + 7), fill=BLUE, outline="white")
    for index, frame in enumerate(frames[-MOST_FRAMES:]):
        page.paste(_enlarged(frame, THUMB), (index * THUMB, SIDE))
    return page


def _enlarged(picture, side):
    pixels = (plots.to_display(picture[None])[0] * 255).round().astype(np.uint8)
    return Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC)


def words(look, frames):
    """Return the look in words, every number that the page shows by a place or a colour.

    Args:
        look: a `studio.Look`.
        frames: number of key frames.
    """
    seeds = ", ".join(map(str, look.seeds))
    parts = [look.own or f"seeds {seeds} at ({look.x:.2f}, {look.y:.2f})", f"ψ {look.psi:.2f}"]
    parts.append(f"seed {look.other} in {', '.join(look.swapped) or 'no layer'}")
    parts += [f"{name} {amount:+.1f} σ" for name, amount in look.amounts.items()]
    if look.locked:
        parts.append(f"locked: {', '.join(look.locked)}")
    return "; ".join([*parts, f"key frames: {frames}"])
