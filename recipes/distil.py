"""Concept distillation alone: what it gives `mini` on described stills, against `concepts`.

    python -m recipes.distil fetch
    python -m recipes.distil measure RUN STAGE [--steps N] [--takes N] [--temperatures T ...]

RUN is the folder of a training of `recipes/mini.py`, STAGE the last stage whose weights are taken;
the run itself stays as it is. Each temperature of the teacher begins with the same weights.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from kinoscope.backbones.mini import SAMPLING
from kinoscope.backbones.mllm import MLLM
from kinoscope.embedder import Embedder
from kinoscope.evaluation.metrics import mean_with_interval, paired_p_value, recall_at
from kinoscope.evaluation.results import Metric, save_result
from kinoscope.evaluation.world.retrieval import CUTOFFS
from kinoscope.training.lesson_config import LessonConfig
from kinoscope.training.precision import fast_precision
from kinoscope.training.recipe import Recipe, begin_with, embedder_of, stage_folder
from kinoscope.training.sources.concept_pictures import concept_pictures, fetch
from kinoscope.training.task import LoopConfig
from kinoscope.types import Int64
from recipes import stages
from recipes.mini import tower, untrained
from recipes.stills import still_ranks

STEPS, TAKES = 150, 2
TEMPERATURES = (0.1,)


def main(arguments: Sequence[str] | None = None) -> None:
    """Fetches data, or measures and saves `results/distil.json`."""
    parser = argparse.ArgumentParser(prog="python -m recipes.distil")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("fetch")
    measuring = commands.add_parser("measure")
    measuring.add_argument("run", type=Path)
    measuring.add_argument("stage", type=int)
    measuring.add_argument("--steps", type=int, default=STEPS)
    measuring.add_argument("--takes", type=int, default=TAKES)
    measuring.add_argument("--temperatures", type=float, nargs="+", default=TEMPERATURES)
    chosen = parser.parse_args(arguments)
    if chosen.command == "fetch":
        fetch(print)
    else:
        measure(chosen)


def measure(chosen: argparse.Namespace) -> None:
    """Recall before and after, each temperature against what it began with."""
    teacher = still_ranks(Embedder.load())
    before = still_ranks(Embedder(trained(chosen.run, chosen.stage), sampling=SAMPLING))
    metrics = {**recalls("concepts", teacher), **recalls("before", before)}
    details: dict[str, object] = {
        "stage": chosen.stage,
        "steps": chosen.steps,
        "takes": chosen.takes,
        "ranks_concepts": teacher.tolist(),
        "ranks_before": before.tolist(),
    }
    for temperature in chosen.temperatures:
        made = recipe(chosen.run, chosen.stage, temperature, steps=chosen.steps, takes=chosen.takes)
        with tempfile.TemporaryDirectory(prefix="kinoscope-") as folder:
            found = stages.trained(made, Path(folder), 0)
        after = still_ranks(embedder_of(found, SAMPLING))
        name = f"after_t{temperature:g}"
        better = paired_p_value(recall_at(10, after), recall_at(10, before))
        metrics |= recalls(name, after)
        metrics |= {f"{name}_p_value_r10": Metric(value=better, n=len(after))}
        details[f"ranks_{name}"] = after.tolist()
    for name, metric in metrics.items():
        print(f"{name:>26} {metric.value:.3f}")
    save_result("distil", metrics, details=details)


def trained(root: Path, stage: int) -> MLLM:
    """`mini` with the weights of a run's stages up to this one."""
    backbone = untrained()
    for earlier in range(stage + 1):
        folder = stage_folder(root, earlier)
        if earlier > 0 or folder.exists():
            begin_with(backbone, folder)
    return backbone


def recipe(
    root: Path, stage: int, temperature: float, *, steps: int = STEPS, takes: int = TAKES
) -> Recipe:
    """The lesson `distil` and no other, from the weights of a stage on."""
    loop = LoopConfig(steps=steps, batch=32, lr=1e-4, mixed_precision=fast_precision(), warmup=0.1)
    return Recipe(
        model=lambda: trained(root, stage),
        source=lambda: concept_pictures(SAMPLING, takes=takes, tell=print),
        sampling=SAMPLING,
        lessons=LessonConfig(
            shares={"distil": 1.0},
            weights={"distil": 1.0},
            teacher_temperature=temperature,
            frozen=("embed_tokens", "lm_head"),
        ),
        loop=replace(loop, rates={"connector": 3.0, "temperature": 10.0}, betas=(0.9, 0.98)),
        tower=tower,
    )


def recalls(name: str, ranks: Int64) -> dict[str, Metric]:
    """R@1, R@5, R@10 and the median rank."""
    count = len(ranks)
    found = {f"{name}_r{k}": mean_with_interval(recall_at(k, ranks), range(count)) for k in CUTOFFS}
    return found | {f"{name}_median_rank": Metric(value=float(np.median(ranks)), n=count)}


if __name__ == "__main__":
    main()
