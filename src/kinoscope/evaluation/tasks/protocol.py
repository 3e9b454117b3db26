"""What tasks share: the files of a benchmark, its films, what a result says."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, get_args, runtime_checkable

import numpy as np

from kinoscope.clips import read_clip
from kinoscope.documents import Document
from kinoscope.errors import MediaError, UsageError
from kinoscope.evaluation.metrics import PerQuery
from kinoscope.evaluation.results import Metric
from kinoscope.evaluation.tasks.rankings import Rankings
from kinoscope.sampling import SamplingConfig
from kinoscope.types import ClipEmbeddings, Float32, Frames


class Model(Protocol):
    """What tasks ask of an `Embedder`; only questions ask for answers."""

    @property
    def sampling(self) -> SamplingConfig:
        """How it reads videos."""

    def encode_query(self, inputs: Sequence[Document]) -> Float32:
        """Unit vectors [N, D] of texts, or of videos with an edit."""

    def encode_document(self, inputs: Sequence[Document]) -> Float32:
        """Unit vectors [N, D] of videos or pictures; `MediaError` for one without frames."""

    def encode_video(self, video: Path) -> ClipEmbeddings:
        """Vectors of a video's windows; `MediaError` for a file without frames."""

    def answer(self, video: Path, question: str, *, options: Sequence[str] = ()) -> str:
        """The likeliest option, or the model's own words; `UsageError` if it has none."""


@dataclass(frozen=True)
class Film:
    """A video of a benchmark, or a picture: its id, its file, and which way round it plays."""

    id: str
    path: Path
    backwards: bool = False

    def document(self, sampling: SamplingConfig) -> Path | Frames:
        """What an embedder encodes; `MediaError` for a file without frames."""
        return turned(read_clip(self.path, sampling)) if self.backwards else self.path


def turned(frames: Frames) -> Frames:
    """The same frames in reverse: at 1, 2 and 4 s -> at 1, 3 and 4 s."""
    ends_s = frames.times_F[0] + frames.times_F[-1]
    return Frames(
        np.ascontiguousarray(frames.rgb_FHWC[::-1]),
        np.ascontiguousarray(ends_s - frames.times_F[::-1]),
    )


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """What a figure is not about.

    Attributes:
        rows: annotations that could not be used, counted by why (`sources/problems.py`).
        examples: the first of them, in words.
        absent: videos that annotations name and the folder has not, with what was looked for.
        failed: videos that gave no frames, with the reason.
        queries: how many queries had no answer left because of absent or failed videos.
    """

    rows: Mapping[str, int] = field(default_factory=dict)
    examples: Sequence[str] = ()
    absent: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    queries: int = 0

    def __bool__(self) -> bool:
        return bool(self.rows or self.absent or self.failed or self.queries)


@dataclass(frozen=True, kw_only=True)
class TaskResult:
    """Values by query, from which means, intervals and tests come; figures that are no mean.

    `protocol` says in plain JSON what was asked: galleries, rules of several captions, chance,
    ceilings, counts. `rankings` has the lists behind the values, by the beginning of their names.
    """

    values: Mapping[str, PerQuery]
    figures: Mapping[str, Metric] = field(default_factory=dict)
    protocol: Mapping[str, object] = field(default_factory=dict)
    left_out: LeftOut = LeftOut()
    rankings: Mapping[str, Rankings] = field(default_factory=dict)

    @property
    def metrics(self) -> dict[str, Metric]:
        """All of them with their 95 % intervals."""
        return {**{name: each.metric for name, each in self.values.items()}, **self.figures}


@runtime_checkable
class FilmModel(Protocol):
    """A `Model` that takes many films at once, such as one that keeps what it said before."""

    def encode_films(
        self, films: Sequence[Film], edits: Sequence[str] | None = None
    ) -> list[Float32 | MediaError]:
        """Unit vectors [D] of films as documents, or as queries with an edit each.

        In the place of a film that gave no frames is the reason.
        """


Part = Literal["test", "validation"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a benchmark is asked where that is not its own choice.

    Attributes:
        limit: only the first so many videos that its files name; None for all.
        dual_softmax: scores in galleries are corrected by the other queries of the test.
        split: of a benchmark that is generated, `test` or `validation`.
    """

    limit: int | None = None
    dual_softmax: bool = False
    split: Part = "test"

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"limit {self.limit}: give 1 video or more")
        if self.split not in get_args(Part):
            raise UsageError(f"split {self.split!r}: choose {' or '.join(get_args(Part))}")


USUAL = Options()

Files = Mapping[str, Path]
"""Where a benchmark's files are, by the names of `Benchmark.files`."""


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A task on one public data set.

    Attributes:
        files: by role, the usual name of a file or folder below the benchmark's own folder.
        run: reads the files, asks the model.
        source: where the data set and its protocol are described.
        galleries: whether queries choose in galleries, so that dual softmax says something.
    """

    files: Mapping[str, str]
    run: Callable[[Files, Model, Options], TaskResult]
    source: str
    galleries: bool = False

    def check(self, name: str, options: Options) -> None:
        """Raises `UsageError` for options that it has not."""
        if options.dual_softmax and not self.galleries:
            raise UsageError(f"{name} takes no dual softmax: leave it out")
        if options.split != "test" and self.files:
            raise UsageError(
                f"{name} has the split that its files have: give those of {options.split} instead"
            )

    def locate(self, name: str, folder: Path, given: Files | None = None) -> Files:
        """All files; `UsageError`, which says what to put where, if one is absent.

        `given` replaces usual names by role.
        """
        unknown = sorted(set(given or {}) - set(self.files))
        if unknown:
            raise UsageError(f"{name} has no file {unknown[0]!r}: give {', '.join(self.files)}")
        found = {role: folder / usual for role, usual in self.files.items()} | dict(given or {})
        absent = [f"{path} ({role})" for role, path in found.items() if not path.exists()]
        if absent:
            raise UsageError(
                f"{name} needs {', '.join(absent)}: download it from its authors, {self.source},"
                " and put it there"
            )
        return found
