"""The command that takes a moment out of a video: cut."""

import json
from pathlib import Path
from typing import Annotated

import typer

from kinoscope.cli.console import AsJson, app, out
from kinoscope.errors import UsageError


@app.command()
def cut(
    piece: Annotated[
        str, typer.Argument(metavar="FILE@A-B", help="A video and its seconds, film.mp4@12-17.")
    ],
    to: Annotated[
        Path, typer.Option("--to", metavar="FILE.mp4", help="What to write; it must not exist.")
    ],
    as_json: AsJson = False,
) -> None:
    """Write a moment of a video as a file of its own.

    Packets are copied, so that no pixel changes and it is quick. What an MP4 cannot hold is encoded
    anew, without sound.
    """
    from kinoscope.cutting import cut as cut_out
    from kinoscope.documents import Excerpt, file_or_piece

    named = file_or_piece(piece)
    if not isinstance(named, Excerpt):
        raise UsageError(f"{piece}: say which seconds, such as {piece}@12-17")
    how = cut_out(named.path, named.span, to)
    fields = {"path": str(to), "source": str(named.path), "how": how}
    out(json.dumps(fields) if as_json else f"{to}  {how}")
