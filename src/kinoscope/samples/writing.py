"""Writes small H.264 files in MP4, each frame at its own time."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from kinoscope.types import UInt8

_ENCODER = {"preset": "veryfast", "crf": "20", "bf": "0"}
_MILLISECOND = Fraction(1, 1000)

_Picture = tuple[UInt8, int]
"""RGB [H, W, C] and how long it stays, in units of the time base."""


def write_video(path: Path, frames: Iterable[UInt8], *, fps: float) -> None:
    """Writes RGB frames [H, W, C] at an even rate; an odd last row or column is cut off."""
    step_s = 1 / Fraction(fps).limit_denominator(1001)
    with path.open("wb") as stream:
        _encode(((rgb_HWC, 1) for rgb_HWC in frames), step_s, stream)


def transcode_webp(webp: bytes, stream: BinaryIO) -> None:
    """Writes an animated WebP as video, frame times to the millisecond.

    Pillow decodes: FFmpeg skips the animation chunks.
    """
    _encode(_pictures(webp), _MILLISECOND, stream)


def is_animated(webp: bytes) -> bool:
    """Whether a WebP has more than one frame."""
    from PIL import Image

    with Image.open(BytesIO(webp)) as image:
        return getattr(image, "n_frames", 1) > 1


def _pictures(webp: bytes) -> Iterator[_Picture]:
    import numpy as np
    from PIL import Image

    with Image.open(BytesIO(webp)) as image:
        for number in range(image.n_frames):  # type: ignore[attr-defined]
            image.seek(number)
            image.load()  # only now does `info` tell of this frame
            yield np.asarray(image.convert("RGB")), image.info["duration"]


def _encode(pictures: Iterable[_Picture], time_base: Fraction, stream: BinaryIO) -> None:
    """One thread and no B-frames: the same input gives the same bytes on any number of cores."""
    import av
    from av.codec.context import Flags

    waiting = iter(pictures)
    first = next(waiting)
    height, width = (side // 2 * 2 for side in first[0].shape[:2])  # 4:2:0 has even sides
    start = 0
    with av.open(stream, "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=30, options=dict(_ENCODER))
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.codec_context.time_base = time_base
        video.codec_context.thread_count = 1
        video.codec_context.flags |= Flags.frame_duration  # or the last frame's is lost
        for rgb_HWC, duration in chain([first], waiting):
            frame = av.VideoFrame.from_ndarray(rgb_HWC[:height, :width], format="rgb24")
            frame.pts, frame.duration, frame.time_base = start, duration, time_base
            container.mux(video.encode(frame))
            start += duration
        container.mux(video.encode(None))
