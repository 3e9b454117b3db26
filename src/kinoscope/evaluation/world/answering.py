"""What a multimodal LLM says of clips in words: how likely options are, and yes against no."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

import numpy as np
import torch

from kinoscope.backbones.likelihood import log_likelihoods
from kinoscope.backbones.mllm import MLLM
from kinoscope.evaluation.world.matching import Pair
from kinoscope.evaluation.world.questions import Asked
from kinoscope.evaluation.world.videos import WorldVideos
from kinoscope.matcher import yes_margins
from kinoscope.prompts import MATCHES, choice_prompt
from kinoscope.types import Content, Float64

Item = TypeVar("Item")

_GROUP = 256
"""Rows whose pixels are in memory."""


def option_scores(backbone: MLLM, videos: WorldVideos, asked: Sequence[Asked]) -> list[Float64]:
    """Log-likelihood of each option of each question, summed over its tokens and the end of turn.

    The options stand in the prompt, as in half of the questions of the training. In full precision
    always: logits of three digits would make options tie.
    """
    rows = [
        (one.video, choice_prompt(one.question.question, one.question.options), option)
        for one in asked
        for option in one.question.options
    ]
    with _full_precision(backbone):
        scores_N = np.concatenate(
            [
                log_likelihoods(
                    backbone,
                    _shown(videos, [(video, text) for video, text, _ in group]),
                    [option for *_, option in group],
                )
                for group in _groups(rows)
            ]
        )
    edges = np.cumsum([len(one.question.options) for one in asked])[:-1]
    return np.split(scores_N.astype(np.float64), edges)


def match_margins(
    backbone: MLLM, videos: WorldVideos, pairs: Sequence[Pair]
) -> tuple[Float64, Float64]:
    """Logit of yes minus that of no behind the question whether a text describes the video.

    Of the true texts and of the wrong ones, both [N].
    """
    margins_N2 = np.concatenate([_margins(backbone, videos, group) for group in _groups(pairs)])
    return margins_N2[:, 0], margins_N2[:, 1]


def _margins(backbone: MLLM, videos: WorldVideos, pairs: Sequence[Pair]) -> Float64:
    texts = [(pair.video, text) for pair in pairs for text in (pair.true, pair.wrong)]
    contents = _shown(videos, [(video, MATCHES.format(text=text)) for video, text in texts])
    return yes_margins(backbone, contents).reshape(-1, 2)


def _shown(videos: WorldVideos, asked: Sequence[tuple[int, str]]) -> list[Content]:
    """Videos with what is asked of them; each clip is one object, so that it is read once."""
    clips = {video: videos.clip(video) for video in dict.fromkeys(video for video, _ in asked)}
    return [Content(clip=clips[video], text=text) for video, text in asked]


def _full_precision(backbone: MLLM) -> AbstractContextManager[None]:
    """No autocast, where a caller has turned it on."""
    device = backbone.checkpoint.model.device.type
    found: AbstractContextManager[None] = torch.autocast(device, enabled=False)
    return found


def _groups(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    return (items[first : first + _GROUP] for first in range(0, len(items), _GROUP))
