"""Videos that annotations name, found in a folder and encoded; what fails is named and counted."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from kinoscope.errors import MediaError, UsageError
from kinoscope.evaluation.tasks.protocol import Film, LeftOut, Model
from kinoscope.training.sources import fields
from kinoscope.training.sources.folder import VideoFolder
from kinoscope.training.sources.problems import Problems, Unfit
from kinoscope.types import Float32

_EXAMPLES = 20
_TEXTS = 256


class Films:
    """Looks for the videos of one benchmark, each once; a bad row is a problem, not the end."""

    def __init__(self, folder: Path, annotations: Path) -> None:
        """`annotations` is named in problems."""
        self.problems = Problems(annotations.name)
        self.absent: dict[str, str] = {}
        self._folder = VideoFolder(folder)
        self._found: dict[str, Film] = {}

    def find(self, video: object, *others: str) -> Film:
        """The film of an id, looked for by that name or by others; raises `Unfit` if absent."""
        name = fields.text(str(video) if isinstance(video, int) else video, "the video id")
        if name in self.absent:
            raise Unfit("video", self.absent[name])
        if name not in self._found:
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

    def left_out(self, encoder: "Encoder", queries: int) -> LeftOut:
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


@dataclass(frozen=True, eq=False)
class Encoded:
    """Unit vectors [N, D] of the inputs at these places: those that could be read."""

    places: tuple[int, ...]
    vectors_ND: Float32

    def row_of(self) -> dict[int, int]:
        """Which row is of which place."""
        return {place: row for row, place in enumerate(self.places)}

    def at(self, places: Sequence[int]) -> Float32:
        """The vectors of some places [K, D], all of which could be read."""
        row = self.row_of()
        return self.vectors_ND[[row[place] for place in places]]


class Encoder:
    """Asks a model for vectors; a film that fails is a record, never a vector."""

    def __init__(self, model: Model) -> None:
        """`failed` has the reason of each film that gave no frames."""
        self.model = model
        self.failed: dict[str, str] = {}
        self._known: dict[Film, Float32] = {}

    def texts(self, texts: Sequence[str]) -> Float32:
        """Unit vectors [N, D] of queries; equal ones are encoded once and are equal."""
        unique = list(dict.fromkeys(texts))
        parts = [
            self.model.encode_query(unique[first : first + _TEXTS])
            for first in range(0, len(unique), _TEXTS)
        ]
        row = {text: number for number, text in enumerate(unique)}
        return np.asarray(np.concatenate(parts)[[row[text] for text in texts]], np.float32)

    def films(self, films: Sequence[Film]) -> Encoded:
        """Of documents, each encoded once. Raises `UsageError` if none can be read."""
        for film in films:
            if film not in self._known:
                found_D = self._try(film, partial(_document, self.model))
                if found_D is not None:
                    self._known[film] = found_D
        return _encoded([self._known.get(film) for film in films], self.failed)

    def composed(self, films: Sequence[Film], edits: Sequence[str]) -> Encoded:
        """Of queries that are a video with an edit."""
        found = [
            self._try(film, partial(_composed, self.model, edit))
            for film, edit in zip(films, edits, strict=True)
        ]
        return _encoded(found, self.failed)

    def _try(self, film: Film, encode: Callable[[Film], Float32]) -> Float32 | None:
        """A vector [D], unless the film has no frames."""
        if film.id in self.failed:
            return None
        try:
            return np.asarray(encode(film)[0], np.float32)
        except MediaError as error:
            self.failed[film.id] = str(error)
            return None


def _document(model: Model, film: Film) -> Float32:
    return model.encode_document([film.document(model.sampling)])


def _composed(model: Model, edit: str, film: Film) -> Float32:
    return model.encode_query([{"video": film.path, "text": edit}])


def _encoded(vectors: Sequence[Float32 | None], failed: Mapping[str, str]) -> Encoded:
    places = tuple(place for place, vector_D in enumerate(vectors) if vector_D is not None)
    if not places:
        reason = next(iter(failed.values()), "none is named")
        raise UsageError(f"not one of {len(vectors)} videos can be read: {reason}")
    return Encoded(places, np.stack([each for each in vectors if each is not None]))
