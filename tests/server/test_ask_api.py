"""Questions over HTTP and on the page: the answers of the library itself, each with its place."""

import html
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from kinoscope.answer import Answer, AskOptions, ask, ask_video
from kinoscope.documents import Excerpt
from kinoscope.errors import MediaError
from kinoscope.filters import Filters
from kinoscope.server import answering
from kinoscope.server.app import create_app
from kinoscope.server.config import ServeConfig
from kinoscope.server.finding import stretch_of
from kinoscope.server.remembered import Remembered
from kinoscope.server.schema import AskRequest
from kinoscope.types import Span
from kinoscope.video import VideoReader
from tests.server.made import BASE, id_of, message
from tests.server.test_page import page_of

QUESTION = "what happens after the door opens?"
CHOICES = ["a fox runs", "snow"]
FEW = {"question": QUESTION, "max_new_tokens": 4}


@pytest.fixture(scope="module")
def app(speaking_index, tmp_path_factory, one_torch_thread):
    return create_app(speaking_index, ServeConfig(cache=tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def speaking(app):
    with TestClient(app, base_url=BASE, raise_server_exceptions=False) as client:
        yield client


def asked(client, **body):
    answer = client.post("/api/ask", json={**FEW, **body})
    assert answer.status_code == 200, answer.text
    return answer.json()["answers"]


def same(told, expected) -> None:
    """Each answer over HTTP is the library's own."""
    assert len(told) == len(expected)
    for one, own in zip(told, expected, strict=True):
        place = (one["path"], one["name"], one["start_s"], one["end_s"])
        assert place == (str(own.path), own.path.name, *asdict(own.span).values())
        assert (one["rank"], one["text"], one["complete"]) == (own.rank, own.text, own.complete)
        assert one["log_likelihood"] == pytest.approx(own.log_likelihood, abs=1e-3)
        assert one["shares"] == pytest.approx(own.shares, abs=1e-3)
        assert one["score"] == (own.hit and pytest.approx(own.hit.score, abs=1e-5))


def test_a_library_answers_as_it_does_without_a_server(speaking, speaking_index) -> None:
    options = AskOptions(max_new_tokens=4)
    told = asked(speaking, k=4)
    same(told, ask(speaking_index, QUESTION, k=4, options=options))
    assert {each["video"] for each in told} <= {
        id_of(speaking, name) for name in ("short.mp4", "long.mp4")
    }
    assert speaking.get(told[0]["media"]).status_code == 200
    wide = AskOptions(max_new_tokens=4, around_s=1.0, find="snow")
    same(asked(speaking, find="snow", around_s=1), ask(speaking_index, QUESTION, options=wide))
    chosen = AskOptions(choices=tuple(CHOICES))
    same(
        asked(speaking, choices=CHOICES, filters={"name": "short*"}, k=2),
        ask(speaking_index, QUESTION, k=2, filters=Filters(name="short*"), options=chosen),
    )
    assert asked(speaking, threshold=2.0) == []


def test_one_video_answers_whole_at_its_moments_or_a_piece(speaking, speaking_index) -> None:
    options = AskOptions(max_new_tokens=4)
    for name in ("short.mp4", "long.mp4"):
        video = id_of(speaking, name)
        path = next(Path(row.path) for row in speaking_index.files() if row.video_id == video)
        own = ask_video(speaking_index, path, QUESTION, options=options)
        same(asked(speaking, video=video), own)
        piece = Excerpt(path, Span(2.0, 5.0))
        same(
            asked(speaking, video=f"{video}@2-5"),
            ask_video(speaking_index, piece, QUESTION, options=options),
        )


def test_mistakes_say_what_to_do(speaking) -> None:
    video = id_of(speaking, "short.mp4")
    for body, status, told in (
        ({"question": " "}, 400, "question is empty"),
        ({"choices": ["a"]}, 400, "two or more"),
        ({"video": "0" * 32}, 404, "search again"),
        ({"video": f"{video}@50-60"}, 400, r"ends at 6.00 s"),
        ({"video": f"{video}@1-2", "k": 2}, 400, "leave k and find out"),
        ({"video": video, "threshold": 0.1}, 400, "leave them out"),
        ({"video": "../../etc/passwd"}, 422, "body.video"),
        ({"k": 21}, 422, "body.k"),
    ):
        answer = speaking.post("/api/ask", json={**FEW, **body})
        assert answer.status_code == status, answer.text
        assert told in message(answer)


def test_a_model_without_words_says_which_has_them(client) -> None:
    answer = client.post("/api/ask", json=FEW)
    assert answer.status_code == 400 and "load a multimodal LLM" in message(answer)
    video = id_of(client, "sea.mp4")
    for path in ("/?q=red", f"/watch/{video}?q=red"):
        _page, tags = page_of(client, path)
        assert not any(attrs.get("name") == "ask" for _, attrs in tags)
        page, tags = page_of(client, f"{path}&ask=why", 400)
        assert any(attrs.get("role") == "alert" for _, attrs in tags)
        assert "the palette model gives vectors, no words: load a multimodal LLM" in page


def test_too_many_questions_are_told_to_come_back(speaking, app, monkeypatch) -> None:
    questions, most = app.state.service.questions, app.state.service.config.limits.questions
    known = asked(speaking, k=1)
    for _ in range(most):
        assert questions.acquire(blocking=False)
    try:
        answer = speaking.post("/api/ask", json={**FEW, "question": "is that too many?"})
        assert asked(speaking, k=1) == known, "what was answered before waits for nobody"
    finally:
        questions.release(most)
    assert answer.status_code == 429 and int(answer.headers["Retry-After"]) > 0

    def gone(*_arguments: object) -> None:
        raise MediaError("missing", "it is gone: put it back")

    with monkeypatch.context() as patched:
        patched.setattr(answering, "stretch_of", gone)
        for _ in range(most + 1):  # one that failed gives its turn back
            answer = speaking.post("/api/ask", json={**FEW, "question": "is it gone?"})
            assert answer.status_code == 422 and "it is gone" in message(answer)
    assert asked(speaking, k=1, question="is it back?")


@pytest.fixture
def decoded(monkeypatch):
    """Pieces that were shown to the model from now on, as they are asked for."""
    shown = []

    def stretch(service, snapshot, place):
        shown.append(place)
        return stretch_of(service, snapshot, place)

    monkeypatch.setattr(answering, "stretch_of", stretch)
    return shown


def test_what_was_answered_before_is_not_asked_anew(speaking, decoded) -> None:
    page = "/?q=snow&apart=true&ask=is that new?"
    first, _ = page_of(speaking, page)
    assert len(decoded) == 3
    listed = first.partition('class="answers"')[2].partition("</ol>")[0]
    again, _ = page_of(speaking, page + "&k=48")
    assert listed and listed in again and len(decoded) == 3
    page_of(speaking, page.replace("new", "newer"))
    assert len(decoded) == 6, "another question is"
    told = asked(speaking, video=id_of(speaking, "long.mp4"), question="is that new?", k=1)
    assert len(decoded) == 7 and told[0]["rank"] == 1, "so is another number of words"
    assert asked(speaking, question="is that new?", choices=CHOICES) and len(decoded) == 10


def test_who_asks_the_same_at_the_same_time_waits_for_the_first(app, decoded, monkeypatch) -> None:
    begun, go = threading.Event(), threading.Event()
    first = answering.stretch_of

    def slow(*arguments):
        begun.set()
        assert go.wait(300)
        return first(*arguments)

    monkeypatch.setattr(answering, "stretch_of", slow)
    body = AskRequest(question="who was first?", max_new_tokens=4)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(answering.answered, app.state.service, body)]
        assert begun.wait(300)
        both.append(pool.submit(answering.answered, app.state.service, body))
        time.sleep(0.5)  # the second comes to wait; were it later, it would find the answers
        go.set()
        one, other = (each.result(300) for each in both)
    assert one.answers == other.answers and len(decoded) == 3


@given(st.lists(st.sampled_from("abcdefgh"), max_size=40), st.integers(1, 5))
def test_the_longest_unused_answers_are_forgotten(names, most) -> None:
    remembered, plain = Remembered(most), list[str]()
    for name in names:
        found = remembered.known([name])
        assert (name in found) == (name in plain)
        assert found.get(name, answer(name)) == answer(name)
        remembered.keep({name: answer(name)})
        plain = [*(n for n in plain if n != name), name][-most:]


def answer(text: str) -> Answer:
    return Answer(rank=1, text=text, path=Path("a"), span=Span(0.0, 1.0), log_likelihood=-1.0)


def test_the_server_itself_decodes_nothing(speaking, monkeypatch) -> None:
    def refuse(*_arguments: object, **_named: object) -> None:
        raise AssertionError("decoded in the server")

    monkeypatch.setattr(VideoReader, "__init__", refuse)
    assert len(asked(speaking, k=2, question="who decodes?")) == 2
    video = id_of(speaking, "long.mp4")
    assert len(asked(speaking, video=video, question="who decodes the long one?")) == 3


def test_the_page_lists_answers_that_play_their_moments(speaking, speaking_index) -> None:
    page, tags = page_of(speaking, "/?q=snow&apart=true")
    field = next(attrs for tag, attrs in tags if attrs.get("name") == "ask")
    assert field["form"] == "search" and f'<label for="{field["id"]}">' in page
    assert 'class="answers"' not in page
    page, tags = page_of(speaking, f"/?q=snow&apart=true&ask={QUESTION}")
    listed = page.partition('class="answers"')[2].partition("</ol>")[0]
    watched = [html.unescape(link) for link in re.findall(r'href="([^"]+)"', listed)]
    own = ask(speaking_index, QUESTION, options=AskOptions(find="snow"))
    assert listed.count("<li>") == len(own) == 3
    for answer, link in zip(own, watched, strict=True):
        assert f"start={answer.span.start_s}&end={answer.span.end_s}" in link
        _page, shown = page_of(speaking, link)
        assert any(tag == "video" for tag, _ in shown)
    video = id_of(speaking, "short.mp4")
    page, tags = page_of(speaking, f"/watch/{video}?ask={QUESTION}")
    assert f'<label for="ask-{video}">' in page
    (link,) = [attrs for tag, attrs in tags if attrs.get("class") == "jump"]
    assert (link["data-start"], link["data-end"]) == ("0.0", "6.0"), "a short one is read whole"
    evil = speaking.get("/", params={"q": "snow", "ask": '"><script>alert(1)</script>'})
    assert "<script>alert" not in evil.text
