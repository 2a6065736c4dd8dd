"""Run notebooks and store their outputs: `python -m course_lib.publish [notebooks] [--check]`.

A published notebook reads well where no kernel runs, and its outputs are those of its code: the
time they took, their speed and a fingerprint of the code are in its metadata. `--check` tells what
keeps a notebook from being published as it is; the tests run it on every notebook.
"""

import argparse
import base64
import copy
import hashlib
import io
import json
import os
import re
import statistics
import sys
import tempfile
import time
import tomllib
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from PIL import Image

from course_lib import runtime

FOLDER = runtime.ROOT / "notebooks"
MOST_BYTES = 1_500_000
MOST_SECONDS = {"smoke": 60, "class": 600}  # a GPU's time at full speed says nothing about others'
LARGE_PICTURE = 40_000  # characters; larger ones are stored in 256 colours
MOST_WORDS = 120  # of a markdown cell
MEDIAN_LINES, USUAL_LINES, MOST_LINES = 8, 25, 40  # of a code cell
USUAL_SHARE = 0.9
CELL_SECONDS = 3600  # no cell takes longer; it is stuck

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE = {
    "codemirror_mode": {"name": "ipython", "version": 3},
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
}
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
PICTURES = ("image/png", "image/jpeg", "image/svg+xml")
REAL_PEOPLE, RESULT = "real-people", "result-picture"  # tags of cells
NOT_STORED = "A picture of real people: not stored. Run this cell to see it."
# What TensorFlow's C++ parts write to stderr when they start, whatever the log level.
START_UP_NOISE = re.compile(
    r"^(\d{4}-\d\d-\d\d .*(tensorflow|xla|cuda)/|[IWE]\d{4} \d\d:\d\d:\d\d"
    r"|WARNING: All log messages|To enable the following instructions"
    r"|computation placer already registered)"
)
ESCAPE_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
SOMEONES_FOLDER = re.compile(r"/(?:home/\w|Users/\w|root/)|\b[A-Z]:\\\\?Users|site-packages[/\\]")
ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{6,}")


class PublishError(Exception):
    """A notebook can't be published; the message says why. Its file has not been touched."""


# What is stored ----------------------------------------------------------------------------------


def fingerprint(notebook: NotebookNode) -> str:
    """Returns the sha256 of what the stored outputs depend on: code cells and library version.

    Text may be corrected without a new run. The library enters with its version alone: a change
    that alters what notebooks show raises the version in pyproject.toml, so that all are run again;
    hashing its files instead would ask for an hour of runs after every corrected comment.
    """
    with (runtime.ROOT / "pyproject.toml").open("rb") as file:
        version = tomllib.load(file)["project"]["version"]
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256(json.dumps([version, sources]).encode()).hexdigest()


def clean(notebook: NotebookNode) -> NotebookNode:
    """Returns a copy without what differs from run to run or only means something to a kernel.

    Removed are the state and the views of widgets (without a kernel they show an error; the picture
    beside them stays), times of execution, start-up noise, all but the last state of progress bars,
    and the pictures of cells tagged "real-people". The metadata of kernel and language are the same
    in every notebook.
    """
    result = copy.deepcopy(notebook)
    course = notebook.metadata.get("course", {})
    result.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": LANGUAGE})
    if course:
        result.metadata["course"] = course
    for cell in result.cells:
        kept = {key: cell.metadata[key] for key in ("tags", "jupyter") if key in cell.metadata}
        cell.metadata = nbformat.from_dict(kept)
        if cell.cell_type == "code":
            cell.outputs = _clean_outputs(cell.outputs)
            if REAL_PEOPLE in cell.metadata.get("tags", []):
                cell.outputs = [_without_pictures(output) for output in cell.outputs]
    return result


def _without_pictures(output: NotebookNode) -> NotebookNode:
    """Photographs of real people are nobody's to publish, nor what a network makes of a few."""
    if not any(kind in output.get("data", {}) for kind in PICTURES):
        return output
    return nbformat.v4.new_output("display_data", {"text/plain": NOT_STORED})


def _clean_outputs(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Joins neighbouring texts, stdout before stderr: their order is chance in a kernel."""
    kept: list[NotebookNode] = []
    joined: dict[str, NotebookNode] = {}  # the texts since the last picture or value, by name
    for output in outputs:
        if WIDGET_VIEW in output.get("data", {}):
            continue
        if output.output_type != "stream":
            kept += [joined[name] for name in sorted(joined, reverse=True)]
            kept.append(output)
            joined = {}
        elif output.name in joined:
            joined[output.name].text += output.text
        else:
            joined[output.name] = output
    kept += [joined[name] for name in sorted(joined, reverse=True)]
    for output in kept:
        if output.output_type == "stream":
            output.text = _clean_text(output.text, is_error=output.name == "stderr")
    return [output for output in kept if output.output_type != "stream" or output.text.strip()]


def _clean_text(text: str, *, is_error: bool) -> str:
    """Keeps of each line what a terminal would show at the end, and drops start-up noise."""
    lines = ESCAPE_CODES.sub("", text).replace("\r\n", "\n").split("\n")
    lines = [line.rstrip("\r").rsplit("\r", 1)[-1].rstrip() for line in lines]
    return "\n".join(line for line in lines if not (is_error and START_UP_NOISE.match(line)))


# What keeps a notebook from being published ------------------------------------------------------


def problems(path: Path) -> list[str]:
    """Returns what is wrong with a notebook as it is stored, one sentence each; empty: nothing."""
    notebook = nbformat.read(path, as_version=4)
    found = [*_cell_problems(notebook), *_run_problems(notebook), *_output_problems(notebook)]
    if notebook != clean(notebook):
        found.append("holds widget state, times or metadata that publishing removes: publish it")
    size = path.stat().st_size
    if size > MOST_BYTES:
        found.append(f"is {size:,} bytes large; at most {MOST_BYTES:,}: store smaller pictures")
    return found


def _cell_problems(notebook: NotebookNode) -> list[str]:
    """The limits of the course on the size of a cell."""
    found = []
    lines = [len(cell.source.strip().splitlines()) for _, cell in _cells(notebook, "code")]
    for number, cell in _cells(notebook, "markdown"):
        if (words := _count_words(cell.source)) > MOST_WORDS:
            found.append(f"cell {number} has {words} words; at most {MOST_WORDS}")
    for (number, _), count in zip(_cells(notebook, "code"), lines, strict=True):
        if count > MOST_LINES:
            found.append(f"cell {number} has {count} lines of code; at most {MOST_LINES}")
    if lines and statistics.median(lines) > MEDIAN_LINES:
        found.append(f"half of the code cells have more than {MEDIAN_LINES} lines")
    if lines and sum(count <= USUAL_LINES for count in lines) < USUAL_SHARE * len(lines):
        found.append(f"more than one code cell in ten has more than {USUAL_LINES} lines")
    return found


def _run_problems(notebook: NotebookNode) -> list[str]:
    """Whether the stored outputs come from one run of the code as it is now, at class speed."""
    course = notebook.metadata.get("course")
    if not course:
        return ["has never been published"]
    found = []
    if course.get("fingerprint") != fingerprint(notebook):
        found.append("has changed since it was run: its outputs are not those of its code")
    speed, seconds = course.get("speed"), course.get("seconds", 0)
    if speed != "class":
        found.append(f"was run at {speed} speed; the stored outputs are those of class speed")
    if seconds > MOST_SECONDS.get(speed, seconds):
        found.append(f"took {seconds} s at {speed} speed; at most {MOST_SECONDS[speed]} s")
    counts = [cell.execution_count for _, cell in _cells(notebook, "code")]
    if None in counts:
        number = _cells(notebook, "code")[counts.index(None)][0]
        found.append(f"cell {number} has not been run")
    elif counts != list(range(1, len(counts) + 1)):
        found.append(f"was not run from top to bottom: its counts are {counts}")
    return found


def _output_problems(notebook: NotebookNode) -> list[str]:
    """What must not be in a published notebook."""
    found = []
    for number, cell in _cells(notebook, "code"):
        for output in cell.outputs:
            if output.output_type == "error":
                found.append(f"cell {number} stopped with {output.ename}: {output.evalue}")
        text = "\n".join([cell.source, *map(_text, cell.outputs)])
        if shown := _private_path(text):
            found.append(f"cell {number} shows a path of this machine: {shown!r}")
        if match := ADDRESS.search(text):
            found.append(
                f"cell {number} shows an address in memory, {match.group()!r}: end the cell with "
                "`;` or show something else"
            )
    return found


def _cells(notebook: NotebookNode, kind: str) -> list[tuple[int, NotebookNode]]:
    """(number from 1, cell) of the cells of one kind; empty code cells are no cells."""
    numbered = enumerate(notebook.cells, start=1)
    return [(n, cell) for n, cell in numbered if cell.cell_type == kind and cell.source.strip()]


def _count_words(markdown: str) -> int:
    """Counts what is read: no code, diagrams, formulas, tables, tags or addresses of links."""
    text = re.sub(r"```.*?```|\$\$.*?\$\$|<[^>]*>|\]\([^)]*\)", " ", markdown, flags=re.DOTALL)
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("|")]
    return sum(any(map(str.isalnum, word)) for word in " ".join(lines).split())


def _text(output: NotebookNode) -> str:
    """All that an output says in words."""
    parts = [output.get("text", ""), *output.get("traceback", [])]
    for kind, value in output.get("data", {}).items():
        if not kind.startswith("image/") or kind == "image/svg+xml":
            parts.append(value if isinstance(value, str) else json.dumps(value))
    return "\n".join(parts)


def _private_path(text: str) -> str | None:
    """The first path in a text that only exists on someone's machine."""
    for folder in {runtime.ROOT, Path.home(), Path(sys.prefix)}:
        if len(folder.parts) > 1 and re.search(re.escape(str(folder)) + r"(?![\w.-])", text):
            return str(folder)
    match = SOMEONES_FOLDER.search(text)
    return match.group() if match else None


def _widgets_without_picture(notebook: NotebookNode) -> list[int]:
    """Numbers of the cells that show a widget and, up to the next code cell's end, no picture."""
    cells = _cells(notebook, "code")
    missing = []
    for (number, cell), following in zip(cells, [*cells[1:], None], strict=True):
        outputs = [*cell.outputs, *(following[1].outputs if following else [])]
        views = [output for output in cell.outputs if WIDGET_VIEW in output.get("data", {})]
        # A finished progress bar is a widget as well; its numbers are not missed.
        views = [view for view in views if "%|" not in view.data.get("text/plain", "")]
        if views and not any(kind in o.get("data", {}) for o in outputs for kind in PICTURES):
            missing.append(number)
    return missing


# Running -----------------------------------------------------------------------------------------


def run(path: Path, *, speed: str) -> tuple[NotebookNode, int]:
    """Returns the notebook with fresh outputs, and the seconds it took; the file stays as it is.

    The kernel starts in the notebook's folder, as JupyterLab's does. It does not see the results of
    earlier runs, so that nothing stored there can take the place of a computation.

    Raises:
        PublishError: If a cell fails, or the kernel does.
    """
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name=KERNEL["name"],
        resources=resources,
        store_widget_state=False,
        record_timing=False,
    )
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as results:
        environment = {**os.environ, "COURSE_SPEED": speed, "COURSE_RESULTS": results}
        environment |= {"TF_CPP_MIN_LOG_LEVEL": "2", "COURSE_GRADING": "0"}
        try:
            client.execute(env=environment)
        except CellExecutionError as error:
            raise PublishError(_describe_failure(notebook, error)) from error
        except (RuntimeError, TimeoutError) as error:  # a dead kernel; a cell that is stuck
            raise PublishError(f"{type(error).__name__}: {error}") from error
    return notebook, round(time.monotonic() - start)


def _describe_failure(notebook: NotebookNode, error: CellExecutionError) -> str:
    """The failing cell's number, its source and the error."""
    for number, cell in _cells(notebook, "code"):
        if any(output.output_type == "error" for output in cell.outputs):
            source = "\n".join("    " + line for line in cell.source.splitlines())
            return f"cell {number} stopped with {error.ename}: {error.evalue}\n{source}"
    return f"stopped with {error.ename}: {error.evalue}"


def publish(path: Path, *, speed: str = "class") -> NotebookNode:
    """Runs a notebook and stores its outputs; returns it.

    Raises:
        PublishError: If a cell fails, or its outputs must not be published. The file is untouched.
    """
    notebook, seconds = run(path, speed=speed)
    missing = _widgets_without_picture(notebook)
    notebook.metadata["course"] = nbformat.from_dict(
        {"fingerprint": fingerprint(notebook), "seconds": seconds, "speed": speed}
    )
    notebook = clean(notebook)
    found = _output_problems(notebook)
    found += [
        f"cell {number} shows a widget without a plain picture beside it" for number in missing
    ]
    if found:
        raise PublishError("\n".join(found))
    _use_palettes(notebook)
    nbformat.validate(notebook)
    if picture := _result_picture(notebook):
        figures = path.parent / "figures"
        figures.mkdir(exist_ok=True)
        _write(picture, figures / f"{path.stem}.png")
    _write((nbformat.writes(notebook, version=4) + "\n").encode(), path)
    return notebook


def _use_palettes(notebook: NotebookNode) -> None:
    """Stores the largest PNGs with a palette of 256 colours: a third of the bytes, some banding."""
    for _, cell in _cells(notebook, "code"):
        for output in cell.outputs:
            encoded = output.get("data", {}).get("image/png")
            if encoded and len(encoded) > LARGE_PICTURE:
                picture = Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB")
                buffer = io.BytesIO()
                small = picture.quantize(256, dither=Image.Dither.NONE)
                small.save(buffer, "png", optimize=True)
                output.data["image/png"] = base64.b64encode(buffer.getvalue()).decode() + "\n"


def _result_picture(notebook: NotebookNode) -> bytes | None:
    """The picture of the cell tagged "result-picture", shown at the top and in the README."""
    for _, cell in _cells(notebook, "code"):
        if RESULT in cell.metadata.get("tags", []):
            found = [output.get("data", {}).get("image/png") for output in cell.outputs]
            return next((base64.b64decode(picture) for picture in found if picture), None)
    return None


def _write(content: bytes, path: Path) -> None:
    """Writes all or nothing: a crash leaves the old file."""
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            file.close()
            os.chmod(file.name, path.stat().st_mode if path.exists() else 0o644)
            os.replace(file.name, path)
        except BaseException:
            file.close()
            Path(file.name).unlink(missing_ok=True)
            raise


# The command -------------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> int:
    """Publishes or checks notebooks; returns 0, or 1 if there is something to do.

    Args:
        arguments: Those of the command line.
    """
    parser = argparse.ArgumentParser(prog="python -m course_lib.publish", description=__doc__)
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all in notebooks/")
    parser.add_argument("--check", action="store_true", help="run nothing, tell what is wrong")
    parser.add_argument("--speed", choices=runtime.SPEEDS, default="class")
    chosen = parser.parse_args(arguments)
    paths = chosen.notebooks or sorted(FOLDER.glob("*.ipynb"))
    if unknown := [str(path) for path in paths if path.suffix != ".ipynb" or not path.is_file()]:
        parser.error(f"not a notebook: {', '.join(unknown)}")
    if not paths:
        parser.error(f"no notebooks in {FOLDER}")
    done = [_handle(path, check=chosen.check, speed=chosen.speed) for path in paths]
    return 0 if all(done) else 1


def _handle(path: Path, *, check: bool, speed: str) -> bool:
    """Publishes or checks one notebook, prints what came of it, and tells whether all is well."""
    if not check:
        try:
            course = publish(path, speed=speed).metadata.course
        except PublishError as error:
            print(f"{path.name}: not published, the file is as it was\n{error}")
            return False
        kilobytes = path.stat().st_size // 1000
        print(f"{path.name}: published, {course.seconds} s at {speed} speed, {kilobytes} kB")
    found = problems(path)
    for problem in found:
        print(f"{path.name}: {problem}")
    if check and not found:
        print(f"{path.name}: in order")
    return not found


if __name__ == "__main__":
    sys.exit(main())
