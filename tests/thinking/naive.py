"""Thinking done slowly: every step reads the whole prompt again, alone, without a cache."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from kinoscope.backbones.mllm import MLLM
from kinoscope.types import Content
from kinoscope.weights import SIDE_PX
from tests.backbones.checks import LONG, SHORT
from tests.tiny import moving_frames

_FILLER = 5


def contents(backbone: MLLM) -> list[Content]:
    """Rows of every kind and of very different lengths, on both sides of a search."""
    small = backbone.model != "mini"
    sizes = [(56, 84), (64, 48)] if small else [(SIDE_PX, SIDE_PX)] * 2
    clips = [
        backbone.vision(moving_frames(count, *size, seed))
        for seed, (count, size) in enumerate(zip((6, 2), sizes, strict=True))
    ]
    return [
        Content(text=SHORT),
        Content(clip=clips[0]),
        Content(text=LONG, role="query"),
        Content(clip=clips[1], text="at night", role="query"),
        Content(clip=clips[1].take([0]), still=True),
    ]


def reread(backbone: MLLM, content: Content, behind: Sequence[Any]) -> Any:
    """The last state [D] of one pass over prompt and input embeddings [D] behind it.

    Positions are the model's own affair: it is given placeholders, whose embeddings are exchanged.
    """
    inputs, count = backbone.prepare(content), len(behind)
    more = torch.full((1, count), _FILLER)
    marks = {"attention_mask": 1, "token_type_ids": 1, "mm_token_type_ids": 0}
    for key, mark in {"input_ids": _FILLER, **marks}.items():
        if key in inputs:
            inputs[key] = torch.cat([inputs[key], torch.full_like(more, mark)], dim=1)
    network = backbone.checkpoint.model

    def exchange(_module: Any, _arguments: Any, words_BTD: Any) -> Any:
        if not count:
            return words_BTD
        return torch.cat([words_BTD[:, :-count], torch.stack(list(behind))[None]], dim=1)

    handle = network.get_input_embeddings().register_forward_hook(exchange)
    try:
        found = network(**inputs, use_cache=False, output_hidden_states=True)
    finally:
        handle.remove()
    return found.hidden_states[-1][0, -1]


def said(backbone: MLLM, state_D: Any) -> Any:
    """Logits [V] after a state, as the whole model would give them."""
    network = backbone.checkpoint.model
    scores_V = network.get_output_embeddings()(state_D[None])[0]
    bound = getattr(network.config.get_text_config(), "final_logit_softcapping", None)
    return scores_V if bound is None else bound * torch.tanh(scores_V / bound)


def latent(backbone: MLLM, content: Content, steps: int, top: int = 100) -> np.ndarray:
    """States [K, D] of latent steps."""
    words = backbone.checkpoint.model.get_input_embeddings()
    with torch.no_grad():
        behind: list[Any] = []
        states = [reread(backbone, content, behind)]
        while len(states) < steps:
            scores_V = said(backbone, states[-1])
            best = sorted(range(len(scores_V)), key=lambda n: -float(scores_V[n]))[:top]
            shares = torch.exp(scores_V[best] - scores_V[best].max())
            shares = shares / shares.sum()
            mixed = sum(s * words(torch.tensor(n)) for s, n in zip(shares, best, strict=True))
            behind.append(mixed)
            states.append(reread(backbone, content, behind))
        return torch.stack(states).numpy()


def text(backbone: MLLM, content: Content, steps: int) -> tuple[np.ndarray, list[int]]:
    """States [K, D] of text steps without an end, and the ids that were read."""
    words = backbone.checkpoint.model.get_input_embeddings()
    with torch.no_grad():
        ids: list[int] = []
        states = [reread(backbone, content, [])]
        while len(states) < steps:
            ids.append(int(said(backbone, states[-1]).argmax()))
            states.append(reread(backbone, content, [words(torch.tensor(n)) for n in ids]))
        return torch.stack(states).numpy(), ids
