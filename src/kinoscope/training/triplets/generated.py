"""Triplets that are made from the lexicon: no data set is needed."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random

from kinoscope.errors import UsageError
from kinoscope.training.sources.problems import Problems
from kinoscope.training.triplets.actions import adverb_triplet, opposite_triplet
from kinoscope.training.triplets.edits import composed_triplet
from kinoscope.training.triplets.events import order_triplet
from kinoscope.training.triplets.lexicon import Lexicon, load_lexicon
from kinoscope.training.triplets.scenes import core_triplet, negation_triplet
from kinoscope.training.triplets.triplet import Part, Triplet
from kinoscope.training.triplets.word_files import FOLDER, SPLITS
from kinoscope.training.world.scene import Split

EDITION = "triplets-1"
"""Raise it when a change makes other triplets of the same lexicon and seed."""

_PATIENCE = 50
"""Draws for one new triplet before a part is held to be exhausted."""

Maker = Callable[[Lexicon, Split, Random], Triplet]

MAKERS: Mapping[Part, Maker] = {
    "core": core_triplet,
    "time": partial(opposite_triplet, "time"),
    "direction": partial(opposite_triplet, "direction"),
    "state": partial(opposite_triplet, "state"),
    "adverb": adverb_triplet,
    "order": order_triplet,
    "negation": negation_triplet,
    "composed": composed_triplet,
}


class GeneratedTriplets:
    """A `TripletSource` without end, or nearly: splits share no entry and no wording.

    The same split, seed and lexicon give the same triplets on every machine.
    """

    def __init__(self, split: Split, *, seed: int = 0, lexicon: Path = FOLDER) -> None:
        """Raises `UsageError` for an unknown split, and as `load_lexicon` does."""
        if split not in SPLITS:
            raise UsageError(f"split {split!r}: choose {', '.join(SPLITS)}")
        self._split, self._seed = split, seed
        self._lexicon = load_lexicon(lexicon)
        self.problems = Problems(self.name)

    def __repr__(self) -> str:
        return f"GeneratedTriplets({self.name})"

    @property
    def name(self) -> str:
        """`generated train, seed 0`."""
        return f"generated {self._split}, seed {self._seed}"

    @property
    def overlaps(self) -> tuple[str, ...]:
        """No benchmark has these sentences; what is not for training is its own test."""
        return () if self._split == "train" else (f"generated {self._split}",)

    @property
    def fingerprint(self) -> str:
        """Of the edition, the lexicon, split and seed."""
        told = f"{EDITION}|{self._lexicon.fingerprint}|{self.name}"
        return hashlib.sha256(told.encode()).hexdigest()

    def of(self, part: Part, count: int) -> Sequence[Triplet]:
        """See `TripletSource`; fewer than `count` only if a small lexicon gives no more."""
        made: dict[Triplet, None] = {}
        number = missed = 0
        while len(made) < count and missed < _PATIENCE:
            found = self.triplet(part, number)
            missed = missed + 1 if found in made else 0
            made[found] = None
            number += 1
        return tuple(made)

    def triplet(self, part: Part, number: int) -> Triplet:
        """One by its number, which need not differ from all others."""
        rng = Random(f"{EDITION}|{self._split}|{self._seed}|{part}|{number}")
        return MAKERS[part](self._lexicon, self._split, rng)
