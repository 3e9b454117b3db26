"""The page of one video: the player, the curve over the whole, and answers about it."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.responses import HTMLResponse

from kinoscope.errors import KinoscopeError
from kinoscope.server.answering import answered
from kinoscope.server.api import Served, VideoId
from kinoscope.server.box import read_box
from kinoscope.server.faults import Absent, plain, status_of
from kinoscope.server.finding import find_moments
from kinoscope.server.page import rendered, speaks
from kinoscope.server.playing import is_playable
from kinoscope.server.references import Named
from kinoscope.server.schema import AnswerOut, AskRequest, MomentsRequest, MomentsResponse
from kinoscope.server.service import Service
from kinoscope.server.telling import answers_out, moments_out

router = APIRouter(include_in_schema=False)

_STRIP = (1000.0, 60.0)  # its own units: it is stretched to the room it has


class Watched(BaseModel):
    """The address of a moment: its ends, what it was found by, and what is asked of the video."""

    start: float = Field(0.0, ge=0, le=10**6)
    end: float | None = Field(None, gt=0, le=10**6)
    q: str = Field("", max_length=4096)
    like: str = Field("", max_length=100)
    ask: str = Field("", max_length=4096)
    part: bool = False

    def within(self, duration_s: float) -> tuple[float, float]:
        """Start and end inside a video; the whole where nothing of it is meant."""
        if self.start >= duration_s:
            return 0.0, duration_s
        end_s = self.end if self.end is not None and self.end > self.start else duration_s
        return self.start, min(end_s, duration_s)


@router.get("/watch/{video_id}")
def watch(service: Served, video_id: VideoId, form: Annotated[Watched, Query()]) -> HTMLResponse:
    """One video from a moment on, with its curve and answers; `part` is the player alone."""
    try:
        row = service.library.now.rows_of(video_id)[0]
    except Absent as error:
        return rendered("gone.html", HTTPStatus.NOT_FOUND, message=str(error))
    start_s, end_s = form.within(row.duration_s)
    found, message = _found(service, video_id, read_box(form.q)[0], form.like)
    answers, refused, status = _answers(service, video_id, form.ask.strip())
    return rendered(
        "player.html" if form.part else "watch.html",
        status,
        part=form.part,
        video=video_id,
        path=plain(row.path),
        duration_s=row.duration_s,
        codec=row.codec,
        start_s=start_s,
        end_s=end_s,
        playable=is_playable(row),
        longest_s=service.config.limits.preview_s,
        q=form.q,
        like=form.like,
        found=found,
        strip=_strip(found) if found else "",
        message=message,
        speaks=speaks(service.library.now),
        ask=form.ask,
        answers=answers,
        refused=refused,
    )


def _answers(
    service: Service, video_id: str, question: str
) -> tuple[list[AnswerOut], str, HTTPStatus]:
    """What the model says of the whole video or its best moments; or why it says nothing."""
    if not question:
        return [], "", HTTPStatus.OK
    try:
        told = answers_out(answered(service, AskRequest(question=question, video=video_id)))
        return told.answers, "", HTTPStatus.OK
    except KinoscopeError as error:
        service.metrics.failed(type(error).__name__)
        return [], plain(str(error)), status_of(error)


def _found(
    service: Service, video_id: str, text: str | None, like: str
) -> tuple[MomentsResponse | None, str]:
    """Moments and curve of a text, or else of an example; or why there are none."""
    if text is None and not like:
        return None, ""
    try:
        if text is None:
            Named.parse(like)
        asked = MomentsRequest(
            video=video_id, text=text, like=None if text else like, refine=False, k=5
        )
        return moments_out(video_id, find_moments(service, asked)), ""
    except KinoscopeError as error:
        return None, plain(str(error))


def _strip(found: MomentsResponse) -> str:
    """The curve as a path of an SVG: an area, higher where the video fits better."""
    width, height = _STRIP
    least, most = min(found.scores), max(found.scores)
    room, length_s = max(most - least, 1e-6), max(found.edges_s[-1], 1e-6)
    told = [f"M0,{height:g}"]
    for start_s, end_s, score in zip(
        found.edges_s[:-1], found.edges_s[1:], found.scores, strict=True
    ):
        y = height - 4 - (score - least) / room * (height - 10)
        told.append(f"L{start_s / length_s * width:.1f},{y:.1f}")
        told.append(f"L{end_s / length_s * width:.1f},{y:.1f}")
    return " ".join([*told, f"L{width:g},{height:g}Z"])
