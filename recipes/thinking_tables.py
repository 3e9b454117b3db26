"""The study of thinking as tables and a plot, for docs/thinking.md."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from kinoscope.evaluation.results import Metric, Result, load_result
from kinoscope.libraries import imported
from recipes.training_tables import shown, spread, table, yes

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
PICTURE = ROOT / "docs" / "thinking.png"

_POINTS, _EVENTS, _COST, _ONE_STEP = 2, 0.5, 1.5, 0.01
"""What we set ourselves: points apart, a correlation, a ratio, and how much one step may lose."""

_HEADS = {
    "last_token": "last token, no thinking",
    "last_thought": "last thought",
    "mean": "mean of thoughts",
    "kvformer": "KV-Former",
}


def study_table() -> str:
    """Rules and fixed numbers of steps, the four proofs, and the heads."""
    result = load_result("thinking_study", folder=RESULTS)
    told = result.details
    parts = [
        f"![R@1 against mean steps]({PICTURE.name})",
        rules_table(result),
        proofs_table(result),
        heads_table(result),
        f"On {told['videos']} videos of the test split, with 95 % intervals, whole videos drawn"
        f" with replacement; heads behind {told['head_steps']} steps each. The model:"
        f" {told['thinking']}. By `{result.command}`.",
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def rules_table(result: Result) -> str:
    """A row a rule: R@1 and mean steps."""
    known = result.metrics
    rules = {"adaptive": "learned halting", "converged": "converged", "eos": "text until its end"}
    rows = [
        [label, spread(known[f"{name}_r1"]), spread(known[f"{name}_mean_steps"], "")]
        for name, label in rules.items()
    ]
    rows.append(["steps of the first, dealt out anew", spread(known["shuffled_r1"]), ""])
    count = sum(name.startswith("fixed_r1_") for name in known)
    fixed = range(1, count + 1)
    rows += [[f"fixed at {k}", spread(known[f"fixed_r1_{k}"]), f"{k}"] for k in fixed]
    return table(("rule", "R@1", "mean steps"), rows)


def proofs_table(result: Result) -> str:
    """What was set, and whether it was reached."""
    known, told = result.metrics, result.details
    apart = cast(int, told["points_apart"])
    moving = cast(float, told["still_videos_steps"])
    lost = known["last_token_r1"].value - known["kvformer_one_thought_r1"].value
    rows = [
        [
            "thresholds of halting above fixed steps, intervals apart",
            f"{apart}",
            f"{_POINTS}, {yes(apart >= _POINTS)}",
        ],
        ["Spearman of steps and number of events", *_correlation(known, "events", _EVENTS)],
        ["of steps and what more of them gain", *_correlation(known, "gain", None)],
        ["of steps and number of shots", *_correlation(known, "shots", None)],
        ["of steps and length of caption", *_correlation(known, "words", None)],
        [
            "R@1 when steps are dealt out anew, p of the difference",
            f"{spread(known['shuffled_r1'])}, p = {told['shuffled_p_value']:.3f}",
            "",
        ],
        [
            "steps for a still image, against its video",
            f"{known['still_image_steps'].value:.2f} against {moving:.2f}",
            f"fewer, {yes(known['still_image_steps'].value < moving)}",
        ],
        [
            "processor time in multiples of one step",
            spread(known["cost_ratio"], ""),
            f"{_COST:g}, {yes(known['cost_ratio'].value <= _COST)}",
        ],
        [
            "R@1 lost by one thought against the last token, equally trained",
            shown(lost, "%"),
            f"{shown(_ONE_STEP, '%')}, {yes(lost <= _ONE_STEP)}",
        ],
    ]
    return table(("", "measured", "target"), rows)


def heads_table(result: Result) -> str:
    """A row a head, by its own halting and after one thought."""
    known = result.metrics
    rows = []
    for name, label in _HEADS.items():
        one = known.get(f"{name}_one_thought_r1")
        rows.append([label, spread(known[f"{name}_r1"]), "" if one is None else spread(one)])
    return table(("head", "R@1", "after one thought"), rows)


def ideas_table() -> str:
    """A row for each way to teach halting: the test split, and busy videos."""
    result = load_result("halting_ideas", folder=RESULTS)
    told = result.details
    ideas = cast(dict[str, str], told["ideas"])
    ways = {"trained": "as trained", **ideas, "known": "knows the loss of each step"}
    rows = [
        [words, *(cell for test in ("", "busy_") for cell in _idea(result, test + name))]
        for name, words in ways.items()
    ]
    figures = ("steps", "R@1", "of fixed", "apart", "events", "gain")
    head = ("taught by", *figures, *(f"busy: {figure}" for figure in figures))
    under = (
        f"Halting alone, taught on {told['taught_on']:,} videos. *of fixed*: R@1 of as many steps"
        " for all; *apart*: of nine thresholds, those above it whose intervals do not meet;"
        " *events*, *gain*: Spearman's of the steps with the number of events, and with what eight"
        f" steps gain over one. The model: {told['thinking']}. By `{result.command}`."
    )
    return f"{table(head, rows).strip()}\n\n{under}\n"


def _idea(result: Result, name: str) -> list[str]:
    """Mean steps, R@1, that of fixed steps, thresholds apart, and two correlations."""
    known = {
        figure: result.metrics[f"{name}_{figure}"]
        for figure in ("r1", "fixed_r1", "mean_steps", "spearman_events", "spearman_gain")
    }
    apart = cast(dict[str, Any], result.details[name])["points_apart"]
    return [
        f"{known['mean_steps'].value:.2f}",
        spread(known["r1"]),
        shown(known["fixed_r1"].value, "%"),
        f"{apart}",
        f"{known['spearman_events'].value:.2f}",
        f"{known['spearman_gain'].value:.2f}",
    ]


def plot(result: Result | None = None, path: Path = PICTURE) -> Path:
    """R@1 against mean steps, and steps against events, as a picture.

    Raises `SetupError` without matplotlib.
    """
    result = result or load_result("thinking_study", folder=RESULTS)
    figures = imported("matplotlib.figure", "pip install 'kinoscope[eval]'")
    figure = figures.Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    _curves(left, result)
    known = cast(dict[str, list[float]], result.details["steps_by_events"])
    right.plot([float(count) for count in known], [mean for mean, _ in known.values()], marker="o")
    right.set(xlabel="events of a video", ylabel="mean steps")
    figure.savefig(path, format="png", metadata={"Software": None})
    return path


def _curves(axes: Any, result: Result) -> None:
    known, told = result.metrics, result.details
    fixed = [known[name] for name in sorted(n for n in known if n.startswith("fixed_r1_"))]
    steps = range(1, len(fixed) + 1)
    ends = [metric.interval for metric in fixed]
    axes.plot(steps, [metric.value for metric in fixed], marker="o", label="fixed")
    axes.fill_between(steps, [low for low, _, _ in ends], [high for *_, high in ends], alpha=0.2)
    for name, label in (("halt", "learned halting"), ("converged", "converged")):
        points = sorted(
            (point["mean_steps"], point["r1"][1])
            for point in cast(list[dict[str, Any]], told[name])
        )
        axes.plot(*zip(*points, strict=True), marker=".", label=label)
    mean = known["adaptive_mean_steps"].value
    axes.plot(mean, known["shuffled_r1"].value, "x", label="steps dealt out anew")
    axes.plot(known["eos_mean_steps"].value, known["eos_r1"].value, "s", label="text until its end")
    axes.set(xlabel="mean steps", ylabel="R@1")
    axes.legend()


def _correlation(known: Mapping[str, Metric], name: str, target: float | None) -> tuple[str, str]:
    metric = known[f"spearman_{name}"]
    aim = "" if target is None else f"{target:g}, {yes(metric.value >= target)}"
    return spread(metric, ""), aim
