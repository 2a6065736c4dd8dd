"""Pictures of arrays: NumPy in, Matplotlib figure out.

Nothing here trains, downloads or guesses. Images must be float32 in [-1, 1]; another range
is an error, since a silent rescaling hides exactly the mistakes that a learner has to see.
"""

import math

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import ticker

# Okabe and Ito's palette: distinguishable with every common form of colour blindness.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def image_grid(images, *, columns=None, title=None, captions=None, scale=1.0):
    """Draw images side by side.

    Args:
        images: float array (count, height, width, 1 or 3) in [-1, 1].
        columns: images per row; by default the grid is about twice as wide as high.
        title: text above the grid: what the reader sees, and of which data.
        captions: one short text per image, drawn below it.
        scale: inches per image.

    Returns:
        matplotlib.figure.Figure.

    Raises:
        ValueError: on another shape, on values outside [-1, 1], and on a wrong number of captions.
    """
    images = to_display(images)
    columns = columns or max(1, round(math.sqrt(2 * len(images))))
    rows = math.ceil(len(images) / columns)
    if captions is not None and len(captions) != len(images):
        raise ValueError(f"{len(images)} images need as many captions, got {len(captions)}.")
    height = scale * rows * (1.0 if captions is None else 1.25)
    figure, axes = plt.subplots(
        rows, columns, figsize=(scale * columns, height), squeeze=False, layout="constrained"
    )
    for index, axis in enumerate(axes.flat):
        axis.set_axis_off()
        if index < len(images):
            axis.imshow(images[index], interpolation="nearest")
            if captions is not None:
                axis.set_title(captions[index], fontsize=8, y=-0.25)
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.02, hspace=0.02)
    if title:
        figure.suptitle(title, fontsize=10)
    return figure


def image_rows(rows, *, title=None, scale=1.0):
    """Draw named rows of images, for example real ones above generated ones.

    Args:
        rows: dict of label -> float array (count, height, width, 1 or 3) in [-1, 1]; the
            counts may differ.
        title: text above.
        scale: inches per image.

    Returns:
        matplotlib.figure.Figure.

    Raises:
        ValueError: as `image_grid`.
    """
    rows = {label: to_display(images) for label, images in rows.items()}
    columns = max(len(images) for images in rows.values())
    figure, axes = plt.subplots(
        len(rows), 1, figsize=(scale * columns + 1.2, scale * len(rows)),
        squeeze=False, layout="constrained",
    )  # fmt: skip
    for axis, (label, images) in zip(axes[:, 0], rows.items(), strict=True):
        axis.imshow(np.concatenate(images, axis=1), interpolation="nearest")
        axis.set(xticks=[], yticks=[])
        axis.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
        for spine in axis.spines.values():
            spine.set_visible(False)
    if title:
        figure.suptitle(title, fontsize=10)
    return figure


def curves(series, *, x, xlabel, ylabel, title=None, guides=None):
    """Draw named curves over one x axis, each with its own colour and line style.

    Args:
        series: dict of label -> array (points,).
        x: array (points,), for example images seen.
        xlabel, ylabel: axis labels, with units.
        title: what the curves show.
        guides: dict of label -> y value for dotted horizontal lines, for example 2 ln 2.

    Returns:
        matplotlib.figure.Figure.

    Raises:
        ValueError: if a curve and x differ in length.
    """
    figure, axis = plt.subplots(figsize=(6.5, 3.0), layout="constrained")
    styles = ("-", "--", "-.", ":")
    for index, (label, values) in enumerate(series.items()):
        if len(values) != len(x):
            raise ValueError(f"curve {label!r} has {len(values)} points but x has {len(x)}.")
        color = COLORS[index % len(COLORS)]
        axis.plot(x, values, styles[index % len(styles)], color=color, label=label, linewidth=1.5)
    for label, value in (guides or {}).items():
        axis.axhline(value, color="0.5", linestyle=":", linewidth=1)
        axis.annotate(label, (1, value), xycoords=("axes fraction", "data"), fontsize=8,
                      ha="right", va="bottom", color="0.35")  # fmt: skip
    if guides:
        axis.margins(y=0.08)  # room for the label of the highest line
    axis.set(xlabel=xlabel, ylabel=ylabel, title=title)
    axis.title.set_fontsize(10)
    axis.legend(fontsize=8)
    return figure


def bars(values, *, ylabel, title=None, errors=None):
    """Draw one labelled bar per entry, with its number above it.

    Args:
        values: dict of label -> number.
        ylabel: what the numbers are, with the unit.
        title: what the bars show.
        errors: dict of label -> half-length of the error bar.

    Returns:
        matplotlib.figure.Figure.
    """
    figure, axis = plt.subplots(figsize=(1.2 + 1.1 * len(values), 3.0), layout="constrained")
    deviations = None if errors is None else [errors[label] for label in values]
    drawn = axis.bar(list(values), list(values.values()), yerr=deviations, capsize=3, width=0.6,
                     color=[COLORS[i % len(COLORS)] for i in range(len(values))])  # fmt: skip
    axis.bar_label(drawn, fmt="%.3g", fontsize=8, padding=2)
    axis.set(ylabel=ylabel, title=title)
    axis.title.set_fontsize(10)
    axis.margins(y=0.15)
    return figure


def heat_table(texts, shades, *, rows, columns, title=None):
    """Draw a table whose cells are as dark as a number behind them is large.

    Args:
        texts: what stands in the cells, sequences of strings (rows, columns).
        shades: float array (rows, columns) in [0, 1]: 0 is white, 1 the darkest blue.
        rows, columns: their names.
        title: text above; it has to say what the shade means.

    Returns:
        matplotlib.figure.Figure.

    Raises:
        ValueError: if texts, shades and names differ in size, or a shade is outside [0, 1].
    """
    shades, texts = np.asarray(shades, "float64"), np.asarray(texts)
    if not (shades.shape == texts.shape == (len(rows), len(columns))):
        raise ValueError(
            f"texts and shades must have shape ({len(rows)}, {len(columns)}), as the names, "
            f"got {texts.shape} and {shades.shape}."
        )
    if not (shades.min() >= 0 and shades.max() <= 1):  # written so that NaN fails as well
        raise ValueError(f"shades must be in [0, 1], got {shades.min():.4g} to {shades.max():.4g}.")
    size = (1.25 * len(columns) + 2.0, 0.42 * len(rows) + 0.9)
    figure, axis = plt.subplots(figsize=size, layout="constrained")
    axis.imshow(shades, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), text in np.ndenumerate(texts):
        color = "white" if shades[row, column] > 0.6 else "black"
        axis.text(column, row, text, ha="center", va="center", fontsize=9, color=color)
    axis.set_xticks(range(len(columns)), columns, fontsize=9)
    axis.set_yticks(range(len(rows)), rows, fontsize=9)
    axis.tick_params(length=0, labeltop=True, labelbottom=False)
    if title:
        figure.suptitle(title, fontsize=10)
    return figure


def seed_points(arms, *, xlabel, title=None, notes=None, guides=None, log=False):
    """Draw one row per arm: each seed as a small point, their mean and standard deviation.

    Args:
        arms: dict of label -> numbers, one per seed, from the top; NaN is a seed without a result.
        xlabel: what the numbers are, with the unit.
        title: what the rows show.
        notes: dict of label -> short text at the right end of its row.
        guides: dict of label -> x value for dotted vertical lines, for example a floor.
        log: whether the x axis is logarithmic; numbers of at most 0 are then not seen.

    Returns:
        matplotlib.figure.Figure; the mean of the seeds that have a result is written at its point.
    """
    figure, axis = plt.subplots(figsize=(8.0, 0.9 + 0.3 * len(arms)), layout="constrained")
    rows = np.arange(len(arms))
    for row, (label, values) in zip(rows, arms.items(), strict=True):
        values = np.asarray(values, float)
        found = values[np.isfinite(values)]
        axis.plot(found, np.full(len(found), row), "o", color=COLORS[5], markersize=5)
        if len(found):
            spread = found.std(ddof=1) if len(found) > 1 else 0.0
            axis.errorbar(found.mean(), row, xerr=spread, fmt="|", color=COLORS[0], markersize=11,
                          capsize=3)  # fmt: skip
            axis.annotate(f"{found.mean():.4g}", (found.mean(), row), xytext=(0, 5), fontsize=7,
                          textcoords="offset points", ha="center")  # fmt: skip
        note = (notes or {}).get(label, "")
        axis.annotate(note, (1.01, row), xycoords=("axes fraction", "data"), va="center",
                      fontsize=8)  # fmt: skip
    for label, value in (guides or {}).items():
        axis.axvline(value, color="0.5", linestyle=":", linewidth=1)
        axis.annotate(label, (value, 1.0), xycoords=("data", "axes fraction"), fontsize=8,
                      ha="center", va="bottom", color="0.35")  # fmt: skip
    axis.set(xlabel=xlabel, yticks=rows, ylim=(len(arms) - 0.4, -0.7))
    axis.set_yticklabels(list(arms), fontsize=9)
    if log:
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter("{x:g}")  # 0.2, not 2 x 10^-1
        axis.xaxis.set_minor_formatter("")
    axis.set_title(title, fontsize=10, pad=16 if guides else None)
    axis.grid(axis="y", color="0.92")
    return figure


def picture_matrix(matrix, names, pictures, *, title=None):
    """Draw a confusion matrix: the count in each cell, and one of the pictures counted there.

    Args:
        matrix: whole numbers (classes, classes); rows are the truth, columns the answers.
        names: names of the classes.
        pictures: dict of (row, column) -> float image (height, width, 1 or 3) in [-1, 1]; a cell
            without a picture shows its count alone.
        title: text above.

    Returns:
        Matplotlib figure; cells on the diagonal are right and have a green edge, others vermilion.
    """
    count = len(names)
    figure, axes = plt.subplots(count, count, figsize=(0.85 * count + 1.6, 0.85 * count + 0.8))
    figure.subplots_adjust(left=0.16, right=0.995, bottom=0.01, top=0.86, wspace=0.06, hspace=0.06)
    for (row, column), axis in np.ndenumerate(np.atleast_2d(axes)):
        axis.set(xticks=[], yticks=[])
        if (row, column) in pictures:
            axis.imshow(to_display(np.asarray(pictures[row, column])[None])[0])
        for spine in axis.spines.values():
            spine.set_color(COLORS[2] if row == column else COLORS[1])
            spine.set_visible(bool(matrix[row, column]))
        box = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1.0}
        axis.text(0.06, 0.94, matrix[row, column] or "", transform=axis.transAxes, fontsize=8,
                  va="top", bbox=box if matrix[row, column] else None)  # fmt: skip
        if column == 0:
            axis.set_ylabel(names[row], rotation=0, ha="right", va="center", fontsize=9)
        if row == 0:
            axis.set_title(names[column].replace(" + ", "\n+ "), fontsize=8)
    if title:
        figure.suptitle(title, fontsize=11)
    return figure


def montage(images, columns, *, gap=1):
    """Return images side by side in one array: quicker to draw than an axis for each.

    Args:
        images: array (count, height, width, 3), uint8 or float in [0, 1], as `imshow` takes them.
        columns: images per row; the last row may be shorter.
        gap: white pixels between two images.

    Returns:
        Array of the same dtype, (rows * (height + gap) - gap, columns * (width + gap) - gap, 3).
    """
    count, height, width, channels = images.shape
    rows = math.ceil(count / columns)
    white = 255 if images.dtype == np.uint8 else 1
    shape = rows * (height + gap) - gap, columns * (width + gap) - gap, channels
    sheet = np.full(shape, white, images.dtype)
    for index, picture in enumerate(images):
        top, left = np.multiply(divmod(index, columns), (height + gap, width + gap))
        sheet[top : top + height, left : left + width] = picture
    return sheet


def to_display(images):
    """Return images as RGB values for a screen.

    Args:
        images: float array (count, height, width, 1 or 3) in [-1, 1].

    Returns:
        float32 array (count, height, width, 3) in [0, 1]; grey is repeated.

    Raises:
        ValueError: on another shape or range, NaN included.
    """
    images = np.asarray(images, "float32")
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or 0 in images.shape:
        raise ValueError(
            f"expected images of shape (count, height, width, 1 or 3), got {images.shape}."
        )
    low, high = float(images.min()), float(images.max())
    if not (low >= -1.001 and high <= 1.001):  # written so that NaN fails as well
        raise ValueError(
            f"expected values in [-1, 1], got [{low:.4g}, {high:.4g}]; convert pixels with "
            "course_lib.datasets.images.to_float, or give the generator a tanh output."
        )
    images = np.clip((images + 1) / 2, 0, 1)
    return np.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images
