"""The frames of a video, or of a span of it, that an embedder would read: bounded in number."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from kinoscope.errors import MediaError
from kinoscope.sampling import SamplingConfig, grid_times
from kinoscope.streaming import ClipStream
from kinoscope.types import Embedded, Features, Frames, Span
from kinoscope.video import VideoReader


class Cut:
    """Gathers the frames of a clip while a film goes by, in bounded memory.

    They are the embedder's of the whole video, or of a window at the span: frames of the grid that
    are in it, or the one on screen when it starts, or the first of all. Where over
    `8 * clip_frames` are in it, only an even choice are candidates, as of a whole video.
    """

    def __init__(self, sampling: SamplingConfig, span: Span | None = None) -> None:
        self._stream = ClipStream(replace(sampling, windows=()), _no_vectors)
        self._span, self._count = span, 0
        self._before: Features | None = None

    def add(self, frames: Frames) -> None:
        """Takes the next frames of the film."""
        self.add_features(Features(frames.rgb_FHWC, frames.times_F))

    def add_features(self, features: Features) -> None:
        """Takes what a model sees in the next frames of the film, in place of the frames."""
        if self._span is not None:
            edges = [self._span.start_s, self._span.end_s]
            first, behind = features.times_F.searchsorted(edges, side="left")
            if not self._count and (first or self._before is None):
                self._before = features.take([max(0, int(first) - 1)])
            features = features.take(range(int(first), int(behind)))
        if len(features):
            self._count += len(features)
            self._stream.add(features)

    def frames(self, path: Path, end_s: float) -> Frames:
        """The frames, where frames were added; see `features`."""
        chosen = self.features(end_s, str(path))
        return Frames(chosen.values_F, chosen.times_F)  # type: ignore[arg-type]

    def features(self, end_s: float, name: str) -> Features:
        """All of the film of that name having been added, which ends at `end_s`.

        Raises `MediaError` for a span behind the end.
        """
        if self._span is not None and self._span.start_s >= end_s:
            raise MediaError(
                "no_frames",
                f"{name} ends at {end_s:.3f} s, before the span [{self._span.start_s},"
                f" {self._span.end_s}): choose one inside it",
            )
        if not self._count:
            assert self._before is not None, f"{name} gave no frame at all"
            return self._before
        return self._stream.whole()


def read_clip(path: Path, sampling: SamplingConfig, span: Span | None = None) -> Frames:
    """Decodes a file as far as needed; raises `MediaError` as `VideoReader` and `Cut` do."""
    cut = Cut(sampling, span)
    with VideoReader(
        path,
        policy=sampling.policy,
        side_px=sampling.side_px,
        max_pixels=sampling.max_pixels,
    ) as reader:
        times_s = grid_times(sampling, reader.info.declared_duration_s)
        for frames in reader.sample(times_s if span is None else around(times_s, span)):
            cut.add(frames)
        return cut.frames(path, reader.report.end_s)


def around(times_s: Iterable[float], span: Span) -> Iterator[float]:
    """Instants of an endless grid that can show frames of a span: one before it, one behind it."""
    before_s: float | None = None
    for time_s in times_s:
        if time_s < span.start_s:
            before_s = time_s
            continue
        if before_s is not None:
            yield before_s
            before_s = None
        yield time_s
        if time_s >= span.end_s:
            return


def _no_vectors(_clips: Sequence[Features]) -> Embedded:
    raise AssertionError("no clip is embedded here")
