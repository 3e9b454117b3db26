"""Recipes on large indexes, run small: they measure what they say, and simulate soundly."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinoscope.evaluation.results import Metric, save_result
from recipes import large_tables, scale_1m, sharded_topk
from recipes.sharded_topk import (
    CASES,
    PAUSE_MS,
    SHARDS,
    Policy,
    Service,
    least_k,
    plan,
    simulated,
)

TIMES_MS = np.random.default_rng(0).lognormal(2, 0.5, 500)


# --- a library of many clips


def test_a_small_run_measures_both_ways_and_goes_on_where_it_stopped(
    tmp_path, capsys, monkeypatch
) -> None:
    monkeypatch.setattr(scale_1m, "save_result", lambda *_, **__: pytest.fail("saved"))
    embedder = scale_1m.embedder_of_two_scales()
    scale_1m.write(embedder, tmp_path, 20 * scale_1m.CLIPS_A_VIDEO)
    scale_1m.main(["--clips", "1200", "--queries", "10", "--folder", str(tmp_path)])
    said = capsys.readouterr().out
    figures = dict(line.split() for line in said.splitlines() if len(line.split()) == 2)
    assert float(figures["recall_at_10"]) == float(figures["recall_at_10_on_disk"]) == 1
    assert float(figures["rss_mb"]) > 50
    assert float(figures["build_cpu_s"]) > 0
    assert "not saved" in said
    index = scale_1m.Store.open(scale_1m.index_in(tmp_path))
    assert index.count_clips() == 1200 * scale_1m.VECTORS_A_CLIP + 1200 // scale_1m.CLIPS_A_VIDEO
    assert len(index.files()) == 30


def test_what_a_run_makes_does_not_depend_on_where_it_was_ended(monkeypatch) -> None:
    monkeypatch.setattr(scale_1m, "VIDEOS_AT_ONCE", 3)
    embedder = scale_1m.embedder_of_two_scales()
    whole = [each for batch in scale_1m.library(embedder, 0, 8) for each in batch]
    rest = [each for batch in scale_1m.library(embedder, 6, 8) for each in batch]
    assert [name for name, _ in whole[6:]] == [name for name, _ in rest]
    for (_, before), (_, after) in zip(whole[6:], rest, strict=True):
        assert np.array_equal(before.vectors_ND, after.vectors_ND)


# --- many shards


@pytest.mark.parametrize("policy", get_args(Policy))
def test_one_idle_shard_takes_what_was_measured(policy) -> None:
    taken = simulated(TIMES_MS, 1, 1e-6, policy, 3000)
    for part in (0.1, 0.5, 0.9):
        assert np.quantile(taken, part) == pytest.approx(np.quantile(TIMES_MS, part), rel=0.1)


def test_the_slowest_of_many_idle_shards_is_the_largest_of_as_many_draws() -> None:
    taken = simulated(TIMES_MS, 100, 1e-6, "one", 2000)
    draws = np.random.default_rng(7).choice(TIMES_MS, (2000, 100)).max(axis=1)
    assert np.median(taken) == pytest.approx(np.median(draws), rel=0.05)


def test_a_queue_is_worked_off_one_by_one() -> None:
    """Equal times: the naive twin is Lindley's recursion over the same arrivals."""
    taken = simulated(np.full(5, 10.0), 1, 0.8, "one", 300, seed=3)
    arrivals = np.cumsum(np.random.default_rng(3).exponential(10 / 0.8, 300))
    free, want = 0.0, []
    for now in arrivals:
        free = max(free, now) + 10
        want.append(free - now)
    assert np.allclose(taken, want)


@pytest.mark.parametrize(("other_is_busy", "answered"), [(False, 40.0), (True, 110.0)])
def test_a_late_request_is_asked_again_when_it_is_late_if_the_other_is_idle(
    other_is_busy, answered
) -> None:
    line = sharded_topk._Line(np.array([10.0]), 1, 2, np.random.default_rng(0))
    line.free[0, 0] = 100.0
    line.ask(0, 0.0, np.array([0]), late_ms=30.0)
    line.ask_again(until=25.0)
    if other_is_busy:
        line.ask(1, 25.0, np.array([1]), late_ms=30.0)
        assert line.done[1].tolist() == [35.0], "not behind one that will be late"
    line.ask_again(until=50.0)
    assert line.done[0].tolist() == [answered]
    assert line.free.tolist() == [[110.0, 35.0 if other_is_busy else 40.0]]


def test_more_shards_and_more_load_are_slower_and_a_second_replica_helps() -> None:
    def tail(shards, load, policy):
        return np.quantile(simulated(TIMES_MS, shards, load, policy, 1500), 0.95)

    assert tail(1, 0.1, "one") < tail(16, 0.1, "one") < tail(128, 0.1, "one")
    assert tail(16, 0.1, "one") < tail(16, 0.7, "one")
    assert tail(16, 0.7, "idler") < tail(16, 0.7, "either")
    for load in (0.1, 0.5):
        assert tail(128, load, "hedged") < tail(128, load, "idler")
    paused = np.where(np.arange(500) % 250 == 0, 300.0, TIMES_MS)
    by_policy = [np.median(simulated(paused, 300, 0.1, p, 800)) for p in ("idler", "hedged")]
    assert by_policy[1] < by_policy[0] / 1.5


@given(shards=st.integers(1, 60), k=st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_shards_are_asked_for_enough_and_for_no_more(shards, k) -> None:
    rng = np.random.default_rng(shards * 100 + k)
    owners = rng.integers(shards, size=(4000, k))  # which shard has each of the k best
    counts = np.stack([(owners == shard).sum(axis=1) for shard in range(shards)])

    def missed(j):
        return np.maximum(counts - j, 0).sum() / (4000 * k)

    asked = least_k(shards, k, missed=0.02)
    assert missed(asked) <= 0.025
    assert asked == 1 or missed(asked - 1) >= 0.015
    assert least_k(1, k) == k


def test_times_grow_by_the_line_through_both_sizes() -> None:
    service = Service(
        scatter=np.array([0.5, 1.0, 2.0]),
        stops_ms=np.array([0.0, 0.0, 6.0]),
        start_ms=1.0,
        ms_a_million=4.0,
    )
    assert service.sample(500_000).tolist() == [1.5, 3.0, 12.0]
    paused = service.sample(500_000, 0.01)
    assert paused.mean() == pytest.approx(5.5 + 0.01 * PAUSE_MS)
    assert (paused > PAUSE_MS).mean() == pytest.approx(0.01)


def test_the_plan_counts_every_vector_once() -> None:
    found = plan(1_000_000)
    assert found["shards"] * 1_000_000 == found["rows"] == 2_000_000_000
    assert found["hours_of_video"] * 1800 == pytest.approx(1e9)
    twice = plan(2_000_000)
    assert twice["shards"] * 2 == found["shards"]
    assert twice["index_dollars_an_hour_of_video"] == found["index_dollars_an_hour_of_video"]


def test_a_small_simulation_runs_and_is_not_saved(capsys, monkeypatch) -> None:
    monkeypatch.setattr(sharded_topk, "save_result", lambda *_, **__: pytest.fail("saved"))
    sharded_topk.main(["--rows", "1000,2000", "--searches", "20", "--queries", "20"])
    said = capsys.readouterr().out
    assert all(f"p99_ms_{policy}_500_busy_pauses" in said for policy in get_args(Policy))
    assert "not saved" in said


# --- their page


def test_tables_show_what_was_saved(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(large_tables, "RESULTS", tmp_path)
    names = [name + way for name in large_tables._MEASURED for way in ("", "_on_disk")]
    values = {name: Metric(value=n + 0.5, n=1) for n, name in enumerate(names)}
    save_result("scale_1m", values, folder=tmp_path)
    assert "| a query, p50, ms | 4.5 | 5.5 |" in large_tables.million_table()
    cases = [f"{p}_{s}_{case}" for p in get_args(Policy) for s in SHARDS for case in CASES]
    values = {f"p{part}_ms_{case}": Metric(value=part, n=1) for case in cases for part in (50, 99)}
    save_result("sharded_topk", values, details={"plan": plan()}, folder=tmp_path)
    assert large_tables.tail_table().count("50 / 99") == len(cases)
    assert "| shards | 500 |" in large_tables.plan_table()
