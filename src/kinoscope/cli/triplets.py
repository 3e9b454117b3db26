"""Commands on text triplets: triplets make."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kinoscope.cli.console import AsJson, app, out, say
from kinoscope.errors import UsageError

if TYPE_CHECKING:
    from kinoscope.training.triplets import Mixed, Triplet
    from kinoscope.training.triplets.overlap import Overlap

triplets_app = typer.Typer(
    help="Make sentences that train a model on text alone.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(triplets_app, name="triplets")


@triplets_app.callback()
def triplets() -> None:
    """Make sentences that train a model on text alone."""


@triplets_app.command()
def make(
    mix: Annotated[
        Path, typer.Option("--mix", metavar="FILE", help="A Python file with mix(split).")
    ],
    split: Annotated[
        str, typer.Option("--split", metavar="NAME", help="train, validation or test.")
    ] = "train",
    samples: Annotated[
        int, typer.Option("--samples", metavar="N", help="How many to show of each part.")
    ] = 2,
    to: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="A .jsonl or .csv to write.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Draw the triplets of a mix: anchor, positive, hard negative.

    Shows how many of each part come from which source, samples, and what the sentences share with
    the texts of evaluations that the mix names.
    """
    from kinoscope.training.triplets import load_mix, mixed, write_triplets

    if not 0 <= samples <= 100:
        raise UsageError(f"--samples {samples}: choose 0 to 100")
    chosen = load_mix(mix, split)
    found = mixed(chosen)
    for source in found.sources:
        overlaps = ", ".join(source.overlaps) or "no benchmark"
        say(f"{source.name}: overlapping {overlaps}; {source.problems.describe()}")
    shared = {name: found.overlap(texts()) for name, texts in chosen.evaluated.items()}
    _show(found, shared, samples, as_json=as_json)
    if to is not None:
        write_triplets(to, found.triplets)
        say(f"{len(found.triplets)} triplets in {to}")


def _show(found: "Mixed", shared: "dict[str, Overlap]", samples: int, *, as_json: bool) -> None:
    shown = [one for part in found.counts for one in _first(found, part, samples)]
    if as_json:
        for (part, source), count in found.given.items():
            out(json.dumps({"part": part, "source": source, "count": count}))
        for triplet in shown:
            out(json.dumps({"sample": asdict(triplet)}))
        for name, common in shared.items():
            out(json.dumps({"evaluation": name, **asdict(common)}))
        return
    for (part, source), count in found.given.items():
        out(f"{part:<10} {count:>7}  {source}")
    for triplet in shown:
        _show_one(triplet)
    out("")
    for name, common in shared.items():
        out(f"overlap with {name}: {common}")


def _show_one(triplet: "Triplet") -> None:
    out(f"\n{triplet.part}: {triplet.why}")
    texts = {
        "anchor": triplet.anchor,
        "edit": triplet.edit,
        "right": triplet.positive,
        "wrong": triplet.negative,
    }
    for name, text in texts.items():
        if text:
            out(f"  {name:<7} {text}")


def _first(found: "Mixed", part: str, count: int) -> "list[Triplet]":
    return [triplet for triplet in found.triplets if triplet.part == part][:count]
