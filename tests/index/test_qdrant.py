"""Qdrant behind the same protocol, in the client's local mode: the answers of an exact search."""

import warnings

import numpy as np
import pytest

from kinoscope.errors import IndexFault, UsageError
from kinoscope.filters import Filters
from kinoscope.index.derived import open_derived
from kinoscope.index.qdrant import Qdrant
from kinoscope.index.vectors import Among, ExactSearcher
from kinoscope.retrieval import search
from tests.made_index import made_index, random_clips, random_units, row

qdrant_client = pytest.importorskip("qdrant_client")


@pytest.fixture
def target():
    client = qdrant_client.QdrantClient(":memory:")
    yield Qdrant(client, "films")
    client.close()


@pytest.fixture(autouse=True)
def quiet():
    """Local mode has no indexes and looks at every point, and says so."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Payload indexes have no effect")
        warnings.filterwarnings("ignore", message="Local mode performs exact")
        yield


@pytest.fixture
def index(tmp_path):
    return made_index(tmp_path / "index", {f"v{n}": random_clips(20, n) for n in range(8)})


def test_searches_through_it_give_the_same_hits(index, target) -> None:
    assert target.push(index.derived()) == 8 * 21
    for query in ("a dog", "rain on a window", random_units(1, seed=4)[0]):
        for wanted in (Filters(), Filters(name="v[1-3].mp4"), Filters(min_duration_s=1)):
            for scale in ("moments", "videos"):
                want = search(index, query, k=7, filters=wanted, scale=scale)
                through = index.through(target)
                assert search(through, query, k=7, filters=wanted, scale=scale) == want
                assert want


def test_it_is_the_server_that_is_asked(index, target, monkeypatch) -> None:
    target.push(index.derived())
    through = index.through(target)
    search(through, "a dog")
    monkeypatch.setattr(Qdrant, "nearest", lambda *_: pytest.fail("asked"))
    search(index, "a dog")
    with pytest.raises(pytest.fail.Exception, match="asked"):
        search(through, "a dog")


@pytest.mark.parametrize("allowed", [[2], [0, 1, 2, 3, 4, 6, 7], [1, 5]])
def test_filters_are_the_servers(index, target, allowed) -> None:
    derived = index.derived()
    target.push(derived)
    among = Among(kind="moment", allowed_V=np.isin(np.arange(8), allowed))
    mask = derived.moment_N & among.allowed_V[derived.catalog.video_N]
    searcher = target.searching(derived).searcher
    (rows,) = searcher.store.nearest(random_units(1), 15, among)
    assert len(rows) == 15
    assert mask[rows].all()
    want = ExactSearcher(derived.catalog.vectors_ND).top(random_units(1), 9, mask)
    assert np.array_equal(searcher.top(random_units(1), 9, mask, among)[1], want[1])


def test_an_index_that_has_changed_must_be_written_again(index, target) -> None:
    through = index.through(target)
    with pytest.raises(IndexFault, match="write it again"):
        search(through, "a dog")
    target.push(index.derived())
    assert search(through, "a dog")
    index.store.commit([("new", random_clips(2, 50))], [row("/films/new.mp4", "new")])
    with pytest.raises(IndexFault, match="write it again"):
        search(through, "a dog")
    target.push(index.derived())
    assert search(through, "a dog", k=3) == search(index, "a dog", k=3)
    names = [each.name for each in target.client.get_collections().collections]
    assert len(names) == 1, "earlier states are gone"


def test_what_was_half_written_is_begun_anew_and_never_found(index, target, monkeypatch) -> None:
    upsert, calls = target.client.upsert, []

    def stop(*given, **named):
        calls.append(given)
        raise OSError("the cable")

    monkeypatch.setattr(target.client, "upsert", stop)
    with pytest.raises(IndexFault, match=r"does not serve films \(the cable\)"):
        target.push(index.derived())
    assert not target.client.get_aliases().aliases
    with pytest.raises(IndexFault, match="write it again"):
        target.searching(index.derived())
    monkeypatch.setattr(target.client, "upsert", upsert)
    told = []
    assert target.push(index.derived(), progress=told.append) == told[-1] == 168


def test_other_tools_find_clips_under_the_name(index, target) -> None:
    derived = index.derived()
    target.push(derived)
    point = target.client.query_points("films", derived.catalog.vectors_ND[30].tolist(), limit=1)
    payload = point.points[0].payload
    video = int(derived.catalog.video_N[30])
    assert payload == {
        "video": video,
        "moment": True,
        "whole": False,
        "scale": "4s",
        "start_s": derived.catalog.start_s_N[30],
        "end_s": derived.catalog.end_s_N[30],
        "path": f"/films/v{video}.mp4",
    }


def test_collections_of_others_stay(index, target) -> None:
    models = qdrant_client.models
    size = models.VectorParams(size=4, distance=models.Distance.DOT)
    for name in ("films-2", "films--notes", "other"):
        target.client.create_collection(name, vectors_config=size)
    target.push(index.derived())
    names = {each.name for each in target.client.get_collections().collections}
    assert {"films-2", "films--notes", "other"} < names


@pytest.mark.parametrize("address", ["films", "ftp://host/films", "http:///films", ""])
def test_an_address_of_another_form_is_refused(address) -> None:
    with pytest.raises(UsageError, match="write http://HOST:6333/COLLECTION"):
        Qdrant.at(address)


@pytest.mark.parametrize("name", ["", "a/b", "film s", "x" * 65])
def test_a_name_that_is_none_is_refused(name) -> None:
    with pytest.raises(UsageError, match="collection"):
        Qdrant(None, name)


def test_a_server_that_is_not_there_is_a_sentence(index) -> None:
    target = Qdrant.at("http://127.0.0.1:9/films")
    with pytest.raises(IndexFault, match="does not serve films"):
        target.push(open_derived(index.store))
