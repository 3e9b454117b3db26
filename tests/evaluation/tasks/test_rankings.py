"""Lists of the first items: in the order that ranks count, masked as galleries are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinoscope.errors import UsageError
from kinoscope.evaluation.metrics import ranks
from kinoscope.evaluation.metrics.checks import ROUNDING
from kinoscope.evaluation.tasks.rankings import DEPTH, Rankings, first_of
from tests.evaluation.tasks.toys import Blank, Seer, put, run


@st.composite
def galleries(draw):
    """Scores with many ties, exact and nearly so, right items, and galleries that hold them."""
    queries, items = draw(st.integers(1, 4)), draw(st.integers(1, 7))
    steps = st.sampled_from([0.0, 0.25, 0.25 + ROUNDING / 3, 0.25 - ROUNDING / 3, 0.5])
    rows = st.lists(steps, min_size=items, max_size=items)
    scores_QN = np.array(draw(st.lists(rows, min_size=queries, max_size=queries)), np.float32)
    some = st.sets(st.integers(0, items - 1), min_size=1)
    positives = [sorted(draw(some)) for _ in range(queries)]
    shown_QN = np.array([[draw(st.booleans()) for _ in range(items)] for _ in range(queries)])
    for query, right in enumerate(positives):
        shown_QN[query, right] = True
    return scores_QN, positives, shown_QN


def lists_of(scores_QN, positives, shown_QN=None):
    queries, items = scores_QN.shape
    names = [f"q{n}" for n in range(queries)], [f"v{n}" for n in range(items)]
    return first_of(scores_QN, positives, names=names, shown_QN=shown_QN)


@given(galleries())
def test_the_first_right_item_stands_at_the_rank_of_the_query(given_lists):
    scores_QN, positives, shown_QN = given_lists
    found = lists_of(scores_QN, positives, shown_QN)
    expected = ranks(scores_QN, positives, shown_QN=shown_QN, rounding=ROUNDING)
    for query, rows_K in found.by_query():
        first = found.rank_L[rows_K][found.right_L[rows_K]].min()
        assert first == expected[query]
        assert found.rank_L[rows_K].tolist() == list(range(1, len(rows_K) + 1))
        assert set(found.item_L[rows_K].tolist()) == set(np.flatnonzero(shown_QN[query]).tolist())
        assert {int(i) for i in found.item_L[rows_K][found.right_L[rows_K]]} == set(
            positives[query]
        )
        assert found.score_L[rows_K].tolist() == scores_QN[query, found.item_L[rows_K]].tolist()


def test_lists_end_at_their_depth_but_for_what_is_right():
    items = DEPTH + 20
    scores_QN = np.linspace(1, 0, items)[None]
    found = lists_of(scores_QN, [[3, items - 1]])
    assert found.rank_L.tolist() == [*range(1, DEPTH + 1), items]
    assert found.item_L[found.right_L].tolist() == [3, items - 1]


def test_tasks_give_the_lists_of_their_galleries(tmp_path):
    put(tmp_path, ["a.mp4", "b.mp4"])
    captions = "key,vid_key,video_id,sentence\n0,0,a,one\n0,0,a,two\n1,1,b,three\n"
    found = run(
        "msr-vtt", tmp_path, Seer({"one": "a", "two": "b", "three": "b"}), captions=captions
    )
    t2v, v2t = found.rankings["t2v"], found.rankings["v2t"]
    assert t2v.queries == ("a#0", "a#1", "b#0") and t2v.items == v2t.items == ("a", "b")
    ranked = [[t2v.items[i] for i in t2v.item_L[rows_K]] for _, rows_K in t2v.by_query()]
    assert ranked == [["a", "b"], ["b", "a"], ["b", "a"]]
    assert t2v.rank_L[t2v.right_L].tolist() == found.values["t2v_mnr"].values_Q.tolist()
    assert v2t.rank_L[v2t.right_L].tolist() == found.values["v2t_mnr"].values_Q.tolist()


def test_moments_keep_what_was_told_and_what_is_true(tmp_path):
    put(tmp_path, ["a.mp4"], "12")
    found = run("charades-sta", tmp_path, Blank(), queries="a 4.0 6.0##a door opens\n")
    told = found.rankings["moments"]
    assert told.texts == ("a door opens",) and told.items == ("a",)
    assert told.spans_L2[told.right_L].tolist() == [[4, 6]]
    assert told.rank_L.tolist() == [1, 2, 3, 4, 5, 6, 0]
    ((_, rows_K),) = told.by_query()
    assert told.rank_L[rows_K].tolist() == [1, 2, 3, 4, 5, 6, 0], "what was not told comes last"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"item_L": np.array([2])}, r"outside 0\.\.0"),
        ({"rank_L": np.array([-1])}, "ranks begin at 1"),
        ({"score_L": np.array([np.nan])}, "NaN or infinite"),
        ({"rank_L": np.array([1, 2])}, "columns differ"),
        ({"texts": ("a", "b")}, "2 texts of 1 queries"),
        ({"spans_L2": np.zeros((2, 2))}, r"windows \[2, 2\] of 1 rows"),
    ],
)
def test_lists_of_another_shape_are_refused(change, words):
    one = {
        "queries": ("q",), "items": ("v",), "query_L": np.array([0]), "item_L": np.array([0]),
        "rank_L": np.array([1]), "score_L": np.array([0.5]), "right_L": np.array([True]),
    }  # fmt: skip
    assert repr(Rankings(**one)) == "Rankings(1 queries, 1 items)"
    with pytest.raises(UsageError, match=words):
        Rankings(**{**one, **change})
