"""Unit vectors of a task's films and texts; a film that fails is a record, never a vector."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from kinoscope.errors import MediaError, UsageError
from kinoscope.evaluation.tasks.protocol import Film, FilmModel, Model
from kinoscope.types import Float32

_TEXTS = 256


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
        new = [film for film in dict.fromkeys(films) if film not in self._known]
        for film, found_D in zip(new, self._all(new), strict=True):
            if found_D is not None:
                self._known[film] = found_D
        return _encoded([self._known.get(film) for film in films], self.failed)

    def composed(self, films: Sequence[Film], edits: Sequence[str]) -> Encoded:
        """Of queries that are a video with an edit."""
        return _encoded(self._all(films, edits), self.failed)

    def _all(
        self, films: Sequence[Film], edits: Sequence[str] | None = None
    ) -> list[Float32 | None]:
        """All at once, if the model can, or one by one; None for a film without frames."""
        if isinstance(self.model, FilmModel):
            return [
                self._noted(film, found)
                for film, found in zip(films, self.model.encode_films(films, edits), strict=True)
            ]
        if edits is None:
            return [self._try(film, partial(_document, self.model)) for film in films]
        return [
            self._try(film, partial(_composed, self.model, edit))
            for film, edit in zip(films, edits, strict=True)
        ]

    def _noted(self, film: Film, found: Float32 | MediaError) -> Float32 | None:
        if isinstance(found, MediaError):
            self.failed[film.id] = str(found)
            return None
        return found

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
