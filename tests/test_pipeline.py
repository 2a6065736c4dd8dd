import time

import numpy as np
import pytest
import tensorflow as tf

from course_lib.datasets import images
from course_lib.datasets.catalog import ImageSet
from course_lib.datasets.pipeline import Batches, batches

COUNT = 23
PIXELS = np.random.default_rng(0).integers(0, 256, (COUNT, 4, 6, 3), np.uint8)
PIXELS[:, 0, 0, 0] = np.arange(COUNT)  # the first value says which picture it is
CODES = np.arange(COUNT) % 7


def taken(stream, steps):
    """Which pictures the next batches hold: (steps, batch_size)."""
    return np.array([images.to_uint8(next(stream))[:, 0, 0, 0] for _ in range(steps)])


def test_a_batch_holds_the_pictures_of_its_indices_converted_exactly():
    stream = batches(PIXELS, 5, seed=3)
    batch = next(stream.from_step(0))
    assert batch.dtype == tf.float32 and batch.shape == (5, 4, 6, 3)
    np.testing.assert_array_equal(batch, images.to_float(PIXELS[stream.indices(0)]))


def test_an_epoch_is_a_permutation_and_the_next_epoch_another():
    stream = batches(PIXELS, 1, seed=3)
    first, second = taken(stream.from_step(0), 2 * COUNT).reshape(2, COUNT)
    assert sorted(first) == sorted(second) == list(range(COUNT))
    assert (first != second).any() and (first != np.arange(COUNT)).any()


def test_what_does_not_fill_a_batch_is_dropped_at_the_end_of_each_epoch():
    stream = batches(PIXELS, 5, seed=3)
    assert stream.steps_per_epoch == 4
    rows = taken(stream.from_step(0), 12).reshape(3, 20)
    assert all(len(set(epoch)) == 20 for epoch in rows)
    for epoch in range(3):
        np.testing.assert_array_equal(rows[epoch], stream.permutation(epoch)[:20])


@pytest.mark.parametrize("start", [1, 3, 4, 5, 11])
def test_resuming_at_any_step_gives_the_rest_of_an_uninterrupted_run(start):
    whole = taken(batches(PIXELS, 5, seed=3).from_step(0), 14)
    resumed = taken(batches(PIXELS, 5, seed=3).from_step(start), 14 - start)
    np.testing.assert_array_equal(resumed, whole[start:])
    np.testing.assert_array_equal(resumed[0], batches(PIXELS, 5, seed=3).indices(start))


def test_two_streams_do_not_disturb_each_other():
    shared = batches(PIXELS, 5, seed=3)
    one, two = shared.from_step(0), shared.from_step(2)
    mixed = np.array([taken(stream, 1)[0] for _ in range(6) for stream in (one, two)])
    np.testing.assert_array_equal(mixed[0::2], taken(shared.from_step(0), 6))
    np.testing.assert_array_equal(mixed[1::2], taken(shared.from_step(2), 6))


def test_the_seed_and_the_epoch_choose_the_order():
    orders = {tuple(batches(PIXELS, 5, seed=s).permutation(e)) for s in range(4) for e in range(4)}
    assert len(orders) == 16


def test_the_order_is_the_same_on_every_machine():
    # Golden values: sorting the raw Philox-4x64 words of key (7, 2).
    assert batches(PIXELS[:8], 2, seed=7).permutation(2).tolist() == [6, 7, 4, 0, 1, 5, 3, 2]


def test_all_orders_of_three_pictures_come_about_equally_often():
    stream = batches(PIXELS[:3], 1, seed=0)
    orders, counts = np.unique(
        [stream.permutation(e) for e in range(3000)], axis=0, return_counts=True
    )
    assert len(orders) == 6 and abs(counts - 500).max() < 100


def test_labels_stay_beside_their_pictures():
    for images_batch, labels in [next(batches(PIXELS, 5, seed=3, labels=CODES).from_step(6))]:
        rows = images.to_uint8(images_batch)[:, 0, 0, 0]
        assert labels.dtype == tf.int32
        np.testing.assert_array_equal(labels, CODES[rows])


def test_an_image_set_gives_its_pictures_and_a_named_label():
    faces = ImageSet("x", "train", PIXELS, {"n": CODES}, {"n": tuple("abcdefg")}, "here", "ours")
    pictures, labels = next(batches(faces, 5, seed=3, labels="n").from_step(0))
    np.testing.assert_array_equal(labels, CODES[images.to_uint8(pictures)[:, 0, 0, 0]])
    assert next(batches(faces, 5, seed=3).from_step(0)).shape == (5, 4, 6, 3)
    with pytest.raises(ValueError, match="no labels 'm'. Choose one of: n"):
        batches(faces, 5, seed=3, labels="m")
    with pytest.raises(ValueError, match="no labels 'n'.*no ImageSet"):
        batches(PIXELS, 5, seed=3, labels="n")


@pytest.mark.parametrize("start", [0, 2, 9])
def test_the_dataset_is_the_same_stream(start):
    stream = batches(PIXELS, 5, seed=3, labels=CODES)
    dataset = stream.as_dataset(start)
    assert dataset.element_spec[0] == tf.TensorSpec((5, 4, 6, 3), tf.float32)
    assert dataset.element_spec[1] == tf.TensorSpec((5,), tf.int32)
    pairs = zip(dataset.take(7), stream.from_step(start), strict=False)
    for (one, one_labels), (two, two_labels) in pairs:
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one_labels, two_labels)


def test_grey_pictures_keep_one_channel_and_the_last_batch_of_all_pictures_works():
    stream = batches(PIXELS[..., :1], COUNT, seed=0)
    assert stream.steps_per_epoch == 1 and next(stream.from_step(5)).shape == (COUNT, 4, 6, 1)


def test_the_batch_is_traced_once_when_the_stream_is_made(monkeypatch):
    traces, take = [], Batches._take

    def counted(self, *arguments):
        traces.append(1)
        return take(self, *arguments)

    monkeypatch.setattr(Batches, "_take", counted)
    stream = batches(PIXELS, 5, seed=3)
    assert len(traces) == 1
    taken(stream.from_step(0), 9)
    taken(stream.from_step(2), 3)
    assert len(traces) == 1


@pytest.mark.parametrize(
    ("data", "size", "options", "message"),
    [
        (PIXELS, 24, {}, "batch_size=24 with 23 images"),
        (PIXELS, 0, {}, "batch_size=0"),
        (PIXELS.astype(np.float32), 5, {}, "uint8 pixels.*float32"),
        (PIXELS[0], 5, {}, r"uint8 pixels.*\(4, 6, 3\)"),
        (PIXELS, 5, {"labels": CODES[:-1]}, r"shape \(23,\).*\(22,\)"),
        (PIXELS, 5, {"labels": CODES / 2}, "integers.*float64"),
        (PIXELS, 5, {"seed": -1}, "seed=-1"),
    ],
)
def test_wrong_arguments_are_named(data, size, options, message):
    with pytest.raises(ValueError, match=message):
        batches(data, size, **{"seed": 0, **options})


def test_a_negative_step_is_refused_at_once():
    stream = batches(PIXELS, 5, seed=3)
    for call in (stream.from_step, stream.indices, stream.as_dataset):
        with pytest.raises(ValueError, match="step=-1"):
            call(-1)


def test_the_stream_is_far_faster_than_training_needs():
    stream = batches(np.zeros((2000, 32, 32, 3), np.uint8), 64, seed=0).from_step(0)
    next(stream)
    rates = []
    for _ in range(5):
        begin = time.process_time()  # not the clock: other processes may be busy
        for _ in range(40):
            last = next(stream)
        last.numpy()
        rates.append(40 * 64 / (time.process_time() - begin))
    assert max(rates) > 20_000  # images per second of one core
