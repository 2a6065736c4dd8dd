"""Adversarial images: closed forms of a linear classifier, bounds, and what must follow."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from scipy import special

from course_lib import adversarial
from course_lib.networks import classifiers

SHAPE = (6, 6, 3)
EPSILON = 0.1


@pytest.fixture(scope="module")
def images():
    random = np.random.default_rng(0)
    found = random.uniform(-1, 1, (16, *SHAPE)).astype("float32")
    found[:, 0] = 1.0  # values at the ends of the range, where a step has to be cut
    found[:, 1] = -1.0
    return found


@pytest.fixture(scope="module")
def labels():
    return np.random.default_rng(1).integers(0, 3, 16)


@pytest.fixture(scope="module")
def linear():
    keras.utils.set_random_seed(0)
    inputs = keras.Input(SHAPE)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(inputs)))


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(1)
    return classifiers.plain((8, 8, 3), 3, widths=(8, 8))


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(2).uniform(-1, 1, (32, 8, 8, 3)).astype("float32")


@pytest.fixture(scope="module")
def answers(network, pictures):
    return np.argmax(network(pictures), axis=1)


def slopes(model, images, labels):
    """The gradient of the cross-entropy of a linear classifier, float64: W (softmax - one-hot)."""
    weights = model.layers[-1].kernel.numpy().astype("float64")
    logits = images.reshape(len(images), -1).astype("float64") @ weights
    errors = special.softmax(logits, axis=1) - np.eye(3)[labels]
    return (errors @ weights.T).reshape(images.shape)


def test_one_grey_level_is_one_step_of_a_stored_picture():
    assert adversarial.GREY_LEVEL * 127.5 == pytest.approx(1.0)


def test_the_loss_is_the_cross_entropy_of_each_image(linear, images, labels):
    logits = np.asarray(linear(images), "float64")
    expected = special.logsumexp(logits, axis=1) - logits[np.arange(16), labels]
    np.testing.assert_allclose(adversarial.loss(linear, images, labels), expected, rtol=1e-4)


def test_fgsm_steps_along_the_sign_of_the_loss_and_cuts(linear, images, labels):
    expected = np.clip(images + EPSILON * np.sign(slopes(linear, images, labels)), -1, 1)
    found = adversarial.fgsm(linear, images, labels, EPSILON)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("attack", ["fgsm", "pgd", "noise"])
@pytest.mark.parametrize("epsilon", [0.0, 0.05, 3.0])
def test_no_value_changes_by_more_than_epsilon_or_leaves_the_range(
    attack, epsilon, linear, images, labels
):
    if attack == "noise":
        changed = adversarial.noise(images, epsilon, seed=(1, 2))
    else:
        changed = getattr(adversarial, attack)(linear, images, labels, epsilon)
    assert changed.dtype == tf.float32 and changed.shape == images.shape
    assert np.abs(changed - images).max() <= epsilon + 1e-6
    assert np.abs(changed).max() <= 1
    if epsilon == 0:
        np.testing.assert_array_equal(changed, images)


def test_one_step_of_pgd_from_the_image_is_fgsm(network, pictures, answers):
    single = adversarial.pgd(
        network, pictures, answers, EPSILON, steps=1, step_size=EPSILON, start_seed=None
    )
    fast = adversarial.fgsm(network, pictures, answers, EPSILON)
    np.testing.assert_allclose(single, fast, atol=1e-6)


def test_pgd_is_a_plain_loop_of_projected_steps(linear, images, labels):
    random = tf.random.stateless_uniform(images.shape, (3, 4), -1.0, 1.0).numpy()
    low, high = np.maximum(images - 0.1, -1), np.minimum(images + 0.1, 1)
    expected = np.clip(images + 0.1 * random, low, high)
    for _ in range(3):
        step = 0.04 * np.sign(slopes(linear, expected, labels))
        expected = np.clip(expected + step, low, high)
    found = adversarial.pgd(linear, images, labels, 0.1, steps=3, step_size=0.04, start_seed=(3, 4))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_usual_step_size_is_two_and_a_half_radii_over_the_steps(linear, images, labels):
    options = {"steps": 4, "start_seed": (1, 1)}
    usual = adversarial.pgd(linear, images, labels, 0.1, **options)
    given = adversarial.pgd(linear, images, labels, 0.1, step_size=2.5 * 0.1 / 4, **options)
    np.testing.assert_allclose(usual, given, atol=1e-6)
    other = adversarial.pgd(linear, images, labels, 0.1, step_size=0.01, **options)
    assert np.abs(usual - other).max() > 0.01


def test_pgd_raises_the_loss_at_least_as_far_as_fgsm_on_average(network, pictures, answers):
    fast = adversarial.fgsm(network, pictures, answers, EPSILON)
    strong = adversarial.pgd(network, pictures, answers, EPSILON)
    losses = [np.mean(adversarial.loss(network, x, answers)) for x in (pictures, fast, strong)]
    assert losses[0] < losses[1] <= losses[2]


def test_noise_is_a_random_sign_at_each_value():
    changed = np.asarray(adversarial.noise(np.zeros((4, 20, 20, 3)), 0.25, seed=(5, 6)))
    assert set(np.unique(changed)) == {-0.25, 0.25}
    assert abs(np.mean(changed > 0) - 0.5) < 0.03
    assert abs(np.mean(changed[0] == changed[1]) - 0.5) < 0.1  # each image has its own
    again = adversarial.noise(np.zeros((4, 20, 20, 3)), 0.25, seed=(5, 6))
    np.testing.assert_array_equal(changed, again)
    other = np.asarray(adversarial.noise(np.zeros((4, 20, 20, 3)), 0.25, seed=(5, 7)))
    assert not np.array_equal(changed, other)


def test_attacks_judge_the_network_as_at_inference_and_leave_it_unchanged(
    network, pictures, answers
):
    before = [w.numpy().copy() for w in network.weights]
    # One at a time or together: batch statistics would tell the two apart.
    together = adversarial.fgsm(network, pictures[:4], answers[:4], EPSILON)
    alone = [
        adversarial.fgsm(network, pictures[i : i + 1], answers[i : i + 1], EPSILON)[0]
        for i in range(4)
    ]
    np.testing.assert_allclose(together, alone, atol=1e-6)
    for kept, weight in zip(before, network.weights, strict=True):
        np.testing.assert_array_equal(kept, weight)


def test_attacks_run_inside_a_compiled_function(network, pictures, answers):
    @tf.function
    def attack(images, labels):
        return adversarial.pgd(network, images, labels, EPSILON, steps=2)

    eager = adversarial.pgd(network, pictures, answers, EPSILON, steps=2)
    differ = np.abs(attack(pictures, answers) - eager) > 1e-5
    assert differ.mean() < 0.01  # a gradient near 0 may change its sign with the rounding


def test_accuracy_is_the_share_of_right_answers(linear, images):
    right = np.argmax(linear(images), axis=1)
    labels = right.copy()
    labels[:4] = (labels[:4] + 1) % 3
    assert adversarial.accuracy(linear, images, labels) == pytest.approx(0.75)
    assert adversarial.accuracy(linear, images, labels.astype("int8")) == pytest.approx(0.75)


@pytest.mark.parametrize("epsilon", [-0.1, float("nan")])
def test_an_epsilon_below_0_is_refused(linear, images, labels, epsilon):
    for attack in (adversarial.fgsm, adversarial.pgd):
        with pytest.raises(ValueError, match="epsilon must be at least 0, got"):
            attack(linear, images, labels, epsilon)
    with pytest.raises(ValueError, match="epsilon must be at least 0, got"):
        adversarial.noise(images, epsilon, seed=(0, 0))


def test_pgd_needs_a_step(linear, images, labels):
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        adversarial.pgd(linear, images, labels, 0.1, steps=0)
