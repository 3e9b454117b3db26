"""Composed triplets: a source's caption and an edit against the caption of the target."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from kinoscope.training.english import conjugate, with_article
from kinoscope.training.triplets.lexicon import Lexicon
from kinoscope.training.triplets.phrases import filled, fits, pick
from kinoscope.training.triplets.scenes import (
    Scene,
    another,
    coloured,
    other_name,
    sampled,
)
from kinoscope.training.triplets.triplet import Triplet
from kinoscope.training.world.nouns import plural
from kinoscope.training.world.scene import Split

_UNEDITED = 0.5
"""Share of negatives that are the source itself; the others have a third value."""


@dataclass(frozen=True)
class Change:
    """A scene before and after an edit, another that is wrong, and the words of the edit."""

    source: Scene
    target: Scene
    wrong: Scene
    slots: Mapping[str, str]


Chance = tuple[Lexicon, Split, Random]


def composed_triplet(lexicon: Lexicon, split: Split, rng: Random) -> Triplet:
    """The negative is the source unedited, or edited to a third value."""
    patterns = lexicon.edits[split]
    kind = pick(rng, list(CHANGES))
    change = CHANGES[kind](base(kind, (lexicon, split, rng)), (lexicon, split, rng))
    instructions = [one.texts[0] for one in patterns if one.kind == kind]
    instruction = pick(rng, [one for one in instructions if fits(one, change.slots)])
    captions = [one.texts[0] for one in patterns if one.kind == "caption"]
    told = pick(rng, captions)
    retold = told if rng.random() < 0.5 else pick(rng, captions)
    unedited = change.wrong == change.source or rng.random() < _UNEDITED
    return Triplet(
        anchor=filled(told, change.source.slots()),
        edit=filled(instruction, change.slots),
        positive=filled(retold, change.target.slots()),
        negative=(
            filled(told, change.source.slots())
            if unedited
            else filled(retold, change.wrong.slots())
        ),
        part="composed",
        why=f"edit of {kind}: {'not applied' if unedited else 'another value'}",
    )


def base(kind: str, chance: Chance) -> Scene:
    """A scene in which something of this kind can change."""
    lexicon, split, rng = chance
    scene = sampled(pick(rng, lexicon.scenes[split]), rng, shared=kind == "number")
    if kind == "colour" or rng.random() < 0.4:
        scene = coloured(scene, rng)
    if kind not in ("number", "object", "add", "remove") and rng.random() < 0.2:
        alone = [act for act in scene.words.actions if "its" not in act]
        scene = replace(scene, number=pick(rng, lexicon.numbers[split]), action=pick(rng, alone))
    if kind == "time" or rng.random() < 0.2:
        scene = replace(scene, time=pick(rng, lexicon.times[split]))
    if not scene.many and kind not in ("add", "remove") and rng.random() < 0.2:
        scene = replace(scene, extra=pick(rng, scene.words.extras))
    return scene


def _named(scene: Scene) -> str:
    """`the dog`, `the dogs`."""
    return f"the {plural(scene.name) if scene.many else scene.name}"


def _exchanged(scene: Scene, name: str, options: Sequence[str], rng: Random) -> Change:
    """One field with another of the options; `wrong` has a third one."""
    old = getattr(scene, name)
    new = another(rng, options, old)
    target: dict[str, Any] = {name: new}
    wrong: dict[str, Any] = {name: another(rng, options, old, new)}
    slots = {"old": old, "new": new}
    return Change(scene, replace(scene, **target), replace(scene, **wrong), slots)


def _colour(scene: Scene, chance: Chance) -> Change:
    change = _exchanged(scene, "colour", scene.words.colours, chance[2])
    worn = plural(scene.garment) if scene.many and scene.garment else scene.garment
    thing = f"the {worn}" if worn else _named(scene)
    return replace(change, slots={**change.slots, "t": thing})


def _object(scene: Scene, chance: Chance) -> Change:
    name = other_name(scene, chance[2])
    rest = [one for one in scene.words.names if one not in (scene.name, name)]
    person = scene.words.section == "person"
    third = scene if person or not rest else replace(scene, name=pick(chance[2], rest))
    slots = {
        "t": f"the {scene.name}",
        "Old": with_article(scene.name),
        "New": with_article(name),
    }
    return Change(scene, replace(scene, name=name), third, slots)


def _place(scene: Scene, chance: Chance) -> Change:
    return _exchanged(scene, "place", scene.words.places, chance[2])


def _time(scene: Scene, chance: Chance) -> Change:
    lexicon, split, rng = chance
    return _exchanged(scene, "time", lexicon.times[split], rng)


def _number(scene: Scene, chance: Chance) -> Change:
    lexicon, split, rng = chance
    numbers = ("one", *lexicon.numbers[split])
    plain = replace(scene, extra="")
    old = pick(rng, numbers)
    new = another(rng, numbers, old)
    third = another(rng, numbers, old, new)
    source, target, wrong = (replace(plain, number=number) for number in (old, new, third))
    return Change(source, target, wrong, {"t": _named(source), "old": old, "new": new})


def _action(scene: Scene, chance: Chance) -> Change:
    actions = [act for act in scene.words.actions if not scene.many or "its" not in act]
    change = _exchanged(scene, "action", actions, chance[2])
    slots = {"t": _named(scene), **change.slots}
    for name in ("old", "new"):
        verb, *rest = change.slots[name].split()
        slots[f"{name}_ing"] = " ".join([conjugate(verb, many=True, form="participle"), *rest])
    return replace(change, slots=slots)


def _manner(scene: Scene, chance: Chance) -> Change:
    pair = pick(chance[2], scene.words.manners)
    old, new = pair if chance[2].random() < 0.5 else pair[::-1]
    action = scene.action if scene.action in scene.words.moves else scene.words.moves[0]
    source = replace(scene, manner=old, action=action)
    return Change(source, replace(source, manner=new), source, {"old": old, "new": new})


def _add(scene: Scene, chance: Chance) -> Change:
    extras = scene.words.extras
    new = pick(chance[2], extras)
    target, wrong = (
        replace(scene, extra=extra) for extra in (new, another(chance[2], extras, new))
    )
    return Change(scene, target, wrong, {"t": _named(scene), "New": with_article(new)})


def _remove(scene: Scene, chance: Chance) -> Change:
    old = pick(chance[2], scene.words.extras)
    source = replace(scene, extra=old)
    return Change(source, scene, source, {"t": _named(scene), "old": old})


CHANGES: Mapping[str, Callable[[Scene, Chance], Change]] = {
    "colour": _colour,
    "object": _object,
    "place": _place,
    "time": _time,
    "number": _number,
    "action": _action,
    "manner": _manner,
    "add": _add,
    "remove": _remove,
}
"""What an edit can change."""
