"""What a multimodal LLM says, token by token, and how sure it is of its words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kinoscope.errors import UsageError
from kinoscope.libraries import torch, transformers
from kinoscope.prompts import CHAT
from kinoscope.types import Content

if TYPE_CHECKING:
    from kinoscope.backbones.mllm import MLLM

_ROUNDING = 1e-3  # of a sum of probabilities


@dataclass(frozen=True, kw_only=True)
class Said:
    """Words of a model.

    Attributes:
        text: without control words and outer blanks; empty where it had nothing to say.
        log_likelihood: natural logarithm of the probability of a token, given those before it, as a
            mean over all that were said, the end of turn included: 0 is certainty.
        complete: whether the model came to its end; else it was cut off.
    """

    text: str
    log_likelihood: float
    complete: bool

    def __post_init__(self) -> None:
        assert math.isfinite(self.log_likelihood), self.log_likelihood
        assert self.log_likelihood <= _ROUNDING, self.log_likelihood


def said(backbone: "MLLM", contents: Sequence[Content], *, max_new_tokens: int = 64) -> list[Said]:
    """Greedy answers, in the order of contents: a text is a question, a clip what it is about.

    A row does not depend on the others.
    Raises `UsageError` unless `max_new_tokens` is positive.
    """
    if max_new_tokens < 1:
        raise UsageError(f"max_new_tokens {max_new_tokens}: give at least 1")
    network, ends = backbone.checkpoint.model, _ends(backbone)
    config = transformers().GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=False,
        eos_token_id=ends or None,
        pad_token_id=backbone.pad_id,
    )
    found: dict[int, Said] = {}
    for rows, batch in backbone.batches(contents, CHAT):
        heard = _Likelihoods()
        with torch().inference_mode():
            ids_BT = network.generate(**batch, generation_config=config, logits_processor=[heard])
        new_BT = ids_BT[:, batch["input_ids"].shape[1] :]
        found |= zip(rows, _read(backbone, new_BT, heard.chosen_BT(), ends), strict=True)
    return [found[number] for number in range(len(contents))]


class _Likelihoods:
    """Listens to a greedy generation: the likeliest token's log-probability at each step."""

    def __init__(self) -> None:
        self._steps: list[Any] = []

    def __call__(self, _ids_BT: Any, logits_BV: Any) -> Any:
        self._steps.append(logits_BV.float().log_softmax(dim=1).amax(dim=1))
        return logits_BV

    def chosen_BT(self) -> Any:
        """Log-probabilities of what was said [B, T]; behind a row's end they say nothing."""
        return torch().stack(self._steps, dim=1)


def _ends(backbone: "MLLM") -> list[int]:
    """Tokens that end a turn."""
    own = backbone.checkpoint.model.generation_config.eos_token_id
    return [own] if isinstance(own, int) else list(own or ())


def _read(backbone: "MLLM", new_BT: Any, chosen_BT: Any, ends: Sequence[int]) -> list[Said]:
    tokenizer = backbone.checkpoint.family.processor.tokenizer
    texts = tokenizer.batch_decode(new_BT, skip_special_tokens=True)
    answers = []
    for text, ids_T, chosen_T in zip(texts, new_BT.tolist(), chosen_BT.tolist(), strict=True):
        last = next((place for place, token in enumerate(ids_T) if token in ends), None)
        spoken = chosen_T if last is None else chosen_T[: last + 1]
        answers.append(
            Said(
                text=text.strip(),
                log_likelihood=sum(spoken) / len(spoken),
                complete=last is not None,
            )
        )
    return answers
