"""What an agent may ask of a library, with typed results: nothing but indexed files is opened.

A video is named by its id or by a path exactly as the index has it, so that no name that an agent
makes up reaches the disk. Cuts go into one folder, under names that are made here.
"""

import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np

from kinoscope.answer import MOMENTS, Answer, AskOptions, ask, ask_video
from kinoscope.cutting import How
from kinoscope.cutting import cut as cut_out
from kinoscope.documents import Excerpt
from kinoscope.errors import UsageError
from kinoscope.filters import Filters
from kinoscope.index.handle import Index
from kinoscope.moments import find_moments
from kinoscope.query import Query
from kinoscope.retrieval import search
from kinoscope.sheets import frames_at
from kinoscope.types import Span

MOST_MOMENTS = 50
MOST_CUT_S = 600.0
MOST_CUT_BYTES = 64 * 2**20
"""Of a cut that is handed over whole; a longer one is on the disk all the same."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where something is: `[start_s, end_s)` of a video, and a picture of its middle.

    `path` is for people: letters that are no text are `?`. `frame` is a resource of the server.
    """

    video: str
    path: str
    start_s: float
    end_s: float
    frame: str


@dataclass(frozen=True, kw_only=True)
class FoundMoment:
    """A moment; `score` 0 is no closer than average, or in `moments` than the rest of the video."""

    rank: int
    score: float
    place: Place


@dataclass(frozen=True, kw_only=True)
class Found:
    """Moments, best first; none if nothing matches."""

    query: str
    moments: tuple[FoundMoment, ...]


@dataclass(frozen=True, kw_only=True)
class FoundAnswer:
    """What the model says, having seen this place and nothing else.

    `log_likelihood` is the mean of its tokens: 0 is as sure as the model can be. `shares` are the
    probabilities of the choices among them, in their order.
    """

    rank: int
    answer: str
    log_likelihood: float
    complete: bool
    shares: tuple[float, ...]
    place: Place


@dataclass(frozen=True, kw_only=True)
class Answered:
    """Answers in the order in which their moments were found; none if nothing matches."""

    question: str
    answers: tuple[FoundAnswer, ...]


@dataclass(frozen=True, kw_only=True)
class Written:
    """A moment as a file of its own; `file` is a resource of the server, `path` on its disk."""

    file: str
    path: str
    how: How
    source: Place


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Seconds of a video, or all of it."""

    video: str
    start_s: float | None = None
    end_s: float | None = None


class Tools:
    """A library as an agent may use it. Not for several threads at once."""

    def __init__(self, index: Index, cuts: Path | None = None) -> None:
        """`cuts` is the folder where cuts go, None for nowhere; `UsageError` if it is no folder."""
        if cuts is not None and not cuts.is_dir():
            raise UsageError(f"{cuts} is no folder: name one that is there for cuts")
        self.index, self.cuts = index, cuts
        self._written: dict[str, Path] = {}
        self._known: tuple[str, dict[str, str]] = ("", {})

    def search(
        self,
        query: str | None,
        *,
        k: int = 5,
        exclude: Sequence[str] = (),
        like: Sequence[Piece] = (),
        name: str | None = None,
        threshold: float | None = None,
    ) -> Found:
        """The best moments of all videos for a text, for examples, or for both.

        Raises `UsageError` for a wrong argument or an example that is not indexed; as `search`.
        """
        _check(k)
        wanted = Query(
            text=query,
            like=tuple(self._excerpt(piece) for piece in like),
            excluded=tuple(exclude),
        )
        filters = Filters(name=name)
        hits = search(self.index, wanted, k=k, filters=filters, threshold=threshold)
        moments = tuple(
            FoundMoment(rank=hit.rank, score=hit.score, place=self._place(hit.path, hit.span))
            for hit in hits
        )
        return Found(query=query or "", moments=moments)

    def moments(self, video: str, query: str, *, k: int = 3) -> Found:
        """When in one video something happens. Raises `UsageError`, as `find_moments`."""
        _check(k)
        path = self._path(video)
        found = find_moments(self.index, path, {"text": query}, k=k)
        moments = tuple(
            FoundMoment(rank=each.rank, score=each.score, place=self._place(path, each.span))
            for each in found.moments
        )
        return Found(query=query, moments=moments)

    def ask(
        self,
        question: str,
        *,
        piece: Piece | None = None,
        choices: Sequence[str] = (),
        k: int | None = None,
        find: str | None = None,
        threshold: float | None = None,
    ) -> Answered:
        """Answers in words of one video, of some seconds of it, or of the library's best moments.

        Raises `UsageError` for a wrong argument or a model that gives no words, as `ask`.
        """
        _check(MOMENTS if k is None else k)
        options = AskOptions(choices=tuple(choices), find=find)
        if piece is None:
            some = k or MOMENTS
            answers = ask(self.index, question, k=some, threshold=threshold, options=options)
        elif threshold is not None:
            raise UsageError("a threshold chooses among all videos: leave it or the piece out")
        else:
            shown = self._excerpt(piece)
            answers = ask_video(self.index, shown, question, k=k, options=options)
        return Answered(question=question, answers=tuple(map(self._answer, answers)))

    def cut(self, video: str, start_s: float, end_s: float) -> Written:
        """Writes some seconds of a video into the folder of cuts.

        Raises `UsageError` without such a folder, for a video that is not indexed and for more than
        `MOST_CUT_S`; else as `kinoscope.cutting.cut`.
        """
        if self.cuts is None:
            raise UsageError("there is no folder for cuts: start the server with --cuts DIR")
        path, span = self._path(video), Span(start_s, end_s)
        if span.duration_s > MOST_CUT_S:
            raise UsageError(f"{span.duration_s:g} s are too long: cut at most {MOST_CUT_S:g} s")
        to = _free_name(self.cuts, path, span)
        how = cut_out(path, span, to)
        self._written[to.name] = to
        source = self._place(path, span)
        return Written(file=f"kinoscope://cuts/{to.name}", path=str(to), how=how, source=source)

    def frame(self, video: str, at_s: float) -> bytes:
        """A JPEG of what is on screen. Raises `UsageError` for a video that is not indexed."""
        from PIL import Image

        if not (math.isfinite(at_s) and at_s >= 0):
            raise UsageError(f"second {at_s}: give one from 0 on")
        (rgb_HWC,) = frames_at(self._path(video), np.array([at_s]))
        picture = io.BytesIO()
        Image.fromarray(rgb_HWC).save(picture, format="JPEG", quality=85)
        return picture.getvalue()

    def written(self, name: str) -> bytes:
        """A cut that was made here. Raises `UsageError` for any other name, or one too large."""
        path = self._written.get(name)
        if path is None or not path.is_file():
            raise UsageError(f"{name} is no cut of this session: cut it first")
        size_bytes = path.stat().st_size
        if size_bytes > MOST_CUT_BYTES:
            raise UsageError(f"{path} has {size_bytes} bytes: open the file itself")
        return path.read_bytes()

    def _answer(self, answer: Answer) -> FoundAnswer:
        return FoundAnswer(
            rank=answer.rank,
            answer=answer.text,
            log_likelihood=answer.log_likelihood,
            complete=answer.complete,
            shares=answer.shares,
            place=self._place(answer.path, answer.span),
        )

    def _excerpt(self, piece: Piece) -> Path | Excerpt:
        path = self._path(piece.video)
        if piece.start_s is None and piece.end_s is None:
            return path
        if piece.start_s is None or piece.end_s is None:
            raise UsageError(f"{piece.video}: give both start_s and end_s, or neither")
        return Excerpt(path, Span(piece.start_s, piece.end_s))

    def _path(self, video: str) -> Path:
        """Of an indexed file, of several copies one that is there; no other name is looked up."""
        ids = self._ids()
        copies = [video] if video in ids else [path for path, own in ids.items() if own == video]
        if not copies:
            raise UsageError(f"{video[:200]!r} is not in the index: name it as search does")
        return next((path for path in map(Path, copies) if path.exists()), Path(copies[0]))

    def _ids(self) -> dict[str, str]:
        """The id of each indexed path, of the state that the index has now."""
        stamp = self.index.derived().stamp
        if self._known[0] != stamp:
            rows = self.index.files()
            self._known = stamp, {r.path: r.video_id for r in rows if r.state == "indexed"}
        return self._known[1]

    def _place(self, path: Path, span: Span) -> Place:
        video, middle_s = self._ids()[str(path)], (span.start_s + span.end_s) / 2
        return Place(
            video=video,
            path=str(path).encode(errors="replace").decode(),
            start_s=span.start_s,
            end_s=span.end_s,
            frame=f"kinoscope://frames/{video}/{middle_s:.3f}",
        )


def _check(k: int) -> None:
    if not 1 <= k <= MOST_MOMENTS:
        raise UsageError(f"k {k}: ask for 1 to {MOST_MOMENTS} moments")


def _free_name(folder: Path, path: Path, span: Span) -> Path:
    """`film-12.0-17.0.mp4`, or with a number behind: nothing is ever written over."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", path.stem)[:60] or "film"
    name = f"{stem}-{span.start_s:.1f}-{span.end_s:.1f}"
    names = (f"{name}.mp4" if n == 1 else f"{name}-{n}.mp4" for n in count(1))
    return next(folder / each for each in names if not (folder / each).exists())
