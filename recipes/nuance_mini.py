"""Nuance tuning of the trained `mini` by sentences alone: `kinoscope train` reads this file.

    kinoscope train recipes/nuance_mini.py --to runs/nuance_mini
    python -m recipes.nuance_mini mini runs/nuance_mini/stage-1/model [--beside NAME=MODEL]...

It begins with the weights that are shipped; no video is read but to validate. What the model knows
is kept by distilling its own similarities on plain captions. Sized for at most 100 minutes on two
cores without a GPU. `nuance_text_only.py` tunes the untrained one, as the paper does, and
`nuance_mixed.py` mixes the triplets into lessons on videos.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from kinoscope import Embedder
from kinoscope.backbones.mini import SAMPLING, Mini
from kinoscope.backbones.mllm import MLLM
from kinoscope.errors import UsageError
from kinoscope.evaluation.analysis import analysed
from kinoscope.evaluation.handwritten import NUANCES, accuracy_on, read_handwritten
from kinoscope.evaluation.results import Metric, save_result
from kinoscope.evaluation.thought_vectors import as_backbone
from kinoscope.evaluation.world.nuances import NuanceWorld, nuances
from kinoscope.evaluation.world.vectors import embed_texts
from kinoscope.mini_weights import mini_files
from kinoscope.prompts import CLASS_NAME
from kinoscope.training.nuance import NuanceConfig, Plain
from kinoscope.training.precision import fast_precision
from kinoscope.training.recipe import Recipe
from kinoscope.training.sources import FeatureCache, GeneratedSource
from kinoscope.training.task import LoopConfig
from kinoscope.training.teaching import Model, backbone_of
from kinoscope.training.triplets import Mixed, mixed
from kinoscope.types import Float64
from recipes.measuring import OPTIONS, features_of, seen_by
from recipes.mini import tower
from recipes.mini_thinking import trained_mini
from recipes.nuance_mix import COUNTS, HANDWRITTEN, mix

STEPS, BATCH = 200, 128
"""Of 128 anchors against 256 candidates: about one pass over the triplets."""
CACHED = False
"""The graphs of so small a pool take some 4 GB; with the cache a step takes half as long again."""
PLAIN_VIDEOS = 1000
VALIDATED, HELD_OUT = 200, 50
"""Videos, and triplets of each part."""
WORLD = NuanceWorld(count=500, edits=250)
"""Test videos that are measured, and videos with an edit: a gallery of 500."""


def recipe(stage: int) -> Recipe:
    """Its one stage, 1."""
    if stage != 1:
        raise UsageError(f"stage {stage}: choose 1, which goes on from the shipped mini")
    return Recipe(
        model=trained_mini,
        sampling=SAMPLING,
        loop=loop(lr=1e-4),
        mix=mix("train"),
        nuance=NuanceConfig(keep="distil", keep_share=0.25, cached=CACHED),
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
        mixed_precision=fast_precision(),
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


def handwritten(model: Model) -> dict[str, float]:
    """`hand_time`, `hand_negation`, `hand_order`: how often the right sentence is nearer."""
    return {f"hand_{nuance}": float(right(model, nuance).mean()) for nuance in NUANCES}


def right(model: Model, nuance: str) -> Float64:
    """1.0 for each handwritten triple whose right sentence is nearer, else 0.0."""
    triples = read_handwritten(HANDWRITTEN / f"{nuance}.tsv")
    return accuracy_on(triples, lambda texts: embed_texts(model, texts))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures a `mini` before and after, and saves `results/nuance_mini.json`."""
    parser = argparse.ArgumentParser(prog="python -m recipes.nuance_mini")
    parser.add_argument("before", help="mini, or a folder that it was saved in")
    parser.add_argument("after", help="the same")
    parser.add_argument(
        "--beside",
        metavar="NAME=MODEL",
        type=named,
        action="append",
        default=[],
        help="a model that came to nuances in another way, to be measured too",
    )
    asked = parser.parse_args(arguments)
    before, told_before = measured(loaded(asked.before))
    after, told_after = measured(loaded(asked.after))
    metrics = {
        **after,
        **{f"{name}_before": metric for name, metric in before.items()},
        "t2v_r1_after": after["t2v_r1"],
    }
    details = {"before": told_before, "after": told_after}
    for name, model in asked.beside:
        found, details[name] = measured(loaded(model))
        metrics |= {f"{name}_{metric}": value for metric, value in found.items()}
    beside = [name for name, _ in asked.beside]
    save_result("nuance_mini", metrics, details={**details, "beside": beside})
    show(metrics)


def named(text: str) -> tuple[str, str]:
    """`united=FOLDER` as name and model."""
    name, _, model = text.partition("=")
    if not (name.isidentifier() and model) or name in ("before", "after", "beside"):
        raise argparse.ArgumentTypeError(f"{text!r}: give NAME=MODEL, the name one word")
    return name, model


def loaded(name: str) -> Model:
    """`mini`, or one that was saved; the `Thinker` of one that thinks."""
    embedder = Embedder.load(name, options=OPTIONS)
    found = embedder.backbone
    if not isinstance(found, MLLM) or not isinstance(found.checkpoint.family, Mini):
        raise UsageError(f"model {name} is not mini: name a folder that it was saved in")
    return embedder.thinker or found


def measured(model: Model, world: NuanceWorld = WORLD) -> tuple[dict[str, Metric], dict[str, Any]]:
    """All nuances on the world's test split, and the model's weights among the details."""
    measurable = as_backbone(model)
    see = seen_by(features_of(backbone_of(model)))
    metrics, details = nuances(measurable, see, world, SAMPLING.fps)
    return metrics, {"model": measurable.model, "weights": measurable.weights, "tasks": details}


def show(metrics: Mapping[str, Metric]) -> None:
    """Prints each figure with its interval."""
    for name, metric in metrics.items():
        low, value, high = metric.interval
        print(f"{name:>32} {value:.3f} [{low:.3f}, {high:.3f}] n={metric.n}")


if __name__ == "__main__":
    main()
