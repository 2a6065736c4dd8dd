"""Losses and penalties are compared with numbers worked out without TensorFlow."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from course_lib import losses

REAL = np.array([2.0, -1.0, 0.5, 4.0])
FAKE = np.array([-1.5, 0.0, 3.0, -0.25])
FAMILIES = list(losses.FAMILIES)


def softplus(x):
    return np.logaddexp(0.0, x)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def hinge(x):
    return np.maximum(x, 0.0)


# family: discriminator loss, generator loss; (real, fake) -> number, in NumPy float64
ORACLES = {
    "minimax": (
        lambda r, f: -np.log(sigmoid(r)).mean() - np.log(1 - sigmoid(f)).mean(),
        lambda r, f: np.log(1 - sigmoid(f)).mean(),
    ),
    "nonsaturating": (
        lambda r, f: softplus(-r).mean() + softplus(f).mean(),
        lambda r, f: softplus(-f).mean(),
    ),
    "least_squares": (
        lambda r, f: ((r - 1) ** 2).mean() / 2 + (f**2).mean() / 2,
        lambda r, f: ((f - 1) ** 2).mean() / 2,
    ),
    "wasserstein": (lambda r, f: f.mean() - r.mean(), lambda r, f: -f.mean()),
    "hinge": (lambda r, f: hinge(1 - r).mean() + hinge(1 + f).mean(), lambda r, f: -f.mean()),
    "relativistic": (lambda r, f: softplus(f - r).mean(), lambda r, f: softplus(r - f).mean()),
}
# The oracles' values for REAL and FAKE, frozen so that the oracles cannot drift.
FROZEN = {
    "minimax": (1.6128760, -1.1297718),
    "nonsaturating": (1.6128760, 0.8172718),
    "least_squares": (3.1953125, 1.6015625),
    "wasserstein": (-1.0625, -0.3125),
    "hinge": (2.0625, -0.3125),
    "relativistic": (0.9840163, 2.0465163),
}
# dL/d(real), dL/d(fake) of the discriminator, then dL/d(fake) of the generator, times batch
SLOPES = {
    "minimax": lambda r, f: (-sigmoid(-r), sigmoid(f), -sigmoid(f)),
    "nonsaturating": lambda r, f: (-sigmoid(-r), sigmoid(f), -sigmoid(-f)),
    "least_squares": lambda r, f: (r - 1, f, f - 1),
    "wasserstein": lambda r, f: (-1 + 0 * r, 1 + 0 * f, -1 + 0 * f),
    "hinge": lambda r, f: (-1.0 * (r < 1), 1.0 * (f > -1), -1 + 0 * f),
    "relativistic": lambda r, f: (-sigmoid(f - r), sigmoid(f - r), -sigmoid(r - f)),
}


def discriminator_loss(family, real, fake):
    return losses.FAMILIES[family][0](real, fake)


def generator_loss(family, real, fake):
    loss = losses.FAMILIES[family][1]
    return loss(real, fake) if family == "relativistic" else loss(fake)


def gradients(loss, family, real, fake):
    real, fake = tf.convert_to_tensor(real), tf.convert_to_tensor(fake)
    with tf.GradientTape() as tape:
        tape.watch([real, fake])
        value = loss(family, real, fake)
    unused = tf.UnconnectedGradients.ZERO  # most generator losses ignore the real logits
    return [g.numpy() for g in tape.gradient(value, [real, fake], unconnected_gradients=unused)]


def finite_differences(function, x, step=1e-6):
    """Return df/dx of a scalar function by central differences, in float64."""
    gradient = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[index] += step
        down[index] -= step
        gradient[index] = (float(function(up)) - float(function(down))) / (2 * step)
    return gradient


# Losses ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_golden_values(family):
    for oracle, loss, frozen in zip(
        ORACLES[family], (discriminator_loss, generator_loss), FROZEN[family], strict=True
    ):
        assert oracle(REAL, FAKE) == pytest.approx(frozen, abs=5e-8)
        assert float(loss(family, REAL, FAKE)) == pytest.approx(frozen, abs=5e-8)
        assert float(loss(family, np.float32(REAL), np.float32(FAKE))) == pytest.approx(
            frozen, rel=1e-6
        )


@pytest.mark.parametrize(
    ("family", "discriminator", "generator"),
    [
        ("minimax", 2 * np.log(2), -np.log(2)),
        ("nonsaturating", 2 * np.log(2), np.log(2)),
        ("least_squares", 0.5, 0.5),
        ("wasserstein", 0.0, 0.0),
        ("hinge", 2.0, 0.0),
        ("relativistic", np.log(2), np.log(2)),
    ],
)
def test_a_discriminator_that_answers_zero_scores_the_documented_anchor(
    family, discriminator, generator
):
    zeros = np.zeros((8, 1), "float32")
    assert float(discriminator_loss(family, zeros, zeros)) == pytest.approx(discriminator)
    assert float(generator_loss(family, zeros, zeros)) == pytest.approx(generator)


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_match_the_formula(family):
    real_slope, fake_slope, generator_slope = SLOPES[family](REAL, FAKE)
    real, fake = gradients(discriminator_loss, family, REAL, FAKE)
    np.testing.assert_allclose(real, real_slope / 4, rtol=1e-12)
    np.testing.assert_allclose(fake, fake_slope / 4, rtol=1e-12)
    _, fake = gradients(generator_loss, family, REAL, FAKE)
    np.testing.assert_allclose(fake, generator_slope / 4, rtol=1e-12)


@pytest.mark.parametrize("loss", [discriminator_loss, generator_loss])
@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_match_finite_differences_in_float64(family, loss):
    real, fake = gradients(loss, family, REAL, FAKE)
    expected_real = finite_differences(lambda x: loss(family, x, FAKE), REAL)
    expected_fake = finite_differences(lambda x: loss(family, REAL, x), FAKE)
    np.testing.assert_allclose(real, expected_real, atol=1e-8)
    np.testing.assert_allclose(fake, expected_fake, atol=1e-8)


@pytest.mark.parametrize(
    ("given", "returned"),
    [
        ("float16", "float32"),
        ("bfloat16", "float32"),
        ("float32", "float32"),
        ("float64", "float64"),
    ],
)
@pytest.mark.parametrize("family", FAMILIES)
def test_losses_are_float32_scalars_unless_given_float64(family, given, returned):
    real, fake = tf.cast(REAL, given), tf.cast(FAKE, given)  # exact in all four
    for index, loss in enumerate((discriminator_loss, generator_loss)):
        value = loss(family, real, fake)
        assert value.dtype == returned and value.shape == ()
        assert float(value) == pytest.approx(FROZEN[family][index], rel=1e-6)


def test_one_float64_argument_is_enough_to_stay_in_float64():
    loss = losses.nonsaturating_discriminator_loss(np.float32(REAL), FAKE)
    assert loss.dtype == tf.float64


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize("family", FAMILIES)
def test_value_and_gradient_stay_finite_for_huge_logits(family, sign, dtype):
    real, fake = (
        tf.fill((64,), tf.cast(-sign * 1e4, dtype)),
        tf.fill(64, tf.cast(sign * 1e4, dtype)),
    )
    for loss in (discriminator_loss, generator_loss):
        assert np.isfinite(float(loss(family, real, fake)))
        for gradient in gradients(loss, family, real, fake):
            assert np.isfinite(gradient.astype("float32")).all()


def test_huge_wrong_logits_cost_their_size():
    wrong_real, wrong_fake = tf.fill((2,), -1e4), tf.fill((2,), 1e4)
    loss = losses.nonsaturating_discriminator_loss(wrong_real, wrong_fake)
    assert float(loss) == pytest.approx(2e4)


@pytest.mark.parametrize("shape", [(4, 1), (2, 2), (1, 2, 2, 1)])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_shape_of_the_logits_does_not_matter(family, shape):
    real, fake = REAL.reshape(shape), FAKE.reshape(shape)
    expected = [discriminator_loss(family, REAL, FAKE), generator_loss(family, REAL, FAKE)]
    assert float(discriminator_loss(family, real, fake)) == pytest.approx(float(expected[0]))
    assert float(generator_loss(family, real, fake)) == pytest.approx(float(expected[1]))


@pytest.mark.parametrize("family", FAMILIES)
def test_unequal_shapes_are_refused_with_both_named(family):
    with pytest.raises(ValueError, match=r"same shape, got \(4,\) and \(3,\)"):
        discriminator_loss(family, REAL, FAKE[:3])
    with pytest.raises(ValueError, match=r"same shape, got \(4, 1\) and \(4,\)"):
        discriminator_loss(family, REAL[:, None], FAKE)


def test_the_relativistic_generator_refuses_unequal_shapes():
    with pytest.raises(ValueError, match=r"\(4,\) and \(4, 1\)|\(4, 1\) and \(4,\)"):
        losses.relativistic_generator_loss(REAL[:, None], FAKE)


def test_an_unknown_batch_size_is_accepted_while_tracing():
    spec = tf.TensorSpec((None, 1), tf.float64)
    compiled = tf.function(
        losses.relativistic_discriminator_loss, input_signature=[spec, spec], autograph=False
    )
    value = compiled(REAL[:, None], FAKE[:, None])
    assert float(value) == pytest.approx(FROZEN["relativistic"][0], abs=5e-8)


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "least_squares"])
def test_every_generator_wants_its_logits_up(family):
    _, fake = gradients(generator_loss, family, REAL, FAKE)
    assert (fake < 0).all()


def test_minimax_saturates_where_the_nonsaturating_loss_does_not():
    sure = np.array([-10.0])  # D is sure that the image is fake
    _, minimax = gradients(generator_loss, "minimax", sure, sure)
    _, nonsaturating = gradients(generator_loss, "nonsaturating", sure, sure)
    assert abs(minimax[0]) < 1e-4 and nonsaturating[0] == pytest.approx(-1, abs=1e-4)


def test_relativistic_losses_see_only_differences_within_a_pair():
    moved = discriminator_loss("relativistic", REAL + 7, FAKE + 7)
    swapped = discriminator_loss("relativistic", REAL, FAKE[::-1])
    assert float(moved) == pytest.approx(FROZEN["relativistic"][0], abs=5e-8)
    assert float(swapped) != pytest.approx(FROZEN["relativistic"][0], abs=1e-2)


def test_families_maps_each_name_to_its_own_two_functions():
    assert sorted(FAMILIES) == sorted(ORACLES)
    for name, (discriminator, generator) in losses.FAMILIES.items():
        assert discriminator.__name__ == f"{name}_discriminator_loss"
        assert generator.__name__ == f"{name}_generator_loss"


# Penalties ---------------------------------------------------------------------------------------


def images64(count, shape, seed):
    return np.random.default_rng(seed).normal(size=(count, *shape))


def nonlinear_discriminator(inputs, seed=0):
    """Return D(x) = v . tanh(x W) with tf.Variable weights, and D in NumPy."""
    rng = np.random.default_rng(seed)
    kernel, head = tf.Variable(rng.normal(size=(inputs, 5))), tf.Variable(rng.normal(size=5))

    def discriminator(x, training):
        hidden = tf.tanh(tf.reshape(x, (x.shape[0], inputs)) @ kernel)
        return tf.linalg.matvec(hidden, head)

    def in_numpy(x):
        return np.tanh(x.reshape(len(x), inputs) @ kernel.numpy()) @ head.numpy()

    return discriminator, in_numpy, [kernel, head]


def gradient_norms(in_numpy, x):
    gradient = finite_differences(lambda points: in_numpy(points).sum(), x)
    return np.sqrt((gradient.reshape(len(x), -1) ** 2).sum(axis=1))


PENALTIES = {
    "r1": lambda d, real, fake: losses.r1_penalty(d, real),
    "r2": lambda d, real, fake: losses.r2_penalty(d, fake),
    "gradient_penalty": lambda d, real, fake: losses.gradient_penalty(d, real, fake, 3),
}


@pytest.mark.parametrize("penalty", [losses.r1_penalty, losses.r2_penalty])
@pytest.mark.parametrize("shape", [(2,), (4, 4, 3)])
def test_r1_and_r2_of_a_linear_discriminator_are_its_squared_norm(penalty, shape):
    weight = images64(1, shape, 0)[0]

    def linear(x, training):
        return tf.reduce_sum(x * weight, axis=tuple(range(1, len(shape) + 1)))

    assert float(penalty(linear, images64(5, shape, 1))) == pytest.approx((weight**2).sum())


@pytest.mark.parametrize("shape", [(3,), (2, 2, 3)])
def test_r1_and_r2_match_input_gradients_by_finite_differences(shape):
    real, fake = images64(4, shape, 1), images64(4, shape, 2)
    discriminator, in_numpy, _ = nonlinear_discriminator(np.prod(shape))
    expected_r1 = (gradient_norms(in_numpy, real) ** 2).mean()
    expected_r2 = (gradient_norms(in_numpy, fake) ** 2).mean()
    assert float(losses.r1_penalty(discriminator, real)) == pytest.approx(expected_r1, rel=1e-7)
    assert float(losses.r2_penalty(discriminator, fake)) == pytest.approx(expected_r2, rel=1e-7)


@pytest.mark.parametrize("shape", [(3,), (2, 2, 3)])
def test_gradient_penalty_matches_input_gradients_by_finite_differences(shape):
    real, fake = images64(4, shape, 1), images64(4, shape, 2)
    critic, in_numpy, _ = nonlinear_discriminator(np.prod(shape))
    epsilon = keras.random.uniform((4,) + (1,) * len(shape), dtype="float64", seed=3)
    between = np.asarray(epsilon) * real + (1 - np.asarray(epsilon)) * fake
    expected = ((gradient_norms(in_numpy, between) - 1) ** 2).mean()
    assert float(losses.gradient_penalty(critic, real, fake, 3)) == pytest.approx(
        expected, rel=1e-7
    )


@pytest.mark.parametrize("name", PENALTIES)
def test_penalties_are_differentiable_in_the_weights(name):
    real, fake = images64(4, (3,), 1), images64(4, (3,), 2)
    discriminator, _, weights = nonlinear_discriminator(3)
    with tf.GradientTape() as tape:
        value = PENALTIES[name](discriminator, real, fake)
    for weight, gradient in zip(weights, tape.gradient(value, weights), strict=True):

        def at(point, weight=weight):
            before = weight.numpy()
            weight.assign(point)
            value = float(PENALTIES[name](discriminator, real, fake))
            weight.assign(before)
            return value

        expected = finite_differences(at, weight.numpy())
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("length", "expected"), [(0.5, 0.25), (1.0, 0.0), (3.0, 4.0)])
def test_gradient_penalty_of_a_linear_critic_is_two_sided(length, expected):
    weight = np.array([0.6, 0.8]) * length
    real, fake = images64(4, (2,), 1), images64(4, (2,), 2)
    penalty = losses.gradient_penalty(lambda x, training: x @ weight[:, None], real, fake, 0)
    assert float(penalty) == pytest.approx(expected, abs=1e-12)


def interpolated(count, shape, seed):
    """Return the points that a critic is asked about between fake = 2 and real = 5."""
    seen = []

    def critic(x, training):
        seen.append(x.numpy())
        return tf.reduce_sum(x, axis=tuple(range(1, len(shape) + 1)))

    real, fake = np.full((count, *shape), 5.0), np.full((count, *shape), 2.0)
    losses.gradient_penalty(critic, real, fake, seed)
    return seen[0]


def test_interpolation_is_uniform_between_fake_and_real():
    epsilon = (interpolated(20000, (2,), 0)[:, 0] - 2) / 3
    assert epsilon.min() >= 0 and epsilon.max() <= 1
    histogram = np.histogram(epsilon, bins=10, range=(0, 1))[0]
    np.testing.assert_allclose(histogram, 2000, atol=200)  # 4.7 standard deviations


def test_all_pixels_of_a_pair_share_one_interpolation_factor():
    points = interpolated(16, (4, 4, 3), 0).reshape(16, -1)
    assert (points == points[:, :1]).all()
    assert len(np.unique(points[:, 0])) == 16


def test_an_int_seed_repeats_the_interpolation_and_a_generator_advances():
    np.testing.assert_array_equal(interpolated(8, (2,), 7), interpolated(8, (2,), 7))
    assert (interpolated(8, (2,), 7) != interpolated(8, (2,), 8)).any()
    generator = keras.random.SeedGenerator(7)
    assert (interpolated(8, (2,), generator) != interpolated(8, (2,), generator)).any()


def test_gradient_penalty_is_finite_where_the_critic_is_flat():
    weight = tf.Variable([[0.0], [0.0]])
    real, fake = tf.ones((3, 2)), tf.zeros((3, 2))
    with tf.GradientTape() as tape:
        penalty = losses.gradient_penalty(lambda x, training: x @ weight, real, fake, 0)
    assert float(penalty) == 1.0
    np.testing.assert_array_equal(tape.gradient(penalty, weight), np.zeros((2, 1)))


def test_gradient_penalty_measures_each_image_by_itself():
    real = np.array([[1.0, 0.0], [1.0, 0.0]])
    critic = lambda x, training: tf.reduce_sum(x * [[1.0, 0.0], [3.0, 0.0]], axis=1)  # noqa: E731
    assert float(losses.gradient_penalty(critic, real, 0 * real, 0)) == pytest.approx(2.0)


@pytest.mark.parametrize("name", PENALTIES)
def test_penalties_ask_the_discriminator_in_training_mode(name):
    modes = []

    def discriminator(x, training):
        modes.append(training)
        return x[:, 0]

    PENALTIES[name](discriminator, tf.ones((2, 2)), tf.zeros((2, 2)))
    assert modes == [True]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("name", PENALTIES)
def test_penalties_are_float32_whatever_the_discriminator_computes_in(name, dtype):
    def discriminator(x, training):
        return tf.cast(300 * x[:, 0], dtype)  # 300 squared overflows float16

    real, fake = tf.cast(images64(4, (2,), 1), dtype), tf.cast(images64(4, (2,), 2), dtype)
    penalty = PENALTIES[name](discriminator, real, fake)
    assert penalty.dtype == tf.float32
    assert float(penalty) == pytest.approx(299**2 if "gradient" in name else 300**2)


@pytest.mark.parametrize("name", PENALTIES)
def test_a_discriminator_that_ignores_its_images_is_refused(name):
    with pytest.raises(ValueError, match=r"no gradient with respect to its \(2, 2\) images"):
        PENALTIES[name](lambda x, training: tf.zeros(2), tf.ones((2, 2)), tf.zeros((2, 2)))


def test_gradient_penalty_refuses_unequal_image_shapes():
    with pytest.raises(ValueError, match=r"fake_images must .* \(4, 2\) and \(3, 2\)"):
        losses.gradient_penalty(
            lambda x, training: x[:, 0], images64(4, (2,), 1), images64(3, (2,), 2), 0
        )


# Path lengths -------------------------------------------------------------------------------------


def linear_synthesis(matrix, size):
    """Images (batch, *size) whose pixels are the style times a matrix (style_dim, pixels)."""
    return lambda styles: tf.reshape(tf.matmul(styles, matrix), (-1, *size))


def test_path_lengths_of_a_linear_synthesis_are_those_of_its_jacobian():
    size, matrix = (3, 2, 2), images64(1, (4, 12), 0)[0]
    styles = images64(5, (4,), 1)
    noise = np.asarray(keras.random.normal((5, *size), dtype="float64", seed=7))
    noise = noise.reshape(5, 12) / np.sqrt(3 * 2)
    expected = [np.linalg.norm(matrix @ y) for y in noise]
    found = losses.path_lengths(linear_synthesis(matrix, size), styles, 7)
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    penalty = losses.path_length_penalty(linear_synthesis(matrix, size), styles, 7, 0.5)
    assert float(penalty) == pytest.approx(((np.array(expected) - 0.5) ** 2).mean())


def test_path_lengths_average_their_squares_over_the_layers():
    weights = images64(1, (3, 4, 12), 0)[0]  # one matrix per layer

    def synthesis(styles):
        return tf.reshape(tf.einsum("bld,ldp->bp", styles, weights), (-1, 3, 2, 2))

    noise = np.asarray(keras.random.normal((2, 3, 2, 2), dtype="float64", seed=7)).reshape(2, 12)
    squares = [[np.sum((w @ y) ** 2) / 6 for w in weights] for y in noise]
    found = losses.path_lengths(synthesis, images64(2, (3, 4), 1), 7)
    np.testing.assert_allclose(found, np.sqrt(np.mean(squares, axis=1)), rtol=1e-10)


def test_path_lengths_of_a_curved_synthesis_match_finite_differences():
    matrix, styles = images64(1, (3, 12), 0)[0], images64(2, (3,), 1)
    noise = np.asarray(keras.random.normal((2, 2, 2, 3), dtype="float64", seed=4)).reshape(2, 12)

    def product(style, y):
        return np.tanh(style @ matrix) @ y / 2

    expected = [
        np.linalg.norm([
            (product(style + d, y) - product(style - d, y)) / 2e-6 for d in 1e-6 * np.eye(3)
        ])
        for style, y in zip(styles, noise, strict=True)
    ]  # fmt: skip
    found = losses.path_lengths(
        lambda w: tf.reshape(tf.tanh(tf.matmul(w, matrix)), (-1, 2, 2, 3)), styles, 4
    )
    np.testing.assert_allclose(found, expected, rtol=1e-7)


def test_the_path_length_penalty_is_differentiable_in_the_weights():
    matrix = tf.Variable(images64(1, (3, 12), 0)[0])
    styles = images64(2, (3,), 1)

    def penalty():
        return losses.path_length_penalty(linear_synthesis(matrix, (2, 2, 3)), styles, 4, 1.5)

    with tf.GradientTape() as tape:
        value = penalty()
    gradient = tape.gradient(value, matrix).numpy()
    before = matrix.numpy()
    for place in [(0, 0), (2, 7)]:
        values = []
        for step in (1e-6, -1e-6):
            moved = before.copy()
            moved[place] += step
            matrix.assign(moved)
            values.append(float(penalty()))
        assert gradient[place] == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-5)


def test_path_lengths_of_a_flat_synthesis_are_0_with_a_finite_gradient():
    matrix = tf.Variable(np.zeros((3, 12)))
    with tf.GradientTape() as tape:
        value = losses.path_length_penalty(
            linear_synthesis(matrix, (2, 2, 3)), images64(2, (3,), 1), 4, 1.5
        )
    assert float(value) == 1.5**2
    assert np.isfinite(tape.gradient(value, matrix)).all()


def test_path_lengths_refuse_a_synthesis_that_ignores_its_styles():
    with pytest.raises(ValueError, match="ignores them"):
        losses.path_lengths(lambda w: tf.ones((2, 4, 4, 3), tf.float64), images64(2, (3,), 1), 0)
