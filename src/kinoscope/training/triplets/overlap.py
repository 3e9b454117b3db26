"""What training sentences share with the texts of an evaluation."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kinoscope.training.triplets.triplet import Triplet

RUN = 6
"""Words in a row that two sentences hardly share by chance."""

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")


@dataclass(frozen=True)
class Overlap:
    """Of so many different texts: those that occur as they are, and those with a run in common."""

    texts: int
    same: int
    near: int

    def __str__(self) -> str:
        return f"{self.same} of {self.texts} texts, {self.near} share {RUN} words in a row"


def sentences_of(triplets: Iterable[Triplet]) -> Iterator[str]:
    """All sentences of triplets, edits too."""
    for triplet in triplets:
        yield from (triplet.anchor, triplet.positive, triplet.negative)
        if triplet.edit:
            yield triplet.edit


def overlap(sentences: Iterable[str], texts: Iterable[str], run: int = RUN) -> Overlap:
    """How many of an evaluation's texts are among the sentences, case and signs aside.

    A text that is among them shares a run too, if it has as many words.
    """
    known: set[tuple[str, ...]] = set()
    runs: set[tuple[str, ...]] = set()
    for sentence in sentences:
        words = words_of(sentence)
        known.add(words)
        runs.update(_runs(words, run))
    asked = {words_of(text) for text in texts}
    same = sum(words in known for words in asked)
    near = sum(not runs.isdisjoint(_runs(words, run)) for words in asked)
    return Overlap(len(asked), same, near)


def words_of(text: str) -> tuple[str, ...]:
    """The words, small."""
    return tuple(_WORD.findall(text.casefold()))


def _runs(words: tuple[str, ...], run: int) -> Iterator[tuple[str, ...]]:
    return (words[start : start + run] for start in range(len(words) - run + 1))
