"""How far scores separate or order: AUROC, rank correlation."""

import numpy as np

from kinoscope.errors import UsageError
from kinoscope.evaluation.metrics.checks import Scores, finite
from kinoscope.evaluation.results import Metric
from kinoscope.types import Float64, Int64


def auroc(positive_scores_N: Scores, negative_scores_N: Scores) -> float:
    """Chance that a matching pair scores above a non-matching one; a tie counts one half.

    0.5 is no separation by any single threshold, 1.0 a perfect one. Mann-Whitney's U, normalised.
    """
    right, wrong = (finite(part) for part in (positive_scores_N, negative_scores_N))
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
    _, kinds_N, counts = np.unique(finite(values_N), return_inverse=True, return_counts=True)
    ranks_N = (np.cumsum(counts) - (counts + 1) / 2)[kinds_N]
    return np.asarray(ranks_N - ranks_N.mean(), np.float64)
