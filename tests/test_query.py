"""Queries of every kind: one path, calibrated exclusion, examples that count as much as a text."""

import math
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinoscope import exclusion
from kinoscope.documents import Excerpt, file_or_piece
from kinoscope.embedder import Embedder
from kinoscope.errors import MediaError, UsageError
from kinoscope.filters import Filters
from kinoscope.grouping import search_groups
from kinoscope.index.handle import Index
from kinoscope.index.store import Store
from kinoscope.query import Query
from kinoscope.retrieval import query_vectors, search
from kinoscope.samples import write_video
from kinoscope.types import Frames, Span
from tests.made_index import D, clips, direction, made_index, random_clips, random_units, unit

WANTED, UNWANTED = "a park", "a dog"


def found(hits) -> list[tuple]:
    return [(hit.path.stem, hit.span.start_s, hit.span.end_s) for hit in hits]


def placed(wanted: float, unwanted: float, seed: int) -> np.ndarray:
    """A unit vector [D] with these cosines to the two texts, else in a random direction."""
    texts_D2 = np.stack([direction(WANTED), direction(UNWANTED)], axis=1).astype(np.float64)
    inside_D = texts_D2 @ np.linalg.solve(texts_D2.T @ texts_D2, [wanted, unwanted])
    aside_D = np.random.default_rng(seed).normal(size=D)
    aside_D -= texts_D2 @ np.linalg.lstsq(texts_D2, aside_D, rcond=None)[0]
    rest = math.sqrt(1 - inside_D @ inside_D)
    return unit(inside_D + rest * aside_D / np.linalg.norm(aside_D))


@pytest.fixture
def parks(tmp_path) -> Index:
    """Thirty clips of nothing much, two good parks, and a still better one with a dog in it."""
    rng = np.random.default_rng(5)
    plain = {
        f"plain{n}": clips(placed(*rng.uniform(-0.1, 0.1, 2), n)[None], length_s=4.0)
        for n in range(30)
    }
    good = {"first": (0.60, 0.0), "second": (0.55, 0.05), "dog": (0.62, 0.5)}
    shown = {name: clips(placed(*pair, 99)[None]) for name, pair in good.items()}
    return made_index(tmp_path / "index", {**plain, **shown})


def test_what_shows_the_excluded_thing_falls_behind_what_does_not(parks) -> None:
    assert [hit.path.stem for hit in search(parks, WANTED, k=3)] == ["dog", "first", "second"]
    hits = search(parks, Query(text=WANTED, excluded=(UNWANTED,)), k=33)
    assert [hit.path.stem for hit in hits][:2] == ["first", "second"]
    assert all(hit.penalty == 0 for hit in hits[:2]), "usual nearness costs nothing"
    (dog,) = [hit for hit in hits if hit.path.stem == "dog"]
    assert dog.penalty > 0.3
    assert dog.score == pytest.approx(dog.cosine - dog.penalty, abs=1e-6)


def test_the_threshold_is_on_what_the_penalty_leaves(parks) -> None:
    query = Query(text=WANTED, excluded=(UNWANTED,))
    assert [h.path.stem for h in search(parks, query, threshold=0.5)] == ["first", "second"]


def test_filters_change_no_score(parks) -> None:
    query = Query(text=WANTED, excluded=(UNWANTED,))
    by_name = {hit.path: hit.score for hit in search(parks, query, k=40)}
    some = search(parks, query, k=40, filters=Filters(name="*o*.mp4"))
    assert {hit.path.stem for hit in some} == {"dog", "second"}
    assert all(hit.score == by_name[hit.path] for hit in some)


def test_too_small_a_library_says_that_it_excludes_nothing(tmp_path) -> None:
    index = made_index(tmp_path / "index", {"a": random_clips(3)})
    with pytest.warns(UserWarning, match="3 clips, too few to say what is usual"):
        hits = search(index, Query(text=WANTED, excluded=(UNWANTED,)))
    assert found(hits) == found(search(index, WANTED))


def naive(index: Index, excluded: tuple[str, ...], k: int) -> list[tuple]:
    """Every window, by its cosine less what each text costs; overlaps are passed over."""
    table, wanted_D = index.store.clips(), direction(WANTED).astype(np.float64)
    windows = [n for n, scale in enumerate(table.scales) if scale != "whole"]
    rows_ND = table.vectors_ND[windows].astype(np.float64)
    wanted_N = rows_ND @ wanted_D
    worth_N = wanted_N.copy()
    for text in excluded:
        near_N = rows_ND @ direction(text).astype(np.float64)
        slope = min(1.0, max(0.0, float(np.polyfit(wanted_N, near_N, 1)[0])))
        rest_N = near_N - slope * wanted_N
        above_N = rest_N - np.median(rest_N)
        scale = 1.4826 * np.median(np.abs(above_N))
        unit_ = 1.4826 * np.median(np.abs(wanted_N - np.median(wanted_N)))
        beyond_N = np.maximum(0.0, above_N / scale - exclusion.FREE)
        worth_N = worth_N - exclusion.STRENGTH * unit_ * beyond_N
    kept: list[int] = []
    for place in np.lexsort((np.arange(len(windows)), -worth_N)):
        n = windows[place]
        mine = [o for o in kept if table.video_ids[o] == table.video_ids[n]]
        if not any(
            table.start_s_N[n] < table.end_s_N[o] and table.start_s_N[o] < table.end_s_N[n]
            for o in mine
        ):
            kept.append(n)
    return [(table.video_ids[n], table.start_s_N[n], table.end_s_N[n]) for n in kept[:k]]


@given(
    lengths=st.lists(st.integers(5, 30), min_size=2, max_size=4),
    k=st.integers(1, 12),
    excluded=st.lists(st.sampled_from(["a dog", "rain", "a car"]), min_size=1, max_size=3),
    seed=st.integers(0, 99),
)
@settings(max_examples=20)
def test_search_with_exclusions_equals_the_naive_twin(
    tmp_path_factory, lengths, k, excluded, seed
) -> None:
    videos = {f"v{i}": random_clips(n, seed=seed + i) for i, n in enumerate(lengths)}
    index = made_index(tmp_path_factory.mktemp("twin") / "index", videos)
    hits = search(index, Query(text=WANTED, excluded=tuple(excluded)), k=k)
    assert found(hits) == naive(index, tuple(excluded), k)


def test_a_text_outweighs_no_example_and_no_example_a_text(tmp_path) -> None:
    """Two texts stand for parts whose cosines spread unlike: each has its say."""
    wide_D, narrow_D = direction(WANTED), direction(UNWANTED)
    rows = [placed(w, n, s) for s, (w, n) in enumerate([(0.6, 0.0), (0.0, 0.06), (0.45, 0.06)])]
    rng = np.random.default_rng(2)
    rest = [placed(rng.normal(0, 0.1), rng.normal(0, 0.01), s) for s in range(10, 60)]
    index = made_index(
        tmp_path / "index", {f"v{n}": clips(row[None]) for n, row in enumerate([*rows, *rest])}
    )
    both = search(index, Query(text=WANTED, like=({"text": UNWANTED},)), k=1)
    assert both[0].path.stem == "v2"
    plain = search(index, unit(wide_D.astype(np.float64) + narrow_D), k=1)
    assert plain[0].path.stem == "v0", "an even sum follows the part that spreads wider"


def test_a_query_of_text_alone_is_the_text(tmp_path) -> None:
    index = made_index(tmp_path / "index", {"a": random_clips(9), "b": random_clips(5, 1)})
    assert search(index, Query(text=WANTED)) == search(index, WANTED)


# --- names


@pytest.mark.parametrize(
    ("name", "path", "span"),
    [
        ("a.mp4", "a.mp4", None),
        ("a.mp4@12-17", "a.mp4", (12.0, 17.0)),
        ("a@b.mp4@0:38.5-1:02:00", "a@b.mp4", (38.5, 3720.0)),
        ("user@host.mp4", "user@host.mp4", None),
    ],
)
def test_a_name_is_a_file_or_a_piece_of_one(name, path, span) -> None:
    expected = Path(path) if span is None else Excerpt(Path(path), Span(*span))
    assert file_or_piece(name) == expected


def test_a_file_that_is_named_like_a_piece_is_that_file(tmp_path) -> None:
    file = tmp_path / "a.mp4@12-17"
    file.touch()
    assert file_or_piece(str(file)) == file


@pytest.mark.parametrize(
    "name",
    ["a.mp4@50-40", "a.mp4@4-4", "a.mp4@1:2:3:4-9", "a.mp4@.-3", f"a.mp4@0-{'9' * 400}:00"],
    ids=range(5),
)
def test_an_impossible_piece_is_refused(name) -> None:
    with pytest.raises(UsageError, match=r"^a\.mp4@"):
        file_or_piece(name)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "query is empty"),
        ({"text": " "}, "text is empty"),
        ({"image": "a.png", "video": "a.mp4"}, "a picture and a video"),
        ({"text": "a dog", "excluded": ("A  Dog.",)}, "both looked for and excluded"),
        ({"text": "a dog", "excluded": "cat"}, "give a list"),
        ({"text": "a dog", "excluded": ("",)}, "text is empty"),
        ({"text": "a dog", "like": (7,)}, "type int"),
        ({"excluded": ("a dog",)}, "query is empty"),
        ({"text": "tree " * 20_000}, "100000 bytes"),
        ({"image": Excerpt(Path("a.png"), Span(0, 1))}, "a picture has no seconds"),
    ],
)
def test_a_query_that_cannot_be_is_named(fields, words) -> None:
    with pytest.raises(UsageError, match=words):
        Query(**fields)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"since": 9, "until": 8}, "since 9 is above until 8"),
        ({"min_duration_s": 5, "max_duration_s": 4.5}, "min_duration_s 5 is above"),
        ({"name": " "}, "name is empty"),
        ({"until": math.nan}, "until nan"),
    ],
)
def test_filters_that_let_nothing_through_are_named(fields, words) -> None:
    with pytest.raises(UsageError, match=words):
        Filters(**fields)


def test_a_pattern_is_for_the_name_or_for_the_whole_path(tmp_path) -> None:
    index = made_index(tmp_path / "index", {"a": random_clips(2), "ab": random_clips(9, 1)})

    def named(**fields: object) -> set[str]:
        return {hit.path.stem for hit in search(index, WANTED, k=20, filters=Filters(**fields))}

    assert named(name="a?.mp4") == {"ab"}
    assert named(name="*/films/*") == {"a", "ab"}
    assert named(name="films") == set()
    assert named(max_duration_s=10) == {"a"}
    assert named(until=4.9) == set()
    assert named(until=5.0) == {"a", "ab"}


# --- real video, real model


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder.load(threads=1)


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    """Two films of 12 s at 5 frames a second, another pattern every four seconds."""
    folder = tmp_path_factory.mktemp("films")
    for seed, name in enumerate(("one.mp4", "two.mp4")):
        rng = np.random.default_rng(seed)
        patterns = rng.integers(0, 256, (3, 4, 6, 3), dtype=np.uint8)
        pictures = patterns.repeat(16, axis=1).repeat(16, axis=2).repeat(20, axis=0)
        write_video(folder / name, pictures, fps=5)
    return folder


@pytest.fixture(scope="module")
def library(films, embedder, tmp_path_factory) -> Path:
    """Tests must not change it."""
    folder = tmp_path_factory.mktemp("library") / "index"
    Index.open(folder, embedder, create=True).add(films)
    return folder


def test_a_piece_is_the_window_that_an_index_has_there(films, embedder) -> None:
    made = embedder.encode_video(films / "one.mp4")
    for span in (Span(0, 4), Span(4, 8), Span(8, 12)):
        (row,) = [n for n, each in enumerate(made.spans) if each == span and n]
        piece_D = embedder.encode_query(Excerpt(films / "one.mp4", span))
        assert piece_D @ made.vectors_ND[row] >= 0.9999
    with pytest.raises(UsageError, match="windows are cut of a whole video"):
        embedder.encode_video(Excerpt(films / "one.mp4", Span(0, 4)))


def test_a_piece_of_video_finds_itself(run, library, films) -> None:
    import json

    code, out, err = run(
        "search", "--video", f"{films / 'two.mp4'}@0:04-0:08", "-k", 1, "--json", "--index", library
    )
    assert (code, err) == (0, "")
    hit = json.loads(out)
    assert (hit["path"], hit["start_s"]) == (str(films / "two.mp4"), 4.0)
    assert hit["cosine"] >= 0.9999
    assert hit["query"].endswith("two.mp4@4-8")
    code, out, _ = run("search", "--like", films / "one.mp4", "--videos", "--index", library)
    assert (code, "one.mp4" in out.splitlines()[0]) == (0, True)
    words = ["a pattern", "--like", films / "one.mp4", "--not", "a dog", "--json"]
    code, out, err = run("search", *words, "--index", library)
    assert (code, err) == (0, "")
    assert all(json.loads(line)["penalty"] >= 0 for line in out.splitlines())


def snapshot(folder: Path) -> object:
    store = Store.open(folder)
    return store.versions(), store.files(), sorted(store.clips().clip_ids)


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--video", "FILMS/one.mp4@50-40"], 2, "a piece begins before it ends"),
        (["--video", "FILMS/one.mp4@50-60"], 2, "the video ends at 12.00 s"),
        (["--video", "FILMS/one.mp4@10-13"], 2, "the video ends at 12.00 s"),
        (["--video", "FILMS/one.mp4@later"], 2, "write FILE@START-END"),
        (["--video", "FILMS/none.mp4"], 3, "none.mp4 does not exist"),
        (["--video", "FILMS/none.mp4@1-2"], 3, "none.mp4 does not exist"),
        (["--video", "BROKEN"], 3, "is not a video that can be read"),
        (["--image", "BROKEN"], 3, "is not a picture"),
        (["--like", "BROKEN", "a dog"], 3, "is not a video that can be read"),
        (["--edit", "at night"], 2, "say what it is an edit of"),
        (["--video", "FILMS/one.mp4", "--edit", "at night"], 2, "cannot compose"),
        (["a dog", "--video", "FILMS/one.mp4"], 2, "write --edit"),
        (["a dog", "--not", "a DOG"], 2, "both looked for and excluded"),
        (["a dog", "--not", ""], 2, "text is empty"),
        (["--not", "a dog"], 2, "the query is empty"),
        ([], 2, "the query is empty"),
        (["tree " * 20_000], 2, "the text has 100000 bytes"),
        (["a dog", "--since", "2d", "--until", "3d"], 2, "nothing is between"),
        (["a dog", "--until", "soon"], 2, "--until 'soon'"),
    ],
)
def test_a_mistake_gets_one_sentence_and_leaves_the_index(
    run, library, films, tmp_path, words, code, sentence
) -> None:
    broken = tmp_path / "broken.bin"
    broken.write_bytes(b"no film at all")
    words = [word.replace("FILMS", str(films)).replace("BROKEN", str(broken)) for word in words]
    before = snapshot(library)
    got, out, err = run("search", *words, "--index", library)
    assert (got, out) == (code, ""), err
    assert sentence in err
    assert len(err.splitlines()) == 1
    assert snapshot(library) == before


def test_a_picture_finds_the_film_it_is_of(run, library, films, tmp_path) -> None:
    from PIL import Image

    from kinoscope.video import VideoReader

    with VideoReader(films / "two.mp4", side_px=None) as reader:
        (frames,) = reader.sample([5.0])
    Image.fromarray(frames.rgb_FHWC[0]).save(tmp_path / "frame.png")
    shutil.copy(tmp_path / "frame.png", tmp_path / "FRAME.PNG")
    for name in ("frame.png", "FRAME.PNG"):
        code, out, _ = run("search", "--image", tmp_path / name, "-k", 1, "--index", library)
        assert (code, "two.mp4" in out) == (0, True)


def test_frames_in_memory_ask_as_well(library, films, embedder) -> None:
    index = Index.open(library, embedder)
    rgb = np.random.default_rng(1).integers(0, 256, (2, 260, 260, 3), dtype=np.uint8)
    query = Query(like=(Frames(rgb, np.array([0.5, 1.5])), films / "one.mp4"))
    assert str(query) == f"like frames + like {films / 'one.mp4'}"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(search(index, query, k=3)) == 3
    with pytest.raises(MediaError, match="does not exist"):
        search(index, Query(video=films / "none.mp4"))


def test_random_rows_are_no_better_for_being_excluded(tmp_path) -> None:
    index = made_index(tmp_path / "index", {"a": clips(random_units(40))})
    query = Query(text=WANTED, excluded=(UNWANTED, "rain"))
    scores = {h.span: h.score for h in search(index, WANTED, k=50)}
    hits = {h.span: h for h in search(index, query, k=50)}
    shared = scores.keys() & hits.keys()
    assert shared
    assert all(hits[span].score == scores[span] - hits[span].penalty for span in shared)
    assert any(hits[span].penalty > 0 for span in shared)


def test_queries_may_be_encoded_elsewhere(parks) -> None:
    """As where those of many clients go through the model together."""
    asked = []

    def encode(documents):
        asked.append(len(documents))
        return parks.embedder.encode_query(list(documents))

    for query in (WANTED, Query(text=WANTED, like=("a lake",), excluded=(UNWANTED,))):
        elsewhere = query_vectors(parks, query, encode=encode)
        assert found(search(parks, elsewhere, k=9)) == found(search(parks, query, k=9))
    groups = search_groups(parks, elsewhere, by="video", k=5)
    assert [g.best for g in groups] == [
        g.best for g in search_groups(parks, query, by="video", k=5)
    ]
    assert asked == [1, 3], "all texts of a query go through the model together"
