"""Temporal localisation and highlights: by hand, by naive twins, by the official figures."""

import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinoscope.errors import UsageError
from kinoscope.evaluation.metrics.moments import (
    LENGTHS_S,
    THRESHOLDS,
    detection_precisions,
    first_ious,
    found_at,
    highlight_hits,
    highlight_precisions,
    of_length,
    window_ious,
)
from kinoscope.types import Span

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("KINOSCOPE_TEST_DATA", ROOT / "runs" / "data")) / "qvhighlights"
"""Annotations, sample predictions and the evaluator's own output, as its authors publish them.

Not shipped: the annotations are CC BY-NC-SA 4.0 (github.com/jayleicn/moment_detr).
"""


@pytest.fixture(scope="module")
def sample():
    """The validation set's 1 550 queries with the evaluator's sample predictions for them."""
    if not DATA.is_dir():
        pytest.skip(f"{DATA} is not there: put the evaluator's files, or set KINOSCOPE_TEST_DATA")
    lines = (DATA / "highlight_val_release.jsonl").read_text().splitlines()
    asked = [json.loads(line) for line in lines]
    lines = (DATA / "sample_val_preds.jsonl").read_text().splitlines()
    told = {row["qid"]: row for row in map(json.loads, lines)}
    assert len(asked) == len(told) == 1550
    return asked, [told[row["qid"]] for row in asked]


@pytest.fixture(scope="module")
def official(sample):
    return json.loads((DATA / "sample_val_preds_metrics_raw.json").read_text())


@pytest.fixture(scope="module")
def windows(sample):
    asked, told = sample
    predicted = [np.array(row["pred_relevant_windows"], np.float64) for row in told]
    return predicted, [np.array(row["relevant_windows"], np.float64) for row in asked]


@pytest.mark.parametrize("kind", ["full", *LENGTHS_S])
def test_moments_are_those_of_the_official_evaluator_to_the_printed_digits(windows, official, kind):
    predicted, truth = windows
    if kind != "full":
        truth = of_length(truth, *LENGTHS_S[kind])
        kept = [query for query, windows_G2 in enumerate(truth) if len(windows_G2)]
        predicted, truth = [predicted[q] for q in kept], [truth[q] for q in kept]
    precisions_K = detection_precisions(predicted, truth).mean(axis=0)
    ious_Q = first_ious(predicted, truth)
    told = {str(t): f"{100 * p:.2f}" for t, p in zip(THRESHOLDS, precisions_K, strict=True)}
    told["average"] = f"{100 * precisions_K.mean():.2f}"
    assert {k: float(v) for k, v in told.items()} == official[kind]["MR-mAP"]
    recalls = {str(t): float(f"{100 * found_at(t, ious_Q).mean():.2f}") for t in THRESHOLDS}
    assert recalls == official[kind]["MR-R1"]


@pytest.mark.parametrize(("name", "least"), [("Fair", 2), ("Good", 3), ("VeryGood", 4)])
def test_highlights_are_those_of_the_official_evaluator_to_the_printed_digits(
    sample, official, name, least
):
    asked, told = sample
    scores = [np.array(row["pred_saliency_scores"], np.float64) for row in told]
    chosen = []
    for row in asked:
        rated_CA = np.zeros((int(row["duration"] / 2), 3))
        rated_CA[row["relevant_clip_ids"]] = row["saliency_scores"]
        chosen.append((rated_CA >= least).astype(np.float64))
    expected = official[f"HL-min-{name}"]
    assert float(f"{100 * highlight_precisions(scores, chosen).mean():.2f}") == expected["HL-mAP"]
    first = highlight_hits(scores, chosen, tie="first").mean()
    assert float(f"{100 * first:.2f}") == expected["HL-Hit1"]
    # one of the queries has its highest score twice, and the second clip is wrong
    assert round(len(asked) * (first - highlight_hits(scores, chosen).mean())) == 1


def windows_of(*pairs):
    return np.array(pairs, np.float64).reshape(-1, 2)


def predicted_of(*rows):
    return np.array(rows, np.float64).reshape(-1, 3)


def test_overlap_is_that_of_spans():
    pairs = list(itertools.combinations([0.0, 2.0, 3.0, 7.5, 11.0], 2))
    found = window_ious(windows_of(*pairs), windows_of(*pairs))
    spans = [Span(*pair) for pair in pairs]
    assert found.tolist() == [[one.iou(other) for other in spans] for one in spans]


def test_a_window_of_exactly_the_threshold_is_found():
    ious_Q = first_ious([predicted_of([0, 7, 1])], [windows_of([0, 10])])
    assert ious_Q.tolist() == [0.7]
    assert found_at(0.7, ious_Q).tolist() == [1.0]
    assert found_at(0.75, ious_Q).tolist() == [0.0]
    # precision at exactly half is counted too
    half = detection_precisions([predicted_of([0, 5, 1])], [windows_of([0, 10])])
    assert half.tolist() == [[1.0] + [0.0] * 9]


def test_the_best_true_window_counts_and_the_first_predicted_one():
    truth = [windows_of([0, 4], [20, 30])]
    assert first_ious([predicted_of([20, 30, 0.1], [0, 4, 0.9])], truth).tolist() == [1.0]
    assert first_ious([predicted_of([40, 50, 0.9], [0, 4, 0.1])], truth).tolist() == [0.0]
    assert first_ious([predicted_of()], truth).tolist() == [0.0], "nothing found"


def test_precision_by_hand():
    truth = [windows_of([0, 10], [20, 30])]
    ranked = predicted_of([0, 10, 0.9], [50, 60, 0.8], [20, 30, 0.7])
    assert detection_precisions([ranked], truth)[0] == pytest.approx([(1 + 2 / 3) / 2] * 10)
    again = predicted_of([0, 10, 0.9], [0, 10, 0.8])  # a true window is claimed once
    assert detection_precisions([again], truth)[0] == pytest.approx([0.5] * 10)
    eleventh = predicted_of(*[[50, 60, 0.9]] * 10, [0, 10, 0.8])
    assert detection_precisions([eleventh], truth).sum() == 0.0
    assert detection_precisions([predicted_of()], truth).sum() == 0.0


def naive_precision(predicted, truth, least):
    """By the definition, window by window."""
    order = sorted(range(len(predicted)), key=lambda n: -predicted[n][2])
    free = set(range(len(truth)))
    hits = []
    for number in order:
        start, end, _ = predicted[number]
        overlaps = {g: Span(start, end).iou(Span(*truth[g])) for g in free}
        best = max(overlaps, key=lambda g: (overlaps[g], -g), default=None)
        hits.append(best is not None and overlaps[best] >= least)
        free -= {best} if hits[-1] else set()
    steps = [sum(hits[: n + 1]) / (n + 1) for n in range(len(hits))]
    return sum(max(steps[n:]) for n, hit in enumerate(hits) if hit) / len(truth)


spans = st.tuples(st.integers(0, 8), st.integers(1, 8)).map(lambda p: (p[0], p[0] + p[1]))


@given(
    st.lists(st.tuples(spans, st.sampled_from([0.1, 0.5, 0.9])), max_size=6),
    st.lists(spans, min_size=1, max_size=4),
)
def test_precision_is_that_of_a_naive_twin(ranked, truth):
    rows = [(*span, score) for span, score in ranked]
    found = detection_precisions([predicted_of(*rows)], [windows_of(*truth)])
    expected = [naive_precision(rows, truth, least) if rows else 0.0 for least in THRESHOLDS]
    assert found[0] == pytest.approx(expected)


def test_true_windows_are_kept_by_length():
    truth = [windows_of([0, 10], [0, 10.5], [0, 30]), windows_of([0, 40])]
    assert [len(w) for w in of_length(truth, *LENGTHS_S["short"])] == [1, 0]
    assert [len(w) for w in of_length(truth, *LENGTHS_S["middle"])] == [2, 0]
    assert [len(w) for w in of_length(truth, *LENGTHS_S["long"])] == [0, 1]


def test_highlights_by_hand():
    scores = [np.array([0.9, 0.1, 0.5, 0.5])]
    chosen = [np.array([[1, 0], [0, 0], [1, 0], [0, 0]], float)]
    # first annotator: 1 of 1, then 2 of the 3 that score at least 0.5; the second chose nothing
    assert highlight_precisions(scores, chosen) == pytest.approx([(1 + 2 / 3) / 2 / 2])
    assert highlight_hits(scores, chosen).tolist() == [1.0]
    tie = [np.array([0.9, 0.9, 0.5, 0.5])]
    assert highlight_hits(tie, chosen).tolist() == [0.0]
    assert highlight_hits(tie, chosen, tie="first").tolist() == [1.0]


def test_highlight_scores_of_another_length_are_cut_or_end_in_zero():
    chosen = [np.array([[0.0], [1.0]])]
    assert highlight_precisions([np.array([0.1, 0.9, 5.0])], chosen).tolist() == [1.0]
    assert highlight_precisions([np.array([-0.5])], chosen).tolist() == [1.0]
    assert highlight_hits([np.array([0.1, 0.9, 5.0])], chosen).tolist() == [0.0]


@pytest.mark.parametrize(
    ("predicted", "truth", "words"),
    [
        (predicted_of([1, 0, 1]), windows_of([0, 1]), "ends before it begins"),
        (predicted_of([0, np.nan, 1]), windows_of([0, 1]), "NaN or infinite"),
        (predicted_of([0, 1, 1]), windows_of(), "query 0 has no true window"),
        (windows_of([0, 1]), windows_of([0, 1]), "give start, end, score"),
    ],
)
def test_senseless_windows_are_refused(predicted, truth, words):
    with pytest.raises(UsageError, match=words):
        first_ious([predicted], [truth])
    with pytest.raises(UsageError, match=words):
        detection_precisions([predicted], [truth])
    with pytest.raises(UsageError, match="1 predictions of 2 queries"):
        first_ious([predicted], [truth, truth])
