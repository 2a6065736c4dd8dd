"""One replica and several train alike: in logical CPU devices, and in processes on loopback.

A process can hold one group of devices only, so that two and four replicas need one each; every
process makes all its comparisons and prints them as JSON.
"""

import json
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from course_lib import replicas, runtime, steps
from course_lib.networks import style_based
from course_lib.replicas import Replicas

GAN = """
import json, sys
import keras
import numpy as np
import tensorflow as tf
from course_lib import checkpoints, replicas, runtime, steps, train
from course_lib.datasets import pipeline
from course_lib.networks import style_based
from course_lib.replicas import Replicas

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 4, 4, 1), np.uint8)

def tiny_gan(wrap, optimizer):
    keras.utils.set_random_seed(0)
    layers = keras.layers
    generator = keras.Sequential(
        [keras.Input((3,)), layers.Dense(16), layers.Reshape((4, 4, 1)), style_based.Noise(seed=1),
         layers.Activation("tanh", dtype="float32")])
    discriminator = keras.Sequential(
        [keras.Input((4, 4, 1)), layers.Flatten(), layers.Dense(8), layers.LeakyReLU(),
         layers.Dense(1, dtype="float32")])
    generator.layers[-2].strength.assign(0.5)
    return steps.Gan.create(
        generator, discriminator, seed=0,
        generator_optimizer=wrap(optimizer()), discriminator_optimizer=wrap(optimizer()))

class Run:
    # A GAN and its step under a strategy, trained by `fit`, perhaps in several calls.
    def __init__(self, strategy, config, optimizer=lambda: keras.optimizers.Adam(1e-2, 0.5)):
        self.strategy, self.config = strategy, config
        with strategy.scope() if strategy else tf.device(None):
            self.gan = tiny_gan(keras.optimizers.LossScaleOptimizer, optimizer)
            self.step = steps.make_gan_step(self.gan, config)

    def fit(self, images_seen, folder=None, **options):
        self.history = train.fit(
            self.step, pipeline.batches(PIXELS, 16, seed=0), images_seen=images_seen,
            state=self.gan.objects(), config=self.config, report_every=16, checkpoint_every=48,
            progress=False, strategy=self.strategy, folder=folder, **options)
        self.arrays = checkpoints.state_arrays(self.gan.objects())
        return self

def differences(one, several):
    a, b = one.arrays, several.arrays
    assert a.keys() == b.keys() and len(one.history) == len(several.history)
    return {
        "variables": max(float(np.abs(a[n].astype(float) - b[n]).max()) for n in a),
        "metrics": max(float(np.abs(one.history[n] - several.history[n]).max())
                       for n in one.history.names),
        "moved": float(np.ptp(one.history["r1"])), "reports": len(one.history)}

CONFIG = steps.GanStepConfig(
    latent_dim=3, loss="relativistic", r1_gamma=0.1, r2_gamma=0.2, penalty_share=0.5, ema_decay=0.9)
"""

MIRRORED = """
import dataclasses, pathlib, shutil
count, folder = int(sys.argv[1]), pathlib.Path(sys.argv[2])
runtime.split_cpu(count)
strategy = runtime.strategy()
found = {"replicas": Replicas(strategy).count, "kind": type(strategy).__name__}
one = Run(None, CONFIG).fit(48, folder / "one")
shutil.copytree(folder / "one", folder / "grown")
one.fit(96, folder / "one")
several = Run(strategy, CONFIG).fit(96, folder / "several")
found["plain"] = differences(one, several)
found["files"] = sorted(path.name for path in (folder / "several").glob("*"))
"""

# Further comparisons for two replicas.
MORE = """
# A run goes on under another number of replicas, or under as many.
found["grown"] = differences(one, Run(strategy, CONFIG).fit(96, folder / "grown"))
for name in ("shrunk", "resumed"):
    (folder / name).mkdir()
    for path in (folder / "several").glob("checkpoint-000001.*"):  # after 48 images
        shutil.copy(path, folder / name)
found["shrunk"] = differences(one, Run(None, CONFIG).fit(96, folder / "shrunk"))
resumed = Run(strategy, CONFIG).fit(96, folder / "resumed")
found["bits"] = all(several.arrays[n].tobytes() == a.tobytes() for n, a in resumed.arrays.items())
assert len(resumed.history) == 6

everything = dataclasses.replace(
    CONFIG, loss="nonsaturating", gradient_penalty_weight=1.0, discriminator_updates=2,
    augmentations=("colour", "translation", "cutout"))
found["everything"] = differences(
    Run(None, everything).fit(48), Run(strategy, everything).fit(48))

# float16, and an overflow that one replica alone sees.
keras.config.set_dtype_policy("mixed_float16")
sgd = lambda: keras.optimizers.SGD(0.05)
one, several = Run(None, CONFIG, sgd), Run(strategy, CONFIG, sgd)
step = Replicas(strategy).step(several.step)
images = np.random.default_rng(1).uniform(-1, 1, (3, 4, 4, 4, 1)).astype("float32")
metrics = [(one.step(batch), step(batch)) for batch in tf.constant(images)]
found["float16"] = max(abs(float(a[n] - b[n])) for a, b in metrics for n in a)
found["overflow"] = []
for spoiled in range(2):
    infinite = images[0].copy()
    infinite[spoiled] = np.inf
    before = several.gan.discriminator.get_weights()
    step(tf.constant(infinite))
    after = several.gan.discriminator.get_weights()
    found["overflow"].append({
        "kept": all(np.array_equal(a, b) for a, b in zip(before, after)),
        "scale": float(several.gan.discriminator_optimizer.dynamic_scale.numpy())})
print(json.dumps(found))
"""


def run_script(run_python, script, *arguments, **environment):
    done = run_python(script, arguments=arguments, **environment)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def two(run_python, tmp_path_factory):
    return run_script(run_python, GAN + MIRRORED + MORE, 2, tmp_path_factory.mktemp("two"))


@pytest.fixture(scope="module")
def four(run_python, tmp_path_factory):
    script = GAN + MIRRORED + "print(json.dumps(found))"
    return run_script(run_python, script, 4, tmp_path_factory.mktemp("four"))


@pytest.mark.slow
@pytest.mark.parametrize("count", ["two", "four"])
def test_replicas_train_as_one_with_penalties_average_loss_scale_and_checkpoints(count, request):
    found = request.getfixturevalue(count)
    assert (found["replicas"], found["kind"]) == ({"two": 2, "four": 4}[count], "MirroredStrategy")
    assert found["plain"]["variables"] < 1e-5 and found["plain"]["metrics"] < 1e-5
    assert found["plain"]["reports"] == 6 and found["plain"]["moved"] > 1e-3  # it did train
    names = [f"checkpoint-00000{n}.{kind}" for n in (1, 2) for kind in ("json", "npz")]
    assert found["files"] == [*names, "lock"]


@pytest.mark.slow
def test_all_penalties_augmentations_and_several_updates_agree_too(two):
    assert max(two["everything"]["variables"], two["everything"]["metrics"]) < 1e-5


@pytest.mark.slow
def test_a_run_goes_on_under_another_number_of_replicas(two):
    for way in ("grown", "shrunk"):
        assert max(two[way]["variables"], two[way]["metrics"]) < 1e-5, way


@pytest.mark.slow
def test_a_run_resumed_on_as_many_replicas_has_the_bits_of_a_straight_one(two):
    assert two["bits"]


@pytest.mark.slow
def test_float16_agrees_to_its_own_rounding(two):
    assert two["float16"] < 2e-3


@pytest.mark.slow
@pytest.mark.parametrize("replica", [0, 1])
def test_an_overflow_on_any_replica_makes_all_of_them_skip_the_step(two, replica):
    assert two["overflow"][replica] == {"kept": True, "scale": 2.0 ** (14 - replica)}


# Without a second device --------------------------------------------------------------------------


def fake_replica(monkeypatch, number, count):
    """As if this were one of several replicas: enough for what draws."""
    context = types.SimpleNamespace(replica_id_in_sync_group=number)
    strategy = types.SimpleNamespace(num_replicas_in_sync=count)
    monkeypatch.setattr(tf.distribute, "in_cross_replica_context", lambda: False)
    monkeypatch.setattr(tf.distribute, "get_replica_context", lambda: context)
    monkeypatch.setattr(tf.distribute, "get_strategy", lambda: strategy)


@pytest.mark.parametrize(
    "draw",
    [
        lambda seed: replicas.normal((2, 3), seed=seed),
        lambda seed: replicas.uniform((2, 1, 1), seed=seed),
        lambda seed: replicas.randint((2, 4), -5, 6, seed=seed),
    ],
)
def test_the_draws_of_all_replicas_interleaved_are_those_of_one(monkeypatch, draw):
    fake_replica(monkeypatch, 0, 1)
    one = [draw(keras.random.SeedGenerator(5)).numpy() for _ in range(1)][0]
    parts = []
    for number in range(3):
        fake_replica(monkeypatch, number, 3)
        parts.append(draw(keras.random.SeedGenerator(5)).numpy())
    assert one.shape == parts[0].shape
    fake_replica(monkeypatch, 0, 1)
    whole = np.stack(parts, axis=1).reshape(6, *one.shape[1:])
    kind = {3: keras.random.normal, 1: keras.random.uniform}.get(one.shape[1])
    if kind:
        wanted = kind(whole.shape, seed=keras.random.SeedGenerator(5))
    else:
        wanted = keras.random.randint(whole.shape, -5, 6, seed=keras.random.SeedGenerator(5))
    np.testing.assert_array_equal(whole, wanted)


def test_a_share_of_penalties_that_does_not_divide_is_refused(monkeypatch):
    config = steps.GanStepConfig(penalty_share=0.25)
    fake_replica(monkeypatch, 0, 2)
    assert steps._penalised(config, 4) == 1
    assert steps._penalised(steps.GanStepConfig(penalty_share=0.2), 5) == 1
    with pytest.raises(ValueError, match="penalty_share=0.25 takes 3 of 12 images, which do not"):
        steps._penalised(config, 6)


@pytest.mark.parametrize(
    "layer, message",
    [
        (
            keras.layers.BatchNormalization(name="norm"),
            "'norm' in 'net' normalises over the images",
        ),
        (keras.layers.Dropout(0.5, name="drop"), r"'drop' in 'net' \(Dropout\) draws the same"),
        (keras.layers.GaussianNoise(0.1, name="n"), "draw with course_lib.replicas"),
    ],
)
def test_layers_that_replicas_would_compute_otherwise_are_refused(monkeypatch, layer, message):
    model = keras.Sequential([keras.Input((4,)), layer], name="net")
    replicas.require_equal_layers(model)  # one replica may have anything
    fake_replica(monkeypatch, 0, 2)
    with pytest.raises(ValueError, match=message):
        replicas.require_equal_layers(keras.Sequential([keras.Input((4,)), model], name="net"))


def test_layers_that_compute_the_same_are_allowed(monkeypatch):
    norm = keras.layers.BatchNormalization(synchronized=True)
    model = keras.Sequential([keras.Input((4, 4, 1)), norm, style_based.Noise()])
    fake_replica(monkeypatch, 0, 2)
    replicas.require_equal_layers(model)


def test_style_mixing_needs_the_whole_batch(monkeypatch):
    mixed = style_based.generator(4, (8, 8, 3), filters=[2, 2])
    plain = style_based.generator(4, (8, 8, 3), filters=[2, 2], mixing=0.0)
    fake_replica(monkeypatch, 0, 2)
    replicas.require_equal_layers(plain)
    with pytest.raises(ValueError, match="'mixing' in .*takes something from other .*mixing=0"):
        replicas.require_equal_layers(mixed)


class Stream:
    batch_size = 12

    def shard(self, number, count, *, together):
        return number, count, together


def some_replicas(count, workers=1, worker=0):
    here = Replicas()
    here.count, here.workers, here.worker = count, workers, worker
    return here


def test_one_device_is_one_replica_and_the_chief():
    here = Replicas()
    assert (here.count, here.workers, here.worker, here.is_chief) == (1, 1, 0, True)
    step, stream = object(), Stream()
    assert here.step(step) is step and here.part_of(stream) is stream
    assert here.any(True) and not here.any(False) and here.largest(7) == 7


def test_a_worker_gets_its_shard_in_groups_of_its_replicas():
    assert some_replicas(4).part_of(stream := Stream()) is stream
    assert some_replicas(6, workers=3, worker=2).part_of(Stream()) == (2, 3, 2)


def test_batches_that_do_not_divide_are_refused_with_those_that_do():
    with pytest.raises(ValueError, match="batch of 12 images .* among 8 replicas: take 8 or 16"):
        some_replicas(8).part_of(Stream())
    with pytest.raises(ValueError, match="among 24 replicas: take 24[.]"):
        some_replicas(24).part_of(Stream())
    with pytest.raises(ValueError, match=r"SimpleNamespace has no method shard\(\), .*2 workers"):
        some_replicas(2, workers=2).part_of(types.SimpleNamespace(batch_size=4))


def test_an_overflow_anywhere_spoils_all_gradients(monkeypatch):
    context = types.SimpleNamespace(all_reduce=lambda _, value: value + 0.0)
    monkeypatch.setattr(tf.distribute, "get_replica_context", lambda: context)
    fine = replicas.share_overflow([tf.constant([1.0, -2.0]), None])
    assert fine[0].numpy().tolist() == [1.0, -2.0] and fine[1] is None
    for bad in (np.inf, np.nan):
        spoiled = replicas.share_overflow([tf.constant([1.0]), tf.constant([bad, 0.0])])
        assert all(np.isnan(gradient).all() for gradient in spoiled)


def test_the_processor_is_split_before_tensorflow_starts_or_not_at_all():
    tf.zeros(1)
    with pytest.raises(RuntimeError, match="restart the kernel, and call runtime.split_cpu"):
        runtime.split_cpu(2)
    with pytest.raises(ValueError, match="at least 1. Received: 0"):
        runtime.split_cpu(0)
