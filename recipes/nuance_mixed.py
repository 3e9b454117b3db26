"""Nuances mixed into lessons on videos: `kinoscope train recipes/nuance_mixed.py` reads this file.

    kinoscope train recipes/nuance_mixed.py --to runs/nuance_mixed/mixed
    python -m recipes.nuance_mixed runs/nuance_mixed [--rows mixed,united,control]

It goes on with the shipped `mini`, as `nuance_mini.py` does, but by turns with the lessons of the
last stage, and composed queries, on new videos: an item of a draw is four triplets, so that a batch
of 32 is a pool of 128 anchors. `united` also learns to think, as `mini_thinking.py` does: both
systems in one training. `control` has as many draws of the same lessons, and nothing else, so that
what nuances add can be told from what more training adds. Each takes at most 60 minutes on two
cores without a GPU.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from kinoscope.errors import UsageError
from kinoscope.training.nuance import NuanceConfig
from kinoscope.training.recipe import Recipe
from kinoscope.training.thoughts import ThinkingLesson
from recipes import mini_thinking, stages
from recipes.arguments import names_of
from recipes.nuance_mini import CACHED, validate
from recipes.nuance_mix import mix

STEPS = 300
EACH = 4
SHARE = 10.0
"""Draws of triplets: a third, beside the lessons' 20."""
SHARES = mini_thinking.SHARES | {"edits": 2.0}
"""Draws of each lesson: those of the last stage, and composed queries."""
PAIRED = 0.5

ROWS: Mapping[str, Callable[[], Recipe]] = {
    "mixed": lambda: mixed(None),
    "united": lambda: mixed(mini_thinking.thinking()),
    "control": lambda: control(),
}


def recipe(stage: int) -> Recipe:
    """Its one stage, 1, without thinking."""
    if stage != 1:
        raise UsageError(f"stage {stage}: choose 1, which goes on from the shipped mini")
    return mixed(None)


def mixed(thinking: ThinkingLesson | None) -> Recipe:
    """Lessons and triplets by turns."""
    nuance = NuanceConfig(each=EACH, share=SHARE, cached=CACHED)
    return replace(_lessons(thinking, STEPS), mix=mix("train"), nuance=nuance)


def control() -> Recipe:
    """As many draws of lessons."""
    lessons = sum(SHARES.values())
    return _lessons(None, round(STEPS * lessons / (lessons + SHARE)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains rows, each in a folder of its name."""
    parser = argparse.ArgumentParser(prog="python -m recipes.nuance_mixed")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=names_of(ROWS), default=list(ROWS), help=", ".join(ROWS))
    asked = parser.parse_args(arguments)
    stages.train_rows({name: ROWS[name] for name in asked.rows}, asked.folder)


def _lessons(thinking: ThinkingLesson | None, steps: int) -> Recipe:
    known = mini_thinking.further(thinking, steps=steps)
    loop = replace(known.loop, validate_every=100, watch="score")
    lessons = replace(known.lessons, shares=SHARES, paired=PAIRED)
    return replace(known, loop=loop, lessons=lessons, validate=validate)


if __name__ == "__main__":
    main()
