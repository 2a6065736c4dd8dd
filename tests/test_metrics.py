"""Metrics are compared with textbook formulas, double loops and cases known in closed form."""

import numpy as np
import pytest
from scipy import linalg

from course_lib import metrics


def features(count, width, seed=0, *, mean=0.0, scale=1.0):
    return mean + scale * np.random.default_rng(seed).normal(size=(count, width))


def correlated(count, width, seed):
    mixing = np.random.default_rng(100 + seed).normal(size=(width, width))
    return features(count, width, seed) @ mixing


def exact_moments(count, mean, covariance, seed=0):
    """Return a sample whose mean and np.cov are exactly the given ones."""
    raw = features(count, len(mean), seed)
    raw -= raw.mean(axis=0)
    white = raw @ np.linalg.inv(np.linalg.cholesky(np.cov(raw, rowvar=False))).T
    return mean + white @ np.linalg.cholesky(covariance).T


# Fréchet distance --------------------------------------------------------------------------------


def textbook_frechet(a, b):
    covariance_a, covariance_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = linalg.sqrtm(covariance_a @ covariance_b).real
    difference = a.mean(axis=0) - b.mean(axis=0)
    return difference @ difference + np.trace(covariance_a + covariance_b - 2 * root)


@pytest.mark.parametrize("width", [1, 2, 7, 32])
def test_frechet_distance_matches_the_formula_with_a_matrix_root(width):
    a, b = correlated(200, width, 1), 0.3 + correlated(150, width, 2)
    expected = textbook_frechet(a, b) if width > 1 else one_dimensional_frechet(a, b)
    assert metrics.frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)


def one_dimensional_frechet(a, b):
    return (a.mean() - b.mean()) ** 2 + (a.std(ddof=1) - b.std(ddof=1)) ** 2


def test_frechet_golden_value():
    a = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]])  # mean 1, covariance 4/3 I
    b = np.array([[3.0, 1.0], [3.0, -1.0], [5.0, 1.0], [5.0, -1.0]]) * 2  # mean (8, 0), 16/3 I
    by_hand = 7.0**2 + 1.0**2 + 2 * (np.sqrt(4 / 3) - np.sqrt(16 / 3)) ** 2
    assert metrics.frechet_distance(a, b) == pytest.approx(by_hand)
    assert by_hand == pytest.approx(52.6666667)


def test_frechet_distance_of_a_shift_is_its_squared_length():
    a, shift = correlated(100, 5, 0), np.array([3.0, 0.0, -4.0, 0.0, 12.0])
    assert metrics.frechet_distance(a, a + shift) == pytest.approx(169.0, rel=1e-9)


def test_frechet_distance_of_two_scales_is_analytic():
    a = exact_moments(50, np.zeros(6), 4.0 * np.eye(6), 1)
    b = exact_moments(80, np.zeros(6), 9.0 * np.eye(6), 2)
    assert metrics.frechet_distance(a, b) == pytest.approx(6 * (3 - 2) ** 2, rel=1e-9)


def test_frechet_distance_of_axes_that_do_not_commute():
    turn = np.array([[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]])
    first, second = np.diag([4.0, 1.0]), turn @ np.diag([9.0, 0.25]) @ turn.T
    a, b = exact_moments(30, np.zeros(2), first, 1), exact_moments(40, np.zeros(2), second, 2)
    root_trace = np.sqrt(np.trace(first @ second) + 2 * np.sqrt(np.linalg.det(first @ second)))
    expected = np.trace(first) + np.trace(second) - 2 * root_trace
    assert metrics.frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("count", "width"), [(100, 8), (5, 8), (2, 64)])
def test_frechet_distance_of_a_set_to_itself_is_zero(count, width):
    a = 1e3 * correlated(count, width, 0)
    distance = metrics.frechet_distance(a, a[::-1])
    assert 0 <= distance <= 1e-12 * np.square(a).sum()


def test_frechet_distance_with_fewer_rows_than_columns_matches_the_padded_formula():
    a, b = correlated(6, 20, 1), correlated(9, 20, 2)
    values, vectors = np.linalg.eigh(np.cov(a, rowvar=False))
    half = vectors * np.sqrt(values.clip(0)) @ vectors.T
    inner = np.linalg.eigvalsh(half @ np.cov(b, rowvar=False) @ half).clip(0)
    traces = np.trace(np.cov(a, rowvar=False)) + np.trace(np.cov(b, rowvar=False))
    expected = np.square(a.mean(0) - b.mean(0)).sum() + traces - 2 * np.sqrt(inner).sum()
    assert metrics.frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


def in_wider_space(a, width=40):
    """Return the rows in a random subspace of a wider space: most directions are dead."""
    return a @ np.linalg.qr(features(width, width, 3))[0][: a.shape[1]]


def test_dead_directions_leave_the_frechet_distance_exact():
    a, b = correlated(200, 12, 1), correlated(200, 12, 2)
    distance = metrics.frechet_distance(in_wider_space(a), in_wider_space(b))
    assert distance == pytest.approx(metrics.frechet_distance(a, b), rel=1e-12)


def test_directions_that_are_dead_in_one_set_only_add_no_rounding():
    a = in_wider_space(correlated(200, 12, 1))
    b = in_wider_space(correlated(200, 12, 2)) + 1e-3 * features(200, 40, 4)
    rows_a, rows_b = a - a.mean(axis=0), b - b.mean(axis=0)
    root = np.linalg.svd(rows_a @ rows_b.T, compute_uv=False).sum() / 199
    traces = (np.square(rows_a).sum() + np.square(rows_b).sum()) / 199
    expected = np.square((a - b).mean(axis=0)).sum() + traces - 2 * root
    assert metrics.frechet_distance(a, b) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(
    ("weak_a", "weak_b", "rounding"),  # a root shows the 1e-16 of a covariance as 1e-8
    [
        (1.0, 1.0, 1e-12),
        (1e-3, 1e-3, 1e-12),
        (1e-6, 1.0, 1e-8),
        (1e-9, 1.0, 1e-8),
        (0.0, 1.0, 1e-12),
    ],
)
def test_a_weak_direction_counts_by_its_deviation(seed, weak_a, weak_b, rounding):
    """A covariance's rounding is of either sign: twenty turns see both."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, 400, 6)) * np.array([1, 2, 3, 1, 2, 1.0])
    a[:, 5] *= weak_a
    b[:, 5] *= weak_b
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    rows_a, rows_b = a - a.mean(axis=0), b - b.mean(axis=0)
    root = np.linalg.svd(rows_a @ rows_b.T, compute_uv=False).sum() / 399
    traces = (np.square(rows_a).sum() + np.square(rows_b).sum()) / 399
    expected = np.square((a - b).mean(axis=0)).sum() + traces - 2 * root
    assert metrics.frechet_distance(a @ turn, b @ turn) == pytest.approx(expected, abs=rounding)


def test_frechet_distance_to_a_collapsed_set():
    a, collapsed = correlated(50, 4, 0), np.full((50, 4), 2.0)
    expected = np.square(a.mean(axis=0) - 2).sum() + np.trace(np.cov(a, rowvar=False))
    assert metrics.frechet_distance(a, collapsed) == pytest.approx(expected, rel=1e-12)


def test_frechet_distance_keeps_its_digits_in_float32_far_from_zero():
    a = features(500, 4, 1).astype("float32") + np.float32(1000)
    b = features(500, 4, 2).astype("float32") + np.float32(1000)
    wide = metrics.frechet_distance(a.astype("float64") - 1000, b.astype("float64") - 1000)
    assert metrics.frechet_distance(a, b) == pytest.approx(wide, rel=1e-8)


# Kernel distance ---------------------------------------------------------------------------------


def textbook_kernel_distance(a, b):
    def kernel(x, y):
        return (x @ y / len(x) + 1) ** 3

    within = [
        np.mean([kernel(x, y) for i, x in enumerate(s) for j, y in enumerate(s) if i != j])
        for s in (a, b)
    ]
    return sum(within) - 2 * np.mean([kernel(x, y) for x in a for y in b])


def test_kernel_distance_matches_a_double_loop():
    a, b = features(9, 4, 1), features(13, 4, 2, mean=0.5)
    expected = textbook_kernel_distance(a, b)
    assert metrics.kernel_distance(a, b) == pytest.approx(expected, rel=1e-12)


def test_kernel_golden_value():
    a, b = np.array([[1.0], [2.0]]), np.array([[0.0], [-1.0]])
    # k(1, 2) = 27, k(0, -1) = 1, between: k(1, 0) = k(2, 0) = 1, k(1, -1) = 0, k(2, -1) = -1
    assert metrics.kernel_distance(a, b) == pytest.approx(27 + 1 - 2 * 0.25)


def test_kernel_distance_is_zero_on_average_for_one_distribution():
    pool = features(4000, 3, 0)
    values = [metrics.kernel_distance(*np.split(part, 2)) for part in np.split(pool, 200)]
    error = np.std(values) / np.sqrt(200)
    assert abs(np.mean(values)) < 3 * error
    assert min(values) < 0  # unbiased: it must go below 0 as well


def test_kernel_distance_grows_with_the_shift():
    a = features(300, 8, 1)
    shifted = [metrics.kernel_distance(a, features(300, 8, 2, mean=m)) for m in (0.0, 0.5, 1.0)]
    assert shifted[0] < shifted[1] < shifted[2]


def test_blocks_do_not_change_the_numbers(monkeypatch):
    a, b = features(40, 5, 1), features(31, 5, 2, mean=0.2)
    whole = metrics.kernel_distance(a, b), metrics.precision_recall(a, b)
    monkeypatch.setattr(metrics, "_BLOCK", 100)  # 2 to 3 rows at a time
    assert metrics.kernel_distance(a, b) == pytest.approx(whole[0], rel=1e-12)
    assert metrics.precision_recall(a, b) == whole[1]


def test_blocks_cover_every_row_once_and_stay_small():
    blocks = list(metrics._blocks(10_000, 3_000))
    rows = np.concatenate([np.arange(10_000)[block] for block in blocks])
    np.testing.assert_array_equal(rows, np.arange(10_000))
    assert max(b.stop - b.start for b in blocks) * 3_000 <= metrics._BLOCK
    assert len(list(metrics._blocks(3, 2 * metrics._BLOCK))) == 3  # never less than one row


def test_the_standard_error_predicts_the_spread():
    results = [
        metrics.kernel_distance_with_error(
            features(200, 3, seed), features(200, 3, 1000 + seed), subsets=10, seed=seed
        )
        for seed in range(60)
    ]
    values, errors = np.array(results).T
    assert 0.7 < np.std(values / errors) < 1.5
    assert abs(values.mean()) < 3 * values.std() / np.sqrt(60)


def test_the_mean_over_subsets_uses_disjoint_rows_of_equal_number():
    a, b = features(11, 2, 1), features(17, 2, 2)
    result = metrics.kernel_distance_with_error(a, b, subsets=4, seed=3)
    generator = np.random.default_rng(3)
    parts_a = np.split(a[generator.permutation(11)[:8]], 4)
    parts_b = np.split(b[generator.permutation(17)[:16]], 4)
    values = [textbook_kernel_distance(x, y) for x, y in zip(parts_a, parts_b, strict=True)]
    assert result.value == pytest.approx(np.mean(values), rel=1e-12)
    assert result.standard_error == pytest.approx(np.std(values, ddof=1) / 2, rel=1e-12)


# Precision and recall ----------------------------------------------------------------------------


def textbook_precision_recall(real, fake, k):
    def covered(points, centres):
        within = np.linalg.norm(centres[:, None] - centres[None], axis=-1)
        radii = np.sort(within, axis=1)[:, k]  # column 0 is the point itself
        distances = np.linalg.norm(points[:, None] - centres[None], axis=-1)
        return (distances <= radii).any(axis=1).mean()

    return covered(fake, real), covered(real, fake)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_precision_recall_matches_sorted_distances(k):
    real, fake = features(60, 3, 1), features(50, 3, 2, mean=0.8, scale=0.7)
    expected = textbook_precision_recall(real, fake, k)
    assert metrics.precision_recall(real, fake, k) == pytest.approx(expected)
    assert 0 < expected[0] < 1 and 0 < expected[1] < 1


def test_precision_recall_by_hand():
    real = np.array([[0.0], [1.0], [3.0], [10.0]])  # radii for k = 1: 1, 1, 2, 7
    fake = np.array([[-0.5], [2.5], [17.5], [30.0]])  # radii for k = 1: 3, 3, 12.5, 12.5
    # Covered: -0.5 and 2.5 by real balls, 17.5 (10 + 7 < 17.5) and 30 not.
    # Met: 0, 1, 3 by the first two fake balls, 10 by the third (17.5 - 12.5 = 5).
    assert metrics.precision_recall(real, fake, k=1) == (0.5, 1.0)


def test_a_narrow_generator_has_high_precision_and_low_recall():
    fake, real = features(1000, 2, 1, scale=0.1), features(1000, 2, 2, scale=3.0)
    precision, recall = metrics.precision_recall(real, fake)
    assert precision > 0.8 and recall < 0.3
    swapped = metrics.precision_recall(fake, real)
    assert swapped.precision < 0.3 and swapped.recall > 0.8


def test_equal_sets_have_precision_and_recall_one():
    a = features(50, 16, 0, mean=100.0).astype("float32")
    assert metrics.precision_recall(a, a[::-1]) == (1.0, 1.0)


def test_a_collapsed_generator_meets_no_real_image():
    real = features(50, 4, 0, mean=5.0)
    copies = np.tile(real[:1], (20, 1))
    precision, recall = metrics.precision_recall(real, copies)
    assert precision == 1.0 and recall == pytest.approx(1 / 50)  # only the one it copies


def test_exact_copies_are_at_distance_zero():
    real = features(50, 64, 0, mean=3.0)
    copies = np.repeat(real[:10], 5, axis=0)  # more copies than k: all balls have radius 0
    assert metrics.precision_recall(real, copies) == (1.0, pytest.approx(10 / 50))
    assert (metrics._squared_distances(real, real).diagonal() == 0).all()
    assert (metrics._squared_distances(real, real + 1e-5).diagonal() > 0).all()


def test_points_on_the_edge_of_a_ball_count_as_covered():
    corners = 3.0 * np.arange(20)
    real = np.concatenate([corners, corners + 0.1])[:, None]  # radius 0.1 for k = 1
    fake = corners[:, None] + 0.2  # 0.1 to the right, give or take rounding
    assert metrics.precision_recall(real, fake, k=1).precision == 1.0


def test_precision_recall_keeps_its_digits_far_from_zero():
    real, fake = features(60, 3, 1), features(50, 3, 2, mean=0.8, scale=0.7)
    moved = metrics.precision_recall(real + 1e6, fake + 1e6)
    assert moved == metrics.precision_recall(real, fake)


# All feature metrics -----------------------------------------------------------------------------

TWO_SETS = [metrics.frechet_distance, metrics.kernel_distance, metrics.precision_recall]


@pytest.mark.parametrize("metric", TWO_SETS)
def test_the_order_of_rows_does_not_matter(metric):
    a, b = features(60, 5, 1), features(50, 5, 2, mean=0.3)
    order = np.random.default_rng(0).permutation(60)
    assert metric(a[order], b[::-1]) == pytest.approx(metric(a, b), rel=1e-9)


@pytest.mark.parametrize("metric", TWO_SETS[:2])
def test_distances_are_symmetric(metric):
    a, b = features(60, 5, 1), features(50, 5, 2, mean=0.3)
    assert metric(a, b) == pytest.approx(metric(b, a), rel=1e-9)


@pytest.mark.parametrize("metric", [*TWO_SETS, metrics.kernel_distance_with_error])
def test_results_are_python_floats_and_inputs_are_untouched(metric):
    a, b = features(60, 5, 1), features(50, 5, 2)
    before = a.copy(), b.copy()
    result = metric(a, b)
    assert all(type(value) is float for value in np.atleast_1d(result).tolist())
    assert type(result) is float or all(type(value) is float for value in result)
    np.testing.assert_array_equal(a, before[0])
    np.testing.assert_array_equal(b, before[1])


@pytest.mark.parametrize("metric", [*TWO_SETS, metrics.kernel_distance_with_error])
def test_unusable_features_are_refused_with_their_shape(metric):
    good = features(60, 5)
    broken = good.copy()
    broken[7] = np.nan
    for bad, message in [
        (good[0], r"must be a float array \(count, width\), got shape \(5,\)"),
        (good.astype("uint8"), r"got shape \(60, 5\) and dtype uint8: one row"),
        (good[:, :4], r"same width, got shapes .*\(60, 4\).*: use one extractor"),
        (good[:1], r"has shape \(1, 5\); at least \d+ rows are needed"),
        (broken, r"of shape \(60, 5\) has NaN or infinity in 1 rows"),
    ]:
        with pytest.raises(ValueError, match=message):
            metric(good, bad)
        with pytest.raises(ValueError, match=message):
            metric(bad, good)


def test_error_messages_name_the_argument():
    good = features(60, 5)
    with pytest.raises(ValueError, match="^fake has shape"):
        metrics.precision_recall(good, good[:3])
    with pytest.raises(ValueError, match="^features_a must be"):
        metrics.frechet_distance(good[0], good)


def test_precision_recall_needs_one_row_more_than_k():
    good = features(60, 5)
    assert metrics.precision_recall(good, good[:4], k=3).precision == 1.0
    with pytest.raises(ValueError, match=r"\(3, 5\); at least 4 rows"):
        metrics.precision_recall(good[:3], good, k=3)
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        metrics.precision_recall(good, good, k=0)


def test_a_standard_error_needs_two_subsets():
    with pytest.raises(ValueError, match="subsets must be at least 2 .* got 1"):
        metrics.kernel_distance_with_error(features(60, 5), features(60, 5), subsets=1)
    with pytest.raises(ValueError, match="at least 20 rows are needed"):
        metrics.kernel_distance_with_error(features(60, 5), features(19, 5), subsets=10)


# Mode coverage -----------------------------------------------------------------------------------


def test_even_labels_cover_everything_without_divergence():
    assert metrics.mode_coverage(np.arange(30) % 10, 10) == pytest.approx((10, 0.0, 0.0))


def test_full_collapse_scores_one_class_and_ln_n():
    coverage = metrics.mode_coverage(np.full(100, 3), 10)
    assert coverage.covered == 1 and type(coverage.covered) is int
    assert coverage.reverse_kl == pytest.approx(np.log(10))
    assert coverage.total_variation == pytest.approx(0.9)


def test_mode_coverage_by_hand():
    coverage = metrics.mode_coverage(np.array([0, 0, 0, 1]), 4)  # shares 3/4, 1/4, 0, 0
    assert coverage.covered == 2
    assert coverage.reverse_kl == pytest.approx(0.75 * np.log(3) + 0.25 * np.log(1))
    assert coverage.total_variation == pytest.approx(0.5 * (0.5 + 0.0 + 0.25 + 0.25))


def test_mode_coverage_against_expected_shares_is_the_reverse_divergence():
    labels = np.array([0, 0, 1, 2])
    coverage = metrics.mode_coverage(labels, 3, probabilities=[0.25, 0.25, 0.5])
    expected = 0.5 * np.log(2) + 0.25 * np.log(1) + 0.25 * np.log(0.5)
    assert coverage.reverse_kl == pytest.approx(expected)
    assert coverage.total_variation == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("labels", "classes", "probabilities", "message"),
    [
        ([0, 1, 3], 3, None, r"in \[0, 3\), got values from 0 to 3"),
        ([0, -1], 3, None, r"in \[0, 3\), got values from -1 to 0"),
        ([0.0, 1.0], 3, None, r"shape \(2,\) and dtype float64"),
        ([[0, 1]], 3, None, r"shape \(1, 2\) and dtype int64"),
        (np.zeros(0, int), 3, None, r"shape \(0,\) and dtype int64"),
        ([0, 1], 2, [0.5, 0.6], "2 positive numbers that sum to 1, .* sum 1.1"),
        ([0, 1], 2, [1.0, 0.0], "2 positive numbers that sum to 1, .* minimum 0"),
        ([0, 1], 2, [0.2, 0.3, 0.5], r"2 positive numbers .* shape \(3,\)"),
    ],
)
def test_unusable_labels_are_refused(labels, classes, probabilities, message):
    with pytest.raises(ValueError, match=message):
        metrics.mode_coverage(np.asarray(labels), classes, probabilities=probabilities)


# Points in the plane -----------------------------------------------------------------------------

SQUARE = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0], [4.0, 4.0]])


def test_a_mode_report_by_hand():
    at = [[0.0, 0.0]] * 6 + [[4.0, 0.29]] * 2 + [[0.0, 3.6]] + [[2.1, 2.1]]
    report = metrics.mode_report(at, SQUARE, 0.1)
    # 9 points count as near: 6 at the first mode, 2 at the second; 0.4 and 2.7 are beyond 3 sigma.
    assert report.on_mode == pytest.approx(0.8)
    assert report.covered == 2
    shares = np.array([0.6, 0.2, 0.1, 0.1])
    assert report.reverse_kl == pytest.approx((shares * np.log(shares * 4)).sum())


def test_one_stray_point_does_not_cover_a_mode():
    points = np.concatenate([np.zeros((400, 2)), SQUARE[1:2]])
    assert metrics.mode_report(points, SQUARE, 0.1).covered == 1
    points = np.concatenate([np.zeros((90, 2)), np.tile(SQUARE[1], (10, 1))])
    assert metrics.mode_report(points, SQUARE, 0.1).covered == 2


def test_points_of_the_mixture_itself_have_the_share_of_the_chi_distribution():
    generator = np.random.default_rng(0)
    points = SQUARE[generator.integers(0, 4, 100_000)] + generator.normal(0, 0.2, (100_000, 2))
    report = metrics.mode_report(points, SQUARE, 0.2)
    assert report.on_mode == pytest.approx(1 - np.exp(-4.5), abs=2e-3)
    assert report.covered == 4 and report.reverse_kl < 1e-3


@pytest.mark.parametrize("points", [np.zeros((0, 2)), np.zeros((5, 3)), np.zeros(4)])
def test_a_mode_report_refuses_other_shapes(points):
    with pytest.raises(ValueError, match=r"points must have the shape \(count, 2\), got"):
        metrics.mode_report(points, SQUARE, 0.1)


def test_sliced_wasserstein_of_a_shift_is_the_mean_length_of_its_projections():
    points = np.random.default_rng(0).standard_normal((500, 2))
    shift = np.array([0.3, -0.4])
    # Every projection moves by <shift, theta>; over all angles |cos| has the mean 2 / pi.
    value = metrics.sliced_wasserstein(points, points + shift, directions=720)
    assert value == pytest.approx(0.5 * 2 / np.pi, rel=1e-4)


def test_sliced_wasserstein_agrees_with_scipy_along_each_direction():
    from scipy.stats import wasserstein_distance

    generator = np.random.default_rng(1)
    a, b = generator.standard_normal((200, 2)), generator.uniform(-1, 2, (200, 2))
    angles = np.pi * np.arange(16) / 16
    expected = np.mean(
        [wasserstein_distance(a @ d, b @ d) for d in np.stack([np.cos(angles), np.sin(angles)], 1)]
    )
    assert metrics.sliced_wasserstein(a, b, directions=16) == pytest.approx(expected)


def test_sliced_wasserstein_is_a_symmetric_distance_of_sets():
    generator = np.random.default_rng(2)
    a, b = generator.standard_normal((2, 100, 5))
    assert metrics.sliced_wasserstein(a, a[::-1]) == 0
    assert metrics.sliced_wasserstein(a, b, seed=1) == metrics.sliced_wasserstein(b, a, seed=1)
    assert metrics.sliced_wasserstein(a, b, seed=1) != metrics.sliced_wasserstein(a, b, seed=2)
    assert metrics.sliced_wasserstein(a, 3 + a) > metrics.sliced_wasserstein(a, 1 + a) > 0


@pytest.mark.parametrize("a, b", [((3, 2), (4, 2)), ((3, 2), (3, 3)), ((3,), (3,)), ((0, 2),) * 2])
def test_sliced_wasserstein_refuses_other_shapes(a, b):
    with pytest.raises(ValueError, match="must have the same shape"):
        metrics.sliced_wasserstein(np.zeros(a), np.zeros(b))


def test_sliced_wasserstein_projects_on_unit_vectors_in_any_dimension():
    points = np.random.default_rng(3).standard_normal((20, 5))
    shift = np.array([1.0, 0, 0, 0, 0])
    # E|theta_1| of a uniform unit vector in 5 dimensions: Gamma(5/2) / (sqrt(pi) Gamma(3)) = 3/8.
    value = metrics.sliced_wasserstein(points, points + shift, directions=20_000)
    assert value == pytest.approx(3 / 8, rel=0.02)
