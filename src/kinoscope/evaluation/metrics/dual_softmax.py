"""Dual softmax: scores that are corrected by what the other queries of the test ask for."""

import numpy as np

from kinoscope.errors import UsageError
from kinoscope.evaluation.metrics.checks import Scores, finite
from kinoscope.types import Bool, Float64

TEMPERATURE = 0.01
"""Of the softmax, for cosines (arXiv 2109.04290: a factor of 100)."""

DESCRIPTION = (
    f"yes: cosine times its softmax over all test queries, temperature {TEMPERATURE:g}, each way"
    " by its own queries; uses the test queries' distribution"
)
"""For a result's protocol."""

_LEAST = 0.01


def dual_softmax(
    scores_QN: Scores, shown_QN: Bool | None = None, *, temperature: float = TEMPERATURE
) -> Float64:
    """Scores [Q, N] in the order of `cosine * softmax over queries (cosine / temperature)`.

    An item that is near to all queries loses (arXiv 2109.04290). The result is the temperature
    times the logarithm of that product: so no product of small numbers becomes 0, and equal vectors
    still tie to rounding. Cosines below 0.01, whose product would have no order, count as that in
    the first factor.

    Args:
        scores_QN: cosines; raises `UsageError` if one is NaN or infinite.
        shown_QN: which items are in each query's gallery; all if None. Queries that do not see an
            item do not correct it; what is not shown keeps its score.
        temperature: above 0.
    """
    if not temperature > 0 or scores_QN.ndim != 2:
        raise UsageError(
            f"dual softmax of scores {list(scores_QN.shape)} at temperature {temperature}: give"
            " [Q, N] and a number above 0"
        )
    if shown_QN is not None and shown_QN.shape != scores_QN.shape:
        raise UsageError(f"galleries {list(shown_QN.shape)} of scores {list(scores_QN.shape)}")
    exact_QN = np.asarray(finite(scores_QN), np.float64)
    asked_QN = exact_QN if shown_QN is None else np.where(shown_QN, exact_QN, -np.inf)
    factor_QN = temperature * np.log(np.maximum(exact_QN, _LEAST))
    found_QN = factor_QN + exact_QN - temperature * _log_sums(asked_QN / temperature)
    return found_QN if shown_QN is None else np.where(shown_QN, found_QN, exact_QN)


def _log_sums(logits_QN: Float64) -> Float64:
    """For each item the logarithm of the summed exponentials [1, N]; 0 where nobody sees it."""
    if not logits_QN.size:
        return np.zeros((1, logits_QN.shape[1]))
    largest_1N = logits_QN.max(axis=0, keepdims=True)
    largest_1N = np.where(np.isfinite(largest_1N), largest_1N, 0.0)
    sums_1N = np.exp(logits_QN - largest_1N).sum(axis=0, keepdims=True)
    return np.asarray(largest_1N + np.log(np.where(sums_1N > 0, sums_1N, 1.0)))
