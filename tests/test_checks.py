"""The exercises: a check passes right answers, names planted mistakes, and survives anything."""

import ast
import contextlib
import dataclasses
import functools
import io
import subprocess
import sys
import threading
import time
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import linalg, spatial

from course_lib import checks, convolution, losses, theory
from course_lib.checks import (
    balanced_style_loss,
    convolution_size,
    engine,
    frechet_of_gaussians,
    gram_gradient,
    gram_matrix,
    js_divergence,
    largest_batch,
    masked_gram,
    pooling_gradient,
    ring_all_reduce_volume,
    softmax_cross_entropy_gradient,
    spectral_radius_of_dirac_step,
    strided_convolution,
    total_variation,
    transposed_sizes,
    unbiased_kernel_distance,
)

NAMES = checks.names()
R1 = checks.exercise("r1_of_linear_discriminator")
LIBRARIES = {"np": np, "tf": tf, "keras": keras}  # what a notebook's set-up cell imports

RIGHT = [
    pytest.param(name, source, id=f"{name}-{number}")
    for name in NAMES
    for number, source in enumerate(
        (checks.exercise(name).solution, *checks.exercise(name).right_answers)
    )
]
WRONG = [
    pytest.param(name, answer, id=f"{name}-{answer.says}")
    for name in NAMES
    for answer in checks.exercise(name).wrong_answers
]


def _function(name: str, source: str):
    """What a learner has after running a cell with this source."""
    cell = dict(LIBRARIES)
    exec(compile(source, name, "exec"), cell)
    return cell[name]


@functools.cache
def _checked(name: str, source: str):
    """What the check says of it; some train for seconds."""
    return checks.check(name, _function(name, source))


def _toy(check=lambda attempt: attempt(1.0), *, seconds: float = 5.0) -> engine.Exercise:
    """An exercise with nothing to it, for the machinery."""
    return dataclasses.replace(checks.exercise("to_pixels"), check=check, seconds=seconds)


# The exercises -----------------------------------------------------------------------------------


def test_the_exercises_of_the_first_notebooks_are_there():
    first = {"to_pixels", "mix_latents"}
    game = {"optimal_discriminator", "js_divergence", "generator_gradient", "nonsaturating_loss"}
    game |= {"r1_of_linear_discriminator", "spectral_radius_of_dirac_step"}
    by_hand = {"convolution_size", "strided_convolution", "pooling_gradient"}
    by_hand |= {"softmax_cross_entropy_gradient"}
    faces = {"discriminator_loss_from_logits", "generator_activation", "label_shapes"}
    faces |= {"transposed_sizes", "ema_update"}
    inside = {"grad_cam_weights", "fgsm_step"}
    steered = {"slerp", "demodulation", "truncation"}
    found = {name for name in NAMES if checks.exercise(name).notebook == "09_style_based_faces"}
    assert found == steered
    by_style = {"gram_matrix", "gram_gradient", "total_variation"}
    by_style |= {"balanced_style_loss", "masked_gram"}
    found = {name for name in NAMES if checks.exercise(name).notebook == "11_style_by_optimisation"}
    assert found == by_style
    scaling = {"ring_all_reduce_volume", "loss_per_replica", "largest_batch"}
    assert {name for name in NAMES if checks.exercise(name).notebook == "16_scaling_up"} == scaling
    measuring = {"frechet_of_gaussians", "unbiased_kernel_distance"}
    found = {name for name in NAMES if checks.exercise(name).notebook == "07_measuring_faces"}
    assert found == measuring
    fast = {"adain", "instance_normalization", "style_strength"}
    found = {name for name in NAMES if checks.exercise(name).notebook == "12_fast_style_transfer"}
    assert found == fast
    stable = {"gradient_penalty", "diagnose_runs"}
    assert {name for name in NAMES if checks.exercise(name).notebook == "08_stable_faces"} == stable
    assert {name for name in NAMES if checks.exercise(name).notebook == "05_inside_a_cnn"} == inside
    assert {name for name in NAMES if checks.exercise(name).notebook == "00_start_here"} == first
    assert {name for name in NAMES if checks.exercise(name).notebook == "01_gan_game"} == game
    found = {name for name in NAMES if checks.exercise(name).notebook == "03_cnn_by_hand"}
    assert found == by_hand
    assert {name for name in NAMES if checks.exercise(name).notebook == "06_first_faces"} == faces


@pytest.mark.parametrize("name, source", RIGHT)
def test_a_check_passes_the_solution_and_other_right_answers(name, source):
    result = checks.check(name, _function(name, source))
    assert result.status == "right", str(result)


@pytest.mark.parametrize("name, answer", WRONG)
def test_a_check_names_the_mistake_of_a_planted_wrong_answer(name, answer):
    result = _checked(name, answer.source)
    assert result.status == "wrong", str(result)
    assert answer.says in result.message


@pytest.mark.parametrize("name", NAMES)
def test_the_stub_is_not_attempted_and_points_to_the_first_hint(name):
    result = checks.check(name, _function(name, checks.exercise(name).stub))
    assert result.status == "not attempted"
    assert f'checks.hint("{name}", 1)' in result.message


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [None, "text", object(), [], {}, [[1], [1, 2]], np.nan, 10**400])
def test_no_value_that_a_function_returns_makes_a_check_raise_or_pass(name, value):
    result = checks.check(name, lambda *arguments: value)
    assert result.status == "wrong", str(result)


@pytest.mark.parametrize("name", NAMES)
def test_the_message_for_a_wrong_answer_does_not_give_the_solution_away(name):
    exercise = checks.exercise(name)
    returned = [line for line in exercise.solution.splitlines() if "return" in line][-1].strip()
    for answer in exercise.wrong_answers:
        message = _checked(name, answer.source).message
        assert returned.removeprefix("return ") not in message


@pytest.mark.parametrize("name", NAMES)
def test_stub_and_solution_differ_only_below_the_docstring(name):
    exercise = checks.exercise(name)
    stub, solution = (ast.parse(text).body[0] for text in (exercise.stub, exercise.solution))
    assert ast.dump(stub.args) == ast.dump(solution.args)
    assert ast.get_docstring(stub) == ast.get_docstring(solution)
    assert exercise.stub.rstrip().endswith("return ...")


def test_all_sources_are_formatted_and_lint_free(tmp_path):
    for name in NAMES:
        exercise = checks.exercise(name)
        for number, source in enumerate((exercise.stub, exercise.solution)):
            (tmp_path / f"{name}_{number}.py").write_text(source, encoding="utf-8")
    ruff = [sys.executable, "-m", "ruff"]
    options = ["--isolated", "--line-length", "100", str(tmp_path)]
    rules = ["--select", "E,I,UP,B"]  # not F: np and tf come from the notebook's set-up cell
    for command in (["check", *rules], ["format", "--check"]):
        done = subprocess.run([*ruff, *command, *options], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_the_texts_for_the_learner_fit_on_a_screen(name):
    exercise = checks.exercise(name)
    assert len(exercise.stub.splitlines()) <= 10
    assert len(exercise.solution.splitlines()) <= 15
    assert len(exercise.explanation.split()) <= 160
    assert all(len(hint.split()) <= 50 for hint in exercise.hints)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("size, kernel, stride", [(7, 5, 1), (7, 5, 2), (1, 4, 2), (5, 2, 2)])
def test_transposed_sizes_are_those_of_the_keras_layer(size, kernel, stride, padding):
    layer = keras.layers.Conv2DTranspose(1, kernel, strides=stride, padding=padding)
    height = layer(np.zeros((1, size, size, 1), np.float32)).shape[1]
    assert transposed_sizes.right_size(size, kernel, stride, padding) == height


@pytest.mark.parametrize("case", convolution_size.CASES)
def test_the_right_size_of_a_convolution_is_the_librarys(case):
    assert convolution_size.right_size(*case) == convolution.output_size(*case)


@pytest.mark.parametrize("question, image, kernel, stride", strided_convolution.CASES)
def test_the_right_strided_convolution_is_tensorflows(question, image, kernel, stride):
    batch, weights = image[None, :, :, None], kernel[:, :, None, None]
    expected = tf.nn.conv2d(batch, weights, stride, "VALID")[0, :, :, 0]
    np.testing.assert_allclose(strided_convolution.right(image, kernel, stride), expected)


@pytest.mark.parametrize("question, image, gradient", pooling_gradient.CASES)
def test_the_right_gradient_of_pooling_is_tensorflows(question, image, gradient):
    pixels = tf.constant(image[None, :, :, None])
    with tf.GradientTape() as tape:
        tape.watch(pixels)
        output = tf.nn.max_pool2d(pixels, 2, 2, "VALID")
    expected = tape.gradient(output, pixels, gradient[None, :, :, None])[0, :, :, 0]
    np.testing.assert_array_equal(pooling_gradient.right(image, gradient), expected)


@pytest.mark.parametrize("question, logits, labels", softmax_cross_entropy_gradient.CASES)
def test_the_right_gradient_of_cross_entropy_is_tensorflows(question, logits, labels):
    values = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(values)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, values)
        loss = tf.reduce_mean(loss)
    expected = tape.gradient(loss, values)
    found = softmax_cross_entropy_gradient.right(logits, labels)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_the_explained_floor_of_a_double_sigmoid_is_right():
    best = np.logaddexp(0, -1.0) + np.logaddexp(0, 0.0)  # sigmoid(+inf) = 1, sigmoid(-inf) = 0
    text = checks.exercise("discriminator_loss_from_logits").explanation
    assert f"{best:.3f}" == "1.006" and "1.006" in text


@pytest.mark.parametrize("question, mean_a, a, mean_b, b", frechet_of_gaussians.CASES[:3])
def test_the_right_frechet_distance_is_that_of_scipys_root(question, mean_a, a, mean_b, b):
    gap = np.subtract(mean_a, mean_b)
    root = linalg.sqrtm(np.array(a) @ np.array(b)).real
    expected = gap @ gap + np.trace(np.add(a, b) - 2 * root)
    found = frechet_of_gaussians.right(*map(np.array, (mean_a, a, mean_b, b)))
    assert found == pytest.approx(expected, abs=1e-9)


def test_the_right_frechet_distance_of_flat_distributions_is_both_traces():
    arguments = [np.array(argument) for argument in frechet_of_gaussians.CASES[3][1:]]
    assert arguments[1] @ arguments[3] == pytest.approx(np.zeros((2, 2)))  # nothing in common
    assert frechet_of_gaussians.right(*arguments) == pytest.approx(5 + 5)


@pytest.mark.parametrize("question, a, b", unbiased_kernel_distance.CASES)
def test_the_right_kernel_distance_is_a_loop_over_pairs(question, a, b):
    def mean(x, y, different):
        pairs = [(i, j) for i in range(len(x)) for j in range(len(y)) if not different or i != j]
        return np.mean([(np.dot(x[i], y[j]) / 2 + 1) ** 3 for i, j in pairs])

    expected = mean(a, a, True) + mean(b, b, True) - 2 * mean(a, b, False)
    assert unbiased_kernel_distance.right(a, b) == pytest.approx(expected)
    assert (expected > 0) == (a is unbiased_kernel_distance.A)  # one of them is below 0


@pytest.mark.parametrize("mask", [np.ones(12), np.linspace(0, 1, 12)])
def test_the_right_gram_matrices_are_loops_over_places_and_features(mask):
    features = gram_matrix.FEATURES
    expected = np.zeros((2, 2))
    for place, (y, x) in enumerate(np.ndindex(3, 4)):
        for c in range(2):
            for d in range(2):
                expected[c, d] += mask[place] * features[y, x, c] * features[y, x, d] / mask.sum()
    np.testing.assert_allclose(masked_gram.right(features.reshape(12, 2), mask), expected)
    if mask.min() == 1:
        np.testing.assert_allclose(gram_matrix.right(features), expected)


def test_the_right_gradient_of_the_style_loss_is_that_of_finite_differences():
    features, target = gram_gradient.FEATURES, gram_gradient.TARGET

    def loss(values):
        return np.sum((values.T @ values / len(values) - target) ** 2)

    expected = np.zeros_like(features)
    for place in np.ndindex(*features.shape):
        nudge = np.zeros_like(features)
        nudge[place] = 1e-5
        expected[place] = (loss(features + nudge) - loss(features - nudge)) / 2e-5
    np.testing.assert_allclose(gram_gradient.right(features, target), expected, rtol=1e-7)


def test_the_right_total_variation_is_a_loop_over_neighbours():
    image = total_variation.IMAGE
    height, width, channels = image.shape
    down, across = [], []
    for y, x, c in np.ndindex(height, width, channels):
        if y + 1 < height:
            down.append((image[y + 1, x, c] - image[y, x, c]) ** 2)
        if x + 1 < width:
            across.append((image[y, x + 1, c] - image[y, x, c]) ** 2)
    assert len(down) == 20 and len(across) == 24
    assert total_variation.right(image) == pytest.approx(np.mean(down) + np.mean(across))


def test_the_right_style_loss_does_not_change_when_a_layer_is_scaled():
    matrices, targets = balanced_style_loss.MATRICES, balanced_style_loss.TARGETS
    found = balanced_style_loss.right(matrices, targets)
    first = (0.25 + 2 * 0.16 + 0.04) / (4 + 0.25 + 0.25 + 1)
    second = (400 + 64 + 100 + 2 * (9 + 4 + 16)) / (900 + 400 + 2500 + 2 * (16 + 1 + 36))
    assert found == pytest.approx(first + second)
    scaled = [[7 * m for m in each[:1]] + each[1:] for each in (matrices, targets)]
    assert balanced_style_loss.right(*scaled) == pytest.approx(found)


def test_the_right_divergence_is_the_square_of_scipys_distance():
    p, q = np.array([0.1, 0.2, 0.7, 0.0]), np.array([0.5, 0.0, 0.25, 0.25])
    expected = spatial.distance.jensenshannon(p, q) ** 2
    assert js_divergence.right(p, q) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("rate, gamma", spectral_radius_of_dirac_step.CASES)
def test_the_right_radius_is_that_of_the_librarys_matrix(rate, gamma):
    found = spectral_radius_of_dirac_step.right_radius(rate, gamma)
    assert found == pytest.approx(theory.spectral_radius(theory.dirac_step_matrix(rate, gamma)))


@pytest.mark.parametrize("replicas", [1, 2, 5, 64])
def test_the_right_volume_of_a_ring_is_counted_round_by_round(replicas):
    sent = sum(10.0 / replicas for _ in range(2) for _ in range(replicas - 1))
    assert ring_all_reduce_volume.right(replicas, 10.0) == pytest.approx(sent)


@pytest.mark.parametrize("available", [0, 100, 159, 160, 187, 188, 300, 1000])
def test_the_right_largest_batch_is_found_by_trying(available):
    def fits(batch):
        return 4 * (4 * 10 + 7 * batch) <= available

    tried = max([batch for batch in range(100) if fits(batch)], default=0)
    assert largest_batch.right(available, 10, 7) == tried


def test_the_right_penalty_of_a_linear_discriminator_is_that_of_the_losses():
    weights = np.array([3.0, -1.0, 0.5], np.float32)
    right = _function("r1_of_linear_discriminator", R1.solution)
    penalty = losses.r1_penalty(lambda x, training: x @ weights[:, None], tf.ones((2, 3)))
    assert float(right(weights, 0.7, None)) == pytest.approx(float(penalty), rel=1e-6)


# What the learner calls --------------------------------------------------------------------------


def test_a_right_answer_says_so_with_symbol_and_word():
    result = checks.check("mix_latents", lambda a, b, share: (1 - share) * a + share * b)
    assert str(result) == repr(result)
    assert str(result).startswith("✓ right · mix_latents: Well done")


def test_each_status_has_its_own_symbol_and_colour():
    assert set(engine.SYMBOLS) == set(engine.COLOURS) == {"not attempted", "wrong", "right"}
    assert len(set(engine.SYMBOLS.values())) == len(set(engine.COLOURS.values())) == 3


def test_the_html_of_a_result_has_symbol_word_and_escaped_text():
    def to_pixels(images):
        raise KeyError("<script>alert('&')</script>")

    page = checks.check("to_pixels", to_pixels)._repr_html_()
    assert "✗ wrong" in page and "KeyError" in page
    assert "<script>" not in page and "&lt;script&gt;" in page


def test_the_html_of_hints_and_solutions_is_escaped():
    note = engine.Note("<b>", "`a < b` & <i>", "if a < b: <u>")
    page = note._repr_html_()
    assert "<code>a &lt; b</code> &amp; &lt;i&gt;" in page
    assert "&lt;b&gt;" in page and "<u>" not in page


def test_a_hint_says_which_of_how_many_it_is():
    note = checks.hint("to_pixels", 2)
    assert str(note).startswith("Hint 2 of 3 for to_pixels")
    assert checks.exercise("to_pixels").hints[1] in str(note)


@pytest.mark.parametrize("number", [0, 4, -1, "one"])
def test_a_hint_that_does_not_exist_is_refused_with_the_range(number):
    with pytest.raises(ValueError, match=f"to_pixels has the hints 1 to 3. Received: {number!r}"):
        checks.hint("to_pixels", number)


def test_a_solution_shows_source_and_explanation():
    text = str(checks.solution("ema_update"))
    assert checks.exercise("ema_update").solution.strip() in text
    assert checks.exercise("ema_update").explanation in text


@pytest.mark.parametrize("word", [checks.hint, checks.solution, lambda name: checks.check(name, 1)])
def test_an_unknown_exercise_is_refused_with_the_nearest_name(word):
    with pytest.raises(ValueError, match="no exercise 'to_pixel'. Did you mean: to_pixels"):
        word("to_pixel")


def test_the_machinery_is_no_exercise():
    assert "engine" not in NAMES
    with pytest.raises(ValueError, match="no exercise 'engine'"):
        checks.exercise("engine")


@pytest.mark.parametrize("answer", [..., lambda images: None, lambda images: ...])
def test_with_grading_every_answer_that_is_not_right_raises(monkeypatch, answer):
    monkeypatch.setenv("COURSE_GRADING", "1")
    with pytest.raises(AssertionError, match="to_pixels: "):
        checks.check("to_pixels", answer)


def test_with_grading_a_right_answer_does_not_raise(monkeypatch):
    monkeypatch.setenv("COURSE_GRADING", "1")
    right = _function("to_pixels", checks.exercise("to_pixels").solution)
    assert checks.check("to_pixels", right).status == "right"


def test_grading_must_be_0_or_1(monkeypatch):
    monkeypatch.setenv("COURSE_GRADING", "yes")
    with pytest.raises(ValueError, match="COURSE_GRADING must be 0 or 1. Received: 'yes'"):
        checks.check("to_pixels", ...)


# What a learner's function can do to a check -----------------------------------------------------


def test_an_ellipsis_in_place_of_the_function_is_not_attempted():
    assert checks.check("to_pixels", ...).status == "not attempted"


def test_a_value_in_place_of_the_function_is_wrong_and_named():
    result = checks.check("to_pixels", np.zeros(3))
    assert result.status == "wrong"
    assert "function itself" in result.message and "ndarray" in result.message


def test_a_forgotten_return_is_named():
    result = checks.check("to_pixels", lambda images: None)
    assert "returned None" in result.message and "`return" in result.message


def test_an_exception_is_wrong_with_its_type_and_message():
    result = checks.check("to_pixels", lambda images: images.no_such_thing)
    assert result.status == "wrong"
    assert "AttributeError" in result.message and "no_such_thing" in result.message


class _Mute(Exception):
    def __str__(self):
        raise RuntimeError


@pytest.mark.parametrize("error", [_Mute(), SystemExit(3), KeyboardInterrupt(), RecursionError()])
def test_even_strange_exceptions_are_wrong_with_their_type(error):
    def answer(*arguments):
        raise error

    result = engine.judge(_toy(), answer)
    assert result.status == "wrong" and type(error).__name__ in result.message


def test_a_long_message_of_an_exception_is_cut():
    def answer(*arguments):
        raise ValueError("x" * 5000)

    assert len(engine.judge(_toy(), answer).message) < 400


def test_an_endless_loop_is_wrong_after_the_time_limit_and_is_stopped():
    def answer(*arguments):
        while True:
            pass

    before, start = threading.active_count(), time.monotonic()
    result = engine.judge(_toy(seconds=0.3), answer)
    assert result.status == "wrong" and "0.3 seconds" in result.message
    while threading.active_count() > before and time.monotonic() - start < 5:
        time.sleep(0.02)
    assert threading.active_count() == before
    assert time.monotonic() - start < 5


def test_a_learner_who_catches_everything_still_gets_an_answer():
    def answer(*arguments):
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            with contextlib.suppress(Exception):
                time.sleep(0.01)
        return 1

    assert "0.3 seconds" in engine.judge(_toy(seconds=0.3), answer).message


@pytest.mark.parametrize("change", ["images += 1", "images[0] = 5", "images.shape = (2,)"])
def test_a_changed_argument_is_wrong_and_the_original_is_safe(change):
    original = np.zeros((2, 1), np.float32)
    source = f"def answer(images):\n    {change}\n    return 1\n"
    result = engine.judge(_toy(lambda attempt: attempt(original)), _function("answer", source))
    assert "changed the array" in result.message
    assert original.shape == (2, 1) and not original.any()


def test_a_learner_sees_the_same_argument_in_every_call():
    def check(attempt):
        argument = np.ones(3)
        for _ in range(2):
            engine.compare(engine.numbers(attempt(argument)), 3.0, question="For ones")

    assert engine.judge(_toy(check), np.sum).status == "right"


def test_what_a_learner_prints_is_printed():
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        engine.judge(_toy(), lambda value: print("seen", value))
    assert shown.getvalue() == "seen 1.0\n"


def test_a_warning_in_the_learners_code_does_not_stop_the_check():
    def answer(value):
        warnings.warn("an old name", DeprecationWarning, stacklevel=2)
        return np.float32(1e38) * np.float32(value * 1e38)

    assert engine.judge(_toy(), answer).status == "right"


def test_an_object_that_breaks_the_check_is_wrong_with_the_reason():
    def check(attempt):
        return attempt(1.0) < 1

    result = engine.judge(_toy(check), lambda value: object())
    assert result.status == "wrong" and "TypeError" in result.message


# What a check looks at ---------------------------------------------------------------------------


@pytest.mark.parametrize("value", [[1, 2], np.array([1, 2]), tf.constant([1, 2]), (1.0, True)])
def test_numbers_come_from_numpy_tensorflow_and_plain_python(value):
    assert engine.numbers(value, shape=(2,)).shape == (2,)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "uint8", "bool"])
def test_numbers_come_in_every_type(dtype):
    values = engine.numbers(tf.cast([0, 1], dtype))
    engine.compare(values, [0, 1], question="Here")


def test_a_wrong_shape_is_named_with_both_shapes():
    with pytest.raises(engine.Wrong, match=r"loss has to have the shape \(\). .* \(3,\)"):
        engine.numbers(np.zeros(3), shape=(), what="loss")


@pytest.mark.parametrize("value", ["1", b"1", [None], np.array(["a"]), 1j, {1: 2}])
def test_what_is_not_numbers_is_named_with_its_type(value):
    with pytest.raises(engine.Wrong, match=f"hold numbers. It is a {type(value).__name__}"):
        engine.numbers(value)


def test_a_symbolic_tensor_is_wrong_and_not_an_error_of_ours():
    with pytest.raises(engine.Wrong, match="hold numbers"):
        engine.numbers(keras.Input((3,)))


def test_a_mistake_is_named_only_where_its_value_differs_from_the_right_one():
    engine.compare(np.array(1.0), 1.0, question="Here", mistakes=[(1.0, "no mistake")])
    with pytest.raises(engine.Wrong, match="^halved$"):
        engine.compare(np.array(0.5), 1.0, question="Here", mistakes=[(2.0, "no"), (0.5, "halved")])


def test_an_unknown_mistake_is_answered_with_both_numbers():
    message = r"For two, the right answer is \[1, 2\]\. Yours is \[1, 3\]\."
    with pytest.raises(engine.Wrong, match=message):
        engine.compare(np.array([1, 3]), [1, 2], question="For two")


def test_infinite_results_are_named():
    with pytest.raises(engine.Wrong, match="For two, your result holds inf or nan"):
        engine.compare(np.array([1, np.inf]), [1, 2], question="For two")


def test_a_long_result_is_cut_in_the_message():
    with pytest.raises(engine.Wrong, match=r"\[1, 1, 1, 1, 1, 1, \.\.\.\]"):
        engine.compare(np.ones(100), np.zeros(100), question="For many")


@pytest.mark.parametrize(
    "field, value",
    [
        ("name", "no name"),
        ("minutes", 0),
        ("difficulty", 4),
        ("hints", ("one",)),
        ("hints", ("1", "2", "3", "4")),
        ("right_answers", ()),
        ("wrong_answers", ()),
        ("stub", "def other(): ..."),
        ("solution", "x = 1"),
    ],
)
def test_an_exercise_with_a_missing_part_is_refused_by_name(field, value):
    with pytest.raises(ValueError, match=f"needs {field}, .*Received: "):
        dataclasses.replace(checks.exercise("to_pixels"), **{field: value})
