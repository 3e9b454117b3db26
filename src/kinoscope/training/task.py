"""What a training run is given: the task that has losses, and the configuration of the loop."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Protocol

from kinoscope.errors import UsageError
from kinoscope.training.sampler import Draw, Part

Value = str | int | float | bool | None
Precision = Literal["no", "bf16", "fp16"]


@dataclass(frozen=True, eq=False)
class Batch:
    """What one forward pass of one process reads.

    `counts` says, for each term of the loss, over how many rows or tokens of this batch it is a
    mean; the loop adds them up over the passes and the processes of a step.
    """

    inputs: Any
    counts: Mapping[str, float]

    def __repr__(self) -> str:
        return f"Batch({dict(self.counts)})"


@dataclass(frozen=True, eq=False)
class Terms:
    """Named losses of one batch: each a sum over rows or tokens, and its weight in the total."""

    sums: Mapping[str, Any]
    weights: Mapping[str, float]

    def __post_init__(self) -> None:
        assert self.sums, "a loss without a term"
        for name, value in self.sums.items():
            assert value.ndim == 0, f"{name} is {list(value.shape)}, not a sum"
            if not math.isfinite(self.weights.get(name, math.nan)):
                raise UsageError(f"the loss {name!r} has no weight: give one in the recipe")

    def __repr__(self) -> str:
        return f"Terms({', '.join(self.sums)})"

    def total(self, counts: Mapping[str, float]) -> Any:
        """The weighted sum of the terms' means, a scalar, each over its count of the whole step."""
        return sum(
            self.weights[name] * value / (counts[name] or 1) for name, value in self.sums.items()
        )


class Task(Protocol):
    """A model and its data. Random numbers of torch, numpy and Python are seeded for each step.

    Under a launcher each process has a copy; the loop makes their weights equal at the start.
    """

    def describe(self) -> Mapping[str, Value]:
        """What decides the run beside the loop: data, model, weights of losses; compared on resume.

        All of it goes into each checkpoint.
        """

    def parameters(self) -> Iterable[tuple[str, Any]]:
        """Names and tensors that learn, float32, each once; all others stay as they are."""

    def parts(self) -> Mapping[str, Part]:
        """Sources of items; those with more weight have more turns."""

    def batch(self, draw: Draw) -> Batch:
        """Reads the items of one part that this process gets; a part has its items in an order."""

    def losses(self, batch: Batch, step: int) -> Terms:
        """The batch's terms, with gradient, in training mode; steps count from 1."""

    def validate(self) -> Mapping[str, float]:
        """Metrics on held-out data, in evaluation mode, the same on all processes."""


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """How to train. A checkpoint goes on only if all of it, the last three aside, is equal.

    Attributes:
        steps: of the optimiser.
        batch: items of one forward pass, over all processes together.
        accumulation: passes whose gradients one step adds up.
        lr: learning rate at the end of the warm-up; falls to 0 along a cosine.
        rates: factors of it for weights whose name contains the key; the first that fits counts.
        betas: of AdamW.
        weight_decay: decoupled; not on norms, biases and other vectors.
        warmup: fraction of the steps in which the learning rate rises to `lr`.
        clip_norm: longest gradient; None does not clip.
        mixed_precision: what the forward pass computes in; `fp16` needs a GPU.
        ema: decay of the weights' moving average, which is then validated and kept; None: none.
        seed: decides order, dropout and whatever else is random.
        validate_every: steps; None never validates.
        watch: the metric that decides which checkpoint is best; more is better.
        patience: validations without a better one before the run stops; None goes on.
        checkpoint_every_s: seconds from one checkpoint to the next.
        keep: how many of the last checkpoints stay, beside the best.
    """

    steps: int
    batch: int
    accumulation: int = 1
    lr: float = 1e-4
    rates: Mapping[str, float] = field(default_factory=dict)
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.01
    warmup: float = 0.1
    clip_norm: float | None = 1.0
    mixed_precision: Precision = "no"
    ema: float | None = None
    seed: int = 0
    validate_every: int | None = None
    watch: str = "score"
    patience: int | None = field(default=None, compare=False)
    checkpoint_every_s: float = field(default=300.0, compare=False)
    keep: int = field(default=2, compare=False)

    def __post_init__(self) -> None:
        good = {
            "steps": self.steps >= 1,
            "batch": self.batch >= 1,
            "accumulation": self.accumulation >= 1,
            "lr": 0 < self.lr < math.inf,
            "rates": all(0 < rate < math.inf for rate in self.rates.values()),
            "betas": len(self.betas) == 2 and all(0 <= beta < 1 for beta in self.betas),
            "weight_decay": 0 <= self.weight_decay < math.inf,
            "warmup": 0 <= self.warmup <= 1,
            "clip_norm": self.clip_norm is None or 0 < self.clip_norm < math.inf,
            "mixed_precision": self.mixed_precision in ("no", "bf16", "fp16"),
            "ema": self.ema is None or 0 < self.ema < 1,
            "seed": self.seed >= 0,
            "validate_every": self.validate_every is None or self.validate_every >= 1,
            "patience": self.patience is None or self.patience >= 1,
            "checkpoint_every_s": self.checkpoint_every_s >= 0,
            "keep": self.keep >= 1,
        }
        for name, fits in good.items():
            if not fits:
                raise UsageError(f"{name} {getattr(self, name)!r} is out of range: see LoopConfig")
        if self.patience is not None and self.validate_every is None:
            raise UsageError(f"patience {self.patience} needs validate_every: give it, or neither")

    def compared(self) -> dict[str, Any]:
        """The fields that decide the weights, as JSON keeps them."""
        chosen = {known.name for known in fields(self) if known.compare}
        values = {name: value for name, value in asdict(self).items() if name in chosen}
        return values | {"betas": list(self.betas), "rates": dict(self.rates)}

    def rate_of(self, name: str) -> float:
        """The factor of the learning rate for a weight."""
        return next((rate for word, rate in self.rates.items() if word in name), 1.0)

    def learning_rate(self, step: int) -> float:
        """Of step 1..steps: a line up from 0 in the warm-up, then half a cosine down to 0."""
        rising = self.warmup * self.steps
        if step <= rising:
            return self.lr * step / rising
        through = (step - rising) / (self.steps + 1 - rising)
        return self.lr * (1 + math.cos(math.pi * through)) / 2
