"""Lessons that ask several things of a video: sums and gradients are those of asking one by one."""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from kinoscope.backbones.mini import Mini, untrained_mini
from kinoscope.backbones.mllm import MLLM
from kinoscope.backbones.options import LoadOptions
from kinoscope.training.lesson_config import LessonConfig
from kinoscope.training.lesson_losses import LessonLosses
from kinoscope.training.lessons import Lessons
from kinoscope.training.sampler import Draw
from kinoscope.types import Features
from kinoscope.weights import SIDE_PX
from tests.tiny import moving_frames
from tests.tiny_mini import as_if_trained
from tests.training.lesson_films import NAMES, Example, Films, wrong


@pytest.fixture(params=["sdpa", "eager"])
def backbone(request, mini_set_up, one_torch_thread) -> MLLM:
    options = LoadOptions(batch_tokens=400, padding_side="right")
    made = untrained_mini(mini_set_up, layers=2, options=options)
    made.checkpoint.model.set_attn_implementation(request.param)
    return as_if_trained(made)


@dataclass
class Learned:
    """A sum and the gradients that it gives."""

    total: float
    gradients: dict[str, Any]

    def assert_close(self, other: "Learned") -> None:
        assert self.total == pytest.approx(other.total, rel=1e-6)
        assert self.gradients.keys() == other.gradients.keys()
        for name, wanted in other.gradients.items():
            scale = float(wanted.abs().max()) or 1.0
            torch.testing.assert_close(
                self.gradients[name] / scale, wanted / scale, rtol=1e-4, atol=2e-5
            )


def learned(backbone: MLLM, loss: Callable[[], Any]) -> Learned:
    network = backbone.checkpoint.model
    network.zero_grad()
    total = loss()
    total.backward()
    gradients = {n: v.grad for n, v in network.named_parameters() if v.grad is not None}
    assert any("connector.enter" in name for name in gradients)
    return Learned(float(total.detach()), gradients)


def clips(backbone: MLLM) -> list[Features]:
    """Four of several lengths, the first three asked 3, 1 and 2 times, among each other."""
    made = [backbone.vision(moving_frames(n, SIDE_PX, SIDE_PX, n)) for n in (6, 2, 4, 1)]
    return [made[n] for n in (0, 1, 0, 2, 0, 2, 3)]


TEXTS = ["what?", "how many foxes are there?", "a fox", "a fox", "is it red?", "a door opens", ""]
ANSWERS = ["a fox runs", "three", "yes", "no", "a fox runs to the left, then stops", "no", "snow"]
FITS = [True, False, False, True, True, False, True]


@pytest.fixture
def losses(backbone) -> LessonLosses:
    return LessonLosses(backbone, lambda: 0.1, match_temperature=2.0)


@pytest.mark.parametrize(("lesson", "wanted"), [("answer", ANSWERS), ("match", FITS)])
def test_texts_on_one_clip_are_learned_as_if_read_alone(
    backbone, losses, lesson, wanted, monkeypatch
) -> None:
    loss, columns = getattr(losses, lesson), (clips(backbone), TEXTS, wanted)
    found = learned(backbone, lambda: loss(*columns))

    def alone() -> Any:
        return sum(loss(*([one] for one in row)) for row in zip(*columns, strict=True))

    found.assert_close(learned(backbone, alone))
    monkeypatch.setattr(Mini, "branches", False)
    found.assert_close(learned(backbone, lambda: loss(*columns)))


def asked_often(name: str) -> Example:
    """Three questions, and three texts that are wrong in one fact."""
    colours = ("red", "blue", "green")
    return Example(
        questions=tuple(
            SimpleNamespace(question=f"is {name} {one}?", answer=one, options=colours)
            for one in colours
        ),
        mismatches=tuple(wrong(f"{name} is not {one}", f"{name} is {one}") for one in colours),
    )


@pytest.mark.parametrize(
    ("lesson", "asked", "each"),
    [
        *(("questions", asked, each) for asked, each in ((1, 1), (2, 2), (5, 3))),
        *(("matching", asked, each) for asked, each in ((1, 2), (2, 2), (3, 4), (7, 6))),
    ],
)
def test_each_video_is_asked_as_often_as_wanted_and_read_once(
    backbone, lesson, asked, each
) -> None:
    films = Films(backbone, [asked_often(name) for name in NAMES[:4]], (SIDE_PX, SIDE_PX))
    lessons = Lessons(backbone, films, LessonConfig(shares={lesson: 1.0}, asked=asked))
    batch = lessons.batch(Draw(lesson, 0, (2, 0, 3)))
    shown, texts, wanted = batch.inputs
    assert [id(clip) for clip in shown] == [
        id(films.features(number)) for number in (2, 0, 3) for _ in range(each)
    ]
    assert len(texts) == len(wanted) == 3 * each
    tokenizer = backbone.checkpoint.family.processor.tokenizer
    said = [len(tokenizer(str(answer))["input_ids"]) + 1 for answer in wanted]
    (count,) = batch.counts.values()
    assert count == (sum(said) if lesson == "questions" else 3 * each)
    frames = []
    connector = backbone.checkpoint.model.model.connector
    handle = connector.register_forward_hook(lambda _m, given, _out: frames.extend(given[2]))
    lessons.losses(batch, 1)
    handle.remove()
    assert np.sum(frames) == 3 * 6, "each of three clips of six frames once"
