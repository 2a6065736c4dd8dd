"""Adam and L-BFGS over a picture, against small problems whose answer is known."""

import numpy as np
import pytest

from course_lib import descent


class Bowl:
    """Half of sum(stretch * (image - goal)^2): its lowest point within [-1, 1] is clip(goal)."""

    def __init__(self, goal, stretch=1.0):
        self.goal, self.stretch, self.asked = goal, stretch, []

    def value_and_gradient(self, image):
        assert np.abs(image).max() <= 1
        self.asked.append(image)
        gap = image.astype("float64") - self.goal
        return {"total": float(0.5 * np.sum(self.stretch * gap**2))}, (
            (self.stretch * gap).astype("float32")
        )


class Valley:
    """Rosenbrock's curved valley in neighbouring columns; its lowest point is at 0.5."""

    def value_and_gradient(self, image):
        x, y = 2 * image.astype("float64")[:, ::2], 2 * image.astype("float64")[:, 1::2]
        gradient = np.empty(image.shape)
        gradient[:, ::2] = 2 * (-400 * x * (y - x**2) - 2 * (1 - x))
        gradient[:, 1::2] = 2 * 200 * (y - x**2)
        value = np.sum(100 * (y - x**2) ** 2 + (1 - x) ** 2)
        return {"total": float(value)}, gradient.astype("float32")


@pytest.fixture
def random():
    return np.random.default_rng(3)


def test_the_product_with_the_inverse_hessian_is_that_of_the_full_matrix(random):
    root = random.normal(size=(6, 6))
    hessian = root @ root.T + np.eye(6)
    pairs = [(change, hessian @ change) for change in random.normal(size=(3, 6))]
    change, bend = pairs[-1]
    inverse = np.eye(6) * (change @ bend) / (bend @ bend)
    for change, bend in pairs:  # the BFGS update, Nocedal and Wright 2006, equation 6.17
        share = 1 / (change @ bend)
        left = np.eye(6) - share * np.outer(change, bend)
        inverse = left @ inverse @ left.T + share * np.outer(change, change)
    gradient = random.normal(size=6)
    found = descent.times_inverse_hessian(gradient, pairs)
    np.testing.assert_allclose(found, inverse @ gradient, rtol=1e-9)


def test_without_pairs_the_gradient_comes_back_and_is_not_changed_in_place(random):
    gradient = random.normal(size=(2, 3))
    kept = gradient.copy()
    np.testing.assert_array_equal(descent.times_inverse_hessian(gradient, []), gradient)
    descent.times_inverse_hessian(gradient, [(kept, 2 * kept)])
    np.testing.assert_array_equal(gradient, kept)


def test_lbfgs_finds_the_lowest_point_inside_the_box(random):
    goal = random.uniform(-2, 2, (16, 16, 3))
    stretch = np.exp(random.uniform(-3, 3, (16, 16, 3)))
    bowl = Bowl(goal, stretch)
    found = descent.descend(bowl, np.zeros((16, 16, 3)), steps=150)
    assert found.dtype == np.float32 and np.mean(np.abs(goal) > 1) > 0.3
    np.testing.assert_allclose(found, np.clip(goal, -1, 1), atol=2e-3)
    assert len(bowl.asked) <= 150


def test_lbfgs_follows_a_curved_valley_and_never_accepts_a_higher_loss():
    losses = []
    start = np.full((16, 16, 3), -0.45)
    found = descent.descend(
        Valley(), start, steps=300, observe=lambda step: losses.append(step.terms["total"])
    )
    assert np.all(np.diff(losses) <= 0)
    np.testing.assert_allclose(found, 0.5, atol=0.01)


def test_on_a_hilltop_lbfgs_never_looks_uphill(random):
    hill = Bowl(np.zeros((16, 16, 3)), stretch=-1.0)  # curved the other way everywhere
    start = random.uniform(-0.05, 0.05, (16, 16, 3))
    descent.descend(hill, start, steps=5)
    heights = [-np.sum(image.astype("float64") ** 2) for image in hill.asked]
    assert len(heights) == 5 and np.all(np.diff(heights) < 0)


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_lbfgs_takes_at_most_so_many_evaluations(steps, random):
    bowl = Bowl(random.uniform(-1, 1, (16, 16, 3)), np.exp(random.normal(0, 3, (16, 16, 3))))
    descent.descend(bowl, np.zeros((16, 16, 3)), steps=steps)
    assert len(bowl.asked) == steps


def test_the_first_step_of_lbfgs_goes_downhill_by_its_stated_length(random):
    bowl = Bowl(random.uniform(-0.9, 0.9, (16, 16, 3)))
    found = descent.descend(bowl, np.zeros((16, 16, 3)), steps=2)
    assert np.sqrt(np.mean(found**2)) == pytest.approx(descent.FIRST_CHANGE, rel=1e-5)
    np.testing.assert_allclose(found / bowl.goal, (found / bowl.goal)[0, 0, 0], rtol=1e-4)


def test_a_place_where_nothing_is_lower_is_left_at_once(random):
    goal = random.uniform(-1, 1, (16, 16, 3)).astype("float32")
    bowl = Bowl(goal)
    np.testing.assert_array_equal(descent.descend(bowl, goal, steps=50), goal)
    assert len(bowl.asked) < 10


def test_where_the_gradient_misleads_the_start_comes_back():
    class Uphill(Bowl):
        def value_and_gradient(self, image):
            terms, gradient = super().value_and_gradient(image)
            return terms, -gradient

    start = np.full((16, 16, 3), 0.5, "float32")
    uphill = Uphill(np.zeros((16, 16, 3)))
    np.testing.assert_array_equal(descent.descend(uphill, start, steps=200), start)
    assert len(uphill.asked) < 20


def test_adam_takes_the_steps_of_its_formula(random):
    goal, start = random.uniform(-1, 1, (16, 16, 3)), random.uniform(-1, 1, (16, 16, 3))
    start = start.astype("float32")
    found = descent.descend_adam(Bowl(goal), start, steps=3, optimizer=descent.tutorial_adam(0.05))
    image, mean, square = start.astype("float64"), 0.0, 0.0
    for step in (1, 2, 3):
        gradient = 1e6 * (image - goal)
        mean = 0.99 * mean + 0.01 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        moved = mean / (1 - 0.99**step) / (np.sqrt(square / (1 - 0.999**step)) + 0.1)
        image = np.clip(image - 0.1 * moved, -1, 1)
    np.testing.assert_allclose(found, image, atol=1e-3)


def test_the_falling_rate_goes_along_half_a_cosine():
    optimizer = descent.falling_adam(8, first=0.4, last=0.1)
    rates = [float(optimizer._learning_rate(step)) for step in (0, 4, 8, 20)]
    np.testing.assert_allclose(rates, [0.4, 0.25, 0.1, 0.1], rtol=1e-6)


def test_where_gradients_are_noisy_a_falling_rate_ends_nearer_than_a_constant_one(random):
    goal = random.uniform(-0.9, 0.9, (16, 16, 3)).astype("float32")

    class Noisy(Bowl):
        def value_and_gradient(self, image):
            terms, gradient = super().value_and_gradient(image)
            return terms, gradient + random.normal(size=gradient.shape).astype("float32")

    def miss(last):
        optimizer = descent.falling_adam(200, last=last)
        found = descent.descend_adam(Noisy(goal), 0 * goal, steps=200, optimizer=optimizer)
        return float(np.abs(found - goal).mean())

    assert miss(0.002) < 0.5 * miss(0.4)


def test_each_step_of_adam_ends_inside_the_range():
    way = descent.AdamDescent(np.zeros((16, 16, 3)), descent.tutorial_adam(1.0))
    way.step(np.full((16, 16, 3), -1.0, "float32"))
    np.testing.assert_array_equal(way.image, np.ones((16, 16, 3), "float32"))


@pytest.mark.parametrize("down", [descent.descend, descent.descend_adam])
def test_the_observer_sees_the_start_and_can_stop(down, random):
    start = random.uniform(-1, 1, (16, 16, 3)).astype("float32")
    bowl, seen = Bowl(np.zeros((16, 16, 3))), []

    def observe(step):
        seen.append(step)
        return len(seen) == 3

    down(bowl, start, steps=50, observe=observe)
    assert [step.number for step in seen] == [0, 1, 2]
    np.testing.assert_array_equal(seen[0].image, start)
    assert seen[0].terms == bowl.value_and_gradient(start)[0]
    assert seen[2].terms["total"] < seen[0].terms["total"]
    assert 0 <= seen[0].seconds <= seen[1].seconds <= seen[2].seconds
    for step in seen:
        assert step.terms == bowl.value_and_gradient(step.image)[0]


@pytest.mark.parametrize(
    "start, message",
    [
        (np.zeros((16, 16)), r"start must have the shape.*\(16, 16\)"),
        (np.zeros((15, 16, 3)), r"at least 16; got \(15, 16, 3\)"),
        (np.full((16, 16, 3), 2.0), r"start must have values in \[-1, 1\], got \[2, 2\]"),
        (np.full((16, 16, 3), np.nan), r"values in \[-1, 1\], got \[nan"),
    ],
)
@pytest.mark.parametrize("down", [descent.descend, descent.descend_adam])
def test_a_start_that_is_no_picture_is_refused(down, start, message):
    with pytest.raises(ValueError, match=message):
        down(Bowl(0.0), start)
