"""Groups of hits: one a video, or one of what looks alike; sheets and players of the command."""

import itertools
import json
import math

import numpy as np
import pytest
from PIL import Image

from kinoscope.embedder import Embedder
from kinoscope.errors import UsageError
from kinoscope.filters import Filters
from kinoscope.grouping import NEARLY, search_groups, vectors_of
from kinoscope.index.handle import Index
from kinoscope.query import Query
from kinoscope.retrieval import query_vectors, search
from kinoscope.samples import write_video
from tests.made_index import clips, made_index, random_clips, random_units, unit
from tests.test_moments import COLOURS, Colours

QUERY = "a dog runs on the beach"


def places(group) -> list[tuple]:
    return [(hit.path.stem, hit.span.start_s) for hit in (group.best, *group.others)]


@pytest.fixture
def library(tmp_path) -> Index:
    return made_index(tmp_path / "index", {f"v{n}": random_clips(9, n) for n in range(6)})


@pytest.mark.parametrize("k", [1, 3, 6, 50])
def test_groups_of_videos_are_the_naive_ones(library, k) -> None:
    everything = search(library, QUERY, k=10_000)
    best = list(dict.fromkeys(hit.path for hit in everything))[:k]
    groups = search_groups(library, QUERY, by="video", k=k)
    assert [group.best.path for group in groups] == best
    assert [group.best.rank for group in groups] == list(range(1, len(best) + 1))
    for group in groups:
        own = [hit for hit in everything if hit.path == group.best.path]
        assert [h.span for h in (group.best, *group.others)] == [h.span for h in own][
            : 1 + len(group.others)
        ]
    if k == 50:
        assert sum(1 + len(group.others) for group in groups) == len(everything)


def copies_of(vector, count: int, seed: int, noise: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([unit(vector + noise * rng.normal(size=len(vector))) for _ in range(count)])


def test_what_looks_alike_is_one_hit_with_a_count(tmp_path) -> None:
    originals = random_units(3, seed=5)
    videos = {f"other{n}": random_clips(1, n) for n in range(30)}
    for name, vector in zip("abc", originals, strict=True):
        for n, row in enumerate(copies_of(vector, 3, ord(name), 0.02)):
            videos[f"{name}{n}"] = clips(row[None])
    index = made_index(tmp_path / "index", videos)
    groups = search_groups(index, QUERY, by="look", k=1000)
    held = {frozenset(name for name, _ in places(group)) for group in groups}
    for name in "abc":
        assert any({f"{name}{n}" for n in range(3)} <= each for each in held)
    reps = [group.best for group in groups]
    vectors = vectors_of(index.derived(), reps).astype(np.float64)
    for (_, a), (_, b) in itertools.combinations(zip(reps, vectors, strict=True), 2):
        assert 1 - a @ b > NEARLY * 0.5, "groups are apart, by about a tenth of what is usual"
    scores = [group.best.score for group in groups]
    assert scores == sorted(scores, reverse=True)


def test_filters_threshold_and_every_kind_of_query_hold_for_groups(library) -> None:
    only = search_groups(library, QUERY, by="video", filters=Filters(name="v2.mp4"))
    assert [group.best.path.stem for group in only] == ["v2"]
    assert search_groups(library, QUERY, by="look", threshold=2.0) == []
    query = Query(text=QUERY, excluded=("a cat",))
    groups = search_groups(library, query, by="video", k=2)
    assert groups[0].best == search(library, query, k=1)[0]
    asked = query_vectors(library, query)
    assert search(library, asked, k=5) == search(library, query, k=5)


def test_vectors_are_those_of_the_hits(library) -> None:
    hits = search(library, QUERY, k=20)
    vectors = vectors_of(library.derived(), hits)
    query_D = library.embedder.encode_query(QUERY).astype(np.float64)
    np.testing.assert_allclose(vectors @ query_D, [hit.cosine for hit in hits], atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"by": "colour"}, "group by 'colour': choose video or look"),
        ({"by": "video", "k": 0}, "k 0"),
        ({"by": "look", "k": 1.5}, "k 1.5"),
        ({"by": "look", "threshold": math.nan}, "threshold nan"),
    ],
)
def test_a_wrong_argument_is_named(library, arguments, words) -> None:
    with pytest.raises(UsageError, match=words):
        search_groups(library, QUERY, **arguments)


# --- the command


@pytest.fixture
def films(tmp_path, monkeypatch):
    """An index of a red film, its copy encoded anew, and a blue one; asked by colours."""
    folder = tmp_path / "films"
    folder.mkdir()
    for name, colour, side in (("red", "red", 64), ("again", "red", 48), ("blue", "blue", 64)):
        picture = np.full((48, side, 3), COLOURS[colour], np.uint8)
        write_video(folder / f"{name}.mp4", itertools.repeat(picture, 32), fps=4)
    made = Embedder(Colours())
    Index.open(tmp_path / "index", made, create=True).add(folder)
    monkeypatch.setattr(Index, "embedder", made)
    return tmp_path / "index"


def test_the_command_groups_draws_and_plays(run, films, tmp_path, monkeypatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda place: bool(opened.append(place)) or True)
    sheet = tmp_path / "sheet.png"
    words = ["red", "--index", films, "--group", "look", "--json", "--sheet", sheet, "--open"]
    code, out, err = run("search", *words)
    assert (code, err) == (0, "")
    red, blue = map(json.loads, out.splitlines())
    assert blue["path"].endswith("blue.mp4")
    assert {each["path"].rpartition("/")[2] for each in [red, *red["others"]]} == {
        "red.mp4",
        "again.mp4",
    }
    with Image.open(sheet) as image:
        assert image.getpixel((120, 60))[0] > 150
    (place,) = opened
    assert place.startswith("file:///")
    assert place.endswith(f".mp4#t={red['start_s']:g},{red['end_s']:g}")
    text = run("search", "red", "--index", films, "--group", "video", "-k", 2)[1]
    assert text.count("(+1 more)") == 2, "two windows of 4 s each"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["red", "--group", "size"], "choose video or look"),
        (["red", "--group", "look", "--videos"], "--group is for moments"),
        (["red", "--sheet", "sheet.gif"], "name it sheet.png"),
        (["-", "--open"], "for a single query"),
    ],
)
def test_options_that_do_not_go_together_are_named(run, films, words, sentence) -> None:
    code, out, err = run("search", *words, "--index", films)
    assert (code, out) == (2, "")
    assert sentence in err
    assert len(err.splitlines()) == 1


def test_without_a_player_the_place_is_told(run, films, monkeypatch) -> None:
    monkeypatch.setattr("webbrowser.open", lambda _place: False)
    code, out, err = run("search", "blue", "-k", 1, "--open", "--index", films)
    assert (code, len(out.splitlines())) == (0, 1)
    assert "nothing here can play file:///" in err
