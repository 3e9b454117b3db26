"""Tables of trainings, for the pages that `recipes.write_docs` writes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from kinoscope.evaluation.results import Metric, load_result

RESULTS = Path(__file__).parents[1] / "results"

_SPEED = (
    ("videos a second, features at hand", "samples_per_s"),
    ("share of a step: data", "data_share"),
    ("forward", "forward_share"),
    ("backward", "backward_share"),
    ("optimiser", "step_share"),
    ("new videos a second: rendered and seen by the tower", "new_videos_per_s"),
    ("share of decoding, were each video new", "decode_share"),
    ("memory, MB", "memory_mb"),
    ("1 if a killed run has the loss curve of one that was not", "resume_equal"),
)


def speed_table() -> str:
    """How fast training is, and where its time goes."""
    result = load_result("train_speed", folder=RESULTS)
    rows = [[label, f"{result.metrics[name].value:.3g}"] for label, name in _SPEED]
    return f"{_table(('', ''), rows)}\nBy `{result.command}`.\n"


def wordings_table() -> str:
    """R@1 by split of videos and of words."""
    result = load_result("wordings", folder=RESULTS)
    runs = {"few wordings": "before_", "many wordings": ""}
    splits = ("train", "validation")
    rows = [
        [
            f"{videos} videos, {words} words",
            *(
                _percent(result.metrics[f"{run}{videos}_videos_{words}_words_r1"])
                for run in runs.values()
            ),
        ]
        for videos in splits
        for words in splits
    ]
    return f"{_table(('R@1 of 200', *runs), rows)}\nBy `{result.command}`.\n"


def runs_table() -> str:
    """A row a stage of the training that the shipped weights came of."""
    result = load_result("mini_training", folder=RESULTS)
    rows = [
        [
            stage["stage"],
            str(stage["steps"]),
            f"{stage['minutes']:.0f}",
            ", ".join(f"{name} {count}" for name, count in stage["losses"].items()),
        ]
        for stage in cast(list[dict[str, Any]], result.details["stages"])
    ]
    head = ("stage", "steps", "minutes", "steps with each loss")
    return f"{_table(head, rows)}\nBy `{result.command}`.\n"


def validations_table() -> str:
    """Retrieval and reversal on the way, each validated step a row."""
    result = load_result("mini_training", folder=RESULTS)
    names = ("t2v_r1", "t2v_r10", "reversal")
    rows = [
        [stage["stage"], str(found["step"]), *(f"{found[name]:.3f}" for name in names)]
        for stage in cast(list[dict[str, Any]], result.details["stages"])
        for found in stage["validated"]
    ]
    head = ("stage", "step", "R@1 of 200", "R@10", "reversed pairs")
    return f"{_table(head, rows)}\nBy `{result.command}`.\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows), ""])


def _percent(metric: Metric) -> str:
    return f"{100 * metric.value:.1f} %"
