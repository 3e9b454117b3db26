"""Choices and answers: one of two, one of several, or in words; a tie counts against the model."""

import re
import string
from collections.abc import Sequence

import numpy as np

from kinoscope.errors import UsageError
from kinoscope.evaluation.metrics.checks import Scores, finite
from kinoscope.types import Float64

NORMALISATION = "lower case, without punctuation and a, an, the (SQuAD)"
"""Of `same_answer`; the name for a result's protocol."""


def right_wins(right_N: Scores, wrong_N: Scores, *, rounding: float = 0.0) -> Float64:
    """1.0 where the right one of two scores higher, by more than `rounding`, else 0.0: [N].

    Chance is one half. Raises `UsageError` for scores that do not pair, or are not finite.
    """
    return (_margins(right_N, wrong_N) > rounding).astype(np.float64)


def tied_pairs(right_N: Scores, wrong_N: Scores, *, rounding: float = 0.0) -> Float64:
    """1.0 where both score the same, else 0.0 [N]: the mean is the tie rate."""
    return (np.abs(_margins(right_N, wrong_N)) <= rounding).astype(np.float64)


def _margins(right_N: Scores, wrong_N: Scores) -> Scores:
    if right_N.shape != wrong_N.shape or right_N.ndim != 1 or not len(right_N):
        raise UsageError(
            f"scores {list(right_N.shape)} and {list(wrong_N.shape)}: pair them, one each, not none"
        )
    return np.asarray(finite(right_N), np.float64) - finite(wrong_N)


def picked(scores: Sequence[Scores], right: Sequence[int], *, rounding: float = 0.0) -> Float64:
    """1.0 where the right option scores higher than all others, else 0.0: [Q].

    `scores` has those of each question's options [K], of which there are at least two; `right` the
    number of the right one. Raises `UsageError` for anything else.
    """
    values = []
    for query, (scores_K, number) in enumerate(zip(scores, right, strict=True)):
        if not (0 <= number < len(scores_K) and len(scores_K) > 1):
            raise UsageError(f"option {number} of {len(scores_K)} in question {query}: give two")
        others_K = np.delete(finite(scores_K), number)
        values.append(float(scores_K[number] - others_K.max()) > rounding)
    return np.array(values, np.float64)


def same_answer(given: str, right: str) -> bool:
    """Whether two answers are the same words, as SQuAD compares them (arXiv 1606.05250).

    >>> same_answer("The dog.", "dog")
    True
    """
    return _words(given) == _words(right)


def _words(answer: str) -> list[str]:
    plain = answer.lower().translate(str.maketrans("", "", string.punctuation))
    return re.sub(r"\b(a|an|the)\b", " ", plain).split()
