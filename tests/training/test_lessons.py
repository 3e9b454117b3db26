"""Lessons: each lowers its loss, shows no caption that it asks for, and leaves the eyes alone."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from kinoscope.backbones.loading import load_backbone
from kinoscope.errors import UsageError
from kinoscope.training.lessons import LESSONS, STAGES, LessonConfig, Lessons, prompt_of, within
from kinoscope.training.loop import train
from kinoscope.training.sampler import Draw
from kinoscope.training.task import LoopConfig
from kinoscope.types import Features, Span
from tests.tiny import moving_frames, tiny

NAMES = ("a fox", "a door", "a cup", "a train", "a tree", "a clock")
QUESTION = SimpleNamespace(question="what is it?", answer="a fox", options=("a fox", "a cup"))


@dataclass(frozen=True)
class Example:
    """Texts on one video."""

    captions: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    questions: tuple = ()
    moments: tuple = ()
    mismatches: tuple = ()


@dataclass
class Films:
    """Six little films, with everything that a lesson may need."""

    backbone: object
    examples: list[Example] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._clips = [self.backbone.vision(moving_frames(6, 56, 84, n)) for n in range(6)]
        self.examples = self.examples or [
            Example(
                captions=(f"{name} moves", f"{name} is moving", f"here moves {name}"),
                details=(f"{name} is seen. It moves for a while.", f"one sees {name}. It moves."),
                questions=(SimpleNamespace(question="what?", answer=name, options=NAMES[:2]),),
                moments=(SimpleNamespace(text=f"{name} starts", span=Span(0.0, 1.2)),),
                mismatches=(SimpleNamespace(true=f"{name} moves", wrong=f"{name} rests"),),
            )
            for name in NAMES
        ]

    def __len__(self) -> int:
        return len(self.examples)

    def example(self, number: int) -> Example:
        return self.examples[number]

    def features(self, number: int) -> Features:
        return self._clips[number]

    def describe(self) -> str:
        return "six films"


@pytest.fixture(scope="module")
def folder(tmp_path_factory, one_torch_thread):
    return tiny("qwen2_vl", tmp_path_factory.mktemp("tiny") / "qwen2_vl")


@pytest.fixture
def backbone(folder):
    return load_backbone(str(folder))[0]


def loss_of(lessons: Lessons, part: str) -> float:
    batch = lessons.batch(Draw(part, 0, tuple(range(6))))
    with torch.no_grad():
        return float(lessons.losses(batch, 1).total(batch.counts))


@pytest.mark.parametrize("lesson", LESSONS)
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


def test_the_caption_that_is_said_is_never_the_one_contrasted(backbone) -> None:
    lessons = Lessons(backbone, Films(backbone), LessonConfig())
    for epoch in range(30):
        _, _, texts, _, said = lessons.batch(Draw("captions", epoch, (0, 1, 2, 3))).inputs
        assert all(one != other for one, other in zip(texts, said, strict=True))


def test_texts_depend_on_item_and_epoch_alone(backbone) -> None:
    lessons = Lessons(backbone, Films(backbone), LessonConfig())
    draws = [Draw("captions", 3, items) for items in ((0, 1, 2), (2, 0, 1))]
    first, second = (lessons.batch(draw).inputs[2] for draw in draws)
    assert sorted(first) == sorted(second)
    epochs = {tuple(lessons.batch(Draw("captions", e, (0, 1, 2))).inputs[2]) for e in range(9)}
    assert len(epochs) > 3


@pytest.mark.parametrize("lesson", LESSONS)
def test_counts_are_those_of_the_terms(backbone, lesson) -> None:
    lessons = Lessons(backbone, Films(backbone), LessonConfig(shares={lesson: 1.0}, window_s=1.0))
    batch = lessons.batch(Draw(lesson, 0, (0, 1, 2, 3)))
    terms = lessons.losses(batch, 1)
    assert set(terms.sums) == set(batch.counts)
    if "caption" in batch.counts:
        tokenizer = backbone.checkpoint.family.processor.tokenizer
        said = tokenizer(batch.inputs[-1], add_special_tokens=False)["input_ids"]
        assert batch.counts["caption"] == sum(len(ids) + 1 for ids in said)
    assert all(float(value.detach()) > 0 for value in terms.sums.values())


def test_other_spans_of_the_same_text_are_no_wrong_windows(backbone) -> None:
    twice = tuple(SimpleNamespace(text="it blinks", span=Span(s, s + 1.0)) for s in (0.0, 1.5))
    films = Films(backbone, [Example(moments=twice)])
    config = LessonConfig(shares={"moments": 1.0}, window_s=1.0, stride_s=0.5)
    lessons = Lessons(backbone, films, config)
    for epoch in range(8):
        _, _cut, _texts, labels_QN = lessons.batch(Draw("moments", epoch, (0,))).inputs
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
    with pytest.raises(UsageError, match="no example has 1 moments for the lesson 'moments'"):
        Lessons(backbone, films, LessonConfig(shares={"moments": 1.0}))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"shares": {"dreams": 1.0}}, "lesson 'dreams' is unknown: choose captions"),
        ({"weights": {"luck": 1.0}}, "term 'luck' is unknown: choose contrast"),
        ({"shares": {}}, "shares"),
        ({"temperature": 0.0}, r"temperature 0\.0"),
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
