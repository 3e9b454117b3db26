"""Building an index: what comes into it, how it follows its folders, what it tells."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from kinoscope.index import build
from kinoscope.index.build import update
from kinoscope.index.options import share_cores
from kinoscope.index.store import Store
from tests.index import misbehaving
from tests.index.building import changes, contents, misbehave, no_decoding, run, table
from tests.index.pixels import SECONDS, embedder, touch

# --- what comes into the index


def test_an_index_holds_what_the_embedder_makes_of_each_file(store, videos):
    report = run(store, videos)
    assert changes(report) == {"indexed": 3}
    assert report.failures == report.problems == ()
    assert report.video_s == pytest.approx(3 * SECONDS)
    clips = store.clips()
    for row in store.files():
        alone = embedder().encode_video(row.path)
        mine = np.array([video_id == row.video_id for video_id in clips.video_ids])
        assert clips.start_s_N[mine].tolist() == [span.start_s for span in alone.spans]
        assert clips.end_s_N[mine].tolist() == [span.end_s for span in alone.spans]
        np.testing.assert_allclose(clips.vectors_ND[mine], alone.vectors_ND, atol=1e-6)
        assert (row.width, row.height, row.codec) == (48, 48, "h264")
        assert (row.duration_s, row.tries, row.state) == (SECONDS, 0, "indexed")


def test_a_second_run_finds_nothing_to_do(store, videos):
    run(store, videos)
    before = contents(store), store.files(), store.versions()
    with no_decoding():
        assert changes(run(store, videos)) == {"unchanged": 3}
        assert changes(run(store)) == {"unchanged": 3}  # all that is watched
    assert (contents(store), store.files(), store.versions()) == before


def test_short_and_long_films_come_to_the_model_in_small_batches(store, tmp_path, monkeypatch):
    misbehave(monkeypatch, misbehaving.long_film)
    (tmp_path / "long.mp4").write_bytes(b"any")
    model = embedder()
    report = update(store, [tmp_path / "long.mp4"], model)
    assert report.video_s == 2000.0
    assert model._backbone.most_frames <= 36
    assert store.clips().end_s_N.max() == 2000.0


def test_batches_are_committed_by_count_or_by_time(store, videos, tmp_path):
    commits = store.versions()[1]
    run(store, videos, commit_videos=1)
    each = store.versions()[1] - commits
    other = Store.create(tmp_path / "other", store.spec)
    commits = other.versions()[1]
    run(other, videos, commit_every_s=0.0)
    at_once = Store.create(tmp_path / "third", store.spec)
    assert (each, other.versions()[1] - commits) == (3, 3)
    commits = at_once.versions()[1]
    run(at_once, videos)
    assert at_once.versions()[1] - commits == 1
    assert contents(store) == contents(other) == contents(at_once)


def test_pieces_are_joined_after_many_commits(store, videos, monkeypatch):
    joined = []
    monkeypatch.setattr(build, "COMPACT_EVERY", 2)
    compact = store.compact
    monkeypatch.setattr(store, "compact", lambda: (joined.append(store.versions()), compact()))
    run(store, videos, commit_videos=1)
    assert joined
    assert len(contents(store)) == len(store.clips()) == 3 * 3


# --- the folder changes


@pytest.mark.parametrize("slice_files", [1, 256])
def test_moved_copied_and_touched_files_are_not_decoded(store, videos, slice_files, monkeypatch):
    run(store, videos)
    before = contents(store)
    (videos / "a.mp4").rename(videos / "sub" / "moved.mkv")
    shutil.copy(videos / "b.mp4", videos / "copy.mp4")
    touch(videos / "sub" / "c.mp4")
    monkeypatch.setattr(build, "SLICE_FILES", slice_files)
    with no_decoding():
        report = run(store, videos)
    assert changes(report) == {"moved": 1, "copied": 1, "refreshed": 1, "unchanged": 1}
    names = {"sub/moved.mkv", "b.mp4", "copy.mp4", "sub/c.mp4"}
    assert set(table(store, videos)) == names
    assert table(store, videos)["copy.mp4"] == table(store, videos)["b.mp4"]
    assert contents(store) == before
    assert changes(run(store, videos)) == {"unchanged": 4}


def test_a_whole_folder_that_is_renamed_keeps_its_vectors(store, videos):
    run(store, videos)
    before = contents(store)
    videos.rename(videos.with_name("films"))
    with no_decoding():
        report = run(store, videos.with_name("films"))
    assert changes(report) == {"copied": 3}  # the old folder might be a disk that is away
    assert contents(store) == before


def test_files_that_change_places_in_two_slices_are_not_decoded(store, videos, monkeypatch):
    monkeypatch.setattr(build, "SLICE_FILES", 1)
    run(store, videos)
    before = contents(store)
    for old, new in (("a", "x"), ("b", "a"), ("x", "b")):
        (videos / f"{old}.mp4").rename(videos / f"{new}.mp4")
        touch(videos / f"{new}.mp4")
    with no_decoding():
        assert changes(run(store, videos)) == {"copied": 2, "unchanged": 1}
    assert contents(store) == before


def test_a_large_library_comes_in_slices_with_the_same_result(store, videos, tmp_path, monkeypatch):
    shutil.copy2(videos / "a.mp4", videos / "sub" / "z.mp4")
    (videos / "text.mp4").write_text("not a film")
    whole = Store.create(tmp_path / "whole", store.spec)
    assert changes(run(whole, videos)) == {"indexed": 3, "duplicates": 1, "quarantined": 1}
    monkeypatch.setattr(build, "SLICE_FILES", 1)
    monkeypatch.setattr("kinoscope.index.progress.TELL_EVERY_S", 0.0)
    told, seen = [], []

    def tell(progress):
        told.append(progress)
        seen.append(len(store.files()))

    report = update(store, [videos], embedder(), progress=tell)
    assert changes(report) == {"indexed": 3, "copied": 1, "quarantined": 1}
    assert (contents(store), table(store, videos)) == (contents(whole), table(whole, videos))
    assert [p.stage for p in told[::-1]].index("identify") < seen[::-1].index(0)
    for stage in ("identify", "decode"):
        steps = [p.files_done for p in told if p.stage == stage]
        assert steps == sorted(steps)
    assert all(p.files_done <= p.files_total for p in told)


def test_the_real_path_of_a_file_stays_when_a_link_to_its_folder_is_watched(store, videos):
    run(store, videos)
    link = videos.parent / "a link"
    link.symlink_to(videos)
    assert changes(run(store, link))["copied"] == 3
    run(store)
    assert set(table(store, videos)) == {"a.mp4", "b.mp4", "sub/c.mp4"}


def test_a_linked_file_whose_disk_is_away_keeps_its_row(store, videos, films):
    disk = videos.parent / "disk"
    disk.mkdir()
    shutil.copy2(films[3], disk / "far.mp4")
    (videos / "near.mp4").symlink_to(disk / "far.mp4")
    run(store, videos)
    disk.rename(disk.with_name("away"))
    assert changes(run(store)) == {"kept": 1, "unchanged": 3}
    (videos / "near.mp4").unlink()
    assert changes(run(store)) == {"removed": 1, "unchanged": 3}


def test_a_changed_file_is_decoded_again_and_its_old_clips_go(store, videos, films):
    run(store, videos)
    old = table(store, videos)["a.mp4"][1]
    shutil.copy2(films[3], videos / "a.mp4")
    touch(videos / "a.mp4")
    assert changes(run(store, videos)) == {"indexed": 1, "unchanged": 2}
    new = table(store, videos)["a.mp4"][1]
    assert new != old
    assert set(store.clips().video_ids) == {v for _, v in table(store, videos).values()}
    assert store.count_orphans() == 0


def test_a_deleted_file_is_gone_but_not_the_vectors_of_its_copy(store, videos):
    shutil.copy2(videos / "a.mp4", videos / "copy.mp4")
    assert changes(run(store, videos)) == {"indexed": 3, "duplicates": 1}
    before = contents(store)
    (videos / "a.mp4").unlink()
    assert changes(run(store, videos)) == {"removed": 1, "unchanged": 3}
    assert contents(store) == before
    (videos / "copy.mp4").unlink()
    assert changes(run(store, videos)) == {"removed": 1, "unchanged": 2}
    assert len(contents(store)) == len(before) * 2 // 3
    assert store.count_orphans() == 0


def test_a_folder_that_is_away_keeps_its_videos_and_is_named(store, videos):
    run(store, videos)
    before = contents(store)
    videos.rename(videos.with_name("away"))
    for sources in ([], [videos]):
        report = run(store, *sources)
        assert changes(report) == {"kept": 3}
        assert report.problems == (f"{videos}: no such file or folder, or a broken link",)
        assert contents(store) == before
    videos.with_name("away").rename(videos)
    assert changes(run(store)) == {"unchanged": 3}


def test_a_mount_point_without_its_disk_keeps_its_videos(store, videos, tmp_path):
    run(store, videos)
    before = contents(store)
    videos.rename(tmp_path / "disk")
    videos.mkdir()
    report = run(store)
    assert changes(report) == {"kept": 3}
    (problem,) = report.problems
    assert f"{videos} is empty, and 3 files were there" in problem
    assert contents(store) == before
    (videos / "unrelated.txt").touch()
    assert changes(run(store)) == {"removed": 3}, "a folder with anything in it is what it shows"


def test_a_new_empty_folder_is_no_problem(store, tmp_path):
    (tmp_path / "new").mkdir()
    assert run(store, tmp_path / "new").problems == ()


def test_a_run_on_one_source_leaves_the_others_alone(store, videos, films, tmp_path):
    run(store, videos)
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy2(films[3], other / "d.mp4")
    (videos / "a.mp4").unlink()
    assert changes(run(store, other)) == {"indexed": 1}
    assert changes(run(store)) == {"removed": 1, "unchanged": 3}
    assert store.sources() == (videos, other)


def test_a_file_named_once_stays_when_its_folder_is_indexed(store, videos, films):
    odd = videos / "sub" / "no suffix"
    shutil.copy2(films[3], odd)
    assert changes(run(store, odd)) == {"indexed": 1}
    assert changes(run(store, videos)) == {"indexed": 3, "unchanged": 1}
    odd.unlink()
    assert changes(run(store, videos)) == {"removed": 1, "unchanged": 3}


def test_a_source_is_the_same_however_it_is_written(store, videos, monkeypatch):
    monkeypatch.chdir(videos / "sub")
    run(store, "..")
    assert changes(run(store, Path("../../videos/"), str(videos))) == {"unchanged": 3}
    assert store.sources() == (videos,)


def test_names_that_are_no_text_are_indexed(store, videos, films):
    name = os.fsdecode(b"-\xff\n.mp4")
    shutil.copy2(films[3], videos / name)
    assert changes(run(store, videos)) == {"indexed": 4}
    assert table(store, videos)[name][0] == "indexed"
    assert changes(run(store, videos)) == {"unchanged": 4}


# --- what a run tells


def test_progress_counts_up_to_the_end(store, videos, monkeypatch):
    monkeypatch.setattr("kinoscope.index.progress.TELL_EVERY_S", 0.0)
    (videos / "text.mp4").write_text("not a film")
    told = []
    update(store, [videos], embedder(), progress=told.append)
    assert [p.stage for p in told] == sorted((p.stage for p in told), reverse=True)
    for stage in ("identify", "decode"):
        steps = [p.files_done for p in told if p.stage == stage]
        assert steps == sorted(steps)
        assert {p.files_total for p in told if p.stage == stage} == {4}
    last = told[-1]
    assert (last.files_done, last.failed, last.eta_s) == (4, 1, 0.0)
    assert last.videos_per_s > 0 and last.hours_per_h > 0
    assert all(p.eta_s is None or p.eta_s >= 0 for p in told)


def test_progress_is_told_now_and_then_only(store, tmp_path, monkeypatch):
    misbehave(monkeypatch, misbehaving.long_film)
    (tmp_path / "long.mp4").write_bytes(b"any")
    told = []
    report = update(store, [tmp_path / "long.mp4"], embedder(), progress=told.append)
    assert len(told) <= 4 + report.wall_s / 0.2


def test_a_report_says_where_time_went(store, videos):
    report = run(store, videos)
    assert set(report.stages) == {"scan", "identify", "decode", "vision", "write"}
    assert all(cost.wall_s > 0 and cost.cpu_s >= 0 for cost in report.stages.values())
    assert sum(cost.wall_s for cost in report.stages.values()) <= report.wall_s
    assert sum(map(report.cpu_share, report.stages)) == pytest.approx(1.0)
    assert report.realtime_factor == pytest.approx(3 * SECONDS / report.wall_s)
    assert report.frames == 3 * SECONDS * embedder().sampling.fps
    assert str(report).startswith("3 indexed\n0.2 min of video in ")


@pytest.mark.parametrize(
    ("cores", "films", "wish", "shares"),
    [
        (2, 100, None, (2, 1)),
        (2, 1, None, (1, 2)),
        (8, 3, None, (3, 2)),
        (64, 1000, None, (16, 4)),
        (64, 1, None, (1, 8)),
        (2, 100, 5, (5, 1)),
        (2, 3, 5, (3, 1)),
        (1, 0, None, (1, 1)),
    ],
)
def test_cores_are_shared_by_workers_then_threads(cores, films, wish, shares):
    assert share_cores(cores, films, wish) == shares
