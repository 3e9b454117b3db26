"""Motion: poses do what their events say; the claims are said here anew, by geometry."""

import math

import numpy as np
import pytest

from kinoscope.training.world import WorldConfig
from kinoscope.training.world.events import EVENTS
from kinoscope.training.world.layout import grid
from kinoscope.training.world.motion import brightness_at, pose_at, view_at
from tests.training.world.worlds import scenes, scenes_of

SHARES = np.linspace(0, 1, 25)
LONG = WorldConfig(sprites=(), duration_s=24.0, max_shots=4, max_events=4, max_actors=4)


def course(shot, event, number):
    length_s = event.end_s - event.start_s
    return [pose_at(shot, number, event.start_s + share * length_s) for share in SHARES]


def rises(values, by):
    steps = np.diff(values)
    return bool((steps >= -1e-9).all()) and values[-1] - values[0] > by - 1e-9


def falls(values, by):
    return rises([-value for value in values], by)


def only(poses, *fields):
    """Nothing but these fields changes."""
    return all(
        np.ptp([getattr(pose, name) for pose in poses]) < 1e-9
        for name in vars(poses[0])
        if name not in fields
    )


def column(poses, name):
    return [getattr(pose, name) for pose in poses]


def half_width(thing, pose):
    return grid(thing.count)[0] * pose.scale / 2


def slides(name, check):
    return lambda poses, thing: check(column(poses, name), 0.28) and only(poses, name)


def part(check):
    return lambda poses, thing: check(column(poses, "state"), 1.0) and only(poses, "state")


def enters(side):
    def holds(poses, thing):
        first, last = poses[0].x, poses[-1].x
        out = half_width(thing, poses[0])
        beyond = first + out < 1e-9 if side == "left" else first - out > 1 - 1e-9
        inside = half_width(thing, poses[0]) * 0.5 < last < 1 - half_width(thing, poses[0]) * 0.5
        return beyond and inside and only(poses, "x") and slid(poses)

    def slid(poses):
        return (rises if side == "left" else falls)(column(poses, "x"), 0.3)

    return holds


def backwards(check):
    return lambda poses, thing: check(poses[::-1], thing)


def comes_closer(poses, thing):
    return rises(column(poses, "scale"), 0.3) and poses[-1].scale > 3 * poses[0].scale


def grows(poses, thing):
    big = poses[-1].scale / poses[0].scale
    return rises(column(poses, "scale"), 0.05) and big > 2 and only(poses, "scale")


def turns_clockwise(poses, thing):
    turned = poses[-1].angle - poses[0].angle
    return rises(column(poses, "angle"), 90) and turned < 180 and only(poses, "angle")


def is_picked_up(poses, thing):
    lifted = [pose for pose in poses if pose.y != poses[0].y]
    return (
        rises(column(poses, "hand"), 1.0)
        and falls(column(poses, "y"), 0.2)
        and all(pose.hand == 1 for pose in lifted)
        and poses[0].hand == 0
        and only(poses, "hand", "y")
    )


def jumps(poses, thing):
    heights = [poses[0].y - pose.y for pose in poses]
    landed = abs(heights[12]) < 1e-6 and abs(heights[-1]) < 1e-6
    return landed and min(heights) > -1e-6 and min(heights[6], heights[18]) > 0.03


def wobbles(poses, thing):
    angles = np.array(column(poses, "angle")) - poses[0].angle
    return angles.max() > 10 and angles.min() < -10 and abs(angles[-1]) < 1e-6


CLAIMS = {
    "move_left": slides("x", falls),
    "move_right": slides("x", rises),
    "move_up": slides("y", falls),
    "move_down": slides("y", rises),
    "come_closer": comes_closer,
    "go_away": backwards(comes_closer),
    "enter_left": enters("left"),
    "leave_left": backwards(enters("left")),
    "enter_right": enters("right"),
    "leave_right": backwards(enters("right")),
    "appear": lambda poses, thing: rises(column(poses, "alpha"), 1) and only(poses, "alpha"),
    "vanish": lambda poses, thing: falls(column(poses, "alpha"), 1) and only(poses, "alpha"),
    "grow": grows,
    "shrink": backwards(grows),
    "turn_clockwise": turns_clockwise,
    "turn_counterclockwise": backwards(turns_clockwise),
    "pick_up": is_picked_up,
    "put_down": backwards(is_picked_up),
    "jump": jumps,
    "wobble": wobbles,
    **{kind: part(rises) for kind in ("cover", "open", "fill", "light_on")},
    **{kind: part(falls) for kind in ("uncover", "close", "empty", "light_off")},
}
PAIRS = ("stack", "unstack", "join", "separate")


def test_every_kind_of_event_has_its_claim():
    assert set(CLAIMS) | set(PAIRS) == set(EVENTS)


@pytest.mark.parametrize("kind", sorted(CLAIMS))
def test_an_actor_moves_as_its_event_says(kind):
    alone = scenes_of(kind)
    assert len(alone) == 200
    for scene in (*alone, *scenes("validation")):
        for shot, event in scene.events:
            if event.kind == kind:
                poses = course(shot, event, event.actor)
                assert CLAIMS[kind](poses, shot.actors[event.actor].thing), (scene.seed, poses)


def together(kind, mover, base):
    gaps = [math.dist((a.x, a.y), (b.x, b.y)) for a, b in zip(mover, base, strict=True)]
    if kind in ("unstack", "separate"):
        mover, base, gaps = mover[::-1], base[::-1], gaps[::-1]
    if kind in ("join", "separate"):
        touch = gaps[-1] <= (mover[-1].scale + base[-1].scale) / 2
        return touch and falls(gaps, 0.3) and gaps[0] > (mover[0].scale + base[0].scale) / 2
    on_top = abs(mover[-1].x - base[-1].x) < 0.01 and 0 < base[-1].y - mover[-1].y < 0.36
    beside = mover[0].y == base[0].y and abs(mover[0].x - base[0].x) > mover[0].scale
    return on_top and beside and only(base)


@pytest.mark.parametrize("kind", PAIRS)
def test_two_actors_meet_or_part_as_their_event_says(kind):
    for scene in scenes_of(kind):
        for shot, event in scene.events:
            assert event.other is not None
            mover, base = course(shot, event, event.actor), course(shot, event, event.other)
            assert together(kind, mover, base), (scene.seed, mover, base)


def test_bystanders_stand_still_and_whole_in_the_frame():
    seen = 0
    for scene in scenes():
        for shot in scene.shots:
            for number in shot.bystanders:
                thing, pose = shot.actors[number].thing, shot.actors[number].pose
                times = np.linspace(shot.start_s, shot.end_s, 9)
                assert {pose_at(shot, number, t) for t in times} == {pose}
                assert half_width(thing, pose) * 0.85 < pose.x < 1 - half_width(thing, pose) * 0.85
                seen += 1
    assert seen > 50


def test_speed_changes_as_the_gait_says_and_length_as_the_tempo_says():
    gaits, tempos = set(), set()
    for scene in scenes("train", 400, LONG):
        for shot, event in scene.events:
            poses = course(shot, event, event.actor)
            axis = max(("x", "y"), key=lambda name: abs(np.ptp(column(poses, name))))
            steps = np.abs(np.diff(column(poses, axis)))
            travels = EVENTS[event.kind].travels and event.kind not in ("come_closer", "go_away")
            if event.gait == "faster":
                assert travels and steps[12:].sum() > 2 * steps[:12].sum()
            if event.gait == "slower":
                assert travels and steps[:12].sum() > 2 * steps[12:].sum()
            if event.gait == "jerky" and travels:
                assert 0.3 < np.mean(steps < 1e-9) < 0.7
            if event.gait in ("steady", "smooth") and travels:
                assert steps.max() < 1.01 * steps.min()
            if event.tempo:
                length_s = event.end_s - event.start_s
                assert length_s < 0.8 if event.tempo == "quick" else length_s > 1.5
            gaits.add(event.gait)
            tempos.add(event.tempo)
    assert gaits == {"steady", "smooth", "jerky", "faster", "slower"}
    assert tempos == {"", "quick", "slow"}


def test_camera_and_light_change_as_they_say():
    seen = set()
    for scene in scenes("train", 400):
        for shot in scene.shots:
            (x0, _, zoom0), (x1, _, zoom1) = view_at(shot, shot.start_s), view_at(shot, shot.end_s)
            went = {"pan_left": x1 < x0 - 0.1, "pan_right": x1 > x0 + 0.1,
                    "zoom_in": zoom1 > zoom0 + 0.2, "zoom_out": zoom1 < zoom0 - 0.2,
                    "still": (x0, zoom0) == (x1, zoom1), "shake": zoom0 == zoom1}  # fmt: skip
            lit = brightness_at(shot, shot.end_s) - brightness_at(shot, shot.start_s)
            shone = {"darkening": lit < -0.5, "brightening": lit > 0.5, "steady": lit == 0}
            assert went[shot.camera] and shone[shot.light]
            seen |= {shot.camera, shot.light}
    assert len(seen) == 9
