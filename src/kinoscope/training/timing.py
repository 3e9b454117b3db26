"""Where the seconds and the memory of a step go."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

STAGES = ("data", "forward", "backward", "step")


class Stages:
    """Adds up the seconds of each stage of one step; a GPU is waited for at the end of each."""

    def __init__(self, device: Any) -> None:
        self._device = device
        self._began_s = time.perf_counter()
        self._spent_s = dict.fromkeys(STAGES, 0.0)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Times what is inside."""
        began_s = time.perf_counter()
        yield
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        self._spent_s[stage] += time.perf_counter() - began_s

    def record(self, samples: int) -> dict[str, float | None]:
        """Seconds by stage, samples a second of the whole step, and the most memory so far."""
        all_s = time.perf_counter() - self._began_s
        seconds = {f"{stage}_s": spent_s for stage, spent_s in self._spent_s.items()}
        speed = {"samples_per_s": samples / all_s}
        return {**speed, **seconds, "memory_mb": _peak_memory_mb(self._device)}


def _peak_memory_mb(device: Any) -> float | None:
    """Of the GPU, or of this process; None where the system does not tell."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device) / 1e6)
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3
