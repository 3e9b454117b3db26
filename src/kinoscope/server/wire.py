"""Messages of the OpenAI interface as documents: media out of `data:` URLs and nowhere else."""

import base64
import binascii
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kinoscope.documents import Document
from kinoscope.errors import UsageError
from kinoscope.server.library import Snapshot
from kinoscope.server.openai_schema import FrameTimes, Message, Part, RerankDocument
from kinoscope.server.references import References
from kinoscope.types import Frames

_MOST_FRAMES = 256


@dataclass(frozen=True)
class Wire:
    """Reads what a request brings; each medium becomes an upload that is decoded as any other."""

    references: References
    snapshot: Snapshot
    times: FrameTimes

    def conversation(self, messages: Sequence[Message]) -> Document:
        """One document: texts joined, and at most one picture or video."""
        parts: list[Part] = []
        for message in messages:
            if isinstance(message.content, str):
                parts.append(Part(type="text", text=message.content))
            else:
                parts += message.content
        return self.document(parts)

    def document(self, parts: Sequence[Part]) -> Document:
        """A text beside a medium is an edit of it, as in any query."""
        texts = [part.text for part in parts if part.type == "text" and part.text]
        media = [part for part in parts if part.type != "text"]
        if len(media) > 1:
            raise UsageError(f"{len(media)} media in one input: give one picture or video")
        if not media:
            return {"text": "\n".join(texts)}
        made: dict[str, Any] = self._medium(media[0])
        if texts:
            made["text"] = "\n".join(texts)
        return made

    def ranked(self, given: str | RerankDocument) -> Document:
        """A document that is to be ranked; a string is a text, whatever it looks like."""
        if isinstance(given, str):
            return {"text": given}
        named = [value for value in (given.text, given.content, given.video) if value is not None]
        if len(named) != 1:
            raise UsageError("a document is a text, a content or a video: give one of them")
        if given.video is not None:
            return self.references.document(self.snapshot, given.video)
        if given.content is not None:
            return self.document(given.content)
        return {"text": given.text or ""}

    def _medium(self, part: Part) -> dict[str, Frames]:
        given = part.image_url if part.type == "image_url" else part.video_url
        if given is None:
            raise UsageError(f"a part of type {part.type} without its URL: give a data: URL")
        kind, content = data_url(given.url)
        if part.type == "image_url":
            return {"image": self._frames(content, still=True)}
        if kind == "video/jpeg":  # as vLLM's clients send frames that they chose
            return {"video": self._row(content)}
        return {"video": self._frames(content, still=False)}

    def _frames(self, content: str, *, still: bool) -> Frames:
        upload = self.references.uploads.add(io.BytesIO(decoded(content)))
        return self.references.frames(self.snapshot, upload.id, still=still)

    def _row(self, content: str) -> Frames:
        """Pictures of one size, joined by commas, each shown at its own time."""
        pictures = content.split(",")
        if len(pictures) > _MOST_FRAMES:
            raise UsageError(f"{len(pictures)} frames in one video: give {_MOST_FRAMES} at most")
        indices = self.times.frames_indices or list(range(len(pictures)))
        times_F = np.array(indices, np.float64) / self.times.fps
        if len(times_F) != len(pictures):
            raise UsageError(f"{len(pictures)} frames with {len(times_F)} indices: give one each")
        shown = [self._frames(picture, still=True).rgb_FHWC[0] for picture in pictures]
        if len({rgb_HWC.shape for rgb_HWC in shown}) > 1:
            raise UsageError("frames of one video have several sizes: give them one")
        distinct = [n for n in range(len(times_F)) if not n or times_F[n] > times_F[n - 1]]
        return Frames(np.stack([shown[n] for n in distinct]), times_F[distinct])


def data_url(url: str) -> tuple[str, str]:
    """`data:image/png;base64,...` -> `image/png` and what stands behind the comma."""
    scheme, _, rest = url.partition(":")
    if scheme.lower() != "data":
        raise UsageError("only data: URLs are read: this server fetches nothing")
    head, comma, content = rest.partition(",")
    kind, *flags = head.lower().split(";")
    if not comma or "base64" not in flags:
        raise UsageError("a data: URL has the form data:image/png;base64,...")
    return kind, content


def decoded(content: str) -> bytes:
    """Bytes of base64; `UsageError` for what is none."""
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise UsageError("a data: URL holds what is no base64") from None
