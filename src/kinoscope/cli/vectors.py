"""The command on one file's vector: embed."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kinoscope.cli.console import (
    AsJson,
    MaxSteps,
    ModelName,
    ModelOptions,
    ThinkingRule,
    app,
    load_options,
    out,
    thinking_of,
)

if TYPE_CHECKING:
    from kinoscope.thinking.thought import Thought


@app.command()
def embed(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A video or a picture.")],
    explain: Annotated[
        bool, typer.Option("--explain", help="Show how a model that thinks came to the vector.")
    ] = False,
    model: ModelName = None,
    options: ModelOptions = None,
    thinking: ThinkingRule = None,
    max_steps: MaxSteps = None,
    as_json: AsJson = False,
) -> None:
    """Print the vector of a whole file.

    With --explain: for each step the probability to halt there, if that was learned, the cosine of
    its vector with the one before; then what ended the steps, and the words that were read, if any.
    """
    from kinoscope.embedder import Embedder

    rules = thinking_of(thinking, max_steps)
    loading = load_options(model, options)
    embedder = Embedder.load(model or "concepts", options=loading, thinking=rules)
    if explain:
        (thought,) = embedder.think(file)
        _explain(file, thought, as_json)
        return
    vector = [float(f"{number:.6g}") for number in embedder.encode_document(file)]
    out(json.dumps({"path": str(file), "vector": vector}) if as_json else json.dumps(vector))


def _explain(file: Path, thought: "Thought", as_json: bool) -> None:
    rows = list(_steps(thought))
    if as_json:
        told = {"path": str(file), "steps": thought.steps, "reason": thought.reason}
        out(json.dumps({**told, "words": thought.words, "curve": rows}))
        return
    out(f"{'step':>4}  {'halting':>8}  {'cosine':>8}")
    for row in rows:
        halting, cosine = (_figure(row[name]) for name in ("halting", "cosine"))
        out(f"{row['step']:>4}  {halting:>8}  {cosine:>8}")
    words = f": {thought.words}" if thought.words else ""
    out(f"{thought.steps} steps, then {thought.reason}{words}")


def _steps(thought: "Thought") -> Iterator[dict[str, Any]]:
    """One row a step; what is not known is None."""
    for step in range(thought.steps):
        cosine = float(thought.curve_K[step])
        halting = float(thought.halting_K[step]) if len(thought.halting_K) else None
        yield {
            "step": step + 1,
            "halting": halting,
            "cosine": None if math.isnan(cosine) else cosine,
        }


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
