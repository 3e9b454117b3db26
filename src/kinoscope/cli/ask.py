"""The command that answers in words, with file and time: ask, about one video or a library."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kinoscope.cli.console import (
    AsJson,
    IndexFolder,
    ModelName,
    ModelOptions,
    app,
    clock,
    index_folder,
    index_or_model,
    load_options,
    out,
    say,
    short,
)
from kinoscope.cli.looking import (
    CalibrationFile,
    Folder,
    Matching,
    MaxDuration,
    MinDuration,
    Name,
    Rerank,
    Since,
    Sure,
    Threshold,
    Until,
    filters_of,
    hit_fields,
    lines,
)
from kinoscope.errors import UsageError

if TYPE_CHECKING:
    from kinoscope.answer import Answer, AskOptions
    from kinoscope.embedder import Embedder
    from kinoscope.filters import Filters
    from kinoscope.index.handle import Index


First = Annotated[
    str,
    typer.Argument(
        metavar="VIDEO|QUESTION", help="A file, or its seconds FILE@A-B; else the question itself."
    ),
]
Second = Annotated[
    str | None,
    typer.Argument(metavar="QUESTION", help="What is asked; - reads one a line from stdin."),
]
Find = Annotated[
    str | None,
    typer.Option("--find", metavar="TEXT", help="What to look for, if not the question."),
]
Choices = Annotated[
    list[str] | None,
    typer.Option("--choices", metavar="ANSWER", help="An answer to choose from; repeat it."),
]
Count = Annotated[
    int | None,
    typer.Option("-k", help="How many moments; default 3, or the whole of a short VIDEO."),
]
Around = Annotated[float, typer.Option(metavar="S", help="Show S seconds more on both sides.")]
MaxTokens = Annotated[int, typer.Option(metavar="N", help="Where an answer is cut off.")]


@app.command()
def ask(
    first: First,
    second: Second = None,
    find: Find = None,
    choices: Choices = None,
    index: IndexFolder = None,
    k: Count = None,
    around: Around = 0.0,
    max_tokens: MaxTokens = 64,
    threshold: Threshold = None,
    folder: Folder = None,
    name: Name = None,
    since: Since = None,
    until: Until = None,
    min_duration: MinDuration = None,
    max_duration: MaxDuration = None,
    rerank: Rerank = None,
    calibration: CalibrationFile = None,
    sure: Sure = False,
    model: ModelName = None,
    options: ModelOptions = None,
    as_json: AsJson = False,
) -> None:
    """Answer a question about videos in words, with the file and the seconds of each answer.

    Of a library, the moments that fit the question best are asked, each by itself, best first. Each
    answer has the mean log-likelihood of its tokens before it: 0 is as sure as the model can be.
    Needs a multimodal LLM, such as mini. Without an index, or with --model alone, a VIDEO is asked
    about by that model.
    """
    from kinoscope.answer import MOMENTS, AskOptions

    video, question = (None, first) if second is None else (first, second)
    how = AskOptions(
        choices=tuple(choices or ()), find=find, around_s=around, max_new_tokens=max_tokens
    )
    filters = filters_of(folder, name, (since, until), (min_duration, max_duration))
    matching = Matching.checked(rerank, calibration, sure)
    loading = load_options(model, options)
    asked = _questions(question)
    if video is not None:
        _check_library_alone(filters, threshold, matching)
        source = index_or_model(index, model, loading)
        for one in asked:
            _print(one, _about(source, video, one, k, how), as_json, question)
        return
    from kinoscope.index.handle import Index

    library = Index.open(index_folder(index), model=model, options=loading)
    wanted = _Wanted(MOMENTS if k is None else k, filters, threshold, matching)
    for one in asked:
        _print(one, wanted.answers(library, one, how), as_json, question)


def _questions(question: str) -> "Iterator[str]":
    """One question, or one a line of stdin; what is wrong with one is said before all work."""
    from kinoscope.answer import check_question

    return lines() if question == "-" else iter([check_question(question)])


def _check_library_alone(filters: "Filters", threshold: float | None, matching: Matching) -> None:
    from kinoscope.filters import EVERYTHING

    if filters != EVERYTHING or threshold is not None or matching.top:
        raise UsageError(
            "filters, --threshold and --rerank choose among a library's moments: leave them or the"
            " video out"
        )


def _about(
    source: "Embedder | Index", video: str, question: str, k: int | None, how: "AskOptions"
) -> "list[Answer]":
    from kinoscope.answer import ask_video
    from kinoscope.documents import file_or_piece

    named = file_or_piece(video)
    return ask_video(source, named, question, k=k, options=how)


@dataclass(frozen=True)
class _Wanted:
    """What is asked of a library, whatever the question."""

    k: int
    filters: "Filters"
    threshold: float | None
    matching: Matching

    def answers(self, library: "Index", question: str, how: "AskOptions") -> "list[Answer]":
        """From the moments that are found, in their order."""
        from kinoscope.answer import ask_hits, check_question
        from kinoscope.backbones.likelihood import require_speaker
        from kinoscope.retrieval import search

        check_question(question)
        require_speaker(library.embedder.backbone)
        text, looked_at = how.find or question, max(self.k, self.matching.top)
        filters, threshold = self.filters, self.threshold
        hits = search(library, text, k=looked_at, filters=filters, threshold=threshold)
        return ask_hits(
            library, self.matching.ranked(library, hits, text)[: self.k], question, options=how
        )


def _print(question: str, answers: "list[Answer]", as_json: bool, asked: str) -> None:
    if asked == "-" and not as_json:
        out(question)
    for answer in answers:
        if as_json:
            out(json.dumps({"question": question, **_fields(answer)}))
        else:
            place = f"{clock(answer.span.start_s)}-{clock(answer.span.end_s)}"
            line = f"{answer.rank:>3}  {answer.log_likelihood:+.2f}  {_one_line(answer)}"
            out(f"{line}  [{short(answer.path)} {place}]")
    if not answers:
        say(f"nothing matches {question!r}")


def _one_line(answer: "Answer") -> str:
    """The words without line breaks, and nothing that a terminal would obey."""
    shown = "".join(letter if letter.isprintable() else " " for letter in answer.text)
    return " ".join(shown.split()) + ("" if answer.complete else " ...")


def _fields(answer: "Answer") -> dict[str, Any]:
    own = {
        "rank": answer.rank,
        "answer": answer.text,
        "path": str(answer.path),
        "start_s": answer.span.start_s,
        "end_s": answer.span.end_s,
        "log_likelihood": answer.log_likelihood,
        "complete": answer.complete,
        **({"shares": list(answer.shares)} if answer.shares else {}),
    }
    return own if answer.hit is None else {**own, **hit_fields(answer.hit), **own}
