"""The launcher: what it starts, how it notices that a worker is lost, and what it then says."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from test_replicas import GAN

from course_lib import cluster, launch, runtime

# Workers that train a GAN on loopback: to the end, or until worker 1 kills itself after 64 images.
WORKER = (
    GAN
    + """
import os, pathlib, signal
folder = pathlib.Path(sys.argv[1])
strategy = runtime.strategy()
here = Replicas(strategy)

read = []
original = pipeline.Batches.shard
def watched(self, *arguments, **options):
    part = original(self, *arguments, **options)
    read.append((part, self))
    return part
pipeline.Batches.shard = watched

def at_report(images_seen, metrics):
    if images_seen == 64 and here.worker == 1 and sys.argv[2] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)

run = Run(strategy, CONFIG)
if sys.argv[2] == "kill":
    straight = Run(strategy, CONFIG).fit(96, folder / "straight")
    np.savez(folder / f"straight-{here.worker}.npz", **straight.arrays)
run.fit(96, folder / "run", on_report=at_report)
np.savez(folder / f"resumed-{here.worker}.npz", **run.arrays)
part, whole = read[-1]
print(json.dumps({
    "worker": here.worker, "workers": here.workers, "replicas": here.count,
    "read": [part.indices(step).tolist() for step in range(2)],
    "all": [whole.indices(step).tolist() for step in range(2)],
    "losses": run.history["d_loss"].tolist()}), flush=True)
"""
)


def start(script, *arguments, options=(), start_new_session=False, **environment):
    """Start the launcher as a user does."""
    command = [sys.executable, "-m", "course_lib.launch", *options, str(script)]
    # Workers share one pipe. Unbuffered, a print is a write for each part of its line, and what
    # another worker prints may come between them; buffered, it is one write of the whole line.
    ours = {"PYTHONPATH": str(runtime.ROOT), "PYTHONUNBUFFERED": ""}
    return subprocess.Popen(
        [*command, *map(str, arguments)],
        env=os.environ | ours | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=start_new_session,
    )


def write(folder, text):
    path = folder / "script.py"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def killed_and_resumed(tmp_path_factory):
    """Two hosts, played by two launchers, one loses its worker; then one launcher resumes both."""
    import json

    folder = tmp_path_factory.mktemp("workers")
    script = write(folder, WORKER)
    places = launch._loopback(2)
    launchers = [start(script, folder, "kill", TF_CONFIG=place.as_tf_config()) for place in places]
    first_end = []

    def wait(launcher):
        launcher.wait(900)
        first_end.append(time.monotonic())

    threads = [threading.Thread(target=wait, args=(launcher,)) for launcher in launchers]
    for thread in threads:
        thread.start()
    errors = [launcher.communicate(timeout=900)[1] for launcher in launchers]
    for thread in threads:
        thread.join()
    again = start(script, folder, "resume", options=("--workers", "2"))
    out, err = again.communicate(timeout=900)
    return {
        "statuses": [launcher.returncode for launcher in launchers],
        "errors": errors,
        "between": max(first_end) - min(first_end),
        "resumed": again.returncode,
        "resumed_error": err,
        "lines": [json.loads(line) for line in out.splitlines() if line.startswith("{")],
        "folder": folder,
    }


@pytest.mark.slow
def test_a_killed_worker_ends_the_run_on_both_hosts_soon_and_in_words(killed_and_resumed):
    assert killed_and_resumed["statuses"] == [launch.WORKER_LOST] * 2
    assert killed_and_resumed["between"] < 60
    other, killed = killed_and_resumed["errors"]
    assert "Worker 1 of 2 was ended by signal 9 (the system may have run out of memory)" in killed
    assert "Worker 0 of 2 " in other
    assert "Start the same command again on every host" in other and "last one" in killed


@pytest.mark.slow
def test_all_workers_started_again_have_the_bits_of_a_straight_run(killed_and_resumed):
    import numpy as np

    assert killed_and_resumed["resumed"] == 0, killed_and_resumed["resumed_error"][-3000:]
    folder = killed_and_resumed["folder"]
    arrays = {
        name: np.load(folder / f"{name}.npz")
        for name in ("straight-0", "straight-1", "resumed-0", "resumed-1")
    }
    wanted = arrays.pop("straight-0")
    assert len(wanted.files) > 30
    for name, found in arrays.items():
        for key in wanted.files:
            assert wanted[key].tobytes() == found[key].tobytes(), (name, key)


@pytest.mark.slow
def test_workers_read_every_picture_of_a_batch_once_between_them(killed_and_resumed):
    lines = sorted(killed_and_resumed["lines"], key=lambda line: line["worker"])
    assert [(line["worker"], line["workers"], line["replicas"]) for line in lines] == [
        (0, 2, 2),
        (1, 2, 2),
    ]
    for one, other, whole in zip(lines[0]["read"], lines[1]["read"], lines[0]["all"], strict=True):
        assert len(one) == len(other) == 8 and sorted(one + other) == sorted(whole)
        assert len(set(whole)) == 16
    assert lines[0]["losses"] == lines[1]["losses"] and len(lines[0]["losses"]) == 6


@pytest.mark.slow
def test_only_the_chief_writes(killed_and_resumed):
    names = {path.name for path in (killed_and_resumed["folder"] / "run").iterdir()}
    assert names == {f"checkpoint-00000{n}.{kind}" for n in (1, 2) for kind in ("json", "npz")} | {
        "lock"
    }


# The launcher alone, with scripts that don't train ------------------------------------------------


def test_a_script_gets_its_arguments_and_its_place(tmp_path):
    script = write(
        tmp_path,
        "import os, sys\nprint(sys.argv[1:], os.environ.get('TF_CONFIG', 'alone'))\n",
    )
    out, _ = start(script, "--size", 8).communicate(timeout=60)
    assert out == "['--size', '8'] alone\n"
    out, _ = start(script, options=("--workers", "2")).communicate(timeout=60)
    lines = sorted(line.split('"task": ')[1] for line in out.splitlines())
    assert lines == [f'{{"type": "worker", "index": {index}}}}}' for index in (0, 1)]
    assert out.count("127.0.0.1:") == 4


def test_a_script_that_fails_is_told_and_its_partner_ended(tmp_path, capfd):
    script = write(
        tmp_path,
        "import json, os, sys, time\n"
        "index = json.loads(os.environ['TF_CONFIG'])['task']['index']\n"
        "time.sleep(600) if index == 0 else sys.exit(3)\n",
    )
    started = time.monotonic()
    assert launch.launch(script, workers=2) == launch.WORKER_LOST
    assert time.monotonic() - started < 30
    assert (
        "Worker 1 of 2 ended with exit status 3; its last lines say why" in capfd.readouterr().err
    )


def test_silence_is_noticed_and_a_beating_heart_is_not_silent(tmp_path, capfd):
    script = write(tmp_path, "import time\ntime.sleep(600)\n")
    assert launch.launch(script, patience=1.0) == launch.WORKER_LOST
    assert "The training has made no update for 1 seconds" in capfd.readouterr().err
    script = write(
        tmp_path,
        f"import os, pathlib, time\nfor _ in range(12):\n"
        f"    time.sleep(0.25)\n    pathlib.Path(os.environ['{cluster.BEAT}']).touch()\n",
    )
    assert launch.launch(script, patience=2.0) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_passed_on_once_and_the_workers_end_by_themselves(tmp_path, number):
    script = write(
        tmp_path,
        "import signal, time\n"
        "seen = []\n"
        "for number in (signal.SIGTERM, signal.SIGINT):\n"
        "    signal.signal(number, lambda number, _: seen.append(number))\n"
        "print('ready', flush=True)\n"
        "while not seen:\n    time.sleep(0.05)\n"
        "time.sleep(0.5)\nprint('saved', *map(int, seen))\n",
    )
    launcher = start(script, start_new_session=True)
    assert launcher.stdout.readline() == "ready\n"
    os.killpg(launcher.pid, number)  # as a terminal does
    out, _ = launcher.communicate(timeout=60)
    assert out == f"saved {int(number)}\n" and launcher.returncode == 0


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--workers", "-1", __file__), "workers must be at least 0"),
        (("--patience", "0", __file__), "patience above 0, got 0 and 0.0"),
        (("missing.py",), "There is no script missing.py"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_starts(
    monkeypatch, capsys, arguments, message
):
    monkeypatch.setattr(sys, "argv", ["launch", *arguments])
    with pytest.raises(SystemExit):
        launch.main()
    assert message in capsys.readouterr().err


def test_a_wrong_description_of_the_cluster_is_refused_before_anything_starts(monkeypatch, capsys):
    monkeypatch.setenv("TF_CONFIG", "{}")
    monkeypatch.setattr(sys, "argv", ["launch", __file__])
    with pytest.raises(SystemExit):
        launch.main()
    assert "TF_CONFIG lacks 'cluster'" in capsys.readouterr().err
