"""What a multimodal LLM learns from: vectors with gradients, and answers that it is taught."""

from collections.abc import Iterator, Sequence

import torch
from torch.nn import functional

from kinoscope.backbones.family import Batch
from kinoscope.backbones.mllm import MLLM
from kinoscope.backbones.session import last_states
from kinoscope.batching import by_length, packed
from kinoscope.errors import UsageError
from kinoscope.prompts import CHAT
from kinoscope.training.losses import IGNORED, next_token, next_token_count
from kinoscope.types import Content

_BEHIND = {"attention_mask": 1, "token_type_ids": 1, "mm_token_type_ids": 0}
"""What keys with one entry a token say of an answer: real, causal, no pixels."""


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


def taught(
    backbone: MLLM, contents: Sequence[Content], answers: Sequence[str]
) -> Iterator[tuple[list[int], Batch, torch.Tensor]]:
    """Row numbers, tensors and labels [B, T] of batches: each prompt with its answer behind it.

    A content's text is the question as it stands, without an embedding's prompt. Labels are the
    answer's tokens and the end of turn, `IGNORED` elsewhere: what is asked is not learned.
    Never give an answer that the content also shows, nor the positive of a contrast: it would leak.
    """
    if len(contents) != len(answers):
        raise UsageError(f"{len(answers)} answers to {len(contents)} contents: give one each")
    rows = [
        _with_answer(backbone, backbone.prepare(content, CHAT), answer)
        for content, answer in zip(contents, answers, strict=True)
    ]
    order = by_length([row["input_ids"].shape[1] for row in rows])
    for pack in packed(
        order,
        size=lambda row: int(rows[row]["input_ids"].shape[1]),
        budget=backbone.options.batch_tokens,
        key=lambda row: backbone.checkpoint.family.bucket(rows[row]),
    ):
        batch = backbone.joined([rows[row] for row in pack])
        labels_BT = batch.pop("labels")
        yield pack, batch, labels_BT


def teach(
    backbone: MLLM, contents: Sequence[Content], answers: Sequence[str]
) -> tuple[torch.Tensor, int]:
    """Sum of the next-token cross-entropy over all answers, with gradient, and its token count.

    Raises `UsageError` for a backbone that reads an earlier layer: it predicts nothing.
    """
    if "of layer" in backbone.head:
        raise UsageError(f"head {backbone.head!r} predicts no tokens: load the last layer")
    network = backbone.checkpoint.model
    head_VD = network.get_output_embeddings().weight
    softcap = getattr(network.config.get_text_config(), "final_logit_softcapping", None)
    sums, count = [], 0
    for _rows, batch, labels_BT in taught(backbone, contents, answers):
        states_BTD = backbone.hidden(batch)
        sums.append(next_token(states_BTD, head_VD, labels_BT, softcap=softcap))
        count += next_token_count(labels_BT)
    return torch.stack(sums).sum(), count


def _with_answer(backbone: MLLM, prompt: Batch, answer: str) -> Batch:
    tokenizer = backbone.checkpoint.family.processor.tokenizer
    ids = [*tokenizer(answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    answer_1T = torch.tensor([ids])
    longer = {
        key: torch.cat([prompt[key], torch.full_like(answer_1T, value)], dim=1)
        for key, value in _BEHIND.items()
        if key in prompt
    }
    unasked_1T = torch.full_like(prompt["input_ids"], IGNORED)
    return {
        **prompt,
        **longer,
        "input_ids": torch.cat([prompt["input_ids"], answer_1T], dim=1),
        "labels": torch.cat([unasked_1T, answer_1T], dim=1),
    }
