"""Nuances mixed into the last stage of `mini`: `kinoscope train recipes/nuance_mixed.py --stage 3`.

    kinoscope train recipes/mini.py --stage 0 --to runs/mixed      # then 1 and 2
    kinoscope train recipes/nuance_mixed.py --stage 3 --to runs/mixed

The lessons of `recipes/mini.py` and, by turns with them, text triplets: every item is eight of
them, so that a batch of 16 is a pool of 128 anchors.
"""

from dataclasses import replace

from kinoscope.errors import UsageError
from kinoscope.training.nuance import NuanceConfig
from kinoscope.training.recipe import Recipe
from recipes import mini
from recipes.nuance_mini import CACHED
from recipes.nuance_mix import mix

STAGE = 3
EACH = 4
SHARE = 2.0
"""Draws of triplets, beside the weights of the stage's lessons."""


def recipe(stage: int) -> Recipe:
    """Stage 3 of `recipes/mini.py` with triplets."""
    if stage != STAGE:
        raise UsageError(f"stage {stage}: choose 3; recipes/mini.py has the stages before")
    nuance = NuanceConfig(each=EACH, share=SHARE, cached=CACHED)
    return replace(mini.recipe(STAGE), mix=mix("train"), nuance=nuance)
