"""Hostile files with a number drawn into every frame: nothing may be silently wrong.

Each file must end as right frames or as a failure with a name, both when it is read alone and when
the whole folder is indexed.
"""

import tempfile
import time
from pathlib import Path

from kinoscope.embedder import Embedder
from kinoscope.errors import MediaError
from kinoscope.evaluation.results import Metric, save_result
from kinoscope.index.build import update
from kinoscope.index.store import Store
from kinoscope.sampling import SamplingConfig, grid_times
from kinoscope.video import VideoReader
from tests.media import Case, check_numbers, make_hostile_set

DENSE = SamplingConfig(fps=12.5)
"""Every second frame of most files: far more than the default looks at."""


def main() -> None:
    """Makes the files, reads and indexes them, and saves `results/hostile.json`."""
    with tempfile.TemporaryDirectory(prefix="kinoscope-") as folder:
        cases = make_hostile_set(Path(folder) / "videos")
        start_s = time.perf_counter()
        indexed = index_folder(Path(folder) / "videos", Path(folder) / "index")
        index_s = time.perf_counter() - start_s
        unnamed = [case.name for case in cases if not ends_right(case, indexed)]
        wrong, frames = {}, 0
        for case in cases:  # last: reading makes some of them vanish or grow
            shown, outcome = read(case)
            frames += shown
            if outcome:
                wrong[case.name] = outcome
    silent = [name for name, outcome in wrong.items() if outcome == "wrong frame"]
    unnamed += [name for name in wrong if name not in (*silent, *unnamed)]
    metrics = {
        "files": Metric(value=len(cases), n=len(cases)),
        "frames_checked": Metric(value=frames, n=len(cases)),
        "silent_wrong": Metric(value=len(silent), n=len(cases)),
        "unnamed_failures": Metric(value=len(unnamed), n=len(cases)),
        "index_s": Metric(value=index_s, n=len(cases)),
    }
    save_result("hostile", metrics, details={"silent_wrong": silent, "unnamed": sorted(unnamed)})
    print(f"{len(cases)} files, {frames} frames checked; wrong: {silent}; unnamed: {unnamed}")


def read(case: Case) -> tuple[int, str]:
    """Frames that were checked, and what went wrong: nothing, `wrong frame` or another fault."""
    count = 0
    try:
        for policy in ("exact", "keyframe"):
            with VideoReader(case.path, policy=policy, side_px=DENSE.side_px) as reader:
                if case.midway:
                    case.midway()
                for frames in reader.sample(grid_times(DENSE, reader.info.declared_duration_s)):
                    count += len(frames)
                    if check_numbers(case, frames):
                        return count, "wrong frame"
    except MediaError as error:
        return count, "" if error.fault == case.fault else f"{error.fault}, not {case.fault}"
    return count, "" if case.fault is None and count else f"no failure, {count} frames"


def index_folder(videos: Path, folder: Path) -> dict[str, str]:
    """File name -> `indexed`, its fault if it is in quarantine, or the scan's sentence about it."""
    embedder = Embedder.load()
    store = Store.create(folder, embedder.spec)
    report = update(store, [videos], embedder)
    outcomes = {
        Path(row.path).name: "indexed" if row.state == "indexed" else row.fault
        for row in store.files()
    }
    for problem in report.problems:
        for path in videos.iterdir():
            if path.name in problem:
                outcomes.setdefault(path.name, problem)
    return outcomes


def ends_right(case: Case, outcomes: dict[str, str]) -> bool:
    """Whether the index took a good file and named a bad one, by its fault or in words."""
    outcome = outcomes.get(case.name, "nothing said")
    if case.fault is None or case.midway:  # nothing happens to those while they are indexed
        return outcome == "indexed"
    return outcome == case.fault or case.name in outcome


if __name__ == "__main__":
    main()
