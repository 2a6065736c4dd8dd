"""A style in one pass: sizes, AdaIN in NumPy, blends, and flicker with a known answer."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from course_lib import fast_style
from course_lib.networks import transfer, vgg

RNG = np.random.default_rng(0)


def picture(*size):
    return RNG.uniform(-1, 1, (*size, 3)).astype("float32")


@pytest.fixture(scope="module")
def networks():
    keras.utils.set_random_seed(0)
    return vgg.vgg(widths=(8, 10, 6, 7)), transfer.decoder(widths=(8, 10, 6), channels=6, blocks=1)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    return transfer.feed_forward(widths=(4, 6, 8), blocks=1)


# One style ----------------------------------------------------------------------------------------


def test_a_picture_of_a_fitting_size_goes_through_as_it_is(network):
    image = picture(16, 24)
    np.testing.assert_allclose(
        fast_style.stylise(network, image), network(image[None]).numpy()[0], atol=1e-5
    )


def test_another_size_is_continued_by_its_mirror_image_and_cut_back(network):
    image = picture(18, 23)
    rows, columns = [*range(18), 16, 15], [*range(23), 21]
    mirrored = image[np.ix_(rows, columns)]
    expected = network(mirrored[None]).numpy()[0, :18, :23]
    found = fast_style.stylise(network, image)
    assert found.shape == image.shape and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_one_graph_serves_all_sizes_and_sees_new_weights(network):
    before = fast_style._compiled(network)
    for size in ((16, 16), (20, 16), (32, 24)):
        fast_style.stylise(network, picture(*size))
    assert fast_style._compiled(network) is before
    assert before.experimental_get_tracing_count() == 1
    image = picture(16, 16)
    old, layer = fast_style.stylise(network, image), network.get_layer("colours")
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel, bias + 1])
    assert (fast_style.stylise(network, image) > old).all()
    layer.set_weights([kernel, bias])


@pytest.mark.parametrize(
    "image, message",
    [
        (np.zeros((16, 16, 1)), r"image must have the shape .* got \(16, 16, 1\)"),
        (np.zeros((1, 16, 16, 3)), r"got \(1, 16, 16, 3\)"),
        (np.zeros((15, 16, 3)), "each side at least 16"),
        (np.full((16, 16, 3), 200.0), r"values in \[-1, 1\], got \[200, 200\]"),
        (np.full((16, 16, 3), np.nan), "to_float"),
    ],
)
def test_what_is_no_picture_is_refused(network, networks, image, message):
    with pytest.raises(ValueError, match=message):
        fast_style.stylise(network, image)
    with pytest.raises(ValueError, match=message):
        fast_style.encode(networks[0], image)


# Any style ----------------------------------------------------------------------------------------


def adain(content, wanted):
    axes = (1, 2)
    deviation = np.sqrt(content.var(axes, keepdims=True) + 1e-5)
    wanted_deviation = np.sqrt(wanted.var(axes, keepdims=True) + 1e-5)
    normalised = (content - content.mean(axes, keepdims=True)) / deviation
    return normalised * wanted_deviation + wanted.mean(axes, keepdims=True)


def maps(*sizes):
    return [RNG.normal(1, 2, (1, *size, 3)).astype("float32") for size in sizes]


def test_restyle_is_equation_14_over_equation_15():
    content, *styles = maps((3, 4), (2, 2), (5, 3))
    found = fast_style.restyle(content, styles, (3.0, 1.0), 0.4).numpy()
    mixed = 0.75 * adain(content, styles[0]) + 0.25 * adain(content, styles[1])
    np.testing.assert_allclose(found, 0.6 * content + 0.4 * mixed, rtol=1e-4, atol=1e-4)


def test_restyle_takes_equal_shares_and_all_of_the_style_unless_told_otherwise():
    content, *styles = maps((3, 4), (2, 2), (5, 3))
    found = fast_style.restyle(content, styles).numpy()
    expected = (adain(content, styles[0]) + adain(content, styles[1])) / 2
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(fast_style.restyle(content, styles, strength=0.0), content)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"shares": (1.0,)}, r"2 styles need a share each, got shares=\[1.0\]"),
        ({"shares": (1.0, -0.5)}, r"at least 0 and not all 0, got \[1.0, -0.5\]"),
        ({"shares": (0.0, 0.0)}, "not all 0"),
        ({"shares": (np.nan, 1.0)}, "at least 0"),
        ({"strength": 1.2}, "strength must be from 0 to 1, got 1.2"),
        ({"strength": -0.1}, "got -0.1"),
        ({"strength": np.nan}, "got nan"),
    ],
)
def test_restyle_refuses_what_is_no_blend(settings, message):
    content, *styles = maps((3, 4), (2, 2), (5, 3))
    with pytest.raises(ValueError, match=message):
        fast_style.restyle(content, styles, **settings)


def test_restyle_without_a_style_says_so():
    with pytest.raises(ValueError, match="0 styles need"):
        fast_style.restyle(*maps((2, 2)), [])


def test_encode_gives_the_features_of_the_mirrored_picture(networks):
    encoder, _ = networks
    image = picture(18, 24)
    fitting = image[[*range(18), 16, 15]]
    found = fast_style.encode(encoder, image, margin=0)
    assert found.shape == (1, 5, 6, 6) and found.dtype == tf.float32
    np.testing.assert_allclose(found, encoder(fitting[None])["block3_conv1"], atol=1e-4)
    around = np.pad(fitting, ((8, 8), (8, 8), (0, 0)), mode="reflect")
    expected = encoder(around[None])["block3_conv1"][:, 2:-2, 2:-2]
    np.testing.assert_allclose(fast_style.encode(encoder, image, margin=8), expected, atol=1e-4)


def test_the_margin_keeps_the_border_of_zeros_out(networks):
    encoder, decoder = networks
    for flat, limit in ((np.full((32, 32, 3), 0.5), 1e-4), (np.full((18, 23, 3), -0.3), 1e-4)):
        inside = fast_style.encode(encoder, flat).numpy()
        assert np.ptp(inside, axis=(1, 2)).max() < limit
        framed = fast_style.encode(encoder, flat, margin=0).numpy()
        assert np.ptp(framed, axis=(1, 2)).max() > 0.01
        drawn = fast_style.decode(decoder, tf.constant(inside), flat.shape[:2])
        assert np.ptp(drawn, axis=(0, 1)).max() < 1e-4


@pytest.mark.parametrize("margin", [6, -4])
def test_a_margin_that_is_no_multiple_of_4_is_refused(networks, margin):
    with pytest.raises(ValueError, match=f"margin must be a multiple of 4, got {margin}"):
        fast_style.encode(networks[0], picture(16, 16), margin=margin)


def test_decode_cuts_and_clips():
    given = keras.Input((None, None, 6))  # a decoder of the learner's own, without tanh
    colours = keras.layers.UpSampling2D(4)(keras.layers.Conv2D(3, 1)(given))
    decoder = keras.Model(given, colours)
    features = tf.constant(RNG.normal(0, 30, (1, 5, 6, 6)), tf.float32)
    found, whole = fast_style.decode(decoder, features, (18, 24)), decoder(features).numpy()[0]
    assert found.shape == (18, 24, 3) and np.abs(whole).max() > 1.5
    np.testing.assert_allclose(found, np.clip(whole[:18, :24], -1, 1), atol=1e-4)


def test_any_style_encodes_restyles_and_decodes(networks):
    encoder, decoder = networks
    content, styles = picture(18, 24), [picture(16, 16), picture(32, 20)]
    found = fast_style.any_style(encoder, decoder, content, styles, (1, 3), 0.8)
    features = [fast_style.encode(encoder, image).numpy() for image in (content, *styles)]
    mixed = 0.25 * adain(features[0], features[1]) + 0.75 * adain(features[0], features[2])
    mixed = 0.2 * features[0] + 0.8 * mixed
    expected = np.clip(decoder(mixed).numpy()[0, :18], -1, 1)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert found.shape == content.shape and found.std() > 0.05


def test_a_style_of_its_own_changes_no_features(networks):
    content = picture(16, 16)
    features = fast_style.encode(networks[0], content)
    np.testing.assert_allclose(fast_style.restyle(features, [features]), features, atol=1e-3)


# Steadiness ---------------------------------------------------------------------------------------


def screen_pattern(image):
    """What sticks to the screen: stripes that ignore the picture."""
    stripes = np.where(np.arange(image.shape[1]) % 4 < 2, 0.5, -0.5)
    return np.broadcast_to(stripes[None, :, None], image.shape)


def test_what_moves_with_the_picture_does_not_flicker():
    image = picture(40, 60)
    found = fast_style.shift_stability(lambda window: -0.5 * window, image, margin=4)
    np.testing.assert_array_equal(found["flicker"], np.zeros(8))
    assert found["content"].shape == (8,) and (found["content"] > 0.3).all()


def test_what_sticks_to_the_screen_flickers_by_its_own_period():
    found = fast_style.shift_stability(
        screen_pattern, picture(40, 60), shifts=(1, 2, 4), margin=4
    )  # fmt: skip
    # Shifted by 2 of a period of 4 every stripe meets its opposite, by 1 half of them do.
    np.testing.assert_allclose(found["flicker"], [0.5, 1.0, 0.0], atol=0.02)


def test_the_movement_itself_is_measured_on_the_screen():
    ramp = np.broadcast_to(np.linspace(-1, 1, 61)[None, :, None], (40, 61, 3))
    found = fast_style.shift_stability(lambda window: window, ramp, shifts=(1, 3), margin=4)
    np.testing.assert_allclose(found["content"], [1 / 30, 3 / 30], rtol=1e-5)


def test_the_margin_does_not_count():
    def framed(window):
        changed = window.copy()
        changed[:3], changed[-3:], changed[:, :3], changed[:, -3:] = 1, -1, 1, -1
        return changed

    image = picture(40, 60)
    inside = fast_style.shift_stability(framed, image, shifts=(2,), margin=3)
    assert inside["flicker"][0] == 0
    assert fast_style.shift_stability(framed, image, shifts=(2,), margin=2)["flicker"][0] > 0


def test_strides_show_up_as_steps(network):
    image = picture(40, 72)
    change = functools.partial(fast_style.stylise, network)
    found = fast_style.shift_stability(change, image, shifts=(1, 2, 3, 4), margin=8)["flicker"]
    assert found[3] < 0.6 * found[:3].min()  # 4 is the stride of the network


@pytest.mark.parametrize("settings", [{"shifts": (0, 1)}, {"shifts": (30,)}, {"margin": 20}])
def test_a_shift_that_does_not_fit_is_refused(settings):
    with pytest.raises(ValueError, match="need a larger image"):
        fast_style.shift_stability(lambda window: window, picture(40, 60), **settings)
