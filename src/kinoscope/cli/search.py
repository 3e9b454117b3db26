"""The command that asks a library: search, by words, pictures, pieces of video and edits."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
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

Count = Annotated[int, typer.Option("-k", help="How many moments.")]
GroupBy = Annotated[
    str | None,
    typer.Option("--group", metavar="BY", help="One hit each video, or look: of what looks alike."),
]
Sheet = Annotated[
    Path | None, typer.Option("--sheet", metavar="FILE.png", help="Draw a frame of each hit.")
]
Opened = Annotated[bool, typer.Option("--open", help="Play the first hit, from its moment on.")]
Through = Annotated[
    str | None,
    typer.Option("--qdrant", metavar="URL", help="Ask a server that `index export` has filled."),
]
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
    qdrant: Through = None,
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

    filters = filters_of(folder, name, (since, until), (min_duration, max_duration))
    loading = load_options(model, options)
    rules = thinking_of(thinking, max_steps)
    asked = _queries(query, (video, image, edit), like or [], excluded or [])
    matching = Matching.checked(rerank, calibration, sure)
    after = _After.checked(sheet, opened, many=query == "-")
    looked_at = max(k, matching.top) if matching.top else k
    scale = "videos" if videos else "moments"
    wanted = _Wanted(filters, threshold, scale, group, looked_at)
    library = Index.open(index_folder(index), model=model, options=loading, thinking=rules)
    library = library if qdrant is None else _through(library, qdrant)
    for one in asked:
        groups = _matched(matching, library, one, wanted.of(library, one))[:k]
        _print_groups(one, groups, as_json, titled=query == "-")
        after.of([each.best for each in groups])


def _through(library: "Index", url: str) -> "Index":
    from kinoscope.index.qdrant import Qdrant

    return library.through(Qdrant.at(url))


def _matched(
    matching: Matching, library: "Index", query: "Query", groups: "list[Group]"
) -> "list[Group]":
    """Groups by their best hits ranked anew, or as they are."""
    from kinoscope.grouping import Group

    text = query.text if query.video is None and query.image is None else None
    others = {(each.best.path, each.best.span): each.others for each in groups}
    hits = matching.ranked(library, [each.best for each in groups], text)
    return [Group(hit, others[hit.path, hit.span]) for hit in hits]


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
    return (Query(text=line, **fields) for line in lines())


def _print_groups(query: "Query", groups: "list[Group]", as_json: bool, *, titled: bool) -> None:
    if titled and not as_json:
        out(query)
    for group in groups:
        hit = group.best
        if as_json:
            penalty = {"penalty": hit.penalty} if query.excluded else {}
            behind = [hit_fields(each) for each in group.others]
            more = {**penalty, **({"others": behind} if behind else {})}
            out(json.dumps({"query": str(query), **hit_fields(hit), **more}))
        else:
            span = f"{clock(hit.span.start_s)}-{clock(hit.span.end_s)}"
            chance = "" if hit.probability is None else f"{hit.probability:4.0%}  "
            copies = f"  (+{len(hit.copies)} copies)" if hit.copies else ""
            others = f"  (+{len(group.others)} more)" if group.others else ""
            line = f"{hit.rank:>3}  {hit.score:+.3f}  {chance}{span:<15}  {short(hit.path)}"
            out(f"{line}{copies}{others}")
    if not groups:
        say(f"nothing matches {str(query)!r}")
