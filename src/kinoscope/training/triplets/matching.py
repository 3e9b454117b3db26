"""Recognises the verbs of opposite actions in free sentences, and turns them round."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from kinoscope.training.english import Form, conjugate, past_participle
from kinoscope.training.triplets.lexicon import pair_of
from kinoscope.training.triplets.word_files import FOLDER, lines_of

_TOKEN = re.compile(r"[A-Za-z]+(?:'[a-z]+)?|[^A-Za-z\s]")
_PARTICLES = frozenset(
    ("up", "down", "on", "off", "in", "out", "away", "over", "back", "apart", "together")
)
_PREPOSITIONS = frozenset(
    (
        *("on", "off", "in", "into", "onto", "from", "to", "at", "under", "over", "near"),
        *("behind", "beside", "by", "with", "out", "of", "for", "inside"),
    )
)
_LOOSE = _PARTICLES - _PREPOSITIONS
"""Particles that are never the beginning of a place phrase."""
_DETERMINERS = frozenset(
    (
        "a",
        "an",
        "the",
        "his",
        "her",
        "its",
        "their",
        "some",
        "one",
        "two",
        "this",
        "that",
        "another",
    )
)
_ENDS = frozenset(("and", "then", "while", "as", "before", "after", *",.;:"))
_FLIPPED = {
    "from": "on",
    "off": "on",
    "onto": "from",
    "on": "from",
    "into": "out of",
    "in": "out of",
}
_CONTAINERS = frozenset(
    (
        *("drawer", "box", "bag", "fridge", "freezer", "pocket", "bowl", "cupboard", "cabinet"),
        *("bucket", "basket", "oven", "sink", "toolbox", "suitcase"),
    )
)
"""What is put in them, not on them; of pots and jars it may be the lid that is taken."""
_GAP = 5
"""Most words between a verb and its particle: `picks the big red cup up`."""


@dataclass(frozen=True)
class Wording:
    """One wording of the table: verb, particle (or empty), line, side, number on its side."""

    verb: str
    particle: str
    line: int
    side: int
    number: int


@dataclass(frozen=True)
class Found:
    """A recognised verb in a sentence.

    Attributes:
        wording: which it is.
        form: of its inflection.
        verb_at, particle_at: places among `tokens`; a particle that is not there is -1.
        object: the last word of what it is done to; empty if nothing is named.
        place: the last word of a place phrase behind it; empty if there is none.
        tokens: the sentence's words and signs.
    """

    wording: Wording
    form: str
    verb_at: int
    particle_at: int
    object: str
    place: str
    tokens: tuple[str, ...]

    def opposed(self, other: "Found") -> bool:
        """Whether one does what the other undoes."""
        mine, theirs = self.wording, other.wording
        return mine.line == theirs.line and mine.side != theirs.side

    def same_action(self, other: "Found") -> bool:
        """Whether both do the same, in whatever wording."""
        mine, theirs = self.wording, other.wording
        return (mine.line, mine.side) == (theirs.line, theirs.side)


@dataclass(frozen=True)
class _Table:
    sides: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
    moving: frozenset[int]
    forms: Mapping[str, tuple[tuple[str, str], ...]]
    wordings: Mapping[str, tuple[Wording, ...]]


def find(sentence: str) -> Found | None:
    """The first verb of the table in a sentence; None if there is none."""
    tokens = tuple(_TOKEN.findall(sentence))
    table = _table()
    for at, token in enumerate(tokens):
        for verb, form in table.forms.get(token.lower(), ()):
            for wording in table.wordings[verb]:
                particle_at = _particle(tokens, at, wording.particle)
                if particle_at is not None and _is_verb(tokens, at, form):
                    held, place = _object(tokens, at, particle_at)
                    return Found(wording, form, at, particle_at, held, place, tokens)
    return None


def turned_round(found: Found) -> str:
    """The sentence with the opposite verb: `picks up a cup` -> `puts down a cup`."""
    table, wording = _table(), found.wording
    others = table.sides[wording.line][1 - wording.side]
    verb, _, particle = others[min(wording.number, len(others) - 1)].partition(" ")
    words = list(found.tokens)
    words[found.verb_at] = _inflected(verb, found.form)
    if found.particle_at >= 0:
        words[found.particle_at] = particle
    elif particle:
        words[found.verb_at] += f" {particle}"
    if wording.line in table.moving:
        _flip_preposition(words, max(found.verb_at, found.particle_at) + 1)
    text = " ".join(word for word in words if word)
    return re.sub(r"\s+(?=[.,;:?!])", "", text)


def _particle(tokens: Sequence[str], at: int, particle: str) -> int | None:
    """Where the particle of the verb at a place is; -1 if it needs none; None if it is another."""
    behind = [word.lower() for word in tokens[at + 1 : at + 1 + _GAP]]
    if not particle:
        other = behind[:1] and behind[0] in _PARTICLES
        return None if other and behind[:2] not in (["out", "of"],) else -1
    for offset, word in enumerate(behind):
        if word == particle and (not offset or _closes(behind[offset + 1 :])):
            return at + 1 + offset
        if word in _ENDS or (word in _PARTICLES and word != particle):
            return None
    return None


def _closes(behind: Sequence[str]) -> bool:
    """Whether a particle behind an object is one: in `puts a cup in a sink` it is none."""
    return not behind or behind[0] in _ENDS or (behind[0] in _PREPOSITIONS and behind[0] != "of")


def _is_verb(tokens: Sequence[str], at: int, form: str) -> bool:
    """A plain form behind a determiner is a noun: `the cover`, `a light`."""
    before = tokens[at - 1].lower() if at else ""
    return before not in _DETERMINERS or form not in ("plain", "present")


def _object(tokens: Sequence[str], at: int, particle_at: int) -> tuple[str, str]:
    """The heads of what stands behind the verb, and of the place phrase behind that."""
    held, place, in_place = "", "", False
    for number, token in enumerate(tokens[at + 1 :], at + 1):
        word = token.lower()
        if number == particle_at or word in _DETERMINERS or word in _LOOSE:
            continue
        if word in _ENDS or (place and word in _PREPOSITIONS):
            break
        if word in _PREPOSITIONS:
            in_place = True
        elif in_place:
            place = word
        else:
            held = word
    return held, place


def _flip_preposition(words: list[str], start: int) -> None:
    """Turns round where something is taken from or put to: the first such phrase."""
    for at in range(start, len(words)):
        two = " ".join(words[at : at + 2]).lower()
        if two == "out of":
            words[at : at + 2] = ["into", ""]
            return
        if words[at].lower() in _FLIPPED:
            inside = words[at].lower() == "from" and bool(_CONTAINERS.intersection(words[at:]))
            words[at] = "in" if inside else _FLIPPED[words[at].lower()]
            return


def _inflected(verb: str, form: str) -> str:
    if form == "plain":
        return verb
    if form == "done":
        return past_participle(verb)
    known: Form = "present" if form == "present" else "participle"
    return conjugate(verb, many=False, form=known)


@lru_cache(maxsize=1)
def _table() -> _Table:
    sides, moving = [], set()
    forms: dict[str, list[tuple[str, str]]] = {}
    wordings: dict[str, list[Wording]] = {}
    for number, line in enumerate(lines_of(FOLDER / "recognised.txt")):
        pair = pair_of(line)
        sides.append(pair.sides)
        if pair.fits:
            moving.add(number)
        for side, names in enumerate(pair.sides):
            for place, name in enumerate(names):
                verb, _, particle = name.partition(" ")
                wordings.setdefault(verb, []).append(Wording(verb, particle, number, side, place))
    for verb, found in wordings.items():
        found.sort(key=lambda wording: not wording.particle)  # `put on` before `put`
        for form in ("plain", "present", "participle", "done"):
            forms.setdefault(_inflected(verb, form), []).append((verb, form))
    return _Table(
        tuple(sides),
        frozenset(moving),
        {form: tuple(verbs) for form, verbs in forms.items()},
        {verb: tuple(found) for verb, found in wordings.items()},
    )
