"""Casting: which things take part in a shot, where they stand, and what happens to them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from kinoscope.training.world.config import WorldConfig
from kinoscope.training.world.events import EVENTS, PROPS, Who, pair_name
from kinoscope.training.world.layout import Cell, Layout, make_cell, pair_poses, poses, rest
from kinoscope.training.world.nouns import confusable, nouns_of
from kinoscope.training.world.scene import Actor, Event, Pose, Split, Thing
from kinoscope.training.world.splits import COLORS, TEXTURES, combinations

Item = TypeVar("Item")

_TURNS_UNSEEN = {
    "circle",
    "ring",
    "star",
    "cross",
    "hexagon",
    "square",
    "soccer ball",
    "basketball",
    "tennis ball",
    "volleyball",
    "cricket ball",
    "orange",
    "tangerine",
    "tomato",
    "globe",
    "full moon",
    "sun",
    "billiard ball",
    "wheel",
    "cookie",
    "doughnut",
    "daisy",
    "Christmas wreath",
    "snowflake",
}
_STACKABLE = ("square", "hexagon", "circle", "diamond", "ring")
_UNHANDY = ("gesture", "building", "sky")  # not for a hand to carry
_TRIES = 40


class Cast:
    """The actors of one shot in the making; `seen` are the nouns of the video so far."""

    def __init__(
        self,
        rng: np.random.Generator,
        vocabulary: Split,
        config: WorldConfig,
        background_colors: Sequence[str],
        seen: list[str],
    ) -> None:
        self.rng, self.vocabulary, self.config = rng, vocabulary, config
        self.background_colors = background_colors
        self.seen = seen
        self.things: list[Thing] = []
        self.starts: list[Pose] = []
        self.cells: list[Cell] = []
        self.layout: Layout = "free"

    def actors(self) -> tuple[Actor, ...]:
        """What was cast, each at its first pose."""
        pairs = zip(self.things, self.starts, strict=True)
        return tuple(Actor(thing=thing, pose=pose) for thing, pose in pairs)

    def draft(self, wanted: int) -> list[Event]:
        """Up to `wanted` events in order, at least one, without times."""
        first = self._kind()
        if EVENTS[first].who == "pair":
            return self._draft_pair(first, wanted)
        count = self._count(first)
        self._lay_out(first, count)
        events = [self._begin(first, 0, count)]
        poses_now: dict[int, Pose] = {0: events[0].end}
        while len(events) < wanted:
            extra = self._further(events, poses_now, count)
            if extra is None:
                break
            events.append(extra)
            poses_now[extra.actor] = extra.end
        for number in range(len(self.things), count):
            self._add(number, count, self._thing("body", number, None))
            self.starts.append(rest(self.cells[number], self.rng))
        return events

    def _kind(self) -> str:
        kinds = self.config.kinds or tuple(EVENTS)
        names = sorted({pair_name(kind) for kind in kinds})
        chiral = [name for name in names if EVENTS[name].opposite != name]
        pair = self._pick([*names, *chiral])  # twice the weight where there is an opposite
        return self._pick([k for k in dict.fromkeys((pair, EVENTS[pair].opposite)) if k in kinds])

    def _count(self, kind: str) -> int:
        if EVENTS[kind].room == "all":
            return 1
        most = min(self.config.max_actors, 4 if EVENTS[kind].room == "cell" else 3)
        weights = np.array([0.34, 0.42, 0.16, 0.08][:most])
        return 1 + int(self.rng.choice(most, p=weights / weights.sum()))

    def _lay_out(self, kind: str, count: int) -> None:
        room = EVENTS[kind].room
        if count == 1:
            self.layout = "free"
        elif count == 4:
            self.layout = "cells"
        elif room == "cell":
            self.layout = self._pick(("rows", "columns"))
        else:
            self.layout = "rows" if room == "row" else "columns"

    def _allowed(self, kind: str) -> bool:
        room = EVENTS[kind].room
        fits = {
            "free": True,
            "rows": room in ("cell", "row"),
            "columns": room in ("cell", "column"),
            "cells": room == "cell",
        }
        return fits[self.layout] and (not self.config.kinds or kind in self.config.kinds)

    def _begin(self, kind: str, number: int, count: int) -> Event:
        """The first event of a new actor."""
        while True:
            thing = self._thing(EVENTS[kind].who, number, kind)
            cell = self._cell(number, count, thing)
            found = poses(kind, None, cell, self.rng)
            if found is not None:
                break
        self._add(number, count, thing)
        self.starts.append(found[0])
        return _event(kind, number, found)

    def _further(self, events: Sequence[Event], now: dict[int, Pose], count: int) -> Event | None:
        """One more event, of an actor that is there or of a new one."""
        for _ in range(_TRIES):
            kind = self._kind()
            if EVENTS[kind].who == "pair" or not self._allowed(kind):
                continue
            if len(self.things) < count and self.rng.uniform() < 0.7:
                return self._begin(kind, len(self.things), count)
            number = int(self.rng.integers(len(self.things)))
            known = any(event.kind == kind and event.actor == number for event in events)
            if known or not self._suits(kind, self.things[number]):
                continue
            found = poses(kind, now[number], self.cells[number], self.rng)
            if found is not None:
                if kind in ("cover", "uncover"):
                    self.things[number] = self._with_cloth(self.things[number])
                return _event(kind, number, found)
        return None

    def _draft_pair(self, kind: str, wanted: int) -> list[Event]:
        """Two actors that act on each other, then perhaps more of the first."""
        for number in range(2):
            thing = self._thing("pair", number, kind)
            self.things.append(thing)
            self.seen.append(thing.name)
            self.cells.append(make_cell("free", 0, 1, size="normal", group=1))
        mover, base = pair_poses(kind, self.rng)
        assert mover is not None and base is not None
        self.starts = [mover[0], base[0]]
        first = replace(_event(kind, 0, mover), other=1, other_begin=base[0], other_end=base[1])
        return [first]

    def _suits(self, kind: str, thing: Thing) -> bool:
        who = EVENTS[kind].who
        if thing.kind == "prop":
            return who != "body" and thing.name in PROPS.get(who, ())
        if who != "body" or (thing.count > 1 and not EVENTS[kind].group):
            return False
        if kind.startswith("turn"):
            return thing.name not in _TURNS_UNSEEN
        if kind == "wobble" and thing.name in ("circle", "ring"):
            return False
        return kind not in ("pick_up", "put_down") or thing.category not in _UNHANDY

    def _thing(self, who: Who, number: int, kind: str | None) -> Thing:
        """Something new that can do `kind`, or a bystander."""
        while True:
            thing = self._draw(who, kind)
            if thing.kind == "sprite":
                fits = not any(confusable(thing.name, name) for name in self.seen)
            else:  # its color is always said: a red box is not taken for a cardboard box
                same = [t for t in self.things if t.name == thing.name]
                fits = all(t.color != thing.color for t in same)
            if fits and (kind is None or who == "pair" or self._suits(kind, thing)):
                return self._with_cloth(thing) if kind in ("cover", "uncover") else thing

    def _draw(self, who: Who, kind: str | None) -> Thing:
        if who in PROPS:
            name = self._pick(PROPS[who])
            color = self._color()
            accent = self._color(color) if who == "fillable" else ""
            return Thing(kind="prop", name=name, category="prop", color=color, accent=accent)
        stacking = kind in ("stack", "unstack")
        nouns = nouns_of(self.vocabulary, self.config.sprites)
        if not stacking and nouns and self.rng.uniform() < 0.74:
            return self._sprite(kind)
        pairs = [p for p in combinations(self.vocabulary) if p[0] not in self.background_colors]
        if stacking:
            pairs = [pair for pair in pairs if pair[1] in _STACKABLE]
        color, shape = self._pick(pairs)
        texture = self._pick(("plain",) * 5 + TEXTURES[1:])
        thing = Thing(kind="shape", name=shape, category="shape", color=color, texture=texture)
        return self._sized(thing, kind)

    def _sprite(self, kind: str | None) -> Thing:
        nouns = nouns_of(self.vocabulary, self.config.sprites)
        weights = np.array([3.0 if _photographed(noun.looks) else 1.0 for noun in nouns])
        noun = nouns[int(self.rng.choice(len(nouns), p=weights / weights.sum()))]
        look = self._pick(noun.looks)
        thing = Thing(kind="sprite", name=noun.name, category=noun.category, look=look)
        return self._sized(thing, kind)

    def _sized(self, thing: Thing, kind: str | None) -> Thing:
        """A group of up to five, or one that is small or big, where that can be seen."""
        able = kind is None or EVENTS[kind].group
        if able and self.layout in ("free", "rows") and self.rng.uniform() < 0.24:
            return replace(thing, count=int(self.rng.integers(2, 6)))
        still = kind is None or EVENTS[kind].who == "body"
        changing = ("grow", "shrink", "come_closer", "go_away")
        plain = self.layout in ("free", "rows", "columns") and kind not in changing
        if still and plain and self.rng.uniform() < 0.3:
            return replace(thing, size=self._pick(("small", "big")))
        return thing

    def _with_cloth(self, thing: Thing) -> Thing:
        return thing if thing.accent else replace(thing, accent=self._color(thing.color))

    def _color(self, but: str | None = None) -> str:
        return self._pick([c for c in COLORS if c != but and c not in self.background_colors])

    def _cell(self, number: int, count: int, thing: Thing) -> Cell:
        return make_cell(self.layout, number, count, size=thing.size, group=thing.count)

    def _add(self, number: int, count: int, thing: Thing) -> None:
        self.things.append(thing)
        self.seen.append(thing.name)
        self.cells.append(self._cell(number, count, thing))

    def _pick(self, items: Sequence[Item]) -> Item:
        return items[int(self.rng.integers(len(items)))]


def _photographed(looks: Sequence[str]) -> bool:
    return any(look.startswith("photographed/") for look in looks)


def _event(kind: str, number: int, found: tuple[Pose, Pose]) -> Event:
    return Event(kind=kind, actor=number, start_s=0.0, end_s=1.0, begin=found[0], end=found[1])
