"""Hits that belong together as one: of one video, or of videos that look nearly the same."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from kinoscope.errors import UsageError
from kinoscope.filters import EVERYTHING, Filters
from kinoscope.index.derived import Derived
from kinoscope.index.handle import Index
from kinoscope.query import Query
from kinoscope.retrieval import Asked, query_vectors, search
from kinoscope.types import Float32, Float64, Hit
from kinoscope.usual import Usual

By = Literal["video", "look"]

NEARLY = 0.1
"""Of the mean distance, 1 - cosine, from a hit to the library's clips: what is nearer is alike."""

_ROUNDING = 1e-5  # of cosines: what differs by less is the same

_GROWTH = 4


@dataclass(frozen=True)
class Group:
    """A hit and those behind it that it stands for, best first."""

    best: Hit
    others: tuple[Hit, ...] = ()


def search_groups(
    index: Index,
    query: Query | str | Float32 | Asked,
    *,
    by: By,
    k: int = 10,
    filters: Filters = EVERYTHING,
    threshold: float | None = None,
) -> list[Group]:
    """The k best groups of moments; `others` are those among the hits that had to be looked at.

    `video`: moments of one file are a group. `look`: a moment joins the first group whose best it
    is so near to as `NEARLY` says: the same scene, encoded anew, cut or copied out of it.
    Arguments and errors are those of `search`.
    """
    if by not in get_args(By):
        raise UsageError(f"group by {by!r}: choose video or look")
    if type(k) is not int or k < 1:
        raise UsageError(f"k {k!r}: ask for at least 1 group")
    asked = query if isinstance(query, Asked) else query_vectors(index, query)
    wanted = _GROWTH * k
    while True:
        hits = search(index, asked, k=wanted, filters=filters, threshold=threshold)
        groups = _by_video(hits) if by == "video" else _by_look(index.derived(), hits)
        if len(groups) > k or len(hits) < wanted:
            return [_ranked(group, rank) for rank, group in enumerate(groups[:k], start=1)]
        wanted *= _GROWTH


def _ranked(group: list[Hit], rank: int) -> Group:
    return Group(replace(group[0], rank=rank), tuple(group[1:]))


def _by_video(hits: Sequence[Hit]) -> list[list[Hit]]:
    groups: dict[object, list[Hit]] = {}
    for hit in hits:
        groups.setdefault(hit.path, []).append(hit)
    return list(groups.values())


def _by_look(derived: Derived, hits: Sequence[Hit]) -> list[list[Hit]]:
    vectors_KD = vectors_of(derived, hits)
    usual = Usual.of(derived, derived.moment_N)
    groups: list[list[Hit]] = []
    firsts: list[Float64] = []
    reach: list[float] = []
    for hit, vector_D in zip(hits, vectors_KD.astype(np.float64), strict=True):
        distances = [1.0 - float(vector_D @ first_D) for first_D in firsts]
        near = (n for n, distance in enumerate(distances) if distance <= reach[n])
        place = next(near, None)
        if place is not None:
            groups[place].append(hit)
            continue
        groups.append([hit])
        firsts.append(vector_D)
        reach.append(max(_ROUNDING, NEARLY * (1.0 - float(vector_D @ usual.mean_D))))
    return groups


def vectors_of(derived: Derived, hits: Sequence[Hit]) -> Float32:
    """The vectors [K, D] that hits on this state of the index were found by."""
    catalog = derived.catalog
    found = np.empty((len(hits), catalog.vectors_ND.shape[1]), np.float32)
    for place, hit in enumerate(hits):
        video = int(catalog.path_video_P[catalog.place_of[str(hit.path)]])
        rows = np.array(catalog.rows_of(video), np.int64)
        same = (catalog.start_s_N[rows] == hit.span.start_s) & (
            catalog.end_s_N[rows] == hit.span.end_s
        )
        some = rows[same & derived.moment_N[rows]]
        found[place] = catalog.vectors_ND[int(some[0])]
    return found
