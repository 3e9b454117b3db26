"""95 % intervals of figures that are no plain mean: whole videos drawn with replacement."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from kinoscope.evaluation.results import Metric
from kinoscope.types import Float64, Int64


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
        lows_K, highs_K = np.quantile(self.draws_RK, [0.025, 0.975], axis=0)
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
