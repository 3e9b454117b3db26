"""Videos of the generated world as an embedder is measured on them: texts, truth and features."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from kinoscope.backbones.protocol import Backbone
from kinoscope.evaluation.world.vectors import embed_clips
from kinoscope.training.sources import Example, FeatureCache, GeneratedSource
from kinoscope.training.world import Scene
from kinoscope.types import Features


class WorldVideos:
    """The first videos of a source, each with what a vision tower sees in it."""

    def __init__(
        self, source: GeneratedSource, clip: Callable[[int], Features], count: int | None = None
    ) -> None:
        """`clip` gives the features of a video; `count` is at most that of the source."""
        self.source, self.clip = source, clip
        self._count = len(source) if count is None else min(count, len(source))

    @classmethod
    def of(
        cls, source: GeneratedSource, cache: FeatureCache, count: int | None = None
    ) -> "WorldVideos":
        """With features that are kept once they were computed."""
        return cls(source, lambda number: cache.features(source, number), count)

    def __len__(self) -> int:
        return self._count

    def first(self, count: int) -> "WorldVideos":
        """At most so many of these videos."""
        return WorldVideos(self.source, self.clip, min(count, len(self)))

    @property
    def keys(self) -> list[str]:
        """Names of the videos."""
        return [self.source.key(number) for number in range(len(self))]

    def examples(self) -> Iterator[Example]:
        """Texts of each video."""
        return (self.source.example(number) for number in range(len(self)))

    def scenes(self) -> Iterator[Scene]:
        """Truth of each video."""
        return (self.source.scene(number) for number in range(len(self)))

    def clips(self, numbers: Iterable[int] | None = None) -> Iterator[Features]:
        """Features of all videos, or of some."""
        return (self.clip(n) for n in (range(len(self)) if numbers is None else numbers))

    def duration_s(self, number: int) -> float:
        """Length of a video."""
        duration_s = self.source.example(number).duration_s
        assert duration_s is not None, "the world's videos have a length"
        return duration_s


def with_frame_vectors(backbone: Backbone, videos: WorldVideos) -> WorldVideos:
    """The videos with a unit vector for each frame, embedded alone as a clip of one frame."""
    counts = [len(clip) for clip in videos.clips()]
    frames = (clip.take([k]) for clip in videos.clips() for k in range(len(clip)))
    parts = np.split(embed_clips(backbone, frames), np.cumsum(counts)[:-1])

    def clip(number: int) -> Features:
        return Features(parts[number], videos.clip(number).times_F)

    return WorldVideos(videos.source, clip, len(videos))
