"""The rows of one session while they think: their thoughts so far, and which rule ended them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from kinoscope.heads import normalise
from kinoscope.thinking.config import Reason, ThinkConfig
from kinoscope.thinking.halting import Halting
from kinoscope.thinking.kv_former import Pooling, unit
from kinoscope.thinking.thought import Thought
from kinoscope.types import Float32


@dataclass
class _Row:
    """What one row has thought; it goes on while it has no vector."""

    most: int
    states: list[Float32] = field(default_factory=list)
    curve: list[float] = field(default_factory=list)
    halting: list[float] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    reason: Reason | None = None
    vector_D: Float32 | None = None


class Progress:
    """Takes the states of all rows that go on, step by step, and says which of them still do.

    The vector of a prefix is kept up to date by a running sum: a step costs the same, early or
    late.
    """

    def __init__(
        self, config: ThinkConfig, pooling: Pooling, halting: Halting | None, most: Sequence[int]
    ) -> None:
        """`most` says how many thoughts each row has room for, besides the configuration."""
        self.config = config
        self._pooling, self._halting = pooling, halting
        self._rows = [_Row(min(config.max_steps, room)) for room in most]
        self._going = list(range(len(most)))
        self._step = 0
        self._totals: Any = None
        self._z: Any = None
        self._before: Any = None
        self._left: Any = None

    def add(self, states_BD: Any, ids: Sequence[int | None], ended: Sequence[bool]) -> list[int]:
        """Places, among the rows given, of those that go on.

        Args:
            states_BD: the next thought of each row that goes on.
            ids: the token that each would read next; None in latent steps.
            ended: whether that token ends a text.
        """
        states_BD = states_BD.float()
        self._step += 1
        self._pool(states_BD)
        self._halt(states_BD)
        staying, thoughts_BD, z_BD = [], _numpy(states_BD), _numpy(self._z)
        for place, (number, token) in enumerate(zip(self._going, ids, strict=True)):
            row = self._rows[number]
            row.states.append(thoughts_BD[place])
            row.reason = self._reason(row, ended=ended[place])
            if row.reason is not None:
                row.vector_D = normalise(z_BD[place : place + 1])[0]
                continue
            staying.append(place)
            if token is not None:
                row.ids.append(token)
        self._let_go(states_BD, staying)
        return staying

    def thoughts(self, words: Callable[[Sequence[int]], str]) -> list[Thought]:
        """Of all rows, in their order, when none goes on; `words` reads tokens."""
        assert not self._going, "a row that still thinks"
        return [_thought(row, words) for row in self._rows]

    def _pool(self, states_BD: Any) -> None:
        values_BD = self._pooling.values(states_BD)
        first = self._totals is None
        running = self._pooling.mean and not first
        self._totals = self._totals + values_BD if running else values_BD
        before_BD, self._z = self._z, unit(self._totals)
        turned_B = [float("nan")] * len(states_BD)
        if not first:
            turned_B = (self._z * before_BD).sum(dim=1).clamp(-1, 1).tolist()
        for number, turned in zip(self._going, turned_B, strict=True):
            self._rows[number].curve.append(turned)

    def _halt(self, states_BD: Any) -> None:
        """p_k = lambda_k times what is left, see `p_BK`; here the last step takes no rest."""
        if self._halting is None:
            return
        before_BD = states_BD if self._before is None else self._before
        lambdas_B = self._halting.step(states_BD, before_BD)
        left_B = torch.ones_like(lambdas_B) if self._left is None else self._left
        for number, chance in zip(self._going, (lambdas_B * left_B).tolist(), strict=True):
            self._rows[number].halting.append(chance)
        self._left = left_B * (1 - lambdas_B)

    def _reason(self, row: _Row, *, ended: bool) -> Reason | None:
        rule, step = self.config.rule, self._step
        if rule == "halt" and sum(row.halting) >= self.config.threshold:
            return "halt"
        if rule == "converged" and 1 - row.curve[-1] < self.config.epsilon:  # never at the first
            return "converged"
        if ended:
            return "eos"
        if rule == "fixed" and step >= self.config.max_steps:
            return "fixed"
        return "cap" if step >= row.most else None

    def _let_go(self, states_BD: Any, staying: list[int]) -> None:
        self._going = [self._going[place] for place in staying]
        self._totals, self._z = self._totals[staying], self._z[staying]
        self._before = states_BD[staying]
        if self._left is not None:
            self._left = self._left[staying]


def _thought(row: _Row, words: Callable[[Sequence[int]], str]) -> Thought:
    assert row.vector_D is not None and row.reason is not None
    return Thought(
        vector_D=row.vector_D,
        states_KD=np.stack(row.states),
        reason=row.reason,
        words=words(row.ids) if row.ids else "",
        halting_K=np.array(row.halting, np.float32),
        curve_K=np.array(row.curve, np.float32),
    )


def _numpy(values: Any) -> Float32:
    return np.asarray(values.float().cpu().numpy())
