"""Building an index against bad files, wrong arguments, full disks and Ctrl-C."""

import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest

from kinoscope.errors import IndexFault, MediaError, SpecMismatch, UsageError
from kinoscope.index import identity
from kinoscope.index.build import BuildOptions, update
from kinoscope.index.decoding import WorkerLimits
from kinoscope.index.identity import ReadLimits
from kinoscope.index.store import Store
from tests.index.building import changes, contents, misbehave, run, table, workers_alive
from tests.index.pixels import Pixels, embedder


def test_bad_files_go_to_quarantine_and_wait_for_retry_or_change(store, videos, films):
    (videos / "empty.mp4").touch()
    (videos / "text.mp4").write_text("not a film")
    report = run(store, videos)
    assert changes(report) == {"indexed": 3, "quarantined": 2}
    faults = {Path(f.path).name: f.fault for f in report.failures}
    assert faults == {"empty.mp4": "empty", "text.mp4": "not_media"}
    assert all(f.path in f.message for f in report.failures)
    again = run(store, videos)
    assert (changes(again), again.failures) == ({"unchanged": 5, "quarantined": 2}, ())
    assert len(run(store, videos, retry=True).failures) == 2
    assert [row.tries for row in store.files() if row.state == "failed"] == [2, 2]
    shutil.copy2(films[3], videos / "text.mp4")
    mended = run(store, videos)
    assert changes(mended) == {"indexed": 1, "unchanged": 4, "quarantined": 1}
    assert changes(run(store, videos, retry=True))["quarantined"] == 1


def test_copies_of_a_bad_file_are_all_named(store, videos):
    for name in ("x.mp4", "y.mp4"):
        (videos / name).write_text("not a film")
    report = run(store, videos)
    assert [Path(f.path).name for f in report.failures] == ["x.mp4", "y.mp4"]
    assert all(f.path in f.message for f in report.failures)


def test_a_good_file_that_turns_bad_loses_its_clips(store, videos):
    run(store, videos)
    (videos / "a.mp4").write_text("overwritten")
    report = run(store, videos)
    assert changes(report) == {"unchanged": 2, "quarantined": 1}
    assert table(store, videos)["a.mp4"][0] == "failed"
    assert len(set(store.clips().video_ids)) == 2


def test_crashing_hanging_and_vanishing_files_cost_only_themselves(store, videos, monkeypatch):
    misbehave(monkeypatch)
    kinds = {"segfault": "crashed", "hang": "timeout", "vanish": "missing", "change": "changed"}
    for kind in kinds:
        (videos / f"{kind}.mp4").write_text(kind)
    report = run(store, videos, worker_limits=WorkerLimits(stall_s=2.0), workers=2)
    assert changes(report) == {"indexed": 3, "quarantined": 4}
    assert {Path(f.path).stem: f.fault for f in report.failures} == kinds
    assert not workers_alive()
    again = run(store, videos, worker_limits=WorkerLimits(stall_s=2.0))
    assert {Path(f.path).stem: f.fault for f in again.failures} == {"change": "changed"}
    assert changes(again) == {"unchanged": 5, "removed": 1, "quarantined": 3}


def test_when_one_of_two_copies_vanishes_the_other_is_decoded(store, videos, films, monkeypatch):
    misbehave(monkeypatch)
    for name in ("vanish-1.mp4", "vanish-2.mp4", "y.mp4", "z.mp4"):
        shutil.copy2(films[3], videos / name)
    report = run(store, videos)
    assert changes(report) == {"indexed": 4, "duplicates": 1, "quarantined": 2}
    assert {Path(f.path).name: f.fault for f in report.failures} == {
        "vanish-1.mp4": "missing",
        "vanish-2.mp4": "missing",
    }
    assert table(store, videos)["y.mp4"] == table(store, videos)["z.mp4"]
    assert changes(run(store, videos)) == {"unchanged": 5, "removed": 2}


def test_a_file_that_cannot_be_read_is_tried_at_every_run(store, videos, monkeypatch):
    real = identity.content_id

    def forbidden(file, **options):
        if file.path.endswith("b.mp4"):
            raise MediaError("unreadable", f"{file.path} cannot be read: Permission denied")
        return real(file, **options)

    with monkeypatch.context() as without_permission:
        without_permission.setattr(identity, "content_id", forbidden)
        report = run(store, videos)
        assert (report.indexed, report.failures[0].fault) == (2, "unreadable")
        assert [row.tries for row in store.files() if row.state == "failed"] == [1]
        assert len(run(store, videos).failures) == 1
    assert changes(run(store, videos)) == {"indexed": 1, "unchanged": 2}


# --- wrong use, full disks, Ctrl-C


@pytest.mark.parametrize("sources", [[], ["nowhere"], ["videos", "nowhere"]])
def test_a_wrong_source_is_refused_before_anything_is_touched(store, videos, sources):
    before = store.versions(), store.sources()
    with pytest.raises(UsageError, match=r"nowhere: no such file or folder|nothing is watched"):
        run(store, *(videos.parent / source for source in sources))
    assert (store.versions(), store.sources()) == before


def test_another_embedder_is_refused_before_anything_is_touched(store, videos, monkeypatch):
    monkeypatch.setattr(Pixels, "weights", "w1")
    before = store.versions()
    with pytest.raises(SpecMismatch, match=r"weights: w1 \| w0"):
        run(store, videos)
    assert (store.versions(), store.sources()) == (before, ())


def test_a_locked_index_is_refused(store, videos):
    with store.writing(), pytest.raises(IndexFault, match="another process is indexing"):
        run(Store.open(store.folder), videos)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"workers": 0}, "workers 0"),
        ({"workers": 65}, "need 1 to 64"),
        ({"commit_videos": 0}, "at least 0 s and 1 video"),
        ({"commit_every_s": float("nan")}, "at least 0 s and 1 video"),
    ],
)
def test_senseless_options_are_refused(wrong, words):
    with pytest.raises(UsageError, match=words):
        BuildOptions(**wrong)


def test_a_full_disk_ends_the_run_and_keeps_what_was_committed(store, videos, monkeypatch):
    commit = store.commit

    def full(videos, rows):
        if store.files():
            raise IndexFault(f"disk is full at {store.folder}: free space")
        commit(videos, rows)

    with monkeypatch.context() as on_a_full_disk:
        on_a_full_disk.setattr(store, "commit", full)
        with pytest.raises(IndexFault, match="disk is full"):
            run(store, videos, commit_videos=1)
    assert not workers_alive()
    assert len(set(store.clips().video_ids)) == len(store.files()) == 1
    assert changes(run(store, videos)) == {"indexed": 2, "unchanged": 1}


def test_ctrl_c_commits_what_is_complete_and_the_next_run_goes_on(
    store, videos, tmp_path, monkeypatch
):
    monkeypatch.setattr("kinoscope.index.progress.TELL_EVERY_S", 0.0)

    def press(progress):
        if progress.stage == "decode" and progress.files_done == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        update(store, [videos], embedder(), options=BuildOptions(workers=1), progress=press)
    assert not workers_alive()
    assert len(set(store.clips().video_ids)) == len(store.files()) == 2
    assert changes(run(store)) == {"indexed": 1, "unchanged": 2}
    undisturbed = Store.create(tmp_path / "undisturbed", store.spec)
    run(undisturbed, videos)
    assert contents(store) == contents(undisturbed)


def soon(holds, within_s=5.0):
    """Whether it comes true: on a busy machine a thread that was told to end takes a moment."""
    end_s = time.monotonic() + within_s
    while not holds() and time.monotonic() < end_s:
        time.sleep(0.01)
    return holds()


def test_ctrl_c_while_files_are_identified_leaves_no_threads(store, videos):
    def press(progress):
        os.kill(os.getpid(), signal.SIGINT)

    threads = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        update(store, [videos], embedder(), progress=press)
    assert soon(lambda: threading.active_count() == threads)
    assert store.files() == []


def test_ctrl_c_while_a_monstrous_file_is_identified_ends_at_once(store, videos):
    os.truncate(videos / "b.mp4", 8 * 2**40 - 2**20)
    began_s = []

    def press():
        began_s.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    threads = threading.active_count()
    timer = threading.Timer(1.5, press)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        run(store, videos)
    assert time.monotonic() - began_s[0] < 1.5
    timer.join()
    assert soon(lambda: threading.active_count() == threads)
    (videos / "b.mp4").unlink()
    again = changes(run(store, videos))
    assert again.get("indexed", 0) + again.get("unchanged", 0) == 2


def test_a_monstrous_file_is_given_up_after_the_others_and_then_waits_for_retry(store, videos):
    os.truncate(videos / "a.mp4", 8 * 2**40 - 2**20)
    limits = ReadLimits(most_s=0.5)
    report = run(store, videos, read_limits=limits)
    assert changes(report) == {"indexed": 2, "quarantined": 1}
    assert [(f.fault, Path(f.path).name) for f in report.failures] == [("timeout", "a.mp4")]
    assert changes(run(store, videos)) == {"unchanged": 3, "quarantined": 1}
    assert len(run(store, videos, read_limits=limits, retry=True).failures) == 1
