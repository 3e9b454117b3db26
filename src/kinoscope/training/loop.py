"""The training loop: steps, validation, checkpoints, and an exact way back into it."""

import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path

import torch

from kinoscope.errors import UsageError
from kinoscope.libraries import imported
from kinoscope.training.checkpoint import Checkpoints, DiskRefused, Saved
from kinoscope.training.ema import Average
from kinoscope.training.gather import (
    copy_from_first,
    gather_objects,
    process_count,
    process_number,
)
from kinoscope.training.journal import Journal, Record
from kinoscope.training.losses import NotFinite
from kinoscope.training.optimiser import Optimiser, checked_parameters, copy_weights, seed_step
from kinoscope.training.passes import Arithmetic, backward_passes
from kinoscope.training.progress import Ended, Progress, Report
from kinoscope.training.sampler import Draw, Sampler, named
from kinoscope.training.stopping import Wish, stop_wishes
from kinoscope.training.task import LoopConfig, Task
from kinoscope.training.timing import Stages

_INSTALL = "pip install 'kinoscope[train]'"


def train(
    task: Task,
    config: LoopConfig,
    folder: Path,
    *,
    progress: Callable[[Record], None] | None = None,
) -> Report:
    """Trains, going on from the last checkpoint in `folder`: to the same weights, bit for bit.

    Each step's record goes to the journal in `folder` and to `progress`. Ctrl-C or SIGTERM ends
    the run after the step, with a checkpoint. Under `accelerate launch` the caller makes
    `accelerate.PartialState()` before it places its model; all processes then share each batch.

    Raises `UsageError` for what cannot be trained, or a checkpoint of another config; `NotFinite`
    when a loss or a gradient is, the checkpoints before it untouched; `DiskRefused` if a full
    disk keeps the journal or the last checkpoint from being written. A checkpoint in between that
    fails only warns.
    """
    run = _Run(task, config, folder)
    with stop_wishes() as wish:
        while (ended := run.end(wish)) is None:
            record = run.step()
            if progress is not None:
                progress(record)
        return run.finish(ended)


class _Run:
    """A task, where it stands, and what it writes."""

    def __init__(self, task: Task, config: LoopConfig, folder: Path) -> None:
        self._task, self._config = task, config
        self._parameters = checked_parameters(task.parameters())
        device = next(iter(self._parameters.values())).device
        if config.mixed_precision == "fp16" and device.type == "cpu":
            raise UsageError("mixed_precision 'fp16' needs a GPU: choose 'bf16', or 'no'")
        imported("accelerate", _INSTALL).PartialState(cpu=device.type == "cpu")
        self._sampler = Sampler(parts=task.parts(), batch=config.batch, seed=config.seed)
        self._sampler.require_share(process_count())
        copy_from_first([value.data for value in self._parameters.values()])
        scaler = torch.amp.GradScaler(device.type, enabled=config.mixed_precision == "fp16")
        self._arithmetic = Arithmetic(device, config.mixed_precision, scaler)
        self._optimiser = Optimiser(self._parameters, config, scaler)
        self._average = None if config.ema is None else Average(self._parameters, config.ema)
        compared = {"loop": config.compared(), "task": dict(task.describe())}
        self._checkpoints = Checkpoints(folder=folder, config=compared, keep=config.keep)
        self._progress = Progress()
        self._resume()
        self._journal: Journal | None = None  # of process 0 alone, which also saves
        if process_number() == 0:
            with self._checkpoints.disk():
                self._journal = Journal(folder, self._progress.step)
        self._saved_s = time.monotonic()

    def end(self, wish: Wish) -> Ended | None:
        """Why the run is over, if it is; all processes agree."""
        ended = self._progress.ended(self._config)
        return ended or ("stopped" if any(gather_objects(wish.asked)) else None)

    def step(self) -> Record:
        """One step of the optimiser, and whatever is due after it."""
        step, passes = self._progress.step + 1, self._config.accumulation
        seed_step(self._config.seed, step, process_number())
        stages = Stages(self._arithmetic.device)
        draws = [self._sampler.draw((step - 1) * passes + nth) for nth in range(passes)]
        try:
            losses = self._learn(step, draws, stages)
        except NotFinite as error:
            raise NotFinite(f"step {step}: {error}; it read {named(draws)}") from error
        timed = stages.record(sum(len(draw.items) for draw in draws))
        self._progress = replace(self._progress, step=step)
        record = {"step": step, **losses, **timed, **self._validated(step)}
        if self._journal is not None:
            with self._checkpoints.disk():
                self._journal.append(record)
        overdue = time.monotonic() - self._saved_s >= self._config.checkpoint_every_s
        if overdue or self._progress.best_step == step:
            self._save(last=False)
        return record

    def finish(self, ended: Ended) -> Report:
        """Keeps the last state."""
        self._save(last=True)
        last, best = self._progress.step, self._progress.best_step
        place = self._checkpoints.place
        return Report(
            ended=ended,
            progress=self._progress,
            last=place(last),
            best=place(best) if best is not None and best in self._checkpoints.steps() else None,
        )

    def _learn(self, step: int, draws: list[Draw], stages: Stages) -> dict[str, float]:
        self._optimiser.clear()
        losses = backward_passes(self._task, draws, step, self._arithmetic, stages)
        with stages("step"):
            stepped = self._optimiser.step(step)
            if self._average is not None:
                self._average.update(step)
        return losses | stepped

    def _validated(self, step: int) -> dict[str, float]:
        """Metrics, where they are due; the watched one moves `best`."""
        config, every = self._config, self._config.validate_every
        if every is None or (step % every and step < config.steps):
            return {}
        averaged = self._average.in_place() if self._average is not None else nullcontext()
        with averaged, torch.no_grad():
            metrics = gather_objects(dict(self._task.validate()))[0]
        self._progress = self._progress.validated(metrics, config.watch)
        return {f"validate/{name}": value for name, value in metrics.items()}

    def _resume(self) -> None:
        first = process_number() == 0
        saved = self._checkpoints.latest() if first else None
        step = gather_objects(saved and saved.step)[0]
        if first:
            self._checkpoints.drop_behind(step or 0)
        if step is None:
            return
        saved = saved or self._checkpoints.load(step)
        copy_weights(saved.weights, self._parameters)
        if self._average is not None:
            copy_weights(saved.average, self._average.values)
        self._optimiser.restore(saved.state["optimiser"])
        self._progress = Progress(**saved.state["progress"])

    def _save(self, *, last: bool) -> None:
        """A checkpoint of this step, which may fail unless it is the last."""
        self._saved_s = time.monotonic()
        if self._journal is None:
            return
        saved = Saved(
            step=self._progress.step,
            weights=self._parameters,
            average={} if self._average is None else self._average.values,
            state={"optimiser": self._optimiser.state(), "progress": asdict(self._progress)},
            best_step=self._progress.best_step,
        )
        try:
            with self._checkpoints.disk():
                self._journal.flush()
                self._checkpoints.save(saved)
        except DiskRefused as failure:
            if last:
                raise
            warnings.warn(str(failure), stacklevel=2)
