"""Answers as clients get them."""

from typing import Any

from kinoscope.answer import Answer
from kinoscope.grouping import Group
from kinoscope.index.rows import FileRow
from kinoscope.moments import Located
from kinoscope.server.answering import Answered
from kinoscope.server.faults import plain
from kinoscope.server.finding import Answer as Found
from kinoscope.server.library import Snapshot
from kinoscope.server.playing import is_playable
from kinoscope.server.schema import (
    AnswerOut,
    AskResponse,
    GroupOut,
    HitOut,
    MomentOut,
    MomentsResponse,
    SearchResponse,
    VideoOut,
    VideosResponse,
)
from kinoscope.server.service import Service
from kinoscope.types import Hit

_MOST_OTHERS = 50


def search_out(answer: Found) -> SearchResponse:
    """Hits with where their pictures are."""
    return SearchResponse(
        hits=[group_out(answer.snapshot, group) for group in answer.groups],
        notes=list(answer.notes),
        index=answer.snapshot.stamp,
    )


def group_out(snapshot: Snapshot, group: Group) -> GroupOut:
    """A hit, and those that it stands for."""
    others = [hit_out(snapshot, hit) for hit in group.others[:_MOST_OTHERS]]
    return GroupOut(**_fields(snapshot, group.best), others=others)


def hit_out(snapshot: Snapshot, hit: Hit) -> HitOut:
    """A hit by its video's id."""
    return HitOut(**_fields(snapshot, hit))


def _fields(snapshot: Snapshot, hit: Hit) -> dict[str, Any]:
    video_id = snapshot.id_of[str(hit.path)]
    row = next(row for row in snapshot.rows_of(video_id) if row.path == str(hit.path))
    at, start_s, end_s = f"/api/videos/{video_id}", hit.span.start_s, hit.span.end_s
    return dict(
        rank=hit.rank,
        video=video_id,
        path=plain(str(hit.path)),
        start_s=start_s,
        end_s=end_s,
        score=hit.score,
        cosine=hit.cosine,
        penalty=hit.penalty,
        probability=hit.probability,
        copies=[plain(str(path)) for path in hit.copies],
        duration_s=row.duration_s,
        playable=is_playable(row),
        media=f"{at}/media",
        poster=f"{at}/poster?at={(start_s + end_s) / 2:.3f}",
        preview=f"{at}/preview?start={start_s:.3f}&end={end_s:.3f}",
    )


def answers_out(answered: Answered) -> AskResponse:
    """Answers with the moments that they are of."""
    return AskResponse(
        answers=[answer_out(answered.snapshot, each) for each in answered.answers],
        notes=list(answered.notes),
        index=answered.snapshot.stamp,
    )


def answer_out(snapshot: Snapshot, answer: Answer) -> AnswerOut:
    """An answer by its video's id."""
    video_id = snapshot.id_of[str(answer.path)]
    at, start_s, end_s = f"/api/videos/{video_id}", answer.span.start_s, answer.span.end_s
    return AnswerOut(
        rank=answer.rank,
        text=answer.text,
        video=video_id,
        name=plain(answer.path.name),
        path=plain(str(answer.path)),
        start_s=start_s,
        end_s=end_s,
        log_likelihood=answer.log_likelihood,
        complete=answer.complete,
        shares=list(answer.shares),
        score=None if answer.hit is None else answer.hit.score,
        media=f"{at}/media",
        preview=f"{at}/preview?start={start_s:.3f}&end={end_s:.3f}",
    )


def moments_out(video_id: str, located: Located) -> MomentsResponse:
    """Moments and curve."""
    curve = located.curve
    return MomentsResponse(
        video=video_id,
        duration_s=float(curve.edges_s[-1]),
        moments=[
            MomentOut(
                rank=moment.rank,
                start_s=moment.span.start_s,
                end_s=moment.span.end_s,
                score=moment.score,
                cosine=moment.cosine,
            )
            for moment in located.moments
        ],
        edges_s=curve.edges_s.tolist(),
        scores=curve.scores_C.tolist(),
    )


def videos_out(service: Service, offset: int, limit: int) -> VideosResponse:
    """A page of the library's files."""
    rows = service.library.now.files()
    return VideosResponse(
        total=len(rows),
        videos=[video_out(row) for row in rows[offset : offset + limit]],
        folders=[plain(str(path)) for path in service.library.now.store.sources()],
        roots=[plain(str(path)) for path in service.indexing.roots],
    )


def video_out(row: FileRow) -> VideoOut:
    """A file of the library."""
    return VideoOut(
        id=row.video_id,
        path=plain(row.path),
        state=row.state,
        duration_s=row.duration_s,
        width=row.width,
        height=row.height,
        codec=row.codec,
        size_bytes=row.size_bytes,
        playable=row.state == "indexed" and is_playable(row),
        message=plain(row.message),
    )
