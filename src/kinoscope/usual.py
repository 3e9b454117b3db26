"""What is usual in a library: how near its clips are, on the whole, to anything that is asked."""

from dataclasses import dataclass
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np

from kinoscope.index.derived import Derived
from kinoscope.index.mapped import pieces
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
        """Of the clips that a search looks at, whatever its filters are.

        What was chosen of a state's moments, or wholes, is kept as long as the state is.
        """
        if mask_N is not derived.moment_N and mask_N is not derived.whole_N:
            return cls._chosen(derived, mask_N)
        kept = _KEPT.setdefault(derived, {})
        name = "moments" if mask_N is derived.moment_N else "wholes"
        if name not in kept:
            kept[name] = cls._chosen(derived, mask_N)
        return kept[name]

    @classmethod
    def _chosen(cls, derived: Derived, mask_N: Bool) -> "Usual":
        rows = np.flatnonzero(mask_N)
        if len(rows) > MOST:
            rows = rows[np.linspace(0, len(rows) - 1, MOST).round().astype(np.int64)]
        vectors_ND = derived.catalog.vectors_ND
        return cls(np.concatenate([vectors_ND[:0], *pieces(vectors_ND, rows)]))

    def __len__(self) -> int:
        return len(self.sample_SD)

    def cosines(self, vectors_PD: Float32) -> Float64:
        """Of each vector with each clip [P, S].

        Not by BLAS, whose threads cost more than they gain where so little is multiplied.
        """
        return np.asarray(np.einsum("pd,sd->ps", vectors_PD.astype(np.float64), self._wide_SD))

    @cached_property
    def mean_D(self) -> Float64:
        """Of the clips' vectors: a vector's mean cosine with them is its product with this."""
        return np.asarray(self._wide_SD.mean(axis=0))

    @cached_property
    def _wide_SD(self) -> Float64:
        return self.sample_SD.astype(np.float64)

    def spreads(self, vectors_PD: Float32) -> Float64:
        """How far each vector's cosines lie apart [P], see `spread`; 1 in an empty library."""
        if not len(self):
            return np.ones(len(vectors_PD))
        return np.array([spread(cosines_S) for cosines_S in self.cosines(vectors_PD)])


_KEPT: "WeakKeyDictionary[Derived, dict[str, Usual]]" = WeakKeyDictionary()


def spread(values_S: Float64) -> float:
    """A standard deviation that a minority of outliers does not change, above 0.

    By the median absolute deviation; where most values are equal, the plain standard deviation.
    """
    centre = np.median(values_S)
    robust = TO_DEVIATION * float(np.median(np.abs(values_S - centre)))
    found = robust if robust > _LEAST_SPREAD else float(values_S.std())
    return max(found, _LEAST_SPREAD)
