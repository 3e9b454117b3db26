"""Draws a number into each frame of a made video and reads it back, to see a wrong frame."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

os.environ.setdefault("SVT_LOG", "0")  # the AV1 encoder prints its settings otherwise

ROWS, COLUMNS = 3, 6
# Corners differ, so that a picture turned or mirrored has no number. The other 14 cells are black
# or white: ten bits of the number and four that check it.
CORNERS = {(0, 0): 255, (0, 5): 128, (2, 0): 0, (2, 5): 0}
CELLS = [(r, c) for r in range(ROWS) for c in range(COLUMNS) if (r, c) not in CORNERS]
UNREADABLE = -1

X264 = {"preset": "veryfast", "crf": "12", "g": "25", "bf": "2", "sc_threshold": "0"}
X265 = {"preset": "ultrafast", "x265-params": "log-level=none:keyint=25:bframes=2"}
AV1 = {"preset": "8", "crf": "8", "g": "25"}
VP9 = {"deadline": "realtime", "cpu-used": "8", "g": "25", "b": "2000000"}
MPEG2 = {"g": "12", "bf": "2", "b": "2000000"}
MPEG4 = {"g": "25", "qscale": "3"}
WMV2 = {"g": "25", "b": "2000000"}


def _word(number: int) -> int:
    check = 7 * (number & 15) + 3 * (number >> 4 & 15) + 5 * (number >> 8) + 9
    return number << 4 | check & 15


def draw_number(number: int, width: int = 192, height: int = 96) -> np.ndarray:
    """Grey picture [H, W] that says `number`, in 0..1023; a moving texture keeps codecs busy."""
    assert 0 <= number < 1024
    grid = np.empty((ROWS, COLUMNS))
    for cell, level in CORNERS.items():
        grid[cell] = level
    for bit, cell in enumerate(CELLS):
        grid[cell] = 255 * (_word(number) >> bit & 1)
    rows, columns = np.arange(height) * ROWS // height, np.arange(width) * COLUMNS // width
    y, x = np.mgrid[:height, :width]
    texture = 20 * np.sin((x + 3 * number) / 7) * np.cos((y - number) / 5)
    return np.clip(0.85 * grid[rows[:, None], columns] + 19 + texture, 0, 255).astype(np.uint8)


def read_number(rgb_HWC: np.ndarray) -> int:
    """The number of a picture of any size; `UNREADABLE` if turned, smeared or not one of ours."""
    height, width, _ = rgb_HWC.shape
    grid = np.empty((ROWS, COLUMNS))
    for row, column in np.ndindex(ROWS, COLUMNS):
        top, bottom = (int((row + part) * height / ROWS) for part in (0.2, 0.8))
        left, right = (int((column + part) * width / COLUMNS) for part in (0.2, 0.8))
        grid[row, column] = rgb_HWC[top:bottom, left:right].mean()
    if any(abs(grid[cell] - (0.85 * level + 19)) > 40 for cell, level in CORNERS.items()):
        return UNREADABLE
    levels = [grid[cell] for cell in CELLS]
    if any(90 < level < 165 for level in levels):
        return UNREADABLE
    word = sum((level > 128) << bit for bit, level in enumerate(levels))
    return word >> 4 if _word(word >> 4) == word else UNREADABLE


@dataclass(frozen=True, kw_only=True)
class Movie:
    """A video to write: frame `i` carries number `i` and begins at `ticks[i] * time_base`.

    Without `ticks` frames come at an even rate from `first_tick` on. A player shows `zero_tick`, or
    else the first frame, as time zero. `rotation` is what it must do, clockwise; the stored picture
    is turned the other way.
    """

    frames: int = 75
    fps: int = 25
    ticks: tuple[int, ...] = ()
    first_tick: int = 0
    zero_tick: int | None = None
    codec: str = "libx264"
    options: Mapping[str, str] = field(default_factory=lambda: dict(X264))
    muxer: Mapping[str, str] = field(default_factory=dict)
    width: int = 192
    height: int = 96
    rotation: int = 0
    aspect: Fraction = Fraction(1)
    audio_s: float = 0.0
    transfer: int = 2

    @property
    def time_base(self) -> Fraction:
        return Fraction(1, 1000 if self.ticks else self.fps)

    @property
    def all_ticks(self) -> tuple[int, ...]:
        return self.ticks or tuple(range(self.first_tick, self.first_tick + self.frames))

    @property
    def shown(self) -> tuple[tuple[float, int], ...]:
        """Time and number of each frame that a player shows."""
        ticks = self.all_ticks
        zero = ticks[0] if self.zero_tick is None else self.zero_tick
        numbered = [(tick - zero, number) for number, tick in enumerate(ticks)]
        return tuple((float(t * self.time_base), number) for t, number in numbered if t >= 0)

    def write(self, path: Path) -> None:
        """Writes the file; the suffix chooses the container."""
        with av.open(str(path), "w", options=dict(self.muxer)) as container:
            video = self._add_video(container)
            sound = container.add_stream("aac", rate=48000) if self.audio_s else None
            for frame in self._frames():
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
            if sound is not None:
                for frame in silence(self.audio_s):
                    container.mux(sound.encode(frame))
                container.mux(sound.encode(None))

    def _add_video(self, container):
        video = container.add_stream(self.codec, rate=self.fps, options=dict(self.options))
        video.width, video.height, video.pix_fmt = self.width, self.height, "yuv420p"
        if self.rotation in (90, 270):
            video.width, video.height = self.height, self.width
        context = video.codec_context
        context.time_base = self.time_base
        context.thread_count = 1  # the same bytes on every machine
        context.sample_aspect_ratio = self.aspect
        context.color_trc = self.transfer
        if self.rotation:
            video.set_display_rotation(-self.rotation)  # FFmpeg counts counterclockwise
        return video

    def _frames(self) -> Iterator[av.VideoFrame]:
        for number, tick in enumerate(self.all_ticks):
            picture = draw_number(number, self.width, self.height)
            stored = np.ascontiguousarray(np.rot90(picture, self.rotation // 90))
            frame = av.VideoFrame.from_ndarray(stored, format="gray").reformat(format="yuv420p")
            frame.pts, frame.time_base = tick, self.time_base
            yield frame


def silence(seconds: float) -> Iterator[av.AudioFrame]:
    """Mono frames at 48 kHz."""
    for i in range(int(seconds * 48000 / 1024)):
        samples = np.zeros((1, 1024), np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, i * 1024, Fraction(1, 48000)
        yield frame
