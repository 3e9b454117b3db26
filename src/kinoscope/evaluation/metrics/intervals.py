"""95 % intervals by the bootstrap: whole videos drawn with replacement.

Queries about one video are not independent of each other: they are drawn together, or not at all.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from kinoscope.errors import UsageError
from kinoscope.evaluation.metrics.checks import finite
from kinoscope.evaluation.results import Metric
from kinoscope.types import Float64, Int64

_ENDS = (0.025, 0.975)
_AT_ONCE = 2**24
"""Numbers in memory: a benchmark may have ten thousand videos, drawn as often."""


def mean_with_interval(
    values_Q: Float64, clusters: Sequence[Hashable], *, resamples: int = 10_000, seed: int = 0
) -> Metric:
    """Mean of one value a query with its 95 % percentile bootstrap interval.

    `clusters` names the video of each query. Raises `UsageError` for no values, or one that is not
    finite.
    """
    finite(values_Q)
    if len(values_Q) != len(clusters) or not len(values_Q):
        raise UsageError(f"{len(values_Q)} values of {len(clusters)} clusters: one each, not none")
    places_Q = numbered(clusters)
    sums_V = np.bincount(places_Q, weights=values_Q)
    counts_V = np.bincount(places_Q).astype(np.float64)
    drawn = _drawn(len(sums_V), resamples, seed)
    means_R = np.concatenate([(times_RV @ sums_V) / (times_RV @ counts_V) for times_RV in drawn])
    low, high = np.quantile(means_R, _ENDS)
    mean = float(values_Q.mean())
    return Metric(value=mean, low=min(low, mean), high=max(high, mean), n=len(values_Q))


def _drawn(count: int, resamples: int, seed: int) -> Iterator[Float64]:
    """How often each of so many videos is drawn [R, V], by portions of the resamples.

    Metrics of one benchmark share them: to draw takes far longer than to add up.
    """
    if resamples * count <= _AT_ONCE:
        yield _kept(count, resamples, seed).astype(np.float64)
        return
    random = np.random.default_rng(seed)
    for rows in portions(resamples, count):
        yield random.multinomial(count, np.full(count, 1 / count), size=rows).astype(np.float64)


@lru_cache(maxsize=4)
def _kept(count: int, resamples: int, seed: int) -> npt.NDArray[np.unsignedinteger]:
    times_RV = np.random.default_rng(seed).multinomial(
        count, np.full(count, 1 / count), size=resamples
    )
    return times_RV.astype(np.min_scalar_type(int(times_RV.max())))


def median_with_interval(
    values_Q: Float64 | Int64, clusters: Sequence[Hashable], *, resamples: int = 1000, seed: int = 0
) -> Metric:
    """The same of the median, such as of ranks (MdR)."""
    finite(values_Q)
    if len(values_Q) != len(clusters) or not len(values_Q):
        raise UsageError(f"{len(values_Q)} values of {len(clusters)} clusters: one each, not none")
    order = np.argsort(numbered(clusters), kind="stable")
    edges = np.flatnonzero(np.diff(numbered(clusters)[order])) + 1
    groups = np.split(np.asarray(values_Q)[order], edges)

    def median(rows_N: Int64) -> Float64:
        return np.array([np.median(np.concatenate([groups[row] for row in rows_N]))])

    found = redrawn(median, len(groups), resamples=resamples, seed=seed).metrics(["median"])
    low, value, high = found["median"].interval
    return Metric(value=value, low=low, high=high, n=len(values_Q))


def numbered(clusters: Sequence[Hashable]) -> Int64:
    """Names as numbers in the order in which they first appear: ["b", "a", "b"] -> [0, 1, 0]."""
    order = {name: number for number, name in enumerate(dict.fromkeys(clusters))}
    return np.array([order[name] for name in clusters], np.int64)


def portions(rows: int, width: int) -> Iterator[int]:
    """Sizes that add up to `rows`, each small enough that as many rows fit into memory."""
    most = max(1, _AT_ONCE // width)
    for first in range(0, rows, most):
        yield min(most, rows - first)


@dataclass(frozen=True, kw_only=True, eq=False)
class Redrawn:
    """Figures of `n` videos, `values_K`, and the same of R draws of as many: `draws_RK`."""

    values_K: Float64
    draws_RK: Float64
    n: int

    def __post_init__(self) -> None:
        assert self.draws_RK.ndim == 2 and self.values_K.shape == self.draws_RK.shape[1:]

    def metrics(self, names: Sequence[str]) -> dict[str, Metric]:
        """Each figure with its percentile interval."""
        lows_K, highs_K = np.quantile(self.draws_RK, _ENDS, axis=0)
        return {
            name: Metric(value=value, low=min(low, value), high=max(high, value), n=self.n)
            for name, value, low, high in zip(names, self.values_K, lows_K, highs_K, strict=True)
        }


def redrawn(
    statistic: Callable[[Int64], Float64], count: int, *, resamples: int = 1000, seed: int = 0
) -> Redrawn:
    """Figures of all videos and of their draws.

    Args:
        statistic: figures [K] of the videos of these numbers, of which one may come several times.
        count: how many videos there are.
        resamples: how often as many are drawn.
        seed: decides which.
    """
    drawn_RN = np.random.default_rng(seed).integers(0, count, size=(resamples, count))
    return Redrawn(
        values_K=statistic(np.arange(count)),
        draws_RK=np.stack([statistic(row_N) for row_N in drawn_RN]),
        n=count,
    )


def mean_over(groups: Sequence[Redrawn]) -> Redrawn:
    """The mean of several groups' figures, each group drawn anew on its own."""
    return Redrawn(
        values_K=np.mean([group.values_K for group in groups], axis=0),
        draws_RK=np.mean([group.draws_RK for group in groups], axis=0),
        n=sum(group.n for group in groups),
    )
