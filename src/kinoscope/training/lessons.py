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
from kinoscope.backbones.session import last_states
from kinoscope.errors import UsageError
from kinoscope.prompts import CHAT
from kinoscope.training.gather import gathered
from kinoscope.training.losses import localisation, matching, two_way, window_labels
from kinoscope.training.sampler import Draw, Part
from kinoscope.training.task import Batch, Terms, Value
from kinoscope.training.teaching import embed, teach
from kinoscope.types import Content, Features, Span

DESCRIBE = "Describe the video."
DETAIL = "Describe the video in detail."
MATCHES = "Does this describe the video: {text} Answer yes or no."
ANSWERS = ("yes", "no")
CHOOSE = "{question} Choose one: {options}."

LESSONS = ("captions", "details", "questions", "matching", "moments")
TERMS = ("contrast", "caption", "answer", "match", "locate")


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
        weights: of the terms `contrast`, `caption`, `answer`, `match`, `locate`; 0 leaves one out.
        temperature: of contrasts, where learning begins.
        window_s, stride_s: of the windows that a moment is told apart from.
        trained: words in the names of weights that learn; empty: all but those of `frozen`.
        frozen: words in the names of weights that stay as they are.
    """

    shares: Mapping[str, float] = field(default_factory=lambda: {"captions": 1.0})
    weights: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(TERMS, 1.0))
    temperature: float = 0.05
    window_s: float = 2.0
    stride_s: float = 1.0
    trained: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ("visual", "vision", "embed_tokens", "lm_head")

    def __post_init__(self) -> None:
        for name, known, given in (
            ("lesson", LESSONS, self.shares),
            ("term", TERMS, self.weights),
        ):
            foreign = sorted(set(given) - set(known))
            if foreign:
                raise UsageError(f"{name} {foreign[0]!r} is unknown: choose {', '.join(known)}")
        if not self.shares or not 0 < self.temperature < math.inf:
            raise UsageError(
                f"shares {dict(self.shares)}, temperature {self.temperature}: see docs"
            )


STAGES: dict[int, dict[str, float]] = {
    1: {"captions": 1.0},
    2: {"details": 1.0},
    3: {"captions": 0.4, "questions": 0.2, "matching": 0.2, "moments": 0.2},
}
"""Shares of the lessons by stage."""


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
        validate: Callable[[MLLM], Mapping[str, float]] = lambda _backbone: {},
    ) -> None:
        """`validate` measures the model on held-out data."""
        self._backbone, self._library, self._config = backbone, library, config
        self._validate = validate
        self._network = backbone.checkpoint.model
        self._heat = torch.nn.Parameter(torch.tensor(-math.log(config.temperature)))
        tokenizer = backbone.checkpoint.family.processor.tokenizer
        words = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in ANSWERS]
        self._answers_2 = torch.tensor([ids[0] for ids in words])
        self._rows = {name: self._teachable(name) for name in config.shares}
        self._trained = dict(self._chosen())

    def describe(self) -> Mapping[str, Value]:
        """Backbone, data and lessons."""
        return {
            "model": self._backbone.weights,
            "data": self._library.describe(),
            "lessons": str(asdict(self._config)),
        }

    def parameters(self) -> Iterable[tuple[str, Any]]:
        """Those that learn, and the temperature."""
        yield "temperature", self._heat
        yield from self._trained.items()

    def parts(self) -> Mapping[str, Part]:
        """A part for each lesson, of the examples that have something for it."""
        return {
            name: Part(length=len(rows), weight=self._config.shares[name])
            for name, rows in self._rows.items()
        }

    def batch(self, draw: Draw) -> Batch:
        """Texts and features of one lesson; chance decides which texts, by item and epoch."""
        rows = [self._rows[draw.part][item] for item in draw.items]
        dice = [np.random.default_rng((draw.epoch, row)) for row in rows]
        examples = [self._library.example(row) for row in rows]
        clips = [self._library.features(row) for row in rows]
        made: dict[str, Callable[..., Batch]] = {
            "captions": self._pairs,
            "details": self._pairs,
            "questions": self._questions,
            "matching": self._matching,
            "moments": self._moments,
        }
        return made[draw.part](draw.part, examples, clips, dice)

    def losses(self, batch: Batch, step: int) -> Terms:
        """The terms of one lesson."""
        self._network.train()
        lesson, *inputs = batch.inputs
        losses: dict[str, Callable[..., dict[str, Any]]] = {
            "pairs": self._contrast_and_caption,
            "questions": self._answer,
            "matching": self._match,
            "moments": self._locate,
        }
        return Terms(losses[lesson](*inputs), self._config.weights)

    def validate(self) -> Mapping[str, float]:
        """As given, in evaluation mode."""
        self._network.eval()
        with torch.inference_mode():
            return dict(self._validate(self._backbone))

    def _chosen(self) -> Iterable[tuple[str, Any]]:
        config = self._config
        for name, values in self._network.named_parameters():
            wanted = not config.trained or any(word in name for word in config.trained)
            learns = wanted and not any(word in name for word in config.frozen)
            values.requires_grad_(learns)
            if learns:
                yield name, values

    def _teachable(self, lesson: str) -> list[int]:
        """Numbers of the examples that have what a lesson needs."""
        needs = {"captions": "captions", "matching": "mismatches"}.get(lesson, lesson)
        least = 2 if lesson in ("captions", "details") else 1  # one to say, another to contrast
        found = [
            number
            for number in range(len(self._library))
            if len(getattr(self._library.example(number), needs)) >= least
        ]
        if not found:
            raise UsageError(
                f"no example has {least} {needs} for the lesson {lesson!r}: leave it out"
            )
        return found

    def _pairs(
        self, part: str, examples: Sequence[Taught], clips: list[Features], dice: list[Any]
    ) -> Batch:
        texts, said = [], []
        for example, rng in zip(examples, dice, strict=True):
            known = example.captions if part == "captions" else example.details
            one, other = rng.choice(len(known), size=2, replace=False)
            texts.append(known[one])
            said.append(known[other])
        asked = DESCRIBE if part == "captions" else DETAIL
        counts = {"contrast": float(len(clips)), "caption": self._count(said)}
        return Batch(("pairs", clips, texts, asked, said), self._asked(counts))

    def _questions(
        self, _part: str, examples: Sequence[Taught], clips: list[Features], dice: list[Any]
    ) -> Batch:
        asked, answers = [], []
        for example, rng in zip(examples, dice, strict=True):
            question = example.questions[int(rng.integers(len(example.questions)))]
            asked.append(prompt_of(question, choose=bool(rng.integers(2))))
            answers.append(question.answer)
        return Batch(("questions", clips, asked, answers), {"answer": self._count(answers)})

    def _matching(
        self, _part: str, examples: Sequence[Taught], clips: list[Features], dice: list[Any]
    ) -> Batch:
        texts, fits = [], []
        for example, rng in zip(examples, dice, strict=True):
            pair = example.mismatches[int(rng.integers(len(example.mismatches)))]
            fit = bool(rng.integers(2))
            texts.append(pair.true if fit else pair.wrong)
            fits.append(fit)
        return Batch(("matching", clips, texts, fits), {"match": float(len(clips))})

    def _moments(
        self, _part: str, examples: Sequence[Taught], clips: list[Features], dice: list[Any]
    ) -> Batch:
        texts, moments, windows, cut = [], [], [], []
        for number, (example, clip, rng) in enumerate(zip(examples, clips, dice, strict=True)):
            moment = example.moments[int(rng.integers(len(example.moments)))]
            texts.append(moment.text)
            moments.append((number, moment.span))
            again = [m.span for m in example.moments if m.text == moment.text and m is not moment]
            fair = [w for w in self._windows(clip) if not any(w.iou(s) >= 0.2 for s in again)]
            for span in dict.fromkeys([moment.span, *fair]):
                windows.append((number, span))
                cut.append(within(clip, span))
        labels_QN = window_labels(moments, windows)
        return Batch(("moments", cut, texts, labels_QN), {"locate": float(len(texts))})

    def _windows(self, clip: Features) -> list[Span]:
        end_s = float(clip.times_F[-1])
        last_s = max(0.0, end_s - self._config.window_s)
        starts = np.arange(0.0, last_s + 1e-9, self._config.stride_s)
        return [Span(float(start), float(start) + self._config.window_s) for start in starts]

    def _contrast_and_caption(
        self, clips: list[Features], texts: list[str], asked: str, said: list[str]
    ) -> dict[str, Any]:
        terms = {}
        if self._config.weights.get("contrast"):
            video_BD = embed(self._backbone, [Content(clip=clip) for clip in clips])
            text_BD = embed(self._backbone, [Content(text=text) for text in texts])
            found = two_way(gathered(video_BD), gathered(text_BD), temperature=self._temperature)
            terms["contrast"] = found.rows_B.sum()
        if self._config.weights.get("caption"):
            shown = [Content(clip=clip, text=asked) for clip in clips]
            terms["caption"], _ = teach(self._backbone, shown, said)
        return terms

    def _answer(
        self, clips: list[Features], asked: list[str], answers: list[str]
    ) -> dict[str, Any]:
        shown = [Content(clip=clip, text=text) for clip, text in zip(clips, asked, strict=True)]
        total, _ = teach(self._backbone, shown, answers)
        return {"answer": total}

    def _match(self, clips: list[Features], texts: list[str], fits: list[bool]) -> dict[str, Any]:
        shown = [
            Content(clip=clip, text=MATCHES.format(text=text))
            for clip, text in zip(clips, texts, strict=True)
        ]
        answers_2D = self._backbone.head_rows(self._answers_2)
        rows = []
        for order, batch in self._backbone.batches(shown, CHAT):
            states_BD = last_states(self._backbone.hidden(batch), batch["attention_mask"])
            fits_B = torch.tensor([fits[row] for row in order])
            rows.append(matching(states_BD, answers_2D, fits_B))
        return {"match": torch.cat(rows).sum()}

    def _locate(self, cut: list[Features], texts: list[str], labels_QN: Any) -> dict[str, Any]:
        windows_ND = embed(self._backbone, [Content(clip=clip) for clip in cut])
        queries_QD = embed(self._backbone, [Content(text=text) for text in texts])
        rows_Q = localisation(queries_QD, windows_ND, labels_QN, temperature=self._temperature)
        return {"locate": rows_Q.sum()}

    @property
    def _temperature(self) -> Any:
        """Learned, but never below 0.01: a sharper contrast only follows noise."""
        return torch.exp(-self._heat).clamp(min=0.01)

    def _count(self, answers: Sequence[str]) -> float:
        """Tokens that `teach` will learn: of each answer, and its end."""
        tokenizer = self._backbone.checkpoint.family.processor.tokenizer
        found = tokenizer(list(answers), add_special_tokens=False)["input_ids"]
        return float(sum(len(ids) + 1 for ids in found))

    def _asked(self, counts: dict[str, float]) -> dict[str, float]:
        return {name: n for name, n in counts.items() if self._config.weights.get(name)}


def prompt_of(question: Any, *, choose: bool) -> str:
    """A question as it stands, or with its options to choose from."""
    if not choose or not question.options:
        return str(question.question)
    return CHOOSE.format(question=question.question, options="; ".join(question.options))


def within(clip: Features, span: Span) -> Features:
    """The frames of a span; where there is none, the one nearest to its middle."""
    inside = (clip.times_F >= span.start_s) & (clip.times_F < span.end_s)
    if not inside.any():
        inside[np.abs(clip.times_F - (span.start_s + span.end_s) / 2).argmin()] = True
    return clip.take(np.flatnonzero(inside).tolist())
