"""Spans from window scores: fast paths against naive twins, ties, gaps and flat curves."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinoscope.errors import UsageError
from kinoscope.sampling import Window, window_spans
from kinoscope.spans import (
    MOST_SHARED,
    Curve,
    best_span,
    curve_of,
    moments_of,
    outside_mean,
    peak_of,
    ranked_spans,
)
from kinoscope.types import Span

SCORES = st.lists(st.integers(-3, 3), min_size=1, max_size=9)


def steps(scores, length_s: float = 1.0) -> Curve:
    """One piece a score, all of one length."""
    return Curve(length_s * np.arange(len(scores) + 1.0), np.array(scores, np.float64))


def shared(a: Span, b: Span) -> float:
    return a.overlap_s(b) / min(a.duration_s, b.duration_s)


def mean_over(curve: Curve, start_s: float, end_s: float) -> float:
    """By looking at each millisecond's middle."""
    times = np.arange(start_s + 0.0005, end_s, 0.001)
    return float(curve.scores_C[curve.edges_s.searchsorted(times) - 1].mean())


@given(
    duration_s=st.sampled_from([0.5, 4.0, 4.01, 5.3, 9.0, 11.9]),
    stride_s=st.sampled_from([1.0, 1.5, 2.0, 4.0]),
    seed=st.integers(0, 99),
)
def test_a_curve_is_the_mean_of_the_windows_over_each_instant(duration_s, stride_s, seed) -> None:
    spans = window_spans(Window(length_s=4.0, stride_s=stride_s), duration_s)
    scores_P = np.random.default_rng(seed).normal(size=len(spans))
    curve = curve_of(spans, scores_P)
    assert (curve.edges_s[0], curve.edges_s[-1]) == (0.0, duration_s)
    for time_s in np.linspace(0.001, duration_s - 0.001, 41):
        if np.abs(curve.edges_s - time_s).min() < 1e-5:
            continue
        over = [score for span, score in zip(spans, scores_P, strict=True)
                if span.start_s <= time_s < span.end_s]  # fmt: skip
        place = int(curve.edges_s.searchsorted(time_s, side="right")) - 1
        assert curve.scores_C[place] == pytest.approx(np.mean(over))


def test_a_gap_between_windows_scores_as_the_least() -> None:
    curve = curve_of([Span(0, 4), Span(10, 14)], np.array([0.5, 0.2]))
    assert curve.edges_s.tolist() == [0, 4, 10, 14]
    assert curve.scores_C.tolist() == [0.5, 0.2, 0.2]


def test_edges_that_differ_by_rounding_are_one() -> None:
    curve = curve_of([Span(0.0, 0.1 + 0.2), Span(0.3, 0.6)], np.array([1.0, 2.0]))
    assert curve.edges_s.tolist() == pytest.approx([0, 0.3, 0.6])
    assert curve.scores_C.tolist() == [1, 2]


@given(scores=SCORES)
def test_the_best_span_has_the_largest_sum_above_the_mean(scores) -> None:
    curve = steps(scores)
    gains = np.array(scores) - np.mean(scores)
    sums = {
        (first, behind): gains[first:behind].sum()
        for first, behind in itertools.combinations(range(len(scores) + 1), 2)
    }
    found = best_span(curve)
    if max(sums.values()) <= 1e-6:
        assert found is None
    else:
        key = (found.span.start_s, found.span.end_s)
        assert sums[key] == pytest.approx(max(sums.values()), abs=1e-5)
        inside, outside = (np.mean(part) for part in parted(scores, key))
        assert found.contrast == pytest.approx(inside - outside)


def parted(scores, key) -> tuple[np.ndarray, np.ndarray]:
    first, behind = map(int, key)
    values = np.array(scores, np.float64)
    return values[first:behind], np.append(values[:first], values[behind:])


def naive_ranked(scores, k: int) -> list[tuple[int, int]]:
    """All stretches of the grid's lengths by contrast; overlapping ones are passed over."""
    count = len(scores)
    lengths = [n for n in (1, 2, 3, 4, 6, 8, 12) if n < count]
    runs = [(f, f + n) for n in lengths for f in range(count - n + 1)]
    contrast = {}
    for run in runs:
        inside, outside = parted(scores, run)
        contrast[run] = round(inside.mean() - outside.mean(), 9)
    runs.sort(key=lambda run: (-contrast[run], run))
    kept: list[tuple[int, int]] = []
    for run in runs:
        span = Span(*map(float, run))
        if contrast[run] > 1e-6 and all(
            shared(span, Span(*map(float, other))) <= MOST_SHARED for other in kept
        ):
            kept.append(run)
    return kept[:k]


@given(
    scores=st.lists(st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=1, max_size=13),
    k=st.integers(1, 6),
)
def test_ranked_spans_equal_the_naive_twin(scores, k) -> None:
    found = ranked_spans(steps(scores), k)
    expected = naive_ranked(scores, k)
    contrasts = [
        float(inside.mean() - outside.mean())
        for inside, outside in (parted(scores, run) for run in expected)
    ]
    assert [each.contrast for each in found] == pytest.approx(contrasts, abs=1e-6)
    assert all(shared(a.span, b.span) <= MOST_SHARED for a, b in itertools.combinations(found, 2))


@given(
    duration_s=st.sampled_from([0.5, 3.0, 9.3, 31.7]),
    k=st.integers(1, 5),
    seed=st.integers(0, 999),
)
def test_moments_lie_inside_the_video_and_apart(duration_s, k, seed) -> None:
    spans = window_spans(Window(length_s=4.0, stride_s=2.0), duration_s)
    curve = curve_of(spans, np.random.default_rng(seed).normal(size=len(spans)))
    found = moments_of(curve, k)
    assert 1 <= len(found) <= k
    assert all(0 <= each.span.start_s < each.span.end_s <= duration_s for each in found)
    assert all(shared(a.span, b.span) <= MOST_SHARED for a, b in itertools.combinations(found, 2))
    if (best := best_span(curve)) is not None:
        assert found[0] == best


def test_unequal_pieces_count_by_their_length() -> None:
    curve = Curve(np.array([0.0, 1.0, 9.0, 10.0]), np.array([1.0, 0.4, 0.0]))
    assert curve.mean == pytest.approx((1 + 8 * 0.4 + 0) / 10)
    assert best_span(curve).span == Span(0, 1), "0.58 x 1 s; with the middle 0.42"
    for span in (Span(0, 1), Span(0.5, 9.5), Span(2, 3)):
        rest_s = 10 - span.duration_s
        whole, inside = mean_over(curve, 0, 10) * 10, mean_over(curve, span.start_s, span.end_s)
        expected = (whole - inside * span.duration_s) / rest_s
        assert outside_mean(curve, span) == pytest.approx(expected, abs=1e-3)
    assert outside_mean(curve, Span(0, 10)) == curve.mean


@pytest.mark.parametrize("scores", [[0.3], [0.3, 0.3, 0.3], [0.3 + 1e-9, 0.3]])
def test_where_nothing_stands_out_the_whole_is_the_answer(scores) -> None:
    (only,) = moments_of(steps(scores), 3)
    assert (only.span, only.contrast) == (Span(0, len(scores)), 0.0)


def test_two_events_of_one_video_are_two_moments() -> None:
    curve = steps([0, 0, 5, 5, 0, 0, 0, 0, 4, 4, 0, 0], 2.0)
    first, second = moments_of(curve, 2)
    assert (first.span, second.span) == (Span(4, 8), Span(16, 20))


def test_equal_sums_take_the_first_run() -> None:
    assert peak_of(np.array([1.0, -1.0, 1.0])) == (0, 1)
    assert peak_of(np.array([-1.0, 0.0])) is None


@pytest.mark.parametrize(
    ("spans", "scores", "words"),
    [
        ([], [], "0 windows and 0 scores"),
        ([Span(0, 1)], [1.0, 2.0], "1 windows and 2 scores"),
        ([Span(0, 1)], [np.nan], "NaN or infinite"),
    ],
)
def test_curves_of_nothing_or_of_no_numbers_are_refused(spans, scores, words) -> None:
    with pytest.raises(UsageError, match=words):
        curve_of(spans, np.array(scores))
    with pytest.raises(UsageError, match="at least 1 moment"):
        moments_of(steps([1.0]), 0)
