"""Thinking while it is taught: the learned parts, and what the steps of a batch cost.

Thoughts are always the model's own: a step reads the token, or the mixture of tokens, that the
model itself finds likeliest behind its prompt. No caption is ever read as a thought, least of all
the one that the vector is contrasted with (caption leak).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch

from kinoscope.backbones.mllm import MLLM
from kinoscope.errors import UsageError
from kinoscope.thinking.config import ThinkConfig, Thinking
from kinoscope.thinking.halting import Halting, p_BK
from kinoscope.thinking.kv_former import KVFormer, Pooling, pooling_named
from kinoscope.thinking.thinker import Thinker, prefixes
from kinoscope.training.lesson_batches import Pairs
from kinoscope.training.teaching import Model
from kinoscope.training.thinking_losses import (
    THINKING_TERMS,
    ThinkingLossConfig,
    gathered_steps,
    prior_chance,
    stepwise_contrast,
    thinking_terms,
)
from kinoscope.types import Content, Role

Head = Literal["kv-former", "mean", "last"]

PREFIX = "thinking."
"""Of the names of its weights in checkpoints, and for `LoopConfig.rates`."""

_SIDES: tuple[tuple[Role, Literal["video", "text"]], ...] = (
    ("document", "video"),
    ("query", "text"),
)


@dataclass(frozen=True, kw_only=True)
class ThinkingLesson:
    """Which sides think, by which head, and what that costs.

    Attributes:
        sides: videos are documents, texts queries. While it is taught each row takes all
            `max_steps`; the rule is that of the model behind the training, and `halt` is learned.
        head: how thoughts become a vector: `kv-former`, which is learned, `mean` or `last`.
        slots, heads: of the KV-Former.
        loss: what the terms weigh.
    """

    sides: Thinking = field(
        default_factory=lambda: Thinking(document=ThinkConfig(source="latent", rule="halt"))
    )
    head: Head = "kv-former"
    slots: int = 32
    heads: int = 8
    loss: ThinkingLossConfig = field(default_factory=ThinkingLossConfig)

    def __post_init__(self) -> None:
        if not self.sides:
            raise UsageError("thinking of no side: name steps for queries or documents, or neither")
        if self.head != KVFormer.name:
            pooling_named(self.head)
        for config in self.halting_sides:
            if self.loss.beta and config.max_steps > 1:
                prior_chance(self.loss.target_steps, config.max_steps)

    @property
    def halting_sides(self) -> list[ThinkConfig]:
        """Those that learn to stop."""
        sides = (self.sides.query, self.sides.document)
        return [side for side in sides if side is not None and side.rule == "halt"]

    def weights(self, contrast: float) -> Mapping[str, float]:
        """Of the terms, which together stand for a contrast of this weight."""
        factors = dict(self.loss.weights)
        if not self.halting_sides:
            factors["prior"] = factors["gain"] = 0.0
        return {name: contrast * factors[name] for name in THINKING_TERMS}


class Thoughts:
    """Steps of a backbone while they are taught, and the parts of them that learn."""

    def __init__(self, model: Model, config: ThinkingLesson, steps: int) -> None:
        """`steps` are those of the run. A model that thinks already goes on with its parts.

        New parts begin the same each time, and change nothing then. Raises `UsageError` for a
        backbone that cannot think, and for a model whose parts are not those of the lesson.
        """
        self._config, self._steps = config, steps
        self.thinker = (
            taught_already(model, config) if isinstance(model, Thinker) else untaught(model, config)
        )

    def parameters(self) -> Iterable[tuple[str, Any]]:
        """All that are learned, whatever the lessons freeze."""
        for name, values in self.thinker.learned.named_parameters():
            yield PREFIX + name, values

    def terms(self, batch: Pairs, step: int, *, temperature: Any, same_BN: Any) -> dict[str, Any]:
        """`THINKING_TERMS` of pairs, the mean over the sides that think, each a sum over pairs.

        Args:
            batch: its `said` captions are not looked at.
            step: of the run, from 1.
            temperature, same_BN: see `two_way`.
        """
        texts = [Content(text=text, role="query") for text in [*batch.texts, *batch.hard]]
        read = {
            "document": self._read([Content(clip=clip) for clip in batch.clips], "document"),
            "query": self._read(texts, "query"),
        }
        count = len(batch.texts)
        text_NKD = read["query"][0]
        video, text = gathered_steps(read["document"][0]), gathered_steps(text_NKD[:count])
        found: list[dict[str, Any]] = []
        for role, side in _SIDES:
            if self._config.sides.of(role) is None:
                continue
            losses_BK = stepwise_contrast(
                video,
                text,
                side=side,
                temperature=temperature,
                hard_text=text_NKD[count:, -1:] if batch.hard else None,
                same_BN=same_BN.to(text_NKD.device),
            )
            found.append(self._terms(role, losses_BK, read[role][1][:count], step))
        return {n: torch.stack([terms[n] for terms in found]).mean() for n in THINKING_TERMS}

    def _terms(self, role: Role, losses_BK: Any, lambdas_BK: Any, step: int) -> dict[str, Any]:
        """Of one side, by the steps at which its rule would stop; all of them if that is open."""
        config, side = self._config.loss, self._config.sides.of(role)
        assert side is not None
        chances_BK = None
        if side.rule == "halt":
            chances_BK = p_BK(lambdas_BK) if config.halts(step, self._steps) else None
        elif side.rule != "converged":  # at the end of the text, else at the last step
            chances_BK = p_BK(lambdas_BK.masked_fill(lambdas_BK < 1, 0.0))
        if side.rule != "halt":
            config = replace(config, beta=0.0, gain=0.0)
        return thinking_terms(losses_BK, chances_BK, config)

    def _read(self, contents: Sequence[Content], role: Role) -> tuple[Any, Any]:
        """Vectors [N, K, D] and lambdas [N, K]; K is 1 on a side that does not think."""
        side = self._config.sides.of(role)
        steps = 1 if side is None else side.max_steps
        _states, z_BKD, lambdas_BK = prefixes(self.thinker, contents, steps, role)
        return z_BKD, lambdas_BK


def taught_already(thinker: Thinker, config: ThinkingLesson) -> Thinker:
    """The parts of a model that thinks, under the rules of a lesson.

    Raises `UsageError` for another head, and for a rule that it has not learned.
    """
    if thinker.pooling.name != config.head:
        raise UsageError(f"the model thinks with a head {thinker.pooling.name!r}: name it in head")
    return thinker.with_thinking(config.sides)


def untaught(backbone: MLLM, config: ThinkingLesson) -> Thinker:
    """A backbone with parts that have learned nothing: the same each time."""
    size = int(backbone.checkpoint.model.config.get_text_config().hidden_size)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        pooling: Pooling | str = config.head
        if config.head == KVFormer.name:
            pooling = KVFormer(size, slots=config.slots, heads=config.heads)
        start = 1 / config.loss.target_steps  # a chance whose waiting time it is
        halting = Halting(size, start=start) if config.halting_sides else None
    return Thinker(backbone, config.sides, pooling, halting)
