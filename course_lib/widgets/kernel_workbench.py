"""A panel: edit the numbers of a kernel and see what it makes of a picture, sum by sum."""

import contextlib
import functools
import html
import io
import threading

import ipywidgets
import numpy as np
from matplotlib import pyplot

from course_lib.datasets import avatars, catalog, images
from course_lib.widgets import engine, kernel_picture
from course_lib.widgets.convolved import Convolved

PHOTOGRAPHS = ("cat", "coffee", "temple", "flower", "rocket")
PICTURES = (*PHOTOGRAPHS, "avatar", "one pixel", "step")
UPLOADED, YOURS = "uploaded", "yours"  # names of the reader's own pictures
SIDE, LARGEST = 128, 5  # pixels of a picture; rows and columns of the largest kernel
DPI = 90  # of the plain figure, whose pixels are those of the panel
PRESETS = {
    "identity": [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
    "blur": [[1 / 9] * 3] * 3,
    "sharpen": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
    "horizontal edges": [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],
    "vertical edges": [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
    "emboss": [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]],
}
EDITED, EXPLICIT = "your own", "a number"  # of the presets; of the paddings


@functools.cache
def load_picture(name):
    """Returns a built-in picture by its name: float64 (height, width) in [-1, 1], grey.

    Raises:
        ValueError: on another name; the message has those there are.
    """
    if name in PHOTOGRAPHS:
        photographs = catalog.load("photographs", size=SIDE)
        index = photographs.classes["title"].index(name)
        return as_picture(photographs.images[photographs.labels["title"] == index][0])
    if name == "avatar":
        return as_picture(images.to_float(avatars.make(1, size=SIDE, seed=3)[0][0]))
    if name not in PICTURES:
        raise ValueError(f"there is no picture {name!r}; there are {', '.join(PICTURES)}.")
    picture = np.zeros((15, 15))
    if name == "one pixel":
        picture[7, 7] = 1.0
    else:
        picture[:, :7], picture[:, 7:] = -1.0, 1.0
    return picture


def as_picture(array):
    """Returns any picture as the panel shows it: float64 (height, width), grey.

    Args:
        array: (height, width), (height, width, 1) or (height, width, 3). uint8 is taken as pixels
            and brought to [-1, 1], other numbers stay what they are; of colours the luma is taken.

    Raises:
        ValueError: on another shape, on what is no number, and on NaN or infinity.
    """
    array = np.asarray(array)
    colours = array.ndim == 3 and array.shape[2] in (1, 3)
    if array.size == 0 or array.dtype.kind not in "biuf" or not (array.ndim == 2 or colours):
        raise ValueError(
            "a picture must be an array of numbers (height, width[, 1 or 3]). "
            f"Received: {array.dtype} of shape {array.shape}."
        )
    picture = (images.to_float(array) if array.dtype == np.uint8 else array).astype(np.float64)
    if not np.all(np.isfinite(picture)):
        raise ValueError("a picture must hold finite numbers. Received: NaN or infinity.")
    if picture.ndim == 3:  # ITU-R 601, as Pillow
        picture = picture @ [0.299, 0.587, 0.114] if picture.shape[2] == 3 else picture[..., 0]
    return picture


class KernelWorkbench:
    """The numbers of a kernel, its settings, and what they make of a picture.

    Attributes:
        cells: list of 25 `ipywidgets.FloatText`, rows of five; a smaller kernel has those in the
            middle, and the others keep their numbers.
        picture, upload, preset, random, size, stride, padding, pad, dilation, row, column: the
            other controls.
        state: the `Convolved` that is shown.
        worker: the `engine.Worker`.
        image, status, code: the picture, its numbers in words, a cell that gives the same.
        panel: the box to display.
    """

    def __init__(
        self, picture="cat", kernel=None, *, stride=1, padding="same", dilation=1, position=None
    ):
        """Build the panel.

        Args:
            picture: a name of `PICTURES`, or an array as in `as_picture`.
            kernel: square array of 1 x 1 to 5 x 5 numbers; None takes the horizontal edges.
            stride, dilation: from 1 to 8.
            padding: "valid", "same", or from 0 to 16 zeros on each side.
            position: (row, column) of the output that is looked at; None takes the middle.

        Raises:
            ValueError: on an unknown picture, another kernel, or a setting that no control has.
        """
        self._own = {}  # name -> (array, the line of code that gives it)
        if not isinstance(picture, str):
            self._own[YOURS] = _with_code(as_picture(picture))
            picture = YOURS
        elif picture not in PICTURES:
            load_picture(picture)  # says which there are
        kernel = _checked_kernel(PRESETS["horizontal edges"] if kernel is None else kernel)
        _check_settings(stride=stride, dilation=dilation, padding=padding)
        self._hand = threading.local()  # per thread: whether the panel itself moves controls
        self._random, self._note = np.random.default_rng(0), ""
        self._make_controls(picture, stride, padding, dilation)
        self._fill(kernel)
        self.image = ipywidgets.Image(format="png", width=kernel_picture.WIDTH)
        self.status, self.code = ipywidgets.HTML(), ipywidgets.HTML()
        self.worker = engine.Worker("kernel workbench", None, self._publish, on_status=self._say)
        self._start(position)
        self._connect()
        self._arrange()

    def figure(self):
        """Return the picture as a plain Matplotlib figure, for readers without a kernel."""
        picture = kernel_picture.draw(self.state)
        figure = pyplot.figure(figsize=(picture.width / DPI, picture.height / DPI), dpi=DPI)
        figure.add_axes((0, 0, 1, 1), xticks=[], yticks=[], frame_on=False).imshow(picture)
        return figure

    def words(self):
        """Return the lines below the picture."""
        return self.state.words()

    @property
    def source(self):
        """The code that shows the same numbers and picture, as a cell of a notebook."""
        state = self.state
        kernel = ", ".join(str([float(number) for number in row]) for row in state.kernel)
        options = f"stride={state.stride}, padding={state.padding!r}, dilation={state.dilation}"
        lines = [
            "import numpy as np\n\nfrom course_lib import convolution",
            "from course_lib.datasets import images",
            "from course_lib.widgets.kernel_workbench import KernelWorkbench, load_picture\n",
            self._picture_code,
            f"kernel = np.array([{kernel}])",
        ]
        if not state.trouble:
            lines += [
                "output = convolution.convolve(",
                f"    picture[None, :, :, None], kernel[:, :, None, None], {options}",
                ")[0, :, :, 0]",
                "print(output.shape, output[{}, {}])".format(*state.position),
            ]
        call = f"KernelWorkbench(picture, kernel, {options}, position={state.wanted})"
        return "\n".join([*lines, f"{call}.figure();\n"])

    # Controls ------------------------------------------------------------------------------------

    def _make_controls(self, picture, stride, padding, dilation):
        def slider(value, low, high, name):
            return ipywidgets.IntSlider(value, low, high, description=name, continuous_update=True)

        explicit = padding if isinstance(padding, int) else 1
        choice = EXPLICIT if isinstance(padding, int) else padding
        box = {"layout": {"width": "68px"}}
        self.cells = [ipywidgets.FloatText(0.0, step=0.1, **box) for _ in range(LARGEST**2)]
        self.size = slider(3, 1, LARGEST, "kernel size")
        self.preset = ipywidgets.Dropdown(options=[EDITED, *PRESETS], description="kernel")
        self.random = ipywidgets.Button(description="random numbers")
        self.picture = ipywidgets.Dropdown(
            options=[*PICTURES, *self._own], value=picture, description="picture"
        )
        self.upload = ipywidgets.FileUpload(
            accept=",".join(images.SUFFIXES), multiple=False, description="your own"
        )
        self.stride = slider(stride, 1, 8, "stride")
        self.padding = ipywidgets.Dropdown(
            options=["valid", "same", EXPLICIT], value=choice, description="padding"
        )
        self.pad = ipywidgets.BoundedIntText(
            explicit, 0, 16, description="zeros", disabled=choice != EXPLICIT
        )
        self.dilation = slider(dilation, 1, 8, "dilation")
        self.row, self.column = slider(0, 0, 0, "output row"), slider(0, 0, 0, "output column")

    def _start(self, position):
        """The first picture; it says how many rows and columns there are to look at."""
        self._compute()
        if self.state.output is not None:
            self._offer_positions()
            middle = tuple(size // 2 for size in self.state.output.shape)
            self.row.value, self.column.value = middle if position is None else position
        self.worker.run(self._compute)

    def _connect(self):
        for control in (self.stride, self.pad, self.dilation, self.row, self.column, self.picture):
            control.observe(self._moved, "value")
        for cell in self.cells:
            cell.observe(self._edited, "value")
        self.size.observe(self._resized, "value")
        self.padding.observe(self._padded, "value")
        self.preset.observe(self._chosen, "value")
        self.random.on_click(self._randomise)
        self.upload.observe(self._uploaded, "value")

    def _arrange(self):
        box, row = ipywidgets.VBox, ipywidgets.HBox
        rows = [self.cells[start : start + LARGEST] for start in range(0, LARGEST**2, LARGEST)]
        kernel = box([self.preset, self.size, *map(row, rows), self.random])
        padding = box([self.padding, self.pad])
        settings = box([row([self.picture, self.upload]), self.stride, padding, self.dilation,
                        self.row, self.column])  # fmt: skip
        shown_code = ipywidgets.Accordion([self.code], titles=["Show the code"])
        self.panel = box([row([kernel, settings]), self.image, self.status, shown_code])

    def _moved(self, change):
        if not self._is_busy():
            self.worker.submit(self._compute, key="show")

    def _edited(self, change):
        if not self._is_busy():
            self._name_preset(EDITED)
            self._moved(change)

    def _resized(self, change):
        self._show_cells()
        self._edited(change)

    def _padded(self, change):
        self.pad.disabled = change["new"] != EXPLICIT
        self._moved(change)

    def _chosen(self, change):
        if not self._is_busy() and change["new"] in PRESETS:
            self._fill(np.array(PRESETS[change["new"]], np.float64))
            self._moved(change)

    def _randomise(self, button):
        size = self.size.value
        self._fill(self._random.standard_normal((size, size)).round(2))
        self._moved(None)

    def _uploaded(self, change):
        if change["new"]:
            self.worker.submit(lambda: self._read(change["new"][0]))

    def _fill(self, kernel):
        """Write a kernel into the cells, and its name, if it has one, into the list."""
        with self._by_itself():
            self.size.value = len(kernel)
            for (i, j), cell in zip(np.ndindex(*kernel.shape), self._used(), strict=True):
                cell.value = float(kernel[i, j])
            self._show_cells()
        self._name_preset(
            next((n for n, k in PRESETS.items() if np.array_equal(k, kernel)), EDITED)
        )

    def _name_preset(self, name):
        with self._by_itself():
            self.preset.value = name

    @contextlib.contextmanager
    def _by_itself(self):
        """While it is open, what this thread does to a control is not the reader's doing."""
        before, self._hand.busy = self._is_busy(), True
        try:
            yield
        finally:
            self._hand.busy = before

    def _is_busy(self):
        return getattr(self._hand, "busy", False)

    def _used(self):
        """The cells of a kernel of the size as it is, row by row."""
        size = self.size.value
        first = (LARGEST - size) // 2
        places = range(first, first + size)
        return [self.cells[i * LARGEST + j] for i in places for j in places]

    def _show_cells(self):
        used = set(map(id, self._used()))
        for cell in self.cells:
            cell.disabled = id(cell) not in used

    # Work and its picture ------------------------------------------------------------------------

    def _compute(self):
        name, size = self.picture.value, self.size.value
        picture, self._picture_code = self._own.get(name) or (
            load_picture(name),
            f"picture = load_picture({name!r})",
        )
        kernel = np.array([cell.value for cell in self._used()]).reshape(size, size)
        padding = self.pad.value if self.padding.value == EXPLICIT else self.padding.value
        self.state = Convolved(
            picture, kernel, self.stride.value, padding, self.dilation.value,
            (self.row.value, self.column.value),
        )  # fmt: skip

    def _read(self, file):
        """Take an uploaded file; one that can't be read changes nothing and says why."""
        try:
            content, name = bytes(file["content"]), file["name"]
            pixels = images.read_image(content, size=SIDE, channels=1, name=name)
        except ValueError as error:
            self._note = str(error)
            return
        code = f"images.read_image({file['name']!r}, size={SIDE}, channels=1)"
        code = f"picture = images.to_float({code}).astype(float)[..., 0]"
        self._own[UPLOADED], self._note = (as_picture(pixels), code), ""
        with self._by_itself():
            self.picture.options = [*PICTURES, *self._own]
            self.picture.value = UPLOADED
        self._compute()

    def _offer_positions(self):
        """Let the sliders of the position end where the output does."""
        with self._by_itself():
            for control, size in zip((self.row, self.column), self.state.output.shape, strict=True):
                control.max = size - 1

    def _publish(self):
        buffer = io.BytesIO()
        kernel_picture.draw(self.state).save(buffer, "png", compress_level=1)
        self.image.value = buffer.getvalue()
        if self.state.output is not None:
            self._offer_positions()
        self.code.value = f"<pre>{html.escape(self.source)}</pre>"
        lines = ([self._note] if self._note else []) + self.state.words()
        return f'<div role="status">{"<br>".join(map(html.escape, lines))}</div>'

    def _say(self, words):
        self.status.value = words


def _with_code(picture):
    if picture.size <= 100:
        return picture, f"picture = np.array({picture.tolist()})"
    return picture, "# picture: the array that this panel was made with"


def _checked_kernel(kernel):
    kernel = np.asarray(kernel)
    if kernel.dtype.kind not in "biuf" or not np.all(np.isfinite(kernel)):
        raise ValueError(f"a kernel must hold finite numbers. Received: {kernel.dtype}.")
    if kernel.ndim != 2 or len(set(kernel.shape)) > 1 or not 1 <= len(kernel) <= LARGEST:
        raise ValueError(
            f"a kernel here is square, from 1 x 1 to {LARGEST} x {LARGEST}. "
            f"Received: shape {kernel.shape}."
        )
    return kernel.astype(np.float64)


def _check_settings(**settings):
    for name, value in settings.items():
        if name == "padding" and value in ("valid", "same"):
            continue
        low, high = (0, 16) if name == "padding" else (1, 8)
        if not isinstance(value, int) or not low <= value <= high:
            words = '"valid", "same" or ' if name == "padding" else ""
            raise ValueError(
                f"{name} must be {words}a whole number from {low} to {high}. Received: {value!r}."
            )
