"""Vectors in mapped files: written in any order, read whole, and let go of."""

import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from kinoscope.index import mapped
from kinoscope.index.mapped import blocks, let_go, pieces, write_vectors
from recipes import fault_disks
from tests.made_index import random_units

SMAPS = Path("/proc/self/smaps")


@pytest.fixture
def table(tmp_path):
    """5000 vectors that count as a large file, and where they came from."""
    want = random_units(5000, 64)
    np.save(tmp_path / "v.npy", want)
    return want, np.load(tmp_path / "v.npy", mmap_mode="r")


def resident_kib(path: Path) -> int:
    """What of a mapped file is in this process now."""
    maps = SMAPS.read_text()
    found = re.search(rf"{re.escape(str(path))}\n(?:.*\n)*?Rss:\s+(\d+) kB", maps)
    return int(found[1]) if found else 0


@pytest.mark.parametrize("rows", [0, 1, 7, 100])
def test_rows_that_come_in_any_order_lie_where_they_belong(tmp_path, rows) -> None:
    want = random_units(rows, 8) if rows else np.empty((0, 8), np.float32)
    order = np.random.default_rng(0).permutation(rows)
    batches = [order[first : first + 9] for first in range(0, rows, 9)]
    path = tmp_path / "v.npy"
    write_vectors(path, want.shape, ((batch, want[batch]) for batch in batches))
    assert np.array_equal(np.load(path), want)


FULL = """
import numpy as np, sys
from pathlib import Path
from kinoscope.index.mapped import write_vectors
rows = np.arange(4096)
try:
    write_vectors(Path(sys.argv[1]), (4096, 64), [(rows, np.ones((4096, 64), np.float32))])
except OSError as error:
    print(error.strerror)
"""


def test_a_full_disk_is_an_error_and_not_the_end_of_the_process(tmp_path) -> None:
    """Of a mapped file whose pages find no room the system ends the process: SIGBUS."""
    try:
        with contextmanager(fault_disks._tmpfs)(tmp_path / "small", 2**18):
            command = [sys.executable, "-c", FULL, str(tmp_path / "small" / "v.npy")]
            done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    except fault_disks.MayNotMount as error:
        pytest.skip(str(error))
    assert (done.returncode, done.stdout) == (0, "No space left on device\n"), done.stderr


@pytest.mark.parametrize("size", [1, 999, 5000, 9000])
def test_blocks_and_pieces_are_all_rows_in_order(table, monkeypatch, size) -> None:
    want, vectors = table
    monkeypatch.setattr(mapped, "LARGE_BYTES", 0)
    monkeypatch.setattr(mapped, "_PIECE", size)
    assert np.array_equal(np.concatenate(list(blocks(vectors, size))), want)
    rows = np.random.default_rng(1).permutation(5000)[:2500]
    assert np.array_equal(np.concatenate(list(pieces(vectors, rows))), want[rows])


def test_what_was_let_go_is_there_when_it_is_asked_for(table, monkeypatch) -> None:
    monkeypatch.setattr(mapped, "LARGE_BYTES", 0)
    want, vectors = table
    view = vectors[10:20]
    let_go(view)
    let_go(want)  # in memory: nothing happens
    assert np.array_equal(view, want[10:20])
    assert np.array_equal(vectors, want)


@pytest.mark.skipif(not SMAPS.exists(), reason="Linux tells what is resident")
def test_a_large_file_that_was_read_whole_does_not_stay_in_memory(tmp_path, monkeypatch) -> None:
    path = tmp_path / "v.npy"
    np.save(path, random_units(20_000, 64))  # 5 MB
    vectors = np.load(path, mmap_mode="r")
    assert float(vectors.sum()) != 0
    assert resident_kib(path) > 4000
    let_go(vectors)
    assert resident_kib(path) > 4000, "a small file may stay"
    monkeypatch.setattr(mapped, "LARGE_BYTES", 0)
    for _ in range(2):
        assert sum(float(block.sum()) for block in blocks(vectors, 1000)) != 0
        assert resident_kib(path) == 0
    assert len(list(pieces(vectors, np.arange(20_000)))) > 1
    assert resident_kib(path) == 0
