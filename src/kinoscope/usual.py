"""What is usual in a library: how near its clips are, on the whole, to anything that is asked."""

from dataclasses import dataclass

import numpy as np

from kinoscope.index.derived import Derived
from kinoscope.types import Bool, Float32, Float64

MOST = 16_384
"""Clips that stand for a library, evenly chosen: enough for a median to two digits."""

TO_DEVIATION = 1.4826
"""A normal distribution's standard deviation, in median absolute deviations."""

_LEAST_SPREAD = 1e-6  # of cosines: below it they are equal but for rounding


@dataclass(frozen=True, eq=False)
class Usual:
    """Vectors [S, D] that stand for a library, the same for every query on one state of it."""

    sample_SD: Float32

    @classmethod
    def of(cls, derived: Derived, mask_N: Bool) -> "Usual":
        """Of the clips that a search looks at, whatever its filters are."""
        rows = np.flatnonzero(mask_N)
        if len(rows) > MOST:
            rows = rows[np.linspace(0, len(rows) - 1, MOST).round().astype(np.int64)]
        return cls(np.asarray(derived.catalog.vectors_ND[rows]))

    def __len__(self) -> int:
        return len(self.sample_SD)

    def cosines(self, vectors_PD: Float32) -> Float64:
        """Of each vector with each clip [P, S]."""
        return np.asarray(vectors_PD.astype(np.float64) @ self.sample_SD.astype(np.float64).T)

    def spreads(self, vectors_PD: Float32) -> Float64:
        """How far each vector's cosines lie apart [P], see `spread`; 1 in an empty library."""
        if not len(self):
            return np.ones(len(vectors_PD))
        return np.array([spread(cosines_S) for cosines_S in self.cosines(vectors_PD)])


def spread(values_S: Float64) -> float:
    """A standard deviation that a minority of outliers does not change, above 0.

    By the median absolute deviation; where most values are equal, the plain standard deviation.
    """
    centre = np.median(values_S)
    robust = TO_DEVIATION * float(np.median(np.abs(values_S - centre)))
    found = robust if robust > _LEAST_SPREAD else float(values_S.std())
    return max(found, _LEAST_SPREAD)
