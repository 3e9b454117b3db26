"""Commands on the generated video world: world fetch, world make, world show."""

import json
from pathlib import Path
from typing import Annotated

import typer

from kinoscope.cli.console import AsJson, app, out, say
from kinoscope.errors import SetupError, UsageError

world_app = typer.Typer(
    help="Make videos of which everything is known, to train and test on.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(world_app, name="world")

SplitName = Annotated[
    str, typer.Option("--split", metavar="NAME", help="train, validation or test.")
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="The first seed.")]
Plain = Annotated[
    bool, typer.Option("--plain", help="Shapes and props alone: needs no download of sprites.")
]
Nouns = Annotated[
    str, typer.Option("--nouns", metavar="WHICH", help="held_out, or seen: those of the training.")
]
Seconds = Annotated[float, typer.Option("--seconds", metavar="S", help="Length of each video.")]


@world_app.command()
def fetch() -> None:
    """Fetch the sprites once: 15 MB by npm and 161 MB by apt-get, into the cache."""
    from kinoscope.training.world.assets import fetch as fetch_sprites

    say(f"sprites ready in {fetch_sprites(report=say)}")


@world_app.command()
def make(
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="A new or unfinished folder.")],
    split: SplitName = "train",
    count: Annotated[int, typer.Option("--n", metavar="N", help="How many videos.")] = 100,
    seed: Seed = 0,
    fps: Annotated[float, typer.Option("--fps", help="Frames a second.")] = 8.0,
    size: Annotated[str, typer.Option("--size", metavar="WxH", help="Pixels.")] = "260x260",
    seconds: Seconds = 5.0,
    workers: Annotated[
        int | None, typer.Option("--workers", metavar="N", help="Processes; default one a core.")
    ] = None,
    nouns: Nouns = "held_out",
    plain: Plain = False,
    partners: Annotated[
        bool, typer.Option("--partners", help="Also write reversals and targets of edits.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write videos and records.jsonl: captions, events, moments, questions, edits.

    Run it again after an interruption: it goes on where it was.
    """
    from kinoscope.training.world import assets
    from kinoscope.training.world.dataset import MakeConfig
    from kinoscope.training.world.dataset import make as make_world

    config = MakeConfig(
        split=split,
        count=count,
        first_seed=seed,
        fps=fps,
        size=_size(size),
        partners=partners,
        world=_config(seconds, nouns, plain=plain),
    )
    if not plain:
        assets.fetch(report=say)
    records = make_world(to, config, workers=workers, report=say)
    if as_json:
        for record in records:
            out(record.to_json())
    say(f"{len(records)} videos in {to}")


@world_app.command()
def show(
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="A PNG file to write.")],
    split: SplitName = "train",
    seed: Seed = 0,
    count: Annotated[int, typer.Option("--n", metavar="N", help="How many videos.")] = 8,
    seconds: Seconds = 5.0,
    nouns: Nouns = "held_out",
    plain: Plain = False,
    as_json: AsJson = False,
) -> None:
    """Write a contact sheet: eight frames a video under its caption."""
    from kinoscope.training.world import assets, sample
    from kinoscope.training.world.captions import caption
    from kinoscope.training.world.sheet import contact_sheet

    config = _config(seconds, nouns, plain=plain)
    if not plain:
        assets.fetch(report=say)
    if not 1 <= count <= 100:
        raise UsageError(f"{count} videos on a sheet: choose 1 to 100")
    scenes = [sample(split, seed + number, config) for number in range(count)]
    try:
        contact_sheet(scenes).save(to, "PNG")
    except OSError as error:
        raise SetupError(f"cannot write {to}: {error.strerror or error}; choose another") from error
    for scene in scenes:
        text = caption(scene)
        out(json.dumps({"seed": scene.seed, "caption": text}) if as_json else text)


def _config(seconds: float, nouns: str, *, plain: bool):  # type: ignore[no-untyped-def]
    from kinoscope.training.world import WorldConfig

    sprites = () if plain else ("photographed", "drawn")
    return WorldConfig(duration_s=seconds, nouns=nouns, sprites=sprites)  # type: ignore[arg-type]


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise UsageError(f"--size {text!r}: write WxH, such as 260x260")
    return int(width), int(height)
