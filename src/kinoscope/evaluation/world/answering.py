"""What a multimodal LLM says of clips in words: how likely options are, and yes against no."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
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

_GROUP = 64
"""Queries whose pixels are in memory."""


@dataclass(frozen=True, kw_only=True)
class Query:
    """What a model is asked about one video, and how many numbers it answers with.

    `name` has all that they depend on but the model and its sampling: they are known by it again.
    """

    name: tuple[str, ...]
    count: int


Ask = Callable[[Sequence[int]], list[Float64]]
"""Numbers of the queries in some places of a list, asked of the model; places in one group."""

Scores = Callable[[Sequence[Query], Ask], list[Float64]]
"""Numbers of all queries of a list, in their order."""


def asked_anew(queries: Sequence[Query], ask: Ask) -> list[Float64]:
    """All are asked, in groups."""
    return [found for group in groups(range(len(queries))) for found in ask(group)]


def option_scores(
    backbone: MLLM, videos: WorldVideos, asked: Sequence[Asked], scores: Scores = asked_anew
) -> list[Float64]:
    """Log-likelihood of each option of each question, summed over its tokens and the end of turn.

    The options stand in the prompt, as in half of the questions of the training. In full precision
    always: logits of three digits would make options tie.
    """
    prompts = [choice_prompt(one.question.question, one.question.options) for one in asked]

    def ask(places: Sequence[int]) -> list[Float64]:
        rows = [
            (asked[place].video, prompts[place], option)
            for place in places
            for option in asked[place].question.options
        ]
        sums_N = log_likelihoods(
            backbone,
            _shown(videos, [(video, text) for video, text, _ in rows]),
            [option for *_, option in rows],
        )
        edges = np.cumsum([queries[place].count for place in places])[:-1]
        return np.split(sums_N.astype(np.float64), edges)

    with _full_precision(backbone):
        how = ("options", _precision(backbone))
        queries = [
            Query(
                name=(*how, videos.source.identity(one.video), prompt, *one.question.options),
                count=len(one.question.options),
            )
            for one, prompt in zip(asked, prompts, strict=True)
        ]
        return scores(queries, ask)


def match_margins(
    backbone: MLLM, videos: WorldVideos, pairs: Sequence[Pair], scores: Scores = asked_anew
) -> tuple[Float64, Float64]:
    """Logit of yes minus that of no behind the question whether a text describes the video.

    Of the true texts and of the wrong ones, both [N].
    """
    texts = [tuple(MATCHES.format(text=text) for text in (p.true, p.wrong)) for p in pairs]

    def ask(places: Sequence[int]) -> list[Float64]:
        rows = [(pairs[place].video, text) for place in places for text in texts[place]]
        return list(yes_margins(backbone, _shown(videos, rows)).reshape(-1, 2))

    how = ("margins", _precision(backbone))
    queries = [
        Query(name=(*how, videos.source.identity(pair.video), *both), count=2)
        for pair, both in zip(pairs, texts, strict=True)
    ]
    margins_N2 = np.stack(scores(queries, ask))
    return margins_N2[:, 0], margins_N2[:, 1]


def _shown(videos: WorldVideos, asked: Sequence[tuple[int, str]]) -> list[Content]:
    """Videos with what is asked of them; each clip is one object, so that it is read once."""
    clips = {video: videos.clip(video) for video in dict.fromkeys(video for video, _ in asked)}
    return [Content(clip=clips[video], text=text) for video, text in asked]


def _full_precision(backbone: MLLM) -> AbstractContextManager[None]:
    """No autocast, where a caller has turned it on."""
    device = backbone.checkpoint.model.device.type
    found: AbstractContextManager[None] = torch.autocast(device, enabled=False)
    return found


def _precision(backbone: MLLM) -> str:
    """Of its weights, and of its arithmetic where a caller has turned autocast on."""
    device = backbone.checkpoint.model.device.type
    if not torch.is_autocast_enabled(device):
        return backbone.precision
    return f"{backbone.precision} {torch.get_autocast_dtype(device)}"


def groups(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Those that are asked together."""
    return (items[first : first + _GROUP] for first in range(0, len(items), _GROUP))
