"""Properties, their scores and directions, and steps that respect locks."""

import keras
import numpy as np
import pytest

from course_lib import latent_space, steering
from course_lib.datasets import avatars, images
from course_lib.networks import style_based

TWO = {name: steering.PROPERTIES[name] for name in ("glasses", "dark skin")}


@pytest.fixture(scope="module")
def synthesis():
    keras.utils.set_random_seed(0)
    return style_based.synthesis((64, 64, 3), filters=(8, 8, 6, 6, 4), style_dim=5)


def drawn_scores(synthesis, styles):
    layered = latent_space.per_layer(styles, 9).astype("float32")
    return steering.scores(np.asarray(synthesis(layered)), properties=TWO)


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
    np.testing.assert_allclose(found["a"], [1, 0, 0], atol=0.05)
    np.testing.assert_allclose(found["b"], [0, 0, -1], atol=0.05)


def test_without_locks_a_move_goes_straight():
    np.testing.assert_allclose(steering.move(np.array([0.6, 0.8]), [], 2.0), [1.2, 1.6])


def test_a_move_gets_as_far_as_asked_and_leaves_the_locked_alone():
    direction = np.array([0.6, 0.8, 0.0])
    locked = np.array([[0.0, 1.0, 0.0]])
    found = steering.move(direction, locked, 3.0)
    np.testing.assert_allclose(found, [5.0, 0.0, 0.0], atol=1e-12)  # 5 * 0.6 = 3
    assert found @ direction == pytest.approx(3.0) and abs(found @ locked[0]) < 1e-12


def test_a_move_can_be_asked_to_go_back_along_a_locked_direction():
    direction, locked = np.array([0.6, 0.8, 0.0]), np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    found = steering.move(direction, locked, 3.0, [-1.0, 0.5])
    np.testing.assert_allclose(found, [(3 + 0.8) / 0.6, -1.0, 0.5], atol=1e-9)


def test_a_direction_that_is_locked_itself_cannot_be_moved():
    with pytest.raises(ValueError, match="beside its 1 locks: unlock one"):
        steering.move(np.array([0.6, 0.8]), [[0.6, 0.8]], 1.0)


def test_the_gradients_of_the_scores_match_finite_differences(synthesis):
    styles = np.random.default_rng(0).standard_normal((3, 5))
    found = steering.score_gradients(synthesis, styles, properties=TWO, batch_size=2)
    assert list(found) == list(TWO)
    for axis in range(5):
        step = 2e-4 * np.eye(5)[axis]  # the network bends at every ReLU
        up, down = (drawn_scores(synthesis, styles + sign * step) for sign in (1, -1))
        for name in TWO:
            slope = (up[name] - down[name]) / 4e-4
            scale = np.abs(found[name]).max()
            np.testing.assert_allclose(found[name][:, axis], slope, atol=0.03 * scale)


def test_gradients_need_pictures_of_the_encoders_size():
    small = style_based.synthesis((16, 16, 3), filters=(4, 4, 4), style_dim=5)
    with pytest.raises(
        ValueError, match=r"reads pictures of shape \(64, 64, 3\), but .*\(16, 16, 3"
    ):
        steering.score_gradients(small, np.zeros((1, 5)))


def test_a_walk_holds_what_is_locked_and_gets_as_far_as_asked(synthesis):
    styles = np.random.default_rng(1).standard_normal((4, 5))
    direction = np.array([0.6, 0.0, 0.8, 0.0, 0.0])
    before = drawn_scores(synthesis, styles)["glasses"]
    drifts = []
    for locked in ([], ["glasses"]):
        moved = steering.walk(synthesis, styles, direction, locked, 1.0, parts=8, properties=TWO)
        np.testing.assert_allclose((moved - styles) @ direction, 1.0, rtol=1e-9)
        drifts.append(np.abs(drawn_scores(synthesis, moved)["glasses"] - before))
    assert drifts[1].mean() < 0.02 * drifts[0].mean()


def test_a_walk_settles_without_getting_further(synthesis):
    styles = np.random.default_rng(1).standard_normal((4, 5))
    before, drifts = drawn_scores(synthesis, styles)["glasses"], []
    for settle in (0, 4):
        moved = steering.walk(
            synthesis, styles, np.eye(5)[0], ["glasses"], -1.5, parts=2, settle=settle,
            properties=TWO,
        )  # fmt: skip
        np.testing.assert_allclose((moved - styles)[:, 0], -1.5, rtol=1e-9)
        drifts.append(np.abs(drawn_scores(synthesis, moved)["glasses"] - before).mean())
    assert drifts[1] < 0.4 * drifts[0]


def test_the_first_step_of_a_walk_is_at_right_angles_to_the_gradients(synthesis):
    styles = np.random.default_rng(1).standard_normal((2, 5))
    direction = np.eye(5)[0]
    moved = steering.walk(
        synthesis, styles, direction, list(TWO), 0.5, parts=1, settle=0, properties=TWO
    )
    for gradients in steering.score_gradients(synthesis, styles, properties=TWO).values():
        products = np.sum(gradients * (moved - styles), axis=1)
        np.testing.assert_allclose(products, 0, atol=1e-9 * np.abs(gradients).max())
