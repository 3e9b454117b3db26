"""Scenes: the same everywhere, well formed, reversible, changed in one fact."""

import hashlib
import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

from kinoscope.errors import UsageError
from kinoscope.training.world import SPLITS, WorldConfig, reverse, sample
from kinoscope.training.world.changes import changes
from kinoscope.training.world.events import EVENTS, PROPS, pair_name
from kinoscope.training.world.motion import pose_at
from kinoscope.training.world.render import frame_times, render
from kinoscope.training.world.scene import Pose
from kinoscope.training.world.tasks import is_chiral
from tests.training.world.worlds import PLAIN, scenes, scenes_of

LONG = WorldConfig(sprites=(), duration_s=24.0, max_shots=4, max_events=4, max_actors=4)
SHORT = WorldConfig(sprites=(), duration_s=2.0)


def fingerprint():
    digest = hashlib.sha256()
    for split, seed in itertools.product(SPLITS, range(3)):
        scene = sample(split, seed, PLAIN)
        digest.update(repr(scene).encode())
        digest.update(render(scene, frame_times(5.0, 1.0), (48, 40)).rgb_FHWC.tobytes())
    return digest.hexdigest()


def test_another_process_with_another_hash_seed_makes_the_same_scenes_and_frames():
    code = "from tests.training.world.test_scenes import fingerprint; print(fingerprint())"
    told = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "4711"},
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert told.stdout.strip() == fingerprint()


def test_the_same_seed_gives_equal_scenes_whatever_was_drawn_before():
    first = sample("test", 11, PLAIN)
    scenes("train", 40)
    assert sample("test", 11, WorldConfig(sprites=())) == first


def test_seeds_splits_and_configurations_all_give_different_scenes():
    everything = [scene.shots for split in SPLITS for scene in scenes(split)]
    everything += [scene.shots for scene in scenes("train", 240, SHORT)]
    assert len(set(everything)) == len(everything)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: sample("training", 0), "split 'training': choose train"),
        (lambda: sample("train", -1), "seed -1: choose 0 or more"),
        (lambda: WorldConfig(duration_s=1.0), "1.0 s: choose 2 to 600"),
        (lambda: WorldConfig(nouns="all"), "nouns 'all': choose held_out or seen"),
        (lambda: WorldConfig(sprites=("emoji",)), "sprites 'emoji': choose"),
        (lambda: WorldConfig(kinds=("fly",)), "event 'fly': choose of move_left"),
        (lambda: WorldConfig(max_shots=0), "max_shots 0: choose 1 to 4"),
        (lambda: WorldConfig(max_actors=9), "max_actors 9: choose 1 to 4"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_the_choices(make, match):
    with pytest.raises(UsageError, match=match):
        make()


@pytest.mark.parametrize("config", [PLAIN, LONG, SHORT], ids=["usual", "long", "short"])
def test_shots_tile_the_video_and_hold_their_events_one_after_the_other(config):
    for scene in scenes("train", 200, config):
        cuts = [scene.shots[0].start_s, *(shot.end_s for shot in scene.shots)]
        assert cuts == [0.0, *(shot.start_s for shot in scene.shots[1:]), scene.duration_s]
        assert len(scene.shots) <= config.max_shots
        for shot in scene.shots:
            assert 1 <= len(shot.events) <= config.max_events
            assert len(shot.actors) <= max(2, config.max_actors)
            times = [shot.start_s]
            times += [t for event in shot.events for t in (event.start_s, event.end_s)]
            assert [*times, shot.end_s] == sorted(set(times) | {shot.end_s})
            assert all(len(set(event.actors)) == len(event.actors) for event in shot.events)


def test_every_event_happens_to_something_that_can_do_it():
    for scene in scenes():
        for shot, event in scene.events:
            things = [shot.actors[n].thing for n in event.actors]
            who = EVENTS[event.kind].who
            if who in PROPS:
                assert things[0].name in PROPS[who]
            else:
                assert all(thing.kind == "shape" for thing in things)
            assert len(things) == (2 if who == "pair" else 1)
            assert EVENTS[event.kind].group or all(thing.count == 1 for thing in things)


def test_an_actor_goes_on_from_where_its_last_event_left_it():
    for scene in scenes("train", 200, LONG):
        for shot in scene.shots:
            for number, actor in enumerate(shot.actors):
                ends = [
                    (e.begin, e.end) if e.actor == number else (e.other_begin, e.other_end)
                    for e in shot.events
                    if number in e.actors
                ]
                poses = [actor.pose, *(pose for pair in ends for pose in pair)]
                assert poses[::2] == [*poses[1::2], poses[-1]][: len(poses[::2])]


def test_events_of_all_kinds_come_up_about_as_often_as_their_opposites():
    kinds = [event.kind for scene in scenes("train", 1500) for _, event in scene.events]
    assert set(kinds) == set(EVENTS)
    for kind in EVENTS:
        assert kinds.count(kind) > 0.4 * kinds.count(EVENTS[kind].opposite)


def test_a_clean_world_has_no_rough_pictures_and_a_usual_one_has_some():
    rough = [(s.noise > 0, s.quality is not None) for s in scenes()]
    assert {noisy for noisy, _ in rough} == {squeezed for _, squeezed in rough} == {True, False}
    for scene in scenes_of("move_left", count=60, clean=True):
        assert (scene.noise, scene.quality) == (0.0, None)
        assert all((shot.camera, shot.light) == ("still", "steady") for shot in scene.shots)


def test_complexity_counts_what_is_listed():
    for scene in scenes("train", 200, LONG):
        assert scene.complexity == {
            "events": sum(len(shot.events) for shot in scene.shots),
            "shots": len(scene.shots),
            "actors": sum(len(shot.actors) for shot in scene.shots),
            "duration_s": 24.0,
        }
        starts = [event.start_s for _, event in scene.events]
        assert starts == sorted(starts)
        for shot, event in scene.events:
            assert event in shot.events
            assert (event.span.start_s, event.span.end_s) == (event.start_s, event.end_s)
        for shot in scene.shots:
            busy = {n for event in shot.events for n in event.actors}
            assert busy.isdisjoint(shot.bystanders)
            assert busy | set(shot.bystanders) == set(range(len(shot.actors)))


# Reversal.


@pytest.mark.parametrize("config", [PLAIN, LONG, SHORT], ids=["usual", "long", "short"])
def test_the_reversal_of_a_reversal_is_the_scene(config):
    for split in SPLITS:
        for scene in scenes(split, 100, config):
            assert reverse(reverse(scene)) == scene


def test_a_reversed_scene_tells_the_opposite_events_in_reversed_order():
    for scene in scenes():
        backward = reverse(scene)
        kinds = [event.kind for _, event in scene.events]
        opposites = [EVENTS[kind].opposite for kind in reversed(kinds)]
        assert [event.kind for _, event in backward.events] == opposites
        assert [s.background for s in backward.shots] == [s.background for s in scene.shots][::-1]
        for (_, there), (_, back) in zip(scene.events, reversed(backward.events), strict=True):
            assert (5.0 - back.end_s, 5.0 - back.start_s) == (there.start_s, there.end_s)


def test_a_reversed_scene_has_the_poses_of_the_mirrored_times():
    worst = 0.0
    for scene in scenes():
        backward = reverse(scene)
        for shot, mirrored in zip(scene.shots, reversed(backward.shots), strict=True):
            for t_s in np.linspace(shot.start_s, shot.end_s, 23)[1:-1]:
                for number in range(len(shot.actors)):
                    a = vars(pose_at(shot, number, t_s)).values()
                    b = vars(pose_at(mirrored, number, scene.duration_s - t_s)).values()
                    worst = max(worst, *(abs(p - q) for p, q in zip(a, b, strict=True)))
    assert worst < 1e-9


def test_opposites_are_mutual_and_share_one_name():
    for name, kind in EVENTS.items():
        assert EVENTS[kind.opposite].opposite == name
        assert pair_name(name) == pair_name(kind.opposite) in (name, kind.opposite)
        assert EVENTS[kind.opposite].who == kind.who


def test_only_what_looks_the_same_backwards_is_not_chiral():
    for scene in scenes("train", 400):
        assert is_chiral(scene) == is_chiral(reverse(scene))
        kinds = [event.kind for _, event in scene.events]
        if any(EVENTS[kind].opposite != kind for kind in kinds) and len(kinds) == 1:
            assert is_chiral(scene)
        if len(kinds) == 1 and EVENTS[kinds[0]].opposite == kinds[0]:
            assert not is_chiral(scene)
    assert any(not is_chiral(scene) for scene in scenes("train", 400))


# Changes of one fact.


def facts(scene):
    """All that is told of a scene, flat: place in the scene -> value."""
    told = {}
    for s, shot in enumerate(scene.shots):
        back = shot.background
        told[s, "place"] = (back.kind, back.name, back.colors)
        told[s, "time"] = back.time
        for n, actor in enumerate(shot.actors):
            told |= {(s, n, f): value for f, value in vars(actor.thing).items() if f != "look"}
        for n, event in enumerate(shot.events):
            told[s, n, "event"] = event.kind
            told[s, n, "who"] = tuple(shot.actors[a].thing for a in event.actors)
            told[s, n, "gait"], told[s, n, "tempo"] = event.gait, event.tempo
    return told


FIELDS = {"actor": "name", "color": "color", "count": "count", "place": "place", "time": "time",
          "direction": "event"}  # fmt: skip


def test_a_change_alters_exactly_one_fact():
    seen = set()
    for scene in scenes("train", 400):
        before = facts(scene)
        for kind, change in changes(scene, np.random.default_rng(scene.seed)).items():
            after = facts(change.scene)
            altered = [key for key in before if before[key] != after.get(key)]
            told = {key[-1] for key in altered} - {"who"}
            if kind in FIELDS:
                assert told == {FIELDS[kind]}, (kind, altered)
                assert len([key for key in altered if key[-1] != "who"]) == 1
            elif kind == "manner":
                assert len(altered) == 1 and told <= {"gait", "tempo"}
            elif kind == "removed":
                assert len(after) < len(before)
            else:
                assert kind == "order"
                assert sorted(map(str, before.values())) == sorted(map(str, after.values()))
                assert change.scene.events != scene.events
            seen.add(kind)
    assert seen == {*FIELDS, "manner", "removed", "order"}


def test_changed_scenes_keep_their_events_apart_and_inside_their_shots():
    for scene in scenes("train", 400):
        for change in changes(scene, np.random.default_rng(scene.seed)).values():
            for shot in change.scene.shots:
                times = [t for event in shot.events for t in (event.start_s, event.end_s)]
                assert times == sorted(times)
                assert shot.start_s <= times[0] and times[-1] <= shot.end_s
                assert all(isinstance(a.pose, Pose) for a in shot.actors)
