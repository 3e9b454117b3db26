"""One value a query, kept by the query's name, and whether two systems differ on the same ones."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kinoscope.errors import UsageError
from kinoscope.evaluation.metrics.checks import finite
from kinoscope.evaluation.metrics.intervals import mean_with_interval, numbered, portions
from kinoscope.evaluation.results import Metric
from kinoscope.types import Float64


@dataclass(frozen=True, kw_only=True, eq=False)
class PerQuery:
    """What a mean, its interval and a paired test are all computed from.

    Attributes:
        queries: their names, each once.
        videos: the video that each is about: the cluster of the interval.
        values_Q: one finite number each; raises `UsageError` otherwise, or if there is none.
    """

    queries: tuple[str, ...]
    videos: tuple[str, ...]
    values_Q: Float64

    def __post_init__(self) -> None:
        shape = (len(self.queries),)
        if self.values_Q.shape != shape or len(self.videos) != shape[0] or not self.queries:
            raise UsageError(
                f"values {list(self.values_Q.shape)} of {len(self.queries)} queries on"
                f" {len(self.videos)} videos: one each, not none"
            )
        if len(set(self.queries)) != len(self.queries):
            twice = next(name for name in self.queries if self.queries.count(name) > 1)
            raise UsageError(f"the query {twice[:80]!r} comes twice: name each its own way")
        finite(self.values_Q)

    def __len__(self) -> int:
        return len(self.queries)

    def __repr__(self) -> str:
        return f"PerQuery({len(self.queries)} queries, {len(set(self.videos))} videos)"

    @cached_property
    def metric(self) -> Metric:
        """The mean with its 95 % interval."""
        return mean_with_interval(self.values_Q, self.videos)


def paired_p_value(
    first_Q: Float64,
    second_Q: Float64,
    clusters: Sequence[Hashable] | None = None,
    *,
    resamples: int = 10_000,
    seed: int = 0,
) -> float:
    """Two-sided p-value that two systems differ in mean on the same queries.

    Paired permutation test: signs of the differences are flipped at random, all of one cluster
    (the video of each query) together, and the observed mean difference counts as one of the
    permutations, so the result is never 0.
    """
    if first_Q.shape != second_Q.shape or not len(first_Q):
        raise UsageError(f"paired test of {len(first_Q)} and {len(second_Q)} values: equal, not 0")
    if clusters is not None and len(clusters) != len(first_Q):
        raise UsageError(f"{len(first_Q)} values of {len(clusters)} clusters: one each, not none")
    differences_V = finite(first_Q) - finite(second_Q)
    if clusters is not None:
        differences_V = np.bincount(numbered(clusters), weights=differences_V)
    random = np.random.default_rng(seed)
    width = len(differences_V)
    drawn = (random.integers(0, 2, size=(rows, width)) for rows in portions(resamples, width))
    sums_R = np.concatenate([(signs_RV * 2 - 1) @ differences_V for signs_RV in drawn])
    observed = abs(differences_V.sum())
    # rounding must not make a permutation equal to the observed one look smaller
    as_far = np.abs(sums_R) >= observed - 1e-9 * max(1.0, observed)
    return (1 + int(as_far.sum())) / (1 + resamples)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """First mean minus second, with its 95 % interval, and the p-value that they are equal."""

    mean: Metric
    p_value: float


def compared(first: PerQuery, second: PerQuery, *, resamples: int = 10_000) -> Difference:
    """How two results of the same queries differ, in whatever order they have them.

    Raises `UsageError`, which counts and names them, if they were not asked the same queries: a
    mean over those that both have would hide what one of them left out.
    """
    alone = [sorted(set(a.queries) - set(b.queries)) for a, b in ((first, second), (second, first))]
    if any(alone):
        example = (alone[0] or alone[1])[0]
        raise UsageError(
            f"{len(alone[0])} queries are of the first result alone and {len(alone[1])} of the"
            f" second, such as {example[:80]!r}: measure both on the same"
        )
    place = {name: number for number, name in enumerate(second.queries)}
    order = [place[name] for name in first.queries]
    if [second.videos[number] for number in order] != list(first.videos):
        raise UsageError("the two results say that queries are about other videos: measure again")
    second_Q = second.values_Q[order]
    return Difference(
        mean=mean_with_interval(first.values_Q - second_Q, first.videos, resamples=resamples),
        p_value=paired_p_value(first.values_Q, second_Q, first.videos, resamples=resamples),
    )
