"""Answers in words: from the right frames, with file and time, of one video and of a library."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest

from kinoscope import AskOptions, Embedder, Excerpt, Filters, Index, Span, answer, ask, ask_video
from kinoscope.answer import MOST_BYTES, ask_about, ask_hits
from kinoscope.backbones.likelihood import log_likelihoods
from kinoscope.backbones.speech import said
from kinoscope.calibration import Calibration
from kinoscope.errors import MediaError, UsageError
from kinoscope.moments import find_moments
from kinoscope.prompts import choice_prompt
from kinoscope.retrieval import search
from kinoscope.types import Content
from tests.test_moments import Colours

QUESTION = "what happens after the door opens?"
CHOICES = ("a fox runs", "a door that opens, then closes", "snow")
FEW = AskOptions(max_new_tokens=4)
SNOW = AskOptions(find="snow", max_new_tokens=4)


@pytest.fixture
def embedder(speaker):
    return speaker


@pytest.fixture
def films(colour_films):
    return colour_films


@pytest.fixture
def index(speaking_index):
    return speaking_index


def spans(answers) -> list[tuple[float, float]]:
    return [(each.span.start_s, each.span.end_s) for each in answers]


# --- one video


def test_a_short_video_is_asked_whole_and_a_long_one_at_its_moments(films, embedder) -> None:
    short, long = films / "short.mp4", films / "long.mp4"
    (whole,) = ask_video(embedder, short, QUESTION)
    assert (whole.rank, whole.path, whole.span, whole.hit) == (1, short, Span(0, 6), None)
    assert whole.text == embedder.answer(short, QUESTION)
    assert whole.log_likelihood < 0
    three = ask_video(embedder, long, QUESTION, options=FEW)
    found = find_moments(embedder, long, {"text": QUESTION}, k=3)
    assert [each.span for each in three] == [moment.span for moment in found.moments]
    assert [each.rank for each in three] == [1, 2, 3]
    (best,) = ask_video(embedder, long, QUESTION, k=1, options=SNOW)
    assert best.span == find_moments(embedder, long, {"text": "snow"}, k=1).moments[0].span


def test_an_answer_is_of_the_frames_that_it_cites(films, embedder) -> None:
    for each in ask_video(embedder, films / "long.mp4", QUESTION, k=2):
        clip = embedder.features(Excerpt(each.path, each.span))
        (words,) = said(embedder.backbone, [Content(clip=clip, text=QUESTION)])
        assert (each.text, each.complete) == (words.text, words.complete)
        assert each.log_likelihood == pytest.approx(words.log_likelihood, abs=1e-3)


def test_a_piece_that_is_named_is_asked_as_it_is(films, embedder) -> None:
    piece = Excerpt(films / "long.mp4", Span(3, 7))
    (found,) = ask_video(embedder, piece, QUESTION, options=FEW)
    assert (found.path, found.span) == (piece.path, piece.span)
    assert found.text == embedder.backbone.generate(
        [Content(clip=embedder.features(piece), text=QUESTION)], max_new_tokens=4
    )[0]  # fmt: skip
    with pytest.raises(UsageError, match="is asked about as it is"):
        ask_video(embedder, piece, QUESTION, k=2)
    with pytest.raises(UsageError, match="leave k and find out"):
        ask_video(embedder, piece, QUESTION, options=SNOW)
    behind = Excerpt(films / "short.mp4", Span(5, 12))
    with pytest.raises(UsageError, match=r"ends at 6\.00 s, choose a piece inside it"):
        ask_video(embedder, behind, QUESTION)


def test_the_likeliest_choice_is_the_answer_and_says_its_share(films, embedder) -> None:
    short = films / "short.mp4"
    (found,) = ask_video(embedder, short, QUESTION, options=AskOptions(choices=CHOICES))
    assert found.text == embedder.answer(short, QUESTION, options=CHOICES)
    clip = embedder.features(short)
    content = Content(clip=clip, text=choice_prompt(QUESTION, CHOICES))
    sums_K = log_likelihoods(embedder.backbone, [content] * 3, CHOICES).astype(np.float64)
    np.testing.assert_allclose(found.shares, np.exp(sums_K) / np.exp(sums_K).sum(), atol=1e-4)
    tokenizer = embedder.backbone.checkpoint.family.processor.tokenizer
    tokens = len(tokenizer(found.text, add_special_tokens=False)["input_ids"]) + 1
    assert found.log_likelihood == pytest.approx(sums_K.max() / tokens, abs=1e-4)
    assert CHOICES[int(np.argmax(found.shares))] == found.text


# --- a library


def test_a_library_is_asked_at_its_best_moments_in_their_order(index) -> None:
    hits = search(index, QUESTION, k=4)
    found = ask(index, QUESTION, k=4, options=FEW)
    assert [each.hit for each in found] == hits
    assert [(each.rank, each.path, each.span) for each in found] == [
        (hit.rank, hit.path, hit.span) for hit in hits
    ]
    places = [Excerpt(hit.path, hit.span) for hit in hits]
    alone = [ask_about(index.embedder, [place], QUESTION, options=FEW)[0] for place in places]
    assert [each.text for each in found] == [each.text for each in alone]
    np.testing.assert_allclose(
        [each.log_likelihood for each in found], [each.log_likelihood for each in alone], atol=1e-3
    )


def test_another_text_than_the_question_may_be_looked_for(index) -> None:
    found = ask(index, QUESTION, k=2, options=SNOW)
    assert [each.hit for each in found] == search(index, "snow", k=2)
    assert [each.text for each in found] == [
        each.text for each in ask_hits(index, search(index, "snow", k=2), QUESTION, options=FEW)
    ]


def test_more_moments_than_are_read_at_once_are_answered_the_same(index, monkeypatch) -> None:
    together = ask(index, QUESTION, k=5, options=FEW)
    monkeypatch.setattr(answer, "_GROUP", 2)
    apart = ask(index, QUESTION, k=5, options=FEW)
    assert [(a.rank, a.text, a.span) for a in apart] == [(a.rank, a.text, a.span) for a in together]


def test_what_is_around_a_moment_ends_with_the_video(index) -> None:
    hits = search(index, QUESTION, k=9)
    wide = ask_hits(index, hits, QUESTION, options=AskOptions(around_s=3.0, max_new_tokens=1))
    ends_s = {"short.mp4": 6.0, "long.mp4": 20.0}
    for each, hit in zip(wide, hits, strict=True):
        assert each.span.start_s == max(0.0, hit.span.start_s - 3.0)
        assert each.span.end_s == pytest.approx(min(ends_s[hit.path.name], hit.span.end_s + 3.0))
        assert each.hit == hit
    foreign = [replace(hits[0], path=hits[0].path.with_name("foreign.mp4"))]
    with pytest.raises(UsageError, match="is not in the index: ask about what its own search"):
        ask_hits(index, foreign, QUESTION, options=AskOptions(around_s=1.0))


def test_where_nothing_matches_there_is_no_answer(index) -> None:
    assert ask(index, QUESTION, threshold=2.0) == []
    assert ask(index, QUESTION, filters=Filters(name="none*")) == []
    only = ask(index, QUESTION, filters=Filters(name="short*"), options=FEW)
    assert {each.path.name for each in only} == {"short.mp4"}


# --- what cannot be asked


def test_a_model_without_words_says_so_before_anything_is_read(tmp_path) -> None:
    mute = Embedder(Colours())
    index = Index.open(tmp_path / "index", mute, create=True)
    for asked in (
        lambda: ask(index, QUESTION),
        lambda: ask_video(mute, tmp_path / "absent.mp4", QUESTION),
        lambda: ask_video(index, tmp_path / "absent.mp4", QUESTION),
        lambda: ask_about(mute, [], QUESTION),
    ):
        with pytest.raises(UsageError, match="colours model gives vectors, no words: load a multi"):
            asked()


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (" \n", "the question is empty: write it out"),
        (3, "a text of type int"),
        ("why " * 2_000, f"the question has 8000 bytes: put it in at most {MOST_BYTES}"),
        ("word " * 20_000, "the text has 100000 bytes: give at most 65536"),
        ("\ud800", "not valid Unicode"),
    ],
)
def test_a_question_that_is_none_is_refused(index, films, question, message) -> None:
    for asked in (
        lambda: ask(index, question),
        lambda: ask_video(index, films / "short.mp4", question),
        lambda: ask_about(index.embedder, [], question),
    ):
        with pytest.raises(UsageError, match=message):
            asked()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"choices": ("yes",)}, r"choices \['yes'\]: give a list of two or more"),
        ({"find": " "}, "the text to find is empty"),
        ({"choices": ("yes", " ")}, "the choice is empty: write it out"),
        ({"choices": ("yes", "no " * 2_000)}, "the choice has 6000 bytes"),
        ({"around_s": -1.0}, r"around_s -1\.0"),
        ({"around_s": float("nan")}, "around_s nan"),
        ({"max_new_tokens": 0}, "max_new_tokens 0: give at least 1"),
    ],
)
def test_options_that_say_nothing_are_refused(fields, message) -> None:
    with pytest.raises(UsageError, match=message):
        AskOptions(**fields)


def test_a_file_that_is_away_or_broken_is_named(films, embedder, tmp_path) -> None:
    with pytest.raises(MediaError, match=r"gone\.mp4 does not exist"):
        ask_video(embedder, tmp_path / "gone.mp4", QUESTION)
    (tmp_path / "text.mp4").write_text("no film")
    with pytest.raises(MediaError, match=r"text\.mp4"):
        ask_video(embedder, tmp_path / "text.mp4", QUESTION)
    with pytest.raises(UsageError, match="k 0: ask for at least 1 moment"):
        ask_video(embedder, films / "short.mp4", QUESTION, k=0)


# --- the command


@pytest.fixture
def command(run, index, monkeypatch):
    """`kinoscope ask` with the index's tiny model."""
    monkeypatch.setattr(Index, "embedder", index.embedder)

    def call(*words: object) -> tuple[int, str, str]:
        return run("ask", *words, "--index", index.store.folder)

    return call


def test_the_command_cites_file_and_time(command, index, films) -> None:
    code, out, err = command(QUESTION, "-k", 2, "--max-tokens", 4)
    assert (code, err) == (0, "")
    first, second = out.splitlines()
    assert first.startswith("  1  -") and second.startswith("  2  -")
    hit = search(index, QUESTION, k=1)[0]
    minutes = f"0:{hit.span.start_s:04.1f}-0:{hit.span.end_s:04.1f}"
    assert first.endswith(f"[{hit.path} {minutes}]")
    code, out, err = command(films / "short.mp4", QUESTION, "--max-tokens", 4)
    assert (code, err) == (0, "")
    assert out.endswith("short.mp4 0:00.0-0:06.0]\n")
    code, out, _ = command(f"{films / 'long.mp4'}@0:02-4", QUESTION, "--json")
    assert (code, json.loads(out)["start_s"], json.loads(out)["end_s"]) == (0, 2.0, 4.0)


def test_json_has_the_answer_its_certainty_and_how_it_was_found(command, index, films) -> None:
    words = [QUESTION, "--json", "--choices", "yes", "--choices", "no", "--find", "snow", "-k", 2]
    code, out, err = command(*words)
    assert (code, err) == (0, "")
    rows = [json.loads(line) for line in out.splitlines()]
    hits = search(index, "snow", k=2)
    for row, hit in zip(rows, hits, strict=True):
        assert row["question"] == QUESTION
        assert row["answer"] in ("yes", "no")
        assert sum(row["shares"]) == pytest.approx(1)
        assert (row["path"], row["start_s"], row["end_s"]) == (str(hit.path), *_ends(hit.span))
        assert (row["rank"], row["score"]) == (hit.rank, pytest.approx(hit.score))
        assert row["log_likelihood"] < 0 and row["complete"] is True
    row = json.loads(command(films / "short.mp4", QUESTION, "--json")[1])
    assert set(row) == {
        *("question", "rank", "answer", "path", "start_s", "end_s", "log_likelihood", "complete")
    }


def _ends(span: Span) -> tuple[float, float]:
    return span.start_s, span.end_s


def test_nothing_matches_is_an_answer_of_the_command(command, index, tmp_path) -> None:
    code, out, err = command(QUESTION, "--threshold", 2)
    assert (code, out) == (0, "")
    assert err == f"nothing matches {QUESTION!r}\n"
    file = tmp_path / "c.json"
    weights = index.embedder.backbone.weights
    Calibration(model=weights, threshold=1.0).write(file)
    sure = ["--rerank", 2, "--calibration", file, "--sure", "--max-tokens", 2]
    code, out, err = command(QUESTION, *sure)
    assert (code, out) == (0, "")
    assert "nothing matches" in err
    Calibration(model=weights, threshold=0.0).write(file)
    code, out, _ = command(QUESTION, *sure, "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [row["rank"] for row in rows] == [1, 2]
    assert all(0 < row["probability"] < 1 for row in rows)


def test_questions_are_read_one_a_line(command, monkeypatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("is it red?\n\nis it blue?\n"))
    code, out, _ = command("-", "-k", 1, "--max-tokens", 2)
    assert code == 0
    titles = [line for line in out.splitlines() if not line.startswith("  1  ")]
    assert titles == ["is it red?", "is it blue?"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([" "], "the question is empty"),
        (["word " * 20_000], "the text has 100000 bytes"),
        ([QUESTION, "--choices", "yes"], "give a list of two or more"),
        ([QUESTION, "--around", "-1"], "around_s -1.0"),
        ([QUESTION, "--sure"], "are of --rerank N"),
        ([QUESTION, "--since", "never"], "--since 'never'"),
        (["film.mp4", QUESTION, "--threshold", "0.1"], "leave them or the video out"),
        (["film.mp4", QUESTION, "--name", "*.mov"], "leave them or the video out"),
        (["film.mp4@9-3", QUESTION], "a piece begins before it ends"),
        (["film.mp4@1-3", QUESTION, "-k", "2"], "is asked about as it is"),
        ([QUESTION, "-k", "0"], "k 0: ask for at least 1"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(command, words, sentence) -> None:
    code, out, err = command(*words)
    assert (code, out) == (2, "")
    assert sentence in err
    assert len(err.splitlines()) == 1


def test_the_command_says_that_a_model_has_no_words(run, tmp_path, monkeypatch, films) -> None:
    mute = Embedder(Colours())
    folder = Index.open(tmp_path / "index", mute, create=True).store.folder
    monkeypatch.setattr(Index, "embedder", mute)
    for words in ([QUESTION], [films / "short.mp4", QUESTION]):
        code, out, err = run("ask", *words, "--index", folder)
        assert (code, out) == (2, "")
        assert err.count("\n") == 1 and "load a multimodal LLM, such as mini" in err


def test_an_unreadable_video_is_one_sentence(command, tmp_path) -> None:
    (tmp_path / "text.mp4").write_text("no film")
    code, out, err = command(tmp_path / "text.mp4", QUESTION)
    assert (code, out) == (3, "")
    assert len(err.splitlines()) == 1
