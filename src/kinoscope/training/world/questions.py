"""Questions with answers: open and multiple choice, balanced so that guessing gives chance."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from kinoscope.training.world import wordings
from kinoscope.training.world.changes import another_sprite
from kinoscope.training.world.events import EVENTS, PROPS, pair_name
from kinoscope.training.world.grammar import (
    NUMBERS,
    Style,
    Teller,
    capitalized,
    conjugate,
    definite,
    describe,
    indefinite,
    with_article,
)
from kinoscope.training.world.scene import Event, Scene, Shot, Thing, opposite
from kinoscope.training.world.splits import COLORS, OTHER_PLACES, OUTDOORS, SHAPES, TIMES
from kinoscope.training.world.tasks import dice

Item = TypeVar("Item")

_OPTIONS = 4
_SINGLES = 0.018  # share of single things that are counted: as many as there are pairs
_PLACE_NAMES = {
    "beach": "on a beach",
    "desert": "in a desert",
    "meadow": "in a meadow",
    "forest": "in a forest",
    "sea": "at sea",
    "snowfield": "in the snow",
    "mountains": "in the mountains",
    "city": "in a city",
    "road": "on a road",
    "room": "in a room",
    "sky": "in the sky",
    "space": "in space",
    "underwater": "under water",
}
_TIME_NAMES = {"day": "during the day", "sunset": "at sunset", "night": "at night"}
_ADVERBS = {
    "slow": "slowly",
    "quick": "quickly",
    "jerky": "jerkily",
    "smooth": "smoothly",
    "faster": "faster and faster",
    "slower": "slower and slower",
}
_ADVERB_PAIRS = (("slow", "quick"), ("jerky", "smooth"), ("faster", "slower"))
# what leaves to the left moves to the left, too: no answer to what it is that moves there
_SAME_WAY = (
    {"move_left", "leave_left", "enter_right"},
    {"move_right", "leave_right", "enter_left"},
)

_WHERE = wordings.by_split(
    "Where is this?; Where does it happen?; Where was the video made?; Where does "
    "the action happen?; What kind of place is this?; Which place is shown?",
    "In what place was this recorded?",
    "What is the location?; Where are we?",
)
_TIME = wordings.by_split(
    "What time of day is it?; Is it day, evening or night?; When does it happen?; "
    "Which time of day is shown?",
    "When in the day was this recorded?",
    "At what time of day does it take place?",
)
_COLOR = wordings.by_split(
    "What color is {x}?; Which color does {x} have?; What color does {x} have?",
    "In what color is {x}?",
    "What is the color of {x}?",
)
_COUNT = wordings.by_split(
    "How many {x} are there?; How many {x} can be seen?; How many {x} does the "
    "video show?; How many {x} do you see?; Give the number of {x}",
    "What number of {x} is there?",
    "Count the {x}: how many are in view?",
)
_DIRECTION = wordings.by_split(
    "In which direction does {x} go?; Which way does {x} move?; Which way does {x} "
    "go?; In what direction does {x} move?",
    "Where does {x} head?",
    "What is the direction of {x}?",
)
_FIRST = wordings.by_split(
    "What happens first?; Which comes first?; What comes first?; Which happens "
    "first?; What do we see first?",
    "What is the earlier event?",
    "Which of these takes place before the other?",
)
_LAST = wordings.by_split(
    "What happens last?; Which comes last?; What comes last?; Which happens last?; "
    "What do we see last?",
    "What is the later event?",
    "Which of these takes place after the other?",
)
_BEFORE = wordings.by_split(
    "Is it true that {1} before {2}?; Does the video show that {1} before {2}?; Is "
    "it so that {1} before {2}?; Is it right that {1} and only then {2}?",
    "Can one say that {1} sooner than {2}?",
    "Would you say that {1} earlier than {2}?",
)
_TRUE = wordings.by_split(
    "Is it true that {1}?; Does the video show that {1}?; Is it so that {1}?; Is it "
    "right that {1}?; Can one see that {1}?",
    "Do we find that {1}?",
    "Would you say that {1}?",
)
_PRESENT = wordings.by_split(
    "Is there {x} in the video?; Can {x} be seen?; Does the video show {x}?; Is {x} "
    "in the picture?; Can you see {x}?",
    "Do you find {x}?",
    "Does {x} show up?",
)
_WHICH = wordings.by_split(
    "Which is right?; What happens?; What is going on?; What does the video show?; "
    "Which of these is true?; Which one happens?",
    "Which of the two is the case?",
    "Which description holds?",
)
_ADVERB = wordings.by_split(
    "How does it happen that {1}?; In which way does it happen that {1}?; What is "
    "the manner in which {1}?",
    "In what manner is it that {1}?",
    "Say how: {1}. In which way?",
)


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question on a video.

    Attributes:
        kind: `what`, `who`, `where`, `time`, `color`, `count`, `direction`, `first`, `order`,
            `event`, `presence`, `opposite` or `adverb`.
        question: the text.
        answer: what is true, in a few words.
        options: two to four choices, the answer among them, in random order.
    """

    kind: str
    question: str
    answer: str
    options: tuple[str, ...]

    def __post_init__(self) -> None:
        assert self.options.count(self.answer) == 1, (self.answer, self.options)

    @property
    def right(self) -> int:
        """Number of the right option."""
        return self.options.index(self.answer)


def questions(scene: Scene) -> tuple[Question, ...]:
    """All questions of the scene, at most one of each kind for each shot."""
    rng = dice(scene, "questions")
    style = Style(scene.split, int(rng.integers(1000)))
    found = []
    for number, shot in enumerate(scene.shots):
        asker = _Asker(scene, shot, number, style, rng)
        for make in asker.makers():
            found += [question for question in make() if _fair(question)]
    return tuple(found)


def _fair(question: Question) -> bool:
    return len(question.options) >= 2 and len(set(question.options)) == len(question.options)


class _Asker:
    """Asks about one shot."""

    def __init__(
        self, scene: Scene, shot: Shot, number: int, style: Style, rng: np.random.Generator
    ) -> None:
        self.scene, self.shot, self.number, self.style, self.rng = scene, shot, number, style, rng

    def makers(self) -> tuple[Callable[[], Iterator[Question]], ...]:
        always = (
            self.color,
            self.count,
            self.direction,
            self.what,
            self.event,
            self.opposite,
            self.adverb,
            self.presence,
        )
        order = (self.first, self.order) if len(self.shot.events) > 1 else ()
        one_shot = (self.where, self.time) if len(self.scene.shots) == 1 else ()
        return (*always, *order, *one_shot)

    def color(self) -> Iterator[Question]:
        things = [t for t in self._things() if t.color and not self._same_noun(t)]
        if things:
            thing = self._pick(things)
            assert thing.color is not None
            naked = definite(replace(thing, color=None))
            text = self.style.of("ask color", _COLOR).replace("{x}", naked)
            if thing.count > 1:
                text = text.replace(f"is {naked}", f"are {naked}")
                text = text.replace(f"does {naked}", f"do {naked}")
            yield self._choice("color", text, thing.color, COLORS)

    def count(self) -> Iterator[Question]:
        for thing in self._things():
            if thing.count == 1 and self.rng.uniform() > _SINGLES:
                continue
            text = self.style.of("ask count", _COUNT)
            words = describe(replace(thing, count=2))
            yield self._choice(
                "count", text.replace("{x}", words), NUMBERS[thing.count], NUMBERS[1:]
            )
            return

    def direction(self) -> Iterator[Question]:
        events = [e for e in self.shot.events if EVENTS[e.kind].direction and self._one_way(e)]
        if events:
            event = self._pick(events)
            answer = EVENTS[event.kind].direction
            turning = event.kind.startswith("turn")
            options = (
                ("clockwise", "counterclockwise") if turning else ("left", "right", "up", "down")
            )
            thing = self.shot.actors[event.actor].thing
            name = definite(thing)
            text = self.style.of("ask direction", _DIRECTION).replace("{x}", name)
            if turning:
                text = f"Which way {'do' if thing.count > 1 else 'does'} {name} turn?"
            if thing.count > 1:
                text = text.replace(f"does {name}", f"do {name}")
            yield self._choice("direction", text, answer, options)

    def what(self) -> Iterator[Question]:
        event = self._pick(self.shot.events)
        thing = self.shot.actors[event.actor].thing
        phrases = [
            p
            for p in self._phrases(event)
            if p.startswith("{A} <") and p.count("<") == 1 and "{B}" not in p and "{O}" not in p
        ]
        alike = next((kinds for kinds in _SAME_WAY if event.kind in kinds), {event.kind})
        others = [e for _, e in self.scene.events if e is not event and e.kind in alike]
        if not phrases or others:
            return
        person = thing.category == "person"
        phrase = self._pick(phrases).replace("{A}", "Who" if person else "What")
        phrase = phrase.replace("{C}", self._accent(thing)).replace("{its}", "its")
        phrase = phrase.replace("{c}", f"{thing.accent} liquid").replace("{it}", "it")
        verb = phrase[phrase.index("<") + 1 : phrase.index(">")]
        text = phrase.replace(f"<{verb}>", conjugate(verb, many=False, form="present")) + "?"
        options = [indefinite(t) for t in self._things() if t is not thing]
        options += [indefinite(t) for t in self._lookalikes(thing)]
        kind = "who" if person else "what"
        yield self._choice(kind, text, indefinite(thing), options[: _OPTIONS - 1])

    def event(self) -> Iterator[Question]:
        able = [e for e in self.shot.events if EVENTS[e.kind].opposite != e.kind and self._once(e)]
        if able:
            event = self._pick(able)
            true = bool(self.rng.integers(2))
            clause = self._clause(event if true else opposite(event), adverb=False)
            text = self.style.of("ask true", _TRUE).replace("{1}", clause)
            yield self._yes_no("event", text, true)

    def opposite(self) -> Iterator[Question]:
        able = [e for e in self.shot.events if EVENTS[e.kind].opposite != e.kind and self._once(e)]
        if able:
            event = self._pick(able)
            answer = capitalized(self._clause(event, adverb=False))
            wrong = capitalized(self._clause(opposite(event), adverb=False))
            text = self.style.of("ask which", _WHICH)
            yield self._choice("opposite", text, answer, (wrong,))

    def adverb(self) -> Iterator[Question]:
        able = [e for e in self.shot.events if e.tempo or e.gait != "steady"]
        if able:
            event = self._pick(able)
            said = event.tempo or event.gait
            pair = next(pair for pair in _ADVERB_PAIRS if said in pair)
            text = self.style.of("ask adverb", _ADVERB)
            text = text.replace("{1}", self._clause(event, adverb=False))
            yield self._choice("adverb", text, _ADVERBS[said], [_ADVERBS[name] for name in pair])

    def presence(self) -> Iterator[Question]:
        sprites = [t for t in self._things() if t.kind == "sprite"]
        present = bool(self.rng.integers(2))
        if self.number or not sprites:
            return
        name = self._pick(sprites).name if present else self.scene.absent
        text = self.style.of("ask present", _PRESENT).replace("{x}", with_article(name))
        yield self._yes_no("presence", text, present)

    def first(self) -> Iterator[Question]:
        place = int(self.rng.integers(len(self.shot.events) - 1))
        first, second = self.shot.events[place : place + 2]
        early = bool(self.rng.integers(2))
        answer, wrong = (first, second) if early else (second, first)
        text = self.style.of("ask order", _FIRST if early else _LAST)
        options = [capitalized(self._clause(e, adverb=False)) for e in (answer, wrong)]
        if len(self.shot.events) == 2:
            yield self._choice("first", text, options[0], options)

    def order(self) -> Iterator[Question]:
        place = int(self.rng.integers(len(self.shot.events) - 1))
        pair = list(self.shot.events[place : place + 2])
        true = bool(self.rng.integers(2))
        one, two = (self._clause(e, adverb=False) for e in (pair if true else pair[::-1]))
        text = self.style.of("ask before", _BEFORE).replace("{1}", one).replace("{2}", two)
        yield self._yes_no("order", text, true)

    def where(self) -> Iterator[Question]:
        background = self.shot.background
        if background.kind == "place":
            text = self.style.of("ask where", _WHERE)
            names = [_PLACE_NAMES[name] for name in (*OUTDOORS, *OTHER_PLACES)]
            yield self._choice("where", text, _PLACE_NAMES[background.name], names)

    def time(self) -> Iterator[Question]:
        time = self.shot.background.time
        if time:
            names = [_TIME_NAMES[name] for name in TIMES]
            yield self._choice("time", self.style.of("ask time", _TIME), _TIME_NAMES[time], names)

    def _choice(self, kind: str, text: str, answer: str, options: Sequence[str]) -> Question:
        """The answer among up to three others, shuffled."""
        wrong = [option for option in dict.fromkeys(options) if option != answer]
        chosen = [wrong[n] for n in self.rng.permutation(len(wrong))[: _OPTIONS - 1]]
        both = [answer, *chosen]
        shuffled = tuple(both[n] for n in self.rng.permutation(len(both)))
        return Question(kind=kind, question=capitalized(text), answer=answer, options=shuffled)

    def _yes_no(self, kind: str, text: str, true: bool) -> Question:
        return self._choice(kind, text, "yes" if true else "no", ("yes", "no"))

    def _clause(self, event: Event, *, adverb: bool) -> str:
        teller = Teller(self.style, self.shot, self.number)
        teller.mentioned = set(range(len(self.shot.actors)))
        return teller.clause(event, adverb=adverb)

    def _phrases(self, event: Event) -> list[str]:
        first = pair_name(event.kind)
        told = wordings.EVENT_PHRASES[first][self.scene.split]
        return [wordings.chosen(phrase, int(event.kind != first)) for phrase in told]

    def _lookalikes(self, thing: Thing) -> Iterator[Thing]:
        """Other things of its kind that are not in the video."""
        taken = [actor.thing.name for shot in self.scene.shots for actor in shot.actors]
        for _ in range(_OPTIONS - 1):
            if thing.kind == "sprite":
                other = another_sprite(self.scene, thing, taken, self.rng)
            else:
                kinds = SHAPES if thing.kind == "shape" else sum(PROPS.values(), ())
                names = [n for n in kinds if n not in taken and n not in thing.name.split()]
                other = replace(thing, name=self._pick(names)) if names else None
            if other is not None:
                taken.append(other.name)
                yield other

    def _accent(self, thing: Thing) -> str:
        return (
            f"{thing.accent} liquid"
            if thing.kind == "prop"
            else with_article(f"{thing.accent} cloth")
        )

    def _once(self, event: Event) -> bool:
        """Whether the opposite does not happen to the same actor too."""
        kinds = [e.kind for e in self.shot.events if e.actor == event.actor]
        return EVENTS[event.kind].opposite not in kinds

    def _one_way(self, event: Event) -> bool:
        """Whether nothing called like its thing goes, or turns, in another way in the video."""
        name = definite(self.shot.actors[event.actor].thing)
        turning = event.kind.startswith("turn")
        kinds = {
            other.kind
            for shot, other in self.scene.events
            if any(definite(shot.actors[n].thing) == name for n in other.actors)
            and (other.kind.startswith("turn") if turning else EVENTS[other.kind].travels)
        }
        return kinds == {event.kind}

    def _same_noun(self, thing: Thing) -> bool:
        names = [actor.thing.name for shot in self.scene.shots for actor in shot.actors]
        return names.count(thing.name) > 1

    def _things(self) -> list[Thing]:
        return [actor.thing for actor in self.shot.actors]

    def _pick(self, items: Sequence[Item]) -> Item:
        return items[int(self.rng.integers(len(items)))]
