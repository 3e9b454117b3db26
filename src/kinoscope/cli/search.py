"""The command that asks a library: search, by words, pictures, pieces of video and edits."""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kinoscope.cli.console import (
    AsJson,
    IndexFolder,
    MaxSteps,
    ModelName,
    ModelOptions,
    ThinkingRule,
    app,
    clock,
    index_folder,
    load_options,
    out,
    say,
    short,
    thinking_of,
)
from kinoscope.errors import UsageError

if TYPE_CHECKING:
    from kinoscope.calibration import Calibration
    from kinoscope.filters import Filters
    from kinoscope.grouping import Group
    from kinoscope.index.handle import Index
    from kinoscope.query import Query
    from kinoscope.types import Hit

Text = Annotated[
    str | None, typer.Argument(help="What to find; - reads one query a line from stdin.")
]
Video = Annotated[
    str | None,
    typer.Option("--video", metavar="FILE[@A-B]", help="Find what looks like a video's seconds."),
]
Image = Annotated[
    str | None, typer.Option("--image", metavar="FILE", help="Find what looks like a picture.")
]
Edit = Annotated[
    str | None,
    typer.Option("--edit", metavar="TEXT", help="What is other than in --video or --image."),
]
Like = Annotated[
    list[str] | None,
    typer.Option(
        "--like", metavar="FILE[@A-B]", help="More like this, alone or beside a text; repeatable."
    ),
]
Not = Annotated[
    list[str] | None,
    typer.Option("--not", metavar="TEXT", help="Rank down what shows this; repeatable."),
]
Until = Annotated[str | None, typer.Option(help="Only files changed until then, 2026-01-31 or 7d.")]

Count = Annotated[int, typer.Option("-k", help="How many moments.")]
Threshold = Annotated[
    float | None,
    typer.Option(help="Least score; 0 is the library's average, 0.1 clearly related."),
]
Folder = Annotated[Path | None, typer.Option(help="Only videos under this folder.")]
Name = Annotated[str | None, typer.Option(help="Only files of such names, '*.mov' or '*/2025/*'.")]
Since = Annotated[str | None, typer.Option(help="Only files changed since, 2026-01-31 or 7d.")]
MinDuration = Annotated[float | None, typer.Option(help="Only videos of at least S seconds.")]
MaxDuration = Annotated[float | None, typer.Option(help="Only videos of at most S seconds.")]
Rerank = Annotated[
    int | None,
    typer.Option("--rerank", metavar="N", help="Rank the best N anew by the model's yes and no."),
]
CalibrationFile = Annotated[
    Path | None,
    typer.Option("--calibration", metavar="FILE", help="Of --rerank: gives probabilities."),
]
Sure = Annotated[
    bool, typer.Option("--sure", help="Show only good matches, maybe none; needs a calibration.")
]
GroupBy = Annotated[
    str | None,
    typer.Option("--group", metavar="BY", help="One hit each video, or look: of what looks alike."),
]
Sheet = Annotated[
    Path | None, typer.Option("--sheet", metavar="FILE.png", help="Draw a frame of each hit.")
]
Opened = Annotated[bool, typer.Option("--open", help="Play the first hit, from its moment on.")]
Videos = Annotated[bool, typer.Option("--videos", help="Rank whole videos, not moments.")]


@app.command()
def search(
    query: Text = None,
    video: Video = None,
    image: Image = None,
    edit: Edit = None,
    like: Like = None,
    excluded: Not = None,
    index: IndexFolder = None,
    k: Count = 10,
    threshold: Threshold = None,
    folder: Folder = None,
    name: Name = None,
    since: Since = None,
    until: Until = None,
    min_duration: MinDuration = None,
    max_duration: MaxDuration = None,
    videos: Videos = False,
    rerank: Rerank = None,
    calibration: CalibrationFile = None,
    sure: Sure = False,
    group: GroupBy = None,
    sheet: Sheet = None,
    opened: Opened = False,
    model: ModelName = None,
    options: ModelOptions = None,
    thinking: ThinkingRule = None,
    max_steps: MaxSteps = None,
    as_json: AsJson = False,
) -> None:
    """Find moments that a text describes, or that look like a video, a piece of it or a picture.

    Prints rank, score, time span and file. A score of 0 is no closer than an average video.
    The model and its thinking are those of the index; --model says where it lies now.
    --rerank is for a multimodal LLM, and off by default: a small one may do harm.
    """
    from kinoscope.index.handle import Index

    filters = _filters(folder, name, (since, until), (min_duration, max_duration))
    loading = load_options(model, options)
    rules = thinking_of(thinking, max_steps)
    asked = _queries(query, (video, image, edit), like or [], excluded or [])
    matching = _Matching.checked(rerank, calibration, sure)
    after = _After.checked(sheet, opened, many=query == "-")
    looked_at = max(k, matching.top) if matching.top else k
    scale = "videos" if videos else "moments"
    wanted = _Wanted(filters, threshold, scale, group, looked_at)
    library = Index.open(index_folder(index), model=model, options=loading, thinking=rules)
    for one in asked:
        groups = matching.of(library, one, wanted.of(library, one))[:k]
        _print_groups(one, groups, as_json, titled=query == "-")
        after.of([each.best for each in groups])


def _filters(
    folder: Path | None,
    name: str | None,
    when: tuple[str | None, str | None],
    lengths_s: tuple[float | None, float | None],
) -> "Filters":
    from kinoscope.filters import Filters

    return Filters(
        folder=folder,
        name=name,
        since=_parse_time("--since", when[0]),
        until=_parse_time("--until", when[1]),
        min_duration_s=lengths_s[0],
        max_duration_s=lengths_s[1],
    )


@dataclass(frozen=True)
class _Matching:
    """--rerank, --calibration and --sure; `top` is 0 without them."""

    top: int
    calibration: "Calibration | None"
    sure: bool

    @classmethod
    def checked(cls, top: int | None, file: Path | None, sure: bool) -> "_Matching":
        """Says what does not go together before any index is opened."""
        from kinoscope.calibration import Calibration

        if top is None and (file is not None or sure):
            raise UsageError("--calibration and --sure are of --rerank N: say how many hits")
        if top is not None and top < 1:
            raise UsageError(f"--rerank {top}: re-rank at least 1 hit")
        if sure and file is None:
            raise UsageError("--sure needs probabilities: name a file with --calibration")
        return cls(top or 0, None if file is None else Calibration.read(file), sure)

    def of(self, library: "Index", query: "Query", groups: "list[Group]") -> "list[Group]":
        """Groups by their best hits ranked anew, or as they are."""
        if not self.top:
            return groups
        from kinoscope.grouping import Group
        from kinoscope.matcher import Matcher

        if query.text is None or query.video is not None or query.image is not None:
            raise UsageError("--rerank asks the model about a text: give one to look for")
        matcher = Matcher(library.embedder, self.calibration)
        hits = matcher.rerank([each.best for each in groups], query.text, top=self.top)
        others = {(each.best.path, each.best.span): each.others for each in groups}
        kept = matcher.good(hits) if self.sure else hits
        return [Group(hit, others[hit.path, hit.span]) for hit in kept]


@dataclass(frozen=True)
class _Wanted:
    """What is asked of the library, whatever the query."""

    filters: "Filters"
    threshold: float | None
    scale: str
    group: str | None
    k: int

    def of(self, library: "Index", query: "Query") -> "list[Group]":
        """Hits, each a group of its own unless --group."""
        from kinoscope.grouping import Group, search_groups
        from kinoscope.retrieval import search as find

        where: dict[str, Any] = {"filters": self.filters, "threshold": self.threshold, "k": self.k}
        if self.group is None:
            where["scale"] = self.scale
            return [Group(hit) for hit in find(library, query, **where)]
        if self.scale == "videos":
            raise UsageError("--group is for moments: leave --videos or --group out")
        where["by"] = self.group
        return search_groups(library, query, **where)


@dataclass(frozen=True)
class _After:
    """--sheet and --open: what happens with the hits once they are printed."""

    sheet: Path | None
    opened: bool

    @classmethod
    def checked(cls, sheet: Path | None, opened: bool, *, many: bool) -> "_After":
        """Says what does not go together before any index is opened."""
        if many and (sheet is not None or opened):
            raise UsageError("--sheet and --open are for a single query, not for those of stdin")
        if sheet is not None:
            from kinoscope.sheets import check_picture_name

            check_picture_name(sheet)
        return cls(sheet, opened)

    def of(self, hits: "list[Hit]") -> None:
        """Draws, and opens the first hit in what plays videos in a browser's window."""
        if hits and self.sheet is not None:
            from kinoscope.sheets import draw_hits

            draw_hits(hits, self.sheet)
        if hits and self.opened:
            import webbrowser

            first = hits[0]
            place = f"{first.path.as_uri()}#t={first.span.start_s:g},{first.span.end_s:g}"
            if not webbrowser.open(place):
                say(f"nothing here can play {place}")


def _queries(
    text: str | None,
    shown: tuple[str | None, str | None, str | None],
    like: list[str],
    excluded: list[str],
) -> "Iterator[Query]":
    """One query, or one a line of stdin; `shown` are --video, --image and --edit.

    What is wrong with an option is said before any index is opened.
    """
    from kinoscope.documents import file_or_piece
    from kinoscope.query import Query

    video, image, edit = shown
    if edit is not None and video is None and image is None:
        raise UsageError(f"--edit {edit!r}: say what it is an edit of, with --video or --image")
    if text is not None and (video is not None or image is not None):
        raise UsageError(
            f"{text!r} beside a video or picture: write --edit, or --like for that file"
        )
    fields: dict[str, Any] = {
        "video": None if video is None else file_or_piece(video),
        "image": None if image is None else Path(image),
        "like": tuple(map(file_or_piece, like)),
        "excluded": tuple(excluded),
    }
    if text != "-":
        return iter([Query(text=edit if text is None else text, **fields)])
    return (Query(text=line, **fields) for line in _lines())


def _lines() -> Iterator[str]:
    if sys.stdin is None:
        raise UsageError("no input: `-` reads queries from stdin, which is closed")
    yield from (line.strip() for line in sys.stdin if line.strip())


def _parse_time(option: str, text: str | None) -> float | None:
    """`7d` or an ISO date (local time) -> unix seconds, at least 0."""
    if text is None:
        return None
    try:
        if re.fullmatch(r"\d+(\.\d+)?d", text):
            return max(0.0, (datetime.now(UTC) - timedelta(days=float(text[:-1]))).timestamp())
        return max(0.0, datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError):
        raise UsageError(
            f"{option} {text!r}: write a date like 2026-01-31, or days like 7d"
        ) from None


def _print_groups(query: "Query", groups: "list[Group]", as_json: bool, *, titled: bool) -> None:
    if titled and not as_json:
        out(query)
    for group in groups:
        hit = group.best
        if as_json:
            penalty = {"penalty": hit.penalty} if query.excluded else {}
            behind = [_hit_fields(each) for each in group.others]
            more = {**penalty, **({"others": behind} if behind else {})}
            out(json.dumps({"query": str(query), **_hit_fields(hit), **more}))
        else:
            span = f"{clock(hit.span.start_s)}-{clock(hit.span.end_s)}"
            chance = "" if hit.probability is None else f"{hit.probability:4.0%}  "
            copies = f"  (+{len(hit.copies)} copies)" if hit.copies else ""
            others = f"  (+{len(group.others)} more)" if group.others else ""
            line = f"{hit.rank:>3}  {hit.score:+.3f}  {chance}{span:<15}  {short(hit.path)}"
            out(f"{line}{copies}{others}")
    if not groups:
        say(f"nothing matches {str(query)!r}")


def _hit_fields(hit: "Hit") -> dict[str, Any]:
    return {
        "rank": hit.rank,
        "path": str(hit.path),
        "start_s": hit.span.start_s,
        "end_s": hit.span.end_s,
        "score": hit.score,
        "cosine": hit.cosine,
        "copies": [str(path) for path in hit.copies],
        **({"steps": hit.steps, "reason": hit.reason} if hit.steps else {}),
        **({} if hit.probability is None else {"probability": hit.probability}),
    }
