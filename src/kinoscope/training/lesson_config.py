"""Which lessons a training has, how often, and what their losses weigh.

ViLL-E (arXiv 2604.12148): stage 1 learns captions and contrast from short texts, stage 2 from
detailed ones, stage 3 a mix of all. A stage is a choice of lessons and weights; see `STAGES`.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from kinoscope.errors import UsageError
from kinoscope.training.thoughts import ThinkingLesson

_OF_WORDS = ("words", "motion", "wordings")
_OF_VIDEO = ("captions", "details", "questions", "matching", "moments", "edits", "distil")
LESSONS = (*_OF_WORDS, *_OF_VIDEO)
TERMS = (*_OF_WORDS, "contrast", "caption", "answer", "match", "locate", "compose", "distil")

TEXT_LESSONS = frozenset({"wordings"})
"""Those that read no video: the vision features of their examples are not computed."""

_TERMS_OF = {
    "words": ("words",),
    "motion": ("motion",),
    "wordings": ("wordings",),
    "captions": ("contrast", "caption"),
    "details": ("contrast", "caption"),
    "questions": ("answer",),
    "matching": ("match",),
    "moments": ("locate",),
    "edits": ("compose",),
    "distil": ("distil",),
}

STAGES: dict[int, dict[str, float]] = {
    0: {"words": 1.0},
    1: {"captions": 1.0},
    2: {"details": 1.0},
    3: {"captions": 0.4, "questions": 0.2, "matching": 0.2, "moments": 0.2},
}
"""Shares of the lessons by stage; 0 is a warm-up of connectors that have learned nothing yet."""


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
        paired: probability that a video's short text is the true one of that pair, so that what
            tells the two apart is the fact, and no way of saying it.
        asked: questions, or texts to match, of each video of a draw; a family that can reads the
            video once for them. Texts to match come in twos.
        near: probability that a text that does not match is wrong in one fact, not another video's.
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
    paired: float = 0.5
    asked: int = 1
    near: float = 0.5
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
            "near": 0 <= self.near <= 1,
            "partners": 0 <= self.partners <= 1,
            "paired": 0 <= self.paired <= 1,
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
    def sees_video(self) -> bool:
        """Whether some lesson reads the videos, beside the texts on them."""
        return not TEXT_LESSONS.issuperset(self.shares)

    @property
    def term_weights(self) -> Mapping[str, float]:
        """Of all terms, those of thinking among them."""
        if self.thinking is None:
            return self.weights
        return {**self.weights, **self.thinking.weights(self.weights["contrast"])}
