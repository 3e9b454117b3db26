"""How likely a multimodal LLM holds an answer to be: the log-probability of saying just that."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

import numpy as np

from kinoscope.backbones.branches import longest_first, same_clip, same_prompt
from kinoscope.backbones.family import TOKEN_PADDING, Batch
from kinoscope.backbones.mllm import MLLM
from kinoscope.backbones.protocol import Backbone
from kinoscope.errors import UsageError
from kinoscope.libraries import torch
from kinoscope.prompts import CHAT
from kinoscope.types import Content, Float32

IGNORED = TOKEN_PADDING["labels"]
"""The label of a token that is not asked for."""

_BEHIND = {"attention_mask": 1, "token_type_ids": 1, "mm_token_type_ids": 0}
"""What keys with one entry a token say of an answer: real, causal, no pixels."""
_CHUNK = 256
"""Most tokens whose logits, one a word of the vocabulary, are in memory."""


def likeliest(backbone: MLLM, content: Content, options: Sequence[str]) -> str:
    """The option that the model would rather say than any other; the first of equals.

    By the sum over all tokens, not their mean: with its end of turn an option is one of all texts
    that the model may say, and their probabilities add up to 1, whatever their length. A mean
    would favour long options, whose last tokens follow from the first.
    """
    return options[int(log_likelihoods(backbone, [content] * len(options), options).argmax())]


def log_likelihoods(backbone: MLLM, contents: Sequence[Content], answers: Sequence[str]) -> Float32:
    """Natural logarithms [N] of the probability of each answer to its content, and then to end.

    The model's own head speaks, also where vectors come from an earlier layer. No gradient; a row
    does not depend on the others.
    Raises `UsageError` unless there are as many answers as contents, for an answer with a control
    word of the model, and for a model without a language-model head.
    """
    require_head(backbone)
    _check_words(backbone, answers)
    sums_N = np.full(len(contents), np.nan, np.float32)
    with torch().inference_mode():
        for rows, batch, labels_BT in answered(backbone, contents, answers, same_prompt):
            sums_N[rows] = _sums(backbone, batch, labels_BT).cpu().numpy()
    assert not np.isnan(sums_N).any(), "an answer without a probability"
    return sums_N


def answer_tokens(backbone: MLLM, answer: str) -> int:
    """How many tokens an answer has, its end of turn included."""
    return len(_answer_ids(backbone, answer))


def require_speaker(backbone: Backbone) -> MLLM:
    """The backbone, if it is a language model with a head; `UsageError` for any other."""
    if not isinstance(backbone, MLLM):
        raise UsageError(
            f"the {backbone.model} model gives vectors, no words: load a multimodal LLM, such as"
            " mini"
        )
    require_head(backbone)
    return backbone


def require_head(backbone: MLLM) -> None:
    """Raises `UsageError` for a model that was published without its language-model head."""
    if not bool(backbone.checkpoint.model.get_output_embeddings().weight.any()):
        raise UsageError(
            f"{backbone.model} has no language-model head, so it says nothing: choose another model"
        )


def answered(
    backbone: MLLM,
    contents: Sequence[Content],
    answers: Sequence[str],
    key: Callable[[Content], Hashable] = same_clip,
) -> Iterator[tuple[list[int], Batch, Any]]:
    """Row numbers, tensors and labels [B, T] of batches: each prompt with its answer behind it.

    A content's text is the question as it stands, without an embedding's prompt. Labels are the
    answer's tokens and the end of turn, `IGNORED` elsewhere. What contents of equal `key` have in
    common is read once, see `MLLM.hidden`.
    Raises `UsageError` unless there are as many answers as contents.
    """
    if len(contents) != len(answers):
        raise UsageError(f"{len(answers)} answers to {len(contents)} contents: give one each")
    rows = [
        _with_answer(backbone, backbone.prepare(content, CHAT), answer)
        for content, answer in zip(contents, answers, strict=True)
    ]
    bundles = [
        bundle
        for group in backbone.groups([key(content) for content in contents])
        for bundle in backbone.bundles(group, [rows[number] for number in group])
    ]
    for numbers, batch in backbone.joined(longest_first(bundles)):
        labels_BT = batch.pop("labels")
        yield numbers, batch, labels_BT


def _check_words(backbone: MLLM, answers: Sequence[str]) -> None:
    """A control word is no text: one that stands for pixels would have none."""
    for answer in answers:
        found = [word for word in backbone.checkpoint.family.control_words if word in answer]
        if found:
            raise UsageError(f"answer {answer!r} has the model's own {found[0]!r}: leave it out")


def _answer_ids(backbone: MLLM, answer: str) -> list[int]:
    tokenizer = backbone.checkpoint.family.processor.tokenizer
    return [*tokenizer(answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]


def _with_answer(backbone: MLLM, prompt: Batch, answer: str) -> Batch:
    lib = torch()
    answer_1T = lib.tensor([_answer_ids(backbone, answer)])
    longer = {
        key: lib.cat([prompt[key], lib.full_like(answer_1T, value)], dim=1)
        for key, value in _BEHIND.items()
        if key in prompt
    }
    unasked_1T = lib.full_like(prompt["input_ids"], IGNORED)
    return {
        **prompt,
        **longer,
        "input_ids": lib.cat([prompt["input_ids"], answer_1T], dim=1),
        "labels": lib.cat([unasked_1T, answer_1T], dim=1),
    }


def _sums(backbone: MLLM, batch: Batch, labels_BT: Any) -> Any:
    """Sums of log-probabilities of the labels [B], in float32."""
    network = backbone.checkpoint.model
    asked_BT = labels_BT[:, 1:] != IGNORED
    states_ND = backbone.hidden(batch, last=True)[:, :-1][asked_BT]
    labels_N, rows_N = labels_BT[:, 1:][asked_BT], asked_BT.nonzero()[:, 0]
    found = [
        logits(network, some_ND).log_softmax(dim=1).gather(1, some_N[:, None])[:, 0]
        for some_ND, some_N in zip(states_ND.split(_CHUNK), labels_N.split(_CHUNK), strict=True)
    ]
    sums_B = torch().zeros(len(labels_BT), device=labels_BT.device)
    return sums_B.index_add(0, rows_N, torch().cat(found))


def logits(network: Any, states_ND: Any) -> Any:
    """The network's own, over the vocabulary [N, V], as precisely as the head's weights are."""
    head = network.get_output_embeddings()
    softcap = getattr(network.config.get_text_config(), "final_logit_softcapping", None)
    with torch().autocast(states_ND.device.type, enabled=False):
        logits_NV = head(states_ND.to(head.weight.dtype)).float()
        return logits_NV if softcap is None else softcap * torch().tanh(logits_NV / softcap)
