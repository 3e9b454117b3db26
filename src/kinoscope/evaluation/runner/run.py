"""One model on one benchmark, from its files to a result that can be saved."""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from kinoscope.errors import UsageError
from kinoscope.evaluation.metrics.dual_softmax import DESCRIPTION
from kinoscope.evaluation.results import code_version, describe_machine
from kinoscope.evaluation.runner.asking import Asking
from kinoscope.evaluation.runner.mteb_tasks import PREFIX, benchmark_of
from kinoscope.evaluation.runner.world_benchmarks import BENCHMARKS as WORLD
from kinoscope.evaluation.saved import Evaluation, Protocol
from kinoscope.evaluation.tasks import BENCHMARKS as TASKS
from kinoscope.evaluation.tasks.protocol import USUAL, Benchmark, Files, Options, TaskResult
from kinoscope.sampling import SamplingConfig
from kinoscope.training.sources.folder import fingerprint_of

BENCHMARKS: Mapping[str, Benchmark] = {**TASKS, **WORLD}
"""All that need no other library, by name; `mteb:TASK` names others."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A benchmark, its files and how it is asked; checked by `located` before any work.

    Attributes:
        name: of the benchmark.
        folder: where its files lie, if it has any.
        files: other places, by role.
        options: how it is asked.
    """

    name: str
    folder: Path | None = None
    files: Files = field(default_factory=dict)
    options: Options = USUAL

    def benchmark(self) -> Benchmark:
        """Raises `UsageError` for an unknown name, or options that it has not."""
        if self.name.startswith(PREFIX):
            found = benchmark_of(self.name)
        elif self.name in BENCHMARKS:
            found = BENCHMARKS[self.name]
        else:
            raise UsageError(
                f"benchmark {self.name!r}: choose {', '.join(BENCHMARKS)} or {PREFIX}TASK"
            )
        found.check(self.name, self.options)
        return found

    def located(self) -> Files:
        """All files; `UsageError`, which says what to put where, if one is absent."""
        benchmark = self.benchmark()
        if benchmark.files and self.folder is None and set(self.files) != set(benchmark.files):
            told = ", ".join(f"{usual} ({role})" for role, usual in benchmark.files.items())
            raise UsageError(f"{self.name} needs a folder with {told}: name it with --videos")
        return benchmark.locate(self.name, self.folder or Path(), self.files)

    @property
    def variant(self) -> tuple[str, ...]:
        """What sets it apart from the usual run."""
        options = self.options
        parts = {
            options.split: options.split != USUAL.split,
            f"limit-{options.limit}": options.limit is not None,
            "dual-softmax": options.dual_softmax,
        }
        return tuple(name for name, differs in parts.items() if differs)


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a result says of the run: the model as it was named, the command, seconds to load."""

    model: str
    command: str
    load_s: float = 0.0


def evaluate(wanted: Wanted, asking: Asking, told: Told) -> Evaluation:
    """Asks the model, and gives what is to be saved.

    Raises `UsageError` for files that are absent or of which nothing can be used.
    """
    start_s = time.monotonic()
    benchmark, files = wanted.benchmark(), wanted.located()
    asking.begin()
    asking.tell(f"{wanted.name}: reading {', '.join(benchmark.files) or 'nothing'}")
    found = benchmark.run(files, asking, wanted.options)
    asking.kept.flush()
    total_s = time.monotonic() - start_s + told.load_s
    known = {"load": told.load_s, **asking.seconds}
    seconds = {**known, "scores": max(0.0, total_s - sum(known.values())), "total": total_s}
    counts = {name: asking.counts[name] for name in ("embedded", "cached")}
    return Evaluation(
        benchmark=wanted.name,
        model=told.model,
        command=told.command,
        commit=code_version(),
        machine=describe_machine(),
        spec=replace(asking.spec, model=told.model),  # a folder's place is nobody's business
        protocol=_protocol(wanted, files, asking, found),
        metrics=found.metrics,
        left_out=found.left_out,
        seconds={name: round(value, 3) for name, value in seconds.items()},
        vectors=counts,
        values=found.values,
        variant=wanted.variant,
        rankings=found.rankings,
    )


def _protocol(wanted: Wanted, files: Files, asking: Asking, found: TaskResult) -> Protocol:
    options, spec = wanted.options, asking.spec
    annotations = {role: path for role, path in files.items() if path.is_file()}
    queries = {name for each in found.values.values() for name in each.queries}
    names = ", ".join(path.name for path in annotations.values())
    loaded = getattr(asking.backbone, "options", None)
    return Protocol(
        source=wanted.benchmark().source,
        split=names or options.split,
        split_hash=split_hash(queries | asking.films, asking.texts),
        files={role: fingerprint_of([path]) for role, path in annotations.items()},
        gallery=len(asking.films),
        queries=len(queries),
        sampling=spec.sampling,
        frames=asking.sampling.clip_frames,
        resolution=_resolution(asking.sampling),
        prompts=spec.prompts,
        template=getattr(loaded, "template", None) or "the model's own",
        pooling=spec.head,
        thinking=spec.thinking,
        dimension=spec.dimension,
        dual_softmax=DESCRIPTION if options.dual_softmax else "no",
        answers=str(found.protocol.get("answers", "none")),
        limit=options.limit,
        details=dict(found.protocol),
    )


def split_hash(ids: set[str], texts: set[str]) -> str:
    """SHA-256 over the sorted ids of queries and documents, and the sorted texts."""
    told = json.dumps([sorted(ids), sorted(texts)])
    return hashlib.sha256(told.encode()).hexdigest()


def _resolution(sampling: SamplingConfig) -> str:
    if sampling.side_px is not None:
        return f"{sampling.side_px} x {sampling.side_px} px"
    return f"at most {sampling.max_pixels} px a frame"
