"""How a library is served: where, to whom, and how much of anything at most."""

import math
from dataclasses import dataclass, field, fields
from pathlib import Path

from kinoscope.backbones.http_json import is_loopback
from kinoscope.calibration import Calibration
from kinoscope.errors import UsageError

LEAST_TOKEN = 16
"""Characters of a token: what is shorter can be guessed."""


@dataclass(frozen=True, kw_only=True)
class ServeLimits:
    """Bounds on what clients may ask for; all of them hold for each server process.

    Attributes:
        upload_bytes: of one request with media.
        json_bytes: of any other request.
        upload_s: length of an uploaded video.
        uploads_bytes: of all uploads that are kept; the oldest go first.
        uploads_kept_s: how long an upload can be asked about.
        rate_per_s, burst: requests of one address.
        in_flight: requests at work or waiting, but for media and events.
        turns: searches and embeddings of texts that are at work at once.
        turn_s: how long one may be foreseen to wait for its turn before it is refused.
        waiting: queries that wait for the model.
        batch_wait_s: how long a query waits for others to go through the model with it.
        batch: queries that do so at most.
        questions: that are being answered or wait for it.
        answers: in words that are remembered.
        decoders: processes that decode what a client asks about; one more makes previews.
        decode_s: how long one may work on what was asked.
        decode_bytes: memory of one.
        busy_s: how long a request waits for one of them before it is told to come back.
        preview_s: length of a preview.
        cache_bytes: of posters and previews on disk.
    """

    upload_bytes: int = 256 * 2**20
    json_bytes: int = 2**20
    upload_s: float = 300.0
    uploads_bytes: int = 2**30
    uploads_kept_s: float = 3600.0
    rate_per_s: float = 300.0
    burst: int = 600
    in_flight: int = 128
    turns: int = 8
    turn_s: float = 0.5
    waiting: int = 256
    batch_wait_s: float = 0.004
    batch: int = 32
    questions: int = 8
    answers: int = 1024
    decoders: int = 2
    decode_s: float = 60.0
    decode_bytes: int = 2 * 2**30
    busy_s: float = 20.0
    preview_s: float = 120.0
    cache_bytes: int = 2 * 2**30

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if not (value > 0 and math.isfinite(value)):
                raise UsageError(f"{each.name} {value}: give a positive number")


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """Where a library is served, and what clients may do.

    Attributes:
        host, port: what is listened at; 0 lets the system choose a port.
        token: what clients must show; only this machine may be served without one.
        hosts: names by which clients may address the server, beside this machine's own.
        roots: folders below which clients may have folders indexed; none means that none may.
        calibration: of the index's model: hits get probabilities.
        rerank: hits that the page ranks anew by the model's yes and no; 0 for none.
        cache: folder for posters and previews; one below the user's cache by default.
        limits: bounds on what clients may ask for.

    Raises `UsageError` for values that do not go together.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = field(default=None, repr=False)
    hosts: tuple[str, ...] = ()
    roots: tuple[Path, ...] = ()
    calibration: Calibration | None = None
    rerank: int = 0
    cache: Path | None = None
    limits: ServeLimits = field(default_factory=ServeLimits)

    def __post_init__(self) -> None:
        if not 0 <= self.port < 2**16:
            raise UsageError(f"port {self.port}: choose 1 to 65535, or 0 for any")
        if not 0 <= self.rerank <= 100:
            raise UsageError(f"rerank {self.rerank}: choose 0 to 100 hits")
        if self.token is None and not self.local:
            raise UsageError(
                f"host {self.host} is open to other machines: set a token in KINOSCOPE_TOKEN, such"
                " as `python -c 'import secrets; print(secrets.token_hex())'` prints"
            )
        if self.token is not None and not self._good_token(self.token):
            raise UsageError(f"the token needs {LEAST_TOKEN} or more plain characters: choose one")
        for root in self.roots:
            if not root.is_dir():
                raise UsageError(f"root {root} is no folder: name one that is there")

    @property
    def local(self) -> bool:
        """Whether only this machine can reach the server."""
        return is_loopback(self.host)

    @staticmethod
    def _good_token(token: str) -> bool:
        return len(token) >= LEAST_TOKEN and token.isascii() and token.isprintable()
