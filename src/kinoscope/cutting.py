"""A stretch of a video as a file of its own: packets copied, not encoded anew, where that can be.

A copy has to begin at a keyframe. An MP4's edit list tells players to begin to show later, so that
the file opens at the very moment all the same.
"""

import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from kinoscope.errors import MediaError, UsageError
from kinoscope.samples.writing import write_video
from kinoscope.types import Span, UInt8
from kinoscope.video.opening import DecodeLimits, choose_stream, open_container, open_file
from kinoscope.video.reader import VideoReader

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.stream import Stream

SUFFIXES = (".mp4", ".m4v", ".mov")
_LIMITS = DecodeLimits()
_JUMPS_S = (0, 1, 5)  # earlier than wanted; then from the start of the file
_BEFORE_S = 10  # some formats jump by when packets are read, before anything is shown
_AHEAD_S = 1  # packets stand in the order of decoding, sound apart from pictures
_FPS, _MOST_FPS = 25.0, 120.0  # of a file that does not say, and whatever one says

How = Literal["copied", "encoded"]


def cut(path: Path, span: Span, to: Path) -> How:
    """Writes what is shown in a span of a video, with its sound, as an MP4; says how.

    Copied packets keep every pixel, and the last few frames may go on a little longer. What no MP4
    can hold is encoded as H.264, without sound. `to` appears whole or not at all.
    Raises `UsageError` for a name that is taken or no MP4's, or a span behind the end; `MediaError`
    for a file that cannot be read.
    """
    if to.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{to}: moments are written as MP4, name it {to.stem or 'moment'}.mp4")
    if to.exists():
        raise UsageError(f"{to} exists: choose another name")
    with VideoReader(path) as reader:  # a file without a frame is told here
        end_s = reader.info.declared_duration_s or math.inf
        fps = min(reader.info.fps or _FPS, _MOST_FPS)
    if span.start_s >= end_s:
        raise UsageError(f"{path} ends at {end_s:.2f} s: nothing is at {span.start_s:.2f} s")
    folder = to.absolute().parent
    if not folder.is_dir():
        raise UsageError(f"{to}: the folder {folder} does not exist")
    with TemporaryDirectory(dir=folder, prefix=".cutting-") as drafts:
        draft = Path(drafts) / "draft.mp4"
        how: How = "copied" if _copied(path, span, draft) else "encoded"
        if how == "encoded":
            _encode(path, span, draft, fps)
        draft.replace(to)
    return how


def _copied(path: Path, span: Span, draft: Path) -> bool:
    """Whether the packets could be copied into an MP4."""
    import av

    file, _ = open_file(path)
    with file:
        source = open_container(path, file, _LIMITS)
        video = choose_stream(path, source)
        kept: list[Stream] = [video, *source.streams.audio[:1]]
        try:
            with av.open(str(draft), "w", format="mp4") as target:
                _copy(source, kept, target, span)
            with VideoReader(draft):  # it plays
                return True
        except (av.FFmpegError, ValueError, MediaError):  # no codec of an MP4, no times, damage
            draft.unlink(missing_ok=True)
            return False


def _copy(
    source: "InputContainer", kept: "list[Stream]", target: "OutputContainer", span: Span
) -> None:
    """Times are moved so that the span begins at 0; what must be decoded before is below 0."""
    copies = {stream.index: target.add_stream_from_template(stream, opaque=True) for stream in kept}
    zero_s = Fraction(source.start_time or 0, 1_000_000)
    start_s, end_s = zero_s + Fraction(span.start_s), zero_s + Fraction(span.end_s)
    video, begun = kept[0], set[int]()
    for timed in _begun(source, kept, zero_s, start_s):
        if timed.read_s > end_s + _AHEAD_S:
            break
        index, pictures = timed.packet.stream.index, timed.packet.stream.index == video.index
        if index not in begun:  # pictures from a keyframe on, sound from the span's beginning
            if not (timed.packet.is_keyframe if pictures else timed.shown_s >= start_s):
                continue
            begun.add(index)
        # a picture that is shown behind the end may be one that others are made of
        if (timed.read_s if pictures else timed.shown_s) >= end_s:
            continue
        timed.packet.pts = round((timed.shown_s - start_s) / timed.tick_s)
        timed.packet.dts = round((timed.read_s - start_s) / timed.tick_s)
        timed.packet.stream = copies[index]
        target.mux(timed.packet)


class _Timed(NamedTuple):
    """A packet, when it is shown and when it is read, and the clock's tick, in seconds."""

    packet: "Packet[Any]"
    shown_s: Fraction
    read_s: Fraction
    tick_s: Fraction


def _begun(
    source: "InputContainer", kept: "list[Stream]", zero_s: Fraction, start_s: Fraction
) -> Iterator[_Timed]:
    """Packets from a keyframe at or before the span on; a jump that lands late is made again."""
    for earlier_s in (*_JUMPS_S, start_s - zero_s + _BEFORE_S):
        source.seek(int((start_s - earlier_s) * 1_000_000))
        packets, first = _timed(source, kept), list[_Timed]()
        for timed in packets:
            first.append(timed)
            if timed.packet.stream.index == kept[0].index and timed.packet.is_keyframe:
                break
        if first and first[-1].shown_s <= start_s:
            break
    return chain(first, packets)


def _timed(source: "InputContainer", kept: "list[Stream]") -> Iterator[_Timed]:
    """Packets that say when they are shown.

    Behind a jump some formats do not say when the first are read: then a packet's length before the
    next each. Those of which it is never said are left out.
    """
    waiting: dict[int, list[Packet[Any]]] = {}
    for packet in source.demux(kept):
        pts, dts, tick_s = packet.pts, packet.dts, packet.time_base
        if pts is None or tick_s is None:
            continue
        unsaid = waiting.setdefault(packet.stream.index, [])
        if dts is None:
            unsaid.append(packet)
            continue
        for place, each in enumerate(unsaid):
            early = sum(max(1, other.duration or 1) for other in unsaid[place:])
            yield _Timed(each, (each.pts or 0) * tick_s, (dts - early) * tick_s, tick_s)
        unsaid.clear()
        yield _Timed(packet, pts * tick_s, dts * tick_s, tick_s)


def _encode(path: Path, span: Span, draft: Path, fps: float) -> None:
    """The frames on screen at an even rate."""
    count = max(1, round(span.duration_s * fps))
    times: list[float] = [span.start_s + (n + 0.5) / fps for n in range(count)]
    with VideoReader(path, side_px=None) as reader:
        shown = (
            (float(time_s), rgb_HWC)
            for frames in reader.sample(times)
            for time_s, rgb_HWC in zip(frames.times_F, frames.rgb_FHWC, strict=True)
        )
        write_video(draft, held(shown, times), fps=fps)


def held(shown: Iterator[tuple[float, UInt8]], times: list[float]) -> Iterator[UInt8]:
    """A picture for each instant: the one that is on screen, as often as it is."""
    now, ahead = next(shown), next(shown, None)  # a reader gives one picture at least
    for time_s in times:
        while ahead is not None and ahead[0] <= time_s:
            now, ahead = ahead, next(shown, None)
        yield now[1]
