"""Detailed captions: 60 to 250 words on the setting, each actor, each event and the end."""

from kinoscope.training.world import wordings
from kinoscope.training.world.captions import absence, listed
from kinoscope.training.world.events import EVENTS
from kinoscope.training.world.grammar import (
    NUMBERS,
    Style,
    Teller,
    capitalized,
    describe,
    indefinite,
    place_phrase,
    style_of,
)
from kinoscope.training.world.motion import pose_at
from kinoscope.training.world.scene import Event, Pose, Scene, Shot, Split
from kinoscope.training.world.wordings import by_split

LEAST_WORDS, MOST_WORDS = 60, 250

_OPENING = by_split(
    "The video lasts about {T} seconds and is taken {P}; This is a video of about "
    "{T} seconds {P}; In this video of {T} seconds everything happens {P}; The "
    "video was made {P} and is {T} seconds long; Here are {T} seconds {P}; A film "
    "of about {T} seconds {P}",
    "For about {T} seconds the recording stays {P}",
    "This clip runs for roughly {T} seconds {P}; Roughly {T} seconds of footage take place {P}",
)
_OPENING_CUTS = by_split(
    "The video lasts about {T} seconds and consists of {N} shots; In this video of "
    "{T} seconds there are {N} shots; The video is made of {N} shots and is {T} "
    "seconds long; Here are {T} seconds in {N} scenes",
    "For about {T} seconds the recording goes through {N} shots",
    "This clip runs for roughly {T} seconds and is cut into {N} pieces",
)
_SHOT = by_split(
    "Shot number {K} is set {P}; Scene {K} is set {P}; In shot {K} all of it "
    "happens {P}; Shot {K} was made {P}",
    "The shot with number {K} was recorded {P}",
    "In piece number {K} everything takes place {P}",
)
_CAST = by_split(
    "At the beginning {X} can be seen; At the start one sees {X}; When the shot begins {X} can be "
    "seen; At first one sees {X}; The first picture shows {X}; The shot opens with {X}",
    "Initially there is {X}",
    "In the first moments {X} is in view; To start with, the picture holds {X}",
)
_NOBODY = by_split(
    "At the beginning nothing but the background can be seen; When the shot begins "
    "there is nothing to see but the background; At first there is nobody and "
    "nothing; The shot opens with a bare background",
    "Initially there is only the background",
    "In the first moments the picture is empty",
)
_WHEN = by_split(
    "{T} into the video, {C}; After {T}, {C}; At {T}, {C}; {T} after the start, {C}; {T} from the "
    "start, {C}",
    "From the mark of {T} on, {C}",
    "{T} in, {C}; At a time of {T}, {C}",
)
_LENGTH = by_split(
    "This takes {T}; It goes on for {T}; This lasts {T}; It is over after {T}; It takes about {T}",
    "The action needs {T}",
    "That lasts for {T}",
)
_STILL = by_split(
    "Meanwhile {X} {V} where it is; All the time {X} {V} in place; The whole time "
    "{X} {V} there; Besides, {X} {V} without moving; At the same time {X} {V} the "
    "same",
    "Throughout, {X} {V} at rest",
    "As for {X}, it {V} put during all of this",
)
_STILL_MANY = by_split(
    "Meanwhile {X} stay where they are; All the time {X} stay in place; The whole "
    "time {X} stay there; Besides, {X} stay without moving; At the same time {X} "
    "stay the same",
    "Throughout, {X} stay at rest",
    "As for {X}, they stay put during all of this",
)
_END = by_split(
    "At the end {X} can be seen; In the end one sees {X}; When the shot ends {X} "
    "can be seen; The last picture shows {X}; The shot closes with {X}; Finally one "
    "sees {X}",
    "What remains is {X}",
    "When it is over, the picture holds {X}; The last moments leave us with {X}",
)
_EMPTY_END = by_split(
    "At the end nothing but the background can be seen; When the shot ends there "
    "is nothing to see but the background; The shot closes with a bare background",
    "What remains is the background alone",
    "When it is over, the picture is empty",
)
_CAMERA_STILL = by_split(
    "The camera does not move; The camera stays where it is; The view does not shift; The camera "
    "is at rest",
    "The picture is steady",
    "The viewpoint is fixed",
)
_CAMERA = {
    "pan_left": by_split(
        "The camera pans to the left; There is a pan to the left; The view moves to the left",
        "The camera turns toward the left",
        "The viewpoint sweeps leftward",
    ),
    "pan_right": by_split(
        "The camera pans to the right; There is a pan to the right; The view moves to the right",
        "The camera turns toward the right",
        "The viewpoint sweeps rightward",
    ),
    "zoom_in": by_split(
        "The camera zooms in; There is a zoom in; The camera gets closer",
        "The picture is slowly magnified",
        "The lens zooms in on the middle",
    ),
    "zoom_out": by_split(
        "The camera zooms out; There is a zoom out; The camera gets farther away",
        "The picture is slowly reduced",
        "The lens zooms out from the middle",
    ),
    "shake": by_split(
        "The camera shakes; The view wobbles; The camera trembles",
        "The picture is unsteady",
        "The viewpoint trembles",
    ),
}
_LIGHT = {
    "darkening": by_split(
        "Little by little it gets darker; Slowly it grows dark; The light fades",
        "The picture dims over time",
        "The scene darkens as time passes",
    ),
    "brightening": by_split(
        "Little by little it gets brighter; Slowly it grows bright; The light grows",
        "The picture lights up over time",
        "The scene brightens as time passes",
    ),
    "steady": by_split(
        "The light stays the same; It gets neither darker nor brighter; The light does not change",
        "The brightness is constant",
        "There is no change in brightness",
    ),
}
_COUNT_EVENTS = by_split(
    "All in all, {N} happens here; Nothing else happens besides {N}; In all, {N} "
    "happens; Taken together, {N} happens in this video",
    "The recording shows {N} in total",
    "Altogether one can witness {N}",
)
_MANNER = {
    "quick": by_split(
        "quickly; fast; at high speed",
        "in a hurry",
        "at a rapid speed",
    ),
    "slow": by_split(
        "slowly; at low speed; in slow motion",
        "without hurry",
        "at a leisurely speed",
    ),
}
_SECONDS = (
    "half a second",
    "one second",
    "one and a half seconds",
    "two seconds",
    "two and a half seconds",
    "three seconds",
    "three and a half seconds",
    "four seconds",
    "four and a half seconds",
    "five seconds",
)


Sentence = tuple[int, str]
"""How soon it is left out where the caption grows too long (0 never), and what it says."""


def detailed_caption(scene: Scene, number: int = 0, *, split: Split | None = None) -> str:
    """A long caption, 60 to 250 words, of which every sentence is true."""
    style = style_of(scene, number, split)
    parts: list[Sentence] = [(0, _opening(scene, style))]
    for position, shot in enumerate(scene.shots):
        parts += _shot_sentences(scene, shot, style, position)
    total = len(scene.events)
    closing = style.of("closing", _COUNT_EVENTS)
    if total > 1:
        closing = closing.replace("{N} happens", "{N} happen")
    happenings = "one thing" if total == 1 else f"{_number(total)} things"
    parts += [(2, closing.replace("{N}", happenings)), (1, absence(scene, number))]
    for least in (9, 3, 2, 1):
        text = " ".join(capitalized(part) for rank, part in parts if rank < least)
        if len(text.split()) <= MOST_WORDS:
            return text
    return text


def _opening(scene: Scene, style: Style) -> str:
    if len(scene.shots) == 1:
        place = place_phrase(scene.shots[0].background, style)
        text = style.of("opening", _OPENING).replace("{P}", place)
    else:
        text = style.of("opening", _OPENING_CUTS).replace("{N}", NUMBERS[len(scene.shots)])
    return text.replace("{T}", f"{scene.duration_s:g}")


def _shot_sentences(scene: Scene, shot: Shot, style: Style, number: int) -> list[Sentence]:
    parts: list[Sentence] = []
    if len(scene.shots) > 1:
        place = place_phrase(shot.background, style, number)
        text = style.of(f"shot {number}", _SHOT).replace("{P}", place)
        parts.append((0, text.replace("{K}", NUMBERS[number + 1])))
    parts.append((0, _in_view(shot, style, number, shot.start_s)))
    teller = Teller(style, shot, number)
    teller.mentioned |= {n for n in range(len(shot.actors)) if _visible(shot, n, shot.start_s)}
    for position, event in enumerate(shot.events):
        parts += _event_sentences(event, style, teller, (number, position))
    if shot.bystanders:
        parts.append((2, _bystanders(shot, style, number)))
    parts.append((1, _in_view(shot, style, number, shot.end_s)))
    camera = _CAMERA_STILL if shot.camera == "still" else _CAMERA[shot.camera]
    parts.append((3 if shot.camera == "still" else 1, style.of(f"camera {number}", camera)))
    light = style.of(f"light {number}", _LIGHT[shot.light])
    parts.append((3 if shot.light == "steady" else 1, light))
    return parts


def _event_sentences(
    event: Event, style: Style, teller: Teller, place: tuple[int, int]
) -> list[Sentence]:
    key = f"{place[0]} {place[1]}"
    clause = teller.clause(event)
    if event.gait != "steady" and event.tempo:  # the clause said the one, here is the other
        clause += f" and {style.of(f'tempo {key}', _MANNER[event.tempo])}"
    when = style.of(f"when {key}", _WHEN).replace("{C}", clause)
    length = style.of(f"length {key}", _LENGTH)
    return [
        (0, when.replace("{T}", in_words(event.start_s))),
        (2, length.replace("{T}", in_words(event.end_s - event.start_s))),
    ]


def in_words(seconds: float) -> str:
    """To the nearest half second: 1.3 -> `one and a half seconds`."""
    halves = max(1, round(seconds * 2))
    if halves <= len(_SECONDS):
        return _SECONDS[halves - 1]
    return f"{round(seconds)} seconds"


def _number(count: int) -> str:
    return NUMBERS[count] if count < len(NUMBERS) else str(count)


def _visible(shot: Shot, number: int, t_s: float) -> bool:
    pose = pose_at(shot, number, t_s)
    covered = shot.actors[number].thing.kind != "prop" and pose.state == 1
    return pose.alpha > 0 and 0 <= pose.x <= 1 and not covered


def _told(shot: Shot, actor: int, t_s: float, *, first: bool) -> str:
    """An actor as it stands, or the cloth that hides it; empty if neither is in view."""
    thing, pose = shot.actors[actor].thing, pose_at(shot, actor, t_s)
    if _visible(shot, actor, t_s):
        words = indefinite(thing) if first else f"the {describe(thing)}"
        if not first and thing.count > 1:
            words = f"the {NUMBERS[thing.count]} {describe(thing)}"
        return f"{words} {where(pose)}{_condition(shot, actor, pose)}"
    if pose.alpha > 0 and 0 <= pose.x <= 1:
        return f"{'a hanging' if first else 'the'} {thing.accent} cloth {where(pose)}"
    return ""


def _in_view(shot: Shot, style: Style, number: int, t_s: float) -> str:
    """What can be seen first or last, and where."""
    first = t_s == shot.start_s
    found = (_told(shot, actor, t_s, first=first) for actor in range(len(shot.actors)))
    seen = [words for words in found if words]
    if not seen:
        return style.of(f"empty {number}", _NOBODY if first else _EMPTY_END)
    table = _CAST if first else _END
    text = style.of(f"view {number} {first}", table).replace("{X}", listed(seen))
    several = tuple(f"{the}{n} " for the in ("", "the ") for n in NUMBERS[2:])
    return _plural(text) if len(seen) > 1 or seen[0].startswith(several) else text


def _plural(text: str) -> str:
    for one, more in (
        (" is in view", " are in view"),
        ("there is ", "there are "),
        ("remains is", "remains are"),
    ):
        text = text.replace(one, more)
    return text.replace("What remains are", "What remains is")


def where(pose: Pose) -> str:
    """The part of the frame: `at the top left`, `in the middle`."""
    column = "left" if pose.x < 0.4 else "right" if pose.x > 0.6 else ""
    row = "top" if pose.y < 0.38 else "bottom" if pose.y > 0.62 else ""
    if row and column:
        return f"at the {row} {column}"
    if row:
        return f"at the {row}"
    return f"on the {column}" if column else "in the middle"


def _condition(shot: Shot, actor: int, pose: Pose) -> str:
    """That a prop is open, full or lit, or a thing held."""
    thing = shot.actors[actor].thing
    if thing.kind != "prop":
        return ", held by a hand" if pose.hand == 1 else ""
    kinds = {EVENTS[event.kind].who for event in shot.events if event.actor == actor}
    if "openable" in kinds:
        return ", open" if pose.state == 1 else ", closed"
    if "light" in kinds:
        return ", lit" if pose.state == 1 else ", unlit"
    return f", full of {thing.accent} liquid" if pose.state == 1 else ", empty"


def _bystanders(shot: Shot, style: Style, number: int) -> str:
    things = [shot.actors[n].thing for n in shot.bystanders]
    names = []
    for thing in things:
        count = f"{NUMBERS[thing.count]} " if thing.count > 1 else ""
        names.append(f"the {count}{describe(thing)}")
    many = len(things) > 1 or things[0].count > 1
    text = style.of(f"still {number}", _STILL_MANY if many else _STILL)
    return text.replace("{X}", listed(names)).replace("{V}", "stays")


assert set(_MANNER) <= set(wordings.TEMPO)
