"""Commands that keep a library of videos: index, info, remove."""

import json
import sys
from collections.abc import Callable, Iterator, Sized
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kinoscope.addresses import is_url
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
    from kinoscope.index.build import BuildOptions, BuildReport, Progress
    from kinoscope.index.handle import Index
    from kinoscope.scale.cluster import ClusterOptions
    from kinoscope.thinking.config import Thinking

Workers = Annotated[int | None, typer.Option(min=1, help="Decoding processes; default by cores.")]
Policy = Annotated[
    str | None,
    typer.Option(help="For a new index: exact (default), or keyframe: faster, a bit early."),
]
Clustered = Annotated[
    bool,
    typer.Option("--cluster", help="By Ray: on this machine, or on the cluster at --address."),
]
ClusterAddress = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="Of a running Ray cluster, or auto; see --cluster."),
]
Tidied = Annotated[
    bool, typer.Option(help="Afterwards join pieces in the background, where it pays.")
]

_QUARANTINE = ("path", "fault", "message", "changed_at", "tries")


@app.command("index")
def index_(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PATH]...",
            help="Folders or files, or s3://BUCKET/NAME; none means those indexed before.",
        ),
    ] = None,
    index: IndexFolder = None,
    retry: Annotated[bool, typer.Option("--retry", help="Try files in quarantine again.")] = False,
    workers: Workers = None,
    cluster: Clustered = False,
    address: ClusterAddress = None,
    policy: Policy = None,
    model: ModelName = None,
    options: ModelOptions = None,
    thinking: ThinkingRule = None,
    max_steps: MaxSteps = None,
    optimize: Tidied = True,
    as_json: AsJson = False,
) -> None:
    """Index folders or files of videos.

    Adds new videos, decodes changed ones again, follows moved ones and forgets deleted ones.
    The model of a new index is --model; later, --model says where it lies now. The same holds for
    --thinking, which stays with the index.
    """
    from kinoscope.index.build import BuildOptions
    from kinoscope.index.handle import Index, is_index

    far = _cluster_options(cluster, address, workers)
    building = BuildOptions(workers=None if cluster else workers, retry=retry)
    loading, folder = load_options(model, options), index_folder(index)
    rules = thinking_of(thinking, max_steps)
    embedder = None
    if not is_index(folder):  # make none for a mistyped path
        _require_present(sources or [])
    if policy or (sources and not is_index(folder)):
        embedder = embedder_with(policy, model or "concepts", loading, rules)
    library = Index.open(
        folder, embedder, create=bool(sources), model=model, options=loading, thinking=rules
    )
    report = _brought_up(library, sources or [], building, far)
    say(f"sampling: {library.spec.sampling}")
    _print_report(report, as_json)
    if optimize:
        library.optimise_later()
    require_all(report)


def require_all(report: "BuildReport") -> None:
    """Raises `SomeFilesFailed` if a run left anything out."""
    if report.failures or report.problems:
        raise SomeFilesFailed(
            f"{_count(report.failures, 'file')} went into quarantine,"
            f" {_count(report.problems, 'place')} could not be looked at;"
            " mend them and run again, unchanged files with --retry"
        )


def _cluster_options(
    wanted: bool, address: str | None, workers: int | None
) -> "ClusterOptions | None":
    if not wanted:
        if address is not None:
            raise UsageError(f"--address {address} is of --cluster: say both")
        return None
    from kinoscope.scale.cluster import ClusterOptions

    return ClusterOptions(address=address, decoders=workers)


def _brought_up(
    library: "Index",
    sources: list[str],
    options: "BuildOptions",
    cluster: "ClusterOptions | None",
) -> "BuildReport":
    """By this machine, or by a cluster; with a bar on stderr."""
    with progress_bar() as show:
        if cluster is None:
            return library.add(*sources, options=options, progress=show)
        from kinoscope.scale.indexing import index_on_cluster

        with redirect_stdout(sys.stderr):  # Ray tells of lost processes there
            return index_on_cluster(
                library, *sources, cluster=cluster, options=options, progress=show
            )


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
        list[str], typer.Argument(metavar="PATH...", help="Files or folders to forget.")
    ],
    index: IndexFolder = None,
) -> None:
    """Forget videos; the files stay.

    Folders named here are no longer watched.
    """
    from kinoscope.index.handle import Index

    count = Index.open(index_folder(index)).remove(*paths)
    say(f"forgot {count} files")


def _require_present(paths: list[str]) -> None:
    for path in paths:
        if not is_url(path) and not Path(path).exists():
            raise UsageError(f"{path}: no such file or folder")


def _count(things: Sized, name: str) -> str:
    """`1 file`, `2 files`."""
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"


@contextmanager
def progress_bar() -> "Iterator[Callable[[Progress], None]]":
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


def embedder_with(
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
