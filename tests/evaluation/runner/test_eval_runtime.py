"""The recipe that times benchmarks finds all its films and annotations, and the same figures."""

from recipes.eval_runtime import measured
from tests.evaluation.runner.made import embedder


def test_four_benchmarks_are_written_whole_and_measured_twice(tmp_path):
    metrics, details = measured(tmp_path, 3, embedder())
    assert (metrics["tasks"].value, metrics["failed"].value) == (4, 0)
    assert metrics["cold_s"].value > 0 < metrics["cached_s"].value
    assert {len(twice) for twice in details["seconds_cold_and_cached"].values()} == {2}
