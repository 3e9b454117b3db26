"""The lesson `distil`: which sentences are drawn, and whose similarities are learned."""

from collections import Counter

import numpy as np
import pytest
import torch

from kinoscope.backbones.loading import load_backbone
from kinoscope.errors import UsageError
from kinoscope.training.lesson_batches import Drawn
from kinoscope.training.lesson_batches import judged as drawn_of
from kinoscope.training.lesson_config import LessonConfig
from kinoscope.training.lessons import Lessons
from kinoscope.training.sampler import Draw
from tests.tiny import tiny
from tests.training.lesson_films import NAMES, Example, Films, example, judged, loss_of

DISTIL = LessonConfig(shares={"distil": 1.0})


@pytest.fixture(scope="module")
def backbone(tmp_path_factory, one_torch_thread):
    return load_backbone(str(tiny("qwen2_vl", tmp_path_factory.mktemp("tiny") / "qwen2_vl")))[0]


def drawn(temperature: float, times: int = 400) -> Counter[str]:
    """How often each sentence of the first film is drawn."""
    examples = [example(NAMES[0])] * times
    dice = [np.random.default_rng((epoch, 0)) for epoch in range(times)]
    texts, videos_BD, texts_BD = drawn_of(
        Drawn(examples=examples, clips=[], dice=dice), temperature
    )
    assert videos_BD.shape == texts_BD.shape == (times, len(NAMES))
    for text, row_D in zip(texts, texts_BD, strict=True):
        near = judged(NAMES[0])
        assert (row_D == near.texts_KD[near.texts.index(text)]).all()
    return Counter(texts)


def test_sentences_are_drawn_by_the_teachers_shares() -> None:
    texts = judged(NAMES[0]).texts
    warm = drawn(1.0)
    shares = np.exp([1.0, 1.0, 0.0]) / np.exp([1.0, 1.0, 0.0]).sum()
    for text, share in zip(texts, shares, strict=True):
        assert abs(warm[text] / 400 - share) < 4 * np.sqrt(share * (1 - share) / 400)
    assert drawn(0.01)[texts[2]] == 0, "a cold teacher draws no sentence of another thing"


def test_only_what_a_teacher_has_judged_takes_part(backbone) -> None:
    films = Films(backbone, [example(NAMES[0]), Example(captions=("a", "b")), example(NAMES[1])])
    both = LessonConfig(shares={"captions": 1.0, "distil": 1.0})
    parts = Lessons(backbone, films, both).parts()
    assert {name: part.length for name, part in parts.items()} == {"captions": 3, "distil": 2}
    with pytest.raises(UsageError, match="no example has 1 judged for the lesson 'distil'"):
        Lessons(backbone, Films(backbone, [Example()]), DISTIL)


def test_the_loss_is_not_below_the_entropy_of_the_targets(backbone) -> None:
    """Two films whose sentences the teacher cannot tell apart: at best half each, log 2."""
    near = judged(NAMES[0])
    films = Films(backbone, [Example(judged=near), Example(judged=near)])
    config = LessonConfig(shares={"distil": 1.0}, teacher_temperature=1e-3)
    assert loss_of(Lessons(backbone, films, config), "distil") >= np.log(2) - 1e-6


def test_what_the_teacher_says_reaches_the_loss(backbone) -> None:
    lessons = Lessons(backbone, Films(backbone), DISTIL)
    batch = lessons.batch(Draw("distil", 0, (0, 1, 2)))
    clips, texts, videos_BD, texts_BD, heat = batch.inputs
    assert heat == DISTIL.teacher_temperature and batch.counts == {"distil": 3}
    assert len(clips) == len(texts) == len(videos_BD) == len(texts_BD) == 3
    with torch.no_grad():
        right = float(lessons.losses(batch, 1).sums["distil"])
        inputs = (clips, texts, videos_BD[[1, 2, 0]], texts_BD, heat)
        other = float(lessons.losses(type(batch)(inputs, batch.counts), 1).sums["distil"])
    assert abs(right - other) > 1e-3


def test_temperatures_of_a_teacher_are_positive() -> None:
    with pytest.raises(UsageError, match=r"teacher_temperature 0\.0 is out of range"):
        LessonConfig(teacher_temperature=0.0)
