"""A checked document's frames as a model sees them: of a film, a piece of it or a picture."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kinoscope.clips import Cut, around
from kinoscope.documents import Excerpt, Request, Source
from kinoscope.errors import UsageError
from kinoscope.sampling import SamplingConfig, grid_times
from kinoscope.types import Content, Features, Frames, Role
from kinoscope.video import VideoReader, read_picture

_ROUNDED_S = 0.1  # as times are printed: a span that was copied may end so much late


@dataclass(frozen=True, kw_only=True)
class DocumentReader:
    """Reads documents by a sampling; `vision` is what the model sees in frames alone."""

    sampling: SamplingConfig
    vision: Callable[[Frames], Features]

    def content(self, item: Request, role: Role) -> Content:
        """A checked document with its frames read: for a video those of the whole.

        Raises `MediaError` for a file without frames, `UsageError` for a piece behind its end.
        """
        clip = None
        if item.image is not None:
            clip = self.vision(self._picture(item.image))
        elif item.video is not None:
            clip = self._clip(item.video)
        return Content(text=item.text, clip=clip, still=item.image is not None, role=role)

    def feed(self, add: Callable[[Features], None], video: Source) -> float:
        """Gives the features of a video, by pieces, to `add`; returns where it ends in seconds.

        Of an excerpt only frames that may belong to it, and one behind.
        """
        if isinstance(video, Frames):
            if not len(video):
                raise UsageError("no frames: give at least one")
            add(self.vision(video))
            return _end_s(video, self.sampling.fps)
        source = video.path if isinstance(video, Excerpt) else video
        path = source if isinstance(source, Path) else Path(source)
        with VideoReader(
            path,
            policy=self.sampling.policy,
            side_px=self.sampling.side_px,
            max_pixels=self.sampling.max_pixels,
        ) as reader:
            times_s = grid_times(self.sampling, reader.info.declared_duration_s)
            wanted = around(times_s, video.span) if isinstance(video, Excerpt) else times_s
            for frames in reader.sample(wanted):
                add(self.vision(frames))
            return reader.report.end_s

    def _clip(self, video: Source) -> Features:
        """What the whole is read by; of an excerpt the same frames as of a window there."""
        span = video.span if isinstance(video, Excerpt) else None
        cut = Cut(self.sampling, span)
        end_s = self.feed(cut.add_features, video)
        if span and (span.start_s >= end_s or span.end_s > end_s + _ROUNDED_S):
            raise UsageError(f"{video}: the video ends at {end_s:.2f} s, choose a piece inside it")
        return cut.features(end_s, str(video))

    def _picture(self, image: Source) -> Frames:
        if isinstance(image, Frames):
            return image
        assert not isinstance(image, Excerpt), "checked by `as_request`"
        return read_picture(Path(image), self.sampling.side_px, self.sampling.max_pixels)


def _end_s(frames: Frames, fps: float) -> float:
    """End of frames without a file: the last one stays on as long as frames do on average."""
    first_s, last_s = float(frames.times_F[0]), float(frames.times_F[-1])
    return last_s + ((last_s - first_s) / (len(frames) - 1) if len(frames) > 1 else 1 / fps)
