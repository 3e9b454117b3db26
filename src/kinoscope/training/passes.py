"""Forward and backward passes of one step: their terms' means are over all passes and processes."""

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch

from kinoscope.training.gather import (
    gather_objects,
    process_count,
    process_number,
    sum_over_processes,
)
from kinoscope.training.losses import NotFinite
from kinoscope.training.sampler import Draw
from kinoscope.training.task import Precision, Task
from kinoscope.training.timing import Stages


@dataclass(frozen=True, eq=False)
class Arithmetic:
    """What forward passes compute in; `scaler` keeps small gradients of fp16 above zero."""

    device: Any
    precision: Precision
    scaler: Any

    def autocast(self) -> AbstractContextManager[None]:
        """Mixed precision, or none."""
        kind = torch.float16 if self.precision == "fp16" else torch.bfloat16
        found: AbstractContextManager[None] = torch.autocast(
            self.device.type, kind, enabled=self.precision != "no"
        )
        return found


def backward_passes(
    task: Task, draws: Sequence[Draw], step: int, arithmetic: Arithmetic, stages: Stages
) -> dict[str, float]:
    """Adds up this process's gradients of a step, one pass a draw.

    Returns the weighted total as `loss`, and each term's mean as `loss/NAME`, of all processes.
    Raises `NotFinite` if one is not.
    """
    with stages("data"):
        shares = [draw.share(process_number(), process_count()) for draw in draws]
        batches = [task.batch(share) for share in shares]
    counts = added(c for passes in gather_objects([b.counts for b in batches]) for c in passes)
    # float64: the order in which processes add up is then not seen in the journal
    sums = {name: torch.zeros((), dtype=torch.float64) for name in ("", *sorted(counts))}
    for batch in batches:
        with stages("forward"), arithmetic.autocast():
            terms = task.losses(batch, step)
            total = terms.total(counts)
        with stages("backward"):
            arithmetic.scaler.scale(total).backward()
        for name, value in {"": total, **terms.sums}.items():
            sums[name] += value.detach().cpu().double()
    means = _means(sums, counts, arithmetic.device)
    for name, mean in means.items():
        if not math.isfinite(mean):
            raise NotFinite(f"{name} is {mean}")
    return means


def added(counts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Counts of all batches together: {a: 1}, {a: 2, b: 1} -> {a: 3, b: 1}."""
    found: dict[str, float] = {}
    for some in counts:
        for name, count in some.items():
            found[name] = found.get(name, 0) + count
    return found


def _means(sums: Mapping[str, Any], counts: Mapping[str, float], device: Any) -> dict[str, float]:
    together_N = torch.stack(list(sums.values()))
    if process_count() > 1:
        together_N = together_N.to(device)  # where processes meet
        sum_over_processes([together_N])
    totals = dict(zip(sums, together_N.tolist(), strict=True))
    means = {f"loss/{name}": totals[name] / (count or 1) for name, count in counts.items()}
    return {"loss": totals[""], **means}
