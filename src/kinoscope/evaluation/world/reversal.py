"""A video against itself played backwards: whether an embedder sees in which order things happen.

RTime's binary form (arXiv 2412.19178): a text chooses between a video and its reversal, a video
between its caption and its reversal's, told in the same words.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kinoscope.evaluation.metrics.checks import ROUNDING
from kinoscope.evaluation.tasks.protocol import TaskResult
from kinoscope.evaluation.world.values import Figures, by_video, figures_of
from kinoscope.training.sources import Example
from kinoscope.types import Features, Float32, Float64


@dataclass(frozen=True, kw_only=True, eq=False)
class BothWays:
    """Unit vectors [N, D] of the same N items, forwards and backwards."""

    forward_ND: Float32
    backward_ND: Float32


@dataclass(frozen=True, kw_only=True, eq=False)
class Choices:
    """For each of N videos 1.0 for a right choice, 0.5 for a tie, 0.0 for a wrong one.

    Attributes:
        t2v_N: the caption chooses between the video and its reversal.
        v2t_N: the video chooses between its caption and its reversal's.
        tied_t2v_N, tied_v2t_N: 1.0 where both choices score the same.
    """

    t2v_N: Float64
    v2t_N: Float64
    tied_t2v_N: Float64
    tied_v2t_N: Float64


def told_both_ways(example: Example) -> tuple[str, str] | None:
    """Wording 0 of a video and of its reversal; None if these do not tell them apart."""
    if not example.backward or example.backward[0] == example.captions[0]:
        return None
    return example.captions[0], example.backward[0]


def played_backwards(clip: Features, duration_s: float) -> Features:
    """The features of the reversed video: each frame is seen alone, so only the order turns."""
    return Features(
        np.ascontiguousarray(clip.values_F[::-1]),
        np.ascontiguousarray(duration_s - clip.times_F[::-1]),
    )


def choose(videos: BothWays, texts: BothWays) -> Choices:
    """Which way round each video and its caption find each other, by cosine."""
    right_N = _cosines(texts.forward_ND, videos.forward_ND)
    t2v_N = right_N - _cosines(texts.forward_ND, videos.backward_ND)
    v2t_N = right_N - _cosines(texts.backward_ND, videos.forward_ND)
    return Choices(
        t2v_N=_won(t2v_N), v2t_N=_won(v2t_N), tied_t2v_N=_tied(t2v_N), tied_v2t_N=_tied(v2t_N)
    )


def reversal(choices: Choices, keys: Sequence[str]) -> Figures:
    """Metrics and details of `judged`."""
    return figures_of(judged(choices, keys))


def judged(choices: Choices, keys: Sequence[str]) -> TaskResult:
    """`reversal_t2v`, `reversal_v2t` and `reversal`, the mean of both; chance is one half.

    Details: the share of ties each way.
    """
    values = {
        "reversal_t2v": by_video(keys, choices.t2v_N),
        "reversal_v2t": by_video(keys, choices.v2t_N),
        "reversal": by_video(keys, (choices.t2v_N + choices.v2t_N) / 2),
    }
    details: dict[str, object] = {
        "chance": 0.5,
        "t2v_tied": float(choices.tied_t2v_N.mean()),
        "v2t_tied": float(choices.tied_v2t_N.mean()),
    }
    return TaskResult(values=values, protocol=details)


def _won(margins_N: Float64) -> Float64:
    return np.where(np.abs(margins_N) <= ROUNDING, 0.5, margins_N > 0).astype(np.float64)


def _tied(margins_N: Float64) -> Float64:
    return (np.abs(margins_N) <= ROUNDING).astype(np.float64)


def _cosines(first_ND: Float32, second_ND: Float32) -> Float64:
    return np.asarray((first_ND.astype(np.float64) * second_ND).sum(axis=1))
