"""Retrieval metrics: pure functions from scores to one value a query, and their uncertainty.

Each takes what it needs as arrays and returns float64 values a query, so that a mean, an interval
and a paired test are all computed from the same numbers. A tie counts against the query, and a
score that is not finite is an error: a model that collapses must not look perfect.
"""

from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

from kinoscope.errors import UsageError
from kinoscope.evaluation.results import Metric
from kinoscope.types import Float64, Int64

Scores = npt.NDArray[np.floating]
Positives = Sequence[Sequence[int]]


def ranks(scores_QN: Scores, positives: Positives) -> Int64:
    """Rank of each query's best-placed positive, from 1: int64 [Q].

    A positive's rank is 1 + the number of items that are not positives and score at least as much:
    scores [3, 3, 1] with positive 0 give rank 2. Other positives of the query never push it down.

    Args:
        scores_QN: higher is better; raises `UsageError` if one is NaN or infinite.
        positives: for each query the items that answer it; at least one, in 0..N-1.
    """
    _check_scores(scores_QN, positives)
    return np.array(
        [_rank(row_N, list(right)) for row_N, right in zip(scores_QN, positives, strict=True)],
        dtype=np.int64,
    )


def _rank(scores_N: Scores, right: list[int]) -> int:
    best = scores_N[right].max()
    at_least = scores_N >= best
    at_least[right] = False
    return 1 + int(at_least.sum())


def tied(scores_QN: Scores, positives: Positives) -> Float64:
    """1.0 for each query whose best positive shares its score with a wrong item, else 0.0: [Q].

    Its mean is the tie rate: near 1 for a model that gives everything the same vector.
    """
    _check_scores(scores_QN, positives)
    values = []
    for row_N, right in zip(scores_QN, positives, strict=True):
        equal = row_N == row_N[list(right)].max()
        equal[list(right)] = False
        values.append(float(equal.any()))
    return np.array(values)


def recall_at(k: int, ranks_Q: Int64) -> Float64:
    """1.0 for each query whose rank is at most `k`, else 0.0: [Q]. The mean is R@k."""
    if k < 1:
        raise UsageError(f"recall at {k}: k is at least 1")
    return (ranks_Q <= k).astype(np.float64)


def chance_recall(gallery: int, k: int) -> float:
    """R@k of a random order of `gallery` items with one positive each: min(1, k / gallery)."""
    if gallery < 1 or k < 1:
        raise UsageError(f"chance of recall at {k} in {gallery} items: both are at least 1")
    return min(1.0, k / gallery)


def auroc(positive_scores_N: Scores, negative_scores_N: Scores) -> float:
    """Chance that a matching pair scores above a non-matching one; a tie counts one half.

    0.5 is no separation by any single threshold, 1.0 a perfect one. Mann-Whitney's U, normalised.
    """
    right, wrong = (_finite(part) for part in (positive_scores_N, negative_scores_N))
    if not len(right) or not len(wrong):
        raise UsageError("AUROC needs at least one positive and one negative score")
    ordered = np.sort(wrong)
    below = np.searchsorted(ordered, right, side="left")
    up_to = np.searchsorted(ordered, right, side="right")
    return float((below + up_to).mean() / 2 / len(wrong))


def auroc_of_pairs(scores_NN: Scores, *, resamples: int = 1000, seed: int = 0) -> Metric:
    """AUROC of matching (i, i) against non-matching (i, j) scores, with its 95 % interval.

    Query and video i are drawn together, with replacement; a video drawn twice is not its own
    non-match.
    """
    if scores_NN.ndim != 2 or scores_NN.shape[0] != scores_NN.shape[1] or len(scores_NN) < 2:
        raise UsageError(f"scores {list(scores_NN.shape)}: need a square of at least 2 x 2")
    count = len(scores_NN)
    random = np.random.default_rng(seed)
    drawn = [np.arange(count), *random.integers(0, count, size=(resamples, count))]
    mean, *others = (_auroc_of(scores_NN, rows_N) for rows_N in drawn if len(set(rows_N)) > 1)
    low, high = np.quantile(others, [0.025, 0.975])
    return Metric(value=mean, low=min(low, mean), high=max(high, mean), n=count)


def _auroc_of(scores_NN: Scores, rows_N: Int64) -> float:
    other_NN = rows_N[:, None] != rows_N
    return auroc(scores_NN[rows_N, rows_N], scores_NN[np.ix_(rows_N, rows_N)][other_NN])


def mean_with_interval(
    values_Q: Float64, clusters: Sequence[Hashable], *, resamples: int = 10_000, seed: int = 0
) -> Metric:
    """Mean of one value a query with its 95 % percentile bootstrap interval.

    Whole clusters are drawn with replacement: queries about one video are not independent, so
    `clusters` names the video of each query.
    """
    _finite(values_Q)
    if len(values_Q) != len(clusters) or not len(values_Q):
        raise UsageError(f"{len(values_Q)} values of {len(clusters)} clusters: one each, not none")
    order = {name: i for i, name in enumerate(dict.fromkeys(clusters))}
    places_Q = np.array([order[name] for name in clusters])
    sums_V = np.bincount(places_Q, weights=values_Q)
    counts_V = np.bincount(places_Q)
    random = np.random.default_rng(seed)
    times_RV = random.multinomial(len(order), np.full(len(order), 1 / len(order)), size=resamples)
    means_R = (times_RV @ sums_V) / (times_RV @ counts_V)
    low, high = np.quantile(means_R, [0.025, 0.975])
    mean = float(values_Q.mean())
    return Metric(value=mean, low=min(low, mean), high=max(high, mean), n=len(values_Q))


def paired_p_value(
    first_Q: Float64, second_Q: Float64, *, resamples: int = 10_000, seed: int = 0
) -> float:
    """Two-sided p-value that two systems differ in mean on the same queries.

    Paired permutation test: signs of the differences are flipped at random, and the observed
    mean difference counts as one of the permutations, so the result is never 0.
    """
    if first_Q.shape != second_Q.shape or not len(first_Q):
        raise UsageError(f"paired test of {len(first_Q)} and {len(second_Q)} values: equal, not 0")
    differences_Q = _finite(first_Q) - _finite(second_Q)
    random = np.random.default_rng(seed)
    signs_RQ = random.integers(0, 2, size=(resamples, len(differences_Q))) * 2 - 1
    observed = abs(differences_Q.sum())
    # rounding must not make a permutation equal to the observed one look smaller
    as_far = np.abs(signs_RQ @ differences_Q) >= observed - 1e-9 * max(1.0, observed)
    return (1 + int(as_far.sum())) / (1 + resamples)


def spearman(first_N: Scores | Int64, second_N: Scores | Int64) -> float:
    """Rank correlation, in -1..1; equal values share the mean of their ranks.

    0 where one of them is constant, for it orders nothing.
    """
    if first_N.shape != second_N.shape or not len(first_N):
        raise UsageError(f"correlation of {len(first_N)} and {len(second_N)} values: equal, not 0")
    first, second = (_centred_ranks(values_N) for values_N in (first_N, second_N))
    lengths = float(np.sqrt((first @ first) * (second @ second)))
    return float(np.clip(first @ second / lengths, -1, 1)) if lengths else 0.0


def _centred_ranks(values_N: Scores | Int64) -> Float64:
    """Ranks from 0, less their mean: [7, 3, 7] -> [0.5, -1, 0.5]."""
    _, kinds_N, counts = np.unique(_finite(values_N), return_inverse=True, return_counts=True)
    ranks_N = (np.cumsum(counts) - (counts + 1) / 2)[kinds_N]
    return np.asarray(ranks_N - ranks_N.mean(), np.float64)


def _check_scores(scores_QN: Scores, positives: Positives) -> None:
    if scores_QN.ndim != 2 or len(scores_QN) != len(positives) or not len(positives):
        raise UsageError(
            f"scores {list(scores_QN.shape)} for {len(positives)} queries: need [Q, N], Q >= 1"
        )
    _finite(scores_QN)
    gallery = scores_QN.shape[1]
    for query, right in enumerate(positives):
        if not right or not all(0 <= item < gallery for item in right):
            raise UsageError(
                f"positives {list(right)} of query {query}: at least one, in 0..{gallery - 1}"
            )


def _finite(values: Scores | Int64) -> Scores | Int64:
    if not np.isfinite(values).all():
        count = int((~np.isfinite(values)).sum())
        raise UsageError(f"{count} of {values.size} scores are NaN or infinite: mend the model")
    return values
