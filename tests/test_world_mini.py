"""The table of the world: what is saved is taken, what is not is asked of `kinoscope eval`."""

from itertools import pairwise

import pytest

from kinoscope.evaluation.results import Metric, load_result
from kinoscope.evaluation.saved import save_evaluation
from recipes import world_mini
from tests.evaluation.report.made import evaluation, protocol, spec

WORLDS = ("world test 0..9", "world test seen 0..9")


def made(model, benchmark, weights, *, limit=None):
    """An evaluation of one benchmark, as the command saves it."""
    seen = "seen-" in benchmark
    task = benchmark.removeprefix("world-").removeprefix("seen-").replace("-", "_")
    told = {"world": WORLDS[seen], "fingerprint": ("b" if seen else "a") * 64, task: {"n": 9}}
    name = "reversal" if task == "reversal" else f"{task}_figure"
    return evaluation(
        benchmark,
        {},
        model,
        metrics={name: Metric(value=0.5, n=9)},
        spec=spec(model, weights=weights * 64),
        protocol=protocol(gallery=9, details=told),
        variant=() if limit is None else (f"limit-{limit}",),
    )


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """The commands that were run, each of which saves what it measured."""
    weights = {"mini": "1", "frames": "2", "untrained": "3", "concepts": "4"}
    commands, asked = [], []

    def kind(words):
        named = "frames" if "--mean-of-frames" in words else words[words.index("--model") + 1]
        return named.rpartition("/")[2]

    def measure(words):
        commands.append(words)
        limit = words[words.index("--limit") + 1] if "--limit" in words else None
        for word, benchmark in pairwise(words):
            if word == "--benchmark":
                asked.append(benchmark)
                save_evaluation(
                    made(kind(words), benchmark, weights[kind(words)], limit=limit), tmp_path / "to"
                )

    def spec_of(system):
        known = kind(system.words([]))
        return spec(known, weights=weights[known] * 64).fingerprint

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(world_mini, "run_command", measure)
    monkeypatch.setattr(world_mini.System, "spec", spec_of)
    (tmp_path / "untrained").mkdir()
    return commands, asked, weights


WORDS = ("--to", "to", "--untrained", "untrained")


def test_what_is_saved_of_these_weights_is_not_measured_again(asked, tmp_path):
    commands, benchmarks, weights = asked
    world_mini.main(WORDS)
    assert len(benchmarks) == 10 + 6 + 2 * 4, "two systems answer in words, two do not"
    result = load_result("world_mini", folder=tmp_path / "results")
    assert {"seen_qa_figure", "untrained_matching_figure", "frames_reversal"} <= set(result.metrics)
    assert not {"concepts_qa_figure", "untrained_seen_qa_figure"} & set(result.metrics)
    assert result.metrics["reversal_mean_of_frames"] == result.metrics["frames_reversal"]
    assert result.details["model"] == {"name": "mini", "weights": "1" * 64}
    assert result.details["untrained_long_text"] == {"n": 9}
    world_mini.main(WORDS)
    assert len(commands) == 4 and len(benchmarks) == 24, "all was there"
    weights["mini"], weights["frames"] = "8", "9"
    world_mini.main(WORDS)
    assert len(benchmarks) == 24 + 10 + 4, "other weights are another model"


def test_a_stopped_run_goes_on_and_a_limited_one_is_not_saved(asked, tmp_path, capsys):
    commands, benchmarks, _ = asked
    world_mini.main([*WORDS, "--limit", "9"])
    assert "part of a run: not saved" in capsys.readouterr().out
    assert not (tmp_path / "results").exists()
    assert all("--limit" in words for words in commands)
    whole = len(benchmarks)
    world_mini.main(WORDS)
    assert len(benchmarks) == 2 * whole, "a limited figure is not the whole one"
    next((tmp_path / "to").glob("concepts-*/world-moments.json")).unlink()
    world_mini.main(WORDS)
    assert commands[8:] == [
        ["eval", "--model", "concepts", "--benchmark", "world-moments", "--to", "to"]
    ]
