"""Little films with everything that a lesson may need, and what a lesson costs."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import torch

from kinoscope.backbones.mllm import MLLM
from kinoscope.training.lessons import Lessons
from kinoscope.training.sampler import Draw
from kinoscope.training.sources.protocol import NOT_JUDGED, Edit, Judged
from kinoscope.types import Features, Span
from tests.tiny import moving_frames

NAMES = ("a fox", "a door", "a cup", "a train", "a tree", "a clock")


@dataclass(frozen=True)
class Example:
    """Texts on one video."""

    captions: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    questions: tuple = ()
    moments: tuple = ()
    mismatches: tuple = ()
    told_edits: tuple = ()
    backward: tuple[str, ...] = ()
    judged: Judged = NOT_JUDGED


def example(name: str) -> Example:
    """With something for every lesson."""
    return Example(
        captions=(f"{name} moves", f"{name} is moving", f"here moves {name}"),
        details=(f"{name} is seen. It moves for a while.", f"one sees {name}. It moves."),
        questions=(SimpleNamespace(question="what?", answer=name, options=NAMES[:2]),),
        moments=(SimpleNamespace(text=f"{name} starts", span=Span(0.0, 1.2)),),
        mismatches=(wrong(f"{name} rests", f"{name} moves"),),
        told_edits=(
            Edit(f"paint {name} red", before=f"{name} moves", after=f"a red {name[2:]} moves"),
        ),
        backward=(f"{name} returns", f"back comes {name}"),
        judged=judged(name),
    )


def judged(name: str) -> Judged:
    """By a teacher that knows the name; the last sentence is of the next one."""
    place = NAMES.index(name)
    other = (place + 1) % len(NAMES)
    rows = np.eye(len(NAMES), dtype=np.float32)
    texts = (f"{name}, a thing", f"one can see {name}", f"{NAMES[other]}, a thing")
    return Judged(video_D=rows[place], texts=texts, texts_KD=rows[[place, place, other]])


def wrong(text: str, true: str = "") -> SimpleNamespace:
    """A mismatch."""
    return SimpleNamespace(wrong=text, true=true)


@dataclass
class Films:
    """A film an example, all six of `NAMES` by default."""

    backbone: MLLM
    examples: list[Example] = field(default_factory=lambda: [example(name) for name in NAMES])
    size_px: tuple[int, int] = (56, 84)

    def __post_init__(self) -> None:
        frames = (moving_frames(6, *self.size_px, n) for n in range(len(self.examples)))
        self._clips = [self.backbone.vision(each) for each in frames]

    def __len__(self) -> int:
        return len(self.examples)

    def example(self, number: int) -> Example:
        return self.examples[number]

    def features(self, number: int) -> Features:
        return self._clips[number]

    def describe(self) -> str:
        return f"{len(self)} films"


def loss_of(lessons: Lessons, part: str) -> float:
    """Of the first draw of all films, their weights as they are."""
    items = tuple(range(lessons.parts()[part].length))
    batch = lessons.batch(Draw(part, 0, items))
    with torch.no_grad():
        return float(lessons.losses(batch, 1).total(batch.counts))
