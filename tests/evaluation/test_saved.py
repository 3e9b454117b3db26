"""Saved evaluations: read as written, never half, never of two runs, hostile files refused."""

import hashlib
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinoscope.errors import UsageError
from kinoscope.evaluation.metrics import PerQuery
from kinoscope.evaluation.query_values import read_values, write_values
from kinoscope.evaluation.results import Metric
from kinoscope.evaluation.saved import (
    Evaluation,
    Protocol,
    evaluations_in,
    read_evaluation,
    save_evaluation,
)
from kinoscope.evaluation.tasks.protocol import LeftOut
from kinoscope.types import EmbedderSpec

SPEC = EmbedderSpec(
    model="tiny", weights="0" * 64, prompts="1" * 64, sampling="exact 2fps", thinking="none",
    centring="none", dimension=3, head="last of layer 2",
)  # fmt: skip
PROTOCOL = Protocol(
    source="arXiv 2412.19178", split="test.json", split_hash="a" * 64, files={"captions": "b" * 64},
    gallery=2, queries=3, sampling="exact 2fps", frames=None, resolution="32 px", prompts="1" * 64,
    template="none", pooling="last of layer 2", thinking="none", dimension=3, limit=7,
    details={"chance": 0.5, "words": [1, 2, 3]},
)  # fmt: skip
VALUES = {
    "t2v_r1": PerQuery(
        queries=("a#0", "a#1", "b é"), videos=("a", "a", "b"), values_Q=np.array([1.0, 0.0, 1.0])
    ),
    "v2t_r1": PerQuery(queries=("b", "a"), videos=("b", "a"), values_Q=np.array([0.25, 0.0])),
}
FOUND = Evaluation(
    benchmark="rtime",
    model="runs/tiny",
    command="kinoscope eval --model runs/tiny",
    commit="abc1234",
    machine={"cores": 2},
    spec=SPEC,
    protocol=PROTOCOL,
    metrics={
        **{name: each.metric for name, each in VALUES.items()},
        "t2v_mdr": Metric(value=2.0, low=1.0, high=3.0, n=3),
    },
    left_out=LeftOut(rows={"video": 1}, examples=("line 2: x",), absent={"x": "not there"}),
    seconds={"texts": 1.5, "total": 2},
    vectors={"embedded": 5, "cached": 0},
    values=VALUES,
)


def saved(tmp_path, found=FOUND):
    return save_evaluation(found, tmp_path)


def test_what_is_read_is_what_was_saved(tmp_path):
    path = saved(tmp_path)
    assert path.relative_to(tmp_path).as_posix() == f"tiny-{SPEC.fingerprint[:8]}/rtime.json"
    assert evaluations_in(tmp_path) == [path]
    read = read_evaluation(path)
    for name in ("benchmark", "model", "command", "commit", "machine", "spec", "metrics"):
        assert getattr(read, name) == getattr(FOUND, name), name
    assert read.spec.model == SPEC.model
    assert (read.left_out, read.seconds, read.vectors) == (
        FOUND.left_out, FOUND.seconds, FOUND.vectors,
    )  # fmt: skip
    assert read.protocol == PROTOCOL
    for name, each in VALUES.items():
        mine = dict(zip(each.queries, zip(each.videos, each.values_Q, strict=True), strict=True))
        found = read.values[name]
        theirs = zip(found.videos, found.values_Q, strict=True)
        assert dict(zip(found.queries, theirs, strict=True)) == mine
    assert sorted(p.name for p in path.parent.iterdir()) == ["rtime.json", "rtime.parquet"]


def test_the_table_has_a_row_a_query_and_empty_places(tmp_path):
    table = pq.read_table(saved(tmp_path).with_suffix(".parquet"))
    assert table.column_names == ["query", "video", "t2v_r1", "v2t_r1"]
    assert table.column("query").to_pylist() == ["a#0", "a#1", "b é", "b", "a"]
    assert table.column("t2v_r1").to_pylist() == [1.0, 0.0, 1.0, None, None]


def test_a_variant_never_replaces_the_whole_run(tmp_path):
    saved(tmp_path)
    path = saved(tmp_path, replace(FOUND, variant=("validation", "limit-7", "dual-softmax")))
    assert path.name == "rtime.validation.limit-7.dual-softmax.json"
    assert len(evaluations_in(tmp_path)) == 2
    assert read_evaluation(path).variant == ("validation", "limit-7", "dual-softmax")


@pytest.mark.parametrize(
    ("benchmark", "model", "place"),
    [
        ("mteb:A b", "org/Model-7B", "Model-7B-{}/mteb-A-b.json"),
        ("..", "..", "unnamed-{}/unnamed.json"),
        ("x", "http://h:1/v1#n", "v1-n-{}/x.json"),
    ],
)
def test_names_are_safe_for_files(tmp_path, benchmark, model, place):
    path = saved(tmp_path, replace(FOUND, benchmark=benchmark, model=model))
    assert path == tmp_path / place.format(SPEC.fingerprint[:8])
    assert read_evaluation(path).benchmark == benchmark


def test_files_of_two_runs_do_not_go_together(tmp_path):
    path = saved(tmp_path)
    other = {"t2v_r1": replace(VALUES["t2v_r1"], values_Q=np.array([0.0, 1.0, 1.0]))}
    write_values(path.with_suffix(".parquet"), {**VALUES, **other})
    with pytest.raises(UsageError, match=r"rtime.parquet beside it is of another run or damaged"):
        read_evaluation(path)
    path.with_suffix(".parquet").unlink()
    with pytest.raises(UsageError, match=r"cannot read rtime.parquet beside it: No such file"):
        read_evaluation(path)


def changed(*keys, to):
    """A content of which one place is another."""

    def change(content):
        place = content
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = to
        return content

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: [c], "the file is of type list, no object"),
        (changed("schema", to=2), "has schema 2, this version reads 1"),
        (lambda c: {k: v for k, v in c.items() if k != "commit"}, r"fields \['commit'\] are"),
        (changed("more", to=1), r"fields \['more'\] are missing or foreign"),
        (changed("metrics", "t2v_r1", "value", to="1"), "value is '1', of another type"),
        (changed("metrics", "t2v_r1", "value", to=True), "value is 'True', of another type"),
        (changed("metrics", "t2v_r1", "value", to=10**400), "value is no finite number"),
        (changed("metrics", "t2v_r1", "n", to=0), "count the items"),
        (changed("metrics", "t2v_r1", "n", to=2), "t2v_r1 has 3 values and another metric"),
        (changed("metrics", "t2v_r1", "low", to=0.9), "need finite low <= value <= high"),
        (changed("metrics", "t2v_r1", to=[1]), "t2v_r1 is of type list, no object"),
        (changed("metrics", to={}), "t2v_r1 has 3 values and another metric|has no metrics"),
        (changed("spec", "dimension", to="3"), "not an embedder spec"),
        (changed("protocol", "split_hash", to="xyz"), "split hash 'xyz': give 64 hex"),
        (changed("protocol", "limit", to="all"), "limit is 'all', of another type"),
        (changed("protocol", "files", to={"captions": 1}), "files is '1', of another type"),
        (changed("left_out", "examples", to="line 1"), "examples is 'line 1', of another"),
        (changed("left_out", "rows", to={"a": 1.5}), "rows is '1.5', of another type"),
        (changed("per_query", "rows", to=4), "has 5 rows, not 4"),
        (changed("per_query", "metrics", to=["t2v_r1"]), "other columns than the metrics"),
        (changed("per_query", "metrics", to=3), "per_query does not name its file's hash"),
        (changed("variant", to=[1]), "variant is '1', of another type"),
        (changed("benchmark", to="a\nb"), "benchmark or metric 'a.nb'"),
    ],
)
def test_a_file_of_another_form_is_refused_in_one_sentence(tmp_path, change, words):
    path = saved(tmp_path)
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(UsageError, match=words) as error:
        read_evaluation(path)
    assert "\n" not in str(error.value) and str(path) in str(error.value)


@pytest.mark.parametrize("text", ["", "[" * 10**5, '{"schema": NaN}', '{"schema": 1', "\x00\xff"])
def test_what_is_no_json_is_refused(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="is no JSON"):
        read_evaluation(path)
    with pytest.raises(UsageError, match=r"cannot read .*No such file"):
        read_evaluation(tmp_path / "absent.json")


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"query": ["a"], "video": ["a"], "m": ["1"]}, "other types than text and numbers"),
        ({"query": [1], "video": ["a"], "m": [1.0]}, "other types than text and numbers"),
        ({"query": [None, "b"], "video": ["a", "b"], "m": [1.0, 1]}, "without a query"),
        ({"query": ["a", "a"], "video": ["a", "b"], "m": [1.0, 1]}, "the query 'a' comes twice"),
        ({"query": ["a"], "video": ["a"], "m": [math.nan]}, "NaN or infinite"),
        ({"query": ["a"], "video": ["a"], "m": pa.array([None], pa.float64())}, "0 queries"),
        ({"video": ["a"], "query": ["a"], "m": [1.0]}, "other columns"),
    ],
)  # fmt: skip
def test_a_table_of_another_form_is_refused(tmp_path, columns, words):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table(columns), path)
    told = write_values(tmp_path / "b.parquet", {"m": VALUES["t2v_r1"]})
    with pytest.raises(UsageError, match="of another run or damaged"):
        read_values(path, told)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(UsageError, match=words):
        read_values(path, {**told, "sha256": digest, "rows": len(columns["query"])})


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"\xff" * 500 + b"PAR1"])
def test_bytes_that_are_no_table_are_refused(tmp_path, content):
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    with pytest.raises(UsageError, match=r"a\.parquet beside it is no table of values"):
        read_values(path, {"sha256": digest, "rows": 1, "metrics": ["m"]})


def test_what_does_not_agree_is_not_saved(tmp_path):
    with pytest.raises(UsageError, match="the mean of the values of t2v_r1 is not its metric"):
        replace(FOUND, metrics={**FOUND.metrics, "t2v_r1": Metric(value=0.5, n=3)})
    with pytest.raises(UsageError, match="is not plain finite JSON"):
        saved(tmp_path, replace(FOUND, machine={"cores": math.nan}))
    assert evaluations_in(tmp_path) == []
    with pytest.raises(UsageError, match="a metric is called 'video'"):
        write_values(tmp_path / "a.parquet", {"video": VALUES["t2v_r1"]})


names = st.text(st.characters(codec="utf-8"), max_size=8)
rows = st.dictionaries(names, st.tuples(names, st.floats(-1e9, 1e9)), min_size=1, max_size=8)


@given(st.dictionaries(st.sampled_from(["a", "b_r1", "c d"]), rows, min_size=1))
def test_any_values_come_back_bit_for_bit(tmp_path_factory, tables):
    path = tmp_path_factory.mktemp("values") / "v.parquet"
    values = {
        name: PerQuery(
            queries=tuple(some),
            videos=tuple(video for video, _ in some.values()),
            values_Q=np.array([value for _, value in some.values()], np.float64),
        )
        for name, some in tables.items()
    }
    found = read_values(path, write_values(path, values))
    for name, some in tables.items():
        back = zip(found[name].videos, found[name].values_Q.tolist(), strict=True)
        assert dict(zip(found[name].queries, back, strict=True)) == some


def test_the_page_tells_the_fields_of_the_file(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text()
    told = set(re.findall(r"`(\w+)`", page))
    content = json.loads(saved(tmp_path).read_text())
    assert set(content) <= told and set(content["protocol"]) <= told
