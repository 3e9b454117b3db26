"""A client's query, answered from a snapshot: found, grouped, ranked anew."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from kinoscope.documents import Document, Excerpt
from kinoscope.errors import UsageError
from kinoscope.exclusion import LEAST_CLIPS
from kinoscope.filters import Filters
from kinoscope.grouping import Group, search_groups
from kinoscope.index.rows import folder_prefix
from kinoscope.index.scan import absolute
from kinoscope.matcher import Matcher
from kinoscope.moments import Located, locate
from kinoscope.query import Query
from kinoscope.retrieval import Asked, query_vectors, search
from kinoscope.server.library import Snapshot
from kinoscope.server.playing import require_there
from kinoscope.server.schema import Filtered, MomentsRequest, SearchRequest
from kinoscope.server.service import Service
from kinoscope.types import Float32, Frames, Span


@dataclass(frozen=True)
class Answer:
    """Groups of hits on a snapshot, and what was not taken into account."""

    snapshot: Snapshot
    groups: tuple[Group, ...]
    notes: tuple[str, ...] = ()


def find(service: Service, asked: SearchRequest) -> Answer:
    """The best moments, or whole videos, for a query.

    Raises as `search`, and what `References` raises.
    """
    _check(service, asked)
    snapshot = service.library.now
    query = query_of(service, snapshot, asked)
    filters = filters_of(snapshot, asked.filters)
    vectors = query_vectors(snapshot, query, asked.scale, encode=service.encode)
    wanted = max(asked.k, asked.rerank or 0)
    with service.metrics.stage("search"):
        groups = _groups(snapshot, vectors, asked, filters, wanted)
    if asked.rerank:
        groups = _ranked_anew(service, snapshot, groups, asked)
    return Answer(snapshot, tuple(groups[: asked.k]), tuple(_notes(snapshot, asked, vectors)))


def query_of(service: Service, snapshot: Snapshot, asked: SearchRequest) -> Query:
    """With references as frames; `UsageError` for a query that contradicts itself."""
    if asked.edit is not None and asked.video is None and asked.image is None:
        raise UsageError("an edit of nothing: name the video or image that it changes")
    shown = service.references
    text, like = asked.text, [shown.document(snapshot, each) for each in asked.like]
    if asked.video is not None or asked.image is not None:
        beside: list[Document] = [] if text is None else [text]
        text, like = asked.edit, [*beside, *like]
    video, image = asked.video, asked.image
    return Query(
        text=text,
        video=None if video is None else shown.frames(snapshot, video, still=False),
        image=None if image is None else shown.frames(snapshot, image, still=True),
        like=tuple(like),
        excluded=tuple(asked.excluded),
    )


def filters_of(snapshot: Snapshot, given: Filtered) -> Filters:
    """As the library takes them. Says of a folder only whether indexed videos are in it."""
    folder = None
    if given.folder is not None:
        folder = Path(given.folder)
        known = "\0" not in given.folder and folder.is_absolute()
        prefix = folder_prefix(absolute(folder)) if known else ""
        if not known or not any(path.startswith(prefix) for path in snapshot.id_of):
            raise UsageError(f"folder {given.folder}: no indexed video is below it")
    return Filters(
        folder=folder,
        name=given.name,
        since=_seconds(given.since),
        until=_seconds(given.until),
        min_duration_s=given.min_duration_s,
        max_duration_s=given.max_duration_s,
    )


def find_moments(service: Service, asked: MomentsRequest) -> Located:
    """When in one indexed video something happens; the best stretches are embedded anew."""
    if (asked.text is None) == (asked.like is None):
        raise UsageError("give a text or a reference to look for, one of the two")
    snapshot = service.library.now
    clips, rows = snapshot.clips_of(asked.video), snapshot.rows_of(asked.video)
    wanted: Document
    if asked.text is not None:
        wanted = asked.text
    else:
        assert asked.like is not None
        wanted = service.references.document(snapshot, asked.like)
    query_D = service.encode([wanted])[0]

    def embed(spans: Sequence[Span]) -> Float32:
        file = require_there(rows)
        shown = [service.references.stretch(file, span).frames for span in spans]
        with service.metrics.stage("model"):
            return snapshot.embedder.encode_document(shown)

    with service.metrics.stage("search"):
        return locate(clips, query_D, k=asked.k, embed=embed if asked.refine else None)


def stretch_of(service: Service, snapshot: Snapshot, place: Excerpt) -> Frames:
    """What a model is shown of a piece of an indexed file, or of a copy where that is away."""
    file = require_there(snapshot.rows_of(snapshot.id_of[str(place.path)]))
    return service.references.stretch(file, place.span).frames


def matcher_of(service: Service) -> Matcher:
    """Raises `UsageError` for a model that cannot say yes or no."""
    if service.matcher is None:
        raise UsageError(
            f"the model of this index, {service.name}, gives no yes and no: leave rerank out"
        )
    return service.matcher


def _check(service: Service, asked: SearchRequest) -> None:
    if asked.sure and not (asked.rerank and service.config.calibration):
        raise UsageError("sure needs rerank, and a server that was started with --calibration")
    if asked.rerank and (asked.text is None or asked.video or asked.image):
        raise UsageError("rerank asks the model about a text: give one to look for")
    if asked.group is not None and asked.scale == "videos":
        raise UsageError("group is for moments: leave it out, or ask for moments")
    if asked.rerank:
        matcher_of(service)


def _groups(
    snapshot: Snapshot, vectors: Asked, asked: SearchRequest, filters: Filters, k: int
) -> list[Group]:
    if asked.group is not None:
        return search_groups(
            snapshot, vectors, by=asked.group, k=k, filters=filters, threshold=asked.threshold
        )
    hits = search(
        snapshot, vectors, k=k, filters=filters, threshold=asked.threshold, scale=asked.scale
    )
    return [Group(hit) for hit in hits]


def _ranked_anew(
    service: Service, snapshot: Snapshot, groups: Sequence[Group], asked: SearchRequest
) -> list[Group]:
    """By the model's yes and no; the model is not for others meanwhile."""
    matcher = matcher_of(service)
    assert asked.rerank is not None and asked.text is not None
    top = asked.rerank
    clips = {
        (hit.path, hit.span): stretch_of(service, snapshot, Excerpt(hit.path, hit.span))
        for hit in (group.best for group in groups[:top])
    }
    with service.metrics.stage("match"), snapshot.embedder.turn:
        hits = matcher.rerank(
            [group.best for group in groups],
            asked.text,
            top=top,
            read=lambda hit: clips[hit.path, hit.span],
        )
    others = {(group.best.path, group.best.span): group.others for group in groups}
    kept = matcher.good(hits) if asked.sure else hits
    return [Group(hit, others[hit.path, hit.span]) for hit in kept]


def _notes(snapshot: Snapshot, asked: SearchRequest, vectors: Asked) -> list[str]:
    """What a person at the command line would be warned of."""
    notes = []
    if asked.excluded and not vectors.excluded:
        notes.append(
            f"the library has fewer than {LEAST_CLIPS} clips, too few to say what is usual: what"
            " the query excludes was not taken into account"
        )
    backbone = snapshot.embedder.backbone
    if asked.text is not None and backbone.count_tokens(asked.text) > backbone.max_tokens:
        notes.append(f"only the first {backbone.max_tokens} tokens of the text were read")
    return notes


def _seconds(when: datetime | None) -> float | None:
    if when is None:
        return None
    try:
        return max(0.0, when.timestamp())
    except (OverflowError, ValueError, OSError):
        raise UsageError(f"{when}: give a date between 1970 and 9999") from None
