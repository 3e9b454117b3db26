"""What every cell of the fault matrix shares: a library, the undisturbed run, the comparison."""

import random
import shutil
import subprocess
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from kinoscope.errors import IndexFault
from kinoscope.index.derived import open_derived
from kinoscope.index.repair import damaged_videos, repair
from kinoscope.index.store import Store
from recipes.crash import Tables, count_differences, make_library, read_tables, run
from recipes.fault_deeds import deed

_LIMIT_S = 600.0


@dataclass
class Cell:
    """One row of the matrix.

    Attributes:
        name: of what goes wrong, and during what.
        cases: how often it went wrong and was looked at.
        rows_compared, rows_lost: clips and files that had to be there, and those that were not.
        wrong: rows that differ from the undisturbed run, searches that answer otherwise, states
            that could not be opened or mended, errors that are no sentence.
        repairs: how often `repair` had to mend something.
        skipped: why the cell could not be tried here; empty if it was.
        notes: what went wrong, in words.
        tries_count: whether it matters how often a bad file was tried.
    """

    name: str
    cases: int = 0
    rows_compared: int = 0
    rows_lost: int = 0
    wrong: int = 0
    repairs: int = 0
    skipped: str = ""
    notes: list[str] = field(default_factory=list)
    tries_count: bool = True

    def expect(self, holds: bool, words: str) -> None:
        """Counts a wrong if something does not hold."""
        if not holds:
            self.wrong += 1
            self.notes.append(words)

    def compare(self, index: Path, wanted: Tables, truth: Tables) -> None:
        """Reopens an index: all of `wanted` must be there, and all that is there as in `truth`."""
        self.rows_compared += len(wanted)
        try:
            tables = read_tables(index)
            if not self.tries_count:
                tables, truth = _without_tries(tables), _without_tries(truth)
            if tables:
                store = Store.open(index)
                self.expect(not damaged_videos(store), "clips are not what was written")
                found = open_derived(store).catalog
                self.expect(len(found.vectors_ND) == len(tables.clips), "search sees other rows")
        except IndexFault as error:
            self.rows_lost += len(wanted)
            self.expect(False, f"cannot be opened: {error}")
            return
        lost = wanted.keys - tables.keys
        self.rows_lost += len(lost)
        differing = count_differences(tables, truth)
        self.wrong += differing
        if lost or differing:
            self.notes.append(f"{len(lost)} rows lost, {differing} differ: {sorted(lost)[:2]}")

    def mend(self, index: Path) -> None:
        """Lets `repair` do what it finds; then it must find nothing more."""
        try:
            done = list(repair(index, write=True))
            left = list(repair(index))
        except IndexFault as error:
            self.expect(False, f"cannot be mended: {error}")
            return
        self.repairs += bool(done)
        self.expect(not left, f"not mended: {left}")


def _without_tries(tables: Tables) -> Tables:
    return Tables(tables.clips, {p: replace(row, tries=0) for p, row in tables.files.items()})


@dataclass(frozen=True)
class Bench:
    """A folder to work in, how many films there are, and the seed of all chances."""

    work: Path
    films: int
    seed: int

    @cached_property
    def library(self) -> Path:
        """Films, copies and broken files; whoever changes one puts it back."""
        folder = self.work / "videos"
        make_library(folder, films=self.films)
        return folder

    @cached_property
    def undisturbed(self) -> Path:
        """The index of a run in peace."""
        folder = self.work / "undisturbed"
        run(deed("index", self.library, folder))
        return folder

    @cached_property
    def truth(self) -> Tables:
        """All that it shows."""
        return read_tables(self.undisturbed)

    def copy(self, name: str) -> Path:
        """The undisturbed index once more, in a folder of its own."""
        return Path(shutil.copytree(self.undisturbed, self.work / name))

    def chance(self, name: str) -> random.Random:
        """Draws that depend on the seed and the cell alone."""
        return random.Random(f"{self.seed} {name}")


def ended(command: list[str]) -> tuple[int, str]:
    """Runs a deed to its end: exit code, and what it said behind `ready`."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S)
    return done.returncode, done.stdout.partition("\n")[2].strip() or done.stderr.strip()
