"""What all commands share: the app, errors as sentences, options by name, output."""

import io
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from kinoscope.clock import clock as clock
from kinoscope.errors import KinoscopeError, UsageError

if TYPE_CHECKING:
    from kinoscope.backbones.options import LoadOptions
    from kinoscope.embedder import Embedder
    from kinoscope.index.handle import Index
    from kinoscope.thinking.config import Thinking


class _TwoWords(TyperGroup):
    """Commands of one word, and of two beside them: `index FOLDER`, `index optimize`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the arguments begin with."""
        if " ".join(args[:2]) in self.commands:
            args = [" ".join(args[:2]), *args[2:]]
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=_TwoWords,
    help="Find the moment you describe in your own videos.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)

IndexFolder = Annotated[
    str | None,
    typer.Option(
        "--index",
        metavar="DIR",
        help="Index folder, or s3://BUCKET/NAME; default $KINOSCOPE_INDEX or your data folder.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line on stdout.")]
ModelName = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME", help="concepts, mini, a folder, a hub name, or a URL."),
]
ModelOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        metavar="NAME=VALUE",
        help="For the model, repeatable: dtype, device_map, adapter, layer, template, ...",
    ),
]
ThinkingRule = Annotated[
    str | None,
    typer.Option(
        "--thinking",
        metavar="RULE",
        help="Steps before a vector: none, fixed, converged, halt, eos; docs/thinking.md has more.",
    ),
]
MaxSteps = Annotated[
    int | None,
    typer.Option("--max-steps", metavar="N", help="Most steps of --thinking; default 8."),
]


def main() -> None:
    """Runs the command line; a user's error is one sentence on stderr and an exit code by kind."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):  # names and input need not be Unicode
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="surrogateescape")
    warnings.showwarning = lambda message, *_where: say(f"kinoscope: {message}")
    try:
        app()
    except KinoscopeError as error:
        say(f"kinoscope: {error}")
        sys.exit(error.exit_code)
    except OSError as error:  # a name too long, a folder without permission, a deleted current one
        say(f"kinoscope: {error.filename or 'input or output'}: {error.strerror or error}")
        sys.exit(UsageError.exit_code)


def load_options(model: str | None, options: list[str] | None) -> "LoadOptions | None":
    """`--option` pairs; a command never fetches a model, but for `setup`."""
    if model in (None, "concepts") and not options:
        return None
    from kinoscope.backbones.options import LoadOptions

    pairs = [text.partition("=") for text in options or ()]
    wrong = next((name for name, equals, _ in pairs if not equals), None)
    if wrong is not None:
        raise UsageError(f"--option {wrong!r}: write NAME=VALUE, such as dtype=bfloat16")
    return LoadOptions.from_strings(
        {"offline": "true", **{name: value for name, _, value in pairs}}
    )


def thinking_of(rule: str | None, max_steps: int | None) -> "Thinking | None":
    """`--thinking` and `--max-steps`; None where the model, or the index, decides."""
    from kinoscope.thinking.config import Thinking

    if rule is not None:
        return Thinking.parse(rule, max_steps=max_steps)
    if max_steps is not None:
        raise UsageError(f"--max-steps {max_steps}: say which steps with --thinking")
    return None


def out(line: object) -> None:
    """A line of results; ends quietly when the reader has left, as `head -1` does."""
    try:
        print(line, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None


def say(text: str) -> None:
    """A line for a person, on stderr."""
    print(text, file=sys.stderr, flush=True)


def index_folder(chosen: str | None) -> str:
    """The folder or address that was named, else that of the environment, else the user's."""
    chosen = chosen or os.environ.get("KINOSCOPE_INDEX")
    if chosen:
        return chosen
    import platformdirs

    return str(platformdirs.user_data_path("kinoscope", False) / "index")


def index_or_model(
    index: str | None, model: str | None, options: "LoadOptions | None"
) -> "Embedder | Index":
    """An index that is named, or is there while no model is; else the model."""
    from kinoscope.embedder import Embedder
    from kinoscope.index.handle import Index, is_index

    folder = index_folder(index)
    if index is not None or (model is None and is_index(folder)):
        return Index.open(folder, model=model, options=options)
    return Embedder.load(model or "concepts", options=options)


def short(path: Path) -> Path:
    """Relative to the current folder where it lies below."""
    try:
        here = Path.cwd()
    except FileNotFoundError:  # it was deleted
        return path
    return path.relative_to(here) if path.is_relative_to(here) else path
