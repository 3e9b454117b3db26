"""Recipes and `kinoscope train`: stages in a chain, interruptions, mistakes, the model behind."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kinoscope import Embedder
from kinoscope.backbones.mini import untrained_mini
from kinoscope.errors import MediaError, UsageError
from kinoscope.training.checkpoint import final_checkpoint, usable_weights
from kinoscope.training.lesson_config import LessonConfig
from kinoscope.training.loop import train
from kinoscope.training.recipe import begin_with, load_recipe, stage_folder
from kinoscope.training.recipe import run as run_stage
from kinoscope.training.sources import GeneratedSource
from kinoscope.training.task import LoopConfig
from kinoscope.training.world import WorldConfig
from kinoscope.types import Frames
from kinoscope.weights import SIDE_PX
from tests.tiny import moving_frames
from tests.training.learning import Tiny, equal
from tests.training.tiny_recipes import (
    FROZEN,
    LOOP,
    more_videos,
    tiny_recipe,
    videos,
    weights,
    write_recipe,
)

pytestmark = pytest.mark.usefixtures("one_torch_thread")
SHORT = LoopConfig(steps=8, batch=6, lr=0.02)


@pytest.fixture(scope="module")
def features(tmp_path_factory) -> Path:
    """Where all tests of this file keep what the tower saw."""
    return tmp_path_factory.mktemp("features")


@pytest.fixture
def make(mini_set_up, features):
    """A stage's recipe: `make(1, loop=...)`."""
    return lambda stage, **changes: tiny_recipe(mini_set_up, features, stage, **changes)


def test_a_stage_begins_with_the_weights_of_all_before(make, mini_set_up, tmp_path) -> None:
    """Also with those of a part that the stage between has not trained."""
    trained = {0: ("connector",), 1: ("layers",), 2: ("norm",), 3: ()}
    ended = weights(untrained_mini(mini_set_up, layers=2))
    for stage, words in trained.items():
        backbone, began = untrained_mini(mini_set_up, layers=2), {}

        def source(backbone=backbone, began=began):
            began.update(weights(backbone))
            return videos()

        recipe = make(
            stage,
            model=lambda found=backbone: found,
            source=source,
            trained=words,
            loop=replace(LOOP, rates={}),
        )
        heard: list[str] = []
        report, found = run_stage(recipe, tmp_path, stage, tell=heard.append)
        assert (report.ended, report.progress.step) == ("finished", LOOP.steps)
        assert equal(began, ended), f"stage {stage}"
        changed = {name for name, value in weights(found).items() if (value != ended[name]).any()}
        assert changed and all(not words or any(w in name for w in words) for name in changed)
        assert not any(word in name for name in changed for word in ("embed_tokens", "lm_head"))
        assert (stage_folder(tmp_path, stage) / "journal.png").is_file()
        lines = [line for line in heard if line.startswith("begins with")]
        assert [line[-22:] for line in lines] == [f"/stage-{n}/step-00000003" for n in range(stage)]
        assert "world train 0..3: 4 videos, overlapping no benchmark" in heard
        ended = weights(found)


def test_an_interrupted_stage_ends_with_the_weights_of_one_that_was_not(make, tmp_path) -> None:
    def stop(record):
        if record["step"] == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    undisturbed = run_stage(make(1), tmp_path / "one", 1)[1]
    report, halfway = run_stage(make(1), tmp_path / "two", 1, progress=stop)
    assert (report.ended, report.progress.step) == ("stopped", 2)
    steps: list[int] = []
    report, resumed = run_stage(
        make(1), tmp_path / "two", 1, progress=lambda record: steps.append(record["step"])
    )
    assert (report.ended, steps) == ("finished", [3])
    assert equal(weights(undisturbed), weights(resumed))
    assert not equal(weights(undisturbed), weights(halfway))


def test_a_stage_without_those_before_it_is_refused(make, tmp_path) -> None:
    with pytest.raises(UsageError, match=r"stage-1 has no checkpoint: train the stage before fir"):
        run_stage(make(2), tmp_path, 2)
    (tmp_path / "stage-0").mkdir()
    with pytest.raises(UsageError, match="stage-0 has no checkpoint"):
        run_stage(make(1), tmp_path, 1)


def test_weights_of_another_model_are_refused(make, mini_set_up, tmp_path) -> None:
    run_stage(make(1, trained=("norm",), loop=replace(LOOP, rates={})), tmp_path, 1)
    with pytest.raises(UsageError, match=r"has model\.layers\.1\..*, which this model has not: l"):
        begin_with(untrained_mini(mini_set_up, layers=1), tmp_path / "stage-1")


def test_the_model_behind_a_run_is_the_best_one_by_its_moving_average(make, tmp_path) -> None:
    scores = iter([0.1, 0.9, 0.4])
    asked = []

    def validate(backbone, cache):
        asked.append((backbone.checkpoint.model.training, len(cache.features(videos(), 0))))
        return {"score": next(scores)}

    loop = replace(LOOP, validate_every=1, ema=0.5)
    report, found = run_stage(make(1, loop=loop, validate=validate), tmp_path, 1)
    assert asked == [(False, 4)] * 3
    assert final_checkpoint(tmp_path / "stage-1") == report.best
    assert report.progress.best_step == 2
    kept = usable_weights(report.best)
    assert equal({n: v for n, v in weights(found).items() if n in kept}, without_heat(kept))
    assert not equal(without_heat(kept), without_heat(usable_weights(report.last)))
    assert not found.checkpoint.model.training


def without_heat(found: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: values for name, values in found.items() if name != "temperature"}


def test_features_are_kept_from_model_to_model_where_the_tower_stays(make, mini_set_up) -> None:
    models = [untrained_mini(mini_set_up, layers=layers) for layers in (1, 2)]

    def folders(recipe) -> set[Path]:
        return {recipe.cache(model).folder for model in models}

    assert len(folders(make(0))) == 1
    assert len(folders(make(0, tower=None)) - folders(make(0))) == 2


class Unseen(GeneratedSource):
    """Texts whose videos nobody can look at."""

    def frames(self, number, sampling, span=None):
        raise MediaError("no_frames", f"{number} was asked for")


def test_lessons_of_texts_alone_look_at_no_video(make, tmp_path) -> None:
    config = WorldConfig(sprites=(), duration_s=2.0)
    recipe = make(
        0,
        source=lambda: Unseen("train", 4, config=config, wordings=3),
        lessons=LessonConfig(shares={"wordings": 1.0}, frozen=FROZEN),
        loop=replace(LOOP, rates={}),
    )
    recipe = replace(recipe, features=tmp_path / "features")
    began = weights(recipe.model())
    heard: list[str] = []
    report, found = run_stage(recipe, tmp_path, 0, tell=heard.append)
    assert (report.ended, report.progress.step) == ("finished", LOOP.steps)
    assert not any("features" in line or "no frames" in line for line in heard)
    assert recipe.cache(found).size_bytes == 0
    changed = {name for name, value in weights(found).items() if (value != began[name]).any()}
    assert any("layers" in name for name in changed)
    assert not any("connector" in name for name in changed), "no video was read"


def test_one_lesson_on_videos_is_enough_to_look_at_them(make) -> None:
    shares = {"wordings": 1.0, "words": 1.0}
    recipe = make(0, lessons=LessonConfig(shares=shares, frozen=FROZEN))
    heard: list[str] = []
    recipe.library(recipe.cache(recipe.model()), heard.append)
    assert "vision features of 4 of 4 videos" in heard


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("absent.py", None, "is no recipe: name a Python file with a function recipe"),
        ("small.txt", "def recipe(stage): ...", "is no recipe"),
        ("small.py", "recipes = 1", r"has no function recipe\(stage\): write one that returns"),
        ("small.py", "recipe = 1", r"has no function recipe\(stage\)"),
        ("small.py", "def recipe(stage): return {}", r"recipe\(3\) of .* gives dict, not a Recipe"),
    ],
)
def test_what_is_no_recipe_is_refused(tmp_path, name, text, sentence) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=sentence):
        load_recipe(tmp_path / name, 3)


def test_a_file_may_define_dataclasses_and_choose_by_stage(mini_set_up, features, tmp_path) -> None:
    file = write_recipe(tmp_path, mini_set_up, features, stops=False)
    assert load_recipe(file, 0).lessons.shares == {"words": 1.0}
    assert load_recipe(file, 3).lessons.shares.keys() > {"matching", "moments"}


def test_train_writes_a_model_that_loads_and_goes_on_from_stage_to_stage(
    run, mini_set_up, features, tmp_path
) -> None:
    file = write_recipe(tmp_path / "recipe", mini_set_up, features, stops=False)
    code, out, err = run("train", file, "--stage", 0, "--to", tmp_path / "runs", "--json")
    assert code == 0, err
    assert [json.loads(line)["step"] for line in out.splitlines()] == [1, 2, 3, 4]
    assert "vision features of 4 of 4 videos" in err
    assert err.splitlines()[-1] == f"finished after step 4; model in {tmp_path}/runs/stage-0/model"
    code, out, err = run("train", file, "--stage", 1, "--to", tmp_path / "runs")
    assert (code, out) == (0, ""), err
    assert "step 4/4  loss " in err and "contrast " in err and "score -" in err
    embedder = Embedder.load(str(tmp_path / "runs" / "stage-1" / "model"))
    assert embedder.sampling.describe() == load_recipe(file, 1).sampling.describe()
    wanted = untrained_mini(mini_set_up, layers=2)
    begin_with(wanted, tmp_path / "runs" / "stage-0")
    begin_with(wanted, tmp_path / "runs" / "stage-1")
    video = Frames(moving_frames(4, SIDE_PX, SIDE_PX, 1).rgb_FHWC, np.arange(4) / 2)
    for content in ("a circle moves", video):
        one_D = embedder.encode_document(content)
        two_D = Embedder(wanted, sampling=embedder.sampling).encode_document(content)
        assert one_D @ two_D > 0.9999  # weights are kept in float16
    code, out, err = run("train", file, "--stage", 1, "--to", tmp_path / "runs")
    assert (code, out) == (2, "")
    assert err.endswith("stage-1/model is there: the stage is done; delete it to write the model"
                        " anew\n")  # fmt: skip


def test_train_stopped_by_a_signal_exits_130_and_goes_on(
    run, mini_set_up, features, tmp_path
) -> None:
    file = write_recipe(tmp_path / "recipe", mini_set_up, features, stops=True)
    words = ("train", file, "--to", tmp_path / "runs", "--json")
    code, out, err = run(*words)
    assert code == 130
    assert [json.loads(line)["step"] for line in out.splitlines()] == [1, 2]
    assert err.endswith("stopped after step 2 of 4; run it again to go on\n")
    assert not (tmp_path / "runs" / "stage-1" / "model").exists()
    code, out, err = run(*words)
    assert code == 0, err
    assert [json.loads(line)["step"] for line in out.splitlines()] == [3, 4]
    assert run(*words[:3], tmp_path / "again")[0] == 0  # is not stopped
    one, other = (
        usable_weights(tmp_path / place / "stage-1" / "step-00000004")
        for place in ("runs", "again")
    )
    assert equal(one, other)


def test_two_launched_processes_train_as_one_and_write_once(
    run, mini_set_up, features, tmp_path
) -> None:
    file = write_recipe(tmp_path / "recipe", mini_set_up, features, stops=False)
    code, out, err = run("train", file, "--to", tmp_path / "one", "--json")
    assert code == 0, err
    alone = [json.loads(line)["loss"] for line in out.splitlines()]
    base = f"from tests.training.tiny_recipes import MiniFiles, Path\nbase = {mini_set_up!r}\n"
    base = base.replace("PosixPath", "Path")
    patched = "from kinoscope.backbones import mini_folder\nmini_folder.mini_files = lambda: base\n"
    file.write_text(f"{file.read_text()}\n{base}{patched}")  # the other processes know no fixture
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    words = ["--nproc_per_node", "2", "-m", "kinoscope", "train", file, "--json"]
    done = subprocess.run(
        [str(word) for word in (*launcher, *words, "--to", tmp_path / "two")],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path.cwd())},
    )
    assert done.returncode == 0, done.stderr
    together = [json.loads(line)["loss"] for line in done.stdout.splitlines()]
    assert together == pytest.approx(alone, rel=1e-3)
    assert done.stderr.count("model in") == 1
    assert Embedder.load(str(tmp_path / "two" / "stage-1" / "model")).dimension > 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["absent.py"], "kinoscope: absent.py is no recipe: name a Python file"),
        (["RECIPE", "--stage", "2"], "stage-1 has no checkpoint: train the stage before first"),
    ],
)
def test_a_mistake_is_one_sentence(
    run, mini_set_up, features, tmp_path, monkeypatch, words, sentence
) -> None:
    monkeypatch.chdir(tmp_path)
    file = write_recipe(tmp_path, mini_set_up, features, stops=False)
    code, out, err = run("train", *[file if word == "RECIPE" else word for word in words])
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert sentence in err
    assert "runs/small/stage-1" in err or words == ["absent.py"]


def test_the_final_checkpoint_is_the_best_else_the_last(tmp_path) -> None:
    assert final_checkpoint(tmp_path) is None
    plain = train(Tiny(), SHORT, tmp_path / "plain")
    assert final_checkpoint(tmp_path / "plain") == plain.last
    config = replace(SHORT, validate_every=2)
    judged = train(Tiny(scores=[1.0, 3.0, 2.0, 0.0]), config, tmp_path / "judged")
    assert final_checkpoint(tmp_path / "judged") == judged.best != judged.last


@pytest.mark.parametrize("name", ["manifest.json", "weights.safetensors"])
@pytest.mark.parametrize("which", ["best", "last"])
def test_a_damaged_checkpoint_is_never_the_final_one(tmp_path, which, name) -> None:
    config = replace(SHORT, validate_every=2)
    report = train(Tiny(scores=[1.0, 3.0, 2.0, 0.0]), config, tmp_path)
    path = getattr(report, which) / name
    whole = path.read_bytes()
    path.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    if name == "manifest.json":
        path.write_bytes(whole[:-9])
    with pytest.raises(UsageError, match=r"step-0.* is damaged .*: delete its folder, and train"):
        final_checkpoint(tmp_path)
    assert usable_weights(report.last if which == "best" else report.best)


def test_a_recipe_may_have_several_sources_side_by_side(make, tmp_path) -> None:
    heard: list[str] = []
    both = make(1, source=lambda: (videos(), more_videos()))
    library = both.library(both.cache(both.model()), heard.append)
    assert len(library) == len(videos()) + len(more_videos())
    assert library.example(4) == more_videos().example(0)
    assert [line for line in heard if "overlapping" in line] == [
        "world train 0..3: 4 videos, overlapping no benchmark",
        "world train 8..9: 2 videos, overlapping no benchmark",
    ]
    report, _ = run_stage(both, tmp_path, 1)
    assert report.ended == "finished"
