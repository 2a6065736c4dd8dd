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


# Shards, and pictures that stay on disk


@pytest.mark.parametrize("workers, together", [(2, 1), (3, 1), (2, 2), (1, 4)])
def test_workers_read_every_picture_of_an_epoch_once_and_none_twice(workers, together):
    whole = batches(PIXELS, 12, seed=3)
    parts = [whole.shard(worker, workers, together=together) for worker in range(workers)]
    assert {part.batch_size for part in parts} == {12 // workers}
    assert {part.steps_per_epoch for part in parts} == {1}
    for step in (0, 4):
        read = [part.indices(step).tolist() for part in parts]
        assert sorted(sum(read, [])) == sorted(whole.indices(step).tolist())
        # Neighbours in the batch are dealt out in groups, one group to each worker in turn.
        groups = whole.indices(step).reshape(-1, together)
        for worker in range(workers):
            assert read[worker] == groups[worker::workers].ravel().tolist()
        shown = [taken(part.from_step(step), 1)[0].tolist() for part in parts]
        assert shown == read


def test_a_shard_resumes_keeps_its_labels_and_leaves_the_whole_as_it_was():
    whole = batches(PIXELS, 4, seed=3, labels=CODES)
    part = whole.shard(1, 2)
    stream = part.from_step(6)
    for step in (6, 7):
        pictures, labels = next(stream)
        np.testing.assert_array_equal(labels, CODES[part.indices(step)])
        np.testing.assert_array_equal(images.to_uint8(pictures), PIXELS[part.indices(step)])
    assert whole.batch_size == 4 and len(whole.indices(0)) == 4
    assert part._arrays is whole._arrays  # no second copy of the pictures
    for (one, _), (two, _) in zip(part.as_dataset(6).take(2), part.from_step(6), strict=False):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("number", "count", "together"), [(2, 2, 1), (-1, 2, 1), (0, 5, 1), (0, 2, 4)]
)
def test_a_shard_that_cannot_be_is_refused(number, count, together):
    with pytest.raises(ValueError, match=f"batch of 12 must divide .* Received: {number}"):
        batches(PIXELS, 12, seed=0).shard(number, count, together=together)


@pytest.mark.parametrize("start", [0, 3, 9])
def test_pictures_read_from_a_file_are_those_in_memory(tmp_path, start):
    np.save(tmp_path / "pixels.npy", PIXELS)
    on_disk = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    resident = batches(PIXELS, 4, seed=3, labels=CODES)
    read = batches(on_disk, 4, seed=3, labels=CODES, resident=False)
    assert read._arrays is None and isinstance(read._source[0], np.memmap)
    for one, two in ((resident, read), (resident.shard(1, 2), read.shard(1, 2))):
        pairs = zip(two.from_step(start), one.from_step(start), strict=False)
        for _, (a, b) in zip(range(7), pairs, strict=False):
            np.testing.assert_array_equal(a[0], b[0])
            np.testing.assert_array_equal(a[1], b[1])


def test_only_the_batches_at_hand_are_read():
    class Counted(np.ndarray):
        rows = []

        def __getitem__(self, key):
            self.rows.append(len(key))
            return np.asarray(self)[key]

    stream = batches(PIXELS.view(Counted), 4, seed=3, resident=False).from_step(0)
    assert next(stream).shape == (4, 4, 6, 3)
    assert set(Counted.rows) == {4} and len(Counted.rows) <= 5  # two ahead, and on their way


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
