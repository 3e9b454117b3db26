"""The runner: nothing is asked twice, a kill loses little, what is left out is counted."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from kinoscope.errors import UsageError
from kinoscope.evaluation.metrics import PerQuery
from kinoscope.evaluation.runner.asking import Asking
from kinoscope.evaluation.runner.kept import Kept
from kinoscope.evaluation.runner.run import Wanted, split_hash
from kinoscope.evaluation.saved import read_evaluation, save_evaluation
from kinoscope.evaluation.tasks import run_benchmark
from kinoscope.evaluation.tasks.protocol import Film, Options
from tests.evaluation.runner.made import FILES, benchmark, embedder, films, measured


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """Films with the annotations of several benchmarks; tests must not change it."""
    folder = tmp_path_factory.mktemp("shelf")
    names = films(folder)
    for name in FILES:
        benchmark(name, folder, names)
    return folder


def same(first, second):
    assert first.metrics == second.metrics
    for name, each in first.values.items():
        assert np.array_equal(each.values_Q, second.values[name].values_Q), name


@pytest.mark.parametrize("name", FILES)
def test_a_second_run_asks_nothing_and_finds_the_same(name, shelf, tmp_path):
    first, asked = measured(name, shelf, tmp_path / "kept")
    assert first.vectors["embedded"] > 0 == first.vectors["cached"]
    assert asked.contents and asked.frames
    second, again = measured(name, shelf, tmp_path / "kept")
    assert (again.contents, again.frames) == (0, 0)
    assert second.vectors == {"embedded": 0, "cached": first.vectors["embedded"]}
    same(first, second)
    assert first.protocol == second.protocol
    plain = run_benchmark(name, shelf, embedder())
    assert plain.metrics == first.metrics, "as without a runner"
    assert read_evaluation(save_evaluation(first, tmp_path)).metrics == first.metrics


@pytest.mark.parametrize("name", ["rtime", "webvid-covr"])
def test_worker_processes_decode_the_same(name, shelf, tmp_path):
    here, _ = measured(name, shelf, tmp_path / "here")
    pooled, asked = measured(name, shelf, tmp_path / "pooled", workers=2)
    assert pooled.vectors == here.vectors and asked.contents
    same(here, pooled)
    model = embedder()
    listed = [Film(n, shelf / "videos" / f"{n}.mp4", back) for n in ("v0", "v1") for back in (0, 1)]
    vectors = [
        np.stack(Asking(model, Kept(model.spec, tmp_path / place)).encode_films(listed))
        for place in ("here", "pooled")
    ]
    assert np.sum(vectors[0] * vectors[1], axis=1).min() > 0.99999
    if name == "rtime":
        assert np.sum(vectors[0][0] * vectors[0][1]) < 0.999, "backwards is another vector"


def test_one_benchmark_profits_from_another(shelf, tmp_path):
    measured("msr-vtt", shelf, tmp_path)
    found, asked = measured("rtime", shelf, tmp_path)
    assert asked.contents == 4 + 4, "texts of reversals, and reversals"
    assert found.vectors == {"embedded": 8, "cached": 8}


def test_a_moved_film_keeps_its_vector_and_a_changed_one_gets_a_new_one(tmp_path):
    names = films(tmp_path / "a")
    benchmark("msr-vtt", tmp_path / "a", names)
    first, _ = measured("msr-vtt", tmp_path / "a", tmp_path / "kept")
    (tmp_path / "a").rename(tmp_path / "b")
    moved, asked = measured("msr-vtt", tmp_path / "b", tmp_path / "kept")
    assert asked.contents == 0 and moved.protocol == first.protocol
    (tmp_path / "b" / "videos" / "v3.mp4").unlink()
    films(tmp_path / "other", 1, first=5)
    (tmp_path / "other" / "videos" / "v5.mp4").rename(tmp_path / "b" / "videos" / "v3.mp4")
    _, asked = measured("msr-vtt", tmp_path / "b", tmp_path / "kept")
    assert asked.contents == 1
    other = embedder()
    other.backbone.weights = "others"
    _, asked = measured("msr-vtt", tmp_path / "b", tmp_path / "kept", made=other)
    assert asked.contents == 8, "another model has none of this one's"


def test_damaged_entries_are_computed_anew(shelf, tmp_path):
    first, _ = measured("msr-vtt", shelf, tmp_path)
    (data,) = tmp_path.glob("*/features.bin")
    content = bytearray(data.read_bytes())
    content[12] ^= 255
    data.write_bytes(content)
    second, asked = measured("msr-vtt", shelf, tmp_path)
    assert asked.contents == 1
    same(first, second)
    data.write_bytes(content[: len(content) // 2])
    third, asked = measured("msr-vtt", shelf, tmp_path)
    assert 0 < asked.contents < 8
    same(first, third)
    assert measured("msr-vtt", shelf, tmp_path)[1].contents == 0


PROGRAM = """
import sys
from pathlib import Path
from tests.evaluation.runner.made import embedder, measured
measured("msr-vtt", Path(sys.argv[1]), Path(sys.argv[2]), made=embedder(0.3))
"""


def test_a_run_that_is_killed_goes_on_where_it_was(shelf, tmp_path):
    kept = tmp_path / "kept"
    words = [sys.executable, "-c", PROGRAM, str(shelf), str(kept)]
    process = subprocess.Popen(words, cwd=Path(__file__).parents[3], env=os.environ)
    end_s = time.monotonic() + 300
    while time.monotonic() < end_s and process.poll() is None:
        if sum(path.read_bytes().count(b"\n") for path in kept.glob("*/index.jsonl")) >= 2:
            break
        time.sleep(0.02)
    assert process.poll() is None, "it ended before it could be killed"
    process.send_signal(signal.SIGKILL)
    process.wait()
    found, asked = measured("msr-vtt", shelf, kept)
    assert found.vectors["cached"] >= 2 and found.vectors["embedded"] == asked.contents
    assert found.vectors["cached"] + found.vectors["embedded"] == 8
    same(found, measured("msr-vtt", shelf, tmp_path / "undisturbed")[0])
    assert measured("msr-vtt", shelf, kept)[1].contents == 0


def test_what_is_missing_or_broken_is_counted_and_asked_for_again(tmp_path):
    names = films(tmp_path)
    benchmark("msr-vtt", tmp_path, [*names, "v4", "v5"])
    (tmp_path / "videos" / "v5.mp4").write_bytes(b"no film")
    for workers in (0, 1):
        found, _ = measured("msr-vtt", tmp_path, tmp_path / "kept", workers=workers)
        assert list(found.left_out.absent) == ["v4"] and list(found.left_out.failed) == ["v5"]
        assert found.left_out.queries == 2
        assert found.metrics["t2v_r1"].n == 4
    films(tmp_path, 2, first=4)
    found, asked = measured("msr-vtt", tmp_path, tmp_path / "kept")
    assert not found.left_out and asked.contents == 4
    assert found.metrics["t2v_r1"].n == 6


def test_a_limit_takes_the_first_videos_and_says_so(shelf, tmp_path):
    found, asked = measured("msr-vtt", shelf, tmp_path, limit=3)
    assert asked.contents == 6 and found.values["t2v_r1"].queries == ("v0#0", "v1#0", "v2#0")
    assert (found.protocol.limit, found.protocol.gallery) == (3, 3)
    assert found.left_out.rows == {"limit": 1} and not found.left_out.absent
    assert found.stem == "msr-vtt.limit-3"
    whole, _ = measured("msr-vtt", shelf, tmp_path)
    assert whole.protocol.split_hash != found.protocol.split_hash
    assert whole.protocol.files == found.protocol.files
    with pytest.raises(UsageError, match="limit 0: give 1 video or more"):
        Options(limit=0)


def test_the_protocol_says_what_was_asked_and_how(shelf, tmp_path):
    found, _ = measured("rtime", shelf, tmp_path, dual_softmax=True)
    told, spec = found.protocol, found.spec
    assert (told.split, told.gallery) == ("test.json", 8), "films and their reversals"
    assert (told.sampling, told.prompts, told.pooling) == (spec.sampling, spec.prompts, spec.head)
    assert (told.frames, told.resolution, told.dimension) == (4, "32 x 32 px", 7)
    assert told.rerank == "none" and told.limit is None
    assert "uses the test queries' distribution" in told.dual_softmax
    assert found.stem == "rtime.dual-softmax"
    assert spec.model == found.model, "as it was named, not where it lies"
    assert told.details["chance_binary"] == 0.5
    assert found.seconds["total"] >= found.seconds["videos"] > 0
    plain, _ = measured("rtime", shelf, tmp_path)
    assert plain.protocol.dual_softmax == "no"
    assert plain.metrics["binary_t2v"] == found.metrics["binary_t2v"], "pairs have no gallery"


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("charades-sta", {"dual_softmax": True}, "charades-sta takes no dual softmax"),
        ("msr-vtt", {"split": "validation"}, "msr-vtt has the split that its files have"),
        ("world-qa", {"dual_softmax": True}, "world-qa takes no dual softmax"),
        ("msr", {}, "benchmark 'msr': choose msr-vtt, .*world-seen-matching or mteb:TASK"),
        ("mteb:", {}, "write mteb:TASK"),
    ],
)
def test_what_a_benchmark_has_not_is_refused(name, options, words):
    with pytest.raises(UsageError, match=words):
        Wanted(name=name, folder=Path(), options=Options(**options)).located()


def test_without_a_folder_the_files_are_told():
    with pytest.raises(
        UsageError, match=r"msvd needs a folder with AllVideoDescriptions.txt \(cap"
    ):
        Wanted(name="msvd").located()


def test_the_hash_of_a_split_depends_on_what_was_asked_and_on_no_order(shelf, tmp_path):
    assert split_hash({"a", "b"}, {"x"}) == split_hash({"b", "a"}, {"x"})
    assert split_hash({"a"}, {"b"}) != split_hash({"b"}, {"a"}) != split_hash({"a", "b"}, set())
    hashes = set()
    for limit in (2, 3, None):
        found, _ = measured("msr-vtt", shelf, tmp_path, limit=limit)
        hashes.add(found.protocol.split_hash)
    assert len(hashes) == 3
    assert isinstance(found.values["t2v_r1"], PerQuery)


def test_seconds_of_a_phase_inside_another_count_once(tmp_path, monkeypatch):
    clock = iter([0.0, *range(100)])
    monkeypatch.setattr("kinoscope.evaluation.runner.asking.time.monotonic", lambda: next(clock))
    model = embedder()
    asking = Asking(model, Kept(model.spec, tmp_path))
    with asking.phase("answers"), asking.phase("videos"):  # from 0 to 3, from 1 to 2
        pass
    with asking.phase("texts"):  # from 4 to 5
        pass
    assert asking.seconds == {"answers": 2.0, "videos": 1.0, "texts": 1.0}
