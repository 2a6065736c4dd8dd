"""The updates of the style networks: their terms in NumPy, one SGD step in closed form, crops."""

import dataclasses
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from course_lib import descent, style, style_steps
from course_lib.networks import transfer, vgg

RNG = np.random.default_rng(0)


def picture(*shape):
    return RNG.uniform(-1, 1, shape).astype("float32")


@pytest.fixture(scope="module")
def encoder():
    keras.utils.set_random_seed(0)
    model = vgg.vgg(widths=(4, 5, 6, 7))
    model.trainable = False
    return model


@pytest.fixture(autouse=True)
def same_weights_in_every_test():
    keras.utils.set_random_seed(0)


# The terms in float64 -----------------------------------------------------------------------------


def features(encoder, images):
    return {name: value.numpy().astype("float64") for name, value in encoder(images).items()}


def relative(value, target):
    return ((value - target) ** 2).mean() / (target**2).mean()


def normalised(values):
    deviation = np.sqrt(values.var((1, 2), keepdims=True) + 1e-5)
    return (values - values.mean((1, 2), keepdims=True)) / deviation


def gram(values):
    count = values.shape[1] * values.shape[2]
    return np.stack([v.reshape(count, -1).T @ v.reshape(count, -1) / count for v in values])


def variation(images):
    down, across = np.diff(images, axis=1), np.diff(images, axis=2)
    return (down**2).mean() + (across**2).mean()


def one_style_terms(encoder, images, contents, painting):
    drawn, wanted = features(encoder, images), features(encoder, painting[None])
    return {
        "content": relative(
            normalised(drawn["block3_conv2"]),
            normalised(features(encoder, contents)["block3_conv2"]),
        ),
        "style": sum(relative(gram(drawn[n]), gram(wanted[n])) for n in style.STYLE_LAYERS),
        "variation": variation(images.astype("float64")),
    }  # fmt: skip


def test_the_terms_of_one_style_are_those_of_the_formulas(encoder):
    images, contents, painting = picture(2, 16, 24, 3), picture(2, 16, 24, 3), picture(32, 16, 3)
    found = style_steps.make_terms(encoder, painting)(images, contents)
    expected = one_style_terms(encoder, images, contents, painting)
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=2e-4, err_msg=name)


def test_the_terms_are_0_for_the_content_and_for_the_painting(encoder):
    content, painting = picture(1, 16, 16, 3), picture(16, 16, 3)
    terms = style_steps.make_terms(encoder, painting)
    assert terms(content, content)["content"] == 0
    assert terms(painting[None], content)["style"] < 1e-9
    flat = np.full((1, 16, 16, 3), 0.5, "float32")
    assert terms(flat, content)["variation"] == 0


def test_weighted_is_the_sum_with_the_weights_of_the_config():
    config = style_steps.FeedForwardConfig(content=2.0, style=3.0, variation=10.0)
    terms = {"content": 1.0, "style": 0.5, "variation": 0.25}
    assert style_steps.weighted(terms, config) == 2.0 + 1.5 + 2.5


# One step -----------------------------------------------------------------------------------------


class Paint(keras.layers.Layer):
    """Adds one colour to a picture: a network with three weights, for finite differences."""

    def build(self, shape):
        self.colour = self.add_weight(shape=(3,), initializer="zeros", name="colour")

    def call(self, images):
        return images + self.colour


def painter(shape=(None, None, 3)):
    images = keras.Input(shape)
    return keras.Model(images, Paint()(images))


def by_differences(loss, count, *, nudge=2e-4):
    """Central differences of a function of a few numbers."""
    return [
        (loss(nudge * row) - loss(-nudge * row)) / (2 * nudge) for row in np.eye(count)
    ]  # fmt: skip


def test_one_step_of_one_style_goes_down_the_weighted_sum(encoder):
    contents, painting = 0.5 * picture(2, 16, 16, 3), picture(16, 16, 3)
    network, config = painter(), style_steps.FeedForwardConfig(2.0, 0.5, 3.0)
    step = style_steps.make_feed_forward_step(
        network, encoder, painting, keras.optimizers.SGD(0.1), config
    )
    reported = step(contents)

    def loss(colour):
        terms = one_style_terms(
            encoder, (contents + colour.astype("float32")), contents, painting
        )  # fmt: skip
        return sum(getattr(config, name) * value for name, value in terms.items())

    expected = -0.1 * np.array(by_differences(loss, 3))
    np.testing.assert_allclose(network.get_weights()[0], expected, rtol=0.02, atol=1e-3)
    before = one_style_terms(encoder, contents, contents, painting)
    for name, value in before.items():
        np.testing.assert_allclose(reported[name], value, rtol=1e-3, atol=1e-9, err_msg=name)


def test_a_step_leaves_the_encoder_alone_and_is_traced_once(encoder):
    before = [value.copy() for value in encoder.get_weights()]
    network = transfer.feed_forward(widths=(4, 4, 4), blocks=1)
    step = style_steps.make_feed_forward_step(
        network, encoder, picture(16, 16, 3), keras.optimizers.Adam(1e-3),
        style_steps.FeedForwardConfig(),
    )  # fmt: skip
    for _ in range(3):
        step(picture(2, 16, 16, 3))
    assert step.experimental_get_tracing_count() == 1
    for old, new in zip(before, encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_steps_make_the_loss_of_one_style_smaller(encoder):
    network = transfer.feed_forward(widths=(4, 6, 8), blocks=1)
    config = style_steps.FeedForwardConfig()
    step = style_steps.make_feed_forward_step(
        network, encoder, picture(16, 16, 3), keras.optimizers.Adam(5e-3), config
    )
    contents = picture(2, 16, 16, 3)
    values = [float(style_steps.weighted(step(contents), config)) for _ in range(30)]
    assert values[-1] < 0.6 * values[0]


def adain_in_numpy(content, wanted):
    axes = (1, 2)
    mean, deviation = content.mean(axes, keepdims=True), content.std(axes, keepdims=True)
    deviation = np.sqrt(deviation**2 + 1e-5)
    wanted_deviation = np.sqrt(wanted.var(axes, keepdims=True) + 1e-5)
    return (content - mean) / deviation * wanted_deviation + wanted.mean(axes, keepdims=True)


def mixture(own, styled, neighbours, strengths, shares):
    """What each picture is asked for, one after the other."""
    rows = zip(own, styled, neighbours, strengths, shares, strict=True)
    return np.stack([(1 - a) * o + a * w * s + a * (1 - w) * n for o, s, n, a, w in rows])


def any_style_terms(encoder, images, contents, styles, strengths, shares):
    """The mean over pictures of the errors of their mixed Gram matrices, and the other terms."""
    drawn, own, asked = (features(encoder, x) for x in (images, contents, styles))
    errors = np.zeros(len(images))
    for name in style.STYLE_LAYERS:
        found, kept, wanted = (gram(values[name]) for values in (drawn, own, asked))
        goal = mixture(kept, wanted, wanted[[-1, *range(len(wanted) - 1)]], strengths, shares)
        errors += [relative(f, g) for f, g in zip(found, goal, strict=True)]
    pair = (normalised(values["block3_conv2"]) for values in (drawn, own))
    return {
        "content": relative(*pair), "style": errors.mean(),
        "variation": variation(images.astype("float64")),
    }  # fmt: skip


class Draw(Paint):
    """Draws given pictures, whatever comes in, plus a colour; keeps what came in."""

    def __init__(self, pictures):
        super().__init__()
        self.pictures, self.given = pictures, []

    def call(self, given):
        tf.py_function(lambda value: self.given.append(value.numpy()), [given], [])
        return tf.constant(self.pictures)[: tf.shape(given)[0]] + self.colour


def test_the_adain_step_goes_down_its_weighted_sum(encoder):
    contents, styles, base = (0.5 * picture(4, 16, 16, 3) for _ in range(3))
    given, draw = keras.Input((4, 4, 6)), Draw(base)
    decoder = keras.Model(given, draw(given))
    config = style_steps.AdainConfig(2.0, 0.7, 0.4, 3.0)
    step = style_steps.make_adain_step(decoder, encoder, keras.optimizers.SGD(0.1), config)
    reported = step((contents, styles))
    drawn_by_chance = [np.array(values, "float64") for values in style_steps.mixtures(0, 4)]

    def loss(colour):
        images = base + colour.astype("float32")
        terms = any_style_terms(encoder, images, contents, styles, *drawn_by_chance)
        terms["identity"] = ((images[:1] - contents[:1]).astype("float64") ** 2).mean()
        return sum(getattr(config, name) * value for name, value in terms.items())

    expected = -0.1 * np.array(by_differences(loss, 3))
    np.testing.assert_allclose(decoder.get_weights()[0], expected, rtol=0.02, atol=2e-3)
    before = any_style_terms(encoder, base, contents, styles, *drawn_by_chance)
    before["identity"] = ((base[:1] - contents[:1]).astype("float64") ** 2).mean()
    assert set(reported) == set(before)
    for name, value in before.items():
        np.testing.assert_allclose(reported[name], value, rtol=1e-3, err_msg=name)
    # What it drew from: the contents' features with the mixed statistics, and with their own.
    own, other = (features(encoder, x)["block3_conv1"] for x in (contents, styles))
    styled, kept = sorted(draw.given, key=len, reverse=True)
    pair = adain_in_numpy(own, other), adain_in_numpy(own, other[[-1, 0, 1, 2]])
    np.testing.assert_allclose(styled, mixture(own, *pair, *drawn_by_chance), atol=1e-3)
    np.testing.assert_allclose(kept, own[:1], atol=1e-4)


def test_two_thirds_of_the_strengths_and_shares_are_1_and_the_others_anything_below():
    drawn = np.array([style_steps.mixtures(step, 4) for step in range(1000)])
    assert drawn.min() >= 0 and drawn.max() == 1
    for values in (drawn[:, 0], drawn[:, 1]):
        assert (values == 1).mean() == pytest.approx(2 / 3, abs=0.03)
        below = values[values < 1]
        assert np.histogram(below, 4, (0, 1))[0] / below.size == pytest.approx(0.25, abs=0.03)
    correlation = np.corrcoef(drawn[:, 0].ravel(), drawn[:, 1].ravel())[0, 1]
    assert abs(correlation) < 0.05
    np.testing.assert_array_equal(style_steps.mixtures(7, 4), drawn[7])


def test_steps_make_the_loss_of_the_decoder_smaller(encoder):
    decoder, config = (
        transfer.decoder(widths=(4, 5, 6), channels=6, blocks=1),
        style_steps.AdainConfig(),
    )
    step = style_steps.make_adain_step(decoder, encoder, keras.optimizers.Adam(5e-3), config)
    pair = picture(2, 16, 16, 3), picture(2, 16, 16, 3)
    values = [float(style_steps.weighted(step(pair), config)) for _ in range(40)]
    assert values[-1] < 0.7 * values[0] and step.experimental_get_tracing_count() == 1


# The same loss over a picture ---------------------------------------------------------------------


def test_the_loss_of_a_picture_is_the_weighted_sum_and_its_gradient(encoder):
    image, content, painting = (0.5 * picture(16, 16, 3) for _ in range(3))
    config = style_steps.FeedForwardConfig(2.0, 0.5, 3.0)
    objective = style_steps.PictureLoss(
        style_steps.make_terms(encoder, painting), content, config
    )  # fmt: skip
    terms, gradient = objective.value_and_gradient(image)
    expected = one_style_terms(encoder, image[None], content[None], painting)
    for name, value in expected.items():
        assert terms[name] == pytest.approx(value, rel=1e-3)
    total = sum(getattr(config, name) * value for name, value in expected.items())
    assert terms["total"] == pytest.approx(total, rel=1e-3)
    assert gradient.shape == image.shape and gradient.dtype == np.float32
    direction = picture(16, 16, 3)

    def along(share):
        moved = (image + share * direction)[None]
        found = one_style_terms(encoder, moved.astype("float32"), content[None], painting)
        return sum(getattr(config, name) * value for name, value in found.items())

    slope = (along(2e-4) - along(-2e-4)) / 4e-4
    assert np.sum(gradient * direction) == pytest.approx(slope, rel=0.03)


def test_descend_takes_it_for_an_objective(encoder):
    content = 0.5 * picture(16, 16, 3)
    terms = style_steps.make_terms(encoder, picture(16, 16, 3))
    objective = style_steps.PictureLoss(terms, content, style_steps.FeedForwardConfig())
    found = descent.descend(objective, content, steps=10)
    before, after = (objective.value_and_gradient(image)[0] for image in (content, found))
    assert after["total"] < 0.8 * before["total"] and before["content"] < 1e-9
    # Another content of the same terms is another loss.
    other = style_steps.PictureLoss(terms, -content, style_steps.FeedForwardConfig())
    assert other.value_and_gradient(content)[0]["content"] > 0.1


# Crops --------------------------------------------------------------------------------------------


def pools():
    side = 12
    ramp = np.arange(side, dtype="uint8") * 20
    across = np.broadcast_to(ramp[None, :, None], (side, side, 3))
    down = np.broadcast_to(ramp[:, None, None], (side, side, 3))
    return np.stack([across, across]), np.stack([down])


def first(crops, count=1, *, step=0):
    return list(itertools.islice(crops.from_step(step), count))


def test_crops_are_float_squares_and_a_tuple_for_several_pools():
    one, two = pools()
    crops = style_steps.Crops(one, size=8, batch_size=5)
    (batch,) = first(crops)
    assert batch.shape == (5, 8, 8, 3) and batch.dtype == tf.float32 and crops.batch_size == 5
    assert -1 <= batch.numpy().min() and batch.numpy().max() <= 220 / 127.5 - 1 + 1e-6
    ((contents, styles),) = first(style_steps.Crops(one, two, size=8, batch_size=2))
    assert contents.shape == styles.shape == (2, 8, 8, 3)
    # Each pool is its own: ramps across in the first, down in the second.
    assert np.ptp(contents, axis=1).max() < 1e-5 < 0.1 < np.ptp(styles, axis=1).max()


def test_a_crop_is_an_upright_part_of_at_least_its_scale_flipped_half_of_the_time():
    one, _ = pools()
    (batch,) = first(style_steps.Crops(one, size=6, batch_size=400, scales=[0.5]))
    values = (batch.numpy()[:, 0, :, 0] + 1) * 127.5 / 20  # the columns that are seen
    ends = values[:, [0, -1]]
    widths = np.abs(ends[:, 1] - ends[:, 0]) / 11  # of the side
    assert widths.min() >= 0.5 - 1e-5 and widths.max() <= 1 + 1e-5
    assert widths.min() < 0.53 and widths.max() > 0.97
    assert 0.4 < (ends[:, 1] < ends[:, 0]).mean() < 0.6
    spacing = np.diff(values, axis=1)
    np.testing.assert_allclose(spacing, spacing[:, :1].repeat(5, axis=1), atol=1e-3)
    _, down = pools()
    (batch,) = first(style_steps.Crops(down, size=6, batch_size=50))
    assert (np.diff(batch.numpy()[:, :, 0, 0], axis=1) > 0).all()  # never upside down


def test_every_picture_of_a_pool_is_drawn_from():
    pool = np.broadcast_to(
        np.array([0, 100, 200], "uint8")[:, None, None, None], (3, 8, 8, 3)
    )  # fmt: skip
    (batch,) = first(style_steps.Crops(pool, size=4, batch_size=60))
    values = np.round((batch.numpy()[:, 0, 0, 0] + 1) * 127.5).astype(int)
    assert set(values) == {0, 100, 200}


def test_crops_repeat_by_step_and_differ_by_seed():
    one, _ = pools()

    def crops(seed):
        return style_steps.Crops(one, size=4, batch_size=3, seed=seed)

    some = [batch.numpy() for batch in first(crops(0), 3)]
    (again,) = first(crops(0), step=2)
    np.testing.assert_array_equal(again, some[2])
    assert np.abs(some[0] - some[1]).max() > 0.01
    (other,) = first(crops(1))
    assert np.abs(some[0] - other.numpy()).max() > 0.01


@pytest.mark.parametrize(
    "pool", [np.zeros((2, 8, 8, 3), "float32"), np.zeros((8, 8, 3), "uint8"),
             np.zeros((2, 8, 8, 1), "uint8")],
)  # fmt: skip
def test_a_pool_of_another_kind_is_refused(pool):
    with pytest.raises(ValueError, match=f"got {pool.dtype} of shape"):
        style_steps.Crops(pool, size=4, batch_size=1)


def test_the_configs_are_frozen():
    for config in (style_steps.FeedForwardConfig(), style_steps.AdainConfig()):
        with pytest.raises(dataclasses.FrozenInstanceError):
            config.style = 1.0
