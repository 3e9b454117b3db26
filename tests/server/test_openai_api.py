"""The OpenAI interface: vectors are the embedder's own, media come as data, nothing is fetched."""

import base64
import io
import socket

import numpy as np
import pytest
from PIL import Image

from kinoscope.backbones.openai_wire import read_embeddings
from kinoscope.embedder import Embedder
from kinoscope.heads import truncate
from tests.server.made import COLOURS, Palette, id_of, message, write_film


def vectors(answer) -> np.ndarray:
    assert answer.status_code == 200, answer.text
    rows = sorted(answer.json()["data"], key=lambda row: row["index"])
    return np.array([
        np.frombuffer(base64.b64decode(row["embedding"]), "<f4")
        if isinstance(row["embedding"], str) else row["embedding"]
        for row in rows
    ])  # fmt: skip


def embed(client, **body):
    return client.post("/v1/embeddings", json=body)


def message_of(*parts):
    return [{"role": "user", "content": list(parts)}]


def data(kind: str, content: bytes) -> dict:
    medium = kind.split("/")[0]
    url = f"data:{kind};base64,{base64.b64encode(content).decode()}"
    return {"type": f"{medium}_url", f"{medium}_url": {"url": url}}


def picture(colour) -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (64, 64), COLOURS[colour]).save(written, "PNG")
    return written.getvalue()


def test_texts_get_the_embedders_vectors_in_their_order(client) -> None:
    texts = ["red", "green and blue", "nothing known", "red"]
    own = Embedder(Palette()).encode_query(texts)
    assert np.allclose(vectors(embed(client, input=texts)), own, atol=1e-6)
    assert np.allclose(vectors(embed(client, input="red")), own[:1], atol=1e-6)
    packed = vectors(embed(client, input=texts, encoding_format="base64"))
    assert np.allclose(packed, own, atol=1e-7)
    short = vectors(embed(client, input=texts[:2], dimensions=3))
    assert np.allclose(short, truncate(own[:2], 3), atol=1e-6)
    nothing = embed(client, input=texts, dimensions=3)
    assert nothing.status_code == 400 and "nothing is left" in message(nothing)


def test_usage_counts_the_tokens_of_the_texts(client) -> None:
    usage = embed(client, input=["one two", "three"]).json()["usage"]
    assert usage == {"prompt_tokens": 3, "total_tokens": 3}


def test_media_come_as_data(client, tmp_path) -> None:
    embedder = Embedder(Palette())
    film = write_film(tmp_path / "a.mp4", ["red", "red", "blue"])
    shown = vectors(embed(client, messages=message_of(data("video/mp4", film.read_bytes()))))
    assert np.allclose(shown, embedder.encode_document([film]), atol=1e-5)
    still = vectors(embed(client, messages=message_of(data("image/png", picture("green")))))
    expected = np.array([*COLOURS["green"], 20]) / np.linalg.norm([*COLOURS["green"], 20])
    assert np.allclose(still[0], expected, atol=0.01)
    edited = embed(
        client,
        messages=message_of(
            data("image/png", picture("green")), {"type": "text", "text": "more red"}
        ),
        input_type="query",
    )
    assert vectors(edited)[0] @ vectors(embed(client, input="red and green"))[0] > 0.99


def test_frames_come_as_vllm_takes_them(client) -> None:
    url = "data:video/jpeg;base64," + ",".join(
        base64.b64encode(picture(colour)).decode() for colour in ("red", "red", "blue")
    )
    part = {"type": "video_url", "video_url": {"url": url}}
    for times in ({}, {"video": {"fps": 2.0, "frames_indices": [0, 3, 9]}}):
        shown = vectors(embed(client, messages=message_of(part), media_io_kwargs=times))[0]
        wanted = np.mean([[*COLOURS[c], 20] for c in ("red", "red", "blue")], axis=0)
        assert np.allclose(shown, wanted / np.linalg.norm(wanted), atol=0.01)
    wrong = {"video": {"frames_indices": [1]}}
    answer = embed(client, messages=message_of(part), media_io_kwargs=wrong)
    assert answer.status_code == 400 and "give one each" in message(answer)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/x.png", "https://example.org/x.png", "file:///etc/passwd",
        "/etc/passwd",
        "ftp://example.org/x", "//example.org/x", "gopher://x", "",
    ],
)  # fmt: skip
def test_nothing_is_ever_fetched(client, url, monkeypatch) -> None:
    def refuse(*_arguments):
        raise AssertionError("a connection")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    for medium in ("image", "video"):
        part = {"type": f"{medium}_url", f"{medium}_url": {"url": url}}
        answer = embed(client, messages=message_of(part))
        assert answer.status_code == 400 and "only data: URLs are read" in message(answer)


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({}, 400, "input or messages"),
        ({"input": "a", "messages": message_of({"type": "text", "text": "b"})}, 400, "one of"),
        ({"input": []}, 400, "0 inputs"),
        ({"input": ["a"] * 257}, 400, "257 inputs"),
        ({"input": [[1, 2]]}, 422, "body.input"),
        ({"input": "a", "model": "gpt-9"}, 404, "no model 'gpt-9'"),
        ({"input": "a", "dimensions": 5}, 400, "the model has 4"),
        ({"input": "  "}, 400, "the text is empty"),
        ({"messages": message_of(data("image/png", b"no picture"))}, 422, "the upload"),
        ({"messages": message_of({"type": "image_url"})}, 400, "without its URL"),
        ({"messages": message_of({"type": "image_url", "image_url": {"url": "data:,x"}})},
         400, "has the form"),
        ({"messages": message_of({"type": "image_url",
                                  "image_url": {"url": "data:image/png;base64,!!"}})},
         400, "no base64"),
        ({"messages": message_of(data("image/png", picture("red")),
                                 data("image/png", picture("red")))}, 400, "2 media"),
    ],
)  # fmt: skip
def test_a_wrong_request_is_a_sentence(client, body, status, told) -> None:
    answer = embed(client, **body)
    assert answer.status_code == status and told in message(answer)


def test_the_model_is_told_and_may_be_named(client) -> None:
    (model,) = client.get("/v1/models").json()["data"]
    assert model["id"] == "palette"
    assert embed(client, input="red", model="palette").json()["model"] == "palette"


def test_rerank_orders_texts_media_and_references(client) -> None:
    named = f"{id_of(client, 'flags.mp4')}@0-4"
    documents = [
        "blue", {"text": "yellow"}, {"video": named},
        {"content": [data("image/png", picture("black"))]},
    ]  # fmt: skip
    answer = client.post("/v1/rerank", json={"query": "red", "documents": documents, "top_n": 3})
    results = answer.json()["results"]
    assert results[0]["index"] == 2 and len(results) == 3
    scores = [row["relevance_score"] for row in results]
    assert scores == sorted(scores, reverse=True)
    assert results[0]["document"] == {"video": named}
    vectors_ND = Embedder(Palette()).encode_query(["red", "yellow"])
    yellow = next(row for row in results if row["index"] == 1)
    assert yellow["relevance_score"] == pytest.approx(
        float(vectors_ND[0] @ vectors_ND[1]), abs=1e-5
    )
    for body, told in (
        ({"documents": [{"text": "a", "video": named}]}, "one of them"),
        ({"documents": ["a"], "scoring": "match"}, "no yes and no"),
    ):
        refused = client.post("/v1/rerank", json={"query": "red", **body})
        assert refused.status_code == 400 and told in message(refused)


def test_it_is_the_interface_that_our_own_client_reads(client) -> None:
    answer = embed(client, input=["red", "blue"], encoding_format="base64").json()
    assert np.allclose(
        read_embeddings(answer, 2, 4), Embedder(Palette()).encode_query(["red", "blue"]), atol=1e-6
    )
