"""The recipe that teaches `mini` to think, in small: from a trained folder to one that thinks."""

from dataclasses import replace

import numpy as np
import pytest

from kinoscope import Embedder
from kinoscope.backbones.mini import untrained_mini
from kinoscope.backbones.mini_folder import save_mini
from kinoscope.errors import UsageError
from kinoscope.thinking.config import Thinking
from kinoscope.training.recipe import embedder_of, run
from kinoscope.training.thinking_losses import THINKING_TERMS
from kinoscope.types import Frames
from kinoscope.weights import SIDE_PX
from recipes import mini_thinking
from tests.tiny import moving_frames
from tests.tiny_mini import as_if_trained
from tests.training.tiny_recipes import SAMPLING, videos

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture
def folder(mini_set_up, tmp_path):
    """A trained mini."""
    place = tmp_path / "trained"
    save_mini(as_if_trained(untrained_mini(mini_set_up, layers=2)), SAMPLING, place)
    return place


def small(folder, tmp_path, **changes):
    recipe = mini_thinking.recipe(1)
    lessons = replace(recipe.lessons, shares={"captions": 2.0, "moments": 1.0})
    loop = replace(recipe.loop, steps=6, batch=2, validate_every=None, mixed_precision="no")
    fields = {"source": videos, "sampling": SAMPLING, "validate": None, "lessons": lessons}
    return replace(
        recipe,
        model=lambda: mini_thinking.trained_mini(folder),
        loop=loop,
        features=tmp_path / "features",
        **{**fields, **changes},
    )


def test_a_trained_mini_learns_to_think_and_is_saved(folder, tmp_path) -> None:
    heard: list[dict] = []
    _, found = run(small(folder, tmp_path), tmp_path / "run", 1, progress=heard.append)
    logged = {name for record in heard for name in record}
    assert {f"loss/{name}" for name in THINKING_TERMS[:4]} | {"loss/locate"} <= logged
    embedder_of(found, SAMPLING).save(tmp_path / "model")
    embedder = Embedder.load(str(tmp_path / "model"))
    assert embedder.thinker.thinking == Thinking(document=mini_thinking.RULE)
    video = Frames(moving_frames(4, SIDE_PX, SIDE_PX, 1).rgb_FHWC, np.arange(4) / 2)
    (thought,) = embedder.think([video])
    assert 1 <= thought.steps <= 8 and thought.reason in ("halt", "cap")
    plain = Embedder.load(str(folder))
    assert embedder.encode_query("a circle moves").shape == plain.encode_query("a dog").shape


def test_it_has_one_stage() -> None:
    with pytest.raises(UsageError, match="stage 4: choose 1, which goes on from the shipped mini"):
        mini_thinking.recipe(4)
    recipe = mini_thinking.recipe(1)
    assert recipe.lessons.thinking.halting_sides == [mini_thinking.RULE]
    assert recipe.loop.rate_of("thinking.kv_former.keys") == 5.0
