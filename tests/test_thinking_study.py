"""The study of thinking from end to end in small, and its tables and plot of what it saved."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from kinoscope.backbones.mini import SAMPLING, untrained_mini
from kinoscope.backbones.mini_folder import save_mini
from kinoscope.errors import UsageError
from kinoscope.evaluation.results import load_result, save_result
from kinoscope.evaluation.world.adaptive import Gallery, halted, step_losses
from kinoscope.evaluation.world.table import World
from kinoscope.training.recipe import embedder_of
from kinoscope.training.sources import GeneratedSource
from kinoscope.training.thinking_losses import ThinkingLossConfig
from kinoscope.training.thoughts import ThinkingLesson, untaught
from kinoscope.training.world import WorldConfig
from kinoscope.types import Features
from recipes import (
    halting_ideas,
    mini_thinking,
    thinking_study,
    thinking_subject,
    thinking_tables,
)
from recipes.thinking_subject import Subject, by_rule, load_thinker, read, seen, thought_of
from tests.tiny_mini import as_if_trained
from tests.training.tiny_recipes import FROZEN, tiny_recipe

pytestmark = pytest.mark.usefixtures("one_torch_thread")
NAMED = {
    *("adaptive_r1", "adaptive_mean_steps", "converged_r1", "converged_mean_steps"),
    *("eos_r1", "eos_mean_steps", "spearman_events", "spearman_gain", "shuffled_r1"),
    *("still_image_steps", "cost_ratio", "last_token_r1", "kvformer_r1", "mean_r1"),
    *(f"fixed_r1_{k}" for k in range(1, 9)),
}
PLAIN = WorldConfig(sprites=(), duration_s=2.0)


def unit(values):
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def mini(base):
    return as_if_trained(untrained_mini(base, layers=2))


@pytest.fixture
def model(mini_set_up, tmp_path):
    """A folder with a mini that thinks, and stops at various steps."""
    thinker = untaught(mini(mini_set_up), mini_thinking.thinking())
    with torch.no_grad():
        generator = torch.Generator().manual_seed(0)
        weight = thinker.halting.weight
        weight.copy_(torch.randn(weight.shape, generator=generator) * 0.1)
    embedder_of(thinker, SAMPLING).save(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def small(mini_set_up, tmp_path, monkeypatch):
    """Arms of one step on a few plain videos, and few repetitions."""

    def arm(lesson: ThinkingLesson | None):
        made = tiny_recipe(mini_set_up, tmp_path / "features", 1)
        lessons = replace(made.lessons, thinking=lesson, frozen=FROZEN)
        loop = replace(made.loop, steps=1, rates={})
        return replace(made, model=lambda: mini(mini_set_up), lessons=lessons, loop=loop)

    heads = {"last_token": None, "last_thought": "last", "mean": "mean", "kvformer": "kv-former"}
    arms = {
        name: partial(arm, head and mini_thinking.thinking(head)) for name, head in heads.items()
    }
    assert arms.keys() == thinking_study.HEADS.keys()
    monkeypatch.setattr(thinking_study, "HEADS", arms)
    monkeypatch.setattr(thinking_study, "RUNS", tmp_path / "heads")
    monkeypatch.setattr(thinking_study, "World", partial(World, config=PLAIN))
    monkeypatch.setattr(thinking_study, "_ROUNDS", 2)
    monkeypatch.setattr(thinking_subject, "_GROUP", 5)  # no divisor of the videos


def test_the_study_runs_saves_and_is_told(model, small, tmp_path, monkeypatch, capsys) -> None:
    saved = tmp_path / "results"
    monkeypatch.setattr(thinking_study, "save_result", partial(save_result, folder=saved))
    monkeypatch.setattr(thinking_tables, "RESULTS", saved)
    thinking_study.main(["heads"])
    assert sorted(path.name for path in (tmp_path / "heads").iterdir()) == sorted(
        thinking_study.HEADS
    )
    thinking_study.main(["--model", str(model), "--videos", "8"])
    assert "part of a run: not saved" in capsys.readouterr().out
    assert not saved.exists()

    monkeypatch.setattr(thinking_study, "World", partial(World, count=9, config=PLAIN))
    pictures = []
    draw = partial(thinking_tables.plot, path=tmp_path / "thinking.png")
    monkeypatch.setattr(thinking_tables, "plot", lambda: pictures.append(draw()))
    thinking_study.main(["--model", str(model)])
    result = load_result("thinking_study", folder=saved)
    assert result.metrics.keys() >= NAMED
    assert pictures[0].stat().st_size > 1000
    known = result.metrics
    assert 1 <= known["adaptive_mean_steps"].value <= 8
    assert sum(result.details["histogram"]) == 9
    assert known["cost_ratio"].value > 0
    page = thinking_tables.study_table()
    assert "| learned halting | " in page and "| KV-Former | " in page
    assert page.count("| fixed at ") == 8
    assert "By `python -m recipes.thinking_study`." in page


def test_ways_to_teach_halting_are_measured_and_told(model, small, tmp_path, monkeypatch) -> None:
    saved = tmp_path / "results"
    monkeypatch.setattr(halting_ideas, "save_result", partial(save_result, folder=saved))
    monkeypatch.setattr(thinking_tables, "RESULTS", saved)
    monkeypatch.setattr(halting_ideas, "World", lambda **_: World(count=9, config=PLAIN))
    monkeypatch.setattr(halting_ideas, "GeneratedSource", partial(GeneratedSource, config=PLAIN))
    monkeypatch.setattr(halting_ideas, "TAUGHT", 10)
    monkeypatch.setattr(halting_ideas, "_ROUNDS", 3)
    halting_ideas.main(["--model", str(model)])
    known = load_result("halting_ideas", folder=saved).metrics
    for name in ("trained", *halting_ideas.IDEAS, "known"):
        for test in ("", "busy_"):
            assert 1 <= known[f"{test}{name}_mean_steps"].value <= 8
            assert known[f"{test}{name}_r1"].n == 9
    page = thinking_tables.ideas_table()
    assert "| as trained | " in page and "| no prior | " in page
    assert "By `python -m recipes.halting_ideas`." in page


def subject_of(states_VKD, videos_VKD, texts_VD) -> Subject:
    count, steps, _ = states_VKD.shape
    return Subject(
        thinker=None,
        videos=None,
        gallery=Gallery(
            texts_VD=texts_VD.astype(np.float32),
            videos_VKD=videos_VKD.astype(np.float32),
            keys=[f"{number}" for number in range(count)],
        ),
        states_VKD=states_VKD.astype(np.float32),
        halting_VK=np.full((count, steps), 1 / steps, np.float32),
        curve_VK=np.ones((count, steps), np.float32),
    )


@pytest.mark.parametrize(
    ("idea", "late"),
    [
        ("no_prior", 4),
        # the last step gains less than its margin, and states do not tell the steps apart: a third
        ("gain_among_all", 2),
    ],
)
def test_halting_learns_to_go_on_where_it_pays(idea, late, monkeypatch) -> None:
    """Half of the videos are nearest at first, half at last; states say which."""
    generator = np.random.default_rng(0)
    texts_VD = unit(generator.normal(size=(60, 32)))
    late_V = np.arange(60) % 2 == 1
    shares_K = np.array([0.1, 0.4, 0.7, 1.0])
    shares_VK1 = np.where(late_V[:, None], shares_K, shares_K[::-1])[..., None]
    others_VD = unit(generator.normal(size=(60, 32)))
    videos_VKD = unit(shares_VK1 * texts_VD[:, None] + (1 - shares_VK1) * others_VD[:, None])
    states_VKD = np.repeat(np.where(late_V, 1.0, -1.0)[:, None, None], 4, axis=1)
    subject = subject_of(states_VKD, videos_VKD, texts_VD)
    monkeypatch.setattr(halting_ideas, "_RATE", 0.1)
    halting = halting_ideas.taught(subject, halting_ideas.IDEAS[idea])
    steps_V = halted(halting_ideas.chances(halting, subject.states_VKD), 0.5)
    assert set(steps_V[~late_V]) == {1}
    assert set(steps_V[late_V]) == {late}
    assert halting_ideas.best_steps(subject.gallery)[late_V].tolist() == [4] * 30
    assert halting_ideas.best_steps(subject.gallery)[~late_V].tolist() == [1] * 30


def test_losses_within_groups_are_those_of_each_group_alone() -> None:
    generator = np.random.default_rng(1)
    vectors = unit(generator.normal(size=(10, 3, 8)))
    gallery = subject_of(vectors, vectors, unit(generator.normal(size=(10, 8)))).gallery
    whole = halting_ideas.losses_among(gallery, 4)
    assert whole.shape == (10, 3)
    for first in (0, 4, 8):
        rows = slice(first, first + 4)
        alone = step_losses(gallery, rows, temperature=halting_ideas._TEMPERATURE)
        np.testing.assert_allclose(whole[rows], alone)
    among_all = halting_ideas.losses_among(gallery, 10)
    assert (among_all > whole).all(), "more videos to confuse it with"


def test_one_pass_gives_what_each_rule_gives_when_it_is_run(model, small) -> None:
    """The vectors and steps of all rules, out of all steps of all videos, one read."""
    thinker = load_thinker(str(model))
    world = World(count=8, config=PLAIN)
    subject = read(thinker, seen(thinker.backbone, world.test(), 8))
    steps_V = subject.steps_V
    assert len(set(steps_V.tolist())) > 1, "all stop at the same step: that proves little"
    for rule, wanted_V in (
        (subject.rule, steps_V),
        (replace(subject.rule, rule="fixed", max_steps=3), np.full(8, 3)),
        (
            replace(subject.rule, rule="converged", epsilon=0.05),
            thinking_study.converged(subject.curve_VK, 0.05),
        ),
    ):
        thoughts = thought_of(by_rule(thinker, rule), subject.videos)
        assert [thought.steps for thought in thoughts] == wanted_V.tolist()
        chosen_VD = subject.gallery.videos_VKD[np.arange(8), wanted_V - 1]
        for thought, vector_D in zip(thoughts, chosen_VD, strict=True):
            assert thought.vector_D @ vector_D > 0.9999


def test_a_still_is_the_middle_frame_as_long_as_the_video() -> None:
    clip = Features(np.arange(10.0).reshape(5, 2), np.arange(5) / 2)
    made = thinking_study.still(clip)
    assert made.times_F.tolist() == clip.times_F.tolist()
    assert (made.values_F == clip.values_F[2]).all()


def test_a_model_that_has_not_learned_to_stop_is_refused(mini_set_up, tmp_path) -> None:
    save_mini(mini(mini_set_up), SAMPLING, tmp_path / "plain")
    with pytest.raises(UsageError, match="has not learned when to stop: train recipes/mini_th"):
        thinking_study.main(["--model", str(tmp_path / "plain")])


def test_arms_differ_in_the_head_alone() -> None:
    recipes = {name: make() for name, make in thinking_study.HEADS.items()}
    assert recipes["last_token"].lessons.thinking is None
    thinking = {name: recipe.lessons.thinking for name, recipe in recipes.items()}
    del thinking["last_token"]
    assert {name: each.head for name, each in thinking.items()} == {
        "last_thought": "last",
        "mean": "mean",
        "kvformer": "kv-former",
    }
    assert len({replace(each, head="mean") for each in thinking.values()}) == 1
    assert {recipe.loop.steps for recipe in recipes.values()} == {thinking_study.HEAD_STEPS}
    assert ThinkingLossConfig() == mini_thinking.LOSS
