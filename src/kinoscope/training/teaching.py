"""What a multimodal LLM learns from: vectors with gradients, and answers that it is taught."""

from collections.abc import Sequence

import torch
from torch.nn import functional

from kinoscope.backbones.family import Batch
from kinoscope.backbones.likelihood import answered
from kinoscope.backbones.mllm import MLLM
from kinoscope.backbones.session import last_states
from kinoscope.errors import UsageError
from kinoscope.thinking.thinker import Thinker
from kinoscope.training.gradient_cache import cached_rows
from kinoscope.training.losses import next_token, next_token_count
from kinoscope.types import Content

Model = MLLM | Thinker
"""What is taught, as it embeds."""


def backbone_of(model: Model) -> MLLM:
    """Itself, or what thinks."""
    return model.backbone if isinstance(model, Thinker) else model


def embed(model: Model, contents: Sequence[Content], *, cached: bool = False) -> torch.Tensor:
    """Unit vectors [N, D] of contents in their order, with gradient; as `Embedder` makes them.

    Of a model that thinks they are those of one thought, the cheapest usable prefix.

    With `cached`, memory holds the graph of one of the backbone's batches at a time, see
    `gradient_cache`: the same gradients, at a third more work.
    """
    backbone = backbone_of(model)
    rows, batches = zip(*backbone.batches(contents), strict=True)

    def states(batch: Batch) -> torch.Tensor:
        return last_states(backbone.hidden(batch), batch["attention_mask"]).float()

    if cached:
        states_ND = cached_rows(states, batches)
    else:
        states_ND = torch.cat([states(batch) for batch in batches])
    order = [row for some in rows for row in some]
    assert sorted(order) == list(range(len(contents))), "a content without a vector"
    places_N = torch.tensor(order, device=states_ND.device).argsort()
    if isinstance(model, Thinker):
        vectors_ND: torch.Tensor = model.pooling(states_ND[places_N].unsqueeze(1))
        return vectors_ND
    return functional.normalize(states_ND[places_N], dim=1)


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
