"""Tasks on a scene: moments, texts that are wrong in one fact, edits with their target video."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from kinoscope.training.world import surroundings
from kinoscope.training.world.captions import absence, caption, clause_alone
from kinoscope.training.world.changes import Change, changes
from kinoscope.training.world.grammar import (
    NUMBERS,
    Style,
    Teller,
    capitalized,
    definite,
    describe,
    indefinite,
    place_phrase,
    style_of,
)
from kinoscope.training.world.scene import Background, Event, Scene, Thing, reverse
from kinoscope.training.world.splits import VERSION
from kinoscope.training.world.wordings import by_split
from kinoscope.types import Span

_TRIES = 40

_EDITS = {
    "actor": by_split(
        "replace {x} with {y}; show {y} instead of {x}",
        "swap {x} for {y}",
        "let {y} take the place of {x}; turn {x} into {y}",
    ),
    "color": by_split(
        "make {x} {c}; change the color of {x} to {c}",
        "recolor {x} to {c}",
        "paint {x} {c}; give {x} the color {c}",
    ),
    "direction": by_split(
        "instead, {e}; change what happens: {e}",
        "alter the action so that {e}",
        "this time {e}; do the opposite, so that {e}",
    ),
    "order": by_split(
        "swap the order of the two events; exchange the first two events",
        "exchange what comes first",
        "start with the thing that came second; turn the sequence around",
    ),
    "count": by_split(
        "make it {n}; show {n}",
        "let there be {n}",
        "there should be {n}; change the number to {n}",
    ),
    "place": by_split(
        "move it so that it is {p}; show it {p}",
        "let it take place {p}",
        "the same, but {p}; change the scenery to be {p}",
    ),
    "time": by_split(
        "let it be {t}; show it {t}",
        "let it take place {t}",
        "the same, but {t}; let it happen {t}",
    ),
    "added": by_split(
        "add {y}; put {y} in a corner",
        "include {y} too",
        "let {y} be there as well; insert {y}",
    ),
    "removed": by_split(
        "remove {x}; take {x} away",
        "leave out {x}",
        "get rid of {x}; erase {x}",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A text and the span that it describes, the only one in the video."""

    text: str
    span: Span


@dataclass(frozen=True, kw_only=True)
class Mismatch:
    """A true text and one that differs from it in exactly one fact of the `kind`, and is wrong."""

    kind: str
    true: str
    wrong: str


@dataclass(frozen=True, kw_only=True)
class Edit:
    """An instruction and the scene that results; `source` and `target` are their captions."""

    kind: str
    text: str
    scene: Scene
    source: str
    target: str


def dice(scene: Scene, purpose: str) -> np.random.Generator:
    """Chance for a purpose on a scene, the same in every process."""
    name = f"{VERSION}|{purpose}|{scene.split}|{scene.seed}|{scene.duration_s}"
    digest = hashlib.sha256(name.encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


def moments(scene: Scene, number: int = 0) -> tuple[Moment, ...]:
    """One for each event."""
    style = style_of(scene, number)
    return tuple(
        Moment(text=clause_alone(shot, event, style, n), span=event.span)
        for n, shot in enumerate(scene.shots)
        for event in shot.events
    )


def mismatches(scene: Scene) -> tuple[Mismatch, ...]:
    """One for each kind of fact that the scene has: `actor`, `color`, `direction`, `order`,
    `count`, `place`, `time`, `manner`, `negation`."""
    rng = dice(scene, "mismatches")
    found = []
    for kind, change in changes(scene, rng).items():
        pair = _told_apart(scene, change.scene, int(rng.integers(1000)))
        if kind not in ("added", "removed") and pair is not None:
            found.append(Mismatch(kind=kind, true=pair[0], wrong=pair[1]))
    number = int(rng.integers(1000))
    told = caption(scene, number)
    found.append(
        Mismatch(
            kind="negation",
            true=f"{told} {absence(scene, number)}",
            wrong=f"{told} {_denial_of_present(scene, number)}",
        )
    )
    return tuple(found)


def _denial_of_present(scene: Scene, number: int) -> str:
    """Denies a noun that the video shows, in the words that would deny an absent one."""
    shown = [a.thing for shot in scene.shots for a in shot.actors]
    thing = shown[style_of(scene, number).index("denied", len(shown))]
    return absence(replace(scene, absent=thing.name), number)


def _told_apart(scene: Scene, changed: Scene, start: int) -> tuple[str, str] | None:
    """The same wording of both scenes, the first that says the fact that differs."""
    for number in range(start, start + _TRIES):
        true, wrong = caption(scene, number), caption(changed, number)
        if true != wrong:
            return true, wrong
    return None


def reversal(scene: Scene, number: int = 0) -> tuple[str, str, bool]:
    """The captions of the scene and of its reversal, and whether they differ in what they say."""
    forward, backward = caption(scene, number), caption(reverse(scene), number)
    return forward, backward, is_chiral(scene)


def is_chiral(scene: Scene) -> bool:
    """Whether what happens, in its order, tells the video from its reversal."""
    return _story(scene) != _story(reverse(scene))


def _story(scene: Scene) -> list[tuple[object, ...]]:
    return [
        (event.kind, event.gait, *(shot.actors[n].thing for n in event.actors), shot.background)
        for shot, event in scene.events
    ]


def edits(scene: Scene) -> tuple[Edit, ...]:
    """One for each kind of change that can be shown."""
    rng = dice(scene, "edits")
    found = []
    for kind, change in changes(scene, rng).items():
        if kind not in _EDITS or (kind == "order" and len(scene.events) != 2):
            continue
        style = Style(scene.split, int(rng.integers(1000)))
        text = style.of(f"edit {kind}", _EDITS[kind])
        number = int(rng.integers(1000))
        pair = _told_apart(scene, change.scene, number) or (
            caption(scene, number),
            caption(change.scene, number),
        )
        found.append(
            Edit(
                kind=kind,
                text=capitalized(_filled(text, change, style)),
                scene=change.scene,
                source=pair[0],
                target=pair[1],
            )
        )
    return tuple(found)


def _filled(text: str, change: Change, style: Style) -> str:
    before, after = change.before, change.after
    shot = change.scene.shots[change.shot]
    if isinstance(before, Thing):
        text = text.replace("{x}", definite(before))
    if isinstance(after, Thing):
        text = text.replace("{y}", indefinite(after)).replace("{c}", after.color or "")
        text = text.replace("{n}", f"{NUMBERS[after.count]} {_uncounted(after)}")
    if isinstance(after, Background):
        text = text.replace("{p}", place_phrase(after, style))
        if after.time:
            text = text.replace("{t}", style.of("time 0", surroundings.TIME[after.time]))
    if isinstance(after, Event):
        teller = Teller(style, shot, 0)
        teller.mentioned = set(range(len(shot.actors)))
        text = text.replace("{e}", teller.clause(after, adverb=False) if "{e}" in text else "")
    return text


def _uncounted(thing: Thing) -> str:
    """`red circles`: the thing in the plural, whatever its count."""
    return describe(replace(thing, count=2)) if thing.count == 1 else describe(thing)
