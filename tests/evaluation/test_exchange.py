"""Lists in other tools' files: written, read back, and judged alike by trec_eval."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinoscope.errors import UsageError
from kinoscope.evaluation.exchange import export_run, plain
from kinoscope.evaluation.metrics import ranks, recall_at
from kinoscope.evaluation.query_lists import lists_beside, read_lists, write_lists
from kinoscope.evaluation.tasks.rankings import DEPTH, Rankings, first_of


def scores_and_lists(seed=0, queries=23, items=DEPTH + 31):
    random = np.random.default_rng(seed)
    scores_QN = np.stack([random.permutation(items) for _ in range(queries)]) / items - 0.3
    positives = [random.choice(items, random.integers(1, 4), replace=False) for _ in range(queries)]
    names = [f"q {n}" for n in range(queries)], [f"v%{n:03d}" for n in range(items)]
    return scores_QN, positives, first_of(scores_QN, positives, names=names)


def moments():
    return Rankings(
        queries=("a#0",), items=("a",), query_L=np.array([0, 0]), item_L=np.array([0, 0]),
        rank_L=np.array([1, 0]), score_L=np.array([0.5, 0.0]), right_L=np.array([False, True]),
        spans_L2=np.array([[0.0, 2.0], [1.0, 3.0]]), texts=("a door opens",),
    )  # fmt: skip


def beside(folder, **lists):
    """A stand-in for an evaluation, with lists."""
    (folder / "rtime.parquet").write_bytes(b"values")
    write_lists(folder / "rtime.json", lists)
    return folder / "rtime.json"


def test_lists_come_back_as_they_were(tmp_path):
    _, _, lists = scores_and_lists()
    path = beside(tmp_path, t2v=lists, moments=moments())
    found = read_lists(path)
    assert list(found) == ["t2v", "moments"]
    for name, expected in (("t2v", lists), ("moments", moments())):
        each = found[name]
        assert each.queries == expected.queries and each.texts == expected.texts
        assert [each.items[i] for i in each.item_L] == [expected.items[i] for i in expected.item_L]
        for column in ("query_L", "rank_L", "score_L", "right_L"):
            assert (getattr(each, column) == getattr(expected, column)).all()
    assert found["t2v"].spans_L2 is None
    assert (found["moments"].spans_L2 == moments().spans_L2).all()


def test_no_lists_leave_no_file_of_an_earlier_run(tmp_path):
    path = beside(tmp_path, moments=moments())
    assert write_lists(path, {}) is None and not lists_beside(path).exists()
    with pytest.raises(UsageError, match=r"rtime.json has no lists beside it, rtime-run.parquet"):
        read_lists(path)


def test_lists_of_another_run_or_form_are_refused(tmp_path):
    path = beside(tmp_path, moments=moments())
    table = pq.read_table(lists_beside(path))
    (tmp_path / "rtime.parquet").write_bytes(b"other values")
    with pytest.raises(UsageError, match="it is of another run"):
        read_lists(path)
    (tmp_path / "rtime.parquet").write_bytes(b"values")
    for change, words in (
        (table.drop_columns("rank"), "other columns"),
        (table.slice(0, 0), "it has 0 rows"),
        (table.append_column("rank", table.column("rank")), "other columns"),
        (table.set_column(3, "rank", pa.array([-1, 0])), "ranks begin at 1"),
        (table.set_column(3, "rank", pa.array([None, 0], pa.int64())), "a row without rank"),
        (table.set_column(4, "score", pa.array([float("nan"), 0.0])), "NaN or infinite"),
        (table.set_column(6, "start_s", pa.array([float("inf"), 0.0])), "NaN or infinite"),
    ):
        pq.write_table(change.replace_schema_metadata(table.schema.metadata), lists_beside(path))
        with pytest.raises(UsageError, match=words):
            read_lists(path)
    lists_beside(path).write_bytes(b"PAR1 and then nothing")
    with pytest.raises(UsageError, match="has no lists of this run"):
        read_lists(path)


def judgements(path):
    """Read as trec_eval or BEIR reads them."""
    found = {}
    for line in path.read_text().splitlines():
        if line != "query-id\tcorpus-id\tscore":
            query, *_, item, degree = line.split("\t") if "\t" in line else line.split(" ")
            found.setdefault(query, {})[item] = int(degree)
    return found


@pytest.mark.parametrize("form", ["trec", "beir"])
def test_trec_eval_finds_the_same_recall_in_exported_files(tmp_path, form):
    trec = pytest.importorskip("pytrec_eval")
    scores_QN, positives, lists = scores_and_lists()
    run, judged = export_run(beside(tmp_path, t2v=lists), form, tmp_path / "out", tag="my model")
    assert judged == tmp_path / "out" / ("qrels/t2v.tsv" if form == "beir" else "t2v.qrels")
    told = {}
    for line in run.read_text().splitlines():
        query, q0, item, rank, score, tag = line.split(" ")
        assert (q0, tag) == ("Q0", "my%20model")
        told.setdefault(query, {})[item] = float(score)
        assert len(told[query]) == int(rank) <= DEPTH
    names = {f"success_{k}" for k in (1, 5, 10)}
    measured = trec.RelevanceEvaluator(judgements(judged), names).evaluate(told)
    found = ranks(scores_QN, positives)
    for k in (1, 5, 10):
        expected = [measured[f"q%20{n}"][f"success_{k}"] for n in range(len(positives))]
        assert recall_at(k, found).tolist() == expected


def test_moments_are_no_documents(tmp_path):
    path = beside(tmp_path, moments=moments())
    with pytest.raises(UsageError, match="cannot say how far windows overlap"):
        export_run(path, "trec", tmp_path)


@given(st.text(max_size=6), st.text(max_size=6))
def test_names_are_one_word_and_stay_apart(first, second):
    assert re.fullmatch(r"\S+", plain(first))
    assert (plain(first) == plain(second)) == (first == second)


def test_files_of_hostile_lists_stay_in_their_folder(tmp_path):
    _, _, lists = scores_and_lists(queries=1)
    path = beside(tmp_path, **{"../../out": lists, "a/b": lists})
    files = export_run(path, "trec", tmp_path / "to")
    assert {file.parent for file in files} == {tmp_path / "to"} and len(set(files)) == 4
