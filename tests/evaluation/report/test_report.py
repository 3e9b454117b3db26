"""Reports: figures as saved, differences told, names harmless, nothing averaged or passed over."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from kinoscope.errors import UsageError
from kinoscope.evaluation.metrics import compared, recall_at
from kinoscope.evaluation.report import write_report
from kinoscope.evaluation.report.blocks import shown
from kinoscope.evaluation.report.figures import cell
from kinoscope.evaluation.report.published import published
from kinoscope.evaluation.results import Metric
from kinoscope.evaluation.saved import read_evaluation, save_evaluation
from kinoscope.evaluation.tasks import BENCHMARKS
from kinoscope.evaluation.tasks.protocol import LeftOut
from tests.evaluation.report.made import (
    QUERIES,
    evaluation,
    other,
    protocol,
    retrieval_values,
    save_retrieval,
    scores,
)


def written(folder, **options):
    """Text and page of a report on what lies in a folder."""
    text, page, _ = write_report([folder], folder / "report", **options)
    return text.read_text(encoding="utf-8"), page.read_text(encoding="utf-8")


def rows_of(text, first):
    """Cells of the table under the caption that begins so, by the first cell."""
    block = text.split(f"\n{first}", 1)[1].split("\n\n")[1]
    lines = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in block.split("\n")]
    return {first: cells for first, *cells in lines}


class Seen(HTMLParser):
    """Which tags and attributes a browser would see."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]


def test_figures_stand_with_their_intervals_and_counts(tmp_path):
    path = save_retrieval(tmp_path)
    text, page = written(tmp_path)
    metrics = read_evaluation(path).metrics
    table = rows_of(text, "t2v: shares")
    assert table["model"] == ["t2v_r1", "t2v_r5", "t2v_mnr", "t2v_tied", "n"]
    low, value, high = (f"{100 * each:.1f}" for each in metrics["t2v_r1"].interval)
    assert table["mini"][0] == f"{value} ({low} to {high})" and table["mini"][-1] == str(QUERIES)
    assert table["mini"][2].split()[0] == f"{metrics['t2v_mnr'].value:.1f}", "a rank, no share"
    assert table["mini"][3] == "0.0"
    assert f"<td>{value} ({low} to {high})</td>" in page


def test_a_figure_and_its_interval_are_told_in_one_unit():
    assert cell("steps", Metric(value=0.9, low=0.5, high=1.2, n=3)) == "0.9 (0.5 to 1.2)"
    assert cell("t2v_mnr", Metric(value=1.0, low=1.0, high=2.0, n=3)) == "1.0 (1.0 to 2.0)"
    assert cell("accuracy", Metric(value=1.0, low=0.5, high=1.0, n=3)) == "100.0 (50.0 to 100.0)"
    assert cell("accuracy", Metric(value=0.25, n=4)) == "25.0" and cell("accuracy", None) == "-"


def test_ranks_of_any_size_are_no_fault(tmp_path):
    values = retrieval_values(scores(1, 2.0))
    ranks_Q = np.array([1e300, -5.0, *range(1, QUERIES - 1)])
    values["t2v_mnr"] = replace(values["t2v_mnr"], values_Q=ranks_Q)
    save_evaluation(evaluation("msr-vtt", values), tmp_path)
    text, _ = written(tmp_path)
    assert rows_of(text, "t2v: R@k")["mini"][0] == f"{100 * 2 / QUERIES:.1f}"


def test_the_page_needs_nothing_else(tmp_path):
    save_retrieval(tmp_path)
    save_retrieval(tmp_path, **other(), seed=2)
    _, page = written(tmp_path)
    seen = Seen(page)
    assert not {"script", "link", "iframe", "object", "form", "base"} & set(seen.tags)
    for tag, name, value in seen.attributes:
        assert not name.startswith("on"), f"{tag} {name}"
        if name in ("src", "href", "data", "action"):
            assert value.startswith(("#", "data:image/jpeg;base64,")), value
    assert "url(" not in page and "@import" not in page
    heads = [(n, v) for tag, n, v in seen.attributes if tag == "th" and n == "scope"]
    assert seen.tags.count("th") == len(heads) and {v for _, v in heads} == {"col", "row"}
    assert page.count("</figcaption><div") == seen.tags.count("table"), "each has a caption"
    assert ("meta", "name", "viewport") in seen.attributes
    assert "prefers-color-scheme: dark" in page


@pytest.mark.parametrize(
    "name",
    ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a | b\n# c [d](http://e)",
     "</style></title>\u202egnp", "\ud800", "x" * 5000],
)  # fmt: skip
def test_hostile_names_are_words_and_nothing_else(tmp_path, name):
    safe = name.encode("utf-8", "replace").decode()
    save_retrieval(
        tmp_path, **other(safe.replace("/", "\u2215")),
        protocol=protocol(details={safe: safe}, source=safe), command=safe,
        left_out=LeftOut(rows={safe: 1}),
    )  # fmt: skip
    save_retrieval(tmp_path, "mini")
    text, page = written(tmp_path)
    seen = Seen(page)
    assert {"script", "img"}.isdisjoint(seen.tags)
    assert seen.tags.count("style") == seen.tags.count("title") - 1 == 1, "one title is a drawing's"
    for line in text.split("\n"):
        assert not line.startswith("#") or re.match(
            r"#{1,2} (Evaluation|What was read|msr-vtt)$", line
        )
    assert "<" not in text and not re.search(r"(?<!\\)\]\(", text) and "\u202e" not in text + page
    table = rows_of(text, "Asked differently")
    assert all(len(cells) == 2 for cells in table.values()), "no cell more than there are columns"


def test_what_was_asked_differently_is_told_with_both_values(tmp_path):
    save_retrieval(tmp_path)
    changed = protocol(limit=7, dual_softmax="yes", frames=16, details={"gallery": "small"})
    save_retrieval(tmp_path, **other(protocol=changed, left_out=LeftOut(failed={"v": "cut"})))
    text, page = written(tmp_path)
    asked = rows_of(text, "Asked differently")
    assert asked["field"] == ["mini", "other"]
    assert asked["limit"] == ["none", "7"] and asked["dual_softmax"] == ["no", "yes"]
    assert "left out" in asked
    assert rows_of(text, "Told differently")["gallery"] == ["-", "small"]
    assert "split_hash" not in asked and "frames" not in asked
    read = rows_of(text, "Read differently")
    assert read["frames"] == ["8", "16"] and read["spec.weights"] == ["0" * 16, "2" * 16]
    tested = rows_of(text, "Difference from mini")
    assert "limit" in tested["other"][-1], "a test between them says so too"
    assert "Asked differently" in page
    assert rows_of(text, "Where these")["other"][4] == "1 failed videos"


def test_nothing_is_said_to_differ_where_nothing_does(tmp_path):
    save_retrieval(tmp_path)
    save_retrieval(tmp_path, model="mini", **{"variant": ()}, spec=read_spec(tmp_path, dimension=4))
    text, _ = written(tmp_path)
    assert "Asked differently" not in text and "Read differently" in text


def read_spec(folder, **changes):
    """The spec that was saved, but for some fields."""
    return replace(read_evaluation(next(folder.glob("*/*.json"))).spec, **changes)


def test_runs_of_one_model_are_rows_of_their_own(tmp_path):
    save_retrieval(tmp_path)
    save_retrieval(tmp_path, spec=read_spec(tmp_path, sampling="exact 1fps"), seed=3)
    save_retrieval(tmp_path / "again")
    text, _ = written(tmp_path)
    labels = [name for name in rows_of(text, "t2v: shares") if name.startswith("mini (")]
    assert len(labels) == 3 and len({name.split(")")[0] for name in labels}) == 2
    assert sum(name.endswith(") 2") for name in labels) == 1


def test_the_difference_is_that_of_the_paired_test(tmp_path):
    base = read_evaluation(save_retrieval(tmp_path, seed=1, skill=0.5))
    better = read_evaluation(save_retrieval(tmp_path, **other(), seed=1, skill=6.0))
    text, _ = written(tmp_path)
    found = compared(better.values["t2v_r1"], base.values["t2v_r1"])
    low, value, high = (f"{100 * each:.1f}" for each in found.mean.interval)
    block = text.split("Difference from mini")[1]
    line = next(line for line in block.split("\n") if "t2v_r1" in line)
    assert line == f"| other | t2v_r1 | {value} ({low} to {high}) | {found.p_value:.4f} | - |"
    assert found.p_value < 0.01 and found.mean.value > 0
    assert "2 tests" in text, "ties and ranks are not tested"
    reverse, _ = written(tmp_path, against="other")
    assert f"| mini | t2v_r1 | -{value} (" in reverse


def test_a_model_beside_itself_does_not_differ(tmp_path):
    save_retrieval(tmp_path)
    save_retrieval(tmp_path, **other())
    text, _ = written(tmp_path)
    assert "| other | t2v_r1 | 0.0 | 1.0000 | - |" in text


def test_unlike_queries_are_refused_and_said_so(tmp_path):
    save_retrieval(tmp_path)
    save_retrieval(tmp_path, **other(), first=1)
    text, page = written(tmp_path)
    assert "Difference from" not in text
    refused = "other is not compared in t2v_r1, t2v_r5: 1 queries are of the first result alone"
    assert refused in text and refused in page
    absent, _ = written(tmp_path, against="nobody")
    assert "No row here is called nobody" in absent


def test_files_that_cannot_be_read_are_named_and_counted(tmp_path):
    path = save_retrieval(tmp_path)
    content = json.loads(path.read_text())
    (tmp_path / "newer.json").write_text(json.dumps({**content, "schema": 99}))
    (tmp_path / "cut.json").write_text(path.read_text()[:100])
    text, page = written(tmp_path)
    assert "Saved evaluations: 1, benchmarks: 1" in text and "Files left out: 2." in text
    for told in (text, page):
        assert "has schema 99, this version reads" in told and "cut.json is no JSON" in told
    path.unlink()
    with pytest.raises(UsageError, match=r"no saved evaluation in .*cut\.json is no JSON"):
        written(tmp_path)
    with pytest.raises(UsageError, match=r"absent is not there"):
        write_report([tmp_path / "absent"], tmp_path / "report")


def test_a_file_that_is_named_twice_is_one_row(tmp_path):
    path = save_retrieval(tmp_path)
    _, _, found = write_report([tmp_path, path, path.parent], tmp_path / "report")
    assert [len(rows) for rows in found.benchmarks.values()] == [1]


def test_curves_are_recall_at_every_cutoff(tmp_path):
    found = read_evaluation(save_retrieval(tmp_path, skill=1.0))
    text, page = written(tmp_path)
    places = found.values["t2v_mnr"].values_Q
    table = rows_of(text, "t2v: R@k")
    for head, told in zip(table["model"], table["mini"], strict=True):
        k = int(head.removeprefix("k = "))
        assert told == f"{100 * np.mean(places <= k):.1f}"
    first = 100 * recall_at(1, places.astype(np.int64)).mean()
    assert table["mini"][0] == f"{first:.1f}"
    points = re.findall(r'points="([^"]+)"', page)
    assert len(points) == 1
    heights = [float(point.split(",")[1]) for point in points[0].split()]
    assert heights == sorted(heights, reverse=True), "recall grows with k; y points down"


def test_figures_of_others_stand_apart_with_their_source(tmp_path):
    save_retrieval(tmp_path)
    text, _ = written(tmp_path)
    theirs = rows_of(text, "Published by others")
    assert theirs["CLIP4Clip"][1:3] == ["32.0", "zero-shot"]
    assert "CLIP4Clip" not in rows_of(text, "t2v: shares")
    assert "mini" not in theirs


def test_published_figures_name_benchmarks_papers_and_percents():
    keys = [(each.benchmark, each.figure, each.model) for each in published()]
    assert len(keys) == len(set(keys)) > 50
    for each in published():
        assert each.benchmark in BENCHMARKS and each.paper and 0 < each.percent < 100
        assert re.fullmatch(r"arXiv \d{4}\.\d{5}( v\d)?|[^\d].*", each.paper)
        assert shown(each.note) == each.note
