"""One forward pass over a video file for many instants."""

import itertools
import math
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from kinoscope.errors import MediaError, UsageError
from kinoscope.sampling import Policy
from kinoscope.types import Frames
from kinoscope.video.display import Display
from kinoscope.video.opening import DecodeLimits, check_size, check_unchanged, open_file
from kinoscope.video.source import Setup, Shot, Source, Tally

_HDR_TRANSFERS = (16, 18)  # PQ (SMPTE 2084) and HLG (ARIB STD-B67)
_SEEK_RETRIES_S = (0.0, 1.0, 5.0)  # earlier than wanted; then from the start of the file
_SEEK_COST_S = 1.0  # a jump costs about as much as decoding a second of video
_DEFAULT_LIMITS = DecodeLimits()


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """What the container declares. Codec, size and rotation are so; the rest are hints.

    Attributes:
        path: the file.
        declared_duration_s: seconds, or None if the container does not say.
        width: display width in pixels, after rotation and sample aspect ratio.
        height: display height in pixels.
        codec: its name, e.g. `h264`.
        rotation: clockwise degrees from the stored picture to the upright one: 0, 90, 180 or 270.
        hdr: whether the transfer curve is PQ or HLG; such frames are not tone-mapped.
        fps: declared average frame rate, or None.
        has_audio: whether there is an audio stream.
    """

    path: Path
    declared_duration_s: float | None
    width: int
    height: int
    codec: str
    rotation: int
    hdr: bool
    fps: float | None
    has_audio: bool


@dataclass(frozen=True, kw_only=True)
class DecodeReport:
    """What decoding found.

    Attributes:
        frames_decoded: frames that came out of the decoder, wanted or not.
        corrupt_packets: packets that demuxer or decoder found damaged, each passed over.
        dropped_frames: decoded frames that were not trusted: spoilt by damage, which lasts to the
            next keyframe, or out of time order.
        end_s: measured end of the picture once the file was read to its end; until then the later
            of declared and seen.
        ends_early: whether that end is short of the declared one by over 1 s and over 5 %.
    """

    frames_decoded: int
    corrupt_packets: int
    dropped_frames: int
    end_s: float
    ends_early: bool


class VideoReader:
    """Reads one video file, as a context manager.

    ```
    with VideoReader("film.mp4") as reader:
        for frames in reader.sample([0.5, 1.5, 2.5]):
            ...
    ```

    Args:
        path: a file; a text is never taken for a URL or a pattern, whatever it looks like, but a
            `FarPath` is one in object storage.
        policy: `exact` takes the frame on screen at an instant, `keyframe` the keyframe before it.
        side_px: pictures are scaled, whole, to `side_px` x `side_px`; None keeps their shape.
        max_pixels: with `side_px=None`, pictures are scaled down to at most so many pixels.
        limits: bounds on memory and work.
        threads: decoder threads; 0 lets the decoder choose.

    Raises `MediaError` on entering if the file gives no frame, and from `sample` if it vanishes,
    changes or becomes unreadable meanwhile. For one thread at a time.
    """

    def __init__(
        self,
        path: str | Path,
        policy: Policy = "exact",
        side_px: int | None = 260,
        limits: DecodeLimits = _DEFAULT_LIMITS,
        threads: int = 1,
        max_pixels: int | None = None,
    ) -> None:
        if policy not in ("exact", "keyframe"):
            raise UsageError(f"policy {policy!r}: choose exact or keyframe")
        if side_px is not None and not 1 <= side_px <= limits.max_side_px:
            raise UsageError(f"side_px {side_px}: choose 1..{limits.max_side_px}, or None")
        if max_pixels is not None and not (side_px is None and max_pixels >= 1):
            raise UsageError(f"max_pixels {max_pixels}, side_px {side_px}: give one of the two")
        if threads < 0:
            raise UsageError(f"threads {threads}: choose 1 or more, or 0 for automatic")
        self._path = path if isinstance(path, Path) else Path(path)
        self._side_px, self._max_pixels = side_px, max_pixels
        self._setup = Setup(policy == "keyframe", limits, threads)
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as resources:
            self._file, self._identity = open_file(self._path)
            resources.enter_context(self._file)
            self._waiting: Iterator[Shot] | None = self._start()
            self._resources = resources.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        # Let go of the container, not close it: a `sample` still running would crash the process.
        self._waiting = None
        del self._source
        self._resources.close()

    @property
    def info(self) -> VideoInfo:
        """What the container declares."""
        return self._info

    @property
    def report(self) -> DecodeReport:
        """What decoding has found so far; complete when `sample` has reached the file's end."""
        tally, declared_s = self._tally, self._info.declared_duration_s or 0.0
        end_s = tally.end_s if tally.finished else max(tally.end_s, declared_s)
        return DecodeReport(
            frames_decoded=tally.frames_decoded,
            corrupt_packets=tally.corrupt_packets,
            dropped_frames=tally.dropped_frames,
            end_s=end_s,
            ends_early=declared_s - end_s > max(1.0, 0.05 * declared_s),
        )

    def sample(self, times_s: Iterable[float], chunk: int = 32) -> Iterator[Frames]:
        """One forward pass: for each instant the frame on screen then, each frame once.

        Args:
            times_s: strictly ascending seconds from the start of the file; may be endless.
            chunk: frames in each `Frames` but the last.

        Ends with the file. Instants before the first frame are passed over; if no instant met a
        frame, the first frame is yielded, so that the result is never empty.
        Raises `UsageError` for instants that do not ascend, `MediaError` as the class says.
        """
        if chunk < 1:
            raise UsageError(f"chunk {chunk}: choose 1 or more")
        pictures = (
            (shot.time_s, self._display.picture(self._path, shot.frame))
            for shot in self._on_screen(_ascending(times_s))
        )
        while batch := list(itertools.islice(pictures, chunk)):
            times_F = np.array([time_s for time_s, _ in batch], dtype=np.float64)
            yield Frames(np.stack([picture for _, picture in batch]), times_F)
        check_unchanged(self._path, self._identity)

    def _on_screen(self, times_s: Iterator[float]) -> Iterator[Shot]:
        """The shots that instants meet: each the last to begin at or before an instant."""
        shots, self._waiting = self._waiting or self._start(), None
        first = next(shots)
        ahead: Shot | None = first
        shown: Shot | None = None
        last_s = -math.inf
        for time_s in times_s:
            if self._file.closed:
                raise UsageError(f"{self._path} is closed: sample inside the `with` block")
            if ahead is not None and self._is_far(ahead.time_s, time_s):
                shots = self._jump(time_s)
                ahead = next(shots)
            while ahead is not None and ahead.time_s <= time_s:
                shown, ahead = ahead, next(shots, None)
            if ahead is None and (shown is None or time_s >= shown.end_s):
                break
            if shown is not None and shown.time_s > last_s:
                yield shown
                last_s = shown.time_s
        if last_s == -math.inf:
            yield first

    def _is_far(self, from_s: float, to_s: float) -> bool:
        """Whether a jump is worth it, and not beyond all time."""
        far = to_s - from_s > self._source.keyframe_gap_s + _SEEK_COST_S
        return far and self._may_jump and to_s < self._setup.limits.max_duration_s

    def _jump(self, time_s: float) -> Iterator[Shot]:
        """Shots from one at or before `time_s` on; reads from the start if no jump gets there."""
        import av

        for earlier_s in _SEEK_RETRIES_S:
            try:
                self._source.seek(max(0.0, time_s - earlier_s))
            except av.FFmpegError:
                break
            shots = self._source.shots()
            landed = next(shots, None)
            if landed is not None and landed.time_s <= time_s:
                return itertools.chain([landed], shots)
        shots = self._start()
        self._may_jump = False
        return shots

    def _start(self) -> Iterator[Shot]:
        """Opens the container anew: its shots from the first on, at least one."""
        shots = self._open(self._setup)
        first = next(shots, None)
        if first is None and self._setup.keyframes_only:  # its one keyframe may be edited away
            whole = self._open(self._setup._replace(keyframes_only=False))
            self._may_jump = False
            shots = itertools.islice(whole, 1)
            first = next(shots, None)
        if first is None:
            raise MediaError(
                "no_frames", f"{self._path}: not one frame could be decoded; repair or re-encode it"
            )
        self._show(first)
        return itertools.chain([first], shots)

    def _open(self, setup: Setup) -> Iterator[Shot]:
        self._tally = Tally()
        self._may_jump = True
        self._source: Source = Source(self._path, self._file, setup, self._tally)
        return self._source.shots()

    def _show(self, first: Shot) -> None:
        """Learns from the first frame what pictures look like."""
        source = self._source
        aspect = source.stream.sample_aspect_ratio
        self._display = Display(first.frame, aspect, self._side_px, self._max_pixels)
        check_size(self._path, self._display.width, self._display.height, self._setup.limits)
        rate = source.stream.average_rate or source.stream.guessed_rate
        self._info = VideoInfo(
            path=self._path,
            declared_duration_s=source.declared_end_s,
            width=self._display.width,
            height=self._display.height,
            codec=source.stream.codec_context.codec.canonical_name,
            rotation=self._display.rotation,
            hdr=int(first.frame.color_trc) in _HDR_TRANSFERS,
            fps=float(rate) if rate else None,
            has_audio=bool(source.container.streams.audio),
        )


def _ascending(times_s: Iterable[float]) -> Iterator[float]:
    last_s = -math.inf
    for time_s in times_s:
        if not time_s > last_s:
            raise UsageError(f"instants must ascend: {time_s} s came after {last_s} s")
        yield time_s
        last_s = time_s
