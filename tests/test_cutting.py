"""Cutting: the file begins at the very moment, plays, and is a copy where it can be."""

import json

import av
import numpy as np
import pytest

from kinoscope.cutting import cut
from kinoscope.errors import MediaError, UsageError
from kinoscope.types import Span
from kinoscope.video import VideoReader
from tests.movies import AV1, MPEG4, VP9, WMV2, read_number


def shown(path, times_s) -> list[int]:
    """Numbers on screen at instants."""
    with VideoReader(path, side_px=None) as reader:
        frames = list(reader.sample(times_s))
    return [read_number(rgb) for part in frames for rgb in part.rgb_FHWC]


def length_s(path) -> float:
    with VideoReader(path) as reader:
        for _ in reader.sample(np.arange(0.0, 60.0, 0.04)):
            pass
        return reader.report.end_s


SPANS = [Span(0.0, 1.0), Span(1.0, 2.0), Span(0.48, 1.52), Span(1.24, 2.6), Span(2.0, 9.0)]


@pytest.mark.parametrize("span", SPANS, ids=str)
def test_a_copy_shows_the_span_and_nothing_before_it(numbered_video, tmp_path, span) -> None:
    path, movie = numbered_video("film.mp4", frames=75, fps=25)
    assert cut(path, span, tmp_path / "out.mp4") == "copied"
    times = np.arange(0.02, min(span.end_s, 3.0) - span.start_s - 0.02, 0.04)
    expected = [round((span.start_s + t - 0.02) * 25) for t in times]
    assert shown(tmp_path / "out.mp4", times) == expected
    wanted_s = min(span.end_s, 3.0) - span.start_s
    assert wanted_s - 0.01 <= length_s(tmp_path / "out.mp4") <= wanted_s + 0.2
    assert movie.frames == 75


@pytest.mark.parametrize(
    ("name", "fields", "how"),
    [
        ("film.mkv", {}, "copied"),
        ("film.ts", {}, "copied"),
        ("film.MOV", {"rotation": 90}, "copied"),
        ("film.webm", {"codec": "libvpx-vp9", "options": VP9}, "copied"),
        ("film.mp4", {"codec": "libsvtav1", "options": AV1}, "copied"),
        ("film.wmv", {"codec": "wmv2", "options": WMV2}, "encoded"),
        ("film.avi", {"codec": "mpeg4", "options": MPEG4}, None),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
def test_every_container_gives_a_file_that_plays(
    numbered_video, tmp_path, name, fields, how
) -> None:
    path, _ = numbered_video(name, frames=50, fps=25, **fields)
    found = cut(path, Span(0.6, 1.4), tmp_path / "out.mp4")
    assert how in (found, None)
    times = [0.02, 0.1, 0.42, 0.7]
    assert shown(tmp_path / "out.mp4", times) == [15, 17, 25, 32]


def test_sound_comes_along(numbered_video, tmp_path) -> None:
    path, _ = numbered_video("film.mp4", frames=75, fps=25, audio_s=3.0)
    assert cut(path, Span(1.0, 2.0), tmp_path / "out.mp4") == "copied"
    with av.open(str(tmp_path / "out.mp4")) as container:
        (sound,) = container.streams.audio
        packets = [packet for packet in container.demux(sound) if packet.pts is not None]
    times = [float(packet.pts * packet.time_base) for packet in packets]
    assert -0.05 <= min(times) <= 0.05
    assert 0.9 <= max(times) <= 1.0


def test_a_taken_name_is_kept_and_a_failure_leaves_nothing(numbered_video, tmp_path) -> None:
    path, _ = numbered_video("film.mp4", frames=25)
    before = path.read_bytes()
    with pytest.raises(UsageError, match="exists: choose another name"):
        cut(path, Span(0, 1), path)
    assert path.read_bytes() == before
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no film")
    with pytest.raises(MediaError, match="is not a video"):
        cut(broken, Span(0, 1), tmp_path / "out.mp4")
    cases = {"out.avi": "name it out.mp4", "none/out.mp4": "does not exist"}
    for name, words in cases.items():
        with pytest.raises(UsageError, match=words):
            cut(path, Span(0, 1), tmp_path / name)
    with pytest.raises(UsageError, match=r"ends at 1\.00 s: nothing is at 5\.00 s"):
        cut(path, Span(5, 6), tmp_path / "out.mp4")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["broken.mp4", "film.mp4"]


def test_the_command_cuts_a_piece(run, numbered_video, tmp_path) -> None:
    path, _ = numbered_video("film.mp4", frames=75, fps=25)
    to = tmp_path / "out.mp4"
    code, out, err = run("cut", f"{path}@0:01-0:02", "--to", to, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {"path": str(to), "source": str(path), "how": "copied"}
    code, out, err = run("cut", path, "--to", tmp_path / "b.mp4")
    assert (code, out, "say which seconds" in err) == (2, "", True)
    assert run("cut", f"{path}@1-2", "--to", to)[0] == 2
