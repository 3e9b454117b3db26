"""The commands as a person meets them: output, exit codes, one clear sentence for each mistake."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kinoscope.cli import console
from kinoscope.index.handle import Index
from kinoscope.index.store import Store


@pytest.fixture(scope="module")
def ready(tmp_path_factory, video_folder) -> Path:
    """An index of the video folder; tests must not change it."""
    folder = tmp_path_factory.mktemp("cli") / "index"
    words = ["index", str(video_folder), "--index", str(folder)]
    done = subprocess.run(
        [sys.executable, "-m", "kinoscope", *words], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder


def snapshot(folder: Path) -> object:
    store = Store.open(folder)
    return store.versions(), store.files(), sorted(store.clips().clip_ids)


def test_index_then_search_finds_moments_with_times(run, ready) -> None:
    code, out, _ = run("search", "a bright pattern", "-k", "3", "--index", ready)
    assert code == 0
    lines = out.splitlines()
    assert len(lines) == 3
    assert [int(line.split()[0]) for line in lines] == [1, 2, 3]
    assert all(".mp4" in line and "-0:0" in line for line in lines)


def test_json_gives_one_object_a_line_and_nothing_else(run, ready) -> None:
    code, out, _ = run("search", "a pattern", "--json", "--index", ready)
    assert code == 0
    hits = [json.loads(line) for line in out.splitlines()]
    assert hits
    assert {"query", "rank", "path", "start_s", "end_s", "score", "cosine", "copies"} == set(
        hits[0]
    )
    assert [hit["rank"] for hit in hits] == list(range(1, len(hits) + 1))
    scores = [hit["score"] for hit in hits]
    assert scores == sorted(scores, reverse=True)


def test_hits_of_one_video_do_not_overlap(run, ready) -> None:
    _, out, _ = run("search", "a pattern", "-k", "50", "--json", "--index", ready)
    seen: dict[str, list[tuple[float, float]]] = {}
    for hit in map(json.loads, out.splitlines()):
        for start, end in seen.setdefault(hit["path"], []):
            assert hit["end_s"] <= start or end <= hit["start_s"]
        seen[hit["path"]].append((hit["start_s"], hit["end_s"]))


def test_a_long_text_is_cut_with_one_plain_sentence(ready) -> None:
    words = ["search", "a dog " * 300, "-k", "1", "--index", str(ready)]
    done = subprocess.run(
        [sys.executable, "-m", "kinoscope", *words], capture_output=True, text=True
    )
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 1)
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith("kinoscope: 1 of 1 texts are cut to their first 256 tokens")


def test_queries_come_from_stdin_one_a_line(run, ready, monkeypatch) -> None:
    import io

    monkeypatch.setattr(sys, "stdin", io.StringIO("a dog\n\n  a boat \n"))
    _, out, _ = run("search", "-", "-k", "1", "--json", "--index", ready)
    assert [json.loads(line)["query"] for line in out.splitlines()] == ["a dog", "a boat"]


def test_an_unreachable_threshold_says_that_nothing_matches(run, ready) -> None:
    code, out, err = run("search", "a dog", "--threshold", "5", "--index", ready)
    assert (code, out) == (0, "")
    assert "nothing matches 'a dog'" in err


def test_an_index_without_videos_says_that_nothing_matches(run, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    assert run("index", tmp_path / "empty", "--index", tmp_path / "i")[0] == 0
    code, out, err = run("search", "a dog", "--index", tmp_path / "i")
    assert (code, out) == (0, "")
    assert "nothing matches" in err


def test_filters_narrow_the_answer(run, ready, video_folder) -> None:
    everything = run("search", "x", "-k", 50, "--videos", "--json", "--index", ready)[
        1
    ].splitlines()
    assert len(everything) == 3
    long = run(
        "search", "x", "-k", 50, "--videos", "--min-duration", 5, "--json", "--index", ready
    )[1]
    assert [Path(json.loads(line)["path"]).name for line in long.splitlines()] == ["long.mp4"]
    inner = video_folder / "inner"
    below = run("search", "x", "-k", 50, "--folder", inner, "--json", "--index", ready)[1]
    assert {Path(json.loads(line)["path"]).parent for line in below.splitlines()} == {inner}
    _, none, _ = run("search", "x", "--since", "2999-01-01", "--json", "--index", ready)
    assert none == ""
    recent = run("search", "x", "--since", "2d", "--videos", "--json", "--index", ready)[1]
    assert len(recent.splitlines()) == 3


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["search", ""], 2, "empty"),
        (["search", "   "], 2, "empty"),
        (["search", "a" * 100_000], 2, "100000 bytes"),
        (["search", "a dog", "--threshold", "nan"], 2, "threshold nan"),
        (["search", "a dog", "--threshold", "inf"], 2, "threshold inf"),
        (["search", "a dog", "-k", "0"], 2, "k 0"),
        (["search", "a dog", "-k", "-3"], 2, "k -3"),
        (["search", "a dog", "--since", "yesterday"], 2, "--since 'yesterday'"),
        (["search", "a dog", "--since", "nand"], 2, "--since 'nand'"),
        (["search", "a dog", "--since", "-7d"], 2, "--since '-7d'"),
        (["search", "a dog", "--folder", "x" * 5000], 2, "too long"),
        (["index", "x" * 5000], 2, "too long"),
        (["index", "~nosuchuser/x"], 2, "~nosuchuser"),
        (["search", "a dog", "--min-duration", "nan"], 2, "min_duration_s nan"),
        (["search", "a dog", "--folder", "does/not/exist"], 2, "does/not/exist"),
        (["remove", "does/not/exist.mp4"], 2, "not in the index"),
        (["index", "does/not/exist"], 2, "no such file or folder"),
        (["index", "--policy", "sometimes"], 2, "policy 'sometimes'"),
        (["index", "--policy", "keyframe"], 5, "keyframe"),
    ],
)
def test_a_mistake_gets_one_sentence_and_leaves_the_index(
    run, ready, words, code, sentence
) -> None:
    before = snapshot(ready)
    found, out, err = run(*words, "--index", ready)
    assert found == code, err
    assert sentence in err
    assert out == ""
    assert "Traceback" not in err
    assert snapshot(ready) == before


@pytest.mark.parametrize("command", [["search", "a dog"], ["info"], ["remove", "x"], ["index"]])
def test_a_missing_or_foreign_index_is_named(run, tmp_path, command) -> None:
    code, _, err = run(*command, "--index", tmp_path / "none")
    assert code == 4
    assert str(tmp_path / "none") in err
    (tmp_path / "kinoscope.json").write_text("{}")
    code, _, err = run(*command, "--index", tmp_path)
    assert code == 4
    assert "Traceback" not in err


def test_a_mistyped_folder_makes_no_index(run, tmp_path) -> None:
    code, _, err = run("index", tmp_path / "nowhere", "--index", tmp_path / "i")
    assert code == 2
    assert "no such file or folder" in err
    assert not (tmp_path / "i").exists()


def test_a_newer_index_is_refused_with_a_remedy(run, ready, tmp_path) -> None:
    newer = shutil.copytree(ready, tmp_path / "newer")
    manifest = json.loads((newer / "kinoscope.json").read_text())
    (newer / "kinoscope.json").write_text(json.dumps(manifest | {"format": 99}))
    code, _, err = run("search", "a dog", "--index", newer)
    assert code == 4
    assert "99" in err


def test_a_broken_file_is_quarantined_and_the_others_are_indexed(
    run, video_folder, tmp_path
) -> None:
    folder = shutil.copytree(video_folder, tmp_path / "videos")
    (folder / "broken.MP4").write_bytes(b"this is no video")
    code, out, err = run("index", folder, "--index", tmp_path / "i")
    assert code == 7
    assert "broken.MP4" in err
    assert "3 indexed" in out
    facts = json.loads(run("info", "--json", "--index", tmp_path / "i")[1])
    assert (facts["videos"], facts["quarantined"]) == (3, 1)
    (failed,) = facts["quarantine"]
    assert failed["path"].endswith("broken.MP4")
    assert (failed["fault"], failed["tries"]) == ("not_media", 1)
    assert "broken.MP4 is not a video" in run("info", "--index", tmp_path / "i")[1]
    assert run("index", "--index", tmp_path / "i")[0] == 0, "known failures are not failures again"
    assert run("index", "--retry", "--index", tmp_path / "i")[0] == 7


def test_remove_forgets_the_video_and_keeps_the_file(run, video_folder, tmp_path) -> None:
    folder = shutil.copytree(video_folder, tmp_path / "videos")
    run("index", folder, "--index", tmp_path / "i")
    assert run("remove", folder / "long.mp4", "--index", tmp_path / "i")[0] == 0
    assert (folder / "long.mp4").exists()
    _, out, _ = run("search", "x", "-k", 50, "--json", "--index", tmp_path / "i")
    assert "long.mp4" not in out
    assert "short.mp4" in out


def test_a_watched_folder_without_videos_can_be_removed(run, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    run("index", tmp_path / "empty", "--index", tmp_path / "i")
    assert run("remove", tmp_path / "empty", "--index", tmp_path / "i")[0] == 0
    assert json.loads(run("info", "--json", "--index", tmp_path / "i")[1])["sources"] == []


@pytest.mark.parametrize("change", [{"dimension": 999}, {"weights": "other"}])
def test_an_index_of_another_embedder_is_a_mismatch_that_prints_both(
    run, ready, tmp_path, change
) -> None:
    foreign = shutil.copytree(ready, tmp_path / "foreign")
    manifest = json.loads((foreign / "kinoscope.json").read_text())
    manifest["spec"] |= change
    (foreign / "kinoscope.json").write_text(json.dumps(manifest))
    for command in (["search", "x"], ["index"], ["doctor"]):
        code, _, err = run(*command, "--index", foreign)
        if command != ["doctor"] or "weights" not in change:
            assert code == 5, err
            assert f"! {next(iter(change))}" in err


def test_an_index_whose_model_is_elsewhere_says_how_to_name_it(run, ready, tmp_path) -> None:
    moved = shutil.copytree(ready, tmp_path / "moved")
    manifest = json.loads((moved / "kinoscope.json").read_text())
    manifest["spec"]["model"] = "/nowhere/mini"
    (moved / "kinoscope.json").write_text(json.dumps(manifest))
    code, _, err = run("search", "x", "--index", moved)
    assert code == 6
    assert "the model of this index, /nowhere/mini, cannot be loaded" in err
    assert run("search", "x", "--index", moved, "--model", "concepts")[0] == 0


def test_old_dates_reach_everything_and_closed_input_is_named(run, ready, monkeypatch) -> None:
    recent = run("search", "x", "--since", "1960-01-01", "--videos", "--json", "--index", ready)[1]
    assert len(recent.splitlines()) == 3
    monkeypatch.setattr(sys, "stdin", None)
    code, _, err = run("search", "-", "--index", ready)
    assert code == 2
    assert "stdin, which is closed" in err


def test_info_and_doctor_speak_of_the_index(run, ready) -> None:
    facts = json.loads(run("info", "--json", "--index", ready)[1])
    assert facts["videos"] == 3
    assert facts["hours"] >= 0
    assert "videos" in run("info", "--index", ready)[1]
    code, out, _ = run("doctor", "--json", "--index", ready)
    assert code == 0
    checks = {check["name"]: check for check in map(json.loads, out.splitlines())}
    assert checks["order"]["verdict"] == "limit"
    assert checks["vocabulary"]["verdict"] == "limit"
    assert checks["batch parity"]["value"] >= 0.9999
    assert checks["spec"]["verdict"] == "ok"


def test_without_setup_the_remedy_is_named(run, ready, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("KINOSCOPE_CACHE", str(tmp_path / "cache"))
    code, _, err = run("search", "a dog", "--index", ready)
    assert code == 6
    assert "kinoscope setup" in err


def test_a_name_that_is_no_unicode_is_printed_as_it_is(video_folder, tmp_path) -> None:
    odd = os.fsencode(tmp_path) + b"/caf\xe9.mp4"
    Path(os.fsdecode(odd)).write_bytes((video_folder / "short.mp4").read_bytes())
    command = [sys.executable, "-m", "kinoscope"]
    place = ["--index", str(tmp_path / "i")]
    assert subprocess.run([*command, "index", odd, *place], capture_output=True).returncode == 0
    found = subprocess.run([*command, "search", "x", *place], capture_output=True)
    assert b"caf\xe9.mp4\n" in found.stdout, found.stderr
    found = subprocess.run([*command, "search", "x", "--json", *place], capture_output=True)
    assert json.loads(found.stdout)["path"] == os.fsdecode(odd)


def test_a_reader_that_leaves_early_is_no_error(ready) -> None:
    words = f"{sys.executable} -m kinoscope search x -k 50 --json --index {ready}"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {words} | head -n 1"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_ctrl_c_ends_with_130_and_a_consistent_index(video_folder, tmp_path) -> None:
    words = [
        sys.executable,
        "-m",
        "kinoscope",
        "index",
        str(video_folder),
        "--index",
        str(tmp_path / "i"),
    ]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not (tmp_path / "i" / "kinoscope.json").exists():
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode in (130, 0)
    assert "Traceback" not in err
    assert Store.open(tmp_path / "i").count_orphans() == 0
    assert subprocess.run(words, capture_output=True).returncode == 0
    assert len(Store.open(tmp_path / "i").files()) == 3


def test_help_answers_at_once_and_names_every_command() -> None:
    start_s = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "kinoscope", "--help"], capture_output=True, text=True
    )
    assert time.perf_counter() - start_s < 2.0, "generous: the saved result holds the real figure"
    for command in ("setup", "samples", "index", "search", "info", "remove", "doctor"):
        assert command in done.stdout


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0:00.0"),
        (59.96, "1:00.0"),
        (75.5, "1:15.5"),
        (3599.99, "1:00:00.0"),
        (3661, "1:01:01.0"),
    ],
)
def test_times_read_as_a_clock(seconds: float, text: str) -> None:
    assert console.clock(seconds) == text


def test_the_index_folder_comes_from_option_then_environment(monkeypatch) -> None:
    monkeypatch.setenv("KINOSCOPE_INDEX", os.sep + "elsewhere")
    assert console.index_folder(None) == os.sep + "elsewhere"
    assert console.index_folder("s3://bucket/here") == "s3://bucket/here"


def test_after_a_run_an_index_is_optimised_later_unless_that_is_not_wanted(
    run, ready, tmp_path, monkeypatch
) -> None:
    index, begun = shutil.copytree(ready, tmp_path / "index"), []
    monkeypatch.setattr(Index, "optimise_later", lambda self: begun.append(self.store.folder))
    assert run("index", "--no-optimize", "--index", index)[0] == 0
    assert begun == []
    assert run("index", "--index", index)[0] == 0
    assert begun == [index]


def test_an_index_is_optimised_and_stays_as_it_was(run, ready, tmp_path) -> None:
    index = shutil.copytree(ready, tmp_path / "index")
    want = run("search", "a pattern", "--index", index)
    code, out, _ = run("index", "optimize", "--memory-mb", "9", "--json", "--index", index)
    assert code == 0
    told = json.loads(out)
    assert (told["search"], told["memory_mb"], told["pieces_after"]) == ("exact", 9, 2)
    assert run("search", "a pattern", "--index", index) == want


@pytest.mark.parametrize("command", [["index", "export"], ["search", "x", "--qdrant"]])
def test_a_qdrant_server_needs_an_address(run, ready, command) -> None:
    code, _, err = run(*command, "films", "--index", ready)
    assert code == 2
    assert "write http://HOST:6333/COLLECTION" in err
