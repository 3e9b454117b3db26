"""Every hostile file ends as right frames or a named fault; frames are exact in time."""

import itertools
import subprocess
import sys
from bisect import bisect_right

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinoscope.errors import MediaError, UsageError
from kinoscope.sampling import SamplingConfig, grid_times
from kinoscope.types import Frames
from kinoscope.video import DecodeLimits, VideoReader
from kinoscope.video.display import fitted
from kinoscope.video.source import Source
from tests.media import GOOD, MAKERS, NAMES, TOLERANCE_S, check_numbers, numbers_at
from tests.movies import X264, Movie, read_number

DENSE = [0.0031 + 0.013 * i for i in range(1000)]
POLICIES = ["exact", "keyframe"]


def on_screen(shown, times_s, end_s):
    """The naive twin: for each instant the last frame that has begun, each once."""
    starts = [start_s for start_s, _ in shown]
    met = [bisect_right(starts, time_s) - 1 for time_s in times_s if time_s < end_s]
    return [shown[i] for i in dict.fromkeys(met) if i >= 0] or [shown[0]]


def same(pairs, expected):
    return [number for _, number in pairs] == [number for _, number in expected] and np.allclose(
        [time_s for time_s, _ in pairs], [time_s for time_s, _ in expected], atol=TOLERANCE_S
    )


def keyframes_of(path, shown):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        zero = container.start_time / 1_000_000
        stamps = [frame.pts for frame in container.decode(stream) if frame.key_frame]
    starts = [float(stamp * stream.time_base) - zero for stamp in stamps]
    return [pair for pair in shown if any(abs(pair[0] - s) < TOLERANCE_S for s in starts)]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_file_gives_right_frames_or_a_named_fault(name, policy, hostile_set, tmp_path):
    case = hostile_set[name]
    if case.midway:
        case = MAKERS[name](tmp_path / name)
    if case.fault is None:
        with VideoReader(case.path, policy=policy) as reader:
            parts = list(reader.sample(DENSE))
        assert sum(len(frames) for frames in parts) > 0
        assert sum(check_numbers(case, frames) for frames in parts) == 0
        return
    with pytest.raises(MediaError) as raised, VideoReader(case.path, policy=policy) as reader:
        if case.midway:
            case.midway()
        assert sum(check_numbers(case, frames) for frames in reader.sample(DENSE)) == 0
    assert raised.value.fault == case.fault
    assert str(case.path) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("times_s", [DENSE, [0.5, 1.5, 2.5], [1.01], [9.9], [-3, -1]], ids=len)
def test_exact_shows_the_last_frame_begun_at_each_instant(name, times_s, hostile_set):
    case = hostile_set[name]
    pairs, report = numbers_at(case.path, times_s)
    end_s = report.end_s if times_s[-1] > report.end_s else 1e9
    assert same(pairs, on_screen(case.shown, times_s, end_s))


@pytest.mark.parametrize("name", GOOD)
def test_keyframe_shows_the_last_keyframe_begun_at_each_instant(name, hostile_set):
    case = hostile_set[name]
    pairs, report = numbers_at(case.path, DENSE, policy="keyframe")
    keyframes = keyframes_of(case.path, case.shown)
    assert same(pairs, on_screen(keyframes, DENSE, report.end_s))
    assert report.frames_decoded == len(keyframes)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", GOOD)
def test_the_measured_end_of_an_undamaged_film_is_its_end(name, policy, hostile_set):
    case = hostile_set[name]
    _, report = numbers_at(case.path, itertools.count(0.5), policy=policy)
    assert (report.corrupt_packets, report.dropped_frames) == (0, 0)
    assert not report.ends_early
    if not GOOD[name].ticks:
        assert report.end_s == pytest.approx(case.shown[-1][0] + 0.04, abs=TOLERANCE_S)


def test_a_frame_is_on_screen_from_its_very_stamp(hostile_set):
    for name in ("plain.mp4", "plain.mkv", "starts_at_40s.ts", "plain.flv"):
        pairs, _ = numbers_at(hostile_set[name].path, [n / 25 for n in range(75)])
        assert pairs == [(n / 25, n) for n in range(75)]


def test_each_frame_comes_once_in_chunks_of_the_wanted_length(hostile_set):
    with VideoReader(hostile_set["plain.mp4"].path, side_px=64) as reader:
        parts = list(reader.sample(DENSE, chunk=32))
    assert [len(part) for part in parts] == [32, 32, 11]
    assert all(
        isinstance(part, Frames) and part.rgb_FHWC.shape[1:] == (64, 64, 3) for part in parts
    )
    times_F = np.concatenate([part.times_F for part in parts])
    assert (np.diff(times_F) > 0).all()


def test_a_reader_can_be_sampled_again(hostile_set):
    with VideoReader(hostile_set["plain.mp4"].path) as reader:
        first, again = ([f.times_F.tolist() for f in reader.sample([0.5, 1.5])] for _ in range(2))
    assert first == again == [[0.48, 1.48]]


@pytest.mark.parametrize("threads", [0, 3])
def test_threads_do_not_change_the_frames(threads, hostile_set):
    for name in ("plain.mp4", "hevc.mp4", "av1.mp4"):
        path = hostile_set[name].path
        assert numbers_at(path, DENSE, threads=threads) == numbers_at(path, DENSE)


@pytest.fixture(scope="module", params=["mp4", "mkv", "ts"])
def long_film(request, tmp_path_factory):
    """100 s at 10 frames a second, a keyframe every 2.5 s."""
    path = tmp_path_factory.mktemp("long") / f"long.{request.param}"
    movie = Movie(frames=1000, fps=10)
    movie.write(path)
    return path, movie.shown


@settings(max_examples=12)
@given(times_s=st.lists(st.floats(0, 110), min_size=1, max_size=8, unique=True).map(sorted))
def test_jumps_land_on_the_right_frame(long_film, times_s):
    path, shown = long_film
    pairs, _ = numbers_at(path, times_s)
    assert same(pairs, on_screen(shown, times_s, 100.0))


@pytest.mark.parametrize("policy", POLICIES)
def test_far_instants_are_reached_without_decoding_all_between(long_film, policy):
    path, shown = long_film
    times_s = [12.34, 33.33, 60.01, 91.99]
    pairs, report = numbers_at(path, times_s, policy=policy)
    step = 1 if policy == "exact" else 25
    assert same(pairs, on_screen(shown[::step], times_s, 100.0))
    assert report.frames_decoded < len(shown) / 2


@pytest.mark.parametrize("late_s", [0.7, 3.0, 20.0])
def test_a_jump_that_lands_late_is_retried_from_earlier(long_film, late_s, monkeypatch):
    path, shown = long_film
    seek = Source.seek
    monkeypatch.setattr(Source, "seek", lambda self, time_s: seek(self, time_s + late_s))
    times_s = [2.0, 30.05, 71.3, 99.9]
    pairs, _ = numbers_at(path, times_s)
    assert same(pairs, on_screen(shown, times_s, 100.0))


def test_a_file_that_cannot_be_seeked_is_read_forward(long_film, monkeypatch):
    def fail(_self, _time_s):
        raise av.error.InvalidDataError(1, "no index")

    monkeypatch.setattr(Source, "seek", fail)
    path, shown = long_film
    pairs, report = numbers_at(path, [30.05, 71.3])
    assert same(pairs, [shown[300], shown[713]])
    assert report.frames_decoded > 700


@pytest.mark.parametrize("name", ["junk_inside.mp4", "badly_received.ts"])
def test_damage_is_counted_and_costs_frames_up_to_the_next_keyframe(name, hostile_set):
    case = hostile_set[name]
    pairs, report = numbers_at(case.path, [(i + 0.5) / 25 for i in range(250)])
    lost = {number for _, number in case.shown} - {number for _, number in pairs}
    assert report.corrupt_packets > 0
    assert 0 < len(lost) < 200
    spoilt = {number // 25 for number in lost}
    assert {0, 1}.isdisjoint(spoilt)  # the first fifth was left alone


def test_a_file_cut_off_keeps_what_is_there_and_says_so(hostile_set):
    pairs, report = numbers_at(hostile_set["truncated.mp4"].path, DENSE)
    assert report.ends_early
    assert report.end_s == pytest.approx(pairs[-1][0] + 0.04)
    assert 0.5 * 6 < report.end_s < 0.6 * 6


def test_a_recording_that_begins_midway_starts_at_its_first_keyframe(hostile_set):
    pairs, report = numbers_at(hostile_set["begins_midway.ts"].path, DENSE)
    assert pairs[0] == (pytest.approx(0.6), 25)
    assert report.corrupt_packets == 0


def test_the_only_keyframe_being_edited_away_leaves_the_first_frame(numbered_video):
    path, movie = numbered_video(
        frames=40,
        first_tick=-10,
        zero_tick=0,
        options={**X264, "g": "250"},
        muxer={"avoid_negative_ts": "disabled"},
    )
    pairs, report = numbers_at(path, DENSE, policy="keyframe")
    assert pairs == [movie.shown[0]] == [(0.0, 10)]
    assert report.end_s == pytest.approx(1.2)


def test_what_a_player_would_show_is_described(hostile_set):
    def described(name):
        with VideoReader(hostile_set[name].path) as reader:
            return reader.info

    plain = described("plain.mp4")
    assert (plain.width, plain.height, plain.rotation, plain.codec) == (192, 96, 0, "h264")
    assert (plain.fps, plain.declared_duration_s) == (25.0, 3.0)
    assert (plain.hdr, plain.has_audio) == (False, False)
    assert described("anamorphic.mp4").width == 192
    assert described("hdr.mp4").hdr
    assert described("sound_first.mp4").has_audio
    assert described("live.webm").declared_duration_s is None
    assert described("av1.mp4").codec == "av1"


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_turned_picture_is_shown_upright(rotation, numbered_video):
    path, _ = numbered_video(rotation=rotation, frames=5)
    with VideoReader(path, side_px=None) as reader:
        frames = next(reader.sample([0.1]))
        assert reader.info.rotation == rotation
    assert frames.rgb_FHWC.shape == (1, 96, 192, 3)
    assert read_number(frames.rgb_FHWC[0]) == 2


def test_the_test_film_is_turned_as_telephones_turn_theirs(numbered_video):
    """In ISO 14496-12 the matrix (0 1; -1 0) moves what is right down: clockwise."""
    path, _ = numbered_video(rotation=90, frames=2)
    header = path.read_bytes().split(b"tkhd")[1]
    assert np.frombuffer(header[40:56], ">i4").tolist() == [0, 65536, 0, -65536]


def test_the_display_size_is_kept_on_request(hostile_set):
    with VideoReader(hostile_set["anamorphic.mp4"].path, side_px=None) as reader:
        assert next(reader.sample([0.0])).rgb_FHWC.shape == (1, 96, 192, 3)


@pytest.mark.parametrize("rotation", [0, 90])
@pytest.mark.parametrize(
    ("max_pixels", "shape"), [(4608, (48, 96)), (10**6, (96, 192)), (200, (10, 20))]
)
def test_a_bound_on_pixels_keeps_the_shape(rotation, max_pixels, shape, numbered_video):
    path, _ = numbered_video(rotation=rotation, frames=3)
    with VideoReader(path, side_px=None, max_pixels=max_pixels) as reader:
        frames = next(reader.sample([0.0]))
    assert frames.rgb_FHWC.shape[1:3] == shape


@given(st.integers(1, 8000), st.integers(1, 8000), st.integers(64, 10**6))
def test_fitted_sizes_stay_within_the_bound_and_keep_their_shape(width, height, max_pixels):
    wide, high = fitted((width, height), max_pixels)
    assert 1 <= wide * high <= max_pixels
    assert max(wide, high) < 200 * min(wide, high), "no strip that a model refuses"
    if max(width, height) <= 50 * min(width, height) and min(wide, high) >= 20:
        assert wide / high == pytest.approx(width / height, rel=0.06)


def test_a_bound_on_pixels_and_a_side_exclude_each_other(tmp_path):
    for size in ({"side_px": 64, "max_pixels": 100}, {"side_px": None, "max_pixels": 0}):
        with pytest.raises(UsageError, match="give one of the two"):
            VideoReader(tmp_path / "a.mp4", **size)


def test_a_change_of_picture_size_midway_is_scaled_to_one_size(tmp_path):
    content = b""
    for name, fields in {
        "a.ts": {},
        "b.ts": {"first_tick": 75, "width": 384, "height": 192},
    }.items():
        Movie(**fields).write(tmp_path / name)
        content += (tmp_path / name).read_bytes()
    path = tmp_path / "both.ts"
    path.write_bytes(content)
    pairs, _ = numbers_at(path, DENSE)
    numbers = [number for _, number in pairs]
    assert numbers == [*range(71), *range(25, 75)]  # the seam counts as damage until a keyframe
    pairs, report = numbers_at(path, DENSE, limits=DecodeLimits(max_pixels=20_000))
    assert [number for _, number in pairs] == list(range(71))
    assert report.corrupt_packets > 0


def test_frames_beyond_the_longest_duration_are_dropped(hostile_set):
    limits = DecodeLimits(max_duration_s=1.0)
    pairs, report = numbers_at(hostile_set["plain.mp4"].path, itertools.count(0.5), limits=limits)
    assert (report.end_s, report.dropped_frames) == (1.0, 50)
    assert pairs == [(0.48, 12)] or pairs == [(0.48, 12), (0.96, 24)]


def test_memory_does_not_grow_with_the_film(tmp_path):
    path = tmp_path / "long.mp4"
    Movie(frames=1000).write(path)
    program = (
        "import resource, sys; from kinoscope.video import VideoReader\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10\n"
        "with VideoReader(sys.argv[1], side_px=512) as reader:\n"
        "    parts = reader.sample((i / 25 for i in range(9999)), chunk=8)\n"
        "    before, count = len(next(parts)) and peak(), sum(len(part) for part in parts)\n"
        "print(count, peak() - before)\n"
    )
    command = [sys.executable, "-c", program, str(path)]
    count, grown_mb = subprocess.run(command, capture_output=True, check=True).stdout.split()
    assert int(count) == 992
    assert int(grown_mb) < 50  # all its pictures at once are 780 MB


def test_the_default_grid_works_on_every_good_file(hostile_set):
    for name in GOOD:
        with VideoReader(hostile_set[name].path) as reader:
            times_s = grid_times(SamplingConfig(), reader.info.declared_duration_s)
            count = sum(len(frames) for frames in reader.sample(times_s))
        assert count >= min(3, len(hostile_set[name].shown)), name
