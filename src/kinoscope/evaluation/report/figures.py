"""Tables of figures: rows are models, a table a group of metrics, each with its 95 % interval."""

import re
from collections.abc import Iterator, Sequence

from kinoscope.evaluation.report.blocks import Table, shown
from kinoscope.evaluation.report.gathered import Row
from kinoscope.evaluation.report.published import published
from kinoscope.evaluation.results import Metric

_WIDE = 6
_ENDING = re.compile(r"(.+)_(r\d+|mnr|mdr|tied|map)")
_PLAIN = re.compile(r"(.+_)?(mnr|mdr)")
"""Ranks: the only figures of benchmarks that are no shares."""


def figure_tables(rows: Sequence[Row]) -> Iterator[Table]:
    """One or more tables of a benchmark's figures."""
    for group, names in grouped(rows):
        for first in range(0, len(names), _WIDE):
            some = names[first : first + _WIDE]
            yield Table(
                caption=f"{shown(group)}: shares in percent, ranks as they are; 95 % interval"
                if group
                else "Shares in percent, with the 95 % interval",
                head=["model", *(shown(name) for name in some), "n"],
                rows=[_row(row, some) for row in rows],
                numbers=True,
            )


def grouped(rows: Sequence[Row]) -> list[tuple[str, list[str]]]:
    """Metrics of any row by what they begin with: `t2v_r1`, `t2v_r5` -> `t2v`; others under ``."""
    groups: dict[str, list[str]] = {}
    for name in dict.fromkeys(name for row in rows for name in row.found.metrics):
        matched = _ENDING.fullmatch(name)
        groups.setdefault(matched[1] if matched else "", []).append(name)
    return list(groups.items())


def _row(row: Row, names: Sequence[str]) -> list[str]:
    known = [row.found.metrics.get(name) for name in names]
    counts = sorted({metric.n for metric in known if metric is not None})
    told = "-" if not counts else f"{counts[0]}"
    if len(counts) > 1:
        told = f"{counts[0]} to {counts[-1]}"
    cells = [cell(name, metric) for name, metric in zip(names, known, strict=True)]
    return [shown(row.label), *cells, told]


def cell(name: str, metric: Metric | None) -> str:
    """`44.0 (30.0 to 58.0)` of a share; a rank `3.2 (2.1 to 4.0)`; `-` where there is none."""
    if metric is None:
        return "-"
    share = not _PLAIN.fullmatch(name) and all(-1 <= each <= 1 for each in metric.interval)
    low, value, high = (_number(100 * each if share else each) for each in metric.interval)
    return value if low == value == high else f"{value} ({low} to {high})"


def _number(value: float) -> str:
    return f"{value:.1f}" if abs(value) < 1e6 else f"{value:.3g}"


def published_table(benchmark: str) -> Table | None:
    """What others published on a benchmark, with where it stands; None if we know of nothing."""
    known = [each for each in published() if each.benchmark == benchmark]
    if not known:
        return None
    return Table(
        caption="Published by others, each under a protocol of its own",
        head=["model", "figure", "percent", "setting", "note", "paper", "table"],
        rows=[
            [
                each.model,
                each.figure,
                f"{each.percent:.1f}",
                each.setting or "not recorded",
                each.note or "-",
                each.paper,
                each.table or "not recorded",
            ]
            for each in known
        ],
    )
