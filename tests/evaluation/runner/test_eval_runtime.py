"""The recipe that times benchmarks finds all its films and annotations, and the same figures."""

from kinoscope.evaluation.runner import run as runner
from kinoscope.evaluation.runner.world_benchmarks import benchmarks
from kinoscope.training.sources import GeneratedSource, generated
from recipes.eval_runtime import forget, measured
from tests.evaluation.oracles import PLAIN
from tests.evaluation.runner.made import embedder


def test_all_benchmarks_are_written_whole_and_measured_twice(tmp_path, speaker, monkeypatch):
    monkeypatch.setattr(runner, "BENCHMARKS", {**runner.BENCHMARKS, **benchmarks(PLAIN)})
    monkeypatch.setenv("KINOSCOPE_CACHE", str(tmp_path / "cache"))
    metrics, details = measured(tmp_path, 3, {"concepts": embedder(), "mini": speaker})
    assert (metrics["tasks"].value, metrics["failed"].value) == (7, 0)
    assert metrics["cold_s"].value > 0 < metrics["cached_s"].value
    assert {len(twice) for twice in details["seconds_cold_and_cached"].values()} == {2}


def test_a_second_run_begins_with_nothing_in_memory():
    GeneratedSource("test", 1, config=PLAIN).example(0)
    assert generated._known.cache_info().currsize
    forget()
    assert not generated._known.cache_info().currsize
