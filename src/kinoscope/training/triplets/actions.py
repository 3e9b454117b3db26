"""Triplets of opposite actions, directions, changes of state and manners."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from kinoscope.training.english import conjugate, past_participle
from kinoscope.training.triplets.lexicon import Activity, Lexicon, Manners, Pair
from kinoscope.training.triplets.phrases import (
    Subject,
    filled,
    fits,
    is_many,
    noun_phrase,
    one_of,
    pick,
    subject_slots,
    verb_slots,
)
from kinoscope.training.triplets.triplet import Part, Triplet
from kinoscope.training.world.scene import Split

_NO_PASSIVE = frozenset({"get", "let", "have", "meet", "leave", "come", "join"})
_TIMED = 0.35
"""Share of sentences that also say when."""
_OTHER_FRAME = 0.3
"""Share of negatives in the form of the positive rather than the anchor."""


@dataclass(frozen=True)
class Clause:
    """A subject, a verb phrase with `{o}` for its object, when it happens, how it is done.

    `noun` is the object as the lexicon has it; empty where there is none.
    """

    subject: Subject
    wording: str
    noun: str = ""
    definite: bool = False
    when: str = ""
    manner: str = ""

    def phrase(self) -> str:
        """The verb phrase with its object and manner."""
        words = f"{self.wording} {self.manner}".strip()
        return words.replace("{o}", self._object()) if self.noun else words

    def slots(self) -> dict[str, str]:
        """What frames need; the passive only of a verb that has it."""
        found = subject_slots(self.subject) | verb_slots(self.subject, self.phrase())
        return found | {"P": self.when} | self._passive()

    def _object(self) -> str:
        return noun_phrase(self.noun, definite=self.definite)

    def _passive(self) -> dict[str, str]:
        words = self.wording.split()
        direct = len(words) > 1 and words[1] == "{o}"
        own = "{his}" in f"{self.wording} {self.manner} {self._object() if self.noun else ''}"
        if not direct or own or "{himself}" in self.manner or words[0] in _NO_PASSIVE:
            return {}
        be = conjugate("be", many=is_many(self.noun), form="present")
        rest = " ".join([past_participle(words[0]), *words[2:], self.manner]).strip()
        return {
            "O:is": f"{self._object()} {be} {rest}",
            "O:is being": f"{self._object()} {be} being {rest}",
        }


def opposite_triplet(part: Part, lexicon: Lexicon, split: Split, rng: Random) -> Triplet:
    """One of `time`, `direction` or `state`: the negative has the opposite verb."""
    pair = pick(rng, lexicon.pairs[part][split])
    side = int(rng.random() * 2)
    names = pair.sides[side]
    number, other = int(rng.random() * len(names)), int(rng.random() * len(names))
    clause, implied = _two(pair, pair.sides[side][number], lexicon, split, rng)
    positive = replace(implied, wording=names[other])
    kind = {"time": "action", "state": "change of state"}.get(part, part)
    return _told(
        part,
        f"opposite {kind}: {_short(names[number])} / {_short(pair.opposite(side, number))}",
        (clause, replace(clause, wording=pair.opposite(side, number))),
        (positive, replace(positive, wording=pair.opposite(side, other))),
        (lexicon.frames[split], rng),
    )


def adverb_triplet(lexicon: Lexicon, split: Split, rng: Random) -> Triplet:
    """The negative is done in the opposite manner."""
    manners = pick(rng, lexicon.manners[split])
    clause, implied = _doing(manners, lexicon, split, rng)
    side = int(rng.random() * 2)
    names, opposites = manners.sides[side], manners.sides[1 - side]
    number = int(rng.random() * min(len(names), len(opposites)))
    other = int(rng.random() * min(len(names), len(opposites)))
    return _told(
        "adverb",
        f"opposite manner: {_short(names[number])} / {_short(opposites[number])}",
        (replace(clause, manner=names[number]), replace(clause, manner=opposites[number])),
        (replace(implied, manner=names[other]), replace(implied, manner=opposites[other])),
        (lexicon.frames[split], rng),
    )


def done_by(activity: Activity, subject: Subject, rng: Random, *, definite: bool) -> Clause:
    """A person doing it, with one of its objects."""
    noun = pick(rng, activity.fits) if activity.fits else ""
    return Clause(subject, activity.wordings[0], noun, definite)


def _two(
    pair: Pair, wording: str, lexicon: Lexicon, split: Split, rng: Random
) -> tuple[Clause, Clause]:
    """The clause of the anchor, and one that it implies: less determined, less said."""
    person = pick(rng, lexicon.people[split])
    noun = pick(rng, pair.fits) if pair.fits else "people"
    definite = rng.random() < 0.5
    when = pick(rng, lexicon.times[split]) if rng.random() < _TIMED else ""
    kept = when if rng.random() < 0.5 else ""
    by_person = "{o}" in wording or noun == "people"
    if by_person:
        subjects = [one_of(person, rng, 0), one_of(person, rng)]
    else:
        sure = rng.random() < 0.5
        subjects = [
            Subject(noun_phrase(noun, definite=known), many=is_many(noun))
            for known in (definite, sure)
        ]
    held = "" if by_person and "{o}" not in wording else noun
    return (
        Clause(subjects[0], wording, held, definite, when),
        Clause(subjects[1], wording, held, rng.random() < 0.5, kept),
    )


def _doing(manners: Manners, lexicon: Lexicon, split: Split, rng: Random) -> tuple[Clause, Clause]:
    """An activity, or a change of state, that can be done in these manners; and what it implies."""
    fitting = [one for one in lexicon.activities[split] if one.groups & manners.groups]
    if "change" in manners.groups and (not fitting or rng.random() < 0.5):
        pair = pick(rng, lexicon.pairs["state"][split])
        return _two(pair, pick(rng, pair.sides[int(rng.random() * 2)]), lexicon, split, rng)
    assert fitting, f"no activity of {sorted(manners.groups)} in {split}"
    activity, person = pick(rng, fitting), pick(rng, lexicon.people[split])
    clause = done_by(activity, one_of(person, rng, 0), rng, definite=rng.random() < 0.5)
    clause = replace(clause, when=pick(rng, lexicon.times[split]) if rng.random() < 0.2 else "")
    implied = replace(
        clause,
        subject=one_of(person, rng),
        wording=pick(rng, activity.wordings),
        when="",
        definite=rng.random() < 0.5,
    )
    return clause, implied


def _told(
    part: Part,
    why: str,
    anchors: tuple[Clause, Clause],
    positives: tuple[Clause, Clause],
    told: tuple[Sequence[str], Random],
) -> Triplet:
    """Anchor and positive in two frames; the negative is one of them with the opposite."""
    frames, rng = told
    one, one_wrong, other, other_wrong = (clause.slots() for clause in (*anchors, *positives))
    frame = pick(rng, [f for f in frames if fits(f, one) and fits(f, one_wrong)])
    rest = [f for f in frames if fits(f, other) and fits(f, other_wrong) and f != frame]
    second = pick(rng, rest)
    wrong = (second, other_wrong) if rng.random() < _OTHER_FRAME else (frame, one_wrong)
    return Triplet(
        anchor=filled(frame, one),
        positive=filled(second, other),
        negative=filled(*wrong),
        part=part,
        why=why,
    )


def _short(wording: str) -> str:
    """Without slots: `pick up`."""
    words = [word for word in wording.split() if not word.startswith("{")]
    return " ".join(words)
