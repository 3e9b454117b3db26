"""Routes of the REST interface: search, moments, the library, uploads, media."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, File, Query, Request, UploadFile
from fastapi import Path as InPath
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

import kinoscope
from kinoscope.errors import UsageError
from kinoscope.server.answering import answered
from kinoscope.server.asked import ASK_EXAMPLES, SEARCH_BODY, asked_of
from kinoscope.server.config import ServeLimits
from kinoscope.server.faults import Busy, plain
from kinoscope.server.finding import find, find_moments
from kinoscope.server.playing import MEDIA_TYPES, OpenFile, media_type, open_indexed
from kinoscope.server.schema import (
    VIDEO_ID,
    AddRequest,
    AskRequest,
    AskResponse,
    HealthResponse,
    IndexingOut,
    MomentsRequest,
    MomentsResponse,
    RemovedResponse,
    SearchRequest,
    SearchResponse,
    UploadOut,
    VideosResponse,
    failures,
)
from kinoscope.server.service import Service
from kinoscope.server.telling import answers_out, moments_out, search_out, videos_out
from kinoscope.server.uploads import Upload
from kinoscope.types import Span

VideoId = Annotated[str, InPath(pattern=f"^{VIDEO_ID}$", description="A video's id.")]
_EVENT_EVERY_S = 0.25
_ALIVE_EVERY_S = 15.0
_MOST_LISTENERS = 64
_DAY_S = 24 * 3600


async def service_of(request: Request) -> Service:  # what is not async goes through a thread
    """The parts that routes work with."""
    service = request.app.state.service
    assert isinstance(service, Service)
    return service


Served = Annotated[Service, Depends(service_of)]
router = APIRouter()


async def in_turn(service: Service, work: Callable[[], BaseModel], *, quick: bool) -> Response:
    """The answer as JSON, made in a thread; where it is quick, when it has its turn.

    What waits for a decoder or for the model's yes and no would keep others from their turns.
    Raises `Busy` as `Turns.run`.
    """

    def made() -> str:
        return work().model_dump_json()

    content = await (service.turns.run(made) if quick else run_in_threadpool(made))
    return Response(content, media_type="application/json")


@router.post(
    "/api/search",
    responses=failures(404),
    response_model=SearchResponse,
    openapi_extra=SEARCH_BODY,
    tags=["search"],
)
async def search(asked: Annotated[SearchRequest, Depends(asked_of)], service: Served) -> Response:
    """Moments for a text, a picture, a piece of video, an edit, more like this, but not that.

    JSON, or a form whose part `query` is that JSON and whose part `image` or `video` is a file.
    """
    quick = not (asked.like or asked.video or asked.image or asked.rerank)
    return await in_turn(service, lambda: search_out(find(service, asked)), quick=quick)


@router.post("/api/moments", responses=failures(404), tags=["search"])
def moments(asked: MomentsRequest, service: Served) -> MomentsResponse:
    """When in one video something happens, and the curve over the whole of it."""
    return moments_out(asked.video, find_moments(service, asked))


@router.post("/api/ask", responses=failures(404), tags=["search"])
def ask(
    asked: Annotated[AskRequest, Body(openapi_examples=ASK_EXAMPLES)], service: Served
) -> AskResponse:
    """Answers in words, of moments of the library or of one video, each with its place.

    For models that speak. What was answered before is not asked anew.
    """
    return answers_out(answered(service, asked))


@router.post("/api/uploads", status_code=201, responses=failures(413), tags=["search"])
def upload(file: Annotated[UploadFile, File()], service: Served) -> UploadOut:
    """Keeps a picture or a short video for a while, to be asked about by its id."""
    return upload_out(service.uploads.add(file.file))


@router.get(
    "/api/uploads/{name}/poster",
    responses={**failures(404), 200: {"content": {"image/jpeg": {}}}},
    response_class=Response,
    tags=["media"],
)
def upload_poster(
    name: Annotated[str, InPath(pattern=f"^upload-{VIDEO_ID}$")], service: Served
) -> Response:
    """What an upload looks like, as JPEG."""
    content = service.pictures.of_upload(service.uploads.get(name))
    return Response(content, media_type="image/jpeg")


def upload_out(kept: Upload) -> UploadOut:
    """What a client learns of an upload."""
    kind: Literal["image", "video"] = "image" if kept.duration_s is None else "video"
    return UploadOut(id=kept.id, kind=kind, size_bytes=kept.size_bytes, duration_s=kept.duration_s)


@router.get("/api/videos", responses=failures(), tags=["library"])
def videos(
    service: Served,
    offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> VideosResponse:
    """Files of the library by path, those in quarantine with their reasons."""
    return videos_out(service, offset, limit)


@router.post("/api/videos", status_code=202, responses=failures(409), tags=["library"])
def add(asked: AddRequest, service: Served) -> IndexingOut:
    """Begins to index a folder below one of the server's roots, or all that is watched again."""
    folder = None if asked.folder is None else Path(asked.folder)
    return IndexingOut(**asdict(service.indexing.start(folder)))


@router.delete("/api/videos/{video_id}", responses=failures(404, 409), tags=["library"])
def remove(video_id: VideoId, service: Served) -> RemovedResponse:
    """Forgets a video; its files stay, and come back with the next run where they are watched."""
    paths = [row.path for row in service.library.now.rows_of(video_id)]
    removed = service.indexing.remove(paths)
    service.library.refresh()
    return RemovedResponse(removed=removed)


@router.get("/api/indexing", responses=failures(), tags=["library"])
def indexing(service: Served) -> IndexingOut:
    """How far the last indexing run is."""
    return IndexingOut(**asdict(service.indexing.status))


@router.delete("/api/indexing", responses=failures(), tags=["library"])
def stop_indexing(service: Served) -> IndexingOut:
    """Ends a run soon; what is finished is kept."""
    service.indexing.stop()
    return IndexingOut(**asdict(service.indexing.status))


@router.get(
    "/api/indexing/events",
    responses={
        **failures(),
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
    },
    response_class=StreamingResponse,
    tags=["library"],
)
async def indexing_events(request: Request) -> StreamingResponse:
    """The same as events, one for each change of the run or of the index that is served.

    Each is JSON; a comment comes now and then while there is none.
    """
    listeners = request.app.state.listeners
    if len(listeners) >= _MOST_LISTENERS:
        raise Busy("too many listen already: ask /api/indexing now and then", 30)
    return StreamingResponse(_events(request), media_type="text/event-stream")


async def _events(request: Request) -> AsyncIterator[str]:
    """Until the client goes, or the server."""
    service, state = await service_of(request), request.app.state
    ticket = object()
    state.listeners.add(ticket)
    told: tuple[object, str] | None = None
    quiet_s = 0.0
    try:
        while not state.closing.is_set() and not await request.is_disconnected():
            status, stamp = service.indexing.status, service.library.now.stamp
            if (status, stamp) != told:
                told, quiet_s = (status, stamp), 0.0
                line = json.dumps({**asdict(status), "index": stamp})
                yield f"data: {line}\n\n"
            elif quiet_s >= _ALIVE_EVERY_S:
                quiet_s = 0.0
                yield ": still here\n\n"
            await asyncio.sleep(_EVENT_EVERY_S)
            quiet_s += _EVENT_EVERY_S
    finally:
        state.listeners.discard(ticket)


_FILE: dict[str, Any] = {
    "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in MEDIA_TYPES}
}


@router.get(
    "/api/videos/{video_id}/media",
    responses={**failures(404), 200: _FILE, 206: _FILE},
    response_class=Response,
    tags=["media"],
)
def media(video_id: VideoId, service: Served) -> OpenFile:
    """The file of an indexed video as it was indexed, whole or in ranges of bytes."""
    descriptor, row = open_indexed(service.library.now.rows_of(video_id))
    return OpenFile(descriptor, media_type(row.path), private_s=3600)


@router.get(
    "/api/videos/{video_id}/poster",
    responses={**failures(404), 200: {"content": {"image/jpeg": {}}}},
    response_class=Response,
    tags=["media"],
)
def poster(
    video_id: VideoId, service: Served, at: Annotated[float, Query(ge=0, le=10**6)] = 0.0
) -> OpenFile:
    """The frame on screen at an instant, as JPEG."""
    descriptor = service.pictures.poster(service.library.now, video_id, at)
    return OpenFile(descriptor, "image/jpeg", private_s=_DAY_S)


@router.get(
    "/api/videos/{video_id}/preview",
    responses={
        **failures(404),
        200: {"content": {"video/mp4": {}}},
        206: {"content": {"video/mp4": {}}},
    },
    response_class=Response,
    tags=["media"],
)
def preview(
    video_id: VideoId,
    service: Served,
    start: Annotated[float, Query(ge=0, le=10**6)],
    end: Annotated[float, Query(gt=0, le=10**6)],
) -> OpenFile:
    """A span as H.264 without sound, which every browser plays; made once, then kept."""
    span = checked_span(start, end, service.config.limits)
    descriptor = service.pictures.preview(service.library.now, video_id, span)
    return OpenFile(descriptor, "video/mp4", private_s=_DAY_S)


def checked_span(start_s: float, end_s: float, limits: ServeLimits) -> Span:
    """A span that is short enough for a preview."""
    span = Span(start_s, end_s)
    if span.duration_s > limits.preview_s:
        raise UsageError(
            f"a preview of {span.duration_s:g} s: ask for {limits.preview_s:g} at most"
        )
    return span


@router.get("/health", tags=["server"])
def health(service: Served) -> HealthResponse:
    """Whether the server answers; more is told only where no token is needed."""
    trouble = service.library.trouble
    status: Literal["ok", "stale"] = "stale" if trouble else "ok"
    if service.config.token is not None:
        return HealthResponse(status=status, version=kinoscope.__version__)
    snapshot = service.library.now
    return HealthResponse(
        status=status,
        version=kinoscope.__version__,
        model=service.name,
        videos=len(snapshot.by_id),
        clips=len(snapshot.derived().catalog.vectors_ND),
        trouble=plain(trouble),
    )


@router.get(
    "/metrics",
    responses={**failures(), 200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    response_class=Response,
    status_code=HTTPStatus.OK,
    tags=["server"],
)
def metrics(service: Served) -> Response:
    """Figures for Prometheus."""
    return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
