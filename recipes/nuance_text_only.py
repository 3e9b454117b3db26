"""Text alone on the untrained `mini`, as TARA does it: `kinoscope train` reads this file.

    kinoscope train recipes/nuance_text_only.py --to runs/nuance_text_only

The language model is SmolLM2's beginning as it came, the connector adds nothing yet: a clip is the
names of what its frames show. No video is seen in training, and all but the language model stays
bit for bit. The ablation's other rows are runs of their own from the same beginning:

    python -m recipes.nuance_text_only train runs/nuance_text_only [--rows core,time]
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kinoscope.backbones.mini import SAMPLING
from kinoscope.errors import UsageError
from kinoscope.training.nuance import NuanceConfig
from kinoscope.training.recipe import Recipe, embedder_of, run, stage_folder
from kinoscope.training.triplets import PARTS, Part
from recipes.mini import tower, untrained
from recipes.nuance_mini import loop, validate
from recipes.nuance_mix import mix

TIME: tuple[Part, ...] = ("time", "direction", "state", "adverb", "order")
ROWS: dict[str, tuple[Part, ...]] = {
    "all": PARTS,
    "core": ("core",),
    "time": ("core", *TIME),
    "negation": ("core", "negation"),
    "composed": ("core", "composed"),
}
"""Parts of the mix by row; each row has as many steps."""


def recipe(stage: int) -> Recipe:
    """Its one stage, 1, with all parts."""
    if stage != 1:
        raise UsageError(
            f"stage {stage}: choose 1; other rows of the ablation are trained by python -m"
            " recipes.nuance_text_only train"
        )
    return row("all")


def row(name: str) -> Recipe:
    """A row of the ablation: some parts of the mix, from the untrained model on."""
    parts = ROWS[name]
    known = mix("train")
    return Recipe(
        model=untrained,
        sampling=SAMPLING,
        loop=loop(lr=3e-4),
        mix=replace(known, counts={part: known.counts[part] for part in parts}),
        nuance=NuanceConfig(),
        validate=validate,
        tower=tower,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains rows of the ablation, each in a folder of its name."""
    parser = argparse.ArgumentParser(prog="python -m recipes.nuance_text_only")
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train")
    training.add_argument("folder", type=Path)
    training.add_argument("--rows", default=",".join(ROWS), help=", ".join(ROWS))
    asked = parser.parse_args(arguments)
    names = asked.rows.split(",")
    if foreign := [name for name in names if name not in ROWS]:
        raise UsageError(f"row {foreign[0]!r}: choose {', '.join(ROWS)}")
    for name in names:
        train_row(name, asked.folder / name)


def train_row(name: str, folder: Path) -> None:
    """Trains a row, or goes on with it, and saves its model in `folder/stage-1/model`."""
    model = stage_folder(folder, 1) / "model"
    if model.exists():
        print(f"{name}: {model} is there")
        return
    report, found = run(row(name), folder, 1, tell=print)
    if report.ended != "stopped":
        embedder_of(found, SAMPLING).save(model)


if __name__ == "__main__":
    main()
