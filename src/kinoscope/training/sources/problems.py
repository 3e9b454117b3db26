"""What was left out while annotations were read: counted, the first ones kept, or raised."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from kinoscope.errors import UsageError

Kind = Literal[
    "video",  # the file is not there
    "duplicate",  # a key or a text that was there before
    "id",  # names what no other row has
    "text",  # empty
    "encoding",  # not UTF-8
    "type",  # another type than the field has, or not the form of the file
    "number",  # not finite, negative or beyond reason
    "span",  # empty, reversed, or outside the video
    "size",  # a line, field or member beyond its bound
    "field",  # an unknown column or field
    "name",  # a path that leads out of its folder
    "member",  # of an archive: a link, a device, or one that is cut off
    "markup",  # HTML, Markdown, or what a language model says around its answer
    "flipped",  # a positive that goes the other way
    "moved",  # a positive of another object or place
    "limit",  # behind the first so many, where no more were asked for
    "same",  # two texts of a triplet that do not differ
]

_KEPT = 1000
"""Problems told one by one; the rest is counted: a file may have millions of bad lines."""


class Unfit(UsageError):
    """A row, or a part of one, that cannot be used."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind: Kind = kind


@dataclass(frozen=True)
class Problem:
    """One thing that was left out; `where` is a line or an entry of the file."""

    kind: Kind
    where: str
    message: str


class Problems:
    """Collects what is left out of one file; with `strict` it raises at the first."""

    def __init__(self, file: str, *, strict: bool = False) -> None:
        self._file, self._strict = file, strict
        self._first: list[Problem] = []
        self._counts: Counter[Kind] = Counter()

    def __len__(self) -> int:
        return self._counts.total()

    def __iter__(self) -> Iterator[Problem]:
        """The first thousand."""
        return iter(self._first)

    def __repr__(self) -> str:
        return f"Problems({self._file}, {dict(self._counts)})"

    @property
    def counts(self) -> Mapping[Kind, int]:
        """How many of each kind, all of them."""
        return dict(self._counts)

    def add(self, kind: Kind, where: str, message: str) -> None:
        """Notes one; raises it as a `UsageError` if strict."""
        if self._strict:
            raise UsageError(f"{self._file}, {where}: {message}")
        self._counts[kind] += 1
        if len(self._first) < _KEPT:
            self._first.append(Problem(kind, where, message))

    @contextmanager
    def at(self, where: str) -> Iterator[None]:
        """Notes an `Unfit` of the block, the rest of which is passed over."""
        try:
            yield
        except Unfit as error:
            self.add(error.kind, where, str(error))

    def describe(self) -> str:
        """`3 left out (2 video, 1 span); line 7: a.mp4 is not in clips`, or `none left out`."""
        if not self._counts:
            return "none left out"
        kinds = ", ".join(f"{count} {kind}" for kind, count in self._counts.most_common())
        first = self._first[0]
        return f"{len(self)} left out ({kinds}); {first.where}: {first.message}"
