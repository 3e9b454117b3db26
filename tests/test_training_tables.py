"""Tables of trainings: they find every figure that the recipes save, and say what was reached."""

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from kinoscope.backbones.mini import SAMPLING
from kinoscope.errors import UsageError
from kinoscope.evaluation.frame_means import FrameMeans
from kinoscope.evaluation.results import Metric, load_result, save_result
from kinoscope.evaluation.sample_clips import Described
from kinoscope.evaluation.world import matching, questions
from kinoscope.evaluation.world.table import SEEN_TASKS, TASKS, Measurement, System, World
from kinoscope.evaluation.world.videos import with_frame_vectors
from kinoscope.training.checkpoint import Checkpoints, Saved
from kinoscope.training.journal import Journal
from kinoscope.training.sources import GeneratedSource
from kinoscope.training.sources.feature_cache import Library
from kinoscope.training.sources.joined import JoinedLibrary
from kinoscope.training.timing import STAGES
from recipes import (
    ablation_gcm,
    mini_speed,
    mini_training,
    samples_mini,
    training_tables,
    world_mini,
    world_tables,
)
from recipes.index_speed import Command, Run
from tests.evaluation.oracles import FPS, PLAIN, Constant, Oracle
from tests.evaluation.report.made import evaluation, protocol

WORLD = World(count=12, chosen_on=6, guessed_from=20, config=PLAIN)
CLIPS = 12


def systems() -> dict[str, System]:
    """By what stands before their metrics: a perfect one, and others that are not."""
    perfect, constant = Oracle(), Constant()
    blind = System(
        backbone=FrameMeans(perfect),
        see=lambda source: with_frame_vectors(perfect, perfect.see(source)),
        fps=FPS,
    )
    return {
        "": System(backbone=perfect, see=perfect.see, fps=FPS),
        "untrained_": System(backbone=constant, see=constant.see, fps=FPS),
        "frames_": blind,
        "concepts_": System(backbone=constant, see=constant.see, fps=FPS),
    }


def worded(system: System, *, seen: bool):
    """Answers of which every other is right, and a matching that knows the truth."""
    videos = system.see(WORLD.test(seen=seen)).first(WORLD.count)
    asked, pairs = questions.asked_of(videos), matching.pairs_of(videos)
    right_Q = (np.arange(len(asked)) % 2).astype(np.float64)
    yield "qa", questions.qa(asked, right_Q, np.full(len(asked), 0.25))
    yield "matching", matching.matching(pairs, np.ones(len(pairs)), np.zeros(len(pairs)))


@pytest.fixture(scope="module")
def world():
    """Metrics and details, as `recipes.world_mini` gathers them."""
    return world_mini.gathered({prefix: list(evaluations(prefix)) for prefix in systems()})


def evaluations(prefix):
    """As `kinoscope eval` saves them, a task at a time."""
    system = systems()[prefix]
    for seen in (False, True):
        measurement = Measurement(system, WORLD, seen=seen)
        found = [(name, measurement.task(name)) for name in (SEEN_TASKS if seen else TASKS)
                 if name in system.tasks]  # fmt: skip
        if prefix in ("", "untrained_"):
            found += worded(system, seen=seen)
        for task, (metrics, told) in found:
            source = WORLD.test(seen=seen)
            world = {"world": source.name, "fingerprint": source.fingerprint}
            yield evaluation(
                f"world-{'seen-' if seen else ''}{task}",
                {},
                metrics=metrics,
                protocol=protocol(gallery=WORLD.count, details={**world, task: told}),
            )


@pytest.fixture
def save(world, monkeypatch, tmp_path):
    """Saves the world's figures, some of them changed, where the tables look for them."""
    monkeypatch.setattr(training_tables, "RESULTS", tmp_path)

    def write(**changed: float) -> None:
        metrics, details = world
        others = {
            name: replace(metrics[name], value=v, low=v, high=v) for name, v in changed.items()
        }
        save_result("world_mini", metrics | others, details=details, folder=tmp_path)

    return write


def rows(table: str) -> dict[str, list[str]]:
    """Cells by those of the first column; every row has as many as the head."""
    lines = [line for line in table.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert len({len(row) for row in cells}) == 1, cells
    return {row[0]: row[1:] for row in [cells[0], *cells[2:]]}


def test_every_task_of_the_world_has_a_row_with_all_systems_and_a_guess(save):
    save()
    found = rows(world_tables.world_table())
    assert found[""] == ["mini", "untrained", "mean of its frames", "concepts", "a guess", "target"]
    assert found["text to video, R@1"][:2] == ["100.0 % (100.0 to 100.0)", "0.0 % (0.0 to 0.0)"]
    assert found["text to video, R@1"][4] == "8.3 %"
    assert found["text to video, R@10"][4] == "83.3 %"
    assert found["matching, AUC"][:1] == ["1.000 (1.000 to 1.000)"]
    assert found["questions, accuracy"][4] == "likeliest 25.0 %"
    moments = found["moments, R1@0.5"][4]
    known = load_result("world_mini", folder=training_tables.RESULTS).metrics
    assert moments == "; ".join(
        f"{label} {100 * known[f'moments_{name}'].value:.1f} %"
        for label, name in (("whole video", "whole_video"), ("centre", "centre_prior"))
    )
    for name in ("questions, accuracy", "matching, AUC"):
        assert found[name][2:4] == ["", ""], "a model without words was asked"
    assert all(all(cells[:4]) for name, cells in found.items() if name.startswith("rev"))


def test_figures_of_another_world_are_not_put_beside_each_other():
    foreign = {"world": "world test 0..5", "fingerprint": "0" * 64, "retrieval": {}}
    metrics = {"t2v_r1": Metric(value=1.0, n=5)}
    found = {prefix: list(evaluations(prefix)) for prefix in ("", "frames_")}
    found[""].append(
        evaluation("world-retrieval", {}, metrics=metrics, protocol=protocol(details=foreign))
    )
    with pytest.raises(UsageError, match=r"figures of other worlds: .*world test 0\.\.5"):
        world_mini.gathered(found)


def test_tasks_on_nouns_of_the_training_follow_those_on_held_out_ones(save):
    save(seen_t2v_r1=0.75, seen_qa_accuracy=0.8125)
    lines = world_tables.world_table().splitlines()
    names = ("text to video, R@1", "questions, accuracy")
    after = [
        lines[k + 1]
        for k, line in enumerate(lines)
        if line.startswith(tuple(f"| {n} |" for n in names))
    ]
    assert [line.split("|")[1].strip() for line in after] == ["the same, nouns of the training"] * 2
    assert [line.split("|")[2].split("(")[0].strip() for line in after] == ["75.0 %", "81.2 %"]


def test_a_target_is_reached_from_its_value_on(save):
    save(t2v_r1=0.5, t2v_r10=0.8499, reversal_v2t=0.9, reversal=0.89, frames_reversal=0.55)
    aims = {name: cells[5] for name, cells in rows(world_tables.world_table()).items()}
    assert aims["text to video, R@1"] == "50 %, reached"
    assert aims["text to video, R@10"] == "85 %, not reached"
    assert aims["questions, accuracy"] == "75 %, not reached"
    assert aims["matching, AUC"] == "0.95, reached"
    assert aims["reversed pairs, video to text"] == "90 %, reached"
    both = "90 %, not reached; mean of its frames 50 ± 3 %"
    assert aims["reversed pairs, both ways"] == f"{both}, not reached"
    save(reversal=0.89, frames_reversal=0.529)
    aims = {name: cells[5] for name, cells in rows(world_tables.world_table()).items()}
    assert aims["reversed pairs, both ways"] == f"{both}, reached"


def test_opposites_and_kinds_are_told_one_by_one_the_best_first(save, world):
    save()
    found = rows(world_tables.opposites_table())
    assert len(found) == 1 + 15
    assert found["close / open"][1:] == ["100.0 %", "0.0 %", found["close / open"][3], "0.0 %"]
    asked = rows(world_tables.questions_table())
    kinds = world[1]["qa"]["by_kind"]
    assert set(asked) == {"question", *kinds}
    assert sum(int(cells[0]) for cells in list(asked.values())[1:]) == world[0]["qa_accuracy"].n
    shares = [float(cells[1].split()[0]) for cells in list(asked.values())[1:]]
    assert shares == sorted(shares, reverse=True)
    wrong = rows(world_tables.mismatches_table())
    assert set(wrong) == {"wrong fact", *world[1]["matching"]["by_kind"]}
    assert all(cells[1:] == ["1.000", "1.000", "100.0 %"] for cells in list(wrong.values())[1:])


def test_sample_clips_show_both_models_and_what_the_rule_says(save, tmp_path):
    clips_ND = np.eye(CLIPS, dtype=np.float32)
    right, wrong = np.ones(CLIPS, np.int64), np.full(CLIPS, 7)
    described = Described(
        prompts=["a"] * CLIPS, queries_ND=clips_ND, clips_ND=clips_ND, labels=[["a"]] * CLIPS
    )
    metrics = samples_mini.compared(right, wrong)
    for prefix, found in (("", right), ("concepts_", wrong)):
        metrics |= samples_mini.recalls(prefix, found, described)
        metrics |= samples_mini.sensitivity(prefix, clips_ND, clips_ND)
    said = samples_mini.rule(metrics)
    save_result("samples_mini", metrics, details={"rule": said}, folder=tmp_path)
    save()
    table = training_tables.samples_table()
    found = rows(table)
    assert found["R@5"][:2] == ["100.0 % (100.0 to 100.0)", "0.0 % (0.0 to 0.0)"]
    assert found["R@5"][2] == "below 0.001"
    assert found["R@10"][2:] == ["1.000", "83.3 %"]
    assert found["median rank"] == ["1", "7", "", ""]
    for name, verdict in said.items():
        assert f"* {name}: {verdict}\n" in table
    assert re.findall(r"^\* (.*?):", table, re.M)[-1] == "default"


def test_the_ablation_stands_beside_the_published_one(monkeypatch, tmp_path):
    monkeypatch.setattr(training_tables, "RESULTS", tmp_path)
    details = {
        "published": ablation_gcm.published(),
        "warm_steps": 10,
        "pre_steps": 20,
        "task_steps": 30,
        "batch": 4,
        "videos": 50,
        "training": 90,
    }
    names = [f"{arm}_{name}" for arm in ablation_gcm.ARMS for name in ablation_gcm.NAMES]
    metrics = {
        name: Metric(value=place / 100, low=0.0, high=1.0, n=50) for place, name in enumerate(names)
    }
    save_result("ablation_gcm", metrics, details=details, folder=tmp_path)
    table = training_tables.ablation_table()
    found = rows(table)
    assert len(found) == 1 + len(ablation_gcm.ARMS)
    ours = [float(cell.split(" ")[0]) for cells in list(found.values())[1:] for cell in cells[:4]]
    assert ours == list(range(len(names)))
    assert found["generation"][4:] == ["61.3 %", "25.1 %", "28.7 %"]
    assert "20 steps of 4, then 30 steps of the tasks, on 90 videos" in table


def speed_of(wall_s, *, tower, query_ms):
    """Index runs of 600 s of video, of whose processor time the model takes half."""
    costs = {"scan": 0.0, "identify": 0.0, "decode": 9.6, "vision": 10.0, "write": 0.4}
    report = {"video_s": 600.0, "stages": {name: {"cpu_s": cost} for name, cost in costs.items()}}
    start = Command(wall_s=4.5, peak_rss_mb=700.4, printed="")
    asked = len(mini_speed.SENTENCES) * mini_speed.ROUNDS
    return mini_speed.Speed(
        runs=[Run(wall_s=s, peak_rss_mb=1234.5, report=report) for s in (wall_s, wall_s, 600.0)],
        tower=tower,
        query_ms=[query_ms] * (asked - 1) + [900.0],
        starts=[start] * 2,
    )


def test_how_fast_mini_is_stands_beside_concepts_and_the_targets(monkeypatch, tmp_path):
    monkeypatch.setattr(training_tables, "RESULTS", tmp_path)
    embedder = SimpleNamespace(spec=SimpleNamespace(model="mini", weights="0", sampling="2fps"))
    concepts = speed_of(20.0, tower=None, query_ms=8.0)
    found = {}
    for wall_s, query_ms in ((100.0, 100.0), (61.0, 99.96), (60.0, 100.1)):
        models = {
            "mini": speed_of(wall_s, tower=0.75, query_ms=query_ms),
            "concepts": concepts,
        }
        metrics, details = mini_speed.compared(models), mini_speed.told(embedder, models)
        save_result("mini_speed", metrics, details=details, folder=tmp_path)
        found[wall_s] = rows(training_tables.mini_speed_table())
    names = {metric for _label, metric, _unit in training_tables._MINI_SPEED}
    assert {name.removeprefix("concepts_") for name in metrics} == names
    first, second, third = found.values()
    assert first[""] == ["mini", "concepts", "target"]
    speed, query = "indexing a 10-minute 720p film, `exact`", "a query encoded, p50"
    assert first[speed][:2] == ["6 x real time", "30 x real time"]
    assert first["times as fast as `concepts`"] == ["0.2", "", ""]
    assert first["vision tower"] == ["37.5 %", "50.0 %", ""]
    assert first["language model"] == ["12.5 %", "", ""]
    assert first["memory while indexing"][0] == "1234 MB"
    aims = [cells[speed][2] for cells in (first, second, third)]
    assert aims == [
        "5 x, reached; goal 10 x, not reached",
        "5 x, reached; goal 10 x, not reached",
        "5 x, reached; goal 10 x, reached",
    ]
    reached = [cells[query][2] for cells in (first, second, third)]
    assert reached == ["100 ms, reached", "100 ms, reached", "100 ms, not reached"]


def journal_in(folder, steps):
    journal = Journal(folder)
    for step in range(1, steps + 1):
        spent = {f"{part}_s": 15.0 for part in STAGES}
        checked = {"validate/t2v_r1": 0.5, "validate/t2v_r10": 1.0, "validate/reversal": 0.75}
        journal.append({"step": step, "loss/words": 1.0, **spent, **(checked if step == 2 else {})})


def test_a_stage_tells_its_videos_steps_and_validations(monkeypatch, tmp_path):
    monkeypatch.setattr(training_tables, "RESULTS", tmp_path)
    first, last = tmp_path / "stage-0", tmp_path / "stage-3"
    journal_in(first, 1)
    journal_in(last, 2)
    cache = SimpleNamespace(sampling=SAMPLING)
    world, more = GeneratedSource("train", 9, config=PLAIN), GeneratedSource("test", 20)
    data = JoinedLibrary([Library(world, cache), Library(more, cache, [3, 4])]).describe()
    saved = Saved(step=2, weights={}, average={}, state={}, best_step=None)
    Checkpoints(folder=last, config={"loop": {}, "task": {"data": data}}).save(saved)
    stages = [mini_training.told(folder) for folder in (first, last)]
    videos = [stage["videos"] for stage in stages]
    assert videos == [{}, {"world train 0..8": 9, "world test 0..19": 2}]
    steps = Metric(value=3.0, n=2)
    save_result("mini_training", {"steps": steps}, details={"stages": stages}, folder=tmp_path)
    found = rows(training_tables.runs_table())
    assert found["stage-0"] == ["", "1", "1", "words 1"]
    assert found["stage-3"][:2] == ["9 of world train 0..8; 2 of world test 0..19", "2"]
    assert rows(training_tables.validations_table())["stage-3"] == ["2", "0.500", "1.000", "0.750"]


def test_more_training_stands_behind_what_was_saved_before(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # where results are saved
    first, last = tmp_path / "stage-0", tmp_path / "stage-3"
    journal_in(first, 1)
    journal_in(last, 2)
    for arguments in ([first], ["--more", last]):
        mini_training.main([str(argument) for argument in arguments])
    result = load_result("mini_training", folder=tmp_path / "results")
    assert [stage["stage"] for stage in result.details["stages"]] == ["stage-0", "stage-3"]
    assert (result.metrics["steps"].value, result.metrics["steps"].n) == (3.0, 2)
