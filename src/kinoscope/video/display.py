"""Stored frames as they are meant to be seen: scaled, upright, RGB."""

import math
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from kinoscope.errors import MediaError
from kinoscope.types import UInt8

if TYPE_CHECKING:
    from av import VideoFrame
    from av.sidedata.sidedata import SideDataContainer

_UPRIGHT = (1, 0, 0, 1)
_LONGEST_STRIP = 90  # models refuse pictures of a more extreme shape


class Display:
    """Makes RGB arrays [H, W, 3], all of one size, from the frames of one stream.

    Attributes:
        width: display width in pixels, after aspect ratio and rotation, before scaling to a model.
        height: display height in pixels.
        rotation: clockwise degrees from the stored picture to the upright one.
    """

    def __init__(
        self,
        first: "VideoFrame",
        aspect: Fraction | None,
        side_px: int | None,
        max_pixels: int | None = None,
    ) -> None:
        from av.video.reformatter import VideoReformatter

        self._scaler = VideoReformatter()
        # As in a player, a pixel at (x, y) is shown at (a x + c y, b x + d y).
        a, b, c, d = _matrix(first)
        self._transposed = abs(b) > abs(a)
        self._mirrored_x = (c if self._transposed else a) < 0
        self._mirrored_y = (b if self._transposed else d) < 0
        stored = (max(1, round(first.width * (aspect or 1))), first.height)
        self.width, self.height = stored[::-1] if self._transposed else stored
        self._scaled = fitted(stored, max_pixels) if side_px is None else (side_px, side_px)

    @property
    def rotation(self) -> int:
        """0, 90, 180 or 270; a mirrored picture counts as the nearest rotation."""
        if self._transposed:
            return 90 if self._mirrored_x else 270
        return 180 if self._mirrored_x and self._mirrored_y else 0

    def picture(self, path: Path, frame: "VideoFrame") -> UInt8:
        """The frame as [H, W, 3]; scaled first, so that a large frame never exists as RGB."""
        import av

        width, height = self._scaled
        try:
            scaled = self._scaler.reformat(
                frame, width, height, "rgb24", interpolation="BICUBIC", threads=1
            )
        except av.FFmpegError as error:
            raise MediaError(
                "no_frames",
                f"{path}: pictures of format {frame.format.name} cannot be turned into RGB;"
                " re-encode the file as 8-bit YUV 4:2:0",
            ) from error
        rgb_HWC = np.asarray(scaled.to_ndarray(), dtype=np.uint8)
        if self._transposed:
            rgb_HWC = rgb_HWC.transpose(1, 0, 2)
        return rgb_HWC[:: -1 if self._mirrored_y else 1, :: -1 if self._mirrored_x else 1]


def fitted(size: tuple[int, int], max_pixels: int | None) -> tuple[int, int]:
    """A size of the same shape with at most so many pixels; a strip is made 90 times as long.

    (1280, 720), 460800 -> (905, 509).
    """
    if max_pixels is None:
        return size
    least = max(-(-side // _LONGEST_STRIP) for side in size)
    width, height = (max(side, least) for side in size)
    shrink = min(1.0, math.sqrt(max_pixels / (width * height)))
    wide = min(max(1, int(width * shrink)), max_pixels)
    return wide, min(max(1, int(height * shrink)), max_pixels // wide)


def _matrix(frame: "VideoFrame") -> tuple[int, int, int, int]:
    """a, b, c, d of the frame's display matrix, which is stored by rows of three."""
    from av.sidedata.sidedata import Type

    side_data = cast("SideDataContainer", frame.side_data)
    for found in (side_data[n] for n in range(len(side_data))):
        if found.type is Type.DISPLAYMATRIX:
            a, b, _, c, d, *_ = np.frombuffer(bytes(found), dtype=np.int32).tolist()
            return a, b, c, d
    return _UPRIGHT
