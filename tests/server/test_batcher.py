"""Queries together: each gets the vectors it would get alone; no room is said at once."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinoscope.errors import UsageError
from kinoscope.server.batcher import Batcher
from kinoscope.server.faults import Busy
from tests.made_index import direction


def one_by_one(documents):
    """The naive twin; `bad` is refused."""
    if "bad" in documents:
        raise UsageError("'bad' is refused: say something else")
    return np.array([direction(text) for text in documents], np.float32).reshape(-1, 8)


def batcher(encode=one_by_one, **changes):
    return Batcher(encode, **{"wait_s": 0.02, "most": 8, "room": 100, **changes})


@given(st.lists(st.lists(st.sampled_from("abcdefg"), max_size=12), min_size=1, max_size=12))
def test_vectors_are_those_of_each_query_alone(queries) -> None:
    together = batcher(room=144)  # for all that may come at once
    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(together, queries))
    together.close()
    for texts, vectors_ND in zip(queries, answers, strict=True):
        assert np.array_equal(vectors_ND, one_by_one(texts))


def test_queries_that_come_together_go_through_the_model_together() -> None:
    calls = []

    def counted(documents):
        calls.append(list(documents))
        return one_by_one(documents)

    together = batcher(counted, wait_s=0.5, most=4)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(together, [[text] for text in "abcdefgh"]))
    together.close()
    assert max(map(len, calls)) == 4, "none is larger than asked for"
    assert len(calls) < 8
    assert sorted(text for call in calls for text in call) == list("abcdefgh")


def test_a_refused_query_fails_alone() -> None:
    together = batcher(wait_s=0.3)

    def asked(text):
        try:
            return together([text])
        except UsageError as error:
            return str(error)

    with ThreadPoolExecutor(3) as threads:
        good, bad, fine = threads.map(asked, ["a", "bad", "b"])
    together.close()
    assert "'bad' is refused" in bad
    assert np.array_equal(good, one_by_one(["a"])) and np.array_equal(fine, one_by_one(["b"]))


def test_a_fault_of_the_model_reaches_all_who_wait_and_ends_nothing() -> None:
    faults = iter([True, True, False])

    def faulty(documents):
        if next(faults):
            raise RuntimeError("a fault of ours")
        return one_by_one(documents)

    together = batcher(faulty, wait_s=0.0)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="a fault of ours"):
            together(["a"])
    assert np.array_equal(together(["a"]), one_by_one(["a"]))
    together.close()


def test_where_there_is_no_room_it_is_said_at_once() -> None:
    go, begun = threading.Event(), threading.Event()

    def slow(documents):
        begun.set()
        assert go.wait(30)
        return one_by_one(documents)

    together = batcher(slow, wait_s=0.0, room=2)
    with ThreadPoolExecutor(4) as threads:
        first = threads.submit(together, ["a"])
        assert begun.wait(30)
        waiting = [threads.submit(together, [text]) for text in "bc"]
        while together.waiting < 2:
            pass
        with pytest.raises(Busy, match="2 queries wait") as told:
            together(["d"])
        assert told.value.retry_after_s >= 1
        go.set()
        assert all(len(each.result()) == 1 for each in (first, *waiting))
    together.close()


def test_a_closed_batcher_answers_what_waits_and_then_nothing() -> None:
    together = batcher(wait_s=5.0)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(together, ["a"])
        while not together.waiting:
            pass
        together.close()
        assert np.array_equal(waiting.result(), one_by_one(["a"]))
    with pytest.raises(Busy):
        together(["b"])


def test_nothing_asked_is_nothing_waited_for() -> None:
    together = batcher(wait_s=60.0)
    assert together([]).shape == (0, 8)
    together.close()
