"""From the scores of a video's windows to spans of it: pure arithmetic.

One span is the stretch with the largest sum of what lies above the video's mean. Several are ranked
by their mean inside minus the mean outside, over stretches of many lengths, and thinned out where
they overlap.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kinoscope.errors import UsageError
from kinoscope.types import Float64, Int64, Span

MOST_SHARED = 0.3
"""Of the shorter of two moments of one video: a moment inside another is no second one."""

FLAT = 1e-6  # a curve that is nowhere higher above its mean has no peak
_DIGITS = 9  # contrasts that differ in later ones are equal
_TOUCH_S = 1e-6  # edges that are no further apart are one


@dataclass(frozen=True, eq=False)
class Curve:
    """A score for each instant: `scores_C[i]` holds in `[edges_s[i], edges_s[i + 1])`."""

    edges_s: Float64
    scores_C: Float64

    def __post_init__(self) -> None:
        assert self.edges_s.shape == (len(self.scores_C) + 1,), self.edges_s.shape
        assert len(self.scores_C) and (np.diff(self.edges_s) > 0).all()
        assert np.isfinite(self.scores_C).all() and np.isfinite(self.edges_s).all()

    @property
    def lengths_C(self) -> Float64:
        """Of the pieces, in seconds."""
        return np.diff(self.edges_s)

    @property
    def mean(self) -> float:
        """Over time."""
        return float(np.average(self.scores_C, weights=self.lengths_C))

    def span(self, first: int, behind: int) -> Span:
        """The stretch of the pieces `first` to `behind - 1`."""
        return Span(float(self.edges_s[first]), float(self.edges_s[behind]))


@dataclass(frozen=True)
class ScoredSpan:
    """A stretch and how far its mean score lies above that of the rest of the video."""

    span: Span
    contrast: float


def curve_of(spans: Sequence[Span], scores_P: Float64) -> Curve:
    """At each instant the mean score of the windows that show it.

    Where none does, between windows, the least of all: what was not looked at is no answer.
    Raises `UsageError` for no windows, or for scores that are not finite.
    """
    if not len(spans) or len(spans) != len(scores_P):
        raise UsageError(f"{len(spans)} windows and {len(scores_P)} scores: give one each")
    if not np.isfinite(scores_P).all():
        raise UsageError("scores of windows are NaN or infinite: mend the model")
    starts_P = np.array([span.start_s for span in spans])
    ends_P = np.array([span.end_s for span in spans])
    edges_s = np.unique(np.concatenate([starts_P, ends_P]))
    edges_s = edges_s[np.append(True, np.diff(edges_s) > _TOUCH_S)]
    places = [edges_s.searchsorted(times_P - _TOUCH_S) for times_P in (starts_P, ends_P)]
    totals_2C = np.zeros((2, len(edges_s)))
    for sign, place_P in zip((1.0, -1.0), places, strict=True):
        np.add.at(totals_2C[0], place_P, sign * scores_P)
        np.add.at(totals_2C[1], place_P, sign)
    sums_C, counts_C = totals_2C.cumsum(axis=1)[:, :-1]
    shown_C = counts_C > 0.5
    means_C = np.where(shown_C, sums_C / np.maximum(counts_C, 1.0), np.inf)
    return Curve(edges_s, np.where(shown_C, means_C, means_C.min()))


def peak_of(gains_C: Float64) -> tuple[int, int] | None:
    """First place and length of the run with the largest sum; None if no value is above 0.

    Of equal sums the first run, and of those from one place the shortest (Kadane's algorithm).
    """
    best, found = FLAT, None
    total, first = 0.0, 0
    for place, value in enumerate(gains_C):
        if total <= 0:
            total, first = 0.0, place
        total += float(value)
        if total > best:
            best, found = total, (first, place - first + 1)
    return found


def best_span(curve: Curve) -> ScoredSpan | None:
    """The stretch with the largest sum above the mean; None where no instant stands out."""
    peak = peak_of((curve.scores_C - curve.mean) * curve.lengths_C)
    if peak is None:
        return None
    first, behind = peak[0], sum(peak)
    (contrast,) = _contrasts(curve, np.array([first]), np.array([behind]))
    return ScoredSpan(curve.span(first, behind), float(contrast))


def ranked_spans(curve: Curve, k: int, *, kept: Sequence[Span] = ()) -> list[ScoredSpan]:
    """The k stretches of the largest contrast above 0, of equals the earlier, then the shorter.

    None shares more than `MOST_SHARED` with another or with those `kept`.
    """
    firsts, behinds = _grid(len(curve.scores_C))
    contrasts = np.round(_contrasts(curve, firsts, behinds), _DIGITS)
    order = np.lexsort((behinds, firsts, -contrasts))
    order = order[contrasts[order] > FLAT]
    starts, ends = curve.edges_s[firsts[order]], curve.edges_s[behinds[order]]
    free = np.ones(len(order), np.bool_)
    for span in kept:
        free &= _shared(starts, ends, span) <= MOST_SHARED
    found: list[ScoredSpan] = []
    while len(found) < k and free.any():
        best = int(free.argmax())
        span = Span(float(starts[best]), float(ends[best]))
        found.append(ScoredSpan(span, float(contrasts[order[best]])))
        free &= _shared(starts, ends, span) <= MOST_SHARED
    return found


def moments_of(curve: Curve, k: int) -> list[ScoredSpan]:
    """At most k moments, the likeliest first: the best span, then those that rank behind it.

    Where no instant stands out, the whole video is the one answer, of contrast 0.
    """
    if k < 1:
        raise UsageError(f"k {k}: ask for at least 1 moment")
    best = best_span(curve)
    if best is None:
        return [ScoredSpan(curve.span(0, len(curve.scores_C)), 0.0)]
    return [best, *ranked_spans(curve, k - 1, kept=[best.span])]


def outside_mean(curve: Curve, span: Span) -> float:
    """Mean score of the rest of the video, over time; of all of it where nothing is left."""
    inside_C = np.clip(curve.edges_s[1:], span.start_s, span.end_s)
    inside_C = inside_C - np.clip(curve.edges_s[:-1], span.start_s, span.end_s)
    rest_C = curve.lengths_C - inside_C
    if rest_C.sum() <= _TOUCH_S:
        return curve.mean
    return float(np.average(curve.scores_C, weights=np.maximum(rest_C, 0.0)))


def _grid(count: int) -> tuple[Int64, Int64]:
    """First pieces and those behind the last of stretches of 1, 2, 3, 4, 6, 8, 12, 16 ... pieces.

    Of each length all places, but the whole, which has no rest to be compared with.
    """
    lengths = [1, *(n for power in range(1, 63) for n in (2**power, 3 * 2 ** (power - 1)))]
    firsts = [np.arange(count - n + 1) for n in lengths if n < count]
    behinds = [
        first + n for first, n in zip(firsts, (n for n in lengths if n < count), strict=True)
    ]
    empty = np.empty(0, np.int64)
    return np.concatenate([empty, *firsts]), np.concatenate([empty, *behinds])


def _contrasts(curve: Curve, firsts: Int64, behinds: Int64) -> Float64:
    """Mean inside minus mean outside of each stretch; 0 for the whole."""
    seconds = np.append(0.0, curve.lengths_C.cumsum())
    sums = np.append(0.0, (curve.scores_C * curve.lengths_C).cumsum())
    inside_s, inside = seconds[behinds] - seconds[firsts], sums[behinds] - sums[firsts]
    outside_s = seconds[-1] - inside_s
    whole = behinds - firsts == len(curve.scores_C)
    outside = (sums[-1] - inside) / np.where(whole, 1.0, outside_s)
    return np.asarray(np.where(whole, 0.0, inside / inside_s - outside))


def _shared(starts: Float64, ends: Float64, span: Span) -> Float64:
    """How much of the shorter each stretch and a span have in common, in 0..1."""
    common = np.maximum(0.0, np.minimum(ends, span.end_s) - np.maximum(starts, span.start_s))
    return np.asarray(common / np.minimum(ends - starts, span.duration_s))
