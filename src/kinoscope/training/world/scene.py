"""What is true of a generated video: frozen values, from which frames and texts are made."""

from dataclasses import dataclass, replace
from typing import Literal

from kinoscope.training.world.events import EVENTS
from kinoscope.types import Span

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

CameraMove = Literal["still", "pan_left", "pan_right", "zoom_in", "zoom_out", "shake"]
Light = Literal["steady", "darkening", "brightening"]

_OPPOSITE_CAMERA: dict[CameraMove, CameraMove] = {
    "still": "still",
    "shake": "shake",
    "pan_left": "pan_right",
    "pan_right": "pan_left",
    "zoom_in": "zoom_out",
    "zoom_out": "zoom_in",
}
_OPPOSITE_LIGHT: dict[Light, Light] = {
    "steady": "steady",
    "darkening": "brightening",
    "brightening": "darkening",
}
_OPPOSITE_GAIT = {"faster": "slower", "slower": "faster"}


@dataclass(frozen=True, kw_only=True)
class Thing:
    """What an actor is.

    Attributes:
        kind: `sprite`, a picture with natural colours; `shape`, drawn in one colour; or `prop`,
            drawn with a moving part.
        name: its noun, singular, such as `fox`, `circle` or `box`.
        category: `animal`, `food`, ... of a sprite; `shape`; `prop`.
        color: of a shape or prop; None for a sprite.
        texture: `plain`, `striped`, `dotted` or `checkered`; only shapes vary.
        size: `small`, `normal` or `big`, as a person would say it.
        count: how many alike, 1..5, which always act together.
        look: which picture shows a sprite, such as `drawn/1f98a`.
        accent: colour of the liquid in a prop, or of the cloth that covers the thing.
    """

    kind: Literal["sprite", "shape", "prop"]
    name: str
    category: str
    color: str | None = None
    texture: str = "plain"
    size: str = "normal"
    count: int = 1
    look: str = ""
    accent: str = ""


@dataclass(frozen=True)
class Pose:
    """Where and how an actor is at one moment.

    `x`, `y`: centre in fractions of the frame. `scale`: its longer side in fractions of the
    frame's shorter side. `angle`: degrees, clockwise. `alpha`: 0 invisible .. 1. `state`: how far
    a prop is open, full or lit, or how much of the thing a cloth covers. `hand`: how near the
    hand is, 0 away .. 1 touching.
    """

    x: float
    y: float
    scale: float
    angle: float = 0.0
    alpha: float = 1.0
    state: float = 0.0
    hand: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Actor:
    """A thing and its pose while nothing happens to it."""

    thing: Thing
    pose: Pose


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happens to `actor` (its number in the shot) in `[start_s, end_s)`.

    Attributes:
        kind: a key of `EVENTS`.
        begin, end: the pose before and after.
        other: the second actor of a stacking or joining, with its poses.
        gait: `steady`, `smooth` (steady, and worth saying), `jerky`, `faster` or `slower`.
        tempo: `quick` or `slow` where that is worth saying, else empty.
    """

    kind: str
    actor: int
    start_s: float
    end_s: float
    begin: Pose
    end: Pose
    other: int | None = None
    other_begin: Pose | None = None
    other_end: Pose | None = None
    gait: str = "steady"
    tempo: str = ""

    @property
    def span(self) -> Span:
        """When it happens."""
        return Span(self.start_s, self.end_s)

    @property
    def actors(self) -> tuple[int, ...]:
        """The actors that take part."""
        return (self.actor,) if self.other is None else (self.actor, self.other)


@dataclass(frozen=True, kw_only=True)
class Background:
    """What is behind the actors.

    Attributes:
        kind: `place` (a painted landscape), `plain`, `gradient` or `pattern`.
        name: of the place, such as `beach`, or of the pattern.
        time: `day`, `sunset` or `night` of an outdoor place, else empty.
        colors: one or two colour names of what is not a place.
        look: number of the variant; the variants of two splits differ.
    """

    kind: Literal["place", "plain", "gradient", "pattern"]
    name: str
    time: str = ""
    colors: tuple[str, ...] = ()
    look: int = 0


@dataclass(frozen=True, kw_only=True)
class Shot:
    """An uncut piece `[start_s, end_s)` of the video; its events are in time order."""

    start_s: float
    end_s: float
    background: Background
    actors: tuple[Actor, ...]
    events: tuple[Event, ...]
    camera: CameraMove = "still"
    light: Light = "steady"

    @property
    def bystanders(self) -> tuple[int, ...]:
        """Actors to which nothing happens."""
        busy = {number for event in self.events for number in event.actors}
        return tuple(n for n in range(len(self.actors)) if n not in busy)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """All that is true of one video.

    Attributes:
        vocabulary: the split whose nouns and color-shape pairs are shown.
        noise: standard deviation of the sensor noise, in grey levels of 255.
        quality: JPEG quality each frame has gone through, or None.
        absent: a noun of which the video certainly shows nothing.
        absent_category: what kind of noun that is.
    """

    split: Split
    seed: int
    duration_s: float
    shots: tuple[Shot, ...]
    vocabulary: Split = "train"
    noise: float = 0.0
    quality: int | None = None
    absent: str = ""
    absent_category: str = ""

    @property
    def events(self) -> tuple[tuple[Shot, Event], ...]:
        """All events in time order, each with its shot."""
        return tuple((shot, event) for shot in self.shots for event in shot.events)

    @property
    def complexity(self) -> dict[str, float]:
        """`events`, `shots`, `actors` and `duration_s`."""
        return {
            "events": len(self.events),
            "shots": len(self.shots),
            "actors": sum(len(shot.actors) for shot in self.shots),
            "duration_s": self.duration_s,
        }


def reverse(scene: Scene) -> Scene:
    """The scene played backwards: its frames are those of `scene` in reverse, its texts are true.

    Applied twice it gives the scene again.
    """
    return replace(
        scene, shots=tuple(_reverse_shot(s, scene.duration_s) for s in scene.shots[::-1])
    )


def _reverse_shot(shot: Shot, duration_s: float) -> Shot:
    return replace(
        shot,
        start_s=duration_s - shot.end_s,
        end_s=duration_s - shot.start_s,
        events=tuple(_reverse_event(event, duration_s) for event in shot.events[::-1]),
        camera=_OPPOSITE_CAMERA[shot.camera],
        light=_OPPOSITE_LIGHT[shot.light],
    )


def _reverse_event(event: Event, duration_s: float) -> Event:
    return replace(
        opposite(event), start_s=duration_s - event.end_s, end_s=duration_s - event.start_s
    )


def opposite(event: Event) -> Event:
    """The same event the other way round, at the same time."""
    return replace(
        event,
        kind=EVENTS[event.kind].opposite,
        begin=event.end,
        end=event.begin,
        other_begin=event.other_end,
        other_end=event.other_begin,
        gait=_OPPOSITE_GAIT.get(event.gait, event.gait),
    )
