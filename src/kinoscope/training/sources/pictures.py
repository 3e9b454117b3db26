"""Pictures as short videos without captions: stills, or a camera that pans and zooms."""

import hashlib
import math
from itertools import takewhile
from pathlib import Path

import numpy as np

from kinoscope.errors import MediaError, UsageError
from kinoscope.sampling import SamplingConfig, frames_in, grid_times, spread, whole_reserve
from kinoscope.training.sources.folder import number_in
from kinoscope.training.sources.picture_files import file_of, listed, require
from kinoscope.training.sources.problems import Problems
from kinoscope.training.sources.protocol import Example
from kinoscope.types import Float64, Frames, Span
from kinoscope.video import read_picture

DURATION_S = 2.0
_EDITION = "pictures-1"
_LEAST_VIEW = 0.55
"""Share of a picture's width and height that a camera sees at least."""
_SIDE_PX = 260


class PictureSource:
    """A `Source` of pictures: of each, `takes` videos of 2 s.

    The first take is a still, one frame of the whole picture; in the others a camera goes straight
    from one part of it to another, by chance that the picture and the take decide.
    """

    def __init__(self, folder: Path | None = None, *, takes: int = 2) -> None:
        """`folder` as `picture_files.fetch` fills it, by default that one.

        Raises `SetupError` where it has not been fetched, `UsageError` for no takes.
        """
        if takes < 1:
            raise UsageError(f"{takes} takes of a picture: choose 1 or more")
        self._folder = require() if folder is None else folder
        self._pictures = listed(self._folder)
        if not self._pictures:
            raise UsageError(f"{self._folder} lists no picture: delete it, and fetch it again")
        self._takes = takes
        self._numbers = {self.key(number): number for number in range(len(self))}
        self.problems = Problems(self.name)

    def __len__(self) -> int:
        return len(self._pictures) * self._takes

    @property
    def name(self) -> str:
        """`pictures x 2`."""
        return f"pictures x {self._takes}"

    @property
    def overlaps(self) -> tuple[str, ...]:
        """None: no benchmark is made of these packages."""
        return ()

    @property
    def fingerprint(self) -> str:
        """Of all pictures and how they are shown."""
        told = f"{_EDITION}|{self._takes}|{self._pictures}"
        return hashlib.sha256(told.encode()).hexdigest()

    def example(self, number: int) -> Example:
        """See `Source`: nothing is known of a picture."""
        return Example(key=self.key(number), duration_s=DURATION_S)

    def key(self, number: int) -> str:
        """See `Source`: the picture's number and take; a name may come twice in a package."""
        picture, take = divmod(number, self._takes)
        return f"{picture:05d}-{take}"

    def number_of(self, key: str) -> int:
        """See `Source`."""
        return number_in(self._numbers, key, self.name)

    def identity(self, number: int) -> str:
        """By the picture's content, and the take."""
        picture, take = divmod(number, self._takes)
        return f"{_EDITION} {self._pictures[picture][1]} {take}"

    def file(self, number: int) -> None:
        """See `Source`: the motion is in no file."""
        assert 0 <= number < len(self), number

    def frames(self, number: int, sampling: SamplingConfig, span: Span | None = None) -> Frames:
        """See `Source`."""
        from PIL import Image

        if span is not None and span.start_s >= DURATION_S:
            raise MediaError(
                "no_frames",
                f"{self.name} {number} ends at {DURATION_S} s: begin before, not at {span}",
            )
        picture, take = divmod(number, self._takes)
        read = read_picture(file_of(self._folder, picture), side_px=None, max_pixels=4096 * 4096)
        image = Image.fromarray(read.rgb_FHWC[0])
        side = _side_px(sampling)
        times_F = _times(sampling, span)
        if take == 0:  # the same again would say no more
            times_F = times_F[[len(times_F) // 2]]
        shown = []
        for time_s in times_F:
            box = tuple(self.view(number, float(time_s)) * [*image.size, *image.size])
            shown.append(np.asarray(image.resize((side, side), Image.Resampling.BICUBIC, box=box)))
        return Frames(np.stack(shown), times_F)

    def view(self, number: int, time_s: float) -> Float64:
        """What the camera sees: left, top, right, bottom as shares of the picture."""
        picture, take = divmod(number, self._takes)
        if take == 0:
            return np.array([0.0, 0.0, 1.0, 1.0])
        seed = hashlib.sha256(f"{self._pictures[picture][1]} {take}".encode()).digest()
        random = np.random.default_rng(list(seed))
        size_2 = random.uniform(_LEAST_VIEW, 1.0, 2)
        corner_22 = random.uniform(0.0, 1.0 - size_2[:, None], (2, 2))  # where it begins and ends
        boxes_24 = np.concatenate([corner_22, corner_22 + size_2[:, None]], axis=1)
        share = time_s / DURATION_S
        seen_4: Float64 = (1 - share) * boxes_24[0] + share * boxes_24[1]
        return seen_4.clip(0.0, 1.0)


def _times(sampling: SamplingConfig, span: Span | None) -> Float64:
    """Instants of the sampling grid, as a `GeneratedSource` takes them."""
    grid = takewhile(lambda time_s: time_s < DURATION_S, grid_times(sampling, DURATION_S))
    times_F = np.fromiter(grid, np.float64)
    if not len(times_F):  # slower than the video is long
        times_F = np.array([DURATION_S / 2])
    inside = range(len(times_F)) if span is None else frames_in(span, times_F)
    most = sampling.clip_frames
    chosen = spread(tuple(inside[n] for n in whole_reserve(len(inside), most)), most)
    return times_F[list(chosen)]


def _side_px(sampling: SamplingConfig) -> int:
    """Square, as most pictures are not: so are frames of a video for a square sampling."""
    if sampling.side_px is not None:
        return sampling.side_px
    assert sampling.max_pixels is not None
    return max(16, min(_SIDE_PX, math.isqrt(sampling.max_pixels)))
