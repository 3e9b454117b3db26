"""MTEB's tasks as benchmarks: its own data, its own figures, our vectors and our form of result."""

import math
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from kinoscope.errors import SetupError, UsageError
from kinoscope.evaluation.results import Metric
from kinoscope.evaluation.runner.asking import Asking
from kinoscope.evaluation.tasks.protocol import Benchmark, Files, Model, Options, TaskResult
from kinoscope.interop.mteb import EVALUATION, wrap
from kinoscope.libraries import imported, transformers

PREFIX = "mteb:"


def benchmark_of(name: str) -> Benchmark:
    """`mteb:TASK`, fetched by MTEB when it is run; nothing is imported before.

    Raises `UsageError` for a name without a task.
    """
    task = name.removeprefix(PREFIX)
    if not task.strip():
        raise UsageError(f"benchmark {name!r}: write mteb:TASK, such as mteb:MSRVTTT2V")
    return Benchmark(files={}, run=partial(_run, task), source="github.com/embeddings-benchmark")


def _run(name: str, _files: Files, model: Model, options: Options) -> TaskResult:
    """Raises `SetupError` without MTEB or its data, `UsageError` for a task that it has not."""
    if options.limit is not None or options.split != "test":
        raise UsageError(
            f"{PREFIX}{name} is run whole, on its own split: leave --limit, --split out"
        )
    transformers()  # before MTEB, which imports it too: beside any torchvision
    mteb = imported("mteb", EVALUATION)
    try:
        task = mteb.get_task(name)
    except KeyError as error:
        raise UsageError(f"MTEB has no task {name!r}: see its list of tasks") from error
    return judged(task, model)


def judged(task: Any, model: Model) -> TaskResult:
    """What MTEB says of a task of its own; each figure counts all that was embedded for it.

    `main_score` is MTEB's mean over splits and subsets.
    """
    assert isinstance(model, Asking), type(model)
    mteb = imported("mteb", EVALUATION)
    name = task.metadata.name
    try:
        results = mteb.evaluate(wrap(model), [task], cache=None, show_progress_bar=False)
    except OSError as error:  # also those of data sets that cannot be fetched
        raise SetupError(f"MTEB cannot fetch the data of {name} ({error}): see its page") from error
    (found,) = results.task_results
    count = model.counts.total()
    if not count:
        raise UsageError(f"MTEB asked for no vector in {name}: nothing was measured")
    figures = {"main_score": Metric(value=float(found.get_score()), n=count)}
    figures |= {key: Metric(value=value, n=count) for key, value in _figures(found.scores)}
    details = {
        "task": name,
        "type": str(task.metadata.type),
        "main_score": str(task.metadata.main_score),
        "revision": str(found.dataset_revision),
        "mteb": str(found.mteb_version),
        "counts": "n is all vectors of the task; intervals are not told",
    }
    return TaskResult(values={}, figures=figures, protocol=details)


def _figures(scores: Mapping[str, list[Mapping[str, Any]]]) -> Iterator[tuple[str, float]]:
    """Finite numbers by `metric`, with split and subset before it where there are several."""
    parts = [(split, one) for split, several in scores.items() for one in several]
    for split, one in parts:
        place = f"{split} {one.get('hf_subset', '')}: " if len(parts) > 1 else ""
        for key, value in one.items():
            if isinstance(value, int | float) and math.isfinite(value):
                yield place + key, float(value)
