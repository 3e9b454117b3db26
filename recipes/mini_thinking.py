"""Teaches the trained `mini` to think: `kinoscope train recipes/mini_thinking.py`.

A fourth stage, of its own: it begins with the weights that are shipped, and goes on with the third
stage's mix of lessons, in which videos now take up to eight latent steps and learn when to stop. At
most 100 minutes on two cores, without a GPU.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kinoscope.backbones.mini import SAMPLING
from kinoscope.backbones.mini_folder import load_mini, shipped
from kinoscope.backbones.mllm import MLLM
from kinoscope.backbones.options import LoadOptions
from kinoscope.errors import UsageError
from kinoscope.thinking.config import ThinkConfig, Thinking
from kinoscope.training.recipe import Recipe
from kinoscope.training.sources import GeneratedSource, Source
from kinoscope.training.sources.concept_pictures import concept_pictures
from kinoscope.training.thinking_losses import ThinkingLossConfig
from kinoscope.training.thoughts import PREFIX, Head, ThinkingLesson
from recipes import mini

STEPS = 450
RULE = ThinkConfig(source="latent", rule="halt", max_steps=8)
LOSS = ThinkingLossConfig(rho=0.3, gamma=0.1, beta=0.01, target_steps=3.0, held=0.2)

VIDEOS, FIRST_SEED = 3_000, 25_000
"""Of the training split, which the shipped weights have not learned from."""

SHARES = {
    "captions": 7.0,
    "details": 1.5,
    "questions": 3.0,
    "matching": 3.0,
    "moments": 1.5,
    "distil": 2.0,
}
"""Draws of each lesson."""
_NEAR = 0.8
"""Other videos' texts are known to be wrong by now, single facts are not."""
_RATES = {PREFIX: 5.0, "connector": 1.0, "temperature": 10.0}
"""Head and halting have learned nothing yet, all else has."""


def recipe(stage: int) -> Recipe:
    """Its one stage, 1."""
    if stage != 1:
        raise UsageError(f"stage {stage}: choose 1, which goes on from the shipped mini")
    return further(thinking(), steps=STEPS)


def thinking(head: Head = "kv-former") -> ThinkingLesson:
    """Videos think, texts do not: those are short, and asked while somebody waits."""
    return ThinkingLesson(sides=Thinking(document=RULE), head=head, loss=LOSS)


def further(thinking: ThinkingLesson | None, *, steps: int) -> Recipe:
    """So many steps from the shipped weights on, with thinking or without."""
    known = mini.recipe(3)
    loop = replace(known.loop, steps=steps, lr=1e-4, warmup=0.05)
    rates = {word: rate for word, rate in _RATES.items() if thinking or word != PREFIX}
    return replace(
        known,
        model=trained_mini,
        source=sources,
        lessons=replace(known.lessons, shares=SHARES, near=_NEAR, thinking=thinking),
        loop=replace(loop, rates=rates),
    )


def sources() -> Sequence[Source]:
    """New videos, and the pictures of stage 3."""
    world = GeneratedSource("train", VIDEOS, first_seed=FIRST_SEED)
    return world, concept_pictures(SAMPLING)


def trained_mini(folder: Path | None = None) -> MLLM:
    """The shipped one, or one that was saved in a folder, as training reads it."""
    options = LoadOptions(batch_tokens=1000, padding_side="right", attention="eager")
    return load_mini(folder or shipped(), options)[0]
