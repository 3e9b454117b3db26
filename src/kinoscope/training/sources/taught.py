"""A source of videos without captions, of which a teacher says which sentences are near.

The teacher is a backbone with vectors for videos and texts, such as `concepts`. What all of its
videos have in common is taken off them, likewise of its texts: only differences teach.
"""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from tokenize import TokenError

import numpy as np

from kinoscope.backbones.protocol import Backbone
from kinoscope.errors import UsageError
from kinoscope.heads import HEADS, normalise
from kinoscope.packages import cache_folder
from kinoscope.sampling import SamplingConfig
from kinoscope.training.sources.feature_cache import FeatureCache, warmed
from kinoscope.training.sources.problems import Problems
from kinoscope.training.sources.protocol import Example, Judged, Source
from kinoscope.types import Content, Float32, Frames, Int64, Span

NEAREST = 20
_BLOCK = 512
"""Videos that are compared with all sentences at once."""


class TaughtSource:
    """A `Source` with the videos of another, and what a teacher says of each: `Example.judged`."""

    def __init__(
        self,
        source: Source,
        texts: Sequence[str],
        numbers: Sequence[int],
        videos_ND: Float32,
        texts_MD: Float32,
        *,
        nearest: int = NEAREST,
    ) -> None:
        """`numbers` are the videos of `source` that have a row in `videos_ND`; rows are unit.

        Of each video the `nearest` sentences are kept, or all where there are not so many.
        """
        assert len(numbers) == len(videos_ND) and len(texts) == len(texts_MD)
        if nearest < 1 or not texts:
            raise UsageError(f"nearest {nearest} of {len(texts)} sentences: give 1 or more of both")
        self._source, self._texts = source, tuple(texts)
        self._rows = {number: row for row, number in enumerate(numbers)}
        self._videos_ND, self._texts_MD = centred(videos_ND), centred(texts_MD)
        self._nearest = nearest

    def __len__(self) -> int:
        return len(self._source)

    @property
    def name(self) -> str:
        """The videos', for the teacher adds none."""
        return self._source.name

    @property
    def overlaps(self) -> Sequence[str]:
        """Of the videos."""
        return self._source.overlaps

    @property
    def fingerprint(self) -> str:
        """Of the videos, the sentences, and what the teacher says."""
        digest = hashlib.sha256(f"{self._source.fingerprint}|{self._nearest}".encode())
        digest.update("\n".join(self._texts).encode())
        for vectors_ND in (self._videos_ND, self._texts_MD):
            digest.update(np.round(vectors_ND, 3).tobytes())  # noise of a machine is no difference
        return digest.hexdigest()

    @property
    def problems(self) -> Problems:
        """Of the videos."""
        return self._source.problems

    def example(self, number: int) -> Example:
        """See `Source`; a video that gave the teacher no frames is not judged."""
        known = self._source.example(number)
        row = self._rows.get(number)
        if row is None:
            return known
        near_K = self._near_NK[row]
        judged = Judged(
            video_D=self._videos_ND[row],
            texts=tuple(self._texts[text] for text in near_K),
            texts_KD=self._texts_MD[near_K],
        )
        return replace(known, judged=judged)

    def key(self, number: int) -> str:
        """See `Source`."""
        return self._source.key(number)

    def number_of(self, key: str) -> int:
        """See `Source`."""
        return self._source.number_of(key)

    def identity(self, number: int) -> str:
        """Of the video: features do not depend on the teacher."""
        return self._source.identity(number)

    def file(self, number: int) -> AbstractContextManager[Path] | None:
        """See `Source`."""
        return self._source.file(number)

    def frames(self, number: int, sampling: SamplingConfig, span: Span | None = None) -> Frames:
        """See `Source`."""
        return self._source.frames(number, sampling, span)

    @cached_property
    def _near_NK(self) -> Int64:
        """Places of the sentences that are most like each video, best first."""
        blocks = [
            np.argsort(-(self._videos_ND[first : first + _BLOCK] @ self._texts_MD.T), axis=1)
            for first in range(0, len(self._videos_ND), _BLOCK)
        ]
        return np.concatenate([block_BM[:, : self._nearest] for block_BM in blocks])


def taught(
    source: Source,
    texts: Sequence[str],
    teacher: Backbone,
    sampling: SamplingConfig,
    *,
    folder: Path | None = None,
    tell: Callable[[str], None] = lambda _line: None,
) -> TaughtSource:
    """Asks the teacher about all videos and texts; what it said before is kept.

    Args:
        source: the videos.
        texts: sentences, each once.
        teacher: a backbone whose vectors of videos and of texts are comparable.
        sampling: frames that the teacher sees; those of the student, so that both see the same.
        folder: where vectors are kept, a folder of the cache by default.
        tell: is told what takes time.
    """
    place = folder or cache_folder() / "taught"
    tower = f"{teacher.weights} {teacher.prompts}"
    cache = FeatureCache(place / "videos", teacher, sampling, tower=tower)
    tell(f"the teacher looks at {len(source)} videos of {source.name}")
    library = warmed(source, cache)
    numbers = [n for n in range(len(source)) if (source.name, source.key(n)) not in cache.failures]
    tell(f"the teacher reads {len(texts)} sentences")
    return TaughtSource(
        source,
        texts,
        numbers,
        vectors(teacher, [Content(clip=library.features(n)) for n in range(len(library))]),
        _text_vectors(teacher, texts, place),
    )


def vectors(backbone: Backbone, contents: Sequence[Content]) -> Float32:
    """Unit vectors of contents [N, D], as the backbone's `Embedder` makes them."""
    head = HEADS[backbone.head.split()[0]]
    found_ND = np.full((len(contents), backbone.dimension), np.nan, np.float32)
    for rows, states in backbone.states(contents):
        found_ND[rows] = head(states)
    assert np.isfinite(found_ND).all(), "a content without a vector"
    return found_ND


def centred(vectors_ND: Float32) -> Float32:
    """Unit rows of what distinguishes each from the mean; `UsageError` if nothing does."""
    rest_ND = vectors_ND - vectors_ND.mean(axis=0, dtype=np.float64)
    if not (np.linalg.norm(rest_ND, axis=1) > 1e-6).all():
        raise UsageError(f"of {len(vectors_ND)} vectors one is their mean: give more that differ")
    return normalise(rest_ND)


def _text_vectors(teacher: Backbone, texts: Sequence[str], folder: Path) -> Float32:
    told = "\n".join([teacher.weights, teacher.prompts, *texts])
    path = folder / "texts" / f"{hashlib.sha256(told.encode()).hexdigest()[:32]}.npy"
    if path.is_file():
        try:
            kept_MD = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError, TokenError):
            kept_MD = np.empty((0, 0), np.float32)
        if kept_MD.shape == (len(texts), teacher.dimension) and np.isfinite(kept_MD).all():
            return np.asarray(kept_MD, np.float32)
    found_MD = vectors(teacher, [Content(text=text) for text in texts])
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{hashlib.sha256(found_MD.tobytes()).hexdigest()[:8]}.npy")
    np.save(partial, found_MD, allow_pickle=False)
    partial.replace(path)
    return found_MD
