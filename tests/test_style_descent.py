"""L-BFGS a step at a time, and the Gram matrices that the desk shows."""

import keras
import numpy as np
import pytest

from course_lib import style
from course_lib.descent import Descent
from course_lib.networks import vgg

SHAPE = (16, 16, 3)


class Quadratic:
    """0.5 sum(a (x - x0)^2) over one picture: its minimum and its Hessian are known."""

    def __init__(self, curvature, middle):
        self.curvature, self.middle, self.asked = curvature, middle, 0

    def value_and_gradient(self, image):
        self.asked += 1
        gradient = self.curvature * (image - self.middle)
        return {"total": float(0.5 * np.sum(gradient * (image - self.middle)))}, gradient


def quadratic(spread=20.0, size=0.5):
    random = np.random.default_rng(0)
    return Quadratic(random.uniform(1, spread, SHAPE), random.uniform(-size, size, SHAPE))


def run(objective, steps, *, memory=10):
    descent, image = Descent(objective, memory=memory), np.zeros(SHAPE)
    found, totals = objective.value_and_gradient(image), []
    for _ in range(steps):
        image, found = descent.step(image, found)
        totals.append(found[0]["total"])
    return image, totals, descent


def test_it_reaches_the_minimum_of_a_quadratic_and_never_goes_up():
    objective = quadratic()
    image, totals, _ = run(objective, 60)
    np.testing.assert_allclose(image, objective.middle, atol=1e-3)
    assert all(later <= earlier for earlier, later in zip(totals, totals[1:], strict=False))


def test_the_first_step_goes_down_the_gradient_by_the_stated_length():
    objective = quadratic()
    image, _, _ = run(objective, 1)
    gradient = -objective.curvature * objective.middle
    expected = -0.02 * gradient / np.sqrt(np.mean(gradient**2))
    np.testing.assert_allclose(image, expected, rtol=1e-9)


@pytest.mark.parametrize("memory", [2, 10])
def test_the_direction_is_that_of_the_bfgs_matrix(memory):
    """The recursion against the matrix H itself, built up by the update formula."""
    objective = quadratic()
    descent, image = Descent(objective, memory=memory), np.zeros(SHAPE)
    found, pairs = objective.value_and_gradient(image), []
    for _ in range(4):
        there, new = descent.step(image, found)
        pairs.append(((there - image).ravel(), (new[1] - found[1]).ravel()))
        image, found = there, new
    pairs = pairs[-memory:]
    step, change = pairs[-1]
    inverse = np.eye(step.size) * (step @ change) / (change @ change)
    for step, change in pairs:
        rho = 1 / (step @ change)
        left = np.eye(step.size) - rho * np.outer(step, change)
        inverse = left @ inverse @ left.T + rho * np.outer(step, step)
    there, _ = descent.step(image, found)
    moved = (there - image).ravel()
    np.testing.assert_allclose(moved, -inverse @ found[1].ravel(), rtol=1e-6, atol=1e-12)


def test_the_memory_has_its_length():
    _, _, descent = run(quadratic(), 9, memory=3)
    assert len(descent._pairs) == 3


def test_pixels_stay_in_their_range():
    objective = Quadratic(np.ones(SHAPE), np.full(SHAPE, 3.0))
    image, totals, _ = run(objective, 20)
    np.testing.assert_array_equal(image, 1.0)
    assert totals[-1] == pytest.approx(0.5 * 4 * image.size)


def test_a_step_that_is_too_long_is_shortened_by_what_is_stated():
    # The minimum lies 0.005 away in each pixel, the first step is 0.02 long: it would end farther
    # away than it began, and only 0.006 goes down.
    objective = Quadratic(np.full(SHAPE, 1e4), np.full(SHAPE, 0.005))
    image, _, descent = run(objective, 1)
    np.testing.assert_allclose(image, 0.02 * 0.3)
    assert descent.evaluations == 2 == objective.asked - 1


def test_where_nothing_goes_down_the_picture_stays_and_the_memory_is_emptied():
    objective = quadratic()
    image, _, descent = run(objective, 5)
    found = objective.value_and_gradient(image)
    uphill = found[0], -found[1]
    descent._pairs = descent._pairs[:1]
    there, new = descent.step(image, uphill)
    assert there is image and new is uphill and descent._pairs == []


def test_a_flat_place_is_left_as_it_is():
    objective = Quadratic(np.ones(SHAPE), np.zeros(SHAPE))
    image, totals, descent = run(objective, 3)
    assert not image.any() and totals == [0, 0, 0] and descent._pairs == []


# On pictures --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def encoder():
    keras.utils.set_random_seed(0)
    return vgg.vgg(widths=(4, 6, 8, 8), depths=(1, 1, 2, 1))


def pictures(count, size=32):
    random = np.random.default_rng(3)
    coarse = random.uniform(-0.9, 0.9, (count, size // 4, size // 4, 3))
    return coarse.repeat(4, 1).repeat(4, 2).astype("float32")


def loops(features, mask):
    """Gram matrix by its definition, place by place."""
    total = np.zeros((features.shape[-1],) * 2)
    for row in range(features.shape[0]):
        for column in range(features.shape[1]):
            place = features[row, column].astype("float64")
            total += mask[row, column] * np.outer(place, place)
    return total / mask.sum()


def test_grams_are_those_of_the_picture_and_of_the_style(encoder):
    content, other, image = pictures(3)
    objective = style.Objective(encoder, content, [other])
    now, wanted = objective.grams(image, "block2_conv1")
    for matrix, picture in ((now, image), (wanted, other)):
        features = encoder(picture[None])["block2_conv1"][0].numpy()
        expected = loops(features, np.ones(features.shape[:2]))
        np.testing.assert_allclose(matrix, expected, rtol=1e-4, atol=1e-6)


def test_grams_follow_the_blend_and_the_first_region(encoder):
    content, first, second, image = pictures(4)
    weights = style.Weights(blend=(3.0, 1.0))
    blended = style.Objective(encoder, content, [first, second], weights)
    name = "block1_conv1"
    _, wanted = blended.grams(image, name)
    full = np.ones((32, 32))
    parts = [loops(encoder(p[None])[name][0].numpy(), full) for p in (first, second)]
    np.testing.assert_allclose(wanted, 0.75 * parts[0] + 0.25 * parts[1], rtol=1e-4, atol=1e-6)
    left = np.zeros((32, 32), "float32")
    left[:, :8] = 1
    regions = style.Objective(encoder, content, [first, second], weights, regions=[left, 1 - left])
    now, wanted = regions.grams(image, name)
    features = encoder(image[None])[name][0].numpy()
    np.testing.assert_allclose(now, loops(features, left), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(wanted, parts[0], rtol=1e-4, atol=1e-6)
