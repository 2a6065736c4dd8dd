"""What a laboratory looks like, as one raster image that is drawn many times a second.

Blue is real and vermilion is generated, in the dots and in the discriminator's field alike.
"""

import math

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter
from scipy.special import expit, ndtri

from course_lib.datasets import points

LAYERS = ("discriminator", "optimal discriminator", "real", "generated", "gradients", "grid")
FIELD = 48  # cells of the discriminator's field along each axis
CELLS = 24  # of the generator's grid along each axis; all hold equal shares of the latents
REAL_DOTS, FAKE_DOTS, ARROWS = 400, 400, 100
SMOOTHING = 0.08  # standard deviation of the kernel that both densities are smoothed with
KDE_SAMPLES, KDE_CELLS = 20_000, 192
BLUE, VERMILION, BLACK = (0, 114, 178), (213, 94, 0), (20, 20, 20)


def draw(lab, layers=("discriminator", "real", "generated"), *, pixels=420):
    """Return a picture of a laboratory as it is now.

    Args:
        lab: a `Laboratory`.
        layers: names from `LAYERS`, in any order; they are drawn in that of `LAYERS`.
        pixels: width and height; the square shows [-2.6, 2.6] along both axes.

    Returns:
        PIL.Image.Image in RGB.

    Raises:
        ValueError: for an unknown layer.
    """
    if unknown := set(layers) - set(LAYERS):
        raise ValueError(f"{sorted(unknown)} are no layers; there are {', '.join(LAYERS)}.")
    picture = Image.new("RGB", (pixels, pixels), "white")
    if "discriminator" in layers:
        picture = _field(discriminator_field(lab), pixels)
    if "optimal discriminator" in layers:
        picture = _field(optimal_field(lab), pixels)
    ink = ImageDraw.Draw(picture, "RGBA")
    if "grid" in layers:
        _draw_grid(ink, lab, pixels)
    if "real" in layers:
        _dots(ink, lab.real.points[:REAL_DOTS], BLUE, pixels)
    if "generated" in layers:
        _dots(ink, lab.fake_points(FAKE_DOTS, seed=1), VERMILION, pixels)
    if "gradients" in layers:
        _draw_gradients(ink, lab, pixels)
    return picture


def field_centres():
    """Return the points at which a field is evaluated: float32 (FIELD * FIELD, 2), row by row."""
    side = (np.arange(FIELD) + 0.5) / FIELD * 2 * points.EXTENT - points.EXTENT
    x, y = np.meshgrid(side, side[::-1])
    return np.stack([x, y], axis=-1).reshape(-1, 2).astype("float32")


def discriminator_field(lab):
    """Return how real D finds each place, float (FIELD, FIELD) from 0 to 1, top row first.

    For the losses whose logit is a log-odds this is the sigmoid of the logit. Least squares and
    hinge have targets, 0 and 1 or -1 and 1, between which the answer is clipped. Wasserstein and
    relativistic answers have no zero: they are centred between the mean answers for real and for
    generated points.
    """
    logits, loss = lab.logits(field_centres()).reshape(FIELD, FIELD), lab.settings.loss
    if loss == "least_squares":
        return np.clip(logits, 0, 1)
    if loss == "hinge":
        return np.clip((logits + 1) / 2, 0, 1)
    if loss in ("wasserstein", "relativistic"):
        means = [lab.logits(x).mean() for x in (lab.real.points[:256], lab.fake_points(256))]
        logits = logits - np.mean(means)
    return expit(logits)


def optimal_field(lab):
    r"""Return $p/(p+q)$ with p the real and q the generator's density, both smoothed.

    The generator's density is not known, so q is estimated from 20,000 points with a Gaussian
    kernel of standard deviation `SMOOTHING`; p is smoothed alike (for a mixture of Gaussians
    exactly), so that the two compare. Shape and range as `discriminator_field`.
    """
    q = smoothed_density(lab.fake_points(KDE_SAMPLES, seed=3))
    if lab.real.modes is None:
        p = smoothed_density(lab.real.points[:KDE_SAMPLES])
    else:
        variance = lab.real.sigma**2 + SMOOTHING**2
        gaps = ((field_centres()[:, None] - lab.real.modes[None]) ** 2).sum(axis=-1)
        p = np.exp(-gaps / (2 * variance)).mean(axis=1) / (2 * math.pi * variance)
        p = p.reshape(FIELD, FIELD)
    tiny = 5e-3  # where hardly anybody is: undecided
    return (p + tiny) / (p + q + 2 * tiny)


def smoothed_density(sample):
    """Return the density of a sample at `field_centres`, smoothed: (FIELD, FIELD), per area."""
    edges = np.linspace(-points.EXTENT, points.EXTENT, KDE_CELLS + 1)
    counts, _, _ = np.histogram2d(sample[:, 1], sample[:, 0], bins=(edges, edges))
    cell = edges[1] - edges[0]
    smooth = gaussian_filter(counts, SMOOTHING / cell, mode="constant")
    coarse = smooth.reshape(FIELD, KDE_CELLS // FIELD, FIELD, -1).mean(axis=(1, 3))
    return coarse[::-1] / (len(sample) * cell**2)


def _field(values, pixels):
    """Vermilion at 0, white at 1/2, blue at 1; pale, so that dots stand out."""
    share = np.clip(np.nan_to_num(values, nan=0.5), 0, 1)[..., None]
    blue, vermilion = (255 - 0.55 * (255 - np.array(c, float)) for c in (BLUE, VERMILION))
    colour = np.where(
        share > 0.5,
        255 + (2 * share - 1) * (blue - 255),
        255 + (1 - 2 * share) * (vermilion - 255),
    )
    small = Image.fromarray(colour.round().astype("uint8"))
    return small.resize((pixels, pixels), Image.Resampling.BILINEAR)


def to_pixels(where, pixels):
    """Return pixel coordinates (count, 2) of points, kept within a picture's width of it."""
    where = np.clip(np.nan_to_num(np.asarray(where, "float64"), nan=1e3), -1e3, 1e3)
    scaled = (where * [1, -1] + points.EXTENT) / (2 * points.EXTENT) * pixels
    return np.clip(scaled, -pixels, 2 * pixels)


def _dots(ink, where, colour, pixels):
    radius = max(1.5, pixels / 240)
    for x, y in to_pixels(where, pixels).tolist():
        ink.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(*colour, 170))


def _draw_gradients(ink, lab, pixels):
    """Arrows along minus the gradient; the median arrow is a twelfth of the picture long."""
    fake = lab.fake_points(ARROWS, seed=1)
    ways = lab.point_gradients(fake, lab.real.points[:ARROWS]).astype("float64")
    median = np.median(np.linalg.norm(ways, axis=1))
    if not math.isfinite(median) or median == 0:
        return
    starts = to_pixels(fake, pixels)
    ends = starts + np.clip(ways * [1, -1] / median, -3, 3) * pixels / 12
    for (x, y), (u, v) in zip(starts.tolist(), ends.tolist(), strict=True):
        ink.line((x, y, u, v), fill=(*BLACK, 200))
        angle = math.atan2(v - y, u - x)
        for side in (-0.5, 0.5):
            tip = (u - 5 * math.cos(angle + side), v - 5 * math.sin(angle + side))
            ink.line((u, v, *tip), fill=(*BLACK, 200))


def gradient_scale(lab):
    """Return the median length of the gradients that are drawn, for the caption."""
    fake = lab.fake_points(ARROWS, seed=1)
    ways = lab.point_gradients(fake, lab.real.points[:ARROWS])
    return float(np.median(np.linalg.norm(ways, axis=1)))


def grid_points(lab):
    """Return where the generator puts a grid of latents, or None beyond two latent dimensions.

    Returns:
        float array (CELLS + 1, CELLS + 1, 2), or (10 * CELLS + 1, 2) for one latent dimension.
        Between neighbouring lines lies an equal share of the latents' distribution, but for
        the outermost hundredth on each side.
    """
    latent_dim = lab.settings.latent_dim
    if latent_dim > 2:
        return None
    count = CELLS + 1 if latent_dim == 2 else 10 * CELLS + 1
    lines = ndtri(np.linspace(0.01, 0.99, count))
    if latent_dim == 1:
        return lab.generate(lines[:, None])
    first, second = np.meshgrid(lines, lines)
    latents = np.stack([first, second], axis=-1).reshape(-1, 2)
    return lab.generate(latents).reshape(count, count, 2)


def _draw_grid(ink, lab, pixels):
    """Cells of equal probability: the smaller the cell, the higher the density, the darker."""
    grid = grid_points(lab)
    if grid is None:
        ink.text((8, 8), "the grid needs 1 or 2 latent dimensions", fill=BLACK)
        return
    corners = to_pixels(grid.reshape(-1, 2), pixels).reshape(grid.shape)
    if grid.ndim == 2:
        ink.line([tuple(point) for point in corners.tolist()], fill=(*VERMILION, 220), width=2)
        return
    cells = [corners[:-1, :-1], corners[:-1, 1:], corners[1:, 1:], corners[1:, :-1]]
    cells = np.stack(cells, axis=2).reshape(-1, 4, 2)
    x, y = cells[..., 0], cells[..., 1]
    area = 0.5 * np.abs((x * np.roll(y, -1, 1) - y * np.roll(x, -1, 1)).sum(axis=1))
    opacity = np.clip(90 * pixels**2 / len(cells) / 8 / (area + 1), 10, 170).astype(int)
    for cell, alpha in zip(cells.tolist(), opacity.tolist(), strict=True):
        ink.polygon([tuple(corner) for corner in cell], fill=(*VERMILION, alpha),
                    outline=(*VERMILION, 90))  # fmt: skip
