"""What is no readable video, a wrong name or a wrong argument is refused in one clear sentence."""

import io
import itertools
import os
from pathlib import Path

import numpy as np
import pytest

from kinoscope.errors import MediaError, UsageError
from kinoscope.video import DecodeLimits, VideoReader, is_video_name
from kinoscope.video import reader as reader_module
from kinoscope.video.opening import open_file
from tests.media import numbers_at
from tests.movies import Movie


def test_a_file_that_may_not_be_read_is_named(hostile_set, monkeypatch):
    def refuse(*_args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(MediaError, match="permission denied") as raised:
        VideoReader(hostile_set["plain.mp4"].path).__enter__()
    assert raised.value.fault == "unreadable"


@pytest.mark.parametrize("limits", [DecodeLimits(max_side_px=191), DecodeLimits(max_pixels=18_000)])
def test_a_picture_over_the_limits_is_refused(limits, hostile_set):
    with pytest.raises(MediaError, match="192x96") as raised:
        VideoReader(hostile_set["plain.mp4"].path, limits=limits, side_px=64).__enter__()
    assert raised.value.fault == "too_large"


def test_nothing_is_printed_about_damage(hostile_set, capfd):
    numbers_at(hostile_set["junk_inside.mp4"].path, itertools.count(0.02, 0.04))
    numbers_at(hostile_set["truncated.mp4"].path, itertools.count(0.02, 0.04))
    assert capfd.readouterr() == ("", "")


def test_reading_on_after_the_end_of_the_context_is_refused(hostile_set):
    with VideoReader(hostile_set["plain.mkv"].path) as reader:
        frames = reader.sample(itertools.count(0.02, 0.04), chunk=2)
        next(frames)
    with pytest.raises(UsageError, match="closed"):
        list(frames)
    with pytest.raises(ValueError, match="closed"):
        list(reader.sample([0.5]))


def test_a_disk_error_midway_is_named(hostile_set, monkeypatch):
    class FailingDisk(io.FileIO):
        broken = False

        def read(self, size=-1):
            if self.broken:
                raise OSError(5, "Input/output error")
            return super().read(min(size, 5000))

    path = hostile_set["fragmented.mp4"].path
    file, identity = open_file(path)
    file.close()
    disk = FailingDisk(path)
    monkeypatch.setattr(reader_module, "open_file", lambda _path: (disk, identity))
    with VideoReader(path) as reader:
        disk.broken = True
        with pytest.raises(MediaError, match="Input/output error") as raised:
            list(reader.sample(itertools.count(0.02, 0.04)))
    assert raised.value.fault == "unreadable"


@pytest.mark.parametrize(
    "path",
    [
        "nowhere.mp4",
        "http://127.0.0.1:9/a.mp4",
        "file:///etc/passwd",
        "concat:a|b",
        "a\0b.mp4",
        "-",
    ],
)
def test_a_path_that_is_no_file_is_named_and_never_a_url(path):
    with pytest.raises(MediaError) as raised:
        VideoReader(path).__enter__()
    assert raised.value.fault in ("missing", "unreadable")


def test_folders_and_pipes_are_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    for path in (tmp_path, tmp_path / "pipe.mp4"):
        with pytest.raises(MediaError, match="give a") as raised:
            VideoReader(path).__enter__()
        assert raised.value.fault == "unreadable"


def test_a_name_that_is_no_unicode_is_read(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.mp4")
    Movie(frames=5).write(tmp_path / "five.mp4")
    (tmp_path / "five.mp4").rename(path)
    assert len(numbers_at(path, itertools.count(0.02, 0.04))[0]) == 5


@pytest.mark.parametrize("times_s", [[1.0, 0.5], [1.0, 1.0], [float("nan")]])
def test_instants_that_do_not_ascend_are_refused(times_s, hostile_set):
    with pytest.raises(UsageError, match="ascend"):
        numbers_at(hostile_set["plain.mp4"].path, times_s)


@pytest.mark.parametrize(
    "options", [{"policy": "fast"}, {"side_px": 0}, {"side_px": 9000}, {"threads": -1}]
)
def test_senseless_options_are_refused(options):
    with pytest.raises(UsageError):
        VideoReader("a.mp4", **options)


@pytest.mark.parametrize("name", ["a.mp4", "A.MP4", ".hidden.mkv", "b.c.WebM", "x.m2ts", "-.ts"])
def test_video_names(name):
    assert is_video_name(name)


@pytest.mark.parametrize("name", ["mp4", "a.mp3", "a.mp4.part", "a.jpg", "._a.mov", ".mp4", ""])
def test_other_names(name):
    assert not is_video_name(name)


@pytest.mark.parametrize(
    "name", ["plain.mp4", "fragmented.mp4", "plain.mkv", "starts_at_40s.ts", "mpeg4.avi", "av1.mp4"]
)
def test_damage_anywhere_gives_frames_or_a_named_fault(name, hostile_set, tmp_path):
    content, random = hostile_set[name].path.read_bytes(), np.random.default_rng(0)
    for trial in range(24):
        damaged = bytearray(content)
        reach = len(content) if trial % 2 else 2000  # headers are hit harder
        for at in random.integers(0, reach, 8).tolist():
            damaged[at] = random.integers(256)
        path = tmp_path / f"{trial}{Path(name).suffix}"
        path.write_bytes(damaged[: random.integers(len(content) // 2, len(content) * 2)])
        policy = "exact" if trial % 3 else "keyframe"
        try:
            pairs, report = numbers_at(path, itertools.count(0.1, 0.3), policy=policy)
        except MediaError as error:
            assert str(path) in str(error)
        else:
            assert pairs
            assert 0 < report.end_s <= DecodeLimits().max_duration_s
