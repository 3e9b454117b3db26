"""The recipe of latency: stages add up to the search, and the watched search is the same search."""

from functools import partial

import numpy as np
import pytest

from kinoscope.embedder import Embedder
from kinoscope.index import handle
from kinoscope.index.derived import open_derived
from kinoscope.retrieval import search
from recipes import latency
from recipes.query_speed import TEXTS, made_index
from tests.made_index import Words, direction


@pytest.fixture
def embedder() -> Embedder:
    return Embedder(Words(dimension=8, centre_D=0.5 * direction("a mean")))


@pytest.mark.parametrize("limit", [50_000, 10])
def test_the_watched_search_finds_what_the_plain_one_does(embedder, monkeypatch, limit) -> None:
    """With an exact scan, and with 4-bit codes."""
    monkeypatch.setattr(handle, "open_derived", partial(open_derived, exact_limit=limit))
    with made_index(embedder, clips=120) as index:
        clock = latency.Clock()
        watched = latency.watched(index, embedder, clock)
        for text in TEXTS[:5]:
            assert search(watched, text, k=7) == search(index, text, k=7)
        assert {"encode", "state", "top"} <= set(clock.spent_s)
        assert ("codes" in clock.spent_s) == (limit == 10)


def test_stages_follow_each_other_and_add_up() -> None:
    spent_s = {"all": 10.0, "encode": 1.0, "state": 2.0, "top": 4.0, "codes": 3.0}
    found = latency.by_stage(spent_s)
    assert found == {"encode": 1.0, "state": 2.0, "scan": 3.0, "rerank": 1.0, "rows": 3.0}
    exact = latency.by_stage({name: spent_s[name] for name in ("all", "encode", "state", "top")})
    assert (exact["scan"], exact["rerank"]) == (4.0, 0.0)
    assert sum(exact.values()) == 10.0


def test_every_query_is_timed_whole_and_by_stage(embedder) -> None:
    found = latency.measured(embedder, TEXTS[:12], 80)
    assert len(found.whole_ms) == 12
    assert set(found.stages_ms) == set(latency.STAGES)
    assert min(found.whole_ms) > 0
    for stage, times_ms in found.stages_ms.items():
        assert len(times_ms) == 12
        assert min(times_ms) >= 0, stage
    assert min(found.stages_ms["state"]) > 0
    together = np.sum([found.stages_ms[stage] for stage in latency.STAGES], axis=0)
    assert np.median(together) < 50 * np.median(found.whole_ms), "they are of the same search"


def test_figures_are_quantiles_by_size() -> None:
    times_ms = [float(n) for n in range(101)]
    stages_ms = {stage: times_ms for stage in latency.STAGES}
    made = latency.Latency(whole_ms=times_ms, stages_ms=stages_ms)
    metrics, stages = latency.figures({1_000: made, 100_000: made})
    names = ("p50_ms_1k", "p95_ms_1k", "p50_ms_100k", "p95_ms_100k")
    assert [metrics[name].value for name in names] == [50.0, 95.0, 50.0, 95.0]
    assert stages["1k"]["scan"] == {"p50_ms": 50.0, "p95_ms": 95.0}
    assert set(stages["100k"]) == set(latency.STAGES)


def test_part_of_a_run_is_printed_and_not_saved(embedder, monkeypatch, capsys) -> None:
    monkeypatch.setattr(latency.Embedder, "load", classmethod(lambda _cls: embedder))
    saved: list[str] = []
    monkeypatch.setattr(latency, "save_result", lambda name, *_a, **_n: saved.append(name))
    latency.main(["--queries", "10", "--clips", "80,120"])
    said = capsys.readouterr().out
    assert "p95_ms_120" in said and "rerank" in said and "part of a run: not saved" in said
    assert not saved
    monkeypatch.setattr(latency, "SIZES", (80, 120))
    monkeypatch.setattr(latency, "TEXTS", TEXTS[:10])
    latency.main(["--clips", "80,120"])
    assert saved == ["latency"]
    for wrong in (["--clips", "20"], ["--clips", "many"], ["--queries", "1"]):
        with pytest.raises(SystemExit):
            latency.main(wrong)
