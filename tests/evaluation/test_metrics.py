"""Retrieval metrics against naive twins, and the two traps that flatter a broken model."""

import itertools
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kinoscope.errors import UsageError
from kinoscope.evaluation.metrics import (
    auroc,
    auroc_of_pairs,
    chance_recall,
    mean_with_interval,
    paired_p_value,
    ranks,
    recall_at,
    spearman,
    tied,
)


@st.composite
def tasks(draw):
    """Scores with many ties, and one or more positives a query."""
    queries, items = draw(st.integers(1, 6)), draw(st.integers(1, 7))
    levels = st.sampled_from([-1.0, 0.0, 0.5, 1.0])
    scores_QN = draw(hnp.arrays(np.float64, (queries, items), elements=levels))
    right = st.lists(st.integers(0, items - 1), min_size=1, max_size=3, unique=True)
    return scores_QN, draw(st.lists(right, min_size=queries, max_size=queries))


def naive_rank(scores, right):
    best = max(scores[item] for item in right)
    return 1 + sum(s >= best for item, s in enumerate(scores) if item not in right)


@given(tasks())
def test_ranks_equal_a_loop_over_items(task):
    scores_QN, positives = task
    expected = [naive_rank(row, right) for row, right in zip(scores_QN, positives, strict=True)]
    assert ranks(scores_QN, positives).tolist() == expected


@given(tasks(), st.randoms())
def test_ranks_do_not_depend_on_the_order_of_items(task, random):
    scores_QN, positives = task
    order = list(range(scores_QN.shape[1]))
    random.shuffle(order)
    moved = [[order.index(item) for item in right] for right in positives]
    assert (ranks(scores_QN[:, order], moved) == ranks(scores_QN, positives)).all()


@given(tasks())
def test_tied_equals_a_loop_over_items(task):
    scores_QN, positives = task
    expected = [
        any(row[i] == max(row[r] for r in right) for i in range(len(row)) if i not in right)
        for row, right in zip(scores_QN, positives, strict=True)
    ]
    assert tied(scores_QN, positives).tolist() == expected


def test_a_tie_counts_against_the_query():
    scores_QN = np.array([[3.0, 3.0, 1.0]])
    assert ranks(scores_QN, [[0]]).tolist() == ranks(scores_QN, [[1]]).tolist() == [2]


def test_of_several_positives_the_best_counts_and_none_pushes_another_down():
    assert ranks(np.array([[1.0, 5.0, 5.0, 9.0]]), [[0, 1, 2]]).tolist() == [2]


def test_a_collapsed_model_has_no_recall_below_the_whole_gallery():
    place_QN = np.ones((8, 8))
    positives = [[i] for i in range(8)]
    found = ranks(place_QN, positives)
    assert recall_at(1, found).mean() == recall_at(7, found).mean() == 0.0
    assert recall_at(8, found).mean() == 1.0
    assert tied(place_QN, positives).mean() == 1.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(0, 0), (1, 2)])
def test_scores_that_are_not_finite_are_an_error_not_a_perfect_recall(bad, place):
    scores_QN = np.zeros((2, 3))
    scores_QN[place] = bad
    for metric in (ranks, tied):
        with pytest.raises(UsageError, match="1 of 6 scores are NaN or infinite"):
            metric(scores_QN, [[0], [1]])


@pytest.mark.parametrize("positives", [[[0], []], [[0], [3]], [[0], [-1]]])
def test_a_positive_outside_the_gallery_or_none_is_an_error(positives):
    with pytest.raises(UsageError, match=r"of query 1: at least one, in 0\.\.2"):
        ranks(np.zeros((2, 3)), positives)


@pytest.mark.parametrize(("shape", "queries"), [((2, 3), 1), ((3,), 3), ((0, 3), 0)])
def test_scores_and_positives_must_fit(shape, queries):
    with pytest.raises(UsageError, match="need \\[Q, N\\], Q >= 1"):
        ranks(np.zeros(shape), [[0]] * queries)


@given(tasks())
def test_recall_grows_with_k_up_to_one(task):
    scores_QN, positives = task
    found = ranks(scores_QN, positives)
    curve = [recall_at(k, found).mean() for k in range(1, scores_QN.shape[1] + 1)]
    assert curve == sorted(curve) and curve[-1] == 1.0


def test_k_below_one_is_an_error():
    with pytest.raises(UsageError, match="k is at least 1"):
        recall_at(0, np.array([1]))
    with pytest.raises(UsageError, match="both are at least 1"):
        chance_recall(5, 0)


@pytest.mark.parametrize(("gallery", "k"), [(1, 1), (5, 2), (4, 9)])
def test_chance_is_the_mean_recall_over_all_orders(gallery, k):
    orders = list(itertools.permutations(range(gallery)))[:: 1 if gallery < 6 else 7]
    found = np.array([1 + order.index(0) for order in orders])
    assert recall_at(k, found).mean() == pytest.approx(chance_recall(gallery, k))


scores_N = hnp.arrays(
    np.float64, st.integers(1, 8), elements=st.sampled_from([-1.0, 0.0, 0.25, 2.0])
)


@given(scores_N, scores_N)
def test_auroc_equals_a_loop_over_pairs(right, wrong):
    pairs = [(a > b) + 0.5 * (a == b) for a in right for b in wrong]
    assert auroc(right, wrong) == pytest.approx(statistics.fmean(pairs))


def test_auroc_of_nothing_or_of_nan_is_an_error():
    with pytest.raises(UsageError, match="at least one positive"):
        auroc(np.array([]), np.array([1.0]))
    with pytest.raises(UsageError, match="NaN or infinite"):
        auroc(np.array([np.nan]), np.array([1.0]))


def test_auroc_of_pairs_takes_the_diagonal_as_matching():
    scores_NN = np.array([[3.0, 0.0, 1.0], [0.0, 1.0, 2.0], [0.0, 0.0, 4.0]])
    found = auroc_of_pairs(scores_NN)
    wrong = [s for i, row in enumerate(scores_NN) for j, s in enumerate(row) if i != j]
    assert found.value == auroc(np.array([3.0, 1.0, 4.0]), np.array(wrong))
    assert found.low <= found.value <= found.high and found.n == 3


def test_a_video_drawn_twice_is_not_its_own_wrong_answer():
    assert auroc_of_pairs(np.eye(3)).interval == (1.0, 1.0, 1.0)
    collapsed = auroc_of_pairs(np.ones((4, 4)))
    assert collapsed.interval == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (4,)])
def test_auroc_of_pairs_needs_a_square(shape):
    with pytest.raises(UsageError, match="need a square of at least 2 x 2"):
        auroc_of_pairs(np.zeros(shape))


def naive_interval(values, clusters, resamples, seed):
    """Draws whole clusters one by one."""
    random = np.random.default_rng(seed)
    groups = {c: [v for v, d in zip(values, clusters, strict=True) if d == c] for c in clusters}
    means = []
    for _ in range(resamples):
        drawn = random.choice(len(groups), size=len(groups))
        means.append(np.mean(np.concatenate([list(groups.values())[i] for i in drawn])))
    return np.quantile(means, [0.025, 0.975])


def test_the_interval_equals_a_naive_bootstrap_over_clusters():
    random = np.random.default_rng(1)
    values_Q = (random.random(60) < 0.4).astype(float)
    clusters = random.integers(0, 17, size=60).tolist()
    found = mean_with_interval(values_Q, clusters)
    low, high = naive_interval(values_Q, clusters, 3000, seed=2)
    assert found.value == values_Q.mean() and found.n == 60
    assert found.low == pytest.approx(low, abs=0.02)
    assert found.high == pytest.approx(high, abs=0.02)


def test_repeating_each_query_of_a_video_does_not_narrow_the_interval():
    random = np.random.default_rng(3)
    values_Q = (random.random(40) < 0.5).astype(float)
    once = mean_with_interval(values_Q, list(range(40)))
    names = [video for video in range(40) for _ in range(5)]
    clustered = mean_with_interval(np.repeat(values_Q, 5), names)
    assert (clustered.low, clustered.high) == (once.low, once.high)
    naive = mean_with_interval(np.repeat(values_Q, 5), list(range(200)))
    assert naive.high - naive.low < 0.6 * (once.high - once.low)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    random = np.random.default_rng(4)
    hits = 0
    for trial in range(200):
        values_Q = (random.random(50) < 0.3).astype(float)
        found = mean_with_interval(values_Q, range(50), resamples=500, seed=trial)
        hits += found.low <= 0.3 <= found.high
    assert 0.88 <= hits / 200 <= 0.99


@given(hnp.arrays(np.float64, st.integers(1, 9), elements=st.floats(-5, 5)), st.integers(0, 9))
@settings(max_examples=30)
def test_the_interval_holds_the_mean_and_the_seed_decides(values_Q, seed):
    clusters = [i // 2 for i in range(len(values_Q))]
    found = mean_with_interval(values_Q, clusters, resamples=50, seed=seed)
    assert found.low <= found.value <= found.high
    assert mean_with_interval(values_Q, clusters, resamples=50, seed=seed) == found


def test_an_interval_needs_one_finite_value_a_cluster_name():
    with pytest.raises(UsageError, match="one each, not none"):
        mean_with_interval(np.ones(3), ["a", "b"])
    with pytest.raises(UsageError, match="one each, not none"):
        mean_with_interval(np.ones(0), [])
    with pytest.raises(UsageError, match="NaN or infinite"):
        mean_with_interval(np.array([np.nan]), ["a"])


def exact_p(first, second):
    differences = np.subtract(first, second)
    signs = np.array(list(itertools.product([-1, 1], repeat=len(differences))))
    return (np.abs(signs @ differences) >= abs(differences.sum()) - 1e-9).mean()


@pytest.mark.parametrize("seed", range(4))
def test_the_paired_test_agrees_with_all_sign_flips(seed):
    random = np.random.default_rng(seed)
    first, second = random.random(9) + 0.15, random.random(9)
    assert paired_p_value(first, second) == pytest.approx(exact_p(first, second), abs=0.02)


def test_equal_systems_have_p_one_and_clearly_better_ones_a_small_p():
    values_Q = np.random.default_rng(0).random(40)
    assert paired_p_value(values_Q, values_Q) == 1.0
    better = paired_p_value(values_Q + 1, values_Q)
    assert better == paired_p_value(values_Q, values_Q + 1) == 1 / 10_001


def test_a_paired_test_needs_pairs():
    with pytest.raises(UsageError, match="paired test of 3 and 2 values"):
        paired_p_value(np.ones(3), np.ones(2))
    with pytest.raises(UsageError, match="NaN or infinite"):
        paired_p_value(np.array([np.nan]), np.ones(1))


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=2, max_size=9))
def test_a_rank_correlation_is_that_of_mean_ranks(pairs):
    first, second = (np.array(side) for side in zip(*pairs, strict=True))

    def mean_ranks(values):
        return [
            statistics.fmean(place for place, one in enumerate(sorted(values)) if one == value)
            for value in values
        ]

    if len(set(first.tolist())) == 1 or len(set(second.tolist())) == 1:
        assert spearman(first, second) == 0
        return
    expected = statistics.correlation(mean_ranks(first), mean_ranks(second))
    assert spearman(first, second) == pytest.approx(expected, abs=1e-12)
    assert spearman(second, first) == pytest.approx(expected, abs=1e-12)
    assert spearman(first, -second) == pytest.approx(-expected, abs=1e-12)


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ([1.0], [1.0, 2.0], "correlation of 1 and 2 values"),
        ([], [], "correlation of 0 and 0 values"),
        ([1.0, np.nan], [1.0, 2.0], "1 of 2 scores are NaN or infinite"),
    ],
)
def test_senseless_correlations_are_refused(first, second, words):
    with pytest.raises(UsageError, match=words):
        spearman(np.array(first), np.array(second))
