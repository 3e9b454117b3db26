"""The comparison behind `results/ray_index.json` can fail, and its table says what was counted."""

import numpy as np
import pytest

from kinoscope.evaluation.results import Metric, save_result
from recipes import scale_tables
from recipes.crash import Tables
from recipes.ray_index import identical, indexed_in
from tests.made_index import failed, row

VECTOR_D = np.array([0.6, 0.8], np.float32)
TRUTH = Tables({"a:whole:0": (0.0, 4.0, VECTOR_D)}, {"/a": row("/a", "a"), "/x": failed("/x")})


@pytest.mark.parametrize(
    "clip", [(0.0, 4.0, np.nextafter(VECTOR_D, 1)), (0.0, 4.5, VECTOR_D), (0.5, 4.0, VECTOR_D)]
)
def test_one_bit_is_a_difference(clip) -> None:
    assert identical(TRUTH, TRUTH) == 1
    assert identical(Tables({"a:whole:0": clip}, {}), TRUTH) == 0
    assert identical(Tables({}, {}), TRUTH) == 0


def test_files_in_quarantine_are_not_indexed() -> None:
    assert indexed_in(TRUTH) == {"a"}


def test_the_table_says_of_how_many(tmp_path, monkeypatch) -> None:
    names = [name for _, name in scale_tables._ROWS]
    metrics = {name: Metric(value=number, n=9) for number, name in enumerate(names)}
    save_result(scale_tables.NAME, metrics, folder=tmp_path)
    monkeypatch.setattr(scale_tables, "RESULTS", tmp_path)
    page = scale_tables.ray_table()
    assert "| rows equal to those of one machine, undisturbed | 0 | 9 |" in page
    assert page.endswith("By `python -m recipes.ray_index`.\n")
