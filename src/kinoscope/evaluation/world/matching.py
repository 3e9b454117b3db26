"""Video-text matching: a true text and one that is wrong in one fact, each asked about alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kinoscope.evaluation.metrics import auroc
from kinoscope.evaluation.metrics.intervals import redrawn
from kinoscope.evaluation.tasks.protocol import TaskResult
from kinoscope.evaluation.world.values import Figures, by_video, figures_of
from kinoscope.evaluation.world.videos import WorldVideos
from kinoscope.types import Float64


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Texts on a video, by its number and name; `kind` says in which fact the wrong one is so."""

    video: int
    key: str
    kind: str
    true: str
    wrong: str


def pairs_of(videos: WorldVideos, *, seed: int = 0) -> list[Pair]:
    """One pair a video, drawn of all that it has."""
    found = []
    for number, example in enumerate(videos.examples()):
        if example.mismatches:
            place = np.random.default_rng((seed, number)).integers(len(example.mismatches))
            one = example.mismatches[int(place)]
            found.append(
                Pair(video=number, key=example.key, kind=one.why, true=one.true, wrong=one.wrong)
            )
    return found


def matching(pairs: Sequence[Pair], true_N: Float64, wrong_N: Float64) -> Figures:
    """Metrics and details of `matched`."""
    return figures_of(matched(pairs, true_N, wrong_N))


def matched(pairs: Sequence[Pair], true_N: Float64, wrong_N: Float64) -> TaskResult:
    """`matching_auc` over all texts, and `matching_pairs`, how often the true one of two wins.

    Args:
        pairs: one a video.
        true_N, wrong_N: how well the two texts of each fit.

    A tie counts one half. Details: the AUC and number of pairs by kind.
    """
    area = redrawn(lambda rows_N: np.array([auroc(true_N[rows_N], wrong_N[rows_N])]), len(pairs))
    wins_N = (np.sign(true_N - wrong_N) + 1) / 2
    kinds = np.array([pair.kind for pair in pairs])
    by_kind = {
        str(kind): {
            "n": int((kinds == kind).sum()),
            "auc": round(auroc(true_N[kinds == kind], wrong_N[kinds == kind]), 4),
            "pairs": round(float(wins_N[kinds == kind].mean()), 4),
        }
        for kind in sorted(set(kinds))
    }
    return TaskResult(
        values={"matching_pairs": by_video([pair.key for pair in pairs], wins_N)},
        figures=area.metrics(["matching_auc"]),
        protocol={"chance": 0.5, "by_kind": by_kind},
    )
