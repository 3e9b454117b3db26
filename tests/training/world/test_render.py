"""Frames: they show what happens, and a reversed scene has them byte for byte in reverse."""

from dataclasses import replace

import numpy as np
import pytest

from kinoscope.errors import SetupError, UsageError
from kinoscope.training.world import WorldConfig, assets, reverse, sample
from kinoscope.training.world import render as rendering
from kinoscope.training.world.events import EVENTS
from kinoscope.training.world.render import frame_times, render
from kinoscope.training.world.scene import Background, Scene, Shot
from tests.training.world.worlds import PLAIN, scenes, scenes_of

SIZE = (64, 64)
IN_PLACE = ("jump", "wobble")  # these end as they began


def grey_levels(scene, times_s):
    return render(scene, times_s, SIZE).rgb_FHWC.astype(np.int16)


@pytest.mark.parametrize("kind", sorted(EVENTS))
def test_an_event_can_be_seen_in_the_frames(kind):
    for scene in scenes_of(kind, count=6, clean=True):
        for shot, event in scene.events:
            length_s = event.end_s - event.start_s
            last_s = event.start_s + length_s * (0.5 if kind == "wobble" else 1) - 1 / 128
            last_s = event.start_s + length_s / 4 if kind == "jump" else last_s
            first, last = grey_levels(scene, [event.start_s, last_s])
            differ = np.abs(last - first).max(axis=-1)
            assert differ.mean() > 0.3, (scene.seed, event)
            assert (differ > 16).mean() > 0.006, (scene.seed, event)
            if kind in IN_PLACE:
                begun, ended = grey_levels(scene, [event.start_s, event.end_s - 1e-6])
                assert np.abs(begun - ended).mean() < 0.1
            assert shot.camera == "still"


def test_nothing_but_the_noise_changes_while_nothing_happens():
    for scene in scenes_of("move_left", "appear", "open", count=12, clean=True):
        shot, event = scene.events[0]
        if event.start_s - shot.start_s > 0.1:
            before = render(scene, np.linspace(shot.start_s, event.start_s, 4), SIZE).rgb_FHWC
            assert (before == before[0]).all()


@pytest.mark.parametrize("fps", [8.0, 6.0, 7.3, 12.8])
def test_a_reversed_scene_has_the_frames_in_reverse_byte_for_byte(fps):
    """Whatever the cuts, gaits, camera, light, noise and compression; on cuts, too."""
    first = {8.0: 0, 6.0: 30, 7.3: 60, 12.8: 90}[fps]
    rough = set()
    for scene in scenes("train", 240)[first : first + 30]:
        times_F = frame_times(scene.duration_s, fps)
        there = render(scene, times_F, (40, 32)).rgb_FHWC
        back = render(reverse(scene), times_F, (40, 32)).rgb_FHWC
        assert np.array_equal(back[::-1], there), scene.seed
        assert not np.array_equal(back, there) or len({f.tobytes() for f in there}) == 1
        rough |= {scene.noise > 0, scene.quality is not None}
    assert rough == {True, False}


def test_a_video_of_any_length_is_reversible():
    for duration_s in (2.0, 3.7, 5.3, 9.9):
        config = WorldConfig(sprites=(), duration_s=duration_s)
        for seed in range(12):
            scene = sample("validation", seed, config)
            assert reverse(reverse(scene)) == scene
            times_F = frame_times(duration_s, 5.0)
            there = render(scene, times_F, (32, 32)).rgb_FHWC
            back = render(reverse(scene), times_F, (32, 32)).rgb_FHWC
            assert np.array_equal(back[::-1], there), (duration_s, seed)


def test_frames_do_not_depend_on_which_others_are_asked_for():
    scene = replace(sample("train", 5, PLAIN), noise=6.0, quality=40)
    times_F = frame_times(5.0, 4.0)
    together = render(scene, times_F, (48, 36)).rgb_FHWC
    apart = [render(scene, [t], (48, 36)).rgb_FHWC[0] for t in times_F[::-1]]
    assert np.array_equal(together, np.stack(apart)[::-1])


def test_noise_and_compression_are_as_strong_as_the_scene_says():
    clean = scenes_of("grow", count=3, clean=True)[2]
    at = [0.1]
    plain = grey_levels(clean, at)[0]
    spread = (grey_levels(replace(clean, noise=6.0), at)[0] - plain)[(plain > 30) & (plain < 225)]
    assert 5 < spread.std() < 7
    off = [np.abs(grey_levels(replace(clean, quality=q), at)[0] - plain).mean() for q in (25, 59)]
    assert off[0] > off[1] > 0
    loud = [grey_levels(replace(clean, noise=6.0), [t])[0] for t in (0.1, 0.15)]
    assert (loud[0] != loud[1]).any()


def still(camera="still", light="steady"):
    behind = Background(kind="place", name="meadow", time="day")
    shot = Shot(start_s=0.0, end_s=4.0, background=behind, actors=(), events=(), camera=camera,
                light=light)  # fmt: skip
    return Scene(split="train", seed=0, duration_s=4.0, shots=(shot,))


@pytest.mark.parametrize(("camera", "step"), [("pan_right", -1), ("pan_left", 1)])
def test_what_is_seen_moves_against_the_camera(camera, step):
    first, last = grey_levels(still(camera), [0.0, 4.0])
    shift = {
        px: np.abs(np.roll(first, px, axis=1) - last)[:, 12:-12].mean() for px in range(-12, 13)
    }
    best = min(shift, key=shift.get)
    assert best * step >= 6 and shift[best] < 1


def test_a_zoom_enlarges_the_middle():
    wide, near = grey_levels(still("zoom_in"), [0.0, 4.0])
    assert np.abs(wide - near).mean() > 1
    assert np.array_equal(grey_levels(still("zoom_out"), [4.0, 0.0][::-1])[::-1], [wide, near])


def test_light_falls_and_rises_as_said():
    first, last = grey_levels(still(light="darkening"), [0.0, 4.0])
    assert 0.3 < last.mean() / first.mean() < 0.4
    assert np.array_equal(grey_levels(still(light="brightening"), [0.0, 4.0]), [last, first])


def test_frame_times_are_the_middles_and_symmetric():
    assert frame_times(5.0, 2.0).tolist() == [0.25 + 0.5 * n for n in range(10)]
    assert frame_times(2.0, 0.1).tolist() == [1.0]
    times_F = frame_times(5.3, 7.3)
    assert np.allclose(5.3 - times_F[::-1], times_F, atol=1e-12)


def test_frames_have_the_size_and_the_times_asked_for():
    frames = render(sample("train", 3, PLAIN), [0.0, 2.5, 5.0], (50, 30))
    assert frames.rgb_FHWC.shape == (3, 30, 50, 3)
    assert frames.rgb_FHWC.dtype == np.uint8
    assert frames.times_F.tolist() == [0.0, 2.5, 5.0]


@pytest.mark.parametrize(
    ("times_s", "size", "match"),
    [
        ([], SIZE, r"times must lie in 0..5.0 s, and be at least one"),
        ([5.1], SIZE, r"times must lie in 0..5.0 s"),
        ([-0.1], SIZE, r"times must lie in 0..5.0 s"),
        ([1.0], (8, 64), "frames of 8x64 px: choose sides of 16 to 4096"),
        ([1.0], (64, 5000), "frames of 64x5000 px"),
    ],
)
def test_what_cannot_be_rendered_is_refused(times_s, size, match):
    with pytest.raises(UsageError, match=match):
        render(sample("train", 0, PLAIN), times_s, size)


def test_sprites_that_were_not_fetched_are_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(assets, "cache_folder", lambda: tmp_path)
    assets.load.cache_clear()
    rendering._original.cache_clear()
    rendering._picture.cache_clear()
    drawn = (sample("train", seed) for seed in range(40))
    kinds = lambda s: {a.thing.kind for shot in s.shots for a in shot.actors}  # noqa: E731
    scene = next(scene for scene in drawn if kinds(scene) == {"sprite"})
    with pytest.raises(SetupError, match=r"no sprites in .*sprites=\(\)"):
        render(scene, frame_times(5.0, 2.0), SIZE)
