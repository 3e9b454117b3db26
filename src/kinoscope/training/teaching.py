"""What a multimodal LLM learns from: vectors with gradients, and answers that it is taught."""

from collections.abc import Sequence

import torch
from torch.nn import functional

from kinoscope.backbones.likelihood import answered
from kinoscope.backbones.mllm import MLLM
from kinoscope.backbones.session import last_states
from kinoscope.errors import UsageError
from kinoscope.training.losses import next_token, next_token_count
from kinoscope.types import Content


def embed(backbone: MLLM, contents: Sequence[Content]) -> torch.Tensor:
    """Unit vectors [N, D] of contents in their order, with gradient; as `Embedder` makes them."""
    rows_D: list[torch.Tensor | None] = [None] * len(contents)
    for rows, batch in backbone.batches(contents):
        states_BD = last_states(backbone.hidden(batch), batch["attention_mask"])
        for place, row in enumerate(rows):
            rows_D[row] = states_BD[place]
    found = [row_D for row_D in rows_D if row_D is not None]
    assert len(found) == len(contents), "a content without a vector"
    return functional.normalize(torch.stack(found).float(), dim=1)


def teach(
    backbone: MLLM, contents: Sequence[Content], answers: Sequence[str]
) -> tuple[torch.Tensor, int]:
    """Sum of the next-token cross-entropy over all answers, with gradient, and its token count.

    What is asked is not learned; what is asked of one clip shares its reading, see `answered`.
    Never give an answer that the content also shows, nor the positive of a contrast: it would leak.
    Raises `UsageError` for a backbone that reads an earlier layer: it predicts nothing.
    """
    if "of layer" in backbone.head:
        raise UsageError(f"head {backbone.head!r} predicts no tokens: load the last layer")
    network = backbone.checkpoint.model
    head_VD = network.get_output_embeddings().weight
    softcap = getattr(network.config.get_text_config(), "final_logit_softcapping", None)
    sums, count = [], 0
    for _rows, batch, labels_BT in answered(backbone, contents, answers):
        states_BTD = backbone.hidden(batch)
        sums.append(next_token(states_BTD, head_VD, labels_BT, softcap=softcap))
        count += next_token_count(labels_BT)
    return torch.stack(sums).sum(), count
