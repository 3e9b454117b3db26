"""Retrieval: scores of queries with items -> one value a query, by the place of what is right.

A tie counts against the query. Items whose score is less than `rounding` below a right one tie with
it: a model that collapses must not look perfect because equal vectors were multiplied in another
order.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from kinoscope.errors import UsageError
from kinoscope.evaluation.metrics.checks import Positives, Scores, check_scores
from kinoscope.types import Bool, Float64, Int64


def ranks(
    scores_QN: Scores,
    positives: Positives,
    *,
    shown_QN: Bool | None = None,
    rounding: float = 0.0,
) -> Int64:
    """Rank of each query's best-placed positive, from 1: int64 [Q].

    A positive's rank is 1 + the number of items that are not positives and score at least as much:
    scores [3, 3, 1] with positive 0 give rank 2. Other positives of the query never push it down:
    this is recall by "any of" several right items.

    Args:
        scores_QN: higher is better; raises `UsageError` if one is NaN or infinite.
        positives: for each query the items that answer it; at least one, in 0..N-1.
        shown_QN: which items are in each query's gallery, such as all but its own source; all if
            None. Raises `UsageError` where a positive is not.
        rounding: scores nearer than this tie.
    """
    rows = _rows(scores_QN, positives, shown_QN, rounding)
    return np.array([1 + int(wrong_N.sum()) for _, wrong_N in rows], np.int64)


def tied(
    scores_QN: Scores,
    positives: Positives,
    *,
    shown_QN: Bool | None = None,
    rounding: float = 0.0,
) -> Float64:
    """1.0 for each query whose best positive shares its score with a wrong item, else 0.0: [Q].

    Its mean is the tie rate: near 1 for a model that gives everything the same vector.
    Arguments as of `ranks`.
    """
    rows = _rows(scores_QN, positives, shown_QN, rounding)
    pairs = zip(scores_QN, rows, strict=True)
    values = [(scores_N[wrong_N] <= best + rounding).any() for scores_N, (best, wrong_N) in pairs]
    return np.array(values, np.float64)


def _rows(
    scores_QN: Scores, positives: Positives, shown_QN: Bool | None, rounding: float
) -> Iterator[tuple[float, Bool]]:
    """The best positive's score and which wrong items score at least as much, for each query."""
    check_scores(scores_QN, positives, shown_QN)
    for query, right in enumerate(positives):
        best = float(scores_QN[query, list(right)].max())
        wrong_N = scores_QN[query] >= best - rounding
        if shown_QN is not None:
            wrong_N &= shown_QN[query]
        wrong_N[list(right)] = False
        yield best, wrong_N


def ranks_of_each(
    scores_QN: Scores, positives: Positives, *, rounding: float = 0.0
) -> tuple[Int64, Int64]:
    """Rank of every positive, and the query that it is of, both int64 [P], query by query.

    Recall by "each of" several right items: each counts alone, and the other right ones are not in
    its way.
    """
    check_scores(scores_QN, positives)
    pairs = [(query, item) for query, right in enumerate(positives) for item in right]
    queries_P = np.array([query for query, _ in pairs], np.int64)
    found = []
    for query, item in pairs:
        at_least_N = scores_QN[query] >= scores_QN[query, item] - rounding
        at_least_N[list(positives[query])] = False
        found.append(1 + int(at_least_N.sum()))
    return np.array(found, np.int64), queries_P


def best_of_groups(scores_QN: Scores, groups: Sequence[int]) -> Scores:
    """The best score of each group of items [Q, G]: a video's captions count once, by the best.

    `groups` names the group, 0..G-1, of each item; `UsageError` if one of them is empty. Video to
    text with several captions a video is published in this way (CLIP4Clip's multi-sentence form).
    """
    groups_N = np.asarray(groups, np.int64)
    if scores_QN.ndim != 2 or groups_N.shape != (scores_QN.shape[1],) or not len(groups_N):
        raise UsageError(f"{len(groups_N)} groups of scores {list(scores_QN.shape)}: one an item")
    count = int(groups_N.max()) + 1
    if set(groups_N.tolist()) != set(range(count)):
        raise UsageError(f"groups of {count} without a member: number them 0, 1, ...")
    found_QG = np.full((len(scores_QN), count), -np.inf, scores_QN.dtype)
    np.maximum.at(found_QG.T, groups_N, scores_QN.T)
    return found_QG


def recall_at(k: int, ranks_Q: Int64) -> Float64:
    """1.0 for each query whose rank is at most `k`, else 0.0: [Q]. The mean is R@k."""
    if k < 1:
        raise UsageError(f"recall at {k}: k is at least 1")
    return (ranks_Q <= k).astype(np.float64)


def average_precisions(
    scores_QN: Scores,
    positives: Positives,
    *,
    shown_QN: Bool | None = None,
    rounding: float = 0.0,
) -> Float64:
    """Of each query the mean, over its right items, of the precision down to each: [Q].

    TREC's average precision, where nothing ties; arguments as of `ranks`.
    """
    check_scores(scores_QN, positives, shown_QN)
    shown = [slice(None)] * len(positives) if shown_QN is None else list(shown_QN)
    values = []
    for scores_N, right, gallery in zip(scores_QN, positives, shown, strict=True):
        wrong_N = np.ones(len(scores_N), np.bool_)
        wrong_N[list(right)] = False
        wrong_N, seen_N = wrong_N[gallery], scores_N[gallery]
        values.append(_precision(seen_N[~wrong_N], seen_N[wrong_N], rounding))
    return np.array(values)


def _precision(right_P: Scores, wrong_N: Scores, rounding: float) -> float:
    ordered_P, against = np.sort(right_P)[::-1], np.sort(wrong_N)
    before_P = len(against) - np.searchsorted(against, ordered_P - rounding, side="left")
    hits_P = np.arange(1, len(ordered_P) + 1)
    return float((hits_P / (hits_P + before_P)).mean())


def chance_recall(gallery: int, k: int) -> float:
    """R@k of a random order of `gallery` items with one positive each: min(1, k / gallery)."""
    if gallery < 1 or k < 1:
        raise UsageError(f"chance of recall at {k} in {gallery} items: both are at least 1")
    return min(1.0, k / gallery)
