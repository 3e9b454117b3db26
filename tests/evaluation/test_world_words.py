"""Questions and matching: choices, priors and areas by hand, and what a tiny model says."""

from collections import Counter

import numpy as np
import pytest

from kinoscope import libraries
from kinoscope.backbones import mini
from kinoscope.backbones.likelihood import log_likelihoods
from kinoscope.backbones.mini import untrained_mini
from kinoscope.backbones.options import LoadOptions
from kinoscope.evaluation.world import answering
from kinoscope.evaluation.world.answering import match_margins, option_scores
from kinoscope.evaluation.world.matching import Pair, matching, pairs_of
from kinoscope.evaluation.world.questions import (
    Asked,
    answers_by_kind,
    asked_of,
    guessed,
    qa,
)
from kinoscope.evaluation.world.table import Measurement, System, World
from kinoscope.evaluation.world.videos import WorldVideos
from kinoscope.prompts import CHAT, MATCHES, choice_prompt
from kinoscope.training.sources import GeneratedSource
from kinoscope.training.world.questions import Question
from kinoscope.types import Content
from tests.evaluation.oracles import FPS, PLAIN, made_clip
from tests.tiny import moving_frames
from tests.tiny_mini import Tower, as_if_trained, tiny_mini_files

SOURCE = GeneratedSource("test", 8, config=PLAIN)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(mini, "open_session", lambda *_arguments: Tower())
        options = LoadOptions(batch_tokens=512)
        files = tiny_mini_files(tmp_path_factory.mktemp("mini"))
        yield as_if_trained(untrained_mini(files, layers=2, options=options))


@pytest.fixture(scope="module")
def videos(backbone):
    clips = [backbone.vision(moving_frames(4, 260, 260, n)) for n in range(len(SOURCE))]
    return WorldVideos(SOURCE, lambda n: clips[n].take(range(4)))  # another object each time


def question(kind="color", answer="red", options=("blue", "red"), video=0):
    made = Question(kind=kind, question="What?", answer=answer, options=options)
    return Asked(video=video, key=str(video), question=made)


def test_the_prior_is_the_answer_that_is_right_most_often_among_the_options():
    known = [question(answer=each, options=("red", "blue", "green")).question for each in
             ("red", "blue", "blue", "green", "green", "green")]  # fmt: skip
    counts = answers_by_kind(known)
    assert counts == {"color": Counter(green=3, blue=2, red=1)}
    asked = [
        question(answer="green", options=("red", "green")),
        question(answer="red", options=("red", "blue")),
        question(answer="pink", options=("pink", "white")),  # never seen: a guess
        question(kind="who", answer="a", options=("a", "b", "c", "d")),
    ]
    assert guessed(asked, counts).tolist() == [1, 0, 0.5, 0.25]


def test_accuracy_is_told_by_kind():
    asked = [question(), question(kind="who", video=1), question(video=1)]
    metrics, details = qa(asked, np.array([1.0, 0, 0]), np.array([0.5, 0.5, 1]))
    assert metrics["qa_accuracy"].value == pytest.approx(1 / 3)
    assert metrics["qa_prior"].value == pytest.approx(2 / 3)
    assert details["by_kind"]["color"] == {"n": 2, "accuracy": 0.5, "prior": 0.75, "chance": 0.5}
    assert details["by_kind"]["who"]["n"] == 1


def test_at_most_four_questions_are_asked_of_a_video_always_the_same():
    videos = WorldVideos(GeneratedSource("test", 40, config=PLAIN), made_clip)
    asked = asked_of(videos)
    assert asked == asked_of(videos)
    assert asked != asked_of(videos, seed=1)
    few = asked_of(videos.first(10))
    assert few == asked[: len(few)], "what is asked of a video depends on the others"
    assert set(Counter(one.video for one in asked).values()) <= {1, 2, 3, 4}
    assert len({one.question.kind for one in asked}) >= 10
    assert all(one.key == videos.keys[one.video] for one in asked)


def test_the_area_counts_all_true_texts_against_all_wrong_ones():
    pairs = [
        Pair(video=n, key=str(n), kind=kind, true="a", wrong="b")
        for n, kind in enumerate(("color", "color", "order"))
    ]
    true_N, wrong_N = np.array([3.0, 1.0, 2.0]), np.array([2.0, 1.0, 5.0])
    metrics, details = matching(pairs, true_N, wrong_N)
    assert metrics["matching_auc"].value == pytest.approx((2 + 0.5 + 1.5) / 9)
    assert metrics["matching_pairs"].value == pytest.approx((1 + 0.5 + 0) / 3)
    assert details["by_kind"]["color"] == {"n": 2, "auc": (2 + 0.5) / 4, "pairs": 0.75}
    assert matching(pairs, wrong_N + 9, wrong_N)[0]["matching_auc"].value == 1
    assert matching(pairs, wrong_N - 9, wrong_N)[0]["matching_auc"].value == 0
    assert matching(pairs, np.ones(3), np.ones(3))[0]["matching_auc"].value == 0.5


def test_pairs_are_drawn_of_all_kinds_one_a_video():
    videos = WorldVideos(GeneratedSource("test", 60, config=PLAIN), made_clip)
    pairs = pairs_of(videos)
    assert [pair.video for pair in pairs] == list(range(60))
    assert pairs == pairs_of(videos) != pairs_of(videos, seed=1)
    assert all(pair.true != pair.wrong for pair in pairs)
    kinds = {pair.kind for pair in pairs}
    assert kinds >= {"reversal", "negation", "color", "place"}


def test_options_are_scored_as_one_by_one(backbone, videos, monkeypatch):
    monkeypatch.setattr(answering, "_GROUP", 3)
    asked = asked_of(videos)[:6]
    found = option_scores(backbone, videos, asked)
    for one, scores_K in zip(asked, found, strict=True):
        text = choice_prompt(one.question.question, one.question.options)
        content = Content(clip=videos.clip(one.video), text=text)
        alone = [log_likelihoods(backbone, [content], [o])[0] for o in one.question.options]
        assert np.allclose(scores_K, alone, atol=1e-3)
        assert (scores_K < 0).all()


def test_margins_are_those_of_all_logits_one_by_one(backbone, videos, monkeypatch):
    monkeypatch.setattr(answering, "_GROUP", 3)
    pairs = pairs_of(videos)[:5]
    torch, checkpoint = libraries.torch(), backbone.checkpoint
    tokenizer = checkpoint.family.processor.tokenizer
    yes, no = (tokenizer(w, add_special_tokens=False)["input_ids"][0] for w in ("yes", "no"))
    found = match_margins(backbone, videos, pairs)
    for place, pair in enumerate(pairs):
        for text, margins_N in zip((pair.true, pair.wrong), found, strict=True):
            content = Content(clip=videos.clip(pair.video), text=MATCHES.format(text=text))
            with torch.inference_mode():
                logits_V = checkpoint.model(**backbone.prepare(content, CHAT)).logits[0, -1]
            assert margins_N[place] == pytest.approx(float(logits_V[yes] - logits_V[no]), abs=1e-3)


def test_the_clip_of_options_and_of_both_texts_is_read_once(backbone, videos):
    seen = []
    connector = backbone.checkpoint.model.model.connector
    handle = connector.register_forward_hook(lambda _m, given, _out: seen.extend(given[2]))
    asked = asked_of(videos)[:6]
    option_scores(backbone, videos, asked)
    assert len(seen) == len(asked) < sum(len(one.question.options) for one in asked)
    seen.clear()
    match_margins(backbone, videos, pairs_of(videos)[:5])
    handle.remove()
    assert len(seen) == 5


def test_a_model_with_words_has_figures_for_both_tasks(backbone, videos):
    world = World(count=6, chosen_on=4, guessed_from=30, config=PLAIN)
    system = System(
        backbone=backbone, see=lambda source: WorldVideos(source, videos.clip, 6), fps=FPS
    )
    assert system.tasks[-2:] == ("qa", "matching")
    measurement = Measurement(system, world)
    metrics, details = measurement.task("qa")
    assert 0 <= metrics["qa_accuracy"].value <= 1
    assert sum(each["n"] for each in details["by_kind"].values()) == metrics["qa_accuracy"].n
    assert measurement.task("matching")[0]["matching_pairs"].n == 6
