"""Lessons: each lowers its loss, shows no caption that it asks for, and leaves the eyes alone."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from kinoscope.backbones.loading import load_backbone
from kinoscope.backbones.mini import untrained_mini
from kinoscope.errors import UsageError
from kinoscope.training.lesson_batches import prompt_of, reversed_in_time, within
from kinoscope.training.lesson_config import LESSONS, STAGES, LessonConfig
from kinoscope.training.lessons import Lessons
from kinoscope.training.loop import train
from kinoscope.training.sampler import Draw
from kinoscope.training.task import LoopConfig
from kinoscope.training.words import Vocabulary
from kinoscope.types import Features, Span
from kinoscope.weights import SIDE_PX
from tests.tiny import tiny
from tests.training.lesson_films import NAMES, Example, Films, example, loss_of

QUESTION = SimpleNamespace(question="what is it?", answer="a fox", options=("a fox", "a cup"))
OF_ANY = tuple(lesson for lesson in LESSONS if lesson not in ("words", "motion"))  # any family


@pytest.fixture(scope="module")
def folder(tmp_path_factory, one_torch_thread):
    return tiny("qwen2_vl", tmp_path_factory.mktemp("tiny") / "qwen2_vl")


@pytest.fixture
def backbone(folder):
    return load_backbone(str(folder))[0]


@pytest.mark.parametrize("lesson", OF_ANY)
def test_each_lesson_is_learned(backbone, lesson, tmp_path) -> None:
    config = LessonConfig(shares={lesson: 1.0}, temperature=0.2, window_s=1.0)
    lessons = Lessons(backbone, Films(backbone), config)
    before = loss_of(lessons, lesson)
    train(lessons, LoopConfig(steps=12, batch=6, lr=3e-3, warmup=0.1), tmp_path / "run")
    assert loss_of(lessons, lesson) < 0.8 * before


def test_eyes_embeddings_and_head_stay_as_they_are(backbone, tmp_path) -> None:
    before = {name: v.detach().clone() for name, v in backbone.checkpoint.model.named_parameters()}
    lessons = Lessons(backbone, Films(backbone), LessonConfig(shares=STAGES[3], window_s=1.0))
    train(lessons, LoopConfig(steps=8, batch=3, lr=1e-3), tmp_path / "run")
    changed = {n for n, v in backbone.checkpoint.model.named_parameters() if (v != before[n]).any()}
    assert changed and not any(word in n for n in changed for word in ("visual", "embed_tokens"))
    learned = {name for name, _ in lessons.parameters()} - {"temperature"}
    assert changed <= learned


def test_words_are_learned_by_the_connector_alone(mini_set_up, one_torch_thread, tmp_path) -> None:
    backbone = untrained_mini(mini_set_up, layers=2)
    network = backbone.checkpoint.model
    before = {name: values.detach().clone() for name, values in network.named_parameters()}
    said = ("a fox in the snow", "the door opens", "two dogs play")
    films = Films(backbone, [Example(captions=(text,)) for text in said], (SIDE_PX, SIDE_PX))
    config = LessonConfig(shares=STAGES[0], trained=("connector",))
    lessons = Lessons(backbone, films, config)
    at_first = loss_of(lessons, "words")
    train(lessons, LoopConfig(steps=16, batch=3, lr=1e-3, warmup=0.1), tmp_path / "run")
    tokenizer = backbone.checkpoint.family.processor.tokenizer
    least = -torch.xlogy(*2 * (Vocabulary.of(said, tokenizer).targets(said, tokenizer),)).sum() / 3
    assert least < loss_of(lessons, "words") < least + 0.1 * (at_first - least)
    changed = {
        name for name, values in network.named_parameters() if (values != before[name]).any()
    }
    assert changed and all(name.startswith("model.connector.") for name in changed)
    assert {name for name, _ in lessons.parameters()} - {"temperature"} >= changed


@pytest.mark.parametrize("lesson", ["words", "motion"])
def test_words_need_a_family_with_tokens_of_pixels_alone(backbone, lesson) -> None:
    lessons = Lessons(backbone, Films(backbone), LessonConfig(shares={lesson: 1.0}))
    with pytest.raises(UsageError, match="no tokens of pixels alone: leave 'words' and 'motion'"):
        loss_of(lessons, lesson)


def test_words_of_motion_are_learned_from_reversals(mini_set_up, one_torch_thread, tmp_path):
    """Each word that is learned is on both sides in turn: stills could not tell them apart."""
    backbone = untrained_mini(mini_set_up, layers=1)
    films = Films(backbone, [example(name) for name in NAMES[:3]], (SIDE_PX, SIDE_PX))
    config = LessonConfig(shares={"motion": 1.0}, trained=("connector",))
    lessons = Lessons(backbone, films, config)
    batch = lessons.batch(Draw("motion", 0, (2, 1)))
    clips, told = batch.inputs
    assert batch.counts == {"motion": 4}
    assert told == [(example(NAMES[n]).captions, example(NAMES[n]).backward) for n in (2, 1)]
    for number, clip, turned in zip((2, 1), clips[:2], clips[2:], strict=True):
        assert clip is films.features(number)
        assert (turned.values_F == clip.values_F[::-1]).all()
    at_first = loss_of(lessons, "motion")
    train(lessons, LoopConfig(steps=30, batch=3, lr=1e-3, warmup=0.1), tmp_path / "run")
    tokenizer = backbone.checkpoint.family.processor.tokenizer
    known = Vocabulary.of((text for one in films.examples for text in one.captions), tokenizer)
    least = 0.0
    for one in films.examples:
        targets_2V, _among_V = known.opposed(one.captions, one.backward, tokenizer)
        least -= float(torch.xlogy(targets_2V, targets_2V).sum()) / (2 * len(films))
    assert least < loss_of(lessons, "motion") < least + 0.3 * (at_first - least)


def test_words_are_taught_of_a_video_and_of_its_reversal(mini_set_up, one_torch_thread) -> None:
    backbone = untrained_mini(mini_set_up, layers=1)
    films = Films(backbone, size_px=(SIDE_PX, SIDE_PX))
    lessons = Lessons(backbone, films, LessonConfig(shares=STAGES[0], partners=1.0))
    batch = lessons.batch(Draw("words", 0, (4, 1)))
    clips, texts = batch.inputs
    assert batch.counts == {"words": 4}
    assert [text in example(NAMES[n]).captions for n, text in zip((4, 1), texts, strict=False)]
    assert [text in example(NAMES[n]).backward for n, text in zip((4, 1), texts[2:], strict=True)]
    assert (clips[2].values_F == films.features(4).values_F[::-1]).all()


@pytest.mark.parametrize("lesson", ["captions", "details"])
def test_the_caption_that_is_said_is_never_the_one_contrasted(backbone, lesson) -> None:
    lessons = Lessons(backbone, Films(backbone), LessonConfig(shares={lesson: 1.0}))
    for epoch in range(30):
        (made,) = lessons.batch(Draw(lesson, epoch, (0, 1, 2, 3))).inputs
        for number, said in enumerate(made.said):
            known = getattr(example(NAMES[number]), lesson)
            assert {said, made.texts[number]} <= set(known)
            assert said != made.texts[number]


def test_texts_depend_on_item_and_epoch_alone(backbone) -> None:
    lessons = Lessons(backbone, Films(backbone), LessonConfig())
    draws = [Draw("captions", 3, items) for items in ((0, 1, 2), (2, 0, 1))]
    first, second = (lessons.batch(draw).inputs[0] for draw in draws)
    for field in ("texts", "hard", "said"):
        assert sorted(getattr(first, field)) == sorted(getattr(second, field))
    batches = (lessons.batch(Draw("captions", epoch, (0, 1, 2))) for epoch in range(9))
    assert len({tuple(batch.inputs[0].texts) for batch in batches}) > 3


@pytest.mark.parametrize("lesson", OF_ANY)
def test_counts_are_those_of_the_terms(backbone, lesson) -> None:
    config = LessonConfig(shares={lesson: 1.0}, window_s=1.0, told=0.5)
    lessons = Lessons(backbone, Films(backbone), config)
    batch = lessons.batch(Draw(lesson, 0, (0, 1, 2, 3)))
    terms = lessons.losses(batch, 1)
    assert set(terms.sums) == set(batch.counts)
    if "contrast" in batch.counts:
        assert batch.counts["contrast"] == (8 if lesson == "captions" else 4)  # with partners
        tokenizer = backbone.checkpoint.family.processor.tokenizer
        said = tokenizer(batch.inputs[0].said, add_special_tokens=False)["input_ids"]
        assert len(said) == 2
        assert batch.counts["caption"] == sum(len(ids) + 1 for ids in said)
    assert all(float(value.detach()) > 0 for value in terms.sums.values())


def test_other_spans_of_the_same_text_are_no_wrong_windows(backbone) -> None:
    twice = tuple(SimpleNamespace(text="it blinks", span=Span(s, s + 1.0)) for s in (0.0, 1.5))
    films = Films(backbone, [Example(moments=twice)])
    config = LessonConfig(shares={"moments": 1.0}, window_s=1.0, stride_s=0.5)
    lessons = Lessons(backbone, films, config)
    for epoch in range(8):
        _cut, _texts, labels_QN = lessons.batch(Draw("moments", epoch, (0,))).inputs
        assert int((labels_QN > 0).sum()) >= 1
        assert int((labels_QN < 0).sum()) <= 1, "a window on the other blink is not wrong"


def test_a_term_of_no_weight_is_not_computed(backbone) -> None:
    config = LessonConfig(weights={"contrast": 1.0, "caption": 0.0})
    lessons = Lessons(backbone, Films(backbone), config)
    batch = lessons.batch(Draw("captions", 0, (0, 1)))
    assert set(lessons.losses(batch, 1).sums) == set(batch.counts) == {"contrast"}


def test_only_examples_with_something_to_teach_take_part(backbone) -> None:
    films = Films(backbone, [Example(captions=("a", "b")), Example(captions=("a",)), Example()])
    assert Lessons(backbone, films, LessonConfig()).parts()["captions"].length == 1
    shares = {"captions": 2.0, "words": 1.0}
    parts = Lessons(backbone, films, LessonConfig(shares=shares)).parts()
    assert {name: (part.length, part.weight) for name, part in parts.items()} == {
        "captions": (1, 2.0),
        "words": (2, 1.0),
    }
    with pytest.raises(UsageError, match="no example has 1 moments for the lesson 'moments'"):
        Lessons(backbone, films, LessonConfig(shares={"moments": 1.0}))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"shares": {"dreams": 1.0}}, "lesson 'dreams' is unknown: choose words, motion, wordings"),
        ({"weights": {"luck": 1.0}}, "term 'luck' is unknown: choose words, motion, wordings"),
        ({"shares": {}}, r"shares \{\} is out of range: see LessonConfig"),
        ({"temperature": 0.0}, r"temperature 0\.0"),
        ({"partners": 1.5}, r"partners 1\.5"),
        ({"told": 0.0}, r"told 0\.0"),
        ({"window_s": 0.0}, r"window_s 0\.0"),
        ({"asked": 0}, "asked 0 is out of range: see LessonConfig"),
        ({"match_temperature": 0.0}, r"match_temperature 0\.0"),
        ({"stride_s": float("nan")}, "stride_s nan"),
        ({"weights": {"answer": 1.0}}, "lesson 'captions' has no loss: weigh contrast or caption"),
        ({"shares": {"words": 1.0}, "weights": {"words": 0.0}}, "'words' has no loss: weigh words"),
    ],
)
def test_senseless_lessons_are_refused(fields, words) -> None:
    with pytest.raises(UsageError, match=words):
        LessonConfig(**fields)


def test_a_question_comes_with_or_without_its_options() -> None:
    assert prompt_of(QUESTION, choose=False) == "what is it?"
    assert prompt_of(QUESTION, choose=True) == "what is it? Choose one: a fox; a cup."


@pytest.mark.parametrize(
    ("span", "times"),
    [(Span(0.4, 1.2), [0.5, 1.0]), (Span(0, 9), [0, 0.5, 1, 1.5]), (Span(0.6, 0.7), [0.5])],
)
def test_a_window_holds_its_frames_or_the_nearest(span, times) -> None:
    clip = Features(np.arange(8.0).reshape(4, 2), np.arange(4) / 2)
    assert within(clip, span).times_F.tolist() == times


def test_a_reversal_shows_each_frame_as_long_before_the_end_as_it_came_after_the_start() -> None:
    clip = Features(np.arange(8.0).reshape(4, 2), np.array([0.5, 1.0, 2.0, 4.0]))
    turned = reversed_in_time(clip)
    assert turned.values_F[:, 0].tolist() == [6, 4, 2, 0]
    assert turned.times_F.tolist() == [0.5, 2.5, 3.5, 4.0]
    torch.from_numpy(turned.values_F)  # which takes no array backwards
    again = reversed_in_time(turned)
    assert (again.values_F == clip.values_F).all() and (again.times_F == clip.times_F).all()
