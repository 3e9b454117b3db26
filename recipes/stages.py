"""A stage of a training that a recipe goes on with: all of it, or nothing."""

from pathlib import Path

from kinoscope.training.recipe import Recipe, run
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
