"""Search and moments over HTTP: the answers are the library's own."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from kinoscope.documents import Excerpt
from kinoscope.embedder import Embedder
from kinoscope.index.handle import Index
from kinoscope.query import Query
from kinoscope.retrieval import search
from kinoscope.types import Span
from tests.server.made import Palette, found, id_of, message, served, write_film


def ask(client, **query):
    return client.post("/api/search", json=query)


def test_hits_are_those_of_the_library(client, library) -> None:
    index = Index.open(library[1], Embedder(Palette()))
    for text in ("red", "something green", "blue or yellow"):
        told = ask(client, text=text, k=7).json()["hits"]
        own = search(index, text, k=7)
        assert [(h["path"], h["start_s"], h["end_s"]) for h in told] == [
            (str(h.path), h.span.start_s, h.span.end_s) for h in own
        ]
        assert [h["score"] for h in told] == pytest.approx([h.score for h in own], abs=1e-6)


def test_a_reference_is_the_piece_of_video_it_names(client, library) -> None:
    index = Index.open(library[1], Embedder(Palette()))
    piece = Excerpt(library[0] / "flags.mp4", Span(4, 10))
    named = f"{id_of(client, 'flags.mp4')}@4-10"
    for field, query in (
        ({"video": named}, Query(video=piece)),
        ({"video": named, "edit": "red"}, Query(video=piece, text="red")),
        ({"text": "blue", "like": [named]}, Query(text="blue", like=(piece,))),
        ({"text": "blue", "like": [named], "not": ["yellow"]},
         Query(text="blue", like=(piece,), excluded=("yellow",))),
        ({"text": "blue", "video": named, "edit": "red"},
         Query(text="red", video=piece, like=("blue",))),
    ):  # fmt: skip
        told = ask(client, k=4, **field).json()["hits"]
        own = search(index, query, k=4)
        assert [h["score"] for h in told] == pytest.approx([h.score for h in own], abs=1e-5)


def test_an_uploaded_video_and_picture_are_looked_for(client, tmp_path) -> None:
    film = write_film(tmp_path / "mine.mp4", ["yellow"] * 3).read_bytes()
    form = {"query": json.dumps({"k": 1})}
    answer = client.post("/api/search", data=form, files={"video": ("../../x.exe", film)})
    assert found(answer)[0][0] == "forest.mp4"
    hit = answer.json()["hits"][0]
    picture = client.get(hit["poster"]).content
    answer = client.post("/api/search", data=form, files={"image": ("a", picture)})
    assert found(answer)[0] == ("forest.mp4", hit["start_s"], hit["end_s"])


def test_an_upload_is_kept_to_be_asked_about(client, tmp_path) -> None:
    film = write_film(tmp_path / "mine.mp4", ["red", "red", "green", "green"]).read_bytes()
    kept = client.post("/api/uploads", files={"file": film})
    assert kept.status_code == 201 and kept.json()["kind"] == "video"
    assert kept.json()["duration_s"] == pytest.approx(4, abs=0.2)
    name = kept.json()["id"]
    assert found(ask(client, like=[f"{name}@0-2"], k=1))[0][:2] == ("flags.mp4", 0.0)
    assert found(ask(client, video=f"{name}@2-4", k=1))[0][0] in ("forest.mp4", "flags.mp4")
    unknown = ask(client, video=name[:-1] + ("0" if name[-1] != "0" else "1"))
    assert unknown.status_code == 404 and "upload it again" in message(unknown)


def test_many_at_once_get_what_each_gets_alone(client) -> None:
    texts = ["red", "green", "blue", "yellow", "black", "red and blue", "green or yellow"] * 4
    alone = {text: ask(client, text=text, k=5).json()["hits"] for text in set(texts)}
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda text: ask(client, text=text, k=5).json(), texts))
    for text, answer in zip(texts, together, strict=True):
        assert [h["path"] for h in answer["hits"]] == [h["path"] for h in alone[text]]
        scores = [h["score"] for h in alone[text]]
        assert [h["score"] for h in answer["hits"]] == pytest.approx(scores, abs=1e-5)


def test_filters_choose_which_videos_answer(client, library) -> None:
    folder = {"folder": str(library[0] / "deep")}
    assert {name for name, *_ in found(ask(client, text="red", filters=folder))} == {"forest.mp4"}
    assert {n for n, *_ in found(ask(client, text="red", filters={"name": "s*.mp4"}))} == {
        "sea.mp4"
    }
    long = ask(client, text="red", filters={"min_duration_s": 17})
    assert {name for name, *_ in found(long)} == {"flags.mp4"}
    assert found(ask(client, text="red", filters={"until": "1999-01-01"})) == []
    assert len(found(ask(client, text="red", filters={"since": "1999-01-01"}))) > 3


@pytest.mark.parametrize("folder", ["/", "/etc", "relative", "/no/such", "/a\0b", "/../../etc"])
def test_a_folder_without_indexed_videos_says_nothing_of_the_disk(client, folder) -> None:
    answer = ask(client, text="red", filters={"folder": folder})
    if folder == "/":
        assert answer.status_code == 200
        return
    assert answer.status_code == 400
    assert message(answer).endswith("no indexed video is below it")


def test_groups_and_whole_videos(client) -> None:
    by_video = ask(client, text="blue", group="video").json()["hits"]
    assert len({hit["video"] for hit in by_video}) == len(by_video) == 4
    assert any(hit["others"] for hit in by_video)
    assert {h["others"] == [] for h in ask(client, text="blue", scale="videos").json()["hits"]}


def test_nothing_matches_is_an_answer(client) -> None:
    assert found(ask(client, text="red", threshold=1.5)) == []


@pytest.mark.parametrize(
    ("query", "status", "told"),
    [
        ({}, 400, "the query is empty"),
        ({"text": ""}, 422, "body.text"),
        ({"text": "red", "k": 0}, 422, "body.k"),
        ({"text": "red", "colour": 1}, 422, "body.colour"),
        ({"text": "red", "not": ["Red."]}, 400, "both looked for and excluded"),
        ({"edit": "at night", "text": "x"}, 400, "an edit of nothing"),
        ({"video": "/etc/passwd"}, 422, "body.video"),
        ({"video": "0" * 32}, 404, "no video 0000"),
        ({"video": "0" * 32 + "@5-5"}, 400, "empty or negative"),
        ({"text": "red", "rerank": 3}, 400, "no yes and no"),
        ({"text": "red", "sure": True}, 400, "--calibration"),
        ({"text": "red", "group": "look", "scale": "videos"}, 400, "group is for moments"),
        ({"text": "red", "threshold": "NaN"}, 422, "body.threshold"),
    ],
)
def test_a_wrong_query_is_a_sentence(client, query, status, told) -> None:
    answer = ask(client, **query)
    assert answer.status_code == status and told in message(answer)


def test_what_was_not_taken_into_account_is_told(client) -> None:
    assert ask(client, text="red").json()["notes"] == []
    notes = ask(client, text="red " * 41).json()["notes"]
    assert notes == ["only the first 40 tokens of the text were read"]


def test_moments_with_the_curve_they_were_found_on(client) -> None:
    video = id_of(client, "flags.mp4")
    asked = {"video": video, "text": "green", "k": 2}
    for refine in (False, True):
        answer = client.post("/api/moments", json={**asked, "refine": refine}).json()
        first = answer["moments"][0]
        assert first["start_s"] == pytest.approx(4, abs=1.1)
        assert first["end_s"] == pytest.approx(10, abs=1.1)
        assert (first["cosine"] is not None) == refine
        assert len(answer["edges_s"]) == len(answer["scores"]) + 1
        assert answer["duration_s"] == pytest.approx(18, abs=0.2)
    alike = {"video": video, "like": f"{id_of(client, 'sea.mp4')}@0-4"}
    first = client.post("/api/moments", json=alike).json()["moments"][0]
    assert first["start_s"] >= 9
    both = client.post("/api/moments", json={**asked, **alike})
    assert both.status_code == 400 and "one of the two" in message(both)


def test_where_there_is_no_room_clients_are_told_when_to_come_back(library, tmp_path) -> None:
    from kinoscope.server.config import ServeLimits

    palette = Palette()
    limits = ServeLimits(waiting=1, batch=1, batch_wait_s=0.001)
    with (
        served(library[1], tmp_path, palette=palette, limits=limits) as client,
        ThreadPoolExecutor(8) as threads,
    ):
        palette.hold.clear()
        asked = [threads.submit(ask, client, text="red") for _ in range(8)]
        while sum(each.done() for each in asked) < 6:
            pass
        palette.hold.set()
        answers = [each.result() for each in asked]
    assert sorted({answer.status_code for answer in answers}) == [200, 429]
    assert all(int(a.headers["Retry-After"]) >= 1 for a in answers if a.status_code == 429)


def test_an_empty_index_answers_with_nothing(tmp_path) -> None:
    index = Index.open(tmp_path / "index", Embedder(Palette()), create=True)
    with served(index.store.folder, tmp_path / "cache") as client:
        assert found(ask(client, text="red")) == []
        assert client.get("/health").json()["videos"] == 0
