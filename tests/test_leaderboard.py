"""The leaderboard: every number in it is computed again from the values by query."""

import re
from pathlib import Path

import pytest

from kinoscope.evaluation.metrics import mean_with_interval
from kinoscope.evaluation.saved import evaluations_in, read_evaluation
from recipes import evaluation_tables
from recipes.evaluation_tables import leaderboard
from tests.evaluation.report.made import other, save_moments, save_retrieval

_CELL = re.compile(r"(-?[\d.]+)(?: \((-?[\d.]+) to (-?[\d.]+)\))?")


def figures_in(board):
    """(benchmark, model, metric, cell) of all tables of figures."""
    for part in board.split("### ")[1:]:
        benchmark = part.split("\n")[0]
        for told in re.split(r"\n\n(?=[^|\n]+:\n\n\|)", part)[1:]:
            caption, block = told.split(":\n\n", 1)
            if "interval" not in caption:
                continue
            lines = [line.strip("| ").split(" | ") for line in block.strip().split("\n")]
            for model, *cells, _count in lines[2:]:
                for metric, cell in zip(lines[0][1:-1], cells, strict=True):
                    yield benchmark, model, metric, cell


def check(folder: Path) -> int:
    """Computes all again; returns how many cells were from values by query."""
    known = {
        (found.benchmark, Path(found.model).name): found
        for found in map(read_evaluation, evaluations_in(folder))
    }
    cells = 0
    for benchmark, model, metric, cell in figures_in(leaderboard(folder)):
        names = [m for b, m in known if b == benchmark and model.startswith(m)]
        assert names, f"{model} on {benchmark} is in no file"
        found = known[benchmark, max(names, key=len)]
        if metric not in found.metrics:
            assert cell == "-"
            continue
        low, value, high = found.metrics[metric].interval  # a median, or MTEB's own
        if metric in found.values:
            values = found.values[metric]
            low, value, high = mean_with_interval(values.values_Q, values.videos).interval
            cells += 1
        share = 1 if metric.endswith(("mnr", "mdr")) or abs(value) > 1 else 100
        expected = [f"{share * each:.1f}" for each in (value, low, high)]
        told = [each for each in _CELL.fullmatch(cell).groups() if each is not None]
        assert told == expected[: len(told)] and (len(told) == 3 or low == high), (metric, cell)
    return cells


def test_every_number_is_that_of_the_values_by_query(tmp_path):
    save_retrieval(tmp_path)
    save_retrieval(tmp_path, **other(), seed=2)
    save_moments(tmp_path, ("a", "b"))
    assert check(tmp_path) == 2 * 4 + len(read_evaluation(sorted(
        tmp_path.glob("mini*/charades-sta.json"))[0]).values)  # fmt: skip


def test_the_published_page_is_computed_from_what_is_saved():
    board = leaderboard()
    saved = evaluations_in(evaluation_tables.EVALUATIONS)
    assert saved or board.startswith("Not measured yet")
    assert bool(check(evaluation_tables.EVALUATIONS)) == bool(saved)


def test_nothing_measured_is_said_so(tmp_path):
    assert leaderboard(tmp_path / "absent").startswith("Not measured yet")


def test_a_damaged_file_stops_the_page(tmp_path):
    save_retrieval(tmp_path)
    path = save_retrieval(tmp_path, **other())
    path.write_text(path.read_text()[:-20])
    with pytest.raises(AssertionError, match="mend or remove"):
        leaderboard(tmp_path)
