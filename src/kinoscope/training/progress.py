"""How far a run is, what its best step was, and how it ended."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from kinoscope.errors import UsageError
from kinoscope.training.losses import NotFinite
from kinoscope.training.task import LoopConfig

Ended = Literal["finished", "early", "stopped"]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run is: `best` is the watched metric's highest value, after `best_step`."""

    step: int = 0
    best: float = -math.inf
    best_step: int | None = None
    stale: int = 0  # validations since then

    def validated(self, metrics: Mapping[str, float], watch: str) -> "Progress":
        """After a validation; a tie is no progress.

        Raises `UsageError` if the watched metric is absent, `NotFinite` if it is.
        """
        score = metrics.get(watch)
        if score is None:
            raise UsageError(f"watch {watch!r} is no metric: choose of {sorted(metrics)}")
        if not math.isfinite(score):
            raise NotFinite(f"step {self.step}: validation's {watch} is {score}")
        if score > self.best:
            return replace(self, best=score, best_step=self.step, stale=0)
        return replace(self, stale=self.stale + 1)

    def ended(self, config: LoopConfig) -> Ended | None:
        """All steps done, early for want of progress, or not yet."""
        if self.step >= config.steps:
            return "finished"
        if config.patience is not None and self.stale >= config.patience:
            return "early"
        return None


@dataclass(frozen=True, kw_only=True)
class Report:
    """How a run ended: all steps done, early for want of progress, or stopped by a person.

    `last` and `best` are folders of checkpoints; the model itself has the weights of the last step.
    """

    ended: Ended
    progress: Progress
    last: Path
    best: Path | None
