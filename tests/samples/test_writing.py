"""Written videos hold the frames they were given, at their times."""

import av
import numpy as np
import pytest

from kinoscope.samples.writing import is_animated, write_video
from tests.samples.test_clips import webp


def read(path):
    with av.open(str(path)) as container:
        frames = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode()]
        return frames, container.duration / 1e6


@pytest.mark.parametrize(("fps", "count"), [(24, 7), (2.5, 3), (30000 / 1001, 31), (1, 1)])
def test_frames_come_at_an_even_rate_and_the_last_one_stays_as_long(tmp_path, fps, count):
    greys = np.linspace(20, 230, count)
    made = (np.full((32, 48, 3), grey, np.uint8) for grey in greys)
    write_video(tmp_path / "x.mp4", made, fps=fps)
    frames, duration_s = read(tmp_path / "x.mp4")
    assert [time for time, _ in frames] == pytest.approx([n / fps for n in range(count)], abs=1e-3)
    assert duration_s == pytest.approx(count / fps, abs=2e-3)
    for (_, rgb_HWC), grey in zip(frames, greys, strict=True):
        assert rgb_HWC.shape == (32, 48, 3)
        assert np.abs(rgb_HWC.mean() - grey) < 6


def test_an_odd_last_row_and_column_are_cut(tmp_path):
    write_video(tmp_path / "x.mp4", [np.zeros((33, 49, 3), np.uint8)], fps=5)
    frames, _ = read(tmp_path / "x.mp4")
    assert frames[0][1].shape == (32, 48, 3)


def test_colours_survive(tmp_path):
    colours = [(200, 40, 40), (40, 200, 40), (40, 40, 200)]
    made = [np.full((32, 32, 3), colour, np.uint8) for colour in colours]
    write_video(tmp_path / "x.mp4", made, fps=3)
    frames, _ = read(tmp_path / "x.mp4")
    for (_, rgb_HWC), colour in zip(frames, colours, strict=True):
        assert np.abs(rgb_HWC.mean(axis=(0, 1)) - colour).max() < 12


def test_one_frame_is_no_animation():
    assert is_animated(webp())
    assert not is_animated(webp(greys=[50]))
