"""Errors as HTTP says them: a status, a kind and one sentence; never a trace."""

from http import HTTPStatus

from starlette.responses import JSONResponse

from kinoscope.errors import (
    IndexFault,
    KinoscopeError,
    MediaError,
    SetupError,
    SpecMismatch,
    UsageError,
)


class Busy(KinoscopeError):
    """More is asked than can be done now."""

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Absent(KinoscopeError):
    """There is nothing of that id here."""


class Forbidden(KinoscopeError):
    """Understood, and not allowed."""


class Conflict(KinoscopeError):
    """Not while something else is going on: it may be asked again later."""


STATUS: dict[type[KinoscopeError], HTTPStatus] = {
    Busy: HTTPStatus.TOO_MANY_REQUESTS,
    Absent: HTTPStatus.NOT_FOUND,
    Forbidden: HTTPStatus.FORBIDDEN,
    Conflict: HTTPStatus.CONFLICT,
    UsageError: HTTPStatus.BAD_REQUEST,
    MediaError: HTTPStatus.UNPROCESSABLE_ENTITY,
    SpecMismatch: HTTPStatus.CONFLICT,
    IndexFault: HTTPStatus.SERVICE_UNAVAILABLE,
    SetupError: HTTPStatus.SERVICE_UNAVAILABLE,
}


def status_of(error: KinoscopeError) -> HTTPStatus:
    """Of the nearest class that has one."""
    known = (STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    return next(known, HTTPStatus.INTERNAL_SERVER_ERROR)


def answer(
    status: int, message: str, kind: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    """Every error: `{"error": {"type", "message", "code"}}`, as OpenAI's clients read it."""
    content = {"error": {"type": kind, "message": plain(message), "code": status}}
    return JSONResponse(content, status_code=status, headers=headers)


def answer_of(error: KinoscopeError) -> JSONResponse:
    """A user's error."""
    headers = {"Retry-After": str(error.retry_after_s)} if isinstance(error, Busy) else None
    return answer(status_of(error), str(error), type(error).__name__, headers)


def plain(text: str) -> str:
    """Text that JSON can hold: names of files need not be Unicode."""
    return text.encode("utf-8", "backslashreplace").decode()
