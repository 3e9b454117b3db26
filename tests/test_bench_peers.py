"""The comparison with other tools: what is compared, by what, and what is said where they lack."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinoscope.backbones.concepts import Concepts
from kinoscope.errors import SetupError
from kinoscope.evaluation.results import save_result
from kinoscope.heads import normalise
from kinoscope.types import Frames
from kinoscope.weights import model_files
from recipes import bench_peers, bench_tables, peer_packages
from recipes.bench_peers import FULL, Found, Size, attempt, best_peer, compare, ratio
from recipes.peer_decoders import DECODERS, Wanted, same_frames, thumbs, wanted
from recipes.peer_packages import PACKAGES, Done
from recipes.peer_pipelines import DIMENSION, Encoder
from recipes.peer_searchers import WAYS, Way, measured, recall_of, tuned, turns
from tests.movies import read_number

NOBODY = dict.fromkeys(PACKAGES, "not here")
TINY = Size(clips=2, film_s=0.0, decode_rounds=1, index_rounds=1, vectors=400, queries=20)


# --- the same frames


def is_there(name: str) -> bool:
    needed = bench_peers.NEEDS.get(name, ())
    return all((peer_packages.folder() / each / "installed.txt").exists() for each in needed)


@pytest.mark.parametrize("fps", [25, 24])  # of 24, a frame begins at each instant
@pytest.mark.parametrize("name", DECODERS)
def test_each_decoder_gives_the_frame_on_screen_at_each_instant(
    name, fps, numbered_video, tmp_path
) -> None:
    if not is_there(name):
        pytest.skip(f"{name} is not installed")
    path, movie = numbered_video(frames=140, fps=fps)
    grid = wanted(path, 60.0)
    program = (
        "import sys, numpy as np; from pathlib import Path;"
        " from recipes.peer_decoders import DECODERS, Wanted;"
        f" asked = Wanted(path=Path({str(path)!r}), times_s={grid.times_s});"
        f" np.save({str(tmp_path / 'found.npy')!r}, DECODERS[{name!r}](asked))"
    )
    command = [sys.executable, "-c", program]
    subprocess.run(command, check=True, env=peer_packages.environment(), cwd=peer_packages.ROOT)
    found = [read_number(picture) for picture in np.load(tmp_path / "found.npy")]
    assert found == [max(n for t, n in movie.shown if t <= time_s) for time_s in grid.times_s]


def test_the_grid_ends_where_it_is_told_and_with_the_video(numbered_video) -> None:
    path, _ = numbered_video(frames=140, fps=25)
    assert wanted(path, 2.2).times_s == (0.5, 1.5)
    assert wanted(path, 60.0).times_s == (0.5, 1.5, 2.5, 3.5, 4.5, 5.5)
    assert wanted(path, 60.0).rate == 1.0
    short, _ = numbered_video("short.mp4", frames=50, fps=25)
    assert wanted(short, 60.0).times_s == (0.25, 0.75, 1.25, 1.75)
    assert wanted(short, 60.0).rate == 2.0


def test_frames_in_another_order_or_missing_are_not_the_same() -> None:
    rng = np.random.default_rng(0)
    true = thumbs(rng.integers(0, 255, (5, 260, 260, 3)).astype(np.uint8) // 8 * 8)
    shades = np.linspace(0, 200, 5, dtype=np.uint8)[:, None]
    true = true // 2 + shades
    assert same_frames([true, true], [true, true]) == 1.0
    assert same_frames([true + 2], [true]) == 1.0  # another scaler
    assert same_frames([true[::-1]], [true]) == pytest.approx(1 / 5)  # the middle one
    assert same_frames([true[:3]], [true]) == pytest.approx(3 / 5)


# --- the same vectors


def unit(rng: np.random.Generator, rows: int, dimension: int = 16) -> np.ndarray:
    return normalise(rng.normal(size=(rows, dimension)).astype(np.float32))


@pytest.mark.parametrize("rows", [11, 63, 300])
@pytest.mark.parametrize("name", ["numpy", "turbovec", "lancedb_flat", "qdrant_local"])
def test_ways_without_a_dial_or_turned_up_find_the_true_ten(name, rows) -> None:
    rng = np.random.default_rng(rows)
    vectors_ND, queries_QD = unit(rng, rows), unit(rng, 6)
    true_QK = np.argsort(-(queries_QD.astype(float) @ vectors_ND.T.astype(float)), axis=1)[:, :10]
    way, recall = tuned(WAYS[name](vectors_ND), queries_QD, lambda _rows: true_QK, 1.0)
    assert way.rows == rows
    assert recall == 1.0
    assert [sorted(way.ask(q)) for q in queries_QD] == [sorted(t) for t in true_QK.tolist()]


@given(
    found=st.lists(st.permutations(range(20)), min_size=1, max_size=5),
    seed=st.integers(0, 99),
)
def test_recall_is_the_part_of_the_true_ten_that_a_naive_count_finds(found, seed) -> None:
    rng = np.random.default_rng(seed)
    true_QK = np.array([rng.permutation(20)[:10] for _ in found])
    answers = iter(found)
    told = recall_of(lambda _query: list(next(answers))[:10], np.zeros((len(found), 4)), true_QK)
    naive = [
        sum(row in true for row in ask[:10]) / 10 for ask, true in zip(found, true_QK, strict=True)
    ]
    assert told == pytest.approx(sum(naive) / len(naive))


def test_a_dial_is_turned_no_further_than_needed() -> None:
    true_QK = np.arange(10)[None]

    def finding(right: int) -> Way:
        return Way(
            ask=lambda _q: [*range(right), *range(100, 110 - right)], dial=str(right), rows=10
        )

    query = np.zeros((1, 4), np.float32)

    def turned(least: float, settings=(3, 7, 9, 10)) -> tuple[str, float]:
        way, recall = tuned(map(finding, settings), query, lambda _rows: true_QK, least)
        return way.dial, recall

    assert turned(0.85) == ("9", 0.9)
    assert turned(0.7) == ("7", 0.7)
    assert turned(0.99, (3, 5)) == ("5", 0.5)


def test_ways_take_turns_and_each_query_is_timed_once() -> None:
    asked = []

    def way(name: str) -> Way:
        return Way(ask=lambda query: asked.append((name, float(query[0]))) or [], rows=1)

    queries_QD = np.arange(23, dtype=np.float32)[:, None]
    taken = turns({"a": way("a"), "b": way("b")}, queries_QD)
    assert {name: len(ms) for name, ms in taken.items()} == {"a": 23, "b": 23}
    order = [name for name, _ in asked]
    assert order == (["a"] * 11 + ["b"] * 11) * 2 + ["a"] * 4 + ["b"] * 4
    assert sorted({query for _, query in asked}) == list(range(23))


def test_a_way_that_cannot_be_had_is_absent_and_the_others_are_measured() -> None:
    rng = np.random.default_rng(0)
    vectors_ND = unit(rng, 50)

    def lacking():
        raise SetupError("this needs another library")

    ways = {"kinoscope": lambda: WAYS["numpy"](vectors_ND), "other": lacking}
    told = measured(ways, vectors_ND, unit(rng, 5))
    assert told["other"] == {"absent": "this needs another library"}
    assert told["kinoscope"]["recall"] == 1.0
    assert len(told["kinoscope"]["ms"]) == 5


# --- ratios


@given(
    ours=st.lists(st.floats(0.1, 10), min_size=3, max_size=3),
    factor=st.floats(0.1, 10),
    noise=st.lists(st.floats(1, 100), min_size=3, max_size=3),
)
def test_a_ratio_does_not_see_what_slows_a_whole_round(ours, factor, noise) -> None:
    mine = [a * n for a, n in zip(ours, noise, strict=True)]
    theirs = [a * factor * n for a, n in zip(ours, noise, strict=True)]
    assert ratio(mine, theirs) == pytest.approx(1 / factor)


def test_the_best_peer_is_neither_ours_nor_a_naive_twin() -> None:
    costs = {"kinoscope": [1.0], "pyav": [0.5], "numpy": [0.1], "decord": [3.0], "opencv": [2.0]}
    assert best_peer(costs) == "opencv"
    found = Found()
    compare(found, "decode", costs)
    assert found.metrics["decode_ratio"].value == 0.5
    assert found.details["decode_best"] == "opencv"
    compare(found, "index", {"kinoscope": [1.0], "pyav": [0.5]})
    assert "index_ratio" not in found.metrics


def test_a_peer_that_fails_is_absent_with_its_reason_and_is_not_tried_again(monkeypatch) -> None:
    tried = []

    def step(module, *words):
        tried.append(words[0])
        raise SetupError("no such codec")

    monkeypatch.setattr(bench_peers, "step", step)
    found = Found(absent={"ffmpeg": "no network"})
    assert attempt(found, "rclip", "recipes.peer_pipelines", "rclip") is None
    assert found.absent["rclip"] == "no network"  # it needs frames from ffmpeg
    assert attempt(found, "opencv", "recipes.peer_decoders", "opencv") is None
    assert attempt(found, "opencv", "recipes.peer_decoders", "opencv") is None
    assert found.absent["opencv"] == "no such codec"
    assert tried == ["opencv"]
    with pytest.raises(SetupError, match="no such codec"):
        attempt(found, "kinoscope", "kinoscope", "index")


def test_the_start_of_a_run_of_indexing_counts(monkeypatch) -> None:
    report = {"frames": 3, "wall_s": 1.0, "stages": {}}
    done = Done(told=report, wall_s=9.0, cpu_s=8.0)
    monkeypatch.setattr(bench_peers, "step", lambda *_words: done)
    ran = attempt(Found(), "kinoscope", "kinoscope", "index")
    assert (ran["wall_s"], ran["cpu_s"], ran["frames"]) == (9.0, 8.0, 3)
    done = Done(told={"frames": 3, "wall_s": 1.0, "cpu_s": 0.5}, wall_s=9.0, cpu_s=8.0)
    ran = attempt(Found(), "pyav", "recipes.peer_decoders", "pyav")
    assert (ran["wall_s"], ran["cpu_s"]) == (1.0, 0.5)  # loading a library does not


# --- packages of others


def test_packages_are_fetched_once_and_what_fails_is_absent(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("KINOSCOPE_CACHE", str(tmp_path))
    ran = []

    def run(command, **_how):
        ran.append(command)
        place = Path(command[command.index("--target") + 1])
        place.mkdir(parents=True, exist_ok=True)
        failed = "decord" in place.name
        return SimpleNamespace(returncode=int(failed), stderr="trouble\nno wheel for it\n")

    monkeypatch.setattr(peer_packages.subprocess, "run", run)
    names = ("opencv", "decord", "faiss")
    assert peer_packages.install(names) == {"decord": "no wheel for it"}
    assert len(ran) == 3
    assert all("--no-deps" in command for command in ran)
    assert peer_packages.install(names) == {"decord": "no wheel for it"}
    assert len(ran) == 4  # decord alone was tried again


def test_a_step_tells_its_last_line_and_the_processor_time_of_its_processes(
    tmp_path, monkeypatch
) -> None:
    (tmp_path / "busy.py").write_text(
        "import subprocess, sys\n"
        "spin = 'import time; t = time.process_time\\nwhile t() < 0.5: pass'\n"
        "print('by the way')\n"
        "subprocess.run([sys.executable, '-c', spin], check=True)\n"
        "print('{\"frames\": 7}')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = peer_packages.step("busy")
    assert done.told == {"frames": 7}
    assert done.cpu_s >= 0.4
    assert done.wall_s > 0
    with pytest.raises(SetupError, match="No module named"):
        peer_packages.step("recipes.is_not_there")


# --- the encoder of all pipelines


def test_pipelines_encode_as_indexing_does() -> None:
    rng = np.random.default_rng(3)
    rgb_FHWC = rng.integers(0, 255, (3, 260, 260, 3)).astype(np.uint8)
    backbone = Concepts(model_files(), threads=1)
    rows_FD = Encoder(backbone).rows(rgb_FHWC)
    assert rows_FD.shape == (3, DIMENSION)
    assert np.allclose(np.linalg.norm(rows_FD, axis=1), 1, atol=1e-5)
    values_FD = backbone.vision(Frames(rgb_FHWC, np.arange(3.0))).values_F
    assert np.allclose(rows_FD, normalise(values_FD), atol=1e-6)


# --- the whole, small


def test_a_run_without_any_peer_measures_ours_and_says_who_is_absent(
    tmp_path, monkeypatch, capsys, video_folder
) -> None:
    monkeypatch.setattr(bench_peers, "save_result", lambda *_, **__: pytest.fail("saved"))
    monkeypatch.setattr(peer_packages, "folder", lambda: tmp_path / "nobody")
    found = Found(absent=dict(NOBODY))
    films = [video_folder / "short.mp4", video_folder / "inner" / "third.mp4"]
    bench_peers.decoding(found, films, TINY, tmp_path)
    bench_peers.indexing(found, films, TINY, tmp_path)
    bench_peers.asking(found, TINY)
    bench_peers.told(found, TINY)
    said = capsys.readouterr().out
    assert "not saved" in said
    value = {name: metric.value for name, metric in found.metrics.items()}
    assert value["decode_same_kinoscope"] == value["decode_same_pyav"] == 1.0
    assert value["decode_twin_ratio"] > 0
    assert value["index_frames_kinoscope"] == 8
    assert value["index_cpu_s_per_hour_kinoscope"] > value["bench_cpu_ms_vision"] > 0
    assert value["query_recall_kinoscope"] == value["query_recall_lancedb_flat"] == 1.0
    assert value["query_ratio"] > 0
    assert {"decode_ratio", "index_ratio"}.isdisjoint(value)
    assert set(found.absent) >= {"opencv", "decord", "framesieve", "rclip", "clip-retrieval"}
    stages = [v for n, v in value.items() if n.startswith("bench_cpu_ms_") and "frame" not in n]
    assert sum(stages) == pytest.approx(value["bench_cpu_ms_per_frame"])
    assert_tables_tell(found, tmp_path, monkeypatch)


def assert_tables_tell(found: Found, tmp_path: Path, monkeypatch) -> None:
    """The page's tables, of a full run that found what the small one did."""
    monkeypatch.setattr(bench_peers, "REASONS", {"query_ratio": "it is small", "index_ratio": "no"})
    found.put("query_ratio", 3.0)
    found.put("index_ratio", 0.5)
    found.details["index_best"] = "clip-retrieval"

    def save(name, metrics, *, details):
        save_result(name, metrics, details=details, folder=tmp_path)

    monkeypatch.setattr(bench_peers, "save_result", save)
    monkeypatch.setattr(bench_tables, "RESULTS", tmp_path)
    bench_peers.told(found, FULL)
    saved = json.loads((tmp_path / "bench_peers.json").read_text())
    assert saved["details"]["reasons"] == {"query_ratio": "it is small"}
    ratios = bench_tables.ratios_table()
    assert "| 3.00 |" in ratios and "* query: it is small" in ratios
    assert "ffmpeg, then clip-retrieval" in ratios
    costs = bench_tables.costs_table()
    assert "2 vCPU general purpose, 0.085 USD an hour" in costs and "search arrays" in costs
    decode = bench_tables.decode_table()
    assert "| decord (eva-decord), `get_batch` | absent: not here |" in decode
    assert "| 100.0% |" in decode
    assert "| ffmpeg, then rclip | absent: not here |" in bench_tables.index_table()
    query = bench_tables.query_table()
    assert "| LanceDB, without an index |" in query and "| 390 |" in query


def test_wanted_frames_ask_for_one_thread_and_the_size_of_the_model() -> None:
    asked = Wanted(path=Path("a.mp4"), times_s=(0.5,))
    assert (asked.threads, asked.side_px) == (1, 260)
