"""Where actors are and what an event does to a pose: cells of the frame, poses before and after."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from kinoscope.training.world.events import EVENTS
from kinoscope.training.world.scene import Pose

Layout = Literal["free", "rows", "columns", "cells"]
Poses = tuple[Pose, Pose] | None

TURN = 150.0
"""Degrees of a turn: less than half a circle, so that neither end looks like the start."""

GROWTH = 2.3
_AWAY = 0.06  # how far beyond the edge something is that has left
_NEAR, _FAR = 0.54, 0.14  # scale of what has come close, and of what is far off


@dataclass(frozen=True)
class Cell:
    """The part of the frame that one actor has for itself, and the usual scale in it.

    `half_width` is that of the actor, which is more than half its scale where it is a group.
    """

    x0: float
    x1: float
    y0: float
    y1: float
    scale: float
    half_width: float
    half_height: float

    @property
    def center(self) -> tuple[float, float]:
        """Its middle."""
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2

    @property
    def left(self) -> float:
        """The leftmost x of an actor that is whole in it."""
        return self.x0 + self.half_width + 0.02

    @property
    def right(self) -> float:
        """The rightmost x of an actor that is whole in it."""
        return self.x1 - self.half_width - 0.02

    @property
    def top(self) -> float:
        """The least y of an actor that is whole in it."""
        return self.y0 + self.half_height + 0.02

    @property
    def bottom(self) -> float:
        """The greatest y of an actor that is whole in it."""
        return self.y1 - self.half_height - 0.02


def make_cell(layout: Layout, number: int, count: int, *, size: str, group: int) -> Cell:
    """The cell of actor `number` of `count` in a layout."""
    if layout == "free":
        bounds, scale = (0.0, 1.0, 0.0, 1.0), 0.42
    elif layout == "rows":
        bounds, scale = (0.0, 1.0, number / count, (number + 1) / count), min(0.40, 0.84 / count)
    elif layout == "columns":
        bounds, scale = (number / count, (number + 1) / count, 0.0, 1.0), min(0.40, 0.84 / count)
    else:
        x, y = (number % 2) / 2, (number // 2) / 2
        bounds, scale = (x, x + 0.5, y, y + 0.5), 0.36
    scale *= {"small": 0.58, "normal": 1.0, "big": 1.3 if layout == "free" else 1.1}[size]
    columns, rows = grid(group)
    if group > 1:
        room = min((bounds[1] - bounds[0]) * 0.6 / columns, (bounds[3] - bounds[2]) * 0.8 / rows)
        scale = min(0.24, room)
    return Cell(*bounds, scale, scale * columns / 2, scale * rows / 2)


def grid(count: int) -> tuple[int, int]:
    """Columns and rows in which `count` alike things stand: 5 -> 3 above 2."""
    return (count, 1) if count <= 3 else (2, 2) if count == 4 else (3, 2)


def rest(cell: Cell, rng: np.random.Generator) -> Pose:
    """A pose somewhere in the cell for an actor to which nothing happens yet."""
    x, y = cell.center
    dx = min(0.12, max(0.0, (cell.right - cell.left) / 2))
    dy = min(0.10, max(0.0, (cell.bottom - cell.top) / 2))
    return Pose(x + dx * rng.uniform(-1, 1), y + dy * rng.uniform(-1, 1), cell.scale)


def poses(kind: str, pose: Pose | None, cell: Cell, rng: np.random.Generator) -> Poses:
    """The poses before and after an event; `pose` is where the actor is, None if it is free yet.

    None where it cannot happen from there: what is at the left edge cannot move to the left.
    """
    fresh = pose is None
    start = rest(cell, rng) if pose is None else pose
    able = start.alpha == 1 and 0 <= start.x <= 1 and 0 <= start.y <= 1
    if not able and not fresh:
        return None
    return _MAKERS[kind](start, fresh, cell, rng)


def _move(axis: str, sign: int) -> Callable[..., Poses]:
    def make(start: Pose, fresh: bool, cell: Cell, rng: np.random.Generator) -> Poses:
        low, high = (cell.left, cell.right) if axis == "x" else (cell.top, cell.bottom)
        slack = max(0.0, min(0.08, high - low - 0.36))
        first, last = (low, high) if sign > 0 else (high, low)
        begin = first + sign * slack * rng.uniform() if fresh else getattr(start, axis)
        end = last - sign * slack * rng.uniform()
        if sign * (end - begin) < 0.3 or start.hand or start.state:
            return None
        return replace(start, **{axis: begin}), replace(start, **{axis: end})

    return make


def _cross_edge(side: int, entering: bool) -> Callable[..., Poses]:
    def make(start: Pose, fresh: bool, cell: Cell, rng: np.random.Generator) -> Poses:
        if start.hand or start.state or (entering and not fresh):
            return None
        out = cell.half_width + _AWAY
        outside = replace(start, x=-out if side < 0 else 1 + out)
        inside = replace(start, x=0.5 + 0.1 * rng.uniform(-1, 1)) if fresh else start
        return (outside, inside) if entering else (inside, outside)

    return make


def _distance(closer: bool) -> Callable[..., Poses]:
    def make(start: Pose, fresh: bool, cell: Cell, rng: np.random.Generator) -> Poses:
        if not fresh:
            return None
        x = 0.5 + 0.15 * rng.uniform(-1, 1)
        far = Pose(0.5 + (x - 0.5) / 2, 0.36, _FAR)
        near = Pose(x, 0.64, _NEAR)
        return (far, near) if closer else (near, far)

    return make


def _fade(appearing: bool) -> Callable[..., Poses]:
    def make(start: Pose, fresh: bool, cell: Cell, rng: np.random.Generator) -> Poses:
        if start.hand or start.state or (appearing and not fresh):
            return None
        gone = replace(start, alpha=0.0)
        return (gone, start) if appearing else (start, gone)

    return make


def _scale(growing: bool) -> Callable[..., Poses]:
    def make(start: Pose, fresh: bool, cell: Cell, rng: np.random.Generator) -> Poses:
        big = cell.scale * 1.15
        begin = (big / GROWTH if growing else big) if fresh else start.scale
        end = begin * GROWTH if growing else begin / GROWTH
        if not 0.06 <= end <= big * 1.01 or start.hand or start.state:
            return None
        return replace(start, scale=begin), replace(start, scale=end)

    return make


def _turn(sign: int) -> Callable[..., Poses]:
    def make(start: Pose, fresh: bool, cell: Cell, rng: np.random.Generator) -> Poses:
        if start.hand or start.state or (start.angle and not fresh):
            return None
        begin = -sign * TURN if fresh and rng.uniform() < 0.5 else 0.0
        return replace(start, angle=begin), replace(start, angle=begin + sign * TURN)

    return make


def _carry(up: bool) -> Callable[..., Poses]:
    def make(start: Pose, fresh: bool, cell: Cell, rng: np.random.Generator) -> Poses:
        if start.state or (not fresh and (start.hand > 0) == up):
            return None
        low = replace(start, y=max(0.62, cell.bottom - 0.08 * rng.uniform()), hand=0.0)
        high = replace(start, y=max(0.30, cell.top), hand=1.0)
        if not fresh:
            low, high = (start, high) if up else (low, start)
        return ((low, high) if up else (high, low)) if low.y - high.y > 0.2 else None

    return make


def _part(kind: str, first: float) -> Callable[..., Poses]:
    """Covering, opening, filling, lighting: `state` goes from `first` to the other end."""

    def make(start: Pose, fresh: bool, cell: Cell, rng: np.random.Generator) -> Poses:
        if start.hand or (not fresh and start.state != first):
            return None
        return replace(start, state=first), replace(start, state=1 - first)

    return make


def _in_place(start: Pose, fresh: bool, cell: Cell, rng: np.random.Generator) -> Poses:
    if start.hand or start.state:
        return None
    return start, start


_MAKERS: dict[str, Callable[..., Poses]] = {
    "move_left": _move("x", -1),
    "move_right": _move("x", 1),
    "move_up": _move("y", -1),
    "move_down": _move("y", 1),
    "enter_left": _cross_edge(-1, True),
    "leave_left": _cross_edge(-1, False),
    "enter_right": _cross_edge(1, True),
    "leave_right": _cross_edge(1, False),
    "come_closer": _distance(True),
    "go_away": _distance(False),
    "appear": _fade(True),
    "vanish": _fade(False),
    "grow": _scale(True),
    "shrink": _scale(False),
    "turn_clockwise": _turn(1),
    "turn_counterclockwise": _turn(-1),
    "pick_up": _carry(True),
    "put_down": _carry(False),
    "jump": _in_place,
    "wobble": _in_place,
    **{k: _part(k, 0.0) for k in ("cover", "open", "fill", "light_on")},
    **{k: _part(k, 1.0) for k in ("uncover", "close", "empty", "light_off")},
}
assert set(_MAKERS) | {"stack", "unstack", "join", "separate"} == set(EVENTS)


def pair_poses(kind: str, rng: np.random.Generator) -> tuple[Poses, Poses]:
    """Poses before and after for the two actors of a stacking or joining, the mover first."""
    if kind in ("stack", "unstack"):
        side = 1 if rng.uniform() < 0.5 else -1
        base = Pose(0.5 + 0.2 * side, 0.72, 0.34)
        beside = Pose(0.5 - 0.24 * side, 0.72, 0.34)
        on_top = Pose(base.x, base.y - 0.33, 0.34)
        mover = (beside, on_top) if kind == "stack" else (on_top, beside)
        return mover, (base, base)
    y = 0.5 + 0.12 * rng.uniform(-1, 1)
    swap = 1 if rng.uniform() < 0.5 else -1
    apart = [Pose(0.5 - 0.31 * swap, y, 0.34), Pose(0.5 + 0.31 * swap, y, 0.34)]
    touching = [Pose(0.5 - 0.14 * swap, y, 0.34), Pose(0.5 + 0.14 * swap, y, 0.34)]
    if kind == "join":
        return (apart[0], touching[0]), (apart[1], touching[1])
    return (touching[0], apart[0]), (touching[1], apart[1])
