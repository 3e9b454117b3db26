"""A client's question, answered in words from a snapshot: of the library or of one video."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from kinoscope.answer import (
    MOMENTS,
    Answer,
    AskOptions,
    ask_about,
    check_question,
    is_read_whole,
    widened,
)
from kinoscope.backbones.likelihood import require_speaker
from kinoscope.documents import Excerpt
from kinoscope.errors import UsageError
from kinoscope.server.faults import Busy
from kinoscope.server.finding import find, find_moments, stretch_of
from kinoscope.server.library import Snapshot
from kinoscope.server.references import Named
from kinoscope.server.schema import AskRequest, Filtered, MomentsRequest, SearchRequest
from kinoscope.server.service import Service
from kinoscope.types import Hit, Span


@dataclass(frozen=True)
class Answered:
    """Answers on a snapshot, and what was not taken into account."""

    snapshot: Snapshot
    answers: tuple[Answer, ...]
    notes: tuple[str, ...] = ()


def answered(service: Service, asked: AskRequest) -> Answered:
    """Answers of the best moments of the library, or about one video.

    Raises `UsageError` for a model that gives no words, or what does not go together, `Busy` where
    too many questions wait, `Absent`, `MediaError`, else as `find`.
    """
    check_question(asked.question)
    require_speaker(service.library.now.embedder.backbone)
    options = AskOptions(
        choices=tuple(asked.choices),
        find=asked.find,
        around_s=asked.around_s,
        max_new_tokens=asked.max_new_tokens,
    )
    if asked.video is not None:
        return _of_video(service, asked, Named.parse(asked.video), options)
    query = SearchRequest(
        text=options.find or asked.question,
        k=asked.k or MOMENTS,
        threshold=asked.threshold,
        filters=asked.filters or Filtered(),
    )
    found = find(service, query)
    hits = [group.best for group in found.groups]
    answers = _of_hits(service, found.snapshot, hits, asked.question, options)
    return Answered(found.snapshot, tuple(answers), found.notes)


def answers_about(
    service: Service, snapshot: Snapshot, hits: Sequence[Hit], question: str
) -> list[Answer]:
    """Answers of moments that were found already. Raises as `answered`."""
    check_question(question)
    require_speaker(snapshot.embedder.backbone)
    return _of_hits(service, snapshot, hits, question, AskOptions())


@contextmanager
def _turn(service: Service) -> Iterator[None]:
    """One of the few questions that may be at work or waiting."""
    if not service.questions.acquire(blocking=False):
        most = service.config.limits.questions
        raise Busy(f"{most} questions are being answered: come back in some seconds", 5)
    try:
        yield
    finally:
        service.questions.release()


def _of_hits(
    service: Service, snapshot: Snapshot, hits: Sequence[Hit], question: str, options: AskOptions
) -> list[Answer]:
    places = [
        Excerpt(hit.path, widened(hit.span, options.around_s, _end_s(snapshot, hit)))
        for hit in hits
    ]
    answers = _about(service, snapshot, places, question, options)
    pairs = zip(answers, hits, strict=True)
    return [replace(answer, rank=hit.rank, hit=hit) for answer, hit in pairs]


def _of_video(service: Service, asked: AskRequest, named: Named, options: AskOptions) -> Answered:
    if asked.threshold is not None or asked.filters is not None:
        raise UsageError("threshold and filters are for the library: leave them out, or the video")
    if named.span is not None and (asked.k is not None or options.find is not None):
        raise UsageError("a piece is asked about as it is: leave k and find out")
    snapshot = service.library.now
    row = snapshot.rows_of(named.id)[0]
    spans = [named.span] if named.span else _spans(service, asked, Span(0.0, row.duration_s))
    if spans and spans[0].start_s >= row.duration_s:
        raise UsageError(f"the video ends at {row.duration_s:.2f} s: choose a piece inside it")
    places = [Excerpt(Path(row.path), span) for span in spans]
    answers = _about(service, snapshot, places, asked.question, options)
    return Answered(snapshot, tuple(answers))


def _spans(service: Service, asked: AskRequest, whole: Span) -> list[Span]:
    """The whole of a video that the model reads without a gap, or its best moments."""
    assert asked.video is not None
    if asked.k is None and is_read_whole(service.library.now.embedder.sampling, whole):
        return [whole]
    wanted = MomentsRequest(
        video=asked.video, text=asked.find or asked.question, k=asked.k or MOMENTS
    )
    located = find_moments(service, wanted)
    return [widened(each.span, asked.around_s, whole.end_s) for each in located.moments]


def _about(
    service: Service,
    snapshot: Snapshot,
    places: Sequence[Excerpt],
    question: str,
    options: AskOptions,
) -> list[Answer]:
    """What was answered before is remembered: the same words come of the same piece.

    Decoded by processes apart; the model is for others between a few pieces and the next.
    """
    how = (question, options.choices, options.max_new_tokens)
    names = [_name(snapshot.id_of[str(place.path)], place.span, *how) for place in places]
    known = service.remembered.known(names)
    if len(known) < len(set(names)):
        with _turn(service), service.remembered.asking(how):
            known |= service.remembered.known(names)  # by who asked the same just before
            new = {n: p for n, p in zip(names, places, strict=True) if n not in known}
            read = partial(stretch_of, service, snapshot)
            with service.metrics.stage("answer"):
                told = ask_about(
                    snapshot.embedder, list(new.values()), question, options=options, read=read
                )
            answers = dict(zip(new, told, strict=True))
            service.remembered.keep(answers)
        known |= answers
    return [
        replace(known[name], rank=rank, path=place.path)
        for rank, (name, place) in enumerate(zip(names, places, strict=True), start=1)
    ]


def _name(*parts: object) -> str:
    """Of what an answer is known by: as short for a long question."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _end_s(snapshot: Snapshot, hit: Hit) -> float:
    return snapshot.rows_of(snapshot.id_of[str(hit.path)])[0].duration_s
