"""Words of captions as targets of pixels: a connector learns to speak the language model's words.

No language model runs: a clip's tokens, before they are read, are compared with the input
embeddings of the words that its captions use. Rare words weigh more. Words of motion are those that
tell a clip from itself played backwards.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from kinoscope.errors import UsageError
from kinoscope.types import Float32

_SHARPNESS = 15.0
"""The score of a token that is a word's own embedding, beside tokens without a direction: ~0."""
_TELLING = 0.1
"""Least difference of a word's shares among the captions of two clips that it tells apart."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Vocabulary:
    """Token ids that captions use, and what each weighs: log of captions per caption with it.

    Attributes:
        ids_V: ascending.
        weights_V: 0 for what every caption has.
    """

    ids_V: Any
    weights_V: Float32

    def __post_init__(self) -> None:
        assert len(self.ids_V) == len(self.weights_V) > 0, len(self.ids_V)

    def __repr__(self) -> str:
        return f"Vocabulary({len(self.ids_V)} tokens)"

    @classmethod
    def of(cls, captions: Iterable[str], tokenizer: Any) -> "Vocabulary":
        """Of all tokens in captions; `UsageError` for captions of fewer than two."""
        counts: Counter[int] = Counter()
        all_ids = _ids(tokenizer, list(captions))
        total = len(all_ids)
        for ids in all_ids:
            counts.update(set(ids))
        if len(counts) < 2:
            raise UsageError(
                f"{total} captions of {len(counts)} different words to learn: leave the lesson"
                " 'words' out"
            )
        ids = sorted(counts)
        weights = [np.log(total / counts[token]) for token in ids]
        return cls(ids_V=torch.tensor(ids), weights_V=np.array(weights, np.float32))

    def targets(self, captions: Sequence[str], tokenizer: Any) -> Any:
        """Shares of each caption's words by weight [B, V].

        Each row sums to 1, or is all 0 for a caption of unknown words alone: it costs nothing.
        """
        known_BV = self._used(captions, tokenizer)
        return torch.from_numpy(_shares(known_BV * (self.weights_V + np.float32(1e-3))))

    def opposed(
        self, captions: Sequence[str], others: Sequence[str], tokenizer: Any
    ) -> tuple[Any, Any]:
        """Words that tell a clip, all whose captions are given, from another, whose are `others`.

        Those whose share of the captions of one is larger by more than 0.1. Returns the targets of
        the clip and of the other [2, V], by that difference, and which words these are, bool [V].
        Each row of targets sums to 1, or is all 0 where no word speaks for the one: it costs
        nothing.
        """
        shares_2V = [
            self._used(side, tokenizer).sum(axis=0) / max(1, len(side))
            for side in (captions, others)
        ]
        leans_V = shares_2V[0] - shares_2V[1]
        leans_V[np.abs(leans_V) <= _TELLING] = 0
        targets_2V = _shares(np.stack([leans_V, -leans_V]).clip(min=0))
        return torch.from_numpy(targets_2V), torch.from_numpy(leans_V != 0)

    @cached_property
    def _places(self) -> dict[int, int]:
        return {int(token): place for place, token in enumerate(self.ids_V)}

    def _used(self, captions: Sequence[str], tokenizer: Any) -> Float32:
        """1 where a caption has a word [B, V]."""
        places = self._places
        used_BV = np.zeros((len(captions), len(places)), np.float32)
        for row, ids in enumerate(_ids(tokenizer, captions)):
            used_BV[row, [places[token] for token in set(ids) if token in places]] = 1
        return used_BV


def word_loss(
    tokens: Sequence[Any], embeddings_VD: Any, targets_BV: Any, among_BV: Any = None
) -> Any:
    """Cross-entropy [B] of the words of captions, given tokens of clips.

    A word's score is the log of the sum, over the clip's tokens, of exp(15 x . e / |e|^2), with e
    its embedding less the mean of all and |e| the mean length: one token that says it is enough.

    Args:
        tokens: [N, D] of each clip, as they will be added to what the language model reads.
        embeddings_VD: input embeddings of the vocabulary.
        targets_BV: see `Vocabulary.targets`.
        among_BV: the words that compete for a row, bool; all by default. A target must be one.
    """
    with torch.autocast(embeddings_VD.device.type, enabled=False):
        wide_VD = embeddings_VD.detach().float()
        centred_VD = wide_VD - wide_VD.mean(dim=0)
        scale = _SHARPNESS / centred_VD.norm(dim=1).mean() ** 2
        scores = [
            torch.logsumexp(tokens_ND.float() @ centred_VD.T * scale, dim=0) for tokens_ND in tokens
        ]
        scores_BV = torch.stack(scores)
        if among_BV is not None:
            scores_BV = scores_BV.masked_fill(~among_BV, torch.finfo(scores_BV.dtype).min)
        return -(targets_BV * functional.log_softmax(scores_BV, dim=1)).sum(dim=1)


def _shares(weights_BV: Float32) -> Float32:
    """Of each row's sum; rows of zeros as they are."""
    sums_B1 = weights_BV.sum(axis=1, keepdims=True)
    shares_BV = np.zeros_like(weights_BV)
    np.divide(weights_BV, sums_B1, where=sums_B1 > 0, out=shares_BV)
    return shares_BV


def _ids(tokenizer: Any, captions: Sequence[str]) -> list[list[int]]:
    """As in running text: ` fox`, not `fox`."""
    texts = [f" {caption}" for caption in captions]
    return list(tokenizer(texts, add_special_tokens=False)["input_ids"]) if texts else []
