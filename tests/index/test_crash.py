"""A short form of the crash recipe, with a small model; and that its comparison can fail."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recipes.crash import (
    Tables,
    count_differences,
    disturb,
    index_once,
    make_library,
    read_tables,
)
from tests.index.pixels import embedder

PROGRAM = """
import sys
from pathlib import Path
from recipes.crash import index_once
from tests.index.pixels import embedder
index_once(Path(sys.argv[1]), Path(sys.argv[2]), embedder())
"""


def test_runs_that_are_killed_lead_to_the_index_of_an_undisturbed_one(tmp_path, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])
    library = tmp_path / "videos"
    assert make_library(library, films=6) == 10

    def command(library, index):
        return [sys.executable, "-c", PROGRAM, str(library), str(index)]

    outcome = disturb(library, tmp_path, command, (2, 1), seed=1)
    assert (outcome.kills, outcome.kills_aimed) == (3, 1)
    assert (outcome.rows_lost, outcome.rows_differing, outcome.workers_left) == (0, 0, 0)
    assert outcome.rows_compared >= 10


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("crash")
    make_library(folder / "videos", films=3)
    index_once(folder / "videos", folder / "index", embedder())
    return read_tables(folder / "index")


def test_the_comparison_finds_no_fault_with_equal_tables_and_whole_videos(tables):
    assert count_differences(tables, tables) == 0
    assert count_differences(Tables({}, {}), tables) == 0
    assert len(tables.files) == 7


def altered(tables, clips=None, files=None):
    return Tables(tables.clips | (clips or {}), tables.files | (files or {}))


def test_the_comparison_counts_each_kind_of_difference(tables):
    key, (start_s, end_s, vector_D) = next(iter(tables.clips.items()))
    path, row = next(iter(tables.files.items()))
    without = Tables({k: v for k, v in tables.clips.items() if k != key}, tables.files)
    assert count_differences(without, tables) == 1
    assert count_differences(altered(tables, {"foreign:4s:0": (0, 4, vector_D)}), tables) == 1
    nudged = vector_D + np.float32(2e-5)
    assert count_differences(altered(tables, {key: (start_s, end_s, nudged)}), tables) == 1
    within = vector_D + np.float32(2e-6)
    assert count_differences(altered(tables, {key: (start_s, end_s, within)}), tables) == 0
    assert count_differences(altered(tables, {key: (start_s, end_s + 1, vector_D)}), tables) == 1
    assert count_differences(altered(tables, None, {path: replace(row, codec="x")}), tables) == 1
