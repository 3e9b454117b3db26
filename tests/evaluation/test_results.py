"""Saved results: their form, their checks, and that a file is whole or absent."""

import json
import math
import socket
import subprocess
from pathlib import Path

import numpy as np
import pytest

from kinoscope.errors import UsageError
from kinoscope.evaluation import results
from kinoscope.evaluation.results import (
    Metric,
    code_version,
    current_commit,
    load_result,
    save_result,
)

R5 = Metric(value=0.5, low=0.4, high=0.6, n=49)


def test_a_metric_without_an_interval_is_its_own_interval():
    assert Metric(value=3, n=1).interval == (3.0, 3.0, 3.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"value": math.nan, "n": 1},
        {"value": math.inf, "n": 1},
        {"value": 0.5, "low": math.nan, "n": 1},
        {"value": 0.5, "high": math.inf, "n": 1},
        {"value": 0.5, "low": 0.6, "n": 1},
        {"value": 0.5, "high": 0.4, "n": 1},
    ],
)
def test_a_metric_is_finite_and_inside_its_interval(wrong):
    with pytest.raises(UsageError, match="need finite low <= value <= high"):
        Metric(**wrong)


@pytest.mark.parametrize("n", [0, -1, 1.5, True, None])
def test_a_metric_counts_its_items(n):
    with pytest.raises(UsageError, match="count the items"):
        Metric(value=0.5, n=n)


def test_a_saved_file_has_exactly_the_agreed_form(tmp_path):
    path = save_result("startup", {"r5": R5, "help_s": Metric(value=1, n=2)}, folder=tmp_path)
    assert path == tmp_path / "startup.json"
    text = path.read_text()
    content = json.loads(text)
    assert list(content) == ["command", "commit", "machine", "metrics"]
    assert content["command"] == "python -m recipes.startup"
    assert content["metrics"] == {
        "help_s": {"value": 1.0, "low": 1.0, "high": 1.0, "n": 2},
        "r5": {"value": 0.5, "low": 0.4, "high": 0.6, "n": 49},
    }
    assert set(content["machine"]) == {"cpu", "cores", "memory_gib", "python", "platform"}
    assert text == json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def test_the_machine_is_described_without_its_name(tmp_path):
    text = save_result("startup", {"r5": R5}, folder=tmp_path).read_text()
    assert socket.gethostname() not in text


def test_saved_and_loaded_are_equal_also_with_numpy_numbers(tmp_path):
    made = {"r1": Metric(value=np.float32(0.25), low=np.float64(0.125), n=4), "r5": R5}
    save_result("x", made, details={"why": "größer"}, folder=tmp_path)
    found = load_result("x", folder=tmp_path)
    assert found.metrics == {"r1": Metric(value=0.25, low=0.125, high=0.25, n=4), "r5": R5}
    assert found.details == {"why": "größer"}
    assert found.commit == current_commit()


@pytest.mark.parametrize("name", ["", "../x", "a/b", "A", "x.json", "1x", "a" * 65, "x\n"])
def test_names_are_plain_words(tmp_path, name):
    with pytest.raises(UsageError, match="use lower case, digits and _"):
        save_result(name, {"r5": R5}, folder=tmp_path)
    with pytest.raises(UsageError, match="use lower case, digits and _"):
        save_result("x", {name: R5}, folder=tmp_path)
    with pytest.raises(UsageError, match="use lower case, digits and _"):
        load_result(name, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_result_without_metrics_is_none(tmp_path):
    with pytest.raises(UsageError, match="measure at least one"):
        save_result("x", {}, folder=tmp_path)


@pytest.mark.parametrize("value", [math.nan, object(), {1, 2}])
def test_details_that_json_cannot_hold_leave_the_old_file(tmp_path, value):
    save_result("x", {"r5": R5}, folder=tmp_path)
    before = (tmp_path / "x.json").read_bytes()
    with pytest.raises(UsageError, match="not plain finite JSON"):
        save_result("x", {"r5": R5}, details={"bad": value}, folder=tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]
    assert (tmp_path / "x.json").read_bytes() == before


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    save_result("x", {"r5": R5}, folder=tmp_path)
    before = (tmp_path / "x.json").read_bytes()

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(results.Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        save_result("x", {"r5": Metric(value=1, n=1)}, folder=tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]
    assert (tmp_path / "x.json").read_bytes() == before


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"metrics": {"r5": {"value": 1}}}'])
def test_a_file_of_another_form_is_not_a_result(tmp_path, content):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(UsageError, match=r"not a saved result: run python -m recipes\.x"):
        load_result("x", folder=tmp_path)


def test_an_absent_result_names_its_command(tmp_path):
    with pytest.raises(UsageError, match=r"run python -m recipes\.startup"):
        load_result("startup", folder=tmp_path)


def git(folder, *arguments):
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def test_the_commit_tells_changed_code_but_not_other_results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert current_commit() == "unknown"
    git(tmp_path, "init")
    (tmp_path / "code.py").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "one")
    clean = current_commit()
    assert len(clean) >= 7 and "+" not in clean

    save_result("x", {"r5": R5})
    assert current_commit() == clean, "a saved result is no change of code"
    (tmp_path / "code.py").write_text("2")
    assert current_commit() == f"{clean}+changes"


def test_the_code_is_named_by_its_own_checkout_or_its_version(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q"], check=True)
    assert current_commit() == "unknown", "a checkout of something else, without a commit"
    assert code_version() == current_commit(Path(results.__file__).parent) != "unknown"
    installed = tmp_path / "results.py"
    installed.write_text("")
    assert code_version(installed).startswith("kinoscope "), "not tracked: not our checkout"
