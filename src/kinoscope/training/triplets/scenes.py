"""Scenes of one kind of actor, and triplets that state, deny or contradict what is in them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from kinoscope.training.english import with_article
from kinoscope.training.triplets.actions import Clause, done_by
from kinoscope.training.triplets.lexicon import Lexicon, Pattern, SceneWords
from kinoscope.training.triplets.phrases import (
    Slots,
    Subject,
    filled,
    fits,
    one_of,
    pick,
    subject_slots,
    verb_slots,
)
from kinoscope.training.triplets.triplet import Part, Triplet
from kinoscope.training.world.nouns import plural
from kinoscope.training.world.scene import Split

_PARAPHRASED = 0.35
"""Share of core triplets of an activity in other words, rather than of a scene."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Who does what, where, when and how. Empty: not said; `number` `one`: a single one."""

    words: SceneWords
    name: str
    action: str
    place: str
    number: str = "one"
    colour: str = ""
    garment: str = ""
    extra: str = ""
    time: str = ""
    manner: str = ""

    @property
    def many(self) -> bool:
        """Whether there are several."""
        return self.number != "one"

    @property
    def pronoun(self) -> str:
        """`he`, `she` or `it`."""
        return self.words.names[self.name]

    def bare(self) -> str:
        """Without determiner: `black dog`, `women in red coats`."""
        noun = plural(self.name) if self.many else self.name
        if not self.colour:
            return noun
        if not self.garment:
            return f"{self.colour} {noun}"
        worn = f"{self.colour} {self.garment}"
        return f"{noun} in {plural(worn) if self.many else with_article(worn)}"

    def told(self) -> str:
        """With determiner and what it has: `a black dog with a red collar`."""
        bare = self.bare()
        named = f"{self.number} {bare}" if self.many else with_article(bare)
        return f"{named} with {with_article(self.extra)}" if self.extra else named

    def slots(self) -> dict[str, str]:
        """What captions need: subject and verb, manner `M`, place and time `P`."""
        subject = Subject(self.told(), self.pronoun, self.many)
        where = f"{self.place} {self.time}".strip()
        verbs = verb_slots(subject, self.action)
        return subject_slots(subject) | verbs | {"P": where, "M": self.manner}


def sampled(words: SceneWords, rng: Random, *, shared: bool = False) -> Scene:
    """A single actor without colour; `shared` if others may do the same, none of them its own."""
    actions = [act for act in words.actions if not shared or "its" not in act]
    return Scene(
        words=words,
        name=pick(rng, list(words.names)),
        action=pick(rng, actions),
        place=pick(rng, words.places),
    )


def coloured(scene: Scene, rng: Random) -> Scene:
    """With a colour: its own, or that of what a person wears."""
    garment = pick(rng, scene.words.garments) if scene.words.garments else ""
    return replace(scene, colour=pick(rng, scene.words.colours), garment=garment)


def another(rng: Random, options: Sequence[str], *but: str) -> str:
    """One of the options that is none of `but`."""
    return pick(rng, [option for option in options if option not in but])


def other_name(scene: Scene, rng: Random) -> str:
    """Another actor of the kind; a person of the other sex, for a farmer may be a man."""
    names = scene.words.names
    person = scene.words.section == "person"
    fitting = [n for n in names if not person or names[n] != scene.pronoun]
    return another(rng, fitting, scene.name)


def negation_triplet(lexicon: Lexicon, split: Split, rng: Random) -> Triplet:
    """The negative denies what the anchor claims, or claims what it denies."""
    pattern = pick(rng, _by_kind(lexicon.negation[split], rng))
    return _patterned("negation", pattern, f"negation: {pattern.kind}", (lexicon, split, rng))


def core_triplet(lexicon: Lexicon, split: Split, rng: Random) -> Triplet:
    """The positive says the same or less in other words, the negative contradicts."""
    if rng.random() < _PARAPHRASED:
        return _paraphrase(lexicon, split, rng)
    pattern = pick(rng, _by_kind(lexicon.core[split], rng))
    return _patterned("core", pattern, f"contradiction: {pattern.kind}", (lexicon, split, rng))


def _by_kind(patterns: Sequence[Pattern], rng: Random) -> list[Pattern]:
    """Those of one kind: each kind comes as often as another."""
    kind = pick(rng, list(dict.fromkeys(pattern.kind for pattern in patterns)))
    return [pattern for pattern in patterns if pattern.kind == kind]


def _patterned(
    part: Part, pattern: Pattern, why: str, chance: tuple[Lexicon, Split, Random]
) -> Triplet:
    lexicon, split, rng = chance
    scene = _scene_for(pattern, lexicon, split, rng)
    slots = _said(scene, rng)
    assert all(fits(text, slots) for text in pattern.texts), f"{pattern.texts} ask for more"
    anchor, positive, negative = (filled(text, slots) for text in pattern.texts)
    return Triplet(anchor=anchor, positive=positive, negative=negative, part=part, why=why)


def _scene_for(pattern: Pattern, lexicon: Lexicon, split: Split, rng: Random) -> Scene:
    """A scene that has what the pattern needs."""
    section = next((need for need in ("person", "thing") if need in pattern.needs), None)
    kinds = [words for words in lexicon.scenes[split] if section in (None, words.section)]
    if "colour" in pattern.needs:  # of a person, what is worn has the colour
        kinds = [words for words in kinds if not words.garments]
    joined = " ".join(pattern.texts)
    several = {"many", "other"} & pattern.needs or "{ns}" in joined
    scene = sampled(pick(rng, kinds), rng, shared=bool(several))
    if "colour" in pattern.needs or rng.random() < 0.3:
        scene = coloured(scene, rng)
    many = "many" in pattern.needs or ("one" not in pattern.needs and rng.random() < 0.2)
    if many:
        alone = [act for act in scene.words.actions if "its" not in act]
        action = scene.action if scene.action in alone else pick(rng, alone)
        scene = replace(scene, number=pick(rng, lexicon.numbers[split]), action=action)
    if rng.random() < 0.2:
        scene = replace(scene, time=pick(rng, lexicon.times[split]))
    return scene


def _said(scene: Scene, rng: Random) -> Slots:
    """All slots of negations and contradictions."""
    words = scene.words
    own = "its" in scene.action  # then nobody else in the text does it
    actions = [act for act in words.actions if own or "its" not in act]
    subject = Subject(scene.told(), scene.pronoun, scene.many)
    second = verb_slots(subject, another(rng, actions, scene.action))
    other = replace(scene, name=other_name(scene, rng))
    plain = replace(scene, colour="", garment="", number="one")
    extra = pick(rng, words.extras)
    place = another(rng, words.places, scene.place)
    found = scene.slots() | {f"{name}2": form for name, form in second.items()}
    return found | {
        "A": plain.told(),
        "T": f"the {f'{scene.number} ' if scene.many else ''}{scene.bare()}",
        "t": f"the {scene.name}",
        "n": scene.name,
        "ns": plural(scene.name),
        "are": "are",
        "O": replace(plain, name=other.name).told(),
        "o": other.name,
        "W": with_article(extra),
        "w": extra,
        "W2": with_article(another(rng, words.extras, extra)),
        "c": scene.colour,
        "c2": another(rng, words.colours, scene.colour),
        "K": with_article(words.kind),
        "kind": words.kind,
        "P2": f"{place} {scene.time}".strip(),
    }


def _paraphrase(lexicon: Lexicon, split: Split, rng: Random) -> Triplet:
    """An activity in two wordings against another activity of the same person."""
    activities = lexicon.activities[split]
    said = pick(rng, [one for one in activities if len(one.wordings) > 1])
    wrong = pick(rng, [one for one in activities if not set(one.fits) & set(said.fits)])
    while wrong is said:
        wrong = pick(rng, activities)
    person = pick(rng, lexicon.people[split])
    who = one_of(person, rng, 0)
    when = pick(rng, lexicon.times[split]) if rng.random() < 0.3 else ""
    clause = replace(done_by(said, who, rng, definite=rng.random() < 0.5), when=when)
    other = replace(done_by(wrong, who, rng, definite=clause.definite), when=when)
    implied = replace(clause, subject=one_of(person, rng), wording=said.wordings[1], when="")
    frames = lexicon.frames[split]
    frame = _frame(frames, rng, clause, other)
    second = _frame([one for one in frames if one != frame], rng, implied)
    return Triplet(
        anchor=filled(frame, clause.slots()),
        positive=filled(second, implied.slots()),
        negative=filled(frame, other.slots()),
        part="core",
        why="contradiction: another activity",
    )


def _frame(frames: Sequence[str], rng: Random, *clauses: Clause) -> str:
    return pick(rng, [f for f in frames if all(fits(f, clause.slots()) for clause in clauses)])
