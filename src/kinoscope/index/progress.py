"""What an index run tells: progress while it goes on, then counts and seconds by stage."""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from kinoscope.errors import MediaFault

TELL_EVERY_S = 0.2


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a run is.

    Attributes:
        stage: `identify` reads new files to tell them apart, `decode` looks at their pictures.
        files_done, files_total: of this stage in the whole run; the stages take turns, and the
            total of `decode` shrinks when files turn out to be known.
        failed: files in quarantine so far.
        videos_per_s: files of this stage done in a second.
        hours_per_h: hours of video looked at in an hour; 0 while files are identified.
        eta_s: seconds left of this stage, by bytes; None while nothing is known.
    """

    stage: Literal["identify", "decode"]
    files_done: int
    files_total: int
    failed: int
    videos_per_s: float
    hours_per_h: float
    eta_s: float | None


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A file that is now in quarantine; `message` is a sentence with its path."""

    path: str
    fault: MediaFault
    message: str


@dataclass(frozen=True, kw_only=True)
class StageCost:
    """What a stage cost: `wall_s` in the indexing process, `cpu_s` in all processes.

    For `decode` the wall time is what the indexing process waited for frames.
    """

    wall_s: float
    cpu_s: float


@dataclass(frozen=True, kw_only=True)
class BuildReport:
    """What a run did; all numbers but `seconds` count files (paths).

    Attributes:
        indexed: decoded and embedded.
        duplicates: new files with the content of one of those, decoded only once.
        copied: new files with the content of a video already indexed.
        moved: files found under a new path.
        refreshed: touched, content the same.
        unchanged: as they were, in quarantine or not.
        removed: forgotten because the file is gone.
        kept: not seen because their folder could not be, e.g. a disk that is not mounted.
        quarantined: all files in quarantine now, those of earlier runs included.
        failures: files that failed in this run.
        problems: sentences on what could not be looked at.
        video_s: seconds of video decoded.
        frames: pictures that the model looked at, in the videos that were indexed.
        wall_s: seconds the run took.
        stages: cost of `scan`, `identify`, `decode`, `vision` and `write`.
    """

    indexed: int
    duplicates: int
    copied: int
    moved: int
    refreshed: int
    unchanged: int
    removed: int
    kept: int
    quarantined: int
    failures: tuple[Failure, ...]
    problems: tuple[str, ...]
    video_s: float
    frames: int
    wall_s: float
    stages: Mapping[str, StageCost]

    @property
    def realtime_factor(self) -> float:
        """Seconds of video a second of the run."""
        return self.video_s / self.wall_s

    def cpu_share(self, stage: str) -> float:
        """Part of all processor seconds that a stage took, in 0..1."""
        total_s = sum(cost.cpu_s for cost in self.stages.values())
        return self.stages[stage].cpu_s / total_s if total_s else 0.0

    def __str__(self) -> str:
        counts = {
            "indexed": self.indexed,
            "copies": self.copied + self.duplicates,
            "moved": self.moved,
            "unchanged": self.unchanged + self.refreshed,
            "removed": self.removed,
            "unreachable": self.kept,
            "in quarantine": self.quarantined,
        }
        words = [f"{count} {name}" for name, count in counts.items() if count or name == "indexed"]
        lines = [", ".join(words)]
        if self.video_s:
            shares = ", ".join(
                f"{stage} {self.cpu_share(stage):.0%}" for stage in ("decode", "vision", "write")
            )
            lines.append(
                f"{self.video_s / 60:.1f} min of video in {self.wall_s:.1f} s: "
                f"{self.realtime_factor:.1f}x real time ({shares} of processor time)"
            )
        return "\n".join(lines)


class Stopwatch:
    """Adds up wall and processor time of this process by stage."""

    def __init__(self) -> None:
        self._wall_s: dict[str, float] = defaultdict(float)
        self._cpu_s: dict[str, float] = defaultdict(float)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Counts what happens inside; stages do not nest."""
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            self._wall_s[name] += time.perf_counter() - wall_s
            self._cpu_s[name] += time.process_time() - cpu_s

    def add_cpu(self, name: str, cpu_s: float) -> None:
        """Counts what another process spent."""
        self._cpu_s[name] += cpu_s

    def costs(self, *names: str) -> dict[str, StageCost]:
        """Cost of each named stage, 0 for one that did not occur."""
        return {
            name: StageCost(wall_s=self._wall_s[name], cpu_s=self._cpu_s[name]) for name in names
        }


@dataclass
class Meter:
    """Turns what is done into `Progress`, a few times a second at most.

    Only time inside `running` counts: the stages of a run take turns.
    """

    stage: Literal["identify", "decode"]
    tell: Callable[[Progress], None] | None
    files_total: int
    bytes_total: int
    files_done: int = 0
    bytes_done: int = 0
    video_s: float = 0.0
    _spent_s: float = 0.0
    _since_s: float | None = None
    _told_s: float = -math.inf

    @contextmanager
    def running(self) -> Iterator[None]:
        """The stage is at work meanwhile."""
        self._since_s = time.monotonic()
        try:
            yield
        finally:
            self._spent_s += time.monotonic() - self._since_s
            self._since_s = None

    def count(self, size_bytes: int) -> None:
        """Counts a file that needs no more work."""
        self.files_done += 1
        self.bytes_done += size_bytes

    def expect(self, files: int, size_bytes: int) -> None:
        """Counts work that was not foreseen, or falls away: so many files and bytes in all."""
        self.files_total += files
        self.bytes_total += size_bytes

    def show(self, failed: int, *, under_way_bytes: float = 0.0, under_way_s: float = 0.0) -> None:
        """Tells, with what is done of the files in work; always when all files are done."""
        now_s = time.monotonic()
        finished = self.files_done == self.files_total
        if self.tell is None or (now_s - self._told_s < TELL_EVERY_S and not finished):
            return
        self._told_s = now_s
        assert self._since_s is not None, "shown while the stage is not running"
        spent_s = max(self._spent_s + now_s - self._since_s, 1e-6)
        done_bytes = self.bytes_done + under_way_bytes
        left_bytes = max(self.bytes_total - done_bytes, 0.0)
        self.tell(
            Progress(
                stage=self.stage,
                files_done=self.files_done,
                files_total=self.files_total,
                failed=failed,
                videos_per_s=self.files_done / spent_s,
                hours_per_h=(self.video_s + under_way_s) / spent_s,
                eta_s=spent_s * left_bytes / done_bytes if done_bytes else None,
            )
        )
