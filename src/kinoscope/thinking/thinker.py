"""A language model that takes steps behind its prompt, and one unit vector of all its thoughts."""

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from kinoscope.backbones.mllm import MLLM
from kinoscope.backbones.protocol import Backbone
from kinoscope.backbones.session import KVSession
from kinoscope.errors import UsageError
from kinoscope.libraries import imported
from kinoscope.thinking.config import ThinkConfig, Thinking
from kinoscope.thinking.halting import Halting
from kinoscope.thinking.kv_former import KVFormer, Pooling, pooling_named
from kinoscope.thinking.language_model import language_model
from kinoscope.thinking.progress import Progress
from kinoscope.thinking.steps import end_ids, likeliest_ids, sessions, soft_tokens
from kinoscope.thinking.thought import Thought
from kinoscope.types import Content, Role

_ONE_STEP = ThinkConfig(rule="fixed", max_steps=1)  # of a side that does not think


class Thinker:
    """Thinks about contents, each side of a search by its own rule; both by the same head.

    Inference is deterministic and does not depend on the batch, but where a rule's value lies on
    its threshold within rounding.

    >>> thinker = Thinker(backbone, Thinking.parse("latent:converged:8"), "mean")
    >>> thinker.think([Content(text="a door opens")])[0].steps
    """

    def __init__(
        self,
        backbone: Backbone,
        thinking: Thinking,
        pooling: Pooling | str = "mean",
        halting: Halting | None = None,
    ) -> None:
        """Learned parts move to the backbone's device, in float32.

        Args:
            backbone: a multimodal LLM.
            thinking: steps of queries and documents.
            pooling: a `KVFormer`, or the name of a head without weights, `mean` or `last`.
            halting: the learned decision that the rule `halt` needs.

        Raises `UsageError` for a backbone without a language model's steps, one whose vectors are
        not the last state of its last layer, a `halt` without a halting, and sizes that differ.
        """
        self.backbone = language_model(backbone)
        self.thinking = thinking
        self.pooling = pooling_named(pooling) if isinstance(pooling, str) else pooling
        self.halting = halting
        self.size = int(self.backbone.checkpoint.model.config.get_text_config().hidden_size)
        self._check_parts()
        self.learned.to(self.backbone.checkpoint.model.device, torch.float32)

    @property
    def learned(self) -> Any:
        """The parts with weights, `kv_former` and `halting`, as a `ModuleDict` for an optimiser."""
        parts = {"kv_former": self.pooling, "halting": self.halting}
        return nn.ModuleDict(
            {n: p for n, p in parts.items() if p is not None and any(True for _ in p.parameters())}
        )

    @property
    def head(self) -> str:
        """How thoughts become one vector, for the spec."""
        return f"{self.pooling.name} of thoughts"

    def describe(self) -> str:
        """Rules and what was learned, for the spec: `latent, halt at 0.5, at most 8; learned 9f..`.

        Other weights are another name.
        """
        weights = learned_bytes(self)
        learned = f"; learned {hashlib.sha256(weights).hexdigest()[:16]}" if weights else ""
        return self.thinking.describe() + learned

    def with_thinking(self, thinking: Thinking) -> "Thinker":
        """The same model and learned parts under other rules; raises as the constructor."""
        return Thinker(self.backbone, thinking, self.pooling, self.halting)

    def think(self, contents: Sequence[Content]) -> list[Thought]:
        """Thoughts about each content, in their order, by the rule of the content's role.

        Batches are those of the backbone; a row that has stopped leaves its batch, so that the cost
        is the sum of all steps. A prompt near the model's longest takes as many steps as fit.
        """
        found: list[Thought | None] = [None] * len(contents)
        for role in ("query", "document"):
            rows = [row for row, content in enumerate(contents) if content.role == role]
            config = self.thinking.of(role) or _ONE_STEP
            with torch.inference_mode():
                thoughts = self._think([contents[row] for row in rows], config)
            for row, thought in zip(rows, thoughts, strict=True):
                found[row] = thought
        return [_there(thought) for thought in found]

    def _think(self, contents: Sequence[Content], config: ThinkConfig) -> list[Thought]:
        found: list[Thought | None] = [None] * len(contents)
        for rows, session, lengths in sessions(self.backbone, contents):
            most = [1 + max(0, self.backbone.max_tokens - length) for length in lengths]
            thoughts = self._steps(session, Progress(config, self.pooling, self.halting, most))
            for row, thought in zip(rows, thoughts, strict=True):
                found[row] = thought
        return [_there(thought) for thought in found]

    def _steps(self, session: KVSession, progress: Progress) -> list[Thought]:
        """Steps of all rows of a session, until the last has stopped."""
        backbone, config = self.backbone, progress.config
        ends = end_ids(backbone)
        while True:
            states_BD = session.last_BD
            ids_B = likeliest_ids(backbone, states_BD) if config.source == "text" else None
            ids = [None] * len(session) if ids_B is None else ids_B.tolist()
            staying = progress.add(states_BD, ids, [token in ends for token in ids])
            if not staying:
                return progress.thoughts(self._words)
            if len(staying) < len(session):
                session.keep(staying)
            if ids_B is None:
                session.step(soft_tokens(backbone, states_BD[staying], config.top))
            else:
                session.step(backbone.embed_tokens(ids_B[staying]))

    def _words(self, ids: Sequence[int]) -> str:
        tokenizer = self.backbone.checkpoint.family.processor.tokenizer
        return str(tokenizer.decode(list(ids), skip_special_tokens=True)).strip()

    def _check_parts(self) -> None:
        configs = (self.thinking.query, self.thinking.document)
        halts = any(config is not None and config.rule == "halt" for config in configs)
        if halts and self.halting is None:
            raise UsageError(
                f"thinking rule 'halt': {self.backbone.model} has no trained halting; choose"
                " converged, fixed, or text:eos"
            )
        sized = [p for p in (self.pooling, self.halting) if isinstance(p, KVFormer | Halting)]
        for part in sized:
            if part.size != self.size:
                raise UsageError(
                    f"a thinking part for states of {part.size} numbers: {self.backbone.model} has"
                    f" {self.size}"
                )


def prefixes(
    thinker: Thinker, contents: Sequence[Content], steps: int, role: Role
) -> tuple[Any, Any, Any]:
    """All thoughts, with gradient, for training: no row stops before `steps`.

    In text steps a row whose text has ended keeps its vector, and its lambda is 1 there: what is
    read behind the end does not count.

    Args:
        thinker: its rule is not asked, only what a step reads.
        contents: in any order.
        steps: K.
        role: whose configuration says what a step reads.

    Returns states [B, K, D], the unit vector of each prefix [B, K, D], and lambda of each step
    [B, K], which is 0 without a halting.
    """
    config = thinker.thinking.of(role) or ThinkConfig()
    order, states, real = list[int](), list[Any](), list[Any]()
    for rows, session, _lengths in sessions(thinker.backbone, contents):
        order += rows
        states_BKD, real_BK = _read_on(thinker.backbone, session, steps, config)
        states.append(states_BKD)
        real.append(real_BK)
    back_B = torch.tensor(order).argsort().to(states[0].device)
    states_BKD, real_BK = torch.cat(states)[back_B], torch.cat(real)[back_B]
    z_BKD = thinker.pooling.prefixes(states_BKD, real_BK)
    if thinker.halting is None:
        lambdas_BK = torch.zeros_like(z_BKD[..., 0])
    else:
        lambdas_BK = thinker.halting(states_BKD)
    ended_BK = torch.cat([~real_BK[:, 1:], torch.zeros_like(real_BK[:, :1])], dim=1)
    return states_BKD, z_BKD, lambdas_BK.masked_fill(ended_BK, 1.0)


def _read_on(
    backbone: MLLM, session: KVSession, steps: int, config: ThinkConfig
) -> tuple[Any, Any]:
    """States [B, K, D] in float32, and a mask [B, K] of those before a text's end."""
    states, real = [session.last_BD], [torch.ones_like(session.last_BD[:, 0], dtype=torch.bool)]
    ends_N = torch.tensor(sorted(end_ids(backbone)), device=session.last_BD.device)
    while len(states) < steps:
        if config.source == "text":
            ids_B = likeliest_ids(backbone, states[-1].detach())
            real.append(real[-1] & ~torch.isin(ids_B, ends_N))
            inputs_BD = backbone.embed_tokens(ids_B)
        else:
            real.append(real[-1])
            inputs_BD = soft_tokens(backbone, states[-1], config.top)
        states.append(session.step(inputs_BD))
    return torch.stack(states, dim=1).float(), torch.stack(real, dim=1)


def learned_bytes(thinker: Thinker) -> bytes:
    """All learned weights as a safetensors file, always the same bytes; empty if there are none.

    How many heads share them stands in its header, for no shape tells.
    """
    state = {n: v.detach().cpu().contiguous() for n, v in thinker.learned.state_dict().items()}
    if not state:
        return b""
    heads = thinker.pooling.heads if isinstance(thinker.pooling, KVFormer) else 0
    data: bytes = imported("safetensors.torch").save(state, {"heads": str(heads)})
    return data


def _there(thought: Thought | None) -> Thought:
    assert thought is not None, "a content without a thought"
    return thought
