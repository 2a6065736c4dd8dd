"""Style room: statistics and losses against loops, the objective against NumPy in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from course_lib import descent, style
from course_lib.networks import vgg


@pytest.fixture
def random():
    return np.random.default_rng(5)


def picture(random, height=16, width=16):
    return random.uniform(-0.9, 0.9, (height, width, 3)).astype("float32")


# Statistics and losses ----------------------------------------------------------------------------


def gram_by_loops(features, mask):
    height, width, channels = features.shape
    found = np.zeros((channels, channels))
    for y, x, c, d in np.ndindex(height, width, channels, channels):
        found[c, d] += mask[y, x] * features[y, x, c] * features[y, x, d]
    return found / mask.sum()


def test_a_gram_matrix_is_a_loop_over_places_and_pairs_of_features(random):
    features = random.normal(size=(2, 3, 5, 4))
    found = style.gram(features)
    assert found.shape == (2, 4, 4) and found.dtype == tf.float32
    for number in range(2):
        expected = gram_by_loops(features[number], np.ones((3, 5)))
        np.testing.assert_allclose(found[number], expected, rtol=1e-4, atol=1e-5)


def test_a_masked_gram_matrix_is_a_weighted_mean(random):
    features, mask = random.normal(size=(2, 3, 5, 4)), random.uniform(0, 1, (1, 3, 5, 1))
    found = style.gram(features, mask.astype("float32"))
    for number in range(2):
        expected = gram_by_loops(features[number], mask[0, ..., 0])
        np.testing.assert_allclose(found[number], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
@pytest.mark.parametrize("masked", [False, True])
def test_the_gradient_of_a_gram_matrix_is_that_of_its_definition(masked, kind, random):
    features = tf.cast(random.normal(size=(2, 3, 5, 4)), kind)
    mask = random.uniform(0, 1, (1, 3, 5, 1)).astype("float32") if masked else None
    weights = mask / mask.sum() if masked else np.full((1, 3, 5, 1), 1 / 15, "float32")
    above = random.normal(size=(2, 4, 4)).astype("float32")
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(features)
        found = tf.reduce_sum(above * style.gram(features, mask))
        exact = tf.cast(features, tf.float32)
        expected = tf.einsum("bcd,bhwc,bhwd->", above, weights * exact, exact)
    gradient = tape.gradient(found, features)
    assert gradient.dtype == features.dtype
    gap = tf.cast(gradient - tape.gradient(expected, features), tf.float32)
    assert np.abs(gap).max() <= (1e-6 if kind == "float32" else 2**-8)


def test_gram_matrices_of_a_picture_and_of_its_repetition_agree(random):
    features = random.normal(size=(1, 4, 4, 3))
    twice = np.concatenate([features, features], axis=2)
    np.testing.assert_allclose(style.gram(features), style.gram(twice), rtol=1e-5)


def test_an_empty_mask_gives_zeros_and_no_nan(random):
    found = style.gram(random.normal(size=(1, 3, 3, 2)), np.zeros((1, 3, 3, 1), "float32"))
    np.testing.assert_array_equal(found, np.zeros((1, 2, 2)))


def test_mean_and_deviation_are_numpys(random):
    features = random.normal(2, 3, size=(2, 4, 5, 3))
    mean, deviation = style.mean_and_deviation(features)
    assert mean.shape == deviation.shape == (2, 1, 1, 3)
    np.testing.assert_allclose(mean[:, 0, 0], features.mean((1, 2)), rtol=1e-4)
    np.testing.assert_allclose(deviation[:, 0, 0], features.std((1, 2)), rtol=1e-4)


def test_adain_gives_the_content_the_statistics_of_the_style(random):
    content, other = random.normal(1, 2, (1, 4, 4, 3)), random.normal(-3, 0.5, (1, 6, 5, 3))
    found = style.adain(content, other).numpy()
    np.testing.assert_allclose(found.mean((1, 2)), other.mean((1, 2)), rtol=1e-4)
    np.testing.assert_allclose(found.std((1, 2)), other.std((1, 2)), rtol=1e-4)
    order = np.argsort(content[0, ..., 0].ravel())  # which place is stronger stays as it was
    assert np.all(np.diff(found[0, ..., 0].ravel()[order]) > 0)
    np.testing.assert_allclose(style.adain(content, content), content, rtol=1e-4, atol=1e-5)


def test_a_relative_error_is_0_for_a_match_1_for_zeros_and_has_no_unit(random):
    found, target = random.normal(size=(3, 4)), random.normal(size=(3, 4))
    expected = np.sum((found - target) ** 2) / np.sum(target**2)
    assert float(style.relative_error(found, target)) == pytest.approx(expected, rel=1e-5)
    assert float(style.relative_error(9 * found, 9 * target)) == pytest.approx(expected, rel=1e-5)
    assert float(style.relative_error(target, target)) == 0
    assert float(style.relative_error(0 * target, target)) == pytest.approx(1, rel=1e-5)
    assert np.isfinite(float(style.relative_error(found, 0 * target)))


def test_total_variation_is_a_loop_over_neighbours(random):
    image = random.normal(size=(3, 5, 2))
    down = [(image[y + 1, x] - image[y, x]) ** 2 for y in range(2) for x in range(5)]
    across = [(image[y, x + 1] - image[y, x]) ** 2 for y in range(3) for x in range(4)]
    expected = np.mean(down) + np.mean(across)
    assert float(style.total_variation(image[None])) == pytest.approx(expected)


# The objective ------------------------------------------------------------------------------------

NAMES = ("first", "second")


@pytest.fixture
def encoder():
    """Two layers whose features NumPy computes in a line each."""
    keras.utils.set_random_seed(6)
    images = keras.Input((None, None, 3))
    first = keras.layers.Conv2D(4, 1, activation="relu", bias_initializer="ones", name="a")(images)
    pooled = keras.layers.AveragePooling2D(2)(first)
    second = keras.layers.Conv2D(5, 1, activation="relu", bias_initializer="ones", name="b")(pooled)
    return keras.Model(images, {"first": first, "second": second})


def by_numpy(encoder, image):
    """The features of both layers, in float64."""
    found, x = {}, np.asarray(image, "float64")
    for name, layer in (("first", "a"), ("second", "b")):
        if name == "second":
            height, width, channels = x.shape
            x = x.reshape(height // 2, 2, width // 2, 2, channels).mean((1, 3))
        kernel, bias = (np.asarray(w, "float64") for w in encoder.get_layer(layer).get_weights())
        x = np.maximum(x @ kernel[0, 0] + bias, 0)
        found[name] = x
    return found


def relative(found, target):
    return np.sum((found - target) ** 2) / np.sum(target**2)


def variation(image):
    return np.mean(np.diff(image, axis=0) ** 2) + np.mean(np.diff(image, axis=1) ** 2)


def shrunk(mask):
    return mask.reshape(8, 2, 8, 2).mean((1, 3))


WEIGHTS = style.Weights(
    content=0.7, style=1.3, variation=0.9, layers={"first": 2.0, "second": 0.5}, blend=(1.0, 3.0)
)


@pytest.fixture
def case(encoder, random):
    """Content, two styles of other sizes, and a picture."""
    return (
        picture(random), [picture(random, 18, 20), 0.5 * picture(random)], picture(random)
    )  # fmt: skip


def loss_by_numpy(encoder, content, styles, image, regions=None):
    found, wanted = by_numpy(encoder, image), by_numpy(encoder, content)
    ones = [np.ones(style.shape[:2]) for style in styles]
    grams = [
        {"first": gram_by_loops(maps["first"], one),
         "second": gram_by_loops(maps["second"], np.ones(maps["second"].shape[:2]))}
        for maps, one in ((by_numpy(encoder, s), o) for s, o in zip(styles, ones, strict=True))
    ]  # fmt: skip
    if regions is None:
        grams = [{name: 0.25 * grams[0][name] + 0.75 * grams[1][name] for name in NAMES}]
        regions = [np.ones((16, 16))]
    by_style = 0.0
    for mask, target in zip(regions, grams, strict=True):
        by_style += 2.0 * relative(gram_by_loops(found["first"], mask), target["first"])
        masked = gram_by_loops(found["second"], shrunk(mask))
        by_style += 0.5 * relative(masked, target["second"])
    return {
        "content": 0.7 * relative(found["second"], wanted["second"]),
        "style": 1.3 * by_style,
        "variation": 0.9 * variation(np.asarray(image, "float64")),
    }


def check_against_numpy(objective, given, image, random, regions=None):
    terms, gradient = objective.value_and_gradient(image)
    expected = loss_by_numpy(*given, image, regions)
    for name, value in expected.items():
        assert terms[name] == pytest.approx(value, rel=1e-4), name
    assert terms["total"] == pytest.approx(sum(expected.values()), rel=1e-4)
    for place in random.integers(0, (16, 16, 3), (6, 3)):
        nudge = np.zeros(image.shape)
        nudge[tuple(place)] = 1e-5
        ahead, behind = (loss_by_numpy(*given, image + sign * nudge, regions) for sign in (1, -1))
        slope = (sum(ahead.values()) - sum(behind.values())) / 2e-5
        if regions is not None and np.max([m[tuple(place[:2])] for m in regions]) == 0:
            slope = 0.0
        assert gradient[tuple(place)] == pytest.approx(slope, rel=2e-2, abs=2e-5)


def test_terms_and_gradient_are_those_of_numpy_in_float64(encoder, case, random):
    content, styles, image = case
    objective = style.Objective(encoder, content, styles, WEIGHTS, content_layers=("second",))
    check_against_numpy(objective, (encoder, content, styles), image, random)
    assert objective.terms(image) == objective.value_and_gradient(image)[0]
    assert float(objective.loss(tf.constant(image[None]))) == pytest.approx(
        objective.terms(image)["total"], rel=1e-5
    )


def test_regions_have_their_own_style_and_nothing_else_a_gradient(encoder, case, random):
    content, styles, image = case
    regions = np.zeros((2, 16, 16), "float32")
    regions[0, :6], regions[1, 6:12, :9] = 1.0, 0.5
    objective = style.Objective(
        encoder, content, styles, WEIGHTS, regions=regions, content_layers=("second",)
    )
    check_against_numpy(objective, (encoder, content, styles), image, random, list(regions))
    gradient = objective.value_and_gradient(image)[1]
    assert np.all(gradient[12:] == 0) and np.all(gradient[6:12, 9:] == 0)
    assert np.any(gradient[6:12, :9] != 0)


def test_new_weights_act_at_once_and_without_tracing_again(encoder, case):
    content, styles, image = case
    objective = style.Objective(encoder, content, styles, WEIGHTS, content_layers=("second",))
    before = objective.terms(image)
    traces = objective._compiled.experimental_get_tracing_count()
    objective.weights = style.Weights(
        content=1.4, style=0.0, variation=0.9, layers=dict(WEIGHTS.layers), blend=(1.0, 3.0)
    )
    after = objective.terms(image)
    assert after["content"] == pytest.approx(2 * before["content"], rel=1e-5)
    assert after["style"] == 0 and after["variation"] == pytest.approx(before["variation"])
    assert objective._compiled.experimental_get_tracing_count() == traces


def test_a_blend_of_one_is_that_style_alone(encoder, case):
    content, styles, image = case
    layers = dict(WEIGHTS.layers)
    alone = style.Objective(
        encoder, content, styles[1:], style.Weights(layers=layers), content_layers=("first",)
    )
    blend = style.Weights(layers=layers, blend=(0.0, 2.0))
    both = style.Objective(encoder, content, styles, blend, content_layers=("first",))
    assert both.terms(image) == pytest.approx(alone.terms(image), rel=1e-5)


def test_without_styles_there_is_no_style_loss(encoder, case):
    objective = style.Objective(encoder, case[0], [], content_layers=("first",))
    terms = objective.terms(case[2])
    assert terms["style"] == 0 and terms["content"] > 0


def test_only_the_layers_that_are_needed_are_computed():
    network = vgg.vgg(widths=(2, 3, 4), depths=(1, 1, 1))
    cut = style.layers_of(network, ("block1_conv1", "block2_conv1"))
    assert "block3_conv1" not in [layer.name for layer in cut.layers]
    assert style.layers_of(network, ("block1_conv1", "block2_conv1")) is cut


@pytest.mark.parametrize(
    "change, message",
    [
        ({"content": np.zeros((16, 16))}, r"content must have the shape"),
        ({"content": np.full((16, 16, 3), 255.0)}, r"content must have values in \[-1, 1\]"),
        ({"styles": [np.zeros((8, 16, 3))]}, r"styles\[0\] must have.*at least 16"),
        ({"regions": np.zeros((1, 8, 8))}, r"shape \(1, 16, 16\), a mask for each.*\(1, 8, 8\)"),
        ({"regions": np.full((1, 16, 16), 2.0)}, r"regions must have values.*\[2, 2\]"),
        ({"content_layers": ("third",)}, "no layer 'third'. Choose from: first, second"),
        ({"weights": style.Weights(layers={"x": 1.0})}, "no layer 'x'"),
        ({"weights": style.Weights(layers={"first": 1.0}, blend=(1, 1))}, "2 shares for 1 styles"),
    ],
)
def test_what_does_not_fit_together_is_refused(encoder, change, message):
    given = {"content": np.zeros((16, 16, 3)), "styles": [np.zeros((16, 16, 3))]}
    given |= {"weights": style.Weights(layers={"first": 1.0}), "content_layers": ("first",)}
    with pytest.raises(ValueError, match=message):
        style.Objective(encoder, **(given | change))


def test_weights_of_other_layers_are_refused_later_too(encoder, case):
    objective = style.Objective(encoder, case[0], case[1], WEIGHTS, content_layers=("first",))
    with pytest.raises(ValueError, match="layers are first, second; got first. A weight of 0"):
        objective.weights = style.Weights(layers={"first": 1.0}, blend=(1, 1))


def test_a_picture_of_another_size_is_refused(encoder, case):
    objective = style.Objective(encoder, case[0], case[1], WEIGHTS, content_layers=("first",))
    with pytest.raises(ValueError, match=r"shape \(16, 16, 3\), got \(18, 16, 3\)"):
        objective.terms(np.zeros((18, 16, 3)))


@pytest.mark.parametrize(
    "wrong", [{"content": -1.0}, {"style": np.nan}, {"layers": {"a": -1}}, {"variation": np.inf}]
)
def test_weights_below_0_or_without_a_value_are_refused(wrong):
    with pytest.raises(ValueError, match="finite and at least 0, got Weights"):
        style.Weights(**wrong)


def test_a_blend_of_nothing_is_refused():
    with pytest.raises(ValueError, match=r"above 0, got \(0, 0\)"):
        style.Weights(blend=(0, 0))


# From an objective to a picture -------------------------------------------------------------------

SMALL = {"layers": {"first": 1.0, "second": 1.0}}


def test_style_weight_0_gives_the_content(encoder, case):
    content, styles, image = case
    weights = style.Weights(style=0.0, variation=0.0, blend=(1, 1), **SMALL)
    objective = style.Objective(encoder, content, styles, weights, content_layers=("first",))
    np.testing.assert_array_equal(descent.descend(objective, content, steps=20), content)
    found = descent.descend(objective, image, steps=60)
    assert objective.terms(found)["content"] < 1e-3 * objective.terms(image)["content"]


def test_every_term_falls_where_it_is_alone(encoder, case):
    content, styles, image = case
    for name in ("content", "style", "variation"):
        alone = {key: float(key == name) for key in ("content", "style", "variation")}
        weights = style.Weights(**alone, blend=(1, 1), **SMALL)
        objective = style.Objective(encoder, content, styles, weights, content_layers=("first",))
        found = descent.descend(objective, image, steps=15)
        assert objective.terms(found)[name] < 0.5 * objective.terms(image)[name]


def test_coarse_to_fine_ends_lower_than_it_began_and_leaves_the_rest_alone(encoder, random):
    content, other = picture(random, 34, 32), picture(random, 32, 32)
    mask = np.zeros((1, 34, 32))
    mask[0, :20, 3:17] = 1
    weights = style.Weights(**SMALL)
    options = {"regions": mask, "content_layers": ("first",)}
    found = style.coarse_to_fine(
        encoder, content, [other], weights, stages=((2, 10), (1, 10)), **options
    )
    assert found.shape == content.shape and np.abs(found).max() <= 1
    np.testing.assert_array_equal(found[mask[0] == 0], content[mask[0] == 0])
    objective = style.Objective(encoder, content, [other], weights, **options)
    assert objective.terms(found)["total"] < objective.terms(content)["total"]


def test_coarse_to_fine_works_on_smaller_pictures_first(encoder, random):
    shapes, numbers = [], []

    def observe(step):
        shapes.append(step.image.shape[:2])
        numbers.append(step.number)

    style.coarse_to_fine(
        encoder, picture(random, 64, 64), [picture(random, 64, 64)], style.Weights(**SMALL),
        content_layers=("first",), stages=((4, 2), (2, 3), (1, 1)), observe=observe,
    )  # fmt: skip
    assert sorted(set(shapes)) == [(16, 16), (32, 32), (64, 64)] and shapes == sorted(shapes)
    assert numbers[0] == 0 and numbers[-1] == 0


def test_coarse_to_fine_starts_where_it_is_told_and_stops_when_it_is_told(encoder, random):
    content, start = picture(random, 32, 32), picture(random, 32, 32)
    seen = []

    def observe(step):
        seen.append(step)
        return len(seen) == 2

    found = style.coarse_to_fine(
        encoder, content, [content], style.Weights(**SMALL), content_layers=("first",),
        start=start, stages=((2, 9), (1, 9)), observe=observe,
    )  # fmt: skip
    np.testing.assert_allclose(seen[0].image, style.resized(start, 16, 16))
    assert len(seen) == 2 and found.shape == content.shape
    np.testing.assert_allclose(found, style.resized(seen[1].image, 32, 32))


@pytest.mark.parametrize("stages", [(), ((2, 5),), ((1, 5), (2, 5))])
def test_stages_that_do_not_end_at_the_full_size_are_refused(encoder, stages):
    with pytest.raises(ValueError, match="last stage must have the divisor 1, got stages="):
        style.coarse_to_fine(encoder, np.zeros((32, 32, 3)), [np.zeros((32, 32, 3))], stages=stages)


def test_a_resized_picture_keeps_its_range_and_a_flat_one_its_value(random):
    found = style.resized(np.sign(picture(random, 20, 20)), 37, 31)
    assert found.shape == (37, 31, 3) and np.abs(found).max() == 1
    np.testing.assert_allclose(style.resized(np.full((20, 20, 1), 0.3), 10, 12), 0.3, rtol=1e-5)
    same = picture(random)
    np.testing.assert_array_equal(style.resized(same, 16, 16), same)
