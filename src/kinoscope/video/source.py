"""From an opened container its sound frames in time order; damaged ones are counted and dropped."""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from kinoscope.video.opening import (
    DecodeLimits,
    check_size,
    choose_stream,
    open_container,
    unreadable,
)

if TYPE_CHECKING:
    from av import Packet, VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

_USUAL_KEYFRAME_GAP_S = 12.0  # until one is measured; encoders default to 250 frames, 8-10 s
_USUAL_FRAME_S = 0.04  # for an only frame whose duration nothing tells
_TAIL_PACKETS = 32  # more than any decoder reorders
_HELD_FRAMES = 3  # pictures shown before, but built on, a damaged one; encoders' usual B-frames
_SUSPECT_PACKETS = 8  # a demuxer tells of missing data up to so many packets too early
_ERRORS_AT_END = 3  # demuxer errors in a row that are taken for the end of the file
_ANY_TIME = -math.inf


class Shot(NamedTuple):
    """A decoded frame and when it is on screen."""

    time_s: float
    end_s: float
    frame: "VideoFrame"


class Setup(NamedTuple):
    """How to decode."""

    keyframes_only: bool
    limits: DecodeLimits
    threads: int


@dataclass
class Tally:
    """What was met so far: counts, the end of the picture, and whether the file was read out."""

    frames_decoded: int = 0
    corrupt_packets: int = 0
    dropped_frames: int = 0
    end_s: float = 0.0
    finished: bool = False


class Clock:
    """Exact seconds since the container's start, which players show as zero."""

    def __init__(self, container: "InputContainer", stream: "VideoStream") -> None:
        tick_s = stream.time_base or Fraction(1, 1_000_000)
        first_s = (stream.start_time or 0) * tick_s
        zero_s = first_s
        if container.start_time is not None:
            zero_s = Fraction(container.start_time, 1_000_000)
        if abs(zero_s - first_s) < Fraction(1, 500_000):  # the same, rounded to microseconds
            zero_s = first_s
        # all in one integer unit: a float sum would put a frame just after its own instant
        self._units = math.lcm(tick_s.denominator, zero_s.denominator)
        self._units_per_tick = int(tick_s * self._units)
        self._zero = int(zero_s * self._units)

    def seconds(self, ticks: int) -> float:
        """Time of a presentation stamp."""
        return (ticks * self._units_per_tick - self._zero) / self._units

    def ticks(self, time_s: float) -> int:
        """The last presentation stamp at or before a time."""
        return math.floor((time_s * self._units + self._zero) / self._units_per_tick)


class Source:
    """An opened container, read forward from where it stands.

    Damage spoils whatever refers to it, until a keyframe that is shown after it. What neither
    demuxer nor decoder notices cannot be seen here; VP9, AV1 and HEVC notice little.
    """

    def __init__(self, path: Path, file: BinaryIO, setup: Setup, tally: Tally) -> None:
        self._path = path
        self._setup = setup
        self._tally = tally
        self.container = open_container(path, file, setup.limits)
        self.stream = choose_stream(path, self.container)
        check_size(path, self.stream.width, self.stream.height, setup.limits)
        self.clock = Clock(self.container, self.stream)
        self.keyframe_gap_s = _USUAL_KEYFRAME_GAP_S
        self._measured_gap_s = 0.0
        self._keyframe_s = math.nan
        self._spoilt_after_s: float | None = None  # None while all is sound
        self._suspect_packet = 0  # the last that a demuxer's warning may be about
        self._landing = False  # between a seek, or a start midway, and the first keyframe
        self._packets_read = 0
        self._latest_s = _ANY_TIME  # time of the latest packet
        self._held: deque[Shot] = deque()
        self._tail_s: deque[float] = deque(maxlen=_TAIL_PACKETS)
        self._set_up_decoder()

    @property
    def declared_end_s(self) -> float | None:
        """Where the container says that the picture ends, or else the whole file; or None."""
        start = self.stream.start_time or 0
        if self.stream.duration and self.stream.duration > 0:
            return self.clock.seconds(start + self.stream.duration)
        whole_us = self.container.duration
        return whole_us / 1_000_000 if whole_us and whole_us > 0 else None

    def _set_up_decoder(self) -> None:
        decoder = self.stream.codec_context
        decoder.options = {"max_pixels": str(self._setup.limits.max_pixels)}
        decoder.copy_opaque = True
        decoder.thread_count = self._setup.threads
        if self._setup.threads != 1:
            decoder.thread_type = "AUTO"

    def seek(self, time_s: float) -> None:
        """Goes to a keyframe near `time_s`, perhaps a later one; voids `shots` made before."""
        self.container.seek(self.clock.ticks(time_s), stream=self.stream)
        self._keyframe_s = math.nan
        self._spoilt_after_s = _ANY_TIME
        self._suspect_packet = 0
        self._landing = True
        self._tally.finished = False

    def shots(self) -> Iterator[Shot]:
        """Sound frames in ascending time, a few held back until later ones have confirmed them."""
        self._held = held = deque[Shot]()
        last_s = _ANY_TIME
        for shot in self._sound_frames():
            if shot.time_s <= (held[-1].time_s if held else last_s):  # one of the two is wrong
                self._tally.dropped_frames += 1
                if not held or shot.time_s <= (held[-2].time_s if len(held) > 1 else last_s):
                    continue
                held.pop()
            held.append(shot)
            self._tally.end_s = shot.end_s
            if len(held) > _HELD_FRAMES:
                last_s = held[0].time_s
                yield held.popleft()
        yield from held
        if self._setup.keyframes_only:
            limit_s = self._setup.limits.max_duration_s
            self._tally.end_s = min(max([self._tally.end_s, *self._tail_s]), limit_s)
        self._tally.finished = True

    def _sound_frames(self) -> Iterator[Shot]:
        last_s = math.nan
        for frame in self._decoded():
            self._tally.frames_decoded += 1
            shot = self._timed(frame, last_s)
            if shot is None or not self._is_sound(shot):
                self._tally.dropped_frames += 1
                continue
            last_s = shot.time_s
            yield shot

    def _timed(self, frame: "VideoFrame", last_s: float) -> Shot | None:
        """The frame with its time, or None if that is missing or impossible."""
        limit_s = self._setup.limits.max_duration_s
        if frame.pts is None:
            return None
        time_s = self.clock.seconds(frame.pts)
        if not 0.0 <= time_s < limit_s:
            return None
        end_s = self.clock.seconds(frame.pts + frame.duration)
        if end_s <= time_s:
            end_s = time_s + (time_s - last_s if last_s < time_s else _USUAL_FRAME_S)
        return Shot(time_s, min(end_s, limit_s), frame)

    def _is_sound(self, shot: Shot) -> bool:
        if shot.frame.is_corrupt:
            self._spoil(shot.time_s)
            self._doubt_held(shot.frame)
        elif shot.frame.key_frame:
            self._measure_gap(shot.time_s)
            if self._spoilt_after_s is not None and self._heals(shot):
                self._spoilt_after_s = None
                self._landing = False
        return self._spoilt_after_s is None

    def _heals(self, keyframe: Shot) -> bool:
        assert self._spoilt_after_s is not None
        later = keyframe.time_s > self._spoilt_after_s
        return later and _serial(keyframe.frame) > self._suspect_packet

    def _measure_gap(self, time_s: float) -> None:
        gap_s = time_s - self._keyframe_s
        if gap_s > self._measured_gap_s:
            self.keyframe_gap_s = self._measured_gap_s = gap_s
        self._keyframe_s = time_s

    def _spoil(self, time_s: float) -> None:
        """Notes damage at `time_s`; on the way from a seek to a keyframe, errors are no damage."""
        if not self._landing and time_s != self._spoilt_after_s:
            self._tally.corrupt_packets += 1
        self._spoilt_after_s = time_s

    def _doubt_held(self, damaged: "VideoFrame") -> None:
        """Drops held frames that were decoded after a damaged one, which they may build on."""
        for shot in list(self._held):
            if _serial(shot.frame) >= _serial(damaged):
                self._held.remove(shot)
                self._tally.dropped_frames += 1

    def _note(self, packet: "Packet[VideoStream]") -> None:
        self._packets_read += 1
        packet.opaque = (self._packets_read,)  # boxed: PyAV tells such labels apart by identity
        stamp = packet.dts if packet.pts is None else packet.pts
        if self._latest_s == _ANY_TIME and not packet.is_keyframe:
            self._spoilt_after_s = _ANY_TIME  # the file begins in the middle of a film
            self._landing = True
        if stamp is not None:
            self._latest_s = self.clock.seconds(stamp)
            if not packet.is_discard and not packet.is_corrupt:
                self._tail_s.append(self.clock.seconds(stamp + (packet.duration or 0)))

    def _decoded(self) -> Iterator["VideoFrame"]:
        """All frames from here on, or all keyframes; a packet with an error is passed over."""
        import av

        decode = self._decode_alone if self._setup.keyframes_only else self._decode
        for packet in self._packets():
            frames: list[VideoFrame] = []
            damaged = packet is not None and packet.is_corrupt
            if damaged:
                self._suspect_packet = self._packets_read + _SUSPECT_PACKETS
            try:
                frames = decode(packet)
            except av.FFmpegError:
                damaged = True
            if damaged:
                self._spoil(self._latest_s)
            yield from frames

    def _decode(self, packet: "Packet[VideoStream] | None") -> list["VideoFrame"]:
        return self.stream.codec_context.decode(packet)

    def _decode_alone(self, packet: "Packet[VideoStream] | None") -> list["VideoFrame"]:
        """The picture of a keyframe, none for other packets.

        The decoder is emptied after each: one that never sees what lies between keyframes puts
        them in a wrong order and loses some.
        """
        if packet is None or not packet.is_keyframe:
            return []
        decoder = self.stream.codec_context
        try:
            return [f for f in decoder.decode(packet) + decoder.decode(None) if f.key_frame]
        finally:
            decoder.flush_buffers()

    def _packets(self) -> Iterator["Packet[VideoStream] | None"]:
        """The stream's packets, then None to flush the decoder."""
        import av

        errors = 0
        while errors < _ERRORS_AT_END:
            try:
                for packet in self.container.demux(self.stream):
                    if packet.size:  # the decoder would take an empty one for the end
                        errors = 0
                        self._note(packet)
                        yield packet
                break
            except IndexError:  # PyAV at the end of a file in which a new stream turned up midway
                break
            except av.FFmpegError:
                errors += 1
                self._spoil(self._latest_s)
            except OSError as error:
                raise unreadable(self._path, error) from error
        yield None


def _serial(frame: "VideoFrame") -> int:
    """Which packet the frame was decoded from; they come in another order than frames."""
    return frame.opaque[0] if isinstance(frame.opaque, tuple) else 0
