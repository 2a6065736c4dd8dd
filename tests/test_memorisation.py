"""Nearest neighbours and the membership attack, against double loops, SciPy and the bootstrap."""

import numpy as np
import pytest
from scipy import stats

from course_lib import memorisation


def points(count, width, seed=0):
    return np.random.default_rng(seed).normal(size=(count, width))


# Nearest ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3,), (2, 2, 1)])
def test_the_nearest_point_is_the_one_of_a_double_loop(shape):
    queries = points(7, int(np.prod(shape))).reshape(7, *shape)
    others = points(5, int(np.prod(shape)), 1).reshape(5, *shape)
    found = memorisation.nearest(queries, others)
    for index, query in enumerate(queries):
        gaps = [np.sqrt(((query - other) ** 2).sum()) for other in others]
        assert found.indices[index] == np.argmin(gaps)
        assert found.distances[index] == pytest.approx(min(gaps), rel=1e-12)


def test_within_one_set_no_row_is_its_own_neighbour():
    rows = points(6, 2)
    found = memorisation.nearest(rows, rows, same=True)
    for index in range(6):
        gaps = [np.linalg.norm(rows[index] - rows[k]) if k != index else np.inf for k in range(6)]
        assert found.indices[index] == np.argmin(gaps)
        assert found.distances[index] == pytest.approx(min(gaps))
    assert memorisation.nearest(rows, rows).distances.max() == 0


def test_a_copy_is_at_exactly_zero_and_the_first_of_equals_is_named():
    rows = 1e4 + points(4, 3).astype("float32")
    found = memorisation.nearest(rows[2:3], np.concatenate([rows, rows]))
    assert found.distances[0] == 0 and found.indices[0] == 2


def test_the_blocks_change_nothing(monkeypatch):
    queries, others = points(23, 4), points(11, 4, 1)
    whole = memorisation.nearest(queries, others), memorisation.nearest(queries, queries, same=True)
    for block in (1, 11 * 3, 23 * 2):
        monkeypatch.setattr(memorisation, "_BLOCK", block)
        parts = memorisation.nearest(queries, others)
        same = memorisation.nearest(queries, queries, same=True)
        for found, expected in zip((*parts, *same), (*whole[0], *whole[1]), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_the_memory_is_bounded_by_the_block(monkeypatch):
    sizes = []
    original = memorisation.distance.cdist
    monkeypatch.setattr(memorisation, "_BLOCK", 50)

    def watched(a, b):
        sizes.append(len(a) * len(b))
        return original(a, b)

    monkeypatch.setattr(memorisation.distance, "cdist", watched)
    memorisation.nearest(points(30, 2), points(10, 2, 1))
    assert sizes == [50] * 6


@pytest.mark.parametrize(
    "queries, others, same, message",
    [
        (points(2, 3), points(2, 4), False, "same width, got 3 and 4"),
        (np.zeros(3), points(2, 3), False, r"queries must be an array \(count, ...\).*\(3,\)"),
        (points(2, 3), np.zeros((0, 3)), False, r"points must be .* got shape \(0, 3\)"),
        (points(2, 3), np.full((2, 3), np.nan), False, r"points of shape \(2, 3\) has NaN"),
        (np.full((2, 3), np.inf), points(2, 3), False, "queries of shape .* infinity"),
        (points(2, 3), points(3, 3), True, "same=True needs one set .* got 2 and 3 rows"),
        (points(1, 3), points(1, 3), True, "at least 2 rows twice, got 1 and 1"),
    ],
)
def test_other_arrays_are_refused(queries, others, same, message):
    with pytest.raises(ValueError, match=message):
        memorisation.nearest(queries, others, same=same)


# The attack ---------------------------------------------------------------------------------------


def test_the_auc_counts_pairs_and_halves_ties():
    members, others = np.array([1.0, 2.0, 2.0]), np.array([2.0, 3.0])
    # 1 beats both; each 2 ties with 2 and beats 3: 2 + 1.5 + 1.5 of 6.
    assert memorisation.membership_auc(members, others).auc == pytest.approx(5 / 6)
    assert memorisation.membership_auc(others, members).auc == pytest.approx(1 / 6)


def test_the_auc_is_scipys_mann_whitney_statistic():
    members, others = points(40, 1)[:, 0], 0.4 + points(30, 1, 1)[:, 0]
    expected = stats.mannwhitneyu(others, members, alternative="greater", method="asymptotic",
                                  use_continuity=False)  # fmt: skip
    found = memorisation.membership_auc(members, others)
    assert found.auc == pytest.approx(expected.statistic / (40 * 30))
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)


def test_the_standard_error_is_delongs_by_a_double_loop():
    members, others = points(4, 1)[:, 0], 0.3 + points(7, 1, 1)[:, 0]
    wins_of = [[float(member < other) for other in others] for member in members]
    by_member = [sum(row) / 7 for row in wins_of]
    by_other = [sum(row[k] for row in wins_of) / 4 for k in range(7)]
    auc = sum(by_member) / 4
    variance = sum((share - auc) ** 2 for share in by_member) / 3 / 4
    variance += sum((share - auc) ** 2 for share in by_other) / 6 / 7
    found = memorisation.membership_auc(members, others)
    assert found.standard_error == pytest.approx(np.sqrt(variance))


def test_the_standard_error_is_the_spread_over_many_draws():
    random = np.random.default_rng(0)
    draws = [
        memorisation.membership_auc(random.normal(size=60), random.normal(0.8, 1.5, size=40))
        for _ in range(400)
    ]
    spread = np.std([draw.auc for draw in draws], ddof=1)
    assert np.mean([draw.standard_error for draw in draws]) == pytest.approx(spread, rel=0.12)


def test_by_chance_the_auc_scatters_as_it_says_and_the_p_value_is_even():
    random = np.random.default_rng(1)
    draws = [
        memorisation.membership_auc(random.normal(size=25), random.normal(size=15))
        for _ in range(600)
    ]
    spread = np.std([draw.auc for draw in draws], ddof=1)
    assert draws[0].chance_error == pytest.approx(np.sqrt(41 / (12 * 25 * 15)))
    assert spread == pytest.approx(draws[0].chance_error, rel=0.1)
    assert np.mean([draw.p_value < 0.1 for draw in draws]) == pytest.approx(0.1, abs=0.035)


def test_certainty_is_one_with_no_standard_error():
    found = memorisation.membership_auc(np.array([0.0, 0.1, 0.2]), np.array([1.0, 1.1]))
    assert (found.auc, found.standard_error) == (1.0, 0.0) and found.p_value < 0.05


@pytest.mark.parametrize(
    "members, others, message",
    [
        (np.zeros((2, 2)), np.zeros(3), r"member_scores must be .* got shape \(2, 2\)"),
        (np.zeros(3), np.zeros(1), r"other_scores must be at least 2 numbers .* \(1,\)"),
        (np.array([0.0, np.nan]), np.zeros(2), "member_scores .* with 1 NaN"),
    ],
)
def test_other_scores_are_refused(members, others, message):
    with pytest.raises(ValueError, match=message):
        memorisation.membership_auc(members, others)
