"""The events of the world: what is the opposite of what, and to whom each can happen."""

from dataclasses import dataclass
from typing import Literal

Who = Literal["body", "pair", "openable", "fillable", "light"]


@dataclass(frozen=True, kw_only=True)
class EventKind:
    """One kind of event.

    Attributes:
        name: key of `EVENTS`.
        opposite: the same seen backwards; itself for what looks the same either way.
        who: `body` any sprite or shape; `pair` two of them; else a prop with the part for it.
        travels: whether the thing changes its place, so that speed can be seen.
        group: whether several things can do it together.
        room: what must be free around it: `cell`, its `row`, its `column`, or `all` of the frame.
        direction: the answer to "in which direction?", where there is one.
    """

    name: str
    opposite: str
    who: Who
    travels: bool = False
    group: bool = False
    room: Literal["cell", "row", "column", "all"] = "cell"
    direction: str = ""


def _pair(first: str, second: str, **common: object) -> list[EventKind]:
    directions = common.pop("directions", ("", ""))
    assert isinstance(directions, tuple)
    return [
        EventKind(name=first, opposite=second, direction=directions[0], **common),  # type: ignore[arg-type]
        EventKind(name=second, opposite=first, direction=directions[1], **common),  # type: ignore[arg-type]
    ]


_ALL = [
    *_pair(
        "move_left",
        "move_right",
        who="body",
        travels=True,
        group=True,
        room="row",
        directions=("left", "right"),
    ),
    *_pair(
        "move_up",
        "move_down",
        who="body",
        travels=True,
        group=True,
        room="column",
        directions=("up", "down"),
    ),
    *_pair("come_closer", "go_away", who="body", travels=True, room="all"),
    *_pair("enter_left", "leave_left", who="body", travels=True, group=True, room="row"),
    *_pair("enter_right", "leave_right", who="body", travels=True, group=True, room="row"),
    *_pair("appear", "vanish", who="body", group=True),
    *_pair("grow", "shrink", who="body"),
    *_pair(
        "turn_clockwise",
        "turn_counterclockwise",
        who="body",
        directions=("clockwise", "counterclockwise"),
    ),
    *_pair("pick_up", "put_down", who="body", room="column"),
    *_pair("cover", "uncover", who="body", room="column"),
    *_pair("stack", "unstack", who="pair", room="all"),
    *_pair("join", "separate", who="pair", travels=True, room="all"),
    *_pair("open", "close", who="openable"),
    *_pair("fill", "empty", who="fillable"),
    *_pair("light_on", "light_off", who="light"),
    EventKind(name="jump", opposite="jump", who="body", group=True, room="column"),
    EventKind(name="wobble", opposite="wobble", who="body"),
]

EVENTS: dict[str, EventKind] = {kind.name: kind for kind in _ALL}

PROPS: dict[Who, tuple[str, ...]] = {
    "openable": ("box", "door", "book"),
    "fillable": ("drinking glass", "jar", "bottle", "tank"),
    "light": ("lamp", "lantern", "street lamp"),
}
"""Drawn things with a moving part, by what can happen to them."""


def pair_name(kind: str) -> str:
    """One name for an event and its opposite, the first by alphabet."""
    return min(kind, EVENTS[kind].opposite)
