"""Cells of the fault matrix about time and company: clocks, files that change, other processes."""

import os
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil

from kinoscope.index.rows import FileRow
from kinoscope.samples import write_video
from recipes.crash import READY, Kill, Tables, make_library, read_tables, run
from recipes.fault_bench import Bench, Cell, ended
from recipes.fault_deeds import deed

_YEARS = (1971, 2099)


def clock_jumps(bench: Bench) -> Cell:
    """The clock leaps ten years to and fro at each look; files are of the past and the future."""
    cell = Cell(name="clock jumps", tries_count=False)
    index = bench.work / "clock"
    code, said = ended(deed("index_while_the_clock_jumps", bench.library, index))
    cell.expect(code == 0, said)
    cell.compare(index, bench.truth, bench.truth)
    code, _ = ended(deed("index", bench.library, index))
    cell.compare(index, bench.truth, bench.truth)
    before = {path: path.stat() for path in bench.library.iterdir()}
    try:
        for year in _YEARS:
            moment_s = (year - 1970) * 365.25 * 86_400
            for path in before:
                os.utime(path, (moment_s, moment_s))
            code, said = ended(deed("index", bench.library, index))
            cell.expect(code == 0, said)
            rows = read_tables(index)
            truth = Tables(bench.truth.clips, _dated(bench.truth, bench.library))
            cell.compare(index, truth, truth)
            cell.expect(len(rows.clips) == len(bench.truth.clips), f"{year}: other clips")
            cell.cases += 1
    finally:
        for path, status in before.items():
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    ended(deed("index", bench.library, index))
    cell.compare(index, bench.truth, bench.truth)
    cell.cases += 2
    return cell


def _dated(truth: Tables, library: Path) -> dict[str, FileRow]:
    """The rows as they must be with the files' present times."""
    return {
        path: replace(row, mtime_ns=(library / Path(path).name).stat().st_mtime_ns)
        for path, row in truth.files.items()
    }


def files_change(bench: Bench, rounds: int) -> Cell:
    """Films are cut, extended, renamed and deleted while a run reads them; then all is put back."""
    cell, chance = (
        Cell(name="files change while they are read", tries_count=False),
        bench.chance("change"),
    )
    library = bench.work / "restless"
    make_library(library, films=bench.films)
    whole = bench.work / "restless-whole"
    run(deed("index", library, whole))
    truth = read_tables(whole)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in library.iterdir()}
    for number in range(rounds):
        index = bench.work / f"restless-{number}"
        command = deed("index", library, index)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()
            while process.poll() is None:
                _harm(chance.choice(sorted(before)), chance.randrange(4))
                time.sleep(0.02)
            said = process.stdout.read()
        cell.expect(process.returncode == 0, said)
        for path, (content, mtime_ns) in before.items():
            path.write_bytes(content)
            os.utime(path, ns=(mtime_ns, mtime_ns))
        for path in set(library.iterdir()) - set(before):
            path.unlink()
        for _ in range(2):  # what was bad by name and time alone is tried again
            code, said = ended(deed("index_in_little_memory", library, index))
            cell.expect(code == 0, said)
        cell.compare(index, truth, truth)
        cell.cases += 1
    return cell


def _harm(path: Path, kind: int) -> None:
    if not path.exists():
        return
    if kind == 0:
        path.unlink()
    elif kind == 1:
        path.rename(path.with_name(f"moved-{path.name}"))
    elif kind == 2:
        os.truncate(path, path.stat().st_size // 2)
    else:
        with path.open("ab") as stream:
            stream.write(bytes(1000))


def two_writers(bench: Bench, rounds: int) -> Cell:
    """Two runs at once: one is told who is at work, or comes after; a killed one locks nobody."""
    cell = Cell(name="two writers at once")
    for number in range(rounds):
        index = bench.work / f"writers-{number}"
        command = deed("index", bench.library, index)
        if number % 2:
            run(command, Kill(0.3, None))
        pair = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        told = [each.communicate()[0].removeprefix(READY).strip() for each in pair]
        codes = [each.returncode for each in pair]
        cell.expect(0 in codes, f"nobody wrote: {told}")
        for code, said in zip(codes, told, strict=True):
            locked = "another process is indexing" in said or "is an index already" in said
            cell.expect(code == 0 or (code == 4 and locked), f"{code}: {said}")
        ended(command)
        cell.compare(index, bench.truth, bench.truth)
        cell.cases += 1
    return cell


def workers_out_of_memory(bench: Bench, kills: int) -> Cell:
    """A picture that no worker has room for, and workers that the system kills for their memory."""
    cell = Cell(name="a decoding process runs out of memory", tries_count=False)
    library = bench.work / "large"
    make_library(library, films=3)
    whole = bench.work / "large-whole"
    run(deed("index", library, whole))
    truth, large = read_tables(whole), library / "large.mp4"
    write_video(large, (np.full((8640, 15360, 3), 40 * i, np.uint8) for i in range(2)), fps=1)
    index = bench.work / "large-index"
    code, said = ended(deed("index_in_little_memory", library, index))
    cell.expect(code == 0, said)
    row = read_tables(index).files.get(str(large))
    cell.expect(row is not None and row.fault in ("too_large", "crashed"), f"large: {row}")
    large.unlink()
    ended(deed("index", library, index))
    cell.compare(index, truth, truth)
    cell.cases += 1
    for number in range(kills):
        index = bench.work / f"oom-{number}"
        lost = _kill_workers(deed("index", bench.library, index), bench.seed + number)
        cell.expect(lost == 0, f"the run ended with {lost}")
        ended(deed("index_in_little_memory", bench.library, index))
        cell.compare(index, bench.truth, bench.truth)
        shutil.rmtree(index)
        cell.cases += 1
    return cell


def _kill_workers(command: list[str], seed: int) -> int:
    """Kills two decoding processes of a run, as the system does when memory is short."""
    chance = np.random.default_rng(seed)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        reader = threading.Thread(target=process.stdout.read, daemon=True)
        reader.start()
        for _ in range(2):
            time.sleep(float(chance.uniform(0.3, 0.8)))
            for child in psutil.Process(process.pid).children() if process.poll() is None else ():
                child.send_signal(signal.SIGKILL)
        return process.wait()
