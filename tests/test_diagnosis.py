"""Detectors of broken runs, on rows made by hand: each fires on its fault and on no other."""

import numpy as np
import pytest

from course_lib.diagnosis import FEWEST, diagnose

HEALTHY = {"real_logit": 0.2, "fake_logit": -0.2, "auc": 0.6, "reach": 0.95, "on_data": 0.7}
HEALTHY |= {"spread": 1.0, "motion": 0.2}


def rows(count=20, **changes):
    return [{"tick": 100 * k, **HEALTHY, **changes} for k in range(count)]


def names(found):
    return [finding.name for finding in found]


def test_a_healthy_run_has_no_finding():
    assert diagnose(rows()) == []


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({"auc": 0.97}, "saturated discriminator"),
        ({"reach": 0.3, "on_data": 0.8}, "mode collapse"),
        ({"reach": 0.3, "on_data": 0.1, "spread": 0.2}, "mode collapse"),
        ({"motion": 1.0}, "oscillation"),
        ({"real_logit": 2e4}, "divergence"),
        ({"fake_logit": -2e4}, "divergence"),
        ({"spread": 30.0}, "divergence"),
    ],
)
def test_each_fault_is_named_alone(changes, expected):
    assert names(diagnose(rows(**changes))) == [expected]


@pytest.mark.parametrize(
    "changes",
    [
        {"auc": 0.94},
        {"reach": 0.7, "on_data": 0.8},
        {"reach": 0.3, "on_data": 0.2, "spread": 0.8},  # blurred, not collapsed
        {"motion": 0.55},
    ],
)
def test_what_is_short_of_a_limit_is_no_fault(changes):
    assert diagnose(rows(**changes)) == []


def test_motion_counts_in_standard_deviations_of_the_data():
    assert names(diagnose(rows(motion=1.0), scale=2.0)) == []
    assert names(diagnose(rows(motion=1.0), scale=0.5)) == ["oscillation"]


def test_only_the_last_records_count():
    assert diagnose(rows(30, auc=0.99) + rows(20)) == []
    assert names(diagnose(rows(30) + rows(20, auc=0.99))) == ["saturated discriminator"]


def test_one_odd_record_is_no_fault():
    assert diagnose([*rows(20), {**rows(1)[0], "motion": 4.0}]) == []


def test_nothing_is_said_before_there_are_enough_records():
    assert diagnose(rows(FEWEST - 1, auc=0.99)) == []
    assert names(diagnose(rows(FEWEST, auc=0.99))) == ["saturated discriminator"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_divergence_at_once(value):
    (finding,) = diagnose([{"tick": 3, "d_loss": value}])
    assert finding.name == "divergence" and "tick 3" in finding.evidence


def test_rows_that_lack_a_measure_are_no_error():
    assert diagnose([{"tick": k, "auc": 0.6} for k in range(20)]) == []
    assert diagnose([]) == []
