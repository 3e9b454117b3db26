"""Several libraries as one: their examples behind one another."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from kinoscope.training.sources.feature_cache import Library
from kinoscope.training.sources.protocol import Example
from kinoscope.types import Features


class JoinedLibrary:
    """The examples of the first library, then those of the next; a lesson takes what fits it."""

    def __init__(self, libraries: Sequence[Library]) -> None:
        assert libraries, "no library"
        self._libraries = tuple(libraries)
        self._ends = list(accumulate(map(len, libraries)))

    def __len__(self) -> int:
        return self._ends[-1]

    def example(self, number: int) -> Example:
        """What is known of it."""
        library, own = self._place(number)
        return library.example(own)

    def features(self, number: int) -> Features:
        """Of the whole video; raises `MediaError` if its file is gone or broken."""
        library, own = self._place(number)
        return library.features(own)

    def describe(self) -> str:
        """All of them, in their order."""
        return " + ".join(library.describe() for library in self._libraries)

    def _place(self, number: int) -> tuple[Library, int]:
        assert 0 <= number < len(self), number
        which = bisect_right(self._ends, number)
        return self._libraries[which], number - (self._ends[which - 1] if which else 0)
