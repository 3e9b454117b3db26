"""Triplets of the order of two events: `A, then B` against `B, then A`."""

from collections.abc import Mapping
from random import Random

from kinoscope.training.triplets.actions import done_by
from kinoscope.training.triplets.lexicon import Lexicon
from kinoscope.training.triplets.phrases import (
    Subject,
    filled,
    one_of,
    pick,
    subject_slots,
    verb_slots,
)
from kinoscope.training.triplets.triplet import Triplet
from kinoscope.training.world.scene import Split

_SMALL = frozenset(("a", "the", "{his}", "to", "for", "on", "at", "with", "in", "over", "up"))


def order_triplet(lexicon: Lexicon, split: Split, rng: Random) -> Triplet:
    """The positive tells the same order in another way, the negative the other order.

    The negative has the form of the anchor or of the positive, so that neither the first word of
    time nor the place of an event in the sentence tells which is right.
    """
    person = pick(rng, lexicon.people[split])
    subject, again = one_of(person, rng, 0), one_of(person, rng)
    first, second = _independent(lexicon, split, rng)
    template = pick(rng, lexicon.orders[split])
    other = pick(rng, [one for one in lexicon.orders[split] if one != template])
    wrong, by = (template, subject) if rng.random() < 0.5 else (other, again)
    return Triplet(
        anchor=filled(template, _slots(subject, first, second)),
        positive=filled(other, _slots(again, first, second)),
        negative=filled(wrong, _slots(by, second, first)),
        part="order",
        why="other order of events",
    )


def _independent(lexicon: Lexicon, split: Split, rng: Random) -> tuple[str, str]:
    """Two activities that share no word of meaning, each could come first."""
    fitting = [one for one in lexicon.activities[split] if "first" in one.groups]
    while True:
        one, other = pick(rng, fitting), pick(rng, fitting)
        first, second = (
            done_by(activity, Subject("someone"), rng, definite=True).phrase()
            for activity in (one, other)
        )
        if not (_content(first) & _content(second)):
            return first, second


def _content(phrase: str) -> set[str]:
    return set(phrase.split()) - _SMALL


def _slots(subject: Subject, first: str, second: str) -> Mapping[str, str]:
    found = subject_slots(subject)
    for number, phrase in (("1", first), ("2", second)):
        forms = verb_slots(subject, phrase)
        found |= {number: forms["s"]} | {
            f"{number}:{form}": forms[form] for form in ("ing", "v", "done")
        }
    return found
