"""What every metric asks of its numbers: finite, of fitting shapes, with something to find."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kinoscope.errors import UsageError
from kinoscope.types import Bool, Int64

Scores = npt.NDArray[np.floating]
Positives = Sequence[Sequence[int]]

ROUNDING = 1e-6
"""Cosines nearer than this tie: equal vectors differ by as much, multiplied in another order."""


def finite(values: Scores | Int64) -> Scores | Int64:
    """The values themselves; `UsageError` if one is NaN or infinite."""
    if not np.isfinite(values).all():
        count = int((~np.isfinite(values)).sum())
        raise UsageError(f"{count} of {values.size} scores are NaN or infinite: mend the model")
    return values


def check_scores(scores_QN: Scores, positives: Positives, shown_QN: Bool | None = None) -> None:
    """Raises `UsageError` unless each query has a positive, all of them in its gallery."""
    if scores_QN.ndim != 2 or len(scores_QN) != len(positives) or not len(positives):
        raise UsageError(
            f"scores {list(scores_QN.shape)} for {len(positives)} queries: need [Q, N], Q >= 1"
        )
    if shown_QN is not None and shown_QN.shape != scores_QN.shape:
        raise UsageError(f"galleries {list(shown_QN.shape)} of scores {list(scores_QN.shape)}")
    finite(scores_QN)
    gallery = scores_QN.shape[1]
    for query, right in enumerate(positives):
        if not len(right) or not all(0 <= item < gallery for item in right):
            raise UsageError(
                f"positives {list(right)} of query {query}: at least one, in 0..{gallery - 1}"
            )
        if shown_QN is not None and not shown_QN[query, list(right)].all():
            raise UsageError(f"a positive of query {query} is not in its gallery: show it")
