"""Public benchmarks: read as users have them on disk, asked of a model, judged by their metrics."""

from collections.abc import Mapping
from pathlib import Path

from kinoscope.errors import UsageError
from kinoscope.evaluation.tasks import (
    adverbs,
    captions,
    chiral,
    composed,
    egocvr,
    long_captions,
    moment_files,
    negation,
    negation_choice,
    qa_files,
    rtime,
)
from kinoscope.evaluation.tasks.protocol import (
    USUAL,
    Benchmark,
    Files,
    Model,
    Options,
    TaskResult,
)

BENCHMARKS: Mapping[str, Benchmark] = {
    **captions.BENCHMARKS,
    **long_captions.BENCHMARKS,
    **rtime.BENCHMARKS,
    **chiral.BENCHMARKS,
    **negation.BENCHMARKS,
    **negation_choice.BENCHMARKS,
    **adverbs.BENCHMARKS,
    **composed.BENCHMARKS,
    **egocvr.BENCHMARKS,
    **moment_files.BENCHMARKS,
    **qa_files.BENCHMARKS,
}
"""By name."""


def run_benchmark(
    name: str,
    folder: Path,
    model: Model,
    *,
    files: Files | None = None,
    options: Options = USUAL,
) -> TaskResult:
    """What a model makes of a benchmark whose files lie in a folder.

    `files` replaces usual names by role. Raises `UsageError` for an unknown benchmark or role, for
    files that are absent, if nothing of them can be used, and for options that it has not.
    """
    if name not in BENCHMARKS:
        raise UsageError(f"benchmark {name!r}: choose {', '.join(BENCHMARKS)}")
    benchmark = BENCHMARKS[name]
    benchmark.check(name, options)
    return benchmark.run(benchmark.locate(name, folder, files), model, options)
