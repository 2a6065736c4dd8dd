"""Properties, their scores and directions, and steps that respect locks."""

import numpy as np
import pytest

from course_lib import steering
from course_lib.datasets import avatars, images


def test_every_property_names_values_that_there_are_and_leaves_others():
    for attribute, values in steering.PROPERTIES.values():
        assert set(values) < set(avatars.ATTRIBUTES[attribute])


def test_scores_tell_avatars_that_have_a_property_from_those_that_do_not():
    pixels, codes = avatars.make(200, size=64, seed=8)
    found = steering.scores(images.to_float(pixels))
    assert list(found) == list(steering.PROPERTIES)
    for name, (attribute, values) in steering.PROPERTIES.items():
        words = np.array(avatars.ATTRIBUTES[attribute])[codes[attribute]]
        assert np.mean((found[name] > 0) == np.isin(words, values)) > 0.95, name


def test_scores_can_be_asked_for_other_properties():
    pixels, codes = avatars.make(50, size=64, seed=8)
    found = steering.scores(images.to_float(pixels), properties={"bun": ("hair_style", ("bun",))})
    bun = codes["hair_style"] == avatars.ATTRIBUTES["hair_style"].index("bun")
    assert list(found) == ["bun"] and np.mean((found["bun"] > 0) == bun) > 0.95


def test_each_direction_is_that_of_its_own_score():
    styles = np.random.default_rng(0).standard_normal((500, 3))
    found = steering.directions(styles, {"a": styles[:, 0], "b": -styles[:, 2]})
    np.testing.assert_allclose(found["a"], [1, 0, 0], atol=1e-2)
    np.testing.assert_allclose(found["b"], [0, 0, -1], atol=1e-2)


def test_without_locks_a_move_goes_straight():
    np.testing.assert_allclose(steering.move(np.array([0.6, 0.8]), [], 2.0), [1.2, 1.6])


def test_a_move_gets_as_far_as_asked_and_leaves_the_locked_alone():
    direction = np.array([0.6, 0.8, 0.0])
    locked = np.array([[0.0, 1.0, 0.0]])
    found = steering.move(direction, locked, 3.0)
    np.testing.assert_allclose(found, [5.0, 0.0, 0.0], atol=1e-12)  # 5 * 0.6 = 3
    assert found @ direction == pytest.approx(3.0) and abs(found @ locked[0]) < 1e-12


def test_a_direction_that_is_locked_itself_cannot_be_moved():
    with pytest.raises(ValueError, match="beside its 1 locks: unlock one"):
        steering.move(np.array([0.6, 0.8]), [[0.6, 0.8]], 1.0)
