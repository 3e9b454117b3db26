"""A short form of the fault matrix; and that it notices when something is lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kinoscope.durable import Flusher
from kinoscope.index.store import Store
from recipes import fault_disks, fault_kills, fault_moments, fault_power, fault_serving, faults
from recipes.crash import Tables
from recipes.fault_bench import Bench, Cell
from recipes.faults import MATRIX, kept, metrics

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Bench:
    return Bench(tmp_path_factory.mktemp("faults"), films=3, seed=2)


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch) -> Iterator[None]:
    """Deeds are modules of the project."""
    monkeypatch.chdir(ROOT)
    yield


CELLS = {
    "compact": lambda bench: fault_kills.while_compacting(bench, 1),
    "remove": lambda bench: fault_kills.while_removing(bench, 1),
    "mend": lambda bench: fault_kills.while_mending(bench, 1),
    "serve": lambda bench: fault_serving.while_serving(bench, 1),
    "file size": lambda bench: fault_disks.full_by_file_size(bench, 1),
    "two writers": lambda bench: fault_moments.two_writers(bench, 1),
    "power": lambda bench: fault_power.power_cuts(bench, 0.05),
}


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_nothing_is_lost_and_nothing_is_wrong(cell, bench) -> None:
    found = cell(bench)
    if found.skipped:
        pytest.skip(found.skipped)
    assert (found.rows_lost, found.wrong) == (0, 0), found.notes
    assert found.cases >= 1
    assert found.rows_compared > 10


def test_the_simulated_power_cut_loses_what_is_not_flushed(tmp_path, monkeypatch) -> None:
    """Else it would prove nothing."""
    monkeypatch.setattr(Flusher, "flush", lambda self: [])
    found = fault_power.power_cuts(Bench(tmp_path, films=3, seed=2), 0.3)
    assert found.rows_lost > 0


def test_the_comparison_counts_what_is_lost_what_differs_and_what_cannot_be_opened(bench) -> None:
    index = bench.copy("spoilt")
    Store.open(index).remove([str(bench.library / "02.mp4")])
    lost = Cell(name="x", cases=1)
    lost.compare(index, bench.truth, bench.truth)
    assert (lost.rows_lost > 1, lost.wrong) == (True, 0)
    differing = Cell(name="x")
    differing.compare(bench.undisturbed, bench.truth, Tables(bench.truth.clips, {}))
    assert differing.wrong == len(bench.truth.files)
    for torn in (index / "files.lance" / "_versions").glob("*.manifest"):
        torn.write_bytes(b"")
    closed = Cell(name="x", cases=1)
    closed.compare(index, bench.truth, bench.truth)
    assert (closed.rows_lost, closed.wrong) == (len(bench.truth), 1)
    assert metrics([lost, closed])["rows_lost"].value == lost.rows_lost + closed.rows_lost


def test_the_matrix_has_each_kind_of_fault() -> None:
    faults = ("kill", "full", "read-only", "permission", "clock", "change", "writers", "memory")
    assert all(any(fault in name for name in MATRIX) for fault in (*faults, "power"))


def test_a_matrix_that_was_stopped_goes_on_with_the_same_code_only(tmp_path, monkeypatch) -> None:
    made = []

    def make(name: str) -> Cell:
        made.append(name)
        return Cell(name=name, cases=len(made), notes=["x"])

    monkeypatch.setattr(faults, "current_commit", lambda: "abc")
    first = kept("two writers", make, tmp_path)
    assert kept("two writers", make, tmp_path) == first
    monkeypatch.setattr(faults, "current_commit", lambda: "def")
    assert kept("two writers", make, tmp_path).cases == 2
    monkeypatch.setattr(faults, "current_commit", lambda: "def+changes")
    assert kept("two writers", make, tmp_path).cases == 3
    assert kept("two writers", make, tmp_path).cases == 4, "changed code may be any"
