"""What the kernel workbench shows: one picture, one kernel, and all that follows from them."""

import dataclasses

import numpy as np

from course_lib import convolution


@dataclasses.dataclass(frozen=True, eq=False)
class Convolved:
    """One setting of the panel and what follows from it.

    Attributes:
        picture: float64 (height, width).
        kernel: float64 (size, size).
        stride, padding, dilation: as in `convolution.convolve`.
        wanted: (row, column) of the output that is looked at, if there is such a pixel.
        output: float64 (rows, columns), or None where there is none.
        trouble: why there is no output, else "".
    """

    picture: np.ndarray
    kernel: np.ndarray
    stride: int = 1
    padding: str | int = "same"
    dilation: int = 1
    wanted: tuple[int, int] = (0, 0)
    output: np.ndarray | None = dataclasses.field(default=None, init=False)
    trouble: str = dataclasses.field(default="", init=False)

    def __post_init__(self):
        try:
            if not np.all(np.isfinite(self.kernel)):
                raise ValueError("a number of the kernel is infinite or no number: write another.")
            output = convolution.convolve(
                self.picture[None, :, :, None], self.kernel[:, :, None, None],
                stride=self.stride, padding=self.padding, dilation=self.dilation,
            )  # fmt: skip
            object.__setattr__(self, "output", output[0, :, :, 0])
        except ValueError as error:
            object.__setattr__(self, "trouble", str(error))

    @property
    def position(self):
        """(row, column) of the pixel of the output nearest to the wanted one."""
        rows, columns = self.output.shape
        return min(self.wanted[0], rows - 1), min(self.wanted[1], columns - 1)

    @property
    def pads(self):
        """((top, bottom), (left, right)) in pixels."""
        return tuple(
            convolution.padding_pixels(
                size, len(self.kernel), self.stride, self.padding, self.dilation
            )
            for size in self.picture.shape
        )

    @property
    def corner(self):
        """(row, column) of the input where the window begins; negative within the padding."""
        return tuple(
            place * self.stride - before
            for place, (before, _) in zip(self.position, self.pads, strict=True)
        )

    @property
    def window(self):
        """The pixels that the kernel lies on, zeros in the padding: float64 (size, size)."""
        padded = np.pad(self.picture, self.pads)
        steps = np.arange(len(self.kernel)) * self.dilation
        rows, columns = (place * self.stride + steps for place in self.position)
        return padded[np.ix_(rows, columns)]

    @property
    def total(self):
        """The sum of window times kernel, rounded to four digits: float, never -0."""
        return round(float(np.sum(self.window * self.kernel)), 4) + 0.0

    def unread(self):
        """How many pixels of the picture no window reads: int."""
        steps = np.arange(len(self.kernel)) * self.dilation
        read = 1
        for size, places, (before, _) in zip(
            self.picture.shape, self.output.shape, self.pads, strict=True
        ):
            pixels = np.arange(places)[:, None] * self.stride + steps - before
            read *= len(np.unique(pixels[(pixels >= 0) & (pixels < size)]))
        return self.picture.size - read

    def words(self):
        """Lines that say the sizes, the formula with its numbers, and one output's sum."""
        if self.trouble:
            return [f"No output: {self.trouble}"]
        row, column = self.position
        pairs = zip(self.window.flat, self.kernel.flat, strict=True)
        terms = " + ".join(f"({pixel:.4g})({weight:.4g})" for pixel, weight in pairs)
        low, high = self.output.min(), self.output.max()
        return [
            *(self._formula(axis) for axis in (0, 1)),
            f"The output goes from {low:.4g} to {high:.4g}. "
            f"{self.unread():,} of {self.picture.size:,} input pixels are read by no window.",
            f"output[{row}, {column}] = {terms} = {self.total:.4f}",
        ]

    def _formula(self, axis):
        size, kernel, (before, after) = self.picture.shape[axis], len(self.kernel), self.pads[axis]
        return (
            f"{('height', 'width')[axis]}: ⌊(n + p − d (k − 1) − 1) / s⌋ + 1 = "
            f"⌊({size} + {before + after} − {self.dilation} · ({kernel} − 1) − 1) / {self.stride}⌋"
            f" + 1 = {self.output.shape[axis]}   (padding {before} before, {after} after)"
        )
