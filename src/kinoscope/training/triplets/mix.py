"""A mix of triplets: how many of each part, from which sources."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from kinoscope.errors import UsageError
from kinoscope.training.recipe_file import function_of
from kinoscope.training.triplets.overlap import Overlap, overlap, sentences_of
from kinoscope.training.triplets.triplet import PARTS, Part, Triplet, TripletSource

Texts = Callable[[], Iterable[str]]


@dataclass(frozen=True, kw_only=True)
class Mix:
    """What to train on.

    Attributes:
        counts: triplets of each part, in all.
        sources: opens where they come from; the first gives what it has of a part, the next one
            the rest: name real data before what is generated.
        evaluated: texts of evaluations by name, with which the overlap is told.
        seed: decides the order.
    """

    counts: Mapping[Part, int]
    sources: Callable[[], Sequence[TripletSource]]
    evaluated: Mapping[str, Texts] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = [part for part in self.counts if part not in PARTS]
        if unknown:
            raise UsageError(f"part {unknown[0]!r} of the mix: choose {', '.join(PARTS)}")
        if not self.counts:
            raise UsageError("the mix has no part: give counts, such as {'core': 8000}")
        for part, count in self.counts.items():
            if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                raise UsageError(f"part {part} of the mix is empty ({count!r}): leave it out")


@dataclass(frozen=True, eq=False)
class Mixed:
    """The triplets of a mix in the order of training, and where they come from.

    `given` counts triplets by part and source name.
    """

    triplets: tuple[Triplet, ...]
    sources: tuple[TripletSource, ...]
    given: Mapping[tuple[Part, str], int]

    def __repr__(self) -> str:
        return f"Mixed({len(self.triplets)} triplets, {self.counts})"

    @property
    def counts(self) -> Mapping[Part, int]:
        """Triplets by part."""
        found: dict[Part, int] = {}
        for (part, _), count in self.given.items():
            found[part] = found.get(part, 0) + count
        return found

    @property
    def fingerprint(self) -> str:
        """Of all sources, counts and the order: a run goes on only with an equal one."""
        told = "|".join([*(source.fingerprint for source in self.sources), str(self.given)])
        ordered = "".join(triplet.anchor for triplet in self.triplets[:100])
        return hashlib.sha256(f"{told}|{ordered}".encode()).hexdigest()

    def overlap(self, texts: Iterable[str]) -> Overlap:
        """With the texts of an evaluation."""
        return overlap(sentences_of(self.triplets), texts)


def mixed(mix: Mix) -> Mixed:
    """Draws the triplets, each once, in a shuffled order that the seed decides.

    Raises `UsageError` for a part of which the sources have none, or too few.
    """
    sources = tuple(mix.sources())
    if not sources:
        raise UsageError("the mix has no source: give GeneratedTriplets('train'), or a file's")
    given: dict[tuple[Part, str], int] = {}
    triplets: list[Triplet] = []
    for part, count in mix.counts.items():
        found: dict[Triplet, str] = {}
        for source in sources:
            for triplet in source.of(part, count):
                if len(found) < count:
                    found.setdefault(triplet, source.name)
        _check_enough(part, len(found), count, sources)
        triplets.extend(found)
        for name in found.values():
            given[part, name] = given.get((part, name), 0) + 1
    Random(f"mix {mix.seed}").shuffle(triplets)
    return Mixed(tuple(triplets), sources, given)


def load_mix(file: Path, split: str) -> Mix:
    """What the function `mix(split)` of a Python file returns.

    Raises `UsageError` for a file that is not there or has no such function.
    """
    mix = function_of(file, "mix", "split")(split)
    if not isinstance(mix, Mix):
        raise UsageError(f"mix({split!r}) of {file} gives {type(mix).__name__}, not a Mix")
    return mix


def _check_enough(part: Part, found: int, count: int, sources: Sequence[TripletSource]) -> None:
    names = ", ".join(source.name for source in sources)
    if not found:
        raise UsageError(f"part {part} of the mix is empty: {names} have none; leave it out")
    if found < count:
        raise UsageError(f"part {part} has {found} triplets of {count} in {names}: ask for fewer")
