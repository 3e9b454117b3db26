"""Phrases: who does what to what, as the slots that a template is filled with."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from kinoscope.training.english import capitalized, conjugate, past_participle, with_article
from kinoscope.training.triplets.lexicon import Person

T = TypeVar("T")

Slots = Mapping[str, str]
OBJECTIVE = {"he": "him", "she": "her", "it": "it", "they": "them"}
POSSESSIVE = {"he": "his", "she": "her", "it": "its", "they": "their"}
REFLEXIVE = {"he": "himself", "she": "herself", "it": "itself", "they": "themselves"}

_SLOT = re.compile(r"\{([^}]*)\}")
_DETERMINED = frozenset({"someone", "somebody", "a", "an", "the", "one"})
_BLANK_BEFORE = re.compile(r"\s+(?=[.,;:?!])")


@dataclass(frozen=True)
class Subject:
    """Who or what does it: `a man`, and the pronoun for it."""

    text: str
    pronoun: str = "it"
    many: bool = False

    def bound(self, words: str) -> str:
        """Words with the possessives and reflexives that are the subject's own filled in."""
        pronoun = "they" if self.many else self.pronoun
        words = words.replace("{his}", POSSESSIVE[pronoun])
        return words.replace("{himself}", REFLEXIVE[pronoun])


def pick(rng: Random, options: Sequence[T]) -> T:
    """One of the options; the same for the same state of `rng` on every machine."""
    assert options, "nothing to choose from"
    return options[int(rng.random() * len(options))]


def one_of(person: Person, rng: Random, number: int | None = None) -> Subject:
    """A person by one of its names, with an article where it needs one."""
    name = pick(rng, person.names) if number is None else person.names[number]
    determined = name.split()[0] in _DETERMINED
    return Subject(name if determined else with_article(name), person.pronoun)


def noun_phrase(noun: str, *, definite: bool) -> str:
    """A noun of the lexicon with a determiner: `+keys` -> `some keys`, `the sun` as it is."""
    bare = noun.lstrip("+~")
    if noun.startswith("the "):
        return noun
    if noun.startswith(("his ", "her ")):
        return "{his} " + noun.partition(" ")[2]
    if definite:
        return f"the {bare}"
    return f"some {bare}" if noun[0] in "+~" else with_article(bare)


def is_many(noun: str) -> bool:
    """Whether a verb behind a noun of the lexicon is plural."""
    return noun.startswith("+")


def verb_slots(subject: Subject, wording: str) -> dict[str, str]:
    """Forms of a verb phrase without free slots, agreeing with its subject.

    `s` present, `ing` participle, `v` plain, `done` past participle.
    """
    verb, _, rest = subject.bound(wording).partition(" ")
    forms = {
        "s": conjugate(verb, many=subject.many, form="present"),
        "ing": conjugate(verb, many=subject.many, form="participle"),
        "v": verb,
        "done": past_participle(verb),
    }
    return {name: f"{form} {rest}".strip() for name, form in forms.items()}


def subject_slots(subject: Subject) -> dict[str, str]:
    """The subject and the auxiliaries that agree with it."""
    many = subject.many
    pronoun = "they" if many else subject.pronoun
    return {
        "S": subject.text,
        "is": "are" if many else "is",
        "has": "have" if many else "has",
        "does": "do" if many else "does",
        "isn't": "aren't" if many else "isn't",
        "doesn't": "don't" if many else "doesn't",
        "he": pronoun,
        "him": OBJECTIVE[pronoun],
    }


def filled(template: str, slots: Slots) -> str:
    """The template as a sentence: capital, single blanks, a full stop at the end."""
    text = _SLOT.sub(lambda found: slots[found[1]], template)
    return capitalized(_BLANK_BEFORE.sub("", " ".join(text.split())))


def fits(template: str, slots: Slots) -> bool:
    """Whether the slots fill the template; an empty one may not stand before or behind a comma."""
    names = _SLOT.findall(template)
    bare = re.search(r"\{(P|M)\},|, \{(P|M)\}", template)
    return all(name in slots for name in names) and not (
        bare is not None and not slots[bare[1] or bare[2]]
    )
