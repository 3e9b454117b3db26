"""Whether "no good match" is said when it should be: captions of videos that are there, or not.

    python -m recipes.no_match [MODEL] [--limit N] [--top K]

Each caption is asked twice, with its own video in the gallery and without it. The answer is no when
no hit of the first K is probable enough. Probabilities and threshold come of the validation split;
beside it the same with a threshold on the best cosine. A limited run is printed and not saved.
"""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from kinoscope.evaluation.metrics import auroc, mean_with_interval
from kinoscope.evaluation.metrics.intervals import redrawn
from kinoscope.evaluation.results import Metric, save_result
from recipes.measuring import show, told_of
from recipes.rerank import (
    Looked,
    Sureness,
    by_cosine,
    by_match,
    chosen,
    command,
    least_sure,
    looked_at_both,
    sure,
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures both and saves `results/no_match.json`."""
    asked = command("no_match").parse_args(arguments)
    model, known, tested = looked_at_both(asked)
    calibration = chosen(model, known, asked.top)
    metrics: dict[str, Metric] = {}
    details: dict[str, object] = {"gallery": len(tested), "calibration": asdict(calibration)}
    for name, sureness in {"": by_match(calibration), "cosine_": by_cosine}.items():
        found, threshold = measured(sureness, known, tested, asked.top)
        metrics |= {name + key: metric for key, metric in found.items()}
        details[f"{name}threshold"] = threshold
    details["model"] = told_of(asked.model, model)
    show("", metrics, details)
    if asked.limit:
        print("part of a run: not saved")
        return
    save_result("no_match", metrics, details=details)


def measured(
    sureness: Sureness, known: Sequence[Looked], tested: Sequence[Looked], top: int
) -> tuple[dict[str, Metric], float]:
    """How often both kinds are answered rightly, at the threshold that validation chose; it too.

    `answered_there` and `answered_absent` are shares of captions that got an answer.
    """
    least = least_sure(sureness, known, top)
    there_Q, absent_Q = (sure(sureness, tested, top, there=there) for there in (True, False))
    keys = range(len(tested))
    right_Q = ((there_Q >= least).astype(np.float64) + (absent_Q < least)) / 2
    area = redrawn(
        lambda rows_N: np.array([auroc(there_Q[rows_N], absent_Q[rows_N])]), len(there_Q)
    )
    metrics = {
        "balanced_accuracy": mean_with_interval(right_Q, keys),
        "answered_there": mean_with_interval((there_Q >= least).astype(np.float64), keys),
        "answered_absent": mean_with_interval((absent_Q >= least).astype(np.float64), keys),
        **area.metrics(["auc"]),
    }
    return metrics, least


if __name__ == "__main__":
    main()
