"""Changes of exactly one fact: wrong texts, edited videos and tempting answers are made of them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from kinoscope.training.world.events import EVENTS, PROPS
from kinoscope.training.world.nouns import confusable, nouns_of
from kinoscope.training.world.scene import (
    Actor,
    Background,
    Event,
    Scene,
    Shot,
    Thing,
    opposite,
)
from kinoscope.training.world.splits import COLORS, OTHER_PLACES, OUTDOORS, TIMES, combinations

Item = TypeVar("Item")

_OTHER_GAIT = {"jerky": "smooth", "smooth": "jerky", "faster": "slower", "slower": "faster"}
_OTHER_TEMPO = {"quick": "slow", "slow": "quick"}


@dataclass(frozen=True)
class Change:
    """A scene that differs in one fact.

    Attributes:
        kind: `actor`, `color`, `direction`, `order`, `count`, `place`, `time`, `manner`,
            `added` or `removed`.
        scene: the changed scene, which can be rendered and told.
        shot: number of the shot that changed.
        before, after: what changed: things, places, events or adverbs.
    """

    kind: str
    scene: Scene
    shot: int
    before: Thing | Background | Event | None
    after: Thing | Background | Event | None


def changes(scene: Scene, rng: np.random.Generator) -> dict[str, Change]:
    """At most one change of each kind that the scene allows."""
    found: dict[str, Change] = {}
    for number in rng.permutation(len(scene.shots)):
        for change in _shot_changes(scene, int(number), rng):
            found.setdefault(change.kind, change)
    if len(scene.shots) > 1 and "order" not in found:
        found["order"] = _swapped_shots(scene)
    return {kind: found[kind] for kind in sorted(found)}


def _shot_changes(scene: Scene, number: int, rng: np.random.Generator) -> Iterator[Change]:
    for make in (
        _actor,
        _color,
        _direction,
        _order,
        _count,
        _place,
        _time,
        _manner,
        _added,
        _removed,
    ):
        made = make(scene, scene.shots[number], rng)
        if made is not None:
            shot, before, after = made
            shots = (*scene.shots[:number], shot, *scene.shots[number + 1 :])
            kind = make.__name__[1:]
            yield Change(kind, replace(scene, shots=shots), number, before, after)


_Made = tuple[Shot, Thing | Background | Event | None, Thing | Background | Event | None] | None
_Make = Callable[[Scene, Shot, np.random.Generator], _Made]


def _with_thing(shot: Shot, number: int, thing: Thing) -> _Made:
    before = shot.actors[number]
    actors = list(shot.actors)
    actors[number] = replace(before, thing=thing)
    return replace(shot, actors=tuple(actors)), before.thing, thing


def _actor(scene: Scene, shot: Shot, rng: np.random.Generator) -> _Made:
    """Another noun of the same kind: a fox for a cat, a heart for a star, a jar for a bottle."""
    number = _pick(rng, range(len(shot.actors)))
    thing = shot.actors[number].thing
    taken = [actor.thing.name for s in scene.shots for actor in s.actors]
    if thing.kind == "sprite":
        other = another_sprite(scene, thing, taken, rng)
        return _with_thing(shot, number, other) if other else None
    if thing.kind == "prop":
        alike = next(names for names in PROPS.values() if thing.name in names)
        names = [n for n in alike if n not in taken and n not in thing.name.split()]
    else:
        pairs = combinations(scene.vocabulary)
        turning = any(
            e.kind.startswith(("turn", "wobble")) and number in e.actors for e in shot.events
        )
        names = [s for c, s in pairs if c == thing.color and s not in taken]
        names = [n for n in names if not turning or n in ("heart", "triangle", "arrow", "crescent")]
    return _with_thing(shot, number, replace(thing, name=_pick(rng, names))) if names else None


def another_sprite(
    scene: Scene, thing: Thing, taken: Sequence[str], rng: np.random.Generator
) -> Thing | None:
    """A sprite of the same category that nobody takes for what is there, nor for what is absent."""
    nouns = [
        noun
        for noun in nouns_of(scene.vocabulary, (thing.look.split("/")[0],))
        if noun.category == thing.category
        and not any(confusable(noun.name, name) for name in (*taken, scene.absent))
    ]
    if not nouns:
        return None
    noun = _pick(rng, nouns)
    return replace(thing, name=noun.name, look=_pick(rng, noun.looks))


def _color(scene: Scene, shot: Shot, rng: np.random.Generator) -> _Made:
    able = [n for n, actor in enumerate(shot.actors) if actor.thing.color]
    if not able:
        return None
    number = _pick(rng, able)
    thing = shot.actors[number].thing
    taken = {thing.color, thing.accent, *shot.background.colors}
    taken |= {a.thing.color for a in shot.actors if a.thing.name == thing.name}
    if thing.kind == "shape":
        fit = [c for c, s in combinations(scene.vocabulary) if s == thing.name]
    else:
        fit = list(COLORS)
    colors = [color for color in fit if color not in taken]
    return _with_thing(shot, number, replace(thing, color=_pick(rng, colors))) if colors else None


def _direction(scene: Scene, shot: Shot, rng: np.random.Generator) -> _Made:
    """One event the other way round; only where its actors do nothing else."""
    able = []
    for place, event in enumerate(shot.events):
        others = [e for e in shot.events if e is not event and set(e.actors) & set(event.actors)]
        if EVENTS[event.kind].opposite != event.kind and not others:
            able.append(place)
    if not able:
        return None
    place = _pick(rng, able)
    before = shot.events[place]
    after = replace(opposite(before), gait=before.gait)
    events = (*shot.events[:place], after, *shot.events[place + 1 :])
    return replace(shot, events=events), before, after


def _order(scene: Scene, shot: Shot, rng: np.random.Generator) -> _Made:
    """Two events of different actors change places in time."""
    pairs = [
        place
        for place in range(len(shot.events) - 1)
        if not set(shot.events[place].actors) & set(shot.events[place + 1].actors)
    ]
    if not pairs:
        return None
    place = _pick(rng, pairs)
    first, second = shot.events[place], shot.events[place + 1]
    early = replace(
        second, start_s=first.start_s, end_s=first.start_s + second.end_s - second.start_s
    )
    late = replace(first, start_s=second.end_s - (first.end_s - first.start_s), end_s=second.end_s)
    events = (*shot.events[:place], early, late, *shot.events[place + 2 :])
    return replace(shot, events=events), first, second


def _count(scene: Scene, shot: Shot, rng: np.random.Generator) -> _Made:
    able = [n for n, actor in enumerate(shot.actors) if actor.thing.count > 1]
    if not able:
        return None
    number = _pick(rng, able)
    thing = shot.actors[number].thing
    counts = [count for count in range(2, 6) if count != thing.count]
    return _with_thing(shot, number, replace(thing, count=_pick(rng, counts)))


def _place(scene: Scene, shot: Shot, rng: np.random.Generator) -> _Made:
    """Another place at the same time of day, or another color behind."""
    before = shot.background
    if before.kind == "place":
        names = [n for n in (OUTDOORS if before.time else OTHER_PLACES) if n != before.name]
        return _with_background(shot, replace(before, name=_pick(rng, names)))
    if not before.colors:
        return None
    taken = {*before.colors, *(actor.thing.color for actor in shot.actors)}
    color = _pick(rng, [color for color in COLORS if color not in taken])
    return _with_background(shot, replace(before, colors=(color, *before.colors[1:])))


def _time(scene: Scene, shot: Shot, rng: np.random.Generator) -> _Made:
    before = shot.background
    if not before.time:
        return None
    times = [time for time in TIMES if time != before.time]
    return _with_background(shot, replace(before, time=_pick(rng, times)))


def _with_background(shot: Shot, after: Background) -> _Made:
    return replace(shot, background=after), shot.background, after


def _manner(scene: Scene, shot: Shot, rng: np.random.Generator) -> _Made:
    """The adverb turned round; the scene is for telling, not for showing."""
    able = [n for n, event in enumerate(shot.events) if event.tempo or event.gait != "steady"]
    if not able:
        return None
    place = _pick(rng, able)
    before = shot.events[place]
    if before.gait != "steady":
        after = replace(before, gait=_OTHER_GAIT[before.gait])
    else:
        after = replace(before, tempo=_OTHER_TEMPO[before.tempo])
    events = (*shot.events[:place], after, *shot.events[place + 1 :])
    return replace(shot, events=events), before, after


def _added(scene: Scene, shot: Shot, rng: np.random.Generator) -> _Made:
    """One more bystander in a free corner."""
    corners = [(0.17, 0.17), (0.83, 0.17), (0.17, 0.83), (0.83, 0.83)]
    poses = [p for e in shot.events for p in (e.begin, e.end, e.other_begin, e.other_end) if p]
    poses += [actor.pose for actor in shot.actors]
    free = [c for c in corners if all(_apart(c, (p.x, p.y), p.scale) for p in poses)]
    sprite = next((a.thing for a in shot.actors if a.thing.kind == "sprite"), None)
    crossing = any(EVENTS[event.kind].room != "cell" for event in shot.events)
    if not free or sprite is None or crossing:
        return None
    taken = [actor.thing.name for s in scene.shots for actor in s.actors]
    other = another_sprite(scene, replace(sprite, count=1, size="normal", accent=""), taken, rng)
    if other is None:
        return None
    x, y = _pick(rng, free)
    pose = replace(
        shot.actors[0].pose, x=x, y=y, scale=0.28, angle=0.0, alpha=1.0, state=0.0, hand=0.0
    )
    return replace(shot, actors=(*shot.actors, Actor(thing=other, pose=pose))), None, other


def _apart(a: tuple[float, float], b: tuple[float, float], scale: float) -> bool:
    return max(abs(a[0] - b[0]), abs(a[1] - b[1])) > 0.14 + scale / 2


def _removed(scene: Scene, shot: Shot, rng: np.random.Generator) -> _Made:
    """A bystander is gone."""
    if not shot.bystanders:
        return None
    gone = _pick(rng, shot.bystanders)
    actors = tuple(actor for n, actor in enumerate(shot.actors) if n != gone)
    events = tuple(
        replace(
            event,
            actor=event.actor - (event.actor > gone),
            other=None if event.other is None else event.other - (event.other > gone),
        )
        for event in shot.events
    )
    return replace(shot, actors=actors, events=events), shot.actors[gone].thing, None


def _swapped_shots(scene: Scene) -> Change:
    """The first two shots in the other order, times moved along."""
    first, second = scene.shots[:2]
    length_s = second.end_s - second.start_s
    early = _moved(second, scene.shots[0].start_s - second.start_s)
    late = _moved(first, length_s)
    changed = replace(scene, shots=(early, late, *scene.shots[2:]))
    return Change("order", changed, 0, first.events[0], second.events[0])


def _moved(shot: Shot, by_s: float) -> Shot:
    events = tuple(
        replace(event, start_s=event.start_s + by_s, end_s=event.end_s + by_s)
        for event in shot.events
    )
    return replace(shot, start_s=shot.start_s + by_s, end_s=shot.end_s + by_s, events=events)


def _pick(rng: np.random.Generator, items: Sequence[Item]) -> Item:
    return items[int(rng.integers(len(items)))]
