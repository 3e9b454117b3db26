"""One gallery of pairs, and intervals of figures that are no plain mean."""

import numpy as np
import pytest

from kinoscope.evaluation.metrics.intervals import mean_over, redrawn
from kinoscope.evaluation.world.retrieval import retrieval


def test_ranks_give_recall_median_and_ties():
    videos_ND = np.eye(4, dtype=np.float32)
    texts_ND = np.float32([[1, 0, 0, 0], [0, 1, 1, 0], [0, 1, 0, 0], [1, 1, 1, 0]])
    metrics, details = retrieval(texts_ND, videos_ND, list("abcd"))
    assert metrics["t2v_r1"].value == 0.25  # the second ties, the last has nothing
    assert metrics["t2v_r5"].value == 1
    assert metrics["t2v_mdr"].value == 3  # ranks 1, 2, 4, 4
    assert details["t2v_tied"] == 0.5
    assert details["chance_r1"] == 0.25


def test_intervals_hold_the_value_and_narrow_with_more_videos():
    def mean(values_N):
        return redrawn(lambda rows_N: np.array([values_N[rows_N].mean()]), len(values_N))

    random = np.random.default_rng(0)
    few, many = mean(random.normal(size=20)), mean(random.normal(size=2000))
    widths = []
    for each in (few, many):
        low, value, high = each.metrics(["x"])["x"].interval
        assert low <= value <= high
        widths.append(high - low)
    assert 5 < widths[0] / widths[1] < 20
    both = mean_over([few, many])
    assert both.n == 2020
    assert both.values_K[0] == pytest.approx((few.values_K[0] + many.values_K[0]) / 2)
    low, _, high = both.metrics(["x"])["x"].interval
    assert high - low == pytest.approx(np.hypot(*widths) / 2, rel=0.2)
