"""The command that looks inside one video: moments."""

import json
from pathlib import Path
from typing import Annotated

import typer

from kinoscope.cli.console import (
    AsJson,
    IndexFolder,
    ModelName,
    ModelOptions,
    app,
    clock,
    index_or_model,
    load_options,
    out,
)


@app.command()
def moments(
    video: Annotated[Path, typer.Argument(metavar="VIDEO", help="A file, indexed or not.")],
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What happens there.")],
    index: IndexFolder = None,
    k: Annotated[int, typer.Option("-k", help="How many moments at most.")] = 3,
    refine: Annotated[
        bool, typer.Option(help="Embed the best moments by themselves, and rank them by that.")
    ] = True,
    picture: Annotated[
        Path | None,
        typer.Option("--picture", metavar="FILE.png", help="Draw curve, frames and moments."),
    ] = None,
    model: ModelName = None,
    options: ModelOptions = None,
    as_json: AsJson = False,
) -> None:
    """Find when in one video something happens.

    Prints rank, how far the moment's score lies above the rest of the video, and its time span.
    A video that the index holds is not decoded again but for the best moments; any other is
    embedded now. Without an index, or with --model alone, by that model.
    """
    from kinoscope.moments import find_moments
    from kinoscope.sheets import check_picture_name, draw_moments

    if picture is not None:
        check_picture_name(picture)
    asked = index_or_model(index, model, load_options(model, options))
    found = find_moments(asked, video, {"text": text}, k=k, refine=refine)
    for moment in found.moments:
        span = f"{clock(moment.span.start_s)}-{clock(moment.span.end_s)}"
        fields = {
            "query": text,
            "path": str(video),
            "rank": moment.rank,
            "start_s": moment.span.start_s,
            "end_s": moment.span.end_s,
            "score": moment.score,
            "cosine": moment.cosine,
        }
        out(json.dumps(fields) if as_json else f"{moment.rank:>3}  {moment.score:+.3f}  {span}")
    if picture is not None:
        draw_moments(video, found, f"{video.name}: {text}", picture)
