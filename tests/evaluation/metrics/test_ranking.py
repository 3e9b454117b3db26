"""Retrieval metrics against naive twins and TREC's, and the traps that flatter a broken model."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kinoscope.errors import UsageError
from kinoscope.evaluation.metrics import (
    average_precisions,
    best_of_groups,
    chance_recall,
    ranks,
    ranks_of_each,
    recall_at,
    tied,
)
from kinoscope.evaluation.metrics.checks import ROUNDING


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


@given(tasks(), st.data())
def test_a_gallery_of_its_own_is_that_of_a_smaller_matrix(task, data):
    scores_QN, positives = task
    shown_QN = data.draw(hnp.arrays(np.bool_, scores_QN.shape))
    for query, right in enumerate(positives):
        shown_QN[query, right] = True
    for query, right in enumerate(positives):
        kept = np.flatnonzero(shown_QN[query])
        alone = scores_QN[query : query + 1, kept]
        place = [[kept.tolist().index(item) for item in right]]
        for metric in (ranks, tied, average_precisions):
            whole_Q = metric(scores_QN, positives, shown_QN=shown_QN)
            assert whole_Q[query] == metric(alone, place)[0]


def test_an_own_source_is_masked_not_scored_zero():
    # all cosines are negative: a source set to 0 instead would come first
    scores_QN = np.array([[-0.1, -0.5, -0.9]])
    shown_QN = np.array([[False, True, True]])
    assert ranks(scores_QN, [[1]]).tolist() == [2]
    assert ranks(scores_QN, [[1]], shown_QN=shown_QN).tolist() == [1]
    with pytest.raises(UsageError, match="positive of query 0 is not in its gallery"):
        ranks(scores_QN, [[0]], shown_QN=shown_QN)
    with pytest.raises(UsageError, match=r"galleries \[1, 2\] of scores \[1, 3\]"):
        ranks(scores_QN, [[0]], shown_QN=shown_QN[:, 1:])


def test_equal_vectors_tie_though_products_round_otherwise():
    scores_QN = np.array([[0.5 + 4e-7, 0.5, 0.1], [0.5 + 4e-6, 0.5, 0.1]])
    assert ranks(scores_QN, [[0], [0]]).tolist() == [1, 1]
    assert ranks(scores_QN, [[0], [0]], rounding=ROUNDING).tolist() == [2, 1]
    assert tied(scores_QN, [[0], [0]], rounding=ROUNDING).tolist() == [1, 0]
    assert ranks_of_each(scores_QN, [[0], [0]], rounding=ROUNDING)[0].tolist() == [2, 1]
    found = average_precisions(scores_QN, [[0], [0]], rounding=ROUNDING)
    assert found.tolist() == [0.5, 1.0]


@given(tasks())
def test_average_precision_is_that_of_a_naive_twin(task):
    scores_QN, positives = task
    expected = []
    for scores_N, right in zip(scores_QN, positives, strict=True):
        precisions = []
        for item in right:
            above = sum(
                scores_N[n] >= scores_N[item] for n in range(len(scores_N)) if n not in right
            )
            earlier = [n for n in right if (-scores_N[n], n) <= (-scores_N[item], item)]
            precisions.append(len(earlier) / (len(earlier) + above))
        expected.append(np.mean(precisions))
    assert average_precisions(scores_QN, positives) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
def test_figures_without_ties_are_those_of_trec_eval(seed):
    trec = pytest.importorskip("pytrec_eval")
    random = np.random.default_rng(seed)
    queries, items = 23, 41
    order = [random.permutation(items) for _ in range(queries)]
    scores_QN = np.array(order) / items - 0.3
    positives = [
        random.choice(items, random.integers(1, 6), replace=False).tolist() for _ in range(queries)
    ]
    names = [f"v{item:02d}" for item in range(items)]
    run = {str(q): dict(zip(names, row, strict=True)) for q, row in enumerate(scores_QN.tolist())}
    truth = {str(q): {names[item]: 1 for item in right} for q, right in enumerate(positives)}
    told = trec.RelevanceEvaluator(truth, {"map", "success", "recip_rank"}).evaluate(run)
    found = ranks(scores_QN, positives)
    for name, values_Q in {
        "map": average_precisions(scores_QN, positives),
        "recip_rank": 1 / found,
        **{f"success_{k}": recall_at(k, found) for k in (1, 5, 10)},
    }.items():
        expected = [told[str(query)][name] for query in range(queries)]
        assert values_Q == pytest.approx(expected, abs=1e-6), name


def test_several_captions_count_as_any_as_each_or_by_video():
    # captions 0, 1 are of the queried video, 2, 3 of another, 4 of a third
    scores_QN = np.array([[0.3, 0.9, 0.8, 0.7, 0.5]])
    assert ranks(scores_QN, [[0, 1]]).tolist() == [1]
    found, queries = ranks_of_each(scores_QN, [[0, 1]])
    assert (found.tolist(), queries.tolist()) == ([4, 1], [0, 0])
    worse = np.array([[0.3, 0.6, 0.8, 0.7, 0.5]])
    assert ranks(worse, [[0, 1]]).tolist() == [3], "any of: both captions of the other are above"
    videos = best_of_groups(worse, [0, 0, 1, 1, 2])
    assert videos.tolist() == [[0.6, 0.8, 0.5]]
    assert ranks(videos, [[0]]).tolist() == [2], "by video: the other counts once"


@given(tasks(), st.data())
def test_groups_and_single_positives_equal_loops(task, data):
    scores_QN, positives = task
    items = scores_QN.shape[1]
    groups = data.draw(st.permutations([*range(min(items, 3)), *[0] * (items - min(items, 3))]))
    best = best_of_groups(scores_QN, groups)
    for group in set(groups):
        own = [item for item in range(items) if groups[item] == group]
        assert best[:, group].tolist() == scores_QN[:, own].max(axis=1).tolist()
    found, queries = ranks_of_each(scores_QN, positives)
    expected = [
        (1 + sum(row[n] >= row[item] for n in range(items) if n not in right), query)
        for query, (row, right) in enumerate(zip(scores_QN, positives, strict=True))
        for item in right
    ]
    assert list(zip(found.tolist(), queries.tolist(), strict=True)) == expected


@pytest.mark.parametrize(
    ("groups", "words"), [([0, 2, 2], "without a member"), ([0, 1], r"2 groups of scores \[1, 3\]")]
)
def test_groups_must_fit(groups, words):
    with pytest.raises(UsageError, match=words):
        best_of_groups(np.zeros((1, 3)), groups)
