"""The health of a GAN: each number worked out by hand, each word at both sides of its limit."""

import math

import keras
import numpy as np
import pytest

from course_lib import features, health, metrics, steps
from course_lib.networks import dcgan

COUNT, LATENT_DIM = 6, 3
CONFIG = steps.GanStepConfig(latent_dim=LATENT_DIM, ema_decay=0.0)
GENERATOR = np.random.default_rng(1)
TRAINING = GENERATOR.uniform(-1, 1, (10, 2, 2, 1)).astype("float32")
UNSEEN = GENERATOR.uniform(-1, 1, (8, 2, 2, 1)).astype("float32")


def flatten(images):
    """The extractor of these tests: the pixels themselves."""
    return np.asarray(images).reshape(len(images), -1)


def linear_gan():
    """G(z) = tanh(z V) and D(x) = w x + b on pictures of four pixels."""
    keras.utils.set_random_seed(3)
    latents, images = keras.Input((LATENT_DIM,)), keras.Input((2, 2, 1))
    drawn = keras.layers.Dense(4, activation="tanh", use_bias=False)(latents)
    logits = keras.layers.Dense(1)(keras.layers.Flatten()(images))
    gan = steps.Gan.create(
        keras.Model(latents, keras.layers.Reshape((2, 2, 1))(drawn)),
        keras.Model(images, logits),
        generator_optimizer=keras.optimizers.Adam(0.05),
        discriminator_optimizer=keras.optimizers.Adam(0.05),
        seed=0,
    )
    gan.discriminator.layers[-1].bias.assign([0.3])
    return gan


def checkup(**settings):
    settings = {"extract": flatten, "count": COUNT} | settings
    return health.Checkup(TRAINING, UNSEEN, **settings)


def pieces(gan):
    """Latents, weights and images of the linear GAN in float64."""
    z = np.asarray(keras.random.normal((COUNT, LATENT_DIM), seed=0), "float64")
    v = gan.generator.get_weights()[0].astype("float64")
    w, b = (part.astype("float64") for part in gan.discriminator.get_weights())
    return z, v, w[:, 0], b[0], np.tanh(z @ v)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


# The numbers --------------------------------------------------------------------------------------


def test_margin_accuracy_and_overfitting_are_those_of_loops_over_logits():
    gan = linear_gan()
    found = checkup().measure(gan, CONFIG)
    _, _, w, b, fake = pieces(gan)
    training, unseen = (flatten(part)[:COUNT] @ w + b for part in (TRAINING, UNSEEN))
    fake = fake @ w + b
    ordered = sum(1.0 for real in training for made in fake if real > made)
    margin = training.mean() - fake.mean()
    assert found["margin"] == pytest.approx(margin, abs=1e-5)
    assert found["accuracy"] == pytest.approx(ordered / COUNT**2)
    assert found["overfitting"] == pytest.approx(
        (training.mean() - unseen.mean()) / margin, rel=1e-3
    )


def test_equal_logits_are_half_right_and_no_memory():
    gan = linear_gan()
    gan.discriminator.set_weights([np.zeros((4, 1)), np.array([2.0])])
    found = checkup().measure(gan, CONFIG)
    assert (found["margin"], found["accuracy"], found["overfitting"]) == (0.0, 0.5, 0.0)


def test_the_gradients_have_the_length_of_their_closed_form():
    gan = linear_gan()
    found = checkup().measure(gan, CONFIG)
    z, _, w, b, fake = pieces(gan)
    real = flatten(TRAINING)[:COUNT].astype("float64")
    pull_real, push_fake = -sigmoid(-(real @ w + b)) / COUNT, sigmoid(fake @ w + b) / COUNT
    d_gradient = np.append(pull_real @ real + push_fake @ fake, pull_real.sum() + push_fake.sum())
    slope = -sigmoid(-(fake @ w + b)) / COUNT
    g_gradient = z.T @ (slope[:, None] * w * (1 - fake**2))
    assert found["d_gradient"] == pytest.approx(np.linalg.norm(d_gradient), rel=1e-4)
    assert found["g_gradient"] == pytest.approx(np.linalg.norm(g_gradient), rel=1e-4)


def test_the_relativistic_gradients_come_from_pairs():
    gan = linear_gan()
    config = steps.GanStepConfig(latent_dim=LATENT_DIM, loss="relativistic")
    found = checkup().measure(gan, config)
    z, _, w, b, fake = pieces(gan)
    real = flatten(TRAINING)[:COUNT].astype("float64")
    share = sigmoid((fake - real) @ w) / COUNT
    d_gradient = share @ (fake - real)  # of the weights; the bias cancels
    slope = -sigmoid((real - fake) @ w) / COUNT
    g_gradient = z.T @ (slope[:, None] * w * (1 - fake**2))
    assert found["d_gradient"] == pytest.approx(np.linalg.norm(d_gradient), rel=1e-4)
    assert found["g_gradient"] == pytest.approx(np.linalg.norm(g_gradient), rel=1e-4)


def mean_gap(points):
    gaps = [math.dist(a, b) for i, a in enumerate(points) for b in points[:i]]
    return sum(gaps) / len(gaps)


def nearest_gap(points, known):
    return np.mean([min(math.dist(point, other) for other in known) for point in points])


def test_diversity_novelty_and_distance_are_those_of_double_loops():
    samples = np.random.default_rng(5).uniform(-1, 1, (7, 2, 2, 1)).astype("float32")
    found = checkup().look_at(samples)
    drawn, known, real = (flatten(p).astype("float64") for p in (samples, TRAINING, UNSEEN[:COUNT]))
    assert found["diversity"] == pytest.approx(mean_gap(drawn) / mean_gap(real))
    assert found["novelty"] == pytest.approx(nearest_gap(drawn, known) / nearest_gap(real, known))
    assert found["kernel_distance"] == pytest.approx(metrics.kernel_distance(drawn, real))


def test_copies_have_no_novelty_and_one_picture_no_diversity():
    found = checkup().look_at(TRAINING[:4])
    assert found["novelty"] == 0.0 and found["diversity"] > 0.5
    assert checkup().look_at(np.repeat(TRAINING[:1], 4, axis=0))["diversity"] == 0.0


def test_all_training_images_count_as_known_not_only_those_that_d_looks_at():
    assert checkup().look_at(TRAINING[-2:])["novelty"] == 0.0


def test_floor_and_noise_are_kernel_distances_to_the_unseen_images():
    made = checkup()
    real = flatten(UNSEEN[:COUNT]).astype("float64")
    noise = np.random.default_rng(0).uniform(-1, 1, (COUNT, 4)).astype("float32").astype("float64")
    known = flatten(TRAINING[:COUNT]).astype("float64")
    assert made.floor == pytest.approx(metrics.kernel_distance(known, real))
    assert made.noise_distance == pytest.approx(metrics.kernel_distance(noise, real))


def test_pictures_come_from_the_average_and_logits_from_the_generator():
    gan, made = linear_gan(), checkup()
    before = made.measure(gan, CONFIG)
    gan.ema_generator.set_weights([np.zeros((LATENT_DIM, 4))])
    after = made.measure(gan, CONFIG)
    assert after["diversity"] == 0.0 < before["diversity"] and after["margin"] == before["margin"]
    gan.generator.set_weights([np.zeros((LATENT_DIM, 4))])
    assert made.measure(gan, CONFIG)["margin"] != before["margin"]


def test_a_run_that_is_looked_at_gives_the_same_bits_as_one_that_is_not():
    def trained(look):
        keras.utils.set_random_seed(0)
        gan = steps.Gan.create(
            dcgan.generator(LATENT_DIM, (16, 16, 3), base_filters=4),
            dcgan.discriminator((16, 16, 3), base_filters=4),  # both with running statistics
            generator_optimizer=keras.optimizers.Adam(1e-3),
            discriminator_optimizer=keras.optimizers.Adam(1e-3),
            seed=0,
        )
        pictures = np.random.default_rng(0).uniform(-1, 1, (8, 16, 16, 3)).astype("float32")
        made = health.Checkup(pictures, -pictures, extract=flatten, count=8)
        step = steps.make_gan_step(gan, CONFIG)
        for _ in range(3):
            step(keras.ops.convert_to_tensor(pictures))
            if look:
                made.measure(gan, CONFIG)
        networks = gan.generator, gan.discriminator, gan.ema_generator
        return [weight for net in networks for weight in net.get_weights()] + [gan.seed.state]

    for with_looks, without in zip(trained(True), trained(False), strict=True):
        np.testing.assert_array_equal(np.asarray(with_looks), np.asarray(without))


def test_two_gans_are_not_taken_for_each_other():
    made, first, second = checkup(), linear_gan(), linear_gan()
    before = made.measure(first, CONFIG)["margin"]
    second.discriminator.set_weights([np.ones((4, 1)), np.zeros(1)])
    assert made.measure(second, CONFIG)["margin"] != before
    assert made.measure(first, CONFIG)["margin"] == before


def test_samples_that_are_no_numbers_give_nan_and_no_error():
    gan = linear_gan()
    gan.ema_generator.set_weights([np.full((LATENT_DIM, 4), np.nan)])
    found = checkup().measure(gan, CONFIG)
    assert math.isnan(found["kernel_distance"]) and math.isfinite(found["margin"])


def test_by_default_the_features_are_those_of_the_encoder():
    pictures = np.random.default_rng(0).uniform(-1, 1, (4, 32, 32, 3)).astype("float32")
    made = health.Checkup(pictures[:2], pictures[2:], count=2)
    expected = metrics.kernel_distance(
        features.extract(pictures[:2]), features.extract(pictures[2:])
    )
    assert made.floor == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("training, count", [(10, 1), (10, 9), (1, 4)])
def test_too_few_images_are_refused(training, count):
    with pytest.raises(
        ValueError, match=f"got count={count} with {training} training and 8 unseen"
    ):
        health.Checkup(TRAINING[:training], UNSEEN, extract=flatten, count=count)


def test_fewer_training_images_than_samples_will_do():
    gan = linear_gan()
    found = health.Checkup(TRAINING[:3], UNSEEN, extract=flatten, count=COUNT).measure(gan, CONFIG)
    w, b = gan.discriminator.get_weights()
    z = np.asarray(keras.random.normal((3, LATENT_DIM), seed=0))
    fake = np.tanh(z @ gan.generator.get_weights()[0]) @ w + b
    training = flatten(TRAINING[:3]) @ w + b
    assert found["margin"] == pytest.approx(training.mean() - fake.mean(), abs=1e-5)


@pytest.mark.parametrize("unseen", [TRAINING[2:8], np.repeat(UNSEEN[:1], 6, axis=0)])
def test_unseen_images_that_are_not_unseen_or_all_alike_are_refused(unseen):
    with pytest.raises(ValueError, match="all alike, or all among the training images"):
        health.Checkup(TRAINING, unseen, extract=flatten, count=COUNT)


# The words ----------------------------------------------------------------------------------------

WELL = {
    "margin": 1.0, "accuracy": 0.8, "overfitting": 0.1, "d_gradient": 1.0, "g_gradient": 1.0,
    "diversity": 0.9, "novelty": 0.95, "kernel_distance": 0.2,
}  # fmt: skip


def word(name, value, **more):
    """The word for one value after three healthy looks."""
    return health.judge([WELL, WELL, WELL, WELL | more | {name: value}])[name]


def test_a_healthy_run_is_healthy_everywhere_and_in_order():
    verdicts = health.judge([WELL])
    assert tuple(verdicts) == tuple(health.MEASURES)
    assert {verdict.word for verdict in verdicts.values()} == {"healthy"}
    assert all(verdict.reason for verdict in verdicts.values())


@pytest.mark.parametrize(
    "name, healthy, watch, broken",
    [
        ("margin", 19.9, 20.1, 100.1),
        ("accuracy", 0.969, 0.971, 0.9991),
        ("overfitting", 0.39, 0.41, 0.81),
        ("d_gradient", 9.9, 10.1, 1001.0),
        ("g_gradient", 0.101, 0.099, 0.00099),
        ("diversity", 0.51, 0.49, 0.24),
        ("novelty", 0.71, 0.69, 0.39),
        (
            "kernel_distance",
            0.349,
            0.351,
            0.651,
        ),  # 1.5 and 3 times the best, 0.2, and 0.05 of slack
    ],
)
def test_each_measure_changes_its_word_at_its_limits(name, healthy, watch, broken):
    words = [word(name, value).word for value in (healthy, watch, broken)]
    assert words == ["healthy", "watch", "broken"]


@pytest.mark.parametrize("name", health.MEASURES)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_is_broken(name, value):
    assert word(name, value) == ("broken", "no longer a number: the run has diverged")


def test_an_accuracy_below_one_half_is_named():
    assert word("accuracy", 0.49).word == "watch" and "G has overtaken" in word("accuracy", 0.4)[1]
    assert word("accuracy", 0.51).word == "healthy"


def test_overfitting_says_little_while_the_margin_is_small():
    assert word("overfitting", 5.0, margin=0.09).word == "healthy"
    assert word("overfitting", 5.0, margin=-0.11).word == "broken"


def test_gradients_are_compared_with_the_median_of_the_run_without_its_start():
    rows = [WELL | {"d_gradient": value} for value in (1e-6, 2.0, 4.0, 3.0, 3.3)]
    assert health.judge(rows)["d_gradient"].reason == "1.1 times the run's median"
    rows[-1] = WELL | {"d_gradient": 0.0}
    assert health.judge(rows)["d_gradient"] == ("broken", "0 times the run's median: vanished")
    rows[-1] = WELL | {"d_gradient": 60.0}
    assert health.judge(rows)["d_gradient"] == ("watch", "20 times the run's median: exploding")


def test_a_gradient_is_not_compared_before_the_third_look():
    rows = [WELL, WELL, WELL | {"g_gradient": 1e9}]
    assert health.judge(rows)["g_gradient"].reason == "too early to compare"
    assert health.judge([WELL, *rows])["g_gradient"].word == "broken"


def test_the_kernel_distance_is_compared_with_the_best_and_not_with_the_first():
    rows = [WELL | {"kernel_distance": value} for value in (9.0, 0.1, 0.19)]
    assert health.judge(rows)["kernel_distance"] == ("healthy", "best so far 0.100")
    rows.append(WELL | {"kernel_distance": 0.5})
    assert health.judge(rows)["kernel_distance"].word == "broken"
    assert health.judge(rows[:1])["kernel_distance"].word == "healthy"


def test_a_best_distance_below_zero_counts_as_zero():
    rows = [WELL | {"kernel_distance": value} for value in (-0.01, 0.04)]
    assert health.judge(rows)["kernel_distance"].word == "healthy"


def test_without_a_measurement_there_is_nothing_to_judge():
    with pytest.raises(ValueError, match="no measurement to judge"):
        health.judge([])
