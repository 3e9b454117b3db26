"""Every request passes here first: who asks, by which name, how often, how much."""

import hashlib
import hmac
import ipaddress
import time
from collections import OrderedDict
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kinoscope.backbones.http_json import is_loopback
from kinoscope.server.config import ServeConfig
from kinoscope.server.faults import answer

COOKIE = "kinoscope_session"
_OPEN = ("/health", "/login", "/static/")
_UNCOUNTED = ("/media", "/poster", "/preview", "/events")  # ends of paths that wait or stream
_SAFE = ("GET", "HEAD", "OPTIONS")
_GUESSES_PER_S, _GUESSES = 0.5, 10
_MOST_ADDRESSES = 4096
_FORM_BYTES = 2**16  # what a form adds to its file
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:;"
        " media-src 'self' blob:; connect-src 'self'; form-action 'self'; base-uri 'none';"
        " frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class Rates:
    """A bucket of tokens an address, refilled with time; the longest unseen are forgotten."""

    def __init__(self, per_s: float, burst: int) -> None:
        self._per_s, self._burst = per_s, burst
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """Takes a token: 0.0; or says in how many seconds there will be one."""
        now_s = time.monotonic()
        left, seen_s = self._buckets.pop(address, (float(self._burst), now_s))
        left = min(float(self._burst), left + (now_s - seen_s) * self._per_s)
        taken = left >= 1
        self._buckets[address] = (left - 1 if taken else left, now_s)
        if len(self._buckets) > _MOST_ADDRESSES:
            self._buckets.popitem(last=False)
        return 0.0 if taken else (1 - left) / self._per_s


def session_of(token: str) -> str:
    """What a browser keeps in place of the token: it opens this server, and tells no token."""
    return hmac.new(token.encode(), b"kinoscope session", hashlib.sha256).hexdigest()


def same(given: str, wanted: str) -> bool:
    """Whether two secrets are equal, in a time that tells nothing of either."""
    return hmac.compare_digest(given.encode(), wanted.encode())


class Guard:
    """ASGI around the app. All refusals come from here, before any route has run."""

    def __init__(self, app: ASGIApp, config: ServeConfig) -> None:
        self._app, self._config = app, config
        self._rates = Rates(config.limits.rate_per_s, config.limits.burst)
        self._guesses = Rates(_GUESSES_PER_S, _GUESSES)
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuses, or passes on with bounded body and safe headers."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        sent = _with_headers(scope, send)
        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, sent)
            return
        counted = not scope["path"].endswith(_UNCOUNTED)
        self._in_flight += counted
        try:
            await self._bounded(scope, receive, sent)
        finally:
            self._in_flight -= counted

    def _refusal(self, scope: Scope) -> Response | None:
        """The first reason not to pass a request on; None if there is none."""
        headers = Headers(scope=scope)
        address = scope["client"][0] if scope.get("client") else "?"
        if not self._known_host(headers.get("host", "")):
            return _refused(HTTPStatus.MISDIRECTED_REQUEST, "this server has another name")
        if scope["method"] not in _SAFE and _is_foreign(headers):
            return _refused(HTTPStatus.FORBIDDEN, "another site's page may not ask this")
        return (
            self._too_often(scope, address)
            or self._unless_known(scope, headers, address)
            or self._too_large(scope, headers)
        )

    def _too_often(self, scope: Scope, address: str) -> Response | None:
        wait_s = self._rates.wait_s(address)
        if wait_s:
            return _later("too many requests from here", wait_s)
        if scope["path"] == "/login" and scope["method"] == "POST":
            wait_s = self._guesses.wait_s(address)
            if wait_s:
                return _later("too many attempts", wait_s)
        counted = not scope["path"].endswith(_UNCOUNTED)
        if counted and self._in_flight >= self._config.limits.in_flight:
            return _later("too many requests are at work", 1.0)
        return None

    def _known_host(self, host: str) -> bool:
        """A name that a stranger's DNS gave this machine is none of its own.

        Numbers cannot be made to point here by DNS; they do where other machines may ask.
        """
        name = urlsplit(f"//{host}").hostname if host and _is_host(host) else None
        if name is None:
            return False
        if is_loopback(name) or name in (*self._config.hosts, self._config.host):
            return True
        return not self._config.local and _is_number(name)

    def _unless_known(self, scope: Scope, headers: Headers, address: str) -> Response | None:
        """A refusal for who shows neither the token nor a session."""
        token = self._config.token
        if token is None or scope["path"].startswith(_OPEN):
            return None
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and same(given.strip(), token):
            return None
        session = _cookie(headers)
        if session and same(session, session_of(token)):
            return None
        if (given or session) and (wait_s := self._guesses.wait_s(address)):
            return _later("too many attempts", wait_s)
        page = scope["path"] == "/" or scope["path"].startswith("/watch/")
        if page and scope["method"] == "GET" and not kind:
            return RedirectResponse("/login", HTTPStatus.SEE_OTHER)
        return answer(
            HTTPStatus.UNAUTHORIZED,
            "a token is needed: send it as `Authorization: Bearer TOKEN`",
            "Unauthorized",
            {"WWW-Authenticate": "Bearer"},
        )

    def _too_large(self, scope: Scope, headers: Headers) -> Response | None:
        declared = headers.get("content-length", "0")
        if not declared.isdigit() or int(declared[:18]) > self._most_bytes(scope, headers):
            return _refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the request is too large")
        return None

    def _most_bytes(self, scope: Scope, headers: Headers) -> int:
        limits = self._config.limits
        form = headers.get("content-type", "").startswith("multipart/form-data")
        if form or scope["path"].startswith("/v1/"):
            return limits.upload_bytes + _FORM_BYTES
        return limits.json_bytes

    async def _bounded(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ends a body that goes on beyond its bound, whatever it declared."""
        most, seen, begun = self._most_bytes(scope, Headers(scope=scope)), 0, False

        async def received() -> Message:
            nonlocal seen
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > most:
                    raise _TooMuch
            return message

        async def sent(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, received, sent)
        except _TooMuch:
            if begun:
                raise
            refusal = _refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the request is too large")
            await refusal(scope, receive, send)


class _TooMuch(Exception):
    """A body that is longer than it may be."""


def _with_headers(scope: Scope, send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return sent


def _is_foreign(headers: Headers) -> bool:
    """Whether a browser says that another site's page makes this request."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return True
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("host", "")


def _is_host(host: str) -> bool:
    """Whether `urlsplit` can take it: `name:8000`, `[::1]:8000`, `10.0.0.7`."""
    try:
        parts = urlsplit(f"//{host}")
        return parts.port is not False and parts.netloc == host and "@" not in host
    except ValueError:
        return False


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _cookie(headers: Headers) -> str:
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    return cookies[COOKIE].value if COOKIE in cookies else ""


def _refused(status: HTTPStatus, message: str) -> Response:
    return answer(status, message, status.phrase.replace(" ", ""))


def _later(message: str, wait_s: float) -> Response:
    seconds = str(max(1, round(wait_s + 0.5)))
    status = HTTPStatus.TOO_MANY_REQUESTS
    return answer(status, f"{message}: come back in {seconds} s", "Busy", {"Retry-After": seconds})
