"""Rows of all processes together, with gradient, and what else processes must agree on."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import distributed

from kinoscope.libraries import imported


@dataclass(frozen=True, eq=False)
class Rows:
    """One process's rows among those of all: `all_ND[first : first + B]` are `own_BD`."""

    own_BD: Any
    all_ND: Any
    first: int = 0

    def __post_init__(self) -> None:
        assert self.own_BD.ndim == self.all_ND.ndim == 2, (self.own_BD.shape, self.all_ND.shape)
        assert self.own_BD.shape[1] == self.all_ND.shape[1], (self.own_BD.shape, self.all_ND.shape)
        assert 0 <= self.first <= len(self.all_ND) - len(self.own_BD), (self.first, len(self))

    def __len__(self) -> int:
        return len(self.own_BD)

    def __repr__(self) -> str:
        return f"Rows({list(self.own_BD.shape)} of {list(self.all_ND.shape)} from {self.first})"

    @property
    def places_B(self) -> Any:
        """Where the own rows stand among all."""
        return torch.arange(len(self), device=self.own_BD.device) + self.first


def alone(rows_BD: Any) -> Rows:
    """Rows that know no other process."""
    return Rows(rows_BD, rows_BD)


def gathered(rows_BD: Any) -> Rows:
    """Rows [B, D] among those of all processes [N, D], in the order of processes.

    B may differ between processes, also be 0. A gradient that any process has for a row comes back
    to the process that made it: if each takes the loss of its own rows, the sum of the parameters'
    gradients over processes is the gradient of the summed loss. All processes must call this
    together, and go backward through it together.
    """
    if process_count() == 1:
        return alone(rows_BD)
    counts = [int(count) for count in gather_objects(len(rows_BD))]
    return Rows(
        rows_BD, _Gather.apply(rows_BD, counts, process_number()), sum(counts[: process_number()])
    )


class _Gather(torch.autograd.Function):  # type: ignore[misc]  # torch is not followed by mypy
    """All rows; backward sums what all processes want of them."""

    @staticmethod
    def forward(context: Any, rows_BD: Any, counts: list[int], number: int) -> Any:
        context.counts, context.number = counts, number
        longest, own = max(counts), counts[number]
        padded_BD = rows_BD.new_zeros((longest, *rows_BD.shape[1:]))  # all must send like shapes
        padded_BD[:own] = rows_BD
        received = [torch.empty_like(padded_BD) for _ in counts]
        distributed.all_gather(received, padded_BD)
        real = [part[:count] for part, count in zip(received, counts, strict=True)]
        return torch.cat(real)

    @staticmethod
    def backward(context: Any, gradient_ND: Any) -> Any:
        wanted_ND = gradient_ND.contiguous().clone()
        distributed.all_reduce(wanted_ND)
        return wanted_ND.split(context.counts)[context.number], None, None


def join_launcher() -> None:
    """Under `accelerate launch` or torchrun, meets the other processes of the run; else nothing.

    Call it before the model is placed. Waits of up to a day are no failure: the first process
    prepares data for all.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not _together():
        imported("accelerate", "pip install 'kinoscope[train]'").PartialState(
            cpu=not torch.cuda.is_available(), timeout=timedelta(days=1)
        )


def wait_for_all() -> None:
    """Goes on once every process is here."""
    gather_objects(None)


def process_count() -> int:
    """Processes of this run; 1 without a launcher."""
    return int(distributed.get_world_size()) if _together() else 1


def process_number() -> int:
    """This process's number, 0 for the first."""
    return int(distributed.get_rank()) if _together() else 0


def gather_objects(value: Any) -> list[Any]:
    """A small value of each process, in their order."""
    if process_count() == 1:
        return [value]
    found: list[Any] = [None] * process_count()
    distributed.all_gather_object(found, value)
    return found


def sum_over_processes(tensors: Sequence[Any]) -> None:
    """Adds, in place, what all processes have at each place: like shapes everywhere."""
    if process_count() > 1:
        for tensor in tensors:
            distributed.all_reduce(tensor)


def copy_from_first(tensors: Sequence[Any]) -> None:
    """Overwrites tensors with those of process 0."""
    if process_count() > 1:
        for tensor in tensors:
            distributed.broadcast(tensor, 0)


def _together() -> bool:
    return bool(distributed.is_available() and distributed.is_initialized())
