"""Checkpoints of a run: whole or absent, the last good ones and the best, in a folder."""

import json
import re
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinoscope.durable import flush
from kinoscope.errors import KinoscopeError, UsageError
from kinoscope.packages import sha256_of
from kinoscope.training.state_files import read_state, read_tensors, write_state, write_tensors

WEIGHTS, AVERAGE = "weights.safetensors", "average.safetensors"
_STATE, _MANIFEST = "state", "manifest.json"
_NAME = re.compile(r"step-(\d{8,})", re.ASCII)
_FORMAT = 1


@dataclass(frozen=True, eq=False, kw_only=True)
class Saved:
    """What a run goes on from.

    Attributes:
        step: steps that are done.
        weights: what learns, by name.
        average: their moving average; empty without one.
        state: everything else, of plain values and tensors.
        best_step: whose checkpoint was the best so far; None before the first validation.
    """

    step: int
    weights: Mapping[str, Any]
    average: Mapping[str, Any]
    state: Mapping[str, Any]
    best_step: int | None

    def __repr__(self) -> str:
        return f"Saved(step={self.step}, {len(self.weights)} weights, best={self.best_step})"


@dataclass(frozen=True, kw_only=True)
class Checkpoints:
    """A folder with a folder a checkpoint, `step-00000120`.

    Attributes:
        folder: made when the first is saved.
        config: what decides the run, of JSON's values; another one's checkpoint is refused.
        keep: how many of the last stay; the best stays too.
    """

    folder: Path
    config: Mapping[str, Any]
    keep: int = 2

    def save(self, saved: Saved) -> Path:
        """Writes beside the final place, waits for the disk, then renames; older ones then leave.

        A process that is killed at any point, or a full disk, leaves the earlier ones as they were.
        Raises `OSError` when the disk refuses.
        """
        place = self.place(saved.step)
        if place.exists():
            return place  # of this very step and config
        partial = place.with_suffix(".partial")
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            self._write(partial, saved)
            for path in (*partial.iterdir(), partial):
                flush(path)
            partial.rename(place)
            flush(self.folder)
        except OSError:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        self._thin_out(saved.best_step)
        return place

    def latest(self) -> Saved | None:
        """The last whole checkpoint; None where there never was one. Warns of each damaged one.

        Raises `UsageError` if it is of another config, printing both, or if all are damaged.
        """
        steps = self.steps()
        for step in reversed(steps):
            try:
                return self.load(step)
            except _Damaged as error:
                warnings.warn(f"{error}: going back to the checkpoint before", stacklevel=2)
        if steps:
            raise UsageError(f"all checkpoints in {self.folder} are damaged: delete them to start")
        return None

    def load(self, step: int) -> Saved:
        """The checkpoint after `step`; `UsageError` if it is damaged or of another config."""
        place = self.place(step)
        manifest = self.manifest(step)
        _require_equal(manifest["config"], self.config, place)
        has_average = AVERAGE in manifest["files"]
        return Saved(
            step=step,
            weights=read_tensors(place / WEIGHTS),
            average=read_tensors(place / AVERAGE) if has_average else {},
            state=read_state(place, _STATE),
            best_step=manifest["best_step"],
        )

    def place(self, step: int) -> Path:
        """The folder of the checkpoint after `step`."""
        return self.folder / f"step-{step:08d}"

    def steps(self) -> list[int]:
        """Of the checkpoints that are there, ascending."""
        if not self.folder.is_dir():
            return []
        names = (_NAME.fullmatch(path.name) for path in self.folder.iterdir())
        return sorted(int(name[1]) for name in names if name)

    @contextmanager
    def disk(self) -> Iterator[None]:
        """Says in one sentence, `DiskRefused`, that the disk refuses, and what is safe there."""
        try:
            yield
        except OSError as error:
            steps = self.steps()
            kept = f"the checkpoint of step {steps[-1]} is whole" if steps else "there is none yet"
            reason = error.strerror or error
            raise DiskRefused(
                f"cannot write in {self.folder} ({reason}): free space there, then go on; {kept}"
            ) from error

    def drop_behind(self, step: int) -> None:
        """Removes what a run that goes on after `step` will write anew, and halves of folders."""
        for later in self.steps():
            if later > step:
                shutil.rmtree(self.place(later))
        for partial in self.folder.glob("step-*.partial"):
            shutil.rmtree(partial)

    def _write(self, folder: Path, saved: Saved) -> None:
        write_tensors(folder / WEIGHTS, saved.weights)
        if saved.average:
            write_tensors(folder / AVERAGE, saved.average)
        write_state(folder, _STATE, saved.state)
        files = {path.name: sha256_of(path) for path in sorted(folder.iterdir())}
        manifest = {
            "format": _FORMAT,
            "step": saved.step,
            "best_step": saved.best_step,
            "config": dict(self.config),
            "files": files,
        }
        (folder / _MANIFEST).write_text(json.dumps(manifest, indent=1))

    def manifest(self, step: int) -> dict[str, Any]:
        """What a checkpoint says of itself, every file of it being as it was written.

        Raises `UsageError` if one is not, or for one of a later version.
        """
        place = self.place(step)
        try:
            manifest: dict[str, Any] = json.loads((place / _MANIFEST).read_bytes())
            version, files = manifest["format"], manifest["files"]
            changed = [name for name, digest in files.items() if sha256_of(place / name) != digest]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise _Damaged(f"{place} is damaged ({error})") from error
        if changed:
            raise _Damaged(f"{place} is damaged ({', '.join(changed)})")
        if version != _FORMAT:
            raise UsageError(f"{place} has format {version}, not {_FORMAT}: update kinoscope")
        return manifest

    def _thin_out(self, best_step: int | None) -> None:
        """The oldest leave; a rename first, so that none is ever seen in part."""
        for step in self.steps()[: -self.keep]:
            if step == best_step:
                continue
            leaving = self.place(step).with_suffix(".partial")
            self.place(step).rename(leaving)
            shutil.rmtree(leaving, ignore_errors=True)


class DiskRefused(KinoscopeError):
    """A full or read-only disk; earlier checkpoints are as they were."""


class _Damaged(UsageError):
    """Not what was written."""


def final_checkpoint(folder: Path) -> Path | None:
    """The checkpoint that a run is for: the best validated, else the last; None where none is.

    Raises `UsageError` if it, or the last, which knows the best, is not as it was written.
    """
    checkpoints = Checkpoints(folder=folder, config={})
    steps = checkpoints.steps()
    if not steps:
        return None
    try:
        best = checkpoints.manifest(steps[-1])["best_step"]
        chosen = best if best in steps else steps[-1]
        checkpoints.manifest(chosen)
    except _Damaged as error:
        raise UsageError(f"{error}: delete its folder, and train on from the one before") from error
    return checkpoints.place(chosen)


def usable_weights(place: Path) -> dict[str, Any]:
    """The weights that a checkpoint's folder is for: the average where there is one.

    Raises `UsageError` if the file is absent or damaged.
    """
    average = place / AVERAGE
    return read_tensors(average if average.exists() else place / WEIGHTS)


def _require_equal(theirs: Mapping[str, Any], mine: Mapping[str, Any], place: Path) -> None:
    """Raises `UsageError`, printing both configs, unless they are equal."""
    if theirs == json.loads(json.dumps(mine)):
        return
    lines = []
    for name in sorted(theirs.keys() | mine.keys()):
        one, other = theirs.get(name, "absent"), mine.get(name, "absent")
        lines.append(f"{'  ' if one == other else '! '}{name}: {one} | {other}")
    raise UsageError(
        f"{place} was made with another config (train with that, or in another folder):\n"
        + "\n".join(lines)
    )
