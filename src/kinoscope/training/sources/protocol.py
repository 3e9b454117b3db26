"""What a source of training data gives: examples by number, frames of them, and its overlaps."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from kinoscope.sampling import SamplingConfig
from kinoscope.training.sources.problems import Problems
from kinoscope.types import Float32, Frames, Span


@dataclass(frozen=True)
class Moment:
    """A text and a span that it describes; a text with several spans stands once for each."""

    text: str
    span: Span


@dataclass(frozen=True)
class Question:
    """A question on a video with its answer; `options` are the choices, the answer among them."""

    question: str
    answer: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mismatch:
    """A text that is wrong on the video, why it is, and a true one, alike if possible."""

    wrong: str
    true: str
    why: str


@dataclass(frozen=True)
class Edit:
    """An instruction that turns this video into another.

    Attributes:
        text: the instruction.
        target: key of the other video; empty where the source does not have it.
        before, after: captions of both, in like words if possible; empty where they are not known.
    """

    text: str
    target: str = ""
    before: str = ""
    after: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """What a teacher says of one video: unit vectors of its own, of the video and of sentences.

    Attributes:
        video_D: of the video.
        texts: the sentences that are most like it, best first.
        texts_KD: theirs.
    """

    video_D: Float32
    texts: tuple[str, ...]
    texts_KD: Float32

    def __post_init__(self) -> None:
        wanted = (len(self.texts), len(self.video_D))
        assert self.texts_KD.shape == wanted, (self.texts_KD.shape, wanted)

    def __len__(self) -> int:
        """How many sentences."""
        return len(self.texts)

    def __repr__(self) -> str:
        return f"Judged({len(self)} sentences, {len(self.video_D)}-d)"


NOT_JUDGED = Judged(
    video_D=np.empty(0, np.float32), texts=(), texts_KD=np.empty((0, 0), np.float32)
)


@dataclass(frozen=True, kw_only=True)
class Example:
    """What is known of one video; what is not known is empty.

    Attributes:
        key: unique in its source.
        captions: short, each true of the whole video.
        details: long captions.
        backward: short captions of the video played backwards, if it then shows something else.
        duration_s: length of the video, where the annotations say it.
        judged: what a teacher says of it, whose similarities are learned.
    """

    key: str
    captions: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()
    moments: tuple[Moment, ...] = ()
    mismatches: tuple[Mismatch, ...] = ()
    edits: tuple[Edit, ...] = ()
    backward: tuple[str, ...] = ()
    duration_s: float | None = None
    judged: Judged = field(default=NOT_JUDGED, compare=False)

    @property
    def told_edits(self) -> tuple[Edit, ...]:
        """Edits of which captions say what was, and that something else comes of it."""
        known = (edit for edit in self.edits if edit.before and edit.after)
        return tuple(edit for edit in known if edit.before != edit.after)


class Declared(Protocol):
    """What any source of training data says of itself."""

    @property
    def name(self) -> str:
        """For people and for the run's description."""

    @property
    def overlaps(self) -> Sequence[str]:
        """Benchmarks whose test texts or videos it may contain; empty only if surely none."""

    @property
    def fingerprint(self) -> str:
        """Hex hash of the annotations."""

    @property
    def problems(self) -> Problems:
        """What was left out, and why."""


class Source(Declared, Protocol):
    """Videos by number, 0 to `len(source) - 1`, in an order that is always the same.

    It can be sent to another process. Frames are those that an `Embedder` reads.
    """

    def __len__(self) -> int:
        """How many videos."""

    def example(self, number: int) -> Example:
        """What is known of a video, without decoding it."""

    def key(self, number: int) -> str:
        """The key of a video's example, at once."""

    def number_of(self, key: str) -> int:
        """The number of a key; `UsageError` for an unknown one."""

    def identity(self, number: int) -> str:
        """Names the pixels: other pixels, another identity; `MediaError` for a missing file."""

    def file(self, number: int) -> AbstractContextManager[Path] | None:
        """The video as a file while the context lasts; None for one that is made, not read."""

    def frames(self, number: int, sampling: SamplingConfig, span: Span | None = None) -> Frames:
        """At most `sampling.clip_frames` frames of the video, or of a span of it, evenly spread.

        Raises `MediaError` for a broken file and for a span that begins behind its end.
        """
