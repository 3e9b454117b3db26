"""Commands on a library of videos: index, search, info, remove."""

import json
import re
import sys
from collections.abc import Callable, Iterator, Sized
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kinoscope.cli.console import (
    AsJson,
    IndexFolder,
    MaxSteps,
    ModelName,
    ModelOptions,
    ThinkingRule,
    app,
    clock,
    index_folder,
    load_options,
    out,
    say,
    thinking_of,
)
from kinoscope.errors import SomeFilesFailed, UsageError

if TYPE_CHECKING:
    from kinoscope.backbones.options import LoadOptions
    from kinoscope.embedder import Embedder
    from kinoscope.index.build import BuildReport, Progress
    from kinoscope.thinking.config import Thinking
    from kinoscope.types import Hit

_QUARANTINE = ("path", "fault", "message", "changed_at", "tries")


@app.command("index")
def index_(
    sources: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PATH]...", help="Folders or files; none means those indexed before."
        ),
    ] = None,
    index: IndexFolder = None,
    retry: Annotated[bool, typer.Option("--retry", help="Try files in quarantine again.")] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Decoding processes; default by cores.")
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(help="For a new index: exact (default), or keyframe: faster, a bit early."),
    ] = None,
    model: ModelName = None,
    options: ModelOptions = None,
    thinking: ThinkingRule = None,
    max_steps: MaxSteps = None,
    as_json: AsJson = False,
) -> None:
    """Index folders or files of videos.

    Adds new videos, decodes changed ones again, follows moved ones and forgets deleted ones.
    The model of a new index is --model; later, --model says where it lies now. The same holds for
    --thinking, which stays with the index.
    """
    from kinoscope.index.build import BuildOptions
    from kinoscope.index.handle import Index, is_index

    building = BuildOptions(workers=workers, retry=retry)
    loading, folder = load_options(model, options), index_folder(index)
    rules = thinking_of(thinking, max_steps)
    embedder = None
    if not is_index(folder):  # make none for a mistyped path
        _require_present(sources or [])
    if policy or (sources and not is_index(folder)):
        embedder = _embedder_with(policy, model or "concepts", loading, rules)
    library = Index.open(
        folder, embedder, create=bool(sources), model=model, options=loading, thinking=rules
    )
    with _progress_bar() as show:
        report = library.add(*(sources or ()), options=building, progress=show)
    say(f"sampling: {library.spec.sampling}")
    _print_report(report, as_json)
    if report.failures or report.problems:
        raise SomeFilesFailed(
            f"{_count(report.failures, 'file')} went into quarantine,"
            f" {_count(report.problems, 'place')} could not be looked at;"
            " mend them and run again, unchanged files with --retry"
        )


@app.command()
def search(
    query: Annotated[
        str, typer.Argument(help="What to find; - reads one query a line from stdin.")
    ],
    index: IndexFolder = None,
    k: Annotated[int, typer.Option("-k", help="How many moments.")] = 10,
    threshold: Annotated[
        float | None,
        typer.Option(help="Least score; 0 is the library's average, 0.1 clearly related."),
    ] = None,
    folder: Annotated[Path | None, typer.Option(help="Only videos under this folder.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Only files changed since, 2026-01-31 or 7d.")
    ] = None,
    min_duration: Annotated[
        float | None, typer.Option(help="Only videos of at least S seconds.")
    ] = None,
    videos: Annotated[
        bool, typer.Option("--videos", help="Rank whole videos, not moments.")
    ] = False,
    model: ModelName = None,
    options: ModelOptions = None,
    thinking: ThinkingRule = None,
    max_steps: MaxSteps = None,
    as_json: AsJson = False,
) -> None:
    """Find moments that a text describes.

    Prints rank, score, time span and file. A score of 0 is no closer than an average video.
    The model and its thinking are those of the index; --model says where it lies now.
    """
    from kinoscope.index.handle import Index
    from kinoscope.retrieval import Filters
    from kinoscope.retrieval import search as find

    filters = Filters(folder=folder, since=_parse_since(since), min_duration_s=min_duration)
    loading = load_options(model, options)
    rules = thinking_of(thinking, max_steps)
    library = Index.open(index_folder(index), model=model, options=loading, thinking=rules)
    for text in _queries(query):
        hits = find(
            library,
            text,
            k=k,
            filters=filters,
            threshold=threshold,
            scale="videos" if videos else "moments",
        )
        _print_hits(text, hits, as_json, titled=query == "-")


@app.command()
def info(index: IndexFolder = None, as_json: AsJson = False) -> None:
    """Show what an index holds."""
    from kinoscope.index.handle import Index

    library = Index.open(index_folder(index))
    facts = library.describe()
    failed = [{name: getattr(row, name) for name in _QUARANTINE} for row in library.quarantine()]
    if as_json:
        out(json.dumps({**facts, "quarantine": failed}))
        return
    for name, value in facts.items():
        out(f"{name:>16}  {value}")
    for row in failed:
        when = datetime.fromtimestamp(row["changed_at"]).strftime("%Y-%m-%d %H:%M")
        out(f"{row['fault']:>16}  {when}  {row['message']}")


@app.command()
def remove(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Files or folders to forget.")
    ],
    index: IndexFolder = None,
) -> None:
    """Forget videos; the files stay.

    Folders named here are no longer watched.
    """
    from kinoscope.index.handle import Index

    count = Index.open(index_folder(index)).remove(*paths)
    say(f"forgot {count} files")


def _require_present(paths: list[Path]) -> None:
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path}: no such file or folder")


def _count(things: Sized, name: str) -> str:
    """`1 file`, `2 files`."""
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"


@contextmanager
def _progress_bar() -> "Iterator[Callable[[Progress], None]]":
    """A bar on stderr with videos/s, hours of video an hour, and the time left."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = [BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}")]
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("looking at files", total=None)

        def show(progress: "Progress") -> None:
            left = "" if progress.eta_s is None else f"  {clock(progress.eta_s)} left"
            failed = f"  {progress.failed} failed" if progress.failed else ""
            hours = f"  {progress.hours_per_h:.1f} h/h" if progress.hours_per_h else ""
            speed = f"{progress.stage}  {progress.videos_per_s:.1f} videos/s{hours}"
            bar.update(
                task,
                completed=progress.files_done,
                total=progress.files_total,
                description=speed + left + failed,
            )

        yield show


def _embedder_with(
    policy: str | None, model: str, loading: "LoadOptions | None", thinking: "Thinking | None"
) -> "Embedder":
    """The model with its own sampling, but for the decoding policy."""
    from kinoscope.embedder import Embedder

    embedder = Embedder.load(model, options=loading, thinking=thinking)
    if policy is None:
        return embedder
    return Embedder(
        embedder.backbone,
        sampling=replace(embedder.sampling, policy=policy),  # type: ignore[arg-type]
        thinker=embedder.thinker,
    )


def _queries(argument: str) -> Iterator[str]:
    if argument != "-":
        yield argument
        return
    if sys.stdin is None:
        raise UsageError("no input: `-` reads queries from stdin, which is closed")
    yield from (line.strip() for line in sys.stdin if line.strip())


def _parse_since(text: str | None) -> float | None:
    """`7d` or an ISO date (local time) -> unix seconds, at least 0."""
    if text is None:
        return None
    try:
        if re.fullmatch(r"\d+(\.\d+)?d", text):
            return max(0.0, (datetime.now(UTC) - timedelta(days=float(text[:-1]))).timestamp())
        return max(0.0, datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError):
        raise UsageError(
            f"--since {text!r}: write a date like 2026-01-31, or days like 7d"
        ) from None


def _print_hits(query: str, hits: "list[Hit]", as_json: bool, *, titled: bool) -> None:
    if titled and not as_json:
        out(query)
    for hit in hits:
        if as_json:
            out(json.dumps({"query": query, **_hit_fields(hit)}))
        else:
            span = f"{clock(hit.span.start_s)}-{clock(hit.span.end_s)}"
            copies = f"  (+{len(hit.copies)} copies)" if hit.copies else ""
            out(f"{hit.rank:>3}  {hit.score:+.3f}  {span:<15}  {_short(hit.path)}{copies}")
    if not hits:
        say(f"nothing matches {query!r}")


def _short(path: Path) -> Path:
    """Relative to the current folder where it lies below."""
    try:
        here = Path.cwd()
    except FileNotFoundError:  # it was deleted
        return path
    return path.relative_to(here) if path.is_relative_to(here) else path


def _hit_fields(hit: "Hit") -> dict[str, Any]:
    return {
        "rank": hit.rank,
        "path": str(hit.path),
        "start_s": hit.span.start_s,
        "end_s": hit.span.end_s,
        "score": hit.score,
        "cosine": hit.cosine,
        "copies": [str(path) for path in hit.copies],
        **({"steps": hit.steps, "reason": hit.reason} if hit.steps else {}),
    }


def _print_report(report: "BuildReport", as_json: bool) -> None:
    for failure in report.failures:
        say(f"quarantine ({failure.fault}): {failure.message}")
    for problem in report.problems:
        say(problem)
    if as_json:
        from dataclasses import asdict

        out(json.dumps(asdict(report)))
    else:
        out(report)
