"""Short captions: one or two sentences, as many true wordings as wanted."""

import re
from collections.abc import Sequence

from kinoscope.training.world import wordings
from kinoscope.training.world.grammar import (
    Style,
    Teller,
    capitalized,
    indefinite,
    place_phrase,
    style_of,
    subject_is_actor,
    with_article,
)
from kinoscope.training.world.scene import Event, Scene, Shot, Split

_SLOT = re.compile(r"\{(\d)\}")
_ORDERS = {2: wordings.ORDER_2, 3: wordings.ORDER_3, 4: wordings.ORDER_4}


def caption(scene: Scene, number: int = 0, *, split: Split | None = None) -> str:
    """Wording `number` of the scene, in the words of its split or of another."""
    style = style_of(scene, number, split)
    parts = [_tell_shot(shot, style, n, len(scene.shots)) for n, shot in enumerate(scene.shots)]
    text = parts[0]
    for n, part in enumerate(parts[1:], start=1):
        text = _fill(style.of(f"cut {n}", wordings.CUT), {"1": text, "2": part})
    return capitalized(text)


def captions(scene: Scene, count: int = 20, *, split: Split | None = None) -> tuple[str, ...]:
    """`count` different true captions; the first is `caption(scene)`."""
    found: dict[str, None] = {}
    number = 0
    while len(found) < count:
        found[caption(scene, number, split=split)] = None
        number += 1
        assert number < 100 * count, "too few wordings"
    return tuple(found)


def absence(scene: Scene, number: int = 0, *, true: bool = True) -> str:
    """A sentence that denies what is absent, or, untrue, one that claims it."""
    style = style_of(scene, number)
    table = wordings.ABSENT if true else wordings.PRESENT
    text = style.of("absent", table)
    article = with_article(scene.absent)
    text = text.replace("{N}", scene.absent).replace("{a}", article)
    return capitalized(text.replace("{a!}", article.capitalize()))


def negated_caption(scene: Scene, number: int = 0) -> str:
    """The caption, followed by what is not in the video."""
    return f"{caption(scene, number)} {absence(scene, number)}"


def clause_alone(shot: Shot, event: Event, style: Style, number: int = 0) -> str:
    """One event as a sentence of its own: the text of a moment."""
    return capitalized(Teller(style, shot, number).clause(event))


def ordered_clauses(
    shot: Shot, style: Style, number: int = 0, *, inside: bool = False
) -> tuple[str, Teller]:
    """The events of a shot in one sentence, in their order in time whatever the order of words.

    `inside` a longer sentence it does not start with a word such as `first`.
    """
    events = shot.events
    teller = Teller(style, shot, number)
    if len(events) == 1:
        return teller.clause(events[0]), teller
    templates = _ORDERS[len(events)][style.split]
    if inside:
        templates = tuple(t for t in templates if t.startswith("{")) or templates
    template = style.pick(f"order {number}", templates)
    slots = _SLOT.findall(template)
    clauses = {slot: teller.clause(events[int(slot) - 1]) for slot in slots}
    return _fill(template, clauses), teller


def _tell_shot(shot: Shot, style: Style, number: int, of: int) -> str:
    place = place_phrase(shot.background, style, number)
    frame = style.of(f"frame {number}", wordings.FRAMES) if of == 1 else "{C} {P}"
    event = shot.events[0]
    alone = len(shot.events) == 1 and of == 1 and subject_is_actor(event, style, number)
    if alone and style.index(f"participle {number}", 2) == 0:
        clause = Teller(style, shot, number).clause(event, "participle")
        frame = style.of(f"frame {number}", wordings.PARTICIPLE_FRAMES)
    else:
        inside = of > 1 or not frame.startswith("{C}")
        clause, _ = ordered_clauses(shot, style, number, inside=inside)
    told = f"{clause} {_extras(shot, style, number)}".strip()
    text = frame.replace("{C}", told).replace("{G}", told).replace("{P}", place)
    return " ".join(text.split())


def _extras(shot: Shot, style: Style, number: int) -> str:
    """Bystanders, mostly; camera and light, often."""
    said: list[str] = []
    changes: list[str] = []
    if shot.bystanders and style.index(f"with {number}", 4):
        things = [shot.actors[n].thing for n in shot.bystanders]
        names = listed([indefinite(thing) for thing in things])
        said.append(style.of(f"bystander {number}", wordings.BYSTANDER).replace("{X}", names))
    if shot.camera != "still" and style.index(f"camera said {number}", 2):
        changes.append(style.of(f"camera {number}", wordings.CAMERA[shot.camera]))
    if shot.light != "steady" and style.index(f"light said {number}", 3):
        changes.append(style.of(f"light {number}", wordings.LIGHT[shot.light]))
    return " ".join([*said, " and ".join(changes)]).strip()


def listed(names: Sequence[str]) -> str:
    """`a fox, a cup and two cars`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _fill(template: str, parts: dict[str, str]) -> str:
    return _SLOT.sub(lambda found: parts[found[1]], template)
