"""The commands that read saved evaluations: report, export-run."""

from pathlib import Path
from typing import Annotated

import typer

from kinoscope.cli.console import app, out, say
from kinoscope.errors import UsageError


@app.command()
def report(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="FOLDER", help="Saved evaluations and analyses, at any depth."),
    ],
    to: Annotated[
        Path, typer.Option("--to", metavar="DIR", help="For report.md and report.html.")
    ] = Path("report"),
    videos: Annotated[
        Path | None,
        typer.Option("--videos", metavar="DIR", help="Videos by id: moments shown as frames."),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="MODEL", help="Test others against it; else the first."),
    ] = None,
) -> None:
    """Write saved evaluations as one page and one text.

    A table a benchmark with intervals, R@k curves, what was asked differently, paired permutation
    tests, figures of others apart from ours, spaces that analyze saved. The page needs no script
    and no other file. What cannot be read is named.
    """
    from kinoscope.evaluation.report import write_report
    from kinoscope.evaluation.report.blocks import shown

    text, page, found = write_report(folders, to, videos=videos, against=against, tell=say)
    rows = sum(len(rows) for rows in found.benchmarks.values())
    say(f"{rows} evaluations, {len(found.analyses)} analyses, {len(found.unread)} files left out")
    for why in found.unread.values():
        say(f"left out: {shown(why)}")
    out(text)
    out(page)


@app.command("export-run")
def export_run(
    result: Annotated[
        Path, typer.Argument(metavar="RESULT", help="The JSON of a saved evaluation.")
    ],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="For the files.")],
    form: Annotated[
        str, typer.Option("--format", metavar="NAME", help="Form of the judgements: trec or beir.")
    ] = "trec",
) -> None:
    """Write saved rankings for other tools.

    A TREC run (`qid Q0 docid rank score tag`, the first hundred of each query) and what is right,
    as TREC's qrels or BEIR's table. Other tools break ties in ways of their own.
    """
    from kinoscope.evaluation import exchange
    from kinoscope.evaluation.saved import read_evaluation

    known = next((each for each in exchange.FORMS if each == form), None)
    if known is None:
        raise UsageError(f"--format {form!r}: choose {' or '.join(exchange.FORMS)}")
    found = read_evaluation(result)
    for path in exchange.export_run(result, known, to, tag=found.folder):
        out(path)
