"""Who trains with whom: descriptions that work, and what is said about those that don't."""

import json
import os

import pytest

from course_lib import cluster, runtime

TWO = ("host-a:12345", "host-b:12345")
SLURM = {
    "SLURM_PROCID": "2",
    "SLURM_STEP_NUM_TASKS": "3",
    "SLURM_STEP_NODELIST": "gpu[07,09]",
    "SLURM_STEP_TASKS_PER_NODE": "2,1",
    "SLURMD_NODENAME": "gpu09",
}


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """No cluster in the environment but the test's own."""
    for name in [name for name in os.environ if name.startswith(("SLURM", "TF_CONFIG"))]:
        monkeypatch.delenv(name)


def described(workers=TWO, kind="worker", index=1, **jobs):
    return json.dumps(
        {"cluster": {"worker": list(workers)} | jobs, "task": {"type": kind, "index": index}}
    )


def test_without_a_description_a_process_is_alone(monkeypatch):
    assert cluster.members() is None and cluster.resolver() is None
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")
    assert cluster.members() is None
    monkeypatch.setenv("TF_CONFIG", described(TWO[:1], index=0))
    assert cluster.members() is None


def test_tf_config_names_the_members_and_this_one(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", described())
    found = cluster.members()
    assert found == cluster.Members(TWO, 1)
    assert str(found) == "worker 1 of 2 (host-a:12345, host-b:12345)"
    assert json.loads(found.as_tf_config()) == json.loads(described())
    resolver = cluster.resolver()
    assert (resolver.task_type, resolver.task_id, resolver.rpc_layer) == ("worker", 1, "grpc")
    assert resolver.cluster_spec().as_dict() == {"worker": list(TWO)}


@pytest.mark.parametrize(
    "text, message",
    [
        ("{'cluster'}", "is no JSON .*Received: {'cluster'}. It looks like this: {\"cluster\""),
        ('{"cluster": {"worker": ["a:1"]}}', "lacks 'task': it needs cluster.worker, task.type"),
        ('{"cluster": {}, "task": {}}', "lacks 'worker'"),
        ('["a:1"]', "lacks list indices"),
        (described(chief=["host-c:1"]), r"has the jobs \['chief'\]; use workers alone"),
        (described(["host-a", "host-b:1"]), r"needs host:port of every worker, not \['host-a'\]"),
        (described([]), "not an empty list"),
        (described(["a:1", "a:1"]), "names an address twice"),
        (described(index=2), "says task worker 2; it must be worker 0 to 1"),
        (described(index=-1), "worker -1"),
        (described(index="1"), "says task worker 1"),
        (described(kind="ps"), "says task ps 1"),
    ],
)
def test_a_wrong_tf_config_is_shown_with_what_it_should_be(monkeypatch, text, message):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match=f"TF_CONFIG .*{message}"):
        cluster.members()


def test_slurm_s_variables_are_read_by_tensorflow_s_resolver(monkeypatch):
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    first = cluster.FIRST_PORT
    assert cluster.members() == cluster.Members(
        (f"gpu07:{first}", f"gpu07:{first + 1}", f"gpu09:{first}"), 2
    )
    monkeypatch.setenv("SLURM_STEP_TASKS_PER_NODE", "12(x2)")
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "24")
    monkeypatch.setenv("SLURM_PROCID", "23")
    found = cluster.members()
    assert len(found.addresses) == 24 and found.addresses[-1] == f"gpu09:{first + 11}"


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"SLURM_STEP_TASKS_PER_NODE": None}, "TASKS_PER_NODE.*Start the workers with srun"),
        ({"SLURM_STEP_NODELIST": None}, "SLURM_STEP_NODELIST not found.*srun --ntasks-per-node"),
        ({"SLURM_STEP_NUM_TASKS": "4"}, "Requested 4 tasks but only 3 were assigned"),
        ({"SLURMD_NODENAME": "gpu07"}, "places task 2 on gpu09, but Slurm started it on gpu07"),
    ],
)
def test_a_wrong_slurm_step_is_explained_with_its_variables(monkeypatch, changes, message):
    for name, value in (SLURM | changes).items():
        if value is not None:
            monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=f"(?s){message}.*|.*{message}") as error:
        cluster.members()
    assert "'SLURM_PROCID': '2'" in str(error.value)


def test_nodes_whose_names_sort_otherwise_than_their_numbers_are_noticed(monkeypatch):
    numbers = {"SLURM_STEP_NODELIST": "n[9-10]", "SLURM_STEP_TASKS_PER_NODE": "1(x2)"}
    numbers |= {"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "0", "SLURMD_NODENAME": "n9"}
    for name, value in numbers.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="places task 0 on n10, .*on n9.*Set TF_CONFIG instead"):
        cluster.members()


def test_the_heart_beats_into_the_named_file_at_most_once_a_second(monkeypatch, tmp_path):
    clock = [100.0]
    monkeypatch.setattr(cluster.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(cluster, "_last_beat", 0.0)
    cluster.beat()  # nobody listens
    file = tmp_path / "beat"
    monkeypatch.setenv(cluster.BEAT, str(file))
    cluster.beat()
    assert file.exists()
    os.utime(file, (0, 0))
    clock[0] += 0.5
    cluster.beat()
    assert file.stat().st_mtime == 0
    clock[0] += 1.0
    cluster.beat()
    assert file.stat().st_mtime > 0


def test_a_described_cluster_decides_the_strategy(monkeypatch):
    import tensorflow as tf

    monkeypatch.setenv("TF_CONFIG", described())
    made = []
    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", made.append)
    runtime.strategy()
    assert [resolver.task_id for resolver in made] == [1]
