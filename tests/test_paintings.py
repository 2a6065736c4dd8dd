"""Paintings of our own: the same for the same seed, of any size, in seven manners."""

import numpy as np
import pytest

from course_lib.datasets import catalog, paintings


@pytest.mark.parametrize("manner", paintings.MANNERS)
def test_a_painting_is_the_same_for_its_seed_and_another_for_another(manner):
    first = paintings.make(manner, size=40, seed=3)
    assert first.shape == (40, 40, 3) and first.dtype == np.uint8
    np.testing.assert_array_equal(first, paintings.make(manner, size=40, seed=3))
    other = paintings.make(manner, size=40, seed=4)
    assert np.mean(np.abs(first.astype(int) - other)) > 5


def test_manners_of_one_seed_draw_numbers_of_their_own(monkeypatch):
    drawn = []

    def blank(side, random):
        drawn.append(random.random())
        return np.zeros((side, side, 3))

    monkeypatch.setattr(paintings, "MANNERS", dict.fromkeys(paintings.MANNERS, blank))
    for manner in paintings.MANNERS:
        paintings.make(manner, size=32, seed=3)
    assert len(set(drawn)) == len(paintings.MANNERS)


@pytest.mark.parametrize("manner", paintings.MANNERS)
def test_a_painting_has_contrast_and_colour(manner):
    painting = paintings.make(manner, size=64).astype(float)
    assert painting.std() > 25
    assert np.abs(painting[..., 0] - painting[..., 2]).mean() > 15


@pytest.mark.parametrize("manner", ["mosaic", "stained glass", "marbling", "woodcut"])
def test_strokes_keep_their_share_of_the_side(manner):
    large = paintings.make(manner, size=128).astype(float)
    shrunk = large.reshape(64, 2, 64, 2, 3).mean((1, 3))
    small = paintings.make(manner, size=64).astype(float)
    assert np.corrcoef(shrunk.ravel(), small.ravel())[0, 1] > 0.8


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"manner": "cubism"}, "no manner 'cubism'. Choose one of: swirls, meadow"),
        ({"manner": "swirls", "size": 31}, "size must be from 32 to 1024. Received: size=31"),
        ({"manner": "swirls", "size": 1025}, "Received: size=1025"),
        ({"manner": "swirls", "seed": -1}, "seed must be 0 or more. Received: seed=-1"),
    ],
)
def test_what_can_not_be_painted_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        paintings.make(**arguments)


def test_the_catalog_takes_the_manners_in_turn_and_keeps_train_and_test_apart():
    train = catalog.load("paintings", size=32, count=9, seed=2)
    test = catalog.load("paintings", size=32, count=7, split="test", seed=2)
    manners = tuple(paintings.MANNERS)
    assert train.classes == {"manner": manners} and not train.licence.startswith("CC")
    assert list(train.labels["manner"]) == [0, 1, 2, 3, 4, 5, 6, 0, 1]
    np.testing.assert_array_equal(train.pixels[1], paintings.make("meadow", size=32, seed=4))
    np.testing.assert_array_equal(train.pixels[7], paintings.make("swirls", size=32, seed=6))
    np.testing.assert_array_equal(test.pixels[6], paintings.make("points", size=32, seed=5))
    assert len(catalog.load("paintings", size=32, split="test")) == 7


def test_a_painting_smaller_than_can_be_drawn_is_shrunk():
    assert catalog.load("paintings", size=16, count=1).pixels.shape == (1, 16, 16, 3)
