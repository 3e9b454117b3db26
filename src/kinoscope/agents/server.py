"""The tools as a server of the Model Context Protocol, over stdin and stdout."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import PurePath
from threading import Lock
from typing import Annotated

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ToolError
from mcp.types import CallToolResult, ResourceLink, TextContent, ToolAnnotations
from pydantic import Field

from kinoscope import __version__
from kinoscope.agents.tools import (
    MOST_CUT_S,
    MOST_MOMENTS,
    Answered,
    Found,
    Piece,
    Place,
    Tools,
    Written,
)
from kinoscope.answer import MOST_BYTES
from kinoscope.clock import clock
from kinoscope.errors import KinoscopeError
from kinoscope.query import MOST

Result = Found | Answered | Written

INSTRUCTIONS = """A library of the user's own videos. `search` finds moments in all of them by a
description of what is seen, not by file names or speech; `moments` finds when something happens in
one; `ask` answers questions about what is seen. Times are seconds, half-open. A low score is a poor
match: say so rather than trust it. Links lead to a picture of each place."""

Words = Annotated[str, Field(min_length=1, max_length=MOST_BYTES)]
Video = Annotated[str, Field(description="`video` or `path` of a result of search")]
Count = Annotated[int, Field(ge=1, le=MOST_MOMENTS)]
Second = Annotated[float, Field(ge=0, allow_inf_nan=False)]

_READING = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_WRITING = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False
)


def mcp_server(tools: Tools) -> MCPServer:
    """A server of these tools; `cut` is one of them where there is a folder for cuts.

    One call is worked on at a time: a model does not get faster by being asked twice at once.
    """
    server: MCPServer = MCPServer(
        "kinoscope", version=__version__, instructions=INSTRUCTIONS, log_level="WARNING"
    )
    turn = _Turn()
    _add_finding(server, tools, turn)
    _add_asking(server, tools, turn)
    _add_pictures(server, tools, turn)
    if tools.cuts is not None:
        _add_cutting(server, tools, turn)
    return server


class _Turn:
    """Runs one piece of work at a time; a user's error is told to the agent as a sentence."""

    def __init__(self) -> None:
        self._lock = Lock()

    def tool(self, work: Callable[[], Result]) -> CallToolResult:
        """The result as typed fields, as text for clients that read no others, and as links."""
        with self._lock:
            try:
                result = work()
            except KinoscopeError as error:
                raise ToolError(str(error)) from error
        fields = json.loads(json.dumps(asdict(result)))
        text = TextContent(type="text", text=json.dumps(fields, ensure_ascii=False))
        return CallToolResult(content=[text, *_links(result)], structured_content=fields)

    def resource(self, work: Callable[[], bytes]) -> bytes:
        """The bytes of a picture or film."""
        with self._lock:
            try:
                return work()
            except KinoscopeError as error:
                raise ResourceError(str(error)) from error


def _links(result: Result) -> Iterator[ResourceLink]:
    if isinstance(result, Written):
        name = PurePath(result.path).name
        yield ResourceLink(type="resource_link", uri=result.file, name=name, mime_type="video/mp4")
    for place in _places(result):
        when = f"{clock(place.start_s)}-{clock(place.end_s)}"
        name = f"{PurePath(place.path).name} {when}"
        yield ResourceLink(type="resource_link", uri=place.frame, name=name, mime_type="image/jpeg")


def _places(result: Result) -> Sequence[Place]:
    if isinstance(result, Written):
        return [result.source]
    found = result.moments if isinstance(result, Found) else result.answers
    return [each.place for each in found]


def _add_finding(server: MCPServer, tools: Tools, turn: _Turn) -> None:
    @server.tool(title="Find moments in all videos", annotations=_READING)
    def search(
        query: Annotated[Words | None, Field(description="what is seen in the moment")] = None,
        k: Count = 5,
        exclude: Annotated[
            tuple[Words, ...], Field(max_length=MOST, description="what must not be seen")
        ] = (),
        like: Annotated[
            tuple[Piece, ...], Field(max_length=MOST, description="more like these")
        ] = (),
        name: Annotated[
            Words | None, Field(description="only files of such names: *.mov, */2025/*")
        ] = None,
        threshold: Annotated[float | None, Field(allow_inf_nan=False)] = None,
    ) -> Annotated[CallToolResult, Found]:
        """Find the moments of all indexed videos that a description fits, or that look like given
        seconds, best first. With `threshold` poorer ones are left out, maybe all."""
        return turn.tool(
            lambda: tools.search(
                query, k=k, exclude=exclude, like=like, name=name, threshold=threshold
            )
        )

    @server.tool(title="Find when in one video", annotations=_READING)
    def moments(video: Video, query: Words, k: Count = 3) -> Annotated[CallToolResult, Found]:
        """Find when in one indexed video something happens: start and end of each moment."""
        return turn.tool(lambda: tools.moments(video, query, k=k))


def _add_asking(server: MCPServer, tools: Tools, turn: _Turn) -> None:
    @server.tool(title="Answer a question about videos", annotations=_READING)
    def ask(
        question: Words,
        piece: Annotated[
            Piece | None, Field(description="a video, or seconds of it; all videos without")
        ] = None,
        choices: Annotated[
            tuple[Words, ...],
            Field(max_length=MOST, description="two or more answers to choose from"),
        ] = (),
        k: Annotated[Count | None, Field(description="how many moments are asked")] = None,
        find: Annotated[
            Words | None, Field(description="what to look for, if not the question")
        ] = None,
        threshold: Annotated[float | None, Field(allow_inf_nan=False)] = None,
    ) -> Annotated[CallToolResult, Answered]:
        """Answer a question about what is seen, in words, with the file and the seconds that each
        answer was given for. Needs a library that a multimodal LLM has indexed."""
        return turn.tool(
            lambda: tools.ask(
                question, piece=piece, choices=choices, k=k, find=find, threshold=threshold
            )
        )


def _add_pictures(server: MCPServer, tools: Tools, turn: _Turn) -> None:
    @server.resource("kinoscope://frames/{video}/{at_s}", mime_type="image/jpeg")
    def frame(video: str, at_s: float) -> bytes:
        """What is on screen in an indexed video at a second."""
        return turn.resource(lambda: tools.frame(video, at_s))


def _add_cutting(server: MCPServer, tools: Tools, turn: _Turn) -> None:
    @server.tool(title="Write a moment as a file", annotations=_WRITING)
    def cut(
        video: Video,
        start_s: Second,
        end_s: Annotated[Second, Field(description=f"at most {MOST_CUT_S:g} s behind start_s")],
    ) -> Annotated[CallToolResult, Written]:
        """Write seconds of an indexed video as an MP4 of its own, into the folder that the user
        chose for this. Nothing is ever written over."""
        return turn.tool(lambda: tools.cut(video, start_s, end_s))

    @server.resource("kinoscope://cuts/{name}", mime_type="video/mp4")
    def written(name: str) -> bytes:
        """A film that `cut` has written in this session."""
        return turn.resource(lambda: tools.written(name))
