"""Optimising: pieces joined, nothing lost, limits kept, and nobody is kept waiting for long."""

import subprocess
import sys
import threading

import pytest

from kinoscope.errors import IndexFault, UsageError
from kinoscope.index import manifest
from kinoscope.index import optimise as module
from kinoscope.index.derived import open_derived, stamp_of
from kinoscope.index.optimise import is_worth_it, optimise, optimise_later
from kinoscope.index.store import Store
from tests.index.building import contents
from tests.made_index import made_store, random_clips, row


@pytest.fixture
def store(tmp_path) -> Store:
    """Five commits, each of which is a piece of both tables."""
    made = made_store(tmp_path / "index", {"v0": random_clips(3, 1)})
    for n in range(1, 5):
        made.commit([(f"v{n}", random_clips(3, n))], [row(f"/films/v{n}.mp4", f"v{n}")])
    return made


def test_pieces_are_joined_and_every_clip_is_kept(store) -> None:
    before = contents(store)
    assert store.count_pieces() == (5, 5)
    done = optimise(store)
    assert (done.pieces_before, done.pieces_after) == (10, 2)
    assert done.clips == len(before) == 20
    assert contents(store) == before
    assert "10 pieces -> 2, 20 clips searched by all vectors" in str(done)


def test_what_search_reads_is_ready_afterwards(store, monkeypatch) -> None:
    optimise(store)
    monkeypatch.setattr(Store, "stream", lambda self: pytest.fail("the tables were read"))
    assert open_derived(store).stamp == stamp_of(store)


def test_optimising_again_changes_nothing(store) -> None:
    optimise(store)
    stamp = stamp_of(store)
    assert optimise(store).pieces_before == 2
    assert stamp_of(store) == stamp


def test_the_memory_limit_stays_with_the_index(store) -> None:
    assert store.memory_mb() == manifest.MEMORY_MB
    assert optimise(store, memory_mb=7).memory_mb == 7
    assert Store.open(store.folder).memory_mb() == 7
    assert optimise(store).memory_mb == 7


def test_gently_means_that_no_writer_waits_for_a_process_that_gives_way(store, monkeypatch) -> None:
    said = []

    def nice(increment: int) -> int:
        with Store.open(store.folder).writing():  # another writer may have the tables by then
            said.append((increment, store.count_pieces()))
        return increment

    monkeypatch.setattr(module.os, "nice", nice)
    optimise(store)
    assert not said
    optimise(store, gently=True)
    assert said == [(19, (1, 1))]


@pytest.mark.parametrize("wrong", [-1, 2**31])
def test_a_limit_that_is_none_is_refused(store, wrong) -> None:
    with pytest.raises(UsageError, match=f"memory of {wrong} MiB"):
        optimise(store, memory_mb=wrong)
    assert store.memory_mb() == manifest.MEMORY_MB


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"memory_mb": "7"}', '{"memory_mb": -7}'])
def test_a_damaged_limit_is_named(store, text) -> None:
    (store.folder / manifest.LIMITS).write_text(text)
    with pytest.raises(IndexFault, match=r"limits\.json is damaged: delete it"):
        open_derived(store)


def test_many_pieces_are_worth_it_and_so_are_missing_arrays_of_a_large_index(
    store, monkeypatch
) -> None:
    assert not is_worth_it(store)
    monkeypatch.setattr(module, "EXACT_LIMIT", 19)
    assert is_worth_it(store)
    open_derived(store)
    assert not is_worth_it(store)
    monkeypatch.setattr(module, "MANY_PIECES", 5)
    assert is_worth_it(store)


def test_a_reader_is_not_disturbed(store) -> None:
    before = open_derived(store)
    rows = before.catalog.vectors_ND.copy()
    optimise(store)
    assert (before.catalog.vectors_ND == rows).all()


def test_a_writer_waits_for_one_that_optimises(store) -> None:
    at_work, may_end, waited = threading.Event(), threading.Event(), []

    def tidy() -> None:
        with Store.open(store.folder).writing(manifest.OPTIMISING):
            at_work.set()
            may_end.wait()

    def write() -> None:
        other = Store.open(store.folder)
        other.commit([("new", random_clips(1))], [row("/films/new.mp4", "new")])
        waited.append(may_end.is_set())

    threads = [threading.Thread(target=tidy), threading.Thread(target=write)]
    threads[0].start()
    at_work.wait()
    threads[1].start()
    threads[1].join(1.5)
    assert not waited
    may_end.set()
    for thread in threads:
        thread.join()
    assert waited == [True]
    assert "new" in store.clips().video_ids


def test_one_that_optimises_does_not_wait_for_a_run(store) -> None:
    with store.writing(), pytest.raises(IndexFault, match="another process is indexing"):
        optimise(Store.open(store.folder))


def test_a_process_of_its_own_does_the_same(store) -> None:
    before = contents(store)
    process = optimise_later(store.folder)
    assert process.wait() == 0, (store.folder / module.LOG).read_text()
    assert store.count_pieces() == (1, 1)
    assert contents(store) == before
    assert "10 pieces -> 2" in (store.folder / module.LOG).read_text()


def test_a_folder_of_that_name_can_still_be_indexed(tmp_path) -> None:
    words = [sys.executable, "-m", "kinoscope", "index"]
    index = ["--index", str(tmp_path / "none")]
    done = subprocess.run([*words, "optimize", *index], capture_output=True, text=True)
    assert done.returncode == IndexFault.exit_code
    assert "no index at" in done.stderr
    done = subprocess.run(
        [*words, "./optimize", *index], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == UsageError.exit_code
    assert "no such file or folder" in done.stderr
