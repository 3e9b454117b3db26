"""What clients ask about, decoded by processes of bounded memory and time, never by the server."""

import queue
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

from kinoscope.clips import Cut
from kinoscope.errors import MediaError
from kinoscope.index.decoding import (
    Chunk,
    DecodePool,
    Event,
    Failed,
    Finished,
    Opened,
    WorkerLimits,
)
from kinoscope.index.scan import FoundFile, absolute
from kinoscope.index.worker import Decoded, DecodeRequest, decode_file
from kinoscope.sampling import SamplingConfig
from kinoscope.server.faults import Busy
from kinoscope.types import Frames, Span
from kinoscope.video import DecodeReport, read_picture

_PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")


def is_picture(start: bytes) -> bool:
    """Whether a file that begins so is a picture; any other may be a video."""
    return start.startswith(_PICTURES) or (start[:4] == b"RIFF" and start[8:12] == b"WEBP")


def decode_any(request: DecodeRequest) -> Iterator[Decoded]:
    """What a decoding process does: a picture, by its first bytes, or a video.

    Of a picture comes one frame, and no `VideoInfo`. Raises `MediaError` for anything else.
    """
    with Path(request.file.path).open("rb") as stream:
        start = stream.read(16)
    if not is_picture(start):
        yield from decode_file(request)
        return
    sampling = request.sampling
    path = Path(request.file.path)
    yield read_picture(path, sampling.side_px, sampling.max_pixels, request.limits)
    yield DecodeReport(
        frames_decoded=1, corrupt_packets=0, dropped_frames=0, end_s=0.0, ends_early=False
    )


@dataclass(frozen=True, eq=False)
class Shown:
    """What an embedder would read of a file; `still` for a picture, which is one frame."""

    frames: Frames
    still: bool


class Decoders:
    """A few decoding processes, each of which serves one request at a time."""

    def __init__(self, count: int, limits: WorkerLimits, *, busy_s: float) -> None:
        """`busy_s` is how long a request waits for a free one."""
        self._limits, self._busy_s, self._count = limits, busy_s, count
        self._free: queue.Queue[_Slot] = queue.LifoQueue()  # the last one used has started already
        for _ in range(count):
            self._free.put(_Slot(limits))

    def close(self) -> None:
        """Ends all processes that are free; those at work end with this process."""
        for _ in range(self._count):
            try:
                self._free.get_nowait().close()
            except queue.Empty:
                return

    def events(self, request: DecodeRequest) -> Generator[Event, None, None]:
        """What a process says of a file, up to its end; to be closed where it is left earlier.

        Raises `MediaError` where it fails, `Busy` where no process becomes free in time.
        """
        try:
            slot = self._free.get(timeout=self._busy_s)
        except queue.Empty:
            raise Busy("all decoders are at work: come back in some seconds", 5) from None
        whole = False
        try:
            for event in slot.pool.run(deque([request])):
                if isinstance(event, Failed):
                    whole = True
                    raise MediaError(event.fault, event.message)
                yield event
            whole = True
        finally:
            if not whole:  # it is still at work on what nobody waits for
                slot.close()
                slot = _Slot(self._limits)
            self._free.put(slot)

    def shown(
        self,
        file: Path | FoundFile,
        sampling: SamplingConfig,
        span: Span | None = None,
        *,
        most_s: float,
    ) -> Shown:
        """What an embedder of that sampling reads of a picture, a video or a span of one.

        Raises `MediaError`, also for a video that is longer than `most_s`.
        """
        request = request_for(file, sampling, span)
        cut, still, end_s = Cut(sampling, span), True, 0.0
        with closing(self.events(request)) as events:
            for event in events:
                if isinstance(event, Opened):
                    still = False
                    check_length(event.info.declared_duration_s or 0.0, most_s)
                elif isinstance(event, Chunk):
                    if span is None:
                        check_length(float(event.frames.times_F[-1]), most_s)
                    cut.add(event.frames)
                elif isinstance(event, Finished):
                    end_s = event.report.end_s
        path = Path(request.file.path)
        return Shown(cut.frames(path, max(end_s, 1e-3) if still else end_s), still)

    def length_s(self, path: Path, sampling: SamplingConfig, *, most_s: float) -> float | None:
        """Declared length of a video, 0 where none is declared; None for a picture.

        Raises `MediaError` for a file without a frame, or one that is longer than `most_s`.
        """
        length_s: float | None = None
        with closing(self.events(request_for(path, sampling))) as events:
            for event in events:
                if isinstance(event, Opened):
                    length_s = event.info.declared_duration_s or 0.0
                    check_length(length_s, most_s)
                elif isinstance(event, Chunk):
                    return length_s
        return length_s

    def still(self, file: Path | FoundFile, time_s: float, max_pixels: int) -> bytes:
        """The frame on screen at an instant, as JPEG; near the end, the last. As `shown`."""
        sampling = SamplingConfig(fps=25.0, side_px=None, max_pixels=max_pixels, windows=())
        span = Span(time_s, time_s + 1 / sampling.fps)
        frame: Frames | None = None
        with closing(self.events(request_for(file, sampling, span))) as events:
            for event in events:
                if isinstance(event, Chunk):
                    frame = frame or event.frames
                    before = int((event.frames.times_F <= time_s).sum())
                    frame = event.frames.take([before - 1]) if before else frame
        assert frame is not None, "a file without a frame was no failure"
        return _jpeg(frame)


class _Slot:
    """A process, started with its first file."""

    def __init__(self, limits: WorkerLimits) -> None:
        self._resources = ExitStack()
        self.pool = self._resources.enter_context(
            DecodePool(1, limits, decode=decode_any, pictures=True)
        )

    def close(self) -> None:
        self._resources.close()


def request_for(
    file: Path | FoundFile, sampling: SamplingConfig, span: Span | None = None
) -> DecodeRequest:
    """To decode a file as it was found, or a path as it is now; `MediaError` if that is away."""
    found = file if isinstance(file, FoundFile) else _as_it_is(file)
    return DecodeRequest(file=found, sampling=replace(sampling), span=span)


def _as_it_is(path: Path) -> FoundFile:
    try:
        status = path.stat()
    except OSError as error:
        raise MediaError("missing", f"{path} is gone ({error.strerror}): put it back") from None
    return FoundFile(path=absolute(path), size_bytes=status.st_size, mtime_ns=status.st_mtime_ns)


def check_length(length_s: float, most_s: float) -> None:
    """Raises `MediaError` for a video that is too long to be asked about."""
    if length_s > most_s:
        raise MediaError(
            "too_large", f"the video has over {most_s:g} s: name a piece of it, or cut it"
        )


def _jpeg(frames: Frames) -> bytes:
    from PIL import Image

    written = BytesIO()
    Image.fromarray(frames.rgb_FHWC[0]).save(written, "JPEG", quality=82)
    return written.getvalue()
