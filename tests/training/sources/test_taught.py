"""Taught sources: nearest sentences, centring, what is kept, and videos that the teacher missed."""

import json

import numpy as np
import pytest
from PIL import Image

from kinoscope.errors import UsageError
from kinoscope.training.sources.pictures import PictureSource
from kinoscope.training.sources.protocol import NOT_JUDGED
from kinoscope.training.sources.taught import TaughtSource, centred, taught
from kinoscope.types import Features, States
from tests.training.sources.films import SAMPLING

COLOURS = {"red": (250, 10, 10), "green": (10, 250, 10), "blue": (10, 10, 250)}
TEXTS = [f"{prefix}{name}" for name in COLOURS for prefix in ("all is ", "it is ")]


class Colours:
    """A teacher that sees mean colours and reads their names; all vectors share a large part."""

    head, weights, prompts, dimension = "mean", "colours", "none", 4
    kinds, max_tokens, limits, centre_D = frozenset({"text", "video"}), 9, (), None

    def __init__(self) -> None:
        self.looks = self.reads = 0

    def vision(self, frames):
        self.looks += 1
        means_F3 = frames.rgb_FHWC.mean(axis=(1, 2)) / 255
        return Features(_with_shared(means_F3.astype(np.float32)), frames.times_F)

    def count_tokens(self, text):
        return len(text.split())

    def states(self, contents):
        for row, content in enumerate(contents):
            if content.clip is not None:
                values_TD = np.asarray(content.clip.values_F, np.float32)
            else:
                self.reads += 1
                name = content.text.split()[-1]
                bonus = 0.1 if content.text.startswith("it") else 0.0
                colour_3 = np.array(COLOURS[name], np.float32) / 255 + bonus
                values_TD = _with_shared(colour_3[None])
            yield [row], States(values_TD[None], np.ones((1, len(values_TD)), np.bool_))


def _with_shared(rows_N3):
    return np.concatenate([rows_N3, np.full((len(rows_N3), 1), 3.0, np.float32)], axis=1)


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, colour in enumerate(COLOURS.values()):
        Image.new("RGB", (150, 130), colour).save(folder / f"{number:05d}.jpg")
    kept = [(name, f"{number:064x}") for number, name in enumerate(COLOURS)]
    (folder / "pictures.json").write_text(json.dumps(kept))
    return PictureSource(folder, takes=2)


def with_vectors(source, numbers=range(6), nearest=2) -> TaughtSource:
    """By hand: video i points to colour i // 2, text i likewise."""
    rows = np.eye(3, dtype=np.float32).repeat(2, axis=0)
    tilt = np.array([[0, 0, 0], [0.1, 0, 0]] * 3, np.float32)[:, ::-1]
    texts = rows + tilt
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    return TaughtSource(source, TEXTS, list(numbers), rows[list(numbers)], texts, nearest=nearest)


def test_the_nearest_sentences_are_those_of_the_same_colour(source) -> None:
    found = with_vectors(source)
    for number in range(6):
        judged = found.example(number).judged
        assert {text.split()[-1] for text in judged.texts} == {list(COLOURS)[number // 2]}
        scores_K = judged.texts_KD @ judged.video_D
        assert (np.diff(scores_K) <= 0).all() and scores_K[-1] > 0.9


def test_they_are_those_of_a_naive_search(source) -> None:
    random = np.random.default_rng(0)
    rows = random.normal(size=(6, 5)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    found = TaughtSource(source, TEXTS, range(6), rows, rows[::-1].copy(), nearest=3)
    videos, texts = centred(rows), centred(rows[::-1])
    for number in range(6):
        scores = sorted(((float(videos[number] @ t), n) for n, t in enumerate(texts)), reverse=True)
        naive = [TEXTS[n] for _, n in scores[:3]]
        assert list(found.example(number).judged.texts) == naive


def test_what_all_have_in_common_is_taken_off(source) -> None:
    rows = np.array([[1.0, 0.1, 0.0], [1.0, -0.1, 0.0], [1.0, 0.0, 0.2]], np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rest = centred(rows)
    assert (rows @ rows.T).min() > 0.9 and (rest @ rest.T).min() < -0.3
    assert np.linalg.norm(rest, axis=1) == pytest.approx(1.0)
    with pytest.raises(UsageError, match="of 2 vectors one is their mean"):
        centred(np.ones((2, 3), np.float32))


def test_a_video_that_the_teacher_missed_is_not_judged(source) -> None:
    found = with_vectors(source, numbers=[0, 1, 2, 4])
    judged = [len(found.example(number).judged) for number in range(6)]
    assert judged == [2, 2, 2, 0, 2, 0]
    assert found.example(3).judged is NOT_JUDGED


def test_a_taught_source_shows_the_videos_of_the_other(source) -> None:
    found = with_vectors(source)
    assert len(found) == len(source) and found.name == source.name
    for number in (0, 3):
        assert found.key(number) == source.key(number)
        assert found.identity(number) == source.identity(number)
        assert found.number_of(source.key(number)) == number
        assert found.example(number) == source.example(number), "what else is known"
        one, two = found.frames(number, SAMPLING), source.frames(number, SAMPLING)
        assert (one.rgb_FHWC == two.rgb_FHWC).all()
    assert found.file(0) is None and found.problems is source.problems
    assert found.fingerprint != with_vectors(source, nearest=1).fingerprint
    assert found.fingerprint == with_vectors(source).fingerprint


def test_a_teacher_is_asked_once(source, tmp_path) -> None:
    teacher, heard = Colours(), []
    folder = tmp_path / "taught"
    first = taught(source, TEXTS, teacher, SAMPLING, folder=folder, tell=heard.append)
    assert (teacher.looks, teacher.reads, len(heard)) == (6, 6, 2)
    for number in range(6):
        assert first.example(number).judged.texts[0].split()[-1] == list(COLOURS)[number // 2]
    again = taught(source, TEXTS, teacher, SAMPLING, folder=folder)
    assert (teacher.looks, teacher.reads) == (6, 6)
    assert again.fingerprint == first.fingerprint
    (kept,) = (folder / "texts").iterdir()
    kept.write_bytes(b"damaged")
    assert taught(source, TEXTS, teacher, SAMPLING, folder=folder).fingerprint == first.fingerprint
    assert teacher.reads == 12, "damaged vectors are made anew"
    taught(source, TEXTS[:5], teacher, SAMPLING, folder=folder)
    assert teacher.reads == 17, "other sentences are read"


@pytest.mark.parametrize(("nearest", "kept"), [(1, 1), (4, 4), (7, 6)])
def test_there_are_as_many_sentences_as_are_asked_for(source, nearest, kept) -> None:
    assert len(with_vectors(source, nearest=nearest).example(0).judged) == kept


def test_no_sentences_are_refused(source) -> None:
    with pytest.raises(UsageError, match="nearest 0 of 6 sentences: give 1 or more of both"):
        with_vectors(source, nearest=0)
