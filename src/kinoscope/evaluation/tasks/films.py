"""Videos that annotations name, found in a folder; what is absent is named and counted."""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Protocol

from kinoscope.evaluation.tasks.encoding import Encoder
from kinoscope.evaluation.tasks.protocol import Film, LeftOut
from kinoscope.training.sources import fields
from kinoscope.training.sources.folder import VideoFolder
from kinoscope.training.sources.problems import Problems, Unfit

_EXAMPLES = 20


class Finds(Protocol):
    """Knows videos by their ids."""

    @property
    def problems(self) -> Problems:
        """What is left out."""

    def find(self, video: object, *others: str) -> Film:
        """Raises `Unfit` if there is none."""


class Films:
    """Looks for the videos of one benchmark, each once; a bad row is a problem, not the end."""

    def __init__(self, folder: Path, annotations: Path, limit: int | None = None) -> None:
        """`annotations` is named in problems; after `limit` films all others are left out."""
        self.problems = Problems(annotations.name)
        self.absent: dict[str, str] = {}
        self._folder = VideoFolder(folder)
        self._found: dict[str, Film] = {}
        self._limit = limit

    def find(self, video: object, *others: str) -> Film:
        """The film of an id, looked for by that name or by others; raises `Unfit` if absent.

        Absent ones count among the first, so that a limit takes the same rows on all machines.
        """
        name = fields.text(str(video) if isinstance(video, int) else video, "the video id")
        if name in self.absent:
            raise Unfit("video", self.absent[name])
        if name not in self._found:
            if self._limit is not None and len(self._found) + len(self.absent) >= self._limit:
                raise Unfit("limit", f"{name[:80]} comes after the first {self._limit} videos")
            self._found[name] = Film(name, self._file(name, (name, *others)))
        return self._found[name]

    def reversal(self, film: Film) -> Film:
        """The file `id-reverse` beside it, or the film itself, turned round when it is read."""
        name = f"{film.id}-reverse"
        try:
            return Film(name, self._folder.root / self._folder.find(name))
        except Unfit:
            return Film(name, film.path, backwards=True)

    def _file(self, name: str, tried: Iterable[str]) -> Path:
        first: Unfit | None = None
        for each in tried:
            try:
                return self._folder.root / self._folder.find(each)
            except Unfit as error:
                first = first or error
        assert first is not None
        if first.kind == "video":
            self.absent[name] = str(first)
        raise first

    @property
    def rows_without_video(self) -> int:
        """Rows so far whose video is absent."""
        return self.problems.counts.get("video", 0)

    def left_out(self, encoder: Encoder, queries: int) -> LeftOut:
        """All that was found missing, while rows were read and films encoded.

        `queries` is how many could not be asked because of it.
        """
        told = [f"{one.where}: {one.message}" for one in islice(self.problems, _EXAMPLES)]
        return LeftOut(
            rows={str(kind): count for kind, count in self.problems.counts.items()},
            examples=told,
            absent=self.absent,
            failed=encoder.failed,
            queries=queries,
        )
