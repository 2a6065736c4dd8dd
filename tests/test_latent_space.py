"""Walks, means and directions in latent space, against double loops and closed forms."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from course_lib import latent_space
from course_lib.networks import style_based


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.fixture(scope="module")
def generator():
    keras.utils.set_random_seed(0)
    return style_based.generator(8, (8, 8, 3), filters=(6, 4), style_dim=5)


# Walks -------------------------------------------------------------------------------------------


def test_slerp_turns_by_the_share_of_the_angle():
    first, second = np.array([2.0, 0.0, 0.0]), np.array([1.0, math.sqrt(3), 0.0])  # 60 degrees
    for share in (0.25, 0.5, 0.8):
        angle = math.radians(60 * share)
        expected = [2 * math.cos(angle), 2 * math.sin(angle), 0]
        np.testing.assert_allclose(latent_space.slerp(first, second, share), expected, atol=1e-12)


def test_slerp_of_unequal_lengths_is_shoemakes_formula():
    first, second = np.array([3.0, 0.0]), np.array([0.0, 1.0])
    expected = [3 * math.sin(math.pi / 8 * 3), math.sin(math.pi / 8)]
    np.testing.assert_allclose(latent_space.slerp(first, second, 0.25), expected, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_slerp_gives_its_ends_bit_for_bit_in_their_type(dtype):
    first, second = normal(64).astype(dtype), normal(64, seed=1).astype(dtype)
    for share, end in ((0, first), (1, second)):
        result = latent_space.slerp(first, second, share)
        assert result.dtype == dtype
        np.testing.assert_array_equal(result, end)


def test_slerp_keeps_a_common_length_and_its_speed():
    first, second = (4 * v / np.linalg.norm(v) for v in (normal(64), normal(64, seed=1)))
    walk = latent_space.slerp(first, second, np.linspace(0, 1, 11))
    np.testing.assert_allclose(np.linalg.norm(walk, axis=1), 4, rtol=1e-12)
    steps = np.linalg.norm(np.diff(walk, axis=0), axis=1)
    np.testing.assert_allclose(steps, steps[0], rtol=1e-9)


def test_slerp_of_parallel_vectors_is_the_straight_line():
    first = normal(5)
    for second in (first, 3 * first):
        np.testing.assert_allclose(
            latent_space.slerp(first, second, 0.25), 0.75 * first + 0.25 * second, rtol=1e-12
        )


def test_slerp_of_nearly_parallel_vectors_is_exact():
    angle = 1e-4
    first, second = np.array([1.0, 0.0]), np.array([math.cos(angle), math.sin(angle)])
    expected = [math.cos(angle / 4), math.sin(angle / 4)]
    np.testing.assert_allclose(latent_space.slerp(first, second, 0.25), expected, rtol=1e-11)


def test_slerp_of_a_batch_is_that_of_each_row():
    first, second, shares = normal(3, 7), normal(3, 7, seed=1), np.array([0.1, 0.5, 0.9])
    rows = [latent_space.slerp(*row) for row in zip(first, second, shares, strict=True)]
    np.testing.assert_allclose(latent_space.slerp(first, second, shares), rows, rtol=1e-12)


def test_slerp_refuses_vectors_without_an_arc():
    with pytest.raises(ValueError, match="opposite vectors.*third"):
        latent_space.slerp(normal(4), -2 * normal(4), 0.5)
    with pytest.raises(ValueError, match="length 0"):
        latent_space.slerp(normal(4), np.zeros(4), 0.5)


def test_between_has_the_corners_at_the_corners():
    corners = normal(4, 6).astype("float32")
    for index, (x, y) in enumerate([(0, 0), (1, 0), (0, 1), (1, 1)]):
        np.testing.assert_array_equal(latent_space.between(corners, x, y), corners[index])


def test_between_walks_along_x_first_and_then_along_y():
    corners = np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [0, 0, -1.0]])
    corners[3] = [0.0, 1.0, 0.0]
    bottom = np.array([math.cos(math.pi / 6), math.sin(math.pi / 6), 0])  # a third of 90 degrees
    top = np.array([0, math.sin(math.pi / 6), math.cos(math.pi / 6)])
    angle = math.acos(bottom @ top)
    expected = (math.sin(0.75 * angle) * bottom + math.sin(0.25 * angle) * top) / math.sin(angle)
    found = latent_space.between(corners, 1 / 3, 0.25)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_between_refuses_three_corners():
    with pytest.raises(ValueError, match="4 corners, got 3"):
        latent_space.between(normal(3, 4), 0, 0)


# Styles ------------------------------------------------------------------------------------------


def test_a_seed_has_one_latent_whatever_others_are_drawn():
    both = latent_space.draw_latents([3, 4], 6)
    assert both.shape == (2, 6) and both.dtype == np.float32
    np.testing.assert_array_equal(latent_space.draw_latents([4], 6)[0], both[1])
    assert (both[0] != both[1]).all()


def test_drawn_latents_are_standard_normal():
    latents = latent_space.draw_latents(range(300), 50)
    assert abs(latents.mean()) < 0.03 and abs(latents.std() - 1) < 0.03


def test_drawn_styles_are_those_of_the_mapping(generator):
    mapping = generator.get_layer("mapping")
    styles = latent_space.draw_styles(mapping, 7, seed=2)
    latents = np.random.default_rng(2).standard_normal((7, 8)).astype("float32")
    np.testing.assert_allclose(styles, mapping(latents), atol=1e-6)
    assert styles.dtype == np.float32


def test_truncation_moves_each_style_towards_the_mean():
    styles, mean = normal(2, 3), np.array([1.0, 2.0, 3.0])
    expected = [[m + 0.7 * (w - m) for w, m in zip(row, mean, strict=True)] for row in styles]
    np.testing.assert_allclose(latent_space.truncate(styles, mean, 0.7), expected, rtol=1e-12)
    np.testing.assert_array_equal(latent_space.truncate(styles, mean, 0), [mean, mean])


def test_truncation_can_differ_by_layer():
    styles, mean = normal(2, 3, 4), normal(4, seed=1)
    found = latent_space.truncate(styles, mean, np.array([0.0, 1.0, 2.0])[:, None])
    np.testing.assert_array_equal(found[:, 0], [mean, mean])
    np.testing.assert_allclose(found[:, 1], styles[:, 1], rtol=1e-12)
    np.testing.assert_allclose(found[:, 2] - mean, 2 * (styles[:, 2] - mean), rtol=1e-12)


def test_per_layer_repeats_the_style():
    styles = normal(2, 3)
    found = latent_space.per_layer(styles, 4)
    assert found.shape == (2, 4, 3)
    for layer in range(4):
        np.testing.assert_array_equal(found[:, layer], styles)


def test_the_groups_share_the_layers_out_in_order():
    assert {name: list(r) for name, r in latent_space.layer_groups(9).items()} == {
        "coarse": [0, 1, 2], "middle": [3, 4, 5], "fine": [6, 7, 8]
    }  # fmt: skip
    assert [len(r) for r in latent_space.layer_groups(11).values()] == [3, 3, 5]
    with pytest.raises(ValueError, match="2 layers"):
        latent_space.layer_groups(2)


def test_mixing_takes_the_named_layers_from_the_others():
    styles, others = normal(2, 4, 3), normal(2, 4, 3, seed=1)
    mixed = latent_space.mix_styles(styles, others, range(1, 3))
    for layer in range(4):
        source = others if layer in (1, 2) else styles
        np.testing.assert_array_equal(mixed[:, layer], source[:, layer])


def test_mixing_nothing_or_everything_gives_one_of_the_two():
    styles, others = normal(4, 3), normal(4, 3, seed=1)
    np.testing.assert_array_equal(latent_space.mix_styles(styles, others, []), styles)
    np.testing.assert_array_equal(latent_space.mix_styles(styles, others, range(4)), others)


# Directions --------------------------------------------------------------------------------------


def test_principal_directions_of_a_stretched_cloud_are_its_axes():
    rotation, _ = np.linalg.qr(normal(4, 4, seed=5))
    grid = np.array([[a, b, c, d] for a in (-5, 5) for b in (-3, 3) for c in (-1, 1)
                     for d in (-0.1, 0.1)])  # fmt: skip
    directions, deviations = latent_space.principal_directions(grid @ rotation + 7, 3)
    scale = math.sqrt(16 / 15)  # the unbiased deviation of 8 times -1 and 8 times 1
    np.testing.assert_allclose(deviations, [5 * scale, 3 * scale, scale], rtol=1e-12)
    np.testing.assert_allclose(np.abs(directions @ rotation.T), np.eye(3, 4), atol=1e-9)


def test_the_sign_of_a_principal_direction_is_fixed():
    for factor in (1, -1):
        directions, _ = latent_space.principal_directions(factor * normal(50, 6), 4)
        assert (directions.max(axis=1) == np.abs(directions).max(axis=1)).all()


def test_more_principal_directions_than_there_are_is_an_error():
    for count in (0, 4):
        with pytest.raises(ValueError, match=f"from 1 to 3 .* count={count}"):
            latent_space.principal_directions(normal(4, 9), count)


def test_an_attribute_direction_is_the_gradient_of_a_linear_score():
    styles = normal(400, 5) @ normal(5, 5, seed=1)  # correlated
    weights = np.array([1.0, -2.0, 0.0, 0.5, 3.0])
    found = latent_space.attribute_direction(styles, 2 + styles @ weights, ridge=0)
    np.testing.assert_allclose(found, weights / np.linalg.norm(weights), atol=1e-9)


def test_the_ridge_is_the_closed_form():
    styles, scores = normal(30, 2), normal(30, seed=1)
    a, b = (styles - styles.mean(axis=0)).T
    s = scores - scores.mean()
    held = 0.5 * ((a * a).mean() + (b * b).mean()) / 2
    matrix = [[(a * a).mean() + held, (a * b).mean()], [(a * b).mean(), (b * b).mean() + held]]
    expected = np.linalg.inv(matrix) @ [(a * s).mean(), (b * s).mean()]
    found = latent_space.attribute_direction(styles, scores, ridge=0.5)
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected), rtol=1e-9)


def test_an_attribute_direction_points_to_where_it_is_present():
    styles = normal(500, 3)
    found = latent_space.attribute_direction(styles, styles[:, 1] > 0)
    assert found[1] > 0.95 and np.linalg.norm(found) == pytest.approx(1)


def test_attribute_directions_refuse_what_says_nothing():
    with pytest.raises(ValueError, match="all 4 scores are 1"):
        latent_space.attribute_direction(normal(4, 2), np.ones(4, bool))
    with pytest.raises(ValueError, match="4 styles need as many scores, got shape"):
        latent_space.attribute_direction(normal(4, 2), np.arange(3))


def test_orthogonalising_against_one_direction_takes_its_part_out():
    found = latent_space.orthogonalise([3.0, 4.0, 5.0], [[0.0, 2.0, 0.0]])
    np.testing.assert_allclose(found, [3.0, 0.0, 5.0], atol=1e-12)


def test_orthogonalising_against_oblique_directions_leaves_neither():
    locked = np.array([[1.0, 0.0, 0.0, 0.0], [0.8, 0.6, 0.0, 0.0]])
    found = latent_space.orthogonalise([[1.0, 2.0, 3.0, 4.0], [1.0, 1.0, 0.0, 0.0]], locked)
    np.testing.assert_allclose(found, [[0, 0, 3.0, 4.0], [0, 0, 0, 0]], atol=1e-12)


def test_two_locks_on_one_direction_are_one():
    locked = np.array([[1.0, 1.0], [2.0, 2.0]])
    np.testing.assert_allclose(latent_space.orthogonalise([1.0, 0.0], locked), [0.5, -0.5])


def test_without_locks_a_direction_stays_as_it_is():
    np.testing.assert_array_equal(latent_space.orthogonalise([1.0, 2.0], []), [1.0, 2.0])


# Projection --------------------------------------------------------------------------------------


def test_the_rate_ramps_up_holds_and_comes_down():
    assert latent_space.ramp(0, 100) == pytest.approx(0.2)
    assert latent_space.ramp(4, 100) == latent_space.ramp(60, 100) == 1
    assert latent_space.ramp(75, 100) == pytest.approx(1)
    half = 0.5 - 0.5 * math.cos(math.pi * 0.4)
    assert latent_space.ramp(90, 100) == pytest.approx(half)
    assert latent_space.ramp(100, 100) == 0


def linear_synthesis(layers=3, style_dim=2):
    """Draws a 1 x 2 image whose pixels are weighted sums of all styles."""
    styles = keras.Input((layers, style_dim))
    flat = keras.layers.Flatten()(styles)
    dense = keras.layers.Dense(2, use_bias=False)
    model = keras.Model(styles, keras.layers.Reshape((1, 2, 1))(dense(flat)))
    dense.set_weights([normal(layers * style_dim, 2) / 5])
    return model, dense.get_weights()[0]


@pytest.mark.parametrize("shape", [(2,), (3, 2)])
def test_projection_finds_the_styles_of_an_image_it_can_draw(shape):
    synthesis, weights = linear_synthesis()
    target = (np.tile([0.5, -0.5], 3) @ weights).reshape(1, 2, 1)
    *_, last = latent_space.project(synthesis, target, np.zeros(shape), steps=300)
    assert last.styles.shape == (3, 2) and last.image.shape == (1, 2, 1)
    np.testing.assert_allclose(last.image, target, atol=1e-3)
    if shape == (2,):
        np.testing.assert_array_equal(last.styles, last.styles[[0, 0, 0]])
    else:
        assert (last.styles[0] != last.styles[1]).any()


def test_the_first_projection_is_the_start_with_its_loss():
    synthesis, weights = linear_synthesis()
    start, target = normal(3, 2, seed=3), np.array([0.3, -0.2]).reshape(1, 2, 1)
    found = list(latent_space.project(synthesis, target, start, steps=2))
    assert len(found) == 3
    np.testing.assert_allclose(found[0].styles, start, rtol=1e-6)
    image = start.ravel() @ weights
    np.testing.assert_allclose(found[0].image.ravel(), image, rtol=1e-5)
    assert found[0].loss == pytest.approx(((image - [0.3, -0.2]) ** 2).mean(), rel=1e-5)


def test_the_feature_loss_is_relative_to_the_targets_features():
    synthesis, weights = linear_synthesis()
    start, target = normal(3, 2, seed=3), np.array([0.3, -0.2]).reshape(1, 2, 1)
    found = next(latent_space.project(
        synthesis, target, start, steps=1, features=lambda x: 5 * tf.reduce_sum(x, axis=2)
    ))  # fmt: skip
    image = start.ravel() @ weights
    expected = ((image - [0.3, -0.2]) ** 2).mean() + ((image.sum() - 0.1) / 0.1) ** 2
    assert found.loss == pytest.approx(expected, rel=1e-4)


def test_the_nearest_style_has_the_smallest_loss_of_a_projection():
    synthesis, _ = linear_synthesis()
    target, styles = np.array([0.3, -0.2]).reshape(1, 2, 1), normal(7, 2, seed=3)

    def features(x):
        return tf.reduce_sum(x, axis=(2, 3)) ** 2

    for extractor in (None, features):
        losses = [
            next(latent_space.project(synthesis, target, w, steps=1, features=extractor)).loss
            for w in styles
        ]
        for batch_size in (50, 3):
            found = latent_space.nearest_style(
                synthesis, target, styles, features=extractor, batch_size=batch_size
            )
            np.testing.assert_array_equal(found, styles[np.argmin(losses)])
    assert np.argmin(losses) > 0
    with pytest.raises(ValueError, match=r"but the target has \(2, 2, 1\): resize it"):
        latent_space.nearest_style(synthesis, np.zeros((2, 2, 1)), styles)


def test_the_first_update_is_adams_times_the_ramp():
    synthesis, weights = linear_synthesis()
    start, target = normal(3, 2, seed=3), np.array([0.3, -0.2]).reshape(1, 2, 1)
    gradient = weights @ (start.ravel() @ weights - [0.3, -0.2])
    found = list(latent_space.project(synthesis, target, start, steps=40, learning_rate=0.1))
    step = 0.1 * 0.5 * np.sign(gradient).reshape(3, 2)  # Adam's first step is the rate itself
    np.testing.assert_allclose(found[1].styles, start - step, rtol=1e-4)


def test_projection_lowers_the_loss_of_a_real_generator(generator):
    synthesis = generator.get_layer("synthesis")
    styles = latent_space.draw_styles(generator.get_layer("mapping"), 50, seed=0)
    target = np.asarray(synthesis(latent_space.per_layer(styles[:1], 3)))[0]
    steps = list(latent_space.project(synthesis, target, styles.mean(axis=0), steps=60))
    assert steps[-1].loss < 0.2 * steps[0].loss


def test_projection_says_at_once_what_does_not_fit(generator):
    synthesis = generator.get_layer("synthesis")
    target, start = np.zeros((8, 8, 3)), np.zeros(5)
    with pytest.raises(ValueError, match=r"\(8, 8, 3\), but the target has \(4, 8, 3\): resize"):
        latent_space.project(synthesis, target[:4], start)
    with pytest.raises(ValueError, match=r"start must have the shape \(5,\) or \(3, 5\), got"):
        latent_space.project(synthesis, target, np.zeros((2, 5)))
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        latent_space.project(synthesis, target, start, steps=0)
