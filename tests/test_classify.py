"""The classifier's step against its closed form, its schedule, and numbers from predictions."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from course_lib import classify
from course_lib.networks import classifiers


def linear(features=4, classes=3, dropout=0.0):
    keras.utils.set_random_seed(3)
    x = images = keras.Input((2, features // 2, 1))
    x = keras.layers.Flatten()(x)
    if dropout:
        x = keras.layers.Dropout(dropout, seed=5)(x)
    return keras.Model(images, keras.layers.Dense(classes)(x))


@pytest.fixture
def batch():
    images = np.random.default_rng(0).normal(size=(6, 2, 2, 1)).astype(np.float32)
    return tf.constant(images), tf.constant([0, 1, 2, 2, 1, 0])


def step_of(model, optimizer=None, **config):
    optimizer = optimizer or keras.optimizers.SGD(0.5)
    config = classify.ClassifierStepConfig(classes=3, **config)
    return classify.make_classifier_step(
        model, optimizer, config, seed=keras.random.SeedGenerator(0)
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_one_step_is_the_closed_form_of_softmax_regression(batch, smoothing):
    model = linear()
    weights, bias = (np.float64(w) for w in model.get_weights())
    x, y = batch[0].numpy().reshape(6, 4).astype(np.float64), np.eye(3)[batch[1].numpy()]
    y = (1 - smoothing) * y + smoothing / 3
    logits = x @ weights + bias
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    values = step_of(model, label_smoothing=smoothing)(batch)
    assert values["loss"].numpy() == pytest.approx(-(y * np.log(p)).sum(axis=1).mean(), rel=1e-5)
    assert values["accuracy"].numpy() == pytest.approx((p.argmax(1) == batch[1].numpy()).mean())
    gradient = x.T @ (p - y) / 6
    np.testing.assert_allclose(model.get_weights()[0], weights - 0.5 * gradient, atol=1e-6)
    np.testing.assert_allclose(model.get_weights()[1], bias - 0.5 * (p - y).mean(0), atol=1e-6)


def test_the_step_is_traced_once_and_equals_the_eager_one(batch):
    one, other = linear(), linear()
    step = step_of(one, classify.adamw(0.1, weight_decay=0.1))
    eager = step_of(other, classify.adamw(0.1, weight_decay=0.1)).python_function
    for _ in range(3):
        step(batch)
        eager(batch)
    assert step.experimental_get_tracing_count() == 1
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_the_augmentations_are_applied_to_what_is_learned_from(batch):
    plain, mirrored = linear(), linear()
    rates = [step_of(plain)(batch), step_of(mirrored, augmentations=("flip",))(batch)]
    assert rates[0]["loss"] != rates[1]["loss"]


def test_dropout_is_on_while_it_trains_and_off_when_it_predicts(batch):
    model = linear(dropout=0.5)
    step = step_of(model, keras.optimizers.SGD(0.0))
    assert step(batch)["loss"] != step(batch)["loss"]
    np.testing.assert_array_equal(*(classify.predict(model, batch[0].numpy()) for _ in range(2)))


def test_weight_decay_spares_what_is_no_kernel():
    model = classifiers.plain((8, 8, 1), 3, widths=(4, 4))
    before = {v.path: v.numpy() for v in model.trainable_variables}
    optimizer = classify.adamw(0.1, weight_decay=0.5)
    optimizer.build(model.trainable_variables)
    zeros = [tf.zeros(v.shape) for v in model.trainable_variables]
    optimizer.apply(zeros, model.trainable_variables)
    for variable in model.trainable_variables:
        share = 0.95 if variable.path.endswith("kernel") else 1.0  # 1 - rate * decay
        np.testing.assert_allclose(variable, share * before[variable.path], atol=1e-7)


def test_the_rate_rises_along_a_line_and_falls_along_a_cosine():
    schedule = classify.warm_cosine(2.0, 100)
    rates = np.array([float(schedule(k)) for k in range(101)])
    np.testing.assert_allclose(rates[:11], np.linspace(0, 2, 11), atol=1e-6)
    cosine = 1 + np.cos(np.pi * np.arange(91) / 90)
    np.testing.assert_allclose(rates[10:], cosine, atol=1e-5)


def test_predictions_are_the_softmax_whatever_the_batch_size():
    model = linear()
    images = np.random.default_rng(1).normal(size=(7, 2, 2, 1)).astype(np.float32)
    logits = model(images).numpy().astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for size in (1, 3, 7, 50):
        found = classify.predict(model, images, batch_size=size)
        np.testing.assert_allclose(found, expected, atol=1e-6)
    with pytest.raises(ValueError, match="no images"):
        classify.predict(model, images[:0])


def test_huge_logits_give_probabilities_all_the_same():
    model = linear()
    model.set_weights([1e5 * w for w in model.get_weights()])
    found = classify.predict(model, np.ones((2, 2, 2, 1), np.float32))
    assert np.isfinite(found).all() and found.sum(axis=1) == pytest.approx(1)


def test_loss_accuracy_and_confusion_by_hand():
    probabilities = np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.2, 0.7, 0.1]])
    labels = np.array([0, 1, 2])
    found = classify.measure(probabilities, labels)
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["loss"] == pytest.approx(-np.log([0.5, 0.8, 0.1]).mean())
    matrix = classify.confusion_matrix(probabilities, labels)
    np.testing.assert_array_equal(matrix, [[1, 0, 0], [0, 1, 0], [0, 1, 0]])
    assert matrix.dtype == np.int64
    for function in (classify.measure, classify.confusion_matrix):
        with pytest.raises(ValueError, match="3 predictions for 2 labels"):
            function(probabilities, labels[:2])


def test_a_sure_mistake_costs_a_finite_loss():
    assert classify.measure([[1.0, 0.0]], [1])["loss"] == pytest.approx(-np.log(1e-30))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classes": 1}, "at least 2, got 1"),
        ({"label_smoothing": 1.0}, r"label_smoothing must be in \[0, 1\), got 1.0"),
        ({"augmentations": ("twist",)}, "no augmentation 'twist'"),
    ],
)
def test_a_setting_out_of_range_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        classify.ClassifierStepConfig(**settings)


def test_a_model_with_another_number_of_logits_is_refused():
    with pytest.raises(ValueError, match=r"shape \(None, 4\), but classes is 3"):
        step_of(linear(classes=4))
