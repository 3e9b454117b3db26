"""The derived arrays: always those of the tables, whole or absent, rebuilt when in doubt."""

import logging
import os
import shutil
import threading
import time

import numpy as np
import pytest

from kinoscope.embedder import PRIOR_VIDEOS
from kinoscope.errors import IndexFault, UsageError
from kinoscope.index import derived as derived_module
from kinoscope.index.derived import library_mean, open_derived, stamp_of
from kinoscope.index.store import Store
from kinoscope.index.vectors import ExactSearcher, ScanSearcher, load_scan
from tests.made_index import D, clips, failed, made_store, random_clips, random_units, row, spec


@pytest.fixture
def store(tmp_path) -> Store:
    return made_store(tmp_path / "index", {"a": random_clips(3, 1), "b": random_clips(1, 2)})


def saved(store: Store) -> list[str]:
    return sorted(path.name for path in (store.folder / "derived").iterdir())


def assert_current(derived, store: Store) -> None:
    table = store.clips()
    assert np.array_equal(derived.catalog.vectors_ND, table.vectors_ND)
    assert derived.stamp == stamp_of(store)


def test_the_catalog_says_what_the_tables_say(store) -> None:
    store.commit([], [row("/copy.mp4", "a", mtime_ns=9 * 10**9), failed("/broken.mp4")])
    catalog = open_derived(store).catalog
    table = store.clips()
    assert np.array_equal(catalog.start_s_N, table.start_s_N)
    assert np.array_equal(catalog.end_s_N, table.end_s_N)
    assert [catalog.scales[i] for i in catalog.scale_N] == list(table.scales)
    assert catalog.paths == ("/copy.mp4", "/films/a.mp4", "/films/b.mp4")
    assert [list(catalog.paths_of(v)) for v in (0, 1)] == [[0, 1], [2]]
    assert catalog.mtime_s_P.tolist() == [9, 5, 5]
    assert catalog.duration_s_V.tolist() == [8, 4]
    assert catalog.video_N.tolist() == [0, 0, 0, 0, 1, 1]


def test_the_second_opening_reads_what_the_first_wrote(store, monkeypatch) -> None:
    first = open_derived(store)
    monkeypatch.setattr(Store, "snapshot", lambda self: pytest.fail("the tables were read"))
    second = open_derived(store)
    assert second.stamp == first.stamp
    assert np.array_equal(second.catalog.vectors_ND, first.catalog.vectors_ND)
    assert second.catalog.paths == first.catalog.paths


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.commit([("c", random_clips(2, 5))], [row("/c", "c")]),
        lambda s: s.commit([("a", random_clips(3, 9))], [row("/films/a.mp4", "a")]),
        lambda s: s.commit([("a", random_clips(3, 9))], []),
        lambda s: s.commit([], [row("/films/a.mp4", "b")]),
        lambda s: s.commit([], [failed("/films/a.mp4", "a")]),
        lambda s: s.remove(["/films/a.mp4"]),
        lambda s: s.compact(),
    ],
    ids=["added", "replaced", "other vectors", "another content", "failed", "removed", "compacted"],
)
def test_after_any_change_old_vectors_are_never_served(store, change) -> None:
    before = open_derived(store)
    kept = before.catalog.vectors_ND.copy()
    change(store)
    assert_current(open_derived(store), store)
    assert saved(store) == [stamp_of(store)], "the old state is gone"
    assert np.array_equal(before.catalog.vectors_ND, kept), "a reader keeps what it has mapped"


def test_an_index_made_anew_in_the_same_folder_does_not_serve_the_old_vectors(store) -> None:
    open_derived(store)
    shutil.move(store.folder / "derived", store.folder.parent / "derived")
    shutil.rmtree(store.folder)
    videos = {"a": random_clips(3, 7), "b": random_clips(1, 8)}
    other = made_store(store.folder, videos)
    assert other.versions() == store.versions()
    shutil.move(store.folder.parent / "derived", store.folder / "derived")
    assert_current(open_derived(other), other)


DAMAGES = {
    "vectors cut": ("vectors_ND.npy", lambda b: b[:-40]),
    "vectors empty": ("vectors_ND.npy", lambda b: b""),
    "no array": ("video_N.npy", lambda b: b"\x80\x04K\x01."),
    "another type": ("video_N.npy", lambda b: b.replace(b"<i8", b"<f8")),
    "fewer rows": ("start_s_N.npy", lambda b: b.replace(b"(6,)", b"(5,)")),
    "points nowhere": ("video_N.npy", lambda b: b[:-8] + b"\x07" + bytes(7)),
    "negative": ("scale_N.npy", lambda b: b[:-8] + b"\xff" * 8),
    "unsorted paths": ("path_video_P.npy", lambda b: b[:-16] + b[-8:] + b[-16:-8]),
    "names no JSON": ("names.json", lambda b: b"{"),
    "names a list": ("names.json", lambda b: b"[]"),
    "names numbers": ("names.json", lambda b: b'{"paths": [1, 2], "scales": ["4s", "whole"]}'),
    "scan cut": ("scan.tv", lambda b: b[:-3]),
    "scan one bit": ("scan.tv", lambda b: b[:-9] + bytes([b[-9] ^ 1]) + b[-8:]),
    "scan empty": ("scan.tv", lambda b: b""),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_arrays_are_rebuilt_and_it_is_said(store, caplog, damage) -> None:
    name, spoil = damage
    open_derived(store, exact_limit=0)
    path = store.folder / "derived" / stamp_of(store) / name
    spoiled = spoil(path.read_bytes())
    assert spoiled != path.read_bytes(), "this damage changes nothing"
    path.write_bytes(spoiled)
    with caplog.at_level(logging.WARNING):
        assert_current(open_derived(store, exact_limit=0), store)
    assert "are damaged" in caplog.text
    caplog.clear()
    open_derived(store, exact_limit=0)
    assert not caplog.text, "mended on disk too"


def test_codes_of_which_half_are_zeroed_are_rebuilt(tmp_path) -> None:
    store = made_store(tmp_path / "index", {"a": random_clips(2000)})
    open_derived(store, exact_limit=0)
    path = store.folder / "derived" / stamp_of(store) / "scan.tv"
    whole = path.read_bytes()
    half = len(whole) // 2
    path.write_bytes(whole[:half] + bytes(len(whole) - half))
    load_scan(path, 2001, D)  # the library itself does not notice
    open_derived(store, exact_limit=0)
    assert path.read_bytes() == whole


def test_a_missing_array_is_rebuilt(store) -> None:
    open_derived(store)
    (store.folder / "derived" / stamp_of(store) / "end_s_N.npy").unlink()
    assert_current(open_derived(store), store)


def test_nothing_pickled_is_ever_read(store) -> None:
    class Evil:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    open_derived(store)
    path = store.folder / "derived" / stamp_of(store) / "start_s_N.npy"
    np.save(path, np.array([Evil()] * 6), allow_pickle=True)
    assert_current(open_derived(store), store)


def test_a_disk_that_takes_no_arrays_is_no_obstacle(store, caplog, monkeypatch) -> None:
    def refuse(*_) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(derived_module, "_save", refuse)
    with caplog.at_level(logging.WARNING):
        for limit in (0, 100):
            assert_current(open_derived(store, exact_limit=limit), store)
    assert "Read-only file system" in caplog.text


def test_a_build_that_fails_midway_leaves_nothing(store, monkeypatch) -> None:
    def full(*_) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(derived_module, "_publish", full)
    assert_current(open_derived(store), store)
    assert saved(store) == []


def test_a_killed_build_is_swept_away_and_a_running_one_is_not(store) -> None:
    killed, running = store.folder / "derived" / ".killed", store.folder / "derived" / ".running"
    killed.mkdir(parents=True)
    running.mkdir()
    long_ago = time.time() - 7200
    os.utime(killed, (long_ago, long_ago))
    open_derived(store)
    assert saved(store) == [".running", stamp_of(store)]


def test_a_slow_reader_leaves_newer_states_alone_and_sweeps_all_others(store) -> None:
    clips, files = store.versions()
    head = stamp_of(store).rsplit("-", 2)[0]
    newer = {f"{head}-{clips + 1}-{files}", f"{head}-{clips}-{files + 10}", f"{head}-{clips}-10000"}
    others = {
        f"{head}-{clips}-{files - 1}",
        f"{head}-0-0",
        f"1-{head[2:]}-99-99",
        head.replace(store.id, "0" * 32) + "-99-99",
        head.replace(store.spec.fingerprint, "0" * 16) + "-99-99",
        f"{head}-x-99",
        "foreign",
    }
    for name in newer | others:
        (store.folder / "derived" / name).mkdir(parents=True)
    open_derived(store)
    assert set(saved(store)) == newer | {stamp_of(store)}


def test_all_is_on_the_disk_before_it_is_published(store, monkeypatch) -> None:
    synced, publish, fsync = set(), derived_module._publish, os.fsync

    def recording(descriptor) -> None:
        synced.add(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    def checked(draft, folder) -> None:
        assert {path.stat().st_ino for path in (draft, *draft.iterdir())} <= synced
        publish(draft, folder)

    monkeypatch.setattr(os, "fsync", recording)
    monkeypatch.setattr(derived_module, "_publish", checked)
    open_derived(store, exact_limit=0)
    assert saved(store) == [stamp_of(store)]


def test_readers_that_build_at_once_do_not_disturb_each_other(store) -> None:
    found, errors = [], []

    def read() -> None:
        try:
            found.append(open_derived(store, exact_limit=0))
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(found) == 4
    for derived in found:
        assert_current(derived, store)
    assert saved(store) == [stamp_of(store)]


def test_many_readers_that_publish_the_same_state_leave_one_of_it(tmp_path) -> None:
    folder, errors = tmp_path / "state", []
    barrier = threading.Barrier(8)

    def publish(reader: int) -> None:
        barrier.wait()
        for turn in range(30):
            draft = tmp_path / f".{reader}-{turn}"
            draft.mkdir()
            (draft / "names.json").write_text("{}")
            try:
                derived_module._publish(draft, folder)
            except OSError as error:
                errors.append(error)

    threads = [threading.Thread(target=publish, args=(reader,)) for reader in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_a_state_that_cannot_be_published_is_an_error(tmp_path) -> None:
    draft = tmp_path / ".draft"
    draft.mkdir()
    with pytest.raises(FileNotFoundError):
        derived_module._publish(draft, tmp_path / "absent" / "state")


def test_the_number_of_clips_decides_how_they_are_searched(store) -> None:
    assert len(store.clips()) == 6
    assert isinstance(open_derived(store, exact_limit=6).searcher, ExactSearcher)
    assert isinstance(open_derived(store, exact_limit=5).searcher, ScanSearcher)
    assert isinstance(open_derived(store, exact_limit=6).searcher, ExactSearcher)


def test_an_empty_index_has_empty_arrays(tmp_path) -> None:
    store = Store.create(tmp_path / "index", spec())
    for _ in range(2):
        derived = open_derived(store, random_units(1)[0])
        assert derived.catalog.vectors_ND.shape == (0, D)
        assert derived.searcher.top(random_units(1), 3)[1].shape == (1, 0)
        assert np.allclose(derived.mean_D, random_units(1)[0])


def test_damaged_vectors_in_the_table_are_named(tmp_path) -> None:
    good = random_clips(2)
    object.__setattr__(good, "vectors_ND", 2 * good.vectors_ND)
    store = made_store(tmp_path / "index", {"a": good})
    with pytest.raises(IndexFault, match="damaged vectors"):
        open_derived(store)


# --- the library's mean


def test_the_mean_counts_each_video_once_and_the_reference_as_twenty(tmp_path) -> None:
    wholes, reference = random_units(3, seed=4), random_units(1, seed=5)[0]
    windows = [random_units(n, seed=n) for n in (1, 2, 9)]
    store = made_store(
        tmp_path / "index",
        {f"v{i}": clips(w, whole=wholes[i]) for i, w in enumerate(windows)},
    )
    store.commit([], [row("/copy", "v1"), row("/another", "v1"), failed("/x")])
    want = (wholes.astype(np.float64).sum(axis=0) + 20 * reference) / (3 + 20)
    assert PRIOR_VIDEOS == 20
    for _ in range(2):
        assert np.allclose(open_derived(store, reference).mean_D, want, atol=1e-7)


def test_a_model_without_centring_has_mean_zero(store) -> None:
    assert not open_derived(store).mean_D.any()


def test_a_large_library_forgets_the_reference() -> None:
    mean, reference = np.array([1.0, 0.0]), np.array([0.0, 1.0], np.float32)
    assert library_mean(mean, 0, reference).tolist() == [0, 1]
    assert library_mean(mean, 20, reference).tolist() == [0.5, 0.5]
    assert np.allclose(library_mean(mean, 10**7, reference), mean, atol=1e-5)


def test_a_reference_of_another_dimension_is_refused(store) -> None:
    with pytest.raises(UsageError, match=r"shape \[3\], not \[8\]"):
        open_derived(store, np.ones(3, np.float32))


def test_moments_are_windows_or_the_whole_of_a_video_without_any(tmp_path) -> None:
    bare = clips(np.empty((0, D)), whole=random_units(1)[0])
    store = made_store(tmp_path / "index", {"bare": bare, "long": random_clips(2)})
    derived = open_derived(store)
    assert derived.moment_N.tolist() == [True, False, True, True]
    assert derived.whole_N.tolist() == [True, True, False, False]
