"""From log-odds to probabilities that come true: a temperature, a shift, and when to say no."""

import json
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from kinoscope.durable import write_atomically
from kinoscope.errors import UsageError
from kinoscope.types import Bool, Float64

_MOST_BYTES = 65_536  # of a calibration's file
_STEPS = 100  # of Newton's method, which needs about ten
_RIDGE = 1e-4  # keeps the fit finite where fits and misfits separate
_RANGES = {
    "prior": (0.0, 2.0),
    "temperature": (1e-3, 1e4),
    "shift": (-1e4, 1e4),
    "fusion": (0.0, 1.0),
    "threshold": (0.0, 1.0),
}


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What was learned, on videos of its own, about a model's yes and no.

    Attributes:
        model: hash of the weights that it is for; a calibration of other weights says nothing.
        prior: how much of the answer without a video is taken off the answer with it.
        temperature: divides the log-odds.
        shift: taken off them before.
        fusion: share of the retrieval score in a re-ranked one; the rest is the match.
        threshold: probability from which a match is a good one.

    Raises `UsageError` for a value out of its range.
    """

    model: str
    prior: float = 1.0
    temperature: float = 1.0
    shift: float = 0.0
    fusion: float = 0.5
    threshold: float = 0.5

    def __post_init__(self) -> None:
        for name, (least, most) in _RANGES.items():
            value = getattr(self, name)
            if type(value) not in (int, float) or not least <= value <= most:
                raise UsageError(f"calibration {name} {value!r}: a number in {least:g}..{most:g}")
        if not isinstance(self.model, str) or not self.model:
            raise UsageError(f"calibration model {self.model!r}: the hash of its weights")

    def probabilities(self, odds_N: Float64) -> Float64:
        """Of a match [N], from log-odds that are already without the prior."""
        return sigmoid((odds_N - self.shift) / self.temperature)

    def write(self, path: Path) -> None:
        """As JSON, on the disk; a calibration that was there stays until this one is whole."""
        write_atomically(path, json.dumps(asdict(self), indent=1))

    @classmethod
    def read(cls, path: Path) -> "Calibration":
        """The reverse of `write`; `UsageError` for any other file."""
        try:
            with path.open("rb") as stream:
                text = stream.read(_MOST_BYTES + 1)
            if len(text) > _MOST_BYTES:
                raise ValueError(f"more than {_MOST_BYTES} bytes")
            content = json.loads(text)
            if not isinstance(content, dict) or set(content) != {f.name for f in fields(cls)}:
                raise ValueError("other fields")
            return cls(**content)
        except FileNotFoundError:
            raise UsageError(f"{path} does not exist: name a calibration's file") from None
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{path} is no calibration ({error}): make it anew") from error


def sigmoid(odds_N: Float64) -> Float64:
    """1 / (1 + exp(-odds)), without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(odds_N / 2.0)))


def fitted(odds_N: Float64, fits_N: Bool) -> tuple[float, float]:
    """Temperature and shift of the likeliest probabilities of what was seen (Platt's scaling).

    The logistic curve with the least cross-entropy, by Newton's method, with a trace of ridge.
    Odds that tell nothing, or the wrong way round, get the highest temperature: all is as likely.
    Raises `UsageError` unless both fits and misfits were seen.
    """
    if odds_N.shape != fits_N.shape or not np.isfinite(odds_N).all():
        raise UsageError(f"odds {list(odds_N.shape)} of {list(fits_N.shape)}: finite, one each")
    if fits_N.all() or not fits_N.any():
        raise UsageError("a calibration needs texts that fit and texts that do not: give both")
    centre, scale = float(odds_N.mean()), max(float(odds_N.std()), 1e-9)
    inputs_N2 = np.column_stack([(odds_N - centre) / scale, np.ones(len(odds_N))])
    weights_2 = np.zeros(2)
    for _ in range(_STEPS):
        chances_N = sigmoid(inputs_N2 @ weights_2)
        slope_2 = inputs_N2.T @ (chances_N - fits_N) / len(fits_N) + _RIDGE * weights_2
        bend_22 = (inputs_N2 * (chances_N * (1 - chances_N))[:, None]).T @ inputs_N2 / len(fits_N)
        step_2 = np.linalg.solve(bend_22 + _RIDGE * np.eye(2), slope_2)
        weights_2 -= step_2 * min(1.0, 2.0 / max(1e-9, float(np.abs(step_2).max())))
        if np.abs(step_2).max() < 1e-10:
            break
    least, most = _RANGES["temperature"]
    steep = weights_2[0] / scale
    temperature = most if steep <= 1 / most else max(least, 1.0 / float(steep))
    shift = centre - float(weights_2[1]) * temperature
    return temperature, float(np.clip(shift, *_RANGES["shift"]))


def best_threshold(chances_N: Float64, fits_N: Bool) -> float:
    """The probability that, as the least of a good match, is right most evenly on both kinds.

    The least that was seen, or halfway between two, with the best mean of the share of fits at or
    above it and of misfits below it; of equals the highest: a wrong answer costs more than none.
    """
    if fits_N.all() or not fits_N.any():
        raise UsageError("a threshold needs texts that fit and texts that do not: give both")
    seen = np.unique(chances_N)
    cuts = np.append(seen[0], (seen[:-1] + seen[1:]) / 2)
    right = [
        float((chances_N[fits_N] >= cut).mean() + (chances_N[~fits_N] < cut).mean()) for cut in cuts
    ]
    return float(cuts[len(right) - 1 - int(np.argmax(right[::-1]))])


def fused(retrieval_K: Float64, matching_K: Float64, share: float) -> Float64:
    """`share` of the one and `1 - share` of the other [K], both in their own deviations.

    Cosines and log-odds have nothing else in common than their order. Where all are equal, that
    side has no say.
    """
    if not (math.isfinite(share) and 0 <= share <= 1):
        raise UsageError(f"share {share} of retrieval in the fusion: choose 0 to 1")
    return share * _standard(retrieval_K) + (1 - share) * _standard(matching_K)


def _standard(values_K: Float64) -> Float64:
    spread = float(values_K.std())
    apart_K = values_K - values_K.mean()
    return np.asarray(apart_K / spread if spread > 1e-9 else np.zeros_like(apart_K))
