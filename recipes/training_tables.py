"""Tables of the trained model and of training, for the pages that `recipes.write_docs` writes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from kinoscope.evaluation.results import Metric, Result, load_result

RESULTS = Path(__file__).parents[1] / "results"

_SYSTEMS = {
    "mini": "",
    "untrained": "untrained_",
    "mean of its frames": "frames_",
    "concepts": "concepts_",
}
_WORLD = (
    ("text to video R@1, 1 000 videos", "t2v_r1"),
    ("R@10", "t2v_r10"),
    ("R@1, nouns of the training", "seen_t2v_r1"),
    ("R@10, nouns of the training", "seen_t2v_r10"),
    ("reversed pairs, text to video", "reversal_t2v"),
    ("reversed pairs, video to text", "reversal_v2t"),
    ("opposites, R@1", "chiral_r1"),
    ("moments, R1@0.5", "moments_r1_05"),
    ("moments, mIoU", "moments_miou"),
    ("long text R@1", "long_text_r1"),
    ("questions", "qa_accuracy"),
    ("matching, AUC", "matching_auc"),
)
_BASELINES = (
    ("moments: the whole video", "moments_whole_video"),
    ("moments: a span in the centre", "moments_centre_prior"),
    ("questions: the likeliest answer of its kind", "qa_prior"),
)
_SAMPLES = (("R@1", "r1"), ("R@5", "r5"), ("R@10", "r10"), ("reversal moves by", "reversal_share"))
_ARMS = {
    "gcm": "generation, contrast, matching",
    "gc": "generation, contrast",
    "g": "generation",
    "c": "contrast",
    "none": "no pre-training",
}
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


def world_table() -> str:
    """A row a figure, a column a system, with intervals of the trained model."""
    result = load_result("world_mini", folder=RESULTS)
    rows = [[label, *_cells(result, name)] for label, name in _WORLD]
    table = _table(("", *_SYSTEMS), rows)
    known = result.metrics
    priors = [f"{label} {_percent(known[name])}" for label, name in _BASELINES]
    return f"{table}\nBaselines: {'; '.join(priors)}. By `{result.command}`.\n"


def _cells(result: Result, name: str) -> list[str]:
    own = result.metrics[name]
    low, _, high = own.interval
    first = f"**{_percent(own)}** ({100 * low:.1f} to {100 * high:.1f})"
    others = [result.metrics.get(prefix + name) for prefix in list(_SYSTEMS.values())[1:]]
    return [first, *("" if other is None else _percent(other) for other in others)]


def samples_table() -> str:
    """Both models on the described sample clips, and what the rule for the default says."""
    result = load_result("samples_mini", folder=RESULTS)
    rows = [
        [label, _percent(result.metrics[name]), _percent(result.metrics[f"concepts_{name}"])]
        for label, name in _SAMPLES
    ]
    table = _table(("", "mini", "concepts"), rows)
    said = cast(dict[str, str], result.details["rule"])
    told = "; ".join(f"{name}: {value}" for name, value in said.items())
    return f"{table}\n{told}. By `{result.command}`.\n"


def ablation_table() -> str:
    """ViLL-E's ablation at our scale, beside the published one."""
    result = load_result("ablation_gcm", folder=RESULTS)
    published = cast(dict[str, Any], result.details["published"])
    names = ("qa", "r1", "localisation")
    rows = [
        [
            label,
            *(_with_interval(result.metrics[f"{arm}_{name}"]) for name in names),
            *(f"{published[arm][name]:.1f}" for name in names),
        ]
        for arm, label in _ARMS.items()
    ]
    head = ("pre-training", *names, *(f"{name}, published" for name in names))
    return f"{_table(head, rows)}\nBy `{result.command}`.\n"


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


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows), ""])


def _percent(metric: Metric) -> str:
    return f"{100 * metric.value:.1f} %"


def _with_interval(metric: Metric) -> str:
    low, value, high = metric.interval
    return f"{100 * value:.1f} ({100 * low:.1f} to {100 * high:.1f})"
