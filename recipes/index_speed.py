"""How fast a ten-minute film is indexed, where time goes, and what memory two hours take."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import psutil

from kinoscope.errors import SetupError
from kinoscope.evaluation.results import Metric, save_result
from kinoscope.samples import fetch
from recipes.concepts_samples import CLIPS_FOLDER

RUNS = 3
TWO_HOURS_S = 7200
SAMPLE_EVERY_S = 0.05


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command that has ended.

    Attributes:
        wall_s: from its start to its end.
        peak_rss_mb: most memory of all its processes together, shared pages counted in each.
        printed: on stdout.
    """

    wall_s: float
    peak_rss_mb: float
    printed: str


@dataclass(frozen=True, kw_only=True)
class Run:
    """One `kinoscope index` command on one video and an index of its own.

    Attributes:
        wall_s: from the start of the command to its end, start-up and loading included.
        peak_rss_mb: most memory of all its processes together, shared pages counted in each.
        report: what `--json` printed.
    """

    wall_s: float
    peak_rss_mb: float
    report: dict[str, Any]

    @property
    def realtime_factor(self) -> float:
        """Seconds of video a second of the command."""
        return float(self.report["video_s"]) / self.wall_s

    def share(self, stage: str) -> float:
        """Part of the processor time of all stages, in 0..1."""
        costs = {name: cost["cpu_s"] for name, cost in self.report["stages"].items()}
        return float(costs[stage] / sum(costs.values()))


def main() -> None:
    """Measures both policies and saves `results/index_speed.json`."""
    film = fetch(CLIPS_FOLDER, report=print).film
    exact = [index_once(film, "exact") for _ in range(RUNS)]
    keyframe = [index_once(film, "keyframe") for _ in range(RUNS)]
    with tempfile.TemporaryDirectory(prefix="kinoscope-") as folder:
        long_film = Path(folder) / "two_hours.mp4"
        repeat_film(film, long_film, least_s=TWO_HOURS_S)
        long = {policy: index_once(long_film, policy) for policy in ("keyframe", "exact")}
    metrics = {
        "realtime_factor": median([run.realtime_factor for run in exact]),
        "keyframe_realtime_factor": median([run.realtime_factor for run in keyframe]),
        "peak_rss_mb": median([run.peak_rss_mb for run in exact]),
        "two_hour_peak_rss_mb": median([max(run.peak_rss_mb for run in long.values())]),
        **{
            f"{stage}_share": median([run.share(stage) for run in exact])
            for stage in ("decode", "vision", "write")
        },
    }
    details = {
        "exact": [summary(run) for run in exact],
        "keyframe": [summary(run) for run in keyframe],
        "two_hours": {policy: summary(run) for policy, run in long.items()},
        "shares": "of processor seconds of all processes",
        "default_policy": "exact",
    }
    save_result("index_speed", metrics, details=details)
    for name, metric in metrics.items():
        print(f"{name:>26} {metric.value:.3f}")


def index_once(video: Path, policy: str, model: str = "concepts") -> Run:
    """Runs the command line on a fresh index; `SetupError` unless it indexes the video."""
    with tempfile.TemporaryDirectory(prefix="kinoscope-") as folder:
        command = [sys.executable, "-m", "kinoscope", "index", str(video), "--json"]
        command += ["--index", str(Path(folder) / "index"), "--policy", policy, "--model", model]
        done = watched(command)
    run = Run(wall_s=done.wall_s, peak_rss_mb=done.peak_rss_mb, report=json.loads(done.printed))
    print(f"{video.name} {policy} {Path(model).name}: {summary(run)}")
    return run


def watched(command: Sequence[str]) -> Command:
    """Runs a command to its end; `SetupError` if that is an error."""
    start_s = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        peak_bytes = 0
        while process.poll() is None:
            peak_bytes = max(peak_bytes, tree_rss_bytes(process.pid))
            time.sleep(SAMPLE_EVERY_S)
        wall_s = time.perf_counter() - start_s
        assert process.stdout is not None
        printed = process.stdout.read()
    if process.returncode:
        raise SetupError(f"{' '.join(command)} ended with exit code {process.returncode}")
    return Command(wall_s=wall_s, peak_rss_mb=peak_bytes / 1e6, printed=printed)


def tree_rss_bytes(pid: int) -> int:
    """Resident memory of a process and all it started, as far as they still live."""
    try:
        root = psutil.Process(pid)
        family = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    return sum(map(rss_bytes, family))


def rss_bytes(process: psutil.Process) -> int:
    """Resident memory of one process; 0 once it has ended."""
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def repeat_film(source: Path, target: Path, *, least_s: float) -> None:
    """Writes the film's pictures again and again, without encoding, until `least_s` seconds."""
    import av

    writer = None
    shift_s = Fraction(0)
    with av.open(str(target), "w") as output:
        while shift_s < least_s:
            with av.open(str(source)) as film:
                stream = film.streams.video[0]
                assert stream.duration is not None and stream.time_base is not None
                writer = writer or output.add_stream_from_template(stream)
                shift = round(shift_s / stream.time_base)
                for packet in film.demux(stream):
                    if packet.dts is None or packet.pts is None:  # the mark of the end
                        continue
                    packet.pts += shift
                    packet.dts += shift
                    packet.stream = writer
                    output.mux(packet)
                shift_s += stream.duration * stream.time_base


def median(values: list[float]) -> Metric:
    """The middle value, and how many there were."""
    return Metric(value=statistics.median(values), n=len(values))


def summary(run: Run) -> dict[str, float]:
    """The numbers of one run, rounded."""
    return {
        "wall_s": round(run.wall_s, 2),
        "video_s": round(float(run.report["video_s"]), 2),
        "realtime_factor": round(run.realtime_factor, 2),
        "peak_rss_mb": round(run.peak_rss_mb, 1),
    }


if __name__ == "__main__":
    main()
