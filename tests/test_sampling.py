"""Windows cover the video and end with it; the grid ascends; descriptions are faithful."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kinoscope.errors import UsageError
from kinoscope.sampling import (
    RESERVE,
    WHOLE,
    SamplingConfig,
    Window,
    cut_clips,
    grid_times,
    spread,
    whole_reserve,
    window_spans,
)

SECONDS = st.floats(0.01, 300)


@st.composite
def windows(draw):
    length_s = draw(st.floats(1, 100))
    return Window(length_s=length_s, stride_s=length_s * draw(st.floats(0.2, 1.0)))


@st.composite
def configs(draw):
    chosen = draw(st.lists(windows(), max_size=3, unique_by=lambda window: window.scale))
    return SamplingConfig(
        fps=draw(st.floats(0.01, 120)),
        min_frames=draw(st.integers(1, 64)),
        policy=draw(st.sampled_from(["exact", "keyframe"])),
        windows=tuple(chosen),
        clip_frames=draw(st.none() | st.integers(1, 64)),
        **draw(
            st.fixed_dictionaries({"side_px": st.integers(8, 4096)})
            | st.fixed_dictionaries(
                {"side_px": st.none(), "max_pixels": st.integers(64, 4096 * 4096)}
            )
        ),
    )


@given(windows(), SECONDS)
@example(Window(length_s=4, stride_s=2), 9.0)
@example(Window(length_s=4, stride_s=2), 4.0)
@example(Window(length_s=0.3, stride_s=0.1), 0.9)
def test_windows_cover_the_video_without_a_gap_and_lie_inside_it(window, duration_s):
    spans = window_spans(window, duration_s)
    assert spans[0].start_s == 0
    assert spans[-1].end_s == pytest.approx(duration_s, abs=1e-5)
    assert all(span.end_s <= duration_s for span in spans)
    for span, later in itertools.pairwise(spans):
        assert span.start_s < later.start_s <= span.end_s + 1e-9


@given(windows(), SECONDS)
def test_windows_are_of_equal_length_on_the_stride_save_the_last(window, duration_s):
    spans = window_spans(window, duration_s)
    length_s = min(window.length_s, duration_s)
    assert all(span.duration_s == pytest.approx(length_s, abs=1e-5) for span in spans[:-1])
    assert length_s - 1e-5 <= spans[-1].duration_s <= length_s + 0.05 + 1e-5
    for i, span in enumerate(spans[:-1]):
        assert span.start_s == pytest.approx(i * window.stride_s)


@pytest.mark.parametrize(
    ("duration_s", "starts"),
    [(3, [0]), (4, [0]), (5, [0, 1]), (8, [0, 2, 4]), (9, [0, 2, 4, 5]), (9.9999999, [0, 2, 4, 6])],
)
def test_windows_of_4_s_every_2_s(duration_s, starts):
    spans = window_spans(Window(length_s=4, stride_s=2), duration_s)
    assert [span.start_s for span in spans] == pytest.approx(starts)


@given(configs(), SECONDS, st.integers(1, 40), st.randoms())
def test_every_clip_holds_frames_and_each_frame_is_in_the_whole(config, duration_s, count, random):
    times_F = np.array(sorted({random.uniform(0, duration_s) for _ in range(count)}))
    config = replace(config, clip_frames=None)
    whole, *cut = cut_clips(config, duration_s, times_F)
    assert (whole.scale, whole.span.start_s, whole.span.end_s) == (WHOLE, 0, duration_s)
    assert whole.indices == tuple(range(len(times_F)))
    assert {clip.scale for clip in cut} == {window.scale for window in config.windows}
    for clip in cut:
        assert clip.indices
        assert clip.indices == tuple(range(clip.indices[0], clip.indices[-1] + 1))
        inside = (times_F >= clip.span.start_s) & (times_F < clip.span.end_s)
        if inside.any():
            assert clip.indices == tuple(np.flatnonzero(inside))
        else:  # the frame still on screen, or the first one to come
            before = np.flatnonzero(times_F < clip.span.start_s)
            assert clip.indices == (before[-1] if len(before) else 0,)


def test_a_rest_of_some_milliseconds_belongs_to_the_last_window() -> None:
    window = Window(length_s=4, stride_s=2)
    spans = window_spans(window, 10.0003)
    assert [span.start_s for span in spans] == [0, 2, 4, 6]
    assert spans[-1].end_s == 10.0003


def test_a_jump_of_the_clock_makes_no_day_of_clips() -> None:
    times_F = np.array([0.5, 1.5, 95_000.5])
    clips = cut_clips(SamplingConfig(), 95_001.0, times_F)
    assert len(clips) < 50
    assert {clip.indices for clip in clips[1:]} == {(0, 1), (1,), (2,)}


def test_a_slide_show_is_covered_by_the_slide_on_screen() -> None:
    times_F = np.array([0.0, 30.0])
    clips = cut_clips(SamplingConfig(), 60.0, times_F)
    assert [clip.indices for clip in clips if clip.span.start_s == 20.0] == [(0,)]
    assert max(clip.span.end_s for clip in clips[1:]) == 60.0


def test_a_video_without_frames_has_no_clips():
    with pytest.raises(UsageError, match="no frames"):
        cut_clips(SamplingConfig(), 3.0, np.array([]))


@given(configs(), st.none() | st.floats(-1, 1e4))
@example(SamplingConfig(min_frames=2), 5e-324)
def test_the_grid_ascends_and_goes_on_beyond_the_declared_end(config, duration_s):
    times = list(itertools.islice(grid_times(config, duration_s), 200))
    assert times[0] >= 0
    assert all(a < b for a, b in itertools.pairwise(times))
    step_s = 1 / config.fps
    assert all(b - a <= step_s * 2.001 for a, b in itertools.pairwise(times))


@given(configs(), SECONDS)
def test_a_short_video_gets_the_least_number_of_frames(config, duration_s):
    inside = itertools.takewhile(lambda time_s: time_s < duration_s, grid_times(config, duration_s))
    count = sum(1 for _ in itertools.islice(inside, config.min_frames + 1))
    assert count >= min(config.min_frames, math.floor(duration_s * config.fps) or 1)


def test_the_grid_of_a_long_and_of_a_short_video():
    assert list(itertools.islice(grid_times(SamplingConfig(), 60.0), 3)) == [0.5, 1.5, 2.5]
    short = itertools.islice(grid_times(SamplingConfig(), 2.0), 6)
    assert list(short) == [0.25, 0.75, 1.25, 1.75, 2.5, 3.5]


def test_a_declared_duration_that_lies_does_not_make_the_grid_dense_for_ever():
    minute = itertools.takewhile(lambda time_s: time_s < 60, grid_times(SamplingConfig(), 0.001))
    assert len(list(minute)) == 4 + 60


@given(configs())
@example(SamplingConfig())
@example(SamplingConfig(fps=1 / 3, windows=(Window(length_s=10 / 3, stride_s=0.1234567),)))
def test_a_description_is_read_back_as_the_same_sampling(config):
    assert SamplingConfig.parse(config.describe()) == config


def test_the_usual_sampling_is_described_in_one_line():
    assert SamplingConfig().describe() == "exact 1fps min4 260px 4s/2s"
    shaped = SamplingConfig(fps=2, side_px=None, max_pixels=460_800, clip_frames=8)
    assert shaped.describe() == "exact 2fps min4 460800px/frame 8frames 4s/2s"


@pytest.mark.parametrize(
    "text",
    ["", "exact", "exact 1..2fps min4 260px 4s/2s", "exact 1fps min4 260px 4s/2s 8s", "x" * 10_000],
)
def test_another_description_is_refused(text):
    with pytest.raises(UsageError, match="not one that this version knows"):
        SamplingConfig.parse(text)


@pytest.mark.parametrize(
    "fields",
    [
        {"fps": 0},
        {"fps": math.nan},
        {"fps": 121},
        {"min_frames": 0},
        {"side_px": 7},
        {"side_px": None},
        {"side_px": 260, "max_pixels": 1000},
        {"side_px": None, "max_pixels": 63},
        {"clip_frames": 0},
        {"policy": "sometimes"},
        {"windows": (Window(length_s=4, stride_s=2), Window(length_s=4, stride_s=1))},
    ],
)
def test_senseless_sampling_is_refused(fields):
    with pytest.raises(UsageError):
        SamplingConfig(**fields)


@pytest.mark.parametrize(("length_s", "stride_s"), [(4, 0), (4, 5), (math.inf, 1), (math.nan, 1)])
def test_senseless_windows_are_refused(length_s, stride_s):
    with pytest.raises(UsageError, match="stride"):
        Window(length_s=length_s, stride_s=stride_s)


@given(st.integers(1, 400), st.integers(1, 40))
def test_spread_takes_distinct_frames_evenly_with_both_ends(count, most):
    chosen = spread(tuple(range(count)), most)
    assert len(set(chosen)) == len(chosen) == min(count, most)
    assert list(chosen) == sorted(chosen)
    if 1 < most < count:
        assert (chosen[0], chosen[-1]) == (0, count - 1)
        steps = np.diff(chosen)
        assert steps.max() - steps.min() <= 1


@pytest.mark.parametrize(
    ("count", "most", "chosen"), [(10, 4, (0, 3, 6, 9)), (9, 1, (4,)), (3, 8, (0, 1, 2))]
)
def test_spread_by_example(count, most, chosen):
    assert spread(tuple(range(count)), most) == chosen


@given(st.integers(1, 5000), st.integers(1, 9))
def test_the_reserve_of_the_whole_is_small_even_and_only_ever_thinned(count, most):
    reserve = whole_reserve(count, most)
    assert len(reserve) <= RESERVE * most + 1
    assert (reserve[0], reserve[-1]) == (0, count - 1)
    later = set(whole_reserve(count + 777, most)) & set(range(count))
    assert later <= set(whole_reserve(count, most)), "a frame that was let go is wanted again"


def test_a_clip_reads_at_most_so_many_of_its_frames():
    config = SamplingConfig(fps=5, clip_frames=3)
    clips = cut_clips(config, 8.0, np.arange(40) / 5 + 0.1)
    whole, *windows = [clip.indices for clip in clips]
    assert windows == [(0, 10, 19), (10, 20, 29), (20, 30, 39)]
    assert whole == (0, 20, 39), "of every second frame, and the last"
