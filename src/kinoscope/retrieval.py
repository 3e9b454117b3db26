"""Text to ranked moments: scores, filters, and one answer for each stretch of a video."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from kinoscope.errors import UsageError
from kinoscope.index.catalog import Catalog
from kinoscope.index.derived import Derived
from kinoscope.index.handle import Index
from kinoscope.index.rows import folder_prefix
from kinoscope.index.scan import absolute
from kinoscope.types import Bool, Float32, Hit, Int64, Span

Scale = Literal["moments", "videos"]

_TOUCH_S = 1e-6  # windows that share no more than this only touch


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Which videos may answer; without arguments, all.

    Attributes:
        folder: only videos with a copy below this folder; hits then name that copy.
        since: only copies modified at or after this time, in seconds since 1970.
        min_duration_s: only videos at least that long.
    """

    folder: Path | None = None
    since: float | None = None
    min_duration_s: float | None = None

    def __post_init__(self) -> None:
        for name in ("since", "min_duration_s"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise UsageError(f"filter {name} {value}: give seconds, 0 or more")


EVERYTHING = Filters()


def search(
    index: Index,
    query: str | Float32,
    *,
    k: int = 10,
    filters: Filters = EVERYTHING,
    threshold: float | None = None,
    scale: Scale = "moments",
) -> list[Hit]:
    """The k best moments, or whole videos, for a description; none if the library has none.

    Args:
        index: where to look; it can serve any number of queries and notices changes by itself.
        query: text, or a vector [D] of the index's embedder.
        k: how many hits at most. Two hits never overlap within one video.
        filters: which videos may answer.
        threshold: least score of a hit; 0 means "no closer than the average video".
        scale: `moments` ranks windows, `videos` ranks whole videos.

    Raises `UsageError` for a wrong argument, `SpecMismatch` if another embedder made the index,
    `IndexFault` if the index cannot be read.
    """
    _check(k, threshold, scale)
    derived = index.derived()
    query_D = _query_vector(index, query)
    allowed_P = _allowed_paths(derived.catalog, filters)
    mask_N = derived.moment_N if scale == "moments" else derived.whole_N
    if allowed_P is not None:
        mask_N = mask_N & _allowed_videos(derived.catalog, filters, allowed_P)
    base = float(query_D.astype(np.float64) @ derived.mean_D)
    least = -math.inf if threshold is None else threshold
    kept = _distinct_top(derived, query_D, k, mask_N, base + least)
    return [
        _hit(derived.catalog, rank, row, cosine, base, allowed_P)
        for rank, (row, cosine) in enumerate(kept, start=1)
    ]


def _check(k: int, threshold: float | None, scale: str) -> None:
    if type(k) is not int or k < 1:
        raise UsageError(f"k {k!r}: ask for at least 1 hit")
    if threshold is not None and not math.isfinite(threshold):
        raise UsageError(f"threshold {threshold}: give a finite score, such as 0 or 0.1")
    if scale not in get_args(Scale):
        raise UsageError(f"scale {scale!r}: choose moments or videos")


def _query_vector(index: Index, query: str | Float32) -> Float32:
    """The query as a unit vector [D]."""
    if isinstance(query, str):
        return index.embedder.encode_query(query)
    vector_D, dimension = np.asarray(query, np.float64), index.spec.dimension
    if vector_D.shape != (dimension,):
        raise UsageError(f"query vector of shape {list(vector_D.shape)}, not [{dimension}]")
    length = np.linalg.norm(vector_D)
    if not (np.isfinite(length) and length > 0):
        raise UsageError("the query vector is zero or not finite: it has no direction")
    return np.asarray(vector_D / length, np.float32)


def _allowed_paths(catalog: Catalog, filters: Filters) -> Bool | None:
    """Paths that pass [P]; None if no filter speaks of paths or videos."""
    if filters == EVERYTHING:
        return None
    allowed_P = np.ones(len(catalog.paths), np.bool_)
    if filters.since is not None:
        allowed_P &= catalog.mtime_s_P >= filters.since
    if filters.folder is not None:
        allowed_P &= _below(catalog.paths, filters.folder)
    return allowed_P


def _below(paths: tuple[str, ...], folder: Path) -> Bool:
    """Which paths lie below a folder, named as it is or as it resolves; the folder may be gone."""
    names = {absolute(folder), str(Path(folder).resolve())}
    prefixes = tuple(map(folder_prefix, names))
    below_P = np.fromiter((path.startswith(prefixes) for path in paths), np.bool_, len(paths))
    if not below_P.any() and not folder.is_dir():
        raise UsageError(f"folder {folder} does not exist, and no indexed video was in it")
    return below_P


def _allowed_videos(catalog: Catalog, filters: Filters, allowed_P: Bool) -> Bool:
    """Clips [N] whose video has an allowed path and is long enough."""
    allowed_V = np.zeros(len(catalog.duration_s_V), np.bool_)
    allowed_V[catalog.path_video_P[allowed_P]] = True
    if filters.min_duration_s is not None:
        allowed_V &= catalog.duration_s_V >= filters.min_duration_s
    return allowed_V[catalog.video_N]


def _distinct_top(
    derived: Derived, query_D: Float32, k: int, mask_N: Bool, floor: float
) -> list[tuple[int, float]]:
    """The k best (row, cosine) that do not overlap within a video, cosine at least `floor`.

    Neighbours of a good window are good too, so that k kept ones may need many candidates.
    """
    wanted = 4 * k
    while True:
        scores_1K, rows_1K = derived.searcher.top(query_D[None], wanted, mask_N)
        good = scores_1K[0] >= floor
        scores_K, rows_K = scores_1K[0][good], rows_1K[0][good]
        kept = _drop_overlapping(derived.catalog, rows_K, k)
        if len(kept) == k or len(rows_K) < wanted:
            return [(int(rows_K[i]), float(scores_K[i])) for i in kept]
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


def _hit(
    catalog: Catalog, rank: int, row: int, cosine: float, base: float, allowed_P: Bool | None
) -> Hit:
    places = catalog.paths_of(int(catalog.video_N[row]))
    first = next(p for p in places if allowed_P is None or allowed_P[p])
    return Hit(
        rank=rank,
        path=Path(catalog.paths[first]),
        span=Span(float(catalog.start_s_N[row]), float(catalog.end_s_N[row])),
        score=cosine - base,
        cosine=cosine,
        copies=tuple(Path(catalog.paths[p]) for p in places if p != first),
        steps=int(catalog.steps_N[row]),
        reason=catalog.reasons[catalog.reason_N[row]],
    )
