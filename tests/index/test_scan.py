"""Scanning folders: every video once, every obstacle named, no loop, no wait."""

import os
import socket
import time
from pathlib import Path

import pytest

from kinoscope.errors import MediaError, UsageError
from kinoscope.index import identity
from kinoscope.index.identity import ReadLimits, content_id, identify
from kinoscope.index.scan import FoundFile, absolute, scan


def make(path, content=b"x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def names(found, top):
    return [os.path.relpath(file.path, top) for file in found.files]


def reasons(found, top):
    return {
        os.path.relpath(p.path, top): p.message.removeprefix(p.path + ": ") for p in found.problems
    }


def test_files_with_a_videos_name_are_found_in_sorted_order_at_any_depth(tmp_path):
    for name in ("b.mp4", "a/deep/er/C.MKV", "a/x.MP4", "a.webm", "notes.txt", "a/mp4"):
        make(tmp_path / name)
    assert names(scan([tmp_path]), tmp_path) == ["a.webm", "a/deep/er/C.MKV", "a/x.MP4", "b.mp4"]


def test_a_found_file_carries_size_and_time_of_its_target(tmp_path):
    target = make(tmp_path / "real.bin", b"12345")
    os.utime(target, ns=(1, 987654321))
    (tmp_path / "link.mp4").symlink_to(target)
    (file,) = scan([tmp_path]).files
    assert file == FoundFile(path=str(tmp_path / "link.mp4"), size_bytes=5, mtime_ns=987654321)


def test_a_file_that_is_named_is_taken_whatever_its_name(tmp_path):
    paths = [make(tmp_path / "holiday"), make(tmp_path / ".hidden.bin")]
    assert names(scan(paths), tmp_path) == [".hidden.bin", "holiday"]


@pytest.mark.parametrize("name", ["-rf.mp4", "a b\nc.mp4", "映画 🎬.mp4", "~.mp4", "a:b?.mp4"])
def test_unusual_names_are_found(tmp_path, name):
    make(tmp_path / name)
    assert names(scan([tmp_path]), tmp_path) == [name]


def test_a_name_that_is_no_unicode_is_found(tmp_path):
    raw = os.fsencode(tmp_path) + b"/\xff\xfe.mp4"
    make(Path(os.fsdecode(raw)))
    (file,) = scan([tmp_path]).files
    assert os.fsencode(file.path) == raw
    assert len(content_id(file)) == 32


def test_hidden_files_and_folders_are_passed_over_unless_they_are_the_source(tmp_path):
    make(tmp_path / ".trash" / "a.mp4")
    make(tmp_path / "._b.mp4")
    assert names(scan([tmp_path]), tmp_path) == []
    assert names(scan([tmp_path / ".trash"]), tmp_path) == [".trash/a.mp4"]


def test_overlapping_and_repeated_sources_give_each_file_once(tmp_path):
    make(tmp_path / "a" / "x.mp4")
    sources = [tmp_path / "a", tmp_path, tmp_path / "a" / "x.mp4", tmp_path / "a" / ".." / "a"]
    found = scan(sources)
    assert names(found, tmp_path) == ["a/x.mp4"]
    assert len(found.sources) == 3


def test_links_that_form_a_loop_end_and_hide_nothing(tmp_path):
    make(tmp_path / "a" / "x.mp4")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a")
    found = scan([tmp_path])
    assert names(found, tmp_path) == ["a/x.mp4"]
    assert found.problems == ()


def test_a_linked_folder_is_followed_but_a_real_path_wins(tmp_path):
    make(tmp_path / "elsewhere" / "far.mp4")
    make(tmp_path / "top" / "z" / "near.mp4")
    (tmp_path / "top" / "a").symlink_to(tmp_path / "top" / "z")
    (tmp_path / "top" / "b").symlink_to(tmp_path / "elsewhere")
    assert names(scan([tmp_path / "top"]), tmp_path / "top") == ["b/far.mp4", "z/near.mp4"]


def test_broken_and_circular_links_are_named_and_cost_nothing_else(tmp_path):
    make(tmp_path / "good.mp4")
    (tmp_path / "broken.mp4").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    (tmp_path / "disk").symlink_to("/nowhere/at/all")
    found = scan([tmp_path])
    assert names(found, tmp_path) == ["good.mp4"]
    broken = "no such file or folder, or a broken link"
    assert reasons(found, tmp_path) == {
        "broken.mp4": broken,
        "disk": broken,
        "loop.mp4": "a link that leads back to itself",
    }
    assert found.hides(str(tmp_path / "disk" / "film.mp4"))


def test_pipes_sockets_and_folders_with_a_videos_name_are_never_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    os.mkfifo("pipe.mp4")
    make(tmp_path / "folder.mp4" / "inside.mp4")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.mp4")
        found = scan([tmp_path])
    assert names(found, tmp_path) == ["folder.mp4/inside.mp4"]
    neither = "neither a regular file nor a folder"
    assert reasons(found, tmp_path) == {"pipe.mp4": neither, "socket.mp4": neither}


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable to root")
def test_a_folder_without_permission_is_named_and_hides_its_files(tmp_path):
    make(tmp_path / "secret" / "x.mp4")
    make(tmp_path / "open.mp4")
    (tmp_path / "secret").chmod(0)
    try:
        found = scan([tmp_path])
    finally:
        (tmp_path / "secret").chmod(0o700)
    assert names(found, tmp_path) == ["open.mp4"]
    assert reasons(found, tmp_path) == {"secret": "no permission to look inside"}
    assert found.hides(str(tmp_path / "secret" / "x.mp4"))


def test_a_folder_that_cannot_be_listed_is_named_and_hides_its_files(tmp_path, monkeypatch):
    make(tmp_path / "sick" / "x.mp4")
    make(tmp_path / "well" / "y.mp4")
    real = os.scandir

    def failing(folder):
        if str(folder).endswith("sick"):
            raise OSError(5, "Input/output error")
        return real(folder)

    monkeypatch.setattr(os, "scandir", failing)
    found = scan([tmp_path])
    assert names(found, tmp_path) == ["well/y.mp4"]
    assert reasons(found, tmp_path) == {"sick": "Input/output error"}
    assert found.hides(str(tmp_path / "sick" / "x.mp4"))


def test_the_index_itself_is_not_searched_for_videos(tmp_path):
    make(tmp_path / "index" / "inside.mp4")
    make(tmp_path / "x.mp4")
    (tmp_path / "link").symlink_to(tmp_path / "index")
    assert names(scan([tmp_path], skip=tmp_path / "index"), tmp_path) == ["x.mp4"]


def test_an_absent_source_is_named_and_hides_what_was_below_it(tmp_path):
    disk = tmp_path / "disk"
    found = scan([disk, disk / "sub" / "film.mp4"])
    assert found.files == ()
    assert [p.path for p in found.problems] == [str(disk), str(disk / "sub" / "film.mp4")]
    assert found.hides(str(disk / "a" / "b.mp4"))
    assert found.hides(str(disk / "sub" / "film.mp4"))
    assert not found.hides(str(tmp_path / "other.mp4"))


def test_an_absent_file_in_a_folder_that_is_there_is_not_hidden(tmp_path):
    found = scan([tmp_path / "deleted.mp4"])
    assert not found.hides(str(tmp_path / "deleted.mp4"))
    assert found.covers(str(tmp_path / "deleted.mp4"))


def test_covering_follows_folders_not_letters(tmp_path):
    make(tmp_path / "film" / "a.mp4")
    found = scan([tmp_path / "film"])
    assert found.covers(str(tmp_path / "film" / "a.mp4"))
    assert not found.covers(str(tmp_path / "films" / "a.mp4"))
    assert not found.covers(str(tmp_path))


def test_absolute_drops_dots_and_keeps_links(tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.chdir(tmp_path)
    assert absolute("link/../link/./x.mp4") == str(tmp_path / "link" / "x.mp4")


def found_file(path):
    status = path.stat()
    return FoundFile(path=str(path), size_bytes=status.st_size, mtime_ns=status.st_mtime_ns)


def test_the_identity_is_that_of_the_content_alone(tmp_path):
    contents = {"a.mp4": b"one", "b.mkv": b"one", "c.mp4": b"two"}
    first, second, third = (
        content_id(found_file(make(tmp_path / name, content))) for name, content in contents.items()
    )
    assert first == second != third
    assert first == "c88d4df74262143a08e9d190e3bd67f1"  # BLAKE2b-128 of `one`


def test_the_identity_of_a_file_that_vanished_changed_or_is_a_folder_is_a_named_fault(tmp_path):
    path = make(tmp_path / "a.mp4")
    file = found_file(path)
    path.write_bytes(b"longer")
    with pytest.raises(MediaError, match="changed while it was read") as changed:
        content_id(file)
    path.unlink()
    with pytest.raises(MediaError, match=r"a\.mp4 vanished") as missing:
        content_id(file)
    path.mkdir()
    with pytest.raises(MediaError, match="cannot be read: Is a directory") as unreadable:
        content_id(file)
    faults = [info.value.fault for info in (changed, missing, unreadable)]
    assert faults == ["changed", "missing", "unreadable"]


def test_a_read_that_never_ends_is_a_timeout_and_costs_no_other_file(tmp_path, monkeypatch):
    files = [found_file(make(tmp_path / name)) for name in ("dead.mp4", "well.mp4")]
    real = identity.content_id

    def sick(file, **options):
        time.sleep(1.0 if file.path.endswith("dead.mp4") else 0.0)
        return real(file, **options)

    monkeypatch.setattr(identity, "content_id", sick)
    answers = {Path(f.path).name: answer for f, answer in identify(files, ReadLimits(stall_s=0.3))}
    assert answers["well.mp4"] == content_id(files[1])
    assert answers["dead.mp4"].fault == "timeout"
    assert "dead.mp4 gave nothing for 0 s" in str(answers["dead.mp4"])


def test_the_time_a_file_may_take_grows_with_its_size_up_to_a_limit():
    limits = ReadLimits(base_s=10, bytes_per_s=100, most_s=50)
    assert [limits.total_s(size) for size in (0, 1000, 10**12)] == [10, 20, 50]
    with pytest.raises(UsageError, match="must be positive"):
        ReadLimits(most_s=0)


def test_an_entry_on_a_failing_disk_keeps_its_row_but_a_vanished_one_does_not(tmp_path):
    (tmp_path / "broken.mp4").symlink_to(tmp_path / "nowhere")
    found = scan([tmp_path, tmp_path / "gone.mp4"])
    assert found.hides(str(tmp_path / "broken.mp4"))
    assert not found.hides(str(tmp_path / "gone.mp4"))


def test_links_that_lead_out_of_the_folders_that_may_be_read_are_problems(tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "out"
    make(inside / "a.mp4")
    make(outside / "b.mp4")
    (inside / "file.mp4").symlink_to(outside / "b.mp4")
    (inside / "folder").symlink_to(outside)
    (inside / "same.mp4").symlink_to(inside / "a.mp4")
    assert {Path(file.path).name for file in scan([inside]).files} >= {"file.mp4", "b.mp4"}
    found = scan([inside], within=[inside])
    assert {Path(file.path).name for file in found.files} == {"a.mp4", "same.mp4"}
    assert {Path(problem.path).name for problem in found.problems} == {"file.mp4", "folder"}
    assert all("leads out" in problem.message for problem in found.problems)
