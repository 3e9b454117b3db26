"""The command that measures a model on benchmarks: eval."""

import json
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kinoscope.cli.console import (
    AsJson,
    MaxSteps,
    ModelName,
    ModelOptions,
    ThinkingRule,
    app,
    load_options,
    out,
    say,
    thinking_of,
)
from kinoscope.errors import SetupError, SomeFilesFailed, UsageError

if TYPE_CHECKING:
    from kinoscope.embedder import Embedder
    from kinoscope.evaluation.runner.run import Wanted
    from kinoscope.evaluation.saved import Evaluation
    from kinoscope.evaluation.tasks.protocol import Options


_SHOWN = 5


BenchmarkNames = Annotated[
    list[str] | None,
    typer.Option("--benchmark", metavar="NAME", help="Repeatable; mteb:TASK for MTEB's."),
]
Folders = Annotated[
    list[Path] | None,
    typer.Option(
        "--videos",
        metavar="DIR",
        help="A benchmark's folder; one each, or one that has a folder NAME for each.",
    ),
]
OtherFiles = Annotated[
    list[str] | None,
    typer.Option("--file", metavar="ROLE=PATH", help="A file that lies elsewhere, repeatable."),
]
DualSoftmax = Annotated[
    bool, typer.Option("--dual-softmax", help="Correct scores by the other queries of the test.")
]
AllowMissing = Annotated[
    bool, typer.Option("--allow-missing", help="Exit with 0 though videos are missing.")
]
MeanOfFrames = Annotated[
    bool,
    typer.Option("--mean-of-frames", help="Control: a video is the mean of its frames."),
]
PartName = Annotated[
    Literal["test", "validation"], typer.Option("--split", help="Of the generated world.")
]


@app.command("eval")
def evaluate(
    model: ModelName = None,
    benchmark: BenchmarkNames = None,
    videos: Folders = None,
    file: OtherFiles = None,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="DIR", help="For results; default results/eval."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", help="The first N videos alone.")
    ] = None,
    split: PartName = "test",
    dual_softmax: DualSoftmax = False,
    workers: Annotated[
        int | None,
        typer.Option("--workers", metavar="N", help="Processes that decode; default one a core."),
    ] = None,
    allow_missing: AllowMissing = False,
    options: ModelOptions = None,
    thinking: ThinkingRule = None,
    max_steps: MaxSteps = None,
    mean_of_frames: MeanOfFrames = False,
    listed: Annotated[
        bool, typer.Option("--list", help="Print the benchmarks and their files, and stop.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Measure a model on benchmarks whose files you have; docs/evaluation.md names them.

    Each benchmark becomes a JSON and a parquet file. What the model said is kept in the cache: a
    second run, or one that was killed, embeds only what is new. Exit code 7 where videos were
    missing or broken.
    """
    from kinoscope.evaluation.tasks.protocol import Options

    if listed:
        _list(as_json=as_json)
        return
    asked = Options(limit=limit, dual_softmax=dual_softmax, split=split)
    wanted = _wanted(benchmark or [], videos or [], file or [], asked)
    loading = Loading(
        name=model or "concepts",
        options=options,
        thinking=(thinking, max_steps),
        mean_of_frames=mean_of_frames,
    )
    found = [_saved(one, to, as_json=as_json) for one in _measured(wanted, loading, workers)]
    if not allow_missing:
        _check_whole(found)


def _check_whole(found: "Sequence[Evaluation]") -> None:
    """Raises `SomeFilesFailed` where videos were missing or broken."""
    lost = [one for one in found if one.left_out.absent or one.left_out.failed]
    if lost:
        count = sum(len(one.left_out.absent) + len(one.left_out.failed) for one in lost)
        raise SomeFilesFailed(
            f"{count} videos of {', '.join(one.benchmark for one in lost)} are missing or broken:"
            " the results are saved, but do not compare with published ones (--allow-missing)"
        )


def _wanted(
    names: Sequence[str], videos: Sequence[Path], files: Sequence[str], options: "Options"
) -> "list[Wanted]":
    """Each benchmark with its folder; all files are looked for before any work."""
    from kinoscope.evaluation.runner.run import Wanted

    if not names:
        raise UsageError("no benchmark: name one with --benchmark; --list prints all")
    if len(set(names)) < len(names):
        raise UsageError(f"{', '.join(names)}: name each benchmark once")
    reading = [name for name in names if Wanted(name=name, options=options).benchmark().files]
    if len(videos) == 1 and len(reading) > 1:
        videos = [videos[0] / name for name in reading]
    if len(videos) > len(reading) or 0 < len(videos) < len(reading):
        raise UsageError(
            f"{len(videos)} folders for {len(reading)} benchmarks that read files: give --videos"
            " once each, in their order, or one folder that has a folder for each by its name"
        )
    if files and len(reading) != 1:
        raise UsageError(f"--file {files[0]}: say it with one benchmark that reads files")
    folders = dict(zip(reading, videos, strict=False))
    elsewhere = dict(_pair(text) for text in files)
    wanted = [
        Wanted(
            name=name,
            folder=folders.get(name),
            files=elsewhere if name in reading else {},
            options=options,
        )
        for name in names
    ]
    for one in wanted:
        one.located()
    return wanted


def _pair(text: str) -> tuple[str, Path]:
    role, equals, path = text.partition("=")
    if not equals or not path:
        raise UsageError(f"--file {text!r}: write ROLE=PATH, such as captions=test.json")
    return role, Path(path)


@dataclass(frozen=True, kw_only=True)
class Loading:
    """Which model is measured, and how it is loaded, as the command line says it."""

    name: str
    options: list[str] | None
    thinking: tuple[str | None, int | None]
    mean_of_frames: bool

    def embedder(self) -> "Embedder":
        """Loads it."""
        from kinoscope.embedder import Embedder

        options, thinking = load_options(self.name, self.options), thinking_of(*self.thinking)
        if not self.mean_of_frames:
            return Embedder.load(self.name, options=options, thinking=thinking)
        from kinoscope.evaluation.frame_means import mean_of_frames

        return mean_of_frames(Embedder.load(self.name, options=options, thinking=thinking))

    @property
    def told(self) -> str:
        """Its name in results."""
        return f"{self.name}, mean of frames" if self.mean_of_frames else self.name


def _measured(
    wanted: "Sequence[Wanted]", loading: Loading, workers: int | None
) -> "Iterator[Evaluation]":
    """Loads the model once."""
    from kinoscope.evaluation.runner.asking import Asking
    from kinoscope.evaluation.runner.run import Told, evaluate
    from kinoscope.runtime import usable_cores

    start_s = time.monotonic()
    embedder = loading.embedder()
    count = usable_cores() if workers is None else workers
    asking = Asking(embedder, workers=count, tell=say)
    told = Told(
        model=loading.told,
        command=shlex.join(["kinoscope", *sys.argv[1:]]),
        load_s=time.monotonic() - start_s,
    )
    for one in wanted:
        yield evaluate(one, asking, told)


def _saved(found: "Evaluation", to: Path | None, *, as_json: bool) -> "Evaluation":
    """Saves one, then prints its figures, and on stderr what they are not about."""
    from kinoscope.evaluation.saved import FOLDER, save_evaluation

    try:
        path = save_evaluation(found, to or FOLDER)
    except OSError as error:
        place = to or FOLDER
        raise SetupError(f"cannot write in {place} ({error.strerror}): choose another") from error
    if as_json:
        metrics = {name: asdict(metric) for name, metric in found.metrics.items()}
        told = {"benchmark": found.benchmark, "model": found.model, "path": str(path)}
        out(json.dumps({**told, "metrics": metrics, "vectors": dict(found.vectors)}))
    else:
        out(f"{found.benchmark}  {found.model}")
        width = max(len(name) for name in found.metrics)
        for name, metric in found.metrics.items():
            low, value, high = metric.interval
            out(f"  {name:<{width}}  {value:8.4f}  [{low:.4f}, {high:.4f}]  n={metric.n}")
    left = found.left_out
    for kind, some in (("missing", left.absent), ("broken", left.failed)):
        for video, why in list(some.items())[:_SHOWN]:
            say(f"{kind}: {video}: {why}")
        if len(some) > _SHOWN:
            say(f"{kind}: {len(some) - _SHOWN} more, all of them in {path}")
    rows = ", ".join(f"{count} {why}" for why, count in left.rows.items())
    if rows:
        say(f"rows left out: {rows}; queries that could not be asked: {left.queries}")
    embedded, cached = found.vectors["embedded"], found.vectors["cached"]
    say(f"{path}: {embedded} embedded, {cached} from the cache, {found.seconds['total']:.1f} s")
    return found


def _list(*, as_json: bool) -> None:
    from kinoscope.evaluation.runner.run import BENCHMARKS

    width = max(len(name) for name in BENCHMARKS)
    for name, benchmark in BENCHMARKS.items():
        if as_json:
            told = {"files": dict(benchmark.files), "source": benchmark.source}
            out(json.dumps({"benchmark": name, **told, "galleries": benchmark.galleries}))
            continue
        files = ", ".join(f"{role}={usual}" for role, usual in benchmark.files.items())
        out(f"{name:<{width}}  {files or 'no files'}  ({benchmark.source})")
    if not as_json:
        out(f"{'mteb:TASK':<{width}}  fetched by MTEB  (github.com/embeddings-benchmark)")
