"""Slow motion shows the numbers of the step that it takes."""

import dataclasses
import re

import numpy as np
import pytest

from course_lib import losses
from course_lib.laboratory import Laboratory, Settings
from course_lib.slow_motion import loss_formula, loss_value, slow_motion

SMALL = Settings(data="two_gaussians", depth=1, width=8, batch_size=32)


@pytest.mark.parametrize("family", losses.FAMILIES)
def test_the_written_out_losses_equal_those_of_the_library(family):
    real, fake = np.random.default_rng(0).normal(0, 2, (2, 50))
    discriminator_loss, generator_loss = losses.FAMILIES[family]
    assert loss_value(family, "D", real, fake) == pytest.approx(
        float(discriminator_loss(real, fake))
    )
    expected = generator_loss(real, fake) if family == "relativistic" else generator_loss(fake)
    assert loss_value(family, "G", real, fake) == pytest.approx(float(expected))


def test_a_formula_is_filled_with_its_terms_and_their_sum():
    formula = loss_formula("least_squares", "D", np.array([0.0]), np.array([2.0]))
    assert formula == (
        r"L_D=\overline{\tfrac12(D(x)-1)^2}+\overline{\tfrac12D(G(z))^2}=0.5000+2.0000=2.5000"
    )
    assert loss_formula("wasserstein", "G", np.zeros(1), np.array([2.0])).endswith("=-2.0000")


@pytest.mark.parametrize("changes", [{}, {"loss": "relativistic", "penalty": "R1+R2"}])
def test_ten_sub_steps_are_the_two_half_steps_bit_for_bit(changes):
    settings = dataclasses.replace(SMALL, **changes)
    slow, plain = Laboratory(settings), Laboratory(settings)
    assert len(list(slow_motion(slow))) == 10
    plain.discriminator_step()
    plain.generator_step()
    for key, value in plain._machine.state().items():
        np.testing.assert_array_equal(slow._machine.state()[key], value)
    assert slow.code() == plain.code()


@pytest.mark.parametrize("family", losses.FAMILIES)
def test_the_loss_that_is_shown_is_the_one_that_the_step_reports(family):
    settings = dataclasses.replace(SMALL, loss=family)
    shown = [float(re.search(r"value: (-?[\d.]+)\.", s.words)[1])
             for s in slow_motion(Laboratory(settings)) if " 3. " in s.title]  # fmt: skip
    lab = Laboratory(settings)
    reported = [lab.discriminator_step()["d_loss"], lab.generator_step()["g_loss"]]
    assert shown == pytest.approx(reported, abs=1e-4)


def test_weights_move_at_the_fifth_and_the_tenth_sub_step_only():
    lab = Laboratory(SMALL)
    moved, before = [], lab._machine.state()
    for number, _ in enumerate(slow_motion(lab), start=1):
        now = lab._machine.state()
        if any((now[key] != before[key]).any() for key in now):
            moved.append(number)
        before = now
    assert moved == [5, 10]


@pytest.mark.parametrize("penalty", ["R1", "R1+R2", "WGAN-GP"])
def test_the_loss_with_its_penalty_is_what_the_step_descends(penalty):
    """With plain SGD of rate 1 the weights move by the gradient, so by its norm."""
    settings = dataclasses.replace(SMALL, penalty=penalty, gamma=3.0, optimizer="sgd",
                                   d_learning_rate=1.0)  # fmt: skip
    shown = list(slow_motion(Laboratory(settings)))[:5]
    norm, moved = (float(re.search(r"=([\d.]+)$", shown[k].formula)[1]) for k in (3, 4))
    assert moved == pytest.approx(norm, rel=1e-3)  # both are shown with three decimals
    assert f"With the {penalty} penalty: " in shown[2].words
