"""A stage of a training that a recipe goes on with: all of it, or nothing."""

from collections.abc import Callable, Mapping
from pathlib import Path

from kinoscope.training.recipe import Recipe, embedder_of, run, stage_folder
from kinoscope.training.teaching import Model


def trained(recipe: Recipe, root: Path, stage: int) -> Model:
    """The model that a stage came to; what is complete is only loaded.

    Ends the process where somebody stops the stage: the same command goes on with it.
    """
    report, model = run(recipe, root, stage, tell=print)
    if report.ended == "stopped":
        print(f"stopped after step {report.progress.step} of {recipe.loop.steps}")
        raise SystemExit(130)
    return model


def train_rows(rows: Mapping[str, Callable[[], Recipe]], folder: Path) -> None:
    """Trains the one stage of each, and saves its model where `model_of` says, if none is there."""
    for name, made in rows.items():
        model = model_of(folder, name)
        if model.exists():
            print(f"{name}: {model} is there")
            continue
        recipe = made()
        embedder_of(trained(recipe, folder / name, 1), recipe.sampling).save(model)


def model_of(folder: Path, row: str) -> Path:
    """The model of a row, as `kinoscope train --to FOLDER/ROW` saves it too."""
    return stage_folder(folder / row, 1) / "model"
