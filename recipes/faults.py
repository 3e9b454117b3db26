"""The fault matrix: what may go wrong does, and nothing may be lost or wrong afterwards.

`python -m recipes.faults` breaks indexing, compaction, removal, upgrades, repair, training and
serving by kills, refusing disks, jumping clocks, restless files, rival writers, exhausted workers
and power cuts; after each it opens the index again and compares it with the one of an undisturbed
run.
It goes on where it was stopped (`runs/faults`), unless the code has changed since.
`python -m recipes.faults WORD...` tries only cells whose name has one of the words, saves nothing.
"""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from kinoscope.durable import write_atomically
from kinoscope.evaluation.results import Metric, current_commit, save_result
from recipes import fault_disks, fault_kills, fault_moments, fault_power, fault_serving
from recipes.fault_bench import Bench, Cell

FILMS, SEED = 12, 11
PLACE = Path("runs") / "faults"

MATRIX: dict[str, Callable[[Bench], Cell]] = {
    "kill while indexing": lambda bench: fault_kills.while_indexing(bench, (40, 20)),
    "kill while compacting": lambda bench: fault_kills.while_compacting(bench, 12),
    "kill while removing": lambda bench: fault_kills.while_removing(bench, 12),
    "kill while upgrading": lambda bench: fault_kills.while_upgrading(bench, 10),
    "kill while mending": lambda bench: fault_kills.while_mending(bench, 10),
    "kill while deriving": lambda bench: fault_kills.while_building_search_arrays(bench, 8),
    "kill while training": lambda bench: fault_kills.while_training(bench, 10),
    "kill while serving": lambda bench: fault_serving.while_serving(bench, 10),
    "disk full, file size": lambda bench: fault_disks.full_by_file_size(bench, 8),
    "disk full, small": lambda bench: fault_disks.full_small_disk(bench, 8),
    "disk full, others": lambda bench: fault_disks.full_by_others(bench, 6),
    "disk read-only": fault_disks.read_only,
    "permission lost": lambda bench: fault_disks.permission_lost(bench, 5),
    "clock jumps": fault_moments.clock_jumps,
    "files change": lambda bench: fault_moments.files_change(bench, 4),
    "two writers": lambda bench: fault_moments.two_writers(bench, 6),
    "worker out of memory": lambda bench: fault_moments.workers_out_of_memory(bench, 4),
    "power cut, simulated": lambda bench: fault_power.power_cuts(bench, 0.25),
    "power cut, device": lambda bench: fault_power.power_cuts_of_a_device(bench, 8),
}


def main() -> None:
    """Saves `results/faults.json` after the whole matrix; fails if anything was lost or wrong."""
    words = sys.argv[1:]
    chosen = [name for name in MATRIX if not words or any(word in name for word in words)]
    cells = [kept(name, tried) for name in chosen] if not words else list(map(tried, chosen))
    lost, wrong = sum(cell.rows_lost for cell in cells), sum(cell.wrong for cell in cells)
    if not words:
        details = {"films": FILMS, "seed": SEED, "cells": [asdict(cell) for cell in cells]}
        save_result("faults", metrics(cells), details=details)
        shutil.rmtree(PLACE)
    if lost or wrong:
        sys.exit(f"{lost} rows lost, {wrong} wrong")


def tried(name: str) -> Cell:
    """A cell in a folder of its own, printed when it is done."""
    start_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kinoscope-") as folder:
        cell = MATRIX[name](Bench(Path(folder), FILMS, SEED))
    cell.name = name
    spent_s = time.monotonic() - start_s
    outcome = f"{cell.cases:4} cases  {cell.rows_lost} lost  {cell.wrong} wrong"
    print(f"{name:<24} {outcome}  {spent_s:5.0f} s  {cell.skipped}", *cell.notes, flush=True)
    return cell


def kept(name: str, make: Callable[[str], Cell], place: Path = PLACE) -> Cell:
    """The cell that this very code has made before, else one that is made now, and kept."""
    path, commit = place / f"{name}.json", current_commit()
    if path.exists():
        said = json.loads(path.read_text())
        if said["commit"] == commit and not commit.endswith("+changes"):
            return Cell(**said["cell"])
    cell = make(name)
    place.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps({"commit": commit, "cell": asdict(cell)}))
    return cell


def metrics(cells: Sequence[Cell]) -> dict[str, Metric]:
    """Sums over the matrix; a row is a clip or a file at one comparison."""
    kills = sum(cell.cases for cell in cells if cell.name.startswith("kill"))
    cases = sum(cell.cases for cell in cells)
    rows = sum(cell.rows_compared for cell in cells)
    return {
        "cells": Metric(value=sum(not cell.skipped for cell in cells), n=len(cells)),
        "cases": Metric(value=cases, n=cases),
        "kills": Metric(value=kills, n=cases),
        "rows_compared": Metric(value=rows, n=cases),
        "rows_lost": Metric(value=sum(cell.rows_lost for cell in cells), n=rows),
        "wrong_after": Metric(value=sum(cell.wrong for cell in cells), n=rows),
        "repairs": Metric(value=sum(cell.repairs for cell in cells), n=cases),
    }


if __name__ == "__main__":
    main()
