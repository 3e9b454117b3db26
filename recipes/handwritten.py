"""Handwritten sentences of time, negation and order: how often the right one is nearer.

    python -m recipes.handwritten BEFORE AFTER

Models are `mini`, or folders that it was saved in. No model was trained on these sentences.
"""

import argparse
from collections.abc import Sequence

from kinoscope.evaluation.handwritten import NUANCES
from kinoscope.evaluation.metrics import mean_with_interval, paired_p_value
from kinoscope.evaluation.results import Metric, save_result
from kinoscope.evaluation.thought_vectors import as_backbone
from recipes.nuance_mini import loaded, right, show


def main(arguments: Sequence[str] | None = None) -> None:
    """Saves `results/handwritten.json`: each nuance before, after, and the p-value of both."""
    parser = argparse.ArgumentParser(prog="python -m recipes.handwritten")
    parser.add_argument("before")
    parser.add_argument("after")
    asked = parser.parse_args(arguments)
    before, after = loaded(asked.before), loaded(asked.after)
    metrics: dict[str, Metric] = {}
    for nuance in NUANCES:
        one_N, other_N = right(before, nuance), right(after, nuance)
        clusters = range(len(one_N))
        metrics[f"{nuance}_before"] = mean_with_interval(one_N, clusters)
        metrics[f"{nuance}_after"] = mean_with_interval(other_N, clusters)
        p_value = paired_p_value(other_N, one_N)
        metrics[f"{nuance}_p_value"] = Metric(value=p_value, n=len(one_N))
    details = {"before": as_backbone(before).weights, "after": as_backbone(after).weights}
    save_result("handwritten", metrics, details=details)
    show(metrics)


if __name__ == "__main__":
    main()
