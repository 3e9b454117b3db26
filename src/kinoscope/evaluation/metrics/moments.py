"""Temporal localisation and highlights: windows in seconds -> one value a query.

Definitions are those of the QVHighlights evaluator (arXiv 2107.09609), whose own figures for its
sample predictions they give. A prediction [P, 3] is a list of windows, best first: start, end,
score; the truth [G, 2] any number of windows that all answer the query.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from kinoscope.errors import UsageError
from kinoscope.evaluation.metrics.checks import finite
from kinoscope.types import Float64, Int64

THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
"""IoUs over which average precision is averaged."""

LENGTHS_S: Mapping[str, tuple[float, float]] = {
    "short": (0.0, 10.0),
    "middle": (10.0, 30.0),
    "long": (30.0, 150.0),
}
"""Kinds of true windows by length: above the first, at most the second."""

TOP = 10
"""Windows of a prediction that count for average precision."""


def window_ious(predicted_P2: Float64, true_G2: Float64) -> Float64:
    """Intersection over union of each with each [P, G]; 0 for windows that only touch.

    Raises `UsageError` for windows that are empty, reversed or not finite.
    """
    for windows in (predicted_P2, true_G2):
        if windows.ndim != 2 or windows.shape[1] != 2:
            raise UsageError(f"windows {list(windows.shape)}: give start and end, [N, 2]")
        if not (finite(windows)[:, 0] < windows[:, 1]).all():
            raise UsageError("a window ends before it begins: give start < end, in seconds")
    starts_PG = np.maximum(predicted_P2[:, None, 0], true_G2[None, :, 0])
    ends_PG = np.minimum(predicted_P2[:, None, 1], true_G2[None, :, 1])
    shared_PG = np.maximum(0.0, ends_PG - starts_PG)
    lengths_P, lengths_G = (w[:, 1] - w[:, 0] for w in (predicted_P2, true_G2))
    return np.asarray(shared_PG / (lengths_P[:, None] + lengths_G - shared_PG), np.float64)


def first_ious(predictions: Sequence[Float64], truths: Sequence[Float64]) -> Float64:
    """IoU of each query's first window with the best of its true ones [Q]; 0 where none is given.

    Its mean is mIoU. Raises `UsageError` for a query without a true window.
    """
    _check(predictions, truths)
    pairs = zip(predictions, truths, strict=True)
    return np.array(
        [window_ious(p[:1, :2], t).max() if len(p) else 0.0 for p, t in pairs], np.float64
    )


def found_at(least: float, ious_Q: Float64) -> Float64:
    """1.0 where the IoU is at least that, else 0.0 [Q]: the mean is R1@least."""
    return (finite(ious_Q) >= least).astype(np.float64)


def detection_precisions(
    predictions: Sequence[Float64],
    truths: Sequence[Float64],
    thresholds: Sequence[float] = THRESHOLDS,
) -> Float64:
    """Average precision of each query at each IoU [Q, K]: mAP is the mean over both.

    The first ten windows, by falling score and as listed where it is equal, each claim the free
    true window that they overlap most, if by as much as the threshold; precision is interpolated.
    """
    _check(predictions, truths)
    pairs = zip(predictions, truths, strict=True)
    return np.array([_precisions(p[:TOP], t, thresholds) for p, t in pairs], np.float64)


def _precisions(predicted: Float64, truth: Float64, thresholds: Sequence[float]) -> list[float]:
    if not len(predicted):
        return [0.0] * len(thresholds)
    order = np.argsort(-finite(predicted)[:, 2], kind="stable")
    ious_PG = window_ious(predicted[order, :2], truth)
    return [_interpolated(_claims(ious_PG, least), len(truth)) for least in thresholds]


def _claims(ious_PG: Float64, least: float) -> Int64:
    """1 for each window that is the first to claim a true one, else 0 [P]."""
    free_G = np.ones(ious_PG.shape[1], np.bool_)
    hits_P = np.zeros(len(ious_PG), np.int64)
    for place, ious_G in enumerate(ious_PG):
        open_G = np.where(free_G, ious_G, -1.0)
        best = int(open_G.argmax())
        if open_G[best] >= least:
            hits_P[place], free_G[best] = 1, False
    return hits_P


def _interpolated(hits_P: Int64, count: int) -> float:
    """Area under precision, at each recall the best at that or a higher one."""
    precision_P = np.cumsum(hits_P) / np.arange(1, len(hits_P) + 1)
    best_P = np.maximum.accumulate(precision_P[::-1])[::-1]
    return float(best_P[hits_P == 1].sum() / count)


def of_length(truths: Sequence[Float64], above_s: float, most_s: float) -> list[Float64]:
    """The true windows of this length [G, 2], which may be none."""
    lengths = [truth[:, 1] - truth[:, 0] for truth in truths]
    return [t[(n > above_s) & (n <= most_s)] for t, n in zip(truths, lengths, strict=True)]


def highlight_precisions(scores: Sequence[Float64], positives: Sequence[Float64]) -> Float64:
    """Average precision of clip scores [C] against each annotator's clips [C, A], averaged: [Q].

    Interpolated, clips of equal score together; 0 for an annotator who chose no clip. Scores are
    cut to the truth's clips, or end in 0.
    """
    values = []
    for scores_C, chosen_CA in zip(scores, positives, strict=True):
        fitted_C = np.zeros(len(chosen_CA))
        fitted_C[: len(scores_C)] = finite(scores_C)[: len(chosen_CA)]
        values.append(np.mean([_curve_precision(fitted_C, chosen_C) for chosen_C in chosen_CA.T]))
    return np.array(values, np.float64)


def _curve_precision(scores_C: Float64, chosen_C: Float64) -> float:
    if not chosen_C.any():
        return 0.0
    order = np.argsort(-scores_C, kind="stable")
    last_K = np.append(np.flatnonzero(np.diff(scores_C[order])), len(order) - 1)
    right_K = np.cumsum(chosen_C[order])[last_K]
    precision_K = right_K / (last_K + 1)
    best_K = np.maximum.accumulate(precision_K[::-1])[::-1]
    return float(best_K[np.diff(right_K, prepend=0) > 0].mean())


def highlight_hits(
    scores: Sequence[Float64],
    positives: Sequence[Float64],
    *,
    tie: Literal["against", "first"] = "against",
) -> Float64:
    """1.0 where the clip of the highest score is one that any annotator chose, else 0.0 [Q].

    Of clips that score the same a wrong one counts; the evaluator itself takes the `first`.
    """
    values = []
    for scores_C, chosen_CA in zip(scores, positives, strict=True):
        best = np.flatnonzero(finite(scores_C) == scores_C.max())
        best = best[:1] if tie == "first" else best
        values.append(all(c < len(chosen_CA) and chosen_CA[c].any() for c in best))
    return np.array(values, np.float64)


def _check(predictions: Sequence[Float64], truths: Sequence[Float64]) -> None:
    if len(predictions) != len(truths) or not len(truths):
        raise UsageError(f"{len(predictions)} predictions of {len(truths)} queries: one each")
    for number, (predicted, truth) in enumerate(zip(predictions, truths, strict=True)):
        if predicted.ndim != 2 or predicted.shape[1] != 3:
            shape = list(predicted.shape)
            raise UsageError(f"prediction {shape} of query {number}: give start, end, score")
        if not len(truth):
            raise UsageError(f"query {number} has no true window: leave it out, and count it")
