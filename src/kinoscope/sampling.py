"""Which instants of a video are looked at, and which windows they form: pure arithmetic."""

import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from kinoscope.errors import UsageError
from kinoscope.types import Float64, Span

Policy = Literal["exact", "keyframe"]
WHOLE = "whole"
_LEAST_TAIL_S = 0.05  # a shorter rest of the video belongs to the window before it
_LONGEST_HOLD_S = 60.0
_TICK_S = 1e-9  # a declared length below any clock's tick says nothing
_NUMBER = r"[0-9]+(?:\.[0-9]+)?(?:e[+-][0-9]+)?"
_COUNT = "[0-9]{1,9}"
_WINDOW = f"{_NUMBER}s/{_NUMBER}s"
_DESCRIPTION = re.compile(
    rf"(exact|keyframe) ({_NUMBER})fps min({_COUNT}) (?:({_COUNT})px|({_COUNT})px/frame)"
    rf"(?: ({_COUNT})frames)? ((?:{_WINDOW}(?: {_WINDOW})*)?)"
)
RESERVE = 8
"""A long clip chooses its frames among at most so many times as many, spread evenly."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """A sliding window: `Window(length_s=4, stride_s=2)` gives [0,4) [2,6) [4,8) ..."""

    length_s: float
    stride_s: float

    def __post_init__(self) -> None:
        if not (0 < self.stride_s <= self.length_s < math.inf):
            raise UsageError(
                f"window of {self.length_s} s every {self.stride_s} s: need 0 < stride <= length"
            )

    @property
    def scale(self) -> str:
        """Short name that is stored with each clip, e.g. `4s`."""
        return f"{_brief(self.length_s)}s"


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How a video becomes frames and clips; part of the embedder's spec.

    Attributes:
        fps: sampled frames a second of video, at the centres of a regular grid.
        min_frames: a video too short for that many at `fps` is sampled more densely.
        policy: `exact` takes the frame on screen at each instant; `keyframe` the keyframe before
            it, 8-11 times cheaper and up to one keyframe interval early.
        windows: the clip scales; a row for the whole video always comes first.
        side_px: frames are scaled to `side_px` x `side_px`, the whole picture, without cropping.
        max_pixels: in place of `side_px`, frames keep their shape and are scaled down to at most so
            many pixels.
        clip_frames: a clip is read by at most so many of its frames, evenly spread, the first and
            the last included; None reads all.
    """

    fps: float = 1.0
    min_frames: int = 4
    policy: Policy = "exact"
    windows: tuple[Window, ...] = (Window(length_s=4.0, stride_s=2.0),)
    side_px: int | None = 260
    max_pixels: int | None = None
    clip_frames: int | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.fps) and 0 < self.fps <= 120):
            raise UsageError(f"fps {self.fps}: sample between 0 and 120 frames a second")
        self._check_counts()
        if (self.side_px is None) == (self.max_pixels is None):
            raise UsageError(
                f"side_px {self.side_px}, max_pixels {self.max_pixels}: give one of the two"
            )
        if self.policy not in ("exact", "keyframe"):
            raise UsageError(f"policy {self.policy!r}: choose exact or keyframe")
        if len({window.scale for window in self.windows}) != len(self.windows):
            raise UsageError("two windows of the same length: each scale may occur once")

    def _check_counts(self) -> None:
        ranges = {
            "min_frames": (1, 10**6),
            "side_px": (8, 4096),
            "max_pixels": (64, 4096 * 4096),
            "clip_frames": (1, 4096),
        }
        for name, (least, most) in ranges.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise UsageError(f"{name} {value}: choose {least}..{most}")

    def describe(self) -> str:
        """One line for the spec, e.g. `exact 1fps min4 260px 4s/2s`."""
        windows = " ".join(f"{w.scale}/{_brief(w.stride_s)}s" for w in self.windows)
        rate = f"{_brief(self.fps)}fps min{self.min_frames}"
        size = f"{self.side_px}px" if self.side_px else f"{self.max_pixels}px/frame"
        frames = f" {self.clip_frames}frames" if self.clip_frames else ""
        return f"{self.policy} {rate} {size}{frames} {windows}"

    @classmethod
    def parse(cls, text: str) -> "SamplingConfig":
        """The reverse of `describe`; `UsageError` for any other text."""
        found = _DESCRIPTION.fullmatch(text)
        if not found:
            raise UsageError(f"sampling {text!r} is not one that this version knows")
        policy, fps, min_frames, side_px, max_pixels, clip_frames, windows = found.groups()
        pairs = (window.split("s/") for window in windows.split())
        return cls(
            fps=float(fps),
            min_frames=int(min_frames),
            policy=policy,  # type: ignore[arg-type]
            windows=tuple(
                Window(length_s=float(length), stride_s=float(stride.removesuffix("s")))
                for length, stride in pairs
            ),
            side_px=int(side_px) if side_px else None,
            max_pixels=int(max_pixels) if max_pixels else None,
            clip_frames=int(clip_frames) if clip_frames else None,
        )


@dataclass(frozen=True)
class Clip:
    """A window over sampled frames: its span, its scale and the indices of its frames."""

    span: Span
    scale: str
    indices: tuple[int, ...]


def grid_times(config: SamplingConfig, duration_s: float | None) -> Iterator[float]:
    """Endless centres of the sampling grid; the reader stops at the end of the file.

    At 1 fps: 0.5, 1.5, 2.5 ... A 2 s video with `min_frames=4`: 0.25, 0.75, 1.25, 1.75, 2.5 ...
    The declared duration only refines the grid as far as it reaches; it never limits it, and
    if it lies, the rest of the video is sampled at `fps` as usual.
    """
    step_s = 1.0 / config.fps
    regular = ((i + 0.5) * step_s for i in itertools.count())
    if duration_s is None or not _TICK_S < duration_s < config.min_frames * step_s:
        return regular
    short_s, fine_s = duration_s, duration_s / config.min_frames
    fine = ((i + 0.5) * fine_s for i in range(config.min_frames))
    return itertools.chain(fine, (time_s for time_s in regular if time_s >= short_s))


def cut_clips(config: SamplingConfig, duration_s: float, times_F: Float64) -> tuple[Clip, ...]:
    """The whole-video clip, then every window, over frames that were really read.

    Args:
        config: scales and strides.
        duration_s: where the video ends, in seconds.
        times_F: presentation times of the sampled frames, ascending, at least one.

    A window that holds no frame borrows the one on screen when it starts (a slide show), unless
    that has been there for over a minute: a jump of the clock must not make a day of clips.
    """
    if not len(times_F):
        raise UsageError("no frames to cut into clips")
    most = config.clip_frames
    whole = Clip(Span(0.0, duration_s), WHOLE, spread(whole_reserve(len(times_F), most), most))
    windows = (
        Clip(span, window.scale, spread(frames_in(span, times_F), most))
        for window in config.windows
        for span in window_spans(window, duration_s)
        if _is_fresh(span, times_F)
    )
    return (whole, *windows)


def window_spans(window: Window, duration_s: float) -> list[Span]:
    """Spans of one scale; the last is moved back to end with the video.

    9 s of video with 4 s every 2 s: [0,4) [2,6) [4,8) [5,9). 3 s of video: [0,3).
    """
    if duration_s <= window.length_s:
        return [Span(0.0, duration_s)]
    last_start_s = duration_s - window.length_s
    count = math.floor(last_start_s / window.stride_s + 1e-9) + 1
    starts = [i * window.stride_s for i in range(count)]
    if last_start_s - starts[-1] > _LEAST_TAIL_S:
        starts.append(last_start_s)
    ends = [*(start_s + window.length_s for start_s in starts[:-1]), duration_s]
    return [Span(start_s, end_s) for start_s, end_s in zip(starts, ends, strict=True)]


def _is_fresh(span: Span, times_F: Float64) -> bool:
    """Whether the last frame before the window's end is in it, or not long before it."""
    before = int(times_F.searchsorted(span.end_s, side="left")) - 1
    return before < 0 or span.start_s - float(times_F[before]) <= _LONGEST_HOLD_S


def whole_reserve(count: int, clip_frames: int | None) -> tuple[int, ...]:
    """Frames that the whole video may be read by: every 2^k-th, and the last.

    k is the least that leaves at most `RESERVE * clip_frames`, so that frames which are let go
    while a film streams in are never wanted again. 70 frames, at most 4 -> 0 4 8 ... 68 69.
    """
    return tuple(sorted({*range(0, count, reserve_step(count, clip_frames)), count - 1}))


def reserve_step(count: int, clip_frames: int | None) -> int:
    """The 2^k of `whole_reserve` for a film of so many frames."""
    step = 1
    while clip_frames is not None and -(-count // step) > RESERVE * clip_frames:
        step *= 2
    return step


def spread(indices: tuple[int, ...], most: int | None) -> tuple[int, ...]:
    """At most so many of ascending indices, evenly, first and last included: 0..9, 4 -> 0 3 6 9."""
    if most is None or len(indices) <= most:
        return indices
    if most == 1:
        return (indices[len(indices) // 2],)
    last = len(indices) - 1
    return tuple(indices[(2 * i * last + most - 1) // (2 * (most - 1))] for i in range(most))


def frames_in(span: Span, times_F: Float64) -> tuple[int, ...]:
    """Frames inside a span; where there is none, the one on screen when it starts."""
    first, after = times_F.searchsorted([span.start_s, span.end_s], side="left")
    if first == after:
        return (max(0, int(first) - 1),)
    return tuple(range(int(first), int(after)))


def _brief(value: float) -> str:
    """4.0 -> `4`; what does not fit in six digits is written in full."""
    text = f"{value:g}"
    return text if float(text) == value else repr(value)
