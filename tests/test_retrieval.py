"""Search: scores, filters, one answer for each stretch of video, and clear refusals."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinoscope.embedder import Embedder
from kinoscope.errors import IndexFault, SpecMismatch, UsageError
from kinoscope.index import derived as derived_module
from kinoscope.index.handle import Index
from kinoscope.index.store import Store
from kinoscope.retrieval import Filters, search
from kinoscope.types import ClipEmbeddings, Span
from tests.made_index import (
    D,
    Words,
    clips,
    direction,
    failed,
    made_index,
    random_clips,
    random_units,
    row,
    unit,
)

QUERY = "a dog runs on the beach"


def towards(text: str, *cosines: float) -> np.ndarray:
    """Unit vectors with these cosines to a text's vector [N, D]."""
    aim = direction(text)
    aside = unit(np.eye(D)[0] - aim[0] * aim)
    return np.stack([c * aim + math.sqrt(1 - c * c) * aside for c in cosines]).astype(np.float32)


def naive_search(index: Index, query_D, k: int, mean_D, *, whole=False) -> list[tuple]:
    """All windows by cosine; one that overlaps a better one of its video is passed over."""
    table = index.store.clips()
    has_windows = {v for v, s in zip(table.video_ids, table.scales, strict=True) if s != "whole"}
    rows = [
        (-float(vector @ query_D.astype(np.float64)), n)
        for n, vector in enumerate(table.vectors_ND.astype(np.float64))
        if (table.scales[n] == "whole") == (whole or table.video_ids[n] not in has_windows)
    ]
    kept: list[int] = []
    for _, n in sorted(rows):
        mine = [o for o in kept if table.video_ids[o] == table.video_ids[n]]
        if not any(
            table.start_s_N[n] < table.end_s_N[o] and table.start_s_N[o] < table.end_s_N[n]
            for o in mine
        ):
            kept.append(n)
    return [(table.video_ids[n], table.start_s_N[n], table.end_s_N[n]) for n in kept[:k]]


def found(hits) -> list[tuple]:
    return [(hit.path.stem, hit.span.start_s, hit.span.end_s) for hit in hits]


def test_the_best_moment_comes_first_with_its_place_and_scores(tmp_path) -> None:
    reference = random_units(1, seed=3)[0]
    index = made_index(
        tmp_path / "index",
        {
            "beach": clips(towards(QUERY, 0.1, 0.2, 0.9, 0.3)),
            "other": clips(towards(QUERY, 0.5)),
        },
        centre_D=reference,
    )
    hits = search(index, QUERY, k=2)
    assert [(h.rank, h.path, h.span.start_s, h.span.end_s) for h in hits] == [
        (1, Path("/films/beach.mp4"), 4.0, 8.0),
        (2, Path("/films/other.mp4"), 0.0, 4.0),
    ]
    assert [h.cosine for h in hits] == pytest.approx([0.9, 0.5], abs=1e-6)
    table = index.store.clips()
    wholes = table.vectors_ND[[scale == "whole" for scale in table.scales]]
    mean = (wholes.sum(axis=0) + 20 * reference) / 22
    for hit in hits:
        assert hit.score == pytest.approx(hit.cosine - direction(QUERY) @ mean, abs=1e-6)


def test_a_vector_asks_like_its_text_whatever_its_length(tmp_path) -> None:
    index = made_index(tmp_path / "index", {"a": random_clips(9), "b": random_clips(5, 1)})
    by_text = search(index, QUERY)
    for scale in (1, 1000, 1e-6):
        by_vector = search(index, scale * direction(QUERY))
        assert found(by_vector) == found(by_text)
        assert [h.score for h in by_vector] == pytest.approx([h.score for h in by_text], abs=1e-6)


@given(
    lengths=st.lists(st.integers(0, 12), min_size=1, max_size=4),
    stride_s=st.sampled_from([0.7, 1.0, 2.0, 4.0]),
    k=st.integers(1, 30),
    seed=st.integers(0, 99),
)
@settings(max_examples=25, deadline=None)
def test_search_equals_the_naive_twin(tmp_path_factory, lengths, stride_s, k, seed) -> None:
    videos = {
        f"v{i}": clips(
            random_units(n, seed=seed + i), whole=random_units(1, seed=i)[0], stride_s=stride_s
        )
        for i, n in enumerate(lengths)
    }
    index = made_index(tmp_path_factory.mktemp("twin") / "index", videos)
    mean = index.derived().mean_D
    query = direction(str(seed))
    assert found(search(index, str(seed), k=k)) == naive_search(index, query, k, mean)
    wholes = search(index, str(seed), k=k, scale="videos")
    assert found(wholes) == naive_search(index, query, k, mean, whole=True)


def test_one_video_with_thousands_of_windows_does_not_crowd_out_the_rest(tmp_path) -> None:
    static = clips(np.repeat(towards(QUERY, 0.9), 4000, axis=0), stride_s=0.001)
    index = made_index(tmp_path / "index", {"static": static, "other": clips(towards(QUERY, 0.1))})
    hits = search(index, QUERY, k=4)
    assert found(hits)[:1] == [("static", 0.0, 4.0)], "equal windows rank in time order"
    assert [h.path.stem for h in hits] == ["static", "other"], "3.999 s of windows: one fits"


def test_windows_that_only_touch_are_both_kept(tmp_path) -> None:
    index = made_index(tmp_path / "index", {"a": clips(towards(QUERY, 0.9, 0.8, 0.7, 0.6, 0.5))})
    assert found(search(index, QUERY)) == [("a", 0, 4), ("a", 4, 8), ("a", 8, 12)]


def test_windows_that_touch_but_for_rounding_are_both_kept(tmp_path) -> None:
    touching = (Span(0.0, 0.6), Span(0.0, 0.1 + 0.2), Span(0.3, 0.6))
    assert touching[1].overlap_s(touching[2]) > 0
    pieces = ClipEmbeddings(touching, ("whole", "0.3s", "0.3s"), towards(QUERY, 0.5, 0.9, 0.8))
    index = made_index(tmp_path / "index", {"a": pieces})
    assert [hit.span for hit in search(index, QUERY)] == list(touching[1:])


def test_the_scan_gives_the_answers_of_exact_search(tmp_path, monkeypatch) -> None:
    videos = {f"v{i}": random_clips(8, i) for i in range(40)}
    index = made_index(tmp_path / "index", videos)
    exact = search(index, QUERY, k=15)
    monkeypatch.setattr(derived_module.open_derived, "__kwdefaults__", {"exact_limit": 10})
    scanned = Index(index.store, index.embedder)
    hits = search(scanned, QUERY, k=15)
    assert type(scanned.derived().searcher).__name__ == "ScanSearcher"
    assert hits == exact


@pytest.mark.parametrize("scale", ["moments", "videos"])
def test_an_empty_library_has_no_answer(tmp_path, scale) -> None:
    assert search(made_index(tmp_path / "index", {}), QUERY, scale=scale) == []


def test_k_beyond_the_library_gives_all_of_it(tmp_path) -> None:
    index = made_index(tmp_path / "index", {"a": random_clips(3), "b": random_clips(1)})
    assert len(search(index, QUERY, k=10**12, scale="videos")) == 2
    assert 2 <= len(search(index, QUERY, k=10**12)) <= 3


# --- threshold


def test_the_threshold_is_on_the_score_and_includes_its_own_value(tmp_path) -> None:
    videos = {f"v{i}": clips(towards(QUERY, c)) for i, c in enumerate([0.9, 0.6, 0.3])}
    index = made_index(tmp_path / "index", videos, centre_D=towards(QUERY, 0.4)[0])
    scores = [hit.score for hit in search(index, QUERY)]
    assert len(scores) == 3
    assert [h.score for h in search(index, QUERY, threshold=scores[1])] == scores[:2]
    assert [h.score for h in search(index, QUERY, threshold=scores[1] + 1e-6)] == scores[:1]
    assert search(index, QUERY, threshold=2.0) == []
    assert len(search(index, QUERY, threshold=-2.0)) == 3


# --- filters


@pytest.fixture
def library(tmp_path) -> Index:
    index = made_index(tmp_path / "index", {"old": random_clips(2, 1), "new": random_clips(9, 2)})
    index.store.commit(
        [],
        [
            row("/films/new.mp4", "new", mtime_ns=100 * 10**9),
            row("/backup/old.mp4", "old", mtime_ns=200 * 10**9),
            row("/films2/x.mp4", "old", mtime_ns=1),
            failed("/films/broken.mp4"),
        ],
    )
    return index


def names(hits) -> set[str]:
    return {str(hit.path) for hit in hits}


def test_without_filters_a_hit_names_the_first_path_and_its_copies(library) -> None:
    hits = {str(h.path): h.copies for h in search(library, QUERY, k=50)}
    assert hits == {
        "/backup/old.mp4": (Path("/films/old.mp4"), Path("/films2/x.mp4")),
        "/films/new.mp4": (),
    }


def test_a_folder_filter_names_the_copy_in_that_folder(library) -> None:
    hits = search(library, QUERY, k=50, filters=Filters(folder=Path("/films")))
    assert names(hits) == {"/films/old.mp4", "/films/new.mp4"}, "/films2 is another folder"
    old = next(h for h in hits if h.path.name == "old.mp4")
    assert old.copies == (Path("/backup/old.mp4"), Path("/films2/x.mp4"))
    assert names(search(library, QUERY, filters=Filters(folder=Path("/films/../films2")))) == {
        "/films2/x.mp4"
    }
    assert names(search(library, QUERY, filters=Filters(folder=Path("/")))) == {
        "/backup/old.mp4",
        "/films/new.mp4",
    }


def test_a_folder_filter_follows_links(tmp_path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    index = made_index(tmp_path / "index", {"a": random_clips(2)})
    index.store.commit([], [row(str(tmp_path / "real" / "a.mp4"), "a")])
    for name in ("real", "link"):
        hits = search(index, QUERY, filters=Filters(folder=tmp_path / name))
        assert names(hits) == {str(tmp_path / "real" / "a.mp4")}


def test_a_folder_that_never_was_is_named(library, tmp_path) -> None:
    with pytest.raises(UsageError, match="folder /nowhere does not exist"):
        search(library, QUERY, filters=Filters(folder=Path("/nowhere")))
    assert search(library, QUERY, filters=Filters(folder=tmp_path)) == [], "it exists, but is empty"


def test_since_looks_at_each_copy(library) -> None:
    assert names(search(library, QUERY, filters=Filters(since=100))) == {
        "/backup/old.mp4",
        "/films/new.mp4",
    }
    assert names(search(library, QUERY, filters=Filters(since=100.1))) == {"/backup/old.mp4"}
    both = Filters(since=100, folder=Path("/films"))
    assert names(search(library, QUERY, filters=both)) == {"/films/new.mp4"}
    assert search(library, QUERY, filters=Filters(since=201)) == []


def test_min_duration_is_that_of_the_video_not_of_the_moment(library) -> None:
    assert names(search(library, QUERY, filters=Filters(min_duration_s=6))) == {
        "/backup/old.mp4",
        "/films/new.mp4",
    }
    assert names(search(library, QUERY, filters=Filters(min_duration_s=6.1))) == {"/films/new.mp4"}


def test_filters_on_an_empty_library_find_nothing(tmp_path) -> None:
    index = made_index(tmp_path / "index", {})
    assert search(index, QUERY, filters=Filters(since=0, min_duration_s=0)) == []


@pytest.mark.parametrize("name", ["since", "min_duration_s"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0])
def test_filters_refuse_what_is_no_number_of_seconds(name, value) -> None:
    with pytest.raises(UsageError, match=rf"filter {name} {value}"):
        Filters(**{name: value})


# --- refusals


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"k": 0}, "k 0: ask for at least 1"),
        ({"k": -3}, "k -3"),
        ({"k": 2.5}, "k 2.5"),
        ({"k": "5"}, "k '5'"),
        ({"k": True}, "k True"),
        ({"threshold": math.nan}, "threshold nan"),
        ({"threshold": math.inf}, "threshold inf"),
        ({"threshold": -math.inf}, "threshold -inf"),
        ({"scale": "frames"}, "scale 'frames': choose moments or videos"),
    ],
)
def test_a_wrong_argument_is_named(tmp_path, arguments, words) -> None:
    index = made_index(tmp_path / "index", {"a": random_clips(2)})
    with pytest.raises(UsageError, match=words):
        search(index, QUERY, **arguments)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", "empty"),
        (" \t\n", "empty"),
        ("x" * 100_001, "100001 bytes"),
        ("é" * 60_000, "120000 bytes"),
        ("broken \udcff", "not valid Unicode"),
        (np.zeros(D, np.float32), "zero or not finite"),
        (np.full(D, np.nan, np.float32), "zero or not finite"),
        (np.array([np.inf, *[0] * (D - 1)]), "zero or not finite"),
        (np.ones(D + 1), r"shape \[9\], not \[8\]"),
        (np.ones((1, D)), r"shape \[1, 8\], not \[8\]"),
        (np.float32(1), r"shape \[\], not \[8\]"),
    ],
    ids=range(11),
)
def test_a_wrong_query_is_named(tmp_path, query, words) -> None:
    index = made_index(tmp_path / "index", {"a": random_clips(2)})
    with pytest.raises(UsageError, match=words) as caught:
        search(index, query)
    assert len(str(caught.value)) < 300


def test_another_embedder_is_refused_with_both_specs(tmp_path) -> None:
    index = made_index(tmp_path / "index", {"a": random_clips(2)})

    class Others(Words):
        weights = "w1"

    with pytest.raises(SpecMismatch, match=r"(?s)search with the embedder.*! weights: w1 \| w0"):
        search(Index(index.store, Embedder(Others())), QUERY)


def test_an_index_that_went_away_is_named(tmp_path) -> None:
    index = made_index(tmp_path / "index", {"a": random_clips(2)})
    search(index, QUERY)
    index.store.folder.rename(tmp_path / "gone")
    with pytest.raises(IndexFault, match="no index at"):
        search(index, QUERY)


def test_the_public_name_searches_whether_or_not_the_module_was_imported_before() -> None:
    program = (
        "import kinoscope\n"
        "for _ in range(2):\n"
        "    try: kinoscope.search(None, 'x', k=0)\n"
        "    except kinoscope.errors.UsageError as error: print(error)\n"
        "from kinoscope.retrieval import Filters\n"
        "from kinoscope import search\n"
        "try: search(None, 'x', k=0)\n"
        "except kinoscope.errors.UsageError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.count("k 0: ask for at least 1 hit") == 3, done.stderr


# --- an open index follows its folder


def test_an_open_index_notices_every_change(tmp_path) -> None:
    index = made_index(tmp_path / "index", {"a": clips(towards(QUERY, 0.5))})
    assert found(search(index, QUERY)) == [("a", 0, 4)]
    writer = Store.open(index.store.folder)
    writer.commit([("b", clips(towards(QUERY, 0.9)))], [row("/films/b.mp4", "b")])
    assert found(search(index, QUERY)) == [("b", 0, 4), ("a", 0, 4)]
    writer.commit([("b", clips(towards(QUERY, 0.1)))], [row("/films/b.mp4", "b")])
    assert found(search(index, QUERY)) == [("a", 0, 4), ("b", 0, 4)]
    writer.remove(["/films/a.mp4"])
    assert found(search(index, QUERY)) == [("b", 0, 4)]


def test_queries_without_a_change_read_nothing_again(tmp_path, monkeypatch) -> None:
    index = made_index(tmp_path / "index", {"a": random_clips(3)})
    search(index, QUERY)
    first = index.derived()
    monkeypatch.setattr(derived_module, "_load", lambda *_: pytest.fail("read again"))
    search(index, QUERY)
    assert index.derived() is first
