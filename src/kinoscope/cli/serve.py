"""The command that serves a library over HTTP: serve."""

import os
import sys
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
    say,
)
from kinoscope.errors import UsageError

_INSTALL = "pip install 'kinoscope[server]'"
_TOKEN = "KINOSCOPE_TOKEN"
_SWITCH_S = 0.0005  # who takes requests, and refuses them, must not wait for those at work


Host = Annotated[str, typer.Option(help="Address to listen at; others need a token.")]
Port = Annotated[int, typer.Option(help="Port; 0 lets the system choose one.")]
Roots = Annotated[
    list[Path] | None,
    typer.Option("--root", metavar="DIR", help="Clients may index folders below; repeatable."),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file", metavar="FILE", help=f"Token for clients; default ${_TOKEN}, or none."
    ),
]
Names = Annotated[
    list[str] | None,
    typer.Option(
        "--name", metavar="HOST", help="Another name of this server, as a proxy's; repeatable."
    ),
]
CalibrationFile = Annotated[
    Path | None,
    typer.Option("--calibration", metavar="FILE", help="Of the model: gives probabilities."),
]
Rerank = Annotated[
    int, typer.Option("--rerank", metavar="N", help="The page ranks the best N hits anew.")
]
CacheFolder = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Where posters and previews are kept.")
]


@app.command()
def serve(
    index: IndexFolder = None,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    root: Roots = None,
    token_file: TokenFile = None,
    names: Names = None,
    calibration: CalibrationFile = None,
    rerank: Rerank = 0,
    cache: CacheFolder = None,
    model: ModelName = None,
    options: ModelOptions = None,
) -> None:
    """Serve a library: a page, REST and the OpenAI interface.

    Only this machine is answered, unless --host says otherwise. Ctrl-C ends what is at work first.
    With --root an index is made if there is none.
    """
    # requests are at work side by side: more threads for one product would wait for each other.
    # To be said before NumPy is imported
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.setswitchinterval(_SWITCH_S)
    from kinoscope.calibration import Calibration
    from kinoscope.index.handle import Index
    from kinoscope.libraries import imported

    for name in ("fastapi", "uvicorn", "prometheus_client", "python_multipart", "jinja2"):
        imported(name, _INSTALL)
    from kinoscope.server.app import serve as run
    from kinoscope.server.config import ServeConfig

    config = ServeConfig(
        host=host,
        port=port,
        token=_token(token_file),
        hosts=tuple(names or ()),
        roots=tuple(root or ()),
        calibration=None if calibration is None else Calibration.read(calibration),
        rerank=rerank,
        cache=cache,
    )
    library = Index.open(
        index_folder(index), create=bool(root), model=model, options=load_options(model, options)
    )
    name = library.store.place.name
    run(library, config, ready=lambda address: say(f"serving {name} at {address}"))


def _token(file: Path | None) -> str | None:
    """From a file or the environment: an argument would be seen by all users of the machine."""
    if file is None:
        return os.environ.get(_TOKEN) or None
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--token-file {file} cannot be read ({error})") from None
