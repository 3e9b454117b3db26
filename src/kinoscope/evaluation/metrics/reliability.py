"""Whether probabilities come true: what was said beside what was so, bin by bin."""

import numpy as np

from kinoscope.errors import UsageError
from kinoscope.evaluation.metrics.checks import finite
from kinoscope.types import Bool, Float64

BINS = 10


def reliability(chances_N: Float64, right_N: Bool, *, bins: int = BINS) -> list[dict[str, float]]:
    """Of each bin of equal width that is not empty: `said` and `was` (means), and `n`.

    Raises `UsageError` for what are no probabilities, or none.
    """
    if chances_N.shape != right_N.shape or not len(chances_N):
        raise UsageError(
            f"probabilities {list(chances_N.shape)}, truth {list(right_N.shape)}: pair them"
        )
    if not ((finite(chances_N) >= 0) & (chances_N <= 1)).all():
        raise UsageError("a probability lies outside of 0..1: calibrate first")
    bin_N = np.minimum((chances_N * bins).astype(np.int64), bins - 1)
    return [
        {
            "said": float(chances_N[bin_N == place].mean()),
            "was": float(right_N[bin_N == place].mean()),
            "n": float((bin_N == place).sum()),
        }
        for place in np.unique(bin_N)
    ]


def calibration_error(chances_N: Float64, right_N: Bool, *, bins: int = BINS) -> float:
    """Expected calibration error, in 0..1: the mean of |said - was|, bins weighed by their size."""
    rows = reliability(chances_N, right_N, bins=bins)
    return sum(row["n"] * abs(row["said"] - row["was"]) for row in rows) / len(chances_N)
