"""Tables of trainings, for the pages that `recipes.write_docs` writes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from kinoscope.evaluation.results import Metric, Result, load_result

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

_MINI_SPEED = (
    ("indexing a 10-minute 720p film, `exact`", "realtime_factor", "x real time"),
    ("times as fast as `concepts`", "of_concepts", ""),
    ("share of processor time: decode", "decode_share", "%"),
    ("vision tower", "vision_share", "%"),
    ("language model", "language_share", "%"),
    ("write", "write_share", "%"),
    ("memory while indexing", "peak_rss_mb", "MB"),
    ("a query encoded, p50", "query_p50_ms", "ms"),
    ("p95", "query_p95_ms", "ms"),
    ("a new process until a text is encoded", "load_s", "s"),
    ("its memory", "query_peak_rss_mb", "MB"),
)
_LEAST_FACTOR, _GOAL_FACTOR, _MOST_MS = 5, 10, 100
"""What we set ourselves: indexing in multiples of real time, on two cores, and a query."""

_ARMS = {
    "gcm": "generation, contrast, matching",
    "gc": "generation, contrast",
    "g": "generation",
    "c": "contrast",
    "none": "none",
}
_ABLATED = {"questions": "qa", "R@1": "r1", "R@10": "r10", "localisation": "localisation"}
_PUBLISHED = {"qa": "questions", "r1": "R@1", "localisation": "localisation"}


def speed_table() -> str:
    """How fast training is, and where its time goes."""
    result = load_result("train_speed", folder=RESULTS)
    rows = [[label, f"{result.metrics[name].value:.3g}"] for label, name in _SPEED]
    return f"{table(('', ''), rows)}\nBy `{result.command}`.\n"


def mini_speed_table() -> str:
    """How fast `mini` indexes and encodes a query, beside `concepts` and the target."""
    result = load_result("mini_speed", folder=RESULTS)
    known = result.metrics
    rows = []
    for label, name, unit in _MINI_SPEED:
        pair = (known.get(prefix + name) for prefix in ("", "concepts_"))
        cells = ["" if found is None else _amount(found.value, unit) for found in pair]
        rows.append([label, *cells, _speed_aim(name, known[name].value)])
    machine = "{cores} shared cores ({cpu}), {memory_gib} GiB".format(**result.machine)
    told = f"Medians, measured on {machine}. By `{result.command}`.\n"
    return f"{table(('', 'mini', 'concepts', 'target'), rows)}\n{told}"


def _speed_aim(name: str, value: float) -> str:
    if name == "realtime_factor":
        least, goal = (yes(value >= factor) for factor in (_LEAST_FACTOR, _GOAL_FACTOR))
        return f"{_LEAST_FACTOR} x, {least}; goal {_GOAL_FACTOR} x, {goal}"
    if name in ("query_p50_ms", "query_p95_ms"):
        return f"{_MOST_MS} ms, {yes(value <= _MOST_MS)}"
    return ""


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
    return f"{table(('R@1 of 200', *runs), rows)}\nBy `{result.command}`.\n"


def runs_table() -> str:
    """A row a stage of the training that the shipped weights came of."""
    result = load_result("mini_training", folder=RESULTS)
    rows = [
        [
            stage["stage"],
            _taught(stage.get("videos", {})),
            str(stage["steps"]),
            f"{stage['minutes']:.0f}",
            ", ".join(f"{name} {count}" for name, count in stage["losses"].items()),
        ]
        for stage in cast(list[dict[str, Any]], result.details["stages"])
    ]
    head = ("stage", "videos", "steps", "minutes", "steps with each loss")
    return f"{table(head, rows)}\nBy `{result.command}`.\n"


def _taught(videos: dict[str, int]) -> str:
    """`13000 of world train 0..12999; 2500 of pictures x 2`, the most first."""
    most = sorted(videos.items(), key=lambda known: -known[1])
    return "; ".join(f"{count} of {name}" for name, count in most)


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
    return f"{table(head, rows)}\nBy `{result.command}`.\n"


def samples_table() -> str:
    """Both models on the described sample clips, and what the rule for the default says."""
    result = load_result("samples_mini", folder=RESULTS)
    known = result.metrics
    rows = [
        [
            f"R@{k}",
            spread(known[f"r{k}"]),
            spread(known[f"concepts_r{k}"]),
            _p_value(known[f"p_value_r{k}"].value),
            shown(known[f"chance_r{k}"].value, "%"),
        ]
        for k in (1, 5, 10)
    ]
    for label, name in (("median rank", "median_rank"), ("moved by reversal", "reversal_share")):
        both = (known[name].value, known[f"concepts_{name}"].value)
        rows.append([label, *(f"{value:.3g}" for value in both), "", ""])
    said = detail(result, "rule")
    order = sorted(said, key=lambda name: name == "default")  # the conditions before the verdict
    rule = "\n".join(f"* {name}: {said[name]}" for name in order)
    rows_said = table(("", "mini", "concepts", "p", "chance"), rows)
    count = known["r1"].n
    return f"{rows_said}\n{rule}\n\nOn {count} clips, with 95 % intervals. By `{result.command}`.\n"


def ablation_table() -> str:
    """ViLL-E's ablation of losses at our scale, beside the published one."""
    result = load_result("ablation_gcm", folder=RESULTS)
    published, known = detail(result, "published"), result.details
    rows = [
        [
            label,
            *(spread(result.metrics[f"{arm}_{name}"]) for name in _ABLATED.values()),
            *(f"{published[arm][name]:.1f} %" for name in _PUBLISHED),
        ]
        for arm, label in _ARMS.items()
    ]
    told = (
        f"A warm-up of {known['warm_steps']} steps, pre-training of {known['pre_steps']} steps of"
        f" {known['batch']}, then {known['task_steps']} steps of the tasks, on {known['training']}"
        f" videos of the training split; measured on {known['videos']} of the test split, with 95 %"
        f" intervals. By `{result.command}`.\n"
    )
    head = (
        "pre-training",
        *_ABLATED,
        *(f"{name}, published" for name in _PUBLISHED.values()),
    )
    return f"{table(head, rows)}\n{told}"


def _p_value(p_value: float) -> str:
    return "below 0.001" if p_value < 0.001 else f"{p_value:.3f}"


def detail(result: Result, name: str) -> dict[str, Any]:
    """What is told beside the metrics, by its name."""
    return cast(dict[str, Any], result.details[name])


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows), ""])


def _percent(metric: Metric) -> str:
    return shown(metric.value, "%")


def shown(value: float, unit: str) -> str:
    """One digit of a share, three of anything else."""
    return f"{100 * value:.1f} %" if unit == "%" else f"{value:.3f}"


def _amount(value: float, unit: str) -> str:
    """Three digits: `12.3 x real time`, `1240 MB`."""
    if unit == "%":
        return shown(value, unit)
    return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}".strip()


def spread(metric: Metric, unit: str = "%") -> str:
    """A figure with its interval: `48.2 % (45.1 to 51.3)`."""
    low, value, high = metric.interval
    ends = [shown(end, unit).removesuffix(" %") for end in (low, high)]
    return f"{shown(value, unit)} ({' to '.join(ends)})"


def yes(reached: bool) -> str:
    """Whether a target is reached, in words."""
    return "reached" if reached else "not reached"
