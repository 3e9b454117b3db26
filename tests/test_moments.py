"""Moments of one video: real decoding, a model that sees colours, indexed and not."""

import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kinoscope.embedder import Embedder
from kinoscope.errors import MediaError, UsageError
from kinoscope.index.handle import Index
from kinoscope.moments import REFINED, find_moments, locate
from kinoscope.samples import write_video
from kinoscope.sheets import COLUMNS, THUMB, WIDTH, draw_hits, draw_moments, frames_at
from kinoscope.spans import MOST_SHARED
from kinoscope.types import ClipEmbeddings, Features, Hit, Span, States

COLOURS = {"red": (200, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 200)}
SECONDS = ["blue"] * 6 + ["red"] * 4 + ["blue"] * 8 + ["red"] * 2 + ["green"] * 4


class Colours:
    """A backbone whose vector is the mean colour of a clip, or the colour that a text names."""

    model, weights, prompts, head, max_tokens = "colours", "w", "p", "mean", 99
    dimension, centre_D, limits = 3, None, ()
    kinds = frozenset({"text", "video", "image"})

    def __init__(self) -> None:
        self.read: list[int] = []

    def count_tokens(self, text):
        return len(text)

    def vision(self, frames):
        return Features(frames.rgb_FHWC.mean(axis=(1, 2), dtype=np.float32), frames.times_F)

    def states(self, contents):
        rows = [
            np.array(COLOURS[c.text]) if c.clip is None else c.clip.values_F.mean(axis=0)
            for c in contents
        ]
        self.read.append(len(contents))
        states = np.array(rows, np.float32)[:, None]
        yield list(range(len(rows))), States(states, np.ones(states.shape[:2], np.bool_))


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    """24 s: blue, four red seconds, blue, two red ones, green; 4 frames a second."""
    path = tmp_path_factory.mktemp("film") / "colours.mp4"
    pictures = (np.full((48, 64, 3), COLOURS[name], np.uint8) for name in SECONDS for _ in range(4))
    write_video(path, pictures, fps=4)
    return path


@pytest.fixture
def embedder() -> Embedder:
    return Embedder(Colours())


def spans(located) -> list[tuple[float, float]]:
    return [(m.span.start_s, m.span.end_s) for m in located.moments]


def test_moments_are_found_where_they_are(film, embedder) -> None:
    red = find_moments(embedder, film, "red", k=2, refine=False)
    first, second = (moment.span for moment in red.moments)
    assert first.overlap_s(Span(6, 10)) == 4 and first.duration_s <= 8
    assert second.overlap_s(Span(18, 20)) == 2
    assert min(moment.score for moment in red.moments) > 0.2
    (green,) = find_moments(embedder, film, "green", k=1).moments
    assert green.span.iou(Span(20, 24)) >= 0.5
    assert all(0 <= m.span.start_s < m.span.end_s <= 24 for m in red.moments)


def test_a_refined_moment_has_the_cosine_of_its_own_frames(film, embedder) -> None:
    windows = find_moments(embedder, film, "red", k=5, refine=False)
    assert all(moment.cosine is None for moment in windows.moments)
    found = find_moments(embedder, film, "red", k=5)
    assert sorted(spans(found)) == sorted(spans(windows))
    assert [moment.rank for moment in found.moments] == list(range(1, len(found.moments) + 1))
    known = [moment for moment in found.moments if moment.cosine is not None]
    assert len(known) == min(REFINED, len(found.moments))
    with_scores = [moment.score for moment in known]
    assert with_scores == sorted(with_scores, reverse=True)
    for moment in known:
        inside = range(int(moment.span.start_s), int(moment.span.end_s))
        mean = np.mean([COLOURS[SECONDS[s]] for s in inside], axis=0)
        expected = mean @ COLOURS["red"] / np.linalg.norm(mean) / np.linalg.norm(COLOURS["red"])
        assert moment.cosine == pytest.approx(expected, abs=0.03), "codecs change colours a little"


def test_refining_puts_the_better_moment_first() -> None:
    """Windows say the first is better; by themselves the second is."""
    aim, off = np.array([1.0, 0.0], np.float32), np.array([0.0, 1.0], np.float32)
    rows = [off, *(aim if n in (1, 2, 5) else off for n in range(8))]
    clips = ClipEmbeddings(
        (Span(0, 8), *(Span(n, n + 1) for n in range(8))), ("whole", *["1s"] * 8), np.stack(rows)
    )
    plain = locate(clips, aim, k=2)
    assert spans(plain) == [(1, 3), (5, 6)]
    own = {Span(1, 3): off, Span(5, 6): aim}
    asked: list[Span] = []

    def embed(some):
        asked.extend(some)
        return np.stack([own[span] for span in some])

    assert spans(locate(clips, aim, k=2, embed=embed)) == [(5, 6), (1, 3)]
    assert asked == [Span(1, 3), Span(5, 6)]


def test_an_indexed_video_gives_the_same_moments_without_reading_it(
    film, embedder, tmp_path
) -> None:
    copy = tmp_path / "films" / "copy.mp4"
    copy.parent.mkdir()
    copy.write_bytes(film.read_bytes())
    index = Index.open(tmp_path / "index", embedder, create=True)
    index.add(copy.parent)
    expected = find_moments(embedder, film, "red")
    found = find_moments(index, copy, "red")
    assert found.moments == expected.moments
    (tmp_path / "link.mp4").symlink_to(copy)
    embedder.backbone.read.clear()
    assert spans(find_moments(index, tmp_path / "link.mp4", "red", refine=False))
    assert embedder.backbone.read == [1], "the text alone"
    other = find_moments(index, film, "red")
    assert other.moments == expected.moments, "a file that is not indexed is embedded now"
    made, stored = embedder.encode_video(copy), index.stored(copy)
    assert (stored.spans, stored.scales) == (made.spans, made.scales)
    np.testing.assert_allclose(stored.vectors_ND, made.vectors_ND, atol=1e-6)


def test_a_changed_file_is_read_and_one_that_is_away_is_not(film, embedder, tmp_path) -> None:
    copy = tmp_path / "films" / "copy.mp4"
    copy.parent.mkdir()
    copy.write_bytes(film.read_bytes())
    index = Index.open(tmp_path / "index", embedder, create=True)
    index.add(copy.parent)
    os.utime(copy, (1, 1))
    assert index.stored(copy) is None
    copy.unlink()
    assert spans(find_moments(index, copy, "green", refine=False))
    with pytest.raises(MediaError, match="does not exist"):
        find_moments(index, copy, "green")


@pytest.mark.parametrize("k", [0, -1, 2.5, True])
def test_a_wrong_count_is_named(film, embedder, k) -> None:
    with pytest.raises(UsageError, match=f"k {k}"):
        find_moments(embedder, film, "red", k=k)


# --- pictures


def test_the_picture_shows_frames_over_the_curve(film, embedder, tmp_path) -> None:
    located = find_moments(embedder, film, "red", k=2)
    draw_moments(film, located, "red\nthings \u2603", tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as image:
        assert image.format == "PNG"
        assert image.width == WIDTH
        row = [image.getpixel((int((n + 0.5) * WIDTH / 8), 34 + 40)) for n in range(8)]
    names = [min(COLOURS, key=lambda c: np.abs(np.subtract(COLOURS[c], p)).sum()) for p in row]
    assert names == [SECONDS[int((n + 0.5) * 3)] for n in range(8)]


def test_frames_are_those_on_screen_and_behind_the_end_those_before(film) -> None:
    red, green, behind = frames_at(film, np.array([7.0, 21.0, 99.0]))
    assert red[24, 32].argmax() == 0
    assert green[24, 32].argmax() == 1
    assert (behind == green).all()
    same = frames_at(film, np.array([7.0, 7.01]))
    assert (same[0] == same[1]).all()


def test_a_sheet_has_a_frame_or_a_reason_for_each_hit(film, tmp_path) -> None:
    def hit(rank: int, path: Path, start_s: float) -> Hit:
        return Hit(rank=rank, path=path, span=Span(start_s, start_s + 2), score=0.1, cosine=0.1)

    hits = [hit(1, film, 7), hit(2, tmp_path / "gone.mp4", 0), hit(3, film, 21)]
    draw_hits([*hits, hit(4, film, 0), hit(5, film, 2)], tmp_path / "sheet.PNG")
    with Image.open(tmp_path / "sheet.PNG") as image:
        assert image.size == (COLUMNS * THUMB[0], 2 * (THUMB[1] + 34))
        middles = [image.getpixel((int((n + 0.5) * THUMB[0]), THUMB[1] // 2)) for n in range(3)]
    assert np.argmax(middles[0]) == 0
    assert middles[1] == (255, 255, 255)
    assert np.argmax(middles[2]) == 1
    with pytest.raises(UsageError, match="nothing matches"):
        draw_hits([], tmp_path / "sheet.png")
    for name, words in {"a.jpg": "name it a.png", "none/a.png": "does not exist"}.items():
        with pytest.raises(UsageError, match=words):
            draw_hits(hits, tmp_path / name)


# --- the command


def test_the_command_prints_moments_and_draws_them(run, film, tmp_path) -> None:
    words = ["--model", "concepts", "-k", "2", "--no-refine"]
    picture = tmp_path / "out.png"
    code, out, err = run("moments", film, "a traffic light", "--json", "--picture", picture, *words)
    assert (code, err) == (0, "")
    rows = [json.loads(line) for line in out.splitlines()]
    assert set(rows[0]) == {"query", "path", "rank", "start_s", "end_s", "score", "cosine"}
    assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
    found = [Span(row["start_s"], row["end_s"]) for row in rows]
    for a, b in itertools.combinations(found, 2):
        assert a.overlap_s(b) <= MOST_SHARED * min(a.duration_s, b.duration_s)
    assert picture.stat().st_size > 1000


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["FILM", " "], 2, "text is empty"),
        (["FILM", "x", "-k", "0"], 2, "k 0"),
        (["none.mp4", "x"], 3, "none.mp4 does not exist"),
        (["FILM", "x", "--picture", "out.gif"], 2, "name it out.png"),
        (["FILM", "x", "--index", "no-index"], 4, "no index at"),
    ],
)
def test_a_mistake_gets_one_sentence(
    run, film, tmp_path, monkeypatch, words, code, sentence
) -> None:
    monkeypatch.setenv("KINOSCOPE_INDEX", str(tmp_path / "none"))
    got, out, err = run("moments", *[word.replace("FILM", str(film)) for word in words])
    assert (got, out) == (code, ""), err
    assert sentence in err
    assert len(err.splitlines()) == 1
