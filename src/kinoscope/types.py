"""Values that cross module edges: frozen, self-checking, with units and shapes in their names.

Shape key, used as a suffix everywhere (`vectors_ND`, `mask_BT`):

    B batch      F frames     T tokens     D embedding dimensions
    N rows (clips or items)   V videos     Q queries   K results or steps
    L layers     H height     W width      C colour channels or classes
    P slots of a learned dictionary, or words of a mixture

Times are float seconds (`start_s`); a span is half-open, `[start_s, end_s)`.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from kinoscope.errors import SpecMismatch, UsageError

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
UInt8 = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, order=True)
class Span:
    """A half-open piece of time `[start_s, end_s)` in seconds."""

    start_s: float
    end_s: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start_s) and math.isfinite(self.end_s)):
            raise UsageError(f"span [{self.start_s}, {self.end_s}) is not finite: give seconds")
        if not 0 <= self.start_s < self.end_s:
            raise UsageError(
                f"span [{self.start_s}, {self.end_s}) is empty or negative: need 0 <= start < end"
            )

    @property
    def duration_s(self) -> float:
        """Length in seconds, always positive."""
        return self.end_s - self.start_s

    def overlap_s(self, other: "Span") -> float:
        """Seconds that both spans cover; 0.0 for spans that only touch."""
        return max(0.0, min(self.end_s, other.end_s) - max(self.start_s, other.start_s))

    def iou(self, other: "Span") -> float:
        """Temporal intersection over union, in 0..1."""
        shared_s = self.overlap_s(other)
        return shared_s / (self.duration_s + other.duration_s - shared_s)


@dataclass(frozen=True, eq=False)
class Frames:
    """RGB frames with their presentation times.

    `rgb_FHWC` is uint8; `times_F` float64 seconds from the start of the file, strictly ascending.
    """

    rgb_FHWC: UInt8
    times_F: Float64

    def __post_init__(self) -> None:
        rgb, times = self.rgb_FHWC, self.times_F
        if rgb.dtype != np.uint8 or rgb.ndim != 4 or rgb.shape[-1] != 3 or 0 in rgb.shape[1:]:
            raise UsageError(f"frames are uint8 [F, H, W, 3], not {rgb.dtype} {list(rgb.shape)}")
        _check_times(times, len(rgb))

    def __len__(self) -> int:
        return len(self.times_F)

    def __repr__(self) -> str:
        _, height, width, _ = self.rgb_FHWC.shape
        return f"Frames({len(self)} x {height}x{width}, {_describe_times(self.times_F)})"

    def take(self, indices: Sequence[int]) -> "Frames":
        """The frames at ascending `indices`."""
        chosen = list(indices)
        return Frames(self.rgb_FHWC[chosen], self.times_F[chosen])


@dataclass(frozen=True, eq=False)
class Features:
    """What a backbone knows of each frame alone: `values_F` has one leading row a frame."""

    values_F: npt.NDArray[np.generic]
    times_F: Float64

    def __post_init__(self) -> None:
        _check_times(self.times_F, len(self.values_F))

    def __len__(self) -> int:
        return len(self.times_F)

    def __repr__(self) -> str:
        return f"Features({list(self.values_F.shape)}, {_describe_times(self.times_F)})"

    def take(self, indices: Sequence[int]) -> "Features":
        """The rows at ascending `indices`."""
        chosen = list(indices)
        return Features(self.values_F[chosen], self.times_F[chosen])

    @staticmethod
    def concatenate(parts: Sequence["Features"]) -> "Features":
        """Joins parts of one video in time order."""
        return Features(
            np.concatenate([part.values_F for part in parts]),
            np.concatenate([part.times_F for part in parts]),
        )


Kind = Literal["text", "image", "video", "composed"]
Role = Literal["query", "document"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Content:
    """What one vector is made of: a text, a clip, or a clip with the edit that a text describes.

    Attributes:
        text: a description or, beside a clip, an edit instruction.
        clip: frame features as the backbone's `vision` made them.
        caption: what stands in a clip's place before an edit, in training on text alone.
        still: whether the clip is a single picture rather than a video.
        role: which side of a search it stands on; some models prompt the two differently.
    """

    text: str | None = None
    clip: Features | None = None
    still: bool = False
    role: Role = "document"
    caption: str | None = None

    def __post_init__(self) -> None:
        assert self.text is not None or self.clip is not None, "neither text nor clip"
        alone = self.text is not None and self.clip is None
        assert self.caption is None or alone, "a caption is for an edit, in place of a clip"
        assert self.clip is None or len(self.clip), "a clip without frames"
        assert not self.still or (self.clip is not None and len(self.clip) == 1), "no picture"

    def __repr__(self) -> str:
        parts = [self.kind, *([repr(self.clip)] if self.clip is not None else [])]
        return f"Content({', '.join(parts)})"

    @property
    def kind(self) -> Kind:
        """`composed` has both a clip, or its caption, and a text."""
        if self.clip is None:
            return "text" if self.caption is None else "composed"
        if self.text is not None:
            return "composed"
        return "image" if self.still else "video"


@dataclass(frozen=True, eq=False)
class States:
    """Token states: `states_BTD` float32, `mask_BT` true where a token is real.

    `vision_BT` is true where a real token stands for pixels; None where the model has no such
    tokens, or where only the summary state of each row was kept.
    """

    states_BTD: Float32
    mask_BT: Bool
    vision_BT: Bool | None = None

    def __post_init__(self) -> None:
        states, mask, vision = self.states_BTD, self.mask_BT, self.vision_BT
        assert states.dtype == np.float32, states.dtype
        assert mask.dtype == np.bool_, mask.dtype
        assert states.ndim == 3, states.shape
        assert mask.shape == states.shape[:2], (mask.shape, states.shape)
        assert mask.any(axis=1).all(), "a row without a single real token"
        assert vision is None or (vision.shape == mask.shape and not (vision & ~mask).any())

    def __repr__(self) -> str:
        return f"States(BTD={list(self.states_BTD.shape)})"


@dataclass(frozen=True, kw_only=True)
class EmbedderSpec:
    """Everything that decides a vector's value. Two vectors compare only if their specs are equal.

    Attributes:
        model: name of the model, e.g. `concepts`, or where it was loaded from. Not compared: the
            same weights may lie in another folder.
        weights: SHA-256 over the hashes of all weight and vocabulary files.
        prompts: SHA-256 of every template and constant that enters the text.
        sampling: the sampling configuration in words (policy, rate, windows, pixels).
        thinking: what its steps read, the stop rules and what was learned about them, `none` where
            the model does not think.
        centring: how a library's mean enters the score, `none` where it does not.
        dimension: length D of each vector.
        head: how token states become one vector, e.g. `mean`, or `last of layer 20`.
        normalised: whether vectors have unit length.
    """

    model: str = field(compare=False)
    weights: str
    prompts: str
    sampling: str
    thinking: str
    centring: str
    dimension: int
    head: str = "mean"
    normalised: bool = True

    @property
    def thinks(self) -> bool:
        """Whether vectors come with a number of steps and a reason."""
        return self.thinking != "none"

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits that name this spec, the place of the model aside."""
        compared = {key: value for key, value in asdict(self).items() if key != "model"}
        text = json.dumps(compared, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @classmethod
    def from_dict(cls, values: dict[str, object]) -> "EmbedderSpec":
        """The reverse of `dataclasses.asdict`; raises `UsageError` on missing or foreign fields."""
        expected = {known.name: known.type for known in fields(cls)}
        if isinstance(values, dict):
            values = {"head": "mean", **values}  # the first version knew no other head
        good = isinstance(values, dict) and set(values) == set(expected)
        if not good or any(type(values[n]) is not kind for n, kind in expected.items()):
            raise UsageError(f"not an embedder spec: need the fields {sorted(expected)}")
        return cls(**values)  # type: ignore[arg-type]

    def require_equal(self, other: "EmbedderSpec", *, remedy: str) -> None:
        """Raises `SpecMismatch`, printing both specs and the remedy, unless they are equal."""
        if self == other:
            return
        lines = []
        for known in fields(self):
            mine, theirs = getattr(self, known.name), getattr(other, known.name)
            mark = "  " if mine == theirs or not known.compare else "! "
            lines.append(f"{mark}{known.name}: {mine} | {theirs}")
        raise SpecMismatch(
            f"vectors of two different embedders do not compare ({remedy}):\n" + "\n".join(lines)
        )


@dataclass(frozen=True, eq=False)
class Embedded:
    """Vectors of N contents: float32 [N, D], unit length.

    `steps` says how many thoughts each is made of and `reasons` what ended them (`halt`, `cap`,
    ...); both are empty where the model does not think.
    """

    vectors_ND: Float32
    steps: tuple[int, ...] = ()
    reasons: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert len(self.steps) == len(self.reasons), (len(self.steps), len(self.reasons))
        assert len(self.steps) in (0, len(self.vectors_ND)), len(self.steps)
        assert all(count >= 1 for count in self.steps), self.steps
        check_vectors(self.vectors_ND)

    def row(self, number: int) -> "Embedded":
        """One of them alone."""
        only = slice(number, number + 1)
        return Embedded(self.vectors_ND[only], self.steps[only], self.reasons[only])


@dataclass(frozen=True, eq=False)
class ClipEmbeddings:
    """One video's vectors: row 0 is the whole video, the others are its windows in time order.

    `vectors_ND` is float32, unit length; `spans` and `scales` (`whole`, `4s`) have N entries.
    `steps` and `reasons` too where the model thinks, see `Embedded`; else they are empty.
    """

    spans: tuple[Span, ...]
    scales: tuple[str, ...]
    vectors_ND: Float32
    steps: tuple[int, ...] = ()
    reasons: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.vectors_ND)
        assert count == len(self.spans) == len(self.scales) >= 1, (count, len(self.spans))
        assert self.scales[0] == "whole", self.scales[0]
        Embedded(self.vectors_ND, self.steps, self.reasons)  # checks the rest

    def __repr__(self) -> str:
        return f"ClipEmbeddings(ND={list(self.vectors_ND.shape)}, {self.spans[0]})"


@dataclass(frozen=True, kw_only=True)
class Hit:
    """One answer to a query: a moment of a video.

    Attributes:
        rank: 1 for the best.
        path: a file that holds the moment.
        span: `[start_s, end_s)` in that file.
        score: cosine minus the cosine of the library's mean, and minus the penalty; 0 means "no
            closer than average".
        cosine: cosine of query and clip vector.
        copies: other files with the same content.
        steps, reason: how many thoughts the moment's vector is made of and what ended them; 0 and
            empty where the model does not think.
        penalty: what was taken off the score for showing what the query excludes.
        probability: that the query describes the moment, where a calibrated matcher has looked.
    """

    rank: int
    path: Path
    span: Span
    score: float
    cosine: float
    copies: tuple[Path, ...] = ()
    steps: int = 0
    reason: str = ""
    penalty: float = 0.0
    probability: float | None = None


def check_vectors(vectors_ND: Float32) -> None:
    """Asserts that vectors are float32, finite and of unit length; shape [N, D]."""
    assert vectors_ND.dtype == np.float32, vectors_ND.dtype
    assert vectors_ND.ndim == 2, vectors_ND.shape
    lengths_N = np.linalg.norm(vectors_ND, axis=1)
    assert np.allclose(lengths_N, 1.0, atol=1e-4), "vectors are not finite or not of unit length"


def _check_times(times_F: Float64, count: int) -> None:
    if times_F.dtype != np.float64 or times_F.shape != (count,):
        raise UsageError(
            f"times are float64 [{count}], not {times_F.dtype} {list(times_F.shape)}: one a frame"
        )
    if not np.isfinite(times_F).all() or (np.diff(times_F) <= 0).any():
        raise UsageError("frame times must be finite and strictly ascending seconds")


def _describe_times(times_F: Float64) -> str:
    return f"{times_F[0]:.3f}..{times_F[-1]:.3f} s" if len(times_F) else "no frames"
