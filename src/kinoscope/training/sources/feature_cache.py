"""Vision features that are computed once: by the pixels, the vision tower and the sampling."""

import hashlib
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Protocol

import numpy as np

from kinoscope.errors import KinoscopeError, MediaError, UsageError
from kinoscope.runtime import usable_cores
from kinoscope.sampling import SamplingConfig
from kinoscope.training.sources.decoding import Failure, Wanted, decoded
from kinoscope.training.sources.entries import Entries, Full, write_note
from kinoscope.training.sources.protocol import Example, Source
from kinoscope.types import Features, Frames, Span

_VISION_FRAMES = 32
"""Frames that the vision tower sees at once."""
_EDITION = "features-1"
_MAX_BYTES = 20 * 2**30

Progress = Callable[[int, int], None]
"""Told how many items are done, of how many."""


class Sees(Protocol):
    """The part of a backbone that looks at frames, each alone."""

    @property
    def weights(self) -> str:
        """Hash of all its weights."""

    def vision(self, frames: Frames) -> Features:
        """A row a frame."""


class FeatureCache:
    """Features of sources' videos, kept in a folder that several processes may share.

    An item is known by `Source.identity`: a caption that is corrected keeps its video's features, a
    video that is replaced gets new ones. Raw pixels are not kept: they are larger than the video.

    Attributes:
        failures: why videos, or spans of them, gave no features, by source and key; files that
            are there are not tried again.
    """

    def __init__(
        self,
        folder: Path,
        backbone: Sees,
        sampling: SamplingConfig,
        *,
        tower: str | None = None,
        max_bytes: int = _MAX_BYTES,
    ) -> None:
        """Nothing is written yet.

        Args:
            folder: for the features of any backbones: each has a folder of its own in it.
            backbone: computes features.
            sampling: which frames of a video are seen.
            tower: hash of what the features depend on, where that is less than all of the
                backbone's weights: features then outlive the training of the rest.
            max_bytes: bound of what is kept of this backbone and sampling.
        """
        if max_bytes < 1:
            raise UsageError(f"max_bytes {max_bytes}: give 1 or more")
        self._about = {
            "edition": _EDITION,
            "weights": tower or backbone.weights,
            "sampling": sampling.describe(),
        }
        digest = hashlib.sha256(repr(sorted(self._about.items())).encode()).hexdigest()[:16]
        self.folder = folder / digest
        self.failures: dict[tuple[str, str], str] = {}
        self._backbone, self._sampling, self._most_bytes = backbone, sampling, max_bytes
        self._entries = Entries(self.folder, max_bytes)
        self._faults: dict[str, MediaError] = {}
        self._writes = True

    @property
    def damaged(self) -> int:
        """Entries that were not as written, and were computed anew when asked for."""
        return self._entries.damaged

    @property
    def size_bytes(self) -> int:
        """Of all entries."""
        return self._entries.size_bytes

    @property
    def sampling(self) -> SamplingConfig:
        """Which frames are seen."""
        return self._sampling

    def features(self, source: Source, number: int, span: Span | None = None) -> Features:
        """Of a video or a span of it, read or computed: the same either way.

        Raises `MediaError` for a video without frames. When the disk is full it warns once, and
        computes from then on.
        """
        try:
            item = _item(source, number, span)
            if item in self._faults:
                raise self._faults[item]
            found = self._read(item)
            if found is not None:
                return found
            frames = source.frames(number, self._sampling, span)
        except MediaError as error:
            raise self._failed(source, number, span, error) from error
        found = self._seen(frames, f"{source.name} {number}")
        self._offer(item, found)
        return found

    def warm(
        self,
        source: Source,
        *,
        items: Iterable[Wanted] | None = None,
        workers: int | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Computes what is missing, worker processes decoding; how many were kept.

        Args:
            source: whose videos.
            items: (number, span) of each, all whole videos by default.
            workers: processes; by default as many as there are cores.
            progress: is told after each item.

        Videos that fail are in `failures`. Returns at once for a backbone whose features are raw
        pixels. Raises `KinoscopeError` when the disk or the bound is full; what is kept stays.
        """
        count = usable_cores() if workers is None else workers
        if count < 1:
            raise UsageError(f"{workers} workers: choose 1 or more")
        wanted = list(items) if items is not None else [(n, None) for n in range(len(source))]
        missing = self._missing(source, wanted)
        done, kept = len(wanted) - len(missing), 0
        tell = progress or (lambda _done, _total: None)
        tell(done, len(wanted))
        with closing(decoded(source, missing, self._sampling, count)) as results:
            for (number, span), result in results:
                if isinstance(result, Failure):
                    self._failed(source, number, span, MediaError(result.fault, result.message))
                else:
                    found = self._seen(result, f"{source.name} {number}")
                    if _are_pixels(found):
                        return 0
                    self._put(_item(source, number, span), found)
                    kept += 1
                done += 1
                tell(done, len(wanted))
        self._entries.flush()
        return kept

    def _missing(self, source: Source, wanted: Sequence[Wanted]) -> list[Wanted]:
        missing = []
        for number, span in wanted:
            try:
                item = _item(source, number, span)
            except MediaError as error:
                self._failed(source, number, span, error)
                continue
            if item not in self._faults and item not in self._entries:
                missing.append((number, span))
        return missing

    def _seen(self, frames: Frames, what: str) -> Features:
        parts = [
            self._backbone.vision(
                frames.take(range(first, min(first + _VISION_FRAMES, len(frames))))
            )
            for first in range(0, len(frames), _VISION_FRAMES)
        ]
        found = Features.concatenate(parts)
        if found.values_F.dtype.kind == "f" and not np.isfinite(found.values_F).all():
            raise UsageError(f"features of {what} are not finite: load the model in another dtype")
        return found

    def _read(self, item: str) -> Features | None:
        try:
            return self._entries.get(item)
        except OSError as error:
            self._give_up(f"cannot be read ({error.strerror})")
            return None

    def _offer(self, item: str, found: Features) -> None:
        """Keeps features if there is room; a training run does without."""
        if self._writes and not _are_pixels(found):
            try:
                self._put(item, found)
            except KinoscopeError as error:
                self._give_up(str(error))

    def _put(self, item: str, found: Features) -> None:
        try:
            if not (self.folder / "about.json").exists():
                write_note(self.folder, self._about)
            self._entries.put(item, found)
        except Full:
            raise KinoscopeError(
                f"the features in {self.folder} have {self.size_bytes} of at most"
                f" {self._most_bytes} bytes: raise max_bytes, or delete what is no longer needed"
            ) from None
        except OSError as error:
            raise KinoscopeError(
                f"cannot keep features in {self.folder} ({error.strerror}): free or unlock the disk"
            ) from error

    def _give_up(self, reason: str) -> None:
        if self._writes:
            self._writes = False
            warnings.warn(f"{reason}; going on without keeping features", stacklevel=4)

    def _failed(
        self, source: Source, number: int, span: Span | None, error: MediaError
    ) -> MediaError:
        """Remembers a failure, under its identity if there is one."""
        where = source.key(number) if span is None else f"{source.key(number)} {span}"
        self.failures[source.name, where] = str(error)
        with suppress(MediaError):  # a missing file has no identity: it is looked for each time
            self._faults[_item(source, number, span)] = error
        return error


class Library:
    """Examples with their features: the videos of a source that give some."""

    def __init__(self, source: Source, cache: FeatureCache, numbers: Sequence[int] | None = None):
        """`numbers` are those of the source to use, by default all."""
        self._source, self._cache = source, cache
        self._numbers = tuple(range(len(source)) if numbers is None else numbers)
        if not self._numbers:
            raise UsageError(f"no video of {source.name} gives frames: see its cache's failures")

    def __len__(self) -> int:
        return len(self._numbers)

    def example(self, number: int) -> Example:
        """What is known of it."""
        return self._source.example(self._numbers[number])

    def features(self, number: int) -> Features:
        """Of the whole video; raises `MediaError` if its file is gone or broken."""
        return self._cache.features(self._source, self._numbers[number])

    def describe(self) -> str:
        """Source, annotations, choice of videos, and which frames are seen."""
        chosen = hashlib.sha256(repr(self._numbers).encode()).hexdigest()[:16]
        source, seen = self._source, self._cache.sampling.describe()
        return f"{source.name} {source.fingerprint} {len(self)} of {len(source)} ({chosen}) {seen}"


def warmed(
    source: Source,
    cache: FeatureCache,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Library:
    """Fills the cache; the library of the videos that did not fail. `cache.failures` has others.

    A backbone whose features are raw pixels leaves its videos untried: all are in the library.
    """
    cache.warm(source, workers=workers, progress=progress)
    good = [
        number
        for number in range(len(source))
        if (source.name, source.key(number)) not in cache.failures
    ]
    return Library(source, cache, good)


def _item(source: Source, number: int, span: Span | None) -> str:
    told = f"{source.identity(number)}|{span!r}"
    return hashlib.sha256(told.encode(errors="surrogateescape")).hexdigest()


def _are_pixels(features: Features) -> bool:
    values_F = features.values_F
    return values_F.dtype == np.uint8 and values_F.ndim == 4 and values_F.shape[-1] == 3
