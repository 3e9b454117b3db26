"""Codes on disk: the same answers as an exact search, filters inside, damage mended, old states."""

import logging
import os
import shutil
import time

import numpy as np
import pytest

from kinoscope.errors import IndexFault
from kinoscope.filters import Filters
from kinoscope.index import derived as derived_module
from kinoscope.index import manifest, partitions
from kinoscope.index.derived import open_derived, stamp_of
from kinoscope.index.store import Store
from kinoscope.index.vectors import Among, ExactSearcher, StoredSearcher
from kinoscope.retrieval import search
from tests.made_index import made_index, made_store, random_clips, random_units, row

VIDEOS = {f"v{n:02}": random_clips(40, n) for n in range(30)}


@pytest.fixture
def index(tmp_path, monkeypatch):
    """30 videos of 41 clips, in six partitions: no codes may be held in memory."""
    monkeypatch.setattr(partitions, "ROWS_A_PARTITION", 200)
    made = made_index(tmp_path / "index", VIDEOS)
    manifest.write_memory_mb(made.store.folder, 0)
    return made


@pytest.fixture
def through_codes(monkeypatch):
    """However small an index is, codes go first."""
    monkeypatch.setattr(derived_module.open_derived, "__kwdefaults__", {"exact_limit": 0})


def both(index):
    derived = open_derived(index.store, exact_limit=0)
    assert isinstance(derived.searcher, StoredSearcher)
    return derived, ExactSearcher(np.array(derived.catalog.vectors_ND))


def test_the_memory_limit_decides_where_codes_lie(index, caplog) -> None:
    store = index.store
    assert open_derived(store, exact_limit=0).kind == "partitions"
    manifest.write_memory_mb(store.folder, 1)
    assert open_derived(store, exact_limit=0).kind == "scan"
    manifest.write_memory_mb(store.folder, 0)
    assert open_derived(store, exact_limit=0).kind == "partitions"
    assert open_derived(store).kind == "exact"
    assert not caplog.text, "a limit that has changed is no damage"


def test_what_is_found_is_what_an_exact_search_finds(index) -> None:
    derived, exact = both(index)
    queries = random_units(20, seed=99)
    for mask in (None, derived.moment_N, derived.whole_N):
        want, found = exact.top(queries, 10, mask), derived.searcher.top(queries, 10, mask)
        assert np.array_equal(found[1], want[1])
        assert np.array_equal(found[0], want[0])


@pytest.mark.parametrize("allowed", [[], [3], [0, 7, 29], [n for n in range(30) if n != 4]])
@pytest.mark.parametrize("kind", ["moment", "whole"])
def test_a_filter_is_the_stores_and_changes_no_answer(index, allowed, kind, monkeypatch) -> None:
    derived, exact = both(index)
    allowed_V = np.isin(np.arange(30), allowed)
    mask = (derived.moment_N if kind == "moment" else derived.whole_N) & allowed_V[
        derived.catalog.video_N
    ]
    among = Among(kind=kind, allowed_V=allowed_V)
    seen, nearest = [], partitions.Partitions.nearest

    def watched(self, queries, wanted, condition):
        seen.extend(nearest(self, queries, wanted, condition))
        return seen

    monkeypatch.setattr(partitions.Partitions, "nearest", watched)
    queries = random_units(1, seed=5)
    want, found = exact.top(queries, 7, mask), derived.searcher.top(queries, 7, mask, among)
    assert np.array_equal(found[1], want[1])
    assert all(mask[rows].all() for rows in seen), "the store itself leaves others out"
    assert seen or not mask.any()


def test_vectors_of_any_length_have_codes(tmp_path) -> None:
    videos = {"a": random_clips(300, 1, 12), "b": random_clips(300, 2, 12)}
    store = made_store(tmp_path / "index", videos, 12)
    manifest.write_memory_mb(store.folder, 0)
    derived = open_derived(store, exact_limit=0)
    exact, queries = ExactSearcher(derived.catalog.vectors_ND), random_units(9, 12, seed=3)
    assert derived.kind == "partitions"
    assert np.array_equal(derived.searcher.top(queries, 5)[1], exact.top(queries, 5)[1])


def test_a_search_with_filters_is_that_of_an_exact_one(index, through_codes) -> None:
    by_codes = search(index, "a dog", k=20, filters=Filters(name="v1*"))
    assert type(index.derived().searcher) is StoredSearcher
    manifest.write_memory_mb(index.store.folder, 1)
    index._derived = None
    derived_module.open_derived.__kwdefaults__["exact_limit"] = 10**6
    assert type(index.derived().searcher) is ExactSearcher
    assert by_codes == search(index, "a dog", k=20, filters=Filters(name="v1*"))
    assert {hit.path.name[:2] for hit in by_codes} == {"v1"}


@pytest.mark.parametrize(
    ("among", "sql"),
    [
        (Among(kind="whole"), "whole"),
        (Among(kind="moment", allowed_V=np.array([True, True])), "moment"),
        (Among(kind="moment", allowed_V=np.array([False, True, False])), "moment AND video IN (1)"),
        (
            Among(kind="moment", allowed_V=np.array([True, True, False])),
            "moment AND video NOT IN (2)",
        ),
        (Among(kind="moment", allowed_V=np.array([False, False])), "false"),
    ],
)
def test_the_shorter_list_of_videos_is_asked_for(among, sql) -> None:
    assert partitions.condition_of(among) == sql


def flip(path) -> None:
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])


@pytest.mark.parametrize(
    "damage",
    [
        shutil.rmtree,
        lambda folder: shutil.rmtree(folder / "vectors.lance" / "_versions"),
        lambda folder: [path.write_bytes(b"x") for path in folder.rglob("*.manifest")],
        lambda folder: [flip(path) for path in folder.rglob("*.idx")],
    ],
    ids=["absent", "no version", "no manifest", "one bit of the codes"],
)
def test_damaged_codes_are_built_anew(index, damage) -> None:
    _, exact = both(index)
    damage(derived_folder(index.store) / partitions.FOLDER)
    again = open_derived(index.store, exact_limit=0)
    queries = random_units(3)
    assert np.array_equal(again.searcher.top(queries, 5)[1], exact.top(queries, 5)[1])


def derived_folder(store: Store):
    return store.folder / "derived" / stamp_of(store)


def test_codes_that_are_lost_while_they_are_used_are_an_error_and_no_wrong_answer(index) -> None:
    derived, _ = both(index)
    shutil.rmtree(derived_folder(index.store) / partitions.FOLDER)
    with pytest.raises(IndexFault, match="damaged or gone"):
        derived.searcher.top(random_units(1, seed=3), 5)


def test_a_reader_goes_on_with_the_state_before_while_a_new_one_comes(index) -> None:
    before, exact = both(index)
    index.store.commit([("new", random_clips(5, 77))], [row("/films/new.mp4", "new")])
    open_derived(index.store, exact_limit=0)
    queries = random_units(4, seed=8)
    assert np.array_equal(before.searcher.top(queries, 5)[1], exact.top(queries, 5)[1])


def test_of_older_states_one_stays_and_not_for_long(index) -> None:
    store, stamps = index.store, []
    for n in range(3):
        open_derived(store, exact_limit=0)
        stamps.append(stamp_of(store))
        store.commit([], [row(f"/films/copy{n}.mp4", "v00")])
    open_derived(store, exact_limit=0)
    current = derived_folder(store)
    assert {path.name for path in current.parent.iterdir()} == {stamps[-1], current.name}
    long_ago = time.time() - 7200
    os.utime(current, (long_ago, long_ago))
    derived_module.sweep(current)
    assert [path.name for path in current.parent.iterdir()] == [current.name]


def test_a_disk_that_refuses_codes_is_no_obstacle(index, monkeypatch, caplog) -> None:
    def refuse(*_) -> None:
        raise RuntimeError("lance error: LanceError(IO): No space left on device (os error 28)")

    monkeypatch.setattr(partitions, "_reader", refuse)
    with caplog.at_level(logging.WARNING):
        derived = open_derived(index.store, exact_limit=0)
    assert derived.kind == "scan"
    assert "cannot keep search arrays" in caplog.text
