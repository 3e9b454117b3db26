"""What else might make a model stop where it should: ways to teach halting, on the same thoughts.

    python -m recipes.halting_ideas [--model FOLDER] [--videos N]

FOLDER is a model that `recipes/mini_thinking.py` trained; by default the shipped `mini`. Its
thoughts stay as they are; the halting alone is taught anew, on videos of the training split that
the model has not seen, once by each idea. Each is then measured on the test split, and on longer
videos in which more happens. Beside them: a rule that knows the loss of each step, which none can.
A run on fewer videos is printed and not saved.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from kinoscope.evaluation.results import Metric, save_result
from kinoscope.evaluation.world.adaptive import (
    Gallery,
    correlations,
    gains,
    halted,
    point,
    step_losses,
)
from kinoscope.evaluation.world.table import World
from kinoscope.thinking.halting import Halting, p_BK
from kinoscope.training.sources import GeneratedSource
from kinoscope.training.thinking_losses import ThinkingLossConfig, thinking_terms
from kinoscope.training.world import WorldConfig
from kinoscope.types import Float32, Float64, Int64
from recipes import mini_thinking
from recipes.arguments import at_least
from recipes.thinking_subject import Subject, load_thinker, read, seen

TAUGHT, FIRST_SEED = 1_500, 40_000
"""Videos of the training split, behind all that any recipe learns from."""
BUSY = WorldConfig(duration_s=10.0, max_shots=4, max_events=4)
BUSY_VIDEOS = 400
_TEMPERATURE = 0.05
_THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_ROUNDS, _RATE, _DECAY, _KEPT = 400, 0.003, 0.01, 0.2


@dataclass(frozen=True, kw_only=True)
class Idea:
    """A way to teach halting.

    Attributes:
        words: what is different, for the table.
        loss: whose `ponder`, `prior` and `gain` are what is learned.
        ponder: weight of the expected loss.
        among: videos whose texts a video is contrasted with.
    """

    words: str
    loss: ThinkingLossConfig = mini_thinking.LOSS
    ponder: float = 1.0
    among: int = 64


def _prior(beta: float, target_steps: float) -> ThinkingLossConfig:
    return replace(mini_thinking.LOSS, beta=beta, target_steps=target_steps)


def _gain(margin: float) -> ThinkingLossConfig:
    return replace(mini_thinking.LOSS, beta=0.0, gain=1.0, margin=margin)


IDEAS: Mapping[str, Idea] = {
    "again": Idea(words="as in the training"),
    "no_prior": Idea(words="no prior", loss=_prior(0.0, 3.0)),
    "strong_prior": Idea(words="a prior ten times as strong", loss=_prior(0.1, 3.0)),
    "short_prior": Idea(words="a prior of 1.5 steps, as strong", loss=_prior(0.1, 1.5)),
    "among_all": Idea(words="contrast among 1000 videos", loss=_prior(0.01, 3.0), among=1000),
    "gain": Idea(words="is the next step better? alone", loss=_gain(0.0), ponder=0.0),
    "gain_margin": Idea(words="better by 0.02? alone", loss=_gain(0.02), ponder=0.0),
    "gain_among_all": Idea(
        words="better by 0.02 among 1000? alone", loss=_gain(0.02), ponder=0.0, among=1000
    ),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Teaches and measures all, and saves `results/halting_ideas.json`."""
    asked = parsed(arguments)
    thinker = load_thinker(asked.model)

    def subject(source: GeneratedSource, most: int) -> Subject:
        return read(thinker, seen(thinker.backbone, source, min(most, asked.videos or most)))

    lessons = subject(GeneratedSource("train", TAUGHT, first_seed=FIRST_SEED), TAUGHT)
    world, busy = World(), World(count=BUSY_VIDEOS, config=BUSY)
    tests = {
        "": subject(world.test(), world.count),
        "busy_": subject(busy.test(), busy.count),
    }
    metrics: dict[str, Metric] = {}
    details: dict[str, object] = {}
    for name, steps in all_steps(lessons, tests).items():
        for prefix, chosen in steps.items():
            found, told = measured(tests[prefix], *chosen)
            metrics |= {f"{prefix}{name}_{figure}": value for figure, value in found.items()}
            details[prefix + name] = told
            print(f"{prefix + name:>24}", *(f"{n} {m.value:.3f}" for n, m in found.items()))
    if asked.videos:
        print("part of a run: not saved")
        return
    words = {name: idea.words for name, idea in IDEAS.items()}
    protocol = {"ideas": words, "thinking": thinker.describe(), "taught_on": TAUGHT}
    save_result("halting_ideas", metrics, details={**details, **protocol})


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Arguments of the command line."""
    parser = argparse.ArgumentParser(prog="python -m recipes.halting_ideas")
    parser.add_argument("--model", default="mini", help="a folder that a training has saved")
    parser.add_argument("--videos", type=at_least(8), help="at most so many of each set")
    return parser.parse_args(arguments)


Chosen = tuple[Int64, Sequence[Int64]]
"""Steps at the model's threshold, and at each of `_THRESHOLDS`."""


def all_steps(lessons: Subject, tests: Mapping[str, Subject]) -> dict[str, dict[str, Chosen]]:
    """By way to stop and test: where each video stops."""
    found = {"trained": {name: _chosen(each.halting_VK, each) for name, each in tests.items()}}
    for name, idea in IDEAS.items():
        halting = taught(lessons, idea)
        found[name] = {
            test: _chosen(chances(halting, each.states_VKD), each) for test, each in tests.items()
        }
    found["known"] = {name: (best_steps(each.gallery), ()) for name, each in tests.items()}
    return found


def taught(lessons: Subject, idea: Idea) -> Halting:
    """A new halting for thoughts that stay; the state with the least loss on a fifth kept back."""
    losses_VK = torch.from_numpy(losses_among(lessons.gallery, idea.among)).float()
    states_VKD = torch.from_numpy(lessons.states_VKD)
    kept = max(1, int(_KEPT * len(losses_VK)))
    halting = Halting(states_VKD.shape[-1], start=1 / idea.loss.target_steps)
    optimiser = torch.optim.AdamW(halting.parameters(), lr=_RATE, weight_decay=_DECAY)
    best, least = dict[str, torch.Tensor](), np.inf

    def loss(rows: slice) -> torch.Tensor:
        p_VK = p_BK(halting(states_VKD[rows]))
        terms = thinking_terms(losses_VK[rows], p_VK, idea.loss)
        weights = {"ponder": idea.ponder, "prior": idea.loss.beta, "gain": idea.loss.gain}
        summed: torch.Tensor = sum(weight * terms[name] for name, weight in weights.items())
        return summed / len(p_VK)

    for _ in range(_ROUNDS):
        with torch.no_grad():
            now = float(loss(slice(0, kept)))
        if now < least:
            best, least = {n: v.clone() for n, v in halting.state_dict().items()}, now
        optimiser.zero_grad()
        loss(slice(kept, None)).backward()
        optimiser.step()
    halting.load_state_dict(best)
    return halting


def losses_among(gallery: Gallery, among: int) -> Float64:
    """l_k of each video [V, K], contrasted within groups of so many."""
    count = len(gallery.keys)
    groups = [slice(first, first + among) for first in range(0, count, among)]
    return np.concatenate([step_losses(gallery, rows, temperature=_TEMPERATURE) for rows in groups])


def best_steps(gallery: Gallery) -> Int64:
    """The first of the steps with a video's least loss among all: what no rule can know."""
    losses_VK = losses_among(gallery, len(gallery.keys))
    return np.asarray(losses_VK.argmin(axis=1) + 1, np.int64)


def chances(halting: Halting, states_VKD: Float32) -> Float32:
    """p_k of each video [V, K]."""
    with torch.inference_mode():
        found: Float32 = p_BK(halting(torch.from_numpy(states_VKD))).numpy()
    return found


def measured(
    subject: Subject, steps_V: Int64, others: Sequence[Int64]
) -> tuple[dict[str, Metric], dict[str, object]]:
    """R@1 against as many fixed steps, correlations, and thresholds that are above."""
    gallery = subject.gallery
    own = point(gallery, steps_V, subject.rule.threshold)
    points = [point(gallery, each, value) for each, value in zip(others, _THRESHOLDS, strict=False)]
    events = [scene.complexity["events"] for scene in subject.videos.scenes()]
    asked: dict[str, Float64] = {
        "spearman_events": np.array(events, np.float64),
        "spearman_gain": gains(gallery, temperature=_TEMPERATURE),
    }
    metrics = {
        "r1": own.r1,
        "fixed_r1": own.fixed_r1,
        "mean_steps": gallery.metric(steps_V.astype(np.float64)),
        **correlations(steps_V, asked),
    }
    told: dict[str, object] = {
        "p_value": own.p_value,
        "points_apart": sum(each.apart for each in points),
        "points": [each.told() for each in points],
    }
    return metrics, told


def _chosen(halting_VK: Float32, subject: Subject) -> Chosen:
    every = [halted(halting_VK, threshold) for threshold in _THRESHOLDS]
    return halted(halting_VK, subject.rule.threshold), every


if __name__ == "__main__":
    main()
