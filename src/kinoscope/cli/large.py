"""Commands that keep large indexes quick: index optimize, index export."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated

import typer

from kinoscope.cli.console import (
    AsJson,
    IndexFolder,
    app,
    index_folder,
    out,
    say,
)

Gently = Annotated[
    bool, typer.Option("--gently", help="Take only processor time that nobody else wants.")
]
MemoryLimit = Annotated[
    int | None,
    typer.Option(
        "--memory-mb",
        metavar="N",
        min=0,
        help="From now on a search may hold so many MiB of codes; default 2048, then on disk.",
    ),
]
Address = Annotated[
    str,
    typer.Argument(metavar="URL", help="http://HOST:6333/COLLECTION; key in $QDRANT_API_KEY."),
]
Shards = Annotated[int, typer.Option(min=1, help="Parts of a new collection, one a node or more.")]
Replicas = Annotated[int, typer.Option(min=1, help="Copies of each part.")]


@app.command("index optimize")
def optimize(
    index: IndexFolder = None,
    memory_mb: MemoryLimit = None,
    gently: Gently = False,
    as_json: AsJson = False,
) -> None:
    """Join an index's pieces, free what is superseded, and make it ready for search.

    Searches go on meanwhile. `kinoscope index` begins this in the background where it pays.
    A folder of that name is indexed as ./optimize.
    """
    from kinoscope.index.optimise import optimise
    from kinoscope.index.store import Store

    store = Store.open(index_folder(index))
    with _bar("joining pieces, making the index ready"):
        found = optimise(store, memory_mb=memory_mb, gently=gently)
    out(json.dumps(asdict(found)) if as_json else found)


@app.command("index export")
def export(
    url: Address,
    index: IndexFolder = None,
    shards: Shards = 1,
    replicas: Replicas = 1,
) -> None:
    """Write an index's vectors to a Qdrant server, for `kinoscope search --qdrant URL`.

    Files and times stay here. Needs pip install 'kinoscope[qdrant]'.
    """
    from kinoscope.index.derived import open_derived
    from kinoscope.index.qdrant import Qdrant
    from kinoscope.index.store import Store

    target, derived = Qdrant.at(url), open_derived(Store.open(index_folder(index)))
    with _bar("writing clips", len(derived.catalog.vectors_ND)) as show:
        count = target.push(derived, shards=shards, replicas=replicas, progress=show)
    say(f"{count} clips are at {url}")


@contextmanager
def _bar(words: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """A bar on stderr, told how much is done; without a total it only moves."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    count = [] if total is None else [MofNCompleteColumn()]
    columns = [BarColumn(), *count, TextColumn("{task.description}")]
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(words, total=total)
        yield lambda done: bar.update(task, completed=done)
