"""Runs that teach thinking: exact resume, stages in a chain, what is saved."""

from dataclasses import replace

import pytest
import torch

from kinoscope import Embedder
from kinoscope.backbones.mini import untrained_mini
from kinoscope.errors import UsageError
from kinoscope.training.checkpoint import usable_weights
from kinoscope.training.lesson_config import STAGES, LessonConfig
from kinoscope.training.recipe import begin_with, embedder_of, run
from kinoscope.training.thinking_losses import THINKING_TERMS
from kinoscope.training.thoughts import PREFIX, Thoughts
from tests.training.learning import equal
from tests.training.tiny_recipes import FROZEN, LOOP, SAMPLING, tiny_recipe, weights
from tests.training.tiny_thinking import BOTH, IN_WORDS, VIDEOS

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture
def make(mini_set_up, tmp_path):
    """A stage of a tiny recipe that thinks."""

    def recipe(stage, thinking=VIDEOS, **changes):
        lessons = LessonConfig(
            shares=STAGES[stage], frozen=FROZEN, window_s=1.0, stride_s=0.5, thinking=thinking
        )
        return tiny_recipe(mini_set_up, tmp_path / "features", stage, lessons=lessons, **changes)

    return recipe


def all_weights(model) -> dict[str, torch.Tensor]:
    named = {PREFIX + n: v.detach().clone() for n, v in model.learned.named_parameters()}
    return weights(model.backbone) | named


def test_a_run_that_was_stopped_goes_on_bit_for_bit(make, tmp_path) -> None:
    undisturbed = run(make(1), tmp_path / "one", 1)[1]

    class Killed(Exception):
        pass

    def kill(record):
        if record["step"] == 2:
            raise Killed

    often = replace(LOOP, checkpoint_every_s=0.0)
    with pytest.raises(Killed):
        run(make(1, loop=often), tmp_path / "two", 1, progress=kill)
    steps: list[int] = []
    _, resumed = run(
        make(1), tmp_path / "two", 1, progress=lambda record: steps.append(record["step"])
    )
    assert steps == [2, 3] or steps == [3]
    assert equal(all_weights(undisturbed), all_weights(resumed))


def test_a_thinking_stage_begins_after_one_that_did_not_think_and_goes_on_after_one_that_did(
    make, mini_set_up, tmp_path
) -> None:
    run(make(1, thinking=None), tmp_path, 1)
    heard: list[dict] = []
    _, second = run(make(2), tmp_path, 2, progress=heard.append)
    assert {f"loss/{name}" for name in THINKING_TERMS[:4]} <= heard[-1].keys()
    assert any(bool(v.any()) for n, v in second.learned.named_parameters() if "leave" in n)
    kept = usable_weights(next((tmp_path / "stage-2").glob("step-*3")))
    found = all_weights(second)
    assert equal(
        {n: v for n, v in found.items() if n in kept}, {n: kept[n] for n in kept if n in found}
    )
    assert {n for n in kept if n.startswith(PREFIX)}
    again = Thoughts(untrained_mini(mini_set_up, layers=2), VIDEOS, 10).thinker
    begin_with(again, tmp_path / "stage-1")
    begin_with(again, tmp_path / "stage-2")
    assert equal(all_weights(again), found)


@pytest.mark.parametrize("thinking", [IN_WORDS, replace(BOTH, head="mean")])
def test_the_last_stage_mixes_thinking_with_all_other_lessons(make, thinking, tmp_path) -> None:
    heard: list[dict] = []
    recipe = make(3, thinking)
    shares = {"captions": 1.0, "questions": 1.0, "matching": 1.0, "moments": 1.0}
    lessons = replace(recipe.lessons, shares=shares)
    loop = replace(LOOP, steps=8)
    for stage in (1, 2):
        run(make(stage, thinking=None), tmp_path, stage)
    run(replace(recipe, lessons=lessons, loop=loop), tmp_path, 3, progress=heard.append)
    logged = {name for record in heard for name in record}
    assert {"loss/ponder", "loss/answer", "loss/match", "loss/locate", "loss/caption"} <= logged
    assert "loss/contrast" not in logged


def test_what_a_run_came_to_is_saved_and_loaded_with_its_thinking(make, tmp_path) -> None:
    _, found = run(make(1), tmp_path, 1)
    with torch.no_grad():
        found.halting.bias.fill_(0.2)
    embedder = embedder_of(found, SAMPLING)
    embedder.save(tmp_path / "model")
    again = Embedder.load(str(tmp_path / "model"))
    assert again.spec.thinking == embedder.spec.thinking
    assert again.spec.thinking.startswith("query none; document latent, halt at 0.5, at most 4;")
    for one, other in zip(
        embedder.think(["a circle moves"], "document"),
        again.think(["a circle moves"], "document"),
        strict=True,
    ):
        assert one.steps == other.steps
        assert one.vector_D @ other.vector_D > 0.9999  # weights are kept in float16


def test_a_model_that_does_not_think_refuses_the_weights_of_one_that_does(
    make, mini_set_up, tmp_path
) -> None:
    run(make(1), tmp_path, 1)
    with pytest.raises(UsageError, match=r"has thinking\.\S+, which this model has not: load the"):
        begin_with(untrained_mini(mini_set_up, layers=2), tmp_path / "stage-1")


def test_a_run_validates_with_the_vectors_of_thoughts(make, tmp_path) -> None:
    asked = []

    def validate(model, cache):
        asked.append((model.thinking, model.backbone.checkpoint.model.training))
        return {"score": 1.0}

    run(make(1, validate=validate, loop=replace(LOOP, validate_every=3)), tmp_path, 1)
    assert asked == [(VIDEOS.sides, False)]
