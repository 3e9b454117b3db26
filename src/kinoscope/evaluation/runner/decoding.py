"""Documents of a benchmark's films, decoded by worker processes where they can be bounded."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path

from kinoscope.clips import read_clip
from kinoscope.errors import MediaError
from kinoscope.evaluation.tasks.protocol import Film, turned
from kinoscope.sampling import SamplingConfig
from kinoscope.training.sources.decoding import Failure, decoded
from kinoscope.types import Frames, Span
from kinoscope.video import is_picture_name

Read = tuple[int, Path | Frames | MediaError]
"""Number of a film, and what an embedder encodes, or why there is nothing."""


def documents(films: Sequence[Film], sampling: SamplingConfig, workers: int) -> Iterator[Read]:
    """Each film once, in the order in which they get ready.

    Pictures are read by the embedder, and so are videos without `workers`, or where a clip has any
    number of frames: those are seen while they stream in, in bounded memory.
    """
    pooled = [
        number
        for number, film in enumerate(films)
        if workers and sampling.clip_frames is not None and not is_picture_name(film.path.name)
    ]
    others = sorted(set(range(len(films))) - set(pooled))
    for number in others:
        yield number, _here(films[number], sampling)
    paths = _Paths([films[number].path for number in pooled])
    wanted: list[tuple[int, Span | None]] = [(place, None) for place in range(len(pooled))]
    with closing(decoded(paths, wanted, sampling, max(1, workers))) as results:
        for (place, _), found in results:
            number = pooled[place]
            if isinstance(found, Failure):
                yield number, MediaError(found.fault, found.message)
            else:
                yield number, turned(found) if films[number].backwards else found


def _here(film: Film, sampling: SamplingConfig) -> Path | Frames | MediaError:
    try:
        return film.document(sampling)
    except MediaError as error:
        return error


@dataclass(frozen=True)
class _Paths:
    """Files by number, for `decoded`."""

    paths: Sequence[Path]

    def file(self, number: int) -> AbstractContextManager[Path] | None:
        """Where it lies."""
        return nullcontext(self.paths[number])

    def frames(self, number: int, sampling: SamplingConfig, span: Span | None = None) -> Frames:
        """Those that an embedder reads."""
        return read_clip(self.paths[number], sampling, span)
