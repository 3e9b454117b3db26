"""The door for agents: the SDK's own client against a real index, in memory and over stdio."""

import base64
import io
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.types import CallToolResult, ResourceLink, TextContent
from PIL import Image

from kinoscope import Embedder, Index, Span, ask, ask_video, find_moments, search
from kinoscope.agents import tools as agents_tools
from kinoscope.agents.server import mcp_server
from kinoscope.agents.tools import Tools
from kinoscope.answer import AskOptions
from kinoscope.documents import Excerpt
from kinoscope.errors import UsageError
from kinoscope.packages import cache_folder
from kinoscope.query import Query
from kinoscope.video import VideoReader
from tests.test_moments import Colours

Work = Callable[[Client], Awaitable[Any]]


@pytest.fixture
def cuts(tmp_path) -> Path:
    (tmp_path / "cuts").mkdir()
    return tmp_path / "cuts"


@pytest.fixture
def talk(speaking_index, cuts):
    """Runs what a client does with a server of the index: `talk(work)`; gives a refusal back."""

    def run(work: Work, *, index=speaking_index, folder=cuts) -> Any:
        async def main() -> Any:
            async with Client(mcp_server(Tools(index, folder))) as client:
                try:
                    return await work(client)
                except MCPError as error:
                    return error

        return anyio.run(main)

    return run


def call(tool: str, /, **arguments) -> Work:
    async def work(client: Client) -> CallToolResult:
        return await client.call_tool(tool, arguments)

    return work


def read(uri: str) -> Work:
    async def work(client: Client) -> bytes:
        (content,) = (await client.read_resource(uri)).contents
        return base64.b64decode(content.blob)

    return work


def spans(places) -> list[tuple[float, float]]:
    return [(place["start_s"], place["end_s"]) for place in places]


def ends(span: Span) -> tuple[float, float]:
    return span.start_s, span.end_s


# --- what is offered


def test_each_tool_says_what_it_takes_and_gives_and_whether_it_writes(talk) -> None:
    async def work(client: Client):
        return (await client.list_tools()).tools

    tools = {tool.name: tool for tool in talk(work)}
    assert set(tools) == {"search", "moments", "ask", "cut"}
    for name, tool in tools.items():
        assert tool.description and tool.output_schema["type"] == "object"
        assert tool.annotations.read_only_hint == (name != "cut")
        assert not tool.annotations.destructive_hint
    assert tools["moments"].input_schema["required"] == ["video", "query"]
    assert {tool.name for tool in talk(work, folder=None)} == {"search", "moments", "ask"}


# --- tools


def test_search_gives_the_hits_of_the_library_with_links_to_pictures(talk, speaking_index) -> None:
    result = talk(call("search", query="a door", k=3, exclude=["snow"], name="*.mp4"))
    hits = search(speaking_index, Query(text="a door", excluded=("snow",)), k=3)
    found = result.structured_content
    assert found["query"] == "a door"
    places = [moment["place"] for moment in found["moments"]]
    assert spans(places) == [ends(hit.span) for hit in hits]
    assert [place["path"] for place in places] == [str(hit.path) for hit in hits]
    assert [m["score"] for m in found["moments"]] == pytest.approx([hit.score for hit in hits])
    text, *links = result.content
    assert isinstance(text, TextContent) and json.loads(text.text) == found
    assert all(isinstance(link, ResourceLink) for link in links)
    assert [link.uri for link in links] == [place["frame"] for place in places]
    assert links[0].name.startswith(hits[0].path.name)


def test_a_link_leads_to_what_is_on_screen_in_the_middle_of_its_place(talk, colour_films) -> None:
    result = talk(call("search", query="a door", k=1))
    (place,) = [moment["place"] for moment in result.structured_content["moments"]]
    picture = Image.open(io.BytesIO(talk(read(place["frame"]))))
    assert (picture.format, picture.size) == ("JPEG", (64, 48))
    middle_s = (place["start_s"] + place["end_s"]) / 2
    with VideoReader(Path(place["path"]), side_px=None) as reader:
        (frames,) = reader.sample([middle_s])
    shown = frames.rgb_FHWC[0, 20, 20].astype(int)
    assert abs(shown - picture.getpixel((20, 20))).max() <= 8


def test_examples_are_seconds_of_indexed_videos(talk, speaking_index, colour_films) -> None:
    video = talk(call("search", query="a door", name="long*")).structured_content
    piece = {"video": video["moments"][0]["place"]["video"], "start_s": 4, "end_s": 6}
    found = talk(call("search", like=[piece], k=2)).structured_content["moments"]
    like = Query(like=(Excerpt(colour_films / "long.mp4", Span(4, 6)),))
    hits = search(speaking_index, like, k=2)
    assert spans(moment["place"] for moment in found) == [ends(hit.span) for hit in hits]
    whole = talk(call("search", like=[{"video": piece["video"]}], k=1))
    assert len(whole.structured_content["moments"]) == 1
    nothing = talk(call("search", query="a door", threshold=2.0))
    assert (nothing.structured_content["moments"], nothing.is_error) == ([], False)


def test_moments_of_one_video_are_those_of_the_library(talk, speaking_index, colour_films) -> None:
    path = colour_films / "long.mp4"
    found = talk(call("moments", video=str(path), query="a door", k=2)).structured_content
    expected = find_moments(speaking_index, path, {"text": "a door"}, k=2).moments
    places = [moment["place"] for moment in found["moments"]]
    assert spans(places) == [ends(moment.span) for moment in expected]
    again = talk(call("moments", video=places[0]["video"], query="a door", k=2))
    assert again.structured_content == found, "by its id as by its path"


def test_answers_are_those_of_the_model_and_cite_their_place(talk, speaking_index, colour_films):
    question, choices = "what is it?", ["a fox", "snow"]
    found = talk(call("ask", question=question, choices=choices, k=2)).structured_content
    options = AskOptions(choices=tuple(choices))
    expected = ask(speaking_index, question, k=2, options=options)
    assert [each["answer"] for each in found["answers"]] == [each.text for each in expected]
    assert spans(each["place"] for each in found["answers"]) == [ends(e.span) for e in expected]
    assert found["answers"][0]["shares"] == pytest.approx(list(expected[0].shares), abs=1e-4)
    snow = talk(call("ask", question=question, find="snow", k=1)).structured_content["answers"]
    assert spans([snow[0]["place"]]) == [ends(search(speaking_index, "snow", k=1)[0].span)]
    nothing = talk(call("ask", question=question, threshold=2.0))
    assert (nothing.structured_content["answers"], nothing.is_error) == ([], False)
    piece = {"video": str(colour_films / "long.mp4"), "start_s": 2, "end_s": 5}
    (one,) = talk(call("ask", question=question, piece=piece)).structured_content["answers"]
    excerpt = Excerpt(colour_films / "long.mp4", Span(2, 5))
    (same,) = ask_video(speaking_index, excerpt, question)
    assert (one["answer"], spans([one["place"]])) == (same.text, [(2, 5)])
    assert one["log_likelihood"] == pytest.approx(same.log_likelihood, abs=1e-3)


def test_a_cut_is_written_into_its_folder_and_handed_over(talk, colour_films, cuts) -> None:
    async def work(client: Client):
        arguments = {"video": str(colour_films / "long.mp4"), "start_s": 3, "end_s": 5.5}
        twice = [await client.call_tool("cut", arguments) for _ in range(2)]
        uri = twice[0].structured_content["file"]
        return twice, await read(uri)(client)

    (first, second), content = talk(work)
    written = [Path(each.structured_content["path"]) for each in (first, second)]
    assert sorted(cuts.iterdir()) == sorted(written)
    assert [path.name for path in written] == ["long-3.0-5.5.mp4", "long-3.0-5.5-2.mp4"]
    assert written[0].read_bytes() == content
    with VideoReader(written[0]) as reader:
        assert reader.info.declared_duration_s == pytest.approx(2.5, abs=0.6)
    source = first.structured_content["source"]
    assert (source["path"], spans([source])) == (str(colour_films / "long.mp4"), [(3, 5.5)])
    link = first.content[1]
    assert (link.uri, link.mime_type) == (first.structured_content["file"], "video/mp4")


# --- what is refused


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        ("search", {}, "the query is empty"),
        ("search", {"query": " "}, "the text is empty"),
        ("search", {"query": "x" * 5000}, "at most 4096 characters"),
        ("search", {"query": "a", "k": 51}, "less than or equal to 50"),
        ("search", {"query": "a", "exclude": ["A."]}, "both looked for and excluded"),
        ("search", {"like": [{"video": "gone"}]}, "'gone' is not in the index"),
        ("search", {"query": "a", "name": " "}, "filter name is empty"),
        ("moments", {"video": "gone", "query": "a"}, "'gone' is not in the index"),
        ("ask", {"question": "what?", "choices": ["a"]}, "give a list of two or more"),
        ("ask", {"question": "what?", "piece": {"video": "LONG", "start_s": 1}}, "give both"),
        ("ask", {"question": "what?", "piece": {"video": "LONG", "start_s": 18, "end_s": 30}},
         "ends at 20.00 s"),
        ("ask", {"question": "what?", "piece": {"video": "LONG"}, "threshold": 0.1},
         "leave it or the piece out"),
        ("cut", {"video": "LONG", "start_s": 5, "end_s": 2}, "is empty or negative"),
        ("cut", {"video": "LONG", "start_s": 0, "end_s": 900}, "cut at most 600 s"),
        ("cut", {"video": "LONG", "start_s": 50, "end_s": 60}, "nothing is at 50.00 s"),
        ("cut", {"video": "LONG", "start_s": -1, "end_s": 2}, "greater than or equal to 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_a_sentence_for_the_agent(
    talk, colour_films, cuts, name, arguments, sentence
) -> None:
    text = json.dumps(arguments).replace("LONG", str(colour_films / "long.mp4"))
    result = talk(call(name, **json.loads(text)))
    assert result.is_error
    assert sentence in result.content[0].text
    assert "Traceback" not in result.content[0].text
    assert not list(cuts.iterdir())


def test_nothing_but_indexed_files_is_ever_opened(talk, colour_films, cuts, tmp_path) -> None:
    """Real files beside the library, other spellings of indexed ones, links, and worse."""
    beside = tmp_path / "beside.mp4"
    beside.write_bytes((colour_films / "short.mp4").read_bytes())
    (tmp_path / "link.mp4").symlink_to(colour_films / "short.mp4")
    names = [
        *(str(beside), str(tmp_path / "link.mp4"), "/etc/passwd", "short.mp4", "", "\x00", "..."),
        *(f"{colour_films}/../{colour_films.name}/short.mp4", f"file://{colour_films}/short.mp4"),
        *(f"{colour_films / 'short.mp4'}@0-1", str(colour_films), "~/short.mp4", "%2e%2e/x"),
    ]

    async def work(client: Client) -> list[CallToolResult]:
        asked = [("cut", {"start_s": 0, "end_s": 1}), ("moments", {"query": "a"})]
        return [
            await client.call_tool(tool, {"video": name, **more})
            for name in names
            for tool, more in asked
        ]

    for result in talk(work):
        assert result.is_error
        assert "is not in the index" in result.content[0].text
    assert not list(cuts.iterdir())


@pytest.mark.parametrize(
    "uri",
    [
        "kinoscope://frames/gone/1.0",
        "kinoscope://frames/ID/-1",
        "kinoscope://frames/ID/nan",
        "kinoscope://frames/ID/soon",
        "kinoscope://frames/%2Fetc%2Fpasswd/1.0",
        "kinoscope://cuts/not_mine.mp4",
        "kinoscope://cuts/..%2Fnot_mine.mp4",
        "kinoscope://cuts/../../etc/passwd",
        "file:///etc/passwd",
    ],
)
def test_a_resource_that_was_not_given_is_not_read(talk, cuts, uri) -> None:
    (cuts / "not_mine.mp4").write_bytes(b"another's")
    (cuts.parent / "not_mine.mp4").write_bytes(b"another's")
    known = talk(call("search", query="a", k=1)).structured_content["moments"][0]["place"]
    assert isinstance(talk(read(uri.replace("ID", known["video"]))), MCPError)


def test_a_cut_that_is_too_large_is_not_handed_over(talk, colour_films, monkeypatch) -> None:
    monkeypatch.setattr(agents_tools, "MOST_CUT_BYTES", 10)

    async def work(client: Client):
        arguments = {"video": str(colour_films / "short.mp4"), "start_s": 0, "end_s": 1}
        written = await client.call_tool("cut", arguments)
        return await client.read_resource(written.structured_content["file"])

    error = talk(work)
    assert isinstance(error, MCPError)
    assert "open the file itself" in str(error)


def test_a_model_without_words_says_so_to_the_agent(talk, tmp_path, colour_films) -> None:
    index = Index.open(tmp_path / "index", Embedder(Colours()), create=True)
    result = talk(call("ask", question="what?"), index=index)
    assert result.is_error
    assert "gives vectors, no words: load a multimodal LLM" in result.content[0].text


def test_a_file_that_has_gone_is_a_sentence_and_another_copy_serves(
    talk, tmp_path, speaker, colour_films
) -> None:
    films = tmp_path / "films"
    films.mkdir()
    for name in ("a.mp4", "b.mp4"):
        (films / name).write_bytes((colour_films / "short.mp4").read_bytes())
    index = Index.open(tmp_path / "index", speaker, create=True)
    index.add(films)
    (place, *_) = [
        moment["place"]
        for moment in talk(call("search", query="a"), index=index).structured_content["moments"]
    ]
    (films / "a.mp4").unlink()
    picture = talk(read(place["frame"]), index=index)
    assert Image.open(io.BytesIO(picture)).format == "JPEG"
    (films / "b.mp4").unlink()
    result = talk(call("cut", video=place["video"], start_s=0, end_s=1), index=index)
    assert result.is_error and "does not exist" in result.content[0].text


def test_the_folder_of_cuts_has_to_be_there(speaking_index, tmp_path) -> None:
    with pytest.raises(UsageError, match="is no folder"):
        Tools(speaking_index, tmp_path / "none")
    with pytest.raises(UsageError, match="start the server with --cuts DIR"):
        Tools(speaking_index).cut("a", 0.0, 1.0)


# --- the command


def test_the_command_serves_over_stdio_and_ends_with_its_client(
    run, video_folder, tmp_path, cuts
) -> None:
    folder = tmp_path / "index"
    assert run("index", video_folder, "--index", folder)[0] == 0
    words = ["-m", "kinoscope", "mcp", "--index", str(folder), "--cuts", str(cuts)]
    kept = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    environment = {"KINOSCOPE_CACHE": str(cache_folder()), **kept}
    server = StdioServerParameters(command=sys.executable, args=words, env=environment)

    async def main():
        async with Client(server) as client:
            names = [tool.name for tool in (await client.list_tools()).tools]
            found = await client.call_tool("search", {"query": "a dog", "k": 1})
            place = found.structured_content["moments"][0]["place"]
            cut = await client.call_tool(
                "cut", {"video": place["video"], "start_s": 0, "end_s": 0.5}
            )
            return names, place, cut

    names, place, cut = anyio.run(main)
    assert set(names) == {"search", "moments", "ask", "cut"}
    assert Path(place["path"]).is_relative_to(video_folder)
    assert Path(cut.structured_content["path"]).parent == cuts


def test_without_an_index_or_the_sdk_the_command_ends_with_a_sentence(
    run, tmp_path, speaking_index, monkeypatch
) -> None:
    code, out, err = run("mcp", "--index", tmp_path / "none")
    assert (code, out, len(err.splitlines())) == (4, "", 1)
    folder = speaking_index.store.folder
    code, out, err = run("mcp", "--index", folder, "--cuts", tmp_path / "none")
    assert (code, out) == (2, "")
    assert "is no folder" in err
    monkeypatch.setitem(sys.modules, "mcp", None)
    code, out, err = run("mcp", "--index", folder)
    assert (code, out) == (6, "")
    assert "pip install 'kinoscope[mcp]'" in err
