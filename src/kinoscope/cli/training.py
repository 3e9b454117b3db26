"""Commands that train: train."""

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kinoscope.cli.console import AsJson, app, clock, out, say
from kinoscope.errors import UsageError

if TYPE_CHECKING:
    from kinoscope.training.journal import Record

_EVERY_S = 10.0


@app.command()
def train(
    recipe: Annotated[
        Path, typer.Argument(metavar="RECIPE", help="A Python file with recipe(stage).")
    ],
    stage: Annotated[int, typer.Option("--stage", metavar="N", help="Which stage.")] = 1,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="DIR", help="Folder of the run; default runs/RECIPE."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train a stage of a recipe.

    Run it again after an interruption: it goes on where it was. A stage begins with the weights of
    the one before. Journal, loss plot, checkpoints and, at its end, the model are in DIR/stage-N;
    the model can be given to --model. Several processes share each batch under torchrun -m
    kinoscope train. Needs kinoscope[train].
    """
    from kinoscope.training.gather import join_launcher, process_number
    from kinoscope.training.recipe import embedder_of, load_recipe, run, stage_folder

    chosen = load_recipe(recipe, stage)
    root = to or Path("runs") / recipe.stem
    model = stage_folder(root, stage) / "model"
    if model.exists():
        raise UsageError(f"{model} is there: the stage is done; delete it to write the model anew")
    join_launcher()
    first = process_number() == 0
    report, trained = run(
        chosen,
        root,
        stage,
        progress=_teller(chosen.loop.steps, as_json=as_json) if first else None,
        tell=say if first else lambda _line: None,
    )
    if not first:
        return
    done = report.progress.step
    if report.ended == "stopped":
        say(f"stopped after step {done} of {chosen.loop.steps}; run it again to go on")
        raise typer.Exit(130)
    embedder_of(trained, chosen.sampling).save(model)
    say(f"{report.ended} after step {done}; model in {model}")


def _teller(steps: int, *, as_json: bool) -> "Callable[[Record], None]":
    """Says how far a run is, every ten seconds; each step's record as JSON if asked for."""
    began_s, told_s, first = 0.0, -math.inf, 0

    def tell(record: "Record") -> None:
        nonlocal began_s, told_s, first
        step, now_s = int(record["step"] or 0), time.monotonic()
        if as_json:
            out(json.dumps(record))
        if not first:  # what was before it, such as vision features, tells nothing of the rest
            began_s, first = now_s, step
        if now_s - told_s < _EVERY_S and step < steps:
            return
        told_s = now_s
        losses = " ".join(
            f"{name.partition('/')[2] or name} {value:.3f}"
            for name, value in record.items()
            if name.startswith(("loss", "validate/"))
        )
        left = ""
        if step > first:
            left = f"  {clock((now_s - began_s) / (step - first) * (steps - step))} left"
        say(f"step {step}/{steps}  {losses}{left}")

    return tell
