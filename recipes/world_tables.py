"""Tables of the generated world's test split, for the pages that `recipes.write_docs` writes."""

from dataclasses import dataclass

from kinoscope.evaluation.results import Result, load_result
from recipes import training_tables
from recipes.training_tables import detail, shown, spread, table, yes

_SYSTEMS = {
    "mini": "",
    "untrained": "untrained_",
    "mean of its frames": "frames_",
    "concepts": "concepts_",
}
"""By the head of their columns: what stands before their metrics and details."""


@dataclass(frozen=True, kw_only=True)
class _Task:
    """A row of the table of the world.

    Attributes:
        label: what is measured.
        metric: its name, without that of the system.
        target: what we set ourselves for `mini`.
        chance: what guessing gives.
        top: of a gallery, how many places count as found: guessing gives their share.
        blind: metrics of answers that look at nothing, by what they answer.
        control: whether the mean of frames is to be at one half.
        unit: `%`, or nothing for a figure that is no share.
    """

    label: str
    metric: str
    target: float
    chance: float | None = None
    top: int | None = None
    blind: tuple[tuple[str, str], ...] = ()
    control: bool = False
    unit: str = "%"


_WORLD = (
    _Task(label="text to video, R@1", metric="t2v_r1", target=0.5, top=1),
    _Task(label="text to video, R@10", metric="t2v_r10", target=0.85, top=10),
    _Task(label="reversed pairs, text to video", metric="reversal_t2v", target=0.9, chance=0.5),
    _Task(label="reversed pairs, video to text", metric="reversal_v2t", target=0.9, chance=0.5),
    _Task(
        label="reversed pairs, both ways",
        metric="reversal",
        target=0.9,
        chance=0.5,
        control=True,
    ),
    _Task(label="opposites, R@1", metric="chiral_r1", target=0.9, chance=0.5),
    _Task(
        label="moments, R1@0.5",
        metric="moments_r1_05",
        target=0.6,
        blind=(("whole video", "moments_whole_video"), ("centre", "moments_centre_prior")),
    ),
    _Task(
        label="questions, accuracy",
        metric="qa_accuracy",
        target=0.75,
        blind=(("likeliest", "qa_prior"),),
    ),
    _Task(label="matching, AUC", metric="matching_auc", target=0.95, chance=0.5, unit=""),
    _Task(label="long text, R@1", metric="long_text_r1", target=0.6, top=1),
)
_CONTROL, _ROOM = 0.5, 0.03
"""Where the mean of frames has to be on reversed pairs: it sees no order."""

NAME = "world_mini"
"""The result that all tables are made of."""


def measured() -> Result:
    """`mini` and its controls."""
    return load_result(NAME, folder=training_tables.RESULTS)


def world_table() -> str:
    """A row a task, a column a system, beside a guess and the target."""
    result = measured()
    rows = []
    for task in _WORLD:
        rows.append([task.label, *_figures(result, task), _aim(result, task)])
        if f"seen_{task.metric}" in result.metrics:
            rows.append(["the same, nouns of the training", *_figures(result, task, "seen_"), ""])
    protocol = detail(result, "protocol")
    told = (
        f"On {protocol['videos']} videos of the test split, in float32. In brackets 95 % intervals,"
        f" whole videos drawn with replacement. Moments by the"
        f" {detail(result, 'moments')['method']}. By `{result.command}`.\n"
    )
    return f"{table(('', *_SYSTEMS, 'a guess', 'target'), rows)}\n{told}"


def _figures(result: Result, task: _Task, nouns: str = "") -> list[str]:
    """Of each system, then of a guess."""
    known = result.metrics
    names = [f"{system}{nouns}{task.metric}" for system in _SYSTEMS.values()]
    cells = [spread(known[name], task.unit) if name in known else "" for name in names]
    return [*cells, _guess(result, task, nouns)]


def _guess(result: Result, task: _Task, nouns: str) -> str:
    if task.blind:
        found = [(label, result.metrics[nouns + name].value) for label, name in task.blind]
        return "; ".join(f"{label} {shown(value, task.unit)}" for label, value in found)
    if task.top is not None:
        return shown(task.top / detail(result, "retrieval")["gallery"], task.unit)
    assert task.chance is not None, task
    return shown(task.chance, task.unit)


def _aim(result: Result, task: _Task) -> str:
    """The target, and whether the figure itself reaches it, whatever its interval."""
    reached = result.metrics[task.metric].value >= task.target
    said = f"{_rough(task.target, task.unit)}, {yes(reached)}"
    if not task.control:
        return said
    control = result.metrics[f"{_SYSTEMS['mean of its frames']}{task.metric}"].value
    held = abs(control - _CONTROL) <= _ROOM
    return f"{said}; mean of its frames {100 * _CONTROL:.0f} ± {100 * _ROOM:.0f} %, {yes(held)}"


def opposites_table() -> str:
    """R@1 of each pair of opposite events, best told first."""
    result = measured()
    known = [detail(result, f"{system}chiral")["pairs"] for system in _SYSTEMS.values()]
    pairs = sorted(known[0], key=lambda pair: -known[0][pair]["chiral_r1"])
    rows = [
        [
            " / ".join(kind.replace("_", " ") for kind in pair.split()),
            str(known[0][pair]["videos"]),
            *(shown(figures[pair]["chiral_r1"], "%") for figures in known),
        ]
        for pair in pairs
    ]
    return table(("opposites", "videos", *_SYSTEMS), rows)


def questions_table() -> str:
    """Accuracy by kind of question, the best first, beside what guessing gives."""
    result = measured()
    own, untrained, seen = (
        detail(result, f"{before}qa")["by_kind"] for before in ("", "untrained_", "seen_")
    )
    rows = [
        [
            kind,
            str(own[kind]["n"]),
            shown(own[kind]["accuracy"], "%"),
            shown(untrained[kind]["accuracy"], "%"),
            shown(own[kind]["prior"], "%"),
            shown(own[kind]["chance"], "%"),
            shown(seen[kind]["accuracy"], "%") if kind in seen else "",
        ]
        for kind in sorted(own, key=lambda kind: -own[kind]["accuracy"])
    ]
    head = ("question", "asked", "mini", "untrained", "likeliest answer", "chance")
    return table((*head, "mini, nouns of the training"), rows)


def mismatches_table() -> str:
    """How well a text that is wrong in one fact is told from a true one, by kind of fact."""
    result = measured()
    own, untrained = (
        detail(result, f"{before}matching")["by_kind"] for before in ("", "untrained_")
    )
    rows = [
        [
            kind,
            str(own[kind]["n"]),
            shown(own[kind]["auc"], ""),
            shown(untrained[kind]["auc"], ""),
            shown(own[kind]["pairs"], "%"),
        ]
        for kind in sorted(own, key=lambda kind: -own[kind]["auc"])
    ]
    return table(("wrong fact", "pairs", "AUC", "AUC, untrained", "true text preferred"), rows)


def _rough(value: float, unit: str) -> str:
    return f"{100 * value:.0f} %" if unit == "%" else f"{value:g}"
