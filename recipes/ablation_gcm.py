"""ViLL-E's ablation of losses at our scale: which pre-training helps what comes after it.

    python -m recipes.ablation_gcm [ARM ...]

Five arms: pre-trained with generation, contrast and matching; with the first two; with generation
alone; with contrast alone; not at all. All have the same warmed-up connector and the same budget:
pre-training and then a mix of tasks, or so many more steps of the tasks. Each goes on where it was;
the arms named are trained, by default all, and what is complete is measured and saved. Arms named
in several commands are trained side by side, after one command without arms or with one has done
the warm-up.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kinoscope.backbones.mini import SAMPLING
from kinoscope.backbones.mllm import MLLM
from kinoscope.errors import UsageError
from kinoscope.evaluation.results import Metric, save_result
from kinoscope.evaluation.world.table import Measurement, System, World
from kinoscope.training.lesson_config import STAGES
from kinoscope.training.recipe import Recipe, begin_with, stage_folder
from kinoscope.training.sources import GeneratedSource
from recipes import mini, stages
from recipes.measuring import features_of, seen_by

RUNS = Path("runs/ablation_gcm")

TRAINING, WARM_STEPS, PRE_STEPS, TASK_STEPS, BATCH = 1_500, 400, 200, 200, 16
"""Videos and steps: five arms and their warm-up take about an hour on two cores."""
LAYERS = 3
"""Of the language model: a step takes half of the time of one with all eight."""
VIDEOS = 500
ARMS: dict[str, tuple[str, ...]] = {
    "gcm": ("caption", "contrast", "match"),
    "gc": ("caption", "contrast"),
    "g": ("caption",),
    "c": ("contrast",),
    "none": (),
}
"""Terms of the pre-training."""

_MEASURED = {
    "qa": {"qa_accuracy": "qa"},
    "retrieval": {"t2v_r1": "r1", "t2v_r10": "r10"},
    "moments": {"moments_r1_05": "localisation"},
}
"""By task: metrics, and what stands behind an arm's name in the saved file."""
NAMES = tuple(name for names in _MEASURED.values() for name in names.values())


def main(arms: Sequence[str]) -> None:
    """Trains and measures, and saves `results/ablation_gcm.json` once all five are complete."""
    foreign = [arm for arm in arms if arm not in ARMS]
    if foreign:
        raise UsageError(f"arm {foreign[0]!r}: choose {', '.join(ARMS)}")
    metrics: dict[str, Metric] = {}
    for arm in arms or ARMS:
        metrics |= measured(arm, trained(arm))
    if len(metrics) < len(ARMS) * len(NAMES):
        print("part of a run: not saved")
        return
    details = {
        "published": published(),
        "pre_steps": PRE_STEPS,
        "task_steps": TASK_STEPS,
        "batch": BATCH,
        "videos": VIDEOS,
        "warm_steps": WARM_STEPS,
        "training": TRAINING,
        "layers": LAYERS,
    }
    save_result("ablation_gcm", metrics, details=details)


def trained(arm: str) -> MLLM:
    """Pre-training, then the mix of tasks; what is complete is only loaded."""
    stages.trained(warm_up(), RUNS, 0)
    root, stage, steps = RUNS / arm, 1, PRE_STEPS + TASK_STEPS
    if ARMS[arm]:
        stages.trained(pre_training(arm), root, stage)
        stage, steps = 2, TASK_STEPS
    backbone = stages.trained(tasks(steps), root, stage)
    assert isinstance(backbone, MLLM), "no arm thinks"
    return backbone


def warm_up() -> Recipe:
    """Stage 0 in small."""
    return in_small(mini.recipe(0), WARM_STEPS)


def pre_training(arm: str) -> Recipe:
    """Stage 1 with the terms of an arm; matching takes a quarter of its steps."""
    terms = ARMS[arm]
    recipe = in_small(mini.recipe(1), PRE_STEPS)
    shares = {"captions": 0.75, "matching": 0.25} if "match" in terms else STAGES[1]
    weights = {name: float(name in terms) for name in ("caption", "contrast", "match")}
    lessons = replace(recipe.lessons, shares=shares, weights=weights)
    return replace(recipe, model=warmed_up, lessons=lessons)


def tasks(steps: int = TASK_STEPS) -> Recipe:
    """Stage 3 in small, without its pictures, the same for all arms."""
    recipe = in_small(mini.recipe(3), steps)
    shares = {name: share for name, share in recipe.lessons.shares.items() if name != "distil"}
    return replace(recipe, model=warmed_up, lessons=replace(recipe.lessons, shares=shares))


def in_small(recipe: Recipe, steps: int) -> Recipe:
    """The same on fewer videos, validated by nobody."""
    loop = replace(recipe.loop, steps=steps, batch=BATCH, validate_every=None)
    return replace(
        recipe, source=lambda: GeneratedSource("train", TRAINING), loop=loop, validate=None
    )


def warmed_up() -> MLLM:
    """The model after stage 0: its connector knows words, its language model is as it was."""
    backbone = mini.untrained(LAYERS)
    begin_with(backbone, stage_folder(RUNS, 0))
    return backbone


def measured(arm: str, backbone: MLLM) -> dict[str, Metric]:
    """Answers, retrieval and moments of an arm on the test split."""
    see = seen_by(features_of(backbone))
    system = System(backbone=backbone, see=see, fps=SAMPLING.fps)
    measurement = Measurement(system, World(count=VIDEOS), seen=False)
    found = {}
    for task, names in _MEASURED.items():
        metrics, _details = measurement.task(task)
        for metric, name in names.items():
            found[f"{arm}_{name}"] = metrics[metric]
            print(arm, name, metrics[metric].interval)
    return found


def published() -> dict[str, dict[str, float]]:
    """ViLL-E (arXiv 2604.12148): its QA, MSR-VTT R@1 and ActivityNet localisation, in percent."""
    rows = {
        "gcm": (65.1, 62.8, 39.4),
        "gc": (63.9, 60.3, 39.1),
        "g": (61.3, 25.1, 28.7),
        "c": (45.5, 54.7, 29.3),
        "none": (55.9, 49.3, 32.3),
    }
    return {
        arm: dict(zip(("qa", "r1", "localisation"), row, strict=True)) for arm, row in rows.items()
    }


if __name__ == "__main__":
    main(sys.argv[1:])
