"""The ablation of losses: arms differ in their pre-training's terms and in nothing else."""

from dataclasses import replace

import pytest

from kinoscope.errors import UsageError
from recipes import ablation_gcm
from recipes.ablation_gcm import ARMS, PRE_STEPS, TASK_STEPS, TRAINING, pre_training, tasks

PRE_TRAINED = [arm for arm, terms in ARMS.items() if terms]


@pytest.mark.parametrize("arm", PRE_TRAINED)
def test_a_pre_training_has_the_terms_of_its_arm_and_the_budget_of_all(arm) -> None:
    recipe = pre_training(arm)
    weighed = {name for name, weight in recipe.lessons.weights.items() if weight}
    assert weighed == set(ARMS[arm]) != set()
    assert ("matching" in recipe.lessons.shares) == ("match" in ARMS[arm])
    assert recipe.loop == pre_training("gcm").loop
    assert recipe.loop.steps == PRE_STEPS and recipe.loop.validate_every is None
    assert recipe.lessons == replace(
        pre_training("gcm").lessons, shares=recipe.lessons.shares, weights=recipe.lessons.weights
    )


def test_all_arms_learn_the_tasks_that_are_measured_from_videos_alone() -> None:
    recipe = tasks()
    assert {"captions", "questions", "moments"} <= set(recipe.lessons.shares)
    assert "distil" not in recipe.lessons.shares
    assert recipe.loop.steps == TASK_STEPS
    for each in (recipe, ablation_gcm.warm_up(), pre_training("c")):
        source = each.source()
        assert len(source) == TRAINING and source.name.startswith("world train ")
        assert each.validate is None


def test_an_unknown_arm_is_refused() -> None:
    with pytest.raises(UsageError, match="arm 'gm': choose gcm, gc, g, c, none"):
        ablation_gcm.main(["gm"])
