"""Text alone on the untrained `mini`, as TARA does it: `kinoscope train` reads this file.

    kinoscope train recipes/nuance_text_only.py --to runs/nuance_text_only

The language model is SmolLM2's beginning as it came, the connector adds nothing yet: a clip is the
names of what its frames show. No video is seen in training, and all but the language model stays
bit for bit. The ablation's other rows are runs of their own from the same beginning:

    python -m recipes.nuance_text_only train runs/nuance_text_only [--rows core,time]
    python -m recipes.nuance_text_only measure runs/nuance_text_only
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from kinoscope.backbones.mini import SAMPLING
from kinoscope.errors import UsageError
from kinoscope.evaluation.metrics import mean_with_interval, recall_at
from kinoscope.evaluation.results import Metric, save_result
from kinoscope.evaluation.world.retrieval import CUTOFFS, own_ranks
from kinoscope.samples import fetch
from kinoscope.training.nuance import NuanceConfig
from kinoscope.training.recipe import Recipe, embedder_of
from kinoscope.training.teaching import Model
from kinoscope.training.triplets import PARTS, Part
from recipes import stages
from recipes.arguments import names_of
from recipes.concepts_samples import CLIPS_FOLDER
from recipes.mini import tower, untrained
from recipes.nuance_mini import CACHED, loaded, loop, measured, show, validate
from recipes.nuance_mix import mix

TIME: tuple[Part, ...] = ("time", "direction", "state", "adverb", "order")
ROWS: dict[str, tuple[Part, ...]] = {
    "all": PARTS,
    "core": ("core",),
    "time": ("core", *TIME),
    "negation": ("core", "negation"),
    "composed": ("core", "composed"),
}
"""Parts of the mix by row; each row has as many steps."""
ALIASES = {
    "samples_r10_before": "base_samples_r10",
    "samples_r10_after": "all_samples_r10",
    "world_r10_before": "base_t2v_r10",
    "world_r10_after": "all_t2v_r10",
    "gap_before": "base_gap",
    "gap_after": "all_gap",
    "time_chiral": "time_chiral_r1",
    "negation_neg_r5": "negation_negation_neg_r5",
    "composed_r1": "composed_composed_r1",
}
"""Short names of what is cited."""


def recipe(stage: int) -> Recipe:
    """Its one stage, 1, with all parts."""
    if stage != 1:
        raise UsageError(
            f"stage {stage}: choose 1; other rows of the ablation are trained by python -m"
            " recipes.nuance_text_only train"
        )
    return row("all")


def row(name: str) -> Recipe:
    """A row of the ablation: some parts of the mix, from the untrained model on."""
    parts = ROWS[name]
    known = mix("train")
    return Recipe(
        model=untrained,
        sampling=SAMPLING,
        loop=loop(lr=3e-4),
        mix=replace(known, counts={part: known.counts[part] for part in parts}),
        nuance=NuanceConfig(cached=CACHED),
        validate=validate,
        tower=tower,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains rows of the ablation, each in a folder of its name, or measures what came of them."""
    parser = argparse.ArgumentParser(prog="python -m recipes.nuance_text_only")
    parser.add_argument("command", choices=("train", "measure"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=names_of(ROWS), default=list(ROWS), help=", ".join(ROWS))
    asked = parser.parse_args(arguments)
    if asked.command == "measure":
        measure(asked.folder, asked.rows)
    else:
        stages.train_rows({name: partial(row, name) for name in asked.rows}, asked.folder)


def measure(folder: Path, names: Sequence[str]) -> None:
    """Saves `results/nuance_text_only.json`: the untrained model, then each row.

    `ROW_METRIC` for all rows, `base` the untrained one; what the tuning did to recall on sample
    clips and on the world, and to the gap, also as `..._before` and `..._after`.
    """
    models = {"base": untrained()} | {
        name: loaded(str(stages.model_of(folder, name))) for name in names
    }
    metrics: dict[str, Metric] = {}
    details: dict[str, Any] = {}
    for name, model in models.items():
        found, details[name] = measured(model)
        found |= samples_recall(model)
        metrics |= {f"{name}_{metric}": value for metric, value in found.items()}
    metrics |= {
        short: metrics[long]
        for short, long in ALIASES.items()
        if long in metrics and short not in metrics
    }
    save_result("nuance_text_only", metrics, details=details)
    show(metrics)


def samples_recall(model: Model) -> dict[str, Metric]:
    """`samples_r1`, `samples_r5`, `samples_r10`: prompts look for the clips they made."""
    clips = fetch(CLIPS_FOLDER, report=print)
    embedder = embedder_of(model, SAMPLING)
    described = [clip for clip in clips.described if clip.prompt is not None]
    found = own_ranks(
        embedder.encode_query([str(clip.prompt) for clip in described]),
        embedder.encode_document([clips.folder / clip.file for clip in described]),
    )
    return {
        f"samples_r{k}": mean_with_interval(recall_at(k, found), range(len(found))) for k in CUTOFFS
    }


if __name__ == "__main__":
    main()
