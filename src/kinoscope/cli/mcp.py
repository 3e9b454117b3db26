"""The command that opens a library to agents: mcp."""

from pathlib import Path
from typing import Annotated

import typer

from kinoscope.cli.console import (
    IndexFolder,
    ModelName,
    ModelOptions,
    app,
    index_folder,
    load_options,
)


@app.command()
def mcp(
    index: IndexFolder = None,
    cuts: Annotated[
        Path | None,
        typer.Option("--cuts", metavar="DIR", help="Let agents cut moments out, into this folder."),
    ] = None,
    model: ModelName = None,
    options: ModelOptions = None,
) -> None:
    """Serve an index to agents, by the Model Context Protocol over stdin and stdout.

    The tools are search, moments, ask and, with --cuts, cut. They read indexed videos and nothing
    else, and write into that folder alone. An agent's program starts this command by itself.
    """
    from kinoscope.index.handle import Index
    from kinoscope.libraries import imported

    imported("mcp", "pip install 'kinoscope[mcp]'")
    from kinoscope.agents.server import mcp_server
    from kinoscope.agents.tools import Tools

    library = Index.open(index_folder(index), model=model, options=load_options(model, options))
    mcp_server(Tools(library, cuts)).run("stdio")
