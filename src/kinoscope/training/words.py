"""Words of captions as targets of pixels: a connector learns to speak the language model's words.

No language model runs: a clip's tokens, before they are read, are compared with the input
embeddings of the words that its captions use. Rare words weigh more.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from kinoscope.errors import UsageError
from kinoscope.types import Float32

_SHARPNESS = 15.0
"""The score of a token that is a word's own embedding, beside tokens without a direction: ~0."""


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
        total = 0
        for caption in captions:
            counts.update(set(_ids(tokenizer, caption)))
            total += 1
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
        places = {int(token): place for place, token in enumerate(self.ids_V)}
        targets_BV = np.zeros((len(captions), len(places)), np.float32)
        for row, caption in enumerate(captions):
            known = [places[token] for token in set(_ids(tokenizer, caption)) if token in places]
            targets_BV[row, known] = self.weights_V[known] + 1e-3
        sums_B1 = targets_BV.sum(axis=1, keepdims=True)
        return torch.from_numpy(np.divide(targets_BV, sums_B1, where=sums_B1 > 0, out=targets_BV))


def word_loss(tokens: Sequence[Any], embeddings_VD: Any, targets_BV: Any) -> Any:
    """Cross-entropy [B] of the words of captions, given tokens of clips.

    A word's score is the log of the sum, over the clip's tokens, of exp(15 x . e / |e|^2), with e
    its embedding less the mean of all and |e| the mean length: one token that says it is enough.

    Args:
        tokens: [N, D] of each clip, as they will be added to what the language model reads.
        embeddings_VD: input embeddings of the vocabulary.
        targets_BV: see `Vocabulary.targets`.
    """
    with torch.autocast(embeddings_VD.device.type, enabled=False):
        wide_VD = embeddings_VD.detach().float()
        centred_VD = wide_VD - wide_VD.mean(dim=0)
        scale = _SHARPNESS / centred_VD.norm(dim=1).mean() ** 2
        scores = [
            torch.logsumexp(tokens_ND.float() @ centred_VD.T * scale, dim=0) for tokens_ND in tokens
        ]
        return -(targets_BV * functional.log_softmax(torch.stack(scores), dim=1)).sum(dim=1)


def _ids(tokenizer: Any, caption: str) -> list[int]:
    """As in running text: ` fox`, not `fox`."""
    return list(tokenizer(f" {caption}", add_special_tokens=False)["input_ids"])
