"""Command that says what indexing and asking cost on this machine: bench."""

import json
from pathlib import Path
from typing import Annotated

import typer

from kinoscope.cli.console import AsJson, ModelName, ModelOptions, app, load_options, out, say
from kinoscope.cli.library import Policy, Workers, embedder_with, progress_bar, require_all
from kinoscope.errors import UsageError

SAMPLES = Path(".demo/clips")
"""Where `make demo` puts the sample clips."""

Price = Annotated[
    float | None,
    typer.Option(min=0, metavar="USD", help="Of an hour of the machine; 0.085 is assumed."),
]
Cores = Annotated[int | None, typer.Option(min=1, help="That it has for that price; 2.")]
MachineName = Annotated[
    str | None, typer.Option(metavar="NAME", help="What to call it; '2 vCPU general purpose'.")
]


@app.command()
def bench(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PATH]...", help="Folders or files of videos; default .demo/clips."
        ),
    ] = None,
    model: ModelName = None,
    options: ModelOptions = None,
    policy: Policy = None,
    workers: Workers = None,
    usd_per_hour: Price = None,
    cores: Cores = None,
    machine: MachineName = None,
    as_json: AsJson = False,
) -> None:
    """Say what indexing videos and asking costs on this machine.

    Indexes the videos anew, into an index that is deleted afterwards, and asks it: milliseconds a
    frame by stage, processor seconds, megabytes and dollars an hour of video, milliseconds a query.
    The price is an assumption unless you name one. `python -m recipes.bench_peers` compares all of
    it with other tools.
    """
    from kinoscope.costs import Machine, measure
    from kinoscope.index.build import BuildOptions

    given = {"name": machine, "cores": cores, "usd_per_hour": usd_per_hour}
    rented = Machine(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    building = BuildOptions(workers=workers)
    paths = sources or [_samples()]
    embedder = embedder_with(policy, model or "concepts", load_options(model, options), None)
    with progress_bar() as show:
        found = measure(embedder, paths, machine=rented, options=building, progress=show)
    for failure in found.build.failures:
        say(f"left out ({failure.fault}): {failure.message}")
    for problem in found.build.problems:
        say(problem)
    if as_json:
        facts = {"model": embedder.spec.model, "sampling": embedder.spec.sampling}
        out(json.dumps({**facts, **found.costs.to_dict()}))
    else:
        say(f"{embedder.spec.model}, sampling: {embedder.spec.sampling}")
        out(found.costs)
    require_all(found.build)


def _samples() -> str:
    if not SAMPLES.is_dir():
        raise UsageError(
            f"no sample clips in {SAMPLES}: name a folder of videos,"
            f" or fetch them: kinoscope samples --to {SAMPLES}"
        )
    return str(SAMPLES)
