"""What indexing and asking cost here: of a frame, an hour of video, a query."""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kinoscope.doctor import moving_disc
from kinoscope.errors import MediaError, UsageError
from kinoscope.index.handle import Index
from kinoscope.index.progress import StageCost
from kinoscope.retrieval import search

if TYPE_CHECKING:
    from kinoscope.embedder import Embedder
    from kinoscope.index.build import BuildOptions
    from kinoscope.index.progress import BuildReport, Progress

HOUR_S = 3600.0
_SIDE_PX = 224  # for models that read any shape
_WARM_UP, _ROUNDS, _ENOUGH_S = 2, 5, 10.0  # of queries

TEXTS = (
    "a dog runs on the beach",
    "two people talk at a table",
    "a red car drives through rain",
    "snow falls on a forest",
    "a bird takes off from a branch",
    "a woman opens a door",
    "waves break on rocks at sunset",
    "a crowd cheers in a stadium",
    "a cat sleeps on a sofa",
    "a chef cuts vegetables",
    "a train arrives at a station",
    "children play with a ball",
    "a city at night, seen from above",
    "a man plays the guitar",
    "fish swim around a reef",
    "a horse jumps over a fence",
    "smoke rises from a volcano",
    "a robot moves its arm",
    "a bicycle leans against a wall",
    "an empty street in the morning",
)
"""What is asked to time a query."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine that can be rented, and what an hour of it costs.

    The default is an assumption, in the range of list prices of the large clouds: whoever knows
    what is paid says so. Raises `UsageError` for a price below zero, or no core.
    """

    name: str = "2 vCPU general purpose"
    cores: int = 2
    usd_per_hour: float = 0.085

    def __post_init__(self) -> None:
        if not 0 <= self.usd_per_hour < float("inf"):
            raise UsageError(f"{self.usd_per_hour} USD an hour: give a price of 0 or more")
        if self.cores < 1:
            raise UsageError(f"a machine with {self.cores} cores: need at least one")

    def usd(self, cpu_s: float) -> float:
        """Price of so many processor seconds while all its cores have work."""
        return cpu_s / self.cores / HOUR_S * self.usd_per_hour

    def __str__(self) -> str:
        return f"{self.name}, {self.usd_per_hour:g} USD/h"


@dataclass(frozen=True, kw_only=True)
class CostReport:
    """What one index cost on this machine, and what asking it costs.

    Attributes:
        machine: whose price is taken.
        videos, frames, clips: that were indexed, looked at, stored.
        video_s: seconds of video.
        stages: `scan` finds files, `identify` hashes them, then `decode`, `vision`, `write`, and
            `search arrays`; `other` is what is left: processes that start, waiting in between.
        wall_s, cpu_s: sums of the stages: the whole run by the clock, and by processors.
        load_s: seconds until the model was ready, which is in no other figure.
        index_bytes: all that the index keeps on the disk.
        query_ms: warm queries, their texts encoded, one at a time.
    """

    machine: Machine
    videos: int
    frames: int
    clips: int
    video_s: float
    stages: Mapping[str, StageCost]
    load_s: float
    index_bytes: int
    query_ms: Sequence[float] = field(repr=False)

    def __post_init__(self) -> None:
        if not (self.video_s > 0 and self.frames >= 1 and self.wall_s > 0 and self.query_ms):
            raise UsageError(
                f"{self.frames} frames of {self.video_s} s in {self.wall_s} s,"
                f" {len(self.query_ms)} queries: there is nothing to divide by"
            )

    @property
    def hours(self) -> float:
        """Of video."""
        return self.video_s / HOUR_S

    @property
    def wall_s(self) -> float:
        """The run by the clock."""
        return sum(cost.wall_s for cost in self.stages.values())

    @property
    def cpu_s(self) -> float:
        """The run by the processors."""
        return sum(cost.cpu_s for cost in self.stages.values())

    @property
    def cpu_s_per_hour(self) -> float:
        """Processor seconds an hour of video."""
        return self.cpu_s / self.hours

    @property
    def mb_per_hour(self) -> float:
        """Megabytes (10^6 bytes) of index an hour of video."""
        return self.index_bytes / 1e6 / self.hours

    @property
    def usd_per_hour(self) -> float:
        """Dollars to index an hour of video on `machine`, all of whose cores have work."""
        return self.machine.usd(self.cpu_s_per_hour)

    @property
    def usd_per_hour_by_clock(self) -> float:
        """The same by the time this run took, idle cores paid for, were `machine` this one."""
        return self.wall_s / HOUR_S / self.hours * self.machine.usd_per_hour

    def per_frame_ms(self, stage: str) -> tuple[float, float]:
        """Milliseconds of a stage for each frame: by the clock, by the processors."""
        cost = self.stages[stage]
        return 1000 * cost.wall_s / self.frames, 1000 * cost.cpu_s / self.frames

    def query(self, part: float) -> float:
        """Milliseconds that a part of the queries, 0.5 or 0.95, did not exceed."""
        return quantile(self.query_ms, part)

    def to_dict(self) -> dict[str, object]:
        """All figures as plain JSON; those of stages in milliseconds a frame."""
        stages = {name: self.per_frame_ms(name) for name in self.stages}
        return {
            "videos": self.videos,
            "video_s": self.video_s,
            "frames": self.frames,
            "clips": self.clips,
            "load_s": self.load_s,
            "wall_s": self.wall_s,
            "cpu_s": self.cpu_s,
            "stages": {name: {"wall_ms": w, "cpu_ms": c} for name, (w, c) in stages.items()},
            "wall_ms_per_frame": sum(wall for wall, _ in stages.values()),
            "cpu_ms_per_frame": sum(cpu for _, cpu in stages.values()),
            "realtime_factor": self.video_s / self.wall_s,
            "cpu_s_per_hour": self.cpu_s_per_hour,
            "mb_per_hour": self.mb_per_hour,
            "query_p50_ms": self.query(0.5),
            "query_p95_ms": self.query(0.95),
            "usd_per_hour": self.usd_per_hour,
            "usd_per_hour_by_clock": self.usd_per_hour_by_clock,
            "machine": {
                "name": self.machine.name,
                "cores": self.machine.cores,
                "usd_per_hour": self.machine.usd_per_hour,
            },
        }

    def __str__(self) -> str:
        lines = [f"{'ms a frame':<14}{'clock':>10}{'processors':>12}"]
        sums = [0.0, 0.0]
        for name in self.stages:
            pair = self.per_frame_ms(name)
            sums = [a + b for a, b in zip(sums, pair, strict=True)]
            lines.append(f"{name:<14}{pair[0]:>10.2f}{pair[1]:>12.2f}")
        lines.append(f"{'all':<14}{sums[0]:>10.2f}{sums[1]:>12.2f}")
        figures = {
            "processor s an hour of video": f"{self.cpu_s_per_hour:.1f}",
            "MB of index an hour of video": f"{self.mb_per_hour:.2f}",
            "times real time": f"{self.video_s / self.wall_s:.1f}",
            "query ms, p50": f"{self.query(0.5):.1f}",
            "query ms, p95": f"{self.query(0.95):.1f}",
            "USD an hour of video": f"{self.usd_per_hour:.5f}",
            "USD, idle cores paid for": f"{self.usd_per_hour_by_clock:.5f}",
        }
        lines += ["", *(f"{name:<30}{value:>10}" for name, value in figures.items())]
        seen = f"{self.videos} videos, {self.video_s / 60:.1f} min, {self.frames} frames"
        return "\n".join([*lines, "", f"{seen}; price assumed: {self.machine}"])


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The report on what was indexed, and what the run itself said."""

    costs: CostReport
    build: "BuildReport"


def measure(
    embedder: "Embedder",
    sources: Sequence[str | Path],
    *,
    machine: Machine | None = None,
    options: "BuildOptions | None" = None,
    progress: "Callable[[Progress], None] | None" = None,
) -> Measured:
    """Indexes folders and files into an index that is deleted afterwards, and asks it.

    The run is that of `Index.add`. Errors are its own; `UsageError` where there is no video,
    `MediaError` where none can be decoded.
    """
    load_s = _warmed(embedder)
    with tempfile.TemporaryDirectory(prefix="kinoscope-bench-") as folder:
        index = Index.open(Path(folder) / "index", embedder, create=True)
        watch = _Watch()
        build = index.add(*sources, options=options, progress=progress)
        run = watch.lap()
        _require_some(build, sources)
        index.derived()
        arrays = watch.lap()
        costs = CostReport(
            machine=machine or Machine(),
            videos=build.indexed,
            frames=build.frames,
            clips=index.store.count_clips(),
            video_s=build.video_s,
            stages=_whole(build.stages, run, arrays),
            load_s=load_s,
            index_bytes=index.store.place.size_bytes() or 0,
            query_ms=query_times_ms(index),
        )
    return Measured(costs=costs, build=build)


def query_times_ms(index: Index) -> list[float]:
    """Milliseconds of each of `TEXTS`, asked one after another, warm, for some rounds."""
    for text in TEXTS[:_WARM_UP]:
        search(index, text)
    taken_ms: list[float] = []
    began_s = time.perf_counter()
    for _ in range(_ROUNDS):
        for text in TEXTS:
            start_s = time.perf_counter()
            search(index, text)
            taken_ms.append(1000 * (time.perf_counter() - start_s))
        if time.perf_counter() - began_s > _ENOUGH_S:
            break
    return taken_ms


def quantile(values: Sequence[float], part: float) -> float:
    """As `statistics.quantiles` has it, inclusive; `part` in 0.01 .. 0.99."""
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[round(100 * part) - 1]


class _Watch:
    """Wall and processor seconds since the last look, of this process and of those that ended."""

    def __init__(self) -> None:
        self._last = self._now()

    def lap(self) -> StageCost:
        before, self._last = self._last, self._now()
        wall_s, cpu_s = (b - a for a, b in zip(before, self._last, strict=True))
        return StageCost(wall_s=wall_s, cpu_s=cpu_s)

    @staticmethod
    def _now() -> tuple[float, float]:
        ended = os.times()
        cpu_s = time.process_time() + ended.children_user + ended.children_system
        return time.perf_counter(), cpu_s


def _warmed(embedder: "Embedder") -> float:
    """Seconds until both towers are loaded and have worked once."""
    start_s = time.perf_counter()
    embedder.vision(moving_disc(embedder.sampling.side_px or _SIDE_PX, count=1))
    embedder.encode_query(TEXTS[0])
    return time.perf_counter() - start_s


def _whole(
    stages: Mapping[str, StageCost], run: StageCost, arrays: StageCost
) -> dict[str, StageCost]:
    """The stages of a run, what it took beside them, and the arrays that were built after it.

    `os.times` counts what ended in ticks of a hundredth of a second: the rest may seem below zero.
    """
    told_wall_s = sum(cost.wall_s for cost in stages.values())
    told_cpu_s = sum(cost.cpu_s for cost in stages.values())
    other = StageCost(
        wall_s=max(0.0, run.wall_s - told_wall_s), cpu_s=max(0.0, run.cpu_s - told_cpu_s)
    )
    return {**stages, "search arrays": arrays, "other": other}


def _require_some(build: "BuildReport", sources: Sequence[str | Path]) -> None:
    if build.indexed:
        return
    named = ", ".join(map(str, sources))
    if not build.failures:
        raise UsageError(f"{named}: no video there; name a folder with videos, or a video")
    first = build.failures[0]
    raise MediaError(
        first.fault, f"none of {len(build.failures)} videos could be read; {first.message}"
    )
