"""Publishing: what is stored, what is refused, and what `--check` says."""

import base64
import io
import json
import os
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from course_lib import publish, runtime

pytestmark = pytest.mark.notebook

GOOD = """\
import os, sys
print("speed", os.environ["COURSE_SPEED"], "logs", os.environ["TF_CPP_MIN_LOG_LEVEL"])
print("grading", os.environ["COURSE_GRADING"])
print("results", os.listdir(os.environ["COURSE_RESULTS"]))
print("in", os.path.basename(os.getcwd()))
for k in range(3):
    print(f"\\r{k + 1} of 3", end="", file=sys.stderr)
    sys.stderr.flush()
print(file=sys.stderr)
print("2026-01-01 10:00:00.1: I tensorflow/core/util.cc:1] oneDNN is on", file=sys.stderr)
print("a real warning", file=sys.stderr)
"""
PICTURE = """\
import ipywidgets
from PIL import Image
from IPython.display import display
dot = Image.new("RGB", (2, 2))
display(ipywidgets.IntSlider())
"""


def _write(path: Path, *sources: str, **metadata) -> Path:
    """A notebook of these code cells, not run."""
    path.parent.mkdir(exist_ok=True)
    notebook = new_notebook(cells=[new_code_cell(source) for source in sources], metadata=metadata)
    nbformat.write(notebook, path)
    return path


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """One notebook, run and published once for the tests that only look at it."""
    path = tmp_path_factory.mktemp("course") / "notebooks" / "good.ipynb"
    _write(path, GOOD, PICTURE, "display(dot)", "1 + 1", widgets={"old": {}}, extra="note")
    publish.publish(path, speed="class")
    return path


@pytest.fixture
def stored(published, tmp_path):
    """A copy to damage: (path, change), where change(function) edits and writes it."""
    path = tmp_path / published.name
    path.write_bytes(published.read_bytes())

    def change(edit) -> list[str]:
        notebook = nbformat.read(path, as_version=4)
        edit(notebook)
        nbformat.write(notebook, path)
        return publish.problems(path)

    return change


# What is stored ----------------------------------------------------------------------------------


def test_a_published_notebook_is_in_order(published):
    assert publish.problems(published) == []


def test_the_kernel_gets_speed_quiet_logs_no_grading_and_an_empty_results_folder(published):
    text = nbformat.read(published, as_version=4).cells[0].outputs[0].text
    assert text == "speed class logs 2\ngrading 0\nresults []\nin notebooks\n"


def test_progress_bars_keep_their_last_state_and_start_up_noise_goes(published):
    outputs = nbformat.read(published, as_version=4).cells[0].outputs
    assert [output.name for output in outputs] == ["stdout", "stderr"]
    assert outputs[1].text == "3 of 3\na real warning\n"


def test_widget_views_and_state_go_and_the_picture_stays(published):
    notebook = nbformat.read(published, as_version=4)
    assert "widgets" not in notebook.metadata
    assert "widget-view" not in published.read_text()
    assert notebook.cells[1].outputs == []
    assert "image/png" in notebook.cells[2].outputs[0].data


def test_the_metadata_are_kernel_language_and_course_alone(published):
    metadata = nbformat.read(published, as_version=4).metadata
    assert set(metadata) == {"kernelspec", "language_info", "course"}
    assert metadata.kernelspec == publish.KERNEL and metadata.language_info == publish.LANGUAGE
    assert metadata.course.speed == "class" and 0 < metadata.course.seconds < 60
    assert len(metadata.course.fingerprint) == 64


def test_cells_keep_tags_and_lose_times(published):
    notebook = nbformat.read(published, as_version=4)
    notebook.cells[0].metadata = {"tags": ["exercise"], "execution": {"iopub": 1}, "scrolled": True}
    assert publish.clean(notebook).cells[0].metadata == {"tags": ["exercise"]}
    assert not notebook.cells[1].metadata


def test_cleaning_twice_changes_nothing_more(published):
    notebook = nbformat.read(published, as_version=4)
    notebook.cells[0].outputs.append(
        new_output("stream", name="stderr", text="\x1b[31ma\rb\x1b[0m ")
    )
    once = publish.clean(notebook)
    assert once.cells[0].outputs[1].text == "3 of 3\na real warning\nb"
    assert publish.clean(once) == once


def test_texts_are_joined_stdout_first_between_pictures():
    names = ["stderr", "stdout", "stderr", "picture", "stderr", "stdout"]
    outputs = [
        new_output("display_data", data={"image/png": "A"})
        if name == "picture"
        else new_output("stream", name=name, text=f"I0000 10:00:00 {number}\n{number}\n")
        for number, name in enumerate(names)
    ]
    notebook = new_notebook(cells=[new_code_cell("x", outputs=outputs)])
    cleaned = publish.clean(notebook).cells[0].outputs
    assert [output.get("text") for output in cleaned] == [
        "I0000 10:00:00 1\n1\n",  # what the notebook itself prints is never noise
        "0\n2\n",
        None,
        "I0000 10:00:00 5\n5\n",
        "4\n",
    ]


def test_the_file_ends_in_a_newline_and_keeps_its_cell_ids_and_mode(published, tmp_path):
    path = _write(tmp_path / "ids.ipynb", "1 + 1")
    path.chmod(0o664)
    before = nbformat.read(path, as_version=4).cells[0].id
    publish.publish(path, speed="smoke")
    assert nbformat.read(path, as_version=4).cells[0].id == before
    assert path.read_text().endswith("}\n") and path.stat().st_mode & 0o777 == 0o664
    assert sorted(file.name for file in tmp_path.iterdir()) == ["ids.ipynb"]


# The fingerprint ---------------------------------------------------------------------------------


def test_the_fingerprint_follows_the_code_and_not_the_text(published):
    notebook = nbformat.read(published, as_version=4)
    before = publish.fingerprint(notebook)
    notebook.cells.append(new_markdown_cell("New words."))
    notebook.cells[0].outputs = []
    assert publish.fingerprint(notebook) == before
    notebook.cells[0].source += "\n# changed"
    assert publish.fingerprint(notebook) != before


def test_the_fingerprint_sees_where_one_cell_ends_and_the_next_begins():
    apart = new_notebook(cells=[new_code_cell("a"), new_code_cell("b")])
    joined = new_notebook(cells=[new_code_cell("ab")])
    assert publish.fingerprint(apart) != publish.fingerprint(joined)


def test_the_fingerprint_follows_the_version_of_the_library(published, tmp_path, monkeypatch):
    notebook = nbformat.read(published, as_version=4)
    before = publish.fingerprint(notebook)
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "99.0"\n')
    monkeypatch.setattr(runtime, "ROOT", tmp_path)
    assert publish.fingerprint(notebook) != before


# What is refused ---------------------------------------------------------------------------------


def _refused(tmp_path, *sources: str) -> str:
    """Publishes what must be refused; returns the reason, having seen the file untouched."""
    path = _write(tmp_path / "bad.ipynb", *sources)
    before = path.read_bytes()
    with pytest.raises(publish.PublishError) as reason:
        publish.publish(path, speed="smoke")
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["bad.ipynb"]
    return str(reason.value)


def test_a_failing_cell_is_refused_with_its_number_source_and_error(tmp_path):
    reason = _refused(tmp_path, "x = 1", "y = x / 0  # here", "z = 2")
    assert (
        reason == "cell 2 stopped with ZeroDivisionError: division by zero\n    y = x / 0  # here"
    )


def test_an_error_in_a_cell_that_may_fail_is_refused_as_well(tmp_path):
    path = _write(tmp_path / "bad.ipynb", "1 / 0")
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[0].metadata["tags"] = ["raises-exception"]
    nbformat.write(notebook, path)
    with pytest.raises(publish.PublishError, match="cell 1 stopped with ZeroDivisionError"):
        publish.publish(path, speed="smoke")


def test_a_dying_kernel_is_refused(tmp_path):
    assert "DeadKernelError" in _refused(tmp_path, "import os\nos._exit(1)")


def test_paths_of_this_machine_and_addresses_are_refused(tmp_path):
    sources = [f"print({str(runtime.ROOT / 'data')!r})", "lambda: 1", "print('/home/' + 'ada/x')"]
    reason = _refused(tmp_path, *sources)
    assert f"cell 1 shows a path of this machine: {str(runtime.ROOT)!r}" in reason
    assert "cell 3 shows a path of this machine: '/home/a'" in reason


def test_a_widget_without_a_picture_is_refused(tmp_path):
    reason = _refused(tmp_path, "import ipywidgets\nipywidgets.IntSlider()", "1", "2")
    assert reason == "cell 1 shows a widget without a plain picture beside it"


def test_a_finished_progress_bar_needs_no_picture(tmp_path):
    source = "from tqdm.notebook import tqdm\nfor _ in tqdm(range(3)):\n    pass"
    path = _write(tmp_path / "bar.ipynb", source)
    assert publish.publish(path, speed="smoke").cells[0].outputs == []


def test_a_crash_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    path = _write(tmp_path / "old.ipynb", "1")
    before = path.read_bytes()

    def full(descriptor):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        publish._write(b"new", path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["old.ipynb"]


def _tagged(tmp_path, tag: str):
    """A notebook with one picture, in a cell with this tag, published."""
    path = _write(tmp_path / "tagged.ipynb", PICTURE + "print('a number')\ndot")
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[0].metadata["tags"] = [tag]
    nbformat.write(notebook, path)
    return path, publish.publish(path)


def test_pictures_of_real_people_are_not_stored_and_their_numbers_are(tmp_path):
    path, notebook = _tagged(tmp_path, "real-people")
    assert "image/png" not in path.read_text()
    outputs = notebook.cells[0].outputs
    assert "a number" in outputs[0].text
    assert "not stored" in outputs[-1].data["text/plain"]


def test_the_result_picture_is_written_beside_the_notebook(tmp_path):
    path, notebook = _tagged(tmp_path, "result-picture")
    with Image.open(tmp_path / "figures" / "tagged.png") as picture:
        assert picture.size == (2, 2)


def test_only_large_pictures_get_a_palette(monkeypatch):
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 50).convert("RGB").save(buffer, "png")
    encoded = base64.b64encode(buffer.getvalue()).decode()
    output = new_output("display_data", data={"image/png": encoded})
    notebook = new_notebook(cells=[new_code_cell("x", outputs=[output])])
    publish._use_palettes(notebook)
    assert notebook.cells[0].outputs[0].data["image/png"] == encoded
    monkeypatch.setattr(publish, "LARGE_PICTURE", len(encoded) - 1)
    publish._use_palettes(notebook)
    small = base64.b64decode(notebook.cells[0].outputs[0].data["image/png"])
    assert Image.open(io.BytesIO(small)).mode == "P" and len(small) < len(buffer.getvalue())


# What --check says -------------------------------------------------------------------------------


def test_changed_code_is_stale(stored):
    def edit(notebook):
        notebook.cells[-1].source = "1 + 2"

    assert stored(edit) == ["has changed since it was run: its outputs are not those of its code"]


def test_a_notebook_that_was_never_published_is_named(stored):
    assert "has never been published" in stored(lambda notebook: notebook.metadata.pop("course"))


def test_smoke_outputs_are_not_the_stored_ones(stored):
    def edit(notebook):
        notebook.metadata.course.speed = "smoke"
        notebook.metadata.course.seconds = 61

    first, second = stored(edit)
    assert first.startswith("was run at smoke speed") and second.startswith("took 61 s at smoke")


@pytest.mark.parametrize("seconds, found", [(600, 0), (601, 1)])
def test_a_notebook_of_more_than_ten_minutes_is_named(stored, seconds, found):
    assert len(stored(lambda notebook: notebook.metadata.course.update(seconds=seconds))) == found


def test_a_cell_without_a_run_is_named(stored):
    def edit(notebook):
        notebook.cells[1].execution_count = None

    assert stored(edit) == ["cell 2 has not been run"]


def test_cells_run_out_of_order_are_named(stored):
    def edit(notebook):
        notebook.cells[0].execution_count, notebook.cells[1].execution_count = 2, 1

    assert stored(edit) == ["was not run from top to bottom: its counts are [2, 1, 3, 4]"]


def test_an_empty_cell_needs_no_run(stored):
    assert stored(lambda notebook: notebook.cells.append(new_code_cell(" \n"))) != []
    published_as_it_is = [new_code_cell("  ")]
    assert publish._cells(new_notebook(cells=published_as_it_is), "code") == []


def test_a_stored_error_is_named(stored):
    error = new_output("error", ename="KeyError", evalue="'x'", traceback=[])
    found = stored(lambda notebook: notebook.cells[0].outputs.append(error))
    assert found == ["cell 1 stopped with KeyError: 'x'"]


def test_widget_state_of_another_tool_is_named(stored):
    found = stored(lambda notebook: notebook.metadata.update(widgets={}))
    assert found == ["holds widget state, times or metadata that publishing removes: publish it"]


def test_an_address_in_memory_is_named(stored):
    text = new_output("execute_result", data={"text/plain": "<object at 0x7f12ab34cd56>"})
    (found,) = stored(lambda notebook: notebook.cells[0].outputs.append(text))
    assert "address in memory, 'at 0x7f12ab34cd56'" in found


@pytest.mark.parametrize("kind", ["text/plain", "text/html", "application/json", "image/svg+xml"])
def test_a_path_is_found_in_every_kind_of_text(stored, kind):
    output = new_output("display_data", data={kind: "C:\\Users\\Ada and more"})
    (found,) = stored(lambda notebook: notebook.cells[0].outputs.append(output))
    assert "cell 1 shows a path" in found


def test_a_path_in_the_source_is_found(published):
    notebook = new_notebook(cells=[new_code_cell("open('/home/ada/x')")])
    assert "shows a path" in publish._output_problems(notebook)[0]


@pytest.mark.parametrize("parts", [("home", "ada"), ("Users", "ada"), ("root", "ada")])
def test_folders_of_people_on_other_machines_are_found(parts):
    assert publish.SOMEONES_FOLDER.search("in " + "/".join(["", *parts]))
    assert not publish.SOMEONES_FOLDER.search("in " + "/".join(["", f"{parts[0]}s", "ada"]))


def test_what_only_looks_like_a_path_of_this_machine_is_allowed():
    assert publish._private_path(f"{runtime.ROOT}-other and /homework") is None
    assert publish._private_path(f"in {runtime.ROOT}/data") == str(runtime.ROOT)


def test_the_size_limit_counts_the_file(stored):
    data = {"image/png": "A" * publish.MOST_BYTES}
    output = new_output("display_data", data=data)
    (found,) = stored(lambda notebook: notebook.cells[0].outputs.append(output))
    assert found.endswith("at most 1,500,000: store smaller pictures")


def _limits(*lengths: int) -> list[str]:
    cells = [new_code_cell("x = 1\n" * length) for length in lengths]
    return publish._cell_problems(new_notebook(cells=cells))


def test_code_cells_within_the_limits_are_in_order():
    assert _limits(8) == _limits(*[8] * 6, *[25] * 3, 40) == []


def test_code_cells_above_the_limits_are_named():
    assert _limits(*[1] * 10, 41) == ["cell 11 has 41 lines of code; at most 40"]
    assert _limits(9, 9, 1) == ["half of the code cells have more than 8 lines"]
    assert _limits(*[1] * 8, 26, 26) == ["more than one code cell in ten has more than 25 lines"]


def test_markdown_is_counted_in_words_that_are_read():
    read = "word " * 120
    unread = "| a table |\n```mermaid\na --> b\n```\n$$ x = y $$ <br> - *"
    cells = [new_markdown_cell(read + "\n" + unread)]
    assert publish._cell_problems(new_notebook(cells=cells)) == []
    cells = [new_markdown_cell(read + " [more](https://example.org/a b)")]
    found = publish._cell_problems(new_notebook(cells=cells))
    assert found == ["cell 1 has 121 words; at most 120"]


# The command -------------------------------------------------------------------------------------


def test_the_command_publishes_then_finds_nothing_to_do(tmp_path, capsys):
    path = _write(tmp_path / "n.ipynb", "1 + 1")
    assert publish.main([str(path)]) == 0
    assert "n.ipynb: published, " in capsys.readouterr().out
    assert publish.main(["--check", str(path)]) == 0
    assert capsys.readouterr().out == "n.ipynb: in order\n"


def test_the_command_names_the_failing_notebook_and_goes_on(tmp_path, capsys):
    bad, good = _write(tmp_path / "a.ipynb", "1 / 0"), _write(tmp_path / "b.ipynb", "1")
    assert publish.main([str(bad), str(good)]) == 1
    shown = capsys.readouterr().out
    assert "a.ipynb: not published, the file is as it was\ncell 1 stopped" in shown
    assert "b.ipynb: published, " in shown
    assert publish.main([str(good), "--speed", "smoke"]) == 1
    assert "b.ipynb: was run at smoke speed" in capsys.readouterr().out


def test_checking_runs_nothing_and_changes_nothing(tmp_path, capsys):
    path = _write(tmp_path / "n.ipynb", "raise SystemExit")
    before = path.read_bytes()
    assert publish.main(["--check", str(path)]) == 1
    assert path.read_bytes() == before
    assert "n.ipynb: has never been published" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, message",
    [(["missing.ipynb"], "not a notebook: missing.ipynb"), (["--speed", "fast"], "invalid choice")],
)
def test_a_wrong_command_is_refused(arguments, message, capsys):
    with pytest.raises(SystemExit):
        publish.main(arguments)
    assert message in capsys.readouterr().err


def test_without_names_all_notebooks_are_meant(tmp_path, monkeypatch, capsys):
    _write(tmp_path / "b.ipynb", "1"), _write(tmp_path / "a.ipynb", "1")
    monkeypatch.setattr(publish, "FOLDER", tmp_path)
    assert publish.main(["--check"]) == 1
    named = [line.split(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert list(dict.fromkeys(named)) == ["a.ipynb", "b.ipynb"]


def test_an_empty_folder_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(publish, "FOLDER", tmp_path)
    with pytest.raises(SystemExit):
        publish.main(["--check"])
    assert "no notebooks in" in capsys.readouterr().err


def test_the_stored_file_is_the_form_that_jupyterlab_writes(published):
    text = published.read_text(encoding="utf-8")
    assert text == json.dumps(json.loads(text), indent=1, ensure_ascii=False, sort_keys=True) + "\n"
