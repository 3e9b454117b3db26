"""The lexicon: opposite actions and manners, activities, people, scenes, wordings, by split."""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from kinoscope.errors import UsageError
from kinoscope.training.triplets.word_files import FOLDER, SPLITS, Line, lines_of, listed
from kinoscope.training.world.scene import Split

_VERB = re.compile(r"[a-z]+")
_SLOT = re.compile(r"\{([^}]*)\}")
_VERB_SLOTS = {"o", "his", "himself"}

_LISTS = {"names": ",", "actions": ";", "places": ";", "colours": ","}
"""Of a scene, with what separates them: what is, what it becomes, and what is neither."""

T = TypeVar("T")
BySplit = Mapping[Split, tuple[T, ...]]


@dataclass(frozen=True)
class Pair:
    """Temporally opposite wordings: number i of one side is the opposite of number i of the other.

    `fits` are objects where the wordings have `{o}`, else subjects; empty: people.
    """

    sides: tuple[tuple[str, ...], tuple[str, ...]]
    fits: tuple[str, ...]

    def opposite(self, side: int, number: int) -> str:
        """Of wording `number` of a side."""
        other = self.sides[1 - side]
        return other[min(number, len(other) - 1)]


@dataclass(frozen=True)
class Activity:
    """What people do; wordings mean the same."""

    wordings: tuple[str, ...]
    groups: frozenset[str]
    fits: tuple[str, ...]


@dataclass(frozen=True)
class Manners:
    """Opposite manners and the groups of activities that can be done so."""

    sides: tuple[tuple[str, ...], tuple[str, ...]]
    groups: frozenset[str]


@dataclass(frozen=True)
class Person:
    """Names of one person, and `he` or `she`."""

    names: tuple[str, ...]
    pronoun: str


@dataclass(frozen=True)
class SceneWords:
    """What scenes of one kind are made of; `names` have a pronoun, `manners` two sides.

    What is `still` is an action too, one that is not done in a manner.
    """

    section: str
    kind: str
    names: Mapping[str, str]
    moves: tuple[str, ...]
    still: tuple[str, ...]
    places: tuple[str, ...]
    colours: tuple[str, ...]
    extras: tuple[str, ...]
    garments: tuple[str, ...]
    manners: tuple[tuple[str, str], ...]

    @property
    def actions(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.moves, *self.still)


@dataclass(frozen=True)
class Pattern:
    """Templates of one line: a kind, what a scene must have for it, one text or three."""

    kind: str
    needs: frozenset[str]
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Lexicon:
    """All of it; `fingerprint` is a hash of the files."""

    pairs: Mapping[str, BySplit[Pair]]
    manners: BySplit[Manners]
    activities: BySplit[Activity]
    people: BySplit[Person]
    scenes: BySplit[SceneWords]
    times: BySplit[str]
    numbers: BySplit[str]
    frames: BySplit[str]
    orders: BySplit[str]
    core: BySplit[Pattern]
    negation: BySplit[Pattern]
    edits: BySplit[Pattern]
    fingerprint: str

    def __repr__(self) -> str:
        counts = {name: sum(map(len, kinds.values())) for name, kinds in self.pairs.items()}
        return f"Lexicon({counts}, {self.fingerprint[:8]})"


PAIR_FILES = {"time": "verbs.txt", "direction": "directions.txt", "state": "states.txt"}
_OTHER_FILES = (
    *("adverbs.txt", "activities.txt", "people.txt", "scenes.txt", "times.txt", "frames.txt"),
    *("order.txt", "core.txt", "negation.txt", "edits.txt"),
)


@lru_cache(maxsize=4)
def load_lexicon(folder: Path = FOLDER) -> Lexicon:
    """The lexicon that is shipped, or one of yours: a folder with files of the same names and form.

    Raises `UsageError`, naming file and line, for an entry without opposite and for any other that
    is not of its file's form.
    """
    digest = hashlib.sha256()
    for name in (*PAIR_FILES.values(), *_OTHER_FILES):
        if not (folder / name).is_file():
            raise UsageError(f"{folder} has no {name}: copy the one of {FOLDER}, and change it")
        digest.update((folder / name).read_bytes())
    patterns = (_patterns(folder / f"{name}.txt") for name in ("core", "negation", "edits"))
    core, negation, edits = patterns
    times = _keyed(folder / "times.txt")
    return Lexicon(
        pairs={kind: _each(folder / name, pair_of) for kind, name in PAIR_FILES.items()},
        manners=_each(folder / "adverbs.txt", _manners),
        activities=_each(folder / "activities.txt", _activity),
        people=_each(folder / "people.txt", _person),
        scenes=_scenes(folder / "scenes.txt"),
        times={split: listed(values["times"]) for (split, _), values in times.items()},
        numbers={split: listed(values["numbers"]) for (split, _), values in times.items()},
        frames=_each(folder / "frames.txt", lambda line: line.text),
        orders=_each(folder / "order.txt", lambda line: line.text),
        core=core,
        negation=negation,
        edits=edits,
        fingerprint=digest.hexdigest(),
    )


def _each(file: Path, parsed: Callable[[Line], T]) -> dict[Split, tuple[T, ...]]:
    """One entry a line; `UsageError` for a split without any."""
    found: dict[Split, list[T]] = {split: [] for split in SPLITS}
    for line in lines_of(file):
        found[line.split].append(parsed(line))
    _check_all(file, found)
    return {split: tuple(entries) for split, entries in found.items()}


def _check_all(file: Path, found: Mapping[Split, Iterable[object]]) -> None:
    empty = [split for split, entries in found.items() if not entries]
    if empty:
        raise UsageError(f"{file.name} has nothing for {empty[0]}: write lines below [{empty[0]}]")


def pair_of(line: Line) -> Pair:
    """`open {o}; pull {o} open | close {o} : door, drawer`."""
    text, _, fits = line.text.partition(" :")
    sides = _opposites(line, text)
    for wording in (*sides[0], *sides[1]):
        _check_wording(line, wording)
    with_object = {"{o}" in wording for side in sides for wording in side}
    if len(with_object) > 1 or (True in with_object and not fits.strip()):
        raise line.fault(f"{text[:80]!r}: {{o}} stands in all wordings, with objects, or in none")
    return Pair(sides, listed(fits, ","))


def _opposites(line: Line, text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    sides = [listed(side) for side in text.split("|")]
    if len(sides) < 2 or not sides[1]:
        raise line.fault(f"{text.strip()[:80]!r} has no opposite: write it behind |")
    if len(sides) > 2 or not sides[0]:
        raise line.fault(f"{text.strip()[:80]!r}: write `wordings | opposite wordings`")
    twice = set(sides[0]) & set(sides[1])
    if twice:
        raise line.fault(f"{min(twice)!r} is its own opposite: change one side")
    return sides[0], sides[1]


def _check_wording(line: Line, wording: str) -> None:
    foreign = set(_SLOT.findall(wording)) - _VERB_SLOTS
    if foreign or not _VERB.match(wording):
        raise line.fault(f"{wording[:80]!r}: begin with a verb; slots are {{o}} and {{his}}")


def _manners(line: Line) -> Manners:
    text, _, groups = line.text.rpartition(" : ")
    if not text:
        raise line.fault(f"{line.text[:80]!r}: write `adverbs | opposites : groups`")
    return Manners(_opposites(line, text), frozenset(groups.split()))


def _activity(line: Line) -> Activity:
    wordings, sign, rest = line.text.partition("@")
    groups, _, fits = rest.partition(":")
    found = listed(wordings)
    if not sign or not found or not groups.split():
        raise line.fault(f"{line.text[:80]!r}: write `wordings @ groups : objects`")
    for wording in found:
        _check_wording(line, wording)
    if any("{o}" in wording for wording in found) != bool(fits.strip()):
        raise line.fault(f"{line.text[:80]!r}: objects stand where a wording has {{o}}")
    return Activity(found, frozenset(groups.split()), listed(fits, ","))


def _person(line: Line) -> Person:
    pronoun, _, names = line.text.partition(" ")
    if pronoun not in ("he", "she") or not listed(names):
        raise line.fault(f"{line.text[:80]!r}: write `he names` or `she names`")
    return Person(listed(names), pronoun)


def _patterns(file: Path) -> dict[Split, tuple[Pattern, ...]]:
    """`kind needs : text | text | text`; of edits one text."""
    parts = 1 if file.name == "edits.txt" else 3

    def parsed(line: Line) -> Pattern:
        head, sign, texts = line.text.partition(" : ")
        if not sign or not head.split():
            raise line.fault(f"{line.text[:80]!r}: write `kind : text`")
        kind, *needs = head.split()
        body = Line(line.file, line.where, line.split, line.section, texts)
        form = "one text" if parts == 1 else "`anchor | positive | negative`"
        return Pattern(kind, frozenset(needs), tuple(body.cut("|", parts, form)))

    return _each(file, parsed)


def _keyed(file: Path) -> dict[tuple[Split, str], dict[str, str]]:
    """Sections of lines `name: values`."""
    found: dict[tuple[Split, str], dict[str, str]] = {}
    for line in lines_of(file):
        name, sign, values = line.text.partition(":")
        if not sign or not values.strip():
            raise line.fault(f"{line.text[:80]!r}: write `name: values`")
        found.setdefault((line.split, line.section), {})[name] = values
    return found


def _scenes(file: Path) -> dict[Split, tuple[SceneWords, ...]]:
    found: dict[Split, list[SceneWords]] = {split: [] for split in SPLITS}
    for (split, section), values in _keyed(file).items():
        needed = {"kind", "names", "actions", "places", "colours", "with", "manners"}
        absent = needed - values.keys()
        if absent:
            raise UsageError(f"{file.name}, [{split} {section}] has no {min(absent)}: write it")
        found[split].append(_scene(file, section, values))
    _check_all(file, found)
    return {split: tuple(words) for split, words in found.items()}


def _scene(file: Path, section: str, values: Mapping[str, str]) -> SceneWords:
    few = [name for name, sign in _LISTS.items() if len(listed(values[name], sign)) < 3]
    if few:
        raise UsageError(f"{file.name}: {few[0]} of {section} are fewer than three: write more")
    names = (entry.partition("=") for entry in listed(values["names"], ","))
    manners = [entry.partition(" | ") for entry in listed(values["manners"])]
    alone = next((one for one, _, other in manners if not other), None)
    if alone is not None:
        raise UsageError(f"{file.name}: the manner {alone!r} has no opposite: write it behind |")
    return SceneWords(
        section=section,
        kind=values["kind"].strip(),
        names={name: pronoun or "it" for name, _, pronoun in names},
        moves=listed(values["actions"]),
        still=listed(values.get("still", "")),
        places=listed(values["places"]),
        colours=listed(values["colours"], ","),
        extras=listed(values["with"], ","),
        garments=listed(values.get("garments", ""), ","),
        manners=tuple((one, other) for one, _, other in manners),
    )
