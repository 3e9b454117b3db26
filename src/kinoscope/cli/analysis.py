"""The command that looks at a model's space: analyze."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kinoscope.cli.console import AsJson, ModelOptions, app, load_options, out, say
from kinoscope.errors import SetupError, UsageError

if TYPE_CHECKING:
    from kinoscope.evaluation.analysis import Analysis
    from kinoscope.training.sources import Source

_MOST = 6


@app.command()
def analyze(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MODEL]...", help="Up to six, such as before and after."),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option("--run", metavar="DIR", help="A training's stage: its validations instead."),
    ] = None,
    captions: Annotated[
        Path | None,
        typer.Option("--captions", metavar="FILE", help="A .csv or .jsonl of videos and captions."),
    ] = None,
    videos: Annotated[
        Path | None, typer.Option("--videos", metavar="DIR", help="Where those videos are.")
    ] = None,
    count: Annotated[
        int, typer.Option("--count", metavar="N", help="Most videos; each with its first caption.")
    ] = 200,
    mix: Annotated[
        Path | None,
        typer.Option("--mix", metavar="FILE", help="Triplets of its test split, for margins."),
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="DIR", help="For analysis.json and plots.")
    ] = None,
    options: ModelOptions = None,
    as_json: AsJson = False,
) -> None:
    """Compare the spaces of models: videos beside texts, and sentences.

    Text-to-video recall, the modality gap (norm of the difference of means), alignment, uniformity,
    effective rank; with --mix how much nearer right sentences are than wrong ones, by part.
    Without --captions the videos are of the generated world's test split. With --run: the figures
    of every validation of a training, as curves. Needs kinoscope[models], and kinoscope[train] for
    plots.
    """
    if run is not None:
        if models:
            raise UsageError(f"--run {run} beside {models[0]}: give a training, or models")
        _curves(run, to, as_json=as_json)
        return
    names = models or []
    if not 1 <= len(names) <= _MOST or len(set(names)) < len(names):
        raise UsageError(f"{len(names)} models: give 1 to {_MOST} different ones")
    if count < 1:
        raise UsageError(f"--count {count}: choose 1 or more")
    source = _source(captions, videos, count)
    found = [_analysed(name, source, mix, count, options) for name in names]
    if to is not None:
        _write(found, to)
    _show(found, as_json=as_json)


def _show(found: "list[Analysis]", *, as_json: bool) -> None:
    from kinoscope.evaluation.analysis import table

    if not as_json:
        for line in table(found):
            out(line)
        return
    for one in found:
        metrics = {name: asdict(metric) for name, metric in one.metrics().items()}
        out(json.dumps({"model": one.name, "videos": len(one.keys), "metrics": metrics}))


def _source(captions: Path | None, videos: Path | None, count: int) -> "Source":
    from kinoscope.training.sources import GeneratedSource, read_captions

    if (captions is None) != (videos is None):
        raise UsageError("--captions and --videos go together: give both, or neither")
    if captions is None or videos is None:
        return GeneratedSource("test", count)
    source = read_captions(captions, videos, overlaps=())
    say(f"{source.name}: {len(source)} videos; {source.problems.describe()}")
    return source


def _analysed(
    name: str, source: "Source", mix: Path | None, count: int, options: list[str] | None
) -> "Analysis":
    from kinoscope.embedder import Embedder
    from kinoscope.evaluation.analysis import analysed
    from kinoscope.packages import cache_folder
    from kinoscope.training.sources import FeatureCache
    from kinoscope.training.triplets import load_mix, mixed

    triplets = () if mix is None else mixed(load_mix(mix, "test")).triplets
    embedder = Embedder.load(name, options=load_options(name, options))
    family = getattr(getattr(embedder.backbone, "checkpoint", None), "family", None)
    cache = FeatureCache(
        cache_folder() / "features",
        embedder.backbone,
        embedder.sampling,
        tower=getattr(family, "tower", None),  # mini's: the same before and after tuning
    )
    model = embedder.thinker or embedder.backbone
    found = analysed(name, model, source, cache, count=count, triplets=triplets)
    say(f"{name}: {len(found.keys)} videos, {len(triplets)} triplets")
    for (_, key), why in list(cache.failures.items())[:1]:
        say(f"{len(cache.failures)} videos give no frames; {key}: {why}")
    return found


def _curves(run: Path, to: Path | None, *, as_json: bool) -> None:
    """First and last value of each figure, and its range; all of them as JSON."""
    from kinoscope.evaluation.analysis import curves_of, draw_curves

    curves = curves_of(run)
    if to is not None:
        with _into(to):
            to.mkdir(parents=True, exist_ok=True)
        draw_curves(curves, to / "curves.png")
        say(f"curves.png in {to}")
    width = max(len(name) for name in curves)
    for name, points in curves.items():
        if as_json:
            out(json.dumps({"figure": name, "steps": points}))
            continue
        values = [value for _, value in points]
        told = f"{values[0]:8.3f} at first, {values[-1]:8.3f} at last"
        out(f"{name:<{width}}  {told}, {min(values):8.3f} to {max(values):8.3f}")


@contextmanager
def _into(to: Path) -> Iterator[None]:
    """Says in one sentence that the disk refuses."""
    try:
        yield
    except OSError as error:
        raise SetupError(f"cannot write in {to} ({error.strerror}): choose another") from error


def _write(found: "list[Analysis]", to: Path) -> None:
    from kinoscope.durable import write_atomically
    from kinoscope.evaluation.analysis import draw_clouds, draw_margins

    told = {
        one.name: {name: asdict(metric) for name, metric in one.metrics().items()} for one in found
    }
    with _into(to):
        to.mkdir(parents=True, exist_ok=True)
        write_atomically(to / "analysis.json", json.dumps(told, indent=1) + "\n")
    draw_clouds(found, to / "space.png")
    names = "analysis.json, space.png"
    if all(one.margins is not None for one in found):
        draw_margins(found, to / "margins.png")
        names += ", margins.png"
    say(f"{names} in {to}")
