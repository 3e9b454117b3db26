"""Trains `mini`, the built-in multimodal LLM: `kinoscope train recipes/mini.py --stage N`.

A warm-up, stage 0, in which the connector alone learns words, above all those of motion; then three
stages on the generated world: short captions with contrast, detailed captions with contrast, the
mix of all lessons. Each takes at most 100 minutes on two cores that multiply bfloat16, and no GPU.

    python -m recipes.mini FOLDER

saves it in a new folder as training finds it, to be measured beside what it became.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from kinoscope.backbones.mini import SAMPLING, Mini, untrained_mini
from kinoscope.backbones.mllm import MLLM
from kinoscope.backbones.options import LoadOptions
from kinoscope.errors import UsageError
from kinoscope.evaluation.world.quick import quick
from kinoscope.mini_weights import mini_files
from kinoscope.training.lesson_config import STAGES, TERMS, LessonConfig
from kinoscope.training.precision import fast_precision
from kinoscope.training.recipe import Recipe, embedder_of
from kinoscope.training.sources import FeatureCache, GeneratedSource, Source
from kinoscope.training.sources.concept_pictures import concept_pictures
from kinoscope.training.task import LoopConfig
from kinoscope.training.teaching import Model

LAYERS = 8
VIDEOS, VIDEOS_OF_ALL = 3_600, 5_000
"""Of the training split: in stages 0 to 2, and other ones in stage 3."""
VALIDATED = 200

_LOOPS = {
    0: LoopConfig(steps=1200, batch=16, lr=1e-3, warmup=0.02),
    1: LoopConfig(steps=1400, batch=16, lr=2.5e-4, warmup=0.05),
    2: LoopConfig(steps=240, batch=16, lr=1.5e-4, warmup=0.1),
    3: LoopConfig(steps=900, batch=32, lr=2.5e-4, warmup=0.03),
}
_RATES = {1: 0.5, 2: 1.0, 3: 2.0}
"""Of the connector: contrast that means nothing yet must not undo what stage 0 taught."""
_SHARES = {
    0: STAGES[0] | {"motion": 2.0},
    # texts tell a clip from its reversal before videos can; a step of words takes a tenth of the
    # time of one of captions
    1: STAGES[1] | {"wordings": 0.4, "words": 0.25},
    2: STAGES[2] | {"captions": 1.0, "words": 0.5},
    # distillation less often than one step in ten forgets what real things look like
    3: {"captions": 8.0, "wordings": 1.5, "details": 1.0, "questions": 2.0, "matching": 2.0}
    | {"moments": 1.5, "distil": 2.5, "words": 0.5, "motion": 1.0},
}
_TOGETHER: dict[str, Any] = {
    "betas": (0.9, 0.98),
    "validate_every": 300,
    "watch": "t2v_r1",
}
"""Of the stages in which connector and language model learn."""


def recipe(stage: int) -> Recipe:
    """Stage 0, 1, 2 or 3."""
    if stage not in _LOOPS:
        raise UsageError(f"stage {stage}: choose {', '.join(map(str, _LOOPS))}")
    loop, rates = _LOOPS[stage], {"connector": _RATES.get(stage, 1.0), "temperature": 10.0}
    together: dict[str, Any] = {"rates": rates, **_TOGETHER}
    return Recipe(
        model=untrained,
        source=lambda: sources(stage),
        sampling=SAMPLING,
        lessons=LessonConfig(
            shares=_SHARES[stage],
            weights=dict.fromkeys(TERMS, 1.0) | dict.fromkeys(("caption", "answer", "locate"), 0.5),
            told=0.5,
            hard=stage == 3,
            paired=0.0,  # as these weights were trained; nuance_mixed.py does better
            asked=4,
            match_temperature=8.0,
            window_s=1.0,
            stride_s=1.0,
            trained=("connector",) if stage == 0 else (),
            frozen=("embed_tokens", "lm_head"),
        ),
        loop=replace(loop, mixed_precision=fast_precision(), **(together if stage else {})),
        validate=validate if stage else None,
        tower=tower,
    )


def sources(stage: int) -> Sequence[Source]:
    """The world; in stage 3 also pictures, so that what `concepts` knows of real things is kept.

    The videos of stage 3 are new ones: the connector knows those before by heart.
    """
    if stage < 3:
        return (GeneratedSource("train", VIDEOS),)
    return GeneratedSource("train", VIDEOS_OF_ALL, first_seed=VIDEOS), concept_pictures(SAMPLING)


def validate(model: Model, cache: FeatureCache) -> Mapping[str, float]:
    """Retrieval and reversal on held-out nouns and wordings."""
    return quick(model, GeneratedSource("validation", VALIDATED), cache, count=VALIDATED)


def untrained(layers: int = LAYERS) -> MLLM:
    """As training finds it, with so many layers of the language model."""
    return untrained_mini(
        mini_files(),
        layers=layers,
        options=LoadOptions(batch_tokens=1000, padding_side="right", attention="eager"),
    )


def tower(backbone: MLLM) -> str:
    """The vision tower's hash: it stays as it is."""
    family = backbone.checkpoint.family
    assert isinstance(family, Mini)
    return family.tower


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m recipes.mini")
    parser.add_argument("folder", help="a new one, for the model without training")
    embedder_of(untrained(), SAMPLING).save(parser.parse_args().folder)
