"""Paired tests against all sign flips; results of unlike queries are not compared."""

import itertools

import numpy as np
import pytest

from kinoscope.errors import UsageError
from kinoscope.evaluation.metrics import PerQuery, compared, paired_p_value


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


def test_signs_of_one_video_flip_together():
    random = np.random.default_rng(8)
    first, second = random.random(8) + 0.2, random.random(8)
    names = [name for name in "abcdefgh" for _ in range(5)]
    once = paired_p_value(first, second)
    assert paired_p_value(np.repeat(first, 5), np.repeat(second, 5), names) == once
    assert paired_p_value(np.repeat(first, 5), np.repeat(second, 5)) < once
    with pytest.raises(UsageError, match="8 values of 3 clusters"):
        paired_p_value(first, second, ["a", "b", "c"])


def test_portions_of_the_flips_do_not_change_a_p_value(monkeypatch):
    random = np.random.default_rng(9)
    first, second = random.random(21) + 0.1, random.random(21)
    whole = paired_p_value(first, second, resamples=500)
    monkeypatch.setattr("kinoscope.evaluation.metrics.intervals._AT_ONCE", 100)
    assert paired_p_value(first, second, resamples=500) == whole


def per_query(values, queries=None, videos=None):
    names = queries or [f"q{n}" for n in range(len(values))]
    return PerQuery(
        queries=tuple(names), videos=tuple(videos or names), values_Q=np.array(values, float)
    )


def test_results_are_compared_query_by_query_in_any_order():
    one = per_query([1, 1, 0, 1], list("abcd"))
    other = per_query([0, 1, 0, 0], list("dcba"))
    found = compared(one, other)
    assert found.mean.value == 0.5, "of a, b, c, d: 1, 1, -1, 1"
    assert found.p_value == paired_p_value(np.array([1.0, 1, -1, 1]), np.zeros(4))
    assert compared(one, one).p_value == 1.0
    assert one.metric.value == 0.75 and repr(one) == "PerQuery(4 queries, 4 videos)"


def test_results_of_other_queries_are_refused_with_their_count():
    one, other = per_query([1, 1, 0], list("abc")), per_query([1, 1], list("ax"))
    with pytest.raises(UsageError, match="2 queries are of the first result alone and 1 of the"):
        compared(one, other)
    with pytest.raises(UsageError, match="about other videos"):
        compared(per_query([1], ["a"], ["v"]), per_query([1], ["a"], ["w"]))


@pytest.mark.parametrize(
    ("values", "queries", "words"),
    [
        ([1.0, 2.0], ["a", "a"], "the query 'a' comes twice"),
        ([np.nan], ["a"], "1 of 1 scores are NaN or infinite"),
        ([1.0], ["a", "b"], r"values \[1\] of 2 queries"),
        ([], [], r"values \[0\] of 0 queries"),
    ],
)
def test_values_that_are_no_result_are_refused(values, queries, words):
    with pytest.raises(UsageError, match=words):
        PerQuery(queries=tuple(queries), videos=tuple(queries), values_Q=np.array(values))
