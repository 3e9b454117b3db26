"""Videos in work: frames come in by pieces, clips and rows come out."""

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from kinoscope.errors import MediaFault
from kinoscope.index.rows import FileRow
from kinoscope.index.scan import FoundFile
from kinoscope.types import ClipEmbeddings, Frames
from kinoscope.video import DecodeReport, VideoInfo

if TYPE_CHECKING:
    from kinoscope.embedder import Embedder
    from kinoscope.streaming import ClipStream

VISION_FRAMES = 32
"""Frames in one call of the vision tower: enough to fill the cores, 6.5 MB at 260 px."""


@dataclass
class Film:
    """A video that is queued or in work; `files` all have its content, the first is decoded.

    `seen_s` and `seen_frames` say how much of it was received.
    """

    video_id: str
    files: tuple[FoundFile, ...]
    info: VideoInfo | None = None
    seen_s: float = 0.0
    seen_frames: int = 0
    _waiting: list[Frames] = field(default_factory=list)
    _stream: "ClipStream | None" = None

    @property
    def size_bytes(self) -> int:
        """Of one file."""
        return self.files[0].size_bytes

    @property
    def seen_bytes(self) -> float:
        """Bytes of the file behind what was seen, as far as its declared duration is true."""
        duration_s = (self.info and self.info.declared_duration_s) or 0.0
        return self.size_bytes * min(self.seen_s / duration_s, 1.0) if duration_s > 0 else 0.0

    def receive(self, frames: Frames, embedder: "Embedder") -> None:
        """Takes the next frames; looks at them as soon as there are enough for one call."""
        self._waiting.append(frames)
        self.seen_s = float(frames.times_F[-1])
        self.seen_frames += len(frames)
        if sum(map(len, self._waiting)) >= VISION_FRAMES:
            self._look(embedder)

    def clips(self, embedder: "Embedder", end_s: float) -> ClipEmbeddings:
        """Vectors of the whole film, all of which was received."""
        if self._waiting:
            self._look(embedder)
        assert self._stream is not None, "a film without frames"
        return self._stream.finish(end_s)

    def rows(self, report: DecodeReport) -> list[FileRow]:
        """A row for each file."""
        info = self.info
        assert info is not None, "a film that was never opened"
        facts: dict[str, Any] = {
            "duration_s": report.end_s,
            "width": info.width,
            "height": info.height,
            "codec": info.codec,
            "rotation": info.rotation,
            "hdr": info.hdr,
            "corrupt_packets": report.corrupt_packets,
            "ends_early": report.ends_early,
        }
        return [
            FileRow(**_identity(file, self.video_id), state="indexed", **facts)
            for file in self.files
        ]

    def _look(self, embedder: "Embedder") -> None:
        parts, self._waiting = self._waiting, []
        frames = Frames(
            np.concatenate([part.rgb_FHWC for part in parts]),
            np.concatenate([part.times_F for part in parts]),
        )
        self._stream = self._stream or embedder.clip_stream()
        self._stream.add(embedder.vision(frames))


def quarantine_row(
    file: FoundFile, video_id: str, fault: MediaFault, message: str, *, tries: int
) -> FileRow:
    """The row of a file that gave no vectors; `video_id` is empty if it could not even be read."""
    return FileRow(
        **_identity(file, video_id), state="failed", fault=fault, message=message, tries=tries
    )


def _identity(file: FoundFile, video_id: str) -> dict[str, Any]:
    return {
        "path": file.path,
        "video_id": video_id,
        "size_bytes": file.size_bytes,
        "mtime_ns": file.mtime_ns,
        "changed_at": time.time(),
    }
