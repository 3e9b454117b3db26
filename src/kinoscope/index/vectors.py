"""Nearest vectors behind one small protocol: exact, or candidates that are ranked anew.

Candidates come of a 4-bit scan in memory, or of a store that keeps vectors elsewhere.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from kinoscope.errors import UsageError
from kinoscope.index.mapped import BLOCK, blocks, pieces
from kinoscope.types import Bool, Float32, Float64, Int64

if TYPE_CHECKING:
    from turbovec import TurboQuantIndex

# more rows than this are scanned in 4 bits first; at 100 000 x 384 an exact search took 5.7 ms,
# scan and re-ranking 2.0 ms (results/query_speed.json)
EXACT_LIMIT = 50_000

_BITS = 4
_BLOCK = BLOCK
_SCORES_AT_ONCE = 2**25
_CODE_BYTES = 8  # of each row, beside its code
_LEAST_CANDIDATES = 400  # many more than k, because a poor code ranks a good row too low
_NEARLY_ALL, _MORE = 0.85, 4
_LEAST_STORED = 1000  # of a store, whose codes are poorer: one bit, or approximate neighbours
_ROUNDING = 1e-4  # well above what float32 loses in the product of two unit vectors


@dataclass(frozen=True, eq=False, kw_only=True)
class Among:
    """What a mask says, in words of a store that filters by itself.

    Attributes:
        kind: only rows that are moments, or only those that stand for whole videos.
        allowed_V: videos that may answer [V]; None stands for all.
    """

    kind: Literal["moment", "whole"]
    allowed_V: Bool | None = None

    def listed(self) -> tuple[bool, list[int]] | None:
        """`True` and the videos that may answer, or `False` and those that may not.

        The shorter list of the two; None where all may.
        """
        if self.allowed_V is None or self.allowed_V.all():
            return None
        fewer = bool(self.allowed_V.sum() * 2 <= len(self.allowed_V))
        return fewer, np.flatnonzero(self.allowed_V == fewer).tolist()


class Searcher(Protocol):
    """Finds the rows with the largest dot products."""

    def top(
        self,
        queries_QD: Float32,
        k: int,
        mask_N: Bool | None = None,
        among: Among | None = None,
    ) -> tuple[Float64, Int64]:
        """Scores [Q, K] and rows [Q, K], best first, equal scores by ascending row.

        Only rows where `mask_N` is true take part; K = min(k, rows that take part), maybe 0.
        `among` says the same to searchers that do not look at each row.
        Raises `UsageError` for queries that are not finite or not of length D.
        """


class Candidates(Protocol):
    """A store of all rows that finds likely ones by itself."""

    def nearest(self, queries_QD: Float32, wanted: int, among: Among | None) -> list[Int64]:
        """Rows that are probably the nearest of each query, about `wanted`, in any order.

        Those that `among` excludes are not looked at. Raises `IndexFault` if the store fails.
        """


@dataclass(frozen=True, eq=False)
class ExactSearcher:
    """Looks at every vector; `vectors_ND` may be a memory map larger than memory."""

    vectors_ND: Float32

    def top(
        self,
        queries_QD: Float32,
        k: int,
        mask_N: Bool | None = None,
        among: Among | None = None,
    ) -> tuple[Float64, Int64]:
        """See `Searcher.top`."""
        rows, k = _check(self.vectors_ND, queries_QD, k, mask_N)
        together = max(1, _SCORES_AT_ONCE // max(1, rows))
        found = [
            row
            for first in range(0, len(queries_QD), together)
            for row in self._top_group(queries_QD[first : first + together], k, mask_N)
        ]
        return _stack(found, k)

    def _top_group(
        self, queries_QD: Float32, k: int, mask_N: Bool | None
    ) -> list[tuple[Float64, Int64]]:
        if k == 0:
            return [(np.empty(0), np.empty(0, np.int64)) for _ in queries_QD]
        rows = len(self.vectors_ND)
        scores_QN = np.empty((len(queries_QD), rows), np.float32)
        for first in range(0, rows, _BLOCK):
            block = slice(first, first + _BLOCK)
            np.matmul(queries_QD, self.vectors_ND[block].T, out=scores_QN[:, block])
        if mask_N is not None:
            scores_QN[:, ~mask_N] = -np.inf
        least_Q = np.partition(scores_QN, rows - k, axis=1)[:, rows - k] - _ROUNDING
        return [
            _rank(self.vectors_ND, query_D, np.flatnonzero(scores_N >= least), k)
            for query_D, scores_N, least in zip(queries_QD, scores_QN, least_Q, strict=True)
        ]


@dataclass(frozen=True, eq=False)
class ScanSearcher:
    """Scans 4-bit codes in memory for candidates, then ranks those by their true vectors."""

    vectors_ND: Float32
    scan: "TurboQuantIndex"

    def __post_init__(self) -> None:
        assert len(self.scan) == len(self.vectors_ND), (len(self.scan), len(self.vectors_ND))

    def top(
        self,
        queries_QD: Float32,
        k: int,
        mask_N: Bool | None = None,
        among: Among | None = None,
    ) -> tuple[Float64, Int64]:
        """See `Searcher.top`; a row can be missed if its code is poor, never mis-scored."""
        _, k = _check(self.vectors_ND, queries_QD, k, mask_N)
        padded_QD = padded(np.ascontiguousarray(queries_QD, np.float32))
        found = [
            _rank(self.vectors_ND, query_D, rows, k)
            for query_D, rows in zip(
                queries_QD,
                self._candidates(padded_QD, max(_LEAST_CANDIDATES, 4 * k), mask_N),
                strict=True,
            )
        ]
        return _stack(found, k)

    def _candidates(self, padded_QD: Float32, wanted: int, mask_N: Bool | None) -> Sequence[Int64]:
        """At least the `wanted` rows that take part and whose codes are nearest, or all that do.

        To ask for more of all rows, and to leave out what takes no part, is quicker than to scan by
        a mask, where nearly all of them do.
        """
        if mask_N is not None:
            share = float(mask_N.mean())
            if share >= _NEARLY_ALL:
                more = math.ceil(wanted * (1 + _MORE * (1 - share)))
                _, rows_QC = self.scan.search(padded_QD, more)
                kept = [rows_C[mask_N[rows_C]] for rows_C in rows_QC]
                if min(map(len, kept), default=wanted) >= wanted:
                    return kept
        _, rows_QC = self.scan.search(padded_QD, wanted, mask=mask_N)
        return list(rows_QC)


@dataclass(frozen=True, eq=False)
class StoredSearcher:
    """Asks a store for candidates, then ranks those by their true vectors.

    Where few rows take part, all of them are ranked: no store is better than that.
    """

    vectors_ND: Float32
    store: Candidates
    exact_limit: int = EXACT_LIMIT

    def top(
        self,
        queries_QD: Float32,
        k: int,
        mask_N: Bool | None = None,
        among: Among | None = None,
    ) -> tuple[Float64, Int64]:
        """See `Searcher.top`; a row can be missed, never mis-scored."""
        rows, k = _check(self.vectors_ND, queries_QD, k, mask_N)
        eligible = rows if mask_N is None else int(mask_N.sum())
        if k == 0 or eligible <= self.exact_limit:
            return self._all_of(queries_QD, k, mask_N)
        wanted = max(_LEAST_STORED, 4 * k)
        if among is None:  # the store looks at rows that take no part, too
            wanted = min(rows, -(-wanted * rows // eligible))
        near = self.store.nearest(queries_QD, wanted, among)
        found = []
        for query_D, candidates in zip(queries_QD, near, strict=True):
            seen = np.unique(candidates)
            seen = seen if mask_N is None else seen[mask_N[seen]]
            if len(seen) < k:
                return self._all_of(queries_QD, k, mask_N)
            found.append(_rank(self.vectors_ND, query_D, seen, k))
        return _stack(found, k)

    def _all_of(self, queries_QD: Float32, k: int, mask_N: Bool | None) -> tuple[Float64, Int64]:
        rows = np.arange(len(self.vectors_ND)) if mask_N is None else np.flatnonzero(mask_N)
        return _stack([_rank(self.vectors_ND, query_D, rows, k) for query_D in queries_QD], k)


def build_scan(vectors_ND: Float32) -> "TurboQuantIndex":
    """4-bit codes of all rows, less their mean.

    Vectors of one library point much the same way (pairs have cosine 0.7 on average), so that four
    bits of the difference say far more than four bits of the vector. For any query the mean changes
    all products alike: no order changes.
    """
    from turbovec import TurboQuantIndex

    dimension = vectors_ND.shape[1]
    mean_D = mean_of(vectors_ND)
    scan = TurboQuantIndex(dim=padded_length(dimension), bit_width=_BITS)
    for block in blocks(vectors_ND, _BLOCK):
        scan.add(padded(block - mean_D))
    scan.prepare()
    return scan


def mean_of(vectors_ND: Float32) -> Float32:
    """Of all rows [D]; there is at least one."""
    total_D = np.zeros(vectors_ND.shape[1])
    for block in blocks(vectors_ND, _BLOCK):
        total_D += block.sum(axis=0, dtype=np.float64)
    return (total_D / len(vectors_ND)).astype(np.float32)


def scan_bytes(rows: int, dimension: int) -> int:
    """What the codes of so many vectors take in memory."""
    return rows * (padded_length(dimension) * _BITS // 8 + _CODE_BYTES)


def load_scan(path: Path, rows: int, dimension: int) -> "TurboQuantIndex":
    """Reads codes that were written with `scan.write`; `ValueError` or `OSError` if damaged."""
    from turbovec import TurboQuantIndex

    scan = TurboQuantIndex.load(str(path))
    if (len(scan), scan.dim, scan.bit_width) != (rows, padded_length(dimension), _BITS):
        raise ValueError(f"{path} holds {len(scan)} codes, {rows} expected")
    scan.prepare()
    return scan


def padded_length(dimension: int) -> int:
    """Codes are of multiples of 8 numbers: 100 -> 104."""
    return -(-dimension // 8) * 8


def padded(vectors_ND: Float32) -> Float32:
    """The same vectors with zeros behind, which change neither products nor distances."""
    dimension = vectors_ND.shape[1]
    missing = padded_length(dimension) - dimension
    if not missing:
        return np.ascontiguousarray(vectors_ND)
    return np.ascontiguousarray(np.pad(vectors_ND, ((0, 0), (0, missing))))


def _rank(vectors_ND: Float32, query_D: Float32, rows: Int64, k: int) -> tuple[Float64, Int64]:
    """The best k of `rows` in float64, row by row, so that equal vectors get equal scores."""
    query64_D = query_D.astype(np.float64)
    parts = [(piece * query64_D).sum(axis=1) for piece in pieces(vectors_ND, rows)]
    scores = np.concatenate([np.empty(0), *parts])
    order = np.lexsort((rows, -scores))[:k]
    return scores[order], rows[order]


def _stack(found: list[tuple[Float64, Int64]], k: int) -> tuple[Float64, Int64]:
    scores_QK = np.array([scores for scores, _ in found], np.float64).reshape(len(found), k)
    rows_QK = np.array([rows for _, rows in found], np.int64).reshape(len(found), k)
    return scores_QK, rows_QK


def _check(
    vectors_ND: Float32, queries_QD: Float32, k: int, mask_N: Bool | None
) -> tuple[int, int]:
    """Number of rows, and k bounded by the rows that take part."""
    rows, dimension = vectors_ND.shape
    assert k >= 0, k
    assert mask_N is None or (mask_N.dtype == np.bool_ and mask_N.shape == (rows,)), mask_N
    if queries_QD.ndim != 2 or queries_QD.shape[1] != dimension:
        raise UsageError(f"queries have shape {list(queries_QD.shape)}, not [Q, {dimension}]")
    if not np.isfinite(queries_QD).all():
        raise UsageError("a query vector holds NaN or infinity: give finite numbers")
    return rows, min(k, rows if mask_N is None else int(mask_N.sum()))
