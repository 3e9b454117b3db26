"""Prediction files: the official sample gives the official figures; nothing told counts as 0."""

import json

import numpy as np
import pytest

from kinoscope.errors import UsageError
from kinoscope.evaluation.tasks.moment_predictions import judge_predictions
from tests.evaluation.metrics.test_moments import DATA


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


QUERY = {"qid": 1, "query": "x", "vid": "a", "duration": 12, "relevant_windows": [[4, 8]],
         "relevant_clip_ids": [2, 3], "saliency_scores": [[4, 3, 2], [1, 1, 1]]}  # fmt: skip
TOLD = {"qid": 1, "vid": "a", "pred_relevant_windows": [[4, 8, 0.9]],
        "pred_saliency_scores": [0, 0, 0.9, 0.1, 0, 0]}  # fmt: skip


@pytest.fixture
def judge(tmp_path):
    def call(queries, predictions):
        (tmp_path / "queries.jsonl").write_text(queries)
        (tmp_path / "told.jsonl").write_text(predictions)
        return judge_predictions(tmp_path / "queries.jsonl", tmp_path / "told.jsonl")

    return call


def test_predictions_need_no_video(judge):
    found = judge(lines(QUERY), lines(TOLD))
    assert found.metrics["map"].value == found.metrics["r1_070"].value == 1.0
    assert found.metrics["hl_hit1_verygood"].value == 1.0
    assert not found.left_out and found.protocol["nothing_told"] == 0


def test_queries_of_which_nothing_is_told_count_as_zero(judge):
    found = judge(lines(QUERY, {**QUERY, "qid": 2}), lines(TOLD))
    assert found.metrics["r1_050"].value == found.metrics["map"].value == 0.5
    assert found.metrics["hl_map_fair"].value < 1 and found.protocol["nothing_told_of"] == ["a#2"]


def test_predictions_that_fit_no_query_are_counted(judge):
    odd = {**TOLD, "qid": 3, "pred_relevant_windows": [[4, 8]]}
    queries = lines(QUERY, {**QUERY, "qid": 3}, {**QUERY, "qid": 3})
    found = judge(queries, lines(TOLD, TOLD, {**TOLD, "qid": 9}, odd))
    assert found.left_out.rows == {
        "queries: duplicate": 1, "predictions: duplicate": 1, "predictions: id": 1,
        "predictions: type": 1,
    }  # fmt: skip
    with pytest.raises(UsageError, match=r"told.jsonl says nothing of these queries: 1 left out"):
        judge(lines(QUERY), lines({**TOLD, "vid": "b"}))
    with pytest.raises(UsageError, match="no text has a window to look for"):
        judge("", lines(TOLD))


@pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is not there: put the evaluator's files")
def test_the_official_sample_gives_the_official_figures():
    queries, told = DATA / "highlight_val_release.jsonl", DATA / "sample_val_preds.jsonl"
    found = judge_predictions(queries, told)
    official = json.loads((DATA / "sample_val_preds_metrics_raw.json").read_text())["brief"]
    names = {
        "r1_050": "MR-full-R1@0.5", "r1_070": "MR-full-R1@0.7", "map": "MR-full-mAP",
        "map_050": "MR-full-mAP@0.5", "map_075": "MR-full-mAP@0.75", "map_long": "MR-long-mAP",
        "map_middle": "MR-middle-mAP", "map_short": "MR-short-mAP",
        "hl_map_fair": "HL-min-Fair-mAP", "hl_map_good": "HL-min-Good-mAP",
        "hl_map_verygood": "HL-min-VeryGood-mAP",
    }  # fmt: skip
    for ours, theirs in names.items():
        assert float(f"{100 * np.mean(found.values[ours].values_Q):.2f}") == official[theirs], ours
    assert len(found.values["map"]) == 1550 and not found.left_out
