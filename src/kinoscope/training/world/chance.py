"""Draws scenes: (split, seed) -> Scene, the same on every machine."""

import hashlib
from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

import numpy as np

from kinoscope.errors import UsageError
from kinoscope.training.world.casting import Cast
from kinoscope.training.world.config import WorldConfig
from kinoscope.training.world.events import EVENTS
from kinoscope.training.world.nouns import Noun, confusable, nouns_of
from kinoscope.training.world.scene import (
    SPLITS,
    Background,
    CameraMove,
    Event,
    Light,
    Scene,
    Shot,
    Split,
)
from kinoscope.training.world.splits import (
    COLORS,
    OTHER_PLACES,
    OUTDOORS,
    PATTERNS,
    TIMES,
    VERSION,
    looks,
    vocabulary_split,
)

Item = TypeVar("Item")

_TICK_S = 1 / 64  # times are multiples of it, exact in binary, so that reversal is exact
_CUT_S = 1 / 8
_MARGIN_S = 0.25
_ABSENT = ("animal", "food", "vehicle", "household", "tool", "sport", "instrument", "clothing")
_BACKGROUNDS = ("place",) * 11 + ("plain",) * 4 + ("gradient",) * 2 + ("pattern",) * 3
_SIDEWAYS = {
    "move_left",
    "move_right",
    "enter_left",
    "leave_left",
    "enter_right",
    "leave_right",
    "join",
    "separate",
    "stack",
    "unstack",
}
_SIZING = {"come_closer", "go_away", "grow", "shrink", *_SIDEWAYS}
_UNHURRIED = {
    "appear",
    "vanish",
    "jump",
    "wobble",
    "pick_up",
    "put_down",
    "cover",
    "uncover",
    "stack",
    "unstack",
    "light_on",
    "light_off",
}


def sample(split: str, seed: int, config: WorldConfig | None = None) -> Scene:
    """The scene of a split and seed; no two splits share a seed's scene.

    Raises `UsageError` for an unknown split or a negative seed.
    """
    if split not in SPLITS:
        raise UsageError(f"split {split!r}: choose {', '.join(SPLITS)}")
    if seed < 0:
        raise UsageError(f"seed {seed}: choose 0 or more")
    return _Drawer(split, seed, config or WorldConfig()).scene()


class _Drawer:
    """One scene in the making."""

    def __init__(self, split: Split, seed: int, config: WorldConfig) -> None:
        name = f"{VERSION}|{split}|{seed}|{config}"
        digest = hashlib.sha256(name.encode()).digest()
        self.rng = np.random.default_rng(int.from_bytes(digest[:16], "little"))
        self.split, self.seed, self.config = split, seed, config
        self.vocabulary = vocabulary_split(split, config.nouns)

    def scene(self) -> Scene:
        cuts = self._cuts()
        shots: list[Shot] = []
        seen: list[str] = []
        for start_s, end_s in pairwise(cuts):
            shots.append(self._shot(start_s, end_s, len(cuts) - 1, shots, seen))
        absent = self._absent(seen)
        rough = not self.config.clean
        return Scene(
            split=self.split,
            seed=self.seed,
            duration_s=self.config.duration_s,
            shots=tuple(shots),
            vocabulary=self.vocabulary,
            noise=round(self.rng.uniform(3, 10), 1) if rough and self._chance(0.25) else 0.0,
            quality=int(self.rng.integers(25, 60)) if rough and self._chance(0.12) else None,
            absent=absent.name,
            absent_category=absent.category,
        )

    def _cuts(self) -> list[float]:
        duration_s = self.config.duration_s
        most = min(self.config.max_shots, max(1, int(duration_s / 1.6)))
        weights = np.array([0.72, 0.19, 0.09, 0.05][:most])
        count = 1 + int(self.rng.choice(most, p=weights / weights.sum()))
        inner = [
            round((n + 0.2 * self.rng.uniform(-1, 1)) * duration_s / count / _CUT_S) * _CUT_S
            for n in range(1, count)
        ]
        return [0.0, *inner, duration_s]

    def _shot(
        self, start_s: float, end_s: float, of: int, before: Sequence[Shot], seen: list[str]
    ) -> Shot:
        background = self._background([shot.background for shot in before])
        cast = Cast(self.rng, self.vocabulary, self.config, background.colors, seen)
        events_most = 1 if of > 1 and end_s - start_s < 3 else self.config.max_events
        fits = max(1, int((end_s - start_s - 2 * _MARGIN_S) / 1.15))
        weights = np.array([0.42, 0.38, 0.2, 0.1][: min(events_most, fits)])
        wanted = 1 + int(self.rng.choice(len(weights), p=weights / weights.sum()))
        drafts = cast.draft(wanted)
        events = tuple(self._timed(drafts, start_s, end_s))
        kinds = {event.kind for event in events}
        return Shot(
            start_s=start_s,
            end_s=end_s,
            background=background,
            actors=cast.actors(),
            events=events,
            camera=self._camera(kinds),
            light=self._light(kinds),
        )

    def _timed(self, drafts: Sequence[Event], start_s: float, end_s: float) -> list[Event]:
        """The drafted events one after the other, none overlapping, each with its tempo."""
        slot_s = (end_s - start_s - 2 * _MARGIN_S) / len(drafts)
        timed = []
        for number, draft in enumerate(drafts):
            tempo, length_s = self._tempo(draft.kind, slot_s)
            length_s = min(length_s, slot_s - 2 * _TICK_S)
            slack_s = slot_s - length_s
            begin_s = start_s + _MARGIN_S + number * slot_s + self.rng.uniform() * slack_s
            begin_s = round(begin_s / _TICK_S) * _TICK_S
            stop_s = begin_s + round(length_s / _TICK_S) * _TICK_S
            gait = self._gait(draft.kind, stop_s - begin_s) if tempo != "quick" else "steady"
            changes = {"start_s": begin_s, "end_s": stop_s, "gait": gait, "tempo": tempo}
            timed.append(Event(**{**vars(draft), **changes}))
        return timed

    def _tempo(self, kind: str, slot_s: float) -> tuple[str, float]:
        usual_s = 0.6 if kind in ("appear", "vanish", "light_on", "light_off") else 1.25
        if kind in _UNHURRIED or slot_s < 2.2:
            return "", usual_s * self.rng.uniform(0.9, 1.1)
        tempo = self._pick(("", "", "", "quick", "slow"))
        low, high = {"": (1.1, 1.4), "quick": (0.55, 0.7), "slow": (2.1, 2.7)}[tempo]
        return tempo, self.rng.uniform(low, high)

    def _gait(self, kind: str, length_s: float) -> str:
        if kind in _UNHURRIED or length_s < 1.0:
            return "steady"
        if EVENTS[kind].travels and kind not in ("come_closer", "go_away"):
            return self._pick(("steady",) * 5 + ("faster", "slower", *self._manner(length_s)))
        return self._pick(("steady",) * 5 + self._manner(length_s))

    @staticmethod
    def _manner(length_s: float) -> tuple[str, ...]:
        return ("jerky", "smooth") if length_s >= 1.9 else ()

    def _background(self, before: Sequence[Background]) -> Background:
        used = {(b.kind, b.name, b.time, b.colors) for b in before}
        while True:
            kind = self._pick(_BACKGROUNDS)
            look = int(self.rng.choice(looks(self.split)))
            drawn = self._draw_background(kind, look)
            if (drawn.kind, drawn.name, drawn.time, drawn.colors) not in used:
                return drawn

    def _draw_background(self, kind: str, look: int) -> Background:
        if kind == "place":
            name = self._pick((*OUTDOORS, *OTHER_PLACES))
            time = self._pick(TIMES) if name in OUTDOORS else ""
            return Background(kind="place", name=name, time=time, look=look)
        if kind == "plain":
            color = self._pick(COLORS)
            return Background(kind="plain", name="plain", colors=(color,), look=look)
        if kind == "gradient":
            first, second = self.rng.choice(len(COLORS), 2, replace=False)
            colors = (COLORS[first], COLORS[second])
            return Background(kind="gradient", name="gradient", colors=colors, look=look)
        name = self._pick(PATTERNS[self.split])
        dyed = (self._pick(COLORS),) if name not in ("bricks", "wood") else ()
        return Background(kind="pattern", name=name, colors=dyed, look=look)

    def _camera(self, kinds: set[str]) -> CameraMove:
        if self.config.clean or not self._chance(0.3):
            return "still"
        moves: list[CameraMove] = ["shake"]
        if not kinds & _SIDEWAYS:
            moves += ["pan_left", "pan_right"]
        if not kinds & _SIZING:
            moves += ["zoom_in", "zoom_out"]
        return self._pick(moves)

    def _light(self, kinds: set[str]) -> Light:
        changing = {"light_on", "light_off", "appear", "vanish"}
        if self.config.clean or kinds & changing or not self._chance(0.12):
            return "steady"
        return self._pick(("darkening", "brightening"))

    def _absent(self, seen: Sequence[str]) -> Noun:
        nouns = nouns_of(self.vocabulary, ("photographed", "drawn"))
        fit = [noun for noun in nouns if noun.category in _ABSENT]
        while True:
            noun = self._pick(fit)
            if not any(confusable(noun.name, name) for name in seen):
                return noun

    def _chance(self, probability: float) -> bool:
        return bool(self.rng.uniform() < probability)

    def _pick(self, items: Sequence[Item]) -> Item:
        return items[int(self.rng.integers(len(items)))]
