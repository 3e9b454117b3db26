"""Which items a step reads: decided by seed and number alone, so that a run may stop anywhere."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from kinoscope.errors import UsageError
from kinoscope.types import Int64

_SHOWN = 32  # items in a message
_BLOCK = 1000  # draws over which the shares of a mix are exact


@dataclass(frozen=True)
class Draw:
    """What one forward pass reads: items of one part of the mix, over all processes together."""

    part: str
    epoch: int
    items: tuple[int, ...]

    def share(self, number: int, count: int) -> "Draw":
        """Process `number` of `count`: runs in a row, whose lengths differ by at most one."""
        first, behind = (len(self.items) * edge // count for edge in (number, number + 1))
        return Draw(self.part, self.epoch, self.items[first:behind])


@dataclass(frozen=True, kw_only=True)
class Part:
    """One source of items: how many it has, and its share of the draws relative to others'."""

    length: int
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """Draws of at most `batch` items each, every item of a part once in an epoch of that part.

    The draws of an epoch differ in size by at most one, so that none is left over for the end: 10
    items in batches of 4 -> 4, 3, 3. Parts take turns by weight, spread evenly; their shares are
    exact over 1000 draws.
    """

    parts: Mapping[str, Part]
    batch: int
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise UsageError(f"batch {self.batch}: give at least 1")
        if not self.parts:
            raise UsageError("nothing to draw from: give at least one part")
        for name, part in self.parts.items():
            if part.length < 1:
                raise UsageError(f"part {name!r} has {part.length} items: give at least 1")
            if not 0 < part.weight < math.inf:
                raise UsageError(f"part {name!r} has weight {part.weight}: give a positive one")
        for name, quota in zip(self.parts, self._quotas(), strict=True):
            if not quota:
                raise UsageError(
                    f"part {name!r} has less than one draw in {_BLOCK}: leave it out or weigh more"
                )

    def draw(self, number: int) -> Draw:
        """Draw `number` of the run, counted from 0."""
        assert number >= 0, number
        block, place = divmod(number, _BLOCK)
        turns = _turns(self._quotas(), self.seed, block)
        which = int(turns[place])
        before = block * self._quotas()[which] + int((turns[:place] == which).sum())
        name = tuple(self.parts)[which]
        epoch, within = divmod(before, self.draws_per_epoch(name))
        length, count = self.parts[name].length, self.draws_per_epoch(name)
        first, behind = (length * edge // count for edge in (within, within + 1))
        order_N = _order(length, self.seed, which, epoch)
        return Draw(name, epoch, tuple(order_N[first:behind].tolist()))

    def draws_per_epoch(self, part: str) -> int:
        """How many draws read a part once."""
        return math.ceil(self.parts[part].length / self.batch)

    def require_share(self, processes: int) -> None:
        """Raises `UsageError` unless each process gets an item of each draw."""
        for name, part in self.parts.items():
            fewest = part.length // self.draws_per_epoch(name)
            if fewest < processes:
                raise UsageError(
                    f"part {name!r} has draws of {fewest} for {processes} processes: raise batch,"
                    " give more items, or start fewer"
                )

    def _quotas(self) -> tuple[int, ...]:
        """Draws of each part in a block, by largest remainder."""
        total = math.fsum(part.weight for part in self.parts.values())
        exact = [_BLOCK * part.weight / total for part in self.parts.values()]
        quotas = [math.floor(share) for share in exact]
        by_rest = sorted(range(len(exact)), key=lambda which: quotas[which] - exact[which])
        for which in by_rest[: _BLOCK - sum(quotas)]:
            quotas[which] += 1
        return tuple(quotas)


def named(draws: Sequence[Draw]) -> str:
    """Items 4, 9 of train; items 3 of qa: those of a step, for a message."""
    parts = []
    for draw in draws:
        rest = len(draw.items) - _SHOWN
        more = f" and {rest} more" if rest > 0 else ""
        parts.append(f"items {', '.join(map(str, draw.items[:_SHOWN]))}{more} of {draw.part}")
    return "; ".join(parts)


@lru_cache(maxsize=8)
def _turns(quotas: tuple[int, ...], seed: int, block: int) -> Int64:
    """Whose turn each draw of a block is: a part with n turns has one in each n-th of the block."""
    random = np.random.default_rng((seed, 1, block))
    which_N = np.repeat(np.arange(len(quotas)), quotas)
    nth_N = np.concatenate([np.arange(quota) for quota in quotas])
    times_N = (nth_N + random.random(len(which_N))) / np.array(quotas)[which_N]
    return np.asarray(which_N[np.argsort(times_N, kind="stable")], np.int64)


@lru_cache(maxsize=8)
def _order(length: int, seed: int, which: int, epoch: int) -> Int64:
    """The order of a part's items in an epoch."""
    random = np.random.default_rng((seed, 2, which, epoch))
    return np.asarray(random.permutation(length), np.int64)
