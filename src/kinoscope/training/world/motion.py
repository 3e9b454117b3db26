"""Motion: pure functions from shot and time to poses, symmetric, so that reversal is exact."""

import math
from dataclasses import replace
from itertools import pairwise

from kinoscope.training.world.scene import Event, Pose, Shot

JUMP = 0.22  # height of a jump in fractions of the frame
_JUMPS = 2
_JERKS = 3
_PAUSE = 0.5  # share of a jerky movement that stands still
_REACH = 0.4  # share of picking up in which the hand comes
PAN = 0.14  # how far the camera pans in all, in fractions of the frame
ZOOM = 1.3
_SHAKE = 0.02


def progress(gait: str, share: float) -> float:
    """How much of an event's way is done after `share` of its time; both in 0..1."""
    if gait == "faster":
        return float(share**2.2)
    if gait == "slower":
        return float(1 - (1 - share) ** 2.2)
    if gait == "jerky":
        step, within = divmod(share * _JERKS, 1.0)
        moved = min(max((within - _PAUSE / 2) / (1 - _PAUSE), 0.0), 1.0)
        return min(1.0, (step + moved) / _JERKS)
    return share


def pose_at(shot: Shot, actor: int, t_s: float) -> Pose:
    """The pose of an actor of the shot at a time of the video."""
    now = shot.actors[actor].pose
    mine = [event for event in shot.events if actor in event.actors]
    if mine and t_s < mine[0].start_s:
        return _ends(mine[0], actor)[0]
    for event in mine:
        if t_s >= event.end_s:
            now = _ends(event, actor)[1]
        elif t_s >= event.start_s:
            return _during(event, actor, (t_s - event.start_s) / (event.end_s - event.start_s))
    return now


def _ends(event: Event, actor: int) -> tuple[Pose, Pose]:
    if actor == event.actor:
        return event.begin, event.end
    assert event.other_begin is not None and event.other_end is not None
    return event.other_begin, event.other_end


def _during(event: Event, actor: int, share: float) -> Pose:
    begin, end = _ends(event, actor)
    done = progress(event.gait, share)
    if event.kind == "pick_up":
        return _carried(begin, end, done)
    if event.kind == "put_down":
        return _carried(end, begin, 1 - done)
    if event.kind in ("stack", "unstack") and actor == event.actor:
        return _lifted_over(begin, end, done)
    if event.kind == "jump":
        height = abs(math.sin(math.pi * _JUMPS * share))
        return replace(begin, y=begin.y - JUMP * min(1.0, 2.2 * begin.scale) * height)
    if event.kind == "wobble":
        swing = math.sin(math.pi * share) * math.cos(7 * math.pi * (share - 0.5))
        return replace(begin, angle=begin.angle + 26 * swing)
    return _between(begin, end, done)


def _between(begin: Pose, end: Pose, done: float) -> Pose:
    rest = 1 - done  # this form gives the same floats from either side
    pairs = zip(vars(begin).values(), vars(end).values(), strict=True)
    return Pose(*(a * rest + b * done for a, b in pairs))


def _carried(low: Pose, high: Pose, done: float) -> Pose:
    """First the hand comes, then it lifts."""
    if done < _REACH:
        return replace(low, hand=done / _REACH)
    return replace(_between(low, high, (done - _REACH) / (1 - _REACH)), hand=1.0)


def _lifted_over(begin: Pose, end: Pose, done: float) -> Pose:
    """Up, across, down: by way of two points above both ends."""
    above_y = min(begin.y, end.y) - 0.08
    points = [(begin.x, begin.y), (begin.x, above_y), (end.x, above_y), (end.x, end.y)]
    lengths = [math.dist(a, b) for a, b in pairwise(points)]
    way = done * sum(lengths)
    for (a, b), length in zip(pairwise(points), lengths, strict=True):
        if way <= length:
            part = way / length
            return replace(begin, x=a[0] + (b[0] - a[0]) * part, y=a[1] + (b[1] - a[1]) * part)
        way -= length
    return end


def view_at(shot: Shot, t_s: float) -> tuple[float, float, float]:
    """The camera: x and y of the middle of its view in the world's frame, and its zoom."""
    share = (t_s - shot.start_s) / (shot.end_s - shot.start_s)
    if shot.camera == "pan_right":
        return 0.5 + PAN * (share - 0.5), 0.5, 1.0
    if shot.camera == "pan_left":
        return 0.5 - PAN * (share - 0.5), 0.5, 1.0
    if shot.camera == "zoom_in":
        return 0.5, 0.5, 1 + (ZOOM - 1) * share
    if shot.camera == "zoom_out":
        return 0.5, 0.5, ZOOM - (ZOOM - 1) * share
    if shot.camera == "shake":
        from_middle_s = t_s - (shot.start_s + shot.end_s) / 2  # even functions of it
        x = math.cos(23.0 * from_middle_s) + 0.7 * math.cos(41.0 * from_middle_s)
        y = math.cos(29.0 * from_middle_s) + 0.7 * math.cos(37.0 * from_middle_s)
        return 0.5 + _SHAKE * x, 0.5 + _SHAKE * y, 1.0
    return 0.5, 0.5, 1.0


def brightness_at(shot: Shot, t_s: float) -> float:
    """Factor on all pixels."""
    share = (t_s - shot.start_s) / (shot.end_s - shot.start_s)
    if shot.light == "darkening":
        return 1 - 0.65 * share
    if shot.light == "brightening":
        return 1 - 0.65 * (1 - share)
    return 1.0
