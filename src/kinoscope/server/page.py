"""The page of search: rendered here, so that it works without a script, which makes it quick."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from http import HTTPStatus
from importlib.resources import files
from pathlib import PurePath
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Form, Query, Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import BaseModel, Field, ValidationError
from starlette.responses import HTMLResponse, RedirectResponse, Response

from kinoscope.answer import MOMENTS
from kinoscope.backbones.mllm import MLLM
from kinoscope.clock import clock
from kinoscope.errors import KinoscopeError, UsageError
from kinoscope.server.answering import answers_about
from kinoscope.server.api import Served
from kinoscope.server.box import read_box
from kinoscope.server.faults import Absent, plain, status_of
from kinoscope.server.finding import Answer as Found
from kinoscope.server.finding import find
from kinoscope.server.guard import COOKIE, same, session_of
from kinoscope.server.library import Snapshot
from kinoscope.server.references import Named
from kinoscope.server.schema import (
    AnswerOut,
    Filtered,
    GroupOut,
    SearchRequest,
)
from kinoscope.server.service import Service
from kinoscope.server.telling import answer_out, group_out

router = APIRouter(include_in_schema=False)

_FIRST, _MOST = 24, 192
_NEWEST = 12
_SHOWN_FAILURES = 20
_STATIC = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}


class Address(BaseModel):
    """The page's address: everything that is asked, so that it can be kept and shared."""

    q: str = Field("", max_length=4096)
    like: list[str] = Field([], max_length=16)
    edit: str = Field("", max_length=4096)
    ask: str = Field("", max_length=4096)
    folder: str = ""
    name: str = ""
    since: str = ""
    until: str = ""
    least: str = ""
    most: str = ""
    sure: bool = False
    apart: bool = False
    k: int = Field(_FIRST, ge=1, le=_MOST)

    @property
    def filtered(self) -> bool:
        """Whether any filter is set."""
        values = (self.folder, self.name, self.since, self.until, self.least, self.most)
        return any(values) or self.sure

    def address(self, **changes: object) -> str:
        """This page with something changed; what is empty is left out."""
        values = {**self.model_dump(), **changes}
        kept = {name: value for name, value in values.items() if value and value != _DEFAULTS[name]}
        return "/?" + urlencode(kept, doseq=True)


_DEFAULTS = Address().model_dump()


@dataclass(frozen=True)
class Example:
    """A piece of video, or a picture, that is looked for: the reference and where it is seen."""

    reference: str
    poster: str
    title: str


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("kinoscope.server"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["clock"] = clock
    made.filters["file"] = lambda path: PurePath(path).name
    made.filters["folder"] = lambda path: str(PurePath(path).parent)
    made.filters["quoted"] = quote
    return made


_PAGES = _environment()


def rendered(name: str, status: int = HTTPStatus.OK, **values: Any) -> HTMLResponse:
    """A page of a template, in which everything is escaped."""
    return HTMLResponse(_PAGES.get_template(name).render(**values), status_code=status)


@router.get("/static/{name}")
def static(name: str) -> Response:
    """The page's own script, style and picture."""
    if name not in _STATIC:
        raise Absent(f"no {name!r} here")
    content = files("kinoscope.server").joinpath("static", name).read_bytes()
    return Response(content, media_type=_STATIC[name], headers={"Cache-Control": "no-cache"})


@router.get("/login")
def login() -> HTMLResponse:
    """Where a browser shows the token once."""
    return rendered("login.html", wrong=False)


@router.post("/login")
def enter(
    request: Request, service: Served, token: Annotated[str, Form(max_length=4096)] = ""
) -> Response:
    """A session for who knows the token."""
    wanted = service.config.token
    if wanted is not None and not same(token.strip(), wanted):
        return rendered("login.html", HTTPStatus.UNAUTHORIZED, wrong=True)
    answer = RedirectResponse("/", HTTPStatus.SEE_OTHER)
    if wanted is not None:
        secure = request.url.scheme == "https"
        answer.set_cookie(
            COOKIE, session_of(wanted), httponly=True, samesite="strict", secure=secure
        )
    return answer


@router.get("/")
def home(service: Served, form: Annotated[Address, Query()]) -> HTMLResponse:
    """The search box, and what was found."""
    hits, notes, message, status = list[GroupOut](), list[str](), "", HTTPStatus.OK
    examples: list[Example] = []
    answers: list[AnswerOut] = []
    asked = bool(form.q.strip() or form.like)
    try:
        examples = [_example(service, each) for each in form.like]
        if asked:
            answer = find(service, _asked(service, form))
            hits = [group_out(answer.snapshot, group) for group in answer.groups]
            notes = list(answer.notes)
            answers = _answers(service, form, answer)
    except KinoscopeError as error:
        message, status = plain(str(error)), status_of(error)
        service.metrics.failed(type(error).__name__)
    newest = [] if asked or message else _newest(service)
    return rendered(
        "home.html",
        status,
        form=form,
        examples=examples,
        asked=asked,
        hits=hits,
        answers=answers,
        newest=newest,
        notes=notes,
        message=message,
        more=form.k < _MOST and len(hits) == form.k,
        longest=form.k * 2 if form.k * 2 <= _MOST else _MOST,
        **_around(service),
    )


def _asked(service: Service, form: Address) -> SearchRequest:
    """The form as a query; `UsageError` for what does not read as one."""
    text, avoided = read_box(form.q)
    values: dict[str, Any] = {"text": text, "like": form.like, "not": list(avoided), "k": form.k}
    if form.like and form.edit.strip():
        values[_kind(service, form.like[0])] = form.like[0]
        values |= {"edit": form.edit.strip(), "like": form.like[1:]}
    elif service.config.rerank and text is not None:
        values |= {"rerank": service.config.rerank, "sure": form.sure}
    if service.library.now.embedder.reference_mean_D is not None:
        values["threshold"] = 0.0  # no closer than an average video is no answer
    if not form.apart:
        values["group"] = "look"
    try:
        values["filters"] = Filtered(
            folder=form.folder or None,
            name=form.name or None,
            since=_date(form.since),
            until=_date(form.until),
            min_duration_s=_number(form.least),
            max_duration_s=_number(form.most),
        )
        return SearchRequest.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{where}: {first['msg']}") from None


def _answers(service: Service, form: Address, found: Found) -> list[AnswerOut]:
    """What the model says of the best moments, where a question is asked about them."""
    if not form.ask.strip():
        return []
    best = [group.best for group in found.groups[:MOMENTS]]
    told = answers_about(service, found.snapshot, best, form.ask.strip())
    return [answer_out(found.snapshot, each) for each in told]


def _kind(service: Service, reference: str) -> str:
    named = Named.parse(reference)
    still = named.uploaded and service.uploads.get(named.id).duration_s is None
    return "image" if still else "video"


def _example(service: Service, reference: str) -> Example:
    """How a reference is shown beside the box; `Absent` for one that is not here."""
    named = Named.parse(reference)
    if named.uploaded:
        service.uploads.get(named.id)
        return Example(reference, f"/api/uploads/{named.id}/poster", "your own clip")
    row = service.library.now.rows_of(named.id)[0]
    span = named.span
    at_s = row.duration_s / 2 if span is None else (span.start_s + span.end_s) / 2
    piece = "" if span is None else f", {clock(span.start_s)} to {clock(span.end_s)}"
    poster = f"/api/videos/{named.id}/poster?at={at_s:.3f}"
    return Example(reference, poster, f"{PurePath(plain(row.path)).name}{piece}")


def _newest(service: Service) -> list[dict[str, Any]]:
    """The newest files, to have something to begin with."""
    rows = {row.video_id: row for row in service.library.now.files() if row.state == "indexed"}
    latest = sorted(rows.values(), key=lambda row: -row.mtime_ns)[:_NEWEST]
    return [
        {"video": row.video_id, "path": plain(row.path), "duration_s": row.duration_s}
        for row in latest
    ]


def _around(service: Service) -> dict[str, Any]:
    """What every page tells of the library."""
    snapshot = service.library.now
    failed = [row for row in snapshot.files() if row.state == "failed"]
    return {
        "videos": len(snapshot.by_id),
        "hours": sum(rows[0].duration_s for rows in snapshot.by_id.values()) / 3600,
        "folders": _folders(snapshot.id_of),
        "watched": [plain(str(path)) for path in snapshot.store.sources()],
        "failed": [plain(row.message) for row in failed[:_SHOWN_FAILURES]],
        "failures": len(failed),
        "roots": [plain(str(path)) for path in service.indexing.roots],
        "indexing": asdict(service.indexing.status),
        "index": snapshot.stamp,
        "trouble": plain(service.library.trouble),
        "composes": "composed" in snapshot.embedder.backbone.kinds,
        "sure": bool(service.config.calibration and service.config.rerank),
        "speaks": speaks(snapshot),
        "model": service.name,
    }


def speaks(snapshot: Snapshot) -> bool:
    """Whether questions may be asked."""
    return isinstance(snapshot.embedder.backbone, MLLM)


def _folders(paths: Sequence[str] | dict[str, str]) -> list[str]:
    """Folders that hold videos, at most so many that a list of them is of use."""
    folders = sorted({str(PurePath(path).parent) for path in paths})
    return [folder for folder in folders if plain(folder) == folder][:500]


def _date(text: str) -> datetime | None:
    if not text.strip():
        return None
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(f"{text!r} is no date: write one like 2026-01-31") from None


def _number(text: str) -> float | None:
    if not text.strip():
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"{text!r} is no number of seconds: write one like 90")
    return value
