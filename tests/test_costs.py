"""What indexing and asking cost: the arithmetic, and the command that measures it on real files."""

import json
import statistics
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinoscope import costs
from kinoscope.costs import CostReport, Machine, quantile
from kinoscope.errors import MediaError, UsageError
from kinoscope.index.progress import StageCost

seconds = st.floats(0, 1e5)
positive = st.floats(1e-3, 1e5)
stages = st.dictionaries(
    st.sampled_from(["scan", "identify", "decode", "vision", "write", "other"]),
    st.builds(StageCost, wall_s=positive, cpu_s=seconds),
    min_size=1,
)


def report(**fields) -> CostReport:
    given = {
        "machine": Machine(),
        "videos": 2,
        "frames": 100,
        "clips": 50,
        "video_s": 1800.0,
        "stages": {"decode": StageCost(wall_s=30, cpu_s=50), "other": StageCost(wall_s=6, cpu_s=4)},
        "load_s": 1.0,
        "index_bytes": 3_000_000,
        "query_ms": [1.0, 2.0, 9.0],
    }
    return CostReport(**{**given, **fields})


# --- arithmetic


def test_figures_are_those_worked_out_by_hand() -> None:
    # half an hour of video, 54 processor seconds, 36 s by the clock, 0.085 USD for two cores
    made = report()
    assert made.cpu_s_per_hour == pytest.approx(108)
    assert made.mb_per_hour == pytest.approx(6.0)
    assert made.usd_per_hour == pytest.approx(108 / 3600 * 0.085 / 2)
    assert made.usd_per_hour_by_clock == pytest.approx(72 / 3600 * 0.085)
    assert made.per_frame_ms("decode") == (pytest.approx(300), pytest.approx(500))
    assert made.query(0.5) == 2.0
    assert made.to_dict()["realtime_factor"] == pytest.approx(50)


@given(parts=stages, frames=st.integers(1, 10**6), video_s=st.floats(0.1, 1e6))
def test_stages_add_up_to_the_run(parts, frames, video_s) -> None:
    made = report(stages=parts, frames=frames, video_s=video_s)
    told = made.to_dict()
    total = sum(stage["cpu_ms"] for stage in told["stages"].values())
    assert told["cpu_ms_per_frame"] == pytest.approx(total)
    assert total * frames / 1000 == pytest.approx(made.cpu_s)
    assert told["wall_ms_per_frame"] * frames / 1000 == pytest.approx(made.wall_s)
    assert made.cpu_s_per_hour * video_s / 3600 == pytest.approx(made.cpu_s)


@given(
    cpu_s=seconds,
    price=st.floats(0, 100),
    cores=st.integers(1, 64),
    times=st.integers(1, 10),
)
def test_a_price_grows_with_time_and_price_and_is_shared_by_cores(
    cpu_s, price, cores, times
) -> None:
    one = Machine(cores=cores, usd_per_hour=price)
    assert one.usd(times * cpu_s) == pytest.approx(times * one.usd(cpu_s))
    assert Machine(cores=times * cores, usd_per_hour=price).usd(cpu_s) == pytest.approx(
        one.usd(cpu_s) / times
    )
    assert one.usd(3600.0 * cores) == pytest.approx(price)


@given(values=st.lists(st.floats(0, 1e6), min_size=1, max_size=50))
def test_quantiles_lie_within_what_was_measured_and_in_order(values) -> None:
    median = quantile(values, 0.5)
    assert median == pytest.approx(statistics.median(values))
    ordered = [min(values), median, quantile(values, 0.95), max(values)]
    assert ordered == pytest.approx(sorted(ordered))


def test_no_machine_is_free_of_cores_or_paid_below_nothing() -> None:
    with pytest.raises(UsageError, match="0 cores"):
        Machine(cores=0)
    for price in (-1.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="USD an hour"):
            Machine(usd_per_hour=price)


@pytest.mark.parametrize(
    "fields", [{"frames": 0}, {"video_s": 0.0}, {"query_ms": []}, {"stages": {}}]
)
def test_a_report_on_nothing_is_refused(fields) -> None:
    with pytest.raises(UsageError, match="nothing to divide by"):
        report(**fields)


# --- the command


def test_bench_says_in_json_what_a_folder_cost(run, video_folder) -> None:
    code, out, err = run("bench", video_folder, "--json")
    assert code == 0, err
    (line,) = out.splitlines()
    told = json.loads(line)
    assert told["model"] == "concepts"
    assert told["videos"] == 3
    assert told["video_s"] == pytest.approx(12, abs=0.5)
    assert told["frames"] == 4 + 7 + 4  # at 1 fps, but at least four of each video
    assert told["clips"] == 3 + 1 + 3 + 1  # a whole each, and windows of 4 s every 2 s
    assert told["machine"] == {"name": "2 vCPU general purpose", "cores": 2, "usd_per_hour": 0.085}
    assert list(told["stages"]) == [
        *("scan", "identify", "decode", "vision", "write", "search arrays", "other")
    ]
    assert all(stage["wall_ms"] >= 0 for stage in told["stages"].values())
    assert told["stages"]["decode"]["cpu_ms"] > 0
    assert told["stages"]["vision"]["cpu_ms"] > 0
    total_ms = sum(stage["cpu_ms"] for stage in told["stages"].values())
    assert total_ms * told["frames"] / 1000 == pytest.approx(told["cpu_s"])
    assert told["cpu_s_per_hour"] == pytest.approx(told["cpu_s"] / told["video_s"] * 3600)
    assert told["usd_per_hour"] == pytest.approx(told["cpu_s_per_hour"] / 3600 / 2 * 0.085)
    assert 0 < told["query_p50_ms"] <= told["query_p95_ms"]
    assert told["mb_per_hour"] > 0


def test_bench_takes_the_machine_that_is_named(run, video_folder) -> None:
    words = ["bench", video_folder / "inner", "--usd-per-hour", 3.6, "--cores", 1]
    code, out, _ = run(*words, "--machine", "a box", "--json")
    told = json.loads(out)
    assert code == 0
    assert told["machine"] == {"name": "a box", "cores": 1, "usd_per_hour": 3.6}
    assert told["usd_per_hour"] == pytest.approx(told["cpu_s_per_hour"] / 1000)


def test_bench_prints_a_table_and_calls_the_price_an_assumption(run, video_folder) -> None:
    code, out, err = run("bench", video_folder / "inner")
    assert code == 0
    rows = {line[:14].strip(): line.split()[-2:] for line in out.splitlines()[:9]}
    assert set(rows) >= {"decode", "vision", "write", "all"}
    columns = [[float(rows[name][n]) for name in rows if name[:2] != "ms"] for n in (0, 1)]
    for column in columns:
        assert sum(column[:-1]) == pytest.approx(column[-1], abs=0.05)
    assert "price assumed: 2 vCPU general purpose, 0.085 USD/h" in out
    assert "exact 1fps" in err


def test_bench_leaves_the_users_index_and_the_videos_alone(run, video_folder, tmp_path) -> None:
    before = sorted(video_folder.rglob("*"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("KINOSCOPE_INDEX", str(tmp_path / "index"))
        patched.setattr(costs.tempfile, "tempdir", str(tmp_path))
        assert run("bench", video_folder / "inner", "--json")[0] == 0
    assert list(tmp_path.iterdir()) == []
    assert sorted(video_folder.rglob("*")) == before


def test_bench_names_what_is_missing(run, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run("bench")
    assert (code, out) == (2, "")
    assert "kinoscope samples --to .demo/clips" in err
    (tmp_path / "empty").mkdir()
    code, out, err = run("bench", tmp_path / "empty")
    assert (code, out) == (2, "")
    assert "no video there" in err
    code, out, err = run("bench", tmp_path / "typo")
    assert (code, out) == (2, "")
    assert "no such file or folder" in err
    assert run("bench", tmp_path / "empty", "--cores", 0)[0] == 2


def test_bench_says_why_no_video_can_be_read(run, tmp_path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no film at all")
    code, out, err = run("bench", tmp_path)
    assert (code, out) == (MediaError.exit_code, "")
    assert "none of 1 videos could be read" in err and "broken.mp4" in err


def test_bench_measures_the_rest_and_tells_what_it_left_out(run, tmp_path, video_folder) -> None:
    Path(tmp_path / "good.mp4").symlink_to(video_folder / "short.mp4")
    (tmp_path / "broken.mp4").write_bytes(b"no film at all")
    code, out, err = run("bench", tmp_path, "--json")
    assert code == 7
    assert json.loads(out)["videos"] == 1
    assert "left out (not_media)" in err and "broken.mp4" in err
