"""`mini` on the generated world's test split, and the mean of its frames, which sees no order.

    python -m recipes.world_mini [MODEL] [--limit N] [--only TASK,...] [--systems NAME,...]

MODEL is `mini`, a folder that it was saved in, or that of a stage of its training. What it is
compared with beside is measured by `recipes.world_baselines`. All systems see the same frames. A
run that leaves something out, or is limited, is printed and not saved.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from kinoscope.backbones.loading import load_any
from kinoscope.backbones.mini import SAMPLING, Mini, untrained_mini
from kinoscope.backbones.mllm import MLLM
from kinoscope.backbones.options import LoadOptions
from kinoscope.errors import UsageError
from kinoscope.evaluation.frame_means import FrameMeans
from kinoscope.evaluation.results import Metric, save_result
from kinoscope.evaluation.world.questions import MOST
from kinoscope.evaluation.world.table import SEEN_TASKS, TASKS, Measurement, System, World
from kinoscope.evaluation.world.vectors import embed
from kinoscope.evaluation.world.videos import WorldVideos, with_frame_vectors
from kinoscope.mini_weights import mini_files
from kinoscope.packages import cache_folder, sha256_of
from kinoscope.training.checkpoint import WEIGHTS, final_checkpoint
from kinoscope.training.recipe import begin_with
from kinoscope.training.sources import FeatureCache, GeneratedSource
from kinoscope.types import Content

OPTIONS = LoadOptions(batch_tokens=2048)
"""Small batches hold less padding, and the caches of a CPU hold them."""

SYSTEMS = ("mini", "frames")
LEAST_COSINE = 0.999
"""Of vectors in bfloat16 with those in float32, where the former are asked for."""

_WORTH_WORKERS = 200  # videos: processes that render take seconds to start


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures all tasks of both systems and saves `results/world_mini.json`."""
    parser = command("world_mini", SYSTEMS)
    parser.add_argument("model", nargs="?", default="mini")
    asked = parser.parse_args(arguments)
    mini = load_model(asked.model)
    metrics, details = measured_systems(systems(mini), asked)
    if "frames_reversal" in metrics:
        metrics["reversal_mean_of_frames"] = metrics["frames_reversal"]
    if is_whole(asked, SYSTEMS):
        told = details | {"model": told_of(asked.model, mini)}
        save_result("world_mini", metrics, details=told)


def measured_systems(
    made: Mapping[str, System], asked: argparse.Namespace
) -> tuple[dict[str, Metric], dict[str, object]]:
    """What is asked for of the systems; figures of `mini` have bare names."""
    world = World(count=asked.limit or World().count)
    if asked.limit:
        world = replace(world, chosen_on=max(8, asked.limit // 4), guessed_from=200)
    details: dict[str, object] = {"protocol": protocol(world, asked.bfloat16)}
    metrics: dict[str, Metric] = {}
    first = next(system for system in made.values() if isinstance(system.backbone, MLLM))
    with arithmetic(asked.bfloat16, first, world) as least_cosine:
        details["least_cosine_with_float32"] = least_cosine
        for name in asked.systems:
            found, told = measured(
                made[name], world, asked.only, "" if name == "mini" else f"{name}_"
            )
            metrics |= found
            details |= told
    return metrics, details


def is_whole(asked: argparse.Namespace, known: Sequence[str]) -> bool:
    """Whether all was measured that is saved; says so where not."""
    whole = not asked.limit and set(asked.only) == set(TASKS) and set(asked.systems) == set(known)
    if not whole:
        print("part of a run: not saved")
    return whole


def command(name: str, known: Sequence[str]) -> argparse.ArgumentParser:
    """The command line of a recipe; unknown tasks and systems end the program."""
    parser = argparse.ArgumentParser(prog=f"python -m recipes.{name}")
    parser.add_argument("--limit", type=at_least(8), help="test videos, of 1000")
    parser.add_argument("--only", type=chosen(TASKS), default=TASKS, help=", ".join(TASKS))
    parser.add_argument("--systems", type=chosen(known), default=known, help=", ".join(known))
    parser.add_argument("--bfloat16", action="store_true", help="faster where the CPU has AMX")
    return parser


def at_least(least: int) -> Callable[[str], int]:
    """Reads a whole number that is not smaller."""

    def count(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r}: give {least} or more")
        return int(text)

    return count


def chosen(known: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """Reads `one,other` as names that are known."""

    def names(text: str) -> tuple[str, ...]:
        given = text.split(",")
        foreign = [name for name in given if name not in known]
        if foreign:
            raise argparse.ArgumentTypeError(f"{foreign[0]!r}: choose {', '.join(known)}")
        return tuple(name for name in known if name in given)

    return names


def load_model(name: str) -> MLLM:
    """`mini`, a folder with it, or what a stage of its training came to."""
    if final_checkpoint(Path(name)) is None:
        found, _sampling = load_any(name, OPTIONS)
        if not isinstance(found, MLLM) or not isinstance(found.checkpoint.family, Mini):
            raise UsageError(f"model {name} is not mini: name a folder that it was saved in")
        return found
    from recipes.mini import LAYERS

    backbone = untrained_mini(mini_files(), layers=LAYERS, options=OPTIONS)
    begin_with(backbone, Path(name))
    backbone.checkpoint.model.eval()
    return backbone


def told_of(name: str, mini: MLLM) -> dict[str, object]:
    """Which model it is, for the saved file; a stage of a training is named by its checkpoint."""
    place = final_checkpoint(Path(name))
    weights = mini.weights if place is None else sha256_of(place / WEIGHTS)
    return {"name": Path(name).name, "checkpoint": place and place.name, "weights": weights}


def systems(mini: MLLM) -> dict[str, System]:
    """The model, and the mean of its frames."""
    see, fps = seen_by(features_of(mini)), SAMPLING.fps
    return {
        "mini": System(backbone=mini, see=see, fps=fps),
        "frames": System(
            backbone=FrameMeans(mini),
            see=lambda source: with_frame_vectors(mini, see(source)),
            fps=fps,
        ),
    }


def features_of(mini: MLLM) -> FeatureCache:
    """What the tower of `mini`, trained or not, has seen."""
    family = mini.checkpoint.family
    assert isinstance(family, Mini)
    return FeatureCache(cache_folder() / "features", mini, SAMPLING, tower=family.tower)


def seen_by(cache: FeatureCache) -> Callable[[GeneratedSource], WorldVideos]:
    """Videos with features, computed now where they are missing."""

    def see(source: GeneratedSource) -> WorldVideos:
        if len(source) >= _WORTH_WORKERS:
            cache.warm(source)
        return WorldVideos.of(source, cache)

    return see


def measured(
    system: System, world: World, tasks: Sequence[str], prefix: str
) -> tuple[dict[str, Metric], dict[str, object]]:
    """The tasks that the system can do, on held-out nouns, then some on those of the training."""
    metrics: dict[str, Metric] = {}
    details: dict[str, object] = {}
    for seen in (False, True):
        measurement = Measurement(system, world, seen=seen)
        for task in SEEN_TASKS if seen else TASKS:
            if task not in tasks or task not in system.tasks:
                continue
            start_s = time.monotonic()
            found, told = measurement.task(task)
            before = f"{prefix}{'seen_' if seen else ''}"
            metrics |= {before + name: metric for name, metric in found.items()}
            seconds = round(time.monotonic() - start_s, 1)
            details[before + task] = {**told, "seconds": seconds}
            show(before, found, {**told, "seconds": seconds})
    return metrics, details


def show(prefix: str, found: Mapping[str, Metric], told: Mapping[str, object]) -> None:
    """Prints each figure with its interval, then chance, ties, times, and figures by kind."""
    for name, metric in found.items():
        low, value, high = metric.interval
        print(f"{prefix + name:>36} {value:.3f} [{low:.3f}, {high:.3f}] n={metric.n}")
    single = {name: value for name, value in told.items() if not isinstance(value, Mapping)}
    print(f"{'':>36} {', '.join(f'{name} {value}' for name, value in single.items())}")
    for several in (value for value in told.values() if isinstance(value, Mapping)):
        for name, values in several.items():
            print(f"{'':>36} {name}: {values}")
    print(flush=True)


def protocol(world: World, bfloat16: bool) -> dict[str, object]:
    """What was shown and asked, for the saved file."""
    return {
        "test": world.test().name,
        "fingerprint": world.test().fingerprint,
        "seen_fingerprint": world.test(seen=True).fingerprint,
        "videos": world.count,
        "sampling": SAMPLING.describe(),
        "precision": "bfloat16 autocast" if bfloat16 else "float32",
        "query": "one caption a video in wordings of the test split; a tie counts against it",
        "reversal": "binary choices; equal scores count one half",
        "chiral": "texts of a thing without properties; galleries of both kinds of one pair",
        "moments": "videos with two moments or more; runs of 1 to 6 frames embedded alone",
        "questions": f"at most {MOST} a video, options in the prompt, likelihood of option and end",
        "matching": "one true and one wrong text a video; logit of yes minus no",
        "intervals": "95 %, videos drawn with replacement",
    }


@contextmanager
def arithmetic(bfloat16: bool, system: System, world: World) -> Iterator[float]:
    """The precision of matrix products within, and the least cosine of vectors with float32's.

    Raises `UsageError` where bfloat16 is asked for and changes a vector too much.
    """
    if not bfloat16:
        yield 1.0
        return
    videos = system.see(world.validation(64))
    contents = [
        *(Content(clip=clip) for clip in videos.clips()),
        *(Content(text=example.captions[0]) for example in videos.examples()),
    ]
    exact_ND = embed(system.backbone, contents)
    with torch.autocast("cpu", torch.bfloat16):
        least = float(np.min(np.sum(exact_ND * embed(system.backbone, contents), axis=1)))
        if least < LEAST_COSINE:
            raise UsageError(
                f"bfloat16 changes vectors to a cosine of {least:.4f}: measure in float32"
            )
        yield least


if __name__ == "__main__":
    main()
