"""Values by query of the world's tasks, and the same as metrics with details."""

from collections import Counter
from collections.abc import Sequence

from kinoscope.evaluation.metrics import PerQuery
from kinoscope.evaluation.results import Metric
from kinoscope.evaluation.tasks.protocol import TaskResult
from kinoscope.types import Float64

Figures = tuple[dict[str, Metric], dict[str, object]]
"""Metrics, and what is told beside them."""


def by_video(keys: Sequence[str], values_Q: Float64) -> PerQuery:
    """Values of queries on these videos; several on one are numbered: `test-000001#0`, ..."""
    if len(set(keys)) == len(keys):
        return PerQuery(queries=tuple(keys), videos=tuple(keys), values_Q=values_Q)
    count: Counter[str] = Counter()
    names = []
    for key in keys:
        names.append(f"{key}#{count[key]}")
        count[key] += 1
    return PerQuery(queries=tuple(names), videos=tuple(keys), values_Q=values_Q)


def figures_of(found: TaskResult) -> Figures:
    """Its metrics with their intervals, and its protocol."""
    return found.metrics, dict(found.protocol)
