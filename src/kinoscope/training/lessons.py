"""A `Task` that teaches a multimodal LLM by lessons: contrast, captions, questions and others."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch

from kinoscope.backbones.mllm import MLLM
from kinoscope.errors import UsageError
from kinoscope.training.lesson_batches import (
    Drawn,
    captioned,
    edited,
    judged,
    matches,
    moments,
    opposed,
    pairs,
    questions,
    wordings,
)
from kinoscope.training.lesson_config import TEXT_LESSONS, LessonConfig
from kinoscope.training.lesson_losses import LessonLosses
from kinoscope.training.sampler import Draw, Part
from kinoscope.training.task import Batch, Terms, Value
from kinoscope.training.teaching import Model
from kinoscope.training.thinking_losses import THINKING_TERMS
from kinoscope.training.thoughts import Thoughts
from kinoscope.training.words import Vocabulary
from kinoscope.types import Features


class Taught(Protocol):
    """What lessons need of an example; empty where it has none. See `training.sources`."""

    @property
    def captions(self) -> Sequence[str]:
        """Short texts, all true."""

    @property
    def details(self) -> Sequence[str]:
        """Detailed texts, all true."""

    @property
    def questions(self) -> Sequence[Any]:
        """Each with `question`, `answer`, `options`."""

    @property
    def moments(self) -> Sequence[Any]:
        """Each with `text` and `span`."""

    @property
    def mismatches(self) -> Sequence[Any]:
        """Each with a text that is `true` and one that is `wrong`."""

    @property
    def told_edits(self) -> Sequence[Any]:
        """Each with `text`, and captions `before` and `after` it."""

    @property
    def backward(self) -> Sequence[str]:
        """Short texts of the video played backwards, if it then shows something else."""

    @property
    def judged(self) -> Any:
        """What a teacher says: `video_D`, `texts` near to it and their `texts_KD`."""


class Library(Protocol):
    """Examples by number, and the frame features of their videos."""

    def __len__(self) -> int:
        """How many."""

    def example(self, number: int) -> Taught:
        """Texts, without decoding."""

    def features(self, number: int) -> Features:
        """Of the whole video, as the backbone's `vision` makes them."""

    def describe(self) -> str:
        """What decides its content."""


_SAMPLED = 2000
"""Examples whose captions decide which words are learned."""

_NEEDS = {
    "words": ("captions", 1),
    "motion": ("backward", 1),
    "wordings": ("captions", 2),
    "captions": ("captions", 2),  # one to say, another to contrast
    "details": ("details", 2),
    "questions": ("questions", 1),
    "matching": ("mismatches", 1),
    "moments": ("moments", 1),
    "edits": ("told_edits", 1),
    "distil": ("judged", 1),
}


class Lessons:
    """A `Task` of the loop: a multimodal LLM that learns from a library of videos and texts.

    The caption that a video's vector is contrasted with is never the one that it is taught to say
    (caption leak): the two are drawn apart.
    """

    def __init__(
        self,
        backbone: MLLM,
        library: Library,
        config: LessonConfig,
        validate: Callable[[Model], Mapping[str, float]] = lambda _model: {},
        *,
        thoughts: Thoughts | None = None,
    ) -> None:
        """`validate` measures the model on held-out data; `thoughts` are of `config.thinking`."""
        assert (thoughts is None) == (config.thinking is None), config.thinking
        self._backbone, self._library, self._config = backbone, library, config
        self._validate, self._thoughts = validate, thoughts
        self._network = backbone.checkpoint.model
        self._heat = torch.nn.Parameter(torch.tensor(-math.log(config.temperature)))
        speaks = {"words", "motion"} & set(config.shares)
        vocabulary = self._vocabulary() if speaks else None
        self._losses = LessonLosses(
            backbone,
            self._temperature,
            vocabulary,
            match_temperature=config.match_temperature,
            thoughts=thoughts,
        )
        self._rows = self._teachable()
        self._trained = dict(self._chosen())
        if thoughts is not None:
            thoughts.thinker.learned.requires_grad_(True)

    def describe(self) -> Mapping[str, Value]:
        """Backbone, data and lessons."""
        return {
            "model": self._backbone.weights,
            "data": self._library.describe(),
            "lessons": self._config.describe(),
        }

    def parameters(self) -> Iterable[tuple[str, Any]]:
        """Those that learn, the temperature, and what is learned of thinking."""
        yield "temperature", self._heat
        yield from self._trained.items()
        if self._thoughts is not None:
            yield from self._thoughts.parameters()

    def parts(self) -> Mapping[str, Part]:
        """A part for each lesson, of the examples that have something for it."""
        return {
            name: Part(length=len(rows), weight=self._config.shares[name])
            for name, rows in self._rows.items()
        }

    def batch(self, draw: Draw) -> Batch:
        """Texts and features of one lesson; chance decides which texts, by item and epoch."""
        rows = [self._rows[draw.part][item] for item in draw.items]
        seen = () if draw.part in TEXT_LESSONS else rows
        drawn = Drawn(
            examples=[self._library.example(row) for row in rows],
            clips=[self._library.features(row) for row in seen],
            dice=[np.random.default_rng((draw.epoch, row)) for row in rows],
        )
        made: dict[str, Callable[[Drawn], Batch]] = {
            "words": self._words,
            "motion": self._motion,
            "wordings": self._wordings,
            "captions": lambda drawn: self._pairs(drawn, detailed=False),
            "details": lambda drawn: self._pairs(drawn, detailed=True),
            "questions": self._questions,
            "matching": self._matching,
            "moments": self._moments,
            "edits": self._edits,
            "distil": self._distil,
        }
        return made[draw.part](drawn)

    def losses(self, batch: Batch, step: int) -> Terms:
        """The terms of one lesson."""
        self._network.train()
        inputs, known = batch.inputs, self._losses
        losses: dict[str, Callable[..., Any]] = {
            "words": known.words,
            "motion": known.motion,
            "wordings": known.wordings,
            "contrast": known.contrast,
            "caption": known.caption,
            "answer": known.answer,
            "match": known.match,
            "locate": known.locate,
            "compose": known.compose,
            "distil": known.distil,
        }
        sums = {name: losses[name](*inputs) for name in batch.counts if name in losses}
        thought = [name for name in batch.counts if name in THINKING_TERMS]
        if thought:
            found = known.thinking(inputs[0], step)
            sums |= {name: found[name] for name in thought}
        return Terms(sums, self._config.term_weights)

    def validate(self) -> Mapping[str, float]:
        """As given, in evaluation mode."""
        self._network.eval()
        with torch.inference_mode():
            thinker = self._thoughts and self._thoughts.thinker
            return dict(self._validate(thinker or self._backbone))

    def _chosen(self) -> Iterable[tuple[str, Any]]:
        config = self._config
        for name, values in self._network.named_parameters():
            wanted = not config.trained or any(word in name for word in config.trained)
            learns = wanted and not any(word in name for word in config.frozen)
            values.requires_grad_(learns)
            if learns:
                yield name, values

    def _teachable(self) -> dict[str, list[int]]:
        """Numbers of the examples that have what each lesson needs."""
        shares = self._config.shares
        found: dict[str, list[int]] = {lesson: [] for lesson in shares}
        for number in range(len(self._library)):
            example = self._library.example(number)
            for lesson in shares:
                needs, least = _NEEDS[lesson]
                if len(getattr(example, needs)) >= least:
                    found[lesson].append(number)
        for lesson, numbers in found.items():
            if not numbers:
                needs, least = _NEEDS[lesson]
                raise UsageError(
                    f"no example has {least} {needs} for the lesson {lesson!r}: leave it out"
                )
        return found

    def _words(self, drawn: Drawn) -> Batch:
        texts, clips = captioned(drawn, self._config.partners)
        return self._counted((clips, texts), {"words": len(texts)})

    def _motion(self, drawn: Drawn) -> Batch:
        clips, told = opposed(drawn)
        return self._counted((clips, told), {"motion": len(clips)})

    def _wordings(self, drawn: Drawn) -> Batch:
        config = self._config
        made = wordings(drawn, partners=config.partners, hard=config.hard, paired=config.paired)
        return self._counted((made,), {"wordings": len(made.texts)})

    def _pairs(self, drawn: Drawn, *, detailed: bool) -> Batch:
        config = self._config
        made = pairs(
            drawn,
            detailed=detailed,
            partners=config.partners,
            hard=config.hard,
            paired=config.paired,
            told=config.told,
        )
        contrasts = ("contrast",) if config.thinking is None else THINKING_TERMS
        counts = dict.fromkeys(contrasts, len(made.clips))
        return self._counted((made,), {**counts, "caption": self._count(made.said)})

    def _questions(self, drawn: Drawn) -> Batch:
        clips, asked, answers = questions(drawn, self._config.asked)
        return self._counted((clips, asked, answers), {"answer": self._count(answers)})

    def _matching(self, drawn: Drawn) -> Batch:
        clips, texts, fits = matches(drawn, self._config.asked, near=self._config.near)
        return self._counted((clips, texts, fits), {"match": len(fits)})

    def _moments(self, drawn: Drawn) -> Batch:
        config = self._config
        cut, texts, labels_QN = moments(drawn, window_s=config.window_s, stride_s=config.stride_s)
        return self._counted((cut, texts, labels_QN), {"locate": len(texts)})

    def _edits(self, drawn: Drawn) -> Batch:
        made = edited(drawn)
        return self._counted((made,), {"compose": len(made.texts)})

    def _distil(self, drawn: Drawn) -> Batch:
        heat = self._config.teacher_temperature
        texts, videos_BD, texts_BD = judged(drawn, heat)
        return self._counted(
            (drawn.clips, texts, videos_BD, texts_BD, heat), {"distil": len(texts)}
        )

    def _vocabulary(self) -> Vocabulary:
        """Words of the captions of a sample of the examples."""
        count = len(self._library)
        numbers = range(0, count, math.ceil(count / _SAMPLED))
        captions = (text for n in numbers for text in self._library.example(n).captions)
        return Vocabulary.of(captions, self._backbone.checkpoint.family.processor.tokenizer)

    def _temperature(self) -> Any:
        """Learned, but never below 0.01: a sharper contrast only follows noise."""
        return torch.exp(-self._heat).clamp(min=0.01)

    def _count(self, answers: Sequence[str]) -> int:
        """Tokens that `teach` will learn: of each answer, and its end."""
        tokenizer = self._backbone.checkpoint.family.processor.tokenizer
        found = tokenizer(list(answers), add_special_tokens=False)["input_ids"]
        return sum(len(ids) + 1 for ids in found)

    def _counted(self, inputs: tuple[Any, ...], counts: Mapping[str, int]) -> Batch:
        """With the counts of the terms that weigh something: only those are computed."""
        weights = self._config.term_weights
        return Batch(inputs, {name: float(n) for name, n in counts.items() if weights.get(name)})
