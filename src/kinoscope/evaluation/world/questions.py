"""Questions with options: a model picks the likeliest, a prior the one that is right most often."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kinoscope.evaluation.tasks.protocol import TaskResult
from kinoscope.evaluation.world.values import Figures, by_video, figures_of
from kinoscope.evaluation.world.videos import WorldVideos
from kinoscope.training.world.questions import Question, questions
from kinoscope.types import Float64

MOST = 4
"""Questions on one video."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A question on a video, by its number and name."""

    video: int
    key: str
    question: Question


def asked_of(videos: WorldVideos, *, most: int = MOST, seed: int = 0) -> list[Asked]:
    """At most so many questions on each video, drawn without regard to their kind."""
    found = []
    for number, (key, scene) in enumerate(zip(videos.keys, videos.scenes(), strict=True)):
        known = questions(scene)
        order = np.random.default_rng((seed, number)).permutation(len(known))
        found += [
            Asked(video=number, key=key, question=known[place]) for place in sorted(order[:most])
        ]
    return found


def answers_by_kind(known: Iterable[Question]) -> dict[str, Counter[str]]:
    """How often each answer was right."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for question in known:
        counts[question.kind][question.answer] += 1
    return dict(counts)


def guessed(asked: Sequence[Asked], counts: Mapping[str, Counter[str]]) -> Float64:
    """Chance [Q] that the option which is right most often is: of equals each is as likely."""
    values = []
    for one in asked:
        question = one.question
        known = counts.get(question.kind, Counter())
        most = max(known[option] for option in question.options)
        likeliest = [option for option in question.options if known[option] == most]
        values.append((question.answer in likeliest) / len(likeliest))
    return np.array(values)


def qa(asked: Sequence[Asked], right_Q: Float64, prior_Q: Float64) -> Figures:
    """Metrics and details of `answered`."""
    return figures_of(answered(asked, right_Q, prior_Q))


def answered(asked: Sequence[Asked], right_Q: Float64, prior_Q: Float64) -> TaskResult:
    """`qa_accuracy` and `qa_prior`; details: both, chance and the number of questions by kind."""
    keys = [one.key for one in asked]
    values = {
        "qa_accuracy": by_video(keys, right_Q),
        "qa_prior": by_video(keys, prior_Q),
    }
    chance_Q = np.array([1 / len(one.question.options) for one in asked])
    kinds = np.array([one.question.kind for one in asked])
    by_kind = {
        str(kind): {
            "n": int((kinds == kind).sum()),
            "accuracy": round(float(right_Q[kinds == kind].mean()), 4),
            "prior": round(float(prior_Q[kinds == kind].mean()), 4),
            "chance": round(float(chance_Q[kinds == kind].mean()), 4),
        }
        for kind in sorted(set(kinds))
    }
    return TaskResult(
        values=values, protocol={"chance": float(chance_Q.mean()), "by_kind": by_kind}
    )
