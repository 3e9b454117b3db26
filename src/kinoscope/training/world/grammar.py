"""Grammar: noun phrases, verbs that agree, one clause for one event."""

import hashlib
import re
from collections.abc import Sequence

from kinoscope.training.english import Form as Form
from kinoscope.training.english import capitalized as capitalized
from kinoscope.training.english import conjugate as conjugate
from kinoscope.training.english import with_article as with_article
from kinoscope.training.world import surroundings, wordings
from kinoscope.training.world.events import EVENTS, pair_name
from kinoscope.training.world.nouns import plural
from kinoscope.training.world.scene import Background, Event, Scene, Shot, Split, Thing

_STYLES = 10_000  # of one scene, at most

NUMBERS = ("zero", "one", "two", "three", "four", "five")
_VERB = re.compile(r"<(?:([sp]):)?(\w+)>")


class Style:
    """One way to say things: the same style says the same thing in the same words.

    Choices are made by name, so that two scenes that differ in one fact are told alike.
    """

    def __init__(self, split: Split, number: int) -> None:
        self.split: Split = split
        self.number = number

    def pick(self, key: str, options: Sequence[str]) -> str:
        """One of the options."""
        return options[self.index(key, len(options))]

    def index(self, key: str, count: int) -> int:
        """A number below `count`."""
        digest = hashlib.blake2b(f"{self.number}|{key}".encode(), digest_size=4).digest()
        return int.from_bytes(digest, "little") % count

    def of(self, key: str, table: wordings.BySplit) -> str:
        """One of the wordings of this split."""
        return self.pick(key, table[self.split])


def style_of(scene: Scene, number: int, split: Split | None = None) -> Style:
    """Style `number` of a scene, in the words of its split or of another.

    Scenes of other seeds have other styles: together, the first captions of many videos use all
    wordings. A scene and its changes have the same.
    """
    return Style(split or scene.split, scene.seed * _STYLES + number)


def describe(thing: Thing) -> str:
    """The noun with what is to be said of it, no article: `small striped red heart`."""
    noun = plural(thing.name) if thing.count > 1 else thing.name
    size = "" if thing.size == "normal" else thing.size
    texture = "" if thing.texture == "plain" else thing.texture
    return " ".join(word for word in (size, texture, thing.color or "", noun) if word)


def indefinite(thing: Thing) -> str:
    """First mention: `a fox`, `three red circles`."""
    if thing.count > 1:
        return f"{NUMBERS[thing.count]} {describe(thing)}"
    return with_article(describe(thing))


def definite(thing: Thing) -> str:
    """Later mention: `the fox`, `the three red circles`."""
    number = f"{NUMBERS[thing.count]} " if thing.count > 1 else ""
    return f"the {number}{describe(thing)}"


class Teller:
    """Tells the events of one shot: what was mentioned before comes back as `the` or `it`."""

    def __init__(self, style: Style, shot: Shot, number: int = 0) -> None:
        self.style, self.shot, self.number = style, shot, number
        self.mentioned: set[int] = set()
        self.cloths: set[int] = set()
        self.last: int | None = None

    def clause(self, event: Event, form: Form = "present", *, adverb: bool = True) -> str:
        """`a fox moves to the left slowly`; mentions move on with each call."""
        key = f"{self.number} {pair_name(event.kind)} {event.actor}"
        phrase = self._phrase(event, f"phrase {key}")
        manner = self._manner(event, key) if adverb else ""
        early = self.style.index(f"early {key}", 3) == 0 and manner.endswith("ly")
        if early and " " not in manner and phrase.count("<") == 1 and "<be>" not in phrase:
            phrase, manner = phrase.replace("<", f"{manner} <", 1), ""
        if form == "progressive":
            phrase = re.sub(r"(\w+ly) (<[^>]*>)", r"\2 \1", phrase)
        text = self._filled(phrase, event, form)
        return f"{text} {manner}".strip()

    def _phrase(self, event: Event, key: str) -> str:
        first = pair_name(event.kind)
        phrase = self.style.of(key, wordings.EVENT_PHRASES[first])
        return wordings.chosen(phrase, int(event.kind != first))

    def _manner(self, event: Event, key: str) -> str:
        said = event.gait if event.gait != "steady" else event.tempo
        return self.style.of(f"manner {key}", wordings.TEMPO[said]) if said else ""

    def _filled(self, phrase: str, event: Event, form: Form) -> str:
        thing = self.shot.actors[event.actor].thing
        many = thing.count > 1
        same = self.last == event.actor and self.style.index(f"it {event.kind}", 5) < 3
        pronoun = same and "{B}" not in phrase
        name = self._name(event.actor)
        text = _VERB.sub(
            lambda found: conjugate(
                found[2], many=found[1] == "p" or (many and found[1] is None), form=form
            ),
            phrase,
        )
        text = text.replace("{A}", ("they" if many else "it") if pronoun else name)
        text = text.replace("{O}", ("them" if many else "it") if pronoun else name)
        text = text.replace("{it}", "them" if many else "it")
        text = text.replace("{its}", "their" if many else "its")
        if event.other is not None:
            text = text.replace("{B}", self._name(event.other))
            self.mentioned.add(event.other)
        if "{C}" in text:
            text = text.replace("{C}", self._accent(event))
        text = text.replace("{c}", f"{thing.accent} liquid")
        self.mentioned.add(event.actor)
        self.last = event.actor if event.other is None else None
        return text

    def _name(self, number: int) -> str:
        thing = self.shot.actors[number].thing
        return definite(thing) if number in self.mentioned else indefinite(thing)

    def _accent(self, event: Event) -> str:
        thing = self.shot.actors[event.actor].thing
        if thing.kind == "prop":
            return f"{thing.accent} liquid"
        known = event.actor in self.cloths
        self.cloths.add(event.actor)
        words = f"{thing.accent} cloth"
        return f"the {words}" if known else with_article(words)


def subject_is_actor(event: Event, style: Style, number: int = 0) -> bool:
    """Whether the clause starts with the actor, so that `a fox moving left` can be said."""
    phrase = Teller(style, _NO_SHOT, number)._phrase(
        event, f"phrase {number} {pair_name(event.kind)} {event.actor}"
    )
    return phrase.startswith("{A}") and phrase.count("<") == 1


_NO_SHOT = Shot(
    start_s=0.0,
    end_s=1.0,
    background=Background(kind="plain", name="plain"),
    actors=(),
    events=(),
)


def place_phrase(background: Background, style: Style, number: int = 0) -> str:
    """`on a beach at night`, `on a striped blue background`."""
    key = f"place {number}"
    if background.kind == "place":
        place = style.of(key, surroundings.PLACES[background.name])
        time = (
            style.of(f"time {number}", surroundings.TIME[background.time])
            if background.time
            else ""
        )
        return f"{place} {time}".strip()
    table = {"plain": surroundings.PLAIN, "gradient": surroundings.GRADIENT}.get(
        background.kind
    ) or surroundings.PATTERN[background.name]
    text = style.of(key, table)
    for number_, color in enumerate(background.colors, start=1):
        text = text.replace(f"{{{number_}}}", color)
    return re.sub(r"\ba (?=orange)", "an ", text)


assert all(EVENTS[name].opposite in EVENTS for name in EVENTS)
