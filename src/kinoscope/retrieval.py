"""A query to ranked moments: scores, filters, and one answer for each stretch of a video."""

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from kinoscope.addresses import path_of
from kinoscope.errors import UsageError
from kinoscope.exclusion import NOTHING, Exclusions, calibrated
from kinoscope.filters import EVERYTHING, Filters, allowed_paths, allowed_videos
from kinoscope.index.catalog import Catalog
from kinoscope.index.derived import Derived
from kinoscope.index.handle import Index
from kinoscope.index.vectors import Among
from kinoscope.query import Encode, Query, direction
from kinoscope.types import Bool, Float32, Hit, Int64, Span
from kinoscope.usual import Usual

Scale = Literal["moments", "videos"]

_TOUCH_S = 1e-6  # windows that share no more than this only touch
_Found = tuple[int, float, float]
"""A row of the catalog, its cosine with the query, and its penalty."""


@dataclass(frozen=True, eq=False)
class Asked:
    """A query as the library is asked: a unit vector [D], and what it excludes."""

    vector_D: Float32
    excluded: Exclusions = NOTHING


def search(
    index: Index,
    query: Query | str | Float32 | Asked,
    *,
    k: int = 10,
    filters: Filters = EVERYTHING,
    threshold: float | None = None,
    scale: Scale = "moments",
) -> list[Hit]:
    """The k best moments, or whole videos, for a query; none if the library has none.

    Args:
        index: where to look; it can serve any number of queries and notices changes by itself.
        query: a text, a `Query` of any other kind, a vector [D] of the index's embedder, or what
            `query_vectors` made of one.
        k: how many hits at most. Two hits never overlap within one video.
        filters: which videos may answer.
        threshold: least score of a hit; 0 means "no closer than the average video".
        scale: `moments` ranks windows, `videos` ranks whole videos.

    Raises `UsageError` for a wrong argument, `MediaError` for a query's file, `SpecMismatch` if
    another embedder made the index, `IndexFault` if the index cannot be read.
    """
    _check(k, threshold, scale)
    derived = index.derived()
    mask_N = derived.moment_N if scale == "moments" else derived.whole_N
    asked = query if isinstance(query, Asked) else query_vectors(index, query, scale)
    allowed_P = allowed_paths(derived.catalog, filters)
    among = Among(kind="moment" if scale == "moments" else "whole")
    if allowed_P is not None:
        allowed_V = allowed_videos(derived.catalog, filters, allowed_P)
        mask_N = mask_N & allowed_V[derived.catalog.video_N]
        among = replace(among, allowed_V=allowed_V)
    base = float(asked.vector_D.astype(np.float64) @ derived.mean_D)
    least = -math.inf if threshold is None else threshold
    kept = _distinct_top(derived, asked, k, (mask_N, among), base + least)
    return [_hit(derived, rank, found, base, allowed_P) for rank, found in enumerate(kept, start=1)]


def _check(k: int, threshold: float | None, scale: str) -> None:
    if type(k) is not int or k < 1:
        raise UsageError(f"k {k!r}: ask for at least 1 hit")
    if threshold is not None and not math.isfinite(threshold):
        raise UsageError(f"threshold {threshold}: give a finite score, such as 0 or 0.1")
    if scale not in get_args(Scale):
        raise UsageError(f"scale {scale!r}: choose moments or videos")


def query_vectors(
    index: Index,
    query: Query | str | Float32,
    scale: Scale = "moments",
    *,
    encode: Encode | None = None,
) -> Asked:
    """A query as vectors, to search with several times; arguments and errors are `search`'s.

    What is usual in the library is looked up only where the query needs it. `encode` stands in for
    `encode_query` of the index's embedder, as where many queries go through the model at once.
    """
    encode = index.embedder.encode_query if encode is None else encode
    if isinstance(query, str):
        return Asked(encode([query])[0])
    if not isinstance(query, Query):
        return Asked(_unit(query, index.spec.dimension))
    if not query.like and not query.excluded:
        return Asked(encode(query.documents)[0])
    derived = index.derived()
    library = Usual.of(derived, derived.moment_N if scale == "moments" else derived.whole_N)
    wanted = query.documents
    vectors_PD = encode([*wanted, *query.excluded])
    vector_D = direction(vectors_PD[: len(wanted)], library)
    return Asked(vector_D, calibrated(vector_D, vectors_PD[len(wanted) :], library))


def _unit(query: Float32, dimension: int) -> Float32:
    """A caller's vector [D] at unit length."""
    vector_D = np.asarray(query, np.float64)
    if vector_D.shape != (dimension,):
        raise UsageError(f"query vector of shape {list(vector_D.shape)}, not [{dimension}]")
    length = np.linalg.norm(vector_D)
    if not (np.isfinite(length) and length > 0):
        raise UsageError("the query vector is zero or not finite: it has no direction")
    return np.asarray(vector_D / length, np.float32)


def _distinct_top(
    derived: Derived, asked: Asked, k: int, where: tuple[Bool, Among], floor: float
) -> list[_Found]:
    """The k best (row, cosine, penalty) that do not overlap within a video.

    "Best" is the cosine less the penalty, which is at least `floor`. Neighbours of a good window
    are good too, so that k kept ones may need many candidates; and so may penalties: a row that
    was not looked at has at most the least cosine that was, so better ones are in their places.
    """
    wanted = 4 * k
    while True:
        cosines_1K, rows_1K = derived.searcher.top(asked.vector_D[None], wanted, *where)
        cosines_K, rows_K = cosines_1K[0], rows_1K[0]
        all_seen = len(rows_K) < wanted or cosines_K[-1] < floor
        penalties_K = np.zeros(len(rows_K))
        if asked.excluded:
            vectors_KD = np.asarray(derived.catalog.vectors_ND[rows_K])
            penalties_K = asked.excluded.penalties(vectors_KD, cosines_K)
        worth_K = cosines_K - penalties_K
        sure_K = worth_K >= floor
        if asked.excluded and not all_seen:
            sure_K &= worth_K > cosines_K[-1]
        order_K = np.lexsort((rows_K, -worth_K))
        places = order_K[sure_K[order_K]]
        kept = places[_drop_overlapping(derived.catalog, rows_K[places], k)]
        if len(kept) == k or all_seen:
            return [(int(rows_K[i]), float(cosines_K[i]), float(penalties_K[i])) for i in kept]
        wanted *= 8


def _drop_overlapping(catalog: Catalog, rows_K: Int64, k: int) -> list[int]:
    """Places of the first k rows that overlap no earlier kept one of the same video.

    [0,4) [2,6) [4,8) in this order -> [0,4) [4,8).
    """
    kept: list[int] = []
    taken: dict[int, list[tuple[float, float]]] = {}
    columns = (catalog.video_N, catalog.start_s_N, catalog.end_s_N)
    for i, (video, start_s, end_s) in enumerate(zip(*(c[rows_K] for c in columns), strict=True)):
        spans = taken.setdefault(int(video), [])
        if any(start_s < end - _TOUCH_S and start < end_s - _TOUCH_S for start, end in spans):
            continue
        spans.append((start_s, end_s))
        kept.append(i)
        if len(kept) == k:
            break
    return kept


def _hit(derived: Derived, rank: int, found: _Found, base: float, allowed_P: Bool | None) -> Hit:
    catalog, (row, cosine, penalty) = derived.catalog, found
    places = catalog.paths_of(int(catalog.video_N[row]))
    first = next(p for p in places if allowed_P is None or allowed_P[p])
    return Hit(
        rank=rank,
        path=path_of(catalog.paths[first]),
        span=Span(float(catalog.start_s_N[row]), float(catalog.end_s_N[row])),
        score=cosine - base - penalty,
        cosine=cosine,
        copies=tuple(path_of(catalog.paths[p]) for p in places if p != first),
        steps=int(catalog.steps_N[row]),
        reason=catalog.reasons[catalog.reason_N[row]],
        penalty=penalty,
    )
