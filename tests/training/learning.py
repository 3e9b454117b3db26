"""A tiny task for the loop, with dropout and other random numbers, and processes that train it."""

import random
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from kinoscope.training.gather import alone, gathered
from kinoscope.training.losses import two_way
from kinoscope.training.sampler import Draw, Part
from kinoscope.training.task import Batch, Terms

WIDTH = 6


def model(seed: int, dropout: float) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return torch.nn.Sequential(
            torch.nn.Linear(WIDTH, 12),
            torch.nn.LayerNorm(12),
            torch.nn.Tanh(),
            torch.nn.Dropout(dropout),
            torch.nn.Linear(12, WIDTH),
        )


@dataclass
class Tiny:
    """Pairs to contrast, and numbers of items to regress: two parts, two terms.

    The second part averages over a number of values that differs between items, as tokens do.
    """

    dropout: float = 0.0
    noise: bool = False
    length: int = 20
    parts_weights: tuple[float, float] = (2.0, 1.0)
    spoil: dict[int, str] = field(default_factory=dict)  # item -> what goes wrong with it
    dtype: torch.dtype = torch.float32
    scores: list[float] | None = None
    seen: list[tuple[int, str, tuple[int, ...]]] = field(default_factory=list)

    def __post_init__(self):
        self.net = model(0, self.dropout).to(self.dtype)
        self.validations = 0
        generator = torch.Generator().manual_seed(1)
        self.left, self.right = torch.randn(2, self.length, WIDTH, generator=generator).to(
            self.dtype
        )

    def describe(self):
        return {"data": "tiny", "length": self.length, "dropout": self.dropout}

    def parameters(self):
        return self.net.named_parameters()

    def parts(self):
        pairs, values = self.parts_weights
        found = {"pairs": Part(length=self.length, weight=pairs)}
        return found | ({"values": Part(length=self.length, weight=values)} if values else {})

    def batch(self, draw: Draw):
        items = torch.tensor(draw.items)
        left = self.left[items]
        if self.noise:  # from all three sources of random numbers
            left = left + 0.01 * (random.random() + np.random.random())
        if any(self.spoil.get(item) == "nan" for item in draw.items):
            left = left * torch.nan
        counts = {"contrast": len(items)}
        if draw.part == "values":
            counts = {"regress": int((items % 3 + 1).sum())}
        return Batch((draw, left, self.right[items]), counts)

    def losses(self, batch: Batch, step: int):
        draw, left, right = batch.inputs
        self.seen.append((step, draw.part, draw.items))
        self.net.train()
        rows = self.net(left)
        if draw.part == "values":
            kept = torch.tensor(draw.items) % 3 + 1
            mask = torch.arange(WIDTH) < kept[:, None]
            return Terms({"regress": ((rows - right).square() * mask).sum()}, {"regress": 0.5})
        rows, right = (torch.nn.functional.normalize(side, dim=-1) for side in (rows, right))
        both = two_way(gathered(rows), gathered(right), temperature=0.2)
        return Terms({"contrast": both.rows_B.sum()}, {"contrast": 1.0})

    def validate(self):
        torch.rand(3)  # a validation may use random numbers too
        self.net.eval()
        rows, right = (
            torch.nn.functional.normalize(side, dim=-1)
            for side in (self.net(self.left), self.right)
        )
        loss = float(two_way(alone(rows), alone(right), temperature=0.2).rows_B.mean())
        self.validations += 1
        if self.scores is not None:
            return {"score": self.scores[min(self.validations, len(self.scores)) - 1]}
        return {"score": -loss}


def weights(task: Tiny) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in task.parameters()}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def in_processes(function, count: int, folder: Path, *arguments) -> None:
    """Calls `function(number, *arguments)` in as many processes, which meet in a file of folder."""
    meeting = f"file://{folder / 'meeting'}"
    torch.multiprocessing.spawn(_process, (count, meeting, function, arguments), nprocs=count)


def _process(number, count, meeting, function, arguments):
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", meeting, rank=number, world_size=count)
    try:
        function(number, *arguments)
    finally:
        torch.distributed.destroy_process_group()
