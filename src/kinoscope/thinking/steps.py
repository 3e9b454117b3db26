"""What a step reads: the likeliest word, or a mixture of likely words; and the prompts before it.

A row's first thought g_1 is the state of its last prompt token, so that thinking of one step costs
what a plain vector costs. g_k is the state after reading what g_(k-1) says: never the state that
has yet to be read. In text steps the end-of-sequence token is not read: a model that says it at
once has one thought.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from kinoscope.backbones.likelihood import logits
from kinoscope.backbones.mllm import MLLM
from kinoscope.backbones.session import KVSession
from kinoscope.types import Content


def sessions(
    backbone: MLLM, contents: Sequence[Content]
) -> Iterator[tuple[list[int], KVSession, list[int]]]:
    """Row numbers, their prompts as they were read, and the lengths of these in tokens.

    Rows of like length share a session, as in `MLLM.batches`; each row comes once. The cache is
    memory beyond the budget of tokens: two vectors a token, layer and key head.
    """
    for rows, batch in backbone.batches(contents, side="left"):
        lengths = batch["attention_mask"].sum(dim=1).tolist()
        yield rows, backbone.session(batch), lengths


def likeliest_ids(backbone: MLLM, states_BD: Any) -> Any:
    """The token [B] that the LM head finds likeliest after each state, the first of equals."""
    return logits(backbone.checkpoint.model, states_BD).argmax(dim=1)


def soft_tokens(backbone: MLLM, states_BD: Any, top: int) -> Any:
    """Input embeddings [B, D], mixed by the probabilities of the `top` likeliest words.

    Softmax over these words alone. Embeddings are scaled as the model scales its inputs, logits
    bounded as it bounds them. A gradient flows to the states, the head and the embeddings.
    """
    logits_BV = logits(backbone.checkpoint.model, states_BD)
    likely = logits_BV.topk(min(top, logits_BV.shape[1]), dim=1)
    weights_BP1 = likely.values.softmax(dim=1)[..., None]
    words_BPD = backbone.embed_tokens(likely.indices)
    return (weights_BP1 * words_BPD.float()).sum(dim=1).to(words_BPD.dtype)


def end_ids(backbone: MLLM) -> frozenset[int]:
    """Tokens that end a text, as `generate` sees it."""
    own = backbone.checkpoint.model.generation_config.eos_token_id
    if own is None:
        own = backbone.checkpoint.family.processor.tokenizer.eos_token_id
    found = torch.tensor([] if own is None else own, dtype=torch.long)
    return frozenset(found.flatten().tolist())
