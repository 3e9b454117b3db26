"""Where in one video a query is answered: the best stretches of its windows, embedded anew."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kinoscope.documents import Document, Excerpt
from kinoscope.embedder import Embedder
from kinoscope.errors import UsageError
from kinoscope.index.handle import Index
from kinoscope.spans import Curve, curve_of, moments_of, outside_mean
from kinoscope.types import ClipEmbeddings, Float32, Span

REFINED = 3
"""Moments whose own frames are embedded, in place of the windows they were found by."""

Embed = Callable[[Sequence[Span]], Float32]
"""Unit vectors [K, D] of stretches of a video."""


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A stretch of a video that answers a query.

    Attributes:
        rank: 1 for the likeliest.
        span: `[start_s, end_s)`, inside the video.
        score: how far its score lies above the mean of the rest of the video; 0 where the whole is
            the answer, since nothing stands out. Unrefined, the first is the one with the largest
            sum, and a shorter one behind it may lie higher.
        cosine: of the query with the stretch itself; None where only windows were looked at.
    """

    rank: int
    span: Span
    score: float
    cosine: float | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Located:
    """A video's moments, best first, and the curve that they were found on: cosines over time."""

    moments: tuple[Moment, ...]
    curve: Curve


def find_moments(
    embedder: Embedder | Index,
    video: str | Path,
    query: Document,
    *,
    k: int = 3,
    refine: bool = True,
) -> Located:
    """The k likeliest moments of a video for a query, of which a text is one kind.

    Args:
        embedder: that embeds the video; or an index, whose vectors are used where it holds the
            file as it is now, and whose embedder else.
        video: a file.
        query: as of `Embedder.encode_query`.
        k: how many at most.
        refine: whether the first `REFINED` are embedded by themselves, and ranked by that.

    Raises `UsageError` for a wrong argument, `MediaError` for a file without frames.
    """
    check_count(k)
    model = embedder.embedder if isinstance(embedder, Index) else embedder
    query_D = model.encode_query([query])[0]
    clips = clips_of(embedder, video)
    return locate(clips, query_D, k=k, embed=pieces_of(model, video) if refine else None)


def check_count(k: object) -> None:
    """Raises `UsageError` unless k is a number of moments."""
    if type(k) is not int or k < 1:
        raise UsageError(f"k {k!r}: ask for at least 1 moment")


def pieces_of(model: Embedder, video: str | Path) -> Embed:
    """Embeds stretches of a video by their own frames."""
    return lambda spans: model.encode_document([Excerpt(Path(video), span) for span in spans])


def clips_of(embedder: Embedder | Index, video: str | Path) -> ClipEmbeddings:
    """The vectors of a file: those that an index holds of it as it is now, else made anew.

    Raises `MediaError` for a file without frames.
    """
    if not isinstance(embedder, Index):
        return embedder.encode_video(Path(video))
    return embedder.stored(video) or embedder.embedder.encode_video(Path(video))


def locate(
    clips: ClipEmbeddings, query_D: Float32, *, k: int, embed: Embed | None = None
) -> Located:
    """The moments of an embedded video; `embed` is given where the first are to be refined."""
    rows = list(range(1, len(clips.spans))) or [0]
    scores_P = clips.vectors_ND[rows].astype(np.float64) @ query_D.astype(np.float64)
    curve = curve_of([clips.spans[row] for row in rows], scores_P)
    found = [
        Moment(rank=rank, span=each.span, score=each.contrast)
        for rank, each in enumerate(moments_of(curve, k), start=1)
    ]
    if embed is not None:
        found = refined(found, curve, query_D, embed)
    return Located(moments=tuple(found), curve=curve)


def refined(found: Sequence[Moment], curve: Curve, query_D: Float32, embed: Embed) -> list[Moment]:
    """The first `REFINED` moments in the order of their own cosines above the rest's mean."""
    first, others = found[:REFINED], found[REFINED:]
    vectors_KD = embed([moment.span for moment in first])
    cosines_K = vectors_KD.astype(np.float64) @ query_D.astype(np.float64)
    scored = [
        replace(each, cosine=float(cosine), score=float(cosine) - outside_mean(curve, each.span))
        for each, cosine in zip(first, cosines_K, strict=True)
    ]
    scored.sort(key=lambda moment: (-moment.score, moment.rank))
    return [replace(moment, rank=rank) for rank, moment in enumerate([*scored, *others], start=1)]
