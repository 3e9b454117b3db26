"""Re-ranking over HTTP by a multimodal LLM's yes and no, with probabilities and without."""

import numpy as np
import pytest
from starlette.testclient import TestClient

from kinoscope.backbones import mini
from kinoscope.backbones.mini import untrained_mini
from kinoscope.backbones.options import LoadOptions
from kinoscope.calibration import Calibration
from kinoscope.documents import Excerpt
from kinoscope.embedder import Embedder
from kinoscope.index.handle import Index
from kinoscope.matcher import Matcher
from kinoscope.retrieval import search
from kinoscope.sampling import SamplingConfig, Window
from kinoscope.server.app import create_app
from kinoscope.server.config import ServeConfig
from kinoscope.types import Span
from tests.server.made import BASE, id_of, message, write_film
from tests.tiny_mini import Tower, as_if_trained, tiny_mini_files

SAMPLING = SamplingConfig(fps=1.0, clip_frames=4, windows=(Window(length_s=2.0, stride_s=2.0),))
TEXT = "a fox runs to the left"


@pytest.fixture(scope="module")
def index(tmp_path_factory, one_torch_thread):
    """Six seconds, three hits, of a tiny multimodal LLM."""
    folder = tmp_path_factory.mktemp("matching")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(mini, "open_session", lambda *_arguments: Tower())
        backbone = untrained_mini(
            tiny_mini_files(folder / "mini"), layers=2, options=LoadOptions(batch_tokens=512)
        )
        made = Index.open(
            folder / "index", Embedder(as_if_trained(backbone), sampling=SAMPLING), create=True
        )
        made.add(write_film(folder / "videos" / "flags.mp4", ["red", "red", "green"] * 2))
        yield made


@pytest.fixture
def serve(index, tmp_path):
    clients = []

    def opened(**config):
        app = create_app(index, ServeConfig(cache=tmp_path / "cache", **config))
        clients.append(TestClient(app, base_url=BASE, raise_server_exceptions=False))
        return clients[-1].__enter__()

    yield opened
    for client in clients:
        client.__exit__(None, None, None)


def calibration(index, **fields):
    return Calibration(model=index.embedder.backbone.weights, **fields)


def test_hits_are_ranked_anew_as_the_matcher_does(serve, index) -> None:
    told = calibration(index, fusion=0.0)
    client = serve(calibration=told)
    answer = client.post("/api/search", json={"text": TEXT, "k": 3, "rerank": 3}).json()["hits"]
    own = Matcher(index.embedder, told).rerank(search(index, TEXT, k=3), TEXT, top=3)
    assert [hit["start_s"] for hit in answer] == [hit.span.start_s for hit in own]
    probabilities = [hit.probability for hit in own]
    assert [hit["probability"] for hit in answer] == pytest.approx(probabilities, abs=1e-4)


def test_only_good_matches_are_shown_and_maybe_none(serve, index) -> None:
    client = serve(calibration=calibration(index, threshold=1.0), rerank=3)
    asked = {"text": TEXT, "rerank": 3}
    assert len(client.post("/api/search", json=asked).json()["hits"]) == 3
    assert client.post("/api/search", json={**asked, "sure": True}).json()["hits"] == []
    assert "% sure" in client.get("/", params={"q": TEXT, "apart": True}).text
    assert "Nothing matches." in client.get("/", params={"q": TEXT, "sure": True}).text


def test_without_a_calibration_there_is_an_order_and_no_probability(serve) -> None:
    client = serve()
    hits = client.post("/api/search", json={"text": TEXT, "rerank": 2}).json()["hits"]
    assert [hit["probability"] for hit in hits] == [None] * len(hits)
    refused = client.post("/api/search", json={"text": TEXT, "rerank": 2, "sure": True})
    assert refused.status_code == 400 and "--calibration" in message(refused)


def test_rerank_scores_media_by_yes_and_no(serve, index) -> None:
    client = serve()
    name = id_of(client, "flags.mp4")
    documents = [{"video": f"{name}@0-2"}, {"video": f"{name}@4-6"}]
    body = {"query": TEXT, "documents": documents, "scoring": "match"}
    results = client.post("/v1/rerank", json=body).json()["results"]
    told = {row["index"]: row["relevance_score"] for row in results}
    film = index.files()[0].path
    clips = [
        index.embedder.features(Excerpt(film, Span(*span))) for span in ((0.0, 2.0), (4.0, 6.0))
    ]
    matcher = Matcher(index.embedder)
    own = matcher.calibration.probabilities(matcher.log_odds(clips, [TEXT] * 2))
    assert np.allclose([told[0], told[1]], own, atol=1e-4)
    texts = client.post("/v1/rerank", json={**body, "documents": ["a text"]})
    assert texts.status_code == 400 and "is a text" in message(texts)
