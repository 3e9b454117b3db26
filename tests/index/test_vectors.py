"""All searchers against a naive twin: masks, ties, awkward sizes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kinoscope.errors import UsageError
from kinoscope.index import vectors
from kinoscope.index.vectors import (
    Among,
    ExactSearcher,
    ScanSearcher,
    StoredSearcher,
    build_scan,
    load_scan,
    scan_bytes,
)
from tests.made_index import random_units, unit


def naive_top(vectors_ND, queries_QD, k, mask_N=None):
    rows = [n for n in range(len(vectors_ND)) if mask_N is None or mask_N[n]]
    scores, found = [], []
    for query in queries_QD.astype(np.float64):
        products = {n: float((vectors_ND[n].astype(np.float64) * query).sum()) for n in rows}
        best = sorted(rows, key=lambda n: (-products[n], n))[:k]
        found.append(best)
        scores.append([products[n] for n in best])
    shape = (len(queries_QD), min(k, len(rows)))
    return np.reshape(scores, shape), np.reshape(found, shape)


class Everything:
    """A store that names all its rows, some twice, in no order: it knows nothing of masks."""

    def __init__(self, rows: int) -> None:
        self.rows = rows

    def nearest(self, queries_QD, wanted, among):
        rng = np.random.default_rng(wanted)
        rows = np.arange(self.rows)
        return [rng.permutation(np.concatenate([rows, rows[:3]])) for _ in queries_QD]


def searchers(vectors_ND):
    yield ExactSearcher(vectors_ND)
    yield StoredSearcher(vectors_ND, Everything(len(vectors_ND)), exact_limit=5)
    if len(vectors_ND):
        yield ScanSearcher(vectors_ND, build_scan(vectors_ND))


# few distinct values, so that most scores are tied and every product is exact
LEVELS = st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0])


@st.composite
def problems(draw):
    rows, dimension = draw(st.integers(0, 40)), draw(st.integers(1, 9))
    table = draw(arrays.arrays(np.float32, (rows, dimension), elements=LEVELS))
    queries = draw(arrays.arrays(np.float32, (draw(st.integers(0, 3)), dimension), elements=LEVELS))
    mask = draw(st.none() | arrays.arrays(np.bool_, rows))
    return table, queries, draw(st.integers(1, 45)), mask


@given(problem=problems())
@settings(max_examples=150, deadline=None)
def test_all_searchers_equal_the_naive_twin(problem) -> None:
    table, queries, k, mask = problem
    want_scores, want_rows = naive_top(table, queries, k, mask)
    for searcher in searchers(table):
        scores, rows = searcher.top(queries, k, mask)
        assert scores.shape == rows.shape == (len(queries), min(k, want_rows.shape[1]))
        assert np.array_equal(rows, want_rows), searcher
        assert np.array_equal(scores, want_scores), searcher


@pytest.mark.parametrize("block", [1, 3, 7, 1000])
def test_the_answer_does_not_depend_on_the_block_size(monkeypatch, block) -> None:
    table, queries = random_units(100, 12), random_units(5, 12, seed=1)
    mask = np.random.default_rng(2).random(100) < 0.5
    want = naive_top(table, queries, 20, mask)
    monkeypatch.setattr(vectors, "_BLOCK", block)
    monkeypatch.setattr(vectors, "_SCORES_AT_ONCE", 2 * block)
    for searcher in searchers(table):
        scores, rows = searcher.top(queries, 20, mask)
        assert np.array_equal(rows, want[1])
        assert np.allclose(scores, want[0], atol=1e-12)


def test_equal_vectors_rank_in_row_order_wherever_they_lie() -> None:
    table = random_units(5000, 24)
    twins = [3, 4, 17, 999, 2048, 4097, 4999]
    table[twins] = table[3]
    for searcher in searchers(table):
        scores, rows = searcher.top(table[3:4], len(twins))
        assert rows[0].tolist() == twins
        assert len(set(scores[0])) == 1


def test_rows_that_float32_cannot_tell_apart_are_ranked_by_their_true_products() -> None:
    rng = np.random.default_rng(0)
    table = (random_units(1, 64) + rng.normal(0, 1e-8, (3000, 64))).astype(np.float32)
    queries = random_units(3, 64, seed=1)
    want = naive_top(table, queries, 7)[1]
    for searcher in searchers(table[:400]):  # as many as the scan ranks again
        assert np.array_equal(searcher.top(queries, 7)[1], naive_top(table[:400], queries, 7)[1])
    assert np.array_equal(ExactSearcher(table).top(queries, 7)[1], want)


@pytest.mark.parametrize("near", [False, True], ids=["anywhere", "just where one looks"])
def test_a_mask_that_leaves_out_little_leaves_it_out_and_nothing_else(near, monkeypatch) -> None:
    rng = np.random.default_rng(7)
    table, queries = random_units(6000), random_units(3)
    mask = rng.random(6000) > 0.05
    if near:  # so that too few of those asked for take part
        mask[(table @ queries[0]).argsort()[-500:]] = False
    searcher = ScanSearcher(table, build_scan(table))
    assert mask.mean() > vectors._NEARLY_ALL
    scores, rows = searcher.top(queries, 10, mask)
    assert mask[rows].all()
    monkeypatch.setattr(vectors, "_NEARLY_ALL", 2.0)  # the scan itself takes the mask
    want_scores, want_rows = searcher.top(queries, 10, mask)
    assert (scores >= want_scores).all(), "as many candidates at least"
    np.testing.assert_array_equal(rows, want_rows)
    np.testing.assert_array_equal(rows, naive_top(table, queries, 10, mask)[1])


def test_a_masked_row_is_excluded_even_if_all_others_score_below_zero() -> None:
    query = unit([1.0, 2, 3, 4, 0, 0, 0, 0])
    table = np.vstack([query, -query, -query, query])
    mask = np.array([False, True, True, False])
    for searcher in searchers(table):
        scores, rows = searcher.top(query[None], 4, mask)
        assert rows.tolist() == [[1, 2]]
        assert scores[0] == pytest.approx([-1, -1])


def test_no_row_takes_part() -> None:
    table = random_units(10)
    for searcher in searchers(table):
        scores, rows = searcher.top(table[:3], 5, np.zeros(10, np.bool_))
        assert scores.shape == rows.shape == (3, 0)
    assert ExactSearcher(table[:0]).top(table[:1], 5)[1].shape == (1, 0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_query_that_is_not_finite_is_refused(bad) -> None:
    queries = random_units(2)
    queries[1, 3] = bad
    for searcher in searchers(random_units(10)):
        with pytest.raises(UsageError, match="NaN or infinity"):
            searcher.top(queries, 3)


@pytest.mark.parametrize("shape", [(8,), (1, 7), (1, 1, 8)])
def test_a_query_of_another_shape_is_refused(shape) -> None:
    for searcher in searchers(random_units(10)):
        with pytest.raises(UsageError, match=r"not \[Q, 8\]"):
            searcher.top(np.ones(shape, np.float32), 3)


def test_the_scan_finds_what_exact_search_finds() -> None:
    rng = np.random.default_rng(0)
    centres = random_units(60, 100)
    table = unit(centres[rng.integers(0, 60, 6000)] + 0.05 * rng.normal(size=(6000, 100)))
    queries = unit(table[::100] + 0.03 * rng.normal(size=(60, 100)))
    mask = rng.random(6000) < 0.7
    exact, _, scan = searchers(table)
    for kept in (None, mask):
        want, found = exact.top(queries, 10, kept)[1], scan.top(queries, 10, kept)[1]
        shared = [len(set(a) & set(b)) for a, b in zip(want, found, strict=True)]
        assert np.mean(shared) >= 9.9


def test_the_scan_tells_apart_vectors_that_nearly_point_the_same_way() -> None:
    rng = np.random.default_rng(0)
    table = unit(10 * random_units(1, 64, seed=1) + unit(rng.normal(size=(5000, 64))))
    queries = random_units(50, 64, seed=2)
    exact, _, scan = searchers(table)
    want, found = exact.top(queries, 10)[1], scan.top(queries, 10)[1]
    shared = [len(set(a) & set(b)) for a, b in zip(want, found, strict=True)]
    assert np.mean(shared) >= 9.9


def test_a_library_of_equal_vectors_can_be_scanned() -> None:
    table = np.repeat(random_units(1, 20), 500, axis=0)
    searcher = ScanSearcher(table, build_scan(table))
    scores, rows = searcher.top(table[:1], 5)
    assert scores[0] == pytest.approx([1] * 5)
    assert len(set(rows[0])) == 5


def test_the_scan_survives_a_file(tmp_path) -> None:
    table = random_units(300, 20)
    scan = build_scan(table)
    scan.write(str(tmp_path / "scan.tv"))
    loaded = ScanSearcher(table, load_scan(tmp_path / "scan.tv", 300, 20))
    before = ScanSearcher(table, scan).top(table, 10)
    assert all(map(np.array_equal, loaded.top(table, 10), before))
    with pytest.raises(ValueError, match="300 codes, 299 expected"):
        load_scan(tmp_path / "scan.tv", 299, 20)
    with pytest.raises(ValueError, match="expected"):
        load_scan(tmp_path / "scan.tv", 300, 28)


def test_exact_search_reads_a_memory_map(tmp_path) -> None:
    np.save(tmp_path / "v.npy", random_units(50))
    table = np.load(tmp_path / "v.npy", mmap_mode="r")
    assert ExactSearcher(table).top(table[7:8], 1)[1].tolist() == [[7]]


class Few:
    """A store that finds these rows only."""

    def __init__(self, *rows: int) -> None:
        self.rows, self.asked = np.array(rows, np.int64), []

    def nearest(self, queries_QD, wanted, among):
        self.asked.append((wanted, among))
        return [self.rows for _ in queries_QD]


def test_what_a_store_misses_is_missed_and_what_it_finds_has_its_true_score() -> None:
    table, query = random_units(300), random_units(1, seed=1)
    products = (table.astype(np.float64) * query[0].astype(np.float64)).sum(axis=1)
    scores, rows = StoredSearcher(table, Few(7, 5, 9, 7), exact_limit=0).top(query, 2)
    best = sorted([5, 7, 9], key=lambda n: -products[n])[:2]
    assert rows.tolist() == [best]
    assert scores.tolist() == [[products[n] for n in best]]


def test_where_a_store_finds_too_few_every_row_is_looked_at() -> None:
    table, queries = random_units(300), random_units(3, seed=1)
    mask = np.arange(300) % 2 == 0
    for k, kept in ((4, None), (3, mask)):
        found = StoredSearcher(table, Few(1, 2, 3), exact_limit=0).top(queries, k, kept)
        assert np.array_equal(found[1], naive_top(table, queries, k, kept)[1])


def test_a_store_is_asked_for_more_where_it_does_not_filter_by_itself() -> None:
    table, query, mask = random_units(2000), random_units(1), np.arange(2000) < 1000
    among = Among(kind="moment")
    store = Few(*range(50))
    searcher = StoredSearcher(table, store, exact_limit=0)
    searcher.top(query, 10, mask, among)
    searcher.top(query, 10, mask)
    assert store.asked == [(1000, among), (2000, None)]
    searcher.top(query, 10, np.zeros(2000, np.bool_), among)
    StoredSearcher(table, store, exact_limit=1000).top(query, 10, mask, among)
    assert len(store.asked) == 2, "few rows are ranked without it"


@given(allowed=arrays.arrays(np.bool_, st.integers(0, 12)))
def test_the_listed_videos_say_which_may_answer(allowed) -> None:
    listed = Among(kind="whole", allowed_V=allowed).listed()
    if listed is None:
        assert allowed.all()
        return
    may, videos = listed
    told = [n for n in range(len(allowed)) if (n in videos) == may]
    assert told == np.flatnonzero(allowed).tolist()
    assert len(videos) <= len(allowed) / 2


@pytest.mark.parametrize("dimension", [8, 100, 384])
def test_the_size_of_codes_is_known_before_they_are_made(tmp_path, dimension) -> None:
    build_scan(random_units(5000, dimension)).write(str(tmp_path / "scan.tv"))
    written = (tmp_path / "scan.tv").stat().st_size
    assert written / 1.5 <= scan_bytes(5000, dimension) <= 1.5 * written + 100_000
