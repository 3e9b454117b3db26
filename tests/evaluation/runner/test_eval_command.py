"""`kinoscope eval`: folders and files by role, exit codes, what is printed, what is saved."""

import json

import pytest

from kinoscope.embedder import Embedder
from kinoscope.evaluation.query_lists import read_lists
from kinoscope.evaluation.saved import evaluations_in, read_evaluation
from tests.evaluation.runner.made import FILES, benchmark, embedder, films


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """Benchmarks in folders of their own, three films each; a model that is quick to load."""
    monkeypatch.setenv("KINOSCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Embedder, "load", classmethod(lambda *_words, **_named: embedder()))
    for name in ("msr-vtt", "rtime"):
        benchmark(name, tmp_path / "data" / name, films(tmp_path / "data" / name, 3))
    return tmp_path / "data"


def test_several_benchmarks_are_measured_and_saved_with_the_command(run, shelf, tmp_path):
    names = ("--benchmark", "msr-vtt", "--benchmark", "rtime")
    words = ("--model", "made", *names, "--videos", shelf, "--to", tmp_path / "to", "--workers", 0)
    code, said, told = run("eval", *words)
    assert code == 0, told
    assert "msr-vtt  made\n  t2v_r1" in said and "n=3" in said
    first, second = (read_evaluation(path) for path in evaluations_in(tmp_path / "to"))
    assert (first.benchmark, second.benchmark) == ("msr-vtt", "rtime")
    assert first.command.startswith("kinoscope eval --model made --benchmark msr-vtt --benchmark ")
    assert set(first.values) <= set(first.metrics)
    assert second.vectors["cached"] == 6, "the films and texts of the one before"
    code, said, told = run("eval", *words, "--json")
    lines = [json.loads(line) for line in said.splitlines()]
    assert code == 0 and [line["vectors"]["embedded"] for line in lines] == [0, 0]
    assert lines[0]["metrics"]["t2v_r1"]["n"] == 3
    assert "0 embedded, 6 from the cache" in told


def test_what_was_ranked_lies_beside_the_figures_for_other_tools(run, shelf, tmp_path):
    words = ("--benchmark", "msr-vtt", "--videos", shelf / "msr-vtt", "--to", tmp_path / "to")
    assert run("eval", "--model", "made", *words, "--workers", 0)[0] == 0
    (path,) = evaluations_in(tmp_path / "to")
    lists, found = read_lists(path)["t2v"], read_evaluation(path).values["t2v_mnr"]
    ranks = lists.rank_L[lists.right_L].tolist()
    assert ranks == found.values_Q.tolist() and lists.queries == found.queries
    code, said, _ = run("export-run", path, "--to", tmp_path / "runs")
    assert code == 0 and said.split()[0] == str(tmp_path / "runs" / "t2v.run")
    code, _, told = run("report", tmp_path / "to", "--to", tmp_path / "report")
    assert code == 0 and "1 evaluations, 0 analyses, 0 files left out" in told


def test_each_benchmark_may_have_a_folder_and_files_elsewhere(run, shelf, tmp_path):
    folders = ("--videos", shelf / "rtime", "--videos", shelf / "msr-vtt")
    names = ("--benchmark", "rtime", "--benchmark", "msr-vtt")
    code, said, _ = run("eval", *names, *folders, "--to", tmp_path / "to", "--workers", 0)
    assert code == 0 and said.index("rtime") < said.index("msr-vtt")
    captions = (shelf / "rtime" / "test.json").rename(tmp_path / "other.json")
    words = ("--benchmark", "rtime", "--videos", shelf / "rtime", "--to", tmp_path / "to")
    code, _, told = run("eval", *words)
    assert code == 2 and "rtime needs" in told and "test.json (captions)" in told
    code, _, told = run("eval", *words, "--file", f"captions={captions}", "--workers", 0)
    assert code == 0, told


def test_missing_videos_end_with_their_own_code_and_a_saved_result(run, shelf, tmp_path):
    (shelf / "rtime" / "videos" / "v1.mp4").unlink()
    (shelf / "rtime" / "videos" / "v2.mp4").write_bytes(b"no film")
    words = ("--benchmark", "rtime", "--videos", shelf / "rtime", "--to", tmp_path / "to")
    code, said, told = run("eval", *words, "--workers", 0)
    assert code == 7 and "3 videos of rtime are missing or broken" in told
    assert "missing: v1: v1 is not in" in told and "broken: v2: " in told
    (path,) = evaluations_in(tmp_path / "to")
    found = read_evaluation(path)
    assert list(found.left_out.absent) == ["v1"] and list(found.left_out.failed) == [
        "v2",
        "v2-reverse",
    ]
    assert "binary_t2v" in said and found.metrics["binary_t2v"].n == 1
    code, _, told = run("eval", *words, "--workers", 0, "--allow-missing")
    assert code == 0 and "queries that could not be asked: 2" in told


def test_variants_of_a_run_are_saved_beside_it(run, shelf, tmp_path):
    words = ("--benchmark", "msr-vtt", "--videos", shelf / "msr-vtt", "--to", tmp_path / "to")
    assert run("eval", *words, "--workers", 0)[0] == 0
    assert run("eval", *words, "--workers", 0, "--limit", 2, "--dual-softmax")[0] == 0
    names = [path.name for path in evaluations_in(tmp_path / "to")]
    assert names == ["msr-vtt.json", "msr-vtt.limit-2.dual-softmax.json"]


def test_the_mean_of_frames_is_a_model_of_its_own_that_sees_no_order(run, shelf, tmp_path):
    words = ("--model", "made", "--benchmark", "rtime", "--videos", shelf / "rtime", "--to")
    assert run("eval", *words, tmp_path / "to", "--workers", 0)[0] == 0
    code, said, told = run("eval", *words, tmp_path / "to", "--workers", 0, "--mean-of-frames")
    assert code == 0 and "rtime  made, mean of frames\n" in said
    assert " 0 from the cache" in told, "vectors of another model"
    found = {one.model: one for one in map(read_evaluation, evaluations_in(tmp_path / "to"))}
    assert set(found) == {"made", "made, mean of frames"}
    blind = found["made, mean of frames"]
    assert blind.protocol.pooling == "mean of frames, each last"
    assert blind.command.endswith("--mean-of-frames")


def test_the_list_has_all_benchmarks_with_their_files(run):
    code, said, _ = run("eval", "--list")
    assert code == 0
    assert "rtime" in said and "captions=test.json, videos=videos  (arXiv 2412.19178)" in said
    assert "world-matching" in said and "mteb:TASK" in said
    lines = [json.loads(line) for line in run("eval", "--list", "--json")[1].splitlines()]
    told = {line["benchmark"]: line for line in lines}
    assert set(FILES) <= set(told) and told["msvd"]["files"]["ids"] == "test_list.txt"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "no benchmark: name one with --benchmark"),
        (("--benchmark", "x"), "benchmark 'x': choose msr-vtt, "),
        (("--benchmark", "rtime", "--benchmark", "rtime"), "name each benchmark once"),
        (("--benchmark", "rtime"), "rtime needs a folder with test.json (captions), videos"),
        (("--benchmark", "rtime", "--videos", "a", "--videos", "b"), "2 folders for 1 benchmarks"),
        (("--benchmark", "world-qa", "--videos", "a"), "1 folders for 0 benchmarks"),
        (("--benchmark", "rtime", "--videos", "a", "--file", "b"), "write ROLE=PATH"),
        (("--benchmark", "world-qa", "--file", "a=b"), "say it with one benchmark that reads"),
        (("--benchmark", "rtime", "--videos", "a", "--file", "x=y"), "rtime has no file 'x'"),
        (("--benchmark", "rtime", "--limit", "0"), "limit 0: give 1 video or more"),
        (("--benchmark", "rtime", "--workers", "-1", "--videos", "data/rtime"), "-1 workers"),
    ],
)
def test_wrong_words_are_told_in_one_sentence(run, shelf, monkeypatch, words, told):
    monkeypatch.chdir(shelf.parent)
    code, said, errors = run("eval", *words)
    assert code == 2 and not said
    assert told in errors and errors.count("\n") == 1
