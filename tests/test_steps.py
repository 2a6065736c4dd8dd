"""The step is checked by what it changes, what it leaves alone, and updates worked out by hand."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from course_lib import diffaugment, losses, steps

SHAPE = (4, 4, 3)
LATENT_DIM = 8
PENALTIES_ON = {"r1_gamma": 1.0, "r2_gamma": 1.0, "gradient_penalty_weight": 1.0}


@pytest.fixture(autouse=True)
def same_weights_in_every_test():
    keras.utils.set_random_seed(0)
    yield
    keras.mixed_precision.set_global_policy("float32")


@pytest.fixture
def images():
    return tf.random.stateless_uniform((16, *SHAPE), seed=(0, 0), minval=-1.0)


def configure(**changes):
    return steps.GanStepConfig(**{"latent_dim": LATENT_DIM, "ema_decay": 0.9} | changes)


def make_generator(*extra):
    return keras.Sequential(
        [keras.Input((LATENT_DIM,)), layers.Dense(48), *extra, layers.Reshape(SHAPE)]
    )


def make_discriminator(*extra):
    flatten = [keras.Input(SHAPE), layers.Flatten()]
    return keras.Sequential([*flatten, layers.Dense(16, "softplus"), *extra, layers.Dense(1)])


def sgd(rate=0.1):
    return keras.optimizers.SGD(rate)


def adam():
    return keras.optimizers.Adam(2e-3)


def make_gan(generator=None, discriminator=None, *, g_optimizer=None, d_optimizer=None, seed=0):
    return steps.Gan.create(
        generator or make_generator(),
        discriminator or make_discriminator(),
        generator_optimizer=g_optimizer or adam(),
        discriminator_optimizer=d_optimizer or adam(),
        seed=seed,
    )


def numbers(metrics):
    return {name: float(value) for name, value in metrics.items()}


def assert_equal_weights(first, second):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def weights_differ(first, second):
    return any((a != b).any() for a, b in zip(first, second, strict=True))


# One update, by hand -----------------------------------------------------------------------------
# D(x) = w . x and G(z) = b, so every gradient has a closed form in NumPy float64.


def linear_gan(*, d_rate=0.3, g_rate=0.2, wrap=lambda optimizer: optimizer):
    """Return the Gan and (w, b)."""
    generator = make_generator()
    generator.layers[0].kernel.assign(tf.zeros((LATENT_DIM, 48)))
    generator.layers[0].bias.assign(np.linspace(-0.5, 0.7, 48))
    head = layers.Dense(1, use_bias=False)
    discriminator = keras.Sequential([keras.Input(SHAPE), layers.Flatten(), head])
    gan = make_gan(
        generator, discriminator, g_optimizer=wrap(sgd(g_rate)), d_optimizer=wrap(sgd(d_rate))
    )
    return gan, head.kernel.numpy()[:, 0].astype("float64"), np.linspace(-0.5, 0.7, 48)


def assert_updated(gan, new_w, new_b):
    w, b = gan.discriminator.get_weights()[0][:, 0], gan.generator.layers[0].bias
    np.testing.assert_allclose(w, new_w, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(b, new_b, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        gan.ema_generator.layers[0].bias,
        0.9 * np.linspace(-0.5, 0.7, 48) + 0.1 * new_b,
        rtol=1e-4,
        atol=1e-6,
    )


def flat(images):
    return images.numpy().reshape(-1, 48).astype("float64")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("wrap", [lambda o: o, keras.optimizers.LossScaleOptimizer])
def test_nonsaturating_update_with_r1_equals_the_one_worked_out_by_hand(images, wrap):
    gan, w, b = linear_gan(wrap=wrap)  # loss scaling must not show
    metrics = numbers(steps.make_gan_step(gan, configure(r1_gamma=0.4))(images))

    x = flat(images)
    d_gradient = -(sigmoid(-x @ w)[:, None] * x).mean(axis=0) + sigmoid(b @ w) * b + 0.4 * w
    new_w = w - 0.3 * d_gradient
    new_b = b + 0.2 * sigmoid(-b @ new_w) * new_w
    assert_updated(gan, new_w, new_b)
    d_loss = np.logaddexp(0, -x @ w).mean() + np.logaddexp(0, b @ w)
    assert metrics["d_loss"] == pytest.approx(d_loss, rel=1e-5)
    assert metrics["g_loss"] == pytest.approx(np.logaddexp(0, -b @ new_w), rel=1e-5)
    assert metrics["r1"] == pytest.approx(w @ w, rel=1e-5)
    assert metrics["real_logit"] == pytest.approx((x @ w).mean(), rel=1e-4)
    assert metrics["fake_logit"] == pytest.approx(b @ w, rel=1e-4)
    assert set(metrics) == {"d_loss", "g_loss", "r1", "real_logit", "fake_logit"}


def test_relativistic_update_with_r1_and_r2_equals_the_one_worked_out_by_hand(images):
    gan, w, b = linear_gan()
    config = configure(loss="relativistic", r1_gamma=0.4, r2_gamma=0.6)
    metrics = numbers(steps.make_gan_step(gan, config)(images))

    pairs = flat(images) - b
    d_gradient = -(sigmoid(-pairs @ w)[:, None] * pairs).mean(axis=0) + (0.4 + 0.6) * w
    new_w = w - 0.3 * d_gradient
    new_b = b + 0.2 * sigmoid(pairs @ new_w).mean() * new_w
    assert_updated(gan, new_w, new_b)
    assert metrics["g_loss"] == pytest.approx(np.logaddexp(0, pairs @ new_w).mean(), rel=1e-5)
    assert metrics["r1"] == metrics["r2"] == pytest.approx(w @ w, rel=1e-5)


def test_wasserstein_update_with_gradient_penalty_equals_the_one_worked_out_by_hand(images):
    gan, w, b = linear_gan()
    config = configure(loss="wasserstein", gradient_penalty_weight=10.0)
    metrics = numbers(steps.make_gan_step(gan, config)(images))

    norm = np.linalg.norm(w)
    d_gradient = b - flat(images).mean(axis=0) + 10 * 2 * (norm - 1) * w / norm
    new_w = w - 0.3 * d_gradient
    assert_updated(gan, new_w, b + 0.2 * new_w)
    assert metrics["gradient_penalty"] == pytest.approx((norm - 1) ** 2, rel=1e-4)


def test_several_discriminator_updates_take_the_batch_in_parts(images):
    gan, w, b = linear_gan()
    config = configure(loss="wasserstein", discriminator_updates=2)
    metrics = numbers(steps.make_gan_step(gan, config)(images))

    x = flat(images)
    after_one = w + 0.3 * (x[:8].mean(axis=0) - b)
    new_w = after_one + 0.3 * (x[8:].mean(axis=0) - b)
    assert_updated(gan, new_w, b + 0.2 * new_w)
    assert metrics["real_logit"] == pytest.approx((x[8:] @ after_one).mean(), rel=1e-4)
    assert int(gan.discriminator_optimizer.iterations) == 2
    assert int(gan.generator_optimizer.iterations) == 1


@pytest.mark.parametrize("updates", [1, 2])
def test_reused_fakes_are_those_that_the_discriminator_was_last_updated_with(images, updates):
    gan, w, b = linear_gan()
    kernel = np.random.default_rng(0).normal(0, 0.1, (LATENT_DIM, 48))
    gan.generator.layers[0].kernel.assign(kernel)
    seed, count = keras.random.SeedGenerator(0), len(images) // updates
    config = configure(reuse_fakes=True, discriminator_updates=updates)
    metrics = numbers(steps.make_gan_step(gan, config)(images))

    for part in np.split(flat(images), updates):
        z = np.asarray(keras.random.normal((count, LATENT_DIM), seed=seed), "float64")
        fake = z @ kernel + b
        real_slopes, fake_slopes = -sigmoid(-part @ w)[:, None], sigmoid(fake @ w)[:, None]
        w = w - 0.3 * ((real_slopes * part).mean(axis=0) + (fake_slopes * fake).mean(axis=0))
    slopes = -sigmoid(-fake @ w)[:, None] * w / count
    assert_updated(gan, w, b - 0.2 * slopes.sum(axis=0))
    new_kernel = gan.generator.layers[0].kernel.numpy()
    np.testing.assert_allclose(new_kernel, kernel - 0.2 * z.T @ slopes, rtol=1e-4, atol=1e-6)
    assert metrics["g_loss"] == pytest.approx(np.logaddexp(0, -fake @ w).mean(), rel=1e-5)
    assert_equal_weights([gan.seed.state], [seed.state])  # no draw more


@pytest.mark.parametrize("family", losses.FAMILIES)
def test_the_loss_named_in_the_config_is_the_one_taken(images, family):
    gan, w, b = linear_gan(d_rate=0.0, g_rate=0.0)
    metrics = numbers(steps.make_gan_step(gan, configure(loss=family))(images))
    real, fake = flat(images) @ w, np.full(16, b @ w)
    d_loss, g_loss = losses.FAMILIES[family]
    assert metrics["d_loss"] == pytest.approx(float(d_loss(real, fake)), rel=1e-4)
    expected = g_loss(real, fake) if family == "relativistic" else g_loss(fake)
    assert metrics["g_loss"] == pytest.approx(float(expected), rel=1e-4)


# What an update changes and leaves alone ---------------------------------------------------------


def test_each_network_is_changed_by_its_own_optimizer_only(images):
    still_d = make_gan(d_optimizer=sgd(0.0))
    before_d, before_g = still_d.discriminator.get_weights(), still_d.generator.get_weights()
    steps.make_gan_step(still_d, configure(**PENALTIES_ON))(images)
    assert_equal_weights(before_d, still_d.discriminator.get_weights())
    assert weights_differ(before_g, still_d.generator.get_weights())

    still_g = make_gan(g_optimizer=sgd(0.0))
    before_d, before_g = still_g.discriminator.get_weights(), still_g.generator.get_weights()
    steps.make_gan_step(still_g, configure(**PENALTIES_ON))(images)
    assert weights_differ(before_d, still_g.discriminator.get_weights())
    assert_equal_weights(before_g, still_g.generator.get_weights())


def test_the_average_is_the_closed_form_over_two_steps_and_copies_statistics(images):
    gan = make_gan(make_generator(layers.BatchNormalization()))
    step, history = steps.make_gan_step(gan, configure()), [gan.generator.get_weights()]
    for _ in range(2):
        step(images)
        history.append(gan.generator.get_weights())
    averages = gan.ema_generator.weights
    for average, old, middle, new in zip(averages, *history, strict=True):
        if average.trainable:
            new = 0.9 * (0.9 * old + 0.1 * middle) + 0.1 * new
        np.testing.assert_allclose(average, new, rtol=1e-5, atol=1e-7)
    statistics = [w for w in averages if not w.trainable]
    assert len(statistics) == 2 and all(float(tf.norm(w)) > 0 for w in statistics)


def test_a_decay_of_zero_copies_the_generator(images):
    gan = make_gan()
    steps.make_gan_step(gan, configure(ema_decay=0.0))(images)
    assert_equal_weights(gan.generator.get_weights(), gan.ema_generator.get_weights())


@pytest.mark.parametrize(
    ("changes", "passes"),
    [({}, 3), ({"loss": "relativistic"}, 4), ({"r1_gamma": 1.0}, 4), (PENALTIES_ON, 6)],
)
def test_every_pass_of_the_discriminator_is_in_training_mode(images, changes, passes):
    dropout = layers.Dropout(0.5)  # draws a new mask, and so a new seed, per training pass
    gan = make_gan(discriminator=make_discriminator(dropout))
    before = dropout.seed_generator.state.numpy()
    steps.make_gan_step(gan, configure(**changes))(images)
    assert (dropout.seed_generator.state.numpy() - before).max() == passes


def test_both_halves_draw_fresh_latents_with_the_generator_in_training_mode(images):
    norm = layers.BatchNormalization(momentum=0.5)
    gan = make_gan(make_generator(norm), g_optimizer=sgd(0.0))
    before = gan.seed.state.numpy()
    steps.make_gan_step(gan, configure())(images)
    assert (gan.seed.state.numpy() - before).max() == 2
    same_seed, kernel = keras.random.SeedGenerator(0), gan.generator.get_weights()[0]
    draws = [keras.random.normal((16, LATENT_DIM), seed=same_seed) for _ in range(2)]
    first, second = ((np.asarray(latents) @ kernel).mean(axis=0) for latents in draws)
    expected = 0.5 * (0.5 * first) + 0.5 * second
    np.testing.assert_allclose(norm.moving_mean, expected, rtol=1e-4, atol=1e-6)


def test_each_penalty_sees_its_own_images(images):
    gan = make_gan(d_optimizer=sgd(0.0), g_optimizer=sgd(0.0))
    gan.generator.layers[0].kernel.assign(tf.zeros((LATENT_DIM, 48)))  # all images are the bias
    gan.generator.layers[0].bias.assign(tf.linspace(-1.0, 1.0, 48))
    fake = gan.generator(tf.zeros((16, LATENT_DIM)))
    step = steps.make_gan_step(gan, configure(**PENALTIES_ON))
    first, second = numbers(step(images)), numbers(step(images))
    r1 = float(losses.r1_penalty(gan.discriminator, images))
    r2 = float(losses.r2_penalty(gan.discriminator, fake))
    assert first["r1"] == second["r1"] == pytest.approx(r1, rel=1e-5)
    assert first["r2"] == second["r2"] == pytest.approx(r2, rel=1e-5)
    assert r1 != pytest.approx(r2, rel=1e-2)
    assert first["gradient_penalty"] != second["gradient_penalty"]  # fresh interpolation


def test_penalties_see_the_first_share_of_the_batch_rounded_up(images):
    gan = make_gan(d_optimizer=sgd(0.0), g_optimizer=sgd(0.0))
    step = steps.make_gan_step(gan, configure(r1_gamma=1.0, penalty_share=0.3))
    expected = losses.r1_penalty(gan.discriminator, images[:5])  # 0.3 * 16 = 4.8
    assert float(step(images)["r1"]) == pytest.approx(float(expected), rel=1e-5)


def test_a_share_that_divides_the_batch_is_not_rounded_up_by_float_noise():
    gan, many = make_gan(d_optimizer=sgd(0.0), g_optimizer=sgd(0.0)), tf.ones((100, *SHAPE))
    many *= tf.linspace(-1.0, 1.0, 100)[:, None, None, None]
    step = steps.make_gan_step(gan, configure(r1_gamma=1.0, penalty_share=0.07))
    assert 0.07 * 100 > 7
    expected = losses.r1_penalty(gan.discriminator, many[:7])
    assert float(step(many)["r1"]) == pytest.approx(float(expected), rel=1e-5)


# Differentiable augmentation ---------------------------------------------------------------------


@pytest.fixture
def stretch(monkeypatch):
    """An augmentation that can be worked out by hand: twice the picture, and a little brighter."""
    calls = []

    def change(images, seed):
        calls.append(seed)
        return 2 * images + 0.3

    monkeypatch.setitem(diffaugment.AUGMENTATIONS, "stretch", change)
    return calls


def test_the_discriminator_sees_changed_images_only_and_the_gradient_comes_back(images, stretch):
    gan, w, b = linear_gan()
    config = configure(loss="relativistic", r1_gamma=0.4, augmentations=("stretch",))
    metrics = numbers(steps.make_gan_step(gan, config)(images))

    x, seen_b = 2 * flat(images) + 0.3, 2 * b + 0.3
    pairs = x - seen_b
    new_w = w + 0.3 * (sigmoid(-pairs @ w)[:, None] * pairs).mean(axis=0) - 0.3 * 0.4 * w
    # d(2 b + 0.3) / db is 2; and in G's update too the real images are the changed ones.
    new_b = b + 0.2 * 2 * sigmoid(pairs @ new_w).mean() * new_w
    assert_updated(gan, new_w, new_b)
    assert metrics["real_logit"] == pytest.approx((x @ w).mean(), rel=1e-4)
    assert metrics["fake_logit"] == pytest.approx(seen_b @ w, rel=1e-4)
    assert metrics["g_loss"] == pytest.approx(np.logaddexp(0, pairs @ new_w).mean(), rel=1e-4)
    assert len(stretch) == 4 and all(seed is gan.seed for seed in stretch)


def test_penalties_are_taken_at_the_images_that_the_discriminator_sees(images, stretch):
    gan = make_gan(d_optimizer=sgd(0.0), g_optimizer=sgd(0.0))
    gan.generator.layers[0].kernel.assign(tf.zeros((LATENT_DIM, 48)))  # all images are the bias
    gan.generator.layers[0].bias.assign(tf.linspace(-1.0, 1.0, 48))
    fake = gan.generator(tf.zeros((16, LATENT_DIM)))
    config = configure(r1_gamma=1.0, r2_gamma=1.0, augmentations=("stretch",))
    metrics = numbers(steps.make_gan_step(gan, config)(images))
    for name, seen in (("r1", 2 * images + 0.3), ("r2", 2 * fake + 0.3)):
        expected = float(losses.r1_penalty(gan.discriminator, seen))
        assert metrics[name] == pytest.approx(expected, rel=1e-5)
        assert expected != pytest.approx(
            float(losses.r1_penalty(gan.discriminator, images)), rel=1e-3
        )


def test_each_image_gets_a_draw_of_its_own_and_the_samples_none(images):
    gan = make_gan()
    names = tuple(diffaugment.AUGMENTATIONS)
    before = gan.seed.state.numpy()
    step = steps.make_gan_step(gan, configure(augmentations=names))
    metrics = [numbers(step(images)) for _ in range(2)]
    # Two draws of latents; three sets of images with 3 + 2 + 2 draws each.
    assert (gan.seed.state.numpy() - before).max() == 2 * (2 + 3 * 7)
    assert step.experimental_get_tracing_count() == 1
    assert all(np.isfinite(value) for values in metrics for value in values.values())


# Repeatability and compilation -------------------------------------------------------------------


def test_same_seed_gives_the_same_metrics_and_weights(images):
    runs = []
    for seed in (0, 0, 1):
        keras.utils.set_random_seed(5)
        gan = make_gan(seed=seed)
        step = steps.make_gan_step(gan, configure(**PENALTIES_ON))
        metrics = [numbers(step(images)) for _ in range(3)]
        runs.append((metrics, gan.generator.get_weights()))
    assert runs[0][0] == runs[1][0] and runs[0][0] != runs[2][0]
    assert_equal_weights(runs[0][1], runs[1][1])


def test_one_batch_shape_compiles_once(images):
    step = steps.make_gan_step(make_gan(), configure(**PENALTIES_ON))
    for _ in range(3):
        metrics = step(images)
    assert step.experimental_get_tracing_count() == 1
    assert set(metrics) >= {"r1", "r2", "gradient_penalty"}
    assert all(value.dtype == tf.float32 and value.shape == () for value in metrics.values())


def test_two_dimensional_points_train_too():
    generator = keras.Sequential([keras.Input((LATENT_DIM,)), layers.Dense(2)])
    discriminator = keras.Sequential(
        [keras.Input((2,)), layers.Dense(16, "softplus"), layers.Dense(1)]
    )
    step = steps.make_gan_step(make_gan(generator, discriminator), configure(**PENALTIES_ON))
    assert all(np.isfinite(value) for value in numbers(step(tf.ones((8, 2)))).values())


def test_the_discriminator_learns_an_easy_split():
    step = steps.make_gan_step(make_gan(g_optimizer=sgd(0.0)), configure())
    constant = tf.fill((16, *SHAPE), 0.9)
    curve = [float(step(constant)["d_loss"]) for _ in range(40)]
    assert curve[-1] < 0.7 * curve[0]


# Mixed precision ---------------------------------------------------------------------------------


def test_float16_skips_a_step_that_is_not_finite_and_trains_on(images):
    keras.mixed_precision.set_global_policy("mixed_float16")
    scaled = keras.optimizers.LossScaleOptimizer
    gan = make_gan(g_optimizer=scaled(adam()), d_optimizer=scaled(adam()))
    step = steps.make_gan_step(gan, configure(r1_gamma=1.0))
    before, scale = (
        gan.discriminator.get_weights(),
        float(gan.discriminator_optimizer.dynamic_scale),
    )
    step(images * np.inf)
    assert_equal_weights(before, gan.discriminator.get_weights())
    assert float(gan.discriminator_optimizer.dynamic_scale) == scale / 2
    metrics = step(images)
    assert weights_differ(before, gan.discriminator.get_weights())
    assert all(v.dtype == tf.float32 and np.isfinite(float(v)) for v in metrics.values())


def test_float16_samples_come_back_as_float32():
    keras.mixed_precision.set_global_policy("mixed_float16")
    generator = make_generator()
    assert generator.compute_dtype == "float16"
    assert steps.sample(generator, 3, latent_dim=LATENT_DIM, seed=0).dtype == np.float32


# Building and refusing ---------------------------------------------------------------------------


def test_create_starts_the_average_at_the_generator():
    gan = make_gan()
    assert gan.ema_generator is not gan.generator
    assert_equal_weights(gan.generator.get_weights(), gan.ema_generator.get_weights())
    gan.generator.layers[0].bias.assign_add(tf.ones(48))
    assert weights_differ(gan.generator.get_weights(), gan.ema_generator.get_weights())


def test_objects_names_everything_a_checkpoint_needs():
    gan = make_gan()
    assert gan.objects() == {
        "generator": gan.generator,
        "discriminator": gan.discriminator,
        "ema_generator": gan.ema_generator,
        "generator_optimizer": gan.generator_optimizer,
        "discriminator_optimizer": gan.discriminator_optimizer,
        "seed": gan.seed,
    }
    with pytest.raises(dataclasses.FrozenInstanceError):
        gan.seed = None


def test_create_refuses_images_that_the_discriminator_cannot_read():
    discriminator = keras.Sequential([keras.Input((8, 8, 3)), layers.Flatten(), layers.Dense(1)])
    with pytest.raises(ValueError, match=r"\(None, 4, 4, 3\) .* reads \(None, 8, 8, 3\)"):
        make_gan(discriminator=discriminator)


def test_create_refuses_one_optimizer_for_both_networks():
    shared = adam()
    with pytest.raises(ValueError, match="the same Adam object.*one optimizer for each"):
        make_gan(g_optimizer=shared, d_optimizer=shared)


@pytest.mark.parametrize("place", ["g_optimizer", "d_optimizer"])
def test_create_refuses_an_optimizer_of_another_gan(place):
    used = adam()
    make_gan(g_optimizer=used)
    with pytest.raises(ValueError, match="already belongs to other weights: create a fresh"):
        make_gan(**{place: used})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "wgan"}, "loss must be one of minimax, nonsaturating, .*; got 'wgan'"),
        ({"latent_dim": 0}, "latent_dim must be a whole number of at least 1, got 0"),
        ({"latent_dim": 8.0}, "latent_dim must be a whole number of at least 1, got 8.0"),
        ({"discriminator_updates": True}, "discriminator_updates must be a whole .* got True"),
        ({"discriminator_updates": 0}, "discriminator_updates must .* at least 1, got 0"),
        ({"r1_gamma": -1.0}, r"r1_gamma must be finite and at least 0 \(0 is off\), got -1.0"),
        ({"r2_gamma": float("nan")}, "r2_gamma must be finite .* got nan"),
        ({"gradient_penalty_weight": float("inf")}, "gradient_penalty_weight must .* got inf"),
        ({"penalty_share": 0.0}, r"penalty_share must be in \(0, 1\], got 0.0"),
        ({"penalty_share": 1.5}, r"penalty_share must be in \(0, 1\], got 1.5"),
        ({"ema_decay": 1.0}, r"ema_decay must be in \[0, 1\), got 1.0"),
        ({"ema_decay": -0.1}, r"ema_decay must be in \[0, 1\), got -0.1"),
        ({"augmentations": ("flip",)}, "no differentiable augmentation 'flip'. Choose from: col"),
        ({"augmentations": "colour"}, "augmentations must be a tuple, got 'colour'"),
    ],
)
def test_the_config_refuses_values_out_of_range(changes, message):
    with pytest.raises(ValueError, match=message):
        steps.GanStepConfig(**changes)


def test_the_config_has_the_documented_defaults_and_cannot_be_changed():
    assert dataclasses.asdict(steps.GanStepConfig()) == {
        "latent_dim": 128,
        "loss": "nonsaturating",
        "r1_gamma": 0.0,
        "r2_gamma": 0.0,
        "gradient_penalty_weight": 0.0,
        "penalty_share": 1.0,
        "ema_decay": 0.999,
        "discriminator_updates": 1,
        "reuse_fakes": False,
        "augmentations": (),
    }
    with pytest.raises(dataclasses.FrozenInstanceError):
        steps.GanStepConfig().loss = "hinge"


def test_a_step_refuses_another_latent_length():
    with pytest.raises(ValueError, match=r"latents of shape \(8,\), but latent_dim is 16"):
        steps.make_gan_step(make_gan(), configure(latent_dim=16))


@pytest.mark.parametrize("penalty", PENALTIES_ON)
def test_a_penalty_refuses_batch_normalisation_at_any_depth(penalty):
    block = keras.Sequential([layers.Dense(4), layers.BatchNormalization(name="hidden_norm")])
    gan = make_gan(discriminator=make_discriminator(block))
    steps.make_gan_step(gan, configure())  # without a penalty it may
    with pytest.raises(ValueError, match="batch normalisation layer 'hidden_norm'"):
        steps.make_gan_step(gan, configure(**{penalty: 1.0}))


@pytest.mark.parametrize("layer", [layers.UpSampling2D, lambda **k: layers.Resizing(2, 2, **k)])
def test_a_penalty_refuses_bilinear_layers_whose_second_derivative_is_missing(layer):
    def gan(interpolation):
        resize = layer(interpolation=interpolation, name="resize")
        stack = [keras.Input(SHAPE), resize, layers.Flatten(), layers.Dense(1)]
        return make_gan(discriminator=keras.Sequential(stack))

    with pytest.raises(ValueError, match="bilinear layer 'resize'.*average pooling"):
        steps.make_gan_step(gan("bilinear"), configure(r1_gamma=1.0))
    steps.make_gan_step(gan("bilinear"), configure())
    steps.make_gan_step(gan("nearest"), configure(r1_gamma=1.0))


def test_a_step_refuses_images_it_cannot_use(images):
    step = steps.make_gan_step(make_gan(), configure(discriminator_updates=3))
    with pytest.raises(ValueError, match=r"float32 in \[-1, 1\], got uint8; .*to_float"):
        step(tf.zeros((6, *SHAPE), tf.uint8))
    with pytest.raises(ValueError, match=r"\(6, 4, 4, 1\), but the .* reads \(None, 4, 4, 3\)"):
        step(tf.zeros((6, 4, 4, 1)))
    with pytest.raises(ValueError, match="16 images does not divide .*discriminator_updates=3"):
        step(images)


# Samples -----------------------------------------------------------------------------------------


def test_samples_depend_on_the_seed_and_not_on_the_batch_size():
    generator = make_generator()
    draw = {"latent_dim": LATENT_DIM, "seed": 1}
    images = steps.sample(generator, 10, **draw)
    assert images.shape == (10, *SHAPE) and images.dtype == np.float32
    np.testing.assert_array_equal(images, steps.sample(generator, 10, **draw))
    np.testing.assert_allclose(images, steps.sample(generator, 10, **draw, batch_size=4), atol=1e-6)
    assert (images != steps.sample(generator, 10, latent_dim=LATENT_DIM, seed=2)).any()


def test_samples_are_the_generator_in_inference_mode():
    generator = make_generator(layers.BatchNormalization(), layers.Dropout(0.5))
    latents = keras.random.normal((5, LATENT_DIM), seed=1)
    expected = generator(latents, training=False)
    images = steps.sample(generator, 5, latent_dim=LATENT_DIM, seed=1)
    np.testing.assert_allclose(images, expected, rtol=1e-5, atol=1e-6)


def test_sampling_compiles_once_for_any_count():
    traces = []

    class Watched(layers.Layer):
        def call(self, x):
            traces.append(x.shape)
            return x

    generator = make_generator(Watched())
    traces.clear()
    for count in (3, 64, 70):
        steps.sample(generator, count, latent_dim=LATENT_DIM, seed=0)
    assert len(traces) == 1


@pytest.mark.parametrize(("count", "batch_size"), [(0, 64), (3, 0)])
def test_sample_refuses_counts_below_one(count, batch_size):
    with pytest.raises(ValueError, match=f"at least 1, got {count} and {batch_size}"):
        steps.sample(make_generator(), count, latent_dim=LATENT_DIM, seed=0, batch_size=batch_size)


# Halves, loops, schedules ------------------------------------------------------------------------


def test_each_half_step_changes_its_own_network_and_together_they_are_a_step(images):
    keras.utils.set_random_seed(3)
    halves = make_gan(g_optimizer=sgd(), d_optimizer=sgd())
    keras.utils.set_random_seed(3)
    whole = make_gan(g_optimizer=sgd(), d_optimizer=sgd())
    config = configure(r1_gamma=1.0)
    discriminator_step, generator_step = steps.make_half_steps(halves, config)
    before = halves.generator.get_weights(), halves.discriminator.get_weights()
    first = discriminator_step(images)
    assert_equal_weights(halves.generator.get_weights(), before[0])
    assert weights_differ(halves.discriminator.get_weights(), before[1])
    between = halves.discriminator.get_weights()
    second = generator_step(images)
    assert_equal_weights(halves.discriminator.get_weights(), between)
    assert weights_differ(halves.generator.get_weights(), before[0])
    metrics = steps.make_gan_step(whole, config)(images)
    assert numbers(first | second) == pytest.approx(numbers(metrics), rel=1e-5)
    for thing in ("generator", "discriminator", "ema_generator"):
        pairs = zip(
            getattr(halves, thing).get_weights(), getattr(whole, thing).get_weights(), strict=True
        )
        for a, b in pairs:
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_a_half_step_refuses_images_that_do_not_fit():
    for half in steps.make_half_steps(make_gan(), configure(discriminator_updates=3)):
        half(tf.zeros((4, *SHAPE)))  # the ratio does not count here
        with pytest.raises(ValueError, match="real_images must be float32"):
            half(tf.zeros((4, *SHAPE), tf.int32))


def _counted(gan):
    """Images that follow from the number of updates so far."""
    iterations = tf.cast(gan.discriminator_optimizer.iterations, tf.int32)
    return tf.random.stateless_uniform((8, *SHAPE), (0, iterations), -1.0, 1.0)


def test_a_loop_gives_the_bits_of_single_steps_and_the_last_metrics():
    looped, single = make_gan(), None
    keras.utils.set_random_seed(0)
    looped = make_gan()
    keras.utils.set_random_seed(0)
    single = make_gan()
    loop = steps.repeat(steps.make_gan_step(looped, configure()), lambda: _counted(looped))
    step = steps.make_gan_step(single, configure())
    done, metrics = loop(tf.constant(7))
    for _ in range(7):
        last = step(_counted(single))
    assert int(done) == 7 and numbers(metrics) == numbers(last)
    assert_equal_weights(looped.generator.get_weights(), single.generator.get_weights())
    assert int(loop(tf.constant(3))[0]) == 3  # any count, without compiling again
    assert loop.experimental_get_tracing_count() == 1


def test_a_loop_stops_at_the_first_metric_that_is_not_finite():
    gan = make_gan(d_optimizer=sgd(1e30), g_optimizer=sgd(1e30))
    loop = steps.repeat(steps.make_gan_step(gan, configure()), lambda: _counted(gan))
    done, metrics = loop(tf.constant(50))
    assert 0 < int(done) < 50
    assert not all(np.isfinite(list(numbers(metrics).values())))


@pytest.mark.parametrize("factor", [0.0, 0.25, 3.0])
def test_a_penalty_schedule_multiplies_every_penalty_and_sees_the_number_of_updates(images, factor):
    keras.utils.set_random_seed(1)
    scheduled = make_gan(d_optimizer=sgd(), g_optimizer=sgd())
    keras.utils.set_random_seed(1)
    weighted = make_gan(d_optimizer=sgd(), g_optimizer=sgd())
    seen = []

    def schedule(iterations):
        seen.append(iterations)
        return tf.constant(factor)

    steps.make_gan_step(scheduled, configure(r1_gamma=2.0, r2_gamma=1.0),
                        penalty_schedule=schedule)(images)  # fmt: skip
    steps.make_gan_step(weighted, configure(r1_gamma=2.0 * factor, r2_gamma=factor))(images)
    assert len(seen) == 1
    pairs = zip(
        scheduled.discriminator.get_weights(), weighted.discriminator.get_weights(), strict=True
    )
    for a, b in pairs:
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_a_schedule_of_keras_anneals_a_penalty(images):
    gan = make_gan(d_optimizer=sgd(0.0), g_optimizer=sgd(0.0))
    schedule = keras.optimizers.schedules.CosineDecay(1.0, 10, alpha=0.01)
    step = steps.make_gan_step(gan, configure(r1_gamma=1.0), penalty_schedule=schedule)
    values = [numbers(step(images))["r1"] for _ in range(3)]
    assert values[0] == pytest.approx(values[2])  # metrics are before any weighting
