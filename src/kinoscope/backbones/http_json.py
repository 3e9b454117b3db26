"""JSON over HTTP to one server: bounded, retried where that helps, a sentence for each failure."""

import email.utils
import ipaddress
import json
import math
import os
import ssl
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException, IncompleteRead
from typing import Any
from urllib.parse import urlsplit

from kinoscope.errors import SetupError, UsageError

KEY = "KINOSCOPE_API_KEY"
"""The environment variable with a server's key; it goes into a header, never into a message."""

_BUSY = (429, 503)
_REFUSED = (400, 404, 405, 413, 415, 422, 501)  # what a server says of a request it cannot take
_CHUNK_BYTES = 2**16
_REASON_CHARS = 300
_BROKEN = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError, IncompleteRead)


@dataclass(frozen=True, kw_only=True)
class HttpOptions:
    """How patient a client is.

    Attributes:
        timeout_s: of one attempt, from connecting to the last byte.
        attempts: in all, where a server is busy or breaks the connection.
        first_wait_s: before the second attempt, doubled before each further one, unless the server
            names a time.
        longest_wait_s: bound of any wait, also of one that the server names.
        max_response_bytes: a longer answer is refused.
        parallel: requests at a time.
    """

    timeout_s: float = 120.0
    attempts: int = 5
    first_wait_s: float = 0.5
    longest_wait_s: float = 30.0
    max_response_bytes: int = 64 * 2**20
    parallel: int = 8

    def __post_init__(self) -> None:
        for name in ("timeout_s", "first_wait_s", "longest_wait_s"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise UsageError(f"{name} {value}: give positive seconds")
        for name in ("attempts", "max_response_bytes", "parallel"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} {getattr(self, name)}: give at least 1")


class Rejected(UsageError):
    """The server understood, and will not do this; `status` is HTTP's, the message its reason."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Server:
    """One server by its address, such as `http://127.0.0.1:8000`; safe for several threads.

    Certificates are verified, redirects not followed, and a proxy of the environment is not asked
    for the machine itself.
    """

    def __init__(self, address: str, options: HttpOptions) -> None:
        """Reads the key from the environment; `UsageError` if no header can hold it."""
        self.address, self.options = address, options
        self._key = os.environ.get(KEY, "")
        if not (self._key.isascii() and self._key.isprintable()):
            raise UsageError(f"{KEY} holds characters that no key has: set it again")
        local = is_loopback(urlsplit(address).hostname or "")
        if self._key and not local and address.startswith("http:"):
            warnings.warn(f"{KEY} goes to {address} unencrypted: use https", stacklevel=3)
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({} if local else None),
            urllib.request.HTTPSHandler(context=ssl.create_default_context()),
            _NoRedirects(),
        )

    def get(self, path: str) -> Any:
        """What `post` does, without a body."""
        return self._ask(path, None)

    def post(self, path: str, body: Mapping[str, object]) -> Any:
        """The JSON answer to a JSON body at `address + path`.

        Raises `Rejected` where the server will not do this, `SetupError` where it is absent,
        refuses the key, fails, stays busy, is too slow or answers with what is no JSON.
        """
        return self._ask(path, json.dumps(body, ensure_ascii=False).encode())

    def _ask(self, path: str, body: bytes | None) -> Any:
        """Attempts until one succeeds or fails for good."""
        options, reason = self.options, ""
        for attempt in range(options.attempts):
            last = attempt + 1 == options.attempts
            wait_s = options.first_wait_s * 2**attempt
            try:
                status, headers, answer = self._attempt(path, body)
            except _BROKEN as error:
                reason = f"breaks the connection ({type(error).__name__})"
            else:
                if status not in _BUSY:
                    return self._read(status, headers, answer)
                reason = f"is busy ({status}{self._because(answer)})"
                wait_s = _named_wait_s(headers, wait_s)
            if not last:
                time.sleep(min(max(wait_s, 0.0), options.longest_wait_s))
        raise SetupError(f"{self.address} {reason}, {options.attempts} times: try again later")

    def _attempt(self, path: str, body: bytes | None) -> tuple[int, Message, bytes]:
        """Status, headers and body of one answer, whatever the status."""
        request = urllib.request.Request(self.address + path, data=body)
        request.add_header("Accept", "application/json")
        if body is not None:
            request.add_header("Content-Type", "application/json")
        if self._key:
            request.add_unredirected_header("Authorization", f"Bearer {self._key}")
        try:
            return self._exchange(request)
        except _BROKEN:
            raise
        except HTTPException as error:
            raise SetupError(f"{self.address} does not speak HTTP: mend the address") from error
        except OSError as error:
            reason = getattr(error, "reason", error)  # what `URLError` is around
            if isinstance(reason, _BROKEN):
                raise reason from error
            raise SetupError(self._absent(reason)) from error

    def _exchange(self, request: urllib.request.Request) -> tuple[int, Message, bytes]:
        timeout_s = self.options.timeout_s
        end_s = time.monotonic() + timeout_s
        try:
            with self._opener.open(request, timeout=timeout_s) as response:
                return response.status, response.headers, self._body(response, end_s)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, self._body(error, end_s)

    def _body(self, response: Any, end_s: float) -> bytes:
        """All bytes of an answer, within the bounds of size and time."""
        parts: list[bytes] = []
        size, most = 0, self.options.max_response_bytes
        while part := response.read1(_CHUNK_BYTES):
            parts.append(part)
            size += len(part)
            if size > most:
                raise SetupError(f"{self.address} answers with more than {most} bytes: mend it")
            if time.monotonic() > end_s:
                raise TimeoutError
        declared = response.headers.get("Content-Length")
        if declared is not None and declared.isdigit() and size < int(declared):
            raise IncompleteRead(b"", int(declared) - size)
        return b"".join(parts)

    def _read(self, status: int, headers: Message, answer: bytes) -> Any:
        """The JSON of a success; raises for anything else."""
        if 200 <= status < 300:
            try:
                return json.loads(answer)
            except (ValueError, RecursionError):
                start = self._harmless(answer[:80].decode("utf-8", "replace"))
                raise SetupError(
                    f"{self.address} answers with what is not JSON ({start!r}): mend the address"
                ) from None
        because = self._because(answer)
        if status in (401, 403):
            remedy = "is refused: mend it" if self._key else "is needed: set it"
            raise SetupError(f"{self.address} ({status}{because}): the key in {KEY} {remedy}")
        if 300 <= status < 400:
            bare = headers.get("Location", "").partition("?")[0].rpartition("@")[2]  # no secrets
            where = self._harmless(bare) or "nowhere"
            raise SetupError(f"{self.address} redirects to {where}: give the address itself")
        if status in _REFUSED:
            raise Rejected(status, f"{self.address} refuses the request ({status}{because})")
        raise SetupError(f"{self.address} fails ({status}{because}): look at its log")

    def _absent(self, reason: object) -> str:
        if isinstance(reason, TimeoutError):
            return (
                f"{self.address} does not answer within {self.options.timeout_s:g} s: wait until"
                " it is ready, or allow more"
            )
        if isinstance(reason, ConnectionRefusedError):
            return f"no server listens at {self.address}: start it, or mend the address"
        return f"{self.address} cannot be reached ({self._harmless(str(reason))}): mend the address"

    def _because(self, answer: bytes) -> str:
        """`: REASON` of an error's body, one line."""
        words = self._harmless(_reason(answer))
        return f": {words}" if words else ""

    def _harmless(self, text: str) -> str:
        """One short line, without the key should a server repeat it."""
        line = " ".join(text.split())
        line = line.replace(self._key, "***") if self._key else line
        return line[:_REASON_CHARS]


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer like another: key and pictures go where the user said."""

    def redirect_request(self, *_arguments: Any, **_named: Any) -> None:
        """Follows none."""


def is_loopback(host: str) -> bool:
    """Whether a host's name or number is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _named_wait_s(headers: Message, otherwise_s: float) -> float:
    """`Retry-After` in seconds, be it a number or a date."""
    named = headers.get("Retry-After", "").strip()
    if named.isascii() and named.isdigit():
        return float(named[:9])
    try:
        return email.utils.parsedate_to_datetime(named).timestamp() - time.time()
    except (TypeError, ValueError, IndexError):
        return otherwise_s


def _reason(answer: bytes) -> str:
    """What servers of this kind say: `{"error": {"message"}}`, `{"message"}`, `{"detail"}`."""
    text = answer.decode("utf-8", "replace")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    for key in ("error", "message", "detail"):
        if isinstance(found, dict) and key in found:
            found = found[key]
    return found if isinstance(found, str) else json.dumps(found)
