"""AdamW after the passes of a step: groups, summed gradients, clipping, and random numbers."""

import math
import random
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch

from kinoscope.errors import UsageError
from kinoscope.training.gather import gather_objects, process_count, sum_over_processes
from kinoscope.training.losses import NotFinite
from kinoscope.training.task import LoopConfig


class Optimiser:
    """AdamW with decoupled decay of matrices alone: not of norms, biases and other vectors.

    Weights that `LoopConfig.rates` names move faster or slower than the rest.
    """

    def __init__(self, parameters: Mapping[str, Any], config: LoopConfig, scaler: Any) -> None:
        """`scaler` is torch's GradScaler, enabled for fp16.

        Raises `UsageError` for a rate that fits no weight.
        """
        self._parameters, self._config, self._scaler = parameters, config, scaler
        _check_rates(parameters, config)
        groups: dict[tuple[bool, float], list[Any]] = {}
        for name, value in parameters.items():
            kind = _decays(name, value), config.rate_of(name)
            groups.setdefault(kind, []).append(value)
        self._rates = [rate for _, rate in groups]
        self._adamw = torch.optim.AdamW(
            [
                {"params": values, "weight_decay": config.weight_decay if decays else 0.0}
                for (decays, _), values in groups.items()
            ],
            lr=config.lr,
            betas=config.betas,
        )

    def clear(self) -> None:
        """Forgets the gradients of the last step."""
        self._adamw.zero_grad(set_to_none=True)

    def step(self, step: int) -> dict[str, float]:
        """Moves the weights; the record of it. Steps count from 1.

        Raises `NotFinite`, the weights as they were, if the gradient is; fp16 then skips the step
        and lowers its scale. `UsageError` if no gradient reached a single weight.
        """
        values = list(self._parameters.values())
        _add_gradients(values)
        self._scaler.unscale_(self._adamw)
        longest = self._config.clip_norm or math.inf
        norm = float(torch.nn.utils.clip_grad_norm_(values, longest))
        if not math.isfinite(norm) and not self._scaler.is_enabled():
            raise NotFinite(f"the gradient's norm is {norm}")
        rate = self._config.learning_rate(step)
        for group, factor in zip(self._adamw.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
        self._scaler.step(self._adamw)
        self._scaler.update()
        return {"lr": rate, "grad_norm": norm}

    def state(self) -> dict[str, Any]:
        """What `restore` takes."""
        return {
            "names": list(self._parameters),
            "adamw": self._adamw.state_dict(),
            "scaler": self._scaler.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from a state; `UsageError` if it is of other weights."""
        if state["names"] != list(self._parameters):
            raise UsageError(
                "the checkpoint is of other weights than learn: train in another folder"
            )
        self._adamw.load_state_dict(state["adamw"])
        self._scaler.load_state_dict(state["scaler"])


def checked_parameters(named: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Parameters by name.

    Raises `UsageError` for none at all, for one of 16 bits, which would lose small steps, and for
    one that is frozen or named twice.
    """
    pairs = list(named)
    found = dict(pairs)
    if not found:
        raise UsageError("nothing learns: unfreeze some weights, or add an adapter")
    if len(found) < len(pairs) or len({id(value) for value in found.values()}) < len(pairs):
        raise UsageError("a weight is named twice: give each once, also where two layers share it")
    for name, value in found.items():
        if value.dtype not in (torch.float32, torch.float64):
            raise UsageError(
                f"{name} is {value.dtype}, in which small steps round to nothing: load the model in"
                " float32, and compute in 16 bits by mixed_precision"
            )
        if not value.requires_grad:
            raise UsageError(f"{name} is frozen: leave it out, or set requires_grad")
    return found


def copy_weights(saved: Mapping[str, Any], targets: Mapping[str, Any]) -> None:
    """Overwrites tensors by name; `UsageError` if names or shapes differ."""
    for name in sorted(saved.keys() | targets.keys()):
        if name not in saved or name not in targets or saved[name].shape != targets[name].shape:
            raise UsageError(f"the checkpoint does not fit at {name}: train in another folder")
        targets[name].detach().copy_(saved[name])


def seed_step(seed: int, step: int, process: int) -> None:
    """Random numbers of a step depend on nothing before it: a resumed run has the same."""
    words = np.random.SeedSequence((seed, step, process)).generate_state(3)
    random.seed(int(words[0]))
    np.random.seed(int(words[1]))
    torch.manual_seed(int(words[2]))


def _check_rates(names: Iterable[str], config: LoopConfig) -> None:
    known = list(names)
    for word in config.rates:
        if not any(word in name for name in known):
            raise UsageError(
                f"rates {word!r} fits none of the weights that learn, such as {known[-1]}: leave it"
                " out, or mend it"
            )


def _decays(name: str, value: Any) -> bool:
    return value.ndim >= 2 and not name.endswith("bias") and "norm" not in name.lower()


def _add_gradients(values: list[Any]) -> None:
    """Sums gradients over processes, where any has one."""
    marks = gather_objects([value.grad is not None for value in values])
    reached = [value for value, *there in zip(values, *marks, strict=True) if any(there)]
    if not reached:
        raise UsageError("no gradient reaches the weights: do the losses depend on them?")
    if process_count() == 1:
        return
    for value in reached:
        if value.grad is None:
            value.grad = torch.zeros_like(value)
    sum_over_processes([value.grad for value in reached])
