"""Kills index runs at random moments: no row may be lost or differ, no process may stay behind."""

import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import psutil

from kinoscope.embedder import Embedder
from kinoscope.evaluation.results import Metric, save_result
from kinoscope.index.build import BuildOptions, update
from kinoscope.index.handle import is_index
from kinoscope.index.rows import FileRow
from kinoscope.index.store import Store
from kinoscope.samples import write_video
from kinoscope.types import Float32, UInt8

KILLS, KILLS_AIMED = 10, 5
SEED = 4
FILMS = 26
VECTOR_TOLERANCE = 1e-5
READY = "ready"
WORKERS_END_WITHIN_S = 5.0

Command = Callable[[Path, Path], Sequence[str]]
"""(library, index folder) -> a command that prints `READY`, then indexes one into the other."""


def main() -> None:
    """Saves `results/crash.json`; with two arguments, it is the run that gets killed."""
    if len(sys.argv) == 3:
        index_once(Path(sys.argv[1]), Path(sys.argv[2]), Embedder.load())
        return
    with tempfile.TemporaryDirectory(prefix="kinoscope-") as folder:
        library = Path(folder) / "videos"
        files = make_library(library, films=FILMS)
        outcome = disturb(library, Path(folder), _this_recipe, (KILLS, KILLS_AIMED), SEED)
    metrics = {
        "files": Metric(value=files, n=1),
        "kills": Metric(value=outcome.kills - outcome.kills_aimed, n=1),
        "kills_aimed": Metric(value=outcome.kills_aimed, n=1),
        "kills_inside_a_commit": Metric(value=outcome.kills_inside_a_commit, n=outcome.kills),
        "rows_lost": Metric(value=outcome.rows_lost, n=outcome.rows_compared),
        "rows_differing": Metric(value=outcome.rows_differing, n=outcome.rows_compared),
        "workers_left": Metric(value=outcome.workers_left, n=outcome.kills),
    }
    details = {
        "seed": SEED,
        "killed_after_s": outcome.killed_after_s,
        "undisturbed_s": outcome.undisturbed_s,
    }
    save_result("crash", metrics, details=details)
    for name, metric in metrics.items():
        print(f"{name:>24} {metric.value:g}")


def _this_recipe(library: Path, index: Path) -> Sequence[str]:
    return [sys.executable, "-m", "recipes.crash", str(library), str(index)]


def index_once(library: Path, folder: Path, embedder: Embedder) -> None:
    """One index run, from the making of the index to its end, with a commit after each video."""
    print(READY, flush=True)
    store = Store.open(folder) if is_index(folder) else Store.create(folder, embedder.spec)
    update(store, [library], embedder, options=BuildOptions(commit_videos=1))


def make_library(folder: Path, *, films: int) -> int:
    """Little films of 1 to 6 s, two copies and two broken files; returns how many files."""
    folder.mkdir(parents=True)
    paths = [folder / f"{number:02}.mp4" for number in range(films)]
    for number, path in enumerate(paths):
        write_video(path, _pictures(number, seconds=1 + number % 6), fps=8)
    for source, copy in zip(paths, ("copy_a.mp4", "copy_b.mp4"), strict=False):
        (folder / copy).write_bytes(source.read_bytes())
    (folder / "text.mp4").write_text("not a film")
    (folder / "cut.mp4").write_bytes(paths[-1].read_bytes()[:100])
    return films + 4


def _pictures(seed: int, seconds: int) -> Iterator[UInt8]:
    """Eight a second, 160 x 120: tiles that change their colours each time."""
    colours = np.random.default_rng(seed)
    for _ in range(8 * seconds):
        tiles = colours.integers(0, 255, (6, 8, 3), np.uint8)
        yield tiles.repeat(20, axis=0).repeat(20, axis=1)


# --- the tables


@dataclass(frozen=True)
class Tables:
    """All that is visible in an index: `(start_s, end_s, vector)` by clip, rows by path."""

    clips: dict[str, tuple[float, float, Float32]]
    files: dict[str, FileRow]

    def __len__(self) -> int:
        return len(self.clips) + len(self.files)

    @property
    def keys(self) -> set[str]:
        """Of clips and files."""
        return self.clips.keys() | self.files.keys()


def read_tables(folder: Path) -> Tables:
    """What a reader sees now; nothing while the index is still being made."""
    if not is_index(folder):
        return Tables({}, {})
    _, rows, clips = Store.open(folder).snapshot()
    spans = zip(clips.start_s_N.tolist(), clips.end_s_N.tolist(), clips.vectors_ND, strict=True)
    return Tables(
        dict(zip(clips.clip_ids, spans, strict=True)),
        {row.path: replace(row, changed_at=0.0) for row in rows},  # the time of writing may differ
    )


def count_differences(tables: Tables, truth: Tables) -> int:
    """Clips and files that are not as in `truth`, and clips of a video that is not there whole."""
    videos = {row.video_id for row in tables.files.values() if row.state == "indexed"}
    whole = {key for key in truth.clips if key.partition(":")[0] in videos}
    differing = whole ^ tables.clips.keys()
    for key in whole & tables.clips.keys():
        (start_s, end_s, vector_D), (*span, true_D) = tables.clips[key], truth.clips[key]
        same = np.allclose(vector_D, true_D, rtol=0, atol=VECTOR_TOLERANCE)
        if not same or [start_s, end_s] != span:
            differing.add(key)
    files = [row for path, row in tables.files.items() if truth.files.get(path) != row]
    return len(differing) + len(files)


_NOTHING = Tables({}, {})


# --- the kills


@dataclass
class Outcome:
    """What came of it all; a row is a clip or a file, counted at each comparison.

    `kills` are all, `kills_aimed` those of them that waited for a write.
    """

    kills: int = 0
    kills_aimed: int = 0
    kills_inside_a_commit: int = 0
    rows_compared: int = 0
    rows_lost: int = 0
    rows_differing: int = 0
    workers_left: int = 0
    undisturbed_s: float = 0.0
    killed_after_s: list[float] = field(default_factory=list)

    def compare(self, tables: Tables, wanted: Tables, truth: Tables) -> None:
        """All of `wanted` must be there, and all that is there must be as in `truth`."""
        self.rows_compared += len(wanted)
        self.rows_lost += len(wanted.keys - tables.keys)
        self.rows_differing += count_differences(tables, truth)

    def count(self, run: "Run", index: Path) -> None:
        """Counts a kill and what it left."""
        assert run.workers_left is not None
        self.kills += 1
        self.killed_after_s.append(round(run.spent_s, 3))
        self.workers_left += run.workers_left
        orphans = Store.open(index).count_orphans() if is_index(index) else 0
        self.kills_inside_a_commit += orphans > 0


def disturb(
    library: Path, work: Path, command: Command, kills: tuple[int, int], seed: int
) -> Outcome:
    """Indexes in peace once, then again and again with kills, until there were so many.

    First come kills at random moments, uniform over the length of the undisturbed run, then aimed
    ones: from such a moment on they wait for the next clips to be written, and strike before their
    file is. A run that ends before its kill is compared with the undisturbed one, and the same
    moment is then tried on a new index; one that comes too late even there is drawn again.
    """
    outcome, moments = Outcome(), random.Random(seed)
    undisturbed = run(command(library, work / "undisturbed"))
    outcome.undisturbed_s = round(undisturbed.spent_s, 3)
    truth = read_tables(work / "undisturbed")
    at_random, aimed = kills
    number, moment_s, seen = 0, None, _NOTHING
    while outcome.kills < at_random + aimed:
        index = work / f"index-{number}"
        if moment_s is None:
            moment_s = moments.uniform(0, outcome.undisturbed_s)
        is_aimed = outcome.kills >= at_random
        ended = run(command(library, index), Kill(moment_s, index if is_aimed else None))
        killed, was_new = ended.workers_left is not None, seen is _NOTHING
        tables = read_tables(index)
        outcome.compare(tables, seen if killed else truth, truth)
        if killed:
            outcome.count(ended, index)
            outcome.kills_aimed += is_aimed
        number += not killed
        seen = tables if killed else _NOTHING
        moment_s = None if killed or was_new else moment_s
    run(command(library, index))
    outcome.compare(read_tables(index), truth, truth)
    return outcome


@dataclass(frozen=True)
class Kill:
    """When to kill: after so many seconds, or with `aim` at the next write of that index."""

    after_s: float
    aim: Path | None


@dataclass(frozen=True, kw_only=True)
class Run:
    """Seconds from `READY` to the end, and, if it was killed, how many workers outlived it."""

    spent_s: float
    workers_left: int | None = None


def run(command: Sequence[str], kill: Kill | None = None) -> Run:
    """A command from its `READY` on, to its end, which must be a good one, or to a kill."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        assert line == READY, f"{command} said {line!r}"
        start_s = time.monotonic()
        if kill is None or not _wait(process, kill):
            assert process.wait() == 0, f"{command} ended with {process.returncode}"
            return Run(spent_s=time.monotonic() - start_s)
        workers = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        spent_s = time.monotonic() - start_s
        process.wait()
        _, alive = psutil.wait_procs(workers, timeout=WORKERS_END_WITHIN_S)
        return Run(spent_s=spent_s, workers_left=len(alive))


def _wait(process: "subprocess.Popen[str]", kill: Kill) -> bool:
    """Waits for the moment of a kill; False if the process ended before."""
    try:
        process.wait(kill.after_s)
    except subprocess.TimeoutExpired:
        before = _clip_versions(kill.aim)
        while kill.aim and _clip_versions(kill.aim) == before:
            if process.poll() is not None:
                return False
        return True
    return False


def _clip_versions(index: Path | None) -> set[str]:
    folder = index / "clips.lance" / "_versions" if index else None
    return {path.name for path in folder.iterdir()} if folder and folder.exists() else set()


if __name__ == "__main__":
    main()
