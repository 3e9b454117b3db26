"""Bootstrap intervals against naive draws of whole videos."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kinoscope.errors import UsageError
from kinoscope.evaluation.metrics import intervals, mean_with_interval, median_with_interval


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


def test_the_median_is_drawn_by_video_too():
    random = np.random.default_rng(5)
    values_Q = random.integers(1, 40, 31)
    videos = random.integers(0, 9, 31).tolist()
    found = median_with_interval(values_Q, videos)
    assert found.value == np.median(values_Q) and found.n == 31
    draws = np.random.default_rng(6)
    names = sorted(set(videos))
    medians = []
    for _ in range(1500):
        drawn = draws.choice(len(names), size=len(names))
        own = [[v for v, d in zip(values_Q, videos, strict=True) if d == names[i]] for i in drawn]
        medians.append(np.median(np.concatenate(own)))
    low, high = np.quantile(medians, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high), abs=2.0)
    with pytest.raises(UsageError, match="one each, not none"):
        median_with_interval(np.ones(2), ["a"])


def test_portions_of_the_draws_do_not_change_an_interval(monkeypatch):
    values_Q = np.random.default_rng(7).random(30)
    whole = mean_with_interval(values_Q, range(30), resamples=200)
    monkeypatch.setattr(intervals, "_AT_ONCE", 100)
    assert list(intervals.portions(7, 30)) == [3, 3, 1]
    portioned = mean_with_interval(values_Q, range(30), resamples=200)
    assert portioned.interval == pytest.approx(whole.interval, rel=1e-12)
