"""Tables of nuance tuning: every figure beside its aim."""

import pytest

from kinoscope.evaluation.results import Metric, save_result
from recipes import nuance_tables

FIGURES = tuple(nuance_tables._FIGURES.values())


def figures(prefix: str = "", suffix: str = "", **values: float) -> dict[str, Metric]:
    """All of one model: 0.5 where nothing is said."""
    return {
        f"{prefix}{name}{suffix}": Metric(value=values.get(name, 0.5), n=10) for name in FIGURES
    }


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(nuance_tables, "RESULTS", tmp_path)
    return tmp_path


def row(text: str, label: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {label} |")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_rows_of_the_ablation_stand_in_their_order_and_the_last_is_judged(results) -> None:
    metrics = figures("base_", samples_r10=0.05) | figures("all_", samples_r10=0.41)
    details = {"all": {}, "base": {}}
    save_result("nuance_text_only", metrics, details=details, folder=results)
    text = nuance_tables.text_only_table()
    assert text.startswith("|  | untrained | all parts | target |")
    before, after, aim = row(text, "sample clips, R@10")
    assert before.startswith("5.0 %") and after.startswith("41.0 %")
    assert aim == "40.0 %, reached" and row(text, "modality gap")[0].startswith("0.500")


def test_the_tuned_model_is_judged_against_what_was_set_and_what_it_was(results) -> None:
    metrics = {
        **figures(suffix="_before", t2v_r1=0.52),
        **figures(order_accuracy=0.85, negation_neg_r5=0.47),
        **figures("united_", chiral_r1=0.93),
    }
    save_result("nuance_mini", metrics, details={"beside": ["united"]}, folder=results)
    text = nuance_tables.tuned_table()
    assert text.startswith("|  | before | after | united | target |")
    assert row(text, "order of events")[-1] == "85.0 %, reached"
    assert row(text, "chiral pairs, R@1")[2:] == [
        "93.0 % (93.0 to 93.0)",
        "92.0 %, not reached",
    ]
    assert row(text, "world, R@1")[-1] == "1.0 % less at most, not reached"
    negated = row(text, "the same, with what is not there, R@5")
    assert negated[-1] == "2.0 % below the line above at most, not reached"


def test_handwritten_sentences_have_a_row_a_nuance(results) -> None:
    metrics = {
        f"{nuance}_{what}": Metric(value=value, n=100)
        for nuance in ("time", "negation", "order")
        for what, value in {"before": 0.5, "after": 0.75, "p_value": 0.004}.items()
    }
    save_result("handwritten", metrics, folder=results)
    text = nuance_tables.handwritten_table()
    assert [cell[:6] for cell in row(text, "order")] == ["50.0 %", "75.0 %", "0.004"]
