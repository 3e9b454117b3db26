"""Posters and previews of moments, made when they are asked for, and kept."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from kinoscope.cutting import held
from kinoscope.errors import UsageError
from kinoscope.index.decoding import Chunk, Opened
from kinoscope.index.scan import FoundFile
from kinoscope.samples.writing import write_video
from kinoscope.sampling import SamplingConfig
from kinoscope.server.cache import Cache
from kinoscope.server.decoders import Decoders, request_for
from kinoscope.server.library import Snapshot
from kinoscope.server.metrics import Metrics
from kinoscope.server.playing import require_there
from kinoscope.server.uploads import Upload, told_as_upload
from kinoscope.types import Frames, Span, UInt8

_POSTER_PIXELS = 480 * 270
_PREVIEW_PIXELS = 854 * 480
_FPS = 25.0
_BEHIND_S = 1e-3


@dataclass(frozen=True)
class Pictures:
    """Files by the content of a video, so that copies share them."""

    cache: Cache
    decoders: Decoders
    preparer: Decoders
    metrics: Metrics

    def poster(self, snapshot: Snapshot, video_id: str, at_s: float) -> int:
        """An open JPEG of the frame on screen at an instant; near the end, the last.

        Raises `Absent` for a video that is not there, `MediaError`, `Busy`.
        """
        rows = snapshot.rows_of(video_id)
        at_s = min(at_s, max(0.0, rows[0].duration_s - _BEHIND_S))

        def make(path: Path) -> None:
            with self.metrics.stage("poster"):
                path.write_bytes(self.decoders.still(require_there(rows), at_s, _POSTER_PIXELS))

        return self.cache.opened(f"{video_id}-{round(at_s * 1000)}.jpg", make)

    def of_upload(self, upload: Upload) -> bytes:
        """A JPEG of a picture, or of the middle of a video."""
        with self.metrics.stage("poster"), told_as_upload(upload.path):
            middle_s = (upload.duration_s or 0.0) / 2
            return self.decoders.still(upload.path, middle_s, _POSTER_PIXELS)

    def preview(self, snapshot: Snapshot, video_id: str, span: Span) -> int:
        """An open MP4 of a span, H.264 without sound, which any browser plays.

        Raises as `poster`, and `UsageError` for a span behind the end.
        """
        rows = snapshot.rows_of(video_id)
        if span.start_s >= rows[0].duration_s:
            raise UsageError(f"the video ends at {rows[0].duration_s:.2f} s: choose a span inside")
        span = Span(span.start_s, min(span.end_s, rows[0].duration_s))

        def make(path: Path) -> None:
            with self.metrics.stage("preview"):
                self._encode(require_there(rows), span, path)

        name = f"{video_id}-{round(span.start_s * 1000)}-{round(span.end_s * 1000)}.mp4"
        return self.cache.opened(name, make)

    def _encode(self, source: FoundFile, span: Span, to: Path) -> None:
        """Decoded by a process apart; only plain pictures reach the encoder here."""
        sampling = SamplingConfig(fps=_FPS, side_px=None, max_pixels=_PREVIEW_PIXELS, windows=())
        request = request_for(source, sampling, span)
        with closing(self.preparer.events(request)) as events:
            told = (event for event in events if isinstance(event, Opened | Chunk))
            first = next(told)
            assert isinstance(first, Opened), first
            shown = (
                shot for event in told if isinstance(event, Chunk) for shot in shots(event.frames)
            )
            count = max(1, round(span.duration_s * _FPS))
            times_s = [span.start_s + (n + 0.5) / _FPS for n in range(count)]
            write_video(to, held(shown, times_s), fps=_FPS)


def shots(frames: Frames) -> Iterator[tuple[float, UInt8]]:
    """Each frame with its time."""
    return zip(frames.times_F.tolist(), frames.rgb_FHWC, strict=True)
