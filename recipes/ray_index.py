"""Indexes by Ray and compares with the tables of one machine, whatever is killed.

`python -m recipes.ray_index` makes an index in one process, one by Ray, and then several by Ray of
which the driver, or a process that it has at work, is killed without warning at a random moment.
"""

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import psutil

from kinoscope.embedder import Embedder
from kinoscope.evaluation.results import Metric, save_result
from kinoscope.index.handle import Index
from kinoscope.index.options import BuildOptions
from kinoscope.scale.cluster import ClusterOptions, connected
from kinoscope.scale.indexing import index_on_cluster
from recipes.crash import READY, Tables, count_differences, index_once, make_library, read_tables

FILMS, SEED = 10, 7
DRIVER_KILLS, WORKER_KILLS = 2, 1
PROCESSES_END_WITHIN_S = 120.0


def main() -> None:
    """Saves `results/ray_index.json`; with two arguments, it is one run of indexing by Ray."""
    if len(sys.argv) == 3:
        index_by_ray(Path(sys.argv[1]), Path(sys.argv[2]))
        return
    with tempfile.TemporaryDirectory(prefix="kinoscope-") as folder:
        work, library = Path(folder), Path(folder) / "videos"
        files = make_library(library, films=FILMS)
        index_once(library, work / "local", Embedder.load())
        truth = read_tables(work / "local")
        undisturbed = finished(begin(library, work / "ray"))
        found = read_tables(work / "ray")
        print(f"undisturbed: {undisturbed.spent_s:.1f} s", flush=True)
        kills = disturb(library, work, truth, undisturbed.spent_s)
    wrong = count_differences(found, truth) + len(truth.keys - found.keys)
    rows = len(truth)
    killed = [kill for kill in kills if kill.by == "driver"]
    others = [kill for kill in kills if kill.by != "driver"]
    metrics = {
        "files": Metric(value=files, n=1),
        "rows_equal_local": Metric(value=rows - wrong, n=rows),
        "rows_differing": Metric(value=wrong, n=rows),
        "clips_equal_bit_for_bit": Metric(value=identical(found, truth), n=len(truth.clips)),
        "driver_kills": Metric(value=len(killed), n=1),
        "resumed_after_kill": Metric(value=sum(kill.resumed for kill in killed), n=len(killed)),
        "worker_kills": Metric(value=len(others), n=1),
        "ended_after_kill": Metric(value=sum(kill.resumed for kill in others), n=len(others)),
        "rows_lost": Metric(value=sum(kill.lost for kill in kills), n=rows * len(kills)),
        "rows_differing_after_kills": Metric(
            value=sum(kill.differing for kill in kills), n=rows * len(kills)
        ),
        "processes_left": Metric(value=sum(kill.left for kill in kills), n=len(kills)),
    }
    details = {
        "seed": SEED,
        "undisturbed_s": round(undisturbed.spent_s, 2),
        "kills": [kill.__dict__ for kill in kills],
    }
    save_result("ray_index", metrics, details=details)
    for name, metric in metrics.items():
        print(f"{name:>28} {metric.value:g} of {metric.n}")


def index_by_ray(library: Path, folder: Path) -> None:
    """One run, with a commit after each video; `READY` is said once Ray has begun."""
    index = Index.open(folder, Embedder.load(), create=True)
    cluster = ClusterOptions(cpus=2)
    options = BuildOptions(commit_videos=1)
    with redirect_stdout(sys.stderr), connected(cluster):  # Ray tells of killed processes there
        print(READY, file=sys.__stdout__, flush=True)
        report = index_on_cluster(index, library, cluster=cluster, options=options)
    print(json.dumps({"indexed": report.indexed, "unchanged": report.unchanged}), flush=True)


def identical(found: Tables, truth: Tables) -> int:
    """Clips whose spans and vectors have the very same bits."""
    return sum(
        found.clips[key][:2] == (start_s, end_s) and np.array_equal(found.clips[key][2], vector_D)
        for key, (start_s, end_s, vector_D) in truth.clips.items()
        if key in found.clips
    )


# --- runs


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A run that came to its end: seconds since `READY`, files that it decoded, that it knew."""

    spent_s: float
    indexed: int
    unchanged: int


def begin(library: Path, index: Path) -> "subprocess.Popen[str]":
    """A run that has said `READY`."""
    words = [sys.executable, "-m", "recipes.ray_index", str(library), str(index)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    assert line == READY, f"{words} said {line!r}"
    return process


def finished(process: "subprocess.Popen[str]") -> Ended:
    """Waits for the end of a run, which must be a good one."""
    start_s = time.monotonic()
    said, _ = process.communicate()
    assert process.returncode == 0, f"the run ended with {process.returncode}"
    return Ended(spent_s=time.monotonic() - start_s, **json.loads(said))


# --- kills


@dataclass(frozen=True, kw_only=True)
class Killed:
    """A kill and what came of it.

    Attributes:
        by: `driver`, or the kind of process that was killed below it.
        after_s: since `READY`.
        lost, differing: rows at the end that are absent, or not those of an undisturbed run.
        resumed: whether the next run did what was missing and no more; or, where a process below
            the driver was killed, the same run all of it.
        left: processes that outlived the run.
    """

    by: str
    after_s: float
    lost: int
    differing: int
    resumed: bool
    left: int


def disturb(library: Path, work: Path, truth: Tables, whole_s: float) -> list[Killed]:
    """Kills at moments drawn evenly from a run's length; one that comes too late is drawn anew."""
    moments, kills = random.Random(SEED), list[Killed]()
    strikes: list[Callable[[Path, float], Killed | None]] = [
        *[partial(kill_driver, library, truth)] * DRIVER_KILLS,
        *[partial(kill_worker, library, truth, moments)] * WORKER_KILLS,
    ]
    number = 0
    while strikes:
        number += 1
        killed = strikes[0](work / f"index-{number}", moments.uniform(0, 0.9 * whole_s))
        if killed is not None:
            print(killed, flush=True)
            kills.append(killed)
            strikes.pop(0)
    return kills


def kill_driver(library: Path, truth: Tables, index: Path, after_s: float) -> Killed | None:
    """Kills the driver, then lets a second run go on; None if the first had ended."""
    process = begin(library, index)
    if ended_within(process, after_s):
        return None
    below = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    left = outlived(below)
    seen = read_tables(index)
    ended = finished(begin(library, index))
    found = read_tables(index)
    done = sum(row.state == "indexed" for row in seen.files.values())
    missing = indexed_in(truth) - indexed_in(seen)
    return Killed(
        by="driver",
        after_s=round(after_s, 2),
        lost=len(seen.keys - found.keys) + len(truth.keys - found.keys),
        differing=count_differences(seen, truth) + count_differences(found, truth),
        resumed=ended.unchanged >= done and ended.indexed == len(missing),
        left=left,
    )


def kill_worker(
    library: Path, truth: Tables, moments: random.Random, index: Path, after_s: float
) -> Killed | None:
    """Kills an actor or task of a run, which must come to its end all the same."""
    process = begin(library, index)
    if ended_within(process, after_s) or not (workers := at_work(process)):
        process.communicate()
        return None
    below = psutil.Process(process.pid).children(recursive=True)
    name, victim = moments.choice(workers)
    victim.kill()
    ended = finished(process)
    found = read_tables(index)
    return Killed(
        by=name,
        after_s=round(after_s, 2),
        lost=len(truth.keys - found.keys),
        differing=count_differences(found, truth),
        resumed=ended.indexed == len(indexed_in(truth)),
        left=outlived(below),
    )


def indexed_in(tables: Tables) -> set[str]:
    """Contents of which there are clips."""
    return {row.video_id for row in tables.files.values() if row.state == "indexed"}


def at_work(process: "subprocess.Popen[str]") -> list[tuple[str, psutil.Process]]:
    """Processes with our actors and tasks, by name; Ray's own are let be."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            name = " ".join(child.cmdline())
        except psutil.Error:  # it has ended meanwhile
            continue
        if name.startswith("ray::") and any(ours in name for ours in ("Decoder", "Map")):
            found.append((name.strip(), child))
    return found


def ended_within(process: "subprocess.Popen[str]", wait_s: float) -> bool:
    """Whether a run ends before so many seconds are over."""
    try:
        process.wait(wait_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def outlived(processes: list[psutil.Process]) -> int:
    """How many processes do not end by themselves."""
    _, alive = psutil.wait_procs(processes, timeout=PROCESSES_END_WITHIN_S)
    return len(alive)


if __name__ == "__main__":
    main()
