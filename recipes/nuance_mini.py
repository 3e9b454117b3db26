"""Nuance tuning of the trained `mini` by sentences alone: `kinoscope train` reads this file.

It begins with the weights that are shipped; no video is read but to validate. What the model knows
is kept by distilling its own similarities on plain captions. Sized for at most 100 minutes on two
cores without a GPU. `nuance_text_only.py` tunes the untrained one, as the paper does, and
`nuance_mixed.py` mixes the triplets into the lessons of the third stage.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from kinoscope.backbones.mini import SAMPLING
from kinoscope.backbones.mllm import MLLM
from kinoscope.errors import UsageError
from kinoscope.evaluation.analysis import analysed
from kinoscope.evaluation.handwritten import NUANCES, accuracy_on, read_handwritten
from kinoscope.evaluation.world.vectors import embed_texts
from kinoscope.mini_weights import mini_files
from kinoscope.prompts import CLASS_NAME
from kinoscope.training.lessons import Model
from kinoscope.training.nuance import NuanceConfig, Plain
from kinoscope.training.recipe import Recipe
from kinoscope.training.sources import FeatureCache, GeneratedSource
from kinoscope.training.task import LoopConfig, Precision
from kinoscope.training.triplets import Mixed, mixed
from recipes.mini import tower
from recipes.mini_thinking import trained_mini
from recipes.nuance_mix import COUNTS, HANDWRITTEN, mix

STEPS, BATCH = 150, 128
"""Of 128 anchors against 256 candidates: a step takes a third of a minute or more on two cores."""
PRECISION: Precision = "no"
"""A CPU without AMX or AVX-512 computes in bf16 slower than in float32; one with AMX much faster:
choose `bf16` there."""
PLAIN_VIDEOS = 1000
VALIDATED, HELD_OUT = 200, 50
"""Videos, and triplets of each part."""


def recipe(stage: int) -> Recipe:
    """Its one stage, 1."""
    if stage != 1:
        raise UsageError(f"stage {stage}: choose 1, which goes on from the shipped mini")
    return Recipe(
        model=trained_mini,
        sampling=SAMPLING,
        loop=loop(lr=1e-4),
        mix=mix("train"),
        nuance=NuanceConfig(keep="distil", keep_share=0.25),
        plain=plain,
        validate=validate,
        tower=tower,
    )


def loop(*, lr: float) -> LoopConfig:
    """Of a run on text alone."""
    return LoopConfig(
        steps=STEPS,
        batch=BATCH,
        lr=lr,
        betas=(0.9, 0.98),
        warmup=0.1,
        mixed_precision=PRECISION,
        validate_every=50,
    )


def plain() -> Plain:
    """Captions of the world's training videos, and names of the classes that the tower knows."""
    world = GeneratedSource("train", PLAIN_VIDEOS, wordings=1)
    names = json.loads(mini_files().class_names.read_text(encoding="utf-8"))
    return Plain(
        name=f"{world.name}, {len(names)} class names",
        captions=(
            *((world.example(number).captions[0],) for number in range(len(world))),
            *((CLASS_NAME.format(name=name),) for name in names),
        ),
    )


def validate(model: Model, features: FeatureCache) -> Mapping[str, float]:
    """Recall, gap and spread on held-out videos; the right sentence nearer, by part and by hand.

    `score` is the mean of R@10 and of the share of held-out triplets that are right.
    """
    source = GeneratedSource("validation", VALIDATED)
    chosen = held_out().triplets
    found = analysed("validation", model, source, features, count=VALIDATED, triplets=chosen)
    measured = {name: metric.value for name, metric in found.metrics().items()}
    score = (measured["t2v_r10"] + measured["text_accuracy"]) / 2
    return {"score": score, **measured, **handwritten(model)}


@cache
def held_out() -> Mixed:
    """Entries and templates that the training has not."""
    return mixed(replace(mix("validation"), counts=dict.fromkeys(COUNTS, HELD_OUT)))


def handwritten(model: Model | MLLM) -> dict[str, float]:
    """`hand_time`, `hand_negation`, `hand_order`: how often the right sentence is nearer."""
    return {
        f"hand_{nuance}": float(
            accuracy_on(
                read_handwritten(HANDWRITTEN / f"{nuance}.tsv"),
                lambda texts: embed_texts(model, texts),
            ).mean()
        )
        for nuance in NUANCES
    }
