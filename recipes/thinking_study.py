"""Whether `mini` thinks longer where it pays: four proofs on the world's test split, and heads.

    python -m recipes.thinking_study [heads] [--model FOLDER] [--videos N]

FOLDER is a model that `recipes/mini_thinking.py` trained; by default the shipped `mini`. Heads are
compared by short trainings of equal length, which go on where they were; `heads` trains them and
stops. A run on fewer videos is printed and not saved.
"""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from kinoscope.evaluation.metrics import mean_with_interval, paired_p_value, recall_at
from kinoscope.evaluation.results import Metric, save_result
from kinoscope.evaluation.world.adaptive import (
    Point,
    converged,
    correlations,
    gains,
    halted,
    point,
    shuffled,
)
from kinoscope.evaluation.world.retrieval import own_ranks
from kinoscope.evaluation.world.table import World
from kinoscope.evaluation.world.vectors import embed_clips, embed_texts
from kinoscope.thinking.config import ThinkConfig
from kinoscope.thinking.thinker import Thinker
from kinoscope.training.recipe import Recipe
from kinoscope.training.teaching import Model
from kinoscope.training.thoughts import Head
from kinoscope.types import Content, Features, Float64
from recipes import mini_thinking, stages, thinking_tables
from recipes.arguments import at_least
from recipes.thinking_subject import (
    Subject,
    by_rule,
    load_thinker,
    read,
    rule_of,
    seen,
    thought_of,
)

RUNS = Path("runs/thinking_heads")
HEAD_STEPS = 150

HEADS: dict[str, Callable[[], Recipe]] = {
    "last_token": lambda: mini_thinking.further(None, steps=HEAD_STEPS),
    "last_thought": lambda: _arm("last"),
    "mean": lambda: _arm("mean"),
    "kvformer": lambda: _arm("kv-former"),
}
"""The last token of a model that does not think; then the heads over thoughts."""

_THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_EPSILONS = (0.5, 0.3, 0.2, 0.1, 0.05, 0.03, 0.02, 0.01, 0.005, 0.002)
_TEMPERATURE = 0.05  # of the contrast whose gain is looked at
_STILLS, _TIMED, _ROUNDS = 200, 64, 7

Figures = tuple[dict[str, Metric], dict[str, object]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains the heads, measures all, and saves `results/thinking_study.json`."""
    asked = parsed(arguments)
    if asked.what == "heads":
        for head in HEADS:
            trained(head)
        return
    world = World(count=asked.videos or World().count)
    thinker = load_thinker(asked.model)
    subject = read(thinker, seen(thinker.backbone, world.test(), world.count))
    metrics, details = proofs(subject)
    for head in HEADS:
        found, told = measured(head, trained(head), world)
        metrics |= found
        details |= told
    for name, metric in metrics.items():
        low, value, high = metric.interval
        print(f"{name:>24} {value:.3f} [{low:.3f}, {high:.3f}] n={metric.n}")
    if asked.videos:
        print("part of a run: not saved")
        return
    save_result("thinking_study", metrics, details={**details, **protocol(subject, world)})
    thinking_tables.plot()


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Arguments of the command line."""
    parser = argparse.ArgumentParser(prog="python -m recipes.thinking_study")
    parser.add_argument("what", nargs="?", choices=("study", "heads"), default="study")
    parser.add_argument("--model", default="mini", help="a folder that a training has saved")
    parser.add_argument("--videos", type=at_least(8), help="of the test split, of 1000")
    return parser.parse_args(arguments)


def proofs(subject: Subject) -> Figures:
    """All four, what thinking costs, and the text steps that end by themselves."""
    metrics: dict[str, Metric] = {}
    details: dict[str, object] = {}
    for part in (against_fixed, in_words, where_it_pays, shuffled_steps, stills, costs):
        found, told = part(subject)
        metrics |= found
        details |= told
    return metrics, details


def against_fixed(subject: Subject) -> Figures:
    """R@1 at mean steps: the learned rule, convergence, each fixed number.

    `converged` is at the threshold whose mean steps come nearest to the learned rule's.
    """
    gallery, steps_V = subject.gallery, subject.steps_V
    learned = [point(gallery, halted(subject.halting_VK, t), t) for t in _THRESHOLDS]
    settled = {e: converged(subject.curve_VK, e) for e in _EPSILONS}
    nearest = min(settled, key=lambda e: abs(settled[e].mean() - steps_V.mean()))
    own_V, other_V = gallery.found(steps_V), gallery.found(settled[nearest])
    metrics = {
        "adaptive_r1": gallery.metric(own_V),
        "adaptive_mean_steps": gallery.metric(steps_V.astype(np.float64)),
        "converged_r1": gallery.metric(other_V),
        "converged_mean_steps": gallery.metric(settled[nearest].astype(np.float64)),
    }
    for steps in range(1, gallery.count + 1):
        metrics[f"fixed_r1_{steps}"] = gallery.metric(gallery.fixed(steps))
    details: dict[str, object] = {
        "adaptive": point(gallery, steps_V, subject.rule.threshold).told(),
        "halt": [each.told() for each in learned],
        "converged": [point(gallery, v, e).told() for e, v in settled.items()],
        "converged_epsilon": nearest,
        "converged_p_value": paired_p_value(own_V, other_V),
        "points_apart": _apart(learned),
        "histogram": np.bincount(steps_V, minlength=gallery.count + 1)[1:].tolist(),
    }
    return metrics, details


def in_words(subject: Subject) -> Figures:
    """Text steps until the model ends its text, by the same head."""
    rule = ThinkConfig(source="text", rule="eos", max_steps=subject.gallery.count)
    thoughts = thought_of(by_rule(subject.thinker, rule), subject.videos)
    videos_VD = np.stack([thought.vector_D for thought in thoughts])
    found_V = recall_at(1, own_ranks(subject.gallery.texts_VD, videos_VD))
    steps_V = np.array([float(thought.steps) for thought in thoughts])
    metric = subject.gallery.metric
    capped = float(np.mean([thought.reason == "cap" for thought in thoughts]))
    return (
        {"eos_r1": metric(found_V), "eos_mean_steps": metric(steps_V)},
        {"eos_capped": capped, "eos_words": [thought.words for thought in thoughts[:5]]},
    )


def where_it_pays(subject: Subject) -> Figures:
    """Correlations of steps with what a video holds, and with what more steps would gain."""
    scenes = [scene.complexity for scene in subject.videos.scenes()]
    words = [len(e.captions[0].split()) for e in subject.videos.examples()]
    others: dict[str, Float64] = {
        "spearman_events": np.array([scene["events"] for scene in scenes], np.float64),
        "spearman_shots": np.array([scene["shots"] for scene in scenes], np.float64),
        "spearman_words": np.array(words, np.float64),
        "spearman_gain": gains(subject.gallery, temperature=_TEMPERATURE),
    }
    events_V = others["spearman_events"]
    by_events = {
        f"{count:.0f}": [
            float(subject.steps_V[events_V == count].mean()),
            int((events_V == count).sum()),
        ]
        for count in np.unique(events_V)
    }
    return correlations(subject.steps_V, others), {"steps_by_events": by_events}


def shuffled_steps(subject: Subject) -> Figures:
    """The same steps, dealt out to other videos."""
    gallery = subject.gallery
    dealt_V = shuffled(gallery, subject.steps_V)
    p_value = paired_p_value(gallery.found(subject.steps_V), dealt_V)
    return {"shuffled_r1": gallery.metric(dealt_V)}, {"shuffled_p_value": p_value}


def stills(subject: Subject) -> Figures:
    """Steps for the middle frame of a video, shown as long as the video."""
    count = min(_STILLS, len(subject.videos))
    clips = [still(subject.videos.clip(number)) for number in range(count)]
    thoughts = subject.thinker.think([Content(clip=clip) for clip in clips])
    still_V = np.array([float(thought.steps) for thought in thoughts])
    moving_V = subject.steps_V[:count].astype(np.float64)
    keys = subject.videos.keys[:count]
    details: dict[str, object] = {
        "still_videos_steps": float(moving_V.mean()),
        "still_p_value": paired_p_value(still_V, moving_V),
    }
    return {"still_image_steps": mean_with_interval(still_V, keys)}, details


def still(clip: Features) -> Features:
    """Its middle frame, again and again."""
    return Features(np.repeat(clip.values_F[[len(clip) // 2]], len(clip), axis=0), clip.times_F)


def costs(subject: Subject) -> Figures:
    """Processor time of the model's own rule, in multiples of one step, taking turns."""
    count = min(_TIMED, len(subject.videos))
    contents = [Content(clip=subject.videos.clip(number)) for number in range(count)]
    one = by_rule(subject.thinker, replace(subject.rule, rule="fixed", max_steps=1))
    ratios, seconds = [], []
    for _ in range(_ROUNDS):
        own_s, one_s = (_timed(thinker, contents) for thinker in (subject.thinker, one))
        ratios.append(own_s / one_s)
        seconds.append(one_s / count)
    ratio = Metric(value=float(np.median(ratios)), low=min(ratios), high=max(ratios), n=_ROUNDS)
    told: dict[str, object] = {"one_step_cpu_s": float(np.median(seconds)), "timed_videos": count}
    return {"cost_ratio": ratio}, told


def _timed(thinker: Thinker, contents: list[Content]) -> float:
    began_s = time.process_time()
    thinker.think(contents)
    return time.process_time() - began_s


def trained(head: str) -> Model:
    """The head's short training; what is complete is only loaded."""
    return stages.trained(HEADS[head](), RUNS / head, 1)


def measured(head: str, model: Model, world: World) -> Figures:
    """R@1 of an arm on the test split by its own rule, and after one thought."""
    backbone = model.backbone if isinstance(model, Thinker) else model
    videos = seen(backbone, world.test(), world.count)
    texts_VD = embed_texts(model, (example.captions[0] for example in videos.examples()))

    def r1(model: Model) -> Metric:
        found_V = recall_at(1, own_ranks(texts_VD, embed_clips(model, videos.clips())))
        return mean_with_interval(found_V, videos.keys)

    metrics = {f"{head}_r1": r1(model)}
    if isinstance(model, Thinker):
        one = replace(rule_of(model), rule="fixed", max_steps=1)
        metrics[f"{head}_one_thought_r1"] = r1(by_rule(model, one))
    return metrics, {}


def protocol(subject: Subject, world: World) -> Mapping[str, object]:
    """What was shown and asked, for the saved file."""
    return {
        "test": world.test().name,
        "fingerprint": world.test().fingerprint,
        "videos": len(subject.videos),
        "thinking": subject.thinker.describe(),
        "head_steps": HEAD_STEPS,
        "temperature": _TEMPERATURE,
        "query": "one caption a video in wordings of the test split; a tie counts against it",
        "fixed": "at equal mean steps, between the two nearest fixed numbers in proportion",
    }


def _apart(points: Sequence[Point]) -> int:
    return sum(each.apart for each in points)


def _arm(head: Head) -> Recipe:
    return mini_thinking.further(mini_thinking.thinking(head), steps=HEAD_STEPS)


if __name__ == "__main__":
    main()
