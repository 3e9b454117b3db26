"""AUROC and rank correlation against naive twins."""

import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kinoscope.errors import UsageError
from kinoscope.evaluation.metrics import auroc, auroc_of_pairs, spearman

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
