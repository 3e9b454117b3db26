"""What a query excludes, as a penalty that is calibrated by the library's own scores.

Subtracting the vector of "a dog" from that of "a park" also pushes away parks, for the two have
much in common, and pulls up all that is unlike a dog. Here a clip pays only for how much nearer
it is to the excluded text than is usual for clips that fit the query as well as it does.
"""

import warnings
from dataclasses import dataclass

import numpy as np

from kinoscope.types import Float32, Float64
from kinoscope.usual import Usual, spread

FREE = 1.0
"""Deviations above the usual that cost nothing: chance alone puts a sixth of all clips there."""

STRENGTH = 2.0
"""Each further deviation costs so many deviations of the query's own cosines."""

LEAST_CLIPS = 8
"""Of fewer none is usual."""


@dataclass(frozen=True, eq=False)
class Exclusion:
    """The penalty of one text.

    Attributes:
        vector_D: the text's, as a query.
        slope, level: the usual cosine with it is `level + slope * (cosine with the query)`.
        deviation: of the library's cosines from that.
        cost: of a deviation beyond `FREE`, in cosines with the query.
    """

    vector_D: Float32
    slope: float
    level: float
    deviation: float
    cost: float

    def penalties(self, vectors_KD: Float32, cosines_K: Float64) -> Float64:
        """What each clip pays [K], at least 0; `cosines_K` are those with the query."""
        near_K = vectors_KD.astype(np.float64) @ self.vector_D.astype(np.float64)
        beyond_K = (near_K - self.level - self.slope * cosines_K) / self.deviation
        return np.asarray(self.cost * np.maximum(0.0, beyond_K - FREE))


@dataclass(frozen=True, eq=False)
class Exclusions:
    """The penalties of all excluded texts: a clip pays for each."""

    each: tuple[Exclusion, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.each)

    def penalties(self, vectors_KD: Float32, cosines_K: Float64) -> Float64:
        """Sum over the texts [K]."""
        total_K = np.zeros(len(cosines_K))
        for exclusion in self.each:
            total_K += exclusion.penalties(vectors_KD, cosines_K)
        return total_K


NOTHING = Exclusions()


def calibrated(query_D: Float32, excluded_PD: Float32, usual: Usual) -> Exclusions:
    """Penalties of excluded texts, beside a query, in a library.

    Warns, and penalises nothing, where the library has too few clips to say what is usual.
    """
    if not len(excluded_PD):
        return NOTHING
    if len(usual) < LEAST_CLIPS:
        warnings.warn(
            f"the library has {len(usual)} clips, too few to say what is usual:"
            " what the query excludes was not taken into account",
            stacklevel=2,
        )
        return NOTHING
    wanted_S, *near = usual.cosines(np.concatenate([query_D[None], excluded_PD]))
    return Exclusions(
        tuple(
            _exclusion(vector_D, near_S, wanted_S)
            for vector_D, near_S in zip(excluded_PD, near, strict=True)
        )
    )


def _exclusion(vector_D: Float32, near_S: Float64, wanted_S: Float64) -> Exclusion:
    slope = _slope(wanted_S, near_S)
    rest_S = near_S - slope * wanted_S
    return Exclusion(
        vector_D=vector_D,
        slope=slope,
        level=float(np.median(rest_S)),
        deviation=spread(rest_S),
        cost=STRENGTH * spread(wanted_S),
    )


def _slope(wanted_S: Float64, near_S: Float64) -> float:
    """Of the least-squares line of one on the other, in 0..1: kinship of texts, never enmity."""
    apart_S = wanted_S - wanted_S.mean()
    square = float(apart_S @ apart_S)
    if not square > 0:
        return 0.0
    return float(np.clip(apart_S @ (near_S - near_S.mean()) / square, 0.0, 1.0))
