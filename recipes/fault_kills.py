"""Cells of the fault matrix in which a process is killed at random, then set going again."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import lancedb

from kinoscope.index import manifest
from kinoscope.index.rows import CHECK
from kinoscope.index.store import Store
from recipes.crash import Kill, Tables, disturb, read_tables, run
from recipes.fault_bench import Bench, Cell
from recipes.fault_deeds import deed

Prepare = Callable[[Path], None]


def while_indexing(bench: Bench, kills: tuple[int, int]) -> Cell:
    """Kills at random moments and kills aimed at commits, see `recipes/crash.py`."""
    work = bench.work / "killed_index"
    work.mkdir()
    outcome = disturb(
        bench.library, work, lambda library, index: deed("index", library, index), kills, bench.seed
    )
    return Cell(
        name="kill while indexing",
        cases=outcome.kills,
        rows_compared=outcome.rows_compared,
        rows_lost=outcome.rows_lost,
        wrong=outcome.rows_differing + outcome.workers_left,
    )


def while_compacting(bench: Bench, kills: int) -> Cell:
    """Pieces are joined and superseded data is freed at once: nothing may change."""
    return _kill(bench, "compact", kills, _as_it_is)


def while_building_search_arrays(bench: Bench, kills: int) -> Cell:
    """The tables are only read."""
    return _kill(bench, "derive", kills, _as_it_is)


def while_upgrading(bench: Bench, kills: int) -> Cell:
    """From format 1."""
    return _kill(bench, "upgrade", kills, downgrade)


def while_mending(bench: Bench, kills: int) -> Cell:
    """A manifest is gone, and the newest version of a table is torn, which showed nothing new."""
    return _kill(bench, "mend", kills, tear)


def _kill(bench: Bench, name: str, kills: int, prepare: Prepare) -> Cell:
    """Kills a deed that must leave all rows as they are; at the end it runs in peace."""
    cell, chance = Cell(name=f"kill while {name}"), bench.chance(name)
    place = bench.copy(f"{name}-in-peace")
    prepare(place)
    whole_s = run(deed(name, place)).spent_s
    cell.compare(place, bench.truth, bench.truth)
    while cell.cases < kills:
        index = bench.copy(f"{name}-{cell.cases}")
        prepare(index)
        killed = run(deed(name, index), Kill(chance.uniform(0, whole_s), None))
        if killed.workers_left is not None:
            cell.cases += 1
            if name != "mend":
                cell.compare(index, bench.truth, bench.truth)
            run(deed(name, index))
        else:
            whole_s *= 0.9  # this machine was busier before
        cell.compare(index, bench.truth, bench.truth)
        shutil.rmtree(index)
    return cell


def _as_it_is(_index: Path) -> None:
    """Nothing to prepare."""


def downgrade(index: Path) -> None:
    """Makes an index what format 1 was: clips without checks, one manifest."""
    lancedb.connect(index).open_table("clips").drop_columns([CHECK])
    path = index / manifest.MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 1}))
    (index / manifest.COPY).unlink()


def tear(index: Path) -> None:
    """Does what a power cut in the middle of a commit does, and loses the manifest."""
    store = Store.open(index)
    with store.writing():
        store.compact()
    newest = min((index / "clips.lance" / "_versions").glob("*.manifest"))
    newest.write_bytes(newest.read_bytes()[:100])
    (index / manifest.MANIFEST).unlink()


def while_removing(bench: Bench, kills: int) -> Cell:
    """Paths go in order: those that are left must be the last ones, each whole."""
    cell, chance = Cell(name="kill while remove"), bench.chance("remove")
    in_peace = bench.copy("remove-in-peace")
    whole_s = run(deed("remove", in_peace)).spent_s
    cell.expect(not read_tables(in_peace), "something is left")
    while cell.cases < kills:
        index = bench.copy(f"remove-{cell.cases}")
        killed = run(deed("remove", index), Kill(chance.uniform(0, whole_s), None))
        if killed.workers_left is None:
            whole_s *= 0.9
            shutil.rmtree(index)
            continue
        cell.cases += 1
        left = len(read_tables(index).files)
        cell.compare(index, _last(bench.truth, left), bench.truth)
        run(deed("remove", index))
        cell.expect(not read_tables(index), "something is left")
        run(deed("index", bench.library, index))
        cell.compare(index, bench.truth, bench.truth)
        shutil.rmtree(index)
    return cell


def _last(truth: Tables, count: int) -> Tables:
    """The last so many paths, with the clips of their videos."""
    files = {path: truth.files[path] for path in sorted(truth.files)[len(truth.files) - count :]}
    videos = {row.video_id for row in files.values() if row.state == "indexed"}
    clips = {key: clip for key, clip in truth.clips.items() if key.partition(":")[0] in videos}
    return Tables(clips, files)


def while_training(bench: Bench, kills: int) -> Cell:
    """A row is a file of the last checkpoint, which must be the undisturbed run's, bit for bit."""
    cell, chance = Cell(name="kill while train"), bench.chance("train")
    whole = bench.work / "trained"
    whole_s = run(deed("train", whole)).spent_s
    round_ = 0
    while cell.cases < kills:
        folder = bench.work / f"train-{round_}"
        round_ += 1
        while run(deed("train", folder), Kill(chance.uniform(0, whole_s), None)).workers_left == 0:
            cell.cases += 1
            if cell.cases >= kills:
                run(deed("train", folder))
                break
        _compare_checkpoints(cell, folder, whole)
    return cell


def _compare_checkpoints(cell: Cell, folder: Path, whole: Path) -> None:
    last = max(whole.glob("step-*"))
    for path in sorted(last.glob("*.safetensors")):
        other = folder / last.name / path.name
        cell.rows_compared += 1
        if not other.exists():
            cell.rows_lost += 1
        else:
            cell.expect(other.read_bytes() == path.read_bytes(), f"{path.name} differs")
