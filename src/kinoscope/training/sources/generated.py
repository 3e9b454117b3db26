"""The generated world as a source: scenes by seed, rendered at the instants that are wanted."""

import hashlib
import math
from functools import lru_cache
from itertools import takewhile

import numpy as np

from kinoscope.errors import MediaError, UsageError
from kinoscope.sampling import SamplingConfig, frames_in, grid_times, spread, whole_reserve
from kinoscope.training.sources.problems import Problems
from kinoscope.training.sources.protocol import Edit, Example, Mismatch, Moment, Question
from kinoscope.training.world import Scene, WorldConfig, sample
from kinoscope.training.world.detail import detailed_caption
from kinoscope.training.world.records import Record, describe_scene
from kinoscope.training.world.render import SIDE_PX, render
from kinoscope.training.world.splits import VERSION
from kinoscope.training.world.wordings import EDITION
from kinoscope.types import Frames, Span

_DETAILS = 3


class GeneratedSource:
    """A `Source` of the scenes `first_seed` .. `first_seed + count - 1` of a split.

    Frames are rendered at the sampled instants themselves: no file is written, and no compression
    beyond the scene's own lies between.
    """

    def __init__(
        self,
        split: str,
        count: int,
        *,
        first_seed: int = 0,
        config: WorldConfig | None = None,
        wordings: int = 20,
    ) -> None:
        """`wordings` captions a video. Raises `UsageError` as `sample` does, or for no videos."""
        if count < 1 or wordings < 1:
            raise UsageError(f"{count} videos with {wordings} captions: choose 1 or more")
        self._split, self._count, self._first = split, count, first_seed
        self._config, self._wordings = config or WorldConfig(), wordings
        sample(split, first_seed, self._config)  # complains now rather than in a worker
        self.problems = Problems(self.name)

    def __len__(self) -> int:
        return self._count

    @property
    def name(self) -> str:
        """`world train 0..999`."""
        return f"world {self._split} {self._first}..{self._first + self._count - 1}"

    @property
    def overlaps(self) -> tuple[str, ...]:
        """No benchmark has its videos; what is not for training overlaps with its own test."""
        return () if self._split == "train" else (f"world {self._split}",)

    @property
    def fingerprint(self) -> str:
        """Of the editions of scenes and texts, split, seeds and configuration."""
        told = f"{VERSION}|{EDITION}|{self.name}|{self._config}|{self._wordings}"
        return hashlib.sha256(told.encode()).hexdigest()

    def scene(self, number: int) -> Scene:
        """All that is true of a video."""
        if not 0 <= number < self._count:
            raise UsageError(f"video {number} of {self.name}: choose 0..{self._count - 1}")
        return sample(self._split, self._first + number, self._config)

    def example(self, number: int) -> Example:
        """See `Source`; the first time it takes some 5 ms."""
        assert 0 <= number < self._count, number
        return _known(self._split, self._first + number, self._config, self._wordings)

    def key(self, number: int) -> str:
        """See `Source`."""
        return self._name_of(number)

    def number_of(self, key: str) -> int:
        """See `Source`."""
        seed = key.rpartition("-")[2]
        number = int(seed) - self._first if seed.isascii() and seed.isdigit() else -1
        if not 0 <= number < self._count or self._name_of(number) != key:
            raise UsageError(f"{self.name} has no video {key!r}: give one of its keys")
        return number

    def identity(self, number: int) -> str:
        """By edition of the scenes, seed and configuration: other texts leave frames alone."""
        return f"{VERSION} {self._name_of(number)} {self._config}"

    def file(self, number: int) -> None:
        """See `Source`: there is none."""
        assert 0 <= number < self._count, number

    def frames(self, number: int, sampling: SamplingConfig, span: Span | None = None) -> Frames:
        """See `Source`."""
        scene = self.scene(number)
        end_s = scene.duration_s
        if span is not None and span.start_s >= end_s:
            raise MediaError(
                "no_frames", f"{self.name} {number} ends at {end_s} s: begin before, not at {span}"
            )
        grid = takewhile(lambda time_s: time_s < end_s, grid_times(sampling, end_s))
        times_F = np.fromiter(grid, np.float64)
        if not len(times_F):  # slower than the video is long
            times_F = np.array([end_s / 2])
        inside = range(len(times_F)) if span is None else frames_in(span, times_F)
        most = sampling.clip_frames
        chosen = spread(tuple(inside[n] for n in whole_reserve(len(inside), most)), most)
        return render(scene, times_F[list(chosen)], _size(sampling))

    def _name_of(self, number: int) -> str:
        return f"{self._split}-{self._first + number:06d}"


def _size(sampling: SamplingConfig) -> tuple[int, int]:
    """Square, as the world is; pictures are never scaled up to more pixels than they have."""
    side = sampling.side_px
    if side is None:
        assert sampling.max_pixels is not None
        side = min(SIDE_PX, math.isqrt(sampling.max_pixels))
    return max(16, side), max(16, side)


@lru_cache(maxsize=20_000)
def _known(split: str, seed: int, config: WorldConfig, wordings: int) -> Example:
    """Kept, for a run asks for each several times an epoch."""
    scene = sample(split, seed, config)
    return _example(describe_scene(scene, wordings=wordings), _details(scene))


def _details(scene: Scene) -> tuple[str, ...]:
    return tuple(dict.fromkeys(detailed_caption(scene, number) for number in range(_DETAILS)))


def _example(record: Record, details: tuple[str, ...]) -> Example:
    wrong = [Mismatch(m.wrong, m.true, m.kind) for m in record.mismatches]
    true, backward = record.captions[0], record.reversed_captions[0]
    if record.chiral and true != backward:
        wrong.append(Mismatch(backward, true, "reversal"))
    return Example(
        key=record.id,
        captions=record.captions,
        details=details,
        questions=tuple(Question(q.question, q.answer, q.options) for q in record.questions),
        moments=tuple(Moment(m.text, m.span) for m in record.moments),
        mismatches=tuple(wrong),
        edits=tuple(
            Edit(text=edit.text, before=edit.source, after=edit.target) for edit in record.edits
        ),
        backward=record.reversed_captions if record.chiral else (),
        duration_s=float(record.complexity["duration_s"]),
    )
