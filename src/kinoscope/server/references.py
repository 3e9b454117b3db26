"""What clients refer to, as documents: pieces of indexed videos, and uploads."""

import re
from dataclasses import dataclass
from pathlib import Path

from kinoscope.documents import Document
from kinoscope.errors import UsageError
from kinoscope.index.scan import FoundFile
from kinoscope.sampling import SamplingConfig
from kinoscope.server.decoders import Decoders, Shown
from kinoscope.server.library import Snapshot
from kinoscope.server.metrics import Metrics
from kinoscope.server.playing import require_there
from kinoscope.server.schema import REFERENCE
from kinoscope.server.uploads import PREFIX, Uploads, told_as_upload
from kinoscope.types import Frames, Span

_FORM = re.compile(REFERENCE)


@dataclass(frozen=True)
class Named:
    """A reference: `id`, of an indexed video or an upload, and maybe a span of it."""

    id: str
    span: Span | None

    @classmethod
    def parse(cls, text: str) -> "Named":
        """`ID` or `ID@12-17`; `UsageError` for anything else, an empty span included."""
        if not _FORM.fullmatch(text):
            raise UsageError(f"{text[:80]!r}: write the id of a video, or ID@12-17 in seconds")
        name, _, piece = text.partition("@")
        if not piece:
            return cls(name, None)
        start_s, end_s = map(float, piece.split("-"))
        return cls(name, Span(start_s, end_s))

    @property
    def uploaded(self) -> bool:
        """Whether it is an upload."""
        return self.id.startswith(PREFIX)


@dataclass(frozen=True)
class References:
    """Turns references into what an embedder reads, decoded in a process apart."""

    decoders: Decoders
    uploads: Uploads
    metrics: Metrics
    sampling: SamplingConfig
    most_s: float

    def shown(self, snapshot: Snapshot, reference: str) -> Shown:
        """The frames of a reference.

        Raises `Absent` for an id that is not here, `MediaError` for a file that fails or is too
        long, `UsageError` for a piece of a picture.
        """
        named = Named.parse(reference)
        if not named.uploaded:
            return self.stretch(require_there(snapshot.rows_of(named.id)), named.span)
        upload = self.uploads.get(named.id)
        if upload.duration_s is None and named.span is not None:
            raise UsageError(f"{reference}: a picture has no seconds, name it alone")
        with told_as_upload(upload.path):
            return self.stretch(upload.path, named.span)

    def frames(self, snapshot: Snapshot, reference: str, *, still: bool) -> Frames:
        """The frames of a picture, or of a video; `UsageError` for the other kind."""
        found = self.shown(snapshot, reference)
        if found.still != still:
            wanted = "picture" if still else "video"
            raise UsageError(f"{reference} is no {wanted}: name one")
        return found.frames

    def document(self, snapshot: Snapshot, reference: str) -> Document:
        """Either, as an example."""
        found = self.shown(snapshot, reference)
        return {"image": found.frames} if found.still else found.frames

    def stretch(self, file: Path | FoundFile, span: Span | None) -> Shown:
        """The frames of a file, or of a span of it."""
        if span is not None and span.duration_s > self.most_s:
            raise UsageError(f"a piece of {span.duration_s:g} s: name at most {self.most_s:g} s")
        with self.metrics.stage("decode"):
            return self.decoders.shown(file, self.sampling, span, most_s=self.most_s)
