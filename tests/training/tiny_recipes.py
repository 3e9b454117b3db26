"""Recipes for a tiny `mini` on a few videos of the plain world, as objects and as a file."""

import textwrap
from pathlib import Path
from typing import Any

import torch

from kinoscope.backbones.mini import Mini, untrained_mini
from kinoscope.backbones.mllm import MLLM
from kinoscope.mini_weights import MiniFiles
from kinoscope.sampling import SamplingConfig
from kinoscope.training.lesson_config import STAGES, LessonConfig
from kinoscope.training.recipe import Recipe
from kinoscope.training.sources import GeneratedSource
from kinoscope.training.task import LoopConfig
from kinoscope.training.world import WorldConfig
from kinoscope.weights import SIDE_PX

SAMPLING = SamplingConfig(fps=2.0, side_px=SIDE_PX, windows=(), clip_frames=4)
LOOP = LoopConfig(steps=3, batch=2, lr=1e-2, warmup=0.1, rates={"connector": 0.5})
FROZEN = ("embed_tokens", "lm_head")


def videos() -> GeneratedSource:
    """Four, of two seconds."""
    return GeneratedSource("train", 4, config=WorldConfig(sprites=(), duration_s=2.0), wordings=3)


def more_videos() -> GeneratedSource:
    """Two others."""
    config = WorldConfig(sprites=(), duration_s=2.0)
    return GeneratedSource("train", 2, first_seed=8, config=config, wordings=3)


def tower(backbone: MLLM) -> str:
    """Its hash."""
    family = backbone.checkpoint.family
    assert isinstance(family, Mini)
    return family.tower


def tiny_recipe(base: MiniFiles, features: Path, stage: int, **changes: Any) -> Recipe:
    """A few steps of a stage's lessons; `trained` names weights, other changes are fields."""
    trained = changes.pop("trained", ("connector",) if stage == 0 else ())
    lessons = LessonConfig(
        shares=STAGES[stage], trained=trained, frozen=FROZEN, window_s=1.0, stride_s=0.5
    )
    fields = {
        "model": lambda: untrained_mini(base, layers=2),
        "source": videos,
        "sampling": SAMPLING,
        "lessons": lessons,
        "loop": LOOP,
        "tower": tower,
        "features": features,
    }
    return Recipe(**{**fields, **changes})


def weights(backbone: MLLM) -> dict[str, torch.Tensor]:
    """As they are now."""
    found = backbone.checkpoint.model.named_parameters()
    return {name: values.detach().clone() for name, values in found}


FILE = """
    '''A recipe file.'''
    from __future__ import annotations

    import os, signal
    from dataclasses import dataclass, replace
    from pathlib import Path

    from kinoscope.mini_weights import MiniFiles
    from tests.training.tiny_recipes import LOOP, tiny_recipe

    @dataclass
    class Wish:
        '''Stops the first run after its second validation.'''
        note: Path = Path({folder!r}) / "stopped"
        validations: int = 0

        def validate(self, backbone, cache):
            self.validations += 1
            if {stops} and self.validations == 2 and not self.note.exists():
                self.note.write_text("")
                os.kill(os.getpid(), signal.SIGTERM)
            return {{"score": -abs(self.validations - 1.5)}}

    def recipe(stage):
        base = Path({base!r})
        files = MiniFiles(language_model=base, vision=base / "vision.onnx",
                          class_names=base / "class_names.json")
        loop = replace(LOOP, steps=4, validate_every=1, checkpoint_every_s=1000.0)
        return tiny_recipe(files, Path({features!r}), stage, loop=loop, validate=Wish().validate)
"""


def write_recipe(folder: Path, base: MiniFiles, features: Path, *, stops: bool) -> Path:
    """A file with `recipe(stage)`, of four steps, the second of which is the best.

    With `stops` its first run asks itself to end behind the second.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = FILE.format(
        folder=str(folder), base=str(base.language_model), features=str(features), stops=stops
    )
    path = folder / "small.py"
    path.write_text(textwrap.dedent(text))
    return path
