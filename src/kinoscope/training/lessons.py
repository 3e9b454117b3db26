"""The lessons of three-stage training: contrast, captions, questions, matching, moments.

ViLL-E (arXiv 2604.12148): stage 1 learns captions and contrast from short texts, stage 2 from
detailed ones, stage 3 a mix of all. A stage is a choice of lessons and weights; see `STAGES`.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
import torch

from kinoscope.backbones.mllm import MLLM
from kinoscope.errors import UsageError
from kinoscope.thinking.thinker import Thinker
from kinoscope.training.lesson_batches import (
    Drawn,
    captioned,
    judged,
    matches,
    moments,
    pairs,
    questions,
)
from kinoscope.training.lesson_losses import LessonLosses
from kinoscope.training.sampler import Draw, Part
from kinoscope.training.task import Batch, Terms, Value
from kinoscope.training.thinking_losses import THINKING_TERMS
from kinoscope.training.thoughts import ThinkingLesson, Thoughts
from kinoscope.training.words import Vocabulary
from kinoscope.types import Features

Model = MLLM | Thinker
"""What is taught, as it embeds."""

LESSONS = ("words", "captions", "details", "questions", "matching", "moments", "distil")
TERMS = ("words", "contrast", "caption", "answer", "match", "locate", "distil")


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


@dataclass(frozen=True, kw_only=True)
class LessonConfig:
    """Which lessons, how often, and what their losses weigh.

    Attributes:
        shares: draws of each lesson, relative to the others; one that is not named is left out.
        weights: of `TERMS`; 0 leaves one out.
        thinking: steps before a vector; None: none. Then `THINKING_TERMS` stand for `contrast`,
            and together have its weight; moments and distillation have vectors of one thought.
        temperature: of contrasts, where learning begins.
        partners: probability that a video with `backward` texts brings its reversal along, a pair
            of its own: the two are each other's hard negatives.
        hard: whether a text of `mismatches` is a hard negative of its video.
        asked: questions, or texts to match, of each video of a draw; a family that can reads the
            video once for them.
        match_temperature: of the logits of yes and no.
        teacher_temperature: of the similarities that `distil` learns, and of the chance by which it
            draws a sentence.
        told: share of a batch's videos that are taught a caption beside their contrast.
        window_s, stride_s: of the windows that a moment is told apart from; others are as long as
            the moment.
        trained: words in the names of weights that learn; empty: all but those of `frozen`.
        frozen: words in the names of weights that stay as they are, also if `trained` fits.
    """

    shares: Mapping[str, float] = field(default_factory=lambda: {"captions": 1.0})
    weights: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(TERMS, 1.0))
    temperature: float = 0.05
    partners: float = 1.0
    hard: bool = True
    asked: int = 1
    match_temperature: float = 1.0
    teacher_temperature: float = 0.1
    told: float = 1.0
    window_s: float = 2.0
    stride_s: float = 1.0
    trained: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ("visual", "vision", "embed_tokens", "lm_head")
    thinking: ThinkingLesson | None = None

    def __post_init__(self) -> None:
        for name, known, given in (
            ("lesson", LESSONS, self.shares),
            ("term", TERMS, self.weights),
        ):
            foreign = sorted(set(given) - set(known))
            if foreign:
                raise UsageError(f"{name} {foreign[0]!r} is unknown: choose {', '.join(known)}")
        for lesson in self.shares:
            if not any(self.weights.get(term) for term in _TERMS_OF[lesson]):
                raise UsageError(
                    f"lesson {lesson!r} has no loss: weigh {' or '.join(_TERMS_OF[lesson])}, or"
                    " leave it out"
                )
        good = {
            "shares": bool(self.shares),
            "temperature": 0 < self.temperature < math.inf,
            "asked": self.asked >= 1,
            "match_temperature": 0 < self.match_temperature < math.inf,
            "teacher_temperature": 0 < self.teacher_temperature < math.inf,
            "partners": 0 <= self.partners <= 1,
            "told": 0 < self.told <= 1,
            "window_s": 0 < self.window_s < math.inf,
            "stride_s": 0 < self.stride_s < math.inf,
        }
        for name, fits in good.items():
            if not fits:
                raise UsageError(
                    f"{name} {getattr(self, name)!r} is out of range: see LessonConfig"
                )
        taught = any("contrast" in _TERMS_OF[lesson] for lesson in self.shares)
        if self.thinking is not None and not (taught and self.weights.get("contrast")):
            raise UsageError(
                "thinking is taught by contrast alone: weigh it, in captions or details, or leave"
                " thinking out"
            )

    def describe(self) -> str:
        """All of it; without thinking as before there was any, so that old runs go on."""
        known = asdict(self)
        if self.thinking is None:
            del known["thinking"]
        return str(known)

    @property
    def term_weights(self) -> Mapping[str, float]:
        """Of all terms, those of thinking among them."""
        if self.thinking is None:
            return self.weights
        return {**self.weights, **self.thinking.weights(self.weights["contrast"])}


_TERMS_OF = {
    "words": ("words",),
    "captions": ("contrast", "caption"),
    "details": ("contrast", "caption"),
    "questions": ("answer",),
    "matching": ("match",),
    "moments": ("locate",),
    "distil": ("distil",),
}

_SAMPLED = 2000
"""Examples whose captions decide which words are learned."""

_NEEDS = {
    "words": ("captions", 1),
    "captions": ("captions", 2),  # one to say, another to contrast
    "details": ("details", 2),
    "questions": ("questions", 1),
    "matching": ("mismatches", 1),
    "moments": ("moments", 1),
    "distil": ("judged", 1),
}

STAGES: dict[int, dict[str, float]] = {
    0: {"words": 1.0},
    1: {"captions": 1.0},
    2: {"details": 1.0},
    3: {"captions": 0.4, "questions": 0.2, "matching": 0.2, "moments": 0.2},
}
"""Shares of the lessons by stage; 0 is a warm-up of connectors that have learned nothing yet."""


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
        vocabulary = self._vocabulary() if "words" in config.shares else None
        self._losses = LessonLosses(
            backbone,
            self._temperature,
            vocabulary,
            match_temperature=config.match_temperature,
            thoughts=thoughts,
        )
        self._rows = self._teachable()
        self._trained = dict(self._chosen())

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
        drawn = Drawn(
            examples=[self._library.example(row) for row in rows],
            clips=[self._library.features(row) for row in rows],
            dice=[np.random.default_rng((draw.epoch, row)) for row in rows],
        )
        made: dict[str, Callable[[Drawn], Batch]] = {
            "words": self._words,
            "captions": lambda drawn: self._pairs(drawn, detailed=False),
            "details": lambda drawn: self._pairs(drawn, detailed=True),
            "questions": self._questions,
            "matching": self._matching,
            "moments": self._moments,
            "distil": self._distil,
        }
        return made[draw.part](drawn)

    def losses(self, batch: Batch, step: int) -> Terms:
        """The terms of one lesson."""
        self._network.train()
        inputs, known = batch.inputs, self._losses
        losses: dict[str, Callable[..., Any]] = {
            "words": known.words,
            "contrast": known.contrast,
            "caption": known.caption,
            "answer": known.answer,
            "match": known.match,
            "locate": known.locate,
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

    def _pairs(self, drawn: Drawn, *, detailed: bool) -> Batch:
        config = self._config
        made = pairs(
            drawn,
            detailed=detailed,
            partners=config.partners,
            hard=config.hard,
            told=config.told,
        )
        contrasts = ("contrast",) if config.thinking is None else THINKING_TERMS
        counts = dict.fromkeys(contrasts, len(made.clips))
        return self._counted((made,), {**counts, "caption": self._count(made.said)})

    def _questions(self, drawn: Drawn) -> Batch:
        clips, asked, answers = questions(drawn, self._config.asked)
        return self._counted((clips, asked, answers), {"answer": self._count(answers)})

    def _matching(self, drawn: Drawn) -> Batch:
        clips, texts, fits = matches(drawn, self._config.asked)
        return self._counted((clips, texts, fits), {"match": len(fits)})

    def _moments(self, drawn: Drawn) -> Batch:
        config = self._config
        cut, texts, labels_QN = moments(drawn, window_s=config.window_s, stride_s=config.stride_s)
        return self._counted((cut, texts, labels_QN), {"locate": len(texts)})

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
